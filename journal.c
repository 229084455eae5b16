/* SPDX-License-Identifier: BSD-3-Clause */

#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_log.h>

#include "counter.h"
#include "journal.h"
#include "log.h"
#include "output.h"

#define NS_PER_MS 1e6

#define STACKS_WINDOW_NS (60 * UINT64_C(1000000000))

void
journal_init(struct journal *journal, struct ka_shm_writer *writer, uint64_t alarm_hold_ns)
{
	memset(journal, 0, sizeof(*journal));
	journal->writer = writer;
	journal->alarm_hold_ns = alarm_hold_ns;
	journal->tsc_hz = rte_get_tsc_hz();
	journal->totals.status = KA_STATUS_RUNNING;
}

void
journal_take_time(struct journal *journal)
{
	journal->now_ns = ka_shm_now_ns();
	journal->now_tsc = rte_rdtsc();
}

uint64_t
journal_ns_of_tsc(const struct journal *journal, uint64_t tsc)
{
	uint64_t hz = journal->tsc_hz;

	return tsc / hz * NS_PER_S + tsc % hz * NS_PER_S / hz;
}

/* ---- The segment ---- */

/*
 * Who polls the original's states once a second never meets DEAD, which lasts a ping. A death is held
 * there as GONE: as bad to collectd, and not what an agent looks for that another death woke.
 */
static enum ka_state
state_for_pollers(const struct journal *journal, const struct ka_shm_core *core)
{
	const bool held =
		core->deaths != 0 && journal->now_ns - core->died_ns < journal->alarm_hold_ns;

	if (held && (core->state == KA_STATE_ALIVE || core->state == KA_STATE_MISSING))
		return KA_STATE_GONE;
	return (enum ka_state)core->state;
}

static void
write_core(struct journal *journal, unsigned int lcore)
{
	const struct ka_shm_core *core = &journal->core[lcore];

	ka_shm_write_core(journal->writer, lcore, core, state_for_pollers(journal, core));
}

/* The load goes along, so that what its histograms count and the core's sums stay of one mind. */
static void
publish(struct journal *journal, const struct ka_shm_event *event)
{
	struct ka_shm_writer *writer = journal->writer;

	ka_shm_begin(writer);
	write_core(journal, event->lcore);
	ka_shm_write_load(writer, event->lcore, &journal->load[event->lcore]);
	ka_shm_write_monitor(writer, &journal->totals);
	ka_shm_add_event(writer, event);
	ka_shm_end(writer);
}

static struct ka_shm_event
event_of(const struct journal *journal, unsigned int lcore, enum ka_event_kind kind)
{
	return (struct ka_shm_event){ .time_ns = journal->now_ns, .lcore = lcore, .kind = kind };
}

void
journal_publish(struct journal *journal, unsigned int lcore)
{
	ka_shm_begin(journal->writer);
	write_core(journal, lcore);
	ka_shm_end(journal->writer);
}

void
journal_note_beat(struct journal *journal, unsigned int lcore, uint64_t beat_tsc)
{
	struct ka_shm_core *core = &journal->core[lcore];

	if (beat_tsc == 0)
		return;
	core->last_seen_tsc = beat_tsc;
	/* A heartbeat after the ping began is younger than now. */
	core->last_seen_ns =
		journal->now_ns - (beat_tsc < journal->now_tsc ?
					   journal_ns_of_tsc(journal, journal->now_tsc - beat_tsc) :
					   0);
}

void
journal_note_start(struct journal *journal, unsigned int lcore)
{
	journal->core[lcore].launched_ns = journal->now_ns;
}

void
journal_tick(struct journal *journal, uint64_t late_tsc)
{
	struct ka_shm_monitor *totals = &journal->totals;

	if (late_tsc != 0) {
		totals->late_ticks++;
		totals->longest_late_ns =
			RTE_MAX(totals->longest_late_ns, journal_ns_of_tsc(journal, late_tsc));
	}
	totals->ticks++;
	totals->beat_ns = journal->now_ns;
	totals->lost_lines = output_lost_lines();
	ka_shm_begin(journal->writer);
	ka_shm_write_monitor(journal->writer, totals);
	ka_shm_end(journal->writer);
}

void
journal_abort(struct journal *journal)
{
	ka_shm_mark_aborted(journal->writer);
}

/* ---- What the loops do ---- */

static void
read_ports(struct ka_shm_load *load, const struct forward_lcore *worker)
{
	load->nb_ports = forward_nb_ports(worker);
	load->received = load->sent = load->dropped = 0;
	for (unsigned int i = 0; i < load->nb_ports; i++) {
		const struct forward_counters *counters = &worker->queue[i]->counters;

		load->port[i] = worker->queue[i]->rx_port;
		load->received += counter_read(&counters->received);
		load->sent += counter_read(&counters->sent);
		load->dropped +=
			counter_read(&counters->dropped) + counter_read(&counters->abandoned);
	}
}

static void
read_loop(struct ka_shm_load *load, const struct loop_stats *loop)
{
	load->bursts = counter_read(&loop->bursts);
	load->busy_ns = counter_read(&loop->busy_ns);
	load->idle_ns = counter_read(&loop->idle_ns);
	load->longest_ns = counter_read(&loop->longest_ns);
	load->late = counter_read(&loop->late);
	load->late_ns = loop->late_ns;
	loop_read_turns(load->turns, loop);
}

void
journal_read_load(struct ka_shm_load *load, const struct forward_lcore *worker)
{
	read_ports(load, worker);
	read_loop(load, &worker->loop);
}

void
journal_load(struct journal *journal, const struct forward_lcore *worker)
{
	struct ka_shm_load *load = &journal->load[worker->lcore];
	const uint64_t before = load->received;
	const uint32_t nb_ports_before = load->nb_ports;
	const uint64_t elapsed_ns = journal->now_ns - load->looked_ns;

	journal_read_load(load, worker);
	/* Ports that came or went bring or take all that they ever counted. */
	load->frames_per_s = load->nb_ports != nb_ports_before || elapsed_ns == 0 ?
				     0 :
				     (uint64_t)((double)(load->received - before) * NS_PER_S /
						(double)elapsed_ns);
	load->looked_ns = journal->now_ns;
	ka_shm_begin(journal->writer);
	ka_shm_write_load(journal->writer, worker->lcore, load);
	ka_shm_end(journal->writer);
}

/* ---- A death ---- */

/* Where the worker was: meaningless for one that left its loop by itself. */
static void
note_place(const struct forward_lcore *worker, struct ka_shm_event *event)
{
	uint32_t at = atomic_load_explicit(&worker->at_queue, memory_order_relaxed);

	event->phase = atomic_load_explicit(&worker->phase, memory_order_relaxed);
	event->port = worker->queue[at]->rx_port;
	event->in_hand = atomic_load_explicit(&worker->nb_burst, memory_order_relaxed);
}

void
journal_death(struct journal *journal, const struct forward_lcore *worker, enum ka_cause cause,
	      struct ka_shm_event *event)
{
	struct ka_shm_core *core = &journal->core[worker->lcore];

	*event = event_of(journal, worker->lcore, KA_EVENT_DEATH);
	event->cause = cause;
	/* Since the last heartbeat, or the launch for a worker that never gave one. */
	event->silent_ns = journal->now_ns -
			   (cause == KA_CAUSE_NOT_STARTED ? core->launched_ns : core->last_seen_ns);
	note_place(worker, event);
	journal->load[worker->lcore].detections[histogram_bucket(event->silent_ns)]++;
	core->detections_ns += event->silent_ns;
	core->state = KA_STATE_DEAD;
	core->cause = cause;
	core->died_ns = journal->now_ns;
	core->deaths++;
	journal->totals.deaths++;
	publish(journal, event);
	ka_shm_post(journal->writer);
}

bool
journal_may_write_stack(struct journal *journal)
{
	if (journal->now_ns - journal->stacks_begin_ns >= STACKS_WINDOW_NS) {
		if (journal->nb_stacks > JOURNAL_STACKS_MAX)
			RTE_LOG(NOTICE, L2FWD, "%u stacks suppressed\n",
				journal->nb_stacks - JOURNAL_STACKS_MAX);
		journal->stacks_begin_ns = journal->now_ns;
		journal->nb_stacks = 0;
	}
	return ++journal->nb_stacks <= JOURNAL_STACKS_MAX;
}

void
journal_evidence(const struct ka_shm_event *event, const char *wchan, const char *answer)
{
	RTE_LOG(NOTICE, L2FWD,
		"core %u %s%s%s for %.1f ms, phase %s, port %u, %u frames in hand: %s\n",
		event->lcore, recovery_cause_name((enum ka_cause)event->cause),
		wchan[0] != '\0' ? " in " : "", wchan, (double)event->silent_ns / NS_PER_MS,
		recovery_phase_name((enum recovery_phase)event->phase), event->port, event->in_hand,
		answer);
}

/* ---- What follows it ---- */

void
journal_restart(struct journal *journal, unsigned int lcore)
{
	const struct ka_shm_event event = event_of(journal, lcore, KA_EVENT_RESTART);

	journal->core[lcore].restarts++;
	journal->totals.restarts++;
	publish(journal, &event);
}

void
journal_back(struct journal *journal, unsigned int lcore, bool new_life, uint64_t outage_ns)
{
	struct ka_shm_core *core = &journal->core[lcore];
	struct ka_shm_event event =
		event_of(journal, lcore, new_life ? KA_EVENT_BACK : KA_EVENT_RECOVERY);

	event.outage_ns = outage_ns;
	journal->load[lcore].outages[histogram_bucket(outage_ns)]++;
	core->outages_ns += outage_ns;
	core->last_outage_ns = outage_ns;
	core->longest_outage_ns = RTE_MAX(core->longest_outage_ns, outage_ns);
	if (!new_life) {
		core->recoveries++;
		journal->totals.recoveries++;
		RTE_LOG(INFO, L2FWD, "core %u recovered after %.1f ms\n", lcore,
			(double)outage_ns / NS_PER_MS);
	}
	publish(journal, &event);
}

void
journal_given_up(struct journal *journal, unsigned int lcore, const char *why, const char *ports)
{
	struct ka_shm_event event = event_of(journal, lcore, KA_EVENT_GIVEN_UP);

	journal->core[lcore].given_up_ns = journal->now_ns;
	event.cause = journal->core[lcore].cause;
	publish(journal, &event);
	RTE_LOG(ERR, L2FWD, "core %u is given up: %s; %s\n", lcore, why, ports);
}

void
journal_refused(const struct journal *journal, unsigned int lcore, uint64_t asked_ns)
{
	RTE_LOG(WARNING, L2FWD,
		"core %u was asked to leave its loop %.1f ms ago and is still in it: watched\n",
		lcore, (double)(journal->now_ns - asked_ns) / NS_PER_MS);
}

void
journal_taken_over(struct journal *journal, unsigned int lcore, uint16_t port, unsigned int other)
{
	struct ka_shm_event event = event_of(journal, lcore, KA_EVENT_TAKEN_OVER);

	event.port = port;
	event.other_lcore = other;
	publish(journal, &event);
	RTE_LOG(WARNING, L2FWD, "port %u goes from core %u to core %u\n", port, lcore, other);
}

/* ---- What is no death ---- */

void
journal_starving(struct journal *journal, unsigned int lcore, uint64_t so_far_ns)
{
	struct ka_shm_event event = event_of(journal, lcore, KA_EVENT_STARVING);

	event.cause = KA_CAUSE_STARVED;
	event.outage_ns = so_far_ns;
	publish(journal, &event);
	RTE_LOG(WARNING, L2FWD, "core %u is starved by the host, for %.1f ms so far\n", lcore,
		(double)so_far_ns / NS_PER_MS);
}

void
journal_starved(struct journal *journal, unsigned int lcore, uint64_t outage_ns, uint64_t queued_ns)
{
	struct ka_shm_event event = event_of(journal, lcore, KA_EVENT_STARVED);

	event.cause = KA_CAUSE_STARVED;
	event.outage_ns = outage_ns;
	event.silent_ns = queued_ns;
	publish(journal, &event);
	RTE_LOG(INFO, L2FWD,
		"core %u was starved by the host for %.1f ms, %.1f ms of it in the run queue\n",
		lcore, (double)outage_ns / NS_PER_MS, (double)queued_ns / NS_PER_MS);
}

static const char *
stall_reason(enum ka_stall stall)
{
	switch (stall) {
	case KA_STALL_RX:
		return "the port counts frames that it does not receive";
	case KA_STALL_POOL:
		return "no mbufs are left to receive into";
	case KA_STALL_TX:
		return "the TX queue takes none of its frames";
	case KA_STALL_NONE:
		break;
	}
	return "moves frames again";
}

void
journal_stall(struct journal *journal, unsigned int lcore, uint16_t port, enum ka_stall stall)
{
	struct ka_shm_event event =
		event_of(journal, lcore,
			 stall == KA_STALL_NONE ? KA_EVENT_MOVES : KA_EVENT_STALLED);

	event.port = port;
	event.stall = stall;
	publish(journal, &event);
	RTE_LOG(WARNING, L2FWD, "core %u, port %u: %s%s\n", lcore, port,
		stall == KA_STALL_NONE ? "" : "STALLED, ", stall_reason(stall));
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_keepalive.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_timer.h>

#include "escape.h"
#include "log.h"
#include "monitor.h"
#include "output.h"
#include "revive.h"

#define NS_PER_MS 1e6

/* Stacks of silent workers that are written a minute. */
#define STACKS_MAX 5
#define STACKS_WINDOW_NS (60 * UINT64_C(1000000000))

/* Time that the workers have to write their stacks before the process aborts. */
#define ABORT_DELAY_US 100000

/* The segment has its own names for the states, since its readers are built without DPDK. */
static_assert((int)KA_STATE_UNUSED == (int)RTE_KA_STATE_UNUSED &&
		      (int)KA_STATE_ALIVE == (int)RTE_KA_STATE_ALIVE &&
		      (int)KA_STATE_DEAD == (int)RTE_KA_STATE_DEAD &&
		      (int)KA_STATE_GONE == (int)RTE_KA_STATE_GONE &&
		      (int)KA_STATE_MISSING == (int)RTE_KA_STATE_MISSING &&
		      (int)KA_STATE_DOZING == (int)RTE_KA_STATE_DOZING &&
		      (int)KA_STATE_SLEEP == (int)RTE_KA_STATE_SLEEP,
	      "states of the segment are those of rte_keepalive");

/* A watched core. All of it belongs to the main lcore. */
struct watched {
	struct forward_lcore *worker; /* NULL: not watched. */
	struct ka_shm_core record;    /* What is published of it. */
	struct revive revive;	      /* What is done when it dies. */
	uint64_t lives_at_death;      /* worker->lives then: another number is another life. */
	uint64_t beat_at_ping;	      /* worker->beat_tsc as the last ping saw it. */
	uint64_t launched_tsc;	      /* The last launch. */
	uint64_t beat_at_death;	      /* Begin of the outage: the last heartbeat before it. */
	bool down;		      /* Declared dead and not seen since. */
	bool died_now;		      /* Declared dead in the ping that is being dispatched. */
	bool relaunched;	      /* Launched again since it was declared dead. */
	bool let_off;		      /* rte_keepalive lost a heartbeat; forgiven once in a row. */
	bool judged_now;	      /* Let off or found innocent in the ping being dispatched. */
	bool starving;		      /* Found to be without a CPU. */
};

struct monitor {
	struct monitor_config config;
	struct rte_keepalive *keepalive;
	struct rte_timer timer;
	uint64_t tsc_hz;
	uint64_t period_tsc;
	uint64_t startup_ns;
	uint64_t now_ns;	  /* Of the ping that is being dispatched. */
	uint64_t now_tsc;	  /* The same moment. */
	bool put_off;		  /* The last tick came too late to be a ping. */
	uint64_t stacks_begin_ns; /* Stacks asked for in the minute that began then. */
	unsigned int nb_stacks;
	struct ka_shm_monitor totals;
	struct watched core[KA_SHM_MAX_LCORES];
};

static uint64_t
ns_of_tsc(const struct monitor *monitor, uint64_t tsc)
{
	uint64_t hz = monitor->tsc_hz;

	return tsc / hz * NS_PER_S + tsc % hz * NS_PER_S / hz;
}

static uint64_t
beat_of(const struct watched *core)
{
	return atomic_load_explicit(&core->worker->beat_tsc, memory_order_relaxed);
}

static void
take_time(struct monitor *monitor)
{
	monitor->now_ns = ka_shm_now_ns();
	monitor->now_tsc = rte_rdtsc();
}

/* ---- Publishing ---- */

static void
note_beat(const struct monitor *monitor, struct watched *core, uint64_t beat)
{
	core->beat_at_ping = beat;
	if (beat == 0)
		return;
	core->record.last_seen_tsc = beat;
	/* A heartbeat after the ping began is younger than now. */
	core->record.last_seen_ns =
		monitor->now_ns -
		(beat < monitor->now_tsc ? ns_of_tsc(monitor, monitor->now_tsc - beat) : 0);
}

static void
publish(struct monitor *monitor, unsigned int lcore, const struct ka_shm_event *event)
{
	struct ka_shm_writer *writer = monitor->config.writer;

	ka_shm_begin(writer);
	ka_shm_write_core(writer, lcore, &monitor->core[lcore].record);
	if (event != NULL) {
		ka_shm_write_monitor(writer, &monitor->totals);
		ka_shm_add_event(writer, event);
	}
	ka_shm_end(writer);
}

/* ---- Evidence ---- */

/* A storm of deaths must not bury the log: so many stacks a minute, then their number. */
static bool
may_write_stack(struct monitor *monitor)
{
	if (monitor->now_ns - monitor->stacks_begin_ns >= STACKS_WINDOW_NS) {
		if (monitor->nb_stacks > STACKS_MAX)
			RTE_LOG(NOTICE, L2FWD, "%u stacks suppressed\n",
				monitor->nb_stacks - STACKS_MAX);
		monitor->stacks_begin_ns = monitor->now_ns;
		monitor->nb_stacks = 0;
	}
	return ++monitor->nb_stacks <= STACKS_MAX;
}

/* Where the worker was: meaningless for one that left its loop by itself. */
static void
note_place(const struct forward_lcore *worker, struct ka_shm_event *event)
{
	uint32_t at = atomic_load_explicit(&worker->at_queue, memory_order_relaxed);

	event->phase = atomic_load_explicit(&worker->phase, memory_order_relaxed);
	event->port = worker->queue[at].rx_port;
	event->in_hand = atomic_load_explicit(&worker->nb_burst, memory_order_relaxed);
}

static void
log_evidence(const struct watched *core, const struct ka_shm_event *event, const char *answer)
{
	const char *wchan = core->revive.now.wchan;

	RTE_LOG(NOTICE, L2FWD,
		"core %u %s%s%s for %.1f ms, phase %s, port %u, %u frames in hand: %s\n",
		event->lcore, recovery_cause_name((enum ka_cause)event->cause),
		wchan[0] != '\0' ? " in " : "", wchan, (double)event->silent_ns / NS_PER_MS,
		recovery_phase_name((enum recovery_phase)event->phase), event->port, event->in_hand,
		answer);
}

/* ---- A death ---- */

/* Last heartbeat, or the launch for a worker that never gave one. */
static uint64_t
silence(const struct monitor *monitor, const struct watched *core, enum ka_cause cause)
{
	uint64_t since = cause == KA_CAUSE_NOT_STARTED ? core->record.launched_ns :
							 core->record.last_seen_ns;

	return monitor->now_ns - since;
}

static void
note_death(struct monitor *monitor, struct watched *core, struct ka_shm_event *event)
{
	/* A worker that dies again before it was seen is still in the same outage. */
	if (!core->down)
		core->beat_at_death =
			core->beat_at_ping != 0 ? core->beat_at_ping : core->launched_tsc;
	core->lives_at_death = atomic_load_explicit(&core->worker->lives, memory_order_relaxed);
	core->down = true;
	core->died_now = true;
	core->relaunched = false;
	core->let_off = false;
	core->starving = false;
	core->record.state = KA_STATE_DEAD;
	core->record.cause = event->cause;
	core->record.died_ns = monitor->now_ns;
	core->record.deaths++;
	monitor->totals.deaths++;
	publish(monitor, event->lcore, event);
	ka_shm_post(monitor->config.writer);
}

/* The start-up deadline counts from here: from the launch, and anew when the thread has taken it. */
static void
note_start(const struct monitor *monitor, struct watched *core)
{
	core->launched_tsc = monitor->now_tsc;
	core->record.launched_ns = monitor->now_ns;
}

static void
note_launch(struct monitor *monitor, struct watched *core)
{
	const struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = core->worker->lcore,
		.kind = KA_EVENT_RESTART,
	};

	note_start(monitor, core);
	core->relaunched = true;
	core->record.restarts++;
	monitor->totals.restarts++;
	publish(monitor, event.lcore, &event);
}

static void
note_given_up(struct monitor *monitor, const struct watched *core)
{
	const struct recovery_limit *limit = &monitor->config.revive.limit;
	const struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = core->worker->lcore,
		.kind = KA_EVENT_GIVEN_UP,
		.cause = core->record.cause,
	};

	publish(monitor, event.lcore, &event);
	RTE_LOG(ERR, L2FWD,
		"core %u is given up: more than %" PRIu64 " restarts in %g s; its ports are down\n",
		event.lcore, limit->restarts, (double)limit->window_ns / NS_PER_S);
}

static void
go_on(struct monitor *monitor, struct watched *core)
{
	switch (revive_go_on(&core->revive, monitor->now_ns)) {
	case REVIVE_NOTHING:
		break;
	case REVIVE_LAUNCHED:
		note_launch(monitor, core);
		break;
	case REVIVE_STARTED:
		note_start(monitor, core);
		break;
	case REVIVE_GAVE_UP:
		note_given_up(monitor, core);
		break;
	}
}

/* --on-hang abort: what all workers were doing, then a core dump for the one who looks into it. */
static void
abort_with_evidence(struct monitor *monitor)
{
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		if (monitor->core[lcore].worker != NULL)
			escape_ask(monitor->core[lcore].worker, ESCAPE_EVIDENCE,
				   beat_of(&monitor->core[lcore]));
	ka_shm_mark_aborted(monitor->config.writer);
	rte_delay_us_sleep(ABORT_DELAY_US);
	output_stop();
	abort();
}

/*
 * The state is published and the agent woken before the relaunch, so that DEAD is never seen of
 * a core that runs again already.
 */
static void
declare_dead(struct monitor *monitor, struct watched *core, enum ka_cause cause)
{
	const unsigned int lcore = core->worker->lcore;
	struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = lcore,
		.kind = KA_EVENT_DEATH,
		.cause = cause,
	};
	bool returned = revive_has_returned(&core->revive);

	note_beat(monitor, core, beat_of(core));
	event.silent_ns = silence(monitor, core, cause);
	note_place(core->worker, &event);
	note_death(monitor, core, &event);
	switch (revive_act(&core->revive, cause, core->beat_at_ping,
			   !returned && may_write_stack(monitor))) {
	case RECOVERY_RELAUNCH:
		output_print("Dead core %u - restarting..\n", lcore);
		break;
	case RECOVERY_EVICT:
		output_print("Dead core %u - restarting..\n", lcore);
		log_evidence(core, &event, "taken out of it");
		break;
	case RECOVERY_WATCH:
		output_print("Dead core %u - %s, cannot be restarted..\n", lcore,
			     recovery_cause_name(cause));
		log_evidence(core, &event, "watched; relaunched if it returns");
		break;
	case RECOVERY_ABORT_NOW:
		output_print("Dead core %u - aborting..\n", lcore);
		log_evidence(core, &event, "the process ends (--on-hang abort)");
		abort_with_evidence(monitor);
		break;
	}
	go_on(monitor, core);
}

/*
 * A silent core that is not known to be dead.
 *
 * @param never_marked  it gave no heartbeat since its launch.
 */
static void
judge(struct monitor *monitor, struct watched *core, bool never_marked)
{
	bool overdue = monitor->now_ns - core->record.launched_ns > monitor->startup_ns;
	enum recovery_verdict verdict;
	enum ka_cause cause;

	verdict = revive_judge(&core->revive, never_marked, overdue, &cause);
	core->judged_now = true;
	/* Once more, just before anything is said; once, since a mark would have been seen by now. */
	if (!never_marked && !core->let_off && beat_of(core) != core->beat_at_ping) {
		core->let_off = true;
		verdict = RECOVERY_WAIT;
	}
	if (verdict == RECOVERY_DEAD) {
		declare_dead(monitor, core, cause);
		return;
	}
	if (verdict == RECOVERY_STARVED)
		core->starving = true;
	if (!never_marked)
		core->record.state = KA_STATE_MISSING;
}

/* Called by rte_keepalive at the third ping without a mark. */
static void
dead_core(void *data, const int lcore)
{
	struct monitor *monitor = data;
	struct watched *core = &monitor->core[lcore];

	/*
	 * A mark between the library's look at a core and its own store is overwritten and lost.
	 * The worker's own heartbeat tells, of this ping or of the last one, which then published
	 * ALIVE: the core is let off, once, and the next pings decide.
	 */
	if (!core->let_off &&
	    (core->record.state == KA_STATE_ALIVE || beat_of(core) != core->beat_at_ping)) {
		core->let_off = core->judged_now = true;
		return;
	}
	judge(monitor, core, false);
}

/* ---- A return ---- */

static void
come_back(struct monitor *monitor, struct watched *core)
{
	struct forward_lcore *worker = core->worker;
	struct ka_shm_core *record = &core->record;
	/* Acquire: the first beat is that of the new life. */
	bool other_life =
		atomic_load_explicit(&worker->lives, memory_order_acquire) != core->lives_at_death;
	uint64_t first =
		other_life ? atomic_load_explicit(&worker->first_beat_tsc, memory_order_relaxed) :
			     core->beat_at_ping;
	const struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = worker->lcore,
		.kind = other_life ? KA_EVENT_BACK : KA_EVENT_RECOVERY,
		.outage_ns = ns_of_tsc(monitor, first - core->beat_at_death),
	};

	record->last_outage_ns = event.outage_ns;
	record->longest_outage_ns = RTE_MAX(record->longest_outage_ns, event.outage_ns);
	core->revive.wants_launch = false;
	if (!other_life) {
		record->recoveries++;
		monitor->totals.recoveries++;
		RTE_LOG(INFO, L2FWD, "core %u recovered after %.1f ms\n", worker->lcore,
			(double)event.outage_ns / NS_PER_MS);
	}
	core->down = false;
	publish(monitor, worker->lcore, &event);
}

static void
end_starvation(struct monitor *monitor, struct watched *core, uint64_t silent_since)
{
	const struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = core->worker->lcore,
		.kind = KA_EVENT_STARVED,
		.cause = KA_CAUSE_STARVED,
		.outage_ns = ns_of_tsc(monitor, core->beat_at_ping - silent_since),
	};

	core->starving = false;
	publish(monitor, event.lcore, &event);
	RTE_LOG(INFO, L2FWD, "core %u was starved by the host for %.1f ms\n", event.lcore,
		(double)event.outage_ns / NS_PER_MS);
}

/* ---- A ping ---- */

static void
found_alive(struct monitor *monitor, struct watched *core, uint64_t silent_since)
{
	core->record.state = KA_STATE_ALIVE;
	core->let_off = false;
	revive_note_alive(&core->revive);
	if (core->starving)
		end_starvation(monitor, core, silent_since);
	if (core->down)
		come_back(monitor, core);
}

/* rte_keepalive has buried it; whether it is dead is judged here. */
static void
found_gone(struct monitor *monitor, struct watched *core)
{
	if (core->down) {
		core->record.state = KA_STATE_GONE;
		if (core->relaunched)
			judge(monitor, core, true);
	} else if (core->record.state == KA_STATE_ALIVE)
		/* Let off for a heartbeat that was lost: two silent pings from there are a death. */
		core->record.state = KA_STATE_MISSING;
	else
		judge(monitor, core, false);
}

/*
 * A worker that was thought to hang may give one more mark and leave its loop before the next
 * ping. It has been launched again by then, so that mark is no return: the new life has yet to
 * give its first.
 */
static bool
marked_in_old_life(const struct watched *core)
{
	/* Acquire: as in come_back(). */
	return core->down && core->relaunched &&
	       atomic_load_explicit(&core->worker->lives, memory_order_acquire) ==
		       core->lives_at_death;
}

static void
found(struct monitor *monitor, struct watched *core, enum rte_keepalive_state next, uint64_t beat)
{
	const uint64_t silent_since = core->beat_at_ping;
	const bool moved = beat != silent_since;

	note_beat(monitor, core, beat);
	switch (next) {
	case RTE_KA_STATE_UNUSED:
		if (core->down)
			found_gone(monitor, core);
		else
			judge(monitor, core, true);
		break;
	case RTE_KA_STATE_ALIVE:
	case RTE_KA_STATE_MISSING:
		if (marked_in_old_life(core))
			found_gone(monitor, core);
		else
			found_alive(monitor, core, silent_since);
		break;
	case RTE_KA_STATE_DEAD:
		/* Unless its mark came while the library looked. */
		core->record.state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		if (!moved)
			revive_note_missing(&core->revive);
		break;
	case RTE_KA_STATE_GONE:
		if (core->judged_now)
			core->record.state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		else
			found_gone(monitor, core);
		break;
	case RTE_KA_STATE_DOZING:
	case RTE_KA_STATE_SLEEP:
		core->record.state = (uint32_t)next;
		break;
	}
}

/*
 * rte_keepalive tells the state that it moves a core to, for the next ping. Published is what
 * this ping found, which is the state before; and DEAD for a core that died in this ping, for
 * readers who look when they are woken.
 */
static void
relay(void *data, const int lcore, enum rte_keepalive_state next, uint64_t last_seen)
{
	struct monitor *monitor = data;
	struct watched *core = &monitor->core[lcore];

	/* The library's time is that of the last ping that found a mark; ours is exact. */
	RTE_SET_USED(last_seen);
	if (!core->died_now) {
		if (core->down || core->revive.launching)
			go_on(monitor, core);
		found(monitor, core, next, beat_of(core));
	}
	core->died_now = core->judged_now = false;
	publish(monitor, (unsigned int)lcore, NULL);
}

/*
 * Pings keep their spacing. One that comes later than half a period shifts the next ones, where a
 * periodic rte_timer would fire those it missed in a burst and find workers "silent" that had no
 * time to speak. So between two pings there is always half a period at least.
 * One that is late by a whole period is put off to the next tick: if the whole process stood
 * still, the workers stood with it. Never two in a row, so that the watching goes on.
 */
static void
tick(struct rte_timer *timer, void *argument)
{
	struct monitor *monitor = argument;
	struct ka_shm_monitor *totals = &monitor->totals;
	uint64_t late;

	take_time(monitor);
	late = monitor->now_tsc - timer->expire;
	if (late > monitor->period_tsc / 2)
		rte_timer_reset(timer, monitor->period_tsc, PERIODICAL, rte_lcore_id(), tick,
				monitor);
	monitor->put_off = late >= monitor->period_tsc && !monitor->put_off;
	if (late >= monitor->period_tsc) {
		totals->late_ticks++;
		totals->longest_late_ns =
			RTE_MAX(totals->longest_late_ns, ns_of_tsc(monitor, late));
	}
	if (!monitor->put_off)
		rte_keepalive_dispatch_pings(NULL, monitor->keepalive);

	totals->ticks++;
	totals->beat_ns = monitor->now_ns;
	totals->lost_lines = output_lost_lines();
	ka_shm_begin(monitor->config.writer);
	ka_shm_write_monitor(monitor->config.writer, totals);
	ka_shm_end(monitor->config.writer);
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
monitor_note_stall(struct monitor *monitor, unsigned int lcore, uint16_t port, enum ka_stall stall)
{
	const struct ka_shm_event event = {
		.time_ns = ka_shm_now_ns(),
		.lcore = lcore,
		.kind = stall == KA_STALL_NONE ? KA_EVENT_MOVES : KA_EVENT_STALLED,
		.port = port,
		.stall = stall,
	};

	if (monitor->core[lcore].record.state != KA_STATE_ALIVE)
		return;
	publish(monitor, lcore, &event);
	RTE_LOG(WARNING, L2FWD, "core %u, port %u: %s%s\n", lcore, port,
		stall == KA_STALL_NONE ? "" : "STALLED, ", stall_reason(stall));
}

/* ---- Start and stop ---- */

struct monitor *
monitor_create(const struct monitor_config *config)
{
	struct monitor *monitor = rte_zmalloc("monitor", sizeof(*monitor), RTE_CACHE_LINE_SIZE);

	if (monitor == NULL)
		return NULL;
	monitor->config = *config;
	monitor->tsc_hz = rte_get_tsc_hz();
	monitor->period_tsc = config->period_ns / NS_PER_S * monitor->tsc_hz +
			      config->period_ns % NS_PER_S * monitor->tsc_hz / NS_PER_S;
	monitor->startup_ns =
		RTE_MAX(MONITOR_STARTUP_NS, MONITOR_STARTUP_PERIODS * config->period_ns);
	monitor->totals.status = KA_STATUS_RUNNING;
	rte_timer_init(&monitor->timer);
	monitor->keepalive = rte_keepalive_create(dead_core, monitor);
	if (monitor->keepalive == NULL) {
		rte_free(monitor);
		return NULL;
	}
	rte_keepalive_register_relay_callback(monitor->keepalive, relay, monitor);
	return monitor;
}

/* In the handler of the worker's crash: async-signal-safe calls only. */
static void
crashed(void *writer, unsigned int lcore, int signal_number)
{
	ka_shm_crash(writer, lcore, signal_number);
}

int
monitor_add(struct monitor *monitor, struct forward_lcore *worker)
{
	if (worker->lcore >= KA_SHM_MAX_LCORES)
		return -ERANGE;
	monitor->core[worker->lcore].worker = worker;
	worker->keepalive = monitor->keepalive;
	rte_keepalive_register_core(monitor->keepalive, (int)worker->lcore);
	return revive_init(&monitor->core[worker->lcore].revive, &monitor->config.revive, worker);
}

int
monitor_start(struct monitor *monitor)
{
	int rc = escape_install(crashed, monitor->config.writer);

	if (rc != 0)
		return rc;
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		struct watched *core = &monitor->core[lcore];

		if (core->worker == NULL)
			continue;
		take_time(monitor);
		note_start(monitor, core);
		publish(monitor, lcore, NULL);
		revive_launch(&core->revive, monitor->now_ns);
	}
	if (rte_timer_reset(&monitor->timer, monitor->period_tsc, PERIODICAL, rte_lcore_id(), tick,
			    monitor) != 0)
		return -EBUSY;
	return 0;
}

void
monitor_stop(struct monitor *monitor)
{
	rte_timer_stop_sync(&monitor->timer);
	/* The segment goes next: a crash has nothing more to write to. */
	escape_install(NULL, NULL);
}

const struct ka_shm_monitor *
monitor_totals(const struct monitor *monitor)
{
	return &monitor->totals;
}

const struct ka_shm_core *
monitor_core(const struct monitor *monitor, unsigned int lcore)
{
	return &monitor->core[lcore].record;
}

bool
monitor_has_returned(const struct monitor *monitor, unsigned int lcore)
{
	return revive_has_returned(&monitor->core[lcore].revive);
}

void
monitor_destroy(struct monitor *monitor)
{
	if (monitor == NULL)
		return;
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		if (monitor->core[lcore].worker != NULL)
			revive_fini(&monitor->core[lcore].revive);
	/* rte_keepalive_create() took it by rte_zmalloc(); there is no call to give it back. */
	rte_free(monitor->keepalive);
	rte_free(monitor);
}

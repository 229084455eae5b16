/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_keepalive.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_timer.h>

#include "escape.h"
#include "journal.h"
#include "monitor.h"
#include "output.h"
#include "revive.h"

/* Time that the workers have to write their stacks before the process aborts. */
#define ABORT_DELAY_US 100000

/* How often it is told what the loops do. */
#define LOADS_PER_S 2

/* Room for why a worker is given up. */
#define WHY_MAX 128

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
	struct ka_shm_core *record;   /* What is published of it: the journal's. */
	struct revive revive;	      /* What is done when it dies. */
	uint64_t lives_at_death;      /* worker->lives then: another number is another life. */
	uint64_t beat_at_ping;	      /* worker->beat_tsc as the last ping saw it. */
	uint64_t launched_tsc;	      /* The last launch. */
	uint64_t beat_at_death;	      /* Begin of the outage: the last heartbeat before it. */
	uint64_t well_since_ns;	 /* First of the pings in a row that found it alive; 0 = none. */
	bool down;		 /* Declared dead and not seen since. */
	bool died_now;		 /* Declared dead in the ping that is being dispatched. */
	bool relaunched;	 /* Launched again since it was declared dead. */
	bool let_off;		 /* rte_keepalive lost a heartbeat; forgiven once in a row. */
	bool judged_now;	 /* Let off or found innocent in the ping being dispatched. */
	bool starving;		 /* Found to be without a CPU. */
	bool starving_told;	 /* That it has been so for long. */
	uint64_t starving_since; /* The last heartbeat before, or the launch. */
};

struct monitor {
	struct monitor_config config;
	struct rte_keepalive *keepalive;
	struct rte_timer timer;
	struct rte_timer load_timer;
	struct journal journal;
	uint64_t period_tsc;
	uint64_t startup_ns;
	bool put_off; /* The last tick came too late to be a ping. */
	struct watched core[KA_SHM_MAX_LCORES];
};

static uint64_t
beat_of(const struct watched *core)
{
	return atomic_load_explicit(&core->worker->beat_tsc, memory_order_relaxed);
}

static void
note_beat(struct monitor *monitor, struct watched *core, uint64_t beat)
{
	core->beat_at_ping = beat;
	journal_note_beat(&monitor->journal, core->worker->lcore, beat);
}

/* ---- A death ---- */

/* Where a silence begins: the last heartbeat, or the launch for a worker that never gave one. */
static uint64_t
begin_of_silence(const struct watched *core)
{
	return core->beat_at_ping != 0 ? core->beat_at_ping : core->launched_tsc;
}

static void
note_death(struct watched *core)
{
	/* A worker that dies again before it was seen is still in the same outage. */
	if (!core->down)
		core->beat_at_death = begin_of_silence(core);
	core->lives_at_death = atomic_load_explicit(&core->worker->lives, memory_order_relaxed);
	core->down = true;
	core->died_now = true;
	core->relaunched = false;
	core->let_off = false;
	core->starving = false;
}

/* The start-up deadline counts from here: from the launch, and anew when the thread has taken it. */
static void
note_start(struct monitor *monitor, struct watched *core)
{
	core->launched_tsc = monitor->journal.now_tsc;
	journal_note_start(&monitor->journal, core->worker->lcore);
}

/* ---- A worker that is given up ---- */

/* Who is fit to poll one more port; a dead one that may come back only where nobody else is. */
static unsigned int
fitness(const struct watched *core)
{
	unsigned int nb_ports;

	if (core->worker == NULL || core->revive.given_up)
		return 0;
	nb_ports = forward_nb_ports(core->worker);
	if (nb_ports == OPTIONS_MAX_PORTS_PER_LCORE)
		return 0;
	return (core->down ? 0 : OPTIONS_MAX_PORTS_PER_LCORE) + OPTIONS_MAX_PORTS_PER_LCORE -
	       nb_ports;
}

/* The one with the fewest ports; NULL when nobody is fit. */
static struct watched *
find_heir(struct monitor *monitor)
{
	struct watched *heir = NULL;

	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		struct watched *core = &monitor->core[lcore];

		if (fitness(core) > (heir == NULL ? 0 : fitness(heir)))
			heir = core;
	}
	return heir;
}

/* Its lcore is free, or its worker fenced: nobody but the heirs touches its ports from here on. */
static void
give_ports_away(struct monitor *monitor, struct watched *core)
{
	while (forward_nb_ports(core->worker) != 0) {
		struct watched *heir = find_heir(monitor);

		if (heir == NULL)
			return;
		journal_taken_over(&monitor->journal, core->worker->lcore,
				   forward_give_port(core->worker, heir->worker),
				   heir->worker->lcore);
	}
}

/* What becomes of its ports: "its ports are down", ... */
static void
tell_ports(const struct monitor *monitor, const struct watched *core, char *text, size_t room)
{
	const unsigned int nb_ports = forward_nb_ports(core->worker);
	unsigned int nb_free = 0;

	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		if (fitness(&monitor->core[lcore]) != 0)
			nb_free += OPTIONS_MAX_PORTS_PER_LCORE -
				   forward_nb_ports(monitor->core[lcore].worker);
	if (!monitor->config.revive.takeover || nb_free == 0)
		snprintf(text, room, "its ports are down");
	else if (nb_free >= nb_ports)
		snprintf(text, room, "others take its ports");
	else
		snprintf(text, room, "others take %u of its ports, nobody has room for %u: down",
			 nb_free, nb_ports - nb_free);
}

static void
give_up(struct monitor *monitor, struct watched *core)
{
	const struct recovery_limit *limit = &monitor->config.revive.limit;
	char why[WHY_MAX], ports[WHY_MAX];

	if (core->revive.out_of_reach)
		snprintf(why, sizeof(why), "it does not come out of the kernel");
	else
		snprintf(why, sizeof(why), "more than %" PRIu64 " restarts in %g s",
			 limit->restarts, (double)limit->window_ns / NS_PER_S);
	tell_ports(monitor, core, ports, sizeof(ports));
	journal_given_up(&monitor->journal, core->worker->lcore, why, ports);
	if (monitor->config.revive.takeover)
		give_ports_away(monitor, core);
}

static void
go_on(struct monitor *monitor, struct watched *core)
{
	switch (revive_go_on(&core->revive, monitor->journal.now_ns)) {
	case REVIVE_NOTHING:
		break;
	case REVIVE_LAUNCHED:
		core->relaunched = true;
		note_start(monitor, core);
		journal_restart(&monitor->journal, core->worker->lcore);
		break;
	case REVIVE_STARTED:
		note_start(monitor, core);
		break;
	case REVIVE_REFUSED:
		journal_refused(&monitor->journal, core->worker->lcore, core->revive.asked_ns);
		break;
	case REVIVE_GAVE_UP:
		give_up(monitor, core);
		break;
	}
}

/* --on-hang abort: what all workers were doing, then a core dump for the one who looks into it. */
static void
abort_with_evidence(struct monitor *monitor)
{
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		if (monitor->core[lcore].worker != NULL)
			escape_ask(monitor->core[lcore].worker, ESCAPE_EVIDENCE | ESCAPE_ANYHOW,
				   beat_of(&monitor->core[lcore]));
	journal_abort(&monitor->journal);
	rte_delay_us_sleep(ABORT_DELAY_US);
	output_stop();
	abort();
}

static void
print_relaunch(const struct monitor *monitor, const struct watched *core)
{
	const unsigned int lcore = core->worker->lcore;
	const uint64_t at_ns = core->revive.launch_at_ns;

	if (at_ns == RECOVERY_GIVEN_UP)
		output_print("Dead core %u - given up..\n", lcore);
	else if (at_ns > monitor->journal.now_ns)
		output_print("Dead core %u - restarting in %.0f ms..\n", lcore,
			     (double)(at_ns - monitor->journal.now_ns) / 1e6);
	else
		output_print("Dead core %u - restarting..\n", lcore);
}

/*
 * The state is published and the agent woken before the relaunch, so that DEAD is never seen of
 * a core that runs again already.
 */
static void
declare_dead(struct monitor *monitor, struct watched *core, enum ka_cause cause)
{
	const unsigned int lcore = core->worker->lcore;
	const char *wchan = core->revive.now.wchan;
	bool returned = revive_has_returned(&core->revive);
	struct ka_shm_event event;

	note_beat(monitor, core, beat_of(core));
	note_death(core);
	journal_death(&monitor->journal, core->worker, cause, &event);
	switch (revive_act(&core->revive, cause, core->beat_at_ping,
			   !returned && journal_may_write_stack(&monitor->journal),
			   monitor->journal.now_ns)) {
	case RECOVERY_RELAUNCH:
		print_relaunch(monitor, core);
		break;
	case RECOVERY_EVICT:
		output_print("Dead core %u - restarting..\n", lcore);
		journal_evidence(&event, wchan, "being taken out of it");
		break;
	case RECOVERY_WATCH:
		output_print("Dead core %u - %s, cannot be restarted..\n", lcore,
			     recovery_cause_name(cause));
		journal_evidence(&event, wchan, "watched; relaunched if it returns");
		break;
	case RECOVERY_ABORT_NOW:
		output_print("Dead core %u - aborting..\n", lcore);
		journal_evidence(&event, wchan, "the process ends (--on-hang abort)");
		abort_with_evidence(monitor);
		break;
	}
	go_on(monitor, core);
}

/* One that lasts is told before its end, once: it may have none. */
static void
note_starvation(struct monitor *monitor, struct watched *core)
{
	uint64_t so_far_ns;

	if (!core->starving) {
		core->starving = true;
		core->starving_told = false;
		core->starving_since = core->down ? core->launched_tsc : begin_of_silence(core);
	}
	so_far_ns = journal_ns_of_tsc(&monitor->journal,
				      monitor->journal.now_tsc - core->starving_since);
	if (!core->starving_told && so_far_ns > monitor->startup_ns) {
		core->starving_told = true;
		journal_starving(&monitor->journal, core->worker->lcore, so_far_ns);
	}
}

/*
 * A silent core that is not known to be dead.
 *
 * @param never_marked  it gave no heartbeat since its launch.
 */
static void
judge(struct monitor *monitor, struct watched *core, bool never_marked)
{
	bool overdue = monitor->journal.now_ns - core->record->launched_ns > monitor->startup_ns;
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
	/* One that was launched and is kept from running is gone no more. */
	if (!never_marked || verdict == RECOVERY_STARVED)
		core->record->state = KA_STATE_MISSING;
	if (verdict == RECOVERY_STARVED)
		note_starvation(monitor, core);
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
	    (core->record->state == KA_STATE_ALIVE || beat_of(core) != core->beat_at_ping)) {
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
	/* Acquire: the first beat is that of the new life. One that starts late begins no new one. */
	bool new_life = atomic_load_explicit(&worker->lives, memory_order_acquire) !=
				core->lives_at_death &&
			core->relaunched;
	uint64_t first =
		new_life ? atomic_load_explicit(&worker->first_beat_tsc, memory_order_relaxed) :
			   core->beat_at_ping;

	core->revive.wants_launch = false;
	core->down = false;
	journal_back(&monitor->journal, worker->lcore, new_life,
		     journal_ns_of_tsc(&monitor->journal, first - core->beat_at_death));
}

static void
end_starvation(struct monitor *monitor, struct watched *core)
{
	const uint64_t outage_ns =
		journal_ns_of_tsc(&monitor->journal, core->beat_at_ping - core->starving_since);
	/* Two clocks: the part is not to be more than the whole. */
	const uint64_t queued_ns = RTE_MIN(revive_queued_ns(&core->revive), outage_ns);

	core->starving = false;
	journal_starved(&monitor->journal, core->worker->lcore, outage_ns, queued_ns);
}

/* ---- A ping ---- */

static void
found_alive(struct monitor *monitor, struct watched *core)
{
	core->record->state = KA_STATE_ALIVE;
	core->let_off = false;
	/* First of all, so that whoever finds it alive finds that it is back. */
	if (core->down)
		come_back(monitor, core);
	if (core->starving)
		end_starvation(monitor, core);
	revive_note_alive(&core->revive);
}

/* rte_keepalive has buried it; whether it is dead is judged here. */
static void
found_gone(struct monitor *monitor, struct watched *core)
{
	if (core->down) {
		/* Kept from running since it was launched, it stays missing until it is judged dead. */
		if (!core->starving || core->record->state != KA_STATE_MISSING)
			core->record->state = KA_STATE_GONE;
		if (core->relaunched)
			judge(monitor, core, true);
	} else if (core->record->state == KA_STATE_ALIVE)
		/* Let off for a heartbeat that was lost: two silent pings from there are a death. */
		core->record->state = KA_STATE_MISSING;
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
	const bool moved = beat != core->beat_at_ping;

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
			found_alive(monitor, core);
		break;
	case RTE_KA_STATE_DEAD:
		/* Unless its mark came while the library looked. */
		core->record->state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		if (!moved)
			revive_note_missing(&core->revive);
		break;
	case RTE_KA_STATE_GONE:
		if (core->judged_now)
			core->record->state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		else
			found_gone(monitor, core);
		break;
	case RTE_KA_STATE_DOZING:
	case RTE_KA_STATE_SLEEP:
		core->record->state = (uint32_t)next;
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
	if (core->record->state != KA_STATE_ALIVE)
		core->well_since_ns = 0;
	else if (core->well_since_ns == 0)
		core->well_since_ns = monitor->journal.now_ns;
	core->died_now = core->judged_now = false;
	journal_publish(&monitor->journal, (unsigned int)lcore);
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
	uint64_t late;

	journal_take_time(&monitor->journal);
	late = monitor->journal.now_tsc - timer->expire;
	if (late > monitor->period_tsc / 2)
		rte_timer_reset(timer, monitor->period_tsc, PERIODICAL, rte_lcore_id(), tick,
				monitor);
	monitor->put_off = late >= monitor->period_tsc && !monitor->put_off;
	if (!monitor->put_off)
		rte_keepalive_dispatch_pings(NULL, monitor->keepalive);
	journal_tick(&monitor->journal, late >= monitor->period_tsc ? late : 0);
}

uint64_t
monitor_well_since(const struct monitor *monitor, unsigned int lcore)
{
	const uint64_t since_ns = monitor->core[lcore].well_since_ns;

	return since_ns == 0 ? UINT64_MAX : since_ns;
}

void
monitor_note_stall(struct monitor *monitor, unsigned int lcore, uint16_t port, enum ka_stall stall)
{
	journal_take_time(&monitor->journal);
	journal_stall(&monitor->journal, lcore, port, stall);
}

static void
publish_load(struct rte_timer *timer, void *argument)
{
	struct monitor *monitor = argument;

	(void)timer;
	journal_take_time(&monitor->journal);
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		if (monitor->core[lcore].worker != NULL)
			journal_load(&monitor->journal, monitor->core[lcore].worker);
}

/* ---- Start and stop ---- */

struct monitor *
monitor_create(const struct monitor_config *config)
{
	struct monitor *monitor = rte_zmalloc("monitor", sizeof(*monitor), RTE_CACHE_LINE_SIZE);

	if (monitor == NULL)
		return NULL;
	monitor->config = *config;
	journal_init(&monitor->journal, config->writer, config->alarm_hold_ns);
	monitor->period_tsc = config->period_ns / NS_PER_S * monitor->journal.tsc_hz +
			      config->period_ns % NS_PER_S * monitor->journal.tsc_hz / NS_PER_S;
	monitor->startup_ns =
		RTE_MAX(MONITOR_STARTUP_NS, MONITOR_STARTUP_PERIODS * config->period_ns);
	rte_timer_init(&monitor->timer);
	rte_timer_init(&monitor->load_timer);
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
	struct watched *core;

	if (worker->lcore >= KA_SHM_MAX_LCORES)
		return -ERANGE;
	core = &monitor->core[worker->lcore];
	core->worker = worker;
	core->record = &monitor->journal.core[worker->lcore];
	worker->keepalive = monitor->keepalive;
	rte_keepalive_register_core(monitor->keepalive, (int)worker->lcore);
	return revive_init(&core->revive, &monitor->config.revive, worker);
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
		journal_take_time(&monitor->journal);
		note_start(monitor, core);
		journal_publish(&monitor->journal, lcore);
		revive_launch(&core->revive, monitor->journal.now_ns);
	}
	if (rte_timer_reset(&monitor->timer, monitor->period_tsc, PERIODICAL, rte_lcore_id(), tick,
			    monitor) != 0)
		return -EBUSY;
	publish_load(&monitor->load_timer, monitor);
	if (rte_timer_reset(&monitor->load_timer, rte_get_timer_hz() / LOADS_PER_S, PERIODICAL,
			    rte_lcore_id(), publish_load, monitor) != 0)
		return -EBUSY;
	return 0;
}

void
monitor_stop(struct monitor *monitor)
{
	rte_timer_stop_sync(&monitor->timer);
	rte_timer_stop_sync(&monitor->load_timer);
	/* The segment goes next: a crash has nothing more to write to. */
	escape_uninstall();
}

const struct ka_shm_monitor *
monitor_totals(const struct monitor *monitor)
{
	return &monitor->journal.totals;
}

const struct ka_shm_core *
monitor_core(const struct monitor *monitor, unsigned int lcore)
{
	return &monitor->journal.core[lcore];
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

/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_keepalive.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_timer.h>

#include "log.h"
#include "monitor.h"
#include "output.h"

#define NS_PER_MS 1e6

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
	uint64_t launched_lives;      /* worker->lives before the last launch. */
	uint64_t beat_at_ping;	      /* worker->beat_tsc as the last ping saw it. */
	uint64_t launched_tsc;	      /* The last launch. */
	uint64_t beat_at_death;	      /* Begin of the outage: the last heartbeat before it. */
	bool down;		      /* Declared dead and not seen since. */
	bool died_now;		      /* Declared dead in the ping that is being dispatched. */
	bool relaunched;	      /* Launched again since it was declared dead. */
	bool let_off;		      /* rte_keepalive lost a heartbeat; forgiven once in a row. */
	bool let_off_now;	      /* That in the ping that is being dispatched. */
};

struct monitor {
	struct monitor_config config;
	struct rte_keepalive *keepalive;
	struct rte_timer timer;
	uint64_t tsc_hz;
	uint64_t period_tsc;
	uint64_t startup_ns;
	uint64_t now_ns;  /* Of the ping that is being dispatched. */
	uint64_t now_tsc; /* The same moment. */
	bool put_off;	  /* The last tick came too late to be a ping. */
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

/* ---- Launching ---- */

static int
launch(struct monitor *monitor, struct watched *core)
{
	core->launched_lives = atomic_load_explicit(&core->worker->lives, memory_order_relaxed);
	core->launched_tsc = monitor->now_tsc;
	core->record.launched_ns = monitor->now_ns;
	forward_log_launch(core->worker);
	return rte_eal_remote_launch(forward_run, core->worker, core->worker->lcore);
}

static void
relaunch(struct monitor *monitor, struct watched *core)
{
	const unsigned int lcore = core->worker->lcore;
	const struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = lcore,
		.kind = KA_EVENT_RESTART,
	};

	if (launch(monitor, core) != 0)
		return;
	core->relaunched = true;
	core->record.restarts++;
	monitor->totals.restarts++;
	publish(monitor, lcore, &event);
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

	note_beat(monitor, core, beat_of(core));
	event.silent_ns = silence(monitor, core, cause);
	/* A worker that dies again before it was seen is still in the same outage. */
	if (!core->down)
		core->beat_at_death =
			core->beat_at_ping != 0 ? core->beat_at_ping : core->launched_tsc;
	core->down = true;
	core->died_now = true;
	core->relaunched = false;
	core->let_off = false;
	core->record.state = KA_STATE_DEAD;
	core->record.cause = cause;
	core->record.died_ns = monitor->now_ns;
	core->record.deaths++;
	monitor->totals.deaths++;
	publish(monitor, lcore, &event);
	ka_shm_post(monitor->config.writer);

	output_print("Dead core %u - restarting..\n", lcore);
	if (rte_eal_get_lcore_state(lcore) == WAIT)
		relaunch(monitor, core);
	else
		output_print("..false positive!\n");
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
		core->let_off = core->let_off_now = true;
		return;
	}
	declare_dead(monitor, core,
		     rte_eal_get_lcore_state((unsigned int)lcore) == WAIT ? KA_CAUSE_EXITED :
									    KA_CAUSE_HUNG);
}

/* ---- A return ---- */

static void
come_back(struct monitor *monitor, struct watched *core)
{
	struct forward_lcore *worker = core->worker;
	struct ka_shm_core *record = &core->record;
	uint64_t first = core->beat_at_ping;
	struct ka_shm_event event = {
		.time_ns = monitor->now_ns,
		.lcore = worker->lcore,
		.kind = core->relaunched ? KA_EVENT_BACK : KA_EVENT_RECOVERY,
	};

	/* Acquire: the first beat is that of the new life. */
	if (core->relaunched &&
	    atomic_load_explicit(&worker->lives, memory_order_acquire) != core->launched_lives)
		first = atomic_load_explicit(&worker->first_beat_tsc, memory_order_relaxed);
	event.outage_ns = ns_of_tsc(monitor, first - core->beat_at_death);
	record->last_outage_ns = event.outage_ns;
	if (record->longest_outage_ns < event.outage_ns)
		record->longest_outage_ns = event.outage_ns;
	if (!core->relaunched) {
		record->recoveries++;
		monitor->totals.recoveries++;
		RTE_LOG(INFO, L2FWD, "core %u recovered after %.1f ms\n", worker->lcore,
			(double)event.outage_ns / NS_PER_MS);
	}
	core->down = false;
	publish(monitor, worker->lcore, &event);
}

/* ---- A ping ---- */

static bool
start_is_overdue(const struct monitor *monitor, const struct watched *core)
{
	return monitor->now_ns - core->record.launched_ns > monitor->startup_ns;
}

static void
found_alive(struct monitor *monitor, struct watched *core)
{
	core->record.state = KA_STATE_ALIVE;
	core->let_off = false;
	if (core->down)
		come_back(monitor, core);
}

/* A core that has been down for longer than this ping: may anything be done for it? */
static void
found_gone(struct monitor *monitor, struct watched *core)
{
	bool waits = rte_eal_get_lcore_state(core->worker->lcore) == WAIT;

	if (!core->down) {
		/* Let off for a heartbeat that was lost: two silent pings from there are a death. */
		if (core->record.state == KA_STATE_ALIVE)
			core->record.state = KA_STATE_MISSING;
		else
			declare_dead(monitor, core, waits ? KA_CAUSE_EXITED : KA_CAUSE_HUNG);
		return;
	}
	core->record.state = KA_STATE_GONE;
	if (!core->relaunched && waits)
		relaunch(monitor, core);
	else if (core->relaunched && start_is_overdue(monitor, core))
		declare_dead(monitor, core, KA_CAUSE_NOT_STARTED);
}

static void
found_unused(struct monitor *monitor, struct watched *core)
{
	if (core->down)
		found_gone(monitor, core);
	else if (start_is_overdue(monitor, core))
		declare_dead(monitor, core, KA_CAUSE_NOT_STARTED);
}

/*
 * rte_keepalive tells the state that it moves a core to, for the next ping. Published is what
 * this ping found, which is the state before.
 */
static void
relay(void *data, const int lcore, enum rte_keepalive_state next, uint64_t last_seen)
{
	struct monitor *monitor = data;
	struct watched *core = &monitor->core[lcore];
	uint64_t beat = beat_of(core);
	bool moved = beat != core->beat_at_ping;

	/* The library's time is that of the last ping that found a mark; ours is exact. */
	RTE_SET_USED(last_seen);
	note_beat(monitor, core, beat);
	if (core->died_now) {
		/* DEAD stays until the next ping, for readers who look when they are woken. */
		core->died_now = false;
		publish(monitor, (unsigned int)lcore, NULL);
		return;
	}
	switch (next) {
	case RTE_KA_STATE_UNUSED:
		found_unused(monitor, core);
		break;
	case RTE_KA_STATE_ALIVE:
	case RTE_KA_STATE_MISSING:
		found_alive(monitor, core);
		break;
	case RTE_KA_STATE_DEAD:
		/* Unless its mark came while the library looked. */
		core->record.state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		break;
	case RTE_KA_STATE_GONE:
		if (core->let_off_now)
			core->record.state = moved ? KA_STATE_ALIVE : KA_STATE_MISSING;
		else
			found_gone(monitor, core);
		break;
	case RTE_KA_STATE_DOZING:
	case RTE_KA_STATE_SLEEP:
		core->record.state = (uint32_t)next;
		break;
	}
	core->died_now = core->let_off_now = false;
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

int
monitor_add(struct monitor *monitor, struct forward_lcore *worker)
{
	if (worker->lcore >= KA_SHM_MAX_LCORES)
		return -ERANGE;
	monitor->core[worker->lcore].worker = worker;
	worker->keepalive = monitor->keepalive;
	rte_keepalive_register_core(monitor->keepalive, (int)worker->lcore);
	return 0;
}

int
monitor_start(struct monitor *monitor)
{
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		struct watched *core = &monitor->core[lcore];
		int rc;

		if (core->worker == NULL)
			continue;
		take_time(monitor);
		rc = launch(monitor, core);
		if (rc != 0)
			return rc;
		publish(monitor, lcore, NULL);
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

void
monitor_destroy(struct monitor *monitor)
{
	if (monitor == NULL)
		return;
	/* rte_keepalive_create() took it by rte_zmalloc(); there is no call to give it back. */
	rte_free(monitor->keepalive);
	rte_free(monitor);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_launch.h>

#include "escape.h"
#include "revive.h"

/*
 * Time for the second sign of one that seems to spin, and for its heartbeat behind it: many turns
 * of a healthy loop, and little of a check period.
 */
#define SIGN_NS UINT64_C(200000)
#define BEAT_NS UINT64_C(20000)
#define PERIOD_SHARE 5

/*
 * Between the ping that misses a worker and the one that finds it dead lies a period. Where the two
 * are closer than this, the wake-up of who launches it is not left to the second.
 */
#define READY_NS UINT64_C(2000000)
#define READY_PERIODS 2

int
revive_init(struct revive *revive, const struct revive_config *config, struct forward_lcore *worker)
{
	*revive = (struct revive){
		.config = config,
		.worker = worker,
		.launcher = launcher_create(worker->lcore, forward_run, worker),
	};
	return revive->launcher == NULL ? -ENOMEM : 0;
}

static uint64_t
lives_of(const struct revive *revive)
{
	return atomic_load_explicit(&revive->worker->lives, memory_order_relaxed);
}

void
revive_launch(struct revive *revive, uint64_t now_ns)
{
	revive->launched_ns = now_ns;
	revive->launch_at_ns = 0;
	revive->wants_launch = false;
	revive_note_alive(revive);
	revive->launching = true;
	revive->lives_at_launch = lives_of(revive);
	launcher_ask(revive->launcher);
	forward_log_launch(revive->worker);
}

static bool
has_thread(const struct revive *revive)
{
	return atomic_load_explicit(&revive->worker->escape.open, memory_order_acquire);
}

/* A worker that was never in its loop has no thread that could be looked at. */
static void
look(const struct revive *revive, struct recovery_sample *sample)
{
	const struct escape *escape = &revive->worker->escape;

	if (has_thread(revive))
		recovery_sample(sample, escape->thread, escape->tid);
	else
		*sample = (struct recovery_sample){ .wall_ns = ka_shm_now_ns() };
}

/* One that sleeps is let sleep. */
static void
probe(struct revive *revive, const struct recovery_sample *sample)
{
	if (revive->probed_ns != 0 || sample->state != 'R')
		return;
	revive->probed_ns = ka_shm_now_ns();
	escape_probe(revive->worker);
}

bool
revive_has_returned(const struct revive *revive)
{
	return rte_eal_get_lcore_state(revive->worker->lcore) == WAIT &&
	       !launcher_is_pending(revive->launcher);
}

/* It has left its loop, so nothing can come of its silence but a launch. */
static void
get_ready(const struct revive *revive)
{
	const uint64_t ready_ns = READY_PERIODS * revive->config->period_ns;

	if (ready_ns <= READY_NS && revive_has_returned(revive))
		launcher_get_ready(revive->launcher, ready_ns * rte_get_tsc_hz() / NS_PER_S);
}

void
revive_note_missing(struct revive *revive)
{
	if (revive->first.wall_ns == 0)
		get_ready(revive);
	/* Anew when it has entered its loop since: two samples of its thread are compared. */
	if (revive->first.wall_ns == 0 || (!revive->first_of_thread && has_thread(revive))) {
		revive->first_of_thread = has_thread(revive);
		look(revive, &revive->first);
	}
	probe(revive, &revive->first);
}

void
revive_note_alive(struct revive *revive)
{
	revive->first.wall_ns = 0;
	revive->probed_ns = 0;
	revive->confirm_ns = 0;
}

static uint64_t
answered_ns(const struct revive *revive)
{
	return atomic_load_explicit(&revive->worker->escape.answered_ns, memory_order_relaxed);
}

static uint64_t
beat_of(const struct revive *revive)
{
	return atomic_load_explicit(&revive->worker->beat_tsc, memory_order_relaxed);
}

/*
 * One that was robbed of its CPU, had it for the moment of its sign, and was robbed again looks like
 * one that spins. So it must give a second sign now, and no heartbeat right behind it; or, where
 * another program has its CPU just now, have given it by the next ping.
 */
static bool
is_executing(struct revive *revive)
{
	const uint64_t beat = beat_of(revive);
	const uint64_t share_ns = revive->config->period_ns / PERIOD_SHARE;
	uint64_t deadline_ns;

	/* No sign at all for too long: it turns in the kernel. */
	if (answered_ns(revive) == 0 || revive->confirm_ns != 0)
		return true;
	revive->confirm_ns = ka_shm_now_ns();
	escape_probe(revive->worker);
	deadline_ns = revive->confirm_ns + RTE_MIN(SIGN_NS, share_ns);
	/* Asleep, since the worker may share this CPU. */
	do {
		if (ka_shm_now_ns() > deadline_ns)
			return false;
		rte_delay_us_sleep(BEAT_NS / 1000);
	} while (answered_ns(revive) == 0 || ka_shm_now_ns() - answered_ns(revive) < BEAT_NS);
	return beat_of(revive) == beat;
}

enum recovery_verdict
revive_judge(struct revive *revive, bool never_marked, bool start_overdue, enum ka_cause *cause)
{
	enum recovery_verdict verdict;
	struct recovery_evidence evidence = {
		.has_returned = revive_has_returned(revive),
		.never_marked = never_marked,
		.start_overdue = start_overdue,
		.period_ns = revive->config->period_ns,
	};

	/*
	 * Asked to run and not yet at it: its CPU is taken, which is not its fault. While it is in its
	 * loop it is the launching thread that gets no CPU, and the worker is judged as any other.
	 */
	if (launcher_is_pending(revive->launcher) &&
	    (lives_of(revive) == revive->lives_at_launch || !has_thread(revive))) {
		*cause = start_overdue ? KA_CAUSE_STARVED : KA_CAUSE_NONE;
		return start_overdue ? RECOVERY_STARVED : RECOVERY_WAIT;
	}
	revive_note_missing(revive);
	if (!evidence.has_returned)
		look(revive, &revive->now);
	probe(revive, &revive->now);
	evidence.probed_ns = revive->probed_ns;
	evidence.answered_ns = answered_ns(revive);
	evidence.first = revive->first;
	evidence.now = revive->now;
	verdict = recovery_judge(&evidence, cause);
	if (*cause == KA_CAUSE_SPINNING && revive->now.state == 'R' && !is_executing(revive)) {
		*cause = KA_CAUSE_NONE;
		return RECOVERY_WAIT;
	}
	return verdict;
}

uint64_t
revive_queued_ns(const struct revive *revive)
{
	struct recovery_sample now;

	if (revive->first.wall_ns == 0 || !has_thread(revive) || !revive->first_of_thread ||
	    !revive->first.delay_known)
		return 0;
	look(revive, &now);
	return now.delay_known ? now.delay_ns - revive->first.delay_ns : 0;
}

/* When a worker whose lcore is free may be launched again; asked of the budget once a death. */
static void
ask_budget(struct revive *revive, uint64_t now_ns)
{
	if (revive->launch_at_ns == 0)
		revive->launch_at_ns = recovery_ask(&revive->budget, &revive->config->limit,
						    revive->launched_ns, now_ns);
}

enum recovery_action
revive_act(struct revive *revive, enum ka_cause cause, uint64_t beat_tsc, bool evidence,
	   uint64_t now_ns)
{
	enum recovery_phase phase =
		(enum recovery_phase)atomic_load_explicit(&revive->worker->phase,
							  memory_order_relaxed);
	enum recovery_action action =
		recovery_decide(revive->config->policy, cause, phase, revive_has_returned(revive));
	uint32_t want = evidence ? ESCAPE_EVIDENCE : ESCAPE_NOTHING;

	revive->wants_launch = true;
	revive->launch_at_ns = 0;
	revive->asked_ns = action == RECOVERY_EVICT ? now_ns : 0;
	revive->looked_ns = now_ns;
	revive->refused = false;
	if (action == RECOVERY_RELAUNCH)
		ask_budget(revive, now_ns);
	if (action == RECOVERY_EVICT)
		want |= ESCAPE_LEAVE;
	/* Before an abort all workers are asked, this one too. */
	if (want != ESCAPE_NOTHING && action != RECOVERY_RELAUNCH && action != RECOVERY_ABORT_NOW)
		escape_ask(revive->worker, want, beat_tsc);
	return action;
}

/* Looked at once in that time, since looking takes a while. */
static bool
is_out_of_reach(struct revive *revive, uint64_t now_ns)
{
	if (!revive->config->takeover || now_ns - revive->looked_ns < REVIVE_PATIENCE_NS)
		return false;
	revive->looked_ns = now_ns;
	return escape_is_fenced(revive->worker);
}

/* It was asked to leave its loop and is still in it. */
static enum revive_step
wait_for(struct revive *revive, uint64_t now_ns)
{
	if (revive->asked_ns == 0)
		return REVIVE_NOTHING;
	if (!revive->refused && now_ns - revive->asked_ns >= REVIVE_LEAVE_NS) {
		revive->refused = true;
		return REVIVE_REFUSED;
	}
	if (is_out_of_reach(revive, now_ns)) {
		revive->given_up = revive->out_of_reach = true;
		return REVIVE_GAVE_UP;
	}
	return REVIVE_NOTHING;
}

enum revive_step
revive_go_on(struct revive *revive, uint64_t now_ns)
{
	switch (launcher_look(revive->launcher)) {
	case LAUNCHER_PENDING:
		return REVIVE_NOTHING;
	case LAUNCHER_DONE:
		revive->launching = false;
		return REVIVE_STARTED;
	case LAUNCHER_FAILED:
		/* The lcore was not free after all. */
		revive->launching = false;
		revive->wants_launch = true;
		return REVIVE_NOTHING;
	case LAUNCHER_IDLE:
		break;
	}
	if (!revive->wants_launch || revive->given_up)
		return REVIVE_NOTHING;
	if (!revive_has_returned(revive))
		return wait_for(revive, now_ns);
	ask_budget(revive, now_ns);
	if (revive->launch_at_ns == RECOVERY_GIVEN_UP) {
		revive->given_up = true;
		return REVIVE_GAVE_UP;
	}
	if (revive->launch_at_ns > now_ns)
		return REVIVE_NOTHING;
	revive_launch(revive, now_ns);
	return REVIVE_LAUNCHED;
}

void
revive_fini(struct revive *revive)
{
	launcher_destroy(revive->launcher);
	revive->launcher = NULL;
}

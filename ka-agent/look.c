/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>
#include <time.h>

#include "look.h"

#define NS_PER_S UINT64_C(1000000000)

bool
look_find(struct ka_shm_reader **reader, const char *name, enum ka_shm_access access,
	  struct text_refusal *refusal)
{
	const struct ka_shm_identity *identity;
	struct ka_shm_monitor monitor;
	bool lives;

	*refusal = (struct text_refusal){ .error = 0 };
	*reader = NULL;
	refusal->error = ka_shm_open(reader, name, access, &refusal->complaint);
	if (refusal->error != 0)
		return false;
	lives = ka_shm_owner_lives(*reader);
	ka_shm_peek_monitor(*reader, &monitor);
	if (lives && monitor.status != KA_STATUS_STOPPED)
		return true;
	/* It is what its owner left behind. */
	identity = ka_shm_identity(*reader);
	refusal->error = -EOWNERDEAD;
	refusal->owner_pid = (pid_t)identity->pid;
	refusal->owner_created_ns = identity->created_ns;
	ka_shm_close(*reader);
	*reader = NULL;
	return false;
}

bool
look_begin(struct look *look, const char *name, struct text_refusal *refusal)
{
	struct status *status = &look->status;
	struct ka_shm_reader *reader;
	uint64_t now_ns;

	if (!look_find(&reader, name, KA_SHM_LOOK, refusal))
		return false;
	memset(look, 0, sizeof(*look));
	look->reader = reader;
	status->name = name;
	status->owner = STATUS_RUNS;
	status->legacy = ka_shm_is_legacy(reader);
	status->identity = *ka_shm_identity(reader);
	now_ns = status->now_ns = ka_shm_now_ns();
	(void)ka_shm_snapshot(reader, &status->snapshot);
	report_pulse_start(&look->pulse, status->snapshot.monitor.ticks,
			   status->legacy ? now_ns : status->snapshot.monitor.beat_ns, now_ns);
	if (status->legacy)
		report_patience_legacy(&look->patience, true);
	else
		report_patience_of(&look->patience, status->identity.period_ns, true);
	return true;
}

/* The original takes no lock and leaves no word: its name and its changes must do. */
static enum status_owner
judge_original(struct look *look)
{
	struct status *status = &look->status;
	struct ka_shm_snapshot now;
	const uint64_t now_ns = ka_shm_now_ns();
	uint64_t unheard;

	if (!ka_shm_is_current(look->reader))
		return STATUS_STOPPED;
	(void)ka_shm_snapshot(look->reader, &now);
	if (report_legacy_moved(&status->snapshot, &now)) {
		status->snapshot = now;
		look->legacy_moves++;
	}
	(void)report_pulse_look(&look->pulse, &look->patience, look->legacy_moves, 0, now_ns,
				&unheard);
	return look->pulse.stalled ? STATUS_STALLED : STATUS_RUNS;
}

/* Its lock is looked at before its word: an owner that stops says so before it lets go. */
static enum status_owner
judge_owner(struct look *look)
{
	const bool lives = ka_shm_owner_lives(look->reader);
	const uint64_t now_ns = ka_shm_now_ns();
	struct ka_shm_monitor monitor;
	uint64_t unheard;

	ka_shm_peek_monitor(look->reader, &monitor);
	if (monitor.status == KA_STATUS_STOPPED)
		return STATUS_STOPPED;
	if (!lives)
		return monitor.status == KA_STATUS_ABORTED ? STATUS_ABORTED : STATUS_DIED;
	(void)report_pulse_look(&look->pulse, &look->patience, monitor.ticks, monitor.beat_ns,
				now_ns, &unheard);
	return look->pulse.stalled ? STATUS_STALLED : STATUS_RUNS;
}

bool
look_judge(struct look *look)
{
	const enum status_owner before = look->status.owner;

	look->status.owner = look->status.legacy ? judge_original(look) : judge_owner(look);
	return look->status.owner != before;
}

/*
 * A copy that caught the writer in the middle of a change serves as well (-EAGAIN): each figure by
 * itself is right. A writer that died in the middle of one is waited for once, not for each core.
 */
void
look_read(struct status *status, const struct ka_shm_reader *reader)
{
	bool quiet;

	status->now_ns = ka_shm_now_ns();
	quiet = ka_shm_snapshot(reader, &status->snapshot) == 0;
	if (status->legacy)
		return;
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		if (!status_has_core(status, lcore))
			continue;
		if (quiet)
			quiet = ka_shm_read_load(reader, lcore, &status->load[lcore]) == 0;
		else
			ka_shm_peek_load(reader, lcore, &status->load[lcore]);
	}
}

void
look_take(struct look *look)
{
	look_read(&look->status, look->reader);
}

/* A monitor that seems to have stalled gets a second look: perhaps we did not run ourselves. */
static void
judge_until_sure(struct look *look)
{
	look_judge(look);
	while (look->status.owner == STATUS_RUNS && !look->status.legacy &&
	       look->pulse.looked_ns - look->pulse.alive_ns >= look->patience.stall_ns) {
		const uint64_t end_ns =
			report_pulse_deadline(&look->pulse, &look->patience, ka_shm_now_ns());
		const struct timespec end = { .tv_sec = (time_t)(end_ns / NS_PER_S),
					      .tv_nsec = (long)(end_ns % NS_PER_S) };

		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
		look_judge(look);
	}
}

bool
look_once(struct look *look, const char *name, struct text_refusal *refusal)
{
	const struct status *status = &look->status;

	if (!look_begin(look, name, refusal))
		return false;
	judge_until_sure(look);
	look_take(look);
	look_end(look);
	if (status->owner == STATUS_RUNS || status->owner == STATUS_STALLED)
		return true;
	refusal->error = status->owner == STATUS_STOPPED ? -ENOENT : -EOWNERDEAD;
	refusal->owner_pid = (pid_t)status->identity.pid;
	return false;
}

bool
look_glance(struct look *look, const char *name, struct text_refusal *refusal)
{
	if (!look_begin(look, name, refusal))
		return false;
	look_end(look);
	return true;
}

void
look_end(struct look *look)
{
	ka_shm_close(look->reader);
	look->reader = NULL;
}

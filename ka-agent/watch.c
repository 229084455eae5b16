/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include "look.h"
#include "watch.h"

/* ---- Saying ---- */

static void
say(const struct watch *watch, struct report *report)
{
	report->name = watch->options->name;
	if (!watch->legacy)
		report->identity = ka_shm_identity(watch->reader);
	outlets_say(watch->outlets, report);
}

static void
say_kind(struct watch *watch, enum report_kind kind)
{
	say(watch, &(struct report){ .kind = kind });
}

static void
say_list(struct watch *watch, enum report_kind kind)
{
	if (watch->list.nb_entries != 0)
		say(watch, &(struct report){ .kind = kind, .list = &watch->list });
}

/* Deaths whose events the ring lost. They are older than those that it has. */
static void
say_lost(struct watch *watch)
{
	report_lost(&watch->list, &watch->seen);
	say_list(watch, REPORT_LOST);
}

/* Tell the story of the snapshot's events, as far as it may be told: see report_events(). */
static void
tell_events(struct watch *watch, bool woken)
{
	const struct ka_shm_snapshot *snapshot = &watch->snapshot;
	struct report_events *events = &watch->events;
	struct report report;

	if (!outlets_want_events(watch->outlets))
		return;
	report_events(events, &watch->seen, snapshot, woken);
	if (events->untold != 0) {
		say(watch, &(struct report){ .kind = REPORT_UNTOLD, .count = events->untold });
		say_lost(watch);
	}
	for (unsigned int i = 0; i < events->nb_events; i++) {
		report = (struct report){ .kind = REPORT_EVENT };
		report_event_counts(&report, events->event[i], snapshot);
		say(watch, &report);
	}
}

/*
 * Say which cores died since the last time.
 *
 * A snapshot that caught the writer in the middle of a change serves as well (-EAGAIN): deaths
 * are counted core by core, and each counter by itself is right.
 */
static void
say_deaths(struct watch *watch)
{
	(void)ka_shm_snapshot(watch->reader, &watch->snapshot);
	if (!report_deaths(&watch->list, &watch->seen, &watch->snapshot) && !watch->said_corrupt) {
		watch->said_corrupt = true;
		say_kind(watch, REPORT_CORRUPT);
	}
	say_list(watch, REPORT_DEATHS);
	tell_events(watch, true);
	if (watch->snapshot.crash.signal != 0 && !watch->said_crash) {
		watch->said_crash = true;
		report_crash(&watch->list, &watch->snapshot);
		say_list(watch, REPORT_DEATHS);
		if (watch->list.nb_entries != 0)
			say(watch, &(struct report){ .kind = REPORT_CRASHED,
						     .crash = &watch->snapshot.crash });
	}
}

/* The original's segment has states only: the cores that are dead now are all that is known. */
static void
say_legacy_deaths(struct watch *watch)
{
	struct ka_shm_snapshot now;

	(void)ka_shm_snapshot(watch->reader, &now);
	report_dead_now(&watch->list, &now);
	if (watch->list.nb_entries == 0)
		say_kind(watch, REPORT_EMPTY);
	say_list(watch, REPORT_DEATHS);
}

/* ---- Watching one instance ---- */

void
watch_say_rest(struct watch *watch)
{
	if (watch->legacy)
		return;
	say_deaths(watch);
	if (outlets_want_events(watch->outlets))
		say_lost(watch);
}

/* Say the last words over an instance. What was not reported yet comes first. */
static enum watch_state
say_last(struct watch *watch, enum report_kind kind, enum watch_state state)
{
	watch_say_rest(watch);
	say_kind(watch, kind);
	return state;
}

/* Judge the pulse. now_ns was read before ticks and beat_ns. */
static enum watch_state
look_at_pulse(struct watch *watch, uint64_t ticks, uint64_t beat_ns, uint64_t now_ns)
{
	struct report report = { .kind = REPORT_STALLED };

	switch (report_pulse_look(&watch->pulse, &watch->patience, ticks, beat_ns, now_ns,
				  &report.duration_ns)) {
	case REPORT_PULSE_STEADY:
		break;
	case REPORT_PULSE_BACK:
		report.kind = REPORT_BACK;
		/* fall through */
	case REPORT_PULSE_STALLED:
		if (!watch->dying)
			say(watch, &report);
		break;
	case REPORT_PULSE_GIVE_UP:
		return say_last(watch, REPORT_NO_UPDATES, WATCH_GAVE_UP);
	}
	return WATCH_GOES_ON;
}

/* The original takes no lock and leaves no word: its name and its changes must do. */
static enum watch_state
look_at_original(struct watch *watch)
{
	struct ka_shm_snapshot now;
	uint64_t now_ns = ka_shm_now_ns();

	if (!ka_shm_is_current(watch->reader))
		return say_last(watch, REPORT_STOPPED, WATCH_STOPPED);
	(void)ka_shm_snapshot(watch->reader, &now);
	if (report_legacy_moved(&watch->snapshot, &now)) {
		watch->snapshot = now;
		watch->legacy_moves++;
		watch->legacy_moved_ns = now_ns;
	}
	return look_at_pulse(watch, watch->legacy_moves, watch->legacy_moved_ns, now_ns);
}

/*
 * Look at what does not wake the agent.
 *
 * The order of the first three matters. An owner that stops says so, then takes its name away,
 * then lets go of its lock; looked at in the opposite order, none of these can be seen without
 * those before it.
 */
static enum watch_state
look_at_owner(struct watch *watch)
{
	bool current = ka_shm_is_current(watch->reader);
	bool lives = ka_shm_owner_lives(watch->reader);
	uint64_t now_ns = ka_shm_now_ns();
	struct ka_shm_monitor monitor;

	ka_shm_peek_monitor(watch->reader, &monitor);
	if (monitor.status == KA_STATUS_STOPPED)
		return say_last(watch, REPORT_STOPPED, WATCH_STOPPED);
	if (!lives)
		return say_last(watch,
				monitor.status == KA_STATUS_ABORTED ? REPORT_ABORTED : REPORT_DIED,
				WATCH_DIED);
	if (!current && !watch->said_name_gone) {
		watch->said_name_gone = true;
		say_kind(watch, REPORT_NAME_GONE);
	}
	if (outlets_want_events(watch->outlets) && monitor.events != watch->seen.told &&
	    ka_shm_snapshot(watch->reader, &watch->snapshot) == 0)
		tell_events(watch, false);
	watch->dying = watch->said_crash || monitor.status == KA_STATUS_ABORTED;
	return look_at_pulse(watch, monitor.ticks, monitor.beat_ns, now_ns);
}

enum watch_state
watch_turn(struct watch *watch)
{
	uint64_t deadline_ns;
	int rc;

	deadline_ns = report_pulse_deadline(&watch->pulse, &watch->patience, ka_shm_now_ns());
	if (deadline_ns > outlets_deadline_ns(watch->outlets))
		deadline_ns = outlets_deadline_ns(watch->outlets);
	rc = ka_shm_wait(watch->reader, deadline_ns);
	if (rc == 0 && watch->legacy)
		say_legacy_deaths(watch);
	else if (rc == 0)
		say_deaths(watch);
	else if (rc != -ETIMEDOUT && rc != -EINTR) {
		watch->error = rc;
		return WATCH_FAILED;
	}
	return watch->legacy ? look_at_original(watch) : look_at_owner(watch);
}

static enum status_owner
owner_of(const struct watch *watch, enum watch_state state)
{
	switch (state) {
	case WATCH_GOES_ON:
		return watch->pulse.stalled ? STATUS_STALLED : STATUS_RUNS;
	case WATCH_STOPPED:
		return STATUS_STOPPED;
	case WATCH_DIED:
		return STATUS_DIED;
	case WATCH_GAVE_UP:
	case WATCH_FAILED:
		break;
	}
	return STATUS_STALLED;
}

void
watch_look(const struct watch *watch, enum watch_state state, struct status *status)
{
	if (watch->reader == NULL) {
		if (status->owner == STATUS_RUNS || status->owner == STATUS_STALLED)
			status->owner = STATUS_STOPPED;
		return;
	}
	status->name = watch->options->name;
	status->legacy = watch->legacy;
	status->identity = *ka_shm_identity(watch->reader);
	status->owner = owner_of(watch, state);
	look_read(status, watch->reader);
}

/* ---- Attaching ---- */

/*
 * Take the base line, then say what is there.
 *
 * First the credit is drained, then the snapshot is taken. A death before the snapshot is in the
 * base line; if it is posted only afterwards, it wakes an agent that finds nothing new. A death
 * after the snapshot is posted after the draining, too.
 */
static void
take_base_line(struct watch *watch)
{
	const struct ka_shm_identity *identity = ka_shm_identity(watch->reader);
	const bool follow = watch->options->follow;
	struct report attached = { .kind = REPORT_ATTACHED };
	uint64_t now_ns;

	(void)ka_shm_wait(watch->reader, 0);
	now_ns = ka_shm_now_ns();
	(void)ka_shm_snapshot(watch->reader, &watch->snapshot);
	report_start(&watch->seen, &watch->snapshot);
	report_pulse_start(&watch->pulse, watch->snapshot.monitor.ticks,
			   watch->snapshot.monitor.beat_ns, now_ns);
	watch->legacy_moved_ns = now_ns;
	if (watch->legacy)
		report_patience_legacy(&watch->patience, follow);
	else
		report_patience_of(&watch->patience, identity->period_ns, follow);

	attached.count = report_nb_cores(&watch->snapshot, watch->legacy);
	say(watch, &attached);
	report_earlier(&watch->list, &watch->snapshot);
	say_list(watch, REPORT_EARLIER);
	report_down(&watch->list, &watch->snapshot);
	say_list(watch, REPORT_DOWN);
}

bool
watch_begin(struct watch *watch, const struct agent_options *options, struct outlets *outlets,
	    struct text_refusal *refusal)
{
	memset(watch, 0, sizeof(*watch));
	watch->options = options;
	watch->outlets = outlets;
	if (!look_find(&watch->reader, options->name, KA_SHM_ATTACH, refusal))
		return false;
	watch->legacy = ka_shm_is_legacy(watch->reader);
	take_base_line(watch);
	return true;
}

void
watch_end(struct watch *watch)
{
	ka_shm_close(watch->reader);
	watch->reader = NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include "report.h"

#include <stddef.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/** A stall is never shorter than this. */
#define STALL_MIN_NS (200 * NS_PER_MS)

/** Periods without a tick that make a stall. */
#define STALL_PERIODS 9

/** The patience of the original's agent. */
#define GIVE_UP_NS (12000 * NS_PER_MS)

/**
 * An agent that did not run for this long may have been stopped together with the monitor (the
 * whole machine paused, a container frozen). It must be more than a slice, and less than the
 * shortest stall.
 */
#define AWAY_NS (150 * NS_PER_MS)

/** What the monitor then gets to show itself before it is judged. */
#define LENIENCE_NS (50 * NS_PER_MS)

static uint64_t
add_saturating(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void
list_clear(struct report_list *list)
{
	list->total = 0;
	list->nb_entries = 0;
}

static void
list_add(struct report_list *list, unsigned int lcore, uint64_t times)
{
	if (list->nb_entries == REPORT_LIST_MAX)
		return;
	list->entry[list->nb_entries].lcore = lcore;
	list->entry[list->nb_entries].times = times;
	list->nb_entries++;
	list->total = add_saturating(list->total, times);
}

/* Event of a number, or NULL when the ring has it no longer. */
static const struct ka_shm_event *
event_by_number(const struct ka_shm_snapshot *snapshot, uint64_t number)
{
	const struct ka_shm_event *event = &snapshot->event[(number - 1) % KA_SHM_EVENTS];

	return event->number == number ? event : NULL;
}

/* How many of the events after a number can still be in the ring. They end with the newest. */
static unsigned int
nb_events_after(const struct ka_shm_snapshot *snapshot, uint64_t number)
{
	uint64_t newest = snapshot->monitor.events;

	if (newest <= number)
		return 0;
	return newest - number < KA_SHM_EVENTS ? (unsigned int)(newest - number) : KA_SHM_EVENTS;
}

/* The nth of the last nb events, counted from 0. */
static const struct ka_shm_event *
nth_event(const struct ka_shm_snapshot *snapshot, unsigned int nb, unsigned int nth)
{
	return event_by_number(snapshot, snapshot->monitor.events - nb + 1 + nth);
}

/* The nth of the last nb events if it is a death that can be booked to a core. */
static const struct ka_shm_event *
nth_death(const struct ka_shm_snapshot *snapshot, unsigned int nb, unsigned int nth)
{
	const struct ka_shm_event *event = nth_event(snapshot, nb, nth);

	if (event == NULL || event->kind != KA_EVENT_DEATH || event->lcore >= KA_SHM_MAX_LCORES)
		return NULL;
	return event;
}

void
report_start(struct report_seen *seen, const struct ka_shm_snapshot *snapshot)
{
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		seen->deaths[i] = seen->told_deaths[i] = snapshot->core[i].deaths;
	seen->events = snapshot->monitor.events;
	seen->told = snapshot->monitor.events;
}

void
report_earlier(struct report_list *list, const struct ka_shm_snapshot *snapshot)
{
	list_clear(list);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (snapshot->core[i].deaths != 0)
			list_add(list, i, snapshot->core[i].deaths);
}

void
report_down(struct report_list *list, const struct ka_shm_snapshot *snapshot)
{
	list_clear(list);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (snapshot->core[i].state == KA_STATE_DEAD ||
		    snapshot->core[i].state == KA_STATE_GONE)
			list_add(list, i, 1);
}

void
report_dead_now(struct report_list *list, const struct ka_shm_snapshot *snapshot)
{
	list_clear(list);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (snapshot->core[i].state == KA_STATE_DEAD)
			list_add(list, i, 1);
}

void
report_crash(struct report_list *list, const struct ka_shm_snapshot *snapshot)
{
	list_clear(list);
	if (snapshot->crash.signal > 0 && snapshot->crash.lcore < KA_SHM_MAX_LCORES)
		list_add(list, snapshot->crash.lcore, 1);
}

unsigned int
report_nb_cores(const struct ka_shm_snapshot *snapshot, bool legacy)
{
	unsigned int nb = 0;

	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (legacy ? snapshot->core[i].state != KA_STATE_UNUSED :
			     snapshot->core[i].launched_ns != 0)
			nb++;
	return nb;
}

/* Deaths of each core that were not reported yet; false if a counter cannot be believed. */
static bool
count_unseen(uint64_t unseen[KA_SHM_MAX_LCORES], const struct report_seen *seen,
	     const struct ka_shm_snapshot *snapshot)
{
	bool sane = snapshot->monitor.events >= seen->events;

	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		/* Backwards is a huge leap forward in this arithmetic: one test finds both. */
		unseen[i] = snapshot->core[i].deaths - seen->deaths[i];
		if (unseen[i] > REPORT_JUMP_MAX) {
			unseen[i] = 0;
			sane = false;
		}
	}
	return sane;
}

/* List some deaths of a core, of which left are still to be listed. */
static void
list_deaths(struct report_list *list, unsigned int lcore, uint64_t nb, uint64_t *left)
{
	if (*left > REPORT_SPELLED_OUT_MAX) {
		list_add(list, lcore, *left);
		*left = 0;
	}
	for (; nb > 0 && *left > 0; nb--) {
		list_add(list, lcore, 1);
		(*left)--;
	}
}

bool
report_deaths(struct report_list *list, struct report_seen *seen,
	      const struct ka_shm_snapshot *snapshot)
{
	unsigned int nb = nb_events_after(snapshot, seen->events);
	unsigned int in_ring[KA_SHM_MAX_LCORES] = { 0 };
	uint64_t left[KA_SHM_MAX_LCORES];
	const struct ka_shm_event *death;
	bool sane = count_unseen(left, seen, snapshot);

	list_clear(list);
	for (unsigned int i = 0; i < nb; i++) {
		death = nth_death(snapshot, nb, i);
		if (death != NULL)
			in_ring[death->lcore]++;
	}
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (left[i] > in_ring[i])
			list_deaths(list, i, left[i] - in_ring[i], &left[i]);
	for (unsigned int i = 0; i < nb; i++) {
		death = nth_death(snapshot, nb, i);
		if (death != NULL)
			list_deaths(list, death->lcore, 1, &left[death->lcore]);
	}
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		/* Of a counter that leapt nothing is left to be told. */
		if (snapshot->core[i].deaths - seen->deaths[i] > REPORT_JUMP_MAX)
			seen->told_deaths[i] = snapshot->core[i].deaths;
		seen->deaths[i] = snapshot->core[i].deaths;
	}
	seen->events = snapshot->monitor.events;
	return sane;
}

/* Whether somebody died of whom no wake-up has told yet. */
static bool
has_new_deaths(const struct report_seen *seen, const struct ka_shm_snapshot *snapshot)
{
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (snapshot->core[i].deaths != seen->deaths[i])
			return true;
	return false;
}

void
report_events(struct report_events *events, struct report_seen *seen,
	      const struct ka_shm_snapshot *snapshot, bool woken)
{
	uint64_t newest = snapshot->monitor.events;
	unsigned int nb = nb_events_after(snapshot, seen->told);
	const struct ka_shm_event *event;

	events->nb_events = 0;
	events->untold = newest > seen->told ? newest - seen->told - nb : 0;
	/* A death may be among those lost: it is told when it wakes us, and they after it. */
	if (events->untold > 0 && !woken && has_new_deaths(seen, snapshot)) {
		events->untold = 0;
		return;
	}
	if (newest < seen->told || events->untold > 0)
		seen->told = newest - nb;
	for (unsigned int i = 0; i < nb; i++) {
		event = nth_event(snapshot, nb, i);
		if (!woken && (event == NULL || event->kind == KA_EVENT_DEATH))
			return;
		if (event == NULL)
			events->untold++;
		else
			events->event[events->nb_events++] = event;
		if (event != NULL && event->kind == KA_EVENT_DEATH &&
		    event->lcore < KA_SHM_MAX_LCORES)
			seen->told_deaths[event->lcore]++;
		seen->told++;
	}
}

void
report_lost(struct report_list *list, struct report_seen *seen)
{
	list_clear(list);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		/* An event may come to be told before its counter does. */
		if (seen->deaths[i] - seen->told_deaths[i] > INT64_MAX ||
		    seen->deaths[i] == seen->told_deaths[i])
			continue;
		list_add(list, i, seen->deaths[i] - seen->told_deaths[i]);
		seen->told_deaths[i] = seen->deaths[i];
	}
}

void
report_event_counts(struct report *report, const struct ka_shm_event *event,
		    const struct ka_shm_snapshot *snapshot)
{
	unsigned int nb = nb_events_after(snapshot, event->number);
	const struct ka_shm_event *later;

	report->event = event;
	report->restarts = 0;
	report->recoveries = 0;
	if (event->lcore >= KA_SHM_MAX_LCORES)
		return;
	report->restarts = snapshot->core[event->lcore].restarts;
	report->recoveries = snapshot->core[event->lcore].recoveries;
	for (unsigned int i = 0; i < nb; i++) {
		later = nth_event(snapshot, nb, i);
		if (later == NULL || later->lcore != event->lcore)
			continue;
		if (later->kind == KA_EVENT_RESTART && report->restarts > 0)
			report->restarts--;
		if (later->kind == KA_EVENT_RECOVERY && report->recoveries > 0)
			report->recoveries--;
	}
}

void
report_patience_of(struct report_patience *patience, uint64_t period_ns, bool follow)
{
	uint64_t stall_ns =
		period_ns > UINT64_MAX / STALL_PERIODS ? UINT64_MAX : period_ns * STALL_PERIODS;

	patience->stall_ns = stall_ns > STALL_MIN_NS ? stall_ns : STALL_MIN_NS;
	patience->give_up_ns = patience->stall_ns > GIVE_UP_NS ? patience->stall_ns : GIVE_UP_NS;
	if (follow)
		patience->give_up_ns = UINT64_MAX;
}

void
report_patience_legacy(struct report_patience *patience, bool follow)
{
	patience->stall_ns = GIVE_UP_NS;
	patience->give_up_ns = follow ? UINT64_MAX : GIVE_UP_NS;
}

void
report_pulse_start(struct report_pulse *pulse, uint64_t ticks, uint64_t beat_ns, uint64_t now_ns)
{
	pulse->ticks = ticks;
	pulse->beat_ns = beat_ns;
	pulse->alive_ns = beat_ns == 0 || beat_ns > now_ns ? now_ns : beat_ns;
	pulse->looked_ns = now_ns;
	pulse->lenient_ns = add_saturating(now_ns, LENIENCE_NS);
	pulse->stalled_since = 0;
	pulse->stalled = false;
}

/* Note what a look shows, without judging it. */
static void
pulse_note(struct report_pulse *pulse, uint64_t ticks, uint64_t beat_ns, uint64_t now_ns)
{
	if (now_ns - pulse->looked_ns >= AWAY_NS)
		pulse->lenient_ns = add_saturating(now_ns, LENIENCE_NS);
	if (ticks != pulse->ticks || beat_ns != pulse->beat_ns) {
		/* It moved since the last look, so it was alive then or later, and no later than
		 * now, whatever time it claims.
		 */
		pulse->alive_ns = beat_ns;
		if (pulse->alive_ns < pulse->looked_ns)
			pulse->alive_ns = pulse->looked_ns;
		if (pulse->alive_ns > now_ns)
			pulse->alive_ns = now_ns;
	}
	pulse->ticks = ticks;
	pulse->beat_ns = beat_ns;
	pulse->looked_ns = now_ns;
}

enum report_verdict
report_pulse_look(struct report_pulse *pulse, const struct report_patience *patience,
		  uint64_t ticks, uint64_t beat_ns, uint64_t now_ns, uint64_t *duration_ns)
{
	uint64_t silent_ns;

	pulse_note(pulse, ticks, beat_ns, now_ns);
	silent_ns = now_ns - pulse->alive_ns;
	if (pulse->stalled && silent_ns < patience->stall_ns) {
		pulse->stalled = false;
		*duration_ns = pulse->alive_ns - pulse->stalled_since;
		return REPORT_PULSE_BACK;
	}
	if (silent_ns < patience->stall_ns || now_ns < pulse->lenient_ns)
		return REPORT_PULSE_STEADY;
	if (!pulse->stalled) {
		pulse->stalled = true;
		pulse->stalled_since = pulse->alive_ns;
		*duration_ns = silent_ns;
		return REPORT_PULSE_STALLED;
	}
	return silent_ns >= patience->give_up_ns ? REPORT_PULSE_GIVE_UP : REPORT_PULSE_STEADY;
}

uint64_t
report_pulse_deadline(const struct report_pulse *pulse, const struct report_patience *patience,
		      uint64_t now_ns)
{
	uint64_t slice_end = add_saturating(now_ns, REPORT_SLICE_NS);
	uint64_t due = add_saturating(pulse->alive_ns,
				      pulse->stalled ? patience->give_up_ns : patience->stall_ns);

	if (due < pulse->lenient_ns)
		due = pulse->lenient_ns;
	return due < slice_end ? due : slice_end;
}

bool
report_legacy_moved(const struct ka_shm_snapshot *before, const struct ka_shm_snapshot *now)
{
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		if (before->core[i].state != now->core[i].state ||
		    before->core[i].last_seen_tsc != now->core[i].last_seen_tsc)
			return true;
	return false;
}

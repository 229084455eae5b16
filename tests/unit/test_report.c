/* SPDX-License-Identifier: BSD-3-Clause */

/* The agent's decisions, by table: snapshots and times in, reports and lines out. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ka-agent/report.h"
#include "ka-agent/text.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define LINE_ROOM 1024

/* A monitor that writes into a snapshot instead of a segment, and the agent's side of it. */
static struct ka_shm_snapshot now;
static struct report_seen seen;
static struct report_list list;
static struct report_events events;

static int
fresh(void **state)
{
	(void)state;
	memset(&now, 0, sizeof(now));
	report_start(&seen, &now);
	return 0;
}

/* What the monitor does for one event; no counter of a core changes by it. */
static void
add_event(unsigned int lcore, enum ka_event_kind kind)
{
	uint64_t number = ++now.monitor.events;

	now.event[(number - 1) % KA_SHM_EVENTS] = (struct ka_shm_event){
		.number = number,
		.lcore = lcore,
		.kind = kind,
	};
}

static void
die(unsigned int lcore)
{
	now.core[lcore].deaths++;
	add_event(lcore, KA_EVENT_DEATH);
}

static void
restart(unsigned int lcore)
{
	now.core[lcore].restarts++;
	add_event(lcore, KA_EVENT_RESTART);
}

static void
expect_text(const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail_msg("got \"%s\" instead of \"%s\"", got, want);
}

/* One report as text, without its newline, which is checked. */
static void
write_line(char line[LINE_ROOM], const struct report *report)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	assert_int_equal(text_write(out, report), 0);
	assert_int_equal(fclose(out), 0);
	assert_true(length > 0 && length < LINE_ROOM);
	assert_ptr_equal(strchr(text, '\n'), text + length - 1);
	memcpy(line, text, length - 1);
	line[length - 1] = '\0';
	free(text);
}

static void
expect_line(const struct report *report, const char *want)
{
	char line[LINE_ROOM];

	write_line(line, report);
	expect_text(line, want);
}

/* Wake the agent, and expect this line of it; NULL = none. */
static void
expect_deaths(const char *want)
{
	assert_true(report_deaths(&list, &seen, &now));
	if (want == NULL)
		assert_int_equal(list.nb_entries, 0);
	else
		expect_line(&(struct report){ .kind = REPORT_DEATHS, .list = &list }, want);
}

/* Expect these events, written as "d1 r2 b3": deaths, restarts and so on of lcores. */
static void
expect_events(bool woken, uint64_t untold, const char *want)
{
	static const char letter[] = "?drbm";
	char got[LINE_ROOM] = "";
	size_t used = 0;

	report_events(&events, &seen, &now, woken);
	for (unsigned int i = 0; i < events.nb_events && used < sizeof(got); i++)
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%c%u",
					 i == 0 ? "" : " ", letter[events.event[i]->kind],
					 events.event[i]->lcore);
	expect_text(got, want);
	assert_int_equal(events.untold, untold);
}

/* ---- Deaths ---- */

static void
a_wake_up_without_a_new_death_lists_nothing(void **state)
{
	(void)state;
	expect_deaths(NULL);
	die(1);
	expect_deaths("1 dead cores: 1,");
	expect_deaths(NULL);
}

static void
deaths_are_listed_in_the_order_in_which_they_happened(void **state)
{
	(void)state;
	die(3);
	die(1);
	add_event(3, KA_EVENT_BACK);
	die(2);
	expect_deaths("3 dead cores: 3, 1, 2,");
}

static void
a_core_that_died_three_times_is_listed_three_times(void **state)
{
	(void)state;
	die(1);
	die(2);
	die(1);
	die(1);
	expect_deaths("4 dead cores: 1, 2, 1, 1,");
}

static void
more_than_eight_deaths_of_a_core_are_given_as_a_number(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		die(1);
	expect_deaths("8 dead cores: 1, 1, 1, 1, 1, 1, 1, 1,");
	die(2);
	for (int i = 0; i < 9; i++)
		die(1);
	die(2);
	expect_deaths("11 dead cores: 2, 1 (9 times), 2,");
}

static void
deaths_that_the_ring_has_lost_are_counted_and_come_first(void **state)
{
	(void)state;
	die(7);
	die(5);
	for (int i = 0; i < KA_SHM_EVENTS; i++)
		add_event(2, KA_EVENT_BACK);
	die(4);
	die(5);
	expect_deaths("4 dead cores: 5, 7, 4, 5,");
}

static void
deaths_are_counted_by_the_counters_whatever_the_ring_says(void **state)
{
	(void)state;
	/* Caught in the middle of a change: the event is there, the counter is not, or inversely. */
	add_event(1, KA_EVENT_DEATH);
	expect_deaths(NULL);
	now.core[1].deaths++;
	expect_deaths("1 dead cores: 1,");
	now.core[2].deaths++;
	expect_deaths("1 dead cores: 2,");
	add_event(2, KA_EVENT_DEATH);
	expect_deaths(NULL);
}

static void
all_cores_can_die_at_once(void **state)
{
	(void)state;
	for (unsigned int times = 0; times < REPORT_SPELLED_OUT_MAX; times++)
		for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
			die(i);
	assert_true(report_deaths(&list, &seen, &now));
	assert_int_equal(list.nb_entries, REPORT_LIST_MAX);
	assert_int_equal(list.total, REPORT_LIST_MAX);
}

static void
every_death_is_listed_once_however_seldom_the_agent_looks(void **state)
{
	uint64_t listed = 0, died = 0;
	unsigned int random = 1;

	(void)state;
	for (int look = 0; look < 2000; look++) {
		random = random * 1103515245 + 12345;
		for (unsigned int i = (random >> 16) % 700; i > 0; i--, died++) {
			random = random * 1103515245 + 12345;
			die((random >> 16) % 5);
			if ((random >> 24) % 2 == 0)
				restart((random >> 16) % 5);
		}
		assert_true(report_deaths(&list, &seen, &now));
		listed += list.total;
	}
	assert_int_equal(listed, died);
}

static void
a_counter_that_goes_backwards_is_called_corrupt_and_counted_anew(void **state)
{
	(void)state;
	now.core[1].deaths = 10;
	now.core[2].deaths = 10;
	report_start(&seen, &now);
	now.core[1].deaths = 3;
	now.core[2].deaths = 11;
	assert_false(report_deaths(&list, &seen, &now));
	assert_int_equal(list.total, 1);
	die(1);
	expect_deaths("1 dead cores: 1,");
}

static void
a_counter_that_leaps_is_called_corrupt(void **state)
{
	(void)state;
	now.core[1].deaths = REPORT_JUMP_MAX;
	expect_deaths("4294967295 dead cores: 1 (4294967295 times),");
	now.core[1].deaths += UINT64_C(1) + REPORT_JUMP_MAX;
	assert_false(report_deaths(&list, &seen, &now));
	assert_int_equal(list.nb_entries, 0);
}

static void
an_event_counter_out_of_its_mind_does_no_harm(void **state)
{
	static const uint64_t counters[] = { UINT64_MAX, 0, 1, UINT64_MAX - 1, 255, 256, 257 };

	(void)state;
	memset(now.event, 0xff, sizeof(now.event));
	for (size_t i = 0; i < LENGTH(counters); i++) {
		now.monitor.events = counters[i];
		now.core[1].deaths++;
		report_deaths(&list, &seen, &now);
		assert_int_equal(list.total, 1);
		report_events(&events, &seen, &now, i % 2 == 0);
		assert_true(events.nb_events <= KA_SHM_EVENTS);
		assert_true(seen.told <= counters[i]);
	}
}

static void
an_event_of_a_core_that_cannot_be_is_not_listed(void **state)
{
	struct report report = { .kind = REPORT_EVENT };

	(void)state;
	add_event(KA_SHM_MAX_LCORES, KA_EVENT_DEATH);
	add_event(UINT32_MAX, KA_EVENT_DEATH);
	expect_deaths(NULL);
	report_event_counts(&report, &now.event[1], &now);
	assert_int_equal(report.restarts, 0);
}

/* ---- At the attachment ---- */

static void
deaths_from_before_are_summed_up_and_not_listed_again(void **state)
{
	const struct report report = { .kind = REPORT_EARLIER, .list = &list };

	(void)state;
	die(2);
	report_earlier(&list, &now);
	expect_line(&report, "1 death before this agent came: 2.");
	die(1);
	die(1);
	report_earlier(&list, &now);
	expect_line(&report, "3 deaths before this agent came: 1 (2 times), 2.");
	report_start(&seen, &now);
	expect_deaths(NULL);
	expect_events(true, 0, "");
}

static void
deaths_from_before_beyond_all_number_do_not_wrap(void **state)
{
	(void)state;
	now.core[1].deaths = UINT64_MAX;
	now.core[2].deaths = UINT64_MAX;
	report_earlier(&list, &now);
	assert_true(list.total == UINT64_MAX);
}

static void
dead_and_gone_cores_are_down_and_the_others_are_not(void **state)
{
	(void)state;
	for (unsigned int i = KA_STATE_UNUSED; i <= KA_STATE_SLEEP + 1; i++)
		now.core[i].state = i;
	report_down(&list, &now);
	expect_line(&(struct report){ .kind = REPORT_DOWN, .list = &list }, "Down already: 2, 3,");
	report_dead_now(&list, &now);
	expect_line(&(struct report){ .kind = REPORT_DEATHS, .list = &list }, "1 dead cores: 2,");
	assert_int_equal(report_nb_cores(&now, true), 7);
	assert_int_equal(report_nb_cores(&now, false), 0);
	now.core[9].launched_ns = 1;
	assert_int_equal(report_nb_cores(&now, false), 1);
}

/* ---- Events ---- */

static void
a_wake_up_tells_all_events_once(void **state)
{
	(void)state;
	die(1);
	restart(1);
	add_event(1, KA_EVENT_BACK);
	expect_deaths("1 dead cores: 1,");
	expect_events(true, 0, "d1 r1 b1");
	expect_events(true, 0, "");
	expect_events(false, 0, "");
}

static void
the_end_of_a_slice_leaves_a_death_and_what_follows_to_the_wake_up(void **state)
{
	(void)state;
	restart(1);
	add_event(2, KA_EVENT_RECOVERY);
	die(3);
	add_event(1, KA_EVENT_BACK);
	expect_events(false, 0, "r1 m2");
	expect_events(false, 0, "");
	expect_deaths("1 dead cores: 3,");
	expect_events(true, 0, "d3 b1");
}

static void
events_that_the_ring_has_lost_are_counted(void **state)
{
	(void)state;
	die(9);
	for (int i = 0; i < KA_SHM_EVENTS + 4; i++)
		add_event(1, KA_EVENT_BACK);
	/* A death is among them: it comes with its wake-up. */
	expect_events(false, 0, "");
	expect_deaths("1 dead cores: 9,");
	report_events(&events, &seen, &now, true);
	assert_int_equal(events.untold, 5);
	assert_int_equal(events.nb_events, KA_SHM_EVENTS);
	expect_events(true, 0, "");
}

static void
lost_events_without_a_death_wait_for_no_wake_up(void **state)
{
	(void)state;
	die(1);
	expect_deaths("1 dead cores: 1,");
	expect_events(true, 0, "d1");
	for (int i = 0; i < KA_SHM_EVENTS + 4; i++)
		add_event(1, KA_EVENT_BACK);
	report_events(&events, &seen, &now, false);
	assert_int_equal(events.untold, 4);
	assert_int_equal(events.nb_events, KA_SHM_EVENTS);
	add_event(2, KA_EVENT_RECOVERY);
	expect_events(false, 0, "m2");
}

static void
a_slot_that_has_another_event_is_counted_as_lost(void **state)
{
	(void)state;
	restart(1);
	restart(2);
	now.event[0].number = 257;
	expect_events(false, 0, "");
	expect_events(true, 1, "r2");
}

static void
events_start_over_when_their_counter_went_back(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		restart(1);
	expect_events(true, 0, "r1 r1 r1 r1 r1 r1 r1 r1 r1 r1");
	report_deaths(&list, &seen, &now);
	now.monitor.events = 4;
	assert_false(report_deaths(&list, &seen, &now));
	expect_events(true, 0, "");
	restart(2);
	expect_events(false, 0, "r2");
}

static void
an_event_shows_the_counters_as_they_were_then(void **state)
{
	struct report report = { .kind = REPORT_EVENT };

	(void)state;
	now.core[1].restarts = 40;
	restart(1); /* The 41st. */
	restart(2);
	add_event(1, KA_EVENT_BACK);
	now.core[1].recoveries++;
	add_event(1, KA_EVENT_RECOVERY);
	restart(1);
	report_events(&events, &seen, &now, true);
	report_event_counts(&report, events.event[2], &now);
	assert_int_equal(report.restarts, 41);
	assert_int_equal(report.recoveries, 0);
	report_event_counts(&report, events.event[3], &now);
	assert_int_equal(report.recoveries, 1);
	report_event_counts(&report, events.event[4], &now);
	assert_int_equal(report.restarts, 42);
}

/* ---- The pulse ---- */

static void
patience_is_nine_periods_and_at_least_200_ms(void **state)
{
	static const struct {
		uint64_t period_ns;
		bool follow;
		uint64_t stall_ns;
		uint64_t give_up_ns;
	} rows[] = {
		{ 5 * NS_PER_MS, false, 200 * NS_PER_MS, 12 * NS_PER_S },
		{ 100000, false, 200 * NS_PER_MS, 12 * NS_PER_S },
		{ 0, false, 200 * NS_PER_MS, 12 * NS_PER_S },
		{ 25 * NS_PER_MS, false, 225 * NS_PER_MS, 12 * NS_PER_S },
		{ 2 * NS_PER_S, false, 18 * NS_PER_S, 18 * NS_PER_S },
		{ 5 * NS_PER_MS, true, 200 * NS_PER_MS, UINT64_MAX },
		{ UINT64_MAX, false, UINT64_MAX, UINT64_MAX },
	};
	struct report_patience patience;

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		report_patience_of(&patience, rows[i].period_ns, rows[i].follow);
		assert_true(patience.stall_ns == rows[i].stall_ns);
		assert_true(patience.give_up_ns == rows[i].give_up_ns);
	}
	report_patience_legacy(&patience, false);
	assert_true(patience.stall_ns == 12 * NS_PER_S && patience.give_up_ns == 12 * NS_PER_S);
	report_patience_legacy(&patience, true);
	assert_true(patience.give_up_ns == UINT64_MAX);
}

/* A look at a time, at a monitor that ticked last at a time; and what it must find. In ms. */
struct look {
	uint64_t at;
	uint64_t beat;
	enum report_verdict verdict;
	uint64_t duration;
};

/* The pulse starts at 1000 ms with a beat at 1000 ms; ticks go with the beats. */
static void
expect_looks(const struct look *looks, size_t nb_looks)
{
	struct report_patience patience;
	struct report_pulse pulse;
	enum report_verdict verdict;
	uint64_t duration;

	report_patience_of(&patience, 5 * NS_PER_MS, false);
	report_pulse_start(&pulse, 1000, 1000 * NS_PER_MS, 1000 * NS_PER_MS);
	for (size_t i = 0; i < nb_looks; i++) {
		duration = 0;
		verdict = report_pulse_look(&pulse, &patience, looks[i].beat,
					    looks[i].beat * NS_PER_MS, looks[i].at * NS_PER_MS,
					    &duration);
		if (verdict != looks[i].verdict || duration != looks[i].duration * NS_PER_MS)
			fail_msg("look %zu at %ju ms: verdict %d instead of %d, %ju ns", i,
				 (uintmax_t)looks[i].at, (int)verdict, (int)looks[i].verdict,
				 (uintmax_t)duration);
	}
}

static void
a_monitor_that_ticks_is_steady(void **state)
{
	static const struct look looks[] = {
		{ 1100, 1099, REPORT_PULSE_STEADY, 0 },
		{ 1200, 1196, REPORT_PULSE_STEADY, 0 },
		{ 1300, 1300, REPORT_PULSE_STEADY, 0 },
	};

	(void)state;
	expect_looks(looks, LENGTH(looks));
}

static void
a_stall_is_said_once_and_so_is_its_end(void **state)
{
	static const struct look looks[] = {
		{ 1100, 1060, REPORT_PULSE_STEADY, 0 },
		{ 1200, 1060, REPORT_PULSE_STEADY, 0 },
		{ 1259, 1060, REPORT_PULSE_STEADY, 0 },
		{ 1260, 1060, REPORT_PULSE_STALLED, 200 },
		{ 1360, 1060, REPORT_PULSE_STEADY, 0 },
		{ 1450, 1450, REPORT_PULSE_BACK, 390 },
		{ 1550, 1540, REPORT_PULSE_STEADY, 0 },
		{ 1640, 1540, REPORT_PULSE_STEADY, 0 },
		{ 1740, 1540, REPORT_PULSE_STALLED, 200 },
	};

	(void)state;
	expect_looks(looks, LENGTH(looks));
}

static void
a_stall_of_twelve_seconds_is_given_up(void **state)
{
	struct look looks[130] = { { 1100, 1000, REPORT_PULSE_STEADY, 0 } };

	(void)state;
	for (size_t i = 1; i < LENGTH(looks); i++)
		looks[i] = (struct look){ 1100 + 100 * i, 1000, REPORT_PULSE_STEADY, 0 };
	looks[1].verdict = REPORT_PULSE_STALLED;
	looks[1].duration = 200;
	for (size_t i = 119; i < LENGTH(looks); i++)
		looks[i].verdict = REPORT_PULSE_GIVE_UP;
	expect_looks(looks, LENGTH(looks));
}

static void
an_agent_that_was_away_itself_looks_again_before_it_judges(void **state)
{
	static const struct look fine[] = {
		{ 1100, 1099, REPORT_PULSE_STEADY, 0 },
		{ 31100, 1099, REPORT_PULSE_STEADY, 0 },
		{ 31149, 1099, REPORT_PULSE_STEADY, 0 },
		{ 31200, 31198, REPORT_PULSE_STEADY, 0 },
	};
	static const struct look stalled[] = {
		{ 1100, 1099, REPORT_PULSE_STEADY, 0 },
		{ 31100, 1099, REPORT_PULSE_STEADY, 0 },
		{ 31150, 1099, REPORT_PULSE_STALLED, 30051 },
	};

	(void)state;
	expect_looks(fine, LENGTH(fine));
	expect_looks(stalled, LENGTH(stalled));
}

static void
the_time_that_a_monitor_claims_is_not_trusted_further_than_it_can_be(void **state)
{
	static const struct look from_the_future[] = {
		{ 1100, 999999, REPORT_PULSE_STEADY, 0 },
		{ 1200, 999999, REPORT_PULSE_STEADY, 0 },
		{ 1300, 999999, REPORT_PULSE_STALLED, 200 },
	};
	static const struct look another_clock[] = {
		{ 1100, 1, REPORT_PULSE_STEADY, 0 },
		{ 1200, 2, REPORT_PULSE_STEADY, 0 },
		{ 1300, 3, REPORT_PULSE_STEADY, 0 },
		{ 1400, 3, REPORT_PULSE_STALLED, 200 },
	};

	(void)state;
	expect_looks(from_the_future, LENGTH(from_the_future));
	expect_looks(another_clock, LENGTH(another_clock));
}

static void
a_monitor_that_never_ticked_is_counted_from_the_attachment(void **state)
{
	struct report_pulse pulse;

	(void)state;
	report_pulse_start(&pulse, 0, 0, 7 * NS_PER_S);
	assert_true(pulse.alive_ns == 7 * NS_PER_S);
	report_pulse_start(&pulse, 9, 6 * NS_PER_S, 7 * NS_PER_S);
	assert_true(pulse.alive_ns == 6 * NS_PER_S);
}

static void
the_next_look_comes_at_the_end_of_a_slice_or_when_a_verdict_falls_due(void **state)
{
	static const struct {
		uint64_t now, alive, lenient, want;
		bool stalled, follow;
	} rows[] = {
		{ .now = 5000, .alive = 4999, .want = 5100 },
		{ .now = 5000, .alive = 4850, .want = 5050 },
		{ .now = 5000, .alive = 4850, .lenient = 5070, .want = 5070 },
		{ .now = 5000, .alive = 4700, .stalled = true, .want = 5100 },
		{ .now = 16650, .alive = 4700, .stalled = true, .want = 16700 },
		{ .now = 16650, .alive = 4700, .stalled = true, .follow = true, .want = 16750 },
	};
	struct report_patience patience;
	struct report_pulse pulse;
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		report_patience_of(&patience, 5 * NS_PER_MS, rows[i].follow);
		pulse = (struct report_pulse){
			.alive_ns = rows[i].alive * NS_PER_MS,
			.lenient_ns = rows[i].lenient * NS_PER_MS,
			.stalled = rows[i].stalled,
		};
		got = report_pulse_deadline(&pulse, &patience, rows[i].now * NS_PER_MS);
		if (got != rows[i].want * NS_PER_MS)
			fail_msg("row %zu: %ju ns instead of %ju ms", i, (uintmax_t)got,
				 (uintmax_t)rows[i].want);
	}
}

static void
the_original_moves_when_a_state_or_a_time_changes(void **state)
{
	static struct ka_shm_snapshot before;

	(void)state;
	memset(&before, 0, sizeof(before));
	assert_false(report_legacy_moved(&before, &now));
	now.core[KA_SHM_MAX_LCORES - 1].last_seen_tsc = 1;
	assert_true(report_legacy_moved(&before, &now));
	before = now;
	now.core[1].state = KA_STATE_DEAD;
	assert_true(report_legacy_moved(&before, &now));
}

/* ---- Lines ---- */

static const struct ka_shm_identity ours = {
	.program = "l2fwd-keepalive 0.1.0",
	.pid = 123,
	.period_ns = 5 * NS_PER_MS,
};
static const struct ka_shm_identity quick = {
	.program = "evil\033[2J\n",
	.pid = -1,
	.period_ns = 250000,
};
static const struct ka_shm_event death = {
	.lcore = 1,
	.kind = KA_EVENT_DEATH,
	.cause = KA_CAUSE_HUNG,
	.silent_ns = 12440000,
};
static const struct ka_shm_event back = {
	.lcore = 1,
	.kind = KA_EVENT_BACK,
	.outage_ns = 13200000,
};
static const struct ka_shm_event again = { .lcore = 2, .kind = KA_EVENT_RESTART };
static const struct ka_shm_event odd = { .lcore = 4000000000, .kind = 77 };
/* What is told of where a hung worker was; nothing in particular, in these tests. */
#define TAIL ", phase idle, port 0, 0 frames in hand"

static const struct {
	struct report report;
	const char *line;
} lines[] = {
	{ { .kind = REPORT_ATTACHED, .name = "/s", .identity = &ours, .count = 2 },
	  "Watching /s: l2fwd-keepalive 0.1.0, pid 123, 2 cores, ping every 5 ms." },
	{ { .kind = REPORT_ATTACHED, .name = "/s", .identity = &quick, .count = 1 },
	  "Watching /s: evil?[2J?, pid -1, 1 core, ping every 0.25 ms." },
	{ { .kind = REPORT_ATTACHED, .name = "/s", .count = 3 },
	  "Watching /s: the original l2fwd-keepalive of DPDK, 3 cores, which counts no "
	  "deaths." },
	{ { .kind = REPORT_EMPTY }, "Warning: Empty dead core report" },
	{ { .kind = REPORT_EVENT, .event = &death },
	  "  core 1 died: hung, silent for 12.4 ms" TAIL },
	{ { .kind = REPORT_EVENT, .event = &back, .restarts = 4 },
	  "  core 1 back after 13.2 ms (restarts 4, recoveries 0)" },
	{ { .kind = REPORT_EVENT, .event = &odd },
	  "  core 4000000000 event of a kind not known: 77 (restarts 0, recoveries 0)" },
	{ { .kind = REPORT_EVENT, .event = &again, .restarts = 5, .recoveries = 1 },
	  "  core 2 restarted (restarts 5, recoveries 1)" },
	{ { .kind = REPORT_CORRUPT, .name = "/s" },
	  "Segment /s is corrupt: a counter went backwards or leapt. Counting anew." },
	{ { .kind = REPORT_NAME_GONE, .name = "/s", .identity = &ours },
	  "Segment /s was removed or replaced, but l2fwd-keepalive (pid 123) lives: "
	  "watching on." },
	{ { .kind = REPORT_UNTOLD, .count = 1 }, "  1 event not told: only the last 256 are kept" },
	{ { .kind = REPORT_STALLED, .duration_ns = 213999999 },
	  "Monitor stalled: no tick for 213 ms." },
	{ { .kind = REPORT_BACK, .duration_ns = 700 * NS_PER_MS },
	  "Monitor is back after 700 ms." },
	{ { .kind = REPORT_STOPPED, .identity = &ours }, "l2fwd-keepalive (pid 123) has stopped." },
	{ { .kind = REPORT_STOPPED }, "l2fwd-keepalive has stopped." },
	{ { .kind = REPORT_DIED, .identity = &ours }, "l2fwd-keepalive (pid 123) has died." },
	{ { .kind = REPORT_NO_UPDATES }, "No updates. Exiting.." },
	{ { .kind = REPORT_WAITING, .name = "/s" }, "Waiting for the next l2fwd-keepalive at /s." },
};

static void
every_report_has_its_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++)
		expect_line(&lines[i].report, lines[i].line);
}

static void
every_cause_has_its_word(void **state)
{
	static const struct {
		uint32_t cause;
		const char *line;
	} rows[] = {
		{ KA_CAUSE_NONE, "  core 3 died: cause not known, silent for 5.0 ms" },
		{ KA_CAUSE_EXITED, "  core 3 died: exited, silent for 5.0 ms" },
		{ KA_CAUSE_HUNG, "  core 3 died: hung, silent for 5.0 ms" TAIL },
		{ KA_CAUSE_NOT_STARTED, "  core 3 died: not started, silent for 5.0 ms" },
		{ KA_CAUSE_SPINNING, "  core 3 died: spinning, silent for 5.0 ms" TAIL },
		{ KA_CAUSE_BLOCKED, "  core 3 died: blocked, silent for 5.0 ms" TAIL },
		{ KA_CAUSE_STOPPED, "  core 3 died: stopped, silent for 5.0 ms" TAIL },
		{ KA_CAUSE_STARVED, "  core 3 died: starved, silent for 5.0 ms" },
		{ KA_CAUSE_CRASHED, "  core 3 died: crashed, silent for 5.0 ms" },
		{ KA_CAUSE_CRASHED + 1, "  core 3 died: cause not known, silent for 5.0 ms" },
		{ UINT32_MAX, "  core 3 died: cause not known, silent for 5.0 ms" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct ka_shm_event event = {
			.lcore = 3,
			.kind = KA_EVENT_DEATH,
			.cause = rows[i].cause,
			.silent_ns = 5 * NS_PER_MS,
		};

		expect_line(&(struct report){ .kind = REPORT_EVENT, .event = &event },
			    rows[i].line);
	}
}

static void
a_line_that_cannot_be_written_is_an_error(void **state)
{
	const struct report report = { .kind = REPORT_EMPTY };
	FILE *full = fopen("/dev/full", "w");

	(void)state;
	assert_non_null(full);
	assert_int_equal(text_write(full, &report), -ENOSPC);
	fclose(full);
}

static void
every_refusal_says_the_name_the_number_and_what_to_do(void **state)
{
	static const struct {
		struct text_refusal refusal;
		const char *words[4];
	} rows[] = {
		{ { .error = -ENOENT },
		  { "-f", "-K 0", "sudo l2fwd-keepalive -l 0-1 -- -p 3 --shm-name /s" } },
		{ { .error = -EOWNERDEAD, .owner_pid = 77 }, { "pid 77", "sudo" } },
		{ { .error = -EACCES }, { "root", "--shm-group", "--shm-mode" } },
		{ { .error = -EMSGSIZE, .complaint = { .size = 100 } }, { "100 bytes", "1568" } },
		{ { .error = -EBADMSG, .complaint = { .size = 9999 } }, { "9999 bytes", "-n" } },
		{ { .error = -EPROTONOSUPPORT, .complaint = { .version_major = 7 } },
		  { "version 7", "version 1" } },
		{ { .error = -EBUSY, .complaint = { .agent_pid = 55 } }, { "agent (pid 55)" } },
		{ { .error = -EBUSY }, { "another agent is" } },
		{ { .error = -EINVAL }, { "not a shared-memory object" } },
		{ { .error = -ENFILE }, { "Too many open files" } },
	};
	static const struct agent_options options = { .name = "/s", .shm_name = "/s" };
	char line[TEXT_REFUSAL_MAX];

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		text_refusal(line, &rows[i].refusal, &options);
		assert_null(strchr(line, '\n'));
		assert_non_null(strstr(line, "segment /s"));
		for (size_t j = 0; j < LENGTH(rows[i].words) && rows[i].words[j] != NULL; j++)
			if (strstr(line, rows[i].words[j]) == NULL)
				fail_msg("no \"%s\" in \"%s\"", rows[i].words[j], line);
	}
}

#define TEST(function) cmocka_unit_test_setup(function, fresh)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_wake_up_without_a_new_death_lists_nothing),
		TEST(deaths_are_listed_in_the_order_in_which_they_happened),
		TEST(a_core_that_died_three_times_is_listed_three_times),
		TEST(more_than_eight_deaths_of_a_core_are_given_as_a_number),
		TEST(deaths_that_the_ring_has_lost_are_counted_and_come_first),
		TEST(deaths_are_counted_by_the_counters_whatever_the_ring_says),
		TEST(all_cores_can_die_at_once),
		TEST(every_death_is_listed_once_however_seldom_the_agent_looks),
		TEST(a_counter_that_goes_backwards_is_called_corrupt_and_counted_anew),
		TEST(a_counter_that_leaps_is_called_corrupt),
		TEST(an_event_counter_out_of_its_mind_does_no_harm),
		TEST(an_event_of_a_core_that_cannot_be_is_not_listed),
		TEST(deaths_from_before_are_summed_up_and_not_listed_again),
		TEST(deaths_from_before_beyond_all_number_do_not_wrap),
		TEST(dead_and_gone_cores_are_down_and_the_others_are_not),
		TEST(a_wake_up_tells_all_events_once),
		TEST(the_end_of_a_slice_leaves_a_death_and_what_follows_to_the_wake_up),
		TEST(events_that_the_ring_has_lost_are_counted),
		TEST(lost_events_without_a_death_wait_for_no_wake_up),
		TEST(a_slot_that_has_another_event_is_counted_as_lost),
		TEST(events_start_over_when_their_counter_went_back),
		TEST(an_event_shows_the_counters_as_they_were_then),
		TEST(patience_is_nine_periods_and_at_least_200_ms),
		TEST(a_monitor_that_ticks_is_steady),
		TEST(a_stall_is_said_once_and_so_is_its_end),
		TEST(a_stall_of_twelve_seconds_is_given_up),
		TEST(an_agent_that_was_away_itself_looks_again_before_it_judges),
		TEST(the_time_that_a_monitor_claims_is_not_trusted_further_than_it_can_be),
		TEST(a_monitor_that_never_ticked_is_counted_from_the_attachment),
		TEST(the_next_look_comes_at_the_end_of_a_slice_or_when_a_verdict_falls_due),
		TEST(the_original_moves_when_a_state_or_a_time_changes),
		TEST(every_report_has_its_line),
		TEST(every_cause_has_its_word),
		TEST(a_line_that_cannot_be_written_is_an_error),
		TEST(every_refusal_says_the_name_the_number_and_what_to_do),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}

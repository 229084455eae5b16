/* SPDX-License-Identifier: BSD-3-Clause */

/* Reports as programs get them: events by table, JSON to the letter, deaths that the ring lost. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "ka-agent/event.h"
#include "ka-agent/json.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define PREFIX "{\"time\":\"2026-11-25T12:00:00.000001Z\",\"event\":"

static const struct ka_shm_identity identity = { .pid = 12,
						 .period_ns = 200000,
						 .program = "l2fwd-keepalive 1.2\"" };

/* 2026-11-25T12:00:00Z at 1 s of the monotonic clock. */
static const struct json_clock clock_of_test = { .now_ns = 5000000000,
						 .ahead_ns = 1795607999000000000 };

static void
expect_json(const struct report *report, const char *want)
{
	char *got = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&got, &length);

	assert_non_null(out);
	assert_int_equal(json_write(out, report, &clock_of_test), 0);
	fclose(out);
	if (strcmp(got, want) != 0)
		fail_msg("got  %s\nwant %s", got, want);
	free(got);
}

static void
every_kind_of_event_has_its_name_and_severity(void **state)
{
	static const struct {
		enum ka_event_kind kind;
		const char *name;
		int severity;
		uint64_t times;
		bool has_outage;
	} row[] = {
		{ KA_EVENT_DEATH, "core_dead", LOG_ERR, 1, true },
		{ KA_EVENT_RESTART, "core_restarted", LOG_NOTICE, 0, false },
		{ KA_EVENT_BACK, "core_recovered", LOG_NOTICE, 0, true },
		{ KA_EVENT_RECOVERY, "core_recovered", LOG_NOTICE, 0, true },
		{ KA_EVENT_STARVED, "core_starved", LOG_WARNING, 0, true },
		{ KA_EVENT_STARVING, "core_missing", LOG_WARNING, 0, true },
		{ KA_EVENT_GIVEN_UP, "core_given_up", LOG_ERR, 0, false },
		{ KA_EVENT_STALLED, "core_stalled", LOG_WARNING, 0, false },
		{ KA_EVENT_MOVES, "core_moves", LOG_NOTICE, 0, false },
		{ KA_EVENT_TAKEN_OVER, "port_taken_over", LOG_WARNING, 0, false },
		{ (enum ka_event_kind)77, "other", LOG_NOTICE, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(row); i++) {
		const struct ka_shm_event from = { .lcore = 3, .kind = row[i].kind };
		const struct report report = { .kind = REPORT_EVENT, .event = &from };
		struct event event;

		assert_true(event_of(&event, &report, 0));
		assert_string_equal(event.name, row[i].name);
		assert_int_equal(event.severity, row[i].severity);
		assert_int_equal(event.times, row[i].times);
		assert_int_equal(event.has_outage, row[i].has_outage);
		assert_true(event.has_core);
		assert_int_equal(event.lcore, 3);
		assert_false(event_of(&event, &report, 1));
	}
}

static void
deaths_are_events_of_their_own_but_for_the_original(void **state)
{
	struct report_list list = { .total = 5, .nb_entries = 2, .entry = { { 1, 4 }, { 7, 1 } } };
	struct report report = { .kind = REPORT_DEATHS, .list = &list, .identity = &identity };
	struct event event;

	(void)state;
	assert_false(event_of(&event, &report, 0));
	report.kind = REPORT_LOST;
	assert_true(event_of(&event, &report, 0));
	assert_int_equal(event.times, 4);
	assert_true(event_of(&event, &report, 1));
	assert_int_equal(event.lcore, 7);
	assert_string_equal(event.cause, "unknown");
	assert_false(event_of(&event, &report, 2));
	report = (struct report){ .kind = REPORT_DEATHS, .list = &list };
	assert_true(event_of(&event, &report, 1));
	assert_string_equal(event.name, "core_dead");
}

static void
a_death_is_one_line_with_all_that_is_known(void **state)
{
	const struct ka_shm_event death = {
		.time_ns = 1000001000,
		.lcore = 2,
		.kind = KA_EVENT_DEATH,
		.cause = KA_CAUSE_NOT_STARTED,
		.silent_ns = 12345678,
		.phase = 2,
		.port = 4,
		.in_hand = 32,
	};

	(void)state;
	expect_json(&(struct report){ .kind = REPORT_EVENT,
				      .name = "/seg",
				      .identity = &identity,
				      .event = &death,
				      .restarts = 1,
				      .recoveries = 9 },
		    PREFIX "\"core_dead\",\"segment\":\"/seg\",\"pid\":12,\"lcore\":2,"
			   "\"cause\":\"not_started\",\"times\":1,\"outage_ms\":12.345,"
			   "\"phase\":\"own\",\"port\":4,\"frames_in_hand\":32,\"restarts\":1,"
			   "\"recoveries\":9}\n");
}

static void
strings_are_escaped(void **state)
{
	(void)state;
	expect_json(&(struct report){ .kind = REPORT_ATTACHED,
				      .name = "/a\"b\\c\n\xc3\xa4",
				      .identity = &identity,
				      .count = 2 },
		    "{\"time\":\"2026-11-25T12:00:04.000000Z\",\"event\":\"attached\","
		    "\"segment\":\"/a\\\"b\\\\c\\u000a\\u00c3\\u00a4\",\"pid\":12,"
		    "\"program\":\"l2fwd-keepalive 1.2\\\"\",\"cores\":2,\"period_ms\":0.200}\n");
}

static void
a_time_from_the_future_is_now(void **state)
{
	const struct ka_shm_crash crash = { .signal = 11, .lcore = 1, .time_ns = UINT64_MAX };

	(void)state;
	expect_json(&(struct report){ .kind = REPORT_CRASHED, .name = "/s", .crash = &crash },
		    "{\"time\":\"2026-11-25T12:00:04.000000Z\",\"event\":\"core_crashed\","
		    "\"segment\":\"/s\",\"lcore\":1,\"cause\":\"crashed\",\"signal\":11}\n");
}

static void
lists_of_cores_are_arrays(void **state)
{
	const struct report_list list = { .total = 5,
					  .nb_entries = 2,
					  .entry = { { 1, 4 }, { 7, 1 } } };

	(void)state;
	expect_json(&(struct report){ .kind = REPORT_DOWN, .name = "/s", .list = &list },
		    "{\"time\":\"2026-11-25T12:00:04.000000Z\",\"event\":\"cores_down\","
		    "\"segment\":\"/s\",\"total\":5,\"cores\":[{\"lcore\":1,\"times\":4},"
		    "{\"lcore\":7,\"times\":1}]}\n");
}

/* ---- Deaths that the ring lost ---- */

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

static void
die(unsigned int lcore)
{
	const uint64_t number = ++now.monitor.events;

	now.core[lcore].deaths++;
	now.event[(number - 1) % KA_SHM_EVENTS] =
		(struct ka_shm_event){ .number = number, .lcore = lcore, .kind = KA_EVENT_DEATH };
}

/* Deaths of all kinds that a wake-up tells as events, and as lost. */
static uint64_t
told_at_a_wakeup(uint64_t *lost)
{
	uint64_t told = 0;

	assert_true(report_deaths(&list, &seen, &now));
	report_events(&events, &seen, &now, true);
	for (unsigned int i = 0; i < events.nb_events; i++)
		told += events.event[i]->kind == KA_EVENT_DEATH;
	report_lost(&list, &seen);
	*lost = list.total;
	return told;
}

static void
nothing_is_lost_while_the_ring_holds_all(void **state)
{
	uint64_t lost;

	(void)state;
	for (unsigned int i = 0; i < KA_SHM_EVENTS; i++)
		die(i % 3);
	assert_int_equal(told_at_a_wakeup(&lost), KA_SHM_EVENTS);
	assert_int_equal(lost, 0);
}

static void
what_the_ring_lost_is_told_once(void **state)
{
	uint64_t lost;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		die(1);
	die(2);
	assert_int_equal(told_at_a_wakeup(&lost), KA_SHM_EVENTS);
	assert_int_equal(lost, 1001 - KA_SHM_EVENTS);
	assert_int_equal(list.nb_entries, 1);
	assert_int_equal(list.entry[0].lcore, 1);
	assert_int_equal(told_at_a_wakeup(&lost), 0);
	assert_int_equal(lost, 0);
}

static void
a_counter_that_leapt_is_no_loss(void **state)
{
	(void)state;
	now.core[1].deaths = UINT64_MAX / 2;
	assert_false(report_deaths(&list, &seen, &now));
	report_events(&events, &seen, &now, true);
	report_lost(&list, &seen);
	assert_int_equal(list.nb_entries, 0);
}

static void
an_event_that_comes_before_its_counter_is_no_loss(void **state)
{
	uint64_t lost;

	(void)state;
	die(1);
	now.core[1].deaths--;
	assert_int_equal(told_at_a_wakeup(&lost), 1);
	assert_int_equal(lost, 0);
	now.core[1].deaths++;
	assert_int_equal(told_at_a_wakeup(&lost), 0);
	assert_int_equal(lost, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_event_has_its_name_and_severity),
		cmocka_unit_test(deaths_are_events_of_their_own_but_for_the_original),
		cmocka_unit_test(a_death_is_one_line_with_all_that_is_known),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(a_time_from_the_future_is_now),
		cmocka_unit_test(lists_of_cores_are_arrays),
		cmocka_unit_test_setup(nothing_is_lost_while_the_ring_holds_all, fresh),
		cmocka_unit_test_setup(what_the_ring_lost_is_told_once, fresh),
		cmocka_unit_test_setup(a_counter_that_leapt_is_no_loss, fresh),
		cmocka_unit_test_setup(an_event_that_comes_before_its_counter_is_no_loss, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

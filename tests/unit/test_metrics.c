/* SPDX-License-Identifier: BSD-3-Clause */

/* The text for Prometheus: what was seen goes in, samples come out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ka-agent/metrics.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* 2026-11-25 12:00:00.25 UTC. */
#define NOW_REAL_NS (UINT64_C(1795608000) * NS_PER_S + 250 * NS_PER_MS)

static struct status status;
static char text[METRICS_TEXT_MAX + 1];

/* A forwarder that runs since 90 s and has one core, 3, which polls ports 0 and 7. */
static int
fresh(void **state)
{
	struct ka_shm_core *core = &status.snapshot.core[3];
	struct ka_shm_load *load = &status.load[3];

	(void)state;
	memset(&status, 0, sizeof(status));
	status.name = "/seg";
	status.owner = STATUS_RUNS;
	status.now_ns = 100 * NS_PER_S;
	status.identity.version_minor = KA_SHM_VERSION_MINOR;
	status.identity.created_ns = 10 * NS_PER_S;
	status.identity.created_real_ns = NOW_REAL_NS - 90 * NS_PER_S;
	status.identity.period_ns = 5 * NS_PER_MS;
	snprintf(status.identity.program, sizeof(status.identity.program), "l2fwd-keepalive 0.1.0");
	status.snapshot.monitor.beat_ns = status.now_ns - 250 * NS_PER_MS;
	core->state = KA_STATE_ALIVE;
	core->launched_ns = 11 * NS_PER_S;
	core->last_seen_ns = status.now_ns - 1250 * NS_PER_MS;
	load->looked_ns = status.now_ns;
	load->nb_ports = 2;
	load->port[1] = 7;
	return 0;
}

static void
write_metrics(bool watched)
{
	const size_t length = metrics_write(text, METRICS_TEXT_MAX, &status, NOW_REAL_NS, watched);

	assert_uint_in_range(length, 1, METRICS_TEXT_MAX);
	text[length] = '\0';
	assert_int_equal(strlen(text), length);
	assert_int_equal(text[length - 1], '\n');
}

/* Whether a line stands in the text, once. */
static void
expect(const char *line)
{
	char whole[512];
	const char *found;

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	found = strstr(text, whole);
	if (found == NULL)
		fail_msg("no \"%s\" in:\n%.4000s", line, text);
	else if (strstr(found + 1, whole) != NULL)
		fail_msg("\"%s\" stands there twice", line);
}

static void
expect_none(const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" in:\n%.4000s", part, text);
}

static void
an_owner_that_never_was_is_not_up_and_that_is_all(void **state)
{
	(void)state;
	status.owner = STATUS_NONE;
	write_metrics(true);
	assert_string_equal(text, "# HELP l2fwd_keepalive_up Whether the forwarder runs, its "
				  "monitor ticks, and an agent watches it.\n"
				  "# TYPE l2fwd_keepalive_up gauge\n"
				  "l2fwd_keepalive_up{segment=\"/seg\"} 0\n");
}

static void
up_is_who_runs_and_is_watched(void **state)
{
	(void)state;
	for (int owner = STATUS_NONE; owner <= STATUS_ABORTED; owner++) {
		status.owner = (enum status_owner)owner;
		write_metrics(true);
		expect(owner == STATUS_RUNS ? "l2fwd_keepalive_up{segment=\"/seg\"} 1" :
					      "l2fwd_keepalive_up{segment=\"/seg\"} 0");
		if (owner != STATUS_NONE)
			expect("l2fwd_keepalive_core_up{segment=\"/seg\",lcore=\"3\"} 1");
	}
	status.owner = STATUS_RUNS;
	write_metrics(false);
	expect("l2fwd_keepalive_up{segment=\"/seg\"} 0");
}

static void
the_monitor_is_told_in_seconds_since_1970(void **state)
{
	struct ka_shm_monitor *monitor = &status.snapshot.monitor;

	(void)state;
	monitor->ticks = 18000;
	monitor->late_ticks = 2;
	monitor->longest_late_ns = 8500000;
	monitor->events = 4;
	monitor->lost_lines = UINT64_MAX;
	write_metrics(true);
	expect("l2fwd_keepalive_info{segment=\"/seg\",program=\"l2fwd-keepalive\",version=\"0.1."
	       "0\"} 1");
	expect("l2fwd_keepalive_start_time_seconds{segment=\"/seg\"} 1795607910.25");
	expect("l2fwd_keepalive_check_period_seconds{segment=\"/seg\"} 0.005");
	expect("l2fwd_keepalive_monitor_last_tick_timestamp_seconds{segment=\"/seg\"} 1795608000");
	expect("l2fwd_keepalive_monitor_ticks_total{segment=\"/seg\"} 18000");
	expect("l2fwd_keepalive_monitor_late_ticks_total{segment=\"/seg\"} 2");
	expect("l2fwd_keepalive_monitor_longest_delay_seconds{segment=\"/seg\"} 0.0085");
	expect("l2fwd_keepalive_events_total{segment=\"/seg\"} 4");
	expect("l2fwd_keepalive_lost_lines_total{segment=\"/seg\"} 18446744073709551615");
	expect("# TYPE l2fwd_keepalive_monitor_ticks_total counter");
	expect("# TYPE l2fwd_keepalive_check_period_seconds gauge");
	/* It has not ticked yet. */
	monitor->beat_ns = 0;
	write_metrics(true);
	expect("l2fwd_keepalive_monitor_last_tick_timestamp_seconds{segment=\"/seg\"} "
	       "1795607910.25");
}

static void
a_core_is_told_by_its_lcore(void **state)
{
	struct ka_shm_core *core = &status.snapshot.core[3];
	struct ka_shm_load *load = &status.load[3];

	(void)state;
	core->deaths = 3;
	core->restarts = 2;
	core->recoveries = 1;
	core->longest_outage_ns = 15500000;
	load->received = 7;
	load->sent = 5;
	load->dropped = 2;
	load->bursts = 4;
	load->busy_ns = 1;
	load->idle_ns = NS_PER_S;
	load->late = 6;
	load->longest_ns = 100280300;
	write_metrics(true);
	expect("l2fwd_keepalive_deaths_total{segment=\"/seg\",lcore=\"3\"} 3");
	expect("l2fwd_keepalive_restarts_total{segment=\"/seg\",lcore=\"3\"} 2");
	expect("l2fwd_keepalive_recoveries_total{segment=\"/seg\",lcore=\"3\"} 1");
	expect("l2fwd_keepalive_longest_outage_seconds{segment=\"/seg\",lcore=\"3\"} 0.0155");
	expect("l2fwd_keepalive_core_last_heartbeat_timestamp_seconds{segment=\"/seg\",lcore=\"3\"}"
	       " 1795607999");
	expect("l2fwd_keepalive_frames_received_total{segment=\"/seg\",lcore=\"3\"} 7");
	expect("l2fwd_keepalive_frames_sent_total{segment=\"/seg\",lcore=\"3\"} 5");
	expect("l2fwd_keepalive_frames_dropped_total{segment=\"/seg\",lcore=\"3\"} 2");
	expect("l2fwd_keepalive_bursts_received_total{segment=\"/seg\",lcore=\"3\"} 4");
	expect("l2fwd_keepalive_loop_busy_seconds_total{segment=\"/seg\",lcore=\"3\"} 0.000000001");
	expect("l2fwd_keepalive_loop_idle_seconds_total{segment=\"/seg\",lcore=\"3\"} 1");
	expect("l2fwd_keepalive_loop_late_turns_total{segment=\"/seg\",lcore=\"3\"} 6");
	expect("l2fwd_keepalive_loop_longest_turn_seconds{segment=\"/seg\",lcore=\"3\"} "
	       "0.1002803");
	expect("l2fwd_keepalive_port_polled{segment=\"/seg\",lcore=\"3\",port=\"0\"} 1");
	expect("l2fwd_keepalive_port_polled{segment=\"/seg\",lcore=\"3\",port=\"7\"} 1");
	expect_none("lcore=\"0\"");
	expect_none("last_death_timestamp_seconds{");
}

/* What must be seen of each state: its own sample is 1, and whether it is up. */
static void
one_state_is_1_and_the_dead_are_not_up(void **state)
{
	static const char *const names[] = { "unused",	"alive",  "dead", "gone",
					     "missing", "dozing", "sleep" };
	char line[128];

	(void)state;
	for (uint32_t now = KA_STATE_UNUSED; now <= KA_STATE_SLEEP; now++) {
		status.snapshot.core[3].state = now;
		write_metrics(true);
		for (uint32_t i = KA_STATE_UNUSED; i <= KA_STATE_SLEEP; i++) {
			snprintf(line, sizeof(line),
				 "l2fwd_keepalive_core_state{segment=\"/seg\",lcore=\"3\",state="
				 "\"%s\"} %d",
				 names[i], now == i);
			expect(line);
		}
		snprintf(line, sizeof(line),
			 "l2fwd_keepalive_core_up{segment=\"/seg\",lcore=\"3\"} %d",
			 now != KA_STATE_DEAD && now != KA_STATE_GONE);
		expect(line);
	}
	status.snapshot.core[3].state = KA_STATE_ALIVE;
	status.snapshot.crash = (struct ka_shm_crash){ .signal = 11, .lcore = 3 };
	write_metrics(true);
	expect("l2fwd_keepalive_core_state{segment=\"/seg\",lcore=\"3\",state=\"dead\"} 1");
	expect("l2fwd_keepalive_core_up{segment=\"/seg\",lcore=\"3\"} 0");
}

static void
given_up_is_told_and_is_not_up(void **state)
{
	(void)state;
	write_metrics(true);
	expect("l2fwd_keepalive_core_given_up{segment=\"/seg\",lcore=\"3\"} 0");
	status.snapshot.core[3].given_up_ns = 1;
	write_metrics(true);
	expect("l2fwd_keepalive_core_given_up{segment=\"/seg\",lcore=\"3\"} 1");
	expect("l2fwd_keepalive_core_up{segment=\"/seg\",lcore=\"3\"} 0");
}

static void
the_last_death_has_its_cause(void **state)
{
	struct ka_shm_core *core = &status.snapshot.core[3];

	(void)state;
	core->died_ns = status.now_ns - 250 * NS_PER_MS;
	core->cause = KA_CAUSE_SPINNING;
	write_metrics(true);
	expect("l2fwd_keepalive_last_death_timestamp_seconds{segment=\"/seg\",lcore=\"3\",cause="
	       "\"spinning\"} 1795608000");
	core->cause = UINT32_MAX;
	write_metrics(true);
	expect("l2fwd_keepalive_last_death_timestamp_seconds{segment=\"/seg\",lcore=\"3\",cause="
	       "\"?\"} 1795608000");
}

#define BUCKET(name, le)                                                                           \
	"l2fwd_keepalive_" name "_bucket{segment=\"/seg\",lcore=\"3\",le=\"" le "\"} "

static void
histograms_are_cumulative_and_have_sum_and_count(void **state)
{
	struct ka_shm_load *load = &status.load[3];

	(void)state;
	load->turns[0] = 1;
	load->turns[7] = 2;
	load->turns[8] = 4;
	load->turns[31] = 8;
	load->busy_ns = 2 * NS_PER_S;
	load->idle_ns = NS_PER_S / 2;
	load->outages[23] = 3;
	status.snapshot.core[3].outages_ns = 40 * NS_PER_MS;
	load->detections[22] = 1;
	status.snapshot.core[3].detections_ns = 5 * NS_PER_MS;
	write_metrics(true);
	expect("# TYPE l2fwd_keepalive_loop_turn_seconds histogram");
	expect_none(BUCKET("loop_turn_seconds", "0.000000128"));
	expect(BUCKET("loop_turn_seconds", "0.000000256") "3");
	expect(BUCKET("loop_turn_seconds", "0.000000512") "7");
	expect(BUCKET("loop_turn_seconds", "2.147483648") "7");
	expect(BUCKET("loop_turn_seconds", "+Inf") "15");
	expect("l2fwd_keepalive_loop_turn_seconds_sum{segment=\"/seg\",lcore=\"3\"} 2.5");
	expect("l2fwd_keepalive_loop_turn_seconds_count{segment=\"/seg\",lcore=\"3\"} 15");
	expect_none(BUCKET("outage_seconds", "0.000065536"));
	expect(BUCKET("outage_seconds", "0.000131072") "0");
	expect(BUCKET("outage_seconds", "0.008388608") "0");
	expect(BUCKET("outage_seconds", "0.016777216") "3");
	expect(BUCKET("outage_seconds", "+Inf") "3");
	expect("l2fwd_keepalive_outage_seconds_sum{segment=\"/seg\",lcore=\"3\"} 0.04");
	expect("l2fwd_keepalive_outage_seconds_count{segment=\"/seg\",lcore=\"3\"} 3");
	expect(BUCKET("detection_seconds", "0.008388608") "1");
	expect("l2fwd_keepalive_detection_seconds_sum{segment=\"/seg\",lcore=\"3\"} 0.005");
	/* A segment from before there were sums: a histogram without its sum would be a lie. */
	status.identity.version_minor = 1;
	write_metrics(true);
	expect(BUCKET("loop_turn_seconds", "+Inf") "15");
	expect_none("outage_seconds_sum");
	expect_none("detection_seconds_bucket");
}

static void
of_the_original_there_are_states_only(void **state)
{
	(void)state;
	memset(&status.identity, 0, sizeof(status.identity));
	status.legacy = true;
	status.snapshot.core[3].state = KA_STATE_MISSING;
	write_metrics(true);
	expect("l2fwd_keepalive_up{segment=\"/seg\"} 1");
	expect("l2fwd_keepalive_core_up{segment=\"/seg\",lcore=\"3\"} 1");
	expect("l2fwd_keepalive_core_state{segment=\"/seg\",lcore=\"3\",state=\"missing\"} 1");
	expect_none("deaths_total");
	expect_none("keepalive_monitor");
}

/* Names come from the command line and from the segment, and may hold any byte. */
static void
labels_are_escaped(void **state)
{
	(void)state;
	status.name = "/a\\b\"c\nd\x01\xff";
	memcpy(status.identity.program, "x\"y\n 1\\2", 9);
	write_metrics(true);
	expect("l2fwd_keepalive_up{segment=\"/a\\\\b\\\"c\\nd??\"} 1");
	expect("l2fwd_keepalive_info{segment=\"/a\\\\b\\\"c\\nd??\",program=\"x\\\"y?\",version=\"1"
	       "\\\\2\"} 1");
}

/* 128 cores with 16 ports, the longest figures, and a name that is all escapes. */
static void
the_largest_text_has_room_and_a_smaller_room_is_none(void **state)
{
	static char name[KA_SHM_NAME_MAX + 1];
	size_t length;

	(void)state;
	memset(&status.snapshot, 0xff, sizeof(status.snapshot));
	memset(&status.load, 0xff, sizeof(status.load));
	memset(&status.identity, 0xff, sizeof(status.identity));
	memset(name, '\\', sizeof(name) - 1);
	name[0] = '/';
	status.name = name;
	write_metrics(true);
	length = strlen(text);
	assert_uint_in_range(length, METRICS_TEXT_MAX / 2, METRICS_TEXT_MAX - 1);
	assert_int_equal(metrics_write(text, length, &status, NOW_REAL_NS, true), 0);
	assert_int_equal(metrics_write(text, 0, &status, NOW_REAL_NS, true), 0);
	assert_int_equal(metrics_write(text, length + 1, &status, NOW_REAL_NS, true), length);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_owner_that_never_was_is_not_up_and_that_is_all, fresh),
		cmocka_unit_test_setup(up_is_who_runs_and_is_watched, fresh),
		cmocka_unit_test_setup(the_monitor_is_told_in_seconds_since_1970, fresh),
		cmocka_unit_test_setup(a_core_is_told_by_its_lcore, fresh),
		cmocka_unit_test_setup(one_state_is_1_and_the_dead_are_not_up, fresh),
		cmocka_unit_test_setup(given_up_is_told_and_is_not_up, fresh),
		cmocka_unit_test_setup(the_last_death_has_its_cause, fresh),
		cmocka_unit_test_setup(histograms_are_cumulative_and_have_sum_and_count, fresh),
		cmocka_unit_test_setup(of_the_original_there_are_states_only, fresh),
		cmocka_unit_test_setup(labels_are_escaped, fresh),
		cmocka_unit_test_setup(the_largest_text_has_room_and_a_smaller_room_is_none, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/* The answer of --check: what was seen goes in, a verdict and a line come out. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ka-agent/check.h"

#define NS_PER_MS UINT64_C(1000000)
#define NOW_NS (100000 * NS_PER_MS)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What stands behind the bar when two cores were watched, and nothing was counted. */
#define FIGURES(up, age)                                                                           \
	" | cores_up=" up ";;2:;0;2 tick_age=" age "ms;;200;0 deaths=0c restarts=0c recoveries=0c" \
	" late_ticks=0c"

static struct status status;
static char line[CHECK_LINE_MAX];

/* A forwarder with cores 1 and 3, both alive, whose last tick was 1.2 ms ago. */
static int
fresh(void **state)
{
	(void)state;
	memset(&status, 0, sizeof(status));
	status.name = "/seg";
	status.owner = STATUS_RUNS;
	status.now_ns = NOW_NS;
	status.identity.pid = 12;
	status.identity.created_ns = 10000 * NS_PER_MS;
	status.identity.period_ns = 5 * NS_PER_MS;
	snprintf(status.identity.program, sizeof(status.identity.program), "l2fwd-keepalive 0.1.0");
	status.snapshot.monitor.status = KA_STATUS_RUNNING;
	status.snapshot.monitor.beat_ns = NOW_NS - 1200 * NS_PER_MS / 1000;
	for (unsigned int lcore = 1; lcore <= 3; lcore += 2)
		status.snapshot.core[lcore] = (struct ka_shm_core){
			.state = KA_STATE_ALIVE,
			.launched_ns = 10001 * NS_PER_MS,
			.last_seen_ns = NOW_NS - NS_PER_MS,
		};
	return 0;
}

/* Core 3 died so long ago, and was last seen 10 ms before. */
static struct ka_shm_core *
kill_core(uint64_t ago_ms)
{
	struct ka_shm_core *core = &status.snapshot.core[3];

	core->state = KA_STATE_DEAD;
	core->cause = KA_CAUSE_EXITED;
	core->died_ns = NOW_NS - ago_ms * NS_PER_MS;
	core->last_seen_ns = core->died_ns - 10 * NS_PER_MS;
	return core;
}

static void
expect(enum check_verdict want, const char *said)
{
	memset(line, 0xa5, sizeof(line));
	assert_int_equal(check_write(line, &status, 200 * NS_PER_MS), want);
	assert_string_equal(line, said);
}

static void
well_is_said_with_the_figures(void **state)
{
	(void)state;
	expect(CHECK_WELL, "OK: l2fwd-keepalive (pid 12): 2 of 2 cores up" FIGURES("2", "1.2"));
	status.snapshot.monitor.deaths = 25;
	status.snapshot.monitor.restarts = 24;
	status.snapshot.monitor.recoveries = 1;
	status.snapshot.monitor.late_ticks = UINT64_MAX;
	status.now_ns = 0; /* A tick from after the look began. */
	expect(CHECK_WELL, "OK: l2fwd-keepalive (pid 12): 2 of 2 cores up | cores_up=2;;2:;0;2 "
			   "tick_age=0.0ms;;200;0 deaths=25c restarts=24c recoveries=1c "
			   "late_ticks=18446744073709551615c");
}

/* One missed ping is no death, nor is a core that is about to give its first heartbeat. */
static void
what_is_not_dead_is_up(void **state)
{
	static const enum ka_state up[] = { KA_STATE_UNUSED, KA_STATE_ALIVE, KA_STATE_MISSING,
					    KA_STATE_DOZING, KA_STATE_SLEEP };

	(void)state;
	for (size_t i = 0; i < LENGTH(up); i++) {
		status.snapshot.core[3].state = up[i];
		status.snapshot.core[3].last_seen_ns = 0;
		expect(CHECK_WELL,
		       "OK: l2fwd-keepalive (pid 12): 2 of 2 cores up" FIGURES("2", "1.2"));
	}
}

static void
a_dead_core_that_is_not_launched_again_is_an_alarm_at_once(void **state)
{
	(void)state;
	kill_core(0);
	expect(CHECK_DOWN,
	       "CRITICAL: l2fwd-keepalive (pid 12): core 3 dead for 0 ms (exited); 1 of "
	       "2 cores up" FIGURES("1", "1.2"));
	kill_core(812)->state = KA_STATE_GONE;
	status.snapshot.core[3].cause = KA_CAUSE_SPINNING;
	expect(CHECK_DOWN, "CRITICAL: l2fwd-keepalive (pid 12): core 3 dead for 812 ms (spinning); "
			   "1 of 2 cores up" FIGURES("1", "1.2"));
}

/* Launched again in the very ping that found it dead, or later. */
static void
a_death_that_is_being_cured_is_none_for_as_long_as_a_heartbeat_is_not_too_old(void **state)
{
	struct ka_shm_core *core = kill_core(8);

	(void)state;
	core->launched_ns = core->died_ns;
	expect(CHECK_WELL,
	       "OK: l2fwd-keepalive (pid 12): 2 of 2 cores up, 1 about to be back: core "
	       "3 died 8.0 ms ago" FIGURES("2", "1.2"));
	core = kill_core(190);
	core->launched_ns = core->died_ns + NS_PER_MS;
	expect(CHECK_WELL,
	       "OK: l2fwd-keepalive (pid 12): 2 of 2 cores up, 1 about to be back: core "
	       "3 died 190.0 ms ago" FIGURES("2", "1.2"));
	core->last_seen_ns--;
	expect(CHECK_DOWN, "CRITICAL: l2fwd-keepalive (pid 12): core 3 dead for 190 ms (exited); 1 "
			   "of 2 cores up" FIGURES("1", "1.2"));
}

/* It is launched again and again, and each time dies without having been seen. */
static void
a_core_that_never_gave_a_heartbeat_is_not_being_cured(void **state)
{
	struct ka_shm_core *core = kill_core(1);

	(void)state;
	core->last_seen_ns = 0;
	core->cause = KA_CAUSE_NOT_STARTED;
	core->launched_ns = core->died_ns;
	expect(CHECK_DOWN,
	       "CRITICAL: l2fwd-keepalive (pid 12): core 3 dead for 1 ms (not started); "
	       "1 of 2 cores up" FIGURES("1", "1.2"));
}

static void
a_core_that_is_given_up_is_an_alarm_whatever_else_it_is(void **state)
{
	struct ka_shm_core *core = kill_core(1);

	(void)state;
	core->launched_ns = core->given_up_ns = core->died_ns;
	for (uint32_t found = KA_STATE_UNUSED; found <= KA_STATE_SLEEP; found++) {
		core->state = found;
		expect(CHECK_DOWN,
		       "CRITICAL: l2fwd-keepalive (pid 12): core 3 given up (exited); 1 "
		       "of 2 cores up" FIGURES("1", "1.2"));
	}
}

static void
a_monitor_that_does_not_tick_is_stalled_whatever_its_cores_were(void **state)
{
	(void)state;
	kill_core(300);
	status.snapshot.monitor.beat_ns = NOW_NS - 200 * NS_PER_MS;
	expect(CHECK_DOWN, "CRITICAL: l2fwd-keepalive (pid 12): core 3 dead for 300 ms (exited); 1 "
			   "of 2 cores up" FIGURES("1", "200.0"));
	status.snapshot.monitor.beat_ns--;
	expect(CHECK_STALLED,
	       "CRITICAL: l2fwd-keepalive (pid 12): monitor stalled: no tick for 200 "
	       "ms" FIGURES("1", "200.0"));
	/* It has not ticked yet at all, and was made 90 s ago. */
	status.snapshot.monitor.beat_ns = 0;
	expect(CHECK_STALLED, "CRITICAL: l2fwd-keepalive (pid 12): monitor stalled: no tick for "
			      "90000 ms" FIGURES("1", "90000.0"));
}

/* Neither needs a monitor that ticks; and neither is nothing to watch. */
static void
last_words_are_an_alarm(void **state)
{
	(void)state;
	status.snapshot.monitor.beat_ns = NOW_NS - 900 * NS_PER_MS;
	status.snapshot.monitor.status = KA_STATUS_ABORTED;
	expect(CHECK_DOWN, "CRITICAL: l2fwd-keepalive (pid 12): aborting because a worker "
			   "hung" FIGURES("2", "900.0"));
	status.snapshot.crash = (struct ka_shm_crash){ .signal = 11, .lcore = 3 };
	expect(CHECK_DOWN,
	       "CRITICAL: l2fwd-keepalive (pid 12): core 3 crashed: signal 11" FIGURES("2",
										       "900.0"));
	status.snapshot.monitor.status = KA_STATUS_STOPPED;
	expect(CHECK_NOTHING, "CRITICAL: l2fwd-keepalive (pid 12): has stopped");
}

static void
of_the_originals_segment_only_states_are_judged(void **state)
{
	(void)state;
	memset(&status.identity, 0, sizeof(status.identity));
	memset(&status.snapshot, 0, sizeof(status.snapshot));
	status.legacy = true;
	status.snapshot.core[1].state = KA_STATE_MISSING; /* What it calls a healthy core. */
	status.snapshot.core[2].state = KA_STATE_ALIVE;
	expect(CHECK_WELL, "OK: l2fwd-keepalive: 2 of 2 cores up | cores_up=2;;2:;0;2");
	status.snapshot.core[2].state = KA_STATE_GONE;
	expect(CHECK_DOWN, "CRITICAL: l2fwd-keepalive: core 2 dead; 1 of 2 cores up | "
			   "cores_up=1;;2:;0;2");
}

static void
of_many_dead_cores_some_are_named(void **state)
{
	(void)state;
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++)
		status.snapshot.core[lcore] = (struct ka_shm_core){
			.state = KA_STATE_GONE,
			.launched_ns = UINT64_MAX,
			.died_ns = UINT64_MAX,
			.given_up_ns = UINT64_MAX,
			.cause = KA_CAUSE_NOT_STARTED,
		};
	assert_int_equal(check_write(line, &status, UINT64_MAX), CHECK_DOWN);
	assert_non_null(strstr(line, "core 0 given up (not started), core 1 given up"));
	assert_non_null(strstr(line, "core 7 given up (not started) and 120 more; 0 of 128 cores"));
	assert_uint_in_range(strlen(line), 1, 1000);
}

/* Whatever stands in the segment, the line stays one, and the figures stay where they are. */
static void
what_others_wrote_breaks_nothing(void **state)
{
	(void)state;
	memset(status.identity.program, '|', sizeof(status.identity.program));
	status.identity.program[0] = '\n';
	kill_core(1)->cause = UINT32_MAX;
	assert_int_equal(check_write(line, &status, 200 * NS_PER_MS), CHECK_DOWN);
	assert_ptr_equal(strchr(line, '|'), strrchr(line, '|'));
	assert_null(strchr(line, '\n'));
	assert_non_null(strstr(line, "core 3 dead for 1 ms (?); 1 of 2 cores up | cores_up=1"));

	check_write_nothing(line, -ENOENT, "no segment /a|b\n: it does not run");
	assert_string_equal(line, "CRITICAL: no segment /a?b?: it does not run");
	check_write_nothing(line, -EOWNERDEAD, "segment /a is a leftover");
	assert_string_equal(line, "CRITICAL: segment /a is a leftover");
	check_write_nothing(line, -EACCES, "segment /a: permission denied");
	assert_string_equal(line, "UNKNOWN: segment /a: permission denied");
}

static void
the_default_age_is_nine_periods_and_200_ms_at_least(void **state)
{
	(void)state;
	assert_int_equal(check_default_age_ns(5 * NS_PER_MS), 200 * NS_PER_MS);
	assert_int_equal(check_default_age_ns(100 * NS_PER_MS), 900 * NS_PER_MS);
	assert_int_equal(check_default_age_ns(0), 200 * NS_PER_MS);
	assert_int_equal(check_default_age_ns(UINT64_MAX), UINT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(well_is_said_with_the_figures, fresh),
		cmocka_unit_test_setup(what_is_not_dead_is_up, fresh),
		cmocka_unit_test_setup(a_dead_core_that_is_not_launched_again_is_an_alarm_at_once,
				       fresh),
		cmocka_unit_test_setup(
			a_death_that_is_being_cured_is_none_for_as_long_as_a_heartbeat_is_not_too_old,
			fresh),
		cmocka_unit_test_setup(a_core_that_never_gave_a_heartbeat_is_not_being_cured,
				       fresh),
		cmocka_unit_test_setup(a_core_that_is_given_up_is_an_alarm_whatever_else_it_is,
				       fresh),
		cmocka_unit_test_setup(
			a_monitor_that_does_not_tick_is_stalled_whatever_its_cores_were, fresh),
		cmocka_unit_test_setup(last_words_are_an_alarm, fresh),
		cmocka_unit_test_setup(of_the_originals_segment_only_states_are_judged, fresh),
		cmocka_unit_test_setup(of_many_dead_cores_some_are_named, fresh),
		cmocka_unit_test_setup(what_others_wrote_breaks_nothing, fresh),
		cmocka_unit_test(the_default_age_is_nine_periods_and_200_ms_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

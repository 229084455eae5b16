/* SPDX-License-Identifier: BSD-3-Clause */

/* The table of --status and --top: what was seen goes in, lines come out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ka-agent/status.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Where the first row of a core stands: behind the head, a blank and two lines of titles. */
#define FIRST_ROW 4

static struct status status;
static struct status_text text;

/* A forwarder that runs since 90 s and has one core, 3, that polls nothing yet. */
static int
fresh(void **state)
{
	(void)state;
	memset(&status, 0, sizeof(status));
	status.name = "/seg";
	status.owner = STATUS_RUNS;
	status.now_ns = 100 * NS_PER_S;
	status.identity.pid = 12;
	status.identity.created_ns = 10 * NS_PER_S;
	status.identity.period_ns = 5 * NS_PER_MS;
	snprintf(status.identity.program, sizeof(status.identity.program), "l2fwd-keepalive 0.1.0");
	status.snapshot.monitor.status = KA_STATUS_RUNNING;
	status.snapshot.monitor.beat_ns = status.now_ns - 1200 * NS_PER_US;
	status.snapshot.core[3].launched_ns = 11 * NS_PER_S;
	return 0;
}

/* The lines must be whole, printable, and without blanks at their ends, whatever is in them. */
static void
write_text(void)
{
	memset(&text, 0xa5, sizeof(text));
	status_write(&text, &status);
	assert_uint_in_range(text.nb_lines, 1, STATUS_LINES_MAX);
	for (unsigned int i = 0; i < text.nb_lines; i++) {
		const size_t length = strnlen(text.line[i], STATUS_LINE_MAX);

		assert_true(length < STATUS_LINE_MAX);
		for (size_t at = 0; at < length; at++)
			if (text.line[i][at] < ' ' || text.line[i][at] > '~')
				fail_msg("character %#x in \"%s\"", text.line[i][at], text.line[i]);
		if (length != 0 && text.line[i][length - 1] == ' ')
			fail_msg("a blank ends \"%s\"", text.line[i]);
	}
}

static void
expect_line(unsigned int number, const char *want)
{
	if (number >= text.nb_lines)
		fail_msg("%u lines only, no \"%s\"", text.nb_lines, want);
	if (strcmp(text.line[number], want) != 0)
		fail_msg("line %u is \"%s\" instead of \"%s\"", number, text.line[number], want);
}

/* What stands under a title, which is right-aligned with it or, for text, left-aligned. */
static void
expect_cell(unsigned int row, const char *title, const char *want)
{
	const char *titles = text.line[FIRST_ROW - 1], *line = text.line[row];
	const char *found = strstr(titles, title);
	const bool is_text = strcmp(title, "ports") == 0 || strcmp(title, "state") == 0 ||
			     strcmp(title, "last cause") == 0;
	char cell[STATUS_LINE_MAX] = "";
	size_t begin, end;

	assert_non_null(found);
	assert_true(row < text.nb_lines);
	/* "last" alone stands behind "last cause". */
	if (strcmp(title, "last") == 0)
		found = strstr(found + 1, title);
	begin = end = (size_t)(found - titles);
	if (is_text)
		for (; end < strlen(line) && line[end] != ' '; end++)
			continue;
	else
		for (end += strlen(title), begin = end; begin > 0 && line[begin - 1] != ' ';
		     begin--)
			continue;
	if (end <= strlen(line))
		snprintf(cell, sizeof(cell), "%.*s", (int)(end - begin), line + begin);
	if (strcmp(cell, want) != 0)
		fail_msg("under %s: \"%s\" instead of \"%s\" in\n%s\n%s", title, cell, want, titles,
			 line);
}

/* A core that has done all there is to do. */
static void
busy_core(unsigned int lcore)
{
	struct ka_shm_core *core = &status.snapshot.core[lcore];
	struct ka_shm_load *load = &status.load[lcore];

	*core = (struct ka_shm_core){
		.state = KA_STATE_ALIVE,
		.cause = KA_CAUSE_SPINNING,
		.launched_ns = 20 * NS_PER_S,
		.deaths = 12,
		.restarts = 11,
		.recoveries = 1,
		.last_outage_ns = 13140 * NS_PER_US,
		.longest_outage_ns = 1013 * NS_PER_MS,
	};
	*load = (struct ka_shm_load){
		.looked_ns = status.now_ns - 400 * NS_PER_MS,
		.frames_per_s = 14880952,
		.busy_ns = 30 * NS_PER_S,
		.idle_ns = 50 * NS_PER_S,
		.longest_ns = 15 * NS_PER_MS,
		.late = 7,
		.turns = { [10] = 96, [14] = 4 },
		.nb_ports = 2,
		.port = { 0, 1 },
	};
	status.snapshot.monitor.deaths += 12;
	status.snapshot.monitor.restarts += 11;
	status.snapshot.monitor.recoveries += 1;
}

/* ---- The head ---- */

static void
the_head_says_who_since_when_and_when_it_last_ticked(void **state)
{
	(void)state;
	write_text();
	expect_line(0, "l2fwd-keepalive 0.1.0, pid 12, up 0:01:30, ping every 5 ms, "
		       "last tick 1.2 ms ago");
	assert_string_equal(text.line[1], "");
}

static void
the_head_follows_what_happens_to_the_owner(void **state)
{
	static const struct {
		enum status_owner owner;
		uint64_t monitor_status;
		int signal_number;
		const char *want;
	} rows[] = {
		{ STATUS_STALLED, KA_STATUS_RUNNING, 0,
		  "l2fwd-keepalive 0.1.0, pid 12, up 0:01:30, ping every 5 ms, "
		  "STALLED: no tick for 1234 ms" },
		{ STATUS_RUNS, KA_STATUS_RUNNING, 11,
		  "l2fwd-keepalive 0.1.0, pid 12, up 0:01:30, ping every 5 ms, "
		  "core 3 CRASHED: signal 11" },
		{ STATUS_STALLED, KA_STATUS_ABORTED, 0,
		  "l2fwd-keepalive 0.1.0, pid 12, up 0:01:30, ping every 5 ms, "
		  "ABORTING because a worker hung" },
		{ STATUS_STOPPED, KA_STATUS_STOPPED, 0,
		  "l2fwd-keepalive (pid 12) has stopped; waiting for the next one at /seg" },
		{ STATUS_DIED, KA_STATUS_RUNNING, 0,
		  "l2fwd-keepalive (pid 12) has died; waiting for the next one at /seg" },
		{ STATUS_ABORTED, KA_STATUS_ABORTED, 0,
		  "l2fwd-keepalive (pid 12) has aborted because a worker hung; "
		  "waiting for the next one at /seg" },
		{ STATUS_NONE, 0, 0, "waiting for l2fwd-keepalive at /seg" },
	};

	for (size_t i = 0; i < LENGTH(rows); i++) {
		fresh(state);
		status.owner = rows[i].owner;
		status.snapshot.monitor.status = rows[i].monitor_status;
		status.snapshot.monitor.beat_ns = status.now_ns - 1234 * NS_PER_MS;
		status.snapshot.crash.signal = rows[i].signal_number;
		status.snapshot.crash.lcore = 3;
		write_text();
		expect_line(0, rows[i].want);
		/* One who ended leaves the last table; of one who never was there is none. */
		assert_int_equal(text.nb_lines, rows[i].owner == STATUS_NONE ? 1 : FIRST_ROW + 2);
	}
}

static void
a_refusal_is_the_head_and_the_name_cannot_speak_to_the_terminal(void **state)
{
	(void)state;
	status.owner = STATUS_NONE;
	status.why = "segment /seg: permission denied";
	write_text();
	expect_line(0, "segment /seg: permission denied");
	status.why = "";
	status.name = "/a\033[31m\nb\xff";
	write_text();
	expect_line(0, "waiting for l2fwd-keepalive at /a?[31m?b?");
}

static void
uptime_has_days_when_there_are_any_and_is_never_negative(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *want;
	} rows[] = {
		{ 0, ", up 0:00:00, " },	 { 59, ", up 0:00:59, " },
		{ 3723, ", up 1:02:03, " },	 { 86399, ", up 23:59:59, " },
		{ 86400, ", up 1 d 0:00:00, " }, { 400 * 86400, ", up 400 d 0:00:00, " },
	};

	for (size_t i = 0; i < LENGTH(rows); i++) {
		fresh(state);
		status.now_ns = status.identity.created_ns + rows[i].seconds * NS_PER_S;
		status.snapshot.monitor.beat_ns = status.now_ns;
		write_text();
		if (strstr(text.line[0], rows[i].want) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", text.line[0], rows[i].want);
	}
	status.now_ns = 0;
	write_text();
	expect_line(0, "l2fwd-keepalive 0.1.0, pid 12, up 0:00:00, ping every 5 ms, "
		       "last tick 0.0 ms ago");
}

/* ---- The table ---- */

static void
the_table_is_what_it_was_when_it_was_looked_at_by_a_person(void **state)
{
	(void)state;
	busy_core(3);
	write_text();
	expect_line(2, "                                                              outages, ms"
		       "      turns of loop, us");
	expect_line(3, "core ports state   last cause  deaths restarts recoveries    last longest"
		       "    p50    p99      max   late busy%   Mpps");
	expect_line(4, "   3 0,1   ALIVE   spinning        12       11          1    13.1  1013.0"
		       "    1.6   28.7  15000.0      7  37.5 14.881");
	expect_line(5, " all                               12       11          1          1013.0"
		       "    1.6   28.7  15000.0      7  37.5 14.881");
	assert_int_equal(text.nb_lines, 6);
}

static void
a_core_that_was_just_launched_has_nothing_to_tell(void **state)
{
	static const char *const unknown[] = {
		"ports", "last cause", "last", "longest", "p50",
		"p99",	 "max",	       "late", "busy%",	  "Mpps",
	};

	(void)state;
	write_text();
	expect_cell(FIRST_ROW, "core", "3");
	expect_cell(FIRST_ROW, "state", "UNUSED");
	expect_cell(FIRST_ROW, "deaths", "0");
	for (size_t i = 0; i < LENGTH(unknown); i++)
		expect_cell(FIRST_ROW, unknown[i], "-");
}

static void
every_state_and_every_cause_has_its_word(void **state)
{
	static const char *const states[] = { "UNUSED",	 "ALIVE",  "DEAD",  "GONE",
					      "MISSING", "DOZING", "SLEEP", "?" };
	static const char *const causes[] = { "-",	  "exited",  "hung",	"not",
					      "spinning", "blocked", "stopped", "starved",
					      "crashed",  "?" };

	(void)state;
	for (uint32_t i = 0; i < LENGTH(states); i++) {
		status.snapshot.core[3].state = i;
		write_text();
		expect_cell(FIRST_ROW, "state", states[i]);
	}
	for (uint32_t i = 0; i < LENGTH(causes); i++) {
		status.snapshot.core[3].cause = i;
		write_text();
		expect_cell(FIRST_ROW, "last cause", causes[i]);
	}
}

static void
the_core_that_crashed_is_dead_of_it(void **state)
{
	(void)state;
	status.snapshot.core[3].state = KA_STATE_ALIVE;
	status.snapshot.crash.signal = 11;
	status.snapshot.crash.lcore = 3;
	write_text();
	expect_cell(FIRST_ROW, "state", "DEAD");
	expect_cell(FIRST_ROW, "last cause", "crashed");
}

static void
ports_in_a_row_are_given_as_a_range(void **state)
{
	static const struct {
		uint32_t nb_ports;
		uint16_t port[KA_SHM_MAX_PORTS];
		const char *want;
	} rows[] = {
		{ 0, { 7 }, "-" },
		{ 1, { 7 }, "7" },
		{ 2, { 0, 1 }, "0,1" },
		{ 3, { 0, 1, 2 }, "0-2" },
		{ 3, { 2, 1, 0 }, "2,1,0" },
		{ 5, { 0, 2, 3, 4, 9 }, "0,2-4,9" },
		{ 4, { 65532, 65533, 65534, 65535 }, "65532-65535" },
		{ 2, { 65535, 0 }, "65535,0" },
		{ 16, { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 }, "0-15" },
		/* A record that cannot be. */
		{ UINT32_MAX, { 5 }, "5,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		status.load[3].nb_ports = rows[i].nb_ports;
		memcpy(status.load[3].port, rows[i].port, sizeof(rows[i].port));
		write_text();
		expect_cell(FIRST_ROW, "ports", rows[i].want);
		/* Whoever has many ports moves the columns behind of all. */
		expect_cell(FIRST_ROW, "state", "UNUSED");
	}
}

static void
a_figure_too_long_for_its_column_is_given_in_thousands(void **state)
{
	static const struct {
		uint64_t deaths;
		const char *want;
	} rows[] = {
		{ 0, "0" },
		{ 999999, "999999" },
		{ 1000000, "1000k" },
		{ 12345678, "12346k" },
		{ 123456789, "123M" },
		{ UINT64_C(1234567890), "1235M" },
		{ UINT64_MAX, "18447P" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		status.snapshot.core[3].deaths = rows[i].deaths;
		write_text();
		expect_cell(FIRST_ROW, "deaths", rows[i].want);
	}
	status.snapshot.core[3].longest_outage_ns = 1;
	status.snapshot.core[3].last_outage_ns = 99999900 * NS_PER_US;
	write_text();
	expect_cell(FIRST_ROW, "last", "99999.9");
	status.snapshot.core[3].last_outage_ns = 123456700 * NS_PER_US;
	write_text();
	expect_cell(FIRST_ROW, "last", "123457");
}

static void
no_line_is_wider_than_120_with_two_ports_a_core(void **state)
{
	static const uint64_t figures[] = { 0, 1, 999999, 12345678901, UINT64_MAX / 2, UINT64_MAX };

	for (size_t i = 0; i < LENGTH(figures); i++) {
		fresh(state);
		for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
			struct ka_shm_load *load = &status.load[lcore];

			memset(&status.snapshot.core[lcore], 0xff, sizeof(struct ka_shm_core));
			memset(load, 0xff, sizeof(*load));
			status.snapshot.core[lcore].cause = KA_CAUSE_NOT_STARTED;
			status.snapshot.core[lcore].state = KA_STATE_MISSING;
			status.snapshot.core[lcore].deaths = figures[i];
			status.snapshot.core[lcore].last_outage_ns = figures[i];
			load->longest_ns = load->late = load->frames_per_s = figures[i];
			load->busy_ns = load->idle_ns = figures[i];
			load->nb_ports = 2;
			load->port[0] = 1022;
			load->port[1] = 1023;
		}
		status.snapshot.monitor.deaths = figures[i];
		write_text();
		assert_int_equal(text.nb_lines, FIRST_ROW + KA_SHM_MAX_LCORES + 1);
		for (unsigned int line = 1; line < text.nb_lines; line++)
			if (strlen(text.line[line]) > 120)
				fail_msg("%zu wide: \"%s\"", strlen(text.line[line]),
					 text.line[line]);
	}
}

static void
a_rate_is_shown_as_long_as_it_is_one(void **state)
{
	static const struct {
		enum status_owner owner;
		uint64_t age_ms;
		const char *want;
	} rows[] = {
		{ STATUS_RUNS, 0, "14.881" }, { STATUS_RUNS, 1999, "14.881" },
		{ STATUS_RUNS, 2000, "-" },   { STATUS_STALLED, 0, "-" },
		{ STATUS_DIED, 0, "-" },
	};

	for (size_t i = 0; i < LENGTH(rows); i++) {
		fresh(state);
		busy_core(3);
		status.owner = rows[i].owner;
		status.load[3].looked_ns = status.now_ns - rows[i].age_ms * NS_PER_MS;
		write_text();
		expect_cell(FIRST_ROW, "Mpps", rows[i].want);
		expect_cell(FIRST_ROW + 1, "Mpps", rows[i].want);
		expect_cell(FIRST_ROW, "late", "7");
	}
	fresh(state);
	busy_core(3);
	status.load[3].looked_ns = status.now_ns + 1;
	write_text();
	expect_cell(FIRST_ROW, "Mpps", "14.881");
}

static void
the_sum_takes_all_cores_as_one(void **state)
{
	(void)state;
	busy_core(3);
	busy_core(100);
	status.snapshot.core[100].longest_outage_ns = 2 * NS_PER_S;
	status.load[100].turns[10] = 0;
	status.load[100].turns[14] = 196;
	status.load[100].longest_ns = 20 * NS_PER_MS;
	status.load[100].busy_ns = 80 * NS_PER_S;
	status.load[100].idle_ns = 0;
	status.load[100].frames_per_s = 1000;
	/* One that has no row has no part in it, whatever lies there. */
	status.load[7].late = 5000;
	write_text();
	assert_int_equal(text.nb_lines, FIRST_ROW + 3);
	expect_cell(FIRST_ROW + 1, "core", "100");
	expect_cell(FIRST_ROW + 2, "core", "all");
	expect_cell(FIRST_ROW + 2, "deaths", "24");
	expect_cell(FIRST_ROW + 2, "restarts", "22");
	expect_cell(FIRST_ROW + 2, "recoveries", "2");
	expect_cell(FIRST_ROW + 2, "longest", "2000.0");
	/* 96 of 296 turns lie below 2048 ns, 200 in 16384 to 32767: the median is the 52nd of those. */
	expect_cell(FIRST_ROW + 2, "p50", "20.6");
	expect_cell(FIRST_ROW + 2, "max", "20000.0");
	expect_cell(FIRST_ROW + 2, "late", "14");
	expect_cell(FIRST_ROW + 2, "busy%", "68.8");
	expect_cell(FIRST_ROW + 2, "Mpps", "14.882");
}

static void
without_a_core_it_says_so(void **state)
{
	(void)state;
	status.snapshot.core[3].launched_ns = 0;
	write_text();
	assert_int_equal(text.nb_lines, 3);
	expect_line(2, "No core yet.");
}

static void
the_originals_segment_shows_what_there_is(void **state)
{
	(void)state;
	memset(&status.identity, 0, sizeof(status.identity));
	memset(&status.snapshot, 0, sizeof(status.snapshot));
	status.legacy = true;
	status.snapshot.core[1].state = KA_STATE_ALIVE;
	status.snapshot.core[2].state = KA_STATE_DEAD;
	status.snapshot.core[4].last_seen_tsc = 5;
	write_text();
	assert_int_equal(text.nb_lines, FIRST_ROW + 3);
	expect_line(0, "the original l2fwd-keepalive of DPDK at /seg");
	expect_cell(FIRST_ROW, "core", "1");
	expect_cell(FIRST_ROW, "state", "ALIVE");
	expect_cell(FIRST_ROW, "deaths", "-");
	expect_cell(FIRST_ROW + 1, "state", "DEAD");
	expect_cell(FIRST_ROW + 2, "core", "4");
	expect_cell(FIRST_ROW + 2, "state", "UNUSED");
	status.owner = STATUS_STOPPED;
	write_text();
	expect_line(0, "l2fwd-keepalive has stopped; waiting for the next one at /seg");
}

#define TEST(function) cmocka_unit_test_setup(function, fresh)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_head_says_who_since_when_and_when_it_last_ticked),
		TEST(the_head_follows_what_happens_to_the_owner),
		TEST(a_refusal_is_the_head_and_the_name_cannot_speak_to_the_terminal),
		TEST(uptime_has_days_when_there_are_any_and_is_never_negative),
		TEST(the_table_is_what_it_was_when_it_was_looked_at_by_a_person),
		TEST(a_core_that_was_just_launched_has_nothing_to_tell),
		TEST(every_state_and_every_cause_has_its_word),
		TEST(the_core_that_crashed_is_dead_of_it),
		TEST(ports_in_a_row_are_given_as_a_range),
		TEST(a_figure_too_long_for_its_column_is_given_in_thousands),
		TEST(no_line_is_wider_than_120_with_two_ports_a_core),
		TEST(a_rate_is_shown_as_long_as_it_is_one),
		TEST(the_sum_takes_all_cores_as_one),
		TEST(without_a_core_it_says_so),
		TEST(the_originals_segment_shows_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

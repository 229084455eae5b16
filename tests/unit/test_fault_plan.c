/* SPDX-License-Identifier: BSD-3-Clause */

/* Plans of faults, by table. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fault_plan.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The longest number of a row. */
#define DIGITS "00000000000000000000000000000000000000000000000000000000000000000000000000000000"

static struct fault_plan plan;
static char why[FAULT_WHY_MAX];

/* Read a plan; also check what is true of every one. */
static bool
parses(const char *text)
{
	int rc;

	memset(&plan, 0xa5, sizeof(plan));
	memset(why, 'x', sizeof(why));
	rc = fault_parse(text, &plan, why);
	assert_non_null(memchr(why, '\0', sizeof(why)));
	assert_int_equal(rc == 0, why[0] == '\0');
	if (rc != 0) {
		assert_int_equal(rc, -EINVAL);
		assert_int_equal(plan.nb, 0);
	}
	return rc == 0;
}

static void
expect_entry(const char *text, size_t i, const struct fault_entry *want)
{
	const struct fault_entry *got = &plan.entry[i];

	if (got->lcore != want->lcore || got->kind != want->kind ||
	    got->length_ns != want->length_ns || got->at_ns != want->at_ns)
		fail_msg("%s: entry %zu is lcore %u, kind %d, %ju ns, at %ju ns", text, i,
			 got->lcore, (int)got->kind, (uintmax_t)got->length_ns,
			 (uintmax_t)got->at_ns);
}

static void
one_fault_is_read_as_it_is_written(void **state)
{
	static const struct {
		const char *text;
		struct fault_entry entry;
	} rows[] = {
		{ "1:exit", { 1, FAULT_EXIT, 0, 0 } },
		{ "1:spin", { 1, FAULT_SPIN, 0, 0 } },
		{ "0:block", { 0, FAULT_BLOCK, 0, 0 } },
		{ "127:segv", { 127, FAULT_SEGV, 0, 0 } },
		{ "007:nostart", { 7, FAULT_NOSTART, 0, 0 } },
		{ DIGITS "3:exit", { 3, FAULT_EXIT, 0, 0 } },
		{ "2:slow:8", { 2, FAULT_SLOW, 8 * NS_PER_MS, 0 } },
		{ "2:slow:1.5", { 2, FAULT_SLOW, 1500000, 0 } },
		{ "2:slow:0.000001", { 2, FAULT_SLOW, 1, 0 } },
		{ "2:slow:86400000", { 2, FAULT_SLOW, 86400 * NS_PER_S, 0 } },
		{ "0:monitor-stall:500", { 0, FAULT_MONITOR_STALL, 500 * NS_PER_MS, 0 } },
		{ "1:exit@0", { 1, FAULT_EXIT, 0, 0 } },
		{ "1:exit@2", { 1, FAULT_EXIT, 0, 2 * NS_PER_S } },
		{ "1:exit@0.25", { 1, FAULT_EXIT, 0, 250 * NS_PER_MS } },
		{ "1:exit@1.000000001", { 1, FAULT_EXIT, 0, NS_PER_S + 1 } },
		{ "1:exit@1.0000000010000", { 1, FAULT_EXIT, 0, NS_PER_S + 1 } },
		{ "1:exit@" DIGITS "1." DIGITS, { 1, FAULT_EXIT, 0, NS_PER_S } },
		{ "1:exit@86400.0", { 1, FAULT_EXIT, 0, 86400 * NS_PER_S } },
		{ "3:slow:7.5@0.5", { 3, FAULT_SLOW, 7500000, 500 * NS_PER_MS } },
		{ "3:monitor-stall:10@9",
		  { 3, FAULT_MONITOR_STALL, 10 * NS_PER_MS, 9 * NS_PER_S } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		if (!parses(rows[i].text))
			fail_msg("%s: refused: %s", rows[i].text, why);
		assert_int_equal(plan.nb, 1);
		expect_entry(rows[i].text, 0, &rows[i].entry);
	}
}

static void
many_faults_keep_their_order(void **state)
{
	static const char text[] = "1:exit@3,2:slow:10@1,1:exit,0:monitor-stall:20@1.5";
	static const struct fault_entry want[] = {
		{ 1, FAULT_EXIT, 0, 3 * NS_PER_S },
		{ 2, FAULT_SLOW, 10 * NS_PER_MS, NS_PER_S },
		{ 1, FAULT_EXIT, 0, 0 },
		{ 0, FAULT_MONITOR_STALL, 20 * NS_PER_MS, 1500 * NS_PER_MS },
	};

	(void)state;
	assert_true(parses(text));
	assert_int_equal(plan.nb, LENGTH(want));
	for (size_t i = 0; i < LENGTH(want); i++)
		expect_entry(text, i, &want[i]);
}

static void
a_plan_holds_so_many_faults_and_no_more(void **state)
{
	char text[FAULT_MAX_ENTRIES * 8 + 16] = "0:spin";

	(void)state;
	for (unsigned int i = 1; i < FAULT_MAX_ENTRIES; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%u:spin", i);
	assert_true(parses(text));
	assert_int_equal(plan.nb, FAULT_MAX_ENTRIES);
	expect_entry(text, FAULT_MAX_ENTRIES - 1,
		     &(struct fault_entry){ FAULT_MAX_ENTRIES - 1, FAULT_SPIN, 0, 0 });

	snprintf(text + strlen(text), sizeof(text) - strlen(text), ",100:segv");
	assert_false(parses(text));
	assert_string_equal(why, "has more than 64 faults, from '100:segv' on");
}

/* A plan that cannot be, and what is said against it. */
struct refusal {
	const char *text;
	const char *why;
};

static void
expect_refusals(const struct refusal *rows, size_t nb)
{
	for (size_t i = 0; i < nb; i++) {
		if (parses(rows[i].text))
			fail_msg("'%s' was taken", rows[i].text);
		if (strcmp(why, rows[i].why) != 0)
			fail_msg("'%s': \"%s\" instead of \"%s\"", rows[i].text, why, rows[i].why);
	}
}

static void
a_wrong_lcore_is_refused_with_the_wrong_part(void **state)
{
	static const struct refusal rows[] = {
		{ "", "ends where the number of an lcore is due" },
		{ "1:exit,", "ends where the number of an lcore is due" },
		{ ",1:exit", "has '' where the number of an lcore is due" },
		{ "1:exit,,2:exit", "has '' where the number of an lcore is due" },
		{ "exit", "has 'exit' where the number of an lcore is due" },
		{ ":exit", "has '' where the number of an lcore is due" },
		{ "-1:exit", "has '-1' where the number of an lcore is due" },
		{ " 1:exit", "has ' 1' where the number of an lcore is due" },
		{ "1:exit, 2:exit", "has ' 2' where the number of an lcore is due" },
		{ "x:monitor-stall:5", "has 'x' where the number of an lcore is due" },
		{ "128:exit", "has lcore 128, the highest is 127" },
		{ "4294967297:exit", "has lcore 4294967297, the highest is 127" },
		{ "9" DIGITS ":exit", "has lcore 900000000000000000000000, the highest is 127" },
		{ "1", "ends where a ':' is due" },
		{ "1.5:exit", "has '.5:exit' where a ':' is due" },
		{ "0x1:exit", "has 'x1:exit' where a ':' is due" },
		{ "1@2", "has '@2' where a ':' is due" },
	};

	(void)state;
	expect_refusals(rows, LENGTH(rows));
}

static void
a_wrong_kind_is_refused_with_the_wrong_part(void **state)
{
	static const struct refusal rows[] = {
		{ "1:", "ends where a kind of fault is due" },
		{ "1:,2:exit", "has kind '', which there is not" },
		{ "1:spinn", "has kind 'spinn', which there is not" },
		{ "1:spi@2", "has kind 'spi', which there is not" },
		{ "1:EXIT", "has kind 'EXIT', which there is not" },
		{ "1:exit ", "has kind 'exit ', which there is not" },
		{ "1:monitor", "has kind 'monitor', which there is not" },
		{ "2:exit,1:abcdefghijklmnopqrstuvwxyzabcdef",
		  "has kind 'abcdefghijklmnopqrstuvwx', which there is not" },
	};

	(void)state;
	expect_refusals(rows, LENGTH(rows));
}

static void
a_wrong_length_is_refused_with_the_wrong_part(void **state)
{
	static const struct refusal rows[] = {
		{ "1:slow", "ends where a ':' is due" },
		{ "1:slow@2", "has '@2' where a ':' is due" },
		{ "1:slow,2:exit", "has '' where a ':' is due" },
		{ "1:slow:", "ends where milliseconds are due" },
		{ "1:slow:@2", "has '' where decimal milliseconds of up to a day are due" },
		{ "1:slow:x", "has 'x' where decimal milliseconds of up to a day are due" },
		{ "1:slow:-5", "has '-5' where decimal milliseconds of up to a day are due" },
		{ "1:slow:5ms", "has '5ms' where decimal milliseconds of up to a day are due" },
		{ "1:slow:5.", "has '5.' where decimal milliseconds of up to a day are due" },
		{ "1:slow:.5", "has '.5' where decimal milliseconds of up to a day are due" },
		{ "1:slow:1e3", "has '1e3' where decimal milliseconds of up to a day are due" },
		{ "1:slow:0.0000001",
		  "has '0.0000001' where decimal milliseconds of up to a day are due" },
		{ "1:slow:86400000.000001",
		  "has '86400000.000001' where decimal milliseconds of up to a day are due" },
		{ "1:slow:0", "has a 'slow' of 0 ms" },
		{ "1:slow:0.000@2", "has a 'slow' of 0 ms" },
		{ "1:monitor-stall:0", "has a 'monitor-stall' of 0 ms" },
		{ "1:exit:5", "has ':5' behind 'exit', which takes no time" },
		{ "1:exit:@5", "has ':' behind 'exit', which takes no time" },
		{ "1:slow:5:6", "has '5:6' where decimal milliseconds of up to a day are due" },
	};

	(void)state;
	expect_refusals(rows, LENGTH(rows));
}

static void
a_wrong_moment_is_refused_with_the_wrong_part(void **state)
{
	static const struct refusal rows[] = {
		{ "1:exit@", "ends where seconds are due" },
		{ "1:exit@,2:exit", "has '' where decimal seconds of up to a day are due" },
		{ "1:exit@soon", "has 'soon' where decimal seconds of up to a day are due" },
		{ "1:exit@-1", "has '-1' where decimal seconds of up to a day are due" },
		{ "1:exit@+1", "has '+1' where decimal seconds of up to a day are due" },
		{ "1:exit@86401", "has '86401' where decimal seconds of up to a day are due" },
		{ "1:exit@18446744074.5",
		  "has '18446744074.5' where decimal seconds of up to a day are due" },
		{ "1:exit@9" DIGITS,
		  "has '900000000000000000000000' where decimal seconds of up to a day are due" },
		{ "1:exit@0.0000000001",
		  "has '0.0000000001' where decimal seconds of up to a day are due" },
		{ "1:exit@1@2", "has '@2' where a ',' is due" },
		{ "1:exit@1;2:exit",
		  "has '1;2:exit' where decimal seconds of up to a day are due" },
	};

	(void)state;
	expect_refusals(rows, LENGTH(rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_fault_is_read_as_it_is_written),
		cmocka_unit_test(many_faults_keep_their_order),
		cmocka_unit_test(a_plan_holds_so_many_faults_and_no_more),
		cmocka_unit_test(a_wrong_lcore_is_refused_with_the_wrong_part),
		cmocka_unit_test(a_wrong_kind_is_refused_with_the_wrong_part),
		cmocka_unit_test(a_wrong_length_is_refused_with_the_wrong_part),
		cmocka_unit_test(a_wrong_moment_is_refused_with_the_wrong_part),
	};

	return cmocka_run_group_tests_name("fault_plan", tests, NULL, NULL);
}

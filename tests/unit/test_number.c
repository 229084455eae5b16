/* SPDX-License-Identifier: BSD-3-Clause */

/* Numbers and times, by table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "number.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* More digits than any number has room for. */
#define NOUGHTS "0000000000000000000000000000000000000000"

/* What a result holds before a reader is asked. */
#define UNTOUCHED UINT64_C(0xa5a5a5a5a5a5a5a5)

/* What is to come out of a text. */
struct want {
	enum number_error error;
	uint64_t value; /* For NUMBER_OK. */
	const char *rest;
};

static void
expect(const char *text, const struct want *want, enum number_error error, uint64_t value,
       const char *rest)
{
	const uint64_t value_due = want->error == NUMBER_OK ? want->value : UNTOUCHED;

	if (error != want->error)
		fail_msg("'%s': error %d instead of %d", text, (int)error, (int)want->error);
	if (value != value_due)
		fail_msg("'%s': gave %ju instead of %ju", text, (uintmax_t)value,
			 (uintmax_t)value_due);
	if (strcmp(rest, want->rest) != 0)
		fail_msg("'%s': stopped at '%s' instead of '%s'", text, rest, want->rest);
}

static void
a_digit_has_its_value_and_nothing_else_has_one(void **state)
{
	static const char digits[] = "0123456789abcdef";
	static const char capitals[] = "ABCDEF";

	(void)state;
	for (int c = -128; c < 256; c++) {
		const char *small = c > 0 ? strchr(digits, c) : NULL;
		const char *capital = c > 0 ? strchr(capitals, c) : NULL;
		unsigned int want = 16;

		if (small != NULL)
			want = (unsigned int)(small - digits);
		else if (capital != NULL)
			want = (unsigned int)(capital - capitals) + 10;
		if (number_digit((char)c) != want)
			fail_msg("character %d: %u instead of %u", c, number_digit((char)c), want);
	}
}

static void
a_number_is_taken_as_it_is_written_or_refused(void **state)
{
	static const struct {
		const char *text;
		unsigned int base;
		uint64_t max;
		struct want want;
	} rows[] = {
		{ "0", 10, 0, { NUMBER_OK, 0, "" } },
		{ "7", 10, 7, { NUMBER_OK, 7, "" } },
		{ "8", 10, 7, { NUMBER_TOO_LARGE, 0, "" } },
		{ "10", 10, 7, { NUMBER_TOO_LARGE, 0, "" } },
		{ "1", 10, 0, { NUMBER_TOO_LARGE, 0, "" } },
		{ "007", 10, 7, { NUMBER_OK, 7, "" } },
		{ NOUGHTS "7", 10, 7, { NUMBER_OK, 7, "" } },
		{ "127", 10, 127, { NUMBER_OK, 127, "" } },
		{ "128", 10, 127, { NUMBER_TOO_LARGE, 0, "" } },
		{ "130", 10, 127, { NUMBER_TOO_LARGE, 0, "" } },
		{ "1270", 10, 127, { NUMBER_TOO_LARGE, 0, "" } },
		{ "4294967297", 10, 127, { NUMBER_TOO_LARGE, 0, "" } },
		{ "18446744073709551615", 10, UINT64_MAX, { NUMBER_OK, UINT64_MAX, "" } },
		{ "18446744073709551616", 10, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		{ "18446744073709551620", 10, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		{ "184467440737095516150", 10, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		/* No later digit makes one that was too large fit again. */
		{ "9" NOUGHTS "0", 10, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		{ "9" NOUGHTS "x", 10, 7, { NUMBER_TOO_LARGE, 0, "x" } },
		/* Other bases. */
		{ "1012", 2, 7, { NUMBER_OK, 5, "2" } },
		{ "0777", 8, 0777, { NUMBER_OK, 0777, "" } },
		{ "1000", 8, 0777, { NUMBER_TOO_LARGE, 0, "" } },
		{ "678", 8, 0777, { NUMBER_OK, 067, "8" } },
		{ "fFg", 16, 255, { NUMBER_OK, 255, "g" } },
		{ "ffffffffffffffff", 16, UINT64_MAX, { NUMBER_OK, UINT64_MAX, "" } },
		{ "10000000000000000", 16, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		/* What comes behind it is for others to judge. */
		{ "5/1", 10, 9, { NUMBER_OK, 5, "/1" } },
		{ "1.5", 10, 9, { NUMBER_OK, 1, ".5" } },
		{ "0x5", 10, 9, { NUMBER_OK, 0, "x5" } },
		{ "5e3", 10, 9, { NUMBER_OK, 5, "e3" } },
		{ "5 ", 10, 9, { NUMBER_OK, 5, " " } },
		/* There is none. */
		{ "", 10, 9, { NUMBER_NONE, 0, "" } },
		{ "-1", 10, 9, { NUMBER_NONE, 0, "-1" } },
		{ "+1", 10, 9, { NUMBER_NONE, 0, "+1" } },
		{ " 1", 10, 9, { NUMBER_NONE, 0, " 1" } },
		{ "a", 10, 9, { NUMBER_NONE, 0, "a" } },
		{ "9", 8, 9, { NUMBER_NONE, 0, "9" } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const char *rest = rows[i].text;
		uint64_t number = UNTOUCHED;
		enum number_error error = number_take(&rest, rows[i].base, rows[i].max, &number);

		expect(rows[i].text, &rows[i].want, error, number, rest);
	}
}

/* One time in a unit, with a limit. */
struct time_row {
	const char *text;
	uint64_t unit_ns;
	uint64_t max_ns;
	struct want want;
};

static void
expect_times(const struct time_row *rows, size_t nb)
{
	for (size_t i = 0; i < nb; i++) {
		const char *rest = rows[i].text;
		uint64_t ns = UNTOUCHED;
		enum number_error error =
			number_take_time(&rest, rows[i].unit_ns, rows[i].max_ns, &ns);

		expect(rows[i].text, &rows[i].want, error, ns, rest);
	}
}

static void
a_time_is_exact_to_the_nanosecond(void **state)
{
	static const struct time_row rows[] = {
		{ "0", NS_PER_MS, 0, { NUMBER_OK, 0, "" } },
		{ "0.000", NS_PER_MS, 0, { NUMBER_OK, 0, "" } },
		{ "5", NS_PER_MS, NS_PER_S, { NUMBER_OK, 5000000, "" } },
		{ "005.250", NS_PER_MS, NS_PER_S, { NUMBER_OK, 5250000, "" } },
		{ "0.1", NS_PER_MS, NS_PER_S, { NUMBER_OK, 100000, "" } },
		{ "0.000001", NS_PER_MS, NS_PER_S, { NUMBER_OK, 1, "" } },
		{ "0.0000010" NOUGHTS, NS_PER_MS, NS_PER_S, { NUMBER_OK, 1, "" } },
		{ NOUGHTS "1." NOUGHTS, NS_PER_MS, NS_PER_S, { NUMBER_OK, NS_PER_MS, "" } },
		{ "1.234567891", NS_PER_S, 2 * NS_PER_S, { NUMBER_OK, 1234567891, "" } },
		{ "7.0", 1, 7, { NUMBER_OK, 7, "" } },
		/* Finer than that. */
		{ "0.0000001", NS_PER_MS, NS_PER_S, { NUMBER_TOO_FINE, 0, "" } },
		{ "0.5000001", NS_PER_MS, NS_PER_S, { NUMBER_TOO_FINE, 0, "" } },
		{ "0.0000000001", NS_PER_S, NS_PER_S, { NUMBER_TOO_FINE, 0, "" } },
		{ "0." NOUGHTS "1", NS_PER_S, NS_PER_S, { NUMBER_TOO_FINE, 0, "" } },
		{ "0." NOUGHTS "10x", NS_PER_S, NS_PER_S, { NUMBER_TOO_FINE, 0, "x" } },
		{ "6.5", 1, 7, { NUMBER_TOO_FINE, 0, "" } },
	};

	(void)state;
	expect_times(rows, LENGTH(rows));
}

static void
a_time_up_to_the_limit_is_taken_and_nothing_beyond(void **state)
{
	static const struct time_row rows[] = {
		{ "3", NS_PER_S, 3 * NS_PER_S, { NUMBER_OK, 3 * NS_PER_S, "" } },
		{ "3.000", NS_PER_S, 3 * NS_PER_S, { NUMBER_OK, 3 * NS_PER_S, "" } },
		{ "2.999999999", NS_PER_S, 3 * NS_PER_S, { NUMBER_OK, 3 * NS_PER_S - 1, "" } },
		{ "3.000000001", NS_PER_S, 3 * NS_PER_S, { NUMBER_TOO_LARGE, 0, "" } },
		{ "3.0000000001", NS_PER_S, 3 * NS_PER_S, { NUMBER_TOO_LARGE, 0, "" } },
		{ "4", NS_PER_S, 3 * NS_PER_S, { NUMBER_TOO_LARGE, 0, "" } },
		{ "4.0000000001", NS_PER_S, 3 * NS_PER_S, { NUMBER_TOO_LARGE, 0, "" } },
		{ "9" NOUGHTS ".5,", NS_PER_S, 3 * NS_PER_S, { NUMBER_TOO_LARGE, 0, "," } },
		/* A limit between two units. */
		{ "1.5", NS_PER_S, 1500 * NS_PER_MS, { NUMBER_OK, 1500 * NS_PER_MS, "" } },
		{ "1.500000001", NS_PER_S, 1500 * NS_PER_MS, { NUMBER_TOO_LARGE, 0, "" } },
		{ "1.5000000001", NS_PER_S, 1500 * NS_PER_MS, { NUMBER_TOO_LARGE, 0, "" } },
		{ "1.4000000001", NS_PER_S, 1500 * NS_PER_MS, { NUMBER_TOO_FINE, 0, "" } },
		{ "0.7", NS_PER_S, 7, { NUMBER_TOO_LARGE, 0, "" } },
		{ "0.000000007", NS_PER_S, 7, { NUMBER_OK, 7, "" } },
		/* All that a result can hold, and what would turn over. */
		{ "18446744073.709551615", NS_PER_S, UINT64_MAX, { NUMBER_OK, UINT64_MAX, "" } },
		{ "18446744073.709551616", NS_PER_S, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		{ "18446744074", NS_PER_S, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
		{ "18446744073709551616", NS_PER_S, UINT64_MAX, { NUMBER_TOO_LARGE, 0, "" } },
	};

	(void)state;
	expect_times(rows, LENGTH(rows));
}

static void
a_time_has_digits_on_both_sides_of_its_point(void **state)
{
	static const struct time_row rows[] = {
		{ "", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "" } },
		{ ".", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "." } },
		{ ".5", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, ".5" } },
		{ "5.", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "" } },
		{ "5.,6", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, ",6" } },
		{ "5.-5", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "-5" } },
		{ "5.a", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "a" } },
		{ "9999999999.", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "" } },
		{ "-5", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "-5" } },
		{ "+5", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "+5" } },
		{ " 5", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, " 5" } },
		{ "nan", NS_PER_MS, NS_PER_S, { NUMBER_NONE, 0, "nan" } },
		/* Behind it is for others to judge. */
		{ "1.5.5", NS_PER_MS, NS_PER_S, { NUMBER_OK, 1500000, ".5" } },
		{ "1.5@2", NS_PER_MS, NS_PER_S, { NUMBER_OK, 1500000, "@2" } },
		{ "1e3", NS_PER_MS, NS_PER_S, { NUMBER_OK, NS_PER_MS, "e3" } },
		{ "0,5", NS_PER_MS, NS_PER_S, { NUMBER_OK, 0, ",5" } },
	};

	(void)state;
	expect_times(rows, LENGTH(rows));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_digit_has_its_value_and_nothing_else_has_one),
		cmocka_unit_test(a_number_is_taken_as_it_is_written_or_refused),
		cmocka_unit_test(a_time_is_exact_to_the_nanosecond),
		cmocka_unit_test(a_time_up_to_the_limit_is_taken_and_nothing_beyond),
		cmocka_unit_test(a_time_has_digits_on_both_sides_of_its_point),
	};

	return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}

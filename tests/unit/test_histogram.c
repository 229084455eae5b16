/* SPDX-License-Identifier: BSD-3-Clause */

/* Histograms of times, and what a worker's loop counts into one. */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"
#include "loop.h"

#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void
expect(const char *what, uint64_t about, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s of %" PRIu64 ": %" PRIu64 " instead of %" PRIu64, what, about, got,
			 want);
}

/* ---- The histogram ---- */

static void
a_bucket_begins_at_its_power_of_two_and_the_last_takes_the_rest(void **state)
{
	static const struct {
		uint64_t ns;
		unsigned int bucket;
	} rows[] = {
		{ 0, 0 },
		{ 1, 0 },
		{ 2, 1 },
		{ 3, 1 },
		{ 4, 2 },
		{ 1023, 9 },
		{ 1024, 10 },
		{ (UINT64_C(1) << 31) - 1, 30 },
		{ UINT64_C(1) << 31, 31 },
		{ UINT64_C(1) << 32, 31 },
		{ UINT64_MAX, 31 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		expect("bucket", rows[i].ns, histogram_bucket(rows[i].ns), rows[i].bucket);
	for (unsigned int b = 1; b < HISTOGRAM_BUCKETS; b++) {
		expect("bucket", UINT64_C(1) << b, histogram_bucket(UINT64_C(1) << b), b);
		expect("bucket", (UINT64_C(1) << b) - 1, histogram_bucket((UINT64_C(1) << b) - 1),
		       b - 1);
	}
}

static void
the_total_is_the_sum_of_all_buckets(void **state)
{
	uint64_t bucket[HISTOGRAM_BUCKETS] = { 0 };

	(void)state;
	expect("total", 0, histogram_total(bucket), 0);
	bucket[0] = 1;
	bucket[7] = 20;
	bucket[HISTOGRAM_BUCKETS - 1] = 300;
	expect("total", 3, histogram_total(bucket), 321);
}

static void
nothing_counted_has_no_quantile(void **state)
{
	const uint64_t bucket[HISTOGRAM_BUCKETS] = { 0 };

	(void)state;
	expect("median", 0, histogram_quantile(bucket, 0.5, 0), 0);
	expect("median", 0, histogram_quantile(bucket, 0.5, 1000), 0);
}

static void
a_quantile_lies_within_its_bucket_in_proportion(void **state)
{
	static const struct {
		uint64_t counts[12]; /* Of the first buckets. */
		double share;
		uint64_t longest_ns, want;
	} rows[] = {
		/* All in 1024..2047. */
		{ { [10] = 4 }, 0.5, 2047, 1536 },
		{ { [10] = 4 }, 0.25, 2047, 1280 },
		/* Never above the longest. */
		{ { [10] = 4 }, 1, 2047, 2047 },
		{ { [10] = 4 }, 1, 1100, 1100 },
		{ { [10] = 1 }, 0.99, 1030, 1030 },
		/* The first bucket begins at 0. */
		{ { [0] = 10 }, 0.5, 1, 1 },
		{ { [0] = 10 }, 0.4, 1, 0 },
		/* Half of them lie below 16, and the median ends there. */
		{ { [3] = 5, [9] = 5 }, 0.5, 1000, 16 },
		{ { [3] = 5, [9] = 5 }, 0.6, 1000, 614 },
		/* One in a hundred: p99 stays below it, p999 does not. */
		{ { [3] = 99, [10] = 1 }, 0.99, 2000, 16 },
		{ { [3] = 99, [10] = 1 }, 0.999, 2000, 1945 },
		/* Empty buckets on the way are passed. */
		{ { [1] = 1, [11] = 1 }, 1, 4000, 4000 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		uint64_t bucket[HISTOGRAM_BUCKETS] = { 0 };

		memcpy(bucket, rows[i].counts, sizeof(rows[i].counts));
		expect("quantile of row", i,
		       histogram_quantile(bucket, rows[i].share, rows[i].longest_ns), rows[i].want);
	}
}

static void
the_last_bucket_ends_with_the_longest_time(void **state)
{
	const uint64_t begin = UINT64_C(1) << 31;
	uint64_t bucket[HISTOGRAM_BUCKETS] = { 0 };

	(void)state;
	bucket[HISTOGRAM_BUCKETS - 1] = 2;
	expect("median", 2, histogram_quantile(bucket, 0.5, begin + 1000), begin + 500);
	expect("p100", 2, histogram_quantile(bucket, 1, begin + 1000), begin + 1000);
}

static void
quantiles_rise_with_their_share(void **state)
{
	uint64_t bucket[HISTOGRAM_BUCKETS], last = 0;

	(void)state;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		bucket[i] = (i * 7919) % 13;
	for (unsigned int i = 0; i <= 1000; i++) {
		uint64_t ns = histogram_quantile(bucket, i / 1000., NS_PER_S * 5);

		if (ns < last)
			fail_msg("at %u / 1000: %" PRIu64 " after %" PRIu64, i, ns, last);
		last = ns;
	}
}

/* ---- The loop ---- */

static void
a_turn_is_counted_in_nanoseconds_whatever_the_rate_of_the_tsc(void **state)
{
	static const struct {
		uint64_t hz, tsc, ns;
	} rows[] = {
		{ NS_PER_S, 1000, 1000 },
		{ 2 * NS_PER_S, 3000, 1500 },
		{ 2100000000, 2100, 1000 },
		{ 24000000, 24, 1000 },
		{ NS_PER_S, NS_PER_S * 86400, NS_PER_S * 86400 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct loop_stats stats = { .late_ns = 0 };
		uint64_t ns;

		loop_init(&stats, rows[i].hz, 0);
		loop_note(&stats, rows[i].tsc, 1);
		ns = counter_read(&stats.longest_ns);
		/* The factor is rounded down: less than a nanosecond in a second is lost. */
		if (ns > rows[i].ns || rows[i].ns - ns > 1 + rows[i].ns / NS_PER_S)
			fail_msg("%" PRIu64 " ticks of %" PRIu64 " Hz: %" PRIu64
				 " ns instead of %" PRIu64,
				 rows[i].tsc, rows[i].hz, ns, rows[i].ns);
		expect("counted in its bucket", ns,
		       counter_read(&stats.turns[histogram_bucket(ns)]), 1);
	}
}

static void
turns_with_frames_are_busy_and_the_others_idle(void **state)
{
	struct loop_stats stats = { .late_ns = 0 };
	uint64_t turns[HISTOGRAM_BUCKETS];

	(void)state;
	loop_init(&stats, NS_PER_S, 0);
	loop_note(&stats, 100, 1);
	loop_note(&stats, 1000, 0);
	loop_note(&stats, 200, 3);
	expect("busy", 3, counter_read(&stats.busy_ns), 300);
	expect("idle", 3, counter_read(&stats.idle_ns), 1000);
	expect("bursts", 3, counter_read(&stats.bursts), 4);
	expect("longest", 3, counter_read(&stats.longest_ns), 1000);
	loop_read_turns(turns, &stats);
	expect("turns", 3, histogram_total(turns), 3);
	expect("turns of 64 to 127 ns", 3, turns[6], 1);
	expect("turns of 128 to 255 ns", 3, turns[7], 1);
	expect("turns of 512 to 1023 ns", 3, turns[9], 1);
}

static void
a_turn_of_late_ns_is_late_and_0_means_that_none_is(void **state)
{
	struct loop_stats stats = { .late_ns = 0 };

	(void)state;
	loop_init(&stats, NS_PER_S, 500);
	loop_note(&stats, 499, 1);
	expect("late", 499, counter_read(&stats.late), 0);
	loop_note(&stats, 500, 0);
	loop_note(&stats, 501, 1);
	loop_note(&stats, 10, 1);
	expect("late", 4, counter_read(&stats.late), 2);

	memset(&stats, 0, sizeof(stats));
	loop_init(&stats, NS_PER_S, 0);
	loop_note(&stats, 0, 1);
	loop_note(&stats, NS_PER_S, 1);
	expect("late", 2, counter_read(&stats.late), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_begins_at_its_power_of_two_and_the_last_takes_the_rest),
		cmocka_unit_test(the_total_is_the_sum_of_all_buckets),
		cmocka_unit_test(nothing_counted_has_no_quantile),
		cmocka_unit_test(a_quantile_lies_within_its_bucket_in_proportion),
		cmocka_unit_test(the_last_bucket_ends_with_the_longest_time),
		cmocka_unit_test(quantiles_rise_with_their_share),
		cmocka_unit_test(a_turn_is_counted_in_nanoseconds_whatever_the_rate_of_the_tsc),
		cmocka_unit_test(turns_with_frames_are_busy_and_the_others_idle),
		cmocka_unit_test(a_turn_of_late_ns_is_late_and_0_means_that_none_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

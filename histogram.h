/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef HISTOGRAM_H
#define HISTOGRAM_H

/*
 * Histograms of times by powers of two: bucket b counts times of 2^b up to, and without, 2^(b + 1)
 * nanoseconds; the first one those of 0, too, the last one all that are longer. Pure; for both
 * programs.
 */

#include <stdint.h>

/** Buckets: the last one begins at 2.1 s. */
#define HISTOGRAM_BUCKETS 32

/** The bucket of a time in nanoseconds. In the header, since the worker's loop asks for it. */
static inline unsigned int
histogram_bucket(uint64_t ns)
{
	const unsigned int log2 = 63 - (unsigned int)__builtin_clzll(ns | 1);

	return log2 < HISTOGRAM_BUCKETS ? log2 : HISTOGRAM_BUCKETS - 1;
}

/** How many times were counted in all. */
uint64_t histogram_total(const uint64_t bucket[HISTOGRAM_BUCKETS]);

/**
 * The time that a share of those counted did not exceed.
 *
 * @param share  0 to 1: 0.5 for the median.
 * @param longest_ns  the longest time that was counted.
 * @return nanoseconds: where the time lies within its bucket is guessed as if all in it were spread
 *   evenly, and it is never above longest_ns. 0 when nothing was counted.
 */
uint64_t
histogram_quantile(const uint64_t bucket[HISTOGRAM_BUCKETS], double share, uint64_t longest_ns);

#endif /* HISTOGRAM_H */

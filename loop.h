/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LOOP_H
#define LOOP_H

/*
 * What the turns of a worker's loop took. The worker counts, in memory of its own; others read.
 */

#include <stdint.h>

#include "counter.h"
#include "histogram.h"

/** One worker's loop. Writer: the worker. Readers: all other threads. Order: relaxed. */
struct loop_stats {
	uint64_t
		ns_per_tsc; /**< Nanoseconds of a TSC tick times 2^32. Set before the first launch. */
	uint64_t late_ns;   /**< A turn that takes so long is late; 0 = none. Set before, too. */
	_Atomic uint64_t longest_ns;
	_Atomic uint64_t late;	  /**< Turns that took late_ns or more. */
	_Atomic uint64_t busy_ns; /**< In turns that received frames. */
	_Atomic uint64_t idle_ns; /**< In the others. */
	_Atomic uint64_t bursts;  /**< Bursts received. */
	_Atomic uint64_t turns[HISTOGRAM_BUCKETS];
};

/** Prepare for a rate of the TSC. @param late_ns 0 = no turn is late. */
void loop_init(struct loop_stats *stats, uint64_t tsc_hz, uint64_t late_ns);

/** Read the histogram from another lcore. */
void loop_read_turns(uint64_t turns[HISTOGRAM_BUCKETS], const struct loop_stats *stats);

/**
 * A turn has ended. The worker only.
 *
 * @param tsc  what it took, in TSC ticks.
 * @param nb_bursts  bursts that it received.
 */
static inline void
loop_note(struct loop_stats *stats, uint64_t tsc, unsigned int nb_bursts)
{
	const uint64_t ns = (uint64_t)((unsigned __int128)tsc * stats->ns_per_tsc >> 32);

	counter_add(&stats->turns[histogram_bucket(ns)], 1);
	counter_add(nb_bursts != 0 ? &stats->busy_ns : &stats->idle_ns, ns);
	counter_add(&stats->bursts, nb_bursts);
	if (__builtin_expect(ns >= stats->late_ns, 0) && stats->late_ns != 0)
		counter_add(&stats->late, 1);
	if (__builtin_expect(ns > counter_read(&stats->longest_ns), 0))
		atomic_store_explicit(&stats->longest_ns, ns, memory_order_relaxed);
}

#endif /* LOOP_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef COUNTER_H
#define COUNTER_H

/*
 * Counters that one thread writes and others read.
 */

#include <stdatomic.h>
#include <stdint.h>

/** Add to a counter of this thread's own: with one writer, load and store need not be one step. */
static inline void
counter_add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
			      memory_order_relaxed);
}

/** Read a counter, of any thread's. */
static inline uint64_t
counter_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif /* COUNTER_H */

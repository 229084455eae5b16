/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FAULT_H
#define FAULT_H

/*
 * Deaths and hangs made on purpose, for the demonstration and the tests. Runs in the worker.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault_plan.h"

/** No fault is due, ever. */
#define FAULT_NEVER UINT64_MAX

/** What --demo-fault says the random faults of the demonstration are. */
enum fault_demo {
	FAULT_DEMO_EXIT,
	FAULT_DEMO_SPIN,
	FAULT_DEMO_BLOCK,
	FAULT_DEMO_MIX, /**< One of these three each time. */
};

/** What all workers are to suffer. Set before the first launch. */
struct fault_config {
	const struct fault_plan *plan; /**< --fault; must outlive the workers. */
	uint64_t lifetime_tsc;	       /**< --demo-lifetime in TSC ticks; 0 = no random faults. */
	enum fault_demo demo;
	uint64_t start_tsc; /**< Start of the program: what the times of the plan count from. */
};

/** One worker's faults. The worker only, but for the two atomic fields. */
struct fault_worker {
	struct fault_config config;
	unsigned int lcore;
	uint64_t made;	   /**< Bit n: entry n of the plan was made. */
	uint64_t next_tsc; /**< When the next one of the plan, or at random, is due; FAULT_NEVER. */
	int entry;	   /**< Which one of the plan it is; -1 = a random one. */
	/**
	 * What the loop looks at: next_tsc, or 0 when one was ordered. Writers: the worker, and who
	 * orders. Reader: the worker. Order: relaxed in the loop; see fault_order().
	 */
	_Atomic uint64_t due_tsc;
	/** One that was ordered; 0 = none. Writer: who orders. Taken by the worker. */
	_Atomic uint64_t ordered;
};

/** Prepare for a worker. */
void fault_init(struct fault_worker *worker, const struct fault_config *config, unsigned int lcore);

/**
 * Seed the random moments of all lcores (rte_srand()). Each lcore then has a sequence of its
 * own, so that the same seed gives the same lives whatever order the lcores run in.
 */
void fault_seed(uint64_t seed);

/** A life begins: decide what is due next. Makes a FAULT_NOSTART that is due: never returns. */
void fault_begin_life(struct fault_worker *worker, uint64_t now_tsc);

/**
 * Make the fault that is due. Does not return from spinning, blocking and crashing.
 *
 * @return whether the worker is to leave its loop; if not, the next one is due at due_tsc.
 */
bool fault_make(struct fault_worker *worker);

/**
 * Order a fault at once, from any thread, without waiting. One at a time.
 *
 * @param fault  its kind and length; not FAULT_MONITOR_STALL.
 * @return 0, or -EBUSY while one that was ordered before is still to come.
 */
int fault_order(struct fault_worker *worker, const struct fault_entry *fault);

/**
 * Order the main lcore to stand still, from any thread, without waiting. It does so in its next
 * fault_stand_still().
 *
 * @param length_ns  1 or more.
 * @return as fault_order().
 */
int fault_order_stall(uint64_t length_ns);

/** The main lcore, once a round: stand still if that was ordered. */
void fault_stand_still(void);

/**
 * Make the calling lcore, the main one, stand still as the plan says (FAULT_MONITOR_STALL), by
 * timers of its own. Once in the life of the program.
 */
void fault_schedule_stalls(const struct fault_plan *plan);

#endif /* FAULT_H */

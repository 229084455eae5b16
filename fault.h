/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FAULT_H
#define FAULT_H

/*
 * Deaths and hangs made on purpose, for the demonstration and the tests. Runs in the worker.
 */

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

/** One worker's faults. The worker only. */
struct fault_worker {
	struct fault_config config;
	unsigned int lcore;
	uint64_t made;	  /**< Bit n: entry n of the plan was made. */
	uint64_t due_tsc; /**< When the next one is due; FAULT_NEVER. */
	int entry;	  /**< Which one of the plan it is; -1 = a random one. */
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
 * Make the calling lcore, the main one, stand still as the plan says (FAULT_MONITOR_STALL), by
 * timers of its own. Once in the life of the program.
 */
void fault_schedule_stalls(const struct fault_plan *plan);

#endif /* FAULT_H */

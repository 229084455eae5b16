/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FAULT_H
#define FAULT_H

/*
 * Deaths made on purpose, for the demonstration and the tests.
 */

#include <stdint.h>

/** No death is due, ever. */
#define FAULT_NEVER UINT64_MAX

/**
 * Seed the random moments of all lcores (rte_srand()). Each lcore then has a sequence of its
 * own, so that the same seed gives the same lives whatever order the lcores run in.
 */
void fault_seed(uint64_t seed);

/**
 * When a worker that is launched now shall leave its loop.
 *
 * @param now_tsc  TSC now.
 * @param lifetime_tsc  longest life in TSC ticks; 0 = no death is wanted.
 * @return TSC, evenly distributed over the lifetime, or FAULT_NEVER.
 */
uint64_t fault_end_of_life(uint64_t now_tsc, uint64_t lifetime_tsc);

#endif /* FAULT_H */

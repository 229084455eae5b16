/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_random.h>

#include "fault.h"

void
fault_seed(uint64_t seed)
{
	rte_srand(seed);
}

uint64_t
fault_end_of_life(uint64_t now_tsc, uint64_t lifetime_tsc)
{
	if (lifetime_tsc == 0)
		return FAULT_NEVER;
	return now_tsc + rte_rand_max(lifetime_tsc);
}

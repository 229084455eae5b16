/* SPDX-License-Identifier: BSD-3-Clause */

#include "loop.h"

#define NS_PER_S UINT64_C(1000000000)

void
loop_init(struct loop_stats *stats, uint64_t tsc_hz, uint64_t late_ns)
{
	stats->ns_per_tsc = (uint64_t)(((unsigned __int128)NS_PER_S << 32) / tsc_hz);
	stats->late_ns = late_ns;
}

void
loop_read_turns(uint64_t turns[HISTOGRAM_BUCKETS], const struct loop_stats *stats)
{
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		turns[i] = counter_read(&stats->turns[i]);
}

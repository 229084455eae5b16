/* SPDX-License-Identifier: BSD-3-Clause */

#include "histogram.h"

uint64_t
histogram_total(const uint64_t bucket[HISTOGRAM_BUCKETS])
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		total += bucket[i];
	return total;
}

uint64_t
histogram_quantile(const uint64_t bucket[HISTOGRAM_BUCKETS], double share, uint64_t longest_ns)
{
	const double wanted = share * (double)histogram_total(bucket);
	double below = 0;

	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		const double begin = i == 0 ? 0 : (double)(UINT64_C(1) << i);
		const double end = i == HISTOGRAM_BUCKETS - 1 ? (double)longest_ns :
								(double)(UINT64_C(2) << i);

		if (bucket[i] != 0 && below + (double)bucket[i] >= wanted) {
			double ns = begin + (end - begin) * (wanted - below) / (double)bucket[i];

			return ns < (double)longest_ns ? (uint64_t)ns : longest_ns;
		}
		below += (double)bucket[i];
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef START_H
#define START_H

/*
 * What is decided between the options and the first launch, with the one line that explains a
 * refusal: which ports and workers, and whose segment.
 */

#include <stddef.h>

#include "options.h"
#include "plan.h"
#include "shm.h"

/** Room for one line of explanation. */
#define START_ERROR_MAX 512

/** Worker lcores in the order of the plan. */
struct start_workers {
	size_t nb;
	unsigned int lcore[RTE_MAX_LCORE];
};

/** The worker lcores that EAL was given. */
struct start_workers start_workers(void);

/**
 * Decide which ports are used, how they are paired, and who polls them.
 *
 * @param error  one line without newline, when refused.
 * @return 0, or -EINVAL when the options do not fit the ports and lcores there are.
 */
int start_plan(struct plan *plan, const struct options *options,
	       const struct start_workers *workers, char error[START_ERROR_MAX]);

/**
 * Make the segment, on the NUMA node of the calling lcore where the machine has nodes, and
 * publish it.
 *
 * @param writer  set on success; to be given to ka_shm_destroy().
 * @param notice  one line when something is worth telling (a stale segment was replaced), else "".
 * @param error  one line without newline, when refused.
 * @return 0, or a negative errno value of ka_shm_create() or ka_shm_publish().
 */
int start_segment(struct ka_shm_writer **writer, const struct options *options,
		  char notice[START_ERROR_MAX], char error[START_ERROR_MAX]);

#endif /* START_H */

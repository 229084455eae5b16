/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef HEALTH_H
#define HEALTH_H

/* Whether a supervisor of the whole process should let it run: pure, by what is published of a core. */

#include <stdbool.h>
#include <stdint.h>

#include "shm.h"

/**
 * A core that has been silent for so long is not coming back by our own means: longer than the
 * longest pause before a restart. Nanoseconds; or HEALTH_PATIENCE_PERIODS check periods, if longer.
 */
#define HEALTH_PATIENCE_NS UINT64_C(2000000000)
#define HEALTH_PATIENCE_PERIODS 20

/**
 * Whether a core is well, or about to be.
 *
 * It is not when it was declared dead and has been silent for too long, whether it hangs and is only
 * watched, cannot be taken out, or dies again and again; nor when it was given up and nobody has
 * taken its ports. A core that the host robs of its CPU is well: another process would fare no better.
 *
 * @param nb_ports  that it polls, or would poll.
 * @param period_ns  between two pings.
 * @param now_ns  CLOCK_MONOTONIC.
 */
bool health_of_core(const struct ka_shm_core *core, unsigned int nb_ports, uint64_t period_ns,
		    uint64_t now_ns);

#endif /* HEALTH_H */

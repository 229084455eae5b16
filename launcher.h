/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef LAUNCHER_H
#define LAUNCHER_H

/*
 * Launching a worker without waiting for it.
 *
 * rte_eal_remote_launch() waits until the worker's thread has taken the work, which it cannot
 * while another program holds its CPU. The pings of all other cores would wait with it, so each
 * worker has a thread of its own that does the waiting.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_launch.h>

/** Opaque: the launching thread of one worker lcore. */
struct launcher;

/** How the last launch that was asked for stands. */
enum launcher_state {
	LAUNCHER_IDLE,	  /**< None was asked for, or its end was told already. */
	LAUNCHER_PENDING, /**< Asked for, and not yet taken by the worker's thread. */
	LAUNCHER_DONE,	  /**< The worker runs. Told once. */
	LAUNCHER_FAILED,  /**< rte_eal_remote_launch() refused. Told once. */
};

/**
 * Make the launching thread of a worker lcore.
 *
 * @param function,argument  what is launched each time.
 * @return it, to be given to launcher_destroy(), or NULL without memory or thread.
 */
struct launcher *launcher_create(unsigned int lcore, lcore_function_t *function, void *argument);

/** Ask for a launch; returns at once. Not while one is pending. */
void launcher_ask(struct launcher *launcher);

/**
 * A launch may be asked for soon, and its lcore's CPU has nothing to do: wake up and stay awake, since
 * a wake-up takes some 50 us. Gives way to whoever wants that CPU.
 *
 * @param tsc  for so long, in TSC ticks.
 */
void launcher_get_ready(struct launcher *launcher, uint64_t tsc);

/** How it stands; DONE and FAILED become IDLE by being told. The asking thread only. */
enum launcher_state launcher_look(struct launcher *launcher);

/** Whether a launch is pending. Changes nothing. */
bool launcher_is_pending(const struct launcher *launcher);

/**
 * End the thread and free it, unless a launch is pending: then both are left as they are, since
 * nothing can end that wait. NULL is allowed.
 */
void launcher_destroy(struct launcher *launcher);

#endif /* LAUNCHER_H */

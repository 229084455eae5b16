/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_BESIDE_H
#define KA_AGENT_BESIDE_H

/*
 * Threads beside the wait for deaths, for what may take long: a disk, another program that reads.
 */

#include <pthread.h>
#include <stdint.h>

/**
 * Start one. No signal goes to it: signals are for the thread that waits for deaths.
 *
 * @return 0, or what pthread_create said as -errno.
 */
int beside_start(pthread_t *thread, void *(*run)(void *), void *argument);

/**
 * Wait for its end.
 *
 * @param patience_ns  nanoseconds.
 * @return 0, or -ETIMEDOUT: what held it up holds it still. It keeps its memory, then, and the process
 *   ends with it.
 */
int beside_join(pthread_t thread, uint64_t patience_ns);

#endif /* KA_AGENT_BESIDE_H */

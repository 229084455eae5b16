/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef NOTIFY_H
#define NOTIFY_H

/*
 * What a service manager is told, by sd_notify(3): that the forwarder is ready, how it fares, that it
 * is well, that it stops.
 *
 * A manager that does not read may block who writes to it, so a thread of its own writes. The main
 * lcore leaves word of its turns where that thread finds it, and never waits: a main lcore that hangs
 * loses the manager's watchdog by itself.
 *
 * Without libsystemd, or where no manager listens, there is nobody to tell and all of this does nothing.
 */

#include <stdint.h>

#include "stats.h"

/** Opaque. */
struct notify;

/**
 * Start the thread that tells. To be called before EAL binds the calling thread to one CPU, with the
 * ending signals blocked.
 *
 * @param notify  set to NULL when nobody listens; all functions below take that.
 * @return 0, or a negative errno value: no memory, no thread.
 */
int notify_start(struct notify **notify);

/**
 * Tell that it is ready, and from then on, by an rte_timer of the calling lcore, how it fares.
 *
 * @param config  what is told of.
 * @param period_ns  between two pings.
 */
void notify_ready(struct notify *notify, const struct stats_config *config, uint64_t period_ns);

/** Tell that it stops. What is told of is looked at no more. */
void notify_stopping(struct notify *notify);

/** Write what is left to be told, waiting no longer than 500 ms for it, and end the thread. */
void notify_end(struct notify *notify);

#endif /* NOTIFY_H */

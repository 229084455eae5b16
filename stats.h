/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef STATS_H
#define STATS_H

/*
 * The statistics table: redrawn on a terminal, appended plainly elsewhere.
 */

#include <stddef.h>
#include <stdint.h>

#include "forward.h"
#include "monitor.h"

/** What the table shows. */
struct stats_config {
	unsigned int period_s;		      /**< Seconds between two tables; 0 = none. */
	struct forward_lcore *const *workers; /**< Not owned. */
	size_t nb_workers;
	struct forward_queue *const *queues; /**< All ports, in the order shown. Not owned. */
	size_t nb_queues;
	const struct monitor *monitor; /**< NULL: keepalive is off. Not owned. */
};

/** Frames of one port, as in the table. */
struct stats_port {
	uint64_t received;  /**< Taken from it. */
	uint64_t sent;	    /**< That it took to send. */
	uint64_t dropped;   /**< That it did not take, and abandoned. */
	uint64_t abandoned; /**< Of these: in the hands of a worker that was taken out. */
};

/** Opaque. */
struct stats;

/** Sum up one port. Of any thread. */
struct stats_port stats_read_port(const struct stats_config *config, uint16_t port);

/**
 * Print the table every period_s seconds, by an rte_timer of the calling lcore.
 *
 * @return to be given to stats_stop(), or NULL without memory.
 */
struct stats *stats_start(const struct stats_config *config);

/** Print the last table unless there are none, and free. NULL is allowed. */
void stats_stop(struct stats *stats);

#endif /* STATS_H */

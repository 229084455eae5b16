/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PROGRESS_H
#define PROGRESS_H

/*
 * Watching beside the heartbeat: a loop that turns without moving frames is alive and of no use.
 *
 * A thread of its own compares, once a second, what the devices count with what the workers count,
 * since some devices take milliseconds to tell. The main lcore publishes what changed. A warning,
 * never a death.
 */

#include <stddef.h>
#include <stdint.h>

#include "forward.h"
#include "monitor.h"
#include "port.h"
#include "shm.h"

/** What is counted of one port and of the worker that polls it. */
struct progress_sample {
	uint64_t device_received; /**< Frames the device says it handed over (ipackets). */
	uint64_t device_missed;	  /**< Frames it lost for want of descriptors (imissed). */
	uint64_t device_no_mbuf;  /**< Times it found no mbuf (rx_nombuf). */
	uint64_t received;	  /**< Frames the worker took. */
	uint64_t sent;		  /**< Frames the peer's TX queue took. */
	uint64_t dropped;	  /**< Frames it did not take. */
	unsigned int pool_free;	  /**< Mbufs left in the port's pool. */
};

/**
 * Judge what was counted in between.
 *
 * - KA_STALL_POOL: the pool is empty, or the device found no mbuf, and the worker received nothing.
 * - KA_STALL_RX: the device's counters grew and the worker received nothing.
 * - KA_STALL_TX: frames were dropped and none was sent.
 */
enum ka_stall
progress_judge(const struct progress_sample *before, const struct progress_sample *now);

/** Opaque. */
struct progress;

/**
 * Begin to watch.
 *
 * @param queues,nb_queues  all ports; must outlive it.
 * @param monitor  told of every change, on the calling lcore, by an rte_timer.
 * @return to be given to progress_stop(), or NULL without memory or thread.
 */
struct progress *progress_start(struct forward_queue *const *queues, size_t nb_queues,
				struct port_table *ports, struct monitor *monitor);

/**
 * End the thread and free it. NULL is allowed.
 *
 * @param port  set when it fails.
 * @return whether it has ended; if not, it is inside the driver of that port, which does not
 *   return, and is left there.
 */
bool progress_stop(struct progress *progress, uint16_t *port);

#endif /* PROGRESS_H */

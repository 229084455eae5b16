/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FORWARD_H
#define FORWARD_H

/*
 * The worker: takes bursts of frames from its ports, rewrites them, sends them to the paired
 * port, and gives a heartbeat at every turn of its loop.
 *
 * A worker meets no lock, no system call and no log line in its loop, and writes to its own
 * cache lines only. Knows nothing of shared memory, timers and policy.
 */

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_ethdev.h>
#include <rte_keepalive.h>

#include "escape.h"
#include "fault.h"
#include "loop.h"
#include "options.h"
#include "port.h"
#include "recovery.h"

/** A full TX buffer is sent at once, any other after this time: microseconds. */
#define FORWARD_DRAIN_US 100

/** Frames of one RX port. Writer: the worker. Readers: all other threads. Order: relaxed. */
struct forward_counters {
	_Atomic uint64_t received; /**< Taken from the port. */
	_Atomic uint64_t sent;	   /**< Accepted by the peer's TX queue. */
	_Atomic uint64_t dropped;  /**< Refused by the peer's TX queue, freed. */
	/**
	 * Were in the hands of a worker when it was taken out of its loop, freed. Added to in one
	 * atomic step: such a worker may come late, when the port has gone to another.
	 */
	_Atomic uint64_t abandoned;
};

/**
 * A port that is polled, by one worker at a time. Set before the first launch, but for the counters
 * and the lcore.
 */
struct forward_queue {
	unsigned int lcore; /**< Of the worker that polls it. The main lcore only. */
	uint16_t rx_port;
	uint16_t tx_port;
	bool mac_updating;
	uint8_t header[2 * RTE_ETHER_ADDR_LEN];	 /**< New destination and source of each frame. */
	struct rte_eth_dev_tx_buffer *tx_buffer; /**< Towards tx_port; outlives the worker. */
	struct forward_counters counters;
};

/** One worker. Lines that the main lcore writes are apart from those the worker writes. */
struct forward_lcore {
	/* Set before the first launch. Writer: the main lcore. Reader: the worker. */
	unsigned int lcore;
	struct rte_keepalive *keepalive; /**< NULL: nobody watches. */
	uint64_t drain_tsc;		 /**< FORWARD_DRAIN_US in TSC ticks. */

	/* Writer: the main lcore. Reader: the worker, at every turn. Order: relaxed. */
	alignas(RTE_CACHE_LINE_SIZE) _Atomic bool stop;
	/** May grow while it runs. Release; read with acquire, by telemetry's threads too. */
	_Atomic uint32_t nb_queues;
	/** What it polls; owned. An entry stays when its port has gone to another. */
	struct forward_queue *queue[OPTIONS_MAX_PORTS_PER_LCORE];

	/* Writer: the worker. Reader: the main lcore. */
	/** TSC of the last turn. Order: relaxed. */
	alignas(RTE_CACHE_LINE_SIZE) _Atomic uint64_t beat_tsc;
	_Atomic uint64_t first_beat_tsc; /**< TSC of this life's first turn. Before lives. */
	_Atomic uint64_t lives;		 /**< Lives that began. Release; read with acquire. */
	_Atomic uint32_t phase;		 /**< enum recovery_phase, marked once a burst. Relaxed. */
	_Atomic uint32_t at_queue;	 /**< Index of the queue it is at. Relaxed. */
	_Atomic uint32_t nb_burst;	 /**< Frames in its hands: burst[0] to [nb_burst - 1]. */
	struct rte_mbuf *burst[PORT_BURST]; /**< The worker, and its own signal handler, only. */
	struct loop_stats loop;

	uint64_t
		faulty_tsc; /**< A fault is due since then; made with frames in hand, if some come. */
	bool leaves;	    /**< The fault is that it leaves its loop. */

	/* The way out of a hang: see escape.h. */
	struct escape escape;
	/* Faults on purpose. The worker only. */
	struct fault_worker fault;
};

/**
 * Make a worker's state, on its own NUMA socket.
 *
 * @param lcore  lcore id.
 * @param faults  what it is to suffer.
 * @param late_ns  a turn of its loop that takes so long is late; 0 = none is.
 * @return the worker, to be given to forward_destroy(), or NULL without memory.
 */
struct forward_lcore *
forward_create(unsigned int lcore, const struct fault_config *faults, uint64_t late_ns);

/**
 * Add a port to a worker.
 *
 * @param rx,tx  where frames come from, and where they go to.
 * @param queue  set to what was made; owned by the worker that polls it.
 * @return 0, -ENOSPC when it has OPTIONS_MAX_PORTS_PER_LCORE already, -ENOMEM.
 */
int forward_add_port(struct forward_lcore *worker, const struct port *rx, const struct port *tx,
		     bool mac_updating, struct forward_queue **queue);

/**
 * Give the last port of a worker to another, which may be running: from then on that one polls it,
 * and sends what waits in its TX buffer.
 *
 * @param from  must not touch it again: left its loop for good, or is fenced by escape_is_fenced().
 * @param to  polls fewer than OPTIONS_MAX_PORTS_PER_LCORE.
 * @return the port's id.
 */
uint16_t forward_give_port(struct forward_lcore *from, struct forward_lcore *to);

/** How many ports a worker polls. */
unsigned int forward_nb_ports(const struct forward_lcore *worker);

/**
 * The worker's main function, for rte_eal_remote_launch(): runs until stop is set, or until the
 * end of life that the demonstration wants. May be launched again on the same state.
 *
 * @param worker  struct forward_lcore.
 * @return 0
 */
int forward_run(void *worker);

/**
 * Log that a worker is launched, and with which ports. The main lcore does it, because a worker
 * that loses its CPU while it holds the lock of the log would hold up the pings.
 */
void forward_log_launch(const struct forward_lcore *worker);

/** Send what waits in the TX buffers. Only when the worker does not run. */
void forward_flush(struct forward_lcore *worker);

/** Free the state and the frames that still wait. NULL is allowed. Only when it does not run. */
void forward_destroy(struct forward_lcore *worker);

#endif /* FORWARD_H */

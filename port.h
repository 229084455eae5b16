/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PORT_H
#define PORT_H

/*
 * The life of the Ethernet devices and of the memory for their frames. Knows nothing of lcores
 * and keepalive.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mempool.h>

#include "options.h"
#include "plan.h"

/** Frames taken from an RX queue, and held in a TX buffer, at once. */
#define PORT_BURST 32

/** Descriptors asked for a queue; the device may adjust them. */
#define PORT_RX_DESCRIPTORS 1024
#define PORT_TX_DESCRIPTORS 1024

/** Mbufs that an lcore keeps of each pool for itself. */
#define PORT_MEMPOOL_CACHE 256

/** One device in use. */
struct port {
	uint16_t id;		   /**< ethdev port id. */
	bool anywhere;		   /**< The device has no socket of its own. */
	int socket;		   /**< NUMA socket of the device; 0 where it has none. */
	uint16_t nb_rxd;	   /**< RX descriptors as adjusted by the device. */
	uint16_t nb_txd;	   /**< TX descriptors as adjusted by the device. */
	bool configured;	   /**< To be closed. */
	bool started;		   /**< To be stopped. */
	bool left_alone;	   /**< Neither: a hung worker may be inside its driver. */
	struct rte_ether_addr mac; /**< Of the device. */
};

/** All devices in use and the pools of their mbufs, one a NUMA socket that has ports. */
struct port_table {
	size_t nb_ports;
	struct port port[RTE_MAX_ETHPORTS]; /**< In the order of the plan. */
	struct rte_mempool *pool[RTE_MAX_NUMA_NODES];
	bool pools_stay; /**< A hung worker may have mbufs in its hands. */
};

/** What went wrong where. */
struct port_error {
	uint16_t port;	   /**< ethdev port id; meaningless for a pool. */
	const char *doing; /**< What was tried, as in "start the device". Static text. */
};

/** The ports that EAL found and that nobody owns, as a mask. */
struct portmask port_available(void);

/**
 * Make the pools, configure and start the devices of a plan: one RX and one TX queue each.
 *
 * @param table  filled; to be given to port_close_all(), also after an error.
 * @param nb_lcores  lcores that keep a cache of mbufs: workers and the main lcore.
 * @param promiscuous  ask for promiscuous mode; a device that refuses gives a warning.
 * @param error  filled on error.
 * @return 0, or the negative errno value that DPDK returned.
 */
int port_open_all(struct port_table *table, const struct plan *plan, unsigned int nb_lcores,
		  bool promiscuous, struct port_error *error);

/** The entry of a port id, or NULL. */
struct port *port_find(struct port_table *table, uint16_t id);

/** How many of the ports have no link now. */
size_t port_count_down(const struct port_table *table);

/** Log the link of each port. */
void port_log_links(const struct port_table *table);

/**
 * Stop and close all devices but those left alone, free the pools if that were all.
 *
 * @return mbufs that did not come back to their pools; 0 when some ports were left alone.
 */
unsigned int port_close_all(struct port_table *table);

#endif /* PORT_H */

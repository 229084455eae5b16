/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef PLAN_H
#define PLAN_H

/*
 * Who forwards to whom, and which worker polls what: pure functions over port numbers, decided
 * before any device is touched.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

/** One port in use. */
struct plan_port {
	uint16_t port;	     /**< ethdev port id. */
	uint16_t peer;	     /**< Port that its frames are sent to; itself if without a partner. */
	unsigned int worker; /**< Index of the worker that polls it, 0 to nb_workers - 1. */
};

/** All ports in use, ascending by port id. */
struct plan {
	size_t nb_ports;
	size_t nb_workers; /**< Workers that got a port: the first ones of those there are. */
	bool has_odd;	   /**< The last port found no partner and is paired with itself. */
	struct plan_port port[OPTIONS_MAX_PORTS];
};

/**
 * Pair ports.
 *
 * Without a port map they are paired two by two in ascending order; with one, only the ports
 * that it names are used.
 *
 * @param plan  filled, but for the workers.
 * @param ports  the ports to use.
 * @param pairs,nb_pairs  a port map, checked by options_parse(); NULL and 0 without.
 * @return 0, or the negative number of a missing port minus 1 when the map names one that is
 *   not in ports: -(port + 1).
 */
int plan_pairs(struct plan *plan, const struct portmask *ports, const struct port_pair *pairs,
	       size_t nb_pairs);

/**
 * Give each port to a worker.
 *
 * @param plan  filled by plan_pairs(); port[].worker and nb_workers are set.
 * @param workers  worker lcores there are, 1 or more.
 * @param ports_per_lcore  1 to OPTIONS_MAX_PORTS_PER_LCORE: workers are filled up in order;
 *   0: spread evenly over as many workers as there are.
 * @return 0, or the number of ports a worker that would be needed when the ports do not fit.
 */
size_t plan_workers(struct plan *plan, size_t workers, unsigned int ports_per_lcore);

/** Whether a port is in use. */
bool plan_has(const struct plan *plan, unsigned int port);

#endif /* PLAN_H */

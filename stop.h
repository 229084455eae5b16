/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef STOP_H
#define STOP_H

/*
 * The end of the workers: they are asked to leave their loops, and who hangs is taken out of it
 * where that is safe.
 */

#include <stdbool.h>
#include <stddef.h>

#include "forward.h"
#include "monitor.h"
#include "port.h"

/** What became of them. */
struct stop_result {
	bool stuck; /**< One hung: it was taken out of its loop, or could not be. */
	bool hung;  /**< One did not leave its loop: its memory stays as it is. */
};

/**
 * Wait a second at most until all workers have left their loops, and send what waits in their TX
 * buffers. Ports of one that stays are marked as left alone. Says who hangs in the log.
 *
 * @param workers,nb_workers  NULL among them is allowed.
 * @param monitor  stopped by monitor_stop(); NULL = nobody watches.
 */
struct stop_result stop_workers(struct forward_lcore *const *workers, size_t nb_workers,
				const struct monitor *monitor, struct port_table *ports);

#endif /* STOP_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef TELEMETRY_H
#define TELEMETRY_H

/*
 * Commands on DPDK's telemetry socket. They run in EAL's threads, one a client, and take no lock: they
 * answer although the main lcore or a worker hangs. What they tell of the cores is what the segment
 * says, for display only. README, Telemetry, has the commands and their keys.
 */

#include <stdbool.h>

#include "options.h"
#include "shm.h"
#include "stats.h"

/** All commands are below this. */
#define TELEMETRY_ROOT "/l2fwd_keepalive"

/** Events and ports in one answer; so many fit into the 16384 bytes that the library replies. */
#define TELEMETRY_EVENTS 32
#define TELEMETRY_PORTS 64

/**
 * Register the commands and answer them. Once in the life of the program, as DPDK knows no way
 * back.
 *
 * @param options  must outlive telemetry_stop(), as all that follows.
 * @param stats  workers and ports; copied.
 * @param writer  the published segment; NULL = keepalive is off. May be destroyed before
 *   telemetry_stop().
 * @return 0, or what mapping the segment or rte_telemetry_register_cmd() said.
 */
int telemetry_start(const struct options *options, const struct stats_config *stats,
		    const struct ka_shm_writer *writer);

/**
 * Answer every command with an error from now on, and wait for those that are being answered, a
 * second at most.
 *
 * @return whether none is being answered any more; if not, it may still read of workers and
 *   ports.
 */
bool telemetry_stop(void);

#endif /* TELEMETRY_H */

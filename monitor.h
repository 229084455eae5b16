/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MONITOR_H
#define MONITOR_H

/*
 * The watching: rte_keepalive's pings, driven by a periodic rte_timer on the main lcore, and
 * what follows from them: states into the segment, deaths to the agent, workers relaunched.
 * Everything here runs on the main lcore. Knows nothing of sockets, files and argv.
 *
 * A ping tells what it finds of each core:
 *
 *                    heartbeat                    no heartbeat
 *            .----------------------.   .------------------------------.
 *            v                      |   |                              v
 *        [ ALIVE ] --no heartbeat--> [ MISSING ] --no heartbeat--> [ DEAD ] --next ping--> [ GONE ]
 *            ^                                                                                |
 *            '------------- heartbeat: of the relaunched worker (back), ----------------------'
 *                            or of the same one (recovered)
 *
 * A core launched and not yet seen is UNUSED; it is dead, too, when the start-up deadline passes.
 */

#include <stddef.h>
#include <stdint.h>

#include "forward.h"
#include "revive.h"
#include "shm.h"

/**
 * Time a launched worker has for its first heartbeat: this, or MONITOR_STARTUP_PERIODS check
 * periods where those are longer. Nanoseconds.
 */
#define MONITOR_STARTUP_NS (500 * UINT64_C(1000000))
#define MONITOR_STARTUP_PERIODS 10

/** What the monitor is made of. */
struct monitor_config {
	uint64_t period_ns;	      /**< Between two pings, 1 or more. */
	struct ka_shm_writer *writer; /**< Published segment; not owned. */
	uint64_t alarm_hold_ns;	      /**< --alarm-hold; see journal_init(). */
	struct revive_config revive;  /**< What is done with a dead worker. */
};

/** Opaque. */
struct monitor;

/**
 * Make a monitor. One at a time: rte_keepalive's own callbacks lead back to it.
 *
 * @return it, to be given to monitor_destroy(), or NULL without memory.
 */
struct monitor *monitor_create(const struct monitor_config *config);

/**
 * Watch a worker from its launch on: registers its lcore and sets its keepalive. To be called
 * before it is launched.
 *
 * @return 0, or -ERANGE when the lcore id has no place in the segment (KA_SHM_MAX_LCORES).
 */
int monitor_add(struct monitor *monitor, struct forward_lcore *worker);

/**
 * Launch all workers that were added, then start the pings.
 *
 * @return 0, or what rte_eal_remote_launch() or rte_timer_reset() said.
 */
int monitor_start(struct monitor *monitor);

/** Stop the pings: nobody is relaunched any more. */
void monitor_stop(struct monitor *monitor);

/** The monitor's own record, and a core's, as last published; for the statistics. */
const struct ka_shm_monitor *monitor_totals(const struct monitor *monitor);
const struct ka_shm_core *monitor_core(const struct monitor *monitor, unsigned int lcore);

/**
 * Since when every ping found a core alive, CLOCK_MONOTONIC in nanoseconds; UINT64_MAX = the last
 * one did not.
 */
uint64_t monitor_well_since(const struct monitor *monitor, unsigned int lcore);

/**
 * A worker moves no frames though it gives heartbeats, or moves again (KA_STALL_NONE): an event and
 * a line.
 */
void
monitor_note_stall(struct monitor *monitor, unsigned int lcore, uint16_t port, enum ka_stall stall);

/** Whether a worker left its loop and none is about to be launched on its lcore. */
bool monitor_has_returned(const struct monitor *monitor, unsigned int lcore);

/** Free it. NULL is allowed. Only when all workers have returned. */
void monitor_destroy(struct monitor *monitor);

#endif /* MONITOR_H */

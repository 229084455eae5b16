/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef TELEMETRY_RECORD_H
#define TELEMETRY_RECORD_H

/*
 * Records of the segment in words, for telemetry. Whatever a record says, the answer is sound: what has
 * no name is "unknown". README, Telemetry, has the keys.
 */

#include <rte_telemetry.h>

#include "shm.h"

/** A core and what only the main lcore knows of its load. */
void record_core(struct rte_tel_data *to, const struct ka_shm_core *core,
		 const struct ka_shm_load *load);

/** What the worker itself counts: see journal_read_load(). */
void record_load(struct rte_tel_data *to, const struct ka_shm_load *load);

/** The monitor. */
void record_monitor(struct rte_tel_data *to, const struct ka_shm_monitor *monitor);

/** An event, as a dictionary of its own with its number as the key. */
void record_event(struct rte_tel_data *to, const struct ka_shm_event *event);

#endif /* TELEMETRY_RECORD_H */

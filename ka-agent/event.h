/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_EVENT_H
#define KA_AGENT_EVENT_H

/*
 * Reports as programs know them: one event after the other, by name. Pure.
 *
 * Names and their meaning are a promise, written down in doc/ka-agent.schema.json.
 */

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

/** One thing that happened. */
struct event {
	const char *name;	     /**< core_dead, monitor_stalled, ... */
	int severity;		     /**< Of syslog(3): LOG_ERR, ... */
	bool has_core;		     /**< It is about one core. */
	unsigned int lcore;	     /**< Which. */
	uint64_t times;		     /**< Deaths: 1, or more that the ring lost. 0 = is none. */
	const char *cause;	     /**< One word; NULL = there is none. */
	bool has_outage;	     /**< outage_ns is known. */
	uint64_t outage_ns;	     /**< How long it lasted, or lasts so far. */
	uint64_t time_ns;	     /**< When, CLOCK_MONOTONIC; 0 = now. */
	const struct report *report; /**< All else. */
};

/**
 * The events of a report.
 *
 * The deaths that REPORT_DEATHS sums up are told as events by REPORT_EVENT and REPORT_LOST; but for
 * DPDK's original, which has nothing else.
 *
 * @param at  0 for the first one, then 1, ...
 * @return whether there is one.
 */
bool event_of(struct event *event, const struct report *report, unsigned int at);

/** A phase of a worker as one word. @param phase enum recovery_phase. */
const char *event_phase(uint32_t phase);

/** Why a worker moves no frames, as one word. @param stall enum ka_stall. */
const char *event_stall(uint32_t stall);

#endif /* KA_AGENT_EVENT_H */

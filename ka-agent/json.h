/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_JSON_H
#define KA_AGENT_JSON_H

/*
 * The way out to programs: one JSON object a line and event, as doc/ka-agent.schema.json has it.
 */

#include <stdint.h>
#include <stdio.h>

#include "report.h"

/** The time of day, for what happened at a moment of CLOCK_MONOTONIC. */
struct json_clock {
	uint64_t now_ns;   /**< CLOCK_MONOTONIC */
	uint64_t ahead_ns; /**< So far CLOCK_REALTIME is ahead of it. */
};

/**
 * Write the events of a report.
 *
 * @param clock  the same ahead_ns for all reports, lest later ones seem to be earlier.
 * @return 0, or -errno when it could not be written.
 */
int json_write(FILE *out, const struct report *report, const struct json_clock *clock);

#endif /* KA_AGENT_JSON_H */

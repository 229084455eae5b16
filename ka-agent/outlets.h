/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_OUTLETS_H
#define KA_AGENT_OUTLETS_H

/*
 * The ways out of the agent: who is told of a report. What there is to say is report.h's; how it is
 * said is that of each way: text.h and those beside it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "report.h"

/** All ways that are open. */
struct outlets {
	const struct agent_options *options;
	int error; /**< The first error of stdout, -errno: nothing is said after it. */
};

/** Open what the command line asks for. @param options  must outlive it. */
void outlets_open(struct outlets *outlets, const struct agent_options *options);

/** Whether anyone wants the events of the ring, beside the deaths that the counters tell. */
bool outlets_want_events(const struct outlets *outlets);

/** Tell a report to all. */
void outlets_say(struct outlets *outlets, const struct report *report);

#endif /* KA_AGENT_OUTLETS_H */

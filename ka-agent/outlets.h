/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_OUTLETS_H
#define KA_AGENT_OUTLETS_H

/*
 * The ways out of the agent: who is told of a report. What there is to say is report.h's; how it is
 * said is that of each way: text.h and those beside it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "hook.h"
#include "options.h"
#include "report.h"
#include "syslogger.h"

/** All ways that are open. */
struct outlets {
	const struct agent_options *options;
	uint64_t ahead_ns; /**< --json: so far CLOCK_REALTIME is ahead of CLOCK_MONOTONIC. */
	struct hook *hook; /**< --exec; NULL = not asked for. */
	struct syslogger *syslogger; /**< --syslog; the same. */
	int error; /**< The first error of stdout, -errno: nothing is said after it. */
};

/**
 * Open what the command line asks for.
 *
 * @param options  must outlive it.
 * @return 0 or -ENOMEM.
 */
int outlets_open(struct outlets *outlets, const struct agent_options *options);

/** Whether anyone wants the events of the ring, beside the deaths that the counters tell. */
bool outlets_want_events(const struct outlets *outlets);

/** Tell a report to all. Only stdout may keep the caller waiting. */
void outlets_say(struct outlets *outlets, const struct report *report);

/** See to what runs beside: every outlets_deadline_ns() at least. Never waits. */
void outlets_turn(struct outlets *outlets);

/** When, CLOCK_MONOTONIC in nanoseconds; UINT64_MAX = there is nothing to see to. */
uint64_t outlets_deadline_ns(const struct outlets *outlets);

/** What went wrong beside, for stderr. @return whether there is something to say. */
bool outlets_complaint(struct outlets *outlets, char line[HOOK_COMPLAINT_MAX]);

/** End what still runs: programs at once, the system's log when it has taken all, or in a second. */
void outlets_end(struct outlets *outlets);

/** Close all, after outlets_end(). */
void outlets_close(struct outlets *outlets);

#endif /* KA_AGENT_OUTLETS_H */

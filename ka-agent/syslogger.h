/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_SYSLOGGER_H
#define KA_AGENT_SYSLOGGER_H

/* The way out to the system's log: a line an event, in the words that people get. */

#include "event.h"

/** Begin: as ka-agent[PID], facility daemon. */
void syslogger_open(void);

/**
 * Write the report of an event, with the severity of that event. One line a report: to be called for
 * the first event of each.
 *
 * Whoever reads /dev/log may keep us waiting; without one the line is lost.
 */
void syslogger_write(const struct event *event);

#endif /* KA_AGENT_SYSLOGGER_H */

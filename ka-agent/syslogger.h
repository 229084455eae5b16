/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_SYSLOGGER_H
#define KA_AGENT_SYSLOGGER_H

/*
 * The way out to the system's log: a line an event, in the words that people get.
 *
 * syslog(3) waits for who reads /dev/log, without limit. So a thread of its own calls it: a log that
 * hangs delays no death. Without /dev/log lines are lost, as those of all programs are.
 */

#include <stdbool.h>
#include <stddef.h>

#include "event.h"

/** Lines that wait for the log; more are lost, counted, and said. More than the ring has events. */
#define SYSLOGGER_WAITING 1024

/** Opaque. */
struct syslogger;

/** Begin: as ka-agent[PID], facility daemon. @return NULL without memory or thread. */
struct syslogger *syslogger_open(void);

/**
 * Write the report of an event, with the severity of that event. One line a report: to be called for
 * the first event of each. Never waits.
 */
void syslogger_write(struct syslogger *syslogger, const struct event *event);

/**
 * What went wrong: that lines are being lost, once each time that it begins, and how many, after
 * syslogger_end().
 *
 * @return whether there is something to say.
 */
bool syslogger_complaint(struct syslogger *syslogger, char *line, size_t size);

/** Have the log take what waits, within a second: this is the end. */
void syslogger_end(struct syslogger *syslogger);

/** Let go, after syslogger_end(). NULL is allowed. */
void syslogger_close(struct syslogger *syslogger);

#endif /* KA_AGENT_SYSLOGGER_H */

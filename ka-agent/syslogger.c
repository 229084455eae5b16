/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "syslogger.h"
#include "text.h"

void
syslogger_open(void)
{
	openlog("ka-agent", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void
syslogger_write(const struct event *event)
{
	static char line[TEXT_LINE_MAX];
	FILE *out = fmemopen(line, sizeof(line), "w");

	if (out == NULL)
		return;
	(void)text_write(out, event->report);
	fclose(out);
	line[strcspn(line, "\n")] = '\0';
	/* On a terminal an event stands indented below its death. */
	syslog(event->severity, "%s", line + strspn(line, " "));
}

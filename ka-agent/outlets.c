/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdio.h>
#include <stdio_ext.h>

#include "outlets.h"
#include "text.h"

void
outlets_open(struct outlets *outlets, const struct agent_options *options)
{
	*outlets = (struct outlets){ .options = options };
}

bool
outlets_want_events(const struct outlets *outlets)
{
	return outlets->options->verbose;
}

void
outlets_say(struct outlets *outlets, const struct report *report)
{
	/* After an error there is no way out: the agent is about to end. */
	if (outlets->error != 0)
		return;
	outlets->error = text_write(stdout, report);
	/* Or exit() would try once more, and block if the reader does not read. */
	if (outlets->error != 0)
		__fpurge(stdout);
}

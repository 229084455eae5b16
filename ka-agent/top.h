/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_TOP_H
#define KA_AGENT_TOP_H

/* The terminal of --top: the table on a screen of its own, refreshed every second. */

#include <stdbool.h>

#include "options.h"

/** Whether stdout is a terminal that can be drawn on. */
bool top_is_possible(void);

/**
 * Show the table until the key q or SIGINT, SIGTERM, SIGHUP or SIGQUIT, one instance after the
 * other. The terminal is given back as it was, also for the time that SIGTSTP stops the process.
 *
 * @return 0, or -errno when the terminal could not be used.
 */
int top_run(const struct agent_options *options);

#endif /* KA_AGENT_TOP_H */

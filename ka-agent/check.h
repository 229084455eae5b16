/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_CHECK_H
#define KA_AGENT_CHECK_H

/*
 * The answer of --check, for probes: what a look at the segment found goes in, a verdict and one
 * line come out. Pure: no clock, no file, no segment is touched.
 *
 * The line is that of a Nagios plugin (Monitoring Plugins Development Guidelines): a word, what
 * there is to say, and behind a bar figures for graphs.
 */

#include <stdint.h>

#include "status.h"

/** Room for the line, its NUL included. */
#define CHECK_LINE_MAX 2048

/** Cores that the line names; of more it gives the number only. */
#define CHECK_NAMED_MAX 8

/** What a probe finds. The numbers are the exit codes that the usage text promises. */
enum check_verdict {
	CHECK_WELL = 0, /**< Every core works, or is about to again. */
	CHECK_DOWN = 1, /**< A core is dead or given up, or the process is about to end by one. */
	CHECK_NOTHING = 3, /**< Nothing to watch: the owner has stopped meanwhile. */
	CHECK_STALLED =
		4, /**< The monitor does not tick, so its word on the cores is worth nothing. */
};

/**
 * The age from which on a heartbeat is too old, if --max-age does not say: that of --status.
 *
 * @param period_ns  between two pings.
 * @return nanoseconds.
 */
uint64_t check_default_age_ns(uint64_t period_ns);

/**
 * Judge, and say so.
 *
 * The monitor has stalled when its last tick is older than max_age_ns. A core that was declared dead
 * is down, unless it was launched again since and its last heartbeat is not older than max_age_ns
 * either: that is a death which is being cured, and no reason for an alarm. One that is given up is
 * down. Of the original's segment only the states are known: its monitor cannot be judged.
 *
 * @param line  one line of printable ASCII without newline.
 * @param status  name, legacy, identity, now_ns and snapshot are used.
 * @param max_age_ns  1 or more.
 */
enum check_verdict
check_write(char line[CHECK_LINE_MAX], const struct status *status, uint64_t max_age_ns);

/**
 * Say why there is nothing to watch.
 *
 * @param line  one line of printable ASCII without newline.
 * @param error  -ENOENT and -EOWNERDEAD are an alarm, with other errors nothing is known.
 * @param why  one line, of text_refusal().
 */
void check_write_nothing(char line[CHECK_LINE_MAX], int error, const char *why);

#endif /* KA_AGENT_CHECK_H */

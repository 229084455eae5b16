/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_STATUS_H
#define KA_AGENT_STATUS_H

/*
 * The table of --status and --top: what a look at the segment found goes in, lines of text come
 * out. Pure: no clock, no file, no segment, no terminal is touched.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../shm.h"

/** Room for a line: the widest table is that of a core with 16 ports of five digits. */
#define STATUS_LINE_MAX 256

/** Most lines: the head, a blank, two of titles, one a core, the sum. */
#define STATUS_LINES_MAX (KA_SHM_MAX_LCORES + 5)

/** What is known of the segment's owner. */
enum status_owner {
	STATUS_NONE,	/**< There is none to look at. */
	STATUS_RUNS,	/**< Its monitor ticks. */
	STATUS_STALLED, /**< It lives, yet its monitor does not tick. */
	STATUS_STOPPED, /**< Left in good order. */
	STATUS_DIED,	/**< Left without a word. */
	STATUS_ABORTED, /**< Ended itself because a worker hung. */
};

/** All that the table is made of. */
struct status {
	const char *name; /**< Of the segment. */
	const char *why;  /**< STATUS_NONE: why there is none; NULL or "" = it does not run. */
	enum status_owner owner;
	bool legacy;			 /**< The original's segment: states are all there is. */
	struct ka_shm_identity identity; /**< All 0 with legacy. */
	uint64_t now_ns;		 /**< When the rest was read. */
	struct ka_shm_snapshot snapshot;
	struct ka_shm_load load[KA_SHM_MAX_LCORES]; /**< All 0 for cores that have none. */
};

/** Lines without newline, of printable ASCII only. */
struct status_text {
	unsigned int nb_lines;
	char line[STATUS_LINES_MAX][STATUS_LINE_MAX];
};

/** Whether a core has a row: it was ever launched; with legacy, ever seen. */
bool status_has_core(const struct status *status, unsigned int lcore);

/**
 * Write the table: a head line, then, unless there never was an owner, titles, one row a core and
 * their sum.
 *
 * Columns keep their widths, whatever the figures: at most 120 characters in all with two ports a
 * core. A figure that is not known is a "-"; one too long for its column is given in thousands (k),
 * millions (M) and so on.
 */
void status_write(struct status_text *text, const struct status *status);

#endif /* KA_AGENT_STATUS_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_TEXT_H
#define KA_AGENT_TEXT_H

/* The way out for people: one line a report. Lines of the verbose are indented. */

#include <stdio.h>
#include <sys/types.h>

#include "options.h"
#include "report.h"

/** Longest line: a list of REPORT_LIST_MAX cores of three digits, or 128 with their times. */
#define TEXT_LINE_MAX 8192

/** Room for a line that says why there is nothing to watch. */
#define TEXT_REFUSAL_MAX 1024

/** Write a report as one line. @return 0, or -errno when it could not be written. */
int text_write(FILE *out, const struct report *report);

/** Why a segment is not watched. */
struct text_refusal {
	int error; /**< What ka_shm_open() returned; -EOWNERDEAD: opened, but its owner is gone. */
	struct ka_shm_complaint complaint; /**< From ka_shm_open(). */
	pid_t owner_pid;		   /**< For -EOWNERDEAD. */
	uint64_t owner_created_ns;	   /**< The same: when it made the segment. */
};

/**
 * Say why a segment is not watched and what to do.
 *
 * @param line  one line without newline.
 */
void text_refusal(char line[TEXT_REFUSAL_MAX], const struct text_refusal *refusal,
		  const struct agent_options *options);

#endif /* KA_AGENT_TEXT_H */

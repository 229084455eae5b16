/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_LOOK_H
#define KA_AGENT_LOOK_H

/* Looking at a segment without attaching to it, for --status, --top and --check: beside any agent. */

#include <stdbool.h>

#include "report.h"
#include "status.h"
#include "text.h"

/** A look that goes on. */
struct look {
	struct ka_shm_reader *reader; /**< NULL: nothing is looked at. */
	struct report_pulse pulse;
	struct report_patience patience;
	uint64_t legacy_moves; /**< Stands for ticks, which the original has not. */
	struct status status;  /**< What was seen last; stays when the look has ended. */
};

/**
 * Open a segment that has a living owner, to look or to attach.
 *
 * @param refusal  filled when there is none.
 * @return whether there is one.
 */
bool look_find(struct ka_shm_reader **reader, const char *name, enum ka_shm_access access,
	       struct text_refusal *refusal);

/** Begin to look at a segment, by its name. @return as look_find(). */
bool look_begin(struct look *look, const char *name, struct text_refusal *refusal);

/**
 * Look at the owner, and judge it; at least every REPORT_SLICE_NS, or a stall is not seen.
 *
 * @return whether its judgement has changed: status.owner.
 */
bool look_judge(struct look *look);

/** Read now_ns, snapshot and loads, by what status->legacy says the segment is. */
void look_read(struct status *status, const struct ka_shm_reader *reader);

/** Read all that the table shows into status. */
void look_take(struct look *look);

/**
 * Look once: begin, judge, read, end. Takes a moment longer when the monitor seems to have stalled.
 *
 * @return as look_find(); also false when the owner ended meanwhile.
 */
bool look_once(struct look *look, const char *name, struct text_refusal *refusal);

/**
 * Take one look and judge nothing, in 50 ms at most: name, identity, now_ns and snapshot of
 * look->status are filled. now_ns was read before the snapshot: time lost in between is not held
 * against the monitor.
 *
 * @return as look_find().
 */
bool look_glance(struct look *look, const char *name, struct text_refusal *refusal);

/** Close the segment. What was seen last stays. */
void look_end(struct look *look);

#endif /* KA_AGENT_LOOK_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_WATCH_H
#define KA_AGENT_WATCH_H

/*
 * Watching one instance of l2fwd-keepalive, attached to its segment.
 *
 * Deaths wake the agent. At the end of every slice (REPORT_SLICE_NS) it looks at what cannot wake
 * it: whether the owner lives, and whether its monitor ticks. What is found is said to the outlets.
 */

#include <stdbool.h>
#include <stdint.h>

#include "outlets.h"
#include "report.h"
#include "status.h"
#include "text.h"

/** How a watch stands. */
enum watch_state {
	WATCH_GOES_ON,
	WATCH_STOPPED, /**< The instance has left in good order. */
	WATCH_DIED,    /**< It has ended in another way. */
	WATCH_GAVE_UP, /**< It lives, yet its monitor has been silent for too long. */
	WATCH_FAILED,  /**< The agent cannot wait: error tells why. */
};

/** One instance that is watched. */
struct watch {
	struct ka_shm_reader *reader; /**< NULL: none is. */
	struct outlets *outlets;
	const struct agent_options *options;
	int error;	     /**< WATCH_FAILED: -errno. */
	bool legacy;	     /**< It is DPDK's original. */
	bool said_name_gone; /**< Each of these is said once. */
	bool said_corrupt;
	bool said_crash;
	bool dying; /**< It said so itself; its core dump takes a while. */
	struct report_seen seen;
	struct report_pulse pulse;
	struct report_patience patience;
	struct ka_shm_snapshot snapshot; /**< The last one taken. */
	uint64_t legacy_moves;		 /**< Stands for ticks, which the original has not. */
	uint64_t legacy_moved_ns;
	struct report_list list;
	struct report_events events;
};

/**
 * Attach, take the base line, and say what is there.
 *
 * @param watch  set; too big for a stack frame.
 * @param options,outlets  must outlive it.
 * @param refusal  filled when there is nothing to watch.
 * @return whether there is.
 */
bool watch_begin(struct watch *watch, const struct agent_options *options, struct outlets *outlets,
		 struct text_refusal *refusal);

/** Wait for a death or the end of a slice, and say what there is to say. */
enum watch_state watch_turn(struct watch *watch);

/**
 * Put all that is to be seen of the instance into a status. Waits for nothing but the quiet moment of
 * a writer: ka_shm_snapshot().
 *
 * @param status  name is filled and all else; when nothing is watched only owner changes: it has
 *   ended, if there was one.
 * @param state  what the last turn returned.
 */
void watch_look(const struct watch *watch, enum watch_state state, struct status *status);

/** Say what the monitor has counted and was not said yet: the agent was told to end. */
void watch_say_rest(struct watch *watch);

/** Let go of the segment, and of the attachment. */
void watch_end(struct watch *watch);

#endif /* KA_AGENT_WATCH_H */

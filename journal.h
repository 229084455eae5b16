/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef JOURNAL_H
#define JOURNAL_H

/*
 * What is told of the cores: their records and events in the segment, wake-ups for the agent, and
 * the lines and stacks of the log. Keeps the truth that the segment shows, and decides nothing.
 * The main lcore only.
 */

#include <stdbool.h>
#include <stdint.h>

#include "forward.h"
#include "recovery.h"
#include "shm.h"

/** Stacks of silent workers that are written in a minute; a storm must not bury the log. */
#define JOURNAL_STACKS_MAX 5

/** All that is told. */
struct journal {
	struct ka_shm_writer *writer; /**< Published segment; not owned. */
	uint64_t alarm_hold_ns;	      /**< --alarm-hold */
	uint64_t tsc_hz;
	uint64_t now_ns;	  /**< The moment that is told of, CLOCK_MONOTONIC. */
	uint64_t now_tsc;	  /**< The same moment. */
	uint64_t stacks_begin_ns; /**< Stacks were asked for in the minute that began then. */
	unsigned int nb_stacks;	  /**< So many. */
	struct ka_shm_monitor totals;
	struct ka_shm_core core[KA_SHM_MAX_LCORES]; /**< By lcore id. */
	struct ka_shm_load load[KA_SHM_MAX_LCORES]; /**< The same. */
};

/**
 * Begin.
 *
 * @param writer  must outlive it.
 * @param alarm_hold_ns  for so long after a death readers of the original's states find it; 0 = until
 *   the next ping.
 */
void journal_init(struct journal *journal, struct ka_shm_writer *writer, uint64_t alarm_hold_ns);

/** What is told next happens now. */
void journal_take_time(struct journal *journal);

/** Nanoseconds of TSC ticks. */
uint64_t journal_ns_of_tsc(const struct journal *journal, uint64_t tsc);

/** A core's last heartbeat. @param beat_tsc 0 = none yet. */
void journal_note_beat(struct journal *journal, unsigned int lcore, uint64_t beat_tsc);

/** A core was launched now. */
void journal_note_start(struct journal *journal, unsigned int lcore);

/** Publish a core's record as it is. */
void journal_publish(struct journal *journal, unsigned int lcore);

/** A ping was dispatched, or put off. @param late_tsc how late; 0 = in time. */
void journal_tick(struct journal *journal, uint64_t late_tsc);

/**
 * A core died now: published as DEAD, counted, and the agent woken.
 *
 * @param event  filled with what was published: silence, phase, port, frames in hand.
 */
void journal_death(struct journal *journal, const struct forward_lcore *worker, enum ka_cause cause,
		   struct ka_shm_event *event);

/**
 * Whether one more stack may be written within this minute. Says how many were suppressed when a
 * new one begins.
 */
bool journal_may_write_stack(struct journal *journal);

/**
 * Log where and how a worker hangs.
 *
 * @param event  from journal_death().
 * @param wchan  kernel function it sleeps in, "" = not known.
 * @param answer  what is done about it.
 */
void journal_evidence(const struct ka_shm_event *event, const char *wchan, const char *answer);

/** A core was launched again after its death. */
void journal_restart(struct journal *journal, unsigned int lcore);

/** A dead core gives heartbeats: of its new life (back), or of the old one (recovered). */
void journal_back(struct journal *journal, unsigned int lcore, bool new_life, uint64_t outage_ns);

/** A core has had no CPU for a long time, and still has none. */
void journal_starving(struct journal *journal, unsigned int lcore, uint64_t so_far_ns);

/**
 * A core that the host had taken the CPU from moves again.
 *
 * @param queued_ns  time that it was runnable and did not run, by the kernel; 0 = not known.
 */
void journal_starved(struct journal *journal, unsigned int lcore, uint64_t outage_ns,
		     uint64_t queued_ns);

/** A core is not launched again. @param why,ports how its line goes on. */
void
journal_given_up(struct journal *journal, unsigned int lcore, const char *why, const char *ports);

/** A core was asked to leave its loop and is still in it. */
void journal_refused(const struct journal *journal, unsigned int lcore, uint64_t asked_ns);

/** A port of a core that was given up is polled by another one from now on. */
void
journal_taken_over(struct journal *journal, unsigned int lcore, uint16_t port, unsigned int other);

/** A worker gives heartbeats and moves no frames of a port; KA_STALL_NONE: it does again. */
void journal_stall(struct journal *journal, unsigned int lcore, uint16_t port, enum ka_stall stall);

/**
 * Read off a worker's own counters: all of a load record but looked_ns, frames_per_s, outages and
 * detections, which are left alone. Of any thread.
 */
void journal_read_load(struct ka_shm_load *load, const struct forward_lcore *worker);

/** Read off what a worker's loop does, and publish it. */
void journal_load(struct journal *journal, const struct forward_lcore *worker);

/** The segment's owner is about to abort. */
void journal_abort(struct journal *journal);

#endif /* JOURNAL_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_REPORT_H
#define KA_AGENT_REPORT_H

/*
 * What there is to say: snapshots of the segment and times go in, reports come out.
 *
 * All decisions of the agent are here, as pure functions: no clock, no file, no segment is
 * touched. A way out (text.h; others may stand beside it) turns one struct report into what its
 * readers want.
 *
 * Deaths are counted by the counters of the core records, never by states or by the ring of
 * events: the counters miss nothing, however late the agent looks. The ring only gives the order
 * and, for the verbose, the story.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../shm.h"

/** Deaths of one core that a line spells out one by one; more are given as "1 (9 times)". */
#define REPORT_SPELLED_OUT_MAX 8

/** Most entries a list of cores can have. */
#define REPORT_LIST_MAX (KA_SHM_MAX_LCORES * REPORT_SPELLED_OUT_MAX)

/** A core of whose deaths more than this appear between two looks has a corrupt counter. */
#define REPORT_JUMP_MAX UINT32_MAX

/** The owner is looked at this often, in nanoseconds. Deaths are not: they wake the agent. */
#define REPORT_SLICE_NS UINT64_C(100000000)

/** The kinds of report, and which fields of struct report they fill beside name and identity. */
enum report_kind {
	REPORT_ATTACHED,   /**< count: watched cores. */
	REPORT_EARLIER,	   /**< list: deaths from before the attachment. */
	REPORT_DOWN,	   /**< list: cores that are down at the attachment. */
	REPORT_DEATHS,	   /**< list: deaths since the last look. */
	REPORT_EMPTY,	   /**< Woken by the original, which shows no dead core. */
	REPORT_EVENT,	   /**< event, restarts, recoveries. */
	REPORT_CRASHED,	   /**< crash: a worker crashed, and the owner is about to end by it. */
	REPORT_LOST,	   /**< list: deaths that were counted, of which there is no event. */
	REPORT_UNTOLD,	   /**< count: events that the ring lost before they could be told. */
	REPORT_CORRUPT,	   /**< A counter went backwards or leapt. */
	REPORT_STALLED,	   /**< duration_ns: since the last tick of the monitor. */
	REPORT_BACK,	   /**< duration_ns: how long a stalled monitor was away. */
	REPORT_NAME_GONE,  /**< The name is removed or taken by another; the owner lives. */
	REPORT_STOPPED,	   /**< The owner left in good order. */
	REPORT_DIED,	   /**< The owner left without a word. */
	REPORT_ABORTED,	   /**< The owner ended itself because a worker hung. */
	REPORT_NO_UPDATES, /**< The agent gives up a stalled monitor. */
	REPORT_WAITING,	   /**< The agent waits for the next instance. */
};

/** One core in a list. */
struct report_entry {
	unsigned int lcore;
	uint64_t times;
};

/** Cores that died or are down. */
struct report_list {
	uint64_t total;		 /**< Sum of all times, UINT64_MAX if it is more. */
	unsigned int nb_entries; /**< Entries in use. */
	struct report_entry entry[REPORT_LIST_MAX];
};

/** One thing to say. Fields that its kind does not fill are 0 or NULL. */
struct report {
	enum report_kind kind;
	const char *name;			/**< Of the segment. */
	const struct ka_shm_identity *identity; /**< NULL: the original's segment, or none. */
	const struct report_list *list;
	const struct ka_shm_event *event;
	const struct ka_shm_crash *crash;
	uint64_t restarts;   /**< Of the event's core, as of the event. */
	uint64_t recoveries; /**< Of the event's core, as of the event. */
	uint64_t count;
	uint64_t duration_ns;
};

/* ---- Deaths and events ---- */

/** What was reported so far: the other side of every difference. */
struct report_seen {
	uint64_t deaths[KA_SHM_MAX_LCORES];	 /**< Deaths of each core that were reported. */
	uint64_t told_deaths[KA_SHM_MAX_LCORES]; /**< The same, those that were told as events. */
	uint64_t events; /**< Newest event when deaths were last reported. */
	uint64_t told;	 /**< Newest event that was told or given up. */
};

/** Events to tell, oldest first; they point into the snapshot. */
struct report_events {
	uint64_t untold; /**< Events before these that the ring has lost. */
	unsigned int nb_events;
	const struct ka_shm_event *event[KA_SHM_EVENTS];
};

/** Take a snapshot as what has been reported: the base line at attachment. */
void report_start(struct report_seen *seen, const struct ka_shm_snapshot *snapshot);

/** Sum up the deaths from before the attachment: one entry a core. */
void report_earlier(struct report_list *list, const struct ka_shm_snapshot *snapshot);

/** List the cores that are down, DEAD or GONE. Serves the original's segment too. */
void report_down(struct report_list *list, const struct ka_shm_snapshot *snapshot);

/** List the cores in state DEAD: all that the original's segment tells of deaths. */
void report_dead_now(struct report_list *list, const struct ka_shm_snapshot *snapshot);

/** List the core that crashed; nothing if none did, or if it cannot be one. */
void report_crash(struct report_list *list, const struct ka_shm_snapshot *snapshot);

/** Number of watched cores; with legacy, cores that were ever seen. */
unsigned int report_nb_cores(const struct ka_shm_snapshot *snapshot, bool legacy);

/**
 * List the deaths since the last call, and take them as reported.
 *
 * In the order of the ring; deaths that the ring has lost are older than all it has and come
 * first, by core. list->total is always what the counters say, whatever the ring holds.
 *
 * @return false if a counter went backwards or leapt: the segment is corrupt there; the core's
 *   counter is then a new base line and nothing is listed for it.
 */
bool report_deaths(struct report_list *list, struct report_seen *seen,
		   const struct ka_shm_snapshot *snapshot);

/**
 * List the events that may be told now, and take them as told.
 *
 * The rule: events are told in their order, and a death is told only together with its report.
 * So a wake-up tells all there are; the end of a slice tells those before the first death and leaves
 * the rest to the wake-up that is due. Where events were lost it tells none if a death may be among
 * them: if some core has died more often than was reported.
 *
 * @param woken  whether report_deaths() was just called with the same snapshot.
 */
void report_events(struct report_events *events, struct report_seen *seen,
		   const struct ka_shm_snapshot *snapshot, bool woken);

/**
 * List the deaths that were reported and will never be told as events, since the ring has lost them,
 * and take them as told. To be called when report_events() says that events were lost, and at the end.
 */
void report_lost(struct report_list *list, struct report_seen *seen);

/**
 * Restarts and recoveries of an event's core as they were at the event: the counters of the
 * snapshot less what happened later.
 */
void report_event_counts(struct report *report, const struct ka_shm_event *event,
			 const struct ka_shm_snapshot *snapshot);

/* ---- The monitor's pulse ---- */

/** How long a silent monitor is borne with. */
struct report_patience {
	uint64_t stall_ns;   /**< Silent this long: stalled. */
	uint64_t give_up_ns; /**< Silent this long: given up. UINT64_MAX = never. */
};

/** What is known of the monitor's heartbeat. */
struct report_pulse {
	uint64_t ticks;		/**< Counter at the last look. */
	uint64_t beat_ns;	/**< Time of the last tick, by the monitor's own word. */
	uint64_t alive_ns;	/**< Last moment at which it surely was alive. */
	uint64_t looked_ns;	/**< When the agent last looked. */
	uint64_t lenient_ns;	/**< No judgement before this. */
	uint64_t stalled_since; /**< If stalled: the alive_ns from before. */
	bool stalled;
};

/** What a look at the pulse finds. */
enum report_verdict {
	REPORT_PULSE_STEADY,  /**< Nothing new. */
	REPORT_PULSE_STALLED, /**< It has just become too long. */
	REPORT_PULSE_BACK,    /**< It moves again. */
	REPORT_PULSE_GIVE_UP, /**< It has been too long for too long. */
};

/**
 * Patience with a monitor of our own: stalled after 9 periods, 200 ms at least, so that it is
 * said within 10 periods or 250 ms; given up after 12 s, as the original's agent does.
 */
void report_patience_of(struct report_patience *patience, uint64_t period_ns, bool follow);

/** Patience with the original's: 12 s, as its own agent has. */
void report_patience_legacy(struct report_patience *patience, bool follow);

/** Begin to watch a pulse. @param beat_ns  0 = it never ticked yet. */
void
report_pulse_start(struct report_pulse *pulse, uint64_t ticks, uint64_t beat_ns, uint64_t now_ns);

/**
 * Look at the pulse.
 *
 * @param now_ns  read before ticks and beat_ns were: time lost in between is then not held
 *   against the monitor.
 * @param duration_ns  set for STALLED (silent so long) and BACK (was away so long).
 */
enum report_verdict
report_pulse_look(struct report_pulse *pulse, const struct report_patience *patience,
		  uint64_t ticks, uint64_t beat_ns, uint64_t now_ns, uint64_t *duration_ns);

/** When to look again: at the end of a slice, or before when a verdict may fall due. */
uint64_t report_pulse_deadline(const struct report_pulse *pulse,
			       const struct report_patience *patience, uint64_t now_ns);

/** Whether two snapshots of the original's segment differ, which is all its heartbeat. */
bool report_legacy_moved(const struct ka_shm_snapshot *before, const struct ka_shm_snapshot *now);

#endif /* KA_AGENT_REPORT_H */

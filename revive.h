/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef REVIVE_H
#define REVIVE_H

/*
 * A silent worker in the hands of the main lcore: looked at, judged, taken out of a hang, launched
 * again. The decisions are recovery.h's; here they are carried out. Nothing here waits.
 */

#include <stdbool.h>
#include <stdint.h>

#include "forward.h"
#include "launcher.h"
#include "recovery.h"

/** What the command line says about recovery. */
struct revive_config {
	enum recovery_policy policy; /**< --on-hang */
	struct recovery_limit limit; /**< --max-restarts */
	uint64_t period_ns;	     /**< Between two pings. */
	bool takeover;		     /**< --takeover */
};

/**
 * With takeover a worker that was asked to leave its loop and cannot, since it sleeps in the kernel
 * all this time, is given up.
 */
#define REVIVE_PATIENCE_NS (1000 * UINT64_C(1000000))

/** One worker. All of it belongs to the main lcore. */
struct revive {
	const struct revive_config *config;
	struct forward_lcore *worker;
	struct launcher *launcher;
	struct recovery_budget budget;
	struct recovery_sample
		first;		    /**< When it was first found missing; wall_ns 0 = it is not. */
	bool first_of_thread;	    /**< It had a thread then that could be looked at. */
	struct recovery_sample now; /**< When it was last judged. */
	uint64_t asked_ns;	    /**< Asked to leave its loop then; 0 = was not. */
	uint64_t looked_ns;	    /**< Last time it was looked whether it is out of reach. */
	uint64_t confirm_ns;	  /**< Asked for a second sign then; 0 = not since it is missing. */
	uint64_t probed_ns;	  /**< Asked for a sign then; 0 = not since it is missing. */
	uint64_t launched_ns;	  /**< Last launch asked for; 0 = never. */
	uint64_t lives_at_launch; /**< worker->lives then: another, and it has begun. */
	uint64_t launch_at_ns;	  /**< A relaunch is due then; 0 = none is. */
	bool launching;		  /**< A launch was asked for and its end not told yet. */
	bool wants_launch;	  /**< Dead: to be launched again as soon as its lcore is free. */
	bool given_up;		  /**< Never launched again. */
	bool out_of_reach;	  /**< Given up because it did not leave its loop. */
	bool refused;		  /**< It was said that it did not leave its loop. */
};

/** Time to leave its loop for one that was asked to. */
#define REVIVE_LEAVE_NS (100 * UINT64_C(1000000))

/** What became of a dead worker in one step. */
enum revive_step {
	REVIVE_NOTHING,	 /**< Nothing new. */
	REVIVE_LAUNCHED, /**< Its relaunch was asked for. */
	REVIVE_STARTED,	 /**< The worker's thread has taken the work, of any launch. */
	REVIVE_REFUSED,	 /**< It was asked to leave its loop and has not. Told once. */
	REVIVE_GAVE_UP,	 /**< Its budget is used up, or it is out of reach. Told once. */
};

/**
 * Prepare for a worker.
 *
 * @param config  must outlive it.
 * @return 0 or -ENOMEM.
 */
int revive_init(struct revive *revive, const struct revive_config *config,
		struct forward_lcore *worker);

/** Ask for the first launch. @param now_ns CLOCK_MONOTONIC. */
void revive_launch(struct revive *revive, uint64_t now_ns);

/** It was found missing: look at its thread, if this is the first time. */
void revive_note_missing(struct revive *revive);

/** It was found alive: forget what was looked at. */
void revive_note_alive(struct revive *revive);

/**
 * Judge it: see recovery_judge().
 *
 * @param never_marked  no heartbeat since its launch.
 * @param start_overdue  and the start-up deadline has passed.
 */
enum recovery_verdict
revive_judge(struct revive *revive, bool never_marked, bool start_overdue, enum ka_cause *cause);

/**
 * Time that it was runnable and did not run since it was first found missing, by the kernel, which
 * books it when it runs again; 0 = not known. To be asked before revive_note_alive().
 */
uint64_t revive_queued_ns(const struct revive *revive);

/**
 * It was declared dead: begin what the policy says.
 *
 * @param beat_tsc  its last heartbeat.
 * @param evidence  write its stack to the log.
 * @param now_ns  CLOCK_MONOTONIC.
 * @return what is done. After RECOVERY_RELAUNCH launch_at_ns tells when it is due: now, later, or
 *   RECOVERY_GIVEN_UP.
 */
enum recovery_action revive_act(struct revive *revive, enum ka_cause cause, uint64_t beat_tsc,
				bool evidence, uint64_t now_ns);

/** Whether its lcore is free: not in its loop, and no launch under way. */
bool revive_has_returned(const struct revive *revive);

/** Go on with a dead worker: to be called at its death and at every ping while it is down. */
enum revive_step revive_go_on(struct revive *revive, uint64_t now_ns);

/** End its launching thread, unless that waits for a CPU that is taken. */
void revive_fini(struct revive *revive);

#endif /* REVIVE_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef RECOVERY_H
#define RECOVERY_H

/*
 * What is wrong with a silent worker, and what is done about it: pure decisions, and the reading
 * of what the kernel knows of a thread. Knows nothing of shared memory, timers and signals.
 *
 * A worker is judged by its own CPU time, not by the clock on the wall: time in which the host
 * did not let it run is not held against it. What a kernel does not offer makes the answer
 * KA_CAUSE_HUNG ("unknown"), never a guess.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm.h"

/** Room for the name of a kernel function (/proc/<pid>/task/<tid>/wchan). */
#define RECOVERY_WCHAN_MAX 48

/* ---- What the kernel knows of a thread ---- */

/** A thread at one moment. */
struct recovery_sample {
	uint64_t wall_ns;  /**< CLOCK_MONOTONIC, read next to cpu_ns. */
	bool cpu_known;	   /**< Whether cpu_ns could be read. */
	uint64_t cpu_ns;   /**< The thread's own CPU clock: exact to now. */
	char state;	   /**< R, S, D, T, t, ... of /proc stat; '\0' = not known. */
	bool delay_known;  /**< Whether delay_ns could be read. */
	uint64_t delay_ns; /**< Time spent runnable and not running; booked when it runs again. */
	char wchan[RECOVERY_WCHAN_MAX]; /**< Kernel function it sleeps in; "" = not known. */
};

/**
 * Read a thread of this process. Takes some 20 us; nothing of it is done while all is well.
 *
 * @param sample  filled; what cannot be read is marked as not known. wall_ns always is.
 * @param thread,tid  the same thread for pthread_getcpuclockid() and for /proc; it must not have
 *   ended.
 */
void recovery_sample(struct recovery_sample *sample, pthread_t thread, pid_t tid);

/**
 * The state letter out of the text of /proc/<pid>/task/<tid>/stat: the field behind the last ')',
 * since a thread's name may hold blanks and brackets (proc(5)). The blank behind it must be there,
 * too.
 *
 * @return the letter, or '\0' when the text is not understood.
 */
char recovery_parse_stat(const char *text);

/**
 * The second number of /proc/<pid>/task/<tid>/schedstat: run-queue delay in nanoseconds.
 *
 * @param delay_ns  set only when it is there.
 * @return whether it is. A kernel that does not count writes "0 0 0": it is not.
 */
bool recovery_parse_schedstat(const char *text, uint64_t *delay_ns);

/**
 * The text of /proc/<pid>/task/<tid>/status: whether the thread is off its CPU in a sleep that the
 * signal does not end (state D), with the signal pending and not blocked. It then executes nothing
 * of its own before the signal's handler (signal(7), proc(5)).
 *
 * @param signal_number  1 to 64.
 */
bool recovery_parse_held(const char *text, int signal_number);

/** The same of a thread of this process; false when the kernel does not tell. */
bool recovery_is_held(pid_t tid, int signal_number);

/* ---- Why it is silent ---- */

/** All that is known of a silent worker. */
struct recovery_evidence {
	bool has_returned;	      /**< The lcore is in WAIT: the worker left its loop. */
	bool never_marked;	      /**< No heartbeat since its launch. */
	bool start_overdue;	      /**< never_marked, and the start-up deadline has passed. */
	uint64_t period_ns;	      /**< Between two pings, 1 or more. */
	struct recovery_sample first; /**< When it was first found missing. */
	struct recovery_sample now;
	uint64_t probed_ns;   /**< When it was asked to show that it executes; 0 = was not. */
	uint64_t answered_ns; /**< When it did so; 0 = not yet. */
};

/** What the evidence says. */
enum recovery_verdict {
	RECOVERY_WAIT,	  /**< Too early, or innocent: it stays MISSING, and is looked at again. */
	RECOVERY_STARVED, /**< Innocent: the host took its CPU. Stays MISSING; an event says so. */
	RECOVERY_DEAD,	  /**< Dead of *cause. */
};

/**
 * Judge a worker that missed its pings. The first row that fits decides:
 *
 * | evidence                                                       | verdict, cause     |
 * | -------------------------------------------------------------- | ------------------ |
 * | never_marked, not start_overdue                                | WAIT               |
 * | has_returned                                                   | DEAD, EXITED *     |
 * | state T or t                                                   | DEAD, STOPPED *    |
 * | the samples are less than half a period apart                  | WAIT               |
 * | used half of the wall time, or a whole period, of CPU, and ... |                    |
 * |   ... is in state R and was not asked for a sign               | WAIT               |
 * |   ... or gave one less than a quarter of a period ago          | WAIT               |
 * |   ... or gave none, within a second                            | STARVED, STARVED   |
 * |   ... or any other                                             | DEAD, SPINNING *   |
 * | state S or D                                                   | DEAD, BLOCKED *    |
 * | state R and CPU clock known: runnable, yet it did not run      | STARVED, STARVED   |
 * | anything else                                                  | DEAD, HUNG *       |
 *
 * * NOT_STARTED instead for one that never_marked.
 *
 * The first row holds for one that has returned, too: a worker that dies at once at each launch is
 * not launched again faster than the start-up deadline. The fourth is there because a glance tells
 * nothing: a thread that has just been given its CPU back would look like one that spins. The sign
 * is there because a hypervisor that lets another run on the CPU tells the guest afterwards: until
 * then the CPU clock of the guest's thread runs on. A handler of a signal does not.
 *
 * @param cause  set for DEAD and STARVED, KA_CAUSE_NONE otherwise.
 */
enum recovery_verdict
recovery_judge(const struct recovery_evidence *evidence, enum ka_cause *cause);

/** "spinning", "blocked", ... for lines; "cause not known" for NONE and what is no cause. Static. */
const char *recovery_cause_name(enum ka_cause cause);

/* ---- What is done ---- */

/** --on-hang */
enum recovery_policy {
	RECOVERY_REPORT,  /**< Say so and watch on. */
	RECOVERY_RESPAWN, /**< Take the worker out of what it hangs in, and launch it again. */
	RECOVERY_ABORT,	  /**< End the process with a core dump, for a supervisor to restart it. */
};

/** Where in its loop a worker is; it marks this once a burst. */
enum recovery_phase {
	RECOVERY_PHASE_IDLE = 0, /**< Between two queues: nothing in its hands. */
	RECOVERY_PHASE_RX = 1,	 /**< Inside the driver's RX burst. */
	RECOVERY_PHASE_OWN = 2,	 /**< Its own processing of the burst in its hands. */
	RECOVERY_PHASE_TX = 3,	 /**< Inside the driver's TX burst, or freeing frames. */
};

/** "idle", "RX", "own processing", "TX". Static text. */
const char *recovery_phase_name(enum recovery_phase phase);

/** What is to be done with a dead worker. */
enum recovery_action {
	RECOVERY_RELAUNCH,  /**< Its lcore is free: launch it, as the budget allows. */
	RECOVERY_EVICT,	    /**< Signal the thread; it returns to WAIT and is then relaunched. */
	RECOVERY_WATCH,	    /**< Nothing can be done safely: it is relaunched if it returns. */
	RECOVERY_ABORT_NOW, /**< Evidence of all workers, then abort(). */
};

/**
 * The ladder of decisions.
 *
 * One that has returned is launched again, whatever the policy: it does not hang. One that still
 * hangs is only taken out of its own processing or out of idling: in RX and TX a driver or a
 * mempool may be half way through a change that nobody would finish. One that is stopped by a
 * tracer takes no signal before it goes on, so it is watched. So is one that crashed, whose own
 * signal ends the process, and one that is starved, which is no death.
 */
enum recovery_action recovery_decide(enum recovery_policy policy, enum ka_cause cause,
				     enum recovery_phase phase, bool has_returned);

/* ---- How often ---- */

/** First and last pause between two tries beyond the budget: 62.5, 125, 250, 500, 1000 ms. */
#define RECOVERY_PAUSE_FIRST_NS UINT64_C(62500000)
#define RECOVERY_PAUSE_LAST_NS UINT64_C(1000000000)

/** --max-restarts N/SEC */
struct recovery_limit {
	uint64_t restarts;  /**< N: 0 = none at all. */
	uint64_t window_ns; /**< SEC in nanoseconds, 1 or more. */
};

/** What a worker has left of its restarts. All 0 at its first launch. */
struct recovery_budget {
	uint64_t used;	   /**< Restarts within the window that began at begin_ns. */
	uint64_t begin_ns; /**< Begin of that window; means nothing while used is 0. */
	uint64_t pause_ns; /**< The last pause; 0 = within the budget, or RECOVERY_GIVEN_UP. */
};

/** What recovery_ask() answers in *at_ns for a worker that is given up. */
#define RECOVERY_GIVEN_UP UINT64_MAX

/**
 * Ask for a restart. To be asked once a death.
 *
 * Within the budget it may be now. Beyond it each try waits twice as long as the one before; a
 * worker that dies within the window after the try with the last pause is given up. One that
 * lived for a whole window since its last launch begins anew; one that is given up stays so. With
 * N = 0 the first death is the last.
 *
 * @param launched_ns  its last launch.
 * @param now_ns  now, the same clock.
 * @return when it may be launched: now_ns, later, or RECOVERY_GIVEN_UP.
 */
uint64_t recovery_ask(struct recovery_budget *budget, const struct recovery_limit *limit,
		      uint64_t launched_ns, uint64_t now_ns);

#endif /* RECOVERY_H */

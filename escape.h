/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef ESCAPE_H
#define ESCAPE_H

/*
 * The way out of a hang, and the last words of a crash: signal handlers on the worker's own
 * thread.
 *
 * The main lcore asks a silent worker for its stack, or to leave its loop. The handler leaves by
 * siglongjmp() to the top of the worker function, but only out of the worker's own processing:
 * inside a driver or a mempool state may be half written. A thread that is off its CPU executes
 * nothing of its old loop before the handler runs, so the request is a fence as well.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Bytes of a worker's stack for signal handlers: its own may be what has run over. */
#define ESCAPE_STACK_SIZE (32 * 1024)

/** What the main lcore wants of a silent worker. */
enum escape_want {
	ESCAPE_NOTHING = 0,
	ESCAPE_EVIDENCE = 1, /**< Write the stack to the log. */
	ESCAPE_LEAVE = 2,    /**< Leave the loop, where that is safe. May be combined. */
	ESCAPE_ANYHOW = 4,   /**< The stack of one that is not silent, too. With EVIDENCE. */
};

struct forward_lcore;

/**
 * A worker's way out. The handler runs on the worker's own thread, so that between the two no
 * more than the order of the program is needed.
 */
struct escape {
	sigjmp_buf top;	   /**< The top of forward_run(). The worker's thread only. */
	pthread_t thread;  /**< Writer: the worker, before open. Reader: the main lcore. */
	pid_t tid;	   /**< The same. */
	_Atomic bool open; /**< top may be jumped to. Worker: release; main lcore: acquire. */
	/** enum escape_want. Writer: the main lcore, and the handler that takes it. */
	_Atomic uint32_t want;
	_Atomic uint64_t beat_tsc; /**< The heartbeat after which it was silent. Before want. */
	/** When the handler last ran, CLOCK_MONOTONIC; 0 = not since escape_probe(). */
	_Atomic uint64_t answered_ns;
	alignas(16) char stack[ESCAPE_STACK_SIZE];
};

/** Called in the worker's thread with what a crash is to tell; async-signal-safe. */
typedef void (*escape_crash_fn)(void *data, unsigned int lcore, int signal_number);

/**
 * Install the handlers. Before the first launch.
 *
 * @param crashed,data  called when a worker crashes, before the process dies of it; or NULL.
 * @return 0 or a negative errno value.
 */
int escape_install(escape_crash_fn crashed, void *data);

/**
 * Call nothing any more when a worker crashes.
 *
 * Waits for one that is in the call: for 0.1 s at most, since it may have crashed in there.
 */
void escape_uninstall(void);

/** The worker's thread can be reached from now on; escape.top is set. Worker only. */
void escape_open(struct forward_lcore *worker);

/** The worker is about to leave its loop by itself. Worker only. */
void escape_close(struct forward_lcore *worker);

/** It has left: its thread has nothing more of the worker's. Last of all. Worker only. */
void escape_end(void);

/**
 * Ask a silent worker to show that it executes instructions: escape.answered_ns tells when it did.
 * Its CPU clock is no proof, see recovery_judge(). Main lcore only.
 */
void escape_probe(struct forward_lcore *worker);

/**
 * Ask a silent worker. Main lcore only. It is asked in vain if it moves on meanwhile, or if it is
 * in a phase that must not be left.
 *
 * @param want  ESCAPE_EVIDENCE, ESCAPE_LEAVE or both; ESCAPE_ANYHOW.
 * @param beat_tsc  its last heartbeat: a worker with a younger one is not silent.
 * @return 0, or -ESRCH when the worker is not in its loop.
 */
int escape_ask(struct forward_lcore *worker, uint32_t want, uint64_t beat_tsc);

/**
 * Whether a worker that was asked to leave sleeps in the kernel, cannot be woken by the signal, and
 * will leave its loop before it executes anything of it: what it polls may be given to another.
 * Main lcore only. Reads /proc.
 */
bool escape_is_fenced(const struct forward_lcore *worker);

#endif /* ESCAPE_H */

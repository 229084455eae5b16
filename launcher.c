/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_lcore.h>

#include "launcher.h"

struct launcher {
	unsigned int lcore;
	lcore_function_t *function;
	void *argument;
	pthread_t thread;
	sem_t asked;
	_Atomic bool end;	    /* Writer: launcher_destroy(). Before asked is posted. */
	_Atomic uint64_t ready_tsc; /* Stay awake until then. The asker; 0: the thread. */
	/* enum launcher_state. To PENDING: the asker; from it: the thread. Release/acquire. */
	_Atomic int state;
};

/* Sleep until something is asked for; after launcher_get_ready() awake, for a while. */
static void
wait_until_asked(struct launcher *launcher)
{
	do {
		while (rte_rdtsc() <
		       atomic_load_explicit(&launcher->ready_tsc, memory_order_relaxed)) {
			if (sem_trywait(&launcher->asked) == 0)
				return;
			/* Whoever else wants this CPU has it first. */
			sched_yield();
		}
	} while (sem_wait(&launcher->asked) != 0);
}

static void *
launch_when_asked(void *argument)
{
	struct launcher *launcher = argument;
	int rc;

	for (;;) {
		wait_until_asked(launcher);
		if (atomic_load_explicit(&launcher->end, memory_order_relaxed))
			return NULL;
		/* Only to be ready. */
		if (!launcher_is_pending(launcher))
			continue;
		/* The CPU belongs to the lcore from here on. */
		atomic_store_explicit(&launcher->ready_tsc, 0, memory_order_relaxed);
		rc = rte_eal_remote_launch(launcher->function, launcher->argument, launcher->lcore);
		atomic_store_explicit(&launcher->state, rc == 0 ? LAUNCHER_DONE : LAUNCHER_FAILED,
				      memory_order_release);
	}
}

/*
 * To the lcore's own CPU, which is free when it is to be launched: the thread and then the lcore wake
 * up there, while the main lcore goes on with its ping on another. One wake-up across CPUs instead
 * of two one after the other, with the end of the ping between them. Where that cannot be, launches
 * take a little longer.
 *
 * Under a real-time policy it must not be: the launched worker polls and never yields, so the thread
 * would not come to hear that the launch is done.
 */
static void
move_thread(const struct launcher *launcher)
{
	rte_cpuset_t cpus = rte_lcore_cpuset(launcher->lcore);
	struct sched_param parameters;
	int policy;

	if (pthread_getschedparam(launcher->thread, &policy, &parameters) != 0 ||
	    policy == SCHED_FIFO || policy == SCHED_RR)
		return;
	(void)pthread_setaffinity_np(launcher->thread, sizeof(cpus), &cpus);
}

struct launcher *
launcher_create(unsigned int lcore, lcore_function_t *function, void *argument)
{
	struct launcher *launcher = calloc(1, sizeof(*launcher));

	if (launcher == NULL)
		return NULL;
	launcher->lcore = lcore;
	launcher->function = function;
	launcher->argument = argument;
	if (sem_init(&launcher->asked, 0, 0) != 0 ||
	    pthread_create(&launcher->thread, NULL, launch_when_asked, launcher) != 0) {
		free(launcher);
		return NULL;
	}
	move_thread(launcher);
	return launcher;
}

void
launcher_ask(struct launcher *launcher)
{
	atomic_store_explicit(&launcher->state, LAUNCHER_PENDING, memory_order_relaxed);
	sem_post(&launcher->asked);
}

void
launcher_get_ready(struct launcher *launcher, uint64_t tsc)
{
	atomic_store_explicit(&launcher->ready_tsc, rte_rdtsc() + tsc, memory_order_relaxed);
	sem_post(&launcher->asked);
}

enum launcher_state
launcher_look(struct launcher *launcher)
{
	int state = atomic_load_explicit(&launcher->state, memory_order_acquire);

	if (state == LAUNCHER_DONE || state == LAUNCHER_FAILED)
		atomic_store_explicit(&launcher->state, LAUNCHER_IDLE, memory_order_relaxed);
	return (enum launcher_state)state;
}

bool
launcher_is_pending(const struct launcher *launcher)
{
	return atomic_load_explicit(&launcher->state, memory_order_acquire) == LAUNCHER_PENDING;
}

void
launcher_destroy(struct launcher *launcher)
{
	if (launcher == NULL || launcher_is_pending(launcher))
		return;
	atomic_store_explicit(&launcher->end, true, memory_order_relaxed);
	sem_post(&launcher->asked);
	pthread_join(launcher->thread, NULL);
	sem_destroy(&launcher->asked);
	free(launcher);
}

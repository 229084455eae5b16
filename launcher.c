/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "launcher.h"

struct launcher {
	unsigned int lcore;
	lcore_function_t *function;
	void *argument;
	pthread_t thread;
	sem_t asked;
	_Atomic bool end; /* Writer: launcher_destroy(). Before asked is posted. */
	/* enum launcher_state. To PENDING: the asker; from it: the thread. Release/acquire. */
	_Atomic int state;
};

static void *
launch_when_asked(void *argument)
{
	struct launcher *launcher = argument;
	int rc;

	for (;;) {
		while (sem_wait(&launcher->asked) != 0)
			continue;
		if (atomic_load_explicit(&launcher->end, memory_order_relaxed))
			return NULL;
		rc = rte_eal_remote_launch(launcher->function, launcher->argument, launcher->lcore);
		atomic_store_explicit(&launcher->state, rc == 0 ? LAUNCHER_DONE : LAUNCHER_FAILED,
				      memory_order_release);
	}
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
	return launcher;
}

void
launcher_ask(struct launcher *launcher)
{
	atomic_store_explicit(&launcher->state, LAUNCHER_PENDING, memory_order_relaxed);
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

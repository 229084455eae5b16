/* SPDX-License-Identifier: BSD-3-Clause */

#include <signal.h>
#include <time.h>

#include "../shm.h"
#include "beside.h"

#define NS_PER_S UINT64_C(1000000000)

int
beside_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int
beside_join(pthread_t thread, uint64_t patience_ns)
{
	const uint64_t end_ns = ka_shm_now_ns() + patience_ns;
	const struct timespec end = { .tv_sec = (time_t)(end_ns / NS_PER_S),
				      .tv_nsec = (long)(end_ns % NS_PER_S) };

	return -pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &end);
}

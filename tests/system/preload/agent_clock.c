/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into ka-agent by the system tests. At every look the wall clock has leapt by a
 * day, forth and back, as if somebody set it all the time; with KA_WAIT_ERROR=N every wait on a
 * semaphore fails at once with errno N.
 */

#include <dlfcn.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define DAY_S 86400

static _Atomic unsigned int looks;

/* Seconds by which the wall clock is wrong this time. */
static time_t
leap(void)
{
	return looks++ % 2 == 0 ? DAY_S : -DAY_S;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	rc = real(clock, now);
	if (rc == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += leap();
	return rc;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &exact);
	*now = (struct timeval){ .tv_sec = exact.tv_sec, .tv_usec = exact.tv_nsec / 1000 };
	return 0;
}

time_t
time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now != NULL)
		*now = exact.tv_sec;
	return exact.tv_sec;
}

/* errno of a failing wait, 0 when it is not to fail. */
static int
wait_error(void)
{
	const char *number = getenv("KA_WAIT_ERROR");

	return number == NULL ? 0 : atoi(number);
}

int
sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict deadline)
{
	int (*real)(sem_t *, clockid_t, const struct timespec *);

	errno = wait_error();
	if (errno != 0)
		return -1;
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(semaphore, clock, deadline);
}

int
sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict deadline)
{
	return sem_clockwait(semaphore, CLOCK_REALTIME, deadline);
}

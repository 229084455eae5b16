/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: a look at a worker's thread, which
 * begins with its CPU clock, lasts as long as the file is there that KA_SLOW_LOOK names. While one
 * waits there is a second file with ".held" at the end of its name.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int
pthread_getcpuclockid(pthread_t thread, clockid_t *clock)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const char *path = getenv("KA_SLOW_LOOK");
	int (*real)(pthread_t, clockid_t *);
	char held[4096];

	if (path != NULL && access(path, F_OK) == 0) {
		snprintf(held, sizeof(held), "%s.held", path);
		close(open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
		while (access(path, F_OK) == 0)
			nanosleep(&pause, NULL);
	}
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(thread, clock);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: what it posts, in its order, as lines of
 * the file that KA_ORDER names. "dead 1 2" is a post of the segment's semaphore, with the lcores
 * that the original's part has as DEAD then; "asked" is any other.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LCORES 128
#define DEAD 2

/* A segment is mapped, so that its semaphore, the first of it, stands at the beginning of a page. */
#define PAGE_SIZE 4096

static void
note(const char *line, size_t length)
{
	const char *path = getenv("KA_ORDER");
	int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, line, length) != (ssize_t)length) {
		perror("KA_ORDER");
		_exit(125);
	}
	close(fd);
}

int
sem_post(sem_t *semaphore)
{
	const uint32_t *state = (const uint32_t *)(semaphore + 1);
	char line[8 * LCORES] = "asked";
	int (*real)(sem_t *);
	size_t length;

	if ((uintptr_t)semaphore % PAGE_SIZE == 0) {
		length = (size_t)snprintf(line, sizeof(line), "dead");
		for (unsigned int i = 0; i < LCORES; i++)
			if (state[i] == DEAD)
				length += (size_t)snprintf(line + length, sizeof(line) - length,
							   " %u", i);
	}
	strcat(line, "\n");
	note(line, strlen(line));
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(semaphore);
}

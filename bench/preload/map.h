/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef MAP_H
#define MAP_H

/* What the preloaded objects of the benchmark share: the file they write to, and the clock. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static inline void
die(const char *what)
{
	perror(what);
	_exit(125);
}

/* The file that an environment variable names, or NULL when it is not set. */
static inline void *
map_file(const char *variable, size_t size)
{
	const char *path = getenv(variable);
	void *map;
	int fd;

	if (path == NULL)
		return NULL;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die(path);
	close(fd);
	return map;
}

static inline void *
real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		die(name);
	return function;
}

static inline uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif /* MAP_H */

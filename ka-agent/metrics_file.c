/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "beside.h"
#include "metrics.h"
#include "metrics_file.h"

#define NS_PER_S UINT64_C(1000000000)

/* Whoever runs node_exporter must be able to read it. */
#define FILE_MODE 0644

struct metrics_file {
	const char *path;
	uint64_t due_ns; /* The agent's: when the next text is due. */
	char temporary[PATH_MAX + 32];
	pthread_t thread;
	sem_t handed_over;  /* Posted by the agent: there is something to write, or the end. */
	sem_t free;	    /* Posted by the thread: status is the agent's. Taken by the agent. */
	_Atomic bool ended; /* Set by the agent, relaxed: the semaphore orders it for the thread. */
	_Atomic int error;  /* Of the last text. Written by the thread, relaxed: a number alone. */
	struct status status;
	char text[METRICS_TEXT_MAX];
};

static int
write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		const ssize_t written = write(fd, text, length);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			text += written;
			length -= (size_t)written;
		}
	}
	return 0;
}

/* A leftover of this name is of a process that had this pid and was killed. */
static int
open_temporary(const char *path)
{
	(void)unlink(path);
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
}

static int
replace(const struct metrics_file *file, size_t length)
{
	int fd, rc;

	fd = open_temporary(file->temporary);
	if (fd < 0)
		return -errno;
	rc = fchmod(fd, FILE_MODE) == 0 ? write_all(fd, file->text, length) : -errno;
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(file->temporary, file->path) != 0)
		rc = -errno;
	if (rc != 0)
		(void)unlink(file->temporary);
	return rc;
}

/* CLOCK_REALTIME at the moment that the look was taken. */
static uint64_t
real_ns_of(const struct status *status)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec -
	       (ka_shm_now_ns() - status->now_ns);
}

static bool
has_ended(const struct metrics_file *file)
{
	return atomic_load_explicit(&file->ended, memory_order_relaxed);
}

static int
write_text(struct metrics_file *file)
{
	const size_t length = metrics_write(file->text, sizeof(file->text), &file->status,
					    real_ns_of(&file->status), !has_ended(file));

	return length == 0 ? -ENOBUFS : replace(file, length);
}

static void *
run(void *argument)
{
	struct metrics_file *file = argument;
	bool last;

	do {
		while (sem_wait(&file->handed_over) != 0)
			; /* All signals are blocked here, but a debugger may interrupt it. */
		last = has_ended(file);
		atomic_store_explicit(&file->error, write_text(file), memory_order_relaxed);
		sem_post(&file->free);
	} while (!last);
	return NULL;
}

int
metrics_file_open(struct metrics_file **file, const char *path, const char *name)
{
	struct metrics_file *made = calloc(1, sizeof(*made));
	int rc, length;

	if (made == NULL)
		return -ENOMEM;
	made->path = path;
	made->status.name = name;
	made->status.now_ns = ka_shm_now_ns();
	length = snprintf(made->temporary, sizeof(made->temporary), "%s.%ld.tmp", path,
			  (long)getpid());
	sem_init(&made->handed_over, 0, 0);
	sem_init(&made->free, 0, 1);
	rc = (size_t)length < sizeof(made->temporary) ? write_text(made) : -ENAMETOOLONG;
	if (rc == 0)
		rc = beside_start(&made->thread, run, made);
	if (rc != 0) {
		free(made);
		return rc;
	}
	*file = made;
	return 0;
}

static bool
take_status(struct metrics_file *file, uint64_t deadline_ns)
{
	const struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
					   .tv_nsec = (long)(deadline_ns % NS_PER_S) };
	int rc;

	do
		rc = sem_clockwait(&file->free, CLOCK_MONOTONIC, &deadline);
	while (rc != 0 && errno == EINTR);
	return rc == 0;
}

struct status *
metrics_file_due(struct metrics_file *file, uint64_t now_ns, bool at_once)
{
	if (now_ns < file->due_ns && !at_once)
		return NULL;
	if (!take_status(file, at_once ? now_ns + METRICS_FILE_PATIENCE_NS : now_ns))
		return NULL;
	file->due_ns = now_ns + METRICS_FILE_INTERVAL_NS;
	return &file->status;
}

void
metrics_file_hand_over(struct metrics_file *file)
{
	sem_post(&file->handed_over);
}

int
metrics_file_error(const struct metrics_file *file)
{
	return atomic_load_explicit(&file->error, memory_order_relaxed);
}

int
metrics_file_close(struct metrics_file *file)
{
	int rc;

	if (file == NULL)
		return 0;
	atomic_store_explicit(&file->ended, true, memory_order_relaxed);
	sem_post(&file->handed_over);
	rc = beside_join(file->thread, METRICS_FILE_PATIENCE_NS);
	if (rc != 0)
		return rc;
	rc = metrics_file_error(file);
	sem_destroy(&file->handed_over);
	sem_destroy(&file->free);
	free(file);
	return rc;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

#define STOP_LIMIT_MS 500

/* One way out: a pipe that never blocks its writers, and the thread that empties it. */
struct channel {
	int to;	  /* stdout or stderr. */
	int into; /* Writers' end; -1 = not open. */
	int from; /* The thread's end. */
	pthread_t thread;
	_Atomic uint64_t lost; /* Lines. Writers: all. Reader: the thread, output_lost_lines(). */
	uint64_t told;	       /* Of these, said so on the way out. The thread only. */
};

/* rte_log()'s stream and the callbacks of DPDK carry no pointer of ours, so this is static. */
static struct {
	struct channel channel[2];
	struct channel *out; /* Same as err where stdout and stderr are the same file. */
	struct channel *err;
	FILE *log;
} output;

static uint64_t
count_lines(const char *text, size_t size)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	return lines;
}

static void
lose(struct channel *channel, const char *text, size_t size)
{
	atomic_fetch_add_explicit(&channel->lost, count_lines(text, size), memory_order_relaxed);
}

/* ---- The thread's side: may block ---- */

/* Write all of it, however long it takes. Returns false when the file takes no more, ever. */
static bool
carry(struct channel *channel, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t length = write(channel->to, text, size);

		if (length < 0 && errno == EAGAIN) {
			/* Someone else made the terminal non-blocking: wait as if it were not. */
			poll(&(struct pollfd){ .fd = channel->to, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0) {
			lose(channel, text, size);
			return false;
		}
		text += length;
		size -= (size_t)length;
	}
	return true;
}

static void
tell_losses(struct channel *channel)
{
	uint64_t lost = atomic_load_explicit(&channel->lost, memory_order_relaxed);
	char line[96];
	int length;

	if (lost == channel->told)
		return;
	length = snprintf(line, sizeof(line), "L2FWD: %llu lines lost while output was blocked\n",
			  (unsigned long long)(lost - channel->told));
	channel->told = lost;
	if (!carry(channel, line, (size_t)length))
		channel->told = atomic_load_explicit(&channel->lost, memory_order_relaxed);
}

static void *
carry_all(void *argument)
{
	struct channel *channel = argument;
	char text[16 * 1024];
	ssize_t length;

	for (;;) {
		length = read(channel->from, text, sizeof(text));
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return NULL;
		if (carry(channel, text, (size_t)length))
			tell_losses(channel);
	}
}

/* ---- The writers' side: never blocks ---- */

/* Up to PIPE_BUF bytes go in whole or not at all (pipe(7)), also when several threads write. */
static void
put(struct channel *channel, const char *text, size_t size)
{
	while (size > 0) {
		size_t part = size;
		const char *end;

		if (part > PIPE_BUF) {
			end = memrchr(text, '\n', PIPE_BUF);
			part = end != NULL ? (size_t)(end - text) + 1 : PIPE_BUF;
		}
		if (write(channel->into, text, part) < 0)
			lose(channel, text, part);
		text += part;
		size -= part;
	}
}

static ssize_t
log_write(void *cookie, const char *text, size_t size)
{
	put(cookie, text, size);
	return (ssize_t)size;
}

void
output_print(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	put(output.out, text, (size_t)length);
	free(text);
}

FILE *
output_log(void)
{
	return output.log;
}

int
output_log_descriptor(void)
{
	return output.err == NULL ? -1 : output.err->into;
}

bool
output_is_terminal(void)
{
	return isatty(STDOUT_FILENO) == 1;
}

uint64_t
output_lost_lines(void)
{
	return atomic_load_explicit(&output.channel[0].lost, memory_order_relaxed) +
	       atomic_load_explicit(&output.channel[1].lost, memory_order_relaxed);
}

/* ---- Start and stop ---- */

static int
channel_open(struct channel *channel, int to)
{
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	channel->to = to;
	channel->from = ends[0];
	channel->into = ends[1];
	/* The writers' end only: the thread shall sleep when there is nothing to carry. */
	rc = fcntl(channel->into, F_SETFL, O_NONBLOCK) != 0 ? errno : 0;
	if (rc == 0)
		rc = pthread_create(&channel->thread, NULL, carry_all, channel);
	if (rc != 0) {
		close(channel->from);
		close(channel->into);
		channel->into = -1;
	}
	return -rc;
}

static bool
is_same_file(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int
output_start(void)
{
	const cookie_io_functions_t functions = { .write = log_write };
	int rc;

	output.channel[0].into = output.channel[1].into = -1;
	output.out = output.err = &output.channel[0];
	rc = channel_open(output.out, STDOUT_FILENO);
	if (rc != 0)
		return rc;
	if (!is_same_file(STDOUT_FILENO, STDERR_FILENO)) {
		output.err = &output.channel[1];
		rc = channel_open(output.err, STDERR_FILENO);
	}
	if (rc == 0) {
		output.log = fopencookie(output.err, "w", functions);
		rc = output.log == NULL ? -ENOMEM : 0;
	}
	/* EAL of 25.11 and later ends the program by itself where it refuses an option. */
	if (rc == 0 && atexit(output_stop) != 0)
		rc = -ENOMEM;
	if (rc != 0)
		output_stop();
	return rc;
}

static struct timespec
stop_limit(void)
{
	struct timespec limit;
	uint64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &limit);
	ms = (uint64_t)limit.tv_nsec / 1000000 + STOP_LIMIT_MS;
	limit.tv_sec += (time_t)(ms / 1000);
	limit.tv_nsec = (long)(ms % 1000) * 1000000 + limit.tv_nsec % 1000000;
	return limit;
}

static void
channel_close(struct channel *channel, const struct timespec *limit)
{
	if (channel->into < 0)
		return;
	close(channel->into);
	channel->into = -1;
	/* A thread that is stuck in write() ends with the process. */
	if (pthread_clockjoin_np(channel->thread, NULL, CLOCK_MONOTONIC, limit) == 0)
		close(channel->from);
}

void
output_stop(void)
{
	const struct timespec limit = stop_limit();

	/* The log stream stays: a late line of a driver's thread finds a closed pipe, not a bug. */
	channel_close(&output.channel[0], &limit);
	channel_close(&output.channel[1], &limit);
}

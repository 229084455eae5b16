/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Owners and readers of a segment on demand, for the system tests: shm.c alone, no EAL. Exit 0
 * when all went as asked, 1 when not, 2 for a wrong command line.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shm.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define PING_NS (5 * NS_PER_MS)

/* Nothing that a test asks for takes longer: a day in milliseconds, a million rounds. */
#define NUMBER_MAX 86400000

static const char usage[] =
	"segment_tool churn NAME N\n"
	"    create, publish and destroy the segment N times\n"
	"segment_tool hold NAME\n"
	"    publish, print READY, ping every 5 ms until SIGTERM or the end of stdin, then destroy\n"
	"    on stdin: dead LCORE, alive LCORE, gone LCORE, stall MS\n"
	"segment_tool legacy NAME\n"
	"    make a segment as DPDK's original does, print READY; remove it at SIGTERM, the end\n"
	"    of stdin or quit\n"
	"    on stdin: dead LCORE, alive LCORE, post, quit\n"
	"segment_tool hammer NAME SECONDS\n"
	"    open, snapshot and close without a pause; print how often that did what\n"
	"A line on stdin is answered by OK when it is done, by WHAT? when it is not understood.\n";

static _Atomic bool ended;

static void
end(int number)
{
	(void)number;
	ended = true;
}

static int
complain(const char *what, int rc)
{
	fprintf(stderr, "segment_tool: %s: %s\n", what, strerror(-rc));
	return 1;
}

/* A number from 0 to max in digits, nothing else; -1 if it is not. */
static long
read_number(const char *text, long max)
{
	char *end_of_number;
	long number;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	number = strtol(text, &end_of_number, 10);
	return errno == 0 && *end_of_number == '\0' && number <= max ? number : -1;
}

/* ---- Owner of our segment ---- */

/* What the owner says, and has said. */
struct owner {
	struct ka_shm_writer *writer;
	struct ka_shm_monitor monitor;
	struct ka_shm_core core[KA_SHM_MAX_LCORES];
};

static int
publish(struct owner *owner, const char *name)
{
	const struct ka_shm_config config = {
		.name = name,
		.program = "segment_tool",
		.mode = 0600,
		.group = (gid_t)-1,
		.period_ns = PING_NS,
		.tsc = ka_shm_now_ns(),
		.tsc_hz = NS_PER_S,
	};
	struct ka_shm_holder holder;
	bool replaced_stale;
	int rc;

	memset(owner, 0, sizeof(*owner));
	owner->monitor.status = KA_STATUS_RUNNING;
	rc = ka_shm_create(&owner->writer, &config);
	if (rc != 0)
		return rc;
	rc = ka_shm_publish(owner->writer, &holder, &replaced_stale);
	if (rc != 0) {
		ka_shm_destroy(owner->writer);
		return rc;
	}
	if (replaced_stale)
		fprintf(stderr, "segment_tool: replaced a stale segment\n");
	return 0;
}

static int
churn(const char *name, long rounds)
{
	struct owner owner;

	for (long i = 0; i < rounds && !ended; i++) {
		int rc = publish(&owner, name);

		if (rc != 0)
			return complain(name, rc);
		ka_shm_destroy(owner.writer);
	}
	return 0;
}

static void
ping(struct owner *owner)
{
	uint64_t now = ka_shm_now_ns();

	owner->monitor.ticks++;
	owner->monitor.beat_ns = now;
	ka_shm_begin(owner->writer);
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		struct ka_shm_core *core = &owner->core[lcore];

		if (core->state != KA_STATE_ALIVE)
			continue;
		core->last_seen_ns = core->last_seen_tsc = now;
		ka_shm_write_core(owner->writer, lcore, core, (enum ka_state)core->state);
	}
	ka_shm_write_monitor(owner->writer, &owner->monitor);
	ka_shm_end(owner->writer);
}

static void
die(struct owner *owner, unsigned int lcore, uint64_t now)
{
	struct ka_shm_core *core = &owner->core[lcore];
	const struct ka_shm_event event = {
		.time_ns = now,
		.lcore = lcore,
		.kind = KA_EVENT_DEATH,
		.cause = KA_CAUSE_EXITED,
		.silent_ns = now - core->last_seen_ns,
	};

	core->state = KA_STATE_DEAD;
	core->cause = KA_CAUSE_EXITED;
	core->died_ns = now;
	core->deaths++;
	owner->monitor.deaths++;
	ka_shm_add_event(owner->writer, &event);
}

/* Alive: back from the dead by a restart, if it was. */
static void
live(struct owner *owner, unsigned int lcore, uint64_t now)
{
	struct ka_shm_core *core = &owner->core[lcore];
	struct ka_shm_event event = { .time_ns = now, .lcore = lcore, .kind = KA_EVENT_RESTART };

	if (core->state == KA_STATE_DEAD || core->state == KA_STATE_GONE) {
		core->restarts++;
		owner->monitor.restarts++;
		core->launched_ns = now;
		ka_shm_add_event(owner->writer, &event);
		core->last_outage_ns = now - core->last_seen_ns;
		if (core->last_outage_ns > core->longest_outage_ns)
			core->longest_outage_ns = core->last_outage_ns;
		event.kind = KA_EVENT_BACK;
		event.outage_ns = core->last_outage_ns;
		ka_shm_add_event(owner->writer, &event);
	}
	core->state = KA_STATE_ALIVE;
	core->last_seen_ns = core->last_seen_tsc = now;
}

/* Give a core a new state, as the forwarder would. False if there is no such state. */
static bool
change_core(struct owner *owner, const char *state, unsigned int lcore)
{
	struct ka_shm_core *core = &owner->core[lcore];
	uint64_t now = ka_shm_now_ns();
	bool died = strcmp(state, "dead") == 0;

	if (!died && strcmp(state, "alive") != 0 && strcmp(state, "gone") != 0)
		return false;
	ka_shm_begin(owner->writer);
	if (core->launched_ns == 0)
		core->launched_ns = core->last_seen_ns = core->last_seen_tsc = now;
	if (died)
		die(owner, lcore, now);
	else if (state[0] == 'a')
		live(owner, lcore, now);
	else
		core->state = KA_STATE_GONE;
	ka_shm_write_core(owner->writer, lcore, core, (enum ka_state)core->state);
	ka_shm_write_monitor(owner->writer, &owner->monitor);
	ka_shm_end(owner->writer);
	/* After the change, so that who wakes up finds it. */
	if (died)
		ka_shm_post(owner->writer);
	return true;
}

/* Neither ping nor listen, as a main lcore that is stuck. */
static void
stall(long ms)
{
	const struct timespec length = { .tv_sec = ms / 1000,
					 .tv_nsec = ms % 1000 * (long)NS_PER_MS };

	nanosleep(&length, NULL);
}

/* Do what one line says: "COMMAND NUMBER". False if it cannot be understood. */
static bool
obey(struct owner *owner, char *line)
{
	const char *command = strtok(line, " ");
	const char *number = strtok(NULL, " ");

	if (command == NULL || strtok(NULL, " ") != NULL)
		return false;
	if (strcmp(command, "stall") == 0) {
		if (read_number(number, NUMBER_MAX) < 0)
			return false;
		stall(read_number(number, NUMBER_MAX));
		return true;
	}
	if (read_number(number, KA_SHM_MAX_LCORES - 1) < 0)
		return false;
	return change_core(owner, command,
			   (unsigned int)read_number(number, KA_SHM_MAX_LCORES - 1));
}

/* ---- Lines from stdin, without stdio, whose buffer poll() does not see ---- */

struct lines {
	char text[256];
	size_t length;
};

/* Take the next whole line out of the buffer into line; false if there is none. */
static bool
take_line(struct lines *lines, char line[256])
{
	char *end_of_line = memchr(lines->text, '\n', lines->length);
	size_t length;

	if (end_of_line == NULL)
		return false;
	length = (size_t)(end_of_line - lines->text);
	memcpy(line, lines->text, length);
	line[length] = '\0';
	lines->length -= length + 1;
	memmove(lines->text, end_of_line + 1, lines->length);
	return true;
}

/* Signals that end the program come while it listens, and at no other moment. */
static void
block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* Read what there is until deadline_ns. False at the end of stdin or of the program. */
static bool
listen_until(struct lines *lines, uint64_t deadline_ns)
{
	struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = ka_shm_now_ns();
	int64_t left_ns = deadline_ns > now ? (int64_t)(deadline_ns - now) : 0;
	const struct timespec left = { .tv_sec = left_ns / (int64_t)NS_PER_S,
				       .tv_nsec = left_ns % (int64_t)NS_PER_S };
	sigset_t none_blocked;
	ssize_t length;

	sigemptyset(&none_blocked);
	if (ppoll(&ready, 1, &left, &none_blocked) <= 0)
		return !ended;
	if (lines->length == sizeof(lines->text))
		return false;
	length = read(STDIN_FILENO, lines->text + lines->length,
		      sizeof(lines->text) - lines->length);
	if (length > 0)
		lines->length += (size_t)length;
	return length > 0 && !ended;
}

static void
answer(bool understood)
{
	printf("%s\n", understood ? "OK" : "WHAT?");
	fflush(stdout);
}

static int
hold(const char *name)
{
	struct owner owner;
	struct lines lines = { 0 };
	char line[256];
	uint64_t next;
	int rc;

	block_signals();
	rc = publish(&owner, name);
	if (rc != 0)
		return complain(name, rc);
	printf("READY\n");
	fflush(stdout);
	next = ka_shm_now_ns();
	do {
		if (ka_shm_now_ns() >= next) {
			ping(&owner);
			next = owner.monitor.beat_ns + PING_NS;
		}
		while (take_line(&lines, line))
			answer(obey(&owner, line));
	} while (listen_until(&lines, next));
	ka_shm_destroy(owner.writer);
	return 0;
}

/* ---- Owner of a segment of the original's kind ---- */

static bool
obey_legacy(struct ka_shm_legacy *segment, char *line)
{
	const char *command = strtok(line, " ");
	long lcore = read_number(strtok(NULL, " "), KA_SHM_MAX_LCORES - 1);
	uint32_t state = KA_STATE_ALIVE;

	if (command == NULL)
		return false;
	if (strcmp(command, "post") == 0)
		return sem_post(&segment->core_died) == 0;
	if (strcmp(command, "dead") == 0)
		state = KA_STATE_DEAD;
	else if (strcmp(command, "alive") != 0)
		return false;
	if (lcore < 0)
		return false;
	atomic_store(&segment->core_last_seen_times[lcore], ka_shm_now_ns());
	atomic_store(&segment->core_state[lcore], state);
	return state != KA_STATE_DEAD || sem_post(&segment->core_died) == 0;
}

/* All of it from the start, as the original does: old name away, create, size, zeros, semaphore. */
static struct ka_shm_legacy *
make_legacy(const char *name)
{
	void *memory = MAP_FAILED;
	struct ka_shm_legacy *segment;
	int fd;

	shm_unlink(name);
	fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	if (ftruncate(fd, sizeof(*segment)) == 0)
		memory = mmap(NULL, sizeof(*segment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return NULL;
	segment = memory;
	return sem_init(&segment->core_died, 1, 0) == 0 ? segment : NULL;
}

static int
legacy(const char *name)
{
	struct ka_shm_legacy *segment;
	struct lines lines = { 0 };
	char line[256];
	bool quit = false;

	block_signals();
	segment = make_legacy(name);
	if (segment == NULL)
		return complain(name, -errno);
	printf("READY\n");
	fflush(stdout);
	while (!quit && listen_until(&lines, UINT64_MAX / 2)) {
		while (!quit && take_line(&lines, line)) {
			quit = strcmp(line, "quit") == 0;
			answer(quit || obey_legacy(segment, line));
		}
	}
	shm_unlink(name);
	return 0;
}

/* ---- Reader without mercy ---- */

static int
hammer(const char *name, long seconds)
{
	static struct ka_shm_snapshot snapshot;
	unsigned long opened = 0, absent = 0, failed = 0, mixed = 0;
	uint64_t until = ka_shm_now_ns() + (uint64_t)seconds * NS_PER_S;
	struct ka_shm_reader *reader;
	int first_error = 0;

	while (ka_shm_now_ns() < until && !ended) {
		int rc = ka_shm_open(&reader, name, KA_SHM_LOOK, NULL);

		if (rc == -ENOENT) {
			absent++;
			continue;
		}
		if (rc != 0) {
			failed++;
			if (first_error == 0)
				first_error = rc;
			continue;
		}
		opened++;
		if (ka_shm_snapshot(reader, &snapshot) != 0)
			mixed++;
		ka_shm_close(reader);
	}
	printf("opened %lu absent %lu failed %lu mixed %lu\n", opened, absent, failed, mixed);
	return failed == 0 ? 0 : complain(name, first_error);
}

int
main(int argc, char *argv[])
{
	const struct sigaction action = { .sa_handler = end };
	const char *command = argc > 2 ? argv[1] : "";
	long number = argc == 4 ? read_number(argv[3], NUMBER_MAX) : -1;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (strcmp(command, "churn") == 0 && number >= 0)
		return churn(argv[2], number);
	if (strcmp(command, "hammer") == 0 && number >= 0)
		return hammer(argv[2], number);
	if (strcmp(command, "hold") == 0 && argc == 3)
		return hold(argv[2]);
	if (strcmp(command, "legacy") == 0 && argc == 3)
		return legacy(argv[2]);
	fputs(usage, stderr);
	return 2;
}

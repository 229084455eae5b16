/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Both sides of the segment, without EAL. Where two processes matter there are two: children
 * play a role and report by pipe, all judging is done in the parent.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm.h"

/* No step of a test takes this long unless it hangs. */
#define DEADLINE_MS 30000

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define MAX_CHILDREN 8

/* Some user who is not root and owns nothing: "nobody" on Debian. */
#define OTHER_UID 65534

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- A name of its own for every test, and nothing left behind ---- */

static char name[64];
static char path[sizeof(name) + 16];
static struct ka_shm_writer *writer;
static struct ka_shm_reader *reader;
static struct ka_shm_snapshot snapshot;
static struct ka_shm_holder holder;
static bool replaced_stale;

/* A process that plays a role, and the pipes to it. */
struct child {
	pid_t pid;
	int to;
	int from;
};

static struct child children[MAX_CHILDREN];
static size_t nb_children;

/* Objects in /dev/shm whose name starts with the test's; remove them if wanted. */
static unsigned int
count_objects(bool remove_them)
{
	DIR *folder = opendir("/dev/shm");
	const struct dirent *entry;
	unsigned int count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		if (strstr(entry->d_name, name + 1) != entry->d_name)
			continue;
		count++;
		if (remove_them)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	closedir(folder);
	return count;
}

static int
set_up(void **state)
{
	static unsigned int tests;

	(void)state;
	snprintf(name, sizeof(name), "/ka-test.%ld.%u", (long)getpid(), ++tests);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	writer = NULL;
	reader = NULL;
	return 0;
}

static void
end_child(struct child *child, int signal_number)
{
	if (child->pid <= 0)
		return;
	kill(child->pid, signal_number);
	waitpid(child->pid, NULL, 0);
	close(child->to);
	close(child->from);
	child->pid = 0;
}

static int
tear_down(void **state)
{
	const struct itimerval never = { 0 };

	(void)state;
	setitimer(ITIMER_REAL, &never, NULL);
	while (nb_children > 0)
		end_child(&children[--nb_children], SIGKILL);
	ka_shm_close(reader);
	ka_shm_destroy(writer);
	rmdir(path);
	count_objects(true);
	return 0;
}

/* ---- Children ---- */

/* What a child has to say about what it was asked to do. */
struct report {
	int rc;
	pid_t pid;
	uid_t uid;
	bool replaced_stale;
};

static void
say(int out, const struct report *report)
{
	if (write(out, report, sizeof(*report)) != (ssize_t)sizeof(*report))
		_exit(1);
}

/* Start a child that plays a role. It ends with its role or with us, whichever is first. */
static struct child *
start_child(void (*role)(int in, int out))
{
	struct child *child = &children[nb_children];
	int to[2], from[2];

	assert_true(nb_children < MAX_CHILDREN);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		close(from[0]);
		role(to[0], from[1]);
		_exit(0);
	}
	nb_children++;
	close(to[0]);
	close(from[1]);
	child->to = to[1];
	child->from = from[0];
	return child;
}

/* The next report of a child. */
static struct report
hear(const struct child *child)
{
	struct pollfd ready = { .fd = child->from, .events = POLLIN };
	struct report report;

	assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
	assert_int_equal(read(child->from, &report, sizeof(report)), sizeof(report));
	return report;
}

/* Have a child do something, and wait until it has. */
static struct report
ask(const struct child *child, char what)
{
	assert_int_equal(write(child->to, &what, 1), 1);
	return hear(child);
}

/* SIGKILL, and wait until the process is dead, but leave it unreaped: a zombie. */
static void
kill_to_zombie(const struct child *child)
{
	siginfo_t info;

	assert_int_equal(kill(child->pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), 0);
}

static void
ignore_signal(int number)
{
	(void)number;
}

/* Have blocking calls end with EINTR at this interval. tear_down() ends it. */
static void
interrupt_every_ms(long ms)
{
	const struct sigaction action = { .sa_handler = ignore_signal };
	const struct timeval interval = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	const struct itimerval timer = { .it_interval = interval, .it_value = interval };

	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* ---- Making and reading segments ---- */

static struct ka_shm_config
default_config(void)
{
	return (struct ka_shm_config){
		.name = name,
		.program = "test_shm 1.0",
		.mode = 0600,
		.group = (gid_t)-1,
		.period_ns = 5 * NS_PER_MS,
		.tsc = 1000,
		.tsc_hz = 2 * NS_PER_S,
		.main_lcore = 7,
	};
}

/* Create and publish; 0 or the error of either. */
static int
publish(struct ka_shm_writer **made)
{
	struct ka_shm_config config = default_config();
	int rc;

	*made = NULL;
	rc = ka_shm_create(made, &config);
	return rc != 0 ? rc : ka_shm_publish(*made, &holder, &replaced_stale);
}

static void
destroy_writer(void)
{
	ka_shm_destroy(writer);
	writer = NULL;
}

static void
publish_or_fail(void)
{
	assert_int_equal(publish(&writer), 0);
}

static void
open_or_fail(enum ka_shm_access access)
{
	assert_int_equal(ka_shm_open(&reader, name, access, NULL), 0);
}

static void
close_reader(void)
{
	ka_shm_close(reader);
	reader = NULL;
}

static void
reopen_or_fail(enum ka_shm_access access)
{
	close_reader();
	open_or_fail(access);
}

/* Each word of a record its own number. */
static void
fill(void *record, size_t size, uint64_t seed)
{
	for (size_t at = 0; at < size; at += sizeof(seed), seed++)
		memcpy((char *)record + at, &seed, sizeof(seed));
}

/* Everything that a writer can say, with another number in every word. */
static void
make_truth(struct ka_shm_snapshot *truth, uint64_t seed)
{
	memset(truth, 0, sizeof(*truth));
	fill(&truth->monitor, sizeof(truth->monitor), seed);
	fill(truth->core, sizeof(truth->core), seed + 100);
	fill(truth->event, sizeof(truth->event), seed + 10000);
	truth->monitor.events = KA_SHM_EVENTS;
	for (unsigned int i = 0; i < KA_SHM_EVENTS; i++)
		truth->event[i].number = i + 1;
}

static void
write_truth(struct ka_shm_writer *to, const struct ka_shm_snapshot *truth)
{
	ka_shm_begin(to);
	for (unsigned int i = 0; i < KA_SHM_EVENTS; i++)
		ka_shm_add_event(to, &truth->event[i]);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		ka_shm_write_core(to, i, &truth->core[i], (enum ka_state)truth->core[i].state);
	ka_shm_write_monitor(to, &truth->monitor);
	ka_shm_end(to);
}

/* The load record of a core, every byte of it from a seed of its own. */
static struct ka_shm_load
load_of(unsigned int lcore)
{
	struct ka_shm_load load;

	memset(&load, 0, sizeof(load));
	fill(&load, sizeof(load), 50000 + lcore * KA_SHM_WORDS(load));
	return load;
}

static void
write_loads(struct ka_shm_writer *to)
{
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		const struct ka_shm_load load = load_of(i);

		ka_shm_write_load(to, i, &load);
	}
}

static void
expect_loads(void)
{
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		const struct ka_shm_load truth = load_of(i);
		struct ka_shm_load load;

		memset(&load, 0xa5, sizeof(load));
		assert_int_equal(ka_shm_read_load(reader, i, &load), 0);
		assert_memory_equal(&load, &truth, sizeof(load));
	}
}

/* A child's role: publish, then do what each letter says. */
static void
own_segment(int in, int out)
{
	struct ka_shm_snapshot truth;
	struct ka_shm_writer *own = NULL;
	struct report report = { .rc = publish(&own) };
	char what;

	report.pid = holder.pid;
	report.uid = holder.uid;
	report.replaced_stale = replaced_stale;
	say(out, &report);
	while (read(in, &what, 1) == 1) {
		report.rc = 0;
		switch (what) {
		case 'b':
			ka_shm_begin(own);
			break;
		case 'e':
			ka_shm_end(own);
			break;
		case 'd':
			ka_shm_destroy(own);
			own = NULL;
			break;
		case 'p':
			report.rc = ka_shm_post(own) ? 1 : 0;
			break;
		case 'l':
			ka_shm_begin(own);
			write_loads(own);
			ka_shm_end(own);
			break;
		case 'w':
			make_truth(&truth, 1000);
			write_truth(own, &truth);
			break;
		default:
			report.rc = -EINVAL;
		}
		say(out, &report);
	}
}

/* A child's role: attach as an agent, and stay. */
static void
be_agent(int in, int out)
{
	struct ka_shm_complaint complaint;
	struct ka_shm_reader *own = NULL;
	struct report report = { .rc = ka_shm_open(&own, name, KA_SHM_ATTACH, &complaint) };
	char what;

	report.pid = complaint.agent_pid;
	say(out, &report);
	while (read(in, &what, 1) == 1)
		continue;
}

/* Put an object of some size and content under the test's name; its file descriptor. */
static int
place_object(off_t size, const void *content, size_t length, off_t at)
{
	int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	if (length > 0)
		assert_int_equal(pwrite(fd, content, length, at), length);
	return fd;
}

/* Put a segment of the original's kind there, without a header; its mapping. */
static struct ka_shm_legacy *
place_legacy(void)
{
	int fd = place_object(KA_SHM_LEGACY_SIZE, NULL, 0, 0);
	void *memory = mmap(NULL, KA_SHM_LEGACY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ka_shm_legacy *legacy = memory;

	assert_true(memory != MAP_FAILED);
	close(fd);
	assert_int_equal(sem_init(&legacy->core_died, 1, 0), 0);
	return legacy;
}

/* The identity that a segment of this version has, for placing forged ones. */
static struct ka_shm_identity
good_identity(void)
{
	return (struct ka_shm_identity){
		.magic = KA_SHM_MAGIC,
		.version_major = KA_SHM_VERSION_MAJOR,
		.version_minor = KA_SHM_VERSION_MINOR,
		.size = sizeof(struct ka_shm_segment),
		.pid = 1,
	};
}

/* ---- Names and layout ---- */

static void
names_are_a_slash_and_one_component(void **state)
{
	char longest[KA_SHM_NAME_MAX + 2];
	const struct {
		const char *name;
		bool valid;
	} rows[] = {
		{ KA_SHM_DEFAULT_NAME, true },
		{ "/a", true },
		{ "/.a", true },
		{ "/...", true },
		{ "/a b", true },
		{ NULL, false },
		{ "", false },
		{ "/", false },
		{ "a", false },
		{ "a/b", false },
		{ "/a/b", false },
		{ "//a", false },
		{ "/a/", false },
		{ "/.", false },
		{ "/..", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		if (ka_shm_name_is_valid(rows[i].name) != rows[i].valid)
			fail_msg("\"%s\" should be %svalid", rows[i].name,
				 rows[i].valid ? "" : "in");

	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[KA_SHM_NAME_MAX] = '\0';
	assert_true(ka_shm_name_is_valid(longest));
	longest[KA_SHM_NAME_MAX] = 'x';
	longest[KA_SHM_NAME_MAX + 1] = '\0';
	assert_false(ka_shm_name_is_valid(longest));
}

static void
the_longest_name_can_be_published(void **state)
{
	char longest[KA_SHM_NAME_MAX + 1];
	struct ka_shm_config config = default_config();

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, name, strlen(name));
	longest[KA_SHM_NAME_MAX] = '\0';
	config.name = longest;
	assert_int_equal(ka_shm_create(&writer, &config), 0);
	assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
	assert_int_equal(ka_shm_open(&reader, longest, KA_SHM_LOOK, NULL), 0);
}

static void
the_name_follows_the_file_prefix(void **state)
{
	static const struct {
		const char *prefix, *name;
	} rows[] = {
		{ NULL, KA_SHM_DEFAULT_NAME },
		{ "rte", KA_SHM_DEFAULT_NAME },
		{ "x", KA_SHM_DEFAULT_NAME ".x" },
		{ "rte2", KA_SHM_DEFAULT_NAME ".rte2" },
		{ ".", KA_SHM_DEFAULT_NAME ".." },
		{ "", NULL },
		{ "a/b", NULL },
	};
	char made[KA_SHM_NAME_MAX + 1];
	char prefix[KA_SHM_NAME_MAX + 1] = "";
	size_t longest = KA_SHM_NAME_MAX - strlen(KA_SHM_DEFAULT_NAME ".");

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		if (rows[i].name == NULL) {
			assert_int_equal(ka_shm_name_of_prefix(made, rows[i].prefix), -EINVAL);
			continue;
		}
		assert_int_equal(ka_shm_name_of_prefix(made, rows[i].prefix), 0);
		assert_string_equal(made, rows[i].name);
	}
	memset(prefix, 'x', longest);
	assert_int_equal(ka_shm_name_of_prefix(made, prefix), 0);
	assert_int_equal(strlen(made), KA_SHM_NAME_MAX);
	prefix[longest] = 'x';
	assert_int_equal(ka_shm_name_of_prefix(made, prefix), -EINVAL);
}

static void
the_layout_is_the_originals_and_then_ours(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct ka_shm_legacy), 1568);
	assert_int_equal(offsetof(struct ka_shm_segment, legacy.core_died), 0);
	assert_int_equal(offsetof(struct ka_shm_segment, legacy.core_state), 32);
	assert_int_equal(offsetof(struct ka_shm_segment, legacy.core_last_seen_times), 544);
	assert_int_equal(offsetof(struct ka_shm_segment, identity), 1568);
	assert_int_equal(offsetof(struct ka_shm_segment, sequence), 1728);
	assert_int_equal(offsetof(struct ka_shm_segment, agent_pid), 1736);
	assert_int_equal(offsetof(struct ka_shm_segment, monitor), 1744);
	assert_int_equal(offsetof(struct ka_shm_segment, core), 1872);
	assert_int_equal(offsetof(struct ka_shm_segment, event), 18256);
	assert_int_equal(offsetof(struct ka_shm_segment, crash_ns), 34640);
	/* What version 1.0 had stays where it was. */
	assert_int_equal(offsetof(struct ka_shm_segment, load), 34656);
	assert_int_equal(sizeof(struct ka_shm_load), 896);
	assert_int_equal(sizeof(struct ka_shm_segment), 149344);
	assert_memory_equal(&(uint64_t){ KA_SHM_MAGIC }, "KAhm SEG", 8);
}

/* ---- Making ---- */

static void
a_wrong_configuration_is_refused(void **state)
{
	struct ka_shm_config config;

	(void)state;
	config = default_config();
	config.name = "no-slash";
	assert_int_equal(ka_shm_create(&writer, &config), -EINVAL);
	config = default_config();
	config.mode = 01777;
	assert_int_equal(ka_shm_create(&writer, &config), -EINVAL);
	config = default_config();
	config.period_ns = 0;
	assert_int_equal(ka_shm_create(&writer, &config), -EINVAL);
	assert_null(writer);
	assert_int_equal(count_objects(false), 0);
	ka_shm_destroy(NULL);
	ka_shm_close(NULL);
}

static void
nobody_finds_a_segment_before_it_is_published(void **state)
{
	struct ka_shm_config config = default_config();
	const char *memory;
	size_t length;

	(void)state;
	assert_int_equal(ka_shm_create(&writer, &config), 0);
	memory = ka_shm_memory(writer, &length);
	assert_int_equal(length, sizeof(struct ka_shm_segment));
	for (size_t i = 0; i < length; i++)
		assert_int_equal(memory[i], 0);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -ENOENT);
	assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
	assert_false(replaced_stale);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), 0);
	assert_int_equal(count_objects(false), 1);
}

static void
a_published_segment_says_who_made_it_and_when(void **state)
{
	uint64_t before = ka_shm_now_ns();
	const struct ka_shm_identity *identity;

	(void)state;
	publish_or_fail();
	assert_string_equal(ka_shm_path(writer), path);
	open_or_fail(KA_SHM_LOOK);
	assert_false(ka_shm_is_legacy(reader));
	identity = ka_shm_identity(reader);
	assert_int_equal(identity->magic, KA_SHM_MAGIC);
	assert_int_equal(identity->version_major, KA_SHM_VERSION_MAJOR);
	assert_int_equal(identity->version_minor, KA_SHM_VERSION_MINOR);
	assert_int_equal(identity->size, sizeof(struct ka_shm_segment));
	assert_int_equal(identity->pid, getpid());
	assert_uint_in_range(identity->created_ns, before, ka_shm_now_ns());
	assert_uint_in_range(identity->created_real_ns / NS_PER_S, time(NULL) - 60, time(NULL) + 1);
	assert_int_equal(identity->created_tsc, 1000);
	assert_int_equal(identity->tsc_hz, 2 * NS_PER_S);
	assert_int_equal(identity->period_ns, 5 * NS_PER_MS);
	assert_int_equal(identity->main_lcore, 7);
	assert_string_equal(identity->program, "test_shm 1.0");
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.status, KA_STATUS_RUNNING);
	assert_int_equal(snapshot.monitor.ticks, 0);
	assert_uint_in_range(snapshot.monitor.beat_ns, before, ka_shm_now_ns());
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		assert_int_equal(snapshot.core[i].state, KA_STATE_UNUSED);
}

static void
a_long_name_of_the_program_is_cut(void **state)
{
	struct ka_shm_config config = default_config();

	(void)state;
	config.program = "0123456789012345678901234567890123456789";
	assert_int_equal(ka_shm_create(&writer, &config), 0);
	assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
	open_or_fail(KA_SHM_LOOK);
	assert_string_equal(ka_shm_identity(reader)->program, "0123456789012345678901234567890");
}

static void
S5_the_mode_is_the_one_asked_for_whatever_the_umask(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	static const mode_t modes[] = { 0600, 0640, 0666, 0777 };
	mode_t old = umask(0);

	(void)state;
	for (size_t i = 0; i < LENGTH(masks) * LENGTH(modes); i++) {
		struct ka_shm_config config = default_config();
		struct stat made;

		config.mode = modes[i % LENGTH(modes)];
		umask(masks[i / LENGTH(modes)]);
		assert_int_equal(ka_shm_create(&writer, &config), 0);
		assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
		assert_int_equal(stat(path, &made), 0);
		assert_int_equal(made.st_mode & 07777, config.mode);
		assert_int_equal(made.st_gid, getegid());
		destroy_writer();
	}
	umask(old);
}

static void
S5_the_group_is_the_one_asked_for(void **state)
{
	struct ka_shm_config config = default_config();
	struct stat made;

	(void)state;
	if (geteuid() != 0)
		skip();
	config.group = 54321;
	config.mode = 0660;
	assert_int_equal(ka_shm_create(&writer, &config), 0);
	assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
	assert_int_equal(stat(path, &made), 0);
	assert_int_equal(made.st_gid, 54321);
	assert_int_equal(made.st_mode & 07777, 0660);
}

/* ---- Writing and reading ---- */

static void
S8_a_snapshot_is_what_another_process_wrote(void **state)
{
	static struct ka_shm_snapshot truth;
	const struct child *owner = start_child(own_segment);

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	assert_int_equal(ka_shm_identity(reader)->pid, owner->pid);
	ask(owner, 'w');
	make_truth(&truth, 1000);
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_memory_equal(&snapshot.monitor, &truth.monitor, sizeof(truth.monitor));
	assert_memory_equal(snapshot.core, truth.core, sizeof(truth.core));
	assert_memory_equal(snapshot.event, truth.event, sizeof(truth.event));
}

static void
loads_are_what_another_process_wrote_and_disturb_nothing(void **state)
{
	static struct ka_shm_snapshot truth;
	const struct child *owner = start_child(own_segment);

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	ask(owner, 'w');
	ask(owner, 'l');
	expect_loads();
	make_truth(&truth, 1000);
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_memory_equal(&snapshot.monitor, &truth.monitor, sizeof(truth.monitor));
	assert_memory_equal(snapshot.core, truth.core, sizeof(truth.core));
	assert_memory_equal(snapshot.event, truth.event, sizeof(truth.event));
	assert_int_equal(snapshot.crash.signal, 0);
	/* Nor are they disturbed. */
	ask(owner, 'w');
	expect_loads();
}

static void
a_load_that_was_never_written_is_all_zero(void **state)
{
	static const struct ka_shm_load none;
	const struct ka_shm_load one = load_of(5);
	struct ka_shm_load load;

	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_LOOK);
	ka_shm_begin(writer);
	ka_shm_write_load(writer, 5, &one);
	ka_shm_end(writer);
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		memset(&load, 0xa5, sizeof(load));
		assert_int_equal(ka_shm_read_load(reader, i, &load), 0);
		assert_memory_equal(&load, i == 5 ? &one : &none, sizeof(load));
	}
}

static void
a_load_is_read_by_halves_only_with_a_word_of_it(void **state)
{
	const struct child *owner = start_child(own_segment);
	struct ka_shm_load load;

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	ask(owner, 'b');
	assert_int_equal(ka_shm_read_load(reader, 1, &load), -EAGAIN);
	ask(owner, 'e');
	assert_int_equal(ka_shm_read_load(reader, 1, &load), 0);
}

static void
states_are_mirrored_where_the_original_has_them(void **state)
{
	static const uint32_t states[] = { KA_STATE_ALIVE, KA_STATE_MISSING, KA_STATE_DEAD,
					   KA_STATE_GONE, KA_STATE_ALIVE };
	static const unsigned int lcores[] = { 0, 1, KA_SHM_MAX_LCORES - 1 };
	int fd;

	(void)state;
	publish_or_fail();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (size_t i = 0; i < LENGTH(states) * LENGTH(lcores); i++) {
		unsigned int lcore = lcores[i % LENGTH(lcores)];
		struct ka_shm_core core = { .state = states[i / LENGTH(lcores)],
					    .last_seen_tsc = UINT64_C(1) << (i + 40) };
		uint32_t published_state;
		uint64_t published_tsc;

		ka_shm_begin(writer);
		ka_shm_write_core(writer, lcore, &core, (enum ka_state)core.state);
		ka_shm_end(writer);
		assert_int_equal(pread(fd, &published_state, 4, 32 + 4 * lcore), 4);
		assert_int_equal(pread(fd, &published_tsc, 8, 544 + 8 * lcore), 8);
		assert_int_equal(published_state, core.state);
		assert_int_equal(published_tsc, core.last_seen_tsc);
	}
	close(fd);
}

static void
S9_the_ring_keeps_the_newest_events(void **state)
{
	const uint64_t written = 2 * KA_SHM_EVENTS + 88;

	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_LOOK);
	for (uint64_t number = 1; number <= written; number++) {
		ka_shm_begin(writer);
		ka_shm_add_event(writer, &(struct ka_shm_event){ .number = 77,
								 .time_ns = number * 10,
								 .kind = KA_EVENT_DEATH });
		ka_shm_end(writer);
		if (number != 1 && number != KA_SHM_EVENTS && number != written)
			continue;
		assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
		assert_int_equal(snapshot.monitor.events, number);
		assert_int_equal(snapshot.event[KA_SHM_EVENTS - 1].number,
				 number < KA_SHM_EVENTS ? 0 : number / 256 * 256);
	}
	for (uint64_t number = written - KA_SHM_EVENTS + 1; number <= written; number++) {
		const struct ka_shm_event *event = &snapshot.event[(number - 1) % KA_SHM_EVENTS];

		assert_int_equal(event->number, number);
		assert_int_equal(event->time_ns, number * 10);
	}
	/* The monitor's record does not lose the count when its owner writes another one. */
	ka_shm_begin(writer);
	ka_shm_write_monitor(writer,
			     &(struct ka_shm_monitor){ .status = KA_STATUS_RUNNING, .ticks = 5 });
	ka_shm_end(writer);
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.events, written);
	assert_int_equal(snapshot.monitor.ticks, 5);
}

static void
S8_a_change_left_half_done_is_told_within_bounds(void **state)
{
	const struct child *owner = start_child(own_segment);
	struct ka_shm_monitor monitor;
	uint64_t start;

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	ask(owner, 'w');
	ask(owner, 'b');
	start = ka_shm_now_ns();
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), -EAGAIN);
	/* It looks for 20 ms; the rest is for a machine that is busy elsewhere. */
	assert_uint_in_range(ka_shm_now_ns() - start, 20 * NS_PER_MS, 2 * NS_PER_S);
	ka_shm_peek_monitor(reader, &monitor);
	assert_int_equal(monitor.events, KA_SHM_EVENTS);
	ask(owner, 'e');
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
}

/* ---- The semaphore ---- */

static void
a_post_of_another_process_wakes_the_agent(void **state)
{
	const struct child *owner = start_child(own_segment);
	char post = 'p';

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_ATTACH);
	assert_int_equal(ka_shm_wait(reader, 0), -ETIMEDOUT);
	assert_int_equal(write(owner->to, &post, 1), 1);
	assert_int_equal(ka_shm_wait(reader, ka_shm_now_ns() + DEADLINE_MS * NS_PER_MS), 0);
	assert_int_equal(hear(owner).rc, 1);
}

static void
A5_one_wake_up_takes_all_credit(void **state)
{
	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_ATTACH);
	for (unsigned int i = 0; i < 3; i++)
		assert_true(ka_shm_post(writer));
	assert_int_equal(ka_shm_wait(reader, 0), 0);
	assert_int_equal(ka_shm_wait(reader, 0), -ETIMEDOUT);
}

static void
A7_a_wait_ends_at_its_deadline(void **state)
{
	uint64_t deadline;

	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_ATTACH);
	deadline = ka_shm_now_ns() + 30 * NS_PER_MS;
	assert_int_equal(ka_shm_wait(reader, deadline), -ETIMEDOUT);
	assert_uint_in_range(ka_shm_now_ns(), deadline, deadline + 2 * NS_PER_S);
}

static void
a_signal_ends_a_wait(void **state)
{
	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_ATTACH);
	interrupt_every_ms(10);
	assert_int_equal(ka_shm_wait(reader, ka_shm_now_ns() + DEADLINE_MS * NS_PER_MS), -EINTR);
}

static void
who_only_looks_cannot_take_a_wake_up(void **state)
{
	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_LOOK);
	assert_true(ka_shm_post(writer));
	assert_int_equal(ka_shm_wait(reader, 0), -EBADF);
	reopen_or_fail(KA_SHM_ATTACH);
	assert_int_equal(ka_shm_wait(reader, 0), 0);
}

static void
credit_is_bounded_when_nobody_listens(void **state)
{
	struct ka_shm_segment *segment;
	size_t length;
	int credit;

	(void)state;
	publish_or_fail();
	segment = ka_shm_memory(writer, &length);
	for (unsigned int i = 0; i < 3 * KA_SHM_CREDIT_MAX; i++)
		assert_int_equal(ka_shm_post(writer), i < KA_SHM_CREDIT_MAX);
	assert_int_equal(sem_getvalue(&segment->legacy.core_died, &credit), 0);
	assert_int_equal(credit, KA_SHM_CREDIT_MAX);
	/* Once it is taken there is room again. */
	open_or_fail(KA_SHM_ATTACH);
	assert_int_equal(ka_shm_wait(reader, 0), 0);
	assert_int_equal(ka_shm_wait(reader, 0), -ETIMEDOUT);
	assert_true(ka_shm_post(writer));
}

/* glibc ends a process that waits on such a semaphore, or posts it. */
static void
a_corrupt_semaphore_ends_neither_side(void **state)
{
	const uint32_t nonsense = 0xf1;
	struct ka_shm_segment *segment;
	uint8_t *kind;
	size_t length;

	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_ATTACH);
	segment = ka_shm_memory(writer, &length);
	kind = (uint8_t *)&segment->legacy.core_died + sizeof(uint64_t);
	memcpy(kind, &nonsense, sizeof(nonsense));
	assert_int_equal(ka_shm_wait(reader, ka_shm_now_ns() + NS_PER_MS), -EBADMSG);
	/* The owner mends it. */
	assert_true(ka_shm_post(writer));
	assert_int_equal(ka_shm_wait(reader, 0), 0);
}

/* ---- Owners ---- */

static void
S3_a_living_owner_is_never_displaced(void **state)
{
	const struct child *owner = start_child(own_segment);

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	assert_int_equal(publish(&writer), -EBUSY);
	assert_int_equal(holder.pid, owner->pid);
	assert_false(replaced_stale);
	destroy_writer();
	/* The first goes on as if nothing had been. */
	assert_true(ka_shm_is_current(reader));
	assert_true(ka_shm_owner_lives(reader));
	ask(owner, 'w');
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.events, KA_SHM_EVENTS);
	assert_int_equal(count_objects(false), 1);
	ask(owner, 'd');
	assert_int_equal(count_objects(false), 0);
}

static void
S7_a_segment_of_a_killed_owner_is_replaced(void **state)
{
	const struct child *owner = start_child(own_segment);

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	assert_true(ka_shm_owner_lives(reader));
	kill_to_zombie(owner);
	assert_false(ka_shm_owner_lives(reader));
	assert_true(ka_shm_is_current(reader));
	publish_or_fail();
	assert_true(replaced_stale);
	assert_false(ka_shm_is_current(reader));
	assert_int_equal(count_objects(false), 1);
	reopen_or_fail(KA_SHM_LOOK);
	assert_true(ka_shm_is_current(reader));
	assert_true(ka_shm_owner_lives(reader));
	assert_int_equal(ka_shm_identity(reader)->pid, getpid());
}

static void
S7_a_stopped_owner_is_alive(void **state)
{
	const struct child *owner = start_child(own_segment);
	siginfo_t info;

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_LOOK);
	assert_int_equal(kill(owner->pid, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)owner->pid, &info, WSTOPPED), 0);
	assert_true(ka_shm_owner_lives(reader));
	assert_int_equal(publish(&writer), -EBUSY);
}

/* Newcomers that have made their segment and wait for the start; shared with the children. */
static _Atomic unsigned int *waiting;

/* A child's role: publish at the same moment as the other one, and stay. */
static void
race_for_name(int in, int out)
{
	struct ka_shm_config config = default_config();
	struct ka_shm_writer *own = NULL;
	struct report report = { .rc = ka_shm_create(&own, &config) };
	char what;

	atomic_fetch_add(waiting, 1);
	while (atomic_load(waiting) < 2)
		continue;
	if (report.rc == 0)
		report.rc = ka_shm_publish(own, &holder, &replaced_stale);
	report.replaced_stale = replaced_stale;
	say(out, &report);
	while (read(in, &what, 1) == 1)
		continue;
}

static void
S3_of_two_newcomers_one_replaces_a_stale_segment(void **state)
{
	void *memory = mmap(NULL, sizeof(*waiting), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(memory != MAP_FAILED);
	waiting = memory;
	for (int round = 0; round < 15; round++) {
		struct report first, second;
		bool first_won;

		atomic_store(waiting, 0);
		start_child(race_for_name);
		start_child(race_for_name);
		first = hear(&children[0]);
		second = hear(&children[1]);
		first_won = first.rc == 0;
		assert_int_equal(first_won ? second.rc : first.rc, -EBUSY);
		assert_int_equal(first_won ? first.rc : second.rc, 0);
		assert_int_equal(first_won ? first.replaced_stale : second.replaced_stale,
				 round > 0);
		open_or_fail(KA_SHM_LOOK);
		assert_int_equal(ka_shm_identity(reader)->pid, children[first_won ? 0 : 1].pid);
		assert_true(ka_shm_owner_lives(reader));
		close_reader();
		while (nb_children > 0)
			end_child(&children[--nb_children], SIGKILL);
	}
	munmap(memory, sizeof(*waiting));
}

static void
S3_an_owner_does_not_remove_what_is_no_longer_its_own(void **state)
{
	struct ka_shm_writer *first;

	(void)state;
	assert_int_equal(publish(&first), 0);
	assert_int_equal(shm_unlink(name), 0);
	publish_or_fail();
	assert_false(replaced_stale);
	open_or_fail(KA_SHM_LOOK);
	ka_shm_destroy(first);
	assert_true(ka_shm_is_current(reader));
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.status, KA_STATUS_RUNNING);
}

static void
S7_what_was_never_published_leaves_nothing_behind(void **state)
{
	struct ka_shm_config config = default_config();
	struct ka_shm_writer *second;

	(void)state;
	assert_int_equal(ka_shm_create(&writer, &config), 0);
	assert_int_equal(count_objects(false), 1);
	destroy_writer();
	assert_int_equal(count_objects(false), 0);

	publish_or_fail();
	assert_int_equal(publish(&second), -EBUSY);
	ka_shm_destroy(second);
	assert_int_equal(count_objects(false), 1);
}

/* As of a process of our id that was killed before it could give its segment the name. */
static void
S7_an_unpublished_leftover_is_no_obstacle(void **state)
{
	char leftover[sizeof(name) + 32];
	int fd;

	(void)state;
	snprintf(leftover, sizeof(leftover), "%s.new.%ld", name, (long)getpid());
	fd = shm_open(leftover, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	publish_or_fail();
	open_or_fail(KA_SHM_LOOK);
}

static void
A3_a_goodbye_is_read_after_the_name_is_gone(void **state)
{
	const struct child *owner = start_child(own_segment);

	(void)state;
	assert_int_equal(hear(owner).rc, 0);
	open_or_fail(KA_SHM_ATTACH);
	ask(owner, 'd');
	/* The owner is still there as a process, yet it owns this no more. */
	assert_int_equal(ka_shm_wait(reader, 0), 0);
	assert_false(ka_shm_owner_lives(reader));
	assert_false(ka_shm_is_current(reader));
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.status, KA_STATUS_STOPPED);
	assert_int_equal(ka_shm_open(&(struct ka_shm_reader *){ NULL }, name, KA_SHM_LOOK, NULL),
			 -ENOENT);
}

/* A child's role: publish as a user who owns nothing. */
static void
own_as_other_user(int in, int out)
{
	if (setgid(OTHER_UID) != 0 || setuid(OTHER_UID) != 0)
		_exit(1);
	own_segment(in, out);
}

static void
an_owners_look_at_its_own_outlives_the_goodbye_and_keeps_no_lock(void **state)
{
	const struct ka_shm_identity *identity;
	const struct ka_shm_core core = { .state = KA_STATE_ALIVE, .launched_ns = 1, .deaths = 7 };

	(void)state;
	publish_or_fail();
	assert_int_equal(ka_shm_open_own(&reader, writer), 0);
	identity = ka_shm_identity(reader);
	assert_int_equal(identity->pid, getpid());
	assert_false(ka_shm_is_legacy(reader));
	ka_shm_begin(writer);
	ka_shm_write_core(writer, 5, &core, KA_STATE_ALIVE);
	ka_shm_end(writer);
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.core[5].deaths, 7);
	destroy_writer();
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.monitor.status, KA_STATUS_STOPPED);
	assert_int_equal(snapshot.core[5].deaths, 7);
	/* The name is free, and nobody owns what it led to. */
	assert_false(ka_shm_owner_lives(reader));
	assert_false(ka_shm_is_current(reader));
	assert_int_equal(count_objects(false), 0);
	publish_or_fail();
	assert_false(replaced_stale);
}

static void
S4_a_name_of_another_user_is_left_alone(void **state)
{
	struct report report;

	(void)state;
	if (geteuid() != 0)
		skip();
	publish_or_fail();
	report = hear(start_child(own_as_other_user));
	assert_int_equal(report.rc, -EPERM);
	assert_int_equal(report.uid, geteuid());
	destroy_writer();

	/* Nor does root step onto what a user placed there, dead or alive. */
	assert_int_equal(hear(start_child(own_as_other_user)).rc, 0);
	assert_int_equal(publish(&writer), -EPERM);
	assert_int_equal(holder.uid, OTHER_UID);
	kill_to_zombie(&children[nb_children - 1]);
	destroy_writer();
	assert_int_equal(publish(&writer), -EPERM);
}

/* ---- What else may lie under the name ---- */

static void
S4_a_foreign_object_is_left_alone(void **state)
{
	static const off_t sizes[] = { 0, 9, 1567, 1569, 34656, 100000 };
	struct ka_shm_complaint complaint;

	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		char content[9] = "";
		int fd = place_object(sizes[i], "a letter", sizes[i] < 9 ? 0 : 9, 0);
		int expected = sizes[i] < KA_SHM_LEGACY_SIZE ? -EMSGSIZE : -EBADMSG;

		assert_int_equal(publish(&writer), -EEXIST);
		destroy_writer();
		assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, &complaint), expected);
		assert_int_equal(complaint.size, sizes[i]);
		assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, &complaint), expected);
		assert_int_equal(pread(fd, content, 9, 0), sizes[i] < 9 ? 0 : 9);
		assert_string_equal(content, sizes[i] < 9 ? "" : "a letter");
		assert_int_equal(count_objects(false), 1);
		assert_int_equal(shm_unlink(name), 0);
		close(fd);
	}
}

static void
A9_a_segment_cut_short_is_told_by_its_size(void **state)
{
	const struct ka_shm_identity identity = good_identity();
	struct ka_shm_complaint complaint;
	int fd = place_object(20000, &identity, sizeof(identity), KA_SHM_LEGACY_SIZE);

	(void)state;
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, &complaint), -EMSGSIZE);
	assert_int_equal(complaint.size, 20000);
	assert_int_equal(ftruncate(fd, sizeof(struct ka_shm_segment) - 1), 0);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -EMSGSIZE);
	assert_int_equal(ftruncate(fd, sizeof(struct ka_shm_segment)), 0);
	open_or_fail(KA_SHM_LOOK);
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_false(ka_shm_owner_lives(reader));
	close(fd);
}

static void
S2_another_major_version_is_refused_and_another_minor_is_not(void **state)
{
	struct ka_shm_identity identity = good_identity();
	struct ka_shm_complaint complaint;
	int fd;

	(void)state;
	identity.version_major = KA_SHM_VERSION_MAJOR + 1;
	fd = place_object(sizeof(struct ka_shm_segment), &identity, sizeof(identity),
			  KA_SHM_LEGACY_SIZE);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, &complaint), -EPROTONOSUPPORT);
	assert_int_equal(complaint.version_major, KA_SHM_VERSION_MAJOR + 1);
	identity.version_major = KA_SHM_VERSION_MAJOR;
	identity.version_minor = KA_SHM_VERSION_MINOR + 1;
	assert_int_equal(pwrite(fd, &identity, sizeof(identity), KA_SHM_LEGACY_SIZE),
			 sizeof(identity));
	open_or_fail(KA_SHM_LOOK);
	close(fd);
}

static void
a_program_name_without_an_end_is_given_one(void **state)
{
	struct ka_shm_identity identity = good_identity();

	(void)state;
	memset(identity.program, 'x', sizeof(identity.program));
	close(place_object(sizeof(struct ka_shm_segment), &identity, sizeof(identity),
			   KA_SHM_LEGACY_SIZE));
	open_or_fail(KA_SHM_LOOK);
	assert_int_equal(strlen(ka_shm_identity(reader)->program), sizeof(identity.program) - 1);
}

static void
S4_a_link_is_not_followed(void **state)
{
	char target[sizeof(path) + 8];
	struct stat found;

	(void)state;
	publish_or_fail();
	snprintf(target, sizeof(target), "%s.target", path);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -EINVAL);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, NULL), -EINVAL);
	destroy_writer();
	assert_int_equal(publish(&writer), -EEXIST);
	assert_int_equal(lstat(path, &found), 0);
	assert_true(S_ISLNK(found.st_mode));
	assert_int_equal(stat(target, &found), 0);
}

/* A pipe in particular must not keep the reader waiting for a writer. */
static void
S4_what_is_no_regular_object_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	interrupt_every_ms(1000);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -EINVAL);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, NULL), -EINVAL);
	assert_int_equal(publish(&writer), -EEXIST);
	destroy_writer();
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -EINVAL);
	assert_int_equal(publish(&writer), -EEXIST);
	destroy_writer();
}

static void
A9_the_originals_segment_is_served(void **state)
{
	static const struct ka_shm_identity none;
	struct ka_shm_legacy *legacy = place_legacy();
	struct ka_shm_complaint complaint;
	struct ka_shm_reader *second;
	static const struct ka_shm_load no_load;
	struct ka_shm_monitor monitor;
	struct ka_shm_load load;

	(void)state;
	open_or_fail(KA_SHM_ATTACH);
	assert_true(ka_shm_is_legacy(reader));
	memset(&load, 0xff, sizeof(load));
	assert_int_equal(ka_shm_read_load(reader, KA_SHM_MAX_LCORES - 1, &load), 0);
	assert_memory_equal(&load, &no_load, sizeof(load));
	assert_true(ka_shm_owner_lives(reader));
	assert_memory_equal(ka_shm_identity(reader), &none, sizeof(none));
	atomic_store(&legacy->core_state[3], KA_STATE_DEAD);
	atomic_store(&legacy->core_last_seen_times[3], 12345);
	assert_int_equal(sem_post(&legacy->core_died), 0);
	assert_int_equal(ka_shm_wait(reader, ka_shm_now_ns() + NS_PER_S), 0);
	memset(&snapshot, 0xff, sizeof(snapshot));
	assert_int_equal(ka_shm_snapshot(reader, &snapshot), 0);
	assert_int_equal(snapshot.core[3].state, KA_STATE_DEAD);
	assert_int_equal(snapshot.core[3].last_seen_tsc, 12345);
	assert_int_equal(snapshot.core[3].deaths, 0);
	assert_int_equal(snapshot.core[2].state, KA_STATE_UNUSED);
	assert_int_equal(snapshot.monitor.status, 0);
	ka_shm_peek_monitor(reader, &monitor);
	assert_int_equal(monitor.beat_ns, 0);
	assert_int_equal(ka_shm_open(&second, name, KA_SHM_ATTACH, &complaint), -EBUSY);
	assert_int_equal(complaint.agent_pid, 0);
	assert_true(ka_shm_is_current(reader));
	assert_int_equal(shm_unlink(name), 0);
	assert_false(ka_shm_is_current(reader));
	munmap(legacy, KA_SHM_LEGACY_SIZE);
}

/* ---- Agents ---- */

static void
S6_a_second_agent_is_told_who_is_attached(void **state)
{
	struct ka_shm_complaint complaint;
	const struct child *agent;
	struct ka_shm_reader *looking;

	(void)state;
	publish_or_fail();
	agent = start_child(be_agent);
	assert_int_equal(hear(agent).rc, 0);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, &complaint), -EBUSY);
	assert_int_equal(complaint.agent_pid, agent->pid);
	/* Looking needs no attachment and disturbs none. */
	assert_int_equal(ka_shm_open(&looking, name, KA_SHM_LOOK, NULL), 0);
	ka_shm_close(looking);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, &complaint), -EBUSY);
	kill_to_zombie(agent);
	open_or_fail(KA_SHM_ATTACH);
	assert_int_equal(hear(start_child(be_agent)).pid, getpid());
	/* Attaching is not owning. */
	assert_true(ka_shm_owner_lives(reader));
}

static void
S6_an_agent_that_leaves_makes_room(void **state)
{
	(void)state;
	publish_or_fail();
	open_or_fail(KA_SHM_ATTACH);
	reopen_or_fail(KA_SHM_ATTACH);
	assert_int_equal(ka_shm_open(&(struct ka_shm_reader *){ NULL }, name, KA_SHM_ATTACH, NULL),
			 -EBUSY);
}

/* A child's role: open as a user who owns nothing, in both ways. */
static void
open_as_other_user(int in, int out)
{
	struct ka_shm_reader *own;
	struct report report = { 0 };

	(void)in;
	if (setgid(OTHER_UID) != 0 || setuid(OTHER_UID) != 0)
		_exit(1);
	report.rc = ka_shm_open(&own, name, KA_SHM_LOOK, NULL);
	say(out, &report);
	report.rc = ka_shm_open(&own, name, KA_SHM_ATTACH, NULL);
	say(out, &report);
}

static void
S5_rights_decide_who_looks_and_who_attaches(void **state)
{
	static const struct {
		mode_t mode;
		int look, attach;
	} rows[] = {
		{ 0600, -EACCES, -EACCES },
		{ 0604, 0, -EACCES },
		{ 0606, 0, 0 },
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct ka_shm_config config = default_config();
		struct child *other;

		config.mode = rows[i].mode;
		assert_int_equal(ka_shm_create(&writer, &config), 0);
		assert_int_equal(ka_shm_publish(writer, &holder, &replaced_stale), 0);
		other = start_child(open_as_other_user);
		assert_int_equal(hear(other).rc, rows[i].look);
		assert_int_equal(hear(other).rc, rows[i].attach);
		destroy_writer();
	}
}

static void
a_name_that_can_be_none_is_refused_by_the_reader(void **state)
{
	(void)state;
	assert_int_equal(ka_shm_open(&reader, "no-slash", KA_SHM_LOOK, NULL), -EINVAL);
	assert_int_equal(ka_shm_open(&reader, "/a/b", KA_SHM_LOOK, NULL), -EINVAL);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_LOOK, NULL), -ENOENT);
	assert_int_equal(ka_shm_open(&reader, name, KA_SHM_ATTACH, NULL), -ENOENT);
}

/* A child's role: make and remove the segment until told to stop. */
static void
churn(int in, int out)
{
	struct pollfd ready = { .fd = in, .events = POLLIN };
	struct report report = { 0 };

	while (poll(&ready, 1, 0) == 0 && report.rc == 0) {
		struct ka_shm_writer *own = NULL;

		report.rc = publish(&own);
		ka_shm_destroy(own);
	}
	say(out, &report);
}

static void
S1_a_segment_is_found_complete_or_not_at_all(void **state)
{
	const struct child *owner = start_child(churn);
	uint64_t give_up = ka_shm_now_ns() + DEADLINE_MS * NS_PER_MS;
	unsigned int found = 0;

	(void)state;
	while (found < 500) {
		int rc = ka_shm_open(&reader, name, KA_SHM_LOOK, NULL);

		assert_true(ka_shm_now_ns() < give_up);
		if (rc == -ENOENT)
			continue;
		assert_int_equal(rc, 0);
		found++;
		assert_int_equal(ka_shm_identity(reader)->pid, owner->pid);
		/* No quiet moment: the owner lost its CPU in the middle of its goodbye. */
		rc = ka_shm_snapshot(reader, &snapshot);
		assert_true(rc == 0 || rc == -EAGAIN);
		assert_uint_in_range(snapshot.monitor.status, KA_STATUS_RUNNING, KA_STATUS_STOPPED);
		close_reader();
	}
	assert_int_equal(ask(owner, 'x').rc, 0);
	assert_int_equal(count_objects(false), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_are_a_slash_and_one_component),
		TEST(the_longest_name_can_be_published),
		TEST(the_name_follows_the_file_prefix),
		TEST(the_layout_is_the_originals_and_then_ours),
		TEST(a_wrong_configuration_is_refused),
		TEST(nobody_finds_a_segment_before_it_is_published),
		TEST(a_published_segment_says_who_made_it_and_when),
		TEST(a_long_name_of_the_program_is_cut),
		TEST(S5_the_mode_is_the_one_asked_for_whatever_the_umask),
		TEST(S5_the_group_is_the_one_asked_for),
		TEST(S8_a_snapshot_is_what_another_process_wrote),
		TEST(loads_are_what_another_process_wrote_and_disturb_nothing),
		TEST(a_load_that_was_never_written_is_all_zero),
		TEST(a_load_is_read_by_halves_only_with_a_word_of_it),
		TEST(states_are_mirrored_where_the_original_has_them),
		TEST(S9_the_ring_keeps_the_newest_events),
		TEST(S8_a_change_left_half_done_is_told_within_bounds),
		TEST(a_post_of_another_process_wakes_the_agent),
		TEST(A5_one_wake_up_takes_all_credit),
		TEST(A7_a_wait_ends_at_its_deadline),
		TEST(a_signal_ends_a_wait),
		TEST(who_only_looks_cannot_take_a_wake_up),
		TEST(credit_is_bounded_when_nobody_listens),
		TEST(a_corrupt_semaphore_ends_neither_side),
		TEST(S3_a_living_owner_is_never_displaced),
		TEST(S7_a_segment_of_a_killed_owner_is_replaced),
		TEST(S7_a_stopped_owner_is_alive),
		TEST(S3_of_two_newcomers_one_replaces_a_stale_segment),
		TEST(S3_an_owner_does_not_remove_what_is_no_longer_its_own),
		TEST(S7_what_was_never_published_leaves_nothing_behind),
		TEST(S7_an_unpublished_leftover_is_no_obstacle),
		TEST(A3_a_goodbye_is_read_after_the_name_is_gone),
		TEST(an_owners_look_at_its_own_outlives_the_goodbye_and_keeps_no_lock),
		TEST(S4_a_name_of_another_user_is_left_alone),
		TEST(S4_a_foreign_object_is_left_alone),
		TEST(A9_a_segment_cut_short_is_told_by_its_size),
		TEST(S2_another_major_version_is_refused_and_another_minor_is_not),
		TEST(a_program_name_without_an_end_is_given_one),
		TEST(S4_a_link_is_not_followed),
		TEST(S4_what_is_no_regular_object_is_refused),
		TEST(A9_the_originals_segment_is_served),
		TEST(S6_a_second_agent_is_told_who_is_attached),
		TEST(S6_an_agent_that_leaves_makes_room),
		TEST(S5_rights_decide_who_looks_and_who_attaches),
		TEST(a_name_that_can_be_none_is_refused_by_the_reader),
		TEST(S1_a_segment_is_found_complete_or_not_at_all),
	};

	return cmocka_run_group_tests_name("shm", tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm.h"

/* Where glibc's shm_open() keeps its objects (shm_overview(7)); rename() needs the path. */
#define SHM_FOLDER "/dev/shm"

/* Bytes of the segment's file that the two locks are on. */
#define LOCK_OWNER 0
#define LOCK_AGENT 1

/* How often publishing starts over when the name changes hands under it, and the pause. */
#define PUBLISH_TRIES 20
#define PUBLISH_PAUSE_NS (5 * 1000 * 1000)

/* How long the original is given to write, which it does every 5 ms unless told otherwise. */
#define ORIGINAL_PAUSE_NS (50 * 1000 * 1000)

/* How long a reader looks for a quiet moment. */
#define SNAPSHOT_LIMIT_NS (20 * 1000 * 1000)

#define NS_PER_S UINT64_C(1000000000)

static_assert(sizeof(sem_t) == 32, "the original's segment starts with a sem_t of 32 bytes");
static_assert(offsetof(struct ka_shm_legacy, core_state) == 32, "original's layout");
static_assert(offsetof(struct ka_shm_legacy, core_last_seen_times) == 544, "original's layout");
static_assert(sizeof(struct ka_shm_legacy) == KA_SHM_LEGACY_SIZE, "original's layout");
static_assert(sizeof(struct ka_shm_identity) == 160, "layout of version 1");
static_assert(sizeof(struct ka_shm_monitor) == 128, "layout of version 1");
static_assert(sizeof(struct ka_shm_core) == 128, "layout of version 1");
static_assert(sizeof(struct ka_shm_event) == 64, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, sequence) == 1728, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, monitor) == 1744, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, core) == 1872, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, event) == 18256, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, crash_ns) == 34640, "layout of version 1");
static_assert(offsetof(struct ka_shm_segment, load) == 34656, "layout of version 1.1");
static_assert(sizeof(struct ka_shm_load) == 896, "layout of version 1.1");
static_assert(sizeof(struct ka_shm_segment) == 149344, "layout of version 1.1");
/* A lock hidden in an atomic would not work between processes. */
static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2 &&
		      ATOMIC_LLONG_LOCK_FREE == 2,
	      "atomics must be lock-free");

struct ka_shm_writer {
	struct ka_shm_segment *segment;
	int fd; /* Holds the owner's lock; open as long as the segment is ours. */
	bool published;
	uint64_t sequence; /* Private copies: nothing is read back from the segment. */
	uint64_t events;
	struct ka_shm_monitor monitor;
	struct ka_shm_config config;
	char program[32];
	char name[KA_SHM_NAME_MAX + 1];
	char temporary[KA_SHM_NAME_MAX + 32];
	char path[sizeof(SHM_FOLDER) + KA_SHM_NAME_MAX];
};

struct ka_shm_reader {
	const struct ka_shm_segment *segment; /* Only legacy and its 1568 bytes if is_legacy. */
	struct ka_shm_segment *writable;      /* The same mapping, NULL for KA_SHM_LOOK. */
	size_t size;
	int fd;
	bool is_legacy;
	dev_t device;
	ino_t inode;
	struct ka_shm_identity identity;
	char path[sizeof(SHM_FOLDER) + KA_SHM_NAME_MAX];
};

/*
 * Behind its count glibc's semaphore says for whom it is. Where it finds something there that sem_init()
 * does not leave, it ends the process, and who may write the segment may write that: so we look
 * before. What is written in the moment between is not seen; doc/security.md.
 */
#define SEMAPHORE_KIND 8
#if defined(__GLIBC__) && UINTPTR_MAX > UINT32_MAX
#define IS_GLIBC_64 1
#else
#define IS_GLIBC_64 0
#endif
static const uint32_t semaphore_kind = 128;

static bool
semaphore_is_sound(const sem_t *semaphore)
{
	/* Elsewhere it looks different. */
	if (!IS_GLIBC_64)
		return true;
	return memcmp((const uint8_t *)semaphore + SEMAPHORE_KIND, &semaphore_kind,
		      sizeof(semaphore_kind)) == 0;
}

uint64_t
ka_shm_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t
real_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void
pause_ns(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* ---- Names ---- */

bool
ka_shm_name_is_valid(const char *name)
{
	if (name == NULL || name[0] != '/' || strlen(name) > KA_SHM_NAME_MAX)
		return false;
	name++;
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

int
ka_shm_name_of_prefix(char name[KA_SHM_NAME_MAX + 1], const char *file_prefix)
{
	const char *dot = ".";
	int length;

	if (file_prefix == NULL || strcmp(file_prefix, "rte") == 0)
		dot = file_prefix = "";
	else if (file_prefix[0] == '\0')
		return -EINVAL;
	length = snprintf(name, KA_SHM_NAME_MAX + 1, "%s%s%s", KA_SHM_DEFAULT_NAME, dot,
			  file_prefix);
	if (length > KA_SHM_NAME_MAX || !ka_shm_name_is_valid(name))
		return -EINVAL;
	return 0;
}

static void
path_of_name(char *path, size_t size, const char *name)
{
	snprintf(path, size, SHM_FOLDER "%s", name);
}

/* ---- Locks ---- */

static struct flock
lock_on(short type, off_t byte)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

/* Returns 0, or -EBUSY when another open file description holds the lock. */
static int
lock_take(int fd, off_t byte)
{
	struct flock lock = lock_on(F_WRLCK, byte);

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static bool
lock_is_held(int fd, off_t byte)
{
	struct flock lock = lock_on(F_WRLCK, byte);

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* ---- Words ---- */

static void
store_words(_Atomic uint64_t *to, const void *from, size_t words)
{
	uint64_t word;

	for (size_t i = 0; i < words; i++) {
		memcpy(&word, (const char *)from + i * sizeof(word), sizeof(word));
		/* Release: not visible before the odd sequence that was stored before it. */
		atomic_store_explicit(&to[i], word, memory_order_release);
	}
}

static void
load_words(void *to, const _Atomic uint64_t *from, size_t words)
{
	uint64_t word;

	for (size_t i = 0; i < words; i++) {
		/* Acquire: the second look at the sequence cannot be made before it. */
		word = atomic_load_explicit(&from[i], memory_order_acquire);
		memcpy((char *)to + i * sizeof(word), &word, sizeof(word));
	}
}

/* ---- Writer's side ---- */

/*
 * Take away what a process of the same id left that died between its shm_open() and its rename().
 * If it is locked it is alive: in another container, which shares the folder but not the ids.
 */
static int
remove_leftover(const char *name)
{
	int fd = shm_open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = lock_take(fd, LOCK_OWNER);
	if (rc == 0 && shm_unlink(name) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int
open_temporary(const char *name)
{
	int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0 && errno == EEXIST) {
		rc = remove_leftover(name);
		if (rc != 0)
			return rc;
		fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	}
	return fd < 0 ? -errno : fd;
}

/* The group before the mode: fchown() may clear bits. fchmod() because umask cut those given. */
static int
prepare_object(struct ka_shm_writer *writer)
{
	const struct ka_shm_config *config = &writer->config;
	void *memory;

	if (config->group != (gid_t)-1 && fchown(writer->fd, (uid_t)-1, config->group) != 0)
		return -errno;
	if (fchmod(writer->fd, config->mode) != 0 ||
	    ftruncate(writer->fd, sizeof(struct ka_shm_segment)) != 0)
		return -errno;
	memory = mmap(NULL, sizeof(struct ka_shm_segment), PROT_READ | PROT_WRITE, MAP_SHARED,
		      writer->fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	writer->segment = memory;
	/* Before the name exists, so that no reader ever finds a segment without an owner. */
	return lock_take(writer->fd, LOCK_OWNER);
}

int
ka_shm_create(struct ka_shm_writer **created, const struct ka_shm_config *config)
{
	struct ka_shm_writer *writer;
	int rc;

	if (!ka_shm_name_is_valid(config->name) || (config->mode & ~(mode_t)0777) != 0 ||
	    config->period_ns == 0)
		return -EINVAL;
	writer = calloc(1, sizeof(*writer));
	if (writer == NULL)
		return -ENOMEM;
	writer->config = *config;
	snprintf(writer->program, sizeof(writer->program), "%s", config->program);
	snprintf(writer->name, sizeof(writer->name), "%s", config->name);
	snprintf(writer->temporary, sizeof(writer->temporary), "%s.new.%ld", config->name,
		 (long)getpid());
	path_of_name(writer->path, sizeof(writer->path), config->name);
	writer->config.name = writer->name;
	writer->config.program = writer->program;

	writer->fd = open_temporary(writer->temporary);
	rc = writer->fd < 0 ? writer->fd : prepare_object(writer);
	if (rc != 0) {
		ka_shm_destroy(writer);
		return rc;
	}
	*created = writer;
	return 0;
}

void *
ka_shm_memory(const struct ka_shm_writer *writer, size_t *length)
{
	*length = sizeof(*writer->segment);
	return writer->segment;
}

static int
fill_in(struct ka_shm_writer *writer)
{
	const struct ka_shm_config *config = &writer->config;
	struct ka_shm_segment *segment = writer->segment;
	struct ka_shm_identity *identity = &segment->identity;

	/* ftruncate() gave zeros, so that all states are KA_STATE_UNUSED. */
	if (sem_init(&segment->legacy.core_died, 1, 0) != 0)
		return -errno;
	*identity = (struct ka_shm_identity){
		.magic = KA_SHM_MAGIC,
		.version_major = KA_SHM_VERSION_MAJOR,
		.version_minor = KA_SHM_VERSION_MINOR,
		.size = sizeof(*segment),
		.pid = getpid(),
		.created_ns = ka_shm_now_ns(),
		.created_real_ns = real_now_ns(),
		.created_tsc = config->tsc,
		.tsc_hz = config->tsc_hz,
		.period_ns = config->period_ns,
		.main_lcore = config->main_lcore,
	};
	memcpy(identity->program, writer->program, sizeof(identity->program));
	writer->monitor.status = KA_STATUS_RUNNING;
	writer->monitor.beat_ns = identity->created_ns;
	ka_shm_begin(writer);
	ka_shm_write_monitor(writer, &writer->monitor);
	ka_shm_end(writer);
	return 0;
}

/* Whether an open object is a keepalive segment, ours or the original's; and its owner's pid. */
static bool
is_segment(int fd, off_t size, pid_t *pid)
{
	struct ka_shm_identity identity;
	ssize_t length;

	*pid = 0;
	if (size == KA_SHM_LEGACY_SIZE)
		return true;
	length = pread(fd, &identity, sizeof(identity), offsetof(struct ka_shm_segment, identity));
	if (length != (ssize_t)sizeof(identity) || identity.magic != KA_SHM_MAGIC)
		return false;
	*pid = (pid_t)identity.pid;
	return true;
}

static bool
name_leads_to(const char *path, dev_t device, ino_t inode)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == device && now.st_ino == inode;
}

/* What it means that an object of our name cannot be opened. Returns as replace_stale(). */
static int
cannot_open(int error, const char *path, struct ka_shm_holder *holder)
{
	struct stat found;

	switch (error) {
	case ENOENT:
		return -EAGAIN;
	case EACCES:
		if (lstat(path, &found) != 0)
			return errno == ENOENT ? -EAGAIN : -errno;
		holder->uid = found.st_uid;
		return found.st_uid != geteuid() ? -EPERM : -EACCES;
	case EINVAL: /* shm_open(): a folder. */
	case ELOOP:
	case ENXIO: /* A socket. */
		return -EEXIST;
	default:
		return -error;
	}
}

/*
 * Whether the original's segment is in use. The original takes no lock, but writes at every ping
 * when it last saw its cores.
 */
static bool
original_moves(int fd)
{
	uint64_t before[KA_SHM_MAX_LCORES], after[KA_SHM_MAX_LCORES];
	const off_t times = offsetof(struct ka_shm_legacy, core_last_seen_times);

	if (pread(fd, before, sizeof(before), times) != (ssize_t)sizeof(before))
		return false;
	pause_ns(ORIGINAL_PAUSE_NS);
	return pread(fd, after, sizeof(after), times) == (ssize_t)sizeof(after) &&
	       memcmp(before, after, sizeof(before)) != 0;
}

/*
 * Someone's object has our name. Its lock tells whether its owner lives. Whoever gets that lock
 * may replace it, so two newcomers cannot both do so, and none can take away what the other has
 * just put there.
 *
 * Returns 0 when replaced, -EAGAIN when the name changed hands meanwhile, or an error.
 */
static int
replace_stale(const struct ka_shm_writer *writer, struct ka_shm_holder *holder)
{
	struct stat found;
	int fd, rc = 0;

	/* Without following links, whoever placed them: shm_open() sees to that. */
	fd = shm_open(writer->name, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd < 0)
		return cannot_open(errno, writer->path, holder);
	if (fstat(fd, &found) != 0)
		rc = -errno;
	else if (!S_ISREG(found.st_mode))
		rc = -EEXIST;
	else if (found.st_uid != geteuid()) {
		holder->uid = found.st_uid;
		rc = -EPERM;
	} else if (!is_segment(fd, found.st_size, &holder->pid))
		rc = -EEXIST;
	else if (found.st_size == KA_SHM_LEGACY_SIZE && original_moves(fd))
		rc = -EBUSY;
	else
		rc = lock_take(fd, LOCK_OWNER);
	if (rc == 0) {
		if (!name_leads_to(writer->path, found.st_dev, found.st_ino))
			rc = -EAGAIN;
		else {
			char from[sizeof(SHM_FOLDER) + sizeof(writer->temporary)];

			path_of_name(from, sizeof(from), writer->temporary);
			rc = rename(from, writer->path) == 0 ? 0 : -errno;
		}
	}
	close(fd);
	return rc;
}

/* One try to get the name. Returns as replace_stale(). */
static int
claim_name(const struct ka_shm_writer *writer, struct ka_shm_holder *holder, bool *replaced_stale)
{
	char from[sizeof(SHM_FOLDER) + sizeof(writer->temporary)];
	int rc;

	path_of_name(from, sizeof(from), writer->temporary);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, writer->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	rc = replace_stale(writer, holder);
	*replaced_stale = rc == 0;
	return rc;
}

int
ka_shm_publish(struct ka_shm_writer *writer, struct ka_shm_holder *holder, bool *replaced_stale)
{
	/* ftruncate() reserves nothing: on a full tmpfs the first touch of a page would be SIGBUS. */
	int rc = -posix_fallocate(writer->fd, 0, sizeof(*writer->segment));

	if (rc == 0)
		rc = fill_in(writer);
	*holder = (struct ka_shm_holder){ 0 };
	*replaced_stale = false;
	if (rc != 0)
		return rc;
	/*
	 * A newcomer that is just replacing a stale segment holds its lock for a moment: look
	 * again before it is called busy, so that the message names the one that won.
	 */
	for (int try = 0; try < PUBLISH_TRIES; try++) {
		rc = claim_name(writer, holder, replaced_stale);
		if (rc != -EAGAIN && rc != -EBUSY)
			break;
		pause_ns(PUBLISH_PAUSE_NS);
	}
	writer->published = rc == 0;
	return rc == -EAGAIN ? -EBUSY : rc;
}

const char *
ka_shm_path(const struct ka_shm_writer *writer)
{
	return writer->path;
}

void
ka_shm_begin(struct ka_shm_writer *writer)
{
	/* Relaxed: the words that follow carry the order. */
	atomic_store_explicit(&writer->segment->sequence, ++writer->sequence, memory_order_relaxed);
}

void
ka_shm_write_core(struct ka_shm_writer *writer, unsigned int lcore, const struct ka_shm_core *core,
		  enum ka_state legacy_state)
{
	struct ka_shm_segment *segment = writer->segment;

	store_words(segment->core[lcore], core, KA_SHM_WORDS(*core));
	atomic_store_explicit(&segment->legacy.core_last_seen_times[lcore], core->last_seen_tsc,
			      memory_order_release);
	atomic_store_explicit(&segment->legacy.core_state[lcore], legacy_state,
			      memory_order_release);
}

void
ka_shm_write_load(struct ka_shm_writer *writer, unsigned int lcore, const struct ka_shm_load *load)
{
	store_words(writer->segment->load[lcore], load, KA_SHM_WORDS(*load));
}

void
ka_shm_write_monitor(struct ka_shm_writer *writer, const struct ka_shm_monitor *monitor)
{
	writer->monitor = *monitor;
	writer->monitor.events = writer->events;
	store_words(writer->segment->monitor, &writer->monitor, KA_SHM_WORDS(writer->monitor));
}

void
ka_shm_add_event(struct ka_shm_writer *writer, const struct ka_shm_event *event)
{
	struct ka_shm_event numbered = *event;

	numbered.number = ++writer->events;
	store_words(writer->segment->event[(numbered.number - 1) % KA_SHM_EVENTS], &numbered,
		    KA_SHM_WORDS(numbered));
	ka_shm_write_monitor(writer, &writer->monitor);
}

void
ka_shm_end(struct ka_shm_writer *writer)
{
	/* Release: all words of the change are visible before the even sequence. */
	atomic_store_explicit(&writer->segment->sequence, ++writer->sequence, memory_order_release);
}

/* From a signal handler, too. */
static int
post(struct ka_shm_writer *writer)
{
	sem_t *semaphore = &writer->segment->legacy.core_died;

	if (!semaphore_is_sound(semaphore))
		memcpy((uint8_t *)semaphore + SEMAPHORE_KIND, &semaphore_kind,
		       sizeof(semaphore_kind));
	return sem_post(semaphore);
}

bool
ka_shm_post(struct ka_shm_writer *writer)
{
	sem_t *semaphore = &writer->segment->legacy.core_died;
	int credit;

	/* Of one that somebody wrote over, the credit says nothing either. */
	if (semaphore_is_sound(semaphore) && sem_getvalue(semaphore, &credit) == 0 &&
	    credit >= KA_SHM_CREDIT_MAX)
		return false;
	return post(writer) == 0;
}

void
ka_shm_crash(struct ka_shm_writer *writer, unsigned int lcore, int signal_number)
{
	struct ka_shm_segment *segment = writer->segment;
	uint64_t none = 0;

	/* Who sets the time is the first. */
	if (!atomic_compare_exchange_strong_explicit(&segment->crash_ns, &none, ka_shm_now_ns(),
						     memory_order_relaxed, memory_order_relaxed))
		return;
	/* Release: with the crash comes its time. */
	atomic_store_explicit(&segment->crash, (uint64_t)signal_number << 32 | lcore,
			      memory_order_release);
	atomic_store_explicit(&segment->legacy.core_state[lcore], KA_STATE_DEAD,
			      memory_order_release);
	post(writer);
}

static void
publish_status(struct ka_shm_writer *writer, enum ka_status status)
{
	writer->monitor.status = status;
	ka_shm_begin(writer);
	ka_shm_write_monitor(writer, &writer->monitor);
	ka_shm_end(writer);
}

void
ka_shm_mark_aborted(struct ka_shm_writer *writer)
{
	publish_status(writer, KA_STATUS_ABORTED);
	post(writer);
}

static void
say_goodbye(struct ka_shm_writer *writer)
{
	struct stat own;

	publish_status(writer, KA_STATUS_STOPPED);
	if (fstat(writer->fd, &own) == 0 && name_leads_to(writer->path, own.st_dev, own.st_ino))
		shm_unlink(writer->name);
	/* Whatever credit there is: this is the last word. */
	post(writer);
}

void
ka_shm_destroy(struct ka_shm_writer *writer)
{
	if (writer == NULL)
		return;
	if (writer->published)
		say_goodbye(writer);
	else if (writer->fd >= 0)
		shm_unlink(writer->temporary);
	if (writer->segment != NULL)
		munmap(writer->segment, sizeof(*writer->segment));
	/* Last, since it drops the owner's lock: STOPPED is seen before "owner gone" is. */
	if (writer->fd >= 0)
		close(writer->fd);
	free(writer);
}

/* ---- Reader's side ---- */

/* Decide from the size and the identity whether the object can be trusted to be a segment. */
static int
check_object(struct ka_shm_reader *reader, struct ka_shm_complaint *complaint)
{
	struct ka_shm_identity *identity = &reader->identity;
	struct stat found;
	ssize_t length;

	if (fstat(reader->fd, &found) != 0)
		return -errno;
	if (!S_ISREG(found.st_mode))
		return -EINVAL;
	reader->device = found.st_dev;
	reader->inode = found.st_ino;
	complaint->size = (uint64_t)found.st_size;
	reader->is_legacy = found.st_size == KA_SHM_LEGACY_SIZE;
	reader->size = reader->is_legacy ? KA_SHM_LEGACY_SIZE : sizeof(struct ka_shm_segment);
	if (reader->is_legacy)
		return 0;
	if (found.st_size < KA_SHM_LEGACY_SIZE)
		return -EMSGSIZE;
	length = pread(reader->fd, identity, sizeof(*identity),
		       offsetof(struct ka_shm_segment, identity));
	if (length < 0)
		return -errno;
	if (length != (ssize_t)sizeof(*identity) || identity->magic != KA_SHM_MAGIC)
		return -EBADMSG;
	complaint->version_major = identity->version_major;
	if (identity->version_major != KA_SHM_VERSION_MAJOR)
		return -EPROTONOSUPPORT;
	identity->program[sizeof(identity->program) - 1] = '\0';
	return (size_t)found.st_size < reader->size ? -EMSGSIZE : 0;
}

static int
map_object(struct ka_shm_reader *reader, enum ka_shm_access access)
{
	int protection = access == KA_SHM_ATTACH ? PROT_READ | PROT_WRITE : PROT_READ;
	void *memory = mmap(NULL, reader->size, protection, MAP_SHARED, reader->fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	reader->segment = memory;
	if (access == KA_SHM_ATTACH)
		reader->writable = memory;
	return 0;
}

static int
attach(struct ka_shm_reader *reader, struct ka_shm_complaint *complaint)
{
	int rc = lock_take(reader->fd, LOCK_AGENT);

	if (reader->is_legacy)
		return rc;
	if (rc == -EBUSY)
		complaint->agent_pid = (pid_t)atomic_load_explicit(&reader->segment->agent_pid,
								   memory_order_relaxed);
	else if (rc == 0)
		atomic_store_explicit(&reader->writable->agent_pid, getpid(), memory_order_relaxed);
	return rc;
}

int
ka_shm_open(struct ka_shm_reader **opened, const char *name, enum ka_shm_access access,
	    struct ka_shm_complaint *complaint)
{
	/* O_NONBLOCK: a pipe of this name must not keep us waiting for its other end. */
	int flags = (access == KA_SHM_ATTACH ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
	struct ka_shm_complaint unheard;
	struct ka_shm_reader *reader;
	int rc;

	if (complaint == NULL)
		complaint = &unheard;
	*complaint = (struct ka_shm_complaint){ 0 };
	if (!ka_shm_name_is_valid(name))
		return -EINVAL;
	reader = calloc(1, sizeof(*reader));
	if (reader == NULL)
		return -ENOMEM;
	path_of_name(reader->path, sizeof(reader->path), name);
	reader->fd = shm_open(name, flags, 0);
	rc = reader->fd >= 0 ? 0 : errno == ELOOP || errno == ENXIO ? -EINVAL : -errno;
	if (rc == 0)
		rc = check_object(reader, complaint);
	if (rc == 0)
		rc = map_object(reader, access);
	if (rc == 0 && access == KA_SHM_ATTACH)
		rc = attach(reader, complaint);
	if (rc != 0) {
		ka_shm_close(reader);
		return rc;
	}
	*opened = reader;
	return 0;
}

int
ka_shm_open_own(struct ka_shm_reader **opened, const struct ka_shm_writer *writer)
{
	struct ka_shm_reader *reader = calloc(1, sizeof(*reader));
	void *memory;

	if (reader == NULL)
		return -ENOMEM;
	/* No descriptor: a duplicate would keep the owner's lock beyond the writer's end. */
	reader->fd = -1;
	reader->size = sizeof(*writer->segment);
	memory = mmap(NULL, reader->size, PROT_READ, MAP_SHARED, writer->fd, 0);
	if (memory == MAP_FAILED) {
		int rc = -errno;

		free(reader);
		return rc;
	}
	reader->segment = memory;
	reader->identity = writer->segment->identity;
	reader->identity.program[sizeof(reader->identity.program) - 1] = '\0';
	*opened = reader;
	return 0;
}

void
ka_shm_close(struct ka_shm_reader *reader)
{
	void *memory;

	if (reader == NULL)
		return;
	if (reader->segment != NULL) {
		/* munmap() takes away the const that only we see. */
		memcpy(&memory, &reader->segment, sizeof(memory));
		munmap(memory, reader->size);
	}
	if (reader->fd >= 0)
		close(reader->fd);
	free(reader);
}

bool
ka_shm_is_legacy(const struct ka_shm_reader *reader)
{
	return reader->is_legacy;
}

const struct ka_shm_identity *
ka_shm_identity(const struct ka_shm_reader *reader)
{
	return &reader->identity;
}

static void
copy_legacy(const struct ka_shm_segment *segment, struct ka_shm_snapshot *snapshot)
{
	const struct ka_shm_legacy *legacy = &segment->legacy;

	memset(snapshot, 0, sizeof(*snapshot));
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++) {
		snapshot->core[i].state =
			atomic_load_explicit(&legacy->core_state[i], memory_order_relaxed);
		snapshot->core[i].last_seen_tsc =
			atomic_load_explicit(&legacy->core_last_seen_times[i],
					     memory_order_relaxed);
	}
}

static void
copy_crash(const struct ka_shm_segment *segment, struct ka_shm_crash *crash)
{
	uint64_t word = atomic_load_explicit(&segment->crash, memory_order_acquire);

	*crash = (struct ka_shm_crash){ 0 };
	if (word == 0)
		return;
	crash->signal = (int)(word >> 32);
	crash->lcore = (unsigned int)(word & UINT32_MAX);
	crash->time_ns = atomic_load_explicit(&segment->crash_ns, memory_order_relaxed);
}

static void
copy_all(const struct ka_shm_segment *segment, void *to, unsigned int lcore)
{
	struct ka_shm_snapshot *snapshot = to;

	(void)lcore;
	load_words(&snapshot->monitor, segment->monitor, KA_SHM_WORDS(snapshot->monitor));
	for (unsigned int i = 0; i < KA_SHM_MAX_LCORES; i++)
		load_words(&snapshot->core[i], segment->core[i], KA_SHM_WORDS(snapshot->core[i]));
	for (unsigned int i = 0; i < KA_SHM_EVENTS; i++)
		load_words(&snapshot->event[i], segment->event[i],
			   KA_SHM_WORDS(snapshot->event[i]));
	copy_crash(segment, &snapshot->crash);
}

/* Copies something out of the segment. */
typedef void (*copy_fn)(const struct ka_shm_segment *segment, void *to, unsigned int lcore);

/* Copy until no change was under way meanwhile. */
static int
copy_quietly(const struct ka_shm_segment *segment, copy_fn copy, void *to, unsigned int lcore)
{
	const uint64_t give_up = ka_shm_now_ns() + SNAPSHOT_LIMIT_NS;
	uint64_t before, after;

	for (;;) {
		before = atomic_load_explicit(&segment->sequence, memory_order_acquire);
		copy(segment, to, lcore);
		/* Relaxed: the acquiring loads of the words hold it behind them. */
		after = atomic_load_explicit(&segment->sequence, memory_order_relaxed);
		if (before == after && before % 2 == 0)
			return 0;
		if (ka_shm_now_ns() > give_up)
			return -EAGAIN;
	}
}

int
ka_shm_snapshot(const struct ka_shm_reader *reader, struct ka_shm_snapshot *snapshot)
{
	if (!reader->is_legacy)
		return copy_quietly(reader->segment, copy_all, snapshot, 0);
	copy_legacy(reader->segment, snapshot);
	return 0;
}

static void
copy_load(const struct ka_shm_segment *segment, void *load, unsigned int lcore)
{
	load_words(load, segment->load[lcore], KA_SHM_WORDS(struct ka_shm_load));
}

int
ka_shm_read_load(const struct ka_shm_reader *reader, unsigned int lcore, struct ka_shm_load *load)
{
	if (!reader->is_legacy)
		return copy_quietly(reader->segment, copy_load, load, lcore);
	memset(load, 0, sizeof(*load));
	return 0;
}

void
ka_shm_peek_load(const struct ka_shm_reader *reader, unsigned int lcore, struct ka_shm_load *load)
{
	memset(load, 0, sizeof(*load));
	if (!reader->is_legacy)
		copy_load(reader->segment, load, lcore);
}

void
ka_shm_peek_monitor(const struct ka_shm_reader *reader, struct ka_shm_monitor *monitor)
{
	memset(monitor, 0, sizeof(*monitor));
	if (!reader->is_legacy)
		load_words(monitor, reader->segment->monitor, KA_SHM_WORDS(*monitor));
}

int
ka_shm_wait(struct ka_shm_reader *reader, uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S),
	};
	sem_t *semaphore;

	if (reader->writable == NULL)
		return -EBADF;
	semaphore = &reader->writable->legacy.core_died;
	if (!semaphore_is_sound(semaphore))
		return -EBADMSG;
	if (sem_clockwait(semaphore, CLOCK_MONOTONIC, &deadline) != 0)
		return -errno;
	/* Bounded, so that a hostile writer who posts for ever cannot keep us here. */
	for (int i = 0; i < 2 * KA_SHM_CREDIT_MAX && sem_trywait(semaphore) == 0; i++)
		continue;
	return 0;
}

bool
ka_shm_owner_lives(const struct ka_shm_reader *reader)
{
	return reader->is_legacy || lock_is_held(reader->fd, LOCK_OWNER);
}

bool
ka_shm_is_current(const struct ka_shm_reader *reader)
{
	return name_leads_to(reader->path, reader->device, reader->inode);
}

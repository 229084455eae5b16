/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef SHM_H
#define SHM_H

/*
 * The contract between l2fwd-keepalive (the writer) and ka-agent (a reader).
 *
 * The segment is a POSIX shared-memory object. Its first 1568 bytes are, byte for byte, what
 * DPDK's example of this name publishes on x86-64 glibc with 128 lcores, so that the original
 * ka-agent and collectd's dpdkevents plugin can read it. Our own part follows:
 *
 *      offset  bytes  part                     written by              order
 *      ------  -----  -----------------------  ----------------------  -----------------------
 *           0     32  legacy: semaphore        both, by sem_post/wait  of the semaphore
 *          32    512  legacy: state a core     main lcore              release, a word at a time
 *         544   1024  legacy: last seen a core main lcore              release, a word at a time
 *        1568    160  identity                 main lcore, once,       before the name exists
 *                                              before the rename
 *        1728      8  sequence                 main lcore              see below
 *        1736      8  pid of the agent         the attached agent      relaxed, for messages only
 *        1744    128  monitor record           main lcore              under the sequence
 *        1872  16384  128 core records         main lcore              under the sequence
 *       18256  16384  256 events, a ring       main lcore              under the sequence
 *       34640     16  crash                    a crashing worker       release, a word at a time
 *       34656 114688  128 load records         main lcore              under the sequence
 *
 * Records are published a 64-bit word at a time as C11 atomics. The sequence is odd while the
 * main lcore is between ka_shm_begin() and ka_shm_end(). It makes one snapshot of the whole
 * consistent without a lock that a dying process could keep:
 *
 *   writer: sequence = odd (relaxed); words (release); sequence = even (release)
 *   reader: sequence (acquire); words (acquire); sequence again (relaxed); equal and even, or retry
 *
 * A word stored with release cannot become visible before the odd sequence; a word loaded with
 * acquire cannot be loaded after the second look at the sequence. On x86-64 all of these are
 * plain moves. No thread fences, because ThreadSanitizer does not understand them.
 *
 * Two advisory locks (open file description locks, so the kernel drops them with their holder,
 * however it ends) say who is there: byte 0 is locked by the living owner, byte 1 by the one
 * attached agent.
 *
 * All times are CLOCK_MONOTONIC in nanoseconds unless the name says tsc.
 *
 * This module needs neither EAL nor libnuma. Its functions return 0 or a negative errno value,
 * never print and never exit.
 */

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

/** Name of the original's segment (rte_keepalive_shm.h of DPDK's example), and our default. */
#define KA_SHM_DEFAULT_NAME "/dpdk_keepalive_shm_name"

/** Longest name of a segment, leading slash included; leaves room for a temporary suffix. */
#define KA_SHM_NAME_MAX 200

/** Cores in the segment: RTE_MAX_LCORE of the DPDK builds that the original's readers know. */
#define KA_SHM_MAX_LCORES 128

/** Bytes of the original's segment: sem_t, 128 enums, 128 TSC values. */
#define KA_SHM_LEGACY_SIZE 1568

/** Events kept; older ones are overwritten, the counters of the records are not. */
#define KA_SHM_EVENTS 256

/** Ports that a core may poll. */
#define KA_SHM_MAX_PORTS 16

/** Unread credit of the semaphore is bounded at one a core, for the time that nobody listens. */
#define KA_SHM_CREDIT_MAX KA_SHM_MAX_LCORES

/** "KAhm SEG" in memory order on a little-endian machine; also tells a foreign byte order. */
#define KA_SHM_MAGIC UINT64_C(0x474553206d68414b)

/**
 * A reader accepts its own major version only; minor versions add to reserved space. Minor version 2
 * added given_up_ns, outages_ns and detections_ns of the core records: 0 before.
 */
#define KA_SHM_VERSION_MAJOR 1
#define KA_SHM_VERSION_MINOR 2

/** States of a core. The numbers are those of enum rte_keepalive_state (rte_keepalive.h). */
enum ka_state {
	KA_STATE_UNUSED = 0,  /**< Not watched, or launched and not yet seen. */
	KA_STATE_ALIVE = 1,   /**< The last ping found a heartbeat. */
	KA_STATE_DEAD = 2,    /**< Declared dead at the last ping. */
	KA_STATE_GONE = 3,    /**< Declared dead at an earlier ping and not back. */
	KA_STATE_MISSING = 4, /**< The last ping found no heartbeat; not yet dead. */
	KA_STATE_DOZING = 5,  /**< Went to sleep by its own word. */
	KA_STATE_SLEEP = 6,   /**< Slept at the ping before, too. */
};

/** What is known of why a core died or is missing. */
enum ka_cause {
	KA_CAUSE_NONE = 0,   /**< It never was. */
	KA_CAUSE_EXITED = 1, /**< It had left its loop: the lcore was waiting for work. */
	KA_CAUSE_HUNG = 2, /**< It had not left its loop, yet gave no heartbeat; why is unknown. */
	KA_CAUSE_NOT_STARTED = 3, /**< No first heartbeat within the start-up deadline. */
	KA_CAUSE_SPINNING = 4,	  /**< Its CPU clock ran on: an endless loop. */
	KA_CAUSE_BLOCKED = 5,	  /**< It slept in the kernel. */
	KA_CAUSE_STOPPED = 6,	  /**< Its thread was stopped or traced. */
	KA_CAUSE_STARVED = 7,	  /**< Runnable, but the host took its CPU. Never a death. */
	KA_CAUSE_CRASHED = 8,	  /**< By a signal; the process ends. */
};

/** Why a worker that gives heartbeats moves no frames. */
enum ka_stall {
	KA_STALL_NONE = 0, /**< It moves. */
	KA_STALL_RX = 1,   /**< Its port counts frames that it does not receive. */
	KA_STALL_POOL = 2, /**< No mbufs are left to receive into. */
	KA_STALL_TX = 3,   /**< The TX queue takes none of its frames. */
};

/** What an event tells. */
enum ka_event_kind {
	KA_EVENT_DEATH = 1,	 /**< Declared dead: cause, silent_ns. */
	KA_EVENT_RESTART = 2,	 /**< Launched again after a death. */
	KA_EVENT_BACK = 3,	 /**< First heartbeat after a restart: outage_ns. */
	KA_EVENT_RECOVERY = 4,	 /**< Moves again without a restart: outage_ns. */
	KA_EVENT_STARVED = 5,	 /**< Had no CPU and moves again: outage_ns. Nobody died. */
	KA_EVENT_GIVEN_UP = 6,	 /**< Restarted too often: never again. */
	KA_EVENT_STALLED = 7,	 /**< Alive, yet moves no frames: port, stall. A warning. */
	KA_EVENT_MOVES = 8,	 /**< Moves frames again: port. */
	KA_EVENT_TAKEN_OVER = 9, /**< Given up, and port goes to other_lcore. */
	KA_EVENT_STARVING = 10,	 /**< Has had no CPU for long, and still has none: outage_ns. */
};

/** Whether the owner runs, by its own word. A dead owner cannot say so: see ka_shm_owner_lives(). */
enum ka_status {
	KA_STATUS_RUNNING = 1,
	KA_STATUS_STOPPED = 2, /**< Left in good order. */
	KA_STATUS_ABORTED = 3, /**< About to abort by its own will (--on-hang abort). */
};

/** The original's layout. Readers: the original ka-agent, collectd, ours. */
struct ka_shm_legacy {
	sem_t core_died;				/**< Process-shared; posted once a death. */
	_Atomic uint32_t core_state[KA_SHM_MAX_LCORES]; /**< enum ka_state. */
	_Atomic uint64_t core_last_seen_times[KA_SHM_MAX_LCORES]; /**< TSC. */
};

/** Who made the segment. Constant from before its name exists. Readers: all. */
struct ka_shm_identity {
	uint64_t magic;		  /**< KA_SHM_MAGIC. */
	uint32_t version_major;	  /**< KA_SHM_VERSION_MAJOR. */
	uint32_t version_minor;	  /**< KA_SHM_VERSION_MINOR. */
	uint64_t size;		  /**< Bytes of the whole segment. */
	int64_t pid;		  /**< Of the owner, in the owner's pid namespace. */
	uint64_t created_ns;	  /**< When it was made. */
	uint64_t created_real_ns; /**< The same moment on CLOCK_REALTIME. */
	uint64_t created_tsc;	  /**< The same moment on the TSC. */
	uint64_t tsc_hz;	  /**< Rate of the TSC: ticks a second. */
	uint64_t period_ns;	  /**< Between two pings. */
	uint32_t main_lcore;	  /**< The watching lcore. */
	uint32_t reserved32;	  /**< 0. */
	char program[32];	  /**< Name and version of the writer, NUL-terminated. */
	uint64_t reserved[6];	  /**< 0. */
};

/** The watcher itself. Writer: main lcore, at every ping. Readers: all. */
struct ka_shm_monitor {
	uint64_t status;	  /**< enum ka_status. */
	uint64_t ticks;		  /**< Pings dispatched or, when late, put off. */
	uint64_t beat_ns;	  /**< Time of the last tick: the heartbeat of the main lcore. */
	uint64_t late_ticks;	  /**< Ticks that came a period or more too late. */
	uint64_t longest_late_ns; /**< Lateness of the latest of them. */
	uint64_t deaths;	  /**< Sum over all cores. */
	uint64_t restarts;	  /**< Sum over all cores. */
	uint64_t recoveries;	  /**< Sum over all cores. */
	uint64_t events;	  /**< Events ever written; number of the newest one. */
	uint64_t lost_lines;	  /**< Lines of output dropped because it was blocked. */
	uint64_t reserved[6];	  /**< 0. */
};

/** One core. Writer: main lcore. Readers: all. A core with launched_ns 0 is not watched. */
struct ka_shm_core {
	uint32_t state;		 /**< enum ka_state, as the last ping found it. */
	uint32_t cause;		 /**< enum ka_cause of the last death. */
	uint64_t launched_ns;	 /**< Last launch; 0 = never. */
	uint64_t last_seen_ns;	 /**< Last heartbeat known; 0 = none since the first launch. */
	uint64_t last_seen_tsc;	 /**< The same on the TSC, as the original publishes it. */
	uint64_t died_ns;	 /**< When the last death was declared; 0 = never. */
	uint64_t deaths;	 /**< Times declared dead. */
	uint64_t restarts;	 /**< Times launched again. */
	uint64_t recoveries;	 /**< Times it moved again by itself after a death. */
	uint64_t last_outage_ns; /**< Last heartbeat before, to first one after, the last outage. */
	uint64_t longest_outage_ns; /**< The longest of these. */
	uint64_t given_up_ns;	    /**< When it was given up, for ever; 0 = it is not. */
	uint64_t outages_ns;	    /**< Sum of all outages: those that its load record counts. */
	uint64_t detections_ns;	    /**< Sum of all detections, the same. */
	uint64_t reserved[3];	    /**< 0. */
};

/** One event. Event number n lies in slot (n - 1) % KA_SHM_EVENTS. */
struct ka_shm_event {
	uint64_t number;      /**< Counts from 1; 0 = slot never used. Set by ka_shm_add_event(). */
	uint64_t time_ns;     /**< When the monitor noted it. */
	uint32_t lcore;	      /**< Which core. */
	uint32_t kind;	      /**< enum ka_event_kind. */
	uint32_t cause;	      /**< enum ka_cause: of deaths, starvations and giving up. */
	uint32_t other_lcore; /**< KA_EVENT_TAKEN_OVER: who polls the port from now on. */
	uint64_t silent_ns;   /**< Deaths: time since the last heartbeat, or since the launch.
			      *   Starvations: time in the run queue, 0 = not known. */
	uint64_t outage_ns;   /**< BACK, RECOVERY, STARVED, STARVING: length of the outage. */
	uint32_t phase;	      /**< Deaths: enum recovery_phase that the worker was in. */
	uint32_t port;	      /**< Deaths, stalls: RX port that it was at. Taken over: which. */
	uint32_t in_hand;     /**< Deaths: frames that it had in its hands. */
	uint32_t stall;	      /**< KA_EVENT_STALLED: enum ka_stall. */
};

/** A worker that crashed, and the process with it. Not counted as a death of the core records. */
struct ka_shm_crash {
	int signal;	    /**< 0 = none crashed. */
	unsigned int lcore; /**< Which core. */
	uint64_t time_ns;   /**< When. */
};

/**
 * What a core's loop does. Writer: main lcore, twice a second, and with each event of the core.
 * Readers: all. Counts since the start; histograms as in histogram.h.
 */
struct ka_shm_load {
	uint64_t looked_ns;		     /**< When it was read off; 0 = never. */
	uint64_t frames_per_s;		     /**< Received, between the last two of these times. */
	uint64_t received;		     /**< Frames, of the ports that it polls now. */
	uint64_t sent;			     /**< Frames that their peers took. */
	uint64_t dropped;		     /**< Frames that their peers did not take, freed. */
	uint64_t bursts;		     /**< Bursts received. */
	uint64_t busy_ns;		     /**< Time in turns of the loop that received frames. */
	uint64_t idle_ns;		     /**< Time in the others. */
	uint64_t longest_ns;		     /**< The longest turn. */
	uint64_t late;			     /**< Turns of late_ns or more. */
	uint64_t late_ns;		     /**< --late-us; 0 = none is late. */
	uint64_t turns[HISTOGRAM_BUCKETS];   /**< What turns took. */
	uint64_t outages[HISTOGRAM_BUCKETS]; /**< What outages took. */
	uint64_t detections[HISTOGRAM_BUCKETS]; /**< From the last heartbeat to the death. */
	uint32_t nb_ports;			/**< Ports that it polls. */
	uint32_t reserved32;			/**< 0. */
	uint16_t port[KA_SHM_MAX_PORTS];	/**< Their ids. */
};

/** Number of 64-bit words that a published record takes. */
#define KA_SHM_WORDS(type) (sizeof(type) / sizeof(uint64_t))

/** The whole segment as it lies in memory. */
struct ka_shm_segment {
	struct ka_shm_legacy legacy;
	struct ka_shm_identity identity;
	_Atomic uint64_t sequence;
	_Atomic int64_t agent_pid;
	_Atomic uint64_t monitor[KA_SHM_WORDS(struct ka_shm_monitor)];
	_Atomic uint64_t core[KA_SHM_MAX_LCORES][KA_SHM_WORDS(struct ka_shm_core)];
	_Atomic uint64_t event[KA_SHM_EVENTS][KA_SHM_WORDS(struct ka_shm_event)];
	_Atomic uint64_t crash_ns; /**< When; written before crash. */
	_Atomic uint64_t crash;	   /**< 0 = none; else signal << 32 | lcore. */
	_Atomic uint64_t load[KA_SHM_MAX_LCORES][KA_SHM_WORDS(struct ka_shm_load)];
};

/** A copy of the segment at one moment, made by ka_shm_snapshot(). */
struct ka_shm_snapshot {
	struct ka_shm_monitor monitor;
	struct ka_shm_core core[KA_SHM_MAX_LCORES];
	struct ka_shm_event event[KA_SHM_EVENTS];
	struct ka_shm_crash crash;
};

/* ---- Names ---- */

/**
 * Whether a name can be a segment's: a slash, then 1 to KA_SHM_NAME_MAX - 1 characters without
 * a slash, not "." or "..".
 */
bool ka_shm_name_is_valid(const char *name);

/**
 * Default name of the segment for an EAL file prefix.
 *
 * @param name  where to write it, KA_SHM_NAME_MAX + 1 bytes.
 * @param file_prefix  EAL's --file-prefix; NULL or "rte" (EAL's own default) give
 *   KA_SHM_DEFAULT_NAME, any other X gives KA_SHM_DEFAULT_NAME "." X.
 * @return 0, or -EINVAL when no valid name comes out of it.
 */
int ka_shm_name_of_prefix(char name[KA_SHM_NAME_MAX + 1], const char *file_prefix);

/** CLOCK_MONOTONIC in nanoseconds: the clock of every time in the segment. */
uint64_t ka_shm_now_ns(void);

/* ---- Writer's side: the main lcore of l2fwd-keepalive ---- */

/** Opaque: the private truth of the writer, who never reads it back from the segment. */
struct ka_shm_writer;

/** What the writer wants. */
struct ka_shm_config {
	const char *name;    /**< Valid by ka_shm_name_is_valid(). */
	const char *program; /**< Name and version; cut at 31 characters. */
	mode_t mode;	     /**< Permission bits, 0 to 0777, set whatever the umask is. */
	gid_t group;	     /**< Group of the object; (gid_t)-1 = the process's own. */
	uint64_t period_ns;  /**< Between two pings, 1 or more. */
	uint64_t tsc;	     /**< TSC now. */
	uint64_t tsc_hz;     /**< Its rate, ticks a second. */
	uint32_t main_lcore; /**< The watching lcore. */
};

/** Who stood in the way, filled by ka_shm_publish(). */
struct ka_shm_holder {
	pid_t pid; /**< -EBUSY: the living owner; 0 = cannot be told. */
	uid_t uid; /**< -EPERM: the user who owns the object. */
};

/**
 * Make a segment under a temporary name that no reader looks for.
 *
 * Nothing is written to its pages, so that the caller can first bind them to a NUMA node.
 *
 * @param writer  set on success; to be given to ka_shm_destroy().
 * @return 0, or -EINVAL (name, mode or period out of range), -ENOMEM, or what shm_open,
 *   ftruncate, fchown, fchmod or mmap said.
 */
int ka_shm_create(struct ka_shm_writer **writer, const struct ka_shm_config *config);

/** The mapping of a created segment and its length in bytes, for placing it on a NUMA node. */
void *ka_shm_memory(const struct ka_shm_writer *writer, size_t *length);

/**
 * Fill the segment in and give it its name, complete, in one step.
 *
 * A living owner of the name is never displaced. A segment whose owner is dead is replaced. DPDK's
 * original takes no lock: its segment counts as in use if it changes within 50 ms.
 *
 * @param holder  filled where the errors below say so.
 * @param replaced_stale  set to whether a dead owner's segment was replaced.
 * @return 0, or
 *   -EBUSY   a living process owns the name (holder->pid),
 *   -EPERM   the name belongs to another user (holder->uid),
 *   -EEXIST  the name is taken by something that is no keepalive segment,
 *   -ENOSPC  /dev/shm is full,
 *   or what sem_init, shm_open, fcntl or rename said.
 */
int
ka_shm_publish(struct ka_shm_writer *writer, struct ka_shm_holder *holder, bool *replaced_stale);

/** Path of the published object in the file system; lives as long as the writer. */
const char *ka_shm_path(const struct ka_shm_writer *writer);

/** Begin a change. What is written until ka_shm_end() appears in a snapshot together. */
void ka_shm_begin(struct ka_shm_writer *writer);

/**
 * Publish a core's record and its legacy fields.
 *
 * @param lcore  below KA_SHM_MAX_LCORES.
 * @param legacy_state  what the original's readers find: core->state, or an alarm that is held.
 */
void ka_shm_write_core(struct ka_shm_writer *writer, unsigned int lcore,
		       const struct ka_shm_core *core, enum ka_state legacy_state);

/** Publish the monitor's record; its field events is the writer's own count, not the caller's. */
void ka_shm_write_monitor(struct ka_shm_writer *writer, const struct ka_shm_monitor *monitor);

/** Append an event to the ring; its number is given here. */
void ka_shm_add_event(struct ka_shm_writer *writer, const struct ka_shm_event *event);

/** A core's load record. Between begin and end. @param lcore below KA_SHM_MAX_LCORES. */
void
ka_shm_write_load(struct ka_shm_writer *writer, unsigned int lcore, const struct ka_shm_load *load);

/** End the change begun with ka_shm_begin(). */
void ka_shm_end(struct ka_shm_writer *writer);

/**
 * Wake the agent: one credit a death, at most KA_SHM_CREDIT_MAX unread ones.
 *
 * @return true if posted, false if the bound was reached.
 */
bool ka_shm_post(struct ka_shm_writer *writer);

/**
 * A worker crashes: publish it as DEAD with its signal and wake the agent. Async-signal-safe, so
 * it may be called from the handler of that signal, in the worker's thread, whatever the main
 * lcore is doing. Only the first crash is kept.
 *
 * @param lcore  below KA_SHM_MAX_LCORES.
 * @param signal_number  1 or more.
 */
void ka_shm_crash(struct ka_shm_writer *writer, unsigned int lcore, int signal_number);

/** Publish KA_STATUS_ABORTED and wake the agent. The segment is left behind, as after a crash. */
void ka_shm_mark_aborted(struct ka_shm_writer *writer);

/**
 * Say goodbye: publish KA_STATUS_STOPPED, take the name away if it is still ours, wake the
 * agent, free everything. Also undoes a segment that was never published. NULL is allowed.
 */
void ka_shm_destroy(struct ka_shm_writer *writer);

/* ---- Reader's side ---- */

/** Opaque: one opened segment. */
struct ka_shm_reader;

/** How to open. */
enum ka_shm_access {
	KA_SHM_LOOK, /**< Read only; several may look at once. */
	KA_SHM_ATTACH, /**< Read and wait on the semaphore, which takes write access; one at a time. */
};

/** Why a segment cannot be read, beside errors of the system. Filled by ka_shm_open(). */
struct ka_shm_complaint {
	uint64_t size;		/**< -EMSGSIZE, -EBADMSG: bytes of the object. */
	uint32_t version_major; /**< -EPROTONOSUPPORT: of the segment. */
	pid_t agent_pid;	/**< -EBUSY: the attached agent; 0 = cannot be told. */
};

/**
 * Open a segment by name; size, magic and version are checked before anything in it is trusted.
 *
 * @param reader  set on success; to be given to ka_shm_close().
 * @param complaint  filled where the errors below say so; may be NULL.
 * @return 0, or
 *   -ENOENT           no segment of that name,
 *   -EACCES           the user may not read it, or for KA_SHM_ATTACH not write it,
 *   -EMSGSIZE         too short to be a segment (complaint->size),
 *   -EBADMSG          not a keepalive segment (complaint->size),
 *   -EPROTONOSUPPORT  of another major version (complaint->version_major),
 *   -EBUSY            another agent is attached (complaint->agent_pid),
 *   -EINVAL           not a valid name, or not a regular object,
 *   -ENOMEM, or what shm_open, fstat or mmap said.
 */
int ka_shm_open(struct ka_shm_reader **reader, const char *name, enum ka_shm_access access,
		struct ka_shm_complaint *complaint);

/**
 * Look at one's own published segment, through a mapping of its own: it stays readable when the
 * writer is destroyed. It asks neither the name nor the locks, so ka_shm_owner_lives() and
 * ka_shm_is_current() answer false.
 *
 * @param reader  set on success; to be given to ka_shm_close().
 * @return 0, -ENOMEM, or what mmap said.
 */
int ka_shm_open_own(struct ka_shm_reader **reader, const struct ka_shm_writer *writer);

/** Let go of a segment, and of the attachment. NULL is allowed. */
void ka_shm_close(struct ka_shm_reader *reader);

/** Whether this is the original's segment: 1568 bytes, no identity, monitor or records. */
bool ka_shm_is_legacy(const struct ka_shm_reader *reader);

/** Identity of the writer; all 0 for a legacy segment. Copied and checked at ka_shm_open(). */
const struct ka_shm_identity *ka_shm_identity(const struct ka_shm_reader *reader);

/**
 * Copy the segment as it was at one moment.
 *
 * From a legacy segment only core[].state and core[].last_seen_tsc are filled.
 *
 * @return 0, or -EAGAIN when no quiet moment was found within 20 ms, as when the writer was
 *   stopped in the middle of a change: each word is then valid, but not all of the same moment.
 */
int ka_shm_snapshot(const struct ka_shm_reader *reader, struct ka_shm_snapshot *snapshot);

/**
 * Copy the load record of one core as it was at one moment; all 0 for a legacy segment.
 *
 * @param lcore  below KA_SHM_MAX_LCORES.
 * @return as ka_shm_snapshot().
 */
int
ka_shm_read_load(const struct ka_shm_reader *reader, unsigned int lcore, struct ka_shm_load *load);

/** As ka_shm_read_load(), without waiting for a quiet moment: each word valid by itself. */
void
ka_shm_peek_load(const struct ka_shm_reader *reader, unsigned int lcore, struct ka_shm_load *load);

/** The monitor's record without waiting for a quiet moment: each word valid by itself. */
void ka_shm_peek_monitor(const struct ka_shm_reader *reader, struct ka_shm_monitor *monitor);

/**
 * Wait for a death or the end of the owner, without using the CPU. KA_SHM_ATTACH only.
 *
 * All credit found is taken, so one wake-up may stand for several deaths.
 *
 * @param deadline_ns  CLOCK_MONOTONIC; a moment in the past only looks.
 * @return 0 when woken, -ETIMEDOUT, -EINTR after a signal handler ran, -EBADF when opened with
 *   KA_SHM_LOOK, -EBADMSG when the semaphore is corrupt, or what sem_clockwait said.
 */
int ka_shm_wait(struct ka_shm_reader *reader, uint64_t deadline_ns);

/**
 * Whether the process that made the segment lives, by the kernel's word: the lock it holds.
 * Not known of the original, which takes no lock: a legacy segment always answers true.
 */
bool ka_shm_owner_lives(const struct ka_shm_reader *reader);

/** Whether the name still leads to this very segment; false once removed or replaced. */
bool ka_shm_is_current(const struct ka_shm_reader *reader);

#endif /* SHM_H */

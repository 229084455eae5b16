/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: stands between it and DPDK, and makes
 * its lcores misbehave as the control file says that KA_HOOK names. The file is laid out as struct
 * control; tests/system/support/hook.py writes it. Without KA_HOOK everything is passed on.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_keepalive.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_pause.h>
#include <rte_random.h>

#define HOOK_MAGIC UINT64_C(0x6b6f6f482d414b)
#define HOOK_LCORES 128
#define HOOK_PINGS 4096

/* What a heartbeat of a worker does. */
enum mode {
	MODE_FORWARD = 0, /* Is passed on. */
	MODE_SPIN = 1,	  /* Does not return: burns the CPU until the mode changes. */
	MODE_SLEEP = 2,	  /* Does not return: sleeps in the kernel until the mode changes. */
	MODE_DROP = 3,	  /* Returns, but is not passed on. */
	MODE_DEEP = 4,	  /* Like SLEEP, but in a state (D) that no signal ends. */
};

struct control_core {
	_Atomic uint32_t mode;	   /* Writer: the test. */
	_Atomic uint32_t held;	   /* Mode that the worker is in. Writer: the worker. */
	_Atomic uint64_t delay_ns; /* The next heartbeat takes that long, once. */
	_Atomic uint64_t delays;   /* Such delays that are over. */
	_Atomic uint64_t marks;	   /* Heartbeats attempted. */
	_Atomic uint64_t life_ns; /* Lives begun by the demonstration last that long; 0 = random. */
	_Atomic uint64_t registered; /* Number of the last rte_keepalive_register_core(). */
	_Atomic uint64_t launched;   /* Number of the last rte_eal_remote_launch(). */
	_Atomic uint64_t lives;	     /* Lives that the demonstration began. Writer: the worker. */
};

/* The log line of the library at which the main lcore waits. */
enum gate {
	GATE_OPEN = 0,
	GATE_MIA = 1,  /* Before a core that it found missing is made dead. */
	GATE_DIED = 2, /* Before a core that it found dead is made gone, and the callback called. */
};

/* What befalls a worker in libpcap, which net_pcap calls once a frame. */
enum driver {
	DRIVER_FORWARD = 0,
	DRIVER_RX = 1,	/* It is held where a frame is taken. */
	DRIVER_TX = 3,	/* It is held where a frame is given. */
	DRIVER_DRY = 4, /* No frame is there to be taken. */
};

struct control {
	uint64_t magic;
	_Atomic uint64_t stall_ns;	    /* The next ping begins that much later, once. */
	_Atomic uint64_t stalls;	    /* Such stalls that are over. */
	_Atomic uint64_t promiscuous_error; /* errno that promiscuous mode fails with; 0 = none. */
	_Atomic uint64_t pings;		    /* Pings dispatched. */
	_Atomic uint64_t gate;		    /* enum gate. */
	_Atomic uint64_t at_gate;	    /* The main lcore waits there. */
	_Atomic uint64_t calls;	    /* Of registering and launching: the last number given. */
	_Atomic uint64_t pipe_size; /* Bytes of pipes made with pipe2(); 0 = as the kernel wants. */
	_Atomic uint64_t links_down;	/* Every link is reported down. */
	_Atomic uint64_t link_looks;	/* Times that somebody looked at a link. */
	_Atomic uint64_t hold_stop;	/* rte_eth_dev_stop() does not return until this is 0. */
	_Atomic uint64_t stops;		/* Calls of it. */
	_Atomic uint64_t leap_ns;	/* CLOCK_MONOTONIC is ahead by that much. */
	_Atomic uint64_t driver;	/* enum driver. A worker is held until this is another. */
	_Atomic uint64_t driver_mode;	/* How: MODE_SPIN, MODE_SLEEP or MODE_DEEP. */
	_Atomic uint64_t driver_passes; /* Calls that return before. */
	_Atomic uint64_t at_driver;	/* A worker is held there. */
	_Atomic uint64_t hold_launch;	/* A launch does not return, nor begin, until this is 0. */
	_Atomic uint64_t at_launch;	/* One is held. */
	_Atomic uint64_t hold_stats;	/* rte_eth_stats_get() does not return until this is 0. */
	_Atomic uint64_t at_stats;	/* A call is held. */
	_Atomic uint64_t stats_looks;	/* Calls of it for port 0. */
	_Atomic uint64_t kill_delay_ns; /* Of pthread_kill(), while a worker is held. */
	_Atomic uint64_t flood;		/* Frames more that each call finds received. */
	_Atomic uint64_t ping_ns[HOOK_PINGS]; /* When ping n began, in slot n % HOOK_PINGS. */
	struct control_core core[HOOK_LCORES];
};

static struct control *control;

static void (*real_mark_alive)(struct rte_keepalive *);
static void (*real_dispatch_pings)(void *, void *);
static int (*real_promiscuous_enable)(uint16_t);
static void (*real_register_core)(struct rte_keepalive *, const int);
static int (*real_remote_launch)(lcore_function_t *, void *, unsigned int);
static uint64_t (*real_rand_max)(uint64_t);
static int (*real_pipe2)(int[2], int);
static int (*real_link_get_nowait)(uint16_t, struct rte_eth_link *);
static int (*real_dev_stop)(uint16_t);
static int (*real_pthread_kill)(pthread_t, int);
static int (*real_stats_get)(uint16_t, struct rte_eth_stats *);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void
die(const char *what)
{
	perror(what);
	_exit(125);
}

static void *
real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		die(name);
	return function;
}

static struct control *
open_control(const char *path)
{
	struct control *map;
	int fd;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || map->magic != HOOK_MAGIC)
		die(path);
	close(fd);
	return map;
}

__attribute__((constructor)) static void
hook_init(void)
{
	const char *path = getenv("KA_HOOK");

	/* ISO C has no conversion from an object's to a function's pointer; POSIX has. */
	*(void **)&real_mark_alive = real("rte_keepalive_mark_alive");
	*(void **)&real_dispatch_pings = real("rte_keepalive_dispatch_pings");
	*(void **)&real_promiscuous_enable = real("rte_eth_promiscuous_enable");
	*(void **)&real_register_core = real("rte_keepalive_register_core");
	*(void **)&real_remote_launch = real("rte_eal_remote_launch");
	*(void **)&real_rand_max = real("rte_rand_max");
	*(void **)&real_pipe2 = real("pipe2");
	*(void **)&real_link_get_nowait = real("rte_eth_link_get_nowait");
	*(void **)&real_dev_stop = real("rte_eth_dev_stop");
	*(void **)&real_pthread_kill = real("pthread_kill");
	*(void **)&real_stats_get = real("rte_eth_stats_get");
	if (path != NULL)
		control = open_control(path);
}

static void
sleep_ns(uint64_t ns)
{
	struct timespec left = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	while (nanosleep(&left, &left) != 0)
		;
}

/* The parent of a vfork() sleeps until the child has gone, whatever signal comes (vfork(2)). */
static void
sleep_deep(bool (*is_held)(const void *), const void *by)
{
	pid_t child = vfork();

	if (child < 0)
		die("vfork");
	if (child == 0) {
		while (is_held(by))
			sleep_ns(1000000);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static bool
is_in_deep_mode(const void *core)
{
	return atomic_load(&((const struct control_core *)core)->mode) == MODE_DEEP;
}

/* Stay until the test takes the mode back. Returns whether the heartbeat is to be passed on. */
static bool
obey(struct control_core *core)
{
	for (;;) {
		uint32_t mode = atomic_load(&core->mode);

		if (atomic_load(&core->held) != mode)
			atomic_store(&core->held, mode);
		if (mode == MODE_SPIN)
			rte_pause();
		else if (mode == MODE_SLEEP)
			sleep_ns(1000000);
		else if (mode == MODE_DEEP)
			sleep_deep(is_in_deep_mode, core);
		else
			return mode != MODE_DROP;
	}
}

void
rte_keepalive_mark_alive(struct rte_keepalive *keepcfg)
{
	unsigned int lcore = rte_lcore_id();
	struct control_core *core;
	uint64_t delay;

	if (control != NULL && lcore < HOOK_LCORES) {
		core = &control->core[lcore];
		atomic_fetch_add_explicit(&core->marks, 1, memory_order_relaxed);
		delay = atomic_load_explicit(&core->delay_ns, memory_order_relaxed);
		if (delay != 0) {
			sleep_ns(delay);
			atomic_store(&core->delay_ns, 0);
			atomic_fetch_add(&core->delays, 1);
		}
		if (!obey(core))
			return;
	}
	real_mark_alive(keepcfg);
}

/* ---- Time ---- */

/* Asked by others before this object is set up, too. */
int
clock_gettime(clockid_t clock, struct timespec *now)
{
	uint64_t leap_ns = control != NULL ? atomic_load(&control->leap_ns) : 0;
	int rc;

	if (real_clock_gettime == NULL)
		*(void **)&real_clock_gettime = real("clock_gettime");
	rc = real_clock_gettime(clock, now);
	if (rc == 0 && clock == CLOCK_MONOTONIC) {
		uint64_t nsec = (uint64_t)now->tv_nsec + leap_ns % 1000000000;

		now->tv_sec += (time_t)(leap_ns / 1000000000 + nsec / 1000000000);
		now->tv_nsec = (long)(nsec % 1000000000);
	}
	return rc;
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void
rte_keepalive_dispatch_pings(void *ptr_timer, void *ptr_data)
{
	uint64_t stall, ping;

	if (control != NULL) {
		stall = atomic_load(&control->stall_ns);
		if (stall != 0) {
			sleep_ns(stall);
			atomic_store(&control->stall_ns, 0);
			atomic_fetch_add(&control->stalls, 1);
		}
		ping = atomic_load(&control->pings);
		atomic_store(&control->ping_ns[ping % HOOK_PINGS], now_ns());
		atomic_store(&control->pings, ping + 1);
	}
	real_dispatch_pings(ptr_timer, ptr_data);
}

int
rte_eth_promiscuous_enable(uint16_t port_id)
{
	uint64_t error = control != NULL ? atomic_load(&control->promiscuous_error) : 0;

	return error != 0 ? -(int)error : real_promiscuous_enable(port_id);
}

/* ---- Order of registering and launching: EAL itself launches something, once, at its start ---- */

static void
take_number(_Atomic uint64_t *number)
{
	atomic_store(number, atomic_fetch_add(&control->calls, 1) + 1);
}

void
rte_keepalive_register_core(struct rte_keepalive *keepcfg, const int id_core)
{
	if (control != NULL && id_core < HOOK_LCORES)
		take_number(&control->core[id_core].registered);
	real_register_core(keepcfg, id_core);
}

int
rte_eal_remote_launch(lcore_function_t *f, void *arg, unsigned int worker_id)
{
	if (control != NULL && worker_id < HOOK_LCORES) {
		take_number(&control->core[worker_id].launched);
		while (atomic_load(&control->hold_launch) != 0) {
			atomic_store(&control->at_launch, 1);
			sleep_ns(1000000);
		}
		atomic_store(&control->at_launch, 0);
	}
	return real_remote_launch(f, arg, worker_id);
}

/* ---- Log lines of the library that take their time ---- */

static uint64_t
gate_of(const char *text)
{
	if (strstr(text, "Core MIA") != NULL)
		return GATE_MIA;
	return strstr(text, "Core died") != NULL ? GATE_DIED : GATE_OPEN;
}

static void
wait_at_gate(uint64_t gate)
{
	atomic_store(&control->at_gate, 1);
	while (atomic_load(&control->gate) == gate)
		sleep_ns(100000);
	atomic_store(&control->at_gate, 0);
}

int
rte_log(uint32_t level, uint32_t logtype, const char *format, ...)
{
	char text[256];
	va_list ap;
	int rc;

	if (control != NULL && atomic_load(&control->gate) != GATE_OPEN) {
		va_start(ap, format);
		vsnprintf(text, sizeof(text), format, ap);
		va_end(ap);
		if (gate_of(text) == atomic_load(&control->gate))
			wait_at_gate(gate_of(text));
	}
	va_start(ap, format);
	rc = rte_vlog(level, logtype, format, ap);
	va_end(ap);
	return rc;
}

/* ---- Lives, pipes, links and ports ---- */

uint64_t
rte_rand_max(uint64_t upper_bound)
{
	unsigned int lcore = rte_lcore_id();
	uint64_t life_ns = 0;

	if (control != NULL && lcore < HOOK_LCORES) {
		atomic_fetch_add(&control->core[lcore].lives, 1);
		life_ns = atomic_load(&control->core[lcore].life_ns);
	}
	if (life_ns == 0)
		return real_rand_max(upper_bound);
	return (uint64_t)((double)life_ns / 1e9 * (double)rte_get_tsc_hz());
}

int
pipe2(int ends[2], int flags)
{
	uint64_t size = control != NULL ? atomic_load(&control->pipe_size) : 0;
	int rc = real_pipe2(ends, flags);

	if (rc == 0 && size != 0 && fcntl(ends[1], F_SETPIPE_SZ, (int)size) < 0)
		die("F_SETPIPE_SZ");
	return rc;
}

int
rte_eth_link_get_nowait(uint16_t port_id, struct rte_eth_link *link)
{
	int rc = real_link_get_nowait(port_id, link);

	if (control != NULL) {
		atomic_fetch_add(&control->link_looks, 1);
		if (atomic_load(&control->links_down) != 0)
			link->link_status = RTE_ETH_LINK_DOWN;
	}
	return rc;
}

int
rte_eth_dev_stop(uint16_t port_id)
{
	if (control != NULL) {
		atomic_fetch_add(&control->stops, 1);
		while (atomic_load(&control->hold_stop) != 0)
			sleep_ns(1000000);
	}
	return real_dev_stop(port_id);
}

static bool
somebody_is_held(void)
{
	for (unsigned int lcore = 0; control != NULL && lcore < HOOK_LCORES; lcore++)
		if (atomic_load(&control->core[lcore].held) != MODE_FORWARD)
			return true;
	return false;
}

int
pthread_kill(pthread_t thread, int number)
{
	const uint64_t step_ns = 1000000;

	/* In steps, since the test may end it. A signal that the test does not mean is not delayed. */
	if (somebody_is_held())
		for (uint64_t slept_ns = 0; slept_ns < atomic_load(&control->kill_delay_ns);
		     slept_ns += step_ns)
			sleep_ns(step_ns);
	return real_pthread_kill(thread, number);
}

int
rte_eth_stats_get(uint16_t port_id, struct rte_eth_stats *stats)
{
	/* Each call of a port finds more than the one before. One thread of the forwarder calls. */
	static uint64_t flooded[RTE_MAX_ETHPORTS];
	int rc = real_stats_get(port_id, stats);

	if (control == NULL)
		return rc;
	atomic_store(&control->at_stats, atomic_load(&control->hold_stats));
	while (atomic_load(&control->hold_stats) != 0)
		sleep_ns(1000000);
	flooded[port_id] += atomic_load(&control->flood);
	stats->ipackets += flooded[port_id];
	if (port_id == 0)
		atomic_fetch_add(&control->stats_looks, 1);
	return rc;
}

/* ---- In the driver net_pcap, which calls libpcap in its burst functions ---- */

/*
 * The driver was loaded for itself alone, so what it calls is not among the symbols of all. Types
 * of libpcap are not named, since its headers need not be there.
 */
static void *
real_pcap(const char *name)
{
	void *library = dlopen("libpcap.so.0.8", RTLD_NOW | RTLD_NOLOAD);
	void *function = library != NULL ? dlsym(library, name) : NULL;

	if (function == NULL)
		die(name);
	return function;
}

static bool
is_held_in_driver(const void *here)
{
	return atomic_load(&control->driver) == *(const enum driver *)here;
}

static void
pass_driver(enum driver here)
{
	if (control == NULL || atomic_load(&control->driver) != here)
		return;
	if (atomic_load(&control->driver_passes) != 0) {
		atomic_fetch_sub(&control->driver_passes, 1);
		return;
	}
	atomic_store(&control->at_driver, 1);
	while (is_held_in_driver(&here)) {
		if (atomic_load(&control->driver_mode) == MODE_SPIN)
			rte_pause();
		else if (atomic_load(&control->driver_mode) == MODE_DEEP)
			sleep_deep(is_held_in_driver, &here);
		else
			sleep_ns(1000000);
	}
	atomic_store(&control->at_driver, 0);
}

static bool
is_dry(void)
{
	return control != NULL && atomic_load(&control->driver) == DRIVER_DRY;
}

const unsigned char *
pcap_next(void *pcap, void *header)
{
	static const unsigned char *(*next)(void *, void *);

	if (next == NULL)
		*(void **)&next = real_pcap(__func__);
	pass_driver(DRIVER_RX);
	return is_dry() ? NULL : next(pcap, header);
}

int
pcap_next_ex(void *pcap, void **header, const unsigned char **data)
{
	static int (*next)(void *, void **, const unsigned char **);

	if (next == NULL)
		*(void **)&next = real_pcap(__func__);
	pass_driver(DRIVER_RX);
	return is_dry() ? 0 : next(pcap, header, data);
}

void
pcap_dump(unsigned char *dumper, const void *header, const unsigned char *data)
{
	static void (*dump)(unsigned char *, const void *, const unsigned char *);

	if (dump == NULL)
		*(void **)&dump = real_pcap(__func__);
	pass_driver(DRIVER_TX);
	dump(dumper, header, data);
}

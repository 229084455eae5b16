/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: stands between it and DPDK, and makes
 * its lcores misbehave as the control file says that KA_HOOK names. The file is laid out as struct
 * control; tests/system/support/hook.py writes it. Without KA_HOOK everything is passed on.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_keepalive.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#define HOOK_MAGIC UINT64_C(0x6b6f6f482d414b)
#define HOOK_LCORES 128
#define HOOK_PINGS 4096

/* What a heartbeat of a worker does. */
enum mode {
	MODE_FORWARD = 0, /* Is passed on. */
	MODE_SPIN = 1,	  /* Does not return: burns the CPU until the mode changes. */
	MODE_SLEEP = 2,	  /* Does not return: sleeps in the kernel until the mode changes. */
	MODE_DROP = 3,	  /* Returns, but is not passed on. */
};

struct control_core {
	_Atomic uint32_t mode;	   /* Writer: the test. */
	_Atomic uint32_t held;	   /* Mode that the worker is in. Writer: the worker. */
	_Atomic uint64_t delay_ns; /* The next heartbeat takes that long, once. */
	_Atomic uint64_t delays;   /* Such delays that are over. */
	_Atomic uint64_t marks;	   /* Heartbeats attempted. */
	uint64_t reserved[4];
};

struct control {
	uint64_t magic;
	_Atomic uint64_t stall_ns; /* The next ping begins that much later, once. */
	_Atomic uint64_t stalls;   /* Such stalls that are over. */
	_Atomic uint64_t promiscuous_error; /* errno that promiscuous mode fails with; 0 = none. */
	_Atomic uint64_t pings;		    /* Pings dispatched. */
	uint64_t reserved[3];
	_Atomic uint64_t ping_ns[HOOK_PINGS]; /* When ping n began, in slot n % HOOK_PINGS. */
	struct control_core core[HOOK_LCORES];
};

static struct control *control;

static void (*real_mark_alive)(struct rte_keepalive *);
static void (*real_dispatch_pings)(void *, void *);
static int (*real_promiscuous_enable)(uint16_t);

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

/* Stay until the test takes the mode back. Returns whether the heartbeat is to be passed on. */
static bool
obey(struct control_core *core)
{
	uint32_t mode = atomic_load(&core->mode);

	if (atomic_load(&core->held) != mode)
		atomic_store(&core->held, mode);
	if (mode == MODE_DROP)
		return false;
	while (mode == MODE_SPIN && atomic_load(&core->mode) == MODE_SPIN)
		rte_pause();
	while (mode == MODE_SLEEP && atomic_load(&core->mode) == MODE_SLEEP)
		sleep_ns(1000000);
	return true;
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

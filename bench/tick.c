/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * What one tick of the monitor takes: bench_tick CORES TICKS. Nobody forwards: the workers are
 * records that give a heartbeat before every tick. Prints nanoseconds, one line a tick: of the
 * whole tick, and of rte_keepalive_dispatch_pings() alone in it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "forward.h"
#include "monitor.h"
#include "output.h"
#include "shm.h"

#define PERIOD_NS UINT64_C(5000000)

static rte_timer_cb_t the_tick;
static void *the_argument;

/* In place of DPDK's: takes the first timer, which is that of the ticks. */
int
rte_timer_reset(struct rte_timer *timer, uint64_t ticks, enum rte_timer_type type,
		unsigned int lcore, rte_timer_cb_t function, void *argument)
{
	(void)timer;
	(void)ticks;
	(void)type;
	(void)lcore;
	if (the_tick == NULL) {
		the_tick = function;
		the_argument = argument;
	}
	return 0;
}

/* In place of DPDK's: nobody is to run. */
int
rte_eal_remote_launch(lcore_function_t *function, void *argument, unsigned int lcore)
{
	(void)function;
	(void)argument;
	(void)lcore;
	return 0;
}

static void
fail(const char *what)
{
	fprintf(stderr, "bench_tick: cannot %s\n", what);
	exit(EXIT_FAILURE);
}

/* The library knows who marks by the lcore that the thread claims to be. */
static void
give_heartbeat(struct forward_lcore *worker)
{
	const unsigned int self = rte_lcore_id();

	RTE_PER_LCORE(_lcore_id) = worker->lcore;
	atomic_store_explicit(&worker->beat_tsc, rte_rdtsc(), memory_order_relaxed);
	rte_keepalive_mark_alive(worker->keepalive);
	RTE_PER_LCORE(_lcore_id) = self;
}

static struct monitor *
make_monitor(unsigned int nb_cores, struct forward_lcore *worker[], struct ka_shm_writer **writer)
{
	const struct ka_shm_config segment = {
		.name = "/bench_tick",
		.program = "bench_tick",
		.mode = 0600,
		.group = (gid_t)-1,
		.period_ns = PERIOD_NS,
		.tsc = rte_rdtsc(),
		.tsc_hz = rte_get_tsc_hz(),
	};
	const struct fault_config faults = { 0 };
	struct ka_shm_holder holder;
	struct monitor_config config = {
		.period_ns = PERIOD_NS,
		.revive = { .limit = { .restarts = 5, .window_ns = NS_PER_S },
			    .period_ns = PERIOD_NS },
	};
	struct monitor *monitor;
	bool stale;

	if (ka_shm_create(writer, &segment) != 0 || ka_shm_publish(*writer, &holder, &stale) != 0)
		fail("make a segment");
	config.writer = *writer;
	monitor = monitor_create(&config);
	if (monitor == NULL)
		fail("make a monitor");
	for (unsigned int i = 0; i < nb_cores; i++) {
		worker[i] = forward_create(i + 1, &faults, 0);
		if (worker[i] == NULL || monitor_add(monitor, worker[i]) != 0)
			fail("make the workers");
		atomic_store(&worker[i]->first_beat_tsc, rte_rdtsc());
		atomic_store(&worker[i]->lives, 1);
	}
	if (monitor_start(monitor) != 0 || the_tick == NULL)
		fail("start the watching");
	return monitor;
}

static double
to_ns(uint64_t tsc)
{
	return (double)tsc * 1e9 / (double)rte_get_tsc_hz();
}

int
main(int argc, char *argv[])
{
	char *eal[] = { argv[0],
			(char[]){ "--no-huge" },
			(char[]){ "-m64" },
			(char[]){ "--no-shconf" },
			(char[]){ "--no-pci" },
			(char[]){ "--log-level=error" },
			(char[]){ "-l0" } };
	struct forward_lcore *worker[KA_SHM_MAX_LCORES];
	struct rte_timer timer = { 0 };
	struct ka_shm_writer *writer;
	unsigned int nb_cores, nb_ticks;

	if (argc != 3)
		fail("go on: usage: bench_tick CORES TICKS");
	nb_cores = (unsigned int)atoi(argv[1]);
	nb_ticks = (unsigned int)atoi(argv[2]);
	if (nb_cores == 0 || nb_cores >= KA_SHM_MAX_LCORES)
		fail("watch that many cores");
	if (output_start() != 0 || rte_eal_init(RTE_DIM(eal), eal) < 0)
		fail("start EAL");
	rte_openlog_stream(fopen("/dev/null", "w"));
	make_monitor(nb_cores, worker, &writer);
	for (unsigned int i = 0; i < nb_ticks; i++) {
		uint64_t begin;

		for (unsigned int core = 0; core < nb_cores; core++)
			give_heartbeat(worker[core]);
		begin = rte_rdtsc_precise();
		timer.expire = begin;
		the_tick(&timer, the_argument);
		printf("%.0f\n", to_ns(rte_rdtsc_precise() - begin));
	}
	for (unsigned int core = 0; core < nb_cores; core++)
		if (monitor_core(the_argument, core + 1)->state != KA_STATE_ALIVE)
			fail("keep all alive");
	ka_shm_destroy(writer);
	fflush(stdout);
	_Exit(EXIT_SUCCESS);
}

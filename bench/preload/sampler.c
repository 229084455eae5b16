/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into any program that forwards with DPDK: a thread of its own notes what its
 * ports have sent, by the drivers' counters, so that programs that tell it in different ways, or
 * not at all, are compared by one means. Nothing stands between the program and its bursts.
 *
 * KA_BENCH_SAMPLER names a file laid out as struct samples; bench/preloads.py reads it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "map.h"

#define SAMPLES 65536
#define PERIOD_NS 2000000
/* Until the first frame was sent. */
#define EAGER_NS 100000
#define BURST 32

struct samples {
	uint64_t inject; /* Frames put into each port before the workers start. Writer: bench. */
	_Atomic uint64_t first_ns; /* When a frame had been sent; 0 = none was. */
	_Atomic uint64_t count;	   /* Samples taken; the last ones are kept. */
	struct {
		uint64_t ns;
		uint64_t sent;
	} sample[SAMPLES];
};

static struct samples *samples;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static unsigned int nb_started;
static bool stopped, injected;

static int (*real_start)(uint16_t);
static int (*real_stop)(uint16_t);
static int (*real_launch)(lcore_function_t *, void *, unsigned int);

__attribute__((constructor)) static void
sampler_init(void)
{
	*(void **)&real_start = real("rte_eth_dev_start");
	*(void **)&real_stop = real("rte_eth_dev_stop");
	*(void **)&real_launch = real("rte_eal_remote_launch");
	samples = map_file("KA_BENCH_SAMPLER", sizeof(*samples));
}

static void
take_sample(void)
{
	uint64_t count = atomic_load(&samples->count), sent = 0, ns;
	struct rte_eth_stats stats;
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port)
		if (rte_eth_stats_get(port, &stats) == 0)
			sent += stats.opackets;
	ns = now_ns();
	samples->sample[count % SAMPLES].ns = ns;
	samples->sample[count % SAMPLES].sent = sent;
	atomic_store(&samples->count, count + 1);
	if (sent != 0 && atomic_load(&samples->first_ns) == 0)
		atomic_store(&samples->first_ns, ns);
}

static void *
run(void *unused)
{
	struct timespec pause = { 0 };
	bool goes_on = true;

	while (goes_on) {
		pthread_mutex_lock(&busy);
		goes_on = !stopped;
		if (goes_on)
			take_sample();
		pthread_mutex_unlock(&busy);
		pause.tv_nsec = atomic_load(&samples->first_ns) == 0 ? EAGER_NS : PERIOD_NS;
		nanosleep(&pause, NULL);
	}
	return unused;
}

int
rte_eth_dev_start(uint16_t port)
{
	int rc = real_start(port);
	pthread_t thread;

	if (rc != 0 || samples == NULL || ++nb_started != rte_eth_dev_count_avail())
		return rc;
	if (pthread_create(&thread, NULL, run, NULL) != 0)
		die("pthread_create");
	pthread_detach(thread);
	return rc;
}

int
rte_eth_dev_stop(uint16_t port)
{
	pthread_mutex_lock(&busy);
	stopped = true;
	pthread_mutex_unlock(&busy);
	return real_stop(port);
}

/* Rings have nobody who sends into them: these frames go round in them for ever. */
static void
inject(void)
{
	struct rte_mempool *pool;
	struct rte_mbuf *mbuf;
	uint16_t port;

	pool = rte_pktmbuf_pool_create("bench", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		die("mempool");
	RTE_ETH_FOREACH_DEV(port) {
		for (uint64_t i = 0; i < samples->inject; i++) {
			mbuf = rte_pktmbuf_alloc(pool);
			if (mbuf == NULL || rte_pktmbuf_append(mbuf, 60) == NULL ||
			    rte_eth_tx_burst(port, 0, &mbuf, 1) != 1)
				die("inject");
		}
	}
}

int
rte_eal_remote_launch(lcore_function_t *function, void *argument, unsigned int lcore)
{
	if (samples != NULL && samples->inject != 0 && !injected && nb_started != 0) {
		injected = true;
		inject();
	}
	return real_launch(function, argument, lcore);
}

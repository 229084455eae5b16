/* SPDX-License-Identifier: BSD-3-Clause */

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_timer.h>

#include "progress.h"

#define LOOK_PERIOD_NS (1000 * UINT64_C(1000000))

/* A port and the worker's side of it. */
struct place {
	const struct forward_queue *queue;
	struct rte_mempool *pool;
	struct progress_sample before; /* The thread only. */
	_Atomic uint32_t stall;	       /* enum ka_stall. Writer: the thread. Reader: the lcore. */
	uint32_t told;		       /* The lcore only. */
};

struct progress {
	struct monitor *monitor;
	pthread_t thread;
	sem_t end;
	struct rte_timer timer;
	size_t nb_places;
	struct place place[RTE_MAX_ETHPORTS];
};

enum ka_stall
progress_judge(const struct progress_sample *before, const struct progress_sample *now)
{
	if (now->received == before->received) {
		if (now->pool_free == 0 || now->device_no_mbuf > before->device_no_mbuf)
			return KA_STALL_POOL;
		if (now->device_received > before->device_received ||
		    now->device_missed > before->device_missed)
			return KA_STALL_RX;
	}
	if (now->dropped > before->dropped && now->sent == before->sent)
		return KA_STALL_TX;
	return KA_STALL_NONE;
}

static uint64_t
value(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The device first: what it hands over after that the worker may count, but not the other way. */
static bool
look(const struct place *place, struct progress_sample *sample)
{
	const struct forward_counters *counters = &place->queue->counters;
	struct rte_eth_stats device;

	if (rte_eth_stats_get(place->queue->rx_port, &device) != 0)
		return false;
	*sample = (struct progress_sample){
		.device_received = device.ipackets,
		.device_missed = device.imissed,
		.device_no_mbuf = device.rx_nombuf,
		.received = value(&counters->received),
		.sent = value(&counters->sent),
		.dropped = value(&counters->dropped),
		.pool_free = rte_mempool_avail_count(place->pool),
	};
	return true;
}

static void
look_at(struct place *place)
{
	struct progress_sample now;

	if (!look(place, &now))
		return;
	atomic_store_explicit(&place->stall, (uint32_t)progress_judge(&place->before, &now),
			      memory_order_relaxed);
	place->before = now;
}

static void *
look_at_all(void *argument)
{
	struct progress *progress = argument;
	uint64_t next_ns = ka_shm_now_ns();
	struct timespec deadline;

	for (;;) {
		next_ns += LOOK_PERIOD_NS;
		deadline.tv_sec = (time_t)(next_ns / NS_PER_S);
		deadline.tv_nsec = (long)(next_ns % NS_PER_S);
		if (sem_clockwait(&progress->end, CLOCK_MONOTONIC, &deadline) == 0)
			return NULL;
		for (size_t i = 0; i < progress->nb_places; i++)
			look_at(&progress->place[i]);
	}
}

static void
tell(struct rte_timer *timer, void *argument)
{
	struct progress *progress = argument;

	(void)timer;
	for (size_t i = 0; i < progress->nb_places; i++) {
		struct place *place = &progress->place[i];
		uint32_t stall = atomic_load_explicit(&place->stall, memory_order_relaxed);

		if (stall == place->told)
			continue;
		place->told = stall;
		monitor_note_stall(progress->monitor, place->queue->lcore, place->queue->rx_port,
				   (enum ka_stall)stall);
	}
}

static void
find_places(struct progress *progress, struct forward_queue *const *queues, size_t nb_queues,
	    struct port_table *ports)
{
	for (size_t i = 0; i < nb_queues; i++) {
		struct place *place = &progress->place[i];

		place->queue = queues[i];
		place->pool = ports->pool[port_find(ports, queues[i]->rx_port)->socket];
		look(place, &place->before);
	}
	progress->nb_places = nb_queues;
}

struct progress *
progress_start(struct forward_queue *const *queues, size_t nb_queues, struct port_table *ports,
	       struct monitor *monitor)
{
	struct progress *progress = calloc(1, sizeof(*progress));

	if (progress == NULL)
		return NULL;
	progress->monitor = monitor;
	find_places(progress, queues, nb_queues, ports);
	if (sem_init(&progress->end, 0, 0) != 0 ||
	    pthread_create(&progress->thread, NULL, look_at_all, progress) != 0) {
		free(progress);
		return NULL;
	}
	rte_timer_init(&progress->timer);
	rte_timer_reset(&progress->timer, rte_get_timer_hz() / 2, PERIODICAL, rte_lcore_id(), tell,
			progress);
	return progress;
}

void
progress_stop(struct progress *progress)
{
	if (progress == NULL)
		return;
	rte_timer_stop_sync(&progress->timer);
	sem_post(&progress->end);
	pthread_join(progress->thread, NULL);
	sem_destroy(&progress->end);
	free(progress);
}

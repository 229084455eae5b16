/* SPDX-License-Identifier: BSD-3-Clause */

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_timer.h>

#include "counter.h"
#include "progress.h"

#define LOOK_PERIOD_NS (1000 * UINT64_C(1000000))

/* How long the end waits for a driver that is asked for its counters. */
#define END_WAIT_NS (500 * UINT64_C(1000000))

/* What the thread found of a port. */
struct finding {
	enum ka_stall stall;
	uint64_t since_ns; /* Begin of the interval it is about; 0 = nothing was found yet. */
};

/* A port and the worker's side of it. */
struct place {
	const struct forward_queue *queue;
	struct rte_mempool *pool;
	uint64_t looked_ns;	       /* The last look; 0 = none yet. The thread only. */
	struct progress_sample before; /* What it saw. The thread only. */
	struct finding finding;	       /* Under the lock. */
	enum ka_stall told;	       /* The lcore only. */
};

struct progress {
	struct monitor *monitor;
	pthread_t thread;
	pthread_mutex_t lock; /* Held for a few stores; the lcore never waits for it. */
	sem_t end;
	_Atomic size_t at; /* Place that the thread looks at. Writer: the thread. */
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
		.received = counter_read(&counters->received),
		.sent = counter_read(&counters->sent),
		.dropped = counter_read(&counters->dropped),
		.pool_free = rte_mempool_avail_count(place->pool),
	};
	return true;
}

/*
 * After a pause of the whole process the device may have counted on before the worker runs again:
 * a look that comes late begins anew.
 */
static void
look_at(struct progress *progress, struct place *place)
{
	const uint64_t since_ns = place->looked_ns;
	struct progress_sample now;
	enum ka_stall stall;

	place->looked_ns = 0;
	if (!look(place, &now))
		return;
	place->looked_ns = ka_shm_now_ns();
	stall = progress_judge(&place->before, &now);
	place->before = now;
	if (since_ns == 0 || place->looked_ns - since_ns > LOOK_PERIOD_NS + LOOK_PERIOD_NS / 2)
		return;
	pthread_mutex_lock(&progress->lock);
	place->finding = (struct finding){ .stall = stall, .since_ns = since_ns };
	pthread_mutex_unlock(&progress->lock);
}

static void *
look_at_all(void *argument)
{
	struct progress *progress = argument;
	struct timespec deadline;
	uint64_t next_ns;

	for (;;) {
		next_ns = ka_shm_now_ns() + LOOK_PERIOD_NS;
		for (size_t i = 0; i < progress->nb_places; i++) {
			atomic_store_explicit(&progress->at, i, memory_order_relaxed);
			look_at(progress, &progress->place[i]);
		}
		deadline.tv_sec = (time_t)(next_ns / NS_PER_S);
		deadline.tv_nsec = (long)(next_ns % NS_PER_S);
		if (sem_clockwait(&progress->end, CLOCK_MONOTONIC, &deadline) == 0)
			return NULL;
	}
}

/* A worker that was not well meanwhile has a reason to move nothing. */
static void
tell_of(struct progress *progress, struct place *place)
{
	const unsigned int lcore = place->queue->lcore;
	const struct finding finding = place->finding;

	if (finding.since_ns == 0 || finding.stall == place->told ||
	    monitor_well_since(progress->monitor, lcore) > finding.since_ns)
		return;
	place->told = finding.stall;
	monitor_note_stall(progress->monitor, lcore, place->queue->rx_port, finding.stall);
}

static void
tell(struct rte_timer *timer, void *argument)
{
	struct progress *progress = argument;

	(void)timer;
	if (pthread_mutex_trylock(&progress->lock) != 0)
		return;
	for (size_t i = 0; i < progress->nb_places; i++)
		tell_of(progress, &progress->place[i]);
	pthread_mutex_unlock(&progress->lock);
}

static void
find_places(struct progress *progress, struct forward_queue *const *queues, size_t nb_queues,
	    struct port_table *ports)
{
	for (size_t i = 0; i < nb_queues; i++) {
		struct place *place = &progress->place[i];

		place->queue = queues[i];
		place->pool = ports->pool[port_find(ports, queues[i]->rx_port)->socket];
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
	if (sem_init(&progress->end, 0, 0) != 0 || pthread_mutex_init(&progress->lock, NULL) != 0 ||
	    pthread_create(&progress->thread, NULL, look_at_all, progress) != 0) {
		free(progress);
		return NULL;
	}
	rte_timer_init(&progress->timer);
	rte_timer_reset(&progress->timer, rte_get_timer_hz() / 2, PERIODICAL, rte_lcore_id(), tell,
			progress);
	return progress;
}

bool
progress_stop(struct progress *progress, uint16_t *port)
{
	const uint64_t deadline_ns = ka_shm_now_ns() + END_WAIT_NS;
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S),
	};

	if (progress == NULL)
		return true;
	rte_timer_stop_sync(&progress->timer);
	sem_post(&progress->end);
	if (pthread_clockjoin_np(progress->thread, NULL, CLOCK_MONOTONIC, &deadline) != 0) {
		*port = progress->place[atomic_load_explicit(&progress->at, memory_order_relaxed)]
				.queue->rx_port;
		return false;
	}
	pthread_mutex_destroy(&progress->lock);
	sem_destroy(&progress->end);
	free(progress);
	return true;
}

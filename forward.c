/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "counter.h"
#include "fault.h"
#include "forward.h"
#include "log.h"

/* A fault that is due waits this many drain times for frames to be made with: 1 ms. */
#define FAULT_PATIENCE_DRAINS 10

/* ---- What happens to a frame ---- */

/* The error callback of the TX buffers: what the device did not take is counted and freed. */
static void
drop_unsent(struct rte_mbuf **unsent, uint16_t nb_unsent, void *counters)
{
	counter_add(&((struct forward_counters *)counters)->dropped, nb_unsent);
	rte_pktmbuf_free_bulk(unsent, nb_unsent);
}

/*
 * Destination and source are the first 12 bytes of a frame. An mbuf has room for them even when
 * the frame is shorter. The bytes are taken out of the queue first, since a frame might be the
 * queue for all that the compiler knows. Nothing is fetched ahead: a store does not wait for its line.
 */
static inline void
rewrite(const struct forward_queue *queue, struct rte_mbuf **burst, uint16_t nb_frames)
{
	uint64_t head;
	uint32_t tail;

	memcpy(&head, queue->header, sizeof(head));
	memcpy(&tail, queue->header + sizeof(head), sizeof(tail));
	for (uint16_t i = 0; i < nb_frames; i++) {
		uint8_t *frame = rte_pktmbuf_mtod(burst[i], uint8_t *);

		memcpy(frame, &head, sizeof(head));
		memcpy(frame + sizeof(head), &tail, sizeof(tail));
	}
}

/*
 * A full burst would fill an empty buffer, which is sent when it is full: then it goes without. Any
 * other waits in the buffer for more.
 */
static inline uint16_t
transmit(struct forward_queue *queue, struct rte_mbuf **burst, uint16_t nb_frames)
{
	struct rte_eth_dev_tx_buffer *buffer = queue->tx_buffer;
	uint16_t sent = 0;

	if (nb_frames == PORT_BURST && buffer->length == 0) {
		sent = rte_eth_tx_burst(queue->tx_port, 0, burst, nb_frames);
		if (unlikely(sent < nb_frames))
			drop_unsent(&burst[sent], nb_frames - sent, &queue->counters);
		return sent;
	}
	for (uint16_t i = 0; i < nb_frames; i++)
		sent += rte_eth_tx_buffer(queue->tx_port, 0, buffer, burst[i]);
	return sent;
}

/* Where the worker is, for its own signal handler and for evidence: once a burst, no more. */
static inline void
enter(struct forward_lcore *worker, enum recovery_phase phase)
{
	/* The compiler keeps the order; the handler runs on this thread, so the CPU does anyway. */
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&worker->phase, (uint32_t)phase, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void
set_in_hand(struct forward_lcore *worker, uint16_t nb_frames)
{
	atomic_store_explicit(&worker->nb_burst, nb_frames, memory_order_relaxed);
}

static void
make_fault(struct forward_lcore *worker)
{
	worker->faulty_tsc = 0;
	worker->leaves = fault_make(&worker->fault);
}

/* Returns whether it found a burst. */
static inline bool
forward_burst(struct forward_lcore *worker, struct forward_queue *queue)
{
	struct rte_mbuf **burst = worker->burst;
	uint16_t nb_frames;

	enter(worker, RECOVERY_PHASE_RX);
	nb_frames = rte_eth_rx_burst(queue->rx_port, 0, burst, PORT_BURST);
	if (nb_frames == 0) {
		enter(worker, RECOVERY_PHASE_IDLE);
		return false;
	}
	set_in_hand(worker, nb_frames);
	enter(worker, RECOVERY_PHASE_OWN);
	counter_add(&queue->counters.received, nb_frames);
	if (unlikely(worker->faulty_tsc != 0))
		make_fault(worker);
	if (queue->mac_updating)
		rewrite(queue, burst, nb_frames);
	enter(worker, RECOVERY_PHASE_TX);
	counter_add(&queue->counters.sent, transmit(queue, burst, nb_frames));
	set_in_hand(worker, 0);
	enter(worker, RECOVERY_PHASE_IDLE);
	return true;
}

unsigned int
forward_nb_ports(const struct forward_lcore *worker)
{
	/* Acquire: with the number come the queues. */
	return atomic_load_explicit(&worker->nb_queues, memory_order_acquire);
}

void
forward_flush(struct forward_lcore *worker)
{
	const unsigned int nb_queues = forward_nb_ports(worker);

	for (unsigned int i = 0; i < nb_queues; i++) {
		struct forward_queue *queue = worker->queue[i];

		counter_add(&queue->counters.sent,
			    rte_eth_tx_buffer_flush(queue->tx_port, 0, queue->tx_buffer));
	}
}

/* ---- The worker's loop ---- */

static inline void
give_heartbeat(struct forward_lcore *worker, uint64_t now)
{
	atomic_store_explicit(&worker->beat_tsc, now, memory_order_relaxed);
	if (worker->keepalive != NULL)
		rte_keepalive_mark_alive(worker->keepalive);
}

void
forward_log_launch(const struct forward_lcore *worker)
{
	RTE_LOG(INFO, L2FWD, "entering main loop on lcore %u\n", worker->lcore);
	for (unsigned int i = 0; i < forward_nb_ports(worker); i++)
		RTE_LOG(INFO, L2FWD, " -- lcoreid=%u portid=%u\n", worker->lcore,
			worker->queue[i]->rx_port);
}

static void
begin_life(struct forward_lcore *worker, uint64_t now)
{
	worker->faulty_tsc = 0;
	worker->leaves = false;
	enter(worker, RECOVERY_PHASE_IDLE);
	atomic_store_explicit(&worker->first_beat_tsc, now, memory_order_relaxed);
	/* Release: who sees the new life sees when it began. */
	atomic_store_explicit(&worker->lives,
			      atomic_load_explicit(&worker->lives, memory_order_relaxed) + 1,
			      memory_order_release);
}

/* A fault is due. Returns whether the worker leaves its loop. */
static bool
suffer(struct forward_lcore *worker, uint64_t now)
{
	if (worker->leaves)
		return true;
	if (worker->faulty_tsc == 0) {
		worker->faulty_tsc = now;
	} else if (now - worker->faulty_tsc > FAULT_PATIENCE_DRAINS * worker->drain_tsc) {
		/* No frames came. */
		enter(worker, RECOVERY_PHASE_OWN);
		make_fault(worker);
		enter(worker, RECOVERY_PHASE_IDLE);
	}
	return false;
}

static void
loop(struct forward_lcore *worker)
{
	/* Long ago: frames that waited in the TX buffers through an outage leave at the first turn. */
	uint64_t drained = 0;
	uint64_t now = rte_rdtsc();
	uint64_t turn_tsc;

	fault_begin_life(&worker->fault, now);
	begin_life(worker, now);
	now = rte_rdtsc();
	while (!atomic_load_explicit(&worker->stop, memory_order_relaxed)) {
		unsigned int nb_bursts = 0;
		unsigned int nb_queues = forward_nb_ports(worker);

		give_heartbeat(worker, now);
		if (unlikely(now >=
			     atomic_load_explicit(&worker->fault.due_tsc, memory_order_relaxed)) &&
		    suffer(worker, now))
			return;
		if (now - drained > worker->drain_tsc) {
			enter(worker, RECOVERY_PHASE_TX);
			forward_flush(worker);
			enter(worker, RECOVERY_PHASE_IDLE);
			drained = now;
		}
		for (unsigned int i = 0; i < nb_queues; i++) {
			atomic_store_explicit(&worker->at_queue, i, memory_order_relaxed);
			nb_bursts += forward_burst(worker, worker->queue[i]);
		}
		turn_tsc = rte_rdtsc() - now;
		now += turn_tsc;
		loop_note(&worker->loop, turn_tsc, nb_bursts);
	}
}

/* The frames that a worker had in its hands when it was taken out of its loop. */
static void
drop_in_hand(struct forward_lcore *worker)
{
	unsigned int nb_frames = atomic_load_explicit(&worker->nb_burst, memory_order_relaxed);
	unsigned int at = atomic_load_explicit(&worker->at_queue, memory_order_relaxed);

	atomic_fetch_add_explicit(&worker->queue[at]->counters.abandoned, nb_frames,
				  memory_order_relaxed);
	rte_pktmbuf_free_bulk(worker->burst, nb_frames);
	set_in_hand(worker, 0);
}

int
forward_run(void *argument)
{
	struct forward_lcore *worker = argument;

	if (sigsetjmp(worker->escape.top, 1) != 0) {
		drop_in_hand(worker);
		escape_end();
		return 0;
	}
	escape_open(worker);
	loop(worker);
	escape_close(worker);
	escape_end();
	return 0;
}

/* ---- Set-up ---- */

struct forward_lcore *
forward_create(unsigned int lcore, const struct fault_config *faults, uint64_t late_ns)
{
	struct forward_lcore *worker;

	worker = rte_zmalloc_socket("forward_lcore", sizeof(*worker), RTE_CACHE_LINE_SIZE,
				    (int)rte_lcore_to_socket_id(lcore));
	if (worker == NULL)
		return NULL;
	worker->lcore = lcore;
	loop_init(&worker->loop, rte_get_tsc_hz(), late_ns);
	fault_init(&worker->fault, faults, lcore);
	worker->drain_tsc = rte_get_tsc_hz() / US_PER_S * FORWARD_DRAIN_US;
	return worker;
}

/*
 * 02:00:00:00:hh:ll is a locally administered address with the port's id in network byte order,
 * so that the receiver can tell which port a frame left by.
 */
static void
make_header(uint8_t header[2 * RTE_ETHER_ADDR_LEN], const struct port *tx)
{
	const uint8_t destination[RTE_ETHER_ADDR_LEN] = {
		0x02, 0, 0, 0, (uint8_t)(tx->id >> 8), (uint8_t)tx->id,
	};

	memcpy(header, destination, sizeof(destination));
	memcpy(header + sizeof(destination), tx->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
}

static void
free_queue(struct forward_queue *queue)
{
	if (queue->tx_buffer != NULL)
		rte_pktmbuf_free_bulk(queue->tx_buffer->pkts, queue->tx_buffer->length);
	rte_free(queue->tx_buffer);
	rte_free(queue);
}

static void
add_queue(struct forward_lcore *worker, struct forward_queue *queue)
{
	const unsigned int nb_queues = forward_nb_ports(worker);

	queue->lcore = worker->lcore;
	worker->queue[nb_queues] = queue;
	/* Release: with the number comes the queue. */
	atomic_store_explicit(&worker->nb_queues, nb_queues + 1, memory_order_release);
}

int
forward_add_port(struct forward_lcore *worker, const struct port *rx, const struct port *tx,
		 bool mac_updating, struct forward_queue **added)
{
	const int socket = (int)rte_lcore_to_socket_id(worker->lcore);
	struct forward_queue *queue;

	if (forward_nb_ports(worker) == RTE_DIM(worker->queue))
		return -ENOSPC;
	queue = rte_zmalloc_socket("forward_queue", sizeof(*queue), RTE_CACHE_LINE_SIZE, socket);
	if (queue == NULL)
		return -ENOMEM;
	queue->rx_port = rx->id;
	queue->tx_port = tx->id;
	queue->mac_updating = mac_updating;
	make_header(queue->header, tx);
	queue->tx_buffer = rte_zmalloc_socket("tx_buffer", RTE_ETH_TX_BUFFER_SIZE(PORT_BURST),
					      RTE_CACHE_LINE_SIZE, socket);
	if (queue->tx_buffer == NULL) {
		free_queue(queue);
		return -ENOMEM;
	}
	rte_eth_tx_buffer_init(queue->tx_buffer, PORT_BURST);
	rte_eth_tx_buffer_set_err_callback(queue->tx_buffer, drop_unsent, &queue->counters);
	add_queue(worker, queue);
	*added = queue;
	return 0;
}

uint16_t
forward_give_port(struct forward_lcore *from, struct forward_lcore *to)
{
	const unsigned int last = forward_nb_ports(from) - 1;
	struct forward_queue *queue = from->queue[last];

	atomic_store_explicit(&from->nb_queues, last, memory_order_relaxed);
	add_queue(to, queue);
	return queue->rx_port;
}

void
forward_destroy(struct forward_lcore *worker)
{
	if (worker == NULL)
		return;
	for (unsigned int i = 0; i < forward_nb_ports(worker); i++)
		free_queue(worker->queue[i]);
	rte_free(worker);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: makes its ports hold mbufs as a real
 * NIC does. A virtual device gives most of them back at once, so that with them a pool that is too
 * small is never noticed. Here every RX descriptor holds an mbuf that waits for a frame, and every
 * TX descriptor keeps the mbuf that was last sent by it. Each port receives without end.
 *
 * Ports are said to be on socket (port id % NIC_SOCKETS). What is there to be seen of a port goes
 * to the log file that NIC_LOG names when the port is stopped, pools when they are made.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define NIC_FRAME_SIZE 60
#define NIC_MAX_DESCRIPTORS 4096

/* Descriptors in the order of their use: the one at next was used longest ago. */
struct ring {
	uint16_t size;
	uint16_t next;
	struct rte_mbuf *mbuf[NIC_MAX_DESCRIPTORS];
};

struct nic {
	struct rte_mempool *pool;
	struct ring rx;
	struct ring tx;
	uint64_t starved; /* Frames lost because the pool was empty. */
	uint64_t sent;
	void *rx_queue[1];
	void *tx_queue[1];
};

static struct nic nics[RTE_MAX_ETHPORTS];

static void *
real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL) {
		fprintf(stderr, "nic_hook: no %s\n", name);
		_exit(125);
	}
	return function;
}

static void
note(const char *line)
{
	int fd = open(getenv("NIC_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, line, strlen(line)) < 0) {
		perror("NIC_LOG");
		_exit(125);
	}
	close(fd);
}

/* ---- Set-up ---- */

int
rte_eth_dev_socket_id(uint16_t port_id)
{
	return port_id % atoi(getenv("NIC_SOCKETS"));
}

struct rte_mempool *
rte_pktmbuf_pool_create(const char *name, unsigned int n, unsigned int cache_size,
			uint16_t priv_size, uint16_t data_room_size, int socket_id)
{
	struct rte_mempool *(*create)(const char *, unsigned int, unsigned int, uint16_t, uint16_t,
				      int);
	char line[128];

	*(void **)&create = real("rte_pktmbuf_pool_create");
	snprintf(line, sizeof(line), "pool socket %d mbufs %u cache %u\n", socket_id, n,
		 cache_size);
	note(line);
	/* The machine need not have that socket. */
	return create(name, n, cache_size, priv_size, data_room_size, SOCKET_ID_ANY);
}

int
rte_eth_rx_queue_setup(uint16_t port_id, uint16_t rx_queue_id, uint16_t nb_rx_desc,
		       unsigned int socket_id, const struct rte_eth_rxconf *rx_conf,
		       struct rte_mempool *mb_pool)
{
	int (*setup)(uint16_t, uint16_t, uint16_t, unsigned int, const struct rte_eth_rxconf *,
		     struct rte_mempool *);

	*(void **)&setup = real("rte_eth_rx_queue_setup");
	nics[port_id].pool = mb_pool;
	nics[port_id].rx.size = nb_rx_desc;
	return setup(port_id, rx_queue_id, nb_rx_desc, socket_id, rx_conf, mb_pool);
}

int
rte_eth_tx_queue_setup(uint16_t port_id, uint16_t tx_queue_id, uint16_t nb_tx_desc,
		       unsigned int socket_id, const struct rte_eth_txconf *tx_conf)
{
	int (*setup)(uint16_t, uint16_t, uint16_t, unsigned int, const struct rte_eth_txconf *);

	*(void **)&setup = real("rte_eth_tx_queue_setup");
	nics[port_id].tx.size = nb_tx_desc;
	return setup(port_id, tx_queue_id, nb_tx_desc, socket_id, tx_conf);
}

/* ---- Frames ---- */

/* Put an mbuf in the oldest descriptor's place; returns what was there. */
static struct rte_mbuf *
turn(struct ring *ring, struct rte_mbuf *mbuf)
{
	struct rte_mbuf *before = ring->mbuf[ring->next];

	ring->mbuf[ring->next] = mbuf;
	ring->next = (uint16_t)((ring->next + 1) % ring->size);
	return before;
}

static uint16_t
receive(void *queue, struct rte_mbuf **burst, uint16_t size)
{
	struct nic *nic = queue;

	for (uint16_t i = 0; i < size; i++) {
		struct rte_mbuf *fresh = rte_pktmbuf_alloc(nic->pool);

		/* As a driver does: no mbuf to put in its place, so the frame stays where it is. */
		if (fresh == NULL) {
			nic->starved++;
			return i;
		}
		burst[i] = turn(&nic->rx, fresh);
		burst[i]->data_len = NIC_FRAME_SIZE;
		burst[i]->pkt_len = NIC_FRAME_SIZE;
	}
	return size;
}

static uint16_t
send_burst(void *queue, struct rte_mbuf **burst, uint16_t size)
{
	struct nic *nic = queue;

	for (uint16_t i = 0; i < size; i++)
		rte_pktmbuf_free(turn(&nic->tx, burst[i]));
	nic->sent += size;
	return size;
}

int
rte_eth_dev_start(uint16_t port_id)
{
	struct nic *nic = &nics[port_id];
	int (*start)(uint16_t);
	int rc;

	*(void **)&start = real("rte_eth_dev_start");
	rc = start(port_id);
	if (rc != 0)
		return rc;
	for (uint16_t i = 0; i < nic->rx.size; i++) {
		nic->rx.mbuf[i] = rte_pktmbuf_alloc(nic->pool);
		if (nic->rx.mbuf[i] == NULL)
			return -ENOMEM;
	}
	nic->rx_queue[0] = nic->tx_queue[0] = nic;
	rte_eth_fp_ops[port_id].rx_pkt_burst = receive;
	rte_eth_fp_ops[port_id].rxq.data = nic->rx_queue;
	rte_eth_fp_ops[port_id].tx_pkt_burst = send_burst;
	rte_eth_fp_ops[port_id].txq.data = nic->tx_queue;
	return 0;
}

static unsigned int
empty(struct ring *ring)
{
	unsigned int held = 0;

	for (uint16_t i = 0; i < ring->size; i++) {
		held += ring->mbuf[i] != NULL;
		rte_pktmbuf_free(ring->mbuf[i]);
		ring->mbuf[i] = NULL;
	}
	return held;
}

int
rte_eth_dev_stop(uint16_t port_id)
{
	struct nic *nic = &nics[port_id];
	int (*stop)(uint16_t);
	char line[160];

	*(void **)&stop = real("rte_eth_dev_stop");
	snprintf(line, sizeof(line), "port %u rx %u of %u tx %u of %u sent %lu starved %lu\n",
		 port_id, empty(&nic->rx), nic->rx.size, empty(&nic->tx), nic->tx.size,
		 (unsigned long)nic->sent, (unsigned long)nic->starved);
	note(line);
	return stop(port_id);
}

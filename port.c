/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "log.h"
#include "port.h"

struct portmask
port_available(void)
{
	struct portmask mask = { 0 };
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
		portmask_add(&mask, id);
	return mask;
}

struct port *
port_find(struct port_table *table, uint16_t id)
{
	for (size_t i = 0; i < table->nb_ports; i++)
		if (table->port[i].id == id)
			return &table->port[i];
	return NULL;
}

/* ---- Pools ---- */

/*
 * Mbufs that can be away from a pool at once: all RX descriptors of its ports; all TX
 * descriptors and a full TX buffer of the ports they are sent to; a burst in a worker's hands;
 * and in each lcore's cache half as much again as its size (rte_mempool flushes at 1.5 times).
 */
static unsigned int
pool_size(struct port_table *table, const struct plan *plan, int socket, unsigned int nb_lcores)
{
	unsigned int size = nb_lcores * PORT_MEMPOOL_CACHE * 3 / 2;

	for (size_t i = 0; i < table->nb_ports; i++) {
		const struct port *port = &table->port[i];

		if (port->socket == socket)
			size += port->nb_rxd + port_find(table, plan->port[i].peer)->nb_txd +
				2 * PORT_BURST;
	}
	return size;
}

static int
make_pools(struct port_table *table, const struct plan *plan, unsigned int nb_lcores,
	   struct port_error *error)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	for (size_t i = 0; i < table->nb_ports; i++) {
		int socket = table->port[i].socket;

		if (table->pool[socket] != NULL)
			continue;
		snprintf(name, sizeof(name), "mbufs_socket%d", socket);
		table->pool[socket] =
			rte_pktmbuf_pool_create(name, pool_size(table, plan, socket, nb_lcores),
						PORT_MEMPOOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
						socket);
		if (table->pool[socket] == NULL) {
			error->port = table->port[i].id;
			error->doing = "make the mbuf pool of its socket (give EAL more memory)";
			return -rte_errno;
		}
	}
	return 0;
}

/* ---- Devices ---- */

/* The calls that a device needs before its queues are there. Returns 0 or a negative errno. */
static int
configure(struct port *port, const char **doing)
{
	const struct rte_eth_conf conf = { 0 };
	int rc, socket;

	/* Virtual devices may have no socket: the main lcore's, which surely has memory, will do. */
	socket = rte_eth_dev_socket_id(port->id);
	port->anywhere = socket < 0;
	if (socket < 0)
		socket = (int)rte_socket_id();
	port->socket = socket < 0 ? 0 : socket;
	*doing = "configure it with one RX and one TX queue";
	rc = rte_eth_dev_configure(port->id, 1, 1, &conf);
	if (rc != 0)
		return rc;
	port->configured = true;
	port->nb_rxd = PORT_RX_DESCRIPTORS;
	port->nb_txd = PORT_TX_DESCRIPTORS;
	*doing = "adjust the number of descriptors";
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &port->nb_rxd, &port->nb_txd);
	if (rc != 0)
		return rc;
	*doing = "read its MAC address";
	return rte_eth_macaddr_get(port->id, &port->mac);
}

static int
start(struct port *port, struct rte_mempool *pool, const char **doing)
{
	int rc;

	/* NULL: the device's own default configuration of a queue. */
	*doing = "set up its RX queue";
	rc = rte_eth_rx_queue_setup(port->id, 0, port->nb_rxd, (unsigned int)port->socket, NULL,
				    pool);
	if (rc != 0)
		return rc;
	*doing = "set up its TX queue";
	rc = rte_eth_tx_queue_setup(port->id, 0, port->nb_txd, (unsigned int)port->socket, NULL);
	if (rc != 0)
		return rc;
	*doing = "start it";
	rc = rte_eth_dev_start(port->id);
	port->started = rc == 0;
	return rc;
}

static void
set_promiscuous(const struct port *port)
{
	int rc = rte_eth_promiscuous_enable(port->id);

	if (rc != 0)
		RTE_LOG(WARNING, L2FWD,
			"Port %u refuses promiscuous mode (%s): it forwards what is sent to its "
			"own MAC address only; --no-promiscuous stops asking\n",
			port->id, rte_strerror(-rc));
}

static void
log_port(const struct port *port)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(mac, sizeof(mac), &port->mac);
	RTE_LOG(INFO, L2FWD, "Port %u, MAC address: %s, socket %d, %u RX and %u TX descriptors\n",
		port->id, mac, port->socket, port->nb_rxd, port->nb_txd);
}

int
port_open_all(struct port_table *table, const struct plan *plan, unsigned int nb_lcores,
	      bool promiscuous, struct port_error *error)
{
	int rc = 0;

	*table = (struct port_table){ .nb_ports = plan->nb_ports };
	for (size_t i = 0; i < table->nb_ports; i++)
		table->port[i].id = plan->port[i].port;
	for (size_t i = 0; i < table->nb_ports && rc == 0; i++) {
		error->port = table->port[i].id;
		rc = configure(&table->port[i], &error->doing);
	}
	if (rc == 0)
		rc = make_pools(table, plan, nb_lcores, error);
	for (size_t i = 0; i < table->nb_ports && rc == 0; i++) {
		struct port *port = &table->port[i];

		error->port = port->id;
		rc = start(port, table->pool[port->socket], &error->doing);
		if (rc == 0 && promiscuous)
			set_promiscuous(port);
		if (rc == 0)
			log_port(port);
	}
	return rc;
}

/* ---- Links ---- */

static bool
link_is_up(const struct port *port, struct rte_eth_link *link)
{
	return rte_eth_link_get_nowait(port->id, link) == 0 && link->link_status == RTE_ETH_LINK_UP;
}

size_t
port_count_down(const struct port_table *table)
{
	struct rte_eth_link link;
	size_t down = 0;

	for (size_t i = 0; i < table->nb_ports; i++)
		down += !link_is_up(&table->port[i], &link);
	return down;
}

void
port_log_links(const struct port_table *table)
{
	struct rte_eth_link link;
	uint16_t id;

	for (size_t i = 0; i < table->nb_ports; i++) {
		id = table->port[i].id;
		if (!link_is_up(&table->port[i], &link))
			RTE_LOG(INFO, L2FWD, "Port %u: Link down\n", id);
		else if (link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN)
			RTE_LOG(INFO, L2FWD, "Port %u: Link up\n", id);
		else
			RTE_LOG(INFO, L2FWD, "Port %u: Link up at %u Mbps\n", id, link.link_speed);
	}
}

/* ---- The end ---- */

/* The mbufs of a pool that are not back. Takes those in lcores' caches for present. */
static unsigned int
free_pool(struct rte_mempool *pool)
{
	unsigned int missing = rte_mempool_in_use_count(pool);

	rte_mempool_free(pool);
	return missing;
}

unsigned int
port_close_all(struct port_table *table)
{
	unsigned int missing = 0;
	bool all = !table->pools_stay;

	for (size_t i = 0; i < table->nb_ports; i++) {
		struct port *port = &table->port[i];

		all = all && !port->left_alone;
		if (port->started && !port->left_alone && rte_eth_dev_stop(port->id) != 0)
			RTE_LOG(WARNING, L2FWD, "Port %u does not stop\n", port->id);
	}
	for (size_t i = 0; i < table->nb_ports; i++) {
		struct port *port = &table->port[i];

		if (port->configured && !port->left_alone && rte_eth_dev_close(port->id) != 0)
			RTE_LOG(WARNING, L2FWD, "Port %u does not close\n", port->id);
	}
	for (unsigned int i = 0; i < RTE_DIM(table->pool) && all; i++)
		if (table->pool[i] != NULL)
			missing += free_pool(table->pool[i]);
	return missing;
}

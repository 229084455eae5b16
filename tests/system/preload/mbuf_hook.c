/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: ports whose mbufs are gone. The word in
 * the file that KA_MBUFS names says what each look at a port's counters does before it.
 *
 *   pool     takes all mbufs out of the pool; anything else gives them back
 *   no_mbuf  lets the device have found no mbuf for one frame more
 *   missed   lets it have dropped one frame more that nobody fetched
 *
 * That a pool is freed goes to stderr.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mempool.h>

#define MBUFS_MAX 65536

/* The forwarder looks from one thread. */
static void *mbufs[MBUFS_MAX];
static unsigned int nb_mbufs;
static uint64_t nb_looks;

static void
read_word(char *word, size_t room)
{
	const char *path = getenv("KA_MBUFS");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, word, room - 1);

	word[length < 0 ? 0 : length] = '\0';
	if (fd >= 0)
		close(fd);
}

static void
take_all(void)
{
	struct rte_mempool *pool = rte_mempool_lookup("mbufs_socket0");

	while (nb_mbufs < MBUFS_MAX && rte_mempool_get(pool, &mbufs[nb_mbufs]) == 0)
		nb_mbufs++;
}

static void
give_back(void)
{
	struct rte_mempool *pool = rte_mempool_lookup("mbufs_socket0");

	while (nb_mbufs > 0)
		rte_mempool_put(pool, mbufs[--nb_mbufs]);
}

int
rte_eth_stats_get(uint16_t port_id, struct rte_eth_stats *stats)
{
	int (*real)(uint16_t, struct rte_eth_stats *);
	char word[16];
	int rc;

	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	rc = real(port_id, stats);
	read_word(word, sizeof(word));
	if (strcmp(word, "pool") == 0)
		take_all();
	else
		give_back();
	nb_looks++;
	if (strcmp(word, "no_mbuf") == 0)
		stats->rx_nombuf += nb_looks;
	if (strcmp(word, "missed") == 0)
		stats->imissed += nb_looks;
	return rc;
}

void
rte_mempool_free(struct rte_mempool *pool)
{
	void (*real)(struct rte_mempool *);

	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	if (pool != NULL)
		fprintf(stderr, "mbuf_hook: %s is freed\n", pool->name);
	real(pool);
}

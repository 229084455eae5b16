/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Sends numbered frames out of port 0 at a rate and looks which of them come back to port 1:
 * bench_generator [EAL options] -- FRAMES_PER_S. It sleeps between its bursts, so that it can share
 * a CPU with the main lcore of the forwarder.
 *
 * Says "flows" when the first frame came back. Ends at SIGTERM: "gap TIME_NS FRAMES" for every gap
 * in the numbers behind that first one, then "sent N received N".
 */

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
#define DESCRIPTORS 1024
#define FRAME_SIZE 60
/* Behind the addresses, which the forwarder rewrites, and the type. */
#define NUMBER_OFFSET 16
/* Time for the last frames to come back. */
#define DRAIN_NS 200000000
#define GAPS_MAX 65536

struct seen {
	uint64_t received;
	uint64_t next; /* The number that is to come; 0 = none came yet. */
	unsigned int nb_gaps;
	struct {
		uint64_t time_ns;
		uint64_t frames;
	} gap[GAPS_MAX];
};

static struct seen seen;
static volatile sig_atomic_t ended;

static void
end(int number)
{
	(void)number;
	ended = 1;
}

static void
fail(const char *what)
{
	fprintf(stderr, "bench_generator: cannot %s\n", what);
	exit(EXIT_FAILURE);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void
sleep_until(uint64_t ns)
{
	const struct timespec at = {
		.tv_sec = (time_t)(ns / NS_PER_S),
		.tv_nsec = (long)(ns % NS_PER_S),
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void
open_port(uint16_t port, struct rte_mempool *pool)
{
	const struct rte_eth_conf config = { 0 };

	if (rte_eth_dev_configure(port, 1, 1, &config) != 0 ||
	    rte_eth_rx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool) != 0 ||
	    rte_eth_tx_queue_setup(port, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) != 0 ||
	    rte_eth_dev_start(port) != 0)
		fail("open a port");
}

/* What the port does not take is lost, and shows as a gap. */
static void
send_burst(struct rte_mempool *pool, uint64_t *number)
{
	struct rte_mbuf *burst[BURST];
	uint16_t sent;

	if (rte_pktmbuf_alloc_bulk(pool, burst, BURST) != 0)
		fail("get mbufs");
	for (unsigned int i = 0; i < BURST; i++) {
		uint8_t *data = (uint8_t *)rte_pktmbuf_append(burst[i], FRAME_SIZE);

		memset(data, 0, FRAME_SIZE);
		++*number;
		memcpy(data + NUMBER_OFFSET, number, sizeof(*number));
	}
	sent = rte_eth_tx_burst(0, 0, burst, BURST);
	if (sent < BURST)
		rte_pktmbuf_free_bulk(&burst[sent], (unsigned int)(BURST - sent));
}

static void
see(uint64_t number)
{
	if (seen.next == 0) {
		puts("flows");
		fflush(stdout);
	} else if (number != seen.next && seen.nb_gaps < GAPS_MAX) {
		seen.gap[seen.nb_gaps].time_ns = now_ns();
		seen.gap[seen.nb_gaps].frames = number - seen.next;
		seen.nb_gaps++;
	}
	seen.next = number + 1;
	seen.received++;
}

static void
receive(void)
{
	struct rte_mbuf *burst[BURST];
	uint16_t nb_frames;

	do {
		nb_frames = rte_eth_rx_burst(1, 0, burst, BURST);
		for (uint16_t i = 0; i < nb_frames; i++) {
			uint64_t number;

			memcpy(&number, rte_pktmbuf_mtod_offset(burst[i], void *, NUMBER_OFFSET),
			       sizeof(number));
			see(number);
		}
		rte_pktmbuf_free_bulk(burst, nb_frames);
	} while (nb_frames != 0);
}

static uint64_t
run(struct rte_mempool *pool, uint64_t pause_ns)
{
	uint64_t number = 0, due = now_ns();

	while (!ended) {
		send_burst(pool, &number);
		receive();
		/* What was missed without a CPU is not made up for: that would be another rate. */
		due = RTE_MAX(due + pause_ns, now_ns());
		sleep_until(due);
	}
	sleep_until(now_ns() + DRAIN_NS);
	receive();
	return number;
}

int
main(int argc, char *argv[])
{
	const struct sigaction action = { .sa_handler = end };
	struct rte_mempool *pool;
	uint64_t rate, sent;
	int taken;

	taken = rte_eal_init(argc, argv);
	if (taken < 0 || taken + 2 > argc)
		fail("start: usage: bench_generator [EAL options] -- FRAMES_PER_S");
	rate = strtoull(argv[taken + 1], NULL, 10);
	if (rate == 0 || rte_eth_dev_count_avail() != 2)
		fail("go on: it takes a rate and two ports");
	pool = rte_pktmbuf_pool_create("generator", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (pool == NULL)
		fail("get memory for mbufs");
	open_port(0, pool);
	open_port(1, pool);
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	puts("ready");
	fflush(stdout);
	sent = run(pool, (uint64_t)BURST * NS_PER_S / rate);
	for (unsigned int i = 0; i < seen.nb_gaps; i++)
		printf("gap %" PRIu64 " %" PRIu64 "\n", seen.gap[i].time_ns, seen.gap[i].frames);
	printf("sent %" PRIu64 " received %" PRIu64 "\n", sent, seen.received);
	fflush(stdout);
	rte_eal_cleanup();
	return 0;
}

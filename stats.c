/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_timer.h>

#include "counter.h"
#include "output.h"
#include "stats.h"

/* Cursor home, then clear what is below it: redraws without flicker. */
#define TERMINAL_REDRAW "\033[H\033[J"

struct stats {
	struct stats_config config;
	struct rte_timer timer;
};

/* A port's own RX, and what others sent to it. */
struct stats_port
stats_read_port(const struct stats_config *config, uint16_t port)
{
	struct stats_port sums = { 0 };

	for (size_t i = 0; i < config->nb_queues; i++) {
		const struct forward_queue *queue = config->queues[i];
		const struct forward_counters *counters = &queue->counters;

		if (queue->rx_port == port)
			sums.received += counter_read(&counters->received);
		if (queue->tx_port == port) {
			sums.sent += counter_read(&counters->sent);
			sums.abandoned += counter_read(&counters->abandoned);
			sums.dropped += counter_read(&counters->dropped);
		}
	}
	sums.dropped += sums.abandoned;
	return sums;
}

static void
print_ports(const struct stats_config *config, FILE *to)
{
	struct stats_port total = { 0 };

	fprintf(to, "\nPort statistics ====================================\n");
	for (size_t i = 0; i < config->nb_queues; i++) {
		uint16_t port = config->queues[i]->rx_port;
		struct stats_port sums = stats_read_port(config, port);

		fprintf(to,
			"Statistics for port %u ------------------------------\n"
			"Packets sent:     %20" PRIu64 "\n"
			"Packets received: %20" PRIu64 "\n"
			"Packets dropped:  %20" PRIu64 "\n",
			port, sums.sent, sums.received, sums.dropped);
		total.sent += sums.sent;
		total.received += sums.received;
		total.dropped += sums.dropped;
	}
	fprintf(to,
		"Aggregate statistics ===============================\n"
		"Total packets sent:     %14" PRIu64 "\n"
		"Total packets received: %14" PRIu64 "\n"
		"Total packets dropped:  %14" PRIu64 "\n",
		total.sent, total.received, total.dropped);
}

static const char *
state_name(uint32_t state)
{
	static const char *const names[] = {
		[KA_STATE_UNUSED] = "not seen yet", [KA_STATE_ALIVE] = "alive",
		[KA_STATE_DEAD] = "dead",	    [KA_STATE_GONE] = "gone",
		[KA_STATE_MISSING] = "missing",	    [KA_STATE_DOZING] = "dozing",
		[KA_STATE_SLEEP] = "asleep",
	};

	return state < RTE_DIM(names) ? names[state] : "unknown";
}

static void
print_cores(const struct stats_config *config, FILE *to)
{
	const struct ka_shm_monitor *totals = monitor_totals(config->monitor);

	fprintf(to, "Core statistics ====================================\n");
	for (size_t i = 0; i < config->nb_workers; i++) {
		unsigned int lcore = config->workers[i]->lcore;
		const struct ka_shm_core *core = monitor_core(config->monitor, lcore);

		fprintf(to,
			"Core %u: %s, deaths %" PRIu64 ", restarts %" PRIu64 ", recoveries %" PRIu64
			", longest outage %.1f ms\n",
			lcore, state_name(core->state), core->deaths, core->restarts,
			core->recoveries, (double)core->longest_outage_ns / 1e6);
	}
	fprintf(to, "Total deaths: %" PRIu64 "\nTotal restarts: %" PRIu64 "\n", totals->deaths,
		totals->restarts);
	if (totals->late_ticks != 0)
		fprintf(to, "Late pings: %" PRIu64 ", the longest by %.1f ms\n", totals->late_ticks,
			(double)totals->longest_late_ns / 1e6);
}

/* What the turns of the loops took; without the monitor, too. */
static void
print_loops(const struct stats_config *config, FILE *to)
{
	for (size_t i = 0; i < config->nb_workers; i++) {
		const struct loop_stats *loop = &config->workers[i]->loop;
		const uint64_t busy_ns = counter_read(&loop->busy_ns);
		const uint64_t all_ns = busy_ns + counter_read(&loop->idle_ns);
		const uint64_t longest_ns = counter_read(&loop->longest_ns);
		uint64_t turns[HISTOGRAM_BUCKETS];

		loop_read_turns(turns, loop);
		fprintf(to,
			"Loop %u: p50 %.1f us, p99 %.1f us, longest %.1f us, late %" PRIu64
			", busy %.0f %%\n",
			config->workers[i]->lcore,
			(double)histogram_quantile(turns, 0.5, longest_ns) / 1e3,
			(double)histogram_quantile(turns, 0.99, longest_ns) / 1e3,
			(double)longest_ns / 1e3, counter_read(&loop->late),
			all_ns == 0 ? 0 : 100 * (double)busy_ns / (double)all_ns);
	}
}

static void
print_table(const struct stats_config *config, bool redraw)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (to == NULL)
		return;
	fputs(redraw && output_is_terminal() ? TERMINAL_REDRAW : "", to);
	print_ports(config, to);
	if (config->monitor != NULL)
		print_cores(config, to);
	print_loops(config, to);
	if (output_lost_lines() != 0)
		fprintf(to, "Lines of output lost: %" PRIu64 "\n", output_lost_lines());
	fprintf(to, "====================================================\n");
	if (fclose(to) == 0)
		output_print("%s", text);
	free(text);
}

static void print_periodically(struct rte_timer *timer, void *argument);

static void
start_timer(struct stats *stats)
{
	rte_timer_reset(&stats->timer, stats->config.period_s * rte_get_timer_hz(), PERIODICAL,
			rte_lcore_id(), print_periodically, stats);
}

static void
print_periodically(struct rte_timer *timer, void *argument)
{
	struct stats *stats = argument;

	/* After a pause of the process one table is enough, not all those that were missed. */
	if (rte_get_timer_cycles() - timer->expire > timer->period / 2)
		start_timer(stats);
	print_table(&stats->config, true);
}

struct stats *
stats_start(const struct stats_config *config)
{
	struct stats *stats = rte_zmalloc("stats", sizeof(*stats), RTE_CACHE_LINE_SIZE);

	if (stats == NULL)
		return NULL;
	stats->config = *config;
	rte_timer_init(&stats->timer);
	if (config->period_s != 0)
		start_timer(stats);
	return stats;
}

void
stats_stop(struct stats *stats)
{
	if (stats == NULL)
		return;
	rte_timer_stop_sync(&stats->timer);
	/* Below the lines of the end, which a redraw would wipe away. */
	if (stats->config.period_s != 0)
		print_table(&stats->config, false);
	rte_free(stats);
}

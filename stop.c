/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "escape.h"
#include "log.h"
#include "recovery.h"
#include "stop.h"

/* How long workers have to leave their loops, and how often it is looked whether they did. */
#define WAIT_MS 1000
#define STEP_MS 1

/* Who is still there is looked at, and then, so often, judged by what it did since. */
#define LOOK_MS 20
#define JUDGE_MS 200

#define NS_PER_MS UINT64_C(1000000)

/* One that is still in its loop. */
struct straggler {
	struct forward_lcore *worker; /* NULL: left it, or never was in it. */
	struct recovery_sample first; /* Soon after it was asked to stop. */
	uint64_t probed_ns;
	bool asked; /* To leave by a jump. */
};

struct stop {
	struct straggler straggler[RTE_MAX_LCORE];
	size_t nb_stragglers;
	const struct monitor *monitor;
	struct stop_result result;
};

static bool
has_returned(const struct stop *stop, const struct forward_lcore *worker)
{
	if (stop->monitor != NULL)
		return monitor_has_returned(stop->monitor, worker->lcore);
	return rte_eal_get_lcore_state(worker->lcore) == WAIT;
}

/* Whether all are back. Frames that wait in the TX buffers of those who are, are sent. */
static bool
gather(struct stop *stop)
{
	bool all = true;

	for (size_t i = 0; i < stop->nb_stragglers; i++) {
		struct forward_lcore **worker = &stop->straggler[i].worker;

		if (*worker == NULL)
			continue;
		if (has_returned(stop, *worker)) {
			forward_flush(*worker);
			*worker = NULL;
		} else {
			all = false;
		}
	}
	return all;
}

static bool
is_in_its_loop(const struct straggler *straggler)
{
	return straggler->worker != NULL &&
	       atomic_load_explicit(&straggler->worker->escape.open, memory_order_acquire);
}

static void
look(struct stop *stop)
{
	for (size_t i = 0; i < stop->nb_stragglers; i++) {
		struct straggler *straggler = &stop->straggler[i];

		if (!is_in_its_loop(straggler))
			continue;
		recovery_sample(&straggler->first, straggler->worker->escape.thread,
				straggler->worker->escape.tid);
		straggler->probed_ns = ka_shm_now_ns();
		escape_probe(straggler->worker);
	}
}

static bool
hangs(const struct straggler *straggler)
{
	const struct escape *escape = &straggler->worker->escape;
	struct recovery_evidence evidence = {
		.period_ns = LOOK_MS * NS_PER_MS,
		.first = straggler->first,
		.probed_ns = straggler->probed_ns,
		.answered_ns = atomic_load_explicit(&escape->answered_ns, memory_order_relaxed),
	};
	enum ka_cause cause;

	recovery_sample(&evidence.now, escape->thread, escape->tid);
	return recovery_judge(&evidence, &cause) == RECOVERY_DEAD;
}

/* Out of its loop, where that is safe. One that the host has taken the CPU from is waited for. */
static void
judge(struct stop *stop)
{
	for (size_t i = 0; i < stop->nb_stragglers; i++) {
		struct straggler *straggler = &stop->straggler[i];
		struct forward_lcore *worker = straggler->worker;

		if (!is_in_its_loop(straggler) || straggler->asked || !hangs(straggler))
			continue;
		straggler->asked = true;
		stop->result.stuck = true;
		RTE_LOG(WARNING, L2FWD, "lcore %u hangs at the end\n", worker->lcore);
		escape_ask(worker, ESCAPE_LEAVE,
			   atomic_load_explicit(&worker->beat_tsc, memory_order_relaxed));
	}
}

/* What a hung worker may have its hands in is neither stopped nor freed. */
static void
leave_alone(struct stop *stop, const struct forward_lcore *worker, struct port_table *ports)
{
	stop->result.stuck = true;
	stop->result.hung = true;
	ports->pools_stay = true;
	for (unsigned int i = 0; i < forward_nb_ports(worker); i++) {
		port_find(ports, worker->queue[i]->rx_port)->left_alone = true;
		port_find(ports, worker->queue[i]->tx_port)->left_alone = true;
	}
	RTE_LOG(WARNING, L2FWD,
		"lcore %u does not leave its loop within %d ms: its ports are left as they are\n",
		worker->lcore, WAIT_MS);
}

struct stop_result
stop_workers(struct forward_lcore *const *workers, size_t nb_workers, const struct monitor *monitor,
	     struct port_table *ports)
{
	struct stop stop = { .nb_stragglers = nb_workers, .monitor = monitor };
	int ms = 0;

	for (size_t i = 0; i < nb_workers; i++) {
		stop.straggler[i].worker = workers[i];
		if (workers[i] != NULL)
			atomic_store_explicit(&workers[i]->stop, true, memory_order_relaxed);
	}
	while (!gather(&stop) && ms < WAIT_MS) {
		if (ms == LOOK_MS)
			look(&stop);
		else if (ms > 0 && ms % JUDGE_MS == 0)
			judge(&stop);
		rte_delay_us_sleep(STEP_MS * 1000);
		ms += STEP_MS;
	}
	for (size_t i = 0; i < nb_workers; i++)
		if (stop.straggler[i].worker != NULL)
			leave_alone(&stop, stop.straggler[i].worker, ports);
	return stop.result;
}

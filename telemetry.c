/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include "answer.h"
#include "fault.h"
#include "journal.h"
#include "number.h"
#include "recovery.h"
#include "telemetry.h"
#include "telemetry_record.h"

/* How long the end waits for an answer that is under way, and how often it looks. */
#define END_WAIT_MS 1000
#define END_LOOK_NS (1000 * 1000)

/* Room for a number as a key. */
#define KEY_MAX 24

/* Fills the answer. @param parameter  what stood behind the command's comma; "" = nothing. */
typedef void (*answer_fn)(const char *parameter, struct rte_tel_data *to);

/* What there is to be told of. Set before open, but for the atomic fields. */
static struct {
	const struct options *options;
	struct stats_config stats;
	struct ka_shm_reader *segment; /* NULL: keepalive is off. */
	uint64_t started_ns;
	uint64_t started_real_ns;
	unsigned int main_lcore;
	/*
	 * Who answers adds itself to running and then looks whether it is still open; who closes
	 * does it the other way round. Writers: EAL's threads; the main lcore. Sequentially
	 * consistent, so that one of the two sees the other.
	 */
	atomic_uint running;
	atomic_bool open;
} service;

/* ---- Looking ---- */

static uint64_t
real_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static struct forward_lcore *
find_worker(unsigned int lcore)
{
	for (size_t i = 0; i < service.stats.nb_workers; i++)
		if (service.stats.workers[i]->lcore == lcore)
			return service.stats.workers[i];
	return NULL;
}

/* Who polls a port now; NULL while it changes hands. */
static const struct forward_lcore *
find_poller(uint16_t port)
{
	for (size_t i = 0; i < service.stats.nb_workers; i++) {
		const struct forward_lcore *worker = service.stats.workers[i];
		const unsigned int nb_ports = forward_nb_ports(worker);

		for (unsigned int at = 0; at < nb_ports; at++)
			if (worker->queue[at]->rx_port == port)
				return worker;
	}
	return NULL;
}

/* A parameter that is a number, or is missing. Answers and returns false when it is neither. */
static bool
take_number(const char *parameter, const char *what, uint64_t missing, uint64_t *number,
	    struct rte_tel_data *to)
{
	const char *end = parameter;

	*number = missing;
	if (parameter[0] == '\0')
		return true;
	if (number_take(&end, 10, UINT64_MAX, number) == NUMBER_OK && *end == '\0')
		return true;
	answer_error(to, "'%.40s' is no %s", parameter, what);
	return false;
}

/* ---- Commands ---- */

static const char *
policy_name(enum recovery_policy policy)
{
	static const char *const names[] = {
		[RECOVERY_REPORT] = "report",
		[RECOVERY_RESPAWN] = "respawn",
		[RECOVERY_ABORT] = "abort",
	};

	return names[policy];
}

static void
answer_info(const char *parameter, struct rte_tel_data *to)
{
	const struct options *options = service.options;

	(void)parameter;
	answer_begin(to);
	answer_text(to, "program", "l2fwd-keepalive");
	answer_text(to, "version", PROJECT_VERSION);
	answer_text(to, "eal_version", rte_version());
	answer_number(to, "pid", (uint64_t)getpid());
	answer_number(to, "started_real_ns", service.started_real_ns);
	answer_number(to, "uptime_ns", ka_shm_now_ns() - service.started_ns);
	answer_number(to, "tsc_hz", rte_get_tsc_hz());
	answer_number(to, "main_lcore", service.main_lcore);
	answer_number(to, "lcores", service.stats.nb_workers);
	answer_number(to, "ports", service.stats.nb_queues);
	answer_number(to, "period_ns", options->check_period_ns);
	answer_number(to, "late_ns", options->late_ns);
	answer_text(to, "on_hang", policy_name(options->on_hang));
	answer_number(to, "max_restarts", options->max_restarts.restarts);
	answer_number(to, "restart_window_ns", options->max_restarts.window_ns);
	answer_number(to, "takeover", options->takeover);
	answer_number(to, "faults_allowed", options->allow_faults);
	answer_text(to, "shm_name", service.segment != NULL ? options->shm_name : "");
}

static void
answer_lcores(const char *parameter, struct rte_tel_data *to)
{
	(void)parameter;
	answer_begin_array(to);
	for (size_t i = 0; i < service.stats.nb_workers; i++)
		answer_add(to, service.stats.workers[i]->lcore);
}

/*
 * A snapshot that caught the main lcore in the middle of a change serves as well (-EAGAIN): each
 * figure is valid by itself. The frames and turns are the worker's own, and of this moment.
 */
static void
answer_lcore(const char *parameter, struct rte_tel_data *to)
{
	const struct forward_lcore *worker;
	struct ka_shm_snapshot now;
	struct ka_shm_load load = { 0 };
	uint64_t lcore;

	if (!take_number(parameter, "lcore", UINT64_MAX, &lcore, to))
		return;
	if (parameter[0] == '\0') {
		answer_error(to, "which lcore? As in " TELEMETRY_ROOT "/lcore,1");
		return;
	}
	worker = lcore < RTE_MAX_LCORE ? find_worker((unsigned int)lcore) : NULL;
	if (worker == NULL) {
		answer_error(to, "lcore %" PRIu64 " is no worker", lcore);
		return;
	}
	answer_begin(to);
	answer_number(to, "lcore", lcore);
	answer_number(to, "watched", service.segment != NULL);
	if (service.segment != NULL) {
		ka_shm_snapshot(service.segment, &now);
		ka_shm_read_load(service.segment, worker->lcore, &load);
		record_core(to, &now.core[lcore], &load);
	}
	journal_read_load(&load, worker);
	record_load(to, &load);
}

static void
put_port(struct rte_tel_data *to, const struct forward_queue *queue)
{
	const struct stats_port frames = stats_read_port(&service.stats, queue->rx_port);
	const struct forward_lcore *poller = find_poller(queue->rx_port);
	struct rte_tel_data *inner = answer_begin_inner();
	char key[KEY_MAX];

	if (inner == NULL)
		return;
	answer_number(inner, "port", queue->rx_port);
	answer_number(inner, "peer", queue->tx_port);
	if (poller != NULL)
		answer_number(inner, "lcore", poller->lcore);
	answer_number(inner, "received", frames.received);
	answer_number(inner, "sent", frames.sent);
	answer_number(inner, "dropped", frames.dropped);
	answer_number(inner, "abandoned", frames.abandoned);
	snprintf(key, sizeof(key), "%u", queue->rx_port);
	answer_end_inner(to, key, inner);
}

static void
answer_ports(const char *parameter, struct rte_tel_data *to)
{
	unsigned int nb = 0;
	uint64_t first;

	if (!take_number(parameter, "port", 0, &first, to))
		return;
	answer_begin(to);
	for (size_t i = 0; i < service.stats.nb_queues && nb < TELEMETRY_PORTS; i++)
		if (service.stats.queues[i]->rx_port >= first) {
			put_port(to, service.stats.queues[i]);
			nb++;
		}
}

static void
answer_monitor(const char *parameter, struct rte_tel_data *to)
{
	struct ka_shm_snapshot now;

	(void)parameter;
	answer_begin(to);
	answer_number(to, "period_ns", service.options->check_period_ns);
	if (service.segment == NULL) {
		answer_text(to, "status", "off");
		return;
	}
	ka_shm_snapshot(service.segment, &now);
	record_monitor(to, &now.monitor);
}

/* The newest, or the oldest behind the one that the asker knows. */
static void
answer_events(const char *parameter, struct rte_tel_data *to)
{
	struct ka_shm_snapshot now;
	uint64_t known, newest, first;

	if (!take_number(parameter, "number of an event", 0, &known, to))
		return;
	answer_begin(to);
	if (service.segment == NULL)
		return;
	ka_shm_snapshot(service.segment, &now);
	newest = now.monitor.events;
	if (parameter[0] == '\0')
		known = newest > TELEMETRY_EVENTS ? newest - TELEMETRY_EVENTS : 0;
	if (known >= newest)
		return;
	first = RTE_MAX(known, newest > KA_SHM_EVENTS ? newest - KA_SHM_EVENTS : 0) + 1;
	for (uint64_t n = first; n - first < TELEMETRY_EVENTS && n - 1 < newest; n++) {
		const struct ka_shm_event *event = &now.event[(n - 1) % KA_SHM_EVENTS];

		if (event->number == n)
			record_event(to, event);
	}
}

static bool
is_given_up(unsigned int lcore)
{
	struct ka_shm_snapshot now;

	if (service.segment == NULL)
		return false;
	ka_shm_snapshot(service.segment, &now);
	return now.core[lcore].given_up_ns != 0;
}

/* Returns 0 or -EBUSY; answers itself and returns -EINVAL where the fault cannot be made. */
static int
order(const struct fault_entry *fault, struct rte_tel_data *to)
{
	struct forward_lcore *worker;

	if (fault->kind == FAULT_MONITOR_STALL) {
		if (service.segment != NULL)
			return fault_order_stall(fault->length_ns);
		answer_error(to, "keepalive is off (-K 0): there is no monitor to stall");
		return -EINVAL;
	}
	worker = find_worker(fault->lcore);
	if (worker == NULL)
		answer_error(to, "lcore %u is no worker", fault->lcore);
	else if (is_given_up(fault->lcore))
		answer_error(to, "lcore %u was given up: it runs no more", fault->lcore);
	else
		return fault_order(&worker->fault, fault);
	return -EINVAL;
}

static void
answer_fault(const char *parameter, struct rte_tel_data *to)
{
	char why[FAULT_WHY_MAX];
	struct fault_plan plan;
	int rc;

	if (fault_parse(parameter, &plan, why) != 0) {
		answer_error(to, "'%.24s' %s", parameter, why);
		return;
	}
	if (plan.nb != 1 || plan.entry[0].at_ns != 0) {
		answer_error(to, "one fault, at once: no comma and no @SEC");
		return;
	}
	rc = order(&plan.entry[0], to);
	if (rc == -EINVAL)
		return;
	if (rc != 0) {
		answer_error(to, "the fault ordered before is still to come");
		return;
	}
	answer_begin(to);
	answer_text(to, "ordered", parameter);
}

/* ---- The service ---- */

/* One command. */
static const struct row {
	const char *command;
	answer_fn answer;
	const char *help; /* DPDK takes 63 characters. */
} table[] = {
	{ TELEMETRY_ROOT "/info", answer_info, "What runs, since when, with which options." },
	{ TELEMETRY_ROOT "/lcores", answer_lcores, "Ids of the worker lcores." },
	{ TELEMETRY_ROOT "/lcore", answer_lcore,
	  "A worker: state, deaths, loop. Parameter: lcore" },
	{ TELEMETRY_ROOT "/ports", answer_ports, "Frames of each port. Parameter: first (0)" },
	{ TELEMETRY_ROOT "/monitor", answer_monitor, "The watching: its heartbeat, sums." },
	{ TELEMETRY_ROOT "/events", answer_events,
	  "Newest events, or those after. Parameter: number" },
	/* The last one: only with --allow-faults. */
	{ TELEMETRY_ROOT "/fault", answer_fault, "Make a fault now. Parameter: LCORE:KIND[:MS]" },
};

static int
serve(const char *command, const char *parameter, struct rte_tel_data *to)
{
	atomic_fetch_add(&service.running, 1);
	if (!atomic_load(&service.open))
		answer_error(to, "the forwarder stops");
	else
		for (size_t i = 0; i < RTE_DIM(table); i++)
			if (strcmp(table[i].command, command) == 0)
				table[i].answer(parameter != NULL ? parameter : "", to);
	atomic_fetch_sub(&service.running, 1);
	return 0;
}

int
telemetry_start(const struct options *options, const struct stats_config *stats,
		const struct ka_shm_writer *writer)
{
	const size_t nb = RTE_DIM(table) - (options->allow_faults ? 0 : 1);
	int rc = 0;

	service.options = options;
	service.stats = *stats;
	service.started_ns = ka_shm_now_ns();
	service.started_real_ns = real_now_ns();
	service.main_lcore = rte_lcore_id();
	if (writer != NULL)
		rc = ka_shm_open_own(&service.segment, writer);
	if (rc != 0)
		return rc;
	atomic_store(&service.open, true);
	for (size_t i = 0; i < nb && rc == 0; i++)
		rc = rte_telemetry_register_cmd(table[i].command, serve, table[i].help);
	return rc;
}

bool
telemetry_stop(void)
{
	const struct timespec pause = { .tv_nsec = END_LOOK_NS };

	atomic_store(&service.open, false);
	for (int ms = 0; atomic_load(&service.running) != 0; ms++) {
		if (ms == END_WAIT_MS)
			return false;
		nanosleep(&pause, NULL);
	}
	ka_shm_close(service.segment);
	service.segment = NULL;
	return true;
}

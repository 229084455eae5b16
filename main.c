/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The order of start and stop, and the main lcore's loop.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pdump.h>
#include <rte_timer.h>

#include "escape.h"
#include "fault.h"
#include "forward.h"
#include "log.h"
#include "monitor.h"
#include "notify.h"
#include "options.h"
#include "output.h"
#include "plan.h"
#include "port.h"
#include "progress.h"
#include "shm.h"
#include "signals.h"
#include "standard_files.h"
#include "start.h"
#include "stats.h"
#include "stop.h"
#include "telemetry.h"

#define EXIT_USAGE 2
#define EXIT_STUCK 3

#define NS_PER_MS UINT64_C(1000000)

/* Waits shorter than this are ended early by the time that a sleep may be late. */
#define SHORT_WAIT_NS UINT64_C(900000)
#define GET_UP_EARLY_NS UINT64_C(60000)

/* How long the start waits for links, and how often it looks. */
#define LINK_WAIT_MS 9000
#define LINK_LOOK_MS 100

/* All that is started here, and undone here in the opposite order. */
struct app {
	struct options options;
	struct start_workers lcores;
	struct plan plan;
	struct port_table ports;
	struct forward_lcore *worker[RTE_MAX_LCORE];
	struct forward_queue *queue[RTE_MAX_ETHPORTS]; /* In the order of the plan. */
	struct ka_shm_writer *segment;
	struct monitor *monitor;
	struct progress *progress;
	struct stats *stats;
	struct notify *notify;
	struct stop_result stop;
};

/* ---- Start ---- */

static int
start_ports(struct app *app)
{
	const unsigned int nb_lcores = (unsigned int)app->plan.nb_workers + 1;
	struct port_error error = { 0 };
	int rc;

	rc = port_open_all(&app->ports, &app->plan, nb_lcores, app->options.promiscuous, &error);
	if (rc != 0)
		RTE_LOG(ERR, L2FWD, "port %u: cannot %s: %s\n", error.port, error.doing,
			rte_strerror(-rc));
	return rc;
}

/* A cable may take its time. Returns a signal that ended the wait, or 0. */
static int
wait_for_links(const struct app *app)
{
	int signal = signals_wait(0);

	for (unsigned int ms = 0; ms < LINK_WAIT_MS && signal == 0; ms += LINK_LOOK_MS) {
		if (port_count_down(&app->ports) == 0)
			break;
		signal = signals_wait(LINK_LOOK_MS * NS_PER_MS);
	}
	port_log_links(&app->ports);
	return signal;
}

static struct fault_config
make_faults(const struct options *options)
{
	const double lifetime_s = (double)options->demo_lifetime_ns / NS_PER_S;

	return (struct fault_config){
		.plan = &options->faults,
		/* As in the original, nobody dies at random where nobody watches. */
		.lifetime_tsc = options->check_period_ns == 0 ?
					0 :
					(uint64_t)(lifetime_s * (double)rte_get_tsc_hz()),
		.demo = options->demo_fault,
		.start_tsc = rte_rdtsc(),
	};
}

static void
warn_of_socket(unsigned int lcore, const struct port *port)
{
	if (!port->anywhere && rte_lcore_to_socket_id(lcore) != (unsigned int)port->socket)
		RTE_LOG(WARNING, L2FWD,
			"lcore %u on socket %u polls port %u on socket %d: each frame crosses "
			"between them\n",
			lcore, rte_lcore_to_socket_id(lcore), port->id, port->socket);
}

static int
make_workers(struct app *app)
{
	const struct fault_config faults = make_faults(&app->options);

	for (size_t i = 0; i < app->plan.nb_workers; i++) {
		app->worker[i] =
			forward_create(app->lcores.lcore[i], &faults, app->options.late_ns);
		if (app->worker[i] == NULL)
			return -ENOMEM;
	}
	for (size_t i = 0; i < app->plan.nb_ports; i++) {
		const struct plan_port *planned = &app->plan.port[i];
		const struct port *rx = &app->ports.port[i];
		const struct port *tx = port_find(&app->ports, planned->peer);
		int rc;

		warn_of_socket(app->lcores.lcore[planned->worker], rx);
		rc = forward_add_port(app->worker[planned->worker], rx, tx,
				      app->options.mac_updating, &app->queue[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
make_monitor(struct app *app)
{
	const struct monitor_config config = {
		.period_ns = app->options.check_period_ns,
		.writer = app->segment,
		.alarm_hold_ns = app->options.alarm_hold_ns,
		.revive = {
			.policy = app->options.on_hang,
			.limit = app->options.max_restarts,
			.period_ns = app->options.check_period_ns,
			.takeover = app->options.takeover,
		},
	};
	int rc = 0;

	app->monitor = monitor_create(&config);
	if (app->monitor == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < app->plan.nb_workers && rc == 0; i++)
		rc = monitor_add(app->monitor, app->worker[i]);
	return rc;
}

static int
launch_unwatched(const struct app *app)
{
	int rc = 0;

	for (size_t i = 0; i < app->plan.nb_workers && rc == 0; i++) {
		forward_log_launch(app->worker[i]);
		rc = rte_eal_remote_launch(forward_run, app->worker[i], app->worker[i]->lcore);
	}
	return rc;
}

static void
tell_plan(const struct app *app)
{
	const struct options *options = &app->options;

	if (app->plan.has_odd)
		output_print("Notice: odd number of ports in portmask.\n");
	for (unsigned int port = 0; options->portmask_given && port < OPTIONS_MAX_PORTS; port++)
		if (portmask_has(&options->portmask, port) && !plan_has(&app->plan, port))
			output_print("Notice: port %u is in no pair of --portmap: not used.\n",
				     port);
	if (options->check_period_ns == 0)
		RTE_LOG(INFO, L2FWD, "keepalive is off (-K 0): nobody is watched, no segment\n");
	else if (options->demo_lifetime_ns != 0)
		RTE_LOG(INFO, L2FWD,
			"demonstration: each worker leaves its loop within %g s of every launch; "
			"--demo-lifetime 0 turns this off, --seed %" PRIu64 " repeats it\n",
			(double)options->demo_lifetime_ns / NS_PER_S, options->seed);
}

/* Segment, workers, pings: from here on the forwarder works. Returns 0 or a negative errno. */
static int
start_work(struct app *app)
{
	char notice[START_ERROR_MAX], error[START_ERROR_MAX];
	int rc;

	rc = make_workers(app);
	if (rc != 0) {
		RTE_LOG(ERR, L2FWD, "cannot make the workers: %s\n", rte_strerror(-rc));
		return rc;
	}
	if (app->options.check_period_ns == 0) {
		rc = escape_install(NULL, NULL);
		return rc != 0 ? rc : launch_unwatched(app);
	}
	rc = start_segment(&app->segment, &app->options, notice, error);
	if (rc != 0) {
		RTE_LOG(ERR, L2FWD, "%s\n", error);
		return rc;
	}
	if (notice[0] != '\0')
		RTE_LOG(NOTICE, L2FWD, "%s\n", notice);
	rc = make_monitor(app);
	if (rc == 0) {
		rc = monitor_start(app->monitor);
	} else {
		/* Nobody was launched; it knows some of the workers only. */
		monitor_destroy(app->monitor);
		app->monitor = NULL;
	}
	if (rc == -ERANGE)
		RTE_LOG(ERR, L2FWD, "keepalive watches lcores below %d only: choose others\n",
			KA_SHM_MAX_LCORES);
	else if (rc != 0)
		RTE_LOG(ERR, L2FWD, "cannot start the watching: %s\n", rte_strerror(-rc));
	return rc;
}

static struct stats_config
shown(const struct app *app)
{
	return (struct stats_config){
		.period_s = app->options.stats_period_s,
		.workers = app->worker,
		.nb_workers = app->plan.nb_workers,
		.queues = app->queue,
		.nb_queues = app->plan.nb_ports,
		.monitor = app->monitor,
	};
}

/* What shows the work to others. It is not worth an end of the program. */
static void
start_views(struct app *app)
{
	const struct stats_config config = shown(app);
	int rc;

	app->stats = stats_start(&config);
	if (app->stats == NULL)
		RTE_LOG(WARNING, L2FWD, "no memory for the statistics: there are none\n");
	rc = telemetry_start(&app->options, &config, app->segment);
	if (rc != 0)
		RTE_LOG(WARNING, L2FWD, "telemetry: cannot answer below " TELEMETRY_ROOT ": %s\n",
			rte_strerror(-rc));
	notify_ready(app->notify, &config, app->options.check_period_ns);
}

/* ---- The main lcore's loop ---- */

static uint64_t
next_timer_ns(void)
{
	int64_t ticks = rte_timer_next_ticks();

	if (ticks < 0)
		return SIGNALS_FOREVER;
	return (uint64_t)((double)ticks / (double)rte_get_timer_hz() * NS_PER_S);
}

/*
 * A sleep ends some 10 to 60 us late, which pings less than a millisecond apart would feel: the
 * main lcore gets up early for them and looks at the clock until they are due.
 */
static uint64_t
time_to_sleep_ns(void)
{
	uint64_t due = next_timer_ns();

	if (due >= SHORT_WAIT_NS)
		return due;
	return due > GET_UP_EARLY_NS ? due - GET_UP_EARLY_NS : 0;
}

/* Returns the signal that ended it. */
static int
run(void)
{
	int signal = 0;

	/* The kernel delays the end of a sleep by 50 us, to save wake-ups; not of this thread. */
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	while (signal == 0) {
		rte_timer_manage();
		fault_stand_still();
		signal = signals_wait(time_to_sleep_ns());
	}
	return signal;
}

/* ---- Stop ---- */

static void
stop_progress(struct app *app)
{
	uint16_t port;

	if (progress_stop(app->progress, &port))
		return;
	RTE_LOG(WARNING, L2FWD,
		"port %u: its driver does not come back with its counters, and is left alone\n",
		port);
	port_find(&app->ports, port)->left_alone = true;
	app->stop.hung = true;
}

/*
 * The segment goes first, so that it is gone, and the agent told, whatever hangs behind it, and
 * a second signal has nothing to leave behind.
 */
static void
stop_work(struct app *app)
{
	if (app->monitor != NULL)
		monitor_stop(app->monitor);
	ka_shm_destroy(app->segment);
	signals_end_at_once();
	app->stop = stop_workers(app->worker, app->plan.nb_workers, app->monitor, &app->ports);
	stats_stop(app->stats);
	stop_progress(app);
	if (!telemetry_stop())
		app->stop.hung = true;
}

static void
stop_ports(struct app *app)
{
	unsigned int missing;

	for (size_t i = 0; i < app->plan.nb_workers && !app->stop.hung; i++)
		forward_destroy(app->worker[i]);
	missing = port_close_all(&app->ports);
	if (missing != 0)
		RTE_LOG(WARNING, L2FWD, "%u mbufs did not come back from the drivers\n", missing);
}

/* Everything between EAL's start and its end. Returns the exit status. */
static int
work(struct app *app)
{
	char error[START_ERROR_MAX];
	int signal, status = EXIT_FAILURE;

	app->lcores = start_workers();
	if (start_plan(&app->plan, &app->options, &app->lcores, error) != 0) {
		RTE_LOG(ERR, L2FWD, "%s\n", error);
		return EXIT_USAGE;
	}
	tell_plan(app);
	if (start_ports(app) != 0)
		goto ports;
	if (wait_for_links(app) != 0) {
		status = EXIT_SUCCESS;
		goto ports;
	}
	if (start_work(app) != 0)
		goto work;
	fault_schedule_stalls(&app->options.faults);
	start_views(app);
	if (app->monitor != NULL) {
		app->progress =
			progress_start(app->queue, app->plan.nb_ports, &app->ports, app->monitor);
		if (app->progress == NULL)
			RTE_LOG(WARNING, L2FWD, "no memory to watch the progress of frames\n");
	}
	signal = run();
	RTE_LOG(INFO, L2FWD, "signal %d: stopping\n", signal);
	notify_stopping(app->notify);
	status = EXIT_SUCCESS;
work:
	stop_work(app);
ports:
	/* Nothing is left to remove, so that a driver that hangs now can be left. */
	signals_end_at_once();
	stop_ports(app);
	if (!app->stop.hung)
		monitor_destroy(app->monitor);
	return app->stop.stuck && status == EXIT_SUCCESS ? EXIT_STUCK : status;
}

/* For dpdk-dumpcap and dpdk-pdump, where EAL serves other processes. */
static void
start_capture(void)
{
	if (rte_pdump_init() != 0)
		RTE_LOG(WARNING, L2FWD, "frames cannot be captured by other processes: %s\n",
			rte_strerror(rte_errno));
}

int
main(int argc, char *argv[])
{
	static struct app app;
	char error[OPTIONS_ERROR_MAX];
	int eal_argc, taken, status = EXIT_FAILURE;

	switch (options_parse(&app.options, argc, argv, &eal_argc, error)) {
	case OPTIONS_HELP:
		return fputs(options_usage(), stdout) < 0 || fflush(stdout) != 0;
	case OPTIONS_VERSION:
		return puts("l2fwd-keepalive " PROJECT_VERSION) < 0 || fflush(stdout) != 0;
	case OPTIONS_ERROR:
		fprintf(stderr, "l2fwd-keepalive: %s\n", error);
		return EXIT_USAGE;
	case OPTIONS_RUN:
		break;
	}
	standard_files_occupy(O_RDWR);
	signals_block();
	if (output_start() != 0) {
		fprintf(stderr, "l2fwd-keepalive: cannot start the threads that print\n");
		goto options;
	}
	if (notify_start(&app.notify) != 0)
		fprintf(stderr,
			"l2fwd-keepalive: no memory or thread to tell the service manager\n");
	rte_openlog_stream(output_log());
	taken = rte_eal_init(eal_argc, argv);
	if (taken < 0) {
		RTE_LOG(ERR, L2FWD, "EAL does not start: %s (see its lines above)\n",
			rte_strerror(rte_errno));
		goto output;
	}
	/* EAL moves what it does not take to the end. */
	if (taken + 1 < eal_argc) {
		RTE_LOG(ERR, L2FWD, "operand '%s' among the options of EAL: take it away\n",
			argv[taken + 1]);
		status = EXIT_USAGE;
		goto eal;
	}
	start_capture();
	if (!app.options.seed_given)
		app.options.seed = ka_shm_now_ns();
	fault_seed(app.options.seed);
	rte_timer_subsystem_init();
	status = work(&app);
	if (!app.stop.hung) {
		rte_pdump_uninit();
		rte_timer_subsystem_finalize();
	}
eal:
	if (!app.stop.hung)
		rte_eal_cleanup();
output:
	notify_end(app.notify);
	output_stop();
options:
	options_free(&app.options);
	if (app.stop.hung)
		_exit(status);
	return status;
}

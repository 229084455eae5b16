/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_timer.h>

#include "counter.h"
#include "health.h"
#include "notify.h"

#define NS_PER_MS UINT64_C(1000000)
#define STATUS_MAX 256

/* The status is renewed no more often than this, the watchdog by half of its time. */
#define STATUS_NS UINT64_C(2000000000)

/* The main lcore leaves word so often in that time, and at least so often. */
#define TURNS_A_TIME 4
#define TURN_NS UINT64_C(500000000)

/* A monitor whose last tick lies two periods and this behind does not tick. */
#define TICK_NS UINT64_C(1000000000)

#define END_NS UINT64_C(500000000)

/* What is to be told once; bits. */
enum {
	TELL_READY = 1,
	TELL_STOPPING = 2,
	TELL_END = 4
};

struct notify {
	pthread_t thread;
	sem_t asked;
	/* Added by the main lcore, taken by the thread. Release/acquire. */
	_Atomic unsigned int tell;
	/* Of a main lcore that is well, by itself. The thread reads. Relaxed: a sign of life alone. */
	_Atomic uint64_t turns;
	uint64_t watchdog_ns; /* 0 = there is none. Set before the thread is made. */
	/* Of status, which the main lcore writes and the thread reads; the main lcore only tries. */
	pthread_mutex_t status_lock;
	char status[STATUS_MAX];

	/* The main lcore only. */
	struct stats_config config;
	uint64_t period_ns; /* Between two pings. */
	struct rte_timer timer;
	uint64_t frames;     /* Sent, when last counted. */
	uint64_t counted_ns; /* Then. */
};

/* ---- The manager ---- */

#ifdef HAVE_SYSTEMD

static bool
somebody_listens(uint64_t *watchdog_ns)
{
	uint64_t watchdog_us = 0;

	*watchdog_ns = sd_watchdog_enabled(0, &watchdog_us) > 0 ? watchdog_us * 1000 : 0;
	return getenv("NOTIFY_SOCKET") != NULL;
}

static void
tell(const char *text)
{
	/* Nobody to complain to: who should hear of it does not listen. */
	(void)sd_notify(0, text);
}

#else

static bool
somebody_listens(uint64_t *watchdog_ns)
{
	*watchdog_ns = 0;
	return false;
}

static void
tell(const char *text)
{
	(void)text;
}

#endif

/* ---- The thread ---- */

static uint64_t
pause_ns(const struct notify *notify)
{
	return notify->watchdog_ns != 0 && notify->watchdog_ns / 2 < STATUS_NS ?
		       notify->watchdog_ns / 2 :
		       STATUS_NS;
}

/* The status, if it is another one than was told last. */
static void
tell_status(struct notify *notify, char told[STATUS_MAX])
{
	char line[sizeof("STATUS=") + STATUS_MAX];
	char status[STATUS_MAX];

	pthread_mutex_lock(&notify->status_lock);
	memcpy(status, notify->status, sizeof(status));
	pthread_mutex_unlock(&notify->status_lock);
	if (status[0] == '\0' || strcmp(status, told) == 0)
		return;
	memcpy(told, status, sizeof(status));
	snprintf(line, sizeof(line), "STATUS=%s", status);
	tell(line);
}

static void
wait_for_work(struct notify *notify, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_S),
		.tv_nsec = (long)(until_ns % NS_PER_S),
	};

	while (sem_clockwait(&notify->asked, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
		continue;
}

static void *
tell_all(void *argument)
{
	struct notify *notify = argument;
	char told[STATUS_MAX] = "";
	uint64_t due_ns = ka_shm_now_ns() + pause_ns(notify);
	uint64_t status_ns = 0;
	uint64_t turns = 0;
	unsigned int what;

	for (;;) {
		wait_for_work(notify, due_ns);
		what = atomic_exchange_explicit(&notify->tell, 0, memory_order_acquire);
		if ((what & TELL_READY) != 0) {
			tell("READY=1");
			due_ns = 0;
		}
		if ((what & TELL_STOPPING) != 0)
			tell("STOPPING=1");
		if ((what & TELL_END) != 0)
			return NULL;
		if (ka_shm_now_ns() < due_ns)
			continue;
		due_ns = ka_shm_now_ns() + pause_ns(notify);
		if (ka_shm_now_ns() >= status_ns) {
			tell_status(notify, told);
			status_ns = ka_shm_now_ns() + STATUS_NS;
		}
		if (notify->watchdog_ns != 0 &&
		    atomic_load_explicit(&notify->turns, memory_order_relaxed) != turns)
			tell("WATCHDOG=1");
		turns = atomic_load_explicit(&notify->turns, memory_order_relaxed);
	}
}

int
notify_start(struct notify **made)
{
	struct notify *notify;
	uint64_t watchdog_ns;
	int rc;

	*made = NULL;
	if (!somebody_listens(&watchdog_ns))
		return 0;
	notify = calloc(1, sizeof(*notify));
	if (notify == NULL)
		return -ENOMEM;
	notify->watchdog_ns = watchdog_ns;
	pthread_mutex_init(&notify->status_lock, NULL);
	sem_init(&notify->asked, 0, 0);
	rc = pthread_create(&notify->thread, NULL, tell_all, notify);
	if (rc != 0) {
		free(notify);
		return -rc;
	}
	*made = notify;
	return 0;
}

static void
ask(struct notify *notify, unsigned int what)
{
	/* Release: what is to be told of comes with it. */
	atomic_fetch_or_explicit(&notify->tell, what, memory_order_release);
	sem_post(&notify->asked);
}

/* ---- The main lcore ---- */

static bool
monitor_ticks(const struct notify *notify, uint64_t now_ns)
{
	const uint64_t beat_ns = monitor_totals(notify->config.monitor)->beat_ns;

	return beat_ns == 0 || now_ns < beat_ns ||
	       now_ns - beat_ns <= 2 * notify->period_ns + TICK_NS;
}

/* Cores that a supervisor need not mind. */
static size_t
count_well(const struct notify *notify, uint64_t now_ns)
{
	const struct stats_config *config = &notify->config;
	size_t nb_well = 0;

	for (size_t i = 0; i < config->nb_workers; i++) {
		const struct forward_lcore *worker = config->workers[i];

		nb_well += health_of_core(monitor_core(config->monitor, worker->lcore),
					  forward_nb_ports(worker), notify->period_ns, now_ns);
	}
	return nb_well;
}

static uint64_t
longest_outage_ns(const struct stats_config *config)
{
	uint64_t longest_ns = 0;

	for (size_t i = 0; i < config->nb_workers; i++)
		longest_ns =
			RTE_MAX(longest_ns, monitor_core(config->monitor, config->workers[i]->lcore)
						    ->longest_outage_ns);
	return longest_ns;
}

/* Frames sent a second since the last time. */
static double
frame_rate(struct notify *notify, uint64_t now_ns)
{
	uint64_t frames = 0;
	double rate;

	for (size_t i = 0; i < notify->config.nb_queues; i++)
		frames += counter_read(&notify->config.queues[i]->counters.sent);
	rate = (double)(frames - notify->frames) * NS_PER_S / (double)(now_ns - notify->counted_ns);
	notify->frames = frames;
	notify->counted_ns = now_ns;
	return rate;
}

static void
leave_status(struct notify *notify, size_t nb_well, uint64_t now_ns)
{
	const struct stats_config *config = &notify->config;
	const double rate = frame_rate(notify, now_ns);
	const struct ka_shm_monitor *totals;

	/* The thread copies it just now: the next turn will do. */
	if (pthread_mutex_trylock(&notify->status_lock) != 0)
		return;
	if (config->monitor == NULL) {
		snprintf(notify->status, STATUS_MAX, "keepalive is off, %.1f Mpps", rate / 1e6);
	} else {
		totals = monitor_totals(config->monitor);
		snprintf(notify->status, STATUS_MAX,
			 "%zu of %zu cores well, %" PRIu64 " deaths, %" PRIu64 " restarts, %" PRIu64
			 " recoveries, longest outage %.1f ms, %.1f Mpps",
			 nb_well, config->nb_workers, totals->deaths, totals->restarts,
			 totals->recoveries, (double)longest_outage_ns(config) / NS_PER_MS,
			 rate / 1e6);
	}
	pthread_mutex_unlock(&notify->status_lock);
}

static void
leave_word(struct rte_timer *timer, void *argument)
{
	struct notify *notify = argument;
	const struct stats_config *config = &notify->config;
	const uint64_t now_ns = ka_shm_now_ns();
	size_t nb_well = config->nb_workers;
	bool ticks = true;

	(void)timer;
	if (config->monitor != NULL) {
		nb_well = count_well(notify, now_ns);
		ticks = monitor_ticks(notify, now_ns);
	}
	if (ticks && nb_well == config->nb_workers)
		counter_add(&notify->turns, 1);
	leave_status(notify, nb_well, now_ns);
}

void
notify_ready(struct notify *notify, const struct stats_config *config, uint64_t period_ns)
{
	uint64_t turn_ns;

	if (notify == NULL)
		return;
	notify->config = *config;
	notify->period_ns = period_ns;
	notify->counted_ns = ka_shm_now_ns();
	turn_ns = RTE_MIN(TURN_NS, pause_ns(notify) / TURNS_A_TIME);
	rte_timer_init(&notify->timer);
	(void)frame_rate(notify, notify->counted_ns + 1);
	counter_add(&notify->turns, 1);
	rte_timer_reset(&notify->timer, turn_ns * rte_get_timer_hz() / NS_PER_S, PERIODICAL,
			rte_lcore_id(), leave_word, notify);
	ask(notify, TELL_READY);
}

void
notify_stopping(struct notify *notify)
{
	if (notify == NULL)
		return;
	rte_timer_stop_sync(&notify->timer);
	ask(notify, TELL_STOPPING);
}

void
notify_end(struct notify *notify)
{
	const uint64_t until_ns = ka_shm_now_ns() + END_NS;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / NS_PER_S),
		.tv_nsec = (long)(until_ns % NS_PER_S),
	};

	if (notify == NULL)
		return;
	ask(notify, TELL_END);
	/* One that a manager blocks is left to the end of the process, with its memory. */
	if (pthread_clockjoin_np(notify->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return;
	sem_destroy(&notify->asked);
	pthread_mutex_destroy(&notify->status_lock);
	free(notify);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <stdio.h>

#include <rte_common.h>

#include "answer.h"
#include "recovery.h"
#include "telemetry_record.h"

/* The segment's loads are written twice a second: a rate older than this is none any more. */
#define RATE_AGE_MAX_NS (2 * UINT64_C(1000000000))

/* Room for a number as a key. */
#define KEY_MAX 24

static uint64_t
age_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* ---- Names ---- */

static const char *
name_of(const char *const *names, size_t nb, uint64_t value)
{
	return value < nb && names[value] != NULL ? names[value] : "unknown";
}

static const char *
state_name(uint32_t state)
{
	static const char *const names[] = {
		[KA_STATE_UNUSED] = "UNUSED",	[KA_STATE_ALIVE] = "ALIVE",
		[KA_STATE_DEAD] = "DEAD",	[KA_STATE_GONE] = "GONE",
		[KA_STATE_MISSING] = "MISSING", [KA_STATE_DOZING] = "DOZING",
		[KA_STATE_SLEEP] = "SLEEP",
	};

	return name_of(names, RTE_DIM(names), state);
}

static const char *
cause_name(uint32_t cause)
{
	return cause == KA_CAUSE_NONE ? "none" : recovery_cause_name((enum ka_cause)cause);
}

static const char *
kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[KA_EVENT_DEATH] = "death",
		[KA_EVENT_RESTART] = "restart",
		[KA_EVENT_BACK] = "back",
		[KA_EVENT_RECOVERY] = "recovery",
		[KA_EVENT_STARVED] = "starved",
		[KA_EVENT_GIVEN_UP] = "given_up",
		[KA_EVENT_STALLED] = "stalled",
		[KA_EVENT_MOVES] = "moves",
		[KA_EVENT_TAKEN_OVER] = "taken_over",
		[KA_EVENT_STARVING] = "starving",
	};

	return name_of(names, RTE_DIM(names), kind);
}

static const char *
stall_name(uint32_t stall)
{
	static const char *const names[] = {
		[KA_STALL_NONE] = "none",
		[KA_STALL_RX] = "rx",
		[KA_STALL_POOL] = "pool",
		[KA_STALL_TX] = "tx",
	};

	return name_of(names, RTE_DIM(names), stall);
}

static const char *
status_name(uint64_t status)
{
	static const char *const names[] = {
		[KA_STATUS_RUNNING] = "running",
		[KA_STATUS_STOPPED] = "stopped",
		[KA_STATUS_ABORTED] = "aborted",
	};

	return name_of(names, RTE_DIM(names), status);
}

/* ---- Records ---- */

void
record_load(struct rte_tel_data *to, const struct ka_shm_load *load)
{
	const unsigned int nb_ports = RTE_MIN(load->nb_ports, (uint32_t)KA_SHM_MAX_PORTS);
	/* The last bucket has no end. */
	uint64_t ports[KA_SHM_MAX_PORTS], ends[HISTOGRAM_BUCKETS - 1];

	for (unsigned int i = 0; i < nb_ports; i++)
		ports[i] = load->port[i];
	for (unsigned int i = 0; i < RTE_DIM(ends); i++)
		ends[i] = UINT64_C(2) << i;
	answer_numbers(to, "ports", ports, nb_ports);
	answer_number(to, "received", load->received);
	answer_number(to, "sent", load->sent);
	answer_number(to, "dropped", load->dropped);
	answer_number(to, "bursts", load->bursts);
	answer_number(to, "busy_ns", load->busy_ns);
	answer_number(to, "idle_ns", load->idle_ns);
	answer_number(to, "longest_turn_ns", load->longest_ns);
	answer_number(to, "late_turns", load->late);
	answer_numbers(to, "le_ns", ends, RTE_DIM(ends));
	answer_numbers(to, "turns", load->turns, HISTOGRAM_BUCKETS);
}

void
record_core(struct rte_tel_data *to, const struct ka_shm_core *core, const struct ka_shm_load *load)
{
	const uint64_t now_ns = ka_shm_now_ns();

	answer_text(to, "state", state_name(core->state));
	answer_text(to, "cause", cause_name(core->cause));
	answer_number(to, "deaths", core->deaths);
	answer_number(to, "restarts", core->restarts);
	answer_number(to, "recoveries", core->recoveries);
	answer_number(to, "last_outage_ns", core->last_outage_ns);
	answer_number(to, "longest_outage_ns", core->longest_outage_ns);
	answer_number(to, "outages_ns", core->outages_ns);
	answer_number(to, "detections_ns", core->detections_ns);
	answer_number(to, "given_up", core->given_up_ns != 0);
	if (core->last_seen_ns != 0)
		answer_number(to, "last_seen_age_ns", age_ns(now_ns, core->last_seen_ns));
	if (load->looked_ns != 0 && age_ns(now_ns, load->looked_ns) < RATE_AGE_MAX_NS)
		answer_number(to, "frames_per_s", load->frames_per_s);
	answer_numbers(to, "outages", load->outages, HISTOGRAM_BUCKETS);
	answer_numbers(to, "detections", load->detections, HISTOGRAM_BUCKETS);
}

void
record_monitor(struct rte_tel_data *to, const struct ka_shm_monitor *monitor)
{
	answer_text(to, "status", status_name(monitor->status));
	answer_number(to, "ticks", monitor->ticks);
	answer_number(to, "beat_age_ns", age_ns(ka_shm_now_ns(), monitor->beat_ns));
	answer_number(to, "late_ticks", monitor->late_ticks);
	answer_number(to, "longest_late_ns", monitor->longest_late_ns);
	answer_number(to, "deaths", monitor->deaths);
	answer_number(to, "restarts", monitor->restarts);
	answer_number(to, "recoveries", monitor->recoveries);
	answer_number(to, "events", monitor->events);
	answer_number(to, "lost_lines", monitor->lost_lines);
}

/* What an event tells beside who and when: see struct ka_shm_event. */
static void
put_particulars(struct rte_tel_data *to, const struct ka_shm_event *event)
{
	switch (event->kind) {
	case KA_EVENT_DEATH:
		answer_text(to, "cause", cause_name(event->cause));
		answer_number(to, "silent_ns", event->silent_ns);
		answer_text(to, "phase", recovery_phase_name((enum recovery_phase)event->phase));
		answer_number(to, "port", event->port);
		answer_number(to, "in_hand", event->in_hand);
		break;
	case KA_EVENT_GIVEN_UP:
		answer_text(to, "cause", cause_name(event->cause));
		break;
	case KA_EVENT_STARVED:
		answer_number(to, "queued_ns", event->silent_ns);
		answer_number(to, "outage_ns", event->outage_ns);
		break;
	case KA_EVENT_BACK:
	case KA_EVENT_RECOVERY:
	case KA_EVENT_STARVING:
		answer_number(to, "outage_ns", event->outage_ns);
		break;
	case KA_EVENT_STALLED:
		answer_text(to, "stall", stall_name(event->stall));
		answer_number(to, "port", event->port);
		break;
	case KA_EVENT_MOVES:
		answer_number(to, "port", event->port);
		break;
	case KA_EVENT_TAKEN_OVER:
		answer_number(to, "port", event->port);
		answer_number(to, "other_lcore", event->other_lcore);
		break;
	}
}

void
record_event(struct rte_tel_data *to, const struct ka_shm_event *event)
{
	struct rte_tel_data *inner = answer_begin_inner();
	char key[KEY_MAX];

	if (inner == NULL)
		return;
	answer_number(inner, "number", event->number);
	answer_number(inner, "time_ns", event->time_ns);
	answer_number(inner, "age_ns", age_ns(ka_shm_now_ns(), event->time_ns));
	answer_number(inner, "lcore", event->lcore);
	answer_text(inner, "kind", kind_name(event->kind));
	put_particulars(inner, event);
	snprintf(key, sizeof(key), "%" PRIu64, event->number);
	answer_end_inner(to, key, inner);
}

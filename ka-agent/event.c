/* SPDX-License-Identifier: BSD-3-Clause */

#include <stddef.h>
#include <syslog.h>

#include "../recovery.h"
#include "event.h"

static const char *
cause_word(uint32_t cause)
{
	switch (cause) {
	case KA_CAUSE_EXITED:
	case KA_CAUSE_HUNG:
	case KA_CAUSE_SPINNING:
	case KA_CAUSE_BLOCKED:
	case KA_CAUSE_STOPPED:
	case KA_CAUSE_STARVED:
	case KA_CAUSE_CRASHED:
		return recovery_cause_name((enum ka_cause)cause);
	case KA_CAUSE_NOT_STARTED:
		return "not_started";
	default:
		return "unknown";
	}
}

const char *
event_phase(uint32_t phase)
{
	switch (phase) {
	case RECOVERY_PHASE_IDLE:
		return "idle";
	case RECOVERY_PHASE_RX:
		return "rx";
	case RECOVERY_PHASE_OWN:
		return "own";
	case RECOVERY_PHASE_TX:
		return "tx";
	default:
		return "unknown";
	}
}

const char *
event_stall(uint32_t stall)
{
	switch (stall) {
	case KA_STALL_RX:
		return "rx";
	case KA_STALL_POOL:
		return "pool";
	case KA_STALL_TX:
		return "tx";
	default:
		return "unknown";
	}
}

/* ---- Of a core ---- */

static void
outage(struct event *event, uint64_t ns)
{
	event->has_outage = true;
	event->outage_ns = ns;
}

/* Severities follow collectd's: FAILURE is an error, WARNING a warning, OKAY a notice. */
static void
of_core(struct event *event, const struct ka_shm_event *from)
{
	event->has_core = true;
	event->lcore = from->lcore;
	event->time_ns = from->time_ns;
	switch (from->kind) {
	case KA_EVENT_DEATH:
		event->name = "core_dead";
		event->severity = LOG_ERR;
		event->times = 1;
		event->cause = cause_word(from->cause);
		outage(event, from->silent_ns);
		break;
	case KA_EVENT_RESTART:
		event->name = "core_restarted";
		event->severity = LOG_NOTICE;
		break;
	case KA_EVENT_BACK:
	case KA_EVENT_RECOVERY:
		event->name = "core_recovered";
		event->severity = LOG_NOTICE;
		outage(event, from->outage_ns);
		break;
	case KA_EVENT_STARVING:
		event->name = "core_missing";
		event->severity = LOG_WARNING;
		event->cause = cause_word(KA_CAUSE_STARVED);
		outage(event, from->outage_ns);
		break;
	case KA_EVENT_STARVED:
		event->name = "core_starved";
		event->severity = LOG_WARNING;
		event->cause = cause_word(KA_CAUSE_STARVED);
		outage(event, from->outage_ns);
		break;
	case KA_EVENT_GIVEN_UP:
		event->name = "core_given_up";
		event->severity = LOG_ERR;
		event->cause = cause_word(from->cause);
		break;
	case KA_EVENT_STALLED:
		event->name = "core_stalled";
		event->severity = LOG_WARNING;
		break;
	case KA_EVENT_MOVES:
		event->name = "core_moves";
		event->severity = LOG_NOTICE;
		break;
	case KA_EVENT_TAKEN_OVER:
		event->name = "port_taken_over";
		event->severity = LOG_WARNING;
		break;
	default:
		event->name = "other";
		event->severity = LOG_NOTICE;
		break;
	}
}

static void
of_crash(struct event *event, const struct ka_shm_crash *crash)
{
	event->name = "core_crashed";
	event->severity = LOG_ERR;
	event->has_core = true;
	event->lcore = crash->lcore;
	event->cause = cause_word(KA_CAUSE_CRASHED);
	event->time_ns = crash->time_ns;
}

/* Deaths of which is known that they were, and no more. */
static bool
of_list(struct event *event, const struct report_list *list, unsigned int at)
{
	if (at >= list->nb_entries)
		return false;
	event->name = "core_dead";
	event->severity = LOG_ERR;
	event->has_core = true;
	event->lcore = list->entry[at].lcore;
	event->times = list->entry[at].times;
	event->cause = cause_word(KA_CAUSE_NONE);
	return true;
}

/* ---- Of the whole ---- */

/* Those that are about no core; indexed by enum report_kind. */
static const struct {
	const char *name;
	int severity;
} whole[] = {
	[REPORT_ATTACHED] = { "attached", LOG_NOTICE },
	[REPORT_EARLIER] = { "deaths_before", LOG_INFO },
	[REPORT_DOWN] = { "cores_down", LOG_ERR },
	[REPORT_UNTOLD] = { "events_lost", LOG_WARNING },
	[REPORT_CORRUPT] = { "segment_corrupt", LOG_ERR },
	[REPORT_STALLED] = { "monitor_stalled", LOG_ERR },
	[REPORT_BACK] = { "monitor_back", LOG_NOTICE },
	[REPORT_NAME_GONE] = { "segment_removed", LOG_WARNING },
	[REPORT_STOPPED] = { "monitor_stopped", LOG_NOTICE },
	[REPORT_DIED] = { "monitor_died", LOG_ERR },
	[REPORT_ABORTED] = { "monitor_aborted", LOG_ERR },
	[REPORT_NO_UPDATES] = { "monitor_given_up", LOG_ERR },
	[REPORT_WAITING] = { "waiting", LOG_INFO },
};

static bool
of_whole(struct event *event, const struct report *report)
{
	if ((size_t)report->kind >= sizeof(whole) / sizeof(whole[0]) ||
	    whole[report->kind].name == NULL)
		return false;
	event->name = whole[report->kind].name;
	event->severity = whole[report->kind].severity;
	if (report->kind == REPORT_STALLED || report->kind == REPORT_BACK)
		outage(event, report->duration_ns);
	return true;
}

bool
event_of(struct event *event, const struct report *report, unsigned int at)
{
	*event = (struct event){ .report = report };
	switch (report->kind) {
	case REPORT_DEATHS:
		return report->identity == NULL && of_list(event, report->list, at);
	case REPORT_LOST:
		return of_list(event, report->list, at);
	case REPORT_EVENT:
		of_core(event, report->event);
		return at == 0;
	case REPORT_CRASHED:
		of_crash(event, report->crash);
		return at == 0;
	default:
		return at == 0 && of_whole(event, report);
	}
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "event.h"
#include "json.h"
#include "words.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_US UINT64_C(1000)

/* Bytes beyond ASCII are written as the character of that number: a name need not be UTF-8. */
static void
put_string(FILE *out, const char *key, const char *text)
{
	fprintf(out, ",\"%s\":\"", key);
	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < ' ' || *c > '~')
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void
put_number(FILE *out, const char *key, uint64_t value)
{
	fprintf(out, ",\"%s\":%" PRIu64, key, value);
}

/* Milliseconds, to the microsecond. */
static void
put_ms(FILE *out, const char *key, uint64_t ns)
{
	fprintf(out, ",\"%s\":%" PRIu64 ".%03" PRIu64, key, ns / NS_PER_MS,
		ns % NS_PER_MS / NS_PER_US);
}

/* RFC 3339, UTC. A time that is not known, or in the future, as a segment may have it, is now. */
static void
put_time(FILE *out, uint64_t time_ns, const struct json_clock *clock)
{
	const uint64_t known_ns = time_ns == 0 || time_ns > clock->now_ns ? clock->now_ns : time_ns;
	const uint64_t real_ns = known_ns + clock->ahead_ns;
	const time_t seconds = (time_t)(real_ns / NS_PER_S);
	struct tm parts = { 0 };
	char text[32];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	fprintf(out, "\"time\":\"%s.%06" PRIu64 "Z\"", text, real_ns % NS_PER_S / NS_PER_US);
}

static void
put_cores(FILE *out, const struct report_list *list)
{
	put_number(out, "total", list->total);
	fprintf(out, ",\"cores\":[");
	for (unsigned int i = 0; i < list->nb_entries; i++)
		fprintf(out, "%s{\"lcore\":%u,\"times\":%" PRIu64 "}", i == 0 ? "" : ",",
			list->entry[i].lcore, list->entry[i].times);
	fputc(']', out);
}

/* What the ring tells beyond name, core, cause and outage. */
static void
put_details(FILE *out, const struct report *report)
{
	const struct ka_shm_event *event = report->event;

	switch (event->kind) {
	case KA_EVENT_DEATH:
		put_string(out, "phase", event_phase(event->phase));
		put_number(out, "port", event->port);
		put_number(out, "frames_in_hand", event->in_hand);
		break;
	case KA_EVENT_BACK:
	case KA_EVENT_RECOVERY:
		fprintf(out, ",\"relaunched\":%s", event->kind == KA_EVENT_BACK ? "true" : "false");
		break;
	case KA_EVENT_STALLED:
		put_string(out, "reason", event_stall(event->stall));
		/* fall through */
	case KA_EVENT_MOVES:
		put_number(out, "port", event->port);
		break;
	case KA_EVENT_TAKEN_OVER:
		put_number(out, "port", event->port);
		put_number(out, "other_lcore", event->other_lcore);
		break;
	default:
		break;
	}
	put_number(out, "restarts", report->restarts);
	put_number(out, "recoveries", report->recoveries);
}

static void
put_attached(FILE *out, const struct report *report)
{
	char program[WORDS_MAX];

	words_program(program, report->identity, true);
	put_string(out, "program", program);
	put_number(out, "cores", report->count);
	if (report->identity != NULL)
		put_ms(out, "period_ms", report->identity->period_ns);
}

static void
put_rest(FILE *out, const struct report *report)
{
	switch (report->kind) {
	case REPORT_ATTACHED:
		put_attached(out, report);
		break;
	case REPORT_EARLIER:
	case REPORT_DOWN:
		put_cores(out, report->list);
		break;
	case REPORT_EVENT:
		put_details(out, report);
		break;
	case REPORT_CRASHED:
		put_number(out, "signal", (uint64_t)report->crash->signal);
		break;
	case REPORT_UNTOLD:
		put_number(out, "events", report->count);
		break;
	default:
		break;
	}
}

static void
put_event(FILE *out, const struct event *event, const struct json_clock *clock)
{
	const struct report *report = event->report;

	fputc('{', out);
	put_time(out, event->time_ns, clock);
	put_string(out, "event", event->name);
	put_string(out, "segment", report->name);
	if (report->identity != NULL)
		fprintf(out, ",\"pid\":%" PRId64, report->identity->pid);
	if (event->has_core)
		put_number(out, "lcore", event->lcore);
	if (event->cause != NULL)
		put_string(out, "cause", event->cause);
	if (event->times != 0)
		put_number(out, "times", event->times);
	if (event->has_outage)
		put_ms(out, "outage_ms", event->outage_ns);
	put_rest(out, report);
	fputs("}\n", out);
}

int
json_write(FILE *out, const struct report *report, const struct json_clock *clock)
{
	struct event event;

	errno = 0;
	for (unsigned int at = 0; event_of(&event, report, at); at++)
		put_event(out, &event, clock);
	if (fflush(out) != 0 || ferror(out) != 0)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <time.h>

#include "event.h"
#include "json.h"
#include "outlets.h"
#include "text.h"

#define NS_PER_S UINT64_C(1000000000)

/* Clocks that drift this far apart, in nanoseconds, are compared anew. */
#define CLOCKS_APART_NS UINT64_C(10000000)

int
outlets_open(struct outlets *outlets, const struct agent_options *options)
{
	*outlets = (struct outlets){ .options = options };
	if (options->exec != NULL) {
		outlets->hook = hook_create(options->exec);
		if (outlets->hook == NULL)
			return -ENOMEM;
	}
	if (options->syslog) {
		outlets->syslogger = syslogger_open();
		if (outlets->syslogger == NULL)
			return -ENOMEM;
	}
	return 0;
}

bool
outlets_want_events(const struct outlets *outlets)
{
	const struct agent_options *options = outlets->options;

	return options->verbose || options->json || options->syslog || options->exec != NULL;
}

/* Two clocks cannot be read at once. What they differ by changes only where somebody sets one. */
static void
compare_clocks(struct outlets *outlets, uint64_t now_ns)
{
	struct timespec real;
	uint64_t ahead_ns;

	clock_gettime(CLOCK_REALTIME, &real);
	ahead_ns = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec - now_ns;
	if (ahead_ns - outlets->ahead_ns + CLOCKS_APART_NS > 2 * CLOCKS_APART_NS)
		outlets->ahead_ns = ahead_ns;
}

static int
say_json(struct outlets *outlets, const struct report *report)
{
	struct json_clock clock = { .now_ns = ka_shm_now_ns() };

	compare_clocks(outlets, clock.now_ns);
	clock.ahead_ns = outlets->ahead_ns;
	return json_write(stdout, report, &clock);
}

/* The story is for the verbose: others get the deaths in one line. */
static int
say_text(const struct outlets *outlets, const struct report *report)
{
	const bool is_story = report->kind == REPORT_EVENT || report->kind == REPORT_UNTOLD;

	if (report->kind == REPORT_LOST || (is_story && !outlets->options->verbose))
		return 0;
	return text_write(stdout, report);
}

void
outlets_say(struct outlets *outlets, const struct report *report)
{
	struct event event;

	/* After an error there is no way out: the agent is about to end. */
	if (outlets->error != 0)
		return;
	outlets->error =
		outlets->options->json ? say_json(outlets, report) : say_text(outlets, report);
	/* Or exit() would try once more, and block if the reader does not read. */
	if (outlets->error != 0)
		__fpurge(stdout);
	for (unsigned int at = 0; event_of(&event, report, at); at++) {
		if (outlets->hook != NULL)
			hook_run(outlets->hook, &event);
		if (outlets->syslogger != NULL && at == 0)
			syslogger_write(outlets->syslogger, &event);
	}
}

void
outlets_turn(struct outlets *outlets)
{
	if (outlets->hook != NULL)
		hook_turn(outlets->hook);
}

uint64_t
outlets_deadline_ns(const struct outlets *outlets)
{
	return outlets->hook == NULL ? UINT64_MAX : hook_deadline_ns(outlets->hook);
}

bool
outlets_complaint(struct outlets *outlets, char line[HOOK_COMPLAINT_MAX])
{
	if (outlets->hook != NULL && hook_complaint(outlets->hook, line))
		return true;
	return outlets->syslogger != NULL &&
	       syslogger_complaint(outlets->syslogger, line, HOOK_COMPLAINT_MAX);
}

void
outlets_end(struct outlets *outlets)
{
	if (outlets->hook != NULL)
		hook_kill(outlets->hook);
	if (outlets->syslogger != NULL)
		syslogger_end(outlets->syslogger);
}

void
outlets_close(struct outlets *outlets)
{
	hook_destroy(outlets->hook);
	outlets->hook = NULL;
	syslogger_close(outlets->syslogger);
	outlets->syslogger = NULL;
}

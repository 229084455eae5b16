/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "beside.h"
#include "syslogger.h"
#include "text.h"

#define NS_PER_S UINT64_C(1000000000)

/* A line that waits: the agent allocates it, the thread frees it. */
struct waiting {
	int severity;
	char *line;
};

struct syslogger {
	pthread_t thread;
	sem_t added; /* Posted by the agent: a line, or the end. */
	/* Lines that were ever added: the agent's alone. The semaphore orders them for the thread. */
	uint64_t nb_added;
	/* Those that the log took. Written by the thread (release), read by the agent (acquire): what
	 * is behind is free again.
	 */
	_Atomic uint64_t nb_taken;
	/* The agent's alone. */
	bool ended;
	bool stuck;	   /* The thread did not end in time. */
	bool complained;   /* That lines are being lost. */
	uint64_t lost;	   /* Since a line was last added. */
	uint64_t all_lost; /* Ever. */
	struct waiting waiting[SYSLOGGER_WAITING];
};

/* ---- The thread ---- */

static void *
run(void *argument)
{
	struct syslogger *syslogger = argument;
	uint64_t taken = 0;

	for (;;) {
		struct waiting *waiting = &syslogger->waiting[taken % SYSLOGGER_WAITING];

		while (sem_wait(&syslogger->added) != 0)
			; /* All signals are blocked here, but a debugger may interrupt it. */
		/* The end is posted behind the last line. */
		if (waiting->line == NULL)
			return NULL;
		syslog(waiting->severity, "%s", waiting->line);
		free(waiting->line);
		waiting->line = NULL;
		atomic_store_explicit(&syslogger->nb_taken, ++taken, memory_order_release);
	}
}

/* ---- The agent ---- */

struct syslogger *
syslogger_open(void)
{
	struct syslogger *syslogger = calloc(1, sizeof(*syslogger));

	if (syslogger == NULL)
		return NULL;
	sem_init(&syslogger->added, 0, 0);
	openlog("ka-agent", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	if (beside_start(&syslogger->thread, run, syslogger) != 0) {
		free(syslogger);
		return NULL;
	}
	return syslogger;
}

static uint64_t
nb_waiting(const struct syslogger *syslogger)
{
	return syslogger->nb_added -
	       atomic_load_explicit(&syslogger->nb_taken, memory_order_acquire);
}

/* There must be room. Without memory it is lost. */
static void
add(struct syslogger *syslogger, int severity, char *line)
{
	struct waiting *waiting = &syslogger->waiting[syslogger->nb_added % SYSLOGGER_WAITING];

	if (line == NULL) {
		syslogger->lost++;
		syslogger->all_lost++;
		return;
	}
	*waiting = (struct waiting){ .severity = severity, .line = line };
	syslogger->nb_added++;
	sem_post(&syslogger->added);
}

/* A report as one line without what is for terminals: the blanks before an event, the newline. */
static char *
make_line(const struct report *report)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	size_t blanks;

	if (out == NULL)
		return NULL;
	(void)text_write(out, report);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	text[strcspn(text, "\n")] = '\0';
	blanks = strspn(text, " ");
	memmove(text, text + blanks, strlen(text + blanks) + 1);
	return text;
}

/* The log itself is told what it lacks, where it lacks it. */
static void
add_gap(struct syslogger *syslogger)
{
	const uint64_t lost = syslogger->lost;
	char *line;

	if (asprintf(&line, "--syslog: %" PRIu64 " line%s lost while the log took none", lost,
		     lost == 1 ? "" : "s") < 0)
		return;
	syslogger->lost = 0;
	syslogger->complained = false;
	add(syslogger, LOG_WARNING, line);
}

void
syslogger_write(struct syslogger *syslogger, const struct event *event)
{
	const uint64_t room = SYSLOGGER_WAITING - nb_waiting(syslogger);

	if (room < (syslogger->lost == 0 ? 1 : 2)) {
		syslogger->lost++;
		syslogger->all_lost++;
		return;
	}
	if (syslogger->lost != 0)
		add_gap(syslogger);
	add(syslogger, event->severity, make_line(event->report));
}

bool
syslogger_complaint(struct syslogger *syslogger, char *line, size_t size)
{
	if (syslogger->ended && syslogger->all_lost != 0) {
		snprintf(line, size,
			 "--syslog: %" PRIu64 " line%s lost, which the system's log did not take "
			 "in time",
			 syslogger->all_lost, syslogger->all_lost == 1 ? "" : "s");
		syslogger->all_lost = 0;
		return true;
	}
	if (syslogger->ended || syslogger->lost == 0 || syslogger->complained)
		return false;
	snprintf(line, size,
		 "--syslog: the system's log takes no lines, and %d wait: more are lost; see to "
		 "who reads /dev/log",
		 SYSLOGGER_WAITING);
	syslogger->complained = true;
	return true;
}

void
syslogger_end(struct syslogger *syslogger)
{
	syslogger->ended = true;
	sem_post(&syslogger->added);
	syslogger->stuck = beside_join(syslogger->thread, NS_PER_S) != 0;
	syslogger->all_lost += nb_waiting(syslogger);
}

void
syslogger_close(struct syslogger *syslogger)
{
	/* A thread that the log holds keeps its memory; the process ends with it. */
	if (syslogger == NULL || syslogger->stuck)
		return;
	closelog();
	sem_destroy(&syslogger->added);
	free(syslogger);
}

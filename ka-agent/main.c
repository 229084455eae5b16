/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ka-agent: waits on the semaphore of l2fwd-keepalive's segment and says which cores died.
 *
 * Deaths wake the agent. At the end of every slice (REPORT_SLICE_NS) it looks at what cannot wake
 * it: whether the owner lives, and whether its monitor ticks.
 */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <time.h>

#include "../shm.h"
#include "check.h"
#include "look.h"
#include "options.h"
#include "report.h"
#include "status.h"
#include "text.h"
#include "top.h"

#define NS_PER_S UINT64_C(1000000000)

/** The exit codes that the usage text promises. */
enum code {
	CODE_STOPPED = 0,
	CODE_INTERNAL = 1,
	CODE_USAGE = 2,
	CODE_NOTHING = 3,
	CODE_STALLED = 4,
	GO_ON, /**< None yet. */
};

/** One instance of l2fwd-keepalive that is watched. */
struct watch {
	struct ka_shm_reader *reader;
	bool legacy; /**< It is DPDK's original. */
	bool said_name_gone;
	bool said_corrupt;
	bool said_crash;
	bool dying; /* It said so itself; its core dump takes a while. */
	struct report_seen seen;
	struct report_pulse pulse;
	struct report_patience patience;
	struct ka_shm_snapshot snapshot; /**< The last one taken. */
	uint64_t legacy_moves;		 /**< Stands for ticks, which the original has not. */
	uint64_t legacy_moved_ns;
};

/** The agent, from its start to its end. */
struct agent {
	struct agent_options options;
	int output_error;	     /**< First error of writing a report, -errno. */
	bool said_waiting;	     /**< --follow: since the last instance. */
	char said[TEXT_REFUSAL_MAX]; /**< --follow: the last refusal, which is said once. */
	int64_t last_pid;	     /**< The last instance watched, to be known again when only */
	uint64_t last_created_ns;    /**< its leftover is there. */
	struct watch watch;
	struct report_list list; /**< Too big for a stack frame. */
	struct report_events events;
};

static atomic_bool quit;
static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "stored by a signal handler");

static void
on_signal(int number)
{
	(void)number;
	/* Relaxed: a flag alone, nothing is handed over by it. */
	atomic_store_explicit(&quit, true, memory_order_relaxed);
}

static bool
must_quit(void)
{
	return atomic_load_explicit(&quit, memory_order_relaxed);
}

/* Without SA_RESTART: a signal ends the wait for deaths, and a write that blocks. */
static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* A reader of the output who goes away is an error of writing, which has its reason. */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/* One line on stderr, and one only: a value may have brought line breaks with it. */
static void
complain(const char *what)
{
	char line[TEXT_REFUSAL_MAX];

	snprintf(line, sizeof(line), "%s", what);
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
	fprintf(stderr, "ka-agent: %s\n", line);
}

/* ---- Saying ---- */

/* Hand a report to every way out. After an error there is none: the agent is about to end. */
static void
say(struct agent *agent, struct report *report)
{
	const struct watch *watch = &agent->watch;

	if (agent->output_error != 0)
		return;
	report->name = agent->options.name;
	if (watch->reader != NULL && !watch->legacy)
		report->identity = ka_shm_identity(watch->reader);
	agent->output_error = text_write(stdout, report);
	/* Or exit() would try once more, and block if the reader does not read. */
	if (agent->output_error != 0)
		__fpurge(stdout);
}

static void
say_kind(struct agent *agent, enum report_kind kind)
{
	say(agent, &(struct report){ .kind = kind });
}

static void
say_list(struct agent *agent, enum report_kind kind)
{
	if (agent->list.nb_entries != 0)
		say(agent, &(struct report){ .kind = kind, .list = &agent->list });
}

/* Tell the story of the snapshot's events, as far as it may be told: see report_events(). */
static void
tell_events(struct agent *agent, bool woken)
{
	const struct ka_shm_snapshot *snapshot = &agent->watch.snapshot;
	struct report_events *events = &agent->events;
	struct report report;

	if (!agent->options.verbose)
		return;
	report_events(events, &agent->watch.seen, snapshot, woken);
	if (events->untold != 0)
		say(agent, &(struct report){ .kind = REPORT_UNTOLD, .count = events->untold });
	for (unsigned int i = 0; i < events->nb_events; i++) {
		report = (struct report){ .kind = REPORT_EVENT };
		report_event_counts(&report, events->event[i], snapshot);
		say(agent, &report);
	}
}

/*
 * Say which cores died since the last time.
 *
 * A snapshot that caught the writer in the middle of a change serves as well (-EAGAIN): deaths
 * are counted core by core, and each counter by itself is right.
 */
static void
say_deaths(struct agent *agent)
{
	struct watch *watch = &agent->watch;

	(void)ka_shm_snapshot(watch->reader, &watch->snapshot);
	if (!report_deaths(&agent->list, &watch->seen, &watch->snapshot) && !watch->said_corrupt) {
		watch->said_corrupt = true;
		say_kind(agent, REPORT_CORRUPT);
	}
	say_list(agent, REPORT_DEATHS);
	tell_events(agent, true);
	if (watch->snapshot.crash.signal != 0 && !watch->said_crash) {
		watch->said_crash = true;
		report_crash(&agent->list, &watch->snapshot);
		say_list(agent, REPORT_DEATHS);
		if (agent->list.nb_entries != 0)
			say(agent, &(struct report){ .kind = REPORT_CRASHED,
						     .crash = &watch->snapshot.crash });
	}
}

/* The original's segment has states only: the cores that are dead now are all that is known. */
static void
say_legacy_deaths(struct agent *agent)
{
	struct ka_shm_snapshot now;

	(void)ka_shm_snapshot(agent->watch.reader, &now);
	report_dead_now(&agent->list, &now);
	if (agent->list.nb_entries == 0)
		say_kind(agent, REPORT_EMPTY);
	say_list(agent, REPORT_DEATHS);
}

/* ---- Watching one instance ---- */

/* Say the last words over an instance. What was not reported yet comes first. */
static enum code
end_watch(struct agent *agent, enum report_kind kind, enum code code)
{
	if (!agent->watch.legacy)
		say_deaths(agent);
	say_kind(agent, kind);
	return code;
}

/* Judge the pulse. now_ns was read before ticks and beat_ns. */
static enum code
look_at_pulse(struct agent *agent, uint64_t ticks, uint64_t beat_ns, uint64_t now_ns)
{
	struct watch *watch = &agent->watch;
	struct report report = { .kind = REPORT_STALLED };

	switch (report_pulse_look(&watch->pulse, &watch->patience, ticks, beat_ns, now_ns,
				  &report.duration_ns)) {
	case REPORT_PULSE_STEADY:
		break;
	case REPORT_PULSE_BACK:
		report.kind = REPORT_BACK;
		/* fall through */
	case REPORT_PULSE_STALLED:
		if (!watch->dying)
			say(agent, &report);
		break;
	case REPORT_PULSE_GIVE_UP:
		return end_watch(agent, REPORT_NO_UPDATES, CODE_STALLED);
	}
	return GO_ON;
}

/* The original takes no lock and leaves no word: its name and its changes must do. */
static enum code
look_at_original(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	struct ka_shm_snapshot now;
	uint64_t now_ns = ka_shm_now_ns();

	if (!ka_shm_is_current(watch->reader))
		return end_watch(agent, REPORT_STOPPED, CODE_STOPPED);
	(void)ka_shm_snapshot(watch->reader, &now);
	if (report_legacy_moved(&watch->snapshot, &now)) {
		watch->snapshot = now;
		watch->legacy_moves++;
		watch->legacy_moved_ns = now_ns;
	}
	return look_at_pulse(agent, watch->legacy_moves, watch->legacy_moved_ns, now_ns);
}

/*
 * Look at what does not wake the agent.
 *
 * The order of the first three matters. An owner that stops says so, then takes its name away,
 * then lets go of its lock; looked at in the opposite order, none of these can be seen without
 * those before it.
 */
static enum code
look_at_owner(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	bool current = ka_shm_is_current(watch->reader);
	bool lives = ka_shm_owner_lives(watch->reader);
	uint64_t now_ns = ka_shm_now_ns();
	struct ka_shm_monitor monitor;

	ka_shm_peek_monitor(watch->reader, &monitor);
	if (monitor.status == KA_STATUS_STOPPED)
		return end_watch(agent, REPORT_STOPPED, CODE_STOPPED);
	if (!lives)
		return end_watch(agent,
				 monitor.status == KA_STATUS_ABORTED ? REPORT_ABORTED : REPORT_DIED,
				 CODE_NOTHING);
	if (!current && !watch->said_name_gone) {
		watch->said_name_gone = true;
		say_kind(agent, REPORT_NAME_GONE);
	}
	if (agent->options.verbose && monitor.events != watch->seen.told &&
	    ka_shm_snapshot(watch->reader, &watch->snapshot) == 0)
		tell_events(agent, false);
	watch->dying = watch->said_crash || monitor.status == KA_STATUS_ABORTED;
	return look_at_pulse(agent, monitor.ticks, monitor.beat_ns, now_ns);
}

/* Wait for a death or the end of a slice, and say what there is to say. */
static enum code
watch_turn(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	char why[128];
	int rc;

	rc = ka_shm_wait(watch->reader,
			 report_pulse_deadline(&watch->pulse, &watch->patience, ka_shm_now_ns()));
	if (rc == 0 && watch->legacy)
		say_legacy_deaths(agent);
	else if (rc == 0)
		say_deaths(agent);
	else if (rc != -ETIMEDOUT && rc != -EINTR) {
		snprintf(why, sizeof(why), "cannot wait on the semaphore: %s", strerror(-rc));
		complain(why);
		return CODE_INTERNAL;
	}
	return watch->legacy ? look_at_original(agent) : look_at_owner(agent);
}

static enum code
watch_instance(struct agent *agent)
{
	enum code code = GO_ON;

	while (code == GO_ON && !must_quit() && agent->output_error == 0)
		code = watch_turn(agent);
	if (code != GO_ON)
		return code;
	/* Told to quit: nothing that the monitor has counted stays unsaid. */
	if (!agent->watch.legacy && agent->output_error == 0)
		say_deaths(agent);
	return CODE_STOPPED;
}

/* ---- Attaching ---- */

/*
 * Take the base line, then say what is there.
 *
 * First the credit is drained, then the snapshot is taken. A death before the snapshot is in the
 * base line; if it is posted only afterwards, it wakes an agent that finds nothing new. A death
 * after the snapshot is posted after the draining, too.
 */
static void
begin_watch(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	const struct ka_shm_identity *identity = ka_shm_identity(watch->reader);
	const bool follow = agent->options.follow;
	struct report attached = { .kind = REPORT_ATTACHED };
	uint64_t now_ns;

	(void)ka_shm_wait(watch->reader, 0);
	now_ns = ka_shm_now_ns();
	(void)ka_shm_snapshot(watch->reader, &watch->snapshot);
	report_start(&watch->seen, &watch->snapshot);
	report_pulse_start(&watch->pulse, watch->snapshot.monitor.ticks,
			   watch->snapshot.monitor.beat_ns, now_ns);
	watch->legacy_moved_ns = now_ns;
	if (watch->legacy)
		report_patience_legacy(&watch->patience, follow);
	else
		report_patience_of(&watch->patience, identity->period_ns, follow);
	agent->last_pid = identity->pid;
	agent->last_created_ns = identity->created_ns;

	attached.count = report_nb_cores(&watch->snapshot, watch->legacy);
	say(agent, &attached);
	report_earlier(&agent->list, &watch->snapshot);
	say_list(agent, REPORT_EARLIER);
	report_down(&agent->list, &watch->snapshot);
	say_list(agent, REPORT_DOWN);
}

static void
detach(struct agent *agent)
{
	ka_shm_close(agent->watch.reader);
	agent->watch.reader = NULL;
}

/*
 * Say why there is nothing to watch. With --follow each reason is said once, the absence of a
 * segment only by the line that the agent waits, and the leftover of an instance that was
 * watched to its end not at all.
 */
static void
refuse(struct agent *agent, const struct text_refusal *refusal, bool known)
{
	char line[TEXT_REFUSAL_MAX];

	text_refusal(line, refusal, &agent->options);
	if (!agent->options.follow) {
		complain(line);
		return;
	}
	if (refusal->error != -ENOENT && !known && strcmp(line, agent->said) != 0) {
		complain(line);
		memcpy(agent->said, line, sizeof(line));
	}
	if (!agent->said_waiting) {
		agent->said_waiting = true;
		say_kind(agent, REPORT_WAITING);
	}
}

static bool
attach(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	struct text_refusal refusal;

	memset(watch, 0, sizeof(*watch));
	if (!look_find(&watch->reader, agent->options.name, KA_SHM_ATTACH, &refusal)) {
		refuse(agent, &refusal,
		       refusal.error == -EOWNERDEAD && refusal.owner_pid == agent->last_pid &&
			       refusal.owner_created_ns == agent->last_created_ns);
		return false;
	}
	watch->legacy = ka_shm_is_legacy(watch->reader);
	begin_watch(agent);
	return true;
}

/* ---- The whole ---- */

/* Sleep for a slice; a signal ends it. */
static void
pause_slice(void)
{
	uint64_t end_ns = ka_shm_now_ns() + REPORT_SLICE_NS;
	struct timespec end = {
		.tv_sec = (time_t)(end_ns / NS_PER_S),
		.tv_nsec = (long)(end_ns % NS_PER_S),
	};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

/* Watch one instance, or with --follow one after the other. */
static enum code
run(struct agent *agent)
{
	enum code code = CODE_NOTHING;

	do {
		if (attach(agent)) {
			code = watch_instance(agent);
			detach(agent);
			agent->said_waiting = false;
			agent->said[0] = '\0';
		} else if (agent->options.follow)
			pause_slice();
	} while (agent->options.follow && code != CODE_INTERNAL && agent->output_error == 0 &&
		 !must_quit());
	return agent->options.follow && must_quit() ? CODE_STOPPED : code;
}

/* Say so if what was written did not get through. */
static enum code
check_output(int error, enum code code)
{
	char why[128];

	/* A signal may have ended a write that blocked: that is the end that was wanted. */
	if (error == 0 || (error == -EINTR && must_quit()))
		return code;
	snprintf(why, sizeof(why), "cannot write to standard output: %s", strerror(-error));
	complain(why);
	return CODE_INTERNAL;
}

static enum code
print_and_leave(const char *text)
{
	errno = 0;
	if (fputs(text, stdout) == EOF || fflush(stdout) != 0)
		return check_output(errno != 0 ? -errno : -EIO, CODE_STOPPED);
	return CODE_STOPPED;
}

/* --status: one look, which takes nobody's place. */
static enum code
show_status(const struct agent_options *options)
{
	static struct look look; /* Too big for a stack frame, as is the text. */
	static struct status_text text;
	struct text_refusal refusal;
	char line[TEXT_REFUSAL_MAX];
	int error = 0;

	if (!look_once(&look, options->name, &refusal)) {
		text_refusal(line, &refusal, options);
		complain(line);
		return CODE_NOTHING;
	}
	status_write(&text, &look.status);
	errno = 0;
	for (unsigned int i = 0; i < text.nb_lines; i++)
		puts(text.line[i]);
	if (fflush(stdout) != 0 || ferror(stdout) != 0) {
		error = errno != 0 ? -errno : -EIO;
		__fpurge(stdout);
	}
	return check_output(error,
			    look.status.owner == STATUS_STALLED ? CODE_STALLED : CODE_STOPPED);
}

/* --top */
static enum code
show_top(const struct agent_options *options)
{
	int rc;

	if (!top_is_possible())
		return show_status(options);
	rc = top_run(options);
	if (rc == 0)
		return CODE_STOPPED;
	fprintf(stderr, "ka-agent: cannot use the terminal: %s; try --status\n", strerror(-rc));
	return CODE_INTERNAL;
}

/* --check: one line on stdout, whatever there is to say, and the verdict as exit code. */
static enum code
show_check(const struct agent_options *options)
{
	static struct look look; /* Too big for a stack frame. */
	struct text_refusal refusal;
	char line[CHECK_LINE_MAX + 1], why[TEXT_REFUSAL_MAX];
	enum check_verdict verdict = CHECK_NOTHING;
	enum code printed;

	if (look_glance(&look, options->name, &refusal)) {
		const uint64_t period_ns = look.status.identity.period_ns;

		verdict = check_write(line, &look.status,
				      options->max_age_ns != 0 ? options->max_age_ns :
								 check_default_age_ns(period_ns));
	} else {
		text_refusal(why, &refusal, options);
		check_write_nothing(line, refusal.error, why);
	}
	strcat(line, "\n");
	printed = print_and_leave(line);
	return printed == CODE_STOPPED ? (enum code)verdict : printed;
}

int
main(int argc, char *argv[])
{
	static char buffer[TEXT_LINE_MAX];
	static struct agent agent;
	char error[AGENT_ERROR_MAX];
	enum code code;

	/* With a buffer of its own, so that a line goes out in one piece. */
	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	catch_signals();
	switch (agent_options_parse(&agent.options, argc, argv, error)) {
	case AGENT_HELP:
		return (int)print_and_leave(agent_options_usage());
	case AGENT_VERSION:
		return (int)print_and_leave("ka-agent " PROJECT_VERSION "\n");
	case AGENT_ERROR:
		complain(error);
		return CODE_USAGE;
	case AGENT_RUN:
		break;
	}
	switch (agent.options.view) {
	case AGENT_STATUS:
		return (int)show_status(&agent.options);
	case AGENT_TOP:
		return (int)show_top(&agent.options);
	case AGENT_CHECK:
		return (int)show_check(&agent.options);
	case AGENT_WATCH:
		break;
	}
	code = run(&agent);
	return (int)check_output(agent.output_error, code);
}

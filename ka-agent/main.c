/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * ka-agent: waits on the semaphore of l2fwd-keepalive's segment and says which cores died.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <time.h>

#include "../shm.h"
#include "../standard_files.h"
#include "check.h"
#include "look.h"
#include "metrics_file.h"
#include "options.h"
#include "outlets.h"
#include "status.h"
#include "text.h"
#include "top.h"
#include "watch.h"

#define NS_PER_S UINT64_C(1000000000)

/* Time for the programs of --exec to end in after the agent was told to. */
#define QUIT_PATIENCE_NS NS_PER_S

/** The exit codes that the usage text promises. */
enum code {
	CODE_STOPPED = 0,
	CODE_INTERNAL = 1,
	CODE_USAGE = 2,
	CODE_NOTHING = 3,
	CODE_STALLED = 4,
};

/** The agent, from its start to its end. */
struct agent {
	struct agent_options options;
	struct outlets outlets;
	bool said_waiting;	     /**< --follow: since the last instance. */
	char said[TEXT_REFUSAL_MAX]; /**< --follow: the last refusal, which is said once. */
	int64_t last_pid;	     /**< The last instance watched, to be known again when only */
	uint64_t last_created_ns;    /**< its leftover is there. */
	struct watch watch;
	struct metrics_file *metrics; /**< --metrics; NULL = not asked for. */
	int metrics_error;	      /**< What was said of it last. */
};

/* How often the agent was told to end. */
static atomic_int nb_signals;
static_assert(ATOMIC_INT_LOCK_FREE == 2, "stored by a signal handler");

static void
on_signal(int number)
{
	(void)number;
	/* Relaxed: a number alone, nothing is handed over by it. */
	atomic_fetch_add_explicit(&nb_signals, 1, memory_order_relaxed);
}

static bool
must_quit(void)
{
	return atomic_load_explicit(&nb_signals, memory_order_relaxed) != 0;
}

/* Without SA_RESTART: a signal ends the wait for deaths, and a write that blocks. */
static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Who was started with it ignored would never be told how a program of --exec ended. */
	action.sa_handler = SIG_DFL;
	sigaction(SIGCHLD, &action, NULL);
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

/* Sleep; a signal ends it. */
static void
pause_until(uint64_t end_ns)
{
	struct timespec end = {
		.tv_sec = (time_t)(end_ns / NS_PER_S),
		.tv_nsec = (long)(end_ns % NS_PER_S),
	};

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

/* ---- Metrics ---- */

/* Say why there are none, once. Watching goes on: it is what the agent is for. */
static void
complain_of_metrics(struct agent *agent, int error)
{
	char why[TEXT_REFUSAL_MAX];

	if (error != 0 && error != agent->metrics_error) {
		snprintf(why, sizeof(why), "cannot write --metrics %s: %s", agent->options.metrics,
			 error == -ETIMEDOUT ? "it takes more than a second" : strerror(-error));
		complain(why);
	}
	agent->metrics_error = error;
}

static bool
open_metrics(struct agent *agent)
{
	const struct agent_options *options = &agent->options;

	if (options->metrics != NULL)
		complain_of_metrics(agent, metrics_file_open(&agent->metrics, options->metrics,
							     options->name));
	return agent->metrics_error == 0;
}

/* Have the file written if it is due. state: of the watch; at_once: it has just ended. */
static void
refresh_metrics(struct agent *agent, enum watch_state state, bool at_once)
{
	struct status *status;

	if (agent->metrics == NULL)
		return;
	complain_of_metrics(agent, metrics_file_error(agent->metrics));
	status = metrics_file_due(agent->metrics, ka_shm_now_ns(), at_once);
	if (status == NULL)
		return;
	watch_look(&agent->watch, state, status);
	metrics_file_hand_over(agent->metrics);
}

/* ---- Programs beside ---- */

/* See to them, and say what went wrong. */
static void
see_to_outlets(struct agent *agent)
{
	char line[HOOK_COMPLAINT_MAX];

	outlets_turn(&agent->outlets);
	while (outlets_complaint(&agent->outlets, line))
		complain(line);
}

/*
 * Give what still runs or waits the time that it has; a signal that came before or comes now cuts
 * that short.
 */
static void
end_outlets(struct agent *agent)
{
	const uint64_t patience_ns = must_quit() ? QUIT_PATIENCE_NS : 2 * HOOK_LIMIT_NS;
	const uint64_t end_ns = ka_shm_now_ns() + patience_ns;
	const int signals = atomic_load_explicit(&nb_signals, memory_order_relaxed);

	while (outlets_deadline_ns(&agent->outlets) != UINT64_MAX && ka_shm_now_ns() < end_ns &&
	       atomic_load_explicit(&nb_signals, memory_order_relaxed) == signals) {
		pause_until(outlets_deadline_ns(&agent->outlets));
		see_to_outlets(agent);
	}
	outlets_end(&agent->outlets);
	see_to_outlets(agent);
	outlets_close(&agent->outlets);
}

/* ---- Attaching ---- */

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
		outlets_say(&agent->outlets, &(struct report){ .kind = REPORT_WAITING,
							       .name = agent->options.name });
	}
}

static bool
attach(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	const struct ka_shm_identity *identity;
	struct text_refusal refusal;

	if (!watch_begin(watch, &agent->options, &agent->outlets, &refusal)) {
		refuse(agent, &refusal,
		       refusal.error == -EOWNERDEAD && refusal.owner_pid == agent->last_pid &&
			       refusal.owner_created_ns == agent->last_created_ns);
		return false;
	}
	identity = ka_shm_identity(watch->reader);
	agent->last_pid = identity->pid;
	agent->last_created_ns = identity->created_ns;
	agent->said_waiting = false;
	agent->said[0] = '\0';
	return true;
}

/* ---- The whole ---- */

static enum code
code_of(enum watch_state state)
{
	switch (state) {
	case WATCH_GOES_ON:
	case WATCH_STOPPED:
		break;
	case WATCH_DIED:
		return CODE_NOTHING;
	case WATCH_GAVE_UP:
		return CODE_STALLED;
	case WATCH_FAILED:
		return CODE_INTERNAL;
	}
	return CODE_STOPPED;
}

/* Watch one instance to its end, or to that of the agent. */
static enum code
watch_instance(struct agent *agent)
{
	struct watch *watch = &agent->watch;
	enum watch_state state = WATCH_GOES_ON;
	char why[128];

	while (state == WATCH_GOES_ON && !must_quit() && agent->outlets.error == 0) {
		refresh_metrics(agent, state, false);
		see_to_outlets(agent);
		state = watch_turn(watch);
	}
	if (state == WATCH_GOES_ON)
		watch_say_rest(watch);
	if (state == WATCH_FAILED) {
		snprintf(why, sizeof(why), "cannot wait on the semaphore: %s",
			 strerror(-watch->error));
		complain(why);
	}
	refresh_metrics(agent, state, true);
	watch_end(watch);
	return code_of(state);
}

/* Watch one instance, or with --follow one after the other. */
static enum code
run(struct agent *agent)
{
	enum code code = CODE_NOTHING;

	do {
		if (attach(agent))
			code = watch_instance(agent);
		else if (agent->options.follow) {
			refresh_metrics(agent, WATCH_STOPPED, false);
			see_to_outlets(agent);
			pause_until(ka_shm_now_ns() + REPORT_SLICE_NS);
		}
	} while (agent->options.follow && code != CODE_INTERNAL && agent->outlets.error == 0 &&
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
	char answer[CHECK_LINE_MAX], line[CHECK_LINE_MAX + 1], why[TEXT_REFUSAL_MAX];
	enum check_verdict verdict = CHECK_NOTHING;
	enum code printed;

	if (look_glance(&look, options->name, &refusal)) {
		const uint64_t period_ns = look.status.identity.period_ns;

		verdict = check_write(answer, &look.status,
				      options->max_age_ns != 0 ? options->max_age_ns :
								 check_default_age_ns(period_ns));
	} else {
		text_refusal(why, &refusal, options);
		check_write_nothing(answer, refusal.error, why);
	}
	snprintf(line, sizeof(line), "%s\n", answer);
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

	standard_files_occupy(O_RDONLY);
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
	if (!open_metrics(&agent))
		return CODE_INTERNAL;
	if (outlets_open(&agent.outlets, &agent.options) != 0) {
		complain("no memory for --exec or --syslog");
		return CODE_INTERNAL;
	}
	code = run(&agent);
	end_outlets(&agent);
	complain_of_metrics(&agent, metrics_file_close(agent.metrics));
	return (int)check_output(agent.outlets.error, code);
}

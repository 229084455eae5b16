/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hook.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)
#define NS_PER_S UINT64_C(1000000000)

/* How often it is looked whether one has ended. */
#define LOOK_NS (10 * NS_PER_MS)

/* How long one that was killed may take to go, at the end. */
#define KILL_PATIENCE_NS NS_PER_S

/* A word of a call. */
#define WORD_MAX 32

/* The words of a call, in the order of the arguments; those behind LAST_ARGUMENT are environment only. */
enum word {
	EVENT,
	LCORE,
	CAUSE,
	OUTAGE_MS,
	TIMES,
	SEGMENT,
	NB_WORDS
};
#define NB_ARGUMENTS (OUTAGE_MS + 1)

static const char *const variable[NB_WORDS] = {
	[EVENT] = "KA_EVENT",	      [LCORE] = "KA_LCORE", [CAUSE] = "KA_CAUSE",
	[OUTAGE_MS] = "KA_OUTAGE_MS", [TIMES] = "KA_TIMES", [SEGMENT] = "KA_SEGMENT",
};

struct call {
	char word[SEGMENT][WORD_MAX];
	const char *segment;
};

struct running {
	pid_t pid; /* 0 = none. */
	uint64_t kill_ns;
	bool killed;
};

struct hook {
	char *command;
	struct running running[HOOK_AT_ONCE];
	struct call waiting[HOOK_WAITING];
	unsigned int first; /* Of those that wait. */
	unsigned int nb_waiting;
	bool ending;
	uint64_t complained_ns; /* When; 0 = never. */
	uint64_t troubled_ns; /* Since when there is something to complain of; 0 = there is not. */
	/* Since the last complaint. */
	uint64_t runs;
	uint64_t dropped;
	uint64_t killed;
	uint64_t left; /* At the end. */
	uint64_t failed;
	int last_status;
	int error; /* Of starting it. */
	uint64_t not_started;
};

struct hook *
hook_create(const char *command)
{
	struct hook *hook = calloc(1, sizeof(*hook));

	if (hook == NULL)
		return NULL;
	hook->command = strdup(command);
	if (hook->command == NULL) {
		free(hook);
		return NULL;
	}
	return hook;
}

/* ---- Starting ---- */

static void
make_call(struct call *call, const struct event *event)
{
	for (unsigned int i = 0; i < SEGMENT; i++)
		strcpy(call->word[i], "-");
	snprintf(call->word[EVENT], WORD_MAX, "%s", event->name);
	if (event->has_core)
		snprintf(call->word[LCORE], WORD_MAX, "%u", event->lcore);
	if (event->cause != NULL)
		snprintf(call->word[CAUSE], WORD_MAX, "%s", event->cause);
	if (event->has_outage)
		snprintf(call->word[OUTAGE_MS], WORD_MAX, "%" PRIu64 ".%03" PRIu64,
			 event->outage_ns / NS_PER_MS, event->outage_ns % NS_PER_MS / NS_PER_US);
	if (event->times != 0)
		snprintf(call->word[TIMES], WORD_MAX, "%" PRIu64, event->times);
	call->segment = event->report->name;
}

static bool
is_ours(const char *assignment)
{
	for (unsigned int i = 0; i < NB_WORDS; i++) {
		const size_t length = strlen(variable[i]);

		if (strncmp(assignment, variable[i], length) == 0 && assignment[length] == '=')
			return true;
	}
	return false;
}

static void
free_environment(char **environment)
{
	for (unsigned int i = 0; i < NB_WORDS; i++)
		free(environment[i]);
	free(environment);
}

/* Ours first: only those are to be freed. */
static char **
make_environment(const struct call *call)
{
	char **environment;
	size_t nb = 0, at = NB_WORDS;

	while (environ[nb] != NULL)
		nb++;
	environment = calloc(NB_WORDS + nb + 1, sizeof(*environment));
	if (environment == NULL)
		return NULL;
	for (unsigned int i = 0; i < NB_WORDS; i++) {
		if (asprintf(&environment[i], "%s=%s", variable[i],
			     i == SEGMENT ? call->segment : call->word[i]) < 0) {
			environment[i] = NULL;
			free_environment(environment);
			return NULL;
		}
	}
	for (size_t i = 0; i < nb; i++)
		if (!is_ours(environ[i]))
			environment[at++] = environ[i];
	return environment;
}

/* A process group of its own, signals as at the start of any program, nothing to read. */
static int
spawn(pid_t *pid, const char *command, char *const argv[], char *const environment[])
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	int rc;

	rc = posix_spawn_file_actions_init(&files);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attributes);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&files);
		return rc;
	}
	sigfillset(&all);
	sigemptyset(&none);
	rc = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETPGROUP);
	if (rc == 0)
		rc = posix_spawnp(pid, command, &files, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

static void
start(struct hook *hook, struct running *running, struct call *call)
{
	char *argv[NB_ARGUMENTS + 2] = { hook->command };
	char **environment = make_environment(call);
	int rc = ENOMEM;

	for (unsigned int i = 0; i < NB_ARGUMENTS; i++)
		argv[i + 1] = call->word[i];
	if (environment != NULL) {
		rc = spawn(&running->pid, hook->command, argv, environment);
		free_environment(environment);
	}
	hook->runs++;
	running->killed = false;
	running->kill_ns = ka_shm_now_ns() + HOOK_LIMIT_NS;
	if (rc != 0) {
		running->pid = 0;
		hook->error = rc;
		hook->not_started++;
	}
}

/* NULL: all are taken. */
static struct running *
find_free(struct hook *hook)
{
	for (unsigned int i = 0; i < HOOK_AT_ONCE; i++)
		if (hook->running[i].pid == 0)
			return &hook->running[i];
	return NULL;
}

static void
start_waiting(struct hook *hook)
{
	struct running *running;

	while (hook->nb_waiting != 0 && (running = find_free(hook)) != NULL) {
		start(hook, running, &hook->waiting[hook->first]);
		hook->first = (hook->first + 1) % HOOK_WAITING;
		hook->nb_waiting--;
	}
}

void
hook_run(struct hook *hook, const struct event *event)
{
	if (hook->nb_waiting == HOOK_WAITING)
		hook_turn(hook);
	if (hook->nb_waiting == HOOK_WAITING) {
		hook->dropped++;
		return;
	}
	make_call(&hook->waiting[(hook->first + hook->nb_waiting) % HOOK_WAITING], event);
	hook->nb_waiting++;
	start_waiting(hook);
}

/* ---- Ending ---- */

/* Killed with all that it has started and that stayed in its group. */
static void
kill_group(struct running *running)
{
	running->killed = kill(-running->pid, SIGKILL) == 0;
}

static void
reap(struct hook *hook, struct running *running)
{
	int status;

	if (running->pid == 0 || waitpid(running->pid, &status, WNOHANG) != running->pid)
		return;
	if (running->killed)
		hook->killed++;
	else if (status != 0) {
		hook->failed++;
		hook->last_status = status;
	}
	running->pid = 0;
}

void
hook_turn(struct hook *hook)
{
	const uint64_t now_ns = ka_shm_now_ns();

	for (unsigned int i = 0; i < HOOK_AT_ONCE; i++) {
		struct running *running = &hook->running[i];

		reap(hook, running);
		if (running->pid != 0 && !running->killed && now_ns >= running->kill_ns)
			kill_group(running);
	}
	start_waiting(hook);
}

static unsigned int
nb_running(const struct hook *hook)
{
	unsigned int nb = 0;

	for (unsigned int i = 0; i < HOOK_AT_ONCE; i++)
		nb += hook->running[i].pid != 0;
	return nb;
}

static bool
is_idle(const struct hook *hook)
{
	return nb_running(hook) == 0 && hook->nb_waiting == 0;
}

uint64_t
hook_deadline_ns(const struct hook *hook)
{
	return is_idle(hook) ? UINT64_MAX : ka_shm_now_ns() + LOOK_NS;
}

void
hook_kill(struct hook *hook)
{
	const uint64_t end_ns = ka_shm_now_ns() + KILL_PATIENCE_NS;
	const struct timespec pause = { .tv_nsec = NS_PER_MS };

	hook->ending = true;
	hook->dropped += hook->nb_waiting;
	hook->nb_waiting = 0;
	for (unsigned int i = 0; i < HOOK_AT_ONCE; i++)
		if (hook->running[i].pid != 0)
			kill_group(&hook->running[i]);
	hook_turn(hook);
	while (nb_running(hook) != 0 && ka_shm_now_ns() < end_ns) {
		(void)nanosleep(&pause, NULL);
		hook_turn(hook);
	}
	hook->left = nb_running(hook);
}

/* ---- Complaints ---- */

/* How one ended that did not end well. */
static void
put_status(FILE *line, int status)
{
	if (WIFSIGNALED(status))
		fprintf(line, "by signal %d", WTERMSIG(status));
	else
		fprintf(line, "with exit status %d", WEXITSTATUS(status));
}

/* Those who run beside each other are told of in one line, and a storm in few. */
static bool
is_time_to_complain(struct hook *hook)
{
	const uint64_t now_ns = ka_shm_now_ns();

	if (hook->dropped + hook->killed + hook->left + hook->failed + hook->not_started == 0) {
		if (is_idle(hook))
			hook->runs = 0;
		return false;
	}
	if (hook->troubled_ns == 0)
		hook->troubled_ns = now_ns;
	if (hook->ending)
		return true;
	if (hook->complained_ns != 0 && now_ns - hook->complained_ns < HOOK_COMPLAINT_NS)
		return false;
	return is_idle(hook) || now_ns - hook->troubled_ns >= HOOK_COMPLAINT_NS;
}

static void
put_complaint(FILE *line, const struct hook *hook)
{
	fprintf(line, "--exec %.80s: of %" PRIu64 " runs", hook->command, hook->runs);
	if (hook->not_started != 0)
		fprintf(line, ", %" PRIu64 " could not be started (%s)", hook->not_started,
			strerror(hook->error));
	if (hook->failed != 0) {
		fprintf(line, ", %" PRIu64 " failed, the last one ", hook->failed);
		put_status(line, hook->last_status);
	}
	if (hook->killed != 0)
		fprintf(line, ", %" PRIu64 " were killed, at the end or after %d s", hook->killed,
			(int)(HOOK_LIMIT_NS / NS_PER_S));
	if (hook->left != 0)
		fprintf(line, ", %" PRIu64 " could not be killed and still run", hook->left);
	if (hook->dropped != 0)
		fprintf(line, "; %" PRIu64 " events were dropped, with %d at once and %d waiting",
			hook->dropped, HOOK_AT_ONCE, HOOK_WAITING);
}

bool
hook_complaint(struct hook *hook, char text[HOOK_COMPLAINT_MAX])
{
	FILE *line;

	if (!is_time_to_complain(hook))
		return false;
	line = fmemopen(text, HOOK_COMPLAINT_MAX, "w");
	if (line == NULL)
		return false;
	put_complaint(line, hook);
	fclose(line);
	hook->complained_ns = ka_shm_now_ns();
	hook->troubled_ns = 0;
	hook->runs = nb_running(hook);
	hook->dropped = hook->killed = hook->left = hook->failed = hook->not_started = 0;
	return true;
}

void
hook_destroy(struct hook *hook)
{
	if (hook == NULL)
		return;
	free(hook->command);
	free(hook);
}

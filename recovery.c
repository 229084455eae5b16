/* SPDX-License-Identifier: BSD-3-Clause */

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "number.h"
#include "recovery.h"

#define NS_PER_S UINT64_C(1000000000)

/* Room for the path of a thread's file in /proc. */
#define PATH_ROOM 64

/* Room for what is read of a file: the fields of stat that count stand within the first 100. */
#define TEXT_ROOM 256

/* Room for the whole of status. */
#define STATUS_ROOM 4096

/* The two clocks of a sample are read within this time of each other, or once more, so often. */
#define APART_NS UINT64_C(20000)
#define CLOCK_TRIES 3

/* A thread that answers no signal for so long, yet runs, is not robbed but turns in the kernel. */
#define ANSWER_NS NS_PER_S

/* ---- What the kernel knows of a thread ---- */

char
recovery_parse_stat(const char *text)
{
	const char *end = strrchr(text, ')');

	if (end == NULL || end[1] != ' ' || !isalpha((unsigned char)end[2]) || end[3] != ' ')
		return '\0';
	return end[2];
}

/* Step over a decimal number and the blanks before it. False: there is none, or it is too large. */
static bool
take_number(const char **text, uint64_t *number)
{
	*text += strspn(*text, " ");
	return number_take(text, 10, UINT64_MAX, number) == NUMBER_OK &&
	       (**text == ' ' || **text == '\n' || **text == '\0');
}

bool
recovery_parse_schedstat(const char *text, uint64_t *delay_ns)
{
	uint64_t ran_ns, waited_ns;

	if (!take_number(&text, &ran_ns) || !take_number(&text, &waited_ns))
		return false;
	/* A kernel that does not count writes noughts; no thread that exists ran for no time. */
	if (ran_ns == 0 && waited_ns == 0)
		return false;
	*delay_ns = waited_ns;
	return true;
}

/* The beginning of a file of a thread; "" when it cannot be read. */
static void
read_text(char *text, size_t room, pid_t tid, const char *file)
{
	char path[PATH_ROOM];
	int fd;

	memset(text, 0, room);
	snprintf(path, sizeof(path), "/proc/self/task/%ld/%s", (long)tid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, text, room - 1) < 0)
		text[0] = '\0';
	close(fd);
}

/* "0" is what a kernel writes that does not tell, or of a thread that does not sleep. */
static void
take_wchan(char wchan[RECOVERY_WCHAN_MAX], const char *text)
{
	size_t length = 0;

	if (strcmp(text, "0") != 0)
		while (length < RECOVERY_WCHAN_MAX - 1 && isgraph((unsigned char)text[length]))
			length++;
	memcpy(wchan, text, length);
	wchan[length] = '\0';
}

static bool
read_clock(clockid_t clock, uint64_t *ns)
{
	struct timespec time;

	if (clock_gettime(clock, &time) != 0)
		return false;
	*ns = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
	return true;
}

/*
 * The clock on the wall before and after the thread's: a reader that is itself put off between
 * the two would take its own loss for the thread's.
 */
static void
read_clocks(struct recovery_sample *sample, pthread_t thread)
{
	uint64_t after_ns = 0;
	clockid_t clock;

	sample->cpu_known = pthread_getcpuclockid(thread, &clock) == 0;
	for (int i = 0; i < CLOCK_TRIES; i++) {
		read_clock(CLOCK_MONOTONIC, &sample->wall_ns);
		if (!sample->cpu_known)
			return;
		sample->cpu_known = read_clock(clock, &sample->cpu_ns);
		read_clock(CLOCK_MONOTONIC, &after_ns);
		if (after_ns - sample->wall_ns <= APART_NS)
			return;
	}
}

/* The rest of the line that begins with a name and a colon; NULL when there is none. */
static const char *
find_line(const char *text, const char *name)
{
	const size_t length = strlen(name);

	while (text != NULL) {
		if (strncmp(text, name, length) == 0 && text[length] == ':')
			return text + length + 1;
		text = strchr(text, '\n');
		if (text != NULL)
			text++;
	}
	return NULL;
}

/* Whether a line that is a mask of signals has one; absent when there is no such line. */
static bool
mask_has(const char *text, const char *name, int signal_number, bool absent)
{
	const char *mask = find_line(text, name);
	char *end;
	uint64_t bits;

	if (mask == NULL)
		return absent;
	bits = strtoull(mask, &end, 16);
	return end == mask ? absent : (bits >> (signal_number - 1) & 1) != 0;
}

bool
recovery_parse_held(const char *text, int signal_number)
{
	const char *state = find_line(text, "State");

	return state != NULL && state[strspn(state, " \t")] == 'D' &&
	       mask_has(text, "SigPnd", signal_number, false) &&
	       !mask_has(text, "SigBlk", signal_number, true);
}

bool
recovery_is_held(pid_t tid, int signal_number)
{
	char text[STATUS_ROOM];

	read_text(text, sizeof(text), tid, "status");
	return recovery_parse_held(text, signal_number);
}

void
recovery_sample(struct recovery_sample *sample, pthread_t thread, pid_t tid)
{
	char text[TEXT_ROOM];

	*sample = (struct recovery_sample){ 0 };
	read_clocks(sample, thread);
	read_text(text, sizeof(text), tid, "stat");
	sample->state = recovery_parse_stat(text);
	read_text(text, sizeof(text), tid, "schedstat");
	sample->delay_known = recovery_parse_schedstat(text, &sample->delay_ns);
	read_text(text, sizeof(text), tid, "wchan");
	take_wchan(sample->wchan, text);
}

/* ---- Why it is silent ---- */

/* How far a counter has moved on; 0 for one that went backwards. */
static uint64_t
advance(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/*
 * While a hypervisor lets another run on the CPU, the guest's clocks of that CPU's thread run on;
 * what was stolen is booked when it runs again. So one that seems to run must have executed a
 * signal handler, and been silent for a while since. One that answers nothing for long turns in
 * the kernel.
 */
static enum ka_cause
spinning_or_robbed(const struct recovery_evidence *evidence)
{
	const uint64_t now_ns = evidence->now.wall_ns;

	/* The time of one that has left its CPU since is booked. */
	if (evidence->now.state != 'R')
		return KA_CAUSE_SPINNING;
	if (evidence->probed_ns == 0)
		return KA_CAUSE_NONE;
	if (evidence->answered_ns == 0)
		return advance(evidence->probed_ns, now_ns) >= ANSWER_NS ? KA_CAUSE_SPINNING :
									   KA_CAUSE_STARVED;
	if (advance(evidence->answered_ns, now_ns) <
	    (evidence->period_ns - evidence->period_ns / 2) / 2)
		return KA_CAUSE_NONE;
	return KA_CAUSE_SPINNING;
}

/* Why a worker is silent that is in its loop, or on its way there. */
static enum ka_cause
cause_of(const struct recovery_evidence *evidence)
{
	const struct recovery_sample *first = &evidence->first, *now = &evidence->now;
	const bool cpu_known = first->cpu_known && now->cpu_known && now->cpu_ns >= first->cpu_ns;
	const uint64_t wall_ns = advance(first->wall_ns, now->wall_ns);
	const uint64_t ran_ns = advance(first->cpu_ns, now->cpu_ns);

	if (now->state == 'T' || now->state == 't')
		return KA_CAUSE_STOPPED;
	if (wall_ns < evidence->period_ns - evidence->period_ns / 2)
		return KA_CAUSE_NONE;
	if (cpu_known && (ran_ns >= wall_ns - wall_ns / 2 || ran_ns >= evidence->period_ns))
		return spinning_or_robbed(evidence);
	if (now->state == 'S' || now->state == 'D')
		return KA_CAUSE_BLOCKED;
	if (now->state == 'R' && cpu_known)
		return KA_CAUSE_STARVED;
	return KA_CAUSE_HUNG;
}

enum recovery_verdict
recovery_judge(const struct recovery_evidence *evidence, enum ka_cause *cause)
{
	*cause = KA_CAUSE_NONE;
	if (evidence->never_marked && !evidence->start_overdue)
		return RECOVERY_WAIT;
	*cause = evidence->has_returned ? KA_CAUSE_EXITED : cause_of(evidence);
	if (*cause == KA_CAUSE_NONE)
		return RECOVERY_WAIT;
	if (*cause == KA_CAUSE_STARVED)
		return RECOVERY_STARVED;
	if (evidence->never_marked)
		*cause = KA_CAUSE_NOT_STARTED;
	return RECOVERY_DEAD;
}

const char *
recovery_cause_name(enum ka_cause cause)
{
	switch (cause) {
	case KA_CAUSE_EXITED:
		return "exited";
	case KA_CAUSE_NOT_STARTED:
		return "not started";
	case KA_CAUSE_SPINNING:
		return "spinning";
	case KA_CAUSE_BLOCKED:
		return "blocked";
	case KA_CAUSE_STOPPED:
		return "stopped";
	case KA_CAUSE_STARVED:
		return "starved";
	case KA_CAUSE_CRASHED:
		return "crashed";
	case KA_CAUSE_HUNG:
		return "hung";
	case KA_CAUSE_NONE:
		break;
	}
	return "cause not known";
}

/* ---- What is done ---- */

const char *
recovery_phase_name(enum recovery_phase phase)
{
	switch (phase) {
	case RECOVERY_PHASE_IDLE:
		return "idle";
	case RECOVERY_PHASE_RX:
		return "RX";
	case RECOVERY_PHASE_OWN:
		return "own processing";
	case RECOVERY_PHASE_TX:
		return "TX";
	}
	return "unknown";
}

/* What hung, and may go on doing so. */
static bool
is_hang(enum ka_cause cause)
{
	switch (cause) {
	case KA_CAUSE_HUNG:
	case KA_CAUSE_NOT_STARTED:
	case KA_CAUSE_SPINNING:
	case KA_CAUSE_BLOCKED:
	case KA_CAUSE_STOPPED:
		return true;
	default:
		return false;
	}
}

enum recovery_action
recovery_decide(enum recovery_policy policy, enum ka_cause cause, enum recovery_phase phase,
		bool has_returned)
{
	if (has_returned)
		return RECOVERY_RELAUNCH;
	if (policy == RECOVERY_REPORT || !is_hang(cause) || cause == KA_CAUSE_STOPPED)
		return RECOVERY_WATCH;
	if (policy == RECOVERY_ABORT)
		return RECOVERY_ABORT_NOW;
	if (phase == RECOVERY_PHASE_IDLE || phase == RECOVERY_PHASE_OWN)
		return RECOVERY_EVICT;
	return RECOVERY_WATCH;
}

/* ---- How often ---- */

/* now_ns and a pause, short of what means that it is given up. */
static uint64_t
moment(uint64_t now_ns, uint64_t pause_ns)
{
	const uint64_t last = RECOVERY_GIVEN_UP - 1;

	return now_ns > last - pause_ns ? last : now_ns + pause_ns;
}

uint64_t
recovery_ask(struct recovery_budget *budget, const struct recovery_limit *limit,
	     uint64_t launched_ns, uint64_t now_ns)
{
	if (limit->restarts == 0)
		budget->pause_ns = RECOVERY_GIVEN_UP;
	if (budget->pause_ns == RECOVERY_GIVEN_UP)
		return RECOVERY_GIVEN_UP;
	if (advance(launched_ns, now_ns) >= limit->window_ns)
		*budget = (struct recovery_budget){ 0 };

	if (budget->pause_ns == 0) {
		if (budget->used == 0 || advance(budget->begin_ns, now_ns) >= limit->window_ns) {
			budget->used = 0;
			budget->begin_ns = now_ns;
		}
		if (budget->used < limit->restarts) {
			budget->used++;
			return moment(now_ns, 0);
		}
		budget->pause_ns = RECOVERY_PAUSE_FIRST_NS;
	} else if (budget->pause_ns < RECOVERY_PAUSE_LAST_NS) {
		budget->pause_ns *= 2;
	} else {
		budget->pause_ns = RECOVERY_GIVEN_UP;
		return RECOVERY_GIVEN_UP;
	}
	return moment(now_ns, budget->pause_ns);
}

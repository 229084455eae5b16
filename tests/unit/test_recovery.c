/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The judgement of a silent worker by table, and on real threads; the ladder of decisions; the
 * budget by a fake clock.
 */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "recovery.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Between two pings. */
#define PERIOD_NS (5 * NS_PER_MS)

/* A real thread is judged anew until it is judged as it should be, for this long at most. */
#define DEADLINE_NS (60 * NS_PER_S)

/* ---- Texts of /proc ---- */

static void
the_state_stands_behind_the_last_bracket(void **state)
{
	static const struct {
		const char *text;
		char state;
	} rows[] = {
		{ "16771 (cat) R 16763 16763 15931 0 -1 4194304 110 0 0 0 0 0 0 0 20 0 1 0\n",
		  'R' },
		{ "26740 (sleep) S 26731 26731 15931 0 -1 4194304 136 0 0\n", 'S' },
		{ "912 (dpdk-worker1) D 900 912 840 34816 912 4194368 77 0 0 0\n", 'D' },
		{ "912 (dpdk-worker1) T 900 912 840 34816 912 4194368 77 0 0 0\n", 'T' },
		{ "912 (dpdk-worker1) t 900 912 840 34816 912 4194368 77 0 0 0\n", 't' },
		{ "912 (dpdk-worker1) Z 900 912 840 34816 912 4194368 77 0 0 0\n", 'Z' },
		{ "7 (a b) R 1 1\n", 'R' },
		{ "7 (a) S 1 (b) R 1 1\n", 'R' },
		{ "7 ()) D 1 1\n", 'D' },
		{ "7 ((() S 1 1\n", 'S' },
		{ "7 () R 1 1\n", 'R' },
		{ "7 () R (R) S 1 1\n", 'S' },
		{ "7 (a\nb) R 1 1\n", 'R' },
		/* Cut off. */
		{ "", '\0' },
		{ "\n", '\0' },
		{ "16771", '\0' },
		{ "16771 (ca", '\0' },
		{ "16771 (cat)", '\0' },
		{ "16771 (cat) ", '\0' },
		{ "16771 (cat) R", '\0' },
		{ "16771 (cat) R ", 'R' },
		{ "16771 (cat) S 26731 269", 'S' },
		/* Something else. */
		{ "16771 cat R 16763 16763\n", '\0' },
		{ "16771 (cat)R 16763\n", '\0' },
		{ "16771 (cat)  R 16763\n", '\0' },
		{ "16771 (cat) RS 16763\n", '\0' },
		{ "16771 (cat) 1 16763\n", '\0' },
		{ "16771 (cat) ) 16763\n", '\0' },
		{ "16771 (cat) \377 16763\n", '\0' },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char got = recovery_parse_stat(rows[i].text);

		if (got != rows[i].state)
			fail_msg("'%s': state '%c' (%d) instead of '%c'", rows[i].text, got, got,
				 rows[i].state);
	}
}

static void
the_delay_is_the_second_number(void **state)
{
	static const struct {
		const char *text;
		bool known;
		uint64_t delay_ns;
	} rows[] = {
		{ "656620 0 1\n", true, 0 },
		{ "1237390 1523209 1\n", true, 1523209 },
		{ "1237390 1523209\n", true, 1523209 },
		{ "1237390 1523209", true, 1523209 },
		{ "0 77 0\n", true, 77 },
		{ "  5  7  9\n", true, 7 },
		{ "18446744073709551615 18446744073709551615 1\n", true, UINT64_MAX },
		/* A kernel that does not count. */
		{ "0 0 0\n", false, 0 },
		/* Cut off, or something else. */
		{ "", false, 0 },
		{ "\n", false, 0 },
		{ "656620", false, 0 },
		{ "656620 ", false, 0 },
		{ "656620\n12\n", false, 0 },
		{ "656620 \n", false, 0 },
		{ "656620 -1 1\n", false, 0 },
		{ "656620 +1 1\n", false, 0 },
		{ "656620 x 1\n", false, 0 },
		{ "656620 1x 1\n", false, 0 },
		{ "656620 1.5 1\n", false, 0 },
		{ "x 1 1\n", false, 0 },
		{ "1 18446744073709551616 1\n", false, 0 },
		{ "18446744073709551616 1 1\n", false, 0 },
		{ "1 99999999999999999999999999 1\n", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const uint64_t untouched = 4711;
		uint64_t delay_ns = untouched;
		bool known = recovery_parse_schedstat(rows[i].text, &delay_ns);
		uint64_t want_ns = rows[i].known ? rows[i].delay_ns : untouched;

		if (known != rows[i].known || delay_ns != want_ns)
			fail_msg("'%s': %d, %ju", rows[i].text, (int)known, (uintmax_t)delay_ns);
	}
}

/* SIGUSR2, which is bit 11 of a mask. */
#define NUMBER 12

static void
a_thread_is_held_in_a_deep_sleep_with_the_signal_pending_and_not_blocked(void **state)
{
	static const struct {
		const char *text;
		bool held;
	} rows[] = {
		{ "Name:\ta\nState:\tD (disk sleep)\nSigPnd:\t0000000000000800\n"
		  "ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n",
		  true },
		{ "State: D\nSigPnd: ffffffffffffffff\nSigBlk: fffffffffffff7ff\n", true },
		/* Blocked. */
		{ "State:\tD (x)\nSigPnd:\t0000000000000800\nSigBlk:\t0000000000000800\n", false },
		/* Not pending, or for the whole process, which another thread may take. */
		{ "State:\tD (x)\nSigPnd:\t0000000000000400\nSigBlk:\t0000000000000000\n", false },
		{ "State:\tD (x)\nSigPnd:\t0\nShdPnd:\t0000000000000800\nSigBlk:\t0\n", false },
		/* In another state: it may execute something before the handler. */
		{ "State:\tR (running)\nSigPnd:\t0000000000000800\nSigBlk:\t0\n", false },
		{ "State:\tS (sleeping)\nSigPnd:\t0000000000000800\nSigBlk:\t0\n", false },
		{ "State:\tt (tracing stop)\nSigPnd:\t0000000000000800\nSigBlk:\t0\n", false },
		/* A kernel that does not tell what is blocked. */
		{ "State:\tD (disk sleep)\nSigPnd:\t0000000000000800\n", false },
		/* Cut off, or something else. */
		{ "", false },
		{ "State:", false },
		{ "State:\tD (x)\n", false },
		{ "State:\tD (x)\nSigPnd:", false },
		{ "State:\tD (x)\nSigPnd:\t?\n", false },
		{ "SigPnd:\t0000000000000800\n", false },
		{ "Name:\tState:\tD\nSigPnd:\t0000000000000800\n", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++)
		if (recovery_parse_held(rows[i].text, NUMBER) != rows[i].held)
			fail_msg("'%s': %s", rows[i].text, rows[i].held ? "not held" : "held");
}

static void
this_thread_is_not_held(void **state)
{
	(void)state;
	assert_false(recovery_is_held(gettid(), NUMBER));
	assert_false(recovery_is_held(-1, NUMBER));
}

/* ---- The judgement, by table ---- */

/* When the first sample of a row is taken. */
#define T0 (1000 * NS_PER_S)

/* Samples: the first at T0, the second so many us later, with so many us of CPU in between. */
#define AFTER(us, ran_us, letter)                                                                  \
	{ .wall_ns = T0, .cpu_known = true, .cpu_ns = 70, .state = 'R' },                          \
	{                                                                                          \
		.wall_ns = T0 + UINT64_C(us) * 1000, .cpu_known = true,                            \
		.cpu_ns = 70 + UINT64_C(ran_us) * 1000, .state = (letter)                          \
	}

/* The second 10 ms later; without a CPU clock in the first sample, in the second, or in both. */
#define NO_CLOCK(in_first, in_second, letter)                                                      \
	{ .wall_ns = T0, .cpu_known = !(in_first), .state = 'R' },                                 \
	{                                                                                          \
		.wall_ns = T0 + 10 * NS_PER_MS, .cpu_known = !(in_second), .cpu_ns = NS_PER_S,     \
		.state = (letter)                                                                  \
	}

/* What else is known: any of these. */
#define RETURNED 1
#define UNMARKED 2
#define OVERDUE 4

static const struct {
	const char *name;
	int flags;
	struct recovery_sample first, now;
	enum recovery_verdict verdict;
	enum ka_cause cause;
} judgements[] = {
	{ "returned", RETURNED, AFTER(0, 0, 'S'), RECOVERY_DEAD, KA_CAUSE_EXITED },
	{ "returned, and blocked in the launcher's pipe", RETURNED, AFTER(10000, 0, 'S'),
	  RECOVERY_DEAD, KA_CAUSE_EXITED },
	{ "returned, and stopped", RETURNED, AFTER(10000, 0, 'T'), RECOVERY_DEAD, KA_CAUSE_EXITED },
	{ "returned, and starved", RETURNED, AFTER(10000, 0, 'R'), RECOVERY_DEAD, KA_CAUSE_EXITED },

	{ "spinning", 0, AFTER(5000, 5000, 'R'), RECOVERY_DEAD, KA_CAUSE_SPINNING },
	{ "spinning, half of the time", 0, AFTER(5000, 2500, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_SPINNING },
	{ "spinning, half of a short time", 0, AFTER(2500, 1250, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_SPINNING },
	{ "robbed of a little more than half", 0, AFTER(5000, 2499, 'R'), RECOVERY_STARVED,
	  KA_CAUSE_STARVED },
	{ "spinning, a whole period in a long time", 0, AFTER(300000, 5000, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_SPINNING },
	{ "a little less than a period in a long time", 0, AFTER(300000, 4999, 'R'),
	  RECOVERY_STARVED, KA_CAUSE_STARVED },
	{ "spinning, asleep by chance", 0, AFTER(10000, 9000, 'S'), RECOVERY_DEAD,
	  KA_CAUSE_SPINNING },
	{ "spinning, state not known", 0, AFTER(10000, 9000, '\0'), RECOVERY_DEAD,
	  KA_CAUSE_SPINNING },
	{ "more CPU than time", 0, AFTER(5000, 6000, 'R'), RECOVERY_DEAD, KA_CAUSE_SPINNING },

	{ "blocked", 0, AFTER(5000, 0, 'S'), RECOVERY_DEAD, KA_CAUSE_BLOCKED },
	{ "blocked in disk wait", 0, AFTER(5000, 0, 'D'), RECOVERY_DEAD, KA_CAUSE_BLOCKED },
	{ "blocked after a little work", 0, AFTER(10000, 1000, 'S'), RECOVERY_DEAD,
	  KA_CAUSE_BLOCKED },
	{ "blocked, no clock", 0, NO_CLOCK(true, true, 'S'), RECOVERY_DEAD, KA_CAUSE_BLOCKED },

	{ "stopped", 0, AFTER(5000, 0, 'T'), RECOVERY_DEAD, KA_CAUSE_STOPPED },
	{ "traced", 0, AFTER(5000, 0, 't'), RECOVERY_DEAD, KA_CAUSE_STOPPED },
	{ "stopped after it span", 0, AFTER(10000, 6000, 'T'), RECOVERY_DEAD, KA_CAUSE_STOPPED },
	{ "stopped, at a glance", 0, AFTER(0, 0, 't'), RECOVERY_DEAD, KA_CAUSE_STOPPED },

	{ "starved", 0, AFTER(5000, 0, 'R'), RECOVERY_STARVED, KA_CAUSE_STARVED },
	{ "starved for long", 0, AFTER(86400000000, 0, 'R'), RECOVERY_STARVED, KA_CAUSE_STARVED },

	{ "a glance at one that runs", 0, AFTER(0, 0, 'R'), RECOVERY_WAIT, KA_CAUSE_NONE },
	{ "a glance at one that sleeps", 0, AFTER(20, 0, 'S'), RECOVERY_WAIT, KA_CAUSE_NONE },
	{ "a glance at one that got its CPU back", 0, AFTER(20, 20, 'R'), RECOVERY_WAIT,
	  KA_CAUSE_NONE },
	{ "a little less than half a period", 0, AFTER(2499, 2499, 'R'), RECOVERY_WAIT,
	  KA_CAUSE_NONE },
	{ "a glance, nothing known", 0, AFTER(1000, 0, '\0'), RECOVERY_WAIT, KA_CAUSE_NONE },

	{ "nothing known", 0, NO_CLOCK(true, true, '\0'), RECOVERY_DEAD, KA_CAUSE_HUNG },
	{ "runnable, no clock", 0, NO_CLOCK(true, true, 'R'), RECOVERY_DEAD, KA_CAUSE_HUNG },
	{ "runnable, clock in the second only", 0, NO_CLOCK(true, false, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_HUNG },
	{ "runnable, clock in the first only", 0, NO_CLOCK(false, true, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_HUNG },
	{ "did not run, state not known", 0, AFTER(10000, 0, '\0'), RECOVERY_DEAD, KA_CAUSE_HUNG },
	{ "a zombie", 0, AFTER(10000, 0, 'Z'), RECOVERY_DEAD, KA_CAUSE_HUNG },
	{ "a state of a later kernel", 0, AFTER(10000, 0, 'Q'), RECOVERY_DEAD, KA_CAUSE_HUNG },

	{ "not yet begun", UNMARKED, AFTER(10000, 10000, 'R'), RECOVERY_WAIT, KA_CAUSE_NONE },
	{ "not yet begun, asleep", UNMARKED, AFTER(10000, 0, 'S'), RECOVERY_WAIT, KA_CAUSE_NONE },
	{ "not yet begun, stopped", UNMARKED, AFTER(10000, 0, 'T'), RECOVERY_WAIT, KA_CAUSE_NONE },
	{ "not yet begun, returned", UNMARKED | RETURNED, AFTER(10000, 0, 'S'), RECOVERY_WAIT,
	  KA_CAUSE_NONE },
	{ "overdue, returned", UNMARKED | OVERDUE | RETURNED, AFTER(0, 0, 'S'), RECOVERY_DEAD,
	  KA_CAUSE_NOT_STARTED },
	{ "overdue, spinning", UNMARKED | OVERDUE, AFTER(10000, 10000, 'R'), RECOVERY_DEAD,
	  KA_CAUSE_NOT_STARTED },
	{ "overdue, blocked", UNMARKED | OVERDUE, AFTER(10000, 0, 'S'), RECOVERY_DEAD,
	  KA_CAUSE_NOT_STARTED },
	{ "overdue, stopped", UNMARKED | OVERDUE, AFTER(10000, 0, 'T'), RECOVERY_DEAD,
	  KA_CAUSE_NOT_STARTED },
	{ "overdue, nothing known", UNMARKED | OVERDUE, NO_CLOCK(true, true, '\0'), RECOVERY_DEAD,
	  KA_CAUSE_NOT_STARTED },
	{ "overdue, starved", UNMARKED | OVERDUE, AFTER(10000, 0, 'R'), RECOVERY_STARVED,
	  KA_CAUSE_STARVED },
	{ "overdue, a glance", UNMARKED | OVERDUE, AFTER(0, 0, 'R'), RECOVERY_WAIT, KA_CAUSE_NONE },
};

static void
expect_judgement(const char *name, const struct recovery_evidence *evidence,
		 enum recovery_verdict verdict, enum ka_cause want)
{
	enum ka_cause cause = (enum ka_cause)4711;
	enum recovery_verdict got = recovery_judge(evidence, &cause);

	if (got != verdict || cause != want)
		fail_msg("%s: verdict %d, cause %d (%s), instead of %d, %d", name, (int)got,
			 (int)cause, recovery_cause_name(cause), (int)verdict, (int)want);
}

static void
every_evidence_has_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(judgements); i++) {
		const struct recovery_evidence evidence = {
			.has_returned = (judgements[i].flags & RETURNED) != 0,
			.never_marked = (judgements[i].flags & UNMARKED) != 0,
			.start_overdue = (judgements[i].flags & OVERDUE) != 0,
			.period_ns = PERIOD_NS,
			.first = judgements[i].first,
			.now = judgements[i].now,
			.probed_ns = judgements[i].first.wall_ns,
			.answered_ns = judgements[i].first.wall_ns,
		};

		expect_judgement(judgements[i].name, &evidence, judgements[i].verdict,
				 judgements[i].cause);
	}
}

/* A hypervisor that took the CPU away has not told the guest yet: its clock runs on. */
static void
a_thread_that_seems_to_run_but_gives_no_sign_is_starved(void **state)
{
	static const struct {
		const char *name;
		uint64_t probed_us, answered_us, now_us;
		char state;
		enum recovery_verdict verdict;
		enum ka_cause cause;
	} rows[] = {
		{ "not asked", 0, 0, 10000, 'R', RECOVERY_WAIT, KA_CAUSE_NONE },
		{ "no sign", 1, 0, 10000, 'R', RECOVERY_STARVED, KA_CAUSE_STARVED },
		{ "no sign for long", 1, 0, 1000000, 'R', RECOVERY_STARVED, KA_CAUSE_STARVED },
		{ "no sign for ever", 1, 0, 1000001, 'R', RECOVERY_DEAD, KA_CAUSE_SPINNING },
		{ "a sign just now", 1, 9000, 10000, 'R', RECOVERY_WAIT, KA_CAUSE_NONE },
		{ "a sign", 1, 5000, 10000, 'R', RECOVERY_DEAD, KA_CAUSE_SPINNING },
		{ "a sign after now", 1, 10001, 10000, 'R', RECOVERY_WAIT, KA_CAUSE_NONE },
		{ "off its CPU", 1, 0, 10000, 'S', RECOVERY_DEAD, KA_CAUSE_SPINNING },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		const struct recovery_evidence evidence = {
			.period_ns = PERIOD_NS,
			.first = { .wall_ns = 1000, .cpu_known = true, .state = 'R' },
			.now = { .wall_ns = rows[i].now_us * 1000,
				 .cpu_known = true,
				 .cpu_ns = rows[i].now_us * 1000,
				 .state = rows[i].state },
			.probed_ns = rows[i].probed_us * 1000,
			.answered_ns = rows[i].answered_us * 1000,
		};

		expect_judgement(rows[i].name, &evidence, rows[i].verdict, rows[i].cause);
	}
}

static void
clocks_at_the_ends_of_their_range_are_no_guess(void **state)
{
	struct recovery_evidence evidence = {
		.period_ns = UINT64_MAX,
		.first = { .wall_ns = 0, .cpu_known = true },
		.now = { .wall_ns = UINT64_MAX, .cpu_known = true, .state = 'R' },
		.probed_ns = 1,
		.answered_ns = 1,
	};

	(void)state;
	expect_judgement("no CPU", &evidence, RECOVERY_STARVED, KA_CAUSE_STARVED);
	evidence.now.cpu_ns = UINT64_MAX;
	expect_judgement("all CPU", &evidence, RECOVERY_DEAD, KA_CAUSE_SPINNING);
	evidence.period_ns = 1;
	evidence.now.wall_ns = 1;
	evidence.answered_ns = 1;
	expect_judgement("shortest period", &evidence, RECOVERY_DEAD, KA_CAUSE_SPINNING);
	evidence.now.wall_ns = 0;
	expect_judgement("no time", &evidence, RECOVERY_WAIT, KA_CAUSE_NONE);
	/* Clocks that went backwards say nothing. */
	evidence.first.wall_ns = 1;
	expect_judgement("wall clock went backwards", &evidence, RECOVERY_WAIT, KA_CAUSE_NONE);
	evidence.now.wall_ns = 100;
	evidence.first.cpu_ns = 2;
	evidence.now.cpu_ns = 1;
	expect_judgement("CPU clock went backwards", &evidence, RECOVERY_DEAD, KA_CAUSE_HUNG);
}

static void
every_cause_and_phase_has_its_name(void **state)
{
	static const char *const causes[] = { "cause not known", "exited",   "hung",
					      "not started",	 "spinning", "blocked",
					      "stopped",	 "starved",  "crashed",
					      "cause not known" };
	static const char *const phases[] = { "idle", "RX", "own processing", "TX", "unknown" };

	(void)state;
	for (size_t i = 0; i < LENGTH(causes); i++)
		assert_string_equal(recovery_cause_name((enum ka_cause)i), causes[i]);
	for (size_t i = 0; i < LENGTH(phases); i++)
		assert_string_equal(recovery_phase_name((enum recovery_phase)i), phases[i]);
}

/* ---- Real threads ---- */

/* What a thread of this test does. */
enum doing {
	SPIN,
	SLEEP,
	WAIT
};

struct worker {
	pthread_t thread;
	enum doing doing;
	int cpu; /* Pinned there; -1 = not. */
	int policy;
	_Atomic int tid;    /* 0 = not there yet. */
	_Atomic bool ready; /* About to do what it does. */
	_Atomic uint32_t stop;
};

static uint64_t
now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/* Between two looks at something that is waited for with a deadline. */
static void
pause_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static void *
work(void *argument)
{
	struct worker *worker = argument;
	const struct sched_param param = { 0 };
	cpu_set_t set;

	/* A name that would lead a careless reader of stat astray. */
	prctl(PR_SET_NAME, "x) S 1 (y) T 1");
	if (worker->cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((unsigned int)worker->cpu, &set);
		pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	}
	pthread_setschedparam(pthread_self(), worker->policy, &param);
	atomic_store(&worker->tid, (int)syscall(SYS_gettid));
	atomic_store(&worker->ready, true);
	while (atomic_load_explicit(&worker->stop, memory_order_relaxed) == 0) {
		if (worker->doing == SLEEP)
			nanosleep(&(struct timespec){ .tv_sec = 3600 }, NULL);
		else if (worker->doing == WAIT)
			syscall(SYS_futex, &worker->stop, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	}
	return NULL;
}

static void
await(const _Atomic bool *condition, const char *what)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	while (!atomic_load(condition)) {
		if (now_ns() > deadline_ns)
			fail_msg("%s: not within the deadline", what);
		pause_a_little();
	}
}

static void
begin(struct worker *worker, enum doing doing, int cpu, int policy)
{
	*worker = (struct worker){ .doing = doing, .cpu = cpu, .policy = policy };
	assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
	await(&worker->ready, "start of a thread");
}

/* A sleep is ended by cancelling the thread, the rest by its flag. */
static void
end(struct worker *worker)
{
	atomic_store(&worker->stop, 1);
	if (worker->doing == SLEEP)
		pthread_cancel(worker->thread);
	else if (worker->doing == WAIT)
		syscall(SYS_futex, &worker->stop, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	assert_int_equal(pthread_join(worker->thread, NULL), 0);
}

static void
look(struct worker *worker, struct recovery_sample *sample)
{
	memset(sample, 0xa5, sizeof(*sample));
	recovery_sample(sample, worker->thread, (pid_t)atomic_load(&worker->tid));
	assert_true(sample->cpu_known);
	assert_true(isalpha((unsigned char)sample->state));
}

/* Judge a thread once, by two samples that are a period apart. */
static enum ka_cause
judge(struct worker *worker, struct recovery_evidence *evidence)
{
	enum ka_cause cause;

	*evidence = (struct recovery_evidence){ .period_ns = PERIOD_NS };
	look(worker, &evidence->first);
	evidence->probed_ns = evidence->answered_ns = evidence->first.wall_ns;
	do {
		pause_a_little();
		look(worker, &evidence->now);
	} while (evidence->now.wall_ns - evidence->first.wall_ns < PERIOD_NS);
	assert_true(recovery_judge(evidence, &cause) != RECOVERY_WAIT);
	return cause;
}

/*
 * Judge it until it is judged as it should be. On a machine with much to do any thread that wants
 * to run may be starved for a while, and this is the one other verdict that is right.
 */
static void
expect_cause(struct worker *worker, enum ka_cause want, struct recovery_evidence *evidence)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	for (;;) {
		enum ka_cause cause = judge(worker, evidence);

		if (cause == want)
			return;
		if ((cause != KA_CAUSE_STARVED && want != KA_CAUSE_STARVED) ||
		    now_ns() > deadline_ns)
			fail_msg("judged %s instead of %s: state %c, %ju ns of CPU in %ju ns",
				 recovery_cause_name(cause), recovery_cause_name(want),
				 evidence->now.state,
				 (uintmax_t)(evidence->now.cpu_ns - evidence->first.cpu_ns),
				 (uintmax_t)(evidence->now.wall_ns - evidence->first.wall_ns));
	}
}

static void
a_thread_that_spins_is_spinning(void **state)
{
	struct recovery_evidence evidence;
	struct worker worker;

	(void)state;
	begin(&worker, SPIN, -1, SCHED_OTHER);
	expect_cause(&worker, KA_CAUSE_SPINNING, &evidence);
	assert_int_equal(evidence.now.state, 'R');
	assert_string_equal(evidence.now.wchan, "");
	end(&worker);
}

/* A file of a thread in /proc; "" where it cannot be read. */
static void
read_file(struct worker *worker, const char *file, char text[256])
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", atomic_load(&worker->tid), file);
	fd = open(path, O_RDONLY);
	length = fd < 0 ? 0 : read(fd, text, 255);
	text[length > 0 ? length : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

/* What a sample holds of a thread that sleeps, and so does not change, is what /proc says. */
static void
expect_rest_of_sample(struct worker *worker, const struct recovery_sample *sample)
{
	uintmax_t ran_ns = 0, delay_ns = 0;
	char text[256];

	read_file(worker, "schedstat", text);
	sscanf(text, "%ju %ju", &ran_ns, &delay_ns);
	assert_int_equal(sample->delay_known, ran_ns != 0);
	assert_int_equal(sample->delay_ns, delay_ns);

	read_file(worker, "wchan", text);
	print_message("    it waits in '%s'\n", text);
	assert_string_equal(sample->wchan, strcmp(text, "0") == 0 ? "" : text);
}

static void
a_thread_that_sleeps_or_waits_is_blocked(void **state)
{
	static const enum doing doings[] = { SLEEP, WAIT };

	(void)state;
	for (size_t i = 0; i < LENGTH(doings); i++) {
		struct recovery_evidence evidence;
		struct worker worker;

		begin(&worker, doings[i], -1, SCHED_OTHER);
		expect_cause(&worker, KA_CAUSE_BLOCKED, &evidence);
		assert_int_equal(evidence.now.state, 'S');
		expect_rest_of_sample(&worker, &evidence.now);
		end(&worker);
	}
}

/* A CPU that this process may use; the last one, since the first has most to do. */
static int
any_cpu(void)
{
	int cpu = CPU_SETSIZE - 1;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	while (cpu > 0 && !CPU_ISSET((unsigned int)cpu, &set))
		cpu--;
	return cpu;
}

static void
a_thread_whose_cpu_is_taken_is_starved_and_its_delay_is_booked(void **state)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	const int cpu = any_cpu();
	struct recovery_evidence evidence;
	struct recovery_sample later;
	struct worker worker, hog;

	(void)state;
	begin(&worker, SPIN, cpu, SCHED_IDLE);
	begin(&hog, SPIN, cpu, SCHED_OTHER);
	expect_cause(&worker, KA_CAUSE_STARVED, &evidence);
	assert_int_equal(evidence.now.state, 'R');
	end(&hog);

	/* It spins, and is found to do so as soon as it can. */
	expect_cause(&worker, KA_CAUSE_SPINNING, &(struct recovery_evidence){ 0 });
	while (evidence.first.delay_known) {
		look(&worker, &later);
		if (later.delay_ns >= evidence.first.delay_ns + PERIOD_NS / 2)
			break;
		if (now_ns() > deadline_ns)
			fail_msg("delay %ju ns, then %ju ns", (uintmax_t)evidence.first.delay_ns,
				 (uintmax_t)later.delay_ns);
		pause_a_little();
	}
	end(&worker);
}

/*
 * Child of the test: stop one thread of the parent, say 'y' or 'n', and let it go on at the end of
 * the pipe. System calls only, since the parent has several threads.
 */
static void
trace(pid_t tid, int told, int until)
{
	char answer = 'n';
	int status;

	if (ptrace(PTRACE_ATTACH, tid, NULL, NULL) == 0 && waitpid(tid, &status, __WALL) == tid)
		answer = 'y';
	if (write(told, &answer, 1) == 1)
		while (read(until, &answer, 1) > 0)
			;
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	_exit(0);
}

static void
a_thread_that_is_traced_is_stopped(void **state)
{
	struct recovery_evidence evidence;
	int told[2], until[2], status;
	struct worker worker;
	char answer = '?';
	pid_t child;

	(void)state;
	begin(&worker, SPIN, -1, SCHED_OTHER);
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(until), 0);
	/* Where Yama is, a child may not trace its parent without leave. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(until[1]);
		trace((pid_t)atomic_load(&worker.tid), told[1], until[0]);
	}
	close(told[1]);
	close(until[0]);
	assert_int_equal(read(told[0], &answer, 1), 1);
	if (answer == 'y')
		expect_cause(&worker, KA_CAUSE_STOPPED, &evidence);
	close(until[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(told[0]);
	if (answer == 'y')
		expect_cause(&worker, KA_CAUSE_SPINNING, &evidence);
	end(&worker);
	if (answer != 'y')
		skip();
}

static void
what_proc_does_not_tell_is_not_known(void **state)
{
	struct recovery_sample sample;
	const uint64_t before_ns = now_ns();

	(void)state;
	memset(&sample, 0xa5, sizeof(sample));
	/* Above the highest number that a thread can have. */
	recovery_sample(&sample, pthread_self(), 1 << 30);
	assert_true(sample.wall_ns >= before_ns && sample.wall_ns <= now_ns());
	assert_true(sample.cpu_known && sample.cpu_ns != 0);
	assert_int_equal(sample.state, '\0');
	assert_false(sample.delay_known);
	assert_int_equal(sample.delay_ns, 0);
	assert_string_equal(sample.wchan, "");
}

/* ---- The ladder ---- */

/*
 * By policy, cause and phase (idle, RX, own, TX), for a worker that has not returned:
 * e = evict, w = watch, a = abort.
 */
static const char *const ladder[][9] = {
	[RECOVERY_REPORT] = {
		[KA_CAUSE_NONE] = "wwww",
		[KA_CAUSE_EXITED] = "wwww",
		[KA_CAUSE_HUNG] = "wwww",
		[KA_CAUSE_NOT_STARTED] = "wwww",
		[KA_CAUSE_SPINNING] = "wwww",
		[KA_CAUSE_BLOCKED] = "wwww",
		[KA_CAUSE_STOPPED] = "wwww",
		[KA_CAUSE_STARVED] = "wwww",
		[KA_CAUSE_CRASHED] = "wwww",
	},
	[RECOVERY_RESPAWN] = {
		[KA_CAUSE_NONE] = "wwww",
		[KA_CAUSE_EXITED] = "wwww",
		[KA_CAUSE_HUNG] = "ewew",
		[KA_CAUSE_NOT_STARTED] = "ewew",
		[KA_CAUSE_SPINNING] = "ewew",
		[KA_CAUSE_BLOCKED] = "ewew",
		[KA_CAUSE_STOPPED] = "wwww",
		[KA_CAUSE_STARVED] = "wwww",
		[KA_CAUSE_CRASHED] = "wwww",
	},
	[RECOVERY_ABORT] = {
		[KA_CAUSE_NONE] = "wwww",
		[KA_CAUSE_EXITED] = "wwww",
		[KA_CAUSE_HUNG] = "aaaa",
		[KA_CAUSE_NOT_STARTED] = "aaaa",
		[KA_CAUSE_SPINNING] = "aaaa",
		[KA_CAUSE_BLOCKED] = "aaaa",
		[KA_CAUSE_STOPPED] = "wwww",
		[KA_CAUSE_STARVED] = "wwww",
		[KA_CAUSE_CRASHED] = "wwww",
	},
};

static void
expect_action(int policy, int cause, int phase, bool has_returned, char want)
{
	static const char letters[] = {
		[RECOVERY_RELAUNCH] = 'r',
		[RECOVERY_EVICT] = 'e',
		[RECOVERY_WATCH] = 'w',
		[RECOVERY_ABORT_NOW] = 'a',
	};
	enum recovery_action got =
		recovery_decide((enum recovery_policy)policy, (enum ka_cause)cause,
				(enum recovery_phase)phase, has_returned);

	if (letters[got] != want)
		fail_msg("policy %d, %s, %s, %s: %c instead of %c", policy,
			 recovery_cause_name((enum ka_cause)cause),
			 recovery_phase_name((enum recovery_phase)phase),
			 has_returned ? "returned" : "in its loop", letters[got], want);
}

static void
the_ladder_is_complete(void **state)
{
	(void)state;
	for (int policy = 0; policy < (int)LENGTH(ladder); policy++)
		for (int cause = 0; cause < (int)LENGTH(ladder[0]); cause++)
			for (int phase = 0; phase < 4; phase++) {
				expect_action(policy, cause, phase, false,
					      ladder[policy][cause][phase]);
				expect_action(policy, cause, phase, true, 'r');
			}
}

static void
a_phase_that_is_not_known_is_not_left(void **state)
{
	(void)state;
	expect_action(RECOVERY_RESPAWN, KA_CAUSE_SPINNING, RECOVERY_PHASE_TX + 1, false, 'w');
	expect_action(RECOVERY_RESPAWN, KA_CAUSE_SPINNING, INT32_MAX, false, 'w');
	expect_action(RECOVERY_RESPAWN, KA_CAUSE_CRASHED + 1, RECOVERY_PHASE_OWN, false, 'w');
}

/* ---- The budget, by a fake clock ---- */

static const struct recovery_limit five_a_second = { .restarts = 5, .window_ns = NS_PER_S };

static void
expect_ns(uint64_t got, uint64_t want, const char *what)
{
	if (got != want)
		fail_msg("%s: %ju instead of %ju", what, (uintmax_t)got, (uintmax_t)want);
}

/*
 * A worker that dies so long after each launch; expect these pauses before its launches, in
 * microseconds, -1 for given up. Returns the moment of the last launch.
 */
static uint64_t
expect_pauses(struct recovery_budget *budget, const struct recovery_limit *limit, uint64_t clock_ns,
	      uint64_t life_ns, const long *pauses_us, size_t nb)
{
	for (size_t i = 0; i < nb; i++) {
		const uint64_t died_ns = clock_ns + life_ns;
		const uint64_t got = recovery_ask(budget, limit, clock_ns, died_ns);
		char what[32];

		snprintf(what, sizeof(what), "launch %zu", i + 1);
		if (pauses_us[i] < 0) {
			expect_ns(got, RECOVERY_GIVEN_UP, what);
			continue;
		}
		expect_ns(got, died_ns + (uint64_t)pauses_us[i] * 1000, what);
		clock_ns = got;
	}
	return clock_ns;
}

#define EXPECT_PAUSES(budget, limit, clock_ns, life_ns, ...)                                       \
	expect_pauses((budget), (limit), (clock_ns), (life_ns), (const long[]){ __VA_ARGS__ },     \
		      LENGTH(((const long[]){ __VA_ARGS__ })))

/* Clocks that a budget must not care about. */
static const uint64_t clocks[] = { 0, 1, 12345 * NS_PER_S, UINT64_MAX / 2 };

static void
beyond_the_budget_the_pauses_grow_and_then_it_is_given_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(clocks); i++) {
		struct recovery_budget budget = { 0 };

		EXPECT_PAUSES(&budget, &five_a_second, clocks[i], NS_PER_MS, 0, 0, 0, 0, 0, 62500,
			      125000, 250000, 500000, 1000000, -1, -1);
		budget = (struct recovery_budget){ 0 };
		EXPECT_PAUSES(&budget, &five_a_second, clocks[i], 0, 0, 0, 0, 0, 0, 62500, 125000,
			      250000, 500000, 1000000, -1, -1);
	}
}

static void
deaths_within_the_budget_never_wait(void **state)
{
	struct recovery_budget budget = { 0 };

	(void)state;
	/* Every 201 ms: the sixth is in another second. */
	EXPECT_PAUSES(&budget, &five_a_second, 77, 201 * NS_PER_MS, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		      0, 0, 0, 0, 0);
	/* Every 199 ms it is not. */
	budget = (struct recovery_budget){ 0 };
	EXPECT_PAUSES(&budget, &five_a_second, 77, 199 * NS_PER_MS, 0, 0, 0, 0, 0, 62500, 125000);
}

static void
who_lived_a_window_begins_anew(void **state)
{
	struct recovery_budget budget = { 0 };
	uint64_t launched_ns;

	(void)state;
	/* From within the pauses; a nanosecond less is not enough. */
	launched_ns =
		EXPECT_PAUSES(&budget, &five_a_second, 50, NS_PER_MS, 0, 0, 0, 0, 0, 62500, 125000);
	launched_ns =
		EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_S - 1, 250000, 500000);
	launched_ns = EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_S, 0, 0, 0, 0, 0,
				    0, 0, 0);
	launched_ns = EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_MS, 0, 0, 0, 0,
				    62500, 125000, 250000, 500000, 1000000);
	/* From the last pause. */
	launched_ns = EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_S, 0);
	EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_MS, 0, 0, 0, 0, 62500);
}

static void
who_is_given_up_stays_so(void **state)
{
	static const struct recovery_limit one = { .restarts = 1, .window_ns = NS_PER_S };
	struct recovery_budget budget = { 0 };
	uint64_t launched_ns;

	(void)state;
	launched_ns = EXPECT_PAUSES(&budget, &one, 50, NS_PER_MS, 0, 62500, 125000, 250000, 500000,
				    1000000, -1);
	EXPECT_PAUSES(&budget, &five_a_second, launched_ns, 1000 * NS_PER_S, -1, -1);
	/* A first launch, all 0, is all that it takes to begin anew. */
	budget = (struct recovery_budget){ 0 };
	EXPECT_PAUSES(&budget, &five_a_second, launched_ns, NS_PER_MS, 0);
}

static void
a_budget_of_none_gives_up_at_once(void **state)
{
	static const struct recovery_limit none = { .restarts = 0, .window_ns = NS_PER_S };
	struct recovery_budget budget = { 0 };

	(void)state;
	EXPECT_PAUSES(&budget, &none, 50, NS_PER_MS, -1, -1);
	budget = (struct recovery_budget){ 0 };
	EXPECT_PAUSES(&budget, &none, 50, 5 * NS_PER_S, -1, -1);
}

static void
huge_values_do_not_overflow(void **state)
{
	static const struct recovery_limit all = { .restarts = UINT64_MAX,
						   .window_ns = UINT64_MAX };
	static const struct recovery_limit one = { .restarts = 1, .window_ns = UINT64_MAX };
	static const struct recovery_limit shortest = { .restarts = 1, .window_ns = 1 };
	struct recovery_budget budget = { 0 };

	(void)state;
	EXPECT_PAUSES(&budget, &all, 0, UINT64_MAX / 64, 0, 0, 0, 0, 0, 0, 0, 0);
	budget.used = UINT64_MAX - 1;
	EXPECT_PAUSES(&budget, &all, UINT64_MAX / 2, NS_PER_MS, 0, 62500, 125000);

	/* At the end of time it is launched as late as can be, and is not given up for it. */
	budget = (struct recovery_budget){ 0 };
	expect_ns(recovery_ask(&budget, &one, 5, UINT64_MAX), UINT64_MAX - 1, "now");
	expect_ns(recovery_ask(&budget, &one, 5, UINT64_MAX - 2), UINT64_MAX - 1, "a pause");
	expect_ns(recovery_ask(&budget, &one, 5, UINT64_MAX - 1 - 125000000), UINT64_MAX - 1,
		  "a pause up to the end");
	expect_ns(recovery_ask(&budget, &one, 5, UINT64_MAX - 2 - 250000000), UINT64_MAX - 2,
		  "a pause just before the end");

	/* A launch that lies in the future is no long life. */
	budget = (struct recovery_budget){ 0 };
	expect_ns(recovery_ask(&budget, &shortest, 100, 50), 50, "launched in the future");
	expect_ns(recovery_ask(&budget, &shortest, 100, 50), 50 + RECOVERY_PAUSE_FIRST_NS,
		  "launched in the future, again");
	expect_ns(recovery_ask(&budget, &shortest, 100, 101), 101, "lived for a nanosecond");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_state_stands_behind_the_last_bracket),
		cmocka_unit_test(the_delay_is_the_second_number),
		cmocka_unit_test(
			a_thread_is_held_in_a_deep_sleep_with_the_signal_pending_and_not_blocked),
		cmocka_unit_test(this_thread_is_not_held),
		cmocka_unit_test(every_evidence_has_its_verdict),
		cmocka_unit_test(a_thread_that_seems_to_run_but_gives_no_sign_is_starved),
		cmocka_unit_test(clocks_at_the_ends_of_their_range_are_no_guess),
		cmocka_unit_test(every_cause_and_phase_has_its_name),
		cmocka_unit_test(a_thread_that_spins_is_spinning),
		cmocka_unit_test(a_thread_that_sleeps_or_waits_is_blocked),
		cmocka_unit_test(a_thread_whose_cpu_is_taken_is_starved_and_its_delay_is_booked),
		cmocka_unit_test(a_thread_that_is_traced_is_stopped),
		cmocka_unit_test(what_proc_does_not_tell_is_not_known),
		cmocka_unit_test(the_ladder_is_complete),
		cmocka_unit_test(a_phase_that_is_not_known_is_not_left),
		cmocka_unit_test(beyond_the_budget_the_pauses_grow_and_then_it_is_given_up),
		cmocka_unit_test(deaths_within_the_budget_never_wait),
		cmocka_unit_test(who_lived_a_window_begins_anew),
		cmocka_unit_test(who_is_given_up_stays_so),
		cmocka_unit_test(a_budget_of_none_gives_up_at_once),
		cmocka_unit_test(huge_values_do_not_overflow),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}

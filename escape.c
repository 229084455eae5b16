/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "escape.h"
#include "forward.h"
#include "output.h"
#include "recovery.h"

/* Free for applications; DPDK's drivers use real-time signals. */
#define ESCAPE_SIGNAL SIGUSR2

#define STACK_FRAMES_MAX 32

/* A crashing worker waits so long for stderr to take its stack. */
#define LAST_WORDS_MS 100

/* A handler is given no pointer of ours. */
static _Thread_local struct forward_lcore *self;
static _Thread_local bool crashing;
static _Atomic(escape_crash_fn) crash_callback;
static void *_Atomic crash_data;
static _Atomic unsigned int nb_telling; /* Crashing workers that may be in the callback. */

static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };

static bool
may_leave(const struct forward_lcore *worker)
{
	uint32_t phase = atomic_load_explicit(&worker->phase, memory_order_relaxed);

	return phase == RECOVERY_PHASE_IDLE || phase == RECOVERY_PHASE_OWN;
}

/* Whether it gave no heartbeat since the one after which it was asked. */
static bool
is_silent(const struct forward_lcore *worker)
{
	return atomic_load_explicit(&worker->beat_tsc, memory_order_relaxed) ==
	       atomic_load_explicit(&worker->escape.beat_tsc, memory_order_relaxed);
}

/* ---- In the worker's thread ---- */

/* Writes by itself and without malloc(). */
static void
write_stack(int fd)
{
	void *frames[STACK_FRAMES_MAX];
	int nb = backtrace(frames, STACK_FRAMES_MAX);

	backtrace_symbols_fd(frames, nb, fd);
}

/*
 * What is in the log's pipe may die with the thread that carries it on, so last words go to stderr
 * itself; but not where it has been blocked for some time, for that would hold up the end.
 */
static int
descriptor_of_last_words(void)
{
	struct pollfd err = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&err, 1, LAST_WORDS_MS) == 1 && (err.revents & POLLOUT) != 0)
		return STDERR_FILENO;
	return output_log_descriptor();
}

static void
on_ask(int number)
{
	struct forward_lcore *worker = self;
	int error = errno;
	uint32_t want;

	(void)number;
	if (worker == NULL || !atomic_load_explicit(&worker->escape.open, memory_order_relaxed))
		return;
	atomic_store_explicit(&worker->escape.answered_ns, ka_shm_now_ns(), memory_order_relaxed);
	want = atomic_exchange_explicit(&worker->escape.want, ESCAPE_NOTHING, memory_order_acquire);
	if (want == ESCAPE_NOTHING || ((want & ESCAPE_ANYHOW) == 0 && !is_silent(worker)))
		return;
	if ((want & ESCAPE_EVIDENCE) != 0)
		write_stack(output_log_descriptor()); /* Which never blocks. */
	if ((want & ESCAPE_LEAVE) != 0 && may_leave(worker)) {
		escape_close(worker);
		siglongjmp(worker->escape.top, 1);
	}
	errno = error;
}

/*
 * Sequentially consistent, as in escape_uninstall(): either this sees that there is no callback any
 * more, or that one sees this and waits.
 */
static void
tell_crash(int number)
{
	escape_crash_fn tell;

	atomic_fetch_add(&nb_telling, 1);
	tell = atomic_load(&crash_callback);
	if (tell != NULL)
		tell(atomic_load_explicit(&crash_data, memory_order_relaxed), self->lcore, number);
	atomic_fetch_sub(&nb_telling, 1);
}

/* With the default action back, the same fault again ends the process. */
static void
on_crash(int number, siginfo_t *info, void *context)
{
	const struct sigaction by_default = { .sa_handler = SIG_DFL };

	(void)context;
	/* Not a second time, for a fault of this handler's own. */
	if (self != NULL && !crashing) {
		crashing = true;
		tell_crash(number);
		write_stack(descriptor_of_last_words());
	}
	sigaction(number, &by_default, NULL);
	/* One that was sent by kill() would not come again by itself. */
	if (info->si_code <= 0)
		raise(number);
}

void
escape_open(struct forward_lcore *worker)
{
	const stack_t stack = {
		.ss_sp = worker->escape.stack,
		.ss_size = sizeof(worker->escape.stack),
	};
	sigset_t needed;

	self = worker;
	sigaltstack(&stack, NULL);
	/* Who started the program may have blocked them. */
	sigemptyset(&needed);
	sigaddset(&needed, ESCAPE_SIGNAL);
	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++)
		sigaddset(&needed, crash_signals[i]);
	pthread_sigmask(SIG_UNBLOCK, &needed, NULL);
	worker->escape.thread = pthread_self();
	worker->escape.tid = gettid();
	atomic_store_explicit(&worker->escape.want, ESCAPE_NOTHING, memory_order_relaxed);
	/* Release: who sees it open sees the thread. */
	atomic_store_explicit(&worker->escape.open, true, memory_order_release);
}

void
escape_close(struct forward_lcore *worker)
{
	atomic_store_explicit(&worker->escape.open, false, memory_order_relaxed);
	/* The handler sees it closed before anything that follows here is done. */
	atomic_signal_fence(memory_order_seq_cst);
}

void
escape_end(void)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	self = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	sigaltstack(&none, NULL);
}

/* ---- In the main lcore ---- */

int
escape_install(escape_crash_fn crashed, void *data)
{
	/* A system call that was only asked for evidence in goes on. */
	struct sigaction ask = { .sa_handler = on_ask, .sa_flags = SA_RESTART };
	struct sigaction crash = {
		.sa_sigaction = on_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	void *frame;

	atomic_store_explicit(&crash_data, data, memory_order_relaxed);
	/* With the function comes its data. */
	atomic_store(&crash_callback, crashed);
	/* The first call loads a library, which no handler should. */
	backtrace(&frame, 1);
	if (sigaction(ESCAPE_SIGNAL, &ask, NULL) != 0)
		return -errno;
	for (size_t i = 0; i < sizeof(crash_signals) / sizeof(crash_signals[0]); i++)
		if (sigaction(crash_signals[i], &crash, NULL) != 0)
			return -errno;
	return 0;
}

void
escape_uninstall(void)
{
	atomic_store(&crash_callback, NULL);
	/* It posts and stores a few words; the limit is for one that crashes in it. */
	for (unsigned int ms = 0; atomic_load(&nb_telling) != 0 && ms < LAST_WORDS_MS; ms++)
		rte_delay_us_sleep(1000);
}

void
escape_probe(struct forward_lcore *worker)
{
	struct escape *escape = &worker->escape;

	if (!atomic_load_explicit(&escape->open, memory_order_acquire))
		return;
	atomic_store_explicit(&escape->answered_ns, 0, memory_order_relaxed);
	pthread_kill(escape->thread, ESCAPE_SIGNAL);
}

int
escape_ask(struct forward_lcore *worker, uint32_t want, uint64_t beat_tsc)
{
	struct escape *escape = &worker->escape;

	if (!atomic_load_explicit(&escape->open, memory_order_acquire))
		return -ESRCH;
	atomic_store_explicit(&escape->beat_tsc, beat_tsc, memory_order_relaxed);
	/* Release: with the wish comes the heartbeat it is about. */
	atomic_store_explicit(&escape->want, want, memory_order_release);
	return -pthread_kill(escape->thread, ESCAPE_SIGNAL);
}

bool
escape_is_fenced(const struct forward_lcore *worker)
{
	const struct escape *escape = &worker->escape;

	if (!atomic_load_explicit(&escape->open, memory_order_acquire) ||
	    !recovery_is_held(escape->tid, ESCAPE_SIGNAL))
		return false;
	/* It was held a moment ago: should it be so no more, then the handler has run first. */
	return (atomic_load_explicit(&escape->want, memory_order_relaxed) & ESCAPE_LEAVE) != 0 &&
	       is_silent(worker) && may_leave(worker);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <signal.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"

#define NS_PER_S UINT64_C(1000000000)

static void
ending_signals(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
}

void
signals_block(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A reader of our output that goes away must not take the forwarder with it. */
	sigaction(SIGPIPE, &ignore, NULL);
}

int
signals_wait(uint64_t timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_S),
		.tv_nsec = (long)(timeout_ns % NS_PER_S),
	};
	sigset_t set;
	int number;

	ending_signals(&set);
	number = sigtimedwait(&set, NULL, timeout_ns == SIGNALS_FOREVER ? NULL : &timeout);
	return number > 0 ? number : 0;
}

static void
end_at_once(int number)
{
	_exit(128 + number);
}

void
signals_end_at_once(void)
{
	const struct sigaction action = { .sa_handler = end_at_once };
	sigset_t set;

	ending_signals(&set);
	for (int number = 1; number < NSIG; number++)
		if (sigismember(&set, number) == 1)
			sigaction(number, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

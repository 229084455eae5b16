/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive by the system tests: the function that KA_FAIL names fails,
 * at a point of the start that no option of a virtual device leads to. KA_FAIL_AFTER: so many calls
 * of it pass before. pthread_create() counts and fails from the making of the keepalive on.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_keepalive.h>
#include <rte_timer.h>

/* Of the main lcore, as all that follows. */
static bool watching;

static bool
must_fail(const char *name)
{
	static int calls;
	const char *wanted = getenv("KA_FAIL"), *after = getenv("KA_FAIL_AFTER");

	if (wanted == NULL || strcmp(wanted, name) != 0)
		return false;
	return calls++ >= (after == NULL ? 0 : atoi(after));
}

int
rte_eth_dev_start(uint16_t port_id)
{
	int (*real)(uint16_t);

	if (must_fail(__func__))
		return -EIO;
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(port_id);
}

struct rte_keepalive *
rte_keepalive_create(rte_keepalive_failure_callback_t callback, void *data)
{
	struct rte_keepalive *(*real)(rte_keepalive_failure_callback_t, void *);

	if (must_fail(__func__))
		return NULL;
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	watching = true;
	return real(callback, data);
}

int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
	       void *argument)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (watching && must_fail(__func__))
		return EAGAIN;
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(thread, attributes, function, argument);
}

int
rte_timer_reset(struct rte_timer *timer, uint64_t ticks, enum rte_timer_type type,
		unsigned int lcore, rte_timer_cb_t callback, void *argument)
{
	int (*real)(struct rte_timer *, uint64_t, enum rte_timer_type, unsigned int, rte_timer_cb_t,
		    void *);

	if (must_fail(__func__))
		return -1;
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(timer, ticks, type, lcore, callback, argument);
}

/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into l2fwd-keepalive: notes by a clock of its own when its one worker was silent,
 * and when the agent was woken.
 *
 * KA_BENCH_DEATHS names a file laid out as struct deaths; bench/preloads.py reads it.
 */

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <rte_keepalive.h>

#include "map.h"

#define KEPT 16384
#define PAGE_BYTES 4096

struct deaths {
	uint64_t silent_ns; /* Shorter silences are not noted. Writer: bench. */
	_Atomic uint64_t silences;
	struct {
		uint64_t from_ns; /* The last heartbeat before it. */
		uint64_t to_ns;	  /* The first one after it. */
	} silence[KEPT];
	_Atomic uint64_t posts;
	uint64_t post_ns[KEPT]; /* Right before the semaphore is posted. */
};

static struct deaths *deaths;

static void (*real_mark_alive)(struct rte_keepalive *);
static int (*real_sem_post)(sem_t *);

__attribute__((constructor)) static void
deaths_init(void)
{
	*(void **)&real_mark_alive = real("rte_keepalive_mark_alive");
	*(void **)&real_sem_post = real("sem_post");
	deaths = map_file("KA_BENCH_DEATHS", sizeof(*deaths));
}

void
rte_keepalive_mark_alive(struct rte_keepalive *keepcfg)
{
	static uint64_t last_ns;
	uint64_t ns = now_ns(), count;

	real_mark_alive(keepcfg);
	if (deaths != NULL && last_ns != 0 && ns - last_ns >= deaths->silent_ns) {
		count = atomic_load(&deaths->silences);
		deaths->silence[count % KEPT].from_ns = last_ns;
		deaths->silence[count % KEPT].to_ns = ns;
		atomic_store(&deaths->silences, count + 1);
	}
	last_ns = ns;
}

/* The segment begins with its semaphore, on a page of its own; others lie anywhere. */
static bool
is_of_segment(const sem_t *semaphore)
{
	return (uintptr_t)semaphore % PAGE_BYTES == 0;
}

int
sem_post(sem_t *semaphore)
{
	uint64_t count;

	if (deaths != NULL && is_of_segment(semaphore)) {
		count = atomic_fetch_add(&deaths->posts, 1);
		deaths->post_ns[count % KEPT] = now_ns();
	}
	return real_sem_post(semaphore);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <signal.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_pause.h>
#include <rte_random.h>
#include <rte_timer.h>

#include "fault.h"

/* Longer than anybody will watch: a year. */
#define FOREVER_NS (365 * 86400 * UINT64_C(1000000000))

/* An order is one word: the length above, and below the kind plus one, so that none is 0. */
#define ORDER_KIND_BITS 8
#define ORDER_KIND_MASK ((UINT64_C(1) << ORDER_KIND_BITS) - 1)
#define NO_ORDER (-1)

/* A stall that was ordered, in nanoseconds. Writer: any thread. Taken by the main lcore. */
static _Atomic uint64_t ordered_stall_ns;

void
fault_init(struct fault_worker *worker, const struct fault_config *config, unsigned int lcore)
{
	*worker = (struct fault_worker){
		.config = *config,
		.lcore = lcore,
		.next_tsc = FAULT_NEVER,
		.entry = -1,
		.due_tsc = FAULT_NEVER,
	};
}

void
fault_seed(uint64_t seed)
{
	rte_srand(seed);
}

static uint64_t
tsc_of_ns(uint64_t ns)
{
	uint64_t hz = rte_get_tsc_hz();

	return ns / NS_PER_S * hz + ns % NS_PER_S * hz / NS_PER_S;
}

/* The earliest fault of the plan that this worker has still to suffer. */
static void
plan_next(struct fault_worker *worker)
{
	const struct fault_plan *plan = worker->config.plan;

	worker->next_tsc = FAULT_NEVER;
	worker->entry = -1;
	for (size_t i = 0; plan != NULL && i < plan->nb; i++) {
		const struct fault_entry *entry = &plan->entry[i];
		uint64_t at = worker->config.start_tsc + tsc_of_ns(entry->at_ns);

		if (entry->lcore == worker->lcore && entry->kind != FAULT_MONITOR_STALL &&
		    (worker->made >> i & 1) == 0 && at < worker->next_tsc) {
			worker->next_tsc = at;
			worker->entry = (int)i;
		}
	}
}

/* ---- The faults themselves ---- */

static void
spin(uint64_t length_ns)
{
	const uint64_t end = rte_rdtsc() + tsc_of_ns(length_ns);

	while (length_ns == 0 || rte_rdtsc() < end)
		rte_pause();
}

static void
stand_still(uint64_t length_ns)
{
	struct timespec left = {
		.tv_sec = (time_t)(length_ns / NS_PER_S),
		.tv_nsec = (long)(length_ns % NS_PER_S),
	};

	while (nanosleep(&left, &left) != 0)
		continue;
}

static void
block(uint64_t length_ns)
{
	stand_still(length_ns != 0 ? length_ns : FOREVER_NS);
}

static bool
make(enum fault_kind kind, uint64_t length_ns)
{
	switch (kind) {
	case FAULT_EXIT:
		return true;
	case FAULT_SPIN:
	case FAULT_NOSTART:
	case FAULT_SLOW:
		spin(length_ns);
		break;
	case FAULT_BLOCK:
		block(length_ns);
		break;
	case FAULT_SEGV:
		/* As if by a wild pointer: the address has the shape of one that cannot be. */
		*(_Atomic int *)(uintptr_t)0xdead = 1;
		break;
	case FAULT_MONITOR_STALL:
		break;
	}
	return false;
}

static enum fault_kind
random_kind(enum fault_demo demo)
{
	static const enum fault_kind kinds[] = {
		[FAULT_DEMO_EXIT] = FAULT_EXIT,
		[FAULT_DEMO_SPIN] = FAULT_SPIN,
		[FAULT_DEMO_BLOCK] = FAULT_BLOCK,
	};

	return kinds[demo == FAULT_DEMO_MIX ? rte_rand_max(FAULT_DEMO_MIX) : (uint64_t)demo];
}

/* ---- When ---- */

/*
 * Tell the loop when the next one is due. Whoever orders one writes the order first and the moment
 * then, we the other way round: whichever moment stays, the order is seen. That takes one order of
 * all four accesses, sequentially consistent.
 */
static void
arm(struct fault_worker *worker)
{
	atomic_store(&worker->due_tsc, worker->next_tsc);
	if (atomic_load(&worker->ordered) != 0)
		atomic_store_explicit(&worker->due_tsc, 0, memory_order_relaxed);
}

int
fault_order(struct fault_worker *worker, const struct fault_entry *fault)
{
	uint64_t none = 0;

	if (!atomic_compare_exchange_strong(&worker->ordered, &none,
					    fault->length_ns << ORDER_KIND_BITS |
						    ((uint64_t)fault->kind + 1)))
		return -EBUSY;
	atomic_store(&worker->due_tsc, 0);
	return 0;
}

/* enum fault_kind of what was ordered, or NO_ORDER. */
static int
ordered_kind(const struct fault_worker *worker)
{
	return (int)(atomic_load(&worker->ordered) & ORDER_KIND_MASK) - 1;
}

static const struct fault_entry *
planned(const struct fault_worker *worker)
{
	return worker->entry < 0 ? NULL : &worker->config.plan->entry[worker->entry];
}

void
fault_begin_life(struct fault_worker *worker, uint64_t now_tsc)
{
	uint64_t random_tsc = FAULT_NEVER;

	if (ordered_kind(worker) == FAULT_NOSTART) {
		atomic_store(&worker->ordered, 0);
		make(FAULT_NOSTART, 0);
	}
	plan_next(worker);
	if (planned(worker) != NULL && worker->next_tsc <= now_tsc &&
	    planned(worker)->kind == FAULT_NOSTART) {
		worker->made |= UINT64_C(1) << worker->entry;
		make(FAULT_NOSTART, 0);
	}
	if (worker->config.lifetime_tsc != 0)
		random_tsc = now_tsc + rte_rand_max(worker->config.lifetime_tsc);
	if (random_tsc < worker->next_tsc) {
		worker->next_tsc = random_tsc;
		worker->entry = -1;
	}
	arm(worker);
}

static bool
make_ordered(struct fault_worker *worker)
{
	const enum fault_kind kind = (enum fault_kind)ordered_kind(worker);
	bool leave;

	/* Of one that runs already: it leaves, and does not start the next time. */
	if (kind == FAULT_NOSTART)
		return true;
	leave = make(kind, atomic_exchange(&worker->ordered, 0) >> ORDER_KIND_BITS);
	if (!leave)
		arm(worker);
	return leave;
}

bool
fault_make(struct fault_worker *worker)
{
	const struct fault_entry *entry = planned(worker);
	bool leave;

	if (ordered_kind(worker) != NO_ORDER)
		return make_ordered(worker);
	/* Nothing is: the moment of an order came behind its fault, which another one had brought. */
	if (rte_rdtsc() < worker->next_tsc) {
		arm(worker);
		return false;
	}
	if (entry == NULL)
		return make(random_kind(worker->config.demo), 0);
	/* The same as of one that was ordered. */
	if (entry->kind == FAULT_NOSTART)
		return true;
	worker->made |= UINT64_C(1) << worker->entry;
	leave = make(entry->kind, entry->length_ns);
	if (!leave) {
		plan_next(worker);
		arm(worker);
	}
	return leave;
}

/* ---- The main lcore ---- */

static void
stall(struct rte_timer *timer, void *entry)
{
	(void)timer;
	stand_still(((const struct fault_entry *)entry)->length_ns);
}

int
fault_order_stall(uint64_t length_ns)
{
	uint64_t none = 0;

	/* Relaxed: the length is all that there is to see. */
	return atomic_compare_exchange_strong_explicit(&ordered_stall_ns, &none, length_ns,
						       memory_order_relaxed, memory_order_relaxed) ?
		       0 :
		       -EBUSY;
}

void
fault_stand_still(void)
{
	const uint64_t length_ns = atomic_load_explicit(&ordered_stall_ns, memory_order_relaxed);

	if (length_ns == 0)
		return;
	atomic_store_explicit(&ordered_stall_ns, 0, memory_order_relaxed);
	stand_still(length_ns);
}

void
fault_schedule_stalls(const struct fault_plan *plan)
{
	static struct rte_timer timers[FAULT_MAX_ENTRIES];
	static struct fault_entry entries[FAULT_MAX_ENTRIES];

	for (size_t i = 0; i < plan->nb; i++) {
		if (plan->entry[i].kind != FAULT_MONITOR_STALL)
			continue;
		entries[i] = plan->entry[i];
		rte_timer_init(&timers[i]);
		rte_timer_reset(&timers[i], tsc_of_ns(entries[i].at_ns), SINGLE, rte_lcore_id(),
				stall, &entries[i]);
	}
}

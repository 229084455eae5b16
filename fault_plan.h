/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef FAULT_PLAN_H
#define FAULT_PLAN_H

/*
 * Which faults are wanted, of whom and when: the value of --fault as a table. Knows nothing of how
 * they are made.
 */

#include <stddef.h>
#include <stdint.h>

/** Faults in one plan. */
#define FAULT_MAX_ENTRIES 64

/** Room for what is to be said against a plan. */
#define FAULT_WHY_MAX 96

/** What goes wrong. */
enum fault_kind {
	FAULT_EXIT,	     /**< The worker leaves its loop. */
	FAULT_SPIN,	     /**< It turns in a loop of its own for length_ns; 0 = for ever. */
	FAULT_BLOCK,	     /**< It sleeps in the kernel for length_ns; 0 = for ever. */
	FAULT_SLOW,	     /**< One turn of its loop takes length_ns longer. */
	FAULT_SEGV,	     /**< It touches memory that is not there. */
	FAULT_NOSTART,	     /**< It gives no heartbeat after its next launch. */
	FAULT_MONITOR_STALL, /**< The main lcore stands still for length_ns; lcore means nothing. */
};

/** One fault. */
struct fault_entry {
	unsigned int
		lcore; /**< Below KA_SHM_MAX_LCORES; whether it is a worker is not known here. */
	enum fault_kind kind;
	uint64_t length_ns; /**< FAULT_SLOW and FAULT_MONITOR_STALL, 1 or more; else see above. */
	uint64_t at_ns;	    /**< Since the start of the program; 0 = at once. */
};

/** Faults in the order in which they were written. */
struct fault_plan {
	size_t nb;
	struct fault_entry entry[FAULT_MAX_ENTRIES];
};

/**
 * Read a plan: LCORE:KIND[@SEC][,LCORE:KIND[@SEC]...], without blanks.
 *
 * KIND is exit, spin[:MS], block[:MS], slow:MS, segv, nostart or monitor-stall:MS; without MS it is for ever. SEC and MS are decimal
 * numbers of up to a day and exact to the nanosecond; MS is above 0. A number is taken as it is
 * written or refused. The same lcore may have several faults.
 *
 * @param plan  filled; empty when the text is refused.
 * @param why  what is wrong, with the wrong part, to stand behind the text in a complaint: "has
 *   kind 'spinn', which there is not". Holds what was written, so control characters too.
 * @return 0 or -EINVAL.
 */
int fault_parse(const char *text, struct fault_plan *plan, char why[FAULT_WHY_MAX]);

#endif /* FAULT_PLAN_H */

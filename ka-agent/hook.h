/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_HOOK_H
#define KA_AGENT_HOOK_H

/*
 * The way out to a program of the operator's (--exec): run once an event, beside the wait for deaths.
 *
 * It is started directly, never by a shell, as
 *
 *     COMMAND EVENT LCORE CAUSE OUTAGE_MS
 *
 * with "-" for what there is none of, and the same in its environment: KA_EVENT, KA_LCORE, KA_CAUSE,
 * KA_OUTAGE_MS, and KA_TIMES and KA_SEGMENT beside them. Its standard input is empty, its standard
 * output goes where its errors go.
 */

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

/** Programs that run at once. */
#define HOOK_AT_ONCE 8

/** Events that wait for one of these to end; more are dropped. */
#define HOOK_WAITING 64

/** One that runs longer is killed, with its process group. Nanoseconds. */
#define HOOK_LIMIT_NS UINT64_C(10000000000)

/** Between two lines that say what went wrong, but for the last one. Nanoseconds. */
#define HOOK_COMPLAINT_NS UINT64_C(10000000000)

/** Room for such a line. */
#define HOOK_COMPLAINT_MAX 512

/** Opaque. */
struct hook;

/** @param command  path, or name to be found by PATH. @return NULL without memory. */
struct hook *hook_create(const char *command);

/** Run it for an event: now, or as soon as there is room. Waits for its loading at most. */
void hook_run(struct hook *hook, const struct event *event);

/** See to those that ended or take too long, and start those that wait, as hook_run(). */
void hook_turn(struct hook *hook);

/** When to see to them again, CLOCK_MONOTONIC in nanoseconds; UINT64_MAX = there is nothing to do. */
uint64_t hook_deadline_ns(const struct hook *hook);

/**
 * What went wrong since the last time: as soon as nothing runs and nothing waits, or, where that does
 * not come, HOOK_COMPLAINT_NS after it went wrong. Once in HOOK_COMPLAINT_NS at most.
 *
 * @return whether there is something to say.
 */
bool hook_complaint(struct hook *hook, char line[HOOK_COMPLAINT_MAX]);

/**
 * Kill what still runs, and count what waits as dropped: this is the end. Waits for a second at most:
 * one that has made itself another user's, or sleeps in the kernel, does not obey, and is left.
 */
void hook_kill(struct hook *hook);

/** Free it, after hook_kill(). NULL is allowed. */
void hook_destroy(struct hook *hook);

#endif /* KA_AGENT_HOOK_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../recovery.h"
#include "check.h"
#include "report.h"
#include "words.h"

#define NS_PER_MS 1e6

/* What was found. */
struct findings {
	unsigned int nb_cores;
	unsigned int nb_down;
	unsigned int nb_cured; /* Dead, and about to come back. */
	unsigned int down[KA_SHM_MAX_LCORES];
	unsigned int cured; /* One of them. */
	uint64_t tick_age_ns;
};

uint64_t
check_default_age_ns(uint64_t period_ns)
{
	struct report_patience patience;

	report_patience_of(&patience, period_ns, false);
	return patience.stall_ns;
}

static uint64_t
since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* ---- Judgement ---- */

static bool
is_dead(const struct ka_shm_core *core)
{
	return core->state == KA_STATE_DEAD || core->state == KA_STATE_GONE;
}

/* One that never gave a heartbeat has already had the start-up deadline for it. */
static bool
is_being_cured(const struct ka_shm_core *core, uint64_t now_ns, uint64_t max_age_ns)
{
	return core->given_up_ns == 0 && core->launched_ns >= core->died_ns &&
	       core->last_seen_ns != 0 && since(core->last_seen_ns, now_ns) <= max_age_ns;
}

static void
find(struct findings *findings, const struct status *status, uint64_t max_age_ns)
{
	const struct ka_shm_monitor *monitor = &status->snapshot.monitor;
	const struct ka_shm_core *core;

	memset(findings, 0, sizeof(*findings));
	findings->tick_age_ns =
		since(monitor->beat_ns != 0 ? monitor->beat_ns : status->identity.created_ns,
		      status->now_ns);
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		core = &status->snapshot.core[lcore];
		if (!status_has_core(status, lcore))
			continue;
		findings->nb_cores++;
		if (!is_dead(core) && core->given_up_ns == 0)
			continue;
		if (!status->legacy && is_being_cured(core, status->now_ns, max_age_ns)) {
			findings->nb_cured++;
			findings->cured = lcore;
		} else
			findings->down[findings->nb_down++] = lcore;
	}
}

static enum check_verdict
judge(const struct findings *findings, const struct status *status, uint64_t max_age_ns)
{
	const struct ka_shm_snapshot *snapshot = &status->snapshot;

	if (status->legacy)
		return findings->nb_down != 0 ? CHECK_DOWN : CHECK_WELL;
	if (snapshot->monitor.status == KA_STATUS_STOPPED)
		return CHECK_NOTHING;
	/* Last words: the monitor need not tick any more. */
	if (snapshot->crash.signal != 0 || snapshot->monitor.status == KA_STATUS_ABORTED)
		return CHECK_DOWN;
	if (findings->tick_age_ns > max_age_ns)
		return CHECK_STALLED;
	return findings->nb_down != 0 ? CHECK_DOWN : CHECK_WELL;
}

/* ---- Words ---- */

static void __attribute__((format(printf, 2, 3))) append(char *line, const char *format, ...)
{
	const size_t used = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + used, CHECK_LINE_MAX - used, format, args);
	va_end(args);
}

/* Names come from the command line and from the segment, and a bar would begin the figures. */
static void
make_safe(char *line)
{
	for (char *c = line; *c != '\0'; c++)
		if (*c < ' ' || *c > '~' || *c == '|')
			*c = '?';
}

static const char *
cause_of(const struct ka_shm_core *core)
{
	return core->cause > KA_CAUSE_CRASHED ? "?" :
						recovery_cause_name((enum ka_cause)core->cause);
}

static void
put_down(char *line, const struct status *status, unsigned int lcore)
{
	const struct ka_shm_core *core = &status->snapshot.core[lcore];

	if (status->legacy)
		append(line, "core %u dead", lcore);
	else if (core->given_up_ns != 0)
		append(line, "core %u given up (%s)", lcore, cause_of(core));
	else
		append(line, "core %u dead for %.0f ms (%s)", lcore,
		       (double)since(core->died_ns, status->now_ns) / NS_PER_MS, cause_of(core));
}

static void
put_cores(char *line, const struct findings *findings, const struct status *status)
{
	for (unsigned int i = 0; i < findings->nb_down && i < CHECK_NAMED_MAX; i++) {
		append(line, "%s", i == 0 ? "" : ", ");
		put_down(line, status, findings->down[i]);
	}
	if (findings->nb_down > CHECK_NAMED_MAX)
		append(line, " and %u more", findings->nb_down - CHECK_NAMED_MAX);
	append(line, "%s", findings->nb_down == 0 ? "" : "; ");
	append(line, "%u of %u cores up", findings->nb_cores - findings->nb_down,
	       findings->nb_cores);
	if (findings->nb_cured != 0)
		append(line, ", %u about to be back: core %u died %.1f ms ago", findings->nb_cured,
		       findings->cured,
		       (double)since(status->snapshot.core[findings->cured].died_ns,
				     status->now_ns) /
			       NS_PER_MS);
}

/* The state, then the figures for graphs: label=value unit;warning;critical;least;most. */
static void
put_figures(char *line, const struct findings *findings, const struct status *status,
	    uint64_t max_age_ns)
{
	const struct ka_shm_monitor *monitor = &status->snapshot.monitor;
	char max_age[WORDS_MAX];

	append(line, " | cores_up=%u;;%u:;0;%u", findings->nb_cores - findings->nb_down,
	       findings->nb_cores, findings->nb_cores);
	if (status->legacy)
		return;
	words_exact_ms(max_age, max_age_ns);
	append(line,
	       " tick_age=%.1fms;;%s;0 deaths=%" PRIu64 "c restarts=%" PRIu64
	       "c recoveries=%" PRIu64 "c late_ticks=%" PRIu64 "c",
	       (double)findings->tick_age_ns / NS_PER_MS, max_age, monitor->deaths,
	       monitor->restarts, monitor->recoveries, monitor->late_ticks);
}

static void
put_verdict(char *line, const struct findings *findings, const struct status *status,
	    enum check_verdict verdict)
{
	const struct ka_shm_snapshot *snapshot = &status->snapshot;
	char owner[2 * WORDS_MAX];

	words_owner(owner, status->legacy ? NULL : &status->identity);
	append(line, "%s: %s: ", verdict == CHECK_WELL ? "OK" : "CRITICAL", owner);
	if (verdict == CHECK_NOTHING)
		append(line, "has stopped");
	else if (!status->legacy && snapshot->crash.signal != 0)
		append(line, "core %u crashed: signal %d", snapshot->crash.lcore,
		       snapshot->crash.signal);
	else if (!status->legacy && snapshot->monitor.status == KA_STATUS_ABORTED)
		append(line, "aborting because a worker hung");
	else if (verdict == CHECK_STALLED)
		append(line, "monitor stalled: no tick for %.0f ms",
		       (double)findings->tick_age_ns / NS_PER_MS);
	else
		put_cores(line, findings, status);
}

enum check_verdict
check_write(char line[CHECK_LINE_MAX], const struct status *status, uint64_t max_age_ns)
{
	struct findings findings;
	enum check_verdict verdict;

	find(&findings, status, max_age_ns);
	verdict = judge(&findings, status, max_age_ns);
	line[0] = '\0';
	put_verdict(line, &findings, status, verdict);
	make_safe(line);
	if (verdict != CHECK_NOTHING)
		put_figures(line, &findings, status, max_age_ns);
	return verdict;
}

void
check_write_nothing(char line[CHECK_LINE_MAX], int error, const char *why)
{
	const bool absent = error == -ENOENT || error == -EOWNERDEAD;

	snprintf(line, CHECK_LINE_MAX, "%s: %s", absent ? "CRITICAL" : "UNKNOWN", why);
	make_safe(line);
}

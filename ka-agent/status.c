/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../recovery.h"
#include "status.h"
#include "words.h"

#define NS_PER_US 1e3
#define NS_PER_MS 1e6
#define NS_PER_S UINT64_C(1000000000)

/* Loads are written twice a second: a rate that is older than this is none any more. */
#define RATE_AGE_MAX_NS (2 * NS_PER_S)

/* Room for a cell: 16 ports of five digits and their commas. */
#define CELL_MAX 96

enum {
	CORE,
	PORTS,
	STATE,
	CAUSE,
	DEATHS,
	RESTARTS,
	RECOVERIES,
	LAST,
	LONGEST,
	P50,
	P99,
	MAX,
	LATE,
	BUSY,
	RATE,
	NB_COLUMNS,
};

/* Text stands left, figures stand right. A group is the title above, and ends with its column. */
static const struct column {
	const char *title, *group;
	int width;
	bool is_text;
} columns[NB_COLUMNS] = {
	[CORE] = { "core", "", 4, false },
	[PORTS] = { "ports", "", 5, true },
	[STATE] = { "state", "", 7, true },
	[CAUSE] = { "last cause", "", 11, true },
	[DEATHS] = { "deaths", "", 6, false },
	[RESTARTS] = { "restarts", "", 8, false },
	[RECOVERIES] = { "recoveries", "", 10, false },
	[LAST] = { "last", "", 7, false },
	[LONGEST] = { "longest", "outages, ms", 7, false },
	[P50] = { "p50", "", 6, false },
	[P99] = { "p99", "", 6, false },
	[MAX] = { "max", "turns of loop, us", 8, false },
	[LATE] = { "late", "", 6, false },
	[BUSY] = { "busy%", "", 5, false },
	[RATE] = { "Mpps", "", 6, false },
};

struct row {
	char cell[NB_COLUMNS][CELL_MAX];
};

/* ---- Cells ---- */

/* A figure with the decimals that are wanted, or with fewer, or in thousands, until it fits. */
static void
put_figure(struct row *row, unsigned int column, int decimals, double figure)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };
	char *cell = row->cell[column];

	for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
		for (int i = decimals; i >= 0; i--)
			if (snprintf(cell, CELL_MAX, "%.*f%s", i, figure, units[unit]) <=
			    columns[column].width)
				return;
		figure /= 1000;
	}
}

static void
put_word(struct row *row, unsigned int column, const char *word)
{
	snprintf(row->cell[column], CELL_MAX, "%s", word);
}

/* Ports in the order in which they are polled; three and more in a row as 4-7. */
static void
put_ports(struct row *row, const struct ka_shm_load *load)
{
	const unsigned int nb =
		load->nb_ports < KA_SHM_MAX_PORTS ? load->nb_ports : KA_SHM_MAX_PORTS;
	char *cell = row->cell[PORTS];
	int length = 0;

	for (unsigned int i = 0; i < nb; i++) {
		unsigned int last = i;

		while (last + 1 < nb && load->port[last + 1] == load->port[last] + 1)
			last++;
		length += snprintf(cell + length, CELL_MAX - (size_t)length, "%s%" PRIu16,
				   i == 0 ? "" : ",", load->port[i]);
		if (last > i + 1) {
			length += snprintf(cell + length, CELL_MAX - (size_t)length, "-%" PRIu16,
					   load->port[last]);
			i = last;
		}
	}
	if (nb == 0)
		put_word(row, PORTS, "-");
}

static const char *
state_name(uint32_t state)
{
	static const char *const names[] = {
		[KA_STATE_UNUSED] = "UNUSED",	[KA_STATE_ALIVE] = "ALIVE",
		[KA_STATE_DEAD] = "DEAD",	[KA_STATE_GONE] = "GONE",
		[KA_STATE_MISSING] = "MISSING", [KA_STATE_DOZING] = "DOZING",
		[KA_STATE_SLEEP] = "SLEEP",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

/* ---- Rows ---- */

bool
status_has_core(const struct status *status, unsigned int lcore)
{
	const struct ka_shm_core *core = &status->snapshot.core[lcore];

	if (status->legacy)
		return core->last_seen_tsc != 0 || core->state != KA_STATE_UNUSED;
	return core->launched_ns != 0;
}

static void
put_life(struct row *row, const struct status *status, unsigned int lcore)
{
	const struct ka_shm_core *core = &status->snapshot.core[lcore];
	const struct ka_shm_crash *crash = &status->snapshot.crash;
	const bool crashed = crash->signal != 0 && crash->lcore == lcore;

	put_figure(row, CORE, 0, lcore);
	put_word(row, STATE, state_name(crashed ? (uint32_t)KA_STATE_DEAD : core->state));
	if (status->legacy)
		return;
	if (crashed)
		put_word(row, CAUSE, recovery_cause_name(KA_CAUSE_CRASHED));
	else if (core->cause > KA_CAUSE_CRASHED)
		put_word(row, CAUSE, "?");
	else if (core->cause != KA_CAUSE_NONE)
		put_word(row, CAUSE, recovery_cause_name((enum ka_cause)core->cause));
	put_figure(row, DEATHS, 0, (double)core->deaths);
	put_figure(row, RESTARTS, 0, (double)core->restarts);
	put_figure(row, RECOVERIES, 0, (double)core->recoveries);
	if (core->longest_outage_ns == 0)
		return;
	put_figure(row, LAST, 1, (double)core->last_outage_ns / NS_PER_MS);
	put_figure(row, LONGEST, 1, (double)core->longest_outage_ns / NS_PER_MS);
}

static void
put_loop(struct row *row, const struct ka_shm_load *load)
{
	const double busy_ns = (double)load->busy_ns;
	const double all_ns = busy_ns + (double)load->idle_ns;

	if (load->looked_ns == 0)
		return;
	put_figure(row, LATE, 0, (double)load->late);
	if (histogram_total(load->turns) == 0)
		return;
	put_figure(row, P50, 1,
		   (double)histogram_quantile(load->turns, 0.5, load->longest_ns) / NS_PER_US);
	put_figure(row, P99, 1,
		   (double)histogram_quantile(load->turns, 0.99, load->longest_ns) / NS_PER_US);
	put_figure(row, MAX, 1, (double)load->longest_ns / NS_PER_US);
	if (all_ns > 0)
		put_figure(row, BUSY, 1, 100 * busy_ns / all_ns);
}

/* Frames a second are those of now: they are not known of one who does not run. */
static bool
rate_is_known(const struct status *status, const struct ka_shm_load *load)
{
	return status->owner == STATUS_RUNS && load->looked_ns != 0 &&
	       (load->looked_ns > status->now_ns ||
		status->now_ns - load->looked_ns < RATE_AGE_MAX_NS);
}

static void
clear_row(struct row *row)
{
	for (unsigned int i = 0; i < NB_COLUMNS; i++)
		put_word(row, i, "-");
}

static void
put_core(struct row *row, const struct status *status, unsigned int lcore)
{
	const struct ka_shm_load *load = &status->load[lcore];

	clear_row(row);
	put_life(row, status, lcore);
	put_ports(row, load);
	put_loop(row, load);
	if (rate_is_known(status, load))
		put_figure(row, RATE, 3, (double)load->frames_per_s / 1e6);
}

/* The loops of all cores as if they were one. */
static void
put_sum(struct row *row, const struct status *status)
{
	struct ka_shm_load sum = { .looked_ns = 0 };
	uint64_t longest_ns = 0;
	double frames_per_s = 0;
	bool known = false;

	clear_row(row);
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		const struct ka_shm_load *load = &status->load[lcore];

		if (!status_has_core(status, lcore))
			continue;
		if (status->snapshot.core[lcore].longest_outage_ns > longest_ns)
			longest_ns = status->snapshot.core[lcore].longest_outage_ns;
		for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
			sum.turns[i] += load->turns[i];
		sum.looked_ns |= load->looked_ns;
		sum.busy_ns += load->busy_ns;
		sum.idle_ns += load->idle_ns;
		sum.late += load->late;
		if (load->longest_ns > sum.longest_ns)
			sum.longest_ns = load->longest_ns;
		if (rate_is_known(status, load)) {
			known = true;
			frames_per_s += (double)load->frames_per_s;
		}
	}
	put_loop(row, &sum);
	if (known)
		put_figure(row, RATE, 3, frames_per_s / 1e6);
	if (longest_ns != 0)
		put_figure(row, LONGEST, 1, (double)longest_ns / NS_PER_MS);
	put_figure(row, DEATHS, 0, (double)status->snapshot.monitor.deaths);
	put_figure(row, RESTARTS, 0, (double)status->snapshot.monitor.restarts);
	put_figure(row, RECOVERIES, 0, (double)status->snapshot.monitor.recoveries);
	put_word(row, CORE, "all");
	/* What has no sum stays blank. */
	put_word(row, PORTS, "");
	put_word(row, STATE, "");
	put_word(row, CAUSE, "");
	put_word(row, LAST, "");
}

/* ---- Lines ---- */

static char *
new_line(struct status_text *text)
{
	char *line = text->line[text->nb_lines++];

	line[0] = '\0';
	return line;
}

static void __attribute__((format(printf, 2, 3))) append(char *line, const char *format, ...)
{
	const size_t used = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + used, STATUS_LINE_MAX - used, format, args);
	va_end(args);
}

static void
trim(char *line)
{
	size_t length = strlen(line);

	while (length > 0 && line[length - 1] == ' ')
		line[--length] = '\0';
}

static void
put_row(struct status_text *text, const struct row *row, int ports_width)
{
	char *line = new_line(text);

	for (unsigned int i = 0; i < NB_COLUMNS; i++) {
		const int width = i == PORTS ? ports_width : columns[i].width;

		append(line, "%s%*s", i == 0 ? "" : " ", columns[i].is_text ? -width : width,
		       row->cell[i]);
	}
	trim(line);
}

/* The groups of columns above, each ending where its last column ends, then the titles. */
static void
put_titles(struct status_text *text, int ports_width)
{
	char *groups = new_line(text);
	struct row titles;
	int end = -1;

	for (unsigned int i = 0; i < NB_COLUMNS; i++) {
		put_word(&titles, i, columns[i].title);
		end += 1 + (i == PORTS ? ports_width : columns[i].width);
		if (columns[i].group[0] != '\0')
			append(groups, "%*s", end - (int)strlen(groups), columns[i].group);
	}
	put_row(text, &titles, ports_width);
}

static void
put_table(struct status_text *text, const struct status *status)
{
	int ports_width = columns[PORTS].width;
	unsigned int nb_cores = 0;
	struct row row;

	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		if (!status_has_core(status, lcore))
			continue;
		nb_cores++;
		put_core(&row, status, lcore);
		if ((int)strlen(row.cell[PORTS]) > ports_width)
			ports_width = (int)strlen(row.cell[PORTS]);
	}
	(void)new_line(text);
	if (nb_cores == 0) {
		append(new_line(text), "No core yet.");
		return;
	}
	put_titles(text, ports_width);
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		if (!status_has_core(status, lcore))
			continue;
		put_core(&row, status, lcore);
		put_row(text, &row, ports_width);
	}
	if (status->legacy)
		return;
	put_sum(&row, status);
	put_row(text, &row, ports_width);
}

/* ---- The head ---- */

static uint64_t
since(uint64_t then_ns, uint64_t now_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Seconds as 1:02:03, with days in front when there are any. */
static void
put_uptime(char *line, uint64_t seconds)
{
	append(line, ", up ");
	if (seconds >= 86400)
		append(line, "%" PRIu64 " d ", seconds / 86400);
	append(line, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, seconds / 3600 % 24, seconds / 60 % 60,
	       seconds % 60);
}

/* Who it is, and how its monitor does. */
static void
put_living(char *line, const struct status *status)
{
	const struct ka_shm_identity *identity = &status->identity;
	const struct ka_shm_snapshot *snapshot = &status->snapshot;
	const double silent_ms =
		(double)since(snapshot->monitor.beat_ns, status->now_ns) / NS_PER_MS;
	char program[WORDS_MAX], period[WORDS_MAX];

	words_program(program, identity, true);
	words_exact_ms(period, identity->period_ns);
	append(line, "%s, pid %" PRId64, program, identity->pid);
	put_uptime(line, since(identity->created_ns, status->now_ns) / NS_PER_S);
	append(line, ", ping every %s ms", period);
	if (snapshot->crash.signal != 0)
		append(line, ", core %u CRASHED: signal %d", snapshot->crash.lcore,
		       snapshot->crash.signal);
	else if (snapshot->monitor.status == KA_STATUS_ABORTED)
		append(line, ", ABORTING because a worker hung");
	else if (status->owner == STATUS_STALLED)
		append(line, ", STALLED: no tick for %.0f ms", silent_ms);
	else
		append(line, ", last tick %.1f ms ago", silent_ms);
}

static void
put_ended(char *line, const struct status *status)
{
	char owner[2 * WORDS_MAX];

	words_owner(owner, status->legacy ? NULL : &status->identity);
	append(line, "%s %s; waiting for the next one at %s", owner,
	       status->owner == STATUS_STOPPED ? "has stopped" :
	       status->owner == STATUS_DIED    ? "has died" :
						 "has aborted because a worker hung",
	       status->name);
}

static void
put_head(struct status_text *text, const struct status *status)
{
	char *line = new_line(text);

	switch (status->owner) {
	case STATUS_NONE:
		if (status->why != NULL && status->why[0] != '\0')
			append(line, "%s", status->why);
		else
			append(line, "waiting for l2fwd-keepalive at %s", status->name);
		break;
	case STATUS_RUNS:
	case STATUS_STALLED:
		if (!status->legacy)
			put_living(line, status);
		else
			append(line, "the original l2fwd-keepalive of DPDK at %s%s", status->name,
			       status->owner == STATUS_STALLED ? ", STALLED" : "");
		break;
	case STATUS_STOPPED:
	case STATUS_DIED:
	case STATUS_ABORTED:
		put_ended(line, status);
		break;
	}
	/* Names come from the command line and from the segment. */
	for (char *c = line; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

void
status_write(struct status_text *text, const struct status *status)
{
	text->nb_lines = 0;
	put_head(text, status);
	if (status->owner != STATUS_NONE)
		put_table(text, status);
}

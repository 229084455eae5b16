/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../recovery.h"
#include "metrics.h"
#include "words.h"

#define PREFIX "l2fwd_keepalive_"
#define NS_PER_S UINT64_C(1000000000)

/* Room for a name that is escaped. */
#define LABEL_MAX (2 * KA_SHM_NAME_MAX + 1)

/* Room for seconds with nine decimals, or for a label with its value. */
#define WORD_MAX 64

/* The minor version of the segment that has the sums of outages and detections. */
#define MINOR_WITH_SUMS 2

/*
 * Buckets of a histogram that stand for themselves end at 2^(b + 1) nanoseconds. Turns of a loop are
 * interesting from 256 ns on, outages from 131 us, since no check period is below 100 us; what is
 * shorter is in the first one. Times above 2.1 s, the last bucket of the segment, are in +Inf.
 */
#define FIRST_BUCKET_TURNS 7
#define FIRST_BUCKET_OUTAGES 16

struct writer {
	char *text;
	size_t room, length;
	const struct status *status;
	uint64_t now_real_ns;
	char segment[LABEL_MAX];
};

/* A figure of 64 bits in a record of a core. */
struct figure {
	const char *name, *type, *help;
	size_t offset;
	bool is_ns; /* Given in seconds. */
};

static const struct figure core_figures[] = {
	{ "deaths_total", "counter", "Times that a core was declared dead.",
	  offsetof(struct ka_shm_core, deaths), false },
	{ "restarts_total", "counter", "Times that a core was launched again.",
	  offsetof(struct ka_shm_core, restarts), false },
	{ "recoveries_total", "counter", "Times that a dead core moved again by itself.",
	  offsetof(struct ka_shm_core, recoveries), false },
	{ "longest_outage_seconds", "gauge", "The longest outage of a core since the start.",
	  offsetof(struct ka_shm_core, longest_outage_ns), true },
};

static const struct figure load_figures[] = {
	{ "frames_received_total", "counter", "Frames received by the ports that a core polls now.",
	  offsetof(struct ka_shm_load, received), false },
	{ "frames_sent_total", "counter", "Frames of them that the paired ports took.",
	  offsetof(struct ka_shm_load, sent), false },
	{ "frames_dropped_total", "counter", "Frames of them that the paired ports did not take.",
	  offsetof(struct ka_shm_load, dropped), false },
	{ "bursts_received_total", "counter", "Bursts of frames that a core received.",
	  offsetof(struct ka_shm_load, bursts), false },
	{ "loop_busy_seconds_total", "counter", "Time in turns of a loop that received frames.",
	  offsetof(struct ka_shm_load, busy_ns), true },
	{ "loop_idle_seconds_total", "counter", "Time in the other turns of a loop.",
	  offsetof(struct ka_shm_load, idle_ns), true },
	{ "loop_late_turns_total", "counter", "Turns of a loop that took --late-us or more.",
	  offsetof(struct ka_shm_load, late), false },
	{ "loop_longest_turn_seconds", "gauge", "The longest turn of a loop since the start.",
	  offsetof(struct ka_shm_load, longest_ns), true },
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Text ---- */

/* What does not fit makes the text too long, and is noticed at the end. */
static void __attribute__((format(printf, 2, 3)))
append(struct writer *writer, const char *format, ...)
{
	const size_t left = writer->length < writer->room ? writer->room - writer->length : 0;
	va_list args;

	va_start(args, format);
	writer->length += (size_t)vsnprintf(left != 0 ? writer->text + writer->length : NULL, left,
					    format, args);
	va_end(args);
}

static void
begin_family(struct writer *writer, const char *name, const char *type, const char *help)
{
	append(writer, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

/* One sample. labels: more labels, each with a comma before it. */
static void
put(struct writer *writer, const char *name, const char *labels, const char *value)
{
	append(writer, PREFIX "%s{segment=\"%s\"%s} %s\n", name, writer->segment, labels, value);
}

static void
put_count(struct writer *writer, const char *name, const char *labels, uint64_t count)
{
	char value[WORD_MAX];

	snprintf(value, sizeof(value), "%" PRIu64, count);
	put(writer, name, labels, value);
}

/* Nanoseconds as seconds, without zeros at the end. */
static void
write_seconds(char word[WORD_MAX], uint64_t ns)
{
	int length =
		snprintf(word, WORD_MAX, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);

	while (word[length - 1] == '0')
		word[--length] = '\0';
	if (word[length - 1] == '.')
		word[--length] = '\0';
}

static void
put_seconds(struct writer *writer, const char *name, const char *labels, uint64_t ns)
{
	char value[WORD_MAX];

	write_seconds(value, ns);
	put(writer, name, labels, value);
}

/* A family of one sample. */
static void
put_single_count(struct writer *writer, const char *name, const char *type, const char *help,
		 uint64_t count)
{
	begin_family(writer, name, type, help);
	put_count(writer, name, "", count);
}

static void
put_single_seconds(struct writer *writer, const char *name, const char *type, const char *help,
		   uint64_t ns)
{
	begin_family(writer, name, type, help);
	put_seconds(writer, name, "", ns);
}

/* A value of a label: a backslash, a quote and a line's end are escaped. */
static void
write_label(char label[LABEL_MAX], const char *value)
{
	size_t length = 0;

	for (; *value != '\0' && length < LABEL_MAX - 2; value++) {
		char c = *value;

		/* Any byte may stand in a name; what is no ASCII need not be UTF-8, as it must. */
		if ((c < ' ' || c > '~') && c != '\n')
			c = '?';
		if (c == '\\' || c == '"' || c == '\n')
			label[length++] = '\\';
		label[length++] = c == '\n' ? 'n' : c;
	}
	label[length] = '\0';
}

static void
write_lcore(char labels[WORD_MAX], unsigned int lcore)
{
	snprintf(labels, WORD_MAX, ",lcore=\"%u\"", lcore);
}

/* A moment on the clock of the segment as seconds since 1970. */
static uint64_t
real_ns_of(const struct writer *writer, uint64_t ns)
{
	return writer->now_real_ns + (ns - writer->status->now_ns);
}

/* ---- The forwarder and its monitor ---- */

/* The words of "l2fwd-keepalive 0.1.0". */
static void
put_info(struct writer *writer)
{
	char program[WORDS_MAX], whole[WORDS_MAX], labels[2 * LABEL_MAX], label[LABEL_MAX];
	const char *version;
	int length;

	words_program(program, &writer->status->identity, false);
	words_program(whole, &writer->status->identity, true);
	version = strchr(whole, ' ');
	write_label(label, program);
	length = snprintf(labels, sizeof(labels), ",program=\"%s\"", label);
	write_label(label, version == NULL ? "" : version + 1);
	snprintf(labels + length, sizeof(labels) - (size_t)length, ",version=\"%s\"", label);
	begin_family(writer, "info", "gauge", "The program that made the segment; always 1.");
	put_count(writer, "info", labels, 1);
}

static void
put_monitor(struct writer *writer)
{
	const struct ka_shm_identity *identity = &writer->status->identity;
	const struct ka_shm_monitor *monitor = &writer->status->snapshot.monitor;

	put_info(writer);
	put_single_seconds(writer, "start_time_seconds", "gauge",
			   "When the forwarder made its segment, in seconds since 1970.",
			   identity->created_real_ns);
	put_single_seconds(writer, "check_period_seconds", "gauge", "Time between two pings.",
			   identity->period_ns);
	put_single_seconds(writer, "monitor_last_tick_timestamp_seconds", "gauge",
			   "The last heartbeat of the main lcore, in seconds since 1970.",
			   real_ns_of(writer, monitor->beat_ns != 0 ? monitor->beat_ns :
								      identity->created_ns));
	put_single_count(writer, "monitor_ticks_total", "counter",
			 "Pings dispatched or, when late, put off.", monitor->ticks);
	put_single_count(writer, "monitor_late_ticks_total", "counter",
			 "Pings that came a period or more too late.", monitor->late_ticks);
	put_single_seconds(writer, "monitor_longest_delay_seconds", "gauge",
			   "Lateness of the latest of them.", monitor->longest_late_ns);
	put_single_count(writer, "events_total", "counter",
			 "Events that the monitor noted: deaths, returns and what is no death.",
			 monitor->events);
	put_single_count(writer, "lost_lines_total", "counter",
			 "Lines of output dropped because it was blocked.", monitor->lost_lines);
}

/* ---- Cores ---- */

/* The next core from lcore on, that one included; KA_SHM_MAX_LCORES when there is none. */
static unsigned int
next_core(const struct status *status, unsigned int lcore)
{
	while (lcore < KA_SHM_MAX_LCORES && !status_has_core(status, lcore))
		lcore++;
	return lcore;
}

/* A family, of which each core has the samples that put_core writes. */
static void
put_family(struct writer *writer, const char *name, const char *type, const char *help,
	   void (*put_core)(struct writer *writer, unsigned int lcore))
{
	const struct status *status = writer->status;

	begin_family(writer, name, type, help);
	for (unsigned int lcore = next_core(status, 0); lcore < KA_SHM_MAX_LCORES;
	     lcore = next_core(status, lcore + 1))
		put_core(writer, lcore);
}

/* A worker that crashed is dead, whatever the monitor still found. */
static uint32_t
state_of(const struct status *status, unsigned int lcore)
{
	const struct ka_shm_crash *crash = &status->snapshot.crash;

	if (crash->signal != 0 && crash->lcore == lcore)
		return KA_STATE_DEAD;
	return status->snapshot.core[lcore].state;
}

static void
put_states(struct writer *writer, unsigned int lcore)
{
	static const char *const names[] = {
		[KA_STATE_UNUSED] = "unused",	[KA_STATE_ALIVE] = "alive",
		[KA_STATE_DEAD] = "dead",	[KA_STATE_GONE] = "gone",
		[KA_STATE_MISSING] = "missing", [KA_STATE_DOZING] = "dozing",
		[KA_STATE_SLEEP] = "sleep",
	};
	char labels[WORD_MAX];

	for (uint32_t state = 0; state < LENGTH(names); state++) {
		snprintf(labels, sizeof(labels), ",lcore=\"%u\",state=\"%s\"", lcore, names[state]);
		put_count(writer, "core_state", labels, state_of(writer->status, lcore) == state);
	}
}

/* What the states come to. */
static void
put_up(struct writer *writer, unsigned int lcore)
{
	const uint32_t state = state_of(writer->status, lcore);
	char labels[WORD_MAX];

	write_lcore(labels, lcore);
	put_count(writer, "core_up", labels,
		  state != KA_STATE_DEAD && state != KA_STATE_GONE &&
			  writer->status->snapshot.core[lcore].given_up_ns == 0);
}

static void
put_given_up(struct writer *writer, unsigned int lcore)
{
	char labels[WORD_MAX];

	write_lcore(labels, lcore);
	put_count(writer, "core_given_up", labels,
		  writer->status->snapshot.core[lcore].given_up_ns != 0);
}

static void
put_last_heartbeat(struct writer *writer, unsigned int lcore)
{
	const struct ka_shm_core *core = &writer->status->snapshot.core[lcore];
	char labels[WORD_MAX];

	if (core->last_seen_ns == 0)
		return;
	write_lcore(labels, lcore);
	put_seconds(writer, "core_last_heartbeat_timestamp_seconds", labels,
		    real_ns_of(writer, core->last_seen_ns));
}

static void
put_last_death(struct writer *writer, unsigned int lcore)
{
	const struct ka_shm_core *core = &writer->status->snapshot.core[lcore];
	char labels[WORD_MAX];

	if (core->died_ns == 0)
		return;
	snprintf(labels, sizeof(labels), ",lcore=\"%u\",cause=\"%s\"", lcore,
		 core->cause > KA_CAUSE_CRASHED ? "?" :
						  recovery_cause_name((enum ka_cause)core->cause));
	put_seconds(writer, "last_death_timestamp_seconds", labels,
		    real_ns_of(writer, core->died_ns));
}

/* Which core polls a port may change, when another is given up. */
static void
put_ports(struct writer *writer, unsigned int lcore)
{
	const struct ka_shm_load *load = &writer->status->load[lcore];
	char labels[WORD_MAX];

	for (unsigned int i = 0; i < load->nb_ports && i < KA_SHM_MAX_PORTS; i++) {
		snprintf(labels, sizeof(labels), ",lcore=\"%u\",port=\"%" PRIu16 "\"", lcore,
			 load->port[i]);
		put_count(writer, "port_polled", labels, 1);
	}
}

static void
put_states_of_cores(struct writer *writer)
{
	put_family(writer, "core_up", "gauge",
		   "Whether a core is neither dead nor given up; one that missed a ping is up.",
		   put_up);
	put_family(writer, "core_state", "gauge",
		   "Whether the last ping found a core in this state.", put_states);
}

static void
put_lives_of_cores(struct writer *writer)
{
	put_family(writer, "core_given_up", "gauge",
		   "Whether a core is given up: it is not launched again, ever.", put_given_up);
	put_family(writer, "core_last_heartbeat_timestamp_seconds", "gauge",
		   "The last heartbeat of a core, in seconds since 1970.", put_last_heartbeat);
	put_family(writer, "last_death_timestamp_seconds", "gauge",
		   "When a core died last, and of what, in seconds since 1970.", put_last_death);
	put_family(writer, "port_polled", "gauge", "A port that a core polls now; always 1.",
		   put_ports);
}

/* A figure of every core, out of records of a size that begin with that of lcore 0. */
static void
put_figure(struct writer *writer, const struct figure *figure, const void *records, size_t size)
{
	const struct status *status = writer->status;
	char labels[WORD_MAX];
	uint64_t number;

	begin_family(writer, figure->name, figure->type, figure->help);
	for (unsigned int lcore = next_core(status, 0); lcore < KA_SHM_MAX_LCORES;
	     lcore = next_core(status, lcore + 1)) {
		memcpy(&number, (const char *)records + lcore * size + figure->offset,
		       sizeof(number));
		write_lcore(labels, lcore);
		(figure->is_ns ? put_seconds : put_count)(writer, figure->name, labels, number);
	}
}

static void
put_figures(struct writer *writer)
{
	const struct status *status = writer->status;

	for (size_t i = 0; i < LENGTH(core_figures); i++)
		put_figure(writer, &core_figures[i], status->snapshot.core,
			   sizeof(status->snapshot.core[0]));
	for (size_t i = 0; i < LENGTH(load_figures); i++)
		put_figure(writer, &load_figures[i], status->load, sizeof(status->load[0]));
}

/* ---- Histograms ---- */

static void
put_histogram(struct writer *writer, const char *name, unsigned int lcore, unsigned int first,
	      const uint64_t bucket[HISTOGRAM_BUCKETS], uint64_t sum_ns)
{
	char sample[WORD_MAX], labels[2 * WORD_MAX], bound[WORD_MAX];
	uint64_t count = 0;

	snprintf(sample, sizeof(sample), "%s_bucket", name);
	for (unsigned int b = 0; b < HISTOGRAM_BUCKETS; b++) {
		count += bucket[b];
		if (b < first)
			continue;
		write_seconds(bound, UINT64_C(2) << b);
		snprintf(labels, sizeof(labels), ",lcore=\"%u\",le=\"%s\"", lcore,
			 b == HISTOGRAM_BUCKETS - 1 ? "+Inf" : bound);
		put_count(writer, sample, labels, count);
	}
	write_lcore(labels, lcore);
	snprintf(sample, sizeof(sample), "%s_sum", name);
	put_seconds(writer, sample, labels, sum_ns);
	snprintf(sample, sizeof(sample), "%s_count", name);
	put_count(writer, sample, labels, count);
}

static void
put_turns(struct writer *writer, unsigned int lcore)
{
	const struct ka_shm_load *load = &writer->status->load[lcore];

	put_histogram(writer, "loop_turn_seconds", lcore, FIRST_BUCKET_TURNS, load->turns,
		      load->busy_ns + load->idle_ns);
}

static void
put_outages(struct writer *writer, unsigned int lcore)
{
	put_histogram(writer, "outage_seconds", lcore, FIRST_BUCKET_OUTAGES,
		      writer->status->load[lcore].outages,
		      writer->status->snapshot.core[lcore].outages_ns);
}

static void
put_detections(struct writer *writer, unsigned int lcore)
{
	put_histogram(writer, "detection_seconds", lcore, FIRST_BUCKET_OUTAGES,
		      writer->status->load[lcore].detections,
		      writer->status->snapshot.core[lcore].detections_ns);
}

static void
put_histograms(struct writer *writer)
{
	put_family(writer, "loop_turn_seconds", "histogram", "What the turns of a loop took.",
		   put_turns);
	if (writer->status->identity.version_minor < MINOR_WITH_SUMS)
		return;
	put_family(writer, "outage_seconds", "histogram",
		   "Outages of a core, from the last heartbeat before to the first one after.",
		   put_outages);
	put_family(writer, "detection_seconds", "histogram",
		   "From the last heartbeat of a core to the moment it was declared dead.",
		   put_detections);
}

size_t
metrics_write(char *text, size_t room, const struct status *status, uint64_t now_real_ns,
	      bool watched)
{
	struct writer writer = {
		.text = text, .room = room, .status = status, .now_real_ns = now_real_ns
	};
	const bool has_cores =
		status->owner != STATUS_NONE && next_core(status, 0) < KA_SHM_MAX_LCORES;

	write_label(writer.segment, status->name);
	put_single_count(&writer, "up", "gauge",
			 "Whether the forwarder runs, its monitor ticks, and an agent watches it.",
			 watched && status->owner == STATUS_RUNS);
	if (status->owner != STATUS_NONE && !status->legacy)
		put_monitor(&writer);
	if (has_cores)
		put_states_of_cores(&writer);
	if (has_cores && !status->legacy) {
		put_lives_of_cores(&writer);
		put_figures(&writer);
		put_histograms(&writer);
	}
	return writer.length < room ? writer.length : 0;
}

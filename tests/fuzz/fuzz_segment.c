/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A hostile or corrupt segment, looked at as ka-agent does: it may be refused or called corrupt, it
 * never makes the agent crash, hang or print what is no text.
 *
 * An input is a change to a good segment: a byte of flags, two of length, then patches: three bytes
 * of offset, one of length, so many bytes.
 */

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ka-agent/check.h"
#include "ka-agent/metrics.h"
#include "ka-agent/report.h"
#include "ka-agent/status.h"
#include "ka-agent/text.h"
#include "shm.h"

enum {
	FLAG_LEGACY = 1,    /* As long as the original's. */
	FLAG_SHORTENED = 2, /* As long as the two bytes say, times four. */
	FLAG_ATTACH = 4,    /* As the agent, not as --status. */
	FLAG_CHANGING = 8,  /* Caught in the middle of a change, which takes a while. */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char name[64];
static int file = -1;
static uint8_t good[sizeof(struct ka_shm_segment)];
static FILE *nowhere;

static void
clean_up(void)
{
	shm_unlink(name);
}

static void
must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_segment: %s\n", what);
	abort();
}

/* A running forwarder's with two workers, one of which has died and come back. */
static void
make_good_segment(void)
{
	const struct ka_shm_config config = {
		.name = name,
		.program = "fuzz",
		.mode = 0600,
		.group = (gid_t)-1,
		.period_ns = 5000000,
		.tsc = 1,
		.tsc_hz = 1000000000,
	};
	const struct ka_shm_monitor monitor = {
		.status = KA_STATUS_RUNNING,
		.ticks = 9,
		.beat_ns = ka_shm_now_ns(),
		.deaths = 1,
	};
	const struct ka_shm_core core = {
		.state = KA_STATE_ALIVE,
		.launched_ns = 1,
		.last_seen_ns = 2,
		.deaths = 1,
	};
	const struct ka_shm_event event = { .lcore = 1, .kind = KA_EVENT_DEATH, .time_ns = 2 };
	struct ka_shm_writer *writer;
	struct ka_shm_holder holder;
	bool replaced;

	must(ka_shm_create(&writer, &config) == 0, "no segment can be made");
	must(ka_shm_publish(writer, &holder, &replaced) == 0, "no segment can be published");
	ka_shm_begin(writer);
	ka_shm_write_core(writer, 1, &core, KA_STATE_ALIVE);
	ka_shm_write_core(writer, 2, &core, KA_STATE_ALIVE);
	ka_shm_write_monitor(writer, &monitor);
	ka_shm_add_event(writer, &event);
	ka_shm_end(writer);
	file = shm_open(name, O_RDWR, 0);
	must(file >= 0 && pread(file, good, sizeof(good), 0) == sizeof(good), "no copy");
	close(file);
	ka_shm_destroy(writer);
	file = shm_open(name, O_RDWR | O_CREAT, 0600);
	must(file >= 0, "no object to write to");
	nowhere = fopen("/dev/null", "w");
	must(nowhere != NULL, "no /dev/null");
}

/* Returns its flags. */
static uint8_t
write_segment(const uint8_t *data, size_t size)
{
	static uint8_t bad[sizeof(good)];
	const uint8_t flags = data[0];
	size_t length = sizeof(bad), at = 3;

	memcpy(bad, good, sizeof(bad));
	while (at + 4 <= size) {
		const size_t offset =
			(data[at] | data[at + 1] << 8 | data[at + 2] << 16) % sizeof(bad);
		size_t count = data[at + 3];

		at += 4;
		if (count > size - at)
			count = size - at;
		if (count > sizeof(bad) - offset)
			count = sizeof(bad) - offset;
		memcpy(bad + offset, data + at, count);
		at += count;
	}
	if ((flags & FLAG_CHANGING) == 0)
		((struct ka_shm_segment *)(void *)bad)->sequence &= ~UINT64_C(1);
	if ((flags & FLAG_LEGACY) != 0)
		length = KA_SHM_LEGACY_SIZE;
	else if ((flags & FLAG_SHORTENED) != 0)
		length = ((size_t)data[1] | (size_t)data[2] << 8) * 4 % (sizeof(bad) + 1);
	must(ftruncate(file, (off_t)length) == 0 && pwrite(file, bad, length, 0) == (ssize_t)length,
	     "the object cannot be written");
	return flags;
}

static void
say(struct report *report, enum report_kind kind)
{
	report->kind = kind;
	must(text_write(nowhere, report) == 0, "a line that cannot be written");
}

/* What the agent says of it, coming from the good one. */
static void
tell(struct ka_shm_reader *reader, const struct ka_shm_snapshot *before,
     const struct ka_shm_snapshot *now)
{
	static struct report_list list;
	static struct report_seen seen;
	static struct report_events events;
	struct report report = {
		.name = name,
		.identity = ka_shm_is_legacy(reader) ? NULL : ka_shm_identity(reader),
		.list = &list,
	};

	report.count = report_nb_cores(now, ka_shm_is_legacy(reader));
	say(&report, REPORT_ATTACHED);
	report_earlier(&list, now);
	say(&report, REPORT_EARLIER);
	report_down(&list, now);
	say(&report, REPORT_DOWN);
	report_start(&seen, before);
	if (!report_deaths(&list, &seen, now))
		say(&report, REPORT_CORRUPT);
	say(&report, REPORT_DEATHS);
	report_events(&events, &seen, now, true);
	must(events.nb_events <= KA_SHM_EVENTS, "more events than there can be");
	for (unsigned int i = 0; i < events.nb_events; i++) {
		report.event = events.event[i];
		report_event_counts(&report, report.event, now);
		say(&report, REPORT_EVENT);
	}
	report_crash(&list, now);
	report.crash = &now->crash;
	say(&report, REPORT_CRASHED);
}

static void
judge_pulse(const struct ka_shm_identity *identity, const struct ka_shm_monitor *monitor)
{
	const uint64_t now_ns = ka_shm_now_ns();
	struct report_patience patience;
	struct report_pulse pulse;
	uint64_t duration_ns;

	report_patience_of(&patience, identity->period_ns, false);
	report_pulse_start(&pulse, 0, 0, now_ns);
	(void)report_pulse_look(&pulse, &patience, monitor->ticks, monitor->beat_ns, now_ns + 1,
				&duration_ns);
	must(report_pulse_deadline(&pulse, &patience, now_ns) <= now_ns + 2 * REPORT_SLICE_NS,
	     "the agent would sleep for too long");
}

/* The answer to a probe, and the metrics. */
static void
tell_machines(const struct status *status)
{
	static char metrics[METRICS_TEXT_MAX];
	char line[CHECK_LINE_MAX];
	size_t length;

	(void)check_write(line, status, check_default_age_ns(status->identity.period_ns));
	must(memchr(line, '\0', sizeof(line)) != NULL, "an answer without an end");
	for (const char *at = line; *at != '\0'; at++)
		must(isprint((unsigned char)*at), "an answer that is no text");
	length = metrics_write(metrics, sizeof(metrics), status, 0, true);
	must(length != 0, "metrics that have no room");
	for (size_t i = 0; i < length; i++)
		must(metrics[i] == '\n' || isprint((unsigned char)metrics[i]),
		     "metrics that are no text");
}

static void
show_status(const struct ka_shm_reader *reader, const struct ka_shm_snapshot *now, bool loads)
{
	static struct status status;
	static struct status_text text;

	memset(&status, 0, sizeof(status));
	status.name = name;
	status.owner = STATUS_RUNS;
	status.legacy = ka_shm_is_legacy(reader);
	status.identity = *ka_shm_identity(reader);
	status.now_ns = ka_shm_now_ns();
	status.snapshot = *now;
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES && loads; lcore++)
		(void)ka_shm_read_load(reader, lcore, &status.load[lcore]);
	status_write(&text, &status);
	must(text.nb_lines <= STATUS_LINES_MAX, "more lines than there can be");
	for (unsigned int i = 0; i < text.nb_lines; i++)
		for (const char *at = text.line[i]; *at != '\0'; at++)
			must(isprint((unsigned char)*at), "a line that is no text");
	tell_machines(&status);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ka_shm_snapshot before, now;
	struct ka_shm_complaint complaint;
	struct ka_shm_monitor monitor;
	struct ka_shm_reader *reader;
	uint8_t flags;

	if (size < 3)
		return 0;
	if (file < 0) {
		snprintf(name, sizeof(name), "/fuzz-segment.%d", (int)getpid());
		atexit(clean_up);
		make_good_segment();
	}
	flags = write_segment(data, size);
	if (ka_shm_open(&reader, name, (flags & FLAG_ATTACH) != 0 ? KA_SHM_ATTACH : KA_SHM_LOOK,
			&complaint) != 0)
		return 0;
	(void)ka_shm_snapshot(reader, &now);
	ka_shm_peek_monitor(reader, &monitor);
	(void)ka_shm_owner_lives(reader);
	(void)ka_shm_is_current(reader);
	if ((flags & FLAG_ATTACH) != 0)
		(void)ka_shm_wait(reader, 0);
	tell(reader, &before, &now);
	judge_pulse(ka_shm_identity(reader), &monitor);
	show_status(reader, &now, (flags & FLAG_CHANGING) == 0);
	ka_shm_close(reader);
	return 0;
}

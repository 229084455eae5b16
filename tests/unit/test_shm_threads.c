/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Torn or mixed snapshots: a writer changes everything that it can change, and all that belongs
 * to one change carries the number of the change. Threads instead of processes, so that
 * ThreadSanitizer sees both sides.
 */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shm.h"

#define NB_READERS 2

/* A reader compares for this long, and then until it had so many snapshots over so many changes. */
#define RACE_NS NS_PER_S
#define SNAPSHOTS 1000
#define CHANGES 1000

/* A core that changes every time; the others take turns. */
#define BUSY_CORE 5

#define NS_PER_S UINT64_C(1000000000)
#define DEADLINE_NS (60 * NS_PER_S)

/* What the threads share. */
struct race {
	struct ka_shm_writer *writer;
	_Atomic bool stop;
};

/* What a reader found. The main thread reads it when the reader has ended. */
struct finding {
	struct ka_shm_reader *reader;
	unsigned int snapshots;
	unsigned int no_quiet_moment;
	uint64_t first;
	uint64_t last;
	char fault[128]; /* Empty = none. */
};

/* Words of a record that are the caller's to set, all with the number of the change. */
static void
fill(void *record, size_t size, uint64_t change)
{
	for (size_t at = 0; at < size; at += sizeof(change))
		memcpy((char *)record + at, &change, sizeof(change));
}

static bool
is_filled(const void *record, size_t size, uint64_t change)
{
	uint64_t word;

	for (size_t at = 0; at < size; at += sizeof(change)) {
		memcpy(&word, (const char *)record + at, sizeof(word));
		if (word != change)
			return false;
	}
	return true;
}

/* One change: the monitor, two cores and an event, all with its number. */
static void
make_change(struct ka_shm_writer *writer, uint64_t change)
{
	struct ka_shm_monitor monitor;
	struct ka_shm_core core;
	struct ka_shm_event event;

	fill(&monitor, sizeof(monitor), change);
	fill(&core, sizeof(core), change);
	fill(&event, sizeof(event), change);
	ka_shm_begin(writer);
	ka_shm_write_core(writer, BUSY_CORE, &core, (enum ka_state)core.state);
	ka_shm_add_event(writer, &event);
	ka_shm_write_core(writer, (unsigned int)(change % KA_SHM_MAX_LCORES), &core,
			  (enum ka_state)core.state);
	ka_shm_write_monitor(writer, &monitor);
	ka_shm_end(writer);
}

/* Bursts of changes without a pause, then a quiet moment: never would readers find one else. */
static void *
write_changes(void *argument)
{
	struct race *race = argument;
	uint64_t change = 0;

	while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
		uint64_t until;

		for (unsigned int burst = 0; burst <= change % 7; burst++)
			make_change(race->writer, ++change);
		until = ka_shm_now_ns() + change % 13 * 4000;
		while (ka_shm_now_ns() < until)
			continue;
	}
	return NULL;
}

/* The change that a core must be from, when the newest change is known; 0 = none yet. */
static uint64_t
change_of_core(unsigned int lcore, uint64_t newest)
{
	uint64_t age = (newest - lcore) % KA_SHM_MAX_LCORES;

	if (lcore == BUSY_CORE)
		return newest;
	return age < newest ? newest - age : 0;
}

/* Whether all of a snapshot is of one moment; else why not. */
static bool
is_of_one_moment(const struct ka_shm_snapshot *snapshot, char fault[128])
{
	uint64_t newest = snapshot->monitor.ticks;
	uint64_t oldest_event = newest > KA_SHM_EVENTS ? newest - KA_SHM_EVENTS + 1 : 1;

	if (newest != 0 && !is_filled(&snapshot->monitor, sizeof(snapshot->monitor), newest)) {
		snprintf(fault, 128, "the monitor's record is mixed at change %ju",
			 (uintmax_t)newest);
		return false;
	}
	for (unsigned int lcore = 0; lcore < KA_SHM_MAX_LCORES; lcore++) {
		uint64_t change = change_of_core(lcore, newest);

		if (is_filled(&snapshot->core[lcore], sizeof(snapshot->core[lcore]), change))
			continue;
		snprintf(fault, 128, "core %u is not of change %ju when the newest is %ju", lcore,
			 (uintmax_t)change, (uintmax_t)newest);
		return false;
	}
	for (uint64_t number = oldest_event; number <= newest; number++) {
		const struct ka_shm_event *event = &snapshot->event[(number - 1) % KA_SHM_EVENTS];

		if (is_filled(event, sizeof(*event), number))
			continue;
		snprintf(fault, 128, "event %ju is mixed when the newest is %ju", (uintmax_t)number,
			 (uintmax_t)newest);
		return false;
	}
	return true;
}

static bool
is_enough(const struct finding *finding, uint64_t elapsed_ns)
{
	if (elapsed_ns > DEADLINE_NS)
		return true;
	return elapsed_ns > RACE_NS && finding->snapshots >= SNAPSHOTS &&
	       finding->last >= finding->first + CHANGES;
}

static void *
read_snapshots(void *argument)
{
	struct finding *finding = argument;
	struct ka_shm_snapshot snapshot;
	uint64_t start = ka_shm_now_ns();

	while (finding->fault[0] == '\0' && !is_enough(finding, ka_shm_now_ns() - start)) {
		uint64_t before = finding->last;

		if (ka_shm_snapshot(finding->reader, &snapshot) != 0) {
			finding->no_quiet_moment++;
			continue;
		}
		finding->last = snapshot.monitor.ticks;
		if (finding->snapshots++ == 0)
			finding->first = finding->last;
		if (finding->last < before)
			snprintf(finding->fault, sizeof(finding->fault),
				 "went back from %ju to %ju", (uintmax_t)before,
				 (uintmax_t)finding->last);
		else
			is_of_one_moment(&snapshot, finding->fault);
	}
	return NULL;
}

static void
S8_no_snapshot_is_torn_or_mixed(void **state)
{
	char name[64];
	const struct ka_shm_config config = {
		.name = name,
		.program = "test_shm_threads",
		.mode = 0600,
		.group = (gid_t)-1,
		.period_ns = 1,
	};
	struct race race = { 0 };
	struct finding findings[NB_READERS] = { 0 };
	pthread_t readers[NB_READERS], writer;
	struct ka_shm_holder holder;
	bool replaced_stale;

	(void)state;
	snprintf(name, sizeof(name), "/ka-test-threads.%ld", (long)getpid());
	assert_int_equal(ka_shm_create(&race.writer, &config), 0);
	assert_int_equal(ka_shm_publish(race.writer, &holder, &replaced_stale), 0);
	/* Status 1, as publishing wrote it, is no change of ours: start from all zeros. */
	ka_shm_begin(race.writer);
	ka_shm_write_monitor(race.writer, &(struct ka_shm_monitor){ 0 });
	ka_shm_end(race.writer);

	assert_int_equal(pthread_create(&writer, NULL, write_changes, &race), 0);
	for (unsigned int i = 0; i < NB_READERS; i++) {
		assert_int_equal(ka_shm_open(&findings[i].reader, name, KA_SHM_LOOK, NULL), 0);
		assert_int_equal(pthread_create(&readers[i], NULL, read_snapshots, &findings[i]),
				 0);
	}
	for (unsigned int i = 0; i < NB_READERS; i++) {
		assert_int_equal(pthread_join(readers[i], NULL), 0);
		ka_shm_close(findings[i].reader);
	}
	atomic_store_explicit(&race.stop, true, memory_order_relaxed);
	assert_int_equal(pthread_join(writer, NULL), 0);
	ka_shm_destroy(race.writer);

	for (unsigned int i = 0; i < NB_READERS; i++) {
		print_message(
			"reader %u: %u snapshots over %ju changes, %u times no quiet moment\n", i,
			findings[i].snapshots, (uintmax_t)(findings[i].last - findings[i].first),
			findings[i].no_quiet_moment);
		assert_string_equal(findings[i].fault, "");
		assert_true(findings[i].snapshots >= SNAPSHOTS);
		assert_true(findings[i].last - findings[i].first >= CHANGES);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S8_no_snapshot_is_torn_or_mixed),
	};

	return cmocka_run_group_tests_name("shm_threads", tests, NULL, NULL);
}

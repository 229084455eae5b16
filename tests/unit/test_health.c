/* SPDX-License-Identifier: BSD-3-Clause */

/* Whether a supervisor should let the process run, by table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "health.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define NOW (100 * NS_PER_S)
#define LONG_AGO (NOW - HEALTH_PATIENCE_NS - 1)
#define JUST_NOW (NOW - HEALTH_PATIENCE_NS)

static void
a_core_is_judged_by_its_record(void **state)
{
	static const struct {
		const char *what;
		struct ka_shm_core core;
		unsigned int nb_ports;
		uint64_t period_ns;
		bool well;
	} row[] = {
		{ "alive", { .state = KA_STATE_ALIVE, .last_seen_ns = NOW }, 1, NS_PER_MS, true },
		{ "not seen yet", { .launched_ns = LONG_AGO }, 1, NS_PER_MS, true },
		{ "starved", { .state = KA_STATE_MISSING, .last_seen_ns = 1 }, 1, NS_PER_MS, true },
		{ "dead, a moment ago",
		  { .state = KA_STATE_DEAD, .last_seen_ns = JUST_NOW },
		  1,
		  NS_PER_MS,
		  true },
		{ "dead for long",
		  { .state = KA_STATE_DEAD, .last_seen_ns = LONG_AGO },
		  1,
		  NS_PER_MS,
		  false },
		{ "gone for long",
		  { .state = KA_STATE_GONE, .last_seen_ns = LONG_AGO },
		  1,
		  NS_PER_MS,
		  false },
		{ "gone for long, a moment where a ping takes a second",
		  { .state = KA_STATE_GONE, .last_seen_ns = LONG_AGO },
		  1,
		  NS_PER_S,
		  true },
		{ "never seen, dead for long",
		  { .state = KA_STATE_GONE, .launched_ns = LONG_AGO },
		  1,
		  NS_PER_MS,
		  false },
		{ "never seen, launched anew",
		  { .state = KA_STATE_GONE, .launched_ns = JUST_NOW },
		  1,
		  NS_PER_MS,
		  true },
		{ "given up", { .state = KA_STATE_GONE, .given_up_ns = 1 }, 2, NS_PER_MS, false },
		{ "given up, and others have its ports",
		  { .state = KA_STATE_GONE, .given_up_ns = 1 },
		  0,
		  NS_PER_MS,
		  true },
		{ "a heartbeat from after now",
		  { .state = KA_STATE_DEAD, .last_seen_ns = NOW + 1 },
		  1,
		  NS_PER_MS,
		  true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (health_of_core(&row[i].core, row[i].nb_ports, row[i].period_ns, NOW) !=
		    row[i].well)
			fail_msg("%s: should be %s", row[i].what, row[i].well ? "well" : "unwell");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_core_is_judged_by_its_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

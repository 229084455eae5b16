/* SPDX-License-Identifier: BSD-3-Clause */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan.h"

/* Ports, a port map, and the peer that each port used must get; -1 ends a list. */
struct pairing {
	const char *name;
	int ports[8];
	struct port_pair pairs[4];
	size_t nb_pairs;
	int used[8];
	int peers[8];
	bool has_odd;
};

static const struct pairing pairings[] = {
	{ "none", { -1 }, { { { 0 } } }, 0, { -1 }, { -1 }, false },
	{ "one alone", { 3, -1 }, { { { 0 } } }, 0, { 3, -1 }, { 3, -1 }, true },
	{ "two", { 0, 1, -1 }, { { { 0 } } }, 0, { 0, 1, -1 }, { 1, 0, -1 }, false },
	{ "two with a gap", { 2, 7, -1 }, { { { 0 } } }, 0, { 2, 7, -1 }, { 7, 2, -1 }, false },
	{ "three", { 0, 1, 2, -1 }, { { { 0 } } }, 0, { 0, 1, 2, -1 }, { 1, 0, 2, -1 }, true },
	{ "four",
	  { 0, 1, 2, 3, -1 },
	  { { { 0 } } },
	  0,
	  { 0, 1, 2, 3, -1 },
	  { 1, 0, 3, 2, -1 },
	  false },
	{ "beyond 64",
	  { 63, 64, 1023, -1 },
	  { { { 0 } } },
	  0,
	  { 63, 64, 1023, -1 },
	  { 64, 63, 1023, -1 },
	  true },
	{ "mapped crosswise",
	  { 0, 1, 2, 3, -1 },
	  { { { 0, 2 } }, { { 3, 1 } } },
	  2,
	  { 0, 1, 2, 3, -1 },
	  { 2, 3, 0, 1, -1 },
	  false },
	{ "mapped to itself", { 0, -1 }, { { { 0, 0 } } }, 1, { 0, -1 }, { 0, -1 }, false },
	{ "the map leaves ports out",
	  { 0, 1, 2, 3, -1 },
	  { { { 3, 0 } } },
	  1,
	  { 0, 3, -1 },
	  { 3, 0, -1 },
	  false },
};

static struct portmask
mask_of(const int *ports)
{
	struct portmask mask = { 0 };

	for (; *ports >= 0; ports++)
		portmask_add(&mask, (unsigned int)*ports);
	return mask;
}

static void
every_port_gets_its_peer(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(pairings) / sizeof(pairings[0]); i++) {
		const struct pairing *row = &pairings[i];
		const struct portmask mask = mask_of(row->ports);
		static struct plan plan;
		size_t nb = 0;

		print_message("    %s\n", row->name);
		assert_int_equal(plan_pairs(&plan, &mask, row->pairs, row->nb_pairs), 0);
		for (; row->used[nb] >= 0; nb++) {
			assert_int_equal(plan.port[nb].port, row->used[nb]);
			assert_int_equal(plan.port[nb].peer, row->peers[nb]);
		}
		assert_int_equal(plan.nb_ports, nb);
		assert_int_equal(plan.has_odd, row->has_odd);
	}
}

static void
a_mapped_port_that_is_not_there_is_named(void **state)
{
	const struct portmask mask = mask_of((const int[]){ 0, 1, -1 });
	const struct port_pair pairs[] = { { { 0, 1 } }, { { 5, 0 } } };
	static struct plan plan;

	(void)state;
	assert_int_equal(plan_pairs(&plan, &mask, pairs, 2), -6);
}

/* Ports and workers there are, ports a worker asked for; what must come out. */
struct spreading {
	int nb_ports;
	size_t workers;
	unsigned int ports_per_lcore;
	size_t needed;	    /* Returned: 0 = they fit. */
	size_t nb_workers;  /* Workers that got a port. */
	size_t most, least; /* Ports of the worker with most and with least. */
};

static const struct spreading spreadings[] = {
	{ 1, 1, 0, 0, 1, 1, 1 },    { 2, 1, 0, 0, 1, 2, 2 },   { 2, 2, 0, 0, 2, 1, 1 },
	{ 2, 5, 0, 0, 2, 1, 1 },    { 5, 2, 0, 0, 2, 3, 2 },   { 7, 3, 0, 0, 3, 3, 2 },
	{ 16, 1, 0, 0, 1, 16, 16 }, { 17, 1, 0, 17, 0, 0, 0 }, { 17, 2, 0, 0, 2, 9, 8 },
	{ 2, 1, 1, 2, 0, 0, 0 },    { 2, 1, 2, 0, 1, 2, 2 },   { 4, 4, 2, 0, 2, 2, 2 },
	{ 5, 2, 2, 3, 0, 0, 0 },    { 5, 3, 2, 0, 3, 2, 1 },   { 16, 1, 16, 0, 1, 16, 16 },
	{ 17, 1, 16, 17, 0, 0, 0 },
};

static void
ports_are_spread_over_workers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(spreadings) / sizeof(spreadings[0]); i++) {
		const struct spreading *row = &spreadings[i];
		size_t of_worker[32] = { 0 }, most = 0, least = SIZE_MAX;
		struct portmask mask = { 0 };
		static struct plan plan;

		print_message("    %d ports, %zu workers, -q %u\n", row->nb_ports, row->workers,
			      row->ports_per_lcore);
		for (int port = 0; port < row->nb_ports; port++)
			portmask_add(&mask, (unsigned int)port);
		assert_int_equal(plan_pairs(&plan, &mask, NULL, 0), 0);
		assert_int_equal(plan_workers(&plan, row->workers, row->ports_per_lcore),
				 row->needed);
		if (row->needed != 0)
			continue;
		assert_int_equal(plan.nb_workers, row->nb_workers);
		for (size_t port = 0; port < plan.nb_ports; port++) {
			assert_true(plan.port[port].worker < plan.nb_workers);
			of_worker[plan.port[port].worker]++;
		}
		for (size_t worker = 0; worker < plan.nb_workers; worker++) {
			most = of_worker[worker] > most ? of_worker[worker] : most;
			least = of_worker[worker] < least ? of_worker[worker] : least;
		}
		assert_int_equal(most, row->most);
		assert_int_equal(least, row->least);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_port_gets_its_peer),
		cmocka_unit_test(a_mapped_port_that_is_not_there_is_named),
		cmocka_unit_test(ports_are_spread_over_workers),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}

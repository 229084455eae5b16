/* SPDX-License-Identifier: BSD-3-Clause */

#include "plan.h"

/* The port that a map gives as partner; -1 when it does not name the port. */
static int
mapped_peer(const struct port_pair *pairs, size_t nb_pairs, uint16_t port)
{
	for (size_t i = 0; i < nb_pairs; i++) {
		if (pairs[i].port[0] == port)
			return pairs[i].port[1];
		if (pairs[i].port[1] == port)
			return pairs[i].port[0];
	}
	return -1;
}

static void
pair_in_order(struct plan *plan)
{
	for (size_t i = 0; i < plan->nb_ports; i++) {
		size_t partner = i ^ 1;

		plan->has_odd = partner >= plan->nb_ports;
		plan->port[i].peer = plan->port[plan->has_odd ? i : partner].port;
	}
}

int
plan_pairs(struct plan *plan, const struct portmask *ports, const struct port_pair *pairs,
	   size_t nb_pairs)
{
	*plan = (struct plan){ 0 };
	for (size_t i = 0; i < nb_pairs; i++)
		for (size_t side = 0; side < 2; side++)
			if (!portmask_has(ports, pairs[i].port[side]))
				return -(int)pairs[i].port[side] - 1;

	for (unsigned int port = 0; port < OPTIONS_MAX_PORTS; port++) {
		int peer = nb_pairs == 0 ? 0 : mapped_peer(pairs, nb_pairs, (uint16_t)port);

		if (portmask_has(ports, port) && peer >= 0)
			plan->port[plan->nb_ports++] = (struct plan_port){
				.port = (uint16_t)port,
				.peer = (uint16_t)peer,
			};
	}
	if (nb_pairs == 0)
		pair_in_order(plan);
	return 0;
}

size_t
plan_workers(struct plan *plan, size_t workers, unsigned int ports_per_lcore)
{
	size_t needed = (plan->nb_ports + workers - 1) / workers;
	size_t used = plan->nb_ports < workers ? plan->nb_ports : workers;

	if (needed > (ports_per_lcore != 0 ? ports_per_lcore : OPTIONS_MAX_PORTS_PER_LCORE))
		return needed;
	for (size_t i = 0; i < plan->nb_ports; i++)
		plan->port[i].worker =
			(unsigned int)(ports_per_lcore != 0 ? i / ports_per_lcore :
							      i * used / plan->nb_ports);
	plan->nb_workers = plan->nb_ports == 0 ? 0 : plan->port[plan->nb_ports - 1].worker + 1;
	return 0;
}

bool
plan_has(const struct plan *plan, unsigned int port)
{
	for (size_t i = 0; i < plan->nb_ports; i++)
		if (plan->port[i].port == port)
			return true;
	return false;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include "health.h"

/* One that never gave a heartbeat is silent since its launch. */
static uint64_t
silent_since_ns(const struct ka_shm_core *core)
{
	return core->last_seen_ns != 0 ? core->last_seen_ns : core->launched_ns;
}

bool
health_of_core(const struct ka_shm_core *core, unsigned int nb_ports, uint64_t period_ns,
	       uint64_t now_ns)
{
	const bool dead = core->state == KA_STATE_DEAD || core->state == KA_STATE_GONE;
	uint64_t patience_ns = HEALTH_PATIENCE_NS;

	if (period_ns > patience_ns / HEALTH_PATIENCE_PERIODS)
		patience_ns = HEALTH_PATIENCE_PERIODS * period_ns;
	if (core->given_up_ns != 0)
		return nb_ports == 0;
	return !dead || now_ns < silent_since_ns(core) ||
	       now_ns - silent_since_ns(core) <= patience_ns;
}

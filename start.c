/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <numa.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "port.h"
#include "start.h"

struct start_workers
start_workers(void)
{
	struct start_workers workers = { 0 };
	unsigned int lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
		workers.lcore[workers.nb++] = lcore;
	return workers;
}

/* ---- Ports and workers ---- */

/* "0, 1, 2" or "none", cut where the room ends. */
static const char *
list_ports(const struct portmask *mask, char *text, size_t size)
{
	size_t length = 0;

	snprintf(text, size, "none");
	for (unsigned int port = 0; port < OPTIONS_MAX_PORTS && length < size; port++)
		if (portmask_has(mask, port))
			length += (size_t)snprintf(text + length, size - length, "%s%u",
						   length == 0 ? "" : ", ", port);
	return text;
}

static bool
is_empty(const struct portmask *mask)
{
	static const struct portmask empty;

	return memcmp(mask, &empty, sizeof(empty)) == 0;
}

static int
check_ports(const struct portmask *wanted, const struct portmask *available,
	    char error[START_ERROR_MAX])
{
	char list[256];

	list_ports(available, list, sizeof(list));
	if (is_empty(available)) {
		snprintf(error, START_ERROR_MAX,
			 "no port found: bind a device to vfio-pci, or give EAL one, as in "
			 "--vdev=net_null0 --vdev=net_null1");
		return -EINVAL;
	}
	for (unsigned int port = 0; port < OPTIONS_MAX_PORTS; port++) {
		if (portmask_has(wanted, port) && !portmask_has(available, port)) {
			snprintf(error, START_ERROR_MAX,
				 "-p: bit %u is set but there is no port %u: the ports are %s",
				 port, port, list);
			return -EINVAL;
		}
	}
	return 0;
}

/* The ports do not fit on the workers: the arithmetic, and the two ways out. */
static void
explain_workers(const struct plan *plan, size_t workers, unsigned int given, size_t needed,
		char error[START_ERROR_MAX])
{
	const unsigned int limit = given != 0 ? given : OPTIONS_MAX_PORTS_PER_LCORE;
	const size_t lcores = (plan->nb_ports + limit - 1) / limit;

	if (needed > OPTIONS_MAX_PORTS_PER_LCORE)
		snprintf(error, START_ERROR_MAX,
			 "-q %u: %zu ports need %zu workers, there are %zu: give EAL %zu lcores "
			 "(-l 0-%zu)",
			 limit, plan->nb_ports, lcores, workers, lcores + 1, lcores);
	else
		snprintf(error, START_ERROR_MAX,
			 "-q %u: %zu ports at %u a worker need %zu workers, there %s %zu: raise -q "
			 "to %zu, or give EAL %zu lcores (-l 0-%zu)",
			 limit, plan->nb_ports, limit, lcores, workers == 1 ? "is" : "are", workers,
			 needed, lcores + 1, lcores);
}

int
start_plan(struct plan *plan, const struct options *options, const struct start_workers *workers,
	   char error[START_ERROR_MAX])
{
	const struct portmask available = port_available();
	const struct portmask *ports = options->portmask_given ? &options->portmask : &available;
	char list[256];
	size_t needed;
	int missing;

	if (check_ports(ports, &available, error) != 0)
		return -EINVAL;
	if (workers->nb == 0) {
		snprintf(error, START_ERROR_MAX,
			 "no worker lcore: the main lcore only watches, so give EAL at least two, "
			 "as in -l 0-1");
		return -EINVAL;
	}
	missing = plan_pairs(plan, ports, options->pairs, options->nb_pairs);
	if (missing != 0) {
		snprintf(error, START_ERROR_MAX,
			 "--portmap: port %d is not in use: the ports are %s", -missing - 1,
			 list_ports(ports, list, sizeof(list)));
		return -EINVAL;
	}
	needed = plan_workers(plan, workers->nb, options->ports_per_lcore);
	if (needed != 0) {
		explain_workers(plan, workers->nb, options->ports_per_lcore, needed, error);
		return -EINVAL;
	}
	return 0;
}

/* ---- The segment ---- */

static void
explain_creation(int rc, const struct options *options, char error[START_ERROR_MAX])
{
	if (rc == -EPERM && options->shm_group != (gid_t)-1)
		snprintf(error, START_ERROR_MAX,
			 "--shm-group: this user may not give the segment to group %u: become a "
			 "member of it, or run with CAP_CHOWN",
			 (unsigned int)options->shm_group);
	else
		snprintf(error, START_ERROR_MAX,
			 "--shm-name %s: cannot make the segment: %s (is /dev/shm mounted, and may "
			 "this user write there?)",
			 options->shm_name, strerror(-rc));
}

static void
explain_refusal(int rc, const char *name, const struct ka_shm_holder *holder,
		char error[START_ERROR_MAX])
{
	switch (rc) {
	case -EBUSY:
		if (holder->pid == 0) {
			snprintf(error, START_ERROR_MAX,
				 "--shm-name %s: DPDK's original l2fwd-keepalive is using the "
				 "segment: stop it, or choose another --shm-name or EAL "
				 "--file-prefix",
				 name);
			break;
		}
		snprintf(error, START_ERROR_MAX,
			 "--shm-name %s: the segment belongs to process %d, which is alive: stop "
			 "it, or choose another --shm-name or EAL --file-prefix",
			 name, (int)holder->pid);
		break;
	case -EPERM:
		snprintf(error, START_ERROR_MAX,
			 "--shm-name %s: /dev/shm%s belongs to user %u: remove it, or choose "
			 "another --shm-name",
			 name, name, (unsigned int)holder->uid);
		break;
	case -EEXIST:
		snprintf(error, START_ERROR_MAX,
			 "--shm-name %s: /dev/shm%s exists and is no keepalive segment: remove it, "
			 "or choose another --shm-name",
			 name, name);
		break;
	case -ENOSPC:
		snprintf(error, START_ERROR_MAX,
			 "--shm-name %s: /dev/shm is full: the segment takes %zu bytes; make room "
			 "there, or mount it larger",
			 name, sizeof(struct ka_shm_segment));
		break;
	default:
		snprintf(error, START_ERROR_MAX, "--shm-name %s: cannot publish the segment: %s",
			 name, strerror(-rc));
	}
}

/* Before the first touch, which decides where pages lie. A wish: elsewhere it works as well. */
static void
place_on_node(const struct ka_shm_writer *writer)
{
	size_t length;
	void *memory = ka_shm_memory(writer, &length);

	if (numa_available() >= 0 && numa_max_node() > 0)
		numa_tonode_memory(memory, length, (int)rte_socket_id());
}

int
start_segment(struct ka_shm_writer **writer, const struct options *options,
	      char notice[START_ERROR_MAX], char error[START_ERROR_MAX])
{
	const struct ka_shm_config config = {
		.name = options->shm_name,
		.program = "l2fwd-keepalive " PROJECT_VERSION,
		.mode = options->shm_mode,
		.group = options->shm_group,
		.period_ns = options->check_period_ns,
		.tsc = rte_rdtsc(),
		.tsc_hz = rte_get_tsc_hz(),
		.main_lcore = rte_lcore_id(),
	};
	struct ka_shm_holder holder = { 0 };
	bool replaced_stale = false;
	int rc;

	notice[0] = '\0';
	rc = ka_shm_create(writer, &config);
	if (rc != 0) {
		explain_creation(rc, options, error);
		return rc;
	}
	place_on_node(*writer);
	rc = ka_shm_publish(*writer, &holder, &replaced_stale);
	if (rc != 0) {
		ka_shm_destroy(*writer);
		*writer = NULL;
		explain_refusal(rc, options->shm_name, &holder, error);
		return rc;
	}
	if (replaced_stale && holder.pid == 0)
		snprintf(notice, START_ERROR_MAX,
			 "segment %s of DPDK's original l2fwd-keepalive, not in use: replaced",
			 options->shm_name);
	else if (replaced_stale)
		snprintf(notice, START_ERROR_MAX,
			 "segment %s was left behind by process %d, which is gone: replaced",
			 options->shm_name, (int)holder.pid);
	return 0;
}

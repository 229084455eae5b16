/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef OPTIONS_H
#define OPTIONS_H

/*
 * argv -> struct options, before EAL is started: a typo or --help needs neither root nor huge
 * pages. Knows nothing of EAL, logging or exit.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fault.h"
#include "recovery.h"
#include "shm.h"

/** Ports that a mask can name; the widest RTE_MAX_ETHPORTS that DPDK can be built with. */
#define OPTIONS_MAX_PORTS 1024

/** Ports a worker may poll. */
#define OPTIONS_MAX_PORTS_PER_LCORE 16

/** Room for one line of complaint. */
#define OPTIONS_ERROR_MAX 256

/** A set of ports: port p is bit p % 64 of word p / 64. */
struct portmask {
	uint64_t word[OPTIONS_MAX_PORTS / 64];
};

/** Two ports that forward to each other; a port may be paired with itself. */
struct port_pair {
	uint16_t port[2];
};

/** What main() is to do after the options were read. */
enum options_action {
	OPTIONS_RUN,	 /**< Start. */
	OPTIONS_HELP,	 /**< Print the usage on stdout, exit 0. */
	OPTIONS_VERSION, /**< Print the version on stdout, exit 0. */
	OPTIONS_ERROR,	 /**< Print the one line in error on stderr, exit 2. */
};

/** Everything that the command line said; defaults where it said nothing. */
struct options {
	bool portmask_given;	      /**< -p was given; else every port that EAL finds. */
	struct portmask portmask;     /**< -p */
	unsigned int ports_per_lcore; /**< -q, 1 to 16; 0 = not given: spread. */
	uint64_t check_period_ns;     /**< -K in nanoseconds; 0 = keepalive off. Default 5 ms. */
	bool late_given;	      /**< --late-us was given. */
	uint64_t late_ns;	      /**< It in nanoseconds; 0 = off. Default a quarter of -K. */
	unsigned int stats_period_s;  /**< -T in seconds, 0 (off) to 86400. Default 10. */
	struct port_pair *pairs;      /**< --portmap; NULL = pair in order. Owned. */
	size_t nb_pairs;	      /**< Entries of pairs. */
	bool mac_updating;	      /**< Not --no-mac-updating. */
	bool promiscuous;	      /**< Not --no-promiscuous. */
	uint64_t demo_lifetime_ns;  /**< --demo-lifetime in nanoseconds; 0 = never. Default 8 s. */
	enum fault_demo demo_fault; /**< --demo-fault. Default FAULT_DEMO_EXIT. */
	bool allow_faults;	    /**< --allow-faults */
	struct fault_plan faults;   /**< --fault; only with allow_faults. */
	enum recovery_policy on_hang;	    /**< --on-hang. Default RECOVERY_REPORT. */
	struct recovery_limit max_restarts; /**< --max-restarts. Default 5 in 1 s. */
	bool takeover;	 /**< --takeover: ports of a worker that is given up go to another. */
	bool seed_given; /**< --seed was given. */
	uint64_t seed;	 /**< --seed */
	uint64_t alarm_hold_ns; /**< --alarm-hold in nanoseconds, up to a day. Default 0. */
	char shm_name[KA_SHM_NAME_MAX + 1]; /**< --shm-name, or from EAL's --file-prefix. */
	mode_t shm_mode;		    /**< --shm-mode. Default 0600. */
	gid_t shm_group;		    /**< --shm-group; (gid_t)-1 = not given. */
};

/**
 * Read the application's part of a command line "program [EAL options] -- [options]".
 *
 * The EAL part is left alone but for --file-prefix, which gives the segment's default name, and
 * for --help, -h, --version and -V, which are answered here so that they need no EAL.
 *
 * A value is taken as it is written or refused: it is never narrowed, clamped or rounded. An
 * option given again replaces the one before. Uses getopt_long() and getgrnam(): for one thread.
 *
 * @param options  filled; to be given to options_free() after OPTIONS_RUN.
 * @param argc,argv  of main(). Neither the strings nor their order are changed.
 * @param eal_argc  set to the number of leading arguments that are for rte_eal_init(), program
 *   name included, "--" excluded.
 * @param error  one line without newline, for OPTIONS_ERROR: option, value, why, what to do.
 */
enum options_action options_parse(struct options *options, int argc, char *argv[], int *eal_argc,
				  char error[OPTIONS_ERROR_MAX]);

/** Give back what options_parse() allocated. */
void options_free(struct options *options);

/** The usage text: grouped by theme, with units, ranges and defaults; ends with a newline. */
const char *options_usage(void);

/** Whether a port is in the mask; ports of OPTIONS_MAX_PORTS and more never are. */
bool portmask_has(const struct portmask *mask, unsigned int port);

/** Put a port into the mask. @param port below OPTIONS_MAX_PORTS. */
void portmask_add(struct portmask *mask, unsigned int port);

#endif /* OPTIONS_H */

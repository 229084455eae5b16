/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_OPTIONS_H
#define KA_AGENT_OPTIONS_H

/* argv -> struct agent_options. Prints nothing and never exits. */

#include <stdbool.h>

#include "../shm.h"

/** Room for one line of complaint. */
#define AGENT_ERROR_MAX 512

/** What main() is to do after the options were read. */
enum agent_action {
	AGENT_RUN,     /**< Watch. */
	AGENT_HELP,    /**< Print the usage on stdout, exit 0. */
	AGENT_VERSION, /**< Print the version on stdout, exit 0. */
	AGENT_ERROR,   /**< Print the one line in error on stderr, exit 2. */
};

/** What the agent does. */
enum agent_view {
	AGENT_WATCH,  /**< Attach, and say each death. */
	AGENT_STATUS, /**< Look once and print a table. */
	AGENT_TOP,    /**< Look again and again, with the table on the terminal. */
	AGENT_CHECK,  /**< Look once and answer a probe. */
};

/** Everything that the command line said; defaults where it said nothing. */
struct agent_options {
	char name[KA_SHM_NAME_MAX + 1]; /**< Name of the segment, valid. */
	const char *shm_name;		/**< -n as given; NULL = not given. Points into argv. */
	const char *file_prefix;	/**< -f as given; NULL = not given. Points into argv. */
	bool follow;			/**< -F */
	bool verbose;			/**< -v */
	const char *metrics;		/**< --metrics; NULL = not given. Points into argv. */
	bool json;			/**< --json */
	bool syslog;			/**< --syslog */
	const char *exec;		/**< --exec; NULL = not given. Points into argv. */
	enum agent_view view;		/**< --status, --top, --check. */
	uint64_t max_age_ns;		/**< --max-age; 0 = not given. */
};

/**
 * Read a command line.
 *
 * @param options  filled.
 * @param argc,argv  of main(). The strings and their order are not changed.
 * @param error  one line without newline, for AGENT_ERROR: option, value, why, what to do.
 */
enum agent_action agent_options_parse(struct agent_options *options, int argc, char *const argv[],
				      char error[AGENT_ERROR_MAX]);

/** The usage text: grouped by theme, with defaults and exit codes; ends with a newline. */
const char *agent_options_usage(void);

#endif /* KA_AGENT_OPTIONS_H */

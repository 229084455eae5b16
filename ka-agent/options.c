/* SPDX-License-Identifier: BSD-3-Clause */

#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../number.h"
#include "options.h"

/* Longest --max-age: a day. */
#define MAX_AGE_MAX_MS 86400000
#define NS_PER_MS UINT64_C(1000000)

/** What every complaint ends with. */
#define SEE_HELP "see ka-agent --help"

/** Of a wrong value this much is repeated in the complaint, so that the reason still fits. */
#define SHOWN_MAX "80"

/* Options without a letter. */
enum {
	OPTION_CHECK = 256,
	OPTION_EXEC,
	OPTION_JSON,
	OPTION_MAX_AGE,
	OPTION_METRICS,
	OPTION_STATUS,
	OPTION_SYSLOG,
	OPTION_TOP,
};

/* In the order of the alphabet. */
static const struct option option_table[] = {
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "exec", required_argument, NULL, OPTION_EXEC },
	{ "file-prefix", required_argument, NULL, 'f' },
	{ "follow", no_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "max-age", required_argument, NULL, OPTION_MAX_AGE },
	{ "metrics", required_argument, NULL, OPTION_METRICS },
	{ "shm-name", required_argument, NULL, 'n' },
	{ "status", no_argument, NULL, OPTION_STATUS },
	{ "syslog", no_argument, NULL, OPTION_SYSLOG },
	{ "top", no_argument, NULL, OPTION_TOP },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* '+': stop at the first operand; ':': tell a missing value from an unknown option. */
static const char option_letters[] = "+:f:Fhn:vV";

static const char usage[] =
	"Usage: ka-agent [options]\n"
	"\n"
	"Waits beside a running l2fwd-keepalive and prints which cores died, one line each\n"
	"time that it is woken: \"2 dead cores: 1, 3,\". Ends when l2fwd-keepalive does.\n"
	"\n"
	"Which l2fwd-keepalive (one of the two):\n"
	"  -f, --file-prefix PREFIX  the one that runs with EAL's --file-prefix PREFIX\n"
	"                            (default: rte, as EAL's own)\n"
	"  -n, --shm-name NAME       the one that runs with --shm-name NAME\n"
	"                            (default: " KA_SHM_DEFAULT_NAME ", and \".PREFIX\"\n"
	"                            behind it with -f)\n"
	"\n"
	"Watching (all of these go together):\n"
	"      --exec CMD            for each event run CMD EVENT LCORE CAUSE OUTAGE_MS, never by a\n"
	"                            shell, for 10 s at most; 8 run at once, 64 events wait, more\n"
	"                            are dropped and counted (default: off)\n"
	"  -F, --follow              go on with the next instance after the end of one, and wait\n"
	"                            for the first if there is none yet (default: off)\n"
	"      --json                print one JSON object for each event, instead of text\n"
	"                            (default: off)\n"
	"      --metrics FILE        for Prometheus: once a second, replace FILE by all figures, as\n"
	"                            text for node_exporter's textfile collector (default: off)\n"
	"      --syslog              write a line for each event to the system's log, too\n"
	"                            (default: off)\n"
	"  -v, --verbose             after each line, tell the cause of every death, its outage\n"
	"                            in ms, restarts and recoveries (default: off)\n"
	"\n"
	"Looking (beside any agent; one of the three, without the options of watching):\n"
	"      --check               answer a probe: one line, and an exit code below, within 50 ms\n"
	"      --max-age MS          with --check: a heartbeat older than MS milliseconds, decimals\n"
	"                            allowed, up to a day, is too old: that of the monitor, and\n"
	"                            that of a dead core which was launched again (default: 200,\n"
	"                            or 9 check periods if longer)\n"
	"      --status              print a table once: what each core does, how it died, what\n"
	"                            the turns of its loop take, and exit\n"
	"      --top                 the same on the terminal, refreshed every second: q ends it,\n"
	"                            ? explains it; as --status when stdout is no terminal\n"
	"\n"
	"Other:\n"
	"  -h, --help                print this and exit\n"
	"  -V, --version             print the version and exit\n"
	"\n"
	"Exit codes:\n"
	"  0  l2fwd-keepalive has stopped in good order, or the agent got SIGINT or SIGTERM;\n"
	"     the table was printed, or --top was ended; with --check: all is well\n"
	"  1  an error in the agent itself, such as output that cannot be written;\n"
	"     with --check: a core is dead or given up\n"
	"  2  wrong usage\n"
	"  3  nothing to watch, or what was watched has died\n"
	"  4  l2fwd-keepalive lives but has stalled for 12 s (or 9 check periods if longer);\n"
	"     with --status: its monitor does not tick (for 200 ms, or 9 check periods);\n"
	"     with --check: nor for --max-age\n";

const char *
agent_options_usage(void)
{
	return usage;
}

static enum agent_action __attribute__((format(printf, 2, 3)))
refuse(char error[AGENT_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, AGENT_ERROR_MAX, format, args);
	va_end(args);
	return AGENT_ERROR;
}

static const char *
long_name_of(int letter)
{
	const struct option *row = option_table;

	while (row->name != NULL && row->val != letter)
		row++;
	return row->name;
}

/*
 * What getopt_long() itself refuses: c is what it returned, word what it read last. It leaves the
 * letter of an option that it knows, but not with that value or without one, in optopt; and 0 for
 * a long option that it does not know.
 */
static enum agent_action
refuse_word(char error[AGENT_ERROR_MAX], int c, const char *word)
{
	const char *name = long_name_of(optopt);

	if (c == ':')
		return refuse(error, "-%c/--%s needs a value; " SEE_HELP, optopt, name);
	if (optopt == 0)
		return refuse(error, "option %." SHOWN_MAX "s is not known; " SEE_HELP, word);
	if (name == NULL)
		return refuse(error, "option -%c is not known; " SEE_HELP, optopt);
	return refuse(error, "%." SHOWN_MAX "s: --%s takes no value; " SEE_HELP, word, name);
}

/* Find the segment's name from what was given. */
static enum agent_action
settle_name(struct agent_options *options, char error[AGENT_ERROR_MAX])
{
	if (options->shm_name != NULL && options->file_prefix != NULL)
		return refuse(error,
			      "-n %." SHOWN_MAX "s and -f %." SHOWN_MAX
			      "s name two segments; give one of them",
			      options->shm_name, options->file_prefix);
	if (options->shm_name != NULL) {
		if (!ka_shm_name_is_valid(options->shm_name))
			return refuse(error,
				      "--shm-name %." SHOWN_MAX "s: a name is a slash and at most "
				      "%d characters without a slash, such as %s",
				      options->shm_name, KA_SHM_NAME_MAX - 1, KA_SHM_DEFAULT_NAME);
		snprintf(options->name, sizeof(options->name), "%s", options->shm_name);
		return AGENT_RUN;
	}
	if (ka_shm_name_of_prefix(options->name, options->file_prefix) != 0)
		return refuse(error,
			      "--file-prefix %." SHOWN_MAX "s: a prefix is 1 to %zu characters "
			      "without a slash, as given to l2fwd-keepalive",
			      options->file_prefix,
			      KA_SHM_NAME_MAX - strlen(KA_SHM_DEFAULT_NAME "."));
	return AGENT_RUN;
}

static const char *
view_name(enum agent_view view)
{
	return view == AGENT_STATUS ? "--status" : view == AGENT_TOP ? "--top" : "--check";
}

/* Take a choice of what to do; there is one at most, and it is not to watch. */
static enum agent_action
choose_view(struct agent_options *options, enum agent_view view, char error[AGENT_ERROR_MAX])
{
	if (options->view != AGENT_WATCH && options->view != view)
		return refuse(error, "%s and %s do not go together; give one of them",
			      view_name(options->view), view_name(view));
	options->view = view;
	return AGENT_RUN;
}

/* One that only makes sense for who watches; NULL if none is given. */
static const char *
watching_option(const struct agent_options *options)
{
	return options->follow		? "-F/--follow" :
	       options->verbose		? "-v/--verbose" :
	       options->json		? "--json" :
	       options->syslog		? "--syslog" :
	       options->exec != NULL	? "--exec" :
	       options->metrics != NULL ? "--metrics" :
					  NULL;
}

static enum agent_action
check_view(const struct agent_options *options, char error[AGENT_ERROR_MAX])
{
	if (options->max_age_ns != 0 && options->view != AGENT_CHECK)
		return refuse(error, "--max-age is for --check only; " SEE_HELP);
	if (options->exec != NULL && options->exec[0] == '\0')
		return refuse(error, "--exec is empty: give a program; " SEE_HELP);
	if (options->metrics != NULL && options->metrics[0] == '\0')
		return refuse(error, "--metrics is empty: give a file; " SEE_HELP);
	if (options->view == AGENT_WATCH || watching_option(options) == NULL)
		return AGENT_RUN;
	return refuse(error, "%s only looks and does not watch: leave out %s; " SEE_HELP,
		      view_name(options->view), watching_option(options));
}

static enum agent_action
read_max_age(struct agent_options *options, const char *value, char error[AGENT_ERROR_MAX])
{
	const char *end = value;

	if (number_take_time(&end, NS_PER_MS, MAX_AGE_MAX_MS * NS_PER_MS, &options->max_age_ns) !=
		    NUMBER_OK ||
	    *end != '\0' || options->max_age_ns == 0)
		return refuse(error,
			      "--max-age %." SHOWN_MAX
			      "s: not a number of milliseconds above 0 and "
			      "up to %d, with six decimals at most; " SEE_HELP,
			      value, MAX_AGE_MAX_MS);
	return AGENT_RUN;
}

static enum agent_view
view_of(int option)
{
	return option == OPTION_STATUS ? AGENT_STATUS :
	       option == OPTION_TOP    ? AGENT_TOP :
					 AGENT_CHECK;
}

/* What getopt_long() found; word is what it read last. AGENT_RUN: go on. */
static enum agent_action
take_option(struct agent_options *options, int c, const char *word, char error[AGENT_ERROR_MAX])
{
	switch (c) {
	case 'f':
		options->file_prefix = optarg;
		break;
	case 'F':
		options->follow = true;
		break;
	case 'h':
		return AGENT_HELP;
	case 'n':
		options->shm_name = optarg;
		break;
	case 'v':
		options->verbose = true;
		break;
	case 'V':
		return AGENT_VERSION;
	case OPTION_EXEC:
		options->exec = optarg;
		break;
	case OPTION_JSON:
		options->json = true;
		break;
	case OPTION_SYSLOG:
		options->syslog = true;
		break;
	case OPTION_METRICS:
		options->metrics = optarg;
		break;
	case OPTION_MAX_AGE:
		return read_max_age(options, optarg, error);
	case OPTION_CHECK:
	case OPTION_STATUS:
	case OPTION_TOP:
		return choose_view(options, view_of(c), error);
	default:
		return refuse_word(error, c, word);
	}
	return AGENT_RUN;
}

enum agent_action
agent_options_parse(struct agent_options *options, int argc, char *const argv[],
		    char error[AGENT_ERROR_MAX])
{
	enum agent_action action;
	int c;

	*options = (struct agent_options){ .follow = false };
	error[0] = '\0';
	opterr = 0;
	optind = 0; /* glibc: start afresh, also when called again. */
	while ((c = getopt_long(argc, argv, option_letters, option_table, NULL)) != -1) {
		action = take_option(options, c, argv[optind - 1], error);
		if (action != AGENT_RUN)
			return action;
	}
	if (optind < argc)
		return refuse(error,
			      "'%." SHOWN_MAX
			      "s' is not an option; ka-agent takes no operands; " SEE_HELP,
			      argv[optind]);
	if (check_view(options, error) == AGENT_ERROR)
		return AGENT_ERROR;
	return settle_name(options, error);
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"
#include "options.h"

/* Room for what a reader of a value has to say against it. */
#define WHY_MAX 96

/* Of a wrong value this much is repeated in the complaint, so that the reason still fits. */
#define VALUE_SHOWN 60

/* Room for an option's name or names in a complaint. */
#define NAMES_MAX 48

/* Longest -K in milliseconds, longest -T and --demo-lifetime in seconds: a day in seconds. */
#define PERIOD_MAX 86400

/* Longest --alarm-hold: a day in milliseconds. */
#define ALARM_HOLD_MAX_MS 86400000

/* Longest --late-us: a day in microseconds. */
#define LATE_MAX_US (PERIOD_MAX * UINT64_C(1000000))

/* Shortest -K but for 0: 0.1 ms. */
#define CHECK_PERIOD_MIN_NS UINT64_C(100000)

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* getopt_long() returns this plus the row of the table for a long option. */
#define LONG_CODE 256

/* Reads a value into options; false, and why, when it cannot be. A flag has value NULL. */
typedef bool (*reader_fn)(struct options *options, const char *value, char why[WHY_MAX]);

/* One option. */
struct row {
	const char *name;	    /* Long name. */
	char letter;		    /* Short name; 0 = none. */
	enum options_action action; /* OPTIONS_RUN: go on reading. */
	reader_fn read;		    /* NULL where action says it all. */
	const char *give;	    /* What the value may be; NULL = there is none. */
};

static const char usage[] =
	"Usage: l2fwd-keepalive [EAL options] -- [options]\n"
	"\n"
	"Forwards frames between pairs of ports on worker lcores, watches the workers'\n"
	"heartbeats and restarts a worker that died. EAL options stand before the --,\n"
	"the options below behind it. Example:\n"
	"\n"
	"  l2fwd-keepalive -l 0-1 -- -p 3\n"
	"\n"
	"Ports and queues:\n"
	"  -p, --portmask MASK         ports to use, a hexadecimal mask of up to 1024\n"
	"                              bits (default: every port that EAL finds)\n"
	"  -q, --ports-per-lcore NQ    ports that a worker lcore polls, 1 to 16 (default:\n"
	"                              one where workers suffice, else spread evenly)\n"
	"      --portmap \"(a,b)(c,d)\"  pairs of ports that forward to each other; (a,a)\n"
	"                              sends back (default: paired in order)\n"
	"      --no-mac-updating       leave the MAC addresses of the frames as they are\n"
	"      --no-promiscuous        receive only what is addressed to the port\n"
	"\n"
	"Watching:\n"
	"  -K, --check-period MS       milliseconds between two pings, 0.1 to 86400,\n"
	"                              decimals allowed; 0 = keepalive off (default: 5)\n"
	"      --late-us US            a turn of a worker's loop that takes so many\n"
	"                              microseconds counts as late, decimals allowed;\n"
	"                              0 = none (default: a quarter of -K)\n"
	"  -T, --stats-period SEC      whole seconds between two tables of statistics,\n"
	"                              up to 86400; 0 = off (default: 10)\n"
	"\n"
	"Recovery:\n"
	"      --on-hang POLICY        what is done with a worker that hangs: report and\n"
	"                              watch it; respawn it, where it can safely be taken\n"
	"                              out; abort with a core dump (default: report)\n"
	"      --max-restarts N/SEC    restarts of a worker in SEC seconds, decimals\n"
	"                              allowed; beyond it there are pauses of up to 1 s,\n"
	"                              then the worker is given up (default: 5/1)\n"
	"      --takeover              a worker that is given up leaves its ports to the\n"
	"                              worker with the fewest (default: they stay down)\n"
	"\n"
	"Demonstration:\n"
	"      --demo-lifetime SEC     every worker leaves its loop at a random moment\n"
	"                              within SEC seconds of its launch, up to 86400,\n"
	"                              decimals allowed; 0 = never (default: 8)\n"
	"      --demo-fault KIND       what it does then: exit, spin, block or mix\n"
	"                              (default: exit)\n"
	"      --allow-faults          allow --fault, and faults ordered by telemetry\n"
	"      --fault LIST            faults on purpose, LCORE:KIND[@SEC] with commas in\n"
	"                              between; SEC since the start, KIND one of exit,\n"
	"                              spin[:MS], block[:MS], slow:MS, segv, nostart,\n"
	"                              monitor-stall:MS\n"
	"      --seed N                makes these moments repeatable, 0 to 2^64 - 1\n"
	"                              (default: from the clock)\n"
	"\n"
	"Shared memory:\n"
	"      --shm-name NAME         name of the segment for ka-agent: a slash, then up\n"
	"                              to 199 characters that are none (default:\n"
	"                              " KA_SHM_DEFAULT_NAME ", and \".X\" behind it\n"
	"                              with EAL's --file-prefix X)\n"
	"      --shm-mode OCTAL        its permission bits, 0600 to 0777, always with the\n"
	"                              owner's 0600 (default: 0600)\n"
	"      --shm-group GROUP       its group, by name or number (default: that of\n"
	"                              the process)\n"
	"      --alarm-hold MS         collectd and other pollers find a death for so\n"
	"                              many milliseconds, decimals allowed, up to\n"
	"                              86400000 (default: 0, until the next ping)\n"
	"\n"
	"Other:\n"
	"  -h, --help                  print this and exit\n"
	"  -V, --version               print the version and exit\n";

const char *
options_usage(void)
{
	return usage;
}

bool
portmask_has(const struct portmask *mask, unsigned int port)
{
	return port < OPTIONS_MAX_PORTS && ((mask->word[port / 64] >> (port % 64)) & 1) != 0;
}

void
portmask_add(struct portmask *mask, unsigned int port)
{
	mask->word[port / 64] |= UINT64_C(1) << (port % 64);
}

/* Always false, so that a reader can say why and fail in one statement. */
static bool __attribute__((format(printf, 2, 3))) refuse(char why[WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* ---- Whole values that are a number; a refusal in words ---- */

/* What a value is that begins with no digit or goes on behind the last one. */
static const char *
not_a(const char *number, const char *value)
{
	if (value[0] == '\0')
		return "is empty";
	if (value[0] == '-' && number_digit(value[1]) < 16)
		return "is negative";
	return number;
}

static bool
read_number(const char *value, unsigned int base, uint64_t max, uint64_t *number, char why[WHY_MAX])
{
	const char *end = value;
	enum number_error wrong = number_take(&end, base, max, number);

	if (wrong == NUMBER_NONE || *end != '\0')
		return refuse(why, "%s",
			      not_a(base == 8 ? "is not octal" : "is not a number", value));
	if (wrong != NUMBER_OK)
		return refuse(why, "is too large");
	return true;
}

/* A decimal number of units, of up to max of them, as nanoseconds. */
static bool
read_time(const char *value, uint64_t unit_ns, uint64_t max, uint64_t *ns, char why[WHY_MAX])
{
	const char *end = value;
	enum number_error wrong = number_take_time(&end, unit_ns, max * unit_ns, ns);

	if (wrong == NUMBER_NONE || *end != '\0')
		return refuse(why, "%s", not_a("is not a decimal number", value));
	if (wrong == NUMBER_TOO_LARGE)
		return refuse(why, "is too large");
	if (wrong == NUMBER_TOO_FINE)
		return refuse(why, "is finer than a nanosecond");
	return true;
}

/* ---- One reader an option, in the order of the table ---- */

static bool
read_check_period(struct options *options, const char *value, char why[WHY_MAX])
{
	uint64_t ns = 0;

	if (!read_time(value, NS_PER_MS, PERIOD_MAX, &ns, why))
		return false;
	if (ns != 0 && ns < CHECK_PERIOD_MIN_NS)
		return refuse(why, "is too small");
	options->check_period_ns = ns;
	return true;
}

static bool
read_late(struct options *options, const char *value, char why[WHY_MAX])
{
	options->late_given = true;
	return read_time(value, NS_PER_US, LATE_MAX_US, &options->late_ns, why);
}

static bool
read_allow_faults(struct options *options, const char *value, char why[WHY_MAX])
{
	(void)value;
	(void)why;
	options->allow_faults = true;
	return true;
}

/* One of some words; its index is the value. */
static bool
read_word(const char *value, const char *const *words, unsigned int *index, char why[WHY_MAX])
{
	for (unsigned int i = 0; words[i] != NULL; i++) {
		if (strcmp(value, words[i]) == 0) {
			*index = i;
			return true;
		}
	}
	return refuse(why, "%s", not_a("is none of these words", value));
}

static bool
read_demo_fault(struct options *options, const char *value, char why[WHY_MAX])
{
	static const char *const words[] = {
		[FAULT_DEMO_EXIT] = "exit",
		[FAULT_DEMO_SPIN] = "spin",
		[FAULT_DEMO_BLOCK] = "block",
		[FAULT_DEMO_MIX] = "mix",
		NULL,
	};
	unsigned int index = 0;

	if (!read_word(value, words, &index, why))
		return false;
	options->demo_fault = (enum fault_demo)index;
	return true;
}

static bool
read_demo_lifetime(struct options *options, const char *value, char why[WHY_MAX])
{
	return read_time(value, NS_PER_S, PERIOD_MAX, &options->demo_lifetime_ns, why);
}

static bool
read_fault(struct options *options, const char *value, char why[WHY_MAX])
{
	static_assert(WHY_MAX >= FAULT_WHY_MAX, "room for what fault_parse() says");
	return fault_parse(value, &options->faults, why) == 0;
}

/* "N/SEC" */
static bool
read_max_restarts(struct options *options, const char *value, char why[WHY_MAX])
{
	struct recovery_limit limit = { 0 };
	const char *end = value;
	enum number_error wrong = number_take(&end, 10, UINT32_MAX, &limit.restarts);

	if (wrong == NUMBER_NONE || *end != '/')
		return refuse(why, "%s", not_a("is not of the form N/SEC", value));
	if (wrong != NUMBER_OK)
		return refuse(why, "is too large");
	if (!read_time(end + 1, NS_PER_S, PERIOD_MAX, &limit.window_ns, why))
		return false;
	if (limit.window_ns == 0)
		return refuse(why, "has no time");
	options->max_restarts = limit;
	return true;
}

static bool
read_no_mac_updating(struct options *options, const char *value, char why[WHY_MAX])
{
	(void)value;
	(void)why;
	options->mac_updating = false;
	return true;
}

static bool
read_no_promiscuous(struct options *options, const char *value, char why[WHY_MAX])
{
	(void)value;
	(void)why;
	options->promiscuous = false;
	return true;
}

static bool
read_on_hang(struct options *options, const char *value, char why[WHY_MAX])
{
	static const char *const words[] = {
		[RECOVERY_REPORT] = "report",
		[RECOVERY_RESPAWN] = "respawn",
		[RECOVERY_ABORT] = "abort",
		NULL,
	};
	unsigned int index = 0;

	if (!read_word(value, words, &index, why))
		return false;
	options->on_hang = (enum recovery_policy)index;
	return true;
}

static void
skip_spaces(const char **text)
{
	*text += strspn(*text, " ");
}

/* Step over one character of a portmap and the spaces around it. */
static bool
take_mark(const char **text, char mark, char why[WHY_MAX])
{
	skip_spaces(text);
	if (**text == '\0')
		return refuse(why, "ends where a '%c' is due", mark);
	if (**text != mark)
		return refuse(why, "has '%.8s' where a '%c' is due", *text, mark);
	(*text)++;
	skip_spaces(text);
	return true;
}

/* Step over a port of a portmap, which must not have been seen before. */
static bool
take_port(const char **text, const struct portmask *seen, uint16_t *port, char why[WHY_MAX])
{
	const char *start = *text;
	uint64_t number = 0;
	enum number_error wrong = number_take(text, 10, OPTIONS_MAX_PORTS - 1, &number);

	if (*start == '\0')
		return refuse(why, "ends where the number of a port is due");
	if (wrong == NUMBER_NONE)
		return refuse(why, "has '%.8s' where the number of a port is due", start);
	if (wrong != NUMBER_OK)
		return refuse(why, "has port %.*s, the highest is %d",
			      *text - start < 24 ? (int)(*text - start) : 24, start,
			      OPTIONS_MAX_PORTS - 1);
	if (portmask_has(seen, (unsigned int)number))
		return refuse(why, "has port %u twice", (unsigned int)number);
	*port = (uint16_t)number;
	return true;
}

/* Step over "(a,b)". A port paired with itself is one port, not the same one twice. */
static bool
take_pair(const char **text, struct portmask *seen, struct port_pair *pair, char why[WHY_MAX])
{
	if (!take_mark(text, '(', why) || !take_port(text, seen, &pair->port[0], why) ||
	    !take_mark(text, ',', why) || !take_port(text, seen, &pair->port[1], why) ||
	    !take_mark(text, ')', why))
		return false;
	portmask_add(seen, pair->port[0]);
	portmask_add(seen, pair->port[1]);
	return true;
}

static bool
read_portmap(struct options *options, const char *value, char why[WHY_MAX])
{
	struct portmask seen = { 0 };
	size_t room = 1;

	for (const char *c = value; *c != '\0'; c++)
		room += *c == '(';
	options_free(options);
	options->pairs = calloc(room, sizeof(*options->pairs));
	if (options->pairs == NULL)
		return refuse(why, "cannot be kept: out of memory");

	for (;;) {
		if (!take_pair(&value, &seen, &options->pairs[options->nb_pairs], why))
			return false;
		options->nb_pairs++;
		if (*value == '\0')
			return true;
		if (*value == ',')
			value++;
	}
}

static bool
read_portmask(struct options *options, const char *value, char why[WHY_MAX])
{
	bool prefixed = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
	const char *digits = prefixed ? value + 2 : value;
	size_t length = strspn(digits, "0123456789abcdefABCDEF");
	struct portmask mask = { 0 };
	bool empty = true;

	if (length == 0 || digits[length] != '\0')
		return refuse(why, "%s", not_a("is not hexadecimal", value));
	/* From the last digit, of ports 0 to 3, up; leading zeros may go beyond the mask. */
	for (size_t i = 0; i < length; i++) {
		uint64_t digit = number_digit(digits[length - 1 - i]);

		if (digit == 0)
			continue;
		if (i >= OPTIONS_MAX_PORTS / 4)
			return refuse(why, "is too large");
		mask.word[i / 16] |= digit << (i % 16 * 4);
		empty = false;
	}
	if (empty)
		return refuse(why, "names no port");
	options->portmask = mask;
	options->portmask_given = true;
	return true;
}

static bool
read_ports_per_lcore(struct options *options, const char *value, char why[WHY_MAX])
{
	uint64_t number;

	if (!read_number(value, 10, OPTIONS_MAX_PORTS_PER_LCORE, &number, why))
		return false;
	if (number == 0)
		return refuse(why, "is too small");
	options->ports_per_lcore = (unsigned int)number;
	return true;
}

static bool
read_seed(struct options *options, const char *value, char why[WHY_MAX])
{
	options->seed_given = true;
	return read_number(value, 10, UINT64_MAX, &options->seed, why);
}

static bool
read_shm_group(struct options *options, const char *value, char why[WHY_MAX])
{
	const struct group *group = getgrnam(value);
	uint64_t number;

	if (group != NULL) {
		options->shm_group = group->gr_gid;
		return true;
	}
	if (number_digit(value[0]) >= 10)
		return refuse(why, "%s", not_a("is no group of this machine", value));
	/* The highest gid_t means "none given" here and to chown(). */
	if (!read_number(value, 10, (gid_t)-1 - UINT64_C(1), &number, why))
		return false;
	options->shm_group = (gid_t)number;
	return true;
}

static bool
read_shm_mode(struct options *options, const char *value, char why[WHY_MAX])
{
	uint64_t mode;

	if (!read_number(value, 8, 0777, &mode, why))
		return false;
	if ((mode & 0600) != 0600)
		return refuse(why, "would lock the owner out");
	options->shm_mode = (mode_t)mode;
	return true;
}

static bool
read_shm_name(struct options *options, const char *value, char why[WHY_MAX])
{
	if (!ka_shm_name_is_valid(value))
		return refuse(why, "cannot be the name of a segment");
	snprintf(options->shm_name, sizeof(options->shm_name), "%s", value);
	return true;
}

static bool
read_stats_period(struct options *options, const char *value, char why[WHY_MAX])
{
	uint64_t number;

	if (!read_number(value, 10, PERIOD_MAX, &number, why))
		return false;
	options->stats_period_s = (unsigned int)number;
	return true;
}

static bool
read_takeover(struct options *options, const char *value, char why[WHY_MAX])
{
	(void)value;
	(void)why;
	options->takeover = true;
	return true;
}

static bool
read_alarm_hold(struct options *options, const char *value, char why[WHY_MAX])
{
	return read_time(value, NS_PER_MS, ALARM_HOLD_MAX_MS, &options->alarm_hold_ns, why);
}

/* Every option, alphabetically by long name. */
static const struct row table[] = {
	{ "alarm-hold", 0, OPTIONS_RUN, read_alarm_hold,
	  "milliseconds: 0 for off, or up to 86400000, decimals allowed" },
	{ "allow-faults", 0, OPTIONS_RUN, read_allow_faults, NULL },
	{ "check-period", 'K', OPTIONS_RUN, read_check_period,
	  "milliseconds: 0 for keepalive off, or 0.1 to 86400" },
	{ "demo-fault", 0, OPTIONS_RUN, read_demo_fault, "exit, spin, block or mix" },
	{ "demo-lifetime", 0, OPTIONS_RUN, read_demo_lifetime,
	  "seconds: 0 for never, or up to 86400, decimals allowed" },
	{ "fault", 0, OPTIONS_RUN, read_fault, "LCORE:KIND[@SEC], as in 1:spin@2,2:exit" },
	{ "help", 'h', OPTIONS_HELP, NULL, NULL },
	{ "late-us", 0, OPTIONS_RUN, read_late,
	  "microseconds: 0 for off, or up to 86400000000, decimals allowed" },
	{ "max-restarts", 0, OPTIONS_RUN, read_max_restarts,
	  "restarts / seconds, as in 5/1, up to 4294967295/86400" },
	{ "no-mac-updating", 0, OPTIONS_RUN, read_no_mac_updating, NULL },
	{ "no-promiscuous", 0, OPTIONS_RUN, read_no_promiscuous, NULL },
	{ "on-hang", 0, OPTIONS_RUN, read_on_hang, "report, respawn or abort" },
	{ "portmap", 0, OPTIONS_RUN, read_portmap, "pairs of ports such as (0,1)(2,3)" },
	{ "portmask", 'p', OPTIONS_RUN, read_portmask,
	  "a hexadecimal mask of up to 1024 bits, 3 for ports 0 and 1" },
	{ "ports-per-lcore", 'q', OPTIONS_RUN, read_ports_per_lcore, "1 to 16" },
	{ "seed", 0, OPTIONS_RUN, read_seed, "0 to 18446744073709551615" },
	{ "shm-group", 0, OPTIONS_RUN, read_shm_group, "a group that exists, or a number" },
	{ "shm-mode", 0, OPTIONS_RUN, read_shm_mode, "octal, 0600 to 0777, with the owner's 0600" },
	{ "shm-name", 0, OPTIONS_RUN, read_shm_name,
	  "a slash, then 1 to 199 characters that are no slash" },
	{ "stats-period", 'T', OPTIONS_RUN, read_stats_period,
	  "whole seconds: 0 for off, or up to 86400" },
	{ "takeover", 0, OPTIONS_RUN, read_takeover, NULL },
	{ "version", 'V', OPTIONS_VERSION, NULL, NULL },
};

#define NB_ROWS (sizeof(table) / sizeof(table[0]))

/*
 * What EAL takes a value for, so that no value of its options is taken for an option, and
 * abbreviations of --file-prefix, --help and --version are those that EAL would accept too. An
 * option that is not listed is stepped over. Where newer releases made a value optional it is so
 * here: it never begins with '-', so it is stepped over by itself.
 */
static const char eal_letters[] = "-:a:b:c:d:hl:m:n:r:s:S:vV";

static const struct option eal_table[] = {
	{ "allow", required_argument, NULL, 0 },
	{ "base-virtaddr", required_argument, NULL, 0 },
	{ "block", required_argument, NULL, 0 },
	{ "coremask", required_argument, NULL, 0 },
	{ "driver-path", required_argument, NULL, 0 },
	{ "file-prefix", required_argument, NULL, 'f' },
	{ "force-max-simd-bitwidth", required_argument, NULL, 0 },
	{ "help", no_argument, NULL, 'h' },
	{ "huge-dir", required_argument, NULL, 0 },
	{ "huge-unlink", optional_argument, NULL, 0 },
	{ "huge-worker-stack", optional_argument, NULL, 0 },
	{ "iova-mode", required_argument, NULL, 0 },
	{ "lcores", required_argument, NULL, 0 },
	{ "log-level", required_argument, NULL, 0 },
	{ "main-lcore", required_argument, NULL, 0 },
	{ "mbuf-pool-ops-name", required_argument, NULL, 0 },
	{ "memory-channels", required_argument, NULL, 0 },
	{ "memory-ranks", required_argument, NULL, 0 },
	{ "memory-size", required_argument, NULL, 0 },
	{ "pagesz-mem", required_argument, NULL, 0 },
	{ "proc-type", required_argument, NULL, 0 },
	{ "service-corelist", required_argument, NULL, 0 },
	{ "service-coremask", required_argument, NULL, 0 },
	{ "socket-limit", required_argument, NULL, 0 },
	{ "socket-mem", required_argument, NULL, 0 },
	{ "syslog", optional_argument, NULL, 0 },
	{ "trace", required_argument, NULL, 0 },
	{ "trace-bufsz", required_argument, NULL, 0 },
	{ "trace-dir", required_argument, NULL, 0 },
	{ "trace-mode", required_argument, NULL, 0 },
	{ "vdev", required_argument, NULL, 0 },
	{ "version", no_argument, NULL, 'V' },
	{ "vfio-intr", required_argument, NULL, 0 },
	{ "vfio-vf-token", required_argument, NULL, 0 },
	{ NULL, 0, NULL, 0 },
};

/* ---- Complaints: one line each ---- */

/* Always OPTIONS_ERROR. What a user wrote may hold a line break: it is made visible as '?'. */
static enum options_action __attribute__((format(printf, 2, 3)))
complain(char error[OPTIONS_ERROR_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, OPTIONS_ERROR_MAX, format, args);
	va_end(args);
	for (char *c = error; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == '\x7f')
			*c = '?';
	return OPTIONS_ERROR;
}

/* "-p/--portmask" or "--portmap". */
static const char *
row_names(const struct row *row, char names[NAMES_MAX])
{
	if (row->letter != 0)
		snprintf(names, NAMES_MAX, "-%c/--%s", row->letter, row->name);
	else
		snprintf(names, NAMES_MAX, "--%s", row->name);
	return names;
}

static enum options_action
complain_of_value(char error[OPTIONS_ERROR_MAX], const struct row *row, const char *value,
		  const char *why)
{
	char names[NAMES_MAX];

	return complain(error, "option %s: '%.*s%s' %s; give %s", row_names(row, names),
			VALUE_SHOWN, value, strlen(value) > VALUE_SHOWN ? "..." : "", why,
			row->give);
}

/* The row that getopt_long() means by its code or, in optopt, by the option in trouble. */
static const struct row *
row_of_code(int code)
{
	for (size_t i = 0; i < NB_ROWS; i++)
		if (code == LONG_CODE + (int)i || (code != 0 && code == table[i].letter))
			return &table[i];
	return NULL;
}

/* Length of the name in "--name" or "--name=value". */
static int
long_name_length(const char *word)
{
	return (int)strcspn(word + 2, "=");
}

/* An option that getopt_long() does not know, or knows as one without a value. */
static enum options_action
complain_of_option(char error[OPTIONS_ERROR_MAX], const char *word)
{
	const struct row *row = row_of_code(optopt);
	const char *first = NULL;
	char names[NAMES_MAX];

	if (row != NULL)
		return complain(error, "option %s: takes no value, was given '%.*s'",
				row_names(row, names), VALUE_SHOWN,
				word + 2 + long_name_length(word) + 1);
	if (optopt != 0)
		return complain(error, "option -%c: there is none of this name, see --help",
				optopt);

	for (size_t i = 0; i < NB_ROWS; i++) {
		if (strncmp(table[i].name, word + 2, (size_t)long_name_length(word)) != 0)
			continue;
		if (first != NULL)
			return complain(error,
					"option --%.*s: may be --%s or --%s, write more of it",
					long_name_length(word), word + 2, first, table[i].name);
		first = table[i].name;
	}
	return complain(error, "option %.*s%s: there is none of this name, see --help", VALUE_SHOWN,
			word, strlen(word) > VALUE_SHOWN ? "..." : "");
}

/* ---- The two parts of the command line ---- */

static void
set_defaults(struct options *options)
{
	*options = (struct options){
		.check_period_ns = 5 * NS_PER_MS,
		.stats_period_s = 10,
		.mac_updating = true,
		.promiscuous = true,
		.demo_lifetime_ns = 8 * NS_PER_S,
		.max_restarts = { .restarts = 5, .window_ns = NS_PER_S },
		.shm_mode = 0600,
		.shm_group = (gid_t)-1,
	};
}

/* The row of an option of ours that stands, written out in full, among those of EAL. */
static const struct row *
own_row(const char *word)
{
	for (size_t i = 0; i < NB_ROWS; i++) {
		const struct row *row = &table[i];

		if (row->action != OPTIONS_RUN || word[0] != '-')
			continue;
		if (word[1] == '-' && strlen(row->name) == (size_t)long_name_length(word) &&
		    strncmp(row->name, word + 2, strlen(row->name)) == 0)
			return row;
		if (word[1] == row->letter && row->letter != 0)
			return row;
	}
	return NULL;
}

/* EAL would refuse an option of ours too, but with its own usage and not a word of "--". */
static enum options_action
complain_of_place(char error[OPTIONS_ERROR_MAX], const struct row *row, bool divided)
{
	char names[NAMES_MAX];

	return complain(error,
			"option %s: stands among the options of EAL, %s: "
			"l2fwd-keepalive -l 0-1 -- -p 3",
			row_names(row, names),
			divided ? "move it behind the --" : "put a -- before it");
}

/*
 * Look through EAL's part, argv[0] to argv[argc - 1]. What is not understood is left for EAL to
 * judge.
 *
 * @param divided  whether a "--" follows.
 * @param file_prefix  set to the value of the last --file-prefix; NULL if there is none.
 */
static enum options_action
scan_eal_part(int argc, char *argv[], bool divided, const char **file_prefix,
	      char error[OPTIONS_ERROR_MAX])
{
	*file_prefix = NULL;
	optind = 0;
	for (;;) {
		int at = optind == 0 ? 1 : optind;
		int code = getopt_long(argc, argv, eal_letters, eal_table, NULL);
		const struct row *row;

		switch (code) {
		case -1:
			return OPTIONS_RUN;
		case 'f':
			*file_prefix = optarg;
			break;
		case 'h':
			return OPTIONS_HELP;
		case 'V':
			return OPTIONS_VERSION;
		case '?':
			row = own_row(argv[at]);
			if (row != NULL)
				return complain_of_place(error, row, divided);
			break;
		default:
			break;
		}
	}
}

/* The table in the form that getopt_long() wants. */
static void
fill_getopt(struct option longs[NB_ROWS + 1], char letters[2 + 2 * NB_ROWS + 1])
{
	/* Stop at an operand, print nothing, return ':' instead of '?' when a value is missing. */
	*letters++ = '+';
	*letters++ = ':';
	for (size_t i = 0; i < NB_ROWS; i++) {
		bool valued = table[i].give != NULL;

		longs[i] = (struct option){
			.name = table[i].name,
			.has_arg = valued ? required_argument : no_argument,
			.val = LONG_CODE + (int)i,
		};
		if (table[i].letter == 0)
			continue;
		*letters++ = table[i].letter;
		if (valued)
			*letters++ = ':';
	}
	longs[NB_ROWS] = (struct option){ 0 };
	*letters = '\0';
}

/* Read the application's part; argv[0] is what stands before it. */
static enum options_action
read_own_part(struct options *options, int argc, char *argv[], char error[OPTIONS_ERROR_MAX])
{
	struct option longs[NB_ROWS + 1];
	char letters[2 + 2 * NB_ROWS + 1];
	char names[NAMES_MAX];
	char why[WHY_MAX];

	fill_getopt(longs, letters);
	optind = 0;
	for (;;) {
		int at = optind == 0 ? 1 : optind;
		int code = getopt_long(argc, argv, letters, longs, NULL);
		const struct row *row = row_of_code(code == ':' ? optopt : code);

		if (code == -1 && optind >= argc)
			return OPTIONS_RUN;
		if (code == -1)
			return complain(error,
					"operand '%.*s': only options are understood, see --help",
					VALUE_SHOWN, argv[optind]);
		if (row == NULL)
			return complain_of_option(error, argv[at]);
		if (code == ':')
			return complain(error, "option %s: its value is missing; give %s",
					row_names(row, names), row->give);
		if (row->action != OPTIONS_RUN)
			return row->action;
		if (!row->read(options, optarg, why))
			return complain_of_value(error, row, optarg, why);
	}
}

/* What no single option can tell. */
static enum options_action
check_together(struct options *options, const char *file_prefix, char error[OPTIONS_ERROR_MAX])
{
	for (size_t i = 0; options->portmask_given && i < 2 * options->nb_pairs; i++) {
		unsigned int port = options->pairs[i / 2].port[i % 2];

		if (!portmask_has(&options->portmask, port))
			return complain(error,
					"option --portmap: port %u is not in the mask of "
					"-p/--portmask; add it there or leave it out here",
					port);
	}
	if (options->faults.nb != 0 && !options->allow_faults)
		return complain(error, "option --fault: faults on purpose take --allow-faults, "
				       "which was not given");
	if (options->shm_name[0] == '\0' &&
	    ka_shm_name_of_prefix(options->shm_name, file_prefix) != 0)
		return complain(error,
				"option --file-prefix: '%.*s' gives no name for the segment, "
				"choose one with --shm-name behind the --",
				VALUE_SHOWN, file_prefix);
	return OPTIONS_RUN;
}

enum options_action
options_parse(struct options *options, int argc, char *argv[], int *eal_argc,
	      char error[OPTIONS_ERROR_MAX])
{
	enum options_action action;
	const char *file_prefix;
	int divider = argc < 1 ? argc : 1;

	set_defaults(options);
	error[0] = '\0';
	while (divider < argc && strcmp(argv[divider], "--") != 0)
		divider++;
	*eal_argc = divider;

	action = scan_eal_part(divider, argv, divider < argc, &file_prefix, error);
	if (action == OPTIONS_RUN)
		action = read_own_part(options, argc - divider, argv + divider, error);
	if (!options->late_given)
		options->late_ns = options->check_period_ns / 4;
	if (action == OPTIONS_RUN)
		action = check_together(options, file_prefix, error);
	if (action != OPTIONS_RUN)
		options_free(options);
	return action;
}

void
options_free(struct options *options)
{
	free(options->pairs);
	options->pairs = NULL;
	options->nb_pairs = 0;
}

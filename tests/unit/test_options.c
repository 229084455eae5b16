/* SPDX-License-Identifier: BSD-3-Clause */

/* The command line, by table. Every test reads fresh lines, so getopt's state is tested too. */

#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

#define MAX_WORDS 16

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What came out of the last command line. */
static struct {
	enum options_action action;
	struct options options;
	int eal_argc;
	char error[OPTIONS_ERROR_MAX];
	char line[1024]; /* The command line, for messages. */
} got;

/* Read a command line; also check what is true of every one. */
static void
read_words(const char *const words[])
{
	char *argv[MAX_WORDS + 1] = { NULL };
	char *before[MAX_WORDS + 1];
	int argc = 0;

	got.line[0] = '\0';
	for (; words[argc] != NULL; argc++) {
		size_t used = strlen(got.line);

		assert_true(argc < MAX_WORDS);
		argv[argc] = strdup(words[argc]);
		snprintf(got.line + used, sizeof(got.line) - used, " %s", words[argc]);
	}
	memcpy(before, argv, sizeof(argv));
	memset(&got.options, 0xa5, sizeof(got.options));
	got.eal_argc = -1;
	got.action = options_parse(&got.options, argc, argv, &got.eal_argc, got.error);

	for (int i = 0; i < argc; i++) {
		assert_ptr_equal(argv[i], before[i]);
		assert_string_equal(argv[i], words[i]);
		free(argv[i]);
	}
	assert_true(strlen(got.error) < OPTIONS_ERROR_MAX);
	assert_null(strchr(got.error, '\n'));
	assert_int_equal(got.action == OPTIONS_ERROR, got.error[0] != '\0');
}

#define READ(...) read_words((const char *const[]){ "l2fwd-keepalive", __VA_ARGS__, NULL })

static void
expect_action(enum options_action action)
{
	if (got.action != action)
		fail_msg("%s: action %d instead of %d, error \"%s\"", got.line, (int)got.action,
			 (int)action, got.error);
}

#define RUN(...)                                                                                   \
	do {                                                                                       \
		READ(__VA_ARGS__);                                                                 \
		expect_action(OPTIONS_RUN);                                                        \
	} while (0)

static void
expect_error_has(const char *part)
{
	if (strstr(got.error, part) == NULL)
		fail_msg("%s: error \"%s\" lacks \"%s\"", got.line, got.error, part);
}

static void
expect_number(uint64_t number, uint64_t expected)
{
	if (number != expected)
		fail_msg("%s: gave %ju instead of %ju", got.line, (uintmax_t)number,
			 (uintmax_t)expected);
}

/* ---- Values that are taken ---- */

static void
defaults_apply_when_nothing_is_said(void **state)
{
	static const char *const lines[][4] = {
		{ "l2fwd-keepalive", NULL },
		{ "l2fwd-keepalive", "--", NULL },
		{ "l2fwd-keepalive", "-l", "0-1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		read_words(lines[i]);
		expect_action(OPTIONS_RUN);
		assert_false(got.options.portmask_given);
		assert_int_equal(got.options.ports_per_lcore, 0);
		assert_int_equal(got.options.check_period_ns, 5 * NS_PER_MS);
		assert_int_equal(got.options.late_ns, 5 * NS_PER_MS / 4);
		assert_int_equal(got.options.stats_period_s, 10);
		assert_null(got.options.pairs);
		assert_int_equal(got.options.nb_pairs, 0);
		assert_true(got.options.mac_updating);
		assert_true(got.options.promiscuous);
		assert_int_equal(got.options.demo_lifetime_ns, 8 * NS_PER_S);
		assert_int_equal(got.options.on_hang, RECOVERY_REPORT);
		assert_int_equal(got.options.max_restarts.restarts, 5);
		assert_int_equal(got.options.max_restarts.window_ns, NS_PER_S);
		assert_false(got.options.takeover);
		assert_false(got.options.seed_given);
		assert_string_equal(got.options.shm_name, "/dpdk_keepalive_shm_name");
		assert_int_equal(got.options.shm_mode, 0600);
		assert_int_equal(got.options.shm_group, (gid_t)-1);
	}
}

/* No words at all, as execve() allows, are no reason to crash. */
static void
an_empty_command_line_is_read(void **state)
{
	static const char *const nothing[] = { NULL };

	(void)state;
	read_words(nothing);
	expect_action(OPTIONS_RUN);
	assert_int_equal(got.eal_argc, 0);
}

static uint64_t
check_period(void)
{
	return got.options.check_period_ns;
}

static uint64_t
late(void)
{
	return got.options.late_ns;
}

static uint64_t
demo_lifetime(void)
{
	return got.options.demo_lifetime_ns;
}

static uint64_t
first_ports(void)
{
	return got.options.portmask_given ? got.options.portmask.word[0] : 0;
}

static uint64_t
max_restarts(void)
{
	return got.options.max_restarts.restarts;
}

static uint64_t
max_restarts_window(void)
{
	return got.options.max_restarts.window_ns;
}

static uint64_t
ports_per_lcore(void)
{
	return got.options.ports_per_lcore;
}

static uint64_t
seed(void)
{
	return got.options.seed_given ? got.options.seed : 999;
}

static uint64_t
shm_group(void)
{
	return got.options.shm_group;
}

static uint64_t
alarm_hold(void)
{
	return got.options.alarm_hold_ns;
}

static uint64_t
shm_mode(void)
{
	return got.options.shm_mode;
}

static uint64_t
stats_period(void)
{
	return got.options.stats_period_s;
}

static void
numbers_are_taken_as_written(void **state)
{
	static const struct {
		const char *option, *value;
		uint64_t (*get)(void);
		uint64_t expected;
	} rows[] = {
		{ "-K", "0", check_period, 0 },
		{ "-K", "0.000", check_period, 0 },
		{ "-K", "0.1", check_period, NS_PER_MS / 10 },
		{ "-K", "0.2", check_period, NS_PER_MS / 5 },
		{ "-K", "0.100001", check_period, 100001 },
		{ "-K", "1", check_period, NS_PER_MS },
		{ "-K", "005", check_period, 5 * NS_PER_MS },
		{ "-K", "2.50000000000", check_period, 2500000 },
		{ "-K", "86399.999999", check_period, 86400 * NS_PER_MS - 1 },
		{ "-K", "86400", check_period, 86400 * NS_PER_MS },
		{ "--check-period", "86400.0", check_period, 86400 * NS_PER_MS },
		/* A quarter of -K, unless it is given. */
		{ "-K", "8", late, 2 * NS_PER_MS },
		{ "-K", "0", late, 0 },
		{ "--late-us", "0", late, 0 },
		{ "--late-us", "0.001", late, 1 },
		{ "--late-us", "250", late, NS_PER_MS / 4 },
		{ "--late-us", "12.5", late, 12500 },
		{ "--late-us", "86400000000", late, 86400 * NS_PER_S },
		{ "--alarm-hold", "0", alarm_hold, 0 },
		{ "--alarm-hold", "0.5", alarm_hold, NS_PER_MS / 2 },
		{ "--alarm-hold", "86400000", alarm_hold, 86400 * NS_PER_S },
		{ "--demo-lifetime", "0", demo_lifetime, 0 },
		{ "--demo-lifetime", "0.000000001", demo_lifetime, 1 },
		{ "--demo-lifetime", "0.25", demo_lifetime, NS_PER_S / 4 },
		{ "--demo-lifetime", "86400", demo_lifetime, 86400 * NS_PER_S },
		{ "--max-restarts", "0/1", max_restarts, 0 },
		{ "--max-restarts", "4294967295/1", max_restarts, UINT32_MAX },
		{ "--max-restarts", "007/0.5", max_restarts, 7 },
		{ "--max-restarts", "007/0.5", max_restarts_window, NS_PER_S / 2 },
		{ "--max-restarts", "1/0.000000001", max_restarts_window, 1 },
		{ "--max-restarts", "1/86400.0", max_restarts_window, 86400 * NS_PER_S },
		{ "-p", "1", first_ports, 1 },
		{ "-p", "3", first_ports, 3 },
		{ "-p", "0x3", first_ports, 3 },
		{ "-p", "0Xf0", first_ports, 0xf0 },
		{ "-p", "aAfF", first_ports, 0xaaff },
		{ "-p", "100000001", first_ports, UINT64_C(0x100000001) },
		{ "--portmask", "ffffffffffffffff", first_ports, UINT64_MAX },
		{ "-q", "1", ports_per_lcore, 1 },
		{ "-q", "16", ports_per_lcore, 16 },
		{ "--ports-per-lcore", "02", ports_per_lcore, 2 },
		{ "--seed", "0", seed, 0 },
		{ "--seed", "18446744073709551615", seed, UINT64_MAX },
		{ "--shm-group", "0", shm_group, 0 },
		{ "--shm-group", "54321", shm_group, 54321 },
		{ "--shm-group", "4294967294", shm_group, UINT32_MAX - 1 },
		{ "--shm-mode", "600", shm_mode, 0600 },
		{ "--shm-mode", "0600", shm_mode, 0600 },
		{ "--shm-mode", "640", shm_mode, 0640 },
		{ "--shm-mode", "777", shm_mode, 0777 },
		{ "-T", "0", stats_period, 0 },
		{ "-T", "1", stats_period, 1 },
		{ "--stats-period", "86400", stats_period, 86400 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		RUN("--", rows[i].option, rows[i].value);
		expect_number(rows[i].get(), rows[i].expected);
	}
}

static void
values_may_stick_to_their_option(void **state)
{
	(void)state;
	RUN("--", "-p3", "-q2", "-K0.5", "-T7", "--seed=9", "--shm-mode=660", "--demo-l=1");
	assert_int_equal(first_ports(), 3);
	assert_int_equal(ports_per_lcore(), 2);
	assert_int_equal(check_period(), NS_PER_MS / 2);
	assert_int_equal(stats_period(), 7);
	assert_int_equal(seed(), 9);
	assert_int_equal(shm_mode(), 0660);
	assert_int_equal(demo_lifetime(), NS_PER_S);
}

static void
late_us_stands_wherever_the_check_period_does(void **state)
{
	static const char *const lines[][8] = {
		{ "p", "--", "-K", "8", "--late-us", "3", NULL },
		{ "p", "--", "--late-us", "3", "-K", "8", NULL },
		{ "p", "--", "--late-us=3", "-K", "0", NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		read_words(lines[i]);
		expect_action(OPTIONS_RUN);
		expect_number(late(), 3000);
	}
}

static void
the_last_of_a_repeated_option_counts(void **state)
{
	(void)state;
	RUN("--", "-p", "ffff", "-p", "8", "--portmap", "(0,1)(2,3)", "--portmap", "(3,3)");
	assert_int_equal(first_ports(), 8);
	assert_int_equal(got.options.nb_pairs, 1);
	assert_int_equal(got.options.pairs[0].port[0], 3);
	options_free(&got.options);
	assert_null(got.options.pairs);
	assert_int_equal(got.options.nb_pairs, 0);
}

static void
flags_turn_their_default_around(void **state)
{
	(void)state;
	RUN("--", "--no-mac-updating");
	assert_false(got.options.mac_updating);
	assert_true(got.options.promiscuous);
	RUN("--", "--no-promiscuous");
	assert_true(got.options.mac_updating);
	assert_false(got.options.promiscuous);
	assert_false(got.options.takeover);
	RUN("--", "--takeover");
	assert_true(got.options.mac_updating);
	assert_true(got.options.promiscuous);
	assert_true(got.options.takeover);
	RUN("--", "--take", "--takeover");
	assert_true(got.options.takeover);
}

/* What recovers workers has nothing to do then, but is no mistake: a script may set it always. */
static void
options_of_recovery_are_taken_with_keepalive_off(void **state)
{
	static const char *const lines[][8] = {
		{ "p", "--", "-K", "0", "--on-hang", "respawn", NULL },
		{ "p", "--", "-K", "0", "--max-restarts", "3/1", NULL },
		{ "p", "--", "-K", "0", "--takeover", NULL },
		{ "p", "--", "--takeover", "-K", "0", NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		read_words(lines[i]);
		expect_action(OPTIONS_RUN);
		expect_number(check_period(), 0);
	}
	assert_true(got.options.takeover);
}

static void
a_group_is_found_by_its_name(void **state)
{
	const struct group *daemon = getgrnam("daemon");

	(void)state;
	if (daemon == NULL) {
		skip();
		return;
	}
	RUN("--", "--shm-group", "daemon");
	assert_int_equal(shm_group(), daemon->gr_gid);
}

/* ---- Values that are refused ---- */

static const struct {
	const char *option, *value, *reason, *allowed;
} wrong_values[] = {
	{ "-K", "", "is empty", "0.1 to 86400" },
	{ "-K", "-1", "is negative", "0.1 to 86400" },
	{ "-K", "-0.5", "is negative", "0.1 to 86400" },
	{ "-K", "+5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", " 5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "5 ", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "5ms", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "0x5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "1e3", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "0x1p3", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "nan", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "inf", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "0,5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", ".", "is not a decimal number", "0.1 to 86400" },
	{ "-K", ".5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "5.", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "1.5.5", "is not a decimal number", "0.1 to 86400" },
	{ "-K", "0.099999", "is too small", "0.1 to 86400" },
	{ "-K", "0.000001", "is too small", "0.1 to 86400" },
	{ "-K", "0.5000001", "is finer than a nanosecond", "0.1 to 86400" },
	{ "-K", "0.00000000000000000000001", "is finer than a nanosecond", "0.1" },
	{ "-K", "86400.000001", "is too large", "0.1 to 86400" },
	{ "-K", "86400.00000001", "is too large", "0.1 to 86400" },
	{ "-K", "86401", "is too large", "0.1 to 86400" },
	{ "-K", "4294967301", "is too large", "0.1 to 86400" },
	{ "-K", "18446744073709551621", "is too large", "0.1 to 86400" },
	{ "--check-period", "abc", "is not a decimal number", "0.1 to 86400" },
	{ "--alarm-hold", "-1", "is negative", "86400000" },
	{ "--alarm-hold", "86400000.1", "is too large", "86400000" },
	{ "--alarm-hold", "2s", "is not a decimal number", "86400000" },
	{ "--late-us", "", "is empty", "86400000000" },
	{ "--late-us", "-1", "is negative", "86400000000" },
	{ "--late-us", "86400000000.001", "is too large", "86400000000" },
	{ "--late-us", "0.0001", "is finer than a nanosecond", "86400000000" },
	{ "--late-us", "5us", "is not a decimal number", "86400000000" },
	{ "--demo-lifetime", "-1", "is negative", "86400" },
	{ "--demo-lifetime", "86400.000000001", "is too large", "86400" },
	{ "--demo-lifetime", "4294967297", "is too large", "86400" },
	{ "--demo-lifetime", "0.0000000001", "is finer than a nanosecond", "86400" },
	{ "--demo-lifetime", "never", "is not a decimal number", "86400" },
	{ "--max-restarts", "", "is empty", "as in 5/1" },
	{ "--max-restarts", "5", "is not of the form N/SEC", "as in 5/1" },
	{ "--max-restarts", "/1", "is not of the form N/SEC", "as in 5/1" },
	{ "--max-restarts", "5.0/1", "is not of the form N/SEC", "as in 5/1" },
	{ "--max-restarts", "-5/1", "is negative", "as in 5/1" },
	{ "--max-restarts", "4294967296/1", "is too large", "4294967295/86400" },
	{ "--max-restarts", "4294967296/x", "is too large", "4294967295/86400" },
	{ "--max-restarts", "5/", "is empty", "as in 5/1" },
	{ "--max-restarts", "5/-1", "is negative", "as in 5/1" },
	{ "--max-restarts", "5/1s", "is not a decimal number", "as in 5/1" },
	{ "--max-restarts", "5/0.0", "has no time", "as in 5/1" },
	{ "--max-restarts", "5/86400.000000001", "is too large", "4294967295/86400" },
	{ "--max-restarts", "5/0.0000000001", "is finer than a nanosecond", "as in 5/1" },
	{ "-p", "", "is empty", "hexadecimal" },
	{ "-p", "0", "names no port", "hexadecimal" },
	{ "-p", "0x000", "names no port", "hexadecimal" },
	{ "-p", "-1", "is negative", "hexadecimal" },
	{ "-p", "0x", "is not hexadecimal", "hexadecimal" },
	{ "-p", "0x0x3", "is not hexadecimal", "hexadecimal" },
	{ "-p", "3g", "is not hexadecimal", "hexadecimal" },
	{ "-p", "3 ", "is not hexadecimal", "hexadecimal" },
	{ "-p", "+3", "is not hexadecimal", "hexadecimal" },
	{ "-p", "-q", "is not hexadecimal", "hexadecimal" },
	{ "--portmask", "1,2", "is not hexadecimal", "hexadecimal" },
	{ "-q", "", "is empty", "1 to 16" },
	{ "-q", "0", "is too small", "1 to 16" },
	{ "-q", "17", "is too large", "1 to 16" },
	{ "-q", "-1", "is negative", "1 to 16" },
	{ "-q", "0x2", "is not a number", "1 to 16" },
	{ "-q", "2.0", "is not a number", "1 to 16" },
	{ "-q", "257", "is too large", "1 to 16" },
	{ "-q", "4294967297", "is too large", "1 to 16" },
	{ "--ports-per-lcore", "two", "is not a number", "1 to 16" },
	{ "--seed", "", "is empty", "0 to 18446744073709551615" },
	{ "--seed", "-1", "is negative", "0 to 18446744073709551615" },
	{ "--seed", "18446744073709551616", "is too large", "0 to 184467" },
	{ "--seed", "99999999999999999999999", "is too large", "0 to 184467" },
	{ "--seed", "1x", "is not a number", "0 to 18446744073709551615" },
	{ "--shm-group", "", "is empty", "a group that exists" },
	{ "--shm-group", "no-such-group", "is no group", "a group that exists" },
	{ "--shm-group", "-1", "is negative", "a group that exists" },
	{ "--shm-group", "4294967295", "is too large", "a group that exists" },
	{ "--shm-group", "4294967296", "is too large", "a group that exists" },
	{ "--shm-group", "0x", "is not a number", "a group that exists" },
	{ "--shm-mode", "", "is empty", "0600 to 0777" },
	{ "--shm-mode", "0", "would lock the owner out", "0600 to 0777" },
	{ "--shm-mode", "400", "would lock the owner out", "0600 to 0777" },
	{ "--shm-mode", "577", "would lock the owner out", "0600 to 0777" },
	{ "--shm-mode", "800", "is not octal", "0600 to 0777" },
	{ "--shm-mode", "668", "is not octal", "0600 to 0777" },
	{ "--shm-mode", "rw-------", "is not octal", "0600 to 0777" },
	{ "--shm-mode", "0o600", "is not octal", "0600 to 0777" },
	{ "--shm-mode", "-600", "is negative", "0600 to 0777" },
	{ "--shm-mode", "1777", "is too large", "0600 to 0777" },
	{ "--shm-mode", "40000000600", "is too large", "0600 to 0777" },
	{ "--shm-name", "", "cannot be the name", "1 to 199 characters" },
	{ "--shm-name", "/", "cannot be the name", "1 to 199 characters" },
	{ "--shm-name", "plain", "cannot be the name", "1 to 199 characters" },
	{ "--shm-name", "/a/b", "cannot be the name", "1 to 199 characters" },
	{ "--shm-name", "/..", "cannot be the name", "1 to 199 characters" },
	{ "-T", "", "is empty", "0 for off" },
	{ "-T", "-1", "is negative", "0 for off" },
	{ "-T", "1.5", "is not a number", "0 for off" },
	{ "-T", "86401", "is too large", "0 for off" },
	{ "-T", "4294967296", "is too large", "0 for off" },
	{ "--stats-period", "10s", "is not a number", "0 for off" },
};

static void
a_wrong_value_is_named_with_its_option_and_the_reason(void **state)
{
	char quoted[64];

	(void)state;
	for (size_t i = 0; i < LENGTH(wrong_values); i++) {
		READ("--", wrong_values[i].option, wrong_values[i].value);
		expect_action(OPTIONS_ERROR);
		snprintf(quoted, sizeof(quoted), "'%s'", wrong_values[i].value);
		expect_error_has(wrong_values[i].option);
		expect_error_has(quoted);
		expect_error_has(wrong_values[i].reason);
		expect_error_has(wrong_values[i].allowed);
		assert_null(got.options.pairs);
	}
}

static void
a_complaint_gives_both_names_of_the_option(void **state)
{
	(void)state;
	READ("--", "-K", "x");
	expect_error_has("-K/--check-period");
	READ("--", "--stats", "x");
	expect_error_has("-T/--stats-period");
}

static void
a_long_value_is_cut_but_the_reason_is_not(void **state)
{
	char digits[2000];

	(void)state;
	memset(digits, '9', sizeof(digits) - 1);
	digits[sizeof(digits) - 1] = '\0';
	READ("--", "-p", digits);
	expect_action(OPTIONS_ERROR);
	expect_error_has("999...' is too large; give a hexadecimal mask of up to 1024 bits");
	READ("--", "-K", digits);
	expect_error_has("999...' is too large; give milliseconds: 0 for keepalive off, or 0.1");
	READ("--", "--shm-name", digits);
	expect_error_has("give a slash, then 1 to 199 characters that are no slash");
	READ("--", "--portmap", digits);
	expect_error_has("give pairs of ports such as (0,1)(2,3)");
	READ("--", digits);
	expect_error_has("only options are understood");
}

/* Line breaks are checked of every complaint; here is one that would have them. */
static void
a_line_break_in_a_value_stays_on_one_line(void **state)
{
	(void)state;
	READ("--", "-K", "5\nDead core 1\033[2J");
	expect_action(OPTIONS_ERROR);
	expect_error_has("5?Dead core 1?[2J");
}

/* ---- Masks and maps of ports ---- */

static void
a_portmask_holds_1024_ports_and_not_one_more(void **state)
{
	char digits[300];

	(void)state;
	memset(digits, '0', sizeof(digits));
	digits[0] = '8';
	digits[256] = '\0';
	RUN("--", "-p", digits);
	for (unsigned int port = 0; port < 1100; port++)
		assert_int_equal(portmask_has(&got.options.portmask, port), port == 1023);

	memset(digits, 'f', 256);
	RUN("--", "-p", digits);
	for (unsigned int port = 0; port < 1100; port++)
		assert_int_equal(portmask_has(&got.options.portmask, port), port < 1024);

	memset(digits, '0', sizeof(digits));
	digits[0] = '1';
	digits[257] = '\0';
	READ("--", "-p", digits);
	expect_action(OPTIONS_ERROR);
	expect_error_has("is too large");

	/* Zeros in front do not make it larger. */
	digits[0] = '0';
	digits[256] = '4';
	RUN("--", "-p", digits);
	assert_int_equal(first_ports(), 4);
}

static void
a_portmask_built_port_by_port_has_these_ports(void **state)
{
	struct portmask mask = { 0 };

	(void)state;
	portmask_add(&mask, 0);
	portmask_add(&mask, 63);
	portmask_add(&mask, 64);
	portmask_add(&mask, 1023);
	for (unsigned int port = 0; port < 1100; port++)
		assert_int_equal(portmask_has(&mask, port),
				 port == 0 || port == 63 || port == 64 || port == 1023);
}

static void
a_portmap_is_read_with_and_without_commas(void **state)
{
	static const struct {
		const char *value;
		size_t nb_pairs;
		uint16_t ports[6];
	} rows[] = {
		{ "(0,1)", 1, { 0, 1 } },
		{ "(1,0)", 1, { 1, 0 } },
		{ "(5,5)", 1, { 5, 5 } },
		{ "(0,1)(2,3)", 2, { 0, 1, 2, 3 } },
		{ "(0,1),(2,3)", 2, { 0, 1, 2, 3 } },
		{ "(0,3)(1,2),(4,4)", 3, { 0, 3, 1, 2, 4, 4 } },
		{ " ( 0 , 1 ) , ( 2 , 3 ) ", 2, { 0, 1, 2, 3 } },
		{ "(00,01)", 1, { 0, 1 } },
		{ "(1022,1023)", 1, { 1022, 1023 } },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		RUN("--", "--portmap", rows[i].value);
		expect_number(got.options.nb_pairs, rows[i].nb_pairs);
		for (size_t port = 0; port < 2 * rows[i].nb_pairs; port++)
			expect_number(got.options.pairs[port / 2].port[port % 2],
				      rows[i].ports[port]);
		options_free(&got.options);
	}
}

static void
a_wrong_portmap_is_refused_with_the_place(void **state)
{
	static const struct {
		const char *value, *reason;
	} rows[] = {
		{ "", "ends where a '(' is due" },
		{ "0,1", "has '0,1' where a '(' is due" },
		{ "(0,1", "ends where a ')' is due" },
		{ "(0,1)x", "has 'x' where a '(' is due" },
		{ "(0,1),", "ends where a '(' is due" },
		{ "(0,1),,(2,3)", "has ',(2,3)' where a '(' is due" },
		{ ",(0,1)", "has ',(0,1)' where a '(' is due" },
		{ "(0)", "has ')' where a ',' is due" },
		{ "(0 1)", "has '1)' where a ',' is due" },
		{ "(0,1,2)", "has ',2)' where a ')' is due" },
		{ "(,1)", "has ',1)' where the number of a port is due" },
		{ "(0,", "ends where the number of a port is due" },
		{ "(-1,0)", "has '-1,0)' where the number of a port is due" },
		{ "(a,b)", "has 'a,b)' where the number of a port is due" },
		{ "(0x1,2)", "has 'x1,2)' where a ',' is due" },
		{ "(0,1024)", "has port 1024, the highest is 1023" },
		{ "(0,65537)", "has port 65537, the highest is 1023" },
		{ "(0,4294967297)", "has port 4294967297, the highest is 1023" },
		{ "(0,1)(1,2)", "has port 1 twice" },
		{ "(0,1)(2,0)", "has port 0 twice" },
		{ "(7,7)(7,8)", "has port 7 twice" },
		{ "(0,1)(0,1)", "has port 0 twice" },
	};
	char quoted[64];

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		READ("--", "--portmap", rows[i].value);
		expect_action(OPTIONS_ERROR);
		snprintf(quoted, sizeof(quoted), "--portmap: '%s'", rows[i].value);
		expect_error_has(quoted);
		expect_error_has(rows[i].reason);
	}
}

static void
a_portmap_stays_within_the_mask_that_is_given(void **state)
{
	(void)state;
	RUN("--", "-p", "f", "--portmap", "(0,3)(1,2)");
	options_free(&got.options);
	/* In either order: the mask may come later. */
	READ("--", "--portmap", "(0,3)", "-p", "3");
	expect_action(OPTIONS_ERROR);
	expect_error_has("--portmap: port 3 is not in the mask of -p/--portmask");
	READ("--", "-p", "2", "--portmap", "(0,0)");
	expect_action(OPTIONS_ERROR);
	expect_error_has("port 0");
}

/* ---- Options that are none, and operands ---- */

static void
what_is_no_option_of_ours_is_refused(void **state)
{
	static const struct {
		const char *first, *second, *reason;
	} rows[] = {
		{ "-x", NULL, "option -x: there is none of this name" },
		{ "-px", "-x", "'x' is not hexadecimal" },
		{ "-P", NULL, "option -P: there is none of this name" },
		{ "--nonsense", NULL, "option --nonsense: there is none of this name" },
		{ "--nonsense=3", NULL, "option --nonsense=3: there is none of this name" },
		{ "--shm", "/x", "option --shm: may be --shm-group or --shm-mode" },
		{ "--port=3", NULL, "option --port: may be --portmap or --portmask" },
		{ "--no-promiscuous=1", NULL,
		  "option --no-promiscuous: takes no value, was given '1'" },
		{ "--takeover=1", NULL, "option --takeover: takes no value, was given '1'" },
		{ "--takeover", "1", "operand '1'" },
		{ "--help=me", NULL, "option -h/--help: takes no value, was given 'me'" },
		{ "-p", NULL, "option -p/--portmask: its value is missing; give a hexadecimal" },
		{ "--portmap", NULL, "option --portmap: its value is missing; give pairs" },
		{ "--seed", NULL, "option --seed: its value is missing" },
		{ "-T", NULL, "option -T/--stats-period: its value is missing" },
		{ "3", NULL, "operand '3'" },
		{ "-p3", "3", "operand '3'" },
		{ "-", NULL, "operand '-'" },
		{ "", NULL, "operand ''" },
		{ "--", "-p3", "operand '-p3'" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		READ("-l", "0-1", "--", rows[i].first, rows[i].second);
		expect_action(OPTIONS_ERROR);
		expect_error_has(rows[i].reason);
	}
}

static void
the_environment_does_not_change_what_an_operand_is(void **state)
{
	(void)state;
	assert_int_equal(setenv("POSIXLY_CORRECT", "1", 1), 0);
	READ("--", "operand", "-p", "3");
	expect_action(OPTIONS_ERROR);
	expect_error_has("operand 'operand'");
	RUN("operand", "--file-prefix", "x", "--", "-p", "3");
	assert_string_equal(got.options.shm_name, KA_SHM_DEFAULT_NAME ".x");
	assert_int_equal(unsetenv("POSIXLY_CORRECT"), 0);
}

/* ---- Help and version ---- */

static void
help_and_version_are_answered_in_both_parts(void **state)
{
	static const struct {
		const char *words[8];
		enum options_action action;
	} rows[] = {
		{ { "p", "-h" }, OPTIONS_HELP },
		{ { "p", "--help" }, OPTIONS_HELP },
		{ { "p", "--he" }, OPTIONS_HELP },
		{ { "p", "-V" }, OPTIONS_VERSION },
		{ { "p", "--version" }, OPTIONS_VERSION },
		{ { "p", "-l", "0-1", "-h", "--", "-p3" }, OPTIONS_HELP },
		{ { "p", "-d", "x", "-vV" }, OPTIONS_VERSION },
		{ { "p", "--", "-h" }, OPTIONS_HELP },
		{ { "p", "--", "--help" }, OPTIONS_HELP },
		{ { "p", "--", "-p", "3", "-V" }, OPTIONS_VERSION },
		{ { "p", "--", "--vers" }, OPTIONS_VERSION },
		/* Values of EAL's options are not options. */
		{ { "p", "-d", "-h" }, OPTIONS_RUN },
		{ { "p", "--file-prefix", "--help" }, OPTIONS_RUN },
		{ { "p", "--vdev", "-V" }, OPTIONS_RUN },
		{ { "p", "-v" }, OPTIONS_RUN },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		read_words(rows[i].words);
		expect_action(rows[i].action);
	}
}

static void
the_usage_names_every_option_and_the_way_to_start(void **state)
{
	static const char *const parts[] = {
		"-p, --portmask MASK",
		"-q, --ports-per-lcore NQ",
		"-K, --check-period MS",
		"--late-us US",
		"--alarm-hold MS",
		"-T, --stats-period SEC",
		"--portmap \"(a,b)(c,d)\"",
		"--no-mac-updating",
		"--no-promiscuous",
		"--on-hang POLICY",
		"--max-restarts N/SEC",
		"--takeover  ",
		"--demo-lifetime SEC",
		"--seed N",
		"--shm-name NAME",
		"--shm-mode OCTAL",
		"--shm-group GROUP",
		"-h, --help",
		"-V, --version",
		"l2fwd-keepalive -l 0-1 -- -p 3",
		"EAL options",
		KA_SHM_DEFAULT_NAME,
	};
	const char *usage = options_usage();

	(void)state;
	for (size_t i = 0; i < LENGTH(parts); i++)
		if (strstr(usage, parts[i]) == NULL)
			fail_msg("the usage lacks \"%s\"", parts[i]);
	assert_int_equal(usage[strlen(usage) - 1], '\n');
	for (const char *line = usage; *line != '\0'; line += strcspn(line, "\n") + 1)
		if (strcspn(line, "\n") > 80)
			fail_msg("wider than 80 columns: %.*s", (int)strcspn(line, "\n"), line);
}

/* ---- EAL's part ---- */

static void
all_before_the_first_divider_is_for_eal(void **state)
{
	(void)state;
	RUN("-l", "0-1", "--no-huge", "--", "-p", "3");
	assert_int_equal(got.eal_argc, 4);
	assert_int_equal(first_ports(), 3);
	RUN("--", "-p", "3");
	assert_int_equal(got.eal_argc, 1);
	RUN("-l", "0-1");
	assert_int_equal(got.eal_argc, 3);
	RUN("-l", "0-1", "--");
	assert_int_equal(got.eal_argc, 3);
}

static void
the_file_prefix_of_eal_gives_the_default_name(void **state)
{
	static const struct {
		const char *words[8];
		const char *name;
	} rows[] = {
		{ { "p", "--file-prefix", "x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--file-prefix=x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--file-prefix=x", "--", "-p3" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--fi=x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--file", "x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--file-prefix", "rte" }, KA_SHM_DEFAULT_NAME },
		{ { "p", "--file-prefix", "x", "--file-prefix", "y" }, KA_SHM_DEFAULT_NAME ".y" },
		{ { "p", "--unknown", "-Q", "--file-prefix", "x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--syslog", "--file-prefix", "x" }, KA_SHM_DEFAULT_NAME ".x" },
		{ { "p", "--huge-unlink", "--file-prefix", "x" }, KA_SHM_DEFAULT_NAME ".x" },
		/* EAL could also mean --force-max-simd-bitwidth, and says so itself. */
		{ { "p", "--f=x" }, KA_SHM_DEFAULT_NAME },
		{ { "p", "-d", "--file-prefix=x" }, KA_SHM_DEFAULT_NAME },
		{ { "p", "--", "--shm-name", "/other" }, "/other" },
		{ { "p", "--file-prefix", "x", "--", "--shm-name", "/other" }, "/other" },
		{ { "p", "--file-prefix", "a/b", "--", "--shm-name", "/other" }, "/other" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		read_words(rows[i].words);
		expect_action(OPTIONS_RUN);
		if (strcmp(got.options.shm_name, rows[i].name) != 0)
			fail_msg("%s: name %s instead of %s", got.line, got.options.shm_name,
				 rows[i].name);
	}
}

static void
a_file_prefix_that_gives_no_name_is_refused(void **state)
{
	char long_prefix[KA_SHM_NAME_MAX + 1];

	(void)state;
	READ("--file-prefix", "a/b", "--", "-p", "3");
	expect_action(OPTIONS_ERROR);
	expect_error_has("--file-prefix: 'a/b'");
	expect_error_has("--shm-name");
	memset(long_prefix, 'x', sizeof(long_prefix) - 1);
	long_prefix[sizeof(long_prefix) - 1] = '\0';
	READ("--file-prefix", long_prefix);
	expect_action(OPTIONS_ERROR);
	expect_error_has("--shm-name");
}

static void
an_option_of_ours_among_those_of_eal_is_told_where_to_go(void **state)
{
	static const struct {
		const char *words[8];
		const char *reason;
	} rows[] = {
		{ { "p", "-p", "3" },
		  "option -p/--portmask: stands among the options of EAL, put a --" },
		{ { "p", "-l", "0-1", "-p3" }, "option -p/--portmask" },
		{ { "p", "-l", "0-1", "-q", "2" }, "option -q/--ports-per-lcore" },
		{ { "p", "-l", "0-1", "-K", "5" }, "option -K/--check-period" },
		{ { "p", "-d", "x", "-T", "1" }, "option -T/--stats-period" },
		{ { "p", "--portmask", "3" }, "option -p/--portmask" },
		{ { "p", "--portmask=3" }, "option -p/--portmask" },
		{ { "p", "--no-promiscuous" }, "option --no-promiscuous" },
		{ { "p", "--shm-name", "/x" }, "option --shm-name" },
		{ { "p", "--takeover" }, "option --takeover" },
		{ { "p", "-l0", "-p3", "--", "-q2" }, "move it behind the --" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		read_words(rows[i].words);
		expect_action(OPTIONS_ERROR);
		expect_error_has(rows[i].reason);
		expect_error_has("l2fwd-keepalive -l 0-1 -- -p 3");
	}
}

static void
options_of_eal_are_not_taken_for_ours(void **state)
{
	static const char *const lines[][6] = {
		{ "p", "-d", "-p", NULL },
		{ "p", "-d", "x", "-l", "0-1", NULL },
		{ "p", "-dpT.so", "-vl", "0", NULL },
		{ "p", "--vdev", "net_null0", "-a", "-q", NULL },
		{ "p", "--no-pci", "--proc-type", "primary", "--pr=auto", NULL },
		{ "p", "-R", "-P", "--no-such-thing", "K", NULL },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		read_words(lines[i]);
		expect_action(OPTIONS_RUN);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_apply_when_nothing_is_said),
		cmocka_unit_test(an_empty_command_line_is_read),
		cmocka_unit_test(numbers_are_taken_as_written),
		cmocka_unit_test(values_may_stick_to_their_option),
		cmocka_unit_test(late_us_stands_wherever_the_check_period_does),
		cmocka_unit_test(the_last_of_a_repeated_option_counts),
		cmocka_unit_test(flags_turn_their_default_around),
		cmocka_unit_test(options_of_recovery_are_taken_with_keepalive_off),
		cmocka_unit_test(a_group_is_found_by_its_name),
		cmocka_unit_test(a_wrong_value_is_named_with_its_option_and_the_reason),
		cmocka_unit_test(a_complaint_gives_both_names_of_the_option),
		cmocka_unit_test(a_long_value_is_cut_but_the_reason_is_not),
		cmocka_unit_test(a_line_break_in_a_value_stays_on_one_line),
		cmocka_unit_test(a_portmask_holds_1024_ports_and_not_one_more),
		cmocka_unit_test(a_portmask_built_port_by_port_has_these_ports),
		cmocka_unit_test(a_portmap_is_read_with_and_without_commas),
		cmocka_unit_test(a_wrong_portmap_is_refused_with_the_place),
		cmocka_unit_test(a_portmap_stays_within_the_mask_that_is_given),
		cmocka_unit_test(what_is_no_option_of_ours_is_refused),
		cmocka_unit_test(the_environment_does_not_change_what_an_operand_is),
		cmocka_unit_test(help_and_version_are_answered_in_both_parts),
		cmocka_unit_test(the_usage_names_every_option_and_the_way_to_start),
		cmocka_unit_test(all_before_the_first_divider_is_for_eal),
		cmocka_unit_test(the_file_prefix_of_eal_gives_the_default_name),
		cmocka_unit_test(a_file_prefix_that_gives_no_name_is_refused),
		cmocka_unit_test(an_option_of_ours_among_those_of_eal_is_told_where_to_go),
		cmocka_unit_test(options_of_eal_are_not_taken_for_ours),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}

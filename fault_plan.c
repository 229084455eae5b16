/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "fault_plan.h"
#include "number.h"
#include "shm.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* Longest time in a plan: a day. */
#define TIME_MAX_NS (86400 * NS_PER_S)

/* Of a wrong part this much is repeated, so that the reason still fits. */
#define PART_SHOWN 24

/* One kind of fault. */
struct row {
	const char *name;
	bool takes_length; /* May be written with :MS behind it. */
	bool needs_length; /* Must be. */
};

static const struct row table[] = {
	[FAULT_EXIT] = { "exit", false, false },
	[FAULT_SPIN] = { "spin", true, false },
	[FAULT_BLOCK] = { "block", true, false },
	[FAULT_SLOW] = { "slow", true, true },
	[FAULT_SEGV] = { "segv", false, false },
	[FAULT_NOSTART] = { "nostart", false, false },
	[FAULT_MONITOR_STALL] = { "monitor-stall", true, true },
};

#define NB_ROWS (sizeof(table) / sizeof(table[0]))

/* Always false, so that a reader can say why and fail in one statement. */
static bool __attribute__((format(printf, 2, 3)))
refuse(char why[FAULT_WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, FAULT_WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* Length of a part of the text: up to one of the characters in marks, or to the end. */
static int
part_length(const char *text, const char *marks)
{
	size_t length = strcspn(text, marks);

	return length < PART_SHOWN ? (int)length : PART_SHOWN;
}

/* Step over a mark that is due. */
static bool
take_mark(const char **text, char mark, char why[FAULT_WHY_MAX])
{
	if (**text == '\0')
		return refuse(why, "ends where a '%c' is due", mark);
	if (**text != mark)
		return refuse(why, "has '%.*s' where a '%c' is due", part_length(*text, ","), *text,
			      mark);
	(*text)++;
	return true;
}

static bool
take_lcore(const char **text, unsigned int *lcore, char why[FAULT_WHY_MAX])
{
	const char *start = *text;
	uint64_t number = 0;
	const enum number_error wrong = number_take(text, 10, KA_SHM_MAX_LCORES - 1, &number);

	if (*start == '\0')
		return refuse(why, "ends where the number of an lcore is due");
	if (wrong == NUMBER_NONE)
		return refuse(why, "has '%.*s' where the number of an lcore is due",
			      part_length(start, ":,"), start);
	if (wrong != NUMBER_OK)
		return refuse(why, "has lcore %.*s, the highest is %d", part_length(start, ":,@"),
			      start, KA_SHM_MAX_LCORES - 1);
	*lcore = (unsigned int)number;
	return true;
}

static bool
take_kind(const char **text, enum fault_kind *kind, char why[FAULT_WHY_MAX])
{
	size_t length = strcspn(*text, ":@,");

	for (size_t i = 0; i < NB_ROWS; i++)
		if (strlen(table[i].name) == length && strncmp(*text, table[i].name, length) == 0) {
			*kind = (enum fault_kind)i;
			*text += length;
			return true;
		}
	if (**text == '\0')
		return refuse(why, "ends where a kind of fault is due");
	return refuse(why, "has kind '%.*s', which there is not", part_length(*text, ":@,"), *text);
}

/* Step over a time that ends at a mark or at the end of the text. */
static bool
take_time(const char **text, const char *unit, uint64_t unit_ns, uint64_t *ns,
	  char why[FAULT_WHY_MAX])
{
	const char *start = *text;
	const enum number_error wrong = number_take_time(text, unit_ns, TIME_MAX_NS, ns);

	if (*start == '\0')
		return refuse(why, "ends where %s are due", unit);
	/* strchr() finds the end of the text as well. */
	if (wrong != NUMBER_OK || strchr("@,", **text) == NULL)
		return refuse(why, "has '%.*s' where decimal %s of up to a day are due",
			      part_length(start, "@,"), start, unit);
	return true;
}

static bool
take_entry(const char **text, struct fault_entry *entry, char why[FAULT_WHY_MAX])
{
	*entry = (struct fault_entry){ 0 };
	if (!take_lcore(text, &entry->lcore, why) || !take_mark(text, ':', why) ||
	    !take_kind(text, &entry->kind, why))
		return false;
	if (table[entry->kind].needs_length || (table[entry->kind].takes_length && **text == ':')) {
		if (!take_mark(text, ':', why) ||
		    !take_time(text, "milliseconds", NS_PER_MS, &entry->length_ns, why))
			return false;
		if (entry->length_ns == 0)
			return refuse(why, "has a '%s' of 0 ms", table[entry->kind].name);
	} else if (**text == ':') {
		return refuse(why, "has '%.*s' behind '%s', which takes no time",
			      part_length(*text, "@,"), *text, table[entry->kind].name);
	}
	if (**text == '@') {
		(*text)++;
		return take_time(text, "seconds", NS_PER_S, &entry->at_ns, why);
	}
	return true;
}

int
fault_parse(const char *text, struct fault_plan *plan, char why[FAULT_WHY_MAX])
{
	size_t nb = 0;

	why[0] = '\0';
	*plan = (struct fault_plan){ 0 };
	for (;;) {
		if (nb == FAULT_MAX_ENTRIES) {
			refuse(why, "has more than %d faults, from '%.*s' on", FAULT_MAX_ENTRIES,
			       part_length(text, ","), text);
			break;
		}
		if (!take_entry(&text, &plan->entry[nb++], why))
			break;
		if (*text == '\0') {
			plan->nb = nb;
			return 0;
		}
		if (!take_mark(&text, ',', why))
			break;
	}
	*plan = (struct fault_plan){ 0 };
	return -EINVAL;
}

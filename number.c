/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdbool.h>

#include "number.h"

unsigned int
number_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

enum number_error
number_take(const char **text, unsigned int base, uint64_t max, uint64_t *number)
{
	const char *start = *text;
	uint64_t sum = 0;
	bool fits = true;

	for (; number_digit(**text) < base; (*text)++) {
		uint64_t digit = number_digit(**text);

		/* One that is too large already only needs to be stepped over. */
		if (digit > max || sum > (max - digit) / base)
			fits = false;
		if (fits)
			sum = sum * base + digit;
	}
	if (*text == start)
		return NUMBER_NONE;
	if (!fits)
		return NUMBER_TOO_LARGE;
	*number = sum;
	return NUMBER_OK;
}

/* Step over the digits behind a point; what is finer than a nanosecond is told, not counted. */
static enum number_error
take_fraction(const char **text, uint64_t unit_ns, uint64_t *ns)
{
	const char *start = *text;
	bool exact = true;

	*ns = 0;
	for (uint64_t step = unit_ns / 10; number_digit(**text) < 10; (*text)++, step /= 10) {
		*ns += step * number_digit(**text);
		exact = exact && (step != 0 || **text == '0');
	}
	if (*text == start)
		return NUMBER_NONE;
	return exact ? NUMBER_OK : NUMBER_TOO_FINE;
}

enum number_error
number_take_time(const char **text, uint64_t unit_ns, uint64_t max_ns, uint64_t *ns)
{
	uint64_t units = 0;
	uint64_t fraction_ns = 0;
	uint64_t room_ns;
	enum number_error whole = number_take(text, 10, max_ns / unit_ns, &units);
	enum number_error fraction = NUMBER_OK;

	if (whole == NUMBER_NONE)
		return whole;
	if (**text == '.') {
		(*text)++;
		fraction = take_fraction(text, unit_ns, &fraction_ns);
		if (fraction == NUMBER_NONE)
			return fraction;
	}
	if (whole != NUMBER_OK)
		return whole;
	/* What could not be counted behind the last nanosecond may be the bit too much. */
	room_ns = max_ns - units * unit_ns;
	if (fraction_ns > room_ns || (fraction_ns == room_ns && fraction == NUMBER_TOO_FINE))
		return NUMBER_TOO_LARGE;
	if (fraction != NUMBER_OK)
		return fraction;
	*ns = units * unit_ns + fraction_ns;
	return NUMBER_OK;
}

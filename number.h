/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef NUMBER_H
#define NUMBER_H

/*
 * Numbers as people write them, for what reads options: taken as they are written or refused,
 * never narrowed, clamped or rounded. No sign, no blank, no prefix, no exponent and no locale.
 * Knows nothing of what a number is for: the words of a complaint are the caller's.
 *
 * A reader steps over what belongs to the number and leaves it to the caller to judge what comes
 * behind it.
 */

#include <stdint.h>

/** What is wrong with a number. */
enum number_error {
	NUMBER_OK,	  /**< Nothing. */
	NUMBER_NONE,	  /**< There is no digit where one is due. */
	NUMBER_TOO_LARGE, /**< It is above the limit. */
	NUMBER_TOO_FINE,  /**< It is within the limit, but no whole number of nanoseconds. */
};

/**
 * Value of a digit.
 *
 * @return 0 to 15 for 0 to 9 and a to f, small or capital; 16 for any other character.
 */
unsigned int number_digit(char c);

/**
 * Step over a whole number: digits of a base, as many as there are.
 *
 * @param text  where it begins; moved behind its last digit, also when it is too large. Not moved
 *   for NUMBER_NONE.
 * @param base  2 to 16.
 * @param max  the largest that is taken; any value.
 * @param number  set for NUMBER_OK, to 0 to max; else left alone.
 * @return NUMBER_OK, NUMBER_NONE or NUMBER_TOO_LARGE.
 */
enum number_error number_take(const char **text, unsigned int base, uint64_t max, uint64_t *number);

/**
 * Step over a time: a decimal number of units, such as 5, 0.25 or 007.500, with digits on both
 * sides of a point.
 *
 * @param text  where it begins; moved behind its last digit, also when it is too large or too
 *   fine. For NUMBER_NONE moved to where the digit is due: the beginning, or behind the point.
 * @param unit_ns  the unit in nanoseconds, a power of ten: 1000000 for milliseconds.
 * @param max_ns  the longest that is taken, in nanoseconds; any value.
 * @param ns  set for NUMBER_OK, to 0 to max_ns nanoseconds; else left alone.
 * @return what is wrong; NUMBER_TOO_LARGE where it is too fine as well.
 */
enum number_error
number_take_time(const char **text, uint64_t unit_ns, uint64_t max_ns, uint64_t *ns);

#endif /* NUMBER_H */

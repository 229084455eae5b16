/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef ANSWER_H
#define ANSWER_H

/*
 * Answers to DPDK's telemetry: dictionaries of numbers and texts, whichever of the names that DPDK
 * gave to these functions over time is there. A value for which there is no memory, or no room in the
 * library's reply of 16384 bytes, is not in the answer.
 */

#include <stddef.h>
#include <stdint.h>

#include <rte_telemetry.h>

/** Begin an answer that is a dictionary. */
void answer_begin(struct rte_tel_data *to);

/** Begin an answer that is an array of numbers. */
void answer_begin_array(struct rte_tel_data *to);

/** Add a number to such an array. */
void answer_add(struct rte_tel_data *to, uint64_t number);

/** Put a number into a dictionary. @param key  letters, digits, '_' and '/'. */
void answer_number(struct rte_tel_data *to, const char *key, uint64_t number);

/**
 * Put a text: printable ASCII. Any other character, and a quote or a backslash, which some versions of
 * DPDK do not escape, becomes '?'. Cut at 127 characters.
 */
void answer_text(struct rte_tel_data *to, const char *key, const char *text);

/** Put an array of numbers. @param nb  up to RTE_TEL_MAX_ARRAY_ENTRIES. */
void
answer_numbers(struct rte_tel_data *to, const char *key, const uint64_t *numbers, unsigned int nb);

/**
 * Begin a dictionary within one. It is to be filled, then given to answer_end_inner().
 *
 * @return NULL without memory.
 */
struct rte_tel_data *answer_begin_inner(void);

/** Put it into the outer one, which owns it from then on. */
void answer_end_inner(struct rte_tel_data *to, const char *key, struct rte_tel_data *inner);

/** Make the answer a dictionary of one text, "error", as by printf(). */
void answer_error(struct rte_tel_data *to, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* ANSWER_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_WORDS_H
#define KA_AGENT_WORDS_H

/* Words that more than one way out uses. */

#include <stdbool.h>
#include <stdint.h>

#include "../shm.h"

/** Room for a word, its NUL included. */
#define WORDS_MAX 48

/**
 * The program's name as its segment has it, made safe for a terminal.
 *
 * @param identity  NULL: the original's, or none.
 * @param with_version  all of it, or only up to the first blank.
 */
void words_program(char word[WORDS_MAX], const struct ka_shm_identity *identity, bool with_version);

/** Who it is about: "l2fwd-keepalive (pid 12)", or without the pid where there is none. */
void words_owner(char word[2 * WORDS_MAX], const struct ka_shm_identity *identity);

/** Nanoseconds as milliseconds with as many decimals as it takes: 5, 0.2, 1.25. */
void words_exact_ms(char word[WORDS_MAX], uint64_t ns);

#endif /* KA_AGENT_WORDS_H */

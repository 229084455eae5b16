/* SPDX-License-Identifier: BSD-3-Clause */

#include <inttypes.h>
#include <stdio.h>

#include "words.h"

#define NS_PER_MS UINT64_C(1000000)

void
words_program(char word[WORDS_MAX], const struct ka_shm_identity *identity, bool with_version)
{
	const char *program = identity == NULL ? "" : identity->program;
	const size_t room = identity == NULL ? 0 : sizeof(identity->program);
	size_t i;

	for (i = 0; i < room && i < WORDS_MAX - 1 && program[i] != '\0'; i++) {
		if (program[i] == ' ' && !with_version)
			break;
		word[i] = program[i];
		if (program[i] < ' ' || program[i] > '~')
			word[i] = '?';
	}
	word[i] = '\0';
	if (i == 0)
		snprintf(word, WORDS_MAX, "l2fwd-keepalive");
}

void
words_owner(char word[2 * WORDS_MAX], const struct ka_shm_identity *identity)
{
	char program[WORDS_MAX];

	words_program(program, identity, false);
	if (identity == NULL)
		snprintf(word, 2 * WORDS_MAX, "%s", program);
	else
		snprintf(word, 2 * WORDS_MAX, "%s (pid %" PRId64 ")", program, identity->pid);
}

void
words_exact_ms(char word[WORDS_MAX], uint64_t ns)
{
	int length =
		snprintf(word, WORDS_MAX, "%" PRIu64 ".%06" PRIu64, ns / NS_PER_MS, ns % NS_PER_MS);

	while (word[length - 1] == '0')
		word[--length] = '\0';
	if (word[length - 1] == '.')
		word[--length] = '\0';
}

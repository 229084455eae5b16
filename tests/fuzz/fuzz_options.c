/* SPDX-License-Identifier: BSD-3-Clause */

/* Any command line: it is taken, or refused in one line of text. Words of an input end with a 0. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define WORDS_MAX 32
#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_options: %s\n", what);
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char program[] = "l2fwd-keepalive", separator[] = "--", error[OPTIONS_ERROR_MAX] = "";
	char text[INPUT_MAX + 1];
	char *argv[WORDS_MAX + 3] = { program, separator };
	struct options options;
	int argc = 2, eal_argc;

	if (size > INPUT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; at < text + size && argc < WORDS_MAX + 2; at += strlen(at) + 1)
		argv[argc++] = at;
	switch (options_parse(&options, argc, argv, &eal_argc, error)) {
	case OPTIONS_ERROR:
		must(error[0] != '\0' && memchr(error, '\0', sizeof(error)) != NULL, "no reason");
		for (const char *at = error; *at != '\0'; at++)
			must(*at != '\n' && !iscntrl((unsigned char)*at), "no line of text");
		break;
	case OPTIONS_RUN:
		must(eal_argc == 1, "an option is taken for EAL's");
		must(ka_shm_name_is_valid(options.shm_name), "a name that is none");
		must(options.check_period_ns == 0 || options.check_period_ns >= 100000,
		     "a period that is none");
		options_free(&options);
		break;
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
		break;
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause */

#include <stdarg.h>
#include <stdio.h>

#include <rte_version.h>

#include "answer.h"

/* Unsigned numbers were called by their width, until 23.03 called them by their sign. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define NUMBERS RTE_TEL_UINT_VAL
#define add_array_number rte_tel_data_add_array_uint
#define add_dict_number rte_tel_data_add_dict_uint
#else
#define NUMBERS RTE_TEL_U64_VAL
#define add_array_number rte_tel_data_add_array_u64
#define add_dict_number rte_tel_data_add_dict_u64
#endif

void
answer_begin(struct rte_tel_data *to)
{
	rte_tel_data_start_dict(to);
}

void
answer_begin_array(struct rte_tel_data *to)
{
	rte_tel_data_start_array(to, NUMBERS);
}

void
answer_add(struct rte_tel_data *to, uint64_t number)
{
	add_array_number(to, number);
}

void
answer_number(struct rte_tel_data *to, const char *key, uint64_t number)
{
	add_dict_number(to, key, number);
}

void
answer_text(struct rte_tel_data *to, const char *key, const char *text)
{
	char clean[RTE_TEL_MAX_STRING_LEN];
	size_t i;

	for (i = 0; i < sizeof(clean) - 1 && text[i] != '\0'; i++) {
		clean[i] = text[i];
		if (text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			clean[i] = '?';
	}
	clean[i] = '\0';
	rte_tel_data_add_dict_string(to, key, clean);
}

/* A container that could not be put anywhere is still ours. */
static void
put(struct rte_tel_data *to, const char *key, struct rte_tel_data *container)
{
	if (rte_tel_data_add_dict_container(to, key, container, 0) != 0)
		rte_tel_data_free(container);
}

void
answer_numbers(struct rte_tel_data *to, const char *key, const uint64_t *numbers, unsigned int nb)
{
	struct rte_tel_data *array = rte_tel_data_alloc();

	if (array == NULL)
		return;
	answer_begin_array(array);
	for (unsigned int i = 0; i < nb; i++)
		answer_add(array, numbers[i]);
	put(to, key, array);
}

struct rte_tel_data *
answer_begin_inner(void)
{
	struct rte_tel_data *inner = rte_tel_data_alloc();

	if (inner != NULL)
		answer_begin(inner);
	return inner;
}

void
answer_end_inner(struct rte_tel_data *to, const char *key, struct rte_tel_data *inner)
{
	put(to, key, inner);
}

void
answer_error(struct rte_tel_data *to, const char *format, ...)
{
	char text[RTE_TEL_MAX_STRING_LEN];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	answer_begin(to);
	answer_text(to, "error", text);
}

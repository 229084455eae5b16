/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * To be preloaded into ka-agent: notes when what it says has been written.
 *
 * KA_BENCH_LINES names a file laid out as struct lines; bench/preloads.py reads it.
 */

#include <stdatomic.h>

#include "map.h"

#define KEPT 16384

struct lines {
	_Atomic uint64_t flushes;
	uint64_t flush_ns[KEPT]; /* Right after the flush. */
};

static struct lines *lines;

static int (*real_fflush)(FILE *);

__attribute__((constructor)) static void
lines_init(void)
{
	*(void **)&real_fflush = real("fflush");
	lines = map_file("KA_BENCH_LINES", sizeof(*lines));
}

int
fflush(FILE *stream)
{
	int rc = real_fflush(stream);
	uint64_t count;

	if (lines != NULL && stream == stdout) {
		count = atomic_load(&lines->flushes);
		lines->flush_ns[count % KEPT] = now_ns();
		atomic_store(&lines->flushes, count + 1);
	}
	return rc;
}

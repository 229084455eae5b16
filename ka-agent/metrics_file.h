/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_METRICS_FILE_H
#define KA_AGENT_METRICS_FILE_H

/*
 * The file of --metrics: replaced as a whole each time, by a thread of its own, since a disk may take
 * long and who waits for deaths must not wait for it; only at the end of a forwarder or of the agent,
 * for a second, so that the last figures are not lost.
 *
 * The text is written to FILE.PID.tmp in the same folder and renamed, so that who reads FILE finds
 * one text or the next, never a part. Its mode is 0644 whatever the umask is.
 */

#include <stdbool.h>

#include "status.h"

/** Time between two texts. Scrapes are further apart, and the counters lose nothing. */
#define METRICS_FILE_INTERVAL_NS UINT64_C(1000000000)

/** How long the end waits for a disk. Nanoseconds. */
#define METRICS_FILE_PATIENCE_NS UINT64_C(1000000000)

/** Opaque. */
struct metrics_file;

/**
 * Write the first text, that nothing is watched yet, and start the thread.
 *
 * @param file  set on success; to be given to metrics_file_close().
 * @param path  of the file; lives as long as it.
 * @param name  of the segment; lives as long as it.
 * @return 0, or -ENOMEM, or what open, fchmod, write, close, rename or pthread_create said.
 */
int metrics_file_open(struct metrics_file **file, const char *path, const char *name);

/**
 * Where to put what was seen, for the next text. Call metrics_file_hand_over() then.
 *
 * @param now_ns  CLOCK_MONOTONIC.
 * @param at_once  whether it is due before its time: there is something that must not wait. Then the
 *   last one is waited for, for METRICS_FILE_PATIENCE_NS at most.
 * @return what the last text was made of; NULL when none is due, one a METRICS_FILE_INTERVAL_NS, or
 *   while the last one is still being written.
 */
struct status *metrics_file_due(struct metrics_file *file, uint64_t now_ns, bool at_once);

/** Have the thread write it. Never waits. */
void metrics_file_hand_over(struct metrics_file *file);

/** What became of the last text that was written: 0, or -errno as metrics_file_open(). */
int metrics_file_error(const struct metrics_file *file);

/**
 * Write the last text, that nothing is watched any more, and let go. NULL is allowed.
 *
 * @return 0, what became of that text as metrics_file_error(), or -ETIMEDOUT when a disk takes longer
 *   than a second.
 */
int metrics_file_close(struct metrics_file *file);

#endif /* KA_AGENT_METRICS_FILE_H */

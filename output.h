/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef OUTPUT_H
#define OUTPUT_H

/*
 * Lines for people, which must never hold up the lcores that write them.
 *
 * A terminal after Ctrl-S, or a pipe whose reader sleeps, blocks whoever writes to it. So nobody
 * here does: a line goes into a kernel pipe that never blocks its writer, and a thread of its
 * own carries it on to stdout or stderr. When that pipe is full the line is dropped and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * Start the carrying threads. To be called before EAL binds the calling thread to one CPU.
 *
 * Where stdout and stderr are the same file one thread carries both, so that lines keep their
 * order. Ends by itself where the program does by exit(), with all lines written that were there.
 *
 * @return 0 or a negative errno value: no descriptors, no memory, no thread.
 */
int output_start(void);

/** A stream for rte_openlog_stream(): what is logged to it goes to stderr. NULL before start. */
FILE *output_log(void);

/** Descriptor behind output_log(), for signal handlers: a pipe that never blocks. -1 before start. */
int output_log_descriptor(void);

/** Print to stdout, as printf() does. Whole lines only; what is longer than 4 KiB is split. */
void output_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Whether stdout is a terminal. */
bool output_is_terminal(void);

/** Lines dropped so far because stdout or stderr was blocked or closed. Any thread may ask. */
uint64_t output_lost_lines(void);

/** Carry out what is still queued, waiting no longer than 500 ms for it, and end the threads. */
void output_stop(void);

#endif /* OUTPUT_H */

/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef SIGNALS_H
#define SIGNALS_H

/*
 * The signals that end the program: SIGINT, SIGTERM, and SIGHUP unless it was ignored at the
 * start (nohup). They are blocked in all threads, and the main lcore takes them where it waits:
 * none can come between a check and the sleep behind it, and the first needs no handler.
 */

#include <stdint.h>

/** Wait without an end. */
#define SIGNALS_FOREVER UINT64_MAX

/** Block the ending signals, ignore SIGPIPE. Before any other thread is made. */
void signals_block(void);

/**
 * Sleep until an ending signal or the end of a time.
 *
 * @param timeout_ns  nanoseconds; 0 only looks; SIGNALS_FOREVER.
 * @return the number of the signal, or 0 when the time is over or the sleep was interrupted.
 */
int signals_wait(uint64_t timeout_ns);

/**
 * From now on another ending signal ends the process at once, with status 128 + its number,
 * wherever the main lcore may be stuck. To be called when nothing is left to remove.
 */
void signals_end_at_once(void);

#endif /* SIGNALS_H */

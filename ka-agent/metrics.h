/* SPDX-License-Identifier: BSD-3-Clause */

#ifndef KA_AGENT_METRICS_H
#define KA_AGENT_METRICS_H

/*
 * The way out for Prometheus: what a look at the segment found goes in, a text for node_exporter's
 * textfile collector comes out. Pure: no clock, no file, no segment is touched.
 *
 * Names and units follow Prometheus' conventions (prometheus.io/docs/practices/naming): prefix
 * l2fwd_keepalive_, seconds, _total for counters, which begin anew with each forwarder. The format is
 * version 0.0.4 of its text format (prometheus.io/docs/instrumenting/exposition_formats). Every
 * sample has the label segment, so that the files of several forwarders of a host can lie side by
 * side. The table of all names is in README.md.
 */

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/**
 * Room that is enough for any text: 128 cores with 16 ports, and a name of which every character
 * must be escaped.
 */
#define METRICS_TEXT_MAX (UINT64_C(8) << 20)

/**
 * Write the text.
 *
 * Of an owner that never was there is l2fwd_keepalive_up only, which is 0. It is 1 when watched, and
 * with STATUS_RUNS; else the rest is what was seen last.
 *
 * @param text  where to; not NUL-terminated.
 * @param room  bytes there.
 * @param status  all of it is used, but why.
 * @param now_real_ns  CLOCK_REALTIME at status->now_ns.
 * @param watched  whether it goes on being watched.
 * @return bytes written, or 0 when there is no room for all of it.
 */
size_t metrics_write(char *text, size_t room, const struct status *status, uint64_t now_real_ns,
		     bool watched);

#endif /* KA_AGENT_METRICS_H */

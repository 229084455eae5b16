# SPDX-License-Identifier: BSD-3-Clause
"""What the host takes from us: a figure to read the others by."""

import os
import time

from result import Row

# A turn of a busy loop that takes so much longer than all others had its CPU taken away.
GAP_S = 0.0002


def _gaps(cpu, seconds):
    """Lengths of the gaps in a busy loop on a CPU."""
    gaps = []
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        last = time.monotonic()
        end = last + seconds
        while last < end:
            now = time.monotonic()
            if now - last > GAP_S:
                gaps.append(now - last)
            last = now
    finally:
        os.sched_setaffinity(0, before)
    return gaps


def measure(bench):
    """CPU time that the host takes from a busy loop."""
    seconds = 1 if bench.quick else 5
    gaps = []
    for cpu in (bench.cpus.main, bench.cpus.worker):
        bench.step(f"what the host takes of CPU {cpu}")
        gaps += _gaps(cpu, seconds)
    bench.keep("host", {"gaps_s": gaps, "of_s": 2 * seconds})
    return [Row("taken by the host from a busy loop", "both CPUs, gaps of 0.2 ms and more",
                100 * sum(gaps) / (2 * seconds), None, unit="%",
                note=f"{len(gaps)} times in {2 * seconds} s, for {1e3 * max(gaps, default=0):.1f} "
                     f"ms at most")]

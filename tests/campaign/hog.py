# SPDX-License-Identifier: BSD-3-Clause
"""Takes a CPU away from all others for random bursts, as a host does with a virtual CPU:

    hog.py CPU SECONDS SEED LEAST_MS MOST_MS

A program of its own in class SCHED_FIFO. Prints "ready", then begin and end of each burst, in
nanoseconds of CLOCK_MONOTONIC, a line each. Between two bursts it sleeps for 60 to 300 ms, so that
the kernel's limit for real-time classes (kernel.sched_rt_runtime_us) does not cut a burst short.
"""

import os
import random
import sys
import time

from pause import let_pass


def main(cpu, seconds, seed, least_ms, most_ms):
    chance = random.Random(seed)
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    print("ready", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        length = round(chance.uniform(least_ms, most_ms) * 1e6)
        begin = now = time.monotonic_ns()
        while now < begin + length:
            now = time.monotonic_ns()
        print(begin, now, flush=True)
        let_pass(chance.uniform(0.06, 0.3), "between two bursts")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:6]))

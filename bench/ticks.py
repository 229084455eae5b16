# SPDX-License-Identifier: BSD-3-Clause
"""One tick of the monitor over all cores that a segment has room for, and over a single one."""

import subprocess

from result import Row, median

CORES = 127


def _ns(bench, cores, ticks):
    program = bench.build.directory / "bench/bench_tick"
    assert program.exists(), f"{program.name} was not built"
    done = subprocess.run([program, str(cores), str(ticks)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(text) for text in done.stdout.split()]


def measure(bench):
    """One tick over 127 registered cores, all alive."""
    ticks = 500 if bench.quick else 2000
    taken = {1: [], CORES: []}
    for repeat in range(7):
        bench.step(f"ticks, repeat {repeat + 1} of 7")
        for cores, values in taken.items():
            values += _ns(bench, cores, ticks)
    bench.keep("tick", {"ns": {str(cores): {"median": median(values), "best": min(values),
                                            "values": values[:ticks]}
                               for cores, values in taken.items()}})
    one, many = (median(taken[cores]) / 1e3 for cores in (1, CORES))
    return [Row(f"one tick over {CORES} cores", f"unit benchmark, {len(taken[CORES])} ticks",
                many, 10, unit="us",
                note=f"best {min(taken[CORES]) / 1e3:.2f} us; over one core {one:.2f} us")]

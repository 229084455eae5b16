# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark: started by scripts/bench.sh, inside tests/system/world.sh."""

import argparse
import dataclasses
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tests/system"))

from support.build import Build  # noqa: E402

import host  # noqa: E402
import instructions  # noqa: E402
import losses  # noqa: E402
import outages  # noqa: E402
import plots  # noqa: E402
import programs  # noqa: E402
import rates  # noqa: E402
import result  # noqa: E402
import table  # noqa: E402
import ticks  # noqa: E402
import wakeup  # noqa: E402

# What is measured, and the seconds that it takes: quick, full.
ALL = {
    "host": (host.measure, 2, 10),
    "null": (rates.null, 55, 130),
    "ring": (rates.ring, 15, 40),
    "memif": (rates.memif_pair, 35, 110),
    "outages": (outages.measure, 30, 150),
    "main": (outages.main_lcore, 8, 50),
    "agent": (wakeup.measure, 12, 50),
    "losses": (losses.measure, 8, 40),
    "tick": (ticks.measure, 5, 10),
    "callgrind": (instructions.measure, 30, 60),
}


@dataclasses.dataclass
class Bench:
    """What every measurement needs to know."""

    build: Build
    directory: Path  # For files that nobody needs afterwards.
    cpus: programs.Cpus
    quick: bool
    left: dict  # {name: seconds} of what has not begun.
    repeats: int = 7
    starts: int = 21  # Of each program whose rate is measured,
    rounds: int = 4   # and windows of each start.
    window_s: float = 0.2
    raw: dict = dataclasses.field(default_factory=dict)
    running: str = ""
    end: float = 0.0  # When what is running should be done.

    def begin(self, name):
        self.running = name
        self.end = time.monotonic() + self.left.pop(name)

    def step(self, what):
        """Tell what is being done, and how long all will take."""
        left = max(0, self.end - time.monotonic()) + sum(self.left.values())
        text = f"bench: {what}; about {left:.0f} s left"
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    @staticmethod
    def wipe():
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def keep(self, name, values):
        """Raw values, for the JSON."""
        self.raw[name] = values


def machine(build):
    """Where the numbers come from."""
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    return {"cpu": cpu[0] if cpu else "unknown", "cpus": os.cpu_count(),
            "kernel": platform.release(), "huge_pages": programs.HUGE,
            "dpdk": programs.version_of("pkg-config", "--modversion", "libdpdk"),
            "compiler": programs.version_of("cc", "--version").partition("\n")[0],
            "python": platform.python_version(), "buildtype": build.sanitizer,
            "version": programs.version_of(build.forwarder, "--version"),
            "revision": os.environ.get("KA_BENCH_REVISION", "unknown")}


def measure(bench, name):
    """One measurement; whatever goes wrong in it stops no other."""
    bench.begin(name)
    try:
        return ALL[name][0](bench)
    except result.Disturbed as error:
        return [result.Missing(name, str(error), fails_ci=False)]
    except (AssertionError, OSError, ValueError, ZeroDivisionError, StopIteration) as error:
        return [result.Missing(name, f"{type(error).__name__}: {error}")]


def parse():
    about = "\n".join(f"  {name:<10}{function.__doc__.splitlines()[0]}"
                      for name, (function, _, _) in ALL.items())
    parser = argparse.ArgumentParser(
        prog="bench.sh", description="Measure each target; one row for each, ok or short.",
        epilog=f"measurements:\n{about}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 minutes instead of 8")
    parser.add_argument("--ci", action="store_true",
                        help="fail when a ratio is below 0.9 of its target, or not measured")
    parser.add_argument("--results", metavar="DIR", type=Path, default=HERE / "results",
                        help="where to write (default: bench/results)")
    parser.add_argument("--table", metavar="FILE.json",
                        help="measure nothing: print a result as a table in Markdown")
    parser.add_argument("measurement", nargs="*", help="only these (default: all)")
    options = parser.parse_args()
    unknown = [name for name in options.measurement if name not in ALL]
    if unknown:
        parser.error(f"no measurement '{unknown[0]}'; see --help")
    return options


def end(number, frame):
    """Let everything be put away on the way out."""
    raise SystemExit(128 + number)


def main():
    options = parse()
    signal.signal(signal.SIGTERM, end)
    if options.table:
        return table.show(options.table)
    names = options.measurement or list(ALL)
    began = time.time()
    rows = []
    build = Build(os.environ["KA_TEST_WORLD"])
    about = machine(build)
    programs.use_memory_of_bench()
    with tempfile.TemporaryDirectory(prefix="ka-bench-") as directory:
        bench = Bench(build, Path(directory), programs.Cpus(), options.quick,
                      {name: ALL[name][1 if options.quick else 2] for name in names})
        if options.quick:
            bench.starts, bench.rounds, bench.window_s = 7, 8, 0.05
        print(result.head(), flush=True)
        for name in names:
            found = measure(bench, name)
            bench.wipe()
            print(*map(result.line, found), sep="\n", flush=True)
            rows += found
    taken = {"machine": about, "quick": options.quick,
             "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
             "seconds": round(time.time() - began, 1),
             "rows": [row.as_dict() for row in rows], "raw": bench.raw}
    options.results.mkdir(parents=True, exist_ok=True)
    name = f"{taken['started'][:10]}-{about['revision'].replace(' (changed)', '-changed')}"
    path = options.results / f"{name}.json"
    path.write_text(json.dumps(taken, indent=1) + "\n")
    complaint = plots.draw(taken, path)
    if complaint:
        print(f"bench: {complaint}")
    good = sum(row.ok for row in rows)
    print(f"bench: {good} ok, {len(rows) - good} short, {taken['seconds']:.0f} s; {path}")
    if not options.ci:
        return 0
    bad = [row.name for row in rows if row.fails_ci]
    for name in bad:
        print(f"bench: {name}: not measured, or below {result.TOLERANCE} of its target")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

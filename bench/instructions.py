# SPDX-License-Identifier: BSD-3-Clause
"""Instructions that a frame takes, counted by callgrind: a figure that noise cannot touch."""

import os
import re
import shutil
import signal
import time

from support.process import Process

from programs import SMALL, TESTPMD, next_prefix
from result import Missing, Row

NULL = ["--vdev=net_null0", "--vdev=net_null1"]
EAL = ["--no-pci", "--no-huge", "-m", "256", "--no-shconf"]
SECONDS = 2


def _count(bench, name, argv, sent):
    """Instructions of the worker's thread for each frame sent."""
    out = bench.directory / f"callgrind-{next_prefix()}"
    keyboard, ours = os.pipe()
    # testpmd does not flush what it says into a pipe.
    process = Process(["stdbuf", "--output=L", "valgrind", "--tool=callgrind", "--fair-sched=yes",
                       "--separate-threads=yes", f"--callgrind-out-file={out}", *argv],
                      name=name, stdin=keyboard)
    try:
        process.wait_line(r"entering main loop|Press enter to exit", 60)
        time.sleep(SECONDS)
        process.signal(signal.SIGINT)
        process.wait_exit(60)
    finally:
        process.close()
        os.close(keyboard)
        os.close(ours)
    frames = int(process.lines(sent)[-1].match[1])
    totals = [int(found[1]) for path in bench.directory.glob(f"{out.name}*")
              if (found := re.search(r"^totals: (\d+)", path.read_text(), re.MULTILINE))]
    # The worker polls all the time; no other thread does.
    return max(totals) / frames


def measure(bench):
    """Instructions a frame, by callgrind."""
    what = "instructions a frame, against testpmd mac"
    if shutil.which("valgrind") is None:
        return [Missing(what, "valgrind is not installed", fails_ci=False)]
    lcores = ["--lcores", bench.cpus.lcores]
    counts = {}
    ours = [bench.build.forwarder, *EAL, *lcores, "--file-prefix"]
    for period in (5,) if bench.quick else (5, 0):
        bench.step(f"instructions at -K {period}")
        counts[f"-K {period}"] = _count(
            bench, "forwarder", [*ours, next_prefix(), *NULL, "--", "-p", "3", "-q", "2", "-K",
                                 period, "--demo-lifetime", 0, "-T", 1],
            r"^Total packets sent: +(\d+)")
    for mode in ("mac",) if bench.quick else ("mac", "io"):
        bench.step(f"instructions of testpmd {mode}")
        counts[f"testpmd {mode}"] = _count(
            bench, "testpmd", ["dpdk-testpmd", *EAL, *lcores, "--file-prefix", next_prefix(), *NULL,
                               "--", f"--forward-mode={mode}", "--auto-start", *TESTPMD, *SMALL],
            r"TX-packets: (\d+)")
    bench.keep("instructions", counts)
    return [Row(what, "callgrind, the worker's thread", counts["-K 5"] / counts["testpmd mac"],
                None, unit=" x", note=", ".join(
                    f"{name} {value:.1f}" for name, value in counts.items()))]

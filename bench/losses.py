# SPDX-License-Identifier: BSD-3-Clause
"""Frames that a death costs, at a moderate rate, through memif rings of 1024 descriptors."""

import time

from support.process import Process
from support.segment import Kind

from outages import LOOK_S, Watch
from programs import forwarder, memif, memory, next_prefix
from result import Row

RATE = 100000
PERIOD_MS = 1


def _generator(bench, sockets):
    return Process([bench.build.directory / "bench/bench_generator", "--no-pci", *memory(64),
                    "--lcores", f"0@{bench.cpus.main}", "--file-prefix", next_prefix(),
                    *(f"--vdev={vdev}" for vdev in memif("server", sockets)), "--", RATE])


def _wait_deaths(watch, many, generator):
    limit = time.monotonic() + 30 + many * 0.2
    while watch.look() < many:
        assert time.monotonic() < limit, f"{watch.backs} deaths only\n{generator.report()}"
        time.sleep(LOOK_S)


def _lost_in(back, gaps):
    """Frames lost in an outage; a gap is seen when the frame behind it comes back."""
    begin = back.time_ns - back.outage_ns - 10**6
    return sum(frames for at, frames in gaps if begin <= at <= back.time_ns + 5 * 10**6)


def measure(bench):
    """Frames lost in a death at 100 kpps, by their numbers."""
    many = 60 if bench.quick else 500
    bench.step(f"frames lost in {many} deaths")
    sockets = [bench.directory / f"loss{port}.sock" for port in range(2)]
    generator, process = _generator(bench, sockets), None
    try:
        generator.wait_line("^ready")
        process = forwarder(bench.build, bench.cpus.lcores,
                            ["-K", PERIOD_MS, "--demo-lifetime", 0.1, "--seed", 1,
                             "--max-restarts", "1000000/1"], vdevs=memif("client", sockets))
        watch = Watch(process.segment())
        generator.wait_line("^flows")
        first = watch.look()
        _wait_deaths(watch, first + many, generator)
        generator.terminate()
    finally:
        complaints = process.close() if process is not None else []
        generator.close()
    assert complaints == [], complaints
    gaps = [(int(line.match[1]), int(line.match[2])) for line in
            generator.lines(r"^gap (\d+) (\d+)$")]
    total = generator.wait_line(r"^sent (\d+) received (\d+)$").match
    backs = [event for event in watch.events if event.kind == Kind.BACK][first:]
    lost = [_lost_in(back, gaps) for back in backs]
    bench.keep("losses", {"lost": lost, "gaps": gaps, "sent": int(total[1]),
                          "received": int(total[2]),
                          "outage_ms": [back.outage_ns / 1e6 for back in backs],
                          "back_ns": [back.time_ns for back in backs]})
    return [Row("frames lost in deaths at 100 kpps, -K 1",
                f"{len(lost)} deaths, memif ring of 1024, numbered frames", sum(lost), 0,
                unit="frames", digits=0,
                note=f"in {sum(one > 0 for one in lost)} of {len(lost)} deaths; "
                     f"{sum(frames for _, frames in gaps) - sum(lost)} lost outside of deaths, of "
                     f"{int(total[1])}")]

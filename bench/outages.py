# SPDX-License-Identifier: BSD-3-Clause
"""How long a dead worker is missed: by the segment, checked against the preloaded clock."""

import bisect
import time
from pathlib import Path

from support.segment import EVENTS, Event, Kind

from programs import forwarder, unobtrusive
from result import Missing, Row, median, quantile
import preloads

# How far apart the two clocks may be, which look at the same two turns of the loop: microseconds,
# and a share, since EAL rounds the rate of the TSC to 10 MHz.
CLOCKS_US = 20
CLOCKS_SHARE = 0.005

# We share a CPU with the main lcore, so we look seldom; the ring holds 85 deaths.
LOOK_S = 0.15

# [(period in ms, wanted median in ms, wanted p99 in ms)]
EXITS = [(10, 26.0, 30.3), (5, 13.0, 15.3), (1, 2.6, 3.3), (0.2, 0.6, 1.0)]
SPINS = (10, 5, 1)


class Watch:
    """All events of a segment; its ring holds the last ones only."""

    def __init__(self, segment):
        self._segment = segment
        self.events = []
        self.backs = 0
        self._last = 0

    def look(self):
        snapshot = self._segment.snapshot()
        newest = snapshot.monitor.events
        for number in range(max(self._last, newest - EVENTS) + 1, newest + 1):
            event = Event.from_buffer_copy(snapshot.event[(number - 1) % EVENTS])
            self.events.append(event)
            self.backs += event.kind == Kind.BACK
        self._last = newest
        return self.backs


def _lives(bench, period, kind, many, *args):
    """Let the worker die again and again: outages in ms, and the same by the preloaded clock."""
    deaths = preloads.Deaths(bench.directory, silent_ns=round(min(period, 1) * 0.5e6))
    # Lives end at any moment between two pings; the more so, the longer they may be.
    lifetime = max(0.01, 3 * period / 1e3)
    process = forwarder(bench.build, bench.cpus.lcores,
                        ["-K", period, "--demo-lifetime", lifetime, "--demo-fault", kind,
                         "--on-hang", "respawn", "--seed", 1, "--max-restarts", "1000000/1"],
                        env=deaths.environment())
    try:
        watch = Watch(process.segment())
        limit = time.monotonic() + 20 + 4 * many * (lifetime + 4 * period / 1e3)
        with unobtrusive():
            while watch.look() < many:
                assert time.monotonic() < limit, f"{watch.backs} outages only\n{process.report()}"
                time.sleep(LOOK_S)
        backs = [event for event in watch.events if event.kind == Kind.BACK][:many]
        silences = deaths.silences()
    finally:
        process.close()
        deaths.remove()
    outages = [event.outage_ns / 1e6 for event in backs]
    return outages, [_apart_us(event, silences) for event in backs]


def _apart_us(back, silences):
    """How much the preloaded clock says otherwise, of the silence that ended last before."""
    ends = [end for _, end in silences]
    at = bisect.bisect_right(ends, back.time_ns) - 1
    # A moment without a CPU after the return may be the last silence; the outage lies before.
    return min((abs(back.outage_ns - (end - begin)) / 1e3
                for begin, end in silences[max(0, at - 3):at + 1]), default=float("inf"))


def _exit_rows(bench, many):
    rows = []
    for period, wanted, wanted_p99 in EXITS:
        bench.step(f"{many} exits at -K {period}")
        outages, apart = _lives(bench, period, "exit", many)
        bench.keep(f"outages exit {period}", {"period_ms": period, "outage_ms": outages,
                                              "other_clock_differs_us": apart})
        how = f"{many} deaths at -K {period}, last heartbeat to first poll"
        wide = quantile(apart, 0.99)
        note = (f"longest {max(outages):.2f} ms; the other clock differs by "
                f"{median(apart):.1f} us, p99 {wide:.0f} us")
        rows.append(Row(f"outage of an exit, -K {period}, median", how, median(outages), wanted,
                        unit="ms", note=note))
        rows.append(Row(f"outage of an exit, -K {period}, p99", how, quantile(outages, 0.99),
                        wanted_p99, unit="ms"))
        if wide > CLOCKS_US + CLOCKS_SHARE * 1e3 * median(outages):
            rows.append(Missing(f"check of the outages at -K {period}",
                                f"the two clocks differ by {wide:.0f} us at p99"))
    return rows


def measure(bench):
    """Outages of workers that leave their loop, and of workers that spin."""
    many = 60 if bench.quick else 500
    rows = _exit_rows(bench, many)
    many = 60 if bench.quick else 200
    for period in SPINS:
        bench.step(f"{many} spins at -K {period}")
        outages, apart = _lives(bench, period, "spin", many)
        bench.keep(f"outages spin {period}", {"period_ms": period, "outage_ms": outages,
                                              "other_clock_differs_us": apart})
        exits = bench.raw[f"outages exit {period}"]["outage_ms"]
        rows.append(Row(f"outage of a spin, -K {period}: above an exit's",
                        f"{many} deaths, --on-hang respawn, medians, in periods",
                        (median(outages) - median(exits)) / period, 1.0, unit="K",
                        note=f"median {median(outages):.2f} ms, p99 "
                             f"{quantile(outages, 0.99):.2f} ms"))
    return rows


def main_lcore(bench):
    """CPU time of the main lcore, by the kernel's own count."""
    rows = []
    seconds = 0.3 if bench.quick else 2
    for period, wanted in ((5, 2.0), (1, 6.0), (0.2, None)):
        process = forwarder(bench.build, bench.cpus.lcores, ["-K", period])
        shares = []
        try:
            process.wait_started()
            file = Path(f"/proc/{process.pid}/task/{process.pid}/schedstat")
            for repeat in range(7):
                bench.step(f"the main lcore at -K {period}, {repeat + 1} of 7")
                used, began = int(file.read_text().split()[0]), time.monotonic_ns()
                time.sleep(seconds)
                used = int(file.read_text().split()[0]) - used
                shares.append(100 * used / (time.monotonic_ns() - began))
        finally:
            process.close()
        bench.keep(f"main lcore {period}", {"percent": shares})
        if wanted is not None:
            rows.append(Row(f"CPU time of the main lcore, -K {period}", "/proc, schedstat",
                            median(shares), wanted, unit="%", note=f"best {min(shares):.2f} %"))
    rows[-1].note += f"; {median(shares):.0f} % at -K 0.2, where it may spin"
    return rows

# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding rates: of programs that stand beside each other, one of them running at a time.

Each program is started once a repeat and then frozen. In every round each is let run for a short
window, in turn: what the host takes from one it takes from the others, too. About one start in ten
gets memory in which any of them stays a fifth slower for as long as it lives: a program takes many
starts, each in another place of the order, for that to come out even.
"""

import time

from result import Disturbed, Row, median

import programs
from programs import SMALL, Subject, Testpmd, forwarder, memif, next_prefix

# Of a window, for the caches to be filled again.
WARM_S = 0.015

# Fewer windows with a CPU of one's own tell nothing.
LEAST_WINDOWS = 10


class Rates:
    """{name: frames a second of each window}, in the order of the rounds, and how they started."""

    def __init__(self, names):
        self.windows = {name: [] for name in names}
        self.start_ms = {name: [] for name in names}
        self.resident_mb = {name: [] for name in names}
        self.huge_mb = {name: [] for name in names}

    def ratio(self, name, other):
        return self.median(name) / self.median(other)

    def median(self, name):
        return median(self._whole(name))

    def best(self, name):
        return max(self._whole(name))

    def _whole(self, name):
        rates = [rate for rate in self.windows[name] if rate is not None]
        if len(rates) < LEAST_WINDOWS:
            raise Disturbed(f"{name} had its CPU in {len(rates)} windows of "
                            f"{len(self.windows[name])} only")
        return rates

    def paired(self, name, other):
        """Median of the ratios of neighbouring windows."""
        return median(mine / others for mine, others in
                      zip(self.windows[name], self.windows[other])
                      if mine is not None and others is not None)

    def row(self, name, other, target, what, measured, *, digits=3):
        note = (f"best {self.best(name) / self.best(other):.{digits}f}, neighbours "
                f"{self.paired(name, other):.{digits}f}; {self.median(name) / 1e6:.1f} to "
                f"{self.median(other) / 1e6:.1f} Mpps")
        return Row(what, measured, self.ratio(name, other), target, unit=" x", least=True,
                   ratio=True, note=note, digits=digits)

    def cost(self, name, other, target, what, measured):
        note = (f"best {100 * (1 - self.best(name) / self.best(other)):.1f} %, neighbours "
                f"{100 * (1 - self.paired(name, other)):.1f} %; {self.median(name) / 1e6:.1f} to "
                f"{self.median(other) / 1e6:.1f} Mpps")
        return Row(what, measured, 100 * (1 - self.ratio(name, other)), target, unit="%",
                   note=note, digits=1)

    def raw(self):
        return {"frames_per_s": self.windows, "start_ms": self.start_ms,
                "resident_mb": self.resident_mb, "huge_mb": self.huge_mb,
                "median": {name: self.median(name) for name in self.windows},
                "best": {name: self.best(name) for name in self.windows}}


def _start_all(starts, order, rates):
    subjects = {}
    try:
        for name in order:
            subjects[name] = subject = starts[name]()
            subject.wait_first()
            resident, huge = programs.memory_of(subject.process)
            rates.start_ms[name].append(subject.start_ms)
            rates.resident_mb[name].append(resident)
            rates.huge_mb[name].append(huge)
            subject.freeze()
    except BaseException:
        for subject in subjects.values():
            subject.close()
        raise
    return subjects


def interleave(bench, what, starts, *, finer=1):
    """Measure {name: function that makes a Subject}.

    finer  makes that many times the starts, with as many times fewer windows in each
    """
    rates = Rates(starts)
    names = list(starts)
    repeats = bench.starts * finer
    for repeat in range(repeats):
        bench.step(f"{what}, repeat {repeat + 1} of {repeats}")
        first = repeat % len(names)
        order = names[first:] + names[:first]
        subjects = _start_all(starts, order, rates)
        try:
            for _ in range(bench.rounds // finer):
                for name in order:
                    rate = subjects[name].turn(bench.window_s, WARM_S)
                    rates.windows[name].append(rate)
        finally:
            for subject in subjects.values():
                subject.close()
    return rates


def null(bench):
    """Two net_null ports: forwarding, the cost of being watched, start and memory."""
    lcores = bench.cpus.lcores

    def testpmd(mode):
        return lambda: Subject(bench.directory,
                               lambda env: Testpmd(mode, lcores, env=env))

    def ours(period):
        return lambda: Subject(bench.directory, lambda env: forwarder(
            bench.build, lcores, ["-K", period], env=env))

    starts = {"testpmd mac": testpmd("mac"), "testpmd io": testpmd("io"), "-K 5": ours("5"),
              "-K 0": ours("0"), "-K 0.2": ours("0.2")}
    rates = interleave(bench, "rates of net_null", starts)
    bench.keep("net_null", rates.raw())
    how = "2 x net_null, 1 worker, -q 2"
    rows = [
        rates.row("-K 5", "testpmd mac", 1.05, "net_null, against testpmd mac", f"{how}, -K 5"),
        rates.row("-K 5", "testpmd io", 0.90, "net_null, against testpmd io", f"{how}, -K 5"),
        rates.cost("-K 5", "-K 0", 1.0, "cost of being watched, -K 5", f"{how}, against -K 0"),
        rates.cost("-K 0.2", "-K 0", 2.0, "cost of being watched, -K 0.2",
                   f"{how}, against -K 0"),
    ]
    return rows + _footprint(rates)


def _footprint(rates):
    rows = []
    how = "-K 5, against testpmd with the same ports"
    for name, values, unit in (("start to first frame", rates.start_ms, "ms"),
                               ("resident and huge-page memory", {
                                   program: [sum(both) for both in zip(
                                       rates.resident_mb[program], rates.huge_mb[program])]
                                   for program in rates.huge_mb}, "MiB")):
        ours, theirs = median(values["-K 5"]), median(values["testpmd mac"])
        rows.append(Row(name, how, ours / theirs, 1.0, unit=" x", ratio=True,
                        note=f"{ours:.0f} to {theirs:.0f} {unit}"))
    return rows


def ring(bench):
    """Two net_ring ports, in which frames go round for ever: no generator takes a CPU."""
    lcores = bench.cpus.lcores
    vdevs = ("net_ring0", "net_ring1")
    starts = {
        "testpmd mac": lambda: Subject(bench.directory, lambda env: Testpmd(
            "mac", lcores, vdevs=vdevs, env=env), inject=256),
        "-K 5": lambda: Subject(bench.directory, lambda env: forwarder(
            bench.build, lcores, ["-K", "5"], vdevs=vdevs, env=env), inject=256),
    }
    rates = interleave(bench, "rates of net_ring", starts)
    bench.keep("net_ring", rates.raw())
    return [rates.row("-K 5", "testpmd mac", 1.0, "net_ring, against testpmd mac",
                      "2 x net_ring, 256 frames going round in each")]


class _Opposite(Subject):
    """A program with a testpmd in another process at the far end of its two memif ports.

    The testpmd sends back what comes, untouched, from the CPU of the main lcore.
    """

    BURSTS = 8

    def __init__(self, bench, start):
        sockets = [bench.directory / f"{next_prefix()}.sock" for _ in range(2)]
        self.far = Testpmd("io", f"0@{bench.cpus.main},1@{bench.cpus.main}",
                           vdevs=memif("server", sockets), interactive=True,
                           args=SMALL)
        self.far.wait_line("preferred mempool ops")
        super().__init__(bench.directory, lambda env: start(memif("client", sockets), env),
                         others=[self.far])

    def _send(self):
        self.far.say("stop")
        self.far.say(f"start tx_first {self.BURSTS}")

    def wait_first(self, timeout=20):
        # What is sent before both ends are connected is lost: it is sent until it comes round.
        end = time.monotonic() + timeout
        while self.sampler.first_ns == 0:
            assert time.monotonic() < end, self.process.report() + self.far.report()
            self._send()
            time.sleep(0.3)
        # Once more: one of the two ways round may have been closed a moment ago.
        self._send()
        super().wait_first()


def memif_pair(bench):
    """Two memif ports, with a testpmd in another process at their far ends."""
    lcores = bench.cpus.lcores
    starts = {
        "testpmd mac": lambda: _Opposite(bench, lambda vdevs, env: Testpmd(
            "mac", lcores, vdevs=vdevs, args=SMALL, env=env)),
        "-K 5": lambda: _Opposite(bench, lambda vdevs, env: forwarder(
            bench.build, lcores, ["-K", "5"], vdevs=vdevs, env=env)),
    }
    # Four processes that meet on two CPUs: two starts of one program differ by a tenth.
    rates = interleave(bench, "rates of net_memif", starts, finer=1 if bench.quick else 2)
    bench.keep("net_memif", rates.raw())
    return [rates.row("-K 5", "testpmd mac", 1.0, "net_memif, against testpmd mac",
                      "2 x net_memif to a testpmd io in another process")]

# SPDX-License-Identifier: BSD-3-Clause
"""What must never look like a death: a host that takes CPUs away, and time that the monitor lost."""

import itertools
import os
import random
import sys
import threading
import time
from pathlib import Path

from support.deadline import wait_until
from support.process import Process
from support.segment import Kind

from campaigns import LIST_MAX, NO_END, _deaths
from pause import let_pass
from result import Result, spread
from scene import NO_LIMIT, Scene, causes_seen

HOG = Path(__file__).with_name("hog.py")
PERIOD_MS = 5

# A burst with so many pings in it is to be named: after the first, a heartbeat may still be there.
PINGS_NAMED = 4


class Hog:
    """hog.py, and the bursts that it took: [(begin_ns, end_ns)]."""

    def __init__(self, cpu, seconds, seed):
        self._seconds = seconds
        self._process = Process([sys.executable, HOG, cpu, seconds, seed, 5, 300], name="hog")
        self._process.wait_line("^ready")

    def bursts(self):
        code = self._process.wait_exit(timeout=self._seconds + 30)
        assert code == 0, f"the hog ended with {code}\n{self._process.report()}"
        self._process.close()
        return [tuple(map(int, line.match.groups()))
                for line in self._process.lines(r"^(\d+) (\d+)$")]


class Pings(threading.Thread):
    """All times of pings, as the hook saw them; it keeps the last 4096 only."""

    def __init__(self, hook):
        super().__init__(daemon=True)
        self._hook = hook
        self._times = set()
        self._end = threading.Event()

    def run(self):
        while not self._end.wait(2):
            self._times.update(self._hook.ping_times())

    def stop(self):
        self._end.set()
        self.join()
        self._times.update(self._hook.ping_times())
        return sorted(self._times)


def _cpus(workers):
    """CPUs of the lcores, the main one's first (support.programs.lcore_map)."""
    cpus = sorted(os.sched_getaffinity(0))
    return [cpus[lcore % len(cpus)] for lcore in range(workers + 1)]


def _stalls(seconds, chance, first=1.0, gap=0.0):
    """[(at_s, length_ms)] of a monitor that stands still for 10 to 500 ms, one list of --fault."""
    plan, at = [], first
    gap = max(gap, seconds / LIST_MAX - 0.255)
    while at < first + seconds - 0.6 and len(plan) < LIST_MAX:
        length = chance.uniform(10, 500)
        plan.append((at, length))
        at += length / 1e3 + chance.uniform(0.1, 0.3) + gap
    return plan


def _stall_args(plan):
    return ["--allow-faults", "--fault",
            ",".join(f"0:monitor-stall:{length:.1f}@{at:.3f}" for at, length in plan)]


def _stalls_made(plan, pings):
    """Stalls that show as a gap between two pings, the longest gap for the longest stall."""
    gaps = sorted((later - earlier for earlier, later in itertools.pairwise(pings)), reverse=True)
    lengths = sorted((length * 1e6 for _, length in plan), reverse=True)
    # A length is rounded to 0.1 ms on its way.
    return sum(gap >= length - 1e5 for gap, length in zip(gaps, lengths))


def _stop_and_go(forwarder, seconds, chance, gap=0.0):
    """SIGSTOP and SIGCONT of the whole process until the time is over; how often."""
    end = time.monotonic() + seconds
    times = 0
    while time.monotonic() < end:
        forwarder.freeze()
        let_pass(chance.uniform(0.005, 0.5), "it stands still")
        forwarder.thaw()
        times += 1
        let_pass(chance.uniform(0.05, 0.3) + gap, "it runs")
    return times


def _starvations(result, scene, bursts, pings):
    """Match the bursts that the monitor could see with the STARVED events of the worker."""
    events = [event for event in scene.watch.events if event.kind == Kind.STARVED]
    named = []
    unnamed = []
    for begin, end in bursts:
        if sum(begin < ping < end for ping in pings) < PINGS_NAMED:
            continue
        found = [event for event in events
                 if event.time_ns > begin and event.time_ns - event.outage_ns < end]
        covered = sum(event.outage_ns for event in found)
        if found and covered >= 0.8 * (end - begin):
            named.append(covered)
        else:
            unnamed.append((round((end - begin) / 1e6, 1), len(found), round(covered / 1e6, 1)))
    result.add(injected=len(named) + len(unnamed), detected=len(named), named=len(named))
    if unnamed:
        result.complaints.append(
            f"bursts not named (ms, events in it, ms that they tell): {unnamed[:10]}")
    result.details.update({"bursts": len(bursts), "burst": spread(e - b for b, e in bursts),
                           "starved events": len(events)})


def _innocent(result, scene):
    """Nobody died, nobody was restarted, nobody was accused."""
    monitor = scene.last.monitor
    result.add(invented=monitor.deaths + monitor.restarts + scene.agent_deaths())
    result.complaints += scene.complaints
    result.details["late ticks"] = monitor.late_ticks
    result.details["longest late ms"] = round(monitor.longest_late_ns / 1e6, 1)
    if _deaths(scene):
        result.complaints.append(f"deaths by cause: {causes_seen(scene.watch)}")
        told = [line.text for line in scene.forwarder.lines(r"core \d+ \w+.* for .* ms, phase|Dead")]
        result.details["evidence"] = told[:20]


def _args(policy="respawn"):
    return ["-K", PERIOD_MS, "--on-hang", policy, *NO_LIMIT]


def starved(world):
    """A SCHED_FIFO hog takes the worker's CPU for 5 to 300 ms at random."""
    result = Result("noise: a hog takes the worker's CPU")
    with Scene(world, _args(), workers=1) as scene:
        scene.wait_alive()
        pings = Pings(scene.hook)
        pings.start()
        hog = Hog(_cpus(1)[1], world.noise_seconds, world.seed)
        bursts = hog.bursts()
        scene.wait_seen()
        times = pings.stop()
    _starvations(result, scene, bursts, times)
    _innocent(result, scene)
    return result


def frozen(world):
    """SIGSTOP and SIGCONT of the whole process."""
    result = Result("noise: SIGSTOP and SIGCONT")
    with Scene(world, _args()) as scene:
        scene.wait_alive()
        result.add(injected=_stop_and_go(scene.forwarder, world.noise_seconds,
                                         random.Random(world.seed)))
        scene.wait_alive()
    _innocent(result, scene)
    return result


def stalled(world):
    """The main lcore stands still for 10 to 500 ms."""
    plan = _stalls(world.noise_seconds, random.Random(world.seed))
    result = Result("noise: the monitor stalls", wanted=len(plan))
    with Scene(world, [*_args(), *_stall_args(plan)]) as scene:
        pings = Pings(scene.hook)
        pings.start()
        # Their clock began when the workers were made, which was before now.
        over = time.monotonic() + plan[-1][0] + plan[-1][1] / 1e3
        wait_until(lambda: time.monotonic() > over, "the end of the stalls", NO_END)
        scene.wait_seen()
        result.add(injected=_stalls_made(plan, pings.stop()))
    _innocent(result, scene)
    return result


def everything(world):
    """Hogs on all CPUs, SIGSTOP, a monitor that stalls, and an output that takes nothing, at once."""
    result = Result("noise: all at once, stdout full")
    plan = _stalls(world.noise_seconds, random.Random(world.seed), gap=0.4)
    with Scene(world, [*_args(), *_stall_args(plan), "-T", 1], blocked=True) as scene:
        scene.wait_alive()
        hogs = [Hog(cpu, world.noise_seconds, world.seed + cpu) for cpu in sorted(set(_cpus(2)))]
        stops = _stop_and_go(scene.forwarder, world.noise_seconds, random.Random(world.seed),
                             gap=0.4)
        bursts = list(itertools.chain(*(hog.bursts() for hog in hogs)))
        scene.wait_seen()
    result.add(injected=len(plan) + stops + len(bursts))
    _innocent(result, scene)
    result.details.update({"bursts": len(bursts), "stops": stops, "stalls": len(plan),
                           "lost lines": scene.last.monitor.lost_lines,
                           "starved events": scene.watch.count(Kind.STARVED)})
    if scene.last.monitor.lost_lines == 0:
        result.complaints.append("the output was never full")
    return result

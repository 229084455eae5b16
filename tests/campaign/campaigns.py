# SPDX-License-Identifier: BSD-3-Clause
"""The campaigns: each makes faults, counts them by other means than the monitor, and compares."""

import resource
import signal
import time

from support import tracer
from support.deadline import wait_until
from support.hook import Hook, Mode
from support.segment import Cause, Kind, State

from pause import let_pass
from result import Result, spread
from scene import NO_LIMIT, Scene, causes_seen, temporary_directory

# Faults that one --fault may list.
LIST_MAX = 64

WORD = {Cause.EXITED: "exited", Cause.SPINNING: "spinning", Cause.BLOCKED: "blocked",
        Cause.STOPPED: "stopped", Cause.NOT_STARTED: "not started"}


def _deaths(scene, cause=None):
    return [event for event in scene.watch.events
            if event.kind == Kind.DEATH and cause in (None, event.cause)]


def _latencies(result, scene):
    """How long it took, over all runs of a campaign."""
    events = scene.watch.events
    keep = result.details.setdefault("_ns", {"silent": [], "outage": []})
    keep["silent"] += [event.silent_ns for event in events if event.kind == Kind.DEATH]
    keep["outage"] += [event.outage_ns for event in events
                       if event.kind in (Kind.BACK, Kind.RECOVERY)]
    result.details["silent"] = spread(keep["silent"])
    result.details["outage"] = spread(keep["outage"])
    starved = scene.watch.count(Kind.STARVED)
    result.details["starved"] = result.details.get("starved", 0) + starved


def _settle(result, scene, injected, cause, others=0):
    """Add up one run: {lcore: faults made}, all of one cause.

    Deaths beyond these are invented; so are reports of the agent, and restarts without a death.
    `others` are deaths of other causes that belong to the campaign.
    """
    total = sum(injected.values())
    detected = named = recovered = reported = 0
    for lcore, count in injected.items():
        deaths = scene.last.core[lcore].deaths
        right = scene.watch.count(Kind.DEATH, lcore, cause)
        detected += min(count, right if others else deaths)
        named += min(count, right)
        recovered += min(count, scene.watch.back(lcore))
        if not others:
            result.add(invented=max(0, deaths - count))
            reported += min(count, scene.agent_deaths(lcore))
            result.add(invented=max(0, scene.agent_deaths(lcore) - deaths))
    if others:
        deaths, reports = scene.last.monitor.deaths, scene.agent_deaths()
        reported = max(0, min(total, reports - others))
        result.add(invented=max(0, deaths - total - others) + max(0, reports - deaths))
    told = scene.agent_causes(WORD[cause])
    if scene.watch.count(Kind.DEATH, cause=cause) != named:
        result.complaints.append(f"deaths by cause: {causes_seen(scene.watch)}")
    result.details["agent named"] = result.details.get("agent named", 0) + told
    result.add(injected=total, detected=detected, named=named, recovered=recovered,
               reported=reported)
    result.complaints += scene.complaints
    _latencies(result, scene)


# ---- Random faults of the demonstration, one life after the other ----

# Of a wait that ends by itself.
NO_END = float("inf")


class _Lives:
    """Waits for lives to begin, until that many did or for 5 s none does."""

    def __init__(self, scene, wanted):
        self._scene = scene
        self._wanted = wanted
        self._begun, self._moved_at = 0, time.monotonic()

    def over(self):
        begun = sum(self._scene.lives().values())
        if begun != self._begun:
            self._begun, self._moved_at = begun, time.monotonic()
        return begun >= self._wanted or time.monotonic() > self._moved_at + 5


def _stuck(scene):
    return [lcore for lcore in scene.workers if not scene.moves(lcore)]


def lives(world, name, kind, cause, period_ms, wanted, *, policy="respawn", lifetime=0.03):
    """Random faults without an end, until `wanted` of them were made."""
    result = Result(name, wanted=wanted)
    hook = Hook(world.hook_library, world.directory / f"hook-{name.replace(' ', '-')}")
    for lcore in (1, 2):
        hook.live(lcore, 0.4)  # The agent comes first.
    args = ["-K", period_ms, "--demo-lifetime", lifetime, "--demo-fault", kind,
            "--on-hang", policy, *NO_LIMIT]
    with Scene(world, args, hook=hook) as scene:
        for lcore in scene.workers:
            hook.live(lcore, 0)
        wait_until(_Lives(scene, wanted + 2).over, "the faults", NO_END)
        # No more faults: the lives that begin now last.
        for lcore in scene.workers:
            hook.live(lcore, 3600)
        let_pass(3 * lifetime + 0.2, "the last short lives end, each by its fault")
        try:
            scene.wait_alive(5)
        except AssertionError as error:
            result.complaints.append(str(error))
        stuck = _stuck(scene)
        begun = scene.lives()
        scene.wait_reported()
    made = {lcore: begun[lcore] - 1 + (lcore in stuck) for lcore in scene.workers}
    _settle(result, scene, made, cause)
    restarts = {lcore: scene.last.core[lcore].restarts for lcore in scene.workers}
    if any(restarts[lcore] != begun[lcore] - 1 for lcore in scene.workers):
        result.complaints.append(f"restarts {restarts}, lives begun {begun}")
    deaths = _deaths(scene)
    result.details["with frames in hand"] = sum(event.in_hand > 0 for event in deaths)
    return result


def exits_k1(world):
    """Workers that leave their loop, ping every 1 ms."""
    return lives(world, "exit, respawn, K = 1 ms", "exit", Cause.EXITED, 1, world.many)


def exits_k5(world):
    """The same, ping every 5 ms."""
    return lives(world, "exit, respawn, K = 5 ms", "exit", Cause.EXITED, 5, world.many)


def spins_k1(world):
    """Workers in an endless loop of their own, taken out of it, ping every 1 ms."""
    return lives(world, "spin, respawn, K = 1 ms", "spin", Cause.SPINNING, 1, world.many)


def spins_k5(world):
    """The same, ping every 5 ms."""
    return lives(world, "spin, respawn, K = 5 ms", "spin", Cause.SPINNING, 5, world.many)


def blocks_respawn(world):
    """Workers that sleep in the kernel for ever, taken out of it."""
    return lives(world, "block, respawn, K = 5 ms", "block", Cause.BLOCKED, 5, world.some)


# ---- Faults of a list ----

def _planned(world, result, kinds, wanted, gap, settle, *, args, evaluate, first=1.0):
    """Make `wanted` faults of a kind, in turn on both workers, as many a run as a list takes."""
    left = wanted
    while left > 0:
        count = min(left, LIST_MAX)
        left -= count
        plan = [(1 + i % 2, first + gap * i) for i in range(count)]
        faults = ",".join(f"{lcore}:{kinds}@{at:.3f}" for lcore, at in plan)
        made = {lcore: sum(lcore == planned for planned, _ in plan) for lcore in (1, 2)}
        with Scene(world, [*args, "--allow-faults", "--fault", faults]) as scene:
            # The first fault is due `first` s after the workers were made, which was before now.
            over = time.monotonic() + plan[-1][1] + settle
            try:
                wait_until(lambda: time.monotonic() > over and scene.all_alive(),
                           "the end of the faults, with all alive", over + 10 - time.monotonic())
            except AssertionError as error:
                result.complaints.append(str(error))
            scene.wait_reported()
        evaluate(scene, made)


def blocks(world):
    """Workers that sleep in the kernel for 60 ms: found, and once they move on, recovered."""
    result = Result("block for 60 ms, report, K = 5 ms", wanted=world.some)

    def evaluate(scene, made):
        _settle(result, scene, made, Cause.BLOCKED)
        if scene.last.monitor.restarts != 0:
            result.complaints.append(f"{scene.last.monitor.restarts} restarts")

    _planned(world, result, "block:60", world.some, 0.075, 0.2, args=["-K", 5, *NO_LIMIT],
             evaluate=evaluate)
    return result


def slows(world):
    """Turns of the loop that take 1.5 periods longer: never a death."""
    result = Result("slow by 1.5 periods, respawn, K = 5 ms", wanted=world.some)

    def evaluate(scene, made):
        result.add(injected=sum(made.values()),
                   invented=scene.last.monitor.deaths + scene.last.monitor.restarts +
                   scene.agent_deaths())
        result.complaints += scene.complaints
        if _deaths(scene):
            result.complaints.append(f"deaths by cause: {causes_seen(scene.watch)}")

    _planned(world, result, "slow:7.5", world.some, 0.04, 0.2,
             args=["-K", 5, "--on-hang", "respawn", *NO_LIMIT], evaluate=evaluate)
    return result


def nostarts(world):
    """Workers that leave their loop and, launched again, give no heartbeat."""
    result = Result("nostart, respawn, K = 5 ms", wanted=world.few)

    def evaluate(scene, made):
        # Each of them first has to leave its loop, which is a death of its own.
        _settle(result, scene, made, Cause.NOT_STARTED, others=sum(made.values()))
        exits = scene.watch.count(Kind.DEATH, cause=Cause.EXITED)
        if exits != sum(made.values()):
            result.complaints.append(f"{exits} exits")

    _planned(world, result, "nostart", world.few, 0.6, 0.9,
             args=["-K", 5, "--on-hang", "respawn", *NO_LIMIT], evaluate=evaluate)
    return result


# ---- Faults that are none of the forwarder's own ----

def _held(world, name, mode, cause, policy, wanted):
    """A preloaded rte_keepalive_mark_alive() that does not return until it is told to."""
    result = Result(name, wanted=wanted)
    made = {1: 0, 2: 0}
    with Scene(world, ["-K", 5, "--on-hang", policy, "--demo-lifetime", 0, *NO_LIMIT]) as scene:
        scene.wait_alive()
        for turn in range(wanted):
            lcore = 1 + turn % 2
            scene.hook.hold(lcore, mode)
            made[lcore] += 1
            try:
                # Not before it was taken out of the loop, where that is wanted.
                wait_until(lambda: scene.core(lcore).deaths >= made[lcore] and
                           (policy == "report" or scene.core(lcore).restarts >= made[lcore]),
                           "the death", 5)
                scene.hook.release(lcore)
                wait_until(lambda: scene.core(lcore).state == State.ALIVE and
                           scene.watch.back(lcore) == made[lcore], "the return", 5)
            except AssertionError as error:
                result.complaints.append(str(error))
                break
        scene.wait_reported()
    _settle(result, scene, made, cause)
    restarts = scene.last.monitor.restarts
    if restarts != (0 if policy == "report" else sum(made.values())):
        result.complaints.append(f"{restarts} restarts")
    return result


def hook_spins(world):
    """An endless loop in a preloaded function of DPDK, taken out of it."""
    return _held(world, "preloaded endless loop, respawn", Mode.SPIN, Cause.SPINNING, "respawn",
                 world.few * 2)


def hook_sleeps(world):
    """A preloaded function of DPDK that sleeps; it moves on by itself."""
    return _held(world, "preloaded sleep, report", Mode.SLEEP, Cause.BLOCKED, "report", world.few)


def traced(world):
    """The worker's thread alone is stopped from outside by a tracer, then let go."""
    result = Result("stopped by a tracer, respawn", wanted=world.few)
    made = {1: 0, 2: 0}
    with Scene(world, ["-K", 5, "--on-hang", "respawn", *NO_LIMIT]) as scene:
        scene.wait_alive()
        threads = {lcore: scene.worker_thread(lcore) for lcore in scene.workers}
        for turn in range(world.few):
            lcore = 1 + turn % 2
            try:
                with tracer.stopped(threads[lcore]):
                    made[lcore] += 1
                    wait_until(lambda: scene.core(lcore).deaths >= made[lcore], "the death", 5)
                wait_until(lambda: scene.core(lcore).state == State.ALIVE and
                           scene.watch.back(lcore) == made[lcore], "the return", 5)
            except AssertionError as error:
                result.complaints.append(str(error))
                break
        scene.wait_reported()
    _settle(result, scene, made, Cause.STOPPED)
    if scene.last.monitor.restarts != 0:
        result.complaints.append(f"{scene.last.monitor.restarts} restarts")
    return result


# ---- Crashes ----

AGENT_LIMIT_S = 0.25


def _crash(world, result, lcore, number):
    """One crash: a wild pointer of the worker's own, or a signal to its thread."""
    own = number == signal.SIGSEGV
    faults = ["--allow-faults", "--fault", f"{lcore}:segv@0.5"] if own else []

    def allow_core():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    with temporary_directory() as directory:
        with Scene(world, ["-K", 5, *faults], exit_code=-number, leaves_segment=True,
                   cwd=directory, preexec_fn=allow_core) as scene:
            if not own:
                scene.wait_alive()
                tracer.send(scene.forwarder.pid, scene.worker_thread(lcore), number)
            result.add(injected=1)
            scene.forwarder.wait_exit()
            pattern = rf"^Core {lcore} crashed: signal {int(number)}\b"
            line = scene.agent.wait_line(r"^l2fwd-keepalive .* has died")
            said = scene.agent.lines(pattern)
        dumped = scene.forwarder.core_dumped
    last, complaints = scene.last, scene.complaints
    result.add(detected=int(last.crash_ns != 0),
               named=int((last.crash_lcore, last.crash_signal) == (lcore, number)))
    if not dumped:
        complaints.append(f"no core dump of signal {int(number)}")
    if said:
        line = said[0]
        late = line.time - last.crash_ns / 1e9
        result.details.setdefault("agent_ms", []).append(round(1e3 * late, 1))
        result.add(reported=int(len(said) == 1 and late <= AGENT_LIMIT_S))
    else:
        result.add(reported=0)
    result.add(invented=last.monitor.deaths + len(scene.agent.lines(r"^Core ")) - len(said))
    result.complaints += complaints


def crashes(world):
    """A worker crashes: the agent names core and signal within 250 ms; there is a core dump."""
    result = Result("segv (and bus, ill, fpe)", wanted=world.crashes)
    kinds = [signal.SIGSEGV] * 3 + [signal.SIGBUS, signal.SIGILL, signal.SIGFPE]
    for turn in range(world.crashes):
        _crash(world, result, 1 + turn % 2, kinds[turn % len(kinds)])
    return result


# ---- The end of the program with a worker that hangs ----

EXIT_STUCK = 3
STOP_LIMIT_S = 2.0


def _end_with(world, result, kind, policy):
    """SIGTERM while a worker hangs: gone within 2 s, no segment, the status says so."""
    faults = [] if kind == "preloaded" else ["--allow-faults", "--fault", f"1:{kind}@0.4"]
    args = ["-K", 5, "--on-hang", policy, *faults]
    with Scene(world, args, exit_code=EXIT_STUCK) as scene:
        if kind == "preloaded":
            scene.hook.hold(1, Mode.SPIN)
        wait_until(lambda: scene.core(1).deaths == 1, "the death", 5)
        result.add(injected=1)
        # Here, since the end of the scene would first let it go.
        asked = time.monotonic()
        scene.forwarder.signal(signal.SIGTERM)
        try:
            scene.forwarder.wait_exit()
        except AssertionError as error:
            result.complaints.append(str(error))
    seconds = scene.forwarder.ended_at - asked
    result.details.setdefault("end_ms", {})[kind] = round(1e3 * seconds)
    result.add(detected=int(not scene.complaints and seconds <= STOP_LIMIT_S))
    result.complaints += scene.complaints


def ends(world):
    """SIGTERM while a worker hangs: process gone within 2 s, segment removed, exit status 3."""
    result = Result("hung worker, SIGTERM", wanted=world.ends)
    kinds = ["spin", "preloaded", "block"]
    for turn in range(world.ends):
        _end_with(world, result, kinds[turn % len(kinds)], "report")
    return result

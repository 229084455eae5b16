# SPDX-License-Identifier: BSD-3-Clause
"""Causes of a silence and what is done about it: rows W4, W12, W14 and W17, and --on-hang."""

import os
import signal
import sys

import pytest

from support.deadline import wait_until
from support.hook import Mode
from support.network import run
from support.segment import Cause, Kind, Phase, State, objects

FAULTS = ["-p", "3", "-K", "20", "--allow-faults"]

# Takes CPU argv[1] away from everybody for argv[2] seconds, at a priority above all others.
HOG = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    pass
"""


def story(segment, lcore=1):
    return [event.kind for event in segment.events(lcore=lcore)]


@pytest.mark.parametrize("fault, cause", [("exit", Cause.EXITED), ("spin", Cause.SPINNING),
                                          ("block", Cause.BLOCKED)])
def test_a_fault_is_named_and_cured_by_respawn(forwarder, agent, fault, cause):
    """Each cause by its name in segment, log and agent; the worker runs again, no frame is lost to
    the pool."""
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", f"1:{fault}@0.3"])
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    now = segment.wait(lambda now: now.core[1].last_outage_ns != 0, "its return")
    (death,) = segment.events(Kind.DEATH)
    assert death.cause == cause == now.core[1].cause
    assert story(segment) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    assert (now.monitor.deaths, now.monitor.restarts, now.monitor.recoveries) == (1, 1, 0)
    if cause != Cause.EXITED:
        assert (death.phase, death.in_hand) == (Phase.OWN, 32)
        fwd.wait_line(rf"^L2FWD: core 1 {cause.name.lower()} .*own processing.*: taken out of it$")
    watcher.wait_line(rf"^  core 1 died: {cause.name.lower()},")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert not fwd.lines("did not come back"), fwd.report()


@pytest.mark.parametrize("fault, cause", [("spin:300", Cause.SPINNING),
                                          ("block:300", Cause.BLOCKED)])
def test_w4_a_hang_that_ends_by_itself_is_a_recovery(forwarder, fault, cause):
    """By default a hang is reported and watched; when it ends that is said, too."""
    fwd = forwarder([*FAULTS, "--fault", f"1:{fault}@0.3"])
    segment = fwd.segment()
    now = segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert story(segment) == [Kind.DEATH, Kind.RECOVERY] and now.core[1].cause == cause
    fwd.wait_line(r"^L2FWD: core 1 recovered after \d+\.\d ms$")
    assert fwd.terminate() == 0


def test_an_endless_loop_in_the_heartbeat_itself_is_cured(forwarder, hook):
    """No built-in fault: a preloaded rte_keepalive_mark_alive() that does not return."""
    fwd = forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.SPIN)
    segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.events(Kind.DEATH)[0].cause == Cause.SPINNING
    assert fwd.terminate() in (0, 3)


def test_a_slow_turn_is_no_death(forwarder):
    """One turn of one and a half periods, eight times: nobody dies."""
    faults = ",".join(f"1:slow:30@{0.3 + 0.2 * n:.1f}" for n in range(8))
    fwd = forwarder([*FAULTS, "--fault", faults])
    segment = fwd.segment()
    start = segment.monitor().ticks
    segment.wait(lambda now: now.monitor.ticks > start + 110, "two seconds of pings")
    assert segment.monitor().deaths == 0 and segment.events(Kind.DEATH) == []
    assert fwd.terminate() == 0


def test_w5_a_worker_that_does_not_start_is_found_and_cured(forwarder):
    """Launched, and never a heartbeat: dead by the start-up deadline, taken out, launched again."""
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", "1:nostart"], started=False)
    segment = fwd.segment()
    now = segment.wait(lambda now: now.core[1].state == State.ALIVE, "its start")
    assert now.core[1].cause == Cause.NOT_STARTED and now.monitor.restarts == 1
    assert fwd.terminate() == 0


def test_a_crash_is_told_with_its_signal(forwarder, agent):
    """SIGSEGV in a worker: core and signal reach the agent before the process is gone."""
    fwd = forwarder([*FAULTS, "--fault", "1:segv@0.5"])
    watcher = agent(forwarder=fwd)
    watcher.wait_line("^Watching")
    assert watcher.wait_exit() == 3
    assert [line.text for line in watcher.lines(stream="stdout")][1:] == [
        "1 dead cores: 1,", "Core 1 crashed: signal 11, Segmentation fault.",
        f"l2fwd-keepalive (pid {fwd.pid}) has died."]
    assert fwd.wait_exit() in (-signal.SIGSEGV, 99)


def test_abort_ends_the_process_with_the_evidence(forwarder, agent):
    """--on-hang abort: SIGABRT for a supervisor, and the agent knows why."""
    fwd = forwarder([*FAULTS, "--on-hang", "abort", "--fault", "1:spin@0.5"])
    watcher = agent(forwarder=fwd)
    assert fwd.wait_exit() == -signal.SIGABRT
    assert fwd.lines(r"^L2FWD: core 1 spinning .* the process ends"), fwd.report()
    assert watcher.wait_exit() == 3
    watcher.wait_line(r"has aborted because a worker hung\.$")


def test_w12_a_worker_that_dies_again_and_again_is_given_up(forwarder):
    """The original restarts 66 times a second, for ever. Here there is a budget, then pauses."""
    fwd = forwarder(["-p", "3", "-K", "5", "--max-restarts", "3/5", "--demo-lifetime", "0.001"])
    segment = fwd.segment()
    now = segment.wait(lambda now: segment.events(Kind.GIVEN_UP), "it to be given up", timeout=30)
    fwd.wait_line(r"^L2FWD: core 1 is given up: more than 3 restarts in 5 s; its ports are down$")
    # Three within the budget, five with pauses.
    now = segment.snapshot()
    assert (now.monitor.deaths, now.monitor.restarts) == (9, 8)
    segment.wait(lambda now: now.core[1].state == State.GONE, "it to be gone")
    assert fwd.terminate() == 0


def test_a_starved_worker_is_innocent(forwarder, start, build):
    """A program of higher priority takes the worker's CPU for 250 ms, three times: no death, no
    restart, and each time it is said."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("takes two CPUs")
    fwd = forwarder(["-p", "3", "-K", "10"])
    segment = fwd.segment()
    for number in range(1, 4):
        hog = start([sys.executable, "-c", HOG, "1", "0.25"])
        assert hog.wait_exit(timeout=30) == 0, hog.report()
        segment.wait(lambda now: len(segment.events(Kind.STARVED)) >= number, "it to be said")
    assert segment.monitor().deaths == 0 and segment.monitor().restarts == 0
    assert min(event.outage_ns for event in segment.events(Kind.STARVED)) > 30_000_000
    assert fwd.lines(r"^L2FWD: core 1 was starved by the host for \d+\.\d ms$")
    assert fwd.terminate() == 0


def test_w8_a_monitor_that_stood_still_accuses_nobody(forwarder):
    """Time that the monitor itself lost is not held against any worker."""
    fwd = forwarder([*FAULTS, "--fault", "0:monitor-stall:400@0.4,0:monitor-stall:150@1.2"])
    segment = fwd.segment()
    now = segment.wait(lambda now: now.monitor.late_ticks >= 2, "both stalls")
    start = now.monitor.ticks
    now = segment.wait(lambda now: now.monitor.ticks > start + 25, "pings after them")
    assert (now.monitor.deaths, now.monitor.restarts) == (0, 0)
    assert fwd.terminate() == 0


def test_w17_a_worker_that_moves_nothing_is_reported(forwarder):
    """The loop turns, the TX queue takes nothing: a warning with port and reason, not a death."""
    fwd = forwarder(["-p", "3", "-K", "20"], vdevs=["net_null0", "net_tap1,iface=w17"])
    segment = fwd.segment()
    # Every frame that net_null makes is refused by a tap whose interface is down.
    run("ip", "link", "set", "dev", "w17", "down")
    stalled = segment.wait(lambda now: segment.events(Kind.STALLED), "the stall", timeout=30)
    assert stalled.monitor.deaths == 0
    event = segment.events(Kind.STALLED)[0]
    assert event.port == 0
    fwd.wait_line(r"^L2FWD: core 1, port 0: STALLED, the TX queue takes none of its frames$")
    assert fwd.terminate() == 0
    wait_until(lambda: objects() == [], "the segment to be removed")

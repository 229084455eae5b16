# SPDX-License-Identifier: BSD-3-Clause
"""What keeps a worker that moved on, or had no CPU for a while, from being called dead."""

import os

import pytest

from support import attempt, tracer
from support.deadline import wait_until
from support.hook import Gate, Mode
from support.segment import Cause, Kind, State
from test_recovery import FAULTS, worker_thread
from test_watching import MS, wait_next_ping


def test_a_heartbeat_during_the_judgement_counts(forwarder, hook, preload, tmp_path):
    """It is found silent and looked at; it gives heartbeats, and is silent again before the look is
    over. All evidence is against it but its heartbeat."""
    look, held = tmp_path / "look", tmp_path / "look.held"
    fwd = forwarder(["-p", "3", "-K", "300"], hook=hook, preload=[preload("slow_look")],
                    env={"KA_SLOW_LOOK": str(look)})
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    worker = worker_thread(fwd, 1)
    # The next ping finds a mark, and the one behind it that the heartbeat has not moved since.
    wait_next_ping(hook)
    pings, marks = hook.pings, hook.marks(1)
    wait_until(lambda: hook.marks(1) > marks + 10, "heartbeats")
    hook.hold(1, Mode.SLEEP)
    assert hook.pings == pings, "the test was too late to try what it is about"
    segment.wait(lambda now: now.core[1].state == State.MISSING, "it to be missing")
    look.touch()
    wait_until(held.exists, "it to be looked at again")
    marks = hook.marks(1)
    hook.release(1)
    wait_until(lambda: hook.marks(1) > marks + 2, "heartbeats")
    hook.hold(1, Mode.DEEP)
    # While it waits for a CPU it would be starved.
    wait_until(lambda: fwd.threads()[worker][0] == "D", "a deep sleep")
    ticks = segment.monitor().ticks
    look.unlink()
    segment.wait(lambda now: now.monitor.ticks > ticks, "the end of this ping")
    hook.release(1)
    segment.wait(lambda now: now.monitor.ticks > ticks + 3, "more pings")
    assert segment.monitor().deaths == 0 and fwd.deaths() == []
    assert segment.core(1).state == State.ALIVE
    assert fwd.terminate() == 0


def test_one_that_gives_no_second_sign_has_a_ping_more(forwarder, hook):
    """It executed a signal's handler a while ago, and seems to spin. Where another has its CPU just
    now it cannot show that it still executes: it is judged at the next ping."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("takes two CPUs")
    # Nobody else is to have its CPU: that it did run is the evidence.
    attempt.takes(sorted(os.sched_getaffinity(0))[1])
    fwd = forwarder(["-p", "3", "-K", "100"], hook=hook,
                    preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.delay_signals(0.005)
    wait_next_ping(hook)
    hook.hold(1, Mode.SPIN)
    segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    (death,) = segment.events(Kind.DEATH)
    # The third ping behind its last heartbeat would find it dead, were it not for the sign.
    assert death.cause == Cause.SPINNING and death.silent_ns > 350 * MS, death
    hook.release(1)
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert fwd.terminate() == 0


def test_one_whose_heartbeat_was_lost_has_both_its_pings_though_it_is_stopped(forwarder, hook):
    """Its heartbeat is lost while the library logs, and then a debugger stops it, for which one look
    is evidence enough: it is dead after the second silent ping, not after the first."""
    fwd = forwarder(["-p", "3", "-K", "200"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.close_gate(Gate.MIA)
    hook.hold(1, Mode.SLEEP)
    hook.wait_at_gate()
    ticks, marks = segment.monitor().ticks, hook.marks(1)
    hook.release(1)
    wait_until(lambda: hook.marks(1) > marks + 10, "heartbeats")
    with tracer.stopped(worker_thread(fwd, 1)):
        hook.open_gate()
        # The ping with the gate, and one that finds nothing.
        now = segment.wait(lambda now: now.monitor.ticks >= ticks + 2, "the next ping")
        assert now.monitor.deaths == 0, now.core[1]
        segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    assert segment.core(1).cause == Cause.STOPPED
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert fwd.terminate() == 0


def test_a_monitor_that_is_late_each_time_watches_on(forwarder, hook):
    """Each of its ticks comes a period late, and such a one is no ping: but never two in a row are
    put off, so that the worker that hangs now is found."""
    stalls = ",".join(f"0:monitor-stall:45@{0.5 + 0.05 * n:.2f}" for n in range(60))
    fwd = forwarder([*FAULTS, "--fault", f"1:block@0.6,{stalls}"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.monitor.late_ticks >= 3, "late ticks")
    now = segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    # One more for each of the other stalls until somebody dies.
    assert now.monitor.late_ticks < 40, now.monitor
    segment.wait(lambda now: hook.pings < now.monitor.ticks - 2, "ticks that were no pings")
    assert fwd.terminate() in (0, 3)

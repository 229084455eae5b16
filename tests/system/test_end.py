# SPDX-License-Identifier: BSD-3-Clause
"""Rows W18 and O7 of the original's defects, and signals: how the forwarder ends."""

import signal
import time

import pytest

from support.deadline import wait_until
from support.hook import Mode
from support.segment import State, Status, objects


@pytest.mark.parametrize("mode", [Mode.SPIN, Mode.SLEEP], ids=["spins", "sleeps"])
def test_w18_hung_worker_does_not_stop_the_end(forwarder, agent, hook, mode):
    """With a hung worker SIGTERM never ends the original; it must, within a deadline."""
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    hook.hold(1, mode)
    segment.wait(lambda now: now.monitor.deaths >= 1, "the death")
    assert fwd.terminate(timeout=5) == 3
    fwd.wait_line(r"^L2FWD: lcore 1 hangs at the end$")
    assert segment.monitor().status == Status.STOPPED and objects() == []
    assert watcher.wait_exit() == 0
    watcher.wait_line(r"has stopped\.$")


def test_w18_second_signal_ends_at_once_while_a_worker_hangs(forwarder, hook):
    """Who cannot wait for the deadline signals again; segment and agent were seen to before."""
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    segment = fwd.segment()
    hook.hold(1, Mode.SPIN)
    fwd.signal(signal.SIGTERM)
    wait_until(lambda: segment.monitor().status == Status.STOPPED, "the end to begin")
    wait_until(lambda: objects() == [], "the segment to be removed")
    # Obeyed from a moment after the segment is gone: until then a signal changes nothing.
    wait_until(lambda: not fwd.signal(signal.SIGTERM), "the end", timeout=5)
    assert fwd.wait_exit() == 128 + signal.SIGTERM


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["sigint", "sigterm"])
def test_w18_second_signal_ends_at_once_where_a_driver_hangs(forwarder, hook, second):
    """A port that does not stop would hold up the end for ever; the second signal must not wait."""
    hook.hold_stop()
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    fwd.segment()
    fwd.signal(signal.SIGTERM)
    wait_until(lambda: hook.stops == 1, "a port to be stopped")
    assert fwd.running and objects() == []
    fwd.signal(second)
    assert fwd.wait_exit(timeout=5) == 128 + second


def test_a_driver_that_hangs_in_its_counters_does_not_stop_the_end(forwarder, hook):
    """A thread that is in the driver for good was waited for without limit; its port is left alone
    instead, and the segment is gone by then. All workers left their loops: that is status 0."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold_stats()
    assert fwd.terminate(timeout=5) == 0
    fwd.wait_line(r"^L2FWD: port 0: its driver does not come back with its counters, and is left "
                  r"alone$", stream="stderr")
    assert segment.monitor().status == Status.STOPPED and objects() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
                         ids=["sigint", "sigterm", "sighup"])
def test_a_signal_ends_it_in_good_order(forwarder, agent, number):
    """SIGINT, SIGTERM and a SIGHUP that was not ignored: exit 0, nothing left behind."""
    fwd = forwarder(["-p", "3", "-K", "5"])
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    fwd.signal(number)
    assert fwd.wait_exit(timeout=5) == 0
    assert fwd.lines(rf"^L2FWD: signal {number}: stopping$")
    assert segment.monitor().status == Status.STOPPED and objects() == []
    assert watcher.wait_exit() == 0


def test_sighup_that_was_ignored_stays_ignored(forwarder):
    """Under nohup the end of the session must not end the forwarder."""
    fwd = forwarder(["-p", "3", "-K", "5"],
                    preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    segment = fwd.segment()
    ticks = segment.monitor().ticks
    fwd.signal(signal.SIGHUP)
    segment.wait(lambda now: now.monitor.ticks > ticks + 40, "pings after SIGHUP")
    assert fwd.lines("stopping") == []
    assert fwd.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["sigint", "sigterm"])
def test_o7_signal_ends_the_wait_for_links_at_once(forwarder, hook, number):
    """The original ignores Ctrl-C during the 9 s that it waits for links; it must obey at once."""
    hook.take_links_down()
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook, started=False)
    wait_until(lambda: hook.link_looks >= 2, "the wait for links")
    asked = time.monotonic()
    fwd.signal(number)
    assert fwd.wait_exit() == 0
    assert fwd.ended_at - asked < 3
    assert fwd.lines("entering main loop") == [] and objects() == []


def test_o7_links_that_come_up_end_the_wait(forwarder, hook):
    """The wait is over as soon as all links are up, not after 9 s."""
    hook.take_links_down()
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook, started=False)
    wait_until(lambda: hook.link_looks >= 2, "the wait for links")
    assert fwd.lines("entering main loop") == []
    hook.take_links_down(False)
    fwd.wait_started(timeout=4)
    fwd.segment().wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")

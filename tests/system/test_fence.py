# SPDX-License-Identifier: BSD-3-Clause
"""--takeover: when the ports of a worker must stay its own, since it may touch them again."""

import time

import pytest

from support import tracer
from support.deadline import wait_until
from support.hook import Mode
from support.programs import lcore_map
from support.segment import Kind, Phase, State
from test_eviction import ask_slowly
from test_forwarding import PcapPort
from test_recovery import worker_thread
from test_takeover import FAULTS, taken

# They wait for the looks at one that does not leave its loop, once a second.
pytestmark = pytest.mark.once

# One that does not leave its loop is looked at after a second, and once a second.
LOOKED_NS = 2_500_000_000


def start(forwarder, hook, *args, **options):
    return forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn", "--takeover", *args], hook=hook,
                     lcores=lcore_map(3), **options)


def assert_keeps(segment, hook):
    """It is dead, looked at twice, and neither given up nor launched again."""
    hook.delay_signals(0)
    until = segment.core(1).died_ns + LOOKED_NS
    segment.wait(lambda now: now.monitor.beat_ns > until, "two looks")
    assert segment.story(1) == [Kind.DEATH] and taken(segment) == []


def test_one_that_a_debugger_stops_keeps_its_ports(forwarder, hook):
    """The signal waits for it as for one in a deep sleep, but a debugger may take it away."""
    fwd = start(forwarder, hook)
    worker = worker_thread(fwd, 1)
    segment = ask_slowly(fwd, hook)
    hook.hold(1, Mode.SLEEP)  # A debugger cannot stop who sleeps deep.
    with tracer.stopped(worker):
        assert_keeps(segment, hook)
        hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.story(1) == [Kind.DEATH, Kind.RESTART, Kind.BACK] and taken(segment) == []
    assert fwd.terminate() == 0


def test_one_that_has_given_a_heartbeat_meanwhile_keeps_its_ports(forwarder, hook):
    """The signal finds it in a deep sleep, but not silent since it was asked: when it wakes it goes
    on in its loop."""
    fwd = start(forwarder, hook)
    segment = ask_slowly(fwd, hook)
    marks = hook.marks(1)
    hook.set(1, Mode.DROP)  # The monitor does not learn of its turns.
    wait_until(lambda: hook.marks(1) > marks + 2, "heartbeats")
    hook.hold(1, Mode.DEEP)
    assert_keeps(segment, hook)
    hook.release(1)
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(1) == [Kind.DEATH, Kind.RECOVERY] and taken(segment) == []
    assert fwd.terminate() == 0


def test_one_that_sleeps_in_its_driver_keeps_its_ports(forwarder, hook, tmp_path):
    """The signal finds it in a deep sleep, but in RX: when it wakes it goes on there."""
    fwd = start(forwarder, hook, vdevs=[PcapPort(tmp_path, 0).vdev, "net_ring1"])
    segment = ask_slowly(fwd, hook)
    hook.hold_in_driver(Phase.RX, Mode.DEEP, passes=0)
    hook.set(1, Mode.DROP)  # On from its heartbeat, and no other.
    hook.wait_in_driver()
    assert_keeps(segment, hook)
    hook.release(1)
    hook.release_driver()
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(1) == [Kind.DEATH, Kind.RECOVERY] and taken(segment) == []
    assert fwd.terminate() == 0


def test_one_that_wakes_within_a_second_keeps_its_ports(forwarder, hook):
    """A deep sleep of some periods is no reason to give a worker up."""
    fwd = start(forwarder, hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.DEEP)
    dead = segment.wait(lambda now: now.core[1].deaths == 1, "the death")
    segment.wait(lambda now: now.monitor.ticks > dead.monitor.ticks + 5, "pings behind it")
    hook.release(1)
    assert time.monotonic_ns() < dead.core[1].died_ns + 0.8e9, "the test was too late"
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.story(1) == [Kind.DEATH, Kind.RESTART, Kind.BACK] and taken(segment) == []
    assert fwd.terminate() == 0


def test_without_takeover_ports_stay_where_they_are(forwarder):
    """One that is given up keeps its ports, and they are down, as is said."""
    args = [arg for arg in FAULTS if arg != "--takeover"]
    fwd = forwarder(["-p", "3", *args, "1:exit@0.3"], lcores=lcore_map(3))
    segment = fwd.segment()
    segment.wait(lambda now: segment.events(Kind.GIVEN_UP), "it to be given up")
    fwd.wait_line(r"^L2FWD: core 1 is given up: .*; its ports are down$")
    ticks = segment.monitor().ticks
    now = segment.wait(lambda now: now.monitor.ticks > ticks + 5, "pings behind it")
    assert taken(segment) == [] and now.load[1].nb_ports == 1
    assert fwd.terminate() == 0


def test_ports_go_to_one_that_lives_though_it_has_more(forwarder):
    """Lcore 2 has one port and hangs, lcore 1 has two and lives: it gets the one of lcore 3."""
    fwd = forwarder(["-p", "f", *FAULTS, "2:block@0.3,3:exit@1"], lcores=lcore_map(4),
                    vdevs=[f"net_null{port}" for port in range(4)])
    assert [fwd.worker_of(port=port) for port in range(4)] == [1, 1, 2, 3]
    segment = fwd.segment()
    segment.wait(lambda now: taken(segment), "the takeover")
    assert taken(segment) == [(3, 3, 1)] and segment.core(2).deaths == 1
    assert fwd.terminate() in (0, 3)


def test_one_that_is_given_up_is_not_launched_when_it_wakes(forwarder, hook):
    """Others have its ports for good, though its lcore is free in the end."""
    fwd = start(forwarder, hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.DEEP)
    segment.wait(lambda now: taken(segment), "the takeover")
    hook.release(1)
    # An lcore that waits for work sleeps in the kernel; nobody else holds it there now.
    worker = worker_thread(fwd, 1)
    wait_until(lambda: fwd.threads()[worker][0] == "S", "it to leave its loop")
    ticks = segment.monitor().ticks
    now = segment.wait(lambda now: now.monitor.ticks > ticks + 10, "pings behind it")
    assert segment.story(1) == [Kind.DEATH, Kind.GIVEN_UP, Kind.TAKEN_OVER]
    assert (now.core[1].state, now.core[1].restarts) == (State.GONE, 0)
    assert fwd.terminate() == 0

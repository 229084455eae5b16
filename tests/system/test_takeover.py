# SPDX-License-Identifier: BSD-3-Clause
"""--takeover: what becomes of the ports of a worker that is given up."""

import signal
import time

import pytest

from support.deadline import wait_until
from support.hook import Mode
from support.programs import lcore_map, memory_options
from support.segment import Cause, Kind, State
from support.tables import last_table
from support.telemetry import Telemetry
from test_forwarding import (NOT_BACK, PcapPort, RawEnd, expect, macs, stream, tap_names,
                             tap_vdevs)

# The first death of a worker is its last.
ONE_LIFE = ["-K", "20", "--max-restarts", "0/1", "--takeover", "-T", "10"]

FAULTS = [*ONE_LIFE, "--allow-faults", "--fault"]


def taken(segment):
    """[(port, from, to)] in the order of the events."""
    return [(event.port, event.lcore, event.other_lcore)
            for event in segment.events(Kind.TAKEN_OVER)]


def pcap_ports(directory, counts):
    """A port for each count, that receives so many frames."""
    return [PcapPort(directory, port, stream(count, size=64 + 2 * port))
            for port, count in enumerate(counts)]


def assert_each_frame_once(fwd, ports, peers):
    """Each port's sink has the frames of its peer's source, all, in order, and none twice."""
    mac = macs(fwd)
    for port, peer in zip(ports, peers):
        ports[peer].wait_received(expect(port.sent, peer, mac[peer]))
    assert fwd.terminate() == 0
    table = last_table(fwd)
    for port, peer in zip(ports, peers):
        ports[peer].assert_received(expect(port.sent, peer, mac[peer]))
        assert (table[port.port].received, table[peer].sent) == (len(port.sent),) * 2, table
    assert table["total"].dropped == 0 and len(table) == len(ports) + 1, table
    assert not fwd.lines(NOT_BACK), fwd.report()


def test_the_ports_of_a_worker_that_is_given_up_go_to_the_other(forwarder, agent, hook, tmp_path):
    """The worker leaves its loop with the first frames it takes, and they wait in its TX buffer:
    the other sends them, and all that come after them, each once and in order."""
    ports = pcap_ports(tmp_path, (20001, 70))
    hook.live(1, 1e-6)
    hook.live(2, 3600)
    fwd = forwarder(["-p", "3", *ONE_LIFE, "--demo-lifetime", "8"], lcores=lcore_map(3), hook=hook,
                    vdevs=[port.vdev for port in ports])
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    segment.wait(lambda now: taken(segment), "the takeover")
    now = segment.snapshot()
    assert taken(segment) == [(0, 1, 2)]
    assert (now.monitor.deaths, now.monitor.restarts) == (1, 0)
    fwd.wait_line(r"^L2FWD: core 1 is given up: more than 0 restarts in 1 s; others take its ports$")
    fwd.wait_line(r"^L2FWD: port 0 goes from core 1 to core 2$")
    segment.wait(lambda now: now.core[1].state == State.GONE, "it to be gone")
    assert_each_frame_once(fwd, ports, (1, 0))
    assert watcher.wait_exit() == 0


def test_an_agent_is_told_where_a_port_went(forwarder, agent):
    """-v tells of the end of a worker and of its port's new one, in this order."""
    fwd = forwarder(["-p", "3", *FAULTS, "1:exit@1"], lcores=lcore_map(3))
    watcher = agent(["-v"], forwarder=fwd)
    watcher.wait_line(r"^  core 1 given up, not to be restarted any more")
    watcher.wait_line(r"^  core 1 port 0 goes to core 2$")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0


def test_ports_go_to_the_worker_with_the_fewest(forwarder, tmp_path):
    """Four ports on three workers: the first has two, so the others take what there is, and at the
    end one worker has them all."""
    ports = pcap_ports(tmp_path, (300, 310, 320, 330))
    fwd = forwarder(["-p", "f", *FAULTS, "3:exit@0.3"], lcores=lcore_map(4),
                    vdevs=[port.vdev for port in ports])
    segment = fwd.segment()
    assert [fwd.worker_of(port=port) for port in range(4)] == [1, 1, 2, 3]
    segment.wait(lambda now: taken(segment), "the first takeover")
    assert taken(segment) == [(3, 3, 2)]
    with Telemetry(fwd) as client:
        client.ask("fault", "1:exit")
    segment.wait(lambda now: len(taken(segment)) == 3, "the second takeover")
    assert sorted(taken(segment)[1:]) == [(0, 1, 2), (1, 1, 2)]
    assert_each_frame_once(fwd, ports, (1, 0, 3, 2))


def test_the_ports_of_the_last_worker_stay_down(forwarder):
    """There is nobody who could take them, and that is said."""
    fwd = forwarder(["-p", "3", *FAULTS, "1:exit@0.3,2:exit@0.8"], lcores=lcore_map(3))
    segment = fwd.segment()
    segment.wait(lambda now: len(segment.events(Kind.GIVEN_UP)) == 2, "both to be given up")
    fwd.wait_line(r"^L2FWD: core 2 is given up: more than 0 restarts in 1 s; its ports are down$")
    assert taken(segment) == [(0, 1, 2)]
    assert fwd.terminate() == 0


def test_what_nobody_has_room_for_stays_down(forwarder):
    """A worker polls 16 ports at most: of ten ports six go to the other one, who has ten itself,
    and that four are down is said."""
    fwd = forwarder(["-p", "fffff", "-q", "10", *FAULTS, "1:exit@0.5"], lcores=lcore_map(3),
                    vdevs=[f"net_null{port}" for port in range(20)], memory=memory_options(512))
    segment = fwd.segment()
    segment.wait(lambda now: len(taken(segment)) >= 6, "the takeover")
    fwd.wait_line(r"^L2FWD: core 1 is given up: more than 0 restarts in 1 s; others take 6 of its "
                  r"ports, nobody has room for 4: down$")
    assert fwd.terminate() == 0
    assert [(lcore, other) for _, lcore, other in taken(segment)] == [(1, 2)] * 6
    ports = {port for port, _, _ in taken(segment)}
    assert len(ports) == 6 and ports < set(range(10)), ports


@pytest.fixture
def asleep(forwarder, hook):
    """A forwarder of two taps whose worker of port 0 is in a deep sleep (D) that no signal ends."""
    def begin(*args):
        names = tap_names("deep")
        fwd = forwarder(["-p", "3", "-K", "20", "-T", "10", "--on-hang", "respawn", *args],
                        lcores=lcore_map(3), hook=hook, vdevs=tap_vdevs(names))
        segment = fwd.segment()
        segment.wait(lambda now: now.core[1].state == State.ALIVE, "it to be alive")
        hook.hold(1, Mode.DEEP)
        now = segment.wait(lambda now: now.core[1].deaths == 1, "the death")
        assert now.core[1].cause == Cause.BLOCKED
        return fwd, segment, names

    return begin


def test_a_worker_that_no_signal_wakes_loses_its_ports(asleep, hook):
    """It cannot be taken out of its loop, but the pending signal is a fence: it executes nothing
    of it before it leaves. Another polls its port, and when it wakes at last it touches nothing."""
    fwd, segment, names = asleep("--takeover")
    segment.wait(lambda now: taken(segment) == [(0, 1, 2)], "the takeover")
    fwd.wait_line(r"^L2FWD: core 1 is given up: it does not come out of the kernel; "
                  r"others take its ports$")
    sent = stream(200)
    with RawEnd(names[0]) as a, RawEnd(names[1]) as b:
        for frame in sent[:100]:
            a.send(frame)
        wait_until(lambda: len(b.take()) >= 100, "100 frames across")
        hook.release(1)
        for frame in sent[100:]:
            a.send(frame)
        wait_until(lambda: len(b.take()) >= 200, "200 frames across")
        assert b.take() == expect(sent, 1, macs(fwd)[1])
    assert fwd.terminate() == 0
    assert last_table(fwd)[0].received == 200 and not fwd.lines(NOT_BACK), fwd.report()
    last = segment.snapshot().core[1]
    assert (last.deaths, last.restarts, last.recoveries) == (1, 0, 0)


def test_without_takeover_a_worker_that_no_signal_wakes_is_waited_for(asleep, hook):
    """It leaves its loop when it wakes, however late, and is launched again. That it was asked to
    and has not is said, once."""
    fwd, segment, _ = asleep()
    asked = segment.core(1).died_ns
    wait_until(lambda: time.monotonic_ns() > asked + 1.5e9, "longer than with --takeover")
    assert segment.story(lcore=1) == [Kind.DEATH]
    (refused,) = fwd.lines(r"^L2FWD: core 1 was asked to leave its loop (\d+\.\d) ms ago and is "
                           r"still in it: watched$", stream="stderr")
    assert 100 <= float(refused.match[1]) < 1000
    hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE and now.core[1].restarts == 1,
                 "its return")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    assert fwd.terminate() == 0


def test_the_end_of_a_worker_that_no_signal_wakes_is_not_waited_for(asleep, hook):
    """The process ends all the same, with the status that says so."""
    fwd, segment, _ = asleep("--takeover")
    segment.wait(lambda now: taken(segment), "the takeover")
    fwd.signal(signal.SIGTERM)
    fwd.wait_line(r"lcore 1 does not leave its loop")
    hook.release(1)
    assert fwd.wait_exit() == 3

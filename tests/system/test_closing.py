# SPDX-License-Identifier: BSD-3-Clause
"""The end with a worker that does not leave its loop: what it may have its hands in stays."""

import signal

import pytest

from support import tracer
from support.deadline import wait_until
from support.hook import Mode
from support.programs import lcore_map
from support.segment import Phase, State, objects
from test_forwarding import PcapPort
from test_recovery import FAULTS, worker_thread
from test_takeover import taken


@pytest.fixture
def in_driver(forwarder, hook, tmp_path):
    """A forwarder whose worker does not come back from RX of its first port, and is told to end."""
    ports = [PcapPort(tmp_path, port) for port in range(2)]
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook, vdevs=[port.vdev for port in ports])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold_in_driver(Phase.RX, Mode.SLEEP, passes=0)
    hook.wait_in_driver()
    return fwd


def test_a_worker_that_stays_in_its_driver_keeps_its_ports_at_the_end(in_driver, hook):
    """Its ports are neither stopped nor closed under it; the process ends all the same, and says so."""
    assert in_driver.terminate(timeout=5) == 3
    in_driver.wait_line(r"^L2FWD: lcore 1 does not leave its loop within \d+ ms: its ports are left "
                        r"as they are$", stream="stderr")
    assert hook.stops == 0
    assert not in_driver.lines("Port . does not"), in_driver.report()
    assert objects() == []


def test_a_second_signal_waits_for_no_worker(in_driver):
    """The segment is gone, and nothing is left that must be waited for."""
    in_driver.signal(signal.SIGTERM)
    wait_until(lambda: objects() == [], "the segment to be removed")
    # The second signal is obeyed only a moment later.
    wait_until(lambda: not in_driver.signal(signal.SIGTERM), "the end")
    assert in_driver.wait_exit() == 128 + signal.SIGTERM
    assert not in_driver.lines("does not leave its loop"), in_driver.report()


def test_a_crash_after_the_end_of_the_segment_is_told(in_driver):
    """The segment is gone already, and cannot be told; the log can."""
    fwd, worker = in_driver, worker_thread(in_driver, 1)
    fwd.signal(signal.SIGTERM)
    wait_until(lambda: objects() == [], "the segment to be removed")
    tracer.send(fwd.pid, worker, signal.SIGSEGV)
    assert fwd.wait_exit() == -signal.SIGSEGV
    assert fwd.lines(r"\(pcap_next(_ex)?\+0x\S+\) ?\[0x"), fwd.report()


def test_a_worker_without_ports_that_stays_keeps_the_pools(forwarder, hook, preload):
    """Its ports went to another, but it may have mbufs in its hands: no pool is freed."""
    def run():
        return forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn", "--takeover"], hook=hook,
                         lcores=lcore_map(3), preload=[preload("mbuf_hook")])

    well = run()
    assert well.terminate() == 0 and well.lines("^mbuf_hook: mbufs_socket0 is freed$")

    fwd = run()
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.DEEP)
    segment.wait(lambda now: taken(segment), "the takeover")
    fwd.signal(signal.SIGTERM)
    fwd.wait_line("lcore 1 does not leave its loop")
    hook.release(1)
    assert fwd.wait_exit() == 3
    assert not fwd.lines("mbuf_hook: mbufs_socket0 is freed"), fwd.report()


def test_a_worker_that_is_being_launched_keeps_its_ports_at_the_end(forwarder, hook):
    """Its lcore waits for work, but it has been asked for already and may begin at any moment."""
    fwd = forwarder([*FAULTS, "--fault", "1:exit@0.5"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold_launch()
    hook.wait_in_launch()
    assert fwd.terminate(timeout=5) == 3
    fwd.wait_line(r"^L2FWD: lcore 1 does not leave its loop within \d+ ms", stream="stderr")
    assert hook.stops == 0 and objects() == []

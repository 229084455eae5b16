# SPDX-License-Identifier: BSD-3-Clause
"""In which order a death is told and undone: who is woken, or looks, must not be misled."""

import contextlib
import threading

from support.forged import OriginalSegment
from support.segment import Kind, State, path_of
from test_recovery import FAULTS


def test_a_death_is_published_then_posted_then_the_worker_is_launched(forwarder, preload,
                                                                      tmp_path):
    """At each post of the segment's semaphore the dead core is there as DEAD, and its relaunch has
    not been asked for yet."""
    order = tmp_path / "order"
    fwd = forwarder([*FAULTS, "--fault", "1:exit@0.3,1:exit@0.8"], preload=[preload("order_hook")],
                    env={"KA_ORDER": str(order)})
    segment = fwd.segment()
    segment.wait(lambda now: len(segment.events(Kind.BACK)) == 2, "its second return")
    assert order.read_text().split("\n")[:-1] == ["asked", *["dead 1", "asked"] * 2]
    assert fwd.terminate() == 0


def test_a_crash_wakes_the_agent(forwarder):
    """The last post of a process that crashes comes from the worker's own thread."""
    fwd = forwarder([*FAULTS, "--fault", "1:segv@0.5"])
    segment = fwd.segment()
    fwd.wait_exit()
    assert segment.snapshot().crash_ns != 0 and segment.monitor().deaths == 0
    assert segment.credit() == 1


@contextlib.contextmanager
def running(original):
    """The original writes at each ping when it last saw its cores."""
    ended = threading.Event()

    def write():
        while not ended.wait(0.005):
            original.set(1, State.ALIVE)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def test_a_running_original_keeps_its_segment(forwarder, _running):
    """It takes no lock, so that only its writing tells that it lives; one that does not write has
    left its segment behind."""
    name = "/ka-original"
    original = OriginalSegment(name)
    _running.append(original)
    inode = path_of(name).stat().st_ino
    args = ["-p", "3", "-K", "100", "--shm-name", name]
    with running(original):
        refused = forwarder(args, started=False)
        assert refused.wait_exit() == 1, refused.report()
        assert len(refused.lines(f"--shm-name {name}: .*alive")) == 1, refused.report()
        assert path_of(name).stat().st_ino == inode
    fwd = forwarder(args)
    assert path_of(name).stat().st_ino != inode
    assert fwd.terminate() == 0

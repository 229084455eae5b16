# SPDX-License-Identifier: BSD-3-Clause
"""W17: a worker whose loop turns and whose port moves no frames, and what only looks like it."""

import time

import pytest

from support.deadline import wait_until
from support.programs import lcore_map
from support.segment import Kind, Stall, State
from test_forwarding import NOT_BACK, PcapPort, stream

# They wait for looks at counters, once a second.
pytestmark = pytest.mark.once


def told(segment, port):
    """[(kind, stall) of each event about the frames of a port]."""
    return [(Kind(event.kind), Stall(event.stall)) for event in segment.events()
            if event.kind in (Kind.STALLED, Kind.MOVES) and event.port == port]


def begin(forwarder, directory, *args, frames=0, **options):
    """A forwarder of two ports that receive so many frames, and then none."""
    ports = [PcapPort(directory, port, stream(frames)) for port in range(2)]
    fwd = forwarder(["-p", "3", "-K", "50", *args], vdevs=[port.vdev for port in ports], **options)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    return fwd, segment


@pytest.fixture
def starved(forwarder, preload, tmp_path):
    """An idle forwarder, and a function that sets the word of mbuf_hook.c."""
    word = tmp_path / "word"
    word.write_text("")
    fwd, segment = begin(forwarder, tmp_path, preload=[preload("mbuf_hook")],
                         env={"KA_MBUFS": str(word)})
    return fwd, segment, word.write_text


def stalls_and_moves(starved, word, stall, reason):
    """The word makes both ports stall, for that reason, and they move again without it."""
    fwd, segment, say = starved
    say(word)
    fwd.wait_line(rf"^L2FWD: core 1, port 0: STALLED, {reason}$", stream="stderr")
    fwd.wait_line(rf"^L2FWD: core 1, port 1: STALLED, {reason}$", stream="stderr")
    say("")
    fwd.wait_line(r"^L2FWD: core 1, port 0: moves frames again$", stream="stderr")
    segment.wait(lambda now: len(told(segment, 1)) == 2, "the other port, too")
    for port in range(2):
        assert told(segment, port) == [(Kind.STALLED, stall), (Kind.MOVES, Stall.NONE)]
    assert segment.monitor().deaths == 0
    assert fwd.terminate() == 0 and not fwd.lines(NOT_BACK), fwd.report()


def test_a_port_whose_frames_are_received_does_not_stall(forwarder, hook):
    """The device counts, and so does its worker."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    # Some of them may come too late to tell anything.
    hook.wait_stats_looks(6)
    assert told(segment, 0) == told(segment, 1) == [] and segment.monitor().deaths == 0
    assert fwd.terminate() == 0


def test_an_empty_pool_is_a_stall(starved):
    """Nothing can be received without mbufs, and the device need not notice."""
    stalls_and_moves(starved, "pool", Stall.POOL, "no mbufs are left to receive into")


def test_a_device_that_finds_no_mbufs_is_a_stall(starved):
    """It counts frames for which it had no mbuf, though the pool has some just now."""
    stalls_and_moves(starved, "no_mbuf", Stall.POOL, "no mbufs are left to receive into")


def test_frames_that_a_device_misses_are_a_stall(starved):
    """Its descriptors are full, since nobody takes frames out of them."""
    stalls_and_moves(starved, "missed", Stall.RX,
                     "the port counts frames that it does not receive")


def test_frames_that_nobody_receives_are_a_stall_until_they_are(forwarder, hook, tmp_path):
    """The device counts on and its worker receives nothing: told once, as is the end."""
    fwd, segment = begin(forwarder, tmp_path, hook=hook)
    hook.flood()
    segment.wait(lambda now: told(segment, 1), "the stall")
    hook.wait_stats_looks(2)
    hook.flood(0)
    segment.wait(lambda now: len(told(segment, 0)) >= 2 and len(told(segment, 1)) >= 2, "the end")
    for port in range(2):
        assert told(segment, port) == [(Kind.STALLED, Stall.RX), (Kind.MOVES, Stall.NONE)]
    assert segment.story(1) == [Kind.STALLED] * 2 + [Kind.MOVES] * 2
    assert fwd.terminate() == 0


def test_a_process_that_stood_still_does_not_stall(forwarder, hook, tmp_path):
    """The device counted on meanwhile, and the worker has had no time to receive."""
    fwd, segment = begin(forwarder, tmp_path, hook=hook)
    hook.wait_stats_looks(2)
    hook.flood()
    fwd.freeze()
    beat_ns = segment.monitor().beat_ns
    wait_until(lambda: time.monotonic_ns() > beat_ns + 2_000_000_000, "two looks to be missed")
    looks = hook.stats_looks
    fwd.thaw()
    hook.wait_stats_looks(looks + 1 - hook.stats_looks)
    hook.flood(0)
    hook.wait_stats_looks(2)
    assert told(segment, 0) == [] and segment.monitor().deaths == 0
    assert fwd.terminate() == 0


def test_a_queue_that_takes_some_frames_does_not_stall(forwarder, hook):
    """More is sent than the other side takes: frames are dropped each second, and frames go."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook, lcores=lcore_map(3),
                    vdevs=["net_null0", "net_ring1"])
    segment = fwd.segment()
    segment.wait(lambda now: now.load[1].dropped > 0 and now.core[1].state == State.ALIVE, "drops")
    before = segment.snapshot().load[1]
    hook.wait_stats_looks(3)
    after = segment.snapshot().load[1]
    assert after.dropped > before.dropped and after.sent > before.sent
    assert told(segment, 0) == []
    assert fwd.terminate() == 0

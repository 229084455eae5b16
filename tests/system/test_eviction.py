# SPDX-License-Identifier: BSD-3-Clause
"""Taking a worker out of its loop: between the wish and the signal it may move on."""

from support.deadline import PATIENCE, wait_until
from support.hook import Mode
from support.segment import Cause, Kind, Phase, State
from support.tables import last_table
from test_forwarding import NOT_BACK, PcapPort
from test_recovery import FAULTS

def ask_slowly(fwd, hook):
    """Have lcore 1, which sleeps in its heartbeat, asked to leave its loop; it is not reached yet.
    It sleeps so deep that it is not asked for a sign before, which would come as slowly. The signal
    comes after hook.delay_signals(0). Returns the segment."""
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.delay_signals(PATIENCE)
    hook.hold(1, Mode.DEEP)
    segment.wait(lambda now: now.core[1].deaths == 1, "the death")
    assert segment.story(1) == [Kind.DEATH]
    return segment


def wait_signalled(segment, hook):
    """The main lcore sends the signal itself: pings go on behind it."""
    ticks = segment.monitor().ticks
    hook.delay_signals(0)
    segment.wait(lambda now: now.monitor.ticks > ticks + 15, "pings after the signal")


def test_one_that_has_gone_into_its_driver_meanwhile_stays(forwarder, hook, tmp_path):
    """It was idle when it was asked to leave its loop, and is in RX when the signal comes: what the
    driver has half done must not be left so."""
    ports = [PcapPort(tmp_path, port) for port in range(2)]
    fwd = forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn"], hook=hook,
                    vdevs=[port.vdev for port in ports])
    segment = ask_slowly(fwd, hook)
    hook.hold_in_driver(Phase.RX, Mode.SLEEP, passes=0)
    hook.set(1, Mode.DROP)  # On from its heartbeat, and no other.
    hook.wait_in_driver()
    wait_signalled(segment, hook)
    assert segment.story(1) == [Kind.DEATH] and segment.monitor().restarts == 0
    hook.release(1)
    hook.release_driver()
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(1) == [Kind.DEATH, Kind.RECOVERY]
    assert fwd.terminate() == 0 and not fwd.lines(NOT_BACK), fwd.report()


def test_one_that_has_given_a_heartbeat_meanwhile_stays(forwarder, hook):
    """It gave heartbeats between the wish and the signal, so it has come back by itself."""
    fwd = forwarder(["-p", "3", "-K", "100", "--on-hang", "respawn"], hook=hook)
    segment = ask_slowly(fwd, hook)
    marks = hook.marks(1)
    hook.release(1)
    wait_until(lambda: hook.marks(1) > marks + 2, "heartbeats")
    hook.hold(1, Mode.SLEEP)  # Where it could be taken out of its loop.
    hook.delay_signals(0)
    segment.wait(lambda now: len(segment.story(1)) >= 2, "what the signal does")
    hook.release(1)
    ticks = segment.monitor().ticks
    segment.wait(lambda now: now.monitor.ticks > ticks + 6, "pings that would miss it")
    assert segment.story(1)[:2] == [Kind.DEATH, Kind.RECOVERY]
    # It may have hung for long enough to be taken out now, but it has never left by itself.
    assert {event.cause for event in segment.events(Kind.DEATH)} == {Cause.BLOCKED}
    assert fwd.terminate() == 0


def test_frames_in_hand_are_dropped_and_counted(forwarder):
    """Whoever is taken out of its own processing of a burst leaves the burst behind."""
    fwd = forwarder([*FAULTS, "-T", "10", "--on-hang", "respawn", "--fault", "1:spin@0.3"])
    segment = fwd.segment()
    segment.wait(lambda now: segment.events(Kind.BACK), "its return")
    (death,) = segment.events(Kind.DEATH)
    assert fwd.terminate() == 0 and not fwd.lines(NOT_BACK), fwd.report()
    total = last_table(fwd)["total"]
    assert total.dropped == death.in_hand == 32
    assert total.received == total.sent + total.dropped, total

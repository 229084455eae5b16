# SPDX-License-Identifier: BSD-3-Clause
"""The tests' own ground: a harness that cannot fail would prove nothing."""

import errno
import os
import select
import signal
import socket

import pytest

from support import frames
from support.deadline import holds_for, wait_until
from support.hook import Mode
from support.network import mac_of_port
from support.noise import undisturbed
from support.segment import State


def test_a_line_is_found_by_pattern_stream_and_count(start):
    shell = start(["sh", "-c", "echo one; echo two >&2; echo three; printf four"])
    assert shell.wait_line(r"t(w)o").stream == "stderr"
    assert shell.wait_line("o", stream="stdout").match[0] == "o"
    assert shell.wait_line("r", count=2).text == "four"
    assert shell.wait_exit() == 0


def test_a_line_that_never_comes_fails_as_soon_as_the_program_ends(start):
    shell = start(["sh", "-c", "echo said; exit 3"])
    with pytest.raises(AssertionError, match="ended with 3(.|\n)*said"):
        shell.wait_line("unsaid", timeout=60)


def test_a_line_that_comes_too_late_fails_at_the_deadline(start):
    sleeper = start(["sleep", "60"])
    with pytest.raises(AssertionError, match="not within 0.05 s"):
        sleeper.wait_line("anything", timeout=0.05)
    assert sleeper.terminate() == -signal.SIGTERM


def test_a_test_that_looked_too_late_is_begun_anew():
    tries = []

    @undisturbed
    def fails_once(forwarder):
        tries.append(forwarder)
        wait_until(lambda: len(tries) > 1 or not select.select([], [], [], 0.1)[0], "a late look")
        assert len(tries) > 1

    fails_once(forwarder=None)
    assert len(tries) == 2


def test_a_test_that_fails_in_time_fails():
    tries = []

    @undisturbed
    def fails(forwarder):
        tries.append(forwarder)
        raise AssertionError("a defect")

    with pytest.raises(AssertionError, match="a defect"):
        fails(forwarder=None)
    assert len(tries) == 1


def test_a_condition_that_never_holds_is_named():
    with pytest.raises(AssertionError, match="in vain for the sky to fall"):
        wait_until(lambda: False, "the sky to fall", timeout=0.02)


def test_a_program_that_ignores_sigterm_is_killed_and_complained_of(start):
    stubborn = start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    stubborn.wait_line("ready")
    assert stubborn.close(patience=0.2) == ["sh did not obey SIGTERM within 0.2 s"]
    assert stubborn.returncode == -signal.SIGKILL


def test_a_blocked_pipe_stops_a_program_until_it_is_read(start):
    writer = start(["sh", "-c", "seq 1 4000; echo end >&2"], stdout="blocked")
    wait_until(lambda: {state for state, _ in writer.threads().values()} == {"S"}, "a full pipe")
    assert writer.lines() == []
    writer.resume_reading()
    assert writer.wait_exit() == 0
    assert len(writer.lines("^[0-9]+$", stream="stdout")) == 4000


def test_a_terminal_can_be_stopped_and_continued(start):
    shell = start(["sh", "-c", "test -t 1 || exit 1; trap 'seq 3; exit' USR1; echo ready;"
                   "while :; do sleep 0.01; done"], stdout="pty")
    ready = shell.wait_line("ready")
    shell.type(b"\x13")
    shell.signal(signal.SIGUSR1)
    holds_for(lambda: shell.lines(after=ready) == [], "silence after Ctrl-S", 0.1)
    shell.type(b"\x11")
    assert [line.text for line in (shell.wait_line("3"), *shell.lines("2"))] == ["3", "2"]
    assert shell.wait_exit() == 0


def test_a_frozen_program_stands_still_and_thaws(start):
    shell = start(["sh", "-c", "while :; do echo tick; sleep 0.01; done"])
    shell.wait_line("tick")
    shell.freeze()
    shell.thaw()
    last = shell.lines()[-1]
    shell.wait_line("tick", after=last)


def test_sanitizer_reports_are_complaints(start):
    liar = start(["sh", "-c", "echo '==1==ERROR: AddressSanitizer: heap-use-after-free' >&2"])
    liar.wait_exit()
    assert "AddressSanitizer: heap-use-after-free" in liar.close()[0]


def test_frames_survive_the_way_through_a_file(tmp_path):
    sent = [frames.udp_frame(number, size) for number, size in enumerate((60, 64, 1514))]
    assert [len(frame) for frame in sent] == [60, 64, 1514]
    assert frames.read_pcap(frames.write_pcap(tmp_path / "frames", sent)) == sent
    assert frames.read_pcap(frames.write_pcap(tmp_path / "none", [])) == []
    there = frames.rewritten(sent[0], 1, bytes(range(6)))
    assert there[:12].hex(":") == mac_of_port(1) + ":00:01:02:03:04:05"
    assert there[12:] == sent[0][12:]


def test_the_world_is_private():
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert os.listdir("/run/netns") == os.listdir("/run/dpdk") == os.listdir("/dev/shm") == []
    assert os.getppid() == 1


def test_a_worker_is_held_delayed_and_released_by_the_hook(forwarder, hook):
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    wait_until(lambda: hook.marks(worker) > 1000 and hook.pings > 3, "heartbeats and pings")

    for mode in (Mode.SPIN, Mode.SLEEP):
        deaths = segment.monitor().deaths
        hook.hold(worker, mode)
        segment.wait(lambda now, deaths=deaths: now.monitor.deaths > deaths, "a death")
        hook.release(worker)
        segment.wait(lambda now: now.core[worker].state == State.ALIVE, "the worker's return")

    deaths = segment.monitor().deaths
    hook.delay(worker, 0.1)
    segment.wait(lambda now: now.monitor.deaths > deaths, "a death by delay")

    hook.stall_pings(0.3)
    times = hook.ping_times()
    assert times == sorted(times) and max(b - a for a, b in zip(times, times[1:])) > 250e6


def test_the_hook_makes_promiscuous_mode_fail(forwarder, hook):
    hook.fail_promiscuous(errno.ENOTSUP)
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    assert fwd.lines("promiscuous")

# SPDX-License-Identifier: BSD-3-Clause
"""The tests' own ground: a harness that cannot fail would prove nothing."""

import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import attempt, frames
from support.deadline import holds_for, wait_until
from support.hook import Mode
from support.network import mac_of_port
from support.segment import State

# What is tried is the tests' own ground.
pytestmark = pytest.mark.once


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


# Tests of a suite of their own, under the same conftest.py. `tries` counts how often each was tried.
LATE_ONCE = """
def test_{name}():
    tries["{name}"] += 1
    attempt.note_late(CPU, 1)
    assert tries["{name}"] == 2
"""
DEFECT = """
def test_in_time():
    tries["in time"] += 1
    assert False, "a defect"
"""
LATE_DEFECT = """
def test_late():
    tries["late"] += 1
    attempt.note_late(CPU, 1)
    assert False, "a late defect"
"""


# For 0.1 s, in real time.
TAKES_CPU = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
end = time.monotonic() + 0.1
while time.monotonic() < end:
    pass
"""


@pytest.fixture
def suite(start, tmp_path):
    """Runs tests; returns the ended pytest, and how often each of them was tried."""
    def run(*tests):
        (tmp_path / "test_suite.py").write_text("\n".join([
            "import collections, json, os, pathlib, pytest", "from support import attempt",
            "CPU = min(os.sched_getaffinity(0))", "tries = collections.Counter()", *tests,
            "@pytest.fixture(scope='session', autouse=True)", "def tell_tries():", "    yield",
            "    pathlib.Path('tries').write_text(json.dumps(tries))"]))
        ended = start([sys.executable, "-m", "pytest", "-p", "conftest", "--junitxml=report.xml",
                       "test_suite.py"], cwd=tmp_path,
                      env={"PYTHONPATH": str(Path(__file__).parent)})
        ended.wait_exit(timeout=60)
        return ended, json.loads((tmp_path / "tries").read_text())
    return run


def test_a_test_that_ran_late_is_begun_anew_and_says_so(suite, tmp_path):
    ended, tries = suite(LATE_ONCE.format(name="once"))
    assert ended.returncode == 0 and tries == {"once": 2}, ended.report()
    ended.wait_line(r"^BEGUN ANEW test_suite.py::test_once: "
                    r"a sleep on CPU \d+ ended late by 1000 ms$")
    ended.wait_line("^E .*assert 1 == 2")
    (case,) = ElementTree.parse(tmp_path / "report.xml").iter("testcase")
    assert [entry.get("name") for entry in case.iter("property")] == ["begun anew"]


def test_a_defect_fails_at_once_and_a_late_one_at_last(suite):
    ended, tries = suite(DEFECT, LATE_DEFECT)
    assert ended.returncode == 1 and tries == {"in time": 1, "late": 3}, ended.report()
    ended.wait_line("2 failed")


def test_too_many_tests_that_are_begun_anew_are_a_failure(suite):
    ended, tries = suite(*(LATE_ONCE.format(name=name) for name in ("one", "two")))
    assert ended.returncode == 1 and tries == {"one": 2, "two": 2}, ended.report()
    ended.wait_line("^FAILED: 2 tests were begun anew, more than 1 %$")


def test_what_a_test_does_itself_is_no_reason_to_begin_it_anew(suite):
    ended, tries = suite("""
def test_taken():
    tries["taken"] += 1
    attempt.takes(CPU)
    attempt.note_late(CPU, 1)
    assert False
""")
    assert ended.returncode == 1 and tries == {"taken": 1}, ended.report()


def test_a_witness_notices_that_nobody_gets_its_cpu(start):
    cpu = sorted(os.sched_getaffinity(0))[-1]
    attempt.begin()
    start([sys.executable, "-c", TAKES_CPU, cpu]).wait_exit()
    (noticed,) = [why for why in attempt.disturbances() if f"CPU {cpu} " in why]
    assert int(noticed.split()[-2]) >= 90
    attempt.takes(cpu)
    assert noticed not in attempt.disturbances()


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

# SPDX-License-Identifier: BSD-3-Clause
"""ka-agent --check: what a probe of Kubernetes, Nagios or a script is told."""

import os
import re
import statistics
import time
from pathlib import Path

import pytest

from support.deadline import PATIENCE, wait_until
from support.forged import NAME, OriginalSegment
from support.hook import Mode
from support.segment import State

PLUGIN = Path(__file__).parents[2] / "contrib/nagios/check_l2fwd_keepalive"

FIGURES = (r" \| cores_up=(\d+);;(\d+):;0;\2 tick_age=[\d.]+ms;;[\d.]+;0 deaths=(\d+)c "
           r"restarts=(\d+)c recoveries=(\d+)c late_ticks=(\d+)c")


@pytest.fixture
def check(agent):
    """Probe: (exit code, the one line), and that nothing stands on stderr."""
    def probe(*args, name=NAME, **options):
        probed = agent(["--check", "--shm-name", name, *args], **options)
        code = probed.wait_exit()
        assert probed.raw("stderr") == b"" and len(probed.lines()) == 1, probed.report()
        assert probed.raw().endswith(b"\n")
        return code, probed.lines()[0].text
    return probe


def median_time(agent, *args):
    """How long the median of ten probes took, in seconds, from its start to its end."""
    times = []
    for _ in range(10):
        probed = agent(["--check", "--shm-name", NAME, *args])
        probed.wait_exit()
        times.append(probed.ended_at - probed.started_at)
    return statistics.median(times)


def assert_quick(agent, build, *args):
    """Within 50 ms, where nobody takes its CPU. A build with sanitizers only has to end."""
    assert median_time(agent, *args) < (PATIENCE if build.sanitized else 0.05)


def test_well_is_0_beside_an_attached_agent_and_within_50_ms(forwarder, agent, check, build):
    """It takes nobody's place, needs to read only, and its figures are the segment's."""
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME, "--shm-mode", "0604"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a heartbeat")
    watcher = agent(["--shm-name", NAME])
    watcher.wait_line("^Watching")
    for options in ({}, {"user": 65534, "group": 65534}):
        code, line = check(**options)
        assert code == 0, line
        assert re.fullmatch(rf"OK: l2fwd-keepalive \(pid {fwd.pid}\): 1 of 1 cores up{FIGURES}",
                            line), line
    assert_quick(agent, build)
    assert segment.is_locked(1) and segment.snapshot().agent_pid == watcher.pid
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0


def test_a_core_that_hangs_is_1_until_it_is_back(forwarder, agent, check, hook, build):
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a heartbeat")
    hook.hold(1, Mode.SPIN)
    segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    code, line = check()
    said = re.match(r"CRITICAL: .*: core 1 dead for \d+ ms \(\w+\); 0 of 1 cores up" + FIGURES, line)
    assert code == 1 and said and said[3] == "1", line
    assert_quick(agent, build)
    hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    code, line = check()
    assert code == 0 and "deaths=1c restarts=0c recoveries=1c" in line
    assert fwd.terminate() == 0


def test_a_death_that_is_being_cured_is_0(forwarder, check):
    """Launched again, and not yet seen: for a period the core is DEAD, and all is done about it."""
    fwd = forwarder(["-p", "3", "-K", "400", "--shm-name", NAME, "--allow-faults",
                     "--fault", "1:exit@0.5"])
    fwd.segment().wait(lambda now: now.core[1].state == State.DEAD and
                       now.core[1].launched_ns >= now.core[1].died_ns, "a relaunch")
    code, line = check()
    assert (code, "1 of 1 cores up, 1 about to be back: core 1 died" in line) == (0, True), line
    # Its last heartbeat is two periods old already.
    code, line = check("--max-age", "700")
    assert code == 1 and "core 1 dead for" in line, line
    assert fwd.terminate() == 0


def test_a_core_that_is_given_up_is_1(forwarder, check):
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME, "--allow-faults",
                     "--max-restarts", "0/1", "--fault", "1:exit@0.1"])
    fwd.segment().wait(lambda now: now.core[1].given_up_ns != 0, "it to be given up")
    code, line = check()
    assert code == 1 and ": core 1 given up (exited); 0 of 1 cores up |" in line, line
    assert fwd.terminate() == 0


def test_nothing_to_watch_is_3(forwarder, agent, check, forge, build):
    """No segment, one whose owner was killed, one that may not be read, one that is none."""
    assert check() == (3, f"CRITICAL: {refusal_of_status(agent)}")
    assert_quick(agent, build)
    forwarder(["-p", "3", "--shm-name", NAME]).kill()
    code, line = check()
    assert code == 3 and line == f"CRITICAL: {refusal_of_status(agent)}" and "leftover" in line
    forge(name="/other").path.chmod(0o600)
    code, line = check(name="/other", user=65534, group=65534)
    assert code == 3 and line.startswith("UNKNOWN: segment /other: permission denied")
    Path("/dev/shm/ka-short").write_bytes(b"short")
    code, line = check(name="/ka-short")
    assert code == 3 and line.startswith("UNKNOWN: segment /ka-short is too short")


def refusal_of_status(agent):
    refused = agent(["--status", "--shm-name", NAME])
    assert refused.wait_exit() == 3
    return refused.lines()[0].text.removeprefix("ka-agent: ")


def test_a_monitor_that_stalls_is_4_and_is_told_at_once(forwarder, agent, check, build):
    """All of the forwarder stands still. The age of the last tick alone decides."""
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME])
    fwd.segment().wait(lambda now: now.core[1].state == State.ALIVE, "a heartbeat")
    fwd.freeze()
    beat_ns = fwd.segment().monitor().beat_ns
    wait_until(lambda: time.monotonic_ns() - beat_ns > 210e6, "a stall")
    code, line = check()
    said = re.match(r"CRITICAL: .*: monitor stalled: no tick for (\d+) ms \|", line)
    assert code == 4 and 210 <= int(said[1]), line
    assert_quick(agent, build)
    code, line = check("--max-age", "86400000")
    assert code == 0 and ";;86400000;0 " in line, line
    fwd.thaw()
    fwd.segment().wait(lambda now: now.monitor.beat_ns > beat_ns, "a tick")
    assert check("--max-age", "10000")[0] == 0
    assert check("--max-age", "0.0001")[0] == 4
    assert fwd.terminate() == 0


def test_a_writer_stopped_in_the_middle_of_a_change_delays_nobody(forge, agent, check, build):
    segment = forge()
    segment.layout.sequence |= 1
    assert check()[0] == 0
    assert_quick(agent, build)


def test_the_original_segment_is_judged_by_its_states(forge, check):
    original = forge(OriginalSegment)
    original.set(1, State.MISSING)
    assert check() == (0, "OK: l2fwd-keepalive: 1 of 1 cores up | cores_up=1;;1:;0;1")
    original.set(2, State.GONE)
    assert check() == (1, "CRITICAL: l2fwd-keepalive: core 2 dead; 1 of 2 cores up | "
                          "cores_up=1;;2:;0;2")


def test_an_answer_that_cannot_be_written_is_said(forge, agent):
    forge()
    with open("/dev/full", "w", encoding="ascii") as full:
        probed = agent(["--check", "--shm-name", NAME], stdout=full)
        assert probed.wait_exit() == 1
    complaint, = probed.lines()
    assert complaint.stream == "stderr" and "No space left" in complaint.text


def test_nagios_is_told_in_its_own_codes(forge, start, build):
    """contrib/nagios: 0 is OK, 2 CRITICAL, 3 UNKNOWN, and there is one line whatever is wrong."""
    def plugin(*args):
        path = f"{build.agent.parent}:{os.environ['PATH']}"
        run = start([PLUGIN, "-n", NAME, *args], env={"PATH": path})
        return run.wait_exit(), run.lines()[0].text, len(run.lines())

    code, line, nb_lines = plugin()
    assert (code, nb_lines) == (2, 1) and line.startswith("CRITICAL: no segment")
    segment = forge()
    assert plugin()[0] == 0
    segment.layout.core[1].state = State.GONE
    segment.layout.core[1].died_ns = segment.layout.core[1].launched_ns + 1
    assert plugin()[0] == 2
    code, line, nb_lines = plugin("--max-age", "0.001")
    assert code == 2 and "stalled" in line
    code, line, nb_lines = plugin("--max-age", "-1")
    assert (code, nb_lines) == (3, 1) and "--max-age -1" in line

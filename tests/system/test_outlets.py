# SPDX-License-Identifier: BSD-3-Clause
"""ka-agent's ways out beside text: --json, --exec, --syslog."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import jsonschema
import pytest

from support.deadline import wait_until
from support.forged import NAME, OriginalSegment
from support.segment import State

SCHEMA = json.loads((Path(__file__).parents[2] / "doc/ka-agent.schema.json").read_text())


@pytest.fixture
def hooked(tmp_path):
    """A program that notes how it was started; (program, function that reads its notes)."""
    notes = tmp_path / "notes"
    notes.touch()

    def make(rest=""):
        program = tmp_path / "hook"
        program.write_text(f'#!/bin/sh\necho "$*|$KA_EVENT $KA_LCORE $KA_CAUSE $KA_OUTAGE_MS'
                           f'|$KA_TIMES|$KA_SEGMENT" >>{notes}\n{rest}\n')
        program.chmod(0o755)
        return program, lambda: notes.read_text().splitlines()
    return make


def events(agent):
    """What it printed, checked against the schema."""
    found = [json.loads(line.text) for line in agent.lines(stream="stdout")]
    validator = jsonschema.Draft202012Validator(SCHEMA,
                                                format_checker=jsonschema.FormatChecker())
    for event in found:
        complaint = jsonschema.exceptions.best_match(validator.iter_errors(event))
        assert complaint is None, f"{event}: {complaint.message}"
    return found


def deaths(found):
    return sum(event["times"] for event in found if event["event"] == "core_dead")


def test_json_tells_each_death_once_and_how_it_ended(forwarder, agent):
    """Every line obeys the schema, and jq reads them."""
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.2", "--demo-fault", "mix",
                     "--on-hang", "respawn", "--seed", "3"])
    watcher = agent(["--json", "-v"], forwarder=fwd)
    watcher.wait_line('"core_recovered"', count=8)
    segment = fwd.segment()
    # Its demonstration may make it hang just then: the worker is taken out, and the status is 3.
    status = fwd.terminate()
    assert status == (3 if fwd.lines("hangs at the end") else 0), fwd.report()
    assert watcher.wait_exit() == 0
    found = events(watcher)
    names = [event["event"] for event in found]
    assert names[0] == "attached" and names[-1] == "monitor_stopped"
    assert watcher.lines(stream="stderr") == []
    earlier = sum(event["total"] for event in found if event["event"] == "deaths_before")
    assert deaths(found) == segment.monitor().deaths - earlier >= 8
    causes = {event["cause"] for event in found if event["event"] == "core_dead"}
    assert causes <= {"exited", "spinning", "blocked"} and len(causes) > 1, causes
    # It attaches and then says so: a death in between is older than its line.
    times = [event["time"] for event in found if event["event"] != "attached"]
    assert times == sorted(times)

    text = "\n".join(line.text for line in watcher.lines(stream="stdout"))
    read = subprocess.run(["jq", "-r", 'select(.event == "core_dead") | .lcore'], input=text,
                          capture_output=True, text=True, check=True)
    assert read.stdout.split() == ["1"] * (deaths(found))


def test_json_loses_no_death_that_the_ring_lost(forge, agent):
    segment = forge()
    watcher = agent(["--json", "-n", NAME])
    watcher.wait_line('"attached"')
    watcher.freeze()
    for _ in range(1000):
        segment.die()
    watcher.thaw()
    watcher.wait_line('"core_dead"', count=200)
    segment.stop()
    assert watcher.wait_exit() == 0
    found = events(watcher)
    assert deaths(found) == 1000
    assert found[-1]["event"] == "monitor_stopped"
    assert sum(event["events"] for event in found if event["event"] == "events_lost") > 0


def test_json_serves_the_original(forge, agent):
    original = forge(OriginalSegment)
    original.set(3, State.ALIVE)
    watcher = agent(["--json", "-n", NAME])
    watcher.wait_line('"attached"')
    original.set(3, State.DEAD)
    watcher.wait_line('"core_dead"')
    watcher.terminate()
    found = events(watcher)
    assert found[1]["lcore"] == 3 and found[1]["cause"] == "unknown" and "pid" not in found[1]


def test_exec_is_told_each_event_by_arguments_and_environment(forwarder, agent, hooked):
    program, notes = hooked()
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.5"])
    watcher = agent(["--exec", program, "--json", "-v"], forwarder=fwd)
    watcher.wait_line('"core_recovered"', count=2)
    fwd.terminate()
    assert watcher.wait_exit() == 0
    told = notes()
    assert len(told) == len(events(watcher))
    for line in told:
        arguments, environment, times, name = line.split("|")
        assert arguments == environment and name == fwd.shm_name
        assert times == ("1" if arguments.startswith("core_dead") else "-")
    assert any(re.fullmatch(r"core_dead 1 exited \d+\.\d{3}\|.*", line) for line in told)
    assert any(line.startswith("attached - - -|") for line in told)


def test_exec_goes_through_no_shell(forge, agent, hooked, tmp_path):
    """Not the command, and not the name of the segment."""
    program, notes = hooked()
    trap = tmp_path / "trap"
    name = f"/$(touch {trap})`touch {trap}`;touch {trap}".replace(str(trap), "trap")
    forge(name=name)
    watcher = agent(["-n", name, "--exec", program])
    wait_until(lambda: notes(), "the first event")
    assert notes()[0].endswith("|" + name)
    watcher.terminate()
    watcher = agent(["-n", name, "--exec", f"{program} ; touch {trap}"])
    watcher.wait_line("of 1 runs, 1 could not be started .No such file or directory",
                      stream="stderr")
    assert watcher.terminate() == 0
    assert not trap.exists() and not Path("trap").exists()


def test_exec_that_hangs_delays_no_report_and_is_bounded(forge, agent, hooked):
    """8 run, 64 wait, the rest is dropped and counted; at the end all are killed, children too."""
    program, notes = hooked("sleep 1000 & wait")
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", program])
    watcher.wait_line("^Watching")
    for count in range(1, 101):
        segment.die()
        watcher.wait_line("^1 dead cores: 1,", count=count)
    wait_until(lambda: len(notes()) == len(sleepers()) == 8, "8 that run")
    assert watcher.terminate() == 0
    watcher.wait_line(r"of 8 runs, 8 were killed, .*; 93 events were dropped", stream="stderr")
    assert len(notes()) == 8
    wait_until(lambda: sleepers() == [], "the end of their children")


def sleepers():
    return [path for path in Path("/proc").glob("[0-9]*/cmdline")
            if _read(path) == b"sleep\x001000\x00"]


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.once
def test_exec_is_killed_after_its_time(forge, agent, hooked):
    """Those that wait come next; what was dropped is said although there is no quiet moment."""
    program, notes = hooked("exec sleep 1000")
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", program])
    watcher.wait_line("^Watching")
    for _ in range(100):
        segment.die()
    wait_until(lambda: len(notes()) == 16, "the next eight", timeout=20)
    watcher.wait_line("; 29 events were dropped", stream="stderr", timeout=20)
    assert watcher.terminate() == 0
    assert sleepers() == []
    assert len(watcher.lines("were killed", stream="stderr")) <= 2


def test_exec_that_fails_each_time_is_told_once_and_summed_up(forge, agent, tmp_path):
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", tmp_path / "none"])
    watcher.wait_line("of 1 runs, 1 could not be started .No such file or directory",
                      stream="stderr")
    for count in range(1, 21):
        segment.die()
        watcher.wait_line("^1 dead cores: 1,", count=count)
    assert len(watcher.lines(stream="stderr")) == 1
    assert watcher.terminate() == 0
    assert watcher.lines(stream="stderr")[1].text.endswith(
        "of 20 runs, 20 could not be started (No such file or directory)")


def test_exec_runs_whatever_the_parent_ignored(forge, agent, hooked):
    """Who ignores SIGCHLD is not told of the end of a child."""
    program, notes = hooked()
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", program],
                    preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    watcher.wait_line("^Watching")
    for count in range(1, 21):
        segment.die()
        wait_until(lambda count=count: len(notes()) == count + 1, "the hook")
    assert watcher.terminate() == 0
    assert watcher.lines(stream="stderr") == []


@pytest.fixture
def open_path():
    """A folder where other users get to; tmp_path is pytest's own."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


def test_exec_that_may_not_be_killed_does_not_hold_up_the_end(forge, agent, open_path):
    """It has become another user's, as su and sudo do."""
    become = open_path / "become"
    shutil.copy(shutil.which("setpriv"), become)
    become.chmod(0o4755)
    program = open_path / "hook"
    program.write_text(f"#!/bin/sh\nexec {become} --reuid 0 --clear-groups sleep 1000\n")
    program.chmod(0o755)
    forge().path.chmod(0o666)
    watcher = agent(["-n", NAME, "--exec", program], user=65534)
    wait_until(lambda: len(sleepers()) == 1, "the hook")
    watcher.signal(signal.SIGTERM)
    watcher.wait_line("of 1 runs, 1 could not be killed and still run", stream="stderr")
    wait_until(lambda: not watcher.running, "the end", timeout=4)
    for path in sleepers():
        os.kill(int(path.parent.name), signal.SIGKILL)
    assert watcher.wait_exit() == 0


@pytest.mark.parametrize("rest, how", [("exit 7", "with exit status 7"),
                                       ("kill -TERM $$", "by signal 15")])
def test_exec_that_fails_is_told(forge, agent, hooked, rest, how):
    program, _ = hooked(rest)
    forge()
    watcher = agent(["-n", NAME, "--exec", program])
    watcher.wait_line(f"of 1 runs, 1 failed, the last one {how}", stream="stderr")
    assert watcher.terminate() == 0


def test_exec_finishes_what_waits_when_the_forwarder_ends(forge, agent, hooked):
    """The last event is the one that operators wait for."""
    program, notes = hooked("sleep 0.05")
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", program])
    watcher.wait_line("^Watching")
    for _ in range(40):
        segment.die()
    segment.stop()
    assert watcher.wait_exit() == 0
    # They run beside each other: whose note comes first is not said.
    assert len(notes()) == 42 and sum(line.startswith("monitor_stopped") for line in notes()) == 1
    assert watcher.lines(stream="stderr") == []


def test_exec_starts_with_clean_signals_and_files(forge, agent, tmp_path):
    """Nothing blocked or ignored, and no descriptor of the segment to hold its locks by."""
    out = tmp_path / "state"
    program = tmp_path / "hook"
    # The shell reads its own status itself: while it waits for a program it blocks signals.
    program.write_text("#!/bin/sh\nwhile read -r line; do case $line in Sig*) echo \"$line\";; esac; "
                       f"done </proc/$$/status >{out}.new\n"
                       f"ls -l /proc/$$/fd >>{out}.new\nmv {out}.new {out}\n")
    program.chmod(0o755)
    forge()
    watcher = agent(["-n", NAME, "--exec", program])
    wait_until(out.exists, "the hook")
    state = out.read_text()
    # 32 and 33 are the C library's own.
    signals = [int(bits, 16) & ~(3 << 31) for bits in re.findall(r"Sig(?:Blk|Ign):\s+(\w+)", state)]
    assert signals == [0, 0], state
    assert "/dev/shm" not in state, state
    assert watcher.terminate() == 0


# The agent's /dev is its own here, with what it needs and nothing else.
PRIVATE_DEV = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/shm"
mount --bind /dev/shm "$1/shm"
touch "$1/null"
mount --bind /dev/null "$1/null"
ln -s "$2" "$1/log"
mount --rbind "$1" /dev
shift 2
exec "$@"
"""


def test_syslog_has_a_line_for_each_event_with_collectds_severity(forge, start, build, tmp_path):
    dev = tmp_path / "dev"
    dev.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(10)
        segment = forge()
        watcher = start(["unshare", "--mount", "sh", "-c", PRIVATE_DEV, "sh", dev,
                         tmp_path / "log", build.agent, "-n", NAME, "--syslog"])
        watcher.wait_line("^Watching")
        segment.die()
        watcher.wait_line("^1 dead cores: 1,")
        segment.stop()
        assert watcher.wait_exit() == 0
        lines = [log.recv(8192).decode() for _ in range(3)]
    found = [re.fullmatch(r"<(\d+)>.* ka-agent\[\d+\]: (.*)", line) for line in lines]
    assert [(int(line[1]), line[2]) for line in found] == [
        (24 + 5, f"Watching {NAME}: forged 1.2.3, pid {os.getpid()}, 1 core, ping every 60000 ms."),
        (24 + 3, "core 1 died: cause not known, silent for 0.0 ms"),
        (24 + 5, f"forged (pid {os.getpid()}) has stopped.")]
    # Text is no other than without it.
    assert len(watcher.lines(stream="stdout")) == 3


def test_a_log_that_nobody_reads_delays_nothing(forge, start, build, tmp_path):
    """Not a death and not the end. What did not get through is counted, there and on stderr."""
    deaths, later = 1100, 1100  # 1024 lines wait, and as many as the socket holds.
    dev = tmp_path / "dev"
    dev.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        log.settimeout(10)
        segment = forge()
        watcher = start(["unshare", "--mount", "sh", "-c", PRIVATE_DEV, "sh", dev,
                         tmp_path / "log", build.agent, "-n", NAME, "--syslog", "--json"])
        watcher.wait_line('"attached"')
        die_often(segment, watcher, deaths)
        watcher.wait_line("--syslog: the system's log takes no lines", stream="stderr")
        told = [log.recv(8192).decode() for _ in range(1025)]
        assert "Watching" in told[0] and all("core 1 died" in line for line in told[1:])
        die_often(segment, watcher, later, deaths)
        while (gap := re.search(r"<28>.*: --syslog: (\d+) lines lost", told[-1])) is None:
            told.append(log.recv(8192).decode())
        # The last one may come to the log when there is room again: behind the gap.
        assert len(told) - 2 + int(gap[1]) >= deaths - 1
        assert watcher.terminate(timeout=4) == 0
    assert len(watcher.lines("takes no lines", stream="stderr")) == 2
    watcher.wait_line(r"--syslog: \d\d+ lines lost", stream="stderr")


def die_often(segment, watcher, deaths, before=0):
    """Not faster than the ring can tell."""
    for count in range(before + 50, before + deaths + 1, 50):
        for _ in range(50):
            segment.die()
        watcher.wait_line('"core_dead"', count=count)


@pytest.mark.parametrize("option", [["--json"], ["--syslog"], ["--exec", "true"]])
@pytest.mark.parametrize("view", ["--status", "--top", "--check"])
def test_who_only_looks_tells_nobody(agent, option, view):
    looker = agent([view, *option])
    assert looker.wait_exit() == 2
    looker.wait_line(f"{view} only looks and does not watch: leave out {option[0]};",
                     stream="stderr")


def test_exec_of_nothing_is_refused(agent):
    looker = agent(["--exec", ""])
    assert looker.wait_exit() == 2
    looker.wait_line("--exec is empty", stream="stderr")


def test_a_signal_ends_the_wait_for_hooks(forge, agent, hooked):
    program, notes = hooked("sleep 1000")
    segment = forge()
    watcher = agent(["-n", NAME, "--exec", program])
    wait_until(lambda: len(notes()) == 1, "the first one")
    segment.stop()
    watcher.wait_line("has stopped")
    wait_until(lambda: len(notes()) == 2, "the last one")
    assert watcher.running
    watcher.signal(signal.SIGTERM)
    assert watcher.wait_exit() == 0

# SPDX-License-Identifier: BSD-3-Clause
"""ka-agent --status and --top: what a person sees of a forwarder, and of its end."""

import random
import re
import signal
import termios
import time

import pytest

from support.deadline import PATIENCE, wait_until
from support.forged import NAME, OriginalSegment
from support.hook import Mode
from support.segment import SIZE, State
from support.terminal import Terminal

STEADY = ["-p", "3", "-K", "100", "--shm-name", NAME]

ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"

TEXT = ("ports", "state", "last cause")


@pytest.fixture
def terminal(_running, tmp_path):
    def make(**size):
        made = Terminal(tmp_path / "tmux", **size)
        _running.append(made)
        return made
    return make


def parse(lines):
    """The table as {first cell: {title: cell}}, by the places of its titles."""
    at = next(at for at, line in enumerate(lines) if line.startswith("core "))
    titles = [(found[0], found.start(), found.end())
              for found in re.finditer(r"last cause|\S+", lines[at])]
    rows = {}
    for line in lines[at + 1:]:
        if not re.match(r" *(\d+|all) ", line):
            break
        cells = {}
        for number, (title, begin, end) in enumerate(titles):
            if title in TEXT:
                # Up to the next column; the figure behind the last one may begin before its title.
                behind = titles[number + 1][1] if title != TEXT[-1] else begin + 11
                cells[title] = line[begin:behind].strip()
            else:
                cells[title] = line[:end].rsplit(" ", 1)[1] if line[end - 1] != " " else ""
        rows[cells["core"]] = cells
    return rows


def status_of(agent, name=NAME, args=("--status",)):
    """One look: the lines and the table."""
    looked = agent([*args, "--shm-name", name])
    assert looked.wait_exit() == 0 and looked.raw("stderr") == b"", looked.report()
    lines = [line.text for line in looked.lines()]
    return lines, parse(lines)


def only_complaint(agent):
    lines = agent.lines()
    assert len(lines) == 1 and lines[0].stream == "stderr", agent.report()
    return lines[0].text


# ---- Once ----


def test_status_is_what_segment_and_statistics_say(forwarder, agent):
    """Ports, deaths, restarts and outages are those of the segment, the turns of the loop those of
    the statistics, and frames move."""
    fwd = forwarder(["-p", "f", "-K", "5", "--demo-lifetime", "0.3", "--seed", "5", "-T", "1",
                     "--shm-name", NAME], lcores="0@0,1@1,2@0",
                    vdevs=[f"net_null{port}" for port in range(4)])
    segment = fwd.segment()
    segment.wait(lambda now: min(core.deaths for core in now.watched().values()) >= 2 and all(
        now.load[lcore].frames_per_s > 0 for lcore in now.watched()), "deaths and a load")
    before = segment.snapshot()
    lines, rows = status_of(agent)
    after = segment.snapshot()

    head = re.fullmatch(rf"l2fwd-keepalive \d+\.\d+\.\d+, pid {fwd.pid}, up 0:00:(\d\d), ping "
                        r"every 5 ms, last tick (\d+\.\d) ms ago", lines[0])
    assert head and float(head[2]) < 200, lines[0]
    assert max(map(len, lines)) <= 120, lines
    assert list(rows) == ["1", "2", "all"]
    for lcore, ports in (("1", "0,1"), ("2", "2,3")):
        row = rows[lcore]
        then, now = before.core[int(lcore)], after.core[int(lcore)]
        load = after.load[int(lcore)]
        assert row["ports"] == ports == ",".join(map(str, load.port[:load.nb_ports])), row
        assert row["state"] in State.__members__ and row["last cause"] == "exited"
        assert then.deaths <= int(row["deaths"]) <= now.deaths, row
        assert then.restarts <= int(row["restarts"]) <= now.restarts, row
        assert row["recoveries"] == "0"
        assert 5 < float(row["last"]) <= float(row["longest"]), row
        assert float(row["longest"]) <= now.longest_outage_ns / 1e6 + 0.1, (row, now)
        assert 0 < float(row["p50"]) <= float(row["p99"]) <= float(row["max"]), row
        assert 0 < float(row["busy%"]) <= 100 and float(row["Mpps"]) > 0, row
        assert int(row["late"]) <= load.late
    total = rows["all"]
    assert before.monitor.deaths <= int(total["deaths"]) <= after.monitor.deaths
    assert int(total["deaths"]) == int(rows["1"]["deaths"]) + int(rows["2"]["deaths"])
    assert float(total["Mpps"]) == pytest.approx(
        float(rows["1"]["Mpps"]) + float(rows["2"]["Mpps"]), abs=0.002)

    # The statistics of the end come after it: nothing in them may be less.
    assert fwd.terminate() == 0
    for lcore in ("1", "2"):
        said = fwd.lines(rf"^Loop {lcore}: p50 (\S+) us, p99 (\S+) us, longest (\S+) us, "
                         r"late (\d+), busy (\d+) %")[-1].match
        assert float(said[3]) >= float(rows[lcore]["max"]) - 0.1, (said[0], rows[lcore])
        assert int(said[4]) >= int(rows[lcore]["late"])
        assert 0 < float(said[1]) <= float(said[2]) <= float(said[3])


@pytest.mark.once
def test_late_turns_are_counted_from_late_us_on(forwarder, agent):
    """Of a loop that is late by --late-us every turn is counted, and with 0 none."""
    for late_us in ("0.001", "0"):
        fwd = forwarder([*STEADY, "--late-us", late_us])
        segment = fwd.segment()
        first = segment.wait(lambda now: sum(now.load[1].turns) > 1000, "a load").load[1]
        then = segment.wait(lambda now: now.load[1].looked_ns > first.looked_ns, "the next").load[1]
        assert first.late_ns == int(float(late_us) * 1000)
        if late_us == "0":
            assert then.late == 0
        else:
            # The worker goes on while its counters are read, the late turns first; it may be
            # between the two counters itself.
            assert first.late - 1 <= sum(first.turns) <= then.late + 1
        assert (status_of(agent)[1]["1"]["late"] == "0") == (late_us == "0")
        assert fwd.terminate() == 0


def test_status_takes_nobodys_place_and_needs_only_to_read(forwarder, agent, hook):
    """It looks beside an attached agent, leaves no lock, takes no death away, and a user who may
    only read can look."""
    fwd = forwarder([*STEADY, "--shm-mode", "0604"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a heartbeat")
    status_of(agent)
    assert not segment.is_locked(1)
    watcher = agent(["--shm-name", NAME])
    watcher.wait_line("^Watching")
    reader = agent(["--status", "--shm-name", NAME], user=65534, group=65534)
    assert reader.wait_exit() == 0 and "ALIVE" in reader.text(), reader.report()
    status_of(agent)
    assert segment.is_locked(1) and segment.snapshot().agent_pid == watcher.pid
    hook.hold(1, Mode.SLEEP)
    segment.wait(lambda now: now.monitor.deaths == 1, "a death")
    status_of(agent)
    watcher.wait_line("^1 dead cores: 1,$")
    assert segment.snapshot().agent_pid == watcher.pid
    hook.release(1)
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0


@pytest.mark.parametrize("view", ["--status", "--top"])
def test_without_a_living_owner_it_refuses_as_watching_does(forwarder, agent, view):
    """No segment, and one whose owner was killed: the line of the watching agent, exit 3. --top
    does so, too, where it has no terminal."""
    def refusals():
        for args in ([view], []):
            refused = agent([*args, "--shm-name", NAME])
            assert refused.wait_exit() == 3, refused.report()
            yield only_complaint(refused)
    looking, watching = refusals()
    assert looking == watching and f"no segment {NAME}" in looking
    forwarder(STEADY).kill()
    looking, watching = refusals()
    assert looking == watching and "leftover" in looking


def test_a_stalled_monitor_is_said_and_exits_4(forwarder, agent):
    """All of a frozen forwarder stands still: the head line says since when, the rate is none."""
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME])
    fwd.segment().wait(lambda now: now.load[1].frames_per_s > 0, "a load")
    fwd.freeze()
    beat_ns = fwd.segment().monitor().beat_ns
    wait_until(lambda: time.monotonic_ns() - beat_ns > 300_000_000, "a stall")
    stalled = agent(["--status", "--shm-name", NAME])
    assert stalled.wait_exit() == 4 and stalled.raw("stderr") == b""
    head = stalled.lines()[0].text
    silent = re.search(r"STALLED: no tick for (\d+) ms$", head)
    assert silent and int(silent[1]) >= 300, head
    assert parse([line.text for line in stalled.lines()])["1"]["Mpps"] == "-"
    fwd.thaw()
    segment = fwd.segment()
    segment.wait(lambda now: now.monitor.beat_ns > beat_ns, "a tick")
    status_of(agent)
    assert fwd.terminate() == 0


def test_output_that_cannot_be_written_is_an_error(forge, agent):
    forge()
    with open("/dev/full", "w", encoding="ascii") as full:
        refused = agent(["--status", "--shm-name", NAME], stdout=full)
        assert refused.wait_exit() == 1
    assert "No space left" in only_complaint(refused)


def test_the_original_segment_shows_its_states(forge, agent):
    """And what it does not have is a dash."""
    original = forge(OriginalSegment)
    original.set(1, State.ALIVE)
    original.set(2, State.DEAD)
    lines, rows = status_of(agent)
    assert lines[0] == f"the original l2fwd-keepalive of DPDK at {NAME}"
    assert [rows[lcore]["state"] for lcore in ("1", "2")] == ["ALIVE", "DEAD"] and len(rows) == 2
    assert rows["1"]["deaths"] == rows["1"]["Mpps"] == "-"
    assert original.credit() == 1, "the credit was taken"


@pytest.mark.parametrize("seed", range(3))
def test_garbage_behind_a_right_header_does_no_harm(forge, agent, seed):
    """Whatever the records hold, it ends by itself and says nothing but printable text."""
    segment = forge()
    start = type(segment.layout).sequence.offset
    segment.layout.identity.program = b"\x1b[31m" + b"\xff" * 27
    segment.bytes[start:] = (random.Random(seed).randbytes(SIZE - start) if seed else
                             b"\xff" * (SIZE - start))
    segment.layout.sequence |= 1
    looked = agent(["--status", "--shm-name", NAME])
    assert looked.wait_exit() in (0, 4), looked.report()
    assert re.fullmatch(rb"[ -~\n]+", looked.raw("stdout"))
    assert len(parse([line.text for line in looked.lines()])) >= 100


# ---- On a terminal ----


def test_top_without_a_terminal_is_status(forge, agent):
    """On a pipe, and on a terminal that understands no more than lines."""
    forge()
    lines, _ = status_of(agent, args=("--top",))
    assert "\x1b" not in "".join(lines) and lines[0].startswith("forged 1.2.3, pid ")
    for kind in ("dumb", ""):
        dumb = agent(["--top", "--shm-name", NAME], stdout="pty", env={"TERM": kind})
        assert dumb.wait_exit() == 0 and b"\x1b" not in dumb.raw("pty"), dumb.report()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back(forge, agent, number):
    """The first screen, the cursor, and the modes of the line as they were; exit 0."""
    forge()
    top = agent(["--top", "--shm-name", NAME], stdout="pty", env={"TERM": "xterm"})
    wait_until(lambda: b"ALIVE" in top.raw("pty"), "the table")
    during = termios.tcgetattr(top._terminal[0])
    assert not during[0] & termios.IXON and not during[3] & (termios.ICANON | termios.ECHO)
    top.signal(number)
    assert top.wait_exit() == 0 and top.raw("stderr") == b""
    assert top.raw("pty").startswith(ENTER) and top.raw("pty").endswith(LEAVE)
    # Never a cleared screen: that is what flickers.
    assert b"\x1b[2J" not in top.raw("pty")
    after = termios.tcgetattr(top._terminal[0])
    assert after[0] & termios.IXON and after[3] & termios.ICANON


def test_a_window_that_changes_is_drawn_at_once(forge, agent):
    """Not only with the next refresh: 20 changes take less than 20 of those."""
    forge()
    top = agent(["--top", "--shm-name", NAME], stdout="pty", env={"TERM": "xterm"})

    def frames():
        return top.raw("pty").count(b"\x1b[H")
    wait_until(lambda: frames() >= 1, "the table")
    began = time.monotonic()
    for _ in range(20):
        before = frames()
        top.signal(signal.SIGWINCH)
        wait_until(lambda: frames() > before, "another frame")
    assert time.monotonic() - began < 10
    assert top.terminate() == 0


def test_a_terminal_that_takes_nothing_does_not_keep_it(forge, agent):
    """Nobody reads what it draws: it obeys all the same."""
    segment = forge()
    for lcore in range(1, 120):
        segment.layout.core[lcore].launched_ns = 1
    top = agent(["--top", "--shm-name", NAME], stdout="pty", env={"TERM": "xterm"})
    wait_until(lambda: b"ALIVE" in top.raw("pty"), "the table")
    top.pause_reading()
    bit = 1 << (signal.SIGWINCH - 1)

    def is_pending():
        with open(f"/proc/{top.pid}/status", encoding="ascii") as status:
            return int(re.search(r"^ShdPnd:\s+(\w+)", status.read(), re.M)[1], 16) & bit
    for _ in range(100):  # 4 KB each: more than a terminal holds.
        top.signal(signal.SIGWINCH)
        wait_until(lambda: not is_pending(), "the end of a signal")
    assert top.running and sum(cpu for _, cpu in top.threads().values()) < 1
    top.signal(signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    wait_until(lambda: not top.running, "the end", end - time.monotonic())
    assert top.wait_exit() == 0


def test_top_shows_refreshes_explains_and_gives_the_screen_back(forwarder, terminal, build):
    """In a terminal as a person has it: the table comes, its figures move, ? explains, q ends with
    0 and the shell's screen is there again with its cursor."""
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.3", "--shm-name", NAME])
    fwd.segment().wait(lambda now: now.load[1].frames_per_s > 0, "a load")
    screen = terminal()
    assert screen.state() == (False, True)
    screen.command(f"{build.agent} --top -n {NAME}; echo exit $?")
    lines = screen.wait(lambda lines: any(line.startswith(" all ") for line in lines), "a table")
    assert screen.state() == (True, False)
    assert f"pid {fwd.pid}," in lines[0] and lines[-1] == "q end, ? help", lines
    first = parse(lines)["1"]
    assert first["ports"] == "0,1" and float(first["Mpps"]) > 0, first
    screen.wait(lambda lines: int(parse(lines)["1"]["deaths"]) >= int(first["deaths"]) + 2,
                "two more deaths")
    screen.keys("?")
    screen.wait_line(r"any key goes back")
    assert not any("pid" in line for line in screen.lines()), screen.lines()
    screen.keys("Up")
    lines = screen.wait(lambda lines: "pid" in lines[0], "the table again")
    assert sum("q end" in line for line in lines) == 1, lines
    screen.keys("x", "q")
    lines = screen.wait(lambda lines: "exit 0" in lines, "the end")
    assert screen.state() == (False, True) and any("--top -n" in line for line in lines), lines
    # The line is edited and echoed again.
    screen.command("echo as it was")
    screen.wait_line("^as it was$")
    assert fwd.terminate() == 0


def test_top_says_the_end_of_one_and_shows_the_next(forwarder, terminal, build):
    """Killed, stopped, stalled: the head line says which, the last table stays; the next instance
    is found by itself. It also waits for the first one."""
    screen = terminal(columns=150)
    screen.command(f"{build.agent} --top -n {NAME}; echo exit $?")
    screen.wait_line(f"^waiting for l2fwd-keepalive at {NAME}$")
    for end, words in ((signal.SIGKILL, "has died"), (signal.SIGTERM, "has stopped")):
        fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME])
        screen.wait_line(rf"pid {fwd.pid}, up .* ms ago$")
        fwd.freeze()
        screen.wait_line(rf"pid {fwd.pid}, .* STALLED: no tick for \d+ ms$")
        fwd.thaw()
        screen.wait_line(rf"pid {fwd.pid}, .* ms ago$")
        fwd.signal(end)
        lines = screen.wait(lambda lines: words in lines[0], words)
        assert lines[0] == (f"l2fwd-keepalive (pid {fwd.pid}) {words}; waiting for the next one at "
                            f"{NAME}")
        assert parse(lines)["1"]["ports"] == "0,1" and parse(lines)["1"]["Mpps"] == "-"
        fwd.wait_exit()
    screen.keys("C-c")
    screen.wait_line("^exit 0$")
    assert screen.state() == (False, True)


def test_top_fits_into_any_window(forge, terminal, build):
    """Lines are cut, none wraps; what a window grows by is filled."""
    segment = forge()
    segment.layout.core[2].launched_ns = 1
    screen = terminal(columns=130, rows=12)
    screen.command(f"{build.agent} --top -n {NAME}; echo exit $?")
    whole = screen.wait(lambda lines: lines[-1] == "q end, ? help", "all of it")
    screen.resize(40, 5)
    lines = screen.wait(lambda lines: len(lines) == 5 and lines[3].startswith("core") and
                        lines[4].startswith("   1"), "the cut table")
    assert lines[3] == whole[3][:40].rstrip() and lines[4] == whole[4][:40].rstrip()
    screen.resize(116, 1)
    screen.wait(lambda lines: len(lines) == 1 and lines[0].startswith("forged"), "one line")
    screen.resize(130, 12)
    screen.wait(lambda lines: len(lines) == len(whole) and lines[2:] == whole[2:], "all of it")
    screen.keys("q")
    screen.wait_line("^exit 0$")


def test_top_can_be_stopped_and_continued(forge, terminal, build):
    """Ctrl-Z gives the shell its screen, fg takes it again."""
    forge()
    screen = terminal()
    screen.command(f"{build.agent} --top -n {NAME}")
    screen.wait_line("^q end")
    screen.keys("C-z")
    screen.wait_line("(?i)stopped")
    screen.wait(lambda _: screen.state() == (False, True), "the shell's screen")
    screen.command("echo by the shell")
    screen.wait_line("^by the shell$")
    screen.command("fg")
    screen.wait_line("^q end")
    screen.wait(lambda _: screen.state() == (True, False), "top's screen")
    screen.keys("?")
    screen.wait_line("any key goes back")
    screen.keys("q")
    screen.wait_line("^q end")
    screen.keys("q")
    screen.wait_line("^by the shell$")
    screen.command("echo exit $?")
    screen.wait_line("^exit 0$")
    assert screen.state() == (False, True)

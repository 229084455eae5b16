# SPDX-License-Identifier: BSD-3-Clause
"""Rows W9 and O12, and what is printed: words that people and scripts look for."""

import os

import pytest

from support.deadline import wait_until
from support.hook import Mode
from support.programs import lcore_map
from support.segment import State, objects
from support.tables import last_table, tables

# Many deaths and so many lines: at 1 ms, and lives of 10 ms at most.
MANY_DEATHS = ["-p", "3", "-K", "1", "--demo-lifetime", "0.01", "--seed", "1"]

CTRL_S, CTRL_Q = b"\x13", b"\x11"

LOST = r"^L2FWD: (\d+) lines lost while output was blocked$"


def lines_told_lost(fwd):
    return sum(int(line.match[1]) for line in fwd.lines(LOST))


def check_supervision_goes_on(fwd, segment, watcher, blocked):
    """Output is blocked and lines are lost: deaths and restarts must still be counted by all."""
    then = segment.wait(lambda now: now.monitor.lost_lines > 0, "lost lines", timeout=60).monitor
    said = fwd.lines(stream=blocked)
    now = segment.wait(lambda now: now.monitor.deaths >= then.deaths + 20
                       and now.monitor.restarts >= then.restarts + 20
                       and now.monitor.lost_lines > then.lost_lines, "20 more deaths", timeout=60)
    wait_until(lambda: len(watcher.deaths() + watcher.earlier_deaths()) >= now.monitor.deaths,
               "the agent to report them")
    assert fwd.lines(stream=blocked) == said, f"{blocked} is not blocked"


TERMINAL = {"stdout": "pty", "stderr": "pty"}


@pytest.mark.parametrize("blocked, outputs, keys", [
    ("stdout", {"stdout": "blocked"}, None),
    ("stderr", {"stderr": "blocked"}, None),
    ("stdout", TERMINAL, None),
    ("stdout", TERMINAL, (CTRL_S, CTRL_Q)),
], ids=["stdout", "stderr", "terminal_unread", "terminal_stopped"])
def test_w9_blocked_output_stops_no_supervision(forwarder, agent, hook, blocked, outputs, keys):
    """A full pipe or Ctrl-S stops the original's pings; they must go on and lost lines counted."""
    hook.shrink_pipes()  # So that they fill within seconds.
    fwd = forwarder(MANY_DEATHS, hook=hook, started=False, lcores=lcore_map(3), **outputs)
    if keys is not None:
        fwd.type(keys[0])
    elif outputs is TERMINAL:
        fwd.pause_reading()
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    check_supervision_goes_on(fwd, segment, watcher, blocked)

    if keys is not None:
        fwd.type(keys[1])
    fwd.resume_reading()
    fwd.wait_line(LOST, stream=blocked)
    wait_until(lambda: lines_told_lost(fwd) == segment.monitor().lost_lines,
               "every lost line to be accounted for")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    end = segment.monitor()
    assert len(watcher.deaths() + watcher.earlier_deaths()) == end.deaths
    if blocked == "stderr":
        assert len(fwd.deaths()) == end.deaths
    else:
        assert len(fwd.deaths()) < end.deaths <= len(fwd.deaths()) + lines_told_lost(fwd)


def test_w9_blocked_output_does_not_hold_up_the_end(forwarder, agent, hook):
    """Nobody ever reads: SIGTERM must end it all the same, in good order."""
    hook.shrink_pipes()
    fwd = forwarder([*MANY_DEATHS, "-T", "1"], hook=hook, started=False, lcores=lcore_map(3),
                    stdout="blocked", stderr="blocked")
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    check_supervision_goes_on(fwd, segment, watcher, blocked=None)
    assert fwd.terminate(timeout=8) == 0
    assert watcher.wait_exit() == 0 and objects() == []


@pytest.mark.parametrize("broken", ["stdout", "stderr", "both"])
def test_w9_reader_that_goes_away_takes_nobody_along(forwarder, broken):
    """`l2fwd-keepalive | head` must go on watching, and count the lines that nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    outputs = {name: write_end for name in ("stdout", "stderr") if broken in (name, "both")}
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.1", "--seed", "1"],
                    started=False, **outputs)
    os.close(write_end)
    segment = fwd.segment()
    now = segment.wait(lambda now: now.monitor.restarts >= 5 and now.monitor.lost_lines >= 5,
                       "restarts and lost lines")
    assert now.monitor.deaths >= 5
    assert fwd.terminate() == 0 and objects() == []


def test_o12_a_terminal_is_redrawn_and_nothing_else_is(forwarder):
    """The original writes screen-clearing codes into files; only a terminal must get them."""
    terminal = forwarder(["-p", "3", "-K", "50", "-T", "1"], stdout="pty")
    pipe = forwarder(["-p", "3", "-K", "50", "-T", "1"])
    for fwd in (terminal, pipe):
        wait_until(lambda fwd=fwd: len(tables(fwd)) >= 2, "two tables")
        assert fwd.terminate() == 0
    # The last one is not: it would wipe away the lines of the end.
    assert terminal.raw("pty").count(b"\033[H\033[J") == len(tables(terminal)) - 1
    assert b"\033" not in pipe.raw("stdout") + pipe.raw("stderr") + terminal.raw("stderr")


def test_words_that_scripts_look_for_are_the_originals(forwarder, agent, hook):
    """Lines of the original are kept word for word, and the numbers in them add up."""
    fwd = forwarder(["-p", "7", "-K", "10", "-T", "1"], hook=hook,
                    vdevs=[f"net_null{port}" for port in range(3)])
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.SPIN)
    watcher.wait_line(r"^1 dead cores: 1,$")
    hook.release(1)
    wait_until(lambda: len(tables(fwd)) >= 2, "two tables")
    assert fwd.terminate() == 0

    for words in (r"^L2FWD: entering main loop on lcore 1$",
                  r"^L2FWD:  -- lcoreid=1 portid=0$",
                  r"^L2FWD:  -- lcoreid=1 portid=2$",
                  r"^EAL: Core MIA\. Last seen \d+ms ago\.$",
                  r"^EAL: Core died\. Last seen \d+ms ago\.$"):
        assert fwd.lines(words, stream="stderr"), words
    for words in (r"^Notice: odd number of ports in portmask\.$",
                  r"^Dead core 1 - spinning, cannot be restarted\.\.$",
                  r"^Port statistics ====================================$",
                  r"^Statistics for port 0 ------------------------------$",
                  r"^Packets sent: +\d+$", r"^Packets received: +\d+$", r"^Packets dropped: +\d+$",
                  r"^Aggregate statistics ===============================$",
                  r"^Total packets sent: +\d+$", r"^Total packets received: +\d+$",
                  r"^Total packets dropped: +\d+$"):
        assert fwd.lines(words, stream="stdout"), words
    end = last_table(fwd)
    ports = [end[port] for port in range(3)]
    assert end["total"].received == sum(port.received for port in ports) > 0
    assert end["total"].sent == sum(port.sent for port in ports)
    # The TX buffers were flushed at the end. The odd port is its own partner.
    for rx, tx in ((0, 1), (1, 0), (2, 2)):
        assert ports[tx].sent + ports[tx].dropped == ports[rx].received, end
    deaths = int(fwd.lines(r"^Total deaths: (\d+)$")[-1].match[1])
    assert deaths == segment.monitor().deaths == len(fwd.deaths())

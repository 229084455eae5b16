# SPDX-License-Identifier: BSD-3-Clause
"""What ka-agent makes of a segment whose owner is about to go, or has gone, in unusual ways."""

import pytest

from support.forged import NAME, OriginalSegment
from support.segment import MAX_LCORES, State, Status
from support.terminal import Terminal


@pytest.fixture
def terminal(_running, tmp_path):
    made = Terminal(tmp_path / "tmux", columns=130)
    _running.append(made)
    return made


def test_one_that_says_goodbye_is_not_watched(forge, agent):
    """Its name is still there, and its lock; nothing will come of it any more."""
    forge().layout.monitor.status = Status.STOPPED
    late = agent(["--shm-name", NAME])
    assert late.wait_exit() == 3
    complaint, = late.lines()
    assert complaint.stream == "stderr" and NAME in complaint.text


def test_a_death_that_was_not_posted_is_told_before_the_end(forge, agent):
    """The agent looks once more before it says that the forwarder has ended."""
    segment = forge()
    watcher = agent(["--shm-name", NAME])
    watcher.wait_line("^Watching")
    segment.die(post=False)
    segment.layout.monitor.status = Status.STOPPED
    assert watcher.wait_exit() == 0
    died, stopped = [line.text for line in watcher.lines(stream="stdout")][1:]
    assert died == "1 dead cores: 1," and stopped.endswith("has stopped."), watcher.report()


def test_a_change_that_is_never_done_is_waited_for_once(forge, agent):
    """The writer was killed in the middle of it: each of many cores must not wait anew."""
    segment = forge()
    for core in segment.layout.core:
        core.launched_ns = 1
    segment.layout.sequence |= 1
    looked = agent(["--status", "--shm-name", NAME])
    assert looked.wait_exit() == 0
    assert len(looked.lines(r"^ *\d+ ")) == MAX_LCORES
    # 20 ms for each would be 2.6 s.
    assert looked.ended_at - looked.started_at < 1.5


def test_top_says_that_the_original_is_gone(forge, terminal, build):
    """The original leaves no word: its name is all that tells."""
    segment = forge(OriginalSegment)
    segment.set(1, State.ALIVE)
    terminal.command(f"{build.agent} --top -n {NAME}; echo exit $?")
    terminal.wait_line(f"^the original l2fwd-keepalive of DPDK at {NAME}$")
    segment.path.unlink()
    terminal.wait_line(f"has stopped; waiting for the next one at {NAME}$")
    terminal.keys("q")
    terminal.wait_line("^exit 0$")


def test_credit_of_the_original_from_before_wakes_nobody(forge, agent):
    """The original counts no deaths, so that a wake-up is all there is to tell of one: those from
    before are not the agent's."""
    segment = forge(OriginalSegment)
    segment.set(1, State.DEAD)
    segment.set(1, State.ALIVE)
    assert segment.credit() == 1
    watcher = agent(["--shm-name", NAME])
    watcher.wait_line("^Watching")
    segment.set(1, State.DEAD)
    watcher.wait_line("^1 dead cores: 1,$")
    assert len(watcher.lines()) == 2 and watcher.deaths() == [1], watcher.report()

# SPDX-License-Identifier: BSD-3-Clause
"""The exercises of doc/tutorial.md print what they show: each is done, with its fault sooner."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest


# A sanitized build would show the same once more.
pytestmark = pytest.mark.once

PAGE = Path(__file__).resolve().parents[2] / "doc/tutorial.md"

# What differs from one day or machine to the next: numbers, and where a kernel lets a thread sleep.
VARIES = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?| in hrtimer_nanosleep\b")
NUMBER = r"(?:0x[0-9a-f]+|\d+(?:\.\d+)?)"


class Run:
    """One command of an exercise and what is shown of it."""

    def __init__(self, given, command, shown):
        text = "\n".join(shown)
        status = re.search(r"^\$ echo \$\?\n(\d+)$", text, re.M)
        self.status = None if status is None else int(status[1])
        text = text if status is None else text[:status.start()]
        before, interrupt, after = text.partition("^C\n")
        self.interrupted = interrupt != ""
        self.before, self.after = before.splitlines(), after.splitlines()
        # What the shell makes of it, with the variables that are given once.
        self.argv = subprocess.run(["bash", "-c", f"{given}printf '%s\\n' {command}"], text=True,
                                   capture_output=True, check=True).stdout.splitlines()


def exercises():
    """A forwarder and its agent, of each exercise."""
    text = re.search(r"^## Exercises$(.*?)^## ", PAGE.read_text(), re.M | re.S)[1]
    given = "".join(re.findall(r"^    (\w+=.*\n)", text, re.M))
    for title, body in re.findall(r"^### ([^\n]*)\n(.*?)(?=^### |\Z)", text, re.M | re.S):
        shown = re.findall(r"^ {4}(.*)$", body, re.M)
        starts = [at for at, line in enumerate(shown) if line.startswith("$ sudo ")]
        runs = [Run(given, shown[at].removeprefix("$ sudo "), shown[at + 1:end])
                for at, end in zip(starts, [*starts[1:], len(shown)])]
        for number, (forwarder, agent) in enumerate(zip(runs[::2], runs[1::2])):
            yield pytest.param(forwarder, agent, id=title + " again" * number)


def pattern(line):
    """A line that is shown, with other numbers. A build is called by another path here."""
    line = line.removeprefix("./build/")
    result, end = "", 0
    for varies in VARIES.finditer(line):
        result += re.escape(line[end:varies.start()])
        result += NUMBER if varies[0][0].isdigit() else r"(?: in \w+)?"
        end = varies.end()
    # Later libcs have a space in the lines of a stack.
    return (result + re.escape(line[end:])).replace(r"\)\[", r"\) ?\[") + "$"


def expect(process, shown):
    """Each line, as often as it is shown. Which comes first is left open: two threads print them."""
    lines = [line for line in shown if line != "..."]
    for line in set(lines):
        process.wait_line(pattern(line), count=lines.count(line))


def sooner(word):
    """A fault after 0.3 s instead of five."""
    return re.sub(r"(?<=[a-z\d])@\d(?=,|$)", "@0.3", word)


def test_the_exercises_are_found():
    """All of them, or those that follow test nothing."""
    assert len(list(exercises())) == 11
    assert all(run.before for case in exercises() for run in case.values)


@pytest.mark.parametrize("shown, told", list(exercises()))
def test_an_exercise_prints_what_it_shows(forwarder, agent, shown, told):
    """Lines of both programs, exit statuses, and deaths only where they are shown."""
    cpus = sorted(os.sched_getaffinity(0))
    divider = shown.argv.index("--")
    eal, own = shown.argv[1:divider], shown.argv[divider + 1:]
    fwd = forwarder([sooner(word) for word in own], file_prefix=None,
                    lcores=re.sub(r"@(\d)", lambda cpu: f"@{cpus[int(cpu[1]) % len(cpus)]}",
                                  eal[eal.index("--lcores") + 1]),
                    vdevs=[word.removeprefix("--vdev=") for word in eal if "--vdev=" in word])
    watcher = agent(told.argv[1:])
    expect(fwd, shown.before)
    if shown.interrupted:
        fwd.signal(signal.SIGINT)
    if shown.status is not None:
        status = fwd.wait_exit()
        assert (status if status >= 0 else 128 - status) == shown.status
        expect(fwd, shown.after)
    expect(watcher, told.before)
    if told.status is not None:
        assert watcher.wait_exit() == told.status
    dead = any("dead cores" in line for line in told.before)
    assert (watcher.lines("dead cores") != []) == dead, watcher.report()

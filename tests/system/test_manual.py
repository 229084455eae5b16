# SPDX-License-Identifier: BSD-3-Clause
"""Every option stands in --help, manual page, completion and README, and nothing else does."""

import dataclasses
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.deadline import PATIENCE
from support.terminal import PROMPT, Terminal

# Words, not memory.
pytestmark = pytest.mark.once

TOP = Path(__file__).resolve().parents[2]
COMPLETIONS = TOP / "contrib/completion"

# An option as people read it: "-K, --check-period MS", "--takeover".
OPTION = r"(?:-(?P<letter>\w), )?--(?P<name>[a-z][a-z-]*)(?: (?P<value>\S.*))?"


@dataclasses.dataclass(frozen=True)
class Program:
    """Where the options of a program are told of, and a pattern for a row of its own table."""

    name: str
    source: str
    row: str
    section: str

    def __str__(self):
        return self.name


PROGRAMS = [
    Program("l2fwd-keepalive", "options.c",
            r"""\{ "(?P<name>[\w-]+)", (?:'(?P<letter>\w)'|0), OPTIONS_\w+, \w+,\s+"""
            r"""(?:NULL|(?P<value>"))""",
            "Options of l2fwd-keepalive"),
    Program("ka-agent", "ka-agent/options.c",
            r"""\{ "(?P<name>[\w-]+)", (?:no|(?P<value>required))_argument, NULL, """
            r"""(?:'(?P<letter>\w)'|\w+)""",
            "ka-agent"),
]
both = pytest.mark.parametrize("program", PROGRAMS, ids=str)


def options(matches):
    """{"-K, --check-period VALUE", ...} of matches that have a letter, a name and a value."""
    return {(f"-{match['letter']}, " if match["letter"] else "") + f"--{match['name']}" +
            (" VALUE" if match["value"] else "") for match in matches}


def entries(text, pattern):
    """{name: all that is said of it} of a text in which a line of `pattern` begins an entry."""
    found = list(re.finditer(pattern, text, re.M))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match["name"]: text[match.start():end] for match, end in zip(found, ends)}


# ---- The places ----

HELP = r"^  (?:-(?P<letter>\w), |    )--(?P<name>[\w-]+)(?: (?P<value>\S+))?(?=  |$)"
MANUAL = r"^\.It (?:Fl (?P<letter>\w) , )?Fl -(?P<name>[\w-]+)(?: Ar (?P<value>.+))?$"


def help_of(build, program):
    return subprocess.run([build.directory / program.name, "--help"], env=build.environment(),
                          capture_output=True, text=True, check=True).stdout


def manual_of(program):
    return (TOP / f"doc/{program.name}.8").read_text()


def section_of(program):
    """A chapter of README."""
    text = (TOP / "README.md").read_text()
    return re.search(rf"^## {program.section}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


def rows_of(program):
    """[(match of an option, its row)] of the tables of options there."""
    rows = re.findall(r"^\| (`-(?:\\\||[^|])*) (\|.*)$", section_of(program), re.M)
    return [(match, said) for cell, said in rows
            for span in re.findall(r"`([^`]+)`", cell) if (match := re.fullmatch(OPTION, span))]


@both
def test_the_options_of_help_are_those_of_the_code(build, program):
    """What is not told of cannot be used; what is told of and not there is a complaint."""
    source = (TOP / program.source).read_text()
    assert options(re.finditer(HELP, help_of(build, program), re.M)) == options(
        re.finditer(program.row, source))


@both
def test_the_options_of_the_manual_page_are_those_of_help(build, program):
    """Names, letters, and whether there is a value."""
    assert options(re.finditer(MANUAL, manual_of(program), re.M)) == options(
        re.finditer(HELP, help_of(build, program), re.M))


@both
def test_the_options_of_readme_are_those_of_help(build, program):
    """The same of the tables there."""
    told = options(match for match, _ in rows_of(program))
    assert told == options(re.finditer(HELP, help_of(build, program), re.M))


@both
def test_numbers_of_defaults_are_the_same_everywhere(build, program):
    """A default that is a number, in --help, is one in the manual page and in README."""
    manual = entries(manual_of(program), MANUAL)
    rows = {match["name"]: said for match, said in rows_of(program)}
    for name, said in entries(help_of(build, program), HELP).items():
        default = re.search(r"\(default: (\d+(?:/\d+)?)\b", said)
        if default is None:
            continue
        number = rf"(?<![\w./]){re.escape(default[1])}(?![\w/]|\.\d)"
        assert re.search(rf"\bdefault is\s+{number}", manual[name]), name
        assert re.search(number, rows[name]), name


def test_the_exit_statuses_of_the_agent_are_the_same_everywhere(build):
    """In --help, in the manual page and in README."""
    program = PROGRAMS[1]
    codes = re.findall(r"^  (\d)  ", help_of(build, program), re.M)
    assert codes == re.findall(r"^\| (\d) \|", section_of(program), re.M)
    assert codes == re.findall(r"^\.It (\d)$", manual_of(program), re.M)


@both
def test_the_manual_page_is_well_formed(program):
    """To both programs that show it. Whether the other page is installed is not its fault."""
    page = TOP / f"doc/{program.name}.8"
    said = subprocess.run(["mandoc", "-T", "lint", "-W", "style", page], capture_output=True,
                          text=True).stdout
    assert [line for line in said.splitlines() if "referenced manual not found" not in line] == []
    # Plain text: later groffs mark titles, too.
    made = subprocess.run(["groff", "-ww", "-mdoc", "-Tutf8", "-P-cbu", page], capture_output=True,
                          text=True)
    assert (made.returncode, made.stderr) == (0, "")
    assert f"{program.name.upper()}(8)" in made.stdout


# ---- Completion ----

COMPLETE = r"""
source /usr/share/bash-completion/bash_completion
source "$1"
COMP_LINE=$2 COMP_POINT=${#2} COMP_TYPE=9
# In the words that readline makes of it.
mapfile -t COMP_WORDS < <(sed 's/[=:]/ & /g' <<<"$2" | grep -o '[^ ]\+')
[[ $2 != *[=:\ ] ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
how=$(complete -p "${COMP_WORDS[0]}")
how=${how#*-F }
compopt() { :; }
"${how%% *}" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def complete(build):
    """complete("ka-agent --sta") -> what bash would offer there."""
    def answer(line):
        program = line.split()[0]
        env = build.environment(extra={"PATH": f"{build.directory}:{os.environ['PATH']}"})
        done = subprocess.run(["bash", "--norc", "-c", COMPLETE, "bash", COMPLETIONS / program, line],
                              env=env, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.split()
    return answer


@both
def test_the_options_of_the_completion_are_those_of_help(build, complete, program):
    """All of them, and nothing but them."""
    divider = "" if program.name == "ka-agent" else "-- "
    names = [f"--{name}" for name in entries(help_of(build, program), HELP)]
    assert sorted(complete(f"{program.name} {divider}-")) == sorted(names)
    assert complete(f"{program.name} {divider}--vers") == ["--version"]


def test_before_the_divider_the_completion_offers_what_eal_knows(start, complete):
    """By EAL's own usage, as a program of DPDK's shows it; newer ones do not when they refuse."""
    usage = start(["dpdk-testpmd", "--help"])
    assert usage.wait_exit() == 0
    offered = complete("l2fwd-keepalive -")
    assert {"--", "--lcores", "--vdev", "--file-prefix"} <= set(offered)
    # --version is answered by the forwarder itself.
    for name in set(offered) - {"--", "--version"}:
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", usage.text()), name


@pytest.mark.parametrize("line, offered", [
    ("l2fwd-keepalive -- --on-hang re", ["report", "respawn"]),
    ("l2fwd-keepalive -- --on-hang=a", ["abort"]),
    ("l2fwd-keepalive -- --demo-fault ", ["exit", "spin", "block", "mix"]),
    ("l2fwd-keepalive -- --shm-group roo", ["root"]),
    ("l2fwd-keepalive -- --fault 1:s", ["spin", "slow:", "segv"]),
    ("l2fwd-keepalive -- --fault 1:spin@3,2:no", ["nostart"]),
    ("l2fwd-keepalive -- --fault 1", []),
    ("l2fwd-keepalive -- --seed ", []),
    ("l2fwd-keepalive --iova-mode p", ["pa"]),
    ("l2fwd-keepalive --vdev=net_nu", ["net_null0"]),
])
def test_words_that_a_value_may_be_are_offered(complete, line, offered):
    assert complete(line) == offered


def test_names_of_segments_that_are_there_are_offered(forwarder, complete):
    """By --shm-name and by --file-prefix."""
    forwarder(["-p", "3"], file_prefix="forty2")
    assert complete("ka-agent --shm-name /dpdk_") == ["/dpdk_keepalive_shm_name.forty2"]
    assert complete("ka-agent -f f") == ["forty2"]


def test_bash_finds_the_completion_where_it_is_installed(build, tmp_path):
    """By the key itself: bash-completion loads it by the program's name."""
    (tmp_path / "bash-completion").mkdir()
    (tmp_path / "bash-completion/completions").symlink_to(COMPLETIONS)
    terminal = Terminal(tmp_path / "tmux")
    try:
        terminal.command(f"PATH={build.directory}:$PATH XDG_DATA_DIRS={tmp_path} "
                         f"PS1='{PROMPT}' bash --norc")
        terminal.command(f". /usr/share/bash-completion/bash_completion; PS1='bash-{PROMPT}'")
        terminal.wait_line(f"^bash-{PROMPT} *$")
        terminal.keys("ka-agent --sta", "Tab")
        terminal.wait_line("ka-agent --status")
    finally:
        terminal.close()

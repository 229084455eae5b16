# SPDX-License-Identifier: BSD-3-Clause
"""scripts/demo.sh: what a newcomer runs first."""

import os
import re
import signal
from pathlib import Path

import pytest

from support.network import run
from support.segment import objects

pytestmark = pytest.mark.once

DEMO = Path(__file__).resolve().parents[2] / "scripts/demo.sh"


@pytest.fixture
def demo(start, build):
    def start_demo(seconds=2, directory=None, **env):
        env = {"DEMO_BUILD": str(directory or build.directory), "DEMO_SECONDS": str(seconds),
               "DEMO_LIFETIME": "0.5", **env}
        return start([DEMO], env=env)
    return start_demo


def figure(demo, what):
    return float(demo.wait_line(rf"^demo +\| {what} +([\d.]+)").match[1])


def leftovers():
    """Interfaces, namespaces, segments and programs of a demonstration that are still there."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    return (re.findall(r"\bkad\w+", run("ip", "-br", "link").stdout), os.listdir("/run/netns"),
            objects(), os.listdir("/run/dpdk"), [line for line in commands if b"kademo" in line])


NOTHING = ([], [], [], [], [])


@pytest.mark.parametrize("huge", ["0", "1"])
def test_every_death_is_shown_and_reported_twice_in_a_row(demo, huge):
    if huge == "1" and "HugePages_Free:        0" in Path("/proc/meminfo").read_text():
        pytest.skip("no huge page is free")
    for _ in range(2):
        shown = demo(DEMO_HUGE=huge)
        assert shown.wait_exit(60) == 0, shown.report()
        assert figure(shown, "pings sent") == 100
        assert 0 < figure(shown, "pings received") <= 100
        assert figure(shown, "deaths") == figure(shown, "agent reported") > 0
        assert figure(shown, "deaths") == len(shown.lines(r"^forwarder \| Dead core 1"))
        assert len(shown.lines(r"^agent +\| 1 dead cores: 1,")) > 0
        assert figure(shown, "longest outage") > 0
        assert leftovers() == NOTHING


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_leaves_nothing_behind(demo, number):
    shown = demo(seconds=60)
    shown.wait_line("pinging from", 30)
    os.killpg(shown.pid, number)  # As a terminal does at Ctrl-C.
    assert shown.wait_exit() == 128 + number
    assert leftovers() == NOTHING


def wrapper(directory, build, **program):
    """A build directory in which one program is a script of ours."""
    for name in ("l2fwd-keepalive", "ka-agent"):
        (directory / name).symlink_to(build.directory / name)
    for name, script in program.items():
        path = directory / name.replace("_", "-")
        path.unlink()
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    return directory


def test_a_death_that_goes_unreported_fails_the_demonstration(demo, build, tmp_path):
    told = "dead cores|before this agent came"
    deaf = wrapper(tmp_path, build,
                   ka_agent=f"{build.agent} \"$@\" | grep --line-buffered -vE '{told}'")
    shown = demo(directory=deaf)
    assert shown.wait_exit(60) == 1
    assert shown.lines(r"FAILED: \d+ deaths, but the agent reported 0")
    assert leftovers() == NOTHING


def test_pings_that_never_cross_fail_the_demonstration(demo, build, tmp_path):
    reflecting = '--portmap "(0,0)(1,1)"'
    lost = wrapper(tmp_path, build,
                   l2fwd_keepalive=f"exec {build.forwarder} \"$@\" {reflecting}")
    shown = demo(directory=lost, seconds=1, DEMO_PATIENCE="2")
    assert shown.wait_exit(60) == 1
    assert shown.lines("FAILED: no ping crossed")
    assert leftovers() == NOTHING


def test_a_forwarder_that_does_not_start_fails_the_demonstration(demo, build, tmp_path):
    broken = wrapper(tmp_path, build, l2fwd_keepalive="echo no memory >&2; exit 1")
    shown = demo(directory=broken)
    assert shown.wait_exit(60) == 1
    assert shown.lines(r"^forwarder \| no memory") and shown.lines("FAILED: the forwarder ended")
    assert leftovers() == NOTHING

# SPDX-License-Identifier: BSD-3-Clause
"""What systemd is told, through a NOTIFY_SOCKET of our own; and its units."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support import attempt
from support.deadline import holds_for, wait_until
from support.hook import Mode
from support.programs import lcore_map
from support.segment import State

WATCHDOG_S = 0.6

# As long as a core may be silent that was declared dead (health.h), and some.
STARVED_NS = 2_200_000_000

# Wants CPU argv[1] whole, until its input ends.
GLUTTON = """
import os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[1])})
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    pass
"""

UNITS = ["l2fwd-keepalive.service", "ka-agent.service"]


class Manager:
    """The end of a NOTIFY_SOCKET that a service manager has: [(time, text)] of what it is told."""

    def __init__(self, path, reads=True):
        self.path = path
        self.told = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._read, daemon=True)
        if reads:
            self._thread.start()

    def _read(self):
        while True:
            text = self._socket.recv(4096).decode()
            if text == "END":
                return
            self.told.append((time.monotonic(), text))

    def environment(self, watchdog_s=WATCHDOG_S):
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(round(watchdog_s * 1e6))}

    def times(self, text):
        return [at for at, what in self.told if what == text]

    def count(self, text):
        return len(self.times(text))

    def status(self):
        """The last one."""
        return next((what for _, what in reversed(self.told) if what.startswith("STATUS=")), "")

    def close(self):
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mine:
                mine.sendto(b"END", str(self.path))
            self._thread.join(10)
        self._socket.close()


@pytest.fixture
def manager(_running, tmp_path, build):
    if "HAVE_SYSTEMD" not in (build.directory / "compile_commands.json").read_text():
        pytest.skip("built without libsystemd")

    def make(**options):
        made = Manager(tmp_path / "notify", **options)
        _running.append(made)
        return made
    return make


def wait_watchdogs(manager, more):
    """Wait until the watchdog was renewed so often from now on."""
    now = manager.count("WATCHDOG=1")
    wait_until(lambda: manager.count("WATCHDOG=1") >= now + more, f"{more} renewals")


def assert_watchdog_is_lost(manager):
    """No renewal for three times what a manager would wait; what was on its way may come first."""
    wait_until(lambda: time.monotonic() - manager.times("WATCHDOG=1")[-1] > WATCHDOG_S,
               "the end of the renewals")
    last = manager.count("WATCHDOG=1")
    holds_for(lambda: manager.count("WATCHDOG=1") == last, "no renewal", 2 * WATCHDOG_S)


def test_systemd_is_told_from_the_start_to_the_end(forwarder, manager):
    told = manager()
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.5"], env=told.environment())
    wait_until(lambda: told.count("READY=1") == 1, "READY")
    wait_watchdogs(told, 5)
    wait_until(lambda: re.search(r"[1-9]\d* deaths", told.status()), "a status with deaths")
    found = re.fullmatch(r"STATUS=1 of 1 cores well, (\d+) deaths, (\d+) restarts, 0 recoveries, "
                         r"longest outage (\d+\.\d) ms, (\d+\.\d) Mpps", told.status())
    assert found, told.status()
    assert 0 < int(found[1]) <= fwd.segment().monitor().deaths
    assert float(found[3]) > 0
    assert fwd.terminate() == 0
    texts = [text for _, text in told.told]
    assert texts[0] == "READY=1" and texts[-1] == "STOPPING=1"
    assert texts.count("READY=1") == texts.count("STOPPING=1") == 1


def test_systemd_is_told_without_keepalive(forwarder, manager):
    told = manager()
    fwd = forwarder(["-p", "3", "-K", "0"], env=told.environment())
    wait_watchdogs(told, 3)
    wait_until(lambda: re.fullmatch(r"STATUS=keepalive is off, \d+\.\d Mpps", told.status()),
               "a status")
    assert fwd.terminate() == 0


@pytest.mark.once
def test_w16_a_hung_main_lcore_loses_its_watchdog(forwarder, manager):
    """W16: nobody watches the original's main lcore. It has the watchdog again when it goes on."""
    told = manager()
    forwarder(["-p", "3", "-K", "5", "--allow-faults", "--fault", "1:monitor-stall:3000@1"],
              env=told.environment())
    wait_watchdogs(told, 1)
    assert_watchdog_is_lost(told)
    wait_watchdogs(told, 2)


@pytest.mark.once
@pytest.mark.parametrize("args", [[], ["--on-hang", "respawn", "--max-restarts", "0/1"]],
                         ids=["watched", "given up"])
def test_a_core_that_stays_down_costs_the_watchdog(forwarder, manager, args):
    told = manager()
    forwarder(["-p", "3", "-K", "5", *args, "--allow-faults", "--fault", "1:spin@1"],
              env=told.environment())
    wait_watchdogs(told, 1)
    assert_watchdog_is_lost(told)
    wait_until(lambda: "STATUS=0 of 1 cores well, 1 deaths" in told.status(), "the status")


def test_a_core_whose_ports_others_have_is_not_missed(forwarder, manager):
    told = manager()
    fwd = forwarder(["-p", "3", "-K", "5", "--max-restarts", "0/1", "--takeover", "--allow-faults",
                     "--fault", "1:exit@0"], lcores=lcore_map(3), env=told.environment())
    fwd.wait_line("goes from core 1 to core 2")
    wait_watchdogs(told, 5)
    wait_until(lambda: "STATUS=2 of 2" in told.status(), "the status")


def set_share(pid, nice):
    """Its part of a CPU, among its own session and, where sessions share CPUs, as a session."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(task), nice)
    autogroup = Path(f"/proc/{pid}/autogroup")
    if autogroup.exists():
        autogroup.write_text(str(nice))


@contextlib.contextmanager
def least_share(pid):
    """It has the smallest part there is. Not when it is to end: another busy program may be there."""
    set_share(pid, 19)
    try:
        yield
    finally:
        set_share(pid, 0)


@pytest.fixture
def glutton(start):
    """(a process) on the CPU of lcore 1; a program of low share gets a turn in many seconds there.

    One of real-time priority would leave a turn every second to the others: the kernel sees to it.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("takes two CPUs")
    attempt.takes(cpus[1])
    theirs, ours = os.pipe()
    process = start([sys.executable, "-c", GLUTTON, str(cpus[1])], stdin=theirs)
    os.close(theirs)
    yield process
    os.close(ours)
    process.wait_exit()


@pytest.mark.once
def test_a_core_that_the_host_starves_does_not_cost_the_watchdog(forwarder, manager, glutton):
    """Another process would fare no better."""
    told = manager()
    fwd = forwarder(["-p", "3", "-K", "5"], env=told.environment())
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    set_share(glutton.pid, -20)

    def starved():
        return time.monotonic_ns() - segment.core(1).last_seen_ns > STARVED_NS
    with least_share(fwd.pid):
        wait_until(starved, "a core that is starved for long")
        before = told.count("WATCHDOG=1")
        wait_until(lambda: told.count("WATCHDOG=1") > before, "a renewal", 3 * WATCHDOG_S)
        assert starved() and segment.core(1).state == State.MISSING
        assert segment.monitor().deaths == 0


def test_a_manager_that_does_not_read_delays_no_ping(forwarder, hook, manager):
    """Its socket is full: the thread that tells is stuck, and nobody else."""
    told = manager(reads=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mine:
        mine.connect(str(told.path))
        mine.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                mine.send(b"x")
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook, env=told.environment())
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    before = segment.monitor().ticks
    segment.wait(lambda now: now.monitor.ticks >= before + 300, "300 pings")
    hook.hold(worker, Mode.SPIN)
    segment.wait(lambda now: now.core[worker].deaths == 1, "the death")
    hook.release(worker)
    assert fwd.terminate() == 0


# ---- Units ----

@pytest.fixture
def units(build, tmp_path):
    """The units, with the programs where they are."""
    directory = tmp_path / "units"
    directory.mkdir()
    for unit in UNITS:
        text = (build.directory / "contrib/systemd" / unit).read_text()
        text = re.sub(r"(?m)^ExecStart=\S+/(\S+)", rf"ExecStart={build.directory}/\1", text)
        (directory / unit).write_text(text)
    return directory


def analyze(*args):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    done = subprocess.run(["systemd-analyze", *args], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.once
def test_systemd_finds_nothing_wrong_with_the_units(units):
    code, said = analyze("verify", "--man=no", *(units / unit for unit in UNITS))
    ours = [line for line in said.splitlines() if "keepalive" in line or "ka-agent" in line]
    assert code == 0 and ours == [], said


@pytest.mark.once
@pytest.mark.parametrize("unit, most", [("l2fwd-keepalive.service", 50), ("ka-agent.service", 25)])
def test_the_units_leave_little_open(units, unit, most):
    """By systemd's own count, in tenths: 100 is all open."""
    code, said = analyze("security", "--offline=true", f"--threshold={most}", units / unit)
    assert code == 0, said


def test_no_demonstration_runs_as_a_service():
    unit = Path(__file__).parents[2] / "contrib/systemd/l2fwd-keepalive.service.in"
    assert "-- --demo-lifetime 0 $OPTIONS" in unit.read_text()


def capabilities(unit):
    text = (Path(__file__).parents[2] / f"contrib/systemd/{unit}.in").read_text()
    return re.search(r"(?m)^CapabilityBoundingSet=(.*)$", text)[1].split()


def test_units_have_the_capabilities_that_security_names():
    page = (Path(__file__).parents[2] / "doc/security.md").read_text()
    named = set(re.findall(r"CAP_\w+", re.search(r"(?s)## Capabilities(.*?)\n## ", page)[1]))
    assert set(capabilities("l2fwd-keepalive.service")) == named
    assert capabilities("ka-agent.service") == []

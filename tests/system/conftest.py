# SPDX-License-Identifier: BSD-3-Clause
"""System tests: the real programs on real frames. Run by `tests/system/run.sh BUILD_DIR [-k NAME]`.

run.sh gives them a /dev/shm, a network, a runtime folder and process ids of their own. A test asks
for what it needs by the name of a fixture; whatever a fixture made is ended and checked after the
test, and the output of every program is shown when the test fails.

    forwarder(args, vdevs=[...], lcores="0@0,1@1", eal=[...], hook=hook, ...) -> Forwarder
        Starts l2fwd-keepalive and waits until its workers run (started=False: does not wait).
        Two net_null ports, two lcores, a --file-prefix of its own (file_prefix=None: none), and
        `--demo-lifetime 0 -T 0` unless args say otherwise (quiet=False: exactly args);
        memory=[...]: other options of EAL's for memory than the tests' own.
    agent(args) -> Agent
        Starts ka-agent; agent(forwarder=fwd) for the segment of a forwarder, and waits until it
        is attached (attached=False: does not wait).
    forge(...) -> ForgedSegment
        A segment that the test writes itself; forge(OriginalSegment): as DPDK's example makes it.
    start(argv, ...) -> Process
        Any other program.
    hook -> Hook
        Makes lcores spin, sleep, lose heartbeats or stall on demand (preload/keepalive_hook.c).
    preload(name) -> Path
        preload/NAME.c as a library: forwarder(..., preload=[preload("start_failures")]).
    tap_path, veth_path -> Path
        Two namespaces with the forwarder between: vdevs=tap_path.vdevs, then tap_path.attach().
    build -> Build
        The binaries, and build.sanitized (then slow: times are not to be judged).

    def test_w18_hung_worker_does_not_stop_the_end(forwarder, hook):
        fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
        segment = fwd.segment()
        hook.hold(fwd.worker_of(port=0), Mode.SPIN)
        segment.wait(lambda now: now.monitor.deaths == 1, "the death")
        assert fwd.terminate(timeout=5) == 0
        assert objects() == []

A Process (support/process.py) has wait_line(regex), lines(regex), wait_exit(), terminate(), kill(),
freeze(), thaw(), signal(), pause_reading(), resume_reading(), type(), threads(), raw(); outputs can
be pipes, blocked pipes or a terminal: stdout="pipe" | "blocked" | "pty". A Segment
(support/segment.py) has snapshot(), wait(), events(), credit(), legacy_state(). A condition is
waited for with wait_until(predicate, what, timeout); there are no sleeps in tests.

A test that fails while the machine had no CPU (support/attempt.py says what shows that) is begun
anew, twice at most, and is reported with the reason. The run fails where that happens to more than
one test, and to more than 1 % of them.

Timestamps of lines and of the segment are of one clock: time.monotonic() and CLOCK_MONOTONIC.
A program that does not obey SIGTERM after the test, and any report of a sanitizer, is an error.
KA_TEST_HUGE=1 takes huge pages. A test marked `once` does not run in a sanitized build, unless
KA_TEST_ALL=1. Programs can be started as another user: start(..., user=65534).
"""

import collections
import functools
import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from support import attempt
from support import hook as hook_module
from support.build import Build
from support.forged import NAME, ForgedSegment
from support.network import TapPath, VethPath
from support.process import Process
from support.programs import Agent, Forwarder
from support.segment import SHM

_number = itertools.count(1)
_made = pytest.StashKey[list]()

# How often a test is tried.
ATTEMPTS = 3
# What the machine lacked during an attempt that failed.
_disturbed = pytest.StashKey[list]()
# {test: how many of its attempts were begun anew}
_begun_anew = collections.Counter()


def pytest_configure(config):
    # It empties folders that are others' elsewhere.
    if not Path(os.environ.get("KA_TEST_WORLD", "/nowhere")).is_mount():
        pytest.exit("start me as tests/system/run.sh BUILD_DIR [pytest arguments]", 2)
    # Programs inherit what nohup and a shell's & ignore.
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL),
                            (signal.SIGINT, signal.default_int_handler),
                            (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_modifyitems(config, items):
    """Tests marked `once` are left out of a sanitized build: it would take as long as the other."""
    if os.environ.get("KA_TEST_ALL") == "1" or not Build(os.environ["KA_TEST_WORLD"]).sanitized:
        return
    again = [item for item in items if item.get_closest_marker("once") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in again])
    items[:] = again


def pytest_sessionstart():
    attempt.start_witnesses()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the programs said in the report of a test that failed, and what it lacked."""
    report = (yield).get_result()
    if not report.failed:
        return
    processes = [made for made in item.stash.get(_made, []) if isinstance(made, Process)]
    for process in processes:
        report.sections.append((process.name, process.report()))
    if report.when == "call":
        item.stash[_disturbed] = attempt.disturbances()
        for disturbance in item.stash[_disturbed]:
            report.sections.append(("disturbed", disturbance))


def _try(item, nextitem):
    """One attempt: its reports, and why it is to be begun anew if it is."""
    attempt.begin()
    item.stash[_made] = []
    item.stash[_disturbed] = []
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    in_order = all(report.passed for report in reports if report.when != "call")
    return reports, item.stash[_disturbed] if in_order else []


def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempts_left in reversed(range(ATTEMPTS)):
        reports, disturbed = _try(item, nextitem)
        if not disturbed:
            break
        reason = "; ".join(disturbed)
        # Into the file of --junitxml, too.
        item.user_properties.append(("begun anew" if attempts_left else "disturbed", reason))
        if attempts_left:
            _begun_anew[item.nodeid] += 1
            _tell_begun_anew(item, reports[1], reason)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _tell_begun_anew(item, report, reason):
    """At once, with all that the failed attempt shows: a run may not come to its end."""
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    terminal.ensure_newline()
    terminal.line(f"BEGUN ANEW {item.nodeid}: {reason}")
    terminal.line(report.longreprtext)
    for title, text in report.sections:
        terminal.section(title, "-")
        terminal.line(text)


def _too_many_begun_anew(tests):
    return len(_begun_anew) > max(1, tests // 100)


def pytest_sessionfinish(session):
    attempt.end_witnesses()
    if session.exitstatus == pytest.ExitCode.OK and _too_many_begun_anew(session.testscollected):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for test, times in _begun_anew.items():
        terminalreporter.line(f"BEGUN ANEW {times} x: {test}")
    if _too_many_begun_anew(terminalreporter._session.testscollected):
        terminalreporter.line(f"FAILED: {len(_begun_anew)} tests were begun anew, more than 1 %")


@pytest.fixture(scope="session")
def build():
    return Build(os.environ["KA_TEST_WORLD"])


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preload")
    return functools.cache(lambda name: hook_module.build(folder, name))


def _empty(directory):
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture
def _running(request):
    """What this test made and must be closed, last one first; then complaints are raised."""
    made = request.node.stash.setdefault(_made, [])
    yield made
    complaints = [text for thing in reversed(made) for text in thing.close() or []]
    # What killed programs left, and EAL's runtime folders, which stay even after a clean end:
    # nothing may leak into the next test.
    _empty(SHM)
    _empty(Path("/run/dpdk"))
    assert complaints == [], "\n".join(complaints)


@pytest.fixture
def forge(_running):
    def make(kind=ForgedSegment, name=NAME, **options):
        segment = kind(name, **options)
        _running.append(segment)
        return segment
    return make


@pytest.fixture
def start(_running, build):
    def start_program(argv, *, kind=Process, preload=(), env=None, **process):
        started = kind(argv, env=build.environment(preload, env), report_dir=build.reports,
                       **process)
        _running.append(started)
        return started
    return start_program


@pytest.fixture
def forwarder(start, build):
    def start_forwarder(args=(), *, started=True, hook=None, preload=(), env=None, file_prefix="",
                        **options):
        if file_prefix == "":
            file_prefix = f"t{os.getpid()}-{next(_number)}"
        if hook is not None:
            preload = [hook.library, *preload]
            env = {"KA_HOOK": str(hook.path), **(env or {})}
        fwd = start(args, preload=preload, env=env, file_prefix=file_prefix,
                    kind=lambda argv, **rest: Forwarder(build, argv, **rest), **options)
        return fwd.wait_started() if started else fwd
    return start_forwarder


@pytest.fixture
def agent(start, build):
    def start_agent(args=(), *, forwarder=None, attached=True, **options):
        if forwarder is not None:
            args = ["--shm-name", forwarder.shm_name, *args]
        started = start(args, kind=lambda argv, **rest: Agent(build, argv, **rest), **options)
        if forwarder is not None and attached:
            started.wait_line('^Watching |"attached"')
        return started
    return start_agent


@pytest.fixture
def hook(_running, preload, tmp_path):
    control = hook_module.Hook(preload("keepalive_hook"), tmp_path / "hook")
    yield control
    control.release_all()  # Before the forwarder is told to end.
    control.close()


@pytest.fixture
def tap_path(_running):
    path = TapPath(next(_number))
    _running.append(path)
    return path


@pytest.fixture
def veth_path(_running):
    path = VethPath(next(_number))
    _running.append(path)
    return path

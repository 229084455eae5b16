# SPDX-License-Identifier: BSD-3-Clause
"""Rows A1 to A9 of the list of defects: ka-agent beside real forwarders and forged segments."""

import collections
import errno
import itertools
import os
import random
import re
import signal
import socket
import time

import pytest

from support.deadline import wait_until
from support.forged import NAME, ForgedSegment, OriginalSegment
from support.hook import Mode
from support.segment import DEFAULT_NAME, SIZE, Cause, Kind, Phase, State, path_of

# Deaths by the dozen, of two workers.
MORTAL = ["-p", "3", "-K", "5", "--demo-lifetime", "0.05", "--seed", "7", "--shm-name", NAME]
TWO_WORKERS = "0@0,1@1,2@0"
# No death, whatever else this machine does.
STEADY = ["-p", "3", "-K", "100", "--shm-name", NAME]


def attached(agent):
    return agent.wait_line("^Watching")


def die(segment, hook, lcore):
    deaths = segment.core(lcore).deaths
    hook.hold(lcore, Mode.SLEEP)
    return segment.wait(lambda now: now.core[lcore].deaths > deaths, f"a death of lcore {lcore}")


def recover(segment, hook, lcore):
    hook.release(lcore)
    return segment.wait(lambda now: now.core[lcore].state == State.ALIVE, f"return of {lcore}")


def only_complaint(agent):
    """The one line that it said, which must be on stderr."""
    lines = agent.lines()
    assert len(lines) == 1 and lines[0].stream == "stderr", agent.report()
    return lines[0].text


# ---- A1, A5, A6: every death once ----


def test_a1_every_death_is_reported_once_however_late(forwarder, agent):
    """The original's agent, stopped for a while, says "Empty dead core report" and never names the
    core. Here the agent's deaths must be the forwarder's, core by core, over 100 deaths, though it
    was stopped during most of them and once more at the end."""
    fwd = forwarder(MORTAL, lcores=TWO_WORKERS)
    segment, watcher = fwd.segment(), agent(forwarder=fwd)
    for more in (10, 60, 10):
        before = segment.monitor().deaths
        if more > 10:
            watcher.freeze()
        segment.wait(lambda now: now.monitor.deaths >= before + more, f"{more} deaths")
        watcher.thaw()
    segment.wait(lambda now: now.monitor.deaths >= 100, "100 deaths")
    watcher.freeze()
    before = segment.monitor().deaths
    segment.wait(lambda now: now.monitor.deaths >= before + 5, "the last deaths")
    assert fwd.terminate() == 0
    watcher.thaw()
    assert watcher.wait_exit() == 0

    died = collections.Counter(fwd.deaths())
    told = collections.Counter(watcher.deaths() + watcher.earlier_deaths())
    assert told == died, watcher.report()
    assert sum(died.values()) == segment.monitor().deaths >= 100
    assert {lcore: core.deaths for lcore, core in segment.snapshot().watched().items()} == died
    assert not watcher.lines("Empty|corrupt|not told")


def test_a5_old_credit_is_not_reported_as_new_deaths(forwarder, agent, hook):
    """The original's agent reports credit from before its time as empty deaths. Here it must be
    summed up in one line, and only what dies after that be a report."""
    fwd = forwarder(["-p", "3", "-K", "50", "--shm-name", NAME], hook=hook)
    segment, worker = fwd.segment(), fwd.worker_of(port=0)
    for _ in range(3):
        die(segment, hook, worker)
        recover(segment, hook, worker)
    earlier = segment.monitor().deaths
    assert segment.credit() == earlier >= 3
    watcher = agent(forwarder=fwd)
    watcher.wait_line(f"^{earlier} deaths before this agent came: {worker} \\({earlier} times\\)"
                      r"\.$")
    assert segment.credit() == 0 and not watcher.lines("dead cores|Empty")
    die(segment, hook, worker)
    watcher.wait_line(f"^1 dead cores: {worker},$")
    recover(segment, hook, worker)
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert len(watcher.deaths()) == segment.monitor().deaths - earlier, watcher.report()
    assert len(watcher.lines(watcher.EARLIER)) == 1 and not watcher.lines("Empty")


def test_a6_a_line_arrives_when_it_is_written_and_is_clean(forwarder, agent):
    """The original's output is block-buffered, with backspaces in it. Here each line must come
    through a pipe at once, whole, and hold nothing but what is to be read."""
    fwd = forwarder(["-p", "3", "-K", "20", "--demo-lifetime", "0.1", "--seed", "2", "--shm-name",
                     NAME])
    segment, watcher = fwd.segment(), agent(forwarder=fwd)
    last = watcher.wait_line("dead cores", count=3)
    assert watcher.running
    died = {event.time_ns / 1e9 for event in segment.events(Kind.DEATH)}
    for line in watcher.lines("dead cores"):
        assert re.fullmatch(r"(\d+) dead cores:( \d+,)+", line.text), line
        delay = line.time - max(time for time in died if time < line.time)
        assert delay < 2, (delay, last)
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    output = watcher.raw("stdout")
    assert output.endswith(b"\n") and re.fullmatch(rb"[ -~\n]+", output), output
    assert watcher.raw("stderr") == b""


def test_a6_an_agent_whose_output_blocks_misses_nothing_and_obeys(forge, agent):
    """Whoever reads the output may stop to do so: the deaths of that time are reported later, once
    each, and a signal ends the agent even then."""
    segment = forge()

    def die_unread():
        if segment.credit() < 100:
            segment.die()
        return segment.credit() == 100

    for reads_on in (True, False):
        watcher = agent(["-v", "--shm-name", NAME], stdout="blocked")
        wait_until(lambda: segment.layout.agent_pid == watcher.pid and segment.credit() == 0,
                   "the attachment")
        wait_until(die_unread, "an agent that takes no credit since it cannot write")
        if reads_on:
            watcher.resume_reading()
            wait_until(lambda: segment.credit() == 0, "an agent that goes on")
        assert watcher.terminate() == 0, watcher.report()
        told = watcher.earlier_deaths() + watcher.deaths()
        assert told == [1] * segment.layout.core[1].deaths or not reads_on, watcher.report()


@pytest.mark.parametrize("broken", ["full", "pipe"])
def test_a7_output_that_cannot_be_written_ends_it_with_a_reason(forge, agent, broken):
    """Nobody is served by an agent that talks into the void."""
    segment = forge()
    if broken == "full":
        with open("/dev/full", "w", encoding="ascii") as full:
            watcher = agent(["--shm-name", NAME], stdout=full)
        reason = os.strerror(errno.ENOSPC)
    else:
        read_end, write_end = os.pipe()
        watcher = agent(["--shm-name", NAME], stdout=write_end)
        os.close(write_end)
        assert os.read(read_end, 1000).startswith(b"Watching")
        os.close(read_end)
        segment.die()
        reason = os.strerror(errno.EPIPE)
    assert watcher.wait_exit() == 1
    assert only_complaint(watcher) == f"ka-agent: cannot write to standard output: {reason}"


@pytest.mark.parametrize("closed", [[1], [1, 2], [0, 1, 2]])
def test_a7_what_is_printed_never_goes_into_the_segment(forge, agent, closed):
    """Started without standard files, it has none; the segment does not become one of them."""
    segment = forge()
    segment.die()
    legacy = segment.layout.legacy
    before = bytes(legacy.core_died)[8:], list(legacy.core_state)
    watcher = agent(["--shm-name", NAME],
                    preexec_fn=lambda: [os.close(number) for number in closed])
    assert watcher.wait_exit() == 1
    if 2 not in closed:
        assert only_complaint(watcher) == (
            f"ka-agent: cannot write to standard output: {os.strerror(errno.EBADF)}")
    assert (bytes(legacy.core_died)[8:], list(legacy.core_state)) == before


# ---- A2, A3: what has become of the forwarder ----


@pytest.mark.once
def test_a2_a3_it_stays_with_the_healthy_and_gives_up_the_silent_after_12_s(forwarder, forge,
                                                                            agent):
    """The original's agent leaves with 0 after 12 s, be it of good health or of a hung monitor.
    Here it must stay with a healthy monitor, give up a stalled one after 12 s with 4, unless told
    to follow; and treat the original's segment, which shows no more than changes, alike."""
    fwd = forwarder(STEADY)
    hung = forwarder([*STEADY[:-1], "/hung"])
    forge(name="/hung2", period_ns=5_000_000)
    silent = forge(OriginalSegment, "/silent")
    moving = forge(OriginalSegment, "/moving")
    watchers = {name: agent(["--shm-name", name]) for name in (NAME, "/hung", "/silent", "/moving")}
    follower = agent(["--follow", "--shm-name", "/hung2"])
    since = [attached(watcher) for watcher in [*watchers.values(), follower]]
    frozen = time.monotonic()
    hung.freeze()
    silent.set(3, State.ALIVE)
    steps = itertools.count()

    def over():
        moving.set(5, State.ALIVE if next(steps) % 2 else State.MISSING)
        return time.monotonic() - max(line.time for line in since) > 13
    wait_until(over, "13 seconds to pass", 20)

    assert watchers["/hung"].wait_exit(5) == 4 and watchers["/silent"].wait_exit(5) == 4
    for name in ("/hung", "/silent"):
        assert watchers[name].lines()[-1].text == "No updates. Exiting.."
        assert 11.8 < watchers[name].ended_at - frozen < 16
        assert len(watchers[name].lines("^Monitor stalled: no tick for")) == 1
    assert follower.running and len(follower.lines()) == 2, follower.report()
    assert len(follower.lines(r"^Monitor stalled: no tick for \d+ ms\.$")) == 1
    for name in (NAME, "/moving"):
        assert watchers[name].running and len(watchers[name].lines()) == 1, watchers[name].report()
    moving.path.unlink()
    assert watchers["/moving"].wait_exit() == 0
    assert fwd.terminate() == 0 and watchers[NAME].wait_exit() == 0
    assert follower.terminate() == 0


@pytest.mark.once
def test_a3_stopped_died_and_stalled_have_lines_of_their_own_in_time(forwarder, agent):
    """Healthy, hung, killed and stopped look alike to the original's agent. Here each must have its
    line and exit code, at best of three within 250 ms of the event."""
    lines, delays = {}, collections.defaultdict(list)
    period = 0.02
    for _ in range(3):
        for how, code in ((signal.SIGTERM, 0), (signal.SIGKILL, 3)):
            fwd = forwarder(["-p", "3", "-K", str(period * 1000), "--shm-name", NAME])
            watcher = agent(forwarder=fwd)
            if how == signal.SIGKILL:
                began = time.monotonic()
                fwd.freeze()
                frozen = time.monotonic()
                stalled = watcher.wait_line(r"^Monitor stalled: no tick for (\d+) ms\.$")
                assert int(stalled.match[1]) >= 200, stalled
                thawed = time.monotonic()
                fwd.thaw()
                back = watcher.wait_line(r"^Monitor is back after (\d+) ms\.$")
                assert thawed - frozen - 0.001 < int(back.match[1]) / 1000 < (
                    back.time - began + 2 * period), (frozen, thawed, back)
                delays["stalled"].append(stalled.time - began)
                delays["back"].append(back.time - thawed)
            began = time.monotonic()
            fwd.signal(how)
            assert watcher.wait_exit() == code, watcher.report()
            line = watcher.lines()[-1]
            delays[how].append(line.time - began)
            lines[how] = line.text.replace(str(fwd.pid), "PID")
            fwd.wait_exit()
            assert len(watcher.lines()) == (2 if how == signal.SIGTERM else 4), watcher.report()
    assert lines == {signal.SIGTERM: "l2fwd-keepalive (pid PID) has stopped.",
                     signal.SIGKILL: "l2fwd-keepalive (pid PID) has died."}
    assert all(min(times) < 0.25 for times in delays.values()), delays


def test_a3_a_monitor_that_stalls_alone_is_told_from_a_dead_one(forwarder, agent, hook):
    """The main lcore hangs while the workers forward on: stalled, then back, no core blamed."""
    fwd = forwarder(STEADY, hook=hook)
    watcher = agent(forwarder=fwd)
    hook.stall_pings(1.5)
    stalled = watcher.wait_line(r"^Monitor stalled: no tick for (\d+) ms\.$")
    back = watcher.wait_line(r"^Monitor is back after (\d+) ms\.$", after=stalled)
    assert int(stalled.match[1]) >= 900 and int(back.match[1]) >= 1500, watcher.report()
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert watcher.deaths() == [], watcher.report()


def test_a3_the_name_taken_away_is_said_and_the_watching_goes_on(forwarder, agent, hook):
    """Somebody removes the segment's name, or another takes it: the owner lives and is watched."""
    fwd = forwarder(STEADY, hook=hook)
    segment, worker = fwd.segment(), fwd.worker_of(port=0)
    watcher = agent(forwarder=fwd)
    path_of(NAME).unlink()
    watcher.wait_line(rf"^Segment {NAME} was removed or replaced, but .*\(pid {fwd.pid}\) lives")
    die(segment, hook, worker)
    watcher.wait_line(f"^1 dead cores: {worker},$")
    recover(segment, hook, worker)
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert len(watcher.lines("was removed")) == 1


def test_a3_nothing_to_watch_is_explained(agent):
    """Name, likely reason and the command that starts the forwarder, in one line; exit 3."""
    for args, name, option in (([], DEFAULT_NAME, "-l 0-1 -- -p 3"),
                               (["-f", "two"], DEFAULT_NAME + ".two", "--file-prefix two "),
                               (["-n", "/gone"], "/gone", "--shm-name /gone")):
        lost = agent(args)
        assert lost.wait_exit() == 3
        complaint = only_complaint(lost)
        assert f"no segment {name}:" in complaint and "does not run" in complaint
        assert "l2fwd-keepalive -l 0-1" in complaint and option in complaint, complaint


# ---- A4: one after the other ----


def test_a4_follow_goes_on_with_the_next_instance(forwarder, agent):
    """The original's agent never opens a segment again. With --follow it must wait for the first
    instance, and report each death of each one, however the one before it ended."""
    deaths, follower = 0, agent(["--follow", "--shm-name", NAME])
    line = follower.wait_line(f"^Waiting for the next l2fwd-keepalive at {NAME}")
    for end, last_words in ((signal.SIGKILL, "has died"), (signal.SIGTERM, "has stopped"),
                            (signal.SIGTERM, "has stopped")):
        fwd = forwarder(MORTAL)
        segment = fwd.segment()
        line = follower.wait_line(rf"^Watching {NAME}: .* pid {fwd.pid},", after=line)
        segment.wait(lambda now: now.monitor.deaths >= 5, "5 deaths")
        fwd.signal(end)
        line = follower.wait_line(rf"^l2fwd-keepalive \(pid {fwd.pid}\) {last_words}", after=line)
        fwd.wait_exit()
        line = follower.wait_line("^Waiting", after=line)
        deaths += segment.monitor().deaths
        assert len(follower.deaths() + follower.earlier_deaths()) == deaths, follower.report()
    assert follower.terminate() == 0
    assert len(follower.lines("^Waiting")) == 4 and follower.raw("stderr") == b""
    assert len(follower.lines("^Watching")) == 3


# ---- A7: what it costs ----


def test_a7_waiting_costs_nothing(forge, agent):
    """The original's agent can spin at 100 %. Here 2 s of waiting must not be seen in its CPU time,
    be it before or after a death."""
    segment = forge()
    watcher = agent(["--shm-name", NAME])
    attached(watcher)
    for _ in range(2):
        began = time.monotonic()
        before = sum(cpu for _, cpu in watcher.threads().values())
        wait_until(lambda: time.monotonic() - began > 1, "a second to pass")
        used = sum(cpu for _, cpu in watcher.threads().values()) - before
        assert watcher.running and used < 0.04, used
        segment.die()
        watcher.wait_line("^1 dead cores: 1,$")


def test_a7_an_error_of_the_semaphore_ends_it_with_a_reason(forge, agent, preload):
    """The original's agent turns without end when it cannot wait."""
    forge()
    watcher = agent(["--shm-name", NAME], preload=[preload("agent_clock")],
                    env={"KA_WAIT_ERROR": str(errno.EINVAL)})
    assert watcher.wait_exit() == 1
    complaint, = watcher.lines(stream="stderr")
    assert complaint.text == "ka-agent: cannot wait on the semaphore: " + os.strerror(errno.EINVAL)


def test_a7_a_leaping_wall_clock_is_not_looked_at(forge, agent, preload):
    """The original's deadline is on the wall clock: set back, it keeps the agent waiting. Here
    deaths, a stall and the end must be told while the wall clock leaps by a day at every look."""
    segment = forge(period_ns=100_000_000)
    watcher = agent(["--shm-name", NAME], preload=[preload("agent_clock")])
    attached(watcher)
    segment.die()
    watcher.wait_line("^1 dead cores: 1,$")
    watcher.wait_line("^Monitor stalled: no tick for 9.. ms")
    with segment.change() as layout:
        layout.monitor.ticks += 1
        layout.monitor.beat_ns = time.monotonic_ns()
    watcher.wait_line("^Monitor is back after")
    segment.stop()
    assert watcher.wait_exit() == 0


def test_a7_deaths_are_waited_for_and_not_polled(forge, agent):
    """Only the semaphore wakes it: a death that is counted and not posted is told with the next."""
    segment = forge()
    watcher = agent(["--shm-name", NAME])
    began = attached(watcher).time
    segment.die(post=False)
    wait_until(lambda: time.monotonic() - began > 0.5, "some slices to pass")
    assert len(watcher.lines()) == 1, watcher.report()
    segment.die(lcore=3)
    watcher.wait_line("^2 dead cores: 1, 3,$")


# ---- A8: who comes late ----


def test_a8_a_core_that_is_down_is_listed_at_the_attachment(forwarder, agent, hook):
    """The original's agent counts DEAD only: a core buried before it came is never told."""
    fwd = forwarder([*STEADY, "-q", "1"], hook=hook, lcores=TWO_WORKERS)
    segment, worker = fwd.segment(), fwd.worker_of(port=1)
    die(segment, hook, worker)
    segment.wait(lambda now: now.core[worker].state == State.GONE, "burial")
    watcher = agent(["-v"], forwarder=fwd)
    watcher.wait_line(f"^1 death before this agent came: {worker}\\.$")
    watcher.wait_line(f"^Down already: {worker},$")
    recover(segment, hook, worker)
    watcher.wait_line(rf"^  core {worker} back after \d+\.\d ms without a restart")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert watcher.deaths() == []


# ---- A9: what else may lie there ----


def _with_identity(path, *, size=SIZE, **fields):
    segment = ForgedSegment("/" + path.name)
    for field, value in fields.items():
        setattr(segment.layout.identity, field, value)
    os.truncate(path, size)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _symbolic_link(path):
    ForgedSegment("/target")
    path.symlink_to("target")


SEGMENTS = {
    "empty": (lambda path: path.write_bytes(b""), "too short: 0 bytes"),
    "short": (lambda path: path.write_bytes(b"x" * 1567), "too short: 1567 bytes"),
    "long by one": (lambda path: path.write_bytes(b"x" * 1569), r"\(1569 bytes\) is not"),
    "zeros": (lambda path: path.write_bytes(bytes(SIZE)), rf"\({SIZE} bytes\) is not"),
    "foreign": (lambda path: path.write_bytes(b"x" * 100_000), r"\(100000 bytes\) is not"),
    "foreign byte order": (lambda path: _with_identity(path, magic=0x4b41686d20534547), "is not"),
    "next version": (lambda path: _with_identity(path, version_major=2),
                     r"of version 2, this ka-agent reads version 1\b"),
    "no version": (lambda path: _with_identity(path, version_major=0), "of version 0, this"),
    "cut": (lambda path: _with_identity(path, size=20_000), f"too short: 20000 bytes.* {SIZE} "),
    "cut by one": (lambda path: _with_identity(path, size=SIZE - 1), f"too short: {SIZE - 1} "),
    "dead owner": (lambda path: ForgedSegment(NAME, alive=False).close(), "is a leftover"),
    "folder": (os.mkdir, "not a shared-memory object"),
    "pipe": (os.mkfifo, "not a shared-memory object"),
    "socket": (_socket, "not a shared-memory object"),
    "symbolic link": (_symbolic_link, "not a shared-memory object"),
}


@pytest.mark.parametrize("kind", SEGMENTS)
def test_a9_what_is_no_segment_gets_one_line_and_3(agent, kind):
    """The original's agent maps what it finds: SIGBUS, or nonsense. Here the line must say what is
    wrong, with the numbers, and nothing of the object be changed."""
    make, why = SEGMENTS[kind]
    make(path_of(NAME))
    before = os.lstat(path_of(NAME))
    refused = agent(["--shm-name", NAME])
    assert refused.wait_exit() == 3, refused.report()
    complaint = only_complaint(refused)
    assert f"segment {NAME} " in complaint and re.search(why, complaint), complaint
    assert os.lstat(path_of(NAME))[:7] == before[:7]


def test_a9_a_later_minor_version_is_read(forge, agent):
    """Minor versions only add: behind a longer segment lies one that can be read."""
    segment = forge()
    segment.layout.identity.version_minor = 7
    os.truncate(segment.path, SIZE + 4096)
    watcher = agent(["--shm-name", NAME])
    attached(watcher)
    segment.die()
    watcher.wait_line("^1 dead cores: 1,$")


@pytest.mark.parametrize("seed", range(4))
def test_a9_garbage_behind_a_right_header_does_no_harm(forge, agent, seed):
    """Whatever the records hold, and with a change that never ends, the agent neither crashes nor
    hangs nor talks to the terminal in escape codes."""
    segment = forge()
    chance = random.Random(seed)
    start = type(segment.layout).sequence.offset

    segment.layout.identity.program = b"\x1b[31m" + b"\xff" * 27

    def spoil(newest):
        """Garbage, half of the time with a ring that is right but for what its events say."""
        segment.bytes[start:] = (chance.randbytes(SIZE - start) if seed else
                                 b"\xff" * (SIZE - start))
        segment.layout.sequence |= 1
        if seed % 2 == 1:
            segment.layout.monitor.events = newest
            for number in range(1, newest + 1):
                event = segment.layout.event[number - 1]
                event.number, event.kind = number, chance.randrange(6)
    spoil(0)
    watcher = agent(["-v", "--shm-name", NAME])
    attached(watcher)
    for newest in (20, 30, 100, 256):
        spoil(newest)
        segment.post()
        wait_until(lambda: segment.credit() == 0 or not watcher.running, "a wake-up")
    if watcher.running:
        watcher.terminate()
    assert watcher.wait_exit() in (0, 4), watcher.report()
    assert re.fullmatch(rb"[ -~\n]+", watcher.raw("stdout"))


def test_a9_the_original_segment_is_served(forge, agent):
    """DPDK's own l2fwd-keepalive gets what its agent gives: dead cores, an empty report when none
    is to be seen, one agent at a time, and the end when its segment goes."""
    original = forge(OriginalSegment)
    for lcore in (1, 2, 3):
        original.set(lcore, State.ALIVE)
    original.set(3, State.DEAD)
    watcher = agent(["--shm-name", NAME])
    watcher.wait_line(f"^Watching {NAME}: the original l2fwd-keepalive of DPDK, 3 cores")
    watcher.wait_line("^Down already: 3,$")
    original.set(3, State.ALIVE)
    original.set(1, State.DEAD)
    watcher.wait_line("^1 dead cores: 1,$")
    original.set(2, State.DEAD)
    watcher.wait_line("^2 dead cores: 1, 2,$")
    original.set(1, State.ALIVE)
    original.set(2, State.ALIVE)
    original.post()
    watcher.wait_line("^Warning: Empty dead core report$")

    second = agent(["--shm-name", NAME])
    assert second.wait_exit() == 3 and "another agent" in only_complaint(second)
    assert watcher.running
    original.path.unlink()
    assert watcher.wait_exit() == 0
    assert watcher.lines()[-1].text == "l2fwd-keepalive has stopped."
    assert len(watcher.lines()) == 6, watcher.report()


# ---- The rest of its contract ----


def _story_of(events):
    """What -v says of events, all of them from the first on."""
    counts = collections.Counter()
    for event in events:
        counts[event.lcore, event.kind] += 1
        core, outage = f"  core {event.lcore}", f"{event.outage_ns / 1e6:.1f} ms"
        if event.kind == Kind.DEATH:
            cause = Cause(event.cause).name.lower().replace("_", " ")
            where = "" if event.cause in (Cause.EXITED, Cause.NOT_STARTED) else (
                f", phase {Phase(event.phase).name.lower()}, port {event.port}, "
                f"{event.in_hand} frame{'s' * (event.in_hand != 1)} in hand")
            yield f"{core} died: {cause}, silent for {event.silent_ns / 1e6:.1f} ms{where}"
            continue
        what = {Kind.RESTART: "restarted", Kind.BACK: f"back after {outage}",
                Kind.RECOVERY: f"back after {outage} without a restart",
                Kind.STARVED: f"had no CPU for {outage}, starved by the host",
                Kind.STARVING: f"has had no CPU for {outage} so far, starved by the host"
                }[event.kind]
        yield (f"{core} {what} (restarts {counts[event.lcore, Kind.RESTART]}, "
               f"recoveries {counts[event.lcore, Kind.RECOVERY]})")


def test_verbose_tells_every_event_in_its_order(forwarder, agent, hook):
    """-v adds cause, outage, restarts and recoveries: exactly the events of the segment."""
    fwd = forwarder(["-p", "3", "-K", "20", "--demo-lifetime", "0.3", "--seed", "5", "-q", "1",
                     "--shm-name", NAME], lcores=TWO_WORKERS, hook=hook)
    segment = fwd.segment()
    before = segment.monitor().events
    watcher = agent(["-v"], forwarder=fwd)
    after = segment.monitor().events
    segment.wait(lambda now: now.monitor.deaths >= 3, "3 deaths")
    watcher.freeze()  # So that one look finds several events of a core.
    segment.wait(lambda now: now.monitor.deaths >= 9, "9 deaths")
    watcher.thaw()
    worker = fwd.worker_of(port=0)
    hook.live(worker, 60)  # So that it does not leave its loop when it is let go.
    lives = hook.lives(worker)
    wait_until(lambda: hook.lives(worker) > lives, "a long life")
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "it to be seen")
    deaths = segment.core(worker).deaths
    hook.hold(worker, Mode.SLEEP)
    segment.wait(lambda now: now.core[worker].deaths > deaths, "a hang")
    hook.release(worker)
    segment.wait(lambda now: now.core[worker].recoveries >= 1, "a recovery")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0

    told = [line.text for line in watcher.lines("^  core")]
    story = list(_story_of(segment.events()))
    assert len(story) == segment.monitor().events
    assert told in [story[first:] for first in range(before, after + 1)], (told, story[before:])
    deaths = [line for line in told if " died: " in line]
    assert len(deaths) == len(watcher.deaths()) and any("blocked" in line for line in deaths)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0_whatever_it_does(forge, agent, number):
    """Watching, watching a stalled monitor, or waiting for one to come."""
    forge()
    forge(name="/stalled", period_ns=5_000_000)
    watching = agent(["--shm-name", NAME])
    attached(watching)
    stalled = agent(["--shm-name", "/stalled"])
    stalled.wait_line("^Monitor stalled")
    waiting = agent(["--follow", "--shm-name", "/none"])
    waiting.wait_line("^Waiting")
    for ended in (watching, stalled, waiting):
        ended.signal(number)
        assert ended.wait_exit() == 0 and ended.raw("stderr") == b"", ended.report()


@pytest.mark.parametrize("args", [
    ["--nope"], ["-x"], ["-n"], ["--shm-name"], ["-n", "noslash"], ["-n", "/a/b"], ["-n", ""],
    ["-n", "/"], ["-n", "/.."], ["-n", "/" + "n" * 200], ["-f", ""], ["-f", "a/b"],
    ["-f", "p" * 200], ["-n", "/a", "-f", "b"], ["--follow=yes"], ["operand"], ["-v", "--", "/a"],
    ["--status", "--top"], ["--top", "--status"], ["--status", "-v"], ["--top", "-F"],
    ["--status=1"], ["--check", "--status"], ["--top", "--check"], ["--check", "-v"],
    ["--max-age", "5"], ["--check", "--max-age", "0"], ["--check", "--max-age", "86400001"],
    ["--check", "--max-age", "1.5ms"], ["--check", "--max-age", "0.0000001"],
], ids=" ".join)
def test_a_wrong_usage_gets_one_line_and_2(agent, args):
    """The line names what is wrong, and nothing is watched."""
    wrong = agent(args)
    assert wrong.wait_exit() == 2, wrong.report()
    complaint = only_complaint(wrong)
    assert complaint.startswith("ka-agent: "), complaint
    assert (args[-1][:50] or "-") in complaint or "--max-age" in complaint, complaint


def test_help_and_version_are_on_stdout(agent):
    """Every option and every exit code is in the help; all goes to stdout, exit 0."""
    for args in (["-h"], ["--help"], ["-n", "/x", "--help"]):
        told = agent(args)
        assert told.wait_exit() == 0 and told.raw("stderr") == b""
        for option in ("-f, --file-prefix", "-F, --follow", "-h, --help", "-n, --shm-name",
                       "  --check  ", "  --max-age MS  ", "  --status  ", "  --top  ", "-v, --verbose", "-V, --version"):
            assert option in told.text()
        assert [int(line.match[1]) for line in told.lines(r"^  (\d)  \w")] == [0, 1, 2, 3, 4]
    for option in ("-V", "--version"):
        told = agent([option])
        assert told.wait_exit() == 0 and re.fullmatch(r"ka-agent \d+\.\d+\.\d+", told.text())


def test_it_needs_neither_dpdk_nor_numa_and_starts_in_milliseconds(forge, agent, start, build):
    """It is no DPDK process: beside libc it links nothing, and is there at once."""
    linked = start(["ldd", build.agent])
    assert linked.wait_exit() == 0 and linked.lines(r"libc\.so")
    assert not linked.lines("librte|libnuma|libpcap"), linked.text()
    forge()
    times = []
    for _ in range(5):
        watcher = agent(["--shm-name", NAME])
        times.append(attached(watcher).time - watcher.started_at)
        assert watcher.terminate() == 0
    assert min(times) < (1 if build.sanitized else 0.05), times

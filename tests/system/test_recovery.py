# SPDX-License-Identifier: BSD-3-Clause
"""Causes of a silence and what is done about it: rows W4, W12, W14 and W17, and --on-hang."""

import os
import re
import resource
import signal
import sys
import time

import pytest

from support import attempt, frames, tracer
from support.deadline import wait_until
from support.hook import Mode
from support.network import run
from support.programs import lcore_map
from support.segment import Cause, Kind, Phase, Stall, State, objects

FAULTS = ["-p", "3", "-K", "20", "--allow-faults"]

# Takes CPU argv[1] away from everybody, at a priority above all others: for so many seconds as a
# line of its input says.
HOG = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
print("ready", flush=True)
for line in sys.stdin:
    end = time.monotonic() + float(line)
    print("taken", flush=True)
    while time.monotonic() < end:
        pass
    print("free", flush=True)
"""


class Hog:
    """The program HOG on the CPU of lcore 1. It is ready, so that it takes the CPU at once.

    For less than 0.95 s at a time: then the kernel lets others run for a while.
    """

    def __init__(self, start):
        theirs, self._orders = os.pipe()
        try:
            self._cpu = sorted(os.sched_getaffinity(0))[1]
            self._process = start([sys.executable, "-c", HOG, self._cpu], stdin=theirs)
        finally:
            os.close(theirs)
        self._process.wait_line("^ready$")
        self._times = 0

    def take(self, seconds):
        """Take the CPU; returns once it is taken."""
        attempt.takes(self._cpu)
        os.write(self._orders, f"{seconds}\n".encode())
        self._times += 1
        self._process.wait_line("^taken$", count=self._times)

    def wait_free(self):
        self._process.wait_line("^free$", count=self._times, timeout=30)

    def close(self):
        os.close(self._orders)
        self._process.wait_exit()


@pytest.fixture
def hog(start):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("takes two CPUs")
    hog = Hog(start)
    yield hog
    hog.close()


# ---- Evidence ----

PHASE_NAMES = {Phase.IDLE: "idle", Phase.RX: "RX", Phase.OWN: "own processing", Phase.TX: "TX"}

# A frame of a stack: OBJECT(FUNCTION+OFFSET)[ADDRESS].
STACK_FRAME = r"^\S+\(\S*\) ?\[0x[0-9a-f]+\]$"


def assert_told(fwd, watcher, death, answer):
    """Log and `ka-agent -v` have cause, silence, phase, port and frames of a death's event."""
    cause = Cause(death.cause).name.lower()
    silent = re.escape(f"{death.silent_ns / 1e6:.1f}")
    where = f"phase {PHASE_NAMES[death.phase]}, port {death.port}, {death.in_hand} frames in hand"
    fwd.wait_line(rf"^L2FWD: core {death.lcore} {cause}( in \S+)? for {silent} ms, {where}: "
                  rf"{answer}$", stream="stderr")
    watcher.wait_line(rf"^  core {death.lcore} died: {cause}, silent for {silent} ms, {where}$")


def stacks(fwd):
    """Number of stacks in the log: the top of each, where it is written, is one and the same."""
    lines = [line.text for line in fwd.lines(STACK_FRAME, stream="stderr")]
    return lines.count(lines[0]) if lines else 0


# ---- Causes, and what is done ----


@pytest.mark.parametrize("fault, cause", [("exit", Cause.EXITED), ("spin", Cause.SPINNING),
                                          ("block", Cause.BLOCKED)])
def test_a_fault_is_named_and_cured_by_respawn(forwarder, agent, fault, cause):
    """Each cause by its name in segment, log and agent; the worker runs again, no frame is lost to
    the pool."""
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", f"1:{fault}@0.3"])
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    now = segment.wait(lambda now: now.core[1].last_outage_ns != 0, "its return")
    (death,) = segment.events(Kind.DEATH)
    assert death.cause == cause == now.core[1].cause
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    assert (now.monitor.deaths, now.monitor.restarts, now.monitor.recoveries) == (1, 1, 0)
    if cause != Cause.EXITED:
        assert (death.phase, death.in_hand) == (Phase.OWN, 32)
        fwd.wait_line(rf"^L2FWD: core 1 {cause.name.lower()} .*own processing.*: "
                      r"being taken out of it$")
    watcher.wait_line(rf"^  core 1 died: {cause.name.lower()},")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert not fwd.lines("did not come back"), fwd.report()


@pytest.mark.parametrize("fault, cause", [("spin:300", Cause.SPINNING),
                                          ("block:300", Cause.BLOCKED)])
def test_w4_a_hang_that_ends_by_itself_is_a_recovery(forwarder, fault, cause):
    """By default a hang is reported and watched; when it ends that is said, too."""
    fwd = forwarder([*FAULTS, "--fault", f"1:{fault}@0.3"])
    segment = fwd.segment()
    now = segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RECOVERY] and now.core[1].cause == cause
    fwd.wait_line(r"^L2FWD: core 1 recovered after \d+\.\d ms$")
    assert fwd.terminate() == 0


def block_sigusr2():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])


def test_a_signal_mask_that_was_inherited_does_not_hinder_the_cure(forwarder):
    """Who starts the forwarder may have blocked SIGUSR2, with which workers are judged and taken
    out of their loops."""
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", "1:spin@0.3"],
                    preexec_fn=block_sigusr2)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].last_outage_ns != 0, "its return")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    assert segment.core(1).cause == Cause.SPINNING
    assert fwd.terminate() == 0


def test_an_endless_loop_in_the_heartbeat_itself_is_cured(forwarder, hook):
    """No built-in fault: a preloaded rte_keepalive_mark_alive() that does not return."""
    fwd = forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold(1, Mode.SPIN)
    segment.wait(lambda now: now.monitor.restarts >= 1, "the relaunch")
    hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.events(Kind.DEATH)[0].cause == Cause.SPINNING
    assert fwd.terminate() in (0, 3)


def test_a_slow_turn_is_no_death(forwarder):
    """One turn of one and a half periods, eight times: nobody dies."""
    faults = ",".join(f"1:slow:30@{0.3 + 0.2 * n:.1f}" for n in range(8))
    fwd = forwarder([*FAULTS, "--fault", faults])
    segment = fwd.segment()
    start = segment.monitor().ticks
    segment.wait(lambda now: now.monitor.ticks > start + 110, "two seconds of pings")
    assert segment.monitor().deaths == 0 and segment.events(Kind.DEATH) == []
    assert fwd.terminate() == 0


def test_w5_a_worker_that_does_not_start_is_found_and_cured(forwarder):
    """Launched, and never a heartbeat: dead by the start-up deadline, taken out, launched again."""
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", "1:nostart"], started=False)
    segment = fwd.segment()
    now = segment.wait(lambda now: now.core[1].state == State.ALIVE, "its start")
    assert now.core[1].cause == Cause.NOT_STARTED and now.monitor.restarts == 1
    assert fwd.terminate() == 0


def test_a_crash_is_told_with_its_signal(forwarder, agent):
    """SIGSEGV in a worker: core and signal reach the agent before the process is gone."""
    fwd = forwarder([*FAULTS, "--fault", "1:segv@0.5"])
    watcher = agent(forwarder=fwd)
    assert watcher.wait_exit() == 3
    assert [line.text for line in watcher.lines(stream="stdout")][1:] == [
        "1 dead cores: 1,", "Core 1 crashed: signal 11, Segmentation fault.",
        f"l2fwd-keepalive (pid {fwd.pid}) has died."]
    assert fwd.wait_exit() in (-signal.SIGSEGV, 99)
    assert any("fault_make" in line.text for line in fwd.lines(STACK_FRAME)), fwd.report()


def allow_core():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def test_a_crash_leaves_a_core_dump(forwarder, agent, build, tmp_path):
    """Telling of a crash must not take the core dump away from the one who looks into it."""
    if build.sanitized:
        pytest.skip("a sanitizer forbids core dumps")
    fwd = forwarder([*FAULTS, "--fault", "1:segv@0.5"], cwd=tmp_path, preexec_fn=allow_core)
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    status = fwd.wait_exit()
    for dump in tmp_path.glob("core*"):  # Where the kernel makes it a file; large.
        dump.unlink()
    assert (status, fwd.core_dumped) == (-signal.SIGSEGV, True), fwd.report()
    last = segment.snapshot()
    assert last.crash_ns != 0 and (last.crash_lcore, last.crash_signal) == (1, signal.SIGSEGV)
    assert (last.legacy.core_state[1], last.monitor.deaths) == (State.DEAD, 0)
    assert watcher.wait_exit() == 3
    watcher.wait_line(r"^Core 1 crashed: signal 11, Segmentation fault\.$")
    assert not watcher.lines("stalled"), watcher.report()


def test_abort_ends_the_process_with_the_evidence(forwarder, agent):
    """--on-hang abort: SIGABRT for a supervisor, and the agent knows why."""
    fwd = forwarder([*FAULTS, "--on-hang", "abort", "--fault", "1:spin@0.5"])
    watcher = agent(forwarder=fwd)
    assert fwd.wait_exit() == -signal.SIGABRT
    assert fwd.lines(r"^L2FWD: core 1 spinning .* the process ends"), fwd.report()
    assert watcher.wait_exit() == 3
    watcher.wait_line(r"has aborted because a worker hung\.$")


def test_abort_shows_what_all_workers_did(forwarder, hook):
    """The one that hangs may wait for another: each worker writes its stack before the end."""
    hook.delay_signals(0.005)  # The other gives heartbeats before it is reached.
    fwd = forwarder([*FAULTS, "--on-hang", "abort", "--fault", "2:spin@0.5"], lcores=lcore_map(3),
                    hook=hook)
    assert fwd.wait_exit() == -signal.SIGABRT
    # Two threads write, line by line. All are in forward_run(), one of them in a fault.
    spinning = len(fwd.lines(r"\(fault_make\+0x\S+\) ?\[0x", stream="stderr"))
    running = len(fwd.lines(r"\(forward_run\+0x\S+\) ?\[0x", stream="stderr"))
    assert spinning >= 1 and running == spinning + 1, fwd.report()


def test_abort_spares_a_worker_that_a_tracer_stopped(forwarder):
    """Who looks at a worker with a debugger does not want the process to end: it is dead, stopped
    and watched, and recovers when it is let go."""
    fwd = forwarder([*FAULTS, "--on-hang", "abort"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    with tracer.stopped(worker_thread(fwd, 1)):
        segment.wait(lambda now: now.monitor.deaths == 1, "the death")
        fwd.wait_line(r"^Dead core 1 - stopped, cannot be restarted\.\.$")
        fwd.wait_line(r"^L2FWD: core 1 stopped .*: watched; relaunched if it returns$")
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RECOVERY]
    assert segment.events(Kind.DEATH)[0].cause == Cause.STOPPED
    assert fwd.terminate() == 0


@pytest.mark.parametrize("phase, mode, in_hand, function", [
    (Phase.RX, Mode.SPIN, 0, r"pcap_next(_ex)?"), (Phase.TX, Mode.SLEEP, 32, "pcap_dump")],
    ids=["rx", "tx"])
def test_respawn_is_refused_inside_a_driver(forwarder, agent, hook, tmp_path, phase, mode, in_hand,
                                            function):
    """A worker that hangs in a burst function of its driver is not taken out of it, since what that
    has half done stays so: it is watched, and goes on without the loss of a frame."""
    sent = [frames.udp_frame(number) for number in range(320)]
    source = frames.write_pcap(tmp_path / "in.pcap", sent)
    nothing = frames.write_pcap(tmp_path / "nothing.pcap", [])
    sink, other = tmp_path / "out.pcap", tmp_path / "other.pcap"
    hook.dry_driver()
    fwd = forwarder(["-p", "3", "-K", "20", "--on-hang", "respawn"], hook=hook,
                    vdevs=[f"net_pcap0,rx_pcap={source},tx_pcap={other}",
                           f"net_pcap1,rx_pcap={nothing},tx_pcap={sink}"])
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold_in_driver(phase, mode, passes=40)  # In the middle of the second burst.
    hook.wait_in_driver()
    dead = segment.wait(lambda now: now.monitor.deaths == 1, "the death")
    segment.wait(lambda now: now.monitor.ticks > dead.monitor.ticks + 20, "more pings")
    assert segment.story(lcore=1) == [Kind.DEATH] and segment.monitor().restarts == 0
    (death,) = segment.events(Kind.DEATH)
    cause = Cause.SPINNING if mode == Mode.SPIN else Cause.BLOCKED
    assert (death.cause, death.phase, death.port, death.in_hand) == (cause, phase, 0, in_hand)
    assert death.silent_ns >= 20_000_000
    assert_told(fwd, watcher, death, "watched; relaunched if it returns")
    fwd.wait_line(rf"^Dead core 1 - {cause.name.lower()}, cannot be restarted\.\.$",
                  stream="stdout")
    fwd.wait_line(rf"\({function}\+0x\S+\) ?\[0x", stream="stderr")
    hook.release_driver()
    now = segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RECOVERY] and now.monitor.restarts == 0
    wait_until(lambda: sink.stat().st_size >= 24 + sum(16 + len(frame) for frame in sent),
               "all frames to be sent")
    assert fwd.terminate() == 0
    assert [frame[12:] for frame in frames.read_pcap(sink)] == [frame[12:] for frame in sent]
    assert not fwd.lines("did not come back"), fwd.report()


def test_evidence_tells_where_a_worker_hung(forwarder, agent, hook):
    """Log and agent name cause, silence, phase, port and frames in hand; the stack shows the
    function that hangs. First in its own processing, then in what it calls between two bursts."""
    fwd = forwarder([*FAULTS, "--fault", "1:spin:400@0.5"], hook=hook)
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    segment.wait(lambda now: now.core[1].recoveries == 1, "the first recovery")
    (death,) = segment.events(Kind.DEATH)
    assert (death.phase, death.in_hand) == (Phase.OWN, 32) and death.port in (0, 1)
    assert 20_000_000 <= death.silent_ns < 400_000_000
    assert_told(fwd, watcher, death, "watched; relaunched if it returns")
    fwd.wait_line(r"l2fwd-keepalive\(\S*\) ?\[0x")
    assert not fwd.lines(r"\(rte_keepalive_mark_alive\+")

    hook.hold(1, Mode.SPIN)
    segment.wait(lambda now: now.monitor.deaths == 2, "the second death")
    death = segment.events(Kind.DEATH)[1]
    assert (death.phase, death.in_hand) == (Phase.IDLE, 0)
    assert death.silent_ns >= 20_000_000
    assert_told(fwd, watcher, death, "watched; relaunched if it returns")
    fwd.wait_line(r"\(rte_keepalive_mark_alive\+0x\S+\) ?\[0x")
    hook.release(1)
    segment.wait(lambda now: now.core[1].recoveries == 2, "the second recovery")
    assert fwd.terminate() == 0 and stacks(fwd) == 2


def test_a_storm_of_hangs_writes_few_stacks(forwarder, hook):
    """Each death has its line of evidence; stacks are written for five a minute, then it is said
    how many were not. The minute is made to pass."""
    hook.live(1, 0.02)
    fwd = forwarder(["-p", "3", "-K", "5", "--on-hang", "respawn", "--demo-fault", "spin",
                     "--demo-lifetime", "1"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].deaths >= 7, "a storm")
    lives = hook.lives(1)
    hook.live(1, 3600)
    wait_until(lambda: hook.lives(1) > lives, "a life that lasts")
    deaths = hook.lives(1) - 1
    segment.wait(lambda now: segment.story(lcore=1).count(Kind.BACK) == deaths, "all to be back")
    fwd.wait_line(r"^L2FWD: core 1 spinning .*: being taken out of it$", count=deaths)
    assert deaths == segment.monitor().deaths and stacks(fwd) == 5, fwd.report(last=400)
    assert not fwd.lines("suppressed")

    hook.leap(60)
    hook.hold(1, Mode.SPIN)
    said = fwd.wait_line(r"^L2FWD: (\d+) stacks suppressed$", stream="stderr")
    assert int(said.match[1]) == deaths - 5
    # Not let go before it is asked: it would have moved on. Launched again it is caught once more.
    fwd.wait_line(r"\(rte_keepalive_mark_alive\+0x")
    hook.release(1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert stacks(fwd) == min(10, 5 + segment.monitor().deaths - deaths)
    assert fwd.terminate() == 0


def test_w12_a_worker_that_dies_again_and_again_is_given_up(forwarder):
    """The original restarts 66 times a second, for ever. Here there is a budget, then pauses."""
    fwd = forwarder(["-p", "3", "-K", "5", "--max-restarts", "3/5", "--demo-lifetime", "0.001"])
    segment = fwd.segment()
    segment.wait(lambda now: segment.events(Kind.GIVEN_UP), "it to be given up", timeout=30)
    fwd.wait_line(r"^L2FWD: core 1 is given up: more than 3 restarts in 5 s; its ports are down$")
    # Three within the budget, five with pauses.
    now = segment.snapshot()
    assert (now.monitor.deaths, now.monitor.restarts) == (9, 8)
    gone = segment.wait(lambda now: now.core[1].state == State.GONE, "it to be gone").core[1]
    assert gone.given_up_ns == segment.events(Kind.GIVEN_UP)[0].time_ns >= gone.died_ns
    assert fwd.terminate() == 0


def test_a_worker_without_a_budget_is_given_up_at_once(forwarder):
    """Nobody says that it is restarted who never will be."""
    fwd = forwarder([*FAULTS, "--max-restarts", "0/1", "--fault", "1:exit@0.3"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.GONE, "it to be gone")
    fwd.wait_line(r"^L2FWD: core 1 is given up: more than 0 restarts in 1 s; its ports are down$")
    fwd.wait_line(r"^Dead core 1 - given up\.\.$", stream="stdout")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.GIVEN_UP]
    assert len(fwd.deaths()) == 1 and not fwd.lines("restarting"), fwd.report()
    assert fwd.terminate() == 0


def test_a_pause_before_a_relaunch_is_told(forwarder):
    """One restart is within the budget, and at once; the next has to wait, and its line says how
    long."""
    fwd = forwarder([*FAULTS, "--max-restarts", "1/10", "--fault", "1:exit@0.3,1:exit@0.8"])
    segment = fwd.segment()
    segment.wait(lambda now: len(segment.events(Kind.BACK)) == 2, "its second return")
    said = [line.text for line in fwd.lines("^Dead core 1 - ", stream="stdout")]
    assert said[0] == "Dead core 1 - restarting.." and len(said) == 2, said
    assert re.fullmatch(r"Dead core 1 - restarting in 6[23] ms\.\.", said[1]), said
    restart = segment.events(Kind.RESTART)[1]
    assert restart.time_ns - segment.events(Kind.DEATH)[1].time_ns >= 62_000_000
    assert fwd.terminate() == 0


def test_a_starved_worker_is_innocent(forwarder, hog):
    """A program of higher priority takes the worker's CPU for 250 ms, three times: no death, no
    restart, and each time it is said."""
    fwd = forwarder(["-p", "3", "-K", "10"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    for number in range(1, 4):
        hog.take(0.25)
        hog.wait_free()
        segment.wait(lambda now: len(segment.events(Kind.STARVED)) >= number, "it to be said")
    assert segment.monitor().deaths == 0 and segment.monitor().restarts == 0
    assert min(event.outage_ns for event in segment.events(Kind.STARVED)) > 30_000_000
    said = fwd.lines(r"^L2FWD: core 1 was starved by the host for (\d+\.\d) ms, (\d+\.\d) ms of it "
                     r"in the run queue$")
    # What the hog took is in the run queue's books.
    assert any(float(line.match[2]) > 0.5 * float(line.match[1]) > 100 for line in said), said
    assert fwd.terminate() == 0


def test_a_starvation_that_lasts_is_told_before_its_end(forwarder, agent, hog):
    """It may have no end: after the time that a start may take it is said, once, that a worker is
    without a CPU, and at the end for how long it was."""
    fwd = forwarder(["-p", "3", "-K", "20"])
    segment = fwd.segment()
    watcher = agent(["-v"], forwarder=fwd)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hog.take(0.9)
    segment.wait(lambda now: segment.events(Kind.STARVING), "it to be said while it lasts")
    assert segment.events(Kind.STARVED) == []
    hog.wait_free()
    segment.wait(lambda now: segment.events(Kind.STARVED), "its end")
    (starving,), (starved,) = segment.events(Kind.STARVING), segment.events(Kind.STARVED)
    assert 500_000_000 < starving.outage_ns < starved.outage_ns, (starving, starved)
    assert starved.outage_ns > 800_000_000 and segment.monitor().deaths == 0
    so_far, in_all = (re.escape(f"{event.outage_ns / 1e6:.1f}") for event in (starving, starved))
    fwd.wait_line(rf"^L2FWD: core 1 is starved by the host, for {so_far} ms so far$")
    fwd.wait_line(rf"^L2FWD: core 1 was starved by the host for {in_all} ms, ")
    assert len(fwd.lines("ms so far$")) == 1
    watcher.wait_line(rf"^  core 1 has had no CPU for {so_far} ms so far, starved by the host \(")
    watcher.wait_line(rf"^  core 1 had no CPU for {in_all} ms, starved by the host \(")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0


def assert_pings_on_time(segment, hook, first, before):
    """Pings since the one of number `first`, when `before` was copied, kept their period of 100 ms
    within half of it, and found lcore 2 alive."""
    now = segment.wait(lambda now: now.core[2].state == State.ALIVE, "lcore 2 to be alive")
    times = hook.ping_times()[first:]
    gaps = [round((b - a) / 1e6) for a, b in zip(times, times[1:])]
    assert max(gaps) < 150, gaps
    assert (now.monitor.late_ticks, now.monitor.longest_late_ns) == (
        before.monitor.late_ticks, before.monitor.longest_late_ns), now.monitor
    assert (now.monitor.deaths, now.core[2].deaths) == (1, 0)


@pytest.mark.once
def test_w14_a_launch_that_waits_delays_no_ping(forwarder, hook):
    """The original's monitor waits for the thread that it launches, without limit. Here a launch
    that does not return for ten periods delays nobody's pings."""
    fwd = forwarder(["-p", "3", "-K", "100", "--allow-faults", "--fault", "1:exit@1.5"],
                    lcores=lcore_map(3), hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.hold_launch()
    hook.wait_in_launch()
    first, before = hook.pings, segment.snapshot()
    wait_until(lambda: hook.pings > first + 10, "pings while a launch waits")
    assert_pings_on_time(segment, hook, first, before)
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RESTART]
    hook.release_launch()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    assert fwd.terminate() == 0


def worker_thread(fwd, lcore):
    """Thread id of a worker, by the name that EAL gives it."""
    names = {f"lcore-worker-{lcore}", f"rte-worker-{lcore}", f"dpdk-worker{lcore}"}
    for tid in fwd.threads():
        with open(f"/proc/{fwd.pid}/task/{tid}/comm") as comm:
            if comm.read().strip() in names:
                return tid
    raise AssertionError(f"no thread of lcore {lcore}")


def test_w14_a_relaunch_without_a_cpu_delays_no_ping(forwarder, hook, hog):
    """The same with nothing in EAL's place: the worker has left its loop when a program of higher
    priority takes its CPU, so that it cannot take what it is launched for."""
    fwd = forwarder(["-p", "3", "-K", "100", "--allow-faults", "--fault", "1:exit@1"],
                    lcores=lcore_map(3), hook=hook)
    segment = fwd.segment()
    worker = worker_thread(fwd, 1)
    # Until it is launched it waits for work, too.
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    wait_until(lambda: fwd.threads()[worker][0] == "S", "the worker to wait for work")
    # Before it is taken: the test itself may be on that CPU.
    first, before = hook.pings, segment.snapshot()
    hog.take(0.9)
    segment.wait(lambda now: now.core[1].restarts == 1, "the relaunch")
    hog.wait_free()
    now = segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    # It was launched into the time without a CPU.
    (restart,), (back,) = segment.events(Kind.RESTART), segment.events(Kind.BACK)
    assert back.time_ns - restart.time_ns > 200_000_000
    assert now.core[1].last_outage_ns > 700_000_000
    assert_pings_on_time(segment, hook, first, before)
    assert fwd.terminate() == 0


def test_a_relaunched_worker_without_a_cpu_is_gone_no_more(forwarder, hog):
    """It has died once, of its own; that the host keeps it from coming back is no second death, and
    nothing that another process would fare better with."""
    fwd = forwarder([*FAULTS, "--fault", "1:exit@1"])
    segment = fwd.segment()
    worker = worker_thread(fwd, 1)
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    wait_until(lambda: fwd.threads()[worker][0] == "S", "the worker to wait for work")
    hog.take(0.9)
    now = segment.wait(lambda now: now.core[1].restarts == 1 and
                       any(event.kind == Kind.STARVING and event.time_ns > now.core[1].died_ns
                           for event in now.events()), "it to be said while it lasts")
    assert (now.core[1].state, now.core[1].deaths) == (State.MISSING, 1)
    hog.wait_free()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
    assert segment.monitor().deaths == 1
    assert fwd.terminate() == 0


def test_a_hang_is_cured_under_a_real_time_policy(forwarder):
    """All threads poll at one and the same real-time priority, as operators like it: a worker that
    spins lets nobody else run on its CPU, and is taken out of it all the same."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("takes two CPUs")
    attempt.takes(sorted(os.sched_getaffinity(0))[1])
    fwd = forwarder([*FAULTS, "--on-hang", "respawn", "--fault", "1:spin@0.5,1:exit@1"],
                    preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    segment = fwd.segment()
    segment.wait(lambda now: len(segment.events(Kind.BACK)) == 2, "its second return")
    causes = [event.cause for event in segment.events(Kind.DEATH)]
    assert causes == [Cause.SPINNING, Cause.EXITED]
    assert fwd.terminate() == 0


def test_a_starved_worker_does_not_hang_at_the_end(forwarder, hog):
    """SIGTERM while the host has taken the worker's CPU: it leaves its loop as soon as it can, and
    nobody says that it hung."""
    fwd = forwarder(["-p", "3", "-K", "20"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hog.take(0.6)
    status = fwd.terminate()
    assert not fwd.lines("hangs at the end|does not leave its loop"), fwd.report()
    assert status == 0 and objects() == []


def test_w8_a_monitor_that_stood_still_accuses_nobody(forwarder):
    """Time that the monitor itself lost is not held against any worker."""
    fwd = forwarder([*FAULTS, "--fault", "0:monitor-stall:400@0.4,0:monitor-stall:150@1.2"])
    segment = fwd.segment()
    now = segment.wait(lambda now: now.monitor.late_ticks >= 2, "both stalls")
    start = now.monitor.ticks
    now = segment.wait(lambda now: now.monitor.ticks > start + 25, "pings after them")
    assert (now.monitor.deaths, now.monitor.restarts) == (0, 0)
    assert fwd.terminate() == 0


STALLED_TX = r"^L2FWD: core 1, port 0: STALLED, the TX queue takes none of its frames$"


def test_w17_a_worker_that_moves_nothing_is_reported(forwarder):
    """The loop turns, the TX queue takes nothing: a warning with port and reason, not a death."""
    fwd = forwarder(["-p", "3", "-K", "20"], vdevs=["net_null0", "net_tap1,iface=w17"])
    segment = fwd.segment()
    # Every frame that net_null makes is refused by a tap whose interface is down.
    run("ip", "link", "set", "dev", "w17", "down")
    segment.wait(lambda now: segment.events(Kind.STALLED), "the stall", timeout=30)
    assert segment.monitor().deaths == 0
    event = segment.events(Kind.STALLED)[0]
    assert event.port == 0
    fwd.wait_line(STALLED_TX)
    assert fwd.terminate() == 0
    wait_until(lambda: objects() == [], "the segment to be removed")


@pytest.mark.once
def test_w17_a_worker_that_hangs_is_not_stalled_as_well(forwarder, hook):
    """The device counts on while its worker hangs: that is the death's doing. Nobody says STALLED,
    and nobody that it moves again afterwards."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.flood()
    hook.wait_stats_looks(1)
    hook.hold(1, Mode.SPIN)
    begin = time.monotonic_ns()
    # Told is twice a second.
    segment.wait(lambda now: now.monitor.beat_ns > begin + 2_500_000_000, "2.5 s of pings")
    hook.release(1)
    segment.wait(lambda now: now.core[1].recoveries == 1, "the recovery")
    hook.wait_stats_looks(2)
    back = segment.events(Kind.RECOVERY)[0].time_ns
    segment.wait(lambda now: now.monitor.beat_ns > back + 2_000_000_000, "both to be told of")
    assert segment.story(lcore=1) == [Kind.DEATH, Kind.RECOVERY]
    assert not fwd.lines("STALLED|moves frames again"), fwd.report()
    assert fwd.terminate() == 0


@pytest.mark.once
@pytest.mark.parametrize("policy, end", [("report", Kind.RECOVERY), ("respawn", Kind.BACK)])
def test_w17_a_stall_that_began_while_the_worker_was_down_is_reported(forwarder, hook, policy, end):
    """It was found in the worker's last moments, and it was down when it was to be told. Once it is
    back, and moves nothing still, that must be said."""
    interface = f"w17{policy}"
    fwd = forwarder(["-p", "3", "-K", "50", "--on-hang", policy], hook=hook,
                    vdevs=["net_null0", f"net_tap1,iface={interface}"])
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.ALIVE, "a healthy core")
    hook.wait_stats_looks(1)
    run("ip", "link", "set", "dev", interface, "down")
    hook.wait_stats_looks(1)
    hook.hold(1, Mode.SPIN)  # The next look finds frames dropped, and none sent.
    hook.wait_stats_looks(1)
    assert segment.monitor().deaths != 0
    found = time.monotonic_ns()
    # Told is twice a second; the look that comes next would find that nothing was dropped.
    segment.wait(lambda now: now.monitor.beat_ns > found + 600_000_000, "that to be told of")
    assert segment.events(Kind.STALLED) == []
    hook.release(1)
    segment.wait(lambda now: segment.events(end), "its return")
    fwd.wait_line(STALLED_TX)
    (stalled,) = segment.events(Kind.STALLED)
    assert (stalled.port, stalled.stall) == (0, Stall.TX)
    assert stalled.time_ns > segment.events(end)[0].time_ns
    assert segment.events(Kind.MOVES) == []
    assert fwd.terminate() == 0

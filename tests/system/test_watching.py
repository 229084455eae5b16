# SPDX-License-Identifier: BSD-3-Clause
"""Rows W1 to W8, W10, W11, W13 and W15 of the original's defects: how workers are watched.

Where a test says that nobody dies, the check period is 50 ms or more: the machine of the test may
take a CPU away for some milliseconds, and then a death at 5 ms is the truth.
"""

import statistics
import time
from collections import Counter
from pathlib import Path

import pytest

from support import frames
from support.deadline import PATIENCE, holds_for, wait_until
from support.hook import Gate, Mode
from support.programs import lcore_map
from support.segment import Cause, Kind, State, objects
from support.tables import wait_table

MS = 1_000_000


def record_states(segment, lcore, until, what, timeout=PATIENCE):
    """States that are published of a core until until(snapshot) holds, each change once."""
    states = []

    def look():
        now = segment.snapshot()
        state = State(now.core[lcore].state)
        assert state == now.legacy.core_state[lcore], "the original's readers see another state"
        if states[-1:] != [state]:
            states.append(state)
        return until(now)

    wait_until(look, what, timeout)
    return states


def wait_next_ping(hook):
    """Wait until a ping has just begun."""
    pings = hook.pings
    wait_until(lambda: hook.pings > pings, "the next ping")


def launches(fwd):
    """[lcore of each line that a launched worker prints]."""
    return [int(line.match[1])
            for line in fwd.lines(r"^L2FWD: entering main loop on lcore (\d+)$")]


# ---- W1: -K 0 ----


def test_w1_period_0_forwards_without_keepalive(forwarder):
    """-K 0 crashes the original; it must forward, make no segment, say so, and kill nobody."""
    fwd = forwarder(["-p", "3", "-K", "0", "--demo-lifetime", "0.1", "-T", "1"])
    first = wait_table(fwd, lambda table: table["total"].received > 0, "frames")
    # The lives of 0.1 s would be over by the next table.
    wait_table(fwd, lambda table: table[0].received > first[0].received
               and table[1].received > first[1].received, "more frames on both ports")
    assert fwd.lines(r"^L2FWD: keepalive is off \(-K 0\): nobody is watched, no segment$")
    assert fwd.lines("demonstration:") == [] and fwd.deaths() == []
    assert objects() == []
    assert fwd.terminate() == 0


# ---- W2, W3: published states ----


def test_w2_healthy_core_is_published_alive(forwarder):
    """The original publishes a healthy core as MISSING; it must be ALIVE at every look."""
    fwd = forwarder(["-p", "3", "-K", "50"])
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    begun = segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    states = record_states(segment, worker,
                           lambda now: now.monitor.ticks >= begun.monitor.ticks + 20, "20 pings")
    assert states == [State.ALIVE]
    assert segment.credit() == 0


def test_w3_one_missed_ping_is_missing_and_wakes_nobody(forwarder, hook):
    """The original publishes DEAD and wakes the agent after one missed ping; that is MISSING."""
    fwd = forwarder(["-p", "3", "-K", "100"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    wait_next_ping(hook)
    hook.hold(worker, Mode.SPIN)
    states = record_states(segment, worker,
                           lambda now: now.core[worker].state != State.ALIVE, "a silent ping")
    hook.release(worker)
    pings = hook.pings
    states += record_states(segment, worker, lambda now: hook.pings >= pings + 3, "3 pings")
    assert [state for state, before in zip(states, [None, *states]) if state != before] == [
        State.ALIVE, State.MISSING, State.ALIVE]
    assert segment.monitor().deaths == 0 and segment.credit() == 0
    assert fwd.lines(r"^EAL: Core MIA\.") and fwd.deaths() == []


def test_w3_dead_is_published_with_the_death_and_until_the_next_ping(forwarder, hook):
    """The original says DEAD a ping early; it must come with death and wake-up, and stay a ping."""
    fwd = forwarder(["-p", "3", "-K", "100"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    hook.hold(worker, Mode.SPIN)

    def is_dead(now):
        assert segment.credit() == 0 or segment.monitor().deaths == 1, "woken without a death"
        return now.monitor.deaths == 1

    states = record_states(segment, worker, is_dead, "the death")
    assert states == [State.ALIVE, State.MISSING, State.DEAD]
    wait_until(lambda: segment.credit() == 1, "the agent to be woken")
    assert segment.legacy_state(worker) == State.DEAD
    gone = segment.wait(lambda now: now.core[worker].state != State.DEAD, "the next state")
    assert gone.core[worker].state == State.GONE
    assert gone.monitor.beat_ns - gone.core[worker].died_ns > 90 * MS


def test_w3_worker_that_leaves_is_missing_first_and_dead_before_it_is_relaunched(forwarder, hook):
    """The order of every death: MISSING, then DEAD with its event, then the relaunch."""
    fwd = forwarder(["-p", "3", "-K", "50", "--demo-lifetime", "60"], hook=hook, started=False)
    for lcore in range(2):
        hook.live(lcore, 0.1)
    fwd.wait_started()
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    states = record_states(segment, worker, lambda now: now.monitor.restarts >= 4, "4 restarts")
    before_dead = {before for before, state in zip(states, states[1:]) if state == State.DEAD}
    assert before_dead == {State.MISSING}, states
    assert segment.story(worker)[:9] == [Kind.DEATH, Kind.RESTART, Kind.BACK] * 3
    assert {event.cause for event in segment.events(Kind.DEATH)} == {Cause.EXITED}


# ---- W4: hung workers ----


@pytest.mark.parametrize("mode", [Mode.SPIN, Mode.SLEEP], ids=["spins", "sleeps"])
def test_w4_hung_worker_that_moves_again_has_recovered(forwarder, hook, mode):
    """In the original it is GONE for ever, even when back; it must be hung, then recovered."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    hook.hold(worker, mode)
    cause = Cause.SPINNING if mode == Mode.SPIN else Cause.BLOCKED
    fwd.wait_line(rf"^Dead core {worker} - {cause.name.lower()}, cannot be restarted\.\.$")
    hung = segment.wait(lambda now: now.core[worker].state == State.GONE, "it to be gone").core
    assert hung[worker].cause == cause
    marks = hook.marks(worker)

    hook.release(worker)
    now = segment.wait(lambda now: now.core[worker].state == State.ALIVE, "its return")
    wait_until(lambda: hook.marks(worker) > marks + 1000, "the loop to turn again")
    fwd.wait_line(rf"^L2FWD: core {worker} recovered after [0-9.]+ ms$")
    assert (now.monitor.deaths, now.monitor.restarts, now.monitor.recoveries) == (1, 0, 1)
    assert segment.story(worker) == [Kind.DEATH, Kind.RECOVERY]
    death, recovery = segment.events(lcore=worker)
    assert death.cause == cause
    # Declared at the third ping without a heartbeat.
    assert 75 * MS < death.silent_ns < recovery.outage_ns == now.core[worker].last_outage_ns
    assert launches(fwd) == [worker] and len(fwd.deaths()) == 1


def test_w4_hung_worker_that_returns_is_relaunched(forwarder, hook):
    """The original never looks again after "..false positive!"; it must relaunch who returns."""
    hook.live(1, 0.7)
    fwd = forwarder(["-p", "3", "-K", "50", "--demo-lifetime", "60"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    assert worker == 1
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    hook.hold(worker, Mode.SPIN)
    hung = segment.wait(lambda now: now.core[worker].state == State.GONE, "it to be gone")
    assert hung.core[worker].cause == Cause.SPINNING and hung.monitor.restarts == 0

    over = hung.core[worker].launched_ns + 700 * MS
    wait_until(lambda: time.monotonic_ns() > over, "the end of its life")
    hook.live(worker, 1000)
    hook.set(worker, Mode.DROP)  # It turns once more, without a mark, and leaves its loop.
    segment.wait(lambda now: now.monitor.restarts == 1, "the relaunch")
    hook.release(worker)
    now = segment.wait(lambda now: now.core[worker].state == State.ALIVE, "its return")
    assert (now.monitor.deaths, now.monitor.recoveries) == (1, 0)
    assert segment.story(worker) == [Kind.DEATH, Kind.RESTART, Kind.BACK]
    wait_until(lambda: launches(fwd) == [worker, worker], "its second start")


# ---- W5, W6: from the first moment on ----


def test_w5_worker_that_never_marks_itself_is_reported(forwarder, hook):
    """The original never reports it; after the start-up deadline it must be dead, not started."""
    hook.set(1, Mode.DROP)
    fwd = forwarder(["-p", "3", "-K", "5"], hook=hook)
    segment = fwd.segment()
    states = record_states(segment, 1, lambda now: now.monitor.deaths == 1, "the death")
    assert states in ([State.UNUSED, State.DEAD], [State.UNUSED, State.DEAD, State.GONE])
    (death,) = segment.events(Kind.DEATH, lcore=1)
    assert death.cause == Cause.NOT_STARTED == segment.core(1).cause
    assert 500 * MS <= death.silent_ns < 5000 * MS
    assert death.silent_ns == death.time_ns - segment.core(1).launched_ns
    wait_until(lambda: segment.credit() == 1, "the agent to be woken")
    # It runs, after all.
    fwd.wait_line(r"^Dead core 1 - not started, cannot be restarted\.\.$")

    hook.release(1)
    now = segment.wait(lambda now: now.core[1].state == State.ALIVE, "its first heartbeat")
    assert segment.story(1)[:2] == [Kind.DEATH, Kind.RECOVERY]
    assert now.monitor.restarts == 0


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stays"])
def test_w5_relaunch_that_dies_before_its_first_mark_is_reported_again(forwarder, hook, leaves):
    """The original never reports it; each launch must have a deadline of its own."""
    hook.live(1, 0.3)
    fwd = forwarder(["-p", "3", "-K", "50", "--demo-lifetime", "60"], hook=hook)
    segment = fwd.segment()
    segment.wait(lambda now: now.core[1].state == State.MISSING, "the end of its first life")
    hook.set(1, Mode.DROP)
    hook.live(1, 0.01 if leaves else 1000)
    now = segment.wait(lambda now: now.monitor.deaths == 2, "the second death")
    hook.live(1, 1000)
    first, second = segment.events(Kind.DEATH, lcore=1)[:2]
    assert (first.cause, second.cause) == (Cause.EXITED, Cause.NOT_STARTED)
    assert now.core[1].last_outage_ns == 0, "back without a heartbeat"
    assert 500 * MS <= second.silent_ns < 5000 * MS
    assert second.silent_ns <= second.time_ns - first.time_ns + MS

    if leaves:
        segment.wait(lambda now: now.monitor.restarts == 2, "the second relaunch")
    hook.release(1)
    now = segment.wait(lambda now: now.core[1].state == State.ALIVE, "its first heartbeat")
    # One outage, from the last heartbeat of the first life on. DPDK rounds the rate of its clock.
    least = second.time_ns - first.time_ns + first.silent_ns
    assert now.core[1].last_outage_ns > 0.99 * least
    assert now.monitor.restarts == (2 if leaves else 1)


def test_w6_workers_are_registered_before_they_are_launched(forwarder, hook):
    """The original launches first, so that a death in between is not seen; watched, then run."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook, lcores=lcore_map(3))
    now = fwd.segment().wait(lambda now: sorted(now.watched()) == [1, 2], "both workers")
    assert sorted(launches(fwd)) == [1, 2]
    for lcore, core in now.watched().items():
        registered, _ = hook.last_calls(lcore)
        assert registered > 0, f"lcore {lcore}"
        # A launch from before, EAL's own among them, would leave a lower number for ever.
        wait_until(lambda lcore=lcore, least=registered: hook.last_calls(lcore)[1] > least,
                   f"lcore {lcore} to be launched after it was registered")
        assert core.launched_ns >= now.identity.created_ns, "launched before there was a segment"


@pytest.mark.parametrize("launchers", [0, 1])
def test_a_start_without_a_thread_to_launch_with_is_an_error(forwarder, preload,
                                                             launchers):
    """Each worker has a thread that launches it. When the first or the second of them cannot be
    made, workers that are not watched yet must not be asked after at the end."""
    fwd = forwarder(["-p", "3", "-K", "50"], started=False, lcores=lcore_map(3),
                    preload=[preload("start_failures")],
                    env={"KA_FAIL": "pthread_create", "KA_FAIL_AFTER": str(launchers)})
    assert fwd.wait_exit() == 1, fwd.report()
    assert fwd.lines(r"^L2FWD: cannot start the watching: \w+", stream="stderr"), fwd.report()
    assert launches(fwd) == [] and objects() == []


# ---- W7, W8: what must not become a death ----


@pytest.mark.parametrize("gate", [Gate.MIA, Gate.DIED], ids=["mia", "died"])
@pytest.mark.parametrize("returns", [True, False], ids=["returns", "stays_away"])
def test_w7_heartbeat_lost_in_the_library_is_no_death(forwarder, hook, gate, returns):
    """A mark while the library logs is overwritten; the core must have both its pings all the same.

    The worker gives heartbeats while the main lcore is inside the log line, and misses one ping
    after it: in the original it is dead then. If it stays away it must be dead one ping later.
    """
    fwd = forwarder(["-p", "3", "-K", "200"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    hook.close_gate(gate)
    hook.hold(worker, Mode.SLEEP)
    hook.wait_at_gate()
    ticks, marks = segment.monitor().ticks, hook.marks(worker)
    hook.release(worker)
    wait_until(lambda: hook.marks(worker) > marks + 10, "heartbeats")
    hook.hold(worker, Mode.SLEEP)
    hook.open_gate()

    # The ping with the gate, and one that finds nothing.
    now = segment.wait(lambda now: now.monitor.ticks >= ticks + 2, "the next ping")
    assert now.monitor.deaths == 0, f"dead after one silent ping: {now.core[worker]}"
    if returns:
        hook.release(worker)
        now = segment.wait(lambda now: now.monitor.ticks >= ticks + 4, "two more pings")
        assert now.core[worker].state == State.ALIVE
        assert now.monitor.deaths == 0 and fwd.deaths() == []
    else:
        states = record_states(segment, worker, lambda now: now.monitor.deaths == 1, "the death")
        assert states[-2:] == [State.MISSING, State.DEAD]
        # Less those since. Where the mark was not lost after all the library gives one ping more,
        # and where the worker was awake just then, between two of its short sleeps, its judge does.
        now = segment.snapshot()
        since = round((now.monitor.beat_ns - now.core[worker].died_ns) / (200 * MS))
        assert now.monitor.ticks - since - ticks in (3, 4, 5)


def check_spacing(fwd, hook, segment, since, ticks, period):
    """After a stall: 10 pings, none closer to the one before than half a period; no death."""
    now = segment.wait(lambda now: now.monitor.ticks >= ticks + 10, "10 ticks")
    assert now.monitor.beat_ns - since > 8 * period * MS, "ticks in a burst"
    times = [when for when in hook.ping_times() if when >= since]
    gaps = [(b - a) / MS for a, b in zip(times, times[1:])]
    assert len(gaps) >= 7 and min(gaps) > period / 2, f"gaps of pings, in ms: {gaps}"
    assert now.monitor.deaths == 0 and fwd.deaths() == []
    assert now.monitor.late_ticks >= 1 and now.monitor.longest_late_ns > 200 * MS
    return now


def test_w8_stall_of_the_main_lcore_alone_kills_nobody(forwarder, hook):
    """After a stall the original fires all missed pings at once; they must keep their spacing."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    hook.stall_pings(0.4)
    since = time.monotonic_ns() - 20 * MS
    now = check_spacing(fwd, hook, segment, since, segment.monitor().ticks, period=50)
    assert now.core[worker].state == State.ALIVE


def test_w8_stop_and_continuation_of_the_process_kill_nobody(forwarder, hook):
    """A process that stood still, workers and all, must not find them dead when it goes on."""
    fwd = forwarder(["-p", "3", "-K", "50"], hook=hook)
    segment = fwd.segment()
    worker = fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a healthy core")
    fwd.freeze()
    ticks = segment.monitor().ticks
    holds_for(lambda: segment.monitor().ticks == ticks, "a frozen monitor does not tick", 0.4)
    since = time.monotonic_ns()
    fwd.thaw()
    now = check_spacing(fwd, hook, segment, since, ticks, period=50)
    assert now.core[worker].state == State.ALIVE
    hook.hold(worker, Mode.SPIN)
    segment.wait(lambda now: now.monitor.deaths == 1, "that deaths are still noticed")


# ---- W10, W11: the period, and what it costs ----


@pytest.mark.once
@pytest.mark.parametrize("period, least", [("0.5", 0.6), ("1", 0.7), ("7.5", 0.9)])
def test_w10_period_asked_for_is_the_period_kept(forwarder, build, period, least):
    """In the original -K 1 acts as 5 and -K 6 to 9 jitter. Here as many ticks come as asked for, in
    most of five half seconds: a main lcore without a CPU ticks less often."""
    fwd = forwarder(["-p", "3", "-K", period])
    segment = fwd.segment()
    period_ns = float(period) * MS
    begin = segment.wait(lambda now: now.monitor.ticks >= 2, "the first ticks")
    assert begin.identity.period_ns == period_ns
    shares = []
    for _ in range(5):
        begin = segment.monitor()
        end = segment.wait(lambda now: now.monitor.beat_ns >= begin.beat_ns + 500 * MS,
                           "half a second of ticks").monitor
        shares.append((end.ticks - begin.ticks) * period_ns / (end.beat_ns - begin.beat_ns))
    assert max(shares) < 1.05, shares
    assert statistics.median(shares) > least / (2 if build.sanitized else 1), shares


def cpu_ns(fwd):
    """CPU time of the main lcore's thread."""
    return int(Path(f"/proc/{fwd.pid}/task/{fwd.pid}/schedstat").read_text().split()[0])


def test_w11_main_lcore_sleeps_between_pings(forwarder):
    """The original's main lcore takes all of a CPU; it must sleep until the next timer."""
    fwd = forwarder(["-p", "3", "-K", "5"])
    segment = fwd.segment()
    begin, cpu, ticks = time.monotonic_ns(), cpu_ns(fwd), segment.monitor().ticks
    segment.wait(lambda now: now.monitor.beat_ns > begin + 2000 * MS, "2 s of pings")
    share = (cpu_ns(fwd) - cpu) / (time.monotonic_ns() - begin)
    assert share < 0.3, f"main lcore: {share:.0%} of a CPU"
    assert segment.monitor().ticks - ticks > 200


# ---- W13, W15 ----


def test_w13_main_lcore_gets_no_port(forwarder, tmp_path):
    """With --main-lcore 1 the original gives a port to lcore 1, which never polls it."""
    sent = [frames.udp_frame(number) for number in range(50)]
    source = frames.write_pcap(tmp_path / "in.pcap", sent)
    empty = frames.write_pcap(tmp_path / "none.pcap", [])
    sink = tmp_path / "out.pcap"
    fwd = forwarder(["-p", "3", "-K", "50"], eal=["--main-lcore", "1"],
                    vdevs=[f"net_pcap0,rx_pcap={source},tx_pcap={tmp_path}/back.pcap",
                           f"net_pcap1,rx_pcap={empty},tx_pcap={sink}"])
    assert [fwd.worker_of(port=port) for port in range(2)] == [0, 0]
    now = fwd.segment().wait(lambda now: now.core[0].state == State.ALIVE, "a healthy core")
    assert now.identity.main_lcore == 1 and list(now.watched()) == [0]
    wait_until(lambda: sink.stat().st_size > 0, "frames to leave")
    assert fwd.terminate() == 0
    assert [frame[12:] for frame in frames.read_pcap(sink)] == [frame[12:] for frame in sent]


DEMONSTRATION = (r"^L2FWD: demonstration: each worker leaves its loop within (\S+) s of every "
                 r"launch; --demo-lifetime 0 turns this off, --seed (\d+) repeats it$")


@pytest.mark.once
def test_w15_lifetime_0_lets_workers_live(forwarder):
    """The original's workers die at random and nothing turns it off; --demo-lifetime 0 must."""
    fwd = forwarder(["-p", "3", "-K", "50", "--demo-lifetime", "0"])
    segment = fwd.segment()
    fwd.segment().wait(lambda now: now.monitor.ticks >= 60, "3 s of pings")
    assert segment.monitor().deaths == 0 and fwd.deaths() == []
    assert fwd.lines("demonstration") == [] and len(launches(fwd)) == 1


@pytest.mark.once
def test_w15_the_demonstration_is_on_by_default_and_says_so(forwarder):
    """As in the original a life lasts 8 s at most; a line must say so and how to turn it off."""
    fwd = forwarder(["-p", "3", "-K", "50"], quiet=False)
    life, seed = fwd.wait_line(DEMONSTRATION).match.groups()
    assert life == "8" and int(seed) > 0
    segment = fwd.segment()
    now = segment.wait(lambda now: now.monitor.restarts == 1, "a death", timeout=30)
    (death,) = segment.events(Kind.DEATH)
    last = death.time_ns - death.silent_ns
    worker = fwd.worker_of(port=0)
    fwd.wait_line(r"^Dead core \d+")  # The segment may be faster than the output.
    assert death.cause == Cause.EXITED and fwd.deaths() == [worker]
    assert last < now.identity.created_ns + 8500 * MS


def lives(forwarder, seed, count):
    """Lengths in ms of the first lives after the first restart."""
    fwd = forwarder(["-p", "3", "-K", "50", "--demo-lifetime", "0.4", "--seed", seed])
    assert fwd.wait_line(DEMONSTRATION).match.groups() == ("0.4", seed)
    segment = fwd.segment()
    segment.wait(lambda now: now.monitor.deaths == count + 1, f"{count + 1} deaths")
    events = [event for event in segment.events() if event.kind != Kind.BACK]
    assert fwd.terminate() == 0
    return [(death.time_ns - death.silent_ns - restart.time_ns) / MS
            for restart, death in zip(events[1::2], events[2::2])]


@pytest.mark.once
def test_w15_a_seed_repeats_the_lives(forwarder):
    """On DPDK 22.11 the original is not seeded at all; one seed must give one sequence of lives."""
    one, again, other = (lives(forwarder, seed, 4) for seed in ("7", "7", "8"))
    assert len(one) == 4 and all(-1 < life < 450 for life in one), one

    def distance(lives):
        return max(abs(a - b) for a, b in zip(one, lives))

    assert distance(again) < 25, f"same seed: {one}, {again} ms"
    assert distance(other) > 50, f"another seed: {one}, {other} ms"


# ---- All of it together ----


def test_fifty_deaths_are_counted_alike_by_all(forwarder, agent):
    """Segment, lines of the forwarder and lines of the agent must agree on every death."""
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.15", "--seed", "1"],
                    lcores=lcore_map(3))
    watcher = agent(forwarder=fwd)
    segment = fwd.segment()
    segment.wait(lambda now: now.monitor.deaths >= 50, "50 deaths", timeout=60)
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    end = segment.snapshot()
    cores = end.watched()

    deaths = {lcore: core.deaths for lcore, core in cores.items()}
    assert sum(deaths.values()) == end.monitor.deaths >= 50 and sorted(deaths) == [1, 2]
    assert Counter(fwd.deaths()) == deaths
    assert Counter(watcher.deaths() + watcher.earlier_deaths()) == deaths

    restarts = {lcore: core.restarts for lcore, core in cores.items()}
    assert sum(restarts.values()) == end.monitor.restarts
    assert Counter(launches(fwd)) == {lcore: 1 + number for lcore, number in restarts.items()}
    # A CPU that was taken away for 10 ms makes a hung worker, which is not relaunched.
    hung = len(fwd.lines(r", cannot be restarted\.\.$"))
    assert end.monitor.deaths - hung <= end.monitor.restarts <= end.monitor.deaths
    assert hung < end.monitor.deaths

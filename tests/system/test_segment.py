# SPDX-License-Identifier: BSD-3-Clause
"""Rows S1 to S9 of the list of defects: the segment, on the forwarder as it is shipped."""

import collections
import contextlib
import grp
import os
import signal
import socket
import stat
import sys
import time

import pytest

from support.deadline import PATIENCE, wait_until
from support.forged import NAME, ForgedSegment, OriginalReader
from support.hook import Mode
from support.segment import (DEFAULT_NAME, EVENTS, MAGIC, SIZE, Cause, Kind, State, Status, objects,
                             path_of)

NOBODY = 65534

# Deaths by the dozen: a worker lives for 25 ms on average and is back within 15.
MORTAL = ["-p", "3", "-K", "5", "--demo-lifetime", "0.05", "--seed", "7", "--shm-name", NAME]
# No death, whatever else this machine does.
STEADY = ["-p", "3", "-K", "100", "--shm-name", NAME]


def identity_of(path):
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def die_and_recover(segment, hook, lcore):
    """One death of a worker, by silence, and its return."""
    deaths = segment.core(lcore).deaths
    hook.hold(lcore, Mode.SLEEP)
    segment.wait(lambda now: now.core[lcore].deaths > deaths, f"a death of lcore {lcore}")
    hook.release(lcore)
    segment.wait(lambda now: now.core[lcore].state == State.ALIVE, f"return of lcore {lcore}")


def count_events(events):
    return collections.Counter(event.kind for event in events)


# ---- S1, S2: what a reader finds ----


@pytest.mark.once
def test_s1_no_reader_meets_a_segment_that_is_not_complete(start, forwarder, build):
    """The original's is visible at size 0, then zeros. Ours must be whole at every look, while
    forwarders come, go and are killed, and while another owner comes and goes without a pause."""
    readers = {name: start([sys.executable, "-m", "support.reader", name])
               for name in (NAME, "/ka-churn")}
    hammers = [start([build.segment_tool, "hammer", name, 60]) for name in readers]
    for reader in readers.values():
        reader.wait_line("^ready$")
    churn = start([build.segment_tool, "churn", "/ka-churn", 86_400_000])
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
        fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME])
        readers[NAME].wait_line(f"^seen {fwd.pid}$")
        fwd.signal(end)
        assert fwd.wait_exit() == (-signal.SIGKILL if end == signal.SIGKILL else 0)
    assert churn.terminate() == 0, churn.report()

    for name, at_least in ((NAME, 5), ("/ka-churn", 20)):
        assert readers[name].terminate() == 0, readers[name].report()
        looks, generations = map(int, readers[name].lines(r"looks (\d+) generations (\d+)")[0]
                                 .match.groups())
        assert looks >= generations >= at_least, (name, looks, generations)
    for hammer in hammers:
        assert hammer.terminate() == 0, hammer.report()
        assert int(hammer.lines(r"^opened (\d+)")[0].match[1]) > 100, hammer.report()
    assert objects() == []


def test_s2_the_segment_says_who_made_it_and_how_to_read_it(forwarder, build, start):
    """The original's has no header. Ours must tell magic, version, size, pid, the clock's rate and
    the period, each as it really is."""
    fwd = forwarder(["-p", "3", "-K", "2.5", "--shm-name", NAME], lcores="2@0,5@1",
                    eal=["--main-lcore", "5"])
    segment = fwd.segment()
    first = segment.wait(lambda now: now.core[2].last_seen_ns != 0, "a heartbeat")
    identity = first.identity
    assert (identity.magic, identity.version_major, identity.version_minor) == (MAGIC, 1, 2)
    assert identity.size == os.stat(segment.path).st_size == SIZE
    assert (identity.pid, identity.main_lcore) == (fwd.pid, 5)
    assert identity.period_ns == 2_500_000
    version = start([build.forwarder, "--version"])
    version.wait_exit()
    assert identity.program.decode() == version.lines()[0].text
    assert list(identity.reserved) == [0] * 6 and identity.reserved32 == 0
    assert list(first.watched()) == [2]

    started = fwd.wait_line("entering main loop").time
    assert fwd.started_at < identity.created_ns / 1e9 < started + 0.1
    real = identity.created_real_ns - identity.created_ns
    assert abs(real - (time.time_ns() - time.monotonic_ns())) < 1e9

    # The rate against the clock, between two heartbeats half a second apart.
    one = segment.core(2)
    two = segment.wait(lambda now: now.core[2].last_seen_ns > one.last_seen_ns + 500_000_000,
                       "half a second").core[2]
    rate = (two.last_seen_tsc - one.last_seen_tsc) / (two.last_seen_ns - one.last_seen_ns) * 1e9
    assert abs(rate / identity.tsc_hz - 1) < 0.01, (rate, identity.tsc_hz)
    since = (two.last_seen_tsc - identity.created_tsc) / identity.tsc_hz
    assert abs(since - (two.last_seen_ns - identity.created_ns) / 1e9) < 0.1, since


# ---- S3, S4: whose name it is ----


def test_s3_a_second_instance_is_refused_and_the_first_goes_on(forwarder, agent):
    """The original's second instance unlinks the first's segment, and the first's exit the
    second's. Here the second must be refused by the first's pid, and leave no trace."""
    first = forwarder(STEADY)
    segment, inode = first.segment(), identity_of(path_of(NAME))
    watcher = agent(forwarder=first)
    watcher.wait_line("^Watching")

    second = forwarder(STEADY, started=False)
    assert second.wait_exit() == 1, second.report()
    refusal, = second.lines(rf"--shm-name {NAME}: .* process {first.pid}\b.*alive")
    assert refusal.stream == "stderr" and second.lines("entering main loop") == []

    assert identity_of(path_of(NAME)) == inode and objects() == [NAME[1:]]
    ticks = segment.monitor().ticks
    now = segment.wait(lambda now: now.monitor.ticks > ticks + 2, "pings of the first")
    assert now.monitor.status == Status.RUNNING and now.monitor.deaths == 0, now.monitor
    assert watcher.running and len(watcher.lines()) == 1, watcher.report()
    assert first.terminate() == 0 and watcher.wait_exit() == 0
    assert objects() == []


def test_s3_the_name_follows_the_file_prefix(forwarder, agent):
    """Two instances of the original share one name whatever their --file-prefix is. Here each must
    have its own, which the agent finds by the same prefix."""
    plain = forwarder(["-p", "3", "-K", "100"], file_prefix=None)
    other = forwarder(["-p", "3", "-K", "100"], file_prefix="two")
    assert objects() == [DEFAULT_NAME[1:], DEFAULT_NAME[1:] + ".two"]
    for fwd, args in ((plain, []), (other, ["-f", "two"]), ):
        assert fwd.segment().snapshot().identity.pid == fwd.pid
        watcher = agent(args)
        watcher.wait_line(rf"^Watching {fwd.shm_name}: .*\bpid {fwd.pid}\b")
    assert other.terminate() == 0
    assert objects() == [DEFAULT_NAME[1:]] and plain.running


def test_s3_a_stale_segment_is_replaced_with_a_notice(forwarder):
    """The original takes any name it finds. Here only a dead owner's may be replaced, with a notice
    that names it, and by one newcomer only however many come at once."""
    killed = forwarder(STEADY)
    old = identity_of(path_of(NAME))
    killed.kill()
    assert identity_of(path_of(NAME)) == old

    newcomers = [forwarder(STEADY, started=False) for _ in range(3)]
    winner = wait_until(lambda: [fwd for fwd in newcomers if fwd.lines("entering main loop")],
                        "a winner")[0]
    notice, = winner.lines(rf"segment {NAME} was left behind by process {killed.pid}\b.*replaced")
    assert notice.stream == "stderr" and identity_of(path_of(NAME)) != old
    for loser in (fwd for fwd in newcomers if fwd is not winner):
        assert loser.wait_exit() == 1, loser.report()
        assert loser.lines(rf"process {winner.pid}\b.*alive") and not loser.lines("left behind")
    assert winner.segment().snapshot().identity.pid == winner.pid
    assert winner.terminate() == 0 and objects() == []


def test_s3_an_exit_takes_nobody_elses_segment_away(forwarder):
    """The original's exit unlinks whatever has its name. Here a segment that took the name after
    somebody had removed the first's must outlive the first."""
    first = forwarder(STEADY)
    path_of(NAME).unlink()
    second = forwarder(STEADY)
    inode = identity_of(path_of(NAME))
    assert first.terminate() == 0
    assert identity_of(path_of(NAME)) == inode
    assert second.segment().snapshot().identity.pid == second.pid


def _other_users_file(path):
    path.write_bytes(b"precious")
    os.chown(path, NOBODY, NOBODY)


def _other_users_stale_segment(path):
    ForgedSegment("/" + path.name, alive=False).close()
    os.chown(path, NOBODY, NOBODY)


def _symbolic_link(path):
    path.symlink_to("precious")
    (path.parent / "precious").write_bytes(b"precious")


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


PLACED = {
    "belongs to user 65534": [_other_users_file, _other_users_stale_segment],
    "is no keepalive segment": [_symbolic_link, _socket, os.mkdir, os.mkfifo,
                                lambda path: path.write_bytes(b"precious"),
                                lambda path: path.write_bytes(b"")],
}


def test_s4_what_another_placed_first_is_refused_and_left_alone(forwarder):
    """The original opens its name with O_CREAT but not O_EXCL and writes into what it finds. Here
    an object of another user or of another kind must be refused, named, and not be touched."""
    def state_of(path):
        found = os.lstat(path)
        content = path.read_bytes() if stat.S_ISREG(found.st_mode) else None
        return found.st_ino, found.st_mode, found.st_uid, found.st_mtime_ns, content

    started = []
    for why, ways in PLACED.items():
        for number, place in enumerate(ways):
            name = f"/ka-{len(why)}-{number}"
            place(path_of(name))
            started.append((why, name, state_of(path_of(name)), forwarder(
                ["-p", "3", "-K", "5", "--shm-name", name], started=False)))
    before = objects()
    for why, name, state, fwd in started:
        assert fwd.wait_exit() == 1, fwd.report()
        refusal, = fwd.lines(f"--shm-name {name}: /dev/shm{name} .*{why}")
        assert "remove it" in refusal.text and not fwd.lines("entering main loop"), fwd.report()
        assert state_of(path_of(name)) == state, name
    assert objects() == before and path_of("/precious").read_bytes() == b"precious"


def test_s4_a_user_without_rights_is_told_whose_object_it_is(forwarder):
    """The same from the other side: an ordinary user finds root's object."""
    path_of(NAME).write_bytes(bytes(SIZE))
    path_of(NAME).chmod(0o600)
    fwd = forwarder(STEADY, started=False, user=NOBODY, group=NOBODY, extra_groups=[])
    assert fwd.wait_exit() == 1, fwd.report()
    assert len(fwd.lines(f"/dev/shm{NAME} belongs to user 0")) == 1, fwd.report()
    assert objects() == [NAME[1:]]


# ---- S5, S6: who may read it ----


@pytest.mark.parametrize("umask", [0, 0o777])
def test_s5_the_mode_does_not_depend_on_the_umask(forwarder, umask):
    """The original's mode is 0666 less the umask. Here it must be 0600, or what was asked for,
    under any umask, the widest as the narrowest."""
    group = grp.getgrnam("games")
    forwarder(["-p", "3", "-K", "100", "--shm-name", "/a"], umask=umask)
    forwarder(["-p", "3", "-K", "100", "--shm-name", "/b", "--shm-mode", "0664", "--shm-group",
               group.gr_name], umask=umask)
    found = {name: os.stat(path_of(name)) for name in ("/a", "/b")}
    assert {name: oct(stat.S_IMODE(now.st_mode)) for name, now in found.items()} == {
        "/a": "0o600", "/b": "0o664"}
    assert {name: (now.st_uid, now.st_gid) for name, now in found.items()} == {
        "/a": (0, 0), "/b": (0, group.gr_gid)}


def test_s5_a_group_can_be_let_in_and_nobody_else(forwarder, agent, hook):
    """The original's agent needs write access, which only 0666 or root gives. Here a member of
    --shm-group must be served in full, and another user get one line that says what to do."""
    group = grp.getgrnam("games").gr_gid
    fwd = forwarder([*STEADY, "--shm-mode", "0660", "--shm-group", "games"], hook=hook)
    outsider = agent(forwarder=fwd, attached=False, user=NOBODY, group=NOBODY, extra_groups=[])
    assert outsider.wait_exit() == 3
    complaint, = outsider.lines()
    assert complaint.stream == "stderr" and NAME in complaint.text
    assert "permission denied" in complaint.text and "--shm-group" in complaint.text

    member = agent(forwarder=fwd, user=NOBODY, group=NOBODY, extra_groups=[group])
    worker = fwd.worker_of(port=0)
    die_and_recover(fwd.segment(), hook, worker)
    member.wait_line(rf"^1 dead cores: {worker},$")
    assert fwd.terminate() == 0 and member.wait_exit() == 0
    assert member.deaths() == [worker], member.report()


def test_s5_who_may_only_read_cannot_attach(forwarder, agent):
    """A segment that all may read lets nobody else take credit from its semaphore."""
    fwd = forwarder([*STEADY, "--shm-mode", "0644"])
    reader = agent(forwarder=fwd, attached=False, user=NOBODY, group=NOBODY, extra_groups=[])
    assert reader.wait_exit() == 3
    assert len(reader.lines("permission denied")) == len(reader.lines()) == 1, reader.report()
    assert not fwd.segment().is_locked(1)


def test_s6_a_second_agent_is_told_who_is_attached(forwarder, agent, hook):
    """Two agents of the original steal each other's wake-ups. Here the second must be told who
    holds the place, the first miss nothing, and the place be free at its end, even by SIGKILL."""
    fwd = forwarder(STEADY, hook=hook)
    segment, worker = fwd.segment(), fwd.worker_of(port=0)
    first = agent(forwarder=fwd)
    second = agent(forwarder=fwd, attached=False)
    assert second.wait_exit() == 3
    complaint, = second.lines()
    assert complaint.stream == "stderr" and f"pid {first.pid})" in complaint.text, complaint
    patient = agent(["--follow"], forwarder=fwd, attached=False)
    patient.wait_line("^Waiting")
    patient.wait_line(rf"pid {first.pid}\)", stream="stderr")

    for died in (1, 2):
        die_and_recover(segment, hook, worker)
        first.wait_line(rf"^1 dead cores: {worker},$", count=died)
    first.kill()
    patient.wait_line(rf"^2 deaths before this agent came: {worker} \(2 times\)\.$")
    assert first.deaths() == [worker] * 2 and patient.deaths() == []
    assert len(patient.lines(stream="stderr")) == 1, patient.report()
    assert segment.snapshot().agent_pid == patient.pid
    assert patient.terminate() == 0
    third = agent(forwarder=fwd)
    assert segment.is_locked(1) and segment.snapshot().agent_pid == third.pid


# ---- S7: what is left behind ----


def test_s7_an_error_exit_leaves_nothing(forwarder, preload):
    """The original leaves its segment on every error exit. Here nothing may be left, wherever in
    the start the error was."""
    errors = {
        "wrong mask": forwarder(["-p", "8", "-K", "5"], started=False),
        "no worker": forwarder(["-p", "3", "-K", "5"], started=False, lcores="0@0"),
        "no memory": forwarder(["-p", "3", "-K", "5"], started=False,
                               memory=["--no-huge", "-m", "8", "--no-shconf"]),
        "no such device": forwarder(["-p", "1", "-K", "5"], started=False,
                                    vdevs=["net_af_packet0,iface=nowhere"]),
    }
    for name in ("rte_eth_dev_start", "rte_keepalive_create", "rte_timer_reset"):
        errors[name] = forwarder(["-p", "3", "-K", "5"], started=False,
                                 preload=[preload("start_failures")], env={"KA_FAIL": name})
    for name, fwd in errors.items():
        assert fwd.wait_exit() in (1, 2), (name, fwd.report())
        assert fwd.lines("L2FWD: .*", stream="stderr"), (name, fwd.report())
    assert objects() == []


def test_s7_a_full_dev_shm_is_an_error_and_no_crash(start, build):
    """ftruncate() reserves nothing on tmpfs: where it is full, the first store would be SIGBUS."""
    tool = start(["unshare", "--mount", "sh", "-c",
                  f"mount -t tmpfs -o size=16k none /dev/shm && {build.segment_tool} churn /full 1;"
                  " echo ended with $?; ls /dev/shm"])
    assert tool.wait_exit() == 0, tool.report()
    assert tool.lines("No space left"), tool.report()
    assert [line.text for line in tool.lines(stream="stdout")] == ["ended with 1"], tool.report()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_s7_a_signal_leaves_nothing_at_any_moment(forwarder, number):
    """A signal must remove the segment, be it as soon as the segment is there or later."""
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME], started=False)
    segment = fwd.segment()
    fwd.signal(number)
    assert fwd.wait_exit() == 0, fwd.report()
    assert objects() == [] and segment.monitor().status == Status.STOPPED

    fwd = forwarder(MORTAL)
    segment = fwd.segment()
    segment.wait(lambda now: now.monitor.deaths > 3, "deaths")
    fwd.signal(number)
    assert fwd.wait_exit() == 0, fwd.report()
    assert objects() == [] and segment.monitor().status == Status.STOPPED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_s7_what_a_violent_end_leaves_is_known_as_stale(forwarder, agent, number):
    """The original's leftover looks like a healthy instance. Here an agent that watched must say
    that its owner died, and one that comes later that it is a leftover; both exit 3."""
    fwd = forwarder(STEADY)
    watcher = agent(forwarder=fwd)
    fwd.signal(number)
    assert fwd.wait_exit() == -number
    assert watcher.wait_exit() == 3
    assert watcher.lines()[-1].text == f"l2fwd-keepalive (pid {fwd.pid}) has died."
    assert objects() == [NAME[1:]]
    late = agent(forwarder=fwd, attached=False)
    assert late.wait_exit() == 3
    complaint, = late.lines()
    assert complaint.stream == "stderr"
    assert f"{NAME} is a leftover" in complaint.text and f"pid {fwd.pid})" in complaint.text


# ---- S8, S9: what it tells ----


def check_snapshot(snapshot, now_ns):
    """What must hold in any snapshot, in the middle of whatever."""
    monitor, watched = snapshot.monitor, snapshot.watched()
    for total in ("deaths", "restarts", "recoveries"):
        assert getattr(monitor, total) == sum(getattr(core, total) for core in watched.values())
    events = snapshot.events()
    numbers = [event.number for event in events]
    assert numbers == list(range(max(0, monitor.events - EVENTS) + 1, monitor.events + 1))
    for event in events:
        assert event.number == snapshot.event[(event.number - 1) % EVENTS].number
        assert event.kind in set(Kind) and event.lcore in watched and event.time_ns <= now_ns
        caused = event.kind in (Kind.DEATH, Kind.STARVED, Kind.STARVING, Kind.GIVEN_UP)
        assert (event.cause != Cause.NONE) == caused, event
    if monitor.events <= EVENTS:
        kinds = count_events(events)
        assert (kinds[Kind.DEATH], kinds[Kind.RESTART], kinds[Kind.RECOVERY]) == (
            monitor.deaths, monitor.restarts, monitor.recoveries), (kinds, monitor)
    for lcore, core in watched.items():
        assert snapshot.legacy.core_state[lcore] == core.state
        assert snapshot.legacy.core_last_seen_times[lcore] == core.last_seen_tsc
        assert core.restarts + core.recoveries <= core.deaths <= monitor.deaths, core
        assert core.last_outage_ns <= core.longest_outage_ns <= core.outages_ns, core
        for histogram, total_ns in ((snapshot.load[lcore].outages, core.outages_ns),
                                    (snapshot.load[lcore].detections, core.detections_ns)):
            least = sum(number << bucket for bucket, number in enumerate(histogram))
            # The last bucket has no upper end: a host can keep a worker from its CPU for long.
            assert least <= total_ns, (list(histogram), core)
            assert total_ns <= 2 * least or histogram[-1] > 0, (list(histogram), core)
        assert sum(snapshot.load[lcore].detections) == core.deaths
        assert (core.deaths == 0) == (core.died_ns == 0) == (core.cause == Cause.NONE), core
        assert max(core.last_seen_ns, core.died_ns, core.launched_ns) <= now_ns, (core, now_ns)
        own = [event for event in events if event.lcore == lcore and event.kind == Kind.DEATH]
        assert not own or (own[-1].time_ns, own[-1].cause) == (core.died_ns, core.cause)
    assert not any(any(bytes(core)) for lcore, core in enumerate(snapshot.core)
                   if lcore not in watched)


@contextlib.contextmanager
def away_from_the_main_lcore():
    """Look from another CPU where there is one: on its own, its changes look as if of one piece."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[1:] or cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


def test_s8_every_snapshot_is_of_one_moment(forwarder, start, build):
    """The original's fields are plain stores, state and time torn apart, times in ticks of unknown
    length. Here records, totals, events and the original's part must agree in every snapshot at
    10 000 pings a second with deaths, and last_seen_ns be of the monotonic clock."""
    fwd = forwarder(["-p", "3", "-K", "0.1", "--demo-lifetime", "0.02", "--seed", "3",
                     "--shm-name", NAME])
    segment = fwd.segment()
    hammer = start([build.segment_tool, "hammer", NAME, 60])
    worker = fwd.worker_of(port=0)
    snapshots, ages, deaths = 0, [], 0
    begin = time.monotonic()
    # So long at least; longer where the machine has little time for it.
    enough = begin + 1.5
    with away_from_the_main_lcore():
        while time.monotonic() < enough or snapshots < 1000 or deaths <= 11 or not ages:
            assert time.monotonic() < begin + 4 * PATIENCE, (snapshots, deaths, len(ages))
            snapshot = segment.snapshot()
            now_ns = time.monotonic_ns()
            core, monitor, legacy = snapshot.core[worker], snapshot.monitor, snapshot.legacy
            assert (legacy.core_state[worker], legacy.core_last_seen_times[worker]) == (
                core.state, core.last_seen_tsc), "torn apart"
            assert (monitor.deaths, monitor.restarts, monitor.recoveries) == (
                core.deaths, core.restarts, core.recoveries), (monitor, core)
            if deaths != core.deaths:
                check_snapshot(snapshot, now_ns)
                deaths = core.deaths
            if core.state == State.ALIVE:
                ages.append(now_ns - core.last_seen_ns)
            snapshots += 1
            # The worker shares this CPU. Without naps a kernel kept it from running for a minute.
            if snapshots % 50 == 0:
                time.sleep(0.0005)
    assert 0 <= min(ages) < 20_000_000, min(ages)
    assert core.restarts > 10, snapshot.monitor
    assert hammer.terminate() == 0, hammer.report()
    opened, mixed = map(int, hammer.lines(r"^opened (\d+) .*mixed (\d+)")[0].match.groups())
    assert opened > 100 and mixed <= opened / 10, hammer.report()


def test_s9_who_comes_late_learns_of_every_death(forwarder, agent):
    """The original shows the state of the moment only. Here counters must have all deaths, restarts
    and returns of each core, the ring the last 256 events with cause and time, and an agent that
    comes late must tell the sum."""
    fwd = forwarder(MORTAL, vdevs=["net_null0", "net_null1"], lcores="0@0,1@1,2@0")
    late = fwd.segment().wait(lambda now: now.monitor.events > EVENTS + 20, "300 events")
    check_snapshot(late, time.monotonic_ns())
    assert list(late.watched()) == [1, 2] and len(late.events()) == EVENTS
    for lcore, core in late.watched().items():
        assert core.deaths > 20, (lcore, core)
        assert core.restarts + core.recoveries >= core.deaths - 1, (lcore, core)
        story = [event for event in late.events() if event.lcore == lcore]
        for before, after in zip(story, story[1:]):
            assert before.time_ns <= after.time_ns
            if before.kind == Kind.RESTART and after.kind == Kind.BACK:
                assert 0 < after.outage_ns <= core.longest_outage_ns
        assert all(event.silent_ns > 0 for event in story if event.kind == Kind.DEATH)

    watcher = agent(forwarder=fwd)
    fwd.freeze()
    final = fwd.segment().monitor().deaths
    fwd.thaw()
    watcher.wait_line("^1 dead cores")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    told = collections.Counter(watcher.earlier_deaths() + watcher.deaths())
    total = fwd.deaths()
    assert told == collections.Counter(total), (told, watcher.report())
    assert late.monitor.deaths <= len(watcher.earlier_deaths()) <= final <= len(total)


def test_s9_one_death_is_not_followed_by_a_recovery_and_a_restart(forwarder, hook):
    """A worker that is thought to hang gives one more heartbeat and leaves its loop, all between
    two pings: it is launched again, and back with the first heartbeat of the new life, not before."""
    hook.live(1, 0.5)
    fwd = forwarder(["-p", "3", "-K", "100", "--demo-lifetime", "8", "--shm-name", NAME], hook=hook)
    segment, worker = fwd.segment(), fwd.worker_of(port=0)
    segment.wait(lambda now: now.core[worker].state == State.ALIVE, "a ping")
    hook.hold(worker, Mode.SPIN)
    dead = segment.wait(lambda now: now.core[worker].deaths == 1, "the death").core[worker]
    wait_until(lambda: time.monotonic_ns() - dead.launched_ns > 600e6, "the end of that life")
    hook.live(worker, 60)
    hook.hold_launch()  # So that no heartbeat of the new life comes between.
    hook.release(worker)
    hook.wait_in_launch()
    ticks = segment.monitor().ticks
    segment.wait(lambda now: now.monitor.ticks > ticks + 2, "pings behind it")
    assert segment.story() == [Kind.DEATH, Kind.RESTART], fwd.report()
    hook.release_launch()
    segment.wait(lambda now: len(segment.story()) >= 3, "the return")
    now = segment.snapshot()
    assert segment.story() == [Kind.DEATH, Kind.RESTART, Kind.BACK], (
        now.core[worker], fwd.report())
    assert (now.core[worker].restarts, now.core[worker].recoveries) == (1, 0)


# ---- The readers that there are ----


def test_the_original_agent_finds_a_dead_core_whenever_it_is_woken(forwarder):
    """The original's agent maps 1568 bytes to write, waits, and counts the cores in state DEAD: at
    each wake-up it must find one, unless it came to look only after the next ping."""
    period = 0.02
    fwd = forwarder(["-p", "3", "-K", str(period * 1000), "--demo-lifetime", "0.1", "--seed", "1",
                     "--shm-name", NAME], lcores="0@0,1@1,2@0")
    segment, reader = fwd.segment(), OriginalReader(NAME)
    late, empty = 0, []
    for _ in range(40):
        dead = reader.wait(15)
        now_ns = time.monotonic_ns()
        assert dead is not None, (segment.monitor(), fwd.report())
        newest = max(core.died_ns for core in segment.snapshot().watched().values())
        if dead == []:
            late += 1
            empty += [] if now_ns - newest > period * 1e9 else [now_ns - newest]
        assert set(dead) <= {1, 2}
    assert empty == [] and late <= 10, (empty, late)
    assert segment.monitor().deaths >= 40


def test_the_credit_of_the_semaphore_is_bounded(forwarder, agent):
    """Each death of the original that nobody waits for adds credit for ever. Here it must end at
    one a core, and an agent that comes then must still get each death once."""
    fwd = forwarder(["-p", "3", "-K", "1", "--demo-lifetime", "0.005", "--seed", "1", "--shm-name",
                     NAME], lcores="0@0,1@1,2@0")
    segment = fwd.segment()
    before = segment.wait(lambda now: now.monitor.deaths > 150, "150 deaths").monitor.deaths
    assert segment.credit() == 128
    watcher = agent(forwarder=fwd)
    watcher.wait_line("dead cores", count=3)
    assert segment.credit() < 128
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert len(watcher.earlier_deaths()) >= before
    assert len(watcher.earlier_deaths() + watcher.deaths()) == segment.monitor().deaths

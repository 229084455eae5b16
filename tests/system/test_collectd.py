# SPDX-License-Identifier: BSD-3-Clause
"""The real collectd reads our segment as it reads the original's, and lives through what we do."""

import os
import shutil
from pathlib import Path

import pytest

from support.deadline import wait_until
from support.hook import Mode
from support.process import Process
from support.segment import State, objects

COLLECTD = shutil.which("collectd", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
TYPES = Path("/usr/share/collectd/types.db")

pytestmark = pytest.mark.skipif(COLLECTD is None or not TYPES.exists(),
                                reason="apt-get install collectd-core")

CONFIGURATION = """
Hostname "test"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/collectd.pid"
TypesDB "{types}"
Interval {interval:g}
# A read that failed is tried again at once; by default the pause doubles each time.
MaxReadInterval {interval:g}
ReadThreads 1
WriteThreads 1
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File stdout
  Timestamp false
</Plugin>
LoadPlugin dpdkevents
<Plugin dpdkevents>
  <Event "keep_alive">
    SendEventsOnUpdate {updates}
    LCoreMask "{lcores:#x}"
    KeepAliveShmName "{name}"
    SendNotification true
  </Event>
</Plugin>
"""

# What a host sends to, and the one that many hosts send to.
SENDER = """
LoadPlugin network
<Plugin network>
  Server "127.0.0.1" "25826"
</Plugin>
"""
CENTRE = """
Hostname "centre"
FQDNLookup false
BaseDir "{directory}"
PIDFile "{directory}/collectd.pid"
TypesDB "{types}"
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File stdout
  Timestamp false
</Plugin>
LoadPlugin network
<Plugin network>
  Listen "127.0.0.1" "25826"
</Plugin>
"""

# How bad collectd takes each state to be.
SEVERITY = {"UNUSED": "OKAY", "ALIVE": "OKAY", "DOZING": "OKAY", "SLEEP": "OKAY",
            "MISSING": "WARNING", "DEAD": "FAILURE", "GONE": "FAILURE"}


class Collectd(Process):
    """collectd in the foreground; every state it reads is a line, or every change of one."""

    NOTIFICATION = r"^Notification: severity = (\w+), .* lcore (\d+) Keep Alive Status: (\w+)$"

    def states(self, lcore, after=None):
        """[(Line, state)] of an lcore, as notified so far."""
        found = []
        for line in self.lines(self.NOTIFICATION, after=after):
            severity, number, state = line.match.groups()
            assert severity == SEVERITY[state], line.text
            if int(number) == lcore:
                found.append((line, state))
        return found

    def wait_state(self, lcore, state, after=None):
        """The first notification of a state behind a line."""
        pattern = rf"^Notification: .* lcore {lcore} Keep Alive Status: {state}$"
        return self.wait_line(pattern, after=after)

    def wait_states(self, lcore, count, after=None):
        """The next `count` states that are notified of an lcore."""
        def enough():
            assert self.running, f"collectd ended with {self.returncode}\n{self.report()}"
            found = self.states(lcore, after)
            return found if len(found) >= count else None
        return [state for _, state in wait_until(enough, f"{count} notifications")[:count]]

    def last_line(self):
        return self.lines()[-1]


@pytest.fixture
def collectd(start, tmp_path):
    def start_collectd(name, *, lcores=(1,), interval=0.1, updates=False, more=""):
        directory = tmp_path / "collectd"
        directory.mkdir()
        configuration = directory / "collectd.conf"
        configuration.write_text(CONFIGURATION.format(
            directory=directory, types=TYPES, interval=interval, name=name,
            updates=str(updates).lower(), lcores=sum(1 << lcore for lcore in lcores)) + more)
        daemon = start([COLLECTD, "-f", "-C", configuration], kind=Collectd, name="collectd")
        daemon.wait_line("Initialization complete")
        return daemon
    return start_collectd


@pytest.mark.once
def test_w2_collectd_finds_a_healthy_core_okay_and_never_warns(forwarder, collectd):
    """W2: of the original, collectd says WARNING "MISSING" for ever; a healthy core is ALIVE."""
    fwd = forwarder(["-p", "3", "-K", "500"])
    fwd.segment().wait(lambda now: now.monitor.ticks > 0, "a ping")
    daemon = collectd(fwd.shm_name, interval=0.05)
    assert daemon.wait_states(1, 40) == ["ALIVE"] * 40
    assert daemon.lines("WARNING|FAILURE|[Ff]ail") == []
    assert fwd.terminate() == 0


@pytest.mark.once
def test_collectd_reports_each_death_and_the_return(forwarder, collectd):
    """A death is FAILURE, preceded by a WARNING of the first missed ping, and then OKAY again."""
    fwd = forwarder(["-p", "3", "-K", "200", "--demo-lifetime", "0.3", "--seed", "2"])
    segment = fwd.segment()
    daemon = collectd(fwd.shm_name, interval=0.02, updates=True)
    wait_until(lambda: [state for _, state in daemon.states(1)].count("DEAD") >= 3, "3 deaths")
    daemon.wait_state(1, "ALIVE", after=daemon.wait_line("DEAD$", count=3))
    assert segment.monitor().deaths >= 3
    assert daemon.running and fwd.terminate() == 0

    states = [state for _, state in daemon.states(1)]
    after_death = {after for state, after in zip(states, states[1:]) if state == "DEAD"}
    before_death = {before for before, state in zip(states, states[1:]) if state == "DEAD"}
    assert after_death == {"ALIVE"} and before_death == {"MISSING"}, states


@pytest.mark.once
def test_collectd_sees_a_hung_worker_down_until_it_returns(forwarder, collectd, hook):
    """FAILURE, and nothing else, for as long as the worker hangs; OKAY once it moves again."""
    fwd = forwarder(["-p", "3", "-K", "20"], hook=hook)
    worker = fwd.worker_of(port=0)
    daemon = collectd(fwd.shm_name, lcores=[worker], interval=0.02)
    hook.hold(worker, Mode.SPIN)
    dead = daemon.wait_line("severity = FAILURE")
    assert set(daemon.wait_states(worker, 20, after=dead)) <= {"DEAD", "GONE"}
    last = daemon.last_line()
    hook.release(worker)
    daemon.wait_state(worker, "ALIVE", after=last)
    assert fwd.terminate() == 0


@pytest.mark.once
def test_collectd_at_its_own_pace_is_told_of_each_death_that_is_held(forwarder, collectd, hook):
    """--alarm-hold: a death of some milliseconds lasts until collectd has looked; then OKAY again.

    KA_ALARM_DEATHS=50 tries it at collectd's pace of 1 s, with a hold of 2 s.
    """
    deaths = int(os.environ.get("KA_ALARM_DEATHS", 0))
    interval = 1 if deaths else 0.15
    deaths = deaths or 4
    hook.live(1, 5 * interval)
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "1",
                     "--alarm-hold", round(2000 * interval)], hook=hook)
    segment = fwd.segment()
    daemon = collectd(fwd.shm_name, interval=interval, updates=True)
    dead = 0
    for _ in range(deaths):
        dead = segment.wait(lambda now: now.core[1].deaths > dead, "a death",
                            timeout=20 * interval + 10).core[1].deaths
        # The original's agent, woken by another core's death, would not name this one again.
        segment.wait(lambda now: now.core[1].state == State.ALIVE, "its return")
        assert segment.snapshot().legacy.core_state[1] == State.GONE
    segment.wait(lambda now: now.legacy.core_state[1] == State.ALIVE, "the end of the alarm",
                 timeout=20 * interval + 10)

    def changes():
        told = [SEVERITY[state] for _, state in daemon.states(1)
                if state not in ("MISSING", "UNUSED")]
        return [now for now, before in zip(told, [None, *told]) if now != before]
    wait_until(lambda: len(changes()) > 2 * deaths, "that the last alarm is over")
    assert fwd.terminate() == 0
    assert changes()[:2 * deaths + 1] == ["OKAY", *["FAILURE", "OKAY"] * deaths]


def test_collectd_hands_a_death_on_to_that_of_another_host(
        forwarder, collectd, start, hook, tmp_path):
    """Its network plugin carries notifications: the centre tells who died, and on which host."""
    directory = tmp_path / "centre"
    directory.mkdir()
    configuration = directory / "collectd.conf"
    configuration.write_text(CENTRE.format(directory=directory, types=TYPES))
    centre = start([COLLECTD, "-f", "-C", configuration], name="centre")
    centre.wait_line("Initialization complete")
    fwd = forwarder(["-p", "3", "-K", "20"], hook=hook)
    collectd(fwd.shm_name, interval=0.05, updates=True, more=SENDER)
    hook.hold(1, Mode.SPIN)
    centre.wait_line(r"^Notification: severity = FAILURE, host = test, plugin = dpdkevents, .* "
                     r"lcore 1 Keep Alive Status: (DEAD|GONE)$")
    hook.release(1)
    assert fwd.terminate() == 0


@pytest.mark.once
def test_collectd_lives_through_20_restarts_of_the_forwarder(forwarder, collectd):
    """S1: one collectd follows 21 instances that end by SIGTERM and SIGKILL in turn.

    Workers run on lcore 1 and 2 in turn, so that what it says shows which instance it reads.
    """
    def start_instance(number):
        return forwarder(["-p", "1", "-K", "100", "--shm-name", "/restarts"],
                         vdevs=["net_null0"], lcores=f"0@0,{1 + number % 2}@1")

    fwd = start_instance(0)
    daemon = collectd("/restarts", lcores=[1, 2], interval=0.02)
    pid = daemon.pid
    for number in range(21):
        if number > 0:
            (fwd.terminate if number % 3 else fwd.kill)()
            fwd = start_instance(number)
        watched, other = 1 + number % 2, 2 - number % 2
        alive = daemon.wait_state(watched, "ALIVE", after=fwd_started(daemon, fwd))
        assert daemon.wait_states(other, 2, after=alive) == ["UNUSED"] * 2
        assert set(daemon.wait_states(watched, 2, after=alive)) == {"ALIVE"}
    assert fwd.terminate() == 0
    assert daemon.running and daemon.pid == pid
    assert "restarts" not in objects()


def fwd_started(daemon, fwd):
    """The last line of collectd from before an instance of the forwarder was started."""
    earlier = [line for line in daemon.lines() if line.time < fwd.started_at]
    return earlier[-1] if earlier else None


def test_s1_collectd_lives_through_10000_segments(start, build, forwarder, collectd):
    """S1: a reader between creation and initialisation of the original's gets SIGBUS."""
    name = "/churned"
    fwd = forwarder(["-p", "3", "-K", "100", "--shm-name", name])
    daemon = collectd(name, interval=0.0001)
    daemon.wait_state(1, "ALIVE")
    assert fwd.terminate() == 0

    churn = start([build.segment_tool, "churn", name, 10000], name="churn")
    assert churn.wait_exit(60) == 0, churn.report()
    assert daemon.running, f"collectd ended with {daemon.returncode}"
    met = [state for line, state in daemon.states(1) if line.time > churn.started_at]
    assert len(met) >= 50, f"collectd met {len(met)} of 10000 segments"
    assert set(met) == {"UNUSED"}

    # It still reads: nothing but a forwarder publishes ALIVE.
    fwd = forwarder(["-p", "3", "-K", "100", "--shm-name", name])
    daemon.wait_state(1, "ALIVE", after=daemon.last_line())
    assert fwd.terminate() == 0
    assert daemon.running

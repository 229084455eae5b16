# SPDX-License-Identifier: BSD-3-Clause
"""One run of the forwarder under faults: the programs, and what is read of them meanwhile."""

import collections
import itertools
import os
import tempfile
import threading
import time
from pathlib import Path

from support.deadline import PATIENCE, wait_until
from support.hook import Hook
from support.programs import Agent, Forwarder, lcore_map
from support.segment import EVENTS, SHM, Cause, Event, Kind, State, objects

_number = itertools.count(1)

# What the forwarder says at its end, when its pools are not full again.
NOT_BACK = "mbufs did not come back"

# Restarts that no campaign reaches.
NO_LIMIT = ["--max-restarts", "1000000/1"]


class Watch(threading.Thread):
    """Keeps all events of a segment; its ring holds the last 256 only."""

    PERIOD = 0.02

    def __init__(self, segment):
        super().__init__(daemon=True)
        self.segment = segment
        self.events = []
        self.missed = 0  # Events that were overwritten before they could be read.
        self._last = 0
        self._end = threading.Event()
        self._busy = threading.Lock()

    def run(self):
        while not self._end.wait(self.PERIOD):
            self.look()

    def look(self):
        with self._busy:
            snapshot = self.segment.snapshot()
            newest = snapshot.monitor.events
            first = max(self._last, newest - EVENTS) + 1
            self.missed += first - 1 - self._last
            for number in range(first, newest + 1):
                event = snapshot.event[(number - 1) % EVENTS]
                self.events.append(Event.from_buffer_copy(event))
            self._last = newest

    def stop(self):
        self._end.set()
        self.join()
        self.look()

    def count(self, kind, lcore=None, cause=None):
        """Events of a kind so far, of an lcore and a cause if given."""
        return sum(event.kind == kind and lcore in (None, event.lcore) and
                   cause in (None, event.cause) for event in list(self.events))

    def back(self, lcore=None):
        """Deaths that are over, with or without a restart."""
        return self.count(Kind.BACK, lcore) + self.count(Kind.RECOVERY, lcore)


class Scene:
    """A forwarder with its agent: `with Scene(world, args) as scene`.

    At the end both are told to stop. .complaints then holds what must not be in any campaign:
    another exit status than exit_code (None: whatever), mbufs that did not come back, a segment
    left behind, events or lines that were lost.
    """

    def __init__(self, world, args, *, workers=2, exit_code=0, blocked=False, hook=None,
                 leaves_segment=False, **process):
        prefix = f"c{os.getpid()}-{next(_number)}"
        self.complaints = []
        self.workers = list(range(1, workers + 1))
        self.hook = hook or Hook(world.hook_library, world.directory / f"hook-{prefix}")
        self._world = world
        self._args = ["-p", "3", *args]
        self._prefix = prefix
        self._exit_code = exit_code
        self._blocked = blocked
        self._leaves_segment = leaves_segment
        self._process = process

    def __enter__(self):
        build = self._world.build
        self._close = []
        name = f"/dpdk_keepalive_shm_name.{self._prefix}"
        self.agent = Agent(build, ["-v", "--follow", "--shm-name", name],
                           env=build.environment(), report_dir=build.reports)
        self._close.append(self.agent)
        try:
            self._start(build)
        except BaseException:
            self.__exit__(AssertionError, None, None)
            raise
        return self

    def _start(self, build):
        if self._blocked:
            self._process["stdout"] = self._process["stderr"] = self._full_pipe()
            self.hook.shrink_pipes()
            # Enough lines to fill the forwarder's own pipe at its start.
            self._process["eal"] = ["--log-level=lib.eal:debug"]
        self.forwarder = Forwarder(
            build, self._args, lcores=lcore_map(len(self.workers) + 1), file_prefix=self._prefix,
            env=build.environment([self.hook.library], {"KA_HOOK": str(self.hook.path)}),
            report_dir=build.reports, **self._process)
        self._close.append(self.forwarder)
        self.segment = self.forwarder.segment()
        self.agent.wait_line(r"^Watching ")
        self.watch = Watch(self.segment)
        self.watch.start()

    def _full_pipe(self):
        """A pipe that takes nothing, and that nobody reads."""
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        try:
            while True:
                os.write(self._pipe[1], b"." * 4096)
        except BlockingIOError:
            os.set_blocking(self._pipe[1], True)
        return self._pipe[1]

    def core(self, lcore):
        return self.segment.core(lcore)

    def lives(self):
        """{lcore: lives begun}, as each worker itself counted them, in the hook."""
        return {lcore: self.hook.lives(lcore) for lcore in self.workers}

    def worker_thread(self, lcore):
        """Thread id of a worker, by the name that EAL gives it (22.11: lcore-worker-N)."""
        for task in Path(f"/proc/{self.forwarder.pid}/task").iterdir():
            if (task / "comm").read_text().strip() in (f"lcore-worker-{lcore}",
                                                       f"rte-worker-{lcore}",
                                                       f"dpdk-worker{lcore}"):
                return int(task.name)
        raise AssertionError(f"no thread of lcore {lcore}")

    def all_alive(self):
        snapshot = self.segment.snapshot()
        return all(snapshot.core[lcore].state == State.ALIVE for lcore in self.workers)

    def wait_alive(self, timeout=PATIENCE):
        wait_until(self.all_alive, "all workers alive", timeout)

    def moves(self, lcore, within=2.0):
        """Whether a worker gives heartbeats, by the hook's own count of them."""
        before = self.hook.marks(lcore)
        try:
            wait_until(lambda: self.hook.marks(lcore) != before, "a heartbeat", within)
        except AssertionError:
            return False
        return True

    def agent_deaths(self, lcore=None):
        """Deaths that the agent reported."""
        cores = self.agent.earlier_deaths() + self.agent.deaths()
        return len(cores) if lcore is None else cores.count(lcore)

    def agent_causes(self, cause):
        """Deaths of a cause in the agent's story of the events (-v)."""
        return len(self.agent.lines(rf"^  core \d+ died: {cause},"))

    def wait_reported(self):
        """Wait until the agent has told of every death so far; what it leaves out is a complaint."""
        try:
            wait_until(lambda: self.agent_deaths() >= self.segment.snapshot().monitor.deaths,
                       "the agent to report all deaths", 5)
        except AssertionError as error:
            self.complaints.append(str(error))

    def wait_seen(self):
        """Wait until the monitor has looked at its workers as they are now, and all live."""
        pings = self.hook.pings
        wait_until(lambda: self.hook.pings >= pings + 2, "two pings")
        self.wait_alive()

    def __exit__(self, kind, error, traceback):
        watch = getattr(self, "watch", None)
        forwarder = getattr(self, "forwarder", None)
        if kind is None:
            self._end(forwarder)
        if watch is not None:
            watch.stop()
            if watch.missed:
                self.complaints.append(f"{watch.missed} events could not be read in time")
        if kind is None:
            self.last = self.segment.snapshot()
        for thing in reversed(self._close):
            self.complaints += thing.close()
        self._keep_logs()
        self.hook.close()
        if self._blocked:
            for end in self._pipe:
                os.close(end)
        for path in [*SHM.iterdir()]:
            path.unlink()
        if kind is not None and forwarder is not None and issubclass(kind, AssertionError):
            print(forwarder.report(), self.agent.report(), sep="\n", flush=True)

    def _keep_logs(self):
        if self._world.logs is None:
            return
        for number, process in enumerate(self._close):
            text = process.report(last=10**9) + "\n"
            (self._world.logs / f"{self._prefix}-{process.name}").write_text(text)

    def _end(self, forwarder):
        self.hook.release_all()
        self.terminated_at = time.monotonic()
        code = forwarder.terminate()
        if self._exit_code is not None and code != self._exit_code:
            self.complaints.append(f"the forwarder's exit status is {code}, not {self._exit_code}")
        # It is silent about a full pool: a line that was lost would look the same.
        for line in forwarder.lines(rf"{NOT_BACK}|lines lost while output"):
            self.complaints.append(line.text)
        if not self._leaves_segment and objects() != []:
            self.complaints.append(f"left in /dev/shm: {', '.join(objects())}")
        # What was there to be read in the end it reads now.
        self.agent.wait_line(r"^l2fwd-keepalive .* has (stopped|died|aborted)")
        self.agent.terminate()


def temporary_directory():
    return tempfile.TemporaryDirectory(prefix="ka-campaign-")


def causes_seen(watch):
    """{cause's name: deaths} for a complaint."""
    counts = collections.Counter(event.cause for event in watch.events if event.kind == Kind.DEATH)
    return {Cause(cause).name: count for cause, count in sorted(counts.items())}

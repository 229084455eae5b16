# SPDX-License-Identifier: BSD-3-Clause
"""The programs under test, on the same two CPUs: lcore 0 on the first, worker on the second."""

import contextlib
import itertools
import os
import subprocess
import time
from pathlib import Path

from support.deadline import wait_until
from support.process import Process
from support.programs import Forwarder

import preloads

_number = itertools.count(1)

NULL = ("net_null0", "net_null1")

# What l2fwd-keepalive has, for testpmd.
TESTPMD = ["--rxd=1024", "--txd=1024", "--burst=32", "--mbcache=256", "--nb-cores=1"]

# So that two testpmds and their huge pages fit (its own default is 155648), and neither waits for
# the link to the other.
SMALL = ["--total-num-mbufs=8192", "--disable-link-check"]


def next_prefix():
    """A file prefix that nobody else has."""
    return f"b{os.getpid()}-{next(_number)}"


def memif(role, sockets):
    """The virtual devices of two memif ports; 2^10 descriptors, frames are copied."""
    return [f"net_memif{port},role={role},id={port},socket={path},socket-abstract=no,rsize=10"
            for port, path in enumerate(sockets)]


def huge_pages_free():
    try:
        return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())
    except OSError:
        return 0


# Three forwarders and two testpmds stand beside each other, each frozen while another runs.
HUGE = huge_pages_free() >= 480


def memory(megabytes):
    return ["--in-memory"] if HUGE else ["--no-huge", "-m", str(megabytes), "--no-shconf"]


class Cpus:
    """The two CPUs. We stay on the first one, so that the worker's own is its own."""

    def __init__(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise SystemExit("bench: takes two CPUs, one for the worker alone")
        self.main, self.worker = allowed[0], allowed[1]
        os.sched_setaffinity(0, {self.main})

    @property
    def lcores(self):
        return f"0@{self.main},1@{self.worker}"


class Testpmd(Process):
    """dpdk-testpmd, forwarding from its start; or, with interactive, when it is told to."""

    def __init__(self, mode, lcores, *, vdevs=NULL, args=(), interactive=False, **process):
        self._keyboard, ours = os.pipe()
        self._type_fd = ours
        super().__init__(
            ["dpdk-testpmd", "--no-pci", *memory(1024), "--lcores", lcores,
             "--file-prefix", next_prefix(),
             *(f"--vdev={vdev}" for vdev in vdevs), "--", f"--forward-mode={mode}",
             "-i" if interactive else "--auto-start", *TESTPMD, *args],
            name=f"testpmd {mode}", stdin=self._keyboard, **process)
        os.close(self._keyboard)

    def say(self, text):
        os.write(self._type_fd, text.encode() + b"\n")

    def close(self, patience=15.0):
        # In its interactive way it hears no signal before it has read a line.
        if self.running and self._type_fd is not None:
            self.say("quit")
        complaints = super().close(patience)
        if self._type_fd is not None:
            os.close(self._type_fd)
            self._type_fd = None
        return complaints


def forwarder(build, lcores, args, *, vdevs=NULL, **process):
    """l2fwd-keepalive with one worker for two ports, and no deaths unless asked for."""
    return Forwarder(build, ["-p", "3", "-q", "2", *args], lcores=lcores, vdevs=vdevs,
                     file_prefix=next_prefix(), **process)


def use_memory_of_bench():
    """The forwarder's memory as testpmd's."""
    import support.programs
    support.programs.memory_options = lambda: memory(128)


def memory_of(process):
    """(resident, huge pages) in MiB."""
    found = {}
    for text in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        name, _, value = text.partition(":")
        if name in ("VmRSS", "HugetlbPages"):
            found[name] = int(value.split()[0]) / 1024
    return found["VmRSS"], found["HugetlbPages"]


def cpu_ns(pid, tid=None):
    """CPU time that a thread has used (default: the first one of a process)."""
    return int(Path(f"/proc/{pid}/task/{tid or pid}/schedstat").read_text().split()[0])


# A worker that had its CPU for less of a window than this was robbed of it: no figure.
OWN_SHARE = 0.97


def _worker_thread(pid):
    """Thread id of lcore 1, by the name that EAL gives it (22.11: lcore-worker-1)."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() in ("lcore-worker-1", "rte-worker-1",
                                                   "dpdk-worker1"):
            return int(task.name)
    raise AssertionError(f"no thread of lcore 1 in {pid}")


class Subject:
    """A program whose forwarding rate is measured, with the sampler in it."""

    def __init__(self, directory, start, inject=0, others=()):
        self.sampler = preloads.Sampler(directory, inject)
        self.others = others
        self.process = start(self.sampler.environment())

    def wait_first(self, timeout=20):
        def sent():
            assert self.process.running, f"it ended\n{self.process.report()}"
            return self.sampler.first_ns
        wait_until(sent, "the first frame", timeout)
        self._worker = _worker_thread(self.process.pid)
        self.start_ms = self.sampler.first_ns / 1e6 - self.process.started_at * 1e3

    def freeze(self):
        for process in [self.process, *self.others]:
            process.freeze()

    def thaw(self):
        for process in [*self.others, self.process]:
            process.thaw()

    def turn(self, seconds, warm_s):
        """Run for a while, then stand still; frames a second after the first warm_s.

        None when the window says nothing.
        """
        used = cpu_ns(self.process.pid, self._worker)
        begin = time.monotonic_ns()
        self.thaw()
        time.sleep(warm_s + seconds)
        end = time.monotonic_ns()
        self.freeze()
        used = cpu_ns(self.process.pid, self._worker) - used
        if used < OWN_SHARE * (end - begin):
            return None
        return self.sampler.rate(begin + round(warm_s * 1e9), end)

    def close(self):
        complaints = []
        for process in [self.process, *self.others]:
            complaints += process.close()
        self.sampler.remove()
        return complaints


def _schedule_all_threads(policy):
    for thread in os.listdir("/proc/self/task"):
        os.sched_setscheduler(int(thread), policy, os.sched_param(0))


@contextlib.contextmanager
def unobtrusive():
    """Whatever else wants our CPU, the main lcore of a program under test above all, has it at once.

    That is for all our threads, those that read its lines too. Not for processes started meanwhile.
    """
    _schedule_all_threads(os.SCHED_IDLE | os.SCHED_RESET_ON_FORK)
    try:
        yield
    finally:
        _schedule_all_threads(os.SCHED_OTHER)


def version_of(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

# SPDX-License-Identifier: BSD-3-Clause
"""The two programs under test as Processes that know what they were started with."""

import os
import re

from .deadline import PATIENCE
from .process import Process
from .segment import DEFAULT_NAME, Segment


def lcore_map(count):
    """EAL's --lcores for `count` lcores, 0 the main one, spread over the CPUs that we may use."""
    cpus = sorted(os.sched_getaffinity(0))
    return ",".join(f"{lcore}@{cpus[lcore % len(cpus)]}" for lcore in range(count))


def memory_options(megabytes=128):
    """No huge pages, so that the tests run anywhere; KA_TEST_HUGE=1 takes huge pages."""
    if os.environ.get("KA_TEST_HUGE") == "1":
        return ["--in-memory", "--single-file-segments"]
    return ["--no-huge", "-m", str(megabytes), "--no-shconf"]


def _value(args, *names):
    """Value of an option in an argument list, None if it is not there."""
    for at, arg in enumerate(args):
        for name in names:
            if arg == name:
                return args[at + 1]
            if arg.startswith(name + "="):
                return arg[len(name) + 1:]
            if not name.startswith("--") and arg.startswith(name) and arg != name:
                return arg[len(name):]
    return None


class Forwarder(Process):
    """l2fwd-keepalive."""

    def __init__(self, build, args=(), *, eal=(), lcores=None, vdevs=("net_null0", "net_null1"),
                 file_prefix=None, quiet=True, before=(), memory=None, **process):
        args = [str(arg) for arg in args]
        if quiet and _value(args, "--demo-lifetime") is None:
            args += ["--demo-lifetime", "0"]
        # Tests want more deaths a second than a forwarder should bear.
        if _value(args, "--max-restarts") is None:
            args += ["--max-restarts", "100000/1"]
        if quiet and _value(args, "-T", "--stats-period") is None:
            args += ["-T", "0"]
        prefix = ["--file-prefix", file_prefix] if file_prefix else []
        self.file_prefix = file_prefix
        self.shm_name = _value(args, "--shm-name") or (
            f"{DEFAULT_NAME}.{file_prefix}" if file_prefix not in (None, "rte") else DEFAULT_NAME)
        self.ports = self._count_ports(args, vdevs)
        self._segments = []
        super().__init__(
            [*before, build.forwarder, "--no-pci", *(memory or memory_options()), "--lcores",
             lcores or lcore_map(2),
             *prefix, *(f"--vdev={vdev}" for vdev in vdevs), *eal, "--", *args],
            name=build.forwarder.name, **process)

    @staticmethod
    def _count_ports(args, vdevs):
        try:
            return int(_value(args, "-p", "--portmask"), 16).bit_count()
        except (TypeError, ValueError):
            return len(vdevs)

    def wait_started(self, timeout=PATIENCE):
        """Wait until every port is polled by a worker that said so. Returns self."""
        self.wait_line(r"L2FWD: entering main loop on lcore \d+", timeout)
        self.wait_line(r"-- lcoreid=\d+ portid=\d+", timeout, count=self.ports)
        return self

    def worker_of(self, port=0):
        """The lcore that polls a port."""
        return int(self.wait_line(rf"-- lcoreid=(\d+) portid={port}$").match[1])

    def segment(self, timeout=PATIENCE):
        """Its segment, opened anew."""
        segment = Segment(self.shm_name, timeout)
        self._segments.append(segment)
        return segment

    def deaths(self):
        """[lcore of each "Dead core N" line]."""
        return [int(line.match[1]) for line in self.lines(r"^Dead core (\d+) - ")]

    def close(self):
        for segment in self._segments:
            segment.close()
        return super().close()


class Agent(Process):
    """ka-agent."""

    REPORT = re.compile(r"^(\d+) dead cores: (.*)")
    EARLIER = re.compile(r"^(\d+) deaths? before this agent came: (.*)")
    _CORE = re.compile(r"(\d+)(?: \((\d+) times\))?[,.]")

    def __init__(self, build, args=(), **process):
        super().__init__([build.agent, *(str(arg) for arg in args)], **process)

    def _cores(self, pattern):
        result = []
        for line in self.lines(pattern):
            cores = [int(core) for core, times in self._CORE.findall(line.match[2])
                     for _ in range(int(times or 1))]
            assert len(cores) == int(line.match[1]), f"number and list differ: {line.text!r}"
            result += cores
        return result

    def deaths(self):
        """[lcore of each death reported], in order: "2 dead cores: 1, 3," gives [1, 3]."""
        return self._cores(self.REPORT)

    def earlier_deaths(self):
        """The same of the deaths from before it was attached."""
        return self._cores(self.EARLIER)

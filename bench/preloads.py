# SPDX-License-Identifier: BSD-3-Clause
"""The preloaded objects: compiled, given a file to write to, and read."""

import ctypes
import functools
import itertools
import mmap
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent / "preload"
SAMPLES = 65536
KEPT = 16384

_U64 = ctypes.c_uint64
_number = itertools.count(1)


class _Sample(ctypes.Structure):
    _fields_ = [("ns", _U64), ("sent", _U64)]


class _Samples(ctypes.Structure):
    _fields_ = [("inject", _U64), ("first_ns", _U64), ("count", _U64),
                ("sample", _Sample * SAMPLES)]


class _Silence(ctypes.Structure):
    _fields_ = [("from_ns", _U64), ("to_ns", _U64)]


class _Deaths(ctypes.Structure):
    _fields_ = [("silent_ns", _U64), ("silences", _U64), ("silence", _Silence * KEPT),
                ("posts", _U64), ("post_ns", _U64 * KEPT)]


class _Lines(ctypes.Structure):
    _fields_ = [("flushes", _U64), ("flush_ns", _U64 * KEPT)]


@functools.cache
def _library(name, directory):
    out = Path(directory) / f"{name}.so"
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk"], check=True, text=True,
                           capture_output=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-fPIC", "-shared", *flags, "-o", out, HERE / f"{name}.c"], check=True)
    return out


class _Preload:
    """A file that a preloaded object of one program writes to."""

    def __init__(self, directory, name, layout):
        self._library = _library(name, str(directory))
        self._path = Path(directory) / f"{name}-{next(_number)}"
        self._variable = f"KA_BENCH_{name.upper()}"
        with open(self._path, "w+b") as file:
            file.truncate(ctypes.sizeof(layout))
            self.map = layout.from_buffer(mmap.mmap(file.fileno(), 0))

    def environment(self):
        return {**os.environ, "LD_PRELOAD": str(self._library), self._variable: str(self._path)}

    def remove(self):
        self._path.unlink()


class Sampler(_Preload):
    """What the ports of a program have sent."""

    def __init__(self, directory, inject=0):
        super().__init__(directory, "sampler", _Samples)
        self.map.inject = inject

    @property
    def first_ns(self):
        """When a first frame had been sent; 0 = not yet."""
        return self.map.first_ns

    @property
    def sent(self):
        count = self.map.count
        return self.map.sample[(count - 1) % SAMPLES].sent if count else 0

    def rate(self, begin_ns, end_ns):
        """Frames a second between two moments; None when too few samples lie between them."""
        count = self.map.count
        found = []
        for at in range(count - 1, max(-1, count - SAMPLES), -1):
            sample = self.map.sample[at % SAMPLES]
            if sample.ns < begin_ns:
                break
            if sample.ns <= end_ns:
                found.append((sample.ns, sample.sent))
        # Of a window that the host took, nothing can be said.
        if len(found) < 2 or found[0][0] - found[-1][0] < (end_ns - begin_ns) / 2:
            return None
        return (found[0][1] - found[-1][1]) * 1e9 / (found[0][0] - found[-1][0])


class Deaths(_Preload):
    """Silences of the one worker of a forwarder, and the posts of its semaphore."""

    def __init__(self, directory, silent_ns):
        super().__init__(directory, "deaths", _Deaths)
        self.map.silent_ns = silent_ns

    def silences(self):
        """[(last heartbeat before, first one after)] in ns."""
        return [(self.map.silence[at % KEPT].from_ns, self.map.silence[at % KEPT].to_ns)
                for at in range(max(0, self.map.silences - KEPT), self.map.silences)]

    def posts(self):
        return [self.map.post_ns[at % KEPT]
                for at in range(max(0, self.map.posts - KEPT), self.map.posts)]


class Lines(_Preload):
    """When an agent had written."""

    def __init__(self, directory):
        super().__init__(directory, "lines", _Lines)

    def flushes(self):
        return [self.map.flush_ns[at % KEPT]
                for at in range(max(0, self.map.flushes - KEPT), self.map.flushes)]

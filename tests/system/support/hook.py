# SPDX-License-Identifier: BSD-3-Clause
"""The reins of preload/keepalive_hook.c: makes workers and the main lcore misbehave on demand."""

import ctypes
import enum
import mmap
import subprocess
from pathlib import Path

from .deadline import PATIENCE, wait_until

SOURCE = Path(__file__).resolve().parent.parent / "preload/keepalive_hook.c"
MAGIC = 0x6b6f6f482d414b
PINGS = 4096


class Mode(enum.IntEnum):
    FORWARD = 0  # Be transparent.
    SPIN = 1  # Do not return from the heartbeat: burn the CPU.
    SLEEP = 2  # Do not return from the heartbeat: sleep in the kernel.
    DROP = 3  # Return without a heartbeat.


class _Core(ctypes.LittleEndianStructure):
    _fields_ = [("mode", ctypes.c_uint32), ("held", ctypes.c_uint32),
                ("delay_ns", ctypes.c_uint64), ("delays", ctypes.c_uint64),
                ("marks", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 4)]


class _Control(ctypes.LittleEndianStructure):
    _fields_ = [("magic", ctypes.c_uint64), ("stall_ns", ctypes.c_uint64),
                ("stalls", ctypes.c_uint64), ("promiscuous_error", ctypes.c_uint64),
                ("pings", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 3),
                ("ping_ns", ctypes.c_uint64 * PINGS), ("core", _Core * 128)]


def build(directory):
    """Compile the object to be preloaded; returns its path."""
    out = Path(directory) / "keepalive_hook.so"
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk"], check=True, text=True,
                           capture_output=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
                    "-fPIC", "-shared", *flags, "-o", out, SOURCE], check=True)
    return out


class Hook:
    """Control file of one forwarder. All may be set before it starts and at any time later."""

    def __init__(self, library, path):
        self.library = library
        self.path = Path(path)
        self.path.write_bytes(bytes(ctypes.sizeof(_Control)))
        self._file = open(self.path, "r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._control = _Control.from_buffer(self._map)
        self._control.magic = MAGIC

    def close(self):
        self._file.close()  # The mapping goes with the last reference to it.

    def set(self, lcore, mode):
        self._control.core[lcore].mode = mode

    def hold(self, lcore, mode, timeout=PATIENCE):
        """Set a mode and wait until the worker is caught in it."""
        self.set(lcore, mode)
        wait_until(lambda: self._control.core[lcore].held == mode,
                   f"lcore {lcore} in {Mode(mode).name}", timeout)

    def release(self, lcore):
        self.set(lcore, Mode.FORWARD)

    def release_all(self):
        for core in self._control.core:
            core.mode = Mode.FORWARD

    def delay(self, lcore, seconds, timeout=PATIENCE):
        """Make one heartbeat of a worker late by `seconds`; returns once it is over."""
        core = self._control.core[lcore]
        before = core.delays
        core.delay_ns = round(seconds * 1e9)
        wait_until(lambda: core.delays > before, f"delay of lcore {lcore}", timeout + seconds)

    def stall_pings(self, seconds, timeout=PATIENCE):
        """Hold the main lcore for `seconds` before its next ping; returns once it is over."""
        before = self._control.stalls
        self._control.stall_ns = round(seconds * 1e9)
        wait_until(lambda: self._control.stalls > before, "stall of the main lcore",
                   timeout + seconds)

    def fail_promiscuous(self, error):
        """Let rte_eth_promiscuous_enable() return -error without being called."""
        self._control.promiscuous_error = error

    def marks(self, lcore):
        """Heartbeats that the worker attempted."""
        return self._control.core[lcore].marks

    @property
    def pings(self):
        """Calls of rte_keepalive_dispatch_pings()."""
        return self._control.pings

    def ping_times(self):
        """CLOCK_MONOTONIC in ns of the last 4096 pings at most, oldest first."""
        pings = self.pings
        return [self._control.ping_ns[n % PINGS] for n in range(max(0, pings - PINGS), pings)]

# SPDX-License-Identifier: BSD-3-Clause
"""The reins of preload/keepalive_hook.c: makes workers and the main lcore misbehave on demand."""

import ctypes
import enum
import mmap
import subprocess
from pathlib import Path

from .deadline import PATIENCE, wait_until

PRELOAD = Path(__file__).resolve().parent.parent / "preload"
MAGIC = 0x6b6f6f482d414b
PINGS = 4096
_DRIVER_DRY = 4


class Mode(enum.IntEnum):
    FORWARD = 0  # Be transparent.
    SPIN = 1  # Do not return from the heartbeat: burn the CPU.
    SLEEP = 2  # Do not return from the heartbeat: sleep in the kernel.
    DROP = 3  # Return without a heartbeat.
    DEEP = 4  # Like SLEEP, but in a state that no signal ends.


class Gate(enum.IntEnum):
    OPEN = 0
    MIA = 1  # The main lcore waits in the log line "Core MIA" of a ping.
    DIED = 2  # The same at "Core died".


class _Core(ctypes.LittleEndianStructure):
    _fields_ = [("mode", ctypes.c_uint32), ("held", ctypes.c_uint32),
                ("delay_ns", ctypes.c_uint64), ("delays", ctypes.c_uint64),
                ("marks", ctypes.c_uint64), ("life_ns", ctypes.c_uint64),
                ("registered", ctypes.c_uint64), ("launched", ctypes.c_uint64),
                ("lives", ctypes.c_uint64)]


class _Control(ctypes.LittleEndianStructure):
    _fields_ = [("magic", ctypes.c_uint64), ("stall_ns", ctypes.c_uint64),
                ("stalls", ctypes.c_uint64), ("promiscuous_error", ctypes.c_uint64),
                ("pings", ctypes.c_uint64), ("gate", ctypes.c_uint64),
                ("at_gate", ctypes.c_uint64), ("calls", ctypes.c_uint64),
                ("pipe_size", ctypes.c_uint64), ("links_down", ctypes.c_uint64),
                ("link_looks", ctypes.c_uint64), ("hold_stop", ctypes.c_uint64),
                ("stops", ctypes.c_uint64), ("leap_ns", ctypes.c_uint64),
                ("driver", ctypes.c_uint64), ("driver_mode", ctypes.c_uint64),
                ("driver_passes", ctypes.c_uint64), ("at_driver", ctypes.c_uint64),
                ("hold_launch", ctypes.c_uint64), ("at_launch", ctypes.c_uint64),
                ("hold_stats", ctypes.c_uint64), ("at_stats", ctypes.c_uint64),
                ("stats_looks", ctypes.c_uint64), ("kill_delay_ns", ctypes.c_uint64),
                ("flood", ctypes.c_uint64),
                ("ping_ns", ctypes.c_uint64 * PINGS), ("core", _Core * 128)]


def build(directory, name="keepalive_hook"):
    """Compile an object to be preloaded; returns its path."""
    out = Path(directory) / f"{name}.so"
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk"], check=True, text=True,
                           capture_output=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Werror",
                    "-fPIC", "-shared", *flags, "-o", out, PRELOAD / f"{name}.c"], check=True)
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
        """Let everybody and everything go that is held."""
        for core in self._control.core:
            core.mode = Mode.FORWARD
        self._control.gate = Gate.OPEN
        self._control.links_down = 0
        self._control.hold_stop = 0
        self._control.hold_launch = 0
        self._control.hold_stats = 0
        self.release_driver()

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

    def close_gate(self, gate):
        """The main lcore waits at that log line of its pings, from now until open_gate()."""
        self._control.gate = gate

    def wait_at_gate(self, timeout=PATIENCE):
        """Wait until the main lcore waits at the gate."""
        wait_until(lambda: self._control.at_gate, "the main lcore at the gate", timeout)

    def open_gate(self, timeout=PATIENCE):
        """Let the main lcore go on; returns once it does."""
        self._control.gate = Gate.OPEN
        wait_until(lambda: not self._control.at_gate, "the main lcore gone on", timeout)

    def live(self, lcore, seconds):
        """Lives that the demonstration begins from now on last that long; 0 = random again."""
        self._control.core[lcore].life_ns = round(seconds * 1e9)

    def lives(self, lcore):
        """Lives that the demonstration began, each with a fault at its end (exit, spin, block)."""
        return self._control.core[lcore].lives

    def shrink_pipes(self, size=4096):
        """Pipes that the forwarder makes from now on take no more than `size` bytes."""
        self._control.pipe_size = size

    def take_links_down(self, down=True):
        """Report every link as down."""
        self._control.links_down = down

    @property
    def link_looks(self):
        """Times that the forwarder looked at a link."""
        return self._control.link_looks

    def hold_stop(self):
        """Let rte_eth_dev_stop() not return."""
        self._control.hold_stop = 1

    @property
    def stops(self):
        """Calls of rte_eth_dev_stop()."""
        return self._control.stops

    def dry_driver(self):
        """No frame comes out of libpcap before release_driver() or hold_in_driver()."""
        self._control.driver = _DRIVER_DRY

    def hold_in_driver(self, phase, mode, passes):
        """A worker does not return from libpcap, by Mode.SPIN or Mode.SLEEP, which net_pcap calls
        once a frame in its RX or TX (phase); the first `passes` calls return."""
        self._control.driver_mode = mode
        self._control.driver_passes = passes
        self._control.driver = phase

    def wait_in_driver(self, timeout=PATIENCE):
        """Wait until a worker is held there."""
        wait_until(lambda: self._control.at_driver, "a worker held in its driver", timeout)

    def release_driver(self):
        self._control.driver = 0

    def hold_launch(self):
        """Launches from now on do not begin, and rte_eal_remote_launch() does not return."""
        self._control.hold_launch = 1

    def wait_in_launch(self, timeout=PATIENCE):
        """Wait until one is held."""
        wait_until(lambda: self._control.at_launch, "a launch that is held", timeout)

    def release_launch(self):
        self._control.hold_launch = 0

    def hold_stats(self, timeout=PATIENCE):
        """Let rte_eth_stats_get() not return; returns once a call is held."""
        self._control.hold_stats = 1
        wait_until(lambda: self._control.at_stats, "a call held in the counters", timeout)

    def delay_signals(self, seconds):
        """Signals sent while a worker is held come so much later than the forwarder wants; 0 = now,
        those that wait too. Who sends them waits: that is the main lcore."""
        self._control.kill_delay_ns = round(seconds * 1e9)

    def flood(self, frames=1000):
        """Let every port count so many frames more between two looks at its counters, as a device
        does whose worker takes none of them."""
        self._control.flood = frames

    @property
    def stats_looks(self):
        """Looks at the counters of port 0."""
        return self._control.stats_looks

    def wait_stats_looks(self, more, timeout=PATIENCE):
        """Wait until the counters of port 0 were looked at so many times more."""
        least = self.stats_looks + more
        wait_until(lambda: self.stats_looks >= least, f"{more} looks at the counters", timeout)

    def leap(self, seconds):
        """Let CLOCK_MONOTONIC of the forwarder leap ahead."""
        self._control.leap_ns += round(seconds * 1e9)

    def last_calls(self, lcore):
        """Numbers of a core's last registering and last launching, in one count of both."""
        return self._control.core[lcore].registered, self._control.core[lcore].launched

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

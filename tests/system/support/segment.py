# SPDX-License-Identifier: BSD-3-Clause
"""The shared-memory segment as shm.h lays it out, read by other means than shm.c."""

import ctypes
import enum
import fcntl
import mmap
import os
import struct
import time
from pathlib import Path

from .deadline import PATIENCE, wait_until

SHM = Path("/dev/shm")
DEFAULT_NAME = "/dpdk_keepalive_shm_name"
MAX_LCORES = 128
EVENTS = 256
MAX_PORTS = 16
BUCKETS = 32
LEGACY_SIZE = 1568
MAGIC = 0x474553206d68414b


class State(enum.IntEnum):
    UNUSED = 0
    ALIVE = 1
    DEAD = 2
    GONE = 3
    MISSING = 4
    DOZING = 5
    SLEEP = 6


class Cause(enum.IntEnum):
    NONE = 0
    EXITED = 1
    HUNG = 2
    NOT_STARTED = 3
    SPINNING = 4
    BLOCKED = 5
    STOPPED = 6
    STARVED = 7
    CRASHED = 8


class Stall(enum.IntEnum):
    NONE = 0
    RX = 1
    POOL = 2
    TX = 3


class Phase(enum.IntEnum):
    IDLE = 0
    RX = 1
    OWN = 2
    TX = 3


class Kind(enum.IntEnum):
    DEATH = 1
    RESTART = 2
    BACK = 3
    RECOVERY = 4
    STARVED = 5
    GIVEN_UP = 6
    STALLED = 7
    MOVES = 8
    TAKEN_OVER = 9
    STARVING = 10


class Status(enum.IntEnum):
    RUNNING = 1
    STOPPED = 2
    ABORTED = 3


class _Record(ctypes.LittleEndianStructure):
    """A structure that shows its values when an assertion fails."""

    def __repr__(self):
        names = [name for name, _ in self._fields_ if not name.startswith("reserved")]
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})"


def _fields(text):
    types = {"u64": ctypes.c_uint64, "i64": ctypes.c_int64, "u32": ctypes.c_uint32,
             "str32": ctypes.c_char * 32, "r6": ctypes.c_uint64 * 6, "r3": ctypes.c_uint64 * 3,
             "histogram": ctypes.c_uint64 * BUCKETS, "ports": ctypes.c_uint16 * MAX_PORTS}
    return [(name, types[kind]) for name, kind in (field.split(":") for field in text.split())]


class Legacy(_Record):
    _fields_ = [("core_died", ctypes.c_uint8 * 32),
                ("core_state", ctypes.c_uint32 * MAX_LCORES),
                ("core_last_seen_times", ctypes.c_uint64 * MAX_LCORES)]


class Identity(_Record):
    _fields_ = _fields("magic:u64 version_major:u32 version_minor:u32 size:u64 pid:i64 "
                       "created_ns:u64 created_real_ns:u64 created_tsc:u64 tsc_hz:u64 "
                       "period_ns:u64 main_lcore:u32 reserved32:u32 program:str32 reserved:r6")


class Monitor(_Record):
    _fields_ = _fields("status:u64 ticks:u64 beat_ns:u64 late_ticks:u64 longest_late_ns:u64 "
                       "deaths:u64 restarts:u64 recoveries:u64 events:u64 lost_lines:u64 "
                       "reserved:r6")


class Core(_Record):
    _fields_ = _fields("state:u32 cause:u32 launched_ns:u64 last_seen_ns:u64 last_seen_tsc:u64 "
                       "died_ns:u64 deaths:u64 restarts:u64 recoveries:u64 last_outage_ns:u64 "
                       "longest_outage_ns:u64 given_up_ns:u64 outages_ns:u64 detections_ns:u64 "
                       "reserved:r3")


class Event(_Record):
    _fields_ = _fields("number:u64 time_ns:u64 lcore:u32 kind:u32 cause:u32 other_lcore:u32 "
                       "silent_ns:u64 outage_ns:u64 phase:u32 port:u32 in_hand:u32 stall:u32")


class Load(_Record):
    _fields_ = _fields("looked_ns:u64 frames_per_s:u64 received:u64 sent:u64 dropped:u64 "
                       "bursts:u64 busy_ns:u64 idle_ns:u64 longest_ns:u64 late:u64 late_ns:u64 "
                       "turns:histogram outages:histogram detections:histogram "
                       "nb_ports:u32 reserved32:u32 port:ports")


class Layout(_Record):
    _fields_ = [("legacy", Legacy), ("identity", Identity), ("sequence", ctypes.c_uint64),
                ("agent_pid", ctypes.c_int64), ("monitor", Monitor),
                ("core", Core * MAX_LCORES), ("event", Event * EVENTS),
                ("crash_ns", ctypes.c_uint64), ("crash_lcore", ctypes.c_uint32),
                ("crash_signal", ctypes.c_uint32), ("load", Load * MAX_LCORES)]


SIZE = ctypes.sizeof(Layout)

# The table at the top of shm.h.
assert [getattr(Layout, name).offset for name, _ in Layout._fields_] == [
    0, 1568, 1728, 1736, 1744, 1872, 18256, 34640, 34648, 34652, 34656]
assert ctypes.sizeof(Load) == 896
assert SIZE == 149344


class Snapshot(Layout):
    """A consistent copy of a segment: .legacy, .identity, .monitor, .event[slot], and a core's
    .core[lcore], .load[lcore]."""

    _fields_ = []

    def events(self):
        """Events still in the ring, oldest first."""
        return sorted((event for event in self.event if event.number != 0),
                      key=lambda event: event.number)

    def watched(self):
        """{lcore: its record} of the cores that were ever launched."""
        return {lcore: core for lcore, core in enumerate(self.core) if core.launched_ns != 0}


def path_of(name):
    return SHM / name.lstrip("/")


def objects():
    """Names of all that lies in /dev/shm, which is the tests' own; [] after a clean end."""
    return sorted(path.name for path in SHM.iterdir())


class Segment:
    """An opened segment, mapped read-only. It stays readable after its name was removed."""

    def __init__(self, name, timeout=PATIENCE):
        self.name = name
        self.path = path_of(name)
        wait_until(self.path.exists, f"segment {name}", timeout)
        self._file = open(self.path, "rb")
        size = os.fstat(self._file.fileno()).st_size
        assert size >= LEGACY_SIZE, f"segment {name} has {size} bytes"
        self._map = mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ)

    def close(self):
        self._map.close()
        self._file.close()

    def _sequence(self):
        return struct.unpack_from("<Q", self._map, Layout.sequence.offset)[0]

    def snapshot(self, timeout=PATIENCE):
        """Copy the segment by the protocol of shm.h: same even sequence before and after."""
        end = time.monotonic() + timeout
        while True:
            before = self._sequence()
            data = self._map[:SIZE]
            if before % 2 == 0 and self._sequence() == before:
                return Snapshot.from_buffer_copy(data)
            assert time.monotonic() < end, f"{self.name}: no quiet moment; sequence {before}"

    def monitor(self):
        return self.snapshot().monitor

    def core(self, lcore):
        return self.snapshot().core[lcore]

    def events(self, kind=None, lcore=None):
        """Events in the ring, oldest first, of one kind and lcore if given."""
        return [event for event in self.snapshot().events()
                if kind in (None, event.kind) and lcore in (None, event.lcore)]

    def story(self, lcore=None):
        """Kinds of the events, oldest first, but for starvation: the host may starve at any time."""
        return [Kind(event.kind) for event in self.events(lcore=lcore)
                if event.kind not in (Kind.STARVING, Kind.STARVED)]

    def legacy_state(self, lcore):
        """State as the original's readers see it: one plain read."""
        return struct.unpack_from("<I", self._map, 32 + 4 * lcore)[0]

    def credit(self):
        """Value of the semaphore core_died (glibc keeps it in the low word)."""
        return struct.unpack_from("<I", self._map, 0)[0]

    def wait(self, predicate, what, timeout=PATIENCE):
        """Return the first snapshot that predicate(snapshot) accepts."""
        def look():
            snapshot = self.snapshot()
            return snapshot if predicate(snapshot) else None
        try:
            return wait_until(look, what, timeout)
        except AssertionError as error:
            snapshot = self.snapshot()
            raise AssertionError(f"{error}\n{snapshot.monitor}\n{snapshot.watched()}") from None

    def is_locked(self, byte):
        """Whether a living process holds the lock: byte 0 the owner's, byte 1 the agent's."""
        asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        ofd_getlk = 36
        answer = fcntl.fcntl(self._file, ofd_getlk, asked)
        return struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK

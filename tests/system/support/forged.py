# SPDX-License-Identifier: BSD-3-Clause
"""Segments that no forwarder made: of any size and content, with or without a living owner."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
import time

from .segment import LEGACY_SIZE, MAGIC, SIZE, Kind, Layout, Legacy, State, Status, path_of

# Of the segments that tests make.
NAME = "/ka-test"

_LIBC = ctypes.CDLL(None, use_errno=True)
_OFD_SETLK = 37
_MINUTE_NS = 60 * 10**9


def _sem(call, address, *args):
    if call(ctypes.c_void_p(address), *args) != 0:
        raise OSError(ctypes.get_errno(), call.__name__)


def fresh_semaphore():
    """Bytes of a process-shared semaphore that nobody has posted yet."""
    memory = (ctypes.c_uint8 * 32)()
    _sem(_LIBC.sem_init, ctypes.addressof(memory), 1, 0)
    return bytes(memory)


def _lock(file, byte):
    """Hold the lock that shm.h gives a meaning to, until the file is closed."""
    fcntl.fcntl(file, _OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))


class _Mapped:
    """A file in /dev/shm, mapped to be written."""

    def __init__(self, path, size, mode):
        self.path = path
        self._file = open(path, mode)
        if mode.startswith("x"):
            self._file.truncate(size)
        self._map = mmap.mmap(self._file.fileno(), size)
        self.bytes = (ctypes.c_uint8 * size).from_buffer(self._map)
        self._address = ctypes.addressof(self.bytes)

    def post(self):
        _sem(_LIBC.sem_post, self._address)

    def credit(self):
        """Value of the semaphore (glibc keeps it in the low word)."""
        return struct.unpack_from("<I", self._map, 0)[0]

    def close(self):
        self._file.close()  # The mapping goes with the last reference to it.


class ForgedSegment(_Mapped):
    """A segment of ours as a forwarder would make it: .layout is its memory, to be spoilt at will.

    Its one watched core is `lcore`. The period is so long that nobody calls its monitor stalled.
    """

    def __init__(self, name, *, lcore=1, alive=True, period_ns=_MINUTE_NS):
        super().__init__(path_of(name), SIZE, "x+b")
        self.lcore = lcore
        self.layout = Layout.from_buffer(self._map)
        _sem(_LIBC.sem_init, self._address, 1, 0)
        now = time.monotonic_ns()
        identity = self.layout.identity
        identity.magic, identity.version_major, identity.size = MAGIC, 1, SIZE
        identity.pid, identity.created_ns, identity.period_ns = os.getpid(), now, period_ns
        identity.program = b"forged 1.2.3"
        self.layout.monitor.status = Status.RUNNING
        self.layout.monitor.beat_ns = now
        self.layout.core[lcore].launched_ns = now
        self.layout.core[lcore].state = State.ALIVE
        if alive:
            _lock(self._file, 0)

    @contextlib.contextmanager
    def change(self):
        self.layout.sequence += 1
        yield self.layout
        self.layout.sequence += 1

    def die(self, lcore=None, *, post=True):
        """Count a death, and wake the agent unless told not to."""
        lcore = self.lcore if lcore is None else lcore
        with self.change() as layout:
            layout.core[lcore].deaths += 1
            layout.monitor.deaths += 1
            layout.monitor.events += 1
            event = layout.event[(layout.monitor.events - 1) % len(layout.event)]
            event.number, event.kind = layout.monitor.events, Kind.DEATH
            event.lcore, event.time_ns = lcore, time.monotonic_ns()
        if post:
            self.post()

    def stop(self):
        """Leave in good order."""
        with self.change() as layout:
            layout.monitor.status = Status.STOPPED
        self.path.unlink()
        self.post()


class OriginalSegment(_Mapped):
    """What DPDK's l2fwd-keepalive publishes: 1568 bytes, no lock, no identity."""

    def __init__(self, name):
        super().__init__(path_of(name), LEGACY_SIZE, "x+b")
        self.layout = Legacy.from_buffer(self._map)
        _sem(_LIBC.sem_init, self._address, 1, 0)

    def set(self, lcore, state):
        """What its relay callback does: state and time, and the semaphore at DEAD only."""
        self.layout.core_last_seen_times[lcore] = time.monotonic_ns()
        self.layout.core_state[lcore] = state
        if state == State.DEAD:
            self.post()


class OriginalReader(_Mapped):
    """What the original's ka-agent does: maps 1568 bytes to write, waits, counts the DEAD."""

    def __init__(self, name):
        super().__init__(path_of(name), LEGACY_SIZE, "r+b")
        self._layout = Legacy.from_buffer(self._map)

    def wait(self, timeout):
        """Lcores in state DEAD right after the semaphore woke us; None when nobody did."""
        end = time.time() + timeout
        deadline = (ctypes.c_long * 2)(int(end), int(end % 1 * 1e9))
        if _LIBC.sem_timedwait(ctypes.c_void_p(self._address), deadline) != 0:
            return None
        return [lcore for lcore, state in enumerate(self._layout.core_state)
                if state == State.DEAD]

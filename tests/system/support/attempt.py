# SPDX-License-Identifier: BSD-3-Clause
"""Whether the machine had no CPU while a test was tried, by witnesses beside the product.

A witness on each CPU sleeps for short times, and notes how late its sleeps end. What the product
says of itself is no reason to begin a test anew: a defect may say the same.
"""

import ctypes
import mmap
import os
import signal
import struct
import time

# A sleep ends so late, in seconds, only where the sleeper gets no CPU.
LATE_S = 0.04

_TURN_S = 0.01
_PR_SET_PDEATHSIG = 1
_ROOM = 8  # Bytes of a double.

_cpus = sorted(os.sched_getaffinity(0))
_late_s = mmap.mmap(-1, _ROOM * len(_cpus))  # One number for each CPU; shared with its witness.
_taken = set()
_witnesses = []


def begin():
    """An attempt begins: nothing was noticed yet."""
    _taken.clear()
    for cpu in _cpus:
        note_late(cpu, 0.0)


def takes(cpu):
    """The test takes this CPU itself: what happens there is no reason to begin it anew."""
    _taken.add(cpu)


def note_late(cpu, seconds):
    """A sleep on this CPU ended so late."""
    struct.pack_into("d", _late_s, _ROOM * _cpus.index(cpu), seconds)


def disturbances():
    """What the machine lacked since the attempt began, in words; [] when it was nothing."""
    longest = {cpu: struct.unpack_from("d", _late_s, _ROOM * at)[0] for at, cpu in enumerate(_cpus)}
    return [f"a sleep on CPU {cpu} ended late by {late_s * 1e3:.0f} ms"
            for cpu, late_s in longest.items() if late_s > LATE_S and cpu not in _taken]


def _witness(cpu):
    # It ends with the tests, however they end; Ctrl-C is for them.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setaffinity(0, {cpu})
    at = _ROOM * _cpus.index(cpu)
    while True:
        start = time.monotonic()
        time.sleep(_TURN_S)
        late_s = time.monotonic() - start - _TURN_S
        if late_s > struct.unpack_from("d", _late_s, at)[0]:
            note_late(cpu, late_s)


def start_witnesses():
    for cpu in _cpus:
        pid = os.fork()
        if pid == 0:
            try:
                _witness(cpu)
            finally:
                os._exit(1)
        _witnesses.append(pid)


def end_witnesses():
    for pid in _witnesses:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    _witnesses.clear()

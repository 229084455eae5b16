# SPDX-License-Identifier: BSD-3-Clause
"""Stops one thread of another process, as a debugger does (ptrace(2), PTRACE_SEIZE)."""

import contextlib
import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000


def _ptrace(request, tid):
    if _LIBC.ptrace(request, ctypes.c_long(tid), None, None) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {tid}")


@contextlib.contextmanager
def stopped(tid):
    """The thread stands still in the body. It may die meanwhile."""
    _ptrace(_SEIZE, tid)
    try:
        _ptrace(_INTERRUPT, tid)
        os.waitpid(tid, _WALL)
        yield
    finally:
        try:
            _ptrace(_DETACH, tid)
        except ProcessLookupError:
            # It is killed: its process ends when its tracer has taken notice.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(tid, _WALL)


def send(pid, tid, number):
    """tgkill(2): a signal to one thread of another process."""
    if _LIBC.tgkill(pid, tid, number) == -1:
        raise OSError(ctypes.get_errno(), f"signal {number} to {tid}")

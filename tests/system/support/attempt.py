# SPDX-License-Identifier: BSD-3-Clause
"""What was noticed while a test was tried: how late it ran, and what it did to the machine."""

import threading
import time

# Later than this, in seconds, runs only who has no CPU.
LATE_S = 0.04

_TURN_S = 0.01


class Attempt:
    """One attempt at a test. A test that fails may be begun anew for what is noted here (noise.py).

    delays_pings, takes_cpu: the test does so itself, and what a forwarder says of it is no excuse.
    """

    def __init__(self):
        self.longest_late_s = 0.0
        self.delays_pings = False
        self.takes_cpu = False

    def note_late(self, seconds):
        """The test did something so much later than it wanted to."""
        self.longest_late_s = max(self.longest_late_s, seconds)


_current = Attempt()


def current():
    return _current


def begin():
    global _current
    _current = Attempt()


def _witness():
    never = threading.Event()
    while True:
        start = time.monotonic()
        never.wait(_TURN_S)
        _current.note_late(time.monotonic() - start - _TURN_S)


def start_witness():
    """Notice how late this process runs, from now on."""
    threading.Thread(target=_witness, daemon=True).start()

# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for a condition, never for a while."""

import time

from . import attempt

# How long a condition may take on a slow machine before a test gives up. Not a delay.
PATIENCE = 15.0

_POLL = 0.002


def wait_until(predicate, what, timeout=PATIENCE):
    """Return the first true value of predicate(); AssertionError saying `what` after `timeout` s.

    The only place of the system tests that sleeps.
    """
    begin = time.monotonic()
    end = begin + timeout
    while True:
        value = predicate()
        now = time.monotonic()
        attempt.current().note_late(now - begin)
        begin = now
        if value:
            return value
        if now >= end:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last value: {value!r}")
        time.sleep(_POLL)


def holds_for(predicate, what, duration):
    """AssertionError saying `what` as soon as predicate() is false within `duration` s."""
    begin = time.monotonic()
    end = begin + duration
    while begin < end:
        value = predicate()
        now = time.monotonic()
        attempt.current().note_late(now - begin)
        begin = now
        if not value:
            raise AssertionError(f"did not stay true: {what}; value: {value!r}")
        time.sleep(_POLL)

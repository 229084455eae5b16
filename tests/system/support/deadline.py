# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for a condition, never for a while."""

import time

# How long a condition may take on a slow machine before a test gives up. Not a delay.
PATIENCE = 15.0

_POLL = 0.002


def wait_until(predicate, what, timeout=PATIENCE):
    """Return the first true value of predicate(); AssertionError saying `what` after `timeout` s.

    The only place of the system tests that sleeps.
    """
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last value: {value!r}")
        time.sleep(_POLL)


def holds_for(predicate, what, duration):
    """AssertionError saying `what` as soon as predicate() is false within `duration` s."""
    end = time.monotonic() + duration
    while time.monotonic() < end:
        value = predicate()
        if not value:
            raise AssertionError(f"did not stay true: {what}; value: {value!r}")
        time.sleep(_POLL)

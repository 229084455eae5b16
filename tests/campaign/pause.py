# SPDX-License-Identifier: BSD-3-Clause
"""Time that passes because a campaign wants it to: between two faults, or while one lasts.

Whatever waits for something to come true takes support.deadline.wait_until() instead.
"""

import time


def let_pass(seconds, why):
    """Do nothing for so long; `why` is for who reads the caller."""
    assert why
    time.sleep(seconds)

# SPDX-License-Identifier: BSD-3-Clause
"""Whether a test that failed lacked a CPU, or the program that it tests did.

The one reason for which a test is begun anew (conftest.py). The program's own account counts, as
long as the test did not take the CPU away itself; a defect needs no help of the host.
"""

from . import attempt
from .deadline import wait_until

_STARVED = "(was|is) starved by the host"

# After a failure, how long a forwarder has to tell of a starvation that is about to end.
_TO_BE_TOLD_S = 2


def _accounts(forwarders, noted):
    """What the forwarders say themselves; of their pings, as far as a segment can be read."""
    for forwarder in forwarders:
        starved = [] if noted.takes_cpu else forwarder.lines(_STARVED)
        if starved:
            yield f"{len(starved)} x {starved[0].text!r}"
        late_s = 0 if noted.delays_pings else forwarder.longest_late_s()
        if late_s > attempt.LATE_S:
            yield f"a ping was late by {late_s * 1e3:.0f} ms"


def disturbances(forwarders):
    """What was lacking, in words; [] when it was nothing, and the failure is the product's."""
    noted = attempt.current()
    found = []
    if noted.longest_late_s > attempt.LATE_S:
        found.append(f"the test ran late by {noted.longest_late_s * 1e3:.0f} ms")
    try:
        found += wait_until(lambda: list(_accounts(forwarders, noted)), "an account",
                            _TO_BE_TOLD_S if forwarders else 0)
    except AssertionError:
        pass
    return found

# SPDX-License-Identifier: BSD-3-Clause
"""The machine of the tests may take a CPU away for longer than any check period can bear."""

import functools

from .deadline import late_looks, wait_until

_STARVED = "was starved by the host"


def _was_starved(forwarders):
    """Whether the host starved a worker; that is said when it ends, a little later perhaps."""
    try:
        wait_until(lambda: any(fwd.lines(_STARVED) for fwd in forwarders), "starvation", timeout=2)
    except AssertionError:
        return False
    return True


def undisturbed(test):
    """Decorates a test whose verdict needs a machine that gives each worker, and the test, its CPU.

    When it fails, and a forwarder says that the host starved a worker meanwhile or the test itself
    looked too late, it is begun anew, twice at most. A defect does not need the host's help and
    fails all the same.
    """
    @functools.wraps(test)
    def run(forwarder, **fixtures):
        made = []

        def remember(*args, **options):
            made.append(forwarder(*args, **options))
            return made[-1]

        for attempts_left in (2, 1, 0):
            made.clear()
            late = late_looks()
            try:
                return test(forwarder=remember, **fixtures)
            except AssertionError:
                if "hook" in fixtures:
                    fixtures["hook"].release_all()
                if attempts_left == 0 or not (late_looks() > late or _was_starved(made)):
                    raise
                complaints = [text for fwd in made for text in fwd.close()]
                assert complaints == [], "\n".join(complaints)
    return run

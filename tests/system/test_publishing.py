# SPDX-License-Identifier: BSD-3-Clause
"""In which order a death is told and undone: who is woken, or looks, must not be misled."""

import pytest

from support import hook as hook_module
from support.segment import Kind, State
from test_recovery import FAULTS


@pytest.fixture(scope="session")
def order_library(tmp_path_factory):
    return hook_module.build(tmp_path_factory.mktemp("preload"), "order_hook")


def test_a_death_is_published_then_posted_then_the_worker_is_launched(forwarder, order_library,
                                                                      tmp_path):
    """At each post of the segment's semaphore the dead core is there as DEAD, and its relaunch has
    not been asked for yet."""
    order = tmp_path / "order"
    fwd = forwarder([*FAULTS, "--fault", "1:exit@0.3,1:exit@0.8"], preload=[order_library],
                    env={"KA_ORDER": str(order)})
    segment = fwd.segment()
    segment.wait(lambda now: len(segment.events(Kind.BACK)) == 2, "its second return")
    assert order.read_text().split("\n")[:-1] == ["asked", *["dead 1", "asked"] * 2]
    assert fwd.terminate() == 0


def test_a_crash_wakes_the_agent(forwarder):
    """The last post of a process that crashes comes from the worker's own thread."""
    fwd = forwarder([*FAULTS, "--fault", "1:segv@0.5"])
    segment = fwd.segment()
    fwd.wait_exit()
    assert segment.snapshot().crash_ns != 0 and segment.legacy_state(1) == State.DEAD
    assert segment.credit() == 1

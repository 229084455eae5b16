# SPDX-License-Identifier: BSD-3-Clause
"""Looks at a segment by its name without a pause until SIGTERM, in a process of its own:

    python3 -m support.reader NAME

A segment that is not complete ends it with a line "fault: ..." and exit 1. Prints "seen PID" for
each new owner, and at the end "looks N generations N".
"""

import mmap
import os
import signal
import sys

from .forged import fresh_semaphore
from .segment import MAGIC, SIZE, Snapshot, State, Status, path_of


def fault_of(snapshot, pristine):
    """What is wrong with a segment of the right size, None if nothing is."""
    identity = snapshot.identity
    if (identity.magic, identity.version_major) != (MAGIC, 1):
        return f"magic {identity.magic:#x}, version {identity.version_major}"
    numbers = (identity.size, identity.pid, identity.period_ns, identity.tsc_hz)
    if 0 in numbers or identity.program == b"":
        return f"half an identity: {identity}"
    if bytes(snapshot.legacy.core_died)[8:12] != pristine[8:12]:
        return f"semaphore not made: {bytes(snapshot.legacy.core_died).hex()}"
    if snapshot.monitor.status not in set(Status) or snapshot.monitor.beat_ns == 0:
        return f"monitor not made: {snapshot.monitor}"
    strange = {state for state in snapshot.legacy.core_state if state not in set(State)}
    return f"states {strange}" if strange else None


def look(path):
    """(size, copy) of the object as it is now; None when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(fd).st_size
        if size != SIZE:
            return size, None
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapped:
            return size, Snapshot.from_buffer_copy(mapped[:])
    finally:
        os.close(fd)


def main(name):
    ended = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    looks, generations, owners = 0, set(), set()
    pristine = fresh_semaphore()
    print("ready", flush=True)
    while not ended:
        found = look(path_of(name))
        if found is None:
            continue
        size, snapshot = found
        fault = fault_of(snapshot, pristine) if snapshot else f"{size} bytes, not {SIZE}"
        if fault is not None:
            print("fault:", fault, flush=True)
            return 1
        looks += 1
        generations.add(snapshot.identity.created_ns)
        if snapshot.identity.pid not in owners:
            owners.add(snapshot.identity.pid)
            print("seen", snapshot.identity.pid, flush=True)
    print(f"looks {looks} generations {len(generations)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

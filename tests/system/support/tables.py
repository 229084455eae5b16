# SPDX-License-Identifier: BSD-3-Clause
"""The statistics tables that the forwarder prints."""

import dataclasses
import re

from .deadline import PATIENCE, wait_until


@dataclasses.dataclass
class Counts:
    """Frames of one port, or of all."""

    sent: int = 0
    received: int = 0
    dropped: int = 0


_BEGIN = re.compile(r"^Port statistics =+$")
_PORT = re.compile(r"^Statistics for port (\d+) -+$")
_TOTAL = re.compile(r"^Aggregate statistics =+$")
_COUNT = re.compile(r"^(?:Total p|P)ackets (sent|received|dropped): +(\d+)$")
_END = re.compile(r"^=+$")


def tables(forwarder):
    """The complete tables so far: [{port: Counts, "total": Counts}]; the last line ends one."""
    result, table, counts = [], None, None
    for line in forwarder.lines(stream="stdout"):
        if _BEGIN.search(line.text):
            table = {}
        elif table is None:
            continue
        elif found := _PORT.search(line.text):
            counts = table[int(found[1])] = Counts()
        elif _TOTAL.search(line.text):
            counts = table["total"] = Counts()
        elif found := _COUNT.search(line.text):
            setattr(counts, found[1], int(found[2]))
        elif _END.search(line.text):
            result.append(table)
            table = None
    return result


def wait_table(forwarder, predicate, what, timeout=PATIENCE):
    """The first table that predicate(table) accepts; needs -T."""
    try:
        return wait_until(lambda: next(filter(predicate, tables(forwarder)), None), what, timeout)
    except AssertionError as error:
        last = tables(forwarder)[-1:]
        raise AssertionError(f"{error}; last table: {last}") from None


def last_table(forwarder):
    """The table that ends a run with -T; the forwarder must have ended."""
    found = tables(forwarder)
    assert found, f"no statistics table\n{forwarder.report()}"
    return found[-1]

# SPDX-License-Identifier: BSD-3-Clause
"""What a campaign counted, and how it is shown."""

import dataclasses

COLUMNS = ("injected", "detected", "named", "recovered", "reported", "invented")


@dataclasses.dataclass
class Result:
    """Counts of one campaign; None: does not apply to it.

    injected   faults made, by another count than the monitor's
    detected   of these, deaths that the monitor declared (for noise: times it saw it)
    named      of these, with the right cause
    recovered  workers that give heartbeats again afterwards
    reported   deaths that the agent reported
    invented   deaths, restarts and reports beyond the faults made
    """

    name: str
    injected: int = 0
    detected: int | None = None
    named: int | None = None
    recovered: int | None = None
    reported: int | None = None
    invented: int = 0
    wanted: int = 1  # Injected must be at least that.
    seconds: float = 0.0
    details: dict = dataclasses.field(default_factory=dict)
    complaints: list = dataclasses.field(default_factory=list)

    @property
    def ok(self):
        counts = (self.detected, self.named, self.recovered, self.reported)
        return (self.injected >= self.wanted and self.invented == 0 and not self.complaints and
                all(count in (None, self.injected) for count in counts))

    def add(self, **counts):
        for name, count in counts.items():
            setattr(self, name, (getattr(self, name) or 0) + count)

    def as_dict(self):
        return {**dataclasses.asdict(self), "ok": self.ok}


def spread(values, scale=1e6):
    """How many, and smallest, median, 99th percentile and largest, in ms from ns.

    Of fewer than 100 values the 99th percentile is the largest, and says nothing: None.
    """
    values = sorted(values)
    if not values:
        return None
    count = len(values)
    picks = {"least_ms": 0, "median_ms": count // 2, "p99_ms": -(-99 * count // 100) - 1,
             "most_ms": -1}
    found = {name: round(values[at] / scale, 2) for name, at in picks.items()}
    if count < 100:
        found["p99_ms"] = None
    return {"count": count, **found}


def head():
    return " ".join([f"{'campaign':<38}", *(f"{name:>9}" for name in COLUMNS), "   time  "])


def row(result):
    counts = (getattr(result, name) for name in COLUMNS)
    return " ".join([f"{result.name:<38}",
                     *(f"{'-' if count is None else count:>9}" for count in counts),
                     f"{result.seconds:5.0f} s ", "ok" if result.ok else "SHORT"])

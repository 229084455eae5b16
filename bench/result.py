# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the result, and the few figures that are made of many values."""

import dataclasses
import statistics

# A ratio below that share of its target fails --ci.
TOLERANCE = 0.9

median = statistics.median


class Disturbed(Exception):
    """The host left too little to tell anything from. Nobody's fault."""


def quantile(values, share):
    """The smallest value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


@dataclasses.dataclass
class Row:
    """One target.

    least  the figure is to be the target or more; otherwise the target or less
    ratio  of two programs, measured in one run: what --ci looks at
    """

    name: str
    measured: str
    figure: float
    target: float | None  # None: worth knowing, and no more.
    unit: str = ""
    least: bool = False
    ratio: bool = False
    note: str = ""
    digits: int = 2

    @property
    def ok(self):
        if self.target is None:
            return True
        return self.figure >= self.target if self.least else self.figure <= self.target

    @property
    def far(self):
        """Whether it misses even what noise may take away."""
        if self.target is None:
            return False
        if self.least:
            return self.figure < TOLERANCE * self.target
        return self.figure > self.target / TOLERANCE

    @property
    def verdict(self):
        if self.target is None:
            return "-"
        return "ok" if self.ok else "short"

    def text(self, value):
        return f"{value:.{self.digits}f}{' ' if self.unit not in ('', ' x') else ''}" \
               f"{self.unit.strip()}"

    @property
    def figure_text(self):
        return self.text(self.figure)

    @property
    def target_text(self):
        if self.target is None:
            return "-"
        return f"{'>=' if self.least else '<='} {self.text(self.target)}"

    @property
    def fails_ci(self):
        return self.ratio and self.far

    def as_dict(self):
        return {**dataclasses.asdict(self), "figure_text": self.figure_text,
                "target_text": self.target_text, "verdict": self.verdict,
                "fails_ci": self.fails_ci}


@dataclasses.dataclass
class Missing:
    """A target that could not be measured, and why."""

    name: str
    why: str
    fails_ci: bool = True  # Not when the host is to blame, or a tool is not there.
    ok: bool = False

    def as_dict(self):
        return {"name": self.name, "measured": "", "figure_text": "none", "target_text": "",
                "verdict": "none", "note": self.why, "fails_ci": self.fails_ci}


def head():
    return f"{'target':<44} {'figure':>12} {'wanted':>14}"


def line(row):
    if isinstance(row, Missing):
        return f"{row.name:<44} {'none':>12}  not measured: {row.why}"
    note = f"  ({row.note})" if row.note else ""
    return f"{row.name:<44} {row.figure_text:>12} {row.target_text:>14}  {row.verdict}{note}"

# SPDX-License-Identifier: BSD-3-Clause
"""Prints results of a campaign as a table in Markdown: table.py FILE.json, by campaign.sh --table."""

import json
import sys
from pathlib import Path

from result import COLUMNS

HEADS = {"named": "named rightly"}
OUTAGE = ("median_ms", "p99_ms", "most_ms")
NOTHING = "\N{EN DASH}"


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _outage(campaign):
    outage = campaign["details"].get("outage")
    if not outage:
        return NOTHING
    return " / ".join(NOTHING if outage.get(key) is None else f"{outage[key]:.1f}"
                      for key in OUTAGE)


def _row(campaign):
    counts = (campaign[column] for column in COLUMNS)
    # Nobody is to print a table that looks better than the campaign was.
    name = campaign["name"] if campaign["ok"] else f"{campaign['name']} (**short**)"
    return _line([name, *(NOTHING if count is None else str(count) for count in counts),
                  _outage(campaign)])


def _time(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def table(results):
    """All lines: the table, a blank one, and where its numbers come from."""
    machine = results["machine"]
    yield _line(["campaign", *(HEADS.get(column, column) for column in COLUMNS),
                 "outage, ms: median / p99 / max"])
    yield _line(["---", *("---:" for _ in COLUMNS), "---:"])
    yield from map(_row, results["campaigns"])
    yield ""
    yield (f"{results['started'][:10]}, revision {machine['revision']}, "
           f"{_time(results['seconds'])} on {machine['cpus']} CPUs ({machine['cpu']}), "
           f"Linux {machine['kernel']}, DPDK {machine['dpdk']}.")


def main(path):
    try:
        lines = list(table(json.loads(Path(path).read_text())))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"campaign: {path} is no result of campaign.sh --json: "
                 f"{type(error).__name__}: {error}")
    print(*lines, sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("campaign: --table takes one file, written by --json")
    main(sys.argv[1])

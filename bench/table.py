# SPDX-License-Identifier: BSD-3-Clause
"""A result as a table in Markdown: bench.sh --table FILE.json."""

import json
import sys
from pathlib import Path


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _row(row):
    # Nobody is to print a table that looks better than the run was.
    verdict = row["verdict"] if row["verdict"] in ("ok", "-") else f"**{row['verdict']}**"
    return _line([row["name"], row["measured"], row["figure_text"], row["target_text"], verdict])


def table(results):
    """All lines: the table, a blank one, and where its numbers come from."""
    machine = results["machine"]
    yield _line(["target", "how measured", "figure", "wanted", ""])
    yield _line(["---", "---", "---:", "---:", "---"])
    yield from map(_row, results["rows"])
    yield ""
    quick = ", `--quick`" if results["quick"] else ""
    yield (f"{results['started'][:10]}, revision {machine['revision']}{quick}, "
           f"{results['seconds'] / 60:.0f} min on {machine['cpus']} CPUs ({machine['cpu']}), "
           f"Linux {machine['kernel']}, DPDK {machine['dpdk']}.")


def show(path):
    """Print it; returns the exit status."""
    try:
        lines = list(table(json.loads(Path(path).read_text())))
    except (OSError, ValueError, KeyError) as error:
        print(f"bench: {path} is no result of bench.sh: {type(error).__name__}: {error}",
              file=sys.stderr)
        return 1
    print(*lines, sep="\n")
    return 0

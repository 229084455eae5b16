# SPDX-License-Identifier: BSD-3-Clause
"""Plots of a result, as SVG and PNG beside it."""

import statistics

GREY, BLUE, RED = "#9aa0a6", "#2f6db3", "#c0392b"

# What the state machine of rte_keepalive makes inevitable, on average.
FLOOR_PERIODS = 2.5


def _save(figure, path, name):
    for kind in ("svg", "png"):
        figure.savefig(path.with_name(f"{path.stem}-{name}.{kind}"), dpi=120,
                       metadata={"Date": None} if kind == "svg" else None)


def _label(name):
    return name.replace(" ", "\n") if name.startswith("testpmd") else f"ours\n{name}"


def _rates(plt, raw, path):
    groups = [name for name in ("net_null", "net_ring", "net_memif") if name in raw]
    if not groups:
        return
    widths = [len(raw[group]["frames_per_s"]) for group in groups]
    figure, axes = plt.subplots(1, len(groups), figsize=(2 + 1.1 * sum(widths), 4.2),
                                width_ratios=widths, squeeze=False)
    for axis, group in zip(axes[0], groups):
        windows = {name: [value / 1e6 for value in values if value is not None]
                   for name, values in raw[group]["frames_per_s"].items()}
        drawn = axis.boxplot(list(windows.values()), whis=(5, 95), widths=0.6, patch_artist=True,
                             medianprops={"color": "black"}, flierprops={"marker": ""})
        for box, name in zip(drawn["boxes"], windows):
            box.set_facecolor(GREY if name.startswith("testpmd") else BLUE)
        axis.plot(range(1, len(windows) + 1), [max(values) for values in windows.values()], "_",
                  color=RED, markersize=14, label="best window")
        axis.set_xticks(range(1, len(windows) + 1),
                        [_label(name) for name in windows])
        axis.set_title(f"2 x {group}")
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("frames forwarded a second, millions")
    axes[0][-1].legend(loc="lower right", frameon=False)
    figure.suptitle("Forwarding rate of one worker: median, quartiles, 5 % to 95 % of all windows",
                    fontsize=10)
    figure.tight_layout()
    _save(figure, path, "rates")
    plt.close(figure)


def _outages(plt, raw, path):
    runs = sorted((key for key in raw if key.startswith("outages ")),
                  key=lambda key: -raw[key]["period_ms"])
    if not runs:
        return
    figure, axis = plt.subplots(figsize=(10, 4.5))
    colours = {}
    for key in runs:
        period = raw[key]["period_ms"]
        values = sorted(raw[key]["outage_ms"])
        colour = colours.setdefault(period, f"C{len(colours)}")
        kind = key.split()[1]
        axis.step(values, [(at + 1) / len(values) for at in range(len(values))], where="post",
                  color=colour, linestyle="-" if kind == "exit" else ":",
                  label=f"K = {period:g} ms, {kind}: {statistics.median(values):.2f} ms")
        if kind == "exit":
            axis.axvline(FLOOR_PERIODS * period, color=colour, alpha=0.3, linewidth=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("outage in ms: last heartbeat to first poll of the successor")
    axis.set_ylabel("share of deaths that were over by then")
    axis.set_title(f"Outages by check period, with their medians; pale lines: {FLOOR_PERIODS} K",
                   fontsize=10)
    axis.grid(alpha=0.3, which="both")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    figure.tight_layout()
    _save(figure, path, "outages")
    plt.close(figure)


def draw(results, path):
    """Draw what was measured; returns why not, or None."""
    try:
        import matplotlib
    except ImportError:
        return "no plots: apt-get install python3-matplotlib"
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "l2fwd-keepalive"
    import matplotlib.pyplot as plt
    _rates(plt, results["raw"], path)
    _outages(plt, results["raw"], path)
    return None

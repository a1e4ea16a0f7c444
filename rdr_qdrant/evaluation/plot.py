"""Plots answer recall over k (extra `plot`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdr_qdrant.atomic_io import open_atomically
from rdr_qdrant.errors import OutputError, UsageError, install_hint
from rdr_qdrant.evaluation.baselines import RecallRow

FORMATS = (".png", ".svg")

_TEXT, _MUTED, _GRID = "#1f2933", "#6b7785", "#e4e7eb"
_MEASURED_COLOR = "#b3261e"
_OTHER_STYLES = (("#2f6f9f", "s"), ("#8a94a0", "^"), ("#5b8c5a", "D"))

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rdr-qdrant",
}


def check_plot(path: Path) -> None:
    """Refuse a plot that cannot be drawn, before any work is done.

    Raises:
        UsageError: an extension other than `.png` and `.svg`.
        OutputError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: the name must end in {' or '.join(FORMATS)}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OutputError(f"Drawing {path} needs matplotlib: {install_hint('plot')}.") from None


def draw_recall(
    path: Path,
    measured: Mapping[int, float],
    others: Sequence[RecallRow] = (),
    *,
    title: str = "Answer recall",
    subtitle: str = "",
    label: str = "measured",
) -> None:
    """Plot measured answer recall over k, with other figures to compare.

    Args:
        path: `.png` or `.svg`; replaced only once the new file is complete.
        measured: percent by k.
        others: labels and figures to compare with.
        title: title of the plot.
        subtitle: one line below it.
        label: name of what was measured.

    Raises:
        UsageError: an extension other than `.png` and `.svg`.
        OutputError: matplotlib is not installed, or the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.6), facecolor="white")
        axes = figure.add_axes((0.09, 0.125, 0.88, 0.70))
        depths = sorted({*measured, *(k for _, row in others for k in row)})
        _draw_lines(axes, measured, others, label)
        _draw_axes(
            axes, depths, [v for row in (measured, *dict(others).values()) for v in row.values()]
        )
        figure.text(0.02, 0.935, title, fontsize=14, fontweight="bold")
        figure.text(0.02, 0.885, subtitle, fontsize=9.5, color=_MUTED)
        file_format = path.suffix.lower().removeprefix(".")
        metadata = {"Date": None} if file_format == "svg" else None
        with open_atomically(path, "wb") as file:
            figure.savefig(file, format=file_format, dpi=160, metadata=metadata)


def _draw_lines(
    axes: Any, measured: Mapping[int, float], others: Sequence[RecallRow], label: str
) -> None:
    for (name, row), (color, marker) in zip(others, _OTHER_STYLES, strict=False):
        axes.plot(
            *_xy(row),
            color=color,
            marker=marker,
            markersize=9.5,
            markerfacecolor="white",
            markeredgewidth=1.4,
            clip_on=False,
            linewidth=1.4,
            linestyle=(0, (4, 2)),
            label=name,
            zorder=2,
        )
    depths, values = _xy(measured)
    axes.plot(
        depths,
        values,
        color=_MEASURED_COLOR,
        marker="o",
        markersize=6.5,
        markeredgecolor="white",
        linewidth=2.2,
        label=label,
        clip_on=False,
        zorder=3,
    )
    for depth in _label_depths(depths):
        axes.annotate(
            f"{measured[depth]:.2f}",
            (depth, measured[depth]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=_MEASURED_COLOR,
            fontsize=9.5,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            zorder=4,
        )


def _draw_axes(axes: Any, depths: Sequence[int], values: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(_label_depths(depths), [str(depth) for depth in _label_depths(depths)])
    axes.set_xticks([], minor=True)
    axes.set_xlim(depths[0] / 1.25, depths[-1] * 1.25)
    low, high = min(values), max(values)
    margin = max(4.0, 0.12 * (high - low))
    axes.set_ylim(max(0.0, low - margin), min(104.0, high + 1.5 * margin))
    axes.set_yticks([t for t in axes.get_yticks() if low - margin <= t <= 100 and t >= 0])
    axes.set_ylim(max(0.0, low - margin), min(104.0, high + 1.5 * margin))
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.set_xlabel("passages looked at, k")
    axes.grid(axis="y", color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.tick_params(length=0, pad=6)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:  # measured is drawn last and listed first
        order = [-1, *range(len(handles) - 1)]
        axes.legend(
            [handles[n] for n in order],
            [labels[n] for n in order],
            loc="lower right",
            frameon=False,
            handlelength=2.8,
            labelspacing=0.6,
        )


def _label_depths(depths: Sequence[int]) -> list[int]:
    """Pick depths whose labels do not overlap, always with the first and the last."""
    chosen = list(depths[:1])
    min_distance = 0.075 * math.log(depths[-1] / depths[0])
    for depth in depths[1:-1]:
        if min(math.log(depth / chosen[-1]), math.log(depths[-1] / depth)) >= min_distance:
            chosen.append(depth)
    return [*chosen, *depths[1:][-1:]]


def _xy(row: Mapping[int, float]) -> tuple[list[int], list[float]]:
    depths = sorted(row)
    return depths, [row[depth] for depth in depths]

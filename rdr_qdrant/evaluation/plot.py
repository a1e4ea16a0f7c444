"""Answer recall over depth as a picture (extra `plot`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rdr_qdrant.errors import OutputError, UsageError, install_hint
from rdr_qdrant.evaluation.baselines import Row
from rdr_qdrant.evaluation.output_file import replaced_when_whole, writing

FORMATS = (".png", ".svg")

_INK, _QUIET, _GRID = "#1f2933", "#6b7785", "#e4e7eb"
_MEASURED = "#b3261e"
_OTHERS = (("#2f6f9f", "s"), ("#8a94a0", "^"), ("#5b8c5a", "D"))

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "rdr-qdrant",
}


def check_plot(path: Path) -> None:
    """Refuse a picture that cannot be drawn, before any work is done.

    Raises:
        UsageError: an extension other than `.png` and `.svg`.
        OutputError: matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path} has to end in {' or '.join(FORMATS)}.")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OutputError(f"Drawing {path} needs matplotlib: {install_hint('plot')}.") from None


def draw_recall(
    path: Path,
    measured: Mapping[int, float],
    others: Sequence[Row] = (),
    *,
    title: str = "Answer recall",
    subtitle: str = "",
) -> None:
    """Draw answer recall over depth, measured beside other figures.

    Args:
        path: `.png` or `.svg`; in place when it is whole.
        measured: percent by depth.
        others: published figures to set beside it, with their names.
        title: what was measured.
        subtitle: with what, in one line.

    Raises:
        UsageError, OutputError: as `check_plot`, or the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.6), facecolor="white")
        axes = figure.add_axes((0.09, 0.125, 0.88, 0.70))
        depths = sorted({*measured, *(k for _, row in others for k in row)})
        _draw_lines(axes, measured, others)
        _draw_axes(
            axes, depths, [v for row in (measured, *dict(others).values()) for v in row.values()]
        )
        figure.text(0.02, 0.935, title, fontsize=14, fontweight="bold")
        figure.text(0.02, 0.885, subtitle, fontsize=9.5, color=_QUIET)
        form = path.suffix.lower().removeprefix(".")
        undated = {"Date": None} if form == "svg" else None
        with replaced_when_whole(path) as temporary, writing(path):
            figure.savefig(temporary, format=form, dpi=160, metadata=undated)


def _draw_lines(axes: Any, measured: Mapping[int, float], others: Sequence[Row]) -> None:
    for (name, row), (color, marker) in zip(others, _OTHERS, strict=False):
        axes.plot(
            *_points(row),
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
    depths, values = _points(measured)
    axes.plot(
        depths,
        values,
        color=_MEASURED,
        marker="o",
        markersize=6.5,
        markeredgecolor="white",
        linewidth=2.2,
        label="measured",
        clip_on=False,
        zorder=3,
    )
    for depth in _spread(depths):
        axes.annotate(
            f"{measured[depth]:.2f}",
            (depth, measured[depth]),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=_MEASURED,
            fontsize=9.5,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            zorder=4,
        )


def _draw_axes(axes: Any, depths: Sequence[int], values: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(_spread(depths), [str(depth) for depth in _spread(depths)])
    axes.set_xticks([], minor=True)
    axes.set_xlim(depths[0] / 1.25, depths[-1] * 1.25)
    low, high = min(values), max(values)
    room = max(4.0, 0.12 * (high - low))
    axes.set_ylim(max(0.0, low - room), min(104.0, high + 1.5 * room))
    axes.set_yticks([t for t in axes.get_yticks() if low - room <= t <= 100 and t >= 0])
    axes.set_ylim(max(0.0, low - room), min(104.0, high + 1.5 * room))
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.set_xlabel("passages looked at, k")
    axes.grid(axis="y", color=_GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_QUIET)
    axes.tick_params(length=0, pad=6)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) > 1:  # measured first, as it is drawn last
        order = [-1, *range(len(handles) - 1)]
        axes.legend(
            [handles[n] for n in order],
            [labels[n] for n in order],
            loc="lower right",
            frameon=False,
            handlelength=2.8,
            labelspacing=0.6,
        )


def _spread(depths: Sequence[int]) -> list[int]:
    """Those depths that can be written beside each other, the first and the last among them."""
    chosen = list(depths[:1])
    apart = 0.075 * math.log(depths[-1] / depths[0])
    for depth in depths[1:-1]:
        if min(math.log(depth / chosen[-1]), math.log(depths[-1] / depth)) >= apart:
            chosen.append(depth)
    return [*chosen, *depths[1:][-1:]]


def _points(row: Mapping[int, float]) -> tuple[list[int], list[float]]:
    depths = sorted(row)
    return depths, [row[depth] for depth in depths]

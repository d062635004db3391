"""The collapse: the mode speed-up of every mode of every run against s/c, on the one curve sqrt(1 + s^2/c^2)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from linphase.diagram.looks import Array, written
from linphase.errors import LinphaseError
from linphase.figures.fitting import COLUMN_WIDTH, Style, StyleName
from linphase.figures.style import NotebookFigure, figure_size, inches, require_size, set_ticks, stroke, styled
from linphase.store.rows import scales

_TOLERANCE = 0.05
_WIDE = 1.9  # exponent of d: from there on every mode is on the curve (docs/theory.md, "Observables")
_ROWS = 6  # of widths in the table, at most
_PREDICTED: Any = {"color": "black", "linestyle": (0, (3, 2))}
_COLORS = ListedColormap(colormaps["viridis"](np.linspace(0, 0.93, 256)))  # its end is too light on white


@dataclass(frozen=True)
class _Points:
    """Every mode of the converged runs."""

    x: Array  # s_i/c
    speed_up: Array
    ratio: Array  # speed-up over sqrt(1 + (s_i/c)^2)
    width: Array
    wide: NDArray[np.bool_]  # width > d^1.9


@styled
def collapse(runs: pd.DataFrame, modes: pd.DataFrame, *, style: StyleName | Style = "paper") -> Figure:
    """Every mode of every converged run: its speed-up against s_i/c, and its ratio to sqrt(1 + s_i^2/c^2).

    Points are measured, the dashed curve is theory's. Colours tell the width. A table gives the share of modes within
    5 % of the curve, for each decade of the width, for widths above d^1.9 and for all.

    Parameters
    ----------
    runs
        Rows of a runs table.
    modes
        Of `Results.final_modes`.
    style
        paper, talk, or a `Style`.

    Raises
    ------
    LinphaseError
        If no converged run has modes.
    """
    require_size(3.2, 2.5)
    cloud = _points(runs, modes)
    figure = NotebookFigure(figsize=figure_size(COLUMN_WIDTH, 1.1 * COLUMN_WIDTH), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 1))
    order = np.random.default_rng(0).permutation(len(cloud.x))  # no width hides another one
    order = order[(cloud.x > 0)[order]]
    norm = LogNorm(cloud.width.min(), max(cloud.width.max(), 10 * cloud.width.min()))
    dots: dict[str, Any] = {"c": cloud.width[order], "norm": norm, "cmap": _COLORS, "gid": "modes"}
    dots |= {"s": stroke(1.4) ** 2, "linewidths": 0, "rasterized": True}
    left, right = min(cloud.x[order].min(initial=1) / 1.5, 1e-2), max(cloud.x.max() * 1.5, 10)
    line = np.geomspace(left, right, 500)

    above.scatter(cloud.x[order], cloud.speed_up[order], **dots)
    above.plot(line, np.hypot(1, line), gid="curve", **_PREDICTED, linewidth=stroke(1.0))
    above.set(xscale="log", yscale="log", xlim=(left, right), ylabel=r"mode speed-up $\kappa_i$")
    above.set_ylim(min(0.5, cloud.speed_up.min() / 1.5), 3 * max(right, cloud.speed_up.max()))
    which = "run" if (runs["status"] == "converged").all() else "converged run"
    above.set_title(rf"every mode of every {which} on $\sqrt{{1 + (s_i/c)^2}}$")

    below.scatter(cloud.x[order], cloud.ratio[order], **dots)
    below.axhspan(1 - _TOLERANCE, 1 + _TOLERANCE, color="black", alpha=0.15, linewidth=0, zorder=0.5, gid="tolerance")
    below.axhline(1, gid="curve", **_PREDICTED, linewidth=stroke(1.0))
    below.set(yscale="log", xlabel="singular value over threshold, $s_i/c$", ylabel="ratio to curve")
    _draw_table(above, cloud, outside=_fit_ratios(below, cloud.ratio[order]))
    for axis in (below.xaxis, above.yaxis):
        _decades(axis)
    for ax in (above, below):
        set_ticks(ax)
    bar = figure.colorbar(ScalarMappable(norm, _COLORS), ax=[above, below], aspect=32, pad=0.02)
    bar.set_label("width", labelpad=1)
    _decades(bar.ax.yaxis)
    set_ticks(bar.ax)
    bar.outline.set_linewidth(stroke(0.6))
    return figure


def _points(runs: pd.DataFrame, modes: pd.DataFrame) -> _Points:
    converged = runs[runs["status"] == "converged"].set_index("run_id")
    place = pd.Index(converged.index).get_indexer(modes["run_id"])
    s, speed_up = (modes[name].to_numpy(dtype=np.float64) for name in ("singular_value", "speed_up"))
    # A perfectly balanced start has no s/c; the last one is of the runs that are left out.
    curved = np.append(converged["threshold"].to_numpy(dtype=float) > 0, False)
    kept = curved[place] & np.isfinite(s) & (speed_up > 0) & np.isfinite(speed_up)
    if not kept.any():
        raise LinphaseError(
            f"the collapse needs the final modes of converged runs, found none: {len(converged)} of {len(runs)} runs "
            f'converged, and {len(modes)} modes are stored. Sweep with stop.rule = "converged" and a larger budget '
            "(dynamics.max_evaluations, for gd dynamics.max_steps)"
        )
    converged = converged.assign(scale=scales(converged))
    c, width, d = (converged[name].to_numpy(dtype=float)[place[kept]] for name in ("threshold", "width", "scale"))
    x, speed_up = s[kept] / c, speed_up[kept]
    return _Points(x, speed_up, speed_up / np.hypot(1, x), width, width > d**_WIDE)


def _draw_table(ax: Axes, modes: _Points, outside: int) -> None:
    """Share of modes within 5 % of the curve by width, in the corner that the curve leaves free.

    outside: modes that the limits of the lower diagram leave out.
    """
    inside = np.abs(modes.ratio - 1) <= _TOLERANCE
    decade = np.floor(np.log10(modes.width) + 1e-9)
    first, last = int(decade.min()), int(decade.max())
    step = ceil((last - first + 1) / _ROWS)
    rows: list[tuple[str, NDArray[np.bool_]]] = []
    for low in range(first, last + 1, step):
        rows.append((f"{_power(low)} to <{_power(low + step)}", (decade >= low) & (decade < low + step)))
    rows.append((rf"over $d^{{{_WIDE}}}$", modes.wide))
    rows.append(("all", np.ones(len(inside), dtype=bool)))
    lines = [("width", "modes", "within 5 %")]
    lines += [
        (name, f"{here.sum():,}", f"{floor(1000 * inside[here].mean()) / 10:.1f} %")
        for name, here in rows
        if here.any()
    ]
    if outside:
        lines.append(("outside, below", f"{outside:,}", ""))
    for i, line in enumerate(lines):
        for text, x, align in zip(line, (0.03, 0.45, 0.69), ("left", "right", "right"), strict=True):
            ax.text(
                x,
                0.94 - 0.058 * i,
                text,
                ha=align,
                va="baseline",
                fontsize=6.5 * inches(1),  # as the figure grows, not as its type does: the columns have to fit
                transform=ax.transAxes,
                gid="table",
            )


def _power(exponent: int) -> str:
    return written(10**exponent) if exponent < 4 else rf"$10^{{{exponent}}}$"


def _fit_ratios(ax: Axes, ratio: Array) -> int:
    """Limits that hold all but the outermost ratios; returns the number of those."""
    low, high = np.quantile(ratio, [0.001, 0.999])
    low, high = min(low / 1.1, 0.8), max(high * 1.1, 1.25)
    ax.set_ylim(low, high)
    ticks = [tick for tick in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 100) if low < tick < high]
    ticks = ticks if len(ticks) > 1 else [0.9, 1, 1.1]
    ax.set_yticks(ticks, [written(tick) for tick in ticks])
    ax.yaxis.set_minor_locator(NullLocator())
    return int(((ratio < low) | (ratio > high)).sum())


def _decades(axis: Axis) -> None:
    """At most six labelled decades, no minor labels."""
    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(round(log10(value))) if value > 0 else ""))
    axis.set_minor_formatter(NullFormatter())

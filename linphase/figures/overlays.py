"""The boundaries of theory, and those measured, drawn over a phase diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patheffects import withStroke

from linphase.diagram.axes import Axis, Window, as_stored
from linphase.diagram.lines import Line
from linphase.diagram.looks import Array
from linphase.diagram.measured import BENEFIT, LEARNING_ORDER
from linphase.figures.style import stroke
from linphase.store.rows import task_config_of
from linphase.theory.boundaries import INFINITE_NOISE, MIXED_BALANCED, MIXED_LAZY

if TYPE_CHECKING:
    import pandas as pd

    from linphase.diagram.measured import MeasuredBoundary

LINE_STYLES: dict[bool, Any] = {False: "-", True: (0, (4, 2))}  # whether asymptotic
_DOTTED: Any = (0, (1, 1.5))


def draw_lines(ax: Axes, lines: Sequence[Line]) -> None:
    """Draw theory's lines: solid at finite d, dashed in the limit; with the spread of one draw where they have it.

    The line of infinite noise bounds no regime: it is thin, and dotted at finite d.
    """
    for line in lines:
        thin = line.name == INFINITE_NOISE
        if line.band is not None:
            ax.fill_betweenx(line.y, *line.band, color="black", alpha=0.3, linewidth=0, zorder=2.5, gid="band")
        width = stroke(0.6 if thin else 0.8 if line.asymptotic else 1.1)
        ax.plot(
            line.x,
            line.y,
            color="black",
            linewidth=width,
            linestyle=_DOTTED if thin and not line.asymptotic else LINE_STYLES[line.asymptotic],
            path_effects=[withStroke(linewidth=width + stroke(1.2), foreground="white", alpha=0.75)],
            solid_capstyle="butt",
            gid=f"{line.name}, {'asymptotic' if line.asymptotic else 'finite d'}",
            zorder=2.9 if line.asymptotic else 3,  # where they nearly meet, one covers the other
        )


# Round or square, white or black: told apart at a glance, in grey too.
MARKS: dict[str, dict[str, Any]] = {
    MIXED_LAZY: {"marker": "o", "markerfacecolor": "white", "markersize": 3.2},
    MIXED_BALANCED: {"marker": "s", "markerfacecolor": "black", "markersize": 2.8},
    LEARNING_ORDER: {"marker": "^", "markerfacecolor": "white", "markersize": 3.4},
    BENEFIT: {"marker": "D", "markerfacecolor": "0.6", "markersize": 2.6},
}


def draw_measured(
    ax: Axes, runs: pd.DataFrame, window: Window, facet: Mapping[str, Any], measured: Sequence[MeasuredBoundary]
) -> Array:
    """Draw the crossings of a facet where the axes are a variance and a width; return what they cover, (n, 2) data."""
    if not window.of_starts or runs.empty:
        return np.empty((0, 2))
    d = task_config_of(runs.iloc[0]).scale
    covered = [np.empty((0, 2))]
    for name, mark in MARKS.items():
        here = [one for one in measured if one.name == name and _in_facet(one, facet) and np.isfinite(one.gamma_sigma2)]
        if not here:
            continue
        x, low, high = (
            _across(np.array([getattr(one, which) for one in here]), window.x, d)
            for which in ("gamma_sigma2", "low", "high")
        )
        y = np.array([one.gamma_w if window.y.column == "gamma_w" else one.width for one in here], dtype=np.float64)
        # An interval that ends beyond the grid runs to the edge and has an arrow there.
        edges = window.x.edges[[0, -1]]
        ends = np.clip(low, *edges), np.clip(high, *edges)
        barred = ~np.isnan(low)
        bars = ax.hlines(y[barred], ends[0][barred], ends[1][barred], color="black", linewidth=stroke(0.8), zorder=3.4)
        bars.set_path_effects([withStroke(linewidth=stroke(1.8), foreground="white", alpha=0.8)])
        bars.set_gid(f"{name}, interval")
        for end, edge, marker in zip(ends, edges, (CARETLEFT, CARETRIGHT), strict=True):
            opened = y[end == edge]
            if opened.size:
                at_edge = np.full(opened.size, edge)
                ax.plot(at_edge, opened, "k", linestyle="none", marker=marker, markersize=stroke(4), zorder=3.4,
                        gid=f"{name}, open end")  # fmt: skip
        ax.plot(x, y, linestyle="none", zorder=3.5, gid=f"{name}, measured", **_sized(mark))
        covered += [np.column_stack([np.where(barred, across, x), y]) for across in (x, *ends)]
    return np.concatenate(covered)


def measured_handles(measured: Sequence[MeasuredBoundary]) -> list[Artist]:
    """Their samples in a legend."""
    drawn = {one.name for one in measured if np.isfinite(one.gamma_sigma2)}
    barred = any(not np.isnan(one.low) for one in measured)
    style: dict[str, Any] = {"color": "black", "linewidth": stroke(0.8)} if barred else {"linestyle": "none"}
    return [
        Line2D([], [], label=f"{name}, measured", **style, **_sized(MARKS[name])) for name in MARKS if name in drawn
    ]


def _in_facet(one: MeasuredBoundary, facet: Mapping[str, Any]) -> bool:
    return all(column not in facet or as_stored(value) == facet[column] for column, value in one.facet)


def _across(gamma_sigma2: Array, axis: Axis, d: float) -> Array:
    return gamma_sigma2 if axis.column == "gamma_sigma2" else np.asarray(np.exp(gamma_sigma2 * log(d)))


def _sized(mark: Mapping[str, Any]) -> dict[str, Any]:
    """A mark in the style in use."""
    rim = {"markeredgecolor": "black", "markeredgewidth": stroke(0.7)}
    return {**mark, "markersize": stroke(mark["markersize"]), **rim}

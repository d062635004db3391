"""Runs over time laid over the phase diagram: a small diagram of singular values at each of some cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.diagram.axes import Axis, Window, only_facet
from linphase.diagram.cells import Plot, cells_of
from linphase.diagram.looks import LOOKS, Array, written
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import PANELS, find_panel
from linphase.figures.evolution import BULK, SIGNAL, finite, tint
from linphase.figures.labels import drop_overlapping, name_at_edges
from linphase.figures.layout import draw_plots, subplots
from linphase.figures.legends import draw_legends
from linphase.figures.style import PAGE_WIDTH, StyleName, points, stroke, styled
from linphase.model.regime import Cuts
from linphase.runs.records import Trajectory

_ALONG = (5, 6, 7)  # cells sampled of either axis, where it has more
_BULK_LINES = 12  # of a small diagram, at most
_LIMITS = (2e-3, 12.0)  # of s_i/s_1(Y), the same in every small diagram
_FILL = 0.84  # of the distance between sampled cells


def sampled_runs(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> dict[tuple[int, int], str]:
    """The run of each of about 6 x 6 cells, evenly over the diagram: its id by (row, column).

    Of the ways to spread them one that meets every regime, however narrow, twice if it can. Of replicates the first
    that finished; a cell without any is left out.
    Raises LinphaseError where there are facets: a run over time has no place in several diagrams.
    """
    only_facet(runs, axes)
    window = Window.of(axes)
    finished = runs[runs["status"] != "failed"].sort_values("replicate")
    places = zip(window.y.index(finished).tolist(), window.x.index(finished).tolist(), strict=True)
    first: dict[tuple[int, int], tuple[str, str]] = {}
    for place, run_id, outcome in zip(places, finished["run_id"], outcomes(finished), strict=True):
        first.setdefault(place, (run_id, outcome))

    def rank(spread: tuple[Sequence[int], ...]) -> tuple[float, float, float]:
        met = Counter(first[place][1] for place in product(*spread) if place in first)
        lacks, left_out = zip(*(_badness(along, len(axis.kept)) for along, axis in zip(spread, sides, strict=True)),
                              strict=True)  # fmt: skip
        return -sum(min(2, count) for count in met.values()), sum(lacks), sum(left_out)

    sides = (window.y, window.x)
    best = min(product(*(_spreads(len(axis.kept)) for axis in sides)), key=rank)
    return {place: first[place][0] for place in product(*best) if place in first}


def _spreads(count: int) -> list[Sequence[int]]:
    """All ways to take about six places of an axis at equal distances, over most of it; or all of few."""
    if count <= max(_ALONG):
        return [range(count)]
    found: list[Sequence[int]] = []
    for number in _ALONG:
        for step in range(1, (count - 1) // (number - 1) + 1):
            length = (number - 1) * step
            if length >= 0.6 * (count - 1):
                found += [range(first, first + length + 1, step) for first in range(count - length)]
    return found


def _badness(along: Sequence[int], count: int) -> tuple[float, float]:
    """How much room the outermost places lack at the ends of their axis, and how unevenly and much is left out."""
    before, after = along[0], count - 1 - along[-1]
    step = along[1] - along[0] if len(along) > 1 else 1
    lack = 0.0 if len(along) == count else max(0.0, _FILL * step - 1 - 2 * min(before, after))
    return lack, before + after + 0.5 * abs(before - after)


@styled
def trajectory_map(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    trajectories: Mapping[tuple[int, int], Trajectory],
    *,
    cuts: Cuts = Cuts(),
    style: StyleName = "paper",
) -> Figure:
    """The regime diagram with the singular values over time at some of its cells.

    trajectories: by the (row, column) of their cell, those of `sampled_runs`. Every small diagram has its own time,
    logarithmic, from the first moment kept to the end, and s_i(A)/s_1(Y) in the same logarithmic limits; where the
    threshold is beyond them an arrow at its edge points to it.

    Raises LinphaseError as `sampled_runs` and `phase_diagram` do.
    """
    title = only_facet(runs, axes)
    window = Window.of(axes)
    shown = find_panel("regime", cuts, runs)
    plot = Plot(shown, title, runs, cells_of(runs, window, shown, cuts))
    figure, (ax,) = subplots(1, 1, (PAGE_WIDTH, 0.82 * PAGE_WIDTH))
    (lines,) = draw_plots([ax], 1, [plot], window, [None])
    told = [title, *([shown.title.replace("\n", " ")] if shown.title != PANELS["regime"].title else [])]
    if any(told):
        ax.set_title(", ".join(filter(None, told)), pad=points(13))  # above the names of the lines
    thresholds = _thresholds(runs, window)
    across, up = _fractions(window.x), _fractions(window.y)
    width = _FILL * _distance(across, (column for _, column in trajectories))
    height = _FILL * _distance(up, (row for row, _ in trajectories))
    for (row, column), trajectory in trajectories.items():
        outcome = plot.cells.outcomes[row, column]
        # Those at the edge are moved inwards.
        left = float(np.clip(across[column] - width / 2, 0, 1 - width))
        bottom = float(np.clip(up[row] - height / 2, 0, 1 - height))
        box = (left, bottom, width, height)
        small = ax.inset_axes(box, zorder=5, gid=f"cell {row} {column}")
        _draw_small(small, trajectory, thresholds[row, column], int(runs["rank"].iloc[0]))
        color = LOOKS[outcome[0]].color
        small.set_facecolor(tint(tint(color)))
        small.spines[:].set(color=color, linewidth=stroke(1.2))
    low, high = (written(limit) for limit in _LIMITS)
    handles = [
        Line2D([], [], color=SIGNAL, linewidth=stroke(1.0), label="signal"),
        Line2D([], [], color=BULK, linewidth=stroke(0.6), label="bulk"),
        Line2D([], [], color="black", linestyle=(0, (1, 1.2)), linewidth=stroke(0.9), label="threshold $c$"),
        Line2D([], [], linestyle="none", label=f"up: $s_i/s_1(Y)$ from {low} to {high}, log; across: own time, log"),
    ]
    draw_legends(figure, [plot], [lines], below=handles)
    names = name_at_edges(ax, lines)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drop_overlapping(figure, names)
    return figure


def _thresholds(runs: pd.DataFrame, window: Window) -> dict[tuple[int, int], float]:
    places = zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True)
    return dict(zip(places, runs["threshold"].astype(float).tolist(), strict=True))


def _fractions(axis: Axis) -> Array:
    """Where the cells lie between the two ends of the diagram, from 0 to 1."""
    place, edges = (np.log(each) if axis.logarithmic else each for each in (axis.positions, axis.edges))
    return np.asarray((place - edges[0]) / (edges[-1] - edges[0]))


def _distance(fractions: Array, places: Iterable[int]) -> float:
    """The least distance between sampled cells along an axis."""
    return float(np.diff(fractions[sorted(set(places))]).min(initial=1.0))


def _draw_small(ax: Axes, trajectory: Trajectory, threshold: float, rank: int) -> None:
    time = finite(trajectory.time)
    seen = time > 0
    target = trajectory.final_modes.target
    largest = float(target[0]) if len(target) and target[0] > 0 else 1.0
    s = finite(trajectory.singular_values)[seen] / largest
    ax.set(xscale="log", yscale="log", ylim=_LIMITS)
    if seen.sum() > 1:
        bulk = range(rank, s.shape[1], max(1, ceil((s.shape[1] - rank) / _BULK_LINES)))
        for mode in (*bulk, *range(min(rank, s.shape[1]))):
            signal = mode < rank
            ax.plot(time[seen], np.where(s[:, mode] > 0, s[:, mode], np.nan), color=SIGNAL if signal else BULK,
                    linewidth=stroke(0.8 if signal else 0.35), zorder=3 if signal else 2)  # fmt: skip
        ax.set_xlim(time[seen][0], time[seen][-1])
    c = threshold / largest
    if _LIMITS[0] < c < _LIMITS[1]:
        ax.axhline(c, color="black", linestyle=(0, (1, 1.2)), linewidth=stroke(0.9), zorder=4, gid="threshold")
    else:
        above = c >= _LIMITS[1]
        ax.plot([0.9], [0.9 if above else 0.1], transform=ax.transAxes, marker="^" if above else "v", color="black",
                markersize=stroke(3), zorder=4, gid="threshold beyond")  # fmt: skip
    ax.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
    ax.minorticks_off()

"""Runs over time laid over the phase diagram: a small diagram of singular values at each of some cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.diagram.axes import Axis, Window, only_facet, split_facets
from linphase.diagram.cells import Plot, cells_of
from linphase.diagram.looks import BULK, LOOKS, SIGNAL, Array, written
from linphase.diagram.mesh import Mesh, reach_of
from linphase.diagram.panels import find_panel
from linphase.diagram.sampling import FILL
from linphase.figures.labels import drop_overlapping, name_at_edges
from linphase.figures.layout import Sheet, settle
from linphase.figures.legends import draw_legends
from linphase.figures.run_curves import finite, tint
from linphase.figures.style import PAGE_WIDTH, StyleName, points, stroke, styled
from linphase.model.regime import Cuts
from linphase.runs.records import Trajectory

if TYPE_CHECKING:
    import pandas as pd

_BULK_LINES = 12  # of a small diagram, at most
_LIMITS = (2e-3, 12.0)  # of s_i/s_1(Y), the same in every small diagram


@styled
def trajectory_map(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    trajectories: Mapping[tuple[int, int], Trajectory],
    *,
    cuts: Cuts = Cuts(),
    mesh: Mesh | None = None,
    style: StyleName = "paper",
) -> Figure:
    """The regime diagram with the singular values over time at some of its cells.

    Every small diagram has its own time, logarithmic, from the first moment kept to the end, and s_i(A)/s_1(Y) in the
    same logarithmic limits; where the threshold is beyond them an arrow at its edge points to it.

    Parameters
    ----------
    runs, axes, cuts, mesh, style
        As in `phase_diagram`.
    trajectories
        Those of `linphase.diagram.sampling.sampled_runs`, by the (row, column) of their cell.

    Raises
    ------
    LinphaseError
        If there are facets, or as `phase_diagram` does.
    """
    title = only_facet(runs, axes)
    window, (facet,) = Window.of(axes), split_facets(runs, axes)
    shown = find_panel("regime", cuts, runs)
    plot = Plot(shown, title, runs, cells_of(runs, window, shown, cuts, reach_of(mesh, window, facet)))
    sheet = Sheet([plot], window, 1, PAGE_WIDTH, shape=0.82, room=0)
    figure, (ax,), (lines,) = sheet.figure, sheet.grid, sheet.lines
    told = [title, "" if shown.title == shown.name else shown.title.replace("\n", " ")]
    if any(told):
        ax.set_title(", ".join(filter(None, told)), pad=points(13))  # above the names of the lines
    thresholds, ranks = (_by_cell(runs, window, name) for name in ("threshold", "rank"))
    across, up = _fractions(window.x), _fractions(window.y)
    width = FILL * _distance(across, (column for _, column in trajectories))
    height = FILL * _distance(up, (row for row, _ in trajectories))
    for (row, column), trajectory in trajectories.items():
        outcome = plot.cells.outcomes[row, column]
        # Those at the edge are moved inwards.
        left = float(np.clip(across[column] - width / 2, 0, 1 - width))
        bottom = float(np.clip(up[row] - height / 2, 0, 1 - height))
        box = (left, bottom, width, height)
        small = ax.inset_axes(box, zorder=5, gid=f"cell {row} {column}")
        cell = plot.cells.stand_ins.get((row, column), (row, column))
        _draw_small(small, trajectory, thresholds[cell], int(ranks[cell]))
        color = LOOKS[outcome[0]].color
        small.set_facecolor(tint(tint(color)))
        small.spines[:].set(color=color, linewidth=stroke(1.2))
    low, high = (written(limit) for limit in _LIMITS)
    ranked = any(ranks.values())  # with rank 0 no modes are told to be the signal's
    handles = [
        *([Line2D([], [], color=SIGNAL, linewidth=stroke(1.0), label="signal")] if ranked else []),
        Line2D([], [], color=BULK, linewidth=stroke(0.6), label="bulk" if ranked else "modes"),
        Line2D([], [], color="black", linestyle=(0, (1, 1.2)), linewidth=stroke(0.9), label="threshold $c$"),
        Line2D([], [], linestyle="none", label=f"up: $s_i/s_1(Y)$ from {low} to {high}, log; across: own time, log"),
    ]
    draw_legends(figure, [plot], [lines], below=handles)
    names = name_at_edges(ax, lines)
    settle(figure)
    drop_overlapping(figure, names)
    return figure


def _by_cell(runs: pd.DataFrame, window: Window, column: str) -> dict[tuple[int, int], float]:
    places = zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True)
    return dict(zip(places, runs[column].astype(float).tolist(), strict=True))


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

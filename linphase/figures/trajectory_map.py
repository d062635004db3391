"""Runs over time laid over the phase diagram: a small diagram of singular values at each of some cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.diagram.axes import Window, only_facet, split_facets
from linphase.diagram.cells import Plot, cells_of
from linphase.diagram.looks import BULK, LOOKS, SIGNAL, THRESHOLD, written
from linphase.diagram.mesh import Mesh, reach_of
from linphase.diagram.panels import find_panel
from linphase.diagram.sampling import Sample
from linphase.figures.fitting import PAGE_WIDTH, Style, StyleName
from linphase.figures.layout import Sheet
from linphase.figures.run_curves import dotted, finite, tint
from linphase.figures.style import stroke, styled
from linphase.model.regime import Cuts
from linphase.runs.records import Trajectory

if TYPE_CHECKING:
    import pandas as pd

_BULK_LINES = 12  # of a small diagram, at most
_LIMITS = (2e-3, 12.0)  # of s_i/s_1(Y), the same in every small diagram
_LOW, _HIGH = map(written, _LIMITS)
_EXPLAINED = (
    f"small diagrams: upwards $s_i(A)/s_1(Y)$ from {_LOW} to {_HIGH}, across the time of a run, both logarithmic; "
    "tinted as the regime"
)


@styled
def trajectory_map(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    trajectories: Mapping[Sample, Trajectory],
    *,
    cuts: Cuts = Cuts(),
    mesh: Mesh | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """The regime diagram with the singular values over time at some of its cells.

    Every small diagram has its own time, logarithmic, from the first moment kept to the end, and s_i(A)/s_1(Y) in the
    same logarithmic limits; where the threshold is beyond them an arrow at its edge points to it. Theory's lines are
    left out: small diagrams would cut them into pieces.

    Parameters
    ----------
    runs, axes, cuts, mesh, style
        As in `phase_diagram`.
    trajectories
        Of the runs of `linphase.diagram.sampling.sampled_runs`.

    Raises
    ------
    LinphaseError
        If there are facets, or as `phase_diagram` does.
    """
    title = only_facet(runs, axes)
    window, (facet,) = Window.of(axes), split_facets(runs, axes)
    shown = find_panel("regime", cuts, runs)
    told = [title, "" if shown.title == shown.name else shown.title.replace("\n", " ")]
    title = "\n".join(filter(None, [", ".join(filter(None, told)), _EXPLAINED]))
    plot = Plot(shown, title, runs, cells_of(runs, window, shown, cuts, reach_of(mesh, window, facet)))
    sheet = Sheet([plot], window, 1, PAGE_WIDTH, shape=0.82, lined=False)
    (ax,) = sheet.grid
    values = {name: _by_cell(runs, window, name) for name in ("threshold", "rank")}
    for sample, trajectory in trajectories.items():
        row, column = sample.place
        small = ax.inset_axes(sample.box, zorder=5, gid=f"cell {row} {column}")
        cell = plot.cells.stand_ins.get(sample.place, sample.place)
        _draw_small(small, trajectory, values["threshold"][cell], int(values["rank"][cell]))
        color = LOOKS[plot.cells.outcomes[sample.place][0]].color
        small.set_facecolor(tint(tint(color)))
        small.spines[:].set(color=color, linewidth=stroke(1.2))
    return sheet.finish(below=_handles(ax, ranked=any(values["rank"].values())))


def _handles(ax: Axes, *, ranked: bool) -> list[Artist]:
    """Samples of what the small diagrams hold; without a rank no modes are told to be the signal's."""
    lines = [line for small in ax.child_axes for line in small.lines if line.get_gid() == "threshold beyond"]
    arrows = {line.get_marker() for line in lines}
    beyond = [(mark, where) for mark, where in (("^", "above"), ("v", "below")) if mark in arrows]
    return [
        *([Line2D([], [], color=SIGNAL, linewidth=stroke(1.2), label="signal")] if ranked else []),
        Line2D([], [], color=BULK, linewidth=stroke(0.8), label="bulk" if ranked else "modes"),
        Line2D([], [], label="threshold $c$", **dotted(0.9)),
        *(_arrow([], [], mark, label=f"$c$ {where} the frame") for mark, where in beyond),
    ]


def _arrow(x: Sequence[float], y: Sequence[float], mark: str, **more: Any) -> Line2D:
    return Line2D(x, y, linestyle="none", marker=mark, color=THRESHOLD, markersize=stroke(3), **more)


def _by_cell(runs: pd.DataFrame, window: Window, column: str) -> dict[tuple[int, int], float]:
    places = zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True)
    return dict(zip(places, runs[column].astype(float).tolist(), strict=True))


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
        ax.axhline(c, **dotted(0.9), zorder=4, gid="threshold")
    else:
        above = c >= _LIMITS[1]
        place, mark = (0.9, "^") if above else (0.1, "v")
        ax.add_line(_arrow([0.9], [place], mark, transform=ax.transAxes, zorder=4, gid="threshold beyond"))
    ax.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
    ax.minorticks_off()

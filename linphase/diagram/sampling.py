"""Which runs are shown over time: that of one cell, of one a regime, or of some over the diagram."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import dist
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from linphase.diagram.axes import Axis, Window, only_facet, split_facets
from linphase.diagram.cells import Place, cells_of
from linphase.diagram.looks import Array
from linphase.diagram.mesh import Mesh, Reach, reach_of
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import UNFINISHED, find_panel
from linphase.errors import LinphaseError
from linphase.model.regime import REGIMES, Cuts

if TYPE_CHECKING:
    import pandas as pd

FILL = 0.84  # of the distance between the middles of small diagrams: how large one is
_FEW = 7  # cells along an axis that all have one
_ALONG = (5, 6, 7)  # small diagrams along an axis of more cells
_ABOUT = 30  # small diagrams that a figure has room for


def only_run(runs: pd.DataFrame) -> tuple[dict[str, Any], int]:
    """The first replicate that finished of the runs of one cell, a row of the runs table, and how many did.

    Raises
    ------
    LinphaseError
        If there is no run, or all of them failed.
    """
    if runs.empty:
        raise LinphaseError("trajectories: these results hold no run yet. linphase sweep trains them")
    finished = runs[runs["status"] != "failed"].sort_values("replicate")
    if finished.empty:
        raise LinphaseError(
            "trajectories: all runs of this cell failed. Choose another one with --where, or linphase sweep "
            "--retry-failed"
        )
    return dict(finished.iloc[0]), len(finished)


def cell_of_each_regime(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], cuts: Cuts = Cuts(), mesh: Mesh | None = None
) -> dict[str, pd.DataFrame]:
    """The cell that stands for each regime, as the runs of its replicates, in the order lazy, mixed, balanced.

    All lie at one width (the axis upwards) where this can be: that at which most regimes stand beside each other, of
    several that at which the narrowest of them has most cells, then the largest. There the cell in the middle of those
    of a regime is taken. A regime that is not at this width is taken at the one where it has most cells.

    Parameters
    ----------
    runs, axes, cuts, mesh
        As in `phase_diagram`.

    Returns
    -------
    dict[str, pd.DataFrame]
        Rows of `runs` without those that failed or diverged; a regime that no cell has is left out.

    Raises
    ------
    LinphaseError
        If no cell has a regime, or as `sampled_runs` does.
    """
    window, reach = _one_window(runs, axes, mesh)
    shown = cells_of(runs, window, find_panel("regime", cuts, runs), cuts, reach).own_outcomes()
    columns: dict[int, dict[str, list[int]]] = {}  # by row and regime, ascending
    for (row, column), outcome in sorted(shown.items()):
        if len(outcome) == 1 and outcome[0] in REGIMES:
            columns.setdefault(row, {}).setdefault(outcome[0], []).append(column)
    if not columns:
        raise LinphaseError(
            "three-regimes: a cell that is lazy, mixed or balanced is required, found none. Sweep widths of at least "
            "the rank of the signal, with a task whose rank is told (task.rank)"
        )
    shared = max(columns, key=lambda row: (len(columns[row]), min(map(len, columns[row].values())), row))
    places = window.y.index(runs), window.x.index(runs)
    trained = ~runs["status"].isin(UNFINISHED).to_numpy(dtype=bool)
    found = {}
    for regime in REGIMES:
        of_rows = {row: each[regime] for row, each in columns.items() if regime in each}
        if of_rows:
            row = shared if shared in of_rows else max(of_rows, key=lambda row: len(of_rows[row]))
            column = of_rows[row][len(of_rows[row]) // 2]
            found[regime] = runs[(places[0] == row) & (places[1] == column) & trained].sort_values("replicate")
    return found


@dataclass(frozen=True)
class Sample:
    """A run shown over time by a small diagram that stands over the cell of the run."""

    run_id: str
    place: Place
    box: tuple[float, float, float, float]  # left, bottom, width and height, as shares of the whole diagram


def sampled_runs(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], mesh: Mesh | None = None) -> list[Sample]:
    """The runs that small diagrams show, evenly over the whole window: of each the cell under its middle.

    Along an axis of at most 7 cells every cell has a small diagram; over more there are 5 to 7 at equal distances. Of
    these ways one is taken that meets every regime, however narrow, twice if it can. Of replicates the first that
    finished; a cell without any is left out. Of several small diagrams over one large cell the nearest to it stays.

    Parameters
    ----------
    runs, axes, mesh
        As in `phase_diagram`.

    Raises
    ------
    LinphaseError
        If there are facets: a run over time has no place in several diagrams. If an axis is derived.
    """
    window, reach = _one_window(runs, axes, mesh)
    finished = runs[runs["status"] != "failed"].sort_values("replicate")
    places = zip(window.y.index(finished).tolist(), window.x.index(finished).tolist(), strict=True)
    first: dict[Place, tuple[str, str]] = {}
    for place, run_id, outcome in zip(places, finished["run_id"], outcomes(finished), strict=True):
        if min(place) >= 0:
            first.setdefault(place, (run_id, outcome))
    covers = {} if reach is None else reach.stand_ins()
    ways = product(_spreads(window.y), _spreads(window.x))
    found = [_samples(up, across, first, covers) for up, across in ways]

    def worth(samples: Sequence[Sample]) -> tuple[int, int, int]:
        met = Counter(first[covers.get(each.place, each.place)][1] for each in samples)
        return len(met), sum(min(2, count) for count in met.values()), -abs(len(samples) - _ABOUT)

    return max(found, key=worth)


@dataclass(frozen=True)
class _Spread:
    """Small diagrams along an axis, from 0 to 1 over the diagram."""

    middles: Array
    size: float
    places: tuple[int, ...]  # of the cells under the middles
    cells: Array  # where the middles of all cells are


def _spreads(axis: Axis) -> list[_Spread]:
    """The ways to stand small diagrams along an axis."""
    cells, edges = (np.log(each) if axis.logarithmic else each for each in (axis.positions, axis.edges))
    cells, edges = ((each - edges[0]) / (edges[-1] - edges[0]) for each in (cells, edges))
    if len(cells) <= _FEW:
        return [_Spread(cells, FILL * float(np.diff(cells).min(initial=1.0)), tuple(range(len(cells))), cells)]
    evenly = [(np.arange(number) + 0.5) / number for number in _ALONG]
    under = [np.searchsorted(edges, middles, side="right") - 1 for middles in evenly]
    return [
        _Spread(middles, FILL / len(middles), tuple(places.tolist()), cells)
        for middles, places in zip(evenly, under, strict=True)
    ]


def _samples(
    up: _Spread, across: _Spread, first: Mapping[Place, tuple[str, str]], covers: Mapping[Place, Place]
) -> list[Sample]:
    """The small diagrams that have a run to show, each run once."""
    found: dict[str, tuple[float, Sample]] = {}
    for (y, row), (x, column) in product(*(zip(each.middles, each.places, strict=True) for each in (up, across))):
        cell = covers.get((row, column), (row, column))
        if cell in first:
            box = (float(x) - across.size / 2, float(y) - up.size / 2, across.size, up.size)
            away = dist((y, x), (up.cells[cell[0]], across.cells[cell[1]]))
            run_id = first[cell][0]
            one = away, Sample(run_id, (row, column), box)
            found[run_id] = min(one, found.get(run_id, one), key=itemgetter(0))
    return [sample for _, sample in found.values()]


def _one_window(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], mesh: Mesh | None
) -> tuple[Window, Reach | None]:
    """The axes of the only facet, and how far its cells reach; LinphaseError where runs have no place in it."""
    only_facet(runs, axes)
    window, (facet,) = Window.of(axes), split_facets(runs, axes)
    if window.derived:
        raise LinphaseError(
            f"trajectories: are laid over axes of the sweep, found {window.x.column} and {window.y.column}. Choose "
            "others with --x and --y"
        )
    return window, reach_of(mesh, window, facet)

"""Which runs are shown over time: that of one cell, or those of some cells over the diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from math import ceil, dist
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from linphase.diagram.axes import Window, only_facet, split_facets
from linphase.diagram.mesh import Mesh, reach_of
from linphase.diagram.outcomes import outcomes
from linphase.errors import LinphaseError

if TYPE_CHECKING:
    import pandas as pd

FILL = 0.84  # of the distance between sampled cells: how large a diagram in one of them is
_ALONG = (5, 6, 7)  # cells sampled of either axis, where it has more
_MOST = 600  # ways to spread them that are looked at


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


def sampled_runs(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], mesh: Mesh | None = None
) -> dict[tuple[int, int], str]:
    """The run of each of about 6 x 6 cells, evenly over the diagram: its id by (row, column).

    Of the ways to spread them one that meets every regime, however narrow, twice if it can. Of replicates the first
    that finished; a cell without any is left out. A place that another cell covers has this cell's run; of several
    places of one cell the nearest to it has it.

    Parameters
    ----------
    runs, axes, mesh
        As in `phase_diagram`.

    Raises
    ------
    LinphaseError
        If there are facets: a run over time has no place in several diagrams. If an axis is derived.
    """
    only_facet(runs, axes)
    window, (facet,) = Window.of(axes), split_facets(runs, axes)
    if window.derived:
        raise LinphaseError(
            f"trajectories: are laid over axes of the sweep, found {window.x.column} and {window.y.column}. Choose "
            "others with --x and --y"
        )
    finished = runs[runs["status"] != "failed"].sort_values("replicate")
    places = zip(window.y.index(finished).tolist(), window.x.index(finished).tolist(), strict=True)
    first: dict[tuple[int, int], tuple[str, str]] = {}
    for place, run_id, outcome in zip(places, finished["run_id"], outcomes(finished), strict=True):
        if min(place) >= 0:
            first.setdefault(place, (run_id, outcome))
    reach = reach_of(mesh, window, facet)
    covers = {} if reach is None else reach.stand_ins()
    first |= {place: first[cell] for place, cell in covers.items() if cell in first}
    best = _best_spread({place: outcome for place, (_, outcome) in first.items()}, window)
    nearest: dict[str, tuple[int, int]] = {}

    def away(place: tuple[int, int]) -> float:
        return dist(place, covers.get(place, place))

    for place in sorted(product(*best), key=away):
        if place in first:
            nearest.setdefault(first[place][0], place)
    return {place: run_id for run_id, place in nearest.items()}


def _best_spread(found: Mapping[tuple[int, int], str], window: Window) -> tuple[Sequence[int], Sequence[int]]:
    """The rows and columns that meet most outcomes, twice if they can; of these the least bad ones."""
    names = sorted(set(found.values()))
    rows, columns = len(window.y.kept), len(window.x.kept)
    there = np.zeros((len(names), rows, columns))
    for place, outcome in found.items():
        there[names.index(outcome), *place] = 1
    across = _spreads(columns)
    inside = np.array([np.isin(range(columns), each) for each in across], dtype=float)
    badness = np.array([_badness(each, columns) for each in across])

    def best_across(down: Sequence[int]) -> tuple[tuple[float, ...], tuple[Sequence[int], Sequence[int]]]:
        met = np.minimum(2, there[:, list(down)].sum(axis=1) @ inside.T).sum(axis=0)
        lack, left_out = (_badness(down, rows) + badness).T
        best = np.lexsort((left_out, lack, -met))[0]
        return (-met[best], lack[best], left_out[best]), (down, across[best])

    return min(map(best_across, _spreads(rows)), key=itemgetter(0))[1]


def _spreads(count: int) -> list[Sequence[int]]:
    """Ways to take about six places of an axis at equal distances, over most of it; or all of few."""
    if count <= max(_ALONG):
        return [range(count)]
    found: list[Sequence[int]] = []
    for number in _ALONG:
        for step in range(1, (count - 1) // (number - 1) + 1):
            length = (number - 1) * step
            if length >= 0.6 * (count - 1):
                found += [range(first, first + length + 1, step) for first in range(count - length)]
    return found[:: ceil(len(found) / _MOST)]


def _badness(along: Sequence[int], count: int) -> tuple[float, float]:
    """How much room the outermost places lack at the ends of their axis, and how unevenly and much is left out."""
    before, after = along[0], count - 1 - along[-1]
    step = along[1] - along[0] if len(along) > 1 else 1
    lack = 0.0 if len(along) == count else max(0.0, FILL * step - 1 - 2 * min(before, after))
    return lack, before + after + 0.5 * abs(before - after)

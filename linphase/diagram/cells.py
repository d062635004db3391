"""The cells of a phase diagram: what each shows of its runs. No matplotlib: a terminal shows the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.diagram.axes import Window, cell_edges
from linphase.diagram.looks import LOOKS, Array
from linphase.diagram.mesh import Reach
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import UNFINISHED, Panel
from linphase.model.regime import AGREED, REGIMES, Cuts, majority
from linphase.runs.records import AS_ASKED

Place: TypeAlias = tuple[int, int]  # row and column of a cell
Places: TypeAlias = NDArray[np.intp]
Rectangle: TypeAlias = tuple[Place, Place]  # its first and its last place


@dataclass(frozen=True)
class Cells:
    """What each cell shows: a number, or the outcomes that share the majority."""

    outcomes: dict[Place, tuple[str, ...]]  # (row, column) -> outcomes, for cells without a number
    numbers: Array  # (rows, columns), nan where there is none
    unconverged: list[Place]  # cells to hatch: a replicate is there and did not end as asked
    all_unconverged: bool  # no cell converged: said in the legend, for hatching would only hide the numbers
    disputed: list[Place] = field(default_factory=list)  # to hatch finely: a regime, and criteria that do not agree
    stand_ins: Mapping[Place, Place] = field(default_factory=dict)  # of `stand_ins`
    narrow: list[Place] = field(default_factory=list)  # whose width does not hold the signal

    @property
    def deciding(self) -> Array:
        """The numbers (n,) that decide on a scale: those of cells whose width holds the signal; without any, all."""
        able = self.numbers.copy()
        for cell in self.narrow:
            able[cell] = np.nan
        return (able if np.isfinite(able).any() else self.numbers).ravel()

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many cells show each outcome, or tie."""
        found = list(self.own_outcomes().values())
        return {shown: found.count(shown) for shown in dict.fromkeys(found)}

    def own_outcomes(self) -> dict[Place, tuple[str, ...]]:
        """The outcomes of the cells that have runs, or lack them; not of those whose place another one takes in."""
        return {cell: shown for cell, shown in self.outcomes.items() if cell not in self.stand_ins}

    def reached(self, cells: Collection[Place]) -> list[list[Rectangle]]:
        """What each of some cells covers, with the places that it takes in: rectangles beside each other."""
        covered = {cell: [cell] for cell in cells}
        for empty, owner in self.stand_ins.items():
            if owner in covered:
                covered[owner].append(empty)
        return [_rectangles(places) for places in covered.values()]


@dataclass(frozen=True)
class Plot:
    """One subplot: the runs of a facet and what a panel shows of them."""

    panel: Panel
    title: str
    runs: pd.DataFrame
    cells: Cells


def cells_of(runs: pd.DataFrame, window: Window, panel: Panel, cuts: Cuts, reach: Reach | None = None) -> Cells:
    """Average the replicates of every cell, or find what most of them came to.

    Parameters
    ----------
    runs
        Rows of a runs table, of one facet.
    window
        The two axes.
    panel
        What is shown: of `find_panel`, so that its column is that of the criterion.
    cuts
        What turns shares into regimes.
    reach
        Of `linphase.diagram.mesh.reach_of`: which places are cells, and what the others belong to. None: every place is
        a cell, and missing without a run.
    """
    shape = (len(window.y.kept), len(window.x.kept))
    members = _members(window.y.index(runs), window.x.index(runs), shape)
    if reach is not None:
        members[~reach.asked.ravel()] = -1
    covers = stand_ins([divmod(i, shape[1]) for i in np.flatnonzero(members[:, 0] >= 0).tolist()], window, reach)
    drawn = _spread(members, covers, shape[1])
    of_a_cell = np.full(len(members), not window.derived) if reach is None else reach.owners.ravel() >= 0
    unfinished = runs["status"].isin(UNFINISHED).to_numpy(dtype=bool)
    words = (outcomes(runs, cuts) if panel.column is None else runs["status"]).to_numpy(dtype=object)
    numbers = np.full(shape, np.nan)
    shown: dict[Place, tuple[str, ...]] = {}

    def nothing(i: int) -> tuple[str, ...]:
        return ("missing",) if of_a_cell[i] else ()

    if panel.scale == "outcome":
        for i, found in enumerate(_majorities(words, drawn)):
            shown[divmod(i, shape[1])] = tuple(sorted(found, key=list(LOOKS).index)) or nothing(i)
    else:
        numbers = _numbers(runs, panel, unfinished, words, drawn).reshape(shape)
        at_start = (numbers == 0) & (panel.null is not None and panel.statistic == "mean")  # a time that no mode needs
        without = np.flatnonzero(np.isnan(numbers) | at_start)
        ended = _any(~unfinished, drawn)
        for i, found in zip(without.tolist(), _majorities(words, drawn[without]), strict=True):
            cell = divmod(i, shape[1])
            if at_start[cell]:
                numbers[cell], shown[cell] = np.nan, ("start",)
            else:
                shown[cell] = ("undefined",) if ended[i] else found or nothing(i)
    if panel.scale == "ln":
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = np.where(numbers > 0, np.log(numbers), np.nan)
        nowhere = [divmod(i, shape[1]) for i in np.flatnonzero(np.isnan(numbers)).tolist()]
        shown |= {cell: ("undefined",) for cell in nowhere if cell not in shown}
    shown = {cell: found for cell, found in shown.items() if found}
    strayed = ~unfinished & ~runs["status"].isin(AS_ASKED).to_numpy(dtype=bool)
    unconverged = [] if panel.column == "status" else _in_order(_any(strayed, members), members, shape)
    cannot = (runs["width"] < runs["rank"]).to_numpy(dtype=bool, na_value=False)
    narrow = [divmod(i, shape[1]) for i in np.flatnonzero(_any(cannot, drawn)).tolist()]
    counted = np.isfinite(numbers)
    if counted.any() and len(unconverged) == counted.sum() - sum(counted[cell] for cell in covers):
        return Cells(shown, numbers, [], True, stand_ins=covers, narrow=narrow)
    disputed = _disputed(runs, members, shape) if panel.shows_regime else []
    disputed = [cell for cell in disputed if set(shown[cell]) <= set(REGIMES)]
    return Cells(shown, numbers, unconverged, False, disputed, covers, narrow)


def stand_ins(there: Collection[Place], window: Window, reach: Reach | None = None) -> dict[Place, Place]:
    """By empty place the cell that takes it in: over the axes of a grid that of `reach`, where it is given.

    Where an axis follows from the grid it is one with runs. Every width has values of c of its own, so the cells with
    runs do not fill the rectangle. Along the direction in which more of them are neighbours every cell reaches half way
    to the next one, and the outermost as far outwards; what lies beyond stays empty. (row, column) of each.
    """
    if not window.derived:
        return {} if reach is None else reach.stand_ins()
    if len(window.y.kept) > len(window.x.kept):
        turned = stand_ins([(column, row) for row, column in there], Window(window.y, window.x))
        return {empty[::-1]: cell[::-1] for empty, cell in turned.items()}
    places = np.log(window.x.positions) if window.x.logarithmic else window.x.positions
    found = {}
    for row in {row for row, _ in there}:
        columns = np.array(sorted(column for each, column in there if each == row))
        ends = cell_edges(places[columns]) if len(columns) > 1 else places[columns[[0, 0]]]
        for column in set(range(len(places))) - set(columns.tolist()):
            if ends[0] < places[column] < ends[-1]:
                found[row, column] = (row, int(columns[np.searchsorted(ends, places[column]) - 1]))
    return found


def _rectangles(places: Collection[Place]) -> list[Rectangle]:
    """Places as rectangles: neighbours in a row, joined with those of the row before where these end alike."""
    found: list[Rectangle] = []
    along: list[Rectangle] = []
    for row, column in sorted(places):
        if along and along[-1][1] == (row, column - 1):
            along[-1] = along[-1][0], (row, column)
        else:
            along.append(((row, column), (row, column)))
    for first, last in along:
        above = ((i, each) for i, each in enumerate(found) if each[0][1] == first[1])
        joined = next((i for i, each in above if each[1] == (first[0] - 1, last[1])), None)
        if joined is None:
            found.append((first, last))
        else:
            found[joined] = found[joined][0], last
    return found


def _members(rows: Places, columns: Places, shape: Place) -> Places:
    """Which runs are in each cell, (cells, most runs of a cell): their places in the table, -1 behind the last."""
    on_it = np.flatnonzero((rows >= 0) & (columns >= 0))
    cell = np.ravel_multi_index((rows[on_it], columns[on_it]), shape)
    count = np.bincount(cell, minlength=shape[0] * shape[1])
    order = np.argsort(cell, kind="stable")
    members = np.full((count.size, count.max(initial=1)), -1, dtype=np.intp)
    members[cell[order], np.arange(on_it.size) - np.repeat(np.cumsum(count) - count, count)] = on_it[order]
    return members


def _spread(members: Places, covers: Mapping[Place, Place], columns: int) -> Places:
    """The runs that each place shows: its own, or those of the cell that takes it in."""
    empty, owner = (np.array([*places], dtype=np.intp).reshape(-1, 2) for places in (covers, covers.values()))
    drawn = members.copy()
    drawn[empty @ [columns, 1]] = members[owner @ [columns, 1]]
    return drawn


def _any(flags: NDArray[np.bool_], members: Places) -> NDArray[np.bool_]:
    """Whether any run of each cell has a flag."""
    return np.asarray(np.append(flags, False)[members].any(axis=1))


def _numbers(
    runs: pd.DataFrame, panel: Panel, unfinished: NDArray[np.bool_], words: NDArray[np.object_], members: Places
) -> Array:
    """What a panel of numbers has for each cell: the mean over the replicates, or how far they lie apart."""
    if panel.statistic == "dissent":
        counts, _ = _counts(words, members)
        total = counts.sum(axis=1)
        return np.where(total > 1, 1 - counts.max(axis=1) / np.maximum(total, 1), np.nan)
    values = runs[panel.column].to_numpy(dtype=np.float64, na_value=np.nan)
    values = np.where(unfinished, np.nan, values)
    if panel.statistic == "mean":
        return _means(values, members)
    if panel.statistic == "deviation of ln":
        values = np.log(np.where(values > 0, values, np.nan))
    mean = _means(values, members)
    away = np.append(values, np.nan)[members] - mean[:, None]
    count = np.isfinite(away).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation = np.sqrt(
            np.where(np.isfinite(away), away**2, 0.0).sum(axis=1) / np.where(count > 1, count - 1, np.nan)
        )
        if panel.statistic == "relative deviation":
            deviation = np.where(deviation == 0, 0.0, deviation / np.abs(mean))
    return np.where(np.isfinite(deviation), deviation, np.nan)


def _means(values: Array, members: Places) -> Array:
    """The mean over the finite values of each cell, nan without any."""
    here = np.append(values, np.nan)[members]
    finite = np.isfinite(here)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(finite, here, 0.0).sum(axis=1) / finite.sum(axis=1))


def _counts(words: NDArray[np.object_], members: Places) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """How many runs of each cell have each word, (cells, words), and the words."""
    codes, names = pd.factorize(words)
    here = np.append(codes, -1)[members]
    columns = [(here == code).sum(axis=1) for code in range(len(names))] or [np.zeros(len(here), dtype=np.intp)]
    return np.stack(columns, axis=1), names


def _majorities(words: NDArray[np.object_], members: Places) -> Iterator[tuple[str, ...]]:
    """The word of most runs of each cell, several where they tie, none where it has no run."""
    counts, names = _counts(words, members)
    most = counts.max(axis=1, keepdims=True)
    alone = [(name,) for name in names]
    tied = (counts == most).sum(axis=1) > 1
    for i, (best, several, there) in enumerate(zip(counts.argmax(axis=1), tied, most[:, 0] > 0, strict=True)):
        if there:
            yield majority([words[run] for run in members[i] if run >= 0]) if several else alone[best]
        else:
            yield ()


def _in_order(chosen: NDArray[np.bool_], members: Places, shape: Place) -> list[Place]:
    """The chosen cells in the order of their first runs in the table."""
    cells = np.flatnonzero(chosen)
    return [divmod(i, shape[1]) for i in cells[np.argsort(members[cells, 0])].tolist()]


def _disputed(runs: pd.DataFrame, members: Places, shape: Place) -> list[Place]:
    """The cells whose criteria agree on less than AGREED of the modes, in the mean over replicates."""
    if "evidence_agreement" not in runs:
        return []
    agreement = _means(runs["evidence_agreement"].to_numpy(dtype=np.float64, na_value=np.nan), members)
    return _in_order(agreement < AGREED, members, shape)

"""Which places of a diagram are cells of their own, where not every combination of the axes' values is asked for.

The axes hold the values of all configurations, so a directory that was extended by values on one axis, or whose cells
were refined near boundaries, has places that nobody asks for. Such a place belongs to a cell beside it, which is drawn
as large as it is: of every grid that was swept look at the cell around the place, between the grid's next lines on
either side; along a line on which the place lies this cell is flat. It is whole where all its corners are asked for. In
the smallest whole one, by the sum of its sides as they are drawn, the nearest corner owns the place; half way between
two the one of the lower index. A place around which no cell is whole lies beyond the cells.

Where gamma_w is an axis its values of one integer width are one network: a place with the width of one that is asked
for, all else equal, belongs to that one, and counts as asked for where it is a corner. One beyond the cells belongs to
the owner of a place of its width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.config.config import parse_config
from linphase.diagram.axes import Axis, Facet, Values, Window, as_stored, axis_column, over_axes
from linphase.diagram.looks import Array
from linphase.model.network import power
from linphase.store.asked import asked_table
from linphase.store.columns import for_keys
from linphase.store.results import Results
from linphase.store.rows import scales

Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

_SAME = 1e-9  # relative: of two lengths on an axis


@dataclass(frozen=True)
class Mesh:
    """What a sweep asks for: every cell, and the grids that they are of."""

    asked: pd.DataFrame  # a row for each cell asked for, with the columns of the axes
    grids: tuple[Values, ...]  # the values by axis

    def reach(self, window: Window, facet: Facet) -> Reach:
        """How far the cells of one facet reach; a place with a run is a cell whoever asked for it.

        Parameters
        ----------
        window
            The two axes: of the sweep, none that follows from them.
        facet
            Its values of the further axes, and its runs.
        """
        here = np.ones(len(self.asked), dtype=bool)
        for column, value in facet.values.items():  # noqa: PD011, of a Facet
            if column in self.asked:
                here &= _is(self.asked[column], value)
        cells = self.asked[here]
        asked = np.zeros((len(window.y.kept), len(window.x.kept)), dtype=bool)
        for rows in (cells, facet.runs):
            y, x = window.y.index(rows), window.x.index(rows)
            on_it = (y >= 0) & (x >= 0)
            asked[y[on_it], x[on_it]] = True
        of_rows, of_columns = np.asarray(asked.any(axis=1)), np.asarray(asked.any(axis=0))
        lines = [(_lines(grid, window.y, of_rows), _lines(grid, window.x, of_columns)) for grid in self.grids]
        return Reach(asked, tuple(lines), window, _base(cells))

    def over(self, axes: Mapping[str, Sequence[Any]]) -> Mesh:
        """At every value of the axes that the sweep is off, where it stands beside another one."""
        return Mesh(over_axes(self.asked, axes), self.grids)


@dataclass(frozen=True)
class Reach:
    """How far the cells of one diagram reach."""

    asked: Flags  # (rows, columns): the places that are cells of their own
    grids: tuple[tuple[Indices, Indices], ...]  # the rows and the columns of each, ascending
    window: Window
    base: float | None = None  # d of the widths int(d^gamma_w), where all cells have the same

    def common(self, other: Reach) -> Reach:
        """Of the cells that two sweeps have both."""
        return Reach(self.asked & other.asked, (*self.grids, *other.grids), self.window, self.base)

    @cached_property
    def owners(self) -> Indices:
        """The cell that covers each place (rows, columns), counted row by row; -1 beyond the cells."""
        itself = np.arange(self.asked.size).reshape(self.asked.shape)
        if self.asked.all():
            return itself
        of_cells = np.where(self.asked, itself, self._of_one_width(self.asked))
        owners, smallest = of_cells.copy(), np.where(of_cells >= 0, -1.0, np.inf)
        for rows, columns in self.grids:
            across, up = _Between.of(self.window.x, columns), _Between.of(self.window.y, rows)
            corners = [
                of_cells[np.ix_(row, column)] for row in (up.low, up.high) for column in (across.low, across.high)
            ]
            whole = (np.minimum.reduce(corners) >= 0) & up.inside[:, None] & across.inside
            side = up.side[:, None] + across.side
            taken = whole & (side < smallest * (1 - _SAME))
            owners[taken] = of_cells[np.ix_(up.nearest, across.nearest)][taken]
            smallest[taken] = side[taken]
        alike = self._of_one_width(owners >= 0)
        return np.where((owners < 0) & (alike >= 0), owners.ravel()[alike], owners)

    def stand_ins(self) -> dict[tuple[int, int], tuple[int, int]]:
        """By place that is no cell of its own the one that covers it, (row, column) of each."""
        rows, columns = np.nonzero((self.owners >= 0) & ~self.asked)
        of_rows, of_columns = np.divmod(self.owners[rows, columns], self.asked.shape[1])
        places = zip(rows.tolist(), columns.tolist(), strict=True)
        return dict(zip(places, zip(of_rows.tolist(), of_columns.tolist(), strict=True), strict=True))

    def _of_one_width(self, there: Flags) -> Indices:
        """By place the nearest of some places in the same line, of the same integer width; -1 without any."""
        found = np.full(there.shape, -1)
        itself = np.arange(there.size).reshape(there.shape)
        for axis, chosen, numbers, into in (
            (self.window.y, there, itself, found),
            (self.window.x, there.T, itself.T, found.T),
        ):
            if axis.column != "gamma_w" or self.base is None:
                continue
            widths = np.floor([max(1.0, power(self.base, value)) for value in axis.kept])
            for same in _groups(widths):
                apart = np.abs(axis.positions[same][:, None] - axis.positions[same])[:, :, None]
                apart = np.where(chosen[same], apart, np.inf)  # (places, candidates, lines)
                nearest = apart.argmin(axis=1)  # the first of several: the lower index
                here = np.isfinite(apart.min(axis=1))
                into[same] = np.where(here, np.take_along_axis(numbers[same], nearest, axis=0), into[same])
        return found


def mesh_of(results: Results) -> Mesh:
    """What the configurations of some results ask for."""
    grids = lattices(results)
    keys = [key for key in results.axes if key in grids[0]]
    further = {axis_column(key): key for key in keys if "." in key}
    cells = {run_id: spec for run_id, spec in results.expected().items() if spec.replicate == 0}
    asked = asked_table(cells, further)
    undeclared = [column for column in further if column not in for_keys()]  # a plugin's, that is not here
    asked[undeclared] = asked[undeclared].map(as_stored)
    return Mesh(asked, grids)


def lattices(results: Results) -> tuple[Values, ...]:
    """The grids that were swept, {axis: values} of each configuration and each level of its refinement, each once."""
    found: list[Values] = []
    for config in results.configs:
        further = {key: values for key, values in config["grid"].items() if key != "replicates"}
        for level in parse_config(config, source=str(results.path), stored=True).grids():
            grid = further | {key: list(values) for key, values in level.items()}
            if grid not in found:
                found.append(grid)
    return tuple(found)


def reach_of(mesh: Mesh | None, window: Window, facet: Facet) -> Reach | None:
    """How far the cells of a facet reach; None where every place is one, or where an axis follows from the grid."""
    return None if mesh is None or window.derived else mesh.reach(window, facet)


@dataclass(frozen=True)
class _Between:
    """The lines of a grid around every place of an axis (n,): their indices, and how far they are apart."""

    low: Indices  # at the place or before it
    high: Indices  # at the place or behind it
    nearest: Indices
    side: Array  # from one to the other, as a share of the axis as it is drawn
    inside: Flags  # whether there are both

    @classmethod
    def of(cls, axis: Axis, lines: Indices) -> _Between:
        places = np.arange(len(axis.kept))
        before = np.searchsorted(lines, places, side="right") - 1
        behind = np.searchsorted(lines, places, side="left")
        inside = (before >= 0) & (behind < len(lines))
        if any(isinstance(value, str) for value in axis.kept):  # no word lies between two others
            inside &= before == behind
        if not len(lines):
            return cls(places, places, places, np.zeros(len(places)), inside)
        low, high = lines[np.maximum(before, 0)], lines[np.minimum(behind, len(lines) - 1)]
        at = np.log(axis.positions) if axis.logarithmic else axis.positions
        length = at[-1] - at[0] or 1.0
        to_low, to_high = at - at[low], at[high] - at
        return cls(
            low, high, np.where(to_low <= to_high * (1 + _SAME), low, high), (at[high] - at[low]) / length, inside
        )


def _lines(grid: Mapping[str, Sequence[Any]], axis: Axis, asked: Flags) -> Indices:
    """The places of a grid's values on an axis; of a grid of other axes all where something is asked for."""
    values = next((values for key, values in grid.items() if axis_column(key) == axis.column), None)
    if values is None:
        return np.flatnonzero(asked)
    places = {value: i for i, value in enumerate(axis.kept)}
    found = {places[value] for value in map(as_stored, values) if value in places}
    return np.array(sorted(found), dtype=np.intp)


def _is(column: pd.Series[Any], value: Any) -> Flags:
    """Where a column has a value of an axis."""
    codes, distinct = pd.factorize(column)  # a value that is missing has the code -1, so it is the last
    return np.array([as_stored(each) == value for each in (*distinct, None)])[codes]


def _groups(widths: Array) -> Iterator[Indices]:
    """The indices that share a width with others."""
    for width in np.unique(widths):
        if len(same := np.flatnonzero(widths == width)) > 1:
            yield same


def _base(cells: pd.DataFrame) -> float | None:
    d = np.unique(scales(cells)) if len(cells) else np.empty(0)
    return float(d[0]) if len(d) == 1 else None

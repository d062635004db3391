"""Theory's lines as numbers, in the coordinates of a diagram's axes.

Where a variance lies across and a width upwards they are `linphase.theory.boundaries` themselves. In any other axes
they are contours: for every cell the distance of its start from each boundary of its own task is known (between two
regimes log(c/c_boundary)), and it is interpolated linearly between the cells. So an axis that theory knows nothing of
is crossed by straight lines, and no pair of axes has a formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import contourpy
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.diagram.axes import Axis, Window, axis_column
from linphase.diagram.derived import SAME, decays, shifts
from linphase.diagram.looks import Array
from linphase.store.rows import by_task, draw_seed
from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_BALANCED,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    Boundary,
    boundaries_of_task,
)

_POINTS = 400  # of a line
_TOUCHING = 0.007  # of the diagram: about the breadth that lines are drawn with


@dataclass(frozen=True)
class Line:
    """A boundary of theory in data coordinates, n points."""

    name: str  # MIXED_LAZY, MIXED_BALANCED, INFINITE_NOISE or UNDERPARAMETERIZED
    asymptotic: bool  # the limit of large d, else at the tasks' own
    shape: tuple[int, int] | None  # (d_out, d_in) of the task; None: not the same all along
    x: Array  # (n,)
    y: Array  # (n,)
    band: tuple[Array, Array] | None = None  # where one draw may have it: the least and the largest x, (n,) each
    banded: str = ""  # what the band is, where any of it is in view


def theory_lines(runs: pd.DataFrame, window: Window, *, banded: bool = False) -> list[Line]:
    """The boundaries of the runs' tasks, wherever they cross the diagram.

    Over a variance and a width with the limit of large d, but where it lies on the line of the finite d.

    Parameters
    ----------
    runs
        Rows of a runs table, of one facet.
    window
        The axes of the diagram.
    banded
        Whether with the spread of one draw, over a variance and a width.
    """
    plain = window.of_starts and all((shift == 0).all() for shift in (*shifts(runs), decays(runs)))
    return _own_lines(runs, window, banded) if plain else list(_contours(runs, window))


def _own_lines(runs: pd.DataFrame, window: Window, banded: bool) -> list[Line]:
    """Over a variance and a width, where the runs share one task."""
    tasks = [task for task, _ in by_task(runs)]
    if len(tasks) != 1:
        return []
    (task,) = tasks
    seed = draw_seed(task, runs.iloc[0])
    d = task.scale
    bottom, top = _exponents(window.y, d, window.y.edges[[0, -1]])
    left, right = _exponents(window.x, d, window.x.edges[[0, -1]])
    gamma_w = np.linspace(bottom, top, _POINTS)
    alone = len(window.y.kept) == 1  # then nothing is told by the height of its row
    if alone:
        gamma_w[:] = _exponents(window.y, d, window.y.positions)
    found = boundaries_of_task(task, gamma_w, seed)
    finite = {line.name: line for line in found if not line.asymptotic}

    def across(gamma_sigma2: Array) -> Array:
        return _data(np.clip(gamma_sigma2, left - 1, right + 1), window.x, d)

    lines = []
    for one in found:
        if alone and one.name == UNDERPARAMETERIZED:
            continue
        if one.asymptotic and one.name in finite and _meet(one, finite[one.name], _TOUCHING * (right - left)):
            continue  # the solid line says it all
        band, seen = None, ""
        if banded and one.band is not None:
            low, high = one.band
            band = (across(low), across(high))
            seen = one.band_is if ((low < right) & (high > left)).any() else ""
        x, y = across(one.gamma_sigma2), _data(np.linspace(bottom, top, _POINTS) if alone else one.gamma_w, window.y, d)
        lines.append(Line(one.name, one.asymptotic, task.shape, x, y, band, seen))
    return lines


def _meet(one: Boundary, other: Boundary, reach: float) -> bool:
    """Whether two lines, where both are, lie within reach of each other."""
    apart = np.abs(one.gamma_sigma2 - other.gamma_sigma2)
    given = np.isfinite(apart)
    return bool(given.any() and (apart[given] <= reach).all())


def _exponents(axis: Axis, d: float, data: Array) -> Array:
    """Places on an axis, which may hold variances or widths, as gamma_sigma2 or gamma_w."""
    return data if axis.column.startswith("gamma") else np.asarray(np.log(data) / log(d))


def _data(gamma: Array, axis: Axis, d: float) -> Array:
    """Exponents in the coordinates of an axis, which may hold variances or widths."""
    return gamma if axis.column.startswith("gamma") else np.asarray(np.exp(np.clip(gamma * log(d), -700, 700)))


# --- Any two axes ----------------------------------------------------------------------------------------------------


def _contours(runs: pd.DataFrame, window: Window) -> Iterator[Line]:
    """Where the distance from each boundary is 0."""
    rows, columns = window.y.index(runs), window.x.index(runs)
    there = np.zeros((len(window.y.kept), len(window.x.kept)), dtype=bool)
    on_it = (rows >= 0) & (columns >= 0)
    there[rows[on_it], columns[on_it]] = True
    shapes = {task.shape for task, _ in by_task(runs)}
    x, y = _Scale.of(window.x), _Scale.of(window.y)
    for name, distance in _distances(runs[on_it], window).items():
        heights = _of_cells(distance, rows[on_it], columns[on_it], there.shape)
        if heights is None:
            continue
        heights = _without_gaps(heights, there, x.places, y.places)
        if not _one_line(heights, window, runs):
            continue
        heights = y.to_edges(x.to_edges(heights.T).T)
        contours = contourpy.contour_generator(x.knots, y.knots, np.ma.masked_invalid(heights))
        for points in map(np.asarray, contours.lines(0.0)):
            shape = next(iter(shapes)) if len(shapes) == 1 else None
            yield Line(name, False, shape, x.data(points[:, 0]), y.data(points[:, 1]))


def _distances(runs: pd.DataFrame, window: Window) -> dict[str, Array]:
    """By boundary, how far every run (n,) lies beyond that of its task, in log c; nan where its task has none.

    Widths are those before truncation, which keeps lines smooth; but axes that follow from the grid hold the truncated.
    """
    found: dict[str, Array] = {}
    for task, here in by_task(runs):
        part, base = runs.iloc[here], log(task.scale)
        if base == 0:  # all exponents mean the same
            continue
        gamma_sigma2, gamma_w = (part[name].to_numpy(dtype=np.float64) for name in ("gamma_sigma2", "gamma_w"))
        of_threshold, of_variance = (gamma_sigma2 + shift / base for shift in shifts(part))
        if window.derived:
            gamma_w = np.log(part["width"].to_numpy(dtype=np.float64)) / base
        for line in boundaries_of_task(task, gamma_w, draw_seed(task, part.iloc[0])):
            if not line.asymptotic:
                place = of_variance if line.name == INFINITE_NOISE else of_threshold
                beyond = gamma_w - line.gamma_w[0] if line.name == UNDERPARAMETERIZED else line.beyond(place)
                height = base * beyond
                if line.name in (MIXED_LAZY, MIXED_BALANCED):
                    height = _with_decay(height, part)
                found.setdefault(line.name, np.full(len(runs), np.nan))[here] = height
    return found


def _with_decay(beyond: Array, runs: pd.DataFrame) -> Array:
    """How far c lies beyond S - l, where modes of S end, from how far it lies beyond S, in logarithms.

    nan where they die, S <= l: there is no c below which they are active.
    """
    decay = decays(runs)
    if not decay.any():
        return beyond
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.exp(-beyond) - decay / runs["threshold"].to_numpy(dtype=np.float64)  # (S - l)/c
        return np.where(decay == 0, beyond, np.where(left > 0, -np.log(left), np.nan))


def _of_cells(
    distance: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], shape: tuple[int, int]
) -> Array | None:
    """The distances (n,) of runs as those of their cells; None where the runs of a cell differ in it."""
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    given = np.isfinite(distance)
    np.minimum.at(low, (rows[given], columns[given]), distance[given])
    np.maximum.at(high, (rows[given], columns[given]), distance[given])
    known = np.isfinite(low)
    return np.where(known, low, np.nan) if (high[known] - low[known] <= SAME).all() else None


def _without_gaps(heights: Array, there: Array, x: Array, y: Array) -> Array:
    """Between and beside cells that are there, along the direction in which more of them are neighbours."""
    if there.all():
        return heights
    if len(y) > len(x):
        return _without_gaps(heights.T, there.T, y, x).T
    filled = heights.copy()
    for row, has in zip(filled, there, strict=True):
        if has.any():
            row[~has] = _along(x[has], row[has], x[~has])
    return filled


def _along(x: Array, heights: Array, at: Array) -> Array:
    """Heights over ascending x (n,), linearly between and beyond them; nan spreads to its neighbours."""
    if len(x) == 1:
        return np.full(len(at), heights[0])
    left = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
    slope = (heights[left + 1] - heights[left]) / (x[left + 1] - x[left])
    return np.asarray(heights[left] + slope * (at - x[left]))


def _one_line(heights: Array, window: Window, runs: pd.DataFrame) -> bool:
    """Whether they rise or fall along a derived axis that stands for several: else cells of several boundaries lie
    between each other.
    """
    for derived, steps in ((window.x.derived, np.diff(heights, axis=1)), (window.y.derived, np.diff(heights, axis=0))):
        if derived is not None and ((steps > SAME).any() and (steps < -SAME).any()):
            columns = [column for key in derived.replaces if (column := axis_column(key)) in runs]
            if sum(len(set(runs[column])) > 1 for column in columns) > 1:
                return False
    return True


@dataclass(frozen=True)
class _Scale:
    """An axis as it is drawn: the logarithms of a logarithmic one."""

    places: Array  # of the cells, (n,)
    knots: Array  # these between the two edges, (n + 2,)
    logarithmic: bool

    @classmethod
    def of(cls, axis: Axis) -> _Scale:
        places, edges = (np.log(each) if axis.logarithmic else each for each in (axis.positions, axis.edges))
        return cls(places, np.concatenate([edges[:1], places, edges[-1:]]), axis.logarithmic)

    def to_edges(self, heights: Array) -> Array:
        """Heights (n, m) at the places as those at the knots (n + 2, m): the edges lie half a cell beyond."""
        before, after = (
            np.array([_along(self.places, column, self.knots[[end]])[0] for column in heights.T]) for end in (0, -1)
        )
        return np.concatenate([before[None], heights, after[None]])

    def data(self, places: Array) -> Array:
        return np.exp(places) if self.logarithmic else places

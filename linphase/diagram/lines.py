"""Theory's lines as numbers, in the coordinates of a diagram's axes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import pandas as pd

from linphase.diagram.axes import Axis, Window
from linphase.diagram.looks import Array
from linphase.store.rows import task_config_of
from linphase.theory.boundaries import Boundary, boundaries

_TASK = ("dimension", "output_dimension", "rank", "noise", "signal_norm")  # the columns that tell of a task
_POINTS = 400  # of a line
_TOUCHING = 0.007  # of the diagram: about the breadth that lines are drawn with


@dataclass(frozen=True)
class Line:
    """A boundary of theory in data coordinates, n points."""

    boundary: Boundary
    shape: tuple[int, int]  # (d_out, d_in) of the task
    x: Array  # (n,)
    y: Array  # (n,)
    band: tuple[Array, Array] | None  # where one draw may have it: the least and the largest x, (n,) each
    banded: bool  # whether any of the band is in view


def theory_lines(runs: pd.DataFrame, window: Window, *, banded: bool = False) -> list[Line]:
    """The boundaries of the runs' task, where the axes are a variance and a width and the runs share one task.

    A line of the limit of large d that lies on that of the finite d is left out.

    Parameters
    ----------
    runs
        Rows of a runs table.
    window
        The axes of the diagram.
    banded
        Whether with the spread of one draw.
    """
    if not window.has_theory:
        return []
    tasks = runs[[name for name in _TASK if name in runs]].drop_duplicates()
    if len(tasks) != 1:
        return []
    task = task_config_of(tasks.iloc[0])
    d = task.scale
    bottom, top = _exponents(window.y, d)[[0, -1]]
    left, right = _exponents(window.x, d)[[0, -1]]
    found = boundaries(task.shape, task.rank, task.noise, task.signal_norm, np.linspace(bottom, top, _POINTS))
    finite = {line.name: line for line in found if not line.asymptotic}

    def across(gamma_sigma2: Array) -> Array:
        return _data(np.clip(gamma_sigma2, left - 1, right + 1), window.x, d)

    lines = []
    for one in found:
        if one.asymptotic and _meet(one, finite[one.name], _TOUCHING * (right - left)):
            continue  # the solid line says it all
        band, seen = None, False
        if banded and one.band is not None:
            low, high = one.band
            band, seen = (across(low), across(high)), bool(((low < right) & (high > left)).any())
        lines.append(Line(one, task.shape, across(one.gamma_sigma2), _data(one.gamma_w, window.y, d), band, seen))
    return lines


def _meet(one: Boundary, other: Boundary, reach: float) -> bool:
    """Whether two lines, where both are, lie within reach of each other."""
    apart = np.abs(one.gamma_sigma2 - other.gamma_sigma2)
    given = np.isfinite(apart)
    return bool(given.any() and (apart[given] <= reach).all())


def _exponents(axis: Axis, d: float) -> Array:
    """The edges of the cells as gamma_sigma2 or gamma_w."""
    return axis.edges if axis.column.startswith("gamma") else np.asarray(np.log(axis.edges) / log(d))


def _data(gamma: Array, axis: Axis, d: float) -> Array:
    """Exponents in the coordinates of an axis, which may hold variances or widths."""
    return gamma if axis.column.startswith("gamma") else np.asarray(np.exp(np.clip(gamma * log(d), -700, 700)))

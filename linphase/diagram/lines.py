"""Theory's lines as numbers, in the coordinates of a diagram's axes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np

from linphase.diagram.axes import Axis
from linphase.diagram.looks import Array
from linphase.theory.boundaries import Boundary


@dataclass(frozen=True)
class Line:
    """A theory line in data coordinates."""

    boundary: Boundary
    dimension: int
    x: Array
    y: Array
    banded: bool  # whether its band is in view


def _meet(one: Boundary, other: Boundary, reach: float) -> bool:
    """Whether two lines, where both are, lie within reach of each other: about the breadth they are drawn with."""
    apart = np.abs(one.gamma_sigma2 - other.gamma_sigma2)
    given = np.isfinite(apart)
    return bool(given.any() and (apart[given] <= reach).all())


def _exponents(axis: Axis, d: int) -> Array:
    """The edges of the cells as gamma_sigma2 or gamma_w."""
    return axis.edges if axis.column.startswith("gamma") else np.asarray(np.log(axis.edges) / log(d))


def _data(gamma: Array, axis: Axis, d: int) -> Array:
    """Exponents in the coordinates of an axis, which may hold variances or widths."""
    return gamma if axis.column.startswith("gamma") else np.asarray(np.exp(np.clip(gamma * log(d), -700, 700)))

"""Zeros of a function in brackets, all of them at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

_ACCURACY = 1e-15
_ITERATIONS = 200  # a bisection alone would need 60 from neighbours 1e3 apart


def roots(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """A zero of `function` in each bracket [low, high], (n,), to a relative 1e-15; it maps (n,) to (n,).

    The values at low and high have different signs. Inverse quadratic interpolation where three values allow it,
    bisection elsewhere: about ten evaluations.
    Source: T. R. Chandrupatla, A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
    without using derivatives, Advances in Engineering Software 28 (1997) 145-149.
    """
    x1, x2 = np.array(high, np.float64), np.array(low, np.float64)
    f1, f2 = function(x1), function(x2)
    share = np.full_like(x1, 0.5)
    for _ in range(_ITERATIONS):
        x = x1 + share * (x2 - x1)
        f = function(x)
        same = np.sign(f) == np.sign(f1)
        x3, f3 = np.where(same, x1, x2), np.where(same, f1, f2)
        x2, f2 = np.where(same, x2, x1), np.where(same, f2, f1)
        x1, f1 = x, f
        nearer = np.abs(f1) < np.abs(f2)
        best, value = np.where(nearer, x1, x2), np.where(nearer, f1, f2)
        with np.errstate(divide="ignore", invalid="ignore"):
            limit = _ACCURACY * np.abs(best) / np.abs(x2 - x1)
            done = (value == 0) | ~(limit <= 0.5)
            if done.all():
                break
            xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
            quadratic = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
            share = np.where((phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi), quadratic, 0.5)
            # A bracket that is done stays where it is while others go on.
            share = np.where(done, 0.0, np.clip(share, limit, 1 - limit))
    return best

"""What a smallest test error is to be held against: no training, the best shrinkage, and both limits of c."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from linphase.theory.mode import TargetModes

Array = NDArray[np.floating]

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Baselines:
    """Test errors ||A - A*||_F^2/(d_out d_in) of one task (docs/theory.md, "Baselines").

    lazy and balanced are the smallest over time, as that of a run is: who stops there must know A*. Optimal shrinkage
    needs the noise alone.
    """

    zero: float  # A = 0
    optimal: float  # the optimal shrinkage of the singular values of Y, for known noise
    lazy: float  # smallest over time as c goes to infinity: all modes rise together
    balanced: float  # smallest over time as c goes to 0, from A = 0: one mode rises after another

    def benefit(self, min_test_error: float) -> float | None:
        """(e_min - e_optimal)/(e_lazy - e_optimal): 0 as good as optimal shrinkage, 1 no better than lazy training.

        None where lazy training is not worse than optimal shrinkage, up to rounding: there is nothing to gain.
        """
        gain = self.lazy - self.optimal
        return (min_test_error - self.optimal) / gain if gain > _ROUNDING * self.zero else None


def baselines(target: TargetModes, noise: float, shape: tuple[float, float]) -> Baselines:
    """The baselines of a task of a shape (d_out, d_in) whose noise has entries of standard deviation `noise`."""
    S = target.values
    return Baselines(
        zero=float(target.test_error(np.zeros_like(S))),
        optimal=float(target.test_error(optimal_shrinkage(S, noise, shape))),
        lazy=_lazy(target),
        balanced=_balanced(target),
    )


def optimal_shrinkage(values: Array, noise: float, shape: tuple[float, float]) -> Array:
    """What the singular values y of Y = A* + E become in the best estimate U diag(eta(y)) V^T of A*, at large d.

    With y in units of noise sqrt(N), N = max and n = min of the shape and beta = n/N,
    eta(y) = sqrt((y^2 - beta - 1)^2 - 4 beta)/y above the edge 1 + sqrt(beta) of the noise, and 0 below it.
    Source: Gavish & Donoho 2017, for the square loss. noise = 0 leaves the values as they are.
    """
    if noise == 0:
        return values
    b = sqrt(min(shape) / max(shape))
    unit = noise * sqrt(max(shape))
    inner, edge = 1 - b, 1 + b
    y = np.maximum(values / unit, edge)
    # (y^2 - beta - 1)^2 - 4 beta by its factors: nothing cancels near the edge, where the first is 0.
    return np.asarray(unit * np.sqrt((y - edge) * (y + edge) * (y - inner) * (y + inner)) / y)


def fitted_signal_error(rank: int, noise: float, shape: tuple[float, float]) -> float:
    """The train error with a signal of rank k fitted and the rest not: noise^2 (1 - k/d_out)(1 - k/d_in).

    A run that stops there does not see A*: the residual of a least-squares fit of rank k, k (d_out + d_in - k) numbers.
    """
    d_out, d_in = shape
    return noise**2 * (1 - rank / d_out) * (1 - rank / d_in)


def _lazy(target: TargetModes) -> float:
    """s = x S with x from 0 to 1: a parabola in x."""
    S, a, m = target.values, target.overlaps, target.multiplicity
    curvature = float(np.sum(m * S * S))
    x = min(max(float(np.sum(m * S * a)) / curvature, 0.0), 1.0) if curvature > 0 else 0.0
    return float(target.test_error(x * S))


def _balanced(target: TargetModes) -> float:
    """The modes before j at their targets, those after it at 0, s_j in [0, S_j] where it is best; then the best j."""
    S, a, m = target.values, target.overlaps, target.multiplicity
    learned, left = m * (S - a) ** 2, m * a**2
    transit = m * (np.clip(a, 0, S) - a) ** 2
    before = np.concatenate([[0.0], np.cumsum(learned)[:-1]])
    after = np.concatenate([np.cumsum(left[::-1])[::-1][1:], [0.0]])
    return target.unseen + float(np.min(before + transit + after)) / target.size

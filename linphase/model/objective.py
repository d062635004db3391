"""What training lowers, as an error: 2 L/N of the loss L, N = d_out d_in, and the least that can be reached.

Source: docs/theory.md, "Weight decay".
"""

from math import expm1, sqrt
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_lapack_funcs

from linphase.model.network import Weights
from linphase.model.observables import average_mode_rate
from linphase.model.task import Regression, Task

Array = NDArray[np.floating]


class Objective(Protocol):
    """2 L/N of the loss that a run descends."""

    floor: float  # the least that the run can reach
    values: Array  # (rank,): the singular values of A there; nan where they are not known

    @property
    def train_error_floor(self) -> float | None:
        """The train error there; None where it is not known."""
        ...

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        """Its value at a state; train_error is that of the residual, time that at equal rates and scale 1."""
        ...


def objective_of(task: Task, rank: int, decays: tuple[float, float]) -> Objective:
    """The objective of a run whose A has at most this rank, at these decays of W1 and W2."""
    if not any(decays):
        return PlainLoss(task, rank)
    return CertifiedRidge(task, rank, decays) if isinstance(task, Regression) else Ridge(task, rank, decays)


class PlainLoss:
    """Without a regularizer: L = ||A - Y||_F^2/2, so 2 L/N is the train error."""

    def __init__(self, task: Task, rank: int) -> None:
        self.floor = self.train_error_floor = task.train_error_floor(rank)
        self.values = task.solution_svd[1][:rank]

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        return train_error


class Ridge:
    """With weight decay, of white inputs: L = ||A - Y||_F^2/2 + (l1 ||W1||_F^2 + l2 ||W2||_F^2)/2.

    The least that the layers of one A cost is l ||A||_*, l = sqrt(l1 l2). So at the minimum s_i = max(S_i - l, 0) for
    i <= rank, and 2 L is the sum of min(S_i, l)^2 + 2 l s_i over these and of S_i^2 over the others. In float64.
    """

    def __init__(self, task: Task, rank: int, decays: tuple[float, float]) -> None:
        self.decays, self.size = decays, task.size
        decay, S = sqrt(decays[0]) * sqrt(decays[1]), task.solution_svd[1][:rank]
        self.values = np.maximum(S - decay, 0.0)
        self.train_error_floor = task.train_error_floor(rank) + float(np.sum(np.minimum(S, decay) ** 2)) / task.size
        self.floor = self.train_error_floor + 2 * decay * float(np.sum(self.values)) / task.size

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        return (_square(residual) + regularizer(weights, self.decays)) / self.size


class CertifiedRidge:
    """With weight decay, of other inputs: twice the duality gap over N, which is at least 2 (L - L*)/N.

    With U = A R^T - T and l = sqrt(l1 l2), every Z = x U of ||Z R||_op <= l tells L* >= -||Z||_F^2/2 - <Z, T>. The best
    such x is taken. The gap goes to 0 with L - L*, but where the minimum has a higher rank than the width allows.
    """

    floor = 0.0
    train_error_floor: float | None = None

    def __init__(self, task: Regression, rank: int, decays: tuple[float, float]) -> None:
        self.decays, self.size = decays, task.size
        self.decay = sqrt(decays[0]) * sqrt(decays[1])
        self.values = np.full(rank, np.nan)
        self.R, self.T = (each.astype(np.float64) for each in (task.inputs, task.target))
        self.residual, self.gradient = np.empty_like(self.T), np.empty(task.shape)
        smaller = min(task.shape)
        self.gram = np.empty((smaller, smaller))
        (self.syev,) = get_lapack_funcs(["syev"], [self.gram])

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        U, G = self.residual, self.gradient
        np.copyto(U, residual)
        np.matmul(U, self.R, out=G)
        square, with_target, steepest = _square(U), float(np.vdot(U, self.T)), self._operator_norm(G)
        x = min(max(-with_target, 0.0) / square, self.decay / steepest) if steepest > 0 else 0.0
        return (square + regularizer(weights, self.decays) + x * (x * square + 2 * with_target)) / self.size

    def _operator_norm(self, G: Array) -> float:
        np.matmul(G, G.T, out=self.gram) if len(G) == len(self.gram) else np.matmul(G.T, G, out=self.gram)
        squares, _, _ = self.syev(self.gram.T, compute_v=0, overwrite_a=1)
        return sqrt(max(float(squares[-1]), 0.0))


def regularizer(weights: Weights, decays: tuple[float, float]) -> float:
    """l1 ||W1||_F^2 + l2 ||W2||_F^2."""
    return decays[0] * _square(weights.W1) + decays[1] * _square(weights.W2)


def _square(matrix: Array) -> float:
    """||matrix||_F^2, summed in float64 and without a copy."""
    flat = matrix.reshape(-1)
    return float(np.einsum("i,i->", flat, flat, dtype=np.float64))


class OfPopulation:
    """The objective of fresh samples: that of the task whose target is A*, in place of Y."""

    train_error_floor: float | None = None  # of Y

    def __init__(self, task: Task, rank: int, decays: tuple[float, float]) -> None:
        self.inner = objective_of(task.population, rank, decays)
        self.floor, self.values = self.inner.floor, self.inner.values
        self.test_error, self.deviation_of = task.test_error, task.deviations(np.float64)

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        assert self.deviation_of is not None  # the signal of a population is known
        deviation = self.deviation_of(residual, weights)
        return self.inner.of(deviation, weights, self.test_error(deviation), time)


class AboveNoise:
    """Another objective less what noise on the labels keeps it from, which descent cannot lower.

    Labels with the noise epsilon Xi, fresh at each step of length eta, make A fluctuate. To first order in eta this
    adds eta epsilon^2 L/2 (1 - e^(-2 L t)) to the train error, with the mean mode rate L = tr C2/d_out + tr C1/d_in: 0
    at the start, where there has been no noise yet (docs/theory.md, "Noisy steps").
    """

    def __init__(self, objective: Objective, learning_rate: float, epsilon: float) -> None:
        self.objective, self.level = objective, learning_rate * epsilon**2 / 2
        self.floor, self.values, self.train_error_floor = objective.floor, objective.values, objective.train_error_floor

    def of(self, residual: Array, weights: Weights, train_error: float, time: float) -> float:
        rate = average_mode_rate(weights)
        return self.objective.of(residual, weights, train_error, time) + self.level * rate * expm1(-2 * rate * time)

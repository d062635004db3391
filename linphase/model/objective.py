"""What training lowers, as an error: 2 L/N of the loss L, N = d_out d_in, and the least that can be reached."""

from typing import Protocol

import numpy as np

from linphase.model.network import Weights
from linphase.model.observables import average_mode_rate
from linphase.model.task import Array, Task


class Objective(Protocol):
    """2 L/N of the loss that a run descends."""

    floor: float  # the least that the run can reach

    def of(self, residual: Array, weights: Weights, train_error: float) -> float:
        """Its value at a state; train_error is that of the residual."""
        ...


class PlainLoss:
    """Without a regularizer: L = ||A - Y||_F^2/2, so 2 L/N is the train error."""

    def __init__(self, task: Task, rank: int) -> None:
        self.floor = task.train_error_floor(rank)

    def of(self, residual: Array, weights: Weights, train_error: float) -> float:
        return train_error


class PopulationLoss:
    """Of fresh samples of a population: L = ||(A - A*) Sigma^(1/2)||_F^2/2, so 2 L/N is the test error."""

    def __init__(self, task: Task, rank: int) -> None:
        population = task.population
        self.floor = float(np.sum(np.linalg.svd(population.target, compute_uv=False)[rank:] ** 2)) / population.size
        self.test_error, self.deviation_of = task.test_error, task.deviations(np.float64)

    def of(self, residual: Array, weights: Weights, train_error: float) -> float:
        assert self.deviation_of is not None  # the signal of a population is known
        return self.test_error(self.deviation_of(residual, weights))


class AboveNoise:
    """Another objective less what noise on the labels keeps it from, which descent cannot lower.

    Labels with the noise epsilon Xi, fresh at each step of length eta, make A fluctuate: the train error stays above
    eta epsilon^2 (tr C2/d_out + tr C1/d_in)/2, to first order in eta (docs/theory.md, "Noisy steps").
    """

    def __init__(self, objective: Objective, learning_rate: float, epsilon: float) -> None:
        self.objective, self.level, self.floor = objective, learning_rate * epsilon**2 / 2, objective.floor

    def of(self, residual: Array, weights: Weights, train_error: float) -> float:
        return self.objective.of(residual, weights, train_error) - self.level * average_mode_rate(weights)

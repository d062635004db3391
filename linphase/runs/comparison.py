"""How far a run strays from the self-consistent dynamics: ||A - A_sc||_F^2/(d_out d_in), from the same A at the start.

The paper's Figure 2 compares gradient descent with the Euler iteration of equation (1) at the same learning rate;
against the exact solution the distance is larger where descent itself is far from the flow (theory.md section 2).
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import State
from linphase.model.network import Weights
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.theory.matrix import SelfConsistentSolution, euler_step

Array = NDArray[np.floating]


class Comparison(Protocol):
    """Follows a run; `advance` is called at every state, `distance` at those that are kept."""

    largest: float | None

    def advance(self, state: State) -> None:
        """Go on to this state."""
        ...

    def distance(self, state: State) -> float | None:
        """||A - A_sc||_F^2/(d_out d_in) at this state."""
        ...


class NoComparison:
    """Of a run that is compared with nothing."""

    largest: float | None = None

    def advance(self, state: State) -> None:
        """Nothing to do."""

    def distance(self, state: State) -> float | None:
        return None


class ExactComparison:
    """Against the exact solution of equation (1), evaluated at the kept states."""

    def __init__(self, task: Task, weights: Weights, threshold: float) -> None:
        self.target = task.target
        self.solution = SelfConsistentSolution(task.target, weights.product().astype(np.float64), threshold)
        self.largest: float | None = 0.0

    def advance(self, state: State) -> None:
        """Nothing to do: the solution is there at any time."""

    def distance(self, state: State) -> float | None:
        distance = mean_square(state.residual + self.target - self.solution.A(state.time))
        self.largest = max(self.largest or 0.0, distance)
        return distance


class EulerComparison:
    """Against the Euler iteration of equation (1), a step for each of the run's: A_sc += eta dA_sc/dt."""

    def __init__(self, task: Task, weights: Weights, threshold: float) -> None:
        self.target, self.threshold = task.target, threshold
        self.A: Array = weights.product().astype(np.float64)
        self.time = 0.0
        self.largest: float | None = 0.0
        self.current = 0.0

    def advance(self, state: State) -> None:
        if state.time > self.time:
            self.A = euler_step(self.A, self.A - self.target, self.threshold, state.time - self.time)
            self.time = state.time
        self.current = mean_square(state.residual + self.target - self.A)
        self.largest = max(self.largest or 0.0, self.current)

    def distance(self, state: State) -> float | None:
        return self.current


def comparison(with_what: str, task: Task, weights: Weights, threshold: float) -> Comparison:
    """The comparison of a configuration: none, self_consistent or self_consistent_euler."""
    if with_what == "self_consistent":
        return ExactComparison(task, weights, threshold)
    if with_what == "self_consistent_euler":
        return EulerComparison(task, weights, threshold)
    return NoComparison()

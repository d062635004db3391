"""How far a run strays from the self-consistent dynamics: ||A - A_sc||_F^2/(d_out d_in), from the same A at the start.

The paper's Figure 2 compares gradient descent with the Euler iteration of equation (1) at the same learning rate;
against the exact solution the distance is larger where descent itself is far from the flow.
Source: docs/theory.md, "The paper's protocol".
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import Dynamics, State
from linphase.model.network import Weights
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.theory.matrix import SelfConsistentSolution, euler_step

Array = NDArray[np.floating]

# A kept state is near the peak where its distance is above this share of the largest, and below this multiple of that
# at the kept state before.
_NEAR, _FAST = 0.7, 2.0


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
    """The run is compared with nothing."""

    title = ""
    decomposes_each_step = False
    largest: float | None = None

    def __init__(self, task: Task, weights: Weights, threshold: float) -> None:
        pass

    @staticmethod
    def fits(dynamics: type[Dynamics]) -> bool:
        """Whether a dynamics can be compared so."""
        return True

    def advance(self, state: State) -> None:
        """Nothing to do."""

    def distance(self, state: State) -> float | None:
        return None


class ExactComparison:
    """Against the exact solution of equation (1): at the kept states, and every other one near the largest distance."""

    title = "exact solution"
    decomposes_each_step = False

    @staticmethod
    def fits(dynamics: type[Dynamics]) -> bool:
        return not dynamics.predicts

    def __init__(self, task: Task, weights: Weights, threshold: float) -> None:
        self.target = task.target
        self.solution = SelfConsistentSolution.of(task, weights.product(), threshold)
        self.largest: float | None = 0.0
        self.time = self.current = 0.0  # when it was measured last, and the distance then
        self.kept = 0.0  # the distance at the last kept state
        self.near = self.other = False

    def advance(self, state: State) -> None:
        """Measure at every other state where the distance may pass its peak, between kept ones."""
        self.other = self.near and not self.other
        if self.other:
            self._measure(state)

    def distance(self, state: State) -> float | None:
        self._measure(state)
        # While it still grows fast, the next kept states will tell more.
        self.near = _NEAR * (self.largest or 0.0) < self.current < _FAST * self.kept
        self.kept = self.current
        return self.current

    def _measure(self, state: State) -> None:
        if state.time > self.time:
            self.time = state.time
            self.current = mean_square(state.residual + self.target - self.solution.A(state.time))
            self.largest = max(self.largest or 0.0, self.current)


class EulerComparison:
    """Against the Euler iteration of equation (1), a step for each of the run's: A_sc += eta dA_sc/dt."""

    title = "Euler iteration"
    decomposes_each_step = True

    @staticmethod
    def fits(dynamics: type[Dynamics]) -> bool:
        return dynamics.fixed_step

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


# What `record.compare` names.
COMPARISONS: dict[str, type[NoComparison] | type[ExactComparison] | type[EulerComparison]] = {
    "none": NoComparison,
    "self_consistent": ExactComparison,
    "self_consistent_euler": EulerComparison,
}

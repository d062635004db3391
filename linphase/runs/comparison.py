"""How far a run strays from the self-consistent dynamics: ||A - A_sc||_F^2/(d_out d_in), from the same A at the start.

The paper's Figure 2 compares gradient descent with the Euler iteration of equation (1) at the same learning rate;
against the exact solution the distance is larger where descent itself is far from the flow.
Source: docs/theory.md, "The paper's protocol".
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import Dynamics, State
from linphase.model.network import Weights, balanced_weights
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.theory.balanced import BalancedSolution
from linphase.theory.matrix import SelfConsistentSolution, euler_step

Array = NDArray[np.floating]

_BETWEEN = 8  # states at most that are remembered between two kept ones, evenly fewer of more
_NEAR = 0.7  # of the largest distance: a kept state below it is no peak worth a search


class Comparison(Protocol):
    """Follows a run; `advance` is called at every state, `distance` at those that are kept, `over` after the last."""

    def advance(self, state: State) -> None:
        """Go on to this state."""
        ...

    def distance(self, state: State) -> float | None:
        """||A - A_sc||_F^2/(d_out d_in) at this state."""
        ...

    def over(self) -> float | None:
        """The largest distance of the run; None where nothing is compared."""
        ...


class NoComparison:
    """The run is compared with nothing."""

    title = ""
    decomposes_each_step = False

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

    def over(self) -> float | None:
        return None


class ExactComparison:
    """Against the exact solution of equation (1): at the kept states, and at those beside a peak of these."""

    title = "exact solution"
    decomposes_each_step = False

    @staticmethod
    def fits(dynamics: type[Dynamics]) -> bool:
        return not dynamics.predicts

    def __init__(self, task: Task, weights: Weights, threshold: float) -> None:
        self.target = task.target
        self.solution: SelfConsistentSolution | BalancedSolution
        if threshold > 0:
            self.solution = SelfConsistentSolution.of(task, weights.product(), threshold)
        else:  # the equation is then the flow of the perfectly balanced network
            A = weights.product().astype(np.float64)
            self.solution = BalancedSolution(task.target, balanced_weights(A, 0.0, min(task.shape)), 0.0)
        self.known = 0.0  # the largest distance measured so far
        self.time = 0.0  # of the last kept state
        self.kept = [0.0]  # distances at the last two kept states
        self.before, self.after = _States(), _States()  # between these two, and after the last

    def advance(self, state: State) -> None:
        """Remember the state until it is clear whether a peak is near."""
        self.after.add(state)

    def distance(self, state: State) -> float | None:
        self.after.drop(state.time)
        if state.time == self.time:
            return self.kept[-1]
        self.time = state.time
        distance = self._measured(state.time, state.residual)
        if len(self.kept) == 2 and self.kept[0] < self.kept[1] >= distance:
            self._search(self.kept[1])
        self.kept = [self.kept[-1], distance]
        self.before, self.after = self.after, self.before
        self.after.clear()
        return distance

    def over(self) -> float | None:
        """The largest distance, a peak at the end of the run searched too."""
        if len(self.kept) == 2 and self.kept[0] < self.kept[1]:
            self._search(self.kept[1])
        return self.known

    def _search(self, peak: float) -> None:
        """Uphill from the kept state between `before` and `after`, at which the distance is `peak`."""
        if peak < _NEAR * self.known:
            return
        for side in (reversed(self.before.states), self.after.states):
            height = peak
            for time, residual in side:
                found = self._measured(time, residual)
                if found < height:
                    break
                height = found

    def _measured(self, time: float, residual: Array) -> float:
        distance = mean_square(residual + self.target - self.solution.A(time))
        self.known = max(self.known, distance)
        return distance


class _States:
    """Times and residuals of at most _BETWEEN states, evenly among those added."""

    def __init__(self) -> None:
        self.states: list[tuple[float, Array]] = []
        self.spare: list[Array] = []
        self.every, self.added = 1, 0

    def add(self, state: State) -> None:
        self.added += 1
        if self.added % self.every:
            return
        if len(self.states) == _BETWEEN:
            self.spare += [residual for _, residual in self.states[::2]]
            self.states = self.states[1::2]
            self.every *= 2
            if self.added % self.every:
                return
        residual = self.spare.pop() if self.spare else np.empty_like(state.residual)
        np.copyto(residual, state.residual)
        self.states.append((state.time, residual))

    def drop(self, time: float) -> None:
        """Forget the last state, should it be of this time."""
        if self.states and self.states[-1][0] == time:
            self.spare.append(self.states.pop()[1])

    def clear(self) -> None:
        self.spare += [residual for _, residual in self.states]
        self.states.clear()
        self.every, self.added = 1, 0


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
        self.largest = self.current = 0.0

    def advance(self, state: State) -> None:
        if state.time > self.time:
            self.A = euler_step(self.A, self.A - self.target, self.threshold, state.time - self.time)
            self.time = state.time
        self.current = mean_square(state.residual + self.target - self.A)
        self.largest = max(self.largest, self.current)

    def distance(self, state: State) -> float | None:
        return self.current

    def over(self) -> float | None:
        return self.largest


# What `record.compare` names.
COMPARISONS: dict[str, type[NoComparison] | type[ExactComparison] | type[EulerComparison]] = {
    "none": NoComparison,
    "self_consistent": ExactComparison,
    "self_consistent_euler": EulerComparison,
}

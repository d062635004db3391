"""The smallest test error of a run: at a step of gradient descent, between the steps of a flow.

The smallest test error sits in a short dip of the curve. Under a flow both ends of a step know A and dA/dt, so A
between them is a cubic Hermite polynomial, accurate to fourth order, and the test error along it a polynomial of
degree 6 in the place theta in [0, 1], whose minimum is found exactly.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import State
from linphase.model.moment import Moment, measured
from linphase.model.network import Weights
from linphase.model.task import Task
from linphase.runs.records import TestErrorMinimum

Array = NDArray[np.floating]

# Cubic Hermite basis on [0, 1], ascending coefficients: value and slope at 0, value and slope at 1. And its products,
# from which the squared length of a combination of the four points is a polynomial of degree 6.
_HERMITE = np.array([[1, 0, -3, 2], [0, 1, -2, 1], [0, 0, 3, -2], [0, 0, -1, 1]], dtype=np.float64)
_PRODUCTS = np.array([[np.convolve(p, q) for q in _HERMITE] for p in _HERMITE]).reshape(16, 7)
_FAR = 64  # times the best: the step from there to below it, should there be one, is not searched


class TestErrorWatch(Protocol):
    """Follows the states of a run and knows the smallest test error so far."""

    def observe(self, state: State, deviation: Array, test_error: float) -> None:
        """Take in the next state with its A - A* and test error."""
        ...

    def result(self) -> TestErrorMinimum:
        """The minimum over all states observed."""
        ...


class _Best:
    """The best moment so far, with A - A* at that moment."""

    def __init__(self, task: Task, c: float, rank: int) -> None:
        self.task, self.c, self.rank = task, c, rank
        self.test_error = np.inf
        self.time = 0.0
        self.step: int | None = None
        self.A = np.zeros(task.shape)

    def offer(self, test_error: float, time: float, step: int | None, deviation: Array, A: Callable[[], Array]) -> None:
        """Take a moment for the best if it is; `A` computes the network's map there."""
        if test_error < self.test_error:
            self.test_error, self.time, self.step = test_error, time, step
            self.task.at_minimum(deviation, A, out=self.A)

    def result(self) -> TestErrorMinimum:
        if self.test_error == np.inf:  # none was measured
            return TestErrorMinimum.none()
        moment = Moment(self.task, self.A, self.c, self.rank)
        return TestErrorMinimum(self.test_error, self.time, self.step, measured(moment, "minimum"))


class MinimumAtSteps:
    """Gradient descent: the first step of the smallest test error."""

    def __init__(self, task: Task, c: float, rank: int) -> None:
        self.best = _Best(task, c, rank)

    def observe(self, state: State, deviation: Array, test_error: float) -> None:
        self.best.offer(test_error, state.time, state.step, deviation, state.weights.product)

    def result(self) -> TestErrorMinimum:
        return self.best.result()


class MinimumBetweenSteps:
    """A flow: searches the two steps around every state whose test error is smaller than its neighbours'."""

    def __init__(self, task: Task, c: float, rank: int, decay: float = 0.0) -> None:
        self.best, self.decay = _Best(task, c, rank), decay  # of A: l1 + l2
        self.last: list[_End] = []  # the last two states and, while observing, the newest
        self.spare: list[_End] = []

    def observe(self, state: State, deviation: Array, test_error: float) -> None:
        if test_error > _FAR * self.best.test_error:
            self.spare += self.last
            self.last.clear()
            return
        end = self.spare.pop() if self.spare else _End(state, deviation)
        end.copy(state, deviation, test_error)
        self.last.append(end)
        errors = [end.test_error for end in self.last]
        if len(errors) == 2 and errors[0] <= errors[1]:
            self._search(*self.last)
        elif len(errors) == 3:
            # No dip between two steps is a quarter of the errors at them: far above the best none is worth a search.
            if errors[0] > errors[1] <= errors[2] and errors[1] < 4 * self.best.test_error:
                self._search(self.last[0], self.last[1])
                self._search(self.last[1], self.last[2])
            self.spare.append(self.last.pop(0))

    def result(self) -> TestErrorMinimum:
        """Search the last step too, where the test error may still be falling."""
        if len(self.last) > 1:
            self._search(*self.last[-2:])
        elif self.last:
            only = self.last[0]
            self.best.offer(only.test_error, only.time, None, only.deviation, only.weights.product)
        return self.best.result()

    def _search(self, start: "_End", end: "_End") -> None:
        """Offer the smallest test error on the Hermite interpolant of A between two states."""
        h = end.time - start.time
        task = self.best.task
        slopes = [task.deviation_slope(each.weights, each.residual, self.decay) for each in (start, end)]
        four = [start.deviation, h * slopes[0], end.deviation, h * slopes[1]]
        points = np.stack(four, dtype=np.float64).reshape(4, -1)
        gram = points @ points.T / points.shape[1]
        curve = gram.reshape(16) @ _PRODUCTS
        stationary = np.roots((curve[1:] * np.arange(1, 7))[::-1])
        real = stationary.real[np.abs(stationary.imag) < 1e-9]
        places = np.array([0.0, 1.0, *real[(real > 0) & (real < 1)]])
        theta = places[np.argmin(np.polyval(curve[::-1], places))]
        basis = _HERMITE @ theta ** np.arange(4)
        deviation = (basis @ points).reshape(start.deviation.shape)

        def A() -> Array:
            ends = [(each.weights.product(), h * each.velocity(task, self.decay)) for each in (start, end)]
            return np.tensordot(basis, np.stack([*ends[0], *ends[1]], dtype=np.float64), axes=1)

        self.best.offer(task.test_error(deviation), start.time + theta * h, None, deviation, A)


class _End:
    """One end of a step: a copy of its state."""

    def __init__(self, state: State, deviation: Array) -> None:
        W1, W2 = state.weights.W1, state.weights.W2
        self.weights = Weights(np.empty_like(W1), np.empty_like(W2))
        self.residual = np.empty_like(state.residual)
        self.deviation = np.empty_like(deviation)

    def copy(self, state: State, deviation: Array, test_error: float) -> None:
        self.time, self.test_error = state.time, test_error
        np.copyto(self.weights.W1, state.weights.W1)
        np.copyto(self.weights.W2, state.weights.W2)
        np.copyto(self.residual, state.residual)
        np.copyto(self.deviation, deviation)

    def velocity(self, task: Task, decay: float) -> Array:
        """dA/dt = -C2 G - G C1 - decay A."""
        return self.weights.velocity(task.loss_gradient(self.residual), decay)

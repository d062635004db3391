"""The self-consistent (mixed) dynamics: equation (1) of the paper at any time, without time stepping.

dA/dt = -sqrt(A A^T + c^2 I) G - G sqrt(A^T A + c^2 I), solved by `linphase.theory.matrix`. The moments yielded only
sample the exact solution, close enough for every phase to be seen and interpolated.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from linphase.dynamics.base import State
from linphase.model.network import Initialization, Weights
from linphase.model.task import Task
from linphase.theory.matrix import SelfConsistentSolution

# From one moment to the next A moves by a twentieth of itself or the target and the time grows by a quarter, at most.
_MOVE = 0.05
_GROWTH = 1.25


@dataclass(frozen=True)
class SelfConsistent:
    """The self-consistent dynamics of the start's A with threshold c = sigma2 * width, sampled in time.

    The states' weights are those of the 2c-balanced network that follows it: W2 W1 is A, and the learning rate of a
    mode, u^T C2 u + v^T C1 v, that of the equation; C1 and C2 apart are shifted by -c and c. Ends after
    max_evaluations moments.
    """

    max_evaluations: int = 100_000
    continuous = True

    def reachable_rank(self, task: Task, weights: Weights) -> int:
        """Full: the equation knows the width only through c."""
        return min(task.shape)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the state at time 0 and at moments after it."""
        Y = task.target
        solution = SelfConsistentSolution(Y, weights.product().astype(np.float64), initialization.threshold)
        largest_rate = 2 * float(np.hypot(np.linalg.norm(Y, 2), initialization.threshold))
        time = 0.0
        for moment in range(self.max_evaluations):
            mixed = solution.weights(time)
            G = mixed.product() - Y
            yield State(time, moment, moment + 1, mixed, G)
            size = max(float(np.linalg.norm(Y)), float(np.linalg.norm(G + Y)))
            speed = float(np.linalg.norm(mixed.W2 @ (mixed.W2.T @ G) + (G @ mixed.W1.T) @ mixed.W1))
            longest: float = (_GROWTH - 1) * time if time else 0.01 / largest_rate
            time += min(longest, _MOVE * size / max(speed, np.finfo(float).tiny))

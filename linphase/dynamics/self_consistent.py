"""The self-consistent (mixed) dynamics: equation (1) of the paper at any time, without time stepping.

dA/dt = -sqrt(A A^T + c^2 I) G - G sqrt(A^T A + c^2 I), solved by `linphase.theory.matrix`. Lambda-balanced starts
that it does not describe are solved by `linphase.theory.balanced`. The moments yielded only sample the exact solution,
close enough for every phase to be seen and interpolated.
"""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, ClassVar

import numpy as np

from linphase.dynamics.base import LEARNING_RATE_RATIO, MAX_EVALUATIONS, WEIGHT_DECAY, Dynamics, Planned, State
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.network import Initialization, Weights
from linphase.model.section import Younger
from linphase.model.task import Array, Task
from linphase.theory.balanced import BalancedSolution
from linphase.theory.matrix import SelfConsistentSolution, balanced_network, wide_network

# From one moment to the next A moves by a twentieth of itself or the target and the time grows by a quarter, at most.
_MOVE = 0.05
_GROWTH = 1.25


class SelfConsistent(Dynamics, kind="self_consistent"):
    """Theory from the network's own A at the start: the self-consistent dynamics with c = sigma2 * width.

    Where inputs are not white, or weights decay, there is no closed form: then it is the gradient flow of the
    2c-balanced network or, where the layers decay unequally, of a network that holds the two layers' shares of c. A
    lambda-balanced start that is too narrow for the equation, or of lambda = 0, follows its own flow, exactly too.

    The states' weights are those of the 2c-balanced network that follows it: W2 W1 is A, and the learning rate of a
    mode, u^T C2 u + v^T C1 v, that of the equation; C1 and C2 apart are shifted by -c and c. Ends after
    max_evaluations moments.
    """

    continuous: ClassVar[bool] = True
    takes_data: ClassVar[bool] = True
    takes_richness: ClassVar[bool] = True
    moves_weights: ClassVar[bool] = False

    max_evaluations: int = MAX_EVALUATIONS
    learning_rate_ratio: Annotated[float, Younger] = LEARNING_RATE_RATIO
    weight_decay: Annotated[float, Younger] = WEIGHT_DECAY

    def reachable_rank(self, task: Task, weights: Weights) -> int:
        """Full, as the equation knows the width only through c; that of the width where it does not hold."""
        start = weights.initialization
        narrow = start is not None and not start.has_closed_form(task.shape)
        return super().reachable_rank(task, weights) if narrow else task.modes

    def evaluations(self, spec: Planned) -> float:
        return min(150, self.max_evaluations)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the state at time 0 and at moments after it."""
        Y, closed = task.target, initialization.has_closed_form(task.shape)
        decays = self.decays(initialization)
        if not task.white or any(decays):
            start = weights.astype(np.float64)
            if closed and decays[0] == decays[1]:
                start = balanced_network(start.product(), initialization.threshold)
            elif closed:
                start = wide_network(start.product(), *initialization.layer_sizes)
            flow = GradientFlow(max_evaluations=self.max_evaluations, weight_decay=self.weight_decay)
            yield from flow.states(task, start, initialization)
            return
        solution: SelfConsistentSolution | BalancedSolution
        if closed:
            solution = SelfConsistentSolution.of(task, weights.product(), initialization.threshold)
        else:
            assert initialization.balance is not None
            solution = BalancedSolution(Y, weights, initialization.balance / initialization.richness)
        largest_rate = 2 * float(np.hypot(np.linalg.norm(Y, 2), initialization.threshold))
        time = 0.0
        for moment in range(self.max_evaluations):
            state = _at(solution, Y, moment, time)
            yield state
            size = max(float(np.linalg.norm(Y)), float(np.linalg.norm(state.residual + Y)))
            speed = float(np.linalg.norm(state.weights.velocity(state.residual)))
            longest: float = (_GROWTH - 1) * time if time else 0.01 / largest_rate
            time += min(longest, _MOVE * size / max(speed, np.finfo(float).tiny))


def _at(solution: SelfConsistentSolution | BalancedSolution, target: Array, moment: int, time: float) -> State:
    """The state at any time, as the given one of the moments."""
    mixed = solution.weights(time)
    return State(time, moment, moment + 1, mixed, mixed.product() - target, partial(_at, solution, target, moment))

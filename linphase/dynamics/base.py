"""What every dynamics is: something that, from a task and a start, yields the states of training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from linphase.model.network import Initialization, Weights
from linphase.model.task import Task


@dataclass(frozen=True, slots=True)
class State:
    """The network at one time. Its arrays are the dynamics' own workspace: copy what is to outlive the next state."""

    time: float
    step: int
    evaluations: int  # gradient evaluations spent so far
    weights: Weights
    residual: NDArray[np.floating]  # G = W2 W1 - Y


class Dynamics(Protocol):
    """A way of training. `states` begins with the start and ends when the dynamics' own budget is spent."""

    @property
    def continuous(self) -> bool:
        """Whether the network exists between the yielded states (a flow) or not (descent in steps)."""
        ...

    def reachable_rank(self, task: Task, weights: Weights) -> int:
        """The largest rank that A can have."""
        ...

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the state at time 0 and after each step."""
        ...

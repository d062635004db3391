"""What training lowers, as an error: 2 L/N of the loss L, N = d_out d_in, and the least that can be reached."""

from typing import Protocol

from linphase.model.network import Weights
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

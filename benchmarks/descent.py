"""The cost of one step of gradient descent as it is really trained, everything of a step counted."""

from functools import partial
from math import ceil

from numpy.typing import DTypeLike

from benchmarks.timing import Work
from linphase.dynamics.gradient_descent import GradientDescent, PaperRate
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Converged
from linphase.runs.training import train

SHORT = 5  # steps of the shorter of two trainings
_MOST = 2000  # steps
_NEVER = Converged(excess_error=1e-300)
_FEWEST = RecordConfig(snapshots=2)


def enough_steps(task: Task, start: Initialization, seconds: float) -> int:
    """Steps that take about so long at 4e10 flops a second: what start-up varies by must be little beside it."""
    d_out, d_in = task.shape
    flops = 6 * min(start.width, d_in + d_out) * d_in * d_out
    return min(_MOST, ceil(seconds / (flops / 4e10 + 2e-5)))


def shorter_and_longer(
    task: Task,
    start: Initialization,
    dtype: DTypeLike,
    steps: int,
    *,
    rate: str | PaperRate = "auto",
    update: str = "simultaneous",
) -> tuple[Work, Work]:
    """Two real trainings that differ by so many steps.

    The difference of their times is that of the steps alone: both errors, the question to the stop rule, the watch
    for the smallest test error and the recorder's look at every step are in it, start-up and the end are not.
    """
    weights = gaussian_start(start, task.shape).astype(dtype)

    def descend(length: int) -> None:
        dynamics = GradientDescent(learning_rate=rate, update=update, max_steps=length)
        run = train(task, weights, dynamics, stop=_NEVER, record=_FEWEST, initialization=start)
        assert run.updates == length, f"the training ended at step {run.updates} of {length}: {run.status}"

    return partial(descend, SHORT), partial(descend, SHORT + steps)

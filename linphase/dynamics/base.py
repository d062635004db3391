"""What every dynamics is: from a task and a start it yields the states of training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from linphase.errors import LinphaseError
from linphase.model.draws import TaskConfig
from linphase.model.network import Initialization, Weights
from linphase.model.objective import Objective
from linphase.model.registry import Registry
from linphase.model.section import Choice
from linphase.model.task import Task


@dataclass(frozen=True, slots=True)
class State:
    """The network at one time. Its arrays are the dynamics' own workspace: copy what is to outlive the next state."""

    time: float
    step: int
    evaluations: int  # gradient evaluations spent so far
    weights: Weights
    residual: NDArray[np.floating]  # G = W2 W1 - Y
    # The state at a time within the step that led here; None where there is none between (descent).
    earlier: "Callable[[float], State] | None" = None


# A key that the kinds without steps of their own share.
MAX_EVALUATIONS: Any = Field(
    default=100_000,
    ge=1,
    le=10**9,
    title="budget of gradient evaluations; a run that spends it has the status step_limit",
    description="an integer from 1 to 10^9",
)


LEARNING_RATE_RATIO: Any = Field(
    default=1.0,
    ge=1e-12,
    le=1e12,
    title="p = e1/e2, the rate of W1 over that of W2, at e1 e2 = 1; a change of the start (`[init]`) by the same ratio",
    description="a number from 1e-12 to 1e12",
)


class Planned(Protocol):
    """What an estimate of a run's cost may look at: a run specification."""

    @property
    def task(self) -> TaskConfig: ...
    @property
    def initialization(self) -> Initialization: ...
    @property
    def stop(self) -> Any: ...


class Dynamics(Choice):
    """A way of training: a frozen class whose fields are its keys in `[dynamics]`, named by `kind`.

    `states` begins with the start and ends when the dynamics' own budget is spent; whatever else a run needs (the stop
    rule, the recorder, the smallest test error, the regimes) is done around it. The weights it gets are reduced to
    width at most d_in + d_out, which is exact for rules that act on the layers by matrix products.

    Examples
    --------
    >>> class Halved(Dynamics, kind="halved"):
    ...     def states(self, task, weights, initialization):
    ...         for step in range(100):
    ...             yield State(float(step), step, step + 1, weights, weights.product() - task.target)
    ...             weights = Weights(weights.W1 / 2, weights.W2)
    """

    selector: ClassVar[str] = "kind"
    default: ClassVar[str] = "flow"
    members: ClassVar[Registry[type["Dynamics"]]] = Registry("dynamics")
    kind: ClassVar[str]
    title: ClassVar[str] = ""  # what figures call it; empty: its kind

    continuous: ClassVar[bool] = False  # the network exists between two states (a flow), too
    moves_weights: ClassVar[bool] = True  # the states' weights are the start's own, moved
    fixed_step: ClassVar[bool] = False  # every step takes the same time, `rate`
    allows_paper_rule: ClassVar[bool] = False  # the paper's stop rule means something for it
    predicts: ClassVar[bool] = False  # theory's answer for a cell, without states

    def __init_subclass__(cls, kind: str | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)

    @classmethod
    def __pydantic_init_subclass__(cls, kind: str | None = None, **others: Any) -> None:
        super().__pydantic_init_subclass__(**others)
        if kind is not None:  # cloudpickle builds a class again without keywords
            for method, wanted in (("states", not cls.predicts), ("rate", cls.fixed_step)):
                if wanted and getattr(cls, method) is getattr(Dynamics, method):
                    why = " where fixed_step is True" if method == "rate" else ""
                    raise LinphaseError(f"dynamics {kind!r}: a method `{method}` is required{why}, found none")
            cls.declare(kind)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the state at time 0 and after each step."""
        raise LinphaseError(f"dynamics {self.kind!r}: a method `states` is required, found none")

    def reachable_rank(self, task: Task, weights: Weights) -> int:
        """The largest rank that A can have: that of the width."""
        return min(task.modes, weights.width)

    def rate(self, task: Task, initialization: Initialization) -> float | None:
        """The learning rate, stored with the run; None where there is none."""
        return None

    def check(self, task: Task) -> None:
        """Raise LinphaseError where it has no meaning for a task."""

    def stops_by(self, objective: Objective, task: Task, initialization: Initialization) -> Objective:
        """What the stop rule looks at; objective: 2 L/N of the loss."""
        return objective

    @property
    def stochastic(self) -> bool:
        """Whether its steps hang on random numbers of their own."""
        return False

    @property
    def rate_ratio(self) -> float:
        """p = e1/e2, of the rates of the two layers; 1 where the dynamics does not have the key."""
        return float(getattr(self, "learning_rate_ratio", 1.0))

    def evaluations(self, spec: Planned) -> float:
        """About how many gradient evaluations a run takes: it decides batches and the progress bar, never a number."""
        return 200

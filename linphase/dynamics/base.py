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
from linphase.model.objective import Objective, objective_of
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
    title="ratio p = e1/e2, the rate of W1 over that of W2, at e1 e2 = 1; r p is what counts",
    description="a number from 1e-12 to 1e12",
)


WEIGHT_DECAY: Any = Field(
    default=0.0,
    ge=0,
    le=1e9,
    title="decay l of the regularizer l (||W1||^2 + ||W2||^2)/2: singular values end at S - l, and those below l die",
    description="a number from 0 to 1e9",
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
    """How a network trains.

    A way of training is a frozen class whose fields are its keys in `[dynamics]`, named by `kind`.
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
    takes_data: ClassVar[bool] = False  # it asks the task for residual and gradient, so inputs need not be white
    takes_richness: ClassVar[bool] = False  # its steps are told in the time and learning rate at richness 1

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

    @property
    def stochastic(self) -> bool:
        """Whether its steps hang on random numbers of their own."""
        return False

    @property
    def sees_gamma_w(self) -> bool:
        """Whether runs of the same width int(d^gamma_w) differ where gamma_w does."""
        return False

    @property
    def rate_ratio(self) -> float:
        """p = e1/e2, of the rates of the two layers; 1 where the dynamics does not have the key."""
        return float(getattr(self, "learning_rate_ratio", 1.0))

    @property
    def decay(self) -> float:
        """l, of the weights; 0 where the dynamics does not have the key."""
        return float(getattr(self, "weight_decay", 0.0))

    def decays(self, initialization: Initialization) -> tuple[float, float]:
        """The decay of W1 and of W2 at equal rates and a richness of 1."""
        return initialization.decays(self.decay)

    def objective(self, task: Task, rank: int, initialization: Initialization) -> Objective:
        """What a run lowers whose A has at most this rank."""
        return objective_of(task, rank, self.decays(initialization))

    def evaluations(self, spec: Planned) -> float:
        """About how many gradient evaluations a run takes: it decides batches and the progress bar, never a number."""
        return 200

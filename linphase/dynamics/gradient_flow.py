"""Gradient flow to convergence by explicit methods (docs/theory.md, "The integrator of the flow").

dW1/dt = -W2^T G - l1 W1, dW2/dt = -G W1^T - l2 W2 with G = W2 W1 - Y and weight decays l1, l2. The flow is stiff, with
real rates up to about 2 c or 2 s_1(Y): Runge-Kutta-Chebyshev steps of order 2 take as many stages as their length asks
for. Where accuracy and not stability limits the steps, the Adams predictor-corrector of order 4 goes farther per
evaluation. Each step is of the method that goes farther.
"""

from collections.abc import Iterator
from functools import partial
from math import sqrt
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import DTypeLike
from pydantic import Field

from linphase.dynamics.adams import STABLE, adams_error, adams_step
from linphase.dynamics.base import LEARNING_RATE_RATIO, MAX_EVALUATIONS, WEIGHT_DECAY, Dynamics, Planned, State
from linphase.dynamics.chebyshev import chebyshev_error, chebyshev_step, error_gain, stages_for
from linphase.dynamics.workspace import Array, Workspace, workspace
from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights
from linphase.model.section import Younger
from linphase.model.task import Task

# At a saddle the waiting modes grow at up to ||G||_op, unseen by the error control, and a stabilized step damps what
# it cannot see. These bounds on h ||G||_op, at a tolerance of 1e-3, make escape times right to about 1 %. With weight
# decay l the modes grow at ||G||_op - l, and what the layers do not share fades at l, as little seen.
_CHEBYSHEV_SADDLE = 0.5
_ADAMS_SADDLE = 1.0
_FIRST = 0.2  # of that bound, until there is a history to tell the error from
_SAFETY = 0.8
_SHORTEST = 0.1  # a step follows one of at least a tenth of its length


class GradientFlow(Dynamics, kind="flow"):
    """Gradient flow, with a relative error of at most `tolerance` a step, in A and in the weights.

    ||dA||_F <= tolerance max(||A||_F, ||Y||_F) and ||dW||_F <= tolerance ||W||_F, dA = W2 dW1 + dW2 W1. The bound on
    A matters where the weights are huge (lazy), the bound on W where A is small. Ends after max_evaluations
    gradient evaluations.
    """

    title: ClassVar[str] = "gradient flow"
    continuous: ClassVar[bool] = True
    takes_data: ClassVar[bool] = True
    takes_richness: ClassVar[bool] = True

    tolerance: float = Field(
        default=3e-4,
        gt=0,
        le=0.1,
        title="relative error of a step, in A and in the weights",
        description="a number above 0 and at most 0.1",
    )
    max_evaluations: int = MAX_EVALUATIONS
    stages: Annotated[Literal["float32", "float64"], Younger] = Field(
        default="float32",
        title='precision of the stages within a step: "float32" where that is safe, or "float64"',
        description='"float32" or "float64"',
    )
    learning_rate_ratio: Annotated[float, Younger] = LEARNING_RATE_RATIO
    weight_decay: Annotated[float, Younger] = WEIGHT_DECAY

    def evaluations(self, spec: Planned) -> float:
        """About 300, or 200 from a width above d, and more where weights that are large cannot reach A = Y at once.

        Where the width is below d, what has no kernel at the start grows through layers that are far above it: the
        stiffness c over the rate of what is left. Fitted at d = 16 and 64 and a target of the size of its noise, from 3
        widths to 12; above d the smallest eigenvalue of the kernel soon helps.
        """
        start, d = spec.initialization, spec.task.scale
        narrow = start.width < 1.5 * d
        stiff = 30 * start.width * (start.init_variance / (spec.task.noise or 1)) ** 1.5 * min(1, d / start.width) ** 7
        return float(min((300 if narrow else 200) + stiff, self.max_evaluations))

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the start and the state after each accepted step.

        Raises LinphaseError where the precision of the weights cannot resolve the wanted accuracy of A.
        """
        self._check(weights)
        decays = self.decays(initialization)
        space = workspace(task, weights, self._stage_precision(task, weights), decays=decays)
        time, accepted = 0.0, 0
        yield State(time, accepted, space.evaluations, space.weights, space.G_start)

        rho, stretch = self._rates(space)
        chebyshev, adams, h = self._begin(rho, stretch)
        method: _Chebyshev | _Adams = chebyshev
        while space.evaluations < self.max_evaluations:
            z = method.step(space, h, rho, time)
            space.finish(z)
            adams.measure(space, h, rho, time, own=method is adams)
            chebyshev.measure(space, z, h)
            error = method.error
            if error <= 1:
                accepted += 1
                space.accept()
                adams.remember(time, h)
                earlier = partial(_within, space, task, time, h, accepted)
                time += h
                yield State(time, accepted, space.evaluations, space.weights, space.G_start, earlier)
                rho, stretch = self._rates(space)
                if space.mixed and not space.resolved():
                    space = workspace(task, space.weights, weights.W1.dtype, space.evaluations, decays)
                    chebyshev, adams, h = self._begin(rho, stretch)
                    method = chebyshev
                    continue
            elif h < 1e-12 / rho:
                raise LinphaseError(
                    f"flow: no step is small enough for a tolerance of {self.tolerance} at c = "
                    f"{initialization.threshold:.3g} in {weights.W1.dtype}: A = W2 W1 is lost in rounding. "
                    'Use run.precision = "float64" or a larger tolerance'
                )
            if not np.isfinite(error):
                space.forget()
                chebyshev.previous = adams.previous = None
                method, h = chebyshev, _SHORTEST * h
                continue
            by_chebyshev = chebyshev.lengthened(h, error <= 1) * (_SAFETY if method is adams else 1)
            by_chebyshev = min(by_chebyshev, chebyshev.longest(rho, stretch, by_chebyshev, first=not adams.ready))
            by_adams = adams.next(h, rho, stretch, accepted=error <= 1)
            # A change of method is worth 5 % at least.
            gain = by_adams / 2 / (by_chebyshev / stages_for(by_chebyshev * rho))
            method, longest = (
                (adams, by_adams) if gain > (1 if method is adams else 1.05) else (chebyshev, by_chebyshev)
            )
            h = h / 2 if error > 1 and longest >= 0.95 * h else longest

    def _begin(self, rho: float, stretch: float) -> "tuple[_Chebyshev, _Adams, float]":
        """Both methods without a history, and the length of the first step."""
        chebyshev = _Chebyshev(self.tolerance)
        return chebyshev, _Adams(self.tolerance), min(1 / rho, chebyshev.longest(rho, stretch, 1 / rho, first=True))

    def _check(self, weights: Weights) -> None:
        smallest = float(np.finfo(weights.W1.dtype).eps)
        if self.tolerance < smallest:
            raise LinphaseError(
                f"flow: a tolerance of at least {smallest:.2g} is required in {weights.W1.dtype}, found "
                f"{self.tolerance}. Use a larger one"
            )

    def _stage_precision(self, task: Task, weights: Weights) -> DTypeLike:
        """float32, unless a product of three of weights and target may leave its range."""
        squares = [float(np.sum(np.square(each))) for each in (weights.W1, weights.W2, task.target)]
        in_range = min(squares[:2]) > 1e-30 and max(squares) < 1e20
        return np.dtype(np.float32) if self.stages == "float32" and in_range else weights.W1.dtype

    def _rates(self, space: Workspace) -> tuple[float, float]:
        rho, stretch = space.spectral_radius()
        if not np.isfinite(rho):
            key = "dynamics.stages" if space.mixed else "run.precision"
            raise LinphaseError(
                f'flow: the weights overflow in {space.stage.dtype}. Use {key} = "float64" or a smaller sigma2'
            )
        return rho, stretch


def _within(space: Workspace, task: Task, begin: float, h: float, step: int, time: float) -> State:
    """The state at a time of the step of length h from `begin` that was accepted last."""
    weights = space.within((time - begin) / h, h)
    residual = task.residual(weights.product()).astype(space.y.dtype, copy=False)
    return State(time, step, space.evaluations, weights, residual)


class _StepControl:
    """The length of a method's next step from the error of the last, of order h^order (RKC, section 3.2).

    It changes like the last time, unless a step failed.
    """

    order: ClassVar[int]
    growth: ClassVar[float]

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.error = np.inf  # of the last step over the allowed one: accepted at 1 or below
        self.previous: tuple[float, float] | None = None  # length and error of the last accepted step

    def lengthened(self, h: float, accepted: bool) -> float:
        """The length after one of h with the error just measured."""
        error = max(self.error, 1e-9)
        factor: float = _SAFETY * error ** (-1 / self.order)
        if error > 1 or not accepted:
            self.previous = None
            return h * max(_SHORTEST, min(factor, 0.9 if error > 1 else self.growth))
        if self.previous is not None:
            h_before, error_before = self.previous
            factor *= min(1.0, (error_before / error) ** (1 / self.order) * h / h_before)
        self.previous = h, error
        return h * max(_SHORTEST, min(factor, self.growth))


class _Chebyshev(_StepControl):
    order: ClassVar[int] = 3
    growth: ClassVar[float] = 10.0

    def step(self, space: Workspace, h: float, rho: float, time: float) -> Array:
        return chebyshev_step(space, h, stages_for(h * rho))

    def measure(self, space: Workspace, z: Array, h: float) -> None:
        self.error = space.relative(chebyshev_error(space, z, h)) / self.tolerance

    def longest(self, rho: float, stretch: float, h: float, *, first: bool) -> float:
        """The longest step at a saddle, where h is wanted: the error of a mode there goes as h^2."""
        bound = _CHEBYSHEV_SADDLE * sqrt(self.tolerance / 1e-3) / stretch
        return bound * error_gain(stages_for(min(h, 1.6 * bound) * rho)) * (_FIRST if first else 1)


class _Adams(_StepControl):
    order: ClassVar[int] = 4
    growth: ClassVar[float] = 2.0

    def __init__(self, tolerance: float) -> None:
        super().__init__(tolerance)
        self.times: list[float] = []  # of the last two states before the current one

    def remember(self, time: float, h: float) -> None:
        """A step of length h began here and was accepted; one that rounding loses in time leaves no history."""
        self.times = [*self.times[-1:], time] if time + h > time else []

    @property
    def ready(self) -> bool:
        """Whether it knows the slopes at three states."""
        return len(self.times) == 2

    def _past(self, time: float) -> tuple[float, float]:
        earlier, last = self.times
        return last - time, earlier - time

    def step(self, space: Workspace, h: float, rho: float, time: float) -> Array:
        z = adams_step(space, h, *self._past(time))
        adams_error(space, h, *self._past(time))  # with the slope at the predicted point
        return z

    def measure(self, space: Workspace, h: float, rho: float, time: float, *, own: bool) -> None:
        """The error of its own step, or what it would have been; out of reach of its stability it is not asked for."""
        if own:
            self.error = space.relative(space.error) / self.tolerance
        elif self.ready and h * rho < 4 * STABLE:
            self.error = space.relative(adams_error(space, h, *self._past(time))) / self.tolerance
        else:
            self.error, self.previous = np.inf, None

    def next(self, h: float, rho: float, stretch: float, *, accepted: bool) -> float:
        if not np.isfinite(self.error):
            return 0.0
        bound = _ADAMS_SADDLE * sqrt(sqrt(self.tolerance / 1e-3)) / stretch
        return min(self.lengthened(h, accepted), STABLE / rho, bound)

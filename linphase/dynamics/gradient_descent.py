"""Gradient descent on 1/2 ||W2 W1 - Y||_F^2 with a constant learning rate (docs/theory.md, "The paper's protocol")."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from scipy.linalg import get_blas_funcs

from linphase.dynamics.base import LEARNING_RATE_RATIO, WEIGHT_DECAY, Dynamics, Planned, State
from linphase.dynamics.noise import Gradient, fresh_batches, noisy_labels
from linphase.dynamics.workspace import residuals
from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights, power
from linphase.model.objective import AboveNoise, Objective, OfPopulation, objective_of
from linphase.model.section import STRICT, Younger
from linphase.model.task import Task

PAPER_DIVISOR = 50  # eta = 1/(50 ...)


class PaperRate(BaseModel):
    """The paper's learning rate with another divisor in place of 50: `learning_rate = { paper = 5 }`."""

    model_config = ConfigDict(frozen=True, extra="forbid", **STRICT)

    paper: float = Field(gt=0)

    def __str__(self) -> str:
        return f"paper/{repr(self.paper).removesuffix('.0')}"


def _plain_rate(rate: object) -> object:
    """{ paper = 50 } is the rule "paper", and must not get another run id."""
    return "paper" if rate == PaperRate(paper=PAPER_DIVISOR) else rate


_Rate = Annotated[Annotated[float, Field(gt=0)] | Literal["auto", "paper"] | PaperRate, AfterValidator(_plain_rate)]


def paper_learning_rate(task: Task, initialization: Initialization, divisor: float = PAPER_DIVISOR) -> float:
    """The paper's learning rate: 1/(50 c) with c = sigma2 d^gamma_w where log_d c > 1, else 1/(50 ||A*||_op).

    As in the published code, d^gamma_w is not truncated to a width there. Unequal layers change c (`threshold_factor`),
    and that of a lambda-balanced start is its own.
    """
    if initialization.balance is not None:
        c = initialization.threshold
        return 1 / (divisor * (c if c > task.scale else task.signal_op_norm))
    factor = initialization.threshold_factor
    if initialization.gamma_w + initialization.gamma_sigma2 + math.log(factor) / math.log(task.scale) > 1:
        return 1 / (divisor * initialization.init_variance * power(task.scale, initialization.gamma_w) * factor)
    return 1 / (divisor * task.signal_op_norm)


class GradientDescent(Dynamics, kind="gd"):
    """Gradient descent.

    W1 <- W1 - eta W2^T G, W2 <- W2 - eta G W1^T with G = W2 W1 - Y; time = eta * step. With weight decay l each
    layer loses the share eta l of what it was before the step, too.

    learning_rate: "auto" is 1/(50 (max(c, ||Y||_op) + l)); "paper" the paper's, PaperRate(paper=5) the same with
    another divisor; or a number. update: "simultaneous" moves both layers from the old weights; "alternating", as the
    paper's code, moves W2 with the new W1 and the old residual. Source: docs/theory.md, "The paper's protocol".
    label_noise epsilon puts G - epsilon Xi in place of G, batch_size B the gradient on B fresh samples, with fresh Xi
    and samples every step (docs/theory.md, "Noisy steps").
    """

    title: ClassVar[str] = "gradient descent"
    fixed_step: ClassVar[bool] = True
    allows_paper_rule: ClassVar[bool] = True
    takes_data: ClassVar[bool] = True
    takes_richness: ClassVar[bool] = True

    learning_rate: _Rate = Field(
        default="auto",
        title='"auto" is 1/(50 (max(c, ||Y||_op) + l)), "paper" the paper\'s rule, { paper = 5 } that with 5 for 50',
        description='"auto", "paper", { paper = DIVISOR } or a number above 0',
    )
    update: Literal["simultaneous", "alternating"] = Field(
        default="simultaneous",
        title='"simultaneous" moves both layers from the old weights, "alternating", the paper\'s, W2 with the new W1',
        description='"simultaneous" or "alternating"',
    )
    max_steps: int = Field(
        default=100_000,
        ge=1,
        le=10**9,
        title="budget of steps; a run that spends it has the status step_limit",
        description="an integer from 1 to 10^9",
    )
    learning_rate_ratio: Annotated[float, Younger] = LEARNING_RATE_RATIO
    weight_decay: Annotated[float, Younger] = WEIGHT_DECAY
    label_noise: Annotated[float, Younger] = Field(
        default=0.0,
        ge=0,
        le=1e9,
        title="standard deviation epsilon of the noise on every entry of Y, fresh each step",
        description="a number from 0 to 1e9",
    )
    batch_size: Annotated[int | None, Younger] = Field(
        default=None,
        ge=1,
        le=10**6,
        title="size B of every step's batch of fresh samples, y = A* x + noise; else steps are by the loss itself",
        description="an integer from 1 to 10^6",
    )

    @model_validator(mode="after")
    def _one_noise(self) -> Self:
        if self.label_noise and self.batch_size is not None:
            raise ValueError(
                "label_noise must be 0 beside batch_size, whose samples have labels with the noise of the task, "
                f"found {self.label_noise}"
            )
        return self

    @property
    def stochastic(self) -> bool:
        return self.label_noise > 0 or self.batch_size is not None

    @property
    def sees_gamma_w(self) -> bool:
        return self.learning_rate == "paper" or isinstance(self.learning_rate, PaperRate)

    def check(self, task: Task) -> None:
        if self.label_noise and not task.white:
            raise LinphaseError(
                f"dynamics.label_noise: 0 is required where inputs are not white, found {self.label_noise}. What it "
                "does there is not worked out"
            )
        if self.batch_size is not None:
            try:
                task.population  # noqa: B018
            except LinphaseError as error:
                raise LinphaseError(
                    f"dynamics.batch_size: a task that fresh samples can be drawn of is required, found "
                    f"{self.batch_size} and {error}"
                ) from None

    def rate(self, task: Task, initialization: Initialization) -> float:
        """The learning rate as a number, at a richness of 1: a given one is divided by it."""
        if isinstance(self.learning_rate, PaperRate):
            return paper_learning_rate(task, initialization, self.learning_rate.paper)
        if self.learning_rate == "paper":
            return paper_learning_rate(task, initialization)
        if self.learning_rate == "auto":
            _, S, _ = task.solution_svd
            stiffest = 50 * task.input_size * max(initialization.threshold, S[0])
            if self.batch_size is not None:  # stable in the mean square to eta 2c (1 + (d_in + 1)/B) = 2
                stiffest *= 1 + (task.shape[1] + 1) / self.batch_size
            return float(1 / (stiffest + 50 * max(self.decays(initialization))))
        return float(self.learning_rate) / initialization.richness

    def evaluations(self, spec: Planned) -> float:
        steps = spec.stop.usual_steps or 20_000
        if spec.stop.end is not None and isinstance(self.learning_rate, float):
            steps = spec.stop.end / self.learning_rate
        return min(steps, self.max_steps)

    def objective(self, task: Task, rank: int, initialization: Initialization) -> Objective:
        """What the steps lower, less what their noise keeps it from."""
        if not self.stochastic:
            return super().objective(task, rank, initialization)
        rate, decays = self.rate(task, initialization), self.decays(initialization)
        if self.batch_size is None:
            return AboveNoise(objective_of(task, rank, decays), rate, self.label_noise)
        noise = task.noise / self.batch_size**0.5 if task.white else 0.0
        return AboveNoise(OfPopulation(task, rank, decays), rate, noise)

    def _noisy(self, task: Task, weights: Weights, initialization: Initialization) -> Gradient | None:
        """What makes the gradients of the steps noisy; None where they are those of the loss."""
        dtype = weights.W1.dtype
        if self.batch_size is not None:
            return fresh_batches(task, self.batch_size, weights.width, initialization.stream("batch"), dtype)
        if self.label_noise:
            return noisy_labels(self.label_noise, task.shape, initialization.stream("label"), dtype)
        return None

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the start and the state after each of at most max_steps steps.

        A step is three products of 2 width d_in d_out flops, accumulated by BLAS onto the weights themselves:
        nothing of their size is allocated after the first.
        """
        eta = self.rate(task, initialization)
        keep1, keep2 = (1 - eta * decay for decay in self.decays(initialization))
        W1, W2 = weights.W1.copy(), weights.W2.copy()
        residual_and_gradient = residuals(task, weights.width, W1.dtype)
        noisy = self._noisy(task, weights, initialization)
        W1_next = np.empty_like(W1)
        (gemm,) = get_blas_funcs(["gemm"], [W1, W2])

        for step in range(self.max_steps + 1):
            residual, G = residual_and_gradient(W1, W2)
            yield State(eta * step, step, step + 1, Weights(W1, W2), residual)
            if step == self.max_steps:  # the state yielded last stays as it is
                return
            if noisy is not None:
                G = noisy(W1, W2, G)
            # BLAS counts columns first, so each product is written transposed.
            if self.update == "alternating":
                gemm(-eta, G.T, W2.T, keep1, W1.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, keep2, W2.T, trans_a=1, overwrite_c=1)
            else:
                np.copyto(W1_next, W1)
                gemm(-eta, G.T, W2.T, keep1, W1_next.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, keep2, W2.T, trans_a=1, overwrite_c=1)
                W1, W1_next = W1_next, W1

"""Gradient descent on 1/2 ||W2 W1 - Y||_F^2 with a constant learning rate (docs/theory.md, "The paper's protocol")."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from scipy.linalg import get_blas_funcs

from linphase.dynamics.base import LEARNING_RATE_RATIO, Dynamics, Planned, State
from linphase.dynamics.workspace import residuals
from linphase.model.network import Initialization, Weights, power
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

    As in the published code, d^gamma_w is not truncated to a width there. Unequal layers change c (`threshold_factor`).
    """
    factor = initialization.threshold_factor
    if initialization.gamma_w + initialization.gamma_sigma2 + math.log(factor) / math.log(task.scale) > 1:
        return 1 / (divisor * initialization.init_variance * power(task.scale, initialization.gamma_w) * factor)
    return 1 / (divisor * task.signal_op_norm)


class GradientDescent(Dynamics, kind="gd"):
    """Gradient descent.

    W1 <- W1 - eta W2^T G, W2 <- W2 - eta G W1^T with G = W2 W1 - Y; time = eta * step.

    learning_rate: "auto" is 1/(50 max(c, ||Y||_op)); "paper" the paper's, PaperRate(paper=5) the same with another
    divisor; or a number. update: "simultaneous" moves both layers from the old weights; "alternating", as the
    paper's code, moves W2 with the new W1 and the old residual. Source: docs/theory.md, "The paper's protocol".
    """

    title: ClassVar[str] = "gradient descent"
    fixed_step: ClassVar[bool] = True
    allows_paper_rule: ClassVar[bool] = True
    takes_data: ClassVar[bool] = True
    takes_richness: ClassVar[bool] = True

    learning_rate: _Rate = Field(
        default="auto",
        title='"auto" is 1/(50 max(c, ||Y||_op)), "paper" the paper\'s rule, { paper = 5 } the same with 5 for 50',
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

    def rate(self, task: Task, initialization: Initialization) -> float:
        """The learning rate as a number, at a richness of 1: a given one is divided by it."""
        if isinstance(self.learning_rate, PaperRate):
            return paper_learning_rate(task, initialization, self.learning_rate.paper)
        if self.learning_rate == "paper":
            return paper_learning_rate(task, initialization)
        if self.learning_rate == "auto":
            _, S, _ = task.solution_svd
            return float(1 / (50 * task.input_size * max(initialization.threshold, S[0])))
        return float(self.learning_rate) / initialization.richness

    def evaluations(self, spec: Planned) -> float:
        return min(spec.stop.usual_steps or 20_000, self.max_steps)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the start and the state after each of at most max_steps steps.

        A step is three products of 2 width d_in d_out flops, accumulated by BLAS onto the weights themselves:
        nothing of their size is allocated after the first.
        """
        eta = self.rate(task, initialization)
        W1, W2 = weights.W1.copy(), weights.W2.copy()
        residual_and_gradient = residuals(task, weights.width, W1.dtype)
        W1_next = np.empty_like(W1)
        (gemm,) = get_blas_funcs(["gemm"], [W1, W2])

        for step in range(self.max_steps + 1):
            residual, G = residual_and_gradient(W1, W2)
            yield State(eta * step, step, step + 1, Weights(W1, W2), residual)
            if step == self.max_steps:  # the state yielded last stays as it is
                return
            # BLAS counts columns first, so each product is written transposed.
            if self.update == "alternating":
                gemm(-eta, G.T, W2.T, 1, W1.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, 1, W2.T, trans_a=1, overwrite_c=1)
            else:
                np.copyto(W1_next, W1)
                gemm(-eta, G.T, W2.T, 1, W1_next.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, 1, W2.T, trans_a=1, overwrite_c=1)
                W1, W1_next = W1_next, W1

"""Gradient descent on 1/2 ||W2 W1 - Y||_F^2 with a constant learning rate (theory.md sections 1 and 2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeGuard

import numpy as np
from pydantic import AfterValidator, Field
from scipy.linalg import get_blas_funcs

from linphase.dynamics.base import State
from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights
from linphase.model.section import Section
from linphase.model.task import Task

PAPER_DIVISOR = 50  # eta = 1/(50 ...): theory.md section 2


class PaperRate(Section):
    """The paper's learning rate with another divisor in place of 50: `learning_rate = { paper = 5 }`."""

    paper: float = Field(gt=0)


def _plain_rate(rate: object) -> object:
    """{ paper = 50 } is the rule "paper", and must not get another run id."""
    return "paper" if rate == PaperRate(paper=PAPER_DIVISOR) else rate


_Rate = Annotated[Annotated[float, Field(gt=0)] | Literal["auto", "paper"] | PaperRate, AfterValidator(_plain_rate)]


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")


def paper_learning_rate(task: Task, initialization: Initialization, divisor: float = PAPER_DIVISOR) -> float:
    """The paper's learning rate: 1/(50 c) where gamma_w + gamma_sigma2 > 1, else 1/(50 ||A*||_op)."""
    if initialization.gamma_w + initialization.gamma_sigma2 > 1:
        return 1 / (divisor * initialization.threshold)
    return 1 / (divisor * task.signal_op_norm)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


@dataclass(frozen=True)
class GradientDescent:
    """W1 <- W1 - eta W2^T G, W2 <- W2 - eta G W1^T with G = W2 W1 - Y; time = eta * step.

    learning_rate: "auto" is 1/(50 max(c, ||Y||_op)); "paper" the paper's, PaperRate(5) the same with another
    divisor; or a number. update: "simultaneous" moves both layers from the old weights; "alternating", as the
    paper's code, moves W2 with the new W1 and the old residual.
    """

    learning_rate: float | str | PaperRate = "auto"
    update: str = "simultaneous"
    max_steps: int = 100_000
    continuous = False

    def __post_init__(self) -> None:
        rate = self.learning_rate
        if not (isinstance(rate, PaperRate) or rate in ("auto", "paper") or (_is_number(rate) and rate > 0)):
            raise LinphaseError(
                f'learning_rate must be "auto", "paper", PaperRate(divisor) or a number above 0, found {rate!r}'
            )
        if self.update not in ("simultaneous", "alternating"):
            raise LinphaseError(f'update must be "simultaneous" or "alternating", found {self.update!r}')

    def rate(self, task: Task, initialization: Initialization) -> float:
        """The learning rate as a number."""
        if isinstance(self.learning_rate, PaperRate):
            return paper_learning_rate(task, initialization, self.learning_rate.paper)
        if self.learning_rate == "paper":
            return paper_learning_rate(task, initialization)
        if self.learning_rate == "auto":
            _, S, _ = task.target_svd
            return float(1 / (50 * max(initialization.threshold, S[0])))
        return float(self.learning_rate)

    def reachable_rank(self, task: Task, weights: Weights) -> int:
        """That of the width."""
        return min(*task.shape, weights.width)

    def states(self, task: Task, weights: Weights, initialization: Initialization) -> Iterator[State]:
        """Yield the start and the state after each of at most max_steps steps.

        A step is three products of 2 width d_in d_out flops, accumulated by BLAS onto the weights themselves:
        nothing of their size is allocated after the first.
        """
        eta = self.rate(task, initialization)
        W1, W2 = weights.W1.copy(), weights.W2.copy()
        Y = task.target.astype(W1.dtype)
        G = np.empty_like(Y)
        W1_next = np.empty_like(W1)
        (gemm,) = get_blas_funcs(["gemm"], [W1, W2])

        for step in range(self.max_steps + 1):
            # BLAS counts columns first, so each product is written transposed: G^T = W1^T W2^T - Y^T.
            np.copyto(G, Y)
            gemm(1, W1.T, W2.T, -1, G.T, overwrite_c=1)
            yield State(eta * step, step, step + 1, Weights(W1, W2), G)
            if step == self.max_steps:  # the state yielded last stays as it is
                return
            if self.update == "alternating":
                gemm(-eta, G.T, W2.T, 1, W1.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, 1, W2.T, trans_a=1, overwrite_c=1)
            else:
                np.copyto(W1_next, W1)
                gemm(-eta, G.T, W2.T, 1, W1_next.T, trans_b=1, overwrite_c=1)
                gemm(-eta, W1.T, G.T, 1, W2.T, trans_a=1, overwrite_c=1)
                W1, W1_next = W1_next, W1

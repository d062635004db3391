"""A plugin: an observable, a dynamics with a key of its own, and a panel."""

import numpy as np
from pydantic import Field

import linphase


@linphase.observable(
    "exp of the entropy of s_i(A)/sum of s_i(A)", panel="effective-rank", title="effective rank", at=("end", "minimum")
)
def effective_rank(moment) -> float:
    _, s, _ = moment.svd
    p = s[s > 0] / s.sum()
    return float(np.exp(-np.sum(p * np.log(p))))


class HeavyBall(linphase.Dynamics, kind="heavy_ball"):
    """V <- momentum V - eta grad, W <- W + V."""

    momentum: float = Field(
        0.9, ge=0, lt=1, title="share of its last move that is kept", description="a number of at least 0 and below 1"
    )
    eta: float = Field(1e-3, gt=0, title="learning rate", description="a number above 0")
    max_steps: int = Field(100_000, ge=1, title="budget of steps", description="an integer of at least 1")

    def states(self, task, weights, initialization):
        W1, W2 = weights.W1.copy(), weights.W2.copy()
        V1, V2 = 0 * W1, 0 * W2
        for step in range(self.max_steps + 1):
            G = W2 @ W1 - task.target
            yield linphase.State(self.eta * step, step, step + 1, linphase.Weights(W1, W2), G)
            V1 = self.momentum * V1 - self.eta * W2.T @ G
            V2 = self.momentum * V2 - self.eta * G @ W1.T
            W1, W2 = W1 + V1, W2 + V2


linphase.panel("steps", column="final_step", title="steps to convergence", scale="log", colors="magma")

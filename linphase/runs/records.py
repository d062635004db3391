"""The frozen record of one run over time, and how it ended."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.gradient_descent import paper_learning_rate
from linphase.model.network import Initialization
from linphase.model.observables import Modes, ModeTimes
from linphase.model.regime import CRITERIA, OrderParameters, agreement, classify
from linphase.model.task import Task

Array = NDArray[np.floating]

STATUSES = {
    "converged": "the train error came within the wanted distance of the best the width can reach",
    "stopped_early": "the paper's stop rule ended the run on a rising test error or a flat train error",
    "step_limit": "the budget of steps, gradient evaluations or seconds was spent; raise it to train further",
    "diverged": "the errors exploded or became NaN; lower the learning rate",
    "failed": "the run raised an error or its worker died; see the failures table",
}


@dataclass(frozen=True)
class TestErrorMinimum:
    """The smallest test error of a run and the network at that moment."""

    test_error: float
    time: float
    step: int | None  # None where it lies between steps (gradient flow)
    stable_rank: float  # ||A||_F^2 / ||A||_op^2
    rank: int  # singular values above s_1/5
    subspace_overlap: float  # of the top-k singular subspaces with those of A*


@dataclass(frozen=True)
class Trajectory:
    """One run over time; n moments, r recorded modes. time = learning rate x step under gradient descent."""

    time: Array  # (n,)
    step: NDArray[np.int64]  # (n,): updates made; accepted steps under gradient flow
    train_error: Array  # (n,): ||A - Y||_F^2/(d_out d_in)
    test_error: Array  # (n,): ||A - A*||_F^2/(d_out d_in)
    distance: Array  # (n,): ||A - A_sc||_F^2/(d_out d_in) to the self-consistent dynamics; (0,) where not compared
    singular_values: Array  # (n, r): s_i(A), descending
    mode_balance: Array  # (n, r)
    final_modes: Modes
    mode_times: ModeTimes


@dataclass(frozen=True)
class EndObservables:
    """Observables of the network at the last measurement (theory.md section 6); None where they have no meaning."""

    kernel_change: float
    kernel_distance: float
    target_alignment: float
    imbalance: float | None
    imbalance_drift: float | None
    subspace_overlap: float
    self_consistency_residual: float | None


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run: how it ended, what it measured over time, and the network at the last measurement."""

    status: str
    initialization: Initialization
    trajectory: Trajectory
    minimum: TestErrorMinimum
    paper_learning_rate: float
    learning_rate: float | None
    train_error: float
    test_error: float
    train_error_floor: float
    time: float
    updates: int  # made when the stop rule fired
    gradient_evaluations: int
    elapsed: float  # seconds
    order_parameters: dict[str, OrderParameters]  # by threshold, balance and speedup; empty when diverged
    regimes: dict[str, str | None]
    evidence_agreement: float | None
    observables: EndObservables | None  # None when diverged
    distance_to_self_consistent: float | None  # the largest, where compared
    A: Array  # W2 W1, (d_out, d_in)
    C1: Array  # W1^T W1, (d_in, d_in)
    C2: Array  # W2 W2^T, (d_out, d_out)

    @property
    def converged(self) -> bool:
        return self.status == "converged"

    @property
    def regime(self) -> str | None:
        """By the threshold, the paper's measure; None where the run has none."""
        return self.regimes["threshold"]


def result(task: Task, initialization: Initialization, final: Modes, *, status: str, **measured: Any) -> TrainedRun:
    """Classify a run from its modes at the end, and put everything about it together."""
    active = {name: one.active(final, initialization.threshold) for name, one in CRITERIA.items()}
    shares = {name: OrderParameters.of(each, task.rank) for name, each in active.items()}
    regimes = {
        name: classify(share.signal_active, share.bulk_active, width=initialization.width, rank=task.rank,
                       noise=task.noise)
        for name, share in shares.items()
    }  # fmt: skip
    diverged = status == "diverged"
    return TrainedRun(
        status=status,
        initialization=initialization,
        paper_learning_rate=paper_learning_rate(task, initialization),
        order_parameters={} if diverged else shares,
        regimes=dict.fromkeys(regimes) if diverged else regimes,
        evidence_agreement=None if diverged else agreement(list(active.values())),
        **measured,
    )

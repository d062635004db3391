"""The frozen record of one run over time, and how it ended."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

STATUSES = {
    "converged": "the train error came within the wanted distance of the best the width can reach",
    "stopped_early": "the paper's stop rule ended the run on a rising test error or a flat train error",
    "step_limit": "the budget of steps, gradient evaluations or seconds was spent; raise it to train further",
    "diverged": "the errors exploded or became NaN; lower the learning rate",
    "failed": "the run raised an error or its worker died; see the failures table",
}


@dataclass(frozen=True)
class Modes:
    """The modes at the end of a run, i = 0 .. min(d_in, d_out, width) - 1; mode i pairs s_i(A) with s_i(Y)."""

    singular_value: Array  # s_i(A)
    balance: Array  # 2 s_i / (u_i^T C2 u_i + v_i^T C1 v_i), in [0, 1]
    speed_up: Array  # learning rate of Y's mode i at the end over the average one at the start
    target: Array  # s_i(Y)


@dataclass(frozen=True)
class ModeTimes:
    """When the k signal modes did what, as interpolated between the moments kept; nan where they never did."""

    crossing: Array  # s_i passes c for good; 0 where it is always above
    escape: Array  # s_i passes s_i(Y)/2 for good
    convergence: Array  # the last time that s_i is off s_i(Y) by more than 5 %


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

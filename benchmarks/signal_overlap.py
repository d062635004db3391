"""A plugin of `benchmarks.paper_claims`: how far A is aligned with signal and target when its modes become active."""

import numpy as np

import linphase
from linphase.model.observables import subspace_overlap


@linphase.observable(
    "overlap of the top-k singular subspaces of A with those of A*",
    unit="share",
    at="crossing",
    panel="overlap-at-crossing",
    title="overlap with the signal\nat the crossing",
)
def signal_overlap(moment: linphase.Moment) -> float:
    """(||U_k^T U*||_F^2 + ||V_k^T V*||_F^2)/(2 k), U* and V* of A*."""
    return subspace_overlap(moment)


@linphase.observable(
    "overlap of the top-k singular subspaces of A with those of Y",
    unit="share",
    at="crossing",
    panel="target-overlap-at-crossing",
    title="overlap with the target\nat the crossing",
)
def target_overlap(moment: linphase.Moment) -> float:
    """The same with the singular vectors of Y: what training can reach."""
    k = moment.task.rank
    (U, _, V), (U_y, _, V_y) = moment.svd, moment.task.solution_svd
    left, right = (np.sum((a[:, :k].T @ b[:, :k]) ** 2) for a, b in ((U, U_y), (V, V_y)))
    return float(left + right) / (2 * k)

"""A plugin of `benchmarks.paper_claims`: how far A is aligned with the signal when its modes become active."""

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
    """(||U_k^T U*||_F^2 + ||V_k^T V*||_F^2)/(2 k)."""
    return subspace_overlap(moment)

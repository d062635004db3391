"""The regime of a run: lazy, mixed or balanced, from the share of its modes that are active.

A mode is active where its singular value lies above the threshold c = sigma2 * width (the paper's definition), or
where one of two other measures says so (see `linphase.observables`). The two order parameters are the share of
active modes among the k leading ones (the signal) and among the rest that the network can hold (the bulk).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REGIMES = ("lazy", "mixed", "balanced")
MEASURES = ("threshold", "balance", "speedup")
SIGNAL_CUT = 0.5
BULK_CUT = 0.5


def order_parameters(active: NDArray[np.bool_], rank: int) -> tuple[float, float | None]:
    """Share of active modes in the signal and in the bulk.

    active (modes,): whether mode i is active at the end, i = 0 .. min(d_in, d_out, width) - 1.
    Returns (signal_active, bulk_active); signal modes that the width cannot hold count as inactive, and
    bulk_active is None where the network holds no mode beyond the signal (width <= rank).
    """
    signal, bulk = active[:rank], active[rank:]
    return float(signal.sum()) / rank, float(bulk.mean()) if bulk.size else None


def classify(
    signal_active: float | None,
    bulk_active: float | None,
    *,
    width: int,
    rank: int,
    noise: float,
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
) -> str | None:
    """Regime of one run from its two order parameters.

    lazy: signal_active < signal_cut. balanced: not lazy and bulk_active >= bulk_cut. mixed: between, that is the
    signal is active and the bulk lazy. Two limits: with width = rank there is no bulk, and active means balanced;
    with noise = 0 the bulk has nothing to learn, and active means mixed. None where the run has no regime: it was
    not finished (signal_active is None) or it is underparameterized (width < rank).
    """
    if signal_active is None or width < rank:
        return None
    if signal_active < signal_cut:
        return "lazy"
    if noise == 0:
        return "mixed"
    if bulk_active is None or bulk_active >= bulk_cut:
        return "balanced"
    return "mixed"


def majority(regimes: Sequence[str]) -> tuple[str, ...]:
    """The outcome most replicates share; several where they tie, in the order of their first appearance."""
    counts = {regime: regimes.count(regime) for regime in dict.fromkeys(regimes)}
    most = max(counts.values())
    return tuple(regime for regime, count in counts.items() if count == most)

"""The outcome of every stored run: its regime by any measure and cuts, or the word for why it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linphase.model.regime import REGIMES, Cuts, classify

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = (*REGIMES, "underparameterized", "diverged", "failed", "undefined")


def outcomes(runs: pd.DataFrame, cuts: Cuts = Cuts()) -> pd.Series[str]:
    """Classify stored runs again from their order parameters, without training.

    Parameters
    ----------
    runs
        Rows of a runs table.
    cuts
        The criterion of active, and what turns shares into regimes.

    Returns
    -------
    pd.Series[str]
        One of OUTCOMES for each row; undefined: the run is finished, and its order parameters are null by this
        criterion.
    """
    signal, bulk = (runs[cuts.column(name)] for name in ("signal_active", "bulk_active"))
    columns = (runs["status"], signal, bulk, runs["width"], runs["rank"], runs["noise"])
    rows = zip(*(column.tolist() for column in columns), strict=True)  # of plain objects, ten times as fast
    found = [
        _outcome(status, classify(_given(s), _given(b), width=width, rank=rank, noise=noise,
                                  cuts=cuts), width < rank)
        for status, s, b, width, rank, noise in rows
    ]  # fmt: skip
    outcome = runs["status"].astype(object).copy()
    outcome[:] = found
    return outcome.rename("outcome")


def _outcome(status: str, regime: str | None, underparameterized: bool) -> str:
    if status in ("diverged", "failed"):
        return status
    if regime is not None:
        return regime
    return "underparameterized" if underparameterized else "undefined"


def _given(value: float | None) -> float | None:
    return None if value is None or value != value else value  # nan is how pandas reads a null

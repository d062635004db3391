"""The outcome of every stored run: its regime by any measure and cuts, or the word for why it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linphase.model.regime import BULK_CUT, MEASURES, REGIMES, SIGNAL_CUT, classify

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = (*REGIMES, "underparameterized", "diverged", "failed", "undefined")


def measured_by(column: str, by: str) -> str:
    """The runs column of an order parameter or regime by one of `regime.MEASURES` of active."""
    if by not in MEASURES:
        raise ValueError(f"by must be one of {', '.join(MEASURES)}, found {by!r}")
    return column if by == "threshold" else f"{column}_by_{by}"


def outcomes(
    runs: pd.DataFrame,
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
) -> pd.Series[str]:
    """Classify stored runs again from their order parameters, without training; one of OUTCOMES for each row.

    by is the measure of active: threshold, balance or speedup. undefined: a finished run whose order
    parameters are null by this measure.
    """
    signal, bulk = runs[measured_by("signal_active", by)], runs[measured_by("bulk_active", by)]
    columns = (runs["status"], signal, bulk, runs["width"], runs["rank"], runs["noise"])
    rows = zip(*(column.tolist() for column in columns), strict=True)  # of plain objects, ten times as fast
    found = [
        _outcome(status, classify(_given(s), _given(b), width=width, rank=rank, noise=noise,
                                  signal_cut=signal_cut, bulk_cut=bulk_cut), width < rank)
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

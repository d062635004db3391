"""Where the measured boundaries lie: the gamma_sigma2 at which an order parameter crosses its cut, for every width.

Both order parameters fall from 1 to 0 as sigma2 grows at fixed width, for the threshold c = sigma2 * width grows.
Between the last cell at or above the cut and the next the crossing is interpolated linearly; its interval is that of a
bootstrap over replicates. It tells how the draws differ and nothing of the grid, whose step limits the resolution:
where the replicates have the same shares the interval has no width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, isinf, isnan
from typing import TYPE_CHECKING

import numpy as np

from linphase.diagram.axes import axis_column
from linphase.diagram.looks import Array, plainly
from linphase.model.regime import Cuts
from linphase.store.rows import is_null
from linphase.theory.boundaries import ACTIVE_LAZY, MIXED_BALANCED, boundaries

if TYPE_CHECKING:
    import pandas as pd

    from linphase.store.results import Results

Facet = tuple[tuple[str, object], ...]  # values of the further axes by their columns

_BOOTSTRAPS = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class MeasuredBoundary:
    """One crossing, beside theory's; gamma_sigma2 is -inf or inf where the order parameter crosses beyond the grid.

    low and high bound the central 95 % of the bootstrap over replicates, and may be infinite in the same sense; nan
    with fewer than two replicates. A replicate that lacks a run of the width, or of which one diverged, counts for
    nothing: neither for the place nor for the interval. Without a complete replicate all is nan.
    """

    name: str  # "active | lazy" or "mixed | balanced"
    facet: Facet
    gamma_w: float
    width: int
    replicates: int  # the complete ones
    runs: int  # theirs
    converged: float  # share of these runs; only converged ones separate mixed from balanced
    gamma_sigma2: float
    low: float
    high: float
    grid_step: float  # between the two cells around the crossing; nan where it is beyond the grid
    finite_d: float
    asymptotic: float


def crossing(gamma_sigma2: Array, share: Array, cut: float) -> Array:
    """Where shares (..., n) over ascending gamma_sigma2 (n,) fall below the cut for the last time.

    A share below the cut everywhere crosses before the grid, at -inf; one not below it at the end behind it, at inf.
    """
    above = share >= cut
    n = share.shape[-1]
    last = n - 1 - np.argmax(above[..., ::-1], axis=-1)
    inside = above.any(axis=-1) & (last < n - 1)
    i = np.where(inside, last, 0)
    j = np.minimum(i + 1, n - 1)
    left, right = (np.take_along_axis(share, k[..., None], axis=-1)[..., 0] for k in (i, j))
    drop = np.where(inside, left - right, 1.0)
    place = gamma_sigma2[i] + (left - cut) / drop * (gamma_sigma2[j] - gamma_sigma2[i])
    return np.where(inside, place, np.where(above.any(axis=-1), np.inf, -np.inf))


def measured_boundaries(
    runs: pd.DataFrame,
    facets: Sequence[str] = (),
    cuts: Cuts = Cuts(),
    *,
    seed: int = 0,
) -> list[MeasuredBoundary]:
    """Both boundaries for every facet and width of a runs table.

    Parameters
    ----------
    runs
        Rows of a runs table.
    facets
        Columns of further axes.
    cuts
        The criterion whose order parameters are read, and where these are cut.
    seed
        Where the bootstrap's random numbers begin.
    """
    finished = runs[~runs["status"].isin(["failed", "diverged"]) & (runs["width"] >= runs["rank"])]
    found: list[MeasuredBoundary] = []
    for facet, part in _groups(finished, list(facets)):
        for column, cut, name in (
            ("signal_active", cuts.signal, ACTIVE_LAZY),
            ("bulk_active", cuts.bulk, MIXED_BALANCED),
        ):
            shares = part.dropna(subset=[cuts.column(column)])
            for _, row in shares.groupby(["gamma_w", "width"], sort=True):
                found.append(_measured(name, facet, row, cuts.column(column), cut, seed))
    return found


def boundaries_of(results: Results, cuts: Cuts = Cuts()) -> list[MeasuredBoundary]:
    """Both boundaries for every facet and width of some results."""
    return measured_boundaries(results.runs, [axis_column(key) for key in list(results.axes) if "." in key], cuts)


def _groups(runs: pd.DataFrame, facets: list[str]) -> Iterator[tuple[Facet, pd.DataFrame]]:
    if not facets:
        yield (), runs
        return
    for values, part in runs.groupby(facets, sort=True, dropna=False):
        yield tuple(zip(facets, values, strict=True)), part


def _measured(name: str, facet: Facet, row: pd.DataFrame, column: str, cut: float, seed: int) -> MeasuredBoundary:
    """The crossing of one column along the runs of one width."""
    table = row.pivot_table(index="replicate", columns="gamma_sigma2", values=column).dropna()
    used = row[row["replicate"].isin(table.index)]
    x, values = table.columns.to_numpy(dtype=float), table.to_numpy(dtype=float)
    place, low, high = _bootstrapped(x, values, cut, seed)
    finite_d, asymptotic = _theory(row, name)
    return MeasuredBoundary(
        name=name,
        facet=facet,
        gamma_w=float(row["gamma_w"].iloc[0]),
        width=int(row["width"].iloc[0]),
        replicates=len(values),
        runs=len(used),
        converged=float((used["status"] == "converged").mean()),
        gamma_sigma2=place,
        low=low,
        high=high,
        grid_step=_step_at(x, place),
        finite_d=finite_d,
        asymptotic=asymptotic,
    )


def _bootstrapped(x: Array, values: Array, cut: float, seed: int) -> tuple[float, float, float]:
    """Crossing of the mean over replicates (r, n), and the interval from means over replicates drawn with return."""
    r = len(values)
    if r == 0:
        return np.nan, np.nan, np.nan
    place = float(crossing(x, values.mean(axis=0), cut))
    if r == 1:
        return place, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(r, size=(_BOOTSTRAPS, r))
    places = crossing(x, values[drawn].mean(axis=1), cut)
    # Of the places themselves, for between a finite and an infinite one there is nothing to interpolate.
    low = np.quantile(places, (1 - _LEVEL) / 2, method="lower")
    high = np.quantile(places, (1 + _LEVEL) / 2, method="higher")
    return place, float(low), float(high)


def _step_at(x: Array, place: float) -> float:
    """Distance of the two cells around a place."""
    if not np.isfinite(place):
        return np.nan
    right = min(int(np.searchsorted(x, place, side="right")), len(x) - 1)
    return float(x[right] - x[right - 1])


def _theory(row: pd.DataFrame, name: str) -> tuple[float, float]:
    """Finite-d and asymptotic gamma_sigma2 of a boundary; nan where theory has none."""
    task = row.iloc[0]
    gamma_w = np.log(float(task["width"])) / np.log(float(task["dimension"]))  # of the truncated width
    signal_norm = None if is_null(task["signal_norm"]) else task["signal_norm"]
    lines = boundaries(int(task["dimension"]), int(task["rank"]), float(task["noise"]), signal_norm, [gamma_w])
    places = {line.asymptotic: float(line.gamma_sigma2[0]) for line in lines if line.name == name}
    return places.get(False, np.nan), places.get(True, np.nan)


# --- As a table ------------------------------------------------------------------------------------------------------

COLUMNS = ("boundary", "facet", "gamma_w", "width", "gamma_sigma2", "95 %", "grid step", "converged", "theory, d",
           "d to infinity")  # fmt: skip


def table_row(boundary: MeasuredBoundary) -> tuple[str, ...]:
    """A boundary as texts under COLUMNS: "below grid" or "above grid" where it is infinite, "-" where it is nan."""
    interval = f"{_place(boundary.low)} to {_place(boundary.high)}"
    if isnan(boundary.low):
        interval = ""
    elif isinf(boundary.low) and boundary.low == boundary.high:
        interval = _place(boundary.low)
    return (
        boundary.name,
        ", ".join(f"{key} = {plainly(value)}" for key, value in boundary.facet),
        f"{boundary.gamma_w:.3f}",
        str(boundary.width),
        _place(boundary.gamma_sigma2),
        interval,
        _place(boundary.grid_step),
        "-" if isnan(boundary.converged) else f"{floor(100 * boundary.converged)} %",
        _place(boundary.finite_d),
        _place(boundary.asymptotic),
    )


def _place(value: float) -> str:
    if isinf(value):
        return "above grid" if value > 0 else "below grid"
    return "-" if isnan(value) else f"{value:.3f}"

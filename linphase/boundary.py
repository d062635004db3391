"""Where the measured boundaries lie: the gamma_sigma2 at which an order parameter crosses its cut, for every width.

Both order parameters fall from 1 to 0 as sigma2 grows at fixed width, for the threshold c = sigma2 * width grows.
Between the last cell at or above the cut and the next the crossing is interpolated linearly; its interval is that of a
bootstrap over replicates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from linphase.outcomes import measured_by
from linphase.regime import BULK_CUT, SIGNAL_CUT
from linphase.theory import ACTIVE_LAZY, MIXED_BALANCED, boundaries

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_BOOTSTRAPS = 2000
_LEVEL = 0.95


@dataclass(frozen=True)
class MeasuredBoundary:
    """One crossing, beside theory's; gamma_sigma2 is nan where the order parameter does not cross on the grid.

    low and high bound the central 95 % of the bootstrap over replicates; nan with fewer than two replicates.
    """

    name: str  # "active | lazy" or "mixed | balanced"
    facet: tuple[tuple[str, object], ...]
    gamma_w: float
    width: int
    replicates: int
    gamma_sigma2: float
    low: float
    high: float
    finite_d: float
    asymptotic: float


def crossing(gamma_sigma2: Array, share: Array, cut: float) -> Array:
    """Where shares (..., n) over ascending gamma_sigma2 (n,) fall below the cut for the last time; nan where never.

    A share that is below the cut everywhere, or nowhere at the end, crosses outside the grid.
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
    return np.where(inside, place, np.nan)


def measured_boundaries(
    runs: "pd.DataFrame",
    facets: Sequence[str] = (),
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
    seed: int = 0,
) -> list[MeasuredBoundary]:
    """Both boundaries for every facet and width of a runs table.

    facets: columns of further axes. by: the measure of active. The bootstrap's random numbers begin from `seed`.
    """
    finished = runs[~runs["status"].isin(["failed", "diverged"]) & (runs["width"] >= runs["rank"])]
    found: list[MeasuredBoundary] = []
    for facet, part in _groups(finished, list(facets)):
        for column, cut, name in (
            ("signal_active", signal_cut, ACTIVE_LAZY),
            ("bulk_active", bulk_cut, MIXED_BALANCED),
        ):
            shares = part.dropna(subset=[measured_by(column, by)])
            for _, row in shares.groupby(["gamma_w", "width"], sort=True):
                gamma_w, width = float(row["gamma_w"].iloc[0]), int(row["width"].iloc[0])
                table = row.pivot_table(index="replicate", columns="gamma_sigma2", values=measured_by(column, by))
                x, values = table.columns.to_numpy(dtype=float), table.to_numpy(dtype=float)
                place, low, high = _bootstrapped(x, values, cut, seed)
                theory = _theory(row, name)
                found.append(MeasuredBoundary(name, facet, gamma_w, width, len(values), place, low, high, *theory))
    return found


def _groups(runs: "pd.DataFrame", facets: list[str]) -> Iterator[tuple[tuple[tuple[str, object], ...], "pd.DataFrame"]]:
    if not facets:
        yield (), runs
        return
    for values, part in runs.groupby(facets, sort=True, dropna=False):
        yield tuple(zip(facets, values, strict=True)), part


def _bootstrapped(x: Array, values: Array, cut: float, seed: int) -> tuple[float, float, float]:
    """Crossing of the mean over replicates (r, n), and the interval from means over replicates drawn with return."""
    place = float(crossing(x, np.nanmean(values, axis=0), cut))
    r = len(values)
    if r < 2 or not np.isfinite(place) or np.isnan(values).any():
        return place, np.nan, np.nan
    drawn = np.random.default_rng(seed).integers(r, size=(_BOOTSTRAPS, r))
    places = crossing(x, values[drawn].mean(axis=1), cut)
    places = places[np.isfinite(places)]
    low, high = np.quantile(places, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return place, float(low), float(high)


def _theory(row: "pd.DataFrame", name: str) -> tuple[float, float]:
    """Finite-d and asymptotic gamma_sigma2 of a boundary; nan where theory has none."""
    task = row.iloc[0]
    gamma_w = np.log(float(task["width"])) / np.log(float(task["dimension"]))  # of the truncated width
    signal_norm = None if task["signal_norm"] != task["signal_norm"] else task["signal_norm"]
    lines = boundaries(int(task["dimension"]), int(task["rank"]), float(task["noise"]), signal_norm, [gamma_w])
    places = {line.kind: float(line.gamma_sigma2[0]) for line in lines if line.name == name}
    return places.get("finite d", np.nan), places.get("asymptotic", np.nan)

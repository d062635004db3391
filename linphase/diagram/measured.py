"""Where the measured boundaries lie: the gamma_sigma2 at which the modes change sides, for every width.

Each criterion of active measures what stands for s_i/c (`linphase.model.regime`). Of every run its logarithm is taken,
as a quantile over the signal modes or those of the bulk: the median with cuts at one half. It falls as sigma2 grows at
fixed width, about linearly, and where it passes 0 the share of active modes passes its cut, up to the mean of the two
middle modes of an even number. Shares jump from mode to mode and would put the boundary on the middle of two cells.

Behaviour along the path has boundaries of its own: where the learning order is 2, and where the benefit is 1/2, by
their logarithms. Beyond the infinite-noise line the noise of the start moves them, and they may rise again: taken is
the first place where they fall below 0, for the boundaries of the end the last.

Every replicate crosses at a place of its own; stored are their mean and the interval of Student's t in gamma_sigma2,
that is in log c at fixed width. Its coverage: results/boundary_coverage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from math import exp, floor, inf, isfinite, isinf, isnan, log, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from linphase.config.keys import VARIANCE_KEYS
from linphase.diagram.axes import as_stored, axis_column
from linphase.diagram.derived import SAME, decays, shifts
from linphase.diagram.looks import Array, plainly
from linphase.errors import LinphaseError
from linphase.model.draws import TaskConfig
from linphase.model.observables import Modes
from linphase.model.regime import CRITERIA, Cuts
from linphase.store.asked import asked_table
from linphase.store.columns import for_keys
from linphase.store.rows import draw_seed, task_config_of
from linphase.theory.asymptotic import TypicalTask, benefit_threshold, learning_order_threshold
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY, boundaries_of_task

if TYPE_CHECKING:
    from linphase.store.results import Results

Facet = tuple[tuple[str, object], ...]  # values of the further axes by their columns

LEVEL = 0.95
FEWEST = 3  # replicates that an interval takes
_TINY = 1e-300
_LEAST_BENEFIT = 0.01  # a run at small d may be better than optimal shrinkage, which is optimal at large d
LEARNING_ORDER, BENEFIT = "learning order = 2", "benefit = 1/2"

# The columns that `log_ratios` adds, and the boundary at which each passes 0: of the end of a run, and of its path.
_ENDS = {"signal_log_ratio": MIXED_LAZY, "bulk_log_ratio": MIXED_BALANCED}
_PATHS = {"learning_order_log_ratio": LEARNING_ORDER, "benefit_log_ratio": BENEFIT}
LOG_RATIOS = _ENDS | _PATHS
PATHS = {"learning_order": LEARNING_ORDER, "benefit": BENEFIT}  # by the column that has its level there
_PATH_THRESHOLDS = {LEARNING_ORDER: learning_order_threshold, BENEFIT: benefit_threshold}


@dataclass(frozen=True)
class MeasuredBoundary:
    """One crossing, beside theory's; gamma_sigma2 is -inf or inf where the modes change sides beyond the grid.

    A replicate counts where both its runs beside its crossing are there and ended well. Without any, or where only some
    of them cross on the grid, all is nan, and `note` says why. low and high bound the mean over draws at 95 %; nan with
    fewer than three replicates, or where not all count.
    """

    name: str  # one of LOG_RATIOS
    facet: Facet
    gamma_w: float
    width: int
    replicates: int  # counted
    configured_replicates: int
    runs: int  # of these replicates, that ended well
    cells: int  # in which all configured replicates ended well
    configured_cells: int
    unfinished: int  # of all cells and configured replicates, the runs that are not there or did not end well
    converged: float  # share of these runs; only converged ones separate mixed from balanced
    finished: float  # share of these runs: they ended at a given time, and the boundary is that of this time
    gamma_sigma2: float
    low: float
    high: float
    grid_step: float  # between the two cells around the crossing; nan where it is beyond the grid
    finite_d: float
    asymptotic: float
    note: str  # why there is no gamma_sigma2, or fewer replicates than configured
    scale: float  # to whose powers the exponents are: sqrt(d_out d_in)
    log_offset: float  # ln c at gamma_sigma2 = 0; nan where c does not follow sigma2
    places: tuple[float, ...]  # the gamma_sigma2 of every replicate; none unless all of them cross on the grid

    def log_threshold(self, gamma_sigma2: float) -> float:
        """The ln c of a place."""
        return self.log_offset + gamma_sigma2 * log(self.scale)

    @property
    def log_step(self) -> float:
        """The step of the grid at the crossing, in ln c."""
        return self.grid_step * log(self.scale)


def boundaries_of(results: Results, cuts: Cuts = Cuts()) -> list[MeasuredBoundary]:
    """The boundaries for every facet and width that the configurations of some results ask for.

    Raises
    ------
    LinphaseError
        If they ask for one variance: a boundary is a place between two.
    """
    key, values = _variances(results)
    if len(values) < 2:
        raise LinphaseError(
            f"{results.path}: a measured boundary lies between two variances: an axis grid.{key} with several values "
            f"is required, found {plainly(values[0])} alone. Sweep more of them; linphase plot draws theory's lines "
            "over other axes"
        )
    return _among_expected(results, log_ratios(results.runs, results.final_modes(), cuts))


def boundaries_of_path(results: Results, column: str | None) -> list[MeasuredBoundary]:
    """Those of them at the level of one of the columns PATHS, read off the runs table alone; none of another column."""
    if column not in PATHS or len(_variances(results)[1]) < 2:
        return []
    ratio = next(ratio for ratio, name in _PATHS.items() if name == PATHS[column])
    return _among_expected(results, _path_ratios(results.runs), [ratio])


def _variances(results: Results) -> tuple[str, list[Any]]:
    """The key of the variance and its values, whichever axes are drawn: those of the part that was chosen."""
    grids: list[dict[str, Any]] = [config["grid"] for config in results.configs]
    (key,) = {key for grid in grids for key in VARIANCE_KEYS if key in grid}
    values = results.axes.get(key) or [value for grid in grids for value in grid[key]]
    return key, sorted({as_stored(value) for value in values})


def _among_expected(
    results: Results, runs: pd.DataFrame, ratios: Sequence[str] = tuple(LOG_RATIOS)
) -> list[MeasuredBoundary]:
    """The boundaries of runs with some of the columns LOG_RATIOS, among all that the configurations ask for."""
    keys = dict.fromkeys(key for config in results.configs for key in config["grid"] if "." in key)
    facets = {axis_column(key): key for key in keys}
    asked = asked_table(results.expected(), facets)
    undeclared = [column for column in facets if column not in for_keys()]  # a plugin's, that is not here
    asked[undeclared] = asked[undeclared].map(as_stored)
    return measured_boundaries(asked.merge(runs[["run_id", "status", *ratios]], on="run_id", how="left"), list(facets))


def log_ratios(runs: pd.DataFrame, modes: pd.DataFrame, cuts: Cuts = Cuts()) -> pd.DataFrame:
    """A runs table with the columns LOG_RATIOS: log(s_i/c), or what stands for it by the criterion, at its cut.

    At the cut q it is the quantile 1 - q over the modes, interpolated between two of them: the median at 1/2. Besides,
    log(learning order/2) and -log(2 benefit), null in results of before these were measured.
    modes: of `Results.final_modes`.
    """
    indexed = runs.set_index("run_id")
    c, rank = (indexed[name].reindex(modes["run_id"]).to_numpy(dtype=float) for name in ("threshold", "rank"))
    ends = (modes[name].to_numpy(dtype=float) for name in ("singular_value", "balance", "speed_up", "target"))
    ratio = CRITERIA[cuts.criterion].ratio(Modes(*ends), c)
    heights = modes[["run_id"]].assign(height=np.log(np.maximum(ratio, _TINY)), signal=modes["mode"] < rank)
    found = {}
    for column, signal, cut in zip(_ENDS, (True, False), (cuts.signal, cuts.bulk), strict=True):
        chosen = heights[heights["signal"] == signal].groupby("run_id", sort=False)["height"]
        found[column] = chosen.quantile(1 - cut).reindex(runs["run_id"]).to_numpy()
    return _path_ratios(runs.assign(**found))


def _path_ratios(runs: pd.DataFrame) -> pd.DataFrame:
    order, benefit = (_stored(runs, name) for name in PATHS)
    paths = (np.log(np.maximum(order, _TINY) / 2), -np.log(2 * np.maximum(benefit, _LEAST_BENEFIT)))
    return runs.assign(**dict(zip(_PATHS, paths, strict=True)))


def _stored(runs: pd.DataFrame, column: str) -> Array:
    return runs[column].to_numpy(dtype=float, na_value=nan) if column in runs else np.full(len(runs), nan)


def measured_boundaries(runs: pd.DataFrame, facets: Sequence[str] = ()) -> list[MeasuredBoundary]:
    """The boundaries for every facet and width; those of the path where any run has what they are measured by.

    Parameters
    ----------
    runs
        Every run that should be there, with some of the columns LOG_RATIOS; status and these are null where it is not.
    facets
        Columns of further axes.
    """
    status = runs["status"]
    runs = runs.assign(
        well=status.notna() & ~status.isin(["failed", "diverged"]),
        converged=status.eq("converged"),
        finished=status.eq("finished"),
    )
    return [
        _told_beyond(_measured(name, facet, row, column), row, part)
        for facet, part in _groups(runs[(runs["width"] >= runs["rank"]) & (runs["rank"] > 0)], list(facets))
        for column, name in LOG_RATIOS.items()
        if column in runs and (column in _ENDS or runs[column].notna().any())
        for _, row in part.groupby(["gamma_w", "width"], sort=True)
        if name == MIXED_LAZY or _has_bulk(row)
    ]


def _told_beyond(found: MeasuredBoundary, row: pd.DataFrame, facet: pd.DataFrame) -> MeasuredBoundary:
    """Of a width that was refined in a part of the grid alone it is not known what lies beyond the grid."""
    ends = [each["gamma_sigma2"].agg(["min", "max"]).tolist() for each in (row, facet)]
    if ends[0] == ends[1] or isfinite(found.gamma_sigma2) or found.replicates < found.configured_replicates:
        return found
    low, high = (one == other for one, other in zip(*ends, strict=True))
    if (found.gamma_sigma2 == -inf and low) or (found.gamma_sigma2 == inf and high):
        return found
    return replace(found, gamma_sigma2=nan, note="its refined cells do not reach the end of the grid")


def _has_bulk(row: pd.DataFrame) -> bool:
    """Without noise the bulk has nothing to learn, and no run is balanced."""
    one = row.iloc[0]
    return bool(one["noise"] > 0 and min(one["width"], *task_config_of(one).shape) > one["rank"])


def _groups(runs: pd.DataFrame, facets: list[str]) -> Iterator[tuple[Facet, pd.DataFrame]]:
    if not facets:
        yield (), runs
        return
    for values, part in runs.groupby(facets, sort=True, dropna=False):
        yield tuple(zip(facets, values, strict=True)), part


def _measured(name: str, facet: Facet, row: pd.DataFrame, column: str) -> MeasuredBoundary:
    """The crossing of one column along the runs of one width: the first for the path, else the last."""
    x, cell = np.unique(row["gamma_sigma2"].to_numpy(dtype=float), return_inverse=True)
    _, replicate = np.unique(row["replicate"].to_numpy(dtype=int), return_inverse=True)
    heights = np.full((int(replicate.max()) + 1, len(x)), nan)
    heights[replicate, cell] = np.where(row["well"].to_numpy(dtype=bool), row[column].to_numpy(dtype=float), nan)
    ended = np.zeros((2, *heights.shape), dtype=bool)
    for how, each in zip(("converged", "finished"), ended, strict=True):
        each[replicate, cell] = row[how].to_numpy(dtype=bool, na_value=False)

    there = ~np.isnan(heights)
    passes = first_crossing if column in _PATHS else crossing
    crossings = np.array([passes(x, *each) for each in zip(heights, there, strict=True)])
    counted = ~np.isnan(crossings[:, 0])
    cells, r = int(there.all(axis=0).sum()), int(counted.sum())
    place, low, high, note = _estimated(crossings[counted, 0].tolist())
    if r == 0:
        note = f"{cells} of {len(x)} cells"
    elif r < len(heights):
        # Which are missing may depend on where they cross: a mean of the others, without an interval.
        low, high, note = nan, nan, note or f"{r} of {len(heights)} replicates"
    used = there & counted[:, None]
    converged, finished = (float(each[used].mean()) if used.any() else nan for each in ended)
    finite_d, asymptotic = _theory(row, name)
    (shift, _), scale = shifts(row), task_config_of(row.iloc[0]).scale
    all_cross = r == len(heights) and bool(np.isfinite(crossings[:, 0]).all())
    return MeasuredBoundary(
        name=name,
        facet=facet,
        gamma_w=float(row["gamma_w"].iloc[0]),
        width=int(row["width"].iloc[0]),
        replicates=r,
        configured_replicates=len(heights),
        runs=int(used.sum()),
        cells=cells,
        configured_cells=len(x),
        unfinished=heights.size - int(row["well"].sum()),
        converged=converged,
        finished=finished,
        gamma_sigma2=place,
        low=low,
        high=high,
        grid_step=float(np.mean(crossings[counted, 1])) if isfinite(place) else nan,
        finite_d=finite_d,
        asymptotic=asymptotic,
        note=note,
        scale=float(scale),
        log_offset=log(row["width"].iloc[0]) + float(shift[0]) if np.ptp(shift) <= SAME else nan,
        places=tuple(crossings[:, 0].tolist()) if all_cross else (),
    )


def crossing(x: Array, height: Array, there: NDArray[np.bool_]) -> tuple[float, float]:
    """Where a height over ascending x (n,) falls below 0 for the last time, and the step between the cells around it.

    Only cells that are there count, and a crossing only between two that are neighbours in x: else it is nan. Below 0
    everywhere it is -inf, if the first cell is there; at or above 0 in the last cell inf.
    """
    n = len(x)
    above = np.flatnonzero(there & (height >= 0))
    if above.size == 0:
        return (-inf if there[0] else nan), nan
    i = int(above[-1])
    if i == n - 1:
        return inf, nan
    if not there[i + 1]:
        return nan, nan
    step = float(x[i + 1] - x[i])
    return float(x[i] + height[i] / (height[i] - height[i + 1]) * step), step


def first_crossing(x: Array, height: Array, there: NDArray[np.bool_]) -> tuple[float, float]:
    """Where it falls below 0 for the first time, from a cell that is not; else as `crossing`."""
    above = np.flatnonzero(there & (height >= 0))
    below = np.flatnonzero(there & (height < 0))
    fallen = below[below > above[0]] if above.size else below[:0]
    end = int(fallen[0]) + 1 if fallen.size else len(x)
    return crossing(x[:end], height[:end], there[:end])


def _estimated(places: Sequence[float]) -> tuple[float, float, float, str]:
    """The mean over replicates, its interval, and why there is none."""
    on_grid = sum(map(isfinite, places))
    if not places or (on_grid == 0 and len(set(places)) == 1):
        return (places[0] if places else nan), nan, nan, ""
    if on_grid < len(places):
        return nan, nan, nan, f"{on_grid} of {len(places)} replicates cross on the grid"
    return *interval(places), ""


def interval(places: Sequence[float]) -> tuple[float, float, float]:
    """The mean of r finite places and the ends of its interval by Student's t, nan for r < 3."""
    r, mean, half = len(places), float(np.mean(places)), nan
    if r >= FEWEST:
        half = float(stdtrit(r - 1, (1 + LEVEL) / 2) * np.std(places, ddof=1) / sqrt(r))
    return mean, mean - half, mean + half


def _theory(row: pd.DataFrame, name: str) -> tuple[float, float]:
    """Finite-d and asymptotic gamma_sigma2 of a boundary; nan where theory has none, or c does not follow sigma2."""
    task, width = task_config_of(row.iloc[0]), float(row["width"].iloc[0])
    (shift, _), decay, base = shifts(row), decays(row), log(task.scale)
    if not (np.ptp(shift) <= SAME and np.ptp(decay) <= SAME) or (decay[0] > 0 and name not in _ENDS.values()):
        return nan, nan
    finite, limit = _of_equal_layers(task, width, row, name)
    if decay[0] > 0:  # modes of S end at S - l
        left = width * exp(base * finite) - decay[0]
        finite = log(left / width) / base if left > 0 else nan
    # How the limit of large d is approached depends on whether the knobs are told as numbers or as powers of d.
    return finite - shift[0] / base, limit if shift[0] == 0 == decay[0] else nan


def _of_equal_layers(task: TaskConfig, width: float, row: pd.DataFrame, name: str) -> tuple[float, float]:
    gamma_w = np.log([width]) / np.log(task.scale)  # of the truncated width
    if name in _PATHS.values():
        # Theory's places are those of square isotropic tasks and infinite width.
        if width < task.dimension or task.shape != (task.dimension, task.dimension) or not task.isotropic:
            return nan, nan
        c = _path_threshold(name, float(task.dimension), float(task.rank), task.noise, task.signal_norm)
        return float(np.log(c) / np.log(task.scale) - gamma_w[0]), 1 - float(gamma_w[0])
    lines = boundaries_of_task(task, gamma_w, draw_seed(task, row.iloc[0]))
    places = {line.asymptotic: float(line.gamma_sigma2[0]) for line in lines if line.name == name}
    return places.get(False, nan), places.get(True, nan)


@lru_cache(maxsize=64)
def _path_threshold(name: str, dimension: float, rank: float, noise: float, signal_norm: float | None) -> float:
    """The threshold c at which theory has a boundary of the path, at infinite width; nan where it has none."""
    try:
        task = TypicalTask(dimension, rank, noise, signal_norm)
    except LinphaseError:  # a noise that is lost in the rounding of the signal
        return nan
    return _PATH_THRESHOLDS[name](task)


# --- As tables -------------------------------------------------------------------------------------------------------

_TEXTS = {inf: "above grid", -inf: "below grid"}


def as_table(found: Sequence[MeasuredBoundary]) -> pd.DataFrame:
    """Boundaries as a table, a row each and a column a facet.

    Of a boundary beyond the grid gamma_sigma2 is nan, and `note` tells on which side.
    """
    facets = dict.fromkeys(column for one in found for column, _ in one.facet)
    names = ["boundary", *facets, *(each.name for each in fields(MeasuredBoundary) if each.name not in _UNTABLED)]
    rows = []
    for one in found:
        row = {
            "boundary": one.name,
            **dict(one.facet),
            **vars(one),
            "note": one.note or _TEXTS.get(one.gamma_sigma2, ""),
        }
        rows.append([nan if isinstance(row[name], float) and isinf(row[name]) else row[name] for name in names])
    return pd.DataFrame(rows, columns=names)


_UNTABLED = ("name", "facet", "places")
INTERVAL = f"{LEVEL:.0%}".replace("%", " %")
COLUMNS = ("gamma_w", "width", "gamma_sigma2", INTERVAL, "step", "converged", "theory", "d to infinity", "note")


def blocks(found: Sequence[MeasuredBoundary]) -> Iterator[tuple[str, Facet, list[MeasuredBoundary]]]:
    """The boundaries of one name and facet after another."""
    for name, facet in dict.fromkeys((each.name, each.facet) for each in found):
        yield name, facet, [each for each in found if (each.name, each.facet) == (name, facet)]


def table_row(boundary: MeasuredBoundary) -> tuple[str, ...]:
    """A boundary as texts under COLUMNS: "below grid" or "above grid" where it is infinite, "-" where it is nan."""
    return (
        f"{boundary.gamma_w:.3f}",
        str(boundary.width),
        _place(boundary.gamma_sigma2),
        "" if isnan(boundary.low) else f"{_place(boundary.low)} to {_place(boundary.high)}",
        "" if isnan(boundary.grid_step) else f"{boundary.grid_step:.3f}",
        "-" if isnan(boundary.converged) else f"{floor(100 * boundary.converged)} %",
        _place(boundary.finite_d),
        _place(boundary.asymptotic),
        boundary.note,
    )


def filled(rows: Sequence[Sequence[str]]) -> list[int]:
    """The places of the columns that tell something: not empty, not "-", and not all converged."""
    return [i for i, column in enumerate(zip(*rows, strict=True)) if set(column) - {"", "-", "100 %"}]


def untold(found: Sequence[MeasuredBoundary]) -> str | None:
    """How many boundaries lack runs beside their crossing; None where none does."""
    without = [each for each in found if each.replicates < each.configured_replicates]
    lacking = [each for each in without if each.unfinished]
    if lacking:
        return (
            f"{len(lacking)} of {len(found)} boundaries have no value or rest on fewer replicates than asked for: "
            "beside the crossing a run is missing, failed or diverged. linphase status counts them, linphase sweep "
            "trains what is missing"
        )
    if without:
        names = ", ".join(dict.fromkeys(each.name for each in without))
        return (
            f"{len(without)} of {len(found)} boundaries have no value or rest on fewer replicates than asked for: "
            f"runs beside the crossing are finished and have nothing that it is measured by ({names})"
        )
    return None


def _place(value: float) -> str:
    if isinf(value):
        return "above grid" if value > 0 else "below grid"
    return "-" if isnan(value) else f"{value:.3f}"

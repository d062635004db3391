"""Laws over an axis: by which power of it a boundary or a column goes, with an interval.

A point is the mean over replicates of ln y at one value of the axis, a law the weighted line through them in ln x. The
weight of a point is one over its variance; as few replicates tell little of it, the logarithm of the variance of one of
them is itself taken as a line in ln x, and the standard error of a point is at least FLOOR, the tolerance of the
numerics. Where the points are independent the interval is by Student's t with the degrees of freedom of all variances,
and bounds the slope of the line through the true means, straight or bent: chi2 tells which. Where they share their
draws, as over any axis but the dimension, every replicate has a slope of its own, and the interval is that of its mean.

Source: docs/theory.md, "Laws over the dimension".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import isfinite, log, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import chdtrc, digamma, polygamma, stdtrit

from linphase.config.keys import WIDTH_KEYS
from linphase.diagram.axes import Axis, axis_column, named_axis, span
from linphase.diagram.derived import DERIVED
from linphase.diagram.looks import Array, plainly
from linphase.diagram.measured import LEVEL, Facet, MeasuredBoundary, boundaries_of
from linphase.diagram.panels import UNFINISHED, Panel, find_panel
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts
from linphase.runs.records import AS_ASKED
from linphase.store.rows import decay_of, has_closed_form, task_config_of
from linphase.theory.asymptotic import TypicalTask, asymptotic_cell, local_slope

if TYPE_CHECKING:
    from linphase.store.results import Results

FLOOR = 0.0015  # of the standard error of a point
BENT = 0.01  # a line is called bent where so large a chi2 is less probable
WIDEST = log(2)  # steps of the grid in ln c, between which the place of a boundary can be interpolated
_DIMENSIONS = ("dimension", "output_dimension")
_TYPICAL = ("min_test_error", "time_at_min", "stable_rank_at_min", "benefit", "learning_order", "final_time")
_WIDE = 2.0  # log_d of the width from which on theory's infinite width stands for it


@dataclass(frozen=True)
class Point:
    """ln y of every replicate at one value x of the axis, and theory's; nan where theory has none."""

    x: float
    logs: Mapping[int, float]  # by replicate
    log_theory: float = nan

    @property
    def mean(self) -> float:
        """Over the replicates."""
        return float(np.mean(list(self.logs.values())))

    @property
    def error(self) -> float:
        """The standard error of the mean; nan of one replicate."""
        r = len(self.logs)
        return float(np.std(list(self.logs.values()), ddof=1) / sqrt(r)) if r > 1 else nan

    @property
    def half(self) -> float:
        """Half of the 95 % interval of the mean by Student's t; nan of one replicate."""
        r = len(self.logs)
        return float(stdtrit(r - 1, (1 + LEVEL) / 2)) * self.error if r > 1 else nan

    def over_theory(self) -> Point:
        """The same of y/theory."""
        return Point(self.x, {replicate: each - self.log_theory for replicate, each in self.logs.items()}, 0.0)


@dataclass(frozen=True)
class Line:
    """ln y = intercept + slope ln x, with the ends of the slope's 95 % interval; nan where nothing tells of it."""

    slope: float
    low: float
    high: float
    intercept: float
    freedom: float  # degrees of freedom of the interval
    chi2: float  # nan where the points share their draws, or have no standard errors
    chi2_freedom: int

    @property
    def bent(self) -> bool:
        """Whether the points do not lie on a line, so that the slope is that of the whole range and no exponent."""
        return self.chi2_freedom > 0 and bool(chdtrc(self.chi2_freedom, self.chi2) < BENT)


@dataclass(frozen=True)
class Law:
    """How a boundary or a column goes along an axis, everything else being held."""

    quantity: str  # the name of a boundary, or a column
    axis: str  # the column of the axis, or the name of a derived one
    held: Facet
    points: tuple[Point, ...]
    line: Line | None  # of ln y; None of less than two points
    over_theory: Line | None = None  # of ln(y/theory)
    theory: float = nan  # the slope of the same line through theory's numbers
    local: float = nan  # theory's slope at the largest x alone
    note: str = ""


# --- The weighted line -----------------------------------------------------------------------------------------------


def weighted_line(
    x: ArrayLike, means: ArrayLike, errors: ArrayLike, replicates: Sequence[int], *, floor: float = FLOOR
) -> Line:
    """The line through independent means (n,) at x (n,), of which each has a standard error and a number of replicates.

    errors of a single replicate are nan; with single ones alone all points have one weight, and the interval is by
    their scatter, with n - 2 degrees of freedom.
    """
    places, heights = np.asarray(x, np.float64), np.asarray(means, np.float64)
    count = np.asarray(replicates, np.float64)
    if not np.any(count > 1):
        return _by_scatter(places, heights)
    freedom = _freedom(count)
    errors = _smoothed_errors(places, np.asarray(errors, np.float64), count, floor)
    slope_of, intercept_of, error = _weights(places, errors)
    slope, intercept = float(slope_of @ heights), float(intercept_of @ heights)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    chi2 = float(np.sum(((heights - intercept - slope * places) / errors) ** 2))
    return Line(slope, slope - half, slope + half, intercept, freedom, chi2, len(places) - 2)


def _freedom(count: Array) -> float:
    """How many degrees of freedom the smoothed variances have together.

    The logarithm of a variance with f degrees of freedom has the variance trigamma(f/2), the best estimate of it 2/f.
    """
    return float(np.sum(2 / polygamma(1, (count[count > 1] - 1) / 2)))


def _weights(x: Array, errors: Array) -> tuple[Array, Array, float]:
    """What the heights are multiplied by for the slope and for the intercept, and the standard error of the slope."""
    weight = errors**-2.0
    middle = float(np.average(x, weights=weight))
    spread = float(np.sum(weight * (x - middle) ** 2))
    slope: Array = weight * (x - middle) / spread
    return slope, weight / weight.sum() - middle * slope, spread**-0.5


def _smoothed_errors(x: Array, errors: Array, count: Array, floor: float) -> Array:
    """Standard errors of the means (n,), the logarithm of the variance of one replicate taken as a line in x.

    The logarithm of a variance estimated with f degrees of freedom has the mean digamma(f/2) - log(f/2) above that of
    the true one, and the variance 2/f or so.
    """
    known = count > 1
    half = (count[known] - 1) / 2
    variance = np.maximum(errors[known] ** 2 * count[known], max(1e-300, 0.01 * floor**2))
    logs = np.log(variance) - (digamma(half) - np.log(half))
    fitted = np.polyfit(x[known], logs, min(1, int(known.sum()) - 1), w=np.sqrt(half))
    found: Array = np.sqrt(np.exp(np.polyval(fitted, x)) / count)
    return np.maximum(found, floor)


def _by_scatter(x: Array, y: Array) -> Line:
    slope_of, intercept_of, scale = _weights(x, np.ones_like(x))
    slope, intercept, freedom = float(slope_of @ y), float(intercept_of @ y), len(x) - 2
    half = nan
    if freedom > 0:
        scatter = sqrt(float(np.sum((y - intercept - slope * x) ** 2)) / freedom)
        half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * scatter * scale
    return Line(slope, slope - half, slope + half, intercept, freedom, nan, 0)


def _by_replicate(x: Array, logs: Array, *, floor: float) -> Line:
    """The mean of the slopes of every replicate, logs (replicates, points): these share their draws over the points."""
    r = len(logs)
    errors = _smoothed_errors(x, np.std(logs, axis=0, ddof=1) / sqrt(r), np.full(len(x), float(r)), floor)
    slope_of, intercept_of, _ = _weights(x, errors)
    slopes = logs @ slope_of
    error = max(float(np.std(slopes, ddof=1)) / sqrt(r), floor * float(np.linalg.norm(slope_of)))
    slope, half = float(slopes.mean()), float(stdtrit(r - 1, (1 + LEVEL) / 2)) * error
    return Line(slope, slope - half, slope + half, float((logs @ intercept_of).mean()), r - 1, nan, 0)


def fit(points: Sequence[Point], *, shared: bool) -> Line | None:
    """The line through points in ln x; None of less than two.

    shared: whether the draws of one replicate hang together over the points.
    """
    if len(points) < 2:
        return None
    x = np.log([point.x for point in points])
    common = [i for i in points[0].logs if all(i in point.logs for point in points)]
    if shared and len(common) > 1:
        return _by_replicate(x, np.array([[point.logs[i] for point in points] for i in common]), floor=FLOOR)
    return weighted_line(x, [p.mean for p in points], [p.error for p in points], [len(p.logs) for p in points])


def _law(quantity: str, axis: str, held: Facet, points: Sequence[Point], shared: bool, note: str) -> Law:
    """The law through some points, of which those that theory has a number for are set against it."""
    ordered = tuple(sorted(points, key=lambda point: point.x))
    line = fit(ordered, shared=shared)
    told = bool(ordered) and all(isfinite(point.log_theory) for point in ordered)
    over = fit([point.over_theory() for point in ordered], shared=shared) if told else None
    slope = line.slope - over.slope if line and over else nan
    if line is not None and line.bent:
        note = "; ".join(filter(None, (note, "bent: a slope of the whole range, no exponent")))
    return Law(quantity, axis, held, ordered, line, over, slope, note=note)


# --- The axis --------------------------------------------------------------------------------------------------------


def _axis(option: str, asked: str, results: Results) -> str:
    """The key or derived name of an axis along which a power law can be asked for.

    Raises LinphaseError where there is none, or it has no logarithm.
    """
    key = named_axis(option, asked, results.axes)
    if key in DERIVED:
        return key
    column = axis_column(key)
    if column.startswith("gamma"):
        other = "width/d" if column in WIDTH_KEYS else "c"
        raise LinphaseError(
            f"{option}: an axis of positive numbers is required, found {asked}, which is an exponent. Use {other}"
        )
    values = Axis.of(key, results.axes[key]).kept
    if any(not isinstance(value, int | float) or not value > 0 for value in values):
        raise LinphaseError(
            f"{option}: an axis of positive numbers is required, found {asked} = {', '.join(map(plainly, values))}. "
            "Choose another, or leave values out with linphase plot --where"
        )
    if len(values) < 2:
        raise LinphaseError(
            f"{option}: an axis with several values is required, found {asked} = {plainly(values[0])} alone. Sweep "
            "more of them into the same directory"
        )
    return key


def shared_draws(runs: pd.DataFrame, axis: str) -> bool:
    """Whether the draws of a replicate hang together along an axis: all do but those of independent dimensions."""
    independent = "independent_dimensions" in runs and bool(runs["independent_dimensions"].fillna(False).all())
    return axis not in _DIMENSIONS or not independent


def of_shared_dimensions(results: Results, axis: str) -> str | None:
    """What has to be said of a law over the dimension whose draws are not independent; None of others."""
    if axis not in _DIMENSIONS or not shared_draws(results.runs, axis):
        return None
    return (
        "run.independent_dimensions is false: tasks and starts of different dimensions share their leading entries, "
        "so the points of a line err together; sweep with it true, into another directory"
    )


# --- Of boundaries ---------------------------------------------------------------------------------------------------


def laws_of_boundaries(results: Results, axis: str, cuts: Cuts = Cuts()) -> list[Law]:
    """The threshold c at each measured boundary along an axis, and over theory's.

    Parameters
    ----------
    axis
        One of the sweep's with several values, by its key or column, or width/d.

    Raises
    ------
    LinphaseError
        If it is none of these, or the results have no boundaries.
    """
    column = _column_of(_axis("fit", axis, results))
    if column not in ("width", "width/d") and column in (*DERIVED, "init_variance"):
        raise LinphaseError(
            f"fit: an axis of the sweep, a width, or width/d is required, found {axis!r}: a boundary lies at one c. "
            "Example: --fit task.dimension"
        )
    shared = shared_draws(results.runs, column)
    groups: dict[tuple[str, Facet], list[MeasuredBoundary]] = {}
    for one in boundaries_of(results, cuts):
        groups.setdefault((one.name, _held_by(one, column, results)), []).append(one)
    return [_of_boundary(name, column, held, found, shared) for (name, held), found in groups.items()]


def _column_of(key: str) -> str:
    return key if key in DERIVED else axis_column(key)


def _held_by(one: MeasuredBoundary, axis: str, results: Results) -> Facet:
    """What tells a boundary from those of other laws."""
    held = [(column, value) for column, value in one.facet if column != axis]
    if axis not in ("width", "width/d"):
        width = next(key for key in results.axes if key in WIDTH_KEYS)
        held.append((width, getattr(one, width)))
    return tuple((column, value) for column, value in held if _varies(column, results))


def _varies(column: str, results: Results) -> bool:
    return any(axis_column(key) == column and len(values) > 1 for key, values in results.axes.items())


def _of_boundary(name: str, axis: str, held: Facet, found: Sequence[MeasuredBoundary], shared: bool) -> Law:
    """The law of one boundary; a place that not all replicates tell, or far from its cells, is none of its points."""
    there = [one for one in found if one.places and isfinite(one.log_offset)]
    near = [one for one in there if one.log_step <= WIDEST]
    lost, far = len(found) - len(there), len(there) - len(near)
    told = {
        f"{lost} of {len(found)} points lack replicates or lie beyond the grid": lost,
        f"{far} of {len(found)} lie between cells more than a factor of 2 in c apart": far,
    }
    points = [
        Point(
            _place(one, axis),
            {i: one.log_threshold(place) for i, place in enumerate(one.places)},
            one.log_threshold(one.finite_d),
        )
        for one in near
    ]
    return _law(name, axis, held, points, shared, "; ".join(text for text, count in told.items() if count))


def _place(one: MeasuredBoundary, axis: str) -> float:
    if axis == "width":
        return float(one.width)
    return one.width / one.scale if axis == "width/d" else float(dict(one.facet)[axis])  # type: ignore[arg-type]


# --- Of columns ------------------------------------------------------------------------------------------------------


def laws_of_panel(results: Results, panel: str, axis: str, by: str | None = None, cuts: Cuts = Cuts()) -> list[Law]:
    """A panel's column along an axis, a law for each combination of the other axes' values.

    Parameters
    ----------
    panel
        One that draws positive numbers.
    axis
        One of the sweep's with several values, by its key or column, or a derived one, such as width/d.
    by
        The axis that tells the laws apart, in place of those that it follows from, such as c of variance and width;
        by default all further axes do.

    Raises
    ------
    LinphaseError
        If there is no such axis or panel, or it has no numbers to take logarithms of.
    """
    key = _axis("along", axis, results)
    one = find_panel(panel, cuts, results.runs, results.columns)
    if one.column is None or one.scale == "outcome" or one.statistic != "mean":
        raise LinphaseError(f"panel {panel}: shows no numbers, so no law can be drawn along {axis}. Choose another one")
    upwards = None if by is None else named_axis("y", by, results.axes)
    spanned = span(results.runs, results.axes, x=key, y=upwards)
    replaced = DERIVED[key].replaces if key in DERIVED else ()
    along = Axis.of(key, spanned.pop(key))
    asked = {each: values for each, values in spanned.items() if each == upwards or each not in replaced}
    others = [axis for axis in (Axis.of(each, values) for each, values in asked.items()) if len(axis.kept) > 1]
    runs = results.runs.assign(along=along.index(results.runs))
    cells = list(product(*(range(len(other.kept)) for other in others)))
    places = [other.index(runs) for other in others]
    laws = []
    for cell in cells:
        here = along.index(runs) >= 0
        for place, i in zip(places, cell, strict=True):
            here &= place == i
        held = [(other.name, other.kept[i]) for other, i in zip(others, cell, strict=True)]
        laws.append(_of_column(one, along, tuple(held), runs[here]))
    laws = [law for law in laws if law.points]
    if not laws:
        raise LinphaseError(
            f"panel {panel}: no finished run has a number above 0 in the column {one.column}, so no law can be drawn "
            f"along {axis}. Choose another one"
        )
    return laws


def _of_column(panel: Panel, along: Axis, held: Facet, runs: pd.DataFrame) -> Law:
    """One law; a point at which a run has no number is none: which have one may hang on the number."""
    axis, column = along.name, str(panel.column)
    points, without, values = [], 0, runs[column].to_numpy(dtype=np.float64, na_value=np.nan)
    ended = ~runs["status"].isin(UNFINISHED).to_numpy(dtype=bool)
    runs = runs.assign(log=np.log(np.where(ended & (values > 0), values, np.nan)))
    found = sorted(set(runs["along"].tolist()))
    for place in found:
        part = runs[runs["along"] == place]
        if part["log"].isna().any():
            without += 1
            continue
        means = part.groupby("replicate")["log"].mean()
        logs = {int(replicate): float(each) for replicate, each in zip(means.index, means, strict=True)}
        theory = _typical(part.iloc[0], column)
        log_theory = log(theory) if theory is not None and theory > 0 else nan
        points.append(Point(float(along.positions[place]), logs, log_theory))
    strayed = int((ended & ~runs["status"].isin(AS_ASKED).to_numpy(dtype=bool)).sum())
    told = {
        f"{without} of {len(found)} points left out: a run has no number above 0": without,
        f"{strayed} of {len(runs)} runs did not end as asked": strayed,
    }
    law = _law(column, axis, held, points, shared_draws(runs, axis), "; ".join(t for t, count in told.items() if count))
    return replace(law, local=_local(runs, law, column))


def _typical(run: pd.Series[Any], column: str) -> float | None:
    """Theory's number in a column for large d and width, no matrix drawn; None where it has none."""
    task = _typical_task(run, column)
    return None if task is None else _typical_value(task, _gamma_sum(run), column)


@lru_cache(maxsize=4096)
def _typical_value(task: TypicalTask, gamma_sum: float, column: str) -> float | None:
    return getattr(asymptotic_cell(task, gamma_sum), column) if -3 <= gamma_sum <= 3 else None


def _typical_task(run: pd.Series[Any], column: str) -> TypicalTask | None:
    """The typical task of a run, where its training is equation (1)'s from A = 0 on a square isotropic task."""
    task = task_config_of(run)
    d = float(task.dimension)
    usual = column != "final_time" or run.get("stop_train_error") == 1e-3  # the stop of theory's cells
    wide = float(run["width"]) >= d**_WIDE * (1 - 1e-9)
    white = task.isotropic and task.shape == (task.dimension, task.dimension) and task.rank > 0
    if not (column in _TYPICAL and usual and wide and white and has_closed_form(run) and decay_of(run) == 0):
        return None
    try:
        return TypicalTask(d, float(task.rank), task.noise, task.signal_norm)
    except LinphaseError:  # a noise that is lost in the rounding of the signal
        return None


def _gamma_sum(run: pd.Series[Any]) -> float:
    return float(np.log(run["threshold"]) / np.log(task_config_of(run).scale))


def _local(runs: pd.DataFrame, law: Law, column: str) -> float:
    """Theory's slope at the largest d alone, where c = d^gamma_sum all along."""
    if law.axis != "dimension" or not law.points or not all(isfinite(point.log_theory) for point in law.points):
        return nan
    sums = [_gamma_sum(run) for _, run in runs.drop_duplicates("dimension").iterrows()]
    last = runs.sort_values("dimension").iloc[-1]
    task = _typical_task(last, column)
    if task is None or np.ptp(sums) > 1e-3:
        return nan
    return local_slope(task, _gamma_sum(last), lambda cell: getattr(cell, column))

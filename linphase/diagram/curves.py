"""Curves: what a panel shows along one axis of a grid, with intervals over replicates, theory and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from linphase.diagram.axes import Facet, Window, over_axes, several, split_facets
from linphase.diagram.cells import cells_of
from linphase.diagram.looks import Array, plainly
from linphase.diagram.measured import FEWEST, LEVEL
from linphase.diagram.measured import Facet as Held
from linphase.diagram.panels import UNFINISHED, Panel, holds
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts

MOST = 10  # curves in a figure, told apart by lightness and by their marks


@dataclass(frozen=True)
class Curve:
    """A panel's numbers at the n places of an axis, everything else being held; nan where there is none."""

    held: Held  # values of the further axes that have several, by column
    x: Array  # (n,) positions on the axis
    mean: Array  # (n,) over the replicates, as a diagram shows it
    low: Array  # (n,) ends of the 95 % interval of the mean, on a log scale of its logarithm; nan of fewer than three
    high: Array
    replicates: NDArray[np.intp]  # (n,) with a number
    theory: Array  # (n,) the mean of theory's predictions
    unconverged: NDArray[np.bool_]  # (n,) whether a replicate did not end as asked
    baselines: Mapping[str, Array] = field(default_factory=dict)  # what the number is to be held against, (n,) each


def curves_of(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: Panel,
    cuts: Cuts = Cuts(),
    predicted: pd.DataFrame | None = None,
) -> list[Curve]:
    """The curves of a panel of numbers along the first axis, one for each combination of the further axes' values.

    Parameters
    ----------
    runs, axes
        Of `Results`, the axes with that first along which the curves go, as `span` puts them.
    panel
        Of `find_panel`.
    cuts
        What turns shares into regimes.
    predicted
        Theory's runs, of `linphase.diagram.versus.predictions_of`.

    Raises
    ------
    LinphaseError
        If the first axis has a single value, there are more than MOST curves, or no number at all.

    Examples
    --------
    >>> axes = span(results.runs, results.axes, x="width")
    >>> (curve,) = curves_of(results.runs, axes, find_panel("test-error", Cuts(), results.runs))
    >>> curve.x, curve.mean, curve.high - curve.mean
    """
    check_curves(axes)
    window = Window.of(axes)
    told = not panel.unpredicted and predicted is not None and holds(predicted, panel)
    others = over_axes(predicted, axes) if told and predicted is not None else runs.iloc[:0]
    sides = zip(split_facets(runs, axes), split_facets(others, axes), strict=True)
    every = [one for facet, its in sides for one in _curves_of_facet(facet, its, window, panel, cuts)]
    varied = {column for column in every[0][0] if len({held[column] for held, _ in every}) > 1}
    found = [
        replace(curve, held=tuple((column, value) for column, value in held.items() if column in varied))
        for held, curve in every
        if np.isfinite(curve.mean).any()
    ]
    if not found:
        raise LinphaseError(
            f"panel {panel.name}: a number in some run is required to draw a curve along {window.x.name}, found none. "
            "Choose another one"
        )
    return found


def check_curves(axes: Mapping[str, Sequence[Any]]) -> None:
    """Raise LinphaseError where the first axis has one value, or the further ones make too many curves."""
    along, *others = axes
    if len(axes[along]) < 2:
        raise LinphaseError(
            f"along: an axis with several values is required, found {along} = {plainly(axes[along][0])} alone. Sweep "
            "more of them into the same directory, or leave more with where"
        )
    further = {key: axes[key] for key in several(axes) if key in others}
    count = int(np.prod([len(values) for values in further.values()]))
    if count > MOST:
        key, values = max(further.items(), key=lambda item: len(item[1]))
        raise LinphaseError(
            f"along: at most {MOST} curves are drawn, found {count}, of {' and '.join(further)}. Choose some values, "
            f"such as --where {key}={plainly(values[len(values) // 2])}, in Python "
            f"where={{{key!r}: {plainly(values[len(values) // 2])}}}"
        )


def _curves_of_facet(
    facet: Facet, predicted: Facet, window: Window, panel: Panel, cuts: Cuts
) -> Iterator[tuple[dict[str, Any], Curve]]:
    """A curve for each value of the second axis, and all that is held along it, by column."""
    cells = cells_of(facet.runs, window, panel, cuts)
    theory = cells_of(predicted.runs, window, panel, cuts).numbers
    numbers = cells.numbers.copy()
    for stand_in in cells.stand_ins:  # it shows its neighbour's number
        numbers[stand_in] = theory[stand_in] = np.nan
    low, high, count = _intervals(facet.runs, window, panel)
    unconverged = np.full(numbers.shape, cells.all_unconverged)
    for cell in cells.unconverged:
        unconverged[cell] = True
    marks = {name: _statistics(facet.runs, window, column)[0] for name, column in panel.marks if column in facet.runs}
    for row, value in enumerate(window.y.kept):
        yield (
            facet.values | {window.y.name: value},  # noqa: PD011, of a Facet
            Curve(
                (),
                window.x.positions,
                numbers[row],
                low[row],
                high[row],
                count[row],
                theory[row],
                unconverged[row],
                {name: mark[row] for name, mark in marks.items()},
            ),
        )


def _intervals(runs: pd.DataFrame, window: Window, panel: Panel) -> tuple[Array, Array, NDArray[np.intp]]:
    """The ends of the 95 % interval of each cell's mean, (rows, columns), and how many replicates have a number."""
    shape = (len(window.y.kept), len(window.x.kept))
    if panel.statistic != "mean" or panel.column is None:
        return np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, dtype=np.intp)
    ended = runs[~runs["status"].isin(UNFINISHED)]
    mean, deviation, count = _statistics(ended, window, panel.column)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = stdtrit(count - 1, (1 + LEVEL) / 2) * deviation / np.sqrt(count)
        half = np.where(count >= FEWEST, half, np.nan)
        low, high = mean - half, mean + half
        if panel.scale == "log":  # that of the logarithm of the mean, whose deviation is half/mean to first order
            factor = np.exp(half / mean)
            low, high = np.where(mean > 0, mean / factor, low), np.where(mean > 0, mean * factor, high)
        if panel.scale == "share":  # no share lies beyond
            low, high = np.maximum(low, 0.0), np.minimum(high, 1.0)
        if panel.scale == "ln":
            low, high = np.log(np.where(low > 0, low, np.nan)), np.log(high)
    return low, high, count.astype(np.intp)


def _statistics(runs: pd.DataFrame, window: Window, column: str) -> tuple[Array, Array, Array]:
    """Mean, standard deviation and number of the values of each cell, (rows, columns)."""
    shape = (len(window.y.kept), len(window.x.kept))
    places = [window.y.index(runs), window.x.index(runs)]
    values = pd.Series(runs[column].to_numpy(dtype=np.float64, na_value=np.nan))
    on_it = (places[0] >= 0) & (places[1] >= 0)
    grouped = values[on_it].groupby([place[on_it] for place in places]).agg(["mean", "std", "count"])
    found = np.full((3, *shape), np.nan)
    found[2] = 0
    rows, columns = (grouped.index.get_level_values(level).to_numpy() for level in (0, 1))
    found[:, rows, columns] = grouped.to_numpy(dtype=np.float64).T
    return found[0], found[1], found[2]

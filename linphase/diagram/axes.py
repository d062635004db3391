"""The axes of a grid in a figure: two that span a diagram, the further ones as facets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import product
from math import prod
from typing import Any
from warnings import warn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.derived import DERIVED, START, Derived
from linphase.diagram.facts import FACTS
from linphase.diagram.looks import Array, plainly
from linphase.diagram.names import held_name, held_text
from linphase.errors import LinphaseError, Note
from linphase.store.asked import asked_table
from linphase.store.columns import for_keys
from linphase.store.results import Results, spanning_first

MAX_FACETS = 36
_UNEVEN = 5  # gaps between values


@dataclass(frozen=True)
class Axis:
    """One axis: its stored values in the order they are drawn, and where their cells end."""

    column: str
    kept: tuple[Any, ...]  # the distinct stored values
    logarithmic: bool
    positions: Array  # (n,)
    edges: Array  # (n + 1,)
    derived: Derived | None = None  # not of the grid, but following from it
    side_by_side: bool = False  # words, and numbers that no scale spaces well: positions are places, from 0

    @classmethod
    def of(cls, key: str, values: Sequence[Any]) -> Axis:
        column = axis_column(key)
        stored = [as_stored(value) for value in values]
        numeric = not any(isinstance(value, str) for value in stored)
        kept = sorted(set(stored)) if numeric else list(dict.fromkeys(stored))
        derived = DERIVED.get(key)
        an_exponent = column.startswith("gamma")
        side_by_side = not numeric or not (derived or an_exponent or kept[0] > 0 or not _crowded(kept))
        positions = np.array(range(len(kept)) if side_by_side else kept, dtype=np.float64)
        logarithmic = not (side_by_side or an_exponent) and bool(positions[0] > 0)
        if logarithmic and column not in ("init_variance", "width") and derived is None:
            logarithmic = _spread_over_decades(positions)
        edges = cell_edges(positions, logarithmic=logarithmic)
        return cls(column, tuple(kept), logarithmic, positions, edges, derived, side_by_side)

    def index(self, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Place of each run on this axis; -1 for a run that is not on it, as where theory lacks a plugin's key."""
        if self.derived is None and self.column not in runs:
            return np.full(len(runs), -1, dtype=np.intp)
        values = runs[self.column] if self.derived is None else self.derived.of(runs)
        places = {value: i for i, value in enumerate(self.kept)}
        codes, distinct = pd.factorize(values)  # a value that is missing has the code -1, so it is the last
        found = [places.get(as_stored(value), -1) for value in (*distinct, None)]
        return np.array(found, dtype=np.intp)[codes]

    @property
    def name(self) -> str:
        """The name of a derived axis, the column of any other."""
        return self.derived.name if self.derived else self.column

    @property
    def few(self) -> bool:
        """Whether every value gets a tick of its own."""
        several = len(self.kept) > 1
        return self.side_by_side or (len(self.kept) <= 5 and not (several and self._runs_on))

    @property
    def _runs_on(self) -> bool:
        return self.derived is not None or self.column.startswith("gamma")


@dataclass(frozen=True)
class Window:
    """The two axes of a diagram: the first of a mapping across, the second upwards."""

    x: Axis
    y: Axis

    @classmethod
    def of(cls, axes: Mapping[str, Sequence[Any]]) -> Window:
        if len(axes) < 2:
            raise LinphaseError(f"a phase diagram needs two axes, found {len(axes)}: {', '.join(axes) or 'none'}")
        first, second = (Axis.of(key, values) for key, values in list(axes.items())[:2])
        return cls(first, second)

    @property
    def of_starts(self) -> bool:
        """Whether a variance lies across and a width upwards, as in the paper."""
        return self.x.column in VARIANCE_KEYS and self.y.column in WIDTH_KEYS

    @property
    def derived(self) -> bool:
        """Whether an axis follows from the grid: then its values may have gaps where the grid has none."""
        return self.x.derived is not None or self.y.derived is not None


def _crowded(values: Sequence[float]) -> bool:
    """Whether ascending values, some of which are no positive ones, are spaced too unevenly for a linear axis."""
    gaps = np.diff(values)
    return bool(len(gaps) > 1 and gaps.max() > _UNEVEN * gaps.min())


def _spread_over_decades(positions: Array) -> bool:
    """Whether positive values are more evenly spaced by their ratios than by their differences; two: far apart."""
    if len(positions) < 3:
        return bool(positions[-1] >= 50 * positions[0])
    uneven = [float(gaps.max() / gaps.min()) for gaps in (np.diff(np.log(positions)), np.diff(positions))]
    return uneven[0] < uneven[1]


def cell_edges(positions: Array, *, logarithmic: bool = False) -> Array:
    """Edges half way between neighbouring cells, on a log axis geometrically; a lone cell gets unit width."""
    if logarithmic:
        return np.asarray(10.0 ** cell_edges(np.log10(positions)))
    if len(positions) == 1:
        return np.array([positions[0] - 0.5, positions[0] + 0.5])
    middle = (positions[1:] + positions[:-1]) / 2
    return np.concatenate([[2 * positions[0] - middle[0]], middle, [2 * positions[-1] - middle[-1]]])


def axis_column(key: str) -> str:
    """The column of an axis; its last part where a plugin that is not here has declared it."""
    dotted = key if "." in key else f"grid.{key}"
    columns = {known: column for column, (known, _) in for_keys().items()}
    return columns.get(dotted, dotted.rpartition(".")[2])


def as_stored(value: Any) -> Any:
    """An axis value as the runs table holds it, so that the two can be compared; fractions to 12 digits."""
    if isinstance(value, Mapping):  # a rule with a number, such as {paper: 5}
        return "/".join(f"{name}/{repr(number).removesuffix('.0')}" for name, number in value.items())
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if pd.isna(value):
        return None
    return float(value) if float(value).is_integer() else float(f"{value:.12g}")


@dataclass(frozen=True)
class Facet:
    """The runs of one combination of the third and further axes."""

    runs: pd.DataFrame
    values: dict[str, Any] = field(default_factory=dict)  # by column
    named: dict[str, Any] = field(default_factory=dict)  # those that its title names

    @property
    def title(self) -> str:
        """What names it in a figure, with mathematics."""
        return held_name(self.named.items())

    @property
    def plain(self) -> str:
        """What names it in a text."""
        return held_text(self.named.items())


def split_facets(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> list[Facet]:
    """The runs of each combination of the third and further axes, named by what `facts` does not tell of all.

    Parameters
    ----------
    runs, axes
        Of `Results`.

    Raises
    ------
    LinphaseError
        If there are more than MAX_FACETS.
    """
    further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
    count = prod(len(axis.kept) for axis in further)
    if count > MAX_FACETS:
        raise LinphaseError(
            f"the axes beyond the first two ({', '.join(a.column for a in further)}) make {count} facets; "
            f"one figure holds at most {MAX_FACETS}. {_fewer(further)}"
        )
    places = [axis.index(runs) for axis in further]
    facets = []
    for cell in product(*(range(len(axis.kept)) for axis in further)):
        here = np.ones(len(runs), dtype=bool)
        for place, i in zip(places, cell, strict=True):
            here &= place == i
        values = {axis.column: axis.kept[i] for axis, i in zip(further, cell, strict=True)}
        named = {column: value for column, value in values.items() if column in named_columns(axes)}
        facets.append(Facet(runs[here], values, named))
    return facets


def named_columns(axes: Mapping[str, Sequence[Any]]) -> set[str]:
    """The columns that name a facet: of the further axes those that `facts` does not tell of all runs."""
    further = (Axis.of(key, values) for key, values in list(axes.items())[2:])
    return {axis.column for axis in further if len(axis.kept) > 1 or axis.column not in FACTS}


def off_axes(others: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> list[Axis]:
    """The axes on which runs that others are set against all have one value of their own, or none.

    So does theory, which knows nothing of how a network is trained, on those of the training; but not on that of a
    stop on which the prediction hangs too. The start is never off its axis.
    """
    grid = [Axis.of(key, values) for key, values in axes.items() if key not in (*START, *DERIVED)]
    off = [axis for axis in grid if (axis.index(others) < 0).all()]
    return [axis for axis in off if axis.column not in others or len(others[axis.column].unique()) <= 1]


def over_axes(others: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Runs that others are set against, at every value of the axes that they are off."""
    for axis in off_axes(others, axes):
        others = pd.concat([others.assign(**{axis.column: value}) for value in axis.kept], ignore_index=True)
    return others


def _fewer(further: Sequence[Axis]) -> str:
    """What to do about too many facets."""
    axis = max(further, key=lambda each: len(each.kept))
    return (
        f"Draw some of them: linphase plot --where {axis.column}={plainly(axis.kept[0])} keeps one value of that axis, "
        "and --where can be repeated; in Python linphase.diagram.axes.select"
    )


def only_facet(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> str:
    """The title of the only facet; LinphaseError where there are several: a run over time has no place in them all."""
    facets = split_facets(runs, axes)
    if len(facets) > 1:
        further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
        choice = " ".join(f"--where {axis.column}={plainly(axis.kept[0])}" for axis in further if len(axis.kept) > 1)
        raise LinphaseError(
            f"runs over time are drawn of one facet, found {len(facets)}. Choose one, such as linphase plot {choice}"
        )
    return facets[0].title


Values = dict[str, list[Any]]  # of every axis, by its key


def span(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], x: str | None = None, y: str | None = None) -> Values:
    """The axes with those first that are to span the diagram: x across and y upwards.

    Those that are not named are the first with several values: a variance, a width (upwards), then as in the file. A
    derived axis is named only; the axes of the grid that it replaces make no facets.

    Parameters
    ----------
    runs, axes
        Of `Results`, or of `select`.
    x, y
        The key of an axis (task.rank), its column (rank), or a name of `linphase.diagram.derived.DERIVED`.

    Raises
    ------
    LinphaseError
        If there is no such axis, or both are one.

    Examples
    --------
    >>> results = dataclasses.replace(results, axes=span(results.runs, results.axes, x="c", y="task.noise"))
    """
    across, upwards = (
        None if asked is None else named_axis(option, asked, axes) for option, asked in (("x", x), ("y", y))
    )
    if across is not None and across == upwards:
        raise LinphaseError(f"y: must be another axis than the one across, found {y!r} for both")
    usual = spanning_first(axes)
    named = [key for key in (across, upwards) if key is not None]
    replaced = {key for name in named if name in DERIVED for key in DERIVED[name].replaces}

    varied = [key for key in several(usual) if key in replaced]

    def rank(key: str) -> tuple[bool, ...]:  # c takes the place of the variance first: the width is the other axis
        lone = len(usual[key]) == 1 or varied == [key]  # what alone decides the derived axis is none beside it
        return lone, key in replaced, key in replaced and key not in WIDTH_KEYS

    others = sorted((key for key in usual if key not in named), key=rank) if named else list(usual)
    spanning = [each if each is not None else others.pop(0) for each in (across, upwards)] if named else []
    left = [key for key in others if key not in replaced]
    spanned = {key: usual[key] if key in usual else _values_of(DERIVED[key], runs) for key in (*spanning, *left)}
    _warn_of_mixtures(runs, spanned, [key for key in others if key in replaced])
    return spanned


def several(axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """The keys of the axes with several values."""
    return [key for key, values in axes.items() if len(values) > 1]


def _warn_of_mixtures(runs: pd.DataFrame, axes: Values, replaced: Sequence[str]) -> None:
    """That one value of c comes of many variances and widths is what a diagram over c may be drawn to see."""
    varied = [column for column in map(axis_column, replaced) if column in runs and len(set(runs[column])) > 1]
    if not varied:
        return
    places = [Axis.of(key, values).index(runs) for key, values in axes.items()]
    kinds = runs[varied].groupby(places).nunique().max(axis=1)
    if mixed := int((kinds > 1).sum()):
        warn(
            f"{mixed} of {len(kinds)} cells hold runs that differ in {', '.join(varied)}; each shows their mean or "
            "majority. Choose a part of the runs with --where, in Python linphase.diagram.axes.select",
            stacklevel=3,
        )


def named_axis(option: str, asked: str, axes: Mapping[str, Sequence[Any]]) -> str:
    """The key of the axis that an option names, or the name of a derived one; LinphaseError where there is none."""
    if asked in DERIVED:
        return asked
    key = axis_called(asked, axes)
    if key is None:
        close = get_close_matches(asked, [*axes, *map(axis_column, axes), *DERIVED], n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise LinphaseError(
            f"{option}: must be an axis of the sweep, {', '.join(axes)}, or one that follows from them, "
            f"{', '.join(DERIVED)}, found {asked!r}{meant}"
        )
    return key


def _values_of(derived: Derived, runs: pd.DataFrame) -> list[Any]:
    """The distinct values of a derived axis, to 12 digits."""
    values = {as_stored(value) for value in derived.of(runs).tolist()} - {None}
    if 0 in values and len(values) > 1:
        warn(f"runs with {derived.name} = 0 have no place on its logarithmic axis, and are left out", stacklevel=4)
        values.remove(0)
    if not values:
        why = "there are none yet" if runs.empty else f"they do not have it: it follows from {derived.meaning}"
        raise LinphaseError(f"{derived.name}: an axis of what the runs have, and {why}")
    return sorted(values)


def selected(results: Results, where: Mapping[str, Any]) -> Results:
    """The part of some results where every key has one of its values; see `select`.

    What the part expects is cut in the same way: a run that was not chosen is not missing.

    Examples
    --------
    >>> selected(results, {"width": 4096, "task.rank": [2, 4]}).plot("test-error")
    """
    if not where:
        return results
    conditions = _conditions(results.runs, results.axes, where)
    further = {axis_column(key): key for key in results.axes if "." in key}
    asked = asked_table(results.asked.known, further)
    known = [(axis, chosen) for axis, chosen in conditions if axis.column in asked]
    told = [(axis, chosen) for axis, chosen in conditions if axis.column in results.failures]
    runs, axes = _kept(results.runs, results.axes, conditions)
    return replace(
        results,
        runs=runs,
        axes=axes,
        failures=results.failures[_meet(results.failures, told)],
        asked=results.asked.among(asked.loc[_meet(asked, known), "run_id"]),
    )


def select(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], where: Mapping[str, Any]
) -> tuple[pd.DataFrame, Values]:
    """The runs where every key has one of its values, and the axes with the values that are left.

    A number that is not on its axis takes the nearest value, in the logarithm where the axis has one, with a warning
    that says which. Four digits are enough, as titles have them.

    Parameters
    ----------
    runs, axes
        Of `Results`.
    where
        A value, or several, by the key of an axis (task.rank), a column (rank, width) or "replicate".

    Raises
    ------
    LinphaseError
        If there is no such key, no such word, or a number lies beyond the first or the last cell.
    """
    return _kept(runs, axes, _conditions(runs, axes, where))


Conditions = list[tuple["Axis", list[Any]]]  # values that are kept, by their axis


def _conditions(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], where: Mapping[str, Any]) -> Conditions:
    """`where` as values on axes; a column that is no axis is taken as one of the values that the runs have."""
    found = []
    for asked, values in where.items():
        key = axis_called(asked, axes)
        axis = _of_column(asked, runs, axes) if key is None else Axis.of(key, axes[key])
        several = values if isinstance(values, Iterable) and not isinstance(values, str | Mapping) else [values]
        found.append((axis, [_found(asked, value, axis) for value in several]))
    return found


def _of_column(asked: str, runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> Axis:
    column = axis_column(asked)
    if column not in runs:
        close = get_close_matches(asked, [*axes, *map(axis_column, axes), *runs.columns], n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise LinphaseError(
            f"where: a key must be an axis of the sweep, {', '.join(axes)}, a column of its runs, or replicate, found "
            f"{asked!r}{meant}"
        )
    values = runs[column].dropna().unique().tolist()
    if not values:
        raise LinphaseError(f"where: {asked} must have a value in some run, found none")
    return Axis.of(column, values)


def _kept(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], conditions: Conditions) -> tuple[pd.DataFrame, Values]:
    part = runs[_meet(runs, conditions)]
    chosen = {axis.column: values for axis, values in conditions}
    # A width may be chosen where the axis is gamma_w: then of an axis the values are left that a run still has.
    others = set(chosen) - {"replicate", *map(axis_column, axes)}
    kept: Values = {}
    for key, values in axes.items():
        left = set(chosen.get(axis_column(key), map(as_stored, values)))
        if others and len(part):
            places = Axis.of(key, values)
            left &= {places.kept[i] for i in places.index(part) if i >= 0}
        kept[key] = [value for value in values if as_stored(value) in left] or list(values)
    return part, kept


def _meet(rows: pd.DataFrame, conditions: Conditions) -> NDArray[np.bool_]:
    """Which rows have one of the values of every axis."""
    here = np.ones(len(rows), dtype=bool)
    for axis, values in conditions:
        here &= np.isin(axis.index(rows), [axis.kept.index(value) for value in values])
    return here


def axis_called(asked: str, axes: Iterable[str]) -> str | None:
    """The axis that is called so, by its key or its column."""
    columns = {axis_column(key): key for key in axes}
    return asked if asked in axes else columns.get(asked)


def _found(key: str, asked: Any, axis: Axis) -> Any:
    """The value on an axis that is meant: itself, as titles write it, or of numbers the nearest one."""
    value, on_it = as_stored(asked), axis.kept
    same = [each for each in on_it if each == value] or [each for each in on_it if plainly(each) == plainly(value)]
    if len(same) == 1:
        return same[0]
    listed = [plainly(each) for each in on_it]
    required = f"must be one of {', '.join(listed if len(listed) <= 12 else [*listed[:5], '...', *listed[-5:]])}"
    if value is None or any(isinstance(each, str) for each in (value, *on_it)):
        close = get_close_matches(str(asked), listed, n=1)
        raise LinphaseError(f"where: {key} {required}, found {asked}{f'; did you mean {close[0]}?' if close else ''}")
    numbers = np.array(on_it, dtype=np.float64)
    edges = cell_edges(numbers, logarithmic=axis.logarithmic)
    if not edges[0] <= value <= edges[-1]:
        raise LinphaseError(
            f"where: {key} {required}, found {asked}. A number from {plainly(edges[0])} to {plainly(edges[-1])}, where "
            "the outer cells end, takes the nearest"
        )
    away = np.log(numbers / value) if axis.logarithmic else numbers - value
    nearest = on_it[int(np.abs(away).argmin())]
    warn(f"{key} = {plainly(value)} is not on the grid; the nearest, {plainly(nearest)}, is taken", Note, stacklevel=2)
    return nearest

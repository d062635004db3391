"""A part of a sweep: the runs at some values of its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from linphase.errors import LinphaseError
from linphase.figures.axes import Axis, as_stored
from linphase.figures.style import plainly

Axes = dict[str, list[Any]]


def select(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], where: Mapping[str, Sequence[Any]]
) -> tuple[pd.DataFrame, Axes]:
    """The runs where every key has one of its values, and the axes with the values that are left.

    where: values by the key of an axis (task.rank), its column (rank) or "replicate". A number need not be given with
    more than four digits, as titles have it.

    Raises LinphaseError for a key that is no axis, and for a value that is not on it.
    """
    kept: Axes = {key: list(values) for key, values in axes.items()}
    here = np.ones(len(runs), dtype=bool)
    for asked, values in where.items():
        if asked == "replicate":
            on_it, wanted = sorted(set(runs["replicate"].tolist())), runs["replicate"]
            here &= wanted.isin([_found(asked, value, on_it) for value in values]).to_numpy(dtype=bool)
            continue
        key = _key(asked, axes)
        axis = Axis.of(key, axes[key])
        chosen = [_found(asked, value, axis.kept) for value in values]
        here &= np.isin(axis.index(runs), [axis.kept.index(value) for value in chosen])
        kept[key] = [value for value in axes[key] if as_stored(value) in chosen]
    return runs[here], kept


def _key(asked: str, axes: Mapping[str, Sequence[Any]]) -> str:
    columns = {Axis.of(key, values).column: key for key, values in axes.items()}
    key = asked if asked in axes else columns.get(asked)
    if key is None:
        raise LinphaseError(
            f"where: a key must be an axis of the sweep, {', '.join(axes)}, or replicate, found {asked!r}"
        )
    return key


def _found(key: str, asked: Any, on_it: Sequence[Any]) -> Any:
    """The value on an axis that is meant."""
    value = as_stored(asked)
    if value in on_it:
        return value
    same = [each for each in on_it if plainly(each) == plainly(value)]
    if len(same) != 1:
        shown = [plainly(each) for each in on_it]
        listed = ", ".join(shown if len(shown) <= 12 else [*shown[:5], "...", *shown[-5:]])
        raise LinphaseError(f"where: {key} must be one of {listed}, found {asked}")
    return same[0]

"""What a sweep is set against, cell by cell: theory, or another sweep; and what has to be said of the two."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.diagram.axes import Values, as_stored, axis_column
from linphase.diagram.derived import START, shifts
from linphase.diagram.looks import plainly
from linphase.diagram.mesh import Mesh, mesh_of
from linphase.diagram.versus import predictions_of
from linphase.dynamics.base import Dynamics
from linphase.errors import LinphaseError
from linphase.files import printable
from linphase.model.draws import TaskConfig
from linphase.model.starts import Init
from linphase.runs.spec import FAMILIES
from linphase.store.results import Results
from linphase.store.rows import TASK_COLUMNS, by_task
from linphase.theory.boundaries import INFINITE_NOISE, boundaries_of_task

_SHOWN = 3  # of many cells, in a sentence
_DRAWS = ("seed", "independent_dimensions", "replicate", *TASK_COLUMNS)  # on these hang the draws of a run
Cell = tuple[Any, ...]  # the values of some columns


@dataclass(frozen=True)
class Reference:
    """Runs that those of a sweep are set against, cell by cell."""

    runs: pd.DataFrame
    axes: Values  # those of the sweep, with the values that the reference alone has
    names: tuple[str, str]  # what the sweep and the reference are called
    facts: Mapping[str, str] = field(default_factory=dict)  # by key, in what else the reference differs: its values
    notes: tuple[str, ...] = ()  # sentences: in what they differ, what either lacks, and where theory starts
    mesh: Mesh | None = None  # what the reference asks for; None: the same as the sweep


def theory_for(results: Results) -> Reference:
    """Theory's prediction for the cells and the replicates that there are."""
    predicted = predictions_of(results)
    predicted = predicted[predicted["replicate"].isin(_distinct(results.runs, "replicate"))]
    note = _on_the_start(results.runs, predicted, list(map(axis_column, _grid(results))))
    return Reference(predicted, dict(results.axes), ("measured", "predicted"), notes=tuple(note))


def sweep_beside(results: Results, other: Results) -> Reference:
    """Another sweep: its cells are those with the same values on the axes, over the replicates that each has.

    Where the other sweep has a single value on an axis, and the results do not have it, it stands beside all of theirs,
    and is told as a fact; so is every key in which the two differ. What `linphase.diagram.axes.select` left out of the
    results is left out of the other sweep, too.

    Raises
    ------
    LinphaseError
        If no cell is in both, or the other sweep has several values of a key where the results have one of their own.
    """
    names = _names(results.path, other.path)
    mesh, left_out = mesh_of(other), _left_out(results)
    mine, its, asked = results.runs, _without(other.runs, left_out), _without(mesh.asked, left_out)
    for name, runs in zip(names, (results.runs, other.runs), strict=True):
        if runs.empty:
            raise LinphaseError(f"{name}: at least one run is required, found none yet. Finish its sweep first")
    shared, facts = _compared(results, mine, its, names)
    cells = [_cells(runs, shared) for runs in (mine, its)]
    if not set(cells[0]) & set(cells[1]):
        raise LinphaseError(f"no cell of {names[0]} is in {names[1]}: {_apart(mine, its, shared, names)}")
    repeated = [axis_column(key) for key in facts if len(_distinct(mine, axis_column(key))) > 1]
    notes = (
        *differences(names[1], facts),
        *_lacking(_cells(mine, [*shared, *repeated]), cells[1], [*shared, *repeated], names),
        *_lacking(cells[1], cells[0], shared, names[::-1]),
        *_on_the_start(mine, its, shared),
    )
    for column in shared:  # what the results have a single value of, they have as no axis
        if len(values := _distinct(mine, column)) == 1:
            its, asked = (each[_stored(each, column).isin(values)] for each in (its, asked))
    return Reference(its, _joined(results.axes, its, shared), names, facts, notes, replace(mesh, asked=asked))


def start_of(runs: pd.DataFrame, beside: pd.DataFrame) -> str:
    """Where theory starts, if all runs are theory's; own are the starts of the runs that have the same draws."""
    kinds = Dynamics.members
    told = set(_distinct(runs, "kind"))
    if not told or not all(kind in kinds and not kinds[kind].moves_weights for kind in told):
        return ""
    if _from_zero(runs):
        return "theory from $A(0) = 0$, without the start's own noise"
    drawn = [_draws(each) for each in (runs, beside)]
    return "theory from each run's own start" if drawn[0] == drawn[1] else "theory, from starts of other draws"


# --- Columns and cells -----------------------------------------------------------------------------------------------


def _stored(runs: pd.DataFrame, column: str) -> pd.Series[Any]:
    """The values of a column as axes hold them; None where there is none, as of a plugin's key in others' runs.

    Rows that are older than a key of the task or the start have its default.
    """
    usual = (TaskConfig.younger_keys() | Init.members[Init.default].younger_keys()).get(column)
    if column not in runs:
        return pd.Series(usual, runs.index, dtype=object)
    codes, distinct = pd.factorize(runs[column])  # a value that is missing has the code -1, so it is the last
    values = np.array([*map(as_stored, distinct), usual], dtype=object)
    return pd.Series(values[codes], runs.index, dtype=object)


def _distinct(runs: pd.DataFrame, column: str) -> list[Any]:
    """The values that a column has, in order."""
    found = {value for value in _stored(runs, column).unique() if value is not None}
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def _cells(runs: pd.DataFrame, columns: Sequence[str]) -> list[Cell]:
    """The cell of every run, as its values in some columns."""
    return list(zip(*(_stored(runs, column) for column in columns), strict=True))


def _draws(runs: pd.DataFrame) -> set[Cell]:
    return set(_cells(runs, _DRAWS))


def _grid(results: Results) -> list[str]:
    """The axes of the configurations, whichever span the diagram."""
    return list(dict.fromkeys(key for config in results.configs for key in config["grid"] if key != "replicates"))


def _left_out(results: Results) -> dict[str, set[Any]]:
    """By column the values that the configurations ask for and a part of the results does not have."""
    out = {}
    for key in _grid(results):
        asked = {as_stored(value) for config in results.configs for value in config["grid"].get(key, ())}
        column = axis_column(key)
        left = map(as_stored, results.axes[key]) if key in results.axes else _distinct(results.runs, column)
        out[column] = asked - set(left)
    replicates = max(int(config["grid"]["replicates"]) for config in results.configs)
    return out | {"replicate": set(range(replicates)) - set(_distinct(results.runs, "replicate"))}


def _without(runs: pd.DataFrame, left_out: Mapping[str, set[Any]]) -> pd.DataFrame:
    """The runs that have none of some values; all of them where they have no others."""
    for column, values in left_out.items():
        kept = ~_stored(runs, column).isin(list(values))
        if kept.any():
            runs = runs[kept]
    return runs


def _joined(axes: Mapping[str, Sequence[Any]], its: pd.DataFrame, shared: Sequence[str]) -> Values:
    """The axes of several values with those that only the other sweep has."""
    joined = {}
    for key, values in axes.items():
        column, stored = axis_column(key), set(map(as_stored, values))
        more = _distinct(its, column) if column in shared and len(values) > 1 else []
        joined[key] = [*values, *(value for value in more if value not in stored)]
    return joined


# --- What is said of two sweeps --------------------------------------------------------------------------------------


def differences(name: str, facts: Mapping[str, str]) -> list[str]:
    """The facts of a reference as a sentence; none without any."""
    return [f"{name} differs in {', '.join(f'{key}: {value}' for key, value in facts.items())}"] if facts else []


def _names(one: Path, other: Path) -> tuple[str, str]:
    """What two directories are called: as much of the ends of their paths as tells them apart."""
    ways = [Path(os.path.abspath(path)).parts for path in (one, other)]
    for count in range(1, 1 + max(map(len, ways))):
        first, second = (printable("/".join(way[-count:])) for way in ways)
        if first != second:
            return first, second
    return ways[0][-1], f"other {ways[0][-1]}"  # two parts of one directory


def _compared(
    results: Results, mine: pd.DataFrame, its: pd.DataFrame, names: tuple[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The columns by whose values cells are matched, and by key the values of the other sweep that are facts."""
    grid = _grid(results)
    shared, facts = [axis_column(key) for key in grid if key in START], {}
    columns = {column.key: column.name for column in results.columns.values() if column.key is not None}
    for key, column in (columns | {key: axis_column(key) for key in grid}).items():
        if key.removeprefix("grid.") in (*START, "replicates"):
            continue
        a, b = _distinct(mine, column), _distinct(its, column)
        chosen = key.partition(".")[0] in FAMILIES  # where none is a key that the kind does not use
        told = ", ".join(map(plainly, b)) or ("unused" if chosen else "not set")
        if set(a) & set(b) or (len(a) > 1 and len(b) > 1):
            shared += [column] if len(a) > 1 or len(b) > 1 else []
        elif len(b) > 1:
            raise LinphaseError(
                f"{names[1]} has {len(b)} values of {key}, {told}, and {names[0]} has "
                f"{', '.join(map(plainly, a)) or 'none'}: a single one is required. Choose it, such as "
                f"linphase plot --where {column}={plainly(b[0])}"
            )
        elif len(a) > 1 or (a and b) or (a != b and column in TASK_COLUMNS):
            facts[key] = told
    a, b = (_distinct(runs, "replicate") for runs in (mine, its))
    if a != b:
        facts["replicates"] = str(len(b)) if len(a) != len(b) else f"number {', '.join(map(plainly, b))}"
    return shared, facts


def _apart(mine: pd.DataFrame, its: pd.DataFrame, shared: Sequence[str], names: tuple[str, str]) -> str:
    """On which axes two sweeps without a common cell have no common value."""
    for column in shared:
        values = [_distinct(runs, column) for runs in (mine, its)]
        if not set(values[0]) & set(values[1]):
            shown = (_some(list(map(plainly, each))) + f" in {name}" for each, name in zip(values, names, strict=True))
            return f"{column} is {', and '.join(shown)}. Sweep the same values"
    return f"each has its own combinations of {', '.join(shared)}. Sweep the same ones"


def _lacking(
    one: Sequence[Cell], other: Sequence[Cell], columns: Sequence[str], names: tuple[str, str]
) -> Iterator[str]:
    """How many cells of one sweep the other one lacks, and which."""
    there = set(other)
    count = len(next(iter(there)))
    absent = [cell for cell in dict.fromkeys(one) if cell[:count] not in there]
    if absent:
        varied = [i for i in range(len(columns)) if len({cell[i] for cell in one}) > 1] or [0]
        shown = ["(" + ", ".join(plainly(cell[i]) for i in varied) + ")" for cell in absent]
        cells = "cell" if len(absent) == 1 else "cells"
        yield (
            f"{len(absent)} {cells} of {names[0]} {'is' if len(absent) == 1 else 'are'} not in {names[1]}: "
            f"({', '.join(columns[i] for i in varied)}) = {_some(shown)}"
        )


def _some(texts: Sequence[str]) -> str:
    """The first few of many texts."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN + 1 else ""
    return ", ".join(texts[:_SHOWN] if more else texts) + more


def _on_the_start(mine: pd.DataFrame, its: pd.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    """How many cells lie where the noise of the start counts, if only the reference starts without it."""
    if not _from_zero(its) or _from_zero(mine):
        return
    cells = _cells(mine, columns)
    noisy = {cell for cell, beyond in zip(cells, _beyond_infinite_noise(mine), strict=True) if beyond}
    if noisy:
        own = " or ".join(
            f'"{name}"' for name, kind in Dynamics.members.items() if not (kind.moves_weights or kind.predicts)
        )
        yield (
            f"theory starts from A = 0: in {len(noisy)} of {len(set(cells))} cells, those beyond the infinite-noise "
            "line, the difference shows the noise of the start too. Theory from each run's own start is a sweep with "
            f"dynamics.kind = {own}, --against its directory"
        )


def _from_zero(runs: pd.DataFrame) -> bool:
    """Whether all runs are theory's answer for a cell, which begins at A = 0."""
    predicting = [name for name, kind in Dynamics.members.items() if kind.predicts]
    return "kind" in runs and bool(runs["kind"].isin(predicting).all())


def _beyond_infinite_noise(runs: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the start of each run alone is as wrong as A = 0, or more."""
    beyond = np.zeros(len(runs), dtype=bool)
    _, of_variance = shifts(runs)
    for task, here in by_task(runs):
        gamma_sigma2, gamma_w = (runs[name].to_numpy(dtype=np.float64)[here] for name in ("gamma_sigma2", "gamma_w"))
        for line in boundaries_of_task(task, gamma_w):
            if line.name == INFINITE_NOISE and not line.asymptotic:
                beyond[here] = line.beyond(gamma_sigma2 + of_variance[here] / log(task.scale)) > 0
    return beyond

"""Trajectories thinned for the page, with theory's curves beside them, as short text.

A run keeps a few moments of its signal modes and of some bulk modes, fewer where many runs share the room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from linphase.model.draws import TaskConfig, draw_task
from linphase.model.task import Task
from linphase.pages.packing import pack_numbers
from linphase.store.reading import row_groups, scan
from linphase.store.results import Results
from linphase.store.rows import TASK_COLUMNS, clock_of, decay_of, has_closed_form, seed_of, task_config_of
from linphase.store.tables import TRAJECTORIES
from linphase.theory.mode import TargetModes, modes_from_zero

Array = NDArray[np.floating]

BUDGET = 13_000_000  # characters for all trajectories together: the file stays under 25 MB
MOMENTS = (12, 48)  # fewest and most kept of a run
MODES = ((8, 5), (2, 2))  # most kept of the signal and of the bulk, where there is room and where there is less
_BESIDES = 90  # characters of a run that are no numbers
_SCAN = 200  # moments among which theory's smallest test error is sought
_TOLD = (
    *("run_id", *TASK_COLUMNS, "seed", "independent_dimensions", "replicate", "width", "threshold"),
    *("lambda_balance", "richness", "weight_decay", "label_noise", "batch_size"),
)
_LISTS = ("time", "train_error", "test_error", "singular_values", "mode_balance", "target_singular_values")


@dataclass(frozen=True)
class Thinned:
    """What the page keeps of the runs over time, by run_id."""

    kept: dict[str, dict[str, Any]]  # modes, moments and numbers, see `_thin`
    theory: dict[str, tuple[float, float]]  # smallest test error from A = 0, and when
    left_out: int  # finished runs whose trajectory found no place


@dataclass(frozen=True)
class _Detail:
    """How much is kept of each run, at most."""

    moments: int
    signal: int
    bulk: int


def thin(results: Results) -> Thinned:
    """The trajectories of a sweep, with as many moments, modes and replicates as the budget allows."""
    finished = results.runs[results.runs["status"] != "failed"]
    chosen, detail = _plan(finished)
    records: Any = chosen[list(_TOLD)].to_dict("records")
    told: dict[str, Mapping[str, Any]] = {run["run_id"]: run for run in records}

    def read(file: Path) -> dict[str, dict[str, Any]]:
        return {
            row["run_id"]: _thin(row, told[row["run_id"]], detail)
            for rows in row_groups(file, TRAJECTORIES, ("run_id", "recorded_modes", *_LISTS))
            for row in _rows(rows, told)
        }

    parts = scan(results.path, TRAJECTORIES, read)
    found = {run_id: one for part in parts.values() for run_id, one in part.items()}
    theory = {run_id: one.pop("theory") for run_id, one in found.items() if "theory" in one}
    return Thinned(found, theory, len(finished) - len(chosen))


def _plan(finished: pd.DataFrame) -> tuple[pd.DataFrame, _Detail]:
    """The runs to keep, and how much of each: fewer moments first, then fewer modes, replicates, and cells at last."""
    for replicates in sorted(set(finished["replicate"]), reverse=True):
        chosen = finished[finished["replicate"] <= replicates]
        for signal, bulk in MODES:
            moments = int(min(_moments(chosen, signal, bulk), MOMENTS[1]))
            if moments >= MOMENTS[0]:
                return chosen, _Detail(moments, signal, bulk)
    chosen = finished[finished["replicate"] <= 0]
    (signal, bulk), few = MODES[-1], MOMENTS[0]
    step = ceil(few / max(_moments(chosen, signal, bulk), 1e-3))
    return chosen.iloc[::step], _Detail(few, signal, bulk)


def _moments(runs: pd.DataFrame, signal: int, bulk: int) -> float:
    """How many moments of each run there is room for: see `_thin` for what a moment and a mode take."""
    modes = np.minimum(runs["rank"].to_numpy(dtype=float), signal) + bulk
    return float((BUDGET - np.sum(_BESIDES + 4 * modes)) / max(1, 4 * np.sum(5 + 1.5 * modes)))


def _rows(rows: pa.Table, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The wanted rows of a row group, their lists as arrays."""
    found = []
    for i, run_id in enumerate(rows.column("run_id").to_pylist()):
        modes = rows.column("recorded_modes")[i].as_py()
        if run_id in wanted and modes is not None:
            row = rows.slice(i, 1)
            lists = {name: np.asarray(row.column(name).combine_chunks().flatten(), np.float64) for name in _LISTS}
            shape = len(lists["time"]), modes
            lists |= {name: lists[name].reshape(shape) for name in ("singular_values", "mode_balance")}
            found.append({"run_id": run_id, **lists})
    return found


def _thin(row: Mapping[str, Any], run: Mapping[str, Any], detail: _Detail) -> dict[str, Any]:
    """One run: modes (their places, from 0), of how many, moments, those that tell the balance, and the numbers.

    The numbers, series after series: time, train error, test error and s_i at the moments; balance at those that tell
    it; where the task can be drawn again, theory's train and test error from A = 0 at the moments, and the targets S_i,
    of which theory's s_i are functions.
    """
    modes = chosen_modes(int(run["rank"]), row["singular_values"].shape[1], detail.signal, detail.bulk)
    balanced = np.flatnonzero(np.isfinite(row["mode_balance"]).any(axis=1))  # few of the moments tell it
    some = balanced[_spread(0, len(balanced) - 1, detail.moments // 2)]
    kept = chosen_moments(row["test_error"], detail.moments, some.tolist())
    telling = [i for i, moment in enumerate(kept) if moment in set(some.tolist())]
    time = row["time"][kept]
    series = [time, row["train_error"][kept], row["test_error"][kept], *row["singular_values"][kept][:, modes].T]
    series += [*row["mode_balance"][kept][telling][:, modes].T]
    shape = task_config_of(run).shape
    thinned = {"modes": modes, "of": min(int(run["width"]), *shape), "moments": len(kept), "balanced": telling}
    c = float(run["threshold"])
    if has_closed_form(run) and not decay_of(run):
        target = _target(run)
        if _same(target.values, row["target_singular_values"]) and np.isfinite(time).all() and c > 0:
            clock = clock_of(run)
            S = target.values  # noqa: PD011, of TargetModes
            s = modes_from_zero(time / clock, S, c)
            series += [target.train_error(s), target.test_error(s), S[modes]]
            error, when = _smallest(target, c, float(time[-1]) / clock)
            thinned["theory"] = error, clock * when
    return thinned | {"numbers": pack_numbers(np.concatenate(series))}


def _same(drawn: Array, stored: Array) -> bool:
    """Whether the task drawn here is the one that was trained: an older linphase may have drawn another."""
    return len(drawn) == len(stored) and np.allclose(drawn, stored, rtol=1e-4, atol=1e-5 * float(drawn.max()))


def chosen_modes(rank: int, recorded: int, signal: int = MODES[0][0], bulk: int = MODES[0][1]) -> list[int]:
    """The signal modes and the quartiles of the bulk, from its largest mode to its smallest; evenly fewer of many."""
    return _spread(0, min(rank, recorded) - 1, signal) + _spread(rank, recorded - 1, bulk)


def chosen_moments(test_error: Array, count: int, wanted: Sequence[int] = ()) -> list[int]:
    """Places of at most so many moments, evenly among those recorded; the smallest test error's and wanted ones first.

    Each of these takes the place of the nearest of the even ones, but never that of the first or the last moment.
    """
    last = len(test_error) - 1
    kept = set(_spread(0, last, count))
    smallest = [int(np.nanargmin(test_error))] if np.isfinite(test_error).any() else []
    fixed = {0, last}
    for place in [*smallest, *wanted]:
        if place not in kept and (free := kept - fixed):
            kept.remove(min(free, key=lambda each: abs(each - place)))
            kept.add(place)
        fixed.add(place)
    return sorted(kept)


def _spread(first: int, last: int, count: int) -> list[int]:
    """At most so many integers from first to last, evenly, both among them."""
    if last < first:
        return []
    return sorted(set(np.linspace(first, last, min(count, last - first + 1)).round().astype(int).tolist()))


def _target(run: Mapping[str, Any]) -> TargetModes:
    """What theory needs of a run's task, as the run's width can hold it."""
    task = task_config_of(run)
    return _modes(task, seed_of(run), int(run["replicate"]), min(int(run["width"]), *task.shape))


@lru_cache(maxsize=64)
def _modes(task: TaskConfig, seed: int, replicate: int, width: int) -> TargetModes:
    return TargetModes.of(_draw(task, seed, replicate), width)


@lru_cache(maxsize=16)
def _draw(task: TaskConfig, seed: int, replicate: int) -> Task:
    return draw_task(task, seed=seed, replicate=replicate)


def _smallest(target: TargetModes, c: float, end: float) -> tuple[float, float]:
    """Theory's smallest test error up to a time, and when; to about 1e-3, as good as a page needs."""
    fastest = 2 * float(np.hypot(target.values, c).max())
    first = min(1e-2 / fastest, end)
    time = np.concatenate([[0.0], np.geomspace(first, end, _SCAN)]) if end > 0 else np.zeros(1)
    error = target.test_error(modes_from_zero(time, target.values, c))
    best = int(np.argmin(error))
    return float(error[best]), float(time[best])

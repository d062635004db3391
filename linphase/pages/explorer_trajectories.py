"""Trajectories thinned for the page, with theory's curves beside them, as short text.

A run keeps a few moments of its signal modes and of some bulk modes. A number takes three bytes, the upper ones of a
float32 (a relative error of 2^-16: four significant digits), which base64 makes four characters.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from linphase.model.draws import TaskConfig, draw_task
from linphase.model.task import Task
from linphase.store.reading import row_groups, scan
from linphase.store.results import Results
from linphase.store.rows import TASK_COLUMNS, clock_of, decay_of, has_closed_form, seed_of, task_config_of
from linphase.store.tables import TRAJECTORIES
from linphase.theory.mode import TargetModes, modes_from_zero

Array = NDArray[np.floating]

BUDGET = 12_000_000  # characters for all trajectories together: the file stays under 25 MB
MOMENTS = (12, 48)  # fewest and most kept of a run
_SIGNAL, _BULK = 8, 5  # most modes kept of either
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


def thin(results: Results) -> Thinned:
    """The trajectories of a sweep, with as many moments and replicates as the budget allows."""
    finished = results.runs[results.runs["status"] != "failed"]
    chosen, moments = _plan(finished)
    records: Any = chosen[list(_TOLD)].to_dict("records")
    told: dict[str, Mapping[str, Any]] = {run["run_id"]: run for run in records}

    def read(file: Path) -> dict[str, dict[str, Any]]:
        return {
            row["run_id"]: _thin(row, told[row["run_id"]], moments)
            for rows in row_groups(file, TRAJECTORIES, ("run_id", "recorded_modes", *_LISTS))
            for row in _rows(rows, told)
        }

    parts = scan(results.path, TRAJECTORIES, read)
    found = {run_id: one for part in parts.values() for run_id, one in part.items()}
    theory = {run_id: one.pop("theory") for run_id, one in found.items() if "theory" in one}
    return Thinned(found, theory, len(finished) - len(chosen))


def _plan(finished: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The runs to keep, by replicates, and how many moments of each."""
    for replicates in sorted(set(finished["replicate"]), reverse=True):
        chosen = finished[finished["replicate"] <= replicates]
        room = BUDGET / (4 * max(1, _series(chosen)))
        if room >= MOMENTS[0]:
            return chosen, int(min(room, MOMENTS[1]))
    return finished[finished["replicate"] <= 0], MOMENTS[0]


def _series(runs: pd.DataFrame) -> int:
    """Lists of numbers over time: of each mode value, balance and theory's value; times, errors and theory's errors."""
    modes = np.minimum(runs["rank"].to_numpy(dtype=float), _SIGNAL) + _BULK
    return int(np.sum(3 * modes + 5))


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


def _thin(row: Mapping[str, Any], run: Mapping[str, Any], moments: int) -> dict[str, Any]:
    """One run: modes (their places, from 0), moments, and numbers: series after series of so many moments.

    The series: time, train error, test error, s_i and balance of the modes; where the task can be drawn again, theory's
    train error, test error and s_i from A = 0 at the same moments.
    """
    modes = chosen_modes(int(run["rank"]), row["singular_values"].shape[1])
    balanced = np.flatnonzero(np.isfinite(row["mode_balance"]).any(axis=1))  # few of the moments tell it
    some = balanced[_spread(0, len(balanced) - 1, moments // 2)]
    kept = chosen_moments(row["test_error"], moments, some.tolist())
    time = row["time"][kept]
    series = [time, row["train_error"][kept], row["test_error"][kept]]
    series += [*row["singular_values"][kept][:, modes].T, *row["mode_balance"][kept][:, modes].T]
    thinned: dict[str, Any] = {"modes": modes, "moments": len(kept)}
    c = float(run["threshold"])
    if not has_closed_form(run) or decay_of(run):
        return thinned | {"numbers": encode(np.concatenate(series))}
    target = _target(run)
    if _same(target.values, row["target_singular_values"]) and np.isfinite(time).all() and c > 0:
        clock = clock_of(run)
        s = modes_from_zero(time / clock, target.values, c)
        series += [target.train_error(s), target.test_error(s), *s[:, modes].T]
        error, when = _smallest(target, c, float(time[-1]) / clock)
        thinned["theory"] = error, clock * when
    return thinned | {"numbers": encode(np.concatenate(series))}


def _same(drawn: Array, stored: Array) -> bool:
    """Whether the task drawn here is the one that was trained: an older linphase may have drawn another."""
    return len(drawn) == len(stored) and np.allclose(drawn, stored, rtol=1e-4, atol=1e-5 * float(drawn.max()))


def chosen_modes(rank: int, recorded: int) -> list[int]:
    """The signal modes and the quartiles of the bulk, from its largest mode to its smallest; evenly fewer of many."""
    signal = _spread(0, min(rank, recorded) - 1, _SIGNAL)
    return signal + _spread(rank, recorded - 1, _BULK)


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


def encode(values: Sequence[float] | Array) -> str:
    """Numbers as base64 of three bytes each: a float32 rounded to its upper three."""
    with np.errstate(over="ignore"):
        bits = np.asarray(values, dtype="<f4").view("<u4")
    rounded = np.where(np.isfinite(bits.view("<f4")), bits + np.uint32(0x80), bits).astype("<u4")
    return base64.b64encode(rounded.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()).decode("ascii")

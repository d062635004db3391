"""Runs as rows of the tables, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from linphase.config.plugins import digest_of
from linphase.errors import ResultsError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.mode_times import ModeTimes
from linphase.model.moment import OBSERVABLES
from linphase.model.network import Initialization, is_self_consistent
from linphase.model.observables import Modes
from linphase.model.task import Task
from linphase.runs.records import TrainedRun, Trajectory
from linphase.runs.spec import NUMERICS_VERSION, RunConfig, RunSpec
from linphase.store.columns import for_keys, runs_columns, trajectories_columns
from linphase.store.provenance import versions
from linphase.store.reading import Unreadable, names_in, row_groups, scan
from linphase.store.tables import TRAJECTORIES

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
# The lists of a trajectory that are no observables, by column.
_LISTS: dict[str, Callable[[Trajectory], NDArray[Any]]] = {
    "time": lambda one: one.time,
    "step": lambda one: one.step,
    "train_error": lambda one: one.train_error,
    "test_error": lambda one: one.test_error,
    "distance": lambda one: one.distance,
    "singular_values": lambda one: one.singular_values,
    "mean_singular_values": lambda one: one.mean_singular_values,
    "mode_balance": lambda one: one.mode_balance,
    "final_singular_values": lambda one: one.final_modes.singular_value,
    "final_mode_balance": lambda one: one.final_modes.balance,
    "final_speed_up": lambda one: one.final_modes.speed_up,
    "target_singular_values": lambda one: one.final_modes.target,
    "crossing_times": lambda one: one.mode_times.crossing,
    "escape_times": lambda one: one.mode_times.escape,
    "convergence_times": lambda one: one.mode_times.convergence,
}


# ------------------------------------------------------------------------------------------------ a run as rows


def summary_row(spec: RunSpec, run: TrainedRun) -> Row:
    """One row of the runs table (`linphase columns`)."""
    row: Row = {
        **asked_for(spec),
        "plugin": digest_of(type(spec.dynamics)),
        **run.row(),
        "observables": _observables(),
        "numerics_version": NUMERICS_VERSION,
        **versions(),
    }
    return {column.name: row[column.name] for column in runs_columns()}


def trajectory_row(run_id: str, trajectory: Trajectory) -> Row:
    """One row of the trajectories table."""
    row: Row = {
        "run_id": run_id,
        "recorded_modes": trajectory.singular_values.shape[1],
        **{name: of(trajectory) for name, of in _LISTS.items()},
        **trajectory.observables,
        "observables": _observables(),
    }
    return {column.name: row[column.name] for column in trajectories_columns()}


def failure_row(spec: RunSpec, error: str, trace: str) -> Row:
    """One row of the failures table."""
    return {
        **asked_for(spec),
        "error": error,
        "traceback": trace,
        "linphase_version": versions()["linphase_version"],
    }


def asked_for(spec: RunSpec) -> Row:
    """The columns that say what was asked for; keys that the run does not use are None."""
    values = spec.values()
    keys = {name: _told(values.get(key), kind) for name, (key, kind) in for_keys().items()}
    return {"run_id": spec.run_id, "threshold": spec.initialization.threshold, **keys}


def _told(value: Any, kind: str) -> Any:
    """A key's value as its column holds it: where it may be a word or a number, as text."""
    return repr(value).removesuffix(".0") if kind == "string" and isinstance(value, int | float) else value


def _observables() -> str:
    """The names of the observables that are measured now."""
    return " ".join(OBSERVABLES)


# ------------------------------------------------------------------------------------------------ rows, read


TASK_COLUMNS = tuple(TaskConfig.model_fields)  # the columns that tell of a run's task: its keys keep their names


_READ: dict[str, Callable[[Any], Any]] = {"int32": int, "int64": int, "float64": float, "string": str}


def task_config_of(row: Mapping[str, Any] | pd.Series[Any]) -> TaskConfig:
    """The task that a row of the runs table asked for; keys that are younger than it have their defaults."""
    kinds = for_keys()
    given = ((name, row.get(name)) for name in TASK_COLUMNS)
    return TaskConfig(**{name: _READ[kinds[name][1]](value) for name, value in given if not is_null(value)})


def by_task(runs: pd.DataFrame) -> Iterator[tuple[TaskConfig, NDArray[np.intp]]]:
    """Every task that rows of a runs table asked for, and the places of its rows."""
    told = [name for name in TASK_COLUMNS if name in runs]
    number = runs.groupby(told, dropna=False, sort=False).ngroup().to_numpy()
    for each in range(number.max(initial=-1) + 1):
        rows = np.flatnonzero(number == each)
        yield task_config_of(runs.iloc[rows[0]]), rows


def scales(runs: pd.DataFrame) -> NDArray[np.float64]:
    """The base d = sqrt(d_out d_in) of the exponents of each row of a runs table."""
    d_out, d_in = _shapes(runs)
    return d_in if d_out is d_in else np.asarray(np.sqrt(d_in * d_out))


def _shapes(runs: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """d_out and d_in (n,) of each row."""
    d_in: NDArray[np.float64] = runs["dimension"].to_numpy(dtype=float)
    if "output_dimension" not in runs:
        return d_in, d_in
    d_out = runs["output_dimension"].to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isnan(d_out), d_in, d_out), d_in


def has_closed_form(row: Mapping[str, Any] | pd.Series[Any]) -> bool:
    """Whether theory from A = 0 is that of a row: inputs are white, its start follows it, its steps have no noise."""
    task = task_config_of(row)
    follows = is_self_consistent(_number(row, "lambda_balance", np.nan), row["width"], task.shape)
    noisy = any(_number(row, name, 0.0) for name in ("label_noise", "batch_size"))
    return task.white and bool(follows) and not noisy


def self_consistent_starts(runs: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the start of each row of a runs table follows equation (1) from A = 0 too."""
    if "lambda_balance" not in runs:
        return np.ones(len(runs), dtype=bool)
    balance = runs["lambda_balance"].to_numpy(dtype=np.float64, na_value=np.nan)
    return is_self_consistent(balance, runs["width"].to_numpy(dtype=np.float64), _shapes(runs))


def is_null(value: Any) -> bool:
    """Whether a cell of a table holds nothing: None, nan or pandas' NA."""
    differs = value != value  # nan's do; of pandas' NA nothing is known
    return value is None or not isinstance(differs, bool | np.bool_) or bool(differs)


_KNOBS = {
    "variance_ratio": "variance_ratio",
    "learning_rate_ratio": "rate_ratio",
    "richness": "richness",
    "lambda_balance": "balance",
}


def initialization_of(row: Mapping[str, Any] | pd.Series[Any]) -> Initialization:
    """Where the run of a row started; knobs that are younger than it are those of before they came."""
    given = ((name, row.get(column)) for column, name in _KNOBS.items())
    knobs: dict[str, Any] = {name: float(value) for name, value in given if value is not None and not is_null(value)}
    gamma_sigma2, gamma_w, variance = (float(row[name]) for name in ("gamma_sigma2", "gamma_w", "init_variance"))
    return Initialization(gamma_sigma2, gamma_w, variance, int(row["width"]), **knobs)


def decay_of(row: Mapping[str, Any] | pd.Series[Any]) -> float:
    """The weight decay of a row's run; 0 where it is older than that key."""
    return _number(row, "weight_decay", 0.0)


def decays_of(row: Mapping[str, Any] | pd.Series[Any]) -> tuple[float, float]:
    """The decays of both layers of the run of a row, at equal rates and a richness of 1."""
    return initialization_of(row).decays(decay_of(row))


def clock_of(row: Mapping[str, Any] | pd.Series[Any]) -> float:
    """A row's time over that of the network at equal rates and scale 1: its richness."""
    return _number(row, "richness", 1.0)


def _number(row: Mapping[str, Any] | pd.Series[Any], column: str, usual: float) -> float:
    """The value of a row in a column that may be younger than it, or not that of its kind."""
    value: Any = row.get(column)
    return usual if is_null(value) else float(value)


def task_of(row: Mapping[str, Any]) -> Task:
    """The task of a row, drawn again: an older linphase may have drawn another."""
    return draw_task(task_config_of(row), seed=seed_of(row), replicate=int(row["replicate"]))


def seed_of(row: Mapping[str, Any] | pd.Series[Any]) -> int:
    """The root of a row's random numbers."""
    independent = not is_null(row["independent_dimensions"]) and bool(row["independent_dimensions"])
    return RunConfig(seed=int(row["seed"]), independent_dimensions=independent).seed_at(task_config_of(row).shape)


def draw_seed(task: TaskConfig, row: Mapping[str, Any] | pd.Series[Any]) -> int:
    """The root of the draw whose values a task's boundaries are; 0 where these are closed forms, of all draws."""
    return 0 if task.isotropic else seed_of(row)


def find_trajectories(root: Path, besides: Collection[str] = ()) -> dict[str, tuple[str, int]]:
    """In which part and row group each trajectory is; of copies the one with the most observables.

    besides: names of parts that are not to be read.
    """

    def ids(file: Path) -> list[list[tuple[str, int]]]:
        return [_measured(rows) for rows in row_groups(file, TRAJECTORIES, ("run_id", "observables"))]

    places: dict[str, tuple[str, int]] = {}
    most: dict[str, int] = {}
    for name, groups in scan(root, TRAJECTORIES, ids).items():
        for index, group in enumerate(groups if name not in besides else ()):
            for run_id, count in group:
                if count > most.get(run_id, -1):
                    places[run_id], most[run_id] = (name, index), count
    return places


def _measured(rows: pa.Table) -> list[tuple[str, int]]:
    """Ids, and how many observables each has."""
    texts = rows.column("observables").to_pylist()
    return [(one, len(names_in(text))) for one, text in zip(rows.column("run_id").to_pylist(), texts, strict=True)]


def read_trajectory(file: Path, row_group: int, run_id: str) -> Trajectory:
    """One trajectory from the row group that holds it."""
    try:
        (rows,) = row_groups(file, TRAJECTORIES, only=[row_group])
        row = rows.filter(pc.equal(rows.column("run_id"), run_id)).slice(0, 1)
        lists = dict(_lists(row))
        shape = len(lists["time"]), row.column("recorded_modes")[0].as_py()
        return Trajectory(
            time=lists["time"],
            step=lists["step"],
            train_error=lists["train_error"],
            test_error=lists["test_error"],
            distance=lists["distance"],
            singular_values=lists["singular_values"].reshape(shape),
            mode_balance=lists["mode_balance"].reshape(shape),
            final_modes=Modes(
                singular_value=lists["final_singular_values"],
                balance=lists["final_mode_balance"],
                speed_up=lists["final_speed_up"],
                target=lists["target_singular_values"],
            ),
            mode_times=ModeTimes(
                crossing=lists["crossing_times"],
                escape=lists["escape_times"],
                convergence=lists["convergence_times"],
            ),
            observables={name: values for name, values in lists.items() if name not in _LISTS},
            mean_singular_values=lists["mean_singular_values"],
        )
    except (Unreadable, ValueError, TypeError, IndexError) as error:
        raise ResultsError(f"{file}: the trajectory of run {run_id} cannot be read: {error}") from error


def _lists(row: pa.Table) -> Iterator[tuple[str, NDArray[Any]]]:
    """The lists of one row, as arrays; one that is null (a column younger than the part) has no values."""
    for name in row.column_names:
        if str(row.schema.field(name).type).startswith("list<"):
            yield name, np.asarray(row.column(name).combine_chunks().flatten())

"""A task of one's own: what a configuration names by its files becomes digests, and what the arrays themselves tell.

Files are relative to the configuration. The keys that follow from the arrays (shape, noise) cannot be given.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from linphase.config.keys import Problems, show
from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.model.task import Array, Task, TaskConfig

_LARGEST = 20_000  # a side of a target
_BESIDE = ("target", "signal", "rank")


def own_task(config: dict[str, Any], folder: Path, problems: Problems) -> dict[str, Any]:
    """The same configuration with the task that its files hold, by digests; unchanged where it names none.

    Notes a problem for every file that does not hold what is required, and every key that has no meaning beside them.
    """
    table = config.get("task")
    if not isinstance(table, Mapping) or (table.get("target") is None and table.get("signal") is None):
        return config
    if _is_resolved(table):
        return config
    if table.get("target") is None:
        problems.add(("task", "signal"), f"must stand beside task.target, found {show(table['signal'])} alone")
    _refuse_beside(config, problems)
    found = {
        name: _matrix(table[name], folder, ("task", name), problems)
        for name in ("target", "signal")
        if table.get(name) is not None
    }
    rank = table.get("rank")
    problems.raise_if_any()
    try:
        task = Task.from_target(found["target"], found.get("signal"), rank)
    except LinphaseError as error:
        problems.add(("task", "rank" if "rank" in str(error) else "target"), str(error).removeprefix("task: "))
        problems.raise_if_any()
    return {**config, "task": keys_of(task)}


def keys_of(task: Task) -> dict[str, Any]:
    """The keys of a configuration that stand for a task, whose arrays are found by their digests from now on."""
    signal = None if task.signal is None else arrays.remember(task.signal)
    d_out, d_in = task.shape
    return {
        "target": arrays.remember(task.target),
        "signal": signal,
        "rank": task.rank,
        "dimension": d_in,
        "output_dimension": d_out,
        "noise": task.noise,
    }


def _is_resolved(table: Mapping[str, Any]) -> bool:
    """Whether the digests stand there already."""
    return re.fullmatch(arrays.DIGEST, str(table.get("target"))) is not None and "noise" in table


def _refuse_beside(config: Mapping[str, Any], problems: Problems) -> None:
    grid = config.get("grid", {})
    axes = {key.removeprefix("task.") for key in grid if isinstance(key, str) and key.startswith("task.")}
    for name in TaskConfig.model_fields:
        for path, given in ((("task", name), name in config["task"]), (("grid", f"task.{name}"), name in axes)):
            if given and (name not in _BESIDE or (path[0] == "grid" and name != "rank")):
                problems.add(
                    path,
                    "must not be given beside task.target, which tells it"
                    if name not in _BESIDE
                    else "cannot be an axis",
                )


def _matrix(given: object, folder: Path, path: tuple[str, str], problems: Problems) -> Array:
    """The matrix in a file of numpy."""
    nothing = np.empty((0, 0))
    if not isinstance(given, str):
        problems.add(path, f'must be a file of numpy, such as "Y.npy", found {show(given)}')
        return nothing
    file = folder / given
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        problems.add(path, f"must be a file of numpy, found none at {file}")
    except (OSError, ValueError, EOFError) as error:
        problems.add(path, f"must be a file of numpy that holds numbers, found {file}: {error}")
    else:
        if wrong := _wrong(array):
            problems.add(
                path,
                f"must be a matrix (d_out, d_in) of finite numbers, at most {_LARGEST} a side, found {wrong} in {file}",
            )
        else:
            return np.asarray(array)
    return nothing


def _wrong(array: Any) -> str:
    """What is wrong with what a file holds; nothing where it is a matrix of finite numbers."""
    if not isinstance(array, np.ndarray):
        return "several arrays"
    if array.ndim != 2 or not array.size:
        return f"an array of shape {array.shape}"
    if array.dtype.kind not in "fiub":
        return f"the type {array.dtype}"
    if max(array.shape) > _LARGEST or array.shape[1] < 2:
        return f"the shape {array.shape}"
    if not all(np.isfinite(rows).all() for rows in _rows(array)):
        return "NaN or infinity"
    return "" if any(rows.any() for rows in _rows(array)) else "only zeros"


def _rows(array: Array) -> Iterator[Array]:
    """The rows of a file, some at a time."""
    for first in range(0, len(array), 1024):
        yield array[first : first + 1024]

"""A task of one's own: what a configuration names by its files becomes digests, and what the arrays themselves tell.

Files are relative to the configuration. The keys that follow from the arrays (shape, noise) cannot be given.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from linphase.config.keys import Key, Problems, show
from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.model.draws import TaskConfig
from linphase.model.section import Section
from linphase.model.task import Array, Regression, Task, of_samples

_LARGEST = 20_000  # a side of a target
_BESIDE = ("target", "signal", "rank")
_ENTRIES = 2**21  # of a file that are in memory at a time
_FILE = 'a file of numpy, such as "X.npy"'


class DataConfig(Section):
    """Data of your own, to be fitted by a linear map: files of numpy, relative to the configuration.

    They are `linphase.Task.from_data`'s arguments. In results `task.data` stands for them.
    """

    inputs: str = Field(title="the samples' inputs (n, d_in), a sample a row", description=_FILE)
    outputs: str = Field(title="their outputs (n, d_out), in the same order", description=_FILE)
    test_inputs: str | None = Field(
        default=None,
        title="held-out inputs, which test errors are measured on; without them there are none",
        description=_FILE,
    )
    test_outputs: str | None = Field(default=None, title="their outputs; with test_inputs", description=_FILE)
    center: bool = Field(
        default=False,
        title="whether the means of inputs and outputs, over the samples, are taken off all of them",
        description="true or false",
    )
    whiten: bool = Field(
        default=False,
        title="whether inputs are multiplied by Sigma^(-1/2), their covariance over the samples; another problem, "
        "whose A is of whitened inputs",
        description="true or false",
    )


_KEPT = ". Where results keep what it held, give RESULTS/configs/DIGEST.json in place of the TOML file"
_FILES = ("inputs", "outputs", "test_inputs", "test_outputs")
_OPTIONS = tuple(name for name in DataConfig.model_fields if name not in _FILES)
RANK_AXIS = (
    "must be no axis of a task without a signal: its noise is what is left beyond the rank, which would be another in "
    "every cell. Sweep each rank into a directory of its own"
)


def own_task(config: dict[str, Any], folder: Path, problems: Problems) -> dict[str, Any]:
    """The same configuration with the task that its files hold, by digests; unchanged where it names none.

    Notes a problem for every file that does not hold what is required, and every key that has no meaning beside them.
    """
    table, data = config.get("task", {}), config.get("data")
    if not isinstance(table, Mapping):
        return config
    if data is None and re.fullmatch(arrays.DIGEST, str(table.get("data") or table.get("target"))):
        return config  # read from files before
    unknown = {key: value for key, value in table.items() if key not in TaskConfig.model_fields}  # told later
    if data is not None:
        keys = _of_data(config, data, table, folder, problems)
        return {**{key: value for key, value in config.items() if key != "data"}, "task": {**unknown, **keys}}
    if table.get("target") is None and table.get("signal") is None:
        return config
    return {**config, "task": {**unknown, **_of_target(config, table, folder, problems)}}


def keys_of(task: Task) -> dict[str, Any]:
    """The keys of a configuration that stand for a task, whose arrays are found by their digests from now on."""
    d_out, d_in = task.shape
    told = {
        "rank": task.rank,
        "dimension": d_in,
        "output_dimension": d_out,
        "noise": float(f"{task.noise:.13g}"),
    }  # the rest hangs on the machine
    if isinstance(task, Regression):
        return {"data": arrays.remember_bundle(task.told()), **told}
    signal = None if task.signal is None else arrays.remember(task.signal)
    return {"target": arrays.remember(task.target), "signal": signal, **told}


# ------------------------------------------------------------------------------------------------------- a target


def _of_target(config: Mapping[str, Any], table: Mapping[str, Any], folder: Path, problems: Problems) -> dict[str, Any]:
    if table.get("target") is None:
        problems.add(("task", "signal"), f"must stand beside task.target, found {show(table['signal'])} alone")
    _refuse_beside(config, "task.target", _BESIDE, problems)
    given = [name for name in ("target", "signal") if table.get(name) is not None]
    found = {name: _target(table[name], folder, ("task", name), problems) for name in given}
    problems.raise_if_any()
    try:
        task = Task.from_target(found["target"], found.get("signal"), table.get("rank"))
    except LinphaseError as error:
        problems.add(("task", "rank" if "rank" in str(error) else "signal"), _without_key(error))
        problems.raise_if_any()
    return keys_of(task)


def _target(given: object, folder: Path, path: tuple[str, str], problems: Problems) -> Array:
    """The matrix (d_out, d_in) in a file."""
    array = _opened(given, folder, path, problems)
    if array is None:
        return np.empty((0, 0))
    if max(array.shape) > _LARGEST or array.shape[1] < 2:
        required = f"must be a matrix (d_out, d_in) of at most {_LARGEST} a side and at least 2 columns"
        problems.add(path, f"{required}, found the shape {array.shape} in {folder / str(given)}")
    elif not any(rows.any() for rows in _rows(array)):
        problems.add(path, f"must be other than 0, found only zeros in {folder / str(given)}")
    return np.asarray(array)


# --------------------------------------------------------------------------------------------------------- samples


def _of_data(
    config: Mapping[str, Any], data: object, table: Mapping[str, Any], folder: Path, problems: Problems
) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        problems.add(("data",), f"must be a table, found {show(data)}")
        problems.raise_if_any()
        return {}
    known = DataConfig.model_fields
    for key in (key for key in data if key not in known):
        problems.add(("data", key), f"is not a key, found {show(data[key])}; known are {', '.join(known)}")
    for key in (key for key in _OPTIONS if key in data):
        Key.of(known[key]).check(data[key], ("data", key), problems)
    _refuse_beside(config, "[data]", ("rank",), problems)
    files: dict[str, Array | None] = {}
    for inputs, outputs in (_FILES[:2], _FILES[2:]):
        pair = {key: data[key] for key in (inputs, outputs) if key in data}
        for key in {inputs, outputs} - pair.keys():
            if pair or inputs == "inputs":
                problems.add(("data", key), f"must be {_FILE}, found none")
        files |= {key: _opened(file, folder, ("data", key), problems) for key, file in pair.items()}
        X, Y = files.get(inputs), files.get(outputs)
        if X is not None and Y is not None and len(X) != len(Y):
            problems.add(("data", outputs), f"must have as many samples as data.{inputs}, {len(X)}, found {len(Y)}")
    _refuse_shapes(files, problems)
    problems.raise_if_any()
    given = {key: array for key, array in files.items() if array is not None}
    center, whiten = (bool(data.get(key, False)) for key in _OPTIONS)
    try:
        task = of_samples(
            _pairs(given, "inputs", "outputs"),
            _pairs(given, "test_inputs", "test_outputs") if "test_inputs" in given else None,
            rank=table.get("rank"),
            center=center,
            whiten=whiten,
        )
    except LinphaseError as error:
        problems.add(("task", "rank") if "rank must" in str(error) else ("data", "whiten" if whiten else "inputs"),
                     _without_key(error))  # fmt: skip
        problems.raise_if_any()
    told = [arrays.digest(array) for array in given.values()]
    digest = hashlib.sha256(f"{told} {center} {whiten}".encode()).hexdigest()[:20]
    arrays.remember_bundle(task.told(), digest)
    return {**keys_of(task), "data": digest}


class _pairs:
    """The samples in two files, (m, d_in) and (m, d_out) at a time; read anew as often as asked."""

    def __init__(self, files: Mapping[str, Array], inputs: str, outputs: str) -> None:
        self.inputs, self.outputs = files[inputs], files[outputs]

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        step = max(1, _ENTRIES // (self.inputs.shape[1] + self.outputs.shape[1]))
        for X, Y in zip(arrays.rows(self.inputs, step), arrays.rows(self.outputs, step), strict=True):
            yield np.asarray(X, np.float64), np.asarray(Y, np.float64)


def _refuse_shapes(files: Mapping[str, Array | None], problems: Problems) -> None:
    for key, array in files.items():
        if array is None:
            continue
        first = files.get(key.removeprefix("test_"))
        if array.shape[1] > _LARGEST or (key == "inputs" and array.shape[1] < 2):
            problems.add(("data", key), f"must have 2 to {_LARGEST} columns, found the shape {array.shape}")
        elif first is not None and array.shape[1] != first.shape[1]:
            wanted = f"must have the columns of data.{key.removeprefix('test_')}, {first.shape[1]}"
            problems.add(("data", key), f"{wanted}, found {array.shape[1]}")
        elif key == "outputs" and not any(rows.any() for rows in _rows(array)):
            problems.add(("data", key), "must be other than 0, found only zeros")


# ------------------------------------------------------------------------------------------------------------ both


def _without_key(error: LinphaseError) -> str:
    """The message of an error, which the key it is about stands before."""
    return str(error).removeprefix("task: ").removeprefix("rank ")


def _refuse_beside(config: Mapping[str, Any], what: str, kept: tuple[str, ...], problems: Problems) -> None:
    """Note the keys of the task that follow from the user's own arrays."""
    grid, table = config.get("grid"), config.get("task", {})
    grid = grid if isinstance(grid, Mapping) else {}  # told later
    for name in TaskConfig.model_fields:
        if name in table and table[name] is not None and name not in kept:
            problems.add(("task", name), f"must not be given beside {what}, found {show(table[name])}")
        if f"task.{name}" in grid and name != "rank":
            problems.add(("grid", f"task.{name}"), f"must be no axis beside {what}")
    if "task.rank" in grid and table.get("signal") is None:
        problems.add(("grid", "task.rank"), RANK_AXIS)


def _opened(given: object, folder: Path, path: tuple[str, str], problems: Problems) -> Array | None:
    """The two-dimensional array of finite numbers in a file of numpy, not read into memory."""
    if not isinstance(given, str):
        problems.add(path, f'must be a file of numpy, such as "Y.npy", found {show(given)}')
        return None
    file = folder / given
    try:
        if file.exists() and not file.is_file():  # opening a pipe would wait for ever
            problems.add(path, f"must be a file of numpy, found something else at {file}")
            return None
        array = arrays.mapped(file)
    except FileNotFoundError:
        problems.add(path, f"must be a file of numpy, found none at {file}{_KEPT}")
        return None
    except arrays.NO_ARRAY:  # pickled objects among them, which are never loaded
        problems.add(path, f"must be a file of numpy, found {file}, which holds no array of numbers")
        return None
    except OSError as error:
        problems.add(path, f"must be a file of numpy, found {file}: {error.strerror or error}")
        return None
    wrong = _wrong(array)
    if wrong:
        problems.add(path, f"must be a two-dimensional array of finite numbers, found {wrong} in {file}")
        return None
    return array


def _wrong(array: Array) -> str:
    """What is wrong with what a file holds; nothing where it is an array of finite numbers."""
    if array.ndim != 2 or not array.size:
        return f"an array of shape {array.shape}"
    if array.dtype.kind not in "fiub":
        return f"the type {array.dtype}"
    return "" if all(np.isfinite(rows).all() for rows in _rows(array)) else "NaN or infinity"


def _rows(array: Array) -> Iterator[Array]:
    """The rows of a file, some at a time."""
    return arrays.rows(array, max(1, _ENTRIES // array.shape[1]))

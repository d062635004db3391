"""Results on disk: immutable Parquet parts, read as one table.

    results/NAME/configs/DIGEST.json            every configuration that was run here
                 runs/part-*.parquet            one row a finished run, scalars only: the commit
                 trajectories/part-*.parquet    the lists over time and over modes of the same runs
                 failures/part-*.parquet        attempts that failed

Many processes may write, fold and read at once, any of them may be killed at any moment, and nobody holds a
lock. This rests on three rules:

1. A part appears complete, by a rename, under a name nobody else uses, and is never changed.
2. A run's row appears after its trajectory.
3. A part is deleted only after all its rows stand in a newer part.

So a finished run can be in several parts, and readers keep one copy; but it is always in at least one. A
reader that finds a listed part gone lists again.
"""

import errno
import itertools
import json
import math
import os
import time
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from linphase.columns import FAILURES, RUNS, SCHEMA_VERSION, TRAJECTORIES, Column
from linphase.errors import ResultsError

if TYPE_CHECKING:  # imported where they are used, so that `import linphase.store` takes no time
    import pandas as pd
    import pyarrow as pa

    from linphase.config import RunSpec, SweepConfig
    from linphase.trajectory import Trajectory

_Value = TypeVar("_Value")
_Row = Mapping[str, Any]

_SCHEMA_KEY = b"linphase_schema"
_CLAIM = ".first.json"  # the first configuration: what all others have to agree with
_ROW_GROUP_BYTES = 2**23  # what is read to show one trajectory, and held in memory to fold
_PART_BYTES = 2**28  # size up to which parts are folded
_ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class _Table:
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # rows that agree in these columns are copies of each other

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_RUNS = _Table("runs", RUNS, ("run_id",))
_TRAJECTORIES = _Table("trajectories", TRAJECTORIES, ("run_id",))
_FAILURES = _Table("failures", FAILURES, ("run_id", "error", "traceback", "linphase_version"))
_DIRECTORIES = ("configs", _RUNS.name, _TRAJECTORIES.name, _FAILURES.name)


class _Gone(Exception):
    """A listed part is not there any more: somebody folded it into another one."""


class _Unreadable(Exception):
    """A file that is no part, or a broken one."""


# Configurations


def create(path: str | Path, config: "SweepConfig") -> None:
    """Make a results directory for a configuration, or add the configuration to an existing one.

    All configurations of a directory agree outside the grid's values and replicates. Any number of processes
    may create the same directory at once.

    Raises
    ------
    ResultsError
        If the directory holds something else or results of another configuration, or cannot be written.
    """
    root = Path(path)
    resolved = config.resolved()
    with _explained(root):
        _refuse_foreign(root)
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        for earlier in configs(root) if _is_results(root) else []:
            _refuse_difference(root, earlier, resolved)
        text = json.dumps(resolved, indent=1, allow_nan=False) + "\n"
        # Of two different configurations at the same moment only one can make this file.
        _create_file(root / "configs" / _CLAIM, text)
        _refuse_difference(root, _read_config(root / "configs" / _CLAIM), resolved)
        _create_file(root / "configs" / f"{config.digest}.json", text)


def configs(path: str | Path) -> list[dict[str, Any]]:
    """The resolved configurations whose runs a results directory holds, or is to hold."""
    root = _existing(path)
    return [_read_config(root / "configs" / name) for name in _config_names(root)]


def _config_names(root: Path) -> list[str]:
    try:
        names = os.listdir(root / "configs")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ResultsError(f"{root}: cannot be read: {error.strerror or error}") from error
    return sorted(name for name in names if name.endswith(".json") and not name.startswith("."))


def _is_results(root: Path) -> bool:
    return bool(_config_names(root))


def _existing(path: str | Path) -> Path:
    """The path, if it is a results directory."""
    root = Path(path)
    if not root.exists():
        raise ResultsError(f"{root}: no such results directory. `linphase sweep --config FILE --out {root}` makes one")
    if not _is_results(root):
        raise ResultsError(
            f"{root}: is no results directory, it has no configs/*.json. "
            "Give one that `linphase sweep` has written, such as results/quickstart"
        )
    return root


def _refuse_foreign(root: Path) -> None:
    """Write neither over a file nor in between somebody's other files."""
    if root.exists() and not root.is_dir():
        raise ResultsError(f"{root}: is a file, results need a directory. Give another one with --out")
    if not root.exists() or _is_results(root) or (root / "configs" / _CLAIM).exists():
        return
    foreign = set(_visible_names(root)) - set(_DIRECTORIES)
    if (root / "configs").is_dir():
        foreign |= {f"configs/{name}" for name in _visible_names(root / "configs")}
    if foreign and not _is_results(root):  # asked again: another process may have made it one just now
        raise ResultsError(
            f"{root}: is not empty and no results directory, it holds {min(foreign)}. Give another directory with --out"
        )


def _visible_names(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if not name.startswith(".")]


def _refuse_difference(root: Path, earlier: dict[str, Any], resolved: dict[str, Any]) -> None:
    from linphase.config import difference

    if lines := difference(earlier, resolved):
        raise ResultsError(
            f"{root}: holds results of another configuration; "
            "only the name, the grid's values and replicates may differ:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nGive another directory with --out, or another name in the configuration"
        )


def _read_config(file: Path) -> dict[str, Any]:
    try:
        resolved = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file}: cannot be read as a configuration: {error}") from error
    if not isinstance(resolved, dict) or not isinstance(resolved.get("grid"), dict):
        raise ResultsError(f"{file}: is no resolved configuration of linphase. Move it out of configs/")
    return resolved


def _create_file(file: Path, text: str) -> None:
    """Write a file that no one ever sees half-written; the one that is there already stays."""
    draft = file.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("x", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        except OSError:  # no hard links here (or the reply was lost on the way)
            if not file.exists():
                os.rename(draft, file)
        _sync(file.parent)
    finally:
        _remove([draft])


# Writing


def write_runs(path: str | Path, rows: Sequence[_Row], trajectories: Sequence[_Row]) -> str | None:
    """Commit a batch of finished runs: their trajectories, and then their rows.

    rows and trajectories: one dict a run each, with exactly the columns of `linphase.columns` as keys; the
    lists of a trajectory are arrays, 2-d ones (len(time), recorded_modes). Returns the name of the new part,
    for `fold`; None without rows.

    Raises
    ------
    ResultsError
        If the directory cannot be written. Then the batch does not count as finished.
    ValueError
        If the columns are not those declared, or the trajectories not those of the rows.
    """
    ids = sorted(str(row.get("run_id")) for row in rows)
    if len(set(ids)) < len(ids) or ids != sorted(str(row.get("run_id")) for row in trajectories):
        raise ValueError("a batch needs every run once, and one trajectory for every row")
    return _write(Path(path), {_TRAJECTORIES: trajectories, _RUNS: rows}) if rows else None


def write_failure(path: str | Path, row: _Row) -> str:
    """Record a failed attempt; the run still counts as missing. Returns the name of the new part."""
    return _write(Path(path), {_FAILURES: [row]})


def _new_name() -> str:
    return f"part-{uuid.uuid4().hex}.parquet"


def _write(root: Path, batches: Mapping[_Table, Sequence[_Row]]) -> str:
    """Make one new part in each of some tables appear, in the order given; they share a name."""
    row_groups = {table: _slices(_to_arrow(table, rows)) for table, rows in batches.items()}
    name = _new_name()
    drafts: list[Path] = []
    with _explained(root):
        try:
            for table, tables in row_groups.items():
                drafts.append(_draft(root / table.name, name, table, tables))
            for draft in drafts:  # only now, when all of them have found room on the disk
                _publish(draft)
        finally:
            _remove(drafts)
    return name


def _draft(
    directory: Path, name: str, table: _Table, row_groups: Iterable["pa.Table"], limit: float = math.inf
) -> Path:
    """Write a part under a name that begins with a dot, which no reader looks at.

    Row groups are taken until the file has `limit` bytes.
    """
    import pyarrow.parquet as pq

    draft = directory / f".{name}"
    plain = [column.name for column in table.columns if not column.type.startswith("list<")]
    try:
        with draft.open("xb") as handle:
            with pq.ParquetWriter(handle, _schema(table), compression="zstd", use_dictionary=plain) as writer:
                for row_group in row_groups:
                    writer.write_table(row_group, row_group_size=max(1, row_group.num_rows))
                    if handle.tell() >= limit:
                        break
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        _remove([draft])
        raise
    return draft


def _publish(draft: Path) -> None:
    """Rename a draft into a part, for good."""
    part = draft.with_name(draft.name.removeprefix("."))
    try:
        os.rename(draft, part)
    except FileNotFoundError:  # a network file system may have done it, lost the reply and tried again
        if not part.exists():
            raise
    _sync(part.parent)


def _sync(directory: Path) -> None:
    """Have the names in a directory survive a power failure."""
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot, or need not
            raise
    finally:
        os.close(descriptor)


def _remove(files: Collection[Path]) -> None:
    for file in files:
        with suppress(OSError):
            os.unlink(file)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Say what an error of the file system means for the results, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kept = "finished runs"
            with suppress(ResultsError, OSError), warnings.catch_warnings(action="ignore"):
                kept = f"{len(finished_ids(root))} finished runs"
            text = f"disk full. Free space and run again, {kept} are kept"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            text = f"cannot be written: {error.strerror}. Make it writable, or give another one with --out"
        elif error.errno == errno.ENOENT:
            text = "has vanished, or a part of it. Put it back, or run again to make it anew"
        else:
            text = f"cannot be written: {error.strerror or error}. Finished runs are kept, run again to go on"
        raise ResultsError(f"{root}: {text}") from error


# Rows and Arrow tables


@cache
def _schema(table: _Table) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [(column.name, _arrow_type(column.type)) for column in table.columns],
        metadata={_SCHEMA_KEY: str(SCHEMA_VERSION)},
    )


def _arrow_type(text: str) -> "pa.DataType":
    import pyarrow as pa

    if text.startswith("list<"):
        return pa.list_(_arrow_type(text.removeprefix("list<").removesuffix(">")))
    return pa.type_for_alias(text)


def _to_arrow(table: _Table, rows: Sequence[_Row]) -> "pa.Table":
    """The rows as an Arrow table with the types declared."""
    import pyarrow as pa

    names = set(table.names)
    for row in rows:
        if row.keys() != names:
            missing, extra = sorted(names - row.keys()), sorted(row.keys() - names)
            raise ValueError(f"a row of {table.name} lacks columns {missing}, has undeclared columns {extra}")
        if table is _TRAJECTORIES:
            _check_lengths(row)
    schema = _schema(table)
    arrays = []
    for column in schema:
        values = [row[column.name] for row in rows]
        is_list = pa.types.is_list(column.type)
        arrays.append(_list_array(values, column.type) if is_list else pa.array(values, column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_lengths(row: _Row) -> None:
    import numpy as np

    n, r = len(row["time"]), row["recorded_modes"]
    lengths = dict.fromkeys(("step", "train_error", "test_error"), n)
    lengths |= dict.fromkeys(("singular_values", "mode_balance"), n * r)
    for name, length in lengths.items():
        if np.size(row[name]) != length:
            raise ValueError(f"{name} must have {length} values, found {np.size(row[name])}")


def _list_array(values: Sequence[Any], kind: "pa.DataType") -> "pa.ListArray":
    """Numpy arrays as an Arrow list column, row-major, without a Python object for every number."""
    import numpy as np
    import pyarrow as pa

    with np.errstate(over="ignore"):  # what explodes in a diverged run may become inf
        flat = [np.ravel(value).astype(kind.value_type.to_pandas_dtype(), copy=False) for value in values]
    offsets = np.cumsum([0, *(array.size for array in flat)])
    offsets = pa.array(offsets, pa.int32())  # refuses to overflow
    return pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(flat), kind.value_type), type=kind)


def _slices(rows: "pa.Table") -> list["pa.Table"]:
    """A table in row groups of about _ROW_GROUP_BYTES."""
    length = max(1, rows.num_rows * _ROW_GROUP_BYTES // max(1, rows.nbytes))
    return [rows.slice(start, length) for start in range(0, rows.num_rows, length)]


# Reading


def finished_ids(path: str | Path) -> set[str]:
    """The ids of all finished runs."""
    rows = _read_table(_existing(path), _RUNS, ("run_id",))
    return set(rows.column("run_id").to_pylist())


def _read_table(root: Path, table: _Table, names: Sequence[str]) -> "pa.Table":
    """Some columns of all rows, copies included, in the order of the names of the parts."""
    import pyarrow as pa

    parts = _scan(root, table, lambda file: list(_row_groups(file, table, names)))
    empty = _schema(table).empty_table().select(list(names))
    return pa.concat_tables([empty, *itertools.chain.from_iterable(parts.values())])


def _scan(
    root: Path, table: _Table, read: Callable[[Path], _Value], only: Collection[str] | None = None
) -> dict[str, _Value]:
    """What `read` makes of each part, by name in order; broken parts are left out with a warning.

    While somebody folds, one pass through the directory can miss a part that was just made and also those
    folded into it. So it is listed until two passes in a row find no part gone; what was read stays valid.
    """
    directory = root / table.name
    found: dict[str, _Value] = {}
    skipped: set[str] = set()
    calm = 0
    for attempt in range(_ATTEMPTS):
        calm += 1
        for name in _part_names(directory):
            if name in found or name in skipped or (only is not None and name not in only):
                continue
            try:
                found[name] = read(directory / name)
            except _Gone:
                calm = 0
            except _Unreadable as error:
                skipped.add(name)
                _warn(directory / name, error)
        if calm == 2:
            return dict(sorted(found.items()))
        if not calm:
            time.sleep(min(0.02 * attempt, 1))
    raise ResultsError(
        f"{directory}: parts are listed and cannot be opened. Try again; if it stays, look for broken links"
    )


def _part_names(directory: Path) -> list[str]:
    for attempt in range(_ATTEMPTS):
        try:
            names = os.listdir(directory)
        except OSError as error:
            if error.errno == errno.ESTALE and attempt + 1 < _ATTEMPTS:
                continue
            if isinstance(error, FileNotFoundError) and directory.parent.is_dir():
                return []  # copies made with git lack empty directories
            raise ResultsError(f"{directory}: cannot be read: {error.strerror or error}") from error
        break
    return sorted(name for name in names if name.endswith(".parquet") and not name.startswith((".", "_")))


def _warn(file: Path, error: _Unreadable) -> None:
    warnings.warn(f"{file}: skipped, it cannot be read: {error}", stacklevel=2)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A part as a pyarrow ParquetFile; tells a part that is gone, a broken one and a newer one apart."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open("rb") as handle, pq.ParquetFile(handle) as part:
            _check_version(file, part.schema_arrow)
            yield part
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise _Gone from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE):
            raise ResultsError(f"{file}: cannot be read: {error.strerror}") from error
        raise _Unreadable(_one_line(error)) from error
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise _Unreadable(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_version(file: Path, schema: "pa.Schema") -> None:
    version = (schema.metadata or {}).get(_SCHEMA_KEY, b"").decode("ascii", "replace")
    if not version.isdecimal() or "run_id" not in schema.names:
        raise _Unreadable("not written by linphase")
    if int(version) > SCHEMA_VERSION:
        raise ResultsError(
            f"{file}: written by a newer linphase (schema {version}, this one reads up to {SCHEMA_VERSION}). "
            "Update it: pip install --upgrade linphase"
        )


def _row_groups(
    file: Path, table: _Table, names: Sequence[str], only: Collection[int] | None = None
) -> Iterator["pa.Table"]:
    """Some columns of a part, one row group after the other, with the types declared."""
    with _opened(file) as part:
        stored = set(part.schema_arrow.names)
        columns = [name for name in names if name in stored]
        for index in range(part.num_row_groups) if only is None else only:
            rows = _conform(part.read_row_group(index, columns=columns), _schema(table), names)
            rows.validate(full=True)
            if rows.column("run_id").null_count:
                raise _Unreadable("it has rows without a run_id")
            yield rows


def _conform(rows: "pa.Table", schema: "pa.Schema", names: Sequence[str]) -> "pa.Table":
    """The columns named with the types declared; null where an older linphase did not have them."""
    import pyarrow as pa

    wanted = pa.schema([schema.field(name) for name in names], metadata=schema.metadata)
    if rows.schema.equals(wanted, check_metadata=True):
        return rows
    arrays = [
        rows.column(column.name).cast(column.type)
        if column.name in rows.column_names
        else pa.nulls(rows.num_rows, column.type)
        for column in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)


# Folding


def fold(path: str | Path, parts: Collection[str] | None = None) -> int:
    """Fold small parts into large ones, and copies of a run into one; returns how many parts are gone.

    parts: the names that `write_runs` and `write_failure` gave, or None for all. Safe to kill at any moment,
    and safe beside writers, readers and other folders. Parts that cannot be read are left, with a warning.
    """
    root = _existing(path)
    folded = 0
    with _explained(root):
        for table in (_TRAJECTORIES, _RUNS, _FAILURES):
            found = _scan(root, table, partial(_content, table=table), only=parts)
            for group in _groups({name: content for name, content in found.items() if content.declared}):
                folded += _fold_group(root / table.name, table, group)
    return folded


@dataclass(frozen=True)
class _Content:
    keys: list[tuple[str, ...]]
    size: int  # in bytes, of the file
    declared: bool  # whether all its columns are declared; a part that has others would lose them


def _content(file: Path, table: _Table) -> _Content:
    with _opened(file) as part:
        size = file.stat().st_size
        declared = set(part.schema_arrow.names) <= set(table.names)
    keys = [key for rows in _row_groups(file, table, table.key) for key in _keys(rows, table)]
    return _Content(keys, size, declared)


def _keys(rows: "pa.Table", table: _Table) -> list[tuple[str, ...]]:
    return list(zip(*(rows.column(name).to_pylist() for name in table.key), strict=True))


def _groups(parts: Mapping[str, _Content]) -> list[list[str]]:
    """Parts to be folded together: those that share a run, and otherwise small ones up to _PART_BYTES."""
    groups: list[list[str]] = []
    room = 0
    for cluster in _clusters({name: content.keys for name, content in parts.items()}):
        size = sum(parts[name].size for name in cluster)
        if len(cluster) == 1 and size > _PART_BYTES // 2:
            continue
        if not groups or size > room:
            groups.append([])
            room = _PART_BYTES
        groups[-1] += cluster
        room -= size
    return [group for group in groups if len(group) > 1]


def _clusters(parts: Mapping[str, Sequence[tuple[str, ...]]]) -> list[list[str]]:
    """Parts that share a key, directly or by way of others (union-find)."""
    parent = {name: name for name in parts}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    first: dict[tuple[str, ...], str] = {}
    for name, keys in parts.items():
        for key in keys:
            parent[root(name)] = root(first.setdefault(key, name))
    clusters: dict[str, list[str]] = {}
    for name in parts:
        clusters.setdefault(root(name), []).append(name)
    return list(clusters.values())


def _fold_group(directory: Path, table: _Table, group: Sequence[str]) -> int:
    """Write the rows of some parts into new ones, and only then delete the old ones."""
    read: list[Path] = []
    drafts: list[Path] = []
    row_groups = _regroup(_distinct_rows(directory, table, group, read))
    try:
        for first in row_groups:
            rest = itertools.chain([first], row_groups)
            drafts.append(_draft(directory, _new_name(), table, rest, limit=_PART_BYTES))
        if len(read) < 2:  # somebody else has folded the others meanwhile
            return 0
        for draft in drafts:
            _publish(draft)
    finally:
        _remove(drafts)
    for file in read:
        with suppress(FileNotFoundError):
            os.unlink(file)
    _sync(directory)
    return len(read)


def _distinct_rows(directory: Path, table: _Table, group: Sequence[str], read: list[Path]) -> Iterator["pa.Table"]:
    """The rows of some parts without copies; `read` receives the parts that were read to their end."""
    seen: set[tuple[str, ...]] = set()
    for name in group:
        try:
            for rows in _row_groups(directory / name, table, table.names):
                fresh = []
                for key in _keys(rows, table):
                    fresh.append(key not in seen)
                    seen.add(key)
                yield rows.filter(fresh)
        except _Gone:
            continue
        except _Unreadable as error:
            _warn(directory / name, error)
            continue
        read.append(directory / name)


def _regroup(tables: Iterator["pa.Table"]) -> Iterator["pa.Table"]:
    """The same rows in tables of about _ROW_GROUP_BYTES."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    size = 0
    for rows in tables:
        waiting.append(rows)
        size += rows.nbytes
        if size >= _ROW_GROUP_BYTES:
            yield from _slices(pa.concat_tables(waiting))
            waiting, size = [], 0
    if waiting:
        yield from _slices(pa.concat_tables(waiting))


# Loading


@dataclass(frozen=True, eq=False)
class Results:
    """All that a results directory held when it was loaded.

    runs has one row a run and the columns of `linphase.columns.RUNS`, sorted by the facets of the grid,
    gamma_sigma2, gamma_w and replicate. Runs that failed and were not finished since are in it with status
    "failed".
    """

    path: Path
    configs: list[dict[str, Any]] = field(repr=False)
    axes: dict[str, list[Any]]  # the values of every axis of the grid, of all configurations together
    runs: "pd.DataFrame" = field(repr=False)
    failures: "pd.DataFrame" = field(repr=False)
    _places: dict[str, tuple[str, int]] = field(default_factory=dict, init=False, repr=False)

    def trajectory(self, run_id: str) -> "Trajectory":
        """One run over time, read from disk.

        Raises
        ------
        ResultsError
            If there is none of this id.
        """
        for attempt in range(_ATTEMPTS):
            if attempt or run_id not in self._places:
                self._places.clear()
                self._places.update(_places(self.path))
            if run_id not in self._places:
                raise ResultsError(
                    f"{self.path}: no trajectory of run {run_id!r}. Finished runs have one; their ids "
                    "are in the column run_id of .runs"
                )
            name, row_group = self._places[run_id]
            with suppress(_Gone):  # folded since: look where it is now
                return _read_trajectory(self.path / _TRAJECTORIES.name / name, row_group, run_id)
        raise ResultsError(f"{self.path}: the trajectory of run {run_id!r} cannot be opened. Try again")

    def expected(self) -> "Mapping[str, RunSpec]":
        """Every run that the configurations ask for, by its id."""
        return self._expected

    @cached_property
    def _expected(self) -> "dict[str, RunSpec]":
        from linphase.config import parse_config

        return {
            spec.run_id: spec
            for resolved in self.configs
            for spec in parse_config(resolved, source=str(self.path / "configs")).expand()
        }

    def missing(self) -> "list[RunSpec]":
        """The expected runs that are not finished; failed ones are among them."""
        finished = set(self.runs.loc[self.runs["status"] != "failed", "run_id"])
        return [spec for run_id, spec in self.expected().items() if run_id not in finished]


def load(path: str | Path) -> Results:
    """Read a results directory.

    Raises
    ------
    ResultsError
        If there is no such directory, or it is none of results, or a newer linphase wrote it.
    """
    root = _existing(path)
    resolved = configs(root)
    axes = _axes(resolved)
    failures = _read_table(root, _FAILURES, _FAILURES.names)
    runs = _with_failed(_read_table(root, _RUNS, _RUNS.names), failures)
    return Results(
        path=root,
        configs=resolved,
        axes=axes,
        runs=_sorted(_to_pandas(runs).drop_duplicates("run_id"), list(axes)),
        failures=_to_pandas(failures).drop_duplicates(list(_FAILURES.key), ignore_index=True),
    )


def _axes(resolved: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The union of the values of every axis: numbers in ascending order, then the rest."""
    axes: dict[str, dict[str, Any]] = {}
    for config in resolved:
        for key, values in config["grid"].items():
            if key != "replicates":
                axes.setdefault(key, {}).update({_text(value): value for value in values})
    return {key: sorted(values.values(), key=_axis_order) for key, values in axes.items()}


def _text(value: Any) -> str:
    return json.dumps(float(value) if isinstance(value, int) else value, sort_keys=True)


def _axis_order(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0.0, _text(value)


def _with_failed(runs: "pa.Table", failures: "pa.Table") -> "pa.Table":
    """The runs, and below them the failed ones that are not finished."""
    import pyarrow as pa
    import pyarrow.compute as pc

    unfinished = pc.invert(pc.is_in(failures.column("run_id"), value_set=runs.column("run_id")))
    failed = _conform(failures.filter(unfinished), runs.schema, runs.column_names)
    for name, value in (("status", "failed"), ("converged", False)):
        index = runs.schema.get_field_index(name)
        kind = runs.schema.field(index)
        failed = failed.set_column(index, kind, pa.array([value] * failed.num_rows, kind.type))
    return pa.concat_tables([runs, failed])


def _to_pandas(rows: "pa.Table") -> "pd.DataFrame":
    """A DataFrame whose types do not depend on its values: integers may be missing, as Int64 or Int32."""
    import pandas as pd
    import pyarrow as pa

    for index, column in enumerate(rows.schema):
        if pa.types.is_boolean(column.type):
            rows = rows.set_column(index, column, rows.column(index).fill_null(False))
    nullable = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    frame: pd.DataFrame = rows.to_pandas(types_mapper=nullable.get)
    return frame


def _sorted(runs: "pd.DataFrame", axes: Sequence[str]) -> "pd.DataFrame":
    """Facets vary slowest, as in the expansion of a grid."""
    of_key = {column.key: column.name for column in RUNS if column.key is not None}
    facets = [of_key[key] for key in axes if key in of_key]  # "task.rank" and the like, not "gamma_w"
    return runs.sort_values([*facets, "gamma_sigma2", "gamma_w", "replicate", "run_id"], ignore_index=True)


# Trajectories


def trajectory_row(run_id: str, trajectory: "Trajectory") -> dict[str, Any]:
    """A trajectory as a row for `write_runs`."""
    final = trajectory.final_modes
    return {
        "run_id": run_id,
        "recorded_modes": trajectory.singular_values.shape[1],
        "time": trajectory.time,
        "step": trajectory.step,
        "train_error": trajectory.train_error,
        "test_error": trajectory.test_error,
        "singular_values": trajectory.singular_values,
        "mode_balance": trajectory.mode_balance,
        "final_singular_values": final.singular_value,
        "final_mode_balance": final.balance,
        "final_speed_up": final.speed_up,
        "target_singular_values": final.target,
    }


def _places(root: Path) -> dict[str, tuple[str, int]]:
    """In which part and row group each trajectory is."""

    def ids(file: Path) -> list[list[str]]:
        return [rows.column("run_id").to_pylist() for rows in _row_groups(file, _TRAJECTORIES, ("run_id",))]

    return {
        run_id: (name, index)
        for name, row_groups in _scan(root, _TRAJECTORIES, ids).items()
        for index, row_group in enumerate(row_groups)
        for run_id in row_group
    }


def _read_trajectory(file: Path, row_group: int, run_id: str) -> "Trajectory":
    import numpy as np
    import pyarrow.compute as pc

    from linphase.trajectory import Modes, Trajectory

    try:
        (rows,) = _row_groups(file, _TRAJECTORIES, _TRAJECTORIES.names, only=[row_group])
        row = rows.filter(pc.equal(rows.column("run_id"), run_id)).slice(0, 1)
        # A list that is null (a column younger than the part) has no values.
        lists = {
            name: np.asarray(row.column(name).combine_chunks().flatten())
            for name in _TRAJECTORIES.names
            if name not in ("run_id", "recorded_modes")
        }
        shape = len(lists["time"]), row.column("recorded_modes")[0].as_py()
        return Trajectory(
            time=lists["time"],
            step=lists["step"],
            train_error=lists["train_error"],
            test_error=lists["test_error"],
            singular_values=lists["singular_values"].reshape(shape),
            mode_balance=lists["mode_balance"].reshape(shape),
            final_modes=Modes(
                singular_value=lists["final_singular_values"],
                balance=lists["final_mode_balance"],
                speed_up=lists["final_speed_up"],
                target=lists["target_singular_values"],
            ),
        )
    except (_Unreadable, ValueError, TypeError, IndexError) as error:
        raise ResultsError(f"{file}: the trajectory of run {run_id} cannot be read: {error}") from error

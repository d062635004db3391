"""Parts read while others write and fold: every pass sees each row that was there when it began."""

import errno
import hashlib
import itertools
import os
import re
import stat
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from linphase.errors import ResultsError, Unavailable, shortage
from linphase.store.columns import SCHEMA_VERSION
from linphase.store.directory import existing, leads_out
from linphase.store.tables import (
    FAILURES,
    RUNS,
    SCHEMA_KEY,
    TABLE_KEY,
    TRAJECTORIES,
    Table,
    check_rows,
    conform,
    merged,
    schema_of,
    vouching,
)

_Value = TypeVar("_Value")
MAX_ROWS = 10**7  # of a part; `linphase.config` allows no sweep more runs
MAX_VALUES = 2**27  # of a column in a row group: 1 GiB; a trajectory of 16,384 modes at 8,192 moments
ATTEMPTS = 20  # at finding the parts that were listed, while others fold them


class Gone(Exception):
    """A listed part is not there any more: somebody folded it into another one."""


class Unreadable(Exception):
    """A file that is no part: damaged, or a stranger's."""


class Damaged(Unreadable):
    """A part whose bytes are not those that were written."""


def finished_ids(path: str | Path) -> set[str]:
    """The ids of all finished runs."""
    return set(read_table(existing(path), RUNS, ["run_id"]).column("run_id").to_pylist())


def failed_ids(path: str | Path) -> set[str]:
    """The ids of the runs that have failed and were not finished since."""
    return set(read_table(existing(path), FAILURES, ["run_id"]).column("run_id").to_pylist()) - finished_ids(path)


def count_parts(path: str | Path) -> int:
    """How many parts a directory has, broken ones included."""
    root = existing(path)
    return sum(len(_part_names(root / table.name)) for table in (RUNS, TRAJECTORIES, FAILURES))


def read_table(root: Path, table: Table, names: Sequence[str] | None = None) -> pa.Table:
    """Some columns of all rows, copies included, in the order of the names of the parts.

    names: by default every column, those that parts have and nobody declares here behind the declared ones.
    """
    parts = scan(root, table, lambda file: list(row_groups(file, table, names)))
    groups = list(itertools.chain.from_iterable(parts.values()))
    schema = schema_of(table) if names is not None else merged((each.schema for each in groups), table)
    wanted = list(names) if names is not None else schema.names
    empty = schema.empty_table().select(wanted)
    return pa.concat_tables([empty, *(conform(each, schema, wanted) for each in groups)])


def scan(
    root: Path,
    table: Table,
    read: Callable[[Path], _Value],
    only: Collection[str] | None = None,
    found: dict[str, _Value] | None = None,
) -> dict[str, _Value]:
    """What `read` makes of each part, by name in order; broken parts are left out with a warning.

    found: what an earlier scan made of parts, which are not read again; new ones are added to it.

    While somebody folds, one pass through the directory can miss a part that was just made and also those
    folded into it. So it is listed until two passes in a row find no part gone; what was read stays valid.
    """
    directory = root / table.name
    found = {} if found is None else found
    skipped: set[str] = set()
    calm = 0
    for attempt in range(ATTEMPTS):
        calm += 1
        for name in _part_names(directory):
            if name in found or name in skipped or (only is not None and name not in only):
                continue
            try:
                found[name] = read(directory / name)
            except Gone:
                calm = 0
            except Unreadable as error:
                skipped.add(name)
                warn_skipped(directory / name, error)
        if calm == 2:
            return dict(sorted(found.items()))
        if not calm:
            time.sleep(min(0.02 * attempt, 1))
    raise Unavailable(
        f"{directory}: parts are listed and cannot be opened. Try again; if it stays, look for broken links"
    )


def _part_names(directory: Path) -> list[str]:
    for attempt in range(ATTEMPTS):
        try:
            names = os.listdir(directory)
        except OSError as error:
            if error.errno == errno.ESTALE and attempt + 1 < ATTEMPTS:
                continue
            if isinstance(error, FileNotFoundError) and directory.parent.is_dir():
                return []  # copies made with git lack empty directories
            if isinstance(error, FileNotFoundError):
                text = "has vanished. Put it back, or run again to make it anew"
                raise ResultsError(f"{directory.parent}: {text}") from error
            text = f"cannot be read: {error.strerror or error}. Make it readable, or try again"
            raise Unavailable(f"{directory}: {text}") from error
        break
    if earlier := [name for name in names if _EARLIER.fullmatch(name)]:
        raise ResultsError(
            f"{directory}/{min(earlier)}: written by an earlier linphase, whose parts were not named by their content. "
            "Sweep again, into another directory"
        )
    return sorted(name for name in names if is_part(name))


def warn_skipped(file: Path, error: Unreadable) -> None:
    """Say that a part is left out."""
    warnings.warn(f"{file}: skipped, it cannot be read: {error}", stacklevel=2)


def row_groups(
    file: Path,
    table: Table,
    names: Sequence[str] | None = None,
    only: Collection[int] | None = None,
    *,
    named: str | None = None,
) -> Iterator[pa.Table]:
    """Some columns of a part, one row group after the other, with the types declared.

    names: by default the declared ones, and behind them those that the part has besides and tells of. named: the name
    that a draft is to get.
    """
    with opened(file, table, named=named) as part:
        schema = schema_of(table) if names is not None else merged([stored_schema(part)], table)
        wanted = list(names) if names is not None else schema.names
        stored = set(stored_schema(part).names)
        columns = [name for name in wanted if name in stored]
        for index in range(part.num_row_groups) if only is None else only:
            rows = conform(part.read_row_group(index, columns=columns, use_threads=False), schema, wanted)
            rows.validate(full=True)
            check_rows(rows, table)
            yield rows


@contextmanager
def opened(file: Path, table: Table, *, named: str | None = None) -> Iterator[Any]:
    """A part of a table as a pyarrow ParquetFile; tells a part that is gone, a damaged one and a newer one apart.

    Damaged is what was read whole and has another hash than its name, or `named`, says. What cannot be read just now
    (no memory, no threads, too many files, a failing disk) is an error, and damages nothing.
    """
    try:
        if leads_out(file, file.parent.parent):
            raise Unreadable("it is a link out of the results directory")
        if not stat.S_ISREG(os.stat(file).st_mode):  # opening a pipe would wait for ever
            raise Unreadable("it is no file")
        with file.open("rb") as handle:
            name = named or file.name
            status = os.fstat(handle.fileno())
            known = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, name
            if known not in _verified:
                _verify(handle, name)
            with _parquet(handle) as part:
                _check_version(file, stored_schema(part), table)
                if known not in _verified:
                    _check_sizes(part.metadata)
                    _check_values(part, table)
                    _verified.add(known)
                yield part
    except pa.ArrowNotImplementedError as error:  # a type that cannot be made the declared one
        raise Unreadable(_one_line(error)) from error
    except OSError as error:
        if error.errno is None:  # pyarrow's, of bytes that are no Parquet; the system's have a number
            raise Unreadable(_one_line(error)) from error
        if error.errno in (errno.ENOENT, errno.ELOOP) and file.is_symlink():
            raise Unreadable("it is a link to nothing") from error
        if error.errno in (errno.ENOENT, errno.ESTALE):
            raise Gone from error
        raise _not_now(file, error) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, NotImplementedError | RecursionError):  # a defect of ours; else a thread that cannot start
            raise
        raise _not_now(file, error) from error
    except (pa.ArrowException, ValueError, KeyError) as error:  # its bytes are those written: by another program
        raise Unreadable(_one_line(error)) from error


def _not_now(file: Path, error: Exception) -> Unavailable:
    why = (error.strerror if isinstance(error, OSError) else None) or _one_line(error)
    return Unavailable(
        f"{file}: cannot be read now: {why}. It need not be damaged and was left as it is. Try again with more memory, "
        "processes and open files; if it stays, look at the disk, or move the file away"
    )


_NAME = re.compile(r"part-[0-9a-f]{40}\.parquet")
_EARLIER = re.compile(r"part-[0-9a-f]{32}\.parquet")  # the random names of before parts were named by their content
_CHUNK = 2**20


def content_hash() -> "hashlib.blake2b":
    """What names a part: the hash of its bytes."""
    return hashlib.blake2b(digest_size=20)


def part_name(content: "hashlib.blake2b") -> str:
    """The name of a part of this hash: its content."""
    return f"part-{content.hexdigest()}.parquet"


def is_part(name: str) -> bool:
    """Whether a file has the name of a part."""
    return _NAME.fullmatch(name) is not None


# Parts that were read whole and found sound in this process: device, file, size, time of change and name.
_verified: set[tuple[int, int, int, int, str]] = set()


def _verify(handle: BinaryIO, name: str) -> None:
    """Read a part to its end; Damaged where its bytes are not those that its name stands for."""
    content = content_hash()
    while chunk := handle.read(_CHUNK):
        content.update(chunk)
    if part_name(content) != name:
        raise Damaged("its bytes are not those that were written")
    handle.seek(0)


def _parquet(handle: BinaryIO) -> pq.ParquetFile:
    """A part whose texts are read as the different ones among them: a few bytes can claim one text a million times."""
    metadata = pq.read_metadata(handle)
    texts = [field.name for field in metadata.schema.to_arrow_schema() if _is_text(field.type)]
    handle.seek(0)
    return pq.ParquetFile(handle, metadata=metadata, read_dictionary=texts, pre_buffer=False)


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return any(one(kind) for one in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary))


def stored_schema(part: pq.ParquetFile) -> pa.Schema:
    """The columns of an opened part, with the types they were written in."""
    return part.metadata.schema.to_arrow_schema()


def _check_sizes(metadata: pq.FileMetaData) -> None:
    """Refuse, before anything is unpacked, what a few bytes can claim and no memory holds."""
    if metadata.num_rows > MAX_ROWS:
        raise Unreadable(f"it claims {metadata.num_rows} rows")
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        values = max((group.column(column).num_values for column in range(group.num_columns)), default=0)
        if values > MAX_VALUES or group.total_byte_size > 8 * MAX_VALUES:
            raise Unreadable(f"its row group {index} claims {values} values and {group.total_byte_size} bytes")


def _check_values(part: pq.ParquetFile, table: Table) -> None:
    """Refuse rows that linphase never writes, whatever columns of them are to be read."""
    schema, names = schema_of(table), vouching(table)
    stored = [name for name in names if name in stored_schema(part).names]
    for index in range(part.num_row_groups):
        rows = conform(part.read_row_group(index, columns=stored, use_threads=False), schema, names)
        rows.validate(full=True)
        check_rows(rows, table)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_version(file: Path, schema: pa.Schema, table: Table) -> None:
    told = schema.metadata or {}
    version = told.get(SCHEMA_KEY, b"").decode("ascii", "replace")
    if not version.isdecimal() or "run_id" not in schema.names:
        raise Unreadable("not written by linphase")
    if int(version) > SCHEMA_VERSION:
        raise ResultsError(
            f"{file}: written by a newer linphase (schema {version}, this one reads up to {SCHEMA_VERSION}). "
            "Update it: pip install --upgrade linphase"
        )
    if (name := told.get(TABLE_KEY, b"").decode("ascii", "replace")) != table.name:
        raise Unreadable(f"it belongs into {name!r:.40}, not into {table.name}")


class Ids:
    """The ids of the finished (or the failed) runs, kept up to date: each part is read once.

    observables: only runs of which all of these were measured.
    """

    def __init__(self, path: str | Path, *, failed: bool = False, observables: Collection[str] = ()) -> None:
        self._root, self._table = existing(path), FAILURES if failed else RUNS
        self._observables = frozenset(observables)
        self._parts: dict[str, None] = {}
        self._ids: set[str] = set()

    def now(self) -> set[str]:
        """The ids that are there at this moment, in one set that grows from call to call."""
        scan(self._root, self._table, self._read, found=self._parts)
        return self._ids

    def _read(self, file: Path) -> None:
        names = ("run_id", "observables") if self._observables else ("run_id",)
        groups = [[column.to_pylist() for column in rows.columns] for rows in row_groups(file, self._table, names)]
        for ids, *measured in groups:  # only now: a broken part counts for nothing
            if measured:
                ids = [one for one, text in zip(ids, measured[0], strict=True) if self._observables <= names_in(text)]
            self._ids.update(ids)


def names_in(observables: str | None) -> frozenset[str]:
    """The names in the column `observables`; none where it is null, as in rows from before there was the column."""
    return frozenset((observables or "").split())


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Say what an error of the file system means for the results, and what to do."""
    try:
        yield
    except OSError as error:
        lacking = shortage(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kept = "finished runs"
            with suppress(ResultsError, OSError), warnings.catch_warnings(action="ignore"):
                kept = f"{len(finished_ids(root))} finished runs"
            text = f"disk full. Free space and run again, {kept} are kept"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            text = f"cannot be written: {error.strerror}. Make it writable, or give another one with --out"
        elif error.errno == errno.ENOENT:
            text = "has vanished, or a part of it. Put it back, or run again to make it anew"
        elif lacking is not None:
            text = f"cannot be written: {error.strerror}. {lacking}. Finished runs are kept, run again to go on"
        else:
            text = f"cannot be written: {error.strerror or error}. Finished runs are kept, run again to go on"
        raise (ResultsError if lacking is None else Unavailable)(f"{root}: {text}") from error

"""New parts: batches of finished runs, and failures."""

import json
import math
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from linphase.config.config import SweepConfig, difference
from linphase.errors import ResultsError
from linphase.files import entries, remove, sync
from linphase.model import arrays
from linphase.store.directory import ARRAYS, config_names, is_results, read_config, refuse_links
from linphase.store.reading import content_hash, explained, part_name
from linphase.store.tables import (
    FAILURES,
    RUNS,
    TRAJECTORIES,
    Looks,
    Row,
    Table,
    asked_by,
    in_row_groups,
    to_arrow,
    with_looks,
)


def write_runs(
    path: str | Path,
    rows: Sequence[Row],
    trajectories: Sequence[Row],
    looks: Looks = {},  # noqa: B006 - read only
    *,
    config: str | None = None,
) -> list[str]:
    """Commit a batch of finished runs: their trajectories, and then their rows.

    rows and trajectories: one dict a run each, with exactly the columns of `linphase.columns` as keys; the
    lists of a trajectory are arrays, 2-d ones (len(time), recorded_modes). Returns the names of the new parts,
    for `fold`; none without rows. looks: scale and colours of the panels of columns, by column, for
    whoever reads the files without the declarations. config: the digest of the configuration that asks for the
    runs; None: nobody tells.

    Raises
    ------
    ResultsError
        If the directory cannot be written, or the configuration is not in it any more. Then the batch does not count
        as finished.
    ValueError
        If the columns are not those declared, or the trajectories not those of the rows.
    """
    ids = sorted(str(row.get("run_id")) for row in rows)
    if len(set(ids)) < len(ids) or ids != sorted(str(row.get("run_id")) for row in trajectories):
        raise ValueError("a batch needs every run once, and one trajectory for every row")
    return _write(Path(path), {TRAJECTORIES: trajectories, RUNS: rows}, config, looks) if rows else []


def write_failures(path: str | Path, rows: Sequence[Row], *, config: str | None = None) -> list[str]:
    """Record failed attempts; their runs still count as missing. Returns the name of the new part, as `write_runs`."""
    return _write(Path(path), {FAILURES: rows}, config)


def refuse_without(root: Path, config: str) -> None:
    """Raise ResultsError where a configuration is not in a results directory any more: nothing more belongs there."""
    if f"{config}.json" in config_names(root):
        return
    if not root.exists():
        raise ResultsError(f"{root}: has vanished. Put it back, or run again to make it anew")
    raise ResultsError(
        f"{root}: configs/{config}.json has gone: the directory was emptied, or holds another sweep by now. "
        "Nothing more is written to it. Sweep again, into another directory"
    )


def _write(
    root: Path,
    batches: Mapping[Table, Sequence[Row]],
    config: str | None,
    looks: Looks = {},  # noqa: B006 - read only
) -> list[str]:
    """Make one new part in each of some tables appear, in the order given; returns their names."""
    row_groups = {
        table: list(in_row_groups([with_looks(to_arrow(table, rows), looks)])) for table, rows in batches.items()
    }
    drafts: list[Draft] = []
    with explained(root):
        try:
            for table, tables in row_groups.items():
                schema = asked_by(tables[0].schema, () if config is None else (config,))
                drafts.append(write_draft(root / table.name, schema, (rows.cast(schema) for rows in tables)))
            if config is not None:
                refuse_without(root, config)
            return [publish(draft) for draft in drafts]  # only now, when all of them have found room on the disk
        finally:
            remove([draft.file for draft in drafts])


@dataclass(frozen=True)
class Draft:
    """A part that is written, under a name that no reader looks at, and the name that its content gives it."""

    file: Path
    name: str


class _Hashed:
    """A file that is written from its begin to its end, and the hash of what was meant to be written."""

    def __init__(self, handle: BinaryIO) -> None:
        self.handle, self.hash, self.closed = handle, content_hash(), False

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return self.handle.write(data)

    def tell(self) -> int:
        return self.handle.tell()

    def flush(self) -> None:
        self.handle.flush()

    def close(self) -> None:
        """The handle is somebody else's."""


def write_draft(directory: Path, schema: pa.Schema, row_groups: Iterable[pa.Table], limit: float = math.inf) -> Draft:
    """Write a part under a name that begins with a dot, which no reader looks at.

    Row groups are taken until the file has `limit` bytes.
    """
    draft = directory / f".{uuid.uuid4().hex}"
    plain = [field.name for field in schema if not str(field.type).startswith("list<")]
    try:
        with draft.open("xb") as handle:
            hashed = _Hashed(handle)
            with pq.ParquetWriter(
                hashed, schema, compression="zstd", use_dictionary=plain, write_page_checksum=True
            ) as writer:
                for row_group in row_groups:
                    writer.write_table(row_group, row_group_size=max(1, row_group.num_rows))
                    if handle.tell() >= limit:
                        break
            handle.flush()
            os.fsync(handle.fileno())
    except BaseException:
        remove([draft])
        raise
    return Draft(draft, part_name(hashed.hash))


def publish(draft: Draft) -> str:
    """Rename a draft into a part, for good; returns its name. A part of the same content is the same part."""
    part = draft.file.with_name(draft.name)
    try:
        os.rename(draft.file, part)
    except FileNotFoundError:  # a network file system may have done it, lost the reply and tried again
        if not part.exists():
            raise
    sync(part.parent)
    return draft.name


_DIRECTORIES = ("configs", RUNS.name, TRAJECTORIES.name, FAILURES.name)

_CLAIM = ".first.json"  # the first configuration: what all others have to agree with


def create(path: str | Path, config: SweepConfig) -> None:
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
    with explained(root):
        refuse_links(root)
        _refuse_foreign(root)
        for name in _lacking(root, config.arrays):
            arrays.find(Path(name).stem)  # or nothing is made here
        for name in _DIRECTORIES:
            _make(root, name)
        for earlier in config_names(root):
            _refuse_difference(root, read_config(root / "configs" / earlier), resolved)
        text = (json.dumps(resolved, indent=1, allow_nan=False) + "\n").encode()
        # Of two different configurations at the same moment only one can make this file.
        _create_file(root / "configs" / _CLAIM, lambda file: file.write(text))
        _refuse_difference(root, read_config(root / "configs" / _CLAIM), resolved)
        _keep_arrays(root, config.arrays)  # before there is a configuration that asks for them
        _create_file(root / "configs" / f"{config.digest}.json", lambda file: file.write(text))


def _keep_arrays(root: Path, files: Sequence[str]) -> None:
    """Keep the user's own arrays in arrays/, so that nothing depends on their files any more."""
    for name in _lacking(root, files):
        _make(root, ARRAYS)
        file = root / ARRAYS / name
        _create_file(file, partial(arrays.keep, file.stem))


def _lacking(root: Path, files: Sequence[str]) -> list[str]:
    there = entries(root / ARRAYS)
    return [name for name in files if name not in there]


def _make(root: Path, name: str) -> None:
    try:
        (root / name).mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # not even its parents can be made, as in /proc
        raise ResultsError(f"{root}: no directory can be made here. Give another one with --out") from error


def _refuse_foreign(root: Path) -> None:
    """Write neither over a file nor in between somebody's other files."""
    if root.exists() and not root.is_dir():
        raise ResultsError(f"{root}: is a file, results need a directory. Give another one with --out")
    if not root.exists() or is_results(root) or (root / "configs" / _CLAIM).exists():
        return
    foreign = set(_visible_names(root)) - {*_DIRECTORIES, ARRAYS}
    if (root / "configs").is_dir():
        foreign |= {f"configs/{name}" for name in _visible_names(root / "configs")}
    if foreign and not is_results(root):  # asked again: another process may have made it one just now
        raise ResultsError(
            f"{root}: is not empty and no results directory, it holds {min(foreign)}. Give another directory with --out"
        )


def _visible_names(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if not name.startswith(".")]


def _refuse_difference(root: Path, earlier: dict[str, Any], resolved: dict[str, Any]) -> None:
    if lines := difference(earlier, resolved):
        raise ResultsError(
            f"{root}: holds results of another configuration; "
            "only the name, the grid's values and replicates may differ:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nGive another directory with --out, or another name in the configuration"
        )


def _create_file(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file that no one ever sees half-written; the one that is there already stays."""
    draft = file.with_name(f".{uuid.uuid4().hex}")
    try:
        with draft.open("xb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
        except OSError:  # no hard links here (or the reply was lost on the way)
            if not file.exists():
                os.rename(draft, file)
        sync(file.parent)
    finally:
        remove([draft])

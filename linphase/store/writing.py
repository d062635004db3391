"""New parts: batches of finished runs, and failures."""

import math
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from linphase.store.files import explained, remove, sync
from linphase.store.tables import FAILURES, RUNS, TRAJECTORIES, Row, Table, in_row_groups, schema_of, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def write_runs(path: str | Path, rows: Sequence[Row], trajectories: Sequence[Row]) -> str | None:
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
    return _write(Path(path), {TRAJECTORIES: trajectories, RUNS: rows}) if rows else None


def write_failures(path: str | Path, rows: Sequence[Row]) -> str:
    """Record failed attempts; their runs still count as missing. Returns the name of the new part."""
    return _write(Path(path), {FAILURES: rows})


def _write(root: Path, batches: Mapping[Table, Sequence[Row]]) -> str:
    """Make one new part in each of some tables appear, in the order given; they share a name."""
    row_groups = {table: list(in_row_groups([to_arrow(table, rows)])) for table, rows in batches.items()}
    name = new_name()
    drafts: list[Path] = []
    with explained(root):
        try:
            for table, tables in row_groups.items():
                drafts.append(write_draft(root / table.name, name, table, tables))
            for draft in drafts:  # only now, when all of them have found room on the disk
                publish(draft)
        finally:
            remove(drafts)
    return name


def new_name() -> str:
    """A name that no part has had or will have."""
    return f"part-{uuid.uuid4().hex}.parquet"


def write_draft(
    directory: Path, name: str, table: Table, row_groups: Iterable["pa.Table"], limit: float = math.inf
) -> Path:
    """Write a part under a name that begins with a dot, which no reader looks at.

    Row groups are taken until the file has `limit` bytes. Checksums of its pages let a reader notice rotten bits.
    """
    import pyarrow.parquet as pq

    draft = directory / f".{name}"
    plain = [column.name for column in table.columns if not column.type.startswith("list<")]
    try:
        with draft.open("xb") as handle:
            with pq.ParquetWriter(
                handle, schema_of(table), compression="zstd", use_dictionary=plain, write_page_checksum=True
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
    return draft


def publish(draft: Path) -> None:
    """Rename a draft into a part, for good."""
    part = draft.with_name(draft.name.removeprefix("."))
    try:
        os.rename(draft, part)
    except FileNotFoundError:  # a network file system may have done it, lost the reply and tried again
        if not part.exists():
            raise
    sync(part.parent)

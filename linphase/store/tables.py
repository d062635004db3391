"""The three tables, and their rows as Arrow data with the columns and types that `linphase.columns` declares."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from linphase.store import columns
from linphase.store.columns import SCHEMA_VERSION, Column

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_KEY = b"linphase_schema"  # a part's metadata holds the schema version under it
ROW_GROUP_BYTES = 2**23  # what is read to show one trajectory, and held in memory to fold

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Table:
    """One of the tables: the directory of its parts, its columns, and what makes two rows copies of each other."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]  # rows that agree in these columns are copies

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


RUNS = Table("runs", columns.RUNS, ("run_id",))
TRAJECTORIES = Table("trajectories", columns.TRAJECTORIES, ("run_id",))
FAILURES = Table("failures", columns.FAILURES, ("run_id", "error", "traceback", "linphase_version"))


@cache
def schema_of(table: Table) -> "pa.Schema":
    """The Arrow schema of a table's parts."""
    import pyarrow as pa

    return pa.schema(
        [(column.name, _arrow_type(column.type)) for column in table.columns],
        metadata={SCHEMA_KEY: str(SCHEMA_VERSION)},
    )


def _arrow_type(text: str) -> "pa.DataType":
    import pyarrow as pa

    if text.startswith("list<"):
        return pa.list_(_arrow_type(text.removeprefix("list<").removesuffix(">")))
    return pa.type_for_alias(text)


def to_arrow(table: Table, rows: Sequence[Row]) -> "pa.Table":
    """The rows as an Arrow table with the types declared."""
    import pyarrow as pa

    names = set(table.names)
    for row in rows:
        if row.keys() != names:
            missing, extra = sorted(names - row.keys()), sorted(row.keys() - names)
            raise ValueError(f"a row of {table.name} lacks columns {missing}, has undeclared columns {extra}")
        if table is TRAJECTORIES:
            _check_lengths(row)
    schema = schema_of(table)
    arrays = []
    for column in schema:
        values = [row[column.name] for row in rows]
        is_list = pa.types.is_list(column.type)
        arrays.append(_list_array(values, column.type) if is_list else pa.array(values, column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _check_lengths(row: Row) -> None:
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


def conform(rows: "pa.Table", schema: "pa.Schema", names: Sequence[str]) -> "pa.Table":
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


def in_row_groups(tables: Iterable["pa.Table"]) -> Iterator["pa.Table"]:
    """The same rows in tables of about ROW_GROUP_BYTES."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    size = 0
    for rows in tables:
        waiting.append(rows)
        size += rows.nbytes
        if size >= ROW_GROUP_BYTES:
            yield from _slices(pa.concat_tables(waiting))
            waiting, size = [], 0
    if waiting:
        yield from _slices(pa.concat_tables(waiting))


def _slices(rows: "pa.Table") -> list["pa.Table"]:
    """A table in row groups of about ROW_GROUP_BYTES."""
    length = max(1, rows.num_rows * ROW_GROUP_BYTES // max(1, rows.nbytes))
    return [rows.slice(start, length) for start in range(0, rows.num_rows, length)]


def fingerprint(rows: "pa.Table") -> bytes:
    """A hash of every bit of some rows: of -0.0, of each nan, and of what is null; not of how they lie in memory."""
    digest = hashlib.sha256()
    for column in rows.itercolumns():
        _add_bits(digest, column.combine_chunks())
    return digest.digest()


def _add_bits(digest: "hashlib._Hash", array: "pa.Array") -> None:
    import pyarrow as pa

    digest.update(array.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_list(array.type):
        digest.update(array.value_lengths().drop_null().to_numpy())
        _add_bits(digest, array.flatten())
    elif pa.types.is_string(array.type):
        digest.update(repr(array.to_pylist()).encode())
    else:
        digest.update(array.drop_null().to_numpy(zero_copy_only=False))

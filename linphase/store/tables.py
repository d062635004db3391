"""The three tables, and their rows as Arrow data with the columns and types that `linphase.store.columns` declares.

Each field of a part carries what its column means, and the panel that shows it, as metadata: so whoever reads it needs
no declaration. Columns that a part has and nobody declares here are kept and shown as long as they carry theirs.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from linphase import __version__
from linphase.store import columns
from linphase.store.columns import SCHEMA_VERSION, Column

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_KEY = b"linphase_schema"  # a part's metadata holds the schema version under it
TABLE_KEY = b"linphase_table"  # ... the name of the table that it belongs to
VERSION_KEY = b"linphase_version"  # ... the version that wrote it
PAPER_KEY = b"linphase_paper"  # ... the paper whose mathematics it computed
ASKED_KEY = b"linphase_configs"  # ... and the digests of the configurations that asked for its rows
PAPER = "arXiv:2405.17580"  # Tu, Aranguri & Jacot 2024
WRITER = {VERSION_KEY: __version__, PAPER_KEY: PAPER}  # what every Parquet file tells, exported ones too
MAX_TEXT = 2**27  # bytes of a text column in a row group
ROW_GROUP_BYTES = 2**23  # what is read to show one trajectory, and held in memory to fold

Row = Mapping[str, Any]
Looks = Mapping[str, Mapping[str, str]]  # of a column's panel: its fields of `Column`, by the column's name


@dataclass(frozen=True, eq=False)
class Table:
    """One of the tables: the directory of its parts, its columns, and what makes two rows copies of each other."""

    name: str
    declared: Callable[[], tuple[Column, ...]]
    key: tuple[str, ...]  # rows that agree in these columns are copies

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that are declared now."""
        return self.declared()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


RUNS = Table("runs", columns.runs_columns, ("run_id",))
TRAJECTORIES = Table("trajectories", columns.trajectories_columns, ("run_id",))
FAILURES = Table("failures", columns.failures_columns, ("run_id", "error", "traceback", "linphase_version"))


def schema_of(table: Table) -> pa.Schema:
    """The Arrow schema of a table's parts as they are written now."""
    return _schema(table.columns, table.name)


@lru_cache(maxsize=16)
def _schema(declared: tuple[Column, ...], table: str) -> pa.Schema:
    told = {SCHEMA_KEY: str(SCHEMA_VERSION), TABLE_KEY: table, **WRITER}
    return pa.schema([field_of(column) for column in declared], metadata=told)


def arrow_of(frame: "pd.DataFrame", told: Mapping[str, Column]) -> pa.Table:
    """A data frame with the types of its columns and what they mean; others stay as they are."""
    fields = [
        field_of(told[name]) if name in told else pa.field(name, pa.Array.from_pandas(frame[name]).type)
        for name in frame.columns
    ]
    schema = pa.schema(fields, metadata=WRITER)
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def field_of(column: Column) -> pa.Field:
    """A column as a field, with what it means as metadata."""
    told = {name: value for name in _TOLD if (value := getattr(column, name))}
    return pa.field(column.name, _arrow_type(column.type), metadata=told)


def column_of(field: pa.Field) -> Column | None:
    """The column that a stored field tells of; None where it tells of none, as a stranger's does."""
    told = {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for key, value in (field.metadata or {}).items()
    }
    if "meaning" not in told or _type_name(field.type) not in _TYPES:
        return None
    values: dict[str, Any] = {name: told.get(name, "") for name in _TOLD}
    return Column(field.name, _type_name(field.type), **values | {"key": values["key"] or None})


def undeclared(table: Table, schema: pa.Schema) -> tuple[Column, ...]:
    """The columns of a part that are not declared here, and tell what they are."""
    declared = set(table.names)
    found = (column_of(field) for field in schema if field.name not in declared)
    return tuple(column for column in found if column is not None)


def merged(schemas: Iterable[pa.Schema], table: Table) -> pa.Schema:
    """The declared schema, and behind it what parts have besides, by name; a name of several types is left out.

    What the parts tell of the panels of their columns is kept.
    """
    told = dict.fromkeys(column for schema in schemas for column in _told_in(schema.serialize().to_pybytes()))
    return _merged(tuple(told), table.columns, table.name)


@lru_cache(maxsize=64)
def _told_in(schema: bytes) -> tuple[Column, ...]:
    """The columns of a schema that tell what they are; by its bytes, as schemas are equal whatever they tell."""
    found = (column_of(field) for field in pa.ipc.read_schema(pa.py_buffer(schema)))
    return tuple(column for column in found if column is not None)


@lru_cache(maxsize=64)
def _merged(told: tuple[Column, ...], columns: tuple[Column, ...], table: str) -> pa.Schema:
    first = {column.name: column for column in reversed(told)}
    torn = {column.name for column in told if column.type != first[column.name].type}
    panels = {column.name: column for column in reversed(told) if column.panel}
    declared = [
        replace(column, **{name: getattr(panels[column.name], name) for name in _PANEL})
        if column.name in panels
        else column
        for column in columns
    ]
    others = (first[name] for name in sorted(first.keys() - torn - {column.name for column in columns}))
    return _schema((*declared, *others), table)


def _type_name(kind: pa.DataType) -> str:
    """An Arrow type as `Column.type` writes it."""
    text = str(kind)
    found = re.fullmatch(r"list<\w+: (\w+)(?: not null)?>", text)
    names = {"double": "float64", "float": "float32"}
    return f"list<{names.get(found[1], found[1])}>" if found else names.get(text, text)


_PANEL = ("panel", "title", "formula", "scale", "colors")
_TOLD = ("meaning", "unit", "key", *_PANEL)
_TYPES = ("string", "bool", "int32", "int64", "float64", "list<float64>", "list<float32>", "list<int64>")


def _arrow_type(text: str) -> pa.DataType:
    if text.startswith("list<"):
        return pa.list_(_arrow_type(text.removeprefix("list<").removesuffix(">")))
    return pa.type_for_alias(text)


def to_arrow(table: Table, rows: Sequence[Row]) -> pa.Table:
    """The rows as an Arrow table with the types declared; ValueError where they are not as declared."""
    names = set(table.names)
    for row in rows:
        if row.keys() != names:
            missing, extra = sorted(names - row.keys()), sorted(row.keys() - names)
            raise ValueError(f"a row of {table.name} lacks columns {missing}, has undeclared columns {extra}")
    schema = schema_of(table)
    arrays = []
    for column in schema:
        values = [row[column.name] for row in rows]
        is_list = pa.types.is_list(column.type)
        arrays.append(_list_array(values, column.type) if is_list else pa.array(values, column.type))
    made = pa.Table.from_arrays(arrays, schema=schema)
    check_rows(made, table)
    return made


def with_looks(rows: pa.Table, looks: Looks) -> pa.Table:
    """The same rows whose fields tell of the panels of their columns, too."""
    if not looks:
        return rows
    fields = [field.with_metadata({**(field.metadata or {}), **looks.get(field.name, {})}) for field in rows.schema]
    return rows.cast(pa.schema(fields, metadata=rows.schema.metadata))


def vouching(table: Table) -> list[str]:
    """The columns, lists left out, by whose values `check_rows` knows whether linphase can have written a row."""
    needed = (one for one in table.columns if one.required or one.words or one.bounds)
    return [column.name for column in needed if not column.type.startswith("list<")]


def check_rows(rows: pa.Table, table: Table) -> None:
    """Raise ValueError where rows, of some or all columns, are such as linphase never writes."""
    there = set(rows.column_names)
    for column in (one for one in table.columns if one.name in there):
        values = rows.column(column.name)
        if column.required and values.null_count:
            raise ValueError(f"it has rows without a {column.name}")
        if pa.types.is_list(values.type) and pc.list_flatten(values).null_count:
            raise ValueError(f"it has lists with nulls in {column.name}")
        if column.words and not pc.all(pc.is_in(values.drop_null(), pa.array(column.words)), min_count=0).as_py():
            raise ValueError(f"it has rows whose {column.name} is none of {', '.join(column.words)}")
        if column.bounds and not pc.all(_within(values, *column.bounds), min_count=0).as_py():
            raise ValueError(f"it has rows whose {column.name} no run can have")
    _check_lengths(rows, table)


def _within(values: pa.ChunkedArray, least: float, most: float) -> pa.ChunkedArray:
    """Which values are neither below the least nor above the most; nan never is."""
    enough = pc.greater_equal(values, pa.scalar(least, values.type))
    return enough if most == math.inf else pc.and_(enough, pc.less_equal(values, pa.scalar(most, values.type)))


def asked_by(schema: pa.Schema, digests: Iterable[str]) -> pa.Schema:
    """The same schema, which tells of the configurations that asked for the rows of a part."""
    told = {**(schema.metadata or {}), ASKED_KEY: " ".join(sorted(set(digests))).encode()}
    return schema.with_metadata(told)


def askers(schema: pa.Schema) -> set[str]:
    """The digests of the configurations that a part's schema tells of."""
    return set((schema.metadata or {}).get(ASKED_KEY, b"").decode("ascii", "replace").split())


def _check_lengths(rows: pa.Table, table: Table) -> None:
    """Raise ValueError where lists have other lengths than linphase writes; null ones are not looked at."""
    there = set(rows.column_names)
    for column in (one for one in table.columns if one.along and {one.name, *_tellers(one)} <= there):
        length, wanted = _lengths(rows, column.name), _lengths(rows, *_tellers(column))
        wrong = pc.not_equal(length, wanted)
        if column.optional:
            wrong = pc.and_(wrong, pc.greater(length, 0))
        if pc.any(wrong, min_count=0).as_py():
            at = pc.index(wrong, True).as_py()
            raise ValueError(f"{column.name} must have {wanted[at]} values, found {length[at]}")


def _tellers(column: Column) -> list[str]:
    """The columns that tell how long the lists of one are."""
    return [columns.LENGTHS[each] for each in column.along]


def _lengths(rows: pa.Table, *names: str) -> pa.ChunkedArray:
    """What some columns count in each row, lists by their lengths, multiplied."""
    each = (
        pc.list_value_length(rows.column(name)) if pa.types.is_list(rows.column(name).type) else rows.column(name)
        for name in names
    )
    return reduce(pc.multiply, (one.cast(pa.int64()) for one in each))


def _list_array(values: Sequence[Any], kind: pa.DataType) -> pa.ListArray:
    """Numpy arrays as an Arrow list column, row-major, without a Python object for every number."""
    with np.errstate(over="ignore"):  # what explodes in a diverged run may become inf
        flat = [np.ravel(value).astype(kind.value_type.to_pandas_dtype(), copy=False) for value in values]
    offsets = np.cumsum([0, *(array.size for array in flat)])
    offsets = pa.array(offsets, pa.int32())  # refuses to overflow
    return pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(flat), kind.value_type), type=kind)


def conform(rows: pa.Table, schema: pa.Schema, names: Sequence[str]) -> pa.Table:
    """The columns named with the types of a schema; null where a part does not have them."""
    wanted = pa.schema([schema.field(name) for name in names], metadata=schema.metadata)
    if rows.schema.equals(wanted, check_metadata=True):
        return rows
    there = set(rows.column_names)
    arrays = [
        _written_out(rows.column(column.name)).cast(column.type)
        if column.name in there
        else pa.nulls(rows.num_rows, column.type)
        for column in wanted
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)


def _written_out(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column whose values are references to the different ones among them, as these values; ValueError: too large."""
    if not pa.types.is_dictionary(column.type):
        return column
    for chunk in column.chunks:
        lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
        if (pc.sum(lengths.take(chunk.indices.drop_null())).as_py() or 0) > MAX_TEXT:
            raise ValueError(f"it has more than {MAX_TEXT} bytes of text in a column")
    return column.cast(column.type.value_type)


def in_row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of about ROW_GROUP_BYTES."""
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


def _slices(rows: pa.Table) -> list[pa.Table]:
    """A table in row groups of about ROW_GROUP_BYTES."""
    length = max(1, rows.num_rows * ROW_GROUP_BYTES // max(1, rows.nbytes))
    return [rows.slice(start, length) for start in range(0, rows.num_rows, length)]


def fingerprint(rows: pa.Table) -> bytes:
    """A hash of every bit of some rows: of -0.0, of each nan, and of what is null; not of how they lie in memory."""
    digest = hashlib.sha256()
    for column in rows.itercolumns():
        _add_bits(digest, column.combine_chunks())
    return digest.digest()


def _add_bits(digest: "hashlib._Hash", array: pa.Array) -> None:
    digest.update(array.is_null().to_numpy(zero_copy_only=False))
    if pa.types.is_list(array.type):
        digest.update(array.value_lengths().drop_null().to_numpy())
        _add_bits(digest, array.flatten())
    elif pa.types.is_string(array.type):
        digest.update(repr(array.to_pylist()).encode())
    else:
        digest.update(array.drop_null().to_numpy(zero_copy_only=False))

"""Small parts made into large ones, and copies of a run into one."""

import itertools
import os
import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from linphase.errors import ResultsError
from linphase.files import remove, sync
from linphase.store.asked import Asked, asked_in, repeated
from linphase.store.directory import existing
from linphase.store.reading import (
    Gone,
    Unreadable,
    explained,
    names_in,
    opened,
    row_groups,
    scan,
    stored_schema,
    warn_skipped,
)
from linphase.store.tables import (
    FAILURES,
    RUNS,
    TRAJECTORIES,
    Table,
    asked_by,
    askers,
    conform,
    fingerprint,
    in_row_groups,
    merged,
    undeclared,
)
from linphase.store.writing import Draft, publish, write_draft

PART_BYTES = 2**28  # size up to which parts are folded


def compact(path: str | Path) -> int:
    """Fold until nothing is left to fold, as where two compact at once and each leaves a copy of every run.

    Beside a running sweep there is always something new, so it ends after a few rounds in any case. Returns how
    many parts are gone.
    """
    folded = 0
    for _ in range(10):
        began = time.monotonic()
        gone = fold(path)
        folded += gone
        if not gone:
            break
        time.sleep(random.uniform(0, min(1, time.monotonic() - began)))  # out of step with the other one
    return folded


def fold(path: str | Path, parts: Collection[str] | None = None) -> int:
    """Fold small parts into large ones, and copies of a run into one; returns how many parts are gone.

    parts: the names that `write_runs` and `write_failures` gave, or None for all. Safe to kill at any moment,
    and safe beside writers, readers and other folders. Parts that cannot be read are left, with a warning; so are those
    with rows that no configuration asks for, or that say other than their ids stand for.
    """
    root = existing(path)
    folded = 0
    with explained(root):
        asked = asked_in(root)
        for table in (TRAJECTORIES, RUNS, FAILURES):
            found = scan(root, table, partial(_content, table=table, asked=asked), only=parts)
            torn = _torn(found.values())
            own = {
                name: content
                for name, content in found.items()
                if content.whole and content.own and not torn & content.others.keys()
            }
            for group in _groups(own):
                folded += _fold_group(root / table.name, table, group)
    return folded


@dataclass(frozen=True)
class _Content:
    keys: list[tuple[str, ...]]
    size: int  # in bytes, of the file
    whole: bool  # whether all its columns are declared or tell what they are; a part that has others would lose them
    others: dict[str, str]  # its columns that are not declared here, and their types
    own: bool  # whether configurations of the directory ask for all its runs, as its rows tell of them


def _torn(parts: Iterable[_Content]) -> set[str]:
    """The columns that parts hold with several types, which `merged` leaves out."""
    types: dict[str, set[str]] = {}
    for part in parts:
        for name, kind in part.others.items():
            types.setdefault(name, set()).add(kind)
    return {name for name, kinds in types.items() if len(kinds) > 1}


def _content(file: Path, table: Table, asked: Asked) -> _Content:
    with opened(file, table) as part:
        size = file.stat().st_size
        others = {column.name: column.type for column in undeclared(table, stored_schema(part))}
        whole = set(stored_schema(part).names) <= {*table.names, *others}
    keys: list[tuple[str, ...]] = []
    own = True
    for rows in in_row_groups(row_groups(file, table, list(dict.fromkeys((*table.key, *repeated(table)))))):
        keys += _keys(rows, table)
        own = own and asked.all(rows.column("run_id").to_pylist()) and asked.contradicted(rows, table) is None
    return _Content(keys, size, whole, others, own)


def _keys(rows: pa.Table, table: Table) -> list[tuple[str, ...]]:
    return list(zip(*(rows.column(name).to_pylist() for name in table.key), strict=True))


def _groups(parts: Mapping[str, _Content]) -> list[list[str]]:
    """Parts to be folded together: those that share a run, and otherwise small ones up to PART_BYTES.

    A part that holds copies itself is folded alone where it has no company.
    """
    repeating = {name for name, content in parts.items() if len(set(content.keys)) < len(content.keys)}
    groups: list[list[str]] = []
    room = 0
    for cluster in _clusters({name: content.keys for name, content in parts.items()}):
        size = sum(parts[name].size for name in cluster)
        if len(cluster) == 1 and size > PART_BYTES // 2 and not repeating.intersection(cluster):
            continue
        if not groups or size > room:
            groups.append([])
            room = PART_BYTES
        groups[-1] += cluster
        room -= size
    return [group for group in groups if len(group) > 1 or repeating.intersection(group)]


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


def _fold_group(directory: Path, table: Table, group: Sequence[str]) -> int:
    """Write the rows of some parts into new ones, and only then delete the old ones."""
    read: list[Path] = []
    drafts: list[Draft] = []
    marks: list[bytes] = []
    schemas = _schemas(directory, table, group)
    schema = asked_by(merged(schemas, table), itertools.chain.from_iterable(map(askers, schemas)))
    rows = marked(in_row_groups(_distinct_rows(directory, table, group, schema, read)), marks)
    try:
        for first in rows:
            drafts.append(write_draft(directory, schema, itertools.chain([first], rows), limit=PART_BYTES))
        if len(read) < min(2, len(group)):  # somebody else has folded the others meanwhile
            return 0
        read_back(drafts, table, marks)
        made = {publish(draft) for draft in drafts}
    finally:
        remove([draft.file for draft in drafts])
    # A part that held every row of the others has the content, and so the name, of the new one.
    gone = [file for file in read if file.name not in made]
    for file in gone:
        with suppress(FileNotFoundError):
            os.unlink(file)
    sync(directory)
    return len(gone)


def marked(tables: Iterator[pa.Table], marks: list[bytes]) -> Iterator[pa.Table]:
    """The same tables; `marks` receives the fingerprint of each."""
    for rows in tables:
        marks.append(fingerprint(rows))
        yield rows


def read_back(drafts: Sequence[Draft], table: Table, marks: Sequence[bytes]) -> None:
    """Make sure that drafts hold, bit for bit, the row groups of these fingerprints."""
    directory = drafts[0].file.parent
    try:
        found = [fingerprint(rows) for draft in drafts for rows in row_groups(draft.file, table, named=draft.name)]
    except (Gone, Unreadable) as error:
        raise ResultsError(f"{directory}: a new part cannot be read back: {error}. {_NOTHING_LOST}") from error
    if found != list(marks):
        raise ResultsError(f"{directory}: a new part reads other than it was written. {_NOTHING_LOST}")


_NOTHING_LOST = "The old parts are kept. Check the disk and the memory of this machine"


def _schemas(directory: Path, table: Table, group: Sequence[str]) -> list[pa.Schema]:
    """The schemas of some parts, as far as they are there."""
    found = []
    for name in group:
        with suppress(Gone, Unreadable), opened(directory / name, table) as part:
            found.append(stored_schema(part))
    return found


def _distinct_rows(
    directory: Path, table: Table, group: Sequence[str], schema: pa.Schema, read: list[Path]
) -> Iterator[pa.Table]:
    """The rows of some parts without copies; `read` receives the parts that were read to their end.

    Of copies the one with the most observables is kept: `linphase sweep --fill` makes such copies.
    """
    fullest = _fullest(directory, table, group) if table is not FAILURES else {}
    seen: set[tuple[str, ...]] = set()
    for name in group:
        try:
            for rows in row_groups(directory / name, table):
                fresh = []
                counts = _counts(rows) if fullest else [0] * rows.num_rows
                for key, count in zip(_keys(rows, table), counts, strict=True):
                    fresh.append(key not in seen and count >= fullest.get(key, 0))
                    if fresh[-1]:
                        seen.add(key)
                yield conform(rows.filter(pa.array(fresh, pa.bool_())), schema, schema.names)
        except Gone:
            continue
        except Unreadable as error:
            warn_skipped(directory / name, error)
            continue
        read.append(directory / name)


def _fullest(directory: Path, table: Table, group: Sequence[str]) -> dict[tuple[str, ...], int]:
    """The most observables that any copy of a run has, by the run's key."""
    most: dict[tuple[str, ...], int] = {}
    for name in group:
        with suppress(Gone, Unreadable):
            for rows in row_groups(directory / name, table, (*table.key, "observables")):
                for key, count in zip(_keys(rows, table), _counts(rows), strict=True):
                    most[key] = max(count, most.get(key, 0))
    return most


def _counts(rows: pa.Table) -> list[int]:
    return [len(names_in(text)) for text in rows.column("observables").to_pylist()]

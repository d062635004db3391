"""Every byte of a results directory read: what is damaged, left over or lost."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from linphase.store.configurations import configs, existing
from linphase.store.reading import Unreadable, row_groups, scan
from linphase.store.tables import FAILURES, RUNS, TRAJECTORIES, Table

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = (RUNS, TRAJECTORIES, FAILURES)
_DRAFT = re.compile(r"\.(part-[0-9a-f]{32}\.parquet|[0-9a-f]{32})")  # the names of drafts, of nothing else
# Columns in which the copies of a run may differ: how long it took, and where.
_CIRCUMSTANCES = frozenset(
    ("elapsed_s", "linphase_version", "python_version", "numpy_version", "scipy_version", "blas", "cpu")
)


@dataclass(frozen=True)
class Checked:
    """What `check` found. Names of files are relative to the directory, such as runs/part-0123.parquet."""

    parts: int  # whole parts of all tables
    runs: int  # finished runs
    copies: int  # rows beyond the first of each of them
    contradictory: tuple[str, ...]  # runs with copies that differ in a number (another CPU or version made them)
    damaged: tuple[tuple[str, str], ...]  # broken or foreign files, each with what is wrong with it
    untraced: tuple[str, ...]  # finished runs without a whole trajectory
    leftovers: tuple[str, ...]  # drafts: being written, or left by a writer that was killed

    @property
    def sound(self) -> bool:
        """Whether every finished run is whole and nothing is there that does not belong there."""
        return not self.damaged and not self.untraced


def check(path: str | Path) -> Checked:
    """Read every part of a results directory to its end, changing nothing; safe beside writers and folders.

    Raises
    ------
    ResultsError
        If there is no such directory, or it is none of results, or a newer linphase wrote it; and where a
        configuration is damaged.
    """
    root = existing(path)
    configs(root)
    # The runs first: a run's row appears after its trajectory.
    rows = scan(root, RUNS, partial(_examined, table=RUNS))
    traces = scan(root, TRAJECTORIES, partial(_examined, table=TRAJECTORIES))
    failures = scan(root, FAILURES, partial(_examined, table=FAILURES))
    examined = {RUNS: rows, TRAJECTORIES: traces, FAILURES: failures}
    whole = [part for parts in examined.values() for part in parts.values() if not isinstance(part, str)]
    ids = Counter(run_id for part in rows.values() if not isinstance(part, str) for run_id in part)
    traced = {run_id for part in traces.values() if not isinstance(part, str) for run_id in part}
    damaged = [
        (f"{table.name}/{name}", part)
        for table, parts in examined.items()
        for name, part in parts.items()
        if isinstance(part, str)
    ]
    return Checked(
        parts=len(whole),
        runs=len(ids),
        copies=ids.total() - len(ids),
        contradictory=_contradictory(root, {run_id for run_id, count in ids.items() if count > 1}),
        damaged=(*damaged, *((name, "no part of the results") for name in _strangers(root))),
        untraced=tuple(sorted(ids.keys() - traced)),
        leftovers=tuple(leftovers(root)),
    )


def _examined(file: Path, table: Table) -> list[str] | str:
    """The ids in a part that is whole; what is wrong with it where it is not."""
    try:
        found = [rows.column("run_id").to_pylist() for rows in row_groups(file, table, table.names)]
        return list(itertools.chain.from_iterable(found))
    except Unreadable as error:
        return str(error)


def is_damaged(root: Path, name: str) -> bool:
    """Whether a file is no whole part (any more), by its name relative to the directory."""
    table = next(table for table in TABLES if table.name == Path(name).parent.name)
    return Path(name).suffix != ".parquet" or isinstance(_examined(root / name, table), str)


def _contradictory(root: Path, ids: Collection[str]) -> tuple[str, ...]:
    """Those of some runs whose copies differ in a number; what a copy of an older linphase lacks is no difference."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not ids:
        return ()

    names = [name for name in RUNS.names if name not in _CIRCUMSTANCES]
    chosen = pa.array(sorted(ids))

    def copies(file: Path) -> "list[pa.Table]":
        try:
            return [rows.filter(pc.is_in(rows.column("run_id"), chosen)) for rows in row_groups(file, RUNS, names)]
        except Unreadable:  # `check` has named it
            return []

    found = [rows for tables in scan(root, RUNS, copies).values() for rows in tables]
    different = pa.concat_tables(found).to_pandas().groupby("run_id").nunique(dropna=True).gt(1).any(axis="columns")
    return tuple(sorted(different.index[different]))


def _strangers(root: Path) -> list[str]:
    """Visible files among the parts that are none; they would stop other readers of Parquet."""
    return [
        f"{table.name}/{name}"
        for table in TABLES
        for name in _names(root / table.name)
        if not name.startswith((".", "_")) and not name.endswith(".parquet")
    ]


def leftovers(root: Path) -> list[str]:
    """Drafts, whether somebody still writes them or not."""
    directories = ("configs", *(table.name for table in TABLES))
    return [f"{name}/{file}" for name in directories for file in _names(root / name) if _DRAFT.fullmatch(file)]


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:  # `scan` has listed the same directory, and complains where that matters
        return []

"""Every byte of a results directory read: what is damaged, left over or lost."""

import errno
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from linphase.errors import ResultsError
from linphase.files import ABSENT, SAFE_AGE, entries, readable, remove, sync
from linphase.model import arrays
from linphase.store.asked import Asked, asked_in, repeated
from linphase.store.directory import ARRAYS, configs, existing, leads_out
from linphase.store.folding import marked, read_back
from linphase.store.reading import (
    Damaged,
    Gone,
    Unreadable,
    explained,
    is_part,
    opened,
    row_groups,
    scan,
    stored_schema,
)
from linphase.store.tables import FAILURES, RUNS, TRAJECTORIES, Table, asked_by, askers, in_row_groups, merged
from linphase.store.writing import publish, write_draft

TABLES = (RUNS, TRAJECTORIES, FAILURES)
_DRAFT = re.compile(r"\.[0-9a-f]{32}")  # the names of drafts, of nothing else
# Columns in which the copies of a run may differ: how long it took, where, and what was measured besides.
_CIRCUMSTANCES = frozenset(
    (
        "elapsed_s",
        "observables",
        "plugin",
        "linphase_version",
        "python_version",
        "numpy_version",
        "scipy_version",
        "blas",
        "cpu",
    )
)


@dataclass(frozen=True)
class Checked:
    """What `check` found. Names of files are relative to the directory, such as runs/part-0123.parquet."""

    parts: int  # whole parts of all tables
    runs: int  # finished runs
    copies: int  # rows beyond the first of each of them
    contradictory: tuple[str, ...]  # runs with copies that differ in a number (another CPU or version made them)
    damaged: tuple[tuple[str, str], ...]  # parts whose bytes are not those that were written, each with what is wrong
    foreign: tuple[tuple[str, str], ...]  # files that do not belong here, each with why
    mixed: tuple[tuple[str, str], ...]  # parts with some rows of runs that no configuration here asks for, and how many
    untraced: tuple[str, ...]  # finished runs without a whole trajectory
    leftovers: tuple[str, ...]  # drafts: being written, or left by a writer that was killed

    @property
    def sound(self) -> bool:
        """Whether every finished run is whole and nothing is there that does not belong there."""
        return not self.damaged and not self.foreign and not self.untraced


def check(path: str | Path) -> Checked:
    """Read every part of a results directory to its end, changing nothing; safe beside writers and folders.

    Raises
    ------
    ResultsError
        If there is no such directory, or it is none of results, or a newer linphase wrote it; and where a
        configuration is damaged.
    """
    root = existing(path)
    asked = asked_in(root)
    # The runs first: a run's row appears after its trajectory.
    examined = {
        f"{table.name}/{name}": part
        for table in (RUNS, TRAJECTORIES, FAILURES)
        for name, part in scan(root, table, partial(_examined, table=table, asked=asked)).items()
    }
    whole = {name: part for name, part in examined.items() if isinstance(part, _Ids)}
    ids = Counter(run_id for part in _within(RUNS, whole) for run_id in part.own)
    traced = {run_id for part in _within(TRAJECTORIES, whole) for run_id in part.own}
    refused = [
        (name, part) for name, part in (examined | _unsound_arrays(root)).items() if isinstance(part, Unreadable)
    ]
    return Checked(
        parts=len(whole),
        runs=len(ids),
        copies=ids.total() - len(ids),
        contradictory=_contradictory(root, {run_id for run_id, count in ids.items() if count > 1}),
        damaged=tuple((name, str(why)) for name, why in refused if isinstance(why, Damaged)),
        foreign=(
            *((name, str(why)) for name, why in refused if not isinstance(why, Damaged)),
            *((name, "no part of the results") for name in _others(root)),
        ),
        mixed=tuple((name, f"{part.strange} of {part.rows} rows") for name, part in whole.items() if part.strange),
        untraced=tuple(sorted(ids.keys() - traced)),
        leftovers=tuple(leftovers(root)),
    )


@dataclass(frozen=True)
class _Ids:
    """The ids in a whole part that configurations of the directory ask for, and how many others it has."""

    own: list[str]
    strange: int

    @property
    def rows(self) -> int:
        return len(self.own) + self.strange


def _within(table: Table, parts: Mapping[str, _Ids]) -> list[_Ids]:
    return [part for name, part in parts.items() if name.startswith(f"{table.name}/")]


def _examined(file: Path, table: Table, asked: Asked) -> _Ids | Unreadable:
    """The ids in a part that is whole and belongs here; why not where it does not."""
    ids: list[str] = []
    try:
        told = dict.fromkeys(("run_id", *repeated(table)))
        # Many small row groups are looked at together.
        for rows in in_row_groups(each.select(list(told)) for each in row_groups(file, table)):
            if column := asked.contradicted(rows, table):
                return Unreadable(f"its rows have another {column} than the runs of their ids")
            ids += rows.column("run_id").to_pylist()
    except Unreadable as error:
        return error
    known = asked.places(ids)[0] >= 0
    if ids and not known.any():
        return Unreadable("no configuration here asks for its runs")
    return _Ids([run_id for run_id, own in zip(ids, known, strict=True) if own], int((~known).sum()))


def _unsound_arrays(root: Path) -> dict[str, Unreadable]:
    """The files of the user's own arrays that do not hold what their names say, by name, and those that are lost."""
    with readable(root / ARRAYS):
        found = {f"{ARRAYS}/{name}": _array(root / ARRAYS / name) for name in entries(root / ARRAYS) if name[0] != "."}
    for config in configs(root):
        for file in arrays.files_of(config.get("task", {})):
            found.setdefault(f"{ARRAYS}/{file}", Damaged(arrays.LOST))
    return {name: why for name, why in found.items() if why is not None}


def _array(file: Path) -> Unreadable | None:
    """Why a file is none of the user's own arrays as they were kept."""
    if not re.fullmatch(arrays.FILE, file.name):
        return Unreadable("no array of the results")
    if leads_out(file, file.parent.parent):
        return Unreadable("it is a link out of the results directory")
    wrong = arrays.damage(file)
    return Damaged(wrong) if wrong else None


def _is_refused(root: Path, name: str, asked: Asked) -> bool:
    """Whether a file, by its name relative to the directory, is no part of the results (any more)."""
    if Path(name).parent.name == ARRAYS:
        return _array(root / name) is not None
    table = next(table for table in TABLES if table.name == Path(name).parent.name)
    return not is_part(Path(name).name) or isinstance(_examined(root / name, table, asked), Unreadable)


def _contradictory(root: Path, ids: Collection[str]) -> tuple[str, ...]:
    """Those of some runs whose copies differ in a number; what a copy of an older linphase lacks is no difference."""
    if not ids:
        return ()

    names = [name for name in RUNS.names if name not in _CIRCUMSTANCES]
    chosen = pa.array(sorted(ids))

    def copies(file: Path) -> list[pa.Table]:
        try:
            return [rows.filter(pc.is_in(rows.column("run_id"), chosen)) for rows in row_groups(file, RUNS, names)]
        except Unreadable:  # `check` has named it
            return []

    found = [rows for tables in scan(root, RUNS, copies).values() for rows in tables]
    different = (
        pa.concat_tables(found)
        .to_pandas(use_threads=False)
        .groupby("run_id")
        .nunique(dropna=True)
        .gt(1)
        .any(axis="columns")
    )
    return tuple(sorted(different.index[different]))


def _others(root: Path) -> list[str]:
    """Visible files among the parts that are none; they would stop other readers of Parquet."""
    return [
        f"{table.name}/{name}"
        for table in TABLES
        for name in entries(root / table.name)
        if not name.startswith((".", "_")) and not is_part(name)
    ]


def leftovers(root: Path) -> list[str]:
    """Drafts, whether somebody still writes them or not."""
    directories = ("configs", ARRAYS, *(table.name for table in TABLES))
    drafts = (f"{name}/{file}" for name in directories for file in entries(root / name) if _DRAFT.fullmatch(file))
    with readable(root):
        return [name for name in drafts if not (root / name).is_dir()]


QUARANTINE = "quarantine"  # beside runs/, never inside: no reader of the parts looks there


def repair(path: str | Path, found: Checked) -> list[str]:
    """Move damaged and foreign files into quarantine/ and remove old drafts; returns what was done, a line each.

    The runs in damaged parts count as missing then. So do runs whose trajectory was in a damaged part: their rows
    are taken out of runs/, and the part that held them is kept in quarantine/ too. Safe to kill at any moment and
    safe beside writers and folders; what a folder moved meanwhile, the next `check` finds.
    """
    root = existing(path)
    done = []
    with explained(root):
        asked = asked_in(root)
        refused = [(name, why) for name, why in (*found.damaged, *found.foreign) if _is_refused(root, name, asked)]
        # Trajectories that are lost, not only absent because somebody copied runs/ alone. Their rows go first: were
        # this killed in between, the damaged part would still be there to say so.
        lost = any(Path(name).parent.name == TRAJECTORIES.name for name, _ in refused)
        if found.untraced and (lost or (root / QUARANTINE / TRAJECTORIES.name).is_dir()):
            done += _set_rows_aside(root, set(found.untraced))
        for name, why in refused:
            if moved := _set_aside(root, name):
                done.append(f"{name} moved to {moved}: {why}")
        done += _remove_leftovers(root, found.leftovers)
    return done


def _set_aside(root: Path, name: str) -> str | None:
    """Move a file into quarantine/; its new name, or None where somebody else has moved it."""
    source, target = root / name, root / QUARANTINE / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno in ABSENT:
            return None
        if error.errno != errno.EXDEV:
            raise
        _carry(source, target)
    sync(target.parent)
    sync(source.parent)
    return str(target.relative_to(root))


def _carry(source: Path, target: Path) -> None:
    """Move a file to another file system: a copy that lasts there, and only then the old one goes."""
    if source.is_symlink() or not source.is_file():
        raise ResultsError(f"{source}: is no file and lies on another file system than quarantine/. Move it away")
    draft = target.with_name(f".{uuid.uuid4().hex}")
    try:
        with source.open("rb") as old, draft.open("xb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        os.rename(draft, target)
        sync(target.parent)
        os.unlink(source)
    finally:
        remove([draft])


def _set_rows_aside(root: Path, ids: Collection[str]) -> list[str]:
    """Take the rows of some runs out of runs/: the others into a new part first, then the old part aside."""

    def holds(file: Path) -> int:
        try:
            read = row_groups(file, RUNS, ("run_id",))
            return sum(run_id in ids for rows in read for run_id in rows.column("run_id").to_pylist())
        except Unreadable:
            return 0

    done = []
    for name, count in scan(root, RUNS, holds).items():
        if not count:
            continue
        with suppress(Gone, Unreadable):  # folded since, or damaged since
            _publish_others(root, name, ids)
            if moved := _set_aside(root, f"{RUNS.name}/{name}"):
                done.append(f"{count} runs of {RUNS.name}/{name} without a trajectory taken out, kept in {moved}")
    return done


def _publish_others(root: Path, name: str, ids: Collection[str]) -> None:
    """Write the rows of a part that are not of these runs into a new one."""

    def others() -> Iterator[pa.Table]:
        for rows in row_groups(root / RUNS.name / name, RUNS):
            kept = [run_id not in ids for run_id in rows.column("run_id").to_pylist()]
            if any(kept):
                yield rows.filter(kept)

    marks: list[bytes] = []
    with opened(root / RUNS.name / name, RUNS) as part:
        schema = asked_by(merged([stored_schema(part)], RUNS), askers(stored_schema(part)))
    draft = write_draft(root / RUNS.name, schema, marked(others(), marks))
    try:
        read_back([draft], RUNS, marks)
        if marks:
            publish(draft)
    finally:
        remove([draft.file])


def _remove_leftovers(root: Path, names: Collection[str]) -> list[str]:
    """Remove the drafts that nobody writes any more, by the clock of the file system and not by this machine's."""
    done = []
    for name in names:
        with suppress(FileNotFoundError):  # finished since, or removed
            hours = _age(root / name) / 3600
            if hours * 3600 > SAFE_AGE:
                os.unlink(root / name)
                done.append(f"{name} removed: a draft that was left {hours:.0f} hours ago")
            else:
                done.append(f"{name} left: younger than {SAFE_AGE / 3600:.0f} hours, somebody may still write it")
    return done


def _age(file: Path) -> float:
    """Seconds since a file was changed, by a file that is made beside it now."""
    probe = file.with_name(f".{uuid.uuid4().hex}")
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime - file.stat().st_mtime
    finally:
        remove([probe])

"""What `check` found, put in order: damaged files move aside, nothing that could be a result is deleted."""

import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from linphase.store.checking import Checked, is_damaged
from linphase.store.configurations import existing
from linphase.store.files import explained, remove, sync
from linphase.store.folding import marked, read_back
from linphase.store.reading import Gone, Unreadable, row_groups, scan
from linphase.store.tables import RUNS, TRAJECTORIES
from linphase.store.writing import new_name, publish, write_draft

if TYPE_CHECKING:
    import pyarrow as pa

QUARANTINE = "quarantine"  # beside runs/, never inside: no reader of the parts looks there
SAFE_AGE = 24 * 3600.0  # seconds; a draft is written within minutes


def repair(path: str | Path, found: Checked) -> list[str]:
    """Move damaged files into quarantine/ and remove old drafts; returns what was done, a line each.

    The runs in damaged parts count as missing then. So do runs whose trajectory was in a damaged part: their rows
    are taken out of runs/, and the part that held them is kept in quarantine/ too. Safe to kill at any moment and
    safe beside writers and folders; what a folder moved meanwhile, the next `check` finds.
    """
    root = existing(path)
    done = []
    with explained(root):
        damaged = [(name, why) for name, why in found.damaged if is_damaged(root, name)]
        # Trajectories that are lost, not only absent because somebody copied runs/ alone. Their rows go first: were
        # this killed in between, the damaged part would still be there to say so.
        lost = any(Path(name).parent.name == TRAJECTORIES.name for name, _ in damaged)
        if found.untraced and (lost or (root / QUARANTINE / TRAJECTORIES.name).is_dir()):
            done += _set_rows_aside(root, set(found.untraced))
        for name, why in damaged:
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
    except FileNotFoundError:
        return None
    sync(target.parent)
    sync(source.parent)
    return str(target.relative_to(root))


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

    def others() -> "Iterator[pa.Table]":
        for rows in row_groups(root / RUNS.name / name, RUNS, RUNS.names):
            kept = [run_id not in ids for run_id in rows.column("run_id").to_pylist()]
            if any(kept):
                yield rows.filter(kept)

    marks: list[bytes] = []
    draft = write_draft(root / RUNS.name, new_name(), RUNS, marked(others(), marks))
    try:
        read_back([draft], RUNS, marks)
        if marks:
            publish(draft)
    finally:
        remove([draft])


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

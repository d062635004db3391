"""Run ids of a directory that others go on writing to."""

from pathlib import Path

from linphase.store.configurations import existing
from linphase.store.reading import row_groups, scan
from linphase.store.tables import FAILURES, RUNS


class Ids:
    """The ids of the finished (or the failed) runs, kept up to date: each part is read once."""

    def __init__(self, path: str | Path, *, failed: bool = False) -> None:
        self._root, self._table = existing(path), FAILURES if failed else RUNS
        self._parts: dict[str, None] = {}
        self._ids: set[str] = set()

    def now(self) -> set[str]:
        """The ids that are there at this moment, in one set that grows from call to call."""
        scan(self._root, self._table, self._read, found=self._parts)
        return self._ids

    def _read(self, file: Path) -> None:
        groups = [rows.column("run_id").to_pylist() for rows in row_groups(file, self._table, ("run_id",))]
        for ids in groups:  # only now: a broken part counts for nothing
            self._ids.update(ids)

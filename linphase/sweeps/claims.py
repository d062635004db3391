"""Which runs a sweep has in hand, told to others that sweep into the same directory: a hint, never a lock.

A sweep appends the ids of the runs it hands out to a file of its own in RESULTS/.claims, on which it holds a flock
until it ends, in whatever way it ends: then the kernel lets go of it. A file without a flock is a dead sweep's; whoever
sees it deletes it. Others first do what nobody claims. Where claims do not work (no flock, no room), sweeps train some
runs twice, and nothing else happens.
"""

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_ID = 21  # bytes of a line: the 20 digits of a run id, and its end


class Claims:
    """A sweep's own claims, and a view of those of the others that are alive."""

    def __init__(self, results: Path) -> None:
        self._directory = results / ".claims"
        self._own = uuid.uuid4().hex
        self._file: IO[bytes] | None = None
        self._others: dict[str, tuple[int, set[str]]] = {}  # by file: what was read of it, and the ids in it
        self._ignored: set[str] = set()

    def __enter__(self) -> Self:
        if fcntl is None:
            return self
        draft = self._directory / f".{self._own}"
        for _ in range(3):  # another sweep may end and take the empty directory away
            with suppress(OSError):
                self._directory.mkdir(exist_ok=True)
                self._file = draft.open("xb", buffering=0)
                break
        if self._file is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.rename(self._directory / self._own)  # only now: a file without a flock is taken for dead
            except OSError:
                self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            for name in (self._own, f".{self._own}"):
                with suppress(OSError):
                    os.unlink(self._directory / name)
            self._file.close()
            self._file = None
        with suppress(OSError):
            self._directory.rmdir()

    def add(self, ids: Iterable[str]) -> None:
        """Claim some runs."""
        if self._file is not None:
            with suppress(OSError):
                self._file.write("".join(f"{run_id}\n" for run_id in ids).encode())

    def of_others(self, ids: Iterable[str]) -> set[str]:
        """Which of these runs another living sweep has claimed."""
        self._look()
        return {run_id for run_id in ids if any(run_id in claimed for _, claimed in self._others.values())}

    def ignore_others(self) -> None:
        """Heed none of those that are there now any more: they live and do nothing."""
        self._ignored.update(self._others)

    def _look(self) -> None:
        names = []
        if self._file is not None:  # else flock does not work here
            with suppress(OSError):
                names = [name for name in os.listdir(self._directory) if self._is_heeded(name)]
        self._others = {name: self._others.get(name, (0, set())) for name in names}
        for name in names:
            with suppress(OSError), (self._directory / name).open("rb") as file:
                if _is_free(file):
                    del self._others[name]
                    os.unlink(self._directory / name)
                    continue
                read, claimed = self._others[name]
                file.seek(read)
                lines = file.read()
                whole = len(lines) - len(lines) % _ID
                claimed.update(lines[:whole].decode("ascii", "replace").split())
                self._others[name] = read + whole, claimed

    def _is_heeded(self, name: str) -> bool:
        file = self._directory / name
        return name not in {self._own, *self._ignored} and not name.startswith(".") and file.is_file()  # no pipe


def forget_the_dead(results: Path) -> None:
    """Delete the claims of sweeps that were killed, where the next one has nothing to train."""
    if (results / ".claims").is_dir():
        with Claims(results) as claims:
            claims.of_others(())


def _is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

"""What killed sweeps leave on this machine, beside their results: a temporary directory each, and semaphores.

Worker processes share named semaphores, and write a traceback into a file where their interpreter crashes. A sweep that
is killed alone is cleaned up after by joblib; one whose whole process group is killed, as SLURM does it, is not. So a
sweep holds a flock on its directory until it ends, in whatever way it ends, and notes its semaphores in there. A
directory without a flock is a dead sweep's: the next sweep of the same user removes it, and the semaphores noted.
"""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "linphase-workers-"
_DIRECTORY = re.compile(_PREFIX + "[a-z0-9_]{8}")
_NAMES = "semaphores"
_SEMAPHORES = Path("/dev/shm")  # where Linux has them; elsewhere they have no files
_SEMAPHORE = re.compile(r"sem\.loky-[0-9]+-[a-z0-9_]{8}")
_OWNER = re.compile(r"process ([0-9]+) of (\S+)")


class Scratch:
    """A sweep's own temporary directory, for the traces of crashes; `path` is None where there is no place for one."""

    path: Path | None = None
    _lock: int | None = None

    def __enter__(self) -> Self:
        for _ in range(3):  # another sweep may take it for a dead one's before it is locked, and remove it
            with suppress(OSError):
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
                if fcntl is None:
                    break
                self._lock = _locked(self.path)
                if self._lock is not None and os.path.samestat(os.fstat(self._lock), os.stat(self.path)):
                    break
            self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.path is not None:
            with suppress(OSError):
                _empty(self.path)
            self.path = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def traces(self) -> list[str]:
        """The traces that crashed processes have written since the last call."""
        if self.path is None:
            return []
        files = sorted(file for file in self.path.iterdir() if file.name != _NAMES)
        found = [file.read_text(encoding="utf-8", errors="replace") for file in files]
        for file in files:
            file.unlink()
        return found

    def expect_semaphores(self) -> None:
        """Note this process, which is about to make semaphores: they have its number in their names."""
        self._note(f"process {os.getpid()} of {_namespace()}\n")

    def name_semaphores(self) -> None:
        """Note the names of those made, which are safer: a number of a process may be given again."""
        self._note("".join(f"{file.name}\n" for file in _SEMAPHORES.glob(f"sem.loky-{os.getpid()}-*")))

    def _note(self, lines: str) -> None:
        if self.path is not None:
            with suppress(OSError), (self.path / _NAMES).open("a", encoding="ascii") as file:
                file.write(lines)


def remove_leftovers() -> None:
    """Remove what dead sweeps of this user have left; nothing of the living, of other users or other programs."""
    if fcntl is None:
        return
    with suppress(OSError):  # no temporary directory at all
        place = Path(tempfile.gettempdir())
        for name in filter(_DIRECTORY.fullmatch, os.listdir(place)):
            with suppress(OSError):
                _remove_if_dead(place / name)


def _remove_if_dead(directory: Path) -> None:
    if (lock := _locked(directory)) is None:
        return
    try:
        if os.fstat(lock).st_uid == os.getuid() and (semaphores := _semaphores(directory)) is not None:
            for file in semaphores:
                with suppress(OSError):
                    if os.lstat(file).st_uid == os.getuid():
                        os.unlink(file)
            _empty(directory)
    finally:
        os.close(lock)


def _semaphores(directory: Path) -> list[Path] | None:
    """What a dead sweep made; None where that cannot be told now, as another process has its number."""
    notes = directory / _NAMES
    lines = notes.read_text(encoding="ascii", errors="replace").splitlines() if notes.is_file() else []
    named = [_SEMAPHORES / line for line in lines if _SEMAPHORE.fullmatch(line)]
    owner = _OWNER.fullmatch(lines[-1]) if lines else None
    if owner is None or owner[2] != _namespace():
        return named
    return None if Path(f"/proc/{owner[1]}").exists() else [*named, *_SEMAPHORES.glob(f"sem.loky-{owner[1]}-*")]


def _namespace() -> str:
    """Within what the numbers of processes are told apart: a container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return "unknown"


def _locked(directory: Path) -> int | None:
    """A descriptor that holds the flock of a directory; None where another process has it, or flock does not work."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _empty(directory: Path) -> None:
    """Remove a directory with what a sweep writes into it, and nothing else: traces, by process, and the names."""
    for name in os.listdir(directory):
        if name.isdecimal() or name == _NAMES:
            os.unlink(directory / name)
    os.rmdir(directory)

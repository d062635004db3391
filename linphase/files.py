"""Files written whole or not at all, changes to the file system that last, drafts that go, and names in a directory."""

import errno
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from linphase.errors import LinphaseError, Unavailable, shortage

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # nothing is there, and no link leads to anything
UNREADABLE = "cannot be read: {}. Make it readable, or try again"
SAFE_AGE = 24 * 3600.0  # seconds; a draft is written within minutes
_DRAFT = re.compile(r"\.(.*\.)?[0-9a-f]{8,16}\.part", re.DOTALL)  # the names of the drafts of `whole`


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Write a file whole or not at all: the block writes the draft it is given, which then takes the file's name.

    The draft lies beside the file. Where the block or the renaming fails, the draft goes and the file stays as it was;
    one that a killed writer left goes with the next file that is written there after a day.
    Nothing is synced: what has to survive a power failure is written by `linphase.store`.

    Raises
    ------
    LinphaseError
        If the file system refuses; Unavailable where it is short of something just now.

    Examples
    --------
    >>> with whole(Path("runs.csv")) as draft:
    ...     runs.to_csv(draft)
    """
    draft = file.with_name(f".{secrets.token_hex(8)}.part")  # shorter than any name that has to be
    try:
        yield draft
        draft.replace(file)
        _remove_old_drafts(file)
    except OSError as error:
        if (lacking := shortage(error)) is not None:
            raise Unavailable(f"{file}: cannot be written: {error.strerror}. {lacking}") from error
        raise LinphaseError(f"{file}: cannot be written: {error.strerror or error}. Choose another place") from error
    finally:
        remove([draft])


def _remove_old_drafts(file: Path) -> None:
    """Delete what killed writers left beside a file, by the clock of the file system: the file was written just now."""
    with suppress(OSError):
        latest = file.stat().st_mtime - SAFE_AGE
        drafts = [name for name in os.listdir(file.parent) if _DRAFT.fullmatch(name)]
        remove([file.parent / name for name in drafts if (file.parent / name).stat().st_mtime < latest])


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes as a whole file; see `whole`."""
    with whole(file) as draft:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())


@contextmanager
def readable(place: Path) -> Iterator[None]:
    """Raise Unavailable where the block cannot read something just now: that says nothing of what is there."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{error.filename or place}: {UNREADABLE.format(error.strerror or error)}") from error


def entries(directory: Path) -> list[str]:
    """The names in a directory, sorted; none where there is no such directory.

    Raises Unavailable where they cannot be read just now, which does not say that nothing is there.
    """
    with readable(directory):
        try:
            return sorted(_entries(directory, attempts=3))
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise


def _entries(directory: Path, attempts: int) -> list[str]:
    """The names, asked for again where a server has made the directory anew meanwhile."""
    try:
        return os.listdir(directory)
    except OSError as error:
        if error.errno != errno.ESTALE or attempts == 1:
            raise
        return _entries(directory, attempts - 1)


def printable(text: str) -> str:
    """A name as it can be shown anywhere: line ends, other control characters and what is no UTF-8 as code has them."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def sync(directory: Path) -> None:
    """Have the names in a directory survive a power failure."""
    if os.name == "nt":  # directories cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot, or need not
            raise
    finally:
        os.close(descriptor)


def remove(files: Collection[Path]) -> None:
    """Delete drafts, as far as they are there and can be."""
    for file in files:
        with suppress(OSError):
            os.unlink(file)

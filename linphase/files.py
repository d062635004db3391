"""Files written whole or not at all, changes to the file system that last, and drafts that go."""

import errno
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from linphase.errors import LinphaseError, Unavailable, shortage


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Write a file whole or not at all: the block writes the draft it is given, which then takes the file's name.

    The draft lies beside the file. Where the block or the renaming fails, the draft goes and the file stays as it was.
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
    except OSError as error:
        if (lacking := shortage(error)) is not None:
            raise Unavailable(f"{file}: cannot be written: {error.strerror}. {lacking}") from error
        raise LinphaseError(f"{file}: cannot be written: {error.strerror or error}. Choose another place") from error
    finally:
        remove([draft])


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes as a whole file; see `whole`."""
    with whole(file) as draft:
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())


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

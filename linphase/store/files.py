"""Changes to the file system that last, and what its errors mean for the results."""

import errno
import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from linphase.errors import ResultsError
from linphase.store.reading import finished_ids


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


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Say what an error of the file system means for the results, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            kept = "finished runs"
            with suppress(ResultsError, OSError), warnings.catch_warnings(action="ignore"):
                kept = f"{len(finished_ids(root))} finished runs"
            text = f"disk full. Free space and run again, {kept} are kept"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            text = f"cannot be written: {error.strerror}. Make it writable, or give another one with --out"
        elif error.errno == errno.ENOENT:
            text = "has vanished, or a part of it. Put it back, or run again to make it anew"
        else:
            text = f"cannot be written: {error.strerror or error}. Finished runs are kept, run again to go on"
        raise ResultsError(f"{root}: {text}") from error

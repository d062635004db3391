"""Changes to the file system that last, and what its errors mean for the results."""

import errno
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


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

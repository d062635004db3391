"""Arrays of the user's own, known by what they contain: a run's id hashes that, and never where a file lies.

A digest stands for one array, wherever it is found: in the user's file, in a results directory, or in memory. Whoever
names it by its digest gets the same numbers in every process.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError

Array = NDArray[np.floating]

DIGEST = r"^[0-9a-f]{20}$"
FILE = r"[0-9a-f]{20}\.npy"
KEYS = ("target", "signal")  # of a task, whose values are digests
_REMEDY = "linphase check --repair moves it aside, and a sweep of the configuration file keeps it again"
_ROWS = 2**24  # bytes that are hashed at a time: a file is never held in memory as a whole
_places: dict[str, Path | Array] = {}  # where the array of a digest is, as far as this process was told


def digest(array: Array) -> str:
    """The first 20 hexadecimal digits of the SHA-256 of an array's shape, type and entries, row by row."""
    found = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    step = max(1, _ROWS // max(1, array[:1].nbytes))
    for first in range(0, len(array), step):
        found.update(np.ascontiguousarray(array[first : first + step]).data)
    return found.hexdigest()[:20]


def remember(array: Array) -> str:
    """Have an array found by its digest, which is returned, as long as this process lives."""
    found = digest(array)
    _places[found] = array
    return found


def look_in(directory: Path) -> None:
    """Have the arrays that were kept in a directory, each as DIGEST.npy, found by their digests."""
    for file in directory.glob("*.npy"):
        _places.setdefault(file.stem, file)


def find(wanted: str) -> Array:
    """The array of a digest.

    Raises LinphaseError where this process was not told of it, or its file holds another by now.
    """
    place = _places.get(wanted)
    if place is None:
        raise LinphaseError(
            f"task: the array of digest {wanted} is not known here. Load its configuration or results first"
        )
    return _read(wanted, place) if isinstance(place, Path) else place


def damage(file: Path) -> str:
    """What is wrong with a file that is named by the digest of its array; nothing where it holds that."""
    try:
        found = digest(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        return f"it cannot be read as an array: {error}"
    return "" if found == file.stem else f"it holds another array, of digest {found}"


@lru_cache(maxsize=8)
def _read(wanted: str, file: Path) -> Array:
    try:
        array: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LinphaseError(f"{file}: cannot be read as an array: {error}. {_REMEDY}") from error
    if (found := digest(array)) != wanted:
        raise LinphaseError(f"{file}: holds another array, of digest {found}. {_REMEDY}")
    return array

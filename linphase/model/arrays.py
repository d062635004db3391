"""Arrays of the user's own, known by what they contain: a run's id hashes that, and never where a file lies.

A digest stands for one array, wherever it is found: in the user's file, in a results directory, or in memory. Whoever
names it by its digest gets the same numbers in every process.
"""

import hashlib
import mmap
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError
from linphase.files import ABSENT, entries, readable

Array = NDArray[np.floating]

DIRECTORY = "arrays"  # in a results directory
DIGEST = r"^[0-9a-f]{20}$"
FILE = r"[0-9a-f]{20}\.np[yz]"
SUFFIXES = {"target": ".npy", "signal": ".npy", "data": ".npz"}  # by the keys of a task whose values are digests
_REMEDY = "linphase check --repair moves it aside, and a sweep of the configuration file keeps it again"
_ROWS = 2**24  # bytes that are hashed at a time: a file is never held in memory as a whole
# What numpy makes of the bytes of a file that is none of its own; an OSError is the machine's.
NO_ARRAY = (
    ValueError, EOFError, TypeError, KeyError, OverflowError, RuntimeError, SyntaxError, TokenError, BadZipFile,
    zlib.error,
)  # fmt: skip
LOST = "it is lost; a sweep of the configuration file keeps it again"
# Where the array of a digest is, as far as this process was told, and the results directories looked in, the last last.
_places: dict[str, Path | Array | Mapping[str, Array]] = {}
_looked_in: dict[Path, None] = {}


def mapped(file: Path) -> Array:
    """The array in a file of numpy, not read into memory; OSError or one of NO_ARRAY where there is none."""
    with file.open("rb") as handle:
        if handle.read(2) == b"PK":  # a .npz, and no other file of numpy
            raise ValueError("it may hold several arrays")
    return np.lib.format.open_memmap(file, mode="r")  # never unpickles


def rows(array: Array, number: int) -> Iterator[Array]:
    """The rows of an array, some at a time; of one in a file no others stay in memory."""
    pages = getattr(array, "_mmap", None)
    for first in range(0, len(array), number):
        yield array[first : first + number]
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):  # what was read counts as memory until it is told
            pages.madvise(mmap.MADV_DONTNEED)


def digest(array: Array) -> str:
    """The first 20 hexadecimal digits of the SHA-256 of an array's shape, type and entries, row by row."""
    found = hashlib.sha256(f"{array.shape} {array.dtype.str}".encode())
    for some in rows(array, max(1, _ROWS // max(1, array[:1].nbytes))):
        found.update(np.ascontiguousarray(some).data)
    return found.hexdigest()[:20]


def remember(array: Array) -> str:
    """Have an array found by its digest, which is returned, as long as this process lives."""
    kept = np.array(array)  # whatever becomes of its file or its owner's own
    found = digest(kept)
    _places[found] = kept
    return found


def remember_bundle(bundle: Mapping[str, Array], told: str | None = None) -> str:
    """Have several arrays found by one digest: that of what they were made of, or by default their own."""
    found = (
        told or hashlib.sha256(str({name: digest(array) for name, array in bundle.items()}).encode()).hexdigest()[:20]
    )
    _places[found] = bundle
    return found


def look_in(results: Path) -> None:
    """Have what a results directory keeps, as arrays/DIGEST.npy or arrays/DIGEST.npz, found by the digests."""
    _looked_in.pop(results, None)
    _looked_in[results] = None
    for name in filter(re.compile(FILE).fullmatch, entries(results / DIRECTORY)):
        file = results / DIRECTORY / name
        _places.setdefault(file.stem, file)


def keep(wanted: str, file: BinaryIO) -> None:
    """Write the array or the bundle of a digest into a file of numpy."""
    found = find(wanted)
    if isinstance(found, np.ndarray):
        np.save(file, found, allow_pickle=False)
    else:
        np.savez(file, **found, seal=_seal(wanted, found))


def find(wanted: str) -> Any:
    """The array of a digest, or the bundle of arrays, by their names.

    Raises LinphaseError where this process was not told of it, or its file holds another by now.
    """
    place = _places.get(wanted)
    if place is None:
        last = f", and not in {[*_looked_in][-1]}" if _looked_in else ""
        raise LinphaseError(
            f"task: the array of digest {wanted} is not known here{last}. Load its configuration or results first; "
            "where these have lost it, a sweep of the configuration file keeps it again"
        )
    return _read(place) if isinstance(place, Path) else place


def files_of(task: Mapping[str, Any]) -> list[str]:
    """The names of the files in which the arrays of a task, told by its keys, are kept."""
    return [f"{task[key]}{suffix}" for key, suffix in SUFFIXES.items() if task.get(key)]


def damage(file: Path) -> str:
    """What is wrong with a file that is named by the digest of its array; nothing where it holds that.

    Raises Unavailable where it cannot be read just now, which says nothing of what it holds.
    """
    try:
        _verified(file)
    except _Damaged as wrong:
        return str(wrong)
    return ""


class _Damaged(Exception):
    """A file does not hold what its name says."""


def _verified(file: Path) -> Any:
    """The array in a file, not yet in memory, or its bundle; raises _Damaged, or Unavailable."""
    with readable(file):
        try:
            if not stat.S_ISREG(os.stat(file).st_mode):  # opening a pipe would wait for ever
                raise _Damaged("it is no file")
            if file.suffix == ".npz":
                return _unsealed(file)
            array = mapped(file)
            found = digest(array)
        except OSError as error:
            if error.errno in ABSENT:
                raise _Damaged(LOST) from error
            raise
        except NO_ARRAY as error:
            raise _Damaged(f"it cannot be read as an array: {error}") from error
    if found != file.stem:
        raise _Damaged(f"it holds another array, of digest {found}")
    return array


def _unsealed(file: Path) -> dict[str, Array]:
    """The arrays in a file, without the seal that they have to match."""
    bundle = _bundle(file)
    if not np.array_equal(bundle.pop("seal", np.empty(0)), _seal(file.stem, bundle)):
        raise _Damaged("it does not hold what was kept in it")
    return bundle


def _bundle(file: Path) -> dict[str, Array]:
    """The arrays in a file, by their names."""
    with np.load(BytesIO(file.read_bytes()), allow_pickle=False) as bundle:  # an OSError is then the machine's
        return dict(bundle)


def _seal(wanted: str, bundle: Mapping[str, Array]) -> NDArray[np.uint8]:
    """What the file of a bundle holds beside it: what its name and its arrays hash to."""
    told = f"{wanted} {[(name, digest(bundle[name])) for name in sorted(bundle)]}"
    return np.frombuffer(hashlib.sha256(told.encode()).digest(), np.uint8)


@lru_cache(maxsize=8)
def _read(file: Path) -> Any:
    try:
        found = _verified(file)
    except _Damaged as wrong:
        raise LinphaseError(f"{file}: {wrong}. {_REMEDY}") from wrong
    return found if isinstance(found, dict) else np.array(found)

"""What can go wrong by a user's hand; every message says where, what is required, what was found, what to do."""

import errno


class LinphaseError(Exception):
    """What the user can mend; the command line prints it without a traceback and exits with this code."""

    exit_code = 2  # a mistake of the user's


def check_argument(name: str, value: object, kind: type | tuple[type, ...], required: str) -> None:
    """Refuse an argument of another type than it must have, by its name; a truth value is no number.

    required: what it must be, in words, such as "a linphase.Task".
    """
    if not isinstance(value, kind) or (
        isinstance(value, bool) and bool not in (kind if isinstance(kind, tuple) else (kind,))
    ):
        raise LinphaseError(f"{name}: {required} is required, found {value!r:.60}")


class Note(UserWarning):
    """What is worth knowing and need not be mended."""


class ConfigError(LinphaseError):
    """A configuration, an override or an option that cannot be run."""


class ResultsError(LinphaseError):
    """A results directory that cannot be read, written or extended."""


class Unavailable(ResultsError):
    """Something that cannot be read or done just now, for lack of memory, threads or open files, or as a disk fails."""

    exit_code = 1


class SlurmError(LinphaseError):
    """SLURM is not there, or refuses."""


_FREE_SPACE = "No space is left on this disk. Free some, or choose another place"
_REMEDIES = {
    errno.EMFILE: "More open files are required than this process may have. Allow more, as with `ulimit -n 1024`",
    errno.ENFILE: "The system has too many open files. Try again when other programs have ended",
    errno.ENOMEM: "More memory is required than there is. Free some, or allow more (`ulimit -v`; in SLURM --mem)",
    errno.EAGAIN: "More processes or threads are required than are allowed. Allow more, as with `ulimit -u 4096`",
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "Larger files are required than this process may write. Allow them, as with `ulimit -f unlimited`",
    errno.ESTALE: "The server of the disk does not know the file any more. Try again",
    errno.EIO: "The disk does not do what it is asked to. Look at it, or choose another place",
}
# Of errors that have no such number: the loader's, Python's, Arrow's, matplotlib's.
_TOLD = {
    "too many open files": _REMEDIES[errno.EMFILE],
    "cannot allocate memory": _REMEDIES[errno.ENOMEM],
    "failed to map segment": _REMEDIES[errno.ENOMEM],
    "can't start new thread": _REMEDIES[errno.EAGAIN],
    "resource temporarily unavailable": _REMEDIES[errno.EAGAIN],
    "no usable temporary directory": "A temporary directory is required. Set TMPDIR to one that can be written",
    "writable cache directory": "A place for matplotlib's cache is required. Set MPLCONFIGDIR to a writable directory",
}


def shortage(error: BaseException) -> str | None:
    """What the system is short of just now, and the remedy; None for any other error, which may be a defect of ours."""
    if isinstance(error, LinphaseError):
        return None
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if number in _REMEDIES:
        return _REMEDIES[number]
    text = str(error).lower()
    if remedy := next((remedy for words, remedy in _TOLD.items() if words in text), None):
        return remedy
    return shortage(error.__cause__) if error.__cause__ is not None else None

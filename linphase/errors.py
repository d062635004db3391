"""What can go wrong by a user's hand; every message says where, what is required, what was found, what to do."""

import errno


class LinphaseError(Exception):
    """What the user can mend; the command line prints it without a traceback and exits with this code."""

    exit_code = 2  # a mistake of the user's


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
    errno.EIO: "The disk does not do what it is asked to. Look at it, or choose another place",
}
# Of errors that have no number: the loader's, Python's and Arrow's of threads, with the number that they stand for.
_TOLD = {
    "too many open files": errno.EMFILE,
    "cannot allocate memory": errno.ENOMEM,
    "failed to map segment": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
    "resource temporarily unavailable": errno.EAGAIN,
}


def shortage(error: BaseException) -> str | None:
    """What the system is short of just now, and the remedy; None for any other error, which may be a defect of ours."""
    number = None
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    elif isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        number = error.errno
    elif not isinstance(error, LinphaseError):
        number = next((number for words, number in _TOLD.items() if words in str(error).lower()), None)
    if number in _REMEDIES:
        return _REMEDIES[number]
    return shortage(error.__cause__) if error.__cause__ is not None else None

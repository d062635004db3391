"""What can go wrong by a user's hand; every message says where, what is required, what was found, what to do."""


class LinphaseError(Exception):
    """What the user can mend; the command line prints it without a traceback and exits with this code."""

    exit_code = 2  # a mistake of the user's


class ConfigError(LinphaseError):
    """A configuration, an override or an option that cannot be run."""


class ResultsError(LinphaseError):
    """A results directory that cannot be read, written or extended."""


class Unavailable(ResultsError):
    """Something that cannot be read just now, for lack of memory, threads or open files, or as a disk fails."""

    exit_code = 1


class SlurmError(LinphaseError):
    """SLURM is not there, or refuses."""

"""What can go wrong by a user's hand; every message says where, what is required, what was found, what to do."""


class LinphaseError(Exception):
    """A mistake the user can mend; the command line prints it without a traceback and exits with code 2."""


class ConfigError(LinphaseError):
    """A configuration, an override or an option that cannot be run."""


class ResultsError(LinphaseError):
    """A results directory that cannot be read, written or extended."""


class SlurmError(LinphaseError):
    """SLURM is not there, or refuses."""

"""SLURM: what a task reads of its job array, the batch script of a sweep, and the commands that submit and requeue.

A sweep becomes a job array, one shard a task. The script replaces itself by linphase (`exec`), so that SLURM's
signals reach it: USR1 two minutes before the time limit, TERM where the job is preempted.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from linphase.errors import ConfigError, SlurmError
from linphase.sweeps.plan import Shard

WARNING = 120  # seconds before the time limit at which a task is told to stop
_ARRAY = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT")
# linphase has to know these, so it has options of its own for them.
_OWN_OPTIONS = {name: f"--{name}" for name in ("array", "time", "mem", "partition", "cpus-per-task", "requeue")}
_OWN_OPTIONS["no-requeue"] = "--no-requeue"
# The script, or this program, depends on how these are set.
_SET_HERE = ("job-name", "output", "open-mode", "signal", "wrap", "test-only", "parsable")


# --- Inside a job ----------------------------------------------------------------------------------------------------


def array_shard(environment: Mapping[str, str]) -> Shard | None:
    """The shard of a task of a job array without gaps, from 1 for the lowest task id; None outside of an array."""
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    found = ", ".join(f"{name}={environment[name]!r}" for name in _ARRAY if name in environment)
    task, low, high, count = (_integer(environment.get(name)) for name in _ARRAY)
    if task is None or low is None or high is None or count is None or not low <= task <= high:
        raise ConfigError(
            f"{_ARRAY[0]}: an array task's id, with the smallest, largest and number of ids in "
            f"{', '.join(_ARRAY[1:])}, is required, found {found}. Pass --shard I/N, or --shard 1/1 for all runs"
        )
    if count != high - low + 1:
        raise ConfigError(
            f"{_ARRAY[3]}: an array without gaps is required, {high - low + 1} tasks from {low} to {high}, found "
            f"{found}. Pass --shard I/N, the I-th of N parts, or submit the array as 1-{count}"
        )
    return Shard(task - low + 1, count)


def cpus_per_task(environment: Mapping[str, str]) -> int | None:
    """The cores that a task has; None where none were asked for, as outside of SLURM."""
    text = environment.get("SLURM_CPUS_PER_TASK")
    if text is None:
        return None
    cpus = _integer(text)
    if not cpus:
        raise ConfigError(f"SLURM_CPUS_PER_TASK: a number of cores is required, found {text!r}. Pass --jobs")
    return cpus


def own_task(environment: Mapping[str, str]) -> str:
    """What SLURM calls this task: JOB_TASK in an array, where the bare job id can mean all of its tasks."""
    if "SLURM_JOB_ID" not in environment:
        raise ConfigError("--requeue: a SLURM job is required, found none (no SLURM_JOB_ID). Leave --requeue out")
    if "SLURM_ARRAY_JOB_ID" in environment and "SLURM_ARRAY_TASK_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def requeue(task: str) -> None:
    """Put a running task back into the queue; SLURM then ends it.

    Raises
    ------
    SlurmError
        If the task does not run any more: one that its user cancels would come back to life. Or if SLURM refuses.
    """
    state = _ask("squeue", "--noheader", "--format=%T", f"--jobs={task}").strip()
    if state != "RUNNING":
        raise SlurmError(
            f"task {task} is not requeued: a running one is required, found {state or 'none'}. What SLURM preempts it "
            "requeues itself; after scancel, submit the same again"
        )
    _ask("scontrol", "requeue", task)


def is_preempted(task: str) -> bool:
    """Whether SLURM says that a running task is to make room for another job."""
    try:
        shown = _ask("scontrol", "--oneliner", "show", "job", task)
    except SlurmError:
        return False
    found = re.search(r"\bPreemptTime=(\S+)", shown)
    return found is not None and found[1] != "None"


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,9}", text) else None


# --- The script ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A sweep as a job array. Texts are the user's own: they reach the script checked and quoted only."""

    name: str
    config: Path
    out: Path
    tasks: int
    cpus: int = 1
    time: str | None = None
    mem: str | None = None
    partition: str | None = None
    options: Sequence[str] = ()  # KEY=VALUE of sbatch
    overrides: Sequence[str] = ()  # KEY=VALUE of linphase sweep --set
    requeue: bool = True
    retry_failed: bool = False
    program: str = "linphase"

    @property
    def file(self) -> Path:
        """Where the script is put; the tasks' logs are beside it."""
        return self.out / "slurm" / f"{self.name}.sbatch"


def script(job: Job, largest: int) -> str:
    """The batch script of a job array, to be submitted with `command`.

    largest: the number of tasks one array can hold.

    Raises
    ------
    ConfigError
        If an option is not of the form that sbatch reads, or holds a character that would end its line.
    """
    _check(job)
    parts = arrays(job.tasks, largest)
    directives: list[tuple[str, str | None]] = [
        ("job-name", job.name),
        ("array", f"1-{parts[0][1]}"),
        ("cpus-per-task", str(job.cpus)),
        ("time", job.time),
        ("mem", job.mem),
        ("partition", job.partition),
        ("output", str(job.file.parent).replace("%", "%%") + "/%A_%a.log"),
        ("open-mode", "append"),
        ("signal", f"B:USR1@{WARNING}"),
    ]
    lines = [f"#SBATCH --{key}={_directive(value)}" for key, value in directives if value is not None]
    lines.append("#SBATCH --requeue" if job.requeue else "#SBATCH --no-requeue")
    for option in job.options:
        key, equals, value = option.partition("=")
        lines.append(f"#SBATCH --{key}={_directive(value)}" if equals else f"#SBATCH --{key}")
    arguments = [f"--config {_quoted(str(job.config))}", f"--out {_quoted(str(job.out))}"]
    arguments += [f"--set {_quoted(override)}" for override in job.overrides]
    arguments.append(f'--shard "$shard/{job.tasks}"')
    arguments += ["--requeue"] if job.requeue else []
    arguments += ["--retry-failed"] if job.retry_failed else []
    program = job.program if job.program == "linphase" else _quoted(job.program)
    return _SCRIPT.format(
        submission="; ".join(command(job.file, offset, count) for offset, count in parts),
        directives="\n".join(lines),
        logs=_quoted(str(job.file.parent)),
        task=" \\\n    ".join([f"exec {program} sweep", *arguments]),
    )


_SCRIPT = """\
#!/usr/bin/env bash
# Written by linphase submit. To change something, edit this file, and submit it in the same directory by
#   mkdir -p {logs}; {submission}
{directives}

set -euo pipefail
# One shard a task; where one array cannot hold all shards, the argument says how many the earlier ones hold.
shard=$((SLURM_ARRAY_TASK_ID + ${{1:-0}}))
# exec: this process becomes linphase, so that the signals of SLURM reach it.
{task}
"""


def _check(job: Job) -> None:
    texts = {
        "--config": [str(job.config)],
        "--out": [str(job.out)],
        "--set": job.overrides,
        "--time": [job.time or ""],
        "--mem": [job.mem or ""],
        "--partition": [job.partition or ""],
        "--sbatch": job.options,
        "linphase": [job.program],
    }
    for option, values in texts.items():
        for value in values:
            if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", value):
                raise ConfigError(f"{option}: one line without control characters is required, found {value!r}")
    if "\\" in str(job.out):  # sbatch then leaves %A and %a as they are
        raise ConfigError(f"--out: a path without backslashes is required for SLURM's logs, found {str(job.out)!r}")
    if job.time is not None:
        _check_time(job.time)
    if job.mem is not None and not re.fullmatch(r"[0-9]+[KMGT]?", job.mem):
        raise ConfigError(f"--mem: a size such as 500M or 4G is required, found {job.mem!r}")
    if job.partition is not None and not job.partition.strip():
        raise ConfigError(f"--partition: a name is required, found {job.partition!r}")
    for option in job.options:
        _check_option(option)


def _check_time(text: str) -> None:
    seconds = time_limit(text)
    if seconds is None:
        raise ConfigError(
            f"--time: minutes, HH:MM:SS or D-HH:MM:SS is required, such as 90, 01:30:00 or 1-12, found {text!r}"
        )
    if seconds <= WARNING:
        raise ConfigError(
            f"--time: more than {WARNING // 60} minutes are required, for a task is told to stop {WARNING} s before "
            f"the limit, found {text!r}"
        )


def time_limit(text: str) -> int | None:
    """Seconds of a time limit as sbatch reads it (M, M:S, H:M:S, D-H, D-H:M, D-H:M:S); None if it is none."""
    found = re.fullmatch(r"(?:([0-9]{1,6})-)?([0-9]{1,6})(?::([0-9]{1,6}))?(?::([0-9]{1,6}))?", text)
    if found is None:
        return None
    days, *rest = found.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is None and len(parts) < 3:
        parts.insert(0, 0)  # begins with minutes, not hours
    hours, minutes, seconds = [*parts, 0, 0][:3]
    return 86400 * int(days or 0) + 3600 * hours + 60 * minutes + seconds


def _check_option(option: str) -> None:
    key = option.partition("=")[0]
    if not re.fullmatch(r"[a-z][a-z0-9-]*", key):
        raise ConfigError(f"--sbatch: KEY=VALUE is required, as qos=high for sbatch's --qos, found {option!r}")
    own = [name for name in (*_OWN_OPTIONS, *_SET_HERE) if name.startswith(key)]  # sbatch takes abbreviations
    if own:
        remedy = f"Use {_OWN_OPTIONS[own[0]]}" if own[0] in _OWN_OPTIONS else "Edit the script of a --dry-run"
        raise ConfigError(f"--sbatch: an option that linphase submit does not set itself is required, found "
                          f"{option!r}, sbatch's --{own[0]}. {remedy}")  # fmt: skip


def _directive(value: str) -> str:
    """A value as sbatch reads it from an #SBATCH line: in double quotes, where only a backslash is special."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted(value: str) -> str:
    """A value as bash reads it: always in single quotes."""
    return "'" + value.replace("'", "'\\''") + "'"


# --- Submission ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submitted:
    """One job array that SLURM has taken: its shards are first to last."""

    job_id: str
    first: int
    last: int


def largest_array() -> int:
    """The number of tasks that one array can hold here: ids run from 1 to MaxArraySize - 1."""
    shown = _ask("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*([0-9]+)", shown, re.MULTILINE)
    if found is None or int(found[1]) < 2:
        raise SlurmError("--array: a SLURM with job arrays is required, found "
                         f"MaxArraySize {found[1] if found else 'not told'} in `scontrol show config`")  # fmt: skip
    return int(found[1]) - 1


def arrays(tasks: int, largest: int) -> list[tuple[int, int]]:
    """Cut so many tasks into arrays of at most `largest`, as even as can be: (offset, count) of each."""
    number = -(-tasks // largest)
    ends = [tasks * part // number for part in range(number + 1)]
    return [(start, end - start) for start, end in pairwise(ends)]


def command(file: Path, offset: int, count: int, after: Sequence[str] = ()) -> str:
    """What submits the shards from offset + 1 to offset + count, as a line for a shell."""
    return " ".join(["sbatch", f"--array=1-{count}", *_dependency(after), _quoted(str(file)), str(offset)])


def _dependency(after: Sequence[str]) -> list[str]:
    return [f"--dependency=afterany:{':'.join(after)}"] if after else []


def submit(file: Path, parts: Sequence[tuple[int, int]], after: Sequence[str] = ()) -> Iterator[Submitted]:
    """Submit a script as one array a part, yielding each as SLURM takes it.

    after: ids of jobs all of which are to have ended before, however they did.

    Raises
    ------
    SlurmError
        If SLURM refuses one, with the commands that submit it and all after it.
    """
    for place, (offset, count) in enumerate(parts):
        try:
            options = [f"--array=1-{count}", *_dependency(after)]
            reply = _ask("sbatch", "--parsable", *options, str(file.absolute()), str(offset))
        except SlurmError as error:
            raise SlurmError(_refused(file, parts, place, str(error), after)) from error
        yield Submitted(reply.strip().split(";")[0], offset + 1, offset + count)


def _refused(file: Path, parts: Sequence[tuple[int, int]], place: int, said: str, after: Sequence[str]) -> str:
    """What is submitted and what is left where SLURM refuses one part, and how to submit that."""
    offset, last = parts[place][0], sum(parts[-1])
    taken = f"Shards 1 to {offset} of {last} are submitted" if offset else f"None of {last} shards is submitted"
    left = "\n".join(f"  {command(file, *part, after)}" for part in parts[place:])
    return (
        f"{said}\n{taken}, {offset + 1} to {last} are left. Mend what SLURM names, or wait until it takes more jobs; "
        f"then submit these, in this directory, by\n{left}"
    )


def _ask(*command: str) -> str:
    """What one of SLURM's commands prints.

    Raises
    ------
    SlurmError
        If there is no such command, or it fails; with its own words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SlurmError(f"{command[0]}: no such command here; a machine that submits to SLURM is required") from error
    except OSError as error:
        raise SlurmError(f"{command[0]}: cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise SlurmError(f"{' '.join(command[:2])}: {said}")
    return done.stdout

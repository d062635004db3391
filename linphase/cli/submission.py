"""`linphase submit`: a sweep as a SLURM job array."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from linphase.cli.options import (
    STANDARD_INPUT,
    config_options,
    out_option,
    quiet_option,
    read_config,
    retry_option,
    set_option,
)
from linphase.cli.output import echo, echo_exactly, unheard
from linphase.errors import ConfigError, SlurmError


@click.command()
@config_options
@out_option("[default: results/NAME]")
@set_option
@click.option("--array", "tasks", type=click.IntRange(min=1), required=True, metavar="N",
              help="Number of tasks; each trains one of N shards of the runs.")  # fmt: skip
@click.option("--cpus-per-task", "cpus", type=click.IntRange(min=1), default=1, show_default=True,
              help="Cores of a task, each with one worker.")  # fmt: skip
@click.option("--time", metavar="LIMIT", help="Time limit of a task: minutes, HH:MM:SS or D-HH:MM:SS.")
@click.option("--mem", metavar="SIZE", help="Memory of a task, such as 4G.")
@click.option("--partition", metavar="NAME", help="Partition to submit to.")
@click.option("--sbatch", "options", metavar="KEY=VALUE", multiple=True,
              help="Any other option of sbatch, such as qos=high. Repeatable.")  # fmt: skip
@click.option("--requeue/--no-requeue", default=True, show_default=True,
              help="Put a task that is preempted or out of time back into the queue, to do the rest.")  # fmt: skip
@retry_option
@quiet_option
@click.option("--dry-run", is_flag=True, help="Print the script, and write and submit nothing.")
def submit(
    config_file: Path | None,
    out: Path | None,
    overrides: Sequence[str],
    tasks: int,
    cpus: int,
    time: str | None,
    mem: str | None,
    partition: str | None,
    options: Sequence[str],
    requeue: bool,
    retry_failed: bool,
    quiet: bool,
    dry_run: bool,
) -> None:
    """Submit a sweep to SLURM as a job array, one shard a task.

    CONFIG is a TOML file. A sweep with refine.levels becomes one array for each level, and each array waits until the
    one before has ended. docs/clusters.md tells more.

    \b
    Example:
      linphase submit configs/quickstart.toml --array 16 --time 01:00:00 --dry-run
      linphase submit --config configs/quickstart.toml --array 16 --partition main --sbatch account=physics
    """
    from linphase.store.reading import failed_ids, finished_ids
    from linphase.store.writing import create
    from linphase.sweeps import slurm
    from linphase.sweeps.plan import MAX_COUNT, Shard
    from linphase.sweeps.sweeping import default_directory, levels_to_train, planned

    if str(config_file) == STANDARD_INPUT:
        raise ConfigError(
            "CONFIG: a file is required, which the tasks can read, found standard input. Write it to a file first"
        )
    if quiet and dry_run:
        raise ConfigError("--quiet: has no meaning with --dry-run, which only prints. Leave one of them out")
    config = read_config(config_file, overrides)
    assert config_file is not None  # or it was refused
    out = out or default_directory(config)
    job = slurm.Job(config.name, config_file, out, tasks, cpus, time, mem, partition, options, overrides, requeue,
                    retry_failed, _program())  # fmt: skip
    if tasks > MAX_COUNT:
        raise ConfigError(f"--array: at most {MAX_COUNT} tasks are required, found {tasks}")
    if tasks > config.runs:
        raise ConfigError(f"--array: at most one task a run is required, {config.runs}, found {tasks}")
    if dry_run:
        echo_exactly(slurm.script(job, _largest_array_or_default()))
        return
    largest = slurm.largest_array()
    text = slurm.script(job, largest)
    create(out, config)  # a directory of another configuration is refused now, not by every task
    settled = finished_ids(out) | (set() if retry_failed else failed_ids(out))
    left = [spec.run_id not in settled for spec in planned(config, out)]
    if not any(left):
        echo(f"All {len(left)} runs are in {out} already, or failed there; nothing is submitted.")
        return
    _write(job.file, text)
    first = next(level.number for level in levels_to_train(config, out, Shard(1, 1)))
    logs, before = shlex.quote(str(job.file.parent)), list[str]()
    with unheard():  # a closed pipe must not end the submission half-way
        echo(f"Script: {job.file}")
        for level in range(first, config.refine_levels + 1):
            named = f" of level {level}, after {', '.join(before)}" if before else ""
            submitted = list[str]()
            for array in slurm.submit(job.file, slurm.arrays(tasks, largest), before):
                echo(f"Submitted batch job {array.job_id}: shards {array.first} to {array.last} of {tasks}{named}")
                echo(f"  watch it:  squeue --jobs={array.job_id}; tail -F {logs}/{array.job_id}_1.log")
                echo(f"  cancel it: scancel {array.job_id}")
                submitted.append(array.job_id)
            before = submitted
        known = f"{sum(left)} of {len(left)} runs are to do"
        further = " by what is known now, and those of finer levels" if first < config.refine_levels else ""
        echo(f"{known}{further}; how far they are: linphase status {shlex.quote(str(out))}")


def _program() -> str:
    """How a task calls linphase: by its name, where the shell that submits finds this one by it."""
    beside = Path(sys.executable).parent / "linphase"
    found = shutil.which("linphase")
    if found is None and not beside.exists():
        raise ConfigError(f"linphase: a command of this name, beside Python, is required, found none at {beside}. "
                          "Install linphase with pip")  # fmt: skip
    return "linphase" if found is not None and (Path(found) == beside or not beside.exists()) else str(beside)


def _largest_array_or_default() -> int:
    """For a dry run elsewhere, SLURM's own default."""
    from linphase.sweeps import slurm

    try:
        return slurm.largest_array()
    except SlurmError as error:
        echo(f"warning: {error}; arrays of at most 1000 tasks are assumed", err=True)
        return 1000


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"--out: cannot write {str(file)!r}: {error.strerror or error}") from error

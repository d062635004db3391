"""`linphase sweep` and `linphase theory`: everything that fills a results directory."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.shared import (
    console,
    count_table,
    draw,
    duration,
    set_option,
)
from linphase.errors import ConfigError, LinphaseError, SlurmError
from linphase.regime import BULK_CUT, SIGNAL_CUT

if TYPE_CHECKING:
    from linphase.config import SweepConfig
    from linphase.shards import Shard
    from linphase.store import Results

LOG_SECONDS = 10.0  # between two progress lines where there is no terminal
_USR1 = getattr(signal, "SIGUSR1", None)  # SLURM's warning before a time limit; not on Windows
_PATIENCE, _PATIENCE_WARNED = 5, 75  # seconds for runs in flight: asked to stop, and warned by USR1 of a time limit


def out_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--out, which has no fixed default."""
    return click.option("--out", type=click.Path(path_type=Path), help=f"Results directory.  {default}")


config_option = click.option(
    "--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML file of the sweep."
)
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: SLURM_CPUS_PER_TASK, else one a core]"
)
scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Train on the workers of this Dask scheduler, such as tls://HOST:8786."
)
retry_option = click.option("--retry-failed", is_flag=True, help="Run again what failed in an earlier sweep.")
max_time_option = click.option(
    "--max-time",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="End every run after so long, with what it has and status step_limit.",
)


@click.command()
@config_option
@out_option("[default: results/NAME]")
@jobs_option
@scheduler_option
@max_time_option
@retry_option
@set_option
@click.option("--dry-run", is_flag=True, help="Print what would be run, and what it would take.")
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
@click.option("--shard", "part", metavar="I/N",
              help="Train only the I-th of N fixed parts of the runs, of about the same cost, from 1/N to N/N.  "
                   "[default: in a SLURM job array the task's, else all]")  # fmt: skip
@click.option("--requeue", is_flag=True,
              help="In a SLURM job: asked to stop by USR1 or TERM, put this task back into the queue.")  # fmt: skip
def sweep(
    config_file: Path,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    max_time: float | None,
    retry_failed: bool,
    overrides: Sequence[str],
    dry_run: bool,
    no_plot: bool,
    part: str | None,
    requeue: bool,
) -> None:
    """Train every run of a grid that is not in the results yet, and draw the phase diagram.

    \b
    Example:
      linphase sweep --config configs/quickstart.toml
      linphase sweep --config configs/quickstart.toml --set grid.replicates=3 --jobs 4
      linphase sweep --config configs/quickstart.toml --shard 3/16

    Exit codes: 0 all done, 1 some runs failed, 2 a mistake in the input, 130 or 143 interrupted.
    """
    from linphase import slurm, sweeping
    from linphase.config import load_config
    from linphase.shards import parse_shard

    if scheduler is not None and jobs is not None:
        raise ConfigError("--jobs: has no effect with --scheduler, whose workers are used. Give one of them")
    if max_time is not None:
        overrides = [*overrides, f"run.max_time={max_time}"]
    config = load_config(config_file, overrides)
    out, jobs = out or sweeping.default_directory(config), jobs or _cores()
    shard = slurm.array_shard(os.environ) if part is None else parse_shard(part)
    task = slurm.own_task(os.environ) if requeue else None
    if shard is not None and part is None:
        click.echo(f"Shard {shard}, as SLURM_ARRAY_TASK_ID is {os.environ['SLURM_ARRAY_TASK_ID']}")
    if dry_run:
        _print_plan(config, out, jobs, shard)
    else:
        _run(config, out, no_plot, task, shard=shard, jobs=jobs, scheduler=scheduler, retry_failed=retry_failed)


@click.command()
@config_option
@out_option("[default: results/NAME-theory]")
@jobs_option
@retry_option
@set_option
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
def theory(
    config_file: Path, out: Path | None, jobs: int | None, retry_failed: bool, overrides: Sequence[str], no_plot: bool
) -> None:
    """Predict every run of a grid by theory, in seconds: the self-consistent dynamics from A = 0, one curve a mode.

    The predictions are results like any other: linphase plot, status, boundary and export read them.

    \b
    Example:
      linphase theory --config configs/quickstart.toml
      linphase plot results/quickstart-theory --panel all -o predicted.png
    """
    from linphase import sweeping
    from linphase.config import load_config

    config = load_config(config_file, overrides).predicted()
    out, jobs = out or sweeping.default_directory(config), jobs or _cores()
    _run(config, out, no_plot, jobs=jobs, retry_failed=retry_failed)


def _cores() -> int:
    """The cores of this SLURM task, else of this process."""
    from linphase import slurm, sweeping

    return slurm.cpus_per_task(os.environ) or sweeping.available_cores()


def _run(
    config: "SweepConfig",
    out: Path,
    no_plot: bool,
    task: str | None = None,
    *,
    shard: "Shard | None" = None,
    **how: Any,
) -> None:
    """Run what is missing, print how it ended, draw, and exit with 1, 130 or 143 where that is due.

    task: what SLURM calls this process, if it is to put itself back into the queue when it is asked to stop.
    """
    from linphase import store, sweeping
    from linphase.outcomes import outcomes

    tried = set()
    with _stop_signals() as received:
        store.create(out, config)  # before anything is read: another sweep may be half-way through making it
        costs = {spec.run_id: sweeping.estimated_flops(spec) for spec in sweeping.listed(config, shard)}
        with _progress(costs, out) as advance:
            for row in sweeping.iter_sweep(config, out, shard=shard, time_left=received.time_left, **how):
                advance(row)
                tried.add(row["run_id"])
    left = len(costs.keys() - tried - store.finished_ids(out) - store.failed_ids(out))
    stopped = received.signal if left else None
    if stopped is not None and task is not None:
        _requeue(task, stopped, tried, f"{left} runs left; all finished runs are kept in {out}")
    results = store.load(out)
    runs = results.runs if shard is None else results.runs[results.runs["run_id"].isin(costs)]
    if len(runs):
        console().print(count_table(runs, outcomes(runs)))
    if stopped is not None:
        click.echo(
            f"Interrupted with {left} runs left; all finished runs are kept in {out}. To go on, run the same again."
        )
        raise SystemExit(130 if stopped == signal.SIGINT else 143)
    others = 0 if shard is None else sum(spec.run_id not in costs for spec in results.missing())
    if others:
        click.echo(f"Shard {shard} is done; {others} runs of other shards are not in {out} yet")
    elif not no_plot and len(results.runs):
        _draw_diagram(results)
    if left:
        click.echo(
            f"{left} runs are missing, whose results have gone meanwhile. To train them, run the same again.", err=True
        )
        raise SystemExit(1)
    failed = runs.loc[runs["status"].eq("failed"), "run_id"]
    if len(failed):
        last = results.failures.loc[results.failures["run_id"].isin(failed), "error"].iloc[-1]
        click.echo(
            f"{len(failed)} runs failed, the last with: {last}. To run them again, add --retry-failed.", err=True
        )
        raise SystemExit(1)


def _requeue(task: str, number: int, tried: set[str], left: str) -> None:
    """Put this task back into the queue and exit with 143; return where that would be of no use or is refused."""
    from linphase import slurm

    if number == signal.SIGINT:
        return
    if number == _USR1 and not tried:
        click.echo(
            f"warning: task {task} is not requeued: it had no time to finish a single run, nor would it the next time. "
            "Give it a longer --time",
            err=True,
        )
        return
    click.echo(f"{left}. Requeueing task {task}")  # now, as SLURM then ends this process
    try:
        slurm.requeue(task)
    except SlurmError as error:
        click.echo(f"warning: {error}", err=True)
    else:
        raise SystemExit(143)


def _draw_diagram(results: "Results") -> None:
    file = results.path / "phase_diagram.png"
    try:
        draw(results, "regime", file, by="threshold", signal_cut=SIGNAL_CUT, bulk_cut=BULK_CUT)
        click.echo(f"Phase diagram: {file}")
    except LinphaseError as error:  # the runs are done and kept all the same
        click.echo(f"warning: no figure: {error}", err=True)


def _print_plan(config: "SweepConfig", out: Path, jobs: int, shard: "Shard | None") -> None:
    from linphase import store, sweeping

    finished = store.finished_ids(out) if (out / "runs").is_dir() else set()
    runs = config.runs if shard is None else sum(1 for _ in sweeping.listed(config, shard))
    # An estimate from at most a thousand runs, evenly spread, of a list that may be long.
    every = max(1, runs // 1000)
    sample = [spec for index, spec in enumerate(sweeping.listed(config, shard)) if index % every == 0]
    missing = [spec for spec in sample if spec.run_id not in finished]
    scale = runs / max(1, len(sample))
    seconds = scale * sum(map(sweeping.estimated_flops, missing)) / sweeping.flops_per_second() / jobs
    size = scale * sum(map(sweeping.estimated_bytes, missing))
    done = f", {round(scale * (len(sample) - len(missing))):,} of them done" if finished else ""
    for name, value in (
        ("cells", f"{config.cells:,}"),
        ("runs", f"{runs:,}{done}" if shard is None else f"{runs:,} of {config.runs:,} in shard {shard}{done}"),
        ("largest width", f"{config.largest_width:,}"),
        ("results", out),
        ("time", f"about {duration(seconds)} on {jobs} workers"),
        ("disk", f"about {size / 1e6:,.1f} MB" if size >= 1e5 else f"about {size / 1e3:,.0f} kB"),
    ):
        click.echo(f"{name + ':':<15}{value}")


class _Received:
    """What SIGINT, SIGTERM and SIGUSR1 ask for: a stop soon; after SIGINT or SIGTERM another one stops at once."""

    signal: int | None = None
    deadline = inf

    def time_left(self) -> float:
        """Seconds for runs in flight; infinite where nobody asked for a stop."""
        return self.deadline - time.monotonic()

    def handle(self, number: int, _: Any) -> None:
        # USR1 comes long before SLURM's time limit and leaves time; TERM may come at the same moment and does not.
        if number != _USR1 and self.signal not in (None, _USR1):
            click.echo("Stopped. All finished runs are kept; to go on, run the same again.", err=True)
            raise SystemExit(128 + number)
        patience = _PATIENCE_WARNED if number == _USR1 else _PATIENCE
        if time.monotonic() + patience < self.deadline:
            self.deadline = time.monotonic() + patience
            once_more = "" if number == _USR1 else "; once more stops at once"
            click.echo(f"Stopping: waiting up to {patience} s for runs in flight{once_more}.", err=True)
        if number != _USR1 or self.signal is None:
            self.signal = number


@contextmanager
def _stop_signals() -> Iterator[_Received]:
    received = _Received()
    numbers = [signal.SIGINT, signal.SIGTERM, *([] if _USR1 is None else [_USR1])]
    before = {number: signal.signal(number, received.handle) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(costs: Mapping[str, float], out: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar with an ETA on a terminal, else a line now and then; yields what to call with each row.

    costs: the estimated cost of every run, done or not, by its id.
    """
    from linphase import store

    finished = store.finished_ids(out) if (out / "runs").is_dir() else set()
    done = sum(run_id in finished for run_id in costs)
    if done:
        click.echo(f"{done} of {len(costs)} runs are in {out} already")
    clock = _Clock(sum(cost for run_id, cost in costs.items() if run_id not in finished))
    if sys.stdout.isatty():
        with _progress_bar(costs, done, clock) as advance:
            yield advance
    else:
        yield _progress_lines(costs, done, clock)


class _Clock:
    """The time left, from the estimated cost of the runs done and of those to do."""

    def __init__(self, flops: float) -> None:
        self.began, self.flops, self.done = time.monotonic(), flops, 0.0

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def eta(self) -> str:
        if not self.done:
            return "?"
        return duration(max(0.0, self.elapsed() * (self.flops / self.done - 1)))


@contextmanager
def _progress_bar(costs: Mapping[str, float], done: int, clock: _Clock) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    text = Column(no_wrap=True)
    columns = [
        TextColumn("{task.completed}/{task.total} runs", table_column=text),
        TextColumn("ETA {task.fields[eta]}", table_column=text),
    ]
    if console().width >= 60:
        columns.insert(1, BarColumn())  # type: ignore[arg-type]
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task("training", total=len(costs), completed=done, eta="?")

        def advance(row: dict[str, Any]) -> None:
            clock.done += costs.get(row["run_id"], 0.0)
            progress.update(task, advance=1, eta=clock.eta())

        yield advance


def _progress_lines(costs: Mapping[str, float], done: int, clock: _Clock) -> Callable[[dict[str, Any]], None]:
    count, printed = done, 0.0

    def advance(row: dict[str, Any]) -> None:
        nonlocal count, printed
        count += 1
        clock.done += costs.get(row["run_id"], 0.0)
        if clock.elapsed() - printed >= LOG_SECONDS or count == len(costs):
            printed = clock.elapsed()
            click.echo(f"{count}/{len(costs)} runs, elapsed {duration(printed)}, ETA {clock.eta()}")

    return advance

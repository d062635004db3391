"""`linphase sweep` and `linphase theory`: everything that fills a results directory."""

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from linphase.cli.any_dimension import any_dimension
from linphase.cli.options import (
    config_options,
    jobs_option,
    max_time_option,
    out_option,
    quiet_option,
    read_config,
    retry_option,
    scheduler_option,
    set_option,
)
from linphase.cli.output import (
    console,
    count_table,
    duration,
    echo,
    echo_row,
    environment_told,
    save_figure,
    unheard,
)
from linphase.cli.progress import _USR1, _progress, _stop_signals
from linphase.errors import ConfigError, LinphaseError, SlurmError
from linphase.files import printable
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    from linphase.config.config import SweepConfig
    from linphase.runs.spec import RunSpec
    from linphase.store.results import Results
    from linphase.sweeps.plan import Shard


@click.command()
@config_options
@out_option("[default: results/NAME]")
@jobs_option
@scheduler_option
@max_time_option
@retry_option
@quiet_option
@click.option("--fill", is_flag=True, help="Train runs again if they lack an observable that is declared now.")
@set_option
@click.option("--dry-run", is_flag=True, help="Print what would be run, and what it would take.")
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
@click.option("--shard", "part", metavar="I/N",
              help="Train only part I of the runs, of N fixed parts of about the same cost, 1/N to N/N.  "
                   "[default: in a SLURM job array the task's, else all]")  # fmt: skip
@click.option("--requeue", is_flag=True,
              help="In a SLURM job: put this task back into the queue when USR1 or TERM asks it to stop.")  # fmt: skip
def sweep(
    config_file: Path | None,
    out: Path | None,
    jobs: int | None,
    scheduler: str | None,
    max_time: float | None,
    retry_failed: bool,
    quiet: bool,
    fill: bool,
    overrides: Sequence[str],
    dry_run: bool,
    no_plot: bool,
    part: str | None,
    requeue: bool,
) -> None:
    """Train what is missing of a grid, and draw the phase diagram.

    CONFIG is a TOML file, or - for standard input, where paths are relative to the working directory.

    \b
    Example:
      linphase sweep configs/quickstart.toml
      linphase sweep --config configs/quickstart.toml --set grid.replicates=3 --jobs 4
      linphase sweep configs/quickstart.toml --shard 3/16

    Exit codes: 0 all done, 1 some runs failed, 2 a mistake in the input, 130 or 143 interrupted.
    """
    from linphase.sweeps.plan import parse_shard
    from linphase.sweeps.slurm import array_shard, own_task
    from linphase.sweeps.sweeping import default_directory, default_jobs

    if scheduler is not None and jobs is not None:
        raise ConfigError("--jobs: has no effect with --scheduler, whose workers are used. Give one of them")
    if quiet and dry_run:
        raise ConfigError("--quiet: has no meaning with --dry-run, which only prints. Leave one of them out")
    if max_time is not None:
        overrides = [*overrides, f"run.max_time={max_time}"]
    config = read_config(config_file, overrides)
    out = out or default_directory(config)
    shard = array_shard(os.environ) if part is None else parse_shard(part)
    task = own_task(os.environ) if requeue else None
    if shard is not None and part is None:
        echo(f"Shard {shard}, as SLURM_ARRAY_TASK_ID is {os.environ['SLURM_ARRAY_TASK_ID']}")
    if dry_run:
        _print_plan(config, out, jobs or default_jobs(), shard)
    else:
        _run(
            config,
            out,
            no_plot,
            task,
            shard=shard,
            jobs=jobs,
            scheduler=scheduler,
            retry_failed=retry_failed,
            fill=fill,
        )


@click.command()
@config_options
@out_option("[default: results/NAME-theory]")
@jobs_option
@retry_option
@quiet_option
@set_option
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
@click.option("--boundaries", is_flag=True, help="Print theory's lines for the task of -d, -k and --noise instead.")
@click.option(
    "-d", "--dimension", type=click.IntRange(2, 20_000), default=200, show_default=True, help="For --boundaries."
)
@click.option("--asymptotic", is_flag=True, help="Print what theory expects at any dimension instead.")
@click.option("--dimensions", metavar="D,D,...", default="1e2,1e4,1e6,1e8,1e12,1e15", show_default=True,
              help="For --asymptotic.")  # fmt: skip
@click.option("--sums", metavar="S,S,...", default="0.25,0.5,0.75,1.1", show_default=True,
              help="gamma_sigma2 + gamma_w, for --asymptotic.")  # fmt: skip
@click.option("-k", "--rank", type=click.IntRange(1), default=5, show_default=True,
              help="For --boundaries and --asymptotic.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, 1e9), default=1.0, show_default=True,
              help="For --boundaries and --asymptotic.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.csv or .json, for --asymptotic.")
def theory(
    config_file: Path | None,
    out: Path | None,
    jobs: int | None,
    retry_failed: bool,
    quiet: bool,
    overrides: Sequence[str],
    no_plot: bool,
    boundaries: bool,
    dimension: int,
    asymptotic: bool,
    dimensions: str,
    sums: str,
    rank: int,
    noise: float,
    output: Path | None,
) -> None:
    """Predict every run of a grid by theory, in seconds.

    CONFIG is a TOML file, or - for standard input, where paths are relative to the working directory. Theory is the
    self-consistent dynamics from A = 0, one curve for each mode. The predictions are results like any other: linphase
    plot, status, boundary and export read them.

    With --boundaries or --asymptotic nothing is swept. --boundaries prints the lines between the regimes, gamma_sigma2
    for every gamma_w.

    --asymptotic prints what to expect of typical tasks at infinite width and c = d^(gamma_sigma2 + gamma_w), for any d
    up to 1e15: the smallest test error, its slope in log d since the row before, its benefit (0: optimal shrinkage, 1:
    lazy training), stable rank and time; the learning order; and the shares of active modes. Files, and output that is
    no terminal, have more columns; the latter are separated by tabs.

    \b
    Example:
      linphase theory configs/quickstart.toml
      linphase plot results/quickstart-theory --panel all -o predicted.png
      linphase theory --boundaries -d 200 -k 5 --noise 1
      linphase theory --asymptotic --dimensions 1e2,1e4,1e6,1e12 -k 5 --noise 1
    """
    from linphase.sweeps.sweeping import default_directory

    _check_given_together()
    if boundaries or asymptotic:
        if noise != noise:
            raise ConfigError("--noise: a number from 0 to 1e9 is required, found nan")
        if asymptotic:
            any_dimension(dimensions, sums, rank, noise, output)
            return
        if rank > dimension:
            raise ConfigError(f"-k: at most the dimension {dimension} is required, found {rank}")
        _print_lines(dimension, rank, noise)
        return
    if config_file is None:
        raise ConfigError("CONFIG: a TOML file is required, or --boundaries or --asymptotic, found none")
    config = read_config(config_file, overrides).predicted()
    out = out or default_directory(config)
    _run(config, out, no_plot, jobs=jobs, retry_failed=retry_failed)


def _check_given_together() -> None:
    """Refuse an option of `linphase theory` that does nothing beside the others."""
    context = click.get_current_context()
    given = {
        parameter.name: max(parameter.opts, key=len) if parameter.param_type_name == "option" else "CONFIG"
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE
    }
    tasks = {
        "boundaries": ("the task of -d, -k and --noise", {"dimension", "rank", "noise"}),
        "asymptotic": ("--dimensions, --sums, -k and --noise", {"dimensions", "sums", "rank", "noise", "output"}),
    }
    for flag, (purpose, used) in tasks.items():
        if flag in given:
            if others := [name for key, name in given.items() if key not in used | {flag}]:
                raise ConfigError(f"--{flag}: is for {purpose}, found {others[0]} too. Leave one out")
            return
    for key, name in given.items():
        if needed := [f"--{flag}" for flag, (_, used) in tasks.items() if key in used]:
            raise ConfigError(f"{name}: is for {' and '.join(needed)}, found without. A sweep's task is in its config")


def _print_lines(dimension: int, rank: int, noise: float) -> None:
    """Theory's lines at this d, and for d to infinity: a block each; into a pipe one table with tabs."""
    import numpy as np
    from rich.table import Table

    from linphase.theory.boundaries import boundaries

    gamma_w = np.linspace(0, 2.8, 15).round(1)
    lines = [
        line
        for line in boundaries((dimension, dimension), rank, noise, None, gamma_w)
        if line.gamma_w.shape == gamma_w.shape
    ]
    where = {False: f"d = {dimension}, k = {rank}, noise {noise:g}", True: "d to infinity"}
    starts = [[f"{w:.1f}", str(int(dimension**w))] for w in gamma_w]
    columns = [["-" if np.isnan(x) else f"{x + 0.0:.3f}" for x in line.gamma_sigma2.round(3)] for line in lines]
    terminal = console()
    if not terminal.is_terminal:
        echo_row(("gamma_w", "width", *(f"{line.name}, {where[line.asymptotic]}" for line in lines)))
        for start, *values in zip(starts, *columns, strict=True):
            echo_row((*start, *values))
        return
    for asymptotic, place in where.items():
        chosen = [
            (line.name, column) for line, column in zip(lines, columns, strict=True) if line.asymptotic == asymptotic
        ]
        head = ("gamma_w", "width", *(name for name, _ in chosen))
        table = Table(*head, title=f"gamma_sigma2 of theory's lines, {place}", title_justify="left")
        for start, *values in zip(starts, *(column for _, column in chosen), strict=True):
            table.add_row(*start, *values)
        terminal.print(table)


@unheard()
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
    from linphase.diagram.outcomes import outcomes
    from linphase.store.reading import failed_ids, finished_ids
    from linphase.store.results import load
    from linphase.store.writing import create
    from linphase.sweeps.forecast import Forecast
    from linphase.sweeps.sweeping import default_jobs, levels_to_train, train_missing

    tried: set[str] = set()
    specs: dict[str, RunSpec] = {}
    number = 0
    with _stop_signals() as received:
        create(out, config)  # before anything is read: another sweep may be half-way through making it
        gc.set_threshold(200_000)  # there may be a hundred thousand runs, and hardly any garbage among them
        for level in levels_to_train(config, out, shard, again=how["retry_failed"] or how.get("fill", False)):
            number, specs = level.number, specs | level.specs
            finished = finished_ids(out)
            to_do = {run_id: spec for run_id, spec in level.specs.items() if run_id not in finished}
            total, forecast = len(level.specs), Forecast(to_do, how["jobs"] or default_jobs())
            with _progress(forecast, total - len(to_do), total, out, _named(config, number)) as advance:
                for row in train_missing(
                    config, out, level.specs, time_left=received.time_left, forecast=forecast, **how
                ):
                    advance(row)
                    tried.add(row["run_id"])
            if received.signal is not None:
                break
    left = len(specs.keys() - tried - finished_ids(out) - failed_ids(out))
    stopped = received.signal if left or (shard is None and number < config.refine_levels) else None
    rest = f"with {left} runs left"
    if number < config.refine_levels:
        rest = f"with {left} runs of {_named(config, number)} left" if left else f"after {_named(config, number)}"
    kept = f"{rest}; all finished runs are kept in {out}"
    if stopped is not None and task is not None:
        _requeue(task, stopped, tried, f"Stopped {kept}")
    results = load(out)
    runs = results.runs if shard is None else results.runs[results.runs["run_id"].isin(specs)]
    if len(runs):
        console().print(count_table(runs, outcomes(runs)))
    if stopped is not None:
        echo(f"Interrupted {kept}. To go on, run the same again.")
        raise SystemExit(130 if stopped == signal.SIGINT else 143)
    complete = shard is None or not _tell_next(config, results, shard, number, specs)
    if complete and not no_plot and len(results.runs):
        _draw_diagram(results)
    if left:
        echo(
            f"{left} runs are missing, whose results have gone meanwhile. To train them, run the same again.", err=True
        )
        raise SystemExit(1)
    failed = runs.loc[runs["status"].eq("failed"), "run_id"]
    if len(failed):
        last = results.failures.loc[results.failures["run_id"].isin(failed), "error"].iloc[-1]
        echo(
            f"{len(failed)} runs failed, the last with: {printable(last)}. To run them again, add --retry-failed.",
            err=True,
        )
        raise SystemExit(1)


def _named(config: "SweepConfig", level: int) -> str:
    """How a level is called; nothing where there is one."""
    return f"level {level} of {config.refine_levels}" if config.refine_levels else ""


def _tell_next(
    config: "SweepConfig", results: "Results", shard: "Shard", level: int, specs: Mapping[str, "RunSpec"]
) -> bool:
    """Say what is left beside a shard that is done, and what comes next; whether anything is left."""
    left = [spec.run_id for spec in results.missing() if spec.run_id not in specs]
    here = results.asked.levels[level] if level < len(results.asked.levels) else []
    others = len(set(left) & set(here)) if config.refine_levels else len(left)
    done = ", ".join(filter(None, (f"Shard {shard}", _named(config, level))))
    if others:
        echo(f"{done} is done; {others} runs of other shards are not in {results.path} yet")
    if level < config.refine_levels:
        known = f", {len(left)} runs" if left and not others else " once they are there" if others else ""
        echo(f"{'Then' if others else f'{done} is done; next'} comes level {level + 1}{known}: run all shards again")
    return bool(others) or level < config.refine_levels


def _requeue(task: str, number: int, tried: set[str], left: str) -> None:
    """Put this task back into the queue and exit with 143; return where that would be of no use or is refused."""
    from linphase.sweeps.slurm import is_preempted, requeue

    if number == signal.SIGINT:
        return
    # Preempted in its first moments, a task has all of its time the next time.
    if number == _USR1 and not tried and not is_preempted(task):
        echo(
            f"warning: task {task} is not requeued: it had no time to finish a single run, nor would it the next time. "
            "Give it a longer --time",
            err=True,
        )
        return
    echo(f"{left}. Requeueing task {task}")  # now, as SLURM then ends this process
    try:
        requeue(task)
    except SlurmError as error:
        echo(f"warning: {error}", err=True)
    else:
        raise SystemExit(143)


def _draw_diagram(results: "Results") -> None:
    file = results.path / "phase_diagram.png"
    try:
        with environment_told():
            from linphase.diagram.panels import usual_panel
            from linphase.figures.drawing import draw

            panel = usual_panel(results.runs)
            save_figure(draw(results, panel), file, results, panel, Cuts())
        echo(f"Phase diagram: {file}")
    except LinphaseError as error:  # the runs are done and kept all the same
        echo(f"warning: no figure: {error}", err=True)


def _print_plan(config: "SweepConfig", out: Path, jobs: int, shard: "Shard | None") -> None:
    from linphase.store.reading import finished_ids
    from linphase.sweeps.plan import estimated_bytes, estimated_flops, flops_per_second
    from linphase.sweeps.sweeping import planned

    finished = finished_ids(out) if (out / "runs").is_dir() else set()
    runs = config.runs if shard is None and not config.refine_levels else sum(1 for _ in planned(config, out, shard))
    # An estimate from at most a thousand runs, evenly spread, of a list that may be long.
    every = max(1, runs // 1000)
    sample = [spec for index, spec in enumerate(planned(config, out, shard)) if index % every == 0]
    missing = [spec for spec in sample if spec.run_id not in finished]
    scale = runs / max(1, len(sample))
    seconds = scale * sum(map(estimated_flops, missing)) / flops_per_second() / jobs
    size = scale * sum(map(estimated_bytes, missing))
    done = f", {round(scale * (len(sample) - len(missing))):,} of them done" if finished else ""
    of_all = "" if config.refine_levels else f" of {config.runs:,}"
    shown = f"{runs:,}{done}" if shard is None else f"{runs:,}{of_all} in shard {shard}{done}"
    split = f", split {config.refine_levels} times where the outcome changes" if config.refine_levels else ""
    growth = "; every level has about twice the runs of the one before" if config.refine_levels else ""
    for name, value in (
        ("cells", f"{config.cells:,}{split}"),
        ("runs", f"{shown}{growth}"),
        ("largest width", f"{config.largest_width:,}"),
        ("results", out),
        ("time", f"about {duration(seconds)} on {jobs} workers{' for these' if growth else ''}"),
        ("disk", f"about {size / 1e6:,.1f} MB" if size >= 1e5 else f"about {size / 1e3:,.0f} kB"),
    ):
        echo(f"{name + ':':<15}{value}")

"""`linphase sweep` and `linphase theory`: everything that fills a results directory."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.shared import (
    console,
    draw,
    duration,
    print_outcomes,
    set_option,
)
from linphase.errors import LinphaseError
from linphase.regime import BULK_CUT, SIGNAL_CUT

if TYPE_CHECKING:
    from linphase.config import SweepConfig

LOG_SECONDS = 10.0  # between two progress lines where there is no terminal


def out_option(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--out, which has no fixed default."""
    return click.option("--out", type=click.Path(path_type=Path), help=f"Results directory.  {default}")


config_option = click.option(
    "--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML file of the sweep."
)
jobs_option = click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]")


@click.command()
@config_option
@out_option("[default: results/NAME]")
@jobs_option
@set_option
@click.option("--dry-run", is_flag=True, help="Print what would be run, and what it would take.")
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
def sweep(
    config_file: Path,
    out: Path | None,
    jobs: int | None,
    overrides: Sequence[str],
    dry_run: bool,
    no_plot: bool,
) -> None:
    """Train every run of a grid that is not in the results yet, and draw the phase diagram.

    \b
    Example:
      linphase sweep --config configs/quickstart.toml
      linphase sweep --config configs/quickstart.toml --set grid.replicates=3 --jobs 4

    Exit codes: 0 all done, 1 some runs failed, 2 a mistake in the input, 130 or 143 interrupted.
    """
    from linphase import sweeping
    from linphase.config import load_config

    config = load_config(config_file, overrides)
    out, jobs = out or sweeping.default_directory(config), jobs or sweeping.available_cores()
    if dry_run:
        _print_plan(config, out, jobs)
    else:
        _run(config, out, jobs, no_plot)


@click.command()
@config_option
@out_option("[default: results/NAME-theory]")
@jobs_option
@set_option
@click.option("--no-plot", is_flag=True, help="Do not draw the phase diagram at the end.")
def theory(config_file: Path, out: Path | None, jobs: int | None, overrides: Sequence[str], no_plot: bool) -> None:
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
    _run(config, out or sweeping.default_directory(config), jobs or sweeping.available_cores(), no_plot)


def _run(config: "SweepConfig", out: Path, jobs: int, no_plot: bool) -> None:
    """Run what is missing, print how it ended, draw, and exit with 1, 130 or 143 where that is due."""
    from linphase import store, sweeping

    with _stop_signals() as received, _progress(config, out) as advance:
        for row in sweeping.iter_sweep(config, out, jobs=jobs, should_stop=received.is_set):
            advance(row)
    results = store.load(out)
    if len(results.runs):
        print_outcomes(results)
    if received.signal is not None:
        left = len(results.missing())
        click.echo(
            f"Interrupted with {left} runs left; all finished runs are kept in {out}. To go on, run the same again."
        )
        raise SystemExit(128 + received.signal)
    if not no_plot and len(results.runs):
        file = out / "phase_diagram.png"
        try:
            draw(results, "regime", file, by="threshold", signal_cut=SIGNAL_CUT, bulk_cut=BULK_CUT)
            click.echo(f"Phase diagram: {file}")
        except LinphaseError as error:  # the runs are done and kept all the same
            click.echo(f"warning: no figure: {error}", err=True)
    failed = results.runs["status"].eq("failed").sum()
    if failed:
        last = results.failures["error"].iloc[-1]
        click.echo(f"{failed} runs failed, the last with: {last}. To try them again, run the same again.", err=True)
        raise SystemExit(1)


def _print_plan(config: "SweepConfig", out: Path, jobs: int) -> None:
    from linphase import store, sweeping

    finished = store.finished_ids(out) if (out / "runs").is_dir() else set()
    # An estimate from at most a thousand runs, evenly spread, of a list that may be long.
    every = max(1, config.runs // 1000)
    sample = [spec for index, spec in enumerate(config.expand()) if index % every == 0]
    missing = [spec for spec in sample if spec.run_id not in finished]
    scale = config.runs / len(sample)
    seconds = scale * sum(map(sweeping.estimated_flops, missing)) / sweeping.flops_per_second() / jobs
    size = scale * sum(map(sweeping.estimated_bytes, missing))
    done = f", {round(scale * (len(sample) - len(missing))):,} of them done" if finished else ""
    for name, value in (
        ("cells", f"{config.cells:,}"),
        ("runs", f"{config.runs:,}{done}"),
        ("largest width", f"{config.largest_width:,}"),
        ("results", out),
        ("time", f"about {duration(seconds)} on {jobs} workers"),
        ("disk", f"about {size / 1e6:,.1f} MB" if size >= 1e5 else f"about {size / 1e3:,.0f} kB"),
    ):
        click.echo(f"{name + ':':<15}{value}")


class _Received(threading.Event):
    """Set by the first SIGINT or SIGTERM; the second ends the program at once."""

    signal: int | None = None


@contextmanager
def _stop_signals() -> Iterator[_Received]:
    received = _Received()

    def handle(number: int, _: Any) -> None:
        if received.is_set():
            click.echo("Stopped. All finished runs are kept; to go on, run the same again.", err=True)
            raise SystemExit(128 + number)
        received.signal = number
        received.set()
        click.echo("Stopping: waiting a few seconds for runs in flight; once more stops at once.", err=True)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(config: "SweepConfig", out: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar with an ETA on a terminal, else a line now and then; yields what to call with each row."""
    from linphase import store, sweeping

    finished = store.finished_ids(out) if (out / "runs").is_dir() else set()
    done = sum(spec.run_id in finished for spec in config.expand()) if finished else 0
    if done:
        click.echo(f"{done} of {config.runs} runs are in {out} already")
    left = sum(sweeping.estimated_flops(spec) for spec in config.expand() if spec.run_id not in finished)
    clock = _Clock(left)
    if sys.stdout.isatty():
        with _progress_bar(config, done, clock) as advance:
            yield advance
    else:
        yield _progress_lines(config, done, clock)


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
def _progress_bar(config: "SweepConfig", done: int, clock: _Clock) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    from linphase import sweeping

    costs = {spec.run_id: sweeping.estimated_flops(spec) for spec in config.expand()}
    text = Column(no_wrap=True)
    columns = [
        TextColumn("{task.completed}/{task.total} runs", table_column=text),
        TextColumn("ETA {task.fields[eta]}", table_column=text),
    ]
    if console().width >= 60:
        columns.insert(1, BarColumn())  # type: ignore[arg-type]
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task("training", total=config.runs, completed=done, eta="?")

        def advance(row: dict[str, Any]) -> None:
            clock.done += costs.get(row["run_id"], 0.0)
            progress.update(task, advance=1, eta=clock.eta())

        yield advance


def _progress_lines(config: "SweepConfig", done: int, clock: _Clock) -> Callable[[dict[str, Any]], None]:
    from linphase import sweeping

    costs = {spec.run_id: sweeping.estimated_flops(spec) for spec in config.expand()}
    count, printed = done, 0.0

    def advance(row: dict[str, Any]) -> None:
        nonlocal count, printed
        count += 1
        clock.done += costs.get(row["run_id"], 0.0)
        if clock.elapsed() - printed >= LOG_SECONDS or count == config.runs:
            printed = clock.elapsed()
            click.echo(f"{count}/{config.runs} runs, elapsed {duration(printed)}, ETA {clock.eta()}")

    return advance

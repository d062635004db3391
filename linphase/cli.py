"""The command line: parses, calls the library, prints. The only place that prints, draws a progress bar or exits."""

import json
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase import __version__
from linphase.errors import ConfigError, LinphaseError
from linphase.regime import BULK_CUT, MEASURES, REGIMES, SIGNAL_CUT

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from linphase.config import RunSpec, SweepConfig
    from linphase.store import Results

LOG_SECONDS = 10.0  # between two progress lines where there is no terminal


class _Commands(click.Group):
    """Turns a user's mistake into one message and exit code 2, and warnings into lines."""

    def invoke(self, context: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            try:
                return super().invoke(context)
            except LinphaseError as error:
                click.echo(f"Error: {error}", err=True)
                context.exit(2)


def _print_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    click.echo(f"warning: {message}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="linphase")
def main() -> None:
    """Phase diagrams of two-layer linear networks: lazy, mixed and balanced training.

    \b
    Example:
      linphase sweep --config configs/quickstart.toml
      linphase plot results/quickstart --panel all -o diagram.pdf
    """


# --- Options that several commands share ----------------------------------------------------------------------------

Command = Callable[..., None]


def _results_argument(command: Command) -> Command:
    return click.argument("results", type=click.Path(path_type=Path))(command)


def _set_option(command: Command) -> Command:
    return click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Override a configuration key, such as task.dimension=200. Repeatable.",
    )(command)


def _classify_options(command: Command) -> Command:
    """--by, --signal-cut and --bulk-cut."""
    share = click.FloatRange(0, 1)
    for option in (
        click.option("--bulk-cut", type=share, default=BULK_CUT, show_default=True,
                     help="Share of active bulk modes from which on a run is balanced."),
        click.option("--signal-cut", type=share, default=SIGNAL_CUT, show_default=True,
                     help="Share of active signal modes below which a run is lazy."),
        click.option("--by", type=click.Choice(MEASURES), default="threshold", show_default=True,
                     help="Measure of active: s_i > c, mode balance or mode speed-up."),
    ):  # fmt: skip
        command = option(command)
    return command


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


# --- sweep ------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--config", "config_file", required=True, type=click.Path(path_type=Path), help="TOML file of the sweep.")
@click.option("--out", type=click.Path(path_type=Path), help="Results directory.  [default: results/NAME]")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]")
@_set_option
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
    from linphase import store, sweeping
    from linphase.config import load_config

    config = load_config(config_file, overrides)
    out = out or sweeping.default_directory(config)
    jobs = jobs or sweeping.available_cores()
    if dry_run:
        _print_plan(config, out, jobs)
        return
    with _stop_signals() as received, _progress(config, out) as advance:
        for row in sweeping.iter_sweep(config, out, jobs=jobs, should_stop=received.is_set):
            advance(row)
    results = store.load(out)
    _print_outcomes(results)
    if received.signal is not None:
        left = len(results.missing())
        click.echo(
            f"Interrupted with {left} runs left; all finished runs are kept in {out}. To go on, run the same again."
        )
        raise SystemExit(128 + received.signal)
    if not no_plot and len(results.runs):
        file = out / "phase_diagram.png"
        _draw(results, "regime", file, by="threshold", signal_cut=SIGNAL_CUT, bulk_cut=BULK_CUT)
        click.echo(f"Phase diagram: {file}")
    failed = results.runs["status"].eq("failed").sum()
    if failed:
        last = results.failures["error"].iloc[-1]
        click.echo(f"{failed} runs failed, the last with: {last}. To try them again, run the same again.", err=True)
        raise SystemExit(1)


def _print_plan(config: "SweepConfig", out: Path, jobs: int) -> None:
    from linphase import sweeping

    rate = sweeping.flops_per_second()
    # An estimate from at most a thousand runs, evenly spread, of a list that may be long.
    every = max(1, config.runs // 1000)
    sample = [spec for index, spec in enumerate(config.expand()) if index % every == 0]
    scale = config.runs / len(sample)
    seconds = scale * sum(sweeping.estimated_flops(spec) for spec in sample) / rate / jobs
    size = scale * sum(sweeping.estimated_bytes(spec) for spec in sample)
    for name, value in (
        ("cells", f"{config.cells:,}"),
        ("runs", f"{config.runs:,}"),
        ("largest width", f"{config.largest_width:,}"),
        ("results", out),
        ("time", f"about {_duration(seconds)} on {jobs} workers"),
        ("disk", f"about {size / 1e6:,.1f} MB"),
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
    from linphase import store

    finished = store.finished_ids(out) if (out / "runs").is_dir() else set()
    done = sum(spec.run_id in finished for spec in config.expand()) if finished else 0
    if done:
        click.echo(f"{done} of {config.runs} runs are in {out} already")
    if sys.stdout.isatty():
        with _progress_bar(config.runs, done) as advance:
            yield advance
    else:
        yield _progress_lines(config.runs, done)


@contextmanager
def _progress_bar(total: int, done: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, elapsed"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console(), speed_estimate_period=60) as progress:
        task = progress.add_task("training", total=total, completed=done)
        yield lambda row: progress.advance(task)


def _progress_lines(total: int, done: int) -> Callable[[dict[str, Any]], None]:
    began = printed = time.monotonic()
    count = done

    def advance(row: dict[str, Any]) -> None:
        nonlocal count, printed
        count += 1
        now = time.monotonic()
        if now - printed >= LOG_SECONDS or count == total:
            printed = now
            eta = (now - began) / (count - done) * (total - count)
            click.echo(f"{count}/{total} runs, elapsed {_duration(now - began)}, ETA {_duration(eta)}")

    return advance


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _print_outcomes(results: "Results") -> None:
    """How many runs ended in which regime and status."""
    from linphase.outcomes import outcomes

    _console().print(_count_table(results.runs, outcomes(results.runs)))


def _count_table(runs: "pd.DataFrame", outcome: "pd.Series[str]") -> "Table":
    import pandas as pd
    from rich.table import Table

    from linphase.outcomes import OUTCOMES
    from linphase.trajectory import STATUSES

    counts = pd.crosstab(outcome, runs["status"])
    statuses = [status for status in STATUSES if status in counts.columns]
    table = Table("regime", *statuses, "runs", title=f"{len(runs)} runs by regime and status", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in OUTCOMES:
        if name in counts.index:
            row = [int(((outcome == name) & (runs["status"] == status)).sum()) for status in statuses]
            table.add_row(name, *(str(count or "") for count in row), str(sum(row)))
    return table


# --- plot -------------------------------------------------------------------------------------------------------------


@main.command()
@_results_argument
@click.option("--panel", default="regime", show_default=True,
              help="regime, test-error, stable-rank, iterations, ... or all; an unknown name lists them.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="FILE.png, .pdf or .svg.  [default: RESULTS/PANEL.png]")  # fmt: skip
@_classify_options
def plot(results: Path, panel: str, output: Path | None, by: str, signal_cut: float, bulk_cut: float) -> None:
    """Draw the phase diagram of a results directory, with the boundaries that theory predicts.

    \b
    Example:
      linphase plot results/quickstart
      linphase plot results/quickstart --panel test-error -o error.pdf
      linphase plot results/quickstart --panel all -o panels.png
    """
    from linphase import store

    file = output or results / f"{'phase_diagram' if panel == 'regime' else panel}.png"
    _draw(store.load(results), panel, file, by=by, signal_cut=signal_cut, bulk_cut=bulk_cut)
    click.echo(f"Phase diagram: {file}")


def _draw(results: "Results", panel: str, file: Path, *, by: str, signal_cut: float, bulk_cut: float) -> None:
    from linphase import figures
    from linphase.config import parse_config

    cuts: dict[str, Any] = {"by": by, "signal_cut": signal_cut, "bulk_cut": bulk_cut}
    if panel == "all":
        figure = figures.all_panels(results.runs, results.axes, **cuts)
    else:
        figure = figures.phase_diagram(results.runs, results.axes, panel, **cuts)
    metadata = {
        "Title": f"linphase: {panel} of {results.path.name}",
        "Config": ", ".join(parse_config(config).digest for config in results.configs),
        "Version": f"linphase {__version__}",
    }
    figures.save(figure, file, metadata)


# --- run --------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--gamma-sigma2", type=float, help="Init variance is d^GAMMA_SIGMA2.")
@click.option("--init-variance", type=float, help="Init variance itself.")
@click.option("--gamma-w", type=float, help="Width is int(d^GAMMA_W).")
@click.option("--width", type=int, help="Width itself.")
@click.option("-d", "--dimension", type=int, default=200, show_default=True, help="Of the task.")
@click.option("-k", "--rank", type=int, default=5, show_default=True, help="Of the signal.")
@click.option("--noise", type=float, default=1.0, show_default=True, help="Standard deviation of the noise's entries.")
@click.option("--kind", type=click.Choice(["flow", "gd"]), default="flow", show_default=True, help="Dynamics.")
@click.option("--learning-rate", help='gd: "auto", "paper", a number, or { paper = DIVISOR }.')
@click.option("--steps", type=int, help="gd: at most so many steps.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--replicate", type=click.IntRange(min=0), default=0, show_default=True)
@_set_option
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("run.png"), show_default=True,
              help="FILE.png, .pdf or .svg for the figure.")  # fmt: skip
def run(overrides: Sequence[str], replicate: int, output: Path, **options: Any) -> None:
    """Train one network and draw its errors and its singular values against the threshold.

    \b
    Example:
      linphase run --gamma-sigma2 -1.5 --gamma-w 1.8
    The paper's Figure 1, by gradient descent:
      linphase run --gamma-sigma2 -1.85 --gamma-w 2.25 -d 500 --kind gd --learning-rate '{ paper = 5 }' --steps 100
    """
    from linphase import figures
    from linphase.running import train_spec

    spec = _single_spec(options, overrides, replicate)
    figures.check_format(output)  # before a long training, not after
    if not output.parent.is_dir():
        raise ConfigError(f"-o: an existing directory is required, found {str(output.parent)!r}")
    trained = train_spec(spec)
    for line in _run_report(spec, trained):
        click.echo(line)
    figure = figures.run_figure(
        trained.trajectory,
        threshold=trained.initialization.threshold,
        rank=spec.task.rank,
        time_label="step" if spec.dynamics.kind == "gd" else "time",
    )
    figures.save(
        figure,
        output,
        {"Title": "linphase: run", "Config": spec.run_id, "Version": f"linphase {__version__}"},
    )
    click.echo(f"Figure: {output}")


def _single_spec(options: dict[str, Any], overrides: Sequence[str], replicate: int) -> "RunSpec":
    from dataclasses import replace

    from linphase.config import parse_config

    grid = {key: options[key] for key in ("gamma_sigma2", "init_variance", "gamma_w", "width")}
    dynamics: dict[str, Any] = {"kind": options["kind"], "max_steps": options["steps"]}
    mapping: dict[str, Any] = {
        "name": "run",
        "task": {key: options[key] for key in ("dimension", "rank", "noise")},
        "grid": {key: value for key, value in grid.items() if value is not None},
        "dynamics": {key: value for key, value in dynamics.items() if value is not None},
        "run": {"seed": options["seed"]},
    }
    if options["learning_rate"] is not None:
        overrides = [f"dynamics.learning_rate={options['learning_rate']}", *overrides]
    config = parse_config(mapping, source="linphase run", overrides=overrides)
    if config.runs != 1:
        raise ConfigError(f"linphase run: one run is required, found {config.runs}; for many use linphase sweep")
    (spec,) = config.expand()
    return replace(spec, replicate=replicate)


def _run_report(spec: "RunSpec", trained: Any) -> Iterator[str]:
    start, minimum = trained.initialization, trained.minimum
    c = start.threshold
    yield f"start:     sigma2 = {start.init_variance:.4g}, width = {start.width:,}, threshold c = {c:.4g}"
    spent = f"{trained.updates} steps, {trained.gradient_evaluations} gradient evaluations, {trained.elapsed:.2f} s"
    yield f"status:    {trained.status}, {spent}"
    by = ", ".join(f"{trained.regimes[m] or '-'} by {m}" for m in MEASURES if m in trained.regimes)
    yield f"regime:    {by}"
    for measure, share in trained.order_parameters.items():
        bulk = "no bulk" if share.bulk_active is None else f"{share.bulk_active:.0%} of the bulk"
        yield f"  active by {measure + ':':<11}{share.signal_active:.0%} of the signal, {bulk}"
    where = f"step {minimum.step}" if minimum.step is not None else f"time {minimum.time:.4g}"
    ranks = f"stable rank {minimum.stable_rank:.3g}, rank {minimum.rank}"
    yield f"smallest test error: {minimum.test_error:.4g} at {where}, {ranks}"
    yield f"at the end: train error {trained.train_error:.4g}, test error {trained.test_error:.4g}"


# --- classify, status, export, columns --------------------------------------------------------------------------------


@main.command()
@_results_argument
@_classify_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.csv with the regime of every run.")
def classify(results: Path, by: str, signal_cut: float, bulk_cut: float, output: Path | None) -> None:
    """Classify stored runs again by another measure or other cuts; nothing is trained.

    \b
    Example:
      linphase classify results/quickstart --by speedup --bulk-cut 0.3 -o regimes.csv
    """
    from linphase import store
    from linphase.outcomes import measured_by, outcomes

    runs = store.load(results).runs
    outcome = outcomes(runs, by=by, signal_cut=signal_cut, bulk_cut=bulk_cut)
    _console().print(_count_table(runs, outcome))
    if output is not None:
        shares = [measured_by(name, by) for name in ("signal_active", "bulk_active")]
        coordinates = ["run_id", "gamma_sigma2", "gamma_w", "init_variance", "width", "replicate", "status"]
        table = runs[[*coordinates, *shares]].assign(regime=outcome)
        _write_csv(table, output)
        click.echo(f"Regimes: {output}")


@main.command()
@_results_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(results: Path, as_json: bool) -> None:
    """How far a sweep is: done, missing, failed and diverged runs, regimes, time spent and left.

    \b
    Example:
      linphase status results/quickstart
      linphase status results/quickstart --json
    """
    from linphase import store, sweeping

    loaded = store.load(results)
    runs, missing = loaded.runs, loaded.missing()
    finished = runs[runs["status"] != "failed"]
    spent = float(finished["elapsed_s"].sum())
    expected = loaded.expected()
    flops = sum(sweeping.estimated_flops(expected[run_id]) for run_id in finished["run_id"] if run_id in expected)
    left = sum(map(sweeping.estimated_flops, missing)) * spent / flops if flops else None
    cores = sweeping.available_cores()
    regimes = {name: int(finished["regime"].eq(name).sum()) for name in REGIMES}
    facts: dict[str, Any] = {
        "expected": len(expected),
        "done": len(finished),
        "missing": len(missing),
        "failed": int(runs["status"].eq("failed").sum()),
        "diverged": int(runs["status"].eq("diverged").sum()),
        "unconverged": int((~finished["converged"].astype(bool)).sum()),
        "regimes": regimes,
        "elapsed_s": round(spent, 3),
        "left_s": None if left is None else round(left / cores, 3),
        "cores": cores,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"{loaded.path}: {facts['done']} of {facts['expected']} runs done, {facts['missing']} missing")
    click.echo(f"failed: {facts['failed']}, diverged: {facts['diverged']}, not converged: {facts['unconverged']}")
    click.echo("regimes: " + ", ".join(f"{name} {count}" for name, count in regimes.items()))
    click.echo(f"trained for {_duration(spent)} of one core")
    if missing and left is not None:
        click.echo(f"about {_duration(left / cores)} left on {cores} cores")


@main.command()
@_results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="FILE.csv to write.")
def export(results: Path, output: Path) -> None:
    """Write the runs table, one row a run, as CSV.

    \b
    Example:
      linphase export results/quickstart -o runs.csv
    """
    from linphase import store

    runs = store.load(results).runs
    _write_csv(runs, output)
    click.echo(f"{len(runs)} runs: {output}")


def _write_csv(table: "pd.DataFrame", file: Path) -> None:
    if file.suffix != ".csv":
        raise ConfigError(f"-o: a file name ending in .csv is required, found {str(file)!r}")
    draft = file.with_name(f".{file.name}.part")
    try:
        table.to_csv(draft, index=False)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"-o: cannot write {str(file)!r}: {error.strerror}. Choose another place") from error


@main.command()
def columns() -> None:
    """Every stored column with its unit and meaning.

    \b
    Example:
      linphase columns
    """
    from rich.table import Table

    from linphase.columns import FAILURES, RUNS, TRAJECTORIES

    known = {column.name for column in RUNS}
    extra = tuple(column for column in FAILURES if column.name not in known)
    for title, declared in (
        ("runs/: one row a run", RUNS),
        ("trajectories/: lists over time and modes", TRAJECTORIES),
        ("failures/: the run's coordinates as in runs/, and", extra),
    ):
        table = Table("column", "type", "unit", "meaning", title=title, title_justify="left", box=None)
        for column in declared:
            table.add_row(column.name, column.type, column.unit, column.meaning)
        _console().print(table)
        click.echo()

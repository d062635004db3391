"""`linphase run`: one network."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase import __version__
from linphase.cli.options import KindOption, set_option, style_options
from linphase.cli.output import check_figure, echo
from linphase.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linphase.figures.fitting import Style
    from linphase.runs.records import TrainedRun
    from linphase.runs.spec import RunSpec

_TASK = {"dimension": 200, "rank": 5, "noise": 1.0}  # where neither an option nor an array of the user's own tells
SNAPSHOTS = 400  # of the one run that is kept, where the user sets no number


@click.command()
@click.option("--gamma-sigma2", type=float, help="Init variance is d^GAMMA_SIGMA2.")
@click.option("--init-variance", type=float, help="Init variance itself.")
@click.option("--gamma-w", type=float, help="Width is int(d^GAMMA_W).")
@click.option("--width", type=int, help="Width itself.")
@click.option("-d", "--dimension", type=int, show_default="200", help="Dimension d of the task.")
@click.option("-k", "--rank", type=int, show_default="5", help="Rank k of the signal.")
@click.option("--noise", type=float, show_default="1", help="Standard deviation of the noise's entries.")
@click.option("--kind", cls=KindOption, default="flow", show_default=True)
@click.option("--learning-rate", help='For descent: "auto", "paper", a number, or { paper = DIVISOR }.')
@click.option("--update", help='For descent: "simultaneous", or "alternating" as in the paper.')
@click.option("--steps", type=int, help="For descent: at most this many steps.")
@click.option("--seed", type=int, default=0, show_default=True, help="Root of all random numbers.")
@click.option("--replicate", type=click.IntRange(min=0), default=0, show_default=True,
              help="Which of the independent draws of task and start.")  # fmt: skip
@click.option("--theory/--no-theory", default=True, show_default=True,
              help="Draw the self-consistent dynamics from the same start beside the run. For descent of at most 1000 "
                   "steps this is its Euler iteration at the same learning rate, else the exact solution; "
                   "record.compare=self_consistent asks for the exact one.")  # fmt: skip
@set_option
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("run.png"), show_default=True,
              help="FILE.png, .pdf or .svg for the figure.")  # fmt: skip
@style_options
@click.option("--look", type=click.Choice(["figure1"]),
              help="Draw descent as the paper's Figure 1 does: linear axes over the steps, its colours.")  # fmt: skip
def run(
    overrides: Sequence[str],
    replicate: int,
    theory: bool,
    output: Path,
    style: "Style",
    look: str | None,
    **options: Any,
) -> None:
    """Train one network, and draw its errors and singular values.

    The singular values are drawn against the threshold.

    \b
    Example:
      linphase run --gamma-sigma2 -1.5 --gamma-w 1.8
    A target of your own:
      linphase run --gamma-sigma2 -1.5 --gamma-w 1.8 --set task.target=Y.npy
    The paper's Figure 1, by gradient descent, as the paper draws it:
      linphase run --gamma-sigma2 -1.85 --gamma-w 2.25 -d 500 --kind gd --learning-rate '{ paper = 5 }' --steps 100 \\
        --update alternating --look figure1
    """
    from linphase.figures.style import save
    from linphase.runs.training import train_spec

    spec = _single_spec(options, overrides, replicate)
    check_figure(output)
    if look is not None:
        _check_look(look, spec, theory)
    trained = train_spec(spec)
    for line in _run_report(spec, trained):
        echo(line)
    figure = _run_figure(spec, trained, theory, style) if look is None else _figure1(spec, trained, style)
    save(
        figure,
        output,
        {"Title": "linphase: run", "Config": spec.run_id, "Version": f"linphase {__version__}"},
    )
    echo(f"Figure: {output}")


def _check_look(look: str, spec: "RunSpec", theory: bool) -> None:
    """Figure 1 has steps, and theory beside them."""
    from linphase.dynamics.base import Dynamics

    if not spec.dynamics.fixed_step:
        kinds = " or ".join(name for name, kind in Dynamics.members.items() if kind.fixed_step)
        raise ConfigError(f"--look {look}: is for --kind {kinds}, found --kind {spec.dynamics.kind}")
    if not theory:
        raise ConfigError(f"--no-theory: has no meaning with --look {look}, which draws both. Leave one of them out")


def _run_figure(spec: "RunSpec", trained: "TrainedRun", theory: bool, style: "Style") -> "Figure":
    from linphase.figures.evolution import run_figure
    from linphase.runs.beside import from_the_same_start

    predicted, which = from_the_same_start(spec, trained) if theory and spec.dynamics.moves_weights else (None, "")
    return run_figure(
        trained.trajectory,
        threshold=trained.initialization.threshold,
        rank=spec.task.rank,
        time_label="step" if spec.dynamics.fixed_step else "time",
        theory=predicted,
        names=_names(spec, which),
        baselines={} if (held := trained.baselines) is None else {"optimal": held.optimal, "lazy": held.lazy},
        style=style,
    )


def _figure1(spec: "RunSpec", trained: "TrainedRun", style: "Style") -> "Figure":
    from linphase.figures.paper import figure1
    from linphase.runs.beside import from_the_same_start

    theory, which = from_the_same_start(spec, trained)
    return figure1(
        trained.trajectory,
        theory,
        threshold=trained.initialization.threshold,
        rank=spec.task.rank,
        names=_names(spec, which),
        style=style,
    )


def _names(spec: "RunSpec", which: str) -> tuple[str, str]:
    return spec.dynamics.title or str(spec.dynamics.kind), f"self-consistent ({which})"


def _single_spec(options: dict[str, Any], overrides: Sequence[str], replicate: int) -> "RunSpec":
    from dataclasses import replace

    from linphase.config.config import parse_config
    from linphase.config.keys import declared, users_of
    from linphase.config.toml import toml_value

    of_descent = {"learning_rate": "learning_rate", "update": "update", "steps": "max_steps"}
    for option, name in of_descent.items():
        key = f"dynamics.{name}"
        users = users_of(key, declared())
        if options[option] is not None and options["kind"] not in users:
            given = f"found --kind {options['kind']}"
            raise ConfigError(f"--{option.replace('_', '-')}: is for --kind {' or '.join(users)}, {given}")
    if not any(override.startswith("grid.") for override in overrides):
        _check_one_of(options, "--gamma-sigma2", "--init-variance", "--gamma-sigma2 -1.5")
        _check_one_of(options, "--gamma-w", "--width", "--gamma-w 1.8")
    grid = {key: options[key] for key in ("gamma_sigma2", "init_variance", "gamma_w", "width")}
    own = any(override.startswith(("task.target", "task.signal", "data.")) for override in overrides)
    task = {key: default if options[key] is None and not own else options[key] for key, default in _TASK.items()}
    rate = None if options["learning_rate"] is None else toml_value(options["learning_rate"])
    dynamics: dict[str, Any] = {
        "kind": options["kind"], "learning_rate": rate, "update": options["update"], "max_steps": options["steps"]
    }  # fmt: skip
    mapping: dict[str, Any] = {
        "name": "run",
        "task": {key: value for key, value in task.items() if value is not None},
        "grid": {key: value for key, value in grid.items() if value is not None},
        "dynamics": {key: value for key, value in dynamics.items() if value is not None},
        "record": {"snapshots": SNAPSHOTS},
        "run": {"seed": options["seed"]},
    }
    config = parse_config(mapping, source="linphase run", overrides=overrides)
    if config.runs != 1:
        raise ConfigError(f"linphase run: one run is required, found {config.runs}; for many use linphase sweep")
    (spec,) = config.expand()
    return replace(spec, replicate=replicate)


def _check_one_of(options: Mapping[str, Any], first: str, second: str, example: str) -> None:
    given = [option for option in (first, second) if options[option.strip("-").replace("-", "_")] is not None]
    if len(given) != 1:
        found = "both" if given else "neither"
        raise ConfigError(f"linphase run: one of {first} and {second} is required, found {found}. Example: {example}")


def _run_report(spec: "RunSpec", trained: "TrainedRun") -> Iterator[str]:
    start, minimum = trained.initialization, trained.minimum
    c = start.threshold
    yield f"start:     sigma2 = {start.init_variance:.4g}, width = {start.width:,}, threshold c = {c:.4g}"
    spent = f"{trained.updates} steps, {trained.gradient_evaluations} gradient evaluations, {trained.elapsed:.2f} s"
    yield f"status:    {trained.status}, {spent}"
    by = ", ".join(f"{regime} by {measure}" for measure, regime in trained.regimes.items() if regime)
    yield f"regime:    {by or _why_no_regime(spec, trained)}"
    if counts := trained.classification.active:
        yield f"  active modes: {', '.join(f'{count} by {measure}' for measure, count in counts.items())}"
    for measure, share in trained.order_parameters.items():
        bulk = "no bulk" if share.bulk_active is None else f"{share.bulk_active:.0%} of the bulk"
        yield f"  active by {measure + ':':<11}{share.signal_active:.0%} of the signal, {bulk}"
    if minimum.test_error is not None:
        where = f"step {minimum.step}" if minimum.step is not None else f"time {minimum.time:.4g}"
        found = minimum.observables
        ranks = f"stable rank {found['stable_rank_at_min']:.3g}, rank {found['rank_at_min']}"
        yield f"smallest test error: {minimum.test_error:.4g} at {where}, {ranks}"
    test = "" if trained.test_error is None else f", test error {trained.test_error:.4g}"
    yield f"at the end: train error {trained.train_error:.4g}{test}"


def _why_no_regime(spec: "RunSpec", trained: "TrainedRun") -> str:
    if trained.status == "diverged":
        return "diverged"
    if not spec.task.rank:
        return "none, as no rank tells which modes are the signal's; -k tells one"
    return "underparameterized (width < rank)"

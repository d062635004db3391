"""`linphase plot` and `linphase boundary`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.shared import classify_options, console, draw, results_argument, save_figure
from linphase.errors import ConfigError
from linphase.regime import BULK_CUT, SIGNAL_CUT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linphase.boundary import MeasuredBoundary
    from linphase.store import Results


@click.command()
@results_argument
@click.option(
    "--panel",
    default="regime",
    show_default=True,
    help="regime, test-error, stable-rank, iterations, distance, ..., evidence, collapse or all; an unknown name lists "
    "them.",
)
@click.option("--against", type=click.Choice(["theory"]), help="Draw measured, predicted and their difference.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="FILE.png, .pdf or .svg.  [default: RESULTS/PANEL.png]"
)
@classify_options
def plot(results: Path, panel: str, against: str | None, output: Path | None, **cuts: Any) -> None:
    """Draw the phase diagram of a results directory, with the boundaries that theory predicts.

    \b
    Example:
      linphase plot results/quickstart
      linphase plot results/quickstart --panel test-error -o error.pdf
      linphase plot results/quickstart --panel all -o panels.png
      linphase plot results/quickstart --panel iterations --against theory
      linphase plot results/quickstart --panel collapse
    """
    from linphase import figures, store

    if output is not None:
        figures.check_format(output)
    loaded = store.load(results)
    file = output or results / f"{_default_name(panel, against, cuts)}.png"
    if against is None:
        draw(loaded, panel, file, **cuts)
    else:
        save_figure(_against_theory(loaded, panel, cuts), file, loaded, f"{panel} against theory", **cuts)
    click.echo(f"Figure: {file}")


def _default_name(panel: str, against: str | None, cuts: dict[str, Any]) -> str:
    """A file name that says what is not the default, so that no figure replaces another one."""
    defaults = {"by": "threshold", "signal_cut": SIGNAL_CUT, "bulk_cut": BULK_CUT}
    told = [f"{name.replace('_', '-')}-{value}" for name, value in cuts.items() if value != defaults[name]]
    return "-".join(["phase_diagram" if panel == "regime" else panel, *(["against-theory"] if against else []), *told])


def _against_theory(results: "Results", panel: str, cuts: dict[str, Any]) -> "Figure":
    from linphase import figures, sweeping
    from linphase.config import parse_config

    if panel not in figures.PANELS:
        raise ConfigError(f"--panel: one of {', '.join(figures.PANELS)} is required with --against, found {panel!r}")
    predicted = sweeping.predicted_runs(parse_config(config) for config in results.configs)
    return figures.against(results.runs, predicted, results.axes, panel, **cuts)


@click.command()
@results_argument
@classify_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.png, .pdf or .svg: drawn on the diagram.")
def boundary(results: Path, as_json: bool, output: Path | None, **cuts: Any) -> None:
    """Where the measured boundaries lie: gamma_sigma2 at which an order parameter crosses its cut, for every width.

    With replicates the interval is the central 95 % of a bootstrap over them. Beside stand theory's values at the
    results' d, rank and noise, and in the limit of large d.

    \b
    Example:
      linphase boundary results/quickstart
      linphase boundary results/quickstart --by speedup --json
      linphase boundary results/quickstart -o boundaries.pdf
    """
    from linphase import figures, store
    from linphase.boundary import measured_boundaries
    from linphase.columns import for_key

    if output is not None:
        figures.check_format(output)
    loaded = store.load(results)
    facets = [for_key(key).name for key in loaded.axes if "." in key]
    found = measured_boundaries(loaded.runs, facets, **cuts)
    if as_json:
        click.echo(json.dumps([_as_json(crossing) for crossing in found], indent=2))
    else:
        _print_boundaries(found)
    if output is not None:
        figure = figures.phase_diagram(loaded.runs, loaded.axes, "regime", measured=found, **cuts)
        save_figure(figure, output, loaded, "measured boundaries", **cuts)
        click.echo(f"Figure: {output}", err=as_json)


def _as_json(crossing: "MeasuredBoundary") -> dict[str, Any]:
    """Numbers that are not there are null: JSON has no nan."""
    from dataclasses import asdict

    facts = {**asdict(crossing), "facet": dict(crossing.facet)}
    return {name: None if isinstance(value, float) and value != value else value for name, value in facts.items()}


def _print_boundaries(found: Sequence["MeasuredBoundary"]) -> None:
    from rich.table import Table

    columns = ("boundary", "facet", "gamma_w", "width", "gamma_sigma2", "95 %", "theory, d", "d to infinity")
    table = Table(*columns, title="gamma_sigma2 at the boundaries", title_justify="left")
    for crossing in found:
        interval = "" if crossing.low != crossing.low else f"{crossing.low:.3f} to {crossing.high:.3f}"
        table.add_row(
            crossing.name,
            ", ".join(f"{key} = {value}" for key, value in crossing.facet),
            f"{crossing.gamma_w:.3f}",
            f"{crossing.width}",
            _number(crossing.gamma_sigma2),
            interval,
            _number(crossing.finite_d),
            _number(crossing.asymptotic),
        )
    console().print(table)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"

"""`linphase plot`: a panel, or one of the figures that are more than a panel."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.laws import draw_laws
from linphase.cli.options import (
    axes_options,
    conditions,
    cuts_options,
    lines_options,
    loaded_part,
    results_argument,
    scale_options,
    spanned,
    style_options,
    where_option,
)
from linphase.cli.output import check_figure, echo, echo_diagram, save_figure
from linphase.cli.panel_list import PanelsCommand
from linphase.errors import ConfigError, LinphaseError
from linphase.figures.fitting import differing
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linphase.figures.fitting import Style
    from linphase.store.results import Results


@click.command(cls=PanelsCommand)
@results_argument
@click.option(
    "--panel",
    metavar="NAME",
    help="One of the panels below.  [default: regime; with --look figure2 its four panels]",
)
@click.option(
    "--look",
    type=click.Choice(["figure2"]),
    help="Draw test-error, stable-rank, iterations or distance as the paper's Figure 2 does: contours between the "
    "cells on linear scales, its colours and lines.",
)
@click.option(
    "--against",
    metavar="theory|RESULTS",
    help="Draw the panel beside theory (from A = 0) or another results directory, and the difference of the two.",
)
@click.option(
    "--along",
    metavar="KEY",
    help="Draw the panel as curves along this axis, such as gamma_sigma2, task.rank or c: one for each value of --y, "
    "by default of all further axes, 10 at most.  [default where one axis alone has several values]",
)
@click.option(
    "--fit", is_flag=True, help="With --along: fit and print the power of the axis by which the panel's numbers go."
)
@click.option("--at", hidden=True)
@where_option
@axes_options
@scale_options
@lines_options
@style_options
@click.option("--terminal", is_flag=True, help="Print the diagram here instead, in colours or letters.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="FILE.png, .pdf or .svg.  [default: RESULTS/PANEL.png]"
)
@cuts_options
def plot(
    results: Path,
    panel: str | None,
    look: str | None,
    against: str | None,
    along: str | None,
    fit: bool,
    at: str | None,
    where: Sequence[str],
    x: str | None,
    y: str | None,
    style: "Style",
    terminal: bool,
    output: Path | None,
    cuts: Cuts,
) -> None:
    """Draw the phase diagram of a results directory.

    The boundaries that theory predicts are drawn over it. The first two axes with several values span the diagram: a
    variance (across) and a width (upwards) come first, then the others as in the file. --x and --y name other axes.
    Each combination of the values of further axes has a diagram of its own. The name of
    any panel with -spread behind it draws how far the replicates of each cell lie apart. Where one axis alone has
    several values, panels are curves along it.

    \b
    Example:
      linphase plot results/quickstart
      linphase plot results/quickstart --panel test-error -o error.pdf
      linphase plot results/quickstart --panel all --style talk -o panels.png
      linphase plot results/quickstart --panel iterations --against theory
      linphase plot results/quickstart --panel test-error --against results/self_consistent
      linphase plot results/quickstart --panel trajectories
      linphase plot results/quickstart --panel trajectories --where gamma_sigma2=-1.5 --where gamma_w=1.8
      linphase plot results/quickstart --panel test-error --along gamma_sigma2 --where width=4096
      linphase plot results/quickstart --x c --y width/d
      linphase plot results/scaling_training --panel test-error --along task.dimension --fit
      linphase plot results/quickstart --terminal
      linphase plot results/paper_figure2_gd --look figure2
    """
    from linphase.diagram.axes import selected
    from linphase.diagram.panels import made_by_theory, usual_panel
    from linphase.store.results import load

    chosen_values = conditions(where)
    _refuse_at(at)
    if look is not None:
        told = {f"--{name}": name for name in differing(style) if name in _OF_DIAGRAMS}
        _check_look(look, {"--against": against, "--terminal": terminal or None, **told}, cuts)
    _check_along(along, fit, panel, {"--look": look, "--against": against, "--x": x, "--terminal": terminal})
    _check_together(panel or "regime", against, terminal, output, style)
    if along is not None:
        part = loaded_part(results, where)
        chosen, draw_them = panel or usual_panel(part.runs), draw_laws if fit else _draw_curves
        named = {"along": along, "where": ",".join(where), "y": y, **differing(style)}
        file = output or results / f"{_default_name(chosen + ('-fit' if fit else ''), named, cuts)}.png"
        if missing := len(part.missing()):
            echo(f"warning: {missing} runs are missing or failed; linphase status counts them", err=True)
        draw_them(part, chosen, along, y, cuts, output=file, style=style)
        return
    loaded = load(results)
    other = None if against in (None, "theory") else _other(loaded, Path(str(against)))
    if other is not None:
        chosen_values, of_other = _shared_out(chosen_values, loaded, other)
        try:
            other = selected(other, of_other)
        except LinphaseError as error:
            raise ConfigError(f"{other.path}: {error}") from error
    loaded = spanned(selected(loaded, chosen_values), x, y)
    chosen = panel or usual_panel(loaded.runs)
    if terminal:
        _print_diagram(loaded, chosen, cuts)
        return
    from linphase.diagram.axes import several
    from linphase.diagram.mesh import mesh_of
    from linphase.figures.drawing import draw, reference_for  # after that: a terminal needs no matplotlib
    from linphase.figures.paper import FIGURE_2, figure2

    reference = None if against is None else reference_for(loaded, chosen, other or "theory", cuts)
    beside = "theory" if other is None or reference is None else reference.names[1]
    name = chosen if look is None else "-".join(filter(None, (look, panel)))
    named = {"against": against and beside, "where": ",".join(where), "x": x, "y": y, **differing(style)}
    file = output or results / f"{_default_name('regime' if panel is None and look is None else name, named, cuts)}.png"
    one_cell = chosen == "trajectories" and not several(loaded.axes)
    if one_cell:
        echo(_cell(loaded, cuts))
    if look is None:
        figure = draw(loaded, chosen, cuts, against=reference, style=style)
    else:
        panels = tuple(FIGURE_2) if panel is None else (panel,)
        figure = figure2(loaded.runs, loaded.axes, panels, columns=loaded.columns, mesh=mesh_of(loaded), style=style)
    if one_cell and not made_by_theory(loaded.runs) and not _has_theory(figure):
        echo(
            "Theory is left out: no time passed in the run, its task cannot be drawn again, or there is no closed form "
            "for its inputs or its start",
            err=True,
        )
    for note in () if reference is None else reference.notes:
        echo(f"note: {note}", err=True)
    title = name if reference is None else f"{name} against {beside}"
    save_figure(figure, file, loaded, title, cuts, other)
    echo(f"Figure: {file}")


def _other(results: "Results", path: Path) -> "Results":
    """The results that --against names, and how many of their runs are not there."""
    from linphase.store.results import load

    if not os.path.isdir(path):
        raise ConfigError(f"--against: theory or a results directory is required, found {str(path)!r}")
    if os.path.samefile(results.path, path):
        raise ConfigError(f"--against: another directory than RESULTS is required, found {str(path)!r} for both")
    other = load(path)
    asked, finished = len(other.asked.specs), int((other.runs["status"] != "failed").sum())
    if finished < asked:
        echo(f"note: {path} lacks {asked - finished} of its {asked} runs, missing or failed", err=True)
    return other


def _shared_out(
    conditions: Mapping[str, list[str]], results: "Results", other: "Results"
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """--where for the results, and for what they are set against: replicates, and the axes that it alone has."""
    from linphase.diagram.axes import axis_called

    alone = {key for key in conditions if not axis_called(key, results.axes) and axis_called(key, other.axes)}
    mine = {key: values for key, values in conditions.items() if key not in alone}
    return mine, {key: values for key, values in conditions.items() if key in alone or key == "replicate"}


_OF_DIAGRAMS = ("vmin", "vmax", "scale", "no-lines", "no-names")


def _check_look(look: str, others: Mapping[str, Any], cuts: Cuts) -> None:
    """It has panels of its own, in a file, and none of them hangs on the cuts."""
    decided = {
        "--criterion" if name == "criterion" else f"--{name}-cut": value for name, value in cuts.unusual().items()
    }
    for option in (option for option, value in {**others, **decided}.items() if value is not None):
        raise ConfigError(f"{option}: has no meaning with --look {look}. Leave one of them out")


def _refuse_at(at: str | None) -> None:
    """It was the cell of a run over time, which --where chooses now."""
    if at is not None:
        raise ConfigError(
            f"--at: --where is required in its place, found --at {at}. Example: --panel trajectories --where "
            "gamma_sigma2=-1.5 --where gamma_w=1.8"
        )


def _check_along(along: str | None, fit: bool, panel: str | None, others: Mapping[str, Any]) -> None:
    """Options that mean nothing beside --along, or without it, are mistakes."""
    if along is None:
        if fit:
            raise ConfigError("--fit: --along KEY is required with it, found none. Example: --along task.dimension")
        return
    for option in (option for option, value in others.items() if value):
        raise ConfigError(f"{option}: has no meaning with --along. Leave one of them out")
    if fit and panel is None:
        raise ConfigError("--fit: --panel with a panel of numbers is required, found none. Example: --panel test-error")


def _draw_curves(
    results: "Results", panel: str, axis: str, by: str | None, cuts: Cuts, *, output: Path, style: "Style"
) -> None:
    """Draw a panel as curves along an axis; arguments of `draw_laws`, which draws the lines through them."""
    from linphase.figures.drawing import draw_along

    figure = draw_along(results, panel, cuts, along=axis, y=by, style=style)
    save_figure(figure, output, results, f"{panel} along {axis}", cuts)
    echo(f"Figure: {output}")


def _check_together(panel: str, against: str | None, terminal: bool, output: Path | None, style: "Style") -> None:
    """Options that mean nothing beside others are mistakes."""
    if against == "theory" and panel == "trajectories":
        raise ConfigError(
            "--panel trajectories: has theory in it where --where chooses one cell; --against theory is for other "
            "panels"
        )
    if terminal:
        used = {"--against": against, "--output": output, **{f"--{name}": name for name in differing(style)}}
        for option in (option for option, value in used.items() if value is not None):
            raise ConfigError(
                f"{option}: has no meaning with --terminal, which prints one panel. Leave one of them out"
            )
    elif output is not None:
        check_figure(output)


def _print_diagram(results: "Results", panel: str, cuts: Cuts) -> None:
    """In colours only where there is a terminal that shows them and nobody objects (no-color.org)."""
    from linphase.diagram.mesh import mesh_of
    from linphase.diagram.panels import base_name, known_panels
    from linphase.figures.terminal import terminal_diagram

    if base_name(panel, known_panels(results.columns)) is None:
        from linphase.figures.drawing import FIGURES

        if panel in FIGURES:
            raise ConfigError(f"--panel {panel}: is a figure of several diagrams; --terminal prints a single panel")
    width = shutil.get_terminal_size().columns
    told: dict[str, Any] = {"cuts": cuts, "columns": results.columns, "mesh": mesh_of(results)}
    text = terminal_diagram(results.runs, results.axes, panel, **told, width=width, color=None)
    echo_diagram(text)


def _has_theory(figure: "Figure") -> bool:
    """Whether a figure of one run has theory's curves."""
    return bool(figure.findobj(lambda artist: artist.get_gid() == "train, theory"))


def _cell(results: "Results", cuts: Cuts) -> str:
    """Which cell the only one is, and what its run came to."""
    from linphase.diagram.outcomes import outcomes
    from linphase.diagram.sampling import only_run

    run, _ = only_run(results.runs)
    regime = outcomes(results.runs[results.runs["run_id"] == run["run_id"]], cuts).iloc[0]
    where = f"gamma_sigma2 = {run['gamma_sigma2']:.4g}, gamma_w = {run['gamma_w']:.4g} (width {run['width']})"
    return f"Cell: {where}, {regime}, {run['status']}"


def _default_name(panel: str, named: Mapping[str, str | None], cuts: Cuts) -> str:
    """A file name that says what is not the default, so that no figure replaces another one.

    gamma_w=-1.5,c=2 is written gamma_w=m1.5_c=2: shells and programs take what begins with a minus sign for an option.
    """
    told = [f"{name if name == 'criterion' else f'{name}-cut'}-{value}" for name, value in cuts.unusual().items()]
    words = [
        "-".join(filter(None, (name, _MINUS.sub("m", value).replace(",", "_"))))
        for name, value in named.items()
        if value is not None and (value or name.startswith("no-"))
    ]
    name = "-".join(["phase_diagram" if panel == "regime" else panel, *words, *told])
    return re.sub(r"[^\w.=-]", "_", name)


_MINUS = re.compile(r"(?:^|(?<=[=,]))-(?=[\d.])|(?<=\d[eE])-(?=\d)")  # of a number, not between words

"""`linphase boundary`: where the measured boundaries lie, as tables and figures."""

import json
from collections.abc import Sequence
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.laws import fit_boundaries
from linphase.cli.options import (
    cuts_options,
    lines_options,
    loaded_part,
    results_argument,
    style_options,
    where_option,
)
from linphase.cli.output import check_directory, console, echo, echo_row, save_figure
from linphase.errors import ConfigError
from linphase.figures.fitting import differing
from linphase.files import write_whole
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    from linphase.diagram.measured import MeasuredBoundary
    from linphase.figures.fitting import Style


@click.command()
@results_argument
@where_option
@cuts_options
@click.option(
    "--fit",
    metavar="KEY",
    help="The power of this axis by which the threshold c of every boundary goes, such as task.dimension or width/d, "
    "and by which it strays from theory's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="FILE.csv, .json, or .png, .pdf, .svg: those of the end on the diagram.",
)
@lines_options
@style_options
def boundary(
    results: Path,
    where: Sequence[str],
    fit: str | None,
    as_json: bool,
    output: Path | None,
    style: "Style",
    cuts: Cuts,
) -> None:
    """Print where the measured boundaries lie, for every width.

    A boundary is the gamma_sigma2 at which runs change their end or their path.

    Boundaries of the end: the median of log(s_i/c), or of what stands for it by the criterion, passes 0 between two
    cells. It is the median over the signal modes for mixed | lazy, and over the bulk for mixed | balanced.

    Boundaries of the path, the same by every criterion: the learning order falls below 2, or the benefit rises above
    1/2, for the first time. Results that were made before these were measured have none.

    The table gives the mean over replicates and, from three replicates on, its 95 % interval by Student's t. "below
    grid" and "above grid" mean beyond the first and the last cell. If the runs on one side are not there, or only some
    replicates cross on the grid, there is no value, and the note says why. Beside it stand the grid's step, the share
    of converged runs, and theory's values at the results' d, rank and noise, and in the limit of large d. If the output
    is no terminal, its columns are separated by tabs.

    At the end of a run of width far above d all criteria are functions of the target and c. So the boundaries of the
    end test theory and the numerics, and say nothing of the path that training took; those of the path do.

    With --fit the boundaries at several values of an axis become points of a law, a weighted line in logarithms. It
    prints the slope with a 95 % interval, chi2 of the points about the line, the slope over theory's values, and
    theory's own slope along the same points and at the largest alone.

    \b
    Example:
      linphase boundary results/quickstart
      linphase boundary results/quickstart --criterion speedup --json
      linphase boundary results/quickstart -o boundaries.csv
      linphase boundary results/noise --where task.noise=0.5
      linphase boundary results/quickstart -o boundaries.pdf
      linphase boundary results/scaling_boundaries --criterion balance --fit task.dimension -o law.pdf
    """
    from linphase.diagram.measured import boundaries_of, untold

    if output is None and (unused := differing(style)):
        raise ConfigError(f"--{next(iter(unused))}: -o FILE is required with it, found none")
    as_data = output is not None and output.suffix.lower() in (".csv", ".json")
    if output is not None:
        if not as_data and output.suffix.lower() not in (".png", ".pdf", ".svg"):
            raise ConfigError(
                f"{output}: a name ending in .csv, .json, .png, .pdf or .svg is required, found {output.suffix!r}"
            )
        check_directory(output)
    loaded = loaded_part(results, where)
    if fit is not None:
        fit_boundaries(loaded, fit, cuts, as_json=as_json, output=output, style=style)
        return
    found = boundaries_of(loaded, cuts)
    if as_data and output is not None:  # before anything is printed: whoever reads the pipe may have left
        write_whole(output, _as_json(found) + "\n" if output.suffix.lower() == ".json" else _as_csv(found))
    elif output is not None:
        from linphase.figures.drawing import draw

        save_figure(draw(loaded, "boundaries", cuts, style=style), output, loaded, "measured boundaries", cuts)
    if as_json:
        echo(_as_json(found))
    else:
        _print_boundaries(found)
    for warning in (untold(found), _unsettled(found)):
        if warning:
            echo(f"warning: {warning}", err=True)
    if output is not None:
        echo(f"{'Table' if as_data else 'Figure'}: {output}", err=as_json)


def _unsettled(found: Sequence["MeasuredBoundary"]) -> str | None:
    """The bulk moves last: without convergence a run cannot be told to be mixed or balanced."""
    from linphase.theory.boundaries import MIXED_BALANCED

    mixed = [crossing for crossing in found if crossing.name == MIXED_BALANCED and crossing.runs]
    runs, converged = sum(c.runs for c in mixed), sum(round(c.runs * c.converged) for c in mixed)
    finished = sum(round(c.runs * c.finished) for c in mixed)
    if converged == runs:
        return None
    if converged + finished == runs:
        return (
            f"{finished} of {runs} runs ended at a given time: the {MIXED_BALANCED} boundary is that of this time, for "
            "the bulk moves last"
        )
    return (
        f"{runs - converged - finished} of {runs} runs did not converge: the {MIXED_BALANCED} boundary is not settled, "
        'for only converged runs separate the two. Sweep with stop.rule = "converged" and a budget that lets them'
    )


def _facts(crossing: "MeasuredBoundary") -> dict[str, Any]:
    """Numbers that are not there or beyond the grid are null: JSON has neither nan nor infinity."""
    from dataclasses import asdict

    beyond = {inf: "above grid", -inf: "below grid"}.get(crossing.gamma_sigma2)
    note = crossing.note or beyond or ""
    facts = asdict(crossing) | {"facet": dict(crossing.facet), "note": note, "places": list(crossing.places)}
    return {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in facts.items()}


def _as_json(found: Sequence["MeasuredBoundary"]) -> str:
    return json.dumps([_facts(crossing) for crossing in found], indent=2)


def _as_csv(found: Sequence["MeasuredBoundary"]) -> str:
    from linphase.diagram.measured import as_table

    text: str = as_table(found).to_csv(index=False)
    return text


def _print_boundaries(found: Sequence["MeasuredBoundary"]) -> None:
    """A block for each boundary and facet; where nobody reads it on a terminal, lines with tabs."""
    from rich.table import Table

    from linphase.diagram.measured import COLUMNS, blocks, filled, table_row
    from linphase.diagram.names import held_text

    terminal = console()
    if not found:
        echo("no boundary: no width holds the signal, or no rank tells what it is")
    elif not terminal.is_terminal:
        echo_row(("boundary", "facet", *COLUMNS))
        for one in found:
            echo_row((one.name, held_text(one.facet), *table_row(one)))
    else:
        for name, facet, block in blocks(found):
            rows = [table_row(one) for one in block]
            kept = [i for i in filled(rows) if COLUMNS[i] != "note"]
            title = name + (f", {held_text(facet)}" if facet else "")
            table = Table(*(COLUMNS[i] for i in kept), title=f"gamma_sigma2 at {title}", title_justify="left")
            for row in rows:
                table.add_row(*(row[i] for i in kept))
            terminal.print(table)
            for one in block:
                if one.note:
                    terminal.print(f"width {one.width}: {one.note}")

"""`linphase boundary --fit` and `linphase plot --along KEY --fit`: laws over an axis, as tables and figures."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import exp, isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linphase.cli.output import console, echo, echo_row, save_figure
from linphase.errors import ConfigError
from linphase.files import write_whole
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    from linphase.diagram.scaling import Law, Line, Point
    from linphase.figures.fitting import Style
    from linphase.store.results import Results

_HEADS = ("of", "held", "points", "slope", "95 %", "chi2", "over theory", "95 %", "theory", "there alone", "note")


def fit_boundaries(
    results: "Results", axis: str, cuts: Cuts, *, as_json: bool, output: Path | None, style: "Style"
) -> None:
    """Print the laws of the boundaries' thresholds along an axis, and write them, or draw them, where that is asked."""
    from linphase.diagram.scaling import laws_of_boundaries
    from linphase.model.regime import CRITERIA

    laws = laws_of_boundaries(results, axis, cuts)
    suffix = "" if output is None else output.suffix.lower()
    if output is not None and suffix in (".csv", ".json"):  # before anything is printed: its reader may have left
        write_whole(output, _as_json(laws) if suffix == ".json" else _as_csv(laws))
    elif output is not None:
        from linphase.figures.along import along, law_name

        if not any(law.points for law in laws):
            notes = "; ".join(dict.fromkeys(law.note for law in laws if law.note))
            raise ConfigError(f"--fit {axis}: a boundary with points is required to draw its law, found none. {notes}")
        several = len({law.quantity for law in laws if law.points}) > 1

        def name(law: "Law") -> str:
            return ", ".join(filter(None, (law.quantity if several else "", law_name(law))))

        title = f"boundaries by {CRITERIA[cuts.criterion].title}"
        figure = along(laws, label="threshold $c$", name=name, title=title, style=style)
        save_figure(figure, output, results, f"laws of the boundaries over {axis}", cuts)
    if as_json:
        echo(_as_json(laws).rstrip())
    else:
        _print(laws)
    _warn(results, laws)
    if output is not None:
        echo(f"{'Table' if suffix in ('.csv', '.json') else 'Figure'}: {output}", err=as_json)


def draw_laws(
    results: "Results", panel: str, axis: str, by: str | None, cuts: Cuts, *, output: Path, style: "Style"
) -> None:
    """Draw a panel's column along an axis with the lines through it, and print the laws."""
    from linphase.diagram.panels import find_panel
    from linphase.diagram.scaling import laws_of_panel
    from linphase.figures.along import along

    laws = laws_of_panel(results, panel, axis, by, cuts)
    shown = find_panel(panel, cuts, results.runs, results.columns)
    unit, title = shown.unit.replace(r"\ln\,", ""), shown.title.removeprefix("ln of the ")  # the axis is logarithmic
    figure = along(laws, label=unit if "$" in unit else panel.replace("-", " "), title=title, style=style)
    save_figure(figure, output, results, f"{panel} along {axis}", cuts)
    _print([replace(law, quantity=panel) for law in laws])
    _warn(results, laws)
    echo(f"Figure: {output}")


def _warn(results: "Results", laws: Sequence["Law"]) -> None:
    from linphase.diagram.scaling import of_shared_dimensions

    if laws and (warning := of_shared_dimensions(results, laws[0].axis)):
        echo(f"warning: {warning}", err=True)


# --- As tables -------------------------------------------------------------------------------------------------------


def _print(laws: Sequence["Law"]) -> None:
    """A table; where nobody reads it on a terminal, lines with tabs."""
    from rich.table import Table

    terminal, rows = console(), [_row(law) for law in laws]
    if not laws:
        echo("no law: no width holds the signal, or no rank tells what it is")
    elif not terminal.is_terminal:
        for row in (_HEADS, *rows):
            echo_row(row)
    else:
        kept = [i for i, column in enumerate(zip(*rows, strict=True)) if set(column) - {"", "-"}]
        table = Table(*(_HEADS[i] for i in kept), title=f"powers of {laws[0].axis}", title_justify="left")
        for row in rows:
            table.add_row(*(row[i] for i in kept))
        terminal.print(table)


def _row(law: "Law") -> tuple[str, ...]:
    from linphase.diagram.looks import plainly
    from linphase.diagram.names import held_text

    places = [plainly(point.x) for point in law.points]
    line, over = law.line, law.over_theory
    return (
        law.quantity,
        held_text(law.held),
        f"{len(places)}: {places[0]} to {places[-1]}" if len(places) > 1 else f"1: {places[0]}" if places else "none",
        "-" if line is None else _number(line.slope),
        _interval(line),
        "" if line is None or isnan(line.chi2) else f"{line.chi2:.1f} of {line.chi2_freedom}",
        "" if over is None else _number(over.slope),
        _interval(over),
        _number(law.theory),
        _number(law.local),
        law.note or ("" if line else "a slope needs two points"),
    )


def _interval(line: "Line | None") -> str:
    return "" if line is None or isnan(line.low) else f"{_number(line.low)} to {_number(line.high)}"


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{round(value, 4) + 0.0:.4f}"


def _facts(law: "Law") -> dict[str, Any]:
    """Numbers that are not there are null: JSON has no nan."""
    line, over = ({} if each is None else vars(each) for each in (law.line, law.over_theory))
    facts = {
        "of": law.quantity,
        "axis": law.axis,
        "held": dict(law.held),
        "slope": line.get("slope"),
        "low": line.get("low"),
        "high": line.get("high"),
        "chi2": line.get("chi2"),
        "chi2_freedom": line.get("chi2_freedom"),
        "intercept": line.get("intercept"),
        "over_theory": over.get("slope"),
        "over_theory_low": over.get("low"),
        "over_theory_high": over.get("high"),
        "theory": law.theory,
        "theory_at_largest": law.local,
        "note": law.note,
    }
    return {name: _told(value) for name, value in facts.items()} | {"points": [_point(point) for point in law.points]}


def _point(point: "Point") -> dict[str, Any]:
    ends = (point.mean, point.mean - point.half, point.mean + point.half)
    value, low, high = (exp(each) if isfinite(each) else None for each in ends)
    theory = exp(point.log_theory) if isfinite(point.log_theory) else None
    replicates = len(point.logs)
    return {"x": point.x, "value": value, "low": low, "high": high, "theory": theory, "replicates": replicates}


def _told(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _as_json(laws: Sequence["Law"]) -> str:
    return json.dumps([_facts(law) for law in laws], indent=2) + "\n"


def _as_csv(laws: Sequence["Law"]) -> str:
    """A line a point, with its law's slope beside it."""
    import pandas as pd

    lines: list[dict[str, Any]] = []
    for law in laws:
        facts = _facts(law)
        of, points, held = (facts.pop(name) for name in ("of", "points", "held"))
        lines += [{"of": of, **held, **point, **facts} for point in points]
    text: str = pd.DataFrame(lines).to_csv(index=False)
    return text

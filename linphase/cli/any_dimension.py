"""`linphase theory --asymptotic`: the closed form at any dimension as a table; nothing is swept or drawn."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

from linphase.cli.output import check_directory, console, echo, echo_row
from linphase.errors import ConfigError
from linphase.files import write_whole

if TYPE_CHECKING:
    from rich.table import Table

    from linphase.theory.asymptotic import AsymptoticCell

Facts = dict[str, float | None]

# What fits into 80 columns; pipes and files have all.
_HEADS = {
    "dimension": "d",
    "min_test_error": "test\nerror",
    "slope": "slope\nin d",
    "benefit": "benefit",
    "optimal_error": "optimal\nerror",
    "lazy_error": "lazy\nerror",
    "stable_rank_at_min": "stable\nrank",
    "learning_order": "order",
    "bulk_active": "bulk\nactive",
    "time_at_min": "time",
}


def any_dimension(dimensions: str, sums: str, rank: int, noise: float, output: Path | None) -> None:
    """Print the table, and write it where that is asked for.

    Raises ConfigError where an option is not as required.
    """
    from linphase.theory.asymptotic import TypicalTask, asymptotic_cell

    if output is not None:
        if output.suffix.lower() not in (".csv", ".json"):
            raise ConfigError(f"-o: a file name ending in .csv or .json is required, found {str(output)!r}")
        check_directory(output)
    ds = _numbers("--dimensions", dimensions, 2, 1e15)
    gammas = _numbers("--sums", sums, -3, 3)
    if rank > ds[0]:
        raise ConfigError(f"-k: at most the smallest dimension {ds[0]:g} is required, found {rank}")
    tasks = [TypicalTask(d, rank, noise) for d in ds]
    facts = [each for gamma in gammas for each in _with_slopes([asymptotic_cell(task, gamma) for task in tasks])]
    if output is not None:  # before anything is printed: whoever reads the pipe may have left
        write_whole(output, _as_json(facts) if output.suffix.lower() == ".json" else _as_csv(facts))
    terminal = console()
    if not terminal.is_terminal:
        echo_row(facts[0])
        for each in facts:
            echo_row(map(_text, each.values()))
    else:
        for table in tables(facts, f"k = {rank}, noise {noise:g}"):
            terminal.print(table, "")
    if output is not None:
        echo(f"Table: {output}")


def tables(facts: Sequence[Facts], task: str) -> list["Table"]:
    """A block for each sum of gamma_sigma2 and gamma_w, in 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    blocks = []
    for gamma, rows in groupby(facts, key=lambda each: each["gamma_sum"]):
        table = Table(
            title=f"gamma_sigma2 + gamma_w = {gamma:g}, {task}",
            title_justify="left",
            box=SIMPLE_HEAD,
            padding=0,
            show_edge=False,
        )
        for head in _HEADS.values():
            table.add_column(head, justify="right")
        for row in rows:
            table.add_row(*(_text(row[name], 3) for name in _HEADS))
        blocks.append(table)
    return blocks


def _numbers(option: str, text: str, low: float, high: float) -> list[float]:
    """The numbers of a list, ascending, each once."""
    try:
        found = sorted({float(word) for word in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(low <= each <= high for each in found):  # nan is in no range
        raise ConfigError(
            f"{option}: numbers from {low:g} to {high:g} are required, separated by commas, found {text!r}"
        )
    return found


def _with_slopes(cells: Sequence["AsymptoticCell"]) -> list[Facts]:
    """The cells of one sum as facts, with the slope of log(smallest test error) in log d since the dimension before."""
    facts: list[Facts] = []
    for before, cell in zip([None, *cells], cells, strict=False):
        slope = None
        if before is not None and min(before.min_test_error, cell.min_test_error) > 0:
            slope = log(cell.min_test_error / before.min_test_error) / log(cell.dimension / before.dimension)
        values = asdict(cell)
        facts.append({"gamma_sum": values.pop("gamma_sum"), **values, "slope": slope})
    return facts


def _text(value: float | None, digits: int = 6) -> str:
    return "-" if value is None else f"{value + 0.0:.{digits}g}"


def _as_json(facts: Sequence[Facts]) -> str:
    return json.dumps(facts, indent=2) + "\n"


def _as_csv(facts: Sequence[Facts]) -> str:
    """A line a cell; what is not there is empty."""
    lines = [",".join("" if value is None else repr(value) for value in each.values()) for each in facts]
    return "\n".join([",".join(facts[0]), *lines, ""])

"""What a diagram says once of all its runs: the task, how many draws each cell holds, and whether theory made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linphase.diagram.looks import written
from linphase.diagram.panels import made_by_theory

if TYPE_CHECKING:
    import pandas as pd

# Columns that a line of facts tells, where all runs agree on them; a title need not tell them again.
_SYMBOLS = {"samples": "$n = {}$", "rank": "$k = {}$", "noise": "noise {}"}
FACTS = ("dimension", "output_dimension", *_SYMBOLS)


def facts(runs: pd.DataFrame, kind: str = "mean") -> str:
    """The facts of some runs in a line, as in "d = 64, k = 4, noise 1, mean of 3".

    Parameters
    ----------
    runs
        Rows of a runs table: all that a figure draws.
    kind
        What a cell shows of its draws: mean, or majority.
    """
    if runs.empty:
        return ""
    told = ["theory"] if made_by_theory(runs) else []
    if (size := _size(runs)) is not None:
        told.append(size)
    for column, symbol in _SYMBOLS.items():
        value = _shared(runs, column)
        if value is not None:
            told.append(symbol.format(written(value)))
    return ", ".join([*told, _draws(runs, kind)])


def _shared(runs: pd.DataFrame, column: str) -> Any:
    """The value that all runs have; None where they differ, or have none."""
    if column not in runs or runs[column].isna().any():
        return None
    values = runs[column].unique()
    return values[0] if len(values) == 1 else None


def _size(runs: pd.DataFrame) -> str | None:
    d_in = _shared(runs, "dimension")
    if d_in is None:
        return None
    if "output_dimension" not in runs or runs["output_dimension"].isna().all():
        return f"$d = {written(d_in).strip('$')}$"
    d_out = _shared(runs, "output_dimension")
    if d_out is None:
        return None
    if d_out == d_in:
        return f"$d = {written(d_in).strip('$')}$"
    return rf"$d_{{\mathrm{{out}}}} \times d_{{\mathrm{{in}}}} = {d_out} \times {d_in}$"


def _draws(runs: pd.DataFrame, kind: str) -> str:
    """How many draws of task and start a cell holds."""
    count = int(runs["replicate"].nunique()) if "replicate" in runs else 1
    return "one draw" if count == 1 else f"{kind} of {count} draws"

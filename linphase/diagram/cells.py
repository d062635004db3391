"""The cells of a phase diagram: what each shows of its runs. No matplotlib: a terminal shows the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from linphase.diagram.axes import Window
from linphase.diagram.looks import LOOKS, Array
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import UNFINISHED, Panel
from linphase.model.regime import AGREED, REGIMES, Cuts, majority

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


@dataclass(frozen=True)
class Cells:
    """What each cell shows: a number, or the outcomes that share the majority."""

    outcomes: dict[tuple[int, int], tuple[str, ...]]  # (row, column) -> outcomes, for cells without a number
    numbers: Array  # (rows, columns), nan where there is none
    unconverged: list[tuple[int, int]]  # cells to hatch: a finished replicate did not converge
    all_unconverged: bool  # no cell converged: said in the legend, for hatching would only hide the numbers
    disputed: list[tuple[int, int]] = field(
        default_factory=list
    )  # to hatch finely: a regime, and criteria that do not agree

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many cells show each outcome, or tie."""
        found = list(self.outcomes.values())
        return {shown: found.count(shown) for shown in dict.fromkeys(found)}


@dataclass(frozen=True)
class Plot:
    """One subplot: the runs of a facet and what a panel shows of them."""

    panel: Panel
    title: str
    runs: pd.DataFrame
    cells: Cells


def cells_of(runs: pd.DataFrame, window: Window, panel: Panel, cuts: Cuts) -> Cells:
    """Average the replicates of every cell, or find what most of them came to.

    Parameters
    ----------
    runs
        Rows of a runs table, of one facet.
    window
        The two axes.
    panel
        What is shown: of `find_panel`, so that its column is that of the criterion.
    cuts
        What turns shares into regimes.
    """
    rows, columns = window.y.index(runs), window.x.index(runs)
    words = list(outcomes(runs, cuts)) if panel.shows_regime else list(runs["status"])
    unfinished = runs["status"].isin(UNFINISHED).to_numpy(dtype=bool)
    strayed = ~unfinished & (runs["status"] != "converged").to_numpy(dtype=bool)
    values = None
    if panel.column is not None and panel.scale != "outcome":
        values = runs[panel.column].to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.where(unfinished | ~np.isfinite(values), np.nan, values)
    members: dict[tuple[int, int], list[int]] = {}
    for i, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        if row >= 0 and column >= 0:
            members.setdefault((row, column), []).append(i)
    shape = (len(window.y.kept), len(window.x.kept))
    numbers = np.full(shape, np.nan)
    shown: dict[tuple[int, int], tuple[str, ...]] = {}
    for cell in np.ndindex(*shape):
        here = members.get(cell, [])
        if not here:
            shown[cell] = ("missing",)
        elif values is None:
            shown[cell] = tuple(sorted(majority([words[i] for i in here]), key=list(LOOKS).index))
        elif np.isfinite(values[here]).any():
            numbers[cell] = np.nanmean(values[here])
            if panel.null is not None and numbers[cell] == 0:  # a time that no mode needs
                numbers[cell], shown[cell] = np.nan, ("start",)
        else:
            shown[cell] = majority([words[i] for i in here]) if unfinished[here].all() else ("undefined",)
    if panel.scale == "ln":
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = np.where(numbers > 0, np.log(numbers), np.nan)
        shown |= {cell: ("undefined",) for cell in np.ndindex(*shape) if cell not in shown and np.isnan(numbers[cell])}
    unconverged = [] if panel.column == "status" else [cell for cell, here in members.items() if strayed[here].any()]
    if np.isfinite(numbers).any() and len(unconverged) == np.isfinite(numbers).sum():
        return Cells(shown, numbers, [], True)
    disputed = _disputed(runs, members, shown) if panel.shows_regime else []
    return Cells(shown, numbers, unconverged, False, disputed)


def _disputed(
    runs: pd.DataFrame, members: Mapping[tuple[int, int], list[int]], shown: Mapping[tuple[int, int], tuple[str, ...]]
) -> list[tuple[int, int]]:
    """The cells of regimes whose criteria agree on less than AGREED of the modes, in the mean over replicates."""
    if "evidence_agreement" not in runs:
        return []
    agreement = runs["evidence_agreement"].to_numpy(dtype=np.float64, na_value=np.nan)
    known = {cell: agreement[here][np.isfinite(agreement[here])] for cell, here in members.items()}
    return [
        cell
        for cell, shares in known.items()
        if shares.size and shares.mean() < AGREED and set(shown[cell]) <= set(REGIMES)
    ]

"""Measured against predicted: the two diagrams and their difference, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from linphase.errors import LinphaseError
from linphase.figures.axes import MAX_FACETS, Window, split_facets
from linphase.figures.cells import Cells, Plot, cells_of
from linphase.figures.layout import common_scale, draw_plots, finish, subplots
from linphase.figures.legends import Swatch, draw_legends
from linphase.figures.panels import Panel, find_panel, holds
from linphase.figures.scales import draw_colorbar
from linphase.figures.style import LOOKS, PAGE_WIDTH, Array, StyleName, styled, written
from linphase.regime import BULK_CUT, SIGNAL_CUT


@styled
def against(
    runs: pd.DataFrame,
    predicted: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
    names: tuple[str, str] = ("measured", "predicted"),
    style: StyleName = "paper",
) -> Figure:
    """One panel measured, predicted, and their difference, over the first two axes; a row for each facet.

    runs, predicted: two runs tables; their cells are matched by the values of the axes, replicates averaged.
    The difference is measured minus predicted, for quantities over decades the logarithm of the ratio; of outcomes the
    cells that differ are shown in both colours. Other arguments are those of `phase_diagram`.

    Raises LinphaseError as `phase_diagram` does, and where either table holds nothing to draw or no cell is in both.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    if len(facets) > MAX_FACETS // 3:
        raise LinphaseError(
            f"the axes beyond the first two make {len(facets)} facets; measured against predicted holds at most "
            f"{MAX_FACETS // 3}. Draw some of them: linphase plot --where KEY=VALUE keeps one value of an axis; in "
            "Python linphase.figures.select"
        )
    shown = find_panel(panel, by, runs, signal_cut, bulk_cut)
    from_zero = "kind" in predicted and bool((predicted["kind"] == "modes").all())
    if not holds(predicted, shown):
        raise LinphaseError(
            f"panel {panel} needs column {shown.column}, which the {names[1]} runs do not hold: there is nothing to "
            f"set the {names[0]} ones against"
        )
    plots = []
    for facet, theory in zip(facets, split_facets(predicted, axes, predicted=True), strict=True):
        pair = [cells_of(part.runs, window, shown, by, signal_cut, bulk_cut) for part in (facet, theory)]
        difference, cells, summary = _difference(shown, pair[0], pair[1], names)
        named = (f"{shown.title}\n{', '.join(filter(None, (facet.title, name)))}" for name in names)
        plots += [Plot(shown, title, facet.runs, one) for title, one in zip(named, pair, strict=True)]
        plots.append(Plot(difference, summary, facet.runs, cells))
    if all(cell == ("missing",) for plot in plots[2::3] for cell in plot.cells.outcomes.values()) and not any(
        np.isfinite(plot.cells.numbers).any() for plot in plots[2::3]
    ):
        raise LinphaseError("no cell is both in the results and in those they are set against: their grids differ")
    figure, grid = subplots(len(plots), 3, (PAGE_WIDTH, 2.1 * len(facets) + 0.65))
    own = common_scale([plot for plot in plots if plot.panel is shown], shown)
    apart = common_scale([replace(plot, panel=plots[2].panel) for plot in plots[2::3]], plots[2].panel)
    lines = draw_plots(grid, 3, plots, window, [apart if i % 3 == 2 else own for i in range(len(plots))])
    if own is not None:
        draw_colorbar(figure, [ax for i, ax in enumerate(grid) if i % 3 < 2], own, shown.levels, shown.unit)
    if apart is not None:
        draw_colorbar(figure, grid[2::3], apart)
    drawn = [plot if i % 3 < 2 else replace(plot, cells=_unpaired(plot.cells)) for i, plot in enumerate(plots)]
    differing = sum(len(cell) == 2 for plot in plots[2::3] for cell in plot.cells.outcomes.values())
    halves = [LOOKS["lazy"], LOOKS["balanced"]]
    key = [Swatch(halves, f"differ: {names[0]} below, {names[1]} above")] if differing else []
    unsettled = [
        name
        for i, name in enumerate(names)
        if any(plot.cells.all_unconverged or plot.cells.unconverged for plot in plots[i::3])
    ]
    title = f"{names[1]}: theory from $A(0) = 0$, without the start's own noise" if from_zero else None
    draw_legends(figure, drawn, lines, above=key, title=title, whose=" and ".join(unsettled))
    finish(figure, grid[:1], plots[:1], lines[:1])
    return figure


def _difference(panel: Panel, measured: Cells, predicted: Cells, names: tuple[str, str]) -> tuple[Panel, Cells, str]:
    """What the third diagram shows, and its title."""
    shape = measured.numbers.shape
    shown: dict[tuple[int, int], tuple[str, ...]] = {}
    numbers = np.full(shape, np.nan)
    if panel.scale == "outcome":
        for cell in np.ndindex(*shape):
            shown[cell] = _compared(measured.outcomes[cell], predicted.outcomes[cell])
        both = [cell for cell in shown.values() if cell != ("missing",)]
        share = f"{sum(len(cell) == 2 for cell in both)} of {len(both)} cells"
        return replace(panel, name="difference"), Cells(shown, numbers, [], False), f"difference\n{share}"
    ratio = panel.scale == "log"
    a, b = measured.numbers, predicted.numbers
    with np.errstate(divide="ignore", invalid="ignore"):
        numbers = np.where(a == b, 0.0, np.log(a / b)) if ratio else a - b
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    for cell in np.ndindex(*shape):
        if np.isnan(numbers[cell]):
            one, other = measured.outcomes.get(cell), predicted.outcomes.get(cell)
            absent = ("missing",) in (one, other)
            shown[cell] = ("missing",) if absent else one if one == other and one is not None else ("apart",)
    logarithmic = ratio or panel.scale == "ln"
    title = f"ln({names[0]} / {names[1]})" if logarithmic else f"{names[0]} \N{MINUS SIGN} {names[1]}"
    return (
        replace(panel, name="difference", title=title, scale="difference", colormap="RdBu_r", levels=()),
        Cells(shown, numbers, [], False),
        f"{title}\n{_summary(numbers)}",
    )


def _compared(measured: tuple[str, ...], predicted: tuple[str, ...]) -> tuple[str, ...]:
    """agree, missing where either is, or what was measured and what was predicted."""
    if measured == predicted:
        return measured if measured == ("missing",) else ("agree",)
    if ("missing",) in (measured, predicted):
        return ("missing",)
    # Of a tie the outcome that the other side does not have.
    mine = next((name for name in measured if name not in predicted), measured[0])
    return mine, next((name for name in predicted if name not in (*measured, mine)), predicted[0])


def _unpaired(cells: Cells) -> Cells:
    """Without the cells in two colours, which the legend tells about once."""
    return replace(cells, outcomes={cell: shown for cell, shown in cells.outcomes.items() if len(shown) == 1})


def _summary(differences: Array) -> str:
    sizes = np.abs(differences[np.isfinite(differences)])
    if sizes.size == 0:
        return "no cell in common"
    return f"median size {written(float(f'{np.median(sizes):.2g}'))}, largest {written(float(f'{sizes.max():.2g}'))}"

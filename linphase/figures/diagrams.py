"""Phase diagrams: one panel, with facets as small multiples, or several panels of one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.diagram.axes import MAX_FACETS, Window, split_facets
from linphase.diagram.cells import Cells, Plot, cells_of
from linphase.diagram.looks import LOOKS, Array
from linphase.diagram.panels import OVERVIEW, PANELS, find_panel, holds, unusual_cuts
from linphase.diagram.versus import _difference
from linphase.errors import LinphaseError
from linphase.figures.layout import common_scale, draw_plots, facet_columns, finish, subplots
from linphase.figures.legends import Swatch, draw_legends
from linphase.figures.overlays import draw_measured, measured_handles
from linphase.figures.scales import draw_colorbar
from linphase.figures.style import COLUMN_WIDTH, PAGE_WIDTH, StyleName, stroke, styled
from linphase.model.regime import CRITERIA, Cuts

if TYPE_CHECKING:
    from linphase.diagram.measured import MeasuredBoundary


@styled
def phase_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    cuts: Cuts = Cuts(),
    measured: Sequence[MeasuredBoundary] = (),
    style: StyleName = "paper",
) -> Figure:
    """One panel over the first two axes of a grid, the further axes as small multiples.

    runs: rows with the columns of `linphase.columns.RUNS`; axes: the values of each axis by its key in the
    grid (gamma_sigma2, width, task.rank, ...); panel: a name of PANELS; cuts:
    as in `linphase.diagram.outcomes`; style: paper or talk. Replicates are averaged, outcomes decided by majority. The
    boundaries of `linphase.theory`, and those measured, are drawn where the two axes are a variance and a width.

    Raises LinphaseError for an unknown panel, one that the runs hold nothing of, fewer than two axes, or more than
    MAX_FACETS facets.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    shown = find_panel(panel, cuts, runs)
    plots = [Plot(shown, facet.title, facet.runs, cells_of(facet.runs, window, shown, cuts)) for facet in facets]
    columns = facet_columns(axes, len(plots))
    if columns == 1:
        width, height = COLUMN_WIDTH, 0.86 * COLUMN_WIDTH
    else:
        width = max(PAGE_WIDTH, 1.8 * columns)
        height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.7
    figure, grid = subplots(len(plots), columns, (width, height))
    scale = common_scale(plots, shown)
    lines = draw_plots(grid, columns, plots, window, [scale] * len(plots))
    covered = [
        draw_measured(ax, facet.runs, window, facet.values, measured) for ax, facet in zip(grid, facets, strict=True)
    ]
    if scale is not None:
        draw_colorbar(figure, grid, scale, shown.levels, shown.unit)
    title = shown.title if shown.scale != "outcome" or shown.title != PANELS[panel].title else None
    if title is not None and len(plots) == 1:
        grid[0].set_title("\n".join(filter(None, (title, facets[0].title))))
        title = None
    below = measured_handles(measured) if window.has_theory else ()
    draw_legends(figure, plots, lines, below=below, title=title)
    finish(figure, grid, plots, lines, covered)
    return figure


@styled
def all_panels(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    *,
    panels: Sequence[str] = OVERVIEW,
    cuts: Cuts = Cuts(),
    style: StyleName = "paper",
) -> Figure:
    """Several panels of one grid in one figure; a row of panels for each facet where there are further axes.

    Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    chosen = [find_panel(panel, cuts, runs) for panel in panels]
    plots = [
        Plot(
            shown,
            f"{shown.title}\n{facet.title}" if facet.title else shown.title,
            facet.runs,
            cells_of(facet.runs, window, shown, cuts),
        )
        for facet in facets
        for shown in chosen
    ]
    columns = len(chosen) if len(facets) > 1 else min(3, len(chosen))
    width = COLUMN_WIDTH if columns == 1 else max(PAGE_WIDTH, 2.3 * columns)
    height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.5
    figure, grid = subplots(len(plots), columns, (width, height))
    scales = {shown.name: common_scale(plots, shown) for shown in chosen}
    lines = draw_plots(grid, columns, plots, window, [scales[plot.panel.name] for plot in plots])
    for ax, plot in zip(grid, plots, strict=True):
        scale = scales[plot.panel.name]
        if scale is not None:
            draw_colorbar(figure, [ax], scale, plot.panel.levels, plot.panel.unit)
    draw_legends(figure, plots, lines)
    finish(figure, grid[:1], plots[:1], lines[:1])
    return figure


_DOT: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": LOOKS["failed"].color,
    "markeredgecolor": "white",
    "zorder": 3.5,
}


@styled
def evidence(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    *,
    cuts: Cuts = Cuts(),
    style: StyleName = "paper",
) -> Figure:
    """The regime diagram by threshold, balance and speed-up, and the share of modes on which the three agree.

    Cells whose regimes differ between the measures have a dot in the last diagram. Further axes: a row for each
    facet. Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    agreement = find_panel("agreement", cuts, runs)
    plots = []
    for facet in facets:
        for criterion in CRITERIA.values():
            by_this = replace(cuts, criterion=criterion.name)
            shown = find_panel("regime", by_this, runs)
            cells = cells_of(facet.runs, window, shown, by_this)
            title = _titled(f"by {criterion.title}: {criterion.definition}", facet.title)
            plots.append(Plot(shown, title, facet.runs, cells))
        cells = cells_of(facet.runs, window, agreement, cuts)
        plots.append(Plot(agreement, _titled("modes on which all agree", facet.title), facet.runs, cells))
    columns = 2 if len(facets) == 1 else 4
    width = 0.8 * PAGE_WIDTH if columns == 2 else 9.2
    height = 0.85 * width / columns * ceil(len(plots) / columns) + 0.5
    figure, grid = subplots(len(plots), columns, (width, height))
    scale = common_scale(plots, agreement)
    lines = draw_plots(grid, columns, plots, window, [scale if plot.panel is agreement else None for plot in plots])
    parted = 0
    dot = _DOT | {"markersize": stroke(3.2), "markeredgewidth": stroke(0.6)}
    for first in range(0, len(plots), 4):
        by_measure = [plot.cells for plot in plots[first : first + 3]]
        parting = _parting(by_measure)
        parted += int(np.nansum(parting))
        rows, across = np.nonzero(parting)
        grid[first + 3].plot(window.x.positions[across], window.y.positions[rows], gid="parting", **dot)
        if scale is not None:
            draw_colorbar(figure, [grid[first + 3]], scale, label=agreement.unit)
    label = f"regimes differ ({parted} of {sum(plot.cells.numbers.size for plot in plots[::4])} cells)"
    draw_legends(figure, plots, lines, below=[Line2D([], [], label=label, **dot)], title=unusual_cuts(cuts) or None)
    finish(figure, grid[:1], plots[:1], lines[:1])
    return figure


def _titled(title: str, facet: str) -> str:
    return f"{title}\n{facet}" if facet else title


def _parting(by_measure: Sequence[Cells]) -> Array:
    """1 for cells whose outcomes are not the same by every measure, else 0."""
    first = by_measure[0].outcomes
    parting = np.zeros(by_measure[0].numbers.shape)
    for cell in first:
        parting[cell] = any(cells.outcomes[cell] != first[cell] for cells in by_measure[1:])
    return parting


@styled
def against(
    runs: pd.DataFrame,
    predicted: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    cuts: Cuts = Cuts(),
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
    shown = find_panel(panel, cuts, runs)
    from_zero = "kind" in predicted and bool((predicted["kind"] == "modes").all())
    if not holds(predicted, shown):
        raise LinphaseError(
            f"panel {panel} needs column {shown.column}, which the {names[1]} runs do not hold: there is nothing to "
            f"set the {names[0]} ones against"
        )
    plots = []
    for facet, theory in zip(facets, split_facets(predicted, axes, predicted=True), strict=True):
        pair = [cells_of(part.runs, window, shown, cuts) for part in (facet, theory)]
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


def _unpaired(cells: Cells) -> Cells:
    """Without the cells in two colours, which the legend tells about once."""
    return replace(cells, outcomes={cell: shown for cell, shown in cells.outcomes.items() if len(shown) == 1})

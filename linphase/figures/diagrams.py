"""Phase diagrams: one panel, with facets as small multiples, or several panels of one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from linphase.figures.axes import Window, facet_columns, split_facets
from linphase.figures.cells import Plot, cells_of
from linphase.figures.layout import common_scale, draw_plots, finish, subplots
from linphase.figures.legends import draw_legends
from linphase.figures.measured import draw_measured, measured_handles
from linphase.figures.panels import OVERVIEW, PANELS, find_panel
from linphase.figures.scales import draw_colorbar
from linphase.figures.style import COLUMN_WIDTH, PAGE_WIDTH, StyleName, styled
from linphase.regime import BULK_CUT, SIGNAL_CUT

if TYPE_CHECKING:
    from linphase.boundary import MeasuredBoundary


@styled
def phase_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
    measured: Sequence[MeasuredBoundary] = (),
    style: StyleName = "paper",
) -> Figure:
    """One panel over the first two axes of a grid, the further axes as small multiples.

    runs: rows with the columns of `linphase.columns.RUNS`; axes: the values of each axis by its key in the
    grid (gamma_sigma2, width, task.rank, ...); panel: a name of PANELS; by and the cuts: as in
    `linphase.outcomes`; style: paper or talk. Replicates are averaged, outcomes decided by majority. The boundaries of
    `linphase.theory`, and those measured, are drawn where the two axes are a variance and a width.

    Raises LinphaseError for an unknown panel, one that the runs hold nothing of, fewer than two axes, or more than
    MAX_FACETS facets.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    shown = find_panel(panel, by, runs, signal_cut, bulk_cut)
    plots = [
        Plot(shown, facet.title, facet.runs, cells_of(facet.runs, window, shown, by, signal_cut, bulk_cut))
        for facet in facets
    ]
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
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
    style: StyleName = "paper",
) -> Figure:
    """Several panels of one grid in one figure; a row of panels for each facet where there are further axes.

    Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    chosen = [find_panel(panel, by, runs, signal_cut, bulk_cut) for panel in panels]
    plots = [
        Plot(
            shown,
            f"{shown.title}\n{facet.title}" if facet.title else shown.title,
            facet.runs,
            cells_of(facet.runs, window, shown, by, signal_cut, bulk_cut),
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

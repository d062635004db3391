"""Phase diagrams: one panel, with facets as small multiples, or several panels of one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from linphase.figures.axes import Window, draw_frame, facet_columns, split_facets
from linphase.figures.cells import Plot, cells_of, draw_cells
from linphase.figures.legends import draw_legends
from linphase.figures.panels import OVERVIEW, Panel, Scale, draw_colorbar, find_panel, scale_of
from linphase.figures.style import COLUMN_WIDTH, PAGE_WIDTH, styled
from linphase.figures.theory_lines import Line, draw_lines, label_lines
from linphase.regime import BULK_CUT, SIGNAL_CUT


@styled
def phase_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
) -> Figure:
    """One panel over the first two axes of a grid, the further axes as small multiples.

    runs: rows with the columns of `linphase.columns.RUNS`; axes: the values of each axis by its key in the
    grid (gamma_sigma2, width, task.rank, ...); panel: a name of PANELS; by and the cuts: as in
    `linphase.outcomes`. Replicates are averaged, outcomes decided by majority. The boundaries of
    `linphase.theory` are drawn where the two axes are a variance and a width.

    Raises LinphaseError for an unknown panel, fewer than two axes, or more than MAX_FACETS facets.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    shown = find_panel(panel, by)
    plots = [
        Plot(shown, title, part, cells_of(part, window, shown, by, signal_cut, bulk_cut)) for title, part in facets
    ]
    columns = facet_columns(axes, len(plots))
    if columns == 1:
        width, height = COLUMN_WIDTH, 0.86 * COLUMN_WIDTH
    else:
        width = max(PAGE_WIDTH, 1.8 * columns)
        height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.7
    figure, grid = _subplots(len(plots), columns, (width, height))
    scale = _common_scale(plots, shown)
    lines = _draw_plots(grid, columns, plots, window, [scale] * len(plots))
    if scale is not None:
        draw_colorbar(figure, grid, scale)
    if shown.scale != "outcome":
        if len(plots) == 1:
            grid[0].set_title(shown.title)
        else:
            figure.suptitle(shown.title, fontsize=8)
    draw_legends(figure, plots, lines)
    _settle(figure)
    label_lines(figure, grid, lines)
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
) -> Figure:
    """Several panels of one grid in one figure; a row of panels for each facet where there are further axes.

    Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    chosen = [find_panel(panel, by) for panel in panels]
    plots = [
        Plot(
            shown,
            f"{shown.title}\n{title}" if title else shown.title,
            part,
            cells_of(part, window, shown, by, signal_cut, bulk_cut),
        )
        for title, part in facets
        for shown in chosen
    ]
    columns = len(chosen) if len(facets) > 1 else min(3, len(chosen))
    width = COLUMN_WIDTH if columns == 1 else max(PAGE_WIDTH, 2.3 * columns)
    height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.5
    figure, grid = _subplots(len(plots), columns, (width, height))
    scales = {shown.name: _common_scale(plots, shown) for shown in chosen}
    lines = _draw_plots(grid, columns, plots, window, [scales[plot.panel.name] for plot in plots])
    for ax, plot in zip(grid, plots, strict=True):
        scale = scales[plot.panel.name]
        if scale is not None:
            draw_colorbar(figure, [ax], scale)
    draw_legends(figure, plots, lines)
    _settle(figure)
    label_lines(figure, grid[:1], lines[:1])
    return figure


def _common_scale(plots: Sequence[Plot], panel: Panel) -> Scale | None:
    """One scale for all subplots of a panel, so that their colours compare."""
    return scale_of(np.concatenate([plot.cells.numbers.ravel() for plot in plots if plot.panel is panel]), panel)


def _subplots(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(ceil(count / columns), columns, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat[count:]:
        ax.set_axis_off()
    return figure, list(grid.flat[:count])


def _draw_plots(
    grid: Sequence[Axes],
    columns: int,
    plots: Sequence[Plot],
    window: Window,
    scales: Sequence[Scale | None],
) -> list[list[Line]]:
    """Draw cells, frame and theory lines of every subplot; return the lines, to be labelled later."""
    lines = []
    for i, (ax, plot, scale) in enumerate(zip(grid, plots, scales, strict=True)):
        draw_cells(ax, plot.cells, window, scale)
        draw_frame(ax, window, left=i % columns == 0, bottom=i + columns >= len(plots))
        lines.append(draw_lines(ax, plot.runs, window))
        if plot.title:
            ax.set_title(plot.title)
    return lines


def _settle(figure: Figure) -> None:
    """Lay the figure out now, for good, so that labels can be fitted to it."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

"""Several diagrams of one grid in a figure: subplots, the plots in them, their names when the layout is settled."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from linphase.figures.axes import Window, draw_frame
from linphase.figures.cells import Plot
from linphase.figures.levels import draw_levels, label_levels
from linphase.figures.painting import draw_cells
from linphase.figures.panels import Panel
from linphase.figures.scales import Scale, scale_of
from linphase.figures.style import Array, inches
from linphase.figures.theory_lines import Line, draw_lines, label_lines, line_in


def common_scale(plots: Sequence[Plot], panel: Panel) -> Scale | None:
    """One scale for all subplots of a panel, so that their colours compare."""
    return scale_of(np.concatenate([plot.cells.numbers.ravel() for plot in plots if plot.panel is panel]), panel)


def subplots(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of a size in inches of the style paper, and its first `count` subplots, in rows."""
    layout = ConstrainedLayoutEngine(hspace=0.05 if count > columns else 0.02)  # titles keep off the row above
    figure = Figure(figsize=(inches(size[0]), inches(size[1])), layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.subplots(ceil(count / columns), columns, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat[count:]:
        ax.set_axis_off()
    return figure, list(grid.flat[:count])


def draw_plots(
    grid: Sequence[Axes],
    columns: int,
    plots: Sequence[Plot],
    window: Window,
    scales: Sequence[Scale | None],
) -> list[list[Line]]:
    """Draw cells, levels, frame and theory lines of every subplot; return the lines, to be named later."""
    lines = []
    for i, (ax, plot, scale) in enumerate(zip(grid, plots, scales, strict=True)):
        draw_cells(ax, plot.cells, window, scale)
        draw_levels(ax, plot.cells.numbers, window, plot.panel.levels)
        draw_frame(ax, window, left=i % columns == 0, bottom=i + columns >= len(plots))
        lines.append(draw_lines(ax, plot.runs, window, banded=plot.panel.scale == "outcome"))
        if plot.title:
            ax.set_title(plot.title)
    return lines


def finish(
    figure: Figure,
    grid: Sequence[Axes],
    plots: Sequence[Plot],
    lines: Sequence[Sequence[Line]],
    covered: Sequence[Array] = (),
) -> None:
    """Lay the figure out, for good, and write the names of levels and lines where they fit.

    grid, plots, lines: of the subplots in which lines are named. covered: points in data coordinates, for each subplot,
    that no name may hide.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    occupied = []
    for i, (ax, plot) in enumerate(zip(grid, plots, strict=True)):
        points = ax.transData.transform(covered[i]) if covered else np.empty((0, 2))
        curves = [line_in(ax, line) for line in lines[i]]
        levels = label_levels(figure, ax, plot.panel.levels, np.concatenate([points, *curves]))
        occupied.append(np.concatenate([points, levels]))
    label_lines(figure, grid, lines, occupied)

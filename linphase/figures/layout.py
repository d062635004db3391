"""Several diagrams of one grid in a figure: subplots, the plots in them, their names when the layout is settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from linphase.diagram.axes import Window, as_stored
from linphase.diagram.cells import Plot
from linphase.diagram.lines import Line
from linphase.diagram.looks import Array, written
from linphase.diagram.panels import Panel
from linphase.figures.labels import label_levels, label_lines, line_in
from linphase.figures.overlays import draw_lines
from linphase.figures.painting import draw_cells, draw_levels
from linphase.figures.scales import Scale, scale_of
from linphase.figures.style import inches, set_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


_AXIS_LABELS = {
    "gamma_sigma2": r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$",
    "gamma_w": r"$\gamma_w = \log_d\,\mathrm{width}$",
    "init_variance": r"initial variance $\sigma^2$",
    "width": "width",
    "dimension": "dimension $d$",
    "rank": "rank $k$",
    "noise": r"noise $\nu$",
}


def facet_columns(axes: Mapping[str, Sequence[Any]], count: int) -> int:
    """With two further axes a table of them; else rows of at most four."""
    last = len(set(map(as_stored, list(axes.values())[-1])))
    if len(axes) == 4 and 1 < last <= 6:
        return last
    return count if count <= 4 else ceil(count / ceil(count / 4))


def draw_frame(ax: Axes, window: Window, *, left: bool, bottom: bool) -> None:
    """Ticks, and at the outer sides of a figure their labels and the names of the axes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    for axis, artist in ((window.x, ax.xaxis), (window.y, ax.yaxis)):
        if axis.few:
            names = [written(value) for value in axis.kept]
            artist.set_major_locator(FixedLocator(axis.positions.tolist()))
            artist.set_major_formatter(FuncFormatter(lambda _, i, names=names: names[i] if i is not None else ""))
            artist.set_minor_locator(NullLocator())
        elif axis.logarithmic:
            artist.set_major_locator(LogLocator(numticks=6))
            artist.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
            artist.set_minor_formatter(NullFormatter())
        else:
            artist.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    set_ticks(ax)
    ax.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        ax.set_xlabel(_AXIS_LABELS.get(window.x.column, window.x.column.replace("_", " ")))
    if left:
        ax.set_ylabel(_AXIS_LABELS.get(window.y.column, window.y.column.replace("_", " ")))

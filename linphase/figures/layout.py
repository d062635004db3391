"""Several diagrams of one grid in a figure: subplots, the plots in them, colour bars, legends and names of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from linphase.diagram.axes import Axis, Window
from linphase.diagram.cells import Plot
from linphase.diagram.derived import DERIVED
from linphase.diagram.lines import theory_lines
from linphase.diagram.looks import Array, written
from linphase.diagram.panels import Panel
from linphase.figures.labels import label_levels, label_lines, line_in
from linphase.figures.legends import draw_legends, draw_over
from linphase.figures.overlays import draw_lines
from linphase.figures.painting import draw_cells, draw_levels
from linphase.figures.scales import draw_colorbar, scale_of
from linphase.figures.style import NotebookFigure, figure_of, inches, points, set_ticks
from linphase.store.rows import by_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Sheet:
    """Diagrams of one grid in rows, composed: painted when it is made, finished when its caller has added its own.

    Plots of one panel share a scale, so that their colours compare.
    """

    def __init__(
        self,
        plots: Sequence[Plot],
        window: Window,
        columns: int,
        width: float,
        *,
        shape: float = 0.8,
        room: float = 0.5,
        ax: Axes | None = None,
    ) -> None:
        """Paint cells, levels, frames and theory's lines.

        Parameters
        ----------
        plots, window
            The diagrams, row by row, and the axes that they share.
        columns
            Diagrams beside each other.
        width, room
            Inches of the style paper: of the figure, and of height for legends and titles.
        shape
            Height over width of a diagram with its surroundings; one of a single row needs less of it.
        ax
            Of the caller: the one diagram is painted there, and its figure is not laid out.
        """
        self.plots, self.ax = plots, ax
        self.figure: Figure
        self.grid: list[Axes]
        if ax is None:
            rows = ceil(len(plots) / columns)
            shape *= 1.0 if len(window.y.kept) > 1 else 0.6
            size = inches(width), inches(shape * width / columns * rows + room)
            layout = ConstrainedLayoutEngine(hspace=0.05 if rows > 1 else 0.02)  # titles keep off the row above
            self.figure = NotebookFigure(figsize=size, layout=layout)
            grid = self.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
            for unused in grid[len(plots) :]:
                unused.set_axis_off()
            self.grid = list(grid[: len(plots)])
        else:
            self.figure, self.grid = figure_of(ax), [ax]
        self.lines = [theory_lines(plot.runs, window, banded=plot.panel.scale == "outcome") for plot in plots]
        self.scales = {}
        for panel in dict.fromkeys(plot.panel for plot in plots):
            numbers = np.concatenate([plot.cells.numbers.ravel() for plot in plots if plot.panel == panel])
            marks = list(self._marks(panel).values()) if np.isfinite(numbers).any() else []
            self.scales[panel] = scale_of(np.append(numbers, marks), panel)
        for i, (pane, plot, lines) in enumerate(zip(self.grid, plots, self.lines, strict=True)):
            draw_cells(pane, plot.cells, window, self.scales[plot.panel])
            draw_levels(pane, plot.cells.numbers, window, plot.panel.levels)
            draw_frame(pane, window, left=i % columns == 0, bottom=i + columns >= len(plots))
            draw_lines(pane, lines)
            if plot.title and ax is None:
                pane.set_title(plot.title)

    def draw_bars(self, *, shared: bool = True) -> None:
        """One colour bar beside all diagrams of a panel, or one beside each."""
        for panel, scale in self.scales.items():
            if scale is not None:
                axes = [ax for ax, plot in zip(self.grid, self.plots, strict=True) if plot.panel == panel]
                for beside in [axes] if shared else [[ax] for ax in axes]:
                    draw_colorbar(self.figure, beside, scale, panel.levels, panel.unit, self._marks(panel))

    def _marks(self, panel: Panel) -> dict[str, float]:
        """The values that are marked at a panel's colour bar, where all its diagrams have about the same.

        None where an axis changes the task: each of its cells has values of its own.
        """
        runs = [plot.runs for plot in self.plots if plot.panel == panel]
        if panel.scale == "difference" or any(len(list(by_task(each))) > 1 for each in runs):
            return {}  # a difference of two errors is no error
        found = {}
        for name, column in panel.marks:
            means = [float(each[column].dropna().mean()) for each in runs if column in each]
            if len(means) == len(runs) and 0 < max(means) < 1.1 * min(means):
                found[name] = sum(means) / len(means)
        return found

    def finish(
        self,
        *,
        title: str | None = None,
        above: Sequence[Artist] = (),
        below: Sequence[Artist] = (),
        told: Sequence[Plot] | None = None,
        whose: str = "",
        covered: Sequence[Array] = (),
        named: int = 1,
    ) -> Figure:
        """Add the legends, lay the figure out for good, and write the names of levels and lines where they fit.

        Parameters
        ----------
        title, above, below, whose
            As in `draw_legends`.
        told
            The plots that the legend tells of; by default all.
        covered
            For each diagram points (n, 2) in data coordinates that no name may hide.
        named
            In how many diagrams, from the first, lines are named.
        """
        if self.ax is not None:  # where names fit is known once a figure is laid out, which is its owner's to do
            draw_over(self.ax, told or self.plots, self.lines, above=above, below=below, title=title, whose=whose)
            return self.figure
        draw_legends(self.figure, told or self.plots, self.lines, above=above, below=below, title=title, whose=whose)
        settle(self.figure)
        occupied = []
        for i, (ax, plot) in enumerate(zip(self.grid[:named], self.plots, strict=False)):
            points = ax.transData.transform(covered[i]) if covered else np.empty((0, 2))
            curves = [line_in(ax, line) for line in self.lines[i]]
            levels = label_levels(self.figure, ax, plot.panel.levels, np.concatenate([points, *curves]))
            occupied.append(np.concatenate([points, levels]))
        label_lines(self.figure, self.grid[:named], self.lines[:named], occupied)
        return self.figure


def settle(figure: Figure) -> None:
    """Lay a figure out, for good."""
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    # "none" would stay an engine, for which each saving draws twice; None takes what matplotlib is set to.
    with rc_context({"figure.constrained_layout.use": False, "figure.autolayout": False}):
        figure.set_layout_engine(None)


_AXIS_LABELS = {
    "gamma_sigma2": r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$",
    "gamma_w": r"$\gamma_w = \log_d\,\mathrm{width}$",
    "init_variance": r"initial variance $\sigma^2$",
    "width": "width",
    "dimension": "dimension $d$",
    "output_dimension": r"output dimension $d_{\mathrm{out}}$",
    "rank": "rank $k$",
    "noise": r"noise $\nu$",
    "variance_ratio": r"variance ratio $r = \sigma_2^2/\sigma_1^2$",
    "gamma_variance_ratio": r"$\gamma_r = \log_d\,\sigma_2^2/\sigma_1^2$",
    "learning_rate_ratio": r"rate ratio $p = \epsilon_1/\epsilon_2$",
    "richness": r"richness $\gamma$",
    "lambda_balance": r"balance $\lambda$",
    "weight_decay": r"weight decay $l$",
    "label_noise": r"label noise $\varepsilon$",
    "batch_size": r"batch size $B$",
    "learning_rate_rule": r"learning rate $\eta$",
    "stop_time": "time at the end",
}


_MOST_NAMES = 12  # of values on an axis


def facet_columns(axes: Mapping[str, Sequence[Any]], count: int) -> int:
    """With two further axes of several values a table of them; else rows of at most four."""
    further = [len(axis.kept) for axis in (Axis.of(*each) for each in list(axes.items())[2:]) if len(axis.kept) > 1]
    if len(further) == 2 and further[1] <= 6:
        return further[1]
    return count if count <= 4 else ceil(count / ceil(count / 4))


def draw_frame(ax: Axes, window: Window, *, left: bool, bottom: bool) -> None:
    """Ticks, and at the outer sides of a figure their labels and the names of the axes."""
    for axis, artist in ((window.x, ax.xaxis), (window.y, ax.yaxis)):
        if axis.few:
            shown = slice(None, None, ceil(len(axis.kept) / _MOST_NAMES))
            names = [written(value) for value in axis.kept[shown]]
            artist.set_major_locator(FixedLocator(axis.positions[shown].tolist()))
            artist.set_major_formatter(FuncFormatter(lambda _, i, names=names: names[i] if i is not None else ""))
            artist.set_minor_locator(NullLocator())
        elif axis.logarithmic:
            decades = log10(axis.edges[-1] / axis.edges[0])
            artist.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if decades < 2 else LogLocator(numticks=6))
            artist.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
            artist.set_minor_formatter(NullFormatter())
        else:
            artist.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    set_ticks(ax)
    ax.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        ax.set_xlabel(axis_label(window.x.name), fontsize=points(8))
    if left:
        ax.set_ylabel(axis_label(window.y.name), fontsize=points(8))


def axis_label(name: str) -> str:
    """What stands at an axis, with mathematics: by its column, or the name of a derived one."""
    return DERIVED[name].label if name in DERIVED else _AXIS_LABELS.get(name, name.replace("_", " "))

"""Several diagrams of one grid in a figure: subplots, the plots in them, colour bars, legends and names of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from linphase.diagram.axes import Axis, Window
from linphase.diagram.cells import Plot
from linphase.diagram.facts import facts
from linphase.diagram.lines import theory_lines
from linphase.diagram.looks import Array, written
from linphase.diagram.names import axis_label
from linphase.diagram.panels import Panel
from linphase.figures.fitting import style_in_use
from linphase.figures.labels import label_levels, label_lines, line_in
from linphase.figures.legends import draw_over, draw_rows, key
from linphase.figures.overlays import draw_lines
from linphase.figures.painting import draw_cells, draw_levels
from linphase.figures.placing import Bar, Surroundings, columns_that_fit, place
from linphase.figures.scales import draw_colorbar, mark_look, scale_of
from linphase.figures.style import NotebookFigure, figure_of, figure_size, points, set_ticks, setting
from linphase.store.rows import by_task

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Sheet:
    """Diagrams of one grid in rows, composed: painted when it is made, finished when its caller has added its own.

    Every diagram has a box of the same size, whatever stands around it. Plots of one panel share a scale, so that their
    colours compare.
    """

    def __init__(
        self,
        plots: Sequence[Plot],
        window: Window,
        columns: int,
        width: float,
        *,
        shape: float = 0.92,
        barred: Literal["each", "panel"] = "panel",
        lined: bool = True,
        whole_rows: bool = False,
        ax: Axes | None = None,
    ) -> None:
        """Paint cells, levels, frames and theory's lines.

        Parameters
        ----------
        plots, window
            The diagrams, row by row, and the axes that they share.
        columns
            Diagrams beside each other, where the width has room for them.
        width
            Inches of the figure in the style paper.
        shape
            Height over width of a diagram; one of a single row needs less of it.
        barred
            Whether each diagram has a colour bar beside it, or all diagrams of a panel one together.
        lined
            Whether theory's lines are drawn, where the style in use does not leave them out.
        whole_rows
            Whether a row tells of one facet: where it has no room it is broken into rows of equal length.
        ax
            Of the caller: the one diagram is painted there, and its figure is not laid out.
        """
        self.plots, self.ax, self.barred = plots, ax, barred
        style = style_in_use()
        self.shape = shape * (1.0 if len(window.y.kept) > 1 else 0.6)
        self.figure: Figure
        self.grid: list[Axes]
        if ax is None:
            size = figure_size(width, width)
            self.columns = columns_that_fit(columns, size[0], barred=barred == "each", whole=whole_rows)
            self.figure = NotebookFigure(figsize=size)
            rows = ceil(len(plots) / self.columns)
            grid = self.figure.subplots(rows, self.columns, sharex=True, sharey=True, squeeze=False).flat
            for unused in grid[len(plots) :]:
                unused.remove()
            self.grid = list(grid[: len(plots)])
        else:
            self.figure, self.grid, self.columns = figure_of(ax), [ax], 1
        self.lines = [
            theory_lines(plot.runs, window, banded=plot.panel.scale == "outcome") if lined and style.lines else []
            for plot in plots
        ]
        self.scales = {}
        for panel in dict.fromkeys(plot.panel for plot in plots):
            numbers = np.concatenate([plot.cells.deciding for plot in plots if plot.panel == panel])
            marks = list(self._marks(panel).values()) if np.isfinite(numbers).any() else []
            self.scales[panel] = scale_of(np.append(numbers, marks), panel)
        for i, (pane, plot, lines) in enumerate(zip(self.grid, plots, self.lines, strict=True)):
            draw_cells(pane, plot.cells, window, self.scales[plot.panel])
            draw_levels(pane, plot.cells.numbers, window, plot.panel.levels)
            draw_frame(pane, window, left=i % self.columns == 0, bottom=i + self.columns >= len(plots))
            draw_lines(pane, lines)
        self.bars = self._draw_bars()

    def _draw_bars(self) -> list[Bar]:
        """The colour bars, and which diagrams stand beside each."""
        bars: list[Bar] = []
        for panel, scale in self.scales.items():
            told = [i for i, plot in enumerate(self.plots) if plot.panel == panel]
            if scale is None:
                continue
            for beside in self._blocks(told) if self.barred == "panel" else [[i] for i in told]:
                given = (panel.levels, panel.unit, self._marks(panel))
                if self.ax is not None:
                    draw_colorbar(self.figure, scale, *given, ax=[self.ax], aspect=28, pad=0.03, shrink=0.98)
                else:
                    bar = self.figure.add_axes((0, 0, 0.1, 0.1))
                    draw_colorbar(self.figure, scale, *given, cax=bar)
                    bars.append(Bar(bar, beside))
        return bars

    def _blocks(self, told: Sequence[int]) -> list[list[int]]:
        """Diagrams of one panel that share a bar: all, or those of a row, where others would stand beside the bar."""
        column = max(i % self.columns for i in told)
        between = range(min(told) // self.columns, max(told) // self.columns + 1)
        if all(row * self.columns + column in told for row in between):
            return [list(told)]
        rows = dict.fromkeys(i // self.columns for i in told)
        return [[i for i in told if i // self.columns == row] for row in rows]

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
        """Add titles and legends, lay the figure out for good, and name levels and lines.

        Parameters
        ----------
        title
            Of the figure. A figure of one diagram has the title of its plot, and no other.
        above, below, whose
            As in `key`.
        told
            The plots that the legend tells of; by default all.
        covered
            For each diagram points (n, 2) in data coordinates that no name of a level may hide.
        named
            In how many diagrams, from the first, lines are named; in small ones in the first alone.
        """
        style = style_in_use()
        heading = title if style.title else None
        swatches, samples = key(told or self.plots, self.lines, above, below, whose)
        swatches += self._mark_handles()
        if self.ax is not None:  # its owner lays the figure out
            draw_over(self.ax, [*swatches, *samples], "\n".join(filter(None, (heading, self._facts()))))
            return self.figure
        if style.title:
            for pane, plot in zip(self.grid, self.plots, strict=True):
                pane.set_title(plot.title)
        around = Surroundings(
            None if heading is None else self.figure.suptitle(heading, va="top"),
            self.figure.text(
                0, 0, self._facts(), fontsize=points(6.5), color="0.3", ha="center", va="top", gid="facts"
            ),
            draw_rows(self.figure, swatches),
            draw_rows(self.figure, samples, length=1.5),
        )
        place(self.figure, self.grid, self.columns, self.bars, around, self.shape)
        for i, (ax, plot) in enumerate(zip(self.grid, self.plots, strict=True)):
            hidden = ax.transData.transform(covered[i]) if covered else np.empty((0, 2))
            curves = [line_in(ax, line) for line in self.lines[i]]
            label_levels(self.figure, ax, plot.panel.levels, np.concatenate([hidden, *curves]))
        if style.names:
            small = self.grid[0].get_window_extent().width < points(_NAMED) / 72 * self.figure.dpi
            for ax, lines in list(zip(self.grid, self.lines, strict=True))[: 1 if small else named]:
                label_lines(self.figure, ax, lines)
        return self.figure

    def _mark_handles(self) -> list[Artist]:
        """Samples of the values that are marked at colour bars."""
        names = {
            name: None
            for panel, scale in self.scales.items()
            for name, value in self._marks(panel).items()
            if scale is not None and (scale.norm.vmin or 0) <= value <= (scale.norm.vmax or 0)
        }
        return [Line2D([], [], label=f"{name} error", **mark_look(name)) for name in names]

    def _facts(self) -> str:
        """What all diagrams have in common, unless titles are left out."""
        if not style_in_use().title:
            return ""
        outcome = all(plot.panel.scale == "outcome" for plot in self.plots)
        runs = pd.concat([plot.runs for plot in self.plots], ignore_index=True)
        return facts(runs, "majority" if outcome else "mean")


_NAMED = 120.0  # points of type: narrower diagrams do not repeat the names of lines


def settle(figure: Figure) -> None:
    """Lay a figure out, for good."""
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    # "none" would stay an engine, for which each saving draws twice; None takes what matplotlib is set to.
    with rc_context({"figure.constrained_layout.use": False, "figure.autolayout": False}):
        figure.set_layout_engine(None)


_MOST_NAMES = 12  # of values on an axis


def facet_columns(axes: Mapping[str, Sequence[Any]], count: int) -> int:
    """With two further axes of several values a table of them; else rows of at most four."""
    further = [len(axis.kept) for axis in (Axis.of(*each) for each in list(axes.items())[2:]) if len(axis.kept) > 1]
    if len(further) == 2 and further[1] <= 6:
        return further[1]
    return count if count <= 4 else ceil(count / ceil(count / 4))


class _Ticks(MaxNLocator):
    """At most six ticks of round numbers, fewer where their labels would meet."""

    def __call__(self) -> Any:
        self.set_params(nbins=max(1, min(6, round(0.75 * self.axis.get_tick_space()))))  # type: ignore[union-attr]
        return super().__call__()


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
            artist.set_major_locator(_Ticks(6, steps=[1, 2, 5, 10]))
    set_ticks(ax)
    ax.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        ax.set_xlabel(axis_label(window.x.name), fontsize=setting("axes.labelsize"))
    if left:
        ax.set_ylabel(axis_label(window.y.name), fontsize=setting("axes.labelsize"))

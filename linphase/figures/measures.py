"""The evidence for the regimes: the diagram by each of the three measures of active, and where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.figures.axes import Window, split_facets
from linphase.figures.cells import Cells, Plot, cells_of
from linphase.figures.layout import common_scale, draw_plots, finish, subplots
from linphase.figures.legends import draw_legends
from linphase.figures.panels import DEFINITIONS, find_panel, unusual_cuts
from linphase.figures.scales import draw_colorbar
from linphase.figures.style import LOOKS, PAGE_WIDTH, Array, StyleName, stroke, styled
from linphase.regime import BULK_CUT, MEASURES, SIGNAL_CUT

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
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
    style: StyleName = "paper",
) -> Figure:
    """The regime diagram by threshold, balance and speed-up, and the share of modes on which the three agree.

    Cells whose regimes differ between the measures have a dot in the last diagram. Further axes: a row for each
    facet. Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    agreement = find_panel("agreement", "threshold", runs)
    plots = []
    for facet in facets:
        for by in MEASURES:
            shown = find_panel("regime", by, runs)
            cells = cells_of(facet.runs, window, shown, by, signal_cut, bulk_cut)
            plots.append(Plot(shown, _titled(DEFINITIONS[by], facet.title), facet.runs, cells))
        cells = cells_of(facet.runs, window, agreement, "threshold", signal_cut, bulk_cut)
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
    cuts = unusual_cuts(signal_cut, bulk_cut) or None
    draw_legends(figure, plots, lines, below=[Line2D([], [], label=label, **dot)], title=cuts)
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

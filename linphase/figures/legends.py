"""Legends of phase diagrams: outcomes above, theory lines and cells on which the criteria part below.

In the axes of a caller, whose figure is not ours to lay out, all of it stands over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.transforms import Transform

from linphase.diagram.cells import Plot
from linphase.diagram.lines import Line
from linphase.diagram.looks import FINELY_HATCHED, HATCHED, LOOKS, Look
from linphase.figures.overlays import LINE_STYLES
from linphase.figures.painting import stripe
from linphase.figures.style import points, renderer, setting, stroke
from linphase.model.regime import REGIMES

Place = Literal["outside upper center", "outside lower center", "upper center", "lower center"]


def key(
    plots: Sequence[Plot],
    lines: Sequence[Sequence[Line]],
    above: Sequence[Artist] = (),
    below: Sequence[Artist] = (),
    whose: str = "",
) -> tuple[list[Artist], list[Artist]]:
    """What is told above diagrams, outcomes with their number of cells where it is one; and below them: theory's lines.

    Parameters
    ----------
    plots, lines
        The diagrams, and theory's lines in each.
    above, below
        Further samples.
    whose
        The plots that may be unconverged, where there are others.
    """
    return [*_swatches(plots, whose), *_bands(lines), *above], [*_lines(plots, lines), *below]


def draw_over(ax: Axes, handles: Sequence[Artist], title: str) -> None:
    """One legend over the axes of a caller, about as wide as they are, under the title."""
    if not handles:
        ax.set_title(title)
    for columns in range(len(handles), 0, -1):
        legend = ax.legend(
            handles=_along_rows(handles, columns),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=columns,
            title=title or None,
            **_compact(setting("legend.fontsize")),
        )
        legend.get_title().set_multialignment("center")
        if legend.get_window_extent().width <= 1.2 * ax.get_window_extent().width:
            return


def _lines(plots: Sequence[Plot], lines: Sequence[Sequence[Line]]) -> list[Artist]:
    """Samples of theory's lines."""
    drawn = [line for each in lines for line in each]
    handles: list[Artist] = []
    timed = any(plot.runs["status"].eq("finished").any() for plot in plots)
    told = "theory at convergence" if timed else "theory"
    for asymptotic, style in LINE_STYLES.items():
        alike = [line for line in drawn if line.asymptotic == asymptotic]
        if alike:
            label = rf"{told}, $d \to \infty$" if asymptotic else told
            handles.append(Line2D([], [], color="black", linewidth=stroke(1), linestyle=style, label=label))
    return handles


def _bands(lines: Sequence[Sequence[Line]]) -> list[Artist]:
    """Samples of the spread of one draw about theory's lines."""
    names = dict.fromkeys(line.banded for each in lines for line in each if line.banded)
    return [Patch(color="black", alpha=0.3, linewidth=0, label=name) for name in names]


def _swatches(plots: Sequence[Plot], whose: str) -> list[Swatch]:
    prefix = f"{whose}: " if whose else ""
    counts: dict[tuple[str, ...], int] = {}
    for plot in plots:
        for shown, count in plot.cells.counts().items():
            counts[shown] = counts.get(shown, 0) + count
    regime_shown = any(plot.panel.shows_regime for plot in plots)
    counted = _is_counted(plots)
    swatches = []
    nulls = {plot.panel.null or LOOKS["undefined"].label for plot in plots if plot.panel.scale != "outcome"}
    for name, look in LOOKS.items():
        count = counts.get((name,), 0)
        if count or (regime_shown and name in REGIMES):
            label = nulls.pop() if name == "undefined" and len(nulls) == 1 else look.label
            swatches.append(Swatch([look], _counted(label, count, counted)))
    ties = [shown for shown in counts if len(shown) > 1]
    if ties:
        number = sum(counts[shown] for shown in ties)
        swatches.append(Swatch([LOOKS[name] for name in ties[0]], _counted("tie", number, counted)))
    if any(plot.cells.all_unconverged for plot in plots):
        swatches.append(Swatch([HATCHED], f"{prefix}no cell converged (hatching left out)"))
    if number := sum(len(plot.cells.unconverged) for plot in plots):
        swatches.append(Swatch([HATCHED], _counted(prefix + HATCHED.label, number, counted)))
    if number := sum(len(plot.cells.disputed) for plot in plots):
        swatches.append(Swatch([FINELY_HATCHED], _counted(FINELY_HATCHED.label, number, counted)))
    return swatches


def _is_counted(plots: Sequence[Plot]) -> bool:
    """Whether the legend gives numbers of cells: of one diagram of outcomes."""
    return len(plots) == 1 and plots[0].panel.scale == "outcome"


def _counted(label: str, count: int, counted: bool) -> str:
    return f"{label} ({count})" if counted else label


def draw_row(figure: Figure, handles: Sequence[Artist], where: Place, title: str | None = None) -> Legend | None:
    """A legend outside the axes in as few rows as the figure's width allows; None without handles."""
    sizes = (1.0, 0.93)
    width, room = 0.0, figure.bbox.width - points(4) / 72 * figure.dpi
    for columns, size in ((ceil(len(handles) / rows), size) for rows in range(1, len(handles) + 1) for size in sizes):
        if size == sizes[1] and width * size > room:
            continue  # nothing in a legend shrinks more than its type
        legend = figure.legend(
            handles=_along_rows(handles, columns),
            loc=where,
            ncols=columns,
            title=title,
            **_compact(_size(size), 1.5 if where.endswith("lower center") else 1.2),
        )
        legend.get_title().set_multialignment("center")
        width = legend.get_window_extent(renderer(figure)).width
        if columns == 1 or width <= room:
            return legend
        legend.remove()
    return None


def draw_rows(figure: Figure, handles: Sequence[Artist], length: float = 1.2) -> list[Legend]:
    """Rows of samples, each with as many as the figure's width holds; yet without a place.

    length: of a sample, in sizes of type.
    """
    room = figure.bbox.width - points(4) / 72 * figure.dpi
    rows: list[Legend] = []
    left = list(handles)
    while left:
        count = len(left)
        while True:
            row = figure.legend(handles=left[:count], loc="upper center", ncols=count, **_compact(_size(1.0), length))
            width = row.get_window_extent(renderer(figure)).width
            if count == 1 or width <= room:
                break
            row.remove()
            count = max(1, min(count - 1, int(count * room / width) + 1))
        rows.append(row)
        left = left[count:]
    return rows


def _size(share: float) -> float:
    """A share of the type of legends, in points."""
    return share * float(FontProperties(size=setting("legend.fontsize")).get_size_in_points())


def _along_rows(handles: Sequence[Artist], columns: int) -> list[Artist]:
    """A legend fills its columns first; this order makes it read along its rows."""
    return [handle for first in range(columns) for handle in handles[first::columns]]


def _compact(size: float, length: float = 1.2) -> dict[str, Any]:
    """A legend without a frame, whose samples stand close to their names; size: of its type, length: of its samples."""
    return {
        "frameon": False,
        "handler_map": {Swatch: _SwatchHandler()},
        "fontsize": size,
        "title_fontsize": setting("figure.titlesize"),
        "handlelength": length,
        "handletextpad": 0.4,
        "columnspacing": 0.8,
        "borderaxespad": 0.2,
        "borderpad": 0.1,
    }


class Swatch(Patch):
    """A legend's sample of a cell: one look, or several that tie."""

    def __init__(self, looks: Sequence[Look], label: str) -> None:
        super().__init__(label=label)
        self.looks = tuple(looks)


class _SwatchHandler(HandlerBase):
    """Draws the sample as cells are drawn."""

    def create_artists(
        self,
        legend: Legend,
        orig_handle: Artist,
        xdescent: float,
        ydescent: float,
        width: float,
        height: float,
        fontsize: float,
        trans: Transform,
    ) -> list[Artist]:
        assert isinstance(orig_handle, Swatch)
        size = np.array([width, height])
        corner = np.array([-xdescent, -ydescent])
        artists: list[Artist] = []
        for i, look in enumerate(orig_handle.looks):
            shape = corner + size * stripe(i, len(orig_handle.looks))
            artists.append(Polygon(shape, facecolor=look.color, edgecolor="none", transform=trans))
        if len(orig_handle.looks) == 1:
            for each in orig_handle.looks[0].strokes:
                x, y = (corner + size * each).T
                color = orig_handle.looks[0].stroke_color
                artists.append(Line2D(x, y, color=color, linewidth=stroke(0.5), transform=trans))
        frame = Rectangle(
            tuple(corner), width, height, fill=False, edgecolor="0.4", linewidth=stroke(0.4), transform=trans
        )
        return [*artists, frame]

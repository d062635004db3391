"""Where the diagrams of a figure stand: boxes of one size, with the same rooms around them whatever they show.

So panels stand side by side in a paper. A room grows only where what stands in it needs more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.text import Text
from matplotlib.transforms import Bbox

from linphase.errors import LinphaseError
from linphase.figures.fitting import style_in_use
from linphase.figures.style import points, renderer

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# Rooms in points of type.
LEFT, BOTTOM = 40.0, 24.0  # of the ticks and names of the axes
NAMES = 9.0  # of the names of lines, at the top and on the right of a diagram
BAR_GAP, BAR, TICKS = 6.0, 7.0, 36.0  # before a colour bar, across it, and of its ticks and unit
RIGHT = NAMES + BAR_GAP + BAR + TICKS  # of a colour bar, whether there is one or not
GAP = 3.0  # between what stands above each other, and at the figure's edges
LEAST, USUAL = 44.0, 85.0  # across a diagram at least: where the width is asked for, and where it is not


@dataclass(frozen=True)
class Bar:
    """A colour bar, and the diagrams that it stands beside, by their places in the grid."""

    axes: Axes
    beside: Sequence[int]


@dataclass(frozen=True)
class Surroundings:
    """What stands above all diagrams, from the top, and below them: rows of samples are given each."""

    heading: Text | None
    facts: Text | None
    swatches: Sequence[Legend]
    samples: Sequence[Legend]


def columns_that_fit(columns: int, width: float, *, barred: bool, whole: bool) -> int:
    """As many columns as a figure of some inches has room for, of those asked for.

    Parameters
    ----------
    columns, width
        Those asked for, and the inches.
    barred
        Whether each diagram has a colour bar of its own.
    whole
        Whether they are to divide those asked for.
    """
    room = width / _unit() - LEFT
    fitting = room / (LEAST + RIGHT) if barred else (room - RIGHT + NAMES) / (LEAST + NAMES + GAP)
    able = (count for count in range(2, columns + 1) if count <= fitting and not (whole and columns % count))
    return max(able, default=1)


def place(
    figure: Figure, grid: Sequence[Axes], columns: int, bars: Sequence[Bar], around: Surroundings, shape: float
) -> None:
    """Give every diagram its box, and everything around them its place; the figure gets the height that it needs.

    Parameters
    ----------
    figure, grid, columns
        The diagrams, row by row.
    bars, around
        What stands beside them, above and below.
    shape
        Height over width of a box, unless the style in use gives the height of the figure.

    Raises
    ------
    LinphaseError
        If the width or the height that the style gives leaves no room for the diagrams.
    """
    gap = GAP * _unit()
    rows = [grid[first : first + columns] for first in range(0, len(grid), columns)]
    width, lefts, across = _columns(float(figure.get_size_inches()[0]), rows, columns, bars)
    middle = (lefts[0] + lefts[-1] + across) / 2
    whole = 2 * min(middle, width - middle)
    _fit_titles(grid, around.heading, whole if columns == 1 else lefts[1] - lefts[0] - gap, whole)
    alone = len(grid) == 1  # then its title is the heading
    titles = [max(_height(pane.title) for pane in row) for row in rows]
    over = [titles[0] if alone else _height(around.heading), _height(around.facts), _heights(around.swatches)]
    above = [(0.0 if alone else title) + NAMES * _unit() for title in titles]
    ticks = max(BOTTOM * _unit(), *(_beyond(pane)[1] for pane in grid))
    rest = gap + sum(over) + sum(above) + 2 * gap * (len(rows) - 1) + ticks + _heights(around.samples) + gap
    up = _box_height(rest, across * shape, len(rows))
    height = rest + len(rows) * up
    figure.set_size_inches(width, height)

    def stand(text: Text | None, y: float) -> None:
        if text is not None:
            text.set_position((middle / width, y / height))

    top = height - gap
    stand(around.heading, top)
    stand(around.facts, top - over[0])
    _anchor(around.swatches, middle, top - over[0] - over[1], (width, height))
    y = top - sum(over)
    for row, room in zip(rows, above, strict=True):
        y -= room + up
        for pane, left in zip(row, lefts, strict=False):
            pane.set_position((left / width, y / height, across / width, up / height))
            pad = (top - over[0] - y - up) if alone else NAMES * _unit()
            pane.set_title(pane.get_title(), pad=72 * pad + points(1), va="bottom")
        y -= 2 * gap
    _anchor(around.samples, middle, _heights(around.samples) + gap / 2, (width, height))
    _stand_beside(bars, grid, width)


def _fit_titles(grid: Sequence[Axes], heading: Text | None, each: float, whole: float) -> None:
    """Break the titles of diagrams, and that of the figure, within the inches that there are for them."""
    for pane in grid:
        fit(pane.title, each)
    if heading is not None:
        fit(heading, whole)


def _stand_beside(bars: Sequence[Bar], grid: Sequence[Axes], width: float) -> None:
    """Put each colour bar on the right of its diagrams, as high as they are together."""
    for bar in bars:
        boxes = [grid[i].get_position() for i in bar.beside]
        x = max(box.x1 for box in boxes) + (NAMES + BAR_GAP) * _unit() / width
        low, high = min(box.y0 for box in boxes), max(box.y1 for box in boxes)
        bar.axes.set_position((x, low, BAR * _unit() / width, high - low))


def fit(title: Text, width: float) -> None:
    """Break the lines of a title so that it is at most some inches wide, behind a comma where there is one.

    Neither a formula nor "name = value" is broken.
    """
    lines = title.get_text().split("\n")
    fitted: list[str] = []
    while lines:
        line = lines.pop(0)
        words = _WORDS.findall(line)
        kept = next((count for count in range(len(words), 1, -1) if _fits(title, words[:count], width)), 1)
        if kept < len(words):
            kept = next((count for count in range(kept, 0, -1) if words[count - 1].endswith(",")), kept)
            lines = [" ".join(words[kept:]), *lines]
        fitted.append(" ".join(words[:kept]))
    title.set_text("\n".join(fitted))


def _fits(title: Text, words: Sequence[str], width: float) -> bool:
    title.set_text(" ".join(words))
    return bool(_extent(title).width / _dpi(title) <= width)


_WORD = r"(?:\\\$|\$(?:\\\$|[^$])*\$|[^\s$])+"  # \$ is no mathematics
_WORDS = re.compile(rf"{_WORD}(?: = {_WORD})?")


def _columns(
    width: float, rows: Sequence[Sequence[Axes]], columns: int, bars: Sequence[Bar]
) -> tuple[float, list[float], float]:
    """The width of the figure, where the boxes of each column begin, and how wide they are, in inches.

    A figure whose width nobody asks for grows where letters are large.
    """
    unit = _unit()
    left = max(LEFT * unit, *(_beyond(row[0])[0] for row in rows))
    rights = [(NAMES + GAP) * unit] * (columns - 1) + [RIGHT * unit]
    for bar in bars:
        column = max(i % columns for i in bar.beside)
        needed = (NAMES + BAR_GAP + BAR + GAP) * unit + _aside(bar.axes)
        rights[column] = max(rights[column], RIGHT * unit, needed)
    asked = style_in_use().figure_width is not None
    least = left + sum(rights) + columns * (LEAST / 2 if asked else USUAL) * unit
    if width < least and asked:
        raise LinphaseError(f"figure_width: at least {least:.1f} inches are required for this figure, found {width:g}")
    width = max(width, least)
    across = (width - left - sum(rights)) / columns
    return width, [left + column * across + sum(rights[:column]) for column in range(columns)], across


def _box_height(rest: float, usual: float, rows: int) -> float:
    """The height of a box: the usual one, or what the height of the figure that is asked for leaves."""
    given = style_in_use().figure_height
    if given is None:
        return usual
    least = LEAST / 2 * _unit()
    if given < rest + rows * least:
        raise LinphaseError(
            f"figure_height: at least {rest + rows * least:.1f} inches are required for this figure, found {given:g}"
        )
    return (given - rest) / rows


def _unit() -> float:
    """A point of type, in inches."""
    return points(1) / 72


def _figure(artist: Artist) -> Figure:
    figure = artist.get_figure(root=True)
    assert figure is not None
    return figure


def _dpi(artist: Artist) -> float:
    return float(_figure(artist).dpi)


def _extent(artist: Text | Legend) -> Bbox:
    return artist.get_window_extent(renderer(_figure(artist)))


def _height(artist: Text | None) -> float:
    """Inches that something takes, with a gap; nothing takes none."""
    if artist is None or not artist.get_text():
        return 0.0
    return float(_extent(artist).height) / _dpi(artist) + GAP * _unit()


def _beyond(pane: Axes) -> tuple[float, float]:
    """Inches that ticks and names of the axes take on the left and below, with a gap."""
    figure = _figure(pane)
    box = pane.get_window_extent()
    parts = [axis.get_tightbbox(renderer(figure)) for axis in (pane.xaxis, pane.yaxis)]
    left, bottom = (
        max([0.0, *(getattr(box, side) - getattr(part, side) for part in parts if part is not None)])
        for side in ("x0", "y0")
    )
    return left / figure.dpi + GAP * _unit(), bottom / figure.dpi + GAP * _unit()


def _aside(bar: Axes) -> float:
    """Inches that the ticks and the unit of a colour bar take."""
    figure = _figure(bar)
    part = bar.yaxis.get_tightbbox(renderer(figure))
    return 0.0 if part is None else float(part.x1 - bar.get_window_extent().x1) / figure.dpi


def _heights(rows: Sequence[Legend]) -> float:
    """Inches that rows of samples take."""
    return sum(float(_extent(row).height) / _dpi(row) for row in rows) + (GAP * _unit() if rows else 0.0)


def _anchor(rows: Sequence[Legend], middle: float, top: float, size: tuple[float, float]) -> None:
    """Centre rows of samples about the middle of the diagrams, within the figure, below some height."""
    for row in rows:
        half = float(_extent(row).width) / _dpi(row) / 2 + GAP * _unit()
        x = min(max(middle, half), size[0] - half) if 2 * half < size[0] else size[0] / 2
        row.set_loc("upper center")
        row.set_bbox_to_anchor((x / size[0], top / size[1]))
        top -= float(_extent(row).height) / _dpi(row)

"""Names of theory's lines, beside the frame where they leave a diagram, and of levels, on their steps.

All places are found in pixels, so the layout must be final.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from linphase.diagram.lines import Line
from linphase.diagram.looks import Array, written
from linphase.figures.style import points, renderer
from linphase.theory.boundaries import INFINITE_NOISE, UNDERPARAMETERIZED

_SAMPLING = 2.0  # pixels between the points of a line that labels are fitted to
_NOTHING = np.empty((0, 2))
_LINE_NAMES = {UNDERPARAMETERIZED: "width = k"}


def line_name(name: str) -> str:
    """What a line of theory is called in a figure."""
    return re.sub(r"^c = s_(\d+)$", r"$c = s_{\1}$", _LINE_NAMES.get(name, name))


def _footprint() -> Array:
    """The rim and the middle row of the unit square around 0: nothing of a name's size lies between them."""
    across, up = (axis.ravel() for axis in np.meshgrid(np.linspace(-0.5, 0.5, 25), np.linspace(-0.5, 0.5, 7)))
    kept = (np.abs(across) == 0.5) | (np.abs(up) == 0.5) | (np.abs(up) < 1e-9)
    return np.asarray(np.column_stack([across, up])[kept])


_FOOTPRINT = _footprint()


def label_levels(figure: Figure, ax: Axes, levels: Sequence[float], occupied: Array) -> Array:
    """Write each level on its steps, where fewest other things are near; return the points (n, 2) covered.

    Parameters
    ----------
    figure, ax
        Where the steps are drawn.
    levels
        Their values.
    occupied
        Points (n, 2) that are to stay free.
    """
    taken = [_NOTHING]
    box = ax.get_window_extent()
    drawn = {level: _middles(ax, f"level {level:g}") for level in levels}
    for level, middles in drawn.items():
        if len(middles) < 4:
            continue  # a speck needs no name: the colour bar has the level
        text, size = _boxed(figure, ax, written(level), points(6), "level label", pad=0.1, alpha=0.85)
        radius = size.max()
        others = np.concatenate([*(points for other, points in drawn.items() if other != level), *taken, occupied])
        crowd = (np.linalg.norm(middles[:, None] - middles, axis=-1) < 2 * radius).sum(axis=1)
        free = _gaps(middles, _tree([others]), 4 * radius)
        center = middles[np.argmax(free - 0.3 * radius * crowd + np.minimum(_room(middles, box), 2 * radius))]
        _put(text, center)
        taken.append(center + _FOOTPRINT * size)
    return np.concatenate(taken)


def _middles(ax: Axes, gid: str) -> Array:
    """The middles of drawn steps."""
    steps = [artist for artist in ax.collections if artist.get_gid() == gid and isinstance(artist, LineCollection)]
    middles = [
        ax.transData.transform(np.asarray(segment)).mean(axis=0) for each in steps for segment in each.get_segments()
    ]
    return np.array(middles).reshape(-1, 2)


def label_contours(figure: Figure, ax: Axes, contours: ContourSet, size: float) -> None:
    """Write its level into each contour, where it is straight and far from the others, from lines and edges.

    Short contours get no name; of those that are near to others all along, one of each level does.

    Parameters
    ----------
    figure, ax, contours
        Contour lines, and the axes where they and lines are drawn.
    size
        Of the type, in points.
    """
    curves = [[_even(ax, piece) for piece in pieces if len(piece) > 1] for pieces in contours.allsegs]
    every = [curve for pieces in curves for curve in pieces]
    lines = [_even(ax, np.column_stack(line.get_data())) for line in ax.lines]
    box, back = ax.get_window_extent(), ax.transData.inverted()
    places: list[tuple[float, float]] = []
    taken = [_NOTHING]
    for level, pieces in zip(contours.levels, curves, strict=True):
        text, extent = _boxed(figure, ax, written(level), size, "", pad=0, alpha=0)
        text.remove()
        width, height = extent
        reach = ceil(width / _SAMPLING)
        found: list[tuple[float, Array]] = []
        for curve in pieces:
            at = np.arange(reach, len(curve) - reach)
            if len(at) < 2 * reach:
                continue
            others = _tree([*(other for other in every if other is not curve), *lines, *taken])
            free = np.minimum(_gaps(curve[at], others, 2 * (width + height)), _room(curve[at], box))
            free -= 2 * _bends(curve, at, reach) + 0.02 * np.abs(at - len(curve) / 2)
            found.append((float(free.max()), curve[at[np.argmax(free)]]))
        found.sort(key=lambda place: -place[0])
        for center in [center for i, (free, center) in enumerate(found) if i == 0 or free > height]:
            taken.append(center + _FOOTPRINT * extent)
            x, y = back.transform(center)
            places.append((float(x), float(y)))
    ax.clabel(contours, inline=True, fontsize=size, fmt=written, manual=places)


def _bends(curve: Array, at: NDArray[np.intp], reach: int) -> Array:
    """How far a curve strays from its chord over `reach` points to both sides of some of its points."""
    chord = curve[at + reach] - curve[at - reach]
    normal = chord[:, ::-1] * [-1, 1] / np.maximum(np.linalg.norm(chord, axis=1, keepdims=True), _SAMPLING)
    near = curve[at[:, None] + np.arange(-reach, reach + 1)] - curve[at][:, None]
    return np.asarray(np.abs(np.einsum("nmi,ni->nm", near, normal)).max(axis=1))


def _boxed(
    figure: Figure, ax: Axes, words: str, size: float, gid: str, *, pad: float, alpha: float
) -> tuple[Text, Array]:
    """Words on a white box, yet without a place, and their width and height in pixels."""
    text = ax.text(0, 0, words, fontsize=size, ha="center", va="center", zorder=4, gid=gid)
    extent = text.get_window_extent(renderer(figure))
    text.set_bbox({"boxstyle": f"round,pad={pad}", "facecolor": "white", "alpha": alpha, "linewidth": 0})
    return text, np.array([extent.width, extent.height])


def _put(text: Text, center: Array) -> None:
    assert text.axes is not None
    x, y = text.axes.transData.inverted().transform(center)
    text.set_position((float(x), float(y)))


def label_lines(figure: Figure, ax: Axes, lines: Sequence[Line]) -> None:
    """Name each finite-d line outside the frame, where the line leaves the diagram: at the top or on the right.

    A name may be moved along the frame as far as its line still ends beside it. Of the ways to place them one is taken
    in which most names stand, and these are moved least. Needs the final layout.

    Parameters
    ----------
    figure, ax
        Where the lines are drawn.
    lines
        Of that diagram.
    """
    box = ax.get_window_extent()
    drawn = {line.name: _ends(line_in(ax, line), box) for line in lines if not line.asymptotic}
    named = {name: ends for name, ends in drawn.items() if ends}
    lengths = [_length(figure, ax, line_name(name)) for name in named]

    def cost(places: Sequence[_End | None], moved: float) -> tuple[float, float]:
        missing = (name for name, place in zip(named, places, strict=True) if place is None)
        return sum(0.5 if name == INFINITE_NOISE else 1.0 for name in missing), moved  # bounds of regimes come first

    every = [end for ends in named.values() for end in ends]
    ways = (_packed(way, lengths, box, every) for way in product(*((*ends, None) for ends in named.values())))
    places, _ = min(ways, key=lambda way: cost(*way))
    for name, place in zip(named, places, strict=True):
        if place is not None:
            _write(ax, line_name(name), place)


@dataclass(frozen=True)
class _End:
    """Where a line leaves a diagram, or where its name stands: pixels along the side of the frame."""

    at_top: bool
    along: float


def _ends(curve: Array, box: Bbox) -> list[_End]:
    """The ends of a curve at the top and at the right side of a box."""
    found = []
    for x, y in (curve[0], curve[-1]) if len(curve) > 1 else ():
        if box.y1 - y < 2 * _SAMPLING:
            found.append(_End(True, float(x)))
        elif box.x1 - x < 2 * _SAMPLING:
            found.append(_End(False, float(y)))
    return found


def _packed(
    way: Sequence[_End | None], lengths: Sequence[float], box: Bbox, every: Sequence[_End]
) -> tuple[list[_End | None], float]:
    """Places of names whose lines end so, and how far they are moved.

    Along each side they follow each other in the order of the ends. A name that would lose its line, or be nearer to
    the end of another one, is left out.
    """
    places: list[_End | None] = [None] * len(way)
    moved = 0.0
    for at_top in (True, False):
        first, last = (box.x0, box.x1) if at_top else (box.y0, box.y1)
        here = sorted((end.along, i) for i, end in enumerate(way) if end is not None and end.at_top == at_top)
        gap = _GAP * max(lengths, default=0.0)
        centers = np.array([along for along, _ in here])
        halves = np.array([lengths[i] / 2 for _, i in here])
        apart = halves[1:] + halves[:-1] + gap
        for _ in range(_ROUNDS):  # neighbours that meet part evenly, and those at a corner come back along the side
            for i in np.flatnonzero(np.diff(centers) < apart).tolist():
                push = (apart[i] - (centers[i + 1] - centers[i])) / 2
                centers[i], centers[i + 1] = centers[i] - push, centers[i + 1] + push
            centers = np.clip(centers, first + halves - _OVER * halves, last - halves + _OVER * halves)
        clear = np.diff(centers) >= apart - 1
        for j, (along, i) in enumerate(here):
            shift = abs(float(centers[j]) - along)
            nearest = min(abs(end.along - float(centers[j])) for end in every if end.at_top == at_top)
            if shift <= halves[j] + gap and shift <= nearest + 1 and clear[max(j - 1, 0) : j + 1].all():
                places[i] = _End(at_top, float(centers[j]))
                moved += shift
    return places, moved


_GAP = 0.08  # between neighbouring names, of the longest
_OVER = 0.25  # of half of a name may stand beyond a corner of the frame
_ROUNDS = 20


def _length(figure: Figure, ax: Axes, words: str) -> float:
    """How long words are in pixels."""
    text = ax.text(0, 0, words, fontsize=points(6.5))
    length = float(text.get_window_extent(renderer(figure)).width)
    text.remove()
    return length


def _write(ax: Axes, name: str, place: _End) -> None:
    """Write a name beside the frame."""
    box = ax.get_window_extent()
    along = (place.along - box.x0) / box.width if place.at_top else (place.along - box.y0) / box.height
    ax.annotate(
        name,
        (along, 1) if place.at_top else (1, along),
        xycoords="axes fraction",
        xytext=(0, points(1.5)) if place.at_top else (points(1.5), 0),
        textcoords="offset points",
        fontsize=points(6.5),
        ha="center" if place.at_top else "left",
        va="bottom" if place.at_top else "center",
        rotation=0 if place.at_top else 90,
        annotation_clip=False,
        gid="line label",
    )


def line_in(ax: Axes, line: Line) -> Array:
    """A line in pixels, resampled evenly, the part inside the axes."""
    even = _even(ax, np.column_stack([line.x, line.y]))
    return even[_room(even, ax.get_window_extent()) > 0]


def _even(ax: Axes, points: Array) -> Array:
    """Points (n, 2) of a curve in data coordinates as even steps along it in pixels."""
    points = ax.transData.transform(points)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return _NOTHING
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0.0, length[-1], _SAMPLING)
    return np.column_stack([np.interp(at, length, points[:, i]) for i in range(2)])


def _room(points: Array, box: Bbox) -> Array:
    """How far points (..., 2) are from the nearest side of a box; negative outside."""
    return np.asarray(np.minimum(points - [box.x0, box.y0], [box.x1, box.y1] - points).min(axis=-1))


def _tree(points: Iterable[Array]) -> cKDTree | None:
    every = np.vstack([_NOTHING, *points])
    return cKDTree(every) if len(every) else None


def _gaps(points: Array, others: cKDTree | None, within: float) -> Array:
    """Distance of each point (..., 2) to the nearest of the others, or `within` where that is nearer."""
    if others is None:
        return np.full(points.shape[:-1], within)
    return np.asarray(np.minimum(others.query(points, distance_upper_bound=within)[0], within))

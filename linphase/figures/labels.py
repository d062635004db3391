"""Names of lines and of levels, written where they fit and lie farthest from everything else.

All places are found in pixels, so the layout must be final, but for names at the edges, for which it makes room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from linphase.figures.style import inches, points, renderer
from linphase.theory.boundaries import UNDERPARAMETERIZED

_SAMPLING = 2.0  # pixels between the points of a line that labels are fitted to
_NOTHING = np.empty((0, 2))
_LINE_NAMES = {UNDERPARAMETERIZED: "width = k"}
_LIFTS = np.array([0.0, 0.4, 0.8, 1.2, 1.6, 2.0])  # off its line, in heights, where there is no room on it
_ASIDE = np.array([0.1, 0.3, 0.5, 0.7])  # the same of a level name that begins or ends at its line


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


def label_lines(
    figure: Figure, grid: Sequence[Axes], lines: Sequence[Sequence[Line]], occupied: Sequence[Array]
) -> None:
    """Name the lines along themselves, in the first subplot alone where subplots are too small to repeat the names.

    Parameters
    ----------
    figure, grid
        Where the lines are drawn.
    lines
        Those of each subplot.
    occupied
        For each subplot points (n, 2) that no name may cover.
    """
    small = grid[0].get_window_extent().width < inches(2.1) * figure.dpi
    for ax, drawn, points_there in zip(grid[: 1 if small else None], lines, occupied, strict=False):
        _label_axes_lines(figure, ax, drawn, points(6.0 if small else 6.5), points_there)


def _label_axes_lines(figure: Figure, ax: Axes, lines: Sequence[Line], size: float, occupied: Array) -> None:
    """Name each finite-d line where its name fits, or not at all."""
    pixel = figure.dpi / 72
    box = ax.get_window_extent()
    curves = [line_in(ax, line) for line in lines]
    taken = [occupied]
    for line, curve in zip(lines, curves, strict=True):
        if line.asymptotic or len(curve) < 2:
            continue
        text, extent = _boxed(figure, ax, _name_of(line), size, "line label", pad=0.12, alpha=0.8)
        strangers = (one for each, one in zip(lines, curves, strict=True) if each.name != line.name)
        around = _Around(_tree(other for other in curves if other is not curve), _tree(taken), box)
        spared = 2.2 * pixel if len(occupied) else 0.0
        place = _best_place(curve, extent + 2 * pixel, _tree(strangers), around, spared)
        if place is None:
            text.remove()
            continue
        center, along, covered = place
        _put(text, center)
        text.set_rotation(float(np.degrees(np.arctan2(along[1], along[0]))))
        text.set_rotation_mode("anchor")
        text.set_clip_on(True)
        taken.append(covered)


def _name_of(line: Line) -> str:
    return line_name(line.name)


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


def name_at_edges(ax: Axes, lines: Sequence[Line]) -> list[Text]:
    """Name each finite-d line outside the axes, where it leaves them at the top or on the right.

    For axes that have no room inside. Before the layout, which makes room for them; see `drop_overlapping`.
    """
    box, back = ax.get_window_extent(), ax.transData.inverted()
    names: list[Text] = []
    for line in lines:
        curve = line_in(ax, line)
        if line.asymptotic or len(curve) < 2:
            continue
        at_top = [end for end in (curve[0], curve[-1]) if box.y1 - end[1] < 2 * _SAMPLING]
        x, y = back.transform(at_top[0] if at_top else max((curve[0], curve[-1]), key=lambda point: float(point[0])))
        names.append(
            ax.annotate(
                _name_of(line),
                (float(x), 1) if at_top else (1, float(y)),
                xycoords=ax.get_xaxis_transform() if at_top else ax.get_yaxis_transform(),
                xytext=(0, points(2)) if at_top else (points(2), 0),
                textcoords="offset points",
                fontsize=points(6.5),
                ha="center" if at_top else "left",
                va="bottom" if at_top else "center",
                rotation=0 if at_top else 90,
                annotation_clip=False,
                gid="line label",
            )
        )
    return names


def drop_overlapping(figure: Figure, names: Sequence[Text]) -> None:
    """Take away each name that meets an earlier one. Needs the final layout."""
    taken: list[Bbox] = []
    for name in names:
        extent = name.get_window_extent(renderer(figure))
        if any(extent.overlaps(other) for other in taken):
            name.remove()
        else:
            taken.append(extent)


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


# --- The search for a place ----------------------------------------------------------------------------------------

Place = tuple[Array, Array, Array]  # centre (2,), direction (2,), points covered (m, 2)


@dataclass(frozen=True)
class _Candidates:
    """Where a name could stand: n places."""

    centers: Array  # (n, 2)
    along: Array  # (n, 2): the direction it is written in
    penalty: Array  # (n,)
    divided: NDArray[np.bool_]  # (n,): a line of another boundary is between the name and its own
    untouched: cKDTree | None = None  # what it has to stay clear of besides


@dataclass(frozen=True)
class _Around:
    """What a name must not cover or leave."""

    lines: cKDTree | None  # all but its own
    names: cKDTree | None
    box: Bbox  # the axes


def _best_place(curve: Array, size: Array, strangers: cKDTree | None, around: _Around, lift: float) -> Place | None:
    """The best place of a name of its line: along it, else level at its side, else along it, another line touched.

    None where none is nearest to its own line.

    Parameters
    ----------
    curve
        Points (n, 2) of the line that is named.
    size
        Width and height of the name.
    strangers
        The lines of other boundaries.
    around
        What else there is.
    lift
        How much farther from the curve, to spare points on it.
    """
    beside = _choose(_along(curve, size, strangers, lift), size, around)
    if beside is not None and beside[1]:
        return beside[0]
    level = _choose(_level(curve, size), size, around)
    if level is not None and level[1]:
        return level[0]
    if beside is None:
        return None
    center = beside[0][0]
    own = float(np.linalg.norm(curve - center, axis=1).min())
    return beside[0] if strangers is None or strangers.query(center)[0] >= own else None  # it would name another line


def _along(curve: Array, size: Array, strangers: cKDTree | None, lift: float) -> _Candidates:
    """Along the curve, on either side, rather where it is straight and near to it."""
    width, height = size
    reach = ceil(width / 2 / _SAMPLING) + 1
    at = np.arange(reach, len(curve) - reach, 3)
    start = curve[at][:, None]
    chord = curve[at + reach] - curve[at - reach]
    along = chord / np.linalg.norm(chord, axis=1, keepdims=True) * np.where(chord[:, :1] >= 0, 1, -1)
    normal = along[:, ::-1] * [-1, 1]
    away = np.multiply.outer([1, -1], height / 2 + 1.5 * _SAMPLING + lift + _LIFTS * height).reshape(-1, 1)
    count = ceil(float(np.abs(away).max()) / _SAMPLING) + 1  # no line is stepped over
    steps = away * np.linspace(0, 1, count)  # from the curve to the name
    between = start[:, None] + normal[:, None, None] * steps[..., None]
    return _Candidates(
        centers=(start + normal[:, None] * away).reshape(-1, 2),
        along=np.repeat(along, len(away), axis=0),
        penalty=np.add.outer(2 * _bends(curve, at, reach), 2 * height * np.tile(_LIFTS, 2)).ravel(),
        divided=(_gaps(between, strangers, height).min(axis=-1) <= _SAMPLING).ravel(),
    )


def _level(curve: Array, size: Array) -> _Candidates:
    """Level, where the name begins or ends at the curve: for short pieces of steep lines."""
    width, height = size
    aside = np.multiply.outer([1, -1], width / 2 + _ASIDE * height).ravel()
    centers = (curve[::3][:, None] + np.column_stack([aside, np.zeros(aside.size)])).reshape(-1, 2)
    n = len(centers)
    penalty = np.tile(2 * height * _ASIDE, n // len(_ASIDE))
    return _Candidates(centers, np.tile([1.0, 0.0], (n, 1)), penalty, np.zeros(n, dtype=bool), _tree([curve]))


def _choose(candidates: _Candidates, size: Array, around: _Around) -> tuple[Place, bool] | None:
    """The candidate with most room around it, and whether it is clear of all lines, as is any that can be.

    None where every one would leave the axes or touch another name.
    """
    height = size[1]
    centers, along = candidates.centers, candidates.along
    normal = along[:, ::-1] * [-1, 1]
    x, y = (_FOOTPRINT * size).T[..., None]
    covered = centers[:, None] + x * along[:, None] + y * normal[:, None]  # (n, m, 2)
    room = _room(covered, around.box).min(axis=-1)
    fits = np.flatnonzero(room >= _SAMPLING)
    fits = fits[_gaps(covered[fits], around.names, height).min(axis=-1) >= 0.3 * height]
    if not fits.size:
        return None
    gaps = _gaps(covered[fits], around.lines, height)
    nearest, room = gaps.min(axis=-1), room[fits]
    clear = (nearest > 0.15 * height) & ~candidates.divided[fits]
    if candidates.untouched is None:
        room = np.minimum(room, nearest)
    else:
        clear &= _gaps(covered[fits], candidates.untouched, height).min(axis=-1) > 0.15 * height
    score = np.minimum(room, height) + gaps.mean(axis=-1) - candidates.penalty[fits]
    # A name across another line is the last resort. Of equally good places the first, whatever rounding says.
    best = int(np.argmax(np.round(np.where(clear, score + 1e6, score), 6)))
    return (centers[fits[best]], along[fits[best]], covered[fits[best]]), bool(clear[best])


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

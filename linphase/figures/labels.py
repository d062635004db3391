"""Steps along the edges of cells, where two neighbours lie on different sides of something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.spatial import cKDTree

from linphase.diagram.lines import Line
from linphase.diagram.looks import Array, written
from linphase.figures.style import inches, points, renderer
from linphase.theory.boundaries import UNDERPARAMETERIZED


def label_levels(figure: Figure, ax: Axes, levels: Sequence[float], occupied: Array) -> Array:
    """Write each level on its steps, where fewest other things are near; return the points (n, 2) covered, in pixels.

    Needs the final layout.
    """
    taken = [np.empty((0, 2))]
    box = ax.get_window_extent()
    drawn = {level: _middles(ax, f"level {level:g}") for level in levels}
    for level, middles in drawn.items():
        if len(middles) < 4:
            continue  # a speck needs no name: the colour bar has the level
        text = ax.text(0, 0, written(level), fontsize=points(6), ha="center", va="center", zorder=4, gid="level label")
        extent = text.get_window_extent(renderer(figure))
        text.set_bbox({"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.85, "linewidth": 0})
        radius = max(extent.width, extent.height)
        others = np.concatenate([*(points for other, points in drawn.items() if other != level), *taken, occupied])
        room = np.minimum(middles - [box.x0, box.y0], [box.x1, box.y1] - middles).min(axis=1)
        own = (np.linalg.norm(middles[:, None] - middles, axis=-1) < 2 * radius).sum(axis=1)
        free = np.linalg.norm(middles[:, None] - others, axis=-1).min(axis=1, initial=4 * radius)
        center = middles[np.argmax(np.minimum(free, 4 * radius) - 0.3 * radius * own + np.minimum(room, 2 * radius))]
        x, y = ax.transData.inverted().transform(center)
        text.set_position((float(x), float(y)))
        spread = np.stack(np.meshgrid([-0.5, 0, 0.5], [-0.5, 0.5]), axis=-1).reshape(-1, 2)
        taken.append(center + spread * [extent.width, extent.height])
    return np.concatenate(taken)


def _middles(ax: Axes, gid: str) -> Array:
    """The middles of drawn steps, in pixels."""
    steps = [artist for artist in ax.collections if artist.get_gid() == gid and isinstance(artist, LineCollection)]
    middles = [
        ax.transData.transform(np.asarray(segment)).mean(axis=0) for each in steps for segment in each.get_segments()
    ]
    return np.array(middles).reshape(-1, 2)


_SAMPLING = 2.0  # pixels between the points of a line that labels are fitted to

_LIFTS = (0.0, 0.4, 0.8, 1.2, 1.6, 2.0)  # off its line, in heights, where there is no room on it

_NOTHING = np.empty((0, 2))

_LINE_NAMES = {UNDERPARAMETERIZED: "width = k"}


def label_lines(
    figure: Figure, grid: Sequence[Axes], lines: Sequence[Sequence[Line]], occupied: Sequence[Array] = ()
) -> None:
    """Name the lines, in the first subplot alone where subplots are too small to repeat the names.

    occupied: for each subplot points (n, 2), in pixels, that no name may cover.
    """
    small = grid[0].get_window_extent().width < inches(2.1) * figure.dpi
    for i, (ax, drawn) in enumerate(zip(grid[: 1 if small else None], lines, strict=False)):
        _label_axes_lines(figure, ax, drawn, points(6.0 if small else 6.5), occupied[i] if occupied else _NOTHING)


def _label_axes_lines(figure: Figure, ax: Axes, lines: Sequence[Line], size: float, occupied: Array) -> None:
    """Name each finite-d line along itself, where its name fits and lies farthest from everything else.

    Needs the final layout: places and angles are found in pixels.
    """
    pixel = figure.dpi / 72
    box = ax.get_window_extent()
    curves = [line_in(ax, line) for line in lines]
    taken = [occupied]
    for line, curve in zip(lines, curves, strict=True):
        if line.boundary.kind != "finite d" or len(curve) < 2:
            continue
        name = _LINE_NAMES.get(line.boundary.name, line.boundary.name)
        text = ax.text(0, 0, name, fontsize=size, ha="center", va="center", zorder=4, gid="line label")
        extent = text.get_window_extent(renderer(figure))
        text.set_bbox({"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.8, "linewidth": 0})
        others = _tree(other for other in curves if other is not curve)
        strangers = _tree(
            other for each, other in zip(lines, curves, strict=True) if each.boundary.name != line.boundary.name
        )
        needed = (extent.width + 2 * pixel, extent.height + 2 * pixel)
        place = _best_place(curve, needed, others, strangers, _tree(taken), box, 2.2 * pixel if len(occupied) else 0.0)
        if place is None:
            text.remove()
            continue
        center, angle, footprint = place
        x, y = ax.transData.inverted().transform(center)
        text.set_position((float(x), float(y)))
        text.set_rotation(angle)
        text.set_rotation_mode("anchor")
        text.set_clip_on(True)
        taken.append(footprint)


def name_at_edges(ax: Axes, lines: Sequence[Line]) -> list[Text]:
    """Name each finite-d line outside the axes, where it leaves them at the top or on the right.

    For axes that have no room inside. Before the layout, which makes room for them; see `drop_overlapping`.
    """
    box, back = ax.get_window_extent(), ax.transData.inverted()
    names: list[Text] = []
    for line in lines:
        curve = line_in(ax, line)
        if line.boundary.kind != "finite d" or len(curve) < 2:
            continue
        at_top = [end for end in (curve[0], curve[-1]) if box.y1 - end[1] < 2 * _SAMPLING]
        x, y = back.transform(at_top[0] if at_top else max((curve[0], curve[-1]), key=lambda point: float(point[0])))
        names.append(
            ax.annotate(
                _LINE_NAMES.get(line.boundary.name, line.boundary.name),
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
    box = ax.get_window_extent()
    points = ax.transData.transform(np.column_stack([line.x, line.y]))
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < 2:
        return np.empty((0, 2))
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0.0, length[-1], _SAMPLING)
    even = np.column_stack([np.interp(at, length, points[:, i]) for i in range(2)])
    inside = (even > [box.x0, box.y0]).all(axis=1) & (even < [box.x1, box.y1]).all(axis=1)
    return even[inside]


def _tree(points: Iterable[Array]) -> cKDTree | None:
    every = np.vstack([np.empty((0, 2)), *points])
    return cKDTree(every) if len(every) else None


def _best_place(
    curve: Array,
    size: tuple[float, float],
    lines: cKDTree | None,
    strangers: cKDTree | None,
    labels: cKDTree | None,
    box: Bbox,
    lift: float,
) -> tuple[Array, float, Array] | None:
    """Centre, angle in degrees and footprint of a label beside a curve, across no other line if that may be.

    lines: all other curves; strangers: those of other boundaries. lift: how much farther from the curve, to spare
    points on it. None where it would leave the axes or touch another label everywhere.
    """
    width, height = size
    reach = ceil(width / 2 / _SAMPLING) + 1
    across, up = np.meshgrid(np.linspace(-0.5, 0.5, 25) * width, np.linspace(-0.5, 0.5, 7) * height)
    best: tuple[tuple[bool, float], Array, float, Array] | None = None
    for i in range(reach, len(curve) - reach, 3):
        chord = curve[i + reach] - curve[i - reach]
        along = chord / np.hypot(*chord) * (1 if chord[0] >= 0 else -1)
        normal = np.array([-along[1], along[0]])
        bend = np.abs((curve[i - reach : i + reach + 1] - curve[i]) @ normal).max()
        for side, off in product((1, -1), _LIFTS):
            away = height / 2 + 1.5 * _SAMPLING + lift + off * height
            center = curve[i] + side * normal * away
            footprint = center + across.reshape(-1, 1) * along + up.reshape(-1, 1) * normal
            room = min((footprint - [box.x0, box.y0]).min(), ([box.x1, box.y1] - footprint).min())
            if room < _SAMPLING or _gaps(footprint, labels).min() < 0.3 * height:
                continue
            gaps = np.minimum(_gaps(footprint, lines), height)
            # A name across another line is the last resort, or one that has another boundary between it and its own.
            between = curve[i] + side * normal * np.linspace(0, away, 6)[:, None]
            clear = bool(gaps.min() > 0.15 * height and _gaps(between, strangers).min() > _SAMPLING)
            score = (clear, min(room, gaps.min()) + gaps.mean() - 2 * bend - 2 * off * height)
            if best is None or score > (best[0][0], best[0][1] + 1e-9):
                best = (score, center, float(np.degrees(np.arctan2(along[1], along[0]))), footprint)
    if best is not None and best[0][0]:
        return best[1:]
    return _level_place(curve, size, lines, labels, box) or (None if best is None else best[1:])


def _level_place(
    curve: Array, size: tuple[float, float], lines: cKDTree | None, labels: cKDTree | None, box: Bbox
) -> tuple[Array, float, Array] | None:
    """The same of a level label that begins or ends at the curve, across no line at all; None where there is no room.

    For short pieces of steep lines.
    """
    width, height = size
    across, up = np.meshgrid(np.linspace(-0.5, 0.5, 25) * width, np.linspace(-0.5, 0.5, 7) * height)
    shape, own = np.column_stack([across.ravel(), up.ravel()]), cKDTree(curve)
    best: tuple[float, Array, Array] | None = None
    for point, side, off in product(curve[::3], (1, -1), (0.1, 0.3, 0.5, 0.7)):
        center = point + np.array([side * (width / 2 + off * height), 0.0])
        footprint = center + shape
        room = min((footprint - [box.x0, box.y0]).min(), ([box.x1, box.y1] - footprint).min())
        touching = (_gaps(footprint, each).min() for each in (lines, labels, own))
        if room < _SAMPLING or min(touching) < _SAMPLING:
            continue
        score = min(room, height) + float(np.minimum(_gaps(footprint, lines), height).mean()) - 2 * off * height
        if best is None or score > best[0] + 1e-9:
            best = (score, center, footprint)
    return None if best is None else (best[1], 0.0, best[2])


def _gaps(points: Array, others: cKDTree | None) -> Array:
    """Distance of each point to the nearest of the others."""
    return np.full(len(points), np.inf) if others is None else np.asarray(others.query(points)[0])

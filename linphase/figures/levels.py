"""Steps along the edges of cells, where two neighbours lie on different sides of something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from linphase.figures.axes import Window
from linphase.figures.style import Array, points, renderer, stroke, written

# White in a dark rim: legible on light and dark cells. All rims lie below all steps, or they would cross them.
_STEP: dict[str, Any] = {"colors": "white", "capstyle": "projecting", "zorder": 2.8}
_RIM: dict[str, Any] = {"colors": "0.25", "capstyle": "projecting", "zorder": 2.7}


def edge_segments(sides: Array, window: Window) -> Array:
    """The edges (n, 2, 2) between neighbouring cells on different sides; nan: on neither."""
    x, y = window.x.edges, window.y.edges

    def differ(a: Array, b: Array) -> tuple[NDArray[np.intp], ...]:
        return np.nonzero((a != b) & np.isfinite(a) & np.isfinite(b))

    rows, columns = differ(sides[:, 1:], sides[:, :-1])
    upright = np.stack([np.stack([x[columns + 1], y[rows + up]], axis=-1) for up in (0, 1)], axis=1)
    rows, columns = differ(sides[1:], sides[:-1])
    flat = np.stack([np.stack([x[columns + right], y[rows + 1]], axis=-1) for right in (0, 1)], axis=1)
    return np.concatenate([upright, flat])


def draw_levels(ax: Axes, numbers: Array, window: Window, levels: Sequence[float]) -> None:
    """For each level the edges between cells below it and others."""
    for level in levels:
        sides = np.where(np.isfinite(numbers), numbers < level, np.nan)
        segments = list(edge_segments(sides, window))
        if segments:
            ax.add_collection(LineCollection(segments, linewidths=stroke(1.7), **_RIM))
            ax.add_collection(LineCollection(segments, gid=f"level {level:g}", linewidths=stroke(0.9), **_STEP))


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

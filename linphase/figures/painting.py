"""The cells of a phase diagram painted: one rectangle each, as it was run, never interpolated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from math import log, prod
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from linphase.diagram.axes import Axis, Window
from linphase.diagram.cells import Cells, Rectangle
from linphase.diagram.looks import DISPUTED, LOOKS, UNCONVERGED, Array, Look
from linphase.figures.scales import Scale
from linphase.figures.style import inches, stroke


def draw_cells(ax: Axes, cells: Cells, window: Window, scale: Scale | None) -> None:
    """Fill every cell with its colour, and mark it where a colour could be mistaken."""
    names = list(LOOKS)
    codes = np.full(cells.numbers.shape, np.nan)
    for cell, shown in cells.outcomes.items():
        codes[cell] = names.index(shown[0])
    mesh: dict[str, Any] = {"edgecolors": "face", "linewidth": stroke(0.2), "rasterized": codes.size > 20_000}
    edges = (window.x.edges, window.y.edges)
    ax.set_xscale("log" if window.x.logarithmic else "linear")
    ax.set_yscale("log" if window.y.logarithmic else "linear")
    if cells.outcomes:
        colors = ListedColormap([LOOKS[name].color for name in names])
        masked = np.ma.masked_invalid(codes)
        ax.pcolormesh(*edges, masked, cmap=colors, norm=Normalize(-0.5, len(names) - 0.5), gid="outcomes", **mesh)
    if scale is not None:
        # A zero has no place on a log scale: it takes the colour below the lowest.
        lowest = scale.norm.vmin if isinstance(scale.norm, LogNorm) else None
        numbers = cells.numbers if lowest is None else np.where(cells.numbers <= 0, lowest / 2, cells.numbers)
        masked = np.ma.masked_invalid(numbers)
        ax.pcolormesh(*edges, masked, cmap=scale.colormap, norm=scale.norm, gid="numbers", **mesh)
    _draw_ties(ax, cells, window)
    for name, look in LOOKS.items():
        if look.strokes:
            marked = [cell for cell, shown in cells.own_outcomes().items() if shown == (name,)]
            largest = [max(parts, key=lambda part: _area(part, window)) for parts in cells.reached(marked)]
            _draw_strokes(ax, largest, window, look, gid=name)
    for gid, hatched, look, spacing in (
        ("unconverged", cells.unconverged, UNCONVERGED, 6),
        ("disputed", cells.disputed, DISPUTED, 2.5),
    ):
        _draw_strokes(ax, [*chain(*cells.reached(hatched))], window, look, gid=gid, spacing=spacing)
    ax.set_xlim(*edges[0][[0, -1]])
    ax.set_ylim(*edges[1][[0, -1]])
    ax.autoscale(False)


def _draw_ties(ax: Axes, cells: Cells, window: Window) -> None:
    """A tie fills its cell with diagonal stripes of equal area, one for each outcome."""
    ties = {cell: shown for cell, shown in cells.own_outcomes().items() if len(shown) > 1}
    polygons, colors = [], []
    parts = [(part, shown) for each, shown in zip(cells.reached(ties), ties.values(), strict=True) for part in each]
    for part, shown in parts:
        x, y = _sides(part, window)
        for i, name in enumerate(shown):
            polygons.append([(_along(window.x, x, u), _along(window.y, y, v)) for u, v in stripe(i, len(shown))])
            colors.append(LOOKS[name].color)
    if ties:
        ax.add_collection(PolyCollection(polygons, facecolors=colors, linewidths=0, gid="ties", zorder=1.5))


def stripe(i: int, count: int) -> list[tuple[float, float]]:
    """Stripe i of the unit square cut by lines x + y = const into equal areas."""

    def level(share: float) -> float:
        return float(np.sqrt(2 * share) if share <= 0.5 else 2 - np.sqrt(2 * (1 - share)))

    low, high = level(i / count), level((i + 1) / count)
    right = [(min(t, 1.0), max(t - 1, 0.0)) for t in (low, high)]
    left = [(y, x) for x, y in right]
    corner = low < 1 < high
    return [left[0], right[0], *([(1.0, 0.0)] * corner), right[1], left[1], *([(0.0, 1.0)] * corner)]


def _draw_strokes(
    ax: Axes,
    parts: Sequence[Rectangle],
    window: Window,
    look: Look,
    *,
    gid: str,
    spacing: float | None = None,
) -> None:
    """The strokes of a look in every given part of a cell; a hatching repeats them.

    spacing: of a hatching, in points.
    """
    if not parts:
        return
    segments = []
    for part in parts:
        x, y = _sides(part, window)
        across, up = _times(window.x, x, spacing), _times(window.y, y, spacing)
        segments += [
            [(_along(window.x, x, (i + u) / across), _along(window.y, y, (j + v) / up)) for u, v in line]
            for i in range(across)
            for j in range(up)
            for line in look.strokes
        ]
    width = stroke(0.5 if spacing is None else 0.35)
    strokes = LineCollection(segments, colors=look.stroke_color, linewidths=width, gid=gid, zorder=2)
    strokes.set_capstyle("butt")
    if spacing:  # legible on light and dark cells
        rim = "white" if look.stroke_color == "black" else "black"
        strokes.set_path_effects([withStroke(linewidth=stroke(0.9), foreground=rim, alpha=0.6)])
    ax.add_collection(strokes)


def _sides(part: Rectangle, window: Window) -> tuple[tuple[float, float], tuple[float, float]]:
    """From where to where a part of a cell lies along x and along y, in data coordinates."""
    (first, last), x, y = part, window.x.edges, window.y.edges
    return (float(x[first[1]]), float(x[last[1] + 1])), (float(y[first[0]]), float(y[last[0] + 1]))


def _area(part: Rectangle, window: Window) -> float:
    """How large a part of a cell is drawn, in any unit."""
    axes = zip((window.x, window.y), _sides(part, window), strict=True)
    return prod(log(high / low) if axis.logarithmic else high - low for axis, (low, high) in axes)


def _times(axis: Axis, side: tuple[float, float], spacing: float | None) -> int:
    """How often a hatching is repeated along the side of a cell, in a diagram of about 2.5 inches."""
    if spacing is None:
        return 1
    low, high, left, right = (log(end) if axis.logarithmic else end for end in (*side, *axis.edges[[0, -1]]))
    return max(1, round(inches(2.5) * 72 * (high - low) / (right - left) / stroke(spacing)))


def _along(axis: Axis, side: tuple[float, float], share: float) -> float:
    """A share of the side of a cell in data coordinates."""
    low, high = side
    return low * (high / low) ** share if axis.logarithmic else low + (high - low) * share


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

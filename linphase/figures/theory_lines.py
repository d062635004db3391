"""The boundaries of `linphase.theory` over a phase diagram, and their names along them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, log
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from scipy.spatial import cKDTree

from linphase import theory
from linphase.figures.axes import Axis, Window
from linphase.figures.style import Array, inches, points, renderer, stroke

_SAMPLING = 2.0  # pixels between the points of a line that labels are fitted to
_LIFTS = (0.0, 0.4, 0.8, 1.2, 1.6, 2.0)  # off its line, in heights, where there is no room on it
_NOTHING = np.empty((0, 2))
LINE_STYLES: dict[str, Any] = {"finite d": "-", "asymptotic": (0, (4, 2))}
_LINE_NAMES = {theory.UNDERPARAMETERIZED: "width = k"}


@dataclass(frozen=True)
class Line:
    """A theory line in data coordinates."""

    boundary: theory.Boundary
    dimension: int
    x: Array
    y: Array
    banded: bool  # whether its band is in view


def draw_lines(ax: Axes, runs: pd.DataFrame, window: Window, *, banded: bool) -> list[Line]:
    """The boundaries of the runs' task, where the axes allow and the runs share one task.

    banded: with the spread of one draw, whose grey would spoil the colours of numbers.
    """
    if not window.has_theory:
        return []
    tasks = runs[["dimension", "rank", "noise", "signal_norm"]].drop_duplicates()
    if len(tasks) != 1:
        return []
    dimension, rank, noise, norm = tasks.iloc[0].tolist()
    d = int(dimension)
    bottom, top = _exponents(window.y, d)[[0, -1]]
    gamma_w = np.linspace(bottom, top, 400)
    left, right = _exponents(window.x, d)[[0, -1]]
    found = theory.boundaries(d, int(rank), float(noise), None if pd.isna(norm) else float(norm), gamma_w)
    finite = {line.name: line for line in found if line.kind == "finite d"}
    lines = []
    for boundary in found:
        asymptotic = boundary.kind == "asymptotic"
        if asymptotic and _meet(boundary, finite[boundary.name], 0.007 * (right - left)):
            continue  # the solid line says it all
        across = np.clip(boundary.gamma_sigma2, left - 1, right + 1)
        x, y = _data(across, window.x, d), _data(boundary.gamma_w, window.y, d)
        band_seen = False
        if banded and boundary.band is not None:
            low, high = boundary.band
            band_seen = bool(((low < right) & (high > left)).any())
            low, high = (_data(np.clip(edge, left - 1, right + 1), window.x, d) for edge in (low, high))
            ax.fill_betweenx(y, low, high, color="black", alpha=0.2, linewidth=0, zorder=2.5, gid="band")
        width = stroke(0.8 if asymptotic else 1.1)
        ax.plot(
            x,
            y,
            color="black",
            linewidth=width,
            linestyle=LINE_STYLES[boundary.kind],
            path_effects=[withStroke(linewidth=width + stroke(1.2), foreground="white", alpha=0.75)],
            solid_capstyle="butt",
            gid=f"{boundary.name}, {boundary.kind}",
            zorder=2.9 if asymptotic else 3,  # where they nearly meet, one covers the other
        )
        lines.append(Line(boundary, d, x, y, band_seen))
    return lines


def _meet(one: theory.Boundary, other: theory.Boundary, reach: float) -> bool:
    """Whether two lines, where both are, lie within reach of each other: about the breadth they are drawn with."""
    apart = np.abs(one.gamma_sigma2 - other.gamma_sigma2)
    given = np.isfinite(apart)
    return bool(given.any() and (apart[given] <= reach).all())


def _exponents(axis: Axis, d: int) -> Array:
    """The edges of the cells as gamma_sigma2 or gamma_w."""
    return axis.edges if axis.column.startswith("gamma") else np.asarray(np.log(axis.edges) / log(d))


def _data(gamma: Array, axis: Axis, d: int) -> Array:
    """Exponents in the coordinates of an axis, which may hold variances or widths."""
    return gamma if axis.column.startswith("gamma") else np.asarray(np.exp(np.clip(gamma * log(d), -700, 700)))


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

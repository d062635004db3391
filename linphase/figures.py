"""Figures from stored results: phase diagrams and single runs. Tables go in, matplotlib Figures come out.

Figures are built without pyplot, so nothing global is touched and nothing needs a display. Cells are drawn as
they were run: one rectangle each, reaching half way to its neighbours, never interpolated.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from itertools import product
from math import ceil, floor, log, log10, prod
from pathlib import Path
from typing import Any, Literal, ParamSpec, cast

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerBase
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.transforms import Bbox, Transform
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from linphase import theory
from linphase.columns import for_key
from linphase.errors import LinphaseError
from linphase.outcomes import measured_by, outcomes
from linphase.regime import BULK_CUT, REGIMES, SIGNAL_CUT, majority
from linphase.trajectory import Trajectory

Array = NDArray[np.float64]
Segment = tuple[tuple[float, float], tuple[float, float]]
P = ParamSpec("P")

COLUMN_WIDTH = 3.4  # inches: one column of a paper
PAGE_WIDTH = 7.0
MAX_FACETS = 36
FORMATS = ("png", "pdf", "svg")

# ---------------------------------------------------------------------------------------- looks of outcomes


@dataclass(frozen=True)
class Look:
    """How an outcome is drawn: a fill, and strokes in the unit square where a fill could be mistaken."""

    label: str
    color: str
    strokes: tuple[Segment, ...] = ()
    stroke_color: str = "black"


_RISING: tuple[Segment, ...] = (((0.0, 0.0), (1.0, 1.0)),)
_CROSS: tuple[Segment, ...] = (((0.25, 0.25), (0.75, 0.75)), ((0.25, 0.75), (0.75, 0.25)))
_PLUS: tuple[Segment, ...] = (((0.2, 0.5), (0.8, 0.5)), ((0.5, 0.2), (0.5, 0.8)))

# lazy, mixed, balanced darken in this order: an ordered trio in grey print and to colour-blind readers too.
LOOKS = {
    "lazy": Look("lazy", "#F7D06B"),
    "mixed": Look("mixed", "#3FA7A3"),
    "balanced": Look("balanced", "#2C3E7B"),
    "underparameterized": Look("width < k", "#DEDEDE"),
    "converged": Look("converged", "#3FA7A3"),
    "stopped_early": Look("stopped early", "#F7D06B"),
    "step_limit": Look("step limit", "#2C3E7B"),
    "diverged": Look("diverged", "#2B2B2B", _CROSS, "white"),
    "failed": Look("failed", "#B03A5B", _PLUS, "white"),
    "undefined": Look("no value", "#C9C9C9"),
    "missing": Look("missing", "#FFFFFF", _CROSS, "#B0B0B0"),
}
_UNCONVERGED = Look("unconverged", "#FFFFFF", _RISING)
_HATCHED = replace(  # its sample in a legend
    _UNCONVERGED, strokes=tuple(((x, 0.0), (x + 0.4, 1.0)) for x in (0.0, 0.3, 0.6))
)
_NO_REGIME = ("diverged", "failed")


# --------------------------------------------------------------------------------------------------- panels


@dataclass(frozen=True)
class Panel:
    """What a phase diagram can show: a column of the runs table, or an outcome (column None)."""

    name: str
    title: str
    column: str | None
    scale: Literal["outcome", "linear", "log", "share"]  # log: where the values span a decade or more
    colormap: str = "viridis"
    measured: bool = False  # the column exists for each measure of active


_REGISTERED = (
    Panel("regime", "regime", None, "outcome"),
    Panel("status", "status", "status", "outcome"),
    Panel("test-error", "smallest test error", "min_test_error", "log"),
    Panel("final-test-error", "final test error", "final_test_error", "log"),
    Panel("train-error", "final train error", "final_train_error", "log"),
    Panel("stable-rank", "stable rank at smallest test error", "stable_rank_at_min", "log", "cividis"),
    Panel("rank", "rank at smallest test error", "rank_at_min", "log", "cividis"),
    Panel("iterations", "iterations to smallest test error", "iterations_at_min", "log", "magma"),
    Panel("final-time", "final time", "final_time", "log", "magma"),
    Panel("evaluations", "gradient evaluations", "gradient_evaluations", "log", "magma"),
    Panel("signal-active", "active share of the signal", "signal_active", "share", "cividis", measured=True),
    Panel("bulk-active", "active share of the bulk", "bulk_active", "share", "cividis", measured=True),
    Panel("agreement", "modes on which all measures agree", "evidence_agreement", "share", "cividis"),
)
PANELS = {panel.name: panel for panel in _REGISTERED}
OVERVIEW = ("regime", "test-error", "stable-rank", "iterations", "final-test-error", "agreement")

_STYLE: Any = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
}
_TICKS: dict[str, Any] = {"labelsize": 7, "width": 0.6, "length": 2.5, "pad": 2}


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


# ------------------------------------------------------------------------------------------- phase diagrams


@_styled
def phase_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str,
    *,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
) -> Figure:
    """One panel over the first two axes of a grid, the further axes as small multiples.

    runs: rows with the columns of `linphase.columns.RUNS`; axes: the values of each axis by its key in the
    grid (gamma_sigma2, width, task.rank, ...); panel: a name of PANELS; by and the cuts: as in
    `linphase.outcomes`. Replicates are averaged, outcomes decided by majority. The boundaries of
    `linphase.theory` are drawn where the two axes are a variance and a width.

    Raises LinphaseError for an unknown panel, fewer than two axes, or more than MAX_FACETS facets.
    """
    window, facets = _Window.of(axes), _facets(runs, axes)
    shown = _panel(panel, by)
    plots = [_Plot(shown, title, part, _cells(part, window, shown, by, signal_cut, bulk_cut)) for title, part in facets]
    columns = _facet_columns(axes, len(plots))
    if columns == 1:
        width, height = COLUMN_WIDTH, 0.86 * COLUMN_WIDTH
    else:
        width = max(PAGE_WIDTH, 1.8 * columns)
        height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.7
    figure, grid = _subplots(len(plots), columns, (width, height))
    scale = _scale([plot.cells for plot in plots], shown)
    lines = _draw_plots(grid, columns, plots, window, [scale] * len(plots))
    if scale is not None:
        _draw_colorbar(figure, grid, scale)
    if shown.scale != "outcome":
        if len(plots) == 1:
            grid[0].set_title(shown.title)
        else:
            figure.suptitle(shown.title, fontsize=8)
    _draw_legends(figure, plots, lines)
    _settle(figure)
    _label_lines(figure, grid, lines)
    return figure


@_styled
def all_panels(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    *,
    panels: Sequence[str] = OVERVIEW,
    by: str = "threshold",
    signal_cut: float = SIGNAL_CUT,
    bulk_cut: float = BULK_CUT,
) -> Figure:
    """Several panels of one grid in one figure; a row of panels for each facet where there are further axes.

    Arguments and errors are those of `phase_diagram`.
    """
    window, facets = _Window.of(axes), _facets(runs, axes)
    chosen = [_panel(panel, by) for panel in panels]
    plots = [
        _Plot(shown, f"{shown.title}\n{title}" if title else shown.title, part, cells)
        for title, part in facets
        for shown in chosen
        for cells in [_cells(part, window, shown, by, signal_cut, bulk_cut)]
    ]
    columns = len(chosen) if len(facets) > 1 else min(3, len(chosen))
    width = COLUMN_WIDTH if columns == 1 else max(PAGE_WIDTH, 2.3 * columns)
    height = 0.8 * width / columns * ceil(len(plots) / columns) + 0.5
    figure, grid = _subplots(len(plots), columns, (width, height))
    scales = {shown.name: _scale([p.cells for p in plots if p.panel is shown], shown) for shown in chosen}
    lines = _draw_plots(grid, columns, plots, window, [scales[plot.panel.name] for plot in plots])
    for ax, plot in zip(grid, plots, strict=True):
        ax.set_title(plot.title)
        scale = scales[plot.panel.name]
        if scale is not None:
            _draw_colorbar(figure, [ax], scale)
    _draw_legends(figure, plots, lines)
    _settle(figure)
    _label_lines(figure, grid[:1], lines[:1])
    return figure


def _panel(name: str, by: str) -> Panel:
    if name not in PANELS:
        raise LinphaseError(f"panel must be one of {', '.join(PANELS)} or all, found {name!r}")
    panel = PANELS[name]
    if panel.column is not None and panel.measured:
        column = measured_by(panel.column, by)
        panel = replace(panel, column=column, title=panel.title if by == "threshold" else f"{panel.title}, by {by}")
    return panel


def _subplots(count: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(ceil(count / columns), columns, sharex=True, sharey=True, squeeze=False)
    for ax in grid.flat[count:]:
        ax.set_axis_off()
    return figure, list(grid.flat[:count])


def _draw_plots(
    grid: Sequence[Axes],
    columns: int,
    plots: Sequence[_Plot],
    window: _Window,
    scales: Sequence[_Scale | None],
) -> list[list[_Line]]:
    """Draw cells, frame and theory lines of every subplot; return the lines, to be labelled later."""
    lines = []
    for i, (ax, plot, scale) in enumerate(zip(grid, plots, scales, strict=True)):
        _draw_cells(ax, plot.cells, window, scale)
        _draw_frame(ax, window, left=i % columns == 0, bottom=i + columns >= len(plots))
        lines.append(_draw_lines(ax, plot.runs, window))
        if plot.title:
            ax.set_title(plot.title)
    return lines


# --------------------------------------------------------------------------------------------- axes, facets

_AXIS_LABELS = {
    "gamma_sigma2": r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$",
    "gamma_w": r"$\gamma_w = \log_d\,\mathrm{width}$",
    "init_variance": r"initial variance $\sigma^2$",
    "width": "width",
    "dimension": "dimension $d$",
    "rank": "rank $k$",
    "noise": r"noise $\nu$",
}
_VARIANCES, _WIDTHS = ("gamma_sigma2", "init_variance"), ("gamma_w", "width")


@dataclass(frozen=True)
class _Axis:
    """One axis of the grid: its stored values in the order they are drawn, and where their cells end."""

    column: str
    kept: tuple[Any, ...]  # the distinct stored values
    logarithmic: bool
    positions: Array  # (n,)
    edges: Array  # (n + 1,)

    @classmethod
    def of(cls, key: str, values: Sequence[Any]) -> _Axis:
        column = _column(key)
        stored = [_as_stored(value) for value in values]
        numeric = not any(isinstance(value, str) for value in stored)
        kept = sorted(set(stored)) if numeric else list(dict.fromkeys(stored))
        positions = np.array(kept if numeric else range(len(kept)), dtype=np.float64)
        logarithmic = (
            numeric
            and not column.startswith("gamma")
            and positions[0] > 0
            and (column in ("init_variance", "width") or positions[-1] >= 50 * positions[0])
        )
        return cls(column, tuple(kept), logarithmic, positions, cell_edges(positions, logarithmic=logarithmic))

    def index(self, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Place of each run on this axis; -1 for a run that is not on it."""
        places = {value: i for i, value in enumerate(self.kept)}
        return np.array([places.get(_as_stored(value), -1) for value in runs[self.column]], dtype=np.intp)

    @property
    def few(self) -> bool:
        return isinstance(self.kept[0], str) or (len(self.kept) <= 5 and not self.column.startswith("gamma"))


@dataclass(frozen=True)
class _Window:
    """The two axes of a diagram: the variance across and the width upwards, or the first across."""

    x: _Axis
    y: _Axis

    @classmethod
    def of(cls, axes: Mapping[str, Sequence[Any]]) -> _Window:
        if len(axes) < 2:
            raise LinphaseError(f"a phase diagram needs two axes, found {len(axes)}: {', '.join(axes) or 'none'}")
        first, second = (_Axis.of(key, values) for key, values in list(axes.items())[:2])
        if second.column in _VARIANCES or first.column in _WIDTHS:
            first, second = second, first
        return cls(first, second)

    @property
    def has_theory(self) -> bool:
        return self.x.column in _VARIANCES and self.y.column in _WIDTHS


def cell_edges(positions: Array, *, logarithmic: bool = False) -> Array:
    """Edges half way between neighbouring cells, on a log axis geometrically; a lone cell gets unit width."""
    if logarithmic:
        return np.asarray(10.0 ** cell_edges(np.log10(positions)))
    if len(positions) == 1:
        return np.array([positions[0] - 0.5, positions[0] + 0.5])
    middle = (positions[1:] + positions[:-1]) / 2
    return np.concatenate([[2 * positions[0] - middle[0]], middle, [2 * positions[-1] - middle[-1]]])


def _column(key: str) -> str:
    return for_key(key if "." in key else f"grid.{key}").name


def _as_stored(value: Any) -> Any:
    """An axis value as the runs table holds it, so that the two can be compared; fractions to 12 digits."""
    if isinstance(value, Mapping):  # a rule with a number, such as {paper: 5}
        return "/".join(f"{name}/{repr(number).removesuffix('.0')}" for name, number in value.items())
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if pd.isna(value):
        return None
    return float(value) if float(value).is_integer() else float(f"{value:.12g}")


def _facets(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> list[tuple[str, pd.DataFrame]]:
    """The runs of each combination of the third and further axes, with a title naming it."""
    further = [_Axis.of(key, values) for key, values in list(axes.items())[2:]]
    count = prod(len(axis.kept) for axis in further)
    if count > MAX_FACETS:
        raise LinphaseError(
            f"the axes beyond the first two ({', '.join(a.column for a in further)}) make {count} facets; "
            f"one figure holds at most {MAX_FACETS}. Plot fewer with linphase.figures.phase_diagram."
        )
    places = [axis.index(runs) for axis in further]
    facets = []
    for cell in product(*(range(len(axis.kept)) for axis in further)):
        here = np.ones(len(runs), dtype=bool)
        for place, i in zip(places, cell, strict=True):
            here &= place == i
        named = (f"{axis.column} = {_text(axis.kept[i])}" for axis, i in zip(further, cell, strict=True))
        facets.append((", ".join(named), runs[here]))
    return facets


def _facet_columns(axes: Mapping[str, Sequence[Any]], count: int) -> int:
    """With two further axes a table of them; else rows of at most four."""
    last = len(set(map(_as_stored, list(axes.values())[-1])))
    if len(axes) == 4 and 1 < last <= 6:
        return last
    return count if count <= 4 else ceil(count / ceil(count / 4))


# ---------------------------------------------------------------------------------------------------- cells


@dataclass(frozen=True)
class _Cells:
    """What each cell shows: a number, or the outcomes that share the majority."""

    outcomes: dict[tuple[int, int], tuple[str, ...]]  # (row, column) -> outcomes, for cells without a number
    numbers: Array  # (rows, columns), nan where there is none
    unconverged: list[tuple[int, int]]  # cells to hatch: a finished replicate did not converge
    all_unconverged: bool  # no cell converged: said in the legend, for hatching would only hide the numbers

    def counts(self) -> dict[tuple[str, ...], int]:
        found = list(self.outcomes.values())
        return {shown: found.count(shown) for shown in dict.fromkeys(found)}


@dataclass(frozen=True)
class _Plot:
    panel: Panel
    title: str
    runs: pd.DataFrame
    cells: _Cells


def _cells(runs: pd.DataFrame, window: _Window, panel: Panel, by: str, signal_cut: float, bulk_cut: float) -> _Cells:
    rows, columns = window.y.index(runs), window.x.index(runs)
    if panel.name == "regime":
        words = list(outcomes(runs, by=by, signal_cut=signal_cut, bulk_cut=bulk_cut))
    else:
        words = list(runs["status"])
    unfinished = runs["status"].isin(_NO_REGIME).to_numpy(dtype=bool)
    strayed = ~unfinished & (runs["status"] != "converged").to_numpy(dtype=bool)
    values = None
    if panel.column is not None and panel.scale != "outcome":
        values = runs[panel.column].to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.where(unfinished | ~np.isfinite(values), np.nan, values)
    members: dict[tuple[int, int], list[int]] = {}
    for i, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        if row >= 0 and column >= 0:
            members.setdefault((row, column), []).append(i)
    shape = (len(window.y.kept), len(window.x.kept))
    numbers = np.full(shape, np.nan)
    shown: dict[tuple[int, int], tuple[str, ...]] = {}
    for cell in np.ndindex(*shape):
        here = members.get(cell, [])
        if not here:
            shown[cell] = ("missing",)
        elif values is None:
            shown[cell] = tuple(sorted(majority([words[i] for i in here]), key=list(LOOKS).index))
        elif np.isfinite(values[here]).any():
            numbers[cell] = np.nanmean(values[here])
        else:
            shown[cell] = majority([words[i] for i in here]) if unfinished[here].all() else ("undefined",)
    unconverged = [] if panel.name == "status" else [cell for cell, here in members.items() if strayed[here].any()]
    if np.isfinite(numbers).any() and len(unconverged) == np.isfinite(numbers).sum():
        return _Cells(shown, numbers, [], True)
    return _Cells(shown, numbers, unconverged, False)


def _draw_cells(ax: Axes, cells: _Cells, window: _Window, scale: _Scale | None) -> None:
    names = list(LOOKS)
    codes = np.full(cells.numbers.shape, np.nan)
    for cell, shown in cells.outcomes.items():
        codes[cell] = names.index(shown[0])
    mesh: dict[str, Any] = {"edgecolors": "face", "linewidth": 0.2, "rasterized": codes.size > 20_000}
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
            marked = [cell for cell, shown in cells.outcomes.items() if shown == (name,)]
            _draw_strokes(ax, marked, window, look, gid=name)
    _draw_strokes(ax, cells.unconverged, window, _UNCONVERGED, gid="unconverged", repeat=True)
    ax.set_xlim(*edges[0][[0, -1]])
    ax.set_ylim(*edges[1][[0, -1]])
    ax.autoscale(False)


def _draw_ties(ax: Axes, cells: _Cells, window: _Window) -> None:
    """A tie fills its cell with diagonal stripes of equal area, one for each outcome."""
    ties = {cell: shown for cell, shown in cells.outcomes.items() if len(shown) > 1}
    polygons, colors = [], []
    for cell, shown in ties.items():
        for i, name in enumerate(shown):
            polygons.append([_within(cell, point, window) for point in _stripe(i, len(shown))])
            colors.append(LOOKS[name].color)
    if ties:
        ax.add_collection(PolyCollection(polygons, facecolors=colors, linewidths=0, gid="ties", zorder=1.5))


def _stripe(i: int, count: int) -> list[tuple[float, float]]:
    """Stripe i of the unit square cut by lines x + y = const into equal areas."""

    def level(share: float) -> float:
        return float(np.sqrt(2 * share) if share <= 0.5 else 2 - np.sqrt(2 * (1 - share)))

    low, high = level(i / count), level((i + 1) / count)
    right = [(min(t, 1.0), max(t - 1, 0.0)) for t in (low, high)]
    left = [(y, x) for x, y in right]
    corner = low < 1 < high
    return [left[0], right[0], *([(1.0, 0.0)] * corner), right[1], left[1], *([(0.0, 1.0)] * corner)]


def _draw_strokes(
    ax: Axes, cells: Sequence[tuple[int, int]], window: _Window, look: Look, *, gid: str, repeat: bool = False
) -> None:
    """The strokes of a look in every given cell, repeated to a hatching where cells are large."""
    if not cells:
        return
    size = 180 / max(len(window.x.kept), len(window.y.kept))  # of a cell, about, in points
    times = max(1, round(size / 6)) if repeat else 1
    tiles = [(i / times, j / times) for i in range(times) for j in range(times)]
    segments = [
        [_within(cell, (x + u / times, y + v / times), window) for u, v in stroke]
        for cell in cells
        for x, y in tiles
        for stroke in look.strokes
    ]
    width = 0.35 if repeat else 0.5
    strokes = LineCollection(segments, colors=look.stroke_color, linewidths=width, gid=gid, zorder=2)
    strokes.set_capstyle("butt")
    if repeat:  # legible on light and dark cells
        strokes.set_path_effects([withStroke(linewidth=0.9, foreground="white", alpha=0.6)])
    ax.add_collection(strokes)


def _within(cell: tuple[int, int], point: tuple[float, float], window: _Window) -> tuple[float, float]:
    """A point of the unit square as data coordinates of a cell."""

    def along(axis: _Axis, i: int, share: float) -> float:
        low, high = float(axis.edges[i]), float(axis.edges[i + 1])
        return low * (high / low) ** share if axis.logarithmic else low + (high - low) * share

    return along(window.x, cell[1], point[0]), along(window.y, cell[0], point[1])


# ---------------------------------------------------------------------------------------- scales and frames


@dataclass(frozen=True)
class _Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Literal["neither", "min", "max", "both"]


def _scale(cells: Sequence[_Cells], panel: Panel) -> _Scale | None:
    """Colours for all given cells; logarithmic where the panel allows it and the numbers span a decade.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more.
    """
    numbers = np.concatenate([each.numbers.ravel() for each in cells]) if cells else np.empty(0)
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "share":
        return _Scale(Normalize(floor(10 * min(numbers.min(), 0.9)) / 10, 1), panel.colormap, "neither")
    positive = numbers[numbers > 0]
    low, high = float(numbers.min()), float(numbers.max())
    norm: Normalize
    if panel.scale == "log" and positive.size and high >= 10 * positive.min():
        low = float(positive.min())
        inner = np.quantile(positive, [0.01, 0.99])
        if 1.5 * log(inner[1] / inner[0]) < log(high / low) and inner[1] >= 10 * inner[0]:
            low, high = (float(value) for value in inner)
        norm = LogNorm(low, high)
    else:
        pad = 0.0 if high > low else max(abs(low), 1.0) / 10
        low, high = low - pad, high + pad
        norm = Normalize(low, high)
    below, above = bool(numbers.min() < low), bool(numbers.max() > high)
    extend: Literal["neither", "min", "max", "both"]
    extend = "both" if below and above else "min" if below else "max" if above else "neither"
    return _Scale(norm, panel.colormap, extend)


def _draw_colorbar(figure: Figure, grid: Sequence[Axes], scale: _Scale) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.colormap),
        ax=list(grid),
        extend=scale.extend,
        aspect=28,
        pad=0.02,
        shrink=0.98,
    )
    low, high = float(scale.norm.vmin or 0), float(scale.norm.vmax or 1)
    if isinstance(scale.norm, LogNorm):
        fine = high < 1000 * low
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if fine else (1,), numticks=9))
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _text(value)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(**_TICKS)
    bar.outline.set_linewidth(0.6)


def _draw_frame(ax: Axes, window: _Window, *, left: bool, bottom: bool) -> None:
    for axis, artist in ((window.x, ax.xaxis), (window.y, ax.yaxis)):
        if axis.few:
            names = [_text(value) for value in axis.kept]
            artist.set_major_locator(FixedLocator(axis.positions.tolist()))
            artist.set_major_formatter(FuncFormatter(lambda _, i, names=names: names[i] if i is not None else ""))
            artist.set_minor_locator(NullLocator())
        elif axis.logarithmic:
            artist.set_major_locator(LogLocator(numticks=6))
            artist.set_major_formatter(FuncFormatter(lambda value, _: _text(value)))
            artist.set_minor_formatter(NullFormatter())
        else:
            artist.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.tick_params(**_TICKS)
    ax.tick_params(which="minor", width=0.4, length=1.5)
    ax.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        ax.set_xlabel(_AXIS_LABELS.get(window.x.column, window.x.column.replace("_", " ")))
    if left:
        ax.set_ylabel(_AXIS_LABELS.get(window.y.column, window.y.column.replace("_", " ")))


def _text(value: Any) -> str:
    """A value as a reader writes it: 5, 0.02, 10^6."""
    if isinstance(value, str):
        return value
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.4g}"
    exponent = floor(log10(abs(value)) + 1e-9)
    mantissa = value / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if abs(mantissa - 1) < 1e-6 else rf"${mantissa:.3g}\times {power}$"


# --------------------------------------------------------------------------------------------- theory lines

_SAMPLING = 2.0  # pixels between the points of a line that labels are fitted to
_LINE_STYLES: dict[str, Any] = {"finite d": "-", "asymptotic": (0, (4, 2))}
_LINE_NAMES = {theory.UNDERPARAMETERIZED: "width = k"}


@dataclass(frozen=True)
class _Line:
    """A theory line in data coordinates."""

    boundary: theory.Boundary
    dimension: int
    x: Array
    y: Array
    has_band: bool


def _draw_lines(ax: Axes, runs: pd.DataFrame, window: _Window) -> list[_Line]:
    """The boundaries of the runs' task, where the axes allow and the runs share one task."""
    columns = ["dimension", "rank", "noise", "signal_norm"]
    if not window.has_theory or len(runs) == 0:
        return []
    tasks = runs[columns].drop_duplicates()
    if len(tasks) != 1:
        return []
    dimension, rank, noise, norm = tasks.iloc[0].tolist()
    d = int(dimension)
    if d == 1:
        return []
    bottom, top = _exponents(window.y, d)[[0, -1]]
    gamma_w = np.linspace(bottom, top, 400)
    left, right = _exponents(window.x, d)[[0, -1]]
    found = theory.boundaries(d, int(rank), float(noise), None if pd.isna(norm) else float(norm), gamma_w)
    finite = {line.name: line for line in found if line.kind == "finite d"}
    lines = []
    for boundary in found:
        asymptotic = boundary.kind == "asymptotic"
        if asymptotic and np.allclose(boundary.gamma_sigma2, finite[boundary.name].gamma_sigma2, atol=0.01):
            continue  # the solid line says it all
        across = np.clip(boundary.gamma_sigma2, left - 1, right + 1)
        x, y = _data(across, window.x, d), _data(boundary.gamma_w, window.y, d)
        if boundary.band is not None:
            low, high = (_data(np.clip(edge, left - 1, right + 1), window.x, d) for edge in boundary.band)
            ax.fill_betweenx(y, low, high, color="black", alpha=0.2, linewidth=0, zorder=2.5, gid="band")
        width = 0.8 if asymptotic else 1.1
        ax.plot(
            x,
            y,
            color="black",
            linewidth=width,
            linestyle=_LINE_STYLES[boundary.kind],
            path_effects=[withStroke(linewidth=width + 1.2, foreground="white", alpha=0.75)],
            solid_capstyle="butt",
            gid=f"{boundary.name}, {boundary.kind}",
            zorder=3,
        )
        lines.append(_Line(boundary, d, x, y, boundary.band is not None))
    return lines


def _exponents(axis: _Axis, d: int) -> Array:
    return axis.edges if axis.column.startswith("gamma") else np.asarray(np.log(axis.edges) / log(d))


def _data(gamma: Array, axis: _Axis, d: int) -> Array:
    return gamma if axis.column.startswith("gamma") else np.asarray(np.exp(np.clip(gamma * log(d), -700, 700)))


def _label_lines(figure: Figure, grid: Sequence[Axes], lines: Sequence[Sequence[_Line]]) -> None:
    """Name the lines, in the first subplot alone where subplots are too small to repeat the names."""
    small = grid[0].get_window_extent().width < 150 * figure.dpi / 72
    for ax, drawn in zip(grid[: 1 if small else None], lines, strict=False):
        _label_axes_lines(figure, ax, drawn, 6.0 if small else 6.5)


def _label_axes_lines(figure: Figure, ax: Axes, lines: Sequence[_Line], size: float) -> None:
    """Name each finite-d line along itself, where its name fits and lies farthest from everything else.

    Needs the final layout: places and angles are found in pixels.
    """
    pixel = figure.dpi / 72
    box = ax.get_window_extent()
    curves = [_path_in(ax, line, box) for line in lines]
    taken: list[Array] = []
    for line, curve in zip(lines, curves, strict=True):
        if line.boundary.kind != "finite d" or len(curve) < 2:
            continue
        name = _LINE_NAMES.get(line.boundary.name, line.boundary.name)
        text = ax.text(0, 0, name, fontsize=size, ha="center", va="center", zorder=4, gid="line label")
        extent = text.get_window_extent(_renderer(figure))
        text.set_bbox({"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.8, "linewidth": 0})
        others = _tree(other for other in curves if other is not curve)
        needed = (extent.width + 2 * pixel, extent.height + 2 * pixel)
        place = _best_place(curve, needed, others, _tree(taken), box)
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


def _path_in(ax: Axes, line: _Line, box: Bbox) -> Array:
    """A line in pixels, resampled evenly, the part inside the axes."""
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
    curve: Array, size: tuple[float, float], lines: cKDTree | None, labels: cKDTree | None, box: Bbox
) -> tuple[Array, float, Array] | None:
    """Centre, angle in degrees and footprint of a label beside a curve, as far from other lines as may be.

    None where it would leave the axes or touch another label everywhere.
    """
    width, height = size
    reach = ceil(width / 2 / _SAMPLING) + 1
    across, up = np.meshgrid(np.linspace(-0.5, 0.5, 13) * width, np.linspace(-0.5, 0.5, 3) * height)
    best: tuple[float, Array, float, Array] | None = None
    for i in range(reach, len(curve) - reach, 3):
        chord = curve[i + reach] - curve[i - reach]
        along = chord / np.hypot(*chord) * (1 if chord[0] >= 0 else -1)
        normal = np.array([-along[1], along[0]])
        bend = np.abs((curve[i - reach : i + reach + 1] - curve[i]) @ normal).max()
        for side in (1, -1):
            center = curve[i] + side * normal * (height / 2 + 1.5 * _SAMPLING)
            footprint = center + across.reshape(-1, 1) * along + up.reshape(-1, 1) * normal
            room = min((footprint - [box.x0, box.y0]).min(), ([box.x1, box.y1] - footprint).min())
            if room < _SAMPLING or _gaps(footprint, labels).min() < 0.3 * height:
                continue
            gaps = np.minimum(_gaps(footprint, lines), height)
            score = min(room, gaps.min()) + gaps.mean() - 2 * bend
            if best is None or score > best[0] + 1e-9:
                best = (score, center, float(np.degrees(np.arctan2(along[1], along[0]))), footprint)
    return None if best is None else best[1:]


def _gaps(points: Array, others: cKDTree | None) -> Array:
    """Distance of each point to the nearest of the others."""
    return np.full(len(points), np.inf) if others is None else np.asarray(others.query(points)[0])


# -------------------------------------------------------------------------------------------------- legends


class _Swatch(Patch):
    """A legend's sample of a cell: one look, or several that tie."""

    def __init__(self, looks: Sequence[Look], label: str) -> None:
        super().__init__(label=label)
        self.looks = tuple(looks)


class _SwatchHandler(HandlerBase):
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
        assert isinstance(orig_handle, _Swatch)
        size = np.array([width, height])
        corner = np.array([-xdescent, -ydescent])
        artists: list[Artist] = []
        for i, look in enumerate(orig_handle.looks):
            shape = corner + size * _stripe(i, len(orig_handle.looks))
            artists.append(Polygon(shape, facecolor=look.color, edgecolor="none", transform=trans))
        if len(orig_handle.looks) == 1:
            for stroke in orig_handle.looks[0].strokes:
                x, y = (corner + size * stroke).T
                color = orig_handle.looks[0].stroke_color
                artists.append(Line2D(x, y, color=color, linewidth=0.5, transform=trans))
        frame = Rectangle(tuple(corner), width, height, fill=False, edgecolor="0.4", linewidth=0.4, transform=trans)
        return [*artists, frame]


def _draw_legends(figure: Figure, plots: Sequence[_Plot], lines: Sequence[Sequence[_Line]]) -> None:
    """Outcomes above the diagram, with their number of cells where it is one; the kinds of lines below."""
    swatches = _swatches(plots)
    if swatches:
        _row(figure, swatches, "outside upper center")
    drawn = [line for each in lines for line in each]
    handles: list[Artist] = []
    for kind in ("finite d", "asymptotic"):
        kin = [line for line in drawn if line.boundary.kind == kind]
        if kin:
            dimensions = {line.dimension for line in kin}
            finite = f"$d = {dimensions.pop()}$" if len(dimensions) == 1 else "finite $d$"
            label = f"theory, {finite}" if kind == "finite d" else r"$d \to \infty$"
            style: Any = _LINE_STYLES[kind]
            handles.append(Line2D([], [], color="black", linewidth=1, linestyle=style, label=label))
    if any(line.has_band for line in drawn):
        handles.append(Patch(color="black", alpha=0.2, linewidth=0, label="spread of one draw"))
    if handles:
        _row(figure, handles, "outside lower center")


def _swatches(plots: Sequence[_Plot]) -> list[_Swatch]:
    counts: dict[tuple[str, ...], int] = {}
    for plot in plots:
        for shown, count in plot.cells.counts().items():
            counts[shown] = counts.get(shown, 0) + count
    regime_shown = any(plot.panel.name == "regime" for plot in plots)
    counted = len(plots) == 1 and plots[0].panel.scale == "outcome"
    swatches = []
    for name, look in LOOKS.items():
        count = counts.get((name,), 0)
        if count or (regime_shown and name in REGIMES):
            swatches.append(_Swatch([look], _counted(look.label, count, counted)))
    ties = [shown for shown in counts if len(shown) > 1]
    if ties:
        number = sum(counts[shown] for shown in ties)
        swatches.append(_Swatch([LOOKS[name] for name in ties[0]], _counted("tie", number, counted)))
    if any(plot.cells.all_unconverged for plot in plots):
        swatches.append(_Swatch([_HATCHED], "no cell converged (hatching left out)"))
    if any(plot.cells.unconverged for plot in plots):
        number = len(plots[0].cells.unconverged)
        swatches.append(_Swatch([_HATCHED], _counted(_HATCHED.label, number, counted)))
    return swatches


def _counted(label: str, count: int, counted: bool) -> str:
    return f"{label} ({count})" if counted else label


_Outside = Literal["outside upper center", "outside lower center"]


def _row(figure: Figure, handles: Sequence[Artist], where: _Outside) -> None:
    """A legend outside the axes in as few rows as the figure's width allows."""
    tries = [(ceil(len(handles) / rows), size) for rows in range(1, len(handles) + 1) for size in (7.0, 6.5)]
    for columns, size in tries:
        # A legend fills its columns first; this order makes it read along its rows.
        along_rows = [handle for first in range(columns) for handle in handles[first::columns]]
        legend = figure.legend(
            handles=along_rows,
            loc=where,
            ncols=columns,
            frameon=False,
            handler_map={_Swatch: _SwatchHandler()},
            fontsize=size,
            handlelength=1.5 if where == "outside lower center" else 1.2,
            handletextpad=0.4,
            columnspacing=0.8,
            borderaxespad=0.2,
            borderpad=0.1,
        )
        if columns == 1 or legend.get_window_extent(_renderer(figure)).width <= figure.bbox.width:
            return
        legend.remove()


def _renderer(figure: Figure) -> RendererBase:
    canvas: Any = figure.canvas  # a FigureCanvasAgg since _subplots: only it can measure text
    return cast(RendererBase, canvas.get_renderer())


def _settle(figure: Figure) -> None:
    """Lay the figure out now, for good, so that labels can be fitted to it."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


# ---------------------------------------------------------------------------------------------- single runs


@_styled
def run_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    time_label: Literal["step", "time"] = "time",
    title: str | None = None,
) -> Figure:
    """One run over time: train and test error, and singular values against the threshold c (paper, Figure 1).

    time_label: "step" draws steps on a linear axis, "time" the time on a logarithmic one, from the first
    moment after 0. The `rank` leading modes are emphasised. Zeros have no place on a log axis and are left
    out.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 2.5), layout="constrained")
    errors, modes = figure.subplots(1, 2)
    moments = np.asarray(trajectory.step if time_label == "step" else trajectory.time, dtype=np.float64)
    logarithmic = time_label == "time" and bool((moments > 0).any())
    seen = moments > 0 if logarithmic else np.ones(len(moments), dtype=bool)
    marker = "." if seen.sum() == 1 else None
    for values, label, color, style in (
        (trajectory.train_error, "train", LOOKS["balanced"].color, "-"),
        (trajectory.test_error, "test", "#C8553D", "--"),
    ):
        errors.plot(moments[seen], _finite(values)[seen], style, marker=marker, color=color, label=label, gid=label)
    errors.set_ylabel("error per entry")
    errors.legend(frameon=False)
    values = _finite(trajectory.singular_values)[seen]
    for mode in reversed(range(values.shape[1])):
        signal = mode < rank
        modes.plot(
            moments[seen],
            values[:, mode],
            marker=marker,
            color=LOOKS["balanced"].color if signal else "0.6",
            linewidth=0.8 if signal else 0.4,
            zorder=3 if signal else 2,
            gid=f"mode {mode + 1}",
        )
    modes.axhline(threshold, color="#C8553D", linestyle=(0, (4, 2)), linewidth=1.1, zorder=4, gid="threshold")
    modes.set_ylabel(r"singular values of $A$")
    both = np.concatenate([_finite(trajectory.train_error)[seen], _finite(trajectory.test_error)[seen]])
    _fit_values(errors, both, 1e-8)
    _fit_values(modes, values, 1e-6, threshold)
    _mode_legend(modes, threshold, rank, values.shape[1])
    for ax in (errors, modes):
        ax.set_xlabel(time_label)
        if logarithmic:
            ax.set_xscale("log")
        ax.tick_params(**_TICKS)
        ax.tick_params(which="minor", width=0.4, length=1.5)
        ax.margins(x=0)
    if title:
        figure.suptitle(title, fontsize=8)
    return figure


def _finite(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _fit_values(ax: Axes, values: Array, depth: float, also: float = 0.0) -> None:
    """A log axis over the positive values, down to `depth` of the largest at most; linear where none are.

    also: one more value that must be in view.
    """
    positive = values[values > 0]
    if positive.size == 0:
        return
    top = float(positive.max())
    bottom = max(float(positive.min()), depth * top)
    ax.set_yscale("log", nonpositive="mask")
    ax.set_ylim(min(bottom, also or bottom) / 1.6, 1.6 * max(top, also))


def _mode_legend(ax: Axes, threshold: float, rank: int, modes: int) -> None:
    handles = [Line2D([], [], color=LOOKS["balanced"].color, linewidth=1.1, label=f"signal ({min(rank, modes)})")]
    if modes > rank:
        handles.append(Line2D([], [], color="0.6", linewidth=0.6, label=f"bulk ({modes - rank})"))
    label = f"threshold $c$ = {_text(threshold)}"
    handles.append(Line2D([], [], color="#C8553D", linestyle=(0, (4, 2)), linewidth=1.1, label=label))
    ax.legend(handles=handles, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderpad=0.1)


# ---------------------------------------------------------------------------------------------------- files


def check_format(path: Path) -> str:
    """The format that a figure's name asks for: png, pdf or svg; LinphaseError for any other."""
    format = path.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        raise LinphaseError(
            f"{path}: a figure's name must end in .png, .pdf or .svg, found {path.suffix or 'no suffix'!r}"
        )
    return format


def save(figure: Figure, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None) -> None:
    """Write a figure as png (300 dpi), pdf or svg by the path's suffix, complete or not at all.

    metadata (the digest of a config, the version of linphase) goes into the file: as text chunks of a PNG,
    the Subject of a PDF, the Description of an SVG. Text stays text, and no date is stored: the same figure
    gives the same bytes.

    Raises LinphaseError for another suffix or a path that cannot be written.
    """
    path = Path(path)
    format = check_format(path)
    told = {str(key): str(value) for key, value in (metadata or {}).items()}
    line = "; ".join(f"{key}: {value}" for key, value in told.items())
    formats: dict[str, dict[str, Any]] = {
        "png": dict(told),
        "pdf": {"Subject": line, "CreationDate": None},
        "svg": {"Description": line, "Date": None},
    }
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "linphase", "pdf.fonttype": 42}):
            figure.savefig(part, format=format, dpi=300, metadata=formats[format])
        os.replace(part, path)
    except OSError as error:
        raise LinphaseError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)

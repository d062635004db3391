"""Figures 1 and 2 of Tu, Aranguri & Jacot 2024 as the paper draws them, so that both can be held side by side.

Colours, levels, lines and axes are those of the notebooks published with the paper (github.com/aranguri/phase-diagram).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil, log
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from linphase.diagram.axes import Axis, Facet, Window, split_facets
from linphase.diagram.cells import cells_of
from linphase.diagram.looks import Array, plainly, written
from linphase.diagram.mesh import Mesh
from linphase.diagram.panels import Panel, find_panel
from linphase.errors import LinphaseError
from linphase.figures.evolution import steps_of
from linphase.figures.fitting import COLUMN_WIDTH, PAGE_WIDTH, Style, StyleName
from linphase.figures.labels import label_contours, line_name
from linphase.figures.layout import settle
from linphase.figures.legends import draw_row
from linphase.figures.run_curves import OverTime, finite, fit_linear
from linphase.figures.style import NotebookFigure, beside, figure_size, inches, points, set_ticks, stroke, styled
from linphase.model.draws import TaskConfig
from linphase.model.regime import Cuts
from linphase.runs.records import Trajectory
from linphase.store.rows import task_config_of
from linphase.theory.boundaries import INFINITE_NOISE, MIXED_LAZY, UNDERPARAMETERIZED, boundaries

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from linphase.store.columns import Column

# --- Figure 1 ------------------------------------------------------------------------------------------------------

_TRAIN, _TEST = "#1f77b4", "#ff7f0e"
_SIGNAL, _BULK = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"), "#8c564b"
_DASHES = (0, (3.7, 1.6))


@styled
def figure1(
    run: Trajectory,
    theory: OverTime,
    *,
    threshold: float,
    rank: int,
    names: tuple[str, str],
    style: StyleName | Style = "paper",
) -> Figure:
    """Figure 1 of the paper: errors and singular values over the steps of one descent, everything on linear axes.

    The run is dashed, theory solid and in the same colours. The leading modes have colours of their own; the bulk of
    the run is a band with a line for each mode, that of theory is not drawn. The threshold is a horizontal line. The
    errors begin at step 0 (the paper's begin after the first step).

    Parameters
    ----------
    run
        Of gradient descent.
    theory
        The self-consistent dynamics from the same start.
    threshold, rank
        c, and how many leading modes are the signal's.
    names
        Of the run and of theory.
    style
        paper, talk, or a `Style`.
    """
    across = beside(2, PAGE_WIDTH, 2.4)
    size = figure_size(PAGE_WIDTH, 2.9 if across == 2 else 4.8)
    figure = NotebookFigure(figsize=size, layout="constrained")
    errors, modes = figure.subplots(2 // across, across).flat
    dashed = {"linestyle": _DASHES, "linewidth": stroke(1.4), "zorder": 3}
    lines: list[dict[str, Any]] = [dashed, {"linestyle": "-", "linewidth": stroke(0.8), "zorder": 3.1}]
    both = (run, finite(run.step), ""), (theory, steps_of(theory, run), ", theory")
    for (curves, steps, suffix), line in zip(both, lines, strict=True):
        for name, color in (("train", _TRAIN), ("test", _TEST)):
            error = finite(getattr(curves, f"{name}_error"))
            errors.plot(steps, error, color=color, **line, gid=name + suffix)
        s = finite(curves.singular_values)
        for i, color in enumerate(islice(cycle(_SIGNAL), min(rank, s.shape[1]))):
            modes.plot(steps, s[:, i], color=color, **line, gid=f"mode {i + 1}{suffix}")
    _draw_bulk(modes, finite(run.step), finite(run.singular_values)[:, rank:], rank)
    modes.axhline(threshold, **_threshold(), gid="threshold")
    fit_linear(modes, finite(run.singular_values), threshold)
    errors.set_ylim(bottom=0)
    errors.legend(handles=[Line2D([], [], color=_TRAIN, label="train"), Line2D([], [], color=_TEST, label="test")],
                  frameon=False)  # fmt: skip
    for ax, label in ((errors, "error"), (modes, "singular value")):
        set_ticks(ax)
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
        ax.set_xlim(0, max(int(run.step[-1]), 1))
        ax.set_xlabel("iteration number")
        ax.set_ylabel(label)
    handles = [Line2D([], [], color="black", label=name, **line) for name, line in zip(names, lines, strict=True)]
    if run.singular_values.shape[1] > rank:
        handles.append(Line2D([], [], color=_BULK, linewidth=stroke(3), alpha=0.7, label=f"bulk, {names[0]}"))
    handles.append(Line2D([], [], **_threshold(), label=rf"threshold $\sigma^2 w$ = {written(threshold)}"))
    draw_row(figure, handles, "outside lower center")
    return figure


def _threshold() -> dict[str, Any]:
    return {"color": "black", "linewidth": stroke(1.1)}


def _draw_bulk(ax: Axes, steps: Array, s: Array, rank: int) -> None:
    """The singular values (n, r) below the signal's: a band, and in it a line for each."""
    if not s.shape[1]:
        return
    ax.fill_between(steps, s[:, 0], s[:, -1], color=_BULK, alpha=0.7, linewidth=0, gid="bulk")
    for i, each in enumerate(s.T):
        ax.plot(steps, each, color=_BULK, linewidth=stroke(0.4), gid=f"mode {rank + i + 1}")


# --- Figure 2 ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Contours:
    """How a panel is drawn: about how many bands of colour, and the contour lines with their colours."""

    bands: int
    levels: Mapping[float, str]


_LIGHT, _GRAY = "#D3D3D3", "#A0A0A0"

FIGURE_2: Mapping[str, _Contours] = {
    "test-error": _Contours(17, {0.25: _LIGHT, 0.5: _LIGHT, 0.75: _LIGHT}),
    "stable-rank": _Contours(17, {3.0: _LIGHT, 5.0: _LIGHT, 7.0: _GRAY}),
    "iterations": _Contours(20, {100.0: _LIGHT, 200.0: _LIGHT, 300.0: _LIGHT}),
    "distance": _Contours(20, {-7.0: _LIGHT, -4.0: _LIGHT, 0.0: _LIGHT}),
}
LINES = {MIXED_LAZY: "#0d0d0d", INFINITE_NOISE: "#d62728", UNDERPARAMETERIZED: "#ff8c00"}


@styled
def figure2(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panels: Sequence[str] = tuple(FIGURE_2),
    *,
    columns: Mapping[str, Column] | None = None,
    mesh: Mesh | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Figure 2 of the paper, or some of its panels: filled contours on linear scales, contour lines, asymptotic lines.

    Contours run through the averages of cells at their centres and are interpolated linearly between them: the only
    look that draws what lies between cells, where nothing was run. (The paper interpolates by cubic polynomials.) As in
    the paper the axes end at the outermost centres. A cell without a number leaves a gap up to the next centres.

    The lines are gamma_sigma2 + gamma_w = 1 (mixed | lazy), 2 gamma_sigma2 + gamma_w = 0 (infinite noise) and width =
    k (underparameterized).

    Parameters
    ----------
    runs, axes, columns, mesh, style
        As in `linphase.figures.diagrams.phase_diagram`.
    panels
        Names of FIGURE_2; two beside each other.

    Raises
    ------
    LinphaseError
        If a panel is not one of Figure 2's or the runs hold nothing of it, or the axes are not a variance and a width
        of two values or more, or further axes have several values, or not every cell of the two axes was asked for.
    """
    for name in panels:
        if name not in FIGURE_2:
            *names, last = FIGURE_2
            raise LinphaseError(f"Figure 2: panel must be {', '.join(names)} or {last}, found {name!r}")
    window = _window(runs, axes)
    if mesh is not None and not mesh.reach(window, Facet(runs)).asked.all():
        raise LinphaseError(
            "Figure 2: a sweep of every combination of the two axes is required, through which contours run, found one "
            "that was refined or extended in a part. Draw its panels without --look, or sweep a whole grid"
        )
    shown = [find_panel(name, Cuts(), runs, columns) for name in panels]
    task = task_config_of(runs.iloc[0])
    x, y = (_exponents(axis, task.scale) for axis in (window.x, window.y))
    width = COLUMN_WIDTH if len(panels) == 1 else PAGE_WIDTH
    across = beside(min(len(panels), 2), width, 2.4)
    down = ceil(len(panels) / across)
    each = figure_size(width, width)[0] / inches(1) / across
    figure = NotebookFigure(figsize=figure_size(width, 0.84 * each * down + 0.2), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).flat
    for unused in grid[len(panels) :]:
        unused.remove()
    drawn = list(zip(grid, shown, strict=False))
    numbers = [cells_of(runs, window, panel, Cuts()).numbers for panel in shown]
    for (ax, panel), values in zip(drawn, numbers, strict=True):
        _draw_bands(figure, ax, x, y, values, panel)
        _draw_lines(ax, task, y)
        ax.set(xlim=x[[0, -1]], ylim=y[[0, -1]], xlabel=r"$\gamma_{\sigma^2}$", ylabel=r"$\gamma_w$", title=panel.title)
        set_ticks(ax)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    handles = [Line2D([], [], label=line_name(name), **_line(color)) for name, color in LINES.items()]
    draw_row(figure, handles, "outside lower center")
    settle(figure)
    for (ax, panel), values in zip(drawn, numbers, strict=True):
        _draw_levels(figure, ax, x, y, values, FIGURE_2[panel.name].levels)
    return figure


def _window(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> Window:
    """The two axes, where contours can run in them."""
    window, facets = Window.of(axes), split_facets(runs, axes)
    if not window.of_starts:
        raise LinphaseError(
            f"Figure 2 is drawn over a variance and a width, found {window.x.column} and {window.y.column}"
        )
    if len(facets) > 1:
        further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
        choice = " ".join(f"--where {axis.column}={plainly(axis.kept[0])}" for axis in further if len(axis.kept) > 1)
        raise LinphaseError(
            f"Figure 2 is drawn of one facet, found {len(facets)}. Choose one, such as linphase plot {choice}"
        )
    for axis in (window.x, window.y):
        if len(axis.kept) < 2:
            raise LinphaseError(f"Figure 2: contours need two values or more of {axis.column}, found {len(axis.kept)}")
    if runs.empty:
        raise LinphaseError("Figure 2 is drawn over exponents to the base of the runs' dimension, found no runs")
    return window


def _exponents(axis: Axis, dimension: float) -> Array:
    """The centres of cells as gamma_sigma2 or gamma_w."""
    positions = axis.positions
    return positions if axis.column.startswith("gamma") else np.asarray(np.log(positions) / log(dimension))


def _draw_bands(figure: Figure, ax: Axes, x: Array, y: Array, numbers: Array, panel: Panel) -> None:
    """Filled contours on a linear scale, and their colour bar."""
    if not np.isfinite(numbers).any():
        raise LinphaseError(
            f"Figure 2: no cell has a number for panel {panel.name}: all runs diverged, failed or lack it"
        )
    bands = ax.contourf(x, y, np.ma.masked_invalid(numbers), levels=FIGURE_2[panel.name].bands, cmap="viridis")
    bands.set(edgecolor="face", linewidth=stroke(0.2), gid="bands")  # or thin gaps shine through between bands
    bar = figure.colorbar(bands, ax=ax, aspect=28, pad=0.02, shrink=0.98, label=panel.unit)
    bar.locator = MaxNLocator(6, steps=[1, 2, 5, 10])
    bar.formatter = FuncFormatter(lambda value, _: written(value))
    bar.update_ticks()
    set_ticks(bar.ax)
    bar.outline.set_linewidth(stroke(0.6))


def _draw_lines(ax: Axes, task: TaskConfig, gamma_w: Array) -> None:
    """The limits of large d of the first two, and width = k."""
    for one in boundaries(task.shape, task.rank, 0.0, None, gamma_w):
        if one.asymptotic or one.name == UNDERPARAMETERIZED:
            gamma_sigma2 = np.clip(one.gamma_sigma2, -1e3, 1e3)
            ax.plot(gamma_sigma2, one.gamma_w, **_line(LINES[one.name]), gid=one.name)


def _line(color: str) -> dict[str, Any]:
    return {"color": color, "alpha": 0.8, "linewidth": stroke(1.2)}


def _draw_levels(figure: Figure, ax: Axes, x: Array, y: Array, numbers: Array, levels: Mapping[float, str]) -> None:
    """Contour lines with their values; those that no contour has are left out."""
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    within = {level: color for level, color in levels.items() if low < level < high}
    if not within:
        return
    colors = list(within.values())
    lines = ax.contour(x, y, np.ma.masked_invalid(numbers), levels=list(within), colors=colors,
                       linestyles="solid", linewidths=stroke(1.0))  # fmt: skip
    lines.set_gid("levels")
    label_contours(figure, ax, lines, points(6.5))

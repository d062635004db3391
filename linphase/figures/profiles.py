"""Curves along an axis: what is measured as points, theory dashed; of regimes the active shares above a strip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from linphase.diagram.axes import Axis, Facet, Window
from linphase.diagram.cells import Plot, cells_of
from linphase.diagram.curves import Curve, check_curves, curves_of
from linphase.diagram.facts import FACTS, facts
from linphase.diagram.looks import LOOKS, Array, written
from linphase.diagram.mesh import Mesh, reach_of
from linphase.diagram.names import held_name
from linphase.diagram.panels import Panel, find_panel, made_by_theory, refuse_without_regimes
from linphase.diagram.ranges import span_of
from linphase.errors import LinphaseError
from linphase.figures.along import THEORY, draw_points, log_ticks, pens
from linphase.figures.fitting import COLUMN_WIDTH, PAGE_WIDTH, Style, StyleName, style_in_use
from linphase.figures.layout import draw_frame, settle
from linphase.figures.legends import draw_over, draw_row, key
from linphase.figures.painting import draw_cells
from linphase.figures.placing import fit
from linphase.figures.style import (
    NotebookFigure,
    beside,
    figure_of,
    figure_size,
    inches,
    points,
    require_size,
    stroke,
    styled,
)
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes as MatplotlibAxes
    from matplotlib.figure import Figure

    from linphase.store.columns import Column

Axes = Mapping[str, Sequence[Any]]
Named = dict[str, tuple[float, str]]  # of thin lines, where they meet the frame, and the colour of the name
Samples = tuple[list[Artist], list[Artist]]  # for a legend: of the curves, and what else it tells

_THIN, _FAINT = "#C8553D", "0.45"  # baselines; cuts
_ROUNDING = 1e-8  # of the largest number: without noise baselines are 0 up to rounding
_CLOSE = 0.06  # of the height of the axes: names of lines would touch
_STRIP = (-0.17, -0.07)  # where the outcomes lie below shares from 0 to 1
_OF_REGIMES = (("signal-active", "signal", LOOKS["balanced"].color, "o"), ("bulk-active", "bulk", "0.55", "s"))


@styled
def curves(
    runs: pd.DataFrame,
    axes: Axes,
    panels: Sequence[str],
    *,
    cuts: Cuts = Cuts(),
    columns: Mapping[str, Column] | None = None,
    predicted: pd.DataFrame | None = None,
    mesh: Mesh | None = None,
    ax: MatplotlibAxes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Panels along the first axis of a grid, a curve for each combination of the further axes' values.

    Points are means over replicates, with 95 % intervals from three on; hollow ones did not all converge. Theory is
    dashed, baselines are thin.

    Parameters
    ----------
    runs, axes
        Of `Results`, the axes as `linphase.diagram.axes.span` puts them.
    panels
        Their names; several are drawn beside each other.
    cuts, columns, mesh, style
        As in `linphase.figures.diagrams.phase_diagram`.
    predicted
        Theory's runs.
    ax
        Of a figure of one's own, where the only panel is drawn.

    Raises
    ------
    LinphaseError
        If a panel is unknown or has nothing to draw, the axis has one value, or there are too many curves.
    """
    check_curves(axes)
    if not style_in_use().lines:
        predicted = None
    found = [find_panel(name, cuts, runs, columns) for name in panels]
    figure, panes = _sheet(len(found)) if ax is None else (figure_of(ax), [ax])
    strips: list[Plot] = []
    samples: list[Samples] = []
    for pane, panel in zip(panes, found, strict=False):
        if panel.scale == "outcome":
            strips.append(_draw_outcomes(pane, runs, axes, panel, cuts, mesh))
        if panel.shows_regime:
            samples.append(_draw_shares(pane, runs, axes, cuts, predicted))
        elif panel.scale != "outcome":
            samples.append(_draw_numbers(pane, curves_of(runs, axes, panel, cuts, predicted), panel, axes, runs))
    if len(found) > 1:
        _name_above(panes[: len(found)])
    told = [*chain(*(curves for curves, _ in samples)), *chain(*(notes for _, notes in samples))]
    title = "\n".join(filter(None, (_held(axes), facts(runs))))
    _end(figure, ax, strips, list({str(each.get_label()): each for each in told}.values()), title)
    return figure


def _sheet(count: int) -> tuple[Figure, list[MatplotlibAxes]]:
    """A figure of one column for one panel, of a page for several, three beside each other where there is room."""
    width = COLUMN_WIDTH if count == 1 else PAGE_WIDTH
    across = beside(min(3, count), width, 1.6)
    rows = ceil(count / across)
    require_size(1.8, 1.3 * rows)
    each = figure_size(width, width)[0] / inches(1) / across
    size = figure_size(width, (0.62 if count == 1 else 0.75) * each * rows + 0.45)
    figure = NotebookFigure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.04))
    panes = list(figure.subplots(rows, across, squeeze=False).flat)
    for unused in panes[count:]:
        unused.set_axis_off()
    return figure, panes


def _name_above(panes: Sequence[MatplotlibAxes]) -> None:
    """What stands upwards becomes the title of each of several panels, where there is more room for it."""
    for pane in panes:
        pane.set_title(pane.get_ylabel())
        pane.set_ylabel("")
        box = pane.get_subplotspec()
        assert box is not None
        fit(pane.title, 0.9 * figure_of(pane).get_size_inches()[0] / box.get_gridspec().ncols)


def _end(
    figure: Figure, ax: MatplotlibAxes | None, strips: Sequence[Plot], handles: Sequence[Artist], title: str
) -> None:
    """The legends, and what is held; in the axes of a caller over them."""
    swatches, samples = key(strips, [], below=handles)
    title = title if style_in_use().title else ""
    if ax is not None:
        draw_over(ax, [*swatches, *samples], title)
        return
    draw_row(figure, swatches, "outside upper center", title or None)
    draw_row(figure, samples, "outside lower center")
    if title and not swatches:
        fit(figure.suptitle(title), 0.95 * figure.get_size_inches()[0])
    settle(figure)


def _held(axes: Axes) -> str:
    """The values of the axes that have a single one, which the facts do not tell, three a line."""
    single = [Axis.of(key, values) for key, values in list(axes.items())[1:] if len(values) == 1]
    held = [(axis.name, axis.kept[0]) for axis in single if axis.column not in FACTS]
    return "\n".join(held_name(tuple(held[i : i + 3])) for i in range(0, len(held), 3))


def _frame(ax: MatplotlibAxes, axes: Axes, label: str, scale: str) -> Window:
    """The axis across, as a diagram has it, and what stands upwards."""
    window = Window.of(axes)
    ax.set_xscale("log" if window.x.logarithmic else "linear")
    ax.set_yscale(scale)
    draw_frame(ax, window, left=True, bottom=True)
    ax.set_xlim(*window.x.edges[[0, -1]])
    ax.set_ylabel(label, fontsize=points(8 if "\n" not in label else 7))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    return window


# --- Numbers ---------------------------------------------------------------------------------------------------------


def _draw_numbers(ax: MatplotlibAxes, found: Sequence[Curve], panel: Panel, axes: Axes, runs: pd.DataFrame) -> Samples:
    """The curves of a panel of numbers with their baselines."""
    style = style_in_use()
    logarithmic = (style.scale or panel.scale) == "log" and any((curve.mean > 0).any() for curve in found)
    label = "\n".join(filter(None, (panel.title, panel.unit if "$" in panel.unit or panel.statistic != "mean" else "")))
    window = _frame(ax, axes, label, "log" if logarithmic else "linear")
    named = _draw_baselines(ax, found, window) if style.lines else {}
    predicted = made_by_theory(runs)
    handles: list[Artist] = []
    for i, (curve, (color, mark)) in enumerate(zip(found, pens(len(found)), strict=True)):
        _draw_curve(ax, curve, _apart(curve, window, i, len(found)), window, color, mark, dashed=predicted)
        name = held_name(curve.held) or ("theory" if predicted else "measured")
        line: Any = THEORY if predicted else "none"
        handles.append(Line2D([], [], color=color, marker=mark, markersize=stroke(3), linestyle=line, label=name))
    if panel.scale == "share":
        ax.set_ylim(-0.03, 1.03)
    if style.ranged:
        asked = replace(panel, scale="log" if logarithmic else "linear")
        span_of(np.concatenate([curve.mean for curve in found]), asked, style.vmin, style.vmax)  # refuses bad ends
        ax.set_ylim(style.vmin, style.vmax)
    if logarithmic:
        log_ticks(ax.yaxis, *ax.get_ylim())
    else:
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    _name_lines(ax, named)
    return handles, _notes(found)


def _apart(curve: Curve, window: Window, i: int, count: int) -> Array:
    """Where the points of curve i of several are drawn: aside by a part of a cell, that no interval hides another."""
    if count == 1 or np.isnan(curve.low).all():
        return curve.x
    shift = (i - (count - 1) / 2) * min(0.12, 0.6 / count)
    if window.x.logarithmic:
        return np.asarray(curve.x * np.exp(shift * np.diff(np.log(window.x.edges))))
    return np.asarray(curve.x + shift * np.diff(window.x.edges))


def _draw_curve(
    ax: MatplotlibAxes, curve: Curve, places: Array, window: Window, color: Any, mark: str, *, dashed: bool = False
) -> None:
    """Points with intervals, theory dashed; without theory thin lines join the points, but between words."""
    words = isinstance(window.x.kept[0], str)
    drawn = np.isfinite(curve.mean) & ((curve.mean > 0) if ax.get_yscale() == "log" else True)
    x, mean = places[drawn], curve.mean[drawn]
    bars = np.nan_to_num([mean - curve.low[drawn], curve.high[drawn] - mean])
    draw_points(ax, x, mean, bars if bars.any() else None, color, mark)
    open_ = curve.unconverged[drawn]
    ax.plot(x[open_], mean[open_], linestyle="none", marker=mark, markersize=stroke(3), color=color, zorder=3.1,
            markerfacecolor="white", markeredgewidth=stroke(0.6), gid="unconverged")  # fmt: skip
    told = np.isfinite(curve.theory)
    if told.any():
        style = {"marker": "_", "markersize": stroke(9), "linestyle": "none"} if words else {"linestyle": THEORY}
        ax.plot(
            curve.x[told], curve.theory[told], color=color, linewidth=stroke(0.9), zorder=2.5, gid="theory", **style
        )
    elif not words:
        ax.plot(
            x, mean, color=color, linewidth=stroke(0.6), linestyle=THEORY if dashed else "-", zorder=2, gid="between"
        )


def _draw_baselines(ax: MatplotlibAxes, found: Sequence[Curve], window: Window) -> Named:
    """Thin lines across, where the curves have different ones each in its colour."""
    named: Named = {}
    top = float(np.nanmax([curve.mean for curve in found]))
    for name in found[0].baselines:
        values = np.array([curve.baselines[name] for curve in found])
        values[values <= _ROUNDING * top] = np.nan
        shown = np.isfinite(values).any(axis=0)
        if not shown.any():
            continue
        alike = bool((np.ptp(values[:, shown], axis=0) <= 0.1 * np.nanmax(values)).all())
        for line, (color, _) in zip(values[:1] if alike else values, pens(len(found)), strict=False):
            _thin_line(ax, line, window, _THIN if alike else color, name)
        named[name] = float(values[0, shown][-1]), _THIN if alike else "black"
    return named


def _thin_line(ax: MatplotlibAxes, y: Array, window: Window, color: Any, name: str) -> None:
    """A thin dotted line from frame to frame."""
    given = np.isfinite(y)
    x, y = window.x.positions[given], y[given]
    ends = window.x.edges[[0, -1]]
    if len(x):
        ax.plot([ends[0], *x, ends[1]], [y[0], *y, y[-1]], color=color, linewidth=stroke(0.6), linestyle=(0, (1, 2)),
                zorder=1.4, gid=f"{name} line")  # fmt: skip


def _name_lines(ax: MatplotlibAxes, named: Named) -> None:
    """Names at the right side of the frame; those of lines too close for two stand together."""
    places: list[tuple[float, list[str]]] = []
    for name, (height, _) in sorted(named.items(), key=lambda item: item[1][0]):
        place = float(ax.transAxes.inverted().transform(ax.transData.transform((1, height)))[1])
        if not 0 <= place <= 1:
            continue
        if places and place - places[-1][0] < _CLOSE:
            places[-1][1].append(name)
        else:
            places.append((place, [name]))
    for place, names in places:
        ax.annotate("\n".join(reversed(names)), (1, place), (points(2), 0), xycoords="axes fraction",
                    textcoords="offset points", va="center", fontsize=points(6), color=named[names[0]][1],
                    annotation_clip=False, gid="name of a line")  # fmt: skip


def _notes(found: Sequence[Curve]) -> list[Artist]:
    """What else the legend tells: theory, bars and hollow points."""
    notes: list[Artist] = []
    if any(np.isfinite(curve.theory).any() for curve in found):
        notes.append(Line2D([], [], color="black", linewidth=stroke(0.9), linestyle=THEORY, label="theory"))
    barred = [count for curve in found for count in curve.replicates[np.isfinite(curve.low)]]
    if barred:
        among = f"{barred[0]} replicates" if len(set(barred)) == 1 else "the replicates"
        notes.append(Line2D([], [], color="0.3", marker="|", linestyle="none", markersize=stroke(6),
                            label=f"95 % interval over {among}"))  # fmt: skip
    if any((curve.unconverged & np.isfinite(curve.mean)).any() for curve in found):
        notes.append(Line2D([], [], color="0.3", marker="o", linestyle="none", markersize=stroke(3),
                            markerfacecolor="white", label="not all converged"))  # fmt: skip
    return notes


# --- Outcomes --------------------------------------------------------------------------------------------------------


def _draw_outcomes(
    ax: MatplotlibAxes, runs: pd.DataFrame, axes: Axes, panel: Panel, cuts: Cuts, mesh: Mesh | None
) -> Plot:
    """The outcomes of the cells as a strip, below what else is drawn of regimes."""
    window = Window.of(axes)
    if any(len(values) > 1 for values in list(axes.values())[1:]):
        raise LinphaseError(
            f"panel {panel.name}: is drawn along an axis for one value of every other axis. Choose it with where, or "
            "draw signal-active or bulk-active"
        )
    if panel.shows_regime:
        refuse_without_regimes(runs)
    cells = cells_of(runs, window, panel, cuts, reach_of(mesh, window, Facet(runs)))
    strip = Window(window.x, replace(window.y, edges=np.array(_STRIP), logarithmic=False))
    draw_cells(ax, cells, strip, None)
    _frame(ax, axes, "", "linear")
    ax.yaxis.set_major_locator(NullLocator())
    return Plot(panel, "", runs, cells)


def _draw_shares(
    ax: MatplotlibAxes, runs: pd.DataFrame, axes: Axes, cuts: Cuts, predicted: pd.DataFrame | None
) -> Samples:
    """The active shares of signal and bulk, and the cuts that make regimes of them."""
    window = Window.of(axes)
    ax.set_ylabel("active share", fontsize=points(8))
    handles: list[Artist] = []
    found: list[Curve] = []
    for name, called, color, mark in _OF_REGIMES:
        if runs[cuts.column(name.replace("-", "_"))].notna().any():  # no bulk, no share of it
            (curve,) = curves_of(runs, axes, find_panel(name, cuts, runs), cuts, predicted)
            _draw_curve(ax, curve, curve.x, window, color, mark, dashed=made_by_theory(runs))
            handles.append(
                Line2D([], [], color=color, marker=mark, markersize=stroke(3), linestyle="none", label=called)
            )
            found.append(curve)
    together = cuts.signal == cuts.bulk
    named = {"cuts": cuts.signal} if together else {"signal cut": cuts.signal, "bulk cut": cuts.bulk}
    for name, cut in named.items():
        _thin_line(ax, np.full(len(window.x.positions), cut), window, _FAINT, name)
    ax.set_ylim(_STRIP[0] - 0.02, 1.05)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
    _name_lines(ax, {name: (cut, _FAINT) for name, cut in named.items()})
    return handles, _notes(found)

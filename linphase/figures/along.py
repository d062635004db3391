"""Laws along an axis: the points of each with their intervals, the line through them, and what theory says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, pairwise
from math import isfinite, isnan, log
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from linphase.diagram.curves import MOST
from linphase.diagram.looks import Array, written
from linphase.diagram.names import axis_label, held_name
from linphase.diagram.scaling import Law, Line
from linphase.errors import LinphaseError
from linphase.figures.fitting import COLUMN_WIDTH, Style, StyleName
from linphase.figures.style import NotebookFigure, figure_size, set_ticks, stroke, styled

_MARKS = "os^Dv"
THEORY: Any = (0, (4, 2))  # dashes


def law_name(law: Law) -> str:
    """What is held along a law, in mathematics."""
    return held_name(law.held)


@styled
def along(
    laws: Sequence[Law],
    *,
    label: str,
    name: Callable[[Law], str] = law_name,
    title: str = "",
    ratios_alone: bool = False,
    slopes: bool = True,
    style: StyleName | Style = "paper",
) -> Figure:
    """Draw laws of one axis: means over replicates with 95 % intervals, lines, and below them the ratio to theory.

    Parameters
    ----------
    laws
        At most MOST of them; without points they are left out.
    label
        What the laws are of: stands upwards.
    name
        What tells a law from the others.
    title
        Stands above.
    ratios_alone
        Draw what is measured over theory alone.
    slopes
        Draw the lines, and write slopes with their intervals into the legend.
    style
        paper, talk, or a `Style`.

    Raises
    ------
    LinphaseError
        If there are none, or more than MOST.
    """
    laws = [law for law in laws if law.points]
    if not 1 <= len(laws) <= MOST:
        raise LinphaseError(
            f"a figure of laws draws 1 to {MOST} of them, found {len(laws)}. Draw some with --where, or name with --y "
            f"an axis of at most {MOST} values that is to tell them apart"
        )
    compared = any(isfinite(point.log_theory) for law in laws for point in law.points)
    both = compared and not ratios_alone
    rows = len(laws) * 0.155 + 0.2
    height = (2.2 if not both else 2.9) + rows
    figure = NotebookFigure(figsize=figure_size(COLUMN_WIDTH, height), layout="constrained")
    panes = list(figure.subplots(2 if both else 1, 1, sharex=True, squeeze=False,
                                 height_ratios=(2.2, 1) if both else None)[:, 0])  # fmt: skip
    handles = []
    for law, (color, mark) in zip(laws, pens(len(laws)), strict=True):
        if ratios_alone:
            _draw(panes[0], law, color, mark, ratios=True, line=slopes)
        else:
            _draw(panes[0], law, color, mark, ratios=False, line=slopes)
            if both:
                _draw(panes[1], law, color, mark, ratios=True, line=False)
        line = law.over_theory if ratios_alone else law.line
        text = ": ".join(filter(None, (name(law), slope_text(line) if slopes and line is not None else "")))
        handles.append(Line2D([], [], color=color, marker=mark, markersize=stroke(3), label=text or "measured"))
    if compared and not ratios_alone:
        handles.append(Line2D([], [], color="black", linestyle=THEORY, label="theory"))
    _frame(panes, laws)
    panes[0].set_ylabel(label)
    if both:
        panes[1].set_ylabel("over theory")
    for pane in panes[-1:] if both else panes if ratios_alone else ():
        pane.axhline(1, color="0.5", linewidth=stroke(0.6), zorder=0)
    if title:
        panes[0].set_title(title)
    heading = "slope with 95 % interval" if slopes else None
    figure.legend(handles=handles, loc="outside lower left", frameon=False, title=heading, alignment="left",
                  handlelength=1.8, borderaxespad=0.1, labelspacing=0.3)  # fmt: skip
    return figure


def slope_text(line: Line) -> str:
    """A slope with its interval, as a reader writes them, and whether it is of a bent line."""
    slope, low, high = (f"{round(each, 3) + 0.0:.3f}" for each in (line.slope, line.low, line.high))
    interval = "" if isnan(line.low) else f" [{low}, {high}]"
    return f"{slope}{interval}{', bent' if line.bent else ''}".replace("-", "\N{MINUS SIGN}")


def pens(count: int) -> list[tuple[Any, str]]:
    """Colours and marks that tell laws or curves apart."""
    colors = colormaps["viridis"](np.linspace(0, 0.85, count))  # its end is too light on white
    return list(zip(colors, cycle(_MARKS), strict=False))


def draw_points(ax: Axes, x: Array, y: Array, bars: Array | None, color: object, mark: str) -> None:
    """Points with their intervals, (2, n) below and above them."""
    ax.errorbar(x, y, bars, fmt=mark, color=color, markersize=stroke(3), elinewidth=stroke(0.8), capsize=stroke(1.2),
                capthick=stroke(0.6), markeredgecolor="white", markeredgewidth=stroke(0.3), zorder=3)  # fmt: skip


def _draw(ax: Axes, law: Law, color: object, mark: str, *, ratios: bool, line: bool) -> None:
    points = [point for point in law.points if not ratios or isfinite(point.log_theory)]
    if not points:
        return
    shown = [point.over_theory() if ratios else point for point in points]
    x, means = np.array([point.x for point in shown]), np.array([point.mean for point in shown])
    half = np.nan_to_num([point.half for point in shown])
    y: Array = np.exp(means)
    bars = np.array([y - np.exp(means - half), np.exp(means + half) - y])
    fitted = law.over_theory if ratios else law.line
    if line and fitted is not None:
        ends = x[[0, -1]]
        ax.plot(ends, np.exp(fitted.intercept + fitted.slope * np.log(ends)), color=color, linewidth=stroke(0.8),
                gid="line")  # fmt: skip
    elif ratios or not line:
        ax.plot(x, y, color=color, linewidth=stroke(0.6), gid="between")
    draw_points(ax, x, y, bars, color, mark)
    theory = [point for point in points if isfinite(point.log_theory)]
    if theory and not ratios:
        ax.plot([point.x for point in theory], np.exp([point.log_theory for point in theory]), color="black",
                linewidth=stroke(0.9), linestyle=THEORY, zorder=4, gid="theory")  # fmt: skip


def _frame(panes: Sequence[Axes], laws: Sequence[Law]) -> None:
    places = sorted({point.x for law in laws for point in law.points})
    for ax in panes:
        ax.set(xscale="log", yscale="log")
        log_ticks(ax.yaxis, *ax.get_ylim())
        set_ticks(ax)
    bottom = panes[-1]
    if len(places) <= 7 and places[-1] < 1e4 and all(b > 1.3 * a for a, b in pairwise(places)):
        bottom.xaxis.set_major_locator(FixedLocator(places))
        bottom.xaxis.set_minor_locator(NullLocator())
    else:
        bottom.xaxis.set_major_locator(
            LogLocator(subs=(1.0, 2.0, 5.0) if places[-1] < 100 * places[0] else (1.0,), numticks=8)
        )
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    bottom.xaxis.set_minor_formatter(NullFormatter())
    bottom.set_xlabel(axis_label(laws[0].axis))


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Decades, of few of them parts, and within one the round numbers of a linear scale."""
    if high < 8 * low:
        ticks = [tick for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
        axis.set_major_locator(FixedLocator(ticks))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if log(high / low) < 5 else (1.0,), numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))

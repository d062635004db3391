"""The figure of narrow networks in results/scaling, one column wide."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.estimates import Estimate
from linphase.diagram.looks import written
from linphase.diagram.names import axis_label
from linphase.figures.fitting import COLUMN_WIDTH
from linphase.figures.style import inches, set_ticks, stroke, styled

if TYPE_CHECKING:
    from benchmarks.scaling import Curve

COLORS = {"balance": "#0072B2", "speedup": "#D55E00", "": "#444444"}  # Okabe and Ito, told apart by all
NAMES = {"balance": "mode balance", "speedup": "mode speed-up"}
MARKS = "os^"
PLACES = [1 / 8, 1 / 2, 2, 8, 32]


@styled
def narrow_figure(curves: Sequence["Curve"], orders: Mapping[int, Mapping[float, Estimate]]) -> Figure:
    """c at the boundaries over theory's c, and the learning order at c = 3 S, over width/d; a mark for each d."""
    figure = Figure(figsize=(inches(COLUMN_WIDTH), inches(5.6)), layout="constrained")
    panes = figure.subplots(3, 1, sharex=True)
    boundaries = list(dict.fromkeys(curve.boundary for curve in curves if curve.criterion))
    marks = dict(zip(orders, MARKS, strict=False))
    for ax, boundary in zip(panes, boundaries, strict=False):
        for curve in (each for each in curves if each.boundary == boundary):
            for shift, (d, law) in zip((0.94, 1.0, 1.06), curve.laws.items(), strict=False):
                points = [point.over_theory() for point in law.points]
                ends = [[np.exp(p.mean + sign * p.half) for p in points] for sign in (-1, 0, 1)]
                _draw(ax, [shift * p.x for p in points], ends, COLORS[curve.criterion], marks[d])
        ax.set_title(boundary)
        ax.set_ylabel("$c^*$ over theory")
        ax.axhline(1, color="0.5", linewidth=stroke(0.6), zorder=0)
        ax.set(yscale="log", ylim=(0.3, 2.5))
        _name(ax.yaxis, [0.3, 0.5, 0.7, 1, 1.5, 2])
    last = panes[-1]
    for shift, (d, by_ratio) in zip((0.94, 1.0, 1.06), orders.items(), strict=False):
        ends = [[getattr(e, end) for e in by_ratio.values()] for end in ("low", "value", "high")]
        _draw(last, [shift * ratio for ratio in by_ratio], ends, COLORS[""], marks[d])
    last.set_title("learning order at $c = 3S$")
    last.set_ylabel(r"$t_{95}^{bulk}/t_{95}^{signal}$")
    last.axhline(1, color="0.5", linewidth=stroke(0.6), zorder=0)
    last.set(xscale="log", yscale="log", xlabel=axis_label("width/d"))
    _name(last.xaxis, PLACES)
    _name(last.yaxis, [1, 2, 5, 10, 20, 50, 100, 200])
    for ax in panes:
        set_ticks(ax)
    handles = [Line2D([], [], color=COLORS[each], label=name) for each, name in NAMES.items()]
    handles += [Line2D([], [], color="0.3", marker=mark, linestyle="", markersize=stroke(3), label=f"$d$ = {d}")
                for d, mark in marks.items()]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, handlelength=1.4)
    return figure


def _draw(ax: Axes, x: Sequence[float], ends: Sequence[Sequence[float]], color: str, mark: str) -> None:
    low, middle, high = (np.array(each) for each in ends)
    bars = np.nan_to_num([middle - low, high - middle])
    ax.errorbar(x, middle, bars, fmt=f"{mark}-", color=color, markersize=stroke(3), linewidth=stroke(0.5),
                elinewidth=stroke(0.7), markeredgecolor="white", markeredgewidth=stroke(0.3))  # fmt: skip


def _name(axis: Any, places: Sequence[float]) -> None:
    low, high = axis.get_view_interval()
    axis.set_major_locator(FixedLocator([each for each in places if low <= each <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(
        FuncFormatter(
            lambda value, _: (
                "1/8" if value == 1 / 8 else "1/2" if value == 1 / 2 and axis.axis_name == "x" else written(value)
            )
        )
    )

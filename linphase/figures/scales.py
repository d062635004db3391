"""Numbers to colours, and their bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from linphase.diagram.looks import Array, written
from linphase.diagram.panels import Extend, Panel, span_of
from linphase.figures.style import points, set_ticks, stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Extend


def scale_of(numbers: Array, panel: Panel) -> Scale | None:
    """Colours for the numbers of cells over their span; None where there are none."""
    span = span_of(numbers, panel)
    if span is None:
        return None
    norm = LogNorm if span.logarithmic else Normalize
    colors = panel.colors if panel.colors in colormaps else Panel.colors  # a file may name others
    return Scale(norm(span.low, span.high), colors, span.extend)


def draw_colorbar(
    figure: Figure,
    grid: Sequence[Axes],
    scale: Scale,
    levels: Sequence[float] = (),
    label: str = "",
    marks: Mapping[str, float] = MappingProxyType({}),
) -> None:
    """A colour bar beside some subplots, with a line at each of the levels drawn in them; label: unit or symbol.

    marks: values with names, at its left side.
    """
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
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    set_ticks(bar.ax)
    for level in levels:
        if low < level < high:
            bar.ax.axhline(level, color="white", linewidth=stroke(1.0), gid="level")
    if within := {name: value for name, value in marks.items() if low <= value <= high}:
        beside = bar.ax.secondary_yaxis("left")
        beside.set_yticks(list(within.values()), list(within), fontsize=points(6))
        beside.yaxis.set_minor_locator(NullLocator())
        beside.tick_params(length=stroke(2.5), width=stroke(0.8), pad=points(1))
        beside.set_gid("marks")
    if label:
        bar.set_label(label, fontsize=points(7), labelpad=points(1))
    bar.outline.set_linewidth(stroke(0.6))

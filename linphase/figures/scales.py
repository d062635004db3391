"""Numbers to colours, and their bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log
from typing import TYPE_CHECKING, Literal

import numpy as np

from linphase.figures.panels import Panel
from linphase.figures.style import Array, points, set_ticks, stroke, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Extend = Literal["neither", "min", "max", "both"]


@dataclass(frozen=True)
class Span:
    """Which numbers the ends of a scale stand for, and whether some lie beyond."""

    low: float
    high: float
    logarithmic: bool
    extend: Extend


@dataclass(frozen=True)
class Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Extend


def scale_of(numbers: Array, panel: Panel) -> Scale | None:
    """Colours for the numbers of cells over their span; None where there are none."""
    from matplotlib.colors import LogNorm, Normalize

    span = span_of(numbers, panel)
    if span is None:
        return None
    norm = LogNorm if span.logarithmic else Normalize
    return Scale(norm(span.low, span.high), panel.colormap, span.extend)


def span_of(numbers: Array, panel: Panel) -> Span | None:
    """The span of the numbers of cells; logarithmic where the panel allows it and the numbers span a decade.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more.
    """
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "share":
        return Span(floor(10 * min(numbers.min(), 0.9)) / 10, 1.0, False, "neither")
    if panel.scale == "difference":
        return _balanced_span(numbers)
    positive = numbers[numbers > 0]
    low, high = float(numbers.min()), float(numbers.max())
    logarithmic = panel.scale == "log" and bool(positive.size) and high >= 10 * float(positive.min())
    if logarithmic:
        low = float(positive.min())
        inner = np.quantile(positive, [0.01, 0.99])
        if 1.5 * log(inner[1] / inner[0]) < log(high / low) and inner[1] >= 10 * inner[0]:
            low, high = (float(value) for value in inner)
    else:
        # Numbers that are all but equal get a tenth of their size, or the ticks would be all but equal too.
        least = max(abs(low), abs(high)) / 10 or 0.2
        pad = max(least - (high - low), 0.0) / 2
        low, high = low - pad, high + pad
    return Span(low, high, logarithmic, _extend(numbers, low, high))


def _balanced_span(numbers: Array) -> Span:
    """Equal reach to both sides of 0, without the outermost 1 % where that shortens it by a third or more."""
    largest = float(np.abs(numbers).max())
    inner = float(np.quantile(np.abs(numbers), 0.99))
    reach = inner if 0 < 1.5 * inner < largest else largest
    reach = reach or 1.0  # no difference anywhere
    return Span(-reach, reach, False, _extend(numbers, -reach, reach))


def _extend(numbers: Array, low: float, high: float) -> Extend:
    below, above = bool(numbers.min() < low), bool(numbers.max() > high)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def draw_colorbar(
    figure: Figure, grid: Sequence[Axes], scale: Scale, levels: Sequence[float] = (), label: str = ""
) -> None:
    """A colour bar beside some subplots, with a line at each of the levels drawn in them; label: unit or symbol."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

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
    if label:
        bar.set_label(label, fontsize=points(7), labelpad=points(1))
    bar.outline.set_linewidth(stroke(0.6))

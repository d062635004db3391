"""Numbers to colours, and their bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from linphase.figures.panels import Panel
from linphase.figures.style import Array, set_ticks, written

Extend = Literal["neither", "min", "max", "both"]


@dataclass(frozen=True)
class Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Extend


def scale_of(numbers: Array, panel: Panel) -> Scale | None:
    """Colours for the numbers of cells; logarithmic where the panel allows it and the numbers span a decade.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more.
    """
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "share":
        return Scale(Normalize(floor(10 * min(numbers.min(), 0.9)) / 10, 1), panel.colormap, "neither")
    if panel.scale == "difference":
        return _balanced_scale(numbers, panel)
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
    return Scale(norm, panel.colormap, _extend(numbers, low, high))


def _balanced_scale(numbers: Array, panel: Panel) -> Scale:
    """Equal reach to both sides of 0, without the outermost 1 % where that shortens it by a third or more."""
    largest = float(np.abs(numbers).max())
    inner = float(np.quantile(np.abs(numbers), 0.99))
    reach = inner if 0 < 1.5 * inner < largest else largest
    reach = reach or 1.0  # no difference anywhere
    return Scale(Normalize(-reach, reach), panel.colormap, _extend(numbers, -reach, reach))


def _extend(numbers: Array, low: float, high: float) -> Extend:
    below, above = bool(numbers.min() < low), bool(numbers.max() > high)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def draw_colorbar(figure: Figure, grid: Sequence[Axes], scale: Scale, levels: Sequence[float] = ()) -> None:
    """A colour bar beside some subplots, with a line at each of the levels drawn in them."""
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
            bar.ax.axhline(level, color="white", linewidth=1.0, gid="level")
    bar.outline.set_linewidth(0.6)

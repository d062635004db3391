"""How figures look: sizes, type, the colours and strokes of outcomes, numbers as they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from math import floor, log10
from typing import Any, ParamSpec, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]
Segment = tuple[tuple[float, float], tuple[float, float]]
P = ParamSpec("P")

COLUMN_WIDTH = 3.4  # inches: one column of a paper
PAGE_WIDTH = 7.0

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


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in this style, whatever the user's matplotlib settings are otherwise."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return styled


def set_ticks(ax: Axes) -> None:
    """Short thin ticks with small labels."""
    ax.tick_params(labelsize=7, width=0.6, length=2.5, pad=2)
    ax.tick_params(which="minor", width=0.4, length=1.5)


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
    "start": Look("passed at the start", "#BFD9EA"),
    "apart": Look("number in one only", "#E7B6C4"),
    "agree": Look("agree", "#F2F2F2"),
    "missing": Look("missing", "#FFFFFF", _CROSS, "#B0B0B0"),
}
UNCONVERGED = Look("unconverged", "#FFFFFF", _RISING)
# Its sample in a legend: wider than a cell, so with more strokes.
HATCHED = replace(UNCONVERGED, strokes=tuple(((x, 0.0), (x + 0.4, 1.0)) for x in (0.0, 0.3, 0.6)))


def written(value: Any) -> str:
    """A value as a reader writes it: 5, 0.02, 10^6."""
    if isinstance(value, str):
        return value
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    exponent = floor(log10(abs(value)) + 1e-9)
    mantissa = value / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if abs(mantissa - 1) < 1e-6 else rf"${mantissa:.3g}\times {power}$"


def renderer(figure: Figure) -> RendererBase:
    """What measures text in a figure made for it, with a FigureCanvasAgg."""
    canvas: Any = figure.canvas
    return cast(RendererBase, canvas.get_renderer())

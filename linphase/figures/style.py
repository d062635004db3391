"""How figures look: sizes, type, the colours and strokes of outcomes, numbers as they are written.

Everything is given in the sizes of the style "paper": inches, points of type, breadths of strokes. While a figure is
drawn the style in use stands in matplotlib's settings, from where `inches`, `points` and `stroke` read it.
Matplotlib is imported where it is used: `linphase plot --terminal` needs the colours without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from math import floor, log10
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, cast

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Segment = tuple[tuple[float, float], tuple[float, float]]
StyleName = Literal["paper", "talk"]
P = ParamSpec("P")

COLUMN_WIDTH = 3.4  # inches: one column of a paper
PAGE_WIDTH = 7.0


@dataclass(frozen=True)
class Style:
    """How much larger than in a paper everything is."""

    size: float
    type: float
    stroke: float


# On a slide of 13.3 inches a column takes nearly half of it and a page all but the margins; type is 15 to 17 points.
STYLES: dict[StyleName, Style] = {"paper": Style(1.0, 1.0, 1.0), "talk": Style(1.8, 2.1, 2.2)}

_BASE = 7.5  # points
_TYPE = {
    "font.size": _BASE,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
}
_STROKES = {"axes.linewidth": 0.6, "lines.linewidth": 1.0}
_INCHES = {"figure.constrained_layout.h_pad": 0.02, "figure.constrained_layout.w_pad": 0.02}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in the style of its argument `style`, whatever the user's matplotlib settings are."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        from matplotlib.style import context

        with context(["default", _settings(cast("StyleName", kwargs.get("style", "paper")))]):
            return draw(*args, **kwargs)

    return styled


def _settings(name: StyleName) -> dict[Any, Any]:
    if name not in STYLES:
        raise LinphaseError(f"style must be one of {', '.join(STYLES)}, found {name!r}")
    style = STYLES[name]
    settings: dict[Any, Any] = {key: value * style.type for key, value in _TYPE.items()}
    settings |= {key: value * style.stroke for key, value in _STROKES.items()}
    settings |= {key: value * style.size for key, value in _INCHES.items()}
    settings["figure.figsize"] = (COLUMN_WIDTH * style.size, COLUMN_WIDTH * style.size)
    # Type as it is in every installation, and mathematics in it.
    return settings | {"font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "text.usetex": False}


def inches(value: float) -> float:
    """A length of the style paper as it is in the style in use."""
    return value * float(_setting("figure.figsize")[0]) / COLUMN_WIDTH


def points(value: float) -> float:
    """A size of type, in points."""
    return value * float(_setting("font.size")) / _BASE


def stroke(value: float) -> float:
    """The breadth of a line or the size of a mark, in points."""
    return value * float(_setting("lines.linewidth")) / _STROKES["lines.linewidth"]


def _setting(name: str) -> Any:
    import matplotlib as mpl

    return mpl.rcParams[cast("Any", name)]


def set_ticks(ax: Axes) -> None:
    """Short thin ticks with small labels."""
    ax.tick_params(labelsize=points(7), width=stroke(0.6), length=stroke(2.5), pad=points(2))
    ax.tick_params(which="minor", width=stroke(0.4), length=stroke(1.5))


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
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    exponent = floor(log10(abs(value)) + 1e-9)
    mantissa = value / 10.0**exponent
    power = f"10^{{{exponent}}}"
    return f"${power}$" if abs(mantissa - 1) < 1e-6 else rf"${mantissa:.3g}\times {power}$"


def plainly(value: Any) -> str:
    """A value as a user types it, four digits of it."""
    return "none" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def renderer(figure: Figure) -> RendererBase:
    """What measures text in a figure made for it, with a FigureCanvasAgg."""
    canvas: Any = figure.canvas
    return cast("RendererBase", canvas.get_renderer())

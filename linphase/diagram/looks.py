"""How outcomes look and numbers are written, in a figure, a page and a terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.model.regime import AGREED

Array = NDArray[np.float64]

Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Look:
    """How an outcome is drawn: a fill, and strokes in the unit square where a fill could be mistaken."""

    label: str
    color: str
    strokes: tuple[Segment, ...] = ()
    stroke_color: str = "black"


_RISING: tuple[Segment, ...] = (((0.0, 0.0), (1.0, 1.0)),)

_FALLING: tuple[Segment, ...] = (((0.0, 1.0), (1.0, 0.0)),)

_CROSS: tuple[Segment, ...] = (((0.25, 0.25), (0.75, 0.75)), ((0.25, 0.75), (0.75, 0.25)))

_PLUS: tuple[Segment, ...] = (((0.2, 0.5), (0.8, 0.5)), ((0.5, 0.2), (0.5, 0.8)))

# lazy, mixed, balanced darken in this order: an ordered trio in grey print and to colour-blind readers too.
LOOKS = {
    "lazy": Look("lazy", "#F7D06B"),
    "mixed": Look("mixed", "#3FA7A3"),
    "balanced": Look("balanced", "#2C3E7B"),
    "underparameterized": Look("underparameterized", "#DEDEDE"),
    "converged": Look("converged", "#8CB369"),
    "finished": Look("finished", "#D5E5B9"),
    "stopped_early": Look("stopped early", "#E39B5C"),
    "step_limit": Look("step limit", "#8A5A83"),
    "diverged": Look("diverged", "#2B2B2B", _CROSS, "white"),
    "failed": Look("failed", "#B03A5B", _PLUS, "white"),
    "undefined": Look("no value", "#C9C9C9"),
    "start": Look("passed at the start", "#BFD9EA"),
    "apart": Look("number in one only", "#E7B6C4"),
    "agree": Look("agree", "#F2F2F2"),
    "missing": Look("missing", "#FFFFFF", _CROSS, "#B0B0B0"),
}

UNCONVERGED = Look("unconverged", "#FFFFFF", _RISING)

DISPUTED = Look(f"criteria agree on < {100 * AGREED:.0f} % of modes", "#808080", _FALLING, "white")

# Curves over time, in figures and in the explorer.
TRAIN = "#2C3E7B"
TEST = "#C8553D"
SIGNAL = "#2C3E7B"
BULK = "#999999"
THRESHOLD = "#000000"

# Their samples in a legend: wider than a cell, so with more strokes.
HATCHED = replace(UNCONVERGED, strokes=tuple(((x, 0.0), (x + 0.4, 1.0)) for x in (0.0, 0.3, 0.6)))
FINELY_HATCHED = replace(DISPUTED, strokes=tuple(((x + 0.2, 0.0), (x, 1.0)) for x in (0.0, 0.2, 0.4, 0.6, 0.8)))


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

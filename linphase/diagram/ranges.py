"""Which numbers the ends of a panel's scale stand for."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log
from typing import Literal

import numpy as np

from linphase.diagram.looks import Array
from linphase.diagram.panels import Panel
from linphase.errors import LinphaseError

Extend = Literal["neither", "min", "max", "both"]


@dataclass(frozen=True)
class Span:
    """Which numbers the ends of a scale stand for, and whether some lie beyond."""

    low: float
    high: float
    logarithmic: bool
    extend: Extend


def span_of(numbers: Array, panel: Panel, low: float | None = None, high: float | None = None) -> Span | None:
    """The span of the numbers of cells, on the scale that the panel has, whatever the numbers are.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more, and is linear only
    where no number is positive.

    Parameters
    ----------
    numbers
        Of the cells that decide: those of networks that can hold the signal.
    panel
        Whose scale it is.
    low, high
        Ends that are given, in place of those of the numbers.

    Raises
    ------
    LinphaseError
        If the ends that are given leave nothing between them, or are not positive on a log scale.
    """
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "difference":
        return _balanced_span(numbers)
    logarithmic = panel.scale == "log" and bool((numbers > 0).any())
    first, last = _share_ends(numbers) if panel.scale == "share" else _ends(numbers, logarithmic=logarithmic)
    first, last = first if low is None else low, last if high is None else high
    if logarithmic and first <= 0:
        raise LinphaseError(f"panel {panel.name}: a positive low end is required on its log scale, found {first:g}")
    if not first < last:
        raise LinphaseError(
            f"panel {panel.name}: a low end below the high one is required, found {first:.4g} and {last:.4g}; the "
            f"numbers go from {numbers.min():.4g} to {numbers.max():.4g}"
        )
    return Span(first, last, logarithmic, _extend(numbers, first, last))


def _share_ends(numbers: Array) -> tuple[float, float]:
    return floor(10 * min(numbers.min(), 0.9)) / 10, 1.0


def _ends(numbers: Array, *, logarithmic: bool) -> tuple[float, float]:
    """The ends of the numbers; apart by a tenth of their size at least, or the ticks would be all but equal."""
    if logarithmic:
        positive = numbers[numbers > 0]
        low, high = float(positive.min()), float(positive.max())
        inner = np.quantile(positive, [0.01, 0.99])
        if inner[1] >= 10 * inner[0] and 1.5 * log(inner[1] / inner[0]) < log(high / low):
            low, high = (float(value) for value in inner)
        apart = max(1.1 / (high / low), 1.0) ** 0.5
        return low / apart, high * apart
    low, high = float(numbers.min()), float(numbers.max())
    least = max(abs(low), abs(high)) / 10 or 0.2
    pad = max(least - (high - low), 0.0) / 2
    return low - pad if low < 0 else max(low - pad, 0.0), high + pad  # numbers of which none is negative


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

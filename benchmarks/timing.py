"""How speeds are compared: side by side in one process, in turns, so that whatever else slows the machine slows both."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

Work = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The median of some repeats, or cells, with how far they lie apart."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.low)}..{number(self.high)})"


def extremes(values: ArrayLike) -> Spread:
    """Median, minimum and maximum: for the few repeats of one measurement."""
    return Spread(*(float(q) for q in np.quantile(np.asarray(values, dtype=float), (0.5, 0, 1))))


def quartiles(values: ArrayLike) -> Spread:
    """Median and quartiles: for many cells, each measured once."""
    return Spread(*(float(q) for q in np.quantile(np.asarray(values, dtype=float), (0.5, 0.25, 0.75))))


def number(value: float) -> str:
    """Three digits, without an exponent where one can do without."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"
    return f"{value:.2e}"


def seconds(work: Work) -> float:
    """Wall time of one call."""
    began = perf_counter()
    work()
    return perf_counter() - began


def alternating(repeats: int, works: Iterable[Work], *, warm_up: bool = True) -> NDArray[np.float64]:
    """Seconds (repeats, works) of calls made in turns A, B, ..., A, B, ...; the warm-up round is not counted."""
    works = list(works)
    if warm_up:
        for work in works:
            work()
    return np.array([[seconds(work) for work in works] for _ in range(repeats)])

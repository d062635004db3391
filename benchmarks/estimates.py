"""Numbers with their intervals: means and slopes by Student's t, shares by the exact binomial."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, digamma, stdtrit
from scipy.stats import linregress

LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def meets(self, value: float, margin: float = 0.0) -> bool:
        """Whether a value lies within a margin of the interval."""
        return self.low - margin <= value <= self.high + margin


def mean(values: ArrayLike) -> Estimate:
    """The mean of independent draws, its interval by Student's t; without one below three draws."""
    x = np.asarray(values, dtype=np.float64)
    half = float(stdtrit(x.size - 1, (1 + LEVEL) / 2) * np.std(x, ddof=1) / sqrt(x.size)) if x.size > 2 else nan
    return Estimate(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half)


def line(x: Sequence[float], draws: Sequence[ArrayLike]) -> Estimate:
    """The slope of the weighted line through the means of independent draws at each x (n,).

    The weight of a mean is one over its variance. As few draws tell little of it, the logarithm of the variance of one
    draw is itself taken as a line in x. The interval, by Student's t, is that of the draws: it bounds the slope of the
    line through the true means, straight or bent.
    """
    places, samples = np.asarray(x, dtype=np.float64), [np.asarray(each, dtype=np.float64) for each in draws]
    count = np.array([each.size for each in samples])
    means = np.array([each.mean() for each in samples])
    weight = count / _variances(places, samples)
    away = places - np.average(places, weights=weight)
    spread = float(np.sum(weight * away**2))
    slope = float(np.sum(weight * away * means)) / spread
    half = float(stdtrit(count.sum() - count.size, (1 + LEVEL) / 2)) / sqrt(spread)
    return Estimate(slope, slope - half, slope + half)


def trend(x: ArrayLike, y: ArrayLike) -> Estimate:
    """The slope of the line through single points (n,), each of one weight; Student's t."""
    found = linregress(x, y)
    half = float(stdtrit(np.size(x) - 2, (1 + LEVEL) / 2) * found.stderr)
    return Estimate(float(found.slope), float(found.slope) - half, float(found.slope) + half)


def _variances(x: Floats, samples: Sequence[Floats]) -> Floats:
    """The variance of one draw at each x, its logarithm taken as a line in x.

    The logarithm of a variance estimated with f degrees of freedom has the mean digamma(f/2) - log(f/2) above that of
    the true one, and the variance 2/f or so.
    """
    freedom = np.array([max(each.size - 1, 0) for each in samples])
    known = freedom > 0
    half = freedom[known] / 2
    logs = np.log([max(float(np.var(each, ddof=1)), 1e-300) for each in samples if each.size > 1])
    fitted = np.polyfit(x[known], logs - (digamma(half) - np.log(half)), 1, w=np.sqrt(half))
    return np.exp(np.polyval(fitted, x))


def share(successes: int, trials: int) -> Estimate:
    """A share of successes, its interval by Clopper and Pearson."""
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(successes, trials - successes + 1, tail)) if successes > 0 else 0.0
    high = float(betaincinv(successes + 1, trials - successes, 1 - tail)) if successes < trials else 1.0
    return Estimate(successes / trials, low, high)

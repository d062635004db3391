"""When each mode did what: crossed the threshold, left its saddle, converged (docs/theory.md, "Observables").

A time is that of the last passing of a level, between two moments at which the singular values are known. Each level
has a height, 0 at the passing, that is about linear in time in theory; between moments it is the cubic through the four
around. So a mode that dips below a level between two moments, and is above it at both, has its time too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import mul
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating]
T = TypeVar("T", float, Array)

WITHIN = 0.05  # of its target is a mode that has converged
_PARTS = 8  # of an interval between two moments, within which heights are linear
_FAR = 10.0  # heights above do not matter
_TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class ModeTimes:
    """When the k signal modes did what; nan where they never did."""

    crossing: Array  # s_i passes c for good; 0 where it is always above
    escape: Array  # s_i passes s_i(Y)/2 for good
    convergence: Array  # the last time that s_i is off s_i(Y) by more than 5 %


def mode_times(time: Array, singular_values: Array, target: Array, c: float) -> ModeTimes:
    """All three of every mode.

    time (n,) and singular_values (n, r) as known, target (r,) or more: the singular values S of Y.
    """
    s = np.asarray(singular_values, np.float64)
    S = np.asarray(target, np.float64)[: s.shape[1]]
    crossing, escape, lower, upper = np.split(_last_passing(time, np.hstack([each(s, S, c) for each in HEIGHTS])), 4)
    return ModeTimes(crossing, escape, np.maximum(lower, upper))


def crossing_times(time: Array, singular_values: Array, c: float) -> Array:
    """When each mode becomes active for good, s_i > c: 0 where it always is, nan where it is not at the end.

    time (n,) and singular_values (n, r) as recorded; returns (r,).
    """
    s = np.asarray(singular_values, np.float64)
    return _last_passing(time, _crossing_height(s, s, c))


def convergence_times(time: Array, singular_values: Array, target: Array) -> Array:
    """After the last time that |s_i - S_i| > 0.05 S_i: 0 where it never is, nan where it is so at the end.

    time (n,), singular_values (n, r) as recorded, target (r,): their singular values S of Y; returns (r,).
    """
    s = np.asarray(singular_values, np.float64)
    ends = (_last_passing(time, height(s, target, 0.0)) for height in (_lower_height, _upper_height))
    return np.maximum(*ends)


def extrapolated_convergence_times(time: Array, singular_values: Array, target: Array) -> Array:
    """`convergence_times`, of modes that are within 10 % at the end with what is left of the way.

    A run may end before its bulk is within 5 %. Modes arrive exponentially: log |s - S| goes on as between the last two
    moments.
    """
    found = convergence_times(time, singular_values, target)
    if len(time) < 2 or not time[-1] > time[-2]:
        return found
    before, last = np.abs(np.asarray(singular_values[-2:], np.float64) - target)
    near = (WITHIN * target < last) & (last <= 2 * WITHIN * target) & (last < before)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.log(last / (WITHIN * target)) * (time[-1] - time[-2]) / np.log(before / last)
    return np.where(near, time[-1] + left, found)


def median_time(times: Array, multiplicity: ArrayLike = 1.0) -> float | None:
    """Median over modes of the times (n,), nan being never, at infinity; None where half of the modes or more never do.

    An entry stands for `multiplicity` equal modes. The mean of two where exactly half of the modes come before.
    """
    if times.size == 0:
        return None
    order = np.argsort(times, kind="stable")  # nan comes last
    sorted_times = np.where(np.isnan(times), np.inf, times)[order]
    modes = np.cumsum(np.broadcast_to(multiplicity, times.shape)[order])
    lower, upper = (np.searchsorted(modes, modes[-1] / 2, side) for side in ("left", "right"))
    middle = float(sorted_times[lower] + sorted_times[upper]) / 2
    return middle if np.isfinite(middle) else None


def learning_order(convergence_times: Array, rank: float, multiplicity: ArrayLike = 1.0) -> float | None:
    """Median convergence time of the bulk over that of the k leading modes: 1 where lazy, large where balanced.

    convergence_times (n,), in the order of the singular values of Y, nan where never; an entry stands for
    `multiplicity` equal modes, and the k leading modes are whole entries. None without a bulk, where half of either or
    more never converge, and where the signal is there from the start. It tells of the path, where the criteria of
    active tell of the end.
    """
    count = np.broadcast_to(np.asarray(multiplicity, np.float64), convergence_times.shape)
    leading = np.cumsum(count) - count / 2 < rank
    signal = median_time(convergence_times[leading], count[leading])
    bulk = median_time(convergence_times[~leading], count[~leading])
    return bulk / signal if signal and bulk is not None else None


def _crossing_height(s: Array, S: Array, c: float) -> Array:
    """asinh(s/c) - asinh(1).

    In theory it moves at the rate 2 (S - s): constant for s << S, below c, where s itself is linear in time, and above,
    where log s is. At c = 0 nothing is below.
    """
    if c == 0:
        return np.where(s > 0, _FAR, -_FAR)
    return np.asarray(np.arcsinh(s / c) - np.arcsinh(1.0))


def _escape_height(s: Array, S: Array, c: float) -> Array:
    """log((p + c^2/P)/(P - p)), p = s + sqrt(s^2 + c^2) and P its value at S, less what it is at S/2.

    In theory it is linear in time, lazy or active (docs/theory.md, "One mode").
    """
    P = S + np.hypot(S, c)

    def progress(s: Array) -> Array:
        p = s + np.hypot(s, c)
        height: Array = np.log((p + c * (c / P)) / np.maximum(P - p, 1e-3 * P))  # s may exceed S
        return height

    return progress(s) - progress(S / 2)


def _lower_height(s: Array, S: Array, c: float) -> Array:
    """asinh((s - S)/(0.05 S)) + asinh(1): modes arrive exponentially, from below."""
    return np.asarray(np.arcsinh((s - S) / np.maximum(WITHIN * S, _TINY)) + np.arcsinh(1.0))


def _upper_height(s: Array, S: Array, c: float) -> Array:
    """asinh((S - s)/(0.05 S)) + asinh(1): or from above."""
    return np.asarray(np.arcsinh((S - s) / np.maximum(WITHIN * S, _TINY)) + np.arcsinh(1.0))


# How far singular values s (..., r) are on the right side of c, of half of their targets S, and of the two ends of the
# band of 5 % around these: 0 on it, positive where they ought to be at the end.
HEIGHTS: tuple[Callable[[Array, Array, float], Array], ...] = (
    _crossing_height,
    _escape_height,
    _lower_height,
    _upper_height,
)


def _last_passing(time: Array, height: Array) -> Array:
    """When each column of heights (n, r) rises above 0 for good: 0 if always above, nan if not at last."""
    apart = np.append(np.diff(time) > 0, True)  # a step that rounding loses in time leaves no interval
    time, height = time[apart], np.minimum(height[apart], _FAR)
    fine_time, fine = between_moments(time, height)
    n, modes = fine.shape
    columns = np.arange(modes)
    above = fine > 0
    last = n - 1 - np.argmax(~above[::-1], axis=0)  # the last place that is not above, where there is one
    after = np.minimum(last + 1, n - 1)
    low, high = fine[last, columns], fine[after, columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.clip(low / (low - high), 0, 1)
    passing = fine_time[last] + share * (fine_time[after] - fine_time[last])
    return np.where(above.all(axis=0), 0.0, np.where(above[-1], passing, np.nan))


def between_moments(time: Array, height: Array) -> tuple[Array, Array]:
    """Heights (n, r) at ascending times (n,), and at _PARTS - 1 places evenly within each interval.

    There they are those of the cubic through the four moments around, as far as it strays from the straight line by no
    more than the heights change in the interval, or in both beside it. Returns (_PARTS (n - 1) + 1,) times and as many
    heights.
    """
    n = len(time)
    if n == 1:
        return time, height
    around = min(4, n)
    window = np.clip(np.arange(n - 1) - 1, 0, n - around)[:, None] + np.arange(around)
    share = np.arange(_PARTS) / _PARTS
    x = time[:-1, None] + share * np.diff(time)[:, None]  # (n - 1, _PARTS)
    nodes = list(time[window].T[..., None])
    cubic = np.stack(lagrange_weights(nodes, x), axis=-1) @ height[window]  # (n - 1, _PARTS, r)
    straight = height[:-1, None] + share[:, None] * np.diff(height, axis=0)[:, None]
    change = np.abs(np.diff(height, axis=0))
    beside = np.pad(change, ((1, 1), (0, 0)))
    most = np.maximum(change, np.minimum(beside[:-2], beside[2:]))[:, None]
    fine = straight + np.clip(cubic - straight, -most, most)
    fine[:, 0] = height[:-1]
    fine = fine.reshape((n - 1) * _PARTS, height.shape[1])
    return np.append(x.ravel(), time[-1]), np.concatenate([fine, height[-1:]])


def lagrange_weights(nodes: Sequence[T], x: T) -> list[T]:
    """Weight of the value at each of some nodes in the polynomial through them at x; numbers, or arrays of them."""
    weights: list[T] = []
    for i, node in enumerate(nodes):
        factors: list[T] = [(x - other) / (node - other) for j, other in enumerate(nodes) if j != i]
        weights.append(reduce(mul, factors))
    return weights

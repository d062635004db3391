"""The phase diagram at any dimension: the modes of the target by random-matrix theory, no matrix drawn.

Source: docs/theory.md, "Any dimension".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import asin, exp, log, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError
from linphase.theory.baselines import Baselines, baselines
from linphase.theory.boundaries import balanced_threshold, lazy_threshold, signal_singular_value
from linphase.theory.cell import Prediction, predict_modes
from linphase.theory.mode import TargetModes, mode_time, modes_from_zero
from linphase.theory.roots import roots

Array = NDArray[np.floating]

# Nodes of the bulk's law. More move no number of a cell by more than rounding, but for the final time at c far below
# the bulk, where its slowest modes fill few nodes: by 1e-4 at c = d^-0.5 and d = 1e15.
_NODES = 128


@dataclass(frozen=True)
class TypicalTask:
    """A square task Y = A* + E as random-matrix theory has it for large d, of d from 2 to 1e15.

    k signal modes of one singular value s = sqrt(signal_norm) d/sqrt(k) stand in Y at S = s + noise^2 d/s, with
    singular vectors for which u^T A* v = s (1 - noise^2 d/s^2); up to s = noise sqrt(d) they drown, at the edge
    2 noise sqrt(d) and without overlap (Benaych-Georges & Nadakuditi 2012). The other d - k modes are the bulk: noise
    by the quarter circle law on [0, 2 noise sqrt(d - k)], none where the noise is 0.
    Raises LinphaseError unless 1 <= k <= d, 2 <= d <= 1e15, noise >= 0 and signal_norm > 0, all of them finite.
    """

    dimension: float
    rank: float
    noise: float = 1.0
    signal_norm: float | None = None  # ||A*||_F^2/d^2; 1 as drawn (None)

    def __post_init__(self) -> None:
        norm = self.strength
        for name, value, holds, required in (
            ("dimension", self.dimension, 2 <= self.dimension <= 1e15, "from 2 to 1e15"),
            ("rank", self.rank, 1 <= self.rank <= self.dimension, f"from 1 to the dimension {self.dimension:g}"),
            ("noise", self.noise, 0 <= self.noise <= 1e9, "from 0 to 1e9"),
            ("signal_norm", norm, 1e-18 <= norm <= 1e18, "from 1e-18 to 1e18"),
        ):
            if not holds:
                raise LinphaseError(f"task: {name} must be a number {required}, found {value}")
        least = 1e-14 * sqrt(norm * self.dimension)
        if 0 < self.noise < least:
            raise LinphaseError(
                f"task: noise must be 0 or at least {least:.2g} at dimension {self.dimension:g}, found {self.noise}: "
                "less is lost in the rounding of the signal"
            )

    @property
    def strength(self) -> float:
        """||A*||_F^2/d^2, the test error of A = 0."""
        return 1.0 if self.signal_norm is None else self.signal_norm

    @property
    def signal_value(self) -> float:
        """S, the singular value of Y for a signal mode."""
        return lazy_threshold(self._signal, self.noise, self.dimension, self.dimension)

    @property
    def bulk_edge(self) -> float:
        """The largest singular value of the bulk in Y; 0 without one."""
        return 2 * self.noise * sqrt(self.dimension - self.rank)

    @property
    def bulk_median(self) -> float:
        """The singular value of Y above which half of the bulk lies; nan without a bulk."""
        d = self.dimension
        return float(balanced_threshold(d, self.rank, self.noise, d, d)) if self.bulk_edge > 0 else float("nan")

    @cached_property
    def modes(self) -> TargetModes:
        """The target as its modes: one entry for the signal, the nodes of a quadrature for the bulk."""
        return self.modes_by(_NODES)

    @cached_property
    def baselines(self) -> Baselines:
        """What the smallest test error is to be held against."""
        return baselines(self.modes, self.noise, (self.dimension, self.dimension))

    def modes_by(self, nodes: int) -> TargetModes:
        """The same with `nodes` nodes for the bulk."""
        d, k, s = self.dimension, self.rank, self._signal
        lost = min((self.noise / s) ** 2 * d, 1.0)  # 1 - overlap/s
        overlap = s * (1 - lost)
        values, shares = self._bulk(nodes) if self.bulk_edge > 0 else (np.zeros(0), np.zeros(0))
        return TargetModes(
            values=np.concatenate([[self.signal_value], values]),
            overlaps=np.concatenate([[overlap], np.zeros_like(values)]),
            multiplicity=np.concatenate([[k], (d - k) * shares]),
            unseen=self.strength * lost * (2 - lost),  # k (s^2 - overlap^2)/d^2
            floor=0.0,
            size=d**2,
        )

    def bulk_share_above(self, value: float) -> float:
        """Share of the bulk whose singular values in Y are larger."""
        x = asin(min(max(value / self.bulk_edge, 0.0), 1.0))
        return 1 - (2 * x + sin(2 * x)) / pi

    @property
    def _signal(self) -> float:
        return signal_singular_value(self.rank, self.signal_norm, self.dimension, self.dimension)

    def _bulk(self, nodes: int) -> tuple[Array, Array]:
        """Singular values, descending, and what share of the bulk each stands for.

        With s = edge sin x the law is 4 cos^2 x dx/pi on [0, pi/2], where all that is summed is smooth in x.
        """
        x, weight = _legendre(nodes)
        return self.bulk_edge * np.sin(x), 4 / pi * np.cos(x) ** 2 * weight


@lru_cache(maxsize=8)
def _legendre(nodes: int) -> tuple[Array, Array]:
    """Nodes, descending, and weights of Gauss-Legendre quadrature on [0, pi/2]."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    return (x[::-1] + 1) * pi / 4, weight[::-1] * pi / 4


# ------------------------------------------------------------------------------------------------------- a cell


@dataclass(frozen=True)
class AsymptoticCell:
    """What equation (1) from A = 0 makes of a typical task at infinite width and c = d^(gamma_sigma2 + gamma_w)."""

    dimension: float
    gamma_sum: float  # gamma_sigma2 + gamma_w
    threshold: float  # c
    min_test_error: float
    time_at_min: float
    stable_rank_at_min: float
    optimal_error: float
    lazy_error: float
    balanced_error: float
    benefit: float | None  # None where lazy training is not worse than optimal shrinkage
    learning_order: float | None  # None without a bulk
    signal_active: float  # share of modes with s > c at the end, as the next
    bulk_active: float | None  # None without a bulk
    final_time: float  # where the train error is 1e-3 of the noise's, or of ||A*||_F^2/d^2 without noise


def asymptotic_cell(task: TypicalTask, gamma_sum: float) -> AsymptoticCell:
    """The cells of a typical task on the line gamma_sigma2 + gamma_w = gamma_sum; some milliseconds.

    Raises LinphaseError unless -3 <= gamma_sum <= 3.
    """
    if not -3 <= gamma_sum <= 3:
        raise LinphaseError(f"cell: gamma_sigma2 + gamma_w must be a number from -3 to 3, found {gamma_sum}")
    c = task.dimension**gamma_sum
    predicted = _predict(task, c)
    s, m = predicted.singular_values_at_min, task.modes.multiplicity
    errors = task.baselines
    return AsymptoticCell(
        dimension=task.dimension,
        gamma_sum=gamma_sum,
        threshold=c,
        min_test_error=predicted.min_test_error,
        time_at_min=predicted.time_at_min,
        stable_rank_at_min=float(np.sum(m * (s / s[0]) ** 2)) if s[0] > 0 else 0.0,
        optimal_error=errors.optimal,
        lazy_error=errors.lazy,
        balanced_error=errors.balanced,
        benefit=errors.benefit(predicted.min_test_error),
        learning_order=_learning_order(task, c) if task.bulk_edge > 0 else None,
        signal_active=float(predicted.singular_values[0] > c),
        bulk_active=_bulk_active(task, c, predicted.final_time),
        final_time=predicted.final_time,
    )


def local_slope(
    task: TypicalTask, gamma_sum: float, number: Callable[[AsymptoticCell], float | None] | None = None
) -> float:
    """d log(number)/d log d at the task's d, c = d^gamma_sum moving with it; a central difference.

    number: what of a cell; by default its smallest test error. nan where that is not there or not above 0.
    """
    d, step = task.dimension, 1.02
    low, high = max(d / step, task.rank, 2.0), min(d * step, 1e15)
    tasks = [replace(task, dimension=each) for each in (low, high)]
    if number is None:
        before, after = (_predict(each, each.dimension**gamma_sum).min_test_error for each in tasks)
    else:
        before, after = (number(asymptotic_cell(each, gamma_sum)) or 0.0 for each in tasks)
    return log(after / before) / log(high / low) if before > 0 and after > 0 else float("nan")


def _predict(task: TypicalTask, c: float) -> Prediction:
    """The cell at c, taken to the default train error of the stop rule `converged`."""
    return predict_modes(task.modes, c, 1e-3 * (task.noise**2 or task.strength))


def _learning_order(task: TypicalTask, c: float) -> float:
    """When the bulk's median mode comes to 0.95 of its target, over when a signal mode does."""
    S = np.array([task.bulk_median, task.signal_value])
    bulk, signal = mode_time(0.95 * S, 0.0, S, c).tolist()
    return float(bulk / signal)


def _bulk_active(task: TypicalTask, c: float, time: float) -> float | None:
    """Share of the bulk with s > c at a time: those beyond the target whose mode is at c just then."""
    edge = task.bulk_edge
    if not edge > 0:
        return None

    def above(target: Array) -> Array:
        return np.asarray(modes_from_zero(time, target, c) - c)

    if c >= edge or above(np.array([edge]))[0] <= 0:
        return 0.0
    return task.bulk_share_above(float(roots(above, np.array([c]), np.array([edge]))[0]))


# -------------------------------------------------------------------------------- where behaviour changes, in c


def learning_order_threshold(task: TypicalTask, order: float = 2.0) -> float:
    """The c at which the learning order, 1 when lazy, is `order`; nan where it is nowhere, as without a bulk.

    It rises as c falls, towards S/S_b by 1/log c, S the signal's singular value in Y and S_b the bulk's median.
    """
    if not task.bulk_edge > 0:
        return float("nan")

    def excess(log_c: Array) -> Array:
        return np.array([_learning_order(task, exp(each)) for each in log_c]) - order

    return _threshold(excess, np.log([task.bulk_median * 1e-30]), np.log([task.signal_value * 1e6]))


def benefit_threshold(task: TypicalTask, benefit: float = 0.5) -> float:
    """The largest c at which the benefit, 1 when lazy, is `benefit`; nan where there is none."""
    target, errors = task.modes, task.baselines
    if errors.benefit(errors.lazy) is None:
        return float("nan")

    def excess(log_c: Array) -> Array:
        found = [errors.benefit(_predict(task, exp(each)).min_test_error) for each in log_c]
        return np.array(found, np.float64) - benefit

    high = np.log(target.values[:1] * 1e4)
    lowest = np.log(1e-4 * (task.bulk_median if task.bulk_edge > 0 else task.signal_value))
    step = log(4)
    while high[0] > lowest:
        low = high - step
        if excess(low)[0] < 0:
            return _threshold(excess, low, high)
        high = low
    return float("nan")


def _threshold(excess: Callable[[Array], Array], low: Array, high: Array) -> float:
    """exp of the zero of a function of log c between low, where it is positive or negative, and high."""
    if not excess(low)[0] * excess(high)[0] < 0:
        return float("nan")
    return float(np.exp(roots(excess, low, high)[0]))

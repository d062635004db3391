"""Closed forms: where the boundaries of the phase diagram lie.

c = sigma2 * width is the threshold for singular values. The network A = W2 W1 is (d_out, d_in), the target is
Y = A* + E, with A* of rank k and ||A*||_F^2 = signal_norm * d_out * d_in, and entries N(0, noise^2) of E.
Exponents are to the base d = sqrt(d_out d_in).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, hypot, log, prod, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from linphase.model.draws import TaskConfig, draw_task

Array = NDArray[np.float64]

MIXED_LAZY = "mixed | lazy"
MIXED_BALANCED = "mixed | balanced"
INFINITE_NOISE = "infinite noise"
UNDERPARAMETERIZED = "underparameterized"


# ----------------------------------------------------------------------------------- thresholds at finite d


def signal_singular_value(rank: float, signal_norm: float | None, d_out: float, d_in: float) -> float:
    """Typical singular value of A*: sqrt(signal_norm d_out d_in/k); signal_norm is 1 as drawn (None)."""
    return sqrt((1.0 if signal_norm is None else signal_norm) * d_out * d_in / rank)


def middle_signal_value(rank: int, signal_norm: float | None, d_out: int, d_in: int) -> float:
    """Geometric mean of the k singular values of A*, of draws; their median within 1.2 % for k <= d/8 and d >= 32.

    The squares of the determinants of the two factors of A* are products of chi2 variables with d - i degrees of
    freedom, so that the mean of log s is the mean over i = 0 .. k-1 of (psi((d_out - i)/2) + psi((d_in - i)/2))/2 +
    log 2, less log(k)/2: about sqrt(d_out d_in/k) (1 - (k + 1)/(2 d)). Where signal_norm is given, the norm of a draw
    does not fluctuate, which adds (1/d_out + 1/d_in)/(2 k) to first order.
    """
    i = np.arange(rank)
    drawn = float(np.mean(digamma((d_out - i) / 2) + digamma((d_in - i) / 2))) / 2 + log(2) - log(rank) / 2
    if signal_norm is None:
        return exp(drawn)
    return sqrt(signal_norm) * exp(drawn + (1 / d_out + 1 / d_in) / (2 * rank))


def signal_spread(rank: int, d_out: int, d_in: int) -> tuple[float, float]:
    """Mean smallest and largest of the k signal singular values of one draw, relative to the typical one.

    1 -+ 1.05 sqrt(k/d): 0.83 and 1.17 at d = 200, k = 5. Fitted to draws, within 0.05 of them for 4 <= k <=
    d/16; at k = 1 it is about the standard deviation between draws.
    """
    spread = 1.05 * sqrt(rank * (1 / d_out + 1 / d_in) / 2)
    return max(1 - spread, 0.1), 1 + spread


def lazy_threshold(signal: float, noise: float, d_out: float, d_in: float) -> float:
    """Threshold c at which a signal mode turns from active to lazy: its singular value in Y = A* + E.

    sqrt((s^2 + noise^2 d_out)(s^2 + noise^2 d_in))/s for a singular value s of A* above noise (d_out
    d_in)^(1/4); below, the signal drowns in the noise, whose edge noise (sqrt(d_out) + sqrt(d_in)) remains
    (Benaych-Georges & Nadakuditi 2012). Square: s + noise^2 d/s.
    """
    if signal > noise * (d_out * d_in) ** 0.25:
        return hypot(signal, noise * sqrt(d_out)) * hypot(signal, noise * sqrt(d_in)) / signal
    return noise * (sqrt(d_out) + sqrt(d_in))


def balanced_threshold(width: ArrayLike, rank: float, noise: float, d_out: float, d_in: float) -> Array:
    """Threshold c below which more than half of the bulk modes that the width can hold are active.

    The signal takes k modes, so the bulk of Y is that of a (d_out - k, d_in - k) matrix of noise: it follows the
    Marchenko-Pastur law, s^2 = noise^2 N (1 + beta - 2 sqrt(beta) cos x) with n = min, N = max of (d_out - k, d_in -
    k), beta = n/N, and the network fits the min(width - k, n) largest of its n values. Square and width >= d: 0.808
    noise sqrt(d - k). Against draws right to 3 % for k <= d/8 and d >= 32; 23 % too high at k = d/2. width may be
    real; nan for width <= k (no bulk) and for k >= min(d_out, d_in).
    """
    small, large = min(d_out, d_in) - rank, max(d_out, d_in) - rank
    held = np.minimum(np.asarray(width, dtype=np.float64) - rank, small)
    if small <= 0:
        return np.full(held.shape, np.nan)
    b = sqrt(small / large)
    angle = _bulk_angle(1 - np.clip(held, 0, None) / (2 * small), b)
    threshold = noise * np.sqrt(large * (1 + b * b - 2 * b * np.cos(angle)))
    return np.where(held > 0, threshold, np.nan)


def _bulk_angle(share: ArrayLike, b: float) -> Array:
    """Angle below which a share of the Marchenko-Pastur law lies, `_bulk_share` inverted; b = sqrt(beta)."""
    share = np.asarray(share, dtype=np.float64)
    low, high = np.zeros_like(share), np.full_like(share, np.pi)
    for _ in range(60):  # bisection: the share rises with the angle
        middle = (low + high) / 2
        below = _bulk_share(middle, b) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def _bulk_share(angle: Array, b: float) -> Array:
    """Integral from 0 to angle of 2 sin^2 x/(pi (1 + b^2 - 2 b cos x)) dx, in closed form."""
    if b < 1e-3:  # the closed form cancels; to first order in b the integrand is 2 sin^2 x (1 + 2 b cos x)/pi
        return (angle - np.sin(2 * angle) / 2 + 4 * b * np.sin(angle) ** 3 / 3) / np.pi
    turn = np.arctan2((1 + b) * np.sin(angle / 2), (1 - b) * np.cos(angle / 2))
    return (b * np.sin(angle) + (1 + b * b) * angle / 2 - (1 - b * b) * turn) / (np.pi * b * b)


# ------------------------------------------------------------------------------- lines of the phase diagram


@dataclass(frozen=True)
class Boundary:
    """A line of the phase diagram; points where gamma_sigma2 is nan are not on it."""

    name: str  # MIXED_LAZY, MIXED_BALANCED, INFINITE_NOISE or UNDERPARAMETERIZED
    asymptotic: bool  # the limit of large d, else at the task's own
    gamma_w: Array  # (n,)
    gamma_sigma2: Array  # (n,); spans -inf, inf for UNDERPARAMETERIZED, which is a width alone
    band: tuple[Array, Array] | None = None  # gamma_sigma2 of its edges
    band_is: str = "spread of one draw"  # what its band is

    @property
    def kind(self) -> str:
        """The same in words."""
        return "asymptotic" if self.asymptotic else "finite d"

    def beyond(self, gamma_sigma2: Array) -> Array:
        """How far starts (n,) at the line's own gamma_w lie beyond it: 0 on it, of one sign on either side.

        In gamma_sigma2, or in gamma_w for UNDERPARAMETERIZED. Between two regimes it is log(c/c_boundary)/log d.
        """
        return np.asarray(gamma_sigma2 - self.gamma_sigma2)


def boundaries(
    shape: tuple[int, int], rank: int, noise: float, signal_norm: float | None, gamma_w: ArrayLike
) -> list[Boundary]:
    """The boundaries of the phase diagram of a task (d_out, d_in), as gamma_sigma2 at each of the given gamma_w.

    mixed | lazy: c at the middle one of the signal's singular values, asymptotically gamma_sigma2 + gamma_w = 1.
    mixed | balanced: c at the bulk's median, asymptotically gamma_sigma2 + gamma_w = 1/2; none without
    noise or, at rank = min(d_out, d_in), without a bulk.
    infinite noise: sigma2^2 width = signal_norm, where the start alone is as wrong as A = 0; asymptotically
    2 gamma_sigma2 + gamma_w = 0.
    underparameterized: width = rank, at finite d only; the two lines between regimes end there.

    width = d^gamma_w is not truncated here, which keeps the lines smooth. There are no lines at d = 1,
    where all exponents mean the same.
    """
    if prod(shape) == 1:
        return []
    gamma_w = np.asarray(gamma_w, dtype=np.float64)
    base = log(prod(shape)) / 2
    has_regime = gamma_w >= log(rank) / base

    def at(threshold: ArrayLike) -> Array:  # sigma2 = c/width
        return np.where(has_regime, np.log(threshold) / base - gamma_w, np.nan)

    signal = signal_singular_value(rank, signal_norm, *shape)
    low, high = (lazy_threshold(signal * edge, noise, *shape) for edge in signal_spread(rank, *shape))
    lines = [
        Boundary(
            MIXED_LAZY,
            False,
            gamma_w,
            at(lazy_threshold(middle_signal_value(rank, signal_norm, *shape), noise, *shape)),
            (at(low), at(high)),
        ),
        Boundary(MIXED_LAZY, True, gamma_w, 1 - gamma_w),
    ]
    if noise > 0 and rank < min(shape):
        width = np.exp(np.minimum(gamma_w * base, 700.0))
        lines += [
            Boundary(
                MIXED_BALANCED,
                False,
                gamma_w,
                at(balanced_threshold(width, rank, noise, *shape)),
            ),
            Boundary(MIXED_BALANCED, True, gamma_w, 0.5 - gamma_w),
        ]
    scale = 0.0 if signal_norm is None else log(signal_norm) / base
    return [
        *lines,
        Boundary(INFINITE_NOISE, False, gamma_w, (scale - gamma_w) / 2),
        Boundary(INFINITE_NOISE, True, gamma_w, -gamma_w / 2),
        Boundary(
            UNDERPARAMETERIZED,
            False,
            np.full(2, log(rank) / base),
            np.array([-np.inf, np.inf]),
        ),
    ]


def boundaries_of_task(task: TaskConfig, gamma_w: ArrayLike, seed: int = 0) -> list[Boundary]:
    """The boundaries of the phase diagram of a task: closed forms where it is isotropic, else those of its values.

    gamma_w: where they are asked for, to the base d = sqrt(d_out d_in). seed: the root of the draw whose values count,
    that of replicate 0; a target of one's own has no other.
    """
    if task.isotropic:
        return boundaries(task.shape, task.rank, task.noise, task.signal_norm, gamma_w)
    return boundaries_of_values(*_values(task, seed), task.rank, task.noise, task.scale, gamma_w)


def typical_signal_value(task: TaskConfig, seed: int = 0) -> float:
    """The signal's typical singular value: that of `signal_singular_value` or, not isotropic, the median of the k
    leading ones of what is fitted; the largest where no rank is known.
    """
    if task.isotropic:
        return signal_singular_value(task.rank, task.signal_norm, *task.shape)
    S, _ = _values(task, seed)
    return float(np.median(S[: max(task.rank, 1)]))


@lru_cache(maxsize=1024)
def _values(task: TaskConfig, seed: int) -> tuple[Array, float]:
    """The singular values of the least-squares solution, and the test error of A = 0."""
    drawn = draw_task(task, seed=seed)
    return drawn.solution_svd[1][: drawn.modes].astype(np.float64), drawn.signal_strength


def boundaries_of_values(
    S: Array, strength: float, rank: int, noise: float, scale: float, gamma_w: ArrayLike
) -> list[Boundary]:
    """The boundaries of a task by the singular values S of what is fitted, as gamma_sigma2 at each gamma_w.

    mixed | lazy: c at the median of the k leading S_i; its band reaches from S_k to S_1. mixed | balanced: c at the
    median of those of the others that the width holds, none without noise. infinite noise: sigma2^2 width = strength,
    the test error of A = 0. Where no rank is known (0) the lines are those of c = S_i, i = 1, 2, 4, 8, ...: below one
    of them i modes are active at the end. scale: d.
    """
    gamma_w = np.asarray(gamma_w, dtype=np.float64)
    base, k = log(scale), rank
    width = np.floor(np.exp(np.minimum(gamma_w * base, 700.0)) + 1e-9)

    def at(name: str, threshold: ArrayLike, holds: ArrayLike, band: tuple[float, float] | None = None) -> Boundary:
        with np.errstate(divide="ignore"):
            gamma_sigma2, *edges = (
                np.where(holds, np.log(each) / base - gamma_w, np.nan) for each in (threshold, *(band or ()))
            )
        return Boundary(
            name, False, gamma_w, gamma_sigma2, (edges[0], edges[1]) if edges else None, "from $s_k$ to $s_1$"
        )

    beyond = Boundary(INFINITE_NOISE, False, gamma_w, (log(strength) / base - gamma_w) / 2)
    if k == 0:
        steps = 2 ** np.arange(int(np.log2(np.count_nonzero(S[0] * 1e-12 < S))) + 1)
        return [*(at(f"c = s_{i}", S[i - 1], width >= i) for i in steps.tolist()), beyond]
    lines = [at(MIXED_LAZY, np.median(S[:k]), width >= k, (S[:k][-1], S[0]))]
    if noise > 0 and k < len(S):
        held = np.minimum(width, len(S)).astype(int) - k
        medians = np.array([np.nan, *(np.median(S[k : k + n]) for n in range(1, len(S) - k + 1))])
        lines.append(at(MIXED_BALANCED, medians[np.maximum(held, 0)], held > 0))
    edge = Boundary(UNDERPARAMETERIZED, False, np.full(2, log(k) / base), np.array([-np.inf, np.inf]))
    return [*lines, beyond, edge]

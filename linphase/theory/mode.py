"""One mode of the self-consistent dynamics, and a target as its modes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from linphase.model.task import Task

Array = NDArray[np.floating]


def mode_value(t: ArrayLike, s0: ArrayLike, target: ArrayLike, c: ArrayLike) -> Array:
    """One mode of the self-consistent dynamics at time t.

    Solves ds/dt = 2 sqrt(s^2 + c^2) (target - s), s(0) = s0, for t >= 0 and c > 0; arguments broadcast.
    Substituting s = c sinh u gives a Riccati equation in e^u; the form used here loses no digits for c from
    1e-14 to 1e12 and s0, target >= 0. c -> 0 is the logistic curve of Saxe et al. 2014, c >> target the
    exponential of rate 2c. Starting from A = 0, each mode of the matrix equation (Tu et al. 2024, eq. 1) is
    this curve.
    """
    t, s0, target, c = _floats(t, s0, target, c)
    mode = _riccati(s0, target, c)
    decay, done = np.exp(-mode.rate * t), -np.expm1(-mode.rate * t)
    scale = done + mode.rest * decay
    growth = mode.gain * done / scale  # p/p0 - 1
    lag = -mode.amplitude * decay * (1 + mode.bend / mode.share) / scale  # p/P - 1
    # Count from the nearer end of the curve: that one keeps the digits.
    from_start = (lag <= -0.5) | ((growth > -0.5) & (np.abs(growth) <= np.abs(lag)))
    origin = np.arcsinh(np.where(from_start, s0, target) / c)
    s = c * np.sinh(origin + np.log1p(np.where(from_start, growth, lag)))
    # Rounding must not carry it past the target.
    return np.asarray(np.clip(s, np.minimum(s0, target), np.maximum(s0, target)))


def mode_time(s: ArrayLike, s0: ArrayLike, target: ArrayLike, c: ArrayLike) -> Array:
    """Time at which a mode of the self-consistent dynamics reaches s: the inverse of `mode_value`.

    nan where it never does (s not between s0 and target), inf at the target itself; arguments broadcast. For c above
    1e-90 of |s0| where s0 is negative.
    """
    s, s0, target, c = _floats(s, s0, target, c)
    start, now = _riccati(s0, target, c), _riccati(s, target, c)
    growth = _growth(s, s0, c)
    with np.errstate(divide="ignore", invalid="ignore"):
        done = growth * start.rest / (start.gain + growth * start.amplitude)  # 1 - e^(-rate t)
        # Early the first form keeps the digits of s - s0, late the second those of target - s.
        late = np.log(start.amplitude / now.amplitude)
        t = np.where(done < 0.5, -np.log1p(-np.minimum(done, 0.5)), late) / start.rate
    reached = (np.minimum(s0, target) <= s) & (s <= np.maximum(s0, target))
    return np.where(reached, np.where(s == s0, 0.0, np.where(s == target, np.inf, t)), np.nan)


@dataclass(frozen=True)
class _Riccati:
    """One mode in p = c e^u = s + sqrt(s^2 + c^2), which moves from p0 to P."""

    rate: Array  # 2 sqrt(target^2 + c^2)
    p0: Array
    share: Array  # P/p0
    gain: Array  # P/p0 - 1
    bend: Array  # c^2/(p0 P)
    amplitude: Array  # of what decays as exp(-rate t): gain/(1 + bend)
    rest: Array  # 1 + amplitude


def _riccati(s0: Array, target: Array, c: Array) -> _Riccati:
    r0, R = np.hypot(s0, c), np.hypot(target, c)
    p0, P = _plus_hypot(s0, c, r0), _plus_hypot(target, c, R)
    gain = _growth(target, s0, c)
    bend = (c / p0) * (c / P)
    rest = (P / p0 + bend) / (1 + bend)
    return _Riccati(2 * R, p0, P / p0, gain, bend, gain / (1 + bend), rest)


def _growth(s: Array, s0: Array, c: Array) -> Array:
    """p/p0 - 1 with p = s + sqrt(s^2 + c^2), in the one of two forms in which nothing cancels."""
    r, r0 = np.hypot(s, c), np.hypot(s0, c)
    tilt = (s + s0) / (r + r0)
    upper = (s - s0) * (1 + tilt) / _plus_hypot(s0, c, r0)
    lower = (s - s0) * (1 - tilt) / _plus_hypot(-s, c, r)
    return np.asarray(np.where(tilt >= 0, upper, lower))


def _plus_hypot(s: Array, c: Array, r: Array) -> Array:
    """s + sqrt(s^2 + c^2) without cancellation, r being the root."""
    positive = np.maximum(s, 0) + r
    return np.where(s >= 0, positive, c * (c / (r - np.minimum(s, 0))))


def _floats(*values: ArrayLike) -> list[Array]:
    return [np.asarray(value, dtype=np.float64) for value in values]


def modes_from_zero(t: ArrayLike, targets: ArrayLike, c: float) -> Array:
    """Singular values of A(t) under equation (1) from A(0) = 0: those of Y are the targets, c > 0.

    With E = e^(2Rt) - 1, R = sqrt(S^2 + c^2) and x = g E/(E + 1 + K), g and K those of one mode from 0:
    s(t) = c sinh(log(1 + x)) = c x (2 + x)/(2 (1 + x)). It is `theory.mode_value` with s0 = 0, at a quarter of its
    cost, to 1e-13 relative for c from 1e-14 to 1e12. t (...) and targets (n,); returns (..., n).
    """
    S = np.asarray(targets, np.float64)
    R = np.hypot(S, c)
    g = S / c * (1 + S / (R + c))
    K = g / (1 + c / (S + R))
    # e^700 is all there is to wait for, and does not overflow.
    E = np.expm1(np.minimum(np.multiply.outer(np.asarray(t, np.float64), 2 * R), 700.0))
    x = g * (E / (E + (1 + K)))
    s: Array = np.minimum(c / 2 * x * (1 + 1 / (1 + x)), S)
    return s


@dataclass(frozen=True, eq=False)
class TargetModes:
    """The target Y = U diag(S) V^T as its modes see the signal A*: all that equation (1) from A = 0 depends on.

    There A(t) = U diag(s(t)) V^T, so with a_i = u_i^T A* v_i, N = d_out d_in,
    train error = (sum_i (s_i - S_i)^2 + sum over the modes left out of S_i^2)/N,
    test error = (||A*||_F^2 - 2 sum_i s_i a_i + sum_i s_i^2)/N.
    One of the n entries stands for m_i equal modes: for 1 of a drawn task, for what a node of a quadrature weighs in a
    law of modes. The sums are over modes, sum_i m_i (...).
    """

    values: Array  # (n,): S, descending
    overlaps: Array  # (n,): a
    multiplicity: Array  # (n,): m, any number above 0
    unseen: float  # (||A*||_F^2 - sum a_i^2)/N, the part of the test error that no s_i can change
    floor: float  # the train error of the modes left out
    size: float  # N

    @classmethod
    def of(cls, task: Task, width: int | None = None) -> "TargetModes":
        """The modes of a task, the leading `width` of them where a network cannot hold more."""
        U, S, V = task.solution_svd
        if task.signal is None:  # no test error is known
            overlaps, unseen = np.full_like(S[:width], np.nan), np.nan
        else:
            overlaps = np.sum(U * (task.signal @ V), axis=0)[:width]
            unseen = max(float(np.sum(task.signal**2) - np.sum(overlaps**2)), 0.0) / task.target.size
        floor = 0.0 if width is None else task.train_error_floor(width)
        return cls(S[:width], overlaps, np.ones_like(overlaps), unseen, floor, task.target.size)

    @property
    def count(self) -> float:
        """How many modes there are: sum_i m_i."""
        return float(np.sum(self.multiplicity))

    def excess(self, s: Array) -> Array:
        """Train error above its floor, for singular values s (..., n)."""
        error: Array = np.sum(self.multiplicity * (s - self.values) ** 2, axis=-1) / self.size
        return error

    def train_error(self, s: Array) -> Array:
        """||A - Y||_F^2/(d_out d_in), for singular values s (..., n)."""
        return self.floor + self.excess(s)

    def test_error(self, s: Array) -> Array:
        """||A - A*||_F^2/(d_out d_in), for singular values s (..., n)."""
        error: Array = self.unseen + np.sum(self.multiplicity * (s - self.overlaps) ** 2, axis=-1) / self.size
        return error

    def test_error_slope(self, s: Array, c: float) -> Array:
        """d(test error)/dt along equation (1), ds/dt = 2 sqrt(s^2 + c^2)(S - s), for singular values s (..., n)."""
        change = (s - self.overlaps) * np.hypot(s, c) * (self.values - s)
        slope: Array = 4 * np.sum(self.multiplicity * change, axis=-1) / self.size
        return slope

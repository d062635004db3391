"""The self-consistent dynamics in closed form: of the whole matrix from any start, of the modes from A = 0.

Equation (1) of Tu, Aranguri & Jacot 2024 (arXiv:2405.17580), with G = A - Y and the threshold c = sigma2 * width:

    dA/dt = -sqrt(A A^T + c^2 I) G - G sqrt(A^T A + c^2 I).

It is the gradient flow of a 2c-balanced network, W2^T W2 - W1 W1^T = 2c I, so the Riccati solution known for balanced
networks (Fukumizu 1998; Braun et al. 2022; Domine et al. 2024, arXiv:2409.14623) solves it: docs/theory.md derives
this. Nothing here steps through time, except `euler_step`, the paper's own iteration.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dgeqrf, dpotrf, dpotrs

from linphase.errors import LinphaseError
from linphase.model.network import Weights, balanced_weights
from linphase.model.task import Task

Array = NDArray[np.floating]


# ------------------------------------------------------------------------------------------ the matrix equation


def velocity(A: Array, Y: Array, c: float) -> Array:
    """dA/dt = -sqrt(A A^T + c^2 I)(A - Y) - (A - Y) sqrt(A^T A + c^2 I), the right-hand side of equation (1).

    A and Y are (d_out, d_in), c >= 0; returns (d_out, d_in).
    """
    return _velocity(A, A - Y, c)


def euler_step(A: Array, gradient: Array, c: float, learning_rate: float) -> Array:
    """A + learning_rate dA/dt, the paper's Euler iteration of equation (1); gradient = G, A - Y of white inputs.

    A and G are (d_out, d_in); one step costs one SVD and advances time by the learning rate.
    """
    return A + learning_rate * _velocity(A, gradient, c)


@dataclass(frozen=True, eq=False)
class EulerPath:
    """The Euler iteration of equation (1) at n of its steps; time = learning rate x step, r = min(d_out, d_in)."""

    time: Array  # (n,)
    step: NDArray[np.int64]  # (n,)
    train_error: Array  # (n,): ||A - Y||_F^2/(d_out d_in)
    test_error: Array  # (n,): ||A - A*||_F^2/(d_out d_in); nan where there is none
    singular_values: Array  # (n, r): s_i(A), descending


def euler_path(task: Task, start: Array, c: float, learning_rate: float, steps: NDArray[np.int64]) -> EulerPath:
    """Euler iteration of equation (1) from A = start (d_out, d_in), kept at the given ascending steps (n,).

    Where it explodes the path ends before. One step costs one SVD.
    """
    A: Array = np.asarray(start, np.float64)
    step, kept, deviation = 0, [], task.deviations(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for wanted in steps:
            while step < wanted and np.isfinite(A).all():
                gradient = task.loss_gradient(task.residual(A))
                A, step = euler_step(A, gradient, c, learning_rate), step + 1
            if not np.isfinite(A).all():
                break
            residual = task.residual(A)
            network = Weights(A, np.eye(len(A)))
            error = np.nan if deviation is None else task.test_error(deviation(residual, network))
            kept.append((task.train_error(residual), error, np.linalg.svd(A, compute_uv=False)))
    train_error, test_error, s = (np.array(each) for each in zip(*kept, strict=True))
    reached = np.asarray(steps[: len(kept)])
    return EulerPath(learning_rate * reached, reached, train_error, test_error, s)


def _velocity(A: Array, G: Array, c: float) -> Array:
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    # sqrt(A A^T + c^2 I) = c I + U diag(sqrt(s^2 + c^2) - c) U^T: a thin SVD is enough, and nothing cancels.
    r = np.hypot(s, c)
    above = s * np.divide(s, r + c, out=np.zeros_like(s), where=r > 0)
    slope: Array = -2 * c * G - (U * above) @ (U.T @ G) - ((G @ Vt.T) * above) @ Vt
    return slope


_SMALLEST_PIVOT = 1e-2


def balanced_network(A: Array, c: float) -> Weights:
    """The 2c-balanced network of width d_out with W2 W1 = A (d_out, d_in), whose gradient flow is equation (1).

    W2^T W2 - W1 W1^T = 2c I, c > 0; for any loss. Source: docs/theory.md, "It is the flow of a 2c-balanced network".
    """
    return balanced_weights(A, 2 * c, A.shape[0])


def wide_network(A: Array, a: float, b: float) -> Weights:
    """The network of width d_in + d_out that stands for a wide one whose C1 is a I and C2 is b I at A = 0.

    C1 = (a - b)/2 + sqrt(A^T A + c^2 I) and C2 = (b - a)/2 + sqrt(A A^T + c^2 I), c = (a + b)/2. Its flow is equation
    (1), and where the layers decay unequally that of the wide network still, which then hangs on a and b apart.
    A mode (u, s, v) is two neurons: with p = sqrt(b + R - c), R = sqrt(s^2 + c^2), one has W1 = s/p v^T and W2 = p u,
    the other W1 = sqrt(ab)/p v^T alone, as (C1)_vv (C2)_uu - s^2 = a b. A is (d_out, d_in); a or b may be 0.
    Source: docs/theory.md, "Weight decay".
    """
    if b < a:  # p divides: that of the larger layer
        mirrored = wide_network(A.T, b, a)
        return Weights(np.ascontiguousarray(mirrored.W2.T), np.ascontiguousarray(mirrored.W1.T))
    d_out, d_in = A.shape
    n, c = min(d_out, d_in), (a + b) / 2
    U, s, Vt = np.linalg.svd(A, full_matrices=True)
    p = np.sqrt(b + _pad(s * (s / (np.hypot(s, c) + c)), d_out, 0.0)[:d_out])
    W1, W2 = np.zeros((d_out + d_in, d_in)), np.zeros((d_out, d_out + d_in))
    W2[:, :d_out] = U * p
    W1[:n] = (s / p[:n])[:, None] * Vt[:n]
    W1[d_out:] = np.sqrt(a) * Vt
    W1[d_out : d_out + n] *= (np.sqrt(b) / p[:n])[:, None]
    return Weights(W1, W2)


@dataclass(frozen=True, eq=False)
class SelfConsistentSolution:
    """Equation (1) from A(0) = start, exact at any time; target and start (d_out, d_in), threshold c > 0.

    The network Q = [W1^T; W2], (d_in + d_out, d_out), flows by dQ/dt = F Q - Q Q^T Q/2 with
    F = [[-c I, Y^T], [Y, c I]], whence Q(t) Q(t)^T = e^(Ft) Q0 (I + Q0^T (e^(2Ft) - I)/(2F) Q0)^(-1) Q0^T e^(Ft).
    In the eigenvectors of F, and divided by its growing exponentials, nothing overflows and t = inf is a time like any
    other. Compared with 80 digits for c from 1e-10 to 1e12: the error, relative to max(||A0||, ||Y||), is about
    1e-15 from A0 = 0 or where c is above 1e-1 of ||Y||, and up to about 1e-15 ||Y||/c where a mode has to reverse its
    sign (half of all square starts have the sign of their determinant wrong) or to rise from a rank-deficient start.

    Raises LinphaseError where shapes differ, an entry is not finite or c is not positive.
    Source: docs/theory.md, "Its solution at any time".
    """

    target: Array
    start: Array
    threshold: float
    factors: tuple[Array, Array, Array] | None = None  # U (d_out, d_out), S (n,), V (d_in, d_in) of Y, where known

    @classmethod
    def of(cls, task: Task, start: Array, threshold: float) -> "SelfConsistentSolution":
        """From A(0) = start towards the target of a task, which is decomposed once for all its runs."""
        square = task.target.shape[0] == task.target.shape[1]
        return cls(task.target, start.astype(np.float64), threshold, task.solution_svd if square else None)

    def __post_init__(self) -> None:
        if self.target.ndim != 2 or self.target.shape != self.start.shape:
            raise LinphaseError(
                "self-consistent solution: target and start must be matrices of one shape (d_out, d_in), "
                f"found {self.target.shape} and {self.start.shape}"
            )
        if not (np.isfinite(self.target).all() and np.isfinite(self.start).all()):
            raise LinphaseError("self-consistent solution: target and start must be finite, found NaN or infinity")
        if not 0 < self.threshold < np.inf:
            raise LinphaseError(
                "self-consistent solution: the threshold c = sigma2 * width must be positive and finite, "
                f"found {self.threshold}"
            )
        _ = self._spectrum  # the expensive part, here rather than at the first time asked for

    def A(self, t: float) -> Array:
        """A(t) = W2(t) W1(t), (d_out, d_in).

        By the Cholesky factor of T^T T, faster than T itself by QR; where the squares would lose more than two digits,
        T is taken.
        """
        factor, sound, Z = self._factor(t)
        if not sound:
            return self.weights(t).product()
        lower, upper = self._ends(Z)
        solved, _ = dpotrs(factor, lower.T, lower=1)
        A: Array = self._spectrum.U @ (upper @ solved) @ self._spectrum.V.T
        return A

    def _factor(self, t: float) -> tuple[Array, bool, Array]:
        """The lower Cholesky factor of T^T T at time t, whether it is as good as T, and decay Z growth."""
        s = self._check(t)
        growth, decay = np.exp(-s.positive * t), np.exp(-s.negative * t)
        Z = s.Z * growth
        squares = s.inverse_square * growth * growth[:, None]
        scaled = np.sqrt(elapsed(s.negative, t))[:, None] * Z
        # LAPACK counts columns first, so the lower triangle of the transpose is filled: it is symmetric.
        squares = dsyrk(1, scaled.T, beta=1, c=squares.T, lower=1, overwrite_c=1)
        diagonal = squares.diagonal() + elapsed(s.positive, t)
        np.fill_diagonal(squares, diagonal)
        factor, info = dpotrf(squares, lower=1, overwrite_a=1, clean=0)
        # A pivot over its diagonal entry tells the condition, whatever the scales of rows and columns.
        sound = info == 0 and bool((factor.diagonal() ** 2 > _SMALLEST_PIVOT * diagonal).all())
        Z *= decay[:, None]
        return factor, sound, Z

    def _ends(self, Z: Array) -> tuple[Array, Array]:
        """W1^T T and W2 T in the singular vectors of Y, from decay Z growth."""
        s = self._spectrum
        n = s.a.size
        lower, upper = s.b_in[:, None] * Z, np.diag(s.b_out)
        upper[:n] -= s.a[:, None] * Z[:n]
        diagonal = np.arange(n)
        lower[diagonal, diagonal] += s.a
        return lower, upper

    def _check(self, t: float) -> "_Spectrum":
        if not t >= 0:
            raise LinphaseError(f"self-consistent solution: time must be 0 or later, found {t}")
        return self._spectrum

    def weights(self, t: float) -> Weights:
        """The 2c-balanced network of width d_out at time t: W2^T W2 - W1 W1^T = 2c I.

        W1 (d_out, d_in) and W2 (d_out, d_out), up to a rotation of the hidden layer, which nothing can see:
        C2 = c I + sqrt(A A^T + c^2 I), C1 = -c I + sqrt(A^T A + c^2 I) and A are those of the flow.
        Raises LinphaseError for a negative time.
        """
        s = self._check(t)
        growth, decay = np.exp(-s.positive * t), np.exp(-s.negative * t)
        # Q(t) = P [decay Z e; I] T^(-1) with e = diag(growth), T^T T the scaled I + Q0^T ... Q0, by QR: no squaring.
        Z = s.Z * growth
        d_out, d_in = s.inverse.shape[0], Z.shape[0]
        squares = np.zeros((2 * d_out + d_in, d_out), order="F")  # as LAPACK wants it: nothing is copied
        np.multiply(s.inverse, growth, out=squares[:d_out])
        np.fill_diagonal(squares[d_out : 2 * d_out], np.sqrt(elapsed(s.positive, t)))
        np.multiply(np.sqrt(elapsed(s.negative, t))[:, None], Z, out=squares[2 * d_out :])
        factored, *_ = dgeqrf(squares, lwork=64 * d_out, overwrite_a=True)
        T = factored[:d_out]  # upper triangular; below it stand the reflections
        Z *= decay[:, None]
        lower, upper = self._ends(Z)
        W1 = solve_triangular(T, lower.T, trans="T", check_finite=False) @ s.V.T
        W2 = s.U @ solve_triangular(T, upper.T, trans="T", check_finite=False).T
        return Weights(W1, W2)

    @cached_property
    def _spectrum(self) -> "_Spectrum":
        return _decompose(
            np.asarray(self.target, np.float64),
            np.asarray(self.start, np.float64),
            float(self.threshold),
            self.factors,
        )


@dataclass(frozen=True, eq=False)
class Eigenvectors:
    """Eigenvectors of F = [[-c I, Y^T], [Y, c I]], c >= 0; n = min(d_out, d_in).

    (a v; b u) with eigenvalue R = sqrt(s^2 + c^2) and (b v; -a u) with -R, for the singular triples (u, s, v) of Y;
    those beyond n have s = a = 0, b = 1.
    """

    c: float
    U: Array  # (d_out, d_out)
    V: Array  # (d_in, d_in)
    a: Array  # (n,)
    b_out: Array  # (d_out,)
    b_in: Array  # (d_in,)
    positive: Array  # (d_out,): the positive eigenvalues
    negative: Array  # (d_in,): minus the negative ones
    excess: Array  # (d_out,): R - c

    @classmethod
    def of(cls, Y: Array, c: float, factors: tuple[Array, Array, Array] | None = None) -> "Eigenvectors":
        """Those of a target Y (d_out, d_in), with the factors U, S, V of its full SVD where they are known."""
        d_out, d_in = Y.shape
        if factors is None:
            U, S, Vt = np.linalg.svd(Y)
            V = np.ascontiguousarray(Vt.T)
        else:
            U, S, V = factors
        R = np.hypot(S, c)
        r = np.where(R > 0, R, 1.0)  # c = 0 leaves modes without target at the eigenvalue 0, with a = 0 and b = 1
        a, b = S / np.sqrt(2 * r) / np.sqrt(r + c), np.where(R > 0, np.sqrt((r + c) / (2 * r)), 1.0)
        return cls(
            c=c,
            U=U,
            V=V,
            a=a,
            b_out=_pad(b, d_out, 1.0),
            b_in=_pad(b, d_in, 1.0),
            positive=_pad(R, d_out, c),
            negative=_pad(R, d_in, c),
            excess=_pad(S * (S / (r + c)), d_out, 0.0),
        )

    def coordinates(self, weights: Weights) -> tuple[Array, Array]:
        """q- (d_in, m) and q+ (d_out, m) of a network Q = [W1^T; W2] of width m."""
        n = self.a.size
        first, second = self.V.T @ weights.W1.T, self.U.T @ weights.W2
        minus, plus = self.b_in[:, None] * first, self.b_out[:, None] * second
        plus[:n] += self.a[:, None] * first[:n]
        minus[:n] -= self.a[:, None] * second[:n]
        return minus, plus

    def network(self, minus: Array, plus: Array) -> Weights:
        """The network of these coordinates."""
        n = self.a.size
        first, second = self.b_in[:, None] * minus, self.b_out[:, None] * plus
        first[:n] += self.a[:, None] * plus[:n]
        second[:n] -= self.a[:, None] * minus[:n]
        return Weights(np.ascontiguousarray((self.V @ first).T), self.U @ second)


@dataclass(frozen=True, eq=False)
class _Spectrum(Eigenvectors):
    """The eigenvectors of F, and the start in them: P^T Q0 = [q-; q+]."""

    Z: Array  # (d_in, d_out): q- q+^(-1)
    inverse: Array  # (d_out, d_out): q+^(-1)

    @cached_property
    def inverse_square(self) -> Array:
        """q+^(-T) q+^(-1), (d_out, d_out)."""
        return np.asarray(self.inverse.T @ self.inverse)


def _decompose(Y: Array, A0: Array, c: float, factors: tuple[Array, Array, Array] | None) -> _Spectrum:
    d_out, d_in = Y.shape
    n = min(d_out, d_in)
    basis = Eigenvectors.of(Y, c, factors)

    # Q0 = [W1^T; W2] with W2 = U0 diag(w), W1 = diag(s0/w) V0^T, w = sqrt(c + sqrt(s0^2 + c^2)): 2c-balanced, W2 W1
    # = A0. Its columns over w are well scaled.
    U0, s0, V0t = np.linalg.svd(A0, full_matrices=True)
    w2 = c + np.hypot(s0, c)
    from_W1 = np.zeros((d_in, d_out))
    from_W1[:, :n] = basis.V.T @ (V0t[:n].T * (s0 / w2))
    from_W2 = basis.U.T @ U0
    plus, minus = basis.b_out[:, None] * from_W2, basis.b_in[:, None] * from_W1
    plus[:n] += basis.a[:, None] * from_W1[:n]
    minus[:n] -= basis.a[:, None] * from_W2[:n]

    # plus is invertible: a x with plus x = 0 would have ||W2 x|| < ||W1^T x||, but their squares differ by +2c ||x||^2.
    inverse = np.linalg.inv(plus)
    return _Spectrum(
        **vars(basis),
        Z=minus @ inverse,
        inverse=inverse / np.sqrt(_pad(w2, d_out, 2 * c))[:, None],
    )


def _pad(values: Array, size: int, value: float) -> Array:
    return np.pad(values, (0, size - values.size), constant_values=value)


def elapsed(rate: Array, t: float) -> Array:
    """The integral from 0 to t of exp(-2 rate x) dx."""
    return np.asarray(np.where(rate > 0, -np.expm1(-2 * rate * t) / (2 * np.where(rate > 0, rate, 1.0)), t))


# -------------------------------------------------------------------------------------------- modes from A = 0

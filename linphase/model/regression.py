"""A task of data: fit outputs y by A x over samples (docs/theory.md, "Data").

Of samples X (d_in, n) and Y (d_out, n) the loss sees only R (r, d_in) and T (d_out, r): with the thin factorization
X^T/sqrt(n) = Q R, T = Y Q/sqrt(n) and rho^2 = ||Y/sqrt(n) - T Q^T||_F^2,

    ||A X - Y||_F^2/n = ||A R^T - T||_F^2 + rho^2,    G = (A R^T - T) R,    Sigma = X X^T/n = R^T R.

So any number of samples is a task of r = min(n, d_in) of them. White inputs, R = I, are `Task`'s own Y = T.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike, NDArray

from linphase.errors import LinphaseError
from linphase.model.network import Weights
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread

Array = NDArray[np.floating]

_ROUNDING = 1e-12  # of the largest singular value of the inputs: below it a direction is not in the data


@dataclass(frozen=True, eq=False, repr=False)
class Reduced:
    """Samples as the loss sees them."""

    inputs: Array  # R (r, d_in)
    target: Array  # T (d_out, r)
    irreducible: float  # rho^2, what no linear map fits

    @property
    def size(self) -> float:
        """N = d_out tr Sigma, what squares are divided by to be errors."""
        return len(self.target) * float(np.sum(self.inputs**2))

    def product(self, A: Array) -> Array:
        """A R^T, (d_out, r)."""
        return A @ self.inputs.T


def reduced(chunks: Iterable[tuple[Array, Array]]) -> Reduced:
    """Samples that come in chunks, X (m, d_in) and Y (m, d_out) of any m each, as R, T and rho^2.

    By the triangular factor of [X Y], which is carried from chunk to chunk: memory is flat. Directions of the inputs
    that are 0 to rounding are left out of R.
    """
    factor: Array = np.zeros((0, 0))
    n = d_in = 0
    for X, Y in chunks:
        d_in, n = X.shape[1], n + len(X)
        both = np.hstack([X, Y])
        factor = np.asarray(np.linalg.qr(np.vstack([factor, both]) if factor.size else both, mode="r"))
    factor = factor / np.sqrt(n)
    U, s, Vt = np.linalg.svd(factor[:d_in, :d_in], full_matrices=False)
    kept = s > _ROUNDING * s[0] if s[0] > 0 else s > 0
    U, s, Vt = U[:, kept], s[kept], Vt[kept]
    T = (U.T @ factor[: len(U), d_in:]).T
    lost = factor[: len(U), d_in:] - U @ T.T
    return Reduced(s[:, None] * Vt, T, float(np.sum(lost**2) + np.sum(factor[d_in:, d_in:] ** 2)))


@dataclass(frozen=True, eq=False, repr=False)
class Regression(Task):
    """A task of inputs that are not white: R (r, d_in) and T = `target` (d_out, r).

    Train error is ||A R^T - T||_F^2/N, N = d_out tr Sigma, without what is irreducible; test error the same of held-out
    data or, where the signal is known, ||(A - A*) Sigma^(1/2)||_F^2/N with the covariance of the population. Modes and
    regimes are those of the least-squares solution of the smallest norm, A_ls = T (R^T)^+.
    """

    inputs: Array = field(kw_only=True)
    irreducible: float = field(default=0.0, kw_only=True)
    held_out: Reduced | None = field(default=None, kw_only=True)  # for a known signal: Sigma^(1/2) and A* Sigma^(1/2)
    scale_of_errors: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        d_out, d_in = self.shape
        if not 0 <= self.rank <= min(d_out, d_in):
            raise LinphaseError(
                f"task: rank must be from 1 to the smaller dimension, {min(d_out, d_in)}, found {self.rank}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.target.shape[0], self.inputs.shape[1]

    @property
    def size(self) -> float:
        return Reduced(self.inputs, self.target, 0.0).size

    @cached_property
    def input_size(self) -> float:
        """||R||_op^2, the largest eigenvalue of Sigma."""
        return float(np.linalg.norm(self.inputs, 2)) ** 2

    @property
    def error_scale(self) -> float:
        """nu^2; of data ||T||^2/N."""
        return self.scale_of_errors or float(np.sum(self.target**2)) / self.size

    @property
    def has_test_error(self) -> bool:
        return self.held_out is not None

    @property
    def signal_strength(self) -> float:
        """The test error of A = 0, or the train error where there is no test error."""
        held = self.held_out or Reduced(self.inputs, self.target, 0.0)
        return float(np.sum(held.target**2)) / held.size

    @cached_property
    def solution(self) -> Array:
        """A_ls = T (R^T)^+, (d_out, d_in)."""
        with one_blas_thread():
            return self.target @ np.linalg.pinv(self.inputs.T, rcond=_ROUNDING)

    @cached_property
    def _fit_values(self) -> Array:
        """The singular values of T."""
        with one_blas_thread():
            return np.linalg.svd(self.target, compute_uv=False)

    def train_error_floor(self, width: int) -> float:
        """Train error of the best matrix of rank <= width: sum of s_i(T)^2 over i > width, over N."""
        return float(np.sum(self._fit_values[width:] ** 2)) / self.size

    def residual(self, A: Array) -> Array:
        return A @ self.inputs.T - self.target

    def loss_gradient(self, residual: Array) -> Array:
        """G = (A R^T - T) R, (d_out, d_in)."""
        return residual @ self.inputs.astype(residual.dtype)

    @cached_property
    def origin(self) -> Array:
        return np.zeros(self.shape)

    def from_origin(self, residual: Array, weights: Weights) -> Array:
        return weights.product()

    def deviations(self, dtype: DTypeLike) -> Callable[[Array, Weights], Array] | None:
        if self.held_out is None:
            return None
        Q, P = self.held_out.inputs.T.astype(dtype), self.held_out.target.astype(dtype)

        def deviation(residual: Array, weights: Weights) -> Array:
            return np.asarray(weights.W2 @ (weights.W1 @ Q) - P)

        return deviation

    def deviation_slope(self, weights: Weights, residual: Array) -> Array:
        assert self.held_out is not None
        return self.held_out.product(weights.velocity(self.loss_gradient(residual)))

    def test_error(self, deviation: Array) -> float:
        assert self.held_out is not None
        return float(np.vdot(deviation, deviation)) / self.held_out.size

    def at_minimum(self, deviation: Array, A: Callable[[], Array], out: Array) -> None:
        np.copyto(out, A())

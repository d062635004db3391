"""The Hessian of the loss by both layers, and its largest eigenvalue, the sharpness (docs/theory.md, "Sharpness")."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from linphase.model.network import Weights
from linphase.model.task import Task

Array = NDArray[np.floating]

_RELATIVE_ERROR = 1e-3  # of the sharpness, at most: Lanczos' residual bounds it, and it is about the square of that


@dataclass(frozen=True, eq=False)
class Hessian:
    """The map of a change (x1, x2) of W1 and W2 to the change of the gradient of L + l1 ||W1||^2/2 + l2 ||W2||^2/2.

    With Z = W2 x1 + x2 W1 it is (W2^T Z Sigma + x2^T G + l1 x1, Z Sigma W1^T + G x1^T + l2 x2). No matrix of
    (width (d_in + d_out))^2 entries is built. In the network of the reduced width the largest eigenvalue is that of the
    full width: the directions that the reduction drops know G and the decays alone, as some of those kept do.
    """

    task: Task
    weights: Weights
    G: Array  # the gradient of L by A, (d_out, d_in)
    decays: tuple[float, float] = (0.0, 0.0)  # l1 and l2

    def apply(self, x1: Array, x2: Array) -> tuple[Array, Array]:
        """Its product with x1 (width, d_in) and x2 (d_out, width), by six products of matrices."""
        W1, W2, (l1, l2) = self.weights.W1, self.weights.W2, self.decays
        Z = self.task.covariance_product(W2 @ x1 + x2 @ W1)
        return W2.T @ Z + x2.T @ self.G + l1 * x1, Z @ W1.T + self.G @ x1.T + l2 * x2

    def largest_eigenvalue(self) -> float:
        """By Lanczos from a start that is always the same.

        Power iteration is not enough: while modes rise, and at a wide start, the largest eigenvalues lie close.
        """
        scale = self._bound()
        if not 0 < scale < np.inf:
            return scale
        # Of order 1, or ARPACK's own tolerance would not be relative, and products of 1e-200 would be 0.
        root = np.sqrt(scale)
        scaled = Weights(self.weights.W1 / root, self.weights.W2 / root)
        l1, l2 = self.decays
        unit = Hessian(self.task, scaled, self.G / scale, (l1 / scale, l2 / scale))
        cut, shape = scaled.W1.size, scaled.W1.shape

        def product(x: Array) -> Array:
            x1, x2 = unit.apply(x[:cut].reshape(shape), x[cut:].reshape(scaled.W2.shape))
            return np.concatenate([x1.ravel(), x2.ravel()])

        n = cut + scaled.W2.size
        operator: Any = LinearOperator((n, n), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(n)  # in no symmetry's way, as equal entries would be
        (value,) = eigsh(operator, k=1, which="LA", tol=_RELATIVE_ERROR, v0=start, return_eigenvectors=False)
        return scale * float(value)

    def _bound(self) -> float:
        """(||W1||_F^2 + ||W2||_F^2) ||Sigma||_op + ||G||_F + max(l1, l2): no eigenvalue is larger."""
        layers = sum(float(np.linalg.norm(each)) ** 2 for each in (self.weights.W1, self.weights.W2))
        return layers * self.task.input_size + float(np.linalg.norm(self.G)) + max(self.decays)


def network_of(A: Array, C1: Array, C2: Array) -> Weights:
    """A network of width d_in + d_out with A = W2 W1, C1 = W1^T W1 and C2 = W2 W2^T.

    [W1 | W2^T] is the root of [[C1, A^T], [A, C2]]. Any other network with these has the same Hessian in other
    coordinates.
    """
    d_in = len(C1)
    values, vectors = np.linalg.eigh(np.block([[C1, A.T], [A, C2]]))
    X = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # below 0 by rounding, where the layers are balanced
    return Weights(X[:, :d_in], X[:, d_in:].T)

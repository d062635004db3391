"""The tangent kernel of the network: a pure description of how A moves (docs/theory.md, "Observables").

Under gradient flow dA/dt = -Theta[G] with Theta: G -> C2 G + G C1, C1 = W1^T W1 and C2 = W2 W2^T. As a matrix on the
columns of G, stacked, Theta = I_{d_in} (x) C2 + C1 (x) I_{d_out} has (d_out d_in)^2 entries; nothing here builds it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from linphase.model.network import Weights

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Kernel:
    """The map G -> C2 G + G C1; C1 (d_in, d_in) and C2 (d_out, d_out) symmetric."""

    C1: Array
    C2: Array

    @classmethod
    def of(cls, weights: Weights) -> "Kernel":
        """The kernel of a network, in float64."""
        C1, C2 = weights.gram()
        return cls(C1.astype(np.float64), C2.astype(np.float64))

    @classmethod
    def self_consistent(cls, U: Array, s: Array, V: Array, c: float) -> "Kernel":
        """The kernel of equation (1) at A = U diag(s) V^T: C1 = sqrt(A^T A + c^2 I) and C2 = sqrt(A A^T + c^2 I).

        U (d_out, n), s (n,), V (d_in, n). From c I + V diag(sqrt(s^2 + c^2) - c) V^T, without cancelling.
        """
        above = s * (s / (np.hypot(s, c) + c))
        C1, C2 = ((vectors * above) @ vectors.T for vectors in (V, U))
        return cls(C1 + c * np.eye(len(V)), C2 + c * np.eye(len(U)))

    def apply(self, G: Array) -> Array:
        """C2 G + G C1, (d_out, d_in): minus the velocity of A under gradient flow with residual G."""
        change: Array = self.C2 @ G + G @ self.C1
        return change

    def __sub__(self, other: "Kernel") -> "Kernel":
        return Kernel(self.C1 - other.C1, self.C2 - other.C2)

    def __truediv__(self, scale: float) -> "Kernel":
        return Kernel(self.C1 / scale, self.C2 / scale)


def kernel_norm(kernel: Kernel) -> float:
    """||Theta||_F, as a sum of squares.

    ||Theta||^2 = d_out ||C1 - mean||^2 + d_in ||C2 - mean||^2 + (d_out tr C1 + d_in tr C2)^2/(d_in d_out), where mean
    is tr C/d times the identity. For a difference of kernels, whose traces may have opposite signs, the
    Frobenius product with itself would cancel. The largest entry is taken out first: squares of 1e-170 are 0.
    """
    scale = float(max(np.abs(kernel.C1).max(), np.abs(kernel.C2).max()))
    if not 0 < scale < np.inf:
        return scale
    C1, C2 = kernel.C1 / scale, kernel.C2 / scale
    d_in, d_out = C1.shape[0], C2.shape[0]
    t1, t2 = np.trace(C1), np.trace(C2)
    around1, around2 = C1 - t1 / d_in * np.eye(d_in), C2 - t2 / d_out * np.eye(d_out)
    traces = (d_out * t1 + d_in * t2) ** 2 / (d_in * d_out)
    return scale * float(np.sqrt(d_out * np.vdot(around1, around1) + d_in * np.vdot(around2, around2) + traces))

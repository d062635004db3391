"""The flow of a lambda-balanced network of any width and sign, exact: where equation (1) has no closed form.

W2^T W2 - W1 W1^T = lambda I. Source: docs/theory.md, "Lambda-balanced starts".
"""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from linphase.errors import LinphaseError
from linphase.model.network import Weights
from linphase.theory.matrix import Eigenvectors, elapsed

Array = NDArray[np.floating]

_REMEMBERED = 4  # moments from which the march goes on


class BalancedSolution:
    """The network at any time from a lambda-balanced start, by an exact march: no step has an error but rounding.

    Q = [W1^T; W2], (d_in + d_out, m), obeys dQ/dt = F Q - Q Q^T Q/2, F = [[-lambda/2 I, Y^T], [Y, lambda/2 I]]. So
    Q(t + h) = e^(Fh) Q(t) T^(-1) up to a rotation of the hidden layer, T the R-factor of the stack
    [I; sqrt((e^(2Fh) - 1)/(2F)) Q(t)]. Steps are so short that the growing exponentials differ by a factor e at most:
    there are about t s_1^2/(s_1 + |lambda|) of them, a QR each. A march goes on from one of the last moments asked for.
    """

    def __init__(self, target: Array, start: Weights, balance: float) -> None:
        self._sign = -1 if balance < 0 else 1
        self._basis = Eigenvectors.of(self._turned(target), abs(balance) / 2)
        self._moments = [(0.0, self._turned_weights(start.astype(np.float64)))]

    def A(self, t: float) -> Array:
        """A(t) = W2(t) W1(t), (d_out, d_in)."""
        return self.weights(t).product()

    def weights(self, t: float) -> Weights:
        """The network at time t, W1 (m, d_in) and W2 (d_out, m), up to a rotation of the hidden layer.

        Raises LinphaseError for a negative or infinite time.
        """
        if not 0 <= t < np.inf:
            raise LinphaseError(f"balanced solution: a finite time of at least 0 is required, found {t}")
        begin, there = next((time, each) for time, each in reversed(self._moments) if time <= t)
        if t > begin:
            there = _after(there, self._basis, t - begin)
        if t > self._moments[-1][0]:
            self._moments = [self._moments[0], *self._moments[1:][1 - _REMEMBERED :], (t, there)]
        return self._turned_weights(there)

    def _turned(self, matrix: Array) -> Array:
        """The matrix, transposed where lambda < 0: A^T = W1^T W2^T is a network of -lambda."""
        return np.asarray(matrix if self._sign > 0 else matrix.T, np.float64)

    def _turned_weights(self, weights: Weights) -> Weights:
        return weights if self._sign > 0 else Weights(weights.W2.T, weights.W1.T)


def _after(weights: Weights, basis: Eigenvectors, time: float) -> Weights:
    """The network a time later, lambda = 2c >= 0.

    Divided by e^(ch) all through, so that nothing overflows: what grows, grows as e^((R - c)h).
    """
    minus, plus = basis.coordinates(weights)
    steps = max(1, ceil(time * float(basis.excess.max())))
    h, c = time / steps, basis.c
    growth, decay = np.exp(basis.excess * h)[:, None], np.exp(-(basis.negative + c) * h)[:, None]
    of_plus = growth * np.sqrt(elapsed(basis.positive, h))[:, None]
    of_minus = np.exp(-c * h) * np.sqrt(elapsed(basis.negative, h))[:, None]
    beginning = np.exp(-c * h) * np.eye(weights.width)
    for _ in range(steps):
        T = np.linalg.qr(np.vstack([beginning, of_plus * plus, of_minus * minus]), mode="r")
        minus, plus = (solve_triangular(T, each.T, trans="T").T for each in (decay * minus, growth * plus))
    return basis.network(minus, plus)

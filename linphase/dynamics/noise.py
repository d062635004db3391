"""What makes descent stochastic: labels with fresh noise, and batches of fresh samples (docs/theory.md, "Noisy steps").

Both replace the gradient G of a step by another that both layers take. They act on the layers by matrix products, so
the reduction of the width stays exact.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from linphase.model.task import Regression, Task

Array = NDArray[np.floating]
Gradient = Callable[[Array, Array, Array], Array]  # a step's, of W1 (width, d_in), W2 (d_out, width) and G


def noisy_labels(epsilon: float, shape: tuple[int, int], random: np.random.Generator, dtype: DTypeLike) -> Gradient:
    """G - epsilon Xi, with Xi (d_out, d_in) = shape of independent N(0, 1) entries, fresh at every call.

    Drawn in double precision, whatever that of the weights is. It is written into G.
    """
    Xi = np.empty(shape)
    noise = Xi if Xi.dtype == dtype else np.empty(shape, dtype)

    def gradient(W1: Array, W2: Array, G: Array) -> Array:
        random.standard_normal(out=Xi)
        np.multiply(Xi, epsilon, out=noise, casting="same_kind")
        return np.subtract(G, noise, out=G)

    return gradient


def fresh_batches(task: Task, size: int, width: int, random: np.random.Generator, dtype: DTypeLike) -> Gradient:
    """(A X - Y) X^T/B of B = size fresh samples of the task's population, at every call.

    X (d_in, B) has the covariance Sigma, Y = A* X + noise N(0, 1). With the thin QR X^T/sqrt(B) = Q R it is

        ((A - A*) R^T - noise/sqrt(B) E) R,

    where E = N(0, 1) Q has independent N(0, 1) entries. From B = d_in on R is drawn itself (Bartlett's decomposition,
    as of the start's width): a batch of any size costs what one of d_in samples does.
    """
    d_out, d_in = task.shape
    n = min(size, d_in)
    population, signal = task.population, task.known_signal.astype(dtype)
    root = population.inputs if isinstance(population, Regression) else None  # Sigma^(1/2)
    noise = task.noise / size**0.5
    upper = np.triu(np.ones((n, d_in)), 1) if size >= d_in else None
    freedom = size - np.arange(n, dtype=np.float64)
    Z, colored, E, found = np.empty((n, d_in)), np.empty((n, d_in)), np.empty((d_out, n)), np.empty(task.shape, dtype)
    R, seen = np.empty((n, d_in), dtype), np.empty((width, n), dtype)
    residual, wanted = np.empty((2, d_out, n), dtype)

    def gradient(W1: Array, W2: Array, G: Array) -> Array:
        random.standard_normal(out=Z)
        if upper is not None:
            np.multiply(Z, upper, out=Z)
            np.fill_diagonal(Z, np.sqrt(random.chisquare(freedom)))
        np.multiply(Z if root is None else np.matmul(Z, root, out=colored), size**-0.5, out=R, casting="same_kind")
        random.standard_normal(out=E)
        np.multiply(E, noise, out=residual, casting="same_kind")
        np.subtract(np.matmul(W2, np.matmul(W1, R.T, out=seen), out=wanted), residual, out=residual)
        np.subtract(residual, np.matmul(signal, R.T, out=wanted), out=residual)
        return np.matmul(residual, R, out=found)

    return gradient

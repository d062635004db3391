"""The reference that the tests compare with: full-width networks trained by the obvious loops."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from linphase.model.network import Weights
from linphase.model.task import Task

Array = NDArray[np.float64]


Gradient = Callable[[Array], Array]  # G (d_out, d_in) of A (d_out, d_in)


def on_samples(X: Array, Y: Array) -> Gradient:
    """G of the loss ||A X^T - Y^T||_F^2/(2n), by the samples X (n, d_in) and Y (n, d_out) themselves."""
    return lambda A: (A @ X.T - Y.T) @ X / len(X)


def gradient_descent(
    task: Task | Gradient, weights: Weights, rate: float, steps: int, update: str = "simultaneous"
) -> list[Weights]:
    """All weights from step 0 to `steps` at full width."""
    gradient = _gradient(task)
    W1, W2 = weights.W1.copy(), weights.W2.copy()
    path = [Weights(W1, W2)]
    for _ in range(steps):
        G = gradient(W2 @ W1)
        W1_new = W1 - rate * W2.T @ G
        W2 = W2 - rate * G @ (W1_new if update == "alternating" else W1).T
        W1 = W1_new
        path.append(Weights(W1, W2))
    return path


def with_knobs(
    task: Task,
    weights: Weights,
    rate: float,
    steps: int,
    *,
    update: str = "simultaneous",
    rate_ratio: float = 1.0,
    richness: float = 1.0,
    decay: float = 0.0,
    noise: Callable[[int], Array] = lambda step: np.zeros(()),
) -> list[Weights]:
    """Descent of W itself: rates e1, e2 of the layers, output W2 W1/gamma, weight decay, and noise on the labels."""
    e1, e2 = rate_ratio**0.5, rate_ratio**-0.5
    W1, W2 = weights.W1.copy(), weights.W2.copy()
    path = [Weights(W1, W2)]
    for step in range(steps):
        G = (W2 @ W1 / richness - task.target - noise(step)) / richness
        W1_new = W1 - rate * e1 * (W2.T @ G + decay * W1)
        W2 = W2 - rate * e2 * (G @ (W1_new if update == "alternating" else W1).T + decay * W2)
        W1 = W1_new
        path.append(Weights(W1, W2))
    return path


def _gradient(task: Task | Gradient) -> Gradient:
    return (lambda A: A - task.target) if isinstance(task, Task) else task


def gradient_flow(
    task: Task | Gradient, weights: Weights, time: float, decays: tuple[float, float] = (0.0, 0.0)
) -> Callable[[float], Weights]:
    """The flow up to `time` by DOP853 at a relative error of 1e-12, as a function of time; decays: of W1 and W2."""
    gradient = _gradient(task)
    shapes = weights.W1.shape, weights.W2.shape
    cut = weights.W1.size

    def split(y: Array) -> Weights:
        return Weights(y[:cut].reshape(shapes[0]), y[cut:].reshape(shapes[1]))

    def slope(_: float, y: Array) -> Array:
        w = split(y)
        G = gradient(w.W2 @ w.W1)
        return -np.concatenate([(w.W2.T @ G + decays[0] * w.W1).ravel(), (G @ w.W1.T + decays[1] * w.W2).ravel()])

    start = np.concatenate([weights.W1.ravel(), weights.W2.ravel()])
    solution = solve_ivp(slope, (0, time), start, method="DOP853", rtol=1e-12, atol=1e-12, dense_output=True)
    return lambda t: split(solution.sol(t))


def equation_1(gradient: Gradient, A: Array, c: float, times: Array) -> Array:
    """A (n, d_out, d_in) at times (n,) by dA/dt = -sqrt(A A^T + c^2) G - G sqrt(A^T A + c^2), by DOP853 at 1e-12."""

    def root(C: Array) -> Array:
        values, vectors = np.linalg.eigh(C + c * c * np.eye(len(C)))
        return (vectors * np.sqrt(values)) @ vectors.T

    def slope(_: float, y: Array) -> Array:
        B = y.reshape(A.shape)
        G = gradient(B)
        return -(root(B @ B.T) @ G + G @ root(B.T @ B)).ravel()

    solution = solve_ivp(slope, (0, times[-1]), A.ravel(), method="DOP853", rtol=1e-12, atol=1e-12, t_eval=times)
    return solution.y.T.reshape(len(times), *A.shape)


def errors(task: Task, A: Array) -> tuple[float, float]:
    """Train and test error."""
    return float(np.mean((A - task.target) ** 2)), float(np.mean((A - task.signal) ** 2))


def random_task(d_out: int, d_in: int, rank: int, seed: int, noise: float = 1.0) -> Task:
    """A task of any shape; square ones of the package come from `draw_task`."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((d_out, rank)) @ rng.standard_normal((rank, d_in)) / np.sqrt(rank)
    return Task(signal, signal + noise * rng.standard_normal((d_out, d_in)), rank=rank, noise_level=noise)


def random_weights(width: int, d_out: int, d_in: int, variance: float, seed: int) -> Weights:
    """A full-width Gaussian start, drawn entry by entry."""
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(variance)
    return Weights(sigma * rng.standard_normal((width, d_in)), sigma * rng.standard_normal((d_out, width)))

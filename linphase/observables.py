"""What is measured of a network: pure functions of weights and task (theory.md section 6).

Modes are i = 0 .. min(d_in, d_out, width) - 1; mode i pairs the i-th singular value of A with the i-th of Y. Beyond
them every measure would be 0/0.
"""

import numpy as np
from numpy.typing import NDArray

from linphase.network import Weights
from linphase.task import Task

Array = NDArray[np.floating]


def mean_square(difference: Array) -> float:
    """||difference||_F^2/(d_out d_in): the train error of A - Y, the test error of A - A*."""
    flat = difference.reshape(-1)
    return float(np.dot(flat, flat)) / flat.size


def stable_rank(singular_values: Array) -> float:
    """||A||_F^2/||A||_op^2; 0 for A = 0."""
    leading = float(singular_values[0])
    return float(np.sum((singular_values / leading) ** 2)) if leading > 0 else 0.0


def numerical_rank(singular_values: Array) -> int:
    """The paper's: singular values above s_1/5."""
    return int(np.count_nonzero(singular_values > singular_values[0] / 5))


def mode_rates(weights: Weights, U: Array, V: Array) -> Array:
    """u_i^T C2 u_i + v_i^T C1 v_i = ||W2^T u_i||^2 + ||W1 v_i||^2: the learning rate of the mode u_i v_i^T.

    U (d_out, n) and V (d_in, n) hold the vectors as columns; returns (n,).
    """
    rates: Array = np.sum((weights.W2.T @ U) ** 2, axis=0) + np.sum((weights.W1 @ V) ** 2, axis=0)
    return rates


def singular_values_and_balance(weights: Weights, modes: int) -> tuple[Array, Array]:
    """The leading singular values s_i of A = W2 W1 and their mode balance.

    b_i = 2 s_i/(u_i^T C2 u_i + v_i^T C1 v_i), in [0, 1]: 1 where the two layers carry mode i equally and aligned
    (balanced), 0 where they do not move for it (lazy). Returns two arrays (min(modes, d_in, d_out, width),).
    """
    U, s, Vt = np.linalg.svd(weights.product(), full_matrices=False)
    n = min(modes, s.size, weights.width)
    rates = mode_rates(weights, U[:, :n], Vt[:n].T)
    balance = np.divide(2 * s[:n], rates, out=np.zeros_like(rates), where=rates > 0)
    return s[:n], np.minimum(balance, 1)  # Cauchy-Schwarz, up to rounding


def average_mode_rate(weights: Weights) -> float:
    """tr C1/d_in + tr C2/d_out: the mean of u^T C2 u + v^T C1 v over all directions."""
    return mean_square(weights.W1) * weights.width + mean_square(weights.W2) * weights.width


def mode_speed_up(weights: Weights, task: Task, initial_rate: float) -> Array:
    """kappa_i = (u_i^T C2 u_i + v_i^T C1 v_i)/initial_rate, u_i and v_i the singular vectors of Y.

    The mode's own learning rate now against `average_mode_rate` at the start: 1 where the kernel never moved for it
    (lazy), in theory sqrt(1 + s^2/c^2). Returns (min(d_in, d_out, width),).
    """
    U, _, V = task.target_svd
    n = min(U.shape[1], weights.width)
    dtype = weights.W1.dtype
    rates = mode_rates(weights, U[:, :n].astype(dtype), V[:, :n].astype(dtype))
    speed_up: Array = rates / initial_rate
    return speed_up

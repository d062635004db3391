"""What the end of a run says of its path: nothing where the network is wide (docs/theory.md, "The boundaries").

In the wide limit C1 and C2 are functions of A and c at all times, for any loss and any path. So two networks that end
at the same A, one straight and one by way of a far target, have the same mode balance and speed-up.
"""

from itertools import pairwise

import numpy as np
import pytest

from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, gaussian_start
from linphase.model.observables import average_mode_rate, mode_speed_up, singular_values_and_balance
from linphase.model.task import Task

D, C = 16, 4.0


def _descended(weights: Weights, Y: np.ndarray) -> Weights:
    """Plain gradient descent to ||A - Y|| = 1e-6 ||Y||, so slow that it conserves W1 W1^T - W2^T W2 to 1e-3."""
    W1, W2 = weights.W1.copy(), weights.W2.copy()
    rate = 0.002 / max(np.linalg.norm(W1, 2) ** 2, np.linalg.norm(W2, 2) ** 2, np.linalg.norm(Y, 2))
    for _ in range(200_000):
        G = W2 @ W1 - Y
        if np.linalg.norm(G) < 1e-6 * np.linalg.norm(Y):
            return Weights(W1, W2)
        W1, W2 = W1 - rate * W2.T @ G, W2 - rate * G @ W1.T
    pytest.fail("descent did not converge")


def _differences(width: int) -> tuple[float, float]:
    """Largest relative difference of kappa and largest difference of b between the straight way and the detour."""
    task = draw_task(TaskConfig(dimension=D, rank=3))
    far = draw_task(TaskConfig(dimension=D, rank=3), seed=1)
    start = gaussian_start(Initialization.at(D, init_variance=C / width, width=width), task.shape)
    straight = _descended(start, task.target)
    by_way = _descended(_descended(start, 3 * far.target), task.target)
    first, second = (_end(weights, task, start) for weights in (straight, by_way))
    return np.max(np.abs(second[0] / first[0] - 1)), np.max(np.abs(second[1] - first[1]))


def _end(weights: Weights, task: Task, start: Weights) -> tuple[np.ndarray, np.ndarray]:
    kappa = mode_speed_up(weights, task, average_mode_rate(start))
    _, balance = singular_values_and_balance(weights, D)
    return kappa, balance


def test_a_detour_leaves_no_trace_at_the_end_of_a_wide_run():
    widths = (64, 1024, 16384, 2**20)
    kappa, balance = np.transpose([_differences(width) for width in widths])
    assert kappa[0] > 0.03  # a narrow network remembers the way: the test can fail
    assert kappa[-1] < 2e-3
    assert balance[-1] < 2e-3
    # Corrections of order sqrt(d/width), a factor of 4 each, and 1e-3 of the learning rate; half of it for one draw.
    assert all(later < earlier / 2 for differences in (kappa, balance) for earlier, later in pairwise(differences))

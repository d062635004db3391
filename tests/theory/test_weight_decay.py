"""Theory with weight decay: a threshold that decays, one equation a mode, and the network of the wide limit."""

import numpy as np
import pytest

from linphase.model.network import Weights
from linphase.theory.matrix import balanced_network, wide_network
from linphase.theory.mode import mode_value
from linphase.theory.weight_decay import decaying_mode, decaying_modes
from tests import naive


def wide_limit(a, b, d_in, d_out):
    """C1 = a I, C2 = b I and A = 0."""
    eye = np.eye(d_in + d_out)
    return Weights(np.sqrt(a) * eye[:, :d_in], np.sqrt(b) * eye[d_in:])


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


@pytest.mark.parametrize(
    ("a", "b", "decay"), [(1.0, 1.0, 0.3), (2.0, 0.5, 0.3), (10.0, 10.0, 0.05), (0.01, 0.01, 1.5), (1.0, 3.0, 0.01)]
)
def test_the_relations_of_equation_1_hold_in_the_wide_limit_with_a_threshold_that_decays(a, b, decay):
    d_out, d_in = 5, 7
    task, c = naive.random_task(d_out, d_in, 2, seed=0, noise=2.0), (a + b) / 2
    U, S, V = task.solution_svd
    times = np.array([0.1, 0.3, 1, 3, 8])
    path = naive.gradient_flow(task, wide_limit(a, b, d_in, d_out), times[-1], (decay, decay))
    modes = decaying_modes(times, S, c, decay)
    for time, expected in zip(times, modes, strict=True):
        w = path(time)
        A, (C1, C2), left = w.product(), w.gram(), np.exp(-2 * decay * time)
        shift = (a - b) / 2 * left
        # The reference's errors are 1e-12 relative; the modes' ODE is solved to 1e-9.
        np.testing.assert_allclose(C1, shift * np.eye(d_in) + root(A.T @ A + (c * left) ** 2 * np.eye(d_in)), atol=1e-8)
        np.testing.assert_allclose(
            C2, root(A @ A.T + (c * left) ** 2 * np.eye(d_out)) - shift * np.eye(d_out), atol=1e-8
        )
        np.testing.assert_allclose(np.diag(U.T @ A @ V), expected, atol=3e-8)


@pytest.mark.parametrize(
    ("target", "c", "decay"), [(4.0, 1.0, 0.3), (9.0, 10.0, 0.05), (0.5, 0.01, 1.5), (2.0, 30.0, 0.4)]
)
@pytest.mark.parametrize("start", [0.0, 0.7])
def test_a_mode_is_the_closed_form_by_bessel_functions(target, c, decay, start):
    times = np.array([0.0, 0.02, 0.1, 0.5, 2.0, 6.0])
    closed = decaying_mode(times, target, c, decay, start)
    by_steps = decaying_modes(times, [target], c, decay, start)[:, 0]
    assert closed[0] == pytest.approx(start, abs=1e-12 * (1 + c))
    np.testing.assert_allclose(by_steps, closed, rtol=1e-7, atol=1e-8)


def test_a_mode_with_hardly_any_decay_is_that_of_without_and_ends_at_the_soft_threshold():
    S = np.array([20.0, 5.0, 0.4])
    times = np.array([0.0, 0.01, 0.1, 0.3])
    np.testing.assert_allclose(decaying_modes(times, S, 2.0, 0.0), mode_value(times[:, None], 0, S, 2.0), atol=1e-7)
    # What is left of a mode S < l fades as e^(-2 (l - S) t), of a threshold c = 1e4 as e^(-2 l t).
    np.testing.assert_allclose(decaying_modes([0.0, 60.0], S, 1e4, 1.0)[-1], [19.0, 4.0, 0.0], atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (5, 5), (6, 3)])
@pytest.mark.parametrize(("a", "b"), [(0.3, 2.0), (5.0, 1e-9), (0.0, 3.0), (2.0, 0.0)])
def test_the_wide_network_has_the_grams_of_the_wide_limit(shape, a, b):
    A = np.random.default_rng(0).standard_normal(shape)
    w = wide_network(A, a, b)
    C1, C2 = w.gram()
    c, shift = (a + b) / 2, (a - b) / 2
    assert w.width == sum(shape)
    np.testing.assert_allclose(w.product(), A, atol=1e-13)
    np.testing.assert_allclose(C1, root(A.T @ A + c**2 * np.eye(shape[1])) + shift * np.eye(shape[1]), atol=1e-12)
    np.testing.assert_allclose(C2, root(A @ A.T + c**2 * np.eye(shape[0])) - shift * np.eye(shape[0]), atol=1e-12)


def test_the_balanced_network_moves_as_the_wide_limit_with_data_and_decay_and_the_wide_one_with_unequal_decays():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 6)) * np.arange(1, 7) ** -0.7
    Y = X @ rng.standard_normal((6, 5)) + 0.3 * rng.standard_normal((30, 5))
    gradient, a, b, times = naive.on_samples(X, Y), 0.3, 2.0, (0.1, 1.0, 10.0)

    def largest_distance(one, decays):
        mine, its = (naive.gradient_flow(gradient, w, 10.0, decays) for w in (one, wide_limit(a, b, 6, 5)))
        return max(np.abs(mine(t).product() - its(t).product()).max() for t in times)

    zero = np.zeros((5, 6))
    # Errors of the reference, 1e-12 relative, over the run.
    assert largest_distance(balanced_network(zero, (a + b) / 2), (0.2, 0.2)) < 4e-11
    assert largest_distance(wide_network(zero, a, b), (0.5, 0.08)) < 4e-11
    # How the layers share c counts where they decay unequally.
    assert largest_distance(balanced_network(zero, (a + b) / 2), (0.5, 0.08)) > 0.01

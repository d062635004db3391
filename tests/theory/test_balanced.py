"""Lambda-balanced networks: the start, and the exact march of its flow at any width and sign."""

import numpy as np
import pytest

from linphase.errors import LinphaseError
from linphase.model.kernel import Kernel, kernel_norm
from linphase.model.network import Weights, balanced_weights
from linphase.theory.balanced import BalancedSolution
from linphase.theory.matrix import SelfConsistentSolution, velocity
from tests import naive

# d_out, d_in, the width asked for, the width that the balance allows, lambda.
CASES = [
    (6, 6, 6, 6, 2.0),
    (6, 6, 9, 6, -2.0),
    (6, 6, 4, 4, 2.0),
    (6, 6, 4, 4, -0.5),
    (5, 8, 50, 5, 3.0),
    (5, 8, 50, 8, -3.0),
    (5, 8, 5, 5, -3.0),
    (8, 5, 5, 5, 3.0),
    (8, 5, 50, 8, 3.0),
    (6, 6, 3, 3, 0.0),
    (5, 8, 50, 5, 0.0),
    (6, 6, 6, 6, 200.0),
]
cases = pytest.mark.parametrize(("d_out", "d_in", "width", "m", "balance"), CASES)


def drawn(d_out: int, d_in: int, m: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A target, and a start's A of rank at most m."""
    rng = np.random.default_rng(seed)
    A = 0.3 * rng.standard_normal((d_out, m)) @ rng.standard_normal((m, d_in))
    return 2 * rng.standard_normal((d_out, d_in)), A


@cases
def test_the_start_is_balanced_on_as_many_neurons_as_can_be_and_has_the_given_product(d_out, d_in, width, m, balance):
    _, A = drawn(d_out, d_in, min(m, d_out, d_in))
    network = balanced_weights(A, balance, width)
    assert network.width == m
    # Rounding of squares as large as lambda.
    difference = network.W2.T @ network.W2 - network.W1 @ network.W1.T
    np.testing.assert_allclose(difference, balance * np.eye(m), atol=1e-13 + 2e-15 * abs(balance))
    np.testing.assert_allclose(network.product(), A, atol=1e-14 * np.abs(A).max())


def test_the_smaller_layer_keeps_its_digits_where_lambda_is_large():
    # sqrt(r - lambda/2) would be 0 here: r = sqrt(s^2 + lambda^2/4) is lambda/2 in double precision.
    _, A = drawn(4, 4, 4)
    network = balanced_weights(A, 1e12, 4)
    np.testing.assert_allclose(network.product(), A, rtol=1e-12, atol=1e-14)
    assert np.linalg.norm(network.W1) == pytest.approx(np.linalg.norm(A) / 1e6, rel=1e-9)


@cases
def test_the_march_is_the_flow(d_out, d_in, width, m, balance):
    Y, A = drawn(d_out, d_in, min(m, d_out, d_in))
    start = balanced_weights(A, balance, width)
    flow = naive.gradient_flow(lambda A: A - Y, start, 1.0)
    solution = BalancedSolution(Y, start, balance)
    for t in (0.0, 0.1, 0.4, 1.0):
        # The error of DOP853 at 1e-12 over a time 1, larger where it is stiff.
        np.testing.assert_allclose(solution.A(t), flow(t).product(), atol=1e-10 if abs(balance) < 10 else 2e-9)
        C1, C2 = flow(t).gram()
        mine1, mine2 = solution.weights(t).gram()
        np.testing.assert_allclose(mine1, C1, atol=2e-10 * max(10, abs(balance)))
        np.testing.assert_allclose(mine2, C2, atol=2e-10 * max(10, abs(balance)))


@pytest.mark.parametrize(
    ("d_out", "d_in", "balance"), [(6, 6, 2.0), (5, 8, 3.0), (5, 8, -3.0), (8, 5, 200.0), (4, 6, -1e6)]
)
def test_a_network_as_wide_as_its_larger_layer_needs_is_equation_1_at_any_time(d_out, d_in, balance):
    Y, A = drawn(d_out, d_in, min(d_out, d_in))
    solution = BalancedSolution(Y, balanced_weights(A, balance, 50), balance)
    closed = SelfConsistentSolution(Y, A, abs(balance) / 2)
    for t in np.geomspace(1e-3, 30, 12) / (1 + abs(balance)):
        # Both are exact: rounding, at the scale of the target.
        np.testing.assert_allclose(solution.A(t), closed.A(t), atol=1e-12 * np.abs(Y).max())


def test_a_narrower_network_is_not():
    Y, A = drawn(6, 6, 4)
    solution = BalancedSolution(Y, balanced_weights(A, 2.0, 4), 2.0)
    assert np.abs(solution.A(3.0) - SelfConsistentSolution(Y, A, 1.0).A(3.0)).max() > 0.5


def test_a_perfectly_balanced_network_of_any_width_obeys_equation_1_with_a_threshold_of_0():
    Y, A = drawn(6, 6, 3)
    network = BalancedSolution(Y, balanced_weights(A, 0.0, 3), 0.0).weights(0.4)
    A = network.product()
    np.testing.assert_allclose(network.velocity(A - Y), velocity(A, Y, 0.0), atol=1e-13 * np.abs(Y).max() * 100)


def test_modes_without_target_fade_where_nothing_is_unbalanced():
    # Y of rank 1, lambda = 0: eigenvalues of F are 0 there.
    Y = np.zeros((4, 5))
    Y[0, 0] = 2.0
    _, A = drawn(4, 5, 4)
    start = balanced_weights(A, 0.0, 4)
    flow = naive.gradient_flow(lambda A: A - Y, start, 2.0)
    np.testing.assert_allclose(BalancedSolution(Y, start, 0.0).A(2.0), flow(2.0).product(), atol=1e-10)


def test_times_may_be_asked_for_in_any_order_and_are_those_of_a_single_march():
    Y, A = drawn(4, 8, 4)
    start = balanced_weights(A, -20.0, 4)
    solution = BalancedSolution(Y, start, -20.0)
    for t in (5.0, 1.0, 30.0, 0.0, 29.0, 60.0, 2.0, 31.0, 90.0, 120.0, 7.0):
        np.testing.assert_allclose(solution.A(t), BalancedSolution(Y, start, -20.0).A(t), atol=1e-12 * np.abs(Y).max())


@pytest.mark.parametrize("t", [-1.0, np.inf, np.nan])
def test_a_time_that_is_none_is_refused(t):
    Y, A = drawn(4, 4, 4)
    with pytest.raises(LinphaseError, match="a finite time of at least 0"):
        BalancedSolution(Y, balanced_weights(A, 1.0, 4), 1.0).weights(t)


# ---------------------------------------------------------------------------------------- lazy, and rich but late


def kernel_distance(one: Weights, other: Weights) -> float:
    kernels = [Kernel.of(each) for each in (one, other)]
    first, second = (each / kernel_norm(each) for each in kernels)
    return kernel_norm(first - second) ** 2 / 2


def at_the_end(d_out: int, d_in: int, balance: float, draws: int = 24) -> float:
    """The mean kernel distance to the start, at a residual of 1e-3, of networks of width 4."""
    found = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        Y, A = rng.standard_normal((d_out, d_in)), 0.05 * rng.standard_normal((d_out, d_in))
        start = balanced_weights(A, balance, 4)
        solution, t = BalancedSolution(Y, start, balance), 50.0
        while np.linalg.norm(solution.A(t) - Y) > 1e-3 * np.linalg.norm(Y):
            t *= 2
        found.append(kernel_distance(solution.weights(t), start))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("shape", "balance", "expected", "error"),
    # Domine et al. 2024: means of 400 draws, and 4 standard errors of 24.
    [
        ((4, 4), 10.0, 0.0012, 0.0008),
        ((4, 4), -10.0, 0.0012, 0.0008),
        ((4, 8), 10.0, 0.0020, 0.0010),
        ((4, 8), -10.0, 0.473, 0.07),
        ((4, 8), -100.0, 0.501, 0.075),
        ((8, 4), -10.0, 0.0020, 0.0010),
        ((8, 4), 10.0, 0.473, 0.07),
    ],
)
def test_large_lambda_is_lazy_or_rich_by_its_sign_and_the_shape(shape, balance, expected, error):
    assert at_the_end(*shape, balance) == pytest.approx(expected, abs=error)


def test_the_delay_is_linear_in_lambda():
    def delays(balance: float) -> list[float]:
        """Times to a residual of 10 % at s = 1, over |lambda|: d_out = 3, d_in = 6, width 3."""
        found = []
        for seed in range(8):
            rng = np.random.default_rng(seed)
            U = np.linalg.qr(rng.standard_normal((3, 3)))[0]
            Y = U @ np.linalg.qr(rng.standard_normal((6, 6)))[0][:, :3].T
            A = 0.05 * rng.standard_normal((3, 6))
            solution = BalancedSolution(Y, balanced_weights(A, balance, 3), balance)
            times = np.linspace(0, 8, 81) * abs(balance)
            left = [np.linalg.norm(solution.A(t) - Y) > 0.1 * np.linalg.norm(Y) for t in times]
            found.append(float(times[left.index(False)]) / abs(balance))
        return found

    for balance in (-10.0, -100.0, -1e6):
        assert np.median(delays(balance)) == pytest.approx(3.6, abs=0.15)  # steps of 0.1

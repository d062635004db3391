"""Every observable against its definition, on small full-width networks; kernels against explicit matrices."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.kernel import Kernel, kernel_norm
from linphase.model.moment import Moment
from linphase.model.network import Initialization, Weights, gaussian_start, reduce_width
from linphase.model.observables import (
    average_mode_rate,
    imbalance,
    imbalance_drift,
    kernel_change,
    kernel_distance,
    leading_singular_values,
    mode_speed_up,
    rank,
    self_consistency_residual,
    signal_started_above,
    singular_values_and_balance,
    stable_rank,
    subspace_overlap,
    target_alignment,
)
from linphase.model.task import Task
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Converged
from linphase.runs.training import train
from linphase.theory.cell import PredictedMoment
from linphase.theory.matrix import SelfConsistentSolution
from tests.naive import gradient_descent, gradient_flow, random_task, random_weights


def kernel_product(first: Kernel, second: Kernel) -> float:
    """<Theta, Theta'> = d_out <C1, C1'> + d_in <C2, C2'> + tr C1 tr C2' + tr C2 tr C1', the Frobenius product."""
    d_in, d_out = first.C1.shape[0], first.C2.shape[0]
    traces = np.trace(first.C1) * np.trace(second.C2) + np.trace(first.C2) * np.trace(second.C1)
    return float(d_out * np.vdot(first.C1, second.C1) + d_in * np.vdot(first.C2, second.C2) + traces)


def moment(weights, c=1.0, start=None):
    """A network at one time, of a task that does not matter."""
    task = random_task(weights.W2.shape[0], weights.W1.shape[1], 2, seed=0)
    before = None if start is None else moment(start)
    return Moment(task, weights.product(), c, min(*task.shape, weights.width), weights=weights, start=before)


def of_kernel(kernel, start=None, target=None):
    """A moment of which only the kernel is known."""
    d_out, d_in = kernel.C2.shape[0], kernel.C1.shape[0]
    target = np.zeros((d_out, d_in)) if target is None else target
    task = Task(signal=target, target=target, rank=1)
    before = None if start is None else of_kernel(start)
    return Moment(task, target, 1.0, min(d_out, d_in), gram=(kernel.C1, kernel.C2), start=before)


def of_values(s):
    """A moment of which only the singular values are known."""
    A = np.diag(s)
    return Moment(random_task(len(s), len(s), 1, seed=0), A, 1.0, len(s), factors=(np.eye(len(s)), s, np.eye(len(s))))


SHAPES = [(4, 4), (5, 3), (3, 5)]


def explicit(weights: Weights) -> np.ndarray:
    """The kernel as a matrix on stacked columns: dA/dW dA/dW^T from the Jacobian of A, entry by entry."""
    d_out, d_in = weights.W2.shape[0], weights.W1.shape[1]
    columns = []
    for name in ("W1", "W2"):
        parameter = getattr(weights, name)
        for index in np.ndindex(parameter.shape):
            unit = np.zeros_like(parameter)
            unit[index] = 1
            change = weights.W2 @ unit if name == "W1" else unit @ weights.W1
            columns.append(change.ravel(order="F"))
    jacobian = np.array(columns).T
    assert jacobian.shape[0] == d_out * d_in
    return jacobian @ jacobian.T


def pair(shape, width=7):
    d_out, d_in = shape
    return random_weights(width, d_out, d_in, 0.5, seed=1), random_weights(width, d_out, d_in, 0.3, seed=2)


# ---------------------------------------------------------------------------------------------------- the kernel


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_is_the_gram_matrix_of_the_jacobian_and_a_sum_of_kronecker_products(shape):
    d_out, d_in = shape
    weights, _ = pair(shape)
    kernel = Kernel.of(weights)
    kronecker = np.kron(np.eye(d_in), kernel.C2) + np.kron(kernel.C1, np.eye(d_out))
    np.testing.assert_allclose(kronecker, explicit(weights), atol=1e-13)
    G = np.random.default_rng(3).standard_normal(shape)
    np.testing.assert_allclose(kernel.apply(G).ravel(order="F"), kronecker @ G.ravel(order="F"), atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_products_and_norms_of_kernels_are_those_of_the_explicit_matrices(shape):
    one, other = pair(shape)
    K, L = explicit(one), explicit(other)
    assert kernel_product(Kernel.of(one), Kernel.of(other)) == pytest.approx(np.vdot(K, L), rel=1e-13)
    assert kernel_norm(Kernel.of(one)) == pytest.approx(np.linalg.norm(K), rel=1e-13)
    assert kernel_product(Kernel.of(one), Kernel.of(one)) == pytest.approx(kernel_norm(Kernel.of(one)) ** 2, rel=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_change_distance_and_alignment_are_those_of_the_explicit_matrices(shape):
    one, other = pair(shape)
    K, L = explicit(one), explicit(other)
    now, start = Kernel.of(one), Kernel.of(other)
    assert kernel_change(of_kernel(now, start)) == pytest.approx(np.linalg.norm(K - L) / np.linalg.norm(L), rel=1e-12)
    cosine = np.vdot(K, L) / np.linalg.norm(K) / np.linalg.norm(L)
    assert kernel_distance(of_kernel(now, start)) == pytest.approx(1 - cosine, rel=1e-10)
    y = random_task(*shape, 2, seed=4).target
    flat = y.ravel(order="F")
    expected = flat @ K @ flat / np.linalg.norm(K) / (flat @ flat)
    assert target_alignment(of_kernel(now, target=y)) == pytest.approx(expected, rel=1e-12)


def test_a_kernel_that_does_not_move_has_neither_change_nor_distance_and_one_that_grows_does_not_turn():
    weights, _ = pair((5, 3))
    kernel, twice = Kernel.of(weights), Kernel.of(Weights(np.sqrt(2) * weights.W1, np.sqrt(2) * weights.W2))
    assert kernel_change(of_kernel(kernel, kernel)) == kernel_distance(of_kernel(kernel, kernel)) == 0
    assert kernel_change(of_kernel(twice, kernel)) == pytest.approx(1)
    assert kernel_distance(of_kernel(twice, kernel)) < 1e-30


def test_shifting_one_layer_against_the_other_is_not_seen():
    # C1 + x I and C2 - x I are one and the same kernel.
    weights, _ = pair((5, 3))
    kernel = Kernel.of(weights)
    shifted = Kernel(kernel.C1 + 0.3 * np.eye(3), kernel.C2 - 0.3 * np.eye(5))
    assert kernel_change(of_kernel(shifted, kernel)) < 1e-15
    assert kernel_distance(of_kernel(shifted, kernel)) < 1e-30


@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-8])
def test_a_small_kernel_distance_keeps_its_digits(size):
    # To second order 1 - cos = ||part of the change orthogonal to Theta_0||^2/(2 ||Theta_0||^2).
    start, step = (Kernel.of(w) for w in pair((5, 3)))
    now = Kernel(start.C1 + size * step.C1, start.C2 + size * step.C2)
    K, L = (explicit(w) for w in pair((5, 3)))
    orthogonal = L - np.vdot(K, L) / np.vdot(K, K) * K
    expected = size**2 * np.vdot(orthogonal, orthogonal) / (2 * np.vdot(K, K))
    assert kernel_distance(of_kernel(now, start)) == pytest.approx(expected, rel=1e-2 if size > 1e-5 else 1e-4)


def test_target_alignment_has_its_stated_extremes():
    u, v = np.array([1.0, 2, 2]) / 3, np.array([2.0, -1, 2]) / 3
    y = 7 * np.outer(u, v)
    identity, aligned = Kernel(np.eye(3), np.eye(3)), Kernel(np.outer(v, v), np.outer(u, u))
    assert target_alignment(of_kernel(identity, target=y)) == pytest.approx(1 / 3)
    assert target_alignment(of_kernel(aligned, target=y)) == pytest.approx(np.sqrt(2 / (3 + 1)))
    assert target_alignment(of_kernel(identity, target=np.zeros((3, 3)))) == 0


def test_single_precision_weights_have_a_kernel_in_double():
    weights, _ = pair((5, 3))
    kernel = Kernel.of(weights.astype(np.float32))
    assert kernel.C1.dtype == kernel.C2.dtype == np.float64


# ------------------------------------------------------------------------------------------------------- balance


def test_the_conserved_matrix_stays_under_flow_and_drifts_at_first_order_under_descent():
    task, start = random_task(5, 3, 2, seed=5), random_weights(7, 5, 3, 0.3, seed=6)
    path = gradient_flow(task, start, 2.0)
    assert imbalance_drift(moment(path(2.0), start=start)) < 1e-10
    assert imbalance_drift(moment(start, start=start)) == 0

    def drift(rate):
        moved = gradient_descent(task, start, rate, round(1 / rate), "simultaneous")[-1]
        return imbalance_drift(moment(moved, start=start))

    assert drift(2e-3) / drift(1e-3) == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_imbalance_is_that_of_its_definition_and_of_the_identity_that_loses_digits(shape):
    weights, _ = pair(shape)
    C1, C2 = weights.gram()
    by_identity = np.vdot(C1, C1) + np.vdot(C2, C2) - 2 * np.sum(weights.product() ** 2)
    expected = np.sqrt(by_identity) / (np.linalg.norm(C1) + np.linalg.norm(C2))
    assert imbalance(moment(weights)) == pytest.approx(expected, rel=1e-12)
    W1, W2 = weights.W1, weights.W2
    np.testing.assert_allclose(moment(weights).conserved, W1 @ W1.T - W2.T @ W2, atol=1e-14)


def test_imbalance_is_none_for_balanced_layers_and_one_without_a_layer():
    U, s, Vt = np.linalg.svd(random_task(5, 3, 2, seed=7).target, full_matrices=False)
    balanced = Weights(np.sqrt(s)[:, None] * Vt, U * np.sqrt(s))
    assert imbalance(moment(balanced)) < 1e-15
    assert imbalance(moment(Weights(balanced.W1, np.zeros((5, 3))))) == pytest.approx(1)


def test_balance_and_kernel_do_not_see_the_width_reduction():
    full = random_weights(40, 5, 3, 0.2, seed=8)
    reduced = reduce_width(full)
    assert reduced.width == 8
    assert imbalance(moment(reduced)) == pytest.approx(imbalance(moment(full)), rel=1e-12)
    assert kernel_norm(Kernel.of(reduced)) == pytest.approx(kernel_norm(Kernel.of(full)), rel=1e-12)


# ------------------------------------------------------------------------------------- modes and self-consistency


def test_ranks_are_the_definitions():
    s = np.array([5.0, 3.0, 1.01, 0.99, 0.0])
    assert stable_rank(of_values(s)) == pytest.approx(np.sum(s**2) / 25)
    assert rank(of_values(s)) == 3
    assert (stable_rank(of_values(np.zeros(3))), rank(of_values(np.zeros(3)))) == (0, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [2, 7])
def test_mode_balance_and_speed_up_are_the_definitions(shape, width):
    task, weights = random_task(*shape, 2, seed=9), random_weights(width, *shape, 0.5, seed=10)
    n = min(*shape, width)
    C1, C2 = weights.gram()
    U, s, Vt = np.linalg.svd(weights.product())
    balance = [2 * s[i] / (U[:, i] @ C2 @ U[:, i] + Vt[i] @ C1 @ Vt[i]) for i in range(n)]
    found, b = singular_values_and_balance(weights, 99)
    np.testing.assert_allclose(found, s[:n], rtol=1e-12)
    np.testing.assert_allclose(b, balance, rtol=1e-12)
    np.testing.assert_allclose(leading_singular_values(weights, 99), s[:n], rtol=1e-12)
    assert len(leading_singular_values(weights, 1)) == 1

    U, _, Vt = np.linalg.svd(task.target)
    rate = np.trace(C1) / shape[1] + np.trace(C2) / shape[0]
    assert average_mode_rate(weights) == pytest.approx(rate, rel=1e-13)
    speed_up = [(U[:, i] @ C2 @ U[:, i] + Vt[i] @ C1 @ Vt[i]) / rate for i in range(n)]
    np.testing.assert_allclose(mode_speed_up(weights, task, rate), speed_up, rtol=1e-12)


def balanced_moment(shape, c, C1_shift=0.0, C2_shift=0.0):
    """The moment of the 2c-balanced network that follows equation (1), on its way, with shifts of its gram matrices."""
    task, A0 = random_task(*shape, 2, seed=12), random_task(*shape, 2, seed=14).target
    mixed = SelfConsistentSolution(task.target, A0, c).weights(0.3 / np.hypot(c, 3))
    C1, C2 = mixed.gram()
    gram = C1 + C1_shift * np.eye(shape[1]), C2 + C2_shift * np.eye(shape[0])
    return Moment(task, mixed.product(), c, min(shape), gram=gram)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", [1e-3, 0.7, 50.0])
def test_the_self_consistency_residual_is_that_of_the_explicit_matrices(shape, c):
    d_out, d_in = shape
    weights, _ = pair(shape)
    A, K = weights.product(), explicit(weights)
    C1, C2 = (sqrtm(square + c**2 * np.eye(len(square))).real for square in (A.T @ A, A @ A.T))
    expected = np.linalg.norm(K - np.kron(np.eye(d_in), C2) - np.kron(C1, np.eye(d_out))) / np.linalg.norm(K)
    assert self_consistency_residual(moment(weights, c)) == pytest.approx(
        expected, rel=1e-6
    )  # sqrtm has half the digits


@pytest.mark.parametrize("shape", SHAPES)
def test_the_self_consistency_residual_does_not_see_how_the_layers_share_a_shift(shape):
    weights, _ = pair(shape)
    C1, C2 = weights.gram()

    def shifted(x):
        gram = C1 + x * np.eye(len(C1)), C2 - x * np.eye(len(C2))
        return self_consistency_residual(Moment(random_task(*shape, 2, seed=0), weights.product(), 0.7, 3, gram=gram))

    for x in (-0.6, 0.3, 40.0):  # rounding is that of the shifted entries
        assert shifted(x) == pytest.approx(shifted(0.0), rel=1e-14 * (1 + abs(x)))


def test_the_self_consistency_residual_falls_with_the_width_like_a_sample_covariance():
    # Before training Theta = 2c and the deviation of C1 and C2 from c is that of two sample covariances of d = 6:
    # ||C - c||^2 = c^2 d (d + 1)/width each, and their traces add, so the residual is sqrt(7/(2 width)), nearly.
    def residual(width):
        weights = random_weights(width, 6, 6, 1 / width, seed=11)
        return self_consistency_residual(moment(weights, 1.0))

    assert residual(10_000) == pytest.approx(np.sqrt(7 / 20_000), rel=0.3)
    assert residual(10_000) / residual(1_000_000) == pytest.approx(10, rel=0.3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", [1e-3, 0.4, 30.0, 1e12])
def test_the_2c_balanced_network_is_self_consistent_whatever_the_shift_between_its_layers(shape, c):
    # C1 = -c + sqrt(A^T A + c^2), C2 = c + sqrt(A A^T + c^2); where a mode has to reverse its sign, as from this start,
    # the solution itself loses digits as ||Y||/c.
    rounding = 1e-15 * (10 + 10 / c)
    assert self_consistency_residual(balanced_moment(shape, c)) < rounding
    assert self_consistency_residual(balanced_moment(shape, c, c, -c)) < rounding
    assert self_consistency_residual(balanced_moment(shape, c, C2_shift=c)) > 1e3 * rounding  # one layer's is seen


@pytest.mark.parametrize("c", [1e-200, 1e-9, 2.0, 1e12, 1e200])
def test_theory_is_self_consistent_exactly(c):
    task = random_task(5, 3, 2, seed=12)
    at_end = PredictedMoment.at(task, np.array([5.0, 1.0, 1e-3]), c)
    assert self_consistency_residual(at_end) == 0


def test_the_self_consistent_dynamics_has_no_residual_where_flow_has_that_of_its_width():
    task, start = draw_task(TaskConfig(dimension=16, rank=2)), Initialization.at(16, gamma_sigma2=-1.5, gamma_w=2.0)
    weights = gaussian_start(start, task.shape)
    flow, mixed, theory = (
        train(task, weights, GradientFlow()).observables,
        train(task, weights, SelfConsistent()).observables,
        predict(task, start, stop=Converged(), record=RecordConfig()).observables,
    )
    assert 0.03 < flow["self_consistency_residual"] < 1  # sqrt(d/width) = 1/4
    assert mixed["self_consistency_residual"] < 1e-13
    assert theory["self_consistency_residual"] == 0


@pytest.mark.parametrize(("width", "rank", "above"), [(9, 3, 2 / 3), (9, 1, 1.0), (1, 3, 1 / 3), (9, 5, 2 / 5)])
def test_the_share_that_started_above_counts_the_leading_modes_that_the_width_can_hold(width, rank, above):
    U, V = (np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0] for seed, d in ((1, 6), (2, 5)))
    s = np.array([3.0, 2.0, 1.0, 0.5, 0.1])[:width]
    A = (U[:, : s.size] * s) @ V[:, : s.size].T
    task = Task(signal=A, target=A, rank=rank)
    start = Moment(task, A, 1.5, min(5, width))
    end = Moment(task, np.zeros_like(A), 1.5, min(5, width), start=start)
    assert signal_started_above(end) == above
    assert "svd" not in vars(start)  # singular values alone
    np.testing.assert_allclose(start.singular_values[: s.size], s, rtol=1e-13)


def test_modes_start_above_in_narrow_networks_only_and_never_in_theory():
    task = draw_task(TaskConfig(dimension=24, rank=2))
    for width, started in ((4, 1.0), (24, 1.0), (240, 0.0)):  # s_max(A(0)) = c at width = 4.73 d
        start = Initialization.at(24, gamma_sigma2=-2.0, width=width)
        weights = gaussian_start(start, task.shape)
        s = np.linalg.svd(weights.product(), compute_uv=False)
        assert np.mean(s[:2] > start.threshold) == started
        for dynamics in (GradientFlow(), SelfConsistent()):
            assert train(task, weights, dynamics).observables["signal_started_above"] == started
        theory = predict(task, start, stop=Converged(), record=RecordConfig()).observables
        assert theory["signal_started_above"] == 0


def test_subspaces_overlap_fully_with_themselves_and_not_with_their_complements():
    rng = np.random.default_rng(13)
    U, V = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (6, 5))

    def overlap(U_star, V_star):
        signal = U_star @ np.diag([2.0, 1.0]) @ V_star.T
        task = Task(signal=signal, target=signal, rank=2)
        return subspace_overlap(Moment(task, signal, 1.0, 5, factors=(U[:, :5], np.ones(5), V)))

    assert overlap(U[:, :2], V[:, :2]) == pytest.approx(1)
    assert overlap(U[:, 2:4], V[:, 2:4]) == pytest.approx(0, abs=1e-14)
    assert overlap(U[:, 1:3], V[:, :2]) == pytest.approx((1 + 2) / 4)
    # Subspaces, not vectors: a rotation within them changes nothing.
    turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    assert overlap(U[:, :2] @ turn, V[:, :2] @ turn) == pytest.approx(1)


# ---------------------------------------------------------------------------------------------------- narrow networks


def test_the_overlap_of_a_network_too_narrow_for_the_signal_counts_only_its_own_modes():
    task = draw_task(TaskConfig(dimension=24, rank=3))
    start = Initialization.at(24, gamma_sigma2=-2.0, width=1)
    run = train(task, gaussian_start(start, task.shape), initialization=start)
    U, _, Vt = np.linalg.svd(run.A)
    U_star, _, V_star = task.signal_svd
    expected = (np.sum((U[:, 0] @ U_star) ** 2) + np.sum((Vt[0] @ V_star) ** 2)) / 6
    assert run.observables["subspace_overlap"] == pytest.approx(expected, rel=1e-12)
    assert run.minimum.observables["subspace_overlap_at_min"] <= 1 / 3 + 1e-12

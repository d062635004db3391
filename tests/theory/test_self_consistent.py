"""The closed form of equation (1) against integration, its invariants and limits; the modes against brute force."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm

from linphase.dynamics.gradient_flow import GradientFlow
from linphase.errors import LinphaseError
from linphase.model.network import Initialization, Weights
from linphase.theory.cell import convergence_time, predict_modes
from linphase.theory.matrix import SelfConsistentSolution, euler_step, velocity
from linphase.theory.mode import TargetModes, mode_time, mode_value, modes_from_zero
from tests.naive import gradient_flow, random_task

SHAPES = [(12, 12), (12, 9), (9, 12)]
EXTREME = [1e-10, 1e-5, 1.0, 1e5, 1e12]


def matrices(shape, seed=0, rank=None, scale=1.0):
    """A target with singular values up to about 5 to 10, and a start of a given rank."""
    rng = np.random.default_rng(seed)
    d_out, d_in = shape
    rank = min(shape) if rank is None else rank
    Y = 1.5 * rng.standard_normal(shape)
    A0 = rng.standard_normal((d_out, rank)) @ rng.standard_normal((rank, d_in)) / np.sqrt(max(rank, 1))
    return Y, scale * A0


def integrate(Y, A0, c, times):
    """Equation (1) by DOP853 at a relative error of 1e-12."""
    flow = solve_ivp(
        lambda _, y: velocity(y.reshape(Y.shape), Y, c).ravel(),
        (0, times[-1]), A0.ravel(), "DOP853", times, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return flow.y.T.reshape(-1, *Y.shape)


def start_to_limit(Y, c, n=7):
    """Times from well before to well after everything happens: rates lie between 2c and 2 sqrt(s_1^2 + c^2)."""
    return np.geomspace(1e-3, 10, n) / np.hypot(np.median(np.linalg.svd(Y, compute_uv=False)), c)


def rounding(Y, A0, c):
    """What rounding may cost: a mode that reverses its sign passes through values of about c."""
    size = np.linalg.norm(Y) + np.linalg.norm(A0)
    return 1e-13 * size * max(1, 1e-2 * size / c)


# ------------------------------------------------------------------------------------------ the matrix equation


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", [1e-3, 0.3, 30.0])
def test_velocity_is_the_right_hand_side_as_written(shape, c):
    Y, A = matrices(shape, rank=5)
    G, (d_out, d_in) = A - Y, shape
    left, right = sqrtm(A @ A.T + c**2 * np.eye(d_out)).real, sqrtm(A.T @ A + c**2 * np.eye(d_in)).real
    np.testing.assert_allclose(velocity(A, Y, c), -left @ G - G @ right, rtol=0, atol=1e-9 * np.linalg.norm(G))


def test_without_a_threshold_velocity_is_that_of_a_balanced_network():
    Y, A = matrices((12, 9), rank=5)
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    expected = -(U * s) @ U.T @ (A - Y) - (A - Y) @ (Vt.T * s) @ Vt
    np.testing.assert_allclose(velocity(A, Y, 0.0), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(velocity(np.zeros_like(Y), Y, 0.0), np.zeros_like(Y))


THRESHOLDS = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3]


def every_threshold_once(threshold):
    """The shapes at a threshold, one of them in the fast tests."""
    for index, shape in enumerate(SHAPES):
        fast = index == THRESHOLDS.index(threshold) % len(SHAPES)
        yield pytest.param(shape, threshold, marks=() if fast else pytest.mark.slow)


@pytest.mark.parametrize(("shape", "c"), [case for c in THRESHOLDS for case in every_threshold_once(c)])
def test_the_closed_form_agrees_with_dop853_from_a_random_start(shape, c):
    Y, A0 = matrices(shape)
    times = start_to_limit(Y, c)
    exact = SelfConsistentSolution(Y, A0, c)
    for t, expected in zip(times, integrate(Y, A0, c, times), strict=True):
        np.testing.assert_allclose(exact.A(t), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("scale", "rank"), [(1e-6, None), (20.0, None), (1.0, 3), (1.0, 0)])
@pytest.mark.parametrize("c", [1e-3, pytest.param(0.3, marks=pytest.mark.slow), 30.0])
def test_the_closed_form_agrees_with_dop853_from_small_large_and_low_rank_starts(scale, rank, c):
    Y, A0 = matrices((12, 9), rank=rank, scale=scale)
    times = start_to_limit(Y, c)
    exact = SelfConsistentSolution(Y, A0, c)
    for t, expected in zip(times, integrate(Y, A0, c, times), strict=True):
        np.testing.assert_allclose(exact.A(t), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("A0", "c", "t", "expected", "tolerance"),
    [
        ([[2, 1], [0, 1]], 1e-10, 0.25,
         [[2.740942354259319, 1.1276045074262628], [0.7267916938767209, 1.5601737563912188]], 1e-14),
        ([[1, 0], [2, 0]], 1e-10, 9,
         [[2.8566329319588317, 1.2319727889580292], [1.2319727889580292, 1.6246601430008025]], 1e-14),
        ([[1, 0], [2, -1]], 1e12, 5e-13,
         [[2.2642411176571153, 0.6321205588285577], [1.3678794411714423, 0.896361676485673]], 1e-14),
        # det A0 < 0 < det Y: a mode comes down to c and turns; rounding counts relative to c there.
        ([[1, 0], [2, -1]], 1e-4, 7,
         [[2.808772582478296, 1.309412507955465], [1.3094125079554677, 1.4993599698200923]], 1e-11),
        ([[1, 0], [2, -1]], 1e-10, 17,
         [[2.809565030268323, 1.308130253672411], [1.308130253672411, 1.5014347765959117]], 1e-5),
    ],
)  # fmt: skip
def test_extreme_thresholds_agree_with_eighty_digits(A0, c, t, expected, tolerance):
    """Of Y = [[3, 1], [1, 2]]; the formula of `SelfConsistentSolution`, evaluated as it stands by mpmath."""
    exact = SelfConsistentSolution(np.array([[3.0, 1], [1, 2]]), np.array(A0, float), c)
    np.testing.assert_allclose(exact.A(t), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", EXTREME)
def test_it_begins_at_the_start_and_ends_at_the_target_for_any_threshold(shape, c):
    Y, A0 = matrices(shape)
    exact = SelfConsistentSolution(Y, A0, c)
    np.testing.assert_allclose(exact.A(0.0), A0, rtol=0, atol=rounding(Y, A0, c))
    for t in (1e4, 1e6, np.inf):
        np.testing.assert_allclose(exact.A(t), Y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", EXTREME)
def test_from_zero_every_mode_of_the_target_follows_the_closed_form_of_one_mode(shape, c):
    Y, _ = matrices(shape)
    U, S, Vt = np.linalg.svd(Y, full_matrices=False)
    exact = SelfConsistentSolution(Y, np.zeros(shape), c)
    for t in start_to_limit(Y, c):
        expected = (U * mode_value(t, 0, S, c)) @ Vt
        # Absolutely to rounding, relative to c early: there A is still of the size of c or less.
        np.testing.assert_allclose(exact.A(t), expected, rtol=0, atol=1e-13 * np.linalg.norm(Y))


def test_modes_aligned_with_the_target_follow_the_closed_form_from_any_start():
    Y, _ = matrices((12, 9))
    U, S, Vt = np.linalg.svd(Y, full_matrices=False)
    s0 = np.linspace(0, 8, 9)
    exact = SelfConsistentSolution(Y, (U * s0) @ Vt, 0.1)
    for t in start_to_limit(Y, 0.1):
        np.testing.assert_allclose(exact.A(t), (U * mode_value(t, s0, S, 0.1)) @ Vt, rtol=0, atol=1e-12)


def test_a_start_opposite_to_the_target_crosses_zero():
    # The worst case of its conditioning: a mode must come down to c before it turns.
    Y = np.diag([3.0, 2.0, 1.0])
    times, c = np.geomspace(1e-2, 20, 8), 1e-3
    exact = SelfConsistentSolution(Y, -Y, c)
    for t, expected in zip(times, integrate(Y, -Y, c, times), strict=True):
        np.testing.assert_allclose(exact.A(t), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("c", EXTREME)
def test_repeated_and_vanishing_singular_values_are_no_exception(c):
    rng = np.random.default_rng(3)
    U, V = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (7, 5))
    S = np.array([3.0, 3.0, 3.0, 0.0, 0.0])
    Y = (U[:, :5] * S) @ V.T
    exact = SelfConsistentSolution(Y, np.zeros((7, 5)), c)
    for t in start_to_limit(Y, c):
        np.testing.assert_allclose(exact.A(t), (U[:, :5] * mode_value(t, 0, S, c)) @ V.T, rtol=0, atol=1e-12)
    if c < 1e-8:  # rounding of the start counts relative to c
        return
    aligned = SelfConsistentSolution(Y, (U[:, :5] * [1.0, 1, 2, 2, 0]) @ V.T, c)
    for t in start_to_limit(Y, c):
        expected = mode_value(t, [1.0, 1, 2, 2, 0], S, c)
        np.testing.assert_allclose(aligned.A(t), (U[:, :5] * expected) @ V.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("c", [1e-10, 0.1, 1e12])
def test_without_a_target_the_network_decays_mode_by_mode(c):
    _, A0 = matrices((9, 12))
    U, s0, Vt = np.linalg.svd(A0, full_matrices=False)
    exact = SelfConsistentSolution(np.zeros((9, 12)), A0, c)
    for t in (0.0, 1e-3, 0.1, 1.0, 10.0, 1e6):
        np.testing.assert_allclose(exact.A(t), (U * mode_value(t, s0, 0, c)) @ Vt, rtol=0, atol=1e-12)
    at_rest = SelfConsistentSolution(np.zeros((9, 12)), np.zeros((9, 12)), c)
    np.testing.assert_array_equal(at_rest.A(1.0), np.zeros((9, 12)))


def test_a_network_of_one_entry_is_one_mode():
    exact = SelfConsistentSolution(np.array([[3.0]]), np.array([[0.5]]), 0.2)
    assert exact.A(0.7)[0, 0] == pytest.approx(float(mode_value(0.7, 0.5, 3.0, 0.2)), rel=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", [1e-10, 1e-4, 1.0, 1e4, 1e12])
def test_restarted_on_its_way_it_goes_on_the_same(shape, c):
    Y, A0 = matrices(shape, rank=4)
    whole = SelfConsistentSolution(Y, A0, c)
    for first, second in pairwise(start_to_limit(Y, c)):
        restarted = SelfConsistentSolution(Y, whole.A(first), c).A(second - first)
        # A restart rounds A; what is lost below c in the empty directions of A0 grows back with the signal.
        tolerance = 1e-10 if c >= 1e-4 else 1e-3
        np.testing.assert_allclose(restarted, whole.A(second), rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_rotating_target_and_start_rotates_the_solution(shape):
    Y, A0 = matrices(shape)
    rng = np.random.default_rng(5)
    left, right = (np.linalg.qr(rng.standard_normal((d, d)))[0] for d in shape)
    rotated = SelfConsistentSolution(left @ Y @ right.T, left @ A0 @ right.T, 0.3)
    exact = SelfConsistentSolution(Y, A0, 0.3)
    for t in start_to_limit(Y, 0.3):
        np.testing.assert_allclose(rotated.A(t), left @ exact.A(t) @ right.T, rtol=0, atol=1e-11)


def test_transposing_target_and_start_transposes_the_solution():
    # Equation (1) treats both sides alike; the 2c-balanced network, whose width is d_out, does not.
    Y, A0 = matrices((12, 9))
    for t in start_to_limit(Y, 0.3):
        np.testing.assert_allclose(
            SelfConsistentSolution(Y.T, A0.T, 0.3).A(t), SelfConsistentSolution(Y, A0, 0.3).A(t).T, rtol=0, atol=1e-11
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", EXTREME)
def test_its_weights_stay_2c_balanced_and_carry_the_square_roots_of_the_equation(shape, c):
    Y, A0 = matrices(shape)
    d_out, d_in = shape
    exact = SelfConsistentSolution(Y, A0, c)
    for t in (0.0, *start_to_limit(Y, c), 1e6):
        w = exact.weights(t)
        A, (C1, C2) = w.product(), w.gram()
        U, s, Vt = np.linalg.svd(A)
        s_out, s_in = np.zeros(d_out), np.zeros(d_in)
        s_out[: s.size] = s_in[: s.size] = s
        tolerance = rounding(Y, A0, c) + 1e-13 * c
        imbalance = w.W2.T @ w.W2 - w.W1 @ w.W1.T
        np.testing.assert_allclose(imbalance, 2 * c * np.eye(d_out), rtol=0, atol=tolerance)
        np.testing.assert_allclose(C2, (U * (c + np.hypot(s_out, c))) @ U.T, rtol=0, atol=tolerance)
        np.testing.assert_allclose(C1, (Vt.T * (np.hypot(s_in, c) - c)) @ Vt, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("d_out", "d_in"), [(8, 8), (8, 6), (6, 8)])
def test_gradient_flow_of_its_weights_follows_it(d_out, d_in):
    task, c = random_task(d_out, d_in, 2, seed=1), 0.5
    A0 = 0.3 * np.random.default_rng(2).standard_normal((d_out, d_in))
    exact = SelfConsistentSolution(task.target, A0, c)
    flow = GradientFlow(tolerance=1e-5, max_evaluations=20_000)
    initialization = Initialization.at(np.sqrt(d_out * d_in), init_variance=c / d_out, width=d_out)
    worst = 0.0
    for state in flow.states(task, exact.weights(0.0), initialization):
        deviation = state.weights.product() - exact.A(state.time)
        worst = max(worst, float(np.linalg.norm(deviation) / np.linalg.norm(task.target)))
        if state.time > 3:
            break
    assert worst < 1e-3


@pytest.mark.parametrize(("d_out", "d_in"), [(5, 5), (5, 3), (3, 5)])
@pytest.mark.parametrize("c", [0.05, 1.0, 20.0])
def test_the_flow_of_orthogonal_layers_is_the_self_consistent_equation_from_zero(d_out, d_in, c):
    # docs/theory.md, "The self-consistent equation":
    # [W1 | W2^T] = sqrt(c) I is the reduced start of an infinitely wide network.
    task, X0 = random_task(d_out, d_in, 2, seed=3), np.sqrt(c) * np.eye(d_in + d_out)
    times = start_to_limit(task.target, c)
    path = gradient_flow(task, Weights(X0[:, :d_in], X0[:, d_in:].T), times[-1])
    exact = SelfConsistentSolution(task.target, np.zeros((d_out, d_in)), c)
    for t in times:
        A, (_, C2) = exact.A(t), path(t).gram()
        np.testing.assert_allclose(path(t).product(), A, rtol=0, atol=1e-9)
        np.testing.assert_allclose(C2 @ C2, A @ A.T + c**2 * np.eye(d_out), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_the_euler_iteration_converges_to_it_at_first_order(c):
    Y, A0 = matrices((9, 12), scale=0.3)
    end = 0.5 / np.hypot(np.linalg.norm(Y, 2), c)
    exact = SelfConsistentSolution(Y, A0, c).A(end)
    errors = []
    for steps in (100, 200, 400, 800):
        A = A0
        for _ in range(steps):
            A = euler_step(A, A - Y, c, end / steps)
        errors.append(np.linalg.norm(A - exact))
    order = -np.polyfit(np.log([100, 200, 400, 800]), np.log(errors), 1)[0]
    assert order == pytest.approx(1, abs=0.02)


def test_a_small_threshold_gives_the_balanced_flow_and_a_large_one_the_lazy_exponential():
    Y, A0 = matrices((9, 9))
    times = np.array([0.01, 0.1, 0.3])
    balanced = SelfConsistentSolution(Y, A0, 1e-10)
    for t, expected in zip(times, integrate(Y, A0, 0.0, times), strict=True):
        np.testing.assert_allclose(balanced.A(t), expected, rtol=0, atol=1e-8)
    lazy = SelfConsistentSolution(Y, A0, 1e12)
    for x in (0.1, 1.0, 5.0):
        np.testing.assert_allclose(lazy.A(x / 2e12), Y + np.exp(-x) * (A0 - Y), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 2)), np.zeros((2, 3)), 1.0), "one shape"),
        ((np.full((2, 2), np.nan), np.zeros((2, 2)), 1.0), "finite"),
        ((np.eye(2), np.eye(2), 0.0), "positive and finite, found 0.0"),
        ((np.eye(2), np.eye(2), np.inf), "positive and finite"),
    ],
)
def test_what_has_no_solution_is_refused(arguments, message):
    with pytest.raises(LinphaseError, match=message):
        SelfConsistentSolution(*arguments)


def test_times_before_the_start_are_refused():
    for t in (-1.0, np.nan):
        with pytest.raises(LinphaseError, match="0 or later"):
            SelfConsistentSolution(np.eye(2), np.eye(2), 1.0).weights(t)


def test_its_weights_are_a_network():
    w = SelfConsistentSolution(*matrices((12, 9)), 1.0).weights(0.1)
    assert isinstance(w, Weights)
    assert (w.W1.shape, w.W2.shape) == ((12, 9), (12, 12))


# -------------------------------------------------------------------------------------------- modes from A = 0


@pytest.mark.parametrize("c", [1e-14, 1e-10, 1e-3, 1.0, 1e3, 1e12])
def test_modes_from_zero_are_the_closed_form_of_one_mode(c):
    S = np.array([0.0, 1e-9, 1e-3, 1.0, 7.0, 90.0])
    for share in (0.0, 1e-12, 1e-6, 1e-2, 0.3, 3.0, 30.0, 1e6, np.inf):
        t = share / np.hypot(S, c)
        ours = np.array([modes_from_zero(t[i], S[i : i + 1], c)[0] for i in range(S.size)])
        np.testing.assert_allclose(ours, mode_value(t, 0, S, c), rtol=1e-13, atol=0)
    assert modes_from_zero(np.ones((3, 4)), S, c).shape == (3, 4, 6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_errors_of_the_modes_are_those_of_the_matrix(shape):
    task = random_task(*shape, 2, seed=4)
    modes, c = TargetModes.of(task), 0.7
    exact = SelfConsistentSolution(task.target, np.zeros(shape), c)
    for t in (0.0, 0.03, 0.3, 3.0):
        s, A = modes_from_zero(t, modes.values, c), exact.A(t)
        assert modes.train_error(s) == pytest.approx(np.mean((A - task.target) ** 2), rel=1e-10, abs=1e-14)
        assert modes.test_error(s) == pytest.approx(np.mean((A - task.signal) ** 2), rel=1e-10)
        h = 1e-6
        later = modes_from_zero([max(t - h, 0), t + h], modes.values, c)
        slope = np.diff(modes.test_error(later))[0] / (h + min(t, h))
        assert modes.test_error_slope(s, c) == pytest.approx(slope, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("c", [1e-10, 1e-4, 0.05, 1.0, 4.0, 20.0, 1e3, 1e12])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0, 5.0])
def test_the_prediction_agrees_with_a_dense_search_over_time(c, noise):
    task = random_task(24, 30, 3, seed=5, noise=noise)
    modes, excess = TargetModes.of(task), 1e-3 * (noise**2 or task.signal_strength)
    p = predict_modes(modes, c, excess)

    assert modes.excess(modes_from_zero(p.final_time, modes.values, c)) == pytest.approx(excess, rel=1e-9)
    times = np.linspace(0, p.final_time, 10_001)
    errors = modes.test_error(modes_from_zero(times, modes.values, c))
    assert p.min_test_error <= errors.min() * (1 + 1e-12)
    assert p.min_test_error == pytest.approx(errors.min(), rel=1e-4)
    best = modes_from_zero(p.time_at_min, modes.values, c)
    assert p.min_test_error == pytest.approx(modes.test_error(best), rel=1e-12)
    np.testing.assert_allclose(p.singular_values_at_min, best, rtol=1e-12)
    assert p.final_train_error == pytest.approx(excess, rel=1e-9)
    assert p.final_test_error == pytest.approx(errors[-1], rel=1e-12)

    # The modes that have a target to fit are there at the times said, to the last digits.
    fitted = modes.values > 1e-9
    for time, level in ((p.escape_time, modes.values / 2), (p.convergence_time, 0.95 * modes.values)):
        reached = [modes_from_zero(t, S[None], c)[0] for t, S in zip(time, modes.values, strict=True)]
        np.testing.assert_allclose(np.array(reached)[fitted], level[fitted], rtol=1e-11)
    np.testing.assert_array_equal(np.isfinite(p.crossing_time), modes.values > c)
    s = p.singular_values
    np.testing.assert_allclose(p.balance, s / np.sqrt(s**2 + c**2), rtol=1e-12)
    np.testing.assert_allclose(p.speed_up, np.sqrt(1 + s**2 / c**2), rtol=1e-12)
    # The three measures of "active" are one in theory.
    np.testing.assert_array_equal(p.balance > 1 / np.sqrt(2), s > c)


def test_a_narrow_network_is_predicted_by_the_modes_it_can_hold():
    task = random_task(24, 30, 3, seed=6)
    modes = TargetModes.of(task, width=7)
    p = predict_modes(modes, 0.5, 1e-3)
    assert p.singular_values.size == 7
    assert p.final_train_error == pytest.approx(task.train_error_floor(7) + 1e-3, rel=1e-9)
    U, _, V = task.solution_svd
    A = (U[:, :7] * p.singular_values) @ V[:, :7].T
    assert p.final_test_error == pytest.approx(np.mean((A - task.signal) ** 2), rel=1e-10)


def test_the_prediction_of_a_target_within_the_bound_already_is_the_start():
    task = random_task(5, 5, 1, seed=7)
    p = predict_modes(TargetModes.of(task), 1.0, excess=10 * float(np.mean(task.target**2)))
    assert (p.final_time, p.time_at_min, p.singular_values_at_min.max()) == (0, 0, 0)
    assert p.min_test_error == pytest.approx(task.signal_strength)


def test_convergence_of_one_mode_is_the_inverse_of_its_curve():
    modes = TargetModes(np.array([3.0]), np.array([2.0]), np.ones(1), unseen=0.0, floor=0.0, size=1)
    expected = mode_time(2.9, 0, 3.0, 0.4)
    assert convergence_time(modes, 0.4, 0.1**2) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(("c", "excess"), [(0.0, 1e-3), (1.0, 0.0), (np.inf, 1e-3), (1.0, 1e-40)])
def test_predictions_without_an_answer_are_refused(c, excess):
    with pytest.raises(LinphaseError, match="prediction"):
        predict_modes(TargetModes.of(random_task(5, 5, 1, seed=7)), c, excess)

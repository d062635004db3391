"""Samples as the loss sees them: R, T and rho^2, against the samples themselves."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linphase.dynamics.gradient_descent import GradientDescent
from linphase.errors import LinphaseError
from linphase.model.network import estimated_initialization, reduce_width
from linphase.model.task import Reduced, Task, of_samples, reduced
from tests import naive

D_OUT, D_IN = 3, 8


def samples(n, seed=0, d_in=D_IN, d_out=D_OUT):
    """Inputs whose features are correlated, of unequal sizes and not centered; outputs with noise."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d_in, d_in)) / np.sqrt(d_in)
    X = rng.standard_normal((n, d_in)) @ mix + 0.5
    teacher = np.random.default_rng(99).standard_normal((d_in, d_out))
    return X, X @ teacher + 0.3 * rng.standard_normal((n, d_out)) - 1


def seen(X, Y, center, whiten, held_out=None):
    """What the network is trained on, by definition: samples after centering and whitening of a training set."""
    means = (X.mean(axis=0), Y.mean(axis=0)) if center else (0, 0)
    centered = X - means[0]
    if whiten:
        _, s, Vt = np.linalg.svd(centered / np.sqrt(len(X)), full_matrices=False)
        Vt, s = Vt[s > 1e-12 * s[0]], s[s > 1e-12 * s[0]]
        root = (Vt.T / s) @ Vt
    else:
        root = np.eye(X.shape[1])
    return [((A - means[0]) @ root, B - means[1]) for A, B in ((X, Y), held_out or (X, Y))]


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("n", [5, D_IN, 40])
def test_descent_of_the_reduced_task_is_descent_on_the_samples_at_full_width(n, center, whiten):
    (X, Y), held_out = samples(n), samples(11, seed=1)
    task = Task.from_data(X, Y, *held_out, center=center, whiten=whiten)
    (X, Y), (X_test, Y_test) = seen(X, Y, center, whiten, held_out)
    weights = naive.random_weights(30, D_OUT, D_IN, 0.05, seed=2)
    steps, start = 400, estimated_initialization(weights)
    descent = GradientDescent(max_steps=steps)
    path = naive.gradient_descent(naive.on_samples(X, Y), weights, descent.rate(task, start), steps)
    deviation = task.deviations(np.float64)
    for state, exact in zip(descent.states(task, reduce_width(weights), start), path, strict=True):
        A, size = exact.product(), np.linalg.norm(path[-1].product())
        # 1e-12: rounding, some 400 steps of 1e-16 times what the samples amplify.
        np.testing.assert_allclose(state.weights.product(), A, atol=1e-12 * size)
        for C, expected in zip(state.weights.gram(), exact.gram(), strict=True):
            np.testing.assert_allclose(C, expected, atol=1e-12 * np.linalg.norm(expected))
        train = np.sum((X @ A.T - Y) ** 2) / n / task.size
        test = np.sum((X_test @ A.T - Y_test) ** 2) / 11 / task.held_out.size
        found = task.train_error(state.residual), task.test_error(deviation(state.residual, state.weights))
        for error, lost, expected in zip(found, task.irreducible_errors, (train, test), strict=True):
            assert error + lost == pytest.approx(expected, rel=1e-12)
    assert task.size == pytest.approx(D_OUT * np.sum(X**2) / n, rel=1e-12)
    assert task.held_out.size == pytest.approx(D_OUT * np.sum(X_test**2) / 11, rel=1e-12)


def test_alternating_updates_are_those_on_the_samples_too():
    X, Y = samples(20)
    task, weights = Task.from_data(X, Y), naive.random_weights(15, D_OUT, D_IN, 0.05, seed=2)
    descent = GradientDescent(learning_rate=0.01, max_steps=100, update="alternating")
    *_, last = descent.states(task, reduce_width(weights), estimated_initialization(weights))
    exact = naive.gradient_descent(naive.on_samples(X, Y), weights, 0.01, 100, "alternating")[-1].product()
    np.testing.assert_allclose(last.weights.product(), exact, atol=1e-12 * np.linalg.norm(exact))


def moments(task):
    """What does not hang on the signs of rows: Sigma, Y X^T/n and rho^2, of both sets."""
    sets = [Reduced(task.inputs, task.target, task.irreducible), *([task.held_out] if task.held_out else [])]
    return [np.r_[(a.inputs.T @ a.inputs).ravel(), (a.target @ a.inputs).ravel(), a.irreducible] for a in sets]


@given(n=st.integers(2, 30), cuts=st.sets(st.integers(1, 29)), center=st.booleans())
@settings(max_examples=50)
def test_samples_read_in_any_chunks_reduce_to_the_same(n, cuts, center):
    X, Y = samples(n)
    edges = [0, *sorted(cut for cut in cuts if cut < n), n]
    chunks = [(X[a:b], Y[a:b]) for a, b in pairwise(edges)]
    whole = moments(of_samples([(X, Y)], [(X, Y)], center=center))
    cut = moments(of_samples(chunks, chunks, center=center))
    for one, other in zip(whole, cut, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-13 * np.abs(one).max())  # rounding
    (X, Y), _ = seen(X, Y, center, whiten=False)
    expected = np.r_[(X.T @ X / n).ravel(), (Y.T @ X / n).ravel()]
    np.testing.assert_allclose(whole[0][:-1], expected, atol=1e-13 * np.abs(expected).max())
    fit = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    lost = np.sum((Y - fit) ** 2) / n
    assert whole[0][-1] == pytest.approx(lost, rel=1e-10, abs=1e-13 * np.sum(Y**2) / n)


def test_what_no_sample_tells_is_no_direction_of_the_task():
    X, Y = samples(30)
    X[:, 3], X[:, 5] = 0.0, X[:, 1] - 2 * X[:, 2]
    task = Task.from_data(X, Y)
    assert (task.modes, len(task.inputs)) == (min(D_OUT, 6), 6)
    np.testing.assert_allclose(task.solution, np.linalg.lstsq(X, Y, rcond=None)[0].T, atol=1e-12)


def test_the_solution_of_few_samples_is_the_smallest_that_fits_them():
    X, Y = samples(5)
    task = Task.from_data(X, Y)
    np.testing.assert_allclose(X @ task.solution.T, Y, atol=1e-12)
    np.testing.assert_allclose(task.solution, np.linalg.pinv(X).dot(Y).T, atol=1e-11)
    assert task.irreducible == pytest.approx(0, abs=1e-25)


@pytest.mark.parametrize("width", [0, 1, 2, 3])
def test_the_floor_of_a_width_is_that_of_reduced_rank_regression(width):
    # The best map of rank w projects the least-squares fit on the leading w of its principal outputs.
    X, Y = samples(40)
    task = Task.from_data(X, Y)
    fit = X @ task.solution.T
    _, _, Vt = np.linalg.svd(fit, full_matrices=False)
    best = fit @ Vt[:width].T @ Vt[:width]
    lost = np.sum((best - fit) ** 2) / 40 / task.size
    assert task.train_error_floor(width) == pytest.approx(lost, rel=1e-10, abs=1e-28)


def test_whitened_inputs_have_the_identity_for_covariance_on_what_they_span():
    for n, rank in ((40, D_IN), (5, 5)):
        task = Task.from_data(*samples(n), whiten=True)
        Sigma = task.inputs.T @ task.inputs
        np.testing.assert_allclose(Sigma @ Sigma, Sigma, atol=1e-13)
        assert np.trace(Sigma) == pytest.approx(rank)


@pytest.mark.parametrize("n", [5, 30])
def test_the_gradient_of_data_is_that_of_differences(n):
    X, Y = samples(n)
    task, rng, h = Task.from_data(X, Y), np.random.default_rng(1), 1e-6
    W2, W1 = rng.standard_normal((D_OUT, 4)), rng.standard_normal((4, D_IN))
    by_W2, by_W1 = task.gradient(W2, W1)

    def loss(W2, W1):
        return np.sum((X @ (W2 @ W1).T - Y) ** 2) / (2 * n)

    D2, D1 = rng.standard_normal(W2.shape), rng.standard_normal(W1.shape)
    along = (loss(W2 + h * D2, W1 + h * D1) - loss(W2 - h * D2, W1 - h * D1)) / (2 * h)
    assert np.sum(by_W2 * D2) + np.sum(by_W1 * D1) == pytest.approx(along, rel=1e-7)  # error h^2


def test_lists_and_integers_are_data_as_their_floats_are():
    X, Y = (np.rint(5 * each).astype(int) for each in samples(12))
    expected = moments(Task.from_data(X.astype(float), Y.astype(float), rank=2))[0]
    for given_X, given_Y in ((X, Y), (X.tolist(), Y.tolist()), (X.astype(np.int8), Y.astype(np.float32))):
        task = Task.from_data(given_X, given_Y, rank=2)
        np.testing.assert_array_equal(moments(task)[0], expected)
        assert task.target.dtype == np.float64


X, Y = samples(12)
SHORT, FEW, WRONG_COLUMNS = samples(5)[1], samples(12, d_in=3)[0], samples(4, d_in=5)


@pytest.mark.parametrize(("change", "told"), [
    ({"inputs": None}, "inputs must be a matrix (n, d) of numbers, found None"),
    ({"outputs": [[1.0], [1.0, 2.0]]}, "outputs must be a matrix (n, d) of numbers, found [[1.0], [1.0, 2.0]]"),
    ({"inputs": X[0]}, "inputs must be a matrix (n, d) of numbers, found an array of shape (8,)"),
    ({"inputs": X[None]}, "inputs must be a matrix (n, d) of numbers, found an array of shape (1, 12, 8)"),
    ({"inputs": X[:0], "outputs": Y[:0]}, "inputs must be a matrix (n, d) of numbers, found an array of shape (0, 8)"),
    ({"outputs": Y.astype(str)}, "outputs must be a matrix (n, d) of numbers, found an array of shape (12, 3)"),
    ({"outputs": Y.astype(object)}, "outputs must be a matrix (n, d) of numbers, found an array of shape (12, 3)"),
    ({"outputs": Y + 0j}, "outputs must be a matrix (n, d) of numbers, found an array of shape (12, 3)"),
    ({"inputs": np.where(X > 1, np.nan, X)}, "inputs must be finite, found NaN or infinity"),
    ({"outputs": np.where(Y > 1, np.inf, Y)}, "outputs must be finite, found NaN or infinity"),
    ({"outputs": SHORT}, "outputs must have as many rows as inputs, 12, found 5"),
    ({"test_inputs": X}, "test_inputs and test_outputs must be given together, found one of them"),
    ({"test_outputs": Y}, "test_inputs and test_outputs must be given together, found one of them"),
    ({"test_inputs": X, "test_outputs": SHORT}, "test_outputs must have as many rows as test_inputs, 12, found 5"),
    ({"test_inputs": FEW, "test_outputs": Y}, "test_inputs and test_outputs must have 8 and 3 columns, found 3 and 3"),
    ({"rank": True}, "rank must be an integer, found True"),
    ({"rank": 2.0}, "rank must be an integer, found 2.0"),
    ({"rank": 0}, "rank must be at least 1, or not given, found 0"),
    ({"rank": -1}, "rank must be from 1 to the smaller dimension, 3, found -1"),
    ({"rank": 4}, "rank must be from 1 to the smaller dimension, 3, found 4"),
    ({"outputs": 0 * Y}, "inputs that tell something of the outputs are required, found none"),
    ({"inputs": 0 * X}, "inputs that tell something of the outputs are required, found none"),
    ({"inputs": np.ones_like(X), "center": True}, "inputs that tell something of the outputs are required, found none"),
    ({"inputs": np.c_[X[:, :-1], np.ones(12)], "center": True, "whiten": True}, "inputs that vary in all 8 directions "
     "are required to whiten them, found 7: some features are constant, or sums of others. Leave these out"),
])  # fmt: skip
def test_what_is_no_data_is_told_by_the_name_of_the_argument(change, told):
    with pytest.raises(LinphaseError) as caught:
        Task.from_data(**{"inputs": X, "outputs": Y, **change})
    assert f"task: {told}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "told"), [
    ({"target": None}, "target must be a matrix (d_out, d_in) of numbers, found None"),
    ({"target": [[1.0], [1.0, 2.0]]}, "target must be a matrix (d_out, d_in) of numbers, found [[1.0], [1.0, 2.0]]"),
    ({"target": Y[:, 0]}, "target must be a matrix (d_out, d_in) of numbers, found an array of shape (12,)"),
    ({"target": np.where(Y > 1, np.nan, Y)}, "target must be finite, found NaN or infinity"),
    ({"signal": Y.T}, "signal and target must be matrices of one shape (d_out, d_in), found (3, 12) and (12, 3)"),
    ({"signal": "A.npy"}, "signal must be a matrix (d_out, d_in) of numbers, found 'A.npy'"),
    ({"rank": True}, "rank must be an integer, found True"),
    ({"rank": False}, "rank must be an integer, found False"),
    ({"rank": 0}, "rank must be at least 1, or not given, found 0"),
    ({"rank": 4}, "rank must be from 1 to the smaller dimension, 3, found 4"),
    ({"target": 0 * Y}, "target must be other than 0, found only zeros"),
])  # fmt: skip
def test_what_is_no_target_is_told_by_the_name_of_the_argument(change, told):
    with pytest.raises(LinphaseError) as caught:
        Task.from_target(**{"target": Y, **change})
    assert f"task: {told}" in str(caught.value)


def test_the_noise_of_a_target_is_what_is_left_beside_the_signal_or_beyond_the_rank():
    rng = np.random.default_rng(5)
    signal = 3 * rng.standard_normal((6, 2)) @ rng.standard_normal((2, 9))
    target = signal + 0.5 * rng.standard_normal((6, 9))
    beside = Task.from_target(target, signal)
    assert beside.rank == 2
    assert beside.noise == pytest.approx(np.sqrt(np.mean((target - signal) ** 2)), rel=1e-14)
    s = np.linalg.svd(target, compute_uv=False)
    assert Task.from_target(target, rank=2).noise == pytest.approx(np.sqrt(np.sum(s[2:] ** 2) / 54), rel=1e-12)
    for nothing_left in (Task.from_target(signal, rank=2), Task.from_target(target), Task.from_target(signal, signal)):
        assert nothing_left.noise == 0
        assert nothing_left.error_scale == pytest.approx(np.mean(nothing_left.target**2), rel=1e-14)
    for exact in (
        Task.from_target(rng.standard_normal((6, 9)), rank=6),
        Task.from_target(rng.standard_normal((1, 9)), rank=1),
    ):
        assert exact.noise == 0  # no bulk


def test_reduced_samples_of_no_row_in_common_add_up():
    # ||A X - Y||^2/n is what the samples say for every A, so any two reductions agree on it.
    X, Y = samples(13)
    fit, A = reduced([(X, Y)]), np.random.default_rng(3).standard_normal((D_OUT, D_IN))
    direct = np.sum((X @ A.T - Y) ** 2) / 13
    assert np.sum((fit.product(A) - fit.target) ** 2) + fit.irreducible == pytest.approx(direct, rel=1e-13)

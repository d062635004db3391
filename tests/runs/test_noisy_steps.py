"""Descent with fresh noise on the labels, and by batches of fresh samples: a ridge, a decay of D and a floor."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.noise import fresh_batches
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, gaussian_start, reduce_width
from linphase.model.observables import average_mode_rate, singular_values_and_balance
from linphase.model.task import Task
from linphase.runs.stopping import AtTime, Converged
from linphase.runs.training import train, train_spec
from linphase.store.rows import has_closed_form
from tests import naive

WIDE = 10**6


def diagonal_task(values, shape, noise=0.0):
    """A signal with these singular values in the directions of the axes, and E of a given noise."""
    signal = np.zeros(shape)
    np.fill_diagonal(signal, values)
    E = np.random.default_rng(1).standard_normal(shape)
    return Task(signal, signal + noise * E, rank=len(values), noise_level=noise)


def started_at(threshold, shape, seed=0):
    """A start so wide that it has no noise of its own."""
    start = Initialization.at(np.sqrt(np.prod(shape)), init_variance=threshold / WIDE, width=WIDE, seed=seed)
    return start, gaussian_start(start, shape, seed=seed)


def balance(weights):
    """D = W1 W1^T - W2^T W2."""
    return weights.W1 @ weights.W1.T - weights.W2.T @ weights.W2


# ------------------------------------------------------------------------------------------------- label noise


def stationary(values, shape, c, epsilon, eta, burn, steps):
    """Means over the steps after `burn` of diag(A), the train error and its floor; and the first and the last weights.

    The stationary mean of A - Y - epsilon Xi is that of the ridge alone, so the mean of Xi is taken off
    A: what is left fluctuates ten times less.
    """
    task = diagonal_task(values, shape)
    start, weights = started_at(c, shape)
    Xi = start.stream("label")
    descent = GradientDescent(learning_rate=eta, label_noise=epsilon, max_steps=burn + steps)
    found = np.zeros(2 + len(values))
    for state in descent.states(task, weights, start):
        drawn = Xi.standard_normal(shape)
        if state.step > burn:
            floor = eta * epsilon**2 * average_mode_rate(state.weights) / 2
            diagonal = np.diag(state.weights.product() - epsilon * drawn)
            found += (task.train_error(state.residual), floor, *diagonal)
    train_error, floor, *diagonal = found / steps
    return np.array(diagonal), train_error, floor, weights, state


@pytest.mark.parametrize(
    ("values", "shape", "eta"), [([3.0, 2.5, 2.0, 1.5], (4, 4), 8e-3), ([3.0, 2.5, 2.0], (3, 6), 5e-3)]
)
def test_label_noise_is_a_ridge(values, shape, eta):
    diagonal, train_error, floor, *_ = stationary(values, shape, 2.0, 1.0, eta, burn=1000, steps=9000)
    ridge = eta * np.sqrt(np.prod(shape)) / 2
    # First order in eta, and the fluctuation of a mean over 9000 steps: over 30000 it is 0.0160 for 0.016 and 0.01057
    # for 0.01061.
    assert np.mean(values - diagonal) == pytest.approx(ridge, rel=0.12)
    # 1/(1 - eta L/2) of the variance is 1.02 to 1.04, and some 400 to 1000 independent errors are averaged.
    assert train_error == pytest.approx(floor, rel=0.08)


def test_label_noise_brings_square_layers_into_balance_at_twice_the_rate_of_the_ridge():
    *_, before, state = stationary([3.0, 2.5, 2.0, 1.5], (4, 4), 2.0, 2.0, 2e-3, burn=0, steps=12000)
    D0, D = balance(before), balance(state.weights)
    left = np.sum(D * D0) / np.sum(D0**2)
    # exp(-2 l t) = 0.46 at eta r = 0.008; one path: 3 % of the logarithm where it was measured over 60.
    assert np.log(left) == pytest.approx(-2e-3 * 2.0**2 * 4 * state.time, rel=0.06)


def test_label_noise_leaves_rectangular_layers_as_unequal_as_their_dimensions():
    *_, state = stationary([3.0, 2.0], (2, 6), 1.0, 1.5, 1e-2, burn=0, steps=20000)
    W1, W2 = state.weights.W1, state.weights.W2
    assert np.sum(W1**2) / np.sum(W2**2) == pytest.approx(6 / 2, rel=0.05)


def test_label_noise_leads_out_of_the_lazy_regime_at_the_time_of_the_decay_with_its_factor():
    # c' = -2 l c/(1 - eta hypot(s, c)): here eta c = 0.4 at the start, and the time 6.64; without the factor 8.75.
    d, c, epsilon, eta = 8, 20.0, 1.0, 0.02
    values = np.linspace(6, 4, d)
    task, (start, weights) = diagonal_task(values, (d, d)), started_at(c, (d, d))
    ridge, threshold, time = eta * epsilon**2 * d / 2, c, 0.0
    while np.mean(values / np.hypot(values, threshold)) < np.sqrt(0.5):
        time += 1e-3
        threshold -= 1e-3 * 2 * ridge * threshold / (1 - eta * np.mean(np.hypot(values, threshold)))
    steps = round(4 / (2 * ridge) / eta)
    descent = GradientDescent(learning_rate=eta, label_noise=epsilon, max_steps=steps)
    moments = [
        (state.time, np.mean(singular_values_and_balance(state.weights, d)[1]))
        for state in descent.states(task, weights, start)
        if state.step % 10 == 0 and state.step
    ]
    times, balances = np.array(moments).T
    assert balances[0] < 0.3
    assert balances[-1] > 0.99
    crossed = times[np.argmax(balances > np.sqrt(0.5))]
    assert crossed == pytest.approx(time, rel=0.08)  # one noisy path; four of them have 6.5 to 7


@pytest.mark.slow
def test_phase_one_of_label_noise_as_it_was_measured_by_the_prototype():
    # d = 12, S = 4..6, c = 20, eps = 0.5, eta c = 0.1: b = 1/sqrt(2) at 87.7 measured, 87.5 with the factor.
    values, eta = np.linspace(6, 4, 12), 0.005
    task, (start, weights) = diagonal_task(values, (12, 12)), started_at(20.0, (12, 12))
    descent = GradientDescent(learning_rate=eta, label_noise=0.5, max_steps=53_333)
    crossed = None
    for state in descent.states(task, weights, start):
        if state.step % 100 == 0:
            mean = np.mean(singular_values_and_balance(state.weights, 12)[1])
            crossed = state.time if crossed is None and mean > np.sqrt(0.5) else crossed
    assert mean > 0.99
    assert crossed == pytest.approx(87.5, rel=0.03)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_label_noise_is_that_of_the_full_width_with_rates_scale_and_decay(update):
    task = draw_task(TaskConfig(dimension=6, output_dimension=4, rank=2))
    ratio, gamma, eta, epsilon = 0.3, 4.0, 0.02, 0.7
    start = Initialization.at(5, gamma_sigma2=-1.0, width=40, rate_ratio=ratio, richness=gamma)
    V = naive.random_weights(40, 4, 6, 0.05, seed=3)
    W = replace(V, W1=ratio**0.25 * gamma**0.5 * V.W1, W2=ratio**-0.25 * gamma**0.5 * V.W2)
    stream = start.stream("label")
    Xi = [stream.standard_normal(task.shape) for _ in range(200)]
    path = naive.with_knobs(
        task, W, eta, 200, update=update, rate_ratio=ratio, richness=gamma, decay=0.2, noise=lambda k: epsilon * Xi[k]
    )
    descent = GradientDescent(learning_rate=eta, update=update, label_noise=epsilon, weight_decay=0.2, max_steps=200)
    for state in descent.states(task, reduce_width(V), start):
        # Rounding of 200 steps; noise of other draws would move A by 0.1.
        np.testing.assert_allclose(state.weights.product(), path[state.step].product() / gamma, atol=1e-13 * 20)
    assert state.step == 200


# ----------------------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("size", [2, 8, 30])
def test_the_mean_square_of_the_residual_grows_by_batches_as_its_formula(size):
    # 1 - 2 k + k^2 (1 + (d + 1)/B), k = eta 2c, at A - k G in place of A: also where the triangular factor is drawn.
    d = 8
    random = np.random.default_rng(0)
    task = diagonal_task(np.ones(d), (d, d))
    W1, W2 = random.standard_normal((2, d, d))
    G = W2 @ W1 - task.signal
    gradient = fresh_batches(task, size, d, np.random.default_rng(1), "float64")
    growth, k = [], 2 / (1 + (d + 1) / size)
    for _ in range(4000):
        growth.append(np.sum((G - k * gradient(W1, W2, G)) ** 2) / np.sum(G**2))
    # At this k the formula says 1: the limit of stability. Its spread over batches is 0.3 to 1.
    assert np.mean(growth) == pytest.approx(1, abs=4 * np.std(growth) / np.sqrt(4000))
    assert np.std(growth) < 2


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_batches_are_unbiased_and_at_the_signal_nothing_but_label_noise(size, decay):
    task = draw_task(TaskConfig(dimension=5, rank=2, noise=2.0, input_decay=decay))
    signal, covariance = task.signal, np.diag(np.arange(1, 6.0) ** -decay)
    covariance *= 5 / np.trace(covariance)
    W1, W2 = np.eye(5), signal + 1.0
    gradient = fresh_batches(task, size, 5, np.random.default_rng(0), "float64")
    drawn = [gradient(W1, W2, signal).copy() for _ in range(6000)]
    error = np.std(drawn, axis=0) / np.sqrt(6000)
    assert np.all(np.abs(np.mean(drawn, axis=0) - np.ones((5, 5)) @ covariance) < 4.5 * error)
    drawn = [gradient(W1, signal, signal).copy() for _ in range(6000)]
    # At A* every entry of column j has the variance noise^2/B Sigma_jj, as label noise noise/sqrt(B) has.
    np.testing.assert_allclose(np.mean(np.square(drawn), axis=(0, 1)), 4 / size * np.diag(covariance), rtol=0.06)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_descent_by_batches_is_that_on_the_samples_themselves_at_any_width(update):
    task = draw_task(TaskConfig(dimension=6, output_dimension=4, rank=2, noise=0.5))
    start = Initialization.at(5, gamma_sigma2=-1.0, width=40)
    weights = naive.random_weights(40, 4, 6, 0.05, seed=3)
    stream = start.stream("batch")
    W1, W2 = weights.W1, weights.W2
    descent = GradientDescent(learning_rate=0.02, update=update, batch_size=3, max_steps=100)
    for state in descent.states(task, reduce_width(weights), start):
        np.testing.assert_allclose(state.weights.product(), W2 @ W1, atol=1e-12)
        X, E = stream.standard_normal((3, 6)).T, stream.standard_normal((4, 3))
        G = (W2 @ W1 @ X - task.signal @ X - 0.5 * E) @ X.T / 3
        new = W1 - 0.02 * W2.T @ G
        W1, W2 = new, W2 - 0.02 * G @ (new if update == "alternating" else W1).T
    assert state.step == 100


def test_noise_of_the_samples_is_label_noise_that_falls_with_the_root_of_the_batch():
    noise, size, eta, steps = 2.0, 4, 4e-3, 12000
    task, (start, weights) = diagonal_task([3.0, 2.5, 2.0, 1.5], (4, 4), noise), started_at(2.0, (4, 4))
    test_errors, floors = [], []
    for state in GradientDescent(learning_rate=eta, batch_size=size, max_steps=steps).states(task, weights, start):
        if state.step > 1000:
            test_errors.append(np.mean((state.weights.product() - task.signal) ** 2))
            floors.append(eta * noise**2 / size * average_mode_rate(state.weights) / 2)
    D0, D = balance(weights), balance(state.weights)
    left = np.sum(D * D0) / np.sum(D0**2)
    # 3 % and 2.5 % where it was measured over 30000 steps; the batch's own fluctuation adds eta 2c (d + 1)/B = 0.02.
    assert np.log(left) == pytest.approx(-eta * noise**2 / size * 4 * state.time, rel=0.1)
    assert np.mean(test_errors) == pytest.approx(np.mean(floors), rel=0.08)


def test_the_automatic_learning_rate_leaves_room_for_batches():
    task, (start, _) = diagonal_task([3.0, 2.0], (2, 6)), started_at(9.0, (2, 6))
    whole = GradientDescent().rate(task, start)
    assert GradientDescent(batch_size=3).rate(task, start) == pytest.approx(whole / (1 + 7 / 3))


# ----------------------------------------------------------------------------------------- how a run goes with it


def specs(dynamics, stop=(), grid=(), **task):
    """The runs of a small configuration."""
    grid = {"gamma_sigma2": -1.0, "gamma_w": 1.5, "replicates": 2, **dict(grid)}
    return list(
        parse_config(
            {
                "name": "noisy",
                "task": {"dimension": 6, "rank": 2, **task},
                "grid": grid,
                "dynamics": {"kind": "gd", **dynamics},
                "stop": dict(stop),
            }
        ).expand()
    )


@pytest.mark.parametrize("key", [{"label_noise": 0.5}, {"batch_size": 4}, {"batch_size": 50}])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_same_run_has_the_same_bits_and_another_one_other_noise(key, precision):
    stop = {"rule": "time", "time": 1.0}
    first, second = (
        replace(spec, run=replace_precision(spec, precision)) for spec in specs({**key, "learning_rate": 0.01}, stop)
    )
    runs = [train_spec(spec) for spec in (first, second, first)]
    np.testing.assert_array_equal(runs[0].A, runs[2].A)
    assert runs[0].trajectory.train_error.tolist() == runs[2].trajectory.train_error.tolist()
    plain = [train_spec(replace(spec, dynamics=GradientDescent(learning_rate=0.01))) for spec in (first, second)]
    moved = [run.A - its.A for run, its in zip(runs, plain, strict=False)]
    assert all(np.abs(each).max() > 1e-3 for each in moved)
    # Noise of two replicates is not alike.
    cosine = np.vdot(*moved) / np.prod([np.linalg.norm(each) for each in moved])
    assert abs(cosine) < 0.5


def replace_precision(spec, precision):
    return type(spec.run)(seed=spec.run.seed, precision=precision)


def test_noise_in_single_precision_is_that_in_double():
    runs = [
        train_spec(replace(spec, run=replace_precision(spec, precision)))
        for spec in specs({"label_noise": 0.5, "learning_rate": 0.01}, {"rule": "time", "time": 1.0})[:1]
        for precision in ("float32", "float64")
    ]
    # Rounding of 100 steps in single precision, at values of 10.
    np.testing.assert_allclose(runs[0].A, runs[1].A, atol=1e-4)
    assert runs[0].A.dtype == np.float64


@pytest.mark.parametrize(
    ("key", "noise", "excess"), [({"label_noise": 2.0}, 2.0, 1e-3), ({"batch_size": 16}, 1 / 16**0.5, 1e-4)]
)
def test_a_noisy_run_converges_where_only_its_noise_is_left(key, noise, excess):
    (spec, _) = specs({**key, "learning_rate": 2e-3}, {"excess_error": excess})
    run = train_spec(spec)
    assert run.status == "converged"
    rate = np.trace(run.C1) / 6 + np.trace(run.C2) / 6
    # The error that is lowered: with fresh samples that of the population.
    error = run.train_error if "label_noise" in key else run.test_error
    above = 2e-3 * noise**2 * rate / 2
    assert above > 2 * excess  # so that without it, it would not have been met
    assert 0.5 * above < error <= above + excess * (1 + 1e-9)


@pytest.mark.parametrize("noise", [30.0, 50.0])
def test_noise_above_the_start_is_no_reason_to_end_at_the_start(noise):
    # The noise adds nothing before the first step; its stationary level is above the error of the start here.
    (spec, _) = specs({"label_noise": noise, "learning_rate": 2e-3}, {"excess_error": 1e-3})
    run = train_spec(spec)
    assert run.updates > 0
    objective = spec.dynamics.objective(draw_task(spec.task), 6, spec.initialization)
    weights = gaussian_start(spec.initialization, (6, 6))
    first = average_mode_rate(weights)
    assert 2e-3 * noise**2 * first / 2 > run.trajectory.train_error[0]
    assert objective.of(np.zeros((6, 6)), weights, 5.0, 0.0) == 5.0
    assert objective.of(np.zeros((6, 6)), weights, 5.0, np.inf) == pytest.approx(5.0 - 2e-3 * noise**2 * first / 2)


def test_no_theory_from_zero_stands_beside_noisy_steps():
    row = {"dimension": 6, "rank": 1, "noise": 1.0, "width": 36}
    assert has_closed_form(row)
    assert not has_closed_form(row | {"label_noise": 0.1})
    assert not has_closed_form(row | {"batch_size": 4})


def test_without_noise_nothing_is_another_run():
    plain, told = (specs(key)[0] for key in ({}, {"label_noise": 0.0}))
    assert plain.run_id == told.run_id
    assert plain.run_id not in {specs(key)[0].run_id for key in ({"label_noise": 0.1}, {"batch_size": 8})}
    assert not plain.dynamics.stochastic
    assert all(specs(key)[0].dynamics.stochastic for key in ({"label_noise": 0.1}, {"batch_size": 8}))
    np.testing.assert_array_equal(train_spec(plain).A, train_spec(told).A)


@pytest.mark.parametrize(
    ("dynamics", "task", "grid", "told"),
    [
        ({"label_noise": 1.0, "batch_size": 8}, {}, {}, "must be 0 beside dynamics.batch_size"),
        ({"batch_size": 8}, {}, {"dynamics.label_noise": [0.0, 1.0]}, "must be 0 beside dynamics.batch_size"),
        ({"label_noise": 1.0}, {"input_decay": 1.0}, {}, "must be 0 beside task.input_decay, found 1.0"),
        ({"label_noise": 1.0}, {}, {"task.samples": [5, 9]}, "must be 0 beside task.samples, found 1.0"),
        ({"batch_size": 8}, {"samples": 20}, {}, "must not be given beside task.samples, found 8: fresh samples"),
        ({"kind": "flow", "label_noise": 1.0}, {}, {}, 'dynamics.kind = "gd" would use it'),
        ({"kind": "self_consistent", "batch_size": 2}, {}, {}, 'dynamics.kind = "gd" would use it'),
        ({"label_noise": -1.0}, {}, {}, "must be a number from 0 to 1e9, found -1.0"),
        ({"batch_size": 0}, {}, {}, "must be an integer from 1 to 10"),
    ],
)
def test_noise_that_means_nothing_is_refused(dynamics, task, grid, told):
    with pytest.raises(ConfigError, match=told.replace(".", r"\.")):
        specs(dynamics, grid=grid, **task)


def test_noise_is_refused_by_train_too():
    start = Initialization.at(6, gamma_sigma2=-1.0, width=20)
    weights = gaussian_start(start, (6, 6))
    colored, sampled = (draw_task(dimension=6, rank=2, **key) for key in ({"input_decay": 1.0}, {"samples": 9}))
    own = Task.from_target(np.eye(6))
    for task, keys, told in (
        (colored, {"label_noise": 1.0}, "dynamics.label_noise: 0 is required where inputs are not white, found 1.0"),
        (sampled, {"batch_size": 3}, "a task that fresh samples can be drawn of is required, found 3 and task: a pop"),
        (own, {"batch_size": 3}, "a task that fresh samples can be drawn of is required, found 3 and task: a signal"),
    ):
        with pytest.raises(LinphaseError, match=told):
            train(task, weights, GradientDescent(**keys))
    with pytest.raises(ConfigError, match="label_noise must be 0 beside batch_size"):
        GradientDescent(label_noise=1.0, batch_size=3)


def test_batches_of_a_population_whose_inputs_are_not_white_learn_its_signal():
    task = draw_task(dimension=6, rank=2, noise=0.0, input_decay=1.0)
    start = Initialization.at(6, gamma_sigma2=-2.0, width=50)
    run = train(
        task, gaussian_start(start, (6, 6)), GradientDescent(batch_size=12), stop=Converged(), initialization=start
    )
    assert run.status == "converged"
    assert run.test_error <= 1e-3 * task.error_scale


def test_means_over_the_last_half_are_those_of_the_stationary_noise():
    (spec, _) = specs({"label_noise": 1.0, "learning_rate": 5e-3}, {"rule": "time", "time": 20.0})
    run = train_spec(spec)
    assert run.status == "finished"
    floor = 5e-3 * (np.trace(run.C1) + np.trace(run.C2)) / 6 / 2
    # 2000 steps of an error that forgets itself within some ten.
    assert run.mean_errors[0] == pytest.approx(floor, rel=0.15)
    assert run.mean_errors[0] != run.train_error
    ridge = 5e-3 * 6 / 2
    _, S, _ = draw_task(spec.task).solution_svd
    assert run.trajectory.mean_singular_values.shape == S.shape
    # The kept moments of the last half are some ten, each off by sqrt(eta eps^2 L/2) = 0.15.
    np.testing.assert_allclose(run.trajectory.mean_singular_values, S - ridge, atol=0.25)
    assert isinstance(spec.stop, AtTime)

"""Training on data: the flow, its limits and its invariants, against the samples themselves."""

import numpy as np
import pytest

from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.model.draws import draw_task
from linphase.model.network import Initialization, estimated_initialization, reduce_width
from linphase.model.task import Task
from linphase.runs.stopping import Converged
from linphase.runs.training import train
from linphase.theory.matrix import balanced_network
from linphase.theory.mode import mode_value
from tests import naive

D_OUT, D_IN = 3, 8


@pytest.fixture
def data():
    """20 samples, some with one feature ten times the others; a start of width 25."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, D_IN)) * np.array([4.0, 2, 1, 1, 1, 1, 0.7, 0.4])
    Y = X @ rng.standard_normal((D_IN, D_OUT)) + 0.3 * rng.standard_normal((20, D_OUT))
    return X, Y, naive.random_weights(25, D_OUT, D_IN, 0.05, seed=4)


def few(n=5):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, D_IN)), rng.standard_normal((n, D_OUT))


def states_until(time, dynamics, task, weights):
    """Those up to the first beyond a time."""
    for state in dynamics.states(task, weights, estimated_initialization(weights)):
        yield state
        if state.time > time:
            return


def test_the_flow_is_that_on_the_samples_at_full_width(data):
    X, Y, weights = data
    task, time = Task.from_data(X, Y), 3.0
    exact = naive.gradient_flow(naive.on_samples(X, Y), weights, time)
    size = np.linalg.norm(task.solution)
    for tolerance in (1e-4, 1e-6, 1e-8):
        worst = max(
            np.linalg.norm(state.weights.product() - exact(state.time).product()) / size
            for state in states_until(time, GradientFlow(tolerance=tolerance), task, reduce_width(weights))
            if state.time < time
        )
        assert worst < 10 * tolerance  # a tolerance is of one step, and errors of small directions stay


def test_the_residual_and_the_deviation_of_a_state_are_those_of_its_weights(data):
    X, Y, weights = data
    task = Task.from_data(X, Y, *few(6))
    deviation = task.deviations(np.float64)
    for state in states_until(1.0, GradientFlow(), task, weights):
        A = state.weights.product()
        np.testing.assert_allclose(state.residual, A @ task.inputs.T - task.target, atol=1e-12)
        expected = A @ task.held_out.inputs.T - task.held_out.target
        np.testing.assert_allclose(deviation(state.residual, state.weights), expected, atol=1e-12)


def test_the_flow_on_data_conserves_the_balance_as_well_as_its_tolerance_lets_it(data):
    X, Y, weights = data

    def drift(tolerance):
        *_, last = states_until(3.0, GradientFlow(tolerance=tolerance), Task.from_data(X, Y), weights)
        w, w0 = last.weights, weights
        change = (w.W1 @ w.W1.T - w.W2.T @ w.W2) - (w0.W1 @ w0.W1.T - w0.W2.T @ w0.W2)
        return np.linalg.norm(change) / np.linalg.norm(w.W1) ** 2

    assert drift(1e-3) < 1e-2
    assert drift(1e-5) < drift(1e-3) / 10


@pytest.mark.parametrize("dynamics", [GradientFlow(tolerance=1e-4), GradientDescent(learning_rate=0.01)])
def test_what_no_sample_tells_never_moves(dynamics):
    # dW1/dt = -W2^T G, and the rows of G lie in the span of the samples.
    X, Y = few()
    task, weights = Task.from_data(X, Y), naive.random_weights(25, D_OUT, D_IN, 0.05, seed=4)
    _, _, Vt = np.linalg.svd(X)
    untold = Vt[len(X) :].T  # (d_in, d_in - n)
    *_, last = states_until(4.0, dynamics, task, weights)
    moved = np.abs(last.weights.W1 @ untold - weights.W1 @ untold).max()
    assert np.abs(last.weights.W1 - weights.W1).max() > 0.1
    assert moved < 1e-15


def test_the_flow_ends_at_the_least_squares_solution(data):
    X, Y, weights = data
    run = train(Task.from_data(X, Y, rank=2), weights, stop=Converged(excess_error=1e-12))
    assert run.converged
    exact = np.linalg.lstsq(X, Y, rcond=None)[0].T
    # An excess error e of the train error leaves at most sqrt(e ||T||^2/lambda_min) of A.
    left = np.sqrt(1e-12 * np.sum(Y**2)) / np.linalg.svd(X, compute_uv=False)[-1]
    assert np.linalg.norm(run.A - exact) < left
    assert run.train_error == pytest.approx(0, abs=1e-11)


def test_of_few_samples_it_ends_at_their_solution_and_the_start_where_there_are_none():
    X, Y = few()
    task, weights = Task.from_data(X, Y, rank=1), naive.random_weights(25, D_OUT, D_IN, 0.05, seed=4)
    run = train(task, weights, stop=Converged(excess_error=1e-12))
    span = np.linalg.pinv(X) @ X
    np.testing.assert_allclose(run.A @ span, task.solution, atol=1e-5)
    *_, last = states_until(run.time, GradientFlow(), task, weights)
    outside = np.eye(D_IN) - span
    np.testing.assert_allclose(run.A @ outside, last.weights.W2 @ weights.W1 @ outside, atol=1e-3)
    assert np.linalg.norm(run.A @ outside) > 0.01


def test_descent_on_data_tends_to_the_flow_at_first_order(data):
    X, Y, weights = data
    task, rates = Task.from_data(X, Y), [2e-3, 1e-3, 5e-4]
    exact = naive.gradient_flow(naive.on_samples(X, Y), weights, 1.0)(1.0).product()
    deviations = []
    for rate in rates:
        descent = GradientDescent(learning_rate=rate, max_steps=round(1 / rate))
        *_, last = descent.states(task, reduce_width(weights), estimated_initialization(weights))
        deviations.append(np.linalg.norm(last.weights.product() - exact))
    assert np.polyfit(np.log(rates), np.log(deviations), 1)[0] == pytest.approx(1, abs=0.05)


def test_inputs_that_are_white_train_as_the_task_of_their_solution(data):
    X, Y, weights = data
    task = Task.from_data(X, Y, whiten=True)
    white = Task.from_target(task.solution)
    flow, stop = GradientFlow(tolerance=1e-8), Converged(excess_error=1e-6)
    ours, theirs = (train(each, weights, flow, stop=stop) for each in (task, white))
    np.testing.assert_allclose(ours.A, theirs.A, atol=1e-6)  # both to a tolerance of 1e-8 a step
    assert ours.train_error == pytest.approx(theirs.train_error, rel=1e-4)
    assert ours.time == pytest.approx(theirs.time, rel=1e-5)


@pytest.mark.parametrize(("c", "shape"), [(0.3, (6, 6)), (5.0, (6, 6)), (2.0, (4, 7)), (2.0, (7, 4))])
def test_aligned_modes_follow_the_closed_form_each_in_a_time_of_its_own(c, shape):
    # Where the singular vectors of A* are eigenvectors of Sigma, mode i is that of white inputs at lambda_i t.
    k = min(shape)
    task = draw_task(
        dimension=shape[1], output_dimension=shape[0], rank=k, noise=0.0, signal_decay=0.7, input_decay=0.8,
        input_alignment="aligned",
    )  # fmt: skip
    values, spectrum = task.solution_svd[1], np.diag(task.inputs)[:k] ** 2
    U, V = task.solution_svd[0], task.solution_svd[2]
    start = Initialization.at(task.scale, init_variance=c, width=1)
    dynamics = GradientFlow(tolerance=1e-12, max_evaluations=10**6)
    number, worst = 0, 0.0
    for state in dynamics.states(task, balanced_network(np.zeros(shape), c), start):
        if state.time > 0.7:
            break
        number += 1
        if number % 50 == 0:
            A = (U * mode_value(spectrum * state.time, 0.0, values, c)) @ V.T
            worst = max(worst, np.abs(state.weights.product() - A).max())
    assert number > 500
    assert worst < 5e-11


@pytest.mark.parametrize("n", [5, 30])
def test_theory_on_data_is_equation_1_from_the_networks_own_start(n):
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((n, 5)) * np.arange(1, 6) ** -0.5, rng.standard_normal((n, 4))
    task, weights, c = Task.from_data(X, Y, rank=2), naive.random_weights(40, 4, 5, 0.05, seed=4), 2.0
    times = np.array([0.0, 0.05, 0.2, 0.5, 1.0, 2.0])
    exact = naive.equation_1(naive.on_samples(X, Y), weights.product(), c, times)
    start = Initialization.at(task.scale, init_variance=c / 40, width=40)
    size = np.linalg.norm(task.solution)

    def worst(states):
        found, between = [], iter(states)
        state = next(between)
        for time, A in zip(times, exact, strict=True):
            while state.time < time:
                state = next(between)
            there = state.earlier(time) if state.earlier else state
            found.append(np.linalg.norm(there.weights.product() - A) / size)
        return max(found)

    tight = GradientFlow(tolerance=1e-9).states(task, balanced_network(weights.product(), c), start)
    assert worst(tight) < 1e-8
    assert worst(SelfConsistent().states(task, weights, start)) < 3e-4  # its tolerance


def test_theory_on_data_keeps_the_equations_own_conservation_law(data):
    # C2 = sqrt(A A^T + c^2) + c of the 2c-balanced network, for any loss.
    X, Y, weights = data
    c = 3.0
    start = Initialization.at(5.0, init_variance=c, width=1)
    for state in SelfConsistent().states(Task.from_data(X, Y), weights, start):
        if state.time > 1:
            break
    A, (_, C2) = state.weights.product(), state.weights.gram()
    values, vectors = np.linalg.eigh(A @ A.T + c * c * np.eye(D_OUT))
    np.testing.assert_allclose(C2, (vectors * np.sqrt(values)) @ vectors.T + c * np.eye(D_OUT), rtol=0, atol=1e-2)


@pytest.mark.parametrize("dynamics", [GradientFlow(), GradientDescent()])
def test_the_smallest_test_error_of_a_run_that_only_falls_is_at_its_end(data, dynamics):
    # The samples held out against themselves: the test error is the train error, and its end lies within a step.
    X, Y, weights = data
    run = train(Task.from_data(X, Y, X, Y), weights, dynamics, stop=Converged(excess_error=1e-2))
    assert run.test_error == pytest.approx(run.train_error, rel=1e-9)
    assert run.minimum.test_error == pytest.approx(run.test_error, rel=1e-9)
    assert run.minimum.time == run.trajectory.time[-1]

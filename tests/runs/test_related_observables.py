"""The generalization gap, the catapult and the escape from saddle to saddle, as a run tells them."""

from itertools import product

import numpy as np
import pytest

from benchmarks.edge_of_stability import Edge, predicted
from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.stopping import AtTime
from linphase.runs.training import train, train_spec
from tests.naive import random_task, random_weights


def runs(task=(), **dynamics):
    mapping = {
        "name": "related",
        "task": {"dimension": 8, "rank": 2, **dict(task)},
        "grid": {"gamma_sigma2": -1.5, "gamma_w": 2.0},
        "dynamics": dynamics,
    }
    return [train_spec(spec) for spec in parse_config(mapping).expand()]


KINDS = ("flow", "gd", "self_consistent")


@pytest.mark.parametrize(
    ("kind", "task"),
    [*product((*KINDS, "modes"), [{}]), *product(KINDS, [{"samples": 12}, {"input_decay": 0.5}])],
    ids=str,
)
def test_the_gap_is_the_difference_of_the_errors_at_each_of_its_moments(kind, task):
    (run,) = runs(task, kind=kind)
    seen, least = run.observables, run.minimum
    assert seen["generalization_gap"] == pytest.approx(run.test_error - run.train_error, abs=1e-12)
    over_time = run.trajectory.test_error - run.trajectory.train_error
    assert seen["largest_generalization_gap"] == pytest.approx(over_time.max(), abs=1e-12)
    # The train error at the smallest test error is not told; the gap there lies within what the moments kept say.
    i = np.searchsorted(run.trajectory.time, least.time)
    around = run.trajectory.train_error[max(i - 1, 0) : i + 1]
    gap = least.observables["generalization_gap_at_min"]
    assert around.min() - 1e-9 <= least.test_error - gap <= around.max() + 1e-9


def test_without_a_test_error_there_is_no_gap():
    task = Task.from_target(np.diag([3.0, 2, 1]))
    run = train(task, random_weights(6, 3, 3, 0.1, seed=0))
    for name in ("generalization_gap", "largest_generalization_gap"):
        assert run.observables[name] is None
    assert run.minimum.observables["generalization_gap_at_min"] is None


def test_held_out_samples_have_a_gap():
    rng = np.random.default_rng(1)
    X, Y, X_test, Y_test = (rng.standard_normal((n, d)) for n, d in ((6, 4), (6, 3), (9, 4), (9, 3)))
    task = Task.from_data(X, Y, X_test, Y_test)
    run = train(task, random_weights(8, 3, 4, 0.1, seed=0))
    A = run.A
    N, N_test = (3 * np.sum(x**2) / len(x) for x in (X, X_test))
    train_error = np.sum((A @ X.T - Y.T) ** 2) / len(X) / N - run.irreducible_errors[0]
    test_error = np.sum((A @ X_test.T - Y_test.T) ** 2) / len(X_test) / N_test - run.irreducible_errors[1]
    assert run.observables["generalization_gap"] == pytest.approx(test_error - train_error, rel=1e-9)


def test_a_catapult_shows_as_a_train_error_above_the_first_and_lands_below_the_edge():
    # c = 50 far above s_1: the linear edge of a lazy start is 1/c (eta lambda = 2 at lambda = 2c), the catapult's 2/c.
    task = random_task(6, 6, 2, seed=3, noise=0.3)
    start = Initialization.at(6, init_variance=50 / 1e6, width=10**6)
    weights = gaussian_start(start, task.shape, seed=1)
    for factor, above in ((0.9, False), (1.5, True)):
        run = train(task, weights, GradientDescent(learning_rate=factor / 50), initialization=start)
        assert run.converged
        assert (run.largest_train_error > 1.001 * run.trajectory.train_error[0]) == above
        sharpness = np.linalg.norm(run.C1, 2) + np.linalg.norm(run.C2, 2)  # at the minimum
        assert run.learning_rate * sharpness < 2
    assert train(task, weights, GradientDescent(learning_rate=2.5 / 50), initialization=start).status == "diverged"


@pytest.mark.parametrize("gamma", [0.03, 10.0])
def test_the_largest_learning_rate_that_converges_is_that_of_the_catapult_or_of_the_flattest_minimum(gamma):
    # Atanasov et al. 2024: 2 gamma^2/c0 where lazy (high by gamma s_1/(10 c0), measured), gamma/s_1 where rich.
    edge = Edge.drawn(0, dimension=6)
    assert edge.converges(gamma, 0.98 * predicted(gamma), steps=3000)
    assert not edge.converges(gamma, 1.02 * predicted(gamma), steps=3000)


def escapes(S, c, dimension):
    """Escape times of the modes of diag(S), from a wide start of threshold c, by the flow."""
    target = np.zeros((dimension, dimension))
    target[np.arange(len(S)), np.arange(len(S))] = S
    task = Task.from_target(target, target)
    width = 4 * dimension**2
    start = Initialization.at(dimension, init_variance=c / width, width=width)
    weights = gaussian_start(start, task.shape, seed=1)
    time = 1.5 * np.log(2 * S[-1] / c) / (2 * S[-1])
    run = train(task, weights, GradientFlow(tolerance=1e-5), stop=AtTime(time=time), initialization=start)
    return run.trajectory.mode_times.escape


def test_modes_escape_one_saddle_after_another_at_the_times_of_the_small_start():
    # Jacot et al. 2021: s_i = S_i/2 at ln(2 S_i/c)/(2 S_i) from A = 0, c << S. The start's mode rates are c to about
    # sqrt(d/width) = 18 %, which is 1 % of ln(2 S/c) = 18; twice that is allowed.
    S, c = np.array([60.0, 45, 30, 18]), 1e-6
    expected = np.log(2 * S / c) / (2 * S)
    found = escapes(S, c, 8)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, expected, rtol=0.02)

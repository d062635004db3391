"""The Hessian of the loss and its largest eigenvalue, against differences of the loss and against every entry."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from linphase.config.config import parse_config
from linphase.model.hessian import Hessian, network_of
from linphase.model.network import Weights, reduce_width
from linphase.model.task import Task
from linphase.runs.training import train_spec
from linphase.theory.cell import PredictedMoment
from tests.naive import gradient_descent, random_task, random_weights

WHITE = random_task(4, 5, 2, seed=1)
RNG = np.random.default_rng(2)
DATA = Task.from_data(RNG.standard_normal((7, 5)) * np.arange(1, 6) ** -0.7, RNG.standard_normal((7, 4)))
TASKS = pytest.mark.parametrize("task", [WHITE, DATA], ids=["white", "data"])
DECAYS = pytest.mark.parametrize("decays", [(0.0, 0.0), (0.3, 1.1)], ids=["plain", "decays"])


def hessian(task, weights, decays=(0.0, 0.0)):
    """Of a network at some weights."""
    return Hessian(task, weights, task.loss_gradient(task.residual(weights.product())), decays)


def matrix(one):
    """Every entry, by products with unit vectors."""
    W1, W2 = one.weights.W1, one.weights.W2
    n, cut = W1.size + W2.size, W1.size
    columns = [one.apply(x[:cut].reshape(W1.shape), x[cut:].reshape(W2.shape)) for x in np.eye(n)]
    return np.array([np.concatenate([x1.ravel(), x2.ravel()]) for x1, x2 in columns]).T


def top(one):
    return np.linalg.eigvalsh(matrix(one))[-1]


@TASKS
@DECAYS
def test_the_hessian_is_the_second_difference_of_the_loss_at_full_width(task, decays):
    weights = random_weights(6, 4, 5, 0.3, seed=3)
    cut, shape = weights.W1.size, (weights.W1.shape, weights.W2.shape)

    def gradient(x):
        W1, W2 = x[:cut].reshape(shape[0]), x[cut:].reshape(shape[1])
        by_W2, by_W1 = task.gradient(W2, W1)
        return np.concatenate([(by_W1 + decays[0] * W1).ravel(), (by_W2 + decays[1] * W2).ravel()])

    x = np.concatenate([weights.W1.ravel(), weights.W2.ravel()])
    differences = approx_fprime(x, gradient, 1e-6)
    found = matrix(hessian(task, weights, decays))
    np.testing.assert_allclose(found, found.T, atol=1e-13)
    # Forward differences of a cubic: an error of 1e-6 times third derivatives of order ||W|| = 3.
    np.testing.assert_allclose(found, differences, atol=3e-5)


@TASKS
@DECAYS
@pytest.mark.parametrize("width", [12, 24])
def test_the_reduced_network_has_the_largest_eigenvalue_of_the_full_one(task, decays, width):
    weights = random_weights(width, 4, 5, 0.1, seed=width)
    reduced = reduce_width(weights)
    assert reduced.width == 9 < width
    one, other = hessian(task, weights, decays), hessian(task, reduced, decays)
    assert top(other) == pytest.approx(top(one), rel=1e-12)
    # Lanczos to 1e-3 of the residual; the value's error is about its square over the gap.
    assert other.largest_eigenvalue() == pytest.approx(top(one), rel=1e-4)


def test_the_smallest_eigenvalue_of_a_wide_network_is_that_of_the_residual():
    # Of width d_in + d_out or more there is a direction with Z = 0 along the top singular vectors of G.
    weights = reduce_width(random_weights(30, 4, 5, 0.1, seed=5))
    one = hessian(WHITE, weights)
    assert np.linalg.eigvalsh(matrix(one))[0] == pytest.approx(-np.linalg.norm(one.G, 2), rel=1e-8)


@DECAYS
@pytest.mark.parametrize("variance", [1e-4, 0.02, 1.0])
def test_on_the_way_it_lies_within_the_residual_of_what_the_layers_say(decays, variance):
    start = random_weights(9, 4, 5, variance, seed=6)
    for weights in gradient_descent(WHITE, start, 5e-3, 400)[::80]:
        one = hessian(WHITE, weights, decays)
        G = np.linalg.norm(one.G, 2)
        layers = np.linalg.norm(weights.W1, 2) ** 2 + np.linalg.norm(weights.W2, 2) ** 2
        found = one.largest_eigenvalue()
        assert max(G, layers - G) + min(decays) <= found * (1 + 1e-6)
        assert found <= (layers + G + max(decays)) * (1 + 1e-6)


def test_at_a_minimum_it_is_the_layers_and_in_theory_twice_the_hypotenuse():
    _, S, _ = WHITE.solution_svd
    c = 1.3
    end = PredictedMoment.at(WHITE, S, c, has_hessian=True)
    weights = network_of(end.A, end.kernel.C1, end.kernel.C2)
    np.testing.assert_allclose(weights.product(), WHITE.target, atol=1e-12)
    layers = np.linalg.norm(weights.W1, 2) ** 2 + np.linalg.norm(weights.W2, 2) ** 2
    expected = 2 * np.hypot(S[0], c)
    assert layers == pytest.approx(expected, rel=1e-12)
    assert top(hessian(WHITE, weights)) == pytest.approx(expected, rel=1e-12)
    assert top(hessian(WHITE, weights, (0.4, 0.4))) == pytest.approx(expected + 0.4, rel=1e-12)
    assert end.hessian.largest_eigenvalue() == pytest.approx(expected, rel=1e-4)


def test_it_depends_on_A_and_the_gram_matrices_alone():
    weights = reduce_width(random_weights(20, 4, 5, 0.2, seed=7))
    other = network_of(weights.product(), *weights.gram())
    assert top(hessian(WHITE, other)) == pytest.approx(top(hessian(WHITE, weights)), rel=1e-12)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_it_is_found_at_any_scale(size):
    # Weights of root(size) around a target of `size`: the same network in other units.
    one = hessian(WHITE, random_weights(9, 4, 5, 0.2, seed=8))
    task = Task(None, WHITE.target * size, 0)
    scaled = hessian(task, Weights(one.weights.W1 * size**0.5, one.weights.W2 * size**0.5))
    assert scaled.largest_eigenvalue() == pytest.approx(size * one.largest_eigenvalue(), rel=1e-9)


def run(kind="gd", init=(), variance=0.02, **record):
    mapping = {
        "name": "sharp",
        "task": {"dimension": 8, "rank": 2},
        "grid": {"init_variance": variance, "width": 60},
        "init": dict(init),
        "dynamics": {"kind": kind},
        "record": record,
    }
    (spec,) = parse_config(mapping).expand()
    return spec, train_spec(spec)


@pytest.mark.parametrize("kind", ["gd", "flow", "self_consistent", "modes"])
def test_a_run_tells_it_over_time_at_the_end_and_the_largest_where_it_is_asked_for(kind):
    plain, without = run(kind)
    asked, told = run(kind, sharpness=True)
    assert plain.run_id != asked.run_id
    assert without.observables["sharpness"] is None is without.observables["largest_sharpness"]
    assert without.trajectory.observables["sharpness"].size == 0
    over_time = told.trajectory.observables["sharpness"]
    assert over_time.shape == told.trajectory.time.shape
    assert told.observables["sharpness"] == pytest.approx(over_time[-1], rel=1e-9)
    assert told.observables["largest_sharpness"] == over_time.max()
    np.testing.assert_array_equal(told.A, without.A)  # nothing else moves
    # At the end: a minimum but for a train error of 1e-3, which leaves ||G|| = 0.03 * 8 of 2 s_1 = 30.
    C = [np.linalg.norm(each, 2) for each in (told.C1, told.C2)]
    assert over_time[-1] == pytest.approx(sum(C), rel=0.02)


def test_sharpness_false_is_the_run_of_before_there_was_the_key():
    assert run(sharpness=False)[0].run_id == run()[0].run_id


def test_sharpness_times_the_learning_rate_is_that_of_the_same_network_at_richness_1():
    gamma = 7.0
    _, rich = run(init={"richness": gamma}, sharpness=True)
    _, plain = run(variance=0.02 / gamma, sharpness=True)
    for name in ("sharpness", "largest_sharpness"):
        assert rich.observables[name] == pytest.approx(plain.observables[name] / gamma, rel=1e-9)
    mine, its = (each.trajectory.observables["sharpness"] * each.learning_rate for each in (rich, plain))
    np.testing.assert_allclose(mine, its, rtol=1e-9)

"""Weight decay: where training ends, how the start is forgotten, and when a run has converged."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import draw_task
from linphase.model.network import Initialization, Weights, gaussian_start
from linphase.model.objective import objective_of
from linphase.model.task import Task
from linphase.runs.beside import from_the_same_start, theory_beside
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import AtTime, Converged
from linphase.runs.training import train, train_spec
from linphase.store.rows import decays_of, initialization_of, summary_row
from tests import naive

TASK = naive.random_task(8, 8, 2, seed=1, noise=0.5)


def start_of(sigma2, width, shape=(8, 8), **knobs):
    start = Initialization.at(np.sqrt(shape[0] * shape[1]), init_variance=sigma2, width=width, **knobs)
    return gaussian_start(start, shape, seed=3)


def squares(weights):
    return float(np.sum(weights.W1**2)), float(np.sum(weights.W2**2))


def imbalance(weights):
    """D = W1 W1^T - W2^T W2."""
    return weights.W1 @ weights.W1.T - weights.W2.T @ weights.W2


def data(samples=30, d_in=6, d_out=5):
    """Samples of inputs whose variances fall, X (n, d_in) and Y (n, d_out)."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, d_in)) * np.arange(1, d_in + 1) ** -0.7
    return X, X @ rng.standard_normal((d_in, d_out)) + 0.3 * rng.standard_normal((samples, d_out))


# ------------------------------------------------------------------------------------------------ where it ends


@pytest.mark.parametrize("width", [40, 3])
@pytest.mark.parametrize("sigma2", [1e-4, 0.1, 4.0])
def test_every_start_ends_at_the_soft_threshold_of_the_target(width, sigma2):
    decay = 1.2
    run = train(TASK, start_of(sigma2, width), GradientFlow(weight_decay=decay), stop=Converged(excess_error=1e-12))
    U, S, V = TASK.solution_svd
    kept = np.where(np.arange(8) < width, np.maximum(S - decay, 0), 0)
    assert run.converged
    # ||A - A_min||^2/N <= excess nu^2, the loss being strongly convex: 64 * 1e-12 * 0.25 = (4e-6)^2.
    np.testing.assert_allclose(run.A, (U * kept) @ V.T, atol=4e-6)
    found = run.trajectory.final_modes.singular_value
    assert np.count_nonzero(found > 1e-3) == np.count_nonzero(kept)
    assert run.train_error == pytest.approx(run.train_error_floor, rel=1e-5)
    floor = np.sum(np.where(np.arange(8) < width, np.minimum(S, decay), S) ** 2) / 64
    assert run.train_error_floor == pytest.approx(floor, rel=1e-12)


def test_the_rank_at_the_end_is_that_of_the_signal_from_any_start_and_so_is_the_test_error():
    # Jacot et al. 2024; l just above the edge 2 sqrt(48) = 13.9 of the noise. Without decay every end has test error 1.
    d, decay = 48, 14.0
    rng = np.random.default_rng(0)
    U, V = rng.standard_normal((2, d, 3)) * 3**-0.25
    task = Task.from_target(U @ V.T + rng.standard_normal((d, d)), U @ V.T)
    for gamma_sigma2, gamma_w in ((-3.0, 1.5), (-2.0, 2.0), (-1.0, 2.0), (0.0, 2.5)):  # c from 0.003 to 1.6e4
        start = Initialization.at(d, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)
        flow, stop = GradientFlow(weight_decay=decay), Converged(excess_error=2e-4)
        run = train(task, gaussian_start(start, task.shape), flow, stop=stop)
        s = run.trajectory.final_modes.singular_value
        assert run.converged
        assert np.count_nonzero(s > 0.01 * s[0]) == 3
        assert 0.283 < run.test_error < 0.294
        assert run.observables["imbalance"] < 1e-5
        # Every mode left ends balanced, whatever the start, and a lazy one is slower than it was.
        assert run.classification.order_parameters["balance"].signal_active == 1
        assert run.gradient_evaluations < 1000  # 452 to 600 for the largest c


def test_descent_and_the_flow_end_at_the_same_loss_which_the_train_error_alone_does_not_tell():
    decay, start = 1.2, start_of(0.5, 40)  # lazy, c = 20: A overshoots into Y first
    stop = Converged(excess_error=1e-4)
    runs = [train(TASK, start, kind(weight_decay=decay), stop=stop) for kind in (GradientFlow, GradientDescent)]
    for run in runs:
        assert run.converged
        assert run.train_error == pytest.approx(run.train_error_floor, rel=0.02)
        passed = run.trajectory.time[np.argmax(run.trajectory.train_error <= run.train_error_floor)]
        assert 0 < passed < run.time / 20
    # Each is within sqrt(64 * 1e-4 * 0.25) = 0.04 of the minimum.
    np.testing.assert_allclose(runs[0].A, runs[1].A, atol=0.08)
    # The rate "auto" allows for the decay: 1/(50 (max(c, s_1) + l)).
    assert 1 / runs[1].learning_rate == pytest.approx(50 * (20 + decay))


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_a_decay_above_all_singular_values_ends_at_zero(precision):
    run = train(TASK, start_of(0.1, 30).astype(precision), GradientFlow(weight_decay=1e4))
    assert run.converged
    assert np.abs(run.A).max() < 1e-2
    assert run.train_error == pytest.approx(run.train_error_floor, rel=1e-2)
    assert np.isnan(run.trajectory.mode_times.convergence).all()  # there is nowhere to arrive


# ------------------------------------------------------------------------------------------- how it is forgotten


@pytest.mark.parametrize("sigma2", [1e-3, 0.1, 4.0])
def test_the_flow_forgets_what_it_conserves_without_decay(sigma2):
    decay, time, start = 0.7, 2.0, start_of(sigma2, 30)
    flow = GradientFlow(weight_decay=decay, tolerance=1e-6, stages="float64")
    run = train(TASK, start, flow, stop=AtTime(time=time))
    assert run.status == "finished"
    assert run.observables["forgetting"] == pytest.approx(np.exp(-2 * decay * time), rel=1e-12)
    # D - e^(-2 l t) D_0, relative to the layers at the start: 4e-7 of steps with a tolerance of 1e-6.
    assert run.observables["imbalance_drift"] < 2e-6


def test_descent_forgets_it_by_the_square_of_what_a_step_keeps():
    eta, decay, start = 0.01, 0.8, start_of(0.5, 30)
    states = GradientDescent(learning_rate=eta, weight_decay=decay, max_steps=5).states(
        TASK, start, start.initialization
    )
    D = None
    for state in states:
        W1, W2, G = state.weights.W1, state.weights.W2, state.residual
        found = imbalance(state.weights)
        if D is not None:
            np.testing.assert_allclose(found, D, atol=1e-13 * np.abs(D).max())  # rounding
        D = (1 - eta * decay) ** 2 * found + eta**2 * (W2.T @ G @ G.T @ W2 - W1 @ G.T @ G @ W1.T)


def test_the_relation_of_equation_1_holds_with_a_threshold_that_decays():
    start = start_of(1e-5, 10**6)
    run = train(TASK, start, GradientFlow(weight_decay=0.5, tolerance=1e-6), stop=AtTime(time=0.2))
    # A finite width is off by about sqrt(d/width) = 0.003; at c(0) the lazy modes would be by 1 - e^(-0.2) = 0.18.
    assert run.observables["self_consistency_residual"] < 0.01


def test_the_minimum_of_the_test_error_between_steps_knows_the_decay():
    decay, start = 3.0, start_of(0.02, 30)
    run = train(TASK, start, GradientFlow(weight_decay=decay, tolerance=1e-3))
    path = naive.gradient_flow(TASK, start, 1.1 * run.minimum.time, (decay, decay))
    errors = [naive.errors(TASK, path(t).product())[1] for t in np.linspace(0.9, 1.1, 201) * run.minimum.time]
    # By the cubic with the slope of A: the error of a step of 1e-3. Without the decay in it 1e-2.
    assert run.minimum.test_error == pytest.approx(min(errors), rel=2e-3)


# ------------------------------------------------------------------------------------------------------ of data


def test_the_duality_gap_is_an_upper_bound_at_all_times_and_vanishes():
    X, Y = data()
    task = Task.from_data(X, Y)
    start = start_of(0.1, 20, task.shape)
    decays = (0.3, 0.1)
    objective = objective_of(task, task.modes, decays)
    path = naive.gradient_flow(naive.on_samples(X, Y), start, 200.0, decays)

    def loss(weights):
        first, second = squares(weights)
        residual = task.residual(weights.product())
        return (np.sum(residual**2) + decays[0] * first + decays[1] * second) / task.size

    end = loss(path(200.0))
    gaps = []
    for time in (0, 0.1, 1, 3, 10, 30, 100, 200):
        w = path(time)
        gaps.append(objective.of(task.residual(w.product()), w, np.nan, 0.0))
        assert gaps[-1] >= loss(w) - end - 1e-10  # the reference's own error
    assert gaps[-1] < 1e-6 < gaps[0]


@pytest.mark.parametrize("kind", [GradientFlow, GradientDescent, SelfConsistent])
def test_a_run_on_data_with_decay_ends_by_its_certificate(kind):
    X, Y = data()
    task = Task.from_data(X, Y)
    run = train(task, start_of(0.05, 40, task.shape), kind(weight_decay=0.05), stop=Converged(excess_error=1e-3))
    assert run.converged
    assert run.train_error_floor is None  # no closed form
    # The loss is the train error's and convex: the reference is within the certified excess of it.
    path = naive.gradient_flow(naive.on_samples(X, Y), start_of(0.05, 40, task.shape), 400.0, (0.05, 0.05))
    excess = 1e-3 * task.error_scale * task.size
    assert np.sum(((run.A - path(400.0).product()) @ task.inputs.T) ** 2) <= excess


# -------------------------------------------------------------------------------------------------- theory


def wide(a, b, d_in, d_out):
    """The wide limit at A = 0: C1 = a I, C2 = b I and no more."""
    eye = np.eye(d_in + d_out)
    return Weights(np.sqrt(a) * eye[:, :d_in], np.sqrt(b) * eye[d_in:])


def test_theory_with_rates_and_decay_is_the_wide_limit_of_the_network():
    # Unequal rates are unequal decays: how the layers share c counts then, and the balanced network is off by 0.1.
    task = naive.random_task(4, 5, 2, seed=2)
    knobs = {"variance_ratio": 0.2, "rate_ratio": 9.0, "richness": 2.0}
    start = Initialization.at(np.sqrt(20), init_variance=3e-12, width=10**12, **knobs)
    decay, weights = 0.4, Weights(np.zeros((1, 5)), np.zeros((4, 1)), start)
    theory = SelfConsistent(weight_decay=decay, learning_rate_ratio=9.0)
    path = naive.gradient_flow(task, wide(*start.layer_sizes, 5, 4), 10.0, start.decays(decay))
    for state in theory.states(task, weights, start):
        if state.time > 10:
            break
        # The flow of theory has a tolerance of 3e-4 a step.
        np.testing.assert_allclose(state.weights.product(), path(state.time).product(), atol=0.01)


def test_a_cell_of_a_decaying_sweep_is_theory_s_where_the_network_is_wide():
    runs = [train_spec(spec) for spec in specs({"weight_decay": 2.0}, {"dynamics.kind": ["flow", "self_consistent"]})]
    # sqrt(d/width) = 0.001.
    np.testing.assert_allclose(runs[0].A, runs[1].A, atol=0.05)
    assert runs[0].minimum.test_error == pytest.approx(runs[1].minimum.test_error, rel=5e-3)


def test_beside_a_run_theory_is_drawn_with_its_decay_and_on_its_clock():
    (spec,) = specs({"weight_decay": 2.0, "kind": "gd"}, init={"richness": 3.0})
    run = train_spec(spec)
    task = draw_task(spec.task, seed=spec.seed)
    row = {"learning_rate_ratio": None, **summary_row(spec, run)}
    assert decays_of(row) == spec.dynamics.decays(spec.initialization) == (6.0, 6.0)
    start = initialization_of(row)
    assert start.threshold == spec.initialization.threshold
    beside = theory_beside(task, start.width, start.threshold, run.trajectory, start.richness, decays_of(row))
    # From A = 0 with a start of 0.003 of noise; descent is off by a fiftieth of a step's rate on the way.
    places = np.searchsorted(beside.time, run.trajectory.time[1:-1])
    np.testing.assert_allclose(run.trajectory.singular_values[1:-1], beside.singular_values[places], atol=0.3)
    assert theory_beside(task, start.width, start.threshold, run.trajectory, 3.0, (6.0, 5.0)) is None
    theory, how = from_the_same_start(spec, run)
    assert how == "exact"  # Euler's iteration knows no decay
    np.testing.assert_allclose(theory.final_modes.singular_value, beside.singular_values[-1], atol=0.1)


def test_what_is_left_of_the_start_is_told_by_the_run_s_own_decay_and_clock():
    (spec,) = specs({"weight_decay": 0.3, "learning_rate_ratio": 4.0}, init={"richness": 5.0})
    run = train_spec(spec)
    assert run.observables["forgetting"] == pytest.approx(np.exp(-2 * 0.3 * run.time), rel=1e-12)
    # The minimum is that of l gamma, for f = A/gamma.
    _, S, _ = draw_task(spec.task, seed=spec.seed).solution_svd
    np.testing.assert_allclose(run.trajectory.final_modes.singular_value, np.maximum(S - 1.5, 0), atol=0.2)


# ---------------------------------------------------------------------------------------------------- its key


def specs(dynamics=(), axes=(), **sections):
    mapping = {
        "name": "decay",
        "task": {"dimension": 8, "rank": 2},
        "grid": {"init_variance": 1e-6, "gamma_w": 7.0, **dict(axes)},
        "dynamics": dict(dynamics),
        **sections,
    }
    return list(parse_config(mapping).expand())


def test_without_decay_the_run_is_that_of_before():
    (plain,), (told,) = specs(), specs({"weight_decay": 0.0})
    assert plain.run_id == told.run_id
    assert "weight_decay" not in plain.dynamics.used()
    run = train_spec(replace(plain, record=RecordConfig(snapshots=2)))
    assert run.observables["forgetting"] == 1
    (decaying,) = specs({"weight_decay": 0.5})
    assert decaying.run_id != plain.run_id


def test_what_weight_decay_does_not_go_with_is_told():
    with pytest.raises(ConfigError, match=r"dynamics.weight_decay: must be a number from 0 to 1e9, found -1"):
        specs({"weight_decay": -1})
    with pytest.raises(ConfigError, match=r"dynamics.weight_decay: has no effect, found 1.0"):
        specs({"kind": "modes", "weight_decay": 1.0})
    with pytest.raises(ConfigError, match=r'record.compare: must be "none" beside dynamics.weight_decay, found'):
        specs({"weight_decay": 1.0}, record={"compare": "self_consistent"})
    with pytest.raises(LinphaseError, match='"none" is required where weights decay, found "self_consistent"'):
        train(TASK, start_of(1.0, 9), GradientFlow(weight_decay=1.0), record=RecordConfig(compare="self_consistent"))
    config = parse_config({"name": "x", "grid": {"gamma_sigma2": 0.0, "width": 3, "dynamics.weight_decay": [0.0, 1.0]}})
    with pytest.raises(ConfigError, match=r'without weight decay, and none with it.*"self_consistent"'):
        config.predicted()

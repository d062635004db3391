"""Runs from lambda-balanced starts: of every dynamics, refused where they mean nothing, and with c = 0."""

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent, paper_learning_rate
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import draw_task
from linphase.model.network import Initialization, Weights, balanced_start, gaussian_start
from linphase.model.starts import LambdaBalanced
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig
from linphase.runs.records import TrainedRun
from linphase.runs.stopping import Converged
from linphase.runs.training import train, train_spec
from linphase.theory.balanced import BalancedSolution

START = {"gamma_sigma2": -1.2, "gamma_w": 1.8}
FLAT = {"dimension": 8, "output_dimension": 4}  # d_out = 4, d_in = 8


def specs(init=(), dynamics=(), grid=START, task=(), record=()):
    mapping = {
        "name": "balanced",
        "task": {"dimension": 8, "rank": 2, **dict(task)},
        "init": {"kind": "lambda_balanced", **dict(init)},
        "grid": grid,
        "dynamics": dict(dynamics),
        "stop": {"excess_error": 1e-3},
        "record": dict(record),
    }
    return list(parse_config(mapping).expand())


def balance_of(weights: Weights) -> np.ndarray:
    return weights.W2.T @ weights.W2 - weights.W1 @ weights.W1.T


# --------------------------------------------------------------------------------------------------- the start


@pytest.mark.parametrize(("balance", "width"), [(5.0, 4), (-5.0, 8), (0.0, 4)])
def test_the_start_has_the_product_of_the_gaussian_one_at_a_width_that_the_balance_allows(balance, width):
    (spec,) = specs({"lambda_balance": balance, "richness": 3.0}, task=FLAT)
    weights = spec.init.draw(spec.initialization, (4, 8), seed=0, replicate=1)
    gaussian = gaussian_start(spec.initialization, (4, 8), seed=0, replicate=1)
    assert weights.width == width
    np.testing.assert_allclose(weights.product(), gaussian.product(), atol=1e-14 * np.abs(gaussian.product()).max())
    # At richness 1, which is trained, lambda is lambda/gamma.
    np.testing.assert_allclose(balance_of(weights), balance / 3 * np.eye(width), atol=1e-13)
    assert spec.initialization.threshold == pytest.approx(abs(balance) / 2 / 3, rel=1e-15)


def test_without_a_lambda_c_is_that_of_the_gaussian_start():
    (spec,) = specs({"richness": 2.0})
    start = Initialization.at(8, **START, richness=2.0)
    assert spec.initialization.threshold == pytest.approx(start.threshold, rel=1e-15)
    assert spec.initialization.balance == pytest.approx(2 * start.init_variance * start.width, rel=1e-15)


def test_minus_zero_is_the_run_of_zero():
    (one,), (other,) = specs({"lambda_balance": -0.0}), specs({"lambda_balance": 0.0})
    assert one.run_id == other.run_id


# ----------------------------------------------------------------------------------------------------- refused


def problem(**given) -> str:
    with pytest.raises(ConfigError) as error:
        specs(**given)
    return str(error.value)


def test_layers_of_unequal_rates_are_refused_as_they_conserve_another_difference():
    assert problem(dynamics={"learning_rate_ratio": 2.0}) == (
        "config: init.kind: must give a start with the other keys: lambda-balanced layers: "
        "dynamics.learning_rate_ratio = 1 is required, as layers of unequal rates do not conserve W2^T W2 - W1 W1^T, "
        "found 2. Leave it out, or choose another init.kind"
    )
    with pytest.raises(LinphaseError, match=r"learning_rate_ratio = 1 is required.* found 2"):
        LambdaBalanced().at(8, rate_ratio=2.0, **START)


def test_a_ratio_of_the_variances_is_no_key_of_the_kind():
    assert 'init.variance_ratio: has no effect, found 2.0; init.kind = "gaussian" would use it' in problem(
        init={"variance_ratio": 2.0}
    )
    assert "must be a number from -1e18 to 1e18, found 2e+18" in problem(init={"lambda_balance": 2e18})


@pytest.mark.parametrize(
    ("balance", "width"), [([-3.0, 0.0, 3.0], [8]), ([3.0], [3, 8]), ([-3.0], [7, 9]), ([-3.0, 3.0], [4])]
)
def test_theory_from_zero_is_refused_where_there_is_no_closed_form(balance, width):
    found = problem(
        dynamics={"kind": "modes"},
        task=FLAT,
        grid={"gamma_sigma2": -1.0, "width": width, "init.lambda_balance": balance},
    )
    assert "init.kind: must give starts that theory can predict: theory from A = 0 has a closed form for" in found
    assert "lambda > 0 at a width of at least d_out = 4, and for lambda < 0 of at least d_in = 8, found" in found


def test_a_prediction_in_python_is_refused_likewise():
    start = LambdaBalanced(lambda_balance=0.0).at(8, **START)
    with pytest.raises(LinphaseError, match=r"found lambda = 0 at width 42\. Leave such cells out"):
        predict(draw_task(dimension=8, rank=2), start, stop=Converged(), record=RecordConfig())


def test_a_start_without_a_lambda_is_none_to_balance():
    with pytest.raises(LinphaseError, match="a lambda is required"):
        balanced_start(Initialization.at(8, **START), (8, 8))


# ---------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("balance", "width"), [(6.0, 30), (-6.0, 30), (6.0, 3), (-6.0, 3), (0.0, 30), (None, 30)])
def test_the_flow_is_the_exact_march_and_conserves_the_balance(balance, width):
    spec, *_ = specs(
        {} if balance is None else {"lambda_balance": balance},
        {"tolerance": 1e-6},
        {"gamma_sigma2": -1.0, "width": width},
        FLAT,
    )
    trained = train_spec(spec)
    assert trained.status == "converged"
    exact = train_spec(
        specs({} if balance is None else {"lambda_balance": balance}, {"kind": "self_consistent"},
              {"gamma_sigma2": -1.0, "width": width}, FLAT)[0]
    )  # fmt: skip
    assert exact.status == "converged"
    # Errors of the flow's tolerance; at the end of a saddle they have grown a hundredfold.
    np.testing.assert_allclose(trained.A, exact.A, atol=1e-4 * np.abs(exact.A).max())
    assert trained.time == pytest.approx(exact.time, rel=1e-4)
    assert trained.minimum.test_error == pytest.approx(exact.minimum.test_error, rel=1e-3)
    assert trained.observables["imbalance_drift"] < 1e-4


def test_descent_breaks_the_balance_by_the_square_of_the_rate_a_step():
    (spec,) = specs({"lambda_balance": 4.0}, {"kind": "gd"})
    task = draw_task(spec.task)
    weights = spec.init.draw(spec.initialization, task.shape, seed=0, replicate=0)
    eta = 0.01
    states = GradientDescent(learning_rate=eta, max_steps=30).states(task, weights, spec.initialization)
    before = None
    for state in states:
        W1, W2, G = state.weights.W1.copy(), state.weights.W2.copy(), state.residual.copy()
        if before is not None:
            # W2^T W2 - W1 W1^T is of the order of 10, and rounding 1e-16 of it.
            np.testing.assert_allclose(balance_of(Weights(W1, W2)) - before[0], before[1], atol=2e-14)
        before = balance_of(Weights(W1, W2)), eta**2 * (W1 @ G.T @ G @ W1.T - W2.T @ G @ G.T @ W2)


def test_the_prediction_is_that_of_a_gaussian_start_of_the_same_threshold():
    grid = {"gamma_sigma2": -1.0, "width": 30}
    (gaussian,) = specs({"kind": "gaussian"}, {"kind": "modes"}, grid, FLAT)
    c = gaussian.initialization.threshold
    expected = train_spec(gaussian)
    for balance in (2 * c, -2 * c):
        (spec,) = specs({"lambda_balance": balance}, {"kind": "modes"}, grid, FLAT)
        found = train_spec(spec)
        assert found.time == expected.time
        assert found.minimum.test_error == expected.minimum.test_error


def test_other_data_are_trained_by_the_flow_of_the_start_itself():
    given = {
        "task": {**FLAT, "samples": 30},
        "grid": {"gamma_sigma2": -1.0, "width": 3},
        "init": {"lambda_balance": 6.0},
    }
    one, other = (train_spec(specs(**given, dynamics={"kind": kind})[0]) for kind in ("flow", "self_consistent"))
    np.testing.assert_allclose(one.A, other.A, rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------------------------------------------- c = 0


def perfectly_balanced(**given) -> TrainedRun:
    (spec,) = specs({"lambda_balance": 0.0}, **given)
    return train_spec(spec)


@pytest.mark.parametrize("kind", ["flow", "gd", "self_consistent"])
def test_at_c_zero_every_mode_is_active_from_the_start(kind):
    trained = perfectly_balanced(dynamics={"kind": kind})
    assert trained.status == "converged"
    assert trained.regime == "balanced"
    assert trained.initialization.threshold == 0
    assert trained.classification.active["threshold"] == 8
    assert (trained.trajectory.mode_times.crossing == 0).all()
    assert np.isfinite(trained.trajectory.mode_times.escape).all()
    assert trained.observables["signal_started_above"] == 1
    # C1 = sqrt(A^T A) and C2 = sqrt(A A^T): equation (1) at c = 0, which descent leaves by its steps.
    assert trained.observables["self_consistency_residual"] < (2e-2 if kind == "gd" else 1e-4)
    np.testing.assert_allclose(trained.trajectory.final_modes.balance, 1, rtol=1e-2)


def test_at_c_zero_modes_without_target_are_counted_by_whether_they_are_there():
    trained = perfectly_balanced(task={"noise": 0.0})
    assert trained.status == "converged"
    assert trained.regime == "mixed"


def test_at_c_zero_runs_are_compared_with_equation_1_of_no_threshold():
    trained = perfectly_balanced(record={"compare": "self_consistent"}, dynamics={"tolerance": 1e-6})
    assert trained.distance_to_self_consistent is not None
    # The flow's own tolerance, squared.
    assert trained.distance_to_self_consistent < 1e-7


def test_the_papers_learning_rate_of_a_balanced_start_has_its_own_threshold():
    task = draw_task(dimension=8, rank=2)
    lazy, balanced = (LambdaBalanced(lambda_balance=each).at(8, **START) for each in (200.0, 0.0))
    assert paper_learning_rate(task, lazy) == pytest.approx(1 / (50 * 100))
    assert paper_learning_rate(task, balanced) == pytest.approx(1 / (50 * task.signal_op_norm))


def test_a_start_in_single_precision_is_trained_too():
    (spec,) = specs({"lambda_balance": -30.0}, task=FLAT)
    task = draw_task(spec.task)
    start = spec.init.draw(spec.initialization, task.shape, seed=0, replicate=0)
    single, double = (train(task, start.astype(each), GradientFlow()) for each in (np.float32, np.float64))
    np.testing.assert_allclose(single.A, double.A, atol=1e-3 * np.abs(double.A).max())


def test_the_march_from_a_run_in_hand():
    task = draw_task(dimension=8, rank=2, output_dimension=4)
    start = balanced_start(LambdaBalanced(lambda_balance=-8.0).at(np.sqrt(32), init_variance=0.01, width=4), (4, 8))
    solution = BalancedSolution(task.target, start, -8.0)
    np.testing.assert_allclose(balance_of(solution.weights(5.0)), balance_of(start), atol=1e-11 * 50)


def test_a_balance_that_is_not_given_is_stored_as_what_it_is():
    (spec,) = specs()
    assert spec.init.lambda_balance is None
    expected = 2 * spec.initialization.init_variance * spec.initialization.width
    assert spec.values()["init.lambda_balance"] == expected == 2 * spec.initialization.threshold

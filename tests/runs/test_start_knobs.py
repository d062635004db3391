"""Layer variances, layer rates and output scale: another start and another clock, and no other dynamics."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, gaussian_start
from linphase.runs.training import train_spec
from tests import naive

TASK = draw_task(TaskConfig(dimension=7, output_dimension=5, rank=2))


START = {"gamma_sigma2": -1.2, "gamma_w": 1.8}


def specs(init=(), dynamics=(), grid=START, task=()):
    """The runs of a small configuration with knobs."""
    mapping = {
        "name": "knobs",
        "task": {"dimension": 12, "rank": 2, **dict(task)},
        "init": dict(init),
        "grid": grid,
        "dynamics": dict(dynamics),
        "stop": {"excess_error": 1e-3},
    }
    return list(parse_config(mapping).expand())


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_descent_with_all_knobs_of_the_start_is_that_of_the_plain_network_in_other_coordinates(update):
    r, p, gamma, eta = 30.0, 0.2, 5.0, 0.02
    decay = 0.4
    start = Initialization.at(6, gamma_sigma2=-1.0, width=9, variance_ratio=r, rate_ratio=p, richness=gamma)
    V = gaussian_start(start, TASK.shape)
    W = Weights(p**0.25 * gamma**0.5 * V.W1, p**-0.25 * gamma**0.5 * V.W2)
    # W has the layer variances that were asked for, whatever the rates and the scale.
    plain = gaussian_start(Initialization.at(6, gamma_sigma2=-1.0, width=9), TASK.shape)
    np.testing.assert_allclose(W.W1, plain.W1 * r**-0.25, rtol=1e-12)
    np.testing.assert_allclose(W.W2, plain.W2 * r**0.25, rtol=1e-12)
    path = naive.with_knobs(TASK, W, eta, 300, update=update, rate_ratio=p, richness=gamma, decay=decay)
    descent = GradientDescent(learning_rate=eta, update=update, max_steps=300, weight_decay=decay)
    for state in descent.states(TASK, V, start):
        f = path[state.step].product() / gamma
        # Rounding over 300 steps at the scale of the target; it was 2e-15 where this was first measured.
        np.testing.assert_allclose(state.weights.product(), f, atol=1e-13 * np.abs(TASK.target).max())
    assert state.step == 300
    assert state.time * gamma == pytest.approx(300 * eta)
    C1, C2 = path[-1].gram()
    mine1, mine2 = state.weights.gram()
    np.testing.assert_allclose(gamma * p**0.5 * mine1, C1, atol=1e-11 * np.abs(C1).max())
    np.testing.assert_allclose(gamma * p**-0.5 * mine2, C2, atol=1e-11 * np.abs(C2).max())


@pytest.mark.parametrize("kind", ["flow", "gd", "self_consistent", "modes"])
def test_only_the_product_of_both_ratios_matters(kind):
    (one,) = specs({"variance_ratio": 40.0}, {"kind": kind, "learning_rate_ratio": 0.25})
    (other,) = specs({"variance_ratio": 10.0}, {"kind": kind})
    assert one.run_id != other.run_id
    mine, its = train_spec(one), train_spec(other)
    # Rounding of the start moves the steps of the flow by rounding.
    np.testing.assert_allclose(mine.A, its.A, rtol=1e-9, atol=1e-9)
    for name in ("train_error", "time", "test_error"):
        assert getattr(mine, name) == pytest.approx(getattr(its, name), rel=1e-7)
    np.testing.assert_allclose(mine.C1, 0.5 * its.C1, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(mine.C2, 2 * its.C2, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["flow", "gd", "self_consistent", "modes"])
def test_richness_is_a_smaller_variance_and_a_slower_clock(kind):
    gamma = 8.0
    (one,) = specs({"richness": gamma}, {"kind": kind}, {"init_variance": 0.08, "width": 88})
    (other,) = specs((), {"kind": kind}, {"init_variance": 0.01, "width": 88})
    mine, its = train_spec(one), train_spec(other)
    assert mine.initialization.threshold == pytest.approx(its.initialization.threshold, rel=1e-12)
    np.testing.assert_allclose(mine.A, its.A, rtol=1e-8, atol=1e-8)
    assert mine.time == pytest.approx(gamma * its.time, rel=1e-7)
    times, others = mine.trajectory.mode_times, its.trajectory.mode_times
    np.testing.assert_allclose(times.convergence, gamma * others.convergence, rtol=1e-6)
    np.testing.assert_allclose(mine.C2, gamma * its.C2, rtol=1e-6)
    if mine.learning_rate is not None:
        assert mine.learning_rate == pytest.approx(gamma * its.learning_rate, rel=1e-9)
        assert mine.trajectory.time[-1] == pytest.approx(mine.learning_rate * mine.trajectory.step[-1])
    assert mine.minimum.time == pytest.approx(gamma * its.minimum.time, rel=1e-6)


def test_with_the_arithmetic_mean_of_the_variances_kept_nothing_happens_in_the_wide_limit():
    # c is the arithmetic mean: the geometric one, which the key keeps, is lowered by cosh.
    r = 100.0
    (equal,) = specs((), {"kind": "flow"}, {"init_variance": 2e-4, "gamma_w": 3.8})
    factor = np.cosh(np.log(r) / 2)
    (unequal,) = specs({"variance_ratio": r}, {"kind": "flow"}, {"init_variance": 2e-4 / factor, "gamma_w": 3.8})
    one, other = train_spec(equal), train_spec(unequal)
    assert one.initialization.threshold == pytest.approx(other.initialization.threshold, rel=1e-11)
    # Errors of the width: A(0) differs by c/sqrt(width) a entry, here 0.05 sqrt(12657) = 6 % of the target's values.
    found, expected = (run.classification.order_parameters["balance"].signal_active for run in (one, other))
    assert found == expected == 1
    np.testing.assert_allclose(one.trajectory.final_modes.speed_up, other.trajectory.final_modes.speed_up, rtol=0.05)


def test_feature_learning_ends_where_the_layers_are_unequal_enough():
    # Kunin et al. 2024: d = 48, k = 3, width d^2, sigma2 width = 4; theory is lazy from cosh(ln(r)/2) > S_3/4, r = 130.
    expected = {1.0: 1, 100.0: 1, 200.0: 0.44, 500.0: 0, 1e4: 0}
    for ratio, share in expected.items():
        found = [
            train_spec(replace(spec, replicate=replicate)).classification.order_parameters
            for replicate in range(3)
            for spec in specs(
                {"variance_ratio": ratio},
                (),
                {"init_variance": 4 / 48**2, "width": 48**2},
                {"dimension": 48, "rank": 3},
            )
        ]
        for criterion in ("threshold", "balance", "speedup"):
            assert np.mean([each[criterion].signal_active for each in found]) == pytest.approx(share, abs=0.01)


def test_ids_without_knobs_are_those_of_before_the_section_came():
    (plain,) = specs()
    (told,) = specs({"kind": "gaussian", "richness": 1.0, "variance_ratio": 1.0}, {"learning_rate_ratio": 1.0})
    assert plain.run_id == told.run_id
    assert "init" not in plain.canonical()
    digests = {parse_config({"name": "x", "grid": {"gamma_sigma2": 0.0, "width": 3}, **init}).digest
               for init in ({}, {"init": {}}, {"init": {"richness": 1.0}})}  # fmt: skip
    assert len(digests) == 1

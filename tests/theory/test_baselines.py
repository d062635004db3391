"""The baselines of the smallest test error against closed forms, limits of the dynamics and brute force."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.model.draws import TaskConfig, draw_task
from linphase.theory.baselines import Baselines, baselines, optimal_shrinkage
from linphase.theory.cell import predict_modes
from linphase.theory.mode import TargetModes
from tests.naive import random_task

SHAPES = [(24, 24), (24, 30), (30, 24)]


def of(task):
    return baselines(TargetModes.of(task), task.noise, task.shape)


@pytest.mark.parametrize(("d", "k", "error", "within"), [(64, 4, 0.1211, 0.06), (200, 5, 0.0494, 0.04)])
def test_optimal_shrinkage_of_a_strong_signal_errs_by_its_share_of_the_modes(d, k, error, within):
    # (k/d)(2 - k/d) is of large d; at fixed ||A*|| the mean of 10 draws is 3 % and 1.7 % below, each to 2 % and 1 %.
    assert (k / d) * (2 - k / d) == pytest.approx(error, abs=5e-5)
    drawn = [of(draw_task(TaskConfig(dimension=d, rank=k, signal_norm=1.0), seed=seed)).optimal for seed in range(10)]
    assert np.mean(drawn) == pytest.approx(error, rel=within)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shrinkage_is_that_of_gavish_and_donoho(shape):
    noise, beta = 0.7, min(shape) / max(shape)
    y = np.array([0.0, 0.5, 1 + np.sqrt(beta), 2.5, 40.0])
    eta = optimal_shrinkage(y * noise * np.sqrt(max(shape)), noise, shape) / (noise * np.sqrt(max(shape)))
    expected = np.sqrt((y[3:] ** 2 - beta - 1) ** 2 - 4 * beta) / y[3:]
    np.testing.assert_allclose(eta, [0, 0, 0, *expected], rtol=1e-13)
    np.testing.assert_array_equal(optimal_shrinkage(y, 0.0, shape), y)


def test_optimal_shrinkage_beats_every_threshold_on_the_mean_of_draws():
    d, k, noise = 60, 3, 2.0
    edge = 2 * noise * np.sqrt(d)
    hard, soft, best = np.zeros(13), np.zeros(13), 0.0
    for seed in range(20):
        task = draw_task(TaskConfig(dimension=d, rank=k, noise=noise), seed=seed)
        target = TargetModes.of(task)
        S, levels = target.values, np.linspace(0, 1.5 * edge, 13)[:, None]
        hard += target.test_error(np.where(levels < S, S, 0.0))
        soft += target.test_error(np.maximum(S - levels, 0))
        best += of(task).optimal
    assert best < min(hard.min(), soft.min())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0, 5.0])
def test_lazy_and_balanced_are_the_best_of_their_families(shape, noise):
    task = random_task(*shape, 3, seed=5, noise=noise)
    target, found = TargetModes.of(task), of(task)
    S, x = target.values, np.linspace(0, 1, 1001)
    lazy = target.test_error(x[:, None] * S).min()
    balanced = min(
        target.test_error(np.where(np.arange(S.size) == j, x[:, None] * S, np.where(np.arange(S.size) < j, S, 0))).min()
        for j in range(S.size)
    )
    # The grid of 1001 misses a parabola's minimum by at most (S/2000)^2 a mode.
    assert found.lazy == pytest.approx(lazy, abs=np.sum(S**2) / 4e6 / target.size)
    assert found.balanced == pytest.approx(balanced, abs=S[0] ** 2 / 4e6 / target.size)
    assert found.lazy <= lazy + 1e-14
    assert found.balanced <= balanced + 1e-14
    assert found.zero == pytest.approx(task.signal_strength, rel=1e-12)
    assert max(found.lazy, found.balanced) <= found.zero


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_lazy_is_the_limit_of_a_large_threshold_and_balanced_that_of_a_small_one(noise):
    # Modes far apart rise one after another as soon as (S_i/S_j - 1) log(S_j/c) is large.
    task = random_task(24, 30, 3, seed=5, noise=noise)
    target = replace(TargetModes.of(task), values=20.0 * 0.7 ** np.arange(24))
    found = baselines(target, noise, task.shape)
    assert predict_modes(target, 1e9, 1e-9).min_test_error == pytest.approx(found.lazy, rel=1e-9)
    errors = [predict_modes(target, c, 1e-3).min_test_error for c in (1e-20, 1e-40, 1e-60)]
    assert errors[-1] == pytest.approx(found.balanced, rel=1e-6)
    assert abs(errors[0] - found.balanced) >= abs(errors[-1] - found.balanced)


def test_the_benefit_is_0_at_the_optimum_1_at_lazy_training_and_unknown_where_nothing_is_to_gain():
    found = Baselines(zero=1.0, optimal=0.1, lazy=0.5, balanced=0.12)
    assert (found.benefit(0.1), found.benefit(0.5)) == (0, 1)
    assert found.benefit(0.2) == pytest.approx(0.25)
    assert replace(found, lazy=0.1).benefit(0.1) is None


def test_an_entry_that_stands_for_equal_modes_is_those_modes():
    S, a = np.array([9.0, 4.0, 4.0, 2.0, 2.0, 2.0]), np.array([8.0, 3.0, 3.0, 0.1, 0.1, 0.1])
    each = TargetModes(S, a, np.ones(6), unseen=0.2, floor=0.1, size=36)
    one = TargetModes(S[[0, 1, 3]], a[[0, 1, 3]], np.array([1.0, 2.0, 3.0]), unseen=0.2, floor=0.1, size=36)
    assert one.count == each.count == 6
    first, second = (baselines(target, 0.5, (6, 6)) for target in (each, one))
    assert (first.zero, first.optimal, first.lazy) == pytest.approx((second.zero, second.optimal, second.lazy))
    for c in (1e-6, 0.5, 30.0):
        p, q = (predict_modes(target, c, 1e-4) for target in (each, one))
        assert p.min_test_error == pytest.approx(q.min_test_error, rel=1e-12)
        assert p.final_time == pytest.approx(q.final_time, rel=1e-12)
        assert p.final_train_error == pytest.approx(q.final_train_error, rel=1e-9)
        assert p.learning_order(3) == pytest.approx(q.learning_order(3), rel=1e-12)


def test_the_learning_order_of_a_prediction_is_1_when_lazy_and_large_when_balanced():
    target = TargetModes.of(draw_task(TaskConfig(dimension=64, rank=4)))
    assert predict_modes(target, 1e6, 1e-3).learning_order(4) == pytest.approx(1, rel=1e-4)
    assert predict_modes(target, 1e-3, 1e-3).learning_order(4) > 3
    assert predict_modes(target, 1e-3, 1e-3).learning_order(64) is None

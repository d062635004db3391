"""Boundaries of a task by its own singular values, against the closed forms of isotropic draws."""

import numpy as np
import pytest

from linphase.model import arrays
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.task import Task
from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_BALANCED,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    boundaries,
    boundaries_of_task,
    boundaries_of_values,
    signal_spread,
    typical_signal_value,
)

GAMMA_W = [0.2, 0.8, 1.5, 2.5]


def by_name(lines):
    return {line.name: line for line in lines if not line.asymptotic}


def of_values(task, gamma_w=GAMMA_W):
    s = task.solution_svd[1]
    return by_name(boundaries_of_values(s, task.signal_strength, task.rank, task.noise, task.scale, gamma_w))


def test_of_isotropic_draws_they_are_the_closed_forms_within_the_spread_of_draws():
    d, k, draws = 100, 4, 30
    exact = by_name(boundaries((d, d), k, 1.0, None, GAMMA_W))
    found = [of_values(draw_task(dimension=d, rank=k, seed=seed)) for seed in range(draws)]
    assert found[0].keys() == exact.keys()
    for name in (MIXED_LAZY, MIXED_BALANCED, INFINITE_NOISE):
        log_c = np.log(d) * (np.array([each[name].gamma_sigma2 for each in found]) - exact[name].gamma_sigma2)
        there = np.isfinite(exact[name].gamma_sigma2)
        assert (np.isfinite(log_c) == there).all()
        # The signal's middle value is a geometric mean (1.2 % from the median) and the bulk's median is of 96 values.
        assert np.abs(log_c[:, there].mean(axis=0)).max() < 0.04
        low, high = signal_spread(k, d, d)
        assert np.abs(log_c[:, there]).max() < 2 * np.log(high / low)
    np.testing.assert_allclose(found[0][UNDERPARAMETERIZED].gamma_w, exact[UNDERPARAMETERIZED].gamma_w)


def test_a_task_of_ones_own_has_those_of_its_values():
    drawn = draw_task(dimension=20, output_dimension=12, rank=3, noise=0.7)
    target = arrays.remember(drawn.target)
    signal = arrays.remember(drawn.signal)
    keys = {"dimension": 20, "output_dimension": 12, "noise": 0.7}
    for rank in (3, 0):
        config = TaskConfig(target=target, signal=signal, rank=rank, **keys)
        found, exact = (
            by_name(boundaries_of_task(config, GAMMA_W)),
            of_values(Task(drawn.signal, drawn.target, rank, 0.7)),
        )
        assert found.keys() == exact.keys()
        for name, line in found.items():
            np.testing.assert_array_equal(line.gamma_sigma2, exact[name].gamma_sigma2)
        assert typical_signal_value(config) == np.median(drawn.solution_svd[1][: max(rank, 1)])


@pytest.mark.parametrize(
    ("width", "held"), [(3, []), (4, [5.0]), (5, [5.0, 4.0]), (6, [5, 4, 3]), (64, [5, 4, 3, 2, 1])]
)
def test_the_bulk_counts_the_modes_alone_that_the_width_holds(width, held):
    S, rank, scale = np.array([30.0, 20, 10, 5, 4, 3, 2, 1]), 3, 8.0
    gamma_w = np.log(width) / np.log(scale)
    lines = by_name(boundaries_of_values(S, 2.0, rank, 1.0, scale, [gamma_w]))
    c = scale ** (lines[MIXED_BALANCED].gamma_sigma2[0] + gamma_w)
    assert np.isnan(c) if not held else c == pytest.approx(np.median(held), rel=1e-12)
    assert scale ** (lines[MIXED_LAZY].gamma_sigma2[0] + gamma_w) == pytest.approx(20, rel=1e-12)
    assert [scale ** (edge[0] + gamma_w) for edge in lines[MIXED_LAZY].band] == pytest.approx([10, 30], rel=1e-12)
    assert scale ** (2 * lines[INFINITE_NOISE].gamma_sigma2[0] + gamma_w) == pytest.approx(2, rel=1e-12)


def test_there_is_no_line_where_no_width_no_noise_or_no_rank_makes_one():
    S, scale = np.array([30.0, 20, 10, 5, 4, 3, 2, 1]), 8.0
    narrow = by_name(boundaries_of_values(S, 1.0, 3, 1.0, scale, [np.log(2) / np.log(8)]))  # width 2 < 3
    assert np.isnan(narrow[MIXED_LAZY].gamma_sigma2).all()
    assert MIXED_BALANCED not in by_name(boundaries_of_values(S, 1.0, 3, 0.0, scale, [1.0]))
    assert MIXED_BALANCED not in by_name(boundaries_of_values(S, 1.0, 8, 1.0, scale, [1.0]))
    unranked = by_name(boundaries_of_values(S, 1.0, 0, 0.0, scale, [2.0]))
    places = {f"c = s_{i}": S[i - 1] for i in (1, 2, 4, 8)}
    assert set(unranked) == {*places, INFINITE_NOISE}
    for name, s in places.items():
        assert scale ** (unranked[name].gamma_sigma2[0] + 2) == pytest.approx(s, rel=1e-12)


def test_values_of_no_size_have_no_line():
    rank_2 = by_name(boundaries_of_values(np.array([3.0, 2.0, 1e-16, 0.0]), 1.0, 0, 0.0, 4.0, [2.0]))
    assert set(rank_2) == {"c = s_1", "c = s_2", INFINITE_NOISE}
    # A signal of lower rank than is told has a zero among its modes.
    with_zero = by_name(boundaries_of_values(np.array([3.0, 0.0, 0.0, 0.0]), 1.0, 3, 0.0, 4.0, [2.0]))
    assert not np.isposinf(with_zero[MIXED_LAZY].gamma_sigma2).any()


def test_samples_have_those_of_their_least_squares_solution():
    config = TaskConfig(dimension=15, output_dimension=9, rank=2, samples=40, input_decay=0.5)
    for seed in (0, 1):
        task = draw_task(config, seed=seed)
        s = np.linalg.svd(task.solution, compute_uv=False)
        lines = by_name(boundaries_of_task(config, [2.0], seed))
        c = {name: config.scale ** (line.gamma_sigma2[0] + 2) for name, line in lines.items()}
        assert c[MIXED_LAZY] == pytest.approx(np.median(s[:2]), rel=1e-12)
        assert c[MIXED_BALANCED] == pytest.approx(np.median(s[2:]), rel=1e-12)


def test_fewer_samples_than_inputs_hold_fewer_modes():
    config = TaskConfig(dimension=15, output_dimension=9, rank=2, samples=5)
    task = draw_task(config)
    s = np.linalg.svd(task.solution, compute_uv=False)[:5]
    lines = by_name(boundaries_of_task(config, [2.0]))
    assert task.modes == 5
    assert config.scale ** (lines[MIXED_BALANCED].gamma_sigma2[0] + 2) == pytest.approx(np.median(s[2:]), rel=1e-12)

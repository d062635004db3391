"""Rectangular tasks: d_out rows, d_in columns, exponents to the base d = sqrt(d_out d_in)."""

import math

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.diagram.measured import boundaries_of
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.errors import ConfigError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, gaussian_start
from linphase.model.task import Task
from linphase.runs.training import train
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY, boundaries
from tests.figures.made import filled


def sweep(d_out, d_in, **changes):
    given = {
        "name": "rectangular",
        "task": {"dimension": d_in, "output_dimension": d_out, "rank": 2},
        "grid": {"gamma_sigma2": {"start": -2.6, "stop": -0.6, "num": 11}, "gamma_w": [2.0]},
    }
    return parse_config({**given, **changes})


def test_a_task_has_the_shape_that_is_asked_for_and_is_rescaled_over_all_its_entries():
    task = draw_task(TaskConfig(dimension=30, output_dimension=7, rank=3, noise=0.5, signal_norm=2.0))
    assert task.shape == (7, 30)
    assert task.signal_strength == pytest.approx(2.0, rel=1e-12)
    assert task.scale == TaskConfig(dimension=30, output_dimension=7).scale == math.sqrt(210)


def test_as_many_rows_as_columns_is_the_task_without_the_key():
    given, plain = TaskConfig(dimension=20, output_dimension=20), TaskConfig(dimension=20)
    np.testing.assert_array_equal(draw_task(given).target, draw_task(plain).target)
    ids = [[spec.run_id for spec in sweep(out, 20).expand()] for out in (20, None, 19)]
    assert ids[0] == ids[1] != ids[2]


def test_exponents_are_to_the_base_of_the_geometric_mean():
    spec = next(sweep(8, 32).expand())
    assert spec.initialization.init_variance == 16**-2.6
    assert spec.initialization.width == 256


@pytest.mark.parametrize(("d_out", "d_in"), [(5, 14), (14, 5), (1, 12)])
def test_the_transposed_task_trains_to_the_transposed_result(d_out, d_in):
    task = draw_task(TaskConfig(dimension=d_in, output_dimension=d_out, rank=1))
    turned = Task(signal=task.signal.T, target=task.target.T, rank=1, noise_level=1.0)
    start = Initialization.at(task.scale, gamma_sigma2=-1.5, gamma_w=1.6)
    weights = gaussian_start(start, task.shape)
    flow = GradientFlow(tolerance=1e-8, stages="float64")  # the error estimate does not treat the layers alike
    there = train(task, weights, flow)
    back = train(turned, Weights(weights.W2.T, weights.W1.T, start), flow)
    assert back.regimes == there.regimes
    assert back.minimum.test_error == pytest.approx(there.minimum.test_error, rel=1e-6)
    np.testing.assert_allclose(
        back.trajectory.final_modes.singular_value, there.trajectory.final_modes.singular_value, rtol=1e-5
    )


@pytest.mark.parametrize(("d_out", "d_in"), [(40, 160), (160, 40)])
def test_the_lines_are_those_of_the_singular_values_of_draws(d_out, d_in):
    k, draws = 4, 60
    config = TaskConfig(dimension=d_in, output_dimension=d_out, rank=k)
    values = np.array([draw_task(config, seed=seed).solution_svd[1] for seed in range(draws)])
    signal = math.exp(np.log(values[:, :k]).mean())
    bulk = np.median(values[:, k:], axis=1).mean()
    lines = {one.name: one for one in boundaries((d_out, d_in), k, 1.0, None, [2.5]) if not one.asymptotic}
    for name, measured in ((MIXED_LAZY, signal), (MIXED_BALANCED, bulk)):
        (c,) = config.scale ** (lines[name].gamma_sigma2 + 2.5)
        assert c == pytest.approx(measured, rel=0.02)  # one standard error of the mean of the signal's is 0.7 %


@pytest.mark.parametrize(("d_out", "d_in"), [(12, 48), (48, 12)])
def test_the_measured_boundaries_lie_on_theorys_lines(d_out, d_in, tmp_path):
    found = {one.name: one for one in boundaries_of(filled(tmp_path / "r", sweep(d_out, d_in)))}
    bulk = found[MIXED_BALANCED]
    assert bulk.gamma_sigma2 == pytest.approx(bulk.finite_d, abs=0.03)  # 10 modes of the bulk of one draw
    assert abs(found[MIXED_LAZY].gamma_sigma2 - found[MIXED_LAZY].finite_d) < 0.15  # 2 modes of one draw


def test_one_output_has_one_mode_and_no_bulk(tmp_path):
    results = filled(tmp_path / "r", sweep(1, 24, task={"dimension": 24, "output_dimension": 1, "rank": 1}))
    assert set(results.runs["regime"]) == {"balanced", "lazy"}
    assert results.runs["bulk_active"].isna().all()
    assert {one.name for one in boundaries_of(results)} == {MIXED_LAZY}


def test_a_rank_beyond_the_smaller_dimension_is_refused():
    with pytest.raises(ConfigError, match=r"task.rank: must be at most task.output_dimension = 3, found 4"):
        sweep(3, 20, task={"dimension": 20, "output_dimension": 3, "rank": 4})
    with pytest.raises(ConfigError, match=r"task.output_dimension: must be an integer from 1 to 20000, found 0"):
        sweep(0, 20)

"""Diagrams of a target and of data of one's own: what they share with draws, and what is told without a signal."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from linphase.config.config import parse_config
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.draws import draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.stopping import Converged
from linphase.runs.training import train
from tests.figures.made import filled

GRID = {"gamma_sigma2": [-2.5, -1.5, -0.5], "gamma_w": [0.7, 1.5, 2.0]}
RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 7)) * np.array([3.0, 2, 1, 1, 1, 0.7, 0.5])
Y = X @ RNG.standard_normal((7, 5)) + 0.2 * RNG.standard_normal((30, 5))


def sweep(**sections):
    return parse_config({"name": "own", "grid": GRID, **sections})


@pytest.mark.parametrize("keys", [
    {"dimension": 10, "rank": 2}, {"dimension": 12, "output_dimension": 6, "rank": 3, "noise": 0.5},
    {"dimension": 8, "rank": 8, "signal_decay": 1.0, "noise": 0.0},
])  # fmt: skip
def test_a_draw_that_is_given_as_arrays_has_the_diagram_of_the_draw(tmp_path, keys):
    drawn = draw_task(**keys)
    # The draw knows the level of its noise and the arrays have their own mean square. Relative to that the bound on
    # the train error is made the same: then it differs by rounding.
    found = Task.from_target(drawn.target, drawn.signal, keys["rank"])
    level = drawn.noise**2 / found.noise**2 if drawn.noise else 1.0
    there = filled(tmp_path / "drawn", sweep(task=keys))
    own = filled(tmp_path / "own", sweep(stop={"excess_error": 1e-3 * level}).of_task(found))
    assert not set(own.runs["run_id"]) & set(there.runs["run_id"])
    there, own = (each.runs.sort_values(["gamma_sigma2", "gamma_w"], ignore_index=True) for each in (there, own))
    same = ["threshold", "regime", "status", "active_modes", "converged", "rank_at_min", "learning_rate", "rank",
            "dimension", "gradient_evaluations"]  # fmt: skip
    pd.testing.assert_frame_equal(own[same], there[same], check_exact=True, check_dtype=False)
    close = ["min_test_error", "iterations_at_min", "final_time", "final_train_error", "final_test_error",
             "stable_rank_at_min", "crossing_time", "escape_time", "convergence_time", "signal_active", "bulk_active",
             "kernel_distance", "imbalance", "learning_order"]  # fmt: skip
    pd.testing.assert_frame_equal(own[close], there[close], rtol=1e-6)  # where the run ends is found to 1e-9
    before_the_end = there["time_at_min"] < 0.99 * there["final_time"]
    assert (own["min_test_error"] == there["min_test_error"])[before_the_end].all()
    assert before_the_end.any() == (drawn.noise > 0)
    np.testing.assert_allclose(own["noise"] ** 2 * level, there["noise"] ** 2, rtol=1e-12, atol=1e-12)


def test_the_same_level_of_noise_makes_the_same_run_to_the_bit(tmp_path):
    # As it is given here, and nowhere found in the arrays.
    drawn = draw_task(dimension=10, rank=2)
    own = Task(drawn.signal, drawn.target, 2, drawn.noise)
    start = Initialization.at(10, gamma_sigma2=-1.5, gamma_w=1.5)
    one, other = (train(task, gaussian_start(start, (10, 10))).row() for task in (drawn, own))
    for row in (one, other):
        row.pop("elapsed_s")
    pd.testing.assert_series_equal(pd.Series(one), pd.Series(other))


@pytest.fixture(scope="module", params=["target", "data"])
def without_signal(request, tmp_path_factory):
    """A sweep of a task without a signal or a rank, and its task."""
    task = Task.from_target(Y.T @ X / 30) if request.param == "target" else Task.from_data(X, Y)
    return filled(tmp_path_factory.mktemp("none") / "r", sweep().of_task(task)), task


def test_without_a_signal_there_are_no_test_errors_and_without_a_rank_no_regimes(without_signal):
    results, _ = without_signal
    runs = results.runs
    assert runs["converged"].all()
    nothing = ["min_test_error", "final_test_error", "regime", "signal_active", "bulk_active", "benefit",
               "blind_test_error", "iterations_at_min", "rank_at_min"]  # fmt: skip
    assert runs[nothing].isna().all().all()
    assert runs[["final_train_error", "final_time", "active_modes", "threshold"]].notna().all().all()
    stored = pd.concat([pq.read_table(part).to_pandas() for part in (results.path / "runs").glob("part-*")])
    assert stored[nothing].isna().all().all()  # null, and not NaN: Parquet tells them apart
    tables = [pq.read_table(part) for part in (results.path / "runs").glob("part-*")]
    assert all(table.column("min_test_error").null_count == table.num_rows for table in tables)


def test_the_active_modes_are_those_of_the_solution_above_the_threshold(without_signal):
    results, task = without_signal
    s = np.linalg.svd(task.solution, compute_uv=False)
    for run in results.runs.itertuples():
        if run.width < len(s) or np.abs(np.log(s / run.threshold)).min() < 0.05:
            continue  # a count by what was trained, to a finite error
        assert run.active_modes == np.count_nonzero(s > run.threshold)
    assert results.runs["active_modes"].nunique() > 2


def test_with_a_rank_there_are_regimes_without_test_errors(tmp_path):
    for number, task in enumerate((Task.from_target(Y.T @ X / 30, rank=2), Task.from_data(X, Y, rank=2))):
        runs = filled(tmp_path / str(number), sweep().of_task(task)).runs
        assert runs["regime"].notna().all()
        assert runs["regime"].nunique() >= 2
        assert runs["min_test_error"].isna().all()
        assert runs["signal_active"].notna().all()


def test_held_out_samples_have_test_errors_without_a_rank(tmp_path):
    runs = filled(tmp_path / "r", sweep().of_task(Task.from_data(X[:20], Y[:20], X[20:], Y[20:]))).runs
    assert (runs["min_test_error"] <= runs["final_test_error"] * (1 + 1e-12)).all()
    assert runs["regime"].isna().all()


def test_a_run_on_data_ends_where_the_train_error_comes_close_to_its_floor():
    task, start = Task.from_data(X, Y, rank=2), Initialization.at(6, gamma_sigma2=-1.0, width=3)
    run = train(task, gaussian_start(start, task.shape), stop=Converged(excess_error=1e-4))
    fit = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    s = np.linalg.svd(fit, compute_uv=False)
    size = np.sum(X**2) * 5
    assert run.train_error == pytest.approx(np.sum(s[3:] ** 2) / size + 1e-4 * np.sum(fit**2) / size, rel=1e-8)
    assert run.row()["irreducible"] * size == pytest.approx(np.sum((Y - fit) ** 2), rel=1e-12)


def test_every_mode_of_data_at_the_end_is_that_of_the_solution():
    task, start = Task.from_data(X, Y, rank=2), Initialization.at(6, gamma_sigma2=-5.0, gamma_w=6.0)
    flow = GradientFlow(tolerance=1e-6)
    run = train(task, gaussian_start(start, task.shape), flow, stop=Converged(excess_error=1e-10))
    s, c = np.linalg.svd(task.solution, compute_uv=False), start.threshold
    final = run.trajectory.final_modes
    np.testing.assert_allclose(final.singular_value, s, rtol=1e-3)
    # In theory sqrt(1 + s^2/c^2) and s/sqrt(s^2 + c^2), whatever Sigma; to the width's sqrt(d/width).
    np.testing.assert_allclose(final.speed_up, np.hypot(1, s / c), rtol=0.05)
    np.testing.assert_allclose(final.balance, s / np.hypot(s, c), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("decay", "expected"), [(1.0, (64, 16, 1)), (2.0, (14, 4, 1))])
def test_as_many_modes_are_active_as_a_power_law_has_above_the_threshold(decay, expected):
    # i^-a s_1 > c where i < (s_1/c)^(1/a); ||A*||_F = d, so s_1 is 50.1 and 61.5.
    d = 64
    task = draw_task(dimension=d, rank=d, noise=0.0, signal_decay=decay)
    s = task.solution_svd[1]
    for c, active in zip((0.3, 3.0, 30.0), expected, strict=True):
        start = Initialization.at(d, init_variance=c / d**4, width=d**4)  # right to sqrt(d/width) = 0.2 %
        run = train(task, gaussian_start(start, task.shape), stop=Converged(excess_error=1e-9))
        assert min(d, int((s[0] / c) ** (1 / decay))) == active
        assert set(run.classification.active.values()) == {active}

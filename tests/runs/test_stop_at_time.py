"""A run that ends at a given time: where, with which means, and how it is drawn, told and foretold."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.integrate import quad

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import Window
from linphase.diagram.cells import cells_of
from linphase.diagram.measured import boundaries_of
from linphase.diagram.panels import find_panel
from linphase.diagram.versus import paired, predicted_runs
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.draws import draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.regime import Cuts
from linphase.pages.explorer_tables import tables
from linphase.pages.explorer_trajectories import thin
from linphase.runs.averages import LastHalf
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import AtTime
from linphase.runs.training import train, train_spec
from linphase.theory.mode import TargetModes, modes_from_zero
from tests import naive
from tests.figures.made import filled

TASK = draw_task(dimension=6, rank=2)
START = Initialization.at(6, gamma_sigma2=-1.0, width=20)
GRID = {"gamma_sigma2": [-2.0, -1.0, -0.5, 0.0], "gamma_w": [1.5, 2.5]}


def config(grid=GRID, stop=(), **sections):
    return parse_config(
        {
            "name": "timed",
            "task": {"dimension": 6, "rank": 2},
            "grid": grid,
            "stop": {"rule": "time", "time": 0.3, **dict(stop)},
            **sections,
        }
    )


# ------------------------------------------------------------------------------------------------- where it ends


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("richness", [1.0, 7.0])
@pytest.mark.parametrize("kind", ["flow", "self_consistent", "modes"])
def test_a_flow_ends_exactly_at_the_time(kind, richness, precision):
    sections = {"dynamics": {"kind": kind}, "init": {"richness": richness}, "run": {"precision": precision}}
    for spec in config(stop={"time": 0.7}, **sections).expand():
        run = train_spec(spec)
        assert run.status == "finished"
        assert not run.converged
        assert run.time == pytest.approx(0.7, rel=1e-14)
        assert run.trajectory.time[-1] == run.time


def test_the_network_at_the_time_is_that_of_the_flow():
    weights = gaussian_start(START, TASK.shape)
    run = train(TASK, weights, GradientFlow(tolerance=1e-6), stop=AtTime(time=0.2))
    exact = naive.gradient_flow(TASK, weights, 0.2)(0.2).product()
    np.testing.assert_allclose(run.A, exact, atol=1e-4 * np.abs(exact).max())  # some 30 steps of that tolerance


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("richness", [1.0, 7.0])
@pytest.mark.parametrize(("time", "steps"), [(0.3, 30), (0.301, 31), (0.309, 31), (0.01, 1), (0.001, 1)])
def test_descent_ends_at_the_first_step_that_is_not_before_the_time(time, steps, richness, precision):
    sections = {
        "dynamics": {"kind": "gd", "learning_rate": 0.01},
        "init": {"richness": richness},
        "run": {"precision": precision},
    }
    (spec, *_) = config(stop={"time": time}, **sections).expand()
    run = train_spec(spec)
    assert (run.status, run.updates) == ("finished", steps)
    assert run.time == pytest.approx(0.01 * steps)


def test_a_budget_that_ends_before_the_time_is_told_and_has_no_means():
    for dynamics in ({"kind": "gd", "learning_rate": 0.01, "max_steps": 20}, {"kind": "flow", "max_evaluations": 5}):
        (spec, *_) = config(dynamics=dynamics).expand()
        run = train_spec(spec)
        assert run.status == "step_limit"
        assert run.mean_errors == (None, None)
        assert run.trajectory.mean_singular_values.size == 0


# ------------------------------------------------------------------------------------------------------- means


def test_means_of_descent_are_those_over_the_steps_of_the_last_half():
    weights = gaussian_start(START, TASK.shape)
    run = train(TASK, weights, GradientDescent(learning_rate=0.01), stop=AtTime(time=0.4))
    path = naive.gradient_descent(TASK, weights, 0.01, 40)[20:]
    expected = np.mean([naive.errors(TASK, each.product()) for each in path], axis=0)
    np.testing.assert_allclose(run.mean_errors, expected, rtol=1e-12)


@pytest.mark.parametrize("richness", [1.0, 3.0])
def test_means_of_a_flow_are_those_over_the_time_of_the_last_half(richness):
    weights = gaussian_start(START, TASK.shape)
    start = replace(START, richness=richness)
    run = train(
        TASK,
        weights,
        GradientFlow(tolerance=1e-5),
        stop=AtTime(time=0.3 * richness),
        initialization=start,
        record=RecordConfig(snapshots=1000),
    )
    there = naive.gradient_flow(TASK, weights, 0.3)
    for found, which in zip(run.mean_errors, (0, 1), strict=True):
        mean, _ = quad(lambda t, which=which: naive.errors(TASK, there(t).product())[which], 0.15, 0.3, epsabs=1e-6)
        assert found == pytest.approx(mean / 0.15, rel=3e-3)  # an error is no exponential within a step
    values = [np.linalg.svd(there(t).product(), compute_uv=False) for t in np.linspace(0.15, 0.3, 2001)]
    # Between moments that are kept singular values are taken as linear.
    np.testing.assert_allclose(run.trajectory.mean_singular_values, np.mean(values, axis=0), rtol=5e-3)


def test_the_mean_of_an_exponential_is_exact_however_long_the_steps():
    half = LastHalf(2.0, continuous=True)
    for time in (0.0, 0.3, 1.6, 2.0):
        half.observe(time, 5 * np.exp(-3 * time), np.nan)
    train_error, test_error = half.means()
    assert train_error == pytest.approx(5 * (np.exp(-3) - np.exp(-6)) / 3, rel=1e-12)
    assert test_error is None


def test_means_are_stored_and_absent_where_no_time_is_given(tmp_path):
    timed = filled(tmp_path / "timed", config(dynamics={"kind": "gd"}))
    plain = filled(tmp_path / "plain", parse_config({"name": "p", "task": {"dimension": 6, "rank": 2}, "grid": GRID}))
    assert timed.runs[["mean_train_error", "mean_test_error"]].notna().all(axis=None)
    assert plain.runs[["mean_train_error", "mean_test_error"]].isna().all(axis=None)
    for results, count in ((timed, 6), (plain, 0)):
        assert results.trajectory(results.runs["run_id"].iloc[-1]).mean_singular_values.size == count


# ------------------------------------------------------------------------------------------- drawn, told, foretold


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """A sweep whose runs all end at their time, but of one cell, whose budget was spent before."""
    grid = {**GRID, "dynamics.max_steps": [100_000, 3]}
    dynamics = {"kind": "gd", "learning_rate": 0.002}
    return filled(tmp_path_factory.mktemp("timed") / "r", config(grid, dynamics=dynamics))


def test_a_finished_run_is_drawn_plain(timed):
    axes = {key: timed.axes[key] for key in ("gamma_sigma2", "gamma_w")}
    for steps, hatched in ((100_000, 0), (3, 8)):
        runs = timed.runs[timed.runs["max_steps"] == steps]
        cells = cells_of(runs, Window.of(axes), find_panel("regime", Cuts(), runs), Cuts())
        assert len(cells.unconverged) == hatched
        status = cells_of(runs, Window.of(axes), find_panel("status", Cuts(), runs), Cuts())
        assert set(status.outcomes.values()) == {("finished",) if not hatched else ("step_limit",)}
    page = tables(timed, thin(timed))
    assert set(page["as_asked"]) == {"converged", "finished"}


def test_status_and_report_do_not_call_a_finished_run_unconverged(timed, tmp_path):
    told = CliRunner().invoke(main, ["status", str(timed.path)])
    assert "failed: 0, diverged: 0, not converged: 8" in told.output
    done = CliRunner().invoke(main, ["report", str(timed.path), "--panel", "status", "-o", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    assert "8 of those done did not converge" in (tmp_path / "r.html").read_text()


def test_a_boundary_of_finished_runs_is_said_to_be_of_their_time(tmp_path):
    results = filled(tmp_path / "r", config(dynamics={"kind": "gd", "learning_rate": 0.002}))
    assert {crossing.finished for crossing in boundaries_of(results) if crossing.runs} == {1.0}
    told = CliRunner().invoke(main, ["boundary", str(results.path)])
    assert told.exit_code == 0
    assert "8 of 8 runs ended at a given time: the mixed | balanced boundary is that of this time" in told.output
    assert "did not converge" not in told.output


def test_the_time_is_an_axis(tmp_path):
    grid = {"gamma_sigma2": -1.0, "gamma_w": [1.5, 2.5], "stop.time": [0.05, 0.1, 0.4]}
    results = filled(tmp_path / "r", config(grid, dynamics={"kind": "gd", "learning_rate": 0.01}))
    assert sorted(set(results.runs["stop_time"])) == [0.05, 0.1, 0.4]
    np.testing.assert_allclose(results.runs["final_time"], results.runs["stop_time"], rtol=1e-9)
    done = CliRunner().invoke(
        main, ["plot", str(results.path), "--x", "stop.time", "--y", "gamma_w", "-o", str(tmp_path / "p.pdf")]
    )
    assert done.exit_code == 0, done.output


def test_theory_ends_at_the_same_time():
    wide = {"gamma_sigma2": [-8.5, -7.5], "gamma_w": [8.0], "stop.time": [0.03, 0.1]}
    config_ = config(wide, dynamics={"kind": "flow", "tolerance": 1e-5})
    specs, predicted = list(config_.expand()), list(config_.predicted().expand())
    assert [spec.stop for spec in predicted] == [spec.stop for spec in specs]
    for spec, theory in zip(specs, predicted, strict=True):
        run, its = train_spec(spec), train_spec(theory)
        assert its.status == "finished"
        times = its.trajectory.mode_times
        for found in (times.crossing, times.escape, times.convergence):
            assert not (found > its.time).any()  # nan: never
        modes = TargetModes.of(draw_task(spec.task))
        s = modes_from_zero(np.array(spec.stop.time), modes.values, theory.initialization.threshold)
        assert its.train_error == pytest.approx(float(modes.train_error(s)), rel=1e-12)
        # At a width of d^8 the start has no noise of its own but 1/d^3 of c.
        assert run.train_error == pytest.approx(its.train_error, rel=0.02)


def test_runs_of_several_times_stand_beside_the_prediction_of_their_own(tmp_path):
    grid = {"gamma_sigma2": -1.0, "gamma_w": [1.5, 2.5], "stop.time": [0.1, 0.4]}
    timed = config(grid, dynamics={"kind": "gd", "learning_rate": 0.01})
    results = filled(tmp_path / "r", timed)
    pairs = paired(results.runs, predicted_runs([timed]))
    assert len(pairs) == 4
    np.testing.assert_allclose(pairs["final_time"], pairs["final_time_predicted"], rtol=1e-9)


def test_the_estimate_of_a_run_knows_its_steps():
    (spec, *_) = config(stop={"time": 5.0}, dynamics={"kind": "gd", "learning_rate": 0.01}).expand()
    assert spec.dynamics.evaluations(spec) == pytest.approx(500)

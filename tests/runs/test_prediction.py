import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.diagram.versus import predicted_runs
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.beside import from_the_same_start
from linphase.runs.comparison import ExactComparison
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Converged
from linphase.runs.training import train, train_spec
from linphase.store.results import load
from linphase.theory.matrix import euler_path, euler_step
from tests.processes import train_here

TASK = draw_task(TaskConfig(dimension=24, rank=2))


def at(gamma_sigma2: float, gamma_w: float) -> Initialization:
    return Initialization.at(24, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)


@pytest.mark.parametrize("c", [0.03, 1.0, 10.0, 300.0])
def test_a_wide_network_trains_as_theory_predicts(c):
    # Equation (1) is exact where C1 and C2 are c I at the start; at this width they are to 1e-5, and A0 is next to 0.
    start = Initialization.at(24, init_variance=c / 10**10, width=10**10)
    trained = train(TASK, gaussian_start(start, TASK.shape), initialization=start)
    predicted = predict(TASK, start, stop=Converged(), record=RecordConfig())
    assert predicted.regimes == trained.regimes
    assert predicted.minimum.test_error == pytest.approx(trained.minimum.test_error, rel=0.01)
    assert predicted.time == pytest.approx(trained.time, rel=5e-3)  # the flow's tolerance
    ours, theirs = predicted.observables, trained.observables
    assert ours["kernel_change"] == pytest.approx(theirs["kernel_change"], rel=0.03)
    assert ours["target_alignment"] == pytest.approx(theirs["target_alignment"], rel=0.03)
    assert ours["subspace_overlap"] == pytest.approx(theirs["subspace_overlap"], abs=0.03)
    final, expected = predicted.trajectory.final_modes, trained.trajectory.final_modes
    np.testing.assert_allclose(final.speed_up, expected.speed_up, rtol=1e-2)


def test_self_consistent_dynamics_from_a_start_of_zero_is_the_prediction():
    # A start so small that nothing of A0 is left, at the same c.
    start = Initialization.at(24, init_variance=1e-13, width=3 * 10**13)
    run = train(TASK, gaussian_start(start, TASK.shape), SelfConsistent(), initialization=start)
    predicted = predict(TASK, start, stop=Converged(), record=RecordConfig())
    assert run.converged
    # Moments are up to a quarter apart in time; between them A is a cubic of fourth order.
    assert run.minimum.test_error == pytest.approx(predicted.minimum.test_error, rel=1e-3)
    assert run.minimum.time == pytest.approx(predicted.minimum.time, rel=1e-2)
    assert run.regimes == predicted.regimes
    np.testing.assert_allclose(run.trajectory.mode_times.escape, predicted.trajectory.mode_times.escape, rtol=2e-2)


def test_the_predictions_snapshots_follow_its_own_curve():
    run = predict(TASK, at(-2, 2), stop=Converged(), record=RecordConfig(snapshots=20))
    trajectory = run.trajectory
    assert 10 <= len(trajectory.time) <= 20
    assert trajectory.time[0] == 0
    assert trajectory.time[-1] == pytest.approx(run.time)
    assert trajectory.train_error[0] == pytest.approx(np.mean(TASK.target**2))
    assert trajectory.train_error[-1] == pytest.approx(1e-3)
    U, _, V = TASK.solution_svd
    for s, error in zip(trajectory.singular_values, trajectory.test_error, strict=True):
        assert np.mean(((U * s) @ V.T - TASK.signal) ** 2) == pytest.approx(error)


def test_the_infinite_noise_corner_ends_where_it_should():
    run = train(TASK, gaussian_start(at(0, 2.8), TASK.shape), SelfConsistent(), initialization=at(0, 2.8))
    assert run.converged
    assert run.gradient_evaluations < 500  # moments do not pile up where A is far larger than Y


def test_self_consistent_dynamics_is_not_bound_by_the_width():
    start = Initialization.at(24, gamma_sigma2=-2, width=1)
    run = train(TASK, gaussian_start(start, TASK.shape), SelfConsistent(), initialization=start)
    assert run.train_error_floor == 0
    assert run.train_error <= 1e-3


def euler_distances(start: Initialization, rate: float, steps: int) -> list[float]:
    """The paper's comparison, the obvious way: both iterations side by side from the same A."""
    weights = gaussian_start(start, TASK.shape)
    A_sc = weights.product()
    distances = []
    for state in GradientDescent(learning_rate=rate, max_steps=steps).states(TASK, weights, start):
        A = state.weights.product()
        distances.append(float(np.mean((A - A_sc) ** 2)))
        A_sc = euler_step(A_sc, A_sc - TASK.target, start.threshold, rate)
    return distances


def test_the_euler_path_is_the_iteration_at_the_steps_asked_for_and_ends_where_it_explodes():
    start = at(-1.5, 1.5)
    A = gaussian_start(start, TASK.shape).product()
    path = euler_path(TASK, A, start.threshold, 0.002, np.array([0, 3, 7]))
    for step in range(8):
        if step in path.step:
            (i,) = np.flatnonzero(path.step == step)
            assert path.time[i] == pytest.approx(0.002 * step)
            assert path.train_error[i] == pytest.approx(np.mean((A - TASK.target) ** 2), rel=1e-12)
            assert path.test_error[i] == pytest.approx(np.mean((A - TASK.signal) ** 2), rel=1e-12)
            np.testing.assert_allclose(path.singular_values[i], np.linalg.svd(A, compute_uv=False), rtol=1e-10)
        A = euler_step(A, A - TASK.target, start.threshold, 0.002)
    assert path.step.tolist() == [0, 3, 7]
    samples = Task.from_data(np.eye(24) * 2**0.5, TASK.target.T * 2**0.5)  # R^T R = I/12: time runs at a twelfth
    slow = euler_path(samples, gaussian_start(start, TASK.shape).product(), start.threshold, 0.024, path.step)
    np.testing.assert_allclose(slow.singular_values, path.singular_values, rtol=1e-10)
    assert np.isnan(slow.test_error).all()
    exploded = euler_path(TASK, A, start.threshold, 10.0, np.arange(50))
    assert 1 < len(exploded.time) < 50
    assert np.isfinite(exploded.singular_values).all()


def test_the_distance_to_the_euler_iteration_is_the_largest_over_all_steps():
    start = at(-1.5, 1.5)
    record = RecordConfig(compare="self_consistent_euler", snapshots=10)
    descent = GradientDescent(learning_rate=0.002, max_steps=60)
    run = train(TASK, gaussian_start(start, TASK.shape), descent, record=record, initialization=start)
    distances = euler_distances(start, 0.002, run.updates)
    assert run.distance_to_self_consistent == pytest.approx(max(distances), rel=1e-9)
    assert run.trajectory.distance[0] == pytest.approx(0, abs=1e-25)
    for step, distance in zip(run.trajectory.step, run.trajectory.distance, strict=True):
        assert distance == pytest.approx(distances[step], rel=1e-9, abs=1e-25)


@pytest.mark.parametrize("kind", ["flow", "gd"])
def test_theory_beside_a_run_of_independent_dimensions_starts_where_it_starts(kind):
    grid, run = {"gamma_sigma2": -0.5, "width": 30}, {"independent_dimensions": True}
    (spec,) = parse_config(
        {"name": "one", "task": {"dimension": 12}, "grid": grid, "run": run, "dynamics": {"kind": kind}}
    ).expand()
    trained = train_spec(spec)
    theory, _ = from_the_same_start(spec, trained)
    np.testing.assert_allclose(theory.singular_values[0], trained.trajectory.singular_values[0], rtol=1e-9)
    np.testing.assert_allclose(theory.test_error[0], trained.trajectory.test_error[0], rtol=1e-9)


def test_the_distance_of_the_flow_to_the_exact_solution_falls_with_the_width():
    largest = []
    for width in (10**3, 10**5, 10**7):
        start = Initialization.at(24, init_variance=5 / width, width=width)
        record = RecordConfig(compare="self_consistent")
        run = train(TASK, gaussian_start(start, TASK.shape), record=record, initialization=start)
        assert len(run.trajectory.distance) == len(run.trajectory.time)
        # The peak may lie between the moments kept.
        assert 1 <= run.distance_to_self_consistent / run.trajectory.distance.max() < 1.2
        largest.append(run.distance_to_self_consistent)
    # C1 and C2 deviate from c I by 1/sqrt(width), so the squared distance falls as 1/width, down to the tolerance's.
    assert largest[1] < largest[0] / 30
    assert largest[2] < largest[1]


def test_the_exact_comparison_of_the_dynamics_with_itself_is_zero():
    start = at(-1.5, 1.5)
    weights = gaussian_start(start, TASK.shape)
    exact = ExactComparison(TASK, weights, start.threshold)
    for state in SelfConsistent(max_evaluations=30).states(TASK, weights, start):
        assert exact.distance(state) < 1e-20


GRID = {"gamma_sigma2": [-2.0, -0.5], "gamma_w": [0.5, 2.0], "dynamics.tolerance": [1e-2, 1e-3]}


def test_a_configuration_predicts_its_own_cells_under_another_name():
    config = parse_config({"name": "x", "task": {"dimension": 16}, "grid": GRID, "stop": {"excess_error": 1e-2}})
    predicted = config.predicted()
    assert predicted.name == "x-theory"
    assert predicted.cells == 4  # the tolerance means nothing to theory
    assert predicted.stop.excess_error == 1e-2
    assert {spec.dynamics.kind for spec in predicted.expand()} == {"modes"}
    table = predicted_runs([config])
    assert len(table) == 4
    assert set(table["status"]) == {"converged"}


def test_predictions_are_stored_and_loaded_like_runs(tmp_path):
    config = parse_config({"name": "x", "task": {"dimension": 16}, "grid": GRID}).predicted()
    results = train_here(config, tmp_path / "r")
    assert set(results.runs["kind"]) == {"modes"}
    trajectory = results.trajectory(results.runs["run_id"].iloc[0])
    (spec,) = (s for s in config.expand() if s.run_id == results.runs["run_id"].iloc[0])
    np.testing.assert_allclose(trajectory.time, train_spec(spec).trajectory.time, rtol=1e-6)  # stored as float32
    assert load(tmp_path / "r").missing() == []

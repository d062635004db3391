"""Sweeps with real workers, real kills and real signals."""

import json
import os
import shutil
import signal
import time
from itertools import chain, repeat

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.cli.progress import _Received
from linphase.config.config import parse_config
from linphase.errors import LinphaseError, ResultsError
from linphase.model.draws import TaskConfig, draw_task
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.store.provenance import versions
from linphase.store.results import load
from linphase.store.rows import summary_row, task_of
from linphase.store.writing import create
from linphase.sweeps import local, sweeping
from linphase.sweeps.batch import assign, run_batch
from linphase.sweeps.sweeping import iter_sweep, sweep
from tests.processes import (
    finish,
    same_science,
    science,
    start_sweep,
    train_here,
    wait_for_first_part,
)

SMALL = {
    "name": "small",
    "task": {"dimension": 8, "rank": 2},
    "grid": {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.5, 1.5, 2.5], "replicates": 2},
}


def config(**changes):
    return parse_config({**SMALL, **changes})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "small"
    train_here(config(), path)
    return path


def test_every_run_of_the_grid_is_there_once(undisturbed):
    runs = load(undisturbed).runs
    assert len(runs) == 18
    assert runs["run_id"].is_unique
    assert set(runs["status"]) == {"converged"}
    assert runs.groupby(["gamma_sigma2", "gamma_w"])["replicate"].agg(set).eq({0, 1}).all()
    assert not load(undisturbed).missing()


@pytest.mark.parametrize(("rank", "crossing"), [(2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4)])
def test_a_rows_times_are_the_medians_of_the_modes_with_never_at_infinity(rank, crossing):
    task = TaskConfig(dimension=32, rank=rank, noise=0.0)
    values = np.append(draw_task(task).solution_svd[1][:rank], 0.0)
    c = (values[crossing - 1] + values[crossing]) / 2  # so many modes end above it
    grid = {"init_variance": float(c) / 10**8, "width": 10**8}
    stop = {"excess_error": 1e-8}
    (spec,) = parse_config({"name": "m", "task": task.model_dump(), "grid": grid, "stop": stop}).expand()
    run = train_spec(spec)
    row = summary_row(spec, run)
    times = sorted(run.trajectory.mode_times.crossing)  # nan last
    assert np.isnan(times).sum() == rank - crossing
    if 2 * crossing <= rank:
        assert row["crossing_time"] is None
    else:
        assert row["crossing_time"] == pytest.approx((times[rank // 2 - 1] + times[rank // 2]) / 2, rel=1e-12)
        assert times[rank // 2 - 1] < times[rank // 2]
    assert row["escape_time"] == pytest.approx(np.median(run.trajectory.mode_times.escape), rel=1e-12)
    assert len(run.trajectory.mode_times.escape) == rank


def test_workers_give_the_bits_of_this_process(undisturbed, tmp_path):
    rows = list(iter_sweep(config(), tmp_path / "r", jobs=2))
    assert sorted(row["run_id"] for row in rows) == sorted(science(undisturbed)["run_id"])
    same_science(undisturbed, tmp_path / "r")


def test_order_and_batches_do_not_change_a_bit(undisturbed, tmp_path):
    specs = list(config().expand())[::-1]
    create(tmp_path / "r", config())
    for i in range(0, len(specs), 5):
        run_batch(tmp_path / "r", assign(specs[i : i + 5], config()))
    same_science(undisturbed, tmp_path / "r")


@pytest.mark.parametrize("independent", [False, True])
def test_the_task_of_every_stored_row_is_drawn_again(tmp_path, independent):
    grid = {"gamma_sigma2": [-1.5], "width": [40], "task.dimension": [6, 8], "replicates": 2}
    train_here(config(grid=grid, run={"independent_dimensions": independent}), tmp_path / "r")
    results = load(tmp_path / "r")
    for row in results.runs.to_dict("records"):
        stored = results.trajectory(row["run_id"]).final_modes.target
        np.testing.assert_allclose(task_of(row).solution_svd[1], stored, rtol=1e-6)  # stored in single precision
    small, large = (task_of(row) for row in results.runs[results.runs["replicate"] == 0].to_dict("records"))
    E, its = (task.target - task.signal for task in (small, large))
    assert np.isclose(np.corrcoef(E.ravel(), its.ravel()[:36])[0, 1], 1, atol=1e-9) != independent


def test_a_finished_sweep_runs_nothing_again(undisturbed):
    parts = sorted(p.name for p in (undisturbed / "runs").iterdir())
    assert list(iter_sweep(config(), undisturbed, jobs=2)) == []
    assert sorted(p.name for p in (undisturbed / "runs").iterdir()) == parts


def test_added_cells_and_replicates_run_only_the_new_ones(tmp_path):
    first = config(grid={"gamma_sigma2": [-2.0, -1.0], "gamma_w": [1.5]})
    more = config(grid={"gamma_sigma2": [-2.0, -1.0, -0.5], "gamma_w": [1.5], "replicates": 2})
    train_here(first, tmp_path / "r")
    before = science(tmp_path / "r")
    rows = list(iter_sweep(more, tmp_path / "r"))
    assert len(rows) == 4
    after = science(tmp_path / "r")
    assert len(after) == 6
    kept = after[after["run_id"].isin(before["run_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before, check_exact=True)


def test_another_configuration_is_refused_with_the_difference(undisturbed):
    with pytest.raises(ResultsError, match=r"task\.rank: 2 in the directory, 3 in the config"):
        sweep(config(task={"dimension": 8, "rank": 3}), undisturbed)


def test_a_run_that_raises_is_recorded_with_its_traceback_and_the_others_complete(tmp_path):
    # A tolerance below rounding cannot be met by any step: the run raises, really.
    grid = {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "dynamics.tolerance": [1e-3, 1e-17]}
    rows = list(iter_sweep(config(grid=grid), tmp_path / "r"))
    assert len(rows) == 2
    results = load(tmp_path / "r")
    assert sorted(results.runs["status"]) == ["converged", "failed"]
    failure = results.failures.iloc[0]
    assert "a tolerance of at least" in failure["error"]
    assert "Traceback" in failure["traceback"]
    assert failure["tolerance"] == 1e-17
    # The next sweep leaves it alone, unless it is asked to try again.
    assert list(iter_sweep(config(grid=grid), tmp_path / "r")) == []
    assert len(list(iter_sweep(config(grid=grid), tmp_path / "r", retry_failed=True))) == 1
    assert len(load(tmp_path / "r").runs) == 2


_run_batch = run_batch


def deadly_batch(directory, assignment):
    """A batch whose worker is killed by the system at one run, of width 2, as for want of memory."""
    for spec in map(RunSpec.of, assignment["specs"]):
        if spec.replicate == 1 and spec.initialization.width == 2 and dict(spec.start)["gamma_sigma2"] == -1.0:
            os.kill(os.getpid(), signal.SIGKILL)
    return _run_batch(directory, assignment)


@pytest.mark.slow
def test_a_run_that_kills_its_worker_twice_alone_has_failed_and_all_others_complete(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "run_batch", deadly_batch)
    rows = list(iter_sweep(config(), tmp_path / "r", jobs=2))
    results = load(tmp_path / "r")
    deadly = results.runs[["replicate", "width", "gamma_sigma2"]].eq([1, 2, -1.0]).all(axis=1)
    assert deadly.sum() == 1
    assert set(results.runs[deadly]["status"]) == {"failed"}
    assert set(results.runs[~deadly]["status"]) == {"converged"}
    assert results.failures["error"].str.contains("SIGKILL").all()
    assert sorted(row["run_id"] for row in rows) == sorted(results.runs["run_id"])
    monkeypatch.undo()
    assert len(list(iter_sweep(config(), tmp_path / "r", retry_failed=True))) == 1
    same_science(undisturbed, tmp_path / "r")


def test_a_grid_of_predictions_is_made_without_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "LocalWorkers", None)
    monkeypatch.setattr(sweeping, "ALONE_SECONDS", 0.0)  # not for how soon they are done
    grid = {"gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 5}, "gamma_w": {"start": 0.0, "stop": 2.0, "num": 4}}
    task = {"dimension": 6, "rank": 1}
    config = parse_config({"name": "t", "task": task, "grid": grid, "dynamics": {"kind": "modes"}})
    assert len(list(iter_sweep(config, tmp_path / "r"))) == 20


def test_a_joblib_without_loky_is_one_message_that_names_those_that_have_it(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "ProcessPoolExecutor", None)
    with pytest.raises(LinphaseError, match=r"joblib 1\.4 to 1\.6 have it: pip install 'joblib>=1\.4,<1\.7'"):
        list(iter_sweep(config(), tmp_path / "r", jobs=2))


# --- From outside: the command in a process of its own ---------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_sweep_says_how_to_go_on_and_completes(slower, tmp_path, number, code):
    process = start_sweep(tmp_path)
    wait_for_first_part(tmp_path)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    began = time.monotonic()
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == code, out
    assert "To go on, run the same again" in out
    assert "Traceback" not in out
    kept = len(load(tmp_path / "r").runs)
    assert 0 < kept < 120
    again = start_sweep(tmp_path)
    out = finish(again)
    assert f"{kept} of 120 runs are in r already" in out
    same_science(slower, tmp_path / "r")


def test_status_in_the_middle_counts_what_is_missing(undisturbed):
    shown = CliRunner().invoke(main, ["status", str(undisturbed), "--json"], catch_exceptions=False)
    facts = json.loads(shown.output)
    assert (facts["expected"], facts["done"], facts["missing"]) == (18, 18, 0)


def test_extending_results_of_another_numpy_warns(undisturbed, tmp_path, monkeypatch):
    shutil.copytree(undisturbed, tmp_path / "r")
    monkeypatch.setattr("linphase.sweeps.sweeping.versions", lambda: {**versions(), "numpy_version": "9.9"})
    with pytest.warns(UserWarning, match=r"numpy_version .*, here it is 9\.9"):
        assert list(iter_sweep(config(), tmp_path / "r", jobs=1)) == []


def test_a_sweep_told_of_its_time_left_finishes_what_is_in_flight_and_begins_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sweeping, "BATCH_SECONDS", (0.0, 0.0))  # a run each: on a fast machine two held all of them
    times = chain([np.inf], repeat(60.0))
    rows = list(iter_sweep(config(), tmp_path / "r", jobs=1, time_left=lambda: next(times)))
    in_flight = len(load(tmp_path / "r").runs)
    assert len(rows) == in_flight < config().runs
    assert len(list((tmp_path / "r" / "runs").glob("part-*"))) == 2  # two batches for one worker, and both committed


def test_no_time_left_ends_a_sweep_with_batches_in_flight(tmp_path):
    times = iter([np.inf, 0.0, 0.0])
    began = time.monotonic()
    assert list(iter_sweep(config(), tmp_path / "r", jobs=1, time_left=lambda: next(times))) == []
    assert time.monotonic() - began < 30
    sweep(config(), tmp_path / "r")
    assert len(load(tmp_path / "r").runs) == config().runs


def test_a_warning_leaves_more_time_than_an_order_and_the_order_counts():
    received = _Received()
    assert received.time_left() == np.inf
    received.handle(signal.SIGUSR1, None)
    assert 60 < received.time_left() < 120 - 30  # SLURM warns 120 s ahead; requeueing takes its part
    received.handle(signal.SIGTERM, None)
    assert received.time_left() <= 5
    received.handle(signal.SIGUSR1, None)
    assert received.time_left() <= 5
    assert received.signal == signal.SIGTERM
    with pytest.raises(SystemExit, match="143"):
        received.handle(signal.SIGTERM, None)

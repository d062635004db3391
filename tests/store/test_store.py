import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linphase.config.config import parse_config
from linphase.errors import ResultsError
from linphase.model.mode_times import ModeTimes
from linphase.model.observables import Modes
from linphase.runs.records import Trajectory, over_time
from linphase.runs.spec import NUMERICS_VERSION
from linphase.store.checking import check
from linphase.store.columns import LENGTHS, SCHEMA_VERSION, failures_columns, runs_columns, trajectories_columns
from linphase.store.directory import configs
from linphase.store.folding import fold
from linphase.store.reading import finished_ids
from linphase.store.results import load
from linphase.store.rows import asked_for, trajectory_row
from linphase.store.tables import RUNS, merged
from linphase.store.writing import create, write_failures, write_runs
from tests.store.parts import add_part, visible


def make_config(num=4, *, rank=1, noise=1.0, replicates=1, **grid):
    axes = {"gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": num}, "gamma_w": [0.5, 1.5], **grid}
    return parse_config(
        {
            "name": "store",
            "task": {"dimension": 8, "rank": rank, "noise": noise},
            "grid": {**axes, "replicates": replicates},
        }
    )


BIBLIOGRAPHY = Path(__file__).parents[2] / "linphase/cli/linphase.bib"
SPECS = list(make_config(20).expand())
IDS = [spec.run_id for spec in SPECS]


def make_row(spec, **changes):
    row = dict.fromkeys(column.name for column in runs_columns()) | asked_for(spec)
    ended = {"status": "converged", "converged": True, "regime": "lazy", "final_step": 7}
    return row | ended | {"numerics_version": NUMERICS_VERSION} | changes


def make_trajectory(run_id, n=5, r=3):
    """Always the same one for the same run."""
    rng = np.random.default_rng(int(run_id, 16))
    return Trajectory(
        time=np.arange(n) / 4,
        step=np.arange(n, dtype=np.int64),
        train_error=rng.random(n),
        test_error=rng.random(n),
        distance=np.zeros(0),
        singular_values=rng.random((n, r)),
        mode_balance=rng.random((n, r)),
        final_modes=Modes(rng.random(r), rng.random(r), rng.random(r), rng.random(r)),
        mode_times=ModeTimes(rng.random(1), rng.random(1), rng.random(1)),
        observables=over_time([], np.zeros(0), np.zeros(1)),
    )


def write(path, specs, n=5, **changes):
    rows = [make_row(spec, **changes) for spec in specs]
    return write_runs(path, rows, [trajectory_row(spec.run_id, make_trajectory(spec.run_id, n)) for spec in specs])


def make_failure(spec, error="MemoryError"):
    row = dict.fromkeys(column.name for column in failures_columns())
    return row | {name: value for name, value in asked_for(spec).items() if name in row} | {"error": error}


def assert_holds(path, run_ids):
    """Exactly these runs, every one once and with its own trajectory."""
    results = load(path)
    assert sorted(results.runs["run_id"]) == sorted(run_ids)
    assert finished_ids(path) == set(run_ids)
    for run_id in run_ids:
        expected = make_trajectory(run_id, len(results.trajectory(run_id).time))
        np.testing.assert_array_equal(
            results.trajectory(run_id).singular_values, expected.singular_values.astype(np.float32)
        )


@pytest.fixture
def results(tmp_path):
    create(tmp_path / "r", make_config(20))
    return tmp_path / "r"


def run_python(code, *arguments, **options):
    """Start another process; it imports what it needs, for speed."""
    prelude = f"import os, sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {os.getcwd()!r}]\n"
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


# What is written is read


def test_a_run_is_read_as_it_was_written(results):
    spec = SPECS[3]
    write(results, [spec], min_test_error=0.1 + 0.2, time_at_min=np.float64(np.inf), rank_at_min=np.int64(2))
    row = load(results).runs.iloc[0]
    assert row["run_id"] == spec.run_id
    assert row["min_test_error"] == 0.1 + 0.2
    assert row["time_at_min"] == np.inf
    assert (row["rank_at_min"], row["final_step"], row["width"]) == (2, 7, spec.initialization.width)
    assert row["converged"]
    assert row["regime"] == "lazy"


def test_a_trajectory_is_read_as_it_was_written_in_single_precision(results):
    write(results, SPECS[:3])
    written, read = make_trajectory(IDS[1]), load(results).trajectory(IDS[1])
    for name in ("time", "train_error", "test_error", "singular_values", "mode_balance"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name).astype(np.float32))
    np.testing.assert_array_equal(read.step, written.step)
    for name in ("singular_value", "balance", "speed_up", "target"):
        np.testing.assert_array_equal(
            getattr(read.final_modes, name), getattr(written.final_modes, name).astype(np.float32)
        )
    assert read.singular_values.shape == (5, 3)


def test_a_diverged_trajectory_with_huge_and_missing_numbers_is_kept(results):
    trajectory = trajectory_row(IDS[0], make_trajectory(IDS[0]))
    trajectory["test_error"] = np.array([1, 1e30, 1e300, np.inf, np.nan])
    write_runs(results, [make_row(SPECS[0], status="diverged", regime=None)], [trajectory])
    np.testing.assert_array_equal(
        load(results).trajectory(IDS[0]).test_error, np.array([1, 1e30, np.inf, np.inf, np.nan], np.float32)
    )


def paper_of(part):
    return pq.read_schema(part).metadata.get(b"linphase_paper")


def test_every_part_tells_the_paper_that_linphase_cites(results):
    write(results, SPECS[:2])
    write(results, SPECS[2:4])
    write_failures(results, [make_failure(SPECS[4])])
    cited = re.search(r"@inproceedings{tu2024mixed.*?eprint = {([\d.]+)}", BIBLIOGRAPHY.read_text(), re.DOTALL)[1]
    for folded in (False, True):
        parts = [part for table in ("runs", "trajectories", "failures") for part in (results / table).iterdir()]
        assert len(parts) == (3 if folded else 5)
        assert {paper_of(part) for part in parts} == {f"arXiv:{cited}".encode()}
        fold(results)


def test_a_part_that_does_not_tell_the_paper_is_read_as_before_and_keeps_its_name(results):
    write(results, SPECS[:2])
    (part,) = (results / "runs").glob("*.parquet")
    silent = {key: value for key, value in pq.read_schema(part).metadata.items() if key != b"linphase_paper"}
    before = load(results).runs
    older = rewrite(part, lambda rows: rows.replace_schema_metadata(silent))
    assert older.name != part.name
    pd.testing.assert_frame_equal(load(results).runs, before)
    fold(results)
    assert older.exists()
    assert paper_of(older) is None
    assert check(results).sound


def test_the_types_of_the_columns_do_not_depend_on_their_values(results, tmp_path):
    create(tmp_path / "null", make_config(20))
    nothing = {column.name: None for column in runs_columns() if column.key is None and not column.required}
    write(tmp_path / "null", SPECS[:1], **nothing)
    (part,) = (tmp_path / "null/runs").glob("*.parquet")
    stored = pq.read_schema(part)
    names = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "float64": "double"}
    assert [(field.name, str(field.type)) for field in stored] == [(c.name, names[c.type]) for c in runs_columns()]
    assert stored.metadata[b"linphase_schema"] == str(SCHEMA_VERSION).encode()

    write(results, SPECS[:2])
    assert list(load(results).runs.dtypes) == list(load(tmp_path / "null").runs.dtypes)
    assert load(results).runs["step_at_min"].dtype == "Int64"
    assert load(results).runs["min_test_error"].dtype == "float64"
    assert load(results).runs["converged"].dtype == "bool"


def test_an_empty_directory_loads_with_all_columns(results):
    loaded = load(results)
    assert list(loaded.runs) == [column.name for column in runs_columns()]
    assert list(loaded.failures) == [column.name for column in failures_columns()]
    assert len(loaded.runs) == 0
    assert [spec.run_id for spec in loaded.missing()] == IDS


def test_the_final_modes_of_all_runs_are_read_in_one_table(results):
    write(results, SPECS[2:4])
    write(results, SPECS[3:5])  # one of them twice, as when two sweeps meet
    loaded = load(results)
    modes = loaded.final_modes()
    assert modes["run_id"].drop_duplicates().tolist() == loaded.runs["run_id"].tolist()
    assert modes["mode"].tolist() == [0, 1, 2] * 3
    for run_id, rows in modes.groupby("run_id"):
        final = make_trajectory(run_id).final_modes
        for name in ("singular_value", "balance", "speed_up", "target"):
            np.testing.assert_array_equal(rows[name], getattr(final, name).astype(np.float32))


def test_without_trajectories_there_are_no_modes_but_their_columns(results):
    modes = load(results).final_modes()
    assert len(modes) == 0
    assert list(modes) == ["run_id", "mode", "singular_value", "balance", "speed_up", "target"]


def test_any_reader_of_parquet_reads_the_directory_and_does_not_see_drafts(results):
    write(results, SPECS[:2], regime=None)
    write(results, SPECS[2:4])
    for table in ("runs", "trajectories"):
        (results / table / ".part-0123.parquet").write_bytes(b"half-written")
        frame = pd.read_parquet(results / table)
        assert sorted(frame["run_id"]) == sorted(IDS[:4])
    assert_holds(results, IDS[:4])


def test_runs_are_in_the_order_of_the_grid_facets_first(tmp_path):
    config = make_config(3, replicates=2, **{"task.rank": [4, 1]})
    create(tmp_path / "r", config)
    specs = list(config.expand())
    for spec in np.random.default_rng(0).permutation(np.arange(len(specs))):
        write(tmp_path / "r", [specs[spec]])
    runs = load(tmp_path / "r").runs
    order = ["rank", "gamma_sigma2", "gamma_w", "replicate"]
    assert list(runs["run_id"]) == list(runs.sort_values(order)["run_id"])


def test_neither_host_nor_user_nor_a_path_is_stored(results):
    write(results, SPECS[:1])
    write_failures(results, [make_failure(SPECS[1])])
    stored = b"".join(file.read_bytes() for file in results.rglob("*") if file.is_file())
    assert str(results).encode() not in stored
    assert os.uname().nodename.encode() not in stored


@pytest.mark.parametrize(
    ("change", "named"),
    [({"regimee": 1}, "regimee"), ({"regime": ...}, "regime"), ({"run_id": "x"}, "trajectory")],
)
def test_a_row_with_other_columns_than_declared_is_a_programming_error(results, change, named):
    row = {name: value for name, value in (make_row(SPECS[0]) | change).items() if value is not ...}
    with pytest.raises(ValueError, match=named):
        write_runs(results, [row], [trajectory_row(IDS[0], make_trajectory(IDS[0]))])


@pytest.mark.parametrize(
    ("name", "length", "right"),
    [
        *(("mode_balance", 4, 15), ("step", 6, 5), ("final_speed_up", 2, 3), ("escape_times", 0, 1)),
        *(("distance", 1, 5), ("sharpness", 4, 5), ("mean_singular_values", 1, 3)),
    ],
)
def test_lists_over_time_and_modes_must_have_the_declared_lengths(results, name, length, right):
    trajectory = trajectory_row(IDS[0], make_trajectory(IDS[0])) | {name: np.ones(length)}
    with pytest.raises(ValueError, match=f"{name} must have {right} values, found {length}"):
        write_runs(results, [make_row(SPECS[0])], [trajectory])


def test_every_list_says_what_it_is_along_and_lists_of_what_was_not_measured_are_empty(results):
    told = [column for column in trajectories_columns() if column.type.startswith("list<")]
    assert {column.name for column in told if not column.along} <= set(LENGTHS.values())
    unmeasured = {column.name: np.zeros(0) for column in told if column.optional}
    assert {"distance", "mean_singular_values", "sharpness"} <= unmeasured.keys()
    write_runs(results, [make_row(SPECS[0])], [trajectory_row(IDS[0], make_trajectory(IDS[0])) | unmeasured])
    assert_holds(results, IDS[:1])


def test_a_batch_without_runs_writes_nothing(results):
    assert write_runs(results, [], []) == []
    assert visible(results / "runs") == []


# Configurations


def test_a_configuration_is_stored_once_and_read_back(results):
    create(results, make_config(20))
    assert configs(results) == [make_config(20).resolved()]
    assert visible(results / "configs") == [f"{make_config(20).digest}.json"]
    assert list(load(results).expected()) == IDS


def test_a_directory_whose_configuration_has_a_renamed_key_is_read_and_extended(results):
    (file,) = (results / "configs").glob("[!.]*.json")
    stored = json.loads(file.read_text())
    stored["stop"]["train_error"] = stored["stop"].pop("excess_error")
    file.write_text(json.dumps(stored))
    (results / "configs/.first.json").write_text(json.dumps(stored))
    assert configs(results) == [make_config(20).resolved()]
    create(results, make_config(20))
    assert visible(results / "configs") == [file.name]
    create(results, make_config(39))
    assert set(IDS) < set(load(results).expected())
    stored["grid"]["stop.train_error"] = [stored["stop"].pop("train_error")]
    file.write_text(json.dumps(stored))
    (results / "configs" / f"{make_config(39).digest}.json").unlink()
    assert list(load(results).axes) == ["gamma_sigma2", "gamma_w", "stop.excess_error"]
    assert list(load(results).expected()) == IDS


def test_cells_and_replicates_can_be_added_and_the_axes_are_united(tmp_path):
    create(tmp_path / "r", make_config(2, **{"dynamics.kind": ["gd"], "task.rank": [5, 1]}))
    create(tmp_path / "r", make_config(3, replicates=2, **{"dynamics.kind": ["gd", "flow"], "task.rank": [2, 1]}))
    assert load(tmp_path / "r").axes == {
        "gamma_sigma2": [-3.0, -1.5, 0.0],
        "gamma_w": [0.5, 1.5],
        "dynamics.kind": ["flow", "gd"],
        "task.rank": [1, 2, 5],
    }
    assert len(load(tmp_path / "r").expected()) == 3 * 2 * 2 * 2 * 2 + 2 * 2  # and rank 5 of the first


def test_a_configuration_that_differs_elsewhere_is_refused_with_the_difference(results):
    before = sorted(results.rglob("*"))
    with pytest.raises(ResultsError, match=r"(?s)another configuration.*task.noise: 1.0.*0.5.*--out"):
        create(results, make_config(20, noise=0.5))
    assert sorted(results.rglob("*")) == before


def test_of_two_configurations_at_once_one_gets_the_directory(tmp_path):
    candidates = [make_config(noise=1.0), make_config(noise=2.0)] * 4

    def attempt(path, config):
        with suppress(ResultsError):
            create(path, config)
            return config.task.noise

    with ThreadPoolExecutor(8) as threads:
        for trial in range(10):
            path = tmp_path / f"r{trial}"
            won = set(threads.map(attempt, [path] * 8, candidates)) - {None}
            assert len(won) == 1
            assert [config["task"]["noise"] for config in configs(path)] == list(won)
            assert load(path).runs.empty


def test_a_directory_of_something_else_is_not_written_into(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match="is a file"):
        create(tmp_path / "file", make_config())
    (tmp_path / "project/configs").mkdir(parents=True)
    (tmp_path / "project/configs/quickstart.toml").write_text("")
    with pytest.raises(ResultsError, match=r"configs/quickstart\.toml"):
        create(tmp_path / "project", make_config())
    with pytest.raises(ResultsError, match="cannot be written: Not a directory"):
        create(tmp_path / "file/below", make_config())


def test_a_creation_that_was_killed_is_completed(tmp_path, monkeypatch):
    for last in count():
        path = tmp_path / f"r{last}"
        if not interrupted_after(last, monkeypatch, create, path, make_config()):
            break
        create(path, make_config())
        assert_holds(path, [])
    assert last > 3


def test_what_is_no_results_directory_cannot_be_loaded(tmp_path):
    with pytest.raises(ResultsError, match=r"no such results directory.*linphase sweep"):
        load(tmp_path / "none")
    with pytest.raises(ResultsError, match="no results directory"):
        load(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/0123.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"0123\.json"):
        load(tmp_path)


# Failures and copies


def test_a_failed_run_is_missing_and_in_the_table_until_it_is_finished(results):
    write(results, SPECS[:1])
    for error in ("MemoryError", "killed"):
        write_failures(results, [make_failure(SPECS[1], error)])
    loaded = load(results)
    assert dict(zip(loaded.runs["run_id"], loaded.runs["status"], strict=True)) == {
        IDS[0]: "converged",
        IDS[1]: "failed",
    }
    failed = loaded.runs.set_index("run_id").loc[IDS[1]]
    assert not failed["converged"]
    assert pd.isna(failed["regime"])
    assert sorted(loaded.failures["error"]) == ["MemoryError", "killed"]
    assert finished_ids(results) == {IDS[0]}
    assert SPECS[1] in loaded.missing()
    with pytest.raises(ResultsError, match="no trajectory"):
        loaded.trajectory(IDS[1])

    write(results, SPECS[1:2])
    loaded = load(results)
    assert set(loaded.runs["status"]) == {"converged"}
    assert len(loaded.failures) == 2
    assert SPECS[1] not in loaded.missing()


def test_of_a_run_that_was_finished_twice_one_copy_is_kept(results):
    write(results, SPECS[:4], elapsed_s=1.0)
    write(results, SPECS[2:6], elapsed_s=2.0)
    assert_holds(results, IDS[:6])
    before = load(results).runs
    fold(results)
    assert len(pd.read_parquet(results / "runs")) == 6
    assert len(pd.read_parquet(results / "trajectories")) == 6
    assert len(load(results).runs) == len(before)


# Faults


class Killed(BaseException):
    """In place of kill -9."""


def interrupted_after(last, monkeypatch, function, *arguments):
    """Call a function that dies at its call number `last` into the file system; whether it came to that."""
    calls = count()

    def limited(original):
        def call(*args, **kwargs):
            if next(calls) >= last:  # a dead process does nothing any more
                raise Killed
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("open", "mkdir", "link", "rename", "unlink", "fsync"):
            patch.setattr(os, name, limited(getattr(os, name)))
        try:
            function(*arguments)
        except Killed:
            return True
    return False


def test_a_batch_killed_at_any_moment_is_finished_as_a_whole_or_not_at_all(results, monkeypatch):
    write(results, SPECS[:2])
    outcomes = []
    for last in count():
        path = results.with_name(f"r{last}")
        shutil.copytree(results, path)
        alive = not interrupted_after(last, monkeypatch, write, path, SPECS[2:5])
        outcomes.append(len(finished_ids(path)))
        assert_holds(path, IDS[: outcomes[-1]])
        if alive:
            break
    assert set(outcomes) == {2, 5}
    assert outcomes == sorted(outcomes)


def test_a_kill_between_the_trajectories_and_the_rows_leaves_nothing_finished(results, monkeypatch):
    with monkeypatch.context() as patch:
        renamed = []

        def rename(source, target):
            renamed.append(Path(target).parent.name)
            if len(renamed) == 2:
                raise Killed
            os.replace(source, target)

        patch.setattr(os, "rename", rename)
        with pytest.raises(Killed):
            write(results, SPECS[:3])
    assert renamed == ["trajectories", "runs"]
    assert len(visible(results / "trajectories")) == 1
    assert_holds(results, [])
    write(results, SPECS[:3])  # trained again
    assert_holds(results, IDS[:3])
    fold(results)
    assert len(pd.read_parquet(results / "trajectories")) == 3


def test_a_writer_killed_with_sigkill_leaves_only_whole_runs(results):
    code = """
from test_store import SPECS, write
for i in range(1000):
    write(sys.argv[1], SPECS[i % 40:i % 40 + 3])
    print(i, flush=True)
"""
    process = run_python(code, results)
    assert process.stdout.readline() == "0\n", process.stderr.read()
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    committed = len(out.split()) + 1
    assert len(visible(results / "runs")) in (committed, committed + 1)
    assert_holds(results, finished_ids(results))
    assert {*IDS[: min(committed, 40)]} <= finished_ids(results)


@pytest.mark.parametrize("moments", [(0,), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_folding_interrupted_at_any_moment_loses_no_run_and_shows_none_twice(results, monkeypatch, moments):
    for start in (0, 2, 3):
        write(results, SPECS[start : start + 2])
    write_failures(results, [make_failure(SPECS[20])])
    write_failures(results, [make_failure(SPECS[20])])
    for last in (last for last in count() if last % 3 in moments):
        path = results.with_name(f"r{last}")
        shutil.copytree(results, path)
        alive = not interrupted_after(last, monkeypatch, fold, path)
        loaded = load(path)
        assert list(loaded.runs["run_id"]) == [*IDS[:5], IDS[20]]
        assert len(loaded.failures) == 1
        assert finished_ids(path) == set(IDS[:5])
        for run_id in IDS[:5:2]:
            loaded.trajectory(run_id)
        if alive:
            break
        if last % 5 == 0:  # who comes next cleans up, orphans too
            fold(path)
            assert sorted(pd.read_parquet(path / "trajectories")["run_id"]) == sorted(IDS[:5])
            assert sorted(pd.read_parquet(path / "runs")["run_id"]) == sorted(IDS[:5])
        shutil.rmtree(path)
    assert last > 10


def test_two_processes_folding_beside_a_writer_lose_no_run(results):
    folding = """
from linphase.store.folding import fold
import pandas, time
child = os.fork()
print("ready", flush=True)
while not os.path.exists(sys.argv[2]):
    fold(sys.argv[1])
    time.sleep(0.01)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = results.with_name("done")
    folders = run_python(folding, results, done)
    for _ in range(2):
        assert folders.stdout.readline() == "ready\n", folders.stderr.read()
    written = set()
    for start in range(0, 18, 3):
        write(results, SPECS[start : start + 3])
        written |= set(IDS[start : start + 3])
        assert finished_ids(results) == written
        loaded = load(results)
        assert set(loaded.runs["run_id"]) == written
        assert loaded.runs["run_id"].is_unique
        loaded.trajectory(IDS[0])
        loaded.trajectory(IDS[start])
    done.touch()
    wait_for(folders)
    assert_holds(results, written)
    fold(results)
    assert [len(visible(results / table)) for table in ("runs", "trajectories")] == [1, 1]
    assert len(pd.read_parquet(results / "runs")) == len(written)


def test_folding_only_the_parts_given_leaves_the_others(results):
    parts = [write(results, [spec]) for spec in SPECS[:6]]
    first = [name for names in parts[:4] for name in names]
    assert fold(results, first) == 8
    assert {runs for _, runs in parts[4:]} < set(visible(results / "runs"))
    assert len(visible(results / "runs")) == 3
    assert_holds(results, IDS[:6])
    assert fold(results, first) == 0


def test_folding_makes_parts_of_bounded_size_and_leaves_them_then(results, monkeypatch):
    monkeypatch.setattr("linphase.store.folding.PART_BYTES", 60_000)
    monkeypatch.setattr("linphase.store.tables.ROW_GROUP_BYTES", 20_000)
    for spec in SPECS[:12]:
        write(results, [spec], n=300)  # about 10 kB each
    fold(results)
    parts = list((results / "trajectories").glob("*.parquet"))
    assert 2 <= len(parts) <= 10
    assert max(part.stat().st_size for part in parts) < 80_000
    assert max(pq.read_metadata(part).num_row_groups for part in parts) > 1
    assert_holds(results, IDS[:12])
    assert 0 in [fold(results) for _ in range(3)]


@pytest.mark.parametrize("missed", ["the new part", "the new part and the old ones"])
def test_a_listing_made_while_somebody_folds_is_made_again(results, monkeypatch, missed):
    for spec in SPECS[:4]:
        write(results, [spec])
    stale = {
        results / table: os.listdir(results / table) if missed == "the new part" else []
        for table in ("runs", "trajectories")
    }
    fold(results)
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: stale.pop(path) if path in stale else real(path))
    loaded = load(results)
    assert set(loaded.runs["run_id"]) == set(IDS[:4])
    loaded.trajectory(IDS[2])
    assert not stale


def test_a_stale_file_handle_is_looked_up_again(results, monkeypatch):
    write(results, SPECS[:2])
    real, replies = os.listdir, [OSError(errno.ESTALE, "Stale file handle")]

    def listdir(path):
        if Path(path).name == "runs" and replies:
            raise replies.pop()
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert finished_ids(results) == set(IDS[:2])
    assert not replies


def test_a_trajectory_folded_since_the_last_look_is_found_again(results):
    for spec in SPECS[:3]:
        write(results, [spec])
    loaded = load(results)
    loaded.trajectory(IDS[0])
    fold(results)
    np.testing.assert_array_equal(loaded.trajectory(IDS[0]).step, make_trajectory(IDS[0]).step)
    write(results, SPECS[3:4])
    loaded.trajectory(IDS[3])


def test_a_rename_whose_reply_was_lost_has_happened(results, monkeypatch):
    def rename(source, target):
        os.replace(source, target)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "rename", rename)
    write(results, SPECS[:2])
    assert_holds(results, IDS[:2])


def test_without_hard_links_a_directory_can_be_created(tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    create(tmp_path / "r", make_config())
    create(tmp_path / "r", make_config())
    assert configs(tmp_path / "r") == [make_config().resolved()]


def test_a_broken_or_foreign_part_is_skipped_with_a_warning_that_names_it(results):
    write(results, SPECS[:2])
    whole = next((results / "runs").glob("*.parquet")).read_bytes()
    broken = [f"part-{i:040x}.parquet" for i in range(6)]
    truncated, overwritten, empty, text, directory, foreign = (results / "runs" / name for name in broken)
    truncated.write_bytes(whole[: len(whole) // 2])
    overwritten.write_bytes(whole[:100] + bytes(2000) + whole[2100:])
    empty.touch()
    text.write_text("PAR1 not a part PAR1")
    directory.mkdir()
    pd.DataFrame({"run_id": ["a"], "x": [1]}).to_parquet(foreign)
    broken = {*broken, add_part(results / "runs", pa.table({"run_id": ["a"], "x": [1]})).name}
    for function in (load, fold):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function(results)
        assert {Path(str(w.message).split(": skipped")[0]).name for w in caught} == broken
    assert broken < set(visible(results / "runs"))
    with pytest.warns(UserWarning, match="skipped"):
        assert finished_ids(results) >= set(IDS[:2])


def rewrite(file, change):
    table = change(pq.read_table(file))
    file.unlink()
    return add_part(file.parent, table)


def test_copies_within_one_part_are_folded_into_one(results):
    write(results, SPECS[:3])
    for table in ("runs", "trajectories"):
        (part,) = (results / table).glob("*.parquet")
        rewrite(part, lambda rows: pa.concat_tables([rows, rows.slice(0, 2)]))
    assert check(results).copies == 2
    assert fold(results) == 2
    assert check(results).copies == 0
    assert fold(results) == 0
    assert_holds(results, IDS[:3])


def test_a_newer_schema_is_refused(results):
    write(results, SPECS[:2])
    (part,) = (results / "runs").glob("*.parquet")
    changed = rewrite(part, lambda t: t.replace_schema_metadata({"linphase_schema": str(SCHEMA_VERSION + 1)}))
    for function in (load, finished_ids, fold):
        with pytest.raises(ResultsError, match=rf"{changed.name}.*newer linphase.*pip install --upgrade"):
            function(results)


def test_an_older_part_without_later_columns_stays_readable_and_foldable(results):
    write(results, SPECS[:2])
    (part,) = (results / "runs").glob("*.parquet")
    rewrite(part, lambda t: t.drop_columns(["cpu", "final_step", "evidence_agreement"]))
    write(results, SPECS[2:4])
    for _ in range(2):
        runs = load(results).runs
        assert list(runs) == [column.name for column in runs_columns()]
        assert runs["final_step"].isna().sum() == 2
        assert runs["final_step"].dtype == "Int64"
        fold(results)


def test_a_part_with_undeclared_columns_is_read_and_never_folded(results):
    write(results, SPECS[:2])
    (part,) = (results / "runs").glob("*.parquet")
    changed = rewrite(part, lambda t: t.append_column("later", pa.array([1, 2])))
    write(results, SPECS[2:3])
    write(results, SPECS[3:4])
    fold(results)
    assert changed.name in visible(results / "runs")
    assert len(visible(results / "runs")) == 2
    assert list(load(results).runs) == [column.name for column in runs_columns()]
    assert_holds(results, IDS[:4])


@pytest.mark.parametrize("values", [("abc", 1.0), (1.0, "abc"), (1, 1.5), ([1.0], "abc")], ids=str)
def test_a_column_of_two_types_is_left_out_and_its_parts_are_not_folded(results, values):
    kept = set()
    for place, value in enumerate(values):
        write(results, SPECS[2 * place : 2 * place + 2])
        (part,) = set((results / "runs").glob("part-*")) - kept
        kept.add(rewrite(part, partial(with_later, value=value)))
    write(results, SPECS[4:5])
    write(results, SPECS[5:6])
    fold(results)
    assert {part.name for part in kept} < set(visible(results / "runs"))
    assert len(visible(results / "runs")) == 3
    assert list(load(results).runs) == [column.name for column in runs_columns()]
    assert_holds(results, IDS[:6])


def test_what_a_column_tells_is_that_of_its_own_part():
    silent = pa.schema([pa.field("later", pa.int64())])
    telling = pa.schema([pa.field("later", pa.int64(), metadata={"meaning": "later"})])
    assert silent == telling  # for pyarrow
    assert "later" not in merged([silent], RUNS).names
    assert "later" in merged([telling], RUNS).names


def with_later(rows, value):
    """The rows with a column that nobody declares and that tells what it is."""
    values = pa.array([value] * rows.num_rows)
    return rows.append_column(pa.field("later", values.type, metadata={"meaning": "later"}), values)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs, which takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_with_a_clear_error_and_keeps_what_is_finished(small_disk):
    path = small_disk / "r"
    create(path, make_config(20))
    write(path, SPECS[:5])
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(850_000))
    with pytest.raises(ResultsError, match=r"disk full.*Free space and run again, 5 finished runs are kept"):
        write(path, SPECS[5:10], n=20_000)
    assert [name for name in os.listdir(path / "trajectories") if name.startswith(".")] == []
    assert len(visible(path / "trajectories")) == 1  # what was not committed takes no room
    with suppress(OSError):  # to the last byte
        (small_disk / "more").write_bytes(bytes(10**6))
    for attempt in (
        lambda: fold(path),
        lambda: create(path, make_config(21)),
        lambda: write(path, SPECS[5:6]),
    ):
        with suppress(ResultsError):  # folding a single part has nothing to do
            attempt()
    assert_holds(path, IDS[:5])
    ballast.unlink()
    write(path, SPECS[5:10])
    assert_holds(path, IDS[:10])


def test_a_read_only_directory_can_be_read_and_not_written(small_disk):
    path = small_disk / "r"
    create(path, make_config(20))
    write(path, SPECS[:1])
    write(path, SPECS[1:2])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert_holds(path, IDS[:2])
    for attempt in (
        lambda: create(path, make_config(20)),
        lambda: write(path, SPECS[2:3]),
        lambda: fold(path),
    ):
        with pytest.raises(ResultsError, match=r"cannot be written: Read-only file system.*--out"):
            attempt()


def test_a_directory_that_vanished_is_one_clear_error(results):
    shutil.rmtree(results)
    with pytest.raises(ResultsError, match="has vanished"):
        write(results, SPECS[:1])
    with pytest.raises(ResultsError, match="no such results directory"):
        finished_ids(results)


batches = st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True)
steps = st.one_of(
    st.tuples(st.just("write"), batches),
    st.tuples(st.just("fail"), st.integers(0, 11)),
    st.tuples(st.just("fold"), st.none()),
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=3, max_size=8))
def test_whatever_is_written_and_folded_in_any_order_every_run_is_there_once(tmp_path_factory, actions):
    path = tmp_path_factory.mktemp("any") / "r"
    create(path, make_config(20))
    finished, failed = set(), set()
    for action, argument in actions:
        if action == "write":
            write(path, [SPECS[i] for i in argument])
            finished |= {IDS[i] for i in argument}
        elif action == "fail":
            write_failures(path, [make_failure(SPECS[argument])])
            failed.add(IDS[argument])
        else:
            fold(path)
    runs = load(path).runs
    status = dict(zip(runs["run_id"], runs["status"], strict=True))
    assert len(status) == len(runs)
    assert status == dict.fromkeys(failed, "failed") | dict.fromkeys(finished, "converged")
    loaded = load(path)
    for run_id in finished:
        loaded.trajectory(run_id)


@pytest.mark.slow
@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=8))
def test_whatever_is_written_and_folded_in_many_orders_every_run_is_there_once(tmp_path_factory, actions):
    in_any_order = test_whatever_is_written_and_folded_in_any_order_every_run_is_there_once
    in_any_order.hypothesis.inner_test(tmp_path_factory, actions)


def test_the_row_of_a_trajectory_has_the_declared_columns():
    assert list(trajectory_row(IDS[0], make_trajectory(IDS[0]))) == [column.name for column in trajectories_columns()]

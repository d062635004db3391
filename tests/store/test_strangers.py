"""Rows that no configuration asked for, rows of other numerics versions, and parts such as linphase never writes."""

import os
import shutil
import signal
import subprocess
import time
import tomllib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linphase.config.config import parse_config
from linphase.config.plugins import activate, read_plugin
from linphase.errors import ResultsError
from linphase.runs.spec import NUMERICS_VERSION
from linphase.store.checking import check
from linphase.store.folding import fold
from linphase.store.results import load
from linphase.store.tables import askers
from linphase.store.writing import create
from tests.processes import same_science, start_sweep, train_here, wait_for_first_part
from tests.store.conftest import CONFIG
from tests.store.parts import add_part, visible
from tests.store.test_faults_store import flip_a_bit, linphase

READERS = ("status", "classify", "plot", "explore", "export", "boundary", "compact", "check")


@pytest.fixture(scope="module")
def noisier(tmp_path_factory):
    """The same cells of a task with three times the noise."""
    path = tmp_path_factory.mktemp("noisier") / "r"
    train_here(parse_config({**tomllib.loads(CONFIG), "task": {"dimension": 8, "rank": 2, "noise": 3.0}}), path)
    return path


def bring(source, target):
    """Copy every part of one directory into another, as `cp -r` does."""
    for table in ("runs", "trajectories"):
        shutil.copytree(source / table, target / table, dirs_exist_ok=True)


def read_by(command, path, tmp_path):
    output = {"plot": "x.png", "explore": "x.html", "report": "x.md", "export": "x.csv"}.get(command)
    done = linphase(command, path, *(("-o", tmp_path / output) if output else ()))
    assert done.exit_code in (0, 1), done.output
    assert "Traceback" not in done.output
    return done


# Rows that no configuration asked for


def test_runs_of_another_configuration_are_in_no_table_and_moved_aside(results, undisturbed, noisier, tmp_path):
    bring(noisier, results)
    (stranger,) = visible(noisier / "runs")
    with pytest.warns(UserWarning, match="16 rows are of runs that no configuration here asks for"):
        loaded = load(results)
    pd.testing.assert_frame_equal(loaded.runs, load(undisturbed).runs)
    assert loaded.strangers == 16
    assert len(loaded.final_modes()) == len(load(undisturbed).final_modes())
    for command in READERS:
        assert read_by(command, results, tmp_path).exit_code == (1 if command == "check" else 0)
    assert pd.read_csv(tmp_path / "x.csv")["noise"].tolist() == [1.0] * 16
    checked = linphase("check", results)
    assert f"foreign: runs/{stranger}: no configuration here asks for its runs" in checked.output
    assert linphase("check", results, "--repair").exit_code == 0
    assert (results / "quarantine/runs" / stranger).exists()
    same_science(undisturbed, results)


def test_of_a_part_of_a_larger_sweep_the_rows_asked_for_are_used(results, undisturbed, tmp_path):
    small = tmp_path / "small"
    create(small, parse_config({**tomllib.loads(CONFIG), "grid": {"gamma_sigma2": [-3.0], "gamma_w": [0.0, 2.5]}}))
    bring(undisturbed, small)
    with pytest.warns(UserWarning, match="14 rows are of runs"):
        loaded = load(small)
    assert not loaded.missing()
    assert loaded.runs["width"].tolist() == [1, 181]
    (name,) = visible(small / "runs")
    checked = check(small)
    assert checked.sound
    assert checked.mixed[0] == (f"runs/{name}", "14 of 16 rows")
    assert "left out: runs/" in linphase("check", small).output


def test_a_folder_leaves_strangers_apart(in_parts, noisier):
    path, _, _ = in_parts
    bring(noisier, path)
    strangers = set(visible(noisier / "runs"))
    fold(path)
    assert strangers < set(visible(path / "runs"))
    assert len(visible(path / "runs")) == 2


def test_a_part_tells_of_the_configurations_that_asked_for_it(in_parts, undisturbed):
    path, names, _ = in_parts
    digest = parse_config(tomllib.loads(CONFIG)).digest
    assert askers(pq.read_schema(path / "runs" / names["runs"][0])) == {digest}
    fold(path)
    for table in ("runs", "trajectories"):
        (part,) = (path / table).glob("part-*")
        told = pq.read_schema(part).metadata
        assert told[b"linphase_configs"].decode() == digest
        assert told[b"linphase_table"].decode() == table
        assert b"linphase_version" in told


@pytest.mark.slow
def test_a_sweep_that_was_stopped_while_its_directory_became_another_sweeps_writes_nothing(tmp_path, noisier):
    process = start_sweep(tmp_path, "--jobs", "1")
    wait_for_first_part(tmp_path)
    os.killpg(process.pid, signal.SIGSTOP)
    shutil.rmtree(tmp_path / "r")
    shutil.copytree(noisier, tmp_path / "r")
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 2, out
    assert "has gone: the directory was emptied, or holds another sweep by now" in out
    assert "Traceback" not in out
    same_science(noisier, tmp_path / "r")
    assert check(tmp_path / "r").sound


def test_the_id_of_a_plugins_kind_needs_no_plugin(tmp_path):
    (tmp_path / "slowed.py").write_text(
        "from linphase.dynamics.gradient_flow import GradientFlow\n\n\n"
        'class Slowed(GradientFlow, kind="slowed"):\n    """Gradient flow by another name."""\n'
    )
    given = {**tomllib.loads(CONFIG), "dynamics": {"kind": "slowed"}, "plugins": [str(tmp_path / "slowed.py")]}
    asked = parse_config(given)
    ids = [spec.run_id for spec in asked.expand()]
    stored = asked.resolved()
    try:
        activate([])
        assert [spec.run_id for spec in parse_config(stored, stored=True).expand()] == ids
    finally:
        activate([])
    assert read_plugin(tmp_path / "slowed.py").name == "slowed.py"


# Numerics versions


def at_version(version, expected):
    """A change of rows: as a linphase of another numerics version would have written them."""

    def change(rows):
        ids = [expected[run_id].id_at(version) for run_id in rows.column("run_id").to_pylist()]
        rows = rows.set_column(0, "run_id", [ids])
        index = rows.schema.get_field_index("numerics_version")
        return rows.set_column(index, "numerics_version", [pa.array([version] * rows.num_rows, pa.int32())])

    return change


def test_a_sweep_into_runs_of_a_newer_numerics_is_refused(results, config):
    expected = load(results).expected()
    (part,) = (results / "runs").glob("part-*")
    add_part(results / "runs", at_version(NUMERICS_VERSION + 1, expected)(pq.read_table(part)))
    loaded = load(results)
    assert loaded.numerics.tolist() == [NUMERICS_VERSION + 1] * 16
    assert loaded.superseded == {NUMERICS_VERSION: 16}
    assert not loaded.missing()
    before = sorted(results.rglob("*"))
    done = linphase("sweep", "--config", config, "--out", results, "--set", "grid.replicates=2")
    assert done.exit_code == 2
    assert f"numerics version {NUMERICS_VERSION + 1}, this linphase's is {NUMERICS_VERSION}. Update it" in done.output
    assert set(results.rglob("*")) - set(before) == set((results / "configs").iterdir()) - set(before)


def test_no_average_mixes_numerics_versions(results, undisturbed):
    loaded = load(results)
    (part,) = (results / "runs").glob("part-*")
    older = at_version(NUMERICS_VERSION - 1, loaded.expected())(pq.read_table(part))
    index = older.schema.get_field_index("min_test_error")
    older = older.set_column(index, older.schema.field(index), [pa.array(np.full(16, 9.0))])
    add_part(results / "runs", older)
    pd.testing.assert_frame_equal(load(results).runs, load(undisturbed).runs)
    assert "16 runs by numerics version" in linphase("status", results).output


# Parts of another program, under the names that their content gives them


def column(name, values):
    """A change of rows: other values in one column."""

    def change(rows):
        index = rows.schema.get_field_index(name)
        return rows.set_column(index, rows.schema.field(index), [values(rows)])

    return change


def shorter(rows):
    return pa.array([values[:-1] for values in rows.column("train_error").to_pylist()], pa.list_(pa.float32()))


def no_lists(rows):
    return pa.nulls(rows.num_rows, pa.list_(pa.float32()))


def a_null_in_each(rows):
    return pa.array([[None, *values[1:]] for values in rows.column("step").to_pylist()], pa.list_(pa.int64()))


def one_mode_less(rows):
    return pa.array([values[:-1] for values in rows.column("singular_values").to_pylist()], pa.list_(pa.float32()))


CRAFTED = {
    "null width": ("runs", column("width", lambda rows: pa.nulls(4, pa.int64())), "without a width"),
    "null variance": ("runs", column("init_variance", lambda rows: pa.nulls(4, pa.float64())), "without a init_v"),
    "a width below 1": ("runs", column("width", lambda rows: pa.array([-5] * 4)), "whose width no run can have"),
    "noise that is nan": ("runs", column("noise", lambda rows: pa.array([np.nan] * 4)), "whose noise no run can have"),
    "years without end": ("runs", column("elapsed_s", lambda rows: pa.array([np.inf] * 4)), "whose elapsed_s no run"),
    "unknown status": ("runs", column("status", lambda rows: pa.array(["done"] * 4)), "whose status is none of"),
    "failed as finished": ("runs", column("status", lambda rows: pa.array(["failed"] * 4)), "whose status is none of"),
    "unknown regime": ("runs", column("regime", lambda rows: pa.array(["rich"] * 4)), "whose regime is none of"),
    "no replicate": ("runs", lambda rows: rows.drop_columns(["replicate"]), "without a replicate"),
    "a text as width": ("runs", lambda rows: rows.set_column(4, "width", [["wide"] * 4]), "wide"),
    "nothing but ids": ("runs", lambda rows: rows.select(["run_id"]), "without a"),
    "lists too short": ("trajectories", column("train_error", shorter), "train_error must have"),
    "a mode too few": ("trajectories", column("singular_values", one_mode_less), "singular_values must have"),
    "final modes that are null": ("trajectories", column("final_speed_up", no_lists), "without a final_speed_up"),
    "a distance that is null": ("trajectories", column("distance", no_lists), "without a distance"),
    "a list with nulls": ("trajectories", column("step", a_null_in_each), "lists with nulls in step"),
    "null times": ("trajectories", lambda rows: rows.drop_columns(["time"]), "without a time"),
}


@pytest.mark.parametrize("crafted", CRAFTED)
def test_a_crafted_part_is_left_out_named_and_stops_no_command(crafted, in_parts, tmp_path):
    path, names, ids = in_parts
    table, change, why = CRAFTED[crafted]
    part = path / table / names[table][1]
    made = add_part(path / table, change(pq.read_table(part)))
    part.unlink()
    for command in READERS if crafted in ("null width", "a mode too few") else ("status", "check"):
        done = read_by(command, path, tmp_path)
        assert (f"foreign: {table}/{made.name}" in done.output) == (command == "check")
    assert why in done.output or why in linphase("check", path).output
    assert "skipped" in linphase("export", path, "-o", tmp_path / "x.csv").output or table == "trajectories"
    left = [*ids[0], *ids[2], *ids[3]] if table == "runs" else [run_id for each in ids for run_id in each]
    assert sorted(pd.read_csv(tmp_path / "x.csv")["run_id"]) == sorted(left)


def test_a_text_that_is_claimed_a_million_times_is_not_written_out(in_parts, monkeypatch):
    path, names, _ = in_parts
    rows = pq.read_table(path / "runs" / names["runs"][0])
    n = 200_000  # of one text of 10 kB: 2 GB from a file of a few kB
    many = rows.take(pa.array(np.zeros(n, np.int64)))
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["x" * 10_000]))
    made = add_part(path / "runs", many.set_column(many.schema.get_field_index("cpu"), "cpu", text))
    with pytest.warns(UserWarning, match="more than 134217728 bytes of text"):
        assert len(load(path).runs) == 16
    assert made.stat().st_size < 2e6


def test_a_row_group_that_claims_too_much_is_not_unpacked(in_parts, monkeypatch):
    path, names, _ = in_parts
    monkeypatch.setattr("linphase.store.reading.MAX_VALUES", 40)
    (path / "runs" / names["runs"][0]).rename(path / "aside")
    part = add_part(path / "trajectories", pq.read_table(path / "trajectories" / names["trajectories"][0]).slice(0, 1))
    assert any(name == f"trajectories/{part.name}" and "claims" in why for name, why in check(path).foreign)


LIES = [("noise", 2.0), ("gamma_sigma2", -2.5), ("kind", "gd"), ("kind", "many"), ("rank", 1)]


def with_value(rows, name, value):
    index = rows.schema.get_field_index(name)
    field = rows.schema.field(index)
    return rows.set_column(index, field, [pa.array([value] * rows.num_rows, field.type)])


@pytest.mark.parametrize(("name", "value"), LIES)
def test_rows_that_say_other_than_their_ids_stand_for_are_named_and_moved_aside(in_parts, name, value):
    path, names, ids = in_parts
    part = path / "runs" / names["runs"][1]
    made = add_part(path / "runs", with_value(pq.read_table(part), name, value))
    part.unlink()
    fold(path)  # leaves it apart
    assert check(path).foreign == ((f"runs/{made.name}", f"its rows have another {name} than the runs of their ids"),)
    assert linphase("check", path, "--repair").exit_code == 0
    assert [spec.run_id for spec in load(path).missing()] == ids[1]


@pytest.mark.parametrize(("name", "value"), LIES)
def test_beside_them_the_rows_of_the_runs_themselves_are_shown(in_parts, name, value):
    path, names, _ = in_parts
    before, some = load(path).runs, load(path, ["min_test_error"]).runs
    rows = with_value(pq.read_table(path / "runs" / names["runs"][1]), "min_test_error", 0.5)
    observed = rows.column("observables")[0].as_py()
    add_part(path / "runs", with_value(with_value(rows, name, value), "observables", f"{observed} another"))
    pd.testing.assert_frame_equal(load(path).runs, before)
    pd.testing.assert_frame_equal(load(path, ["min_test_error"]).runs, some)


def test_a_trajectory_that_cannot_be_read_is_read_from_its_copy(in_parts):
    path, names, (_, ids, *_) = in_parts
    whole = path / "trajectories" / names["trajectories"][1]
    before, rows = load(path).trajectory(ids[0]), pq.read_table(whole)
    observed = rows.column("observables")[0].as_py()
    index = rows.schema.get_field_index("distance")
    wrong = rows.set_column(index, rows.schema.field(index), [pa.array([[1.0]] * 4, rows.schema.field(index).type)])
    part = add_part(path / "trajectories", with_value(wrong, "observables", f"{observed} another"))
    found = load(path).trajectory(ids[0])
    np.testing.assert_array_equal(found.singular_values, before.singular_values)
    assert found.distance.size == 0
    assert [name for name, _ in check(path).foreign] == [f"trajectories/{part.name}"]
    whole.unlink()
    with pytest.raises(ResultsError, match="distance must have"):
        load(path).trajectory(ids[0])


# Places


def test_a_link_out_of_the_directory_is_not_followed(in_parts, tmp_path):
    path, names, ids = in_parts
    part = path / "runs" / names["runs"][1]
    part.rename(tmp_path / part.name)
    part.symlink_to(tmp_path / part.name)
    with pytest.warns(UserWarning, match="it is a link out of the results directory"):
        assert [spec.run_id for spec in load(path).missing()] == ids[1]
    part.unlink()
    (tmp_path / part.name).rename(path / part.name)
    part.symlink_to(path / part.name)  # within it is
    assert not load(path).missing()


def test_configurations_that_differ_beyond_their_cells_are_no_one_sweeps(results, undisturbed, noisier):
    shutil.copytree(undisturbed, results, dirs_exist_ok=True)
    shutil.copytree(noisier, results, dirs_exist_ok=True)
    for command in ("status", "check", "compact"):
        done = linphase(command, results)
        assert done.exit_code == 2, done.output
        assert "are of different sweeps:\n  task.noise: " in done.output
    for file in (noisier / "configs").iterdir():
        (results / "configs" / file.name).unlink()
    assert linphase("check", results, "--repair").exit_code == 0
    same_science(results, undisturbed)


def test_what_is_no_file_among_drafts_and_claims_is_left_alone(in_parts, config):
    path = in_parts[0]
    directory = path / "runs" / f".{'a' * 32}"
    directory.mkdir()
    os.utime(directory, (0, 0))
    (path / ".claims").mkdir()
    os.mkfifo(path / ".claims" / "pipe")  # to open one waits for ever
    assert linphase("check", path, "--repair").exit_code == 0
    assert linphase("sweep", "--config", config, "--out", path).exit_code == 0


def test_links_in_a_circle_lead_nowhere(in_parts):
    path = in_parts[0]
    circle = path / "runs" / f"part-{'5' * 40}.parquet"
    circle.symlink_to(circle.name)
    with pytest.warns(UserWarning, match="it is a link to nothing"):
        assert not load(path).missing()
    (path / "configs" / "circle.json").symlink_to("circle.json")
    done = linphase("status", path)
    assert done.exit_code == 2, done.output
    assert "circle.json: cannot be read as a configuration" in done.output


@pytest.mark.parametrize("name", ["runs", "trajectories", "configs", "quarantine", "quarantine/runs"])
def test_a_directory_of_the_results_is_no_link_out(name, results, config, tmp_path):
    (results / name).mkdir(parents=True, exist_ok=True)
    (results / name).rename(tmp_path / "elsewhere")
    (results / name).symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ("status", results),
        ("check", results, "--repair"),
        ("sweep", "--config", config, "--out", results),
    ):
        done = linphase(*command)
        assert done.exit_code == 2, done.output
        assert f"{results / name}: a directory is required, found a link out of the results directory" in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_repair_moves_what_lies_on_another_file_system(results, disk, tmp_path):
    shutil.copytree(results / "runs", disk, dirs_exist_ok=True)
    (part,) = (results / "runs").glob("part-*")
    subprocess.run(["mount", "--bind", str(disk), str(results / "runs")], check=True)
    try:
        flip_a_bit(results / "runs" / part.name)
        damaged = (results / "runs" / part.name).read_bytes()
        done = linphase("check", results, "--repair")
        assert done.exit_code == 0, done.output
        assert f"runs/{part.name} moved to quarantine/runs/{part.name}" in done.output
        assert (results / "quarantine/runs" / part.name).read_bytes() == damaged
        assert visible(results / "runs") == []
        os.mkfifo(results / "runs/pipe")
        done = linphase("check", results, "--repair")
        assert done.exit_code == 2
        assert "lies on another file system" in done.output
    finally:
        subprocess.run(["umount", "-l", str(results / "runs")], check=True)

"""Faults of the disk and of what lies on it, done for real, seen from the command line."""

import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.errors import ResultsError
from linphase.runs.spec import NUMERICS_VERSION
from linphase.store.checking import check, repair
from linphase.store.columns import SCHEMA_VERSION
from linphase.store.folding import _fold_group
from linphase.store.reading import count_parts, failed_ids, finished_ids
from linphase.store.results import load
from linphase.store.tables import RUNS
from linphase.store.writing import create, write_failures
from linphase.sweeps.batch import assign, run_batch
from tests.disks import mounted, set_room
from tests.processes import same_science
from tests.store.conftest import CONFIG
from tests.store.parts import add_part, visible
from tests.store.test_store import (
    IDS,
    SPECS,
    interrupted_after,
    make_config,
    make_failure,
    rewrite,
    run_python,
    write,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def linphase(*arguments):
    with warnings.catch_warnings(action="always"):
        return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def start(*arguments, **options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "linphase", *map(str, arguments)]
    kept = {"env": ENVIRONMENT, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    return subprocess.Popen(command, **kept)


def finish(process, timeout=120):
    out, _ = process.communicate(timeout=timeout)
    assert "Traceback" not in out, out
    return process.returncode, out


def in_process(*arguments, **options):
    return finish(start(*arguments, **options))


# Disk full


@pytest.mark.slow
def test_a_sweep_that_fills_the_disk_says_so_keeps_what_is_done_and_goes_on_when_there_is_room(
    disk, config, undisturbed
):
    command = ("sweep", "--config", config, "--out", disk / "r", "--no-plot")
    few = ("--set", "grid.gamma_sigma2=[-3.0]")
    assert linphase(*command, *few).exit_code == 0
    earlier = load(disk / "r").runs
    assert len(earlier) == 4
    set_room(disk, kilobytes=70)  # for some parts, not for all
    code, out = in_process(*command, "--jobs", "1")
    assert code == 1
    assert re.search(r"Error: .*/r: disk full\. Free space and run again, \d+ finished runs are kept", out), out
    kept = load(disk / "r").runs
    assert 4 <= len(kept) < 16
    same = kept[kept["run_id"].isin(earlier["run_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, earlier, check_exact=True)
    checked = linphase("check", disk / "r")
    assert checked.exit_code == 0, checked.output
    (disk / "ballast").unlink()
    done = linphase(*command)
    assert done.exit_code == 0, done.output
    same_science(undisturbed, disk / "r")


def test_compacting_on_a_full_disk_loses_nothing(disk):
    path = disk / "r"
    create(path, make_config(20))
    for spec in SPECS[:10]:
        write(path, [spec], n=2000)
    set_room(disk, kilobytes=40)
    compacted = linphase("compact", path)
    assert compacted.exit_code == 1
    assert "disk full. Free space and run again, 10 finished runs are kept" in compacted.output
    assert finished_ids(path) == set(IDS[:10])
    assert not check(path).leftovers
    (disk / "ballast").unlink()
    assert linphase("compact", path).exit_code == 0
    assert check(path).sound
    assert len(visible(path / "runs")) == 1
    assert finished_ids(path) == set(IDS[:10])


# Damaged parts


def truncate(file):
    os.truncate(file, file.stat().st_size // 2)


def empty(file):
    os.truncate(file, 0)


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    ids = pq.read_metadata(file).row_group(0).column(0)  # which every reader reads
    content[(ids.dictionary_page_offset or ids.data_page_offset) + ids.total_compressed_size // 2] ^= 16
    file.write_bytes(content)


def replace_by_foreign(file):
    pd.DataFrame({"run_id": ["a"], "x": [1]}).to_parquet(file)


def replace_by_pipe(file):
    file.unlink()
    os.mkfifo(file)


def replace_by_dangling_link(file):
    file.unlink()
    file.symlink_to("nowhere")


@pytest.mark.parametrize("table", ["runs", "trajectories"])
@pytest.mark.parametrize(
    "damages", [(truncate, empty, flip_a_bit), (replace_by_foreign, replace_by_pipe, replace_by_dangling_link)]
)
def test_damaged_parts_are_named_and_moved_aside_and_their_runs_are_missing(damages, table, in_parts, tmp_path):
    path, names, ids = in_parts
    damaged = {f"{table}/{name}": damage for name, damage in zip(names[table][1:], damages, strict=True)}
    for name, damage in damaged.items():
        damage(path / name)

    for command in (("status", path), ("export", path, "-o", tmp_path / "x.csv")):
        done = linphase(*command)  # they go on
        assert done.exit_code == 0, done.output
        for name in damaged:
            assert (f"{name}: skipped, it cannot be read" in done.output) == (table == "runs")
    loaded = {"runs": lambda: load(path), "trajectories": lambda: load(path).final_modes()}
    with pytest.warns(UserWarning, match="skipped") as caught:
        loaded[table]()
    assert all(any(f"{name}: skipped" in str(one.message) for one in caught) for name in damaged)

    checked = linphase("check", path)
    assert checked.exit_code == 1
    for name, damage in damaged.items():
        is_damaged = damage in (truncate, empty, flip_a_bit, replace_by_foreign)
        assert f"{'damaged' if is_damaged else 'foreign'}: {name}: " in checked.output
    lost = [*ids[1], *ids[2], *ids[3]]
    assert all(run_id in checked.output for run_id in lost) == (table == "trajectories")
    assert f"linphase check {path} --repair" in checked.output

    repaired = linphase("check", path, "--repair")
    assert repaired.exit_code == 0, repaired.output
    for name in damaged:
        assert f"{name} moved to quarantine/{name}" in repaired.output
        assert os.path.lexists(path / "quarantine" / name)
    assert linphase("check", path).exit_code == 0
    assert [spec.run_id for spec in load(path).missing()] == lost
    assert finished_ids(path) == set(ids[0])


@pytest.mark.parametrize(("damage", "table"), [(truncate, "runs"), (flip_a_bit, "trajectories")])
def test_the_runs_of_a_damaged_part_are_trained_again_after_the_repair(
    damage, table, in_parts, undisturbed, config, tmp_path
):
    path, names, _ = in_parts
    damage(path / table / names[table][1])
    if table == "runs":
        plotted = linphase("plot", path, "-o", tmp_path / "x.png")  # it goes on
        assert plotted.exit_code == 0, plotted.output
        assert f"{table}/{names[table][1]}: skipped, it cannot be read" in plotted.output
    assert linphase("check", path).exit_code == 1
    assert linphase("check", path, "--repair").exit_code == 0
    assert linphase("sweep", "--config", config, "--out", path, "--no-plot").exit_code == 0
    same_science(undisturbed, path)


def test_only_the_runs_without_a_trajectory_leave_a_folded_part(in_parts, undisturbed, config):
    path, names, ids = in_parts
    _fold_group(path / "runs", RUNS, names["runs"])
    (folded,) = visible(path / "runs")
    truncate(path / "trajectories" / names["trajectories"][1])
    repaired = linphase("check", path, "--repair")
    assert repaired.exit_code == 0
    aside = path / "quarantine/runs" / folded  # kept, not deleted
    assert f"4 runs of runs/{folded} without a trajectory taken out, kept in" in repaired.output
    assert pq.read_metadata(aside).num_rows == 16
    assert finished_ids(path) == {*ids[0], *ids[2], *ids[3]}
    assert linphase("sweep", "--config", config, "--out", path, "--no-plot").exit_code == 0
    same_science(undisturbed, path)


def test_runs_copied_without_their_trajectories_are_named_and_never_taken_out(results):
    shutil.rmtree(results / "trajectories")
    for options in ((), ("--repair",)):
        checked = linphase("check", results, *options)
        assert checked.exit_code == 1
        assert "without a trajectory: 16 runs" in checked.output
        assert len(finished_ids(results)) == 16
    assert linphase("status", results).exit_code == 0


@pytest.mark.parametrize("moments", [(0,), pytest.param((1, 2), marks=pytest.mark.slow)])
def test_repair_killed_at_any_moment_loses_no_run_and_is_completed_by_the_next(in_parts, monkeypatch, moments):
    path, names, ids = in_parts
    truncate(path / "trajectories" / names["trajectories"][0])
    truncate(path / "runs" / names["runs"][1])
    found = check(path)
    for last in (last for last in range(1000) if last % 3 in moments):
        copy = path.with_name(f"c{last}")
        shutil.copytree(path, copy)
        alive = not interrupted_after(last, monkeypatch, repair, copy, found)
        assert linphase("check", copy, "--repair").exit_code == 0
        assert finished_ids(copy) == {*ids[2], *ids[3]}
        before = pd.concat([pd.read_parquet(file) for file in (copy / "quarantine/runs").glob(names["runs"][0])])
        assert sorted(before["run_id"]) == sorted(ids[0])
        shutil.rmtree(copy)
        if alive:
            break
    assert last > 5


def test_foreign_files_among_the_parts_are_named_and_moved_aside_twice_if_need_be(results):
    for _ in range(2):
        (results / "runs/notes.txt").write_text("mine")
        assert "foreign: runs/notes.txt: no part of the results" in linphase("check", results).output
        assert linphase("check", results, "--repair").exit_code == 0
    kept = list((results / "quarantine/runs").iterdir())
    assert [file.read_text() for file in kept] == ["mine", "mine"]
    pd.read_parquet(results / "runs")


def test_copies_that_differ_are_told(results):
    (part,) = (results / "runs").glob("*.parquet")
    rows = pq.read_table(part)
    changed = rows.slice(0, 2).set_column(
        rows.schema.get_field_index("min_test_error"), rows.schema.field("min_test_error"), pa.array([1.5, 2.5])
    )
    add_part(results / "runs", changed)
    checked = linphase("check", results)
    assert checked.exit_code == 0  # both are results, of two kinds of CPU perhaps
    assert "copies that differ in a number, as of two CPU types: 2 runs" in checked.output
    assert "2 copies" in checked.output


@pytest.mark.parametrize(("seed", "changes"), [(0, 20), pytest.param(1, 80, marks=pytest.mark.slow)])
def test_random_changes_of_a_part_never_end_in_a_traceback(results, seed, changes):
    rng = np.random.default_rng(seed)
    (part,) = (results / "runs").glob("*.parquet")
    whole = part.read_bytes()
    outcomes = set()
    for _ in range(changes):
        content = bytearray(whole)
        for place in rng.integers(len(content) - 6000 if rng.random() < 0.7 else 0, len(content), rng.integers(1, 20)):
            content[place] = rng.integers(256)
        part.write_bytes(content)
        done = linphase("check", results)
        outcomes.add(done.exit_code)
        assert done.exit_code in (0, 1, 2), done.output
        assert linphase("status", results).exit_code in (0, 2)
    assert 1 in outcomes


# Read-only, vanished, newer, older


@pytest.mark.slow
def test_read_only_results_are_read_by_every_command_and_written_by_none(disk, config, tmp_path):
    path = disk / "r"
    command = ("sweep", "--config", config, "--out", path, "--no-plot")
    others = parse_config(tomllib.loads(CONFIG))
    create(path, others)
    for two in (slice(None, 2), slice(-2, None)):  # two parts, for compact to fold
        run_batch(path, assign(list(others.expand())[two], others))
    (path / "runs/part-empty.parquet").touch()
    (path / f"runs/.{'0' * 32}").touch()
    assert mounted("-o", "remount,ro", disk)
    for arguments in (("status", path), ("plot", path, "-o", tmp_path / "x.png"), ("classify", path)):
        done = linphase(*arguments)
        assert done.exit_code == 0, done.output
    assert linphase("check", path).exit_code == 1
    refused = "cannot be written: Read-only file system. Make it writable"
    for arguments in (command, ("compact", path), ("check", path, "--repair")):
        done = linphase(*arguments)
        assert done.exit_code == 2, done.output
        assert refused in done.output
        assert sum("Error: " in line for line in done.output.splitlines()) == 1


def test_results_of_somebody_else_give_one_clear_error(undisturbed, config):
    # The results are nobody's, and root reads them without the capabilities that let it into everything: another
    # user could not read a private virtual environment.
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("giving results to another user takes root and setpriv")
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        open_, closed = Path(directory) / "open", Path(directory) / "closed"
        shutil.copytree(undisturbed, open_ / "r")
        shutil.copytree(undisturbed, closed / "r")
        shutil.copy(config, open_ / "tiny.toml")
        for path in (Path(directory), *Path(directory).rglob("*")):
            os.chown(path, 65534, 65534)
        Path(directory).chmod(0o755)
        closed.chmod(0o700)
        sweep = ["sweep", "--config", "../tiny.toml", "--out", ".", "--no-plot", "--set", "grid.replicates=2"]
        expected = (
            (["status", "."], 0, "16 of 16 runs done"),
            (sweep, 2, "cannot be written: Permission denied"),
            (["status", f"{closed}/r"], 1, "cannot be read: Permission denied"),
        )
        code = """
import json, sys
from click.testing import CliRunner
from linphase.cli import main
done = [CliRunner().invoke(main, command, catch_exceptions=False) for command in json.loads(sys.argv[1])]
print(json.dumps([(one.exit_code, one.output) for one in done]))
"""
        commands = json.dumps([command for command, _, _ in expected])
        done = subprocess.run([*powerless, "-c", code, commands], cwd=open_ / "r", env=ENVIRONMENT, capture_output=True)
        assert done.returncode == 0, done.stderr
        for (_, code, text), (found, output) in zip(expected, json.loads(done.stdout), strict=True):
            assert found == code, output
            assert text in output


@pytest.mark.slow
def test_results_that_vanish_under_a_sweep_are_one_clear_error(tmp_path, config):
    larger = ("--set", "grid.replicates=200", "--jobs", "1")
    process = start("sweep", "--config", config, "--out", tmp_path / "r", "--no-plot", *larger)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "r/runs").glob("part-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (tmp_path / "r").rename(tmp_path / "elsewhere")
    code, out = finish(process)
    assert code == 2, out
    assert re.search(r"Error: .*/r: has vanished", out), out
    assert sum("Error: " in line for line in out.splitlines()) == 1
    assert len(load(tmp_path / "elsewhere").runs) > 0


def test_a_newer_schema_or_configuration_is_one_clear_error_of_every_command(results, config):
    sweep = ("sweep", "--config", config, "--out", results, "--no-plot")
    commands = (("status", results), ("plot", results), ("check", results, "--repair"), ("compact", results), sweep)
    (part,) = (results / "runs").glob("*.parquet")
    shutil.copy(part, results.with_name("kept"))
    newer = pq.read_table(part).replace_schema_metadata({"linphase_schema": str(SCHEMA_VERSION + 1)})
    part.unlink()
    changed = add_part(results / "runs", newer)
    for command in commands:
        done = linphase(*command)
        assert done.exit_code == 2
        assert f"{changed.name}: written by a newer linphase (schema" in done.output
        assert "pip install --upgrade linphase" in done.output
    changed.unlink()

    newer = json.loads((results / "configs/.first.json").read_text())
    newer["dynamics"]["momentum"] = 0.9
    (results / "configs/0123.json").write_text(json.dumps(newer))
    for command in set(commands) - {("compact", results)}:
        done = linphase(*command)
        assert done.exit_code == 2
        assert "configs/0123.json: dynamics.momentum: is not a key" in done.output
        assert "A newer linphase wrote this file, or it is damaged" in done.output


DAMAGED = {
    "empty": "{}",
    "a list": "[1]",
    "an axis of no list": '{"grid": {"gamma_w": 5}}',
    "truncated": '{"grid": [',
    "infinite": '{"grid": {"replicates": 1e400}}',
    "deep": "[" * 100_000,
    "zeros": "\0",
    "a long number": '{"name": "x", "grid": {"gamma_w": [' + "9" * 5000 + "]}}",
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_configuration_is_one_clear_error(results, text):
    (results / "configs/0123.json").write_text(text)
    for command in ("status", "check"):
        done = linphase(command, results)
        assert done.exit_code == 2
        assert "0123.json: " in done.output


def test_a_configuration_that_cannot_be_read_just_now_is_no_mistake_of_the_users(results, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_text", fail)
    done = linphase("status", results)
    assert done.exit_code == 1
    assert ".json: cannot be read: Input/output error. Make it readable, or try again" in done.output


def test_a_pipe_among_the_configurations_is_told_and_not_waited_for(results):
    os.mkfifo(results / "configs" / "a.json")
    done = linphase("status", results)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {results}/configs/a.json: is no file. Move it out of configs/\n"


def test_rows_of_an_older_linphase_stay_readable_by_every_command(results, tmp_path, config):
    (part,) = (results / "runs").glob("*.parquet")
    rows = pq.read_table(part)
    expected = load(results).expected()
    ids = pa.array([expected[run_id].id_at(1) for run_id in rows.column("run_id").to_pylist()])
    older = rows.set_column(0, "run_id", ids).drop_columns(["evidence_agreement", "cpu", "escape_time"])
    older = older.set_column(older.schema.get_field_index("numerics_version"), "numerics_version", [[1] * 16])
    add_part(results / "runs", older.replace_schema_metadata({"linphase_schema": "0", "linphase_table": "runs"}))
    loaded = load(results)
    assert loaded.runs["numerics_version"].tolist() == [NUMERICS_VERSION] * 16
    assert loaded.superseded == {1: 16}
    for command in (("status", results), ("plot", results, "-o", tmp_path / "x.png"), ("classify", results),
                    ("export", results, "-o", tmp_path / "x.csv"), ("compact", results)):  # fmt: skip
        done = linphase(*command)
        assert done.exit_code == 0, done.output
    status = linphase("status", results).output
    assert "16 of 16 runs done, 0 missing" in status
    assert "16 runs by numerics version 1 are not shown" in status


def test_runs_of_an_older_linphase_are_shown_until_they_are_trained_again(results, config):
    (part,) = (results / "runs").glob("*.parquet")
    expected = load(results).expected()

    def older(rows):
        ids = [expected[run_id].id_at(1) for run_id in rows.column("run_id").to_pylist()]
        rows = rows.set_column(0, "run_id", [ids])
        return rows.set_column(rows.schema.get_field_index("numerics_version"), "numerics_version", [[1] * 16])

    rewrite(part, older)
    loaded = load(results)
    assert loaded.numerics.tolist() == [1] * 16
    assert len(loaded.missing()) == 16
    assert list(loaded.expected().values()) == list(expected.values())
    assert "of the missing, 16 are there by numerics version 1" in linphase("status", results).output
    done = linphase("sweep", "--config", config, "--out", results, "--no-plot")
    assert "16 runs are there by numerics version 1 and are trained again" in done.output
    assert load(results).runs["numerics_version"].tolist() == [NUMERICS_VERSION] * 16


def test_another_configuration_is_refused_with_every_difference_and_changes_nothing(results, config):
    before = sorted(results.rglob("*"))
    done = linphase("sweep", "--config", config, "--out", results, "--set", "task.noise=2.0", "--set", "run.seed=3")
    assert done.exit_code == 2
    assert "task.noise: 1.0 in the directory, 2.0 in the config" in done.output
    assert "run.seed: 0 in the directory, 3 in the config" in done.output
    assert sorted(results.rglob("*")) == before


# Malice


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../b", "..", ".", ".hidden", "a\\b", "x\n", "", "~", "x" * 101]
)
def test_a_name_cannot_leave_the_directory_of_results(name, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    config.write_text(CONFIG.replace('"tiny"', json.dumps(name)))
    done = linphase("sweep", "--config", config)
    assert done.exit_code == 2
    assert "name: must be 1 to 100 of the characters" in done.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("grid.gamma_w={ start = 0.0, stop = 2.0, num = 250000000 }", "1000000000 cells"),
        ("grid.replicates=62500000", "16 cells x 62500000 replicates"),
        ("grid.gamma_w={ start = 0.0, stop = 2.0, num = 1" + 30 * "0" + " }", "10^7 runs"),
        ("grid.width={ start = 1, stop = 1000000000, num = 1000000000 }", "grid"),
        ("task.dimension=1000000000", "an integer from 2 to 20000"),
        ("record.snapshots=1000000000", "an integer from 2 to 10000"),
    ],
)
def test_absurd_sizes_are_refused_with_the_number_before_anything_is_allocated(override, named, config):
    linphase("sweep", "--config", config, "--dry-run")  # imports
    tracemalloc.start()
    began = time.monotonic()
    done = linphase("sweep", "--config", config, "--set", override)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert done.exit_code == 2
    assert named in done.output
    assert peak < 5e6
    assert time.monotonic() - began < 5


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def test_nothing_on_the_disk_is_ever_executed(results, tmp_path):
    pwned = tmp_path / "pwned"
    payload = pickle.dumps(Payload(pwned))
    (part,) = (results / "runs").glob("*.parquet")
    rows = pq.read_table(part)
    # A column of pickles, one that claims to be an extension type made by pickle, and pandas metadata with both.
    extension = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload}
    pickles = pa.array([payload] * rows.num_rows, pa.binary())
    index = rows.schema.get_field_index("regime")
    evil = rows.set_column(index, pa.field("regime", pa.binary(), metadata=extension), pickles)
    evil = evil.append_column(pa.field("later", pa.binary(), metadata=extension), pickles)
    column = {"name": "regime", "field_name": "regime", "pandas_type": "object", "numpy_type": "object"}
    about = {"index_columns": ["later"], "columns": [{**column, "metadata": {"pickle": payload.hex()}}]}
    told = {b"linphase_schema": b"1", b"linphase_table": b"runs", b"pandas": json.dumps(about).encode()}
    add_part(results / "runs", evil.replace_schema_metadata(told))
    (results / "runs/part-pickle.parquet").write_bytes(payload)
    (results / "trajectories/part-pickle.parquet").write_bytes(payload)
    (results / "configs/.hidden.json").write_bytes(payload)
    for command in (("status", results), ("classify", results),
                    ("plot", results, "--panel", "collapse", "-o", tmp_path / "x.png"),
                    ("export", results, "-o", tmp_path / "x.csv"), ("check", results), ("compact", results),
                    ("check", results, "--repair")):  # fmt: skip
        assert "Traceback" not in linphase(*command).output
    (results / "configs/0123.json").write_bytes(payload)
    assert linphase("status", results).exit_code == 2
    tricks = "name: !!python/object/apply:os.mkdir ['pwned']\ngrid: &a [*a, *a]\n"
    for number, content in enumerate((payload, tricks.encode(), b"name = " + b"[" * 10**5)):
        (tmp_path / f"{number}.toml").write_bytes(content)
        done = linphase("sweep", "--config", tmp_path / f"{number}.toml")
        assert done.exit_code == 2, done.output
    assert not pwned.exists()
    with pytest.raises(FileExistsError):  # the payload does work, once it is unpickled
        pickle.loads(payload), pickle.loads(payload)


def test_a_run_id_is_no_path(results, tmp_path):
    (part,) = (results / "runs").glob("*.parquet")
    before = sorted(tmp_path.rglob("*"))
    ids = pa.array([f"../../{i}" for i in range(16)])
    rewrite(part, lambda t: t.set_column(0, "run_id", ids))
    for command in ("status", "classify", "check", "compact"):
        assert linphase(command, results).exit_code in (0, 1)
    with pytest.raises(ResultsError, match="no trajectory"), pytest.warns(UserWarning, match="no configuration here"):
        load(results).trajectory("../../0")
    assert len(sorted(tmp_path.rglob("*"))) == len(before)


def test_a_part_that_claims_more_rows_than_memory_is_not_read(results, monkeypatch):
    monkeypatch.setattr("linphase.store.reading.MAX_ROWS", 15)
    with pytest.warns(UserWarning, match="it claims 16 rows"):
        assert len(load(results).runs) == 0


# Compact


def assert_once(path, run_ids):
    assert sorted(pd.read_parquet(path / "runs", columns=["run_id"])["run_id"]) == sorted(run_ids)
    assert sorted(pd.read_parquet(path / "trajectories", columns=["run_id"])["run_id"]) == sorted(run_ids)


def test_compact_folds_all_parts_to_one_with_the_same_bits(in_parts, undisturbed):
    path, _, _ = in_parts
    copies = pq.read_table(next((path / "runs").iterdir()))
    add_part(path / "runs", copies.slice(1))  # as when two sweeps meet
    done = linphase("compact", path)
    assert done.exit_code == 0
    assert "9 files folded, 2 left" in done.output
    assert len(visible(path / "runs")) == 1
    same_science(undisturbed, path)
    assert_once(path, finished_ids(path))
    assert "nothing to fold" in linphase("compact", path).output


def test_a_part_without_rows_is_folded_into_the_others(in_parts, undisturbed):
    path, names, _ = in_parts
    for table in ("runs", "trajectories"):
        add_part(path / table, pq.read_table(path / table / names[table][0]).slice(0, 0))
    done = linphase("compact", path)
    assert done.exit_code == 0, done.output
    same_science(undisturbed, path)
    assert [len(visible(path / table)) for table in names] == [1, 1]


@pytest.mark.parametrize("damaged", ["trajectories", "runs"])
def test_a_new_part_that_reads_other_than_it_was_written_replaces_nothing(damaged, in_parts, undisturbed, monkeypatch):
    path, _, _ = in_parts

    def rotten(directory, *arguments, **options):
        draft = write_draft(directory, *arguments, **options)
        if directory.name == damaged:
            flip_a_bit(draft.file)
        return draft

    from linphase.store import folding

    write_draft = folding.write_draft
    monkeypatch.setattr(folding, "write_draft", rotten)
    done = linphase("compact", path)
    assert done.exit_code == 2
    assert "read back" in done.output or "reads other than it was written" in done.output
    assert "The old parts are kept" in done.output
    same_science(undisturbed, path)
    assert not check(path).leftovers
    assert len(visible(path / "runs")) == 4


@pytest.mark.alone
def test_ten_thousand_runs_are_one_file_and_are_read_in_a_second(tmp_path):
    config = make_config(1000, replicates=5)
    specs = list(config.expand())
    assert len(specs) == 10_000
    create(tmp_path / "r", config)
    for first in range(0, 10_000, 250):
        write(tmp_path / "r", specs[first : first + 250])
    assert linphase("compact", tmp_path / "r").exit_code == 0
    assert len(visible(tmp_path / "r/runs")) == 1
    took = []
    for _ in range(3):
        began = time.process_time()
        assert len(load(tmp_path / "r").runs) == 10_000
        took.append(time.process_time() - began)
    assert min(took) < 1


# What killed writers leave


@pytest.fixture(scope="module")
def killed(undisturbed, tmp_path_factory):
    results = tmp_path_factory.mktemp("killed") / "r"
    shutil.copytree(undisturbed, results)
    code = """
from test_store import SPECS, write
import os, time
def fsync(descriptor):
    print("writing", flush=True)
    time.sleep(60)
os.fsync = fsync
write(sys.argv[1], SPECS[:3])
"""
    process = run_python(code, results)
    assert process.stdout.readline() == "writing\n", process.stderr.read()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    found = [file for file in results.rglob(".*") if re.fullmatch(r"\.[0-9a-f]{32}", file.name)]
    assert [file.parent.name for file in found] == ["trajectories"]
    return results, found[0].name


@pytest.fixture
def leftovers(killed, tmp_path):
    """Drafts of a writer that was really killed in the middle of a part."""
    results, draft = killed
    shutil.copytree(results, tmp_path / "r")
    return tmp_path / "r", tmp_path / "r" / "trajectories" / draft


def test_what_a_killed_writer_left_is_named_and_removed_only_when_it_is_old(leftovers, undisturbed):
    results, draft = leftovers
    name = f"trajectories/{draft.name}"
    others = [results / "runs/.nfs0000000000000001", results / "runs/.DS_Store"]
    for other in others:
        other.touch()
        os.utime(other, (0, 0))
    checked = linphase("check", results)
    assert checked.exit_code == 0  # it does no harm
    assert f"left over: {name}" in checked.output
    future, yesterday = time.time() + 10**6, time.time() - 26 * 3600
    for moment in (None, future):
        if moment is not None:
            os.utime(draft, (moment, moment))
        repaired = linphase("check", results, "--repair")
        assert f"{name} left: younger than 24 hours" in repaired.output
        assert draft.exists()
    os.utime(draft, (yesterday, yesterday))
    assert f"{name} removed: a draft that was left 26 hours ago" in linphase("check", results, "--repair").output
    assert not draft.exists()
    assert all(other.exists() for other in others)
    assert not check(results).leftovers
    same_science(undisturbed, results)


def test_the_age_of_a_draft_is_told_by_the_clock_of_the_file_system(leftovers, monkeypatch):
    results, draft = leftovers
    monkeypatch.setattr(time, "time", lambda: 4e9)  # this machine believes it is the year 2096
    monkeypatch.setattr(time, "time_ns", lambda: int(4e18))
    linphase("check", results, "--repair")
    assert draft.exists()


# Failed runs


def test_failed_runs_are_left_alone_until_retry_failed(config, tmp_path):
    command = ("sweep", "--config", config, "--out", tmp_path / "r", "--no-plot")
    tolerances = ("--set", 'grid."dynamics.tolerance"=[1e-3, 1e-17]', "--set", "grid.gamma_w=[1.0]")
    first = linphase(*command, *tolerances)
    assert first.exit_code == 1
    assert "4 runs failed" in first.output
    assert "add --retry-failed" in first.output
    failures = load(tmp_path / "r").failures
    assert set(failures["tolerance"]) == {1e-17}
    assert failures["traceback"].str.contains("Traceback").all()
    count = count_parts(tmp_path / "r")
    again = linphase(*command, *tolerances)
    assert again.exit_code == 1
    assert count_parts(tmp_path / "r") == count
    assert "4 runs failed" in again.output
    retried = linphase(*command, *tolerances, "--retry-failed")
    assert retried.exit_code == 1
    assert failed_ids(tmp_path / "r") == set(failures["run_id"])


def test_a_failed_run_that_was_finished_since_has_not_failed(tmp_path):
    create(tmp_path / "r", make_config(20))
    write_failures(tmp_path / "r", [make_failure(SPECS[0])])
    write_failures(tmp_path / "r", [make_failure(SPECS[1])])
    write(tmp_path / "r", SPECS[:1])
    assert failed_ids(tmp_path / "r") == {IDS[1]}

"""Configurations and tables by the standard streams, and configurations without --config."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.store.results import load
from tests.processes import TINY


@pytest.fixture
def linphase(tmp_path, monkeypatch):
    """Run a command beside tiny.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(*arguments, code=0, stdin=None):
        done = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (["sweep", "--dry-run"], None),
        (["theory"], "results/tiny-theory"),
        (["submit", "--array", "2", "--dry-run"], None),
    ],
)
def test_a_configuration_may_be_named_with_and_without_its_option(linphase, tmp_path, command, out):
    printed = {linphase(*command, *named).stdout for named in (["tiny.toml"], ["--config", "tiny.toml"])}
    if out is None:
        assert len(printed) == 1
    else:
        assert len(load(tmp_path / out).runs) == 9


def test_standard_input_is_a_configuration_whose_paths_begin_at_the_working_directory(linphase, tmp_path):
    np.save(tmp_path / "Y.npy", np.eye(6))
    text = 'name = "own"\n[task]\ntarget = "Y.npy"\n[grid]\ngamma_sigma2 = [-1, 0]\ngamma_w = 1\n'
    for named in (["-"], ["--config", "-"]):
        done = linphase("sweep", *named, "--dry-run", stdin=text)
        assert "runs:          2\n" in done.stdout
    linphase("sweep", "-", "--no-plot", stdin=text)
    assert len(load(tmp_path / "results/own").finished()) == 2


def test_standard_input_that_is_no_configuration_is_one_message(linphase, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    done = linphase("sweep", "-", stdin="name = ", code=2)
    assert done.output.startswith("Error: standard input: is not valid TOML: Invalid value (at end of document)")
    done = linphase("sweep", "-", stdin=TINY.replace("rank", "rnk"), code=2)
    assert "standard input: task.rnk: is not a key, found 2; did you mean task.rank?" in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_exported_parquet_has_the_types_units_and_meanings_of_the_columns(linphase, tiny, tmp_path):
    assert linphase("export", tiny, "-o", "runs.parquet").stdout == "9 runs: runs.parquet\n"
    loaded, table = load(tiny), pq.read_table(tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(table.to_pandas(), loaded.runs, check_dtype=False, check_categorical=False)
    for name, column in loaded.columns.items():
        assert table.schema.field(name).metadata[b"meaning"].decode() == column.meaning
        assert table.schema.field(name).metadata.get(b"unit", b"").decode() == column.unit
    assert str(table.schema.field("width").type) == "int64"
    assert table.schema.metadata[b"linphase_paper"] == b"arXiv:2405.17580"


def test_export_prints_csv_and_nothing_else(linphase, tiny, tmp_path):
    done = linphase("export", tiny, "-o", "-")
    assert linphase("export", tiny, "-o", "runs.csv").exit_code == 0
    assert done.stdout == (tmp_path / "runs.csv").read_text()
    assert done.stderr == ""


def test_quiet_prints_warnings_and_errors_only_and_changes_no_exit_code(linphase, tmp_path):
    done = linphase("sweep", "tiny.toml", "--quiet")
    assert (done.stdout, done.stderr) == ("", "")
    assert len(load(tmp_path / "results/tiny").finished()) == 9
    assert (tmp_path / "results/tiny/phase_diagram.png").exists()
    done = linphase("theory", "tiny.toml", "-q")
    assert (done.stdout, done.stderr) == ("", "")
    done = linphase("sweep", "tiny.toml", "--quiet", "--set", "task.rank=99", code=2)
    assert (done.stdout, done.stderr.count("task.rank: must be")) == ("", 1)
    done = linphase("sweep", "tiny.toml", "--quiet", "--dry-run", code=2)
    assert done.stderr == ("Error: --quiet: has no meaning with --dry-run, which only prints. Leave one of them out\n")
    done = linphase("theory", "--boundaries", "--quiet", code=2)
    assert done.stderr.startswith("Error: --boundaries: is for the task of -d, -k and --noise, found --quiet too.")


def test_failed_runs_are_told_and_exit_with_1_however_quiet(linphase, monkeypatch):
    monkeypatch.setattr("linphase.sweeps.batch.train_spec", lambda *_: 1 / 0)
    done = linphase("sweep", "tiny.toml", "--quiet", code=1)
    assert done.stdout == ""
    assert done.stderr.startswith("9 runs failed, the last with: ZeroDivisionError: ")

"""The command line: what each command prints and writes, and every mistake a user can make with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.text import Text
from PIL import Image
from rich.console import Console

from linphase.cli import main
from linphase.cli.any_dimension import tables
from linphase.config.config import parse_config
from linphase.runs.spec import NUMERICS_VERSION
from tests.processes import TINY as CONFIG

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def linphase(*arguments: str | Path):
    """Run a command; its exit code, and what it printed on either stream."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def results(tiny):
    return tiny


def test_every_command_has_help_with_an_example():
    assert linphase("--help").exit_code == 0
    for name in main.commands:
        shown = linphase(name, "--help")
        assert shown.exit_code == 0
        assert "Example:" in shown.output
        assert f"linphase {name}" in shown.output.split("Example:")[1]


def test_a_sweep_prints_the_table_of_regimes_and_leaves_the_picture_in_the_results(here):
    done = linphase("sweep", "--config", "tiny.toml")
    assert done.exit_code == 0, done.output
    assert "9 runs by regime and status" in done.output
    for word in ("lazy", "balanced", "underparameterized", "converged", "ETA"):
        assert word in done.output
    with Image.open(here / "results" / "tiny" / "phase_diagram.png") as picture:
        assert picture.width > 500
        digest = parse_config(json.loads(next((here / "results/tiny/configs").glob("[!.]*.json")).read_text())).digest
        assert digest in picture.text["Config"]
        assert "linphase 0." in picture.text["Version"]
    again = linphase("sweep", "--config", "tiny.toml", "--no-plot")
    assert again.exit_code == 0
    assert "9 of 9 runs are in" in again.output


def test_a_signal_after_the_last_run_changes_nothing(here, monkeypatch):
    monkeypatch.setattr("linphase.sweeps.sweeping.compact", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr("linphase.cli.output.save_figure", lambda figure, file, *_: file.touch())
    done = linphase("sweep", "--config", "tiny.toml")
    assert done.exit_code == 0, done.output
    assert "Interrupted" not in done.output
    assert (here / "results/tiny/phase_diagram.png").exists()


def test_runs_whose_results_are_gone_when_a_sweep_ends_are_no_success(here, monkeypatch):
    monkeypatch.setattr("linphase.sweeps.sweeping.train_missing", lambda *_, **__: iter(()))
    done = linphase("sweep", "--config", "tiny.toml", "--no-plot")
    assert done.exit_code == 1
    assert "9 runs are missing, whose results have gone meanwhile. To train them, run the same again." in done.output


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(here):
    done = linphase("sweep", "--config", "tiny.toml", "--dry-run", "--set", "grid.replicates=3", "--jobs", "2")
    assert done.exit_code == 0
    lines = dict(line.split(":", 1) for line in done.output.splitlines())
    assert lines["cells"].strip() == "9"
    assert lines["runs"].strip() == "27"
    assert lines["largest width"].strip() == "181"  # 8^2.5 = 181.02
    assert "on 2 workers" in lines["time"]
    assert "kB" in lines["disk"]
    assert not (here / "results").exists()


def test_an_override_changes_the_run_and_the_directory_holds_it(here):
    done = linphase("sweep", "--config", "tiny.toml", "--out", "r", "--set", "task.rank=1", "--no-plot")
    assert done.exit_code == 0
    linphase("export", "r", "-o", "runs.csv")
    assert set(pd.read_csv("runs.csv")["rank"]) == {1}


def test_a_sweep_with_failed_runs_ends_with_code_1_and_says_why(here):
    done = linphase("sweep", "--config", "tiny.toml", "--no-plot", "--set", "dynamics.tolerance=1e-17")
    assert done.exit_code == 1
    assert "9 runs failed" in done.output
    assert "Use a larger one" in done.output
    assert "failed: 9" in linphase("status", "results/tiny").output


def test_a_figure_of_an_older_linphases_numbers_says_so(results, tmp_path, monkeypatch):
    file = tmp_path / "r.png"
    version = NUMERICS_VERSION
    for module in ("runs.spec", "store.asked", "store.results"):
        monkeypatch.setattr(f"linphase.{module}.NUMERICS_VERSION", version + 1)
    drawn = linphase("plot", results, "-o", file)
    assert drawn.exit_code == 0, drawn.output
    told = "warning: 9 of 9 runs in this figure were made with numerics version"
    assert f"{told} {version}, this linphase's is {version + 1}" in drawn.output
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert picture.text["Numerics"] == str(version)


# And regime, as png, in the test above.
@pytest.mark.parametrize(("panel", "suffix"), [("test-error", "pdf"), ("all", "svg")])
def test_plot_draws_panels_in_every_format(results, tmp_path, panel, suffix):
    file = tmp_path / f"figure.{suffix}"
    drawn = linphase("plot", results, "--panel", panel, "-o", file)
    assert drawn.exit_code == 0
    assert "warning" not in drawn.output
    start = {"pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    assert file.read_bytes().startswith(start)


def test_plot_draws_figure_2_as_the_paper_does(results, tmp_path):
    kept = tmp_path / "r"
    shutil.copytree(results, kept)
    drawn = linphase("plot", kept, "--look", "figure2", "--panel", "iterations", "--style", "talk")
    assert drawn.exit_code == 0, drawn.output
    with Image.open(kept / "figure2-iterations-style-talk.png") as picture:
        assert picture.text["Title"] == "linphase: figure2-iterations of r"
    without = linphase("plot", kept, "--look", "figure2")  # all four panels
    assert without.exit_code == 2
    assert "panel distance needs column distance_to_self_consistent" in without.output


def test_classify_changes_with_the_cuts_and_trains_nothing(results, tmp_path):
    by_default = linphase("classify", results, "-o", tmp_path / "a.csv")
    never = linphase("classify", results, "--signal-cut", "0", "--bulk-cut", "1", "--criterion", "balance",
                     "-o", tmp_path / "b.csv")  # fmt: skip
    assert by_default.exit_code == never.exit_code == 0
    a, b = pd.read_csv(tmp_path / "a.csv"), pd.read_csv(tmp_path / "b.csv")
    assert "lazy" in set(a["regime"])
    assert "lazy" not in set(b["regime"])  # no share is below 0
    assert list(a["run_id"]) == list(b["run_id"])
    assert "signal_active_by_balance" in b.columns


def test_status_and_export_agree_on_the_runs(results, tmp_path):
    facts = json.loads(linphase("status", results, "--json").output)
    linphase("export", results, "-o", tmp_path / "runs.csv")
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert facts["done"] == facts["expected"] == len(runs) == 9
    assert facts["missing"] == facts["failed"] == facts["diverged"] == 0
    assert facts["regimes"]["lazy"] == (runs["regime"] == "lazy").sum() > 0
    assert "9 of 9 runs done" in linphase("status", results).output


def test_columns_lists_every_declared_column():

    from linphase.store.columns import runs_columns, trajectories_columns

    shown = linphase("columns").output
    for column in (*runs_columns(), *trajectories_columns()):
        assert column.name in shown


def test_run_prints_the_regime_and_draws(here):
    done = linphase("run", "--gamma-sigma2", "-2", "--gamma-w", "1.5", "-d", "16", "-k", "2", "-o", "r.png")
    assert done.exit_code == 0
    assert "balanced by threshold" in done.output
    assert "smallest test error" in done.output
    assert Path("r.png").read_bytes().startswith(b"\x89PNG")


def test_run_takes_figure_1s_protocol(here):
    cell = ["--gamma-sigma2", "-1.85", "--gamma-w", "2.25", "-d", "20"]
    done = linphase("run", *cell, "--kind", "gd", "--learning-rate", "{ paper = 5 }", "--steps", "10", "-o", "r.svg")
    assert done.exit_code == 0
    assert "10 steps" in done.output
    assert "self-consistent (Euler)" in Path("r.svg").read_text()


def test_run_draws_figure_1_as_the_paper_does(here):
    cell = ["--gamma-sigma2", "-1.85", "--gamma-w", "2.25", "-d", "20"]
    descent = ["--kind", "gd", "--learning-rate", "{ paper = 5 }", "--steps", "10", "--update", "alternating"]
    done = linphase("run", *cell, *descent, "--look", "figure1", "-o", "r.svg")
    assert done.exit_code == 0, done.output
    told = Path("r.svg").read_text()
    for words in ("self-consistent (Euler)", "bulk, gradient descent", "iteration number"):
        assert words in told


def test_run_names_the_self_consistent_dynamics_that_it_draws(here, monkeypatch):
    texts = []  # instead of a file, which takes the longest
    monkeypatch.setattr(
        "linphase.figures.style.save",
        lambda figure, *_, **__: texts.append("\n".join(text.get_text() for text in figure.findobj(Text))),
    )
    cell = ["--gamma-sigma2", "-1.5", "--gamma-w", "1.5", "-d", "8", "-k", "2", "-o", "r.svg"]
    descent = ["--kind", "gd", "--learning-rate", "{ paper = 5 }", "--steps", "10"]
    for options, drawn in (
        ([], {"exact"}),
        (descent, {"Euler"}),
        ([*descent, "--set", "record.compare=self_consistent"], {"exact"}),
        ([*descent, "--set", "record.compare=self_consistent_euler"], {"Euler"}),
        (["--kind", "gd", "--learning-rate", "1e-4", "--steps", "1001"], {"exact"}),  # an SVD a step is too long
        (["--kind", "self_consistent"], set()),
        (["--no-theory"], set()),
    ):
        assert linphase("run", *cell, *options).exit_code == 0
        assert {which for which in ("exact", "Euler") if f"self-consistent ({which})" in texts[-1]} == drawn


def test_run_keeps_enough_moments_for_a_smooth_minimum(here, monkeypatch):
    from linphase.figures.evolution import run_figure

    kept = []
    draw = run_figure
    monkeypatch.setattr(
        "linphase.figures.evolution.run_figure",
        lambda run, **others: kept.append((run, others["theory"])) or draw(run, **others),
    )
    monkeypatch.setattr("linphase.figures.style.save", lambda *_, **__: None)  # which takes the longest
    cell = ["--gamma-sigma2", "-1.85", "--gamma-w", "2.25", "-d", "20", "--kind", "gd", "--learning-rate", "1e-3"]
    linphase("run", *cell)
    linphase("run", *cell, "--set", "record.snapshots=20", "--set", "record.singular_values=3")
    (run, theory), (few, few_theory) = kept
    lowest = np.argmin(run.test_error)
    assert np.diff(run.test_error[lowest - 1 : lowest + 2]) == pytest.approx(0, abs=0.02 * run.test_error[lowest])
    assert len(few.time) <= 20 < len(run.time)
    for one, other in ((run, theory), (few, few_theory)):
        assert one.singular_values.shape == other.singular_values.shape
        np.testing.assert_allclose(one.time, other.time)


CELL = ["--gamma-sigma2", "-1", "--gamma-w", "1"]
MISTAKES = {
    "no such config": (["sweep", "--config", "nope.toml"], "nope.toml: cannot be read: No such file"),
    "config is a directory": (["sweep", "--config", "."], "cannot be read"),
    "override without =": (["sweep", "--config", "tiny.toml", "--set", "task.rank"], "KEY=VALUE"),
    "override of an unknown key": (["sweep", "--config", "tiny.toml", "--set", "task.rnk=3"], "task.rnk"),
    "override out of range": (["sweep", "--config", "tiny.toml", "--set", "task.rank=9"], "task.rank"),
    "no workers": (["sweep", "--config", "tiny.toml", "--jobs", "0"], "--jobs"),
    "no results": (["status", "nowhere"], "nowhere"),
    "results are a file": (["plot", "tiny.toml"], "tiny.toml"),
    "plot: unknown panel": (["plot", "RESULTS", "--panel", "loss"], "panel must be one of regime, status, "),
    "plot: almost a panel": (
        ["plot", "RESULTS", "--panel", "test_eror"],
        "Error: panel 'test_eror': did you mean test-error? It must be one of regime, status, ",
    ),
    "plot: almost a figure": (
        ["plot", "RESULTS", "--panel", "trajectory"],
        "Error: panel 'trajectory': did you mean trajectories? It must be one of regime, status, ",
    ),
    "report: almost a panel": (
        ["report", "RESULTS", "--panel", "stable_rank"],
        "Error: panel 'stable_rank': did you mean stable-rank? It must be one of regime, status, ",
    ),
    "plot: unknown against theory": (
        ["plot", "RESULTS", "--panel", "regimes", "--against", "theory"],
        "panel 'regimes': did you mean regime? It must be one of regime, ",
    ),
    "plot: collapse against theory": (
        ["plot", "RESULTS", "--panel", "collapse", "--against", "theory"],
        "panel collapse: cannot be set against theory, it is a figure of its own. Choose one of ",
    ),
    "plot: residual against theory": (
        ["plot", "RESULTS", "--panel", "residual", "--against", "theory"],
        "panel residual: cannot be set against theory, it is 0 by construction",
    ),
    "plot: unknown format": (["plot", "RESULTS", "-o", "x.jpg"], "must end in .png, .pdf or .svg, found '.jpg'"),
    "plot: no such place": (["plot", "RESULTS", "-o", "no/where/x.png"], "an existing directory is required"),
    "plot: unknown measure": (["plot", "RESULTS", "--criterion", "speed"], "'threshold', 'balance', 'speedup'"),
    "plot: look of another panel": (
        ["plot", "RESULTS", "--look", "figure2", "--panel", "all"],
        "panel must be test-error, stable-rank, iterations or distance, found 'all'",
    ),
    "plot: look in a terminal": (["plot", "RESULTS", "--look", "figure2", "--terminal"], "--terminal: has no meaning"),
    "plot: look against theory": (
        ["plot", "RESULTS", "--look", "figure2", "--panel", "iterations", "--against", "theory"],
        "--against: has no meaning with --look figure2",
    ),
    "plot: at a place": (
        ["plot", "RESULTS", "--at", "-1,1"],
        "--at: --where is required in its place, found --at",
    ),
    "plot: fit of nothing": (["plot", "RESULTS", "--fit"], "--fit: --along KEY is required with it, found none"),
    "plot: look by a cut": (["plot", "RESULTS", "--look", "figure2", "--bulk-cut", "0.2"], "--bulk-cut: has no mean"),
    "classify: cut above 1": (["classify", "RESULTS", "--bulk-cut", "1.5"], "0<=x<=1"),
    "classify: not csv": (["classify", "RESULTS", "-o", "x.txt"], "ending in .csv is required, found 'x.txt'"),
    "export: not csv": (
        ["export", "RESULTS", "-o", "x.xlsx"],
        "-o: a file name ending in .csv or .parquet is required, or - f",
    ),
    "export: no such place": (["export", "RESULTS", "-o", "no/where/x.csv"], "an existing directory is required"),
    "run: no variance": (
        ["run", "--gamma-w", "1"],
        "one of --gamma-sigma2 and --init-variance is required, found neither",
    ),
    "theory: nothing": (["theory"], "CONFIG: a TOML file is required, or --boundaries or --asymptotic, found"),
    "sweep: no config": (["sweep"], "Error: CONFIG: a TOML file is required, found none. linphase init writes one to"),
    "sweep: two configs": (
        ["sweep", "tiny.toml", "--config", "other.toml"],
        "Error: --config: one configuration is required, found 'tiny.toml' and 'other.toml'. Leave one of them out",
    ),
    "submit: standard input": (
        ["submit", "-", "--array", "2"],
        "Error: CONFIG: a file is required, which the tasks can read, found standard input. Write it to a file first",
    ),
    "theory: a file beside a flag": (
        ["theory", "x.toml", "--boundaries"],
        "--boundaries: is for the task of -d, -k and --noise, found CONFIG too. Leave one out",
    ),
    "theory: both": (["theory", "--boundaries", "--config", "x.toml"], "found --config too"),
    "theory: a flag's options alone": (["theory", "--sums", "1"], "--sums: is for --asymptotic, found without"),
    "theory: both flags": (["theory", "--asymptotic", "--boundaries"], "found --asymptotic too"),
    "theory: config at any d": (["theory", "--asymptotic", "--config", "x.toml"], "found --config too"),
    "theory: words": (["theory", "--asymptotic", "--dimensions", "1e2,big"], "from 2 to 1e+15 are required"),
    "theory: no dimensions": (["theory", "--asymptotic", "--dimensions", ""], "separated by commas, found ''"),
    "theory: dimension 1": (["theory", "--asymptotic", "--dimensions", "1,10"], "from 2 to 1e+15 are required"),
    "theory: nan": (["theory", "--asymptotic", "--sums", "nan"], "--sums: numbers from -3 to 3 are required"),
    "theory: nan noise": (["theory", "--asymptotic", "--noise", "nan"], "--noise: a number from 0 to 1e9"),
    "theory: tiny noise": (["theory", "--asymptotic", "--noise", "1e-9"], "noise must be 0 or at least"),
    "theory: rank above the least d": (
        ["theory", "--asymptotic", "--dimensions", "1e3,4", "-k", "5"],
        "-k: at most the smallest dimension 4",
    ),
    "theory: format": (["theory", "--asymptotic", "-o", "x.txt"], "ending in .csv or .json is required"),
    "theory: rank above d": (["theory", "--boundaries", "-d", "4", "-k", "5"], "-k: at most the dimension 4"),
    "run: two widths": (
        ["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "--width", "3"],
        "--width is required, found both",
    ),
    "run: rank above d": (["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "-d", "4"], "rank"),
    "run: many": (
        ["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "--set", "grid.gamma_w=[1,2]"],
        "one run is required",
    ),
    "run: format": (["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "-o", "x.gif"], "found '.gif'"),
    "run: no such place": (["run", "--gamma-sigma2", "-1", "--gamma-w", "1", "-o", "no/x.png"], "existing directory"),
    "run: rate": (["run", *CELL, "--kind", "gd", "--learning-rate", "-1"], "learning_rate"),
    "run: steps of a flow": (["run", *CELL, "--steps", "5"], "--steps: is for --kind gd, found --kind flow"),
    "run: update of a flow": (["run", *CELL, "--update", "alternating"], "--update: is for --kind gd"),
    "run: update": (["run", *CELL, "--kind", "gd", "--update", "both"], 'must be "simultaneous" or "alternating"'),
    "run: rate of a flow": (["run", *CELL, "--learning-rate", "0.1"], "--learning-rate: is for --kind gd"),
    "run: look of a flow": (["run", *CELL, "--look", "figure1"], "--look figure1: is for --kind gd, found --kind flow"),
    "run: look without theory": (
        ["run", *CELL, "--kind", "gd", "--look", "figure1", "--no-theory"],
        "--no-theory: has no meaning with --look figure1",
    ),
    "plot: nan": (["plot", "RESULTS", "--bulk-cut", "nan"], "nan is not in the range"),
    "unknown command": (["sweeep"], "No such command"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_message_exit_code_2_and_writes_nothing(mistake, here, results):
    arguments, message = MISTAKES[mistake]
    before = sorted(here.rglob("*"))
    done = linphase(*(results if argument == "RESULTS" else argument for argument in arguments))
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert "pydantic" not in done.output
    assert sorted(here.rglob("*")) == before


def test_all_mistakes_of_a_config_are_told_together(here):
    (here / "bad.toml").write_text(
        'name = "../x"\n[task]\nrank = 99\nnoise = -1.0\n[grid]\ngamma_w = [1, 1]\ndepth = 3\n'
    )
    done = linphase("sweep", "--config", "bad.toml")
    assert done.exit_code == 2
    for key in ("name", "task.rank", "task.noise", "grid.gamma_w", "grid.depth", "gamma_sigma2"):
        assert key in done.output
    assert not (here / "results").exists()


def test_another_configuration_in_a_directory_is_refused_with_the_difference(results, here):
    done = linphase("sweep", "--config", "tiny.toml", "--out", results, "--set", "task.noise=2.0")
    assert done.exit_code == 2
    assert "task.noise: 1.0 in the directory, 2.0 in the config" in done.output


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_one_run_exits_with_130(tmp_path):
    # Minutes of work, so that it is still running when the signal comes, whatever the machine.
    cell = ["--gamma-sigma2", "-3", "--gamma-w", "1", "-d", "600", "--set", "dynamics.tolerance=1e-7"]
    command = [sys.executable, "-m", "linphase", "run", *cell]
    # A shell has its background jobs ignore Ctrl-C, and children inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, preexec_fn=heed
    )
    try:
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Interrupted." in errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []


def test_theorys_lines_are_printed_without_a_sweep():
    done = CliRunner().invoke(main, ["theory", "--boundaries", "-d", "100", "-k", "4", "--noise", "0.5"])
    assert done.exit_code == 0
    head, *rows = [line.split("\t") for line in done.output.splitlines()]
    assert head[:3] == ["gamma_w", "width", "mixed | lazy, d = 100, k = 4, noise 0.5"]
    assert rows[10][:2] == ["2.0", "10000"]
    # c = s + noise^2 d/s with s = d/sqrt(k) (1 - (k + 1)/(2 d)), to first order in k/d
    s = 50 * (1 - 5 / 200)
    assert float(rows[10][2]) == pytest.approx(np.log(s + 0.25 * 100 / s) / np.log(100) - 2, abs=1e-3)


def test_theory_at_any_dimension_is_a_table_in_the_pipe_the_file_and_80_columns(here):
    arguments = ["theory", "--asymptotic", "--dimensions", "1e15,1e6,1e4", "--sums", "0.75,0.5", "-k", "5"]
    done = linphase(*arguments, "-o", "table.csv")
    assert done.exit_code == 0
    head, *rows = [line.split("\t") for line in done.output.splitlines()[:-1]]
    places = [[gamma, d] for gamma in ("0.5", "0.75") for d in ("10000", "1e+06", "1e+15")]
    assert [row[:2] for row in rows] == places
    errors = [float(row[head.index("min_test_error")]) for row in rows]
    assert errors[3:5] == pytest.approx([0.308, 0.111], abs=1e-3)
    slopes = [row[head.index("slope")] for row in rows]
    assert slopes[::3] == ["-", "-"]
    assert float(slopes[4]) == pytest.approx(np.log10(errors[4] / errors[3]) / 2, abs=1e-5)
    assert done.output.splitlines()[-1] == "Table: table.csv"

    linphase(*arguments, "-o", "table.json")
    table, facts = pd.read_csv("table.csv"), json.loads(Path("table.json").read_text())
    assert list(table.columns) == head == list(facts[0])
    assert facts[0]["slope"] is None
    pd.testing.assert_frame_equal(table, pd.DataFrame(facts))
    assert sorted(path.name for path in here.iterdir()) == ["table.csv", "table.json", "tiny.toml"]

    narrow = Console(width=80, record=True, file=StringIO())
    for block in tables(facts, "k = 5, noise 1"):
        narrow.print(block)
    text = narrow.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "gamma_sigma2 + gamma_w = 0.75, k = 5, noise 1" in text
    assert "5.25e-12" in text
    assert "…" not in text

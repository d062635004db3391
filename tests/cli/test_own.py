"""Targets and data of one's own on the command line, from the file to the diagram, and after the file is gone."""

import os
import shutil
from io import BytesIO

import numpy as np
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.diagram.panels import known_panels
from linphase.errors import LinphaseError
from linphase.model import arrays
from linphase.store.results import load
from tests.figures.made import unfinished

RNG = np.random.default_rng(0)
FILES = {
    "Y": RNG.standard_normal((5, 7)) + 2, "A": np.full((5, 7), 2.0),
    "X": RNG.standard_normal((20, 6)), "Z": RNG.standard_normal((20, 4)),
}  # fmt: skip
GRID = "[grid]\ngamma_sigma2 = [-2.0, -1.0, 0.0]\ngamma_w = [1.0, 2.0]\n"
TASKS = {
    "target": '[task]\ntarget = "Y.npy"\nsignal = "A.npy"\n',
    "bare": '[task]\ntarget = "Y.npy"\n',
    "data": '[task]\nrank = 2\n[data]\ninputs = "X.npy"\noutputs = "Z.npy"\n',
}


def linphase(*arguments):
    """A command's exit code and output; whatever it raises is no message."""
    with unfinished():
        return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def write(folder, text=TASKS["bare"]):
    folder.mkdir(exist_ok=True)
    for name, array in FILES.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "own.toml").write_text(f'name = "own"\n{text}{GRID}')
    return folder / "own.toml"


@pytest.fixture(scope="module", params=["bare", "data", pytest.param("target", marks=pytest.mark.slow)])
def swept(request, tmp_path_factory):
    """The results of each kind, of which nothing but the directory is left."""
    there = tmp_path_factory.mktemp("own")
    done = linphase("sweep", "--config", write(there / "user", TASKS[request.param]), "--out", there / "r", "--no-plot")
    assert done.exit_code == 0, done.output
    assert (there / "user" / "own.toml").exists()
    shutil.rmtree(there / "user")
    return request.param, there / "r"


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """Every command is in a process that was told of nothing."""
    monkeypatch.setattr(arrays, "_places", {})
    monkeypatch.setattr(arrays, "_looked_in", {})
    arrays._read.cache_clear()


def one_line(done):
    """The message of a refusal."""
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.split())


def test_everything_is_read_and_drawn_after_the_files_are_gone(swept, tmp_path):
    _, results = swept
    for command in (
        ("status", results), ("check", results), ("plot", results, "-o", tmp_path / "p.png"),
        ("plot", results, "--x", "c", "-o", tmp_path / "c.png"), ("explore", results, "-o", tmp_path / "e.html"),
        ("plot", results, "--panel", "trajectories", "-o", tmp_path / "t.png"),
        ("export", results, "-o", tmp_path / "r.csv"), ("compact", results),
    ):  # fmt: skip
        done = linphase(*command)
        assert done.exit_code == 0, (command, done.output)
    assert "6 of 6" in linphase("status", results).output


def test_a_report_tells_of_them(swept, tmp_path):
    kind, results = swept
    done = linphase("report", results, "--panel", "active-modes", "-o", tmp_path / "r.md")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "r.md").read_text()
    digest = load(results).runs["data" if kind == "data" else "target"][0]
    assert digest in text


@pytest.mark.slow
def test_every_panel_is_drawn_or_says_in_one_line_why_not(swept):
    # By what `linphase plot` calls, which would read the results anew for each.
    kind, path = swept
    results, drawn, refused = load(path), set(), {}
    with unfinished():  # the layout is not the subject
        for name in known_panels():
            try:
                results.plot(name).savefig(BytesIO(), dpi=50)
                drawn.add(name)
            except LinphaseError as error:
                refused[name] = str(error)
    assert not {name: told for name, told in refused.items() if len(told.splitlines()) != 1}
    assert {"active-modes", "final-time", "kernel-distance"} <= drawn
    assert ("signal-active" in drawn) == (kind != "bare")
    assert ("test-error" in drawn) == (kind == "target")


def test_the_default_diagram_without_regimes_is_of_the_active_modes(swept, monkeypatch):
    kind, results = swept
    saved = []
    monkeypatch.setattr("linphase.cli.plots.save_figure", lambda *given: saved.append(given))
    assert linphase("plot", results).exit_code == 0
    ((figure, *_),) = saved
    assert ("active modes" in figure.axes[0].get_title()) == (kind == "bare")


def test_theory_is_of_the_array_that_is_kept_too(tmp_path):
    done = linphase(
        "theory", "--config", write(tmp_path / "user", TASKS["target"]), "--out", tmp_path / "t", "--no-plot"
    )
    assert done.exit_code == 0, done.output
    shutil.rmtree(tmp_path / "user")
    arrays._places.clear()
    assert linphase("plot", tmp_path / "t", "-o", tmp_path / "p.png").exit_code == 0


def test_a_configuration_that_results_keep_stands_for_its_file(swept, tmp_path):
    kind, results = swept
    (kept,) = results.glob("configs/[!.]*.json")
    if kind != "data":
        done = linphase("theory", "--config", kept, "--out", tmp_path / "t", "--no-plot")
        assert done.exit_code == 0, done.output
        assert "6 runs" in done.output
    done = linphase("sweep", "--config", kept, "--out", tmp_path / "again", "--no-plot")
    assert done.exit_code == 0, done.output
    assert set(load(tmp_path / "again").runs["run_id"]) == set(load(results).runs["run_id"])


def test_an_array_that_results_have_lost_is_told_with_their_place(swept, tmp_path):
    _, results = swept
    lost = tmp_path / "r" / "configs"
    shutil.copytree(results / "configs", lost)
    (kept,) = lost.glob("[!.]*.json")
    text = one_line(linphase("sweep", "--config", kept, "--out", tmp_path / "again", "--no-plot"))
    assert f"is not known here, and not in {tmp_path / 'r'}." in text
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(("text", "told"), [
    ("{", "is not valid JSON"), ("[]", "must be a table of keys"),
    ('{"plugins": {"mine": {}}}', "needs plugins, which results do not keep"),
])  # fmt: skip
def test_what_is_no_kept_configuration_is_told(tmp_path, text, told):
    (tmp_path / "c.json").write_text(text)
    assert told in one_line(linphase("sweep", "--config", tmp_path / "c.json", "--out", tmp_path / "r"))


@pytest.mark.parametrize(("given", "told"), [
    (["task.target=Y.npy"], "regime: none, as no rank tells which modes are the signal's"),
    (["task.target=Y.npy", "task.signal=A.npy", "task.rank=1"], "smallest test error"),
    (["data.inputs=X.npy", "data.outputs=Z.npy"], "active modes: "),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["flow", "gd"])
def test_one_run_is_of_them_too(tmp_path, monkeypatch, given, told, kind):
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    overrides = [argument for key in given for argument in ("--set", key)]
    done = linphase("run", "--gamma-sigma2", -1, "--gamma-w", 1.5, "--kind", kind, *overrides)
    assert done.exit_code == 0, done.output
    assert told in " ".join(done.output.split())
    assert ("test error" in done.output) == ("task.signal=A.npy" in given)
    assert (tmp_path / "run.png").exists()


def test_theory_of_data_is_refused(tmp_path):
    done = linphase("theory", "--config", write(tmp_path / "user", TASKS["data"]), "--out", tmp_path / "t")
    assert "has a closed form for white inputs, and none for other data" in one_line(done)
    assert not (tmp_path / "t").exists()


def test_a_changed_file_is_refused_with_both_digests_and_nothing_is_written(tmp_path):
    file = write(tmp_path / "user")
    assert linphase("sweep", "--config", file, "--out", tmp_path / "r", "--no-plot").exit_code == 0
    before = sorted(tmp_path.joinpath("r").rglob("*"))
    was = load(tmp_path / "r").runs["target"][0]
    np.save(tmp_path / "user" / "Y.npy", FILES["Y"] + 1)
    text = one_line(linphase("sweep", "--config", file, "--out", tmp_path / "r", "--no-plot"))
    assert f'task.target: "{was}" in the directory, "' in text
    assert sorted(tmp_path.joinpath("r").rglob("*")) == before
    np.save(tmp_path / "user" / "Y.npy", FILES["Y"])
    assert "6 of 6 runs are in" in linphase("sweep", "--config", file, "--out", tmp_path / "r", "--no-plot").output


def test_what_is_lost_the_next_sweep_keeps_again(tmp_path):
    file = write(tmp_path / "user")
    assert linphase("sweep", "--config", file, "--out", tmp_path / "r", "--no-plot").exit_code == 0
    (kept,) = (tmp_path / "r" / "arrays").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"\0")
    done = linphase("check", tmp_path / "r")
    assert (done.exit_code, f"damaged: arrays/{kept.name}" in done.output) == (1, True)
    done = linphase("check", tmp_path / "r", "--repair")
    assert f"arrays/{kept.name} moved to quarantine/arrays/{kept.name}" in done.output
    assert "it is lost; a sweep of the configuration file keeps it again" in linphase("check", tmp_path / "r").output
    assert linphase("sweep", "--config", file, "--out", tmp_path / "r", "--no-plot").exit_code == 0
    assert kept.read_bytes() == whole
    assert linphase("check", tmp_path / "r").exit_code == 0


@pytest.mark.parametrize(("change", "told"), [
    (lambda folder: os.remove(folder / "Y.npy"), "task.target: must be a file of numpy, found none at"),
    (lambda folder: np.save(folder / "Y.npy", FILES["Y"] * np.nan), "found NaN or infinity"),
    (lambda folder: (folder / "Y.npy").write_bytes(b""), "task.target: must be a file of numpy, found"),
    (lambda folder: np.save(folder / "Y.npy", np.array([[{}]]), allow_pickle=True), "holds no array of numbers"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["sweep", "theory"])
def test_a_file_that_holds_no_target_is_one_message_and_nothing_is_written(tmp_path, change, told, command):
    file = write(tmp_path / "user")
    change(tmp_path / "user")
    assert told in one_line(linphase(command, "--config", file, "--out", tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_what_a_task_does_not_tell_is_said(swept):
    kind, results = swept
    if kind != "target":
        needs = "test errors need a signal A* or held-out samples"
        assert needs in one_line(linphase("plot", results, "--panel", "test-error"))
    if kind == "bare":
        assert "or no rank tells what it is" in linphase("boundary", results).output
    if kind == "data":
        assert "has a closed form for white inputs" in one_line(linphase("plot", results, "--against", "theory"))

"""`linphase plot A --against B`: two sweeps side by side."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgb

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.looks import LOOKS
from linphase.store.results import load
from tests.figures.made import artist, artists, color_at, filled, legend_labels, unfinished

TASK = {"dimension": 8, "rank": 2}
GRID = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.0, 2.0]}


def config(name, *, grid=(), **sections):
    return parse_config({"name": name, "task": TASK, "grid": GRID | dict(grid), **sections})


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """A directory of sweeps: of the flow, of theory from its starts, of theory from A = 0, and others."""
    there = tmp_path_factory.mktemp("sweeps")
    filled(there / "flow", config("flow"))
    shutil.copytree(there / "flow", there / "copy")
    filled(there / "own", config("own", dynamics={"kind": "self_consistent"}))
    filled(there / "zero", config("zero").predicted())
    filled(there / "single", config("single", run={"precision": "float32"}))
    filled(there / "fewer", config("fewer"), lambda spec: dict(spec.start) != {"gamma_sigma2": -1.0, "gamma_w": 2.0})
    filled(there / "wider", config("wider", grid={"gamma_w": [3.0, 4.0]}).predicted())
    filled(there / "none", config("none"), lambda spec: False)
    kinds = {"dynamics.kind": ["flow", "self_consistent"]}
    filled(there / "kinds", config("kinds", grid=kinds))
    return there


@pytest.fixture
def drawn(sweeps, monkeypatch):
    """Draws a sweep against another one: the figure, its file, and what is said."""
    saved = []
    monkeypatch.setattr("linphase.cli.plots.save_figure", lambda *given: saved.append(given))
    monkeypatch.chdir(sweeps)

    def plot(one, other, *options):
        with unfinished():
            done = CliRunner().invoke(main, ["plot", one, "--against", other, *options])
        assert done.exit_code == 0, done.output
        figure, file, *_ = saved.pop()
        return figure, file, [line for line in done.stderr.splitlines() if line.startswith("note: ")]

    return plot


def title(figure):
    return figure.get_suptitle()


def test_a_sweep_and_a_copy_of_it_differ_nowhere(drawn):
    figure, file, notes = drawn("flow", "copy", "--panel", "test-error")
    numbers = artist(figure.axes[2], "numbers").get_array()
    assert (numbers.count(), numbers.min(), numbers.max()) == (6, 0, 0)
    assert figure.axes[2].get_title() == "ln(flow / copy)\nmedian size 0, largest 0"
    assert [ax.get_title().splitlines()[-1] for ax in figure.axes[:2]] == ["flow", "copy"]
    assert (str(file), notes) == ("flow/test-error-against-copy.png", [])
    figure, _, _ = drawn("flow", "copy")
    assert figure.axes[2].get_title() == "difference\n0 of 6 cells"
    agree = to_rgb(LOOKS["agree"].color)
    assert all(color_at(figure.axes[2], *cell) == pytest.approx(agree, abs=1e-6) for cell in np.ndindex(2, 3))


def test_a_cell_that_the_other_sweep_lacks_is_missing_and_said(drawn):
    figure, _, notes = drawn("flow", "fewer")
    assert notes == [
        "note: fewer lacks 1 of its 6 runs, missing or failed",
        "note: 1 cell of flow is not in fewer: (gamma_sigma2, gamma_w) = (-1, 2)",
    ]
    assert figure.axes[2].get_title() == "difference\n0 of 5 cells"
    for ax in figure.axes[1:3]:
        assert color_at(ax, 1, 1) == pytest.approx(to_rgb(LOOKS["missing"].color), abs=1e-6)
    assert "missing" in legend_labels(figure)
    figure, _, notes = drawn("fewer", "flow")
    assert notes == ["note: 1 cell of flow is not in fewer: (gamma_sigma2, gamma_w) = (-1, 2)"]
    assert len(artist(figure.axes[0], "missing").get_segments()) == 2
    assert not artists(figure.axes[1], "missing")


def test_theory_from_each_runs_own_start_is_called_so_and_theory_from_zero_has_its_limit_told(drawn):
    figure, _, notes = drawn("flow", "own")
    assert title(figure) == "own: theory from each run's own start"
    assert notes == ["note: own differs in dynamics.kind: self_consistent"]
    assert (
        title(drawn("own", "flow")[0]) == "own: theory from each run's own start\nflow differs in dynamics.kind: flow"
    )
    for theory, name in (("theory", "predicted"), ("zero", "zero")):
        figure, _, notes = drawn("flow", theory)
        assert title(figure) == f"{name}: theory from $A(0) = 0$, without the start's own noise"
        assert notes[-1].startswith("note: theory starts from A = 0: in 2 of 6 cells, those beyond the infinite-noise ")
    assert drawn("flow", "theory", "--where", "gamma_sigma2=-2", "--where", "gamma_sigma2=-1")[2] == []


def test_a_key_in_which_they_differ_stands_in_the_title(drawn):
    figure, _, notes = drawn("flow", "single", "--panel", "test-error")
    assert figure.get_suptitle() == "single differs in run.precision: float32"
    assert notes == ["note: single differs in run.precision: float32"]


def test_axes_cuts_and_parts_of_the_one_hold_for_the_other(drawn):
    figure, file, _ = drawn("flow", "copy", "--x", "c", "--criterion", "speedup", "--where", "gamma_w=2")
    assert file.name == "phase_diagram-against-copy-where-gamma_w=2-x-c-criterion-speedup.png"
    assert "by mode speed-up" in figure.axes[0].get_title()
    assert figure.axes[0].get_xlabel().startswith("threshold")
    assert figure.axes[2].get_title() == "difference\n0 of 3 cells"
    figure, _, notes = drawn("flow", "kinds", "--where", "kind=self_consistent")  # an axis that it alone has
    assert title(figure) == "kinds: theory from each run's own start"
    assert notes == ["note: kinds differs in dynamics.kind: self_consistent"]


def test_the_value_of_an_axis_on_which_the_other_sweep_is_not_names_only_the_first(drawn):
    figure, _, _ = drawn("kinds", "zero", "--panel", "test-error")
    last = [ax.get_title().splitlines()[-1] for ax in figure.axes[:6]]
    assert last[:2] == ["kind = flow, kinds", "zero"]
    assert last[3:5] == ["kind = self_consistent, kinds", "zero"]


def test_over_derived_axes_only_cells_that_are_in_both_are_compared(drawn):
    # The place of the missing run goes to its neighbours, which are other cells: no difference may come of that.
    figure, _, _ = drawn("flow", "fewer", "--x", "c", "--panel", "test-error")
    assert figure.axes[2].get_title().endswith("median size 0, largest 0")


@pytest.mark.filterwarnings("default")  # the command tells of the part
def test_the_cells_of_a_damaged_part_are_missing_and_said(drawn, tmp_path):
    damaged = tmp_path / "damaged"
    for lazy in (False, True):
        filled(damaged, config("damaged"), lambda spec, lazy=lazy: (spec.start[0][1] == 0) is lazy)
    parts = {part: len(pd.read_parquet(part)) for part in (damaged / "runs").glob("part-*")}
    (part,) = [part for part, rows in parts.items() if rows == 4]
    part.write_bytes(part.read_bytes()[:-1])
    _, _, notes = drawn("flow", str(damaged))
    assert notes[0] == f"note: {damaged} lacks 4 of its 6 runs, missing or failed"
    assert notes[1].startswith("note: 4 cells of flow are not in damaged: ")


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        ("theroy", [], "--against: theory or a results directory is required, found 'theroy'"),
        ("file", [], "--against: theory or a results directory is required, found 'file'"),
        ("bare", [], "bare: is no results directory, it has no configs/*.json."),
        ("flow/", [], "--against: another directory than RESULTS is required, found 'flow' for both"),
        ("link", [], "--against: another directory than RESULTS is required, found 'link' for both"),
        ("none", [], "none: at least one run is required, found none yet. Finish its sweep first"),
        ("wider", [], "no cell of flow is in wider: gamma_w is 1, 2 in flow, and 3, 4 in wider. Sweep the same values"),
        ("copy", ["--where", "replicate=3"], "where: replicate must be one of 0, found 3"),
        (
            "copy",
            ["--where", "knid=flow"],
            "a column of its runs, or replicate, found 'knid'; did you mean kind?",
        ),
        ("copy", ["--panel", "collapse"], "panel collapse: cannot be set against other results, it is a figure of its"),
        ("copy", ["--panel", "trajectories"], "panel trajectories: cannot be set against other results, it is a fig"),
        ("copy", ["--terminal"], "--against: has no meaning with --terminal"),
        ("own", ["--panel", "residual"], "which the own runs do not hold: there is nothing to set the flow ones again"),
    ],
)
def test_a_users_mistake_gets_one_clear_message_and_nothing_is_written(sweeps, monkeypatch, other, options, message):
    monkeypatch.chdir(sweeps)
    (sweeps / "file").touch()
    (sweeps / "bare").mkdir(exist_ok=True)
    if not (sweeps / "link").exists():
        (sweeps / "link").symlink_to("flow")
    done = CliRunner().invoke(main, ["plot", "flow", "--against", other, *options])
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output
    assert not list((sweeps / "flow").glob("*.png"))


def test_the_file_names_the_configurations_of_both(sweeps, monkeypatch, tmp_path):
    monkeypatch.chdir(sweeps)
    done = CliRunner().invoke(main, ["plot", "flow", "--against", "own", "-o", str(tmp_path / "a.svg")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "a.svg").read_text()
    assert "linphase: regime against own of flow" in text
    digests = [parse_config(load(name).configs[0], stored=True).digest for name in ("flow", "own")]
    assert re.search(", ".join(digests), text)

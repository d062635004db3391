"""--x and --y on the command line, and what needs a variance that varies."""

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.measured import boundaries_of, boundaries_of_path
from linphase.errors import LinphaseError
from linphase.figures.drawing import draw
from tests.figures.made import artists, filled, unfinished

TASK = {"dimension": 8, "rank": 2}


def sweep(path, **grid):
    return filled(path, parse_config({"name": "axes", "task": TASK, "grid": grid}).predicted())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    noise = {"task.noise": [0.5, 1.0, 2.0]}
    return sweep(tmp_path_factory.mktemp("axes") / "r", gamma_sigma2=[-2.0, -1.0, 0.0], gamma_w=[1.5], **noise)


@pytest.fixture(scope="module")
def one_start(tmp_path_factory):
    """A sweep over the task at one start."""
    grid = {"task.noise": [0.5, 1.0, 2.0], "task.rank": [1, 2]}
    return sweep(tmp_path_factory.mktemp("axes") / "r", init_variance=[0.1], width=[32], **grid)


def linphase(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def labels(figure):
    return figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()


def test_the_command_draws_over_the_axes_that_are_named_in_a_file_that_says_so(results, monkeypatch):
    saved = []
    monkeypatch.setattr("linphase.cli.plots.save_figure", lambda *given: saved.append(given))
    with unfinished():
        for chosen in ((), ("--x", "noise"), ("--x", "c/s_1", "--y", "task.noise")):
            done = linphase("plot", results.path, *chosen)
            assert done.exit_code == 0, done.output
    assert [file.name for _, file, *_ in saved] == [
        "phase_diagram.png", "phase_diagram-x-noise.png", "phase_diagram-x-c_s_1-y-task.noise.png",
    ]  # fmt: skip
    variance, noise = r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$", r"noise $\nu$"
    expected = (variance, noise), (noise, variance), ("threshold over signal, $c/s_1$", noise)
    assert [labels(figure) for figure, *_ in saved] == list(expected)
    assert all(artists(figure.axes[0], "mixed | lazy, finite d") for figure, *_ in saved)


def test_a_terminal_shows_them_too(results):
    done = linphase("plot", results.path, "--x", "c", "--terminal")
    upwards, *_, values, across, legend = done.output.splitlines()[1:8]
    assert (upwards, across.strip()) == ("noise", "c")
    shown, every = [float(value) for value in values.split()], sorted(set(results.runs["threshold"]))
    assert shown == pytest.approx([every[0], every[-1]], rel=1e-3)  # as many as there is room for
    assert legend.startswith("L lazy")


def test_the_explorer_and_the_report_lie_over_them(results, tmp_path):
    assert linphase("explore", results.path, "--y", "c", "-o", tmp_path / "e.html").exit_code == 0
    (text,) = re.findall(r'id="data">(.*?)</script>', (tmp_path / "e.html").read_text(), re.DOTALL)
    data = json.loads(text)
    assert (data["x"]["column"], data["y"]["column"], data["y"]["plain"]) == ("noise", "c", "c")
    assert data["y"]["label"] == "threshold c = σ²\u2009width"
    assert (data["owners"], data["facets"]) == ([None], [])
    assert len(data["lines"][0]) >= 2
    done = linphase("report", results.path, "--x", "noise", "--panel", "regime", "-o", tmp_path / "r.md")
    assert done.exit_code == 0, done.output
    assert "regime-against-theory" not in (tmp_path / "r.md").read_text()  # these runs are theory's


@pytest.mark.parametrize(("command", "arguments", "message"), [
    ("plot", ["--x", "nois"], "x: must be an axis of the sweep, gamma_sigma2, task.noise, gamma_w, or one that follows "
     "from them, c, c/s_1, width/d, n/d, found 'nois'; did you mean noise?"),
    ("report", ["--y", "width"], "found 'width'; did you mean width/d?"),
    ("explore", ["--x", "c", "--y", "c"], "y: must be another axis than the one across, found 'c' for both"),
    ("plot", ["--x", "c", "--panel", "trajectories"], "trajectories: are laid over axes of the sweep, found c and"),
    ("plot", ["--look", "figure2"], "Figure 2 is drawn over a variance and a width, found gamma_sigma2 and noise"),
])  # fmt: skip
def test_a_users_mistake_gets_one_clear_message(results, command, arguments, message):
    done = linphase(command, results.path, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_a_boundary_needs_several_variances_and_nothing_else_does(one_start, tmp_path):
    message = "an axis grid.init_variance with several values is required, found 0.1 alone. Sweep more of them"
    done = linphase("boundary", one_start.path)
    assert (done.exit_code, message in done.output) == (2, True)
    for call in (lambda: boundaries_of(one_start), lambda: draw(one_start, "boundaries")):
        with pytest.raises(LinphaseError, match=message):
            call()
    assert boundaries_of_path(one_start, "benefit") == []
    with unfinished():
        figure = draw(one_start, "benefit")
        assert labels(figure) == (r"noise $\nu$", "rank $k$")
        assert figure.axes[0].get_title().endswith(r"$\sigma^2$ = 0.1, width = 32")
        done = linphase("report", one_start.path, "--panel", "regime", "-o", tmp_path / "r.md")
    assert done.exit_code == 0, done.output
    assert message.replace("_", "\\_") in (tmp_path / "r.md").read_text() or message in (tmp_path / "r.md").read_text()


def test_measured_boundaries_are_told_for_every_facet_whatever_axes_are_drawn(results):
    over_c = replace(results, axes={"c": [1.0, 2.0], "task.noise": [0.5, 1.0, 2.0]})
    assert repr(boundaries_of(over_c)) == repr(boundaries_of(results))
    with unfinished():  # and marked over a variance and a width alone
        ax = draw(results, "boundaries").axes[0]
    assert not artists(ax, "mixed | lazy, measured")


def test_theory_stands_beside_every_kind_of_training(tmp_path):
    grid = {"gamma_sigma2": [-2.0, 0.0], "gamma_w": [1.5], "dynamics.kind": ["flow", "gd"]}
    results = filled(tmp_path / "r", parse_config({"name": "kinds", "task": TASK, "grid": grid}))
    with unfinished():
        figure = draw(results, "regime", against="theory")
    assert figure.axes[2].get_title() == "difference\n0 of 4 cells"


def test_that_a_missing_run_is_not_seen_over_derived_axes_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("linphase.cli.plots.save_figure", lambda *_: None)
    config = parse_config({"name": "m", "task": TASK, "grid": {"gamma_sigma2": [-2, -1, 0], "gamma_w": [1, 2]}})
    filled(tmp_path / "r", config.predicted(), keep=lambda spec: spec.initialization.gamma_sigma2 != -1)
    with unfinished():
        done = linphase("plot", tmp_path / "r", "--x", "c")
        assert "warning: 2 runs are missing or failed; over axes that follow" in " ".join(done.output.split())
        assert "warning" not in linphase("plot", tmp_path / "r").output


def test_the_explorer_refuses_more_places_than_a_browser_can_show(results, monkeypatch):
    monkeypatch.setattr("linphase.pages.explorer_tables._MOST_CELLS", 8)
    done = linphase("explore", results.path, "--x", "c")
    assert done.exit_code == 2
    assert "at most 8 places over derived axes, found 3 values of c by 3 of noise" in " ".join(done.output.split())

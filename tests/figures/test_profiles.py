"""Curves along an axis: what is drawn where."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import selected
from linphase.diagram.curves import curves_of
from linphase.diagram.looks import LOOKS
from linphase.diagram.panels import find_panel, overview
from linphase.diagram.versus import predictions_of
from linphase.errors import LinphaseError
from linphase.figures.drawing import draw, draw_along
from linphase.figures.profiles import curves
from linphase.model.regime import Cuts
from tests.figures.made import AXES, GAMMA_SIGMA2, GAMMA_W, artist, artists, color_at, filled, legend_labels
from tests.figures.pictures import picture, replicated

THREE = AXES | {"gamma_w": GAMMA_W[2:5].tolist()}
TASK = {"dimension": 8, "rank": 2}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Trained networks of two widths and three replicates."""
    grid = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.5, 2.5], "replicates": 3}
    return filled(tmp_path_factory.mktemp("r") / "tiny", parse_config({"name": "tiny", "task": TASK, "grid": grid}))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """An axis of words."""
    grid = {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "dynamics.kind": ["gd", "flow"]}
    return filled(tmp_path_factory.mktemp("k") / "kinds", parse_config({"name": "kinds", "task": TASK, "grid": grid}))


def points(ax):
    """(x, y) of the points of each curve, and the ends of its bars."""
    found = []
    for container in ax.containers:
        line, _, bars = container.lines
        ends = np.array([each[:, 1] for each in bars[0].get_segments()]) if bars else None
        found.append((*line.get_data(), ends))
    return found


def names(ax):
    return [text.get_text() for text in artists(ax, "name of a line")]


def test_points_bars_and_theory_are_those_of_the_curves():
    made, theory = replicated()
    expected = curves_of(made, THREE, find_panel("test-error", Cuts(), made), predicted=theory)
    (ax,) = picture("curves").axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    lines = artists(ax, "theory")
    for i, (curve, (x, y, ends), line) in enumerate(zip(expected, points(ax), lines, strict=True)):
        np.testing.assert_allclose(x - GAMMA_SIGMA2, 0.5 * 0.12 * (i - 1))  # aside, that no interval hides another
        np.testing.assert_allclose(line.get_xdata(), GAMMA_SIGMA2)
        np.testing.assert_allclose(y, curve.mean)
        np.testing.assert_allclose(ends, np.transpose([np.maximum(curve.low, ends[:, 0]), curve.high]))
        np.testing.assert_allclose(line.get_ydata(), curve.theory)
        assert line.get_linestyle() == "--"
    assert len({to_rgba(line.get_color()) for line in lines}) == 3
    assert set(legend_labels(picture("curves"))) == {
        *(rf"$\gamma_w$ = {y:.4g}" for y in GAMMA_W[2:5]),
        *("theory", "95 % interval over 3 replicates", "not all converged"),
    }


def test_a_point_of_which_a_replicate_did_not_converge_is_hollow():
    hollow = artists(picture("curves").axes[0], "unconverged")
    (place,), *others = (each.get_xdata() for each in hollow)
    assert place == pytest.approx(GAMMA_SIGMA2[0], abs=0.1)
    assert [len(each) for each in others] == [0, 0]
    assert {each.get_markerfacecolor() for each in hollow} == {"white"}


def test_baselines_lie_across_and_are_named_at_the_frame():
    (ax,) = picture("curves").axes
    assert names(ax) == ["optimal", "lazy", "$A = 0$"]
    for name, error in (("optimal", 0.12), ("lazy", 20.0), ("$A = 0$", 60.0)):
        line = artist(ax, f"{name} line")
        assert set(line.get_ydata()) == {error}
        assert line.get_xdata()[[0, -1]].tolist() == pytest.approx(list(ax.get_xlim()))
        assert ax.get_ylim()[0] < error < ax.get_ylim()[1]
    made, _ = replicated()
    near = made.assign(lazy_test_error=59.0)
    assert names(curves(near, THREE, ["test-error"]).axes[0]) == ["optimal", "$A = 0$\nlazy"]
    without = made.assign(optimal_test_error=1e-17)  # no noise
    assert names(curves(without, THREE, ["test-error"]).axes[0]) == ["lazy", "$A = 0$"]


def test_baselines_that_an_axis_changes_are_curves_of_their_own(results, tmp_path):
    grid = {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "task.noise": [0.5, 1.0, 2.0]}
    noises = filled(tmp_path / "n", parse_config({"name": "n", "task": TASK, "grid": grid}).predicted())
    line = artist(draw(noises, "test-error").axes[0], "lazy line")
    np.testing.assert_allclose(line.get_ydata()[1:-1], noises.runs["lazy_test_error"])


def test_regimes_are_two_shares_with_their_cuts_above_a_strip_of_the_outcomes():
    made, _ = replicated()
    made = made[made["gamma_w"] == GAMMA_W[3]]
    (ax,) = picture("curves-regime").axes
    for (_, y, _), column in zip(points(ax), ("signal_active", "bulk_active"), strict=True):
        np.testing.assert_allclose(y, made.groupby("gamma_sigma2")[column].mean())
    assert names(ax) == ["cuts"]
    strip = artist(ax, "outcomes").get_coordinates()
    np.testing.assert_allclose(strip[0, :-1, 0] + np.diff(strip[0, :, 0]) / 2, GAMMA_SIGMA2)
    assert strip[..., 1].max() < 0
    for i, x in enumerate(GAMMA_SIGMA2):
        signal, bulk = made[made["gamma_sigma2"] == x][["signal_active", "bulk_active"]].mean()
        regime = "lazy" if signal < 0.5 else "balanced" if bulk >= 0.5 else "mixed"
        assert color_at(ax, 0, i) == pytest.approx(to_rgba(LOOKS[regime].color)[:3], abs=0.01)
    cut = curves(made, AXES | {"gamma_w": [GAMMA_W[3]]}, ["regime"], cuts=Cuts(signal=0.25, bulk=0.75))
    assert names(cut.axes[0]) == ["signal cut", "bulk cut"]
    with pytest.raises(LinphaseError, match="panel regime: is drawn along an axis for one value of every other axis"):
        curves(replicated()[0], THREE, ["regime"])


def test_without_theory_thin_lines_join_the_points_but_never_words(kinds):
    made, _ = replicated()
    assert len(artists(curves(made, THREE, ["test-error"]).axes[0], "between")) == 3
    ax = draw(kinds, "imbalance").axes[0]  # belongs to the weights: theory has none
    assert not artists(ax, "between")
    assert not artists(ax, "theory")
    assert [text.get_text() for text in ax.get_xticklabels()] == ["flow", "gd"]
    told = artist(draw(kinds, "test-error").axes[0], "theory")
    assert (told.get_linestyle(), told.get_marker()) == ("None", "_")


def test_where_one_axis_alone_has_several_values_panels_are_curves_along_it(results):
    line = selected(results, {"gamma_w": 2.5})
    (ax,) = draw(line, "test-error").axes
    ((x, y, _),) = points(ax)
    np.testing.assert_allclose(x, [-2, -1, 0])
    np.testing.assert_allclose(y, line.runs.groupby("gamma_sigma2")["min_test_error"].mean())
    predicted = predictions_of(line).groupby("gamma_sigma2")["min_test_error"].mean()
    np.testing.assert_allclose(artist(ax, "theory").get_ydata(), predicted)
    assert draw(line, "test-error").get_suptitle().splitlines()[0] == r"$\gamma_w$ = 2.5"
    turned = replace(line, axes=dict(reversed(line.axes.items())))  # as --x of an axis of one value has it
    assert draw(turned, "test-error").axes[0].get_xlabel() == ax.get_xlabel()
    every = draw(line, "all")
    assert len(every.axes) == len(overview(line.runs))
    assert [len(points(pane)) for pane in every.axes] == [2, *[1] * (len(every.axes) - 1)]
    several = draw_along(results, "all", along="gamma_sigma2")
    assert {len(points(pane)) for pane in several.axes} == {2}
    assert draw(results, "test-error").axes[0].get_ylabel() == r"$\gamma_w = \log_d\,\mathrm{width}$"  # a diagram


def test_results_draw_curves_into_axes_of_ones_own_and_over_a_derived_axis(results):
    ax = Figure().subplots()
    assert results.plot("test-error", along="c", where={"gamma_w": 2.5}, ax=ax) is ax.figure
    ((x, _, _),) = points(ax)
    np.testing.assert_allclose(x, sorted(set(results.runs[results.runs["gamma_w"] == 2.5]["threshold"])))
    assert ax.get_xscale() == "log"
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"measured", "theory", "95 % interval over 3 replicates"} <= set(shown)
    by_width = results.plot("test-error-spread", along="gamma_w", y="gamma_sigma2")
    assert [len(x) for x, _, _ in points(by_width.axes[0])] == [2, 2, 2]
    assert by_width.axes[0].get_ylabel().endswith("standard deviation / |mean|")
    with pytest.raises(LinphaseError, match=r"along: must be an axis of the sweep.*did you mean gamma_w"):
        results.plot("test-error", along="gama_w")
    with pytest.raises(LinphaseError, match="against: has no meaning with along"):
        results.plot("test-error", along="gamma_w", against="theory")


def test_a_curve_of_theorys_own_runs_is_dashed():
    _, theory = replicated()
    figure = curves(theory.assign(kind="modes"), THREE, ["test-error"])
    assert {line.get_linestyle() for line in artists(figure.axes[0], "between")} == {"--"}
    one = theory[theory["gamma_w"] == GAMMA_W[3]].assign(kind="modes")
    assert "theory" in legend_labels(curves(one, AXES | {"gamma_w": [GAMMA_W[3]]}, ["test-error"]))


@pytest.mark.parametrize(("options", "file"), [
    (["--along", "gamma_sigma2"], "phase_diagram-along-gamma_sigma2-where-gamma_w=2.5.png"),
    (["--panel", "test-error"], "test-error-where-gamma_w=2.5.png"),
    (["--panel", "stable-rank-spread", "--along", "c"], "stable-rank-spread-along-c-where-gamma_w=2.5.png"),
])  # fmt: skip
def test_the_command_names_its_file_by_what_is_drawn(results, options, file):
    arguments = ["plot", str(results.path), *options, "--where", "gamma_w=2.5"]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == f"Figure: {results.path / file}"
    assert (results.path / file).stat().st_size > 10_000


def shown_widths(page):
    (text,) = re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)["y"]["positions"]


@pytest.mark.parametrize("command", ["report", "explore", "export", "classify", "boundary"])
def test_every_command_that_reads_runs_takes_a_part(results, tmp_path, command):
    given = {"report": ["--panel", "regime", "-o", "r.md"], "explore": ["-o", "e.html"], "export": ["-o", "-"]}
    options = [str(tmp_path / each) if "." in each else each for each in given.get(command, [])]
    done = CliRunner().invoke(main, [command, str(results.path), *options, "--where", "width=181"])
    assert done.exit_code == 0, done.output
    told = {
        "report": lambda: (tmp_path / "r.md").read_text().splitlines()[2].startswith("9 of 9 runs are done, 0 are mis"),
        "explore": lambda: shown_widths((tmp_path / "e.html").read_text()) == [2.5],
        "export": lambda: len(done.output.splitlines()) == 10,
        "classify": lambda: "9 runs by regime and status" in done.output,
        "boundary": lambda: {row.split("\t")[3] for row in done.output.splitlines() if "\t2.500\t" in row} == {"181"},
    }
    assert told[command]()
    wrong = CliRunner().invoke(main, [command, str(results.path), *options, "--where", "width=9999"])
    assert wrong.exit_code == 2
    assert wrong.output.startswith("Error: where: width must be one of 22, 181, found 9999. A number from ")


def test_samples_in_the_legend_are_each_told_once(results):
    labels = legend_labels(draw_along(results, "all", along="gamma_sigma2"))
    assert len(labels) == len(set(labels))
    assert len(labels) >= 4

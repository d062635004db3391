"""Figures from Python: drawn into Axes of one's own, and shown by a notebook."""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image

import linphase
from linphase.cli import main
from linphase.config.config import parse_config
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.errors import LinphaseError
from linphase.figures import style
from linphase.figures.drawing import draw
from linphase.model.draws import TaskConfig
from linphase.model.regime import Cuts
from tests.figures.made import TINY, artist, artists, filled, legend_labels


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("results") / "tiny", parse_config(TINY).predicted())


@pytest.fixture(scope="module")
def faceted(tmp_path_factory):
    ranks = TINY | {"grid": TINY["grid"] | {"task.rank": [1, 2]}}
    return filled(tmp_path_factory.mktemp("faceted") / "tiny", parse_config(ranks).predicted())


@pytest.fixture(scope="module")
def runs():
    """A trained run, and theory from the same start."""
    task = linphase.draw_task(TaskConfig(dimension=8, rank=2), seed=0, replicate=0)
    start = linphase.Initialization.at(task.scale, gamma_sigma2=-2.0, gamma_w=2.0)
    weights = linphase.gaussian_start(start, task.shape)
    return linphase.train(task, weights), linphase.train(task, weights, SelfConsistent())


@pytest.fixture
def ax():
    return Figure().subplots()


def cells(ax, gid):
    return np.ma.filled(np.ma.asarray(artist(ax, gid).get_array()), np.nan)


@pytest.mark.parametrize(("panel", "gid"), [("regime", "outcomes"), ("test-error", "numbers")])
def test_axes_of_ones_own_get_the_cells_scale_and_lines_that_the_command_line_draws(
    results, panel, gid, ax, monkeypatch, tmp_path
):
    written = []
    monkeypatch.setattr(style, "save", lambda figure, *_, **__: written.append(figure))
    options = [str(results.path), "--panel", panel, "--criterion", "speedup", "-o", str(tmp_path / "a.png")]
    done = CliRunner().invoke(main, ["plot", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    commands = written[0].axes[0]
    assert results.plot(panel, criterion="speedup", ax=ax) is ax.figure
    np.testing.assert_array_equal(cells(ax, gid), cells(commands, gid))
    mine, its = artist(ax, gid), artist(commands, gid)
    assert (mine.norm.vmin, mine.norm.vmax) == (its.norm.vmin, its.norm.vmax)
    assert ax.get_xlim() == commands.get_xlim()
    assert ax.get_xlabel() == commands.get_xlabel()
    assert [line.get_gid() for line in ax.lines] == [line.get_gid() for line in commands.lines]
    for line, other in zip(ax.lines, commands.lines, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


def test_a_legend_over_the_axes_tells_what_the_legends_of_a_figure_do(results, ax):
    results.plot(ax=ax)
    legend = ax.get_legend()
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(legend_labels(draw(results, "regime")))
    results.plot(criterion="balance", ax=ax)
    assert "balance" in ax.get_legend().get_title().get_text()
    results.plot("boundaries", ax=ax)
    assert artists(ax, "mixed | lazy, measured")


def test_panels_stand_side_by_side_in_a_figure_of_pyplot_and_of_its_parts(results):
    figure, (left, right) = plt.subplots(1, 2)
    assert results.plot(ax=left) is results.plot("test-error", ax=right) is figure
    assert len(figure.axes) == 3  # and a colour bar
    plt.close(figure)
    whole = Figure()
    part = whole.subfigures(1, 2)[1].subplots()
    assert results.plot("test-error", ax=part) is whole


def test_one_facet_is_drawn_into_axes_and_named_in_the_title(faceted, ax):
    with pytest.raises(LinphaseError) as refused:
        faceted.plot(ax=ax)
    assert str(refused.value) == (
        'ax: holds one facet, found 2, of rank. Choose one, such as where={"rank": 1}, or leave ax out'
    )
    faceted.plot(where={"rank": 2}, ax=ax)
    assert "$k = 2$" in ax.get_legend().get_title().get_text()
    kept = faceted.runs[faceted.runs["rank"] == 2]
    assert np.isfinite(cells(ax, "outcomes")).sum() == len(kept.groupby(["gamma_sigma2", "gamma_w"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"panel": "evidence", "ax": True}, "ax: evidence is a figure of several Axes, and cannot be drawn into one. "
         "Leave ax out, or choose a panel, such as regime, or boundaries"),
        ({"against": "theory", "ax": True}, "ax: a comparison is a figure of several Axes, and cannot be drawn into "
         "one. Leave ax out, or choose a panel, such as regime, or boundaries"),
        ({"ax": "left"}, "ax: a matplotlib Axes of two dimensions is required, as plt.subplots gives, found 'left'"),
        ({"criterion": "speed"}, "criterion: must be one of threshold, balance, speedup, found 'speed'"),
        ({"bulk_cut": 2}, "bulk_cut: must be a share from 0 to 1, found 2"),
        ({"signal_cut": "a"}, "signal_cut: must be a share from 0 to 1, found 'a'"),
        ({"where": 3}, 'where: values by the key of an axis are required, such as {"rank": 4}, found 3'),
        ({"against": 3}, 'against: "theory" or other Results are required, found 3'),
        ({"panel": "trajectories", "along": "gamma_w"}, "panel trajectories: is a figure of its own, so no curve "
         "can be drawn of it. Choose another one"),
        ({"along": "gamma_w", "x": "c"}, "x: has no meaning with along. Leave one of them out"),
        ({"style": "x"}, "style must be one of paper, talk, or a linphase.Style, found 'x'"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_one_message_that_names_it(results, ax, arguments, message):
    with pytest.raises(LinphaseError) as refused:
        results.plot(**(arguments | ({"ax": ax} if arguments.get("ax") is True else {})))
    assert str(refused.value) == message


def test_an_unknown_panel_is_refused_with_all_that_there_are(results):
    meant = r"panel 'error': did you mean test-error\? It must be one of regime, .* or all$"
    with pytest.raises(LinphaseError, match=meant):
        results.plot("error")


def test_results_are_drawn_over_other_axes_and_of_one_replicate(results):
    one = results.plot("test-error", x="gamma_w", y="gamma_sigma2", where={"replicate": 1}).axes[0]
    first = results.runs[results.runs["replicate"] == 1].set_index(["gamma_sigma2", "gamma_w"])["min_test_error"]
    np.testing.assert_allclose(cells(one, "numbers"), first.unstack().to_numpy())
    with pytest.raises(LinphaseError, match="x: must be an axis of the sweep"):
        results.plot(x="foo")


def test_every_figure_shows_itself_in_a_notebook(results, runs):
    for figure in (results.plot(), results.plot("all"), draw(results, "collapse", Cuts()), runs[0].plot()):
        picture = figure._repr_png_()
        with Image.open(BytesIO(picture)) as shown:
            width, height = figure.get_size_inches() * style.NOTEBOOK_DPI
            assert shown.size == (int(width), int(height))


def test_a_run_draws_what_it_was_over_time(runs):
    run, theory = runs
    errors, modes, escaped = run.plot().axes
    assert [line.get_gid() for line in errors.lines][:2] == ["train", "test"]
    seen = run.trajectory.time > 0
    np.testing.assert_array_equal(artist(errors, "test").get_ydata(), run.trajectory.test_error[seen])
    np.testing.assert_array_equal(artist(modes, "mode 1").get_ydata(), run.trajectory.singular_values[seen, 0])
    assert artist(modes, "threshold").get_ydata()[0] == run.initialization.threshold
    assert "signal (2)" in [text.get_text() for text in modes.get_legend().get_texts()]
    assert artists(escaped, "escaped")
    beside = run.plot(theory=theory.trajectory, title="both")
    assert artists(beside.axes[0], "test, theory")
    assert beside.get_suptitle() == "both"


def test_one_part_of_a_run_is_drawn_into_axes_of_ones_own(runs, ax):
    run, theory = runs
    assert run.plot("modes", ax=ax, theory=theory.trajectory, title="here") is ax.figure
    np.testing.assert_array_equal(
        artist(ax, "mode 2").get_ydata(), run.trajectory.singular_values[run.trajectory.time > 0, 1]
    )
    assert ax.get_legend().get_title().get_text() == "here"
    assert len(run.plot("escaped").axes) == 1
    for arguments, message in (
        ({"ax": ax}, "ax: holds one part of a run's figure, found none chosen. Choose errors, modes or escaped, such "
         'as run.plot("errors", ax=ax), or leave ax out'),
        ({"part": "rank"}, "part: must be one of errors, modes, escaped, found 'rank'"),
        ({"part": "errors", "ax": 3}, "ax: a matplotlib Axes of two dimensions is required, as plt.subplots gives, "
         "found 3"),
        ({"theory": 3}, "theory: a Trajectory is required, as run.trajectory is, found 3"),
    ):  # fmt: skip
        with pytest.raises(LinphaseError) as refused:
            run.plot(**arguments)
        assert str(refused.value) == message

"""`linphase plot --panel three-regimes`."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.looks import BULK, SIGNAL, TEST, THRESHOLD, TRAIN
from linphase.diagram.replicate_means import common_times, mean_curves
from linphase.diagram.sampling import cell_of_each_regime
from linphase.errors import LinphaseError
from linphase.figures.fitting import Style
from linphase.figures.run_curves import quartiles
from linphase.runs.beside import theory_beside
from linphase.store.rows import task_of
from tests.figures.made import artist, artists, filled, legend_labels

CONFIG = {
    "name": "tiny",
    "task": {"dimension": 12, "rank": 2},
    "grid": {"gamma_sigma2": [-2.0, -1.0, 0.5], "gamma_w": [0.0, 1.5], "replicates": 3},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("results") / "tiny", parse_config(CONFIG))


@pytest.fixture(scope="module")
def figure(results):
    return results.plot("three-regimes")


def columns(figure):
    """The axes of errors and of singular values, by the name of their column."""
    above, below = figure.axes[:3], figure.axes[3:6]
    return {ax.get_title().splitlines()[0]: (ax, under) for ax, under in zip(above, below, strict=True)}


def test_every_curve_is_the_mean_over_the_replicates_in_a_band_that_is_its_interval(results, figure):
    for regime, cell in cell_of_each_regime(results.runs, results.axes).items():
        errors, modes = columns(figure)[rf"$\mathbf{{{regime}}}$"]
        runs = [results.trajectory(run_id) for run_id in cell["run_id"]]
        assert len(runs) == 3
        expected = mean_curves(runs, common_times(runs))
        for gid, mean, ax in (("train", expected.train, errors), ("test", expected.test, errors)):
            np.testing.assert_allclose(artist(ax, gid).get_data(), [expected.time, mean.value])
            (band,) = artist(ax, f"{gid}, interval").get_paths()
            assert band.vertices[:, 1].max() == pytest.approx(mean.high.max())
            assert band.vertices[:, 1].min() == pytest.approx(mean.low.min())
        drawn = {str(line.get_gid()) for line in modes.lines}
        assert drawn >= {"mode 1", "mode 2", *(f"mode {i + 1}" for i in quartiles(2, 12))}
        assert "mode 12" not in drawn  # the smallest of the bulk
        np.testing.assert_allclose(artist(modes, "mode 2").get_ydata(), expected.modes.value[:, 1])
        assert artist(modes, "threshold").get_ydata()[0] == cell["threshold"].iloc[0]
        gamma_sigma2, width = cell[["gamma_sigma2", "width"]].iloc[0]
        told = errors.get_title().splitlines()[1].replace("\N{MINUS SIGN}", "-")
        assert told == rf"$\gamma_{{\sigma^2}}$ = {gamma_sigma2:g}, width {width:g}"


def test_theory_is_dashed_and_the_mean_over_the_same_replicates(results, figure):
    cell = cell_of_each_regime(results.runs, results.axes)["balanced"]
    runs = [results.trajectory(run_id) for run_id in cell["run_id"]]
    theory = [
        theory_beside(task_of(dict(row)), row["width"], row["threshold"], run)
        for (_, row), run in zip(cell.iterrows(), runs, strict=True)
    ]
    errors, modes = columns(figure)[r"$\mathbf{balanced}$"]
    expected = mean_curves(theory, common_times(runs))
    for ax, gid, values in ((errors, "test", expected.test.value), (modes, "mode 1", expected.modes.value[:, 0])):
        line = artist(ax, f"{gid}, theory")
        assert line.is_dashed()
        assert not artist(ax, gid).is_dashed()
        np.testing.assert_allclose(line.get_ydata(), values)
    told = ["theory from $A = 0$, mean", "geometric mean of 3 runs", "its 95 % interval"]
    assert set(legend_labels(figure)) >= set(told)


def test_colours_are_those_of_every_other_figure_and_a_row_has_the_same_limits(figure):
    errors, modes = columns(figure)[r"$\mathbf{mixed}$"]
    named = {"mode 1": SIGNAL, "mode 3": BULK, "threshold": THRESHOLD}
    assert {gid: artist(modes, gid).get_color() for gid in named} == named
    assert [artist(errors, gid).get_color() for gid in ("train", "test")] == [TRAIN, TEST]
    for row in (figure.axes[:3], figure.axes[3:6]):
        assert len({ax.get_ylim() for ax in row}) == 1
        assert {ax.get_yscale() for ax in row} == {"log"}
    assert len({ax.get_xlim() for ax in figure.axes[:3]}) == 3  # each has its own time


def test_no_two_numbers_at_the_times_meet(figure):
    figure.draw_without_rendering()
    for ax in figure.axes[3:6]:
        low, high = ax.get_xlim()
        labels = [text for text in ax.get_xticklabels() if low <= text.get_position()[0] <= high and text.get_text()]
        boxes = [text.get_window_extent() for text in labels]
        assert len(boxes) >= 2
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_a_regime_that_the_sweep_lacks_is_an_empty_column_that_says_so_and_without_replicates_there_is_no_band(results):
    one = results.runs[(results.runs["replicate"] == 0) & (results.runs["regime"] != "mixed")]
    figure = replace(results, runs=one).plot("three-regimes")
    errors, modes = columns(figure)[r"$\mathbf{mixed}$"]
    assert [text.get_text() for text in errors.texts] == ["no cell here\nis mixed"]
    assert not errors.lines
    assert not modes.lines
    lazy, _ = columns(figure)[r"$\mathbf{lazy}$"]
    assert artist(lazy, "train")
    assert not artists(lazy, "train, interval")
    assert set(legend_labels(figure)) >= {"one run each", "no interval: needs 3 runs"}


@pytest.fixture(scope="module")
def faceted(tmp_path_factory):
    told = CONFIG | {"grid": {"gamma_sigma2": [0.0, 0.5], "gamma_w": [0.0, 0.1], "task.noise": [0.5, 1.0]}}
    return filled(tmp_path_factory.mktemp("results") / "faceted", parse_config(told)).path


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "runs over time are drawn of one facet, found 2. Choose one, such as linphase plot --where noise=0.5"),
        (["--where", "noise=1"], "three-regimes: a cell that is lazy, mixed or balanced is required, found none"),
    ],
)
def test_several_facets_and_no_regime_at_all_are_one_message(faceted, where, message):
    done = CliRunner().invoke(main, ["plot", str(faceted), "--panel", "three-regimes", *where], catch_exceptions=False)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert not list(faceted.glob("*.png"))


def test_runs_of_theory_are_dashed_and_called_theory(tmp_path):
    predicted = filled(tmp_path / "theory", parse_config(CONFIG).predicted())
    errors, _ = columns(predicted.plot("three-regimes"))[r"$\mathbf{balanced}$"]
    assert artist(errors, "train").is_dashed()
    assert not artists(errors, "train, theory")
    assert "theory, geometric mean of 3 runs" in legend_labels(predicted.plot("three-regimes"))
    one = predicted.plot("trajectories", where={"gamma_sigma2": -2.0, "gamma_w": 1.5})
    assert artist(one.axes[-1], "train").is_dashed()
    assert "measured" not in legend_labels(one)
    assert "theory from $A = 0$" in legend_labels(one)


def test_a_figure_narrower_than_its_columns_need_is_refused(results):
    with pytest.raises(LinphaseError, match=r"figure_width: at least 3.2 inches are required for this figure, found 2"):
        results.plot("three-regimes", style=Style(figure_width=2))
    with pytest.raises(LinphaseError, match="three-regimes has none of theory's lines to leave out"):
        results.plot("three-regimes", style=Style(lines=False))

"""One way to every figure: its name."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.config.config import parse_config
from linphase.diagram.axes import selected
from linphase.diagram.panels import BASELINES
from linphase.errors import LinphaseError
from linphase.figures import drawing
from linphase.figures.drawing import FIGURES, draw, figure
from linphase.model.regime import Cuts
from linphase.model.registry import forget
from linphase.store.columns import Column
from tests.figures.made import TINY, artist, artists, filled, marks, unfinished


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("results") / "tiny", parse_config(TINY).predicted())


@pytest.fixture(scope="module", autouse=True)
def _unfinished():
    with unfinished():
        yield


def test_a_panel_a_figure_and_a_panel_that_only_the_files_tell_of_are_found_by_name(results):
    assert draw(results, "final-time").axes[0].get_title() == "final time"
    assert artists(draw(results, "boundaries").axes[0], "mixed | lazy, measured")
    told = Column("spent", "float64", "s", "seconds spent", None, "spent", "seconds", "", "log", "magma")
    more = replace(results, runs=results.runs.assign(spent=1.0), columns=results.columns | {"spent": told})
    assert draw(more, "spent").axes[0].get_title() == "seconds"


def test_the_boundaries_of_the_path_stand_on_the_panels_of_their_levels_and_those_of_the_end_on_the_regimes(results):
    names = ("mixed | lazy", "mixed | balanced", "learning order = 2", "benefit = 1/2")
    expected = {"boundaries": names[:2], "learning-order": names[2:3], "benefit": names[3:], "regime": ()}
    for panel, marked in expected.items():
        ax = draw(results, panel).axes[0]
        assert tuple(name for name in names if artists(ax, f"{name}, measured")) == marked, panel


@pytest.mark.parametrize("name", ["evidence", "collapse", "all"])
def test_the_figures_that_are_more_than_a_panel_are_drawn_of_results(results, name):
    assert len(draw(results, name).axes) > 2


def test_a_run_over_time_is_chosen_by_its_place(results):
    chosen = draw(selected(results, {"gamma_sigma2": -2, "gamma_w": 1.5}), "trajectories")
    assert chosen.get_suptitle().splitlines() == [
        r"$\gamma_{\sigma^2}$ = " + "\N{MINUS SIGN}2" + r", $\gamma_w$ = 1.5, width 22", "balanced, replicate 0",
    ]  # fmt: skip
    second = draw(selected(results, {"gamma_sigma2": -2, "gamma_w": 1.5, "replicate": 1}), "trajectories")
    assert not np.array_equal(*(artist(each.axes[-1], "test").get_ydata() for each in (chosen, second)))


def test_baselines_stand_beside_every_smallest_test_error(results):
    _, bar = draw(results, "test-error").axes
    marked = marks(bar)
    assert set(marked) == {"optimal", "lazy", "$A = 0$"}
    for name, column in {**BASELINES, "$A = 0$": "zero_test_error"}.items():
        assert marked[name] == pytest.approx(results.runs[column].mean())
    assert bar.get_ylim()[0] <= marked["optimal"]  # in view, though no run is as good
    older = replace(results, runs=results.runs.drop(columns=["optimal_test_error", "lazy_test_error"]))
    assert set(marks(draw(older, "test-error").axes[1])) == {"$A = 0$"}

    cell = selected(results, {"gamma_sigma2": -2, "gamma_w": 1.5})
    *_, errors = draw(cell, "trajectories").axes
    for name, column in BASELINES.items():
        (line,) = artists(errors, f"{name} error")
        assert line.get_ydata()[0] == cell.runs[column].iloc[0]


def test_theory_and_other_results_stand_beside_each_other_replicate_by_replicate(results, monkeypatch):
    drawn = []
    monkeypatch.setattr(drawing.diagrams, "against", lambda *given, **options: drawn.append((given, options)))
    first = replace(results, runs=results.runs[results.runs["replicate"] == 0])
    draw(first, "test-error", Cuts(bulk=0.3), against="theory")
    draw(first, "status", against=results)
    (_, predicted, _, name), options = drawn[0]
    assert (name, options["names"], options["cuts"]) == ("test-error", ("measured", "predicted"), Cuts(bulk=0.3))
    assert set(predicted["replicate"]) == {0}
    assert sorted(predicted["min_test_error"]) == sorted(first.runs["min_test_error"])
    assert set(drawn[1][0][1]["replicate"]) == {0}
    assert drawn[1][1]["names"] == ("tiny", "other tiny")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loss", "panel must be one of regime, status, .*, boundaries, .*, trajectories, three-regimes or all, found"),
        ("collapse", "panel collapse: cannot be set against theory, it is a figure of its own. Choose one of regime, "),
        ("imbalance", "panel imbalance: cannot be set against theory, it belongs to the weights of the start. Choose"),
    ],
)
def test_what_cannot_be_set_against_theory_is_told(results, name, message):
    with pytest.raises(LinphaseError, match=message):
        draw(results, name, against="theory")


def test_a_figure_is_one_function(results):
    @figure("mine")
    def mine(results, cuts, *, style="paper"):
        return results.path.name, cuts, style

    try:
        assert draw(results, "mine", style="talk") == ("tiny", Cuts(), "talk")
    finally:
        forget(__name__)
    assert "mine" not in FIGURES

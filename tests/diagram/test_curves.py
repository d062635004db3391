"""Curves along an axis as numbers, and how far replicates lie apart."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from linphase.config.config import parse_config
from linphase.diagram.axes import Window, selected, span
from linphase.diagram.cells import cells_of
from linphase.diagram.curves import MOST, curves_of
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import find_panel, known_panels
from linphase.diagram.versus import predictions_of
from linphase.errors import LinphaseError
from linphase.figures.terminal import terminal_diagram
from linphase.model.regime import Cuts
from linphase.store.results import load
from tests.figures.made import filled, run, table

X, Y, REPLICATES = [-2.0, -1.5, -1.0, -0.5], [1.12, 1.68], 4
AXES = {"gamma_sigma2": X, "gamma_w": Y}


@pytest.fixture(scope="module")
def runs():
    """Replicates whose numbers and regimes differ."""
    random = np.random.default_rng(0)
    return table(
        *(
            run(x, y, replicate=i, min_test_error=random.lognormal(-1, 0.5), signal_active=random.choice([0.0, 1.0]),
                bulk_active=random.choice([0.0, 0.7, 1.0]), benefit=random.normal(), optimal_test_error=0.05 + 0.01 * i,
                distance_to_self_consistent=random.lognormal(-4, 1), run_id=f"{x} {y} {i}")
            for x in X for y in Y for i in range(REPLICATES)
        )
    )  # fmt: skip


def shown(name, runs):
    return find_panel(name, Cuts(), runs)


def curves(name, runs, axes=AXES, **more):
    return curves_of(runs, axes, shown(name, runs), **more)


def test_a_curve_is_the_mean_with_students_interval_at_every_place(runs):
    for curve, y in zip(curves("test-error", runs), Y, strict=True):
        grouped = runs[runs["gamma_w"] == y].groupby("gamma_sigma2")["min_test_error"]
        np.testing.assert_array_equal(curve.x, X)
        np.testing.assert_allclose(curve.mean, grouped.mean())
        # Of the logarithm of the mean, as the panel is logarithmic: its deviation is sem/mean to first order.
        ends = stats.t.interval(0.95, REPLICATES - 1, np.log(grouped.mean()), grouped.sem() / grouped.mean())
        np.testing.assert_allclose((curve.low, curve.high), np.exp(ends))
        assert set(curve.replicates) == {REPLICATES}
        assert curve.held == (("gamma_w", y),)
        np.testing.assert_allclose(curve.baselines["optimal"], 0.065)


def test_the_first_axis_lies_along_and_what_is_held_once_is_no_name(runs):
    over_width = span(runs, AXES | {"task.rank": [4]}, x="gamma_w")
    first = curves("test-error", runs, over_width)[0]
    np.testing.assert_array_equal(first.x, Y)
    assert first.held == (("gamma_sigma2", -2.0),)
    two = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    held = [curve.held for curve in curves("test-error", two, AXES | {"task.rank": [2, 4]})]
    assert held == [(("rank", rank), ("gamma_w", y)) for rank in (2, 4) for y in Y]


def test_what_did_not_end_well_is_no_number_and_two_replicates_have_no_interval(runs):
    changed = runs.copy()
    here = (changed["gamma_sigma2"] == -1.5) & (changed["gamma_w"] == 1.12)
    changed.loc[here & (changed["replicate"] < 2), "status"] = "diverged"
    changed.loc[(changed["gamma_sigma2"] == -1.0) & (changed["replicate"] == 0), "status"] = "step_limit"
    changed = changed[changed["gamma_sigma2"] != -0.5]
    curve = curves("test-error", changed)[0]
    kept = runs[here & (runs["replicate"] >= 2)]["min_test_error"]
    assert curve.mean[1] == pytest.approx(kept.mean())
    assert curve.replicates.tolist() == [4, 2, 4, 0]
    assert np.isnan(curve.low).tolist() == np.isnan(curve.high).tolist() == [False, True, False, True]
    assert np.isnan(curve.mean).tolist() == [False, False, False, True]
    assert curve.unconverged.tolist() == [False, False, True, False]


def test_an_interval_of_shares_ends_where_shares_do(runs):
    for curve in curves("bulk-active", runs):
        assert np.nanmin(curve.low) >= 0
        assert np.nanmax(curve.high) <= 1
        assert (curve.low <= curve.mean).all()


def test_of_a_panel_of_logarithms_the_mean_and_its_ends_are_taken_in_logarithms(runs):
    curve = curves("distance", runs)[0]
    grouped = runs[runs["gamma_w"] == 1.12].groupby("gamma_sigma2")["distance_to_self_consistent"]
    np.testing.assert_allclose(curve.mean, np.log(grouped.mean()))
    high = grouped.mean() + stats.t.ppf(0.975, REPLICATES - 1) * grouped.sem()
    np.testing.assert_allclose(curve.high, np.log(high))


def test_theory_is_what_it_predicts_for_the_cells_at_every_value_of_an_axis_that_it_does_not_know(runs):
    predicted = runs.assign(min_test_error=runs["min_test_error"] ** 2)
    for curve, (_, part) in zip(
        curves("test-error", runs, predicted=predicted), predicted.groupby("gamma_w"), strict=True
    ):
        np.testing.assert_allclose(curve.theory, part.groupby("gamma_sigma2")["min_test_error"].mean())
    kinds = pd.concat([runs.assign(kind=kind) for kind in ("flow", "gd")], ignore_index=True)
    axes = span(kinds, AXES | {"dynamics.kind": ["flow", "gd"]}, x="dynamics.kind")
    told = curves("test-error", kinds, axes, predicted=predicted.assign(kind="modes"))
    assert all(curve.theory[0] == curve.theory[1] for curve in told)
    assert np.isnan(curves("imbalance", runs, predicted=predicted)[0].theory).all()  # it has none


def test_too_many_curves_and_an_axis_of_one_value_are_refused_with_the_remedy(runs):
    many = {"gamma_sigma2": X, "gamma_w": np.linspace(0, 2.8, MOST + 1).tolist()}
    with pytest.raises(LinphaseError, match=r"at most 10 curves are drawn, found 11, of gamma_w. Choose some values, "):
        curves("test-error", runs, many)
    with pytest.raises(LinphaseError, match=r"along: an axis with several values is required, found gamma_w = 1\.12 "):
        curves("test-error", runs, {"gamma_w": [1.12], "gamma_sigma2": X})
    with pytest.raises(LinphaseError, match="panel test-error: a number in some run is required to draw a curve along"):
        curves("test-error", runs.assign(status="diverged"))


# --- Spread ----------------------------------------------------------------------------------------------------------


def spread(name, runs):
    window, panel = Window.of(AXES), shown(f"{name}-spread", runs)
    return panel, cells_of(runs, window, panel, Cuts())


@pytest.mark.parametrize(("name", "what", "of"), [
    ("test-error", "relative spread", lambda cell: cell["min_test_error"].std() / abs(cell["min_test_error"].mean())),
    ("benefit", "spread", lambda cell: cell["benefit"].std()),
    ("bulk-active", "spread", lambda cell: cell["bulk_active"].std()),
    ("distance", "spread", lambda cell: np.log(cell["distance_to_self_consistent"]).std()),
    ("regime", "replicates unlike their majority",
     lambda cell: 1 - max(Counter(outcomes(cell)).values()) / len(cell)),
])  # fmt: skip
def test_the_spread_of_a_panel_is_that_of_the_replicates_of_each_cell(runs, name, what, of):
    panel, cells = spread(name, runs)
    expected = np.array([[of(runs[(runs["gamma_w"] == y) & (runs["gamma_sigma2"] == x)]) for x in X] for y in Y])
    np.testing.assert_allclose(cells.numbers, expected)
    assert panel.title.startswith(f"{what}")
    assert not cells.outcomes


def test_a_cell_of_fewer_than_two_replicates_has_no_spread(runs):
    lone = runs[(runs["gamma_sigma2"] != -2.0) | (runs["replicate"] == 0)]
    for name in ("test-error", "regime"):
        panel, cells = spread(name, lone)
        assert cells.outcomes == dict.fromkeys([(0, 0), (1, 0)], ("undefined",))
        assert panel.null == "fewer than two replicates"
    alike = lone.assign(min_test_error=0.3)
    np.testing.assert_array_equal(spread("test-error", alike)[1].numbers[:, 1:], 0.0)
    assert "? fewer than two replicates (2)" in terminal_diagram(lone, AXES, "test-error-spread")
    with pytest.raises(LinphaseError, match="two replicates or more are required, found one"):
        spread("test-error", runs[runs["replicate"] == 0])


def test_every_panel_has_a_spread_and_a_wrong_name_has_none(runs):
    for name in known_panels():
        found = shown(f"{name}-spread", runs.assign(kind="flow"))
        assert (found.name, found.levels, found.marks) == (f"{name}-spread", (), ())
        assert found.title.endswith(shown(name, runs.assign(kind="flow")).title.split("\n")[-1])
    with pytest.raises(LinphaseError, match="did you mean test-error"):
        shown("test-eror-spread", runs)


# --- Parts of results ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    grid = {"gamma_sigma2": [-2.0, -1.0], "gamma_w": [1.5, 2.5], "task.rank": [1, 2], "replicates": 2}
    config = parse_config({"name": "part", "task": {"dimension": 8}, "grid": grid})
    path = tmp_path_factory.mktemp("part") / "r"
    filled(path, config, keep=lambda spec: spec.replicate == 0 or spec.task.rank == 1)
    return load(path)


def test_a_part_expects_its_own_runs_only(results):
    assert (len(results.expected()), len(results.missing())) == (16, 4)
    part = selected(results, {"rank": 1, "width": 22})
    assert (len(part.runs), len(part.expected()), len(part.missing())) == (4, 4, 0)
    assert part.axes == {"gamma_sigma2": [-2.0, -1.0], "gamma_w": [1.5], "task.rank": [1]}
    assert len(selected(results, {"task.rank": 2}).missing()) == 4
    assert len(selected(results, {"task.rank": 2, "replicate": 0}).missing()) == 0
    assert selected(results, {}) is results


def test_theory_is_computed_for_the_cells_of_the_part_only(results, monkeypatch):
    part = selected(results, {"rank": 2, "gamma_w": 1.5})
    predicted = predictions_of(part)
    assert sorted(map(tuple, predicted[["gamma_sigma2", "rank", "replicate"]].to_numpy())) == [
        (x, 2, i) for x in (-2.0, -1.0) for i in (0, 1)
    ]
    curve = curves_of(part.runs, span(part.runs, part.axes), shown("test-error", part.runs), predicted=predicted)[0]
    np.testing.assert_allclose(curve.theory, predicted.groupby("gamma_sigma2")["min_test_error"].mean())


def test_a_refined_sweep_is_predicted_where_it_was_run(tmp_path):
    grid = {name: {"start": a, "stop": b, "num": 3} for name, a, b in (("gamma_sigma2", -2.5, 0), ("gamma_w", 1, 2.5))}
    told = {"name": "refined", "task": {"dimension": 16, "rank": 2}, "grid": grid, "refine": {"levels": 1}}
    coarse = filled(tmp_path / "r", parse_config(told))
    assert len(coarse.missing()) > 0  # the next level
    assert len(predictions_of(coarse)) == len(coarse.expected())
    part = selected(coarse, {"gamma_w": 1.75})
    (curve,) = curves_of(part.runs, span(part.runs, part.axes), shown("test-error", part.runs))
    assert curve.x[np.isfinite(curve.mean)].tolist() == [-2.5, -1.25, 0.0]
    assert len(curve.x) > 3  # places of the next level

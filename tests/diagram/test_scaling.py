"""Laws over an axis: the weighted line, boundaries and columns over d, and what theory says of them."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from scipy.stats import t

from linphase.config.config import parse_config
from linphase.diagram.scaling import (
    FLOOR,
    Point,
    fit,
    laws_of_boundaries,
    laws_of_panel,
    of_shared_dimensions,
    weighted_line,
)
from linphase.errors import LinphaseError
from linphase.model.regime import Cuts
from linphase.theory.asymptotic import TypicalTask, asymptotic_cell, local_slope
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY
from tests.figures.made import filled

X = np.log([50.0, 100.0, 200.0, 400.0, 800.0])


# --- The weighted line -----------------------------------------------------------------------------------------------


def test_points_on_a_line_give_its_slope_and_intercept():
    line = weighted_line(X, 2 - 0.75 * X, np.full(5, 0.01), [8] * 5)
    assert (line.slope, line.intercept, line.chi2) == pytest.approx((-0.75, 2, 0), abs=1e-12)
    assert (line.freedom, line.chi2_freedom, line.bent) == (pytest.approx(30.3, abs=0.1), 3, False)  # of 35


def test_equal_errors_give_the_textbook_interval():
    line = weighted_line(X, 0.5 * X, np.full(5, 0.02), [8] * 5, floor=0.0)
    away = X - X.mean()
    # The smoothing takes out the bias of the logarithm of a variance with 7 degrees of freedom, 15 %.
    half = t.ppf(0.975, line.freedom) * 0.02 / np.sqrt(np.sum(away**2))
    assert (line.high - line.low) / 2 == pytest.approx(half, rel=0.08)


def test_the_standard_error_of_a_point_has_a_floor():
    line = weighted_line(X, 0.5 * X, np.zeros(5), [8] * 5)
    half = t.ppf(0.975, line.freedom) * FLOOR / np.sqrt(np.sum((X - X.mean()) ** 2))
    assert (line.high - line.low) / 2 == pytest.approx(half)


@pytest.mark.parametrize("counts", [[8] * 5, [8, 8, 8, 8, 3], [3] * 5, [24, 24, 24]])
def test_the_interval_holds_the_slope_in_95_of_100_draws(counts):
    # Noise that falls with x as that of boundaries does; two standard errors of 1000 draws are 1.4 %.
    random, x = np.random.default_rng(1), X[: len(counts)]
    inside = 0
    for _ in range(1000):
        draws = [0.5 * at + 3 * np.exp(-0.8 * at) * random.normal(size=n) for at, n in zip(x, counts, strict=True)]
        errors = [np.std(each, ddof=1) / np.sqrt(len(each)) for each in draws]
        line = weighted_line(x, [each.mean() for each in draws], errors, counts, floor=0.0)
        inside += line.low <= 0.5 <= line.high
    assert 0.93 < inside / 1000 < 0.97


def test_a_bent_law_is_told_by_chi2():
    line = weighted_line(X, 0.1 * (X - X.mean()) ** 2, np.full(5, 0.01), [8] * 5)
    assert line.bent
    assert line.chi2 > 100


def test_single_replicates_are_fitted_by_their_scatter():
    y = 0.5 * X + 0.01 * np.array([1, -1, 0, -1, 1])
    line = weighted_line(X, y, np.full(5, np.nan), [1] * 5)
    assert line.slope == pytest.approx(np.polyfit(X, y, 1)[0])
    assert (line.freedom, np.isnan(line.chi2), line.low < 0.5 < line.high) == (3, True, True)
    assert np.isnan(weighted_line(X[:2], y[:2], [np.nan] * 2, [1, 1]).low)  # two points have no scatter


def test_draws_that_are_shared_over_the_points_take_no_part_in_the_interval():
    random = np.random.default_rng(2)
    own = 0.5 * random.normal(size=8)  # of a replicate, the same at every x
    logs = own[:, None] + 0.5 * X + 0.001 * random.normal(size=(8, 5))
    points = [Point(float(np.exp(x)), dict(enumerate(column))) for x, column in zip(X, logs.T, strict=True)]
    paired, apart = fit(points, shared=True), fit(points, shared=False)
    assert paired.low < 0.5 < paired.high
    assert paired.freedom == 7
    assert apart.high - apart.low > 10 * (paired.high - paired.low)


def test_the_intervals_of_shared_draws_hold_the_slope_too():
    random, inside = np.random.default_rng(3), 0
    for _ in range(1000):
        logs = random.normal(size=(6, 1)) + 0.5 * X + 0.1 * random.normal(size=(6, 5))
        points = [Point(float(np.exp(x)), dict(enumerate(column))) for x, column in zip(X, logs.T, strict=True)]
        line = fit(points, shared=True)
        inside += line.low <= 0.5 <= line.high
    assert 0.93 < inside / 1000 < 0.97


# --- Results by theory: every number is known -------------------------------------------------------------------------

TASK = {"rank": 1, "signal_norm": 1.0}
SUMS = (0.25, 0.75, 1.1)


def config(dimensions, **sections):
    grid = {"task.dimension": list(dimensions), "gamma_sigma2": [round(each - 4, 6) for each in SUMS], "gamma_w": [4.0]}
    run = {"independent_dimensions": True}
    return parse_config({"name": "laws", "task": TASK, "grid": grid | {"replicates": 3}, "run": run} | sections)


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("laws") / "predicted", config([24, 48, 96]).predicted())


def test_the_closed_form_of_drawn_tasks_goes_as_that_of_the_typical_task(predicted):
    laws = laws_of_panel(predicted, "test-error", "task.dimension")
    assert [dict(law.held)["gamma_sigma2"] for law in laws] == [-3.75, -3.25, -2.9]
    for law, at in zip(laws, SUMS, strict=True):
        assert [point.x for point in law.points] == [24, 48, 96]
        assert [len(point.logs) for point in law.points] == [3, 3, 3]
        first = asymptotic_cell(TypicalTask(24, 1, 1.0, 1.0), log(24**at * (24**4) / 24**4) / log(24))
        assert law.points[0].log_theory == pytest.approx(log(first.min_test_error))
        assert law.over_theory.low - 0.02 < 0 < law.over_theory.high + 0.02
        assert law.line.slope == pytest.approx(law.theory + law.over_theory.slope)
        assert law.local == pytest.approx(local_slope(TypicalTask(96, 1, 1.0, 1.0), at), abs=1e-3)


@pytest.mark.parametrize("panel", ["learning-order", "benefit", "final-time", "stable-rank"])
def test_other_columns_have_theorys_slope_too(predicted, panel):
    for law in laws_of_panel(predicted, panel, "dimension"):
        assert law.over_theory.low - 0.02 < 0 < law.over_theory.high + 0.02
        assert np.isfinite(law.local)


def test_a_local_slope_is_of_any_number_of_a_cell():
    task = TypicalTask(1e6, 1, 1.0, 1.0)
    number = local_slope(task, 0.5, lambda cell: cell.min_test_error)
    assert number == pytest.approx(local_slope(task, 0.5), abs=1e-9)
    assert local_slope(task, 1.3, lambda cell: cell.threshold) == pytest.approx(1.3)
    assert np.isnan(local_slope(TypicalTask(1e3, 1, 0.0, 1.0), 0.5, lambda cell: cell.learning_order))


def test_theory_is_left_out_where_it_is_another_task_or_width(tmp_path):
    grid = {"task.dimension": [16, 24], "gamma_sigma2": [-1.0], "gamma_w": [1.5]}
    narrow = filled(tmp_path / "narrow", parse_config({"name": "n", "task": TASK, "grid": grid}).predicted())
    (law,) = laws_of_panel(narrow, "test-error", "task.dimension")
    assert np.isnan(law.theory)
    assert law.over_theory is None
    assert np.isfinite(law.line.slope)


def test_shared_dimensions_are_told(predicted, tmp_path):
    assert of_shared_dimensions(predicted, "dimension") is None
    grid = {"task.dimension": [8, 12], "gamma_sigma2": [-1.0], "gamma_w": [2.0]}
    shared = filled(tmp_path / "shared", parse_config({"name": "s", "task": TASK, "grid": grid}).predicted())
    assert "run.independent_dimensions is false" in of_shared_dimensions(shared, "dimension")
    assert of_shared_dimensions(shared, "noise") is None


def test_a_point_at_which_a_run_has_no_number_is_none(predicted):
    runs = predicted.runs.copy()
    lost = (runs["dimension"] == 48) & (runs["replicate"] == 1) & (runs["gamma_sigma2"] == -3.75)
    runs.loc[lost, "min_test_error"] = np.nan
    law = laws_of_panel(replace(predicted, runs=runs), "test-error", "task.dimension")[0]
    assert [point.x for point in law.points] == [24, 96]
    assert law.note == "1 of 3 points left out: a run has no number above 0"


@pytest.mark.parametrize(("panel", "axis", "message"), [
    ("test-error", "gamma_sigma2", "found gamma_sigma2, which is an exponent. Use c"),
    ("test-error", "task.noise", "along: must be an axis of the sweep"),
    ("regime", "task.dimension", "panel regime: shows no numbers"),
    ("distance", "task.dimension", "panel distance"),
])  # fmt: skip
def test_what_has_no_law_is_refused(predicted, panel, axis, message):
    with pytest.raises(LinphaseError, match=message):
        laws_of_panel(predicted, panel, axis)


def test_one_value_is_no_axis(tmp_path):
    results = filled(tmp_path / "one", config([16]).predicted())
    with pytest.raises(LinphaseError, match=r"found task\.dimension = 16 alone"):
        laws_of_panel(results, "test-error", "task.dimension")


# --- Boundaries -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def boundaries(tmp_path_factory):
    grid = {"task.dimension": [32, 64, 128], "gamma_sigma2": [-3.65, -3.55, -3.45, -3.1, -3.0, -2.9], "gamma_w": [4.0]}
    told = {"name": "b", "task": TASK, "grid": grid | {"replicates": 3}, "stop": {"excess_error": 1e-5}}
    told["run"] = {"independent_dimensions": True}
    return filled(tmp_path_factory.mktemp("laws") / "boundaries", parse_config(told).predicted())


@pytest.mark.parametrize("criterion", ["threshold", "balance", "speedup"])
def test_the_boundaries_of_the_end_go_as_d_and_its_root(boundaries, criterion):
    laws = {law.quantity: law for law in laws_of_boundaries(boundaries, "task.dimension", Cuts(criterion=criterion))}
    for name, exponent in ((MIXED_LAZY, 1.0), (MIXED_BALANCED, 0.5)):
        law = laws[name]
        assert law.line.low - 0.03 < exponent < law.line.high + 0.03
        assert law.over_theory.low - 0.01 < 0 < law.over_theory.high + 0.01
        assert law.line.slope - law.over_theory.slope == pytest.approx(law.theory)
        for point in law.points:
            assert point.mean == pytest.approx(point.log_theory, abs=0.12)


def test_a_boundary_between_far_cells_is_no_point(boundaries):
    laws = {law.quantity: law for law in laws_of_boundaries(boundaries, "task.dimension")}
    assert len(laws["benefit = 1/2"].points) < 3
    assert "more than a factor of 2 in c apart" in laws["benefit = 1/2"].note


def test_a_boundary_lies_at_one_c(boundaries):
    with pytest.raises(LinphaseError, match="a boundary lies at one c"):
        laws_of_boundaries(boundaries, "c")

"""A sweep over lambda, and over the kind of start, through every command that shows it: lambda = 0 means c = 0."""

import numpy as np
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import Axis, Window, select, selected, span
from linphase.diagram.derived import shifts
from linphase.diagram.lines import theory_lines
from linphase.diagram.measured import boundaries_of
from linphase.figures.drawing import draw
from linphase.store.rows import has_closed_form
from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    lazy_threshold,
    middle_signal_value,
)
from tests.figures.made import artists, filled, unfinished

LAMBDA = [-100.0, -10.0, 0.0, 10.0, 100.0]
GRID = {"gamma_sigma2": [-2.0, -1.0], "width": [4, 8], "init.lambda_balance": LAMBDA}


def balanced(path, grid, *, predicted=False, **task):
    task = {"dimension": 8, "rank": 2, **task}
    config = parse_config({"name": "balanced", "task": task, "init": {"kind": "lambda_balanced"}, "grid": grid})
    return filled(path, config.predicted() if predicted else config)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return balanced(tmp_path_factory.mktemp("balanced") / "r", GRID, output_dimension=4)


def linphase(*arguments):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_every_command_takes_a_threshold_of_zero(results, tmp_path):
    assert "20 of 20 runs done" in linphase("status", results.path)
    for chosen in (
        ("--x", "lambda_balance", "--y", "width", "--where", "gamma_sigma2=-1"),
        ("--x", "c", "--y", "width", "--where", "gamma_sigma2=-1", "--where", "lambda_balance=0"),
        ("--panel", "collapse"),
        ("--panel", "trajectories", "--where", "lambda_balance=0"),
        ("--panel", "trajectories", "--where", "lambda_balance=0", "--where", "gamma_sigma2=-1", "--where", "width=8"),
    ):
        linphase("plot", results.path, *chosen, "-o", tmp_path / "p.png")
    linphase("explore", results.path, "-o", tmp_path / "e.html")
    linphase("report", results.path, "--panel", "regime", "-o", tmp_path / "r.md")
    assert "lambda_balance = 0" in linphase("boundary", results.path)


def test_a_figure_of_a_run_and_the_cloud_of_modes_take_a_threshold_of_zero(results):
    perfectly = selected(results, {"lambda_balance": 0.0})
    with unfinished():
        figure = draw(selected(perfectly, {"gamma_sigma2": -1, "width": 8}), "trajectories")
        assert not figure.findobj(lambda artist: artist.get_gid() == "train, theory")
        (cloud,) = artists(draw(results, "collapse").axes[0], "modes")
    modes = results.final_modes()
    assert len(cloud.get_offsets()) == len(modes) - modes["run_id"].isin(perfectly.runs["run_id"]).sum()


def test_without_a_place_on_a_logarithmic_axis_they_are_left_out_and_that_is_said(results):
    part, axes = select(results.runs, results.axes, {"gamma_sigma2": [-1.0]})
    with pytest.warns(UserWarning, match="runs with c = 0 have no place on its logarithmic axis, and are left out"):
        spanned = span(part, axes, "c", "width")
    assert spanned["c"] == [5.0, 50.0]
    perfectly, axes = select(part, axes, {"lambda_balance": [0.0]})
    assert span(perfectly, axes, "c", "width")["c"] == [0.0]  # alone it is a place


def test_where_no_closed_form_stands_beside_a_run_none_is_given(results):
    told = {(row["lambda_balance"], row["width"]): has_closed_form(row) for _, row in results.runs.iterrows()}
    assert told == {(each, w): each > 0 or (each < 0 and w == 8) for each in LAMBDA for w in (4, 8)}


def test_values_of_both_signs_over_decades_stand_side_by_side(results):
    axis = Axis.of("init.lambda_balance", LAMBDA)
    assert axis.positions.tolist() == [0, 1, 2, 3, 4]
    assert axis.few
    assert not axis.logarithmic
    assert np.unique(axis.index(results.runs)).tolist() == [0, 1, 2, 3, 4]
    # Evenly spaced ones have their own places, and so have exponents.
    assert Axis.of("init.lambda_balance", [-10.0, 0.0, 10.0]).positions.tolist() == [-10, 0, 10]
    assert Axis.of("gamma_sigma2", [-3.0, -0.2, 0.0]).positions.tolist() == [-3, -0.2, 0]


def test_over_lambda_the_boundary_lies_at_twice_its_threshold_on_either_side(tmp_path):
    values = [-40.0, -30.0, -20.0, -10.0, 10.0, 20.0, 30.0, 40.0]
    found = balanced(tmp_path / "r", {"gamma_sigma2": [-4.0], "width": [8, 16], "init.lambda_balance": values},
                     predicted=True, signal_norm=4.0)  # fmt: skip
    window = Window.of(span(found.runs, found.axes, "init.lambda_balance", "width"))
    lines = [line for line in theory_lines(found.runs, window) if line.name == MIXED_LAZY]
    places = sorted(float(np.mean(line.x)) for line in lines)
    expected = 2 * lazy_threshold(middle_signal_value(2, 4.0, 8, 8), 1.0, 8, 8)
    assert expected == pytest.approx(22, abs=2)
    # log c is taken as linear between two cells.
    assert places == pytest.approx([-expected, expected], rel=0.03)


def test_where_c_bounds_nothing_no_line_of_c_is_drawn(results):
    runs = results.runs
    follows = (runs["lambda_balance"] > 0) | ((runs["lambda_balance"] < 0) & (runs["width"] == 8))
    assert np.array_equal(np.isfinite(shifts(runs)[0]), follows)
    part = runs[(runs["lambda_balance"] == -100) & (runs["width"] == 4)]
    assert np.isnan(shifts(part)[0]).all()
    window = Window.of(span(runs, results.axes, "gamma_sigma2", "width"))
    names = {line.name for line in theory_lines(runs[runs["lambda_balance"] == 0], window)}
    assert names <= {INFINITE_NOISE, UNDERPARAMETERIZED}
    assert all(np.isnan([one.finite_d, one.asymptotic]).all() for one in boundaries_of(results))


def test_without_a_lambda_lines_and_boundaries_are_those_of_gaussian_starts(tmp_path):
    grid = {"gamma_sigma2": np.linspace(-3, 0, 4).tolist(), "gamma_w": [1.0, 1.5]}
    kinds = {"init.kind": ["gaussian", "lambda_balanced"]}
    config = parse_config({"name": "kinds", "task": {"dimension": 8, "rank": 2}, "grid": grid | kinds})
    found = filled(tmp_path / "r", config.predicted())
    one, other = (found.runs[found.runs["init_kind"] == kind] for kind in kinds["init.kind"])
    window = Window.of({key: found.axes[key] for key in ("gamma_sigma2", "gamma_w")})
    lines = [theory_lines(runs, window) for runs in (one, other)]
    assert [line.name for line in lines[0]] == [line.name for line in lines[1]]
    for mine, its in zip(*lines, strict=True):
        np.testing.assert_allclose(mine.x, its.x)
    assert one["regime"].tolist() == other["regime"].tolist()
    places = [(b.finite_d, b.asymptotic) for b in boundaries_of(found)]
    assert places[: len(places) // 2] == places[len(places) // 2 :]

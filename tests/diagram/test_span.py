"""Which axes span a diagram, those that follow from the grid, and the cells over them."""

import warnings

import numpy as np
import pandas as pd
import pytest

from linphase.config.config import parse_config
from linphase.diagram.axes import Axis, Window, over_axes, span, split_facets
from linphase.diagram.cells import Cells, stand_ins
from linphase.diagram.derived import DERIVED
from linphase.diagram.names import held_name
from linphase.errors import LinphaseError
from linphase.store.results import spanning_first
from linphase.store.rows import asked_for, task_config_of
from linphase.theory.boundaries import signal_singular_value


def asked(grid, **task):
    """Rows as a runs table has them of what a grid asks for, and its axes; nothing is trained."""
    config = parse_config({"name": "a", "task": {"dimension": 16, "rank": 2} | task, "grid": grid})
    return pd.DataFrame([asked_for(spec) for spec in config.expand()]), spanning_first(config.grid.axes)


@pytest.mark.parametrize(("sizes", "spanning"), [
    ({"gamma_sigma2": 3, "gamma_w": 2, "task.noise": 1}, ["gamma_sigma2", "gamma_w"]),
    ({"gamma_sigma2": 3, "gamma_w": 1, "task.noise": 2}, ["gamma_sigma2", "task.noise"]),
    ({"gamma_sigma2": 3, "gamma_w": 2, "task.noise": 2}, ["gamma_sigma2", "gamma_w"]),
    ({"init_variance": 1, "width": 2, "task.noise": 2}, ["task.noise", "width"]),  # a width upwards
    ({"gamma_sigma2": 1, "gamma_w": 1, "task.noise": 2, "task.rank": 3}, ["task.noise", "task.rank"]),
    ({"gamma_sigma2": 1, "width": 4}, ["width", "gamma_sigma2"]),  # a row
    ({"gamma_sigma2": 1, "gamma_w": 1, "task.noise": 4}, ["task.noise", "gamma_sigma2"]),
    ({"gamma_sigma2": 1, "gamma_w": 1}, ["gamma_sigma2", "gamma_w"]),
])  # fmt: skip
def test_the_axes_with_several_values_span_the_diagram(sizes, spanning):
    axes = spanning_first({key: list(range(size)) for key, size in sizes.items()})
    assert list(axes)[:2] == spanning
    assert set(axes) == set(sizes)


def test_an_axis_with_one_value_is_no_facet():
    runs, axes = asked({"gamma_sigma2": [-2, -1], "gamma_w": [1.5], "task.noise": [1.0, 2.0], "task.rank": [1]})
    (facet,) = split_facets(runs, axes)
    assert len(facet.runs) == len(runs)
    assert (facet.title, facet.plain) == (r"$\gamma_w$ = 1.5", "gamma_w = 1.5")  # but it is told


def test_a_facet_is_named_with_mathematics_in_figures_and_as_options_are_typed_in_texts():
    grid = {"gamma_sigma2": [-2, -1], "gamma_w": [1.0, 1.5], "task.noise": [1.0, 1e-5], "task.rank": [1]}
    runs, axes = asked(grid)
    titles = [(facet.title, facet.plain) for facet in split_facets(runs, axes)]
    assert titles == [(r"noise $\nu$ = $10^{-5}$", "noise = 1e-05"), (r"noise $\nu$ = 1", "noise = 1")]
    assert all(held_name([(name, 2)]).startswith("$") for name in DERIVED)


GRID = {"gamma_sigma2": [-2, -1], "gamma_w": [1.0, 1.5, 2.0], "task.noise": [1.0, 2.0], "task.rank": [1, 2]}


@pytest.mark.parametrize(("x", "y", "expected"), [
    (None, None, ["gamma_sigma2", "gamma_w", "task.noise", "task.rank"]),
    ("noise", "rank", ["task.noise", "task.rank", "gamma_sigma2", "gamma_w"]),
    ("gamma_w", "gamma_sigma2", ["gamma_w", "gamma_sigma2", "task.noise", "task.rank"]),
    (None, "task.rank", ["gamma_sigma2", "task.rank", "gamma_w", "task.noise"]),
    ("rank", None, ["task.rank", "gamma_sigma2", "gamma_w", "task.noise"]),
    ("c", "rank", ["c", "task.rank", "task.noise"]),  # of both variances and widths
    ("c", "gamma_w", ["c", "gamma_w", "task.noise", "task.rank"]),
    ("c/s_1", "width/d", ["c/s_1", "width/d", "task.noise", "task.rank"]),
    ("gamma_sigma2", "width/d", ["gamma_sigma2", "width/d", "task.noise", "task.rank"]),
])  # fmt: skip
def test_any_axes_can_be_chosen_and_a_derived_one_replaces_those_it_is_made_of(x, y, expected):
    runs, axes = asked(GRID)
    with warnings.catch_warnings(action="ignore"):  # that cells over c and rank hold runs of several widths
        assert list(span(runs, axes, x, y)) == expected


def test_beside_c_the_width_is_the_other_axis_where_no_further_one_varies():
    runs, axes = asked({"gamma_sigma2": [-2, -1], "gamma_w": [1.0, 1.5], "task.noise": [1.0]})
    assert list(span(runs, axes, x="c")) == ["c", "gamma_w", "task.noise"]
    assert list(span(runs, axes, y="c")) == ["gamma_w", "c", "task.noise"]


def test_an_axis_that_is_not_there_is_refused_with_those_that_are_and_the_one_meant():
    runs, axes = asked(GRID)
    for asked_for_, meant in (("nois", r"; did you mean noise\?"), ("width", r"; did you mean width/d\?"), ("z", "$")):
        with pytest.raises(
            LinphaseError, match=rf"x: must be .* task.rank, or .* c, c/s_1, .*, found '{asked_for_}'{meant}"
        ):
            span(runs, axes, x=asked_for_)
    with pytest.raises(LinphaseError, match=r"y: must be another axis than the one across, found 'rank' for both"):
        span(runs, axes, x="task.rank", y="rank")
    with pytest.raises(LinphaseError, match=r"c: an axis of what the runs have, and there are none yet"):
        span(runs[:0], axes, x="c")


def test_derived_axes_have_the_values_of_the_columns_they_follow_from():
    runs, axes = asked(GRID | {"task.output_dimension": [4, 16, 64]}, signal_norm=2.0)
    tasks = [task_config_of(row) for _, row in runs.iterrows()]
    s = [signal_singular_value(task.rank, 2.0, *task.shape) for task in tasks]
    expected = {"c": runs["threshold"], "c/s_1": runs["threshold"] / s,
                "width/d": runs["width"] / [task.scale for task in tasks],
                "n/d": np.full(len(runs), 640) / [task.scale for task in tasks]}  # fmt: skip
    assert set(expected) == set(DERIVED)
    for name, values in expected.items():
        if name == "n/d":  # without samples it is nowhere
            assert np.isnan(DERIVED[name].of(runs)).all()
            runs = runs.assign(samples=640)
        np.testing.assert_allclose(DERIVED[name].of(runs), values, rtol=1e-12)
        with warnings.catch_warnings(action="ignore"):
            axis = Axis.of(name, span(runs, axes, x=name)[name])
        assert axis.logarithmic
        np.testing.assert_allclose(axis.positions[axis.index(runs)], values, rtol=1e-11)


def test_cells_that_hold_runs_of_several_starts_are_told_of():
    runs, axes = asked({"init_variance": [0.01, 0.02, 0.04], "width": [16, 32], "task.noise": [1.0, 2.0]})
    # c of 0.01 x 32 is that of 0.02 x 16, 0.02 x 32 that of 0.04 x 16: at either noise.
    with pytest.warns(UserWarning, match=r"4 of 8 cells hold runs that differ in width, init_variance; each shows"):
        span(runs, axes, x="c", y="task.noise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        span(runs, axes, x="c", y="width")
        span(runs, axes, x="task.noise", y="width")


@pytest.mark.parametrize(("values", "logarithmic"), [
    ([1, 2, 4, 8], True),
    ([1, 2, 3, 4], False),
    ([0.1, 0.3, 1.0, 3.0], True),
    ([0.0, 0.1, 1.0], False),
    ([0.1, 10.0], True),
    ([1.0, 2.0], False),
    ([2.0], False),
    ([1, 26, 51, 76, 101], False),
])  # fmt: skip
def test_values_spread_over_decades_get_a_logarithmic_axis(values, logarithmic):
    assert Axis.of("task.noise", values).logarithmic is logarithmic
    assert not Axis.of("gamma_w", values).logarithmic


def test_theorys_runs_stand_at_every_value_of_an_axis_of_the_training():
    runs, axes = asked({"gamma_sigma2": [-2, -1], "gamma_w": [1.5], "dynamics.kind": ["flow", "gd"]})
    predicted = runs[:2].assign(kind="modes")
    everywhere = over_axes(predicted, axes)
    assert everywhere.groupby("kind").size().to_dict() == {"flow": 2, "gd": 2}
    assert over_axes(runs, axes) is runs  # which lie on it


# --- Cells over axes whose values are not those of a grid ------------------------------------------------------------


def test_a_cell_reaches_half_way_to_the_next_run_of_its_row_and_no_farther_beyond_the_last():
    window = Window.of({"c": [1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6], "gamma_w": [1.0, 2.0]})
    there = {(0, 1), (0, 4), (1, 3)}  # half way between 10 and 10^4 lies 10^2.5
    found = stand_ins(there, window)
    assert found == {(0, 0): (0, 1), (0, 2): (0, 1), (0, 3): (0, 4), (0, 5): (0, 4)}
    turned = stand_ins({(column, row) for row, column in there}, Window(window.y, window.x))
    assert turned == {empty[::-1]: cell[::-1] for empty, cell in found.items()}


def test_over_axes_of_the_grid_no_cell_stands_in_for_another():
    assert stand_ins({(0, 0)}, Window.of({"gamma_sigma2": [0, 1, 2], "gamma_w": [0, 1]})) == {}


def test_a_cell_that_reaches_over_its_neighbours_is_counted_once_and_hatched_as_far_as_it_reaches():
    outcomes = {(0, 0): ("lazy",), (0, 1): ("lazy",), (0, 2): ("mixed",)}
    cells = Cells(outcomes, np.full((1, 3), np.nan), [(0, 0)], False, stand_ins={(0, 1): (0, 0)})
    assert cells.counts() == {("lazy",): 1, ("mixed",): 1}
    assert cells.reached(cells.unconverged) == [[((0, 0), (0, 1))]]
    assert cells.reached([(0, 2)]) == [[((0, 2), (0, 2))]]

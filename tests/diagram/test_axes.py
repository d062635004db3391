"""Axes of a grid: where cells end, and a part of the runs."""

import re

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import axis_column, cell_edges, select, split_facets
from linphase.errors import LinphaseError, Note
from tests.figures.made import AXES, GAMMA_SIGMA2, GAMMA_W, run, table


@pytest.fixture(scope="module")
def runs():
    return table(*(run(x, y) for y in GAMMA_W for x in GAMMA_SIGMA2))


def test_cell_edges_lie_half_way_between_neighbours():
    np.testing.assert_allclose(cell_edges(np.array([0.0, 1.0, 4.0])), [-0.5, 0.5, 2.5, 5.5])
    log = cell_edges(np.array([1.0, 100.0]), logarithmic=True)
    np.testing.assert_allclose(log, [0.1, 10.0, 1000.0])


def test_a_lone_value_gets_a_cell_of_unit_width():
    np.testing.assert_allclose(cell_edges(np.array([2.0])), [1.5, 2.5])
    lone = cell_edges(np.array([100.0]), logarithmic=True)
    np.testing.assert_allclose(lone, [10**1.5, 10**2.5])


def test_a_part_is_chosen_by_key_or_column_with_the_digits_a_user_types(runs):
    both = pd.concat([runs, runs.assign(rank=2), runs.assign(rank=2, replicate=1)], ignore_index=True)
    axes = AXES | {"task.rank": [2, 4]}
    for key in ("task.rank", "rank"):
        part, left = select(both, axes, {key: ["2"], "replicate": ["1"]})
        assert len(part) == len(runs)
        assert set(part["rank"]) == {2}
        assert left == axes | {"task.rank": [2]}
    assert [facet.title for facet in split_facets(part, left)] == [""]
    fine = {"gamma_sigma2": [-3.0, -1.0 / 3], "gamma_w": AXES["gamma_w"]}
    assert select(runs, fine, {"gamma_sigma2": ["-0.3333"]})[1]["gamma_sigma2"] == [-1.0 / 3]
    assert select(both, axes, {"rank": [2, 4]})[1] == axes


def test_a_number_takes_the_nearest_value_in_the_scale_of_its_axis_and_that_is_said(runs):
    # The middle of two widths is their geometric mean, of two exponents or ranks the arithmetic one.
    axes = AXES | {"task.rank": [2, 4]}
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    for asked, nearest in ((2.9, 2.0), (3.1, 4.0)):
        with pytest.warns(Note, match=rf"^rank = {asked} is not on the grid; the nearest, {nearest:g}, is taken$"):
            assert set(select(both, axes, {"rank": asked})[0]["rank"]) == {nearest}
    widths = {"gamma_sigma2": AXES["gamma_sigma2"], "width": [64, 1024]}
    some = pd.concat([runs.assign(width=width) for width in (64, 1024)], ignore_index=True)
    for asked, nearest in ((250, 64), (260, 1024)):
        with pytest.warns(Note):
            assert select(some, widths, {"width": [asked]})[1]["width"] == [nearest]


def test_a_column_that_is_no_axis_leaves_the_values_of_the_axes_that_its_runs_have(runs):
    width = int(runs["width"].iloc[-1])
    part, left = select(runs, AXES, {"width": width})
    assert set(part["width"]) == {width}
    assert left == AXES | {"gamma_w": [AXES["gamma_w"][-1]]}
    part, left = select(runs.assign(status=["diverged", *runs["status"][1:]]), AXES, {"status": "diverged"})
    assert left == {"gamma_sigma2": [GAMMA_SIGMA2[0]], "gamma_w": [GAMMA_W[0]]}


@pytest.mark.parametrize(("where", "message"), [
    ({"nois": 1}, "gamma_sigma2, gamma_w, task.rank, a column of its runs, or replicate, found 'nois'; did you mean "),
    ({"rank": 9}, "rank must be one of 2, 4, found 9. A number from 1 to 5, where the outer cells end, takes the near"),
    ({"replicate": "x"}, "replicate must be one of 0, found x"),
    ({"rank": "nan"}, "rank must be one of 2, 4, found nan"),
    ({"status": "convergd"}, "status must be one of converged, found convergd; did you mean converged?"),
])  # fmt: skip
def test_a_part_that_is_not_there_is_refused_with_what_there_is(runs, where, message):
    with pytest.raises(LinphaseError, match=re.escape(message)):
        select(runs, AXES | {"task.rank": [2, 4]}, where)


def test_the_axis_of_a_plugin_that_is_not_here_is_found_by_its_last_part():
    assert axis_column("gamma_w") == "gamma_w"
    assert axis_column("dynamics.learning_rate") == "learning_rate_rule"
    assert axis_column("dynamics.momentum") == "momentum"

"""Axes of a grid: where cells end, and a part of the runs."""

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import axis_column, cell_edges, select, split_facets
from linphase.errors import LinphaseError
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
    assert [facet.title for facet in split_facets(part, left)] == ["rank = 2"]
    fine = {"gamma_sigma2": [-3.0, -1.0 / 3], "gamma_w": AXES["gamma_w"]}
    assert select(runs, fine, {"gamma_sigma2": ["-0.3333"]})[1]["gamma_sigma2"] == [-1.0 / 3]
    assert select(both, axes, {"rank": [2, 4]})[1] == axes


def test_a_part_that_is_not_there_is_refused_with_what_there_is(runs):
    axes = AXES | {"task.rank": [2, 4]}
    with pytest.raises(
        LinphaseError, match=r"an axis of the sweep, gamma_sigma2, gamma_w, task.rank, or replicate, fo"
    ):
        select(runs, axes, {"noise": ["1"]})
    with pytest.raises(LinphaseError, match=r"rank must be one of 2, 4, found 3"):
        select(runs, axes, {"rank": ["3"]})
    with pytest.raises(LinphaseError, match=r"replicate must be one of 0, found x"):
        select(runs, axes, {"replicate": ["x"]})


def test_the_axis_of_a_plugin_that_is_not_here_is_found_by_its_last_part():
    assert axis_column("gamma_w") == "gamma_w"
    assert axis_column("dynamics.learning_rate") == "learning_rate_rule"
    assert axis_column("dynamics.momentum") == "momentum"

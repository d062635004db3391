"""Theory's lines in any two axes."""

from dataclasses import replace

import numpy as np
import pytest

from linphase.diagram.axes import Window, span
from linphase.diagram.lines import Line, theory_lines
from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_BALANCED,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    boundaries,
    lazy_threshold,
    middle_signal_value,
)
from tests.diagram.test_span import asked

D = 16
GAMMA_SIGMA2 = np.linspace(-3, 0, 7).tolist()


def lines(grid, x=None, y=None, **task):
    """By name, in data coordinates."""
    runs, axes = asked(grid, **task)
    found = theory_lines(runs, Window.of(span(runs, axes, x, y)))
    assert len({line.name for line in found}) == len(found)  # each in one piece
    return {line.name: line for line in found}


def across(line, at):
    """The x of a line, a function of y, at values of y; a logarithmic axis is given by its logarithms."""
    order = np.argsort(line.y)
    return np.interp(at, line.y[order], line.x[order])


def logarithmic(line):
    return replace(line, y=np.log(line.y))


def exact(name, noise=1.0, rank=2, gamma_w=1.5, dimension=D):
    found = boundaries((dimension, dimension), rank, noise, None, [gamma_w])
    return next(float(line.gamma_sigma2[0]) for line in found if line.name == name and not line.asymptotic)


def test_over_variance_and_noise_they_converge_at_second_order_to_the_boundaries_at_each_noise():
    at = np.geomspace(0.2, 8, 101)
    places = {name: [exact(name, noise) for noise in at] for name in (MIXED_LAZY, MIXED_BALANCED, INFINITE_NOISE)}
    errors = []
    for number in (17, 33, 65):
        noises = np.geomspace(0.1, 10, number)
        found = lines({"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "task.noise": noises.tolist()})
        assert set(found) == set(places)
        error = {
            name: np.abs(across(logarithmic(line), np.log(at)) - places[name]).max() for name, line in found.items()
        }
        assert error[MIXED_BALANCED] < 1e-9  # a power of the noise: exact
        assert error[INFINITE_NOISE] < 1e-9
        errors.append(error[MIXED_LAZY])
    assert errors[0] < 0.02
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(2, abs=0.2)


def test_with_the_axes_exchanged_they_are_the_same_lines():
    grid = {"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "task.noise": [0.1, 0.3, 1.0, 3.0, 10.0]}
    one, other = lines(grid), lines(grid, x="task.noise")
    assert one.keys() == other.keys()
    for name, line in one.items():
        points = [np.unique(np.round(each, 9), axis=0) for each in (
            np.column_stack([line.x, line.y]), np.column_stack([other[name].y, other[name].x]))]  # fmt: skip
        np.testing.assert_allclose(*points, atol=1e-8)


def test_over_variance_and_rank_each_has_the_place_of_its_rank():
    ranks = [1, 2, 3, 4, 6, 8]
    found = lines({"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "task.rank": ranks})
    for name in (MIXED_LAZY, MIXED_BALANCED):
        line = found[name]
        for rank in ranks:
            assert across(logarithmic(line), np.log(rank)) == pytest.approx(exact(name, rank=rank), abs=1e-9)


def test_over_dimension_and_width_the_width_crosses_k_everywhere():
    widths = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    found = lines({"init_variance": [0.02], "width": widths, "task.dimension": [8, 16, 32, 64]})
    assert found[UNDERPARAMETERIZED].y == pytest.approx(2)
    assert found[UNDERPARAMETERIZED].shape is None  # of several tasks
    lazy = found[MIXED_LAZY]
    for d in (8, 16, 32):
        threshold = lazy_threshold(middle_signal_value(2, None, d, d), 1.0, d, d)
        assert across(Line("", False, None, lazy.y, lazy.x), d) == pytest.approx(threshold / 0.02, rel=1e-9)


@pytest.mark.parametrize("width", [{"gamma_w": [1.2, 1.5, 2.0, 2.4]}, {"width": [24, 50, 200, 900]}])
def test_over_c_and_width_the_boundary_of_active_and_lazy_is_straight_at_its_threshold(width):
    (key,) = width
    found = lines({"gamma_sigma2": GAMMA_SIGMA2} | width, x="c", y=key)
    threshold = lazy_threshold(middle_signal_value(2, None, D, D), 1.0, D, D)
    assert found[MIXED_LAZY].x == pytest.approx(threshold, rel=1e-9)
    # sigma2^2 width = 1 is c^2 = width, of the truncated width as c is.
    at = D ** found[INFINITE_NOISE].y if key == "gamma_w" else found[INFINITE_NOISE].y
    assert found[INFINITE_NOISE].x == pytest.approx(np.sqrt(at), rel=0.03)


def test_an_axis_of_words_is_crossed_by_straight_lines():
    kinds = ["flow", "gd", "self_consistent"]
    found = lines({"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "dynamics.kind": kinds})
    for name, line in found.items():
        assert line.x == pytest.approx(exact(name), abs=1e-9)
        assert (min(line.y), max(line.y)) == (-0.5, 2.5)  # the edges of the cells


def test_there_are_none_where_the_start_and_the_task_are_the_same_in_all_cells():
    grid = {"gamma_sigma2": [-1.0], "gamma_w": [1.5], "dynamics.kind": ["flow"]}
    assert lines(grid | {"dynamics.tolerance": [1e-8, 1e-9], "stop.excess_error": [1e-2, 1e-3]}) == {}


def test_there_is_none_where_one_place_is_on_both_sides():
    # Of two dimensions c/s_1 at the boundary is not the same, and their widths/d lie between each other.
    grid = {"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.1, 1.5, 2.0], "task.dimension": [8, 32]}
    assert MIXED_LAZY not in lines(grid, x="c/s_1", y="width/d")


def test_without_noise_there_is_no_bulk_and_the_line_ends_before():
    found = lines({"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "task.noise": [0.0, 1.0, 2.0]})
    assert found[MIXED_BALANCED].y.min() == 1.0
    assert found[MIXED_LAZY].y.min() < 0


def test_a_row_that_lacks_runs_is_crossed_where_its_others_say():
    grid = {"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "task.noise": [0.1, 0.3, 1.0, 3.0, 10.0]}
    runs, axes = asked(grid)
    whole = {line.name: line for line in theory_lines(runs, Window.of(axes))}
    part = {line.name: line for line in theory_lines(runs.sample(frac=0.7, random_state=0), Window.of(axes))}
    for name, line in whole.items():
        np.testing.assert_allclose(across(part[name], line.y), line.x, atol=0.02)


def test_with_weight_decay_they_lie_where_c_is_what_it_leaves_of_the_modes():
    decays = np.linspace(0, 12, 25)
    found = lines({"gamma_sigma2": GAMMA_SIGMA2, "gamma_w": [1.5], "dynamics.weight_decay": decays.tolist()})
    for name in (MIXED_LAZY, MIXED_BALANCED):
        S = D ** (exact(name) + 1.5)  # c on the line without decay
        at = np.linspace(0, 0.6 * S, 20)
        # Straight from cell to cell, in the logarithm of S - l.
        np.testing.assert_allclose(across(found[name], at), np.log(S - at) / np.log(D) - 1.5, atol=0.01)
    signal, bulk = (D ** (exact(name) + 1.5) for name in (MIXED_LAZY, MIXED_BALANCED))
    assert bulk - 0.5 < found[MIXED_BALANCED].y.max() < bulk + 0.5 < signal  # dead beyond
    assert np.ptp(found[INFINITE_NOISE].x) < 1e-9

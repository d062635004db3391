"""Which cell a place belongs to that nobody asks for."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import Facet, Window
from linphase.diagram.cells import _rectangles, cells_of
from linphase.diagram.mesh import Mesh, Reach
from linphase.diagram.panels import find_panel
from linphase.diagram.sampling import sampled_runs
from linphase.figures.diagrams import against, all_panels, evidence, phase_diagram
from linphase.figures.terminal import terminal_diagram
from linphase.model.regime import Cuts
from tests.figures.made import artists, run, table


def mesh(cells, *grids):
    """Of (gamma_sigma2, gamma_w) of each cell, at d = 64, and the values of both in each grid."""
    told = pd.DataFrame(cells, columns=["gamma_sigma2", "gamma_w"]).assign(dimension=64, rank=4)
    return Mesh(told, tuple({"gamma_sigma2": list(x), "gamma_w": list(y)} for x, y in grids))


def tensor(*grids):
    return mesh(sorted({cell for grid in grids for cell in product(*grid)}), *grids)


def axes_of(one):
    return {name: sorted({value for grid in one.grids for value in grid[name]}) for name in ("gamma_sigma2", "gamma_w")}


def reach(one, axes=None, runs=None):
    window = Window.of(axes or axes_of(one))
    return one.reach(window, Facet(one.asked[:0] if runs is None else runs))


def around(place, lines):
    """The next lines on either side, None without one; both the same on which the place lies."""
    before, behind = [line for line in lines if line <= place], [line for line in lines if line >= place]
    return max(before, default=None), min(behind, default=None)


def by_hand(asked, grids, x, y):
    """The rule, place by place, in exact numbers: the nearest corner of the smallest whole cell around a place."""
    owners = np.full(asked.shape, -1)
    for row, column in np.ndindex(*asked.shape):
        if asked[row, column]:
            owners[row, column] = row * len(x) + column
            continue
        smallest = None
        for rows, columns in grids:
            up, across = around(row, rows), around(column, columns)
            if None in (*up, *across) or not all(asked[i, j] for i in up for j in across):
                continue
            side = sum(Fraction(at[ends[1]] - at[ends[0]], at[-1] - at[0]) for at, ends in ((x, across), (y, up)))
            if smallest is None or side < smallest:
                smallest = side
                i, j = (min(ends, key=lambda end: (abs(at[end] - at[place]), end))
                        for at, ends, place in ((y, up, row), (x, across, column)))  # fmt: skip
                owners[row, column] = i * len(x) + j
    return owners


def quadtree(random, intervals, levels):
    """The vertices of cells that are split at random, and the lattices; numbers are integers from 10 on."""
    n, cells = intervals * 2**levels, set()

    def add(row, column, side):
        cells.update(product((column, column + side), (row, row + side)))
        if side > 1 and random.random() < 0.4:
            for i, j in product((0, side // 2), repeat=2):
                add(row + i, column + j, side // 2)

    for i, j in product(range(0, n, 2**levels), repeat=2):
        add(i, j, 2**levels)
    lattices = [range(10, 11 + n, 2 ** (levels - level)) for level in range(levels + 1)]
    return mesh([(10 + x, 10 + y) for x, y in sorted(cells)], *((each, each) for each in lattices))


@pytest.mark.parametrize("seed", range(6))
def test_places_between_the_vertices_of_refined_cells_have_the_owners_of_the_rule(seed):
    one = quadtree(np.random.default_rng(seed), 3, 3)
    found = reach(one)
    assert not found.asked.all()
    values = one.grids[-1]["gamma_sigma2"]
    assert (
        found.owners == by_hand(found.asked, [tuple(map(list, each)) for each in found.grids], values, values)
    ).all()
    assert (found.owners >= 0).all()  # the lattice of level 0 is whole


@pytest.mark.parametrize("seed", range(6))
def test_places_of_two_grids_have_the_owners_of_the_rule_and_none_beyond_both(seed):
    random = np.random.default_rng(seed)
    some = [sorted(random.choice(np.arange(10, 24), 5, replace=False).tolist()) for _ in range(4)]
    one = tensor(some[:2], some[2:])
    axes, found = axes_of(one), reach(one)
    assert (found.owners == by_hand(found.asked, found.grids, *axes.values())).all()
    hulls = [np.logical_and.outer(*((np.array(axes[key]) >= grid[key][0]) & (np.array(axes[key]) <= grid[key][-1])
                                    for key in ("gamma_w", "gamma_sigma2"))) for grid in one.grids]  # fmt: skip
    assert ((found.owners >= 0) == hulls[0] | hulls[1]).all()


@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (5, 1), (1, 1)])
def test_every_place_of_one_grid_is_a_cell_of_its_own(shape):
    one = tensor((range(shape[0]), range(shape[1])))
    found = reach(one)
    assert found.asked.all()
    assert found.stand_ins() == {}
    assert found.owners.ravel().tolist() == list(range(shape[0] * shape[1]))


def test_half_way_between_two_cells_the_lower_one_owns_a_place_in_logarithms_where_the_axis_is():
    asked = np.array([[True, False, True]])
    grids = ((np.array([0]), np.array([0, 2])),)
    for middle, owner in ((1.9, 0), (2.0, 0), (2.1, 2)):
        one = Reach(asked, grids, Window.of({"init_variance": [1.0, middle, 4.0], "width": [8]}))
        assert one.owners.tolist() == [[0, owner, 2]]


def test_no_word_lies_between_two_others():
    asked = np.array([[True, False, True], [True, True, True]])
    grids = ((np.array([0, 1]), np.array([0, 2])), (np.array([1]), np.array([0, 1, 2])))
    numbers = Reach(asked, grids, Window.of({"gamma_sigma2": [1, 2, 3], "width": [1, 2]}))
    words = Reach(asked, grids, Window.of({"dynamics.kind": ["a", "b", "c"], "width": [1, 2]}))
    assert (numbers.owners[0, 1], words.owners[0, 1]) == (0, -1)


def test_values_of_gamma_w_of_one_integer_width_are_one_network():
    # 64^0.16 = 1.9 is the width 1 of 64^0, though nearer to 64^0.2 = 2.3.
    cells, lines = product((-2, -1, 0), (0.0, 0.2)), [0.0, 0.16, 0.2]
    one = mesh(cells, ([-2, 0], [0.0, 0.2]), ([-2, -1, 0], lines))
    found = reach(one, {"gamma_sigma2": [-2, -1.5, -1, 0], "gamma_w": lines})
    assert found.owners.tolist() == [[0, 0, 2, 3], [0, 0, 2, 3], [8, 8, 10, 11]]  # as corners, too
    assert replace(found, base=None).owners.tolist()[1] == [8, 8, 8, 11]
    # 64^0.24 = 2.7 has the width of 0.2; 64^0.3 = 3.5 has one of its own.
    above = reach(one, {"gamma_sigma2": [-2, -1.5, -1, 0], "gamma_w": [*lines, 0.24, 0.3]})
    assert above.owners.tolist()[2:] == [[8, 8, 10, 11], [8, 8, 10, 11], [-1] * 4]


def test_rectangles_cover_every_place_once():
    random = np.random.default_rng(0)
    for _ in range(50):
        places = {tuple(place) for place in random.integers(0, 6, (random.integers(1, 20), 2)).tolist()}
        found = _rectangles(places)
        covered = [(i, j) for a, b in found for i in range(a[0], b[0] + 1) for j in range(a[1], b[1] + 1)]
        assert sorted(covered) == sorted(places)
    assert _rectangles([(0, 0), (0, 1), (1, 0), (1, 1)]) == [((0, 0), (1, 1))]
    assert len(_rectangles([(0, 0), (0, 1), (1, 0)])) == 2


# --- Cells -----------------------------------------------------------------------------------------------------------

EXTENDED = tensor(([-3, -2, -1, 0], [0.5, 1.5, 2.5]), ([-2, -1.5, -1], [1.5, 2.0, 2.5]))


@pytest.fixture(scope="module")
def runs():
    return table(*(run(*cell) for cell in EXTENDED.asked[["gamma_sigma2", "gamma_w"]].itertuples(index=False)))


def test_only_what_is_asked_for_is_missing_and_its_whole_reach_is_drawn_so(runs):
    window = Window.of(axes_of(EXTENDED))
    for name in ("regime", "status", "test-error", "distance", "crossing-time"):
        panel = find_panel(name, Cuts(), runs)
        whole = cells_of(runs, window, panel, Cuts(), reach(EXTENDED))
        assert "missing" not in {word for words in whole.outcomes.values() for word in words}
        assert len(whole.own_outcomes()) + np.isfinite(whole.numbers).sum() <= 25
        assert sum(whole.counts().values()) in (17, len(whole.own_outcomes()))
        part = cells_of(runs[runs["gamma_sigma2"] != -3], window, panel, Cuts(), reach(EXTENDED))
        absent = [cell for cell, shown in part.outcomes.items() if shown == ("missing",)]
        assert absent == sorted([(i, 0) for i in range(4)], key=absent.index)
        assert part.counts()["missing",] == 3


def test_a_number_is_that_of_the_owner_and_hatching_reaches_as_far(runs):
    window, panel = Window.of(axes_of(EXTENDED)), find_panel("test-error", Cuts(), runs)
    strayed = runs.assign(status=runs["status"].where(runs.index != 0, "step_limit"))
    cells = cells_of(strayed, window, panel, Cuts(), reach(EXTENDED))
    assert cells.unconverged == [(0, 0)]
    for place, owner in cells.stand_ins.items():
        assert cells.numbers[place] == cells.numbers[owner]
    assert cells.reached([(1, 0)]) == [[((1, 0), (2, 0))]]  # half way to 2.5 the lower


def test_a_place_beyond_the_cells_is_neither_drawn_nor_counted():
    one = tensor(([-3, -2], [0.5, 1.0]), ([-1, 0], [2.0, 2.5]))
    cells = cells_of(
        table(*(run(*cell) for cell in one.asked[["gamma_sigma2", "gamma_w"]].itertuples(index=False))),
        Window.of(axes_of(one)),
        find_panel("regime", Cuts(), table(run(-3, 0.5))),
        Cuts(),
        reach(one),
    )
    assert len(cells.outcomes) == sum(cells.counts().values()) == 8


def test_every_figure_draws_cells_as_large_as_they_are(runs):
    axes = axes_of(EXTENDED)
    figures = [
        phase_diagram(runs, axes, "regime", mesh=EXTENDED),
        all_panels(runs, axes, mesh=EXTENDED),
        evidence(runs, axes, mesh=EXTENDED),
        against(runs, runs, axes, "test-error", meshes=(EXTENDED, EXTENDED)),
    ]
    for figure in figures:
        assert not [artist for ax in figure.axes for artist in artists(ax, "missing")]
    assert artists(phase_diagram(runs, axes, "regime").axes[0], "missing")
    told = [text.get_text() for legend in figures[0].legends for text in legend.get_texts()]
    counted = [int(text.partition("(")[2].rstrip(")")) for text in told if text.endswith(")") and "modes" not in text]
    assert sum(counted) == len(runs)
    assert "missing" not in terminal_diagram(runs, axes, mesh=EXTENDED)
    assert "missing" in terminal_diagram(runs, axes)


def test_the_difference_of_two_sweeps_is_of_the_cells_that_both_have(runs):
    axes = axes_of(EXTENDED)
    coarse = runs[runs["gamma_sigma2"].isin([-3, -2, -1, 0]) & (runs["gamma_w"] != 2.0)]
    its = tensor(([-3, -2, -1, 0], [0.5, 1.5, 2.5]))
    figure = against(runs, coarse, axes, "regime", meshes=(EXTENDED, its))
    assert "difference\n0 of 12 cells" in [ax.get_title() for ax in figure.axes]
    assert not [artist for ax in figure.axes for artist in artists(ax, "missing")]


def test_a_sampled_place_has_the_run_of_the_cell_that_covers_it_and_no_run_is_shown_twice(runs):
    axes = axes_of(EXTENDED)
    found = sampled_runs(runs, axes, EXTENDED)
    assert len({one.run_id for one in found}) == len(found) == len(runs)  # few places are shown all
    assert {one.place for one in found} == {divmod(i, 5) for i in np.flatnonzero(reach(EXTENDED).asked).tolist()}
    fine = tensor((range(-12, 1, 6), [0.0, 1.0, 2.0]), (range(-2, 1), [1.0, 1.5, 2.0]))
    many = table(*(run(x / 4, y) | {"gamma_sigma2": x} for x, y in fine.asked[["gamma_sigma2", "gamma_w"]].to_numpy()))
    shown = sampled_runs(many, {"gamma_sigma2": list(range(-12, 1)), "gamma_w": [0.0, 1.0, 1.5, 2.0]}, fine)
    assert len(shown) == len({one.run_id for one in shown})
    assert {one.run_id for one in shown} <= set(many["run_id"])

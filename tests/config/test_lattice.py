"""Refinement: nested levels by exact arithmetic, cells split where corners differ, one run for one width."""

from fractions import Fraction
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linphase.config.config import difference, parse_config
from linphase.config.lattice import Lattice, halved
from linphase.errors import ConfigError
from linphase.theory.boundaries import balanced_threshold, lazy_threshold, signal_singular_value

GRID = {
    "gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 9},
    "gamma_w": {"start": 0.0, "stop": 2.8, "num": 9},
}


def config(levels=0, **grid):
    return parse_config({"name": "r", "grid": GRID | grid, "refine": {"levels": levels}, "task": {"rank": 5}})


def width_of(gamma_w, d=200):
    return max(1, int(d**gamma_w))


def lattice(levels, n=8):
    x, y = (tuple(np.linspace(*ends, n + 1).round(12).tolist()) for ends in ((-3, 0), (0, 2.8)))
    finest = [halved(axis, levels) for axis in (x, y)]
    return Lattice(*finest, tuple(map(width_of, finest[1])), levels)


@cache
def lines(width, d=200, k=5):
    return lazy_threshold(signal_singular_value(k, 1.0, d, d), 1.0, d, d), balanced_threshold(width, k, 1.0, d, d)


def theory_says(start, d=200, k=5):
    gamma_sigma2, gamma_w = start
    width = width_of(gamma_w, d)
    if width < k:
        return "underparameterized"
    lazy, balanced = lines(width)
    c = d**gamma_sigma2 * width
    return "lazy" if c >= lazy else "mixed" if np.isfinite(balanced) and c >= balanced else "balanced"


def by_hand(n, levels, label):
    """Leaves (i, j, side) and labelled vertices of the same refinement, by recursion over exact numbers."""
    side = 2**levels

    def start(i, j):
        return float(Fraction(-3) + Fraction(3 * i, n * side)), float(Fraction(28, 10) * Fraction(j, n * side))

    seen, leaves, cells = {}, {}, [(i * side, j * side, side, side) for i in range(n) for j in range(n)]
    labels = {}

    def at(i, j):
        if (i, j) not in labels:
            labels[i, j] = label(start(i, j))
            seen.setdefault((i, width_of(start(i, j)[1])), (i, j))
        return labels[i, j]

    for level in range(levels + 1):
        following = []
        for i, j, across, up in cells:
            corners = {at(i + a, j + b) for a in (0, across) for b in (0, up)}
            if len(corners) == 1 or level == levels:
                leaves[i, j] = (across, up)
                continue
            between = width_of(start(0, j + up)[1]) > width_of(start(0, j)[1])
            parts = [(0, across // 2), (across // 2, across // 2)], [(0, up // 2), (up // 2, up // 2)]
            for (a, wide), (b, high) in product(parts[0], parts[1] if between else [(0, up)]):
                following.append((i + a, j + b, wide, high))
        cells = following
    return set(seen), leaves, labels


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_the_vertices_are_those_of_a_recursion_over_cells(levels):
    one = lattice(levels)
    found = [start for new in one.split(theory_says) for start in new]
    reached, _, _ = by_hand(8, levels, theory_says)
    places = {(one.variances.index(x), width_of(y)) for x, y in found}
    assert places == reached
    assert len(found) - len(places) == 81 - len({(i, width_of(y)) for i in range(9) for y in one.widths[:: 2**levels]})


@pytest.mark.parametrize(("levels", "share"), [(3, 0.25), (4, 0.12)])
def test_as_much_area_is_right_as_on_the_full_grid_by_a_quarter_of_its_runs_at_three_levels(levels, share):
    # Issue 16's bars, by theory's labels at d = 200; areas of 8,000 random points have an error of 0.1 %.
    one = lattice(levels)
    runs = {(x, width_of(y)) for new in one.split(theory_says) for x, y in new}
    full = {(x, width_of(y)) for x, y in product(one.variances, one.widths)}
    assert len(runs) <= share * len(full)
    _, leaves, labels = by_hand(8, levels, theory_says)
    n, rng, wrong = 8 * 2**levels, np.random.default_rng(0), [0, 0]
    step = (3 / n, 2.8 / n)
    for u, v in rng.random((8_000, 2)) * n:
        truth = theory_says((-3 + step[0] * u, step[1] * v))
        (i, j), (across, up) = next(
            (corner, leaves[corner])
            for a, b in product(range(levels + 1), repeat=2)
            if (corner := (int(u) >> a << a, int(v) >> b << b)) in leaves
            and u < corner[0] + leaves[corner][0]
            and v < corner[1] + leaves[corner][1]
        )
        nearest = (i + across * (u - i > across / 2), j + up * (v - j > up / 2))
        wrong[0] += labels[nearest] != truth
        wrong[1] += theory_says((-3 + step[0] * round(u), step[1] * round(v))) != truth
    assert wrong[0] <= wrong[1] + 0.002 * 8_000


@settings(max_examples=30)
@given(start=st.integers(-400, 400), step=st.integers(1, 50), n=st.integers(1, 12), levels=st.integers(0, 4))
def test_every_level_has_the_numbers_of_the_coarser_ones(start, step, n, levels):
    values = tuple(round(start / 100 + i * step / 100, 12) for i in range(n + 1))
    finer = halved(values, levels)
    assert finer[:: 2**levels] == values
    assert halved(values, levels + 1)[::2] == finer


def test_integers_are_rounded_down_between_and_uneven_values_are_not_halved():
    assert halved((1, 4), 1) == (1, 2, 4)
    assert halved((0.0, 1.0, 3.0), 1) is None
    assert halved((2.0,), 3) == (2.0,)


def test_a_width_is_run_once_and_only_the_variance_is_split_between_equal_ones():
    one = Lattice((0.0, 0.5, 1.0), (0.0, 0.1, 0.2), (1, 1, 2), 1)
    equal = Lattice((0.0, 0.5, 1.0), (0.0, 0.1, 0.2), (1, 1, 1), 1)
    assert list(equal.split(lambda start: str(start[0] > 0.4)))[1] == [(0.5, 0.0)]
    grid, further = one.split(lambda start: str(start[0] > 0.4))
    assert (grid, further) == ([(0.0, 0.0), (0.0, 0.2), (1.0, 0.0), (1.0, 0.2)], [(0.5, 0.0), (0.5, 0.2)])
    apart = Lattice((0.0, 0.5, 1.0), (0.0, 0.1, 0.2), (0.0, 0.1, 0.2), 1)  # as with the paper's learning rate
    assert len([start for new in apart.split(lambda start: str(start[0] > 0.4)) for start in new]) == 9


def test_what_is_not_known_splits_nothing():
    assert [len(new) for new in lattice(2).split(lambda start: None)] == [81, 0, 0]


def test_levels_leave_ids_and_the_configuration_without_them_as_they_were():
    plain, refined = config(), config(2, **{"task.noise": [0.5, 1.0]})
    assert "refine" not in plain.resolved()
    assert plain.digest == config(0).digest != config(2).digest
    assert not difference(config(1).resolved(), config(3).resolved())
    first, second, third = refined.levels(lambda replicates: str(replicates[0].initialization.threshold > 1))
    assert [spec.run_id for spec in first] == [spec.run_id for spec in refined.expand()]
    assert len({spec.run_id for spec in (*first, *second, *third)}) == len(first) + len(second) + len(third)
    assert {spec.run_id for spec in (*second, *third)} <= {spec.run_id for spec in refined.on_lattice()}
    raised = config(3, **{"task.noise": [0.5, 1.0]}).levels(lambda one: str(one[0].initialization.threshold > 1))
    assert [[spec.run_id for spec in level] for level in raised][:3] == [
        [spec.run_id for spec in level] for level in (first, second, third)
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"refine": {"levels": 11}}, "refine.levels: must be an integer from 0 to 10, found 11"),
        ({"refine": {"level": 1}}, "refine.level: is not a key, found 1; did you mean refine.levels?"),
        ({"refine": 3}, "refine: must be a table, found 3"),
        (
            {"refine": {"levels": 1}, "grid": GRID | {"gamma_w": [0.0, 1.0, 2.5]}},
            "grid.gamma_w: must be evenly spaced, such as { start, stop, num }, where refine.levels halves its steps",
        ),
        (
            {"refine": {"levels": 1}, "grid": {"gamma_sigma2": -1.0, "gamma_w": 2.0}},
            "refine.levels: needs two values of gamma_sigma2 or gamma_w",
        ),
        ({"refine": {"levels": 10}}, "refine.levels: must make at most 10^6 runs where every cell is split, found 10"),
    ],
)
def test_a_grid_that_cannot_be_refined_is_refused(changes, said):
    with pytest.raises(ConfigError) as error:
        parse_config({"name": "r", "grid": GRID} | changes)
    assert said in str(error.value)


def test_a_target_without_a_rank_has_no_regimes_to_refine_by(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("Y.npy", np.eye(3))
    told = {"name": "r", "grid": GRID, "refine": {"levels": 2}, "task": {"target": "Y.npy"}}
    with pytest.raises(ConfigError, match=r"refine.levels: must be 0 where task.rank does not tell a signal.*found 2"):
        parse_config(told)
    assert parse_config({**told, "task": {"target": "Y.npy", "rank": 1}}).refine_levels == 2

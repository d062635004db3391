"""Which runs are shown over time."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import Axis
from linphase.diagram.outcomes import outcomes
from linphase.diagram.sampling import FILL, _spreads, cell_of_each_regime, only_run, sampled_runs
from linphase.errors import LinphaseError
from linphase.figures.evolution import title_of

AXES = {"gamma_sigma2": np.linspace(-2.5, 0.5, 7).tolist(), "gamma_w": [0.0, 1.5, 2.0, 2.5]}


def grid(axes, dimension, rank, replicates=1):
    """Converged runs with the regimes of the limit of large d."""
    rows = []
    for (x, y), replicate in product(product(*axes.values()), range(replicates)):
        active = float(x + y < 1 - np.log(rank) / np.log(dimension) / 2), float(x + y < 0.5)
        rows.append({"gamma_sigma2": x, "gamma_w": y, "width": int(dimension**y), "rank": rank, "noise": 1.0,
                     "replicate": replicate, "status": "converged", "run_id": f"{x} {y} {replicate}",
                     "signal_active": active[0], "bulk_active": active[1]})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def runs():
    return grid(AXES, 10, 2, replicates=2)


def test_of_a_cell_the_first_replicate_that_finished_is_taken(runs):
    cell = runs[(runs["gamma_sigma2"] == -1.5) & (runs["gamma_w"] == 2.0)]
    run, replicates = only_run(cell)
    assert (run["replicate"], replicates) == (0, 2)
    assert title_of(run, "lazy", replicates).endswith("lazy, replicate 0")
    run, replicates = only_run(cell.assign(status=["failed", "converged"]))
    assert (run["replicate"], replicates) == (1, 1)


def test_a_failed_cell_and_no_runs_at_all_are_told(runs):
    with pytest.raises(LinphaseError, match="all runs of this cell failed"):
        only_run(runs.iloc[:2].assign(status="failed"))
    with pytest.raises(LinphaseError, match="no run yet"):
        only_run(runs.iloc[:0])


def columns_by_regime(runs, axes, gamma_w):
    """gamma_sigma2 of the cells of each regime at a width."""
    row = runs[(runs["gamma_w"] == gamma_w) & (runs["replicate"] == 0)]
    return row["gamma_sigma2"].groupby(outcomes(row)).apply(sorted).to_dict()


def test_each_regime_has_the_middle_cell_at_the_width_where_the_narrowest_regime_has_most_cells():
    axes = {"gamma_sigma2": np.linspace(-3, 0, 31).round(6).tolist(), "gamma_w": [0.0, 1.0, 1.75, 2.5]}
    runs = grid(axes, 10, 2, replicates=2)
    cells = cell_of_each_regime(runs, axes)
    assert list(cells) == ["lazy", "mixed", "balanced"]
    narrowest = {y: min(map(len, columns_by_regime(runs, axes, y).values())) for y in axes["gamma_w"][1:]}
    (gamma_w,) = {y for cell in cells.values() for y in cell["gamma_w"]}
    assert gamma_w == max(y for y in narrowest if narrowest[y] == max(narrowest.values()))
    for regime, cell in cells.items():
        of_regime = columns_by_regime(runs, axes, gamma_w)[regime]
        assert cell["gamma_sigma2"].tolist() == [of_regime[len(of_regime) // 2]] * 2
        assert cell["replicate"].tolist() == [0, 1]
        assert set(outcomes(cell)) == {regime}


def test_a_regime_that_is_at_another_width_alone_is_taken_there_and_one_that_is_nowhere_is_left_out(runs):
    wide = runs[runs["gamma_w"] == 2.5].assign(signal_active=0.0, bulk_active=0.0)  # lazy
    rest = runs[runs["gamma_w"].isin([1.5, 2.0])].assign(signal_active=1.0, bulk_active=1.0)  # balanced
    cells = cell_of_each_regime(pd.concat([wide, rest]), AXES)
    assert {regime: set(cell["gamma_w"]) for regime, cell in cells.items()} == {"lazy": {2.5}, "balanced": {1.5}}


def test_a_run_that_failed_or_diverged_stands_for_no_regime(runs):
    spoiled = runs.copy()
    chosen = cell_of_each_regime(runs, AXES)["lazy"]
    spoiled.loc[chosen.index[1:], "status"] = "failed"
    cell = cell_of_each_regime(spoiled, AXES)["lazy"]  # a tie of lazy and failed: another cell
    assert set(outcomes(cell)) == {"lazy"}
    with pytest.raises(LinphaseError, match="three-regimes: a cell that is lazy, mixed or balanced is required"):
        cell_of_each_regime(runs.assign(status="diverged"), AXES)


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 9, 11, 12, 20, 33, 200])
def test_small_diagrams_stand_evenly_over_the_whole_axis_each_over_its_cell(count):
    axis = Axis.of("gamma_sigma2", np.linspace(-3, 0, count).tolist())
    for spread in _spreads(axis):
        number = len(spread.middles)
        assert number == count if count <= 7 else number in (5, 6, 7)
        np.testing.assert_allclose(spread.middles, (np.arange(number) + 0.5) / number)
        assert spread.size == pytest.approx(FILL / number)
        assert len(set(spread.places)) == number
        assert (np.abs(spread.cells[list(spread.places)] - spread.middles) <= 0.5 / count + 1e-9).all()


def test_few_uneven_cells_have_small_diagrams_of_one_size_at_their_middles_which_do_not_meet():
    (spread,) = _spreads(Axis.of("gamma_w", [0.0, 1.5, 2.0, 2.5]))  # edges at -0.75, 0.75, 1.75, 2.25, 2.75
    np.testing.assert_allclose(spread.middles, [0.75 / 3.5, 2.25 / 3.5, 2.75 / 3.5, 3.25 / 3.5])
    assert spread.size == pytest.approx(FILL * 0.5 / 3.5)


def test_missing_and_failed_cells_have_no_small_diagram(runs):
    spoiled = runs[(runs["gamma_w"] != 0.0)].copy()
    spoiled.loc[spoiled["gamma_w"] == 1.5, "status"] = "failed"
    assert {one.place[0] for one in sampled_runs(spoiled, AXES)} == {2, 3}


@pytest.mark.parametrize("cells", [10, 15, 30, 50])
def test_every_regime_of_the_papers_window_is_among_the_sampled_cells_twice(cells):
    axes = {"gamma_sigma2": np.linspace(-3, 0, cells).tolist(), "gamma_w": np.linspace(0, 2.8, cells).tolist()}
    runs = grid(axes, 200, 5)
    shown = {one.run_id for one in sampled_runs(runs, axes)}
    met = outcomes(runs).groupby(runs["run_id"].isin(shown))
    sampled = Counter(met.get_group(True))
    assert set(sampled) == {"lazy", "mixed", "balanced", "underparameterized"}
    assert min(sampled.values()) >= 2

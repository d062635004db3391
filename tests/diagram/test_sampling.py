"""Which runs are shown over time."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.outcomes import outcomes
from linphase.diagram.sampling import _spreads, only_run, sampled_runs
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


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 9, 11, 12, 20, 33, 200])
def test_cells_are_sampled_at_equal_distances_from_the_whole_axis(count):
    for places in _spreads(count):
        assert len(places) == count if count <= 7 else 5 <= len(places) <= 7
        assert len(set(np.diff(places))) <= 1
        assert places[-1] - places[0] >= 0.6 * (count - 1)
        assert 0 <= places[0] <= places[-1] < count


def test_missing_and_failed_cells_have_no_small_diagram(runs):
    spoiled = runs[(runs["gamma_w"] != 0.0)].copy()
    spoiled.loc[spoiled["gamma_w"] == 1.5, "status"] = "failed"
    assert {row for row, _ in sampled_runs(spoiled, AXES)} == {2, 3}


@pytest.mark.parametrize("cells", [10, 15, 30, 50])
def test_every_regime_of_the_papers_window_is_among_the_sampled_cells_twice(cells):
    axes = {"gamma_sigma2": np.linspace(-3, 0, cells).tolist(), "gamma_w": np.linspace(0, 2.8, cells).tolist()}
    runs = grid(axes, 200, 5)
    met = outcomes(runs).groupby(runs["run_id"].isin(sampled_runs(runs, axes).values()))
    sampled = Counter(met.get_group(True))
    assert set(sampled) == {"lazy", "mixed", "balanced", "underparameterized"}
    assert min(sampled.values()) >= 2

"""The main job: the quickstart's phase diagram shows the regimes where theory has them, by all three measures."""

from pathlib import Path

import numpy as np
import pytest

from linphase.config.config import load_config
from linphase.diagram.outcomes import outcomes
from linphase.model.regime import CRITERIA, Cuts
from linphase.sweeps.sweeping import sweep
from linphase.theory.boundaries import ACTIVE_LAZY, MIXED_BALANCED, boundaries

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    config = load_config(ROOT / "configs" / "quickstart.toml")
    return config, sweep(config, tmp_path_factory.mktemp("quickstart") / "r")


def predicted(runs, config):
    """Regime by the finite-d lines, and the distance in gamma_sigma2 from the nearest of them."""
    task = config.task
    lines = {
        line.name: line.gamma_sigma2
        for line in boundaries(task.dimension, task.rank, task.noise, task.signal_norm, runs["gamma_w"].to_numpy())
        if line.kind == "finite d"
    }
    x = runs["gamma_sigma2"].to_numpy()
    lazy, balanced = x > lines[ACTIVE_LAZY], x < lines[MIXED_BALANCED]
    distance = np.minimum(np.abs(x - lines[ACTIVE_LAZY]), np.abs(x - lines[MIXED_BALANCED]))
    return np.where(lazy, "lazy", np.where(balanced, "balanced", "mixed")), distance


@pytest.mark.slow
def test_the_quickstart_converges_everywhere_over_the_whole_window(quickstart):
    config, results = quickstart
    runs = results.runs
    assert config.task.dimension == 64
    assert config.cells >= 16 * 16
    assert (runs["gamma_sigma2"].min(), runs["gamma_sigma2"].max()) == (-3.0, 0.0)
    assert (runs["gamma_w"].min(), runs["gamma_w"].max()) == (0.0, 2.8)
    assert len(runs) == config.runs
    assert set(runs["status"]) == {"converged"}


@pytest.mark.slow
@pytest.mark.parametrize("by", CRITERIA)
def test_the_regimes_lie_between_the_predicted_lines(quickstart, by):
    config, results = quickstart
    # The threshold is derived for wide networks: below width d the measures part (docs/theory.md, "Observables").
    runs = results.runs[results.runs["width"] > config.task.dimension]
    measured = outcomes(runs, cuts=Cuts(criterion=by)).to_numpy()
    expected, distance = predicted(runs, config)
    agree = measured == expected
    # A cell is 0.16 wide; the k signal modes of one draw spread by 17 %, that is 0.04 in gamma_sigma2, each way.
    assert agree[distance > 0.16].all()
    assert agree.mean() > 0.9
    for regime in ("lazy", "mixed", "balanced"):
        assert (measured == regime).sum() >= 20  # the bands are there

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from linphase import sweeping
from linphase.boundary import crossing, measured_boundaries
from linphase.cli import main
from linphase.config import parse_config
from linphase.theory import ACTIVE_LAZY, MIXED_BALANCED

X = np.array([-3.0, -2.0, -1.0, 0.0])


def test_the_crossing_is_interpolated_after_the_last_cell_above_the_cut():
    assert crossing(X, np.array([1.0, 0.75, 0.25, 0.0]), 0.5) == pytest.approx(-1.5)
    assert crossing(X, np.array([1.0, 1.0, 0.5, 0.0]), 0.5) == pytest.approx(-1.0)
    assert crossing(X, np.array([1.0, 0.2, 0.8, 0.2]), 0.5) == pytest.approx(-0.5)  # the last one counts


def test_a_share_that_does_not_cross_on_the_grid_has_no_crossing():
    rows = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert np.isnan(crossing(X, rows, 0.5)).all()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    grid = {"gamma_sigma2": np.linspace(-3, 0, 16), "gamma_w": [0.6, 1.5, 2.2], "replicates": 4}
    config = parse_config({"name": "b", "task": {"dimension": 24, "rank": 2}, "grid": grid}).predicted()
    return sweeping.sweep(config, tmp_path_factory.mktemp("b") / "r", jobs=1)


def test_theorys_own_runs_cross_at_theorys_boundaries(results):
    found = measured_boundaries(results.runs)
    assert {(b.name, b.width) for b in found} == {
        (name, width) for name in (ACTIVE_LAZY, MIXED_BALANCED) for width in (6, 117, 1087)
    }
    for b in found:
        assert b.replicates == 4
        assert b.asymptotic == pytest.approx((1 if b.name == ACTIVE_LAZY else 0.5) - np.log(b.width) / np.log(24))
        if np.isfinite(b.gamma_sigma2):
            assert b.low <= b.gamma_sigma2 <= b.high
            # A cell is 0.2 wide, and the finite-d value is that of the average draw.
            assert b.gamma_sigma2 == pytest.approx(b.finite_d, abs=0.2)


def test_one_replicate_has_no_interval_and_the_bootstrap_repeats(results):
    one = results.runs[results.runs["replicate"] == 0]
    assert all(np.isnan(b.low) and np.isnan(b.high) for b in measured_boundaries(one))
    first, again = measured_boundaries(results.runs), measured_boundaries(results.runs)
    assert [(b.low, b.high) for b in first if b.low == b.low] == [(b.low, b.high) for b in again if b.low == b.low]


def test_the_bootstrap_interval_narrows_as_replicates_agree():
    def runs(spread):
        rng = np.random.default_rng(0)
        rows = [
            {"gamma_sigma2": x, "gamma_w": 2.0, "width": 400, "replicate": r, "status": "converged", "rank": 2,
             "noise": 1.0, "dimension": 20, "signal_norm": None, "signal_active": 1 / (1 + np.exp(4 * (x - shift))),
             "bulk_active": 0.0}
            for r, shift in enumerate(-1.3 + spread * rng.standard_normal(8))
            for x in np.linspace(-3, 0, 31)
        ]  # fmt: skip
        (found,) = (b for b in measured_boundaries(pd.DataFrame(rows)) if b.name == ACTIVE_LAZY)
        return found

    wide, narrow = runs(0.2), runs(0.02)
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low) > 0
    assert narrow.gamma_sigma2 == pytest.approx(-1.3, abs=0.03)


def test_the_command_prints_a_table_and_json(results):
    shown = CliRunner().invoke(main, ["boundary", str(results.path)])
    assert shown.exit_code == 0
    assert "active | lazy" in shown.output
    facts = json.loads(CliRunner().invoke(main, ["boundary", str(results.path), "--json"]).output)
    assert len(facts) == 6
    assert {"name", "gamma_w", "gamma_sigma2", "low", "high", "finite_d", "asymptotic"} <= set(facts[0])


def test_the_command_draws_the_boundaries_on_the_diagram(results, tmp_path):
    done = CliRunner().invoke(main, ["boundary", str(results.path), "-o", str(tmp_path / "b.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")

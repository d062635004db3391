import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.measured import crossing, measured_boundaries
from linphase.model.regime import Cuts
from linphase.theory.boundaries import ACTIVE_LAZY, MIXED_BALANCED
from tests.figures.made import filled

X = np.array([-3.0, -2.0, -1.0, 0.0])


def test_the_crossing_is_interpolated_after_the_last_cell_above_the_cut():
    assert crossing(X, np.array([1.0, 0.75, 0.25, 0.0]), 0.5) == pytest.approx(-1.5)
    assert crossing(X, np.array([1.0, 1.0, 0.5, 0.0]), 0.5) == pytest.approx(-1.0)
    assert crossing(X, np.array([1.0, 0.2, 0.8, 0.2]), 0.5) == pytest.approx(-0.5)  # the last one counts


def test_a_share_that_does_not_cross_on_the_grid_crosses_beyond_the_end_on_whose_side_it_lies():
    rows = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert crossing(X, rows, 0.5).tolist() == [np.inf, -np.inf, np.inf]


# --- Tables made by hand, with what follows from them ----------------------------------------------------------------

PLACES = [-3.0, -2.0, -1.5, 0.0]
CUTS = Cuts(signal=0.7, bulk=0.3)


def table(*replicates):
    """A runs table of one width; of each replicate the shares along PLACES, by column."""
    common = {"gamma_w": 2.0, "width": 400, "status": "converged", "rank": 2, "noise": 1.0, "dimension": 20,
              "signal_norm": None, "signal_active": 0.0, "bulk_active": 0.0}  # fmt: skip
    return pd.DataFrame([
        common | {"gamma_sigma2": x, "replicate": r} | {name: share[i] for name, share in shares.items()}
        for r, shares in enumerate(replicates)
        for i, x in enumerate(PLACES)
    ])  # fmt: skip


def three():
    """Replicates that cross one behind the other; of the 27 draws of three one is thrice the first, one the last."""
    return table(*(
        {
            "signal_active": [1, signal, 0, 0],
            "bulk_active": [1, bulk, 0, 0],
            "signal_active_by_speedup": [1, 1, signal, 0],
            "bulk_active_by_speedup": [bulk, 0, 0, 0],
        }
        for signal, bulk in ((0.7, 0.3), (0.8, 0.4), (1.0, 0.5))
    ))  # fmt: skip


def places(runs, cuts=CUTS):
    """Place, low, high and grid step of both boundaries."""
    found = measured_boundaries(runs, cuts=cuts)
    assert [b.name for b in found] == [ACTIVE_LAZY, MIXED_BALANCED]
    return [(b.gamma_sigma2, b.low, b.high, b.grid_step) for b in found]


BY_THRESHOLD = [
    pytest.approx((-2 + 0.5 * 0.16, -2.0, -2 + 0.5 * 0.3, 0.5)),  # of the mean share 2.5/3
    pytest.approx((-2 + 0.5 * 0.25, -2.0, -2 + 0.5 * 0.4, 0.5)),
]


def test_both_boundaries_and_their_intervals_are_those_of_their_own_cuts():
    assert places(three()) == BY_THRESHOLD


def test_another_measure_reads_its_own_columns():
    assert places(three(), cuts=replace(CUTS, criterion="speedup")) == [
        pytest.approx((-1.5 + 1.5 * 0.16, -1.5, -1.5 + 1.5 * 0.3, 1.5)),
        pytest.approx((-3 + 0.25, -3.0, -3 + 0.4, 1.0)),
    ]


@pytest.mark.parametrize("lost", ["diverged", "failed", "missing"])
def test_a_replicate_that_lacks_a_run_counts_neither_for_the_place_nor_for_the_interval(lost):
    everywhere = {name: [1, 1, 1, 1] for name in ("signal_active", "bulk_active")}
    runs = pd.concat([three(), table(everywhere).assign(replicate=3)], ignore_index=True)
    if lost == "missing":
        runs = runs.drop(index=14)
    else:
        runs.loc[14, "status"] = lost
    assert places(runs) == BY_THRESHOLD
    assert [(b.replicates, b.runs) for b in measured_boundaries(runs)] == [(3, 12), (3, 12)]


def test_without_a_complete_replicate_nothing_is_measured():
    runs = three().drop(index=[1, 6, 11])
    for b in measured_boundaries(runs):
        assert (b.replicates, b.runs) == (0, 0)
        assert np.isnan([b.gamma_sigma2, b.low, b.high, b.grid_step, b.converged]).all()


def test_what_has_no_bulk_or_cannot_hold_the_signal_has_no_boundary():
    without_bulk = measured_boundaries(three().assign(bulk_active_by_speedup=None), cuts=Cuts("speedup"))
    assert [b.name for b in without_bulk] == [ACTIVE_LAZY]
    assert measured_boundaries(three().assign(width=1)) == []


def test_an_interval_reaches_beyond_the_grid_where_replicates_do():
    shares = ([0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1])
    signal, bulk = places(table(*({"signal_active": share} for share in shares)), cuts=Cuts(signal=0.5, bulk=0.3))
    assert signal == pytest.approx((-2 + 0.5 * 0.5, -np.inf, np.inf, 0.5))
    assert bulk[:3] == (-np.inf, -np.inf, -np.inf)


def test_the_share_of_converged_runs_is_told():
    runs = three()
    runs.loc[[0, 5, 6], "status"] = ["step_limit", "stopped_early", "step_limit"]
    assert [b.converged for b in measured_boundaries(runs)] == [0.75, 0.75]


def test_one_replicate_has_no_interval():
    (signal, bulk) = places(three()[:4])
    assert signal[0] == bulk[0] == -2
    assert np.isnan([signal[1:3], bulk[1:3]]).all()


# --- Theory's own runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    grid = {"gamma_sigma2": np.linspace(-3, 0, 16), "gamma_w": [0.6, 1.5, 2.2], "replicates": 2}
    config = parse_config({"name": "b", "task": {"dimension": 24, "rank": 2}, "grid": grid}).predicted()
    return filled(tmp_path_factory.mktemp("b") / "r", config)


def test_theorys_own_runs_cross_at_theorys_boundaries(results):
    found = measured_boundaries(results.runs)
    assert {(b.name, b.width) for b in found} == {
        (name, width) for name in (ACTIVE_LAZY, MIXED_BALANCED) for width in (6, 117, 1087)
    }
    for b in found:
        assert (b.replicates, b.runs, b.converged) == (2, 32, 1.0)
        assert b.asymptotic == pytest.approx((1 if b.name == ACTIVE_LAZY else 0.5) - np.log(b.width) / np.log(24))
        if b.width == 6:  # theory has it at 0.35 and 0.09, and the grid ends at 0
            assert b.gamma_sigma2 == b.low == b.high == np.inf
            continue
        assert b.low <= b.gamma_sigma2 <= b.high
        # A cell is 0.2 wide, and the finite-d value is that of the average draw.
        assert b.grid_step == pytest.approx(0.2)
        assert b.gamma_sigma2 == pytest.approx(b.finite_d, abs=0.2)


def test_the_bootstrap_repeats(results):
    first, again = ([(b.low, b.high) for b in measured_boundaries(results.runs)] for _ in range(2))
    assert first == again
    assert len(first) == 6
    assert not np.isnan(first).any()


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
    beyond, within = (next(f for f in facts if f["width"] == width) for width in (6, 117))
    assert (beyond["gamma_sigma2"], beyond["low"], beyond["high"], beyond["grid_step"]) == (None,) * 4
    assert within["grid_step"] == pytest.approx(0.2)
    assert within["converged"] == 1.0
    assert "above grid" in shown.output
    assert "100 %" in shown.output
    assert "not settled" not in shown.output


def test_the_command_says_that_without_convergence_mixed_and_balanced_are_not_settled(tmp_path, capsys):
    grid = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.0, 2.0], "replicates": 2}
    short = {"kind": "gd", "learning_rate": "paper", "max_steps": 3}
    config = parse_config({"name": "s", "task": {"dimension": 8, "rank": 2}, "grid": grid, "dynamics": short})
    filled(tmp_path / "r", config)
    main(["boundary", str(tmp_path / "r"), "--json"], standalone_mode=False)
    out, errors = capsys.readouterr()
    assert {fact["converged"] for fact in json.loads(out)} == {0.0}
    assert "12 of 12 runs did not converge: the mixed | balanced boundary is not settled" in errors


def test_the_command_draws_the_boundaries_on_the_diagram(results, tmp_path):
    done = CliRunner().invoke(main, ["boundary", str(results.path), "-o", str(tmp_path / "b.png")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")

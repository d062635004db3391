import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.stats import t

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.measured import (
    BENEFIT,
    LEARNING_ORDER,
    boundaries_of,
    boundaries_of_path,
    crossing,
    first_crossing,
    log_ratios,
    measured_boundaries,
    table_row,
    untold,
)
from linphase.model.observables import Modes
from linphase.model.regime import CRITERIA, Cuts
from linphase.store.results import load
from linphase.store.rows import asked_for
from linphase.theory.asymptotic import TypicalTask, benefit_threshold, learning_order_threshold
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY
from tests.figures.made import filled

X = np.array([-3.0, -2.0, -1.0, 0.0])
ALL = np.ones(4, dtype=bool)


def test_the_crossing_is_interpolated_after_the_last_cell_above_zero():
    assert crossing(X, np.array([3.0, 1.0, -1.0, -3.0]), ALL) == pytest.approx((-1.5, 1))
    assert crossing(X, np.array([1.0, 0.5, 0.0, -1.0]), ALL) == pytest.approx((-1, 1))
    assert crossing(X, np.array([1.0, -1.0, 3.0, -1.0]), ALL) == pytest.approx((-0.25, 1))  # the last one counts


@pytest.mark.parametrize(("height", "missing", "place"), [
    ([1, 1, 1, 1], [], np.inf),
    ([-1, -1, -1, -1], [], -np.inf),
    ([1, 1, 1, -1], [3], np.nan),  # a diverged last cell is not "above grid"
    ([-1, -1, -1, -1], [0], np.nan),
    ([1, 1, -1, -1], [0, 3], -1.5),  # what is missing elsewhere does not matter
    ([1, 1, -1, -1], [1], np.nan),
    ([1, 1, -1, -1], [2], np.nan),
])  # fmt: skip
def test_a_crossing_has_both_its_neighbours_and_lies_beyond_the_grid_only_past_its_end(height, missing, place):
    there = ALL.copy()
    there[missing] = False
    found, _ = crossing(X, np.array(height, dtype=float), there)
    assert found == place or (np.isnan(found) and np.isnan(place))


# --- Tables made by hand, with what follows from them ----------------------------------------------------------------

PLACES = [-3.0, -2.0, -1.5, 0.0]


def table(*crossings):
    """A runs table of one width, whose replicates cross at these places: signal, and bulk half a unit before."""
    common = {"gamma_w": 2.0, "width": 400, "status": "converged", "rank": 2, "noise": 1.0, "dimension": 20,
              "signal_norm": None}  # fmt: skip
    return pd.DataFrame([
        common | {"gamma_sigma2": x, "replicate": r, "signal_log_ratio": 3 * (at - x), "bulk_log_ratio": at - 0.5 - x}
        for r, at in enumerate(crossings)
        for x in PLACES
    ])  # fmt: skip


def test_a_run_that_is_missing_is_not_confused_with_one_that_has_nothing_to_measure():
    runs = table(-1.9, -1.7)
    assert untold(measured_boundaries(runs)) is None
    nothing = runs.assign(bulk_log_ratio=np.nan)  # finished, all of them
    assert "are finished and have nothing that it is measured by (mixed | balanced)" in untold(
        measured_boundaries(nothing)
    )
    failed = runs.assign(status=np.where(runs["replicate"] == 0, "failed", "converged"))
    assert "a run is missing, failed or diverged" in untold(measured_boundaries(failed))


def test_boundary_and_interval_are_those_of_students_t():
    crossings = np.array([-1.9, -1.7, -1.2, -0.4])
    signal, bulk = measured_boundaries(table(*crossings))
    half = t.ppf(0.975, 3) * crossings.std(ddof=1) / 2
    assert (signal.name, bulk.name) == (MIXED_LAZY, MIXED_BALANCED)
    for one, shift in ((signal, 0), (bulk, -0.5)):
        assert one.gamma_sigma2 == pytest.approx(crossings.mean() + shift)
        assert (one.low, one.high) == pytest.approx((one.gamma_sigma2 - half, one.gamma_sigma2 + half))
        assert (one.replicates, one.runs, one.cells, one.configured_cells, one.note) == (4, 16, 4, 4, "")
    assert signal.grid_step == pytest.approx((0.5 + 0.5 + 1.5 + 1.5) / 4)


@pytest.mark.parametrize("replicates", [1, 2])
def test_fewer_than_three_replicates_have_no_interval(replicates):
    for one in measured_boundaries(table(*[-1.7, -1.2][:replicates])):
        assert np.isfinite(one.gamma_sigma2)
        assert np.isnan([one.low, one.high]).all()


def without(runs, lost, index):
    """The table with one run diverged, failed or missing; its row stays, for it was asked for."""
    runs.loc[index, ["signal_log_ratio", "bulk_log_ratio"]] = np.nan
    runs.loc[index, "status"] = None if lost == "missing" else lost
    return runs


@pytest.mark.parametrize("lost", ["diverged", "failed", "missing"])
def test_a_replicate_that_lacks_a_run_beside_its_crossing_is_not_counted_and_that_is_told(lost):
    runs = without(table(-1.7, -1.6, -1.55, -1.8), lost, 14)  # the last before 0 of the fourth
    signal, bulk = measured_boundaries(runs)
    expected, _ = measured_boundaries(table(-1.7, -1.6, -1.55))
    assert signal.gamma_sigma2 == expected.gamma_sigma2
    assert np.isnan([signal.low, signal.high]).all()  # the lost may be those that cross elsewhere
    assert (signal.replicates, signal.configured_replicates, signal.note) == (3, 4, "3 of 4 replicates")
    assert (signal.cells, signal.runs) == (3, 12)
    # The bulk crosses half a unit before, where the lost run is no neighbour.
    assert (bulk.replicates, bulk.note) == (4, "")


def test_an_unfinished_sweep_has_boundaries_only_between_cells_that_are_there():
    x = np.linspace(-3, 0, 20)
    runs = table(-1.94).iloc[[0] * 20].assign(gamma_sigma2=x, signal_log_ratio=-1.94 - x, bulk_log_ratio=-2.4 - x)
    runs = without(runs.reset_index(drop=True), "missing", [i for i in range(20) if i not in (4, 16, 19)])
    signal, bulk = measured_boundaries(runs)
    assert np.isnan([signal.gamma_sigma2, bulk.gamma_sigma2, signal.low, signal.grid_step]).all()
    assert signal.note == bulk.note == "3 of 20 cells"
    assert (signal.cells, signal.configured_cells, signal.replicates) == (3, 20, 0)


def test_a_width_whose_runs_all_diverged_has_its_line_without_a_value():
    for one in measured_boundaries(without(table(-1.7, -1.5), "diverged", range(8))):
        assert np.isnan([one.gamma_sigma2, one.converged]).all()
        assert one.note == "0 of 4 cells"
        assert "-" in table_row(one)


def test_replicates_that_cross_on_and_beyond_the_grid_have_no_mean():
    signal, _ = measured_boundaries(table(-1.7, -1.2, 0.5))
    assert np.isnan(signal.gamma_sigma2)
    assert signal.note == "2 of 3 replicates cross on the grid"
    signal, _ = measured_boundaries(table(0.7, 0.2, 0.5))
    assert (signal.gamma_sigma2, signal.note) == (np.inf, "")


def test_the_share_of_converged_runs_is_told():
    runs = table(-1.7, -1.5, -1.2)
    runs.loc[[0, 5, 6], "status"] = ["step_limit", "stopped_early", "step_limit"]
    assert [one.converged for one in measured_boundaries(runs)] == [0.75, 0.75]


def test_what_has_no_bulk_or_cannot_hold_the_signal_has_no_boundary():
    for changes in ({"noise": 0.0}, {"rank": 20}, {"width": 2}):
        assert [one.name for one in measured_boundaries(table(-1.5).assign(**changes))] == [MIXED_LAZY]
    assert measured_boundaries(table(-1.5).assign(width=1)) == []


# --- The quantity that crosses ---------------------------------------------------------------------------------------


def test_every_criterion_measures_what_stands_for_s_over_c():
    s, c = np.geomspace(1e-6, 1e6, 40), 0.3
    modes = Modes(s, s / np.hypot(s, c), np.hypot(1, s / c), s)
    for criterion in CRITERIA.values():
        # Below 1/2 the speed-up's has a tail of its own; far above, the balance holds s/c to the root of rounding.
        near = (s / c > 0.5) & (s / c < 1e3)
        np.testing.assert_allclose(criterion.ratio(modes, c)[near], (s / c)[near], rtol=1e-6)
        np.testing.assert_array_equal(criterion.active(modes, c), s > c)
        assert (np.diff(criterion.ratio(modes, c)) >= 0).all()


def test_a_speed_up_below_one_does_not_throw_the_crossing_onto_the_grid():
    runs = pd.DataFrame({"run_id": ["a"], "threshold": 1.0, "rank": 1})
    values = {"singular_value": 1.0, "balance": 0.5, "speed_up": 0.95, "target": 1.0}
    modes = pd.DataFrame({"run_id": ["a"], "mode": 0, **values})
    assert -2 < log_ratios(runs, modes, Cuts("speedup"))["signal_log_ratio"][0] < -1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mode_of_balance_one_is_active_in_any_precision(dtype):
    modes = Modes(*(np.array([0.0, 0.5, 1.0], dtype) for _ in range(4)))
    assert CRITERIA["balance"].active(modes, 0.3).tolist() == [False, False, True]  # and nothing is divided by 0


@pytest.mark.parametrize("cut", [0.3, 0.5, 0.75])
def test_the_log_ratio_passes_zero_where_the_share_of_active_modes_passes_its_cut(cut):
    rng = np.random.default_rng(0)
    runs = pd.DataFrame({"run_id": [f"r{i}" for i in range(200)], "threshold": rng.lognormal(size=200), "rank": 5})
    modes = pd.DataFrame({
        "run_id": np.repeat(runs["run_id"], 26), "mode": np.tile(range(26), 200),
        "singular_value": rng.lognormal(size=5200), "balance": 0.5, "speed_up": 1.5, "target": 1.0,
    })  # fmt: skip
    found = log_ratios(runs, modes, Cuts(signal=cut, bulk=cut))
    active = modes["singular_value"].to_numpy().reshape(200, 26) > runs["threshold"].to_numpy()[:, None]
    for column, of in (("signal_log_ratio", active[:, :5]), ("bulk_log_ratio", active[:, 5:])):
        # Between (n - 1) cut and (n - 1) cut + 1 active modes the quantile interpolates.
        count, least = of.sum(axis=1), cut * (of.shape[1] - 1)
        assert (found[column][count >= least + 1] > 0).all()
        assert (found[column][count <= least] <= 0).all()


# --- Theory's own runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    grid = {"gamma_sigma2": np.linspace(-3, 0, 16), "gamma_w": [0.6, 1.5, 2.2], "replicates": 3}
    stop = {"excess_error": 1e-6}  # at 1e-3 the bulk is left 4 % short, and its boundary with it
    config = parse_config({"name": "b", "task": {"dimension": 24, "rank": 2}, "grid": grid, "stop": stop}).predicted()
    return filled(tmp_path_factory.mktemp("b") / "r", config)


@pytest.mark.parametrize("criterion", list(CRITERIA))
def test_theorys_own_runs_cross_where_their_targets_say_and_not_on_the_middles_of_cells(results, criterion):
    found = [one for one in boundaries_of(results, Cuts(criterion)) if one.name in (MIXED_LAZY, MIXED_BALANCED)]
    assert {(b.name, b.width) for b in found} == {
        (name, width) for name in (MIXED_LAZY, MIXED_BALANCED) for width in (6, 117, 1087)
    }
    modes = results.final_modes().merge(results.runs[["run_id", "replicate", "width", "rank"]], on="run_id")
    for b in found:
        assert (b.replicates, b.runs, b.converged) == (3, 48, 1.0)
        assert b.asymptotic == pytest.approx((1 if b.name == MIXED_LAZY else 0.5) - np.log(b.width) / np.log(24))
        if b.width == 6:  # theory has it at 0.35 and 0.09, and the grid ends at 0
            assert b.gamma_sigma2 == np.inf
            continue
        here = modes[(modes["width"] == b.width) & ((modes["mode"] < modes["rank"]) == (b.name == MIXED_LAZY))]
        S = here.assign(log=np.log(here["target"])).groupby(["replicate", "run_id"])["log"].median()
        exact = S.groupby("replicate").first().mean() / np.log(24) - np.log(b.width) / np.log(24)
        # The runs end with a train error of 1e-6 left, by which A is short of Y.
        assert b.gamma_sigma2 == pytest.approx(exact, abs=1e-3)
        assert b.low < b.gamma_sigma2 < b.high
        assert b.grid_step == pytest.approx(0.2)


# --- The path ---------------------------------------------------------------------------------------------------------


def test_theorys_own_runs_change_their_path_where_the_typical_task_does(tmp_path):
    grid = {"gamma_sigma2": np.linspace(-1.9, -1.2, 8).round(3), "gamma_w": [2.0], "replicates": 16}
    config = parse_config({"name": "p", "task": {"dimension": 64, "rank": 4}, "grid": grid}).predicted()
    results, task = filled(tmp_path / "r", config), TypicalTask(64, 4)
    found = {one.name: one for one in boundaries_of(results)}
    for name, threshold in ((LEARNING_ORDER, learning_order_threshold), (BENEFIT, benefit_threshold)):
        one, exact = found[name], np.log(threshold(task)) / np.log(64) - 2.0
        assert one.finite_d == pytest.approx(exact, abs=1e-9)
        # The typical task has no spread of its signal modes: of 60 draws the learning order is 0.015(3) off.
        assert one.gamma_sigma2 == pytest.approx(exact, abs=0.02)
        assert one.asymptotic == -1.0
        (alone,) = boundaries_of_path(results, {LEARNING_ORDER: "learning_order", BENEFIT: "benefit"}[name])
        assert repr(alone) == repr(one)  # nan is not nan
    # The path asks no criterion.
    for criterion in CRITERIA:
        for one in boundaries_of(results, Cuts(criterion)):
            assert one.name in (MIXED_LAZY, MIXED_BALANCED) or repr(one) == repr(found[one.name])
    assert boundaries_of_path(results, "min_test_error") == []


def test_of_the_path_the_first_crossing_counts_where_a_noisy_start_makes_the_height_rise_again():
    x = np.arange(-3.0, 2.0)
    there = np.ones(5, dtype=bool)
    again = np.array([1.0, -1.0, 3.0, 1.0, -3.0])
    assert first_crossing(x, again, there) == pytest.approx((-2.5, 1))
    assert crossing(x, again, there) == pytest.approx((0.25, 1))
    assert first_crossing(x, -again, there) == pytest.approx((-1.75, 1))  # it falls from above, wherever that begins
    assert first_crossing(x, np.full(5, -1.0), there)[0] == -np.inf
    assert first_crossing(x, np.full(5, 1.0), there)[0] == np.inf
    assert np.isnan(first_crossing(x, np.array([1.0, 1.0, -1.0, -1.0, 1.0]), there & (x != -1))[0])

    cells = len(PLACES)
    rising = table(-1.25).assign(learning_order_log_ratio=[1.0, -1.0, 1.0, -1.0], benefit_log_ratio=np.ones(cells))
    signal, _, order, benefit = measured_boundaries(rising)
    assert (signal.gamma_sigma2, order.gamma_sigma2) == pytest.approx((-1.25, -2.5))
    assert (order.name, benefit.name, benefit.gamma_sigma2) == (LEARNING_ORDER, BENEFIT, np.inf)


def test_results_of_before_have_the_boundaries_of_the_end_alone(results):
    older = replace(results, runs=results.runs.drop(columns=["learning_order", "benefit"]))
    now = boundaries_of(results)
    assert [one.name for one in now[6:]] == [LEARNING_ORDER] * 3 + [BENEFIT] * 3
    assert repr(boundaries_of(older)) == repr(now[:6])
    emptied = replace(results, runs=results.runs.assign(learning_order=np.nan, benefit=pd.NA))  # not yet filled
    assert repr(boundaries_of(emptied)) == repr(now[:6])
    assert boundaries_of_path(older, "benefit") == []


# --- As tables and figures -------------------------------------------------------------------------------------------


def test_the_command_tells_on_a_terminal_in_80_columns_to_pipes_with_tabs_and_in_json(results, tmp_path):
    shown = CliRunner().invoke(main, ["boundary", str(results.path)])
    assert shown.exit_code == 0
    head, *lines = [line.split("\t") for line in shown.output.splitlines()]
    assert head[:5] == ["boundary", "facet", "gamma_w", "width", "gamma_sigma2"]
    assert {len(line) for line in lines} == {len(head)}
    assert len(lines) == 12  # two of the end and two of the path, at three widths
    assert "above grid" in shown.output
    assert "not settled" not in shown.output
    facts = json.loads(CliRunner().invoke(main, ["boundary", str(results.path), "--json"]).output)
    assert len(facts) == 12
    assert {"name", "gamma_w", "gamma_sigma2", "low", "high", "finite_d", "asymptotic", "note"} <= set(facts[0])
    beyond, within = (next(f for f in facts if f["width"] == width) for width in (6, 117))
    assert (beyond["gamma_sigma2"], beyond["low"], beyond["high"], beyond["grid_step"]) == (None,) * 4
    assert beyond["note"] == "above grid"
    assert within["grid_step"] == pytest.approx(0.2)
    for suffix in ("csv", "json"):
        done = CliRunner().invoke(main, ["boundary", str(results.path), "-o", str(tmp_path / f"b.{suffix}")])
        assert done.exit_code == 0
    assert json.loads((tmp_path / "b.json").read_text()) == facts
    stored = pd.read_csv(tmp_path / "b.csv")
    assert list(stored["boundary"]) == [fact["name"] for fact in facts]
    np.testing.assert_array_equal(stored["gamma_sigma2"], [fact["gamma_sigma2"] or np.nan for fact in facts])


def test_a_block_on_a_terminal_is_no_wider_than_80_columns(results, monkeypatch):
    from rich.console import Console

    console = Console(width=80, force_terminal=True, record=True, file=StringIO())
    monkeypatch.setattr("linphase.cli.boundary.console", lambda: console)
    assert CliRunner().invoke(main, ["boundary", str(results.path)]).exit_code == 0
    text = console.export_text()
    assert text.count("gamma_sigma2 at") == 4
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "converged" not in text  # all did
    assert "width 6: 1 of 3 replicates cross on the grid" in text  # below its block, whose columns it would narrow


def test_the_command_warns_where_runs_beside_a_boundary_are_not_there(tmp_path):
    grid = {"gamma_sigma2": [-2.5, -2.0, -1.5, -1.0, 0.0], "gamma_w": [2.0]}
    config = parse_config({"name": "s", "task": {"dimension": 24, "rank": 2}, "grid": grid}).predicted()
    results = filled(tmp_path / "r", config, keep=lambda spec: spec.initialization.gamma_sigma2 not in (-1.5, -1.0))
    assert [one.note for one in boundaries_of(results)] == ["3 of 5 cells"] * 4
    done = CliRunner().invoke(main, ["boundary", str(tmp_path / "r")])
    assert "warning: 4 of 4 boundaries have no value" in done.output
    assert "3 of 5 cells" in done.output


def test_grids_of_several_configurations_and_runs_of_none_are_told_apart(tmp_path):
    def predicted(grid):
        return parse_config({"name": "s", "task": {"dimension": 24, "rank": 2}, "grid": grid}).predicted()

    coarse = predicted({"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [2.0]})
    alone = boundaries_of(filled(tmp_path / "r", coarse))
    results = filled(tmp_path / "r", predicted({"gamma_sigma2": [-2.2, -0.7], "gamma_w": [2.2]}))
    both = boundaries_of(results)
    assert repr([one for one in both if one.width == alone[0].width]) == repr(alone)  # nan is not nan
    assert {one.configured_cells for one in both} == {3, 2}
    assert all(np.isfinite(one.gamma_sigma2) for one in both)
    other = predicted({"gamma_sigma2": [1.0], "gamma_w": [2.0]})
    filled(tmp_path / "r", other)
    (tmp_path / "r/configs" / f"{other.digest}.json").unlink()
    with pytest.warns(UserWarning, match="1 rows are of runs that no configuration here asks for"):
        assert repr(boundaries_of(load(tmp_path / "r"))) == repr(both)


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


@pytest.mark.parametrize(("name", "message"), [
    ("b.txt", "a name ending in .csv, .json, .png, .pdf or .svg is required"),
    ("nowhere/b.csv", "an existing directory is required"),
])  # fmt: skip
def test_a_file_that_cannot_be_written_is_refused_before_the_work(results, tmp_path, name, message):
    done = CliRunner().invoke(main, ["boundary", str(results.path), "-o", str(tmp_path / name)])
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.slow
def test_the_interval_holds_the_boundary_as_often_as_it_says():
    from benchmarks.boundary_coverage import OUT, simulated

    found = simulated(24, (1, 4), (3, 10), 400)
    # Four standard errors of 400 repetitions: 0.95 +- 0.044.
    assert found["coverage"].between(0.906, 0.994).all()
    stored = pd.read_csv(OUT / "coverage.csv")  # 2,000 repetitions at d = 32
    assert len(stored) == 24
    assert stored["coverage"].between(0.93, 0.97).all()


def test_a_run_better_than_optimal_shrinkage_does_not_pull_the_boundary_onto_a_cell():
    x = np.array([-3.0, -2.0, -1.0])
    found = log_ratios(
        pd.DataFrame({"run_id": list("abc"), "threshold": 1.0, "rank": 1, "benefit": [-0.035, 0.2, 1.421]}),
        pd.DataFrame({"run_id": [], "mode": [], "singular_value": [], "balance": [], "speed_up": [], "target": []}),
    )["benefit_log_ratio"].to_numpy()
    assert found[0] < 5  # as log(0.5/0.01), and not as that of a benefit of 1e-300
    there = np.ones(3, dtype=bool)
    place, _ = first_crossing(x, found, there)
    assert place == pytest.approx(-2 + np.log(2.5) / np.log(1.421 / 0.2))


def test_what_a_facet_asks_for_is_written_out_once_however_many_runs_it_has(tmp_path, monkeypatch):
    grid = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.5, 2.0], "task.rank": [1, 2], "replicates": 2}
    config = parse_config({"name": "facets", "task": {"dimension": 8}, "grid": grid}).predicted()
    results = filled(tmp_path / "r", config)
    asked = []
    monkeypatch.setattr("linphase.store.asked.asked_for", lambda spec: asked.append(spec) or asked_for(spec))
    boundaries_of(results)
    assert [spec.task.rank for spec in asked] == [1, 2]

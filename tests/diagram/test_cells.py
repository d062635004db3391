"""What cells show of their runs."""

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import Window
from linphase.diagram.cells import cells_of
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import find_panel, known_panels
from linphase.diagram.ranges import span_of
from linphase.model.regime import AGREED, Cuts, majority
from tests.figures.made import GAMMA_SIGMA2, GAMMA_W, run, table


@pytest.fixture(scope="module")
def runs():
    return table(*(run(x, y) for y in GAMMA_W[1:] for x in GAMMA_SIGMA2)).iloc[1:]


@pytest.mark.parametrize("axes", [("gamma_sigma2", "gamma_w"), ("init_variance", "width")])
@pytest.mark.parametrize("name", known_panels())
def test_every_panel_has_cells_and_a_span_over_exponents_and_over_variance_and_width(runs, axes, name):
    window = Window.of({column: sorted(set(runs[column])) for column in axes})
    assert window.x.logarithmic == window.y.logarithmic == (axes[1] == "width")
    panel = find_panel(name, Cuts(), runs)
    cells = cells_of(runs, window, panel, Cuts())
    shown = np.isfinite(cells.numbers)
    assert shown.sum() + len(cells.outcomes) == shown.size
    assert cells.outcomes[0, 0] == ("missing",)
    assert (span_of(cells.numbers, panel) is None) == (panel.scale == "outcome") == (not shown.any())


def test_regimes_whose_criteria_agree_on_few_modes_are_disputed_by_the_mean_over_replicates(runs):
    window = Window.of({"gamma_sigma2": GAMMA_SIGMA2.tolist(), "gamma_w": GAMMA_W.tolist()})
    doubted = runs.assign(replicate=0)
    doubted.loc[[10, 20, 30], "evidence_agreement"] = [0.79, 0.7, AGREED]
    doubted.loc[33, ["status", "evidence_agreement"]] = ["diverged", np.nan]
    doubted.loc[12, ["signal_active", "evidence_agreement", "width"]] = [np.nan, 0.1, 3]  # width < k: no regime
    agreeing = doubted.loc[[20]].assign(replicate=1, run_id="another", evidence_agreement=1.0)
    first, second = doubted, pd.concat([doubted, agreeing], ignore_index=True)
    place = {i: (1 + i // 7, i % 7) for i in (10, 20)}

    def disputed(table, name="regime"):
        return cells_of(table, window, find_panel(name, Cuts(), table), Cuts()).disputed

    assert disputed(first) == [place[10], place[20]]
    assert disputed(second) == [place[10]]  # (0.7 + 1)/2 = 0.85
    for name in ("test-error", "status", "agreement"):
        assert disputed(first, name) == []
    assert disputed(first.drop(columns="evidence_agreement")) == []


@pytest.fixture(scope="module")
def replicated(runs):
    """Up to four replicates of the cells: some without a run, some with ties, some that diverged or lack a number."""
    random = np.random.default_rng(5)
    many = pd.concat([runs] * 4).sample(frac=0.5, random_state=5).reset_index(drop=True)
    many["status"] = random.choice(["converged", "step_limit", "diverged", "failed"], len(many), p=[0.5, 0.2, 0.2, 0.1])
    for name in ("min_test_error", "crossing_time"):
        numbers = many[name].to_numpy(dtype=float, na_value=np.nan)
        many[name] = np.where(random.random(len(many)) < 0.3, random.choice([0.0, np.nan, np.inf], len(many)), numbers)
    many["signal_active"] = random.choice([0.0, 1.0], len(many))
    return many


@pytest.mark.parametrize("name", ["regime", "status", "test-error", "crossing-time"])
def test_cells_are_those_of_a_loop_over_runs(replicated, name):
    window = Window.of({"gamma_sigma2": GAMMA_SIGMA2.tolist(), "gamma_w": GAMMA_W.tolist()})
    panel = find_panel(name, Cuts(), replicated)
    cells = cells_of(replicated, window, panel, Cuts())
    words = outcomes(replicated) if name == "regime" else replicated["status"]
    ended = ~replicated["status"].isin(["diverged", "failed"])
    strayed = replicated["status"] == "step_limit"
    for row, y in enumerate(GAMMA_W):
        for column, x in enumerate(GAMMA_SIGMA2):
            here = (replicated["gamma_w"] == y) & (replicated["gamma_sigma2"] == x)
            shown, number = cells.outcomes.get((row, column)), cells.numbers[row, column]
            kept = [] if panel.column in (None, "status") else replicated.loc[here & ended, panel.column]
            kept = [value for value in kept if np.isfinite(value)]
            if not here.any():
                assert shown == ("missing",)
            elif kept and not (panel.null and np.mean(kept) == 0):
                assert number == pytest.approx(np.mean(kept), rel=1e-15)
            elif kept:
                assert shown == ("start",)
            elif panel.column not in (None, "status") and (here & ended).any():
                assert shown == ("undefined",)
            else:
                assert set(shown) == set(majority(list(words[here])))
            hatched = here & strayed
            assert ((row, column) in cells.unconverged) == (hatched.any() and name != "status")

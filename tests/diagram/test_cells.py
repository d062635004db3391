"""What cells show of their runs."""

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import Window
from linphase.diagram.cells import cells_of
from linphase.diagram.panels import find_panel, known_panels, span_of
from linphase.model.regime import AGREED, Cuts
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

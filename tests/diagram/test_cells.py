"""What cells show of their runs."""

import numpy as np
import pytest

from linphase.diagram.axes import Window
from linphase.diagram.cells import cells_of
from linphase.diagram.panels import find_panel, known_panels, span_of
from linphase.model.regime import Cuts
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

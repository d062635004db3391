"""What the branch `figures` has in diagram/panels and diagram/lines: deleted at the merge, with its imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from linphase.diagram.axes import Window
from linphase.diagram.lines import Line
from linphase.diagram.panels import PANELS, Panel, holds
from linphase.diagram.panels import find_panel as find_declared
from linphase.dynamics.base import Dynamics
from linphase.errors import LinphaseError
from linphase.figures.overlays import draw_lines
from linphase.model.regime import Cuts
from linphase.store.columns import Column


def known_panels(columns: Mapping[str, Column]) -> dict[str, Panel]:
    """Every panel that is declared here, or that a stored column tells of."""
    found = dict(PANELS)
    for told in columns.values():
        if told.panel and told.panel not in found:
            scale: Any = told.scale if told.scale in ("linear", "ln", "share") else "log"
            colors = told.colors if told.colors in mpl.colormaps else "viridis"
            found[told.panel] = Panel(told.panel, told.title, told.name, scale, colors, told.unit, told.formula)
    return found


def find_panel(name: str, cuts: Cuts, runs: pd.DataFrame, columns: Mapping[str, Column]) -> Panel:
    """The panel of a name for these runs and cuts."""
    if name in PANELS:
        return find_declared(name, cuts, runs)
    panel = known_panels(columns)[name]
    if not holds(runs, panel):
        raise LinphaseError(f"panel {name} needs column {panel.column}, which these results do not hold")
    return panel


def theory_lines(runs: pd.DataFrame, window: Window) -> list[Line]:
    """Theory's boundaries in the coordinates of a diagram."""
    return draw_lines(Figure().add_subplot(), runs, window, banded=False)


def made_by_theory(runs: pd.DataFrame) -> bool:
    """Whether no run moved the weights of a start; what is not declared here is taken to."""
    theories = [name for name, kind in Dynamics.members.items() if not kind.moves_weights]
    return bool(runs["kind"].isin(theories).all())

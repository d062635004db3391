"""Figures from stored results: phase diagrams and single runs. Tables go in, matplotlib Figures come out.

Figures are built without pyplot, so nothing global is touched and nothing needs a display. Cells are drawn as
they were run: one rectangle each, reaching half way to its neighbours, never interpolated.
"""

from linphase.figures.against import against
from linphase.figures.axes import MAX_FACETS, cell_edges
from linphase.figures.collapse import collapse
from linphase.figures.diagrams import all_panels, phase_diagram
from linphase.figures.evidence import evidence
from linphase.figures.files import FORMATS, check_format, save
from linphase.figures.panels import OVERVIEW, PANELS, Panel
from linphase.figures.run import run_figure
from linphase.figures.style import COLUMN_WIDTH, LOOKS, PAGE_WIDTH, Look

__all__ = [
    "COLUMN_WIDTH",
    "FORMATS",
    "LOOKS",
    "MAX_FACETS",
    "OVERVIEW",
    "PAGE_WIDTH",
    "PANELS",
    "Look",
    "Panel",
    "against",
    "all_panels",
    "cell_edges",
    "check_format",
    "collapse",
    "evidence",
    "phase_diagram",
    "run_figure",
    "save",
]

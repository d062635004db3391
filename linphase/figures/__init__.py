"""Figures from stored results: phase diagrams and single runs. Tables go in, matplotlib Figures come out.

Figures are built without pyplot, so nothing global is touched and nothing needs a display. Cells are drawn as
they were run: one rectangle each, reaching half way to its neighbours, never interpolated.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linphase.figures.axes import MAX_FACETS, cell_edges
    from linphase.figures.collapsing import collapse
    from linphase.figures.diagrams import all_panels, phase_diagram
    from linphase.figures.files import FORMATS, check_format, save
    from linphase.figures.measures import evidence
    from linphase.figures.multiples import sampled_runs, trajectory_map
    from linphase.figures.panels import FIGURES, OVERVIEW, PANELS, Panel, find_panel
    from linphase.figures.run import run_figure
    from linphase.figures.selection import select
    from linphase.figures.style import COLUMN_WIDTH, LOOKS, PAGE_WIDTH, STYLES, Look
    from linphase.figures.terminal import terminal_diagram
    from linphase.figures.timelines import nearest_run, title_of, trajectory_figure
    from linphase.figures.versus import against

__all__ = [
    "COLUMN_WIDTH",
    "FIGURES",
    "FORMATS",
    "LOOKS",
    "MAX_FACETS",
    "OVERVIEW",
    "PAGE_WIDTH",
    "PANELS",
    "STYLES",
    "Look",
    "Panel",
    "against",
    "all_panels",
    "cell_edges",
    "check_format",
    "collapse",
    "evidence",
    "find_panel",
    "nearest_run",
    "phase_diagram",
    "run_figure",
    "sampled_runs",
    "save",
    "select",
    "terminal_diagram",
    "title_of",
    "trajectory_figure",
    "trajectory_map",
]

_HOMES = {
    "axes": ("MAX_FACETS", "cell_edges"),
    "collapsing": ("collapse",),
    "diagrams": ("all_panels", "phase_diagram"),
    "files": ("FORMATS", "check_format", "save"),
    "measures": ("evidence",),
    "multiples": ("sampled_runs", "trajectory_map"),
    "panels": ("FIGURES", "OVERVIEW", "PANELS", "Panel", "find_panel"),
    "run": ("run_figure",),
    "selection": ("select",),
    "style": ("COLUMN_WIDTH", "LOOKS", "PAGE_WIDTH", "STYLES", "Look"),
    "terminal": ("terminal_diagram",),
    "timelines": ("nearest_run", "title_of", "trajectory_figure"),
    "versus": ("against",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a diagram in the terminal needs no matplotlib.

    No module is called like a function, or the one would hide the other.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'linphase.figures' has no attribute {name!r}")
    return getattr(import_module(f"linphase.figures.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""The page: a template, its style and scripts, plotly's script, and the data, all in one text."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from typing import Any

from linphase.errors import LinphaseError
from linphase.model.regime import Cuts
from linphase.pages.explorer_tables import tables
from linphase.pages.explorer_trajectories import thin
from linphase.store.results import Results

# In this order, as one script: each may use what stands before it, the last one begins.
SCRIPTS = ("rules.js", "names.js", "cells.js", "diagram.js", "frame.js", "curves.js", "picture.js", "page.js")


def build(results: Results, cuts: Cuts = Cuts()) -> str:
    """The explorer of some results, one HTML document that asks for nothing else.

    Parameters
    ----------
    results
        What is explored.
    cuts
        What the page shows at first.

    Raises
    ------
    LinphaseError
        If plotly is not installed or the grid has fewer than two axes.
    """
    plotly = _plotly()
    shown = tables(results, thin(results)) | {
        "criterion": cuts.criterion,
        "signal_cut": cuts.signal,
        "bulk_cut": cuts.bulk,
        "usual_cuts": [Cuts().signal, Cuts().bulk],
    }
    parts = {
        "title": html.escape(shown["name"]),
        "style": _file("page.css"),
        "plotly": plotly,
        "data": as_json(shown),
        "scripts": "\n".join(map(_file, SCRIPTS)),
    }
    # One pass: what is put in is not searched for more places.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _file("page.html"))


def as_json(value: Any) -> str:
    """JSON that may stand in an HTML script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 and U+2029 are escaped
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _file(name: str) -> str:
    return files("linphase.pages").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise LinphaseError(
            "linphase explore needs plotly, which is not installed. Install it with: pip install 'linphase[explore]', "
            "in a checkout pip install '.[explore]'"
        ) from error
    return re.sub(r"</(script)", r"<\\/\1", str(get_plotlyjs()), flags=re.IGNORECASE)

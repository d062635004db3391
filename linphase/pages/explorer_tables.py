"""What the page shows of the cells: runs, panels with their colours, axes, theory's lines; all JSON can hold.

Numbers of cells and their scales are those of `linphase.figures`, so a panel looks as `linphase plot` draws it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import product
from math import isfinite
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, to_hex
from numpy.typing import NDArray

from linphase.diagram.axes import Axis, Facet, Window
from linphase.diagram.cells import Cells, cells_of, stand_ins
from linphase.diagram.lines import theory_lines
from linphase.diagram.looks import LOOKS
from linphase.diagram.mesh import Reach, mesh_of, reach_of
from linphase.diagram.outcomes import OUTCOMES
from linphase.diagram.panels import UNFINISHED, Panel, find_panel, known_panels
from linphase.errors import LinphaseError
from linphase.figures.scales import scale_of
from linphase.files import printable
from linphase.model.regime import CRITERIA, REGIMES, Cuts
from linphase.pages.explorer_trajectories import Thinned
from linphase.runs.records import AS_ASKED
from linphase.store.columns import trajectories_columns
from linphase.store.results import Results

_AXIS_LABELS = {  # plotly's markup
    "gamma_sigma2": "<i>γ</i><sub><i>σ</i>²</sub> = log<sub><i>d</i></sub> <i>σ</i>²",
    "gamma_w": "<i>γ<sub>w</sub></i> = log<sub><i>d</i></sub> width",
    "init_variance": "initial variance <i>σ</i>²",
    "variance_ratio": "variance ratio <i>r</i> = <i>σ</i>₂²/<i>σ</i>₁²",
    "gamma_variance_ratio": "<i>γ<sub>r</sub></i> = log<sub><i>d</i></sub> <i>σ</i>₂²/<i>σ</i>₁²",
    "learning_rate_ratio": "rate ratio <i>p</i> = <i>ϵ</i>₁/<i>ϵ</i>₂",
    "richness": "richness <i>γ</i>",
    "lambda_balance": "balance <i>λ</i>",
    "weight_decay": "weight decay <i>l</i>",
    "label_noise": "label noise <i>ε</i>",
}
_MOST_CELLS = 20_000
_STOPS = 17  # of a colour map
_SHARES = ("signal_active", "bulk_active")  # the order parameters
# Regimes hang on these, so that no digit of them may be lost.
_EXACT = {"rank", "noise", "width", "replicate", "dimension"} | {
    criterion.column(share) for criterion in CRITERIA.values() for share in _SHARES
}


def tables(results: Results, thinned: Thinned) -> dict[str, Any]:
    """Everything on the page but its first state."""
    window = Window.of(results.axes)
    _check_size(window)
    further = [Axis.of(key, values) for key, values in list(results.axes.items())[2:]]
    runs = results.runs
    facet = _facet_of(runs, further)
    facets = list(_facets(runs, further, facet))
    mesh = mesh_of(results)
    reaches = [reach_of(mesh, window, each) for each in facets]
    covered = [_covered(each.runs, window, reach) for each, reach in zip(facets, reaches, strict=True)]
    return {
        "name": printable(results.path.resolve().name),
        "x": _axis(window.x),
        "y": _axis(window.y),
        "facets": [
            {"label": _plain(axis.column), "values": [_written(each) for each in axis.kept]} for axis in further
        ],
        "regimes": REGIMES,
        "outcomes": OUTCOMES,
        "unfinished": UNFINISHED,
        "as_asked": AS_ASKED,
        "criteria": [
            {"name": name, "definition": markup(criterion.definition)}
            | {share.partition("_")[0]: criterion.column(share) for share in _SHARES}
            for name, criterion in CRITERIA.items()
        ],
        "looks": {name: {"label": look.label, "color": look.color} for name, look in LOOKS.items()},
        "panels": _panels(results, facets, window, reaches),
        "lines": [_lines(each.runs, window) for each in facets],
        "stand_ins": [stood_for for stood_for, _ in covered],
        "beyond": [beyond for _, beyond in covered],  # places that are empty without being missing
        "columns": {
            column.name: {"unit": column.unit, "meaning": column.meaning}
            for column in (*results.columns.values(), *trajectories_columns())
        },
        "count": len(runs),
        "place": {
            "x": window.x.index(runs).tolist(),
            "y": window.y.index(runs).tolist(),
            "facet": facet.tolist(),
        },
        "runs": {name: _column(runs[name]) for name in results.columns if name in runs},
        "trajectories": [thinned.kept.get(run_id) for run_id in runs["run_id"]],
        "theory": [_pair(thinned.theory.get(run_id)) for run_id in runs["run_id"]],
        "left_out": thinned.left_out,
        "errors": _errors(results),
    }


def _check_size(window: Window) -> None:
    """Over c and a width a grid of 50 x 50 has 2,500 values of c: a browser cannot show that many cells."""
    across, up = len(window.x.kept), len(window.y.kept)
    if window.derived and across * up > _MOST_CELLS:
        raise LinphaseError(
            f"the explorer shows at most {_MOST_CELLS} places over derived axes, found {across} values of "
            f"{window.x.column} by {up} of {window.y.column}. Choose other axes with --x and --y; linphase plot draws "
            "these"
        )


def _facet_of(runs: pd.DataFrame, further: Sequence[Axis]) -> NDArray[np.intp]:
    """Number of each run's combination of the further axes, the last one fastest; -1 off them."""
    facet = np.zeros(len(runs), dtype=np.intp)
    for axis in further:
        place = axis.index(runs)
        facet = np.where((facet < 0) | (place < 0), -1, facet * len(axis.kept) + place)
    return facet


def _facets(runs: pd.DataFrame, further: Sequence[Axis], facet: NDArray[np.intp]) -> Iterator[Facet]:
    """Every combination of the further axes, in the order of `_facet_of`."""
    for i, values in enumerate(product(*(axis.kept for axis in further))):
        yield Facet("", runs[facet == i], {axis.column: value for axis, value in zip(further, values, strict=True)})


def _covered(runs: pd.DataFrame, window: Window, reach: Reach | None) -> tuple[dict[str, int], list[int]]:
    """By empty place the cell that takes it in, and the places that none does; all as numbers row by row."""
    shape = _, columns = len(window.y.kept), len(window.x.kept)
    places = set(zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True))
    there = {place for place in places if min(place) >= 0}
    covers = stand_ins(there, window, reach)
    beyond = np.full(shape, window.derived) if reach is None else reach.owners < 0
    for place in (there | covers.keys()) if window.derived else ():
        beyond[place] = False
    numbers = {str(row * columns + column): at[0] * columns + at[1] for (row, column), at in covers.items()}
    return numbers, np.flatnonzero(beyond).tolist()


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "column": axis.column,
        "plain": axis.column if axis.derived is not None else _plain(axis.column),
        "label": _label(axis),
        "values": [_written(value) for value in axis.kept],
        "positions": axis.positions.tolist(),
        "edges": axis.edges.tolist(),
        "logarithmic": axis.logarithmic,
        "few": axis.few,
    }


def _label(axis: Axis) -> str:
    if axis.derived is not None:
        return markup(axis.derived.label)
    return _AXIS_LABELS.get(axis.column, _plain(axis.column))


def _plain(column: str) -> str:
    return column.replace("_", " ")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if value is not None else "none"


# ------------------------------------------------------------------------------------------------------------ panels


def _panels(
    results: Results, facets: Sequence[Facet], window: Window, reaches: Sequence[Reach | None]
) -> list[dict[str, Any]]:
    """The panels these results hold something of; an outcome is left to the page, for it hangs on the cuts."""
    found = []
    for name, panel in known_panels(results.columns).items():
        drawn = {}
        for by in CRITERIA if panel.measured else list(CRITERIA)[:1]:
            try:
                shown = find_panel(name, Cuts(by), results.runs, results.columns)
            except LinphaseError:
                continue  # nothing to draw
            if panel.column is not None:
                each = zip(facets, reaches, strict=True)
                drawn[by] = _drawn(shown, [cells_of(one.runs, window, shown, Cuts(by), reach) for one, reach in each])
        if drawn or panel.column is None:
            found.append({"name": name, "title": panel.title.replace("\n", " "), "column": panel.column,
                          "unit": "" if "$" in panel.unit else panel.unit, "symbol": markup(panel.unit),
                          "formula": markup(panel.formula), "null": panel.null, "by": drawn})  # fmt: skip
    return found


_SIGNS = {
    r"\|": "‖", r"\Theta": "Θ", r"\kappa": "κ", r"\lambda": "λ", r"\nabla": "∇", r"\nu": "ν", r"\sigma": "σ",
    r"\langle": "⟨", r"\rangle": "⟩",
    r"\mathrm{max}": "max", r"\mathrm{min}": "min", r"\mathrm{width}": "width", r"\cos": "cos", r"\ln": "ln",
    r"\,": "\u2009", "-": "−", "$": "",
}  # fmt: skip


def markup(mathtext: str) -> str:
    """Mathtext as the page and plotly read it: signs, <sub> and <sup> for indices and powers, all else escaped."""
    mathtext = re.sub(r"\\sqrt{(.*?)}", r"√\1", escape(mathtext, quote=False))
    for sign, plain in _SIGNS.items():
        mathtext = mathtext.replace(sign, plain)
    for mark, name in (("_", "sub"), (r"\^", "sup")):
        mathtext = re.sub(rf"{mark}(?:{{(.*?)}}|(.))", rf"<{name}>\1\2</{name}>", mathtext)
    return mathtext


def _drawn(panel: Panel, facets: Sequence[Cells]) -> dict[str, Any]:
    """Numbers and outcomes of the cells of every facet, row by row, and their common colours."""
    scale = scale_of(np.concatenate([cells.numbers.ravel() for cells in facets]), panel)
    drawn: dict[str, Any] = {
        "cells": [
            {
                "numbers": _rounded(cells.numbers.ravel()) if scale is not None else None,
                "outcomes": {
                    str(np.ravel_multi_index(cell, cells.numbers.shape)): shown
                    for cell, shown in cells.outcomes.items()
                },
            }
            for cells in facets
        ]
    }
    if scale is not None:
        stops = np.linspace(0, 1, _STOPS)
        drawn["scale"] = {
            "low": float(scale.norm.vmin or 0),
            "high": float(scale.norm.vmax or 0),
            "logarithmic": isinstance(scale.norm, LogNorm),
            "colors": [
                [float(stop), to_hex(color)]
                for stop, color in zip(stops, mpl.colormaps[scale.colormap](stops), strict=True)
            ],
        }
    return drawn


def _lines(runs: pd.DataFrame, window: Window) -> list[dict[str, Any]]:
    """Theory's lines as `linphase plot` draws them, in data coordinates."""
    return [
        {
            "name": line.name,
            "asymptotic": line.asymptotic,
            "shape": line.shape,
            "x": _rounded(_half(line.x), 6),
            "y": _rounded(_half(line.y), 6),
        }
        for line in theory_lines(runs, window)
    ]


def _half(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a smooth line every other point; of one whose points are cells all."""
    return values[::2] if len(values) > 200 else values


# -------------------------------------------------------------------------------------------------------------- runs


def _column(values: pd.Series[Any]) -> dict[str, Any]:
    """A column as the page reads it: {"all": value} where it is the same for all runs, else {"each": values}."""
    if pd.api.types.is_float_dtype(values.dtype) and values.name not in _EXACT:
        each = _rounded(values.to_numpy(dtype=np.float64, na_value=np.nan))
    else:
        each = [_given(value) for value in values.tolist()]
    return {"all": each[0]} if each and all(value == each[0] for value in each) else {"each": each}


def _given(value: Any) -> Any:
    """A cell of a table as JSON knows it: null for what is missing or not finite."""
    if isinstance(value, str | bool | int):
        return value
    return float(value) if isinstance(value, float) and isfinite(value) else None


def _rounded(values: NDArray[np.float64], digits: int = 4) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if isfinite(value) else None for value in values.tolist()]


def _pair(theory: tuple[float, float] | None) -> list[float | None] | None:
    return None if theory is None else _rounded(np.array(theory))


def _errors(results: Results) -> Mapping[str, str]:
    """Why runs failed, by their place in the table."""
    failures = results.failures
    told = dict(zip(failures["run_id"], failures["error"].astype(str), strict=True)) if len(failures) else {}
    failed = results.runs["status"].eq("failed")
    return {str(i): told.get(results.runs["run_id"].iloc[i], "") for i in np.flatnonzero(failed).tolist()}

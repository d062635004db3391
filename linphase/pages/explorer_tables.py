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
from linphase.diagram.cells import cells_of, stand_ins
from linphase.diagram.lines import theory_lines
from linphase.diagram.looks import BULK, LOOKS, SIGNAL, TEST, THRESHOLD, TRAIN
from linphase.diagram.mesh import Reach, mesh_of, reach_of
from linphase.diagram.names import axis_label
from linphase.diagram.outcomes import OUTCOMES
from linphase.diagram.panels import UNFINISHED, Panel, find_panel, known_panels
from linphase.errors import LinphaseError
from linphase.figures.scales import scale_of
from linphase.files import printable
from linphase.model.regime import CRITERIA, REGIMES, Cuts
from linphase.pages.explorer_trajectories import Thinned
from linphase.pages.packing import MOST_CODES, pack_codes, pack_numbers
from linphase.runs.records import AS_ASKED
from linphase.store.columns import trajectories_columns
from linphase.store.results import Results
from linphase.theory.boundaries import INFINITE_NOISE, UNDERPARAMETERIZED

_CALLED = {UNDERPARAMETERIZED: "width = k"}  # as the figures do
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
        "curves": {"train": TRAIN, "test": TEST, "signal": SIGNAL, "bulk": BULK, "threshold": THRESHOLD},
        "looks": {name: {"label": look.label, "color": look.color} for name, look in LOOKS.items()},
        "panels": _panels(results, facets, window, reaches),
        "lines": [_lines(each.runs, window) for each in facets],
        "owners": [_owners(each.runs, window, reach) for each, reach in zip(facets, reaches, strict=True)],
        "columns": {
            column.name: {"unit": column.unit, "meaning": column.meaning}
            for column in (*results.columns.values(), *trajectories_columns())
        },
        "count": len(runs),
        "place": {
            name: _column(pd.Series(each))
            for name, each in (("x", window.x.index(runs)), ("y", window.y.index(runs)), ("facet", facet))
        },
        "runs": {name: _column(runs[name]) for name in results.columns if name in runs},
        "trajectories": [thinned.kept.get(run_id) for run_id in runs["run_id"]],
        "theory": _theory(runs["run_id"], thinned.theory),
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
        yield Facet(runs[facet == i], {axis.column: value for axis, value in zip(further, values, strict=True)})


def _owners(runs: pd.DataFrame, window: Window, reach: Reach | None) -> list[int] | None:
    """The cell that each place shows, row by row, -1 where none does, as run lengths: owner, count, owner, count, ...

    None where every place is a cell of its own.
    """
    shape = _, columns = len(window.y.kept), len(window.x.kept)
    places = set(zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True))
    there = {place for place in places if min(place) >= 0}
    covers = stand_ins(there, window, reach)
    owners = np.arange(shape[0] * columns).reshape(shape)
    beyond = np.full(shape, window.derived) if reach is None else reach.owners < 0
    for place in (there | covers.keys()) if window.derived else ():
        beyond[place] = False
    owners[beyond] = -1
    for (row, column), at in covers.items():
        owners[row, column] = at[0] * columns + at[1]
    flat = owners.ravel()
    if (flat == np.arange(flat.size)).all():
        return None
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] - 1))
    lengths = np.diff(starts, append=flat.size)
    return np.column_stack([flat[starts], lengths]).ravel().tolist()


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "column": axis.column,
        "plain": axis.column if axis.derived is not None else _plain(axis.column),
        "label": markup(axis_label(axis.name)),
        "values": [_written(value) for value in axis.kept],
        "positions": axis.positions.tolist(),
        "edges": axis.edges.tolist(),
        "logarithmic": axis.logarithmic,
        "few": axis.few,
    }


def _plain(column: str) -> str:
    return column.replace("_", " ")


def _written(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}" if value is not None else "none"


# ------------------------------------------------------------------------------------------------------------ panels


def _panels(
    results: Results, facets: Sequence[Facet], window: Window, reaches: Sequence[Reach | None]
) -> list[dict[str, Any]]:
    """The panels these results hold something of: what they show of the runs follows on the page, by rules.js."""
    found = []
    for name, panel in known_panels(results.columns).items():
        drawn = {}
        for by in CRITERIA if panel.measured else list(CRITERIA)[:1]:
            try:
                shown = find_panel(name, Cuts(by), results.runs, results.columns)
            except LinphaseError:
                continue  # nothing to draw
            if panel.column is not None:
                drawn[by] = {"column": shown.column, "scale": _scale(shown, Cuts(by), facets, window, reaches)}
        if drawn or panel.column is None:
            found.append({"name": name, "title": panel.title.replace("\n", " "), "column": panel.column,
                          "unit": "" if "$" in panel.unit else panel.unit, "symbol": markup(panel.unit),
                          "formula": markup(panel.formula), "null": panel.null, "levels": panel.levels,
                          "outcome": panel.scale == "outcome", "ln": panel.scale == "ln", "by": drawn})  # fmt: skip
    return found


_SIGNS = {
    r"\|": "‖", r"\Theta": "Θ", r"\gamma": "γ", r"\epsilon": "ϵ", r"\eta": "η", r"\kappa": "κ", r"\lambda": "λ",
    r"\nabla": "∇", r"\nu": "ν", r"\sigma": "σ", r"\varepsilon": "ε", r"\langle": "⟨", r"\rangle": "⟩",
    r"\cos": "cos", r"\ln": "ln", r"\log": "log", r"\,": "\u2009", "-": "−", "$": "", "^2": "²",
}  # fmt: skip


def markup(mathtext: str) -> str:
    """Mathtext as the page and plotly read it: signs, <sub> for indices, ² and <sup> for powers, all else escaped."""
    mathtext = re.sub(r"\\sqrt{(.*?)}", r"√\1", escape(mathtext, quote=False))
    mathtext = re.sub(r"\\mathrm{(.*?)}", r"\1", mathtext.replace(r"_\mathrm", "_"))
    for sign, plain in _SIGNS.items():
        mathtext = mathtext.replace(sign, plain)
    for mark, name in (("_", "sub"), (r"\^", "sup")):
        mathtext = re.sub(rf"{mark}(?:{{(.*?)}}|(.))", rf"<{name}>\1\2</{name}>", mathtext)
    return mathtext


def _scale(
    panel: Panel, cuts: Cuts, facets: Sequence[Facet], window: Window, reaches: Sequence[Reach | None]
) -> dict[str, Any] | None:
    """The common colours of the cells of every facet; None where they have no numbers."""
    if panel.scale == "outcome":
        return None
    each = zip(facets, reaches, strict=True)
    numbers = [cells_of(facet.runs, window, panel, cuts, reach).deciding for facet, reach in each]
    scale = scale_of(np.concatenate(numbers), panel)
    if scale is None:
        return None
    stops = np.linspace(0, 1, _STOPS)
    colors = mpl.colormaps[scale.colormap](stops)
    return {
        "low": float(scale.norm.vmin or 0),
        "high": float(scale.norm.vmax or 0),
        "logarithmic": isinstance(scale.norm, LogNorm),
        "colors": [[float(stop), to_hex(color)] for stop, color in zip(stops, colors, strict=True)],
    }


def _lines(runs: pd.DataFrame, window: Window) -> list[dict[str, Any]]:
    """Theory's lines as `linphase plot` draws them, in data coordinates."""
    return [
        {
            "name": line.name,
            "called": _CALLED.get(line.name, line.name),
            "bounds": line.name != INFINITE_NOISE,  # whether it lies between two regimes
            "asymptotic": line.asymptotic,
            "shape": line.shape,
            "x": _rounded(_half(line.x), 6),
            "y": _rounded(_half(line.y), 6),
        }
        for line in theory_lines(runs, window)
    ]


def _half(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a smooth line every other point, and both its ends; of one whose points are cells all."""
    return np.append(values[:-1:2], values[-1]) if len(values) > 200 else values


# -------------------------------------------------------------------------------------------------------------- runs


def _column(values: pd.Series[Any]) -> dict[str, Any]:
    """A column as the page reads it, the shortest of four forms; see `columnOf` in rules.js."""
    if pd.api.types.is_float_dtype(values.dtype) and values.name not in _EXACT:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        rounded = _rounded(numbers[:1])
        return {"all": rounded[0]} if len(set(_rounded(numbers))) == 1 else {"numbers": pack_numbers(numbers)}
    each = [_given(value) for value in values.tolist()]
    places = {value: i for i, value in enumerate(dict.fromkeys(each))}
    if len(places) <= 1:
        return {"all": each[0] if each else None}
    if len(places) <= min(len(each) // 4, MOST_CODES):
        return {"of": list(places), "codes": pack_codes([places[value] for value in each])}
    return {"each": each}


def _given(value: Any) -> Any:
    """A cell of a table as JSON knows it: null for what is missing or not finite."""
    if isinstance(value, str | bool | int):
        return value
    return float(value) if isinstance(value, float) and isfinite(value) else None


def _rounded(values: NDArray[np.float64], digits: int = 4) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if isfinite(value) else None for value in values.tolist()]


def _theory(run_ids: pd.Series[Any], theory: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Theory's smallest test error from A = 0, and when, as two columns."""
    found = np.array([theory.get(run_id, (np.nan, np.nan)) for run_id in run_ids]).reshape(-1, 2)
    return {name: {"numbers": pack_numbers(found[:, i])} for i, name in enumerate(("error", "time"))}


def _errors(results: Results) -> Mapping[str, str]:
    """Why runs failed, by their place in the table."""
    failures = results.failures
    told = dict(zip(failures["run_id"], failures["error"].astype(str), strict=True)) if len(failures) else {}
    failed = results.runs["status"].eq("failed")
    return {str(i): told.get(results.runs["run_id"].iloc[i], "") for i in np.flatnonzero(failed).tolist()}

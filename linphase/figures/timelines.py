"""One stored run over time: its singular values against the threshold, in two scales, and its errors below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from linphase.diagram.axes import only_facet
from linphase.diagram.looks import LOOKS, Array, plainly, written
from linphase.errors import LinphaseError
from linphase.figures.evolution import CONTRAST, SIGNAL, OverTime, finite, fit_values, name_times, tint
from linphase.figures.style import COLUMN_WIDTH, StyleName, inches, points, set_ticks, stroke, styled
from linphase.runs.records import Trajectory

_DASHED: Any = (0, (3, 2))
_FEW = 8  # signal modes whose crossings get a line through all three diagrams
_QUARTILES = 5  # bulk modes of theory that are drawn, from the largest to the smallest
_THRESHOLD: Any = {"color": "black", "linestyle": (0, (1, 1.2))}


def nearest_run(
    runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], gamma_sigma2: float, gamma_w: float
) -> tuple[dict[str, Any], int]:
    """The run of the cell nearest to a place in the diagram, and how many replicates the cell has.

    Nearest in both exponents, which every run has, whatever the axes of its sweep. Of replicates the first.
    Raises LinphaseError where there are facets, where no run is finished, or none of that cell.
    """
    only_facet(runs, axes)
    if runs.empty:
        raise LinphaseError("trajectories: these results hold no run yet. linphase sweep trains them")
    places = (("gamma_sigma2", gamma_sigma2), ("gamma_w", gamma_w))
    away = np.hypot(*(runs[name].to_numpy(dtype=np.float64) - at for name, at in places))
    cell = runs[np.isclose(away, away.min(), rtol=0, atol=1e-9)]
    same = cell[(cell["gamma_sigma2"] == cell["gamma_sigma2"].iloc[0]) & (cell["gamma_w"] == cell["gamma_w"].iloc[0])]
    finished = same[same["status"] != "failed"].sort_values("replicate")
    if finished.empty:
        raise LinphaseError(
            f"trajectories: all runs failed at the nearest cell, gamma_sigma2 = {plainly(cell['gamma_sigma2'].iloc[0])}"
            f", gamma_w = {plainly(cell['gamma_w'].iloc[0])}. Give another place, or linphase sweep --retry-failed"
        )
    return dict(finished.iloc[0]), len(finished)


def title_of(run: Mapping[str, Any], outcome: str, replicates: int = 1) -> str:
    """Where a run stands in the diagram, and what it came to."""
    place = (
        rf"$\gamma_{{\sigma^2}}$ = {written(run['gamma_sigma2'])}, $\gamma_w$ = {written(run['gamma_w'])}, "
        f"width {run['width']:,}"
    )
    look = LOOKS[outcome].label if outcome in LOOKS else outcome
    told = [look] if run["status"] in ("converged", outcome) else [look, LOOKS[run["status"]].label]
    if replicates > 1:
        told.append(f"replicate {run['replicate']}")
    return f"{place}\n{', '.join(told)}"


@styled
def trajectory_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    crossings: ArrayLike = (),
    theory: OverTime | None = None,
    title: str | None = None,
    style: StyleName = "paper",
) -> Figure:
    """Singular values over time on a log and on a linear axis, and both errors on the same axis of time.

    crossings: when each mode crosses the threshold for good; 0: always above, nan: never. The `rank` leading ones are
    marked by circles and lines, the others by ticks on the threshold. theory: drawn dashed above the run; of its bulk
    only the quartiles.
    """
    size = (inches(COLUMN_WIDTH), inches(1.6 * COLUMN_WIDTH))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.15, 1, 1))
    moments = finite(trajectory.time)
    logarithmic = bool((moments > 0).any())
    seen = moments > 0 if logarithmic else np.ones(len(moments), dtype=bool)
    time, s = moments[seen], finite(trajectory.singular_values)[seen]
    crossed = np.asarray(crossings, dtype=np.float64)
    predicted = None if theory is None else (finite(theory.time), finite(theory.singular_values))
    for ax in (above, middle):
        _draw_modes(ax, time, s, rank, predicted)
        ax.axhline(threshold, **_THRESHOLD, linewidth=stroke(1.1), zorder=4, gid="threshold")
        _draw_crossings(ax, crossed, threshold, rank, time)
    fit_values(above, np.concatenate([s.ravel(), [] if predicted is None else predicted[1].ravel()]), 1e-4,
               np.array([threshold]))  # fmt: skip
    _fit_linear(middle, s, threshold)
    _draw_errors(below, trajectory, time, seen, theory)
    for ax, label in ((above, "singular values $s_i(A)$"), (middle, "$s_i(A)$, linear"), (below, "error per entry")):
        ax.set_ylabel(label)
        set_ticks(ax)
        ax.margins(x=0)
        for moment in _marked(crossed, rank, time):
            ax.axvline(moment, color=tint(SIGNAL), linewidth=stroke(0.5), zorder=1, gid="moment of crossing")
    below.set_xlabel("time")
    if logarithmic:
        below.set_xscale("log")
        name_times(below, time)
    if len(time) > 1:
        below.set_xlim(time[0], time[-1])
    elif len(time):  # a single moment has a place, and no span
        below.set_xlim(time[0] / 2, time[0] * 2)
    if title:
        figure.suptitle(title, fontsize=points(8))
    _draw_legend(figure, s.shape[1], rank, threshold, theory is not None, bool(_marked(crossed, rank, time)))
    figure.align_ylabels([above, middle, below])
    return figure


def _draw_modes(ax: Axes, time: Array, s: Array, rank: int, theory: tuple[Array, Array] | None) -> None:
    marker = "." if len(time) == 1 else None  # a line through one point is invisible
    for mode in reversed(range(s.shape[1])):
        signal = mode < rank
        color, width = (tint(SIGNAL), 1.8) if signal else ("0.78", 0.7)
        ax.plot(time, s[:, mode], marker=marker, color=color, linewidth=stroke(width), zorder=2.5 if signal else 2,
                solid_capstyle="butt", gid=f"mode {mode + 1}")  # fmt: skip
    if theory is None:
        return
    moments, values = theory
    count = min(values.shape[1], s.shape[1])
    for mode in [*range(min(rank, count)), *quartiles(rank, count)]:
        color, width = (SIGNAL, 0.8) if mode < rank else ("0.25", 0.6)
        ax.plot(moments, values[:, mode], color=color, linewidth=stroke(width), linestyle=_DASHED, zorder=3,
                gid=f"mode {mode + 1}, theory")  # fmt: skip


def quartiles(first: int, stop: int) -> list[int]:
    """At most five places from first up to stop, evenly, both ends among them."""
    count = min(_QUARTILES, stop - first)
    return [] if count <= 0 else sorted({round(place) for place in np.linspace(first, stop - 1, count)})


def _marked(crossings: Array, count: int, time: Array) -> list[float]:
    """The crossings of the leading modes that are in view, where they are few."""
    found = [float(t) for t in crossings[:count] if t == t and len(time) and time[0] <= t <= time[-1]]
    return found if count <= _FEW else found[:_FEW]


def _draw_crossings(ax: Axes, crossings: Array, threshold: float, rank: int, time: Array) -> None:
    seen = (crossings >= time[0]) & (crossings <= time[-1]) if len(time) else np.zeros(len(crossings), dtype=bool)
    signal = np.arange(len(crossings)) < rank
    bulk, own = crossings[seen & ~signal], crossings[seen & signal]
    ax.plot(bulk, np.full(len(bulk), threshold), linestyle="none", marker="|", color="0.35", markersize=stroke(4),
            markeredgewidth=stroke(0.5), zorder=4.5, gid="crossings of the bulk")  # fmt: skip
    ax.plot(own, np.full(len(own), threshold), linestyle="none", marker="o", markersize=stroke(3.4), zorder=5,
            markerfacecolor="white", markeredgecolor=SIGNAL, markeredgewidth=stroke(0.9),
            gid="crossings of the signal")  # fmt: skip


def _fit_linear(ax: Axes, s: Array, threshold: float) -> None:
    """From 0 to the largest singular value, and to the threshold where that is not far above."""
    largest = float(np.nanmax(s, initial=0.0)) or 1.0
    top = 1.08 * (max(largest, threshold) if threshold < 2 * largest else largest)
    ax.set_ylim(0, top)
    if threshold > top:
        ax.set_ylim(0, 1.25 * top)  # room for the words above every curve
        ax.text(0.98, 0.97, f"$c$ = {written(threshold)} is above", transform=ax.transAxes, ha="right", va="top",
                fontsize=points(7), gid="threshold is above")  # fmt: skip


def _draw_errors(ax: Axes, trajectory: Trajectory, time: Array, seen: Any, theory: OverTime | None) -> None:
    every = []
    for which, color in (("train_error", SIGNAL), ("test_error", CONTRAST)):
        name = which.split("_")[0]
        values = finite(getattr(trajectory, which))[seen]
        every.append(values)
        marker = "." if len(time) == 1 else None
        ax.plot(time, values, marker=marker, color=tint(color), linewidth=stroke(1.8), label=name, gid=name)
        if theory is not None:
            predicted = finite(getattr(theory, which))
            ax.plot(finite(theory.time), predicted, color=color, linewidth=stroke(0.8), linestyle=_DASHED,
                    gid=f"{name}, theory")  # fmt: skip
    fit_values(ax, np.concatenate(every), 1e-6, np.concatenate(every))
    ax.legend(frameon=False, loc="best", borderpad=0.1)


def _draw_legend(figure: Figure, modes: int, rank: int, threshold: float, theory: bool, crossed: bool) -> None:
    handles = [Line2D([], [], color=tint(SIGNAL), linewidth=stroke(1.8), label=f"signal ({min(rank, modes)})")]
    if modes > rank:
        handles.append(Line2D([], [], color="0.78", linewidth=stroke(0.9), label=f"bulk ({modes - rank})"))
    handles.append(Line2D([], [], **_THRESHOLD, linewidth=stroke(1.1), label=f"$c$ = {written(threshold)}"))
    if crossed:
        ring: Any = {"marker": "o", "markersize": stroke(3.4), "markerfacecolor": "white", "markeredgecolor": SIGNAL}
        handles.append(Line2D([], [], linestyle="none", markeredgewidth=stroke(0.9), label="$s_i$ crosses $c$", **ring))
    if theory:
        dashes = Line2D([], [], color="0.25", linewidth=stroke(0.8), linestyle=_DASHED, label="theory from $A = 0$")
        handles.append(dashes)
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, borderpad=0.1, columnspacing=1.0,
        handlelength=1.6, handletextpad=0.4,
    )  # fmt: skip

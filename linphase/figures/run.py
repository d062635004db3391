"""One run over time: its errors, and its singular values against the threshold."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.figures.style import LOOKS, PAGE_WIDTH, Array, set_ticks, styled, written
from linphase.trajectory import Trajectory

_SIGNAL, _BULK, _CONTRAST = LOOKS["balanced"].color, "0.6", "#C8553D"
_THRESHOLD: Any = {"color": _CONTRAST, "linestyle": (0, (4, 2)), "linewidth": 1.1}


@styled
def run_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    time_label: Literal["step", "time"] = "time",
    title: str | None = None,
) -> Figure:
    """One run over time: train and test error, and singular values against the threshold c (paper, Figure 1).

    time_label: "step" draws steps on a linear axis, "time" the time on a logarithmic one, from the first
    moment after 0. The `rank` leading modes are emphasised. Zeros have no place on a log axis and are left
    out.
    """
    figure = Figure(figsize=(PAGE_WIDTH, 2.5), layout="constrained")
    errors, modes = figure.subplots(1, 2)
    moments = np.asarray(trajectory.step if time_label == "step" else trajectory.time, dtype=np.float64)
    logarithmic = time_label == "time" and bool((moments > 0).any())
    seen = moments > 0 if logarithmic else np.ones(len(moments), dtype=bool)
    train, test = _finite(trajectory.train_error)[seen], _finite(trajectory.test_error)[seen]
    _draw_errors(errors, moments[seen], train, test)
    _draw_modes(modes, moments[seen], _finite(trajectory.singular_values)[seen], rank, threshold)
    for ax in (errors, modes):
        ax.set_xlabel(time_label)
        if logarithmic:
            ax.set_xscale("log")
        set_ticks(ax)
        ax.margins(x=0)
    if title:
        figure.suptitle(title, fontsize=8)
    return figure


def _finite(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _draw_errors(ax: Axes, moments: Array, train: Array, test: Array) -> None:
    for values, label, color, style in ((train, "train", _SIGNAL, "-"), (test, "test", _CONTRAST, "--")):
        ax.plot(moments, values, style, marker=_marker(moments), color=color, label=label, gid=label)
    ax.set_ylabel("error per entry")
    ax.legend(frameon=False)
    _fit_values(ax, np.concatenate([train, test]), 1e-8)


def _draw_modes(ax: Axes, moments: Array, values: Array, rank: int, threshold: float) -> None:
    for mode in reversed(range(values.shape[1])):
        signal = mode < rank
        ax.plot(
            moments,
            values[:, mode],
            marker=_marker(moments),
            color=_SIGNAL if signal else _BULK,
            linewidth=0.8 if signal else 0.4,
            zorder=3 if signal else 2,
            gid=f"mode {mode + 1}",
        )
    ax.axhline(threshold, **_THRESHOLD, zorder=4, gid="threshold")
    ax.set_ylabel(r"singular values of $A$")
    _fit_values(ax, values, 1e-6, threshold)
    _mode_legend(ax, threshold, rank, values.shape[1])


def _marker(moments: Array) -> str | None:
    return "." if len(moments) == 1 else None  # a line through one point is invisible


def _fit_values(ax: Axes, values: Array, depth: float, also: float = 0.0) -> None:
    """A log axis over the positive values, down to `depth` of the largest at most; linear where none are.

    also: one more value that must be in view.
    """
    positive = values[values > 0]
    if positive.size == 0:
        return
    top = float(positive.max())
    bottom = max(float(positive.min()), depth * top)
    ax.set_yscale("log", nonpositive="mask")
    ax.set_ylim(min(bottom, also or bottom) / 1.6, 1.6 * max(top, also))


def _mode_legend(ax: Axes, threshold: float, rank: int, modes: int) -> None:
    handles = [Line2D([], [], color=_SIGNAL, linewidth=1.1, label=f"signal ({min(rank, modes)})")]
    if modes > rank:
        handles.append(Line2D([], [], color=_BULK, linewidth=0.6, label=f"bulk ({modes - rank})"))
    handles.append(Line2D([], [], **_THRESHOLD, label=f"threshold $c$ = {written(threshold)}"))
    ax.legend(handles=handles, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderpad=0.1)

"""What a phase diagram can show, and the colours of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from linphase.errors import LinphaseError
from linphase.figures.style import Array, set_ticks, written
from linphase.outcomes import measured_by


@dataclass(frozen=True)
class Panel:
    """What a phase diagram can show: a column of the runs table, or an outcome (column None)."""

    name: str
    title: str
    column: str | None
    scale: Literal["outcome", "linear", "log", "share"]  # log: where the values span a decade or more
    colormap: str = "viridis"
    measured: bool = False  # the column exists for each measure of active


_REGISTERED = (
    Panel("regime", "regime", None, "outcome"),
    Panel("status", "status", "status", "outcome"),
    Panel("test-error", "smallest test error", "min_test_error", "log"),
    Panel("final-test-error", "final test error", "final_test_error", "log"),
    Panel("train-error", "final train error", "final_train_error", "log"),
    Panel("stable-rank", "stable rank at smallest test error", "stable_rank_at_min", "log", "cividis"),
    Panel("rank", "rank at smallest test error", "rank_at_min", "log", "cividis"),
    Panel("iterations", "iterations to smallest test error", "iterations_at_min", "log", "magma"),
    Panel("final-time", "final time", "final_time", "log", "magma"),
    Panel("evaluations", "gradient evaluations", "gradient_evaluations", "log", "magma"),
    Panel("signal-active", "active share of the signal", "signal_active", "share", "cividis", measured=True),
    Panel("bulk-active", "active share of the bulk", "bulk_active", "share", "cividis", measured=True),
    Panel("agreement", "modes on which all measures agree", "evidence_agreement", "share", "cividis"),
)
PANELS = {panel.name: panel for panel in _REGISTERED}
OVERVIEW = ("regime", "test-error", "stable-rank", "iterations", "final-test-error", "agreement")


def find_panel(name: str, by: str) -> Panel:
    """The panel of a name, with its column by one of the measures of active."""
    if name not in PANELS:
        raise LinphaseError(f"panel must be one of {', '.join(PANELS)} or all, found {name!r}")
    panel = PANELS[name]
    if panel.column is not None and panel.measured:
        column = measured_by(panel.column, by)
        panel = replace(panel, column=column, title=panel.title if by == "threshold" else f"{panel.title}, by {by}")
    return panel


@dataclass(frozen=True)
class Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Literal["neither", "min", "max", "both"]


def scale_of(numbers: Array, panel: Panel) -> Scale | None:
    """Colours for the numbers of cells; logarithmic where the panel allows it and the numbers span a decade.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more.
    """
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "share":
        return Scale(Normalize(floor(10 * min(numbers.min(), 0.9)) / 10, 1), panel.colormap, "neither")
    positive = numbers[numbers > 0]
    low, high = float(numbers.min()), float(numbers.max())
    norm: Normalize
    if panel.scale == "log" and positive.size and high >= 10 * positive.min():
        low = float(positive.min())
        inner = np.quantile(positive, [0.01, 0.99])
        if 1.5 * log(inner[1] / inner[0]) < log(high / low) and inner[1] >= 10 * inner[0]:
            low, high = (float(value) for value in inner)
        norm = LogNorm(low, high)
    else:
        pad = 0.0 if high > low else max(abs(low), 1.0) / 10
        low, high = low - pad, high + pad
        norm = Normalize(low, high)
    below, above = bool(numbers.min() < low), bool(numbers.max() > high)
    extend: Literal["neither", "min", "max", "both"]
    extend = "both" if below and above else "min" if below else "max" if above else "neither"
    return Scale(norm, panel.colormap, extend)


def draw_colorbar(figure: Figure, grid: Sequence[Axes], scale: Scale) -> None:
    """A colour bar beside some subplots."""
    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.colormap),
        ax=list(grid),
        extend=scale.extend,
        aspect=28,
        pad=0.02,
        shrink=0.98,
    )
    low, high = float(scale.norm.vmin or 0), float(scale.norm.vmax or 1)
    if isinstance(scale.norm, LogNorm):
        fine = high < 1000 * low
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if fine else (1,), numticks=9))
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    set_ticks(bar.ax)
    bar.outline.set_linewidth(0.6)

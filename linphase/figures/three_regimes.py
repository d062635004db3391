"""The three regimes beside each other: errors and singular values over time, averaged over the replicates of a cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil, floor, log10

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from linphase.diagram.looks import BULK, LOOKS, SIGNAL, TEST, TRAIN, Array, written
from linphase.diagram.measured import FEWEST
from linphase.diagram.replicate_means import Mean, MeanCurves
from linphase.figures.fitting import PAGE_WIDTH, Style, StyleName
from linphase.figures.legends import draw_row
from linphase.figures.placing import fit
from linphase.figures.run_curves import (
    MEASURED,
    THEORY,
    Pen,
    dotted,
    draw_threshold,
    fit_values,
    quartiles,
    tint,
)
from linphase.figures.style import NotebookFigure, figure_size, inches, points, require_size, set_ticks, styled
from linphase.model.regime import REGIMES

_SOLID = replace(MEASURED, signal=1.0, bulk=1.0)
_DASHED = replace(_SOLID, dashes=THEORY.dashes)  # of runs that are theory's own
_DEPTH = 1e-6  # of the largest value, in view
_TIMES = 4  # with a number, at most
_TYPE = 10 / 7  # points for each inch of width: three columns have to fit, and be legible at half the size


@dataclass(frozen=True)
class RegimeCell:
    """The cell that stands for a regime, and its curves over its replicates."""

    place: str  # in mathematics
    threshold: float
    rank: int
    replicates: int
    measured: MeanCurves
    theory: MeanCurves | None  # of the same replicates at the same times; None where it has no closed form
    predicted: bool = False  # whether the runs are theory's own


@styled
def three_regimes(cells: Mapping[str, RegimeCell], *, title: str = "", style: StyleName | Style = "paper") -> Figure:
    """Columns lazy, mixed and balanced; rows train and test error, and singular values against the threshold c.

    Each curve is the geometric mean over the replicates of one cell, in a band that is its 95 % interval. All signal
    modes are drawn, and of the bulk the largest mode and the quartiles. Columns have their own times; the limits of a
    row are the same. A regime without a cell is an empty column that says so.

    Parameters
    ----------
    cells
        By regime; at least one.
    title
        Above the figure.
    style
        paper, talk, or a `Style`.
    """
    require_size(3.2, 2.0)
    width = figure_size(PAGE_WIDTH, PAGE_WIDTH)[0]
    size = max(_TYPE * width, points(7))
    shape = 0.66 if width >= inches(5) else 0.95
    figure = NotebookFigure(figsize=figure_size(PAGE_WIDTH, shape * width / inches(1)), layout="constrained")
    grid = figure.subplots(2, len(REGIMES), sharey="row")
    for regime, (above, below) in zip(REGIMES, grid.T, strict=True):
        name = rf"$\mathbf{{{LOOKS[regime].label}}}$"
        if regime in cells:
            above.set_title(f"{name}\n{cells[regime].place}", fontsize=size)
            _draw(above, below, cells[regime], size)
        else:
            above.set_title(f"{name}\n", fontsize=size)
            _leave_empty((above, below), f"no cell here\nis {regime}", size)
        for ax in (above, below):
            set_ticks(ax)
            ax.tick_params(labelsize=size)
            ax.set_facecolor(tint(tint(tint(LOOKS[regime].color))))
    fit_values(grid[0, 0], chain(*map(_errors, cells.values())), _DEPTH, [np.empty(0)])
    thresholds = np.array([cell.threshold for cell in cells.values()])
    fit_values(grid[1, 0], chain(*map(_modes, cells.values())), _DEPTH, [thresholds])
    for ax, label in zip(grid[:, 0], ("mean square\nerror", "singular\nvalues of $A$"), strict=True):
        ax.set_ylabel(label, fontsize=size)
    if title:
        figure.suptitle(title, fontsize=size)
    figure.align_xlabels(grid[1])
    for above in grid[0]:
        fit(above.title, (0.31 if width >= inches(5) else 0.28) * width)
    with rc_context({"legend.fontsize": size}):
        draw_row(figure, _handles(cells), "outside lower center")
    return figure


def _draw(above: Axes, below: Axes, cell: RegimeCell, size: float) -> None:
    """One column."""
    below.set_title(f"$c$ = {written(cell.threshold)}", fontsize=size)
    for curves, pen in ((cell.measured, _DASHED if cell.predicted else _SOLID), (cell.theory, THEORY)):
        if curves is None:
            continue
        for name, color in (("train", TRAIN), ("test", TEST)):
            _draw_mean(above, curves.time, getattr(curves, name), color, pen, pen.errors, name)
        for mode in _shown(cell, curves):
            color, width = (SIGNAL, pen.signal) if mode < cell.rank else (BULK, pen.bulk)
            one = Mean(*(values[:, mode] for values in vars(curves.modes).values()))
            _draw_mean(below, curves.time, one, color, pen, width, f"mode {mode + 1}")
    draw_threshold(below, cell.threshold)
    for ax in (above, below):
        ax.set_xscale("log")
        ax.set_xlim(*cell.measured.time[[0, -1]])
        _name_times(ax, *cell.measured.time[[0, -1]])
    above.tick_params(labelbottom=False)
    below.set_xlabel("time", fontsize=size)


def _name_times(ax: Axes, first: float, last: float) -> None:
    """Numbers at few times, with room for large type: decades, or where fewer than two are seen more of them."""
    powers = 10.0 ** np.arange(floor(log10(first)), ceil(log10(last)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        times = np.sort(np.outer(powers, steps).ravel())
        seen = times[(times >= first) & (times <= last)]
        if len(seen) > 1:
            break
    ax.xaxis.set_major_locator(FixedLocator(seen[:: ceil(len(seen) / _TIMES)].tolist()))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _draw_mean(ax: Axes, time: Array, mean: Mean, color: str, pen: Pen, width: float, name: str) -> None:
    ax.plot(time, mean.value, zorder=pen.order, gid=f"{name}{pen.suffix}", **pen.style(color, width))
    if pen is not THEORY and np.isfinite(mean.low).any():
        ax.fill_between(
            time, mean.low, mean.high, color=color, alpha=0.35, linewidth=0, zorder=1.5, gid=f"{name}, interval"
        )


def _leave_empty(axes: tuple[Axes, Axes], words: str, size: float) -> None:
    for ax in axes:
        ax.set_xticks([])
    axes[0].text(0.5, 0.5, words, transform=axes[0].transAxes, ha="center", va="center", fontsize=size)


def _errors(cell: RegimeCell) -> Iterator[Array]:
    for curves in filter(None, (cell.measured, cell.theory)):
        yield from (*vars(curves.train).values(), *vars(curves.test).values())


def _modes(cell: RegimeCell) -> Iterator[Array]:
    for curves in filter(None, (cell.measured, cell.theory)):
        for values in vars(curves.modes).values():
            yield values[:, _shown(cell, curves)]


def _shown(cell: RegimeCell, curves: MeanCurves) -> list[int]:
    """The modes that are drawn, those of the signal last."""
    count = curves.modes.value.shape[1]
    return [*quartiles(cell.rank, count), *range(min(cell.rank, count))]


def _handles(cells: Mapping[str, RegimeCell]) -> list[Artist]:
    """Samples, and over how many replicates the curves are means."""
    counts = sorted({cell.replicates for cell in cells.values()})
    told = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    theory = "theory from $A = 0$" + (", mean" if counts[-1] > 1 else "")
    pen, whose = (_DASHED, "theory, ") if all(cell.predicted for cell in cells.values()) else (_SOLID, "")
    handles: list[Artist] = [
        Line2D([], [], label="train", **_SOLID.style(TRAIN, 1.6)),
        Line2D([], [], label="test", **_SOLID.style(TEST, 1.6)),
        Line2D([], [], label="threshold $c$", **dotted(1.1)),
        Line2D([], [], label="signal modes", **_SOLID.style(SIGNAL, 1.6)),
        Line2D([], [], label="bulk: largest, quartiles", **_SOLID.style(BULK, 1.2)),
        *([THEORY.sample(theory)] if any(cell.theory for cell in cells.values()) else []),
        pen.sample(whose + ("one run each" if counts[-1] == 1 else f"geometric mean of {told} runs")),
    ]
    if counts[-1] >= FEWEST:
        return [*handles, Patch(color="0.75", label="its 95 % interval")]
    return [*handles, Line2D([], [], linestyle="none", label=f"no interval: needs {FEWEST} runs")]

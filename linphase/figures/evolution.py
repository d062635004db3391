"""The figures of one run over time: its errors, its singular values against the threshold, and how many have escaped.

`run_figure` sets a run beside theory from the same start; `trajectory_figure` sets a stored run beside theory from
A = 0, and marks where modes cross the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from linphase.diagram.looks import LOOKS, SIGNAL, Array, written
from linphase.diagram.names import held_name
from linphase.errors import LinphaseError
from linphase.figures.fitting import COLUMN_WIDTH, PAGE_WIDTH, Style, StyleName
from linphase.figures.run_curves import (
    MEASURED,
    PREDICTED,
    THEORY,
    Curves,
    OverTime,
    Pen,
    count_modes,
    draw_baselines,
    draw_crossings,
    draw_errors,
    draw_escaped,
    draw_modes,
    draw_threshold,
    error_handles,
    finite,
    fit_linear,
    fit_values,
    frame,
    in_reach,
    mode_handles,
    ring,
    tint,
    within,
)
from linphase.figures.style import (
    NotebookFigure,
    check_axes,
    figure_of,
    figure_size,
    inches,
    points,
    require_size,
    stroke,
    styled,
)
from linphase.runs.records import AS_ASKED, TrainedRun, Trajectory

_FEW = 8  # signal modes whose crossings get a line through all diagrams
_BESIDE = 4.5  # inches for type of the usual size: a narrower figure has its diagrams below each other

Drawn = Sequence[tuple[Curves, Pen]]


@styled
def run_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    time_label: Literal["step", "time"] = "time",
    title: str | None = None,
    theory: OverTime | None = None,
    names: tuple[str, str] = ("gradient descent", "self-consistent"),
    baselines: Mapping[str, float] = MappingProxyType({}),
    places: Mapping[str, Axes] | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """One run over time: train and test error, and singular values against the threshold c (paper, Figure 1).

    Below the singular values stands how many have escaped, s_i > s_i(Y)/2: from a small start the rank grows from
    saddle to saddle.

    Parameters
    ----------
    trajectory
        The run. Zeros have no place on a log axis and are left out.
    threshold, rank
        c, and how many leading modes are emphasised.
    time_label
        "step" draws steps on a linear axis, "time" the time on a logarithmic one, from the first moment after 0.
    title
        Above the figure.
    theory
        Drawn dashed over the run; of its bulk only the largest mode and the quartiles.
    names
        Of the run and of theory.
    baselines
        Test errors by their names: lines across the errors.
    places
        The axes, by their names in PARTS, to draw some of the parts into; by default a figure of all.
    style
        paper, talk, or a `Style`.
    """
    places = _panes() if places is None else places
    steps = time_label == "step"
    moments = finite(trajectory.step if steps else trajectory.time)
    logarithmic = not steps and bool((moments > 0).any())
    run = Curves.of(trajectory, moments, moments > 0 if logarithmic else slice(None))
    drawn, told = [(run, MEASURED)], list[Artist]()
    if theory is not None:
        theirs = steps_of(theory, trajectory) if steps else finite(theory.time)
        drawn.append((Curves.of(theory, theirs, within(theirs, run.moments)).beside(run), THEORY))
        told = [pen.sample(name) for name, (_, pen) in zip(names, drawn, strict=True)]
    alone = len(places) == 1
    if "errors" in places:
        _draw_errors(places["errors"], drawn, baselines)
        _legend(places["errors"], [*error_handles(run), *(told if alone else [])], title if alone else None)
    if "modes" in places:
        _draw_modes(places["modes"], drawn, rank, threshold)
        samples = mode_handles(run, rank, f"threshold $c$ = {written(threshold)}")
        _legend(places["modes"], [*samples, *(told if alone else [])], title if alone else None)
    if "escaped" in places:
        _draw_escaped(places["escaped"], drawn, rank, trajectory.final_modes.target)
        _legend(places["escaped"], told if alone else [], title if alone else None)
    for ax in places.values():
        frame(ax, run.moments, logarithmic=logarithmic)
        if steps:
            ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
        if theory is not None and len(run.moments) > 1:
            ax.set_xlim(run.moments[0], run.moments[-1])
        spec = ax.get_subplotspec()
        if alone or spec is None or spec.is_last_row():
            ax.set_xlabel(time_label, fontsize=points(8))
        else:
            ax.tick_params(labelbottom=False)
    figure = figure_of(next(iter(places.values())))
    if title and not alone:
        figure.suptitle(title, fontsize=points(8))
    if told and not alone:
        figure.legend(handles=told, loc="outside lower center", ncols=2, frameon=False, borderpad=0.1)
    return figure


def _panes() -> dict[str, Axes]:
    """The axes of a figure of all parts: the errors beside the modes, or above them where the figure is narrow."""
    require_size(3.0, 2.0)
    width = figure_size(PAGE_WIDTH, PAGE_WIDTH)[0]
    places, heights = list[Any]([["errors"], ["modes"], ["escaped"]]), [3.0, 3.5, 1.0]
    if beside := width >= points(_BESIDE):
        places, heights = [["errors", "modes"], ["errors", "escaped"]], [3.5, 1.0]
    size = figure_size(PAGE_WIDTH, (0.43 if beside else 1.5) * width / inches(1))
    figure = NotebookFigure(figsize=size, layout="constrained")
    return {str(part): ax for part, ax in figure.subplot_mosaic(places, height_ratios=heights).items()}


def _draw_errors(ax: Axes, drawn: Drawn, baselines: Mapping[str, float]) -> None:
    for curves, pen in drawn:
        draw_errors(ax, curves, pen)
    run = drawn[0][0]
    baselines = in_reach(baselines, run, 1e-8)
    shown = [run.train, run.test, np.array(list(baselines.values()))]
    fit_values(ax, [each for curves, _ in drawn for each in (curves.train, curves.test)], 1e-8, shown)
    draw_baselines(ax, baselines)
    ax.set_ylabel("mean square error", fontsize=points(8))


def _draw_modes(ax: Axes, drawn: Drawn, rank: int, threshold: float) -> None:
    for curves, pen in drawn:
        draw_modes(ax, curves, pen, rank)
    draw_threshold(ax, threshold)
    fit_values(ax, [curves.modes for curves, _ in drawn], 1e-5, [np.array([threshold])])
    ax.set_ylabel(r"singular values of $A$", fontsize=points(8))


def _draw_escaped(ax: Axes, drawn: Drawn, rank: int, target: ArrayLike) -> None:
    for curves, pen in drawn:
        draw_escaped(ax, curves, pen, target)
    count_modes(ax, rank, drawn[0][0].modes.shape[1])
    ax.set_ylabel("modes\nescaped", fontsize=points(8))


def _legend(ax: Axes, handles: Sequence[Artist], title: str | None) -> None:
    """Above the axes, where it covers no curve."""
    if handles:
        ax.legend(handles=handles, title=title, title_fontsize=points(8), loc="lower center", bbox_to_anchor=(0.5, 1.0),
                  ncols=3, frameon=False, fontsize=points(7), borderpad=0.1, columnspacing=1.0)  # fmt: skip
    elif title:
        ax.set_title(title)


PARTS = ("errors", "modes", "escaped")  # of the figure of a run


def plot_run(
    run: TrainedRun,
    part: str | None = None,
    *,
    ax: Axes | None = None,
    theory: OverTime | None = None,
    title: str | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """`run_figure` of a run, or one part of it; see `TrainedRun.plot`, which calls it."""
    if part is not None and part not in PARTS:
        raise LinphaseError(f"part: must be one of {', '.join(PARTS)}, found {part!r}")
    if ax is not None:
        check_axes(ax)
        if part is None:
            raise LinphaseError(
                f"ax: holds one part of a run's figure, found none chosen. Choose {', '.join(PARTS[:-1])} or "
                f'{PARTS[-1]}, such as run.plot("errors", ax=ax), or leave ax out'
            )
    if theory is not None and not all(hasattr(theory, name) for name in ("time", "step", "singular_values")):
        raise LinphaseError(f"theory: a Trajectory is required, as run.trajectory is, found {theory!r:.60}")
    return _plotted(run, part, ax=ax, theory=theory, title=title, style=style)


@styled
def _plotted(
    run: TrainedRun,
    part: str | None,
    *,
    ax: Axes | None,
    theory: OverTime | None,
    title: str | None,
    style: StyleName | Style,
) -> Figure:
    """What `plot_run` has checked; styled, for the size of a part alone."""
    places = None
    if part is not None:
        size = figure_size(COLUMN_WIDTH, 2.4)
        places = {part: NotebookFigure(figsize=size, layout="constrained").subplots() if ax is None else ax}
    held = run.baselines
    return run_figure(
        run.trajectory,
        threshold=run.initialization.threshold,
        rank=run.rank,
        time_label="step" if run.learning_rate is not None else "time",
        title=title,
        theory=theory,
        names=("this run", "the other"),
        baselines={} if held is None else {"optimal": held.optimal, "lazy": held.lazy},
        places=places,
        style=style,
    )


@styled
def trajectory_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    crossings: ArrayLike = (),
    theory: OverTime | None = None,
    predicted: bool = False,
    baselines: Mapping[str, float] = MappingProxyType({}),
    title: str | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Singular values over time on a log and on a linear axis, and both errors on the same axis of time.

    Parameters
    ----------
    trajectory
        The run.
    threshold, rank
        c, and how many leading modes are the signal's.
    crossings
        When each mode crosses the threshold for good; 0: always above, nan: never. The signal's are marked by circles
        and lines, the others by ticks on the threshold.
    theory
        Drawn dashed over the run; of its bulk only the largest mode and the quartiles.
    predicted
        Whether the run is theory's own; then it is dashed, and nothing is drawn over it.
    baselines
        Test errors by their names: lines across the errors.
    title
        Above the figure.
    style
        paper, talk, or a `Style`.
    """
    require_size(3.0, 3.0)
    figure = NotebookFigure(figsize=figure_size(COLUMN_WIDTH, 1.6 * COLUMN_WIDTH), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.15, 1, 1))
    moments = finite(trajectory.time)
    logarithmic = bool((moments > 0).any())
    run = Curves.of(trajectory, moments, moments > 0 if logarithmic else slice(None))
    drawn = [(run, PREDICTED if predicted else MEASURED)]
    if theory is not None:
        drawn.append((Curves.of(theory, finite(theory.time)).beside(run), THEORY))
    crossed = np.asarray(crossings, dtype=np.float64)
    marked = _marked(crossed[:rank], run.moments)
    for ax in (above, middle):
        _draw_modes(ax, drawn, rank, threshold)
        draw_crossings(ax, crossed, threshold, rank, run.moments)
    middle.set_yscale("linear")
    fit_linear(middle, run.modes, threshold)
    _draw_errors(below, drawn, baselines)
    for ax, label in ((above, "singular values $s_i(A)$"), (middle, "$s_i(A)$, linear"), (below, "mean square error")):
        ax.set_ylabel(label)
        for moment in marked:
            ax.axvline(moment, color=tint(SIGNAL), linewidth=stroke(0.5), zorder=1, gid="moment of crossing")
        frame(ax, run.moments, logarithmic=logarithmic)
    below.set_xlabel("time")
    if len(run.moments):  # a single moment has a place, and no span
        first, last = run.moments[[0, -1]]
        below.set_xlim(*((first, last) if len(run.moments) > 1 else (first / 2, first * 2)))
    if title:
        figure.suptitle(title, fontsize=points(8))
    handles = [*mode_handles(run, rank, f"$c$ = {written(threshold)}"), *error_handles(run)]
    if marked:
        handles.append(Line2D([], [], label="$s_i$ crosses $c$", **ring()))
    if theory is not None:
        handles += [pen.sample(name) for name, pen in (("measured", MEASURED), ("theory from $A = 0$", THEORY))]
    elif predicted:
        handles.append(PREDICTED.sample("theory from $A = 0$"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, borderpad=0.1,
                  columnspacing=1.0, handlelength=1.6, handletextpad=0.4)  # fmt: skip
    figure.align_ylabels([above, middle, below])
    return figure


def _marked(crossings: Array, time: Array) -> list[float]:
    """The crossings that are in view, where they are few."""
    found = [float(t) for t in crossings if t == t and len(time) and time[0] <= t <= time[-1]]
    return found if len(crossings) <= _FEW else found[:_FEW]


def steps_of(theory: OverTime, run: Trajectory) -> Array:
    """Theory's time in the steps of a run of gradient descent."""
    taken, time = int(run.step[-1]), float(run.time[-1])
    return finite(theory.time) * (taken / time) if taken and time > 0 else finite(theory.step)


def title_of(run: Mapping[str, Any], outcome: str, replicates: int = 1) -> str:
    """Where a run stands in the diagram, and what it came to.

    Parameters
    ----------
    run
        A row of the runs table.
    outcome
        A key of `linphase.diagram.looks.LOOKS`.
    replicates
        How many its cell has: of several, its own is told.
    """
    place = f"{held_name((name, run[name]) for name in ('gamma_sigma2', 'gamma_w'))}, width {run['width']:,}"
    told = [LOOKS[outcome].label if outcome in LOOKS else outcome]
    if outcome == "undefined" and not run["rank"]:
        told = []  # nothing tells which modes are the signal's
    if run["status"] not in (*AS_ASKED, outcome):
        told.append(LOOKS[run["status"]].label)
    if replicates > 1:
        told.append(f"replicate {run['replicate']}")
    return f"{place}\n{', '.join(told)}" if told else place

"""One run over time: its errors, its singular values against the threshold, and how many of them have escaped.

`run_figure` lays a run, dashed, over broad light curves of theory from the same start; `trajectory_figure` lays theory
from A = 0, dashed, over the broad light curves of a stored run, and marks where modes cross the threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from linphase.diagram.looks import LOOKS, Array, written
from linphase.errors import LinphaseError
from linphase.figures.fitting import COLUMN_WIDTH, PAGE_WIDTH, Style, StyleName
from linphase.figures.style import NotebookFigure, check_axes, figure_of, inches, points, set_ticks, stroke, styled
from linphase.model.mode_times import escaped_modes
from linphase.runs.records import AS_ASKED, TrainedRun, Trajectory

SIGNAL, BULK, CONTRAST = LOOKS["balanced"].color, "0.6", "#C8553D"
_ERRORS = {"train": SIGNAL, "test": CONTRAST}
_DASHES = (3, 2)  # points
_DOTTED: Any = {"color": "black", "linestyle": (0, (1, 1.2))}  # the threshold, where curves are dashed
_FEW = 8  # signal modes whose crossings get a line through all diagrams
_QUARTILES = 5  # bulk modes of theory that are drawn over a run, from the largest to the smallest
_RING: Any = {"linestyle": "none", "marker": "o", "markerfacecolor": "white", "markeredgecolor": SIGNAL}


class OverTime(Protocol):
    """What is drawn, over time: a `Trajectory` has it, and `linphase.theory.matrix.EulerPath`."""

    @property
    def time(self) -> NDArray[np.floating]: ...
    @property
    def step(self) -> NDArray[np.int64]: ...
    @property
    def train_error(self) -> NDArray[np.floating]: ...
    @property
    def test_error(self) -> NDArray[np.floating]: ...
    @property
    def singular_values(self) -> NDArray[np.floating]: ...


@dataclass(frozen=True)
class _Curves:
    """What is drawn of a run or of theory; n moments."""

    moments: Array  # (n,)
    train: Array  # (n,)
    test: Array  # (n,)
    modes: Array  # (n, r)

    @classmethod
    def of(cls, run: OverTime, moments: Array, seen: Any = slice(None)) -> _Curves:
        values = (run.train_error, run.test_error, run.singular_values)
        return cls(moments[seen], *(finite(each)[seen] for each in values))


@dataclass(frozen=True)
class _Pen:
    """How curves are drawn: widths of signal modes, bulk modes and errors, and more."""

    signal: float
    bulk: float
    errors: float
    gray: str = BULK  # of bulk modes
    light: bool = False  # half way to white, below all else
    dashes: float | None = None  # how far those of one mode are out of step with those of the next

    def style(self, color: ColorType, width: float, order: float = 0.0) -> dict[str, Any]:
        return {
            "color": tint(color) if self.light else color,
            "linewidth": stroke(width),
            "linestyle": "-" if self.dashes is None else (self.dashes * order, _DASHES),
            "solid_capstyle": "butt" if self.light else "projecting",
        }


_PLAIN = _Pen(signal=0.8, bulk=0.4, errors=1.0)
_BROAD = _Pen(signal=1.4, bulk=0.7, errors=2.0, light=True)
_DASHED = _Pen(signal=0.8, bulk=0.4, errors=1.0, dashes=1.7)  # in step they would make a pattern


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
        Drawn solid and light below the run, which is dashed then.
    names
        Of the run and of theory.
    baselines
        Test errors by their names: lines across the errors.
    places
        The axes, by their names in PARTS, to draw some of the parts into; by default a figure of all.
    style
        paper or talk.
    """
    if places is None:
        size = inches(PAGE_WIDTH), inches(2.9 if theory is None else 3.1)
        figure: Figure = NotebookFigure(figsize=size, layout="constrained")
        drawn_in = figure.subplot_mosaic([["errors", "modes"], ["errors", "escaped"]], height_ratios=(3.5, 1))
        places = {str(part): ax for part, ax in drawn_in.items()}
    steps = time_label == "step"
    moments = finite(trajectory.step if steps else trajectory.time)
    logarithmic = not steps and bool((moments > 0).any())
    run = _Curves.of(trajectory, moments, moments > 0 if logarithmic else slice(None))
    drawn = [(run, _PLAIN, "")]
    line = {"color": CONTRAST, "linestyle": (0, (4, 2))}
    handles: list[Line2D] = []
    if theory is not None:
        theirs = steps_of(theory, trajectory) if steps else finite(theory.time)
        predicted = _Curves.of(theory, theirs, _within(theirs, run.moments))
        drawn, line = [(predicted, _BROAD, ", theory"), (run, _DASHED, "")], _DOTTED
        handles = [Line2D([], [], label=name, **pen.style("black", pen.errors))
                   for name, pen in zip(names, (_DASHED, _BROAD), strict=True)]  # fmt: skip
    alone = len(places) == 1
    told = handles if alone else []  # else they stand below the figure
    every = [curves for curves, _, _ in drawn]
    if "errors" in places:
        ax = places["errors"]
        for curves, pen, suffix in drawn:
            _draw_errors(ax, curves, pen, suffix, dashed=() if theory is not None else ("test",))
        baselines = _in_reach(baselines, run, 1e-8)
        shown = [run.train, run.test, np.array(list(baselines.values()))]
        fit_values(ax, [each for curves in every for each in (curves.train, curves.test)], 1e-8, shown)
        draw_baselines(ax, baselines)
        ax.set_ylabel("mean square error", fontsize=points(8))
        samples = [Line2D([], [], color=color, label=name) for name, color in _measured(run)]
        _legend(ax, handles=None if theory is None else [*samples, *told])
    if "modes" in places:
        ax = places["modes"]
        for curves, pen, suffix in drawn:
            _draw_modes(ax, curves, pen, rank, range(curves.modes.shape[1]), suffix)
        _draw_threshold(ax, threshold, line)
        fit_values(ax, [curves.modes for curves in every], 1e-6, [np.array([threshold])])
        ax.set_ylabel(r"singular values of $A$", fontsize=points(8))
        samples = _mode_handles(run, rank, _PLAIN, line, f"threshold $c$ = {written(threshold)}")
        heading = {"title": title, "title_fontsize": points(8)} if alone and title else {}
        _legend(ax, handles=[*samples, *told], ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderpad=0.1,
                **heading)  # fmt: skip
    if "escaped" in places:
        ax = places["escaped"]
        for curves, pen, suffix in drawn:
            _draw_escaped(ax, curves, pen, trajectory.final_modes.target, suffix)
        _count_modes(ax, rank, run.modes.shape[1])
        if told:
            _legend(ax, handles=told)
    for part, ax in places.items():
        _frame(ax, run.moments, logarithmic)
        if theory is not None and len(run.moments) > 1:
            ax.set_xlim(run.moments[0], run.moments[-1])
        if part == "modes" and not alone:
            ax.tick_params(labelbottom=False)
        else:
            ax.set_xlabel(time_label, fontsize=points(8))
        if title and alone and part != "modes":
            ax.set_title(title)
    figure = figure_of(next(iter(places.values())))
    if title and not alone:
        figure.suptitle(title, fontsize=points(8))
    if handles and not alone:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, borderpad=0.1)
    return figure


def _legend(ax: Axes, **given: Any) -> None:
    ax.legend(frameon=False, fontsize=points(7), **given)


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
        size = inches(COLUMN_WIDTH), inches(2.4)
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


_RUN = _Pen(signal=1.8, bulk=0.7, errors=1.8, gray="0.56", light=True)
_OVER = _Pen(signal=0.8, bulk=0.6, errors=0.8, gray="0.25", dashes=0)


@styled
def trajectory_figure(
    trajectory: Trajectory,
    *,
    threshold: float,
    rank: int,
    crossings: ArrayLike = (),
    theory: OverTime | None = None,
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
        Drawn dashed above the run; of its bulk only the quartiles.
    baselines
        Test errors by their names: lines across the errors.
    title
        Above the figure.
    style
        paper or talk.
    """
    figure = NotebookFigure(figsize=(inches(COLUMN_WIDTH), inches(1.6 * COLUMN_WIDTH)), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.15, 1, 1))
    moments = finite(trajectory.time)
    logarithmic = bool((moments > 0).any())
    run = _Curves.of(trajectory, moments, moments > 0 if logarithmic else slice(None))
    predicted = None if theory is None else _Curves.of(theory, finite(theory.time))
    crossed = np.asarray(crossings, dtype=np.float64)
    marked = _marked(crossed[:rank], run.moments)
    count = run.modes.shape[1]
    for ax in (above, middle):
        _draw_modes(ax, run, _RUN, rank, range(count))
        if predicted is not None:
            shown = min(count, predicted.modes.shape[1])
            some = [*range(min(rank, shown)), *quartiles(rank, shown)]
            _draw_modes(ax, predicted, _OVER, rank, some, ", theory")
        _draw_threshold(ax, threshold, _DOTTED)
        _draw_crossings(ax, crossed, threshold, rank, run.moments)
    _draw_errors(below, run, _RUN)
    if predicted is not None:
        _draw_errors(below, predicted, _OVER, ", theory")
    fit_values(above, [run.modes, *([] if predicted is None else [predicted.modes])], 1e-4, [np.array([threshold])])
    fit_linear(middle, run.modes, threshold)
    baselines = _in_reach(baselines, run, 1e-6)
    fit_values(below, [run.train, run.test], 1e-6, [run.train, run.test, np.array(list(baselines.values()))])
    draw_baselines(below, baselines)
    below.legend(handles=below.lines[: len(_measured(run))], frameon=False, loc="best", borderpad=0.1)
    for ax, label in ((above, "singular values $s_i(A)$"), (middle, "$s_i(A)$, linear"), (below, "mean square error")):
        ax.set_ylabel(label)
        for moment in marked:
            ax.axvline(moment, color=tint(SIGNAL), linewidth=stroke(0.5), zorder=1, gid="moment of crossing")
        _frame(ax, run.moments, logarithmic)
    below.set_xlabel("time")
    if len(run.moments):  # a single moment has a place, and no span
        first, last = run.moments[[0, -1]]
        below.set_xlim(*((first, last) if len(run.moments) > 1 else (first / 2, first * 2)))
    if title:
        figure.suptitle(title, fontsize=points(8))
    handles = _mode_handles(run, rank, _RUN, _DOTTED, f"$c$ = {written(threshold)}")
    if marked:
        handles.append(Line2D([], [], label="$s_i$ crosses $c$", **_ring()))
    if theory is not None:
        handles.append(Line2D([], [], label="theory from $A = 0$", **_OVER.style(_OVER.gray, _OVER.errors)))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, borderpad=0.1,
                  columnspacing=1.0, handlelength=1.6, handletextpad=0.4)  # fmt: skip
    figure.align_ylabels([above, middle, below])
    return figure


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
    place = (
        rf"$\gamma_{{\sigma^2}}$ = {written(run['gamma_sigma2'])}, $\gamma_w$ = {written(run['gamma_w'])}, "
        f"width {run['width']:,}"
    )
    told = [LOOKS[outcome].label if outcome in LOOKS else outcome]
    if outcome == "undefined" and not run["rank"]:
        told = []  # nothing tells which modes are the signal's
    if run["status"] not in (*AS_ASKED, outcome):
        told.append(LOOKS[run["status"]].label)
    if replicates > 1:
        told.append(f"replicate {run['replicate']}")
    return f"{place}\n{', '.join(told)}" if told else place


# --- Curves and marks ----------------------------------------------------------------------------------------------


def _draw_modes(ax: Axes, curves: _Curves, pen: _Pen, rank: int, modes: Sequence[int], suffix: str = "") -> None:
    """The singular values, the leading ones above the others."""
    for mode in reversed(modes):
        signal = mode < rank
        color, width = (SIGNAL, pen.signal) if signal else (pen.gray, pen.bulk)
        ax.plot(
            curves.moments,
            curves.modes[:, mode],
            marker=_marker(curves.moments),
            zorder=1.5 if pen.light else 3 if signal else 2,
            gid=f"mode {mode + 1}{suffix}",
            **pen.style(color, width, mode),
        )


def _draw_escaped(ax: Axes, curves: _Curves, pen: _Pen, target: ArrayLike, suffix: str) -> None:
    """How many singular values are above half of the target's, as steps."""
    ax.step(curves.moments, escaped_modes(curves.modes, target), where="post", marker=_marker(curves.moments),
            zorder=1.5 if pen.light else 2, gid=f"escaped{suffix}", **pen.style("0.2", pen.errors))  # fmt: skip


def _count_modes(ax: Axes, rank: int, modes: int) -> None:
    """An axis of numbers of modes, told at none, the signal's and all of them; logarithmic from 1 on."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.5)
    ax.set_yticks(sorted({0, min(rank, modes), modes}))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color="0.85", linewidth=stroke(0.4))
    ax.set_ylim(-0.3, 1.4 * modes + 0.3)
    ax.set_ylabel("modes\nescaped", fontsize=points(8))


def _draw_errors(ax: Axes, curves: _Curves, pen: _Pen, suffix: str = "", dashed: Sequence[str] = ()) -> None:
    """Train and test error; dashed: those that are so even where the pen is not."""
    for name, color in _measured(curves):
        style = pen.style(color, pen.errors) | ({"linestyle": "--"} if name in dashed else {})
        ax.plot(curves.moments, getattr(curves, name), marker=_marker(curves.moments), label=name,
                zorder=1.5 if pen.light else 2, gid=f"{name}{suffix}", **style)  # fmt: skip


def _measured(curves: _Curves) -> list[tuple[str, str]]:
    """The errors that are known, and their colours: a task without a signal has no test error."""
    return [(name, color) for name, color in _ERRORS.items() if np.isfinite(getattr(curves, name)).any()]


def draw_baselines(ax: Axes, baselines: Mapping[str, float]) -> None:
    """What a test error is to be held against: a thin line across, with its name at the left end."""
    for name, error in baselines.items():
        ax.axhline(error, color=CONTRAST, linewidth=stroke(0.6), linestyle=(0, (1, 2)), zorder=1.4, gid=f"{name} error")
        ax.text(0.01, error, name, transform=ax.get_yaxis_transform(), va="bottom", fontsize=points(6), color=CONTRAST,
                gid="name of an error")  # fmt: skip


def _draw_threshold(ax: Axes, threshold: float, line: Mapping[str, Any]) -> None:
    ax.axhline(threshold, **line, linewidth=stroke(1.1), zorder=4, gid="threshold")


def _draw_crossings(ax: Axes, crossings: Array, threshold: float, rank: int, time: Array) -> None:
    seen = (crossings >= time[0]) & (crossings <= time[-1]) if len(time) else np.zeros(len(crossings), dtype=bool)
    signal = np.arange(len(crossings)) < rank
    bulk, own = crossings[seen & ~signal], crossings[seen & signal]
    ax.plot(bulk, np.full(len(bulk), threshold), linestyle="none", marker="|", color="0.35", markersize=stroke(4),
            markeredgewidth=stroke(0.5), zorder=4.5, gid="crossings of the bulk")  # fmt: skip
    ax.plot(own, np.full(len(own), threshold), zorder=5, gid="crossings of the signal", **_ring())


def _ring() -> dict[str, Any]:
    return {**_RING, "markersize": stroke(3.4), "markeredgewidth": stroke(0.9)}


def _marker(moments: Array) -> str | None:
    return "." if len(moments) == 1 else None  # a line through one point is invisible


def _mode_handles(run: _Curves, rank: int, pen: _Pen, line: Mapping[str, Any], threshold: str) -> list[Line2D]:
    """Samples of signal, bulk (where there is one) and threshold, somewhat broader than they are drawn.

    With rank 0 no modes are told to be the signal's.
    """
    modes = run.modes.shape[1]
    signal, bulk = pen.style(SIGNAL, pen.signal + 0.2), pen.style(pen.gray, pen.bulk + 0.2)
    handles = [Line2D([], [], label=f"signal ({min(rank, modes)})", **signal)] if rank else []
    if modes > rank:
        handles.append(Line2D([], [], label=f"{'bulk' if rank else 'modes'} ({modes - rank})", **bulk))
    return [*handles, Line2D([], [], **line, linewidth=stroke(1.1), label=threshold)]


def tint(color: ColorType) -> tuple[float, float, float]:
    """Half way to white."""
    red, green, blue = to_rgb(color)
    return (1 + red) / 2, (1 + green) / 2, (1 + blue) / 2


# --- What is in view -----------------------------------------------------------------------------------------------


def finite(values: Any) -> Array:
    """The values as float64, nan for what is infinite."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def quartiles(first: int, stop: int) -> list[int]:
    """At most five places from first up to stop, evenly, both ends among them."""
    count = min(_QUARTILES, stop - first)
    return [] if count <= 0 else sorted({round(place) for place in np.linspace(first, stop - 1, count)})


def _in_reach(baselines: Mapping[str, float], run: _Curves, depth: float) -> dict[str, float]:
    """The baselines above `depth` of the largest error: without noise they are 0 up to rounding."""
    top = float(np.nanmax(np.append(run.test, run.train), initial=0.0))
    return {name: error for name, error in baselines.items() if error > depth * top}


def _within(moments: Array, span: Array) -> NDArray[np.bool_]:
    """The moments between the first and the last of a span, and the next ones outside, to which lines run."""
    first, last = np.searchsorted(moments, span[0], side="right") - 1, np.searchsorted(moments, span[-1])
    places = np.arange(len(moments))
    return np.asarray((places >= first) & (places <= last))


def steps_of(theory: OverTime, run: Trajectory) -> Array:
    """Theory's time in the steps of a run of gradient descent."""
    taken, time = int(run.step[-1]), float(run.time[-1])
    return finite(theory.time) * (taken / time) if taken and time > 0 else finite(theory.step)


def _marked(crossings: Array, time: Array) -> list[float]:
    """The crossings that are in view, where they are few."""
    found = [float(t) for t in crossings if t == t and len(time) and time[0] <= t <= time[-1]]
    return found if len(crossings) <= _FEW else found[:_FEW]


def fit_values(ax: Axes, values: Iterable[Array], depth: float, whole: Iterable[Array]) -> None:
    """A log axis over the positive values, down to `depth` of the largest at most; linear where none are.

    Parameters
    ----------
    ax
        The axes.
    values
        Arrays of any shape.
    depth
        How much smaller a value may be to be in view.
    whole
        Values all of which must be in view.
    """
    every, kept = (np.concatenate([each.ravel() for each in arrays]) for arrays in (values, whole))
    positive = every[every > 0]
    if positive.size == 0:
        return
    top = float(positive.max())
    bottom = max(float(positive.min()), depth * top)
    shown = np.log10([*kept[kept > 0], bottom, top])
    margin = max(0.2, 0.04 * float(np.ptp(shown)))
    ax.set_yscale("log", nonpositive="mask")
    ax.set_ylim(10 ** (float(shown.min()) - margin), 10 ** (float(shown.max()) + margin))


def fit_linear(ax: Axes, s: Array, threshold: float) -> None:
    """From 0 to the largest singular value, and to the threshold where that is not far above."""
    largest = float(np.nanmax(s, initial=0.0)) or 1.0
    top = 1.08 * (max(largest, threshold) if threshold < 2 * largest else largest)
    ax.set_ylim(0, top)
    if threshold > top:
        ax.set_ylim(0, 1.25 * top)  # room for the words above every curve
        ax.text(0.98, 0.97, f"$c$ = {written(threshold)} is above", transform=ax.transAxes, ha="right", va="top",
                fontsize=points(7), gid="threshold is above")  # fmt: skip


def _frame(ax: Axes, moments: Array, logarithmic: bool) -> None:
    """Ticks, and the axis of time without margins."""
    set_ticks(ax)
    ax.margins(x=0)
    if logarithmic:
        ax.set_xscale("log")
        _name_times(ax, moments)


def _name_times(ax: Axes, moments: Array) -> None:
    """Numbers at the decades of a log axis; where it spans less than two, at 1, 2 and 5, or at a few even steps."""
    span = float(moments[-1] / moments[0])
    if span < 5:
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,), numticks=9))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())

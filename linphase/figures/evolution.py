"""One run over time: its errors, and its singular values against the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from linphase.diagram.looks import LOOKS, Array, written
from linphase.figures.style import PAGE_WIDTH, StyleName, inches, points, set_ticks, stroke, styled
from linphase.runs.records import Trajectory

SIGNAL, BULK, CONTRAST = LOOKS["balanced"].color, "0.6", "#C8553D"
_THRESHOLD: Any = {"color": CONTRAST, "linestyle": (0, (4, 2))}
_DASHED: Any = (0, (3, 2))
_BROAD = 2.0


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
    """What is drawn of a trajectory; n moments."""

    moments: Array  # (n,)
    train: Array  # (n,)
    test: Array  # (n,)
    modes: Array  # (n, r)


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
    style: StyleName = "paper",
) -> Figure:
    """One run over time: train and test error, and singular values against the threshold c (paper, Figure 1).

    time_label: "step" draws steps on a linear axis, "time" the time on a logarithmic one, from the first
    moment after 0. The `rank` leading modes are emphasised. Zeros have no place on a log axis and are left
    out. theory: drawn solid and light below the run, which is dashed then; names: of the run and of theory.
    """
    figure = Figure(figsize=(inches(PAGE_WIDTH), inches(2.5 if theory is None else 2.7)), layout="constrained")
    errors, modes = figure.subplots(1, 2)
    steps = time_label == "step"
    moments = finite(trajectory.step if steps else trajectory.time)
    logarithmic = not steps and bool((moments > 0).any())
    run = _curves(trajectory, moments, moments > 0 if logarithmic else np.ones(len(moments), dtype=bool))
    predicted = None
    if theory is not None:
        theirs = _steps_of(theory, trajectory) if steps else finite(theory.time)
        predicted = _curves(theory, theirs, _within(theirs, run.moments))
    _draw_errors(errors, run, predicted)
    _draw_modes(modes, run, predicted, rank, threshold)
    for ax in (errors, modes):
        ax.set_xlabel(time_label)
        if logarithmic:
            ax.set_xscale("log")
            name_times(ax, run.moments)
        set_ticks(ax)
        ax.margins(x=0)
        if theory is not None and len(run.moments) > 1:
            ax.set_xlim(run.moments[0], run.moments[-1])
    if title:
        figure.suptitle(title, fontsize=points(8))
    if theory is not None:
        handles = [
            Line2D([], [], color="black", linewidth=stroke(1.0), linestyle=_DASHED, label=names[0]),
            Line2D([], [], color=tint("black"), linewidth=stroke(_BROAD), label=names[1]),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, borderpad=0.1)
    return figure


def name_times(ax: Axes, moments: Array) -> None:
    """Numbers at the decades of a log axis; where it spans less than two, at 1, 2 and 5, or at a few even steps."""
    span = float(moments[-1] / moments[0])
    if span < 5:
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,), numticks=9))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _curves(trajectory: OverTime, moments: Array, seen: NDArray[np.bool_]) -> _Curves:
    values = (trajectory.train_error, trajectory.test_error, trajectory.singular_values)
    return _Curves(moments[seen], *(finite(each)[seen] for each in values))


def _within(moments: Array, span: Array) -> NDArray[np.bool_]:
    """The moments between the first and the last of a span, and the next ones outside, to which lines run."""
    first, last = np.searchsorted(moments, span[0], side="right") - 1, np.searchsorted(moments, span[-1])
    places = np.arange(len(moments))
    return np.asarray((places >= first) & (places <= last))


def _steps_of(theory: OverTime, run: Trajectory) -> Array:
    """Theory's time in the steps of a run of gradient descent."""
    taken, time = int(run.step[-1]), float(run.time[-1])
    return finite(theory.time) * (taken / time) if taken and time > 0 else finite(theory.step)


def finite(values: Any) -> Array:
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _draw_errors(ax: Axes, run: _Curves, theory: _Curves | None) -> None:
    for which, color, style in (("train", SIGNAL, "-"), ("test", CONTRAST, "--")):
        if theory is not None:
            _draw_broad(ax, theory.moments, getattr(theory, which), color, _BROAD, f"{which}, theory")
            style = _DASHED
        ax.plot(run.moments, getattr(run, which), linestyle=style, marker=_marker(run.moments), color=color,
                label=which, gid=which)  # fmt: skip
    ax.set_ylabel("error per entry")
    ax.legend(handles=[Line2D([], [], color=SIGNAL, label="train"), Line2D([], [], color=CONTRAST, label="test")]
              if theory is not None else None, frameon=False)  # fmt: skip
    every = [each for curves in (run, theory) if curves is not None for each in (curves.train, curves.test)]
    fit_values(ax, np.concatenate(every), 1e-8, np.concatenate([run.train, run.test]))


def _draw_modes(ax: Axes, run: _Curves, theory: _Curves | None, rank: int, threshold: float) -> None:
    if theory is not None:
        for mode in reversed(range(theory.modes.shape[1])):
            color, width = (SIGNAL, 1.4) if mode < rank else (BULK, 0.7)
            _draw_broad(ax, theory.moments, theory.modes[:, mode], color, width, f"mode {mode + 1}, theory")
    for mode in reversed(range(run.modes.shape[1])):
        signal = mode < rank
        ax.plot(
            run.moments,
            run.modes[:, mode],
            linestyle="-" if theory is None else (1.7 * mode, _DASHED[1]),  # dashes in step would make a pattern
            marker=_marker(run.moments),
            color=SIGNAL if signal else BULK,
            linewidth=stroke(0.8 if signal else 0.4),
            zorder=3 if signal else 2,
            gid=f"mode {mode + 1}",
        )
    line = (
        _THRESHOLD
        | {"linewidth": stroke(1.1)}
        | ({} if theory is None else {"linestyle": (0, (1, 1.2)), "color": "black"})
    )
    ax.axhline(threshold, **line, zorder=4, gid="threshold")
    ax.set_ylabel(r"singular values of $A$")
    every = [run.modes.ravel(), *([] if theory is None else [theory.modes.ravel()])]
    fit_values(ax, np.concatenate(every), 1e-6, np.array([threshold]))
    _mode_legend(ax, line, threshold, rank, run.modes.shape[1])


def _draw_broad(ax: Axes, moments: Array, values: Array, color: str, width: float, gid: str) -> None:
    """Theory: a broad light line on which a run's dashes stay legible."""
    ax.plot(moments, values, color=tint(color), linewidth=stroke(width), solid_capstyle="butt", zorder=1.5, gid=gid)


def tint(color: ColorType) -> tuple[float, float, float]:
    """Half way to white."""
    red, green, blue = to_rgb(color)
    return (1 + red) / 2, (1 + green) / 2, (1 + blue) / 2


def _marker(moments: Array) -> str | None:
    return "." if len(moments) == 1 else None  # a line through one point is invisible


def fit_values(ax: Axes, values: Array, depth: float, whole: Array) -> None:
    """A log axis over the positive values, down to `depth` of the largest at most; linear where none are.

    whole: values all of which must be in view.
    """
    positive = values[values > 0]
    if positive.size == 0:
        return
    top = float(positive.max())
    bottom = max(float(positive.min()), depth * top)
    shown = np.log10([*whole[whole > 0], bottom, top])
    margin = max(0.2, 0.04 * float(np.ptp(shown)))
    ax.set_yscale("log", nonpositive="mask")
    ax.set_ylim(10 ** (float(shown.min()) - margin), 10 ** (float(shown.max()) + margin))


def _mode_legend(ax: Axes, line: dict[str, Any], threshold: float, rank: int, modes: int) -> None:
    handles = [Line2D([], [], color=SIGNAL, linewidth=stroke(1.1), label=f"signal ({min(rank, modes)})")]
    if modes > rank:
        handles.append(Line2D([], [], color=BULK, linewidth=stroke(0.6), label=f"bulk ({modes - rank})"))
    handles.append(Line2D([], [], **line, label=f"threshold $c$ = {written(threshold)}"))
    ax.legend(handles=handles, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), borderpad=0.1)

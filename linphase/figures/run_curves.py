"""Curves of a run over time, each drawn into given axes: errors, singular values, the threshold, modes escaped.

One convention for every figure: what is measured is solid, what theory predicts is dashed and darker, and the threshold
c is dotted. The colours are those of `linphase.diagram.looks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from linphase.diagram.looks import BULK, SIGNAL, TEST, THRESHOLD, TRAIN, Array, written
from linphase.figures.style import points, set_ticks, stroke
from linphase.model.mode_times import escaped_modes

_ERRORS = {"train": TRAIN, "test": TEST}
_ROOM = 1.6  # between two numbers of modes that can both be told


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
class Curves:
    """What is drawn of a run or of theory; n moments."""

    moments: Array  # (n,)
    train: Array  # (n,)
    test: Array  # (n,)
    modes: Array  # (n, r)

    @classmethod
    def of(cls, run: OverTime, moments: Array, seen: Any = slice(None)) -> Curves:
        values = (run.train_error, run.test_error, run.singular_values)
        return cls(moments[seen], *(finite(each)[seen] for each in values))

    def beside(self, run: Curves) -> Curves:
        """With no more modes than a run has: those beyond its width are 0 in theory."""
        return replace(self, modes=self.modes[:, : run.modes.shape[1]])

    @property
    def errors(self) -> dict[str, Array]:
        """Those that are known: a task without a signal has no test error."""
        every = {name: getattr(self, name) for name in _ERRORS}
        return {name: error for name, error in every.items() if np.isfinite(error).any()}


@dataclass(frozen=True)
class Pen:
    """How curves are drawn: the widths of signal modes, bulk modes and errors, and more."""

    signal: float
    bulk: float
    errors: float
    order: float  # higher ones cover lower ones
    every_mode: bool = True  # else, of the bulk, the largest and the quartiles
    dashes: tuple[float, float] | None = None  # points; then it draws in a darker colour
    suffix: str = ""  # of its artists' names

    def style(self, color: ColorType, width: float) -> dict[str, Any]:
        """The arguments of a matplotlib line."""
        return {
            "color": color if self.dashes is None else shade(color),
            "linewidth": stroke(width),
            "linestyle": "-" if self.dashes is None else (0, self.dashes),
        }

    def sample(self, label: str) -> Line2D:
        """In a legend: what is drawn so."""
        return Line2D([], [], label=label, **self.style("0.45", self.errors))


MEASURED = Pen(signal=1.4, bulk=0.5, errors=1.6, order=2.0)
THEORY = Pen(signal=0.7, bulk=0.7, errors=0.8, order=2.5, every_mode=False, dashes=(4, 2), suffix=", theory")
PREDICTED = replace(THEORY, every_mode=True, suffix="")  # of a run that is theory's own


# --- Curves and marks ----------------------------------------------------------------------------------------------


def draw_modes(ax: Axes, curves: Curves, pen: Pen, rank: int) -> None:
    """The singular values, the leading ones above the others."""
    count = curves.modes.shape[1]
    bulk = range(rank, count) if pen.every_mode else quartiles(rank, count)
    for mode in reversed([*range(min(rank, count)), *bulk]):
        signal = mode < rank
        ax.plot(
            curves.moments,
            curves.modes[:, mode],
            marker=_marker(curves.moments),
            zorder=pen.order + 0.2 * signal,
            gid=f"mode {mode + 1}{pen.suffix}",
            **(pen.style(SIGNAL, pen.signal) if signal else pen.style(BULK, pen.bulk)),
        )


def draw_escaped(ax: Axes, curves: Curves, pen: Pen, target: ArrayLike) -> None:
    """How many singular values are above half of the target's, as steps."""
    ax.step(curves.moments, escaped_modes(curves.modes, target), where="post", marker=_marker(curves.moments),
            zorder=pen.order, gid=f"escaped{pen.suffix}", **pen.style("0.45", pen.errors))  # fmt: skip


def count_modes(ax: Axes, rank: int, modes: int) -> None:
    """An axis of numbers of modes, told at none, the signal's and all of them; logarithmic from 1 on."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.5)
    ax.set_yticks(sorted({0, modes, *([rank] if _ROOM * rank < modes else [])}))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", color="0.85", linewidth=stroke(0.4))
    ax.set_ylim(-0.3, 1.4 * modes + 0.3)


def draw_errors(ax: Axes, curves: Curves, pen: Pen) -> None:
    """Train and test error."""
    for name, error in curves.errors.items():
        ax.plot(curves.moments, error, marker=_marker(curves.moments), zorder=pen.order, gid=f"{name}{pen.suffix}",
                **pen.style(_ERRORS[name], pen.errors))  # fmt: skip


def draw_baselines(ax: Axes, baselines: Mapping[str, float]) -> None:
    """What theory holds a test error against: a thin line across, with its name at the frame."""
    style = THEORY.style(TEST, 0.5)
    ranked = sorted(baselines.items(), key=lambda each: each[1])
    for place, (name, error) in enumerate(ranked):
        ax.axhline(error, zorder=1.4, gid=f"{name} error", **style)
        aside = "center" if len(ranked) == 1 else "top" if place == 0 else "bottom"
        ax.text(1.01, error, name, transform=ax.get_yaxis_transform(), va=aside, fontsize=points(6.5),
                color=style["color"], gid="name of an error")  # fmt: skip


def draw_threshold(ax: Axes, threshold: float) -> None:
    ax.axhline(threshold, **dotted(1.1), zorder=4, gid="threshold")


def draw_crossings(ax: Axes, crossings: Array, threshold: float, rank: int, time: Array) -> None:
    """Rings where signal modes cross the threshold, and ticks where bulk modes do."""
    seen = (crossings >= time[0]) & (crossings <= time[-1]) if len(time) else np.zeros(len(crossings), dtype=bool)
    signal = np.arange(len(crossings)) < rank
    bulk, own = crossings[seen & ~signal], crossings[seen & signal]
    ax.plot(bulk, np.full(len(bulk), threshold), linestyle="none", marker="|", color="0.35", markersize=stroke(4),
            markeredgewidth=stroke(0.5), zorder=4.5, gid="crossings of the bulk")  # fmt: skip
    ax.plot(own, np.full(len(own), threshold), zorder=5, gid="crossings of the signal", **ring())


def ring() -> dict[str, Any]:
    """The mark of a crossing."""
    return {"linestyle": "none", "marker": "o", "markerfacecolor": "white", "markeredgecolor": shade(SIGNAL),
            "markersize": stroke(3.4), "markeredgewidth": stroke(0.9)}  # fmt: skip


def dotted(width: float) -> dict[str, Any]:
    """The line of the threshold."""
    return {"color": THRESHOLD, "linestyle": (0, (1, 1.2)), "linewidth": stroke(width)}


def _marker(moments: Array) -> str | None:
    return "." if len(moments) == 1 else None  # a line through one point is invisible


def error_handles(curves: Curves) -> list[Line2D]:
    """Samples of the errors."""
    return [Line2D([], [], label=name, **MEASURED.style(_ERRORS[name], 1.6)) for name in curves.errors]


def mode_handles(curves: Curves, rank: int, threshold: str) -> list[Line2D]:
    """Samples of signal, bulk (where there is one) and threshold; with rank 0 no modes are told to be the signal's."""
    modes = curves.modes.shape[1]
    signal, bulk = MEASURED.style(SIGNAL, 1.6), MEASURED.style(BULK, 0.9)
    handles = [Line2D([], [], label=f"signal ({min(rank, modes)})", **signal)] if rank else []
    if modes > rank:
        handles.append(Line2D([], [], label=f"{'bulk' if rank else 'modes'} ({modes - rank})", **bulk))
    return [*handles, Line2D([], [], label=threshold, **dotted(1.1))]


def tint(color: ColorType) -> tuple[float, float, float]:
    """Half way to white."""
    red, green, blue = to_rgb(color)
    return (1 + red) / 2, (1 + green) / 2, (1 + blue) / 2


def shade(color: ColorType) -> tuple[float, float, float]:
    """Most of the way to black, which dashes need to be seen over the colour itself."""
    red, green, blue = to_rgb(color)
    return 0.4 * red, 0.4 * green, 0.4 * blue


# --- What is in view -----------------------------------------------------------------------------------------------


def finite(values: Any) -> Array:
    """The values as float64, nan for what is infinite."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def quartiles(rank: int, modes: int) -> list[int]:
    """The largest mode of the bulk and those at its quartiles; the smallest is rounding noise."""
    last = modes - 1 - rank
    return [] if last < 0 else sorted({rank + round(share * last) for share in (0, 0.25, 0.5, 0.75)})


def in_reach(baselines: Mapping[str, float], run: Curves, depth: float) -> dict[str, float]:
    """The baselines above `depth` of the largest error: without noise they are 0 up to rounding."""
    top = float(np.nanmax(np.append(run.test, run.train), initial=0.0))
    return {name: error for name, error in baselines.items() if error > depth * top}


def within(moments: Array, span: Array) -> NDArray[np.bool_]:
    """The moments between the first and the last of a span, and the next ones outside, to which lines run."""
    first, last = np.searchsorted(moments, span[0], side="right") - 1, np.searchsorted(moments, span[-1])
    places = np.arange(len(moments))
    return np.asarray((places >= first) & (places <= last))


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


def frame(ax: Axes, moments: Array, *, logarithmic: bool) -> None:
    """Ticks, and the axis of time without margins."""
    set_ticks(ax)
    ax.margins(x=0)
    if logarithmic:
        ax.set_xscale("log")
        name_times(ax, moments)


def name_times(ax: Axes, moments: Array) -> None:
    """Numbers at the decades of a log axis; where it spans less than two, at 1, 2 and 5, or at a few even steps."""
    span = float(moments[-1] / moments[0])
    if span < 5:
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    else:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 100 else (1,), numticks=9))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())

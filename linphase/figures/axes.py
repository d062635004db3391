"""The axes of a grid in a figure: two that span a diagram, the further ones as facets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from linphase.columns import for_key
from linphase.errors import LinphaseError
from linphase.figures.style import Array, plainly, set_ticks, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_FACETS = 36
_AXIS_LABELS = {
    "gamma_sigma2": r"$\gamma_{\sigma^2} = \log_d\,\sigma^2$",
    "gamma_w": r"$\gamma_w = \log_d\,\mathrm{width}$",
    "init_variance": r"initial variance $\sigma^2$",
    "width": "width",
    "dimension": "dimension $d$",
    "rank": "rank $k$",
    "noise": r"noise $\nu$",
}
_TRAINING = ("dynamics.", "stop.", "record.", "run.")
_VARIANCES, _WIDTHS = ("gamma_sigma2", "init_variance"), ("gamma_w", "width")


@dataclass(frozen=True)
class Axis:
    """One axis of the grid: its stored values in the order they are drawn, and where their cells end."""

    column: str
    kept: tuple[Any, ...]  # the distinct stored values
    logarithmic: bool
    positions: Array  # (n,)
    edges: Array  # (n + 1,)

    @classmethod
    def of(cls, key: str, values: Sequence[Any]) -> Axis:
        column = _column(key)
        stored = [as_stored(value) for value in values]
        numeric = not any(isinstance(value, str) for value in stored)
        kept = sorted(set(stored)) if numeric else list(dict.fromkeys(stored))
        positions = np.array(kept if numeric else range(len(kept)), dtype=np.float64)
        logarithmic = (
            numeric
            and not column.startswith("gamma")
            and positions[0] > 0
            and (column in ("init_variance", "width") or positions[-1] >= 50 * positions[0])
        )
        return cls(column, tuple(kept), logarithmic, positions, cell_edges(positions, logarithmic=logarithmic))

    def index(self, runs: pd.DataFrame) -> NDArray[np.intp]:
        """Place of each run on this axis; -1 for a run that is not on it."""
        places = {value: i for i, value in enumerate(self.kept)}
        return np.array([places.get(as_stored(value), -1) for value in runs[self.column]], dtype=np.intp)

    @property
    def few(self) -> bool:
        """Whether every value gets a tick of its own."""
        return isinstance(self.kept[0], str) or (len(self.kept) <= 5 and not self.column.startswith("gamma"))


@dataclass(frozen=True)
class Window:
    """The two axes of a diagram: the variance across and the width upwards, or the first across."""

    x: Axis
    y: Axis

    @classmethod
    def of(cls, axes: Mapping[str, Sequence[Any]]) -> Window:
        if len(axes) < 2:
            raise LinphaseError(f"a phase diagram needs two axes, found {len(axes)}: {', '.join(axes) or 'none'}")
        first, second = (Axis.of(key, values) for key, values in list(axes.items())[:2])
        if second.column in _VARIANCES or first.column in _WIDTHS:
            first, second = second, first
        return cls(first, second)

    @property
    def has_theory(self) -> bool:
        """Whether the boundaries of `linphase.theory` are curves in these axes."""
        return self.x.column in _VARIANCES and self.y.column in _WIDTHS


def cell_edges(positions: Array, *, logarithmic: bool = False) -> Array:
    """Edges half way between neighbouring cells, on a log axis geometrically; a lone cell gets unit width."""
    if logarithmic:
        return np.asarray(10.0 ** cell_edges(np.log10(positions)))
    if len(positions) == 1:
        return np.array([positions[0] - 0.5, positions[0] + 0.5])
    middle = (positions[1:] + positions[:-1]) / 2
    return np.concatenate([[2 * positions[0] - middle[0]], middle, [2 * positions[-1] - middle[-1]]])


def _column(key: str) -> str:
    return for_key(key if "." in key else f"grid.{key}").name


def as_stored(value: Any) -> Any:
    """An axis value as the runs table holds it, so that the two can be compared; fractions to 12 digits."""
    if isinstance(value, Mapping):  # a rule with a number, such as {paper: 5}
        return "/".join(f"{name}/{repr(number).removesuffix('.0')}" for name, number in value.items())
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value
    if pd.isna(value):
        return None
    return float(value) if float(value).is_integer() else float(f"{value:.12g}")


@dataclass(frozen=True)
class Facet:
    """The runs of one combination of the third and further axes."""

    title: str
    runs: pd.DataFrame
    values: dict[str, Any]  # by column


def split_facets(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]], *, predicted: bool = False) -> list[Facet]:
    """The runs of each combination of the third and further axes, with a title naming it.

    predicted: these runs are theory's, which does not know how a network is trained. An axis of the training on
    which none of them lies is no axis to them: every facet gets them all.
    """
    further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
    count = prod(len(axis.kept) for axis in further)
    if count > MAX_FACETS:
        raise LinphaseError(
            f"the axes beyond the first two ({', '.join(a.column for a in further)}) make {count} facets; "
            f"one figure holds at most {MAX_FACETS}. {_fewer(further)}"
        )
    places = [axis.index(runs) for axis in further]
    if predicted:
        trained = [key.startswith(_TRAINING) for key in list(axes)[2:]]
        ignored = [known and bool((place < 0).all()) for known, place in zip(trained, places, strict=True)]
    else:
        ignored = [False] * len(places)
    facets = []
    for cell in product(*(range(len(axis.kept)) for axis in further)):
        here = np.ones(len(runs), dtype=bool)
        for place, i, ignore in zip(places, cell, ignored, strict=True):
            here &= ignore | (place == i)
        values = {axis.column: axis.kept[i] for axis, i in zip(further, cell, strict=True)}
        title = ", ".join(f"{column} = {written(value)}" for column, value in values.items())
        facets.append(Facet(title, runs[here], values))
    return facets


def _fewer(further: Sequence[Axis]) -> str:
    """What to do about too many facets."""
    axis = max(further, key=lambda each: len(each.kept))
    return (
        f"Draw some of them: linphase plot --where {axis.column}={plainly(axis.kept[0])} keeps one value of that axis, "
        "and --where can be repeated; in Python linphase.figures.select"
    )


def only_facet(runs: pd.DataFrame, axes: Mapping[str, Sequence[Any]]) -> str:
    """The title of the only facet; LinphaseError where there are several: a run over time has no place in them all."""
    facets = split_facets(runs, axes)
    if len(facets) > 1:
        further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
        choice = " ".join(f"--where {axis.column}={plainly(axis.kept[0])}" for axis in further if len(axis.kept) > 1)
        raise LinphaseError(
            f"trajectories are drawn of one facet, found {len(facets)}. Choose one, such as linphase plot {choice}"
        )
    return facets[0].title


def facet_columns(axes: Mapping[str, Sequence[Any]], count: int) -> int:
    """With two further axes a table of them; else rows of at most four."""
    last = len(set(map(as_stored, list(axes.values())[-1])))
    if len(axes) == 4 and 1 < last <= 6:
        return last
    return count if count <= 4 else ceil(count / ceil(count / 4))


def draw_frame(ax: Axes, window: Window, *, left: bool, bottom: bool) -> None:
    """Ticks, and at the outer sides of a figure their labels and the names of the axes."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    for axis, artist in ((window.x, ax.xaxis), (window.y, ax.yaxis)):
        if axis.few:
            names = [written(value) for value in axis.kept]
            artist.set_major_locator(FixedLocator(axis.positions.tolist()))
            artist.set_major_formatter(FuncFormatter(lambda _, i, names=names: names[i] if i is not None else ""))
            artist.set_minor_locator(NullLocator())
        elif axis.logarithmic:
            artist.set_major_locator(LogLocator(numticks=6))
            artist.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
            artist.set_minor_formatter(NullFormatter())
        else:
            artist.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    set_ticks(ax)
    ax.tick_params(labelbottom=bottom, labelleft=left)
    if bottom:
        ax.set_xlabel(_AXIS_LABELS.get(window.x.column, window.x.column.replace("_", " ")))
    if left:
        ax.set_ylabel(_AXIS_LABELS.get(window.y.column, window.y.column.replace("_", " ")))

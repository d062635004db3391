"""How a figure is fitted to where it is shown, told without matplotlib: sizes, type, what is left out, the scale."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields
from math import isfinite
from types import MappingProxyType
from typing import Any, Literal, get_args

from linphase.errors import LinphaseError, check_argument

StyleName = Literal["paper", "talk"]
ScaleChoice = Literal["log", "linear"]

COLUMN_WIDTH = 3.4  # inches: one column of a paper
PAGE_WIDTH = 7.0
WIDTHS: Mapping[str, float] = MappingProxyType({"one-column": COLUMN_WIDTH, "two-column": PAGE_WIDTH})


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a figure is fitted to where it is shown; every function that draws takes one, or the name of one.

    Attributes
    ----------
    size, type, stroke
        How much larger than in a paper lengths, letters and lines are.
    figure_width, figure_height
        Inches of the whole figure, or "one-column" (3.4) and "two-column" (7); None: as the figure needs.
    font
        A family that is installed, or serif, sans-serif, monospace; None: that of the user's settings, or DejaVu Sans.
    sheet
        A .mplstyle file, whose settings come after those of linphase.
    title, lines, names
        Whether titles, theory's lines and the names of these lines are drawn.
    vmin, vmax
        Ends of the scale of a panel of numbers; None: those of its cells.
    scale
        "log" or "linear", in place of the panel's own scale.

    Raises
    ------
    LinphaseError
        If a size is not positive, or an end of the scale is not below the other one.

    Examples
    --------
    >>> results.plot("test-error", style=Style(figure_width="one-column", font="serif", title=False, vmin=0.01, vmax=1))
    """

    size: float = 1.0
    type: float = 1.0
    stroke: float = 1.0
    figure_width: float | str | None = None
    figure_height: float | None = None
    font: str | None = None
    sheet: str | os.PathLike[str] | None = None
    title: bool = True
    lines: bool = True
    names: bool = True
    vmin: float | None = None
    vmax: float | None = None
    scale: ScaleChoice | None = None

    def __post_init__(self) -> None:
        for name, (kind, required) in _KINDS.items():
            if (value := getattr(self, name)) is not None:
                check_argument(name, value, kind, required)
                if isinstance(value, int | float) and not isfinite(value):
                    raise LinphaseError(f"{name}: a finite number is required, found {value}")
        for name in _SIZES:
            if not 0 < getattr(self, name) <= _LARGEST:
                raise LinphaseError(f"{name}: a positive number is required, found {getattr(self, name)}")
        if isinstance(self.figure_width, str) and self.figure_width not in WIDTHS:
            raise LinphaseError(
                f"figure_width: {', '.join(WIDTHS)} or a number of inches is required, found {self.figure_width!r}"
            )
        for name, inches in (("figure_width", self.inches_wide), ("figure_height", self.figure_height)):
            if inches is not None and not _SMALLEST <= inches <= _LARGEST:
                raise LinphaseError(f"{name}: {_SMALLEST} to {_LARGEST} inches are required, found {inches!r}")
        if self.scale not in (None, *get_args(ScaleChoice)):
            raise LinphaseError(f"scale: log or linear is required, found {self.scale!r}")
        if self.vmin is not None and self.vmax is not None and not self.vmin < self.vmax:
            raise LinphaseError(f"vmax: a number above vmin = {self.vmin:g} is required, found {self.vmax:g}")
        if self.scale == "log" and any(end is not None and end <= 0 for end in (self.vmin, self.vmax)):
            raise LinphaseError("vmin, vmax: positive numbers are required on a logarithmic scale")

    @property
    def inches_wide(self) -> float | None:
        """The width in inches; None: as the figure needs."""
        return WIDTHS[self.figure_width] if isinstance(self.figure_width, str) else self.figure_width

    @property
    def sizes(self) -> tuple[float, float, float]:
        return self.size, self.type, self.stroke

    @property
    def ranged(self) -> bool:
        """Whether it says something of the scale of a panel."""
        return (self.vmin, self.vmax, self.scale) != (None, None, None)


_SMALLEST, _LARGEST = 1.0, 100.0  # inches
_SIZES = ("size", "type", "stroke")
_NUMBER: tuple[Any, str] = ((int, float), "a number")
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys((*_SIZES, "figure_height", "vmin", "vmax"), _NUMBER),
    "figure_width": ((int, float, str), "a width"),
    "font": (str, "the name of a family"),
    "sheet": ((str, os.PathLike), "the path of a style sheet"),
    **dict.fromkeys(("title", "lines", "names"), (bool, "True or False")),
    "scale": (str, "log or linear"),
}

# On a slide of 13.3 inches a column takes nearly half of it and a page all but the margins; type is 15 to 17 points.
STYLES: dict[StyleName, Style] = {"paper": Style(), "talk": Style(size=1.8, type=2.1, stroke=2.2)}


IN_USE: ContextVar[Style] = ContextVar("style", default=STYLES["paper"])  # of the figure that is being drawn


def style_called(style: StyleName | Style) -> Style:
    """The style of a name, or the style itself; LinphaseError where there is none."""
    if isinstance(style, Style):
        return style
    if not isinstance(style, str) or style not in STYLES:
        raise LinphaseError(f"style must be one of {', '.join(STYLES)}, or a linphase.Style, found {style!r:.60}")
    return STYLES[style]


def style_in_use() -> Style:
    """The style of the figure that is being drawn."""
    return IN_USE.get()


def differing(style: Style) -> dict[str, str]:
    """What a style says besides the usual, by words: "style" for its sizes, "no-title" and the like without a value."""
    usual = Style()
    named = next((name for name, one in STYLES.items() if one.sizes == style.sizes), "own")
    found = {} if style.sizes == usual.sizes else {"style": str(named)}
    for field in fields(style):
        value = getattr(style, field.name)
        if value != getattr(usual, field.name) and field.name not in _SIZES:
            name = field.name.replace("_", "-")
            found[f"no-{name}" if value is False else name] = "" if value is False else str(value)
    return found

"""How figures look: sizes, type, the breadth of strokes; and how they are written to files.

Everything is given in the sizes of the style "paper": inches, points of type, breadths of strokes. While a figure is
drawn the style in use stands in matplotlib's settings, from where `inches`, `points` and `stroke` read it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.style import context

from linphase.errors import LinphaseError
from linphase.files import whole

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase

StyleName = Literal["paper", "talk"]
P = ParamSpec("P")

COLUMN_WIDTH = 3.4  # inches: one column of a paper
PAGE_WIDTH = 7.0


NOTEBOOK_DPI = 150  # pixels an inch of what a notebook shows


class NotebookFigure(Figure):
    """A Figure that a notebook shows without `%matplotlib inline`; of one made without pyplot it prints the size."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows, as `save` would write it."""
        picture = BytesIO()
        with context("default"):
            self.savefig(picture, format="png", dpi=NOTEBOOK_DPI)
        return picture.getvalue()


@dataclass(frozen=True)
class Style:
    """How much larger than in a paper everything is."""

    size: float
    type: float
    stroke: float


# On a slide of 13.3 inches a column takes nearly half of it and a page all but the margins; type is 15 to 17 points.
STYLES: dict[StyleName, Style] = {"paper": Style(1.0, 1.0, 1.0), "talk": Style(1.8, 2.1, 2.2)}

_BASE = 7.5  # points
_TYPE = {
    "font.size": _BASE,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
}
_STROKES = {"axes.linewidth": 0.6, "lines.linewidth": 1.0}
_INCHES = {"figure.constrained_layout.h_pad": 0.02, "figure.constrained_layout.w_pad": 0.02}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in the style of its argument `style`, whatever the user's matplotlib settings are."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with context(["default", _settings(cast("StyleName", kwargs.get("style", "paper")))]):
            return draw(*args, **kwargs)

    return styled


def _settings(name: StyleName) -> dict[Any, Any]:
    if name not in STYLES:
        raise LinphaseError(f"style must be one of {', '.join(STYLES)}, found {name!r}")
    style = STYLES[name]
    settings: dict[Any, Any] = {key: value * style.type for key, value in _TYPE.items()}
    settings |= {key: value * style.stroke for key, value in _STROKES.items()}
    settings |= {key: value * style.size for key, value in _INCHES.items()}
    settings["figure.figsize"] = (COLUMN_WIDTH * style.size, COLUMN_WIDTH * style.size)
    # Type as it is in every installation, and mathematics in it.
    return settings | {"font.family": "DejaVu Sans", "mathtext.fontset": "dejavusans", "text.usetex": False}


def inches(value: float) -> float:
    """A length of the style paper as it is in the style in use."""
    return value * float(_setting("figure.figsize")[0]) / COLUMN_WIDTH


def points(value: float) -> float:
    """A size of type, in points."""
    return value * float(_setting("font.size")) / _BASE


def stroke(value: float) -> float:
    """The breadth of a line or the size of a mark, in points."""
    return value * float(_setting("lines.linewidth")) / _STROKES["lines.linewidth"]


def _setting(name: str) -> Any:
    return mpl.rcParams[cast("Any", name)]


def set_ticks(ax: Axes) -> None:
    """Short thin ticks with small labels."""
    ax.tick_params(labelsize=points(7), width=stroke(0.6), length=stroke(2.5), pad=points(2))
    ax.tick_params(which="minor", width=stroke(0.4), length=stroke(1.5))


def figure_of(ax: Axes) -> Figure:
    """The whole figure that some axes are in, where these are of a part of it, too."""
    figure = ax.figure
    return figure.figure if isinstance(figure, SubFigure) else figure


def check_axes(ax: object) -> None:
    """Refuse what is no Axes of two dimensions."""
    if not isinstance(ax, Axes) or ax.name != "rectilinear":
        raise LinphaseError(
            f"ax: a matplotlib Axes of two dimensions is required, as plt.subplots gives, found {ax!r:.60}"
        )


def renderer(figure: Figure) -> RendererBase:
    """What measures text in a figure made for it, with a FigureCanvasAgg."""
    canvas: Any = figure.canvas
    return cast("RendererBase", canvas.get_renderer())


FORMATS = ("png", "pdf", "svg")


def check_format(path: Path) -> str:
    """The format that a figure's name asks for: png, pdf or svg; LinphaseError for any other."""
    format = path.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        raise LinphaseError(
            f"{path}: a figure's name must end in .png, .pdf or .svg, found {path.suffix or 'no suffix'!r}"
        )
    return format


def save(
    figure: Figure, path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None, *, dpi: float = 300
) -> None:
    """Write a figure complete or not at all. Text stays text, and no date is stored: the same figure, the same bytes.

    Parameters
    ----------
    figure
        Any Figure.
    path
        Ends in .png, .pdf or .svg.
    metadata
        Goes into the file (the digest of a config, the version of linphase): as text chunks of a PNG, the Subject of a
        PDF, the Description of an SVG.
    dpi
        Pixels an inch of a PNG.

    Raises
    ------
    LinphaseError
        If the path ends otherwise or cannot be written.
    """
    path = Path(path)
    format = check_format(path)
    told = {str(key): str(value) for key, value in (metadata or {}).items()}
    line = "; ".join(f"{key}: {value}" for key, value in told.items())
    formats: dict[str, dict[str, Any]] = {
        "png": dict(told),
        "pdf": {"Subject": line, "CreationDate": None},
        "svg": {"Description": line, "Date": None},
    }
    fonts: Any = {"svg.fonttype": "none", "svg.hashsalt": "linphase", "pdf.fonttype": 42}
    with context(["default", fonts]), whole(path) as draft:
        figure.savefig(draft, format=format, dpi=dpi, metadata=formats[format])

"""How figures look: sizes, type, the breadth of strokes; and how they are written to files.

Everything is given in the sizes of the style "paper": inches, points of type, breadths of strokes. `inches`, `points`
and `stroke` give them in the style in use (`linphase.figures.fitting`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import fontManager
from matplotlib.style import context

from linphase.diagram.panels import one_of
from linphase.errors import LinphaseError
from linphase.figures.fitting import IN_USE, Style, StyleName, style_called, style_in_use
from linphase.files import whole

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase

P = ParamSpec("P")

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


_BASE = 7.5  # points
_TYPE = {
    "font.size": _BASE,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.titlepad": 4,
    "axes.labelpad": 2,
}
_STROKES = {"axes.linewidth": 0.6, "lines.linewidth": 1.0}
_INCHES = {"figure.constrained_layout.h_pad": 0.02, "figure.constrained_layout.w_pad": 0.02}
# What a user's settings may decide: letters, lines and ticks, not where things stand.
_HEEDED = ("font.", "mathtext.", "axes.linewidth", "axes.labelsize", "axes.titlesize", "lines.linewidth",
           "legend.fontsize", "xtick.direction", "ytick.direction", "xtick.labelsize", "ytick.labelsize",
           "text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")  # fmt: skip
_USUAL_FONT = {"font.family": ["DejaVu Sans"], "mathtext.fontset": "dejavusans"}


_SETTINGS_ARE_SHARED = RLock()  # matplotlib's, by all threads: figures are drawn one after the other


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in the style of its argument `style`.

    Of the user's matplotlib settings those of letters, lines and ticks are heeded; where things stand is not theirs.
    """

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        style = style_called(cast("StyleName | Style", kwargs.get("style", "paper")))
        with _SETTINGS_ARE_SHARED:
            settings = _settings(style)
        token = IN_USE.set(style)
        try:
            with _SETTINGS_ARE_SHARED, context(["default", settings]):
                figure = draw(*args, **kwargs)
                if not style.title and kwargs.get("ax") is None:
                    _leave_out_titles(figure)
                return figure
        finally:
            IN_USE.reset(token)

    return styled


def _leave_out_titles(figure: Figure) -> None:
    for ax in figure.axes:
        ax.set_title("")
    if figure.get_suptitle():
        figure.suptitle("")


def _settings(style: Style) -> dict[Any, Any]:
    """Matplotlib's settings in a style: linphase's, the user's, those of a sheet, each before the next."""
    settings: dict[Any, Any] = {key: value * style.type for key, value in _TYPE.items()}
    settings |= {key: value * style.stroke for key, value in _STROKES.items()}
    settings |= {key: value * style.size for key, value in _INCHES.items()}
    settings |= {**_USUAL_FONT, "text.usetex": False}
    theirs = _of_the_user() | ({} if style.sheet is None else _of_sheet(style.sheet))
    if "font.size" in theirs:  # everything in proportion; what is set besides stands as it is
        larger = float(theirs["font.size"]) / _BASE
        settings |= {key: value * larger for key, value in _TYPE.items()}
    settings |= theirs
    if "mathtext.fontset" not in theirs and "font.family" in theirs:
        settings |= _mathematics_of(theirs["font.family"])
    if style.font is not None:
        settings |= _mathematics_of(_family(style.font)) | {"font.family": _family(style.font)}
    settings["font.family"] = _named(settings)
    return settings


def _of_the_user() -> dict[str, Any]:
    """Of matplotlib's settings those that a user may decide and has set to something else than matplotlib's own."""
    usual, current = ({str(key): value for key, value in each.items()} for each in (mpl.rcParamsDefault, mpl.rcParams))
    return {key: value for key, value in current.items() if key.startswith(_HEEDED) and value != usual[key]}


def _of_sheet(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The same of a style sheet, all that it sets; LinphaseError where it cannot be read or holds something else."""
    if not os.path.isfile(path):
        raise LinphaseError(f"{path}: a style sheet (.mplstyle) is required, found no file")
    try:
        text = Path(path).read_text(encoding="utf-8")
        read = mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    except (OSError, ValueError) as error:
        raise LinphaseError(f"{path}: is no style sheet that matplotlib reads: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if (said := line.partition("#")[0].strip()) and ":" not in said:
            raise LinphaseError(f"{path}, line {number}: KEY: VALUE is required, found {said!r:.60}")
    if not float(read.get("font.size", 1)) > 0:
        raise LinphaseError(f"{path}: font.size must be a positive number, found {read['font.size']}")
    return {str(key): value for key, value in read.items() if str(key).startswith(_HEEDED)}


_GENERIC = ("serif", "sans-serif", "monospace", "cursive", "fantasy")


def _family(font: str) -> list[str]:
    """A family that is installed; LinphaseError, with one of a similar name, where it is not."""
    known = sorted({each.name for each in fontManager.ttflist})
    if font in _GENERIC or font in known:
        return [font]
    alike = {name.lower(): name for name in known}
    close = get_close_matches(font.lower(), alike, n=1)
    meant = f" Did you mean {alike[close[0]]}?" if close else ""
    raise LinphaseError(
        f"font: a family that is installed, or {one_of(_GENERIC[:3])}, is required, found {font!r}.{meant}"
    )


def _mathematics_of(family: Sequence[str] | str) -> dict[str, Any]:
    """The set of mathematical letters, of those that matplotlib has, that goes with a family."""
    first = family if isinstance(family, str) else next(iter(family), "")
    alike = (fonts for words, fonts in _MATHEMATICS if any(word in first.lower() for word in words))
    return {"mathtext.fontset": next(alike, "dejavusans")}


_MATHEMATICS = (
    (("dejavu serif", "bitstream"), "dejavuserif"),
    (("stix", "times", "termes", "nimbus roman", "liberation serif"), "stix"),
    (("cmr", "computer modern", "latin modern", "cmu"), "cm"),
    (("helvet", "arial", "liberation sans", "nimbus sans"), "stixsans"),
    (("sans",), "dejavusans"),
    (("serif",), "dejavuserif"),
)


def _named(settings: Mapping[str, Any]) -> list[str]:
    """The families of some settings by their own names: a figure is saved under other settings than it is drawn in."""
    given = settings["font.family"]
    named: list[str] = []
    for each in [given] if isinstance(given, str) else given:
        listed = f"font.{each}"
        usual = mpl.rcParamsDefault.get(cast("Any", listed), [each])
        families = settings.get(listed, usual)
        named += [families] if isinstance(families, str) else families
    installed = {each.name for each in fontManager.ttflist}
    return [each for each in named if each in installed] or ["DejaVu Sans"]


def inches(value: float) -> float:
    """A length of the style paper as it is in the style in use."""
    return value * style_in_use().size


def figure_size(width: float, height: float) -> tuple[float, float]:
    """Inches of a figure that has (width, height) in the style paper, where the style in use gives no others."""
    style = style_in_use()
    wide, high = style.inches_wide, style.figure_height
    return inches(width) if wide is None else wide, inches(height) if high is None else high


def require_size(width: float, height: float) -> None:
    """Raise LinphaseError where a figure is asked for that is smaller than its contents need, in inches of paper."""
    style = style_in_use()
    for name, asked, least in (("width", style.inches_wide, width), ("height", style.figure_height, height)):
        if asked is not None and asked < inches(least):
            raise LinphaseError(
                f"figure_{name}: at least {inches(least):.1f} inches are required for this figure, found {asked:g}"
            )


def beside(count: int, width: float, least: float) -> int:
    """How many of some diagrams stand beside each other in a figure, each at least some inches wide.

    width, least: in the style paper.
    """
    return max(1, min(count, int(figure_size(width, width)[0] / inches(least))))


def points(value: float) -> float:
    """A size of type, in points."""
    return value * float(setting("font.size")) / _BASE


def stroke(value: float) -> float:
    """The breadth of a line or the size of a mark, in points."""
    return value * float(setting("lines.linewidth")) / _STROKES["lines.linewidth"]


def setting(name: str) -> Any:
    """One of matplotlib's settings, as it is in the style in use."""
    return mpl.rcParams[cast("Any", name)]


def set_ticks(ax: Axes) -> None:
    """Short thin ticks with small labels."""
    ax.tick_params("x", labelsize=setting("xtick.labelsize"), direction=setting("xtick.direction"))
    ax.tick_params("y", labelsize=setting("ytick.labelsize"), direction=setting("ytick.direction"))
    ax.tick_params(width=stroke(0.6), length=stroke(2.5), pad=points(2))
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

"""Numbers to colours, and their bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from linphase.diagram.looks import Array, written
from linphase.diagram.panels import AT_REST, BASELINES, Panel
from linphase.diagram.ranges import Extend, span_of
from linphase.figures.fitting import style_in_use
from linphase.figures.style import points, set_ticks, setting, stroke

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Scale:
    """Numbers to colours."""

    norm: Normalize
    colormap: str
    extend: Extend


def scale_of(numbers: Array, panel: Panel) -> Scale | None:
    """Colours for the numbers of cells over their span, or over that of the style in use; None where there are none."""
    style = style_in_use()
    if style.ranged and panel.scale != "difference":  # which is centred at 0
        asked = replace(panel, scale=style.scale or panel.scale)
        span = span_of(numbers, asked, style.vmin, style.vmax)
    else:
        span = span_of(numbers, panel)
    if span is None:
        return None
    norm = LogNorm if span.logarithmic else Normalize
    colors = panel.colors if panel.colors in colormaps else Panel.colors  # a file may name others
    return Scale(norm(span.low, span.high), colors, span.extend)


def draw_colorbar(
    figure: Figure,
    scale: Scale,
    levels: Sequence[float] = (),
    label: str = "",
    marks: Mapping[str, float] = MappingProxyType({}),
    **where: Any,
) -> None:
    """A colour bar with a line at each of the levels drawn in the diagram, and a mark beside it at each marked value.

    Parameters
    ----------
    figure, scale
        Where it is drawn, and what.
    levels
        Values drawn as steps in the diagram.
    label
        A unit or a symbol.
    marks
        Values by their names.
    where
        `cax`, the axes of the bar, or `ax`, those that give way to it, as in `Figure.colorbar`.
    """
    bar = figure.colorbar(ScalarMappable(scale.norm, scale.colormap), extend=scale.extend, **where)
    low, high = float(scale.norm.vmin or 0), float(scale.norm.vmax or 1)
    logarithmic = isinstance(scale.norm, LogNorm)
    if logarithmic and high >= _FEW_DECADES * low:
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,), numticks=9))
    else:
        ticks = MaxNLocator(6, steps=[1, 2, 5, 10])
        bar.ax.yaxis.set_major_locator(FixedLocator(ticks.tick_values(low, high)) if logarithmic else ticks)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    set_ticks(bar.ax)
    for level in levels:
        if low < level < high:
            bar.ax.axhline(level, color="white", linewidth=stroke(1.0), gid="level")
    for name, value in marks.items():
        if low <= value <= high:
            beside: dict[str, Any] = {
                "transform": bar.ax.get_yaxis_transform(),
                "clip_on": False,
                "gid": f"mark {name}",
            }
            bar.ax.plot([-0.5], [value], **beside, **mark_look(name))
    if label:
        bar.set_label(label, fontsize=setting("legend.fontsize"), labelpad=points(1))
    bar.outline.set_linewidth(stroke(0.6))


_FEW_DECADES = 8.0  # below it the round numbers of a linear scale are ticks


def mark_look(name: str) -> dict[str, Any]:
    """How the mark of a name looks at every colour bar and in legends: of a shape of its own, in grey print too."""
    names = [*BASELINES, AT_REST]
    place = names.index(name) if name in names else -1  # of a plugin's panel
    marker, face = _MARKS[place]
    return {"linestyle": "none", "marker": marker, "markerfacecolor": face, "markersize": stroke(3.0),
            "markeredgecolor": "black", "markeredgewidth": stroke(0.6)}  # fmt: skip


_MARKS = ((">", "black"), ("o", "white"), ("D", "0.6"), ("s", "0.85"))

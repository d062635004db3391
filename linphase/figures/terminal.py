"""A phase diagram as text: coloured cells for a terminal, letters where there are no colours. No matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from linphase.diagram.axes import Window, split_facets
from linphase.diagram.cells import Cells, cells_of
from linphase.diagram.facts import facts
from linphase.diagram.looks import DISPUTED, LOOKS, plainly
from linphase.diagram.mesh import Mesh, reach_of
from linphase.diagram.panels import Panel, find_panel
from linphase.diagram.ranges import Span, span_of
from linphase.model.regime import REGIMES, Cuts

if TYPE_CHECKING:
    import pandas as pd

    from linphase.store.columns import Column

# One letter each; small where a run of the cell did not converge.
LETTERS = {
    "lazy": "L", "mixed": "M", "balanced": "B", "underparameterized": "-", "converged": "C", "finished": "F",
    "stopped_early": "E", "step_limit": "S", "diverged": "x", "failed": "!", "undefined": "?", "start": "0",
    "missing": ".",
}  # fmt: skip
_TIE, _HATCH = "=", "/"
_MARKS = ("diverged", "failed", "undefined", "start", "missing")  # drawn as letters on their colours, too
_RAMP = ".:-=+*#%@"  # from the lowest to the highest number
_VIRIDIS = (
    "#440154", "#472D7B", "#3B528B", "#2C728E", "#21918C", "#28AE80", "#5EC962", "#ADDC30", "#FDE725",
)  # fmt: skip
_WIDEST = 4  # characters a cell
_MOST_ROWS = 48


def terminal_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str = "regime",
    *,
    cuts: Cuts = Cuts(),
    columns: Mapping[str, Column] | None = None,
    mesh: Mesh | None = None,
    width: int = 80,
    color: bool | None = False,
) -> str:
    """A panel over the first two axes of a grid as lines of text; facets below each other.

    Where there are more cells than fit, evenly chosen ones are shown, and the legend says so.

    Parameters
    ----------
    runs, axes, panel, cuts, columns, mesh
        As in `phase_diagram`.
    width
        The longest line, in characters.
    color
        Whether with the 256 colours of ANSI terminals; without, with letters, or for numbers with denser and denser
        signs, in plain ASCII. None: with the colours of the terminal that this process writes to, if it is one and the
        user's NO_COLOR does not object.

    Raises
    ------
    LinphaseError
        As `phase_diagram` does.
    """
    console = _console(width, color)
    window, facets = Window.of(axes), split_facets(runs, axes)
    shown = find_panel(panel, cuts, runs, columns)
    every = [cells_of(facet.runs, window, shown, cuts, reach_of(mesh, window, facet)) for facet in facets]
    span = span_of(np.concatenate([cells.deciding for cells in every]), shown)
    canvas = _Canvas.of(window, width, console.color_system is not None and not console.no_color)
    blocks = []
    for facet, cells in zip(facets, every, strict=True):
        title = ", ".join(filter(None, (_plain_title(shown), facet.plain)))
        lines = [Text(title[:width]), *canvas.drawn(cells, span), *canvas.legend(cells, shown, span)]
        blocks.append(Text("\n").join(lines))
    kind = "majority" if shown.scale == "outcome" else "mean"
    text = Text("\n").join([Text("\n\n").join(blocks), Text(facts(runs, kind).replace("$", "")[:width])])
    # Names that files tell may hold what a terminal obeys; a letter for a letter keeps the colours in their places.
    text.plain = "".join(each if each == "\n" or each.isprintable() else "?" for each in text.plain)
    with console.capture() as written:
        console.print(text, end="", soft_wrap=True)
    return written.get()


def _console(width: int, color: bool | None) -> Console:
    system: dict[bool | None, Literal["auto", "256"] | None] = {True: "256", False: None, None: "auto"}
    objects = None if color is None else False
    return Console(width=width, highlight=False, force_terminal=color, color_system=system[color], no_color=objects)


@dataclass(frozen=True)
class _Canvas:
    """Where the cells stand: the places shown of either axis, and the characters they take."""

    window: Window
    rows: list[int]
    columns: list[int]
    cell: int
    margin: int
    width: int
    color: bool

    @classmethod
    def of(cls, window: Window, width: int, color: bool) -> _Canvas:
        margin = max(len(plainly(value)) for value in window.y.kept) + 2
        room = max(width - margin, 1)
        columns = _chosen(len(window.x.kept), room)
        cell = min(_WIDEST, room // len(columns))
        return cls(window, _chosen(len(window.y.kept), _MOST_ROWS), columns, cell, margin, width, color)

    def drawn(self, cells: Cells, span: Span | None) -> list[Text]:
        """The name of the upward axis, the rows from the top, the values of the other axis and its name."""
        lines = [Text(self.window.y.column)]
        named = set(self.rows[:: max(1, ceil(len(self.rows) / 10))])
        for row in reversed(self.rows):
            label = plainly(self.window.y.kept[row]) if row in named else ""
            edge = f"{label:>{self.margin - 2}} {' ' if self.color else '|'}"
            lines.append(Text.assemble(edge, *(self._cell(cells, (row, column), span) for column in self.columns)))
        return [*lines, *self._across()]

    def _cell(self, cells: Cells, place: tuple[int, int], span: Span | None) -> Text:
        unconverged = cells.stand_ins.get(place, place) in cells.unconverged
        if place in cells.outcomes:
            names = cells.outcomes[place]
            letter = _TIE if len(names) > 1 else LETTERS.get(names[0], "?")
            if not self.color:
                return Text((letter.lower() if unconverged else letter) * self.cell)
            marked = letter if len(names) > 1 or names[0] in _MARKS else _HATCH if unconverged else " "
            return _painted(marked * self.cell, LOOKS[names[0]].color)
        if np.isnan(cells.numbers[place]):  # beyond the cells
            return Text(" " * self.cell)
        value = _share(float(cells.numbers[place]), span)
        step = min(int(value * len(_RAMP)), len(_RAMP) - 1)
        if not self.color:
            return Text(_RAMP[step] * self.cell)
        return _painted((_HATCH if unconverged else " ") * self.cell, _VIRIDIS[step])

    def _across(self) -> list[Text]:
        """Values below their cells, as many as fit without touching, and the axis's name."""
        line = ""
        for i, column in enumerate(self.columns):
            text, start = plainly(self.window.x.kept[column]), self.margin + i * self.cell
            if (not line or start > len(line)) and start + len(text) <= self.width:
                line = line.ljust(start) + text
        return [Text(line), Text(" " * self.margin + self.window.x.column)]

    def legend(self, cells: Cells, panel: Panel, span: Span | None) -> list[Text]:
        """What the colours or letters stand for, with the number of cells; the ends of a ramp."""
        lines, entries, notes = [], [], []
        if span is not None:
            ramp = [_painted("  ", shade) for shade in _VIRIDIS] if self.color else [Text(_RAMP)]
            scale = ", log" if span.logarithmic else ""
            lines.append(Text.assemble(f"{plainly(span.low)} ", *ramp, f" {plainly(span.high)}{scale}"))
        counts = cells.counts()
        for name, look in LOOKS.items():
            count = counts.get((name,), 0)
            if count or (panel.shows_regime and name in REGIMES):
                label = panel.null if name == "undefined" and panel.null else look.label
                entries.append((LETTERS.get(name, "?"), look.color, f"{label} ({count})", name in _MARKS))
        if ties := sum(count for shown, count in counts.items() if len(shown) > 1):
            entries.append((_TIE, LOOKS["mixed"].color, f"tie ({ties})", True))
        if cells.unconverged:
            how = _HATCH if self.color else "small letters" if panel.scale == "outcome" else "not marked"
            notes.append(f"{how}: unconverged ({len(cells.unconverged)})")
        if cells.all_unconverged:
            notes.append("no cell converged")
        if cells.disputed:
            notes.append(f"{DISPUTED.label} ({len(cells.disputed)})")
        if len(self.columns) < len(self.window.x.kept) or len(self.rows) < len(self.window.y.kept):
            shown = f"{len(self.columns)} of {len(self.window.x.kept)} by {len(self.rows)} of {len(self.window.y.kept)}"
            notes.append(f"{shown} cells are shown, all are counted")
        return [piece for line in (*lines, *self._beside(entries), *map(Text, notes)) for piece in self._wrapped(line)]

    def _wrapped(self, line: Text) -> list[Text]:
        """A line of plain text that is too long in pieces."""
        if line.spans or len(line) <= self.width:
            return [line]
        return [Text(piece) for piece in wrap(line.plain, self.width)]

    def _beside(self, entries: Sequence[tuple[str, str, str, bool]]) -> list[Text]:
        """Entries beside each other within the width."""
        lines: list[Text] = []
        for letter, color, label, marked in entries:
            sample = _painted(f" {letter if marked else ' '} ", color) if self.color else Text(letter)
            entry = Text.assemble(sample, f" {label}")
            if lines and len(lines[-1]) + 2 + len(entry) <= self.width:
                lines[-1] = Text("  ").join([lines[-1], entry])
            else:
                lines.append(entry)
        return lines


def _chosen(count: int, room: int) -> list[int]:
    """All places of an axis where they fit, else evenly chosen ones."""
    if count <= room:
        return list(range(count))
    return sorted({round(place) for place in np.linspace(0, count - 1, room)})


def _share(number: float, span: Span | None) -> float:
    """Where a number lies between the ends of its span, from 0 to 1."""
    if span is None or not number > (0 if span.logarithmic else -np.inf):
        return 0.0
    low, high, number = (log(x) if span.logarithmic else x for x in (span.low, span.high, number))
    return min(max((number - low) / (high - low), 0.0), 1.0)


def _plain_title(panel: Panel) -> str:
    """A title without mathematics."""
    return panel.title.split(",\n$")[0].split("\nby ")[0].replace("\n", " ")


def _painted(text: str, color: str) -> Text:
    """Text on a background, in black or white, whichever is legible."""
    red, green, blue = Color.parse(color).get_truecolor()
    ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else "#FFFFFF"
    return Text(text, Style(color=ink, bgcolor=color))

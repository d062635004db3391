"""A phase diagram as text: coloured cells for a terminal, letters where there are no colours. No matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from linphase.diagram.axes import Window, split_facets
from linphase.diagram.cells import Cells, cells_of
from linphase.diagram.looks import LOOKS, plainly
from linphase.diagram.panels import Panel, Span, find_panel, span_of
from linphase.model.regime import REGIMES, Cuts

# One letter each; small where a run of the cell did not converge.
LETTERS = {
    "lazy": "L", "mixed": "M", "balanced": "B", "underparameterized": "-", "converged": "C", "stopped_early": "E",
    "step_limit": "S", "diverged": "x", "failed": "!", "undefined": "?", "start": "0", "missing": ".",
}  # fmt: skip
_TIE, _HATCH = "=", "/"
_MARKS = ("diverged", "failed", "undefined", "start", "missing")  # drawn as letters on their colours, too
_RAMP = ".:-=+*#%@"  # from the lowest to the highest number
_VIRIDIS = ("440154", "472D7B", "3B528B", "2C728E", "21918C", "28AE80", "5EC962", "ADDC30", "FDE725")
_WIDEST = 4  # characters a cell
_MOST_ROWS = 48
_LEVELS = (0, 95, 135, 175, 215, 255)  # of the colour cube of 256-colour terminals


def terminal_diagram(
    runs: pd.DataFrame,
    axes: Mapping[str, Sequence[Any]],
    panel: str = "regime",
    *,
    cuts: Cuts = Cuts(),
    width: int = 80,
    color: bool = False,
) -> str:
    """A panel over the first two axes of a grid as lines of at most `width` characters; facets below each other.

    color: with the 256 colours of ANSI terminals; else with letters, or for numbers with denser and denser signs, in
    plain ASCII. Where there are more cells than fit, evenly chosen ones are shown, and the legend says so. Other
    arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    shown = find_panel(panel, cuts, runs)
    every = [cells_of(facet.runs, window, shown, cuts) for facet in facets]
    span = span_of(np.concatenate([cells.numbers.ravel() for cells in every]), shown)
    canvas = _Canvas.of(window, width, color)
    blocks = []
    for facet, cells in zip(facets, every, strict=True):
        title = ", ".join(filter(None, (_plain_title(shown), facet.title.replace("\N{MINUS SIGN}", "-"))))
        rows = [title[:width], *canvas.drawn(cells, span)]
        blocks.append("\n".join([*rows, *canvas.legend(cells, shown, span)]))
    return "\n\n".join(blocks)


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

    def drawn(self, cells: Cells, span: Span | None) -> list[str]:
        """The name of the upward axis, the rows from the top, the values of the other axis and its name."""
        lines = [self.window.y.column]
        named = set(self.rows[:: max(1, ceil(len(self.rows) / 10))])
        for row in reversed(self.rows):
            label = plainly(self.window.y.kept[row]) if row in named else ""
            body = "".join(self._cell(cells, (row, column), span) for column in self.columns)
            lines.append(f"{label:>{self.margin - 2}} {'|' if not self.color else ' '}{body}")
        return [*lines, *self._across()]

    def _cell(self, cells: Cells, place: tuple[int, int], span: Span | None) -> str:
        unconverged = place in cells.unconverged
        if place in cells.outcomes:
            names = cells.outcomes[place]
            letter = _TIE if len(names) > 1 else LETTERS.get(names[0], "?")
            if not self.color:
                return (letter.lower() if unconverged else letter) * self.cell
            marked = letter if len(names) > 1 or names[0] in _MARKS else _HATCH if unconverged else " "
            return _painted(marked * self.cell, LOOKS[names[0]].color)
        value = _share(float(cells.numbers[place]), span)
        if not self.color:
            return _RAMP[min(int(value * len(_RAMP)), len(_RAMP) - 1)] * self.cell
        shade = _VIRIDIS[min(int(value * len(_VIRIDIS)), len(_VIRIDIS) - 1)]
        return _painted((_HATCH if unconverged else " ") * self.cell, f"#{shade}")

    def _across(self) -> list[str]:
        """Values below their cells, as many as fit without touching, and the axis's name."""
        line = ""
        for i, column in enumerate(self.columns):
            text, start = plainly(self.window.x.kept[column]), self.margin + i * self.cell
            if (not line or start > len(line)) and start + len(text) <= self.width:
                line = line.ljust(start) + text
        return [line, " " * self.margin + self.window.x.column]

    def legend(self, cells: Cells, panel: Panel, span: Span | None) -> list[str]:
        """What the colours or letters stand for, with the number of cells; the ends of a ramp."""
        lines, entries = [], []
        if span is not None:
            ramp = "".join(_painted("  ", f"#{shade}") for shade in _VIRIDIS) if self.color else _RAMP
            scale = ", log" if span.logarithmic else ""
            lines.append(f"{plainly(span.low)} {ramp} {plainly(span.high)}{scale}")
        counts = cells.counts()
        for name, look in LOOKS.items():
            count = counts.get((name,), 0)
            if count or (panel.name == "regime" and name in REGIMES):
                label = panel.null if name == "undefined" and panel.null else look.label
                entries.append((LETTERS.get(name, "?"), look.color, f"{label} ({count})", name in _MARKS))
        if ties := sum(count for shown, count in counts.items() if len(shown) > 1):
            entries.append((_TIE, LOOKS["mixed"].color, f"tie ({ties})", True))
        lines += self._wrapped(entries)
        if cells.unconverged:
            how = _HATCH if self.color else "small letters" if panel.scale == "outcome" else "not marked"
            lines.append(f"{how}: unconverged ({len(cells.unconverged)})")
        if cells.all_unconverged:
            lines.append("no cell converged")
        if len(self.columns) < len(self.window.x.kept) or len(self.rows) < len(self.window.y.kept):
            shown = f"{len(self.columns)} of {len(self.window.x.kept)} by {len(self.rows)} of {len(self.window.y.kept)}"
            lines.append(f"{shown} cells are shown, all are counted")
        return [piece for line in lines for piece in (wrap(line, self.width) if "\x1b" not in line else [line])]

    def _wrapped(self, entries: Sequence[tuple[str, str, str, bool]]) -> list[str]:
        """Entries beside each other within the width."""
        lines: list[str] = []
        used = 0
        for letter, color, label, marked in entries:
            sample = _painted(f" {letter if marked else ' '} ", color) if self.color else letter
            length = len(label) + (4 if self.color else 2)
            if not lines or used + 2 + length > self.width:
                lines.append("")
                used = -2
            lines[-1] += f"{'  ' if lines[-1] else ''}{sample} {label}"
            used += 2 + length
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


def _painted(text: str, color: str) -> str:
    """Text on a background, in black or white, whichever is legible."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    ink = 16 if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else 231
    return f"\x1b[48;5;{ansi_color(color)}m\x1b[38;5;{ink}m{text}\x1b[0m"


def ansi_color(color: str) -> int:
    """The nearest of the 256 colours to #RRGGBB: of the cube 6 x 6 x 6, or of the greys."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    cube = [int(np.argmin(np.abs(np.array(_LEVELS) - part))) for part in wanted]
    grey = int(np.clip(round((wanted.mean() - 8) / 10), 0, 23))
    near = np.sum((np.array([_LEVELS[i] for i in cube]) - wanted) ** 2)
    if np.sum((8 + 10 * grey - wanted) ** 2) < near:
        return 232 + grey
    return 16 + 36 * cube[0] + 6 * cube[1] + cube[2]

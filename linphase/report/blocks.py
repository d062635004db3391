"""The pieces of a report. All text in them is plain: only `linphase.report.markup` knows of Markdown and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is that of the report."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells, all text; the columns named in `numbers` are aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are."""

    language: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A figure as PNG; the name is a file name without suffix."""

    name: str
    caption: str
    png: bytes


Block = Heading | Text | Table | Code | Picture

"""A report as Markdown or HTML. Whatever stands in a block is shown as it is: every string is escaped here."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote


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

# No script and nothing from elsewhere is ever loaded, even if an escape were forgotten.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin-top: 2em; }
h1 { margin-top: 0; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: #f6f6f6; padding: 0.75rem; overflow-x: auto; font-size: 0.8125rem; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; }
figcaption { font-size: 0.875rem; color: #555; }
nav li { display: inline; margin-right: 1em; }
nav ul { padding: 0; }
"""


def html(blocks: Sequence[Block]) -> str:
    """One HTML page that needs no other file: the pictures are in it."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    sections = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    contents = "".join(f'<li><a href="#{_anchor(text)}">{escape(text)}</a></li>' for text in sections)
    body = [_html_block(block) for block in blocks]
    body.insert(1, f"<nav><ul>{contents}</ul></nav>")
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            *body,
            "</body>\n</html>\n",
        ]
    )


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _html_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f'<h{level} id="{_anchor(text)}">{escape(text)}</h{level}>'
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Code(_, text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case Picture(_, caption, png):
            source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
            return (
                f'<figure><img src="{source}" alt="{escape(caption)}" loading="lazy">'
                f"<figcaption>{escape(caption)}</figcaption></figure>"
            )
        case Table():
            return _html_table(block)


def _html_table(table: Table) -> str:
    marks = [' class="number"' if name in table.numbers else "" for name in table.columns]
    rows = [
        "".join(f"<{tag}{mark}>{escape(cell)}</{tag}>" for mark, cell in zip(marks, row, strict=True))
        for tag, row in (("th", table.columns), *(("td", row) for row in table.rows))
    ]
    head, *body = [f"<tr>{row}</tr>" for row in rows]
    lines = "\n".join(body)
    return f'<div class="table"><table>\n<thead>{head}</thead>\n<tbody>\n{lines}\n</tbody>\n</table></div>'


def markdown(blocks: Sequence[Block], pictures: str) -> str:
    """Markdown (GitHub's, with tables); the pictures are NAME.png in the directory `pictures`, beside the file."""
    return "\n\n".join(_markdown_block(block, pictures) for block in blocks) + "\n"


def _markdown_block(block: Block, pictures: str) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_escaped(text)}"
        case Text(text):
            return re.sub(r"^(\d*)([-+.)=])", r"\1\\\2", _escaped(text))  # what would begin a list or a rule
        case Code(language, text):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
        case Picture(name, caption, _):
            return f"![{_escaped(caption)}]({quote(f'{pictures}/{name}.png')})"
        case Table(columns, rows, numbers):
            rule = " | ".join("--:" if name in numbers else ":--" for name in columns)
            lines = [" | ".join(map(_escaped, row)) for row in (columns, *rows)]
            return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))


def _escaped(text: str) -> str:
    """Text of one line that Markdown shows as it is; underscores within words mean nothing and stay readable."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", text)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)

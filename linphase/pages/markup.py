"""A report as Markdown, and its HTML made from that.

Whatever stands in a block is shown as it is: every string is escaped here, once.
"""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token


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


@dataclass(frozen=True)
class Folded:
    """Blocks that a reader opens by their title."""

    title: str
    blocks: Sequence[Heading | Text | Table | Code]


Block = Heading | Text | Table | Code | Picture | Folded

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<!-- No script and nothing from elsewhere is ever loaded, even if an escape were forgotten. -->
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2, h3 {{ line-height: 1.2; margin-top: 2em; }}
h1 {{ margin-top: 0; }}
table {{ display: block; overflow-x: auto; margin: 1rem 0; border-collapse: collapse; font-size: 0.875rem; }}
th, td {{ border-bottom: 1px solid #ddd; padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ background: #f6f6f6; padding: 0.75rem; overflow-x: auto; font-size: 0.8125rem; }}
figure {{ margin: 1.5rem 0; }}
figure img {{ display: block; max-width: 100%; height: auto; }}
figcaption {{ font-size: 0.875rem; color: #555; }}
nav {{ margin-bottom: 1rem; }}
nav a {{ margin-right: 1em; }}
summary {{ cursor: pointer; }}
@media (prefers-color-scheme: dark) {{
  body {{ color: #e3e5e8; background: #16191d; }}
  a {{ color: #8ab4f8; }}
  th, td {{ border-color: #3c4148; }}
  pre {{ background: #22262b; }}
  figure img {{ background: #fff; }}
  figcaption {{ color: #b4b9c0; }}
}}
@media print {{
  body {{ color: #000; background: #fff; max-width: none; margin: 0; }}
  nav {{ display: none; }}
  figure, tr {{ break-inside: avoid; }}
  h2 {{ break-after: avoid; }}
}}
</style>
</head>
<body>
<nav>{contents}</nav>
{body}</body>
</html>
"""


def html(blocks: Sequence[Block]) -> str:
    """One HTML page that needs no other file, made from the Markdown: the pictures are in it."""
    titles = [block for block in blocks if isinstance(block, Heading)]
    return _PAGE.format(
        title=escape(titles[0].text if titles else ""),
        contents="\n".join(
            f'<a href="#{_anchor(each.text)}">{escape(each.text)}</a>' for each in titles if each.level == 2
        ),
        body="".join(
            f"<details>\n<summary>{escape(block.title)}</summary>\n{_body(block.blocks)}</details>\n"
            if isinstance(block, Folded)
            else _body([block])
            for block in blocks
        ),
    )


def _body(blocks: Sequence[Block]) -> str:
    """Blocks as HTML, none of them folded."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    pictures = {f"{_PICTURES}/{block.name}.png": block.png for block in blocks if isinstance(block, Picture)}
    tokens = parser.parse(markdown(blocks, _PICTURES))
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(_text_of(tokens[i + 1])))
        elif token.type in ("th_open", "td_open") and token.attrs.pop("style", "") == "text-align:right":
            token.attrSet("class", "number")
        elif token.children and token.children[0].type == "image":
            _make_figure(tokens[i - 1 : i + 2], pictures)
    return str(parser.renderer.render(tokens, parser.options, {}))


_PICTURES = "pictures"  # where the Markdown says they are


def _make_figure(paragraph: Sequence[Token], pictures: Mapping[str, bytes]) -> None:
    """A paragraph (its opening, its content, its end) that is a picture becomes a figure with a caption."""
    opening, content, end = paragraph
    image, *_ = children = content.children or []
    png = pictures[unquote(str(image.attrs["src"]))]
    image.attrs |= {"src": f"data:image/png;base64,{base64.b64encode(png).decode()}", "loading": "lazy"}
    caption = Token("figcaption_open", "figcaption", 1), Token("figcaption_close", "figcaption", -1)
    children += [caption[0], *(image.children or ()), caption[1]]
    opening.tag = end.tag = "figure"


def _text_of(content: Token) -> str:
    return "".join(child.content for child in content.children or ())


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


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
            return f"![{_escaped(caption)}]({quote(os.fsencode(f'{pictures}/{name}.png'))})"
        case Table(columns, rows, numbers):
            rule = " | ".join("--:" if name in numbers else ":--" for name in columns)
            lines = [" | ".join(map(_escaped, row)) for row in (columns, *rows)]
            return "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
        case Folded(title, inner):
            folded = markdown(inner, pictures)
            return f"<details>\n<summary>{escape(title)}</summary>\n\n{folded}\n</details>"


def _escaped(text: str) -> str:
    """Text of one line that Markdown shows as it is; underscores within words mean nothing and stay readable."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", text)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)

"""A report of a sweep: what was asked, what came out, how it compares with theory, what failed; Markdown or HTML."""

# Its modules import pandas and matplotlib where they use them, so that `import linphase.report` takes no time.
from linphase.report.blocks import Block, Code, Heading, Picture, Table, Text
from linphase.report.contents import contents
from linphase.report.markup import html, markdown

__all__ = ["Block", "Code", "Heading", "Picture", "Table", "Text", "contents", "html", "markdown"]

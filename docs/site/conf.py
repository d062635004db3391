"""The documentation site (Sphinx): the Markdown pages of the repository, and a reference of the Python API.

    make docs          # into build/site; open build/site/index.html

The source directory is the top level, so links between pages are those that GitHub follows.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import ziamath
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

import linphase

LOGGER = getLogger(__name__)

project = "linphase"
author = "The linphase developers"
release = linphase.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/site/api.rst",
    "benchmarks/*.md",
    "results/README.md",
    "results/*/README.md",
    "results/paper_window/REPORT.md",
]
exclude_patterns = ["build", ".git", ".venv"]
root_doc = "README"

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"linphase {release}"
html_static_path = ["site.css", str(Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf")]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False

# What TeX decides and latex2mathml leaves to the browser: bars keep their height, dots sit on their letters, relations
# have room.
MENDED = {
    r"<mo>(&#x0(?:2016|2225|007C);)</mo>": r'<mo stretchy="false">\1</mo>',
    r"<mover>(?=<mi>\w</mi><mo>&#x002D9;)": r'<mover accent="true">',
    r"<mi>(&#x0(?:2AB0|227B);)</mi>": r"<mo>\1</mo>",
}

# README.md is the home page. On GitHub it needs no table of contents; here the sidebar is made of this one.
CONTENTS = """

```{toctree}
:hidden:
:caption: Use
docs/quickstart
docs/commands
docs/python
docs/figures
docs/own_data
docs/knobs
docs/clusters
docs/extending
docs/reproducing
```

```{toctree}
:hidden:
:caption: Reference
docs/configuration
docs/columns
docs/results
docs/numbers
docs/site/api
```

```{toctree}
:hidden:
:caption: Background
docs/theory
docs/findings
docs/architecture
docs/performance
```

```{toctree}
:hidden:
:caption: What was found
:glob:
results/README
results/*/README
results/paper_window/REPORT
```

```{toctree}
:hidden:
:caption: Project
CHANGELOG
CONTRIBUTING
benchmarks/README
benchmarks/RESULTS
```
"""


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the home page the table of contents."""
    if page == root_doc:
        source[0] += CONTENTS


def escape(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    """Take docstrings as plain text: outside backticks and examples, * and | are mathematics, not markup."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            words = line.split("`")
            words[::2] = [re.sub(r"[*|]", r"\\\g<0>", word) for word in words[::2]]
            lines[number] = "`".join(words)


def write_mathml(translator: Any, node: nodes.math | nodes.math_block) -> None:
    """Write an equation as MathML, which browsers draw without a script; what they cannot draw is a warning."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    numbered = re.sub(r"\\tag{(.*?)}", r"\\qquad (\1)", node.astext())
    written = convert(numbered, display=display)
    for found, mended in MENDED.items():
        written = re.sub(found, mended, written)
    if found := re.search(r"\\\w+|mathvariant=\"(?!normal)[\w-]+", written):
        LOGGER.warning("browsers cannot draw %s of %s", found[0], node.astext(), location=node)
    translator.body.append(f'<div class="math">{written}</div>' if display == "block" else written)
    raise nodes.SkipNode


def copy_home(app: Sphinx, error: Exception | None) -> None:
    """Put the home page where servers and people look for it."""
    if error is None:
        shutil.copy(Path(app.outdir, f"{root_doc}.html"), Path(app.outdir, "index.html"))


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", escape, priority=400)  # before napoleon, which writes markup
    app.connect("build-finished", copy_home)
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))

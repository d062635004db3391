"""What pyproject.toml cannot say: the README's relative links lead nowhere on an index page, so there they are text."""

import re
from pathlib import Path

from setuptools import setup


def told(link: re.Match[str]) -> str:
    text, path = link.groups()
    return path if text == path else f"{text} ({path})"


readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
setup(
    long_description=re.sub(r"!?\[([^]]*)\]\((?!https?:)([^)#]*)[^)]*\)", told, readme),
    long_description_content_type="text/markdown",
)

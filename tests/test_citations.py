"""What docstrings, comments and documents refer to is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FOLDERS = ("design", "knobs", "docs/")  # the first two are notes that are not in the repository
CODE = sorted(
    [*(ROOT / "linphase").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tests").rglob("*.py")]
)


def titles(page: Path) -> set[str]:
    """The titles of the sections of a page."""
    return set(re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE))


def citations(text: str) -> list[tuple[str, str]]:
    """Page and title of every citation such as (docs/theory.md, "One mode")."""
    joined = re.sub(r"\s*\n\s*(?:# )?", " ", text)
    return re.findall(r'(docs/\w+\.md), "([^"]+)"', joined)


def test_every_section_that_code_cites_is_there():
    found = [(file, *each) for file in CODE for each in citations(file.read_text())]
    assert len(found) > 12
    assert not [each for each in found if each[2] not in titles(ROOT / each[1])]


def test_code_cites_only_pages_of_the_repository_and_sections_by_title():
    known = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")}
    for file in CODE:
        text = file.read_text()
        named = {page for page in re.findall(r"(?<![\w/])((?:\w+/)*\w+\.md)\b", text) if page.startswith(_FOLDERS)}
        assert not named - known, file
        assert file.name == "test_citations.py" or not re.search(r"theory\.md,? section \d", text), file

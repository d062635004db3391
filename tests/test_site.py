"""The documentation site as `make docs` builds it: every link leads somewhere, and nothing is fetched to show it."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import linphase

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
NEEDED = ("sphinx", "furo", "myst_parser", "ziamath")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="needs sphinx and more: pip install '.[docs]'"),
]


class Page(HTMLParser):
    """What a page links to, what it loads, the names of its places, and its equations."""

    def __init__(self, file):
        super().__init__()
        self.links, self.loaded, self.places, self.equations = [], [], set(), 0
        self.feed(file.read_text())

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.places |= {told["id"]} if "id" in told else set()
        self.equations += tag == "math"
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag in ("script", "link", "img", "iframe", "source"):
            self.loaded += [told[name] for name in ("src", "href") if told.get(name)]


def build(built):
    """The command of the Makefile, into another directory."""
    (command,) = re.findall(r"^\tpython (-m sphinx .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = [str(built / Path(word).name) if word.startswith("build/") else word for word in command.split()]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # a warning is an error


@pytest.fixture(scope="module")
def site(made_once):
    return made_once("documentation", build) / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {file: Page(file) for file in site.rglob("*.html")}


def test_every_page_of_the_repository_is_in_the_site_and_the_readme_is_its_home(site, pages):
    wanted = {file.relative_to(ROOT).with_suffix(".html") for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}
    assert wanted <= {file.relative_to(site) for file in pages}
    assert (site / "index.html").read_text() == (site / "README.html").read_text()


def test_every_link_within_the_site_leads_to_a_file_and_a_place(pages):
    followed = 0
    for file, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            if not target.scheme:
                there = (file.parent / unquote(target.path)).resolve() if target.path else file
                assert there.is_file(), (file, link)
                assert there not in pages or not target.fragment or unquote(target.fragment) in pages[there].places, (
                    file,
                    link,
                )
                followed += 1
    assert followed > 1000


def test_nothing_is_fetched_to_show_a_page(site, pages):
    for file, page in pages.items():
        for address in page.loaded:
            target = urlsplit(address)
            assert not target.scheme or target.scheme == "data", (file, address)
            assert not target.netloc, (file, address)
            assert target.scheme or not target.path or (file.parent / unquote(target.path)).is_file(), (file, address)
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text()), style


def test_equations_are_drawn_by_the_browser_itself_in_a_font_of_the_site(site, pages):
    assert pages[site / "docs/theory.html"].equations > 500
    assert (site / "_static/STIXTwoMath-Regular.ttf").is_file()
    assert 'url("STIXTwoMath-Regular.ttf")' in (site / "_static/site.css").read_text()


def test_everything_that_linphase_exports_is_in_the_reference(site, pages):
    exported = {f"linphase.{name}" for name in linphase.__all__ if name != "__version__"}
    assert exported <= pages[site / "docs/site/api.html"].places


@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: apt-get install chromium, as .ci/run does")
def test_the_search_finds_words_without_a_server_or_a_network(site, tmp_path):
    address = f"{(site / 'search.html').as_uri()}?q=pseudo-orthogonal"
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
    found = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert re.findall(r'<a href="([^"]*)" data-score', found) == ["docs/theory.html"]

"""What is handed out: the source distribution runs its own tests, and they import nothing that is not declared."""

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"linphase", "tests", "docs", "benchmarks"}


def imports(file: Path) -> set[str]:
    """The packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_every_import_of_the_tests_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {
        name_of(requirement)
        for group in (project["dependencies"], extras["dask"], extras["explore"], extras["test-lowest"])
        for requirement in group
    }
    imported = set().union(*(imports(file) for file in (ROOT / "tests").rglob("*.py")))
    homes = packages_distributions()
    for package in imported - OURS - set(sys.stdlib_module_names):
        assert declared & {name_of(home) for home in homes[package]}, f"{package} is not declared in test-lowest"


@pytest.mark.slow
def test_the_source_distribution_runs_its_own_tests_and_its_page_has_no_relative_link(tmp_path):
    def run(*command: str, path: Path) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        done = subprocess.run(
            command, cwd=path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("git", "clone", "--quiet", str(ROOT), "clone", path=tmp_path)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", "..", path=tmp_path / "clone")
    (archive,) = tmp_path.glob("linphase-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()

    # The same files collect the same tests; a test of them that wants one of the absent results is an error here.
    tracked = run("git", "ls-files", path=tmp_path / "clone").splitlines()
    absent = [file for file in tracked if not (unpacked / file).exists()]
    assert {file.partition("/")[0] for file in absent} <= {".github", ".gitignore", "results"}
    assert all(
        (unpacked / file).read_bytes() == (tmp_path / "clone" / file).read_bytes()
        for file in set(tracked) - set(absent)
    )
    # Plain asserts, as nothing is run: pytest would rewrite every test for better messages.
    options = ("-m", "", "-n", "0", "--collect-only", "-q", "--assert=plain")
    collected = run(sys.executable, "-m", "pytest", *options, path=unpacked)
    assert int(re.search(r"^(\d+) tests collected in ", collected, re.MULTILINE)[1]) > 2000
    facts = message_from_string((unpacked / "PKG-INFO").read_text())
    assert facts["License-Expression"] == "MIT"
    assert "docs/quickstart.md" in facts.get_payload()
    assert not re.findall(r"\]\((?!https?:)", facts.get_payload())

"""Every code block of the README, run as written; what is not run says why, and a test prints the list."""

import os
import re
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from linphase.config import parse_config

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    note: str | None  # why it is not run here, or by what it is run


def blocks() -> list[Block]:
    return [
        Block(match["language"], match["code"], match["note"])
        for match in BLOCK.finditer((ROOT / "README.md").read_text())
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What the README's commands see of a checkout; the quickstart at 5 x 5 cells, as the slow tests run it in full."""
    path = tmp_path_factory.mktemp("checkout")
    (path / "configs").mkdir()
    for file in (ROOT / "configs").glob("*.toml"):
        (path / "configs" / file.name).write_text(file.read_text().replace("num = 20 ", "num = 5 "))
    return path


def run(command: str, path: Path) -> str:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def test_blocks_that_are_not_run_say_why():
    # conftest.py prints the list at the end of the run.
    notes = [(block.code.strip(), block.note) for block in blocks() if block.note]
    assert all(note.startswith(("not run: ", "run ")) for _, note in notes)
    assert {block.language for block in blocks()} <= {"sh", "python", "toml"}
    # The first command of the issue and the test command are there, word for word.
    codes = [code for code, _ in notes]
    assert "pip install . && linphase sweep --config configs/quickstart.toml" in codes
    assert "pip install '.[test]' && pytest" in codes


@pytest.mark.slow
@pytest.mark.parametrize("code", [b.code for b in blocks() if b.language == "sh" and not b.note])
def test_the_readmes_commands_run_as_written(code, checkout):
    run(code, checkout)


def test_the_readmes_python_runs_as_written(checkout):
    (code,) = (b.code for b in blocks() if b.language == "python")
    (checkout / "example.py").write_text(code)
    assert "(64, 64)" in run(f"{sys.executable} -W error example.py", checkout)


def test_the_readmes_configuration_is_valid_and_shows_every_default():
    (code,) = (b.code for b in blocks() if b.language == "toml")
    shown = parse_config(tomllib.loads(code))
    assert shown.runs == 16 * 16 * 2
    default = parse_config({"name": "x", "grid": {"gamma_sigma2": 0.0, "gamma_w": 1.0}})
    assert (shown.dynamics, shown.stop, shown.record, shown.run) == (
        default.dynamics,
        default.stop,
        default.record,
        default.run,
    )


def test_every_file_the_readme_points_to_is_in_the_repository():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert "docs/quickstart.png" in linked
    assert set(linked) <= set(tracked)


@pytest.mark.slow
def test_the_first_command_works_in_a_fresh_environment(tmp_path):
    """A clone, a new virtual environment, the README's command: installs, sweeps, draws."""
    checkout = tmp_path / "linphase"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    venv.create(tmp_path / "venv", with_pip=True)
    (command,) = (b.code for b in blocks() if "pip install . &&" in b.code)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"400 runs by regime and status", done.stdout)
    picture = checkout / "results" / "quickstart" / "phase_diagram.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not subprocess.run(["git", "status", "--porcelain"], cwd=checkout, capture_output=True).stdout

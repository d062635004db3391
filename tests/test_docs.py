"""Every code block of the README and of docs/, run as written; what is not run says why, and a test prints the list."""

import ast
import contextlib
import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib import rc_context

import linphase
from linphase.cli import main
from linphase.config.config import parse_config
from linphase.config.plugins import activate
from linphase.model import arrays
from linphase.model.registry import forget
from tests.test_design import ROOMS

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    note: str | None  # why it is not run here, or by what it is run


DOCUMENTS = sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))


def blocks(document: str = "README.md") -> list[Block]:
    return [
        Block(match["language"], match["code"], match["note"])
        for match in BLOCK.finditer((ROOT / document).read_text())
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What the README's commands see of a checkout; the quickstart at 4 x 4 cells, as the slow tests run it in full."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


def make_checkout(path: Path) -> Path:
    (path / "configs").mkdir()
    for file in (ROOT / "configs").glob("*.toml"):
        text = file.read_text().replace("num = 20 ", "num = 4 ")
        fewer = re.sub(r'(?<="task.samples" = )\[.*\]', lambda found: str(ast.literal_eval(found[0])[::8]), text)
        (path / "configs" / file.name).write_text(fewer)
    return path


def run(command: str, path: Path, package: Path = ROOT) -> str:
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(package)}
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


def typed(code: str, path: Path) -> str:
    """What a block of commands prints: linphase's own run in this process, which has imported it; all others in bash.

    That the installed command does the same in a process of its own, tests/test_quickstart.py sees.
    """
    printed = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shell_words(line)
        if words[:1] != ["linphase"] or any(word and set(word) <= set("();<>|&") for word in words):
            printed.append(run(line, path))
            continue
        with contextlib.chdir(path), warnings.catch_warnings(action="always"):
            done = CliRunner().invoke(main, words[1:], prog_name="linphase", catch_exceptions=False)
        assert done.exit_code == 0, f"{line}\n{done.output}"
        printed.append(done.output)
    return "".join(printed)


def as_script(code: str, path: Path) -> None:
    """Run a block as a script, every warning an error, in this process, which has imported most of what it needs.

    Nothing of it is left here. That a process of its own does the same, the README's Python shows.
    """
    (path / "example.py").write_text(code)
    with contextlib.chdir(path), warnings.catch_warnings(action="error"), rc_context():
        try:
            runpy.run_path("example.py", run_name="__main__")
        finally:
            plt.close("all")
            forget("__main__")  # what it has declared
            activate(())  # and the plugins that it has loaded
            for known in (arrays._places, arrays._looked_in):
                known.clear()
            arrays._read.cache_clear()


def shell_words(line: str) -> list[str]:
    """The words of a line as a shell reads it, without its comment; signs such as > and | are words of their own."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(words)


def test_blocks_that_are_not_run_say_why():
    # conftest.py prints the list at the end of the run.
    notes = [(block.code.strip(), block.note) for block in blocks() if block.note]
    assert all(note.startswith(("not run: ", "run ")) for _, note in notes)
    assert {block.language for block in blocks()} <= {"sh", "python"}
    # The first command of the issue and the test command are there, word for word.
    codes = [code for code, _ in notes]
    assert "pip install . && linphase sweep --config configs/quickstart.toml" in codes
    assert "pip install '.[test]' && pytest" in codes


@pytest.mark.slow
@pytest.mark.parametrize("code", [b.code for b in blocks() if b.language == "sh" and not b.note])
def test_the_readmes_commands_run_as_written(code, checkout):
    if not (checkout / "results/quickstart").exists():
        typed("linphase sweep configs/quickstart.toml", checkout)  # the first command of the README, which installs too
    typed(code, checkout)


def test_the_readmes_python_runs_as_written(checkout, capsys):
    (code,) = (b.code for b in blocks() if b.language == "python")
    as_script(code, checkout)
    assert "(64, 64)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_readmes_python_runs_as_a_file_of_its_own(checkout):
    (code,) = (b.code for b in blocks() if b.language == "python")
    (checkout / "example.py").write_text(code)
    assert "(64, 64)" in run(f"{sys.executable} -W error example.py", checkout)


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / "README.md").read_text().split()) <= 1000


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_of_the_docs_is_run_or_says_why_not(document):
    for block in blocks(document):
        assert block.note is None or block.note.startswith(("not run: ", "run "))
        assert block.note or block.language in ("sh", "python", "toml", "math", "text")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_configuration_in_the_docs_is_valid(document):
    for block in blocks(document):
        if block.language == "toml" and not block.note:
            parse_config(tomllib.loads(block.code))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_the_docs_import_exists(document):
    for block in blocks(document):
        if block.language == "python":
            for node in ast.walk(ast.parse(block.code)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "linphase":
                    module = importlib.import_module(node.module)
                    assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
                elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "linphase":
                    assert node.attr in linphase.__all__, ast.unparse(node)  # and needs no import of its own


def runnable(document: str) -> list[Block]:
    return [
        block for block in blocks(document) if (block.language in ("sh", "python") and not block.note) or file_of(block)
    ]


def file_of(block: Block) -> str | None:
    """The file that a configuration is written to, for the commands below it: <!-- run as mine.toml: ... -->."""
    named = re.match(r"run as ([\w.]+\.toml): ", block.note or "")
    return named and named[1]


@pytest.mark.slow
@pytest.mark.parametrize("document", [document for document in DOCUMENTS if runnable(document)])
def test_the_docs_run_as_written_from_top_to_bottom(document, tmp_path):
    make_checkout(tmp_path)
    for block in runnable(document):
        if name := file_of(block):
            (tmp_path / name).write_text(fewer_cells(block.code))
        elif block.language == "python":
            as_script(block.code, tmp_path)
        else:
            typed(fewer_cells(block.code), tmp_path)
            for begun in tmp_path.glob("*/sweep.toml"):  # by linphase init
                begun.write_text(fewer_cells(begun.read_text()))
    if document == "docs/commands.md":
        drawn = re.findall(r'<img [^>]*alt="([^"]*)"', (tmp_path / "report.html").read_text())
        assert drawn == ["The phase diagram", "The six panels that tell most.", "Regimes with the measured boundaries"]


def fewer_cells(code: str) -> str:
    """A grid over three variances or widths in place of thirteen or seven, four in place of twelve, as the checkout's
    quickstart has four in place of twenty; and over the outer two of three widths.
    """
    for many, few in ((13, 3), (12, 4), (7, 3)):
        code = re.sub(rf"num ?= ?{many} ?}}", f"num = {few} }}", code)
    return re.sub(r"(gamma_w = \[[\d.]+, )[\d.]+, ([\d.]+\])", r"\1\2", code)


def test_generated_documents_are_those_of_the_code():
    from docs.generate import files

    for file, text in files().items():
        assert file.read_text() == text, f"{file.name} is out of date: run python docs/generate.py"


@pytest.mark.parametrize("document", ["README.md", *DOCUMENTS])
def test_every_link_of_the_docs_leads_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", BLOCK.sub("", text)):
        name, _, anchor = target.partition("#")
        file = (ROOT / document).parent / name if name else ROOT / document
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", file.read_text()), re.MULTILINE)
            assert anchor in [re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles], target


def test_the_plugin_of_extending_md_is_the_one_that_is_tested():
    (code,) = (b.code for b in blocks("docs/extending.md") if b.language == "python" and b.note)
    assert code == (ROOT / "tests/data/outside.py").read_text()


@pytest.mark.slow
def test_the_examples_of_extending_md_are_swept_and_drawn(tmp_path):
    shutil.copy(ROOT / "tests/data/outside.py", tmp_path / "my_declarations.py")
    config, commands = (
        next(b.code for b in blocks("docs/extending.md") if b.language == language and b.note)
        for language in ("toml", "sh")
    )
    (tmp_path / "heavy_ball.toml").write_text(config)
    try:
        printed = typed(commands, tmp_path)
    finally:
        activate(())  # nothing of the plugin is left in this process
    assert "18 runs by regime and status" in printed
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert set(runs["momentum"]) == {0.0, 0.9}
    assert set(runs["status"]) == {"converged"}
    assert runs["effective_rank"].between(1, 16).all()
    # The heavy ball moves 1/(1 - 0.9) = 10 times as fast where it does not oscillate: where the kernel is small.
    slow = runs[(runs["gamma_sigma2"] == -2) & (runs["gamma_w"] == 1)].set_index("momentum")["final_step"]
    assert 7 < slow[0.0] / slow[0.9] < 10


def test_the_modules_that_architecture_md_names_are_there():
    text = (ROOT / "docs/architecture.md").read_text()
    named = set(re.findall(r"`(linphase/[\w/]+(?:\.py|/))`", text)) - {"linphase/"}
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).exists()]
    drawn = re.findall(r"^ +([a-z]+(?:, [a-z]+)*) {3,}\S", text, re.MULTILINE)
    assert [room for line in drawn for room in line.split(", ")] == list(ROOMS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_a_script_for_every_shell_that_the_docs_name(shell):
    assert f"_LINPHASE_COMPLETE={shell}_source" in (ROOT / "docs" / "quickstart.md").read_text()
    assert "_LINPHASE_COMPLETE" in run(f"_LINPHASE_COMPLETE={shell}_source linphase", ROOT)


def test_every_file_the_readme_points_to_is_in_the_repository():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert "docs/quickstart.png" in linked
    assert set(linked) <= set(tracked)

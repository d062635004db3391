"""`linphase plot --terminal`: the diagram as text, in colours where a terminal shows them, else in letters."""

import io
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.color import Color, ColorSystem

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.looks import LOOKS
from linphase.diagram.panels import known_panels
from linphase.figures.terminal import LETTERS, terminal_diagram
from tests.figures.made import AXES, GAMMA_SIGMA2, GAMMA_W, filled, run, table

CONFIG = {
    "name": "tiny",
    "task": {"dimension": 8, "rank": 2},
    "grid": {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.0, 1.5, 2.5]},
}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def runs():
    return table(*(run(x, y) for y in GAMMA_W for x in GAMMA_SIGMA2))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("results") / "tiny", parse_config(CONFIG).predicted()).path


def rows(text):
    """The cells of every row, from the top."""
    return [line.partition("|")[2] for line in text.splitlines() if "|" in line]


def test_letters_tell_the_regime_of_every_cell_and_the_legend_counts_them(runs):
    text = terminal_diagram(runs, AXES)
    drawn = [row[::4] for row in rows(text)]
    assert drawn == ["BBMMLLL", "BBBMMLL", "BBBBMML", "BBBBBMM", "-------", "-------"] or len(drawn) == 6
    assert drawn[-1] == "-" * 7
    assert drawn[0][0] == "B"
    assert drawn[0][-1] == "L"
    counts = {letter: sum(row.count(letter) for row in drawn) for letter in "LMB-"}
    for letter, label in (("L", "lazy"), ("M", "mixed"), ("B", "balanced"), ("-", "underparameterized")):
        assert f"{letter} {label} ({counts[letter]})" in text
    assert text.isascii()


def test_names_that_files_tell_bring_no_control_characters_to_the_terminal(runs):
    axes = {"gamma_sigma2": AXES["gamma_sigma2"], "ev\x1b[2Jil\x07": AXES["gamma_w"]}
    evil = runs.rename(columns={"gamma_w": "ev\x1b[2Jil\x07"})
    text = terminal_diagram(evil.assign(gamma_w=runs["gamma_w"]), axes, color=True)
    assert all(line.isprintable() for line in ESCAPE.sub("", text).splitlines())
    assert "ev?[2Jil" in text  # rich leaves BEL out


def test_the_axes_are_named_and_their_values_stand_at_their_cells(runs):
    lines = terminal_diagram(runs, AXES).splitlines()
    assert lines[:2] == ["regime", "gamma_w"]
    assert lines[2].startswith(" 2.8 |")
    assert [line.split("|")[0].strip() for line in lines[2:8]] == [f"{value:.4g}" for value in GAMMA_W[::-1]]
    ticks, name = lines[8:10]
    assert name.strip() == "gamma_sigma2"
    start = lines[2].index("|") + 1
    assert ticks[start:].split() == ["-3", "-2.5", "-1.5", "-0.5"]  # no value touches the next
    assert [ticks.index(value) for value in ("-3", "-2.5", "-1.5", "-0.5")] == [start + 4 * i for i in (0, 1, 3, 5)]


def test_the_diagram_keeps_within_the_width_and_says_when_cells_are_left_out():
    x = np.linspace(-3, 0, 90)
    many = table(*(run(a, b) for b in (1.0, 2.0) for a in x))
    axes = {"gamma_sigma2": x.tolist(), "gamma_w": [1.0, 2.0]}
    for width in (24, 40, 80, 200):
        for color in (False, True):
            text = terminal_diagram(many, axes, width=width, color=color)
            assert max(len(ESCAPE.sub("", line)) for line in text.splitlines()) <= width
            assert ("cells are shown, all are counted" in " ".join(text.split())) == (width < 95)
    assert len(rows(terminal_diagram(many, axes, width=40))[0]) == 40 - 3


def test_colours_are_those_of_the_figures(runs):
    text = terminal_diagram(runs, AXES, color=True)
    regimes = ("lazy", "mixed", "balanced", "underparameterized")
    colors = {Color.parse(LOOKS[name].color).downgrade(ColorSystem.EIGHT_BIT).number for name in regimes}
    assert len(colors) == 4  # told apart
    assert {int(number) for number in re.findall(r"48;5;(\d+)m", text)} == colors
    assert text.count("\x1b[0m") == text.count("48;5;")


def test_unconverged_missing_diverged_failed_and_tied_cells_have_marks_of_their_own(runs):
    spoiled = runs.drop(index=0)
    spoiled.loc[35, ["status", "converged"]] = ["step_limit", False]
    spoiled.loc[[40], ["status", "converged", "signal_active"]] = ["diverged", False, None]
    spoiled.loc[41, ["status", "converged"]] = ["failed", False]
    tie = pd.concat([spoiled, table(run(GAMMA_SIGMA2[1], GAMMA_W[5], replicate=1, signal_active=0.0, bulk_active=0.0))])
    text = terminal_diagram(tie, AXES)
    top, bottom = rows(text)[0][::4], rows(text)[-1][::4]
    assert (top[0], top[1], top[5], top[6], bottom[0]) == ("b", "=", "x", "!", ".")
    for told in ("x diverged (1)", "! failed (1)", ". missing (1)", "= tie (1)", "small letters: unconverged (1)"):
        assert told in text
    colored = terminal_diagram(tie, AXES, color=True)
    for mark in ("/", "=", "x", "!", "."):
        assert f"m{mark * 4}\x1b" in colored
    assert "/: unconverged (1)" in colored
    assert "criteria agree" not in text
    tie.loc[35, "evidence_agreement"] = 0.7
    assert terminal_diagram(tie, AXES).splitlines()[-2] == "criteria agree on < 80 % of modes (1)"


@pytest.mark.parametrize("panel", known_panels())
def test_every_panel_prints_with_and_without_colours(runs, panel):
    for color in (False, True):
        text = terminal_diagram(runs, AXES, panel, color=color)
        assert len(ESCAPE.sub("", text).splitlines()) >= 10


def test_numbers_have_denser_signs_where_they_are_larger_and_the_ends_are_told(runs):
    text = terminal_diagram(runs, AXES, "test-error")
    signs = ".:-=+*#%@"
    dense = [[signs.index(sign) for sign in row[::4]] for row in rows(text)]
    assert all(row == sorted(row) for row in dense)  # the error grows with the variance
    assert (dense[-1][0], dense[0][-1]) == (0, len(signs) - 1)
    assert re.search(rf"0\.1\d* {re.escape(signs)} [\d.e+]+, log", text)


def test_facets_stand_below_each_other_with_their_titles(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    text = terminal_diagram(both, AXES | {"task.rank": [2, 4]})
    first, second = text.split("\n\n")
    assert (first.splitlines()[0], second.splitlines()[0]) == ("regime, rank = 2", "regime, rank = 4")


def test_every_look_that_a_cell_can_have_has_a_letter_of_its_own():
    shown = set(LOOKS) - {"agree", "apart"}  # of comparisons, which are not printed
    assert set(LETTERS) == shown
    assert len(set(LETTERS.values())) == len(LETTERS)


# ------------------------------------------------------------------------------------------------- the command


def in_a_terminal(results):
    """What the command writes to a terminal of 60 columns, without matplotlib."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLORTERM"):
        environment.pop(name, None)
    code = (
        "import sys; from linphase.cli import main\n"
        f"main(['plot', {str(results)!r}, '--terminal', '--panel', 'regime'], standalone_mode=False)\n"
        "assert 'matplotlib' not in sys.modules"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        written = b""
        while True:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            written += chunk
        os.close(leader)
    assert process.returncode == 0, written
    return written.decode()


def test_a_terminal_gets_colours_and_no_matplotlib_is_imported(results):
    text = in_a_terminal(results)
    assert "48;5;" in text
    assert max(len(ESCAPE.sub("", line)) for line in text.splitlines()) <= 60


@pytest.mark.parametrize(
    ("environment", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_no_color_and_terminals_that_show_none_are_heeded(runs, monkeypatch, environment, colored):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color"} | environment).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Terminal())
    text = terminal_diagram(runs, AXES, color=None)
    assert ("\x1b" in text) == colored
    assert ("L lazy (" in text) != colored


def test_a_pipe_gets_letters(results):
    done = CliRunner().invoke(main, ["plot", str(results), "--terminal"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "L lazy (" in done.output
    assert not list(results.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.png"], "--output: has no meaning with --terminal"),
        (["--against", "theory"], "--against: has no meaning with --terminal"),
        (["--style", "talk"], "--style: has no meaning with --terminal"),
        (["--panel", "all"], "--panel all: is a figure of several diagrams; --terminal prints a single panel"),
        (["--panel", "loss"], "panel must be one of regime"),
    ],
)
def test_what_a_terminal_cannot_show_is_refused(results, arguments, message):
    done = CliRunner().invoke(main, ["plot", str(results), "--terminal", *arguments], catch_exceptions=False)
    assert done.exit_code == 2
    assert message in done.output

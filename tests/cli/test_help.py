"""What the command line says of itself."""

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from linphase.cli import GROUPS, main
from linphase.cli.panel_list import FIGURE_WORDS, panel_groups
from linphase.cli.plots import _default_name
from linphase.diagram.panels import Panel, known_panels, panel
from linphase.figures.drawing import FIGURES
from linphase.model.regime import Cuts
from linphase.model.registry import forget


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main, [*arguments, "--help"], prog_name="linphase", catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_help_of_plot_lists_every_panel_and_figure_once_with_a_few_words():
    listed = [row for _, rows in panel_groups() for row in rows]
    assert sorted(name for name, _ in listed) == sorted([*known_panels(), *FIGURES])
    assert [name for name, _ in listed if name in FIGURES] == list(FIGURE_WORDS)
    assert all(words and len(words.split()) < 12 for _, words in listed)
    printed = re.findall(r"^  ([a-z]+(?:-[a-z]+)*)  +\S", shown("plot").partition("Panels, regimes:")[2], re.MULTILINE)
    assert sorted(printed) == sorted(name for name, _ in listed)


def test_every_panel_of_linphase_has_a_group_and_one_of_a_plugin_stands_under_others():
    assert not [one.name for one in known_panels().values() if one.group == Panel.group]
    try:
        panel("drift", "imbalance_drift", "drift of\nthe imbalance")
        *_, others, own = panel_groups()
    finally:
        forget(__name__)
    assert others == ("others", [("drift", "drift of the imbalance")])
    assert own[0] == "figures of their own"


def test_linphase_lists_its_commands_in_groups_each_with_a_whole_sentence_within_80_columns():
    _, *groups = re.split(r"^(Begin|Run|Look|Ask theory|Keep):\n", shown(), flags=re.MULTILINE)
    rows = [row for block in groups[1::2] for row in block.strip("\n").splitlines()]
    assert groups[::2] == ["Begin", "Run", "Look", "Ask theory", "Keep"] == list(GROUPS)
    found = dict(re.fullmatch(r"  (\w+) +(.*)", row).groups() for row in rows)
    assert sorted(found) == sorted(main.commands)
    for name, sentence in found.items():
        assert re.fullmatch(r"[A-Z][^.]*[^ .]\.", sentence), sentence
        assert sentence == main.commands[name].callback.__doc__.split("\n")[0]
    assert max(map(len, rows)) <= 80


def test_the_help_of_linphase_imports_nothing_that_takes_long():
    code = 'import sys\nfrom linphase.cli import main\nmain(["--help"], standalone_mode=False)\nprint(*sys.modules)'
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Ask theory:" in done.stdout
    heavy = {"numpy", "scipy", "pandas", "pyarrow", "matplotlib", "pydantic", "rich", "joblib"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(
    ("panel", "named", "cuts", "name"),
    [
        ("trajectories", {"at": "-1.5,1.8"}, Cuts(), "trajectories-at-m1.5_1.8"),
        ("regime", {"where": "gamma_sigma2=-1,noise=1e-05"}, Cuts(), "phase_diagram-where-gamma_sigma2=m1_noise=1em05"),
        ("rank", {"against": "swept-2026-11-29", "x": "c/s_1"}, Cuts(), "rank-against-swept-2026-11-29-x-c_s_1"),
        ("rank", {"figure-width": "one-column", "no-title": ""}, Cuts(), "rank-figure-width-one-column-no-title"),
        (
            "regime",
            {"no-title": None, "style": None},
            Cuts("speedup", bulk=0.3),
            "phase_diagram-criterion-speedup-bulk-cut-0.3",
        ),
    ],
)
def test_the_names_that_figures_get_hold_no_minus_signs_and_no_commas(panel, named, cuts, name):
    assert _default_name(panel, named, cuts) == name

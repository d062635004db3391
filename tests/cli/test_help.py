"""What the command line says of itself."""

import re

from click.testing import CliRunner

from linphase.cli import main
from linphase.cli.panel_list import FIGURE_WORDS, panel_groups
from linphase.diagram.panels import Panel, known_panels, panel
from linphase.figures.drawing import FIGURES
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

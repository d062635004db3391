"""Panels: one declaration each.

python -m tests.diagram.test_panels    # writes panels.txt anew, after a change that is meant; read the difference
"""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from linphase.diagram.panels import PANELS, Panel, find_panel, known_panels, looks, made_by_theory, panel
from linphase.errors import LinphaseError
from linphase.model.moment import OBSERVABLES, observable
from linphase.model.regime import Cuts
from linphase.model.registry import forget, modules
from linphase.store.columns import Column, runs_columns

GOLDEN = Path(__file__).parent / "panels.txt"


def told():
    """Everything that panels are, a line each."""
    lines = []
    for one in known_panels().values():
        lines.append(one.name)
        for field in fields(Panel)[1:]:
            value = getattr(one, field.name)
            if value not in (field.default, ""):
                lines.append(f"    {field.name}: {value!r}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def declared():
    """Whatever this module declares is taken back."""
    yield
    forget(__name__)


def test_every_panel_is_what_it_was():
    assert told() == GOLDEN.read_text()


def test_a_panel_is_one_declaration_over_a_stored_column(declared):
    panel("spent", column="elapsed_s", title="seconds spent", colors="magma", unit="s")
    assert known_panels()["spent"] == Panel("spent", "seconds spent", "elapsed_s", "log", "magma", "s")
    assert looks()["elapsed_s"]["panel"] == "spent"
    panel("spent", column="elapsed_s", title="wall time")  # a notebook's cell run again
    assert known_panels()["spent"].title == "wall time"
    assert __name__ not in modules()  # a sweep's workers can do without
    runs = pd.DataFrame({"status": ["converged"], "elapsed_s": [1.0]})
    assert find_panel("spent", Cuts(), runs).column == "elapsed_s"


def test_the_name_of_another_panel_is_refused(declared):
    with pytest.raises(LinphaseError, match="panel 'final-time': a name of its own is required"):
        panel("final-time", column="final_step", title="steps")
    panel("rank", column="final_step", title="steps")
    with pytest.raises(LinphaseError, match="panel 'rank': a name of its own is required, found it for rank_at_min"):
        known_panels()


def test_an_observable_has_a_panel_for_each_moment_at_which_it_is_one_number(declared):
    @observable("||A||_F", panel="size", title="size of A", at=("crossing", "end", "minimum", "largest", "snapshots"))
    def frobenius(moment):
        return 0.0

    @observable("active units", panel="units", title="units", unit="share", needs=("weights",), at=("largest", "end"))
    def units(moment):
        return 0.0

    made = [one for one in known_panels().values() if one.name not in before]
    assert [(one.name, one.title, one.column, one.scale, one.colors) for one in made] == [
        ("size", "size of A", "frobenius", "log", "viridis"),
        ("size-at-min", "size of A\nat smallest test error", "frobenius_at_min", "log", "viridis"),
        ("largest-size", "largest size of A", "largest_frobenius", "log", "viridis"),
        ("units", "units", "largest_units", "share", "viridis"),
        ("final-units", "final units", "units", "share", "viridis"),
    ]
    assert [one.unpredicted for one in made] == ["", "", "", *["it belongs to the weights of the start"] * 2]
    assert looks()["units"]["panel"] == "final-units"


before = set(known_panels())


def test_panels_of_columns_that_nobody_declares_here_come_from_the_files():
    stored = Column("effective_rank", "float64", "", "exp of the entropy", None, "effective-rank", "effective rank",
                    "$e^H$", "log", "cividis")  # fmt: skip
    columns = {"effective_rank": stored} | {column.name: column for column in runs_columns()}
    assert known_panels(columns).keys() - known_panels().keys() == {"effective-rank"}
    runs = pd.DataFrame({"status": ["converged"], "effective_rank": [2.0]})
    found = find_panel("effective-rank", Cuts(), runs, columns)
    assert (found.title, found.column, found.colors) == ("effective rank,\n$e^H$", "effective_rank", "cividis")
    with pytest.raises(LinphaseError, match=r"panel must be one of regime, .*, residual, .*found 'effective-rank'"):
        find_panel("effective-rank", Cuts(), runs)


def test_every_observable_of_linphase_and_every_panel_has_a_stored_column():
    stored = {column.name for column in runs_columns()}
    assert {one.column for one in known_panels().values()} - {None} <= stored
    assert len(known_panels()) == len(PANELS) + sum(len(one.at) for one in OBSERVABLES.values())


def test_a_kind_that_is_not_declared_here_is_taken_for_one_that_trains():
    kinds = pd.DataFrame({"kind": ["modes", "self_consistent"]})
    assert made_by_theory(kinds)
    assert not made_by_theory(pd.concat([kinds, pd.DataFrame({"kind": ["heavy_ball"]})]))
    assert not made_by_theory(kinds.drop(columns="kind"))


FOLDER = Path(sys.modules[Panel.__module__].__file__).parent


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_what_computes_imports_nothing_that_draws(file):
    assert not re.findall(r"^\s*(?:import|from) (matplotlib|linphase\.figures)", file.read_text(), re.MULTILINE)


def test_panels_are_known_without_pandas():
    code = "import sys; from linphase.diagram.panels import looks; looks(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"matplotlib", "pandas", "pyarrow", "rich"} & set(out.split())


if __name__ == "__main__":
    GOLDEN.write_text(told())

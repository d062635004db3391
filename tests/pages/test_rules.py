"""The explorer's rules, in JavaScript, are Python's: one table of cases that Python makes."""

import json
import shutil
import subprocess
from importlib.resources import files
from itertools import product
from math import nextafter

import pandas as pd
import pytest

from linphase.diagram.looks import LOOKS
from linphase.diagram.outcomes import OUTCOMES, outcomes
from linphase.model.regime import Cuts, majority
from linphase.runs.records import STATUSES

RULES = files("linphase.pages").joinpath("rules.js").read_text()
NODE = shutil.which("node")
SHARES = (None, 0.0, nextafter(0.5, 0), 0.5, nextafter(0.5, 1), 1.0)
CUTS = [Cuts(signal=signal, bulk=bulk) for signal, bulk in product((0.0, 0.5, 1.0), repeat=2)]


def run_in_node(expression: str, cases: object) -> list:
    """What a JavaScript function of the cases returns, with the rules at hand."""
    script = (
        f"{RULES}\nconst cases = JSON.parse(require('fs').readFileSync(0));\nconsole.log(JSON.stringify({expression}))"
    )
    done = subprocess.run([NODE, "-e", script], input=json.dumps(cases), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


pytestmark = pytest.mark.skipif(not NODE, reason="needs JavaScript: apt-get install nodejs, as .ci/run does")


def test_every_outcome_is_pythons_at_every_corner():
    runs = [
        {"status": status, "signal": signal, "bulk": bulk, "width": width, "rank": 2, "noise": noise}
        for status, signal, bulk, width, noise in product(STATUSES, SHARES, SHARES, (1, 2, 3), (0.0, 0.5))
    ]
    table = pd.DataFrame(runs).rename(columns={"signal": "signal_active", "bulk": "bulk_active"})
    table = table.astype({"signal_active": float, "bulk_active": float})  # nan is how pandas reads a null
    expected = [list(outcomes(table, cuts)) for cuts in CUTS]
    assert {word for words in expected for word in words} == set(OUTCOMES)
    found = run_in_node(
        "cases.cuts.map((cuts) => cases.runs.map((run) => outcomeOf(run, cuts)))",
        {"runs": runs, "cuts": [vars(cuts) for cuts in CUTS]},
    )
    assert found == expected


def test_every_tie_is_pythons():
    words = [words for count in (1, 2, 3, 4) for words in product(("balanced", "lazy", "failed"), repeat=count)]
    found = run_in_node(
        "cases.words.map((words) => majorityOf(words, cases.order))", {"words": words, "order": [*LOOKS]}
    )
    assert found == [sorted(majority(each), key=list(LOOKS).index) for each in words]

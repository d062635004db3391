"""The explorer's rules, in JavaScript, are Python's: one table of cases that Python makes, or a page of it."""

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from itertools import permutations, product
from math import nextafter

import numpy as np
import pandas as pd
import pytest

from linphase.diagram.axes import Window, split_facets
from linphase.diagram.cells import cells_of
from linphase.diagram.looks import LOOKS
from linphase.diagram.outcomes import OUTCOMES, outcomes
from linphase.diagram.panels import find_panel
from linphase.figures.painting import edge_segments
from linphase.model.regime import Cuts, majority
from linphase.pages.explorer import as_json, build
from linphase.pages.packing import pack_codes, pack_numbers
from linphase.runs.records import STATUSES
from linphase.theory.mode import mode_value
from tests.pages.packed import column_of, data_of, places_of
from tests.pages.test_explore import small

RULES = "".join(files("linphase.pages").joinpath(name).read_text() for name in ("rules.js", "names.js"))
NODE = shutil.which("node")
SHARES = (None, 0.0, nextafter(0.5, 0), 0.5, nextafter(0.5, 1), 1.0)
CUTS = [Cuts(signal=signal, bulk=bulk) for signal, bulk in product((0.0, 0.5, 1.0), repeat=2)]


def run_in_node(expression: str, cases: object) -> list:
    """What a JavaScript function of the cases returns, with the rules at hand."""
    script = (
        f"{RULES}\nconst cases = JSON.parse(require('fs').readFileSync(0));\nconsole.log(JSON.stringify({expression}))"
    )
    done = subprocess.run([NODE, "-e", script], input=as_json(cases), capture_output=True, text=True, check=True)
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


def test_every_cell_of_every_panel_shows_what_the_figures_draw(tmp_path):
    results = small(tmp_path)  # four facets, two replicates; runs miss, failed, diverged
    timed = results.runs.index[::5]
    runs = results.runs.copy()
    runs.loc[timed, "iterations_at_min"] = 0.0  # passed at the start where all replicates did
    results = replace(results, runs=runs)
    data = data_of(build(results))
    facets = list(split_facets(results.runs, results.axes))
    window, checked = Window.of(results.axes), Counter()
    asked = [(panel, by, drawn["column"]) for panel in data["panels"] for by, drawn in panel["by"].items()]
    for (panel, by, _), found in zip(asked, shown_in_node(data, asked), strict=True):
        shown = find_panel(panel["name"], Cuts(by), results.runs, results.columns)
        for facet, here in zip(facets, found, strict=True):
            cells = cells_of(facet.runs, window, shown, Cuts(by))
            numbers = np.array([each["number"] for each in here], dtype=float)
            largest = np.nanmax(np.abs(cells.numbers), initial=0.0)
            np.testing.assert_allclose(numbers, cells.numbers.ravel(), rtol=3e-5, atol=1e-5 * largest)
            words = {
                divmod(place, len(window.x.kept)): tuple(each["words"])
                for place, each in enumerate(here)
                if each["words"]
            }
            assert words == cells.outcomes
            checked.update(word for each in words.values() for word in each)
    assert {"missing", "diverged", "undefined", "start", "converged"} <= {*checked}


def shown_in_node(data: dict, asked: list[tuple[dict, str, str]]) -> list[list[list[dict]]]:
    """By panel and criterion asked for, facet and place what rules.js makes of the column of the runs there."""
    members: dict[tuple[int, int], list[int]] = {}
    columns = len(data["x"]["values"])
    facets = column_of(data["place"]["facet"], data["count"])
    for run, ((y, x), facet) in enumerate(zip(places_of(data), facets, strict=True)):
        members.setdefault((facet, y * columns + x), []).append(run)
    places = [[members.get((facet, place), []) for place in range(columns * len(data["y"]["values"]))]
              for facet in range(len(data["owners"]))]  # fmt: skip
    cases = {
        "places": places,
        "status": data["runs"]["status"],
        "asked": [
            {
                "values": data["runs"][column],
                "rule": {"unfinished": data["unfinished"], "order": [*data["looks"]], "panel": panel},
            }
            for panel, _, column in asked
        ],
    }
    return run_in_node(
        """cases.asked.map(({ values, rule }) => {
          const [value, status] = [columnOf(values), columnOf(cases.status)];
          const missing = { number: null, words: ["missing"] };
          return cases.places.map((facet) => facet.map((runs) =>
            runs.length ? shownOf(runs.map(value), runs.map(status), rule) : missing));
        })""",
        cases,
    )


def test_packed_numbers_codes_and_owners_are_read_back():
    values, codes = [0.0, 1.5, -2 / 3, 1e-30, 6.02e23, np.nan], [0, 65535, 256]
    found = run_in_node(
        """[[0, 1, 2, 3, 4, 5].map(columnOf(cases.numbers)), [0, 1, 2].map(columnOf(cases.codes)),
            Array.from(ownersOf(cases.owners, 7)), Array.from(ownersOf(null, 3))]""",
        {
            "numbers": {"numbers": pack_numbers(values)},
            "codes": {"of": [*range(65536)], "codes": pack_codes(codes)},
            "owners": [0, 2, -1, 3, 5, 2],
        },
    )
    assert found[0][:5] == pytest.approx(values[:5], rel=2e-5)
    assert found[0][5] is None
    assert found[1:] == [codes, [0, 0, -1, -1, -1, 5, 5], [0, 1, 2]]


def test_a_mode_from_zero_is_the_closed_form_at_every_scale():
    t, S, c = (
        each.ravel() for each in np.meshgrid([0.0, 1e-6, 0.1, 3.0, 1e4], [0.0, 0.3, 40.0], np.geomspace(1e-9, 1e9, 7))
    )
    expected = [float(mode_value(*each)) for each in zip(t, np.zeros(len(t)), S, c, strict=True)]
    found = run_in_node("cases.map(([t, S, c]) => modeFromZero(t, S, c))", np.column_stack([t, S, c]).tolist())
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_levels_are_the_edges_that_the_figures_draw():
    numbers = np.array([[-8.0, -6.0, -1.0], [-7.5, np.nan, 2.0], [-7.1, -3.0, 1.0]])
    axes = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.5, 1.0, 1.5]}
    window = Window.of(axes)
    for level in (-7.0, -4.0, 0.0):
        sides = np.where(np.isfinite(numbers), numbers < level, np.nan)
        expected = {tuple(sorted(map(tuple, ends))) for ends in edge_segments(sides, window).tolist()}
        cases = {"numbers": [None if np.isnan(each) else each for each in numbers.ravel()], "level": level,
                 "x": window.x.edges.tolist(), "y": window.y.edges.tolist()}  # fmt: skip
        found = run_in_node("levelEdges(cases.numbers, cases.level, cases.x, cases.y)", cases)
        assert {tuple(sorted(map(tuple, ends))) for ends in found} == expected
        assert len(found) == len(expected) > 0


@pytest.mark.parametrize(("points", "exit"), [
    ([[0.2, 0.0], [0.6, 1.0]], {"side": "top", "at": 0.6}),
    ([[0.6, 1.0], [0.2, 0.0]], {"side": "top", "at": 0.6}),
    ([[0.0, 0.3], [1.0, 0.3]], {"side": "right", "at": 0.3}),
    ([[0.5, 1.0], [0.9, 0.6], [1.1, 0.4]], {"side": "right", "at": 0.5}),  # both: the right is taken
    ([[-0.5, 0.5], [0.5, 1.5]], {"side": "top", "at": 0.0}),
    ([[0.0, 0.5], [0.5, 0.0]], None),
    ([[0.5, 0.9], None, [0.6, 1.2]], None),  # a gap is no crossing
])  # fmt: skip
def test_a_line_leaves_the_frame_at_its_right_or_its_top(points, exit):
    found = run_in_node("exitOf(cases.map((each) => each))", points)
    assert found == (None if exit is None else {"side": exit["side"], "at": pytest.approx(exit["at"])})


def test_names_over_the_frame_touch_neither_each_other_nor_a_leader():
    names = [{"at": at, "width": width} for at, width in ((20, 90), (60, 70), (75, 40), (120, 90), (290, 80))]
    placed = run_in_node("inRows(cases, 330)", names)
    assert len(placed) == len(names)
    assert all(one["left"] + one["width"] <= 330 for one in placed)
    for one, other in permutations(placed, 2):
        if one["row"] == other["row"]:
            assert one["left"] + one["width"] < other["left"] or other["left"] + other["width"] < one["left"]
        elif one["row"] < other["row"]:  # the leader of the upper one passes
            assert not one["left"] < other["at"] < one["left"] + one["width"]
    crowd = run_in_node("inRows(cases, 330)", [{"at": 100 + 8 * i, "width": 90} for i in range(9)])
    assert len(crowd) == 4  # the rest has no place


def test_names_beside_the_frame_move_up_from_each_other_and_not_beyond_it():
    placed = run_in_node("inColumn(cases, 300, 14)", [{"at": at} for at in (295, 100, 104, 30)])
    assert [one["middle"] for one in placed] == [30, 100, 114, 295]
    assert run_in_node("inColumn(cases, 300, 14)", [{"at": 295}, {"at": 299}]) == [{"at": 295, "middle": 295}]

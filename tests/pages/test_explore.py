"""The explorer's file: complete in itself, everything of the user's escaped, small, true to the stored numbers."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.derived import DERIVED
from linphase.diagram.names import axis_label
from linphase.diagram.panels import known_panels
from linphase.files import printable
from linphase.model.draws import draw_task
from linphase.model.regime import CRITERIA, Cuts
from linphase.pages.explorer import SCRIPTS, as_json, build
from linphase.pages.explorer_tables import markup
from linphase.pages.explorer_trajectories import (
    BUDGET,
    MODES,
    MOMENTS,
    _Detail,
    _thin,
    chosen_modes,
    chosen_moments,
    thin,
)
from linphase.pages.packing import pack_codes, pack_numbers
from linphase.store.columns import Column, runs_columns
from linphase.store.results import Results, load
from linphase.store.rows import failure_row
from linphase.store.writing import create, write_failures
from linphase.theory.mode import mode_value
from tests.figures.made import filled
from tests.pages.packed import column_of, data_of, numbers_of
from tests.processes import train_here

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>\u2028&amp;"
GRID = {
    "gamma_sigma2": [-2.5, -1.1, 0.3],
    "gamma_w": [0.0, 1.1, 1.8],
    "task.rank": [1, 2],
    "task.noise": [0.0, 1.0],
    "replicates": 2,
}
UNDECLARED = Column(
    "entropy", "float64", HOSTILE, HOSTILE, panel="entropy", title=f"entropy {HOSTILE}",
    formula=f"$e_{{max}}$ {HOSTILE}", scale="strange", colors="no_such_map",
)  # fmt: skip


def small(path: Path, grid: dict = GRID) -> Results:
    """A real sweep of four facets with two replicates, in which some runs miss, failed or diverged.

    Its directory's name, an error text, a few values and all that a stored column that nobody declares here tells of
    itself are what an attacker would write.
    """
    config = {
        "name": "small",
        "task": {"dimension": 8},
        "grid": grid,
        "dynamics": {"max_evaluations": 300},  # some do not converge
        "record": {"snapshots": 60},
    }
    directory = path / HOSTILE.replace("/", "")
    train_here(parse_config(config), directory)
    wider = parse_config({**config, "grid": {**grid, "gamma_w": [*grid["gamma_w"], 2.9]}})
    create(directory, wider)
    failed, *_ = load(directory).missing()
    write_failures(directory, [failure_row(failed, HOSTILE, "")])
    results = load(directory)
    runs = results.runs.assign(cpu=HOSTILE, entropy=results.runs["width"] / 7)
    runs.loc[runs.index[0], "blas"] = HOSTILE
    diverged = runs.index[(runs["gamma_w"] == 1.8) & (runs["gamma_sigma2"] == 0.3) & (runs["replicate"] == 0)]
    runs.loc[diverged, "status"] = "diverged"
    return replace(results, runs=runs, columns={**results.columns, "entropy": UNDECLARED})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return small(tmp_path_factory.mktemp("explore"))


def one_facet(results: Results) -> Results:
    """The same, as quickly made into a page as can be."""
    return replace(results, axes=dict(list(results.axes.items())[:2]))


@pytest.fixture(scope="module")
def page(results):
    return build(results, cuts=Cuts(criterion="balance", signal=0.4, bulk=0.6))


class Elements(HTMLParser):
    """Names and attributes of all elements, as a browser's tokenizer sees them, and the title's text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.title = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] == "title":
            self.title += data


def test_the_page_asks_for_nothing_and_forbids_itself_to(page):
    elements = Elements(page).found
    assert not [tag for tag, attributes in elements if {"src", "href", "action", "srcset"} & set(attributes)]
    assert not {"link", "iframe", "object", "embed", "base", "img"} & {tag for tag, _ in elements}
    (policy,) = (each["content"] for _, each in elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    own = Path(sys.modules["linphase.pages"].__file__).parent
    for name in ("page.html", "page.css", *SCRIPTS):
        assert not re.search(r"https?:|@import|url\(", (own / name).read_text())


def test_nothing_of_the_users_becomes_html(page, results):
    assert page.count("</script>") == page.count("<script") - page.count('"<script') == 3
    assert "<img" not in page.replace("<img>", "")
    assert "\u2028" not in page.split('id="data">')[1].split("</script>")[0]
    assert printable(HOSTILE.replace("/", "")) in Elements(page).title
    data = data_of(page)
    assert data["name"] == printable(results.path.name)
    assert data["runs"]["cpu"] == {"all": HOSTILE}
    assert HOSTILE in data["errors"].values()


def test_a_name_that_looks_like_a_place_of_the_template_stays_a_name(results, tmp_path):
    renamed = results.path.rename(tmp_path / "{{scripts}}")
    try:
        (tmp_path / "{{data}}").symlink_to(renamed)
        page = build(replace(one_facet(results), path=tmp_path / "{{data}}"))
        assert "<h1>{{scripts}}</h1>" in page  # the directory itself is named
        assert data_of(page)["name"] == "{{scripts}}"
    finally:
        renamed.rename(results.path)


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028\u2029", "a & b > c", '"\\'])
def test_json_cannot_end_its_script_and_reads_back(text):
    written = as_json({text: [text]})
    assert not re.search("[<>&\u2028\u2029]", written)
    assert json.loads(written) == {text: [text]}


def test_the_first_state_is_what_was_asked_for(page):
    data = data_of(page)
    assert (data["criterion"], data["signal_cut"], data["bulk_cut"]) == ("balance", 0.4, 0.6)


def test_a_stored_column_that_nobody_declares_here_is_shown_with_its_panel(page, results):
    data = data_of(page)
    assert data["columns"]["entropy"] == {"unit": HOSTILE, "meaning": HOSTILE}
    assert column_of(data["runs"]["entropy"], data["count"]) == pytest.approx(list(results.runs["entropy"]), rel=1e-5)
    (panel,) = (each for each in data["panels"] if each["name"] == "entropy")
    (drawn,) = panel["by"].values()
    assert drawn["column"] == "entropy"
    assert (drawn["scale"]["low"], drawn["scale"]["high"]) == pytest.approx((1 / 7, 6.0), rel=1e-4)
    assert panel["title"].startswith("entropy ")
    # Plotly reads these as markup.
    assert panel["formula"].startswith("e<sub>max</sub> &lt;/script&gt;")
    assert "<" not in panel["symbol"]


def test_the_criteria_come_with_their_definitions_and_columns(page, results):
    criteria = {each["name"]: each for each in data_of(page)["criteria"]}
    assert list(criteria) == list(CRITERIA)
    assert criteria["threshold"]["definition"] == "s<sub>i</sub> &gt; c"
    assert criteria["balance"]["definition"] == "b<sub>i</sub> &gt; 1/√2"
    for name, told in criteria.items():
        assert [told["signal"], told["bulk"]] == [
            CRITERIA[name].column(share) for share in ("signal_active", "bulk_active")
        ]
        assert {told["signal"], told["bulk"]} <= {*results.runs}


def test_a_panel_without_numbers_is_left_out(page):
    names = [panel["name"] for panel in data_of(page)["panels"]]
    assert {"regime", "status", "test-error"} <= set(names)
    assert "distance" not in names  # nothing was compared


def test_order_parameters_are_exact_so_that_cuts_on_them_are(page, results):
    for name in ("signal_active", "bulk_active", "bulk_active_by_speedup", "noise", "width"):
        kept = column_of(data_of(page)["runs"][name], len(results.runs))
        stored = [None if value is None or value != value else value for value in results.runs[name].tolist()]
        assert kept == stored


def test_a_thinned_trajectory_is_the_stored_one_with_theory_beside_it(page, results):
    data = data_of(page)
    place = results.runs.index[(results.runs["rank"] == 2) & (results.runs["width"] > 8) & (results.runs["noise"] > 0)]
    run = results.runs.loc[place[-1]]
    kept, stored = data["trajectories"][place[-1]], results.trajectory(run["run_id"])
    numbers, m, n = iter(numbers_of(kept["numbers"]).astype(float)), kept["moments"], len(kept["modes"])
    time, train, test, *values = np.array([next(numbers) for _ in range((3 + n) * m)]).reshape(3 + n, m)
    assert kept["modes"] == [0, 1, 2, 3, 4, 6, 7]  # two of the signal, the quartiles of the other six
    assert kept["of"] == 8
    at = np.abs(np.subtract.outer(time, stored.time)).argmin(axis=1)
    np.testing.assert_allclose(time, stored.time[at], rtol=2e-5)
    np.testing.assert_allclose(train, stored.train_error[at], rtol=2e-5)
    np.testing.assert_allclose(test, stored.test_error[at], rtol=2e-5)
    assert np.argmin(stored.test_error) in at
    np.testing.assert_allclose(values, stored.singular_values[at][:, kept["modes"]].T, rtol=2e-5)
    telling = at[kept["balanced"]]
    balance = np.array([next(numbers) for _ in range(n * len(telling))]).reshape(n, -1)
    np.testing.assert_allclose(balance, stored.mode_balance[telling][:, kept["modes"]].T, rtol=2e-5)
    assert len(telling) > 3
    task = draw_task(results.expected()[run["run_id"]].task, replicate=int(run["replicate"]))
    U, S, V = task.solution_svd
    s = mode_value(time[:, None], 0.0, S, run["threshold"])  # (moments, 8)
    A = np.einsum("im,tm,jm->tij", U, s, V)
    theory = np.array([next(numbers) for _ in range(2 * m)]).reshape(2, m)
    np.testing.assert_allclose(theory[0], np.mean((A - task.target) ** 2, axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(theory[1], np.mean((A - task.signal) ** 2, axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose([*numbers], S[kept["modes"]], rtol=1e-4)
    smallest, when = (column_of(data["theory"][name], data["count"])[place[-1]] for name in ("error", "time"))
    assert smallest <= theory[1].min() * 1.001
    assert 0 <= when <= run["final_time"]


def test_theory_is_left_out_where_the_task_drawn_here_is_another(results):
    others = thin(replace(results, runs=results.runs.assign(seed=7)))
    assert others.kept.keys() == thin(results).kept.keys()
    assert not others.theory


def test_numbers_of_three_bytes_keep_four_digits():
    values = np.array([0.0, 1.0, np.pi, -2 / 3, 1e-30, 6.02e23, 1e-44, 3.4028234e38, np.nan, np.inf])
    back = numbers_of(pack_numbers(values))
    np.testing.assert_allclose(back[:6], values[:6], rtol=2e-5)
    assert back[6] == pytest.approx(0, abs=1e-40)
    assert np.isnan(back[8])
    assert back[9] == np.inf


def test_a_column_of_few_values_is_kept_exactly_as_their_codes():
    values = [1 / 3, None, 0.1 + 0.2, 1 / 3] * 70000
    of = [1 / 3, None, 0.1 + 0.2]
    codes = pack_codes([of.index(value) for value in values])
    assert column_of({"of": of, "codes": codes}, len(values)) == values
    assert column_of({"of": [*range(65536)], "codes": pack_codes([65535, 256, 0])}, 3) == [65535, 256, 0]


@pytest.mark.parametrize(("rank", "recorded", "modes"), [
    (2, 2, [0, 1]),
    (5, 3, [0, 1, 2]),
    (1, 9, [0, 1, 3, 4, 6, 8]),
    (2, 3, [0, 1, 2]),
])  # fmt: skip
def test_the_modes_kept(rank, recorded, modes):
    assert chosen_modes(rank, recorded) == modes


def test_many_modes_and_moments_are_thinned_evenly_and_keep_the_smallest_error():
    modes = chosen_modes(40, 200)
    assert len(modes) == 13
    assert {0, 39, 40, 199} <= set(modes)
    error = np.ones(100)
    error[17] = 0.5
    moments = chosen_moments(error, 10)
    assert len(moments) == 10
    assert {0, 17, 99} <= set(moments)
    assert chosen_moments(np.full(3, np.nan), 10) == [0, 1, 2]
    moments = chosen_moments(error, 10, wanted=[0, 12, 30, 31, 99])
    assert len(moments) == 10
    assert {0, 12, 17, 30, 31, 99} <= set(moments)


def test_moments_stay_spread_where_every_one_tells_the_balance(results):
    run = results.runs.iloc[-1]
    path, n = results.trajectory(run["run_id"]), 40
    row = {"time": np.geomspace(1, 2, n), "train_error": np.ones(n), "test_error": np.linspace(2, 1, n),
           "singular_values": np.ones((n, 8)), "mode_balance": np.ones((n, 8)),
           "target_singular_values": path.final_modes.target + 1}  # fmt: skip
    thinned = _thin(row, run, _Detail(12, *MODES[0]))
    time = numbers_of(thinned["numbers"])[: thinned["moments"]]
    assert np.diff(time).max() < 0.3


def test_more_runs_get_fewer_moments_then_fewer_modes_then_fewer_replicates_then_fewer_cells(monkeypatch, results):
    everything, finished = thin(results), results.runs[results.runs["status"] != "failed"]
    assert everything.left_out == 0
    assert max(one["moments"] for one in everything.kept.values()) == MOMENTS[1]
    most = max(len(one["modes"]) for one in everything.kept.values())

    def size(thinned):
        return sum(len(as_json(one)) for one in thinned.kept.values())

    def thinned(share):
        monkeypatch.setattr("linphase.pages.explorer_trajectories.BUDGET", share * full)
        found = thin(results)
        assert size(found) <= share * full
        return found

    full = size(everything)
    fewer = thinned(0.8)
    assert MOMENTS[0] <= max(one["moments"] for one in fewer.kept.values()) < MOMENTS[1]
    assert fewer.left_out == 0
    narrower = thinned(0.55)
    assert (max(len(one["modes"]) for one in narrower.kept.values()), narrower.left_out) == (4, 0)
    assert most == 7
    one_replicate = thinned(0.35)
    assert one_replicate.left_out == (finished["replicate"] == 1).sum()
    assert data_of(build(one_facet(results)))["left_out"] == one_replicate.left_out
    some = thinned(0.1)
    assert 0 < len(some.kept) < (finished["replicate"] == 0).sum()
    assert len(some.kept) + some.left_out == len(finished)


def test_20000_cells_stay_under_25_mb(page):
    # The budget bounds the trajectories; the numbers of the runs grow with these; the rest stays.
    data = data_of(page)
    sizes = {name: len(as_json(value)) for name, value in data.items()}
    growing = sum(sizes[name] for name in ("place", "runs", "theory"))
    staying = len(page) - growing - sizes["trajectories"]
    assert staying < 5.5e6
    assert staying + 20_000 / data["count"] * growing + BUDGET < 25e6


def test_the_page_grows_with_the_cells_that_were_asked_for_and_not_with_the_places(tmp_path):
    def config(first, last):
        values = np.linspace(first, last, 10).round(6).tolist()
        grid = {"gamma_sigma2": values, "gamma_w": values}
        return parse_config({"name": "two", "task": {"dimension": 8, "rank": 2}, "grid": grid}).predicted()

    # 2 times 10 x 10 cells in 19 x 19 places: nearly half of them belong to others.
    filled(tmp_path / "r", config(0.0, 0.95))
    both = filled(tmp_path / "r", config(0.95, 1.9))
    page = data_of(build(both))
    assert len(page["x"]["values"]) == 19
    sizes = {name: len(as_json(value)) for name, value in page.items()}
    assert sizes["panels"] < 40_000
    assert sizes["owners"] < 15 * 19 * 19


def test_the_command_writes_the_file_beside_the_results_or_where_told(results, tmp_path):
    done = CliRunner().invoke(main, ["explore", str(results.path), "--criterion", "speedup", "--bulk-cut", "0.25"])
    assert done.exit_code == 0, done.output
    written = results.path / "explorer.html"
    assert data_of(written.read_text())["criterion"] == "speedup"
    assert "MB" in done.output
    written.unlink()
    done = CliRunner().invoke(main, ["explore", str(results.path), "-o", str(tmp_path / "e.html")])
    assert done.exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["e.html"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["-o", "page.png"], "ending in .html is required, found 'page.png'"),
    (["-o", "nowhere/page.html"], "an existing directory is required, found 'nowhere'"),
])  # fmt: skip
def test_mistakes_are_one_message_and_code_2(results, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["explore", str(results.path), *arguments])
    assert done.exit_code == 2
    assert message in done.output


def test_without_plotly_the_message_says_what_to_install(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    done = CliRunner().invoke(main, ["explore", str(results.path)])
    assert done.exit_code == 2
    assert "pip install 'linphase[explore]'" in done.output


def test_results_without_a_finished_run_still_make_a_page(tmp_path):
    directory = tmp_path / "empty"
    create(directory, parse_config({"name": "empty", "grid": {"gamma_sigma2": [-1, 0], "gamma_w": [1, 2]}}))
    data = data_of(build(load(directory)))
    assert data["count"] == 0
    assert [panel["name"] for panel in data["panels"]][:2] == ["regime", "status"]


def test_formulas_and_symbols_of_panels_are_typeset_and_nothing_of_tex_is_left():
    assert markup(r"$\|A-A^*\|_F^2/d^2$") == "‖A−A<sup>*</sup>‖<sub>F</sub>²/d²"
    assert markup(r"$\ln\,\mathrm{max}_t\,\|A-A_{sc}\|_F^2$").startswith(
        "ln\u2009max<sub>t</sub>\u2009‖A−A<sub>sc</sub>‖"
    )
    assert markup(r"$d_\mathrm{out}$, $\gamma_{\sigma^2}$") == "d<sub>out</sub>, γ<sub>σ²</sub>"
    formulas = [text for panel in known_panels().values() for text in (panel.formula, panel.unit)]
    axes = [axis_label(column.name) for column in runs_columns()] + [axis_label(name) for name in DERIVED]
    for text in (*formulas, *axes, *(each.definition for each in CRITERIA.values())):
        assert not set(markup(text)) & set("\\${}_^"), text

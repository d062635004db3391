"""The explorer in a real browser: Debian's chromium without a display, driven by selenium."""

import json
import re
import shutil
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations, cycle

import numpy as np
import pytest
from matplotlib.image import imread

from linphase.config.config import parse_config
from linphase.diagram.axes import Window, span
from linphase.diagram.cells import cells_of, stand_ins
from linphase.diagram.looks import BULK, SIGNAL, TEST, THRESHOLD, TRAIN
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import find_panel, known_panels
from linphase.figures.painting import edge_segments
from linphase.files import printable
from linphase.model.regime import CRITERIA, Cuts
from linphase.pages.explorer import as_json, build
from linphase.pages.explorer_trajectories import BUDGET
from linphase.store.results import load
from tests.figures.made import filled
from tests.pages.packed import column_of, data_of
from tests.pages.test_explore import GRID, small
from tests.processes import train_here

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs a browser: apt-get install chromium chromium-driver, as .ci/run does"
    ),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    wide = {"gamma_sigma2": [-2.5, -1.8, -1.1, -0.4, 0.3], "gamma_w": [0.0, 0.4, 1.1, 1.8, 2.5]}
    return small(tmp_path_factory.mktemp("explore"), {**GRID, **wide})


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Explorer:
    """The page as a reader uses it: by mouse and keys; what it shows is read from the document."""

    def __init__(self, browser, file):
        self.browser = browser
        browser.get_log("performance"), browser.get_log("browser")  # of pages before
        browser.get(file.as_uri())
        self.script("window.scrollTo(0, 0)")

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def text(self, name):
        return self.script("return document.getElementById(arguments[0]).textContent", name)

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            time.sleep(0.05)

    def choose(self, name, value):
        from selenium.webdriver.support.ui import Select

        Select(self.browser.find_element("id", name)).select_by_value(str(value))

    def type_cut(self, name, cut):
        from selenium.webdriver import Keys

        field = self.browser.find_element("id", f"{name}-number")
        field.send_keys(Keys.CONTROL, "a")  # held to the end of a call
        field.send_keys(repr(cut))

    def choose_facet(self, rank, noise):
        from selenium.webdriver.support.ui import Select

        selects = self.browser.find_elements("css selector", "#facets select")
        for select, value in zip(selects, (rank, noise), strict=True):
            Select(select).select_by_visible_text(f"{value:g}")

    def hover(self, column, row, *, click=False):
        from selenium.webdriver import ActionChains

        x, y = self.script(
            """const { xaxis, yaxis } = document.getElementById("diagram")._fullLayout;
            const [cells] = document.getElementById("diagram").data.filter((each) => each.name === "cells");
            const middle = (edges, i) => (edges[i] + edges[i + 1]) / 2;
            const box = document.getElementById("diagram").getBoundingClientRect();
            return [xaxis._offset + xaxis.d2p(middle(cells.x, arguments[0])) - box.width / 2,
                    yaxis._offset + yaxis.d2p(middle(cells.y, arguments[1])) - box.height / 2];""",
            column,
            row,
        )
        diagram = self.browser.find_element("id", "diagram")
        chain = ActionChains(self.browser).move_to_element_with_offset(diagram, round(x), round(y)).pause(0.3)
        (chain.click() if click else chain).perform()

    def curves(self):
        """The curves beside the diagram by name: times and values."""
        drawn = self.script(
            """return document.getElementById("curves").data.map(
            (each) => [each.hovertemplate.split(/[:<]/)[0], Array.from(each.x), Array.from(each.y)]);"""
        )
        return {name: (np.array(x, float), np.array(y, float)) for name, x, y in reversed(drawn)}  # the first of a name

    def counts(self):
        """Cells and runs of every outcome with one of either."""
        rows = self.script(
            """return [...document.querySelectorAll("#counts tbody tr")].map((row) =>
            [row.dataset.outcome, ...[...row.querySelectorAll("td")].map((each) => Number(each.textContent))]);"""
        )
        cells = {name: cells for name, cells, _ in rows if cells}
        return cells, {name: runs for name, _, runs in rows if runs}

    def complaints(self):
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self):
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        sent = [each["params"] for each in events if each["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in sent if not each.get("documentURL", "").startswith("chrome:")]


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    """Its file; what a test does to the page is gone when it is opened anew."""
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    file.write_text(build(results), encoding="utf-8")
    return file


@pytest.fixture
def explorer(browser, page):
    opened = Explorer(browser, page)
    yield opened
    assert opened.complaints() == []
    assert opened.script("return window.hacked") is None


def facet(results, rank=1, noise=0.0):
    return results.runs[(results.runs["rank"] == rank) & (results.runs["noise"] == noise)]


def at(results, column, row, **which):
    """The runs of a cell."""
    axes = Window.of(results.axes)
    runs = facet(results, **which)
    return runs[(axes.x.index(runs) == column) & (axes.y.index(runs) == row)]


def expected_counts(results, runs, cuts):
    words = Counter(outcomes(runs, cuts))
    cells = cells_of(runs, Window.of(results.axes), known_panels()["regime"], cuts)
    counted: Counter[str] = Counter()
    for shown, count in cells.counts().items():
        counted["tie" if len(shown) > 1 else shown[0]] += count
    return dict(counted), dict(words)


def test_it_opens_from_disk_and_asks_the_network_for_nothing(explorer, results):
    assert printable(results.path.name) in explorer.script("return document.title")
    assert explorer.text("summary").startswith("linphase explorer: 120 cells, 201 runs")
    assert explorer.script("return document.querySelectorAll('.js-plotly-plot').length") == 2
    urls = explorer.requests()
    assert urls
    assert all(url.startswith(("file:", "data:", "blob:")) for url in urls)


def test_a_click_shows_that_cells_trajectory(explorer, results):
    explorer.choose_facet(2, 1)
    for column, row in ((1, 3), (3, 2)):
        before = explorer.text("cell-title")
        explorer.hover(column, row, click=True)
        explorer.wait(lambda before=before: explorer.text("cell-title") != before)
        run = at(results, column, row, rank=2, noise=1.0).iloc[0]
        assert f"width {run['width']}," in explorer.text("cell-title")
        stored, drawn = results.trajectory(run["run_id"]), explorer.curves()
        time, values = drawn["signal mode 1"]
        moments = np.abs(np.subtract.outer(time, stored.time)).argmin(axis=1)
        assert len(time) > 10
        np.testing.assert_allclose(time, stored.time[moments], rtol=2e-5)
        np.testing.assert_allclose(drawn["test error"][1], stored.test_error[moments], rtol=2e-5)
        np.testing.assert_allclose(drawn["bulk mode 3"][1], stored.singular_values[moments, 2], rtol=2e-5)
        np.testing.assert_allclose(drawn[f"c = {run['threshold']:.4g}"][1], run["threshold"], rtol=1e-3)
        assert explorer.text("note") == f"signal: 2 of 2 modes, bulk: {min(5, min(run['width'], 8) - 2)} of " + (
            f"{min(run['width'], 8) - 2} modes"
        )
        assert drawn["signal mode 1, theory"][1][0] == 0  # from A = 0
        last = drawn["signal mode 1, theory"][1][-1]
        assert last == pytest.approx(values[-1], rel=0.05)


def test_over_c_a_click_beside_a_run_shows_it_and_cells_are_counted_once(browser, results, tmp_path):
    over_c = replace(results, axes=span(results.runs, results.axes, x="c", y="gamma_w"))
    file = tmp_path / "explorer.html"
    file.write_text(build(over_c), encoding="utf-8")
    explorer, window = Explorer(browser, file), Window.of(over_c.axes)
    runs = facet(over_c)
    there = set(zip(window.y.index(runs).tolist(), window.x.index(runs).tolist(), strict=True))
    wide = [place for place in stand_ins(there, window).items() if place[1][0] == 3]
    (row, column), owner = wide[len(wide) // 2]
    explorer.hover(column, row, click=True)
    shown = runs[(window.y.index(runs) == owner[0]) & (window.x.index(runs) == owner[1])].iloc[0]
    explorer.wait(lambda: f"width {shown['width']}, c = " in explorer.text("cell-title"))
    assert explorer.text("cell-title").startswith("c = ")
    assert explorer.counts() == expected_counts(over_c, runs, Cuts())
    assert explorer.complaints() == []


@pytest.mark.parametrize("by", CRITERIA)
def test_counts_at_every_cut_are_pythons(explorer, results, by):
    explorer.choose("criterion", by)
    seen = set()
    for rank, noise in ((1, 0.0), (2, 1.0)):
        explorer.choose_facet(rank, noise)
        # 0, 0.5 and 1 are shares that occur, the others are not.
        for signal_cut, bulk_cut in ((0.5, 0.5), (0.0, 1.0), (0.51, 0.17), (1.0, 0.83)):
            explorer.type_cut("signal-cut", signal_cut)
            explorer.type_cut("bulk-cut", bulk_cut)
            expected = expected_counts(
                results, facet(results, rank, noise), Cuts(criterion=by, signal=signal_cut, bulk=bulk_cut)
            )
            explorer.wait(lambda expected=expected: explorer.counts() == expected, seconds=5)
            seen.add(json.dumps(expected[1]))
    assert len(seen) > 4


def test_a_cut_moved_by_keys_changes_the_counts_and_the_colours(explorer, results):
    from selenium.webdriver import Keys

    explorer.choose_facet(2, 1)
    codes = "return JSON.stringify(document.getElementById('diagram').data.find((each) => each.name === 'outcomes').z)"
    before, colours = explorer.counts(), explorer.script(codes)
    explorer.browser.find_element("id", "bulk-cut").send_keys(Keys.HOME)
    expected = expected_counts(results, facet(results, 2, 1.0), Cuts(criterion="threshold", signal=0.5, bulk=0.0))
    explorer.wait(lambda: explorer.counts() == expected)
    assert "mixed" not in explorer.counts()[1]
    assert "mixed" in before[1]
    assert explorer.script(codes) != colours
    assert explorer.script("return document.getElementById('counts').ariaLive") == "polite"
    explorer.browser.find_element("id", "reset").click()
    explorer.wait(lambda: explorer.counts() == before)


def test_keys_alone_reach_a_cell_and_show_it(explorer, results):
    from selenium.webdriver import ActionChains, Keys

    explorer.script("document.getElementById('save').focus()")
    ActionChains(explorer.browser).send_keys(Keys.TAB).perform()
    assert explorer.script("return document.activeElement.id") == "frame"
    frame = "return document.getElementById('diagram').layout.shapes.find((each) => each.name === 'focus')"
    assert explorer.script(frame)["visible"]
    keys = [Keys.HOME, *[Keys.ARROW_DOWN] * 9, Keys.ARROW_UP, Keys.ARROW_UP, Keys.ARROW_RIGHT]
    ActionChains(explorer.browser).send_keys(*keys).perform()
    edges = Window.of(results.axes)
    place = explorer.script(frame)
    assert [place["x0"], place["x1"]] == pytest.approx(edges.x.edges[1:3].tolist())
    assert [place["y0"], place["y1"]] == pytest.approx(edges.y.edges[2:4].tolist())
    assert "γ_σ² = −1.8, γ_w = 1.1" in explorer.text("here")
    ActionChains(explorer.browser).send_keys(Keys.ENTER).perform()
    assert "γσ² = −1.8, γw = 1.1 (width 9" in explorer.text("cell-title")
    assert len(explorer.curves()["signal mode 1"][0]) > 3


def test_hovering_a_cell_shows_its_numbers(explorer, results):
    explorer.choose_facet(2, 1)
    explorer.choose("panel", "test-error")
    explorer.hover(1, 3)
    explorer.wait(lambda: "smallest test error" in explorer.text("tip"))
    runs = at(results, 1, 3, rank=2, noise=1.0)
    assert f"width {runs['width'].iloc[0]}" in explorer.text("tip")
    assert f"{runs['min_test_error'].mean():.4g}" in explorer.text("tip")
    explorer.browser.find_element("id", "reset").click()
    explorer.wait(lambda: explorer.script("return document.getElementById('tip').hidden"))


def test_every_panel_draws_and_none_is_smoothed(explorer):
    names = explorer.script("return [...document.getElementById('panel').options].map((each) => each.value)")
    assert len(names) > 15
    for name in names:
        explorer.choose("panel", name)
        maps = explorer.script(
            "return document.getElementById('diagram').data.filter((each) => each.type === 'heatmap')"
        )
        assert all(each["zsmooth"] is False for each in maps)
        assert [each["name"] for each in maps][-1] == "cells"
    assert {"numbers"} <= {each["name"] for each in maps}


def test_cells_that_are_missing_diverged_or_unconverged_are_marked(explorer, results):
    explorer.choose_facet(2, 1)
    drawn = {
        each["name"]: each
        for each in explorer.script("return document.getElementById('diagram').data.filter((each) => each.mode)")
    }
    window = Window.of(results.axes)
    cells = cells_of(facet(results, 2, 1.0), window, known_panels()["regime"], Cuts())
    for name in ("missing", "diverged"):
        marked = [cell for cell, shown in cells.outcomes.items() if shown == (name,)]
        assert len(drawn[name]["x"]) == len(marked) if marked else name not in drawn
    assert "missing" in drawn
    assert len(drawn["unconverged"]["x"]) == len(cells.unconverged) > 0
    assert len(drawn["ties"]["x"]) == sum(len(shown) > 1 for shown in cells.outcomes.values()) > 0
    assert {"mixed | lazy, finite d", "mixed | lazy, asymptotic"} <= {*drawn}


def test_a_failed_run_says_why_without_being_believed(explorer, results):
    row = results.runs[results.runs["status"] == "failed"].iloc[0]
    explorer.choose_facet(row["rank"], row["noise"])
    window = Window.of(results.axes)
    alone = results.runs[results.runs["status"] == "failed"]
    explorer.hover(int(window.x.index(alone)[0]), int(window.y.index(alone)[0]), click=True)
    explorer.wait(lambda: "This run failed" in explorer.text("note"))
    assert "<script>window.hacked = 1</script>" in explorer.text("note")
    assert "failed" in explorer.counts()[1]
    assert explorer.script("return document.querySelectorAll('img').length") == 0


def test_replicates_and_toggles_of_the_curves(explorer, results):
    explorer.hover(1, 3, click=True)
    explorer.wait(lambda: "γσ² = −1.8, γw = 1.8" in explorer.text("cell-title"))
    first, second = at(results, 1, 3)["run_id"]
    before = explorer.curves()["test error"][1]
    options = explorer.script("return [...document.getElementById('replicate').options].map((each) => each.value)")
    explorer.choose("replicate", options[1])
    after = explorer.curves()["test error"][1]
    assert before[-1] == pytest.approx(results.trajectory(first).test_error[-1], rel=1e-4)
    assert after[-1] == pytest.approx(results.trajectory(second).test_error[-1], rel=1e-4)
    axis = "return document.getElementById('curves')._fullLayout.{}.type"
    assert explorer.script(axis.format("yaxis")) == explorer.script(axis.format("xaxis")) == "log"
    for name in ("log-values", "log-time", "show-theory"):
        explorer.browser.find_element("id", name).click()
    assert explorer.script(axis.format("yaxis")) == explorer.script(axis.format("xaxis")) == "linear"
    assert not [name for name in explorer.curves() if "theory" in name]


@contextmanager
def window(explorer, width, height):
    """The page in a window whose inside has this size."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    explorer.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        drawn = "const box = document.getElementById('diagram'); return box._fullLayout.width - box.clientWidth"
        explorer.wait(lambda: explorer.script("return innerWidth") == width and explorer.script(drawn) == 0)
        yield
    finally:
        explorer.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


BOX = "const box = document.getElementById(arguments[0]).getBoundingClientRect(); return [box.top, box.bottom]"


@pytest.mark.parametrize("size", [(900, 700), (1400, 900)])
@pytest.mark.parametrize("panel", ["regime", "learning-order"])
def test_a_click_shows_the_curves_without_scrolling(explorer, size, panel):
    with window(explorer, *size):
        explorer.choose("panel", panel)
        before = explorer.text("cell-title")
        explorer.hover(3, 3, click=True)
        explorer.wait(lambda: explorer.text("cell-title") != before)
        assert explorer.script("return scrollY") == 0
        for name in ("diagram", "curves"):
            top, bottom = explorer.script(BOX, name)
            assert 0 < top < bottom <= size[1], name
        assert explorer.script("return document.documentElement.scrollWidth") <= size[0]


TEXTS = """const diagram = document.getElementById("diagram");
    const { left, top } = diagram.getBoundingClientRect(), { l, t, w, h } = diagram._fullLayout._size;
    return [[left + l, top + t, left + l + w, top + t + h, innerWidth],
    [...document.querySelectorAll("#diagram .annotation-text")].map((each) => {
    const box = each.getBoundingClientRect();
    return [each.textContent, box.left, box.top, box.right, box.bottom]; })];"""


@pytest.mark.parametrize("size", [(900, 700), (1400, 900)])
@pytest.mark.parametrize("rank", [1, 2])
def test_names_of_lines_stand_outside_the_frame_and_apart(explorer, size, rank):
    with window(explorer, *size):
        explorer.choose_facet(rank, 1)
        frame, texts = explorer.script(TEXTS)
        names = {name: box for name, *box in texts if "=" not in name or name.startswith("width = k")}
        assert {"mixed | lazy", "mixed | balanced", "infinite noise"} <= {*names}
        for left, top, right, bottom in names.values():
            assert bottom <= frame[1] + 1 or left >= frame[2] - 1
            assert 0 <= left < right <= frame[4]
            assert top > 0
        for one, other in combinations(names.values(), 2):
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 3 or other[3] <= one[1] + 3


def test_measured_is_solid_theory_dashed_and_the_threshold_dotted_in_the_figures_colours(explorer):
    explorer.choose_facet(2, 1)
    drawn = explorer.script(
        """return document.getElementById("curves").data.map((each) =>
        [each.hovertemplate.split(/[:<]/)[0], each.line.color, each.line.dash ?? "solid"]);"""
    )
    lines = {name: (color, dash) for name, color, dash in drawn}
    assert lines["train error"] == (TRAIN, "solid")
    assert lines["test error"] == (TEST, "solid")
    assert lines["signal mode 1"] == (SIGNAL, "solid")
    assert lines["bulk mode 3"] == (BULK, "solid")
    (threshold,) = (line for name, line in lines.items() if name.startswith("c = "))
    assert threshold[0] == THRESHOLD
    dashes = {name: [float(each.rstrip("px")) for each in dash.split(",")] for name, (_, dash) in lines.items()
              if dash != "solid"}  # fmt: skip
    assert all(min(dashes[name]) > 2 for name in dashes if "theory" in name and name in lines and ", theory" in name)
    assert {name for name in lines if ", theory" in name} <= {*dashes}
    (dots,) = (each for name, each in dashes.items() if name.startswith("c = "))
    assert dots[0] < 2


def test_infinite_noise_is_thin_and_dotted_for_it_bounds_no_regime(explorer):
    explorer.choose_facet(2, 1)
    drawn = explorer.script("return document.getElementById('diagram').data.filter((each) => each.mode === 'lines')")
    lines = {each["name"]: each["line"] for each in drawn if each["name"] != "halo"}
    thin, bound = lines["infinite noise, finite d"], lines["mixed | lazy, finite d"]
    assert thin["width"] < bound["width"]
    assert thin["dash"] not in ("solid", bound["dash"], lines["mixed | lazy, asymptotic"]["dash"])


def test_the_distance_draws_its_levels_and_says_which(browser, tmp_path):
    axes = {"gamma_sigma2": np.linspace(-3, 0.5, 8).round(3).tolist(), "gamma_w": [0.5, 1.0, 1.5, 2.0]}
    config = {
        "name": "apart",
        "task": {"dimension": 8, "rank": 2},
        "grid": axes,
        "record": {"compare": "self_consistent"},
    }
    train_here(parse_config(config), tmp_path / "r")
    results = load(tmp_path / "r")
    (tmp_path / "e.html").write_text(build(results), encoding="utf-8")
    opened = Explorer(browser, tmp_path / "e.html")
    opened.choose("panel", "distance")
    (levels,) = opened.script("return document.getElementById('diagram').data.filter((each) => each.name === 'levels')")
    cells = cells_of(results.runs, Window.of(results.axes), find_panel("distance", Cuts(), results.runs), Cuts())
    inside = [level for level in (-7.0, -4.0, 0.0) if np.nanmin(cells.numbers) < level < np.nanmax(cells.numbers)]
    sides = [np.where(np.isfinite(cells.numbers), cells.numbers < level, np.nan) for level in inside]
    edges = [each for side in sides for each in edge_segments(side, Window.of(results.axes)).tolist()]
    assert len(levels["x"]) == 3 * len(edges) > 0
    assert f"steps at {', '.join(f'{level:g}'.replace('-', '−') for level in inside)}" in opened.text("key")
    assert opened.complaints() == []


def test_the_frame_is_the_same_with_and_without_a_colour_bar(explorer):
    boxes = set()
    for panel in ("regime", "test-error", "status", "final-time"):
        explorer.choose("panel", panel)
        boxes.add(tuple(map(round, explorer.script(TEXTS)[0])))
    assert len({(right - left, bottom - top) for left, top, right, bottom, _ in boxes}) == 1


def test_a_picture_of_what_is_seen_is_saved_without_the_network(browser, explorer, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    explorer.choose("panel", "test-error")
    explorer.requests()
    explorer.browser.find_element("id", "save").click()
    explorer.wait(lambda: "Saved" in explorer.text("saved") and list(tmp_path.glob("*.png")))
    (file,) = tmp_path.glob("*.png")
    assert file.name.endswith("-test-error.png")
    explorer.wait(lambda: file.read_bytes()[-8:-4] == b"IEND")
    pixels = imread(file)
    width = explorer.script("return document.getElementById('diagram').clientWidth")
    assert pixels.shape[1] > 4 * width  # two halves, at twice their size
    left, right = pixels[:, : pixels.shape[1] // 2, :3], pixels[:, pixels.shape[1] // 2 :, :3]
    assert all((half.std(axis=-1) > 0.05).mean() > 0.005 for half in (left, right))  # colours on both
    assert (pixels[[0, -1]][..., :3] == 1).all()  # on white paper
    assert all(url.startswith(("data:", "blob:")) for url in explorer.requests())
    explorer.hover(0, 4, click=True)


def test_in_a_dark_room_the_paper_is_dark_and_what_is_written_on_it_light(explorer):
    def luminance(color):
        """Of #fff, #ffffff or rgb(255, 255, 255): 1."""
        digits = "".join(2 * each for each in color[1:]) if len(color) == 4 else color[1:]
        hexadecimal = [int(digits[i : i + 2], 16) for i in (0, 2, 4)] if color.startswith("#") else []
        values = hexadecimal or [float(each) for each in re.findall(r"[\d.]+", color)[:3]]
        return np.dot([0.2126, 0.7152, 0.0722], values) / 255

    told = """const style = getComputedStyle(document.body);
        const layout = document.getElementById("diagram")._fullLayout;
        return [style.backgroundColor, style.color, layout.paper_bgcolor, layout.font.color, layout.plot_bgcolor];"""
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    explorer.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        explorer.wait(lambda: luminance(explorer.script(told)[2]) < 0.2)
        page, ink, paper, font, plot = map(luminance, explorer.script(told))
        assert max(page, paper) < 0.15 < 0.7 < min(ink, font, plot)
    finally:
        explorer.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    explorer.wait(lambda: luminance(explorer.script(told)[2]) > 0.99)


def many(page, across, up):
    """A page of one facet, as one of so many cells whose runs repeat those that it has."""
    data = data_of(page)
    runs, count = data["count"], across * up

    def repeated(form):
        return {"each": [each for each, _ in zip(cycle(column_of(form, runs)), range(count), strict=False)]}

    for axis, size in (("x", across), ("y", up)):
        edges = np.linspace(data[axis]["edges"][0], data[axis]["edges"][-1], size + 1)
        places = (edges[1:] + edges[:-1]) / 2
        values = [f"{each:g}" for each in places]
        data[axis] |= {"values": values, "positions": places.tolist(), "edges": edges.tolist(), "few": False}
    x, y = (each.ravel().tolist() for each in np.meshgrid(np.arange(across), np.arange(up)))
    data |= {
        "count": count,
        "runs": {name: repeated(form) for name, form in data["runs"].items()},
        "theory": {name: repeated(form) for name, form in data["theory"].items()},
        "place": {"x": {"each": x}, "y": {"each": y}, "facet": {"all": 0}},
        "trajectories": [data["trajectories"][run % runs] for run in range(count)],
    }
    before, _, after = page.partition('id="data">')
    return before + 'id="data">' + as_json(data) + after[after.index("</script>") :]


def test_20000_runs_are_drawn_within_3_seconds(browser, tmp_path, monkeypatch):
    monkeypatch.setattr("linphase.pages.explorer_trajectories.BUDGET", BUDGET / 20_000 * 6)
    grid = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.5, 1.5]}
    config = parse_config({"name": "few", "task": {"dimension": 8, "rank": 2}, "grid": grid})
    few = filled(tmp_path / "r", config.predicted())
    file = tmp_path / "e.html"
    file.write_text(many(build(few), 142, 141), encoding="utf-8")
    assert file.stat().st_size > 15e6
    took = []
    for _ in range(3):  # the processors may be shared
        opened = Explorer(browser, file)
        assert opened.text("summary") == "linphase explorer: 20022 cells, 20022 runs"
        took.append(opened.script("return performance.getEntriesByType('navigation')[0].domComplete"))
    assert min(took) < 3000
    assert opened.complaints() == []


def test_a_narrow_window_stacks_the_two_halves(explorer):
    place = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    assert abs(explorer.script(place, "left") - explorer.script(place, "right")) < 2
    with window(explorer, 480, 800):
        explorer.wait(lambda: explorer.script(place, "right") > explorer.script(place, "left") + 300)
        explorer.wait(lambda: explorer.script("return document.documentElement.scrollWidth") <= 480)


def test_every_control_has_a_name(explorer):
    unnamed = explorer.script(
        """return [...document.querySelectorAll("select, input, button")].filter((each) =>
        !(each.labels?.length || each.ariaLabel || each.textContent)).map((each) => each.id);"""
    )
    assert unnamed == []
    assert re.search("[Aa]rrow keys", explorer.script("return document.getElementById('frame').ariaLabel"))


def test_cells_of_unequal_size_are_met_hovered_and_framed_as_a_whole(browser, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    def config(**grid):
        return parse_config({"name": "extended", "task": {"dimension": 8, "rank": 2}, "grid": grid}).predicted()

    filled(tmp_path / "r", config(gamma_sigma2=[-3.0, -1.0, 1.0], gamma_w=[0.5, 1.5, 2.5]))
    grown = filled(tmp_path / "r", config(gamma_sigma2=[-1.0, -0.6, -0.2], gamma_w=[1.5, 1.7, 1.9]))
    (tmp_path / "e.html").write_text(build(grown), encoding="utf-8")
    opened = Explorer(browser, tmp_path / "e.html")
    assert opened.text("summary") == "linphase explorer: 17 cells, 17 runs"
    assert sum(opened.counts()[0].values()) == 17
    frame = "return document.getElementById('diagram').layout.shapes.find((each) => each.name === arguments[0])"
    # Below gamma_w = 1.5 the places -0.6 and -0.2 belong to -1, where c = 8^-1 2.
    opened.hover(3, 0)
    opened.wait(lambda: "width 2, c = 0.25" in opened.text("tip"))
    opened.hover(3, 0, click=True)
    opened.wait(lambda: "= −1, γw = 0.5" in opened.text("cell-title"))
    window = Window.of(grown.axes)
    path = opened.script(frame, "chosen")["path"]
    across, up = np.array(re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", path), dtype=float).T
    assert (across.min(), across.max()) == pytest.approx(window.x.edges[[1, 4]])
    assert (up.min(), up.max()) == pytest.approx(window.y.edges[[0, 1]])
    assert path.count("M") == 3 + 3 + 2  # no side within the cell
    opened.script("document.getElementById('save').focus()")
    ActionChains(browser).send_keys(Keys.TAB, Keys.HOME, *[Keys.ARROW_RIGHT] * 2).perform()
    assert "γ_σ² = 1, γ_w = 0.5" in opened.text("here")  # two steps from -3
    assert opened.complaints() == []

"""`linphase report`: what stands in it, in Markdown and in HTML, and that no string of the data becomes markup."""

import tomllib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram import versus
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import known_panels
from linphase.diagram.versus import Among, deviations, paired, predicted_runs
from linphase.errors import LinphaseError
from linphase.figures.drawing import FIGURES
from linphase.model.regime import Cuts
from linphase.pages import report_findings
from linphase.pages.markup import Code, Folded, Heading, Picture, Table, Text, html, markdown
from linphase.pages.report import contents
from linphase.pages.report_findings import panels_of, theory
from linphase.runs.training import train_spec
from linphase.store.columns import Column
from linphase.store.results import load
from linphase.store.rows import failure_row
from linphase.store.writing import create, write_failures
from tests.processes import train_here

HOSTILE = "<script>alert('x')</script> | a `b` **c** _d_ [e](f) & \\ $g$ ```"
CONFIG = {
    "name": "tiny",
    "task": {"dimension": 8, "rank": 2},
    "grid": {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.0, 1.5, 2.0], "replicates": 2},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A small sweep in a directory of a hostile name, with a failed attempt of a hostile error."""
    path = tmp_path_factory.mktemp("results") / "<script>tiny|"
    train_here(parse_config(CONFIG), path)
    create(path, parse_config({**CONFIG, "grid": {**CONFIG["grid"], "gamma_w": [2.5]}}))
    spec = load(path).missing()[0]
    write_failures(path, [failure_row(spec, HOSTILE, f"Traceback\n```\n{HOSTILE}")])
    return load(path)


@pytest.fixture(scope="module")
def blocks(results):
    return contents(results, panels=["test-error", "distance"], against="theory")


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def cells(table: Table, row: int) -> dict[str, str]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def tables_under(blocks, title: str) -> list[Table]:
    """The tables between a heading and the next."""
    first = next(i for i, block in enumerate(blocks) if isinstance(block, Heading) and block.text == title)
    found = []
    for block in blocks[first + 1 :]:
        if isinstance(block, Heading):
            break
        found += [block] if isinstance(block, Table) else []
    return found


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_a_report_has_a_section_for_everything_asked(blocks):
    sections = [block.text for block in blocks if isinstance(block, Heading)]
    assert sections == [
        "Sweep <script>tiny|",
        "Regimes",
        "Smallest test errors",
        "Panels",
        "Measured boundaries",
        "Deviations from theory",
        "Failures",
        "Provenance",
        "Configuration",
    ]
    pictures = [block.name for block in blocks if isinstance(block, Picture)]
    assert pictures == ["regime", "test-error", "measured-boundaries", "test-error-against-theory"]
    assert all(block.png.startswith(b"\x89PNG") for block in blocks if isinstance(block, Picture))


def test_smallest_test_errors_are_told_by_regime_beside_their_baselines(results, blocks):
    tables = [block for block in blocks if isinstance(block, Table)]
    (by_regime,) = (each for each in tables if each.columns[0] == "regime" and "benefit" in each.columns)
    regime, runs, median, *_ = by_regime.rows[0]
    part = results.runs[outcomes(results.runs) == regime]
    assert (int(runs), float(median)) == (len(part), pytest.approx(part["min_test_error"].median(), rel=5e-3))
    (baselines,) = (each for each in tables if each.columns[0] == "test error of")
    assert [float(row[1]) for row in baselines.rows] == pytest.approx(
        [results.runs[f"{name}_test_error"].median() for name in ("optimal", "balanced", "lazy", "zero")], rel=5e-3
    )


def test_without_a_choice_there_is_one_figure_of_panels_and_no_prediction(results, monkeypatch):
    monkeypatch.setattr(versus, "train_spec", lambda *_: pytest.fail("a run was predicted"))
    blocks = contents(results)
    assert [block.name for block in blocks if isinstance(block, Picture)] == ["regime", "all", "measured-boundaries"]


@pytest.mark.slow
def test_all_draws_every_panel_by_itself_or_says_why_not(results):
    blocks = contents(results, panels=["all"])
    drawn = {block.caption for block in blocks if isinstance(block, Picture)}
    absent = {name: why for table in tables_under(blocks, "Panels") for name, why in table.rows}
    titles = {name: " ".join(panel.title.split()) for name, panel in known_panels().items() if name != "regime"}
    titles |= {name: FIGURES[name].__doc__.partition("\n")[0] for name in ("evidence", "collapse", "trajectories")}
    assert not [name for name, title in titles.items() if title not in drawn and name not in absent]
    assert not [name for name in absent if titles[name] in drawn]
    assert all("sweep" in why for why in absent.values())


def test_the_folded_configuration_is_short_and_describes_the_same_runs(results, blocks):
    folded = [block for block in blocks if isinstance(block, Folded)]
    codes = [block.text for fold in folded for block in fold.blocks if isinstance(block, Code)]
    assert {parse_config(tomllib.loads(code)).digest for code in codes} == {
        parse_config(config, stored=True).digest for config in results.configs
    }
    assert all("[grid]" in code and "[record]" not in code for code in codes)
    assert html(blocks).count("<details>") == html(blocks).count("</details>") == len(folded) == 2


def test_regimes_and_statuses_are_counted(results, blocks):
    regimes, statuses = tables_under(blocks, "Regimes")
    finished = results.runs[results.runs["status"] == "converged"]
    counted = {row[0]: int(row[1]) for row in regimes.rows}
    assert sum(counted.values()) == len(results.runs) == 19
    assert counted["lazy"] == finished["regime"].eq("lazy").sum()
    assert {row[0]: row[1] for row in statuses.rows} == {"converged": "18", "failed": "1"}


def test_tables_of_a_further_axis_are_named_by_its_values_in_plain_text(tmp_path):
    grid = {"gamma_sigma2": [-2, -1], "gamma_w": [1, 2], "init.richness": [1e-4, 1.0]}
    train_here(parse_config({**CONFIG, "dynamics": {"kind": "modes"}, "grid": grid}), tmp_path / "r")
    texts = [block.text for block in contents(load(tmp_path / "r")) if isinstance(block, Text)]
    assert {"richness = 0.0001", "richness = 1"} <= set(texts)


def test_boundaries_come_with_their_intervals(blocks):
    names = [block.text for block in blocks if isinstance(block, Text)]
    assert {"mixed | lazy", "mixed | balanced", "learning order = 2", "benefit = 1/2"} <= set(names)
    tables = tables_under(blocks, "Measured boundaries")
    assert len(tables) == 4
    for table in tables:
        rows = [cells(table, i) for i in range(len(table.rows))]
        assert any(row["width"] == "64" for row in rows)
        assert all(row["gamma_sigma2"] not in ("", "nan") for row in rows)


def test_provenance_names_the_versions(blocks):
    (table,) = tables_under(blocks, "Provenance")
    assert any(np.__version__ in row for row in table.rows)
    assert all(row[2] == "18" for row in table.rows)


def test_every_run_is_paired_with_its_own_prediction(results):
    predicted = predicted_runs([parse_config(CONFIG)])
    pairs = paired(results.runs, predicted)
    assert len(pairs) == 18
    apart = deviations(pairs, "final_train_error", share=False)
    by_hand = abs(pairs["final_train_error"] - pairs["final_train_error_predicted"])
    by_hand /= pairs["final_train_error_predicted"]
    np.testing.assert_allclose(apart, by_hand)
    itself = paired(predicted.assign(status="converged"), predicted)
    assert not deviations(itself, "min_test_error", share=False).any()


def test_of_very_many_runs_a_coarser_grid_is_predicted_and_said(results, monkeypatch):
    trained = []
    monkeypatch.setattr(versus, "train_spec", lambda spec, task: trained.append(spec) or train_spec(spec, task))
    monkeypatch.setattr(report_findings, "PREDICTED", 12)
    found = list(theory(results, ["regime"], Cuts()))
    told = [block.text for block in found if isinstance(block, Text)]
    assert any("of 24 runs 6 are held against theirs: 3 of 3 values of gamma_sigma2, 2 of 4" in each for each in told)
    assert len(trained) == 6
    assert {spec.replicate for spec in trained} == {0}
    assert any(isinstance(block, Picture) for block in found)


@pytest.mark.parametrize("most", [1, 7, 100, 1000, 10**6])
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (100, 100)])
def test_the_coarser_grid_has_as_many_runs_as_are_wanted_at_most(shape, most):
    axes = {"gamma_sigma2": range(shape[0]), "width": range(shape[1]), "task.rank": [1, 2]}
    among = Among.of(axes, 10, most)
    cells = 2 * len(among.axes["gamma_sigma2"]) * len(among.axes["width"])
    assert cells * among.replicates <= max(most, 2)
    assert among.replicates == min(10, max(1, most // cells))
    if most >= 2 * shape[0] * shape[1]:
        assert among.axes == {"gamma_sigma2": range(shape[0]), "width": range(shape[1])}


def test_the_coarser_grid_is_of_starts_whichever_axes_span_the_diagram(tmp_path, monkeypatch):
    grid = {"gamma_sigma2": [-2.0, -1.5, -1.0], "gamma_w": 1.5, "task.noise": [0.5, 1.0]}
    train_here(parse_config({**CONFIG, "grid": {**grid, "replicates": 2}}), tmp_path / "r")
    monkeypatch.setattr(report_findings, "PREDICTED", 8)
    loaded = load(tmp_path / "r")
    assert list(loaded.axes)[:2] == ["gamma_sigma2", "task.noise"]
    told = [block.text for block in theory(loaded, ["regime"], Cuts()) if isinstance(block, Text)]
    assert any("of 12 runs 4 are held against theirs: 2 of 3 values of gamma_sigma2, 1 of 1" in each for each in told)


def test_predictions_deviate_from_themselves_in_nothing(results):
    for kind in ("modes", "self_consistent"):
        of_theory = replace(results, runs=results.runs.assign(kind=kind))
        assert list(theory(of_theory, ["regime"], Cuts()))[1:] == [Text("None: these runs are theory's own.")]


def test_runs_of_a_kind_that_is_not_declared_here_count_as_trained(results):
    strange = replace(results, runs=results.runs.assign(kind="heavy_ball"))
    assert any(isinstance(block, Table) for block in theory(strange, [], Cuts()))


def test_nothing_of_the_data_becomes_html(blocks):
    page = Page(html(blocks))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert HOSTILE in page.text
    assert "Sweep <script>tiny|" in page.text


def test_the_html_needs_no_other_file(blocks):
    page = Page(html(blocks))
    sources = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert len(sources) > 5
    assert all(value.startswith(("data:image/png;base64,", "#")) for value in sources)
    anchors = {attributes.get("id") for _, attributes in page.tags}
    assert {value[1:] for value in sources if value.startswith("#")} <= anchors


def test_numbers_are_aligned_right_and_pictures_have_captions(blocks):
    tags = Page(html(blocks)).tags
    aligned = [attributes for tag, attributes in tags if tag == "td" and attributes == {"class": "number"}]
    tables = [block for block in blocks if isinstance(block, Table)]
    assert len(aligned) == sum(len(set(table.numbers)) * len(table.rows) for table in tables) > 0
    pictures = [block for block in blocks if isinstance(block, Picture)]
    names = [tag for tag, _ in tags]
    assert names.count("figure") == names.count("figcaption") == names.count("img") == len(pictures) > 0
    assert [attributes["alt"] for tag, attributes in tags if tag == "img"] == [block.caption for block in pictures]


def test_nothing_of_the_data_becomes_markdown(blocks):
    """Read as Markdown with HTML allowed, every cell and heading is the text it was made from."""
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown(blocks, "a b")))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "a", "em", "strong", "del"}
    assert page.text.count(HOSTILE) == 2  # in the table of errors and in the traceback
    assert "Sweep <script>tiny|" in page.text
    count = sum(len(block.columns) * len(block.rows) for block in blocks if isinstance(block, Table))
    assert [tag for tag, _ in page.tags].count("td") == count
    assert "a%20b/test-error.png" in [attributes.get("src") for tag, attributes in page.tags if tag == "img"]


@pytest.mark.parametrize(
    "text", ["- a", "1. a", "+ a", "= a", "# a", "> a", "a_b_c", "_a_", "~~a~~", "<b>", "&lt;", "a  b"]
)
def test_a_paragraph_reads_as_it_was_written(text):
    page = Page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown([Text(text)], "")))
    assert [tag for tag, _ in page.tags] == ["p"]
    assert page.text.strip() == " ".join(text.split())
    assert Page(html([Text(text)])).text.strip().endswith(page.text.strip())


def test_the_command_writes_both_documents_with_their_pictures(results, blocks, tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr("linphase.pages.report.contents", lambda _, **options: asked.update(options) or blocks)
    options = ("--panel", "regime", "--panel", "rank", "--against", "theory", "--bulk-cut", "0.25")
    done = linphase("report", results.path, "-o", tmp_path / "out", *options)
    assert done.exit_code == 0, done.output
    assert asked == {"panels": ("regime", "rank"), "against": "theory", "cuts": Cuts(bulk=0.25)}
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!DOCTYPE html>")
    linked = {name.name for name in (tmp_path / "out" / "report_files").iterdir()}
    assert linked == {f"{block.name}.png" for block in blocks if isinstance(block, Picture)}
    text = (tmp_path / "out" / "report.md").read_text()
    assert all(f"](report_files/{name})" in text for name in linked)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["report.html", "report.md", "report_files"]


@pytest.mark.slow
def test_the_same_results_give_the_same_report(results, tmp_path):
    for name in ("a.html", "b.html"):
        assert linphase("report", results.path, "-o", tmp_path / name, "--panel", "regime").exit_code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_panel_that_only_the_files_tell_of_is_drawn_under_a_name_that_is_no_path(results, monkeypatch):
    column = Column("entropy", "float64", "", "an entropy", panel="../entropy", title=HOSTILE)
    told = replace(results, columns={**results.columns, "entropy": column})
    monkeypatch.setattr("linphase.pages.report_findings.draw", lambda results, name, cuts: Figure())
    _, picture = panels_of(told, ["../entropy"], Cuts())
    assert isinstance(picture, Picture)
    assert (picture.name, picture.caption) == ("-entropy", HOSTILE)


def test_a_directory_without_a_finished_run_is_reported_too(tmp_path):
    create(tmp_path / "r", parse_config(CONFIG))
    done = linphase("report", tmp_path / "r", "-o", tmp_path / "r.md")
    assert done.exit_code == 0
    assert "0 of 18 runs are done" in (tmp_path / "r.md").read_text()


def test_a_sweep_of_which_all_runs_failed_is_reported_too(results):
    failed = replace(results, runs=results.runs[results.runs["status"] == "failed"])
    told = contents(failed, panels=["distance"])
    assert any(isinstance(block, Table) and HOSTILE in block.rows[0] for block in told)


@pytest.mark.parametrize(
    ("output", "found"),
    [("out.pdf", ".md or .html is required"), ("no/such/place.md", "an existing directory is required")],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(results, tmp_path, output, found):
    done = linphase("report", results.path, "-o", tmp_path / output)
    assert done.exit_code == 2
    assert found in done.output


def test_an_unknown_panel_is_refused_with_the_known_ones(results, tmp_path):
    done = linphase("report", results.path, "-o", tmp_path / "r.md", "--panel", "nothing")
    assert done.exit_code == 2
    assert "test-error" in done.output
    with pytest.raises(LinphaseError, match="found 'nothing'"):
        contents(results, panels=["nothing"])

"""`linphase boundary --fit` and `linphase plot --along KEY --fit`."""

import json
from io import StringIO

import pandas as pd
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.scaling import laws_of_boundaries, laws_of_panel
from linphase.figures.along import MOST, along
from linphase.store.results import load
from tests.figures.made import artists, filled

GRID = {"task.dimension": [8, 12, 16], "gamma_sigma2": [-2.4, -2.2, -2.0, -1.8, -1.6, -1.4, -1.2], "gamma_w": [2.5]}


def config(name, *, independent=True, replicates=3):
    told = {"name": name, "task": {"rank": 1, "signal_norm": 1.0}, "grid": GRID | {"replicates": replicates}}
    return parse_config(told | {"run": {"independent_dimensions": independent}})


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    """Trained networks at three dimensions, and theory's of dependent ones."""
    there = tmp_path_factory.mktemp("sweeps")
    filled(there / "trained", config("trained"))
    filled(there / "dependent", config("dependent", independent=False).predicted())
    return there


@pytest.fixture
def linphase(sweeps, monkeypatch):
    monkeypatch.chdir(sweeps)

    def run(*arguments, code=0):
        done = CliRunner().invoke(main, [str(each) for each in arguments])
        assert done.exit_code == code, done.output
        return done

    return run


def table(text):
    return pd.read_csv(StringIO(text), sep="\t")


def test_the_boundaries_of_trained_networks_go_as_d_and_its_root(linphase):
    done = linphase("boundary", "trained", "--criterion", "balance", "--fit", "task.dimension")
    found = table(done.stdout).set_index("of")
    assert found.loc["mixed | lazy", "points"] == "3: 8 to 16"
    for name, exponent in (("mixed | lazy", 1.0), ("mixed | balanced", 0.5)):
        low, high = (float(each) for each in found.loc[name, "95 %"].split(" to "))
        assert low < exponent < high < low + 1
    assert done.stderr == ""


def test_data_hold_what_the_library_says(linphase, tmp_path):
    told = json.loads(linphase("boundary", "trained", "--fit", "dimension", "--json").stdout)
    laws = laws_of_boundaries(load("trained"), "task.dimension")
    assert [(each["of"], each["slope"]) for each in told] == [
        (law.quantity, law.line and law.line.slope) for law in laws
    ]
    assert [point["x"] for point in told[0]["points"]] == [8, 12, 16]
    linphase("boundary", "trained", "--fit", "dimension", "-o", tmp_path / "laws.csv")
    lines = pd.read_csv(tmp_path / "laws.csv")
    assert len(lines) == sum(len(law.points) for law in laws)
    assert set(lines["replicates"]) == {3}


def test_a_figure_of_boundaries_says_which_and_their_slopes(linphase, tmp_path):
    done = linphase("boundary", "trained", "--fit", "dimension", "-o", tmp_path / "laws.svg")
    assert done.stdout.splitlines()[-1] == f"Figure: {tmp_path / 'laws.svg'}"
    assert "mixed | lazy: " in (tmp_path / "laws.svg").read_text()


def test_a_column_along_the_dimension_is_drawn_with_a_line_a_cell(linphase):
    done = linphase("plot", "trained", "--along", "task.dimension", "--fit", "--panel", "test-error")
    assert done.stdout.splitlines()[-1] == "Figure: trained/test-error-fit-along-task.dimension.png"
    found = table(done.stdout.rpartition("Figure")[0])
    assert found["held"].tolist() == [f"gamma_sigma2 = {each:g}" for each in GRID["gamma_sigma2"]]
    assert found["theory"].notna().all()
    laws = laws_of_panel(load("trained"), "test-error", "task.dimension")
    figure = along(laws, label="smallest test error")
    above, below = figure.axes
    assert len(artists(above, "line")) == len(artists(above, "theory")) == len(artists(below, "between")) == 7
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "slope with 95 % interval"
    assert len(legend.get_texts()) == 8  # and theory


def test_where_and_y_choose_the_lines(linphase):
    where = ("--where", "gamma_sigma2=-1.6", "-o", "one.png")
    found = linphase("plot", "trained", "--along", "dimension", "--fit", "--panel", "test-error", *where)
    assert len(table(found.stdout.rpartition("Figure")[0])) == 1
    found = linphase("plot", "trained", "--along", "width/d", "--fit", "--panel", "kernel-distance", "--y", "dimension",
                     "--where", "gamma_sigma2=-1.6", "-o", "other.png")  # fmt: skip
    assert table(found.stdout.rpartition("Figure")[0])["held"].tolist() == [f"dimension = {d}" for d in (8, 12, 16)]


def test_dimensions_that_share_draws_are_warned_of_once(linphase):
    for arguments in (("boundary", "dependent", "--fit", "dimension"),
                      ("plot", "dependent", "--along", "dimension", "--fit", "--panel", "benefit")):  # fmt: skip
        assert linphase(*arguments).stderr.count("run.independent_dimensions is false") == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["--along", "dimension", "--fit"], "--fit: --panel with a panel of numbers is required"),
    (["--along", "dimension", "--panel", "test-error", "--x", "c"], "--x: has no meaning with --along"),
    (["--along", "dimension", "--panel", "test-error", "--terminal"], "--terminal: has no meaning with --along"),
    (["--along", "gamma_sigma2", "--fit", "--panel", "test-error"], "which is an exponent. Use c"),
    (["--along", "dimesion", "--panel", "test-error"], "did you mean dimension?"),
    (["--along", "dimension", "--panel", "nonsense"], "panel must be one of"),
    (["--along", "dimension", "--fit", "--panel", "regime"], "shows no numbers"),
    (["--along", "dimension", "--fit", "--panel", "test-error-spread"], "shows no numbers"),
    (["--along", "dimension", "--panel", "evidence"], "is a figure of its own, so no curve"),
    (["--along", "gamma_w"], "along: an axis with several values is required, found gamma_w = 2.5 alone"),
])  # fmt: skip
def test_what_cannot_be_drawn_is_one_message_and_no_file(linphase, sweeps, arguments, message):
    before = sorted(sweeps.rglob("*"))
    done = linphase("plot", "trained", *arguments, code=2)
    assert message in done.stderr
    assert (done.stderr.count("\n"), done.stdout) == (1, "")
    assert sorted(sweeps.rglob("*")) == before


@pytest.mark.parametrize(("axis", "message"), [
    ("gamma_w", "which is an exponent. Use width/d"),
    ("task.rank", "fit: must be an axis of the sweep"),
    ("c", "a boundary lies at one c"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_one_message(linphase, axis, message):
    done = linphase("boundary", "trained", "--fit", axis, "-o", "never.csv", code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_too_many_laws_are_refused_with_the_remedy(sweeps):
    laws = laws_of_panel(load(sweeps / "trained"), "test-error", "task.dimension")
    with pytest.raises(Exception, match=rf"1 to {MOST} of them, found 21. Draw some with --where"):
        along(laws * 3, label="")

"""A results directory that was extended by values on its axes: cells of unequal size, and none of them missing."""

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import Window, split_facets
from linphase.diagram.mesh import mesh_of
from linphase.diagram.sampling import Sample
from linphase.figures.drawing import draw
from linphase.figures.trajectory_map import trajectory_map
from linphase.store.results import load
from linphase.sweeps.sweeping import sweep
from tests.figures.made import artists, filled, legend_labels, unfinished
from tests.pages.packed import data_of, owners_of, places_of

COARSE = {"gamma_sigma2": [-2.0, -1.0, 0.0, 1.0], "gamma_w": [0.5, 1.5, 2.5]}
DENSE = {"gamma_sigma2": [-1.0, -0.6, -0.2], "gamma_w": [1.5, 1.9, 2.3]}
CELLS = 12 + 9 - 1  # (-1, 1.5) is in both


def config(**grid):
    return parse_config({"name": "extended", "task": {"dimension": 8, "rank": 2}, "grid": grid}).predicted()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("extended") / "r"
    filled(path, config(**COARSE))
    return filled(path, config(**DENSE))


@pytest.fixture(scope="module")
def lacking(tmp_path_factory):
    """Without the cell (0, 0.5), whose runs were never finished."""
    path = tmp_path_factory.mktemp("extended") / "r"
    filled(path, config(**COARSE), lambda spec: dict(spec.start) != {"gamma_sigma2": 0.0, "gamma_w": 0.5})
    return filled(path, config(**DENSE))


def linphase(*arguments):
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


def counts(labels):
    found = [re.fullmatch(r"(.*) \((\d+)\)", label) for label in labels]
    return {each[1]: int(each[2]) for each in found if each and "criteria" not in each[1]}


def page(results, file):
    linphase("explore", results.path, "-o", file)
    return data_of(file.read_text())


def test_no_figure_has_a_missing_cell_and_the_legend_counts_those_asked_for(results):
    assert "0 missing" in linphase("status", results.path)
    with unfinished():
        for name in ("regime", "test-error", "all", "evidence", "boundaries"):
            figure = draw(results, name)
            assert not [artist for ax in figure.axes for artist in artists(ax, "missing")]
            assert "missing" not in " ".join(legend_labels(figure))
        compared = draw(results, "regime", against="theory")
        assert f"difference\n0 of {CELLS} cells" in [ax.get_title() for ax in compared.axes]
        assert sum(counts(legend_labels(draw(results, "regime"))).values()) == CELLS


def test_a_part_of_it_is_drawn_so_too(results):
    part = linphase("plot", results.path, "--terminal", "--where", "gamma_w=1.5")
    assert "missing" not in part
    assert sum(map(int, re.findall(r"[LMB?] [a-z ]+\((\d+)\)", part))) == 6
    assert "missing" not in linphase("plot", results.path, "--terminal", "--x", "c")


def test_a_run_that_is_missing_is_drawn_as_far_as_its_cell_reaches_and_counted_once(lacking):
    with unfinished():
        figure = draw(lacking, "regime")
    assert counts(legend_labels(figure))["missing"] == 1
    assert sum(counts(legend_labels(figure)).values()) == CELLS
    assert len(artists(figure.axes[0], "missing")[0].get_segments()) == 2  # one cross
    lines = linphase("plot", lacking.path, "--terminal").splitlines()
    assert "missing (1)" in "".join(lines)
    drawn = [line.partition("|")[2].count(".") for line in lines if "|" in line]
    assert drawn == [0] * (len(drawn) - 1) + [2 * 4]  # at 0 and beside it at -0.2, four characters each


def test_the_explorer_tells_of_every_place_the_cell_that_covers_it(results, lacking, tmp_path):
    data = page(results, tmp_path / "e.html")
    asked = set(places_of(data))
    owners = owners_of(data)
    assert owners.min() >= 0  # nothing lies beyond
    itself = np.arange(owners.size).reshape(owners.shape)
    assert set(zip(*map(np.ndarray.tolist, np.nonzero(owners == itself)), strict=True)) == asked
    assert {divmod(owner, owners.shape[1]) for owner in owners.ravel().tolist()} == asked
    assert len(asked) == CELLS
    assert (owners_of(page(lacking, tmp_path / "l.html")) == owners).all()  # a missing run takes in as much


def test_the_report_has_no_missing_cell(results, tmp_path):
    linphase("report", results.path, "--panel", "regime", "-o", tmp_path / "r.md")
    assert "missing" not in (tmp_path / "r.md").read_text().replace("0 are missing", "")


def test_trajectories_lie_in_the_cells_that_cover_their_places(results):
    trajectory = results.trajectory(results.runs["run_id"].iloc[0])
    places = (1, 2), (0, 2)  # (-0.6, 1.5), and beside -1
    kept = {Sample("", place, (0.1, 0.1, 0.2, 0.2)): trajectory for place in places}
    with unfinished():
        figure = trajectory_map(results.runs, results.axes, kept, mesh=mesh_of(results))
    for row, column in places:
        assert artists(figure.axes[0], f"cell {row} {column}")


def test_a_sweep_of_one_grid_is_drawn_as_without_a_mesh(tmp_path):
    one = filled(tmp_path / "r", config(**COARSE))
    found = mesh_of(one)
    assert len(found.grids) == 1
    assert len(found.asked) == 12
    again = replace(one, runs=one.runs.iloc[1:])
    with unfinished():
        assert counts(legend_labels(draw(again, "regime")))["missing"] == 1


def test_a_refined_sweep_is_drawn_without_gaps_and_counts_its_vertices(tmp_path):
    wide = {"gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 5}, "gamma_w": {"start": 0.0, "stop": 2.8, "num": 5}}
    told = {"name": "refined", "task": {"dimension": 20, "rank": 3}, "grid": wide, "refine": {"levels": 3}}
    sweep(parse_config(told | {"dynamics": {"kind": "modes"}}), tmp_path / "r")
    refined = load(tmp_path / "r")
    found = mesh_of(refined)
    assert [len(grid["gamma_sigma2"]) for grid in found.grids] == [5, 9, 17, 33]
    (facet,) = split_facets(refined.runs, refined.axes)
    reach = found.reach(Window.of(refined.axes), facet)
    assert reach.asked.sum() == len(refined.runs) < reach.asked.size / 2
    assert (reach.owners >= 0).all()
    with unfinished():
        drawn = draw(refined, "regime")
    assert not artists(drawn.axes[0], "missing")
    assert sum(counts(legend_labels(drawn)).values()) == len(refined.runs)


def test_contours_are_not_drawn_through_cells_that_nobody_asked_for(results):
    done = CliRunner().invoke(main, ["plot", str(results.path), "--look", "figure2"], catch_exceptions=False)
    assert done.exit_code == 2
    assert "a sweep of every combination of the two axes is required" in done.output

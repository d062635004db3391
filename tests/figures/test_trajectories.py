"""`linphase plot --panel trajectories`: one cell over time, and small diagrams over the phase diagram."""

import tomllib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.axes import select
from linphase.diagram.looks import LOOKS
from linphase.diagram.sampling import sampled_runs
from linphase.figures.evolution import title_of, trajectory_figure
from linphase.figures.fitting import Style
from linphase.figures.trajectory_map import trajectory_map
from linphase.runs.beside import crossings, theory_beside
from linphase.store.rows import task_of
from linphase.theory.mode import mode_value
from tests.figures.made import artist, artists, filled, legend_labels

CONFIG = """
name = "tiny"
[task]
dimension = 10
rank = 2
[grid]
gamma_sigma2 = [-2.5, -1.5, -0.5, 0.5]
gamma_w = [0.0, 1.5, 2.0, 2.5]
"task.noise" = [0.5, 1.0]
replicates = 2
"""


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "tiny"
    return filled(path, parse_config(tomllib.loads(CONFIG)).predicted())


@pytest.fixture(scope="module")
def path(results):
    return results.path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = tomllib.loads(CONFIG)
    config["grid"] = {"gamma_sigma2": [-2.0, 1.0], "gamma_w": [2.5]}
    return filled(tmp_path_factory.mktemp("results") / "trained", parse_config(config))


@pytest.fixture(scope="module")
def one_facet(results):
    return results, *select(results.runs, results.axes, {"noise": [1.0]})


def beside(run, trajectory):
    return theory_beside(task_of(run), int(run["width"]), run["threshold"], trajectory)


def figure_of(results, row):
    run = dict(results.runs.iloc[row])
    trajectory = results.trajectory(run["run_id"])
    return run, trajectory, trajectory_figure(
        trajectory,
        threshold=run["threshold"],
        rank=int(run["rank"]),
        crossings=crossings(trajectory, run["threshold"]),
        theory=beside(run, trajectory),
        title=title_of(run, run["regime"]),
    )  # fmt: skip


def test_the_title_of_a_run_without_a_rank_claims_no_outcome():
    run = {"gamma_sigma2": -1.0, "gamma_w": 2.0, "width": 25, "rank": 0, "status": "converged", "replicate": 0}
    assert title_of(run, "undefined").endswith("width 25")
    assert title_of(run | {"status": "step_limit"}, "undefined").splitlines()[1] == LOOKS["step_limit"].label
    assert title_of(run | {"rank": 1}, "undefined").endswith("no value")


@pytest.fixture(scope="module")
def active(trained):
    return figure_of(trained, 0)


# ------------------------------------------------------------------------------------------------------ one cell


def test_the_singular_values_stand_in_two_scales_over_one_axis_of_time_and_both_errors_below(active):
    run, trajectory, figure = active
    log, linear, errors = figure.axes
    assert (log.get_yscale(), linear.get_yscale(), errors.get_yscale()) == ("log", "linear", "log")
    assert log.get_xscale() == "log"
    assert log.get_xlim() == linear.get_xlim() == errors.get_xlim() == (trajectory.time[1], trajectory.time[-1])
    for ax in (log, linear):
        (line,) = artists(ax, "mode 2")
        np.testing.assert_allclose(line.get_ydata(), trajectory.singular_values[1:, 1])
        assert len([each for each in ax.lines if each.get_gid() in {f"mode {i}" for i in range(1, 11)}]) == 10
        (threshold,) = artists(ax, "threshold")
        assert threshold.get_ydata()[0] == run["threshold"]
    for name in ("train", "test"):
        (line,) = artists(errors, name)
        np.testing.assert_allclose(line.get_ydata(), getattr(trajectory, f"{name}_error")[1:])


def test_crossings_are_marked_where_the_signal_passes_the_threshold(active):
    run, trajectory, figure = active
    for ax in figure.axes[:2]:
        (marks,) = artists(ax, "crossings of the signal")
        np.testing.assert_allclose(marks.get_xdata(), trajectory.mode_times.crossing)
        assert set(marks.get_ydata()) == {run["threshold"]}
    for i, moment in enumerate(marks.get_xdata()):
        after = trajectory.time > moment
        assert (trajectory.singular_values[after, i] > run["threshold"]).all()
    assert [line.get_xdata()[0] for line in artists(figure.axes[2], "moment of crossing")] == list(marks.get_xdata())


def test_theory_lies_dashed_over_the_run_and_is_its_closed_form_from_zero(active):
    run, trajectory, figure = active
    S, c = trajectory.final_modes.target, run["threshold"]
    (line,) = artists(figure.axes[0], "mode 1, theory")
    assert line.is_dashed()
    t, s = line.get_data()
    np.testing.assert_allclose(s, mode_value(t, 0.0, S[0], c), rtol=1e-5)
    for name in ("train", "test"):
        (line,) = artists(figure.axes[2], f"{name}, theory")
        assert line.is_dashed()
    # Without theory's own fault at a finite width, as of a run that theory made, the two are one curve.
    errors = beside(run, trajectory)
    assert errors.train_error[-1] == pytest.approx(trajectory.train_error[-1], rel=1)


def test_theory_is_left_out_where_the_task_is_not_the_one_that_was_trained(trained):
    run = dict(trained.runs.iloc[0])
    trajectory = trained.trajectory(run["run_id"])
    assert beside(run | {"seed": 1}, trajectory) is None
    assert beside(run, trajectory) is not None


def test_a_lazy_run_says_that_its_threshold_is_above_the_linear_axis(trained):
    run, _, figure = figure_of(trained, 1)
    assert run["regime"] == "lazy"
    assert not len(artists(figure.axes[0], "crossings of the signal")[0].get_xdata())
    (told,) = artists(figure.axes[1], "threshold is above")
    assert "is above" in told.get_text()
    low, high = figure.axes[0].get_ylim()
    assert low < run["threshold"] < high


# ------------------------------------------------------------------------------------------------- many cells


def test_small_diagrams_stand_at_their_cells_in_the_colour_of_their_regime(one_facet):
    results, runs, axes = one_facet
    chosen = sampled_runs(runs, axes)
    assert len(chosen) == 4 * 4
    figure = trajectory_map(runs, axes, {one: results.trajectory(one.run_id) for one in chosen})
    (ax,) = figure.axes
    small = {each.get_gid(): each for each in ax.child_axes}
    assert set(small) == {f"cell {row} {column}" for row, column in (one.place for one in chosen)}
    figure.draw_without_rendering()
    boxes = [each.get_window_extent() for each in small.values()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    by_id = runs.set_index("run_id")
    for sample in chosen:
        run, one = by_id.loc[sample.run_id], small["cell {} {}".format(*sample.place)]
        place = ax.transData.transform((run["gamma_sigma2"], run["gamma_w"]))
        assert one.get_window_extent().contains(*place)
        outcome = run["regime"] if run["width"] >= 2 else "underparameterized"
        assert one.spines["left"].get_edgecolor()[:3] == pytest.approx(
            tuple(int(LOOKS[outcome].color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        )
        c = run["threshold"] / results.trajectory(sample.run_id).final_modes.target[0]
        low, high = one.get_ylim()
        if low < c < high:
            assert artist(one, "threshold").get_ydata()[0] == pytest.approx(c)
        else:
            assert artist(one, "threshold beyond").get_marker() == ("v" if c <= low else "^")
    explained = legend_labels(figure)
    marks = {artist.get_marker() for each in small.values() for artist in artists(each, "threshold beyond")}
    assert {"signal", "bulk", "threshold $c$"} <= set(explained)
    assert {"$c$ above the frame" in explained, "$c$ below the frame" in explained} == {True}
    assert marks == {"^", "v"}
    assert "upwards $s_i(A)/s_1(Y)$ from 0.002 to 12" in ax.get_title()
    assert not ax.lines  # theory's lines would be cut into pieces
    page = figure.get_tightbbox()
    assert min(page.x0, page.y0) > -0.01
    assert (page.x1, page.y1) < tuple(figure.get_size_inches() + 0.01)


# ------------------------------------------------------------------------------------------------- the command


CELL = ("--where", "gamma_sigma2=-1.4", "--where", "width=100")


@pytest.mark.filterwarnings("default")  # the command notes the nearest
def test_the_command_draws_one_cell(path, tmp_path):
    file = tmp_path / "one.png"
    done = linphase("plot", path, "--panel", "trajectories", *CELL, "--where", "noise=1", "-o", file)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("note: gamma_sigma2 = -1.4 is not on the grid; the nearest, -1.5, is taken\n")
    assert "Cell: gamma_sigma2 = -1.5, gamma_w = 2 (width 100), " in done.output
    assert "Theory is left out" not in done.output
    with Image.open(file) as image:
        assert image.width > 900
        assert "tiny" in image.info["Title"]


def test_the_command_names_its_file_by_what_is_not_the_default(path, monkeypatch):
    saved = []
    monkeypatch.setattr("linphase.cli.plots.save_figure", lambda *given: saved.append(given))
    monkeypatch.setattr("linphase.figures.drawing.draw", lambda *_, **options: options)
    done = linphase("plot", path, "--panel", "trajectories", "--where", "noise=1", "--where", "replicate=1")
    assert done.exit_code == 0, done.output
    assert [given[:2] for given in saved] == [
        ({"against": None, "style": Style()}, path / "trajectories-where-noise=1_replicate=1.png")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "runs over time are drawn of one facet, found 2. Choose one, such as linphase plot --where noise=0.5"),
        (["--where", "noise"], "--where: KEY=VALUE is required, found 'noise'. Example: --where task.rank=4"),
        (
            ["--where", "noise=7"],
            "where: noise must be one of 0.5, 1, found 7. A number from 0.25 to 1.25, where",
        ),
        (
            ["--at", "-1,2"],
            "--at: --where is required in its place, found --at -1,2. Example: --panel traj",
        ),
        (
            ["--where", "rnk=2"],
            "where: a key must be an axis of the sweep, gamma_sigma2, gamma_w, task.noise, a",
        ),
        (
            ["--against", "theory"],
            "--panel trajectories: has theory in it where --where chooses one cell; --against theory is for other",
        ),
    ],
)
def test_a_users_mistake_gets_one_clear_message(path, arguments, message):
    done = linphase("plot", path, "--panel", "trajectories", *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_where_chooses_the_same_replicate_of_theory(path, tmp_path):
    done = linphase("plot", path, "--where", "noise=1", "--where", "replicate=1", "--against", "theory", "-o",
                    tmp_path / "a.svg")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "0 of 16 cells" in (tmp_path / "a.svg").read_text()

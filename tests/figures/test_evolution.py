"""One run over time."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from linphase.diagram.looks import BULK, SIGNAL, TEST, THRESHOLD, TRAIN
from linphase.figures import evolution
from linphase.figures.evolution import run_figure
from linphase.figures.run_curves import THEORY, dotted, name_times
from linphase.model.observables import Modes
from tests.figures.made import artist, artists, legend_labels, trajectory


def test_a_run_shows_every_mode_against_the_threshold():
    figure = run_figure(trajectory(), threshold=5.0, rank=2, title="one run")
    errors, modes, _ = figure.axes
    assert errors.get_xscale() == modes.get_xscale() == "log"
    assert len([line for line in modes.lines if str(line.get_gid()).startswith("mode")]) == 6
    assert artist(modes, "threshold").get_ydata()[0] == 5.0
    assert artist(modes, "mode 1").get_linewidth() > artist(modes, "mode 6").get_linewidth()
    texts = [text.get_text() for text in modes.get_legend().get_texts()]
    assert texts == ["signal (2)", "bulk (4)", "threshold $c$ = 5"]
    assert artist(errors, "train").get_xdata()[0] == pytest.approx(1e-3)  # the first moment after 0


def test_the_errors_and_the_modes_have_the_colours_that_pages_have_too_and_alone_are_solid():
    errors, modes, _ = run_figure(trajectory(), threshold=5.0, rank=2).axes
    named = {"train": TRAIN, "test": TEST, "mode 1": SIGNAL, "mode 6": BULK, "threshold": THRESHOLD}
    for gid, color in named.items():
        line = artist(errors if gid in ("train", "test") else modes, gid)
        assert line.get_color() == color
        assert line.is_dashed() == (gid == "threshold")


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_no_legend_and_no_name_of_a_baseline_lies_on_a_curve(width, monkeypatch):
    monkeypatch.setattr(evolution, "PAGE_WIDTH", width)
    baselines = {"lazy": 0.5, "optimal": 0.4}
    figure = run_figure(trajectory(), threshold=5.0, rank=2, theory=trajectory(), baselines=baselines)
    figure.draw_without_rendering()
    errors, modes, escaped = figure.axes
    for ax in (errors, modes):
        assert ax.get_legend().get_window_extent().y0 >= ax.bbox.y1 - 1
    names = [text.get_window_extent() for text in artists(errors, "name of an error")]
    assert all(box.x0 >= errors.bbox.x1 for box in names)
    assert not names[0].overlaps(names[1])
    assert (modes.bbox.x0 > errors.bbox.x1) == (width == 7.0)  # beside each other, or below where it is narrow
    assert escaped.bbox.x0 == modes.bbox.x0


def test_a_narrow_network_has_as_many_modes_of_theory_as_of_its_own():
    whole = trajectory()
    narrow = replace(whole, singular_values=whole.singular_values[:, :1],
                     final_modes=Modes(*(np.array(each[:1]) for each in vars(whole.final_modes).values())))  # fmt: skip
    _, modes, escaped = run_figure(narrow, threshold=5.0, rank=2, theory=whole).axes
    assert [text.get_text() for text in modes.get_legend().get_texts()] == ["signal (1)", "threshold $c$ = 5"]
    assert artists(modes, "mode 1, theory")
    assert not artists(modes, "mode 2, theory")
    assert [text.get_text() for text in escaped.get_yticklabels()] == ["0", "1"]


def test_below_the_modes_stands_how_many_have_escaped():
    run = trajectory()
    _, modes, escaped = run_figure(run, threshold=5.0, rank=2).axes
    y = artist(escaped, "escaped").get_ydata()
    half = run.final_modes.target / 2
    np.testing.assert_array_equal(y, [sum(s > half) for s in run.singular_values[1:]])
    assert (y[0], y[-1]) == (0, 6)
    assert escaped.get_xlim() == modes.get_xlim()
    assert [text.get_text() for text in escaped.get_yticklabels()] == ["0", "2", "6"]


def test_a_run_of_gradient_descent_shows_steps_from_the_start():
    errors, modes, _ = run_figure(trajectory(), threshold=1e9, rank=2, time_label="step").axes
    assert errors.get_xscale() == "linear"
    assert artist(errors, "test").get_xdata()[0] == 0
    low, high = modes.get_ylim()
    assert low < 20 < 1e9 < high  # a far threshold stays in view with the modes


@pytest.fixture(scope="module")
def over_time():
    """A figure laid out, whose axis of time the tests move."""
    figure = run_figure(trajectory(), threshold=5.0, rank=2)
    figure.draw_without_rendering()
    return figure.axes[0]


@pytest.mark.parametrize("decades", [0.05, 0.2, 0.5, 0.69, 0.71, 0.9, 1.2, 1.5, 1.95, 4.0])
@pytest.mark.parametrize("first", [1.2e-10, 2.1e-10, 0.3])
def test_the_times_of_a_run_are_told_by_several_numbers_that_do_not_meet(over_time, first, decades):
    time = np.geomspace(first, first * 10**decades, 29)
    over_time.set_xlim(time[0], time[-1])
    name_times(over_time, time)
    assert not any(text.get_text() for text in over_time.get_xticklabels(minor=True))
    labels = [text for text in over_time.get_xticklabels() if time[0] <= text.get_position()[0] <= time[-1]]
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    assert len(boxes) >= 2
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_the_errors_of_a_run_are_in_view_to_their_end():
    error = np.geomspace(1e6, 1e-9, 30)
    low, high = run_figure(trajectory(train_error=error), threshold=5.0, rank=2).axes[0].get_ylim()
    assert low < error[-1] < error[1] < high


def drawn(figure):
    figure.set_layout_engine("none")  # half of the time, and not the subject
    figure.draw_without_rendering()


@pytest.mark.parametrize("errors", [np.zeros(30), np.r_[np.ones(28), np.inf, np.nan]])
def test_zero_and_exploded_values_do_not_break_a_run_figure(errors):
    odd = trajectory(train_error=errors, test_error=errors)
    odd.singular_values[:] = 0
    drawn(run_figure(odd, threshold=3.0, rank=2))


def test_a_run_that_ended_at_its_start_still_draws():
    whole = trajectory(n=2)
    arrays = ("time", "step", "train_error", "test_error", "distance", "singular_values", "mode_balance")
    first = replace(whole, **{name: getattr(whole, name)[:1] for name in arrays})
    drawn(run_figure(first, threshold=3.0, rank=2))


def test_a_run_is_solid_and_theory_dashed_over_it_in_the_same_steps():
    n = 30
    descent = trajectory(n, time=np.arange(n) / 100)
    figure = run_figure(descent, threshold=5.0, rank=2, time_label="step", theory=trajectory())
    errors, modes, escaped = figure.axes
    every = (errors, "train"), (errors, "test"), (modes, "mode 1"), (modes, "mode 3"), (escaped, "escaped")
    for ax, gid in every:
        run, theory = artist(ax, gid), artist(ax, f"{gid}, theory")
        assert not run.is_dashed()
        assert theory.is_dashed()
        assert theory.get_zorder() > run.get_zorder()
        assert sum(theory.get_color()) < sum(to_rgb(run.get_color()))  # dashes of the same colour would not be seen
    assert dotted(1.0)["linestyle"] != THEORY.style(BULK, 1.0)["linestyle"]  # told apart where both are dark
    x = artist(errors, "train, theory").get_xdata()
    np.testing.assert_allclose(x, 100 * trajectory().time[: len(x)])  # 100 steps are one unit of time
    assert errors.get_xlim() == modes.get_xlim() == escaped.get_xlim() == (0, n - 1)
    assert legend_labels(figure) == ["gradient descent", "self-consistent"]

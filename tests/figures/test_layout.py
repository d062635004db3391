"""Figures laid out: names stand in their place, and nothing meets or is cut off. The figures are the golden ones."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from linphase.diagram.panels import known_panels
from linphase.figures.diagrams import against, all_panels, evidence, phase_diagram
from linphase.figures.layout import settle
from linphase.figures.style import STYLES
from linphase.model.regime import Cuts
from linphase.theory.boundaries import MIXED_LAZY
from tests.figures.made import AXES, artist, artists
from tests.figures.pictures import picture, plain


@pytest.fixture
def figure():
    return picture("regime")


@pytest.fixture(scope="module")
def runs():
    return plain()


def test_line_labels_stay_in_the_axes_run_along_their_lines_and_do_not_touch(figure):
    ax = figure.axes[0]
    labels = artists(ax, "line label")
    assert {label.get_text() for label in labels} >= {"mixed | lazy", "mixed | balanced", "width = k"}
    inside = ax.get_window_extent()
    centers = []
    for label in labels:
        box = label.get_window_extent(figure.canvas.get_renderer())
        assert inside.containsx(box.x0)
        assert inside.containsx(box.x1)
        assert inside.containsy(box.y0)
        assert inside.containsy(box.y1)
        centers.append(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
    gaps = [np.hypot(*np.subtract(a, b)) for i, a in enumerate(centers) for b in centers[:i]]
    assert min(gaps) > 8
    pixels = ax.transData.transform([[-1.0, 2.0], [-0.5, 1.5]])
    along = np.degrees(np.arctan2(*(pixels[1] - pixels[0])[::-1])) % 360
    (lazy,) = (label for label in labels if label.get_text() == "mixed | lazy")
    assert lazy.get_rotation() % 360 == pytest.approx(along, abs=1)


@pytest.mark.slow
def test_no_name_of_a_line_lies_across_another_line_even_in_small_diagrams(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    for style in STYLES:
        for figure in (
            phase_diagram(runs, AXES, "regime", style=style),
            all_panels(runs, AXES, style=style),
            evidence(runs, AXES, style=style),
            against(runs, runs, AXES, "regime", style=style),
            phase_diagram(both, AXES | {"task.rank": [2, 4]}, "regime", style=style),
        ):
            ax = figure.axes[0]
            names = artists(ax, "line label")
            assert len(names) == 4
            for line in ax.lines:
                place = line.get_xydata()[np.isfinite(line.get_xydata()).all(axis=1)]
                place = ax.transData.transform(place)
                dense = np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(place)])
                for name in names:
                    assert not inside_text(figure, name, dense).any(), (style, name.get_text(), line.get_gid())


def inside_text(figure, text, place):
    """Which of the pixels (n, 2) lie on a rotated text."""
    angle = np.radians(text.get_rotation())
    text.set_rotation(0)
    box = text.get_window_extent(figure.canvas.get_renderer())
    text.set_rotation(np.degrees(angle))
    center = text.axes.transData.transform(text.get_position())
    along, up = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
    x, y = (place - center) @ along, (place - center) @ up
    return (np.abs(x) < box.width / 2) & (np.abs(y) < box.height / 2)


def test_no_title_of_several_panels_is_wider_than_its_panel(runs):
    cuts = Cuts(criterion="speedup", signal=0.6, bulk=0.3)
    hanging_on_cuts = all_panels(runs, AXES, panels=("regime", "signal-active", "bulk-active"), cuts=cuts)
    for figure, count in ((hanging_on_cuts, 3), (picture("all"), 6)):
        for ax in figure.axes[:count]:
            assert ax.title.get_window_extent().width <= ax.get_window_extent().width


WHOLE = ("evidence", "against-theory", "collapse", "all", "boundaries", "trajectories")


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_of_a_figure_is_cut_off_and_titles_do_not_meet(name):
    figure = picture(name)
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):  # it is laid out anew whenever it is drawn
        figure.draw_without_rendering()
    check_whole(figure)


@pytest.mark.slow
def test_nothing_of_all_panels_is_cut_off_nor_of_facets_and_comparisons_with_long_legends(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    check_whole(all_panels(runs, AXES, panels=list(known_panels())))
    check_whole(against(runs, runs, AXES, "overlap"))
    check_whole(picture("facets"))
    check_whole(phase_diagram(both, AXES | {"task.rank": [2, 4]}, "crossing-time"))


def check_whole(figure):
    drawn, page = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) > -0.01
    assert (drawn.x1, drawn.y1) < tuple(page + 0.01)
    titles = [ax.title.get_window_extent() for ax in figure.axes if ax.get_title()]
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


def test_a_talk_has_wider_figures_with_larger_type_and_broader_lines():
    paper, talk = picture("regime"), picture("talk")
    assert talk.get_size_inches()[0] > 1.5 * paper.get_size_inches()[0]
    for measure in (
        lambda figure: figure.axes[0].xaxis.label.get_size(),
        lambda figure: artists(figure.axes[0], "line label")[0].get_size() / figure.get_size_inches()[0],
        lambda figure: figure.legends[0].get_texts()[0].get_size() / figure.get_size_inches()[0],
        lambda figure: artist(figure.axes[0], f"{MIXED_LAZY}, finite d").get_linewidth() / figure.get_size_inches()[0],
    ):
        assert measure(talk) > 1.05 * measure(paper)
    assert paper.get_size_inches()[0] == pytest.approx(3.4)


def test_a_level_is_named_on_its_steps_and_in_the_colour_bar():
    figure = picture("distance")
    (name,) = artists(figure.axes[0], "level label")
    assert name.get_text() == "\N{MINUS SIGN}4"
    box = name.get_window_extent(figure.canvas.get_renderer())
    steps = figure.axes[0].transData.transform(np.concatenate(artist(figure.axes[0], "level -4").get_segments()))
    assert box.x0 < steps[:, 0].mean() < box.x1
    assert len(artists(figure.axes[1], "level")) == 1


def test_the_figure_of_all_panels_has_a_colour_bar_beside_each_panel_of_numbers():
    figure = picture("all")
    assert len(figure.axes) == 6 + 5


@pytest.mark.parametrize("setting", ["figure.constrained_layout.use", "figure.autolayout"])
def test_what_is_laid_out_stays_so_whatever_matplotlib_is_set_to(setting):
    with rc_context({setting: True}):
        figure = Figure(layout="constrained")
        figure.subplots()
        settle(figure)
        assert figure.get_layout_engine() is None

"""Figures laid out: names stand in their place, and nothing meets or is cut off. The figures are the golden ones."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from linphase.diagram.panels import known_panels
from linphase.errors import LinphaseError
from linphase.figures.collapse import collapse
from linphase.figures.diagrams import against, all_panels, evidence, phase_diagram
from linphase.figures.fitting import STYLES, Style
from linphase.figures.layout import settle
from linphase.figures.placing import fit
from linphase.model.regime import Cuts
from linphase.theory.boundaries import MIXED_LAZY
from tests.figures.made import AXES, artist, artists, modes_of
from tests.figures.pictures import picture, plain, small_diagrams


@pytest.fixture
def figure():
    return picture("regime")


@pytest.fixture(scope="module")
def runs():
    return plain()


def names_of(figure, ax):
    """The names of lines beside a frame, and the boxes that they take."""
    canvas = figure.canvas.get_renderer()
    return [(label.get_text(), label.get_window_extent(canvas)) for label in artists(ax, "line label")]


def ends_of(ax, gid):
    """The pixels at which a line leaves the axes."""
    drawn = ax.transData.transform(artist(ax, gid).get_xydata())
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(drawn)])
    box = ax.get_window_extent()
    return dense[[box.contains(*point) for point in dense]][[0, -1]]


def test_names_of_lines_stand_at_the_frame_where_their_lines_leave_the_diagram(figure):
    ax = figure.axes[0]
    frame, found = ax.get_window_extent(), names_of(figure, ax)
    assert {name for name, _ in found} == {"mixed | lazy", "mixed | balanced", "width = k", "infinite noise"}
    for name, box in found:
        on_top = box.y0 >= frame.y1
        assert on_top or box.x0 >= frame.x1
        near = (box.y0 - frame.y1) if on_top else (box.x0 - frame.x1)
        assert near < 4
        gid = f"{'underparameterized' if name == 'width = k' else name}, finite d"
        sides = [(x0, x1) if on_top else (y0, y1) for x0, y0, x1, y1 in [box.extents]]
        along = [point[0 if on_top else 1] for point in ends_of(ax, gid)]
        assert any(low - 3 <= end <= high + 3 for low, high in sides for end in along), name
    assert not any(a.overlaps(b) for i, (_, a) in enumerate(found) for _, b in found[:i])


@pytest.mark.slow
def test_no_name_of_a_line_stands_in_a_diagram_or_on_another_name_even_in_small_ones(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    for style in (*STYLES, *(Style(figure_width=width) for width in (2.2, "one-column", "two-column"))):
        for figure in (
            phase_diagram(runs, AXES, "regime", style=style),
            all_panels(runs, AXES, style=style),
            evidence(runs, AXES, style=style),
            against(runs, runs, AXES, "regime", style=style),
            phase_diagram(both, AXES | {"task.rank": [2, 4]}, "regime", style=style),
        ):
            found = [name for ax in figure.axes for name in names_of(figure, ax)]
            assert {"mixed | lazy"} <= {name for name, _ in found}
            boxes = [box for _, box in found]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
            for ax in figure.axes:
                inside = ax.get_window_extent().padded(-1)
                assert not any(inside.overlaps(box) for box in boxes)


def box_of(figure):
    """Inches from the left and the bottom of a figure to the first axes, and their width and height."""
    return figure.axes[0].get_position().bounds * np.tile(figure.get_size_inches(), 2)


@pytest.mark.parametrize("style", [Style(), Style(title=False), Style(figure_width=2.5), Style(figure_height=3.5)])
def test_panels_have_one_box_with_or_without_a_colour_bar_so_that_they_stand_side_by_side(runs, style):
    panels = ("regime", "status", "test-error", "signal-active", "iterations", "stable-rank")
    figures = [phase_diagram(runs, AXES, panel, style=style) for panel in panels]
    boxes = np.array([box_of(figure) for figure in figures])
    same = slice(0, 3) if style.figure_height else slice(0, 4)  # titles of more lines leave less of a given height
    for box in boxes[:, same][:, [0, 2]]:
        np.testing.assert_allclose(box, boxes[0, [0, 2]], atol=1e-6)
    assert {figure.get_size_inches()[0] for figure in figures} == {style.inches_wide or 3.4}
    if style.figure_height:
        assert {figure.get_size_inches()[1] for figure in figures} == {style.figure_height}
    else:
        np.testing.assert_allclose(boxes[:, 3], boxes[0, 3], atol=1e-6)
    for figure in figures:
        check_whole(figure)


def test_panels_and_facets_wrap_within_a_column(runs):
    both = pd.concat([runs.assign(rank=rank) for rank in range(1, 7)], ignore_index=True)
    for style, across in ((Style(figure_width="one-column"), 2), (Style(figure_width="two-column"), 3)):
        figure = all_panels(runs, AXES, style=style)
        assert len({round(ax.get_position().x0, 3) for ax in figure.axes[:6]}) == across
        assert figure.get_size_inches()[0] == style.inches_wide
        check_whole(figure)
    facets = phase_diagram(both, AXES | {"task.rank": [*range(1, 7)]}, "test-error", style=Style(figure_width=3.4))
    assert len({round(ax.get_position().y0, 3) for ax in facets.axes[:6]}) >= 3
    check_whole(facets)


def test_rows_of_facets_are_kept_whole_and_no_colour_bar_lies_on_another_one(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    axes = AXES | {"task.rank": [2, 4]}
    rows = all_panels(
        both, axes, panels=("regime", "test-error", "stable-rank", "iterations"), style=Style(figure_width=6)
    )
    firsts = [rows.axes[i].get_position().x0 for i in (0, 4)]
    assert firsts[0] == pytest.approx(firsts[1])
    narrow = against(both, both, axes, "test-error", style=Style(figure_width="one-column"))
    bars = [bar.get_window_extent() for bar in narrow.axes[6:]]
    assert len(bars) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(bars) for b in bars[:i])
    check_whole(narrow)


def test_a_figure_that_is_too_small_for_its_diagrams_is_refused_with_what_it_needs(runs):
    for style, name in ((Style(figure_width=1.2), "figure_width"), (Style(figure_height=1.2), "figure_height")):
        with pytest.raises(
            LinphaseError, match=rf"{name}: at least [\d.]+ inches are required for this figure"
        ) as said:
            phase_diagram(runs, AXES, "test-error", style=style)
        needed = float(re.findall(r"at least ([\d.]+)", str(said.value))[0]) + 0.05
        phase_diagram(runs, AXES, "test-error", style=replace(style, **{name: needed}))
    for draw in (lambda style: collapse(runs, modes_of(runs, 1.02), style=style), small_diagrams):
        with pytest.raises(LinphaseError, match=r"figure_width: at least [\d.]+ inches are required for this figure"):
            draw(style=Style(figure_width=1.5))


def test_no_title_of_several_panels_is_wider_than_there_is_room_between_panels(runs):
    cuts = Cuts(criterion="speedup", signal=0.6, bulk=0.3)
    hanging_on_cuts = all_panels(runs, AXES, panels=("regime", "signal-active", "bulk-active"), cuts=cuts)
    for figure, count in ((hanging_on_cuts, 3), (picture("all"), 6)):
        first, second = (ax.get_window_extent() for ax in figure.axes[:2])
        for ax in figure.axes[:count]:
            assert ax.title.get_window_extent().width < second.x0 - first.x0


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


def test_a_title_is_broken_behind_a_comma_and_never_before_a_value_or_in_a_formula():
    def broken(text, inches):
        figure = Figure(figsize=(4, 3))
        FigureCanvasAgg(figure)
        title = figure.text(0.5, 0.5, text, fontsize=10)
        fit(title, inches)
        return title.get_text().split("\n")

    name = r"$k$ = 2, noise $\nu$ = 0.5"
    assert broken(name, 4) == [name]
    assert broken(name, 1.2) == ["$k$ = 2,", r"noise $\nu$ = 0.5"]
    assert broken(name, 0.1) == ["$k$ = 2,", "noise", r"$\nu$ = 0.5"]
    assert broken("at the paper's learning rate", 1.2) == ["at the paper's", "learning rate"]

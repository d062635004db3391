"""Figures: what is drawn where, read back from the artists."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import Collection
from matplotlib.colors import LogNorm, to_rgb

from linphase.diagram.axes import Window, cell_edges
from linphase.diagram.looks import LOOKS
from linphase.diagram.measured import measured_boundaries
from linphase.diagram.panels import OVERVIEW, known_panels
from linphase.errors import LinphaseError
from linphase.figures.collapse import collapse
from linphase.figures.diagrams import against, all_panels, evidence, phase_diagram
from linphase.figures.painting import edge_segments, stripe
from linphase.figures.scales import scale_of
from linphase.model.regime import Cuts
from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_BALANCED,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    middle_signal_value,
)
from tests.figures.made import (
    AXES,
    GAMMA_SIGMA2,
    GAMMA_W,
    RANK,
    D,
    artist,
    artists,
    color_at,
    legend_labels,
    marks,
    modes_of,
    run,
    table,
    unfinished,
)  # fmt: skip

PANELS = known_panels()


@pytest.fixture(scope="module", autouse=True)
def _unfinished():
    """No layout, and no search for names' places: half of what a figure costs; see test_layout.py."""
    with unfinished():
        yield


@pytest.fixture(scope="module")
def runs():
    return table(*(run(x, y) for y in GAMMA_W for x in GAMMA_SIGMA2))


@pytest.fixture(scope="module")
def figure(runs, _unfinished):
    return phase_diagram(runs, AXES, "regime")


def test_every_cell_has_the_colour_of_its_regime(figure):
    ax = figure.axes[0]
    edges = artist(ax, "outcomes").get_coordinates()
    np.testing.assert_allclose(edges[0, :, 0], cell_edges(GAMMA_SIGMA2))
    np.testing.assert_allclose(edges[:, 0, 1], cell_edges(GAMMA_W))
    assert ax.get_xlim() == (edges[0, 0, 0], edges[0, -1, 0])
    for (row, y), (column, x) in product(enumerate(GAMMA_W), enumerate(GAMMA_SIGMA2)):
        c = D**x * int(D**y)
        if int(D**y) < RANK:
            expected = "underparameterized"
        else:
            expected = "lazy" if c > 33 else "mixed" if c > 7.5 and int(D**y) >= D else None
        if expected:
            assert color_at(ax, row, column) == pytest.approx(to_rgb(LOOKS[expected].color), abs=1e-6)
    assert color_at(ax, 5, 0) == pytest.approx(to_rgb(LOOKS["balanced"].color), abs=1e-6)


def test_the_order_of_the_runs_does_not_matter(runs, figure):
    shuffled = phase_diagram(runs.sample(frac=1, random_state=0), AXES, "regime")
    meshes = (artist(drawn.axes[0], "outcomes").get_array() for drawn in (figure, shuffled))
    np.testing.assert_array_equal(*meshes)


def test_with_its_axes_exchanged_a_diagram_is_the_transposed_one_and_so_are_its_lines(runs, figure):
    ax, other = figure.axes[0], phase_diagram(runs, dict(reversed(AXES.items())), "regime").axes[0]
    assert (other.get_xlabel(), other.get_ylabel()) == (ax.get_ylabel(), ax.get_xlabel())
    np.testing.assert_array_equal(artist(other, "outcomes").get_array().T, artist(ax, "outcomes").get_array())
    for name in (MIXED_LAZY, INFINITE_NOISE):  # straight in exponents, so that interpolation is exact
        gamma_w, gamma_sigma2 = artist(other, f"{name}, finite d").get_xydata().T
        exact = artist(ax, f"{name}, finite d").get_xydata()
        exact = exact[np.isfinite(exact).all(axis=1)]
        assert len(gamma_w) >= len(GAMMA_W) - 2
        np.testing.assert_allclose(gamma_sigma2, np.interp(gamma_w, *exact[:, ::-1].T), atol=1e-9)


def test_missing_diverged_and_failed_cells_are_marked_each_in_its_way(runs):
    spoiled = runs.drop(index=0)
    spoiled.loc[[40, 41], ["status", "converged", "signal_active"]] = ["diverged", False, None]
    spoiled.loc[39, ["status", "converged"]] = ["failed", False]
    for panel in ("regime", "test-error"):
        figure = phase_diagram(spoiled, AXES, panel)
        ax = figure.axes[0]
        for gid, cells in (("missing", [(0, 0)]), ("diverged", [(5, 5), (5, 6)]), ("failed", [(5, 4)])):
            assert len(artist(ax, gid).get_segments()) == 2 * len(cells)
            for cell in cells:
                assert color_at(ax, *cell) == pytest.approx(to_rgb(LOOKS[gid].color), abs=1e-6)
            assert any(label.startswith(gid) for label in legend_labels(figure))


def test_unconverged_cells_are_hatched_and_no_others(runs, figure):
    spoiled = runs.copy()
    spoiled.loc[[0, 24], ["status", "converged"]] = ["step_limit", False]
    for panel in ("regime", "test-error"):
        ax = phase_diagram(spoiled, AXES, panel).axes[0]
        points = np.concatenate(artist(ax, "unconverged").get_segments())
        columns_hit = np.searchsorted(cell_edges(GAMMA_SIGMA2), points[:, 0], side="right") - 1
        assert {0, 3} <= set(columns_hit) <= {0, 1, 3, 4}  # a stroke may end on the cell's far edge
        assert points[:, 1].max() <= cell_edges(GAMMA_W)[4] + 1e-9
    assert not artists(figure.axes[0], "unconverged")


def test_regimes_on_which_the_criteria_part_are_hatched_finely_in_the_regime_panel_alone(runs, figure):
    doubted = runs.copy()
    doubted.loc[[24, 27], "evidence_agreement"] = 0.5
    drawn = phase_diagram(doubted, AXES, "regime")
    segments = artist(drawn.axes[0], "disputed").get_segments()
    points = np.concatenate(segments)
    columns_hit = set(np.searchsorted(cell_edges(GAMMA_SIGMA2), points[:, 0], side="right") - 1)
    assert {3, 6} <= columns_hit <= {3, 4, 6, 7}  # a stroke may end on the cell's far edge
    assert points[:, 1].min() >= cell_edges(GAMMA_W)[3] - 1e-9
    assert points[:, 1].max() <= cell_edges(GAMMA_W)[4] + 1e-9
    assert all((end - start)[0] * (end - start)[1] < 0 for start, end in segments)  # unconverged ones rise
    assert "criteria agree on < 80 % of modes (2)" in legend_labels(drawn)
    assert artists(evidence(doubted, AXES).axes[2], "disputed")
    other = phase_diagram(doubted, AXES, "test-error")
    for one in (figure, other):
        assert not artists(one.axes[0], "disputed")
        assert not any("criteria agree" in label for label in legend_labels(one))


def test_where_no_cell_converged_numbers_are_not_hidden_but_the_legend_says_it(runs):
    early = runs.assign(status="stopped_early", converged=False)
    figure = phase_diagram(early, AXES, "test-error")
    assert not artists(figure.axes[0], "unconverged")
    assert any("no cell converged" in label for label in legend_labels(figure))
    assert artists(phase_diagram(early, AXES, "regime").axes[0], "unconverged")


def test_the_regime_of_replicates_goes_by_majority_and_a_tie_shows_both(runs):
    x, y = GAMMA_SIGMA2[0], GAMMA_W[5]
    lazy = {"signal_active": 0.0, "bulk_active": 0.0}
    two = pd.concat([runs, table(run(x, y, replicate=1, **lazy))], ignore_index=True)
    figure = phase_diagram(two, AXES, "regime")
    ties = artist(figure.axes[0], "ties")
    colors = {tuple(color[:3]) for color in ties.get_facecolors()}
    assert colors == {to_rgb(LOOKS["lazy"].color), to_rgb(LOOKS["balanced"].color)}
    assert "tie (1)" in legend_labels(figure)
    three = pd.concat([two, table(run(x, y, replicate=2, **lazy))], ignore_index=True)
    ax = phase_diagram(three, AXES, "regime").axes[0]
    assert not artists(ax, "ties")
    assert color_at(ax, 5, 0) == pytest.approx(to_rgb(LOOKS["lazy"].color), abs=1e-6)


def area(polygon):
    x, y = np.array(polygon).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_stripes_of_a_tie_share_its_cell_equally(count):
    for i in range(count):
        assert area(stripe(i, count)) == pytest.approx(1 / count)


def test_numbers_are_means_over_the_finished_replicates(runs):
    x, y = GAMMA_SIGMA2[0], GAMMA_W[5]
    more = table(
        run(x, y, replicate=1, min_test_error=3.0),
        run(x, y, replicate=2, min_test_error=1e9, status="diverged", converged=False),
    )
    ax = phase_diagram(pd.concat([runs, more], ignore_index=True), AXES, "test-error").axes[0]
    expected = (runs.loc[35, "min_test_error"] + 3.0) / 2
    assert artist(ax, "numbers").get_array()[5, 0] == pytest.approx(expected)


def test_errors_over_decades_get_a_log_scale_and_shares_a_linear_one(runs):
    assert isinstance(artist(phase_diagram(runs, AXES, "test-error").axes[0], "numbers").norm, LogNorm)
    share = artist(phase_diagram(runs, AXES, "signal-active").axes[0], "numbers").norm
    assert not isinstance(share, LogNorm)
    assert (share.vmin, share.vmax) == (0, 1)


def test_an_outlier_is_clipped_and_the_colour_bar_says_so():
    x, y = np.linspace(-3, 0, 15), np.linspace(0.5, 2.8, 15)
    error = np.random.default_rng(0).uniform(0.1, 3, 225)
    error[-1] = 1e12
    many = table(*(run(a, b, min_test_error=e) for (b, a), e in zip(product(y, x), error, strict=True)))
    axes = {"gamma_sigma2": x.tolist(), "gamma_w": y.tolist()}
    figure = phase_diagram(many, axes, "test-error")
    numbers = artist(figure.axes[0], "numbers")
    assert numbers.norm.vmax < 10
    assert scale_of(error, PANELS["test-error"]).extend in (
        "max",
        "both",
    )


def test_zeros_on_a_log_scale_keep_a_colour(runs):
    ax = phase_diagram(runs.assign(iterations_at_min=[0.0, *range(1, len(runs))]), AXES, "iterations").axes[0]
    assert np.isfinite(color_at(ax, 0, 0)).all()


def test_a_panel_without_any_number_still_draws(runs):
    figure = phase_diagram(runs.assign(status="diverged", converged=False), AXES, "test-error")
    assert len(figure.axes) == 1  # no colour bar
    assert any(label.startswith("diverged") for label in legend_labels(figure))
    empty = phase_diagram(runs.iloc[:0], AXES, "regime")
    assert len(artist(empty.axes[0], "missing").get_segments()) == 2 * len(runs)


def test_one_run_makes_a_diagram_of_one_cell(runs):
    axes = {"gamma_sigma2": [GAMMA_SIGMA2[0]], "gamma_w": [GAMMA_W[3]]}
    ax = phase_diagram(runs, axes, "regime").axes[0]
    assert np.diff(ax.get_xlim()) == pytest.approx(1)
    assert np.diff(ax.get_ylim()) == pytest.approx(1)


def test_another_measure_of_active_reads_its_own_columns(runs):
    other = runs.assign(signal_active_by_balance=0.0, bulk_active_by_speedup=0.25)
    by_balance = phase_diagram(other, AXES, "regime", cuts=Cuts(criterion="balance")).axes[0]
    assert color_at(by_balance, 5, 0) == pytest.approx(to_rgb(LOOKS["lazy"].color), abs=1e-6)
    shares = artist(phase_diagram(other, AXES, "bulk-active", cuts=Cuts(criterion="speedup")).axes[0], "numbers")
    np.testing.assert_allclose(np.ma.compressed(shares.get_array()), 0.25)


def test_a_regime_panel_names_another_measure_and_other_cuts(runs, figure):
    assert figure.axes[0].get_title() == ""
    others = {"cuts": Cuts("speedup", bulk=0.3)}
    named = "regime by mode speed-up,\nbulk cut 0.3"
    assert phase_diagram(runs, AXES, "regime", **others).axes[0].get_title() == named
    assert phase_diagram(runs, AXES, "regime", cuts=Cuts(signal=0.6)).axes[0].get_title() == "regime, signal cut 0.6"
    assert phase_diagram(runs, AXES, "status", **others).axes[0].get_title() == ""
    assert [ax.get_title() for ax in all_panels(runs, AXES, **others).axes[:2]] == [
        named,
        "smallest test error,\n" + PANELS["test-error"].formula,
    ]
    facets = phase_diagram(runs, AXES | {"task.rank": [2, 4]}, "regime", **others)
    assert facets.get_suptitle() == named
    assert evidence(runs, AXES, cuts=Cuts(bulk=0.3)).get_suptitle() == "bulk cut 0.3"


def test_all_panels_stand_in_one_figure_each_with_its_colour_bar(runs):
    figure = all_panels(runs, AXES)
    assert len(figure.axes) == 6 + 5
    titles = [ax.get_title() for ax in figure.axes[:6]]
    assert [title.split(",\n")[0] for title in titles] == [PANELS[name].title for name in OVERVIEW]


def test_an_unknown_panel_and_a_lone_axis_are_refused(runs):
    with pytest.raises(LinphaseError, match=r"regime, status.*found 'loss'"):
        phase_diagram(runs, AXES, "loss")
    with pytest.raises(LinphaseError, match="needs two axes, found 1"):
        phase_diagram(runs, {"gamma_w": [1.0]}, "regime")


def test_a_third_axis_makes_one_facet_for_each_value(runs):
    both = pd.concat([runs, runs.assign(rank=2).iloc[:5]], ignore_index=True)
    figure = phase_diagram(both, AXES | {"task.rank": [2, 4]}, "test-error")
    assert [ax.get_title() for ax in figure.axes[:2]] == ["$k$ = 2", "$k$ = 4"]
    assert [artist(ax, "numbers").get_array().count() for ax in figure.axes[:2]] == [5, len(runs)]
    norms = [artist(ax, "numbers").norm for ax in figure.axes[:2]]
    assert norms[0] is norms[1]
    edges = [artist(ax, f"{UNDERPARAMETERIZED}, finite d").get_ydata()[0] for ax in figure.axes[:2]]
    np.testing.assert_allclose(edges, np.log([2, 4]) / np.log(D))


def test_rules_and_words_name_facets_too(runs):
    rules = {"auto": "auto", "paper/5": {"paper": 5}, "0.01": 0.01}
    mixed = pd.concat([runs.assign(learning_rate_rule=rule) for rule in (*rules, None)], ignore_index=True)
    figure = phase_diagram(mixed, AXES | {"dynamics.learning_rate": list(rules.values())}, "regime")
    assert len(figure.axes) == 3
    assert not any(artists(ax, "missing") for ax in figure.axes)


def test_a_title_has_the_formula_and_a_colour_bar_the_unit(runs):
    ax, bar = phase_diagram(runs, AXES, "kernel-distance").axes
    assert ax.get_title() == "kernel distance,\n" + r"$1-\cos(\Theta,\Theta_0)$"
    assert bar.get_ylabel() == ""
    assert phase_diagram(runs, AXES, "final-time").axes[1].get_ylabel() == "time"
    by = [
        phase_diagram(runs, AXES, "bulk-active", cuts=Cuts(criterion=by)).axes[0].get_title()
        for by in ("threshold", "speedup")
    ]
    assert ["s_i > c" in by[0], "kappa_i > " in by[1]] == [True, True]


def test_numbers_that_are_all_but_equal_have_ticks_that_are_not(runs):
    for value, reach in ((5e-3, 5e-4), (-7.0, 0.7)):
        norm = scale_of(np.array([value, value * (1 + 1e-5)]), PANELS["benefit"]).norm
        assert norm.vmax - norm.vmin == pytest.approx(reach, rel=1e-3)
        assert (norm.vmin + norm.vmax) / 2 == pytest.approx(value, rel=1e-3)
    zero = scale_of(np.zeros(2), PANELS["benefit"]).norm
    assert (zero.vmin, zero.vmax) == (0.0, 0.1)
    norm = scale_of(np.array([5e-3, 5e-3 * (1 + 1e-5)]), PANELS["final-time"]).norm
    assert isinstance(norm, LogNorm)
    assert norm.vmax / norm.vmin == pytest.approx(1.1, rel=1e-3)
    assert (norm.vmax * norm.vmin) ** 0.5 == pytest.approx(5e-3, rel=1e-3)


def test_too_many_facets_are_refused_with_their_number(runs):
    axes = AXES | {"task.rank": list(range(1, 8)), "task.noise": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]}
    with pytest.raises(
        LinphaseError, match=r"\(rank, noise\) make 42 facets.*at most 36\..* --where rank=1 keeps one value"
    ):
        phase_diagram(runs, axes, "regime")


def test_two_further_axes_make_a_table_of_facets(runs):
    figure = phase_diagram(runs, AXES | {"task.rank": [2, 4], "task.noise": [0.0, 1.0, 2.0]}, "regime")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == [rf"$k$ = 2, noise $\nu$ = {noise}" for noise in range(3)]
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)


def test_the_lines_lie_where_theory_puts_them(figure):
    ax = figure.axes[0]
    finite = artist(ax, f"{MIXED_LAZY}, finite d")
    x, y = finite.get_data()
    inside = np.isfinite(x) & (x > -3) & (x < 0)
    s = middle_signal_value(RANK, None, D, D)
    np.testing.assert_allclose(float(D) ** (x + y)[inside], s + D / s)
    assert finite.get_linestyle() == "-"
    dashed = artist(ax, f"{MIXED_BALANCED}, asymptotic")
    x, y = dashed.get_data()
    np.testing.assert_allclose((x + y)[(x > -3) & (x < 0)], 0.5)
    assert dashed.get_linestyle() == "--"
    assert artist(ax, "band").get_paths()


def test_on_raw_axes_the_same_lines_are_converted(runs):
    axes = {"init_variance": sorted(set(runs["init_variance"])), "width": sorted(set(runs["width"]))}
    ax = phase_diagram(runs, axes, "regime").axes[0]
    x, y = artist(ax, f"{MIXED_LAZY}, finite d").get_data()
    inside = np.isfinite(x) & (x > D**-3.0) & (x < 1)
    s = middle_signal_value(RANK, None, D, D)
    np.testing.assert_allclose((x * y)[inside], s + D / s)
    np.testing.assert_allclose(artist(ax, f"{UNDERPARAMETERIZED}, finite d").get_ydata(), RANK)


def test_solid_lines_cover_dashed_ones_that_all_but_meet_them(figure):
    for name in (MIXED_LAZY, MIXED_BALANCED):
        solid, dashed = (artist(figure.axes[0], f"{name}, {kind}") for kind in ("finite d", "asymptotic"))
        assert solid.get_zorder() > dashed.get_zorder()


def test_a_dashed_line_on_its_solid_one_is_left_out(runs):
    ax = phase_diagram(runs.assign(rank=1), AXES, "regime").axes[0]
    assert artists(ax, f"{MIXED_LAZY}, finite d")
    assert not artists(ax, f"{MIXED_LAZY}, asymptotic")


def test_the_spread_of_one_draw_is_drawn_over_outcomes_alone_and_named_where_it_is_in_view(runs, figure):
    spread = "spread of one draw"
    assert spread in legend_labels(figure)
    numbers = phase_diagram(runs, AXES, "test-error")
    assert not artists(numbers.axes[0], "band")
    assert spread not in legend_labels(numbers)
    left = {"gamma_sigma2": AXES["gamma_sigma2"][:2], "gamma_w": AXES["gamma_w"][:3]}
    assert spread not in legend_labels(phase_diagram(runs, left, "regime"))


def test_full_rank_draws_no_line_between_mixed_and_balanced(runs):
    ax = phase_diagram(runs.assign(rank=D), AXES, "regime").axes[0]
    assert not any(MIXED_BALANCED in str(line.get_gid()) for line in ax.lines)


def test_without_noise_there_is_no_line_between_mixed_and_balanced(runs):
    ax = phase_diagram(runs.assign(noise=0.0), AXES, "regime").axes[0]
    assert not artists(ax, f"{MIXED_BALANCED}, finite d")


def test_no_line_where_the_runs_of_a_cell_lie_at_different_distances_from_it(runs):
    mixed = runs.copy()
    mixed.loc[0, "noise"] = 2.0
    figure = phase_diagram(mixed, AXES, "regime")  # of two tasks
    assert not figure.axes[0].lines
    assert not any("theory" in label for label in legend_labels(figure))
    other = {"gamma_w": AXES["gamma_w"], "task.noise": [1.0, 2.0]}  # of all variances
    (line,) = phase_diagram(pd.concat([runs, mixed[:1]]), other, "regime").axes[0].lines
    assert line.get_gid() == "underparameterized, finite d"


def test_a_panel_whose_column_the_results_lack_says_so_and_what_to_do(runs):
    for older in (runs.assign(kernel_change=None), runs.drop(columns="kernel_change")):
        with pytest.raises(LinphaseError, match=r"panel kernel-change needs column kernel_change, which these results"):
            phase_diagram(older, AXES, "kernel-change")
    for kind, rounding in (("modes", 0.0), ("self_consistent", 1e-15)):
        theory = runs.assign(self_consistency_residual=rounding, kind=kind)
        with pytest.raises(
            LinphaseError, match=r'0 by construction. Draw it from runs with dynamics\.kind = "flow" or "gd"'
        ):
            phase_diagram(theory, AXES, "residual")
    with pytest.raises(LinphaseError, match=r'record\.compare = "self_consistent"'):
        phase_diagram(runs.assign(distance_to_self_consistent=None), AXES, "distance")


def test_times_that_no_mode_needs_or_reaches_are_told_apart(runs):
    figure = phase_diagram(runs, AXES, "crossing-time")
    ax = figure.axes[0]
    assert color_at(ax, 0, 0) == pytest.approx(to_rgb(LOOKS["start"].color), abs=1e-6)
    assert color_at(ax, 5, 6) == pytest.approx(to_rgb(LOOKS["undefined"].color), abs=1e-6)
    assert legend_labels(figure)[:2] == ["never for half of the signal modes or more", "passed at the start"]
    never = phase_diagram(runs.assign(crossing_time=None), AXES, "crossing-time")  # a fact, not a missing column
    assert legend_labels(never)[0] == "never for half of the signal modes or more"


def test_the_distance_is_its_logarithm_and_says_to_what(runs):
    ax = phase_diagram(runs, AXES, "distance").axes[0]
    numbers = artist(ax, "numbers")
    np.testing.assert_allclose(numbers.get_array()[0], 2.1 * GAMMA_SIGMA2 - 0.1)
    assert not isinstance(numbers.norm, LogNorm)
    assert ax.get_title().endswith("self-consistent Euler iteration")
    exact = phase_diagram(runs.assign(compare="self_consistent"), AXES, "distance")
    assert exact.axes[0].get_title().endswith("self-consistent exact solution")


def test_the_papers_levels_run_along_the_edges_of_cells(runs):
    figure = phase_diagram(runs, AXES, "distance")
    ax = figure.axes[0]
    x = np.array(artist(ax, "level -4").get_segments())[..., 0]
    np.testing.assert_allclose(x, cell_edges(GAMMA_SIGMA2)[3])  # between -4.3 and -3.25
    assert len(x) == len(GAMMA_W)
    assert not artists(ax, "level -7")  # below all


def test_edges_separate_only_neighbours_that_both_have_a_value():
    sides = np.array([[0.0, 1.0], [np.nan, 1.0]])
    (segment,) = edge_segments(sides, Window.of({"gamma_sigma2": [0, 1], "gamma_w": [0, 1]}))
    np.testing.assert_array_equal(segment, [[0.5, -0.5], [0.5, 0.5]])


def test_measured_boundaries_are_points_with_intervals_on_their_lines(runs):
    found = [replace(one, low=one.gamma_sigma2 - 0.1, high=one.gamma_sigma2 + 0.2) for one in measured_boundaries(runs)]
    raw = {"init_variance": sorted(set(runs["init_variance"])), "width": sorted(set(runs["width"]))}
    for axes, logarithm in ((AXES, lambda x: x), (raw, lambda x: np.log(x) / np.log(D))):
        figure = phase_diagram(runs, axes, "regime", measured=found)
        ax = figure.axes[0]
        for name in (MIXED_LAZY, MIXED_BALANCED):
            here = [one for one in found if one.name == name and np.isfinite(one.gamma_sigma2)]
            x, y = artist(ax, f"{name}, measured").get_data()
            np.testing.assert_allclose(logarithm(x), [one.gamma_sigma2 for one in here])
            np.testing.assert_allclose(y, [one.gamma_w if axes is AXES else one.width for one in here])
            ends = np.array(artist(ax, f"{name}, interval").get_segments())[:, :, 0]
            np.testing.assert_allclose(logarithm(ends) - logarithm(x)[:, None], [[-0.1, 0.2]] * len(here))
            assert f"{name}, measured" in legend_labels(figure)
    styles = [artist(ax, f"{one}, measured").get_marker() for one in dict.fromkeys(each.name for each in found)]
    assert len(set(styles)) == len(styles) == 4


def test_an_interval_that_ends_beyond_the_grid_runs_to_the_edge_and_has_an_arrow(runs):
    found = [replace(one, low=-np.inf, high=one.gamma_sigma2 + 0.2) for one in measured_boundaries(runs)]
    raw = {"init_variance": sorted(set(runs["init_variance"])), "width": sorted(set(runs["width"]))}
    name = MIXED_LAZY
    for axes in (AXES, raw):
        ax = phase_diagram(runs, axes, "regime", measured=found).axes[0]
        ends = np.array(artist(ax, f"{name}, interval").get_segments())[:, :, 0]
        assert set(ends[:, 0]) == {ax.get_xlim()[0]}
        x, y = artist(ax, f"{name}, open end").get_data()
        assert set(x) == {ax.get_xlim()[0]}
        np.testing.assert_array_equal(y, artist(ax, f"{name}, measured").get_ydata())


def test_measured_boundaries_stand_in_their_own_facet(runs):
    both = pd.concat([runs, runs.assign(rank=2)], ignore_index=True)
    axes = AXES | {"task.rank": [2, 4]}
    found = [one for one in measured_boundaries(both, ["rank"]) if dict(one.facet)["rank"] == 2]
    figure = phase_diagram(both, axes, "regime", measured=found)
    name = f"{MIXED_LAZY}, measured"
    assert [len(artists(ax, name)) for ax in figure.axes] == [1, 0]


def test_outcomes_against_predicted_show_the_cells_that_differ_in_both_colours(runs):
    predicted = runs.copy()
    predicted.loc[35, "signal_active"] = 0.0  # lazy, where balanced is measured
    figure = against(runs, predicted.iloc[1:], AXES, "regime")
    last = figure.axes[2]
    below, above = artist(last, "ties").get_facecolors()[:, :3]
    np.testing.assert_allclose([below, above], [to_rgb(LOOKS[name].color) for name in ("balanced", "lazy")])
    assert color_at(last, 0, 0) == pytest.approx(to_rgb(LOOKS["missing"].color), abs=1e-6)
    assert color_at(last, 5, 6) == pytest.approx(to_rgb(LOOKS["agree"].color), abs=1e-6)
    assert last.get_title() == "difference\n1 of 41 cells"
    assert "differ: measured below, predicted above" in legend_labels(figure)


def test_numbers_over_decades_are_compared_by_the_logarithm_of_their_ratio_and_shares_by_their_difference(runs):
    predicted = runs.assign(final_time=lambda t: t["final_time"] / 2, signal_active=lambda t: t["signal_active"] - 0.1)
    for panel, expected in (("final-time", np.log(2)), ("signal-active", 0.1)):
        figure = against(pd.concat([runs, runs]), predicted, AXES, panel)
        numbers = artist(figure.axes[2], "numbers")
        np.testing.assert_allclose(np.ma.compressed(numbers.get_array()), expected)
        assert numbers.norm.vmin == -numbers.norm.vmax
        first, second = (artist(ax, "numbers").norm for ax in figure.axes[:2])
        assert first is second


def test_zero_and_missing_numbers_against_predicted_are_no_infinite_ratios(runs):
    zero = runs.assign(iterations_at_min=[0.0, 0.0, *[5.0] * (len(runs) - 2)])
    other = runs.assign(iterations_at_min=[0.0, *[5.0] * (len(runs) - 1)])
    last = against(zero, other, AXES, "iterations").axes[2]
    numbers = artist(last, "numbers").get_array()
    assert numbers.count() == len(runs) - 1
    assert numbers.max() == numbers.min() == 0
    assert color_at(last, 0, 1) == pytest.approx(to_rgb(LOOKS["apart"].color), abs=1e-6)


def test_theory_is_the_same_in_every_facet_of_a_training(runs):
    both = pd.concat([runs.assign(kind=kind) for kind in ("flow", "gd")])
    axes = AXES | {"dynamics.kind": ["flow", "gd"]}
    figure = against(both, runs.assign(kind="modes"), axes, "test-error")
    assert [artist(ax, "numbers").get_array().count() for ax in figure.axes[:6]] == [len(runs)] * 6
    assert figure.axes[0].get_title().endswith("\nkind = flow, measured")


def test_a_figure_against_theory_says_that_it_starts_from_zero_and_which_side_did_not_converge(runs):
    early = runs.assign(status="stopped_early", converged=False)
    figure = against(early, runs.assign(kind="modes"), AXES, "test-error")
    assert figure.get_suptitle().startswith("predicted: theory from $A(0) = 0$")
    assert legend_labels(figure)[0] == "measured: no cell converged (hatching left out)"
    same = against(runs, early, AXES, "regime", names=("one", "two"))
    assert same.get_suptitle() == ""
    assert "two: unconverged" in legend_labels(same)


def test_long_names_of_two_sweeps_are_shortened_and_broken_and_a_dollar_is_no_mathematics(runs):
    names = "a_sweep_of_the_flow_at_d_200", "the_same_sweep_$by_descent$"
    figure = against(runs, runs, AXES, "test-error", names=names, facts={"dynamics.kind": "gd"})
    shown = "a_sweep_of\N{HORIZONTAL ELLIPSIS}ow_at_d_200", "the_same_s\N{HORIZONTAL ELLIPSIS}by_descent\\$"
    assert [ax.get_title().splitlines()[-1] for ax in figure.axes[:2]] == list(shown)
    assert figure.axes[2].get_title().splitlines()[:2] == [f"ln({shown[0]} /", f"{shown[1]})"]
    assert figure.get_suptitle() == f"{shown[1]} differs in dynamics.kind: gd"


def test_cells_that_one_of_two_tables_lacks_are_drawn_and_compared_as_missing(runs):
    axes = AXES | {"gamma_w": [*AXES["gamma_w"], 3.0]}
    figure = against(runs.iloc[:-1], runs.iloc[1:], axes, "test-error")
    missing = [len(artist(ax, "missing").get_segments()) / 2 for ax in figure.axes[:3]]
    assert missing == [8, 8, 9]  # the row that neither has, and one of either
    numbers = artist(figure.axes[2], "numbers").get_array()
    assert (numbers.count(), abs(numbers).max()) == (len(runs) - 2, 0)


def test_the_lines_over_each_of_two_sweeps_are_those_of_its_own_task(runs):
    quiet = runs.assign(noise=0.1)
    figure = against(runs, quiet, AXES, "test-error", facts={"task.noise": "0.1"})
    lines = [artist(ax, f"{MIXED_BALANCED}, finite d").get_xdata() for ax in figure.axes[:3]]
    assert np.nanmax(abs(lines[0] - lines[1])) > 0.3
    np.testing.assert_array_equal(lines[0], lines[2])


def test_nothing_in_common_or_nothing_predicted_is_refused(runs):
    with pytest.raises(LinphaseError, match="no cell is both"):
        against(runs, runs.assign(gamma_w=lambda t: t["gamma_w"] + 0.01), AXES, "test-error")
    with pytest.raises(LinphaseError, match="needs column imbalance"):
        against(runs, runs.assign(imbalance=None), AXES, "imbalance")


def test_the_evidence_shows_three_measures_and_dots_where_they_part(runs):
    other = runs.copy()
    other.loc[35, "signal_active_by_balance"] = 0.0
    figure = evidence(other, AXES)
    assert color_at(figure.axes[1], 5, 0) == pytest.approx(to_rgb(LOOKS["lazy"].color), abs=1e-6)
    x, y = artist(figure.axes[3], "parting").get_data()
    assert (x.tolist(), y.tolist()) == ([GAMMA_SIGMA2[0]], [GAMMA_W[5]])
    assert "regimes differ (1 of 42 cells)" in legend_labels(figure)
    facets = evidence(pd.concat([other, other.assign(rank=2)]), AXES | {"task.rank": [2, 4]})
    titles = [" ".join(ax.get_title().split()) for ax in facets.axes[3:8:4]]
    assert titles == [f"modes on which all agree $k$ = {k}" for k in (2, 4)]


def test_the_collapse_counts_the_modes_within_5_percent_of_the_curve(runs):
    wide = runs["width"] > D**1.9
    modes = pd.concat([modes_of(runs[wide], 1.04), modes_of(runs[~wide], 1.06)])
    figure = collapse(runs, modes)
    above, below = figure.axes[:2]
    words = [text.get_text() for text in artists(above, "table")]
    rows = [words[i : i + 3] for i in range(0, len(words), 3)]
    assert rows[0] == ["width", "modes", "within 5 %"]
    assert [row[0] for row in rows[1:3]] == ["1 to <10", "10 to <100"]
    assert rows[-2] == ["over $d^{1.9}$", f"{20 * wide.sum()}", "100.0 %"]
    assert rows[-1] == ["all", f"{20 * len(runs)}", f"{np.floor(1000 * wide.mean()) / 10:.1f} %"]
    x, ratio = artist(below, "modes").get_offsets().T
    assert len(x) == 20 * len(runs)
    assert set(np.round(ratio, 6)) == {1.04, 1.06}
    x, y = artist(above, "curve").get_data()
    np.testing.assert_allclose(y, np.hypot(1, x))
    assert artist(above, "modes").get_rasterized()


def test_the_collapse_says_how_many_modes_its_lower_diagram_leaves_out(runs):
    modes = modes_of(runs, 1.0)
    modes.loc[100, "speed_up"] *= 1e3
    words = [text.get_text() for text in artists(collapse(runs, modes).axes[0], "table")]
    assert words[-3:] == ["outside, below", "1", ""]


def test_the_collapse_leaves_out_what_did_not_converge(runs):
    spoiled = runs.assign(status=["step_limit", *["converged"] * (len(runs) - 1)])
    figure = collapse(spoiled, modes_of(runs, 1.0))
    assert len(artist(figure.axes[1], "modes").get_offsets()) == 20 * (len(runs) - 1)
    assert figure.axes[0].get_title().startswith("every mode of every converged run on")
    assert collapse(runs, modes_of(runs, 1.0)).axes[0].get_title().startswith("every mode of every run on")
    with pytest.raises(LinphaseError, match=r"0 of 42 runs converged.* Sweep with stop\.rule"):
        collapse(runs.assign(status="diverged"), modes_of(runs, 1.0))


def test_a_diagram_of_many_cells_has_no_more_artists_than_one_of_few():
    # Cells are a mesh and their marks collections: a figure of 100 x 100 cells takes as long as one of 10 x 10.
    def drawn(count):
        axes = {"gamma_sigma2": np.linspace(-3, 0, count).tolist(), "gamma_w": np.linspace(0.5, 2.8, count).tolist()}
        rows = [run(x, y, status="step_limit" if x > -2 else "converged") for x, y in product(*axes.values())]
        (ax, *_) = phase_diagram(table(*rows), axes, "test-error").axes
        return sum(isinstance(artist, Collection) for artist in ax.findobj())

    assert drawn(8) == drawn(40)


def test_baselines_are_marked_only_where_all_cells_have_one_task(runs):
    known = {"lazy_test_error": 0.5, "optimal_test_error": 0.1, "balanced_test_error": 0.3, "zero_test_error": 1.0}
    louder = runs.assign(**known, noise=2.0, run_id=runs["run_id"] + " louder")
    several = pd.concat([runs.assign(**known), louder], ignore_index=True)
    over_noise = {"gamma_sigma2": AXES["gamma_sigma2"], "task.noise": [1.0, 2.0]}
    one, other = (
        phase_diagram(table, axes, "test-error")
        for table, axes in ((runs.assign(**known), AXES), (several[several["gamma_w"] == GAMMA_W[3]], over_noise))
    )
    assert [len(marks(figure.axes[1])) for figure in (one, other)] == [3, 0]

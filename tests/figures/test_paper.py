"""Figures 1 and 2 as the paper draws them."""

from math import log

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import LogNorm, Normalize, to_hex

from linphase.errors import LinphaseError
from linphase.figures.paper import FIGURE_2, figure1, figure2
from linphase.theory.boundaries import INFINITE_NOISE, MIXED_LAZY, UNDERPARAMETERIZED
from tests.figures.made import AXES, GAMMA_SIGMA2, GAMMA_W, RANK, D, artist, artists, legend_labels, trajectory
from tests.figures.pictures import plain

PUBLISHED = {
    "test-error": [0.25, 0.5, 0.75],
    "stable-rank": [3, 5, 7],
    "iterations": [100, 200, 300],
    "distance": [-7, -4, 0],
}


def published(**columns):
    """Runs whose numbers reach beyond all published levels, linearly over both exponents."""
    share = (plain()["gamma_sigma2"] + 3) / 3 + plain()["gamma_w"] / 2.8  # from 0 to 2
    numbers = {
        "min_test_error": 0.1 + 0.5 * share,
        "stable_rank_at_min": 1 + 4 * share,
        "iterations_at_min": 10 + 200 * share,
        "distance_to_self_consistent": np.exp(5 * share - 8.5),
    }
    return plain().assign(**(numbers | columns))


@pytest.fixture(scope="module")
def four():
    figure = figure2(published(), AXES)
    return dict(zip(FIGURE_2, [ax for ax in figure.axes if ax.get_ylabel() == r"$\gamma_w$"], strict=True))


def test_the_four_panels_have_the_papers_levels_in_its_colours(four):
    for name, levels in PUBLISHED.items():
        contours = artist(four[name], "levels")
        assert contours.levels.tolist() == levels
        gray = [to_hex(color) for color in contours.get_edgecolor()]
        assert gray == ["#d3d3d3", "#d3d3d3", "#a0a0a0" if name == "stable-rank" else "#d3d3d3"]
        assert contours.get_linestyle() == [(0, None)] * 3  # solid, the negative ones too
        assert sorted(float(text.get_text().replace("\N{MINUS SIGN}", "-")) for text in four[name].texts) == levels


def test_the_bands_are_viridis_on_a_linear_scale_that_holds_every_number(four):
    for ax in four.values():
        bands = artist(ax, "bands")
        assert bands.get_cmap().name == "viridis"
        assert isinstance(bands.norm, Normalize)
        assert not isinstance(bands.norm, LogNorm)
        assert np.ptp(np.diff(bands.levels)) < 1e-9 * np.ptp(bands.levels)
    assert (artist(four["distance"], "bands").levels[[0, -1]] * [1, -1] <= [-8.5, -1.5]).all()


def test_the_axes_are_exponents_and_end_at_the_outermost_centres(four):
    for ax in four.values():
        assert ax.get_xscale() == ax.get_yscale() == "linear"
        assert ax.get_xlim() == (GAMMA_SIGMA2[0], GAMMA_SIGMA2[-1])
        assert ax.get_ylim() == (GAMMA_W[0], GAMMA_W[-1])


def test_the_lines_are_the_papers_three_and_no_others(four):
    for ax in four.values():
        found = {line.get_gid(): line for line in ax.lines}
        assert set(found) == {MIXED_LAZY, INFINITE_NOISE, UNDERPARAMETERIZED}
        x, y = found[MIXED_LAZY].get_data()
        np.testing.assert_allclose(x + y, 1)
        x, y = found[INFINITE_NOISE].get_data()
        np.testing.assert_allclose(2 * x + y, 0, atol=1e-12)
        x, y = found[UNDERPARAMETERIZED].get_data()
        np.testing.assert_allclose(y, log(RANK) / log(D))
        assert min(x) < GAMMA_SIGMA2[0] < GAMMA_SIGMA2[-1] < max(x)
        colors = {name: to_hex(line.get_color()) for name, line in found.items()}
        assert colors == {MIXED_LAZY: "#0d0d0d", INFINITE_NOISE: "#d62728", UNDERPARAMETERIZED: "#ff8c00"}


def test_contours_run_through_the_averages_of_cells_at_their_centres(four):
    # The numbers are linear in the exponents, which linear interpolation reproduces.
    one = published()
    two = pd.concat([one.assign(min_test_error=one["min_test_error"] + by) for by in (-0.1, 0.1)])
    for ax in (four["test-error"], figure2(two, AXES, ["test-error"]).axes[0]):
        for level, pieces in zip((0.25, 0.5, 0.75), artist(ax, "levels").allsegs, strict=True):
            x, y = np.concatenate(pieces).T
            np.testing.assert_allclose(0.1 + 0.5 * ((x + 3) / 3 + y / 2.8), level)


def test_variances_and_widths_are_drawn_as_their_exponents():
    runs = published()
    axes = {"init_variance": sorted(set(D**GAMMA_SIGMA2)), "width": sorted(set(runs["width"]))}
    ax = figure2(runs, axes, ["test-error"]).axes[0]
    np.testing.assert_allclose(ax.get_xlim(), GAMMA_SIGMA2[[0, -1]], atol=1e-12)
    np.testing.assert_allclose(ax.get_ylim(), np.log(runs["width"].to_numpy()[[0, -1]]) / np.log(D))
    x, y = artist(ax, MIXED_LAZY).get_data()
    np.testing.assert_allclose(x + y, 1)


def test_a_cell_without_a_number_leaves_a_gap():
    error = published()["min_test_error"].copy()
    row, column = 3, 4
    error[row * len(GAMMA_SIGMA2) + column] = np.nan

    def covered(runs, x, y):
        bands = artist(figure2(runs, AXES, ["test-error"]).axes[0], "bands")
        return any(path.contains_point((x, y)) for path in bands.get_paths())

    place = GAMMA_SIGMA2[column] + 0.01, GAMMA_W[row] + 0.02
    assert covered(published(), *place)
    assert not covered(published(min_test_error=error), *place)
    diverged = published().assign(status=["diverged" if np.isnan(each) else "converged" for each in error])
    assert not covered(diverged, *place)


def test_the_values_of_contours_keep_apart_and_inside(four):
    for ax in four.values():
        ax.figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        frame = ax.get_window_extent()
        assert all(frame.x0 < box.x0 < box.x1 < frame.x1 and frame.y0 < box.y0 < box.y1 < frame.y1 for box in boxes)


def test_numbers_that_no_level_meets_have_no_contours():
    figure = figure2(published(min_test_error=0.9), AXES, ["test-error"], style="talk")
    assert artists(figure.axes[0], "bands")
    assert not artists(figure.axes[0], "levels")
    assert legend_labels(figure) == [MIXED_LAZY, INFINITE_NOISE, "width = k"]
    (legend,) = figure.legends  # as wide as a column, though type is larger there
    assert 0 <= legend.get_window_extent().x0 < legend.get_window_extent().x1 <= figure.bbox.width


ONE = {"gamma_sigma2": AXES["gamma_sigma2"], "gamma_w": [1.0]}


@pytest.mark.parametrize(
    ("axes", "panels", "changes", "message"),
    [
        (AXES, ["regime"], {}, "panel must be test-error, stable-rank, iterations or distance, found 'regime'"),
        ({"gamma_sigma2": [-1.0, 0.0], "task.rank": [2, 4]}, ["iterations"], {}, "found gamma_sigma2 and rank"),
        (AXES | {"task.rank": [2, 4]}, ["iterations"], {}, "one facet, found 2. Choose one, .* --where rank=2"),
        (ONE, ["iterations"], {}, "two values or more of gamma_w, found 1"),
        (AXES, ["distance"], {"distance_to_self_consistent": np.nan}, "panel distance needs column"),
        (AXES, ["iterations"], {"status": "diverged"}, "no cell has a number for panel iterations"),
    ],
)
def test_what_has_no_contours_is_told(axes, panels, changes, message):
    with pytest.raises(LinphaseError, match=message):
        figure2(published(**changes), axes, panels)


def test_no_runs_have_no_contours():
    with pytest.raises(LinphaseError, match="found no runs"):
        figure2(published().iloc[:0], AXES, ["test-error"])


@pytest.fixture(scope="module")
def one_descent():
    run = trajectory(time=np.arange(30) / 100)
    return figure1(run, trajectory(), threshold=5.0, rank=2, names=("descent", "theory"))


def test_descent_is_dashed_and_theory_solid_in_the_same_colours_on_linear_axes(one_descent):
    errors, modes = one_descent.axes
    for ax, gid in ((errors, "train"), (errors, "test"), (modes, "mode 1"), (modes, "mode 2")):
        run, theory = artist(ax, gid), artist(ax, f"{gid}, theory")
        assert run.is_dashed()
        assert not theory.is_dashed()
        assert run.get_color() == theory.get_color()
        assert run.get_linewidth() > theory.get_linewidth()
    for ax in (errors, modes):
        assert ax.get_xscale() == ax.get_yscale() == "linear"
        assert ax.get_xlim() == (0, 29)
        assert ax.get_ylim()[0] == 0
    np.testing.assert_allclose(artist(errors, "train, theory").get_xdata(), 100 * trajectory().time)  # in steps


def test_every_singular_value_of_the_run_stands_against_a_horizontal_threshold(one_descent):
    modes = one_descent.axes[1]
    s = trajectory().singular_values
    for i in range(6):
        np.testing.assert_array_equal(artist(modes, f"mode {i + 1}").get_ydata(), s[:, i])
    assert artist(modes, "mode 1").get_color() != artist(modes, "mode 2").get_color()
    band = artist(modes, "bulk").get_datalim(modes.transData)
    assert (band.y0, band.y1) == (s[:, -1].min(), s[:, 2].max())
    threshold = artist(modes, "threshold")
    assert list(threshold.get_ydata()) == [5.0, 5.0]
    assert not threshold.is_dashed()
    assert legend_labels(one_descent) == ["descent", "theory", "bulk, descent", r"threshold $\sigma^2 w$ = 5"]


def test_a_network_without_a_bulk_and_one_that_exploded_are_drawn():
    few = trajectory(modes=2, train_error=np.r_[np.ones(28), np.inf, np.nan])
    figure = figure1(few, few, threshold=1e9, rank=2, names=("descent", "theory"), style="talk")
    assert not artists(figure.axes[1], "bulk")
    assert artist(figure.axes[1], "threshold is above")
    figure.draw_without_rendering()

"""The closed form of one mode, and the boundaries against random matrices."""

from collections.abc import Callable
from decimal import Decimal, getcontext, localcontext
from math import sqrt

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from linphase.theory.boundaries import (
    INFINITE_NOISE,
    MIXED_BALANCED,
    MIXED_LAZY,
    UNDERPARAMETERIZED,
    _bulk_share,
    balanced_threshold,
    boundaries,
    lazy_threshold,
    middle_signal_value,
    signal_singular_value,
    signal_spread,
)
from linphase.theory.mode import mode_time, mode_value


def largest_start_value(init_variance: float, width: float, d_out: int, d_in: int) -> float:
    """s_max(A0), the largest singular value of the network at the start, for large dimensions.

    sigma2 sqrt(width d_in (1 + u)(1 + a u)(1 + b u)/u), a = d_out/width, b = d_out/d_in, u > 0 the root of
    2 a b u^3 + (a + b + a b) u^2 = 1.
    """
    a, b = d_out / width, d_out / d_in
    u = _root(lambda u: (2 * a * b * u + a + b + a * b) * u * u - 1, 0.0, (a + b + a * b) ** -0.5)
    return init_variance * sqrt(width * d_in * (1 + u) * (1 + a * u) * (1 + b * u) / u)


def all_start_lazy_width(d_out: int, d_in: int) -> float:
    """Width above which every singular value of A0 is below c = sigma2 * width at the start, whatever sigma2.

    4.73 d for a square network: the theory's picture of a lazy start holds for wider networks only.
    """
    largest = 100.0 * (d_out + d_in)
    return _root(lambda w: largest_start_value(1.0, w, d_out, d_in) - w, 1e-3, largest)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(brentq(function, low, high, xtol=1e-15 * high, rtol=1e-14))


FINITE = {MIXED_LAZY, MIXED_BALANCED, INFINITE_NOISE, UNDERPARAMETERIZED}


def exact_mode(t: float, s0: float, target: float, c: float) -> float:
    """The Riccati solution to 60 digits: e^u moves between the fixed points (target +- R)/c."""
    getcontext().prec = 60
    time, start, goal, scale = (Decimal(float(value)) for value in (t, s0, target, c))
    R = (goal * goal + scale * scale).sqrt()
    y0 = (start + (start * start + scale * scale).sqrt()) / scale
    high, low = (goal + R) / scale, (goal - R) / scale
    ratio = (y0 - high) / (y0 - low) * (-2 * R * time).exp()
    y = (high - low * ratio) / (1 - ratio)
    return float(scale * (y - 1 / y) / 2)


# ------------------------------------------------------------------------------------------------ one mode


@pytest.mark.parametrize("c", [1e-14, 1e-6, 0.3, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("s0", [0.0, 1e-9, 0.3, 5.0, 1e6])
@pytest.mark.parametrize("target", [1e-12, 1e-3, 3.0, 40.0])
def test_mode_value_agrees_with_sixty_digits_from_the_rich_to_the_lazy_limit(s0, target, c):
    times = np.array([1e-12, 1e-5, 0.3, 2.0, 8.0, 30.0, 60.0]) / np.hypot(target, c)
    expected = [exact_mode(t, s0, target, c) for t in times]
    np.testing.assert_allclose(mode_value(times, s0, target, c), expected, rtol=2e-14, atol=0)


@pytest.mark.parametrize(("s0", "target", "c"), [(0, 3, 0.5), (5, 3, 0.5), (0.1, 40, 7), (0, 2, 100)])
def test_mode_value_solves_the_self_consistent_equation(s0, target, c):
    times = np.linspace(0, 2 / np.hypot(target, c), 9)
    flow = solve_ivp(
        lambda _, s: 2 * np.hypot(s, c) * (target - s),
        (0, times[-1]), [s0], "DOP853", times, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(mode_value(times, s0, target, c), flow.y[0], rtol=1e-9, atol=1e-12)


def test_mode_value_tends_to_the_logistic_curve_for_a_small_threshold():
    # Saxe et al. 2014: ds/dt = 2 s (target - s).
    t, s0, target = np.linspace(0, 4, 50), 1e-3, 2.0
    logistic = target / (1 + (target / s0 - 1) * np.exp(-2 * target * t))
    np.testing.assert_allclose(mode_value(t, s0, target, 1e-12), logistic, rtol=1e-12)


def test_mode_value_tends_to_the_lazy_exponential_for_a_large_threshold():
    x, target, c = np.linspace(0, 5, 50), 2.0, 1e9
    np.testing.assert_allclose(mode_value(x / (2 * c), 0, target, c), -target * np.expm1(-x), rtol=1e-12)


@pytest.mark.parametrize("c", [1e-14, 1e-3, 1.0, 1e4, 1e12])
@pytest.mark.parametrize(("s0", "target"), [(0.0, 3.0), (1e-8, 40.0), (5.0, 3.0), (2.0, 1e-3)])
def test_mode_time_inverts_mode_value_near_both_ends(s0, target, c):
    share = np.array([1e-9, 1e-4, 0.1, 0.5, 0.9, 1 - 1e-4])
    s = s0 + share * (target - s0)
    t = mode_time(s, s0, target, c)
    assert (np.diff(t) > 0).all()
    np.testing.assert_allclose(mode_value(t, s0, target, c), s, rtol=1e-12)


def by_decimals(s, s0, target, c):
    """The time from s0 to s with 60 digits: ln(K(s0)/K(s))/(2 R), K = (P/p - 1)/(1 + c^2/(p P))."""
    with localcontext() as context:
        context.prec = 60
        s, s0, target, c = map(Decimal, (s, s0, target, c))

        def plus(x):
            return x + (x * x + c * c).sqrt()

        def K(x):
            return (plus(target) / plus(x) - 1) / (1 + c * c / (plus(x) * plus(target)))

        return float((K(s0) / K(s)).ln() / (2 * (target * target + c * c).sqrt()))


def test_mode_time_keeps_its_digits_from_either_sign_of_the_start():
    assert mode_time(-0.5, -3, 2, 1e-9) == pytest.approx(0.274653, abs=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(500):
        c, s0 = 10 ** rng.uniform(-12, 6), rng.choice([-1, 1]) * 10 ** rng.uniform(-3, 2)
        target = rng.choice([-1, 1]) * 10 ** rng.uniform(-3, 2)
        s = s0 + rng.uniform(0.001, 0.999) * (target - s0)
        assert mode_time(s, s0, target, c) == pytest.approx(by_decimals(s, s0, target, c), rel=1e-12)


def test_mode_time_is_infinite_at_the_target_and_nan_beyond_the_curve():
    assert mode_time(3, 0, 3, 1) == np.inf
    assert mode_time(0, 0, 3, 1) == 0
    assert np.isnan(mode_time([-0.1, 3.1], 0, 3, 1)).all()


def test_mode_value_broadcasts_and_stays_between_start_and_target():
    values = mode_value(np.linspace(0, 50, 40)[:, None], 0, np.array([1.0, 7.0, 0.0]), 0.3)
    assert values.shape == (40, 3)
    assert (values >= 0).all()
    assert (values <= [1.0, 7.0, 0.0]).all()
    assert (np.diff(values, axis=0) >= 0).all()
    np.testing.assert_array_equal(mode_value(np.inf, 0, [1.0, 7.0], 0.3), [1.0, 7.0])


# ------------------------------------------------------------------------------------- thresholds at finite d


def draw_target(rng, d_out, d_in, rank, noise):
    u, v = (rng.standard_normal((d, rank)) * rank**-0.25 for d in (d_out, d_in))
    return np.linalg.svd(u @ v.T + noise * rng.standard_normal((d_out, d_in)), compute_uv=False)


def test_the_lazy_threshold_of_a_square_task_is_s_plus_d_over_s():
    s = signal_singular_value(5, None, 200, 200)
    assert s == pytest.approx(200 / np.sqrt(5))
    assert lazy_threshold(s, 1.0, 200, 200) == pytest.approx(s + 200 / s)
    assert lazy_threshold(s, 0.0, 200, 200) == pytest.approx(s)


def test_a_signal_below_the_noise_leaves_the_edge_of_the_noise():
    d_out, d_in = 90, 160
    edge = np.sqrt(d_out) + np.sqrt(d_in)
    at_transition = (d_out * d_in) ** 0.25
    assert lazy_threshold(0.5 * at_transition, 1.0, d_out, d_in) == pytest.approx(edge)
    assert lazy_threshold(at_transition * (1 + 1e-9), 1.0, d_out, d_in) == pytest.approx(edge)


@pytest.mark.parametrize(("d_out", "d_in", "noise"), [(200, 200, 1.0), (100, 250, 2.0)])
def test_the_lazy_threshold_is_the_signal_singular_value_of_drawn_tasks(d_out, d_in, noise):
    # Mean over 8 draws x 5 modes; one mode spreads by 12 %, the mean by 2 %: 6 % is three deviations.
    rng = np.random.default_rng(1)
    leading = np.mean([draw_target(rng, d_out, d_in, 5, noise)[:5].mean() for _ in range(8)])
    signal = signal_singular_value(5, None, d_out, d_in)
    assert lazy_threshold(signal, noise, d_out, d_in) == pytest.approx(leading, rel=0.06)


@pytest.mark.parametrize("noise", [1.0, 0.3])
@pytest.mark.parametrize("signal_norm", [None, 1.0])
@pytest.mark.parametrize("rank", [1, 2, 3, 8])
def test_the_line_of_the_signal_is_the_median_of_its_modes_for_even_and_odd_ranks(rank, signal_norm, noise):
    # Of log_d c at d = 64; 300 draws have a standard error of at most 0.0018, the median and the mean of logarithms
    # differ by 0.003 at k = 8. The root mean square d/sqrt(k) in its place is 0.013 too high there.
    d, rng, drawn = 64, np.random.default_rng(6), []
    for _ in range(300):
        u, v = (rng.standard_normal((d, rank)) * rank**-0.25 for _ in range(2))
        signal = u @ v.T if signal_norm is None else u @ v.T * d / np.linalg.norm(u @ v.T)
        S = np.linalg.svd(signal + noise * rng.standard_normal((d, d)), compute_uv=False)
        drawn.append(np.median(np.log(S[:rank])))
    found = lazy_threshold(middle_signal_value(rank, signal_norm, d, d), noise, d, d)
    assert np.log(found) / np.log(d) == pytest.approx(np.mean(drawn) / np.log(d), abs=0.006)


@pytest.mark.parametrize(("d_out", "d_in", "rank"), [(12, 12, 3), (6, 20, 5), (9, 9, 9)])
def test_the_middle_signal_value_is_the_geometric_mean_of_drawn_signals(d_out, d_in, rank):
    # Of log s: the mean over 4000 draws has a standard error below 0.01.
    rng = np.random.default_rng(7)
    u, v = (rng.standard_normal((4000, d, rank)) * rank**-0.25 for d in (d_out, d_in))
    triangles = (np.linalg.qr(each, mode="r") for each in (u, v))
    logs = sum(np.log(np.abs(np.linalg.det(R))) for R in triangles) / rank
    assert np.log(middle_signal_value(rank, None, d_out, d_in)) == pytest.approx(logs.mean(), abs=0.04)
    wide = middle_signal_value(rank, 4.0, 10**5, 10**5)
    assert wide == pytest.approx(2 * signal_singular_value(rank, None, 10**5, 10**5), rel=1e-4)


def test_the_spread_of_one_draw_is_the_stated_one_and_that_of_drawn_signals():
    low, high = signal_spread(5, 200, 200)
    assert (low, high) == pytest.approx((0.83, 1.16), abs=0.01)
    rng = np.random.default_rng(2)
    drawn = np.array([draw_target(rng, 200, 200, 5, 0.0)[:5] for _ in range(12)]) / (200 / np.sqrt(5))
    assert drawn.min(axis=1).mean() == pytest.approx(low, abs=0.05)
    assert drawn.max(axis=1).mean() == pytest.approx(high, abs=0.05)


def test_the_balanced_threshold_is_0808_sqrt_d_less_k_when_wide_and_27_at_width_10():
    assert balanced_threshold(1e5, 5, 1.0, 200, 200) == pytest.approx(0.808 * np.sqrt(195), rel=1e-3)
    assert balanced_threshold(10, 5, 1.0, 200, 200) == pytest.approx(26.6, abs=0.1)


@pytest.mark.parametrize(("d", "rank", "within"), [(16, 3, 0.09), (32, 4, 0.025), (200, 5, 0.004)])
def test_the_balanced_threshold_is_the_median_of_drawn_bulks_the_better_the_larger_d_is(d, rank, within):
    # The mean of 40 medians is right to 1 %, 0.5 % and 0.1 %; what is left is the signal's push on the bulk.
    rng = np.random.default_rng(5)
    drawn = np.mean([np.median(draw_target(rng, d, d, rank, 1.0)[rank:]) for _ in range(40)])
    assert balanced_threshold(1e5, rank, 1.0, d, d) == pytest.approx(drawn, rel=within)
    assert 0.808 * np.sqrt(d) > balanced_threshold(1e5, rank, 1.0, d, d) > drawn * (1 - within / 4)


def test_the_balanced_threshold_runs_from_the_edge_of_the_noise_to_its_median():
    widths = np.array([5.0, 5.000001, 10, 50, 120, 200, 1000])
    c = balanced_threshold(widths, 5, 1.0, 200, 200)
    assert np.isnan(c[0])
    assert c[1] == pytest.approx(2 * np.sqrt(195), rel=1e-3)
    assert (np.diff(c[1:6]) < 0).all()
    assert c[5] == c[6]
    assert np.isnan(balanced_threshold(1000, 200, 1.0, 200, 200))  # rank = d: no bulk


@pytest.mark.parametrize(("d_out", "d_in"), [(200, 200), (80, 320)])
@pytest.mark.parametrize("width", [12, 50, 100_000])
def test_half_of_the_bulk_the_width_can_hold_lies_above_the_balanced_threshold(d_out, d_in, width):
    # The median of one draw of 195 or 75 rigid values wanders by well under 3 %, here averaged over 4.
    rng = np.random.default_rng(3)
    held = [draw_target(rng, d_out, d_in, 5, 1.5)[5 : min(width, d_out, d_in)] for _ in range(4)]
    expected = np.mean([np.median(bulk) for bulk in held])
    assert balanced_threshold(width, 5, 1.5, d_out, d_in) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("b", [1e-9, 9e-4, 1.1e-3, 0.5, 0.999, 1.0])
def test_the_closed_form_of_the_bulk_share_is_the_integral(b):
    for angle in (0.4, 1.3, 2.9):
        integral, _ = quad(
            lambda x: 2 * np.sin(x) ** 2 / (np.pi * (1 + b * b - 2 * b * np.cos(x))), 0, angle, limit=200
        )
        assert _bulk_share(np.array(angle), b) == pytest.approx(integral, abs=3e-7)


@pytest.mark.parametrize(("d_out", "d_in", "width"), [(200, 200, 300), (100, 300, 150), (150, 60, 2000)])
def test_the_largest_start_value_is_that_of_drawn_networks(d_out, d_in, width):
    # The edge of one draw fluctuates by about d^(-2/3), 3 %; 5 % for the mean of 5.
    rng = np.random.default_rng(4)
    drawn = [
        np.linalg.norm(rng.standard_normal((d_out, width)) @ rng.standard_normal((width, d_in)), 2) for _ in range(5)
    ]
    assert largest_start_value(0.3, width, d_out, d_in) == pytest.approx(0.3 * np.mean(drawn), rel=0.05)


def test_all_singular_values_start_lazy_above_a_width_of_4_73_d():
    width = all_start_lazy_width(200, 200)
    assert width == pytest.approx(4.73 * 200, rel=1e-3)
    assert largest_start_value(1e-3, width, 200, 200) == pytest.approx(1e-3 * width)
    for d_out, d_in in ((1, 1), (10, 10_000), (300, 20)):
        edge = all_start_lazy_width(d_out, d_in)
        assert largest_start_value(1.0, edge, d_out, d_in) == pytest.approx(edge)
        assert edge == pytest.approx(all_start_lazy_width(d_in, d_out))


# ------------------------------------------------------------------------------------------------- boundaries


def lines(**changes):
    task = {"shape": (200, 200), "rank": 5, "noise": 1.0, "signal_norm": None} | changes
    gamma_w = np.linspace(0, 2.8, 281)
    return {(line.name, line.kind): line for line in boundaries(**task, gamma_w=gamma_w)}


def test_each_boundary_comes_at_finite_d_and_asymptotically_but_underparameterized():
    found = set(lines())
    assert {name for name, kind in found if kind == "finite d"} == FINITE
    assert {name for name, kind in found if kind == "asymptotic"} == FINITE - {UNDERPARAMETERIZED}


def test_the_asymptotic_lines_are_those_of_the_paper():
    found = lines()
    for name, slope, level in (
        (MIXED_LAZY, 1, 1),
        (MIXED_BALANCED, 1, 0.5),
        (INFINITE_NOISE, 2, 0),
    ):
        line = found[name, "asymptotic"]
        np.testing.assert_allclose(slope * line.gamma_sigma2 + line.gamma_w, level, atol=1e-12)


def test_on_the_finite_lines_sigma2_times_width_is_the_threshold():
    found = lines()
    for name in (MIXED_LAZY, MIXED_BALANCED):
        line = found[name, "finite d"]
        c = 200.0 ** (line.gamma_sigma2 + line.gamma_w)
        wide = line.gamma_w > 1
        s = 200 / 5**0.5 * (1 - 6 / 400)  # to first order in k/d
        expected = s + 200 / s if name == MIXED_LAZY else 0.8080 * 195**0.5
        np.testing.assert_allclose(c[wide], expected, rtol=1e-3)


def test_the_lines_between_regimes_end_at_width_equal_to_rank():
    found = lines()
    edge = np.log(5) / np.log(200)
    np.testing.assert_allclose(found[UNDERPARAMETERIZED, "finite d"].gamma_w, edge)
    for name in (MIXED_LAZY, MIXED_BALANCED):
        line = found[name, "finite d"]
        np.testing.assert_array_equal(np.isnan(line.gamma_sigma2), line.gamma_w < edge)


def test_the_band_of_the_active_line_encloses_it():
    line = lines()[MIXED_LAZY, "finite d"]
    assert line.band is not None
    low, high = line.band
    given = ~np.isnan(line.gamma_sigma2)
    assert (low[given] < line.gamma_sigma2[given]).all()
    assert (line.gamma_sigma2[given] < high[given]).all()


def test_without_noise_nothing_is_mixed_or_balanced_by_a_line():
    assert MIXED_BALANCED not in {name for name, _ in lines(noise=0.0)}


def test_the_signal_norm_moves_the_lazy_and_the_infinite_noise_line():
    plain, strong = lines(noise=0.0, signal_norm=1.0), lines(noise=0.0, signal_norm=4.0)
    moved = np.log(2) / np.log(200)
    for name in (MIXED_LAZY, INFINITE_NOISE):
        shift = strong[name, "finite d"].gamma_sigma2 - plain[name, "finite d"].gamma_sigma2
        np.testing.assert_allclose(shift[~np.isnan(shift)], moved)


def test_dimension_one_has_no_lines_and_huge_widths_no_overflow():
    assert boundaries((1, 1), 1, 1.0, None, [0.0, 1.0]) == []
    found = boundaries((64, 64), 4, 1.0, None, [0.5, 400.0])
    assert all(np.isfinite(line.gamma_sigma2).all() for line in found if line.name != UNDERPARAMETERIZED)


def test_full_rank_has_no_bulk_and_no_line_between_mixed_and_balanced():
    found = {(line.name, line.kind): line for line in boundaries((8, 8), 8, 1.0, None, [0.5, 1.5])}
    assert {name for name, _ in found} == FINITE - {MIXED_BALANCED}
    assert np.isfinite(found[MIXED_LAZY, "finite d"].gamma_sigma2[1])

"""Times of the modes read off curves whose passings are known."""

import numpy as np
import pytest

from linphase.model.mode_times import (
    between_moments,
    crossing_times,
    escaped_modes,
    learning_order,
    median_time,
    mode_times,
)
from linphase.theory.mode import mode_time, mode_value


@pytest.mark.parametrize("c", [1e-6, 0.3, 3.0])
def test_times_of_recorded_curves_are_those_of_the_closed_form(c):
    S = np.array([9.0, 5.0, 2.0])
    time = np.concatenate([[0.0], np.geomspace(1e-4, 60, 150)])
    found = mode_times(time, mode_value(time[:, None], 0, S, c), S, c)
    np.testing.assert_allclose(found.escape, mode_time(S / 2, 0, S, c), rtol=5e-3)
    np.testing.assert_allclose(found.convergence, mode_time(0.95 * S, 0, S, c), rtol=5e-3)
    crossing = np.where(c < S, mode_time(c, 0, S, c), np.nan)
    np.testing.assert_allclose(found.crossing, crossing, rtol=5e-3)


def test_times_follow_the_last_passing_and_say_always_and_never():
    time = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    s = np.array([
        [2.0, 0.5, 2.0, 0.5, 0.5, 1.0],
        [2.0, 2.0, 2.0, 0.5, 2.0, 1.0],
        [2.0, 0.5, 2.0, 0.5, 0.5, 1.0],
        [2.0, 0.5, 2.0, 0.5, 0.5, 1.0],
        [2.0, 2.0, 0.5, 0.5, 2.0, 2.0],
    ])  # fmt: skip
    found = crossing_times(time, s, 1.0)
    # Never is nan, always 0; exactly at c is not above.
    np.testing.assert_array_equal(np.floor(found), [0, 3, np.nan, np.nan, 3, 3])
    assert found[-1] == 3
    # With S = 2 the half is 1: the same passings, another place between the records.
    escape = mode_times(time, s, np.full(9, 2.0), 1.0).escape
    np.testing.assert_array_equal(np.floor(escape), [0, 3, np.nan, np.nan, 3, 3])


def test_a_dip_between_two_moments_is_found():
    # s = 0.9 + (t - 1.5)^2 is below 1 from 1.18 to 1.82, and above it at every moment.
    time = np.array([0.6, 0.9, 1.15, 1.85, 2.1, 2.4])
    s = 0.9 + (time - 1.5) ** 2
    assert (s > 1).all()
    assert crossing_times(time, s[:, None], 1.0)[0] == pytest.approx(1.5 + np.sqrt(0.1), abs=0.02)


def test_convergence_comes_after_the_last_excursion():
    time, S = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    s = np.array([
        [0.5, 1.0, 0.96, 0.5, 0.0],
        [0.9, 1.0, 1.10, 0.5, 0.0],
        [1.0, 1.0, 1.01, 0.5, 1.0],
        [1.0, 1.0, 1.00, 0.5, 1.0],
    ])  # fmt: skip
    found = mode_times(time, s, S, 0.1).convergence
    assert found[1] == 0
    assert np.isnan(found[3:]).all()
    assert 1 < found[2] < 2  # back from above
    assert 1 < found[0] < 2


def test_a_mode_that_passes_its_target_stays_converged():
    time = np.linspace(0, 6, 25)
    s = 1 - np.exp(-time) * np.cos(2 * time)  # beyond S = 1, and back; within 5 % for good from the last crossing of it
    fine = np.linspace(0, 6, 200_001)
    last = fine[np.flatnonzero(np.abs(np.exp(-fine) * np.cos(2 * fine)) > 0.05)[-1]]
    assert mode_times(time, s[:, None], np.ones(1), 0.1).convergence[0] == pytest.approx(last, rel=5e-3)


def test_one_record_says_always_or_never():
    assert crossing_times(np.zeros(1), np.array([[2.0]]), 1.0)[0] == 0
    assert np.isnan(crossing_times(np.zeros(1), np.array([[0.5]]), 1.0)[0])


def test_heights_that_are_cubic_are_so_between_moments():
    time = np.array([0.0, 0.5, 1.5, 2.0, 3.5])
    height = (time**3 - 5 * time**2 + 3)[:, None]
    fine_time, fine = between_moments(time, height)
    assert set(time) <= set(fine_time)
    np.testing.assert_allclose(fine[:, 0], fine_time**3 - 5 * fine_time**2 + 3, atol=1e-12)


def test_the_median_time_counts_never_as_infinity_and_equal_modes_as_many():
    never = np.nan
    assert median_time(np.array([3.0, 1.0, never, 2.0, 9.0])) == 3
    assert median_time(np.array([3.0, 1.0, 9.0, 2.0])) == 2.5
    assert median_time(np.array([1.0, 2.0, never, never])) is None
    assert median_time(np.array([1.0, 2.0, 5.0, never, never])) == 5
    assert median_time(np.zeros(0)) is None
    rng = np.random.default_rng(0)
    for n in range(1, 30):
        times = rng.exponential(size=n)
        assert median_time(times) == np.median(times)
        modes = rng.integers(1, 5, n)
        assert median_time(times, modes) == np.median(np.repeat(times, modes))
    assert median_time(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.3, 0.2])) == 2


def test_the_learning_order_is_the_bulks_median_time_over_the_signals():
    times = np.array([1.0, 3.0, 8.0, 4.0, 6.0])
    assert learning_order(times, 2) == 3
    assert learning_order(np.array([2.0, 6.0]), 2, np.array([2.0, 1e-20])) == 3
    assert learning_order(times, 5) is None  # no bulk
    assert learning_order(np.array([0.0, 1.0]), 1) is None
    assert learning_order(np.array([1.0, np.nan, 2.0]), 1) is None


def test_modes_that_have_a_target_escape_at_half_of_it():
    s = np.array([[4.9, 1.0, 1e-16], [5.1, 1.0, 1e-16], [9.0, 1.6, 1e-16]])
    np.testing.assert_array_equal(escaped_modes(s, [10.0, 3.0, 1e-16]), [0, 1, 2])
    np.testing.assert_array_equal(escaped_modes(s[:, :1], [10.0, 3.0, 0.0]), [0, 1, 1])
    np.testing.assert_array_equal(escaped_modes(s, [0.0, 0.0, 0.0]), [0, 0, 0])

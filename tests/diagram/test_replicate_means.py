"""Means of curves over the replicates of a cell."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from linphase.diagram.replicate_means import common_times, mean_curves
from linphase.errors import LinphaseError
from tests.figures.made import trajectory


def power_law(first, last, factor, power, n=20):
    """A run whose curves are factor x time^power, and factor x time^power/i for mode i; time 0 comes first."""
    time = np.r_[0.0, np.geomspace(first, last, n - 1)]
    values = factor * np.r_[0.0, time[1:] ** power]
    return replace(trajectory(n, time=time, train_error=values, test_error=2 * values),
                   singular_values=values[:, None] / np.array([1.0, 2.0]))  # fmt: skip


RUNS = [power_law(1e-3, 1.0, 1.0, 1.0), power_law(2e-3, 0.8, 3.0, 1.0), power_law(1e-4, 5.0, 2.0, 1.0)]


def test_the_times_are_those_that_all_replicates_cover_evenly_in_the_logarithm():
    time = common_times(RUNS)
    assert time[[0, -1]] == pytest.approx([2e-3, 0.8])  # the last to begin, the first to end
    assert np.ptp(np.diff(np.log(time))) < 1e-9
    with pytest.raises(LinphaseError, match="all must cover some moment after 0, found none"):
        common_times([power_law(1e-3, 1e-2, 1.0, 1.0), power_law(1e-1, 1.0, 1.0, 1.0)])


def test_power_laws_have_the_power_law_of_their_mean_whatever_moments_were_kept():
    # Linear in the logarithms between the moments kept, which is exact for them.
    time = common_times(RUNS)
    curves = mean_curves(RUNS, time)
    center = 6 ** (1 / 3)  # of the factors 1, 3 and 2
    np.testing.assert_allclose(curves.train.value, center * time, rtol=1e-12)
    np.testing.assert_allclose(curves.test.value, 2 * center * time, rtol=1e-12)
    np.testing.assert_allclose(curves.modes.value, center * time[:, None] / [1.0, 2.0], rtol=1e-12)


def test_the_interval_is_students_of_the_logarithms():
    time = common_times(RUNS)
    curves = mean_curves(RUNS, time)
    logs = np.log([1.0, 3.0, 2.0])
    low, high = stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs))
    np.testing.assert_allclose(curves.train.low / time, np.exp(low), rtol=1e-10)
    np.testing.assert_allclose(curves.modes.high[:, 0] / time, np.exp(high), rtol=1e-10)


def test_two_replicates_have_a_mean_and_no_interval_and_one_is_its_own_mean():
    time = common_times(RUNS[:2])
    two, one = mean_curves(RUNS[:2], time), mean_curves(RUNS[:1], time)
    np.testing.assert_allclose(two.train.value, np.sqrt(3) * time)
    np.testing.assert_allclose(one.train.value, time)
    assert np.isnan([two.train.low, two.train.high, one.test.low]).all()


def test_what_is_zero_or_unknown_has_no_place_on_a_logarithmic_axis_and_is_left_out_where_it_is():
    values = RUNS[0].train_error.copy()
    values[10:] = np.nan  # as a test error that no run measures, or modes that a narrow start lacks
    curves = mean_curves([replace(RUNS[0], train_error=values), *RUNS[1:]], common_times(RUNS))
    known = curves.time <= RUNS[0].time[9]
    assert np.isfinite(curves.train.value[known]).all()
    assert np.isnan(curves.train.value[curves.time > RUNS[0].time[10]]).all()
    assert np.isfinite(curves.test.value).all()

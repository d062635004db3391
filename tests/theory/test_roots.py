import numpy as np
import pytest
from scipy.optimize import brentq

from linphase.theory.roots import roots


def test_all_brackets_at_once_and_to_rounding():
    rng = np.random.default_rng(0)
    a, b, c = rng.uniform(0.1, 3, (3, 200))
    asked = []

    def function(x):
        asked.append(x)
        return a * x**3 + np.expm1(b * x) - c * 1e-3 / x  # monotone, from -infinity to infinity

    found = roots(function, np.full(200, 1e-9), np.full(200, 10.0))
    for i in range(200):
        exact = brentq(lambda x, i=i: a[i] * x**3 + np.expm1(b[i] * x) - c[i] * 1e-3 / x, 1e-9, 10, xtol=1e-300)
        assert found[i] == pytest.approx(exact, rel=1e-14)
    assert len(asked) < 60  # the slowest of 200; a bisection to 1e-15 takes 84


def test_a_zero_at_an_end_and_a_step_are_found():
    np.testing.assert_array_equal(roots(lambda x: x - 1, np.array([1.0]), np.array([3.0])), [1.0])
    step = roots(lambda x: np.where(x < np.pi, -1.0, 1e9), np.array([0.0]), np.array([100.0]))
    assert step == pytest.approx(np.pi, rel=1e-15)

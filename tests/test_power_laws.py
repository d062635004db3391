"""What benchmarks.power_laws fits, on made data and against lazy training in closed form; nothing is trained here."""

import numpy as np
import pytest

from benchmarks.power_laws import CAPACITY, THRESHOLDS, equation_1, exponent, fit_end, predicted, with_tail


def test_the_exponent_of_a_power_law_is_found():
    time = np.geomspace(1, 1e5, 400)
    assert exponent(time, 3 * time**-0.7, 1e4) == pytest.approx(0.7, abs=1e-12)


def test_lazy_training_by_equation_1_is_that_of_the_fixed_kernel():
    # w_k = w*_k (1 - exp(-2 c lambda_k t)), up to (||A*||/c)^2.
    K, source = 64, 0.5
    time, error = equation_1(K, "lazy", source)
    k = np.arange(1, K + 1.0)
    rate, weight = 2 * THRESHOLDS["lazy"] * k**-CAPACITY, k ** (-CAPACITY * source - 1)
    fixed = np.array([np.sum(weight * np.exp(-2 * rate * t)) for t in time])
    np.testing.assert_allclose(error, with_tail(K, source, fixed), rtol=1e-3)
    assert time[-1] == fit_end(K, "lazy", source)


def test_features_help_hard_tasks_only():
    assert predicted("rich", 0.25) == pytest.approx(0.4)
    assert predicted("rich", 0.5) == pytest.approx(2 / 3)
    assert predicted("rich", 1.5) == predicted("lazy", 1.5) == 1.5

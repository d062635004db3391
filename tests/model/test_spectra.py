"""Draws with spectra of the signal and of the inputs, and of samples."""

import numpy as np
import pytest
from scipy import stats

from linphase.errors import ConfigError
from linphase.model.draws import TaskConfig, draw_task, input_spectrum
from linphase.model.task import Task


@pytest.mark.parametrize(
    ("d_out", "rank", "decay", "norm"), [(20, 20, 1.0, 2.0), (8, 5, 2.0, None), (12, 4, -0.5, 0.3)]
)
def test_the_signal_has_the_singular_values_of_a_power_law_and_the_norm_that_is_asked_for(d_out, rank, decay, norm):
    keys = {"dimension": 20, "output_dimension": d_out, "rank": rank, "signal_norm": norm, "signal_decay": decay}
    task = draw_task(**keys, seed=1)
    s = np.linalg.svd(task.signal, compute_uv=False)
    # s_i = i^-a in any order: negative a grows.
    law = np.sort(np.arange(1, rank + 1.0) ** -decay)[::-1]
    np.testing.assert_allclose(s[:rank] / s[0], law / law[0], rtol=1e-12)
    np.testing.assert_allclose(s[rank:], 0, atol=1e-12)
    assert np.sum(task.signal**2) == pytest.approx((norm or 1.0) * d_out * 20, rel=1e-12)


def test_the_singular_vectors_of_a_power_law_are_haar_distributed():
    # Of a Haar vector in d dimensions each entry squared has the mean 1/d and the variance 2 (d - 1)/(d^2 (d + 2)).
    d, draws = 6, 800
    V = np.array([draw_task(dimension=d, rank=2, signal_decay=1.0, seed=seed).signal_svd[2] for seed in range(draws)])
    for mode in (0, 1):
        squares = V[:, :, mode] ** 2
        spread = np.sqrt(2 * (d - 1) / (d**2 * (d + 2)) / draws)
        assert np.abs(squares.mean(axis=0) - 1 / d).max() < 4 * spread


def test_inputs_have_the_covariance_of_a_power_law_with_the_trace_d_in():
    for decay in (0.5, 2.0, -1.0):
        config = TaskConfig(dimension=15, rank=3, input_decay=decay)
        values, j = input_spectrum(config), np.arange(1, 16.0)
        np.testing.assert_allclose(values / values[0], j**-decay, rtol=1e-14)
        assert values.sum() == pytest.approx(15)
        task = draw_task(config, seed=3)
        np.testing.assert_allclose(task.inputs.T @ task.inputs, np.diag(values), rtol=1e-14)
        assert task.size == pytest.approx(15 * 15)


def test_a_population_of_white_inputs_is_the_task_without_them():
    plain, other = draw_task(dimension=9, rank=2, seed=3), draw_task(dimension=9, rank=2, seed=3, input_decay=1e-9)
    assert type(plain) is Task
    np.testing.assert_array_equal(other.known_signal, plain.signal)
    np.testing.assert_allclose(other.solution, plain.target, rtol=1e-12)  # Y = A* + E is fitted, whatever Sigma
    np.testing.assert_allclose(other.residual(np.zeros((9, 9))), -plain.target, rtol=1e-8)


def test_an_aligned_signal_shares_its_right_vectors_with_the_covariance():
    task = draw_task(
        dimension=10, rank=4, noise=0.0, signal_decay=1.0, input_decay=0.8, input_alignment="aligned", seed=2
    )
    V = np.linalg.svd(task.known_signal)[2][:4]
    np.testing.assert_allclose(np.abs(V), np.eye(4, 10), atol=1e-12)  # Sigma is diagonal
    random = draw_task(dimension=10, rank=4, noise=0.0, signal_decay=1.0, input_decay=0.8, seed=2)
    assert np.abs(np.linalg.svd(random.known_signal)[2][:4]).max() < 0.99


def test_exponents_of_capacity_and_source_make_the_spectrum_and_the_power_of_one_output():
    alpha, beta = 1.5, 0.5
    task = draw_task(dimension=30, output_dimension=1, rank=1, noise=0.0, capacity_exponent=alpha, source_exponent=beta)
    k = np.arange(1, 31.0)
    np.testing.assert_allclose(task.inputs.T @ task.inputs, np.diag(k**-alpha), atol=1e-15)
    np.testing.assert_allclose(task.known_signal[0] ** 2 * k**-alpha, k ** (-alpha * beta - 1), rtol=1e-13)
    # The test error of what the first K directions leave is the tail of the power law.
    partial = np.where(k <= 10, task.known_signal, 0.0)
    deviation = task.held_out.product(partial) - task.held_out.target
    assert task.test_error(deviation) * task.size == pytest.approx(np.sum(k[10:] ** (-alpha * beta - 1)), rel=1e-12)


def of_samples(n, seed=0, **keys):
    return draw_task(**{"dimension": 6, "output_dimension": 4, "rank": 2, "samples": n, "seed": seed, **keys})


def test_fewer_samples_are_the_first_of_more():
    # n Sigma_n and n B_n are sums over samples, so what is added has as many directions as there are more samples.
    for decay in (0.0, 1.0):
        sums = {n: n * (lambda t: t.inputs.T @ t.inputs)(of_samples(n, input_decay=decay)) for n in (1, 3, 4, 40)}
        for few, more in ((1, 3), (3, 4), (4, 40)):
            s = np.linalg.eigvalsh(sums[more] - sums[few])
            assert s[0] > -1e-12
            assert np.count_nonzero(s > 1e-9) == min(more - few, 6)


def test_more_samples_than_are_drawn_at_a_time_are_the_same_ones(monkeypatch):
    whole = of_samples(500)
    monkeypatch.setattr("linphase.model.draws._CHUNK", 7)
    cut = of_samples(500)
    for one, other in ((whole.inputs, cut.inputs), (whole.target @ whole.inputs, cut.target @ cut.inputs)):
        gram = (lambda R: R.T @ R) if one is whole.inputs else (lambda B: B)
        np.testing.assert_allclose(gram(other), gram(one), atol=1e-12)


def test_many_samples_tend_to_the_population_as_one_over_the_root_of_their_number():
    exact = draw_task(dimension=6, output_dimension=4, rank=2, input_decay=0.5, noise=0.0)
    deviations = []
    for n in (400, 1600, 6400, 25600):
        tasks = [of_samples(n, seed, input_decay=0.5) for seed in range(8)]
        deviations.append(np.sqrt(np.mean([np.mean((task.solution - task.known_signal) ** 2) for task in tasks])))
    assert np.polyfit(np.log([400, 1600, 6400, 25600]), np.log(deviations), 1)[0] == pytest.approx(-0.5, abs=0.1)
    many = of_samples(25600, 0, input_decay=0.5)
    np.testing.assert_allclose(many.inputs.T @ many.inputs, exact.inputs.T @ exact.inputs, atol=0.08)
    assert many.irreducible_errors[0] * many.size == pytest.approx(4, rel=0.02)  # noise^2 for each of 4 outputs
    np.testing.assert_array_equal(many.known_signal, exact.known_signal)


@pytest.mark.parametrize("n", [3, 50])
def test_what_samples_tell_is_the_signal_under_noise_over_the_root_of_their_number(n):
    # T = A* R^T + (noise/sqrt n) N(0, 1), entry by entry; with n > d_in what is left has n - d_in degrees of freedom.
    tasks = [of_samples(n, seed, noise=2.0) for seed in range(300)]
    noise = np.concatenate([(t.target - t.known_signal @ t.inputs.T).ravel() for t in tasks]) * np.sqrt(n) / 2
    assert stats.kstest(noise, "norm").pvalue > 0.01
    lost = np.array([t.irreducible * n / 4 for t in tasks])
    if n > 6:
        assert stats.kstest(lost, stats.chi2(4 * (n - 6)).cdf).pvalue > 0.01
    else:
        assert np.abs(lost).max() < 1e-20


def test_the_scale_of_errors_of_samples_is_the_noise_that_a_fit_of_them_takes_in():
    # The excess is measured against E ||T - A* R^T||^2/N = noise^2 r/(n d_in).
    for n in (3, 50):
        tasks = [of_samples(n, seed, noise=2.0) for seed in range(200)]
        taken = np.mean([np.sum((t.target - t.known_signal @ t.inputs.T) ** 2) / (4 * 6) for t in tasks])
        assert tasks[0].error_scale == pytest.approx(4 * min(n, 6) / (n * 6), rel=1e-12)
        assert taken == pytest.approx(tasks[0].error_scale, rel=0.05)


def test_the_test_error_of_samples_is_the_populations():
    task, A = of_samples(7, input_decay=1.0), np.random.default_rng(0).standard_normal((4, 6))
    Sigma = np.diag(input_spectrum(TaskConfig(dimension=6, rank=2, input_decay=1.0)))
    apart = A - task.known_signal
    deviation = task.held_out.product(A) - task.held_out.target
    assert task.test_error(deviation) == pytest.approx(np.trace(apart @ Sigma @ apart.T) / 24, rel=1e-12)


@pytest.mark.parametrize(("keys", "told"), [
    ({"capacity_exponent": 1.0}, "capacity_exponent and source_exponent must be given together, found one of them"),
    ({"source_exponent": 1.0}, "capacity_exponent and source_exponent must be given together, found one of them"),
    ({"capacity_exponent": 1.0, "source_exponent": 1.0}, "capacity_exponent must be given with output_dimension = 1"),
    ({"input_alignment": "aligned"}, 'input_alignment = "aligned" must be given with signal_decay, found none'),
    ({"samples": 0}, "samples must be an integer from 1 to 10^7, found 0"),
    ({"samples": 10**7 + 1}, "samples must be an integer from 1 to 10^7"),
    ({"signal_decay": 11.0}, "signal_decay must be a number from -10 to 10, found 11.0"),
    ({"input_alignment": "diagonal"}, 'input_alignment must be "random" or "aligned", found'),
])  # fmt: skip
def test_spectra_that_do_not_go_together_are_refused(keys, told):
    with pytest.raises(ConfigError) as caught:
        TaskConfig(rank=1, **keys)
    assert told in str(caught.value)

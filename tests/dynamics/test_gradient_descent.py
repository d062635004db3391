import numpy as np
import pytest

from linphase.dynamics.gradient_descent import GradientDescent, PaperRate, paper_learning_rate
from linphase.errors import LinphaseError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, estimated_initialization, gaussian_start
from linphase.runs.stopping import Measured, PaperRule, PaperStop
from linphase.runs.training import train
from tests import naive


def test_the_automatic_learning_rate_is_one_over_fifty_of_the_largest_rate():
    task = draw_task(TaskConfig(dimension=12, rank=2))
    S = np.linalg.svd(task.target, compute_uv=False)
    for variance, largest in ((1e-6, S[0]), (10.0, 300.0)):
        start = Initialization.at(12, init_variance=variance, width=30)
        assert GradientDescent(learning_rate="auto").rate(task, start) == pytest.approx(1 / (50 * largest))


def test_the_papers_learning_rate_changes_where_the_exponents_sum_to_one():
    task = draw_task(TaskConfig(dimension=12, rank=2))
    op = np.linalg.norm(task.signal, 2)
    above = Initialization.at(12, gamma_sigma2=-1.0, gamma_w=2.1)
    on = Initialization.at(12, gamma_sigma2=-1.0, gamma_w=2.0)  # "greater than 1" excludes the line itself
    c = 12.0 ** (2.1 - 1.0)  # of d^gamma_w itself, and not of the width 184 that it is truncated to
    assert GradientDescent(learning_rate="paper").rate(task, above) == pytest.approx(1 / (50 * c))
    assert GradientDescent(learning_rate="paper").rate(task, on) == pytest.approx(1 / (50 * op))
    assert GradientDescent(learning_rate=PaperRate(paper=5)).rate(task, above) == pytest.approx(1 / (5 * c))
    assert paper_learning_rate(task, above) == GradientDescent(learning_rate="paper").rate(task, above)


def balance_drift(learning_rate: float, time: float) -> float:
    task = naive.random_task(6, 6, rank=2, seed=1)
    weights = naive.random_weights(5, 6, 6, 0.1, seed=2)
    steps = round(time / learning_rate)
    descent = GradientDescent(learning_rate=learning_rate, max_steps=steps)
    *_, last = descent.states(task, weights, estimated_initialization(weights))
    assert last.time == pytest.approx(time)

    def balance(w: Weights):
        return w.W1 @ w.W1.T - w.W2.T @ w.W2

    return float(np.linalg.norm(balance(last.weights) - balance(weights)))


def test_gradient_descent_drifts_from_balance_at_first_order_in_the_learning_rate():
    # The flow conserves W1 W1^T - W2^T W2; descent breaks it by O(eta).
    ratio = balance_drift(2e-4, time=1) / balance_drift(1e-4, time=1)
    assert ratio == pytest.approx(2, rel=0.02)


def test_gradient_descent_tends_to_the_flow_at_first_order():
    task = naive.random_task(6, 6, rank=2, seed=1)
    weights = naive.random_weights(5, 6, 6, 0.1, seed=2)
    exact = naive.gradient_flow(task, weights, 1.0)(1.0).product()
    deviations = []
    for rate in (2e-3, 1e-3, 5e-4):
        descent = GradientDescent(learning_rate=rate, max_steps=round(1 / rate))
        *_, last = descent.states(task, weights, estimated_initialization(weights))
        deviations.append(np.linalg.norm(last.weights.product() - exact))
    slope = np.polyfit(np.log([2e-3, 1e-3, 5e-4]), np.log(deviations), 1)[0]
    assert slope == pytest.approx(1, abs=0.05)


def test_a_learning_rate_too_large_diverges_and_keeps_the_trajectory():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-1, gamma_w=1.5)
    run = train(task, gaussian_start(start, task.shape), GradientDescent(learning_rate=0.5), initialization=start)
    assert run.status == "diverged"
    assert run.regime is None
    assert not run.converged
    assert len(run.trajectory.time) >= 2
    for name in ("time", "train_error", "test_error", "singular_values"):
        assert np.isfinite(getattr(run.trajectory, name)).all(), name
    assert np.isfinite(run.trajectory.mode_balance[0]).all()
    assert np.isfinite(run.train_error)
    assert np.isfinite(run.minimum.test_error)


def test_gradient_descent_converges_to_the_wanted_train_error():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-1, gamma_w=1.5)
    run = train(task, gaussian_start(start, task.shape), GradientDescent(), initialization=start)
    assert run.status == "converged"
    assert run.train_error <= 1e-3
    assert run.updates == run.trajectory.step[-1]
    assert run.gradient_evaluations == run.updates + 1


def test_the_budget_of_steps_ends_a_run():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-1, gamma_w=1.5)
    run = train(task, gaussian_start(start, task.shape), GradientDescent(max_steps=7), initialization=start)
    assert (run.status, run.updates, run.converged) == ("step_limit", 7, False)
    assert run.trajectory.step[-1] == 7


def test_the_smallest_test_error_of_descent_is_the_first_argmin_over_all_steps():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-2, gamma_w=1.5)
    weights = gaussian_start(start, task.shape)
    descent = GradientDescent(learning_rate=0.002, max_steps=600)
    run = train(task, weights, descent, initialization=start)
    path = naive.gradient_descent(task, weights, 0.002, run.updates, "simultaneous")
    tests = [naive.errors(task, w.product())[1] for w in path]
    assert run.minimum.step == int(np.argmin(tests))
    assert 0 < run.minimum.step < run.updates
    assert run.minimum.test_error == pytest.approx(min(tests), rel=1e-10)
    s = np.linalg.svd(path[run.minimum.step].product(), compute_uv=False)
    assert run.minimum.observables["stable_rank_at_min"] == pytest.approx(np.sum(s**2) / s[0] ** 2, rel=1e-8)
    assert run.minimum.observables["rank_at_min"] == np.count_nonzero(s > s[0] / 5)


def stopped_at(train_errors, test_errors):
    rule = PaperRule()
    for i, pair in enumerate(zip(train_errors, test_errors, strict=True)):
        status = rule.status(Measured(float(i), *pair, pair[0]))
        if status is not None:
            return i, status
    return None


def test_the_papers_rule_stops_on_a_small_train_error_at_any_step():
    assert stopped_at([9e-4], [1.0]) == (0, "converged")


def test_the_papers_rule_stops_on_two_rises_of_the_test_error_after_the_third_step():
    falling = np.linspace(2, 1, 9)
    assert stopped_at(falling, [5, 4, 3, 2, 1, 2, 3, 4, 5]) == (6, "stopped_early")
    assert stopped_at(falling, [1, 2, 3, 4, 5, 6, 7, 8, 9]) == (4, "stopped_early")


def test_the_papers_rule_stops_on_a_flat_train_error_only_after_a_fall():
    tests = np.linspace(2, 1, 9)
    assert stopped_at([2.0] * 9, tests) is None
    assert stopped_at([2, 1, 1, 1, 1, 1, 1, 1, 1], tests) == (4, "stopped_early")
    assert stopped_at([2, 1.9, 1.8, 1.7, 1.6, 1.5, 1.5001, 1.4, 1.3], tests) == (6, "stopped_early")


def test_the_papers_rule_ends_after_750_measurements():
    errors = np.linspace(2, 1.5, 800)
    assert stopped_at(errors, errors) == (749, "step_limit")


def test_the_papers_rule_counts_the_update_made_before_it_asked():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-2, gamma_w=1.5)
    weights = gaussian_start(start, task.shape)
    descent = GradientDescent(learning_rate="paper", update="alternating")
    run = train(task, weights, descent, stop=PaperStop(), initialization=start)
    assert run.status == "stopped_early"
    assert run.updates == run.trajectory.step[-1] + 1
    rate = paper_learning_rate(task, start)
    path = naive.gradient_descent(task, weights, rate, run.updates, "alternating")
    pairs = [naive.errors(task, w.product()) for w in path]
    assert stopped_at(*zip(*pairs, strict=True)) == (run.updates - 1, "stopped_early")
    assert (run.train_error, run.test_error) == pytest.approx(pairs[run.updates - 1], rel=1e-9)


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_what_a_run_out_of_steps_reports_is_one_network(update):
    # The budget ends the run, not the stop rule: nothing may move after the last measurement.
    task = draw_task(TaskConfig(dimension=12, rank=2))
    full = naive.random_weights(40, 12, 12, 0.05, seed=1)
    run = train(task, full, GradientDescent(learning_rate=0.02, update=update, max_steps=7))
    last = naive.gradient_descent(task, full, 0.02, 7, update)[-1]
    np.testing.assert_allclose(run.A, last.product(), atol=1e-12)
    for found, wanted in zip((run.C1, run.C2), last.gram(), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    s = np.linalg.svd(last.product(), compute_uv=False)
    np.testing.assert_allclose(run.trajectory.final_modes.singular_value, s, atol=1e-12)
    np.testing.assert_allclose(run.trajectory.singular_values[-1], s, atol=1e-12)


def test_the_papers_rule_out_of_budget_counts_only_the_updates_made():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-2, gamma_w=1.5)
    descent = GradientDescent(learning_rate="paper", max_steps=10)
    run = train(task, gaussian_start(start, task.shape), descent, stop=PaperStop(), initialization=start)
    assert (run.status, run.updates) == ("step_limit", 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1.0}, "a number above 0, found -1"),
        ({"learning_rate": "fast"}, "found 'fast'"),
        ({"update": "alternate"}, 'must be "simultaneous" or "alternating"'),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(LinphaseError, match=message):
        GradientDescent(**settings)

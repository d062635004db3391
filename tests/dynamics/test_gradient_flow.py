import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from linphase.dynamics.adams import STABLE, adams_step, of_cubic, of_parabola
from linphase.dynamics.chebyshev import chebyshev_step, error_gain, stability_bound, stages, stages_for
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.workspace import Workspace
from linphase.errors import LinphaseError
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, estimated_initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import PaperStop
from linphase.runs.training import train
from linphase.theory.mode import mode_value
from tests import naive


@pytest.mark.parametrize("s", [2, 3, 5, 12, 60])
def test_the_stability_polynomial_is_exp_to_second_order_and_bounded_up_to_the_stability_bound(s):
    def polynomial(z):  # y' = z y, h = 1, y0 = 1
        c = stages(s)
        before, last = np.ones_like(z), 1 + c.mu_tilde[1] * z
        for j in range(2, s + 1):
            new = (1 - c.mu[j] - c.nu[j]) + c.mu[j] * last + c.nu[j] * before
            before, last = last, new + c.mu_tilde[j] * z * last + c.gamma_tilde[j] * z
        return last

    z = 1e-3
    # exp(z) to z^2: the coefficient of z^3 lies between 0 and 1/6.
    assert abs(polynomial(np.array(z)) - np.exp(z)) < z**3 / 6 * (1 + z)
    assert np.abs(polynomial(np.linspace(-stability_bound(s), -1e-3, 5000))).max() < 1
    assert stability_bound(s) == pytest.approx(0.653 * (s**2 - 1), rel=1e-3)  # Sommeijer et al. 1998


def test_the_fewest_stable_stages_are_taken():
    for h_rho in (1e-6, 1.0, 1.9, 10.0, 1e4):
        s = stages_for(h_rho)
        assert stability_bound(s) >= h_rho
        assert s == 2 or stability_bound(s - 1) < h_rho


@pytest.fixture
def small():
    """d = 12, rank 2, width 20: a start with some balance and some laziness."""
    task = draw_task(TaskConfig(dimension=12, rank=2))
    return task, naive.random_weights(20, 12, 12, 0.05, seed=4)


def vector(weights):
    return np.concatenate([weights.W1.ravel(), weights.W2.ravel()])


def test_fixed_chebyshev_steps_converge_at_second_order(small):
    task, weights = small
    T = 0.2
    exact = naive.gradient_flow(task, weights, T)(T).product()
    lengths = T / np.array([8, 16, 32, 64])
    deviations = []
    for h in lengths:
        space = Workspace(task, weights, np.float64)
        for _ in range(round(T / h)):
            space.finish(chebyshev_step(space, h, stages_for(h * space.spectral_radius()[0])))
            space.accept()
        deviations.append(np.linalg.norm(space.weights.product() - exact))
    slope = np.polyfit(np.log(lengths), np.log(deviations), 1)[0]
    assert slope == pytest.approx(2, abs=0.15)


def test_adams_steps_of_unequal_length_converge_at_fourth_order(small):
    task, weights = small
    T = 0.2
    exact = naive.gradient_flow(task, weights, T)
    counts = np.array([32, 64, 128, 256])
    deviations = []
    for n in counts:
        # Every other step is half as long again; the first three states are exact.
        times = np.cumsum([0, *np.tile([0.8, 1.2], n // 2)]) * T / n
        space = Workspace(task, weights, np.float64)
        for t in times[1:3]:
            space.finish(vector(exact(t)) - space.y)
            space.accept()
        for i in range(2, n):
            h, past = times[i + 1] - times[i], (times[i - 1] - times[i], times[i - 2] - times[i])
            space.finish(adams_step(space, h, *past))
            space.accept()
        deviations.append(np.linalg.norm(space.weights.product() - exact(T).product()))
    slope = np.polyfit(np.log(counts), np.log(deviations), 1)[0]
    assert slope == pytest.approx(-4, abs=0.2)


def test_integrals_are_exact_for_polynomials():
    h = 0.7
    for times, weights in (
        ((0.7, 0.0, -0.4, -1.3), of_cubic(h, 0.7, 0.0, -0.4, -1.3)),
        ((0.0, -0.4, -1.3), of_parabola(h, 0.0, -0.4, -1.3)),
    ):
        for power in range(len(times)):
            found = sum(b * t**power for b, t in zip(weights, times, strict=True))
            assert found == pytest.approx(h ** (power + 1) / (power + 1))


def test_adams_steps_are_stable_as_far_as_they_are_used():
    # y' = z y/h with slopes at 0, -h, -2h: the companion matrix of one PECE step on (y_0, F_0, F_-1, F_-2).
    def radius(z):
        b, c = of_parabola(1, 0, -1, -2), of_cubic(1, 1, 0, -1, -2)
        predicted = np.array([1, *b])  # of y_0, h F_0, h F_-1, h F_-2
        end = np.array([1, *c[1:]]) + c[0] * z * predicted
        return np.abs(np.linalg.eigvals([end, z * end, [0, 1, 0, 0], [0, 0, 1, 0]])).max()

    assert max(radius(-x) for x in np.linspace(0.1, STABLE, 200)) < 0.92
    assert radius(-2) > 1


def test_longer_chebyshev_steps_are_as_right_at_a_saddle():
    # The cubic coefficient of the stability polynomial grows with the stages, towards 1/6.
    gains = [error_gain(s) for s in (2, 3, 4, 8, 40)]
    assert gains[0] == pytest.approx(1)
    assert (np.diff(gains) > 0).all()
    assert gains[-1] < 2


def test_the_error_of_a_run_is_of_the_order_of_its_tolerance(small):
    task, weights = small
    reference = naive.gradient_flow(task, weights, 3.0)
    tolerances = np.array([1e-3, 1e-4, 1e-5])
    for tolerance in tolerances:
        states = GradientFlow(tolerance=tolerance).states(task, weights, estimated_initialization(weights))
        worst = 0.0
        for state in states:
            if state.time > 3:
                break
            exact = reference(state.time).product()
            scale = max(np.linalg.norm(exact), np.linalg.norm(task.target))
            worst = max(worst, np.linalg.norm(state.residual + task.target - exact) / scale)
        assert worst < 3 * tolerance


def test_denser_snapshots_tell_the_balance_at_as_many_moments():
    task = draw_task(TaskConfig(dimension=12, rank=2))
    start = Initialization.at(12, gamma_sigma2=-2.0, gamma_w=1.0)
    known = []
    for snapshots in (48, 400):
        record = RecordConfig(snapshots=snapshots)
        run = train(task, gaussian_start(start, task.shape), record=record, initialization=start)
        known.append(np.isfinite(run.trajectory.mode_balance).all(axis=1).sum())
    assert known[1] >= known[0] >= 4


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_a_state_within_a_step_is_as_right_as_those_at_its_ends(small, tolerance):
    task, start = small
    exact = naive.gradient_flow(task, start, 3.0)
    dynamics = GradientFlow(tolerance=tolerance, stages="float64")
    at_ends, within, last = [0.0], [], None
    for state in dynamics.states(task, start, estimated_initialization(start)):
        if state.time > 3:
            break
        if last is not None:
            for share in (0.25, 0.5, 0.75):
                between = state.earlier(last + share * (state.time - last))
                within.append(np.linalg.norm(between.residual + task.target - exact(between.time).product()))
            np.testing.assert_allclose(state.earlier(state.time).residual, state.residual, rtol=1e-9, atol=1e-12)
        at_ends.append(np.linalg.norm(state.residual + task.target - exact(state.time).product()))
        last = state.time
    assert max(within) < 1.5 * max(at_ends)


def test_the_flow_conserves_the_balance_as_well_as_its_tolerance_lets_it(small):
    task, weights = small

    def drift(tolerance):
        run = GradientFlow(tolerance=tolerance).states(task, weights, estimated_initialization(weights))
        for state in run:
            if state.time > 3:
                break
        w, w0 = state.weights, weights
        change = (w.W1 @ w.W1.T - w.W2.T @ w.W2) - (w0.W1 @ w0.W1.T - w0.W2.T @ w0.W2)
        return np.linalg.norm(change) / np.linalg.norm(w.W1) ** 2

    assert drift(1e-3) < 1e-2
    assert drift(1e-5) < drift(1e-3) / 10


@pytest.mark.parametrize("c", [1e-3, 1.0, 50.0])
def test_one_mode_follows_the_closed_form(c):
    # With width 1 and d = 1, w2^2 - w1^2 = 2 c is conserved and ds/dt = 2 sqrt(s^2 + c^2) (s* - s) holds exactly.
    target, s0 = 5.0, 1e-3
    w1 = np.sqrt(np.hypot(s0, c) - c) if c < 1 else s0 / np.sqrt(c + np.hypot(s0, c))
    weights = Weights(np.array([[w1]]), np.array([[s0 / w1]]))
    task = Task(np.array([[target]]), np.array([[target]]), rank=1)
    assert weights.W2[0, 0] ** 2 - w1**2 == pytest.approx(2 * c, rel=1e-9)
    start = Initialization.at(2, init_variance=c, width=1)
    for state in GradientFlow(tolerance=1e-5, max_evaluations=5000).states(task, weights, start):
        s = state.residual[0, 0] + target
        assert s == pytest.approx(float(mode_value(state.time, s0, target, c)), abs=2e-3 * target)
    assert s == pytest.approx(target, rel=1e-3)


WINDOW = [(gs, gw) for gs in (-6.0, -3.0, -1.5, -0.5, 0.0) for gw in (0.0, 0.4, 0.8, 1.0, 1.3, 2.0, 2.8, 9.0)]


@pytest.mark.parametrize(("gamma_sigma2", "gamma_w"), WINDOW)
def test_every_corner_of_the_window_converges_to_the_best_its_width_can_reach(gamma_sigma2, gamma_w):
    task = draw_task(TaskConfig(dimension=16, rank=3))
    start = Initialization.at(16, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)
    run = train(task, gaussian_start(start, task.shape), initialization=start)
    assert run.status == "converged"
    S = np.linalg.svd(task.target, compute_uv=False)
    floor = np.sum(S[start.width :] ** 2) / 256
    # It ends where the train error is the wanted one, within a step, and does not overshoot.
    assert run.train_error == pytest.approx(floor + 1e-3, rel=1e-7)
    # The flow descends: not even the error of a step may lift the train error visibly.
    errors = run.trajectory.train_error
    assert (np.diff(errors) <= 1e-2 * errors[:-1]).all()
    assert run.minimum.test_error <= run.trajectory.test_error.min() * (1 + 1e-12)
    balance = run.trajectory.mode_balance
    known = np.isfinite(balance).all(axis=1)  # it takes singular vectors, so few of the moments tell it
    assert known[[0, -1]].all()
    assert np.isnan(balance[~known]).all()
    assert known.sum() >= len(known) / 6
    assert ((balance[known] >= 0) & (balance[known] <= 1)).all()
    assert 2 <= len(run.trajectory.time) <= 48
    assert (np.diff(run.trajectory.time) > 0).all()


@pytest.mark.parametrize(("variance", "width"), [(1e-4, 20), (0.05, 20), (1e-3, 3), (0.5, 200)])
def test_the_smallest_test_error_is_found_between_steps(variance, width):
    task = draw_task(TaskConfig(dimension=12, rank=2))
    weights = naive.random_weights(width, 12, 12, variance, seed=4)
    run = train(task, weights, GradientFlow(tolerance=1e-4))
    exact = naive.gradient_flow(task, weights, run.time)
    times = np.linspace(0, run.time, 4001)
    tests = np.array([naive.errors(task, exact(t).product())[1] for t in times])
    assert run.minimum.step is None
    assert run.minimum.test_error == pytest.approx(tests.min(), rel=2e-3)
    at_reported_time = naive.errors(task, exact(run.minimum.time).product())[1]
    assert at_reported_time == pytest.approx(tests.min(), rel=2e-3)


def test_a_dip_inside_one_step_is_not_missed():
    # At a coarse tolerance the steps are long: the smallest error at a step lies well above the interpolated minimum.
    task = draw_task(TaskConfig(dimension=24, rank=2))
    start = Initialization.at(24, gamma_sigma2=-1.0, gamma_w=1.5)
    weights = gaussian_start(start, task.shape)
    at_steps = []
    for state in GradientFlow(tolerance=0.02).states(task, weights, start):
        at_steps.append(naive.errors(task, state.residual + task.target)[1])
        if np.mean(state.residual**2) < 1e-3:
            break
    coarse = train(task, weights, GradientFlow(tolerance=0.02), initialization=start).minimum.test_error
    fine = train(task, weights, GradientFlow(tolerance=1e-6), initialization=start).minimum.test_error
    assert min(at_steps) > 1.03 * fine
    assert coarse == pytest.approx(fine, rel=0.2 * (min(at_steps) / fine - 1))


def test_escape_from_a_saddle_is_timed_to_a_percent():
    # From a tiny balanced-enough start the first mode waits for a time ln(1/s0)/(2 s*), unseen by any error control.
    task = draw_task(TaskConfig(dimension=16, rank=1))
    start = Initialization.at(16, init_variance=1e-14, width=16)
    weights = gaussian_start(start, task.shape)
    s_target = task.solution_svd[1][0]

    def escape(tolerance):
        before = s_before = 0.0
        for state in GradientFlow(tolerance=tolerance).states(task, weights, start):
            s = np.linalg.norm(state.residual + task.target, 2)
            if s > s_target / 2:
                return before + (s_target / 2 - s_before) / (s - s_before) * (state.time - before)
            before, s_before = state.time, s
        raise AssertionError("never escaped")

    # The coarse run's linear interpolation between its own steps adds its share to the 1 %.
    assert escape(1e-3) == pytest.approx(escape(1e-6), rel=0.02)


def test_the_budget_of_evaluations_ends_a_run():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-2, gamma_w=1.5)
    run = train(task, gaussian_start(start, task.shape), GradientFlow(max_evaluations=40), initialization=start)
    assert (run.status, run.converged) == ("step_limit", False)
    assert 30 <= run.gradient_evaluations < 80  # up to the last step that was accepted
    assert run.regime is not None


def test_single_precision_that_cannot_resolve_the_product_spends_its_budget():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, init_variance=1.0, width=10**12)
    weights = gaussian_start(start, task.shape)
    run = train(task, weights.astype(np.float32), GradientFlow(max_evaluations=2000), initialization=start)
    assert run.status == "step_limit"
    assert train(task, weights, GradientFlow(max_evaluations=2000), initialization=start).converged


def test_a_tolerance_below_rounding_is_refused_with_the_remedy():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, init_variance=1.0, width=100)
    with pytest.raises(LinphaseError, match=r"a tolerance of at least 2\.2e-16 is required in float64, found 1e-17"):
        train(task, gaussian_start(start, task.shape), GradientFlow(tolerance=1e-17), initialization=start)


def test_single_precision_agrees_with_double_where_the_threshold_is_moderate():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, gamma_sigma2=-1.5, gamma_w=2)
    double = gaussian_start(start, task.shape)
    single = train(task, double.astype(np.float32), initialization=start)
    reference = train(task, double, initialization=start)
    # The step sizes differ, so the two agree to the tolerance of a step and not to float32's.
    assert single.minimum.test_error == pytest.approx(reference.minimum.test_error, rel=5e-3)
    assert single.regimes == reference.regimes


@pytest.mark.parametrize(("gamma_sigma2", "gamma_w"), [(-6.0, 5.2), (-3.0, 2.8), (0.0, 4.0)])
def test_single_stages_give_way_where_rounding_would_hold_a_run_up(gamma_sigma2, gamma_w):
    # To converge the residual has to fall to 3e-8 of the target: below what a product in single precision resolves.
    task = draw_task(TaskConfig(dimension=16, rank=2, noise=1e-6))
    start = Initialization.at(16, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)
    weights = gaussian_start(start, task.shape)
    assert train(task, weights, GradientFlow(max_evaluations=5000), initialization=start).converged


def test_single_stages_agree_with_double_ones_to_less_than_the_tolerance():
    task = draw_task(TaskConfig(dimension=32, rank=3))
    for gamma_sigma2, gamma_w in ((-3.0, 0.5), (-2.0, 1.5), (-1.5, 2.5), (0.0, 2.0)):
        start = Initialization.at(32, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)
        weights = gaussian_start(start, task.shape)
        single, double = (
            train(task, weights, GradientFlow(stages=stages), initialization=start) for stages in ("float32", "float64")
        )
        assert single.minimum.test_error == pytest.approx(double.minimum.test_error, rel=3e-5)
        assert single.time == pytest.approx(double.time, rel=1e-3)
        assert single.regimes == double.regimes
        assert single.trajectory.final_modes.singular_value.dtype == np.float64


def test_noise_zero_converges_relative_to_the_signal():
    task = draw_task(TaskConfig(dimension=16, rank=2, noise=0.0, signal_norm=4.0))
    start = Initialization.at(16, gamma_sigma2=-2, gamma_w=1.5)
    run = train(task, gaussian_start(start, task.shape), initialization=start)
    assert run.status == "converged"
    assert run.train_error <= 4e-3
    assert run.regime == "mixed"  # the bulk has nothing to learn


def test_rotating_task_and_start_rotates_the_run():
    task = draw_task(TaskConfig(dimension=12, rank=2))
    weights = naive.random_weights(20, 12, 12, 0.05, seed=4)
    rng = np.random.default_rng(0)
    Q_out, Q_in, Q_hidden = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (12, 12, 20))
    rotated_task = Task(Q_out @ task.signal @ Q_in.T, Q_out @ task.target @ Q_in.T, rank=2, noise_level=1.0)
    rotated = Weights(Q_hidden @ weights.W1 @ Q_in.T, Q_out @ weights.W2 @ Q_hidden.T)
    # Power iterations and probes see other vectors, so steps differ within the tolerance; the physics does not.
    flow = GradientFlow(tolerance=1e-5)
    run, turned = train(task, weights, flow), train(rotated_task, rotated, flow)
    assert run.regimes == turned.regimes
    assert turned.minimum.test_error == pytest.approx(run.minimum.test_error, rel=1e-3)
    final, final_turned = run.trajectory.final_modes, turned.trajectory.final_modes
    np.testing.assert_allclose(final_turned.target, final.target, rtol=1e-12)
    np.testing.assert_allclose(final_turned.singular_value, final.singular_value, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(final_turned.speed_up, final.speed_up, rtol=2e-2)
    np.testing.assert_allclose(turned.A, Q_out @ run.A @ Q_in.T, atol=0.05)


@pytest.mark.parametrize(("variance", "message"), [(1e-60, "float64"), (1e30, "overflow|normal number")])
def test_a_start_beyond_single_precision_is_refused_with_the_remedy(variance, message):
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, init_variance=variance, width=100)
    weights = gaussian_start(start, task.shape)
    with np.errstate(all="ignore"), pytest.raises(LinphaseError, match=message):
        train(task, weights.astype(np.float32), initialization=start)


def test_the_papers_rule_is_refused_for_a_flow():
    task = draw_task(TaskConfig(dimension=16, rank=2))
    start = Initialization.at(16, init_variance=0.1, width=10)
    with pytest.raises(
        LinphaseError, match=r'stop.rule: "converged" or "time" is required with GradientFlow, found "paper"'
    ):
        train(task, gaussian_start(start, task.shape), stop=PaperStop(), initialization=start)


def test_a_run_has_the_same_bits_with_any_number_of_blas_threads_around_it():
    task = draw_task(TaskConfig(dimension=200, rank=5))
    start = Initialization.at(200, gamma_sigma2=-1.5, gamma_w=2.4)
    weights = gaussian_start(start, task.shape)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            results.append(train(task, weights, GradientFlow(max_evaluations=12), initialization=start).A.tobytes())
    assert results[0] == results[1]

"""One run: a dynamics, a stop rule and a recorder, from a task and a start to a classified result."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import Dynamics, State
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.kinds import from_config
from linphase.errors import LinphaseError
from linphase.model.kernel import Kernel, kernel_change, kernel_distance, target_alignment
from linphase.model.network import Initialization, Weights, estimated_initialization, gaussian_start, reduce_width
from linphase.model.observables import (
    Modes,
    ModeTimes,
    average_mode_rate,
    convergence_times,
    crossing_times,
    escape_times,
    imbalance_drift,
    mean_square,
    mode_balance,
    mode_rates,
    mode_speed_up,
    relative_imbalance,
    self_consistency_residual,
    subspace_overlap,
)
from linphase.model.task import Task, draw_task
from linphase.runs.comparison import comparison
from linphase.runs.minimum import MinimumAtSteps, MinimumBetweenSteps, TestErrorWatch
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig, Recorder
from linphase.runs.records import EndObservables, TrainedRun, result
from linphase.runs.spec import RunSpec
from linphase.runs.stopping import StopConfig, StopRule, stop_rule
from linphase.runs.threads import one_blas_thread

Array = NDArray[np.floating]
SVD = tuple[Array, Array, Array]  # U (d_out, n), s (n,), V (d_in, n) of A

# Under flow the train error never grows; under descent it may, for a while and by a few decades, before it falls
# (the catapult). Beyond this factor of the larger of its start and that of A = 0 it grows doubly exponentially.
_EXPLOSION = 1e8


def train(
    task: Task,
    weights: Weights,
    dynamics: Dynamics | None = None,
    *,
    stop: StopConfig | None = None,
    record: RecordConfig | None = None,
    initialization: Initialization | None = None,
    max_time: float | None = None,
) -> TrainedRun:
    """Train a network of any width from given weights.

    The weights are first reduced to width at most d_in + d_out, which changes none of A, C1, C2, errors and singular
    values at any time. Their dtype is the precision of the training. Without an `initialization`, sigma2 is the
    mean square of the weights' entries. The default dynamics is `GradientFlow()`. After max_time seconds the run ends
    where it is, with status "step_limit".

    Raises LinphaseError where shapes do not fit or the start is not finite.
    """
    began = perf_counter()
    dynamics = dynamics or GradientFlow()
    stop, record = stop or StopConfig(), record or RecordConfig()
    _check_shapes(task, weights)
    if stop.rule == "paper" and not isinstance(dynamics, GradientDescent):
        raise LinphaseError('stop.rule: "converged" is required, found "paper", a rule for gradient descent only')
    initialization = initialization or estimated_initialization(weights)
    with one_blas_thread():
        weights = reduce_width(weights).astype(np.result_type(weights.W1, weights.W2, np.float32))
        c, modes = initialization.threshold, dynamics.reachable_rank(task, weights)
        recorded = modes if record.singular_values == "all" else record.singular_values
        measured = _Measurements(
            recorder=Recorder(record.snapshots, recorded, comparison(record.compare, task, weights, c)),
            watch=(MinimumBetweenSteps if dynamics.continuous else MinimumAtSteps)(task, modes),
            rule=stop_rule(stop, task, modes),
        )
        deadline = np.inf if max_time is None else began + max_time
        status, state = _follow(dynamics, task, weights, initialization, measured, deadline)
        return _finished(task, weights, dynamics, initialization, measured, status, state, began)


def _finished(
    task: Task,
    weights: Weights,
    dynamics: Dynamics,
    initialization: Initialization,
    measured: "_Measurements",
    status: str,
    state: State,
    began: float,
) -> TrainedRun:
    """Everything about a run whose last state is `state`."""
    c, modes = initialization.threshold, dynamics.reachable_rank(task, weights)
    ended = status != "diverged"
    own_start = weights if isinstance(dynamics, GradientDescent | GradientFlow) else None
    final, observables = _no_modes(task, modes), None
    if ended:
        U, s, Vt = np.linalg.svd(state.weights.product(), full_matrices=False)
        svd = U, s, Vt.T
        final = _modes_at_end(state.weights, svd, task, modes, average_mode_rate(weights))
        observables = _observables(state.weights, svd, weights, own_start, task, c)
    C1, C2 = state.weights.gram()
    return result(
        task,
        initialization,
        final,
        status=status,
        trajectory=measured.recorder.trajectory(final, _mode_times(measured.recorder, task, c)),
        minimum=measured.watch.result(),
        learning_rate=dynamics.rate(task, initialization) if isinstance(dynamics, GradientDescent) else None,
        train_error=measured.train_error,
        test_error=measured.test_error,
        train_error_floor=task.train_error_floor(modes),
        time=measured.time,
        updates=measured.updates,
        gradient_evaluations=state.evaluations,
        elapsed=perf_counter() - began,
        observables=observables,
        distance_to_self_consistent=measured.recorder.comparison.largest,
        A=state.residual.astype(np.float64) + task.target,
        C1=C1,
        C2=C2,
    )


@dataclass
class _Measurements:
    """Where the measurements of a run are collected while it goes on."""

    recorder: Recorder
    watch: TestErrorWatch
    rule: StopRule
    time: float = 0.0
    updates: int = 0  # made when the run ended
    train_error: float = np.nan
    test_error: float = np.nan


def _follow(
    dynamics: Dynamics,
    task: Task,
    weights: Weights,
    initialization: Initialization,
    measured: _Measurements,
    deadline: float,
) -> tuple[str, State]:
    """Measure state after state until the stop rule, a divergence or the end of the budget; returns how and where."""
    recorder, watch, rule = measured.recorder, measured.watch, measured.rule
    noise = (task.target - task.signal).astype(weights.W1.dtype)
    deviation = np.empty_like(noise)
    Y = task.target.astype(weights.W1.dtype)
    explosion = _EXPLOSION * max(mean_square(weights.product() - Y), mean_square(Y))
    if not explosion < np.inf:
        raise LinphaseError(f"the start overflows in {weights.W1.dtype}; lower sigma2 or the width")
    status = None
    for state in dynamics.states(task, weights, initialization):
        train_error = mean_square(state.residual)
        np.add(state.residual, noise, out=deviation)  # A - A* = G + E
        test_error = mean_square(deviation)
        if not train_error + test_error < explosion:  # true where either is NaN
            measured.updates = state.step
            return "diverged", state
        measured.time, measured.updates = state.time, state.step
        measured.train_error, measured.test_error = train_error, test_error
        recorder.observe(state, train_error, test_error)
        watch.observe(state, deviation, test_error)
        status = rule.status(train_error, test_error)
        if status is not None:
            measured.updates += rule.updates_before_asking
            break
        if perf_counter() > deadline:
            break
    recorder.finish(state, train_error, test_error)
    return status or "step_limit", state


def _check_shapes(task: Task, weights: Weights) -> None:
    found = weights.W2.shape[0], weights.W1.shape[1]
    if found != task.shape:
        raise LinphaseError(f"weights: W2 W1 must have the task's shape {task.shape}, found {found}")
    dtype = np.result_type(weights.W1, weights.W2)
    if not np.issubdtype(dtype, np.floating):
        raise LinphaseError(f"weights: real floating-point numbers are required, found {dtype}")
    squares = sum(float(np.sum(np.square(W, dtype=np.float64))) for W in (weights.W1, weights.W2))
    if not np.finfo(dtype).tiny <= squares <= np.finfo(dtype).max:
        raise LinphaseError(
            f"weights: ||W1||^2 + ||W2||^2 must be a normal number of {dtype}, found {squares:.3g}. Use another sigma2"
            + (' or run.precision = "float64"' if dtype == np.float32 else "")
        )


def _modes_at_end(weights: Weights, svd: SVD, task: Task, n: int, initial_rate: float) -> Modes:
    U, s, V = svd
    balance = mode_balance(s[:n], mode_rates(weights, U[:, :n], V[:, :n]))
    _, S, _ = task.target_svd
    return Modes(s[:n], balance, mode_speed_up(weights, task, initial_rate), S[:n])


def _no_modes(task: Task, n: int) -> Modes:
    """Of a run that diverged nothing is known at the end."""
    unknown = np.full(n, np.nan)
    _, S, _ = task.target_svd
    return Modes(unknown, unknown, unknown, S[:n])


def _mode_times(recorder: Recorder, task: Task, c: float) -> ModeTimes:
    """Of the signal modes, where they were recorded."""
    time, s = recorder.times(), recorder.singular_values()[:, : task.rank]
    _, S, _ = task.target_svd
    return ModeTimes(crossing_times(time, s, c), escape_times(time, s, S, c), convergence_times(time, s, S))


def _observables(
    weights: Weights, svd: SVD, start: Weights, own_start: Weights | None, task: Task, c: float
) -> EndObservables:
    """At the end. A dynamics that does not train the start's own weights (own_start None) has no balance of its own."""
    kernel, kernel_at_start = Kernel.of(weights), Kernel.of(start)
    U, s, V = svd
    U_star, _, V_star = task.signal_svd
    return EndObservables(
        kernel_change=kernel_change(kernel, kernel_at_start),
        kernel_distance=kernel_distance(kernel, kernel_at_start),
        target_alignment=target_alignment(kernel, task.target),
        imbalance=None if own_start is None else relative_imbalance(weights),
        imbalance_drift=None if own_start is None else imbalance_drift(weights, own_start),
        subspace_overlap=subspace_overlap(U[:, : weights.width], V[:, : weights.width], U_star, V_star),
        self_consistency_residual=None if own_start is None else self_consistency_residual(kernel.C2, U, s, c),
    )


def train_spec(spec: RunSpec, task: Task | None = None) -> TrainedRun:
    """The result of the run that a specification describes; `task` saves drawing it again (it is the replicate's)."""
    with one_blas_thread():
        seed, replicate, start = spec.run.seed, spec.replicate, spec.initialization
        task = task or draw_task(spec.task, seed=seed, replicate=replicate)
        if spec.dynamics.kind == "modes":
            return predict(task, start, stop=spec.stop, record=spec.record)
        weights = gaussian_start(start, task.shape, seed=seed, replicate=replicate)
        return train(
            task,
            weights.astype(np.dtype(spec.run.precision)),
            from_config(spec.dynamics),
            stop=spec.stop,
            record=spec.record,
            initialization=start,
            max_time=spec.run.max_time,
        )

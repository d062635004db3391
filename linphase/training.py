"""One run: a dynamics, a stop rule and a recorder, from a task and a start to a classified result."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from linphase import regime
from linphase.comparison import comparison
from linphase.dynamics import (
    Dynamics,
    GradientDescent,
    GradientFlow,
    State,
    paper_learning_rate,
)
from linphase.errors import LinphaseError
from linphase.kernel import Kernel, kernel_change, kernel_distance, target_alignment
from linphase.minimum import MinimumAtSteps, MinimumBetweenSteps, TestErrorWatch
from linphase.network import Weights, estimated_initialization, reduce_width
from linphase.observables import (
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
from linphase.recorder import Recorder
from linphase.spec import Initialization, RecordConfig, StopConfig
from linphase.task import Task
from linphase.threads import one_blas_thread
from linphase.trajectory import Modes, ModeTimes, TestErrorMinimum, Trajectory

Array = NDArray[np.floating]
SVD = tuple[Array, Array, Array]  # U (d_out, n), s (n,), V (d_in, n) of A

# Under flow the train error never grows; under descent it may, for a while and by a few decades, before it falls
# (the catapult). Beyond this factor of the larger of its start and that of A = 0 it grows doubly exponentially.
_EXPLOSION = 1e8


@dataclass(frozen=True)
class OrderParameters:
    """Share of active modes in the signal and in the bulk by one measure (see `linphase.regime`)."""

    signal_active: float
    bulk_active: float | None


@dataclass(frozen=True)
class EndObservables:
    """Observables of the network at the last measurement (theory.md section 6); None where they have no meaning."""

    kernel_change: float
    kernel_distance: float
    target_alignment: float
    imbalance: float | None
    imbalance_drift: float | None
    subspace_overlap: float
    self_consistency_residual: float | None


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run: how it ended, what it measured over time, and the network at the last measurement."""

    status: str
    initialization: Initialization
    trajectory: Trajectory
    minimum: TestErrorMinimum
    paper_learning_rate: float
    learning_rate: float | None
    train_error: float
    test_error: float
    train_error_floor: float
    time: float
    updates: int  # made when the stop rule fired
    gradient_evaluations: int
    elapsed: float  # seconds
    order_parameters: dict[str, OrderParameters]  # by threshold, balance and speedup; empty when diverged
    regimes: dict[str, str | None]
    evidence_agreement: float | None
    observables: EndObservables | None  # None when diverged
    distance_to_self_consistent: float | None  # the largest, where compared
    A: Array  # W2 W1, (d_out, d_in)
    C1: Array  # W1^T W1, (d_in, d_in)
    C2: Array  # W2 W2^T, (d_out, d_out)

    @property
    def converged(self) -> bool:
        return self.status == "converged"

    @property
    def regime(self) -> str | None:
        """By the threshold, the paper's measure; None where the run has none."""
        return self.regimes["threshold"]


class StopRule(Protocol):
    """Asked once a step, with the train error just measured and its floor."""

    updates_before_asking: int

    def status(self, train_error: float, test_error: float) -> str | None:
        """How the run ends here, or None where it goes on."""
        ...


class Converged:
    """Converged when the train error is within `excess` of the best the width can reach.

    Neither a small gradient nor a flat error is a stop: both happen at saddles.
    """

    updates_before_asking = 0

    def __init__(self, excess: float, floor: float) -> None:
        self.bound = floor + excess

    def status(self, train_error: float, test_error: float) -> str | None:
        return "converged" if train_error <= self.bound else None


class PaperRule:
    """The paper's stop rule (theory.md section 2), asked after the weights have moved, at most 750 times.

    Train error below 1e-3; or, from the fourth step on, a test error that rose twice in a row, or a train error that
    changed by less than 2e-4 after having fallen by more than 1e-2.
    """

    updates_before_asking = 1
    max_steps = 750

    def __init__(self) -> None:
        self.train_errors: list[float] = []
        self.test_errors: list[float] = []

    def status(self, train_error: float, test_error: float) -> str | None:
        self.train_errors.append(train_error)
        self.test_errors.append(test_error)
        train, test, i = self.train_errors, self.test_errors, len(self.train_errors) - 1
        if train_error < 1e-3:
            return "converged"
        if i > 3 and test[i - 2] < test[i - 1] < test[i]:
            return "stopped_early"
        if i > 3 and abs(train[i - 1] - train[i]) < 2e-4 and train[0] - train[i] > 1e-2:
            return "stopped_early"
        return "step_limit" if i + 1 == self.max_steps else None


def stop_rule(config: StopConfig, task: Task, rank: int) -> StopRule:
    """The stop rule of a configuration, for a dynamics that reaches this rank.

    Its train_error is relative to noise^2, or to ||A*||_F^2/(d_out d_in) without noise.
    """
    if config.rule == "paper":
        return PaperRule()
    return Converged(wanted_excess(config, task), task.train_error_floor(rank))


def wanted_excess(config: StopConfig, task: Task) -> float:
    """The train error above the floor that counts as converged."""
    return config.train_error * (task.noise**2 if task.noise > 0 else task.signal_strength)


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


def result(task: Task, initialization: Initialization, final: Modes, *, status: str, **measured: Any) -> TrainedRun:
    """Classify a run from its modes at the end, and put everything about it together."""
    active = _active(final, initialization.threshold)
    shares = {m: OrderParameters(*regime.order_parameters(a, task.rank)) for m, a in active.items()}
    regimes = {
        m: regime.classify(
            share.signal_active, share.bulk_active, width=initialization.width, rank=task.rank, noise=task.noise
        )
        for m, share in shares.items()
    }
    diverged = status == "diverged"
    return TrainedRun(
        status=status,
        initialization=initialization,
        paper_learning_rate=paper_learning_rate(task, initialization),
        order_parameters={} if diverged else shares,
        regimes=dict.fromkeys(regimes) if diverged else regimes,
        evidence_agreement=None if diverged else _agreement(active),
        **measured,
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


def _active(modes: Modes, threshold: float) -> dict[str, NDArray[np.bool_]]:
    """Which modes are active, by each measure; in theory all three are s_i > c."""
    return {
        "threshold": modes.singular_value > threshold,
        "balance": modes.balance > 1 / np.sqrt(2),
        "speedup": modes.speed_up > np.sqrt(2),
    }


def _agreement(active: dict[str, NDArray[np.bool_]]) -> float:
    """Share of modes on which all measures agree."""
    votes = np.stack(list(active.values()))
    return float(np.mean(votes.all(axis=0) | ~votes.any(axis=0)))

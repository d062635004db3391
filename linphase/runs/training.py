"""One run: a dynamics, a stop rule and a recorder, from a task and a start to a classified result."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, log, sqrt
from numbers import Real
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.base import Dynamics, State
from linphase.dynamics.gradient_descent import paper_learning_rate
from linphase.errors import LinphaseError, check_argument
from linphase.model.draws import draw_task
from linphase.model.mode_times import extrapolated_convergence_times, learning_order, median_time
from linphase.model.moment import Moment, columns_at, measured
from linphase.model.network import Initialization, Weights, estimated_initialization, reduce_width
from linphase.model.objective import Objective
from linphase.model.observables import (
    Modes,
    average_mode_rate,
    mode_balance,
    mode_rates,
    mode_speed_up,
)
from linphase.model.regime import Classification
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.averages import LastHalf, time_mean
from linphase.runs.comparison import COMPARISONS
from linphase.runs.minimum import MinimumAtSteps, MinimumBetweenSteps, TestErrorWatch
from linphase.runs.passings import Passings
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig, Recorder
from linphase.runs.records import STATUSES, TrainedRun, Trajectory, largest
from linphase.runs.spec import RunSpec
from linphase.runs.stopping import Measured, Stop, StopRule
from linphase.theory.baselines import baselines, fitted_signal_error
from linphase.theory.mode import TargetModes

Array = NDArray[np.floating]

# Under flow the train error never grows; under descent it may, for a while and by a few decades, before it falls
# (the catapult). Beyond this factor of the larger of its start and that of A = 0 it grows doubly exponentially.
_EXPLOSION = 1e8
_TINY = 1e-300


def train_spec(spec: RunSpec, task: Task | None = None) -> TrainedRun:
    """The result of the run that a specification describes; `task` saves drawing it again (it is the replicate's)."""
    check_argument("spec", spec, RunSpec, "a linphase.RunSpec, one of those that config.expand() gives,")
    if task is not None:
        check_argument("task", task, Task, "a linphase.Task")
    with one_blas_thread():
        seed, replicate, start = spec.seed, spec.replicate, spec.initialization
        task = task or draw_task(spec.task, seed=seed, replicate=replicate)
        if spec.dynamics.predicts:
            return predict(task, start, stop=spec.stop, record=spec.record)
        weights = spec.init.draw(start, task.shape, seed=seed, replicate=replicate)
        return train(
            task,
            weights.astype(np.dtype(spec.run.precision)),
            spec.dynamics,
            stop=spec.stop,
            record=spec.record,
            initialization=replace(start, seed=seed, replicate=replicate),
            max_time=spec.run.max_time,
        )


def train(
    task: Task,
    weights: Weights,
    dynamics: Dynamics | None = None,
    *,
    stop: Stop | None = None,
    record: RecordConfig | None = None,
    initialization: Initialization | None = None,
    max_time: float | None = None,
) -> TrainedRun:
    """Train a network of any width from given weights.

    Parameters
    ----------
    task
        The target Y, and the signal A* that test errors are measured against.
    weights
        The start, W1 (width, d_in) and W2 (d_out, width). It is first reduced to width at most d_in + d_out, which
        changes none of A, C1, C2, errors and singular values at any time. Its dtype is the precision of the training.
    dynamics
        How the network moves; by default gradient flow.
    stop, record
        When the run ends, and what is kept over time; by default `Converged()` and `RecordConfig()`.
    initialization
        The cell of the phase diagram; by default the one that the weights were drawn from, or is estimated from their
        mean mode rate.
    max_time
        Seconds after which the run ends where it is, with status "step_limit".

    Raises
    ------
    LinphaseError
        If an argument is of another type, shapes do not fit, the start is not finite, or the stop rule or the
        comparison does not fit the dynamics.
    """
    began = perf_counter()
    dynamics = dynamics or Dynamics.members[Dynamics.default]()
    stop, record = stop or Stop.members[Stop.default](), record or RecordConfig()
    _check_types(task, weights, dynamics, stop, record, initialization, max_time)
    _check_shapes(task, weights)
    initialization = initialization or weights.initialization
    _check_fit(dynamics, stop, record, task, initialization)
    initialization = initialization or estimated_initialization(weights)
    with one_blas_thread():
        reduced = reduce_width(weights).astype(np.result_type(weights.W1, weights.W2, np.float32))
        reduced = replace(reduced, initialization=initialization)
        setting = _Setting(task, reduced, dynamics, initialization, record.sharpness)
        c, rank = initialization.threshold, setting.rank
        recorded = rank if record.singular_values == "all" else record.singular_values
        comparison = COMPARISONS[record.compare](task, reduced, c)
        rule = _begun(stop, task, setting.objective.floor)
        end = None if rule.ends_at_time is None else rule.ends_at_time / initialization.richness
        measurements = _Measurements(
            recorder=Recorder(record.snapshots, recorded, comparison, setting.passings(), setting.moment),
            watch=setting.watch(),
            rule=rule,
            last_half=None if end is None else LastHalf(end, continuous=dynamics.continuous),
            fitted_signal=fitted_signal_error(task.rank, task.noise, task.shape) if _is_classical(task) else 0.0,
        )
        deadline = np.inf if max_time is None else began + max_time
        status, state = _follow(setting, measurements, deadline)
        return _finished(setting, measurements, status, state, began)


@dataclass(frozen=True, eq=False)
class _Setting:
    """What a run begins with."""

    task: Task
    weights: Weights  # of the reduced width
    dynamics: Dynamics
    initialization: Initialization
    has_hessian: bool

    @cached_property
    def rank(self) -> int:
        """The largest rank that A can have: the number of modes."""
        return self.dynamics.reachable_rank(self.task, self.weights)

    @cached_property
    def objective(self) -> Objective:
        """What the run descends."""
        return self.dynamics.objective(self.task, self.rank, self.initialization)

    @property
    def decays(self) -> tuple[float, float]:
        """The weight decay of W1 and of W2."""
        return self.dynamics.decays(self.initialization)

    def passings(self) -> Passings:
        """What measures the times of the signal modes."""
        return Passings(self.task, self.objective.values, self.initialization.threshold)

    def watch(self) -> TestErrorWatch:
        """What finds the smallest test error."""
        task, c = self.task, self.initialization.threshold
        if self.dynamics.continuous:
            return MinimumBetweenSteps(task, c, self.rank, sum(self.decays))
        return MinimumAtSteps(task, c, self.rank)

    @cached_property
    def start(self) -> Moment:
        """The network at time 0."""
        return self._moment(self.weights)

    def moment(self, state: State, errors: tuple[float, float] | None = None) -> Moment:
        """What observables see of a state; a dynamics that does not move the start's own weights shows none.

        errors: its train and test error, where they are known.
        """
        return self._moment(state.weights, self.start, state.time, errors)

    def _moment(
        self,
        weights: Weights,
        start: Moment | None = None,
        time: float = 0.0,
        errors: tuple[float, float] | None = None,
    ) -> Moment:
        own, (first, second) = self.dynamics.moves_weights, self.decays
        return Moment(
            self.task,
            weights.product,
            self.initialization.threshold,
            self.rank,
            weights=weights if own else None,
            gram=None if own else weights.gram,
            start=start,
            forgetting=exp(-2 * sqrt(first) * sqrt(second) * time),
            known_errors=errors,
            decays=self.decays,
            has_hessian=self.has_hessian,
        )


@dataclass
class _Measurements:
    """Where the measurements of a run are collected while it goes on."""

    recorder: Recorder
    watch: TestErrorWatch
    rule: StopRule
    last_half: LastHalf | None  # where the rule gives a time to end at
    fitted_signal: float  # the train error at which a stop that does not see A* comes
    blind_test_error: float | None = None
    time: float = 0.0
    updates: int = 0  # made when the run ended
    train_error: float = np.nan
    test_error: float = np.nan
    objective: float = np.nan
    largest_train_error: float = 0.0


def _follow(setting: _Setting, measurements: _Measurements, deadline: float) -> tuple[str, State]:
    """Measure state after state until the stop rule, a divergence or the end of the budget; returns how and where."""
    task, weights, objective = setting.task, setting.weights, setting.objective
    clock = setting.initialization.richness  # of the stop rule's time to that of the states
    recorder, watch, rule = measurements.recorder, measurements.watch, measurements.rule
    dtype = weights.W1.dtype
    deviation_of = task.deviations(dtype)
    start = task.residual(weights.product()).astype(dtype)
    explosion = _EXPLOSION * max(task.train_error(start), task.train_error(task.target.astype(dtype)))
    if not explosion < np.inf:
        raise LinphaseError(f"the start overflows in {dtype}; lower sigma2 or the width")
    status = None

    def errors(state: State) -> tuple[float, float, Array | None]:
        """Train and test error, and what the latter is of: an array that the next call overwrites; or NaN and None."""
        train_error = task.train_error(state.residual)
        if deviation_of is None:
            return train_error, np.nan, None
        deviation = deviation_of(state.residual, state.weights)
        return train_error, task.test_error(deviation), deviation

    def plain(state: State) -> float:
        return task.train_error(state.residual)

    def lowered(state: State) -> float:
        return objective.of(state.residual, state.weights, plain(state), state.time)

    for state in _states(setting):
        train_error, test_error, deviation = errors(state)
        if not train_error + (0.0 if deviation is None else test_error) < explosion:  # true where either is NaN
            measurements.updates = state.step
            return "diverged", state
        before, value_before = measurements.train_error, measurements.objective  # nan at the start
        if measurements.blind_test_error is None and train_error <= (fitted := measurements.fitted_signal) > 0:
            there = (
                _ended(state, measurements.time, before, fitted, plain) if fitted < before and state.earlier else state
            )
            measurements.blind_test_error = errors(there)[1]
            train_error, test_error, deviation = errors(state)
        value = objective.of(state.residual, state.weights, train_error, state.time)
        status, wanted = rule.status(Measured(state.time * clock, train_error, test_error, value)), rule.ends_at
        if status is not None and state.earlier and (wanted is not None or rule.ends_at_time is not None):
            last = _last_moment(state, measurements.time, rule.ends_at_time, clock)
            if last is None and wanted is not None and value < wanted < value_before:
                last = _ended(state, measurements.time, value_before, wanted, lowered)
            if last is not None:
                state = last
                train_error, test_error, deviation = errors(state)
                value = objective.of(state.residual, state.weights, train_error, state.time)
        measurements.time, measurements.updates = state.time, state.step
        measurements.train_error, measurements.test_error = train_error, test_error
        measurements.objective = value
        measurements.largest_train_error = max(measurements.largest_train_error, train_error)
        recorder.observe(state, train_error, test_error)
        if deviation is not None:
            watch.observe(state, deviation, test_error)
        if measurements.last_half is not None:
            measurements.last_half.observe(state.time, train_error, test_error)
        if status is not None:
            if status not in STATUSES:
                known = ", ".join(STATUSES)
                raise LinphaseError(f"stop rule {rule!r}: a status is required, one of {known}, found {status!r}")
            measurements.updates += rule.updates_before_asking
            break
        if perf_counter() > deadline:
            break
    recorder.finish(state, train_error, test_error)
    return status or "step_limit", state


def _begun(stop: Stop, task: Task, floor: float) -> StopRule:
    """The stop rule of a run, which a plugin may have written."""
    rule = stop.begin(task, floor)
    if not isinstance(rule, StopRule):
        raise LinphaseError(f"stop rule {stop.rule!r}: `begin` must return a linphase.StopRule, found {rule!r:.60}")
    return rule


def _last_moment(last: State, before: float, wanted: float | None, clock: float) -> State | None:
    """The state at the time that ends the run, in the last step, begun at `before`; None where it is not in it."""
    assert last.earlier is not None
    return last.earlier(wanted / clock) if wanted is not None and before < wanted / clock < last.time else None


def _ended(last: State, before: float, error_before: float, wanted: float, error_of: Callable[[State], float]) -> State:
    """The state in the last step, begun at `before`, whose error is the wanted one or less by rounding.

    By regula falsi (Illinois) on the logarithm of the error, which is nearly linear: errors decay exponentially. To
    1e-9 in double, to 4e-6 in single precision.
    """
    assert last.earlier is not None
    near = max(5e-10, 16 * float(np.finfo(last.residual.dtype).eps))
    aim = log(wanted) - near

    def above(error: float) -> float:
        return log(max(error, _TINY)) - aim

    low, high = before, last.time
    at_low, at_high, kept = above(error_before), above(error_of(last)), ""
    while high - low > 1e-12 * high:
        between = last.earlier(low + (high - low) * at_low / (at_low - at_high))
        found = above(error_of(between))
        if abs(found) < near:
            return between
        if found > 0:
            low, at_low, at_high, kept = between.time, found, at_high / (2 if kept == "high" else 1), "high"
        else:
            high, at_high, at_low, kept = between.time, found, at_low / (2 if kept == "low" else 1), "low"
    return last.earlier(high)


def _states(setting: _Setting) -> Iterator[State]:
    """The states of the dynamics, which a plugin may have written."""
    states: Any = setting.dynamics.states(setting.task, setting.weights, setting.initialization)
    required = f"dynamics {setting.dynamics.kind!r}: `states` must yield values of linphase.State, found"
    if not isinstance(states, Iterable):
        raise LinphaseError(f"{required} that it returns {states!r:.60}")
    for state in states:
        if not isinstance(state, State):
            raise LinphaseError(f"{required} {state!r:.60}")
        yield state


def _finished(setting: _Setting, measurements: _Measurements, status: str, state: State, began: float) -> TrainedRun:
    """Everything about a run whose last state is `state`."""
    task, start, rank, recorder = setting.task, setting.initialization, setting.rank, measurements.recorder
    c = start.threshold
    if status == "diverged":
        final, at_end = _no_modes(task, rank), dict.fromkeys(columns_at("end"))
        classification = Classification.none()
    else:
        moment = setting.moment(state)
        final, at_end = _modes_at_end(state.weights, moment, setting.weights), measured(moment, "end")
        classification = Classification.of(final, c, width=start.width, rank=task.rank, noise=task.noise)
    C1, C2 = state.weights.gram()
    trajectory = recorder.trajectory(final)
    mean_errors: tuple[float | None, float | None] = (None, None)
    if status == "finished" and (half := measurements.last_half) is not None:
        mean_errors = half.means()
        means = time_mean(trajectory.time, trajectory.singular_values, half.begin)
        trajectory = replace(trajectory, mean_singular_values=means)
    times = _all_convergence_times(trajectory, task, setting.objective.values)
    return TrainedRun(
        status=status,
        initialization=start,
        trajectory=trajectory,
        minimum=measurements.watch.result(),
        paper_learning_rate=paper_learning_rate(task, start) if task.signal is not None else None,
        learning_rate=setting.dynamics.rate(task, start),
        largest_train_error=measurements.largest_train_error,
        train_error=measurements.train_error,
        test_error=measurements.test_error if task.has_test_error else None,
        error_scale=task.error_scale,
        irreducible_errors=task.irreducible_errors,
        train_error_floor=setting.objective.train_error_floor,
        time=measurements.time,
        updates=measurements.updates,
        gradient_evaluations=state.evaluations,
        elapsed=perf_counter() - began,
        classification=classification,
        baselines=baselines(TargetModes.of(task), task.noise, task.shape) if _is_classical(task) else None,
        blind_test_error=measurements.blind_test_error,
        bulk_convergence_time=None if times is None else median_time(times[task.rank :]),
        learning_order=None if times is None else learning_order(times, task.rank),
        observables={**at_end, **largest(recorder.observables())},
        distance_to_self_consistent=recorder.comparison.over(),
        A=task.from_origin(state.residual, state.weights).astype(np.float64) + task.origin,
        C1=C1,
        C2=C2,
        mean_errors=mean_errors,
        rank=task.rank,
    ).on_its_own_clock()


def _is_classical(task: Task) -> bool:
    """Whether the target is a known signal under noise, of white inputs: what baselines are made for."""
    return task.signal is not None and task.white


def _check_fit(
    dynamics: Dynamics, stop: Stop, record: RecordConfig, task: Task, initialization: Initialization | None
) -> None:
    """Refuse a stop rule or a comparison that means nothing for dynamics and task, and a dynamics without states."""
    kind = type(dynamics)
    if kind.predicts:
        raise LinphaseError(
            f"dynamics {kind.__name__} predicts a cell and trains nothing: linphase.train_spec, or a sweep"
        )
    dynamics.check(task)
    if task.signal is None and (stop.needs_signal or getattr(dynamics, "learning_rate", None) == "paper"):
        raise LinphaseError("the paper's stop rule and learning rate need a task with a signal A*, found one without")
    if not task.white and record.compare != "none":
        raise LinphaseError(f'record.compare: "none" is required where inputs are not white, found "{record.compare}"')
    if not task.white and not kind.takes_data:
        raise LinphaseError(f"task: white inputs are required with {kind.__name__}, whose takes_data is False")
    if initialization is not None and initialization.richness != 1 and not kind.takes_richness:
        raise LinphaseError(f"init.richness: 1 is required with {kind.__name__}, whose takes_richness is False")
    if dynamics.decay and record.compare != "none":
        raise LinphaseError(f'record.compare: "none" is required where weights decay, found "{record.compare}"')
    if not stop.fits(kind):
        fitting = " or ".join(f'"{name}"' for name, rule in Stop.members.items() if rule.fits(kind))
        raise LinphaseError(f'stop.rule: {fitting} is required with {kind.__name__}, found "{stop.rule}"')
    if not COMPARISONS[record.compare].fits(kind):
        fitting = " or ".join(f'"{name}"' for name, one in COMPARISONS.items() if one.fits(kind))
        raise LinphaseError(f'record.compare: {fitting} is required with {kind.__name__}, found "{record.compare}"')


def _check_types(
    task: Task,
    weights: Weights,
    dynamics: Dynamics,
    stop: Stop,
    record: RecordConfig,
    initialization: Initialization | None,
    max_time: float | None,
) -> None:
    check_argument("task", task, Task, "a linphase.Task")
    check_argument("weights", weights, Weights, "a linphase.Weights, as linphase.gaussian_start draws,")
    check_argument("dynamics", dynamics, Dynamics, "a dynamics such as linphase.GradientFlow()")
    check_argument("stop", stop, Stop, "a stop rule such as linphase.runs.stopping.Converged()")
    check_argument("record", record, RecordConfig, "a linphase.runs.recorder.RecordConfig")
    if initialization is not None:
        check_argument("initialization", initialization, Initialization, "a linphase.Initialization")
    if max_time is not None:
        check_argument("max_time", max_time, Real, "a number of seconds")


def _check_shapes(task: Task, weights: Weights) -> None:
    if not (task.target if task.signal is None else task.signal).any():
        what = "target" if task.signal is None else "signal"
        raise LinphaseError(f"task: a {what} other than 0 is required to train for, found 0")
    found = weights.W2.shape[0], weights.W1.shape[1]
    if found != task.shape:
        raise LinphaseError(f"weights: W2 W1 must have the task's shape {task.shape}, found {found}")
    dtype = np.result_type(weights.W1, weights.W2)
    if dtype not in (np.float32, np.float64):
        raise LinphaseError(f"weights: float32 or float64 is required, found {dtype}")
    squares = sum(float(np.sum(np.square(W, dtype=np.float64))) for W in (weights.W1, weights.W2))
    if not np.finfo(dtype).tiny <= squares <= np.finfo(dtype).max:
        raise LinphaseError(
            f"weights: ||W1||^2 + ||W2||^2 must be a normal number of {dtype}, found {squares:.3g}. Use another sigma2"
            + (' or run.precision = "float64"' if dtype == np.float32 else "")
        )


def _modes_at_end(weights: Weights, moment: Moment, start: Weights) -> Modes:
    """Every mode at the end, from the weights of the last state and those of the start."""
    U, s, V = moment.svd
    n = moment.rank
    _, S, _ = moment.task.solution_svd
    balance = mode_balance(s[:n], mode_rates(weights, U[:, :n], V[:, :n]))
    return Modes(s[:n], balance, mode_speed_up(weights, moment.task, average_mode_rate(start)), S[:n])


def _no_modes(task: Task, n: int) -> Modes:
    """The run diverged, so nothing is known of its modes at the end."""
    unknown = np.full(n, np.nan)
    _, S, _ = task.solution_svd
    return Modes(unknown, unknown, unknown, S[:n])


def _all_convergence_times(trajectory: Trajectory, task: Task, values: Array) -> Array | None:
    """Of every mode, the bulk's from the moments kept; None where these do not hold all, or the bulk is no noise.

    values (rank,): the singular values of A that training leads to.
    """
    s, rank = trajectory.singular_values, len(values)
    if s.shape[1] < rank or task.noise == 0 or task.rank == 0:
        return None
    bulk = extrapolated_convergence_times(trajectory.time, s[:, task.rank :], values[task.rank :])
    return np.concatenate([trajectory.mode_times.convergence, bulk])

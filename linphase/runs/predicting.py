"""Theory's prediction of a run: equation (1) from A = 0, one closed curve a mode, as if it had been trained.

With Y = U S V^T every mode goes its own way from 0 to S_i at the threshold c, so a whole phase diagram costs one SVD a
replicate. What the start itself contributes is left out: the noise of A0 (beyond the infinite-noise line) and modes
that do not begin lazy (at small width).
"""

from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.gradient_descent import paper_learning_rate
from linphase.model.mode_times import ModeTimes, median_time
from linphase.model.moment import Moment, measured
from linphase.model.network import Initialization
from linphase.model.observables import Modes
from linphase.model.regime import Classification
from linphase.model.task import Task
from linphase.runs.recorder import RecordConfig
from linphase.runs.records import (
    TestErrorMinimum,
    TrainedRun,
    Trajectory,
    Value,
    largest,
    over_time,
    watched,
)
from linphase.runs.stopping import Stop
from linphase.theory.baselines import baselines, fitted_signal_error
from linphase.theory.cell import PredictedMoment, Prediction, convergence_time, predict_modes
from linphase.theory.mode import TargetModes, modes_from_zero

Array = NDArray[np.floating]

_TINY = 1e-300
_SAMPLES = 500  # moments from which the snapshots are chosen


def predict(task: Task, initialization: Initialization, *, stop: Stop, record: RecordConfig) -> TrainedRun:
    """The run that theory expects at a cell, of the leading `width` modes, to convergence or a given time.

    Raises LinphaseError for a start that equation (1) has no closed form from A = 0 for.
    """
    began = perf_counter()
    initialization.require_closed_form(task.shape)
    c = initialization.threshold
    modes = TargetModes.of(task, initialization.width)
    given_time = None if stop.end is None else stop.end / initialization.richness
    predicted = predict_modes(modes, c, stop.wanted_excess(task), given_time)
    final = Modes(predicted.singular_values, predicted.balance, predicted.speed_up, modes.values)
    signal = slice(task.rank)
    times = ModeTimes(
        predicted.crossing_time[signal], predicted.escape_time[signal], predicted.convergence_time[signal]
    )
    start = PredictedMoment.at(task, np.zeros_like(predicted.singular_values), c)
    end = PredictedMoment.at(task, predicted.singular_values, c, start, has_hessian=record.sharpness)
    lowest = PredictedMoment.at(task, predicted.singular_values_at_min, c, start)
    trajectory, kept = _trajectory(task, modes, predicted, final, times, record, start)
    return TrainedRun(
        status="converged" if given_time is None else "finished",
        initialization=initialization,
        trajectory=trajectory,
        minimum=TestErrorMinimum(predicted.min_test_error, predicted.time_at_min, None, measured(lowest, "minimum"))
        if task.has_test_error
        else TestErrorMinimum.none(),
        paper_learning_rate=paper_learning_rate(task, initialization) if task.signal is not None else None,
        learning_rate=None,
        largest_train_error=float(trajectory.train_error[0]),
        train_error=predicted.final_train_error,
        test_error=predicted.final_test_error if task.has_test_error else None,
        error_scale=task.error_scale,
        irreducible_errors=task.irreducible_errors,
        train_error_floor=modes.floor,
        time=predicted.final_time,
        updates=0,
        gradient_evaluations=0,
        elapsed=perf_counter() - began,
        classification=Classification.of(final, c, width=initialization.width, rank=task.rank, noise=task.noise),
        baselines=baselines(TargetModes.of(task), task.noise, task.shape) if task.signal is not None else None,
        blind_test_error=_blind_test_error(task, modes, c) if task.signal is not None else None,
        bulk_convergence_time=median_time(predicted.convergence_time[task.rank :]) if task.noise > 0 else None,
        learning_order=predicted.learning_order(task.rank) if task.noise > 0 else None,
        observables={**measured(end, "end"), **largest(kept)},
        distance_to_self_consistent=None,
        A=end.A,
        C1=end.kernel.C1,
        C2=end.kernel.C2,
        rank=task.rank,
    ).on_its_own_clock()


def _blind_test_error(task: Task, modes: TargetModes, c: float) -> float | None:
    """The test error where the train error is that of a fitted signal; None where the width cannot reach it."""
    above_floor = fitted_signal_error(task.rank, task.noise, task.shape) - modes.floor
    if not above_floor > 0:
        return None
    there = convergence_time(modes, c, above_floor)
    return float(modes.test_error(modes_from_zero(there, modes.values, c)))


def _trajectory(
    task: Task,
    modes: TargetModes,
    predicted: Prediction,
    final: Modes,
    times: ModeTimes,
    record: RecordConfig,
    start: Moment,
) -> tuple[Trajectory, list[dict[str, Value]]]:
    """At moments spread evenly along the path of the errors, as a trained run's are; and the observables at them."""
    c, end = predicted.threshold, predicted.final_time
    first = min(1e-2 / (2 * np.hypot(modes.values[0], c)), end)
    time = np.concatenate([[0.0], np.geomspace(first, end, _SAMPLES)]) if end > 0 else np.zeros(1)
    s = modes_from_zero(time, modes.values, c)
    train_error, test_error = modes.train_error(s), modes.test_error(s)
    logs = np.log([1 + time / first, train_error + _TINY, test_error + _TINY])
    place = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(logs)).sum(axis=0))])
    wanted = np.linspace(0, place[-1], record.snapshots)
    kept = np.unique(np.searchsorted(place, wanted).clip(max=len(time) - 1))
    recorded = slice(None if record.singular_values == "all" else record.singular_values)
    s = s[kept]
    values = [
        watched(PredictedMoment.at(task, each, c, start, known_errors=errors, has_hessian=record.sharpness))
        for each, errors in zip(s, zip(train_error[kept], test_error[kept], strict=True), strict=True)
    ]
    trajectory = Trajectory(
        time=time[kept],
        step=np.arange(len(kept)),
        train_error=train_error[kept],
        test_error=test_error[kept],
        distance=np.zeros(0),
        singular_values=s[:, recorded],
        mode_balance=(s / np.hypot(s, c))[:, recorded],
        final_modes=final,
        mode_times=times,
        observables=over_time(values, time[kept], times.crossing),
    )
    return trajectory, values

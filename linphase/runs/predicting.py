"""Theory's prediction of a run: equation (1) from A = 0, one closed curve a mode, as if it had been trained.

With Y = U S V^T every mode goes its own way from 0 to S_i at the threshold c, so a whole phase diagram costs one SVD a
replicate. What the start itself contributes is left out: the noise of A0 (beyond the infinite-noise line) and modes
that do not begin lazy (at small width).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.model.kernel import Kernel, kernel_change, kernel_distance, target_alignment
from linphase.model.network import Initialization
from linphase.model.observables import Modes, ModeTimes, crossing_times, subspace_overlap
from linphase.model.task import Task, TaskConfig, draw_task
from linphase.runs.recorder import RecordConfig
from linphase.runs.records import EndObservables, TestErrorMinimum, TrainedRun, Trajectory, result
from linphase.runs.stopping import StopConfig, wanted_excess
from linphase.theory.cell import Prediction, predict_modes
from linphase.theory.mode import TargetModes, modes_from_zero

Array = NDArray[np.floating]

_TINY = 1e-300
_SAMPLES = 500  # moments from which the snapshots are chosen


def predict(task: Task, initialization: Initialization, *, stop: StopConfig, record: RecordConfig) -> TrainedRun:
    """The run that theory expects at a cell, of the leading `width` modes, trained to convergence."""
    began = perf_counter()
    c = initialization.threshold
    modes = TargetModes.of(task, initialization.width)
    predicted = predict_modes(modes, c, wanted_excess(stop, task))
    final = Modes(predicted.singular_values, predicted.balance, predicted.speed_up, modes.values)
    signal = slice(task.rank)
    times = ModeTimes(
        predicted.crossing_time[signal], predicted.escape_time[signal], predicted.convergence_time[signal]
    )
    A, kernel, observables = _at_the_end(task, predicted)
    return result(
        task,
        initialization,
        final,
        status="converged",
        trajectory=_trajectory(modes, predicted, final, times, record),
        minimum=TestErrorMinimum(
            predicted.min_test_error,
            predicted.time_at_min,
            None,
            predicted.stable_rank_at_min,
            predicted.rank_at_min,
            observables.subspace_overlap,  # the vectors are Y's at all times
        ),
        learning_rate=None,
        train_error=predicted.final_train_error,
        test_error=predicted.final_test_error,
        train_error_floor=modes.floor,
        time=predicted.final_time,
        updates=0,
        gradient_evaluations=0,
        elapsed=perf_counter() - began,
        observables=observables,
        distance_to_self_consistent=None,
        A=A,
        C1=kernel.C1,
        C2=kernel.C2,
    )


def _at_the_end(task: Task, predicted: Prediction) -> tuple[Array, Kernel, EndObservables]:
    """A, C1 = sqrt(A^T A + c^2 I), C2 = sqrt(A A^T + c^2 I) and what follows from them; both are c I at the start."""
    s, c = predicted.singular_values, predicted.threshold
    U, _, V = (each[..., : s.size] for each in task.target_svd)
    d_out, d_in = task.shape
    above = s * (s / (np.hypot(s, c) + c))  # sqrt(s^2 + c^2) - c, without cancelling
    start = Kernel(c * np.eye(d_in), c * np.eye(d_out))
    kernel = Kernel(start.C1 + (V * above) @ V.T, start.C2 + (U * above) @ U.T)
    U_star, _, V_star = task.signal_svd
    observables = EndObservables(
        kernel_change=kernel_change(kernel, start),
        kernel_distance=kernel_distance(kernel, start),
        target_alignment=target_alignment(kernel, task.target),
        imbalance=None,
        imbalance_drift=None,
        subspace_overlap=subspace_overlap(U, V, U_star, V_star),
        self_consistency_residual=None,
    )
    return (U * s) @ V.T, kernel, observables


def _trajectory(
    modes: TargetModes, predicted: Prediction, final: Modes, times: ModeTimes, record: RecordConfig
) -> Trajectory:
    """At moments spread evenly along the path of the errors, as those of a trained run are (`linphase.recorder`)."""
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
    return Trajectory(
        time=time[kept],
        step=np.arange(len(kept)),
        train_error=train_error[kept],
        test_error=test_error[kept],
        distance=np.zeros(0),
        singular_values=s[:, recorded],
        mode_balance=(s / np.hypot(s, c))[:, recorded],
        final_modes=final,
        mode_times=times,
    )


_MOMENTS = 400


@dataclass(frozen=True, eq=False)
class Evolution:
    """Equation (1) from A = 0 at n moments, r = min(d, width) modes."""

    time: Array  # (n,)
    step: NDArray[np.int64]  # (n,): all 0
    train_error: Array  # (n,): ||A - Y||_F^2/d^2
    test_error: Array  # (n,): ||A - A*||_F^2/d^2
    singular_values: Array  # (n, r): s_i(A), descending


def theory_beside(run: Mapping[str, Any], trajectory: Trajectory) -> Evolution | None:
    """The closed form from A = 0 over the time of a stored run.

    run: a row of the runs table, from which the task is drawn again. None where that draw is not the one trained, as
    of results of an older linphase, and where no time passed.
    Source: theory.md section 5.
    """
    norm = run["signal_norm"]
    task = TaskConfig(
        dimension=int(run["dimension"]),
        rank=int(run["rank"]),
        noise=float(run["noise"]),
        signal_norm=None if norm is None or norm != norm else float(norm),
    )
    drawn = draw_task(task, seed=int(run["seed"]), replicate=int(run["replicate"]))
    modes = TargetModes.of(drawn, int(min(run["width"], task.dimension)))
    stored, c = trajectory.final_modes.target, float(run["threshold"])
    same = len(stored) == len(modes.values) and np.allclose(
        stored, modes.values, rtol=1e-4, atol=1e-5 * modes.values[0]
    )
    time = trajectory.time[np.isfinite(trajectory.time) & (trajectory.time > 0)]
    if not same or not time.size or not 0 < c < np.inf:
        return None
    moments = np.geomspace(time[0], time[-1], _MOMENTS)
    s = modes_from_zero(moments, modes.values, c)
    return Evolution(moments, np.zeros(_MOMENTS, np.int64), modes.train_error(s), modes.test_error(s), s)


def crossings(trajectory: Trajectory, threshold: float) -> Array:
    """When each recorded mode crosses the threshold for good; 0: always above, nan: not above at the end.

    Of the signal modes as measured during the run, of the others as interpolated between the moments kept.
    """
    found = crossing_times(trajectory.time, trajectory.singular_values, threshold)
    signal = trajectory.mode_times.crossing[: len(found)]
    found[: len(signal)] = signal
    return found

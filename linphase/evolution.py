"""Theory beside a stored run: the self-consistent dynamics of its own task from A = 0, over the run's own time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.observables import crossing_times
from linphase.self_consistent import TargetModes, modes_from_zero
from linphase.spec import TaskConfig
from linphase.task import draw_task
from linphase.trajectory import Trajectory

Array = NDArray[np.floating]

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

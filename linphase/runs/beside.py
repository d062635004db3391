"""Theory beside a run: the self-consistent dynamics from A = 0, or from the run's own start."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from linphase.dynamics.self_consistent import SelfConsistent
from linphase.model.draws import draw_task
from linphase.model.mode_times import crossing_times
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.records import TrainedRun, Trajectory
from linphase.runs.spec import RunConfig, RunSpec
from linphase.runs.stopping import Converged
from linphase.runs.training import train_spec
from linphase.theory.matrix import EulerPath, euler_path
from linphase.theory.mode import TargetModes, modes_from_zero
from linphase.theory.weight_decay import decaying_modes

Array = NDArray[np.floating]

EULER_STEPS = 1000  # each costs an SVD: a longer run is compared with the exact solution
_MOMENTS = 400


@dataclass(frozen=True, eq=False)
class Evolution:
    """Equation (1) from A = 0 at n moments, r = min(d, width) modes."""

    time: Array  # (n,)
    step: NDArray[np.int64]  # (n,): all 0
    train_error: Array  # (n,): ||A - Y||_F^2/d^2
    test_error: Array  # (n,): ||A - A*||_F^2/d^2
    singular_values: Array  # (n, r): s_i(A), descending


def theory_beside(
    task: Task,
    width: int,
    c: float,
    trajectory: Trajectory,
    richness: float = 1.0,
    decays: tuple[float, float] = (0.0, 0.0),
) -> Evolution | None:
    """The modes from A = 0 over the time of a run of this task, width, threshold c, richness and decays of its layers.

    None where inputs are not white or the layers decay unequally, for which there is no equation of a mode, where the
    task is not the one trained, as where an older linphase drew another, and where no time passed.
    Source: docs/theory.md, "One mode" and "Weight decay".
    """
    if not task.white or decays[0] != decays[1]:
        return None
    modes = TargetModes.of(task, min(width, *task.shape))
    stored = trajectory.final_modes.target
    same = len(stored) == len(modes.values) and np.allclose(
        stored, modes.values, rtol=1e-4, atol=1e-5 * modes.values[0]
    )
    time = trajectory.time[np.isfinite(trajectory.time) & (trajectory.time > 0)]
    if not same or not time.size or not 0 < c < np.inf:
        return None
    moments = np.geomspace(time[0], time[-1], _MOMENTS)
    if any(decays):
        s = decaying_modes(moments / richness, modes.values, c, decays[0])
    else:
        s = modes_from_zero(moments / richness, modes.values, c)
    return Evolution(moments, np.zeros(_MOMENTS, np.int64), modes.train_error(s), modes.test_error(s), s)


def crossings(trajectory: Trajectory, threshold: float) -> Array:
    """When each recorded mode crosses the threshold for good; 0: always above, nan: not above at the end.

    The signal modes' are those measured during the run, the others' are interpolated between the moments kept.
    """
    found = crossing_times(trajectory.time, trajectory.singular_values, threshold)
    signal = trajectory.mode_times.crossing[: len(found)]
    found[: len(signal)] = signal
    return found


def from_the_same_start(spec: RunSpec, trained: TrainedRun) -> tuple[EulerPath | Trajectory, str]:
    """Equation (1) from the run's own start and how it is solved: for descent, as in the paper, by Euler's method.

    Of a start that the equation does not describe it is the start's own flow.
    """
    short = trained.updates <= EULER_STEPS
    follows = spec.initialization.has_closed_form(spec.task.shape) and not spec.dynamics.decay
    if follows and spec.dynamics.fixed_step and short and spec.record.compare != "self_consistent":
        return _euler(spec, trained), "Euler"
    return _exact(spec), "exact"


def _euler(spec: RunSpec, trained: TrainedRun) -> EulerPath:
    """The Euler iteration at the run's own learning rate, at its own moments."""
    seed, replicate, c = spec.seed, spec.replicate, spec.initialization.threshold
    assert trained.learning_rate is not None
    clock = spec.initialization.richness
    with one_blas_thread():
        task = draw_task(spec.task, seed=seed, replicate=replicate)
        A0 = spec.init.draw(spec.initialization, task.shape, seed=seed, replicate=replicate).product()
        path = euler_path(task, A0, c, trained.learning_rate / clock, trained.trajectory.step)
        path = replace(path, time=clock * path.time)
    modes = spec.record.singular_values
    return path if modes == "all" else replace(path, singular_values=path.singular_values[:, :modes])


def _exact(spec: RunSpec) -> Trajectory:
    """The exact solution, somewhat beyond convergence."""
    run = RunConfig(seed=spec.run.seed, independent_dimensions=spec.run.independent_dimensions)
    record = spec.record.model_copy(update={"compare": "none"})
    stop = Converged(excess_error=getattr(spec.stop, "excess_error", 1e-3) / 10)
    theory = SelfConsistent(weight_decay=spec.dynamics.decay)
    mixed = replace(spec, dynamics=theory, stop=stop, record=record, run=run)
    return train_spec(mixed).trajectory

"""A cell of the phase diagram as equation (1) from A = 0 predicts it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linphase.errors import LinphaseError
from linphase.model.kernel import Kernel
from linphase.model.mode_times import learning_order
from linphase.model.moment import Moment
from linphase.model.task import Task
from linphase.theory.mode import TargetModes, mode_time, modes_from_zero
from linphase.theory.roots import roots

Array = NDArray[np.floating]

# Moments at which `predict_modes` looks for dips of the test error, besides one in the rise of every mode.
_SCAN = 150


@dataclass(frozen=True, eq=False)
class Prediction:
    """One cell of the phase diagram as equation (1) from A = 0 predicts it.

    Arrays hold one value an entry of the target's modes: a mode, or m_i equal ones.
    """

    threshold: float
    min_test_error: float
    time_at_min: float
    singular_values_at_min: Array
    final_time: float  # where the train error comes within the wanted excess of its floor, or as given
    final_train_error: float
    final_test_error: float
    singular_values: Array  # at the final time, like the next two
    balance: Array  # s/sqrt(s^2 + c^2)
    speed_up: Array  # sqrt(1 + s^2/c^2)
    crossing_time: Array  # s = c; nan where S <= c
    escape_time: Array  # s = S/2
    convergence_time: Array  # s = 0.95 S
    multiplicity: Array  # m

    def learning_order(self, rank: float) -> float | None:
        """Median convergence time of the bulk over that of the k leading modes: 1 where lazy, large where balanced."""
        return learning_order(self.convergence_time, rank, self.multiplicity)


def predict_modes(target: TargetModes, c: float, excess: float, end: float | None = None) -> Prediction:
    """Predict a run from A = 0 under equation (1) until its train error is within `excess` of its floor, or to a time.

    The smallest test error over continuous time: the sign changes of its exact slope on a dense grid of times, each
    refined to rounding. Milliseconds at 200 modes: the cost is that of the scan.
    Raises LinphaseError unless c and excess are positive.
    """
    if not (0 < c < np.inf and excess > 0):
        raise LinphaseError(f"prediction: threshold and excess must be positive, found c = {c}, excess = {excess}")
    S = target.values
    final_time = convergence_time(target, c, excess) if end is None else end
    time = _time_of_smallest_test_error(target, c, final_time)
    best, final = modes_from_zero(np.array([time, final_time]), S, c)
    fitted = S > 0  # a mode without target never moves
    levels = np.where(fitted, [np.full_like(S, c), S / 2, 0.95 * S], np.nan)
    times = mode_time(levels, 0.0, S, c)
    # What comes after the given end never comes; a run to convergence is not asked for what it leaves to come.
    crossing, escape, converged = times if end is None else np.where(times <= end, times, np.nan)
    return Prediction(
        threshold=c,
        min_test_error=float(target.test_error(best)),
        time_at_min=time,
        singular_values_at_min=best,
        final_time=final_time,
        final_train_error=float(target.train_error(final)),
        final_test_error=float(target.test_error(final)),
        singular_values=final,
        balance=final / np.hypot(final, c),
        speed_up=np.hypot(final / c, 1),
        crossing_time=np.where(np.isinf(crossing), np.nan, crossing),
        escape_time=escape,
        convergence_time=converged,
        multiplicity=target.multiplicity,
    )


def convergence_time(target: TargetModes, c: float, excess: float) -> float:
    """Time at which the train error from A = 0 comes within `excess` of its floor; 0 where it is there already.

    Raises LinphaseError where the excess is lost in rounding.
    """
    S, bound = target.values, excess * target.size

    def above(t: Array) -> Array:
        return target.excess(modes_from_zero(t, S, c)) - excess

    # Within the bound a mode is within sqrt(bound/m) of its target; with all within sqrt(bound/sum m) it is met.
    gaps = np.sqrt([bound / target.multiplicity, np.full_like(S, bound / target.count)])
    bracket = mode_time(np.maximum(S - gaps, 0), 0.0, S, c).max(axis=1)
    early, late = bracket.tolist()
    if not late < np.inf:
        raise LinphaseError(f"prediction: an excess of {excess} is lost in rounding; raise it")
    if not early < late:
        return float(early)
    at_early, at_late = above(bracket).tolist()
    if at_early <= 0:
        return float(early)
    return float(roots(above, bracket[:1], bracket[1:])[0]) if at_late < 0 else float(late)


def _time_of_smallest_test_error(target: TargetModes, c: float, end: float) -> float:
    """The time in [0, end]: the best of both ends and all roots of the slope."""
    S = target.values

    def slope(t: Array) -> Array:
        return target.test_error_slope(modes_from_zero(t, S, c), c)

    if end == 0:
        return 0.0
    scan = np.geomspace(min(1e-4 / (2 * np.hypot(S[0], c)), end / 2), end, _SCAN)
    halfway = mode_time(S / 2, 0.0, S, c)
    times = np.unique(np.concatenate([[0.0], scan, halfway[halfway < end]]))
    slopes = slope(times)
    dips = np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] > 0))
    candidates = np.array([0.0, end, *(roots(slope, times[dips], times[dips + 1]) if dips.size else ())])
    return float(candidates[np.argmin(target.test_error(modes_from_zero(candidates, S, c)))])


@dataclass(frozen=True, eq=False)
class PredictedMoment(Moment):
    """A moment of equation (1) from A = 0, where C1 = sqrt(A^T A + c^2 I) and C2 = sqrt(A A^T + c^2 I)."""

    @classmethod
    def at(cls, task: Task, s: Array, c: float, start: "Moment | None" = None, **known: Any) -> "PredictedMoment":
        """The moment at which the modes of the target have the singular values s (n,); known: further fields."""
        U, _, V = (each[..., : s.size] for each in task.solution_svd)
        return cls(task, lambda: (U * s) @ V.T, c, s.size, factors=(U, s, V), start=start, **known)

    @cached_property
    def kernel(self) -> Kernel:
        return Kernel.self_consistent(*self.svd, self.c)

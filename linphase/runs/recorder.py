"""Which moments of a run are kept, and what is kept of them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from linphase.dynamics.base import State
from linphase.model.moment import Moment
from linphase.model.observables import Modes, leading_singular_values, singular_values_and_balance
from linphase.model.section import Section, Younger
from linphase.runs.comparison import Comparison
from linphase.runs.passings import Passings
from linphase.runs.records import Trajectory, Value, over_time, watched


class RecordConfig(Section):
    """What is kept of a run over time."""

    snapshots: int = Field(
        default=48,
        ge=2,
        le=10_000,
        title="largest number of moments kept of a run; the times of the modes need at least 20",
        description="an integer from 2 to 10000",
    )
    singular_values: Annotated[int, Field(ge=1, le=20_000)] | Literal["all"] = Field(
        default="all",
        title="leading singular values kept over time",
        description='"all" or an integer from 1 to 20000',
    )
    compare: Literal["none", "self_consistent", "self_consistent_euler"] = Field(
        default="none",
        title="keep the distance to the exact solution of the self-consistent equation, or (gd only) to its Euler "
        "iteration, as the paper does",
        description='"none", "self_consistent" or "self_consistent_euler"',
    )
    sharpness: Annotated[bool, Younger] = Field(
        default=False,
        title="measure the sharpness, the largest eigenvalue of the loss Hessian, at the times kept: some hundred "
        "products of matrices each",
        description="true or false",
    )


# Path length that the snapshots cover before their spacing has to double, which throws half of them away: that of most
# runs to convergence, each of time, train and test error passing some decades.
_USUAL_LENGTH = 24.0
_BALANCED = 8  # moments on that length tell the mode balance, too: it takes singular vectors
_FEWEST = 20  # snapshots that the times of the modes take: between fewer nothing is known of a mode
_TINY = 1e-300


@dataclass(frozen=True)
class _Snapshot:
    time: float
    step: int
    train_error: float
    test_error: float
    distance: float | None
    singular_values: NDArray[np.floating]
    balance: NDArray[np.floating]  # NaN where it is not measured
    observables: dict[str, Value]


class Recorder:
    """Keeps at most `snapshots` moments, evenly spread along the path that the two errors draw in a log-log plot.

    Length of the path: |d log t| + |d log train error| + |d log test error|. So saddles (where only the time
    passes), steep descents and the slow end all get their share, whatever the time scale. When the memory is full
    every second snapshot is dropped and the spacing doubled; the first and the last state are always kept. At the
    first, the last and at every eighth of the usual length between them the mode balance is measured too, however many
    snapshots there are.
    """

    def __init__(
        self,
        snapshots: int,
        modes: int,
        comparison: Comparison,
        passings: Passings,
        moment: Callable[[State, tuple[float, float]], Moment],
    ) -> None:
        self.capacity, self.modes, self.comparison, self.passings = snapshots, modes, comparison, passings
        self.moment = moment
        self.kept: list[_Snapshot] = []
        self.spacing = _USUAL_LENGTH / snapshots
        self.length = 0.0  # of the path since the last snapshot
        self.unbalanced = np.inf  # ... since the last mode balance
        self.first_time = 0.0
        self.point: tuple[float, float, float] | None = None

    def observe(self, state: State, train_error: float, test_error: float) -> None:
        """Take in the next state."""
        self.comparison.advance(state)
        self.passings.advance(state)
        self.first_time = self.first_time or state.time
        elapsed = 1 + state.time / self.first_time if state.time else 1.0
        # Without test errors these are NaN, and 0 of the path.
        point = (log(elapsed), log(max(train_error, _TINY)), log(max(_TINY, test_error)))
        if self.point is None:
            self.keep(state, train_error, test_error)
        else:
            step = sum(abs(a - b) for a, b in zip(point, self.point, strict=True))
            self.length += step
            self.unbalanced += step
            if self.length >= self.spacing:
                if len(self.kept) >= self.capacity - 1:  # one place is for the last state
                    self.kept = self.kept[::2]
                    self.spacing *= 2
                if len(self.kept) < self.capacity - 1:
                    self.keep(state, train_error, test_error)
        self.point = point

    def finish(self, state: State, train_error: float, test_error: float) -> None:
        """Keep the last state, with its mode balance."""
        if self.kept[-1].step == state.step:
            self.kept.pop()
        self.unbalanced = np.inf
        self.keep(state, train_error, test_error)

    def keep(self, state: State, train_error: float, test_error: float) -> None:
        """Keep this state."""
        count = max(self.modes, self.passings.modes)
        if self.unbalanced >= _USUAL_LENGTH / _BALANCED:
            s, balance = singular_values_and_balance(state.weights, count)
            self.unbalanced = 0.0
        else:
            s = leading_singular_values(state.weights, count)
            balance = np.full_like(s, np.nan)
        self.passings.keep(state.time, s)
        s, balance = s[: self.modes], balance[: self.modes]
        distance = self.comparison.distance(state)
        values = watched(self.moment(state, (train_error, test_error)))
        self.kept.append(_Snapshot(state.time, state.step, train_error, test_error, distance, s, balance, values))
        self.length = 0.0

    def times(self) -> NDArray[np.float64]:
        """Times of the snapshots, (n,)."""
        return np.array([snapshot.time for snapshot in self.kept])

    def singular_values(self) -> NDArray[np.floating]:
        """Singular values over time, (n, r)."""
        return np.stack([snapshot.singular_values for snapshot in self.kept])

    def observables(self) -> list[dict[str, Value]]:
        """The values of the observables followed over time, at each snapshot, by name."""
        return [snapshot.observables for snapshot in self.kept]

    def trajectory(self, final_modes: Modes) -> Trajectory:
        """All that was kept."""
        mode_times = self.passings.mode_times() if self.capacity >= _FEWEST else self.passings.unknown()
        return Trajectory(
            time=self.times(),
            step=np.array([snapshot.step for snapshot in self.kept], dtype=np.int64),
            train_error=np.array([snapshot.train_error for snapshot in self.kept]),
            test_error=np.array([snapshot.test_error for snapshot in self.kept]),
            distance=np.array([snapshot.distance for snapshot in self.kept if snapshot.distance is not None]),
            singular_values=self.singular_values(),
            mode_balance=np.stack([snapshot.balance for snapshot in self.kept]),
            final_modes=final_modes,
            mode_times=mode_times,
            observables=over_time(self.observables(), self.times(), mode_times.crossing),
        )

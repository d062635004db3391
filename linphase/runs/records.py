"""The frozen record of one run: over time, at its end, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from linphase.model.mode_times import ModeTimes, median_time
from linphase.model.moment import OBSERVABLES, Moment, columns_at, on_slower_clock
from linphase.model.network import Initialization
from linphase.model.observables import Modes
from linphase.model.regime import CRITERIA, Classification, OrderParameters
from linphase.theory.baselines import Baselines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from linphase.figures.fitting import Style

Array = NDArray[np.floating]
Value: TypeAlias = float | int | None

# How a run ends that was asked to end so.
AS_ASKED = ("converged", "finished")
STATUSES = {
    "converged": "the train error came within the wanted distance of the best the width can reach",
    "finished": "the time that the stop rule gave was over",
    "stopped_early": "the paper's stop rule ended the run on a rising test error or a flat train error",
    "step_limit": "the budget of steps, gradient evaluations or seconds was spent; raise it to train further",
    "diverged": "the errors exploded or became NaN; lower the learning rate",
    "failed": "the run raised an error or its worker died; see the failures table",
}


@dataclass(frozen=True)
class TestErrorMinimum:
    """The smallest test error of a run, when it was, and the observables at that moment, by column."""

    test_error: float | None  # None, like the time, where no test error is measured
    time: float | None
    step: int | None  # None where it lies between steps (a flow)
    observables: Mapping[str, Value]

    @classmethod
    def none(cls) -> "TestErrorMinimum":
        """Of a task without test errors."""
        return cls(None, None, None, dict.fromkeys(columns_at("minimum")))


@dataclass(frozen=True, repr=False)
class Trajectory:
    """One run over time; n moments, r recorded modes. time = learning rate x step under gradient descent."""

    time: Array  # (n,)
    step: NDArray[np.int64]  # (n,): updates made; accepted steps under gradient flow
    train_error: Array  # (n,): ||A - Y||_F^2/(d_out d_in)
    test_error: Array  # (n,): ||A - A*||_F^2/(d_out d_in)
    distance: Array  # (n,): ||A - A_sc||_F^2/(d_out d_in) to the self-consistent dynamics; (0,) where not compared
    singular_values: Array  # (n, r): s_i(A), descending
    mode_balance: Array  # (n, r); NaN at the moments where it was not measured
    final_modes: Modes
    mode_times: ModeTimes
    observables: Mapping[str, Array] = field(default_factory=dict)  # by column: (n,) snapshots, (k,) at crossings
    # (r,): mean of each over the last half of the time; (0,) where no time was given to end at
    mean_singular_values: Array = field(default_factory=lambda: np.zeros(0))

    def __repr__(self) -> str:
        n, r = self.singular_values.shape
        return f"Trajectory({n} moments of {r} modes, to time {self.time[-1]:.4g})"


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """One run: how it ended, what it measured over time, and the network at the last measurement."""

    status: str
    initialization: Initialization
    trajectory: Trajectory
    minimum: TestErrorMinimum
    paper_learning_rate: float | None  # None without a signal
    learning_rate: float | None
    largest_train_error: float  # over the run: above the first where descent went up before it went down
    train_error: float
    test_error: float | None  # None where the task has nothing to measure it against
    error_scale: float  # nu^2, what excess errors are relative to
    irreducible_errors: tuple[float | None, float | None]  # train and test, of data: what no linear map fits
    train_error_floor: float | None  # of the best the width can reach; None where it is not known
    time: float
    updates: int  # made when the stop rule fired
    gradient_evaluations: int
    elapsed: float  # seconds
    classification: Classification
    baselines: Baselines | None  # what the smallest test error is to be held against; None without a signal
    blind_test_error: float | None  # where the train error is that of a fitted signal; None where it never is
    bulk_convergence_time: float | None  # median over the bulk; None where not all modes are kept, or half never do
    learning_order: float | None  # over that of the signal
    observables: Mapping[str, Value]  # by column: at the end (None where the run diverged), and the largest
    distance_to_self_consistent: float | None  # the largest, where compared
    A: Array  # W2 W1, (d_out, d_in)
    C1: Array  # W1^T W1, (d_in, d_in)
    C2: Array  # W2 W2^T, (d_out, d_out)
    mean_errors: tuple[float | None, float | None] = (None, None)  # train and test, over the last half of a given time
    rank: int = 0  # of the signal: so many leading modes are the signal's; 0 where nothing tells

    @property
    def converged(self) -> bool:
        return self.status == "converged"

    @property
    def benefit(self) -> float | None:
        """(e_min - e_optimal)/(e_lazy - e_optimal): 0 as good as optimal shrinkage, 1 no better than lazy training."""
        if self.baselines is None or self.minimum.test_error is None:
            return None
        return self.baselines.benefit(self.minimum.test_error)

    @property
    def regimes(self) -> Mapping[str, str | None]:
        """The regime by each criterion; None where the run has none."""
        return self.classification.regimes

    @property
    def regime(self) -> str | None:
        """By the threshold, the paper's criterion."""
        return self.regimes["threshold"]

    @property
    def order_parameters(self) -> Mapping[str, OrderParameters]:
        """The shares of active modes by each criterion; empty where the run diverged."""
        return self.classification.order_parameters

    def on_its_own_clock(self) -> "TrainedRun":
        """The run as the network with its own rates and scale has it, of the one at equal rates and scale 1.

        Times and learning rates are gamma times as long, the sharpness (what learning rates multiply) 1/gamma times as
        large, C1 gamma sqrt(p) and C2 gamma/sqrt(p) times (docs/theory.md, "Knobs of the start").
        """
        gamma, root = self.initialization.richness, self.initialization.rate_ratio**0.5
        if gamma == root == 1:
            return self

        def longer(time: Any) -> Any:
            return None if time is None else gamma * time

        times = self.trajectory.mode_times
        slower = replace(
            self.trajectory,
            time=gamma * self.trajectory.time,
            mode_times=ModeTimes(gamma * times.crossing, gamma * times.escape, gamma * times.convergence),
            observables=on_slower_clock(self.trajectory.observables, gamma),
        )
        return replace(
            self,
            trajectory=slower,
            minimum=replace(
                self.minimum,
                time=longer(self.minimum.time),
                observables=on_slower_clock(self.minimum.observables, gamma),
            ),
            observables=on_slower_clock(self.observables, gamma),
            paper_learning_rate=longer(self.paper_learning_rate),
            learning_rate=longer(self.learning_rate),
            time=gamma * self.time,
            bulk_convergence_time=longer(self.bulk_convergence_time),
            C1=gamma * root * self.C1,
            C2=gamma / root * self.C2,
        )

    def row(self) -> dict[str, Any]:
        """What was measured, by the columns of the runs table (`linphase columns`); what was asked for is not in it."""
        minimum, times, rate = self.minimum, self.trajectory.mode_times, self.paper_learning_rate
        held_against = {} if self.baselines is None else vars(self.baselines)
        row: dict[str, Any] = {
            "learning_rate": self.learning_rate,
            "status": self.status,
            "converged": self.converged,
            "evidence_agreement": self.classification.agreement,
            "largest_train_error": self.largest_train_error,
            "min_test_error": minimum.test_error,
            "time_at_min": minimum.time,
            "step_at_min": minimum.step,
            "iterations_at_min": None if minimum.time is None or rate is None else minimum.time / rate,
            "distance_to_self_consistent": self.distance_to_self_consistent,
            **minimum.observables,
            **self.observables,
            "benefit": self.benefit,
            **{f"{name}_test_error": held_against.get(name) for name in ("optimal", "lazy", "balanced", "zero")},
            "blind_test_error": self.blind_test_error,
            "crossing_time": median_time(times.crossing),
            "escape_time": median_time(times.escape),
            "convergence_time": median_time(times.convergence),
            "bulk_convergence_time": self.bulk_convergence_time,
            "learning_order": self.learning_order,
            "final_train_error": self.train_error,
            "final_test_error": self.test_error,
            "mean_train_error": self.mean_errors[0],
            "mean_test_error": self.mean_errors[1],
            "train_error_floor": self.train_error_floor,
            "error_scale": self.error_scale,
            "irreducible": self.irreducible_errors[0],
            "test_irreducible": self.irreducible_errors[1],
            "final_step": self.updates,
            "final_time": self.time,
            "gradient_evaluations": self.gradient_evaluations,
            "elapsed_s": self.elapsed,
        }
        for name, criterion in CRITERIA.items():
            share = self.order_parameters.get(name)
            row[criterion.column("regime")] = self.regimes[name]
            row[criterion.column("signal_active")] = None if share is None else share.signal_active
            row[criterion.column("bulk_active")] = None if share is None else share.bulk_active
            row[criterion.column("active_modes")] = self.classification.active.get(name)
        return row

    def plot(
        self,
        part: str | None = None,
        *,
        ax: "Axes | None" = None,
        theory: Trajectory | None = None,
        title: str | None = None,
        style: "Literal['paper', 'talk'] | Style" = "paper",
    ) -> "Figure":
        """Draw the run over time: its errors, its singular values against the threshold c, how many have escaped.

        Parameters
        ----------
        part
            One of these alone: "errors", "modes" or "escaped". By default all three.
        ax
            Of a figure of your own, where one part is drawn. Your figure is laid out by you.
        theory
            The trajectory of another run of the same task, such as one with `dynamics=SelfConsistent()`: it is drawn
            dashed over this one.
        title
            Above the figure, or the part.
        style
            paper or talk, or a `linphase.Style`: width, font, what is left out, the ends of the scale.

        Returns
        -------
        Figure
            The figure, or that of `ax`.

        Raises
        ------
        LinphaseError
            If an argument is not as it must be, or several parts are to be drawn into one Axes.

        Examples
        --------
        >>> run.plot("modes", ax=ax)
        """
        from linphase.figures.evolution import plot_run

        return plot_run(self, part, ax=ax, theory=theory, title=title, style=style)

    def _repr_html_(self) -> str:
        """For notebooks: the run in a line, and what was measured at its end."""
        rows = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in self.observables.items())
        return f"<p>{escape(repr(self))}</p><table>{rows}</table>"

    def __repr__(self) -> str:
        least, end = self.minimum, f"at the end train {self.train_error:.4g}"
        if least.test_error is not None:
            end = f"smallest test error {least.test_error:.4g} at time {least.time:.4g}, {end}"
        test = "" if self.test_error is None else f", test {self.test_error:.4g}"
        return (
            f"TrainedRun({self.status}, {self.regime or 'no regime'}, width {self.initialization.width}, "
            f"c = {self.initialization.threshold:.4g}; {end}{test})"
        )


def watched(moment: Moment) -> dict[str, Value]:
    """The observables that are followed over the moments kept, at one of them, by name."""
    return {one.name: one.of(moment) for one in OBSERVABLES.values() if one.is_followed}


def largest(kept: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """The largest value over the moments kept of the observables that ask for it, by column."""
    found: dict[str, Value] = {}
    for one in OBSERVABLES.values():
        if "largest" in one.at:
            values = [value for each in kept if (value := each.get(one.name)) is not None and value == value]
            found[one.column("largest")] = max(values, default=None)
    return found


def over_time(kept: Sequence[Mapping[str, Value]], time: Array, crossing: Array) -> dict[str, Array]:
    """The observables that are lists, by column: at the moments kept, and where each signal mode crosses c.

    kept: their values by name, (n,) of them at `time`; crossing (k,): when each mode crosses, 0: always above, nan:
    never. Between moments kept a value is taken as linear in time. A list over the moments of what has no value at any
    is empty.
    """
    found: dict[str, Array] = {}
    empty = np.zeros(0)
    for one in OBSERVABLES.values():
        values = np.array([np.nan if (v := each.get(one.name)) is None else v for each in kept], dtype=np.float64)
        if "snapshots" in one.at:
            found[one.column("snapshots")] = values if any(each.get(one.name) is not None for each in kept) else empty
        if "crossing" in one.at:
            at = np.interp(np.nan_to_num(crossing), time, values) if len(values) else np.full(len(crossing), np.nan)
            found[one.column("crossing")] = np.where(np.isnan(crossing), np.nan, at)
    return found

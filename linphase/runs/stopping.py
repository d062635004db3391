"""When a run ends: stop rules, each with its keys (docs/theory.md, "Stop rules")."""

from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field

from linphase.dynamics.base import Dynamics
from linphase.errors import LinphaseError
from linphase.model.registry import Registry
from linphase.model.section import Choice, Formerly
from linphase.model.task import Task


class Measured(NamedTuple):
    """What was just measured of a run."""

    time: float
    train_error: float
    test_error: float  # nan where there is none
    objective: float  # 2 L/N of the loss that the run descends: the train error, where nothing regularizes


class StopRule:
    """Asked once a step how the run goes on. A rule of your own sets what differs from these values."""

    updates_before_asking: int = 0  # 1 where the rule is asked after the weights have moved on
    # A flow ends exactly there, within its last step: at a value of the objective, above 0, or at a time.
    ends_at: float | None = None
    ends_at_time: float | None = None

    def status(self, measured: Measured) -> str | None:
        """How the run ends here, a key of `linphase.runs.records.STATUSES`, or None where it goes on."""
        raise LinphaseError(f"stop rule {type(self).__name__}: a method `status` is required, found none")


class Stop(Choice):
    """When a run ends.

    A way to end a run is a frozen class whose fields are its keys in `[stop]`, named by `rule`.
    """

    selector: ClassVar[str] = "rule"
    default: ClassVar[str] = "converged"
    members: ClassVar[Registry[type["Stop"]]] = Registry("stop rule")
    rule: ClassVar[str]

    needs_signal: ClassVar[bool] = False  # whether it looks at test errors
    usual_steps: ClassVar[int | None] = None  # within which descent meets it; None: as many as it takes
    foretold: ClassVar[bool] = False  # theory's prediction ends by it, too; where it does not, as by `Converged`

    def __init_subclass__(cls, rule: str | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)

    @classmethod
    def __pydantic_init_subclass__(cls, rule: str | None = None, **others: Any) -> None:
        super().__pydantic_init_subclass__(**others)
        if rule is not None:
            cls.declare(rule)

    @classmethod
    def fits(cls, dynamics: type[Dynamics]) -> bool:
        """Whether the rule means something for a dynamics."""
        return True

    @property
    def end(self) -> float | None:
        """The time at which every run ends; None where that is not given."""
        return None

    def wanted_excess(self, task: Task) -> float:
        """The train error above its floor at which theory's prediction ends, as a run would."""
        return Converged().wanted_excess(task)

    def begin(self, task: Task, floor: float) -> StopRule:
        """The rule for one run; floor: the least value of its objective."""
        raise LinphaseError(f"stop rule {self.rule!r}: a method `begin` is required, found none")


class Converged(Stop, rule="converged"):
    """Trains to the end: the train error comes close to the best that the width can reach.

    ||A - Y||_F^2/(d_out d_in) - floor <= excess_error * nu^2, where nu^2 is noise^2, or ||A*||_F^2/(d_out d_in)
    without noise (`Task.error_scale`). With weight decay 2 L/(d_out d_in) of the regularized loss stands for the train
    error: that one alone passes its floor on the way, and comes back.
    """

    excess_error: Annotated[float, Formerly("train_error")] = Field(
        default=1e-3,
        gt=0,
        title="largest excess of a converged run's train error over what its width can reach, relative to noise^2",
        description="a finite number above 0",
    )

    def wanted_excess(self, task: Task) -> float:
        return self.excess_error * task.error_scale

    def begin(self, task: Task, floor: float) -> StopRule:
        return WithinExcess(self.wanted_excess(task), floor)


class PaperStop(Stop, rule="paper"):
    """The paper's early stopping, at most 750 steps, for descent only."""

    needs_signal: ClassVar[bool] = True
    usual_steps: ClassVar[int | None] = 150

    @classmethod
    def fits(cls, dynamics: type[Dynamics]) -> bool:
        return dynamics.allows_paper_rule

    def begin(self, task: Task, floor: float) -> StopRule:
        return PaperRule()


class AtTime(Stop, rule="time"):
    """Ends at a given time, wherever training is then, a flow exactly there; the status is finished."""

    foretold: ClassVar[bool] = True

    time: float = Field(
        gt=0,
        title="when the run ends, in the time of the dynamics: of descent learning rate times steps",
        description="a finite number above 0",
    )

    @property
    def end(self) -> float | None:
        return self.time

    def begin(self, task: Task, floor: float) -> StopRule:
        return TimeIsOver(self.time)


class WithinExcess(StopRule):
    """Converged when the objective is within `excess` of the best the width can reach.

    Neither a small gradient nor a flat error is a stop: both happen at saddles.
    """

    def __init__(self, excess: float, floor: float) -> None:
        self.ends_at = floor + excess

    def status(self, measured: Measured) -> str | None:
        assert self.ends_at is not None
        return "converged" if measured.objective <= self.ends_at else None


class TimeIsOver(StopRule):
    """Finished at the first state whose time is not below the given one by more than rounding."""

    def __init__(self, time: float) -> None:
        self.ends_at_time = time

    def status(self, measured: Measured) -> str | None:
        assert self.ends_at_time is not None
        return "finished" if measured.time >= self.ends_at_time * (1 - 1e-12) else None


class PaperRule(StopRule):
    """The paper's stop rule, asked after the weights have moved, at most 750 times.

    Train error below 1e-3; or, from the fourth step on, a test error that rose twice in a row, or a train error that
    changed by less than 2e-4 after having fallen by more than 1e-2.
    """

    updates_before_asking = 1
    max_steps = 750

    def __init__(self) -> None:
        self.train_errors: list[float] = []
        self.test_errors: list[float] = []

    def status(self, measured: Measured) -> str | None:
        self.train_errors.append(measured.train_error)
        self.test_errors.append(measured.test_error)
        train, test, i = self.train_errors, self.test_errors, len(self.train_errors) - 1
        if measured.train_error < 1e-3:
            return "converged"
        if i > 3 and test[i - 2] < test[i - 1] < test[i]:
            return "stopped_early"
        if i > 3 and abs(train[i - 1] - train[i]) < 2e-4 and train[0] - train[i] > 1e-2:
            return "stopped_early"
        return "step_limit" if i + 1 == self.max_steps else None

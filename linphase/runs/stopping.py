"""When a run ends: stop rules, each with its keys (docs/theory.md, "Stop rules")."""

from typing import Annotated, Any, ClassVar, Protocol

from pydantic import Field

from linphase.dynamics.base import Dynamics
from linphase.errors import LinphaseError
from linphase.model.registry import Registry
from linphase.model.section import Choice, Formerly
from linphase.model.task import Task


class StopRule(Protocol):
    """Asked once a step, with the errors just measured."""

    updates_before_asking: int

    @property
    def ends_at(self) -> float | None:
        """A train error, above 0, that ends the run: a flow then ends there, within its last step. Or None."""
        ...

    def status(self, train_error: float, test_error: float) -> str | None:
        """How the run ends here, a key of `linphase.runs.records.STATUSES`, or None where it goes on."""
        ...


class Stop(Choice):
    """A way to end a run: a frozen class whose fields are its keys in `[stop]`, named by `rule`."""

    selector: ClassVar[str] = "rule"
    default: ClassVar[str] = "converged"
    members: ClassVar[Registry[type["Stop"]]] = Registry("stop rule")
    rule: ClassVar[str]

    needs_signal: ClassVar[bool] = False  # whether it looks at test errors
    usual_steps: ClassVar[int | None] = None  # within which descent meets it; None: as many as it takes

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

    def wanted_excess(self, task: Task) -> float:
        """The train error above its floor at which theory's prediction ends, as a run would."""
        return Converged().wanted_excess(task)

    def begin(self, task: Task, rank: int) -> StopRule:
        """The rule for one run, by a dynamics that reaches this rank."""
        raise LinphaseError(f"stop rule {self.rule!r}: a method `begin` is required, found none")


class Converged(Stop, rule="converged"):
    """Trains to the end: the train error comes close to the best that the width can reach.

    ||A - Y||_F^2/(d_out d_in) - floor <= excess_error * nu^2, where nu^2 is noise^2, or ||A*||_F^2/(d_out d_in)
    without noise (`Task.error_scale`).
    """

    excess_error: Annotated[float, Formerly("train_error")] = Field(
        default=1e-3,
        gt=0,
        title="largest excess of a converged run's train error over what its width can reach, relative to noise^2",
        description="a finite number above 0",
    )

    def wanted_excess(self, task: Task) -> float:
        return self.excess_error * task.error_scale

    def begin(self, task: Task, rank: int) -> StopRule:
        return WithinExcess(self.wanted_excess(task), task.train_error_floor(rank))


class PaperStop(Stop, rule="paper"):
    """The paper's early stopping, at most 750 steps, for descent only."""

    needs_signal: ClassVar[bool] = True
    usual_steps: ClassVar[int | None] = 150

    @classmethod
    def fits(cls, dynamics: type[Dynamics]) -> bool:
        return dynamics.allows_paper_rule

    def begin(self, task: Task, rank: int) -> StopRule:
        return PaperRule()


class WithinExcess:
    """Converged when the train error is within `excess` of the best the width can reach.

    Neither a small gradient nor a flat error is a stop: both happen at saddles.
    """

    updates_before_asking = 0

    def __init__(self, excess: float, floor: float) -> None:
        self.ends_at = floor + excess

    def status(self, train_error: float, test_error: float) -> str | None:
        return "converged" if train_error <= self.ends_at else None


class PaperRule:
    """The paper's stop rule, asked after the weights have moved, at most 750 times.

    Train error below 1e-3; or, from the fourth step on, a test error that rose twice in a row, or a train error that
    changed by less than 2e-4 after having fallen by more than 1e-2.
    """

    updates_before_asking = 1
    ends_at: float | None = None
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

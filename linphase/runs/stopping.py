"""When a run ends: stop rules, each with its keys."""

from typing import Any, Literal, Protocol

from pydantic import Field

from linphase.model.section import Section
from linphase.model.task import Task


class StopConfig(Section):
    """When a run ends: `converged` (theory.md section 4) or the paper's rule (section 2)."""

    rule: Literal["converged", "paper"] = Field(
        default="converged",
        title='"converged" trains to the end; "paper" is the paper\'s early stopping, at most 750 steps, for gd only',
        description='"converged" or "paper"',
    )
    train_error: float = Field(
        default=1e-3,
        gt=0,
        title="a run has converged when its train error is this close to what the width can reach, relative to noise^2",
        description="a finite number above 0",
    )

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_RULE[self.rule]}


KEYS_OF_RULE = {"converged": ("rule", "train_error"), "paper": ("rule",)}


class StopRule(Protocol):
    """Asked once a step, with the train error just measured and its floor."""

    updates_before_asking: int

    def status(self, train_error: float, test_error: float) -> str | None:
        """How the run ends here, or None where it goes on."""
        ...


class Converged:
    """Converged when the train error is within `excess` of the best the width can reach.

    Neither a small gradient nor a flat error is a stop: both happen at saddles.
    """

    updates_before_asking = 0

    def __init__(self, excess: float, floor: float) -> None:
        self.bound = floor + excess

    def status(self, train_error: float, test_error: float) -> str | None:
        return "converged" if train_error <= self.bound else None


class PaperRule:
    """The paper's stop rule (theory.md section 2), asked after the weights have moved, at most 750 times.

    Train error below 1e-3; or, from the fourth step on, a test error that rose twice in a row, or a train error that
    changed by less than 2e-4 after having fallen by more than 1e-2.
    """

    updates_before_asking = 1
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


def stop_rule(config: StopConfig, task: Task, rank: int) -> StopRule:
    """The stop rule of a configuration, for a dynamics that reaches this rank.

    Its train_error is relative to noise^2, or to ||A*||_F^2/(d_out d_in) without noise.
    """
    if config.rule == "paper":
        return PaperRule()
    return Converged(wanted_excess(config, task), task.train_error_floor(rank))


def wanted_excess(config: StopConfig, task: Task) -> float:
    """The train error above the floor that counts as converged."""
    return config.train_error * (task.noise**2 if task.noise > 0 else task.signal_strength)

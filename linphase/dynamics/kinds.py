"""The kinds of dynamics and their keys."""

from typing import Any, Literal

from pydantic import Field

from linphase.dynamics.base import Dynamics
from linphase.dynamics.gradient_descent import GradientDescent, PaperRate, _Rate, _short
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.model.section import Section


class DynamicsConfig(Section):
    """How the network moves; the keys of other kinds are not used.

    flow and gd train the network. self_consistent is equation (1) of the paper from the start's A, in closed form;
    modes its version from A = 0, one curve a mode: theory's prediction of the diagram.
    """

    kind: Literal["flow", "gd", "self_consistent", "modes"] = Field(
        default="flow",
        title='"flow" is gradient flow, "gd" gradient descent; "self_consistent" is theory from the network\'s own A at'
        ' the start, "modes" theory from A = 0, which linphase theory draws',
        description='"flow", "gd", "self_consistent" or "modes"',
    )
    tolerance: float = Field(
        default=1e-3,
        gt=0,
        le=0.1,
        title="relative error of a step, in A and in the weights",
        description="a number above 0 and at most 0.1",
    )
    learning_rate: _Rate = Field(
        default="auto",
        title='"auto" is 1/(50 max(c, ||Y||_op)), "paper" the paper\'s rule, { paper = 5 } the same with 5 for 50',
        description='"auto", "paper", { paper = DIVISOR } or a number above 0',
    )
    update: Literal["simultaneous", "alternating"] = Field(
        default="simultaneous",
        title='"simultaneous" moves both layers from the old weights, "alternating", the paper\'s, W2 with the new W1',
        description='"simultaneous" or "alternating"',
    )
    max_steps: int = Field(
        default=100_000,
        ge=1,
        le=10**9,
        title="budget of steps; a run that spends it has the status step_limit",
        description="an integer from 1 to 10^9",
    )
    max_evaluations: int = Field(
        default=100_000,
        ge=1,
        le=10**9,
        title="budget of gradient evaluations; a run that spends it has the status step_limit",
        description="an integer from 1 to 10^9",
    )

    def used(self) -> dict[str, Any]:
        return {key: value for key, value in self.model_dump().items() if key in KEYS_OF_KIND[self.kind]}

    @property
    def learning_rate_rule(self) -> str:
        """The learning rate as configured, in short: "auto", "paper", "paper/5" or "0.01"."""
        rate = self.learning_rate
        if isinstance(rate, str):
            return rate
        return f"paper/{_short(rate.paper)}" if isinstance(rate, PaperRate) else _short(rate)


KEYS_OF_KIND = {
    "flow": ("kind", "tolerance", "max_evaluations"),
    "gd": ("kind", "learning_rate", "update", "max_steps"),
    "self_consistent": ("kind", "max_evaluations"),
    "modes": ("kind",),
}

KINDS = {"flow": GradientFlow, "gd": GradientDescent, "self_consistent": SelfConsistent}


def from_config(config: DynamicsConfig) -> Dynamics:
    """The dynamics of a configuration: its kind, with the keys that the kind uses."""
    settings = {key: getattr(config, key) for key in config.used() if key != "kind"}
    dynamics: Dynamics = KINDS[config.kind](**settings)
    return dynamics

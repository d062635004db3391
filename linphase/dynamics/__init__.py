"""How a network trains: one module a dynamics, each an iterator of states (time, step, weights)."""

from linphase.dynamics.base import Dynamics, State
from linphase.dynamics.gradient_descent import GradientDescent, paper_learning_rate
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.dynamics.mixed import SelfConsistent
from linphase.spec import DynamicsConfig

__all__ = [
    "Dynamics",
    "GradientDescent",
    "GradientFlow",
    "SelfConsistent",
    "State",
    "from_config",
    "paper_learning_rate",
]

KINDS = {"flow": GradientFlow, "gd": GradientDescent, "self_consistent": SelfConsistent}


def from_config(config: DynamicsConfig) -> Dynamics:
    """The dynamics of a configuration: its kind, with the keys that the kind uses."""
    settings = {key: getattr(config, key) for key in config.used() if key != "kind"}
    dynamics: Dynamics = KINDS[config.kind](**settings)
    return dynamics

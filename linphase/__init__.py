"""Phase diagrams of two-layer linear networks: lazy, mixed and balanced training, exact at any width.

>>> import linphase
>>> run = linphase.train(task, weights)               # one network, from any start
>>> results = linphase.sweep("configs/quickstart.toml")
>>> results.runs                                      # a pandas DataFrame, one row a run
>>> results.plot("test-error")                        # a matplotlib Figure; docs/python.md has more

`observable`, `Dynamics` and `panel` declare what is your own: docs/extending.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from linphase.config.config import SweepConfig, load_config, parse_config
    from linphase.diagram.panels import panel
    from linphase.dynamics.base import Dynamics, State
    from linphase.dynamics.gradient_descent import GradientDescent
    from linphase.dynamics.gradient_flow import GradientFlow
    from linphase.errors import LinphaseError
    from linphase.figures.fitting import Style
    from linphase.model.draws import draw_task
    from linphase.model.moment import Moment, observable
    from linphase.model.network import Initialization, Weights, gaussian_start, reduce_width
    from linphase.model.regime import Cuts
    from linphase.model.task import Task
    from linphase.runs.records import TrainedRun
    from linphase.runs.spec import RunSpec
    from linphase.runs.stopping import Stop, StopRule
    from linphase.runs.training import train, train_spec
    from linphase.store.results import Results, load
    from linphase.sweeps.sweeping import iter_sweep, sweep

__all__ = [
    "Cuts",
    "Dynamics",
    "GradientDescent",
    "GradientFlow",
    "Initialization",
    "LinphaseError",
    "Moment",
    "Results",
    "RunSpec",
    "State",
    "Stop",
    "StopRule",
    "Style",
    "SweepConfig",
    "Task",
    "TrainedRun",
    "Weights",
    "__version__",
    "draw_task",
    "gaussian_start",
    "iter_sweep",
    "load",
    "load_config",
    "observable",
    "panel",
    "parse_config",
    "reduce_width",
    "sweep",
    "train",
    "train_spec",
]

_HOMES = {
    "config.config": ("SweepConfig", "load_config", "parse_config"),
    "diagram.panels": ("panel",),
    "dynamics.base": ("Dynamics", "State"),
    "dynamics.gradient_descent": ("GradientDescent",),
    "dynamics.gradient_flow": ("GradientFlow",),
    "errors": ("LinphaseError",),
    "figures.fitting": ("Style",),
    "model.network": ("Initialization", "Weights", "gaussian_start", "reduce_width"),
    "model.observables": ("Moment", "observable"),  # with linphase's own observables declared
    "model.regime": ("Cuts",),
    "model.draws": ("draw_task",),
    "model.task": ("Task",),
    "runs.records": ("TrainedRun",),
    "runs.spec": ("RunSpec",),
    "runs.stopping": ("Stop", "StopRule"),
    "runs.training": ("train", "train_spec"),
    "store.results": ("Results", "load"),
    "sweeps.sweeping": ("iter_sweep", "sweep"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import linphase` and `linphase --help` are instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'linphase' has no attribute {name!r}")
    return getattr(import_module(f"linphase.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

"""Phase diagrams of two-layer linear networks: lazy, mixed and balanced training, exact at any width.

>>> import linphase
>>> run = linphase.train(task, weights)               # one network, from any start
>>> results = linphase.sweep(linphase.load_config("configs/quickstart.toml"))
>>> results.runs                                      # a pandas DataFrame, one row a run
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from linphase.config import SweepConfig, load_config, parse_config
    from linphase.dynamics import GradientDescent, GradientFlow
    from linphase.errors import LinphaseError
    from linphase.network import Weights, gaussian_start, reduce_width
    from linphase.running import train_spec
    from linphase.spec import Initialization, RunSpec
    from linphase.store import Results, load
    from linphase.sweeping import iter_sweep, sweep
    from linphase.task import Task, draw_task
    from linphase.training import TrainedRun, train

__all__ = [
    "GradientDescent",
    "GradientFlow",
    "Initialization",
    "LinphaseError",
    "Results",
    "RunSpec",
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
    "parse_config",
    "reduce_width",
    "sweep",
    "train",
    "train_spec",
]

_HOMES = {
    "config": ("SweepConfig", "load_config", "parse_config"),
    "dynamics": ("GradientDescent", "GradientFlow"),
    "errors": ("LinphaseError",),
    "network": ("Weights", "gaussian_start", "reduce_width"),
    "spec": ("Initialization", "RunSpec"),
    "store": ("Results", "load"),
    "sweeping": ("iter_sweep", "sweep"),
    "task": ("Task", "draw_task"),
    "training": ("TrainedRun", "train"),
    "running": ("train_spec",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import linphase` and `linphase --help` are instant."""
    if name not in _HOME:
        raise AttributeError(f"module 'linphase' has no attribute {name!r}")
    return getattr(import_module(f"linphase.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__

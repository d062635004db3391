"""The window of the paper's Figure 2: its cells, evenly spread samples of them, and their bare dynamics."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from linphase.config.config import SweepConfig, load_config
from linphase.dynamics.base import Dynamics
from linphase.model.draws import draw_task
from linphase.model.network import Weights, gaussian_start
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.runs.spec import RunSpec

ROOT = Path(__file__).parents[1]
FILE = ROOT / "configs" / "paper_figure2_flow.toml"
_VARIANCE, _WIDTH = (-3.0, 0.0), (0.0, 2.8)


def grid(variances: int, widths: int) -> list[str]:
    """Overrides for a coarser grid, to the same edges."""
    axes = (("gamma_sigma2", _VARIANCE, variances), ("gamma_w", _WIDTH, widths))
    return [f"grid.{key}={{ start = {a}, stop = {b}, num = {n} }}" for key, (a, b), n in axes]


def middles(variances: int, widths: int) -> list[str]:
    """Overrides for the middles of so many equal parts of each axis: a sample that no edge is heavy in."""
    axes = (("gamma_sigma2", _VARIANCE, variances), ("gamma_w", _WIDTH, widths))
    return [f"grid.{key}={[round(a + (i + 0.5) * (b - a) / n, 6) for i in range(n)]}" for key, (a, b), n in axes]


def small(dimension: int, rank: int) -> list[str]:
    """Overrides for a smaller task."""
    return [f"task.dimension={dimension}", f"task.rank={rank}"]


def configuration(overrides: Iterable[str] = ()) -> SweepConfig:
    """configs/paper_figure2_flow.toml, changed."""
    return load_config(FILE, overrides)


def sample(quick: bool) -> SweepConfig:
    """30 cells of the window at d = 200, evenly spread."""
    return configuration([*middles(2, 2), *small(20, 2)] if quick else middles(6, 5))


def draw(spec: RunSpec) -> tuple[Task, Weights]:
    """The task and the start of a run, in its precision."""
    seed, replicate = spec.seed, spec.replicate
    task = draw_task(spec.task, seed=seed, replicate=replicate)
    return task, start(spec, task)


def start(spec: RunSpec, task: Task) -> Weights:
    """The start of a run, in its precision."""
    weights = gaussian_start(spec.initialization, task.shape, seed=spec.seed, replicate=spec.replicate)
    return weights.astype(np.dtype(spec.run.precision))


def wanted_train_error(spec: RunSpec, task: Task, weights: Weights) -> float:
    """The train error at which a run has converged (docs/theory.md, "Stop rules")."""
    return task.train_error_floor(min(*task.shape, weights.width)) + spec.stop.excess_error * task.noise**2


@dataclass(frozen=True)
class Bare:
    """What the dynamics alone took, nothing recorded."""

    reached: bool
    evaluations: int
    steps: int
    time: float
    seconds: float


def follow(spec: RunSpec, task: Task, weights: Weights, dynamics: Dynamics | None = None) -> Bare:
    """Iterate a run's dynamics (or another) to the train error its stop rule wants, or the end of its budget.

    Only the train error is measured: what it takes to know when to stop.
    """
    began = perf_counter()
    dynamics = dynamics or spec.dynamics
    bound = wanted_train_error(spec, task, weights)
    for state in dynamics.states(task, weights, spec.initialization):
        reached = mean_square(state.residual) <= bound
        if reached:
            break
    return Bare(reached, state.evaluations, state.step, state.time, perf_counter() - began)

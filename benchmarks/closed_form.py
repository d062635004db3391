"""Section 9: the diagram in closed form against the simulated one."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.cells import configuration, draw, grid, sample, small
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number
from linphase.config.config import SweepConfig
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.sweeps.sweeping import iter_sweep


def all_of(specs: list[RunSpec], task: Task) -> None:
    """Bring some runs to their results, trained or predicted."""
    for spec in specs:
        train_spec(spec, task)


def predicted_diagram(config: SweepConfig) -> None:
    """What `linphase theory` does, but for the figure: every cell predicted and stored, on two workers."""
    with TemporaryDirectory() as directory:
        rows = list(iter_sweep(config.predicted(), Path(directory) / "theory", jobs=2))
    assert len(rows) == config.cells


def measure(settings: Settings) -> Finding:
    """Predicted against simulated: a sample of cells in turns, and the whole diagram."""
    tables: Tables = {}
    config = sample(settings.quick)
    specs, predicted = list(config.expand()), list(config.predicted().expand())
    task, _ = draw(specs[0])
    _ = task.solution_svd, task.signal_svd
    with one_blas_thread():
        works = [partial(all_of, specs, task), partial(all_of, predicted, task)]
        simulated, closed = alternating(2 if settings.quick else 3, works).T
    ratio = extremes(simulated / closed)
    row = {
        "cells": str(len(specs)),
        "simulated / closed form": str(ratio),
        "simulated, s a run": number(float(np.median(simulated)) / len(specs)),
        "closed form, s a run": number(float(np.median(closed)) / len(specs)),
    }
    add(tables, "Cells in one process, everything recorded", row)
    config = configuration([*grid(3, 3), *small(20, 2)] if settings.quick else [])
    diagram = extremes(alternating(1 if settings.quick else 3, [partial(predicted_diagram, config)], warm_up=False))
    sweep = settings.earlier.get("5", {}).get("seconds")
    row = {
        "cells": str(config.cells),
        "closed form, s": str(diagram),
        "simulated (section 5), s": "not measured yet" if sweep is None else number(sweep),
        "simulated / closed form": "-" if sweep is None else number(sweep / diagram.median),
    }
    add(tables, "The whole diagram, stored, on two workers", row)
    result = f"the diagram of {config.cells} cells in {diagram} s; a run {ratio} times as fast as simulated"
    return Finding(result, None, tables, {"diagram": diagram.median, "ratio": ratio.median})


SECTION = Section(
    title="The closed form against the simulation",
    measured="""The diagram of configs/paper_figure2_flow.toml as `linphase theory` predicts it (the self-consistent
dynamics from A = 0, one curve a mode), down to the stored results but without the figure, on two workers; beside it the
simulated diagram of section 5. And side by side in one process: 30 evenly spread cells simulated and predicted.""",
    bar="none: the time of a diagram beside that of the simulated one",
    measure=measure,
)

"""Section 5: the whole Figure 2, and how much of its time goes into recording."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.cells import FILE, ROOT, draw, follow, grid, sample, small, start
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number, seconds
from linphase.config.config import SweepConfig
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.store.results import load
from linphase.store.writing import create
from linphase.sweeps.batch import assign, run_batch

SECONDS, SHARE = 150, 0.30
WORKERS = 2


def swept(overrides: list[str], directory: Path) -> float:
    """Seconds of the real command, figure included."""
    command = [sys.executable, "-m", "linphase", "sweep", "--config", str(FILE), "--out", str(directory)]
    command += ["--jobs", str(WORKERS), *(part for override in overrides for part in ("--set", override))]
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    environment = {**os.environ, "PYTHONPATH": path}
    return seconds(partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL, env=environment))


def bare(specs: list[RunSpec], task: Task) -> None:
    """Starts and dynamics of some runs, nothing recorded."""
    for spec in specs:
        follow(spec, task, start(spec, task))


def trained(specs: list[RunSpec], task: Task) -> None:
    """The same runs with everything recorded and classified, nothing written."""
    for spec in specs:
        train_spec(spec, task)


def written(config: SweepConfig) -> None:
    """The same runs as a worker does them, to the committed part."""
    with TemporaryDirectory() as directory:
        create(Path(directory) / "sample", config)
        run_batch(Path(directory) / "sample", assign(config.expand(), config))


def measure(settings: Settings) -> Finding:
    """Seconds and gradient evaluations of the window, and the share of recording in a sample of its cells."""
    tables: Tables = {}
    overrides = [*grid(3, 3), *small(20, 2)] if settings.quick else []
    with TemporaryDirectory() as directory:
        taken = swept(overrides, Path(directory) / "window")
        runs = load(Path(directory) / "window").runs
    evaluations = float(runs["gradient_evaluations"].mean())
    row = {
        "cells": str(len(runs)),
        "converged": str(int(runs["converged"].sum())),
        "seconds": number(taken),
        "gradient evaluations a run (mean)": number(evaluations),
        "... (median)": number(float(runs["gradient_evaluations"].median())),
        "seconds a run on its worker (mean)": number(float(runs["elapsed_s"].mean())),
    }
    add(tables, f"`linphase sweep` of configs/paper_figure2_flow.toml on {WORKERS} workers, figure included", row)
    share = share_of_recording(settings, tables)
    result = f"{number(taken)} s, {evaluations:.0f} gradient evaluations a run; recording takes {share:.0%}"
    met = taken < SECONDS and share < SHARE
    return Finding(result, met, tables, {"seconds": taken, "evaluations": evaluations, "share": share})


def share_of_recording(settings: Settings, tables: Tables) -> float:
    """The part of a run's time that is not its dynamics, over a sample of cells one after the other."""
    config = sample(settings.quick)
    specs = list(config.expand())
    task, _ = draw(specs[0])
    _ = task.solution_svd, task.signal_svd  # once a replicate, not once a run
    with one_blas_thread():
        repeats = 2 if settings.quick else 3
        works = [partial(bare, specs, task), partial(trained, specs, task), partial(written, config)]
        times = alternating(repeats, works)
    for place, name in enumerate(("dynamics alone", "with everything recorded", "and written to disk")):
        row = {
            f"{len(specs)} cells": name,
            "seconds": str(extremes(times[:, place])),
            "dynamics / this": str(extremes(times[:, 0] / times[:, place])),
            "not dynamics": f"{1 - float(np.median(times[:, 0] / times[:, place])):.1%}",
        }
        add(tables, "Share of recording, one process", row)
    return 1 - float(np.median(times[:, 0] / times[:, 2]))


SECTION = Section(
    title="The whole window of Figure 2",
    measured="""The real `linphase sweep --config configs/paper_figure2_flow.toml` into an empty directory: 30 × 30 cells,
d = 200, float64, every cell to convergence, everything recorded, the distance to the self-consistent solution and the
figure included; two workers of one BLAS thread. The share of recording by a difference, not by a profile: 30 evenly
spread cells in one process, in turns their dynamics alone (iterated to the same train error), with everything recorded
(singular values, balance, distance, observables at the end), and as a worker does them, down to the disk.""",
    bar=f"under {SECONDS} s and under {SHARE:.0%} of the time for recording",
    measure=measure,
)

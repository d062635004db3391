"""Section 8: how time and memory of a run grow with the dimension."""

import os
import subprocess
import sys
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.cells import ROOT, draw, follow, start
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number
from linphase.config.config import parse_config
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec

GAMMA_SIGMA2, GAMMA_W = -1.4, 2.0  # mixed at every d: c = d^0.6
# Run in a fresh process; prints the largest memory it ever had, in kB (VmHWM: unlike ru_maxrss no parent's).
_PROGRAM = """
from benchmarks import cells, growth
from linphase.runs.training import train_spec
from linphase.model.threads import one_blas_thread
with one_blas_thread():
    spec = growth.cell({d})
    {work}
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
_WORKS = {
    "nothing": "pass",
    "dynamics": "cells.follow(spec, *cells.draw(spec))",
    "whole run": "train_spec(spec)",
}


def cell(d: int) -> RunSpec:
    """The one cell, trained by the flow to convergence with the default record."""
    task = {"dimension": d, "rank": 5}
    grid = {"gamma_sigma2": [GAMMA_SIGMA2], "gamma_w": [GAMMA_W]}
    return next(parse_config({"name": "growth", "task": task, "grid": grid}).expand())


def peak_memory(d: int, work: str) -> float:
    """Largest resident memory, in bytes, of a process that does this and no more."""
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    program = _PROGRAM.format(d=d, work=_WORKS[work])
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    return 1024 * float(done.stdout)


def exponent(d: ArrayLike, values: ArrayLike) -> float:
    """Slope in a log-log plot, by least squares."""
    return float(np.polyfit(np.log(d), np.log(values), 1)[0])


def bare(spec: RunSpec, task: Task) -> None:
    """Its start and its dynamics, the target's singular values not counted."""
    follow(spec, task, start(spec, task))


def measure(settings: Settings) -> Finding:
    """Time and memory over d."""
    dimensions, large = ([10, 20, 40], 80) if settings.quick else ([50, 100, 200, 400, 800], 1600)
    once = [large] if settings.large else []
    tables: Tables = {}
    numbers = time_over_dimension(dimensions, once, 1 if settings.quick else 3, tables)
    dimensions += once
    numbers |= memory_over_dimension(dimensions, tables)
    result = (
        f"time grows as d^{numbers['exponent']:.2f} over d = {dimensions[0]} to {dimensions[-1]}, as "
        f"d^{numbers['last exponent']:.2f} from {dimensions[-2]} to {dimensions[-1]} (an evaluation of the dynamics alone "
        f"d^{numbers['evaluation exponent']:.2f}; theory: 3); memory at d = {dimensions[-1]}: "
        f"{numbers['arrays']:.1f} arrays of 2 d × d"
    )
    return Finding(result, None, tables, numbers)


def seconds_at(dimensions: list[int], repeats: int) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
    """Evaluations (n,) of the run at each d, and seconds (repeats, n) of the whole run and of its dynamics alone."""
    specs = [cell(d) for d in dimensions]
    drawn = [draw(spec) for spec in specs]
    evaluations = [follow(spec, *start).evaluations for spec, start in zip(specs, drawn, strict=True)]  # warm-up
    pairs = list(zip(specs, (task for task, _ in drawn), strict=True))
    works = [partial(work, spec, task) for work in (train_spec, bare) for spec, task in pairs]
    times = alternating(repeats, works, warm_up=False)
    return evaluations, times[:, : len(specs)], times[:, len(specs) :]


def time_over_dimension(dimensions: list[int], once: list[int], repeats: int, tables: Tables) -> dict[str, float]:
    """Seconds of a whole run and of an evaluation of its dynamics, all d in turns; those of `once` only once."""
    with one_blas_thread():
        evaluations, whole, dynamics = seconds_at(dimensions, repeats)
        if once:
            more, whole_once, dynamics_once = seconds_at(once, 1)
            evaluations += more
            whole, dynamics = (
                np.hstack([times, np.repeat(column, repeats, axis=0)])
                for times, column in ((whole, whole_once), (dynamics, dynamics_once))
            )
            dimensions = dimensions + once
    per_evaluation = np.median(dynamics, axis=0) / evaluations
    for i, d in enumerate(dimensions):
        row = {
            "d": str(d),
            "a run, s": str(extremes(whole[:, i])),
            "over the d before": "-" if i == 0 else str(extremes(whole[:, i] / whole[:, i - 1])),
            "evaluations": str(evaluations[i]),
            "dynamics / run": str(extremes(dynamics[:, i] / whole[:, i])),
            "an evaluation, ms": number(per_evaluation[i] * 1e3),
            "its exponent from the d before": "-"
            if i == 0
            else f"{exponent(dimensions[i - 1 : i + 1], per_evaluation[i - 1 : i + 1]):.2f}",
        }
        add(tables, f"Time at gamma_sigma2 = {GAMMA_SIGMA2}, gamma_w = {GAMMA_W}", row)
    medians = np.median(whole, axis=0)
    return {
        "exponent": exponent(dimensions, medians),
        "last exponent": exponent(dimensions[-2:], medians[-2:]),
        "evaluation exponent": exponent(dimensions[-2:], per_evaluation[-2:]),
    }


def memory_over_dimension(dimensions: list[int], tables: Tables) -> dict[str, float]:
    """Peak memory of a process that trains, less that of one that only imports."""
    if not os.path.exists("/proc/self/status"):
        return {"arrays": np.nan}
    idle = peak_memory(dimensions[0], "nothing")
    for d in dimensions:
        dynamics, whole = (peak_memory(d, work) - idle for work in ("dynamics", "whole run"))
        array = 2 * d * d * 8
        row = {
            "d": str(d),
            "a run, MB": number(whole / 1e6),
            "in arrays of 2 d × d": number(whole / array),
            "its dynamics alone, MB": number(dynamics / 1e6),
            "in arrays of 2 d × d ": number(dynamics / array),
        }
        add(
            tables,
            f"Peak memory beyond the {idle / 1e6:.0f} MB of a process that only imports; theory: 12 to 20 arrays",
            row,
        )
    return {"arrays": whole / array}


SECTION = Section(
    title="Growth with the dimension",
    measured="""One mixed cell (gamma_sigma2 = -1.4, gamma_w = 2, so the width is above 2 d) by the flow to convergence,
with the default record: time of the run and of its dynamics alone, all d in turns, and the largest resident memory of a
fresh process that makes the run, less that of one that only imports. Theory: an evaluation is three products of
4 d^3 flops; memory 12 to 20 arrays of 2 d × d numbers. At small d the interpreter's share lowers the exponent, and fixed
buffers (BLAS) raise the number of arrays.""",
    bar="none: the exponent beside 3, the memory beside 12 to 20 arrays of 2 d × d",
    measure=measure,
)

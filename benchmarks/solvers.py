"""Section 4: the flow to convergence against gradient descent and against scipy's solvers."""

from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize

from benchmarks.cells import Bare, configuration, draw, follow, middles, sample, small, wanted_train_error
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import number, quartiles, seconds
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.dynamics.gradient_flow import GradientFlow
from linphase.model.network import Weights
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train

Floats = NDArray[np.float64]
BAR = 20
REALLY_RUN = 20_000  # steps of gradient descent; beyond, its time is counted, not taken
RTOL = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
GOAL = 1e-3  # accuracy of the smallest test error that is good enough, where the flow's happens to be better
BUDGET = 60_000, 30.0  # gradient evaluations and seconds of one run of scipy's


def against_descent(settings: Settings, tables: Tables) -> list[tuple[float, float]]:
    """Gradient descent's evaluations and seconds over the flow's, in every cell of the sample."""
    ratios = []
    for spec in sample(settings.quick).expand():
        task, weights = draw(spec)
        _ = task.solution_svd  # both need it: neither pays
        flow = followed(spec, task, weights)
        descent, how = descended(spec, task, weights, flow)
        ratios.append((descent.evaluations / flow.evaluations, descent.seconds / flow.seconds))
        row = {
            "gamma_sigma2": f"{spec.initialization.gamma_sigma2:.2f}",
            "gamma_w": f"{spec.initialization.gamma_w:.2f}",
            "flow, evaluations": f"{flow.evaluations:,}",
            "flow, s": number(flow.seconds),
            "descent, evaluations": f"{descent.evaluations:,}",
            "descent, s": number(descent.seconds),
            "evaluations, ratio": number(ratios[-1][0]),
            "seconds, ratio": number(ratios[-1][1]),
            "descent was": how,
        }
        add(tables, "The flow and gradient descent with the paper's step, both to the same train error", row)
    return ratios


def followed(spec: RunSpec, task: Task, weights: Weights) -> Bare:
    """The flow, of three runs that with the middle time."""
    return sorted((follow(spec, task, weights) for _ in range(3)), key=lambda run: run.seconds)[1]


def descended(spec: RunSpec, task: Task, weights: Weights, flow: Bare) -> tuple[Bare, str]:
    """Gradient descent with the paper's step, run to the train error, or counted to the flow's time."""
    descent = GradientDescent(learning_rate="paper", update="alternating", max_steps=2 * REALLY_RUN)
    expected = round(flow.time / descent.rate(task, spec.initialization))
    if expected < REALLY_RUN:
        run = follow(spec, task, weights, descent)
        if run.reached:
            return run, "run"
    trial = follow(spec, task, weights, replace(descent, max_steps=300))
    per_step = trial.seconds / trial.evaluations
    return replace(trial, evaluations=expected + 1, seconds=per_step * expected), "counted to the flow's time"


# --- scipy ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Integration:
    """A run to the wanted train error by one of scipy's solvers."""

    evaluations: int
    seconds: float
    min_test_error: float


def integrated(method: str, spec: RunSpec, task: Task, weights: Weights, rtol: float, end: float) -> Integration | None:
    """Integrate to the wanted train error; None where the budget is spent before.

    Only the solver's steps and the train error are timed. The smallest test error is looked for on the solver's own
    dense output.
    """
    cut, spent = weights.W1.size, 0
    Y, noise = task.target, task.target - task.signal

    def layers(y: Floats) -> tuple[Floats, Floats]:
        return y[:cut].reshape(weights.W1.shape), y[cut:].reshape(weights.W2.shape)

    def residual(y: Floats) -> Floats:
        W1, W2 = layers(y)
        return W2 @ W1 - Y

    def velocity(_: float, y: Floats) -> Floats:
        nonlocal spent
        spent += 1
        W1, W2 = layers(y)
        G = Y - W2 @ W1
        out = np.empty_like(y)
        dW1, dW2 = layers(out)
        np.matmul(W2.T, G, out=dW1)
        np.matmul(G, W1.T, out=dW2)
        return out

    def test_error(dense: Any, time: float) -> float:
        return mean_square(residual(dense(time)) + noise)

    y = np.concatenate([weights.W1.ravel(), weights.W2.ravel()])
    size = float(np.sqrt(np.mean(y**2)))
    bound, best, elapsed, evaluations = wanted_train_error(spec, task, weights), np.inf, 0.0, 0
    solver: Any = getattr(integrate, method)(velocity, 0.0, y, end, rtol=rtol, atol=rtol * size)
    evaluations = spent
    while solver.status == "running" and evaluations < BUDGET[0] and elapsed < BUDGET[1]:
        before = spent
        elapsed += seconds(solver.step)
        evaluations += spent - before
        if not np.isfinite(solver.y).all() or solver.t_old is None:
            return None
        G = residual(solver.y)
        if mean_square(G + noise) < 4 * best:
            dense = solver.dense_output()
            best = min(best, smallest(partial(test_error, dense), solver.t_old, solver.t))
        if mean_square(G) <= bound:
            return Integration(evaluations, elapsed, best)
    return None


def smallest(function: Any, start: float, end: float) -> float:
    """The smallest value of a smooth function of time between two times: sampled, then polished."""
    times = np.linspace(start, end, 9)
    values = [function(t) for t in times]
    i = int(np.argmin(values))
    if i in (0, len(times) - 1):
        return float(values[i])
    found = optimize.minimize_scalar(
        function, bounds=(times[i - 1], times[i + 1]), method="bounded", options={"maxiter": 8}
    )
    return min(float(values[i]), float(found.fun))


def as_accurate(
    method: str, spec: RunSpec, task: Task, weights: Weights, goal: float, exact: float, end: float
) -> tuple[Integration | None, float]:
    """The run of the largest rtol whose smallest test error is within `goal` of the exact one, and that rtol."""
    for rtol in RTOL:
        began = perf_counter()
        run = integrated(method, spec, task, weights, rtol, end)
        if run is not None and abs(run.min_test_error / exact - 1) <= goal:
            return run, rtol
        if run is None and perf_counter() - began > BUDGET[1]:
            break
    return None, rtol


def against_scipy(method: str, d: int, cells: tuple[int, int], tables: Tables) -> dict[str, float]:
    """Evaluations and seconds of one of scipy's solvers over the flow's, at the same accuracy."""
    runs, errors, tolerances, failed = [], [], [], 0
    for spec in configuration([*middles(*cells), *small(d, max(2, d // 16)), 'record.compare="none"']).expand():
        task, weights = draw(spec)
        _ = task.solution_svd
        start = spec.initialization
        exact, ours = (
            train(
                task, weights, GradientFlow(tolerance=tolerance), stop=spec.stop, initialization=start
            ).minimum.test_error
            for tolerance in (1e-6, GradientFlow().tolerance)
        )
        errors.append(abs(ours / exact - 1))
        flow = followed(spec, task, weights)
        run, rtol = as_accurate(method, spec, task, weights, max(errors[-1], GOAL), exact, 1e3 * flow.time)
        if run is None:
            failed += 1
            continue
        tolerances.append(rtol)
        runs.append((run.evaluations / flow.evaluations, run.seconds / flow.seconds))
    if not runs:
        runs = [(np.nan, np.nan)]
    evaluations, taken = (quartiles(column) for column in zip(*runs, strict=True))
    row = {
        "solver": method,
        "d": str(d),
        "evaluations, ratio": str(evaluations),
        "seconds, ratio": str(taken),
        "cells": str(cells[0] * cells[1]),
        "not within the budget (not in the ratios)": str(failed),
        "rtol (median)": f"{median(tolerances):.0e}" if tolerances else "-",
        "error of the flow's smallest test error (median)": f"{median(errors):.1e}",
    }
    add(tables, "scipy's solvers over the flow, at the accuracy of the flow's smallest test error", row)
    return {f"{method}, evaluations": evaluations.median, f"{method}, seconds": taken.median}


def measure(settings: Settings) -> Finding:
    """Ratios to the flow over cells of the whole window."""
    tables: Tables = {}
    with one_blas_thread():
        ratios = against_descent(settings, tables)
        evaluations, taken = (quartiles(column) for column in zip(*ratios, strict=True))
        numbers = {"descent, evaluations": evaluations.median, "descent, seconds": taken.median}
        small_d, cells = (8, (2, 1)) if settings.quick else (24, (3, 3))
        for method, d, sampled in (
            ("DOP853", 16 if settings.quick else 64, (2, 2) if settings.quick else (4, 4)),
            ("DOP853", small_d, cells),
            ("BDF", small_d, cells),
            ("LSODA", small_d, cells),
        ):
            found = against_scipy(method, d, sampled, tables)
            numbers |= {f"{key}, d = {d}": value for key, value in found.items()}
    result = f"gradient descent over the flow (quartiles over cells): {evaluations} in evaluations, {taken} in seconds"
    return Finding(result, min(evaluations.median, taken.median) >= BAR, tables, numbers)


SECTION = Section(
    title="The flow to convergence against gradient descent and scipy",
    measured=f"""Gradient evaluations and seconds of the dynamics alone, nothing recorded, to train error 1e-3. Against
gradient descent with the paper's learning rate: 30 cells evenly spread over the whole window of Figure 2, d = 200; the
flow is the middle one of three runs, gradient descent is really run where it needs less than {REALLY_RUN:,} steps to the
flow's end, else its steps to that time are counted and its seconds extrapolated from 300 steps. Against scipy's DOP853,
BDF and LSODA (dense Jacobians by differences, so only small d): the largest rtol of {", ".join(f"{r:.0e}" for r in RTOL)} (atol: the same
times the size of the start) whose smallest test error is as accurate as the flow's, or {GOAL:.0e}; a run may
take {BUDGET[0]:,} evaluations and {BUDGET[1]:.0f} s.""",
    bar="median above 20 times against gradient descent",
    measure=measure,
)

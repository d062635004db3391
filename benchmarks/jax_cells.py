"""Section 10: all cells at once in JAX, what a theorist would write today, against linphase cell by cell."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from math import log
from typing import Any

import numpy as np

from benchmarks.cells import configuration, draw, follow, small, wanted_train_error
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number, seconds
from linphase.dynamics.gradient_descent import GradientDescent
from linphase.model.network import Weights
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec

SIZES = ((16, 2), (64, 4), (200, 5))
CELLS = 4  # a side
REALLY_RUN = 60.0  # seconds of JAX; beyond, the steps are counted and their time extrapolated


def cells_of(d: int, rank: int, side: int) -> list[RunSpec]:
    """Cells of the window whose width is at least 2 d: reduced to 2 d they have one shape, as vmap wants it."""
    first = log(2 * d) / log(d)
    widths = [round(first + (i + 0.5) * (2.8 - first) / side, 6) for i in range(side)]
    variances = [round(-3 + (i + 0.5) * 3 / side, 6) for i in range(side)]
    axes = [f"grid.gamma_sigma2={variances}", f"grid.gamma_w={widths}", 'run.precision="float32"']
    return list(configuration([*small(d, rank), *axes]).expand())


def trainer(jax: Any) -> Any:
    """Gradient descent of many cells to their train error or the last step, jitted; all matrices (cells, ., .)."""
    jnp = jax.numpy

    def step(W1: Any, W2: Any, eta: Any, Y: Any, signal: Any) -> Any:
        A = W2 @ W1
        G = A - Y
        moved = W1 - eta * W2.T @ G
        return moved, W2 - eta * G @ moved.T, jnp.mean(G**2), jnp.mean((A - signal) ** 2)

    every = jax.vmap(step, in_axes=(0, 0, 0, None, None))

    @jax.jit
    def trained(W1: Any, W2: Any, eta: Any, Y: Any, signal: Any, bound: Any, last: Any) -> Any:
        def going_on(state: Any) -> Any:
            return (state[0] < last) & ~jnp.all(state[4])

        def one_step(state: Any) -> Any:
            i, W1, W2, best, done = state
            moved1, moved2, train_error, test_error = every(W1, W2, eta, Y, signal)
            best = jnp.where(done, best, jnp.minimum(best, test_error))
            return i + 1, moved1, moved2, best, done | (train_error <= bound)

        start = 0, W1, W2, jnp.full(eta.shape, jnp.inf), jnp.zeros(eta.shape, bool)
        return jax.lax.while_loop(going_on, one_step, start)

    return trained


@contextmanager
def one_core() -> Iterator[None]:
    """Limit the process, with the threads that JAX starts in it, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compared(jax: Any, d: int, rank: int, settings: Settings, tables: Tables) -> float:
    """JAX's time over linphase's, all cells to convergence."""
    specs = cells_of(d, rank, 2 if settings.quick else CELLS)
    task, _ = draw(specs[0])
    starts = [draw(spec)[1] for spec in specs]
    descent = GradientDescent(learning_rate="paper", update="alternating", max_steps=10**9)
    rates = np.array([descent.rate(task, spec.initialization) for spec in specs])
    _ = task.solution_svd, task.signal_svd  # once a replicate, not once a run
    flows = [follow(spec, task, weights) for spec, weights in zip(specs, starts, strict=True)]
    steps = np.ceil([flow.time / rate for flow, rate in zip(flows, rates, strict=True)])

    W1, W2 = (np.stack([getattr(weights, name) for weights in starts]) for name in ("W1", "W2"))
    bound = wanted_train_error(specs[0], task, starts[0])
    work = trainer(jax)

    def in_jax(last: int, bound: float = bound) -> Any:
        return jax.block_until_ready(work(W1, W2, rates.astype(np.float32), task.target, task.signal, bound, last))

    compiling = seconds(partial(in_jax, 1))
    never = -1.0  # a train error that no cell reaches
    count = 10 if settings.quick else max(20, int(2.0 / (3e-11 * len(specs) * 12 * d**3 + 2e-5)))
    both = alternating(
        2 if settings.quick else 5, [partial(in_jax, count, never), partial(in_linphase, specs, task, starts, count)]
    )
    per_step = both / count
    wanted = int(1.1 * steps.max())
    expected = float(np.median(per_step[:, 0])) * steps.max()
    if expected < REALLY_RUN:
        (*_, found) = outcome = in_jax(wanted)
        assert bool(found.all()), "a cell did not converge"
        theirs, how = seconds(partial(in_jax, wanted)), f"run, {int(outcome[0]):,} steps"
    else:
        theirs, how = expected, f"counted, {int(steps.max()):,} steps"
    ours = min(seconds(partial(everything, specs, task)) for _ in range(2))
    row = {
        "d": str(d),
        "cells": str(len(specs)),
        "a step of all cells: linphase's descent / JAX": str(extremes(per_step[:, 1] / per_step[:, 0])),
        "JAX, ms a step": number(float(np.median(per_step[:, 0])) * 1e3),
        "compiling, s": number(compiling),
        "JAX to convergence, s": number(theirs),
        "which was": how,
        "linphase to convergence, everything recorded, s": number(ours),
        "JAX / linphase": number(theirs / ours),
    }
    add(tables, "Gradient descent in JAX and linphase's flow, to the same train error, on one core", row)
    return theirs / ours


def in_linphase(specs: list[RunSpec], task: Task, starts: list[Weights], steps: int) -> None:
    """The same steps of descent, one cell after another, and both errors at each."""
    descent = GradientDescent(learning_rate="paper", update="alternating", max_steps=steps - 1)
    noise = (task.target - task.signal).astype(np.float32)
    for spec, weights in zip(specs, starts, strict=True):
        for state in descent.states(task, weights, spec.initialization):
            mean_square(state.residual), mean_square(state.residual + noise)


def everything(specs: list[RunSpec], task: Task) -> None:
    """Every run from its start to its classified result."""
    for spec in specs:
        train_spec(spec, task)


def measure(settings: Settings) -> Finding:
    """Who is faster, at three sizes."""
    try:
        jax: Any = import_module("jax")
    except ImportError:
        return Finding("jax is not installed: pip install 'linphase[bench]'", None, {})
    tables: Tables = {}
    with one_core(), one_blas_thread():
        sizes = ((8, 2), (12, 2)) if settings.quick else SIZES
        ratios = {d: compared(jax, d, rank, settings, tables) for d, rank in sizes}
    result = "JAX takes " + ", ".join(f"{number(ratio)} times as long at d = {d}" for d, ratio in ratios.items())
    return Finding(result, None, tables, {f"ratio, d = {d}": ratio for d, ratio in ratios.items()})


SECTION = Section(
    title="All cells at once in JAX",
    measured=f"""{CELLS * CELLS} cells of the window with a width of at least 2 d, to train error 1e-3. In JAX gradient descent with
the paper's step, float32, both errors at every step, `vmap` over the cells and a `while_loop` until the last has converged,
jitted; compiling does not count. It starts from linphase's reduced weights (width 2 d), without which vmap would have one
shape a width, and the widest cell no memory. linphase trains one cell after another by its default flow, everything recorded and
classified. Both on one core. The column of steps compares descent with descent: JAX's step of all cells and linphase's of
each in turn. Beyond {REALLY_RUN:.0f} s JAX's steps are counted: the flow's
time over the learning rate, of the slowest cell.""",
    bar="none: who is faster, and by how much",
    measure=measure,
)

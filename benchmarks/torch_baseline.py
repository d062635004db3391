"""Section 3: the paper's published loop in PyTorch, at full width, against the same protocol in linphase."""

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.cells import ROOT
from benchmarks.descent import enough_steps, shorter_and_longer
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import Spread, alternating, extremes, number
from linphase.dynamics.gradient_descent import GradientDescent, PaperRate
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, Weights, reduce_width
from linphase.model.observables import mean_square
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.stopping import Measured, PaperRule
from linphase.theory.matrix import euler_step

Floats = NDArray[np.float64]
BAR = 1000
GAMMA_SIGMA2 = -1.5
_SLOW = PaperRate(paper=5000)  # a step costs the same, and narrow networks do not converge before the end
COMPARED = (1.75, 2.0, 2.2, 2.4, 2.6, 2.8)
NARROW = (0.0, 0.5, 1.0, 1.25, 1.5)  # only for the whole window
STEPS_RUN = ROOT / "results" / "paper_figure2" / "summary.csv"


def published_loop(W1: Any, W2: Any, A_star: Any, Y: Any, eta: float) -> Iterator[tuple[float, str | None]]:
    """The paper's training loop (docs/theory.md, "The paper's protocol") on W1 (width, d) and W2 (d, width), which it moves in place.

    Each step measures both errors, moves W1, then W2 with the new W1 and the old residual, and asks the stop rule.
    Yields the train error and what the rule says, which the caller need not obey.
    """
    rule = PaperRule()
    while True:
        A = W2 @ W1
        G = A - Y
        train_error, test_error = float((G**2).mean()), float(((A - A_star) ** 2).mean())
        # addmm_ forms nothing of the weights' size: the fastest way that PyTorch has.
        W1.addmm_(W2.T, G, alpha=-eta)
        W2.addmm_(G, W1.T, alpha=-eta)
        yield train_error, rule.status(Measured(np.nan, train_error, test_error, train_error))


def started(torch: Any, task: Task, start: Initialization) -> tuple[Any, Any, Iterator[tuple[float, str | None]]]:
    """Full-width float32 weights of a Gaussian start, and the loop that trains them."""
    W1, W2 = (
        torch.empty(shape).normal_(std=start.init_variance**0.5)
        for shape in ((start.width, task.shape[1]), (task.shape[0], start.width))
    )
    A_star, Y = (torch.tensor(matrix, dtype=torch.float32) for matrix in (task.signal, task.target))
    return W1, W2, published_loop(W1, W2, A_star, Y, GradientDescent(learning_rate="paper").rate(task, start))


def published_euler_step(torch: Any, A: Any, Y: Any, c: float, eta: float) -> Any:
    """One Euler step of the self-consistent equation, both matrix roots by eigendecomposition."""
    G = A - Y
    return A - eta * (_root(torch, A @ A.T, c) @ G + G @ _root(torch, A.T @ A, c))


def _root(torch: Any, gram: Any, c: float) -> Any:
    """sqrt(gram + c^2 I)."""
    values, vectors = torch.linalg.eigh(gram)
    return (vectors * (values.clamp(min=0) + c**2).sqrt()) @ vectors.T


@contextmanager
def one_torch_thread(torch: Any) -> Iterator[None]:
    """Limit PyTorch to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def disagreement(torch: Any, task: Task, start: Initialization, steps: int = 30) -> float:
    """Largest relative difference of the train error between the two after the same steps from the same weights."""
    W1, W2, loop = started(torch, task, start)
    weights = reduce_width(Weights(W1.double().numpy(), W2.double().numpy()))
    theirs = [train_error for train_error, _ in islice(loop, steps + 1)]
    states = GradientDescent(learning_rate="paper", update="alternating", max_steps=steps).states(task, weights, start)
    ours = [mean_square(state.residual) for state in states]
    return float(np.max(np.abs(np.array(theirs) / np.array(ours) - 1)))


def fits(width: int, d: int) -> bool:
    """Whether the full-width weights in float32 take less than half of the machine's memory."""
    return 8 * width * d < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2


def at_width(torch: Any, task: Task, start: Initialization, settings: Settings) -> Floats:
    """Seconds a step, (repeats, 3): PyTorch float32, linphase float32 and float64."""
    d, steps = task.shape[0], enough_steps(task, start, 0.05 if settings.quick else 0.5)
    # About a second of PyTorch, and at least a step.
    length = max(1, min(steps, int(5e10 / (6 * start.width * d**2))))
    repeats = 2 if settings.quick else 3 if length < 3 else 5
    _, _, loop = started(torch, task, start)

    def theirs() -> None:
        deque(islice(loop, length), maxlen=0)

    trainings = [
        work
        for dtype in (np.float32, np.float64)
        for work in shorter_and_longer(task, start, dtype, steps, rate=_SLOW, update="alternating")
    ]
    # Once unmeasured after PyTorch: what comes next pays for the caches.
    times = alternating(repeats, [theirs, trainings[0], *trainings])
    ours = [(times[:, 3] - times[:, 2]) / steps, (times[:, 5] - times[:, 4]) / steps]
    return np.stack([times[:, 0] / length, *ours], axis=1)


def euler_steps(torch: Any, task: Task, start: Initialization, settings: Settings) -> Floats:
    """Seconds a step of the Euler iteration, (repeats, 2): PyTorch float32 and linphase (always float64)."""
    steps, repeats = (3, 2) if settings.quick else (40, 7)
    eta, c = GradientDescent(learning_rate="paper").rate(task, start), start.threshold
    Y = torch.tensor(task.target, dtype=torch.float32)

    def theirs() -> None:
        A = torch.zeros_like(Y)
        for _ in range(steps):
            A = published_euler_step(torch, A, Y, c, eta)

    def ours() -> None:
        A: NDArray[np.floating] = np.zeros(task.shape)
        for _ in range(steps):
            A = euler_step(A, A - task.target, c, eta)

    return alternating(repeats, [theirs, ours]) / steps


def steps_of_cells(d: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Width and steps of the 900 cells of Figure 2 under the paper's protocol, as results/paper_figure2 ran them."""
    runs = pd.read_csv(STEPS_RUN)
    runs = runs[runs["kind"] == "gd"]
    assert len(runs) == 900, f"{STEPS_RUN} should hold 900 cells, found {len(runs)}"
    widths = np.maximum(1, (float(d) ** runs["gamma_w"].to_numpy()).astype(np.int64))
    return widths, runs["gradient_evaluations"].to_numpy(np.int64)


def over_the_window(widths: Floats, per_step: Floats, wanted: NDArray[np.int64], steps: NDArray[np.int64]) -> float:
    """Seconds of all steps: the time of a step between measured widths by a power law, beyond the last as the width."""
    logs = np.interp(np.log(wanted), np.log(widths), np.log(per_step))
    beyond = np.maximum(0, np.log(wanted) - np.log(widths[-1]))
    return float(np.sum(steps * np.exp(logs + beyond)))


def measure(settings: Settings) -> Finding:
    """The ratio of a step over gamma_w, and of the whole window."""
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return Finding("torch is not installed: pip install 'linphase[bench]'", None, {})
    d = 20 if settings.quick else 200
    task = draw_task(TaskConfig(dimension=d, rank=5))
    torch.manual_seed(0)
    tables: Tables = {}
    with one_blas_thread(), one_torch_thread(torch), torch.no_grad():
        agreed = disagreement(torch, task, Initialization.at(d, gamma_sigma2=GAMMA_SIGMA2, gamma_w=1.75))
        start = Initialization.at(d, gamma_sigma2=GAMMA_SIGMA2, gamma_w=2.0)
        euler = euler_steps(torch, task, start, settings)
        widths, measured = [], []
        for gamma_w in (*NARROW, *COMPARED):
            start = Initialization.at(d, gamma_sigma2=GAMMA_SIGMA2, gamma_w=gamma_w)
            if not fits(start.width, d):
                continue
            widths.append(start.width)
            measured.append(at_width(torch, task, start, settings))
            add(tables, "Time of a step, PyTorch over linphase", _row(gamma_w, start.width, measured[-1], euler))
    whole = _whole_window(np.array(widths, float), measured, euler, settings, tables)
    top = extremes(measured[-1][:, 0] / measured[-1][:, 1])
    result = (
        f"a step at width {widths[-1]:,}: {top} times faster in float32; the whole window {whole['float32']:,.0f} times "
        f"in float32, {whole['float64']:,.0f} in float64. From the same weights the train errors of 30 steps agree to {agreed:.0e}"
    )
    numbers = {"top": top.median, "agreement": agreed, **{f"window, {key}": value for key, value in whole.items()}}
    return Finding(result, min(top.median, whole["float32"]) >= BAR, tables, numbers)


def _row(gamma_w: float, width: int, times: Floats, euler: Floats) -> dict[str, str]:
    """One width: ratios turn by turn; the Euler iteration adds its median to both sides."""
    theirs, single, double = times.T
    their_euler, our_euler = np.median(euler, axis=0)
    return {
        "gamma_w": f"{gamma_w:g}",
        "width": f"{width:,}",
        "both float32": str(extremes(theirs / single)),
        "linphase float64": str(extremes(theirs / double)),
        "with the Euler iteration": str(extremes((theirs + their_euler) / (single + our_euler))),
        "PyTorch, s": number(float(np.median(theirs))),
        "linphase float32, s": number(float(np.median(single))),
    }


def _whole_window(
    widths: Floats, measured: list[Floats], euler: Floats, settings: Settings, tables: Tables
) -> dict[str, float]:
    """Ratios of the time that all steps of the 900 cells take."""
    wanted, steps = steps_of_cells(20 if settings.quick else 200)
    theirs, single, double = (
        over_the_window(widths, np.array([np.median(times[:, i]) for times in measured]), wanted, steps)
        for i in range(3)
    )
    their_euler, our_euler = (float(t) * steps.sum() for t in np.median(euler, axis=0))
    whole = {}
    for name, above, below in (
        ("float32", theirs, single),
        ("float64", theirs, double),
        ("float32, with the Euler iteration", theirs + their_euler, single + our_euler),
    ):
        whole[name] = above / below
        row = {
            "linphase": name,
            "PyTorch / linphase": number(above / below),
            "PyTorch, hours": number(above / 3600),
            "linphase, minutes": number(below / 60),
        }
        add(tables, f"All {steps.sum():,} steps of the 900 cells, from the time of a step at each width", row)
    spread: Spread = extremes(euler[:, 0] / euler[:, 1])
    row = {
        "": "one Euler step of the self-consistent equation",
        "PyTorch float32 (two eigendecompositions) / linphase float64 (one SVD)": str(spread),
        "PyTorch, ms": number(float(np.median(euler[:, 0])) * 1e3),
        "linphase, ms": number(float(np.median(euler[:, 1])) * 1e3),
    }
    add(tables, "What Figure 2's distance needs at every step", row)
    return whole


SECTION = Section(
    title="The published loop in PyTorch",
    measured=f"""The paper's training loop (alternating update, its learning rate, both errors and the stop rule at every
step) written in PyTorch with full-width float32 tensors, updated in place; in linphase the same protocol in the real
`linphase.train`, as in section 1. d = 200, gamma_sigma2 = {GAMMA_SIGMA2}, one thread each. For Figure 2's distance both also
iterate the self-consistent equation, by two eigendecompositions a step in PyTorch and by one SVD in linphase. The whole
window: the steps of each of its 900 cells under the paper's protocol (results/paper_figure2/summary.csv) times the time
of a step at its width, interpolated between the measured widths.""",
    bar="above 1,000 times: at the widest, and over the whole window",
    measure=measure,
)

"""The largest learning rate that converges, at any richness: `python -m benchmarks.edge_of_stability --out DIRECTORY`.

Atanasov et al. 2024 (arXiv:2410.04642) find it to grow as gamma^2 where training is lazy and as gamma^(2/L) where it is
rich, with L layers; here L = 2. Writes edge_of_stability.csv and edge_of_stability.png, in a minute
(docs/theory.md, "Sharpness").
"""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from linphase.dynamics.gradient_descent import GradientDescent
from linphase.figures.fitting import COLUMN_WIDTH
from linphase.figures.style import inches, save, stroke, styled
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization, gaussian_start
from linphase.model.task import Task
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Converged
from linphase.runs.training import train

GAMMAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # in units of c0/s_1
DRAWS = 3
LAZY, RICH = (0.01, 0.1), (10.0, 100.0)  # the decades that slopes are fitted over
_FIRST = (0.4, 1.6)  # of the formula: between them the bisection begins
_HALVINGS = 12  # 1.6/0.4 to the power 2^-12: 0.034 %
_WIDTH = 10**7
_STEPS = 20_000


@dataclass(frozen=True)
class Edge:
    """A task of s_1(Y) = 1, drawn once, and the start of threshold c0 = 1 at richness 1."""

    task: Task
    draw: int
    width: int = _WIDTH

    @classmethod
    def drawn(cls, draw: int, dimension: int = 8) -> "Edge":
        """A signal of rank 2 without noise: nothing of the bulk has to be learned."""
        signal = draw_task(TaskConfig(dimension=dimension, rank=2), replicate=draw).known_signal
        signal = signal / np.linalg.norm(signal, 2)
        return cls(Task.from_target(signal, signal, rank=2), draw)

    def converges(self, gamma: float, rate: float, steps: int = _STEPS) -> bool:
        """Whether descent reaches the target: past gamma/s_1 it stays bounded for a while, but does not settle."""
        start = Initialization.at(self.task.scale, init_variance=1 / self.width, width=self.width, richness=gamma)
        weights = gaussian_start(start, self.task.shape, replicate=self.draw)
        descent = GradientDescent(learning_rate=rate, max_steps=steps)
        run = train(self.task, weights, descent, stop=Converged(excess_error=1e-5), record=RecordConfig(snapshots=2))
        return run.converged

    def largest_rate(self, gamma: float) -> float:
        """By bisection in ln eta, between two multiples of the formula."""
        low, high = (factor * predicted(gamma) for factor in _FIRST)
        for _ in range(_HALVINGS):
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.converges(gamma, middle) else (low, middle)
        return float((low * high) ** 0.5)


def predicted(gamma: float) -> float:
    """min(gamma/s_1, 2 gamma^2/c0) at s_1 = c0 = 1; its factor 2 is measured."""
    return min(gamma, 2 * gamma**2)


def measured(directory: Path) -> pd.DataFrame:
    """The largest learning rate that converges, of every draw at every gamma: from the table, or measured for it."""
    file = directory / "edge_of_stability.csv"
    if file.exists():
        return pd.read_csv(file)
    rows = []
    for draw in range(DRAWS):
        edge = Edge.drawn(draw)
        for gamma in GAMMAS:
            began = perf_counter()
            found = edge.largest_rate(gamma)
            rows.append({
                "draw": draw,
                "gamma": gamma,
                "eta_max": found,
                "over_formula": found / predicted(gamma),
                "runs": _HALVINGS,
                "seconds": perf_counter() - began,
            })  # fmt: skip
    directory.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(file, index=False)
    return table


def slopes(found: pd.DataFrame, decade: tuple[float, float]) -> list[float]:
    """d ln(eta_max)/d ln(gamma) over a decade, of each draw."""
    draws = found[found["gamma"].between(*decade)].groupby("draw")
    return [float(np.polyfit(np.log(rows["gamma"]), np.log(rows["eta_max"]), 1)[0]) for _, rows in draws]


@styled
def figure(found: pd.DataFrame) -> Figure:
    """What was measured, on the formula's two lines."""
    figure = Figure(figsize=(inches(COLUMN_WIDTH), inches(0.8 * COLUMN_WIDTH)), layout="constrained")
    ax = figure.subplots()
    gammas: NDArray[np.float64] = np.geomspace(found["gamma"].min() / 2, found["gamma"].max() * 2, 200)
    ax.plot(gammas, 2 * gammas**2, "--", color="0.6", linewidth=stroke(0.8), label=r"$2\gamma^2/c_0$")
    ax.plot(gammas, gammas, color="0.6", linewidth=stroke(0.8), label=r"$\gamma/s_1$")
    ax.plot(found["gamma"], found["eta_max"], "o", color="black", markersize=stroke(2.5), label="descent")
    ax.set(xscale="log", yscale="log", xlabel=r"richness $\gamma$, in $c_0/s_1$",
           ylabel=r"largest $\eta$ that converges, in $c_0/s_1^2$",
           ylim=(found["eta_max"].min() / 3, found["eta_max"].max() * 3))  # fmt: skip
    ax.legend(frameon=False)
    return figure


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The directory of the table and figure.")
def main(out: Path) -> None:
    """Measure what is not there yet, tell the slopes, and write table and figure."""
    found = measured(out)
    save(figure(found), out / "edge_of_stability.png", {"Title": "linphase: largest learning rate that converges"})
    click.echo(found.pivot_table(index="gamma", columns="draw", values="over_formula").to_string())
    for name, decade, expected in (("lazy", LAZY, 2), ("rich", RICH, 1)):
        each = ", ".join(f"{slope:.4f}" for slope in slopes(found, decade))
        click.echo(f"{name}, gamma from {decade[0]:g} to {decade[1]:g}: slopes {each}, expected {expected}")


if __name__ == "__main__":
    main()

"""How often the interval of a measured boundary holds the boundary: `python -m benchmarks.boundary_coverage`.

Writes results/boundary_coverage/README.md and coverage.csv, in a few minutes. At the end of a wide run all criteria are
functions of the target and c, so a replicate costs one SVD of its target and no training.
"""

from math import log
from pathlib import Path

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.report import markdown
from linphase.diagram.measured import crossing, interval
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.threads import one_blas_thread
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY

OUT = Path(__file__).parents[1] / "results" / "boundary_coverage"
DIMENSION, RANKS, REPLICATES, REPETITIONS = 32, (1, 4, 5), (3, 5, 10, 20), 2000
GAMMA_W = 2.5
GRID = np.linspace(-3, 0, 20)  # the quickstart's

Floats = NDArray[np.float64]


def places(dimension: int, rank: int, draws: int) -> dict[str, Floats]:
    """Where each draw of the task crosses on the grid, by the name of the boundary, (draws,)."""
    found: dict[str, list[float]] = {MIXED_LAZY: [], MIXED_BALANCED: []}
    every = np.ones(len(GRID), dtype=bool)
    config = TaskConfig(dimension=dimension, rank=rank)
    log_c = (GRID + GAMMA_W) * log(dimension)
    with one_blas_thread():
        for replicate in range(draws):
            logs = np.log(np.linalg.svd(draw_task(config, replicate=replicate).target, compute_uv=False))
            for name, modes in ((MIXED_LAZY, logs[:rank]), (MIXED_BALANCED, logs[rank:])):
                found[name].append(crossing(GRID, np.median(modes) - log_c, every)[0])
    return {name: np.array(each) for name, each in found.items()}


def coverage(drawn: Floats, replicates: int, repetitions: int) -> float:
    """Share of so many disjoint samples of replicates whose interval holds the mean over all that were drawn."""
    samples = drawn[: replicates * repetitions].reshape(repetitions, replicates)
    ends = np.array([interval(sample.tolist()) for sample in samples])
    return float(np.mean((ends[:, 1] <= drawn.mean()) & (drawn.mean() <= ends[:, 2])))


def simulated(dimension: int, ranks: tuple[int, ...], replicates: tuple[int, ...], repetitions: int) -> pd.DataFrame:
    """The coverage for every rank, boundary and number of replicates."""
    rows = []
    for rank in ranks:
        for name, drawn in places(dimension, rank, max(replicates) * repetitions).items():
            assert np.isfinite(drawn).all(), "a draw crosses beyond the grid"
            for r in replicates:
                rows.append(
                    {"boundary": name, "rank": rank, "replicates": r, "coverage": coverage(drawn, r, repetitions)}
                )
    return pd.DataFrame(rows)


@click.command()
def main() -> None:
    """Simulate, and write the table and the page."""
    found = simulated(DIMENSION, RANKS, REPLICATES, REPETITIONS)
    OUT.mkdir(parents=True, exist_ok=True)
    found.to_csv(OUT / "coverage.csv", index=False)
    wide = found.pivot_table(index=["boundary", "rank"], columns="replicates", values="coverage").reset_index()
    rows = [
        {
            "boundary": row["boundary"],
            "rank": str(row["rank"]),
            **{f"{r} replicates": f"{row[r]:.4f}" for r in REPLICATES},
        }
        for _, row in wide.iterrows()
    ]
    error = (0.95 * 0.05 / REPETITIONS) ** 0.5
    (OUT / "README.md").write_text(
        f"""# Coverage of the intervals of measured boundaries

How often the 95 % interval of `linphase boundary` (Student's t over replicates) holds the boundary: the mean over
{max(REPLICATES) * REPETITIONS:,} draws of the task. d = {DIMENSION}, noise 1, gamma_w = {GAMMA_W}, the grid of the quickstart, {REPETITIONS:,} repetitions of every
entry, disjoint samples; the standard error of an entry is {error:.4f}. Wide runs at convergence: their criteria are
functions of the target and c, so nothing is trained. `python -m benchmarks.boundary_coverage` makes it again.

{markdown(rows)}

Smallest {found["coverage"].min():.4f}, largest {found["coverage"].max():.4f}. Of narrow networks, and of the boundaries of the path, the coverage is not known. An entry outside 0.93 to 0.97 would refute the interval.
""",
        encoding="utf-8",
    )
    click.echo(found.to_string(index=False))


if __name__ == "__main__":
    main()

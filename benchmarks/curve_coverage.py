"""How often the interval of a curve's point holds the mean it is for.

    python -m benchmarks.curve_coverage

Trains 900 draws in each of six cells at d = 16, rank 2 (a minute on two cores), and counts in how many groups of three
and of five draws the 95 % interval of `linphase.diagram.curves` holds the mean over all draws of the cell.
"""

from tempfile import TemporaryDirectory
from typing import Any

import click

import linphase
from linphase.diagram.curves import curves_of
from linphase.diagram.panels import find_panel

DRAWS, GROUPS = 900, (3, 5)
CONFIG: dict[str, Any] = {
    "name": "coverage",
    "task": {"dimension": 16, "rank": 2},
    "grid": {"gamma_sigma2": [-2.5, -1.5, -0.5], "gamma_w": [0.8, 2.0], "replicates": DRAWS},
    "record": {"snapshots": 20},
}


def coverage(results: linphase.Results, size: int) -> dict[tuple[float, float], float]:
    """The share of groups of some size whose interval holds the mean of their cell, by the cell's axes."""
    runs = results.runs
    panel = find_panel("test-error", linphase.Cuts(), runs)
    means = runs.groupby(["gamma_w", "gamma_sigma2"])["min_test_error"].mean()
    held = dict.fromkeys(means.index, 0)
    groups = DRAWS // size
    for group in range(groups):
        part = runs[runs["replicate"].floordiv(size) == group]
        for curve in curves_of(part, results.axes, panel):
            ((_, gamma_w),) = curve.held
            for x, low, high in zip(curve.x, curve.low, curve.high, strict=True):
                held[gamma_w, x] += low <= means[gamma_w, x] <= high
    return {cell: count / groups for cell, count in held.items()}


@click.command()
def main() -> None:
    """Train, count and print."""
    with TemporaryDirectory() as scratch:
        results = linphase.sweep(CONFIG, f"{scratch}/coverage")
        for size in GROUPS:
            shares = coverage(results, size)
            click.echo(
                f"groups of {size}: {min(shares.values()):.3f} to {max(shares.values()):.3f} over {len(shares)} cells"
            )


if __name__ == "__main__":
    main()

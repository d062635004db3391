"""The sweeps that `benchmarks.scaling` rests on: ordinary configurations, several of one directory where axes hang together.

k = 1 and signal_norm = 1: with more modes the line of the signal is s + d/s, and its draws spread.
"""

from collections.abc import Iterator
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claim_sweeps import trained
from linphase import Results, SweepConfig
from linphase.config.config import load_config, parse_config
from linphase.theory.asymptotic import TypicalTask

ROOT = Path(__file__).parents[1]
LARGE, FEW = 800, 3  # d, and its replicates
LARGEST = 1600  # where it is asked for

WIDTH_DIMENSION, WIDTH_REPLICATES = 32, 8
# c, and the smallest width: below infinite noise, width > c^2, by a factor of ten or more. Numbers whose quotients end
# within 12 digits: width times variance is then the same c at every width.
WIDTHS = {2.4: 250, 13.5: 4000, 45.0: 64_000}
LARGEST_WIDTH = 1_024_000

NARROW_DIMENSIONS = {32: 12, 64: 8, 128: 6}  # replicates
NARROW_RATIOS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 16, 64)  # width/d
NARROW_STEP = 0.5  # in ln c


def over_dimensions(name: str, large: bool) -> Iterator[SweepConfig]:
    """configs/NAME.toml, and the same at d = 800, in the words of its comment."""
    file = ROOT / "configs" / f"{name}.toml"
    yield load_config(file)
    for d in (LARGE, LARGEST) if large else (LARGE,):
        yield load_config(file, [f"grid.task.dimension=[{d}]", f"grid.replicates={FEW}"])


def typical(d: float) -> TypicalTask:
    """The task of all these sweeps at one d."""
    return TypicalTask(d, 1, 1.0, 1.0)


def over_widths() -> Iterator[SweepConfig]:
    """The same c at several widths, beside equation (1) from the same start."""
    width = min(WIDTHS.values())
    while width <= LARGEST_WIDTH:
        variances = [c / width for c, smallest in WIDTHS.items() if width >= smallest]
        grid = {"task.dimension": [WIDTH_DIMENSION], "init_variance": variances, "width": [width]}
        record = {"compare": "self_consistent", "snapshots": 24, "singular_values": 1}
        yield configuration("scaling_width", grid, WIDTH_REPLICATES, record=record)
        width *= 4


def narrow() -> Iterator[SweepConfig]:
    """Widths from d/8 to 64 d, c from well below the bulk's median to well above the signal."""
    for d, replicates in NARROW_DIMENSIONS.items():
        low, high = log(0.25 * typical(d).bulk_median), log(3 * typical(d).signal_value)
        cs = [exp(each) for each in np.linspace(low, high, round((high - low) / NARROW_STEP) + 1)]
        for ratio in NARROW_RATIOS:
            width = round(ratio * d)
            grid = {"task.dimension": [d], "init_variance": [float(f"{c / width:.6g}") for c in cs], "width": [width]}
            record, stop = {"snapshots": 24}, {"excess_error": 1e-4}
            yield configuration("scaling_narrow", grid, replicates, record=record, stop=stop)


def configuration(name: str, grid: dict[str, Any], replicates: int, **sections: Any) -> SweepConfig:
    task, run = {"rank": 1, "signal_norm": 1.0}, {"independent_dimensions": True}
    return parse_config(
        {"name": name, "task": task, "grid": {**grid, "replicates": replicates}, "run": run, **sections}
    )


def fill(scratch: Path, jobs: int, large: bool) -> dict[str, Results]:
    """Train what is missing and load everything."""
    sweeps = {
        "boundaries": list(over_dimensions("scaling", large)),
        "training": list(over_dimensions("scaling_training", large)),
        "width": list(over_widths()),
        "narrow": list(narrow()),
    }
    return {name: trained(configs, scratch / f"scaling_{name}", jobs) for name, configs in sweeps.items()}

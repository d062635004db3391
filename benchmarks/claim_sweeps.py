"""The sweeps that `benchmarks.paper_claims` rests on, by name; each is a results directory, filled where it lacks runs.

Sums are gamma_sigma2 + gamma_w = log_d c. The width is d^4 wherever it is not what is varied: the reduction of the
width is exact, so that costs what 2 d costs. All runs are gradient flow to convergence in float64, noise 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import log, log10
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import pandas as pd

import linphase
from linphase import Results, SweepConfig
from linphase.config.config import parse_config
from linphase.theory.boundaries import lazy_threshold, signal_singular_value

GAMMA_W = 4.0
RANK = 5

DIMENSIONS = {50: 24, 100: 24, 200: 24, 400: 12, 800: 6}  # replicates of each
SLOPE_SUMS = (0.25, 0.5, 0.75, 1.1, 1.3)
SUM_STEP = 0.05
SUMS = tuple(round(SUM_STEP * i, 2) for i in range(-10, 29))  # -0.5 to 1.4
# Rank, replicates and the smallest sum of each.
SUM_DIMENSIONS = {64: (4, 16, -0.5), 100: (5, 16, 0.5), 200: (5, 12, -0.5), 400: (5, 4, 0.5)}
WIDTHS = tuple(4**i for i in range(4, 11))  # 256 to 1,048,576, at d = 32
WIDTH_SUMS = (0.25, 0.75, 1.1)
CROSSING_DIMENSIONS = (32, 64, 128)
CROSSING_GAMMAS = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
CROSSING_SUM = 0.5
ESCAPE_DIMENSIONS = (64, 200)
ESCAPE_SUMS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25)
NARROW_DIMENSIONS = (64, 128)
NARROW_WIDTHS = (0.5, 1, 2, 4, 16, 64)  # over d
COLLAPSE_DIMENSION = 64
COLLAPSE_WIDTHS = {0.5: 1, 1: 10, 4: 10, 16: 10, 256: 100, 65536: 100}  # over d; largest c over the signal's S


def configuration(name: str, grid: dict[str, Any], replicates: int, **sections: Any) -> SweepConfig:
    """One configuration of a directory: gradient flow to convergence, draws independent over d."""
    record = {"snapshots": 2, "singular_values": 1} | sections.pop("record", {})
    grid = {"task.rank": [RANK], **grid, "replicates": replicates}
    run = {"independent_dimensions": True}
    return parse_config({"name": name, "grid": grid, "record": record, "run": run, **sections})


def dimension() -> Iterator[SweepConfig]:
    """Five sums over d."""
    for d, replicates in DIMENSIONS.items():
        yield configuration("dimension", {"task.dimension": [d], **at_sums(SLOPE_SUMS)}, replicates)


def sums() -> Iterator[SweepConfig]:
    """Many sums at few d."""
    for d, (rank, replicates, smallest) in SUM_DIMENSIONS.items():
        here = [each for each in SUMS if each >= smallest]
        yield configuration("sums", {"task.dimension": [d], "task.rank": [rank], **at_sums(here)}, replicates)


def width() -> Iterator[SweepConfig]:
    """The same c at many widths, compared with equation (1) from the same start."""
    record = {"compare": "self_consistent", "snapshots": 48}
    for each in WIDTHS:
        grid = {"task.dimension": [32], "init_variance": [32**total / each for total in WIDTH_SUMS], "width": [each]}
        yield configuration("width", grid, 16, record=record)


def window() -> Iterator[SweepConfig]:
    """The whole window and far beyond it: widths 1 to 10^9 at d = 32, variances d^-6 to 1."""
    axis = {"start": 0, "stop": 6, "num": 13}
    for d in (32, 64):
        gamma_w = axis if d == 32 else {"start": 0, "stop": 4, "num": 9}
        grid = {"task.dimension": [d], "gamma_sigma2": {"start": -6, "stop": 0, "num": 13}, "gamma_w": gamma_w}
        yield configuration("window", grid, 2)


def escape() -> Iterator[SweepConfig]:
    """Small c, many moments kept: when the signal modes leave their saddles."""
    grid = {"task.dimension": list(ESCAPE_DIMENSIONS), **at_sums(ESCAPE_SUMS)}
    yield configuration("escape", grid, 8, record={"snapshots": 200, "singular_values": RANK})


def narrow() -> Iterator[SweepConfig]:
    """Widths down to a quarter of d, around the line between mixed and lazy."""
    for d in NARROW_DIMENSIONS:
        for ratio in NARROW_WIDTHS:
            line = log(signal(d) / int(ratio * d)) / log(d)
            axis = {"start": round(line - 0.8, 2), "stop": round(line + 0.2, 2), "num": 11}
            grid = {"task.dimension": [d], "gamma_sigma2": axis, "width": [int(ratio * d)]}
            yield configuration("narrow", grid, 8, stop={"excess_error": 1e-4})


def collapse() -> Iterator[SweepConfig]:
    """From c a thousandth of the signal's singular value S to beyond it, at every width."""
    d = COLLAPSE_DIMENSION
    for ratio, largest in COLLAPSE_WIDTHS.items():
        start, stop = (log(x * signal(d) / int(ratio * d)) / log(d) for x in (1e-3, largest))
        axis = {"start": round(start, 4), "stop": round(stop, 4), "num": round(1 + 4 * log10(1e3 * largest))}
        grid = {"task.dimension": [d], "gamma_sigma2": axis, "width": [int(ratio * d)]}
        yield configuration("collapse", grid, 4, task={"signal_norm": 1.0})


def signal(d: int) -> float:
    """The typical singular value of the signal in Y: at c equal to it lies the line between mixed and lazy."""
    return lazy_threshold(signal_singular_value(RANK, None, d, d), 1.0, d, d)


def crossing() -> Iterator[SweepConfig]:
    """One sum at several widths, followed closely; the last, as its observable is measured from then on."""
    plugin = Path(__file__).with_name("signal_overlap.py")
    for gamma_w in CROSSING_GAMMAS:
        grid = {
            "task.dimension": list(CROSSING_DIMENSIONS),
            "gamma_sigma2": [round(CROSSING_SUM - gamma_w, 6)],
            "gamma_w": [gamma_w],
        }
        record = {"snapshots": 200, "singular_values": RANK}
        yield configuration("crossing", grid, 8, record=record, plugins=[str(plugin)])


def at_sums(totals: Sequence[float]) -> dict[str, Any]:
    return {"gamma_sigma2": [round(total - GAMMA_W, 6) for total in totals], "gamma_w": [GAMMA_W]}


SWEEPS = {each.__name__: each for each in (dimension, sums, width, window, escape, narrow, collapse, crossing)}


def fill(scratch: Path, jobs: int) -> dict[str, Results]:
    """Train what is missing and load everything; the cells of `dimension` by theory, too, as dimension-theory."""
    found = {}
    for name, configurations in SWEEPS.items():
        configs = list(configurations())
        found[name] = trained(configs, scratch / name, jobs)
        if name == "dimension":
            predicted = [config.predicted() for config in configs]
            found["dimension-theory"] = trained(predicted, scratch / "dimension-theory", jobs)
    return found


def trained(configs: Sequence[SweepConfig], directory: Path, jobs: int) -> Results:
    """The runs that some configurations ask for now, in one directory; it may hold others, of before."""
    for config in configs:
        began = perf_counter()
        results = linphase.sweep(config, directory, jobs=jobs)
        click.echo(f"{directory.name}: {config.runs} runs, {perf_counter() - began:.1f} s")
    asked = {spec.run_id for config in configs for spec in config.expand()}
    return replace(results, runs=results.runs[results.runs["run_id"].isin(asked)].reset_index(drop=True))


def total(runs: pd.DataFrame) -> pd.Series:
    """gamma_sigma2 + gamma_w = log_d c of every row."""
    return (runs["gamma_sigma2"] + runs["gamma_w"]).round(6)

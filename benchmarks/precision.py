"""Section 7: float32 against float64: how much faster, and how far off every column of the runs table."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.cells import configuration, draw, grid, small
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import number, quartiles, seconds
from linphase.errors import LinphaseError
from linphase.model.task import Task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.store.columns import runs_columns
from linphase.store.provenance import versions
from linphase.store.rows import asked_for, summary_row

Row = dict[str, Any]
PRECISIONS = ("float64", "float32")
LABELS = ("status", "regime", "regime_by_balance", "regime_by_speedup")


def timed_row(spec: RunSpec, task: Task) -> Row:
    """The row of a run with its seconds; of one that fails, only the error."""
    row: Row = {}

    def work() -> None:
        try:
            row.update(summary_row(spec, train_spec(spec, task)))
        except LinphaseError as error:
            row.update(error=str(error), status="failed")

    return row | {"seconds": seconds(work)}


def result_columns(spec: RunSpec) -> list[str]:
    """The numeric columns that the training decides, not the configuration, the clock or the machine."""
    given = {*asked_for(spec), *versions(), "elapsed_s", "numerics_version"}
    return [
        column.name
        for column in runs_columns()
        if column.type in ("float64", "int32", "int64") and column.name not in given
    ]


def numeric(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """A column as floats, null as nan."""
    return np.array(table[name].astype("Float64").to_numpy(na_value=np.nan), dtype=np.float64)


def deviation(double: pd.DataFrame, single: pd.DataFrame, name: str) -> dict[str, str] | None:
    """How far float32 is off in one column: relative and absolute, and where; None for a column that is all null."""
    a, b = numeric(double, name), numeric(single, name)
    both = ~(np.isnan(a) | np.isnan(b))
    if not both.any():
        return None
    off = np.where(both, np.abs(b - a), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(off > 0, off / np.abs(a), 0)
    worst = int(np.argmax(relative))
    if off[worst] == 0:
        where = dict.fromkeys(("at gamma_sigma2, gamma_w", "float64 there", "float32 there"), "-")
    else:
        where = {
            "at gamma_sigma2, gamma_w": f"{double['gamma_sigma2'][worst]:.2f}, {double['gamma_w'][worst]:.2f}",
            "float64 there": f"{a[worst]:.6g}",
            "float32 there": f"{b[worst]:.6g}",
        }
    return {
        "column": name,
        "relative, median": f"{np.median(relative[both]):.1e}",
        "relative, largest": f"{relative[worst]:.1e}",
        **where,
        "absolute, largest": f"{off.max():.1e}",
        "null in one only": str(int(np.sum(np.isnan(a) != np.isnan(b)))),
    }


def changes(double: pd.DataFrame, single: pd.DataFrame, name: str) -> Counter[str]:
    """Which labels changed from float64 to float32, and in how many cells."""
    pairs = zip(double[name].fillna("none"), single[name].fillna("none"), strict=True)
    return Counter(f"{a} → {b}" for a, b in pairs if a != b)


def measure(settings: Settings) -> Finding:
    """Every cell in both precisions in turns; then the table of deviations."""
    overrides = [*grid(4, 4), *small(20, 2)] if settings.quick else grid(15, 15)
    specs = [list(configuration([*overrides, f'run.precision="{name}"']).expand()) for name in PRECISIONS]
    task, _ = draw(specs[0][0])
    _ = task.solution_svd, task.signal_svd
    tables: Tables = {}
    with one_blas_thread():
        timed_row(specs[1][0], task)  # warm up
        rows = [[timed_row(spec, task) for spec in pair] for pair in zip(*specs, strict=True)]
    double, single = (pd.DataFrame(list(column)) for column in zip(*rows, strict=True))
    speed(double, single, tables)
    for name in result_columns(specs[0][0]):
        row = deviation(double, single, name)
        if row is not None:
            add(tables, f"Deviation of float32 from float64, {len(double)} cells", row)
    changed = {name: changes(double, single, name) for name in LABELS}
    for name, found in changed.items():
        told = ", ".join(f"{pair}: {count}" for pair, count in found.items()) or "-"
        add(tables, "Labels that changed", {"column": name, "cells": str(found.total()), "float64 → float32": told})
    ratio = quartiles(double["seconds"] / single["seconds"])
    result = (
        f"float32 is {ratio} times as fast (quartiles over cells); the smallest test error is off by at most "
        f"{np.nanmax(np.abs(numeric(single, 'min_test_error') / numeric(double, 'min_test_error') - 1)):.1e}, the regime "
        f"changes in {changed['regime'].total()} of {len(double)} cells"
    )
    return Finding(result, None, tables, {"speed": ratio.median, "regimes changed": changed["regime"].total()})


def speed(double: pd.DataFrame, single: pd.DataFrame, tables: Tables) -> None:
    """Ratios of time, over cells and in all."""
    per_evaluation = [table["seconds"] / numeric(table, "gradient_evaluations") for table in (double, single)]
    ratio = per_evaluation[0] / per_evaluation[1]
    for name, value in (
        ("a run (quartiles over cells)", str(quartiles(double["seconds"] / single["seconds"]))),
        ("all runs together", number(double["seconds"].sum() / single["seconds"].sum())),
        ("a gradient evaluation, recording included (quartiles)", str(quartiles(ratio[ratio.notna()]))),
        ("failed in float32", str(int((single["status"] == "failed").sum()))),
    ):
        add(tables, "Time in float64 over time in float32", {"": name, "found": value})


SECTION = Section(
    title="float32 against float64",
    measured="""15 × 15 cells over the whole window of Figure 2, d = 200, by the flow to convergence with everything
recorded; every cell in both precisions, one after the other in one process, from the same start. All columns that the
training decides. Beside the largest relative deviation stands where it is: a column that is nearly zero there (such as
the drift of a conserved quantity) can be off by much relatively and by nothing absolutely.""",
    bar="none: the ratio of speed, the deviation of every column, and the regimes that change",
    measure=measure,
)

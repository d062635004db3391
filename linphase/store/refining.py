"""What the cells of a sweep came to, as far as its results tell: by this its grid is refined."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from linphase.model.regime import classify
from linphase.runs.spec import RunSpec
from linphase.store.reading import read_table
from linphase.store.tables import FAILURES, RUNS

COLUMNS = ("run_id", "status", "signal_active", "bulk_active")
_WITH_REGIME = ("converged", "finished", "stopped_early")


class Labels:
    """The outcomes of cells whose runs are finished, at this linphase's numerics version.

    Parameters
    ----------
    finished
        Rows of a runs table with COLUMNS, of copies the best first; none by default.
    failed
        The ids of runs that have failed and were not finished since.
    """

    def __init__(self, finished: pa.Table | None = None, failed: Collection[str] = ()) -> None:
        columns = [] if finished is None else [finished.column(name).to_pylist() for name in COLUMNS]
        self._ends: dict[str, list[Any]] = {}
        for run_id, *end in zip(*columns, strict=True):
            self._ends.setdefault(run_id, end)
        self._failed = frozenset(failed)

    def settled(self, spec: RunSpec) -> bool:
        """Whether a run is finished, or has failed: then nothing waits for it."""
        return spec.run_id in self._ends or spec.run_id in self._failed

    def of(self, replicates: Sequence[RunSpec]) -> str | None:
        """The regime by the means of the order parameters, by the usual criterion and cuts.

        Or diverged, step_limit, underparameterized, where that is how any replicate ended; None while one of them is
        not finished, or has failed. Stored are the order parameters, so other cuts add cells and take none away.
        """
        ends = [self._ends.get(spec.run_id) for spec in replicates]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        for status in sorted({status for status, _, _ in known}):
            if status not in _WITH_REGIME:
                return str(status)
        task, width = replicates[0].task, replicates[0].initialization.width
        signal, bulk = (_mean([end[place] for end in known]) for place in (1, 2))
        regime = classify(signal, bulk, width=width, rank=task.rank, noise=task.noise)
        return regime or ("underparameterized" if width < task.rank else "undefined")


def _mean(values: Sequence[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return float(np.mean(given)) if given else None


def labels_in(root: Path) -> Labels:
    """What the cells of a results directory came to; whoever reads its tables tells of parts that are damaged."""
    with warnings.catch_warnings(action="ignore"):
        failed = read_table(root, FAILURES, ["run_id"]).column("run_id").to_pylist()
        return Labels(read_table(root, RUNS, COLUMNS), failed)

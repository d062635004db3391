"""A batch of runs trained and committed by the process that trained it, so that no result passes through another."""

import traceback
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from linphase.runs.spec import RunSpec
from linphase.store.reading import Ids
from linphase.store.rows import Row, failure_row, summary_row, trajectory_row
from linphase.store.writing import write_failures, write_runs


class Batch(NamedTuple):
    """What became of a batch."""

    rows: list[Row]  # committed or, with an `error`, failed
    skipped: list[str]  # ids of runs that were finished before they were begun here
    twice: list[str]  # ids of runs that somebody else finished while they were trained here


@lru_cache(maxsize=1)
def _ids(directory: Path, sweep: str) -> Ids:
    """The finished runs of a directory; a worker that runs many batches of a sweep reads each part only once."""
    return Ids(directory)


def run_batch(directory: Path, specs: Sequence[RunSpec], sweep: str = "") -> Batch:
    """Train some runs with one BLAS thread and commit them as one part; a run that raises is a failed attempt.

    What is finished meanwhile by others, or by a worker that died before it could answer, is not trained, or at
    least not written, again. sweep: anything that tells one sweep from the next, for a worker that outlives them:
    results may be moved away between them.
    """
    from linphase.model.task import draw_task
    from linphase.runs.threads import one_blas_thread
    from linphase.runs.training import train_spec

    ids = _ids(directory, sweep)
    finished = ids.now()
    skipped = [spec.run_id for spec in specs if spec.run_id in finished]
    rows: dict[str, Row] = {}
    trajectories: dict[str, Row] = {}
    failures: list[Row] = []
    drawn = None
    with one_blas_thread():
        for spec in specs:
            run_id = spec.run_id
            if run_id in finished:
                continue
            try:
                # A replicate's task is the same in every cell: draw it once.
                identity = (spec.task, spec.run.seed, spec.replicate)
                if drawn is None or drawn[0] != identity:
                    drawn = identity, draw_task(spec.task, seed=spec.run.seed, replicate=spec.replicate)
                run = train_spec(spec, drawn[1])
            except Exception as error:  # noqa: BLE001 - recorded with its traceback; the other runs go on
                failures.append(failure_row(spec, one_line(error), traceback.format_exc()))
            else:
                rows[run_id] = summary_row(spec, run)
                trajectories[run_id] = trajectory_row(run_id, run.trajectory)
    finished = ids.now()
    twice = [run_id for run_id in rows if run_id in finished]
    fresh = [run_id for run_id in rows if run_id not in finished]
    if fresh:
        write_runs(directory, [rows[run_id] for run_id in fresh], [trajectories[run_id] for run_id in fresh])
    if failures:
        write_failures(directory, failures)
    return Batch([rows[run_id] for run_id in fresh] + failures, skipped, twice)


def one_line(error: BaseException) -> str:
    """An error as it stands in the failures table."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__

"""A batch of runs trained and committed by the process that trained it, so that no result passes through another.

It travels as plain data, with the bytes of the plugins it needs: a worker has neither their files nor their classes,
and nothing between (a scheduler) unpickles anything of the user's.
"""

import time
import traceback
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from linphase.config.config import SweepConfig
from linphase.config.plugins import Plugin, activate
from linphase.diagram.panels import looks
from linphase.model import arrays
from linphase.model.draws import draw_task
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.store.reading import Ids
from linphase.store.rows import Row, failure_row, summary_row, trajectory_row
from linphase.store.writing import refuse_without, write_failures, write_runs


class Assignment(TypedDict):
    """What a worker is to do, as plain data."""

    specs: list[dict[str, Any]]  # `RunSpec.plain`
    plugins: list[tuple[str, bytes]]  # file names and bytes
    config: str  # the digest of the configuration that asks for the runs
    observables: tuple[str, ...]  # a run counts as finished only where all of these were measured
    sweep: str  # anything that tells one sweep from the next, for a worker that outlives them


class Batch(NamedTuple):
    """What became of a batch."""

    rows: list[Row]  # committed or, with an `error`, failed
    skipped: list[str]  # ids of runs that were finished before they were begun here
    twice: list[str]  # ids of runs that somebody else finished while they were trained here
    seconds: float = 0.0  # from its first moment in the worker to its last


def assign(
    specs: Iterable[RunSpec], config: SweepConfig, observables: Collection[str] = (), sweep: str = ""
) -> Assignment:
    """Some runs of a sweep as an assignment."""
    return Assignment(
        specs=[spec.plain() for spec in specs],
        plugins=[(plugin.name, plugin.source) for plugin in config.plugins],
        config=config.digest,
        observables=tuple(observables),
        sweep=sweep,
    )


@lru_cache(maxsize=1)
def _ids(directory: Path, sweep: str, observables: tuple[str, ...]) -> Ids:
    """The finished runs of a directory; a worker that runs many batches of a sweep reads each part only once."""
    return Ids(directory, observables=observables)


def run_batch(directory: Path, assignment: Assignment) -> Batch:
    """Train some runs with one BLAS thread and commit them as one part; a run that raises is a failed attempt.

    What is finished meanwhile by others, or by a worker that died before it could answer, is not trained, or at
    least not written, again.
    """
    began = time.perf_counter()
    refuse_without(directory, assignment["config"])
    arrays.look_in(directory)
    activate([Plugin(name, source) for name, source in assignment["plugins"]])
    specs = [RunSpec.of(plain) for plain in assignment["specs"]]
    ids = _ids(directory, assignment["sweep"], assignment["observables"])
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
                identity = (spec.task, spec.seed, spec.replicate)
                if drawn is None or drawn[0] != identity:
                    drawn = identity, draw_task(spec.task, seed=spec.seed, replicate=spec.replicate)
                run = train_spec(spec, drawn[1])
                row, trajectory = summary_row(spec, run), trajectory_row(run_id, run.trajectory)
            except Exception as error:  # noqa: BLE001 - recorded with its traceback; the other runs go on
                failures.append(failure_row(spec, one_line(error), traceback.format_exc()))
            else:
                rows[run_id], trajectories[run_id] = row, trajectory
    finished = ids.now()
    twice = [run_id for run_id in rows if run_id in finished]
    fresh = [run_id for run_id in rows if run_id not in finished]
    if fresh:
        write_runs(directory, [rows[each] for each in fresh], [trajectories[each] for each in fresh], looks(),
                   config=assignment["config"])  # fmt: skip
    if failures:
        write_failures(directory, failures, config=assignment["config"])
    return Batch([rows[run_id] for run_id in fresh] + failures, skipped, twice, time.perf_counter() - began)


def one_line(error: BaseException) -> str:
    """An error as it stands in the failures table."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__

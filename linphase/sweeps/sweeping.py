"""A sweep: expand the grid, train what is missing in parallel workers, keep every result as soon as it is there.

Each worker commits its own batches; the sweeping process only hands out work, so that no result passes through it to
the disk. Any number of sweeps may fill one directory at once, and all of them and their workers may die at any moment.
"""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from linphase.config.config import SweepConfig
from linphase.store.folding import compact
from linphase.store.provenance import versions
from linphase.store.reading import distinct, failed_ids, finished_ids
from linphase.store.results import Results, load
from linphase.store.rows import Row
from linphase.store.writing import create
from linphase.sweeps import schedule
from linphase.sweeps.claims import Claims
from linphase.sweeps.plan import (
    Shard,
    available_cores,
    batches,
    estimated_flops,
    flops_per_second,
    shard_of,
)

if TYPE_CHECKING:
    from linphase.runs.spec import RunSpec

BATCH_SECONDS = 5.0  # estimated; a crash loses at most a batch per worker


def default_directory(config: SweepConfig) -> Path:
    """results/NAME."""
    return Path("results") / config.name


def sweep(
    config: SweepConfig, out: str | Path | None = None, *, jobs: int | None = None, scheduler: str | None = None
) -> Results:
    """Train every run of the grid that is missing in `out` (default: results/NAME) and load the results."""
    for _ in iter_sweep(config, out, jobs=jobs, scheduler=scheduler):
        pass
    return load(out or default_directory(config))


def iter_sweep(
    config: SweepConfig,
    out: str | Path | None = None,
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
    time_left: Callable[[], float] = lambda: inf,
) -> Iterator[Row]:
    """Train the missing runs of a sweep, yielding the row of each as it is committed; failed ones have an `error`.

    jobs: worker processes, by default one a core, each with one BLAS thread. scheduler: the address of a Dask
    scheduler, whose workers are then used instead. shard: the part of the runs to train, by default all. retry_failed:
    run again what failed in an earlier sweep, which is left alone otherwise. time_left() is asked a few times a second
    for the seconds left: once finite, nothing more is handed out, and when batches in flight are done or it is 0 the
    iterator ends. Runs that other sweeps do in the same directory meanwhile are left to them, and are not yielded; a
    warning says how many.

    Raises ResultsError where the directory cannot be used or belongs to another configuration, LinphaseError where
    there is no scheduler.
    """
    directory = Path(out or default_directory(config))
    create(directory, config)
    _warn_of_other_numerics(directory)
    settled = finished_ids(directory) | (set() if retry_failed else failed_ids(directory))
    missing = [spec for spec in listed(config, shard) if spec.run_id not in settled]
    if missing:
        yield from _run_all(directory, missing, jobs or available_cores(), scheduler, time_left)
    if time_left() == inf:  # asked to stop, a sweep leaves its parts to the one that goes on
        compact(directory)  # tasks of an array may end, and fold, at the same moment


def listed(config: SweepConfig, shard: Shard | None = None) -> "Iterator[RunSpec]":
    """The runs of a sweep, or of one shard of it, whether they are done or not."""
    return config.expand() if shard is None else shard_of(config.expand(), shard, estimated_flops)


def _run_all(
    directory: Path, specs: "list[RunSpec]", jobs: int, scheduler: str | None, time_left: Callable[[], float]
) -> Iterator[Row]:
    rate = flops_per_second()
    costs = [estimated_flops(spec) / rate for spec in specs]
    with _workers(min(jobs, len(specs)), scheduler) as workers, Claims(directory) as claims:
        seconds = min(BATCH_SECONDS, sum(costs) / (16 * max(1, workers.capacity())))
        cut = batches(specs, seconds, rate)
        # Sweeps that begin at different places meet late; and what is done after a while is a sample of the whole.
        random.SystemRandom().shuffle(cut)
        work = schedule.Work(directory, cut, claims, schedule.GRACE + 3 * max(costs))
        flight = schedule.Flight(directory, workers, work)
        yield from flight.rows(time_left)
    if work.elsewhere or flight.twice:
        warnings.warn(
            f"{directory}: others did {work.elsewhere} of {len(specs)} runs meanwhile; {flight.twice} were "
            "trained here as well, and only one copy of each was kept",
            stacklevel=3,
        )


def _workers(jobs: int, scheduler: str | None) -> "AbstractContextManager[schedule.Workers]":
    if scheduler is None:
        from linphase.sweeps.local import LocalWorkers

        return LocalWorkers(jobs)
    from linphase.sweeps.dask import DaskWorkers

    return DaskWorkers(scheduler)


def _warn_of_other_numerics(directory: Path) -> None:
    """The same bits are promised for equal versions and CPU only (design.md, "Randomness")."""
    for name in ("numpy_version", "scipy_version", "blas", "cpu"):
        here = versions()[name]
        others = sorted(set(distinct(directory, name)) - {here})
        if others:
            warnings.warn(
                f"{directory}: holds runs made with {name} {', '.join(others)}, here it is {here}; new runs agree with "
                "them to the tolerance, but not bit for bit",
                stacklevel=3,
            )

"""A sweep: expand the grid, train what is missing in parallel workers, keep every result as soon as it is there.

Each worker commits its own batches; the sweeping process only hands out work, so that no result passes through it to
the disk. Any number of sweeps may fill one directory at once, and all of them and their workers may die at any moment.
"""

import difflib
import itertools
import os
import random
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from math import inf
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from linphase.config.config import SweepConfig, as_config
from linphase.config.plugins import activate, homeless
from linphase.diagram.panels import PANELS, known_panels
from linphase.errors import ConfigError, LinphaseError, ResultsError, check_argument
from linphase.model.moment import OBSERVABLES
from linphase.model.task import Task
from linphase.runs.spec import NUMERICS_VERSION, RunSpec
from linphase.store.asked import levels_asked
from linphase.store.columns import runs_columns
from linphase.store.directory import is_results
from linphase.store.folding import compact
from linphase.store.provenance import versions
from linphase.store.reading import failed_ids, finished_ids
from linphase.store.refining import labels_in
from linphase.store.results import Results, load
from linphase.store.rows import Row
from linphase.store.writing import create
from linphase.sweeps import schedule
from linphase.sweeps.batch import assign
from linphase.sweeps.claims import Claims, forget_the_dead
from linphase.sweeps.forecast import Forecast
from linphase.sweeps.leftovers import remove_leftovers
from linphase.sweeps.local import LocalWorkers, NoWorkers
from linphase.sweeps.plan import Shard, available_cores, batches, estimated_flops, flops_per_second, shard_of
from linphase.sweeps.slurm import cpus_per_task

BATCH_SECONDS = (0.25, 5.0)  # estimated; a crash loses at most a batch per worker, and a part costs its time too
ALONE_SECONDS = 2.0  # estimated; less is done in the process itself, before a worker would be there
SAME_BITS = ("numpy_version", "scipy_version", "blas", "cpu")  # columns; runs that agree in them agree bit for bit
PREDICTIONS_ALONE = 2000  # so many runs of theory, milliseconds each, are one batch in the process itself


def default_directory(config: SweepConfig) -> Path:
    """results/NAME."""
    return Path("results") / config.name


def default_jobs() -> int:
    """Worker processes where nobody says how many: the cores of this SLURM task, else of this process."""
    return cpus_per_task(os.environ) or available_cores()


Config = SweepConfig | Mapping[str, Any] | str | os.PathLike[str]


def sweep(
    config: Config,
    out: str | Path | None = None,
    *,
    task: Task | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    fill: bool = False,
) -> Results:
    """Train every run of the grid that is missing in `out` (default: results/NAME) and load the results.

    Parameters
    ----------
    config
        The path of a TOML file, a mapping with its keys, or a `SweepConfig`.
    out
        The results directory.
    task
        One of your own, in place of what the configuration says of its task. It is the same in every replicate.
    jobs, scheduler, fill
        As in `train_missing`.

    Raises
    ------
    LinphaseError
        If the configuration or another argument is not as it must be, or the directory cannot be used.

    Examples
    --------
    >>> results = linphase.sweep("configs/quickstart.toml")
    """
    config = _of(config, task)
    for _ in iter_sweep(config, out, jobs=jobs, scheduler=scheduler, fill=fill):
        pass
    return load(out or default_directory(config))


def iter_sweep(
    config: Config,
    out: str | Path | None = None,
    *,
    task: Task | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    shard: Shard | None = None,
    retry_failed: bool = False,
    fill: bool = False,
    time_left: Callable[[], float] = lambda: inf,
) -> Iterator[Row]:
    """Train the missing runs of a sweep, level by level, or of a shard of its next level, yielding each as a row.

    config, out and task are those of `sweep`, the rest those of `train_missing`. Arguments are checked at once, and
    nothing is trained before the first row is asked for.

    Examples
    --------
    >>> for row in linphase.iter_sweep("configs/quickstart.toml"):
    ...     print(row["run_id"], row["status"])
    """
    config = _of(config, task)
    if out is not None:
        check_argument("out", out, (str, os.PathLike), "the path of a results directory")
    if jobs is not None:
        check_argument("jobs", jobs, Integral, "a number of worker processes")
        if jobs < 1:
            raise LinphaseError(f"jobs: a number of worker processes from 1 on is required, found {jobs}")
    if scheduler is not None:
        check_argument("scheduler", scheduler, str, "the address of a Dask scheduler")
    if shard is not None:
        check_argument("shard", shard, Shard, "a linphase.sweeps.plan.Shard")
    directory = Path(out or default_directory(config))
    return _rows(
        config, directory, jobs=jobs, scheduler=scheduler, shard=shard, retry_failed=retry_failed, fill=fill,
        time_left=time_left,
    )  # fmt: skip


def _of(config: Config, task: Task | None) -> SweepConfig:
    read = as_config(config)
    return read if task is None else read.of_task(task)


def _rows(
    config: SweepConfig,
    directory: Path,
    *,
    jobs: int | None,
    scheduler: str | None,
    shard: Shard | None,
    retry_failed: bool,
    fill: bool,
    time_left: Callable[[], float],
) -> Iterator[Row]:
    """The rows of the levels one after the other."""
    for level in levels_to_train(config, directory, shard, again=retry_failed or fill):
        if level.number and time_left() < inf:
            return
        yield from train_missing(
            config, directory, level.specs, jobs=jobs, scheduler=scheduler, retry_failed=retry_failed, fill=fill,
            time_left=time_left,
        )  # fmt: skip


def train_missing(
    config: SweepConfig,
    directory: Path,
    specs: Mapping[str, RunSpec],
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    retry_failed: bool = False,
    fill: bool = False,
    time_left: Callable[[], float] = lambda: inf,
    forecast: Forecast | None = None,
) -> Iterator[Row]:
    """Train the missing ones of some runs, yielding the row of each as it is committed, with an `error` if it failed.

    Parameters
    ----------
    config, directory
        The sweep, and where its results go.
    specs
        Its runs that are to be there in the end, by id.
    jobs
        Worker processes, each with one BLAS thread. By default one a core, or none where all that is missing is
        estimated to take less than 2 s: then this process trains it. The numbers are the same bits.
    scheduler
        The address of a Dask scheduler, whose workers are then used instead.
    retry_failed
        Run again what failed in an earlier sweep, which is left alone otherwise.
    fill
        Train again, under the same ids, the finished runs that lack an observable which is declared now.
    time_left
        Asked a few times a second for the seconds left: once finite, nothing more is handed out, and when batches in
        flight are done or it is 0 the iterator ends.
    forecast
        Is told when the workers are there, and what every batch took.

    Runs that other sweeps do in the same directory meanwhile are left to them, and are not yielded; a warning says
    how many.

    Raises
    ------
    ResultsError
        If the directory cannot be used or belongs to another configuration.
    LinphaseError
        If there is no scheduler, or something is declared where workers cannot find it.
    """
    remove_leftovers()
    activate(config.plugins)
    _refuse_homeless(config)
    _refuse_panels()
    create(directory, config)
    there = load(directory, ("plugin", *SAME_BITS))
    _refuse_newer_numerics(there)
    _warn_of_other_bits(there)
    _warn_of_other_plugins(there, config)
    wanted = tuple(OBSERVABLES) if fill else ()
    settled = there.finished(wanted) | (set() if retry_failed else there.failed())
    missing = {run_id: spec for run_id, spec in specs.items() if run_id not in settled}
    _warn_of_older_numerics(there, missing)
    if missing:
        yield from _run_all(directory, config, list(missing.values()), jobs, scheduler, wanted, time_left, forecast)
    else:
        forget_the_dead(directory)
    if time_left() == inf:  # asked to stop, a sweep leaves its parts to the one that goes on
        compact(directory)  # tasks of an array may end, and fold, at the same moment


@dataclass(frozen=True)
class Level:
    """The runs of one level of refinement that are to be there in the end, by id, done or not."""

    number: int  # from 0, the grid
    specs: dict[str, RunSpec]


def levels_to_train(
    config: SweepConfig, directory: Path, shard: Shard | None = None, *, again: bool = False
) -> Iterator[Level]:
    """The levels of a sweep one after the other; each is known once the one before is trained.

    Of a shard it is its part of one level: of the first of which runs are left, whichever shard has them. Parts are
    cut of all runs of a level, done or not, so that they are the same for every shard.
    again: whether runs that are settled may have to be trained again; then a shard has its part of earlier levels, too.
    """
    below: list[RunSpec] = []
    for number in range(config.refine_levels + 1):
        reached = levels_asked(config, labels_in(directory) if number else None)
        specs = next(itertools.islice(reached, number, None), None)
        if specs is None:  # an earlier level is not settled: somebody else does it
            return
        if shard is not None and number < config.refine_levels and _are_settled(specs, directory):
            below += specs if again else []
            continue
        part = specs if shard is None else shard_of([*below, *specs], shard, estimated_flops)
        if specs or not number:
            yield Level(number, {spec.run_id: spec for spec in part})
        if shard is not None:
            return


def _are_settled(specs: Iterable[RunSpec], directory: Path) -> bool:
    """Whether all of some runs are finished or have failed."""
    settled = finished_ids(directory) | failed_ids(directory) if is_results(directory) else set()
    return all(spec.run_id in settled for spec in specs)


def planned(config: SweepConfig, directory: Path, shard: Shard | None = None) -> Iterator[RunSpec]:
    """The runs that a sweep is known to ask for by now, or those of a shard of its next level, done or not."""
    if shard is not None:
        for level in levels_to_train(config, directory, shard):
            yield from level.specs.values()
    elif not config.refine_levels:
        yield from config.expand()  # there may be millions
    else:
        labels = labels_in(directory) if is_results(directory) else None
        yield from itertools.chain.from_iterable(levels_asked(config, labels))


def _run_all(
    directory: Path,
    config: SweepConfig,
    specs: list[RunSpec],
    jobs: int | None,
    scheduler: str | None,
    observables: tuple[str, ...],
    time_left: Callable[[], float],
    forecast: Forecast | None,
) -> Iterator[Row]:
    rate = flops_per_second()
    costs = [estimated_flops(spec) / rate for spec in specs]
    assigned = partial(assign, config=config, observables=observables, sweep=uuid.uuid4().hex)
    here = jobs is None and scheduler is None
    quick = here and len(specs) <= PREDICTIONS_ALONE and all(spec.dynamics.predicts for spec in specs)
    alone = quick or (here and sum(costs) < ALONE_SECONDS)
    with _workers(alone, jobs, len(specs), scheduler) as workers, Claims(directory) as claims:
        shortest, longest = (inf, inf) if quick else BATCH_SECONDS
        seconds = min(longest, max(shortest, sum(costs) / (16 * max(1, workers.capacity()))))
        cut = batches(specs, seconds, rate)
        # Sweeps that begin at different places meet late; and what is done after a while is a sample of the whole.
        random.SystemRandom().shuffle(cut)
        work = schedule.Work(directory, cut, claims, schedule.GRACE + 3 * max(costs), observables)
        flight = schedule.Flight(directory, config.digest, workers, work, assigned)
        if forecast is not None:
            forecast.begin(workers.capacity())
            flight.landed = forecast.landed
        yield from flight.rows(time_left)
    if work.elsewhere or flight.twice:
        warnings.warn(
            f"{directory}: others did {work.elsewhere} of {len(specs)} runs meanwhile; {flight.twice} were "
            "trained here as well, and only one copy of each was kept",
            stacklevel=3,
        )


def _workers(
    alone: bool, jobs: int | None, runs: int, scheduler: str | None
) -> AbstractContextManager[schedule.Workers]:
    if scheduler is not None:
        from linphase.sweeps.dask import DaskWorkers

        return DaskWorkers(scheduler)
    return NoWorkers() if alone else LocalWorkers(min(jobs or default_jobs(), runs))


def _refuse_homeless(config: SweepConfig) -> None:
    """What a notebook declares, no worker has."""
    if modules := homeless(config.plugins):
        raise ConfigError(
            f"plugins: a sweep needs everything that is declared in linphase or in a plugin, found declarations in "
            f'{", ".join(modules)}. Put them into a file of their own and name it: plugins = ["my_dynamics.py"]'
        )


def _refuse_panels() -> None:
    """Refuse panels that claim one name, or show what is stored nowhere: now, not by every worker."""
    stored = [column.name for column in runs_columns()]
    for one in known_panels().values():
        if one.column is not None and one.column not in stored:
            close = difflib.get_close_matches(one.column, stored, n=1)
            meant = f"; did you mean {close[0]}?" if close else "; linphase columns lists them"
            raise LinphaseError(
                f"panel {one.name!r} ({PANELS.places[one.name]}): column must be one of the runs table, "
                f"found {one.column!r}{meant}"
            )


def _refuse_newer_numerics(there: Results) -> None:
    """What this linphase trained would never be shown beside a newer one's."""
    newest = int(there.numerics.max(initial=0))
    if newest > NUMERICS_VERSION:
        raise ResultsError(
            f"{there.path}: holds runs by numerics version {newest}, this linphase's is {NUMERICS_VERSION}. Update it: "
            "pip install --upgrade linphase; or give another directory with --out"
        )


def _warn_of_older_numerics(there: Results, missing: Mapping[str, RunSpec]) -> None:
    older = (there.numerics < NUMERICS_VERSION) & there.runs["status"].ne("failed").to_numpy(dtype=bool)
    if older.any():
        again = sum(there.expected()[run_id].run_id in missing for run_id in there.runs.loc[older, "run_id"])
        found = ", ".join(map(str, np.unique(there.numerics[older])))
        warnings.warn(
            f"{there.path}: {again} runs are there by numerics version {found} and are trained again by this "
            f"linphase's, {NUMERICS_VERSION}; their old rows stay, and tables and figures show the new ones",
            stacklevel=3,
        )


def _warn_of_other_plugins(there: Results, config: SweepConfig) -> None:
    """A kind's id does not hash the file that declares it, so that a mended docstring trains nothing again."""
    here = {plugin.digest for plugin in config.plugins}
    others = sorted(set(there.runs["plugin"].dropna()) - here)
    if others and here:
        warnings.warn(
            f"{there.path}: holds runs of another version of a plugin, digest {', '.join(others)}, here it is "
            f"{', '.join(sorted(here))}; they are not trained again. If the numbers of a dynamics have changed, raise "
            "`version` in its class; a new observable is measured in them by --fill",
            stacklevel=3,
        )


def _warn_of_other_bits(there: Results) -> None:
    """The same bits are promised for equal versions and CPU only (docs/theory.md, "Random numbers")."""
    for name in SAME_BITS:
        here = versions()[name]
        others = sorted(set(there.runs[name].dropna()) - {here})
        if others:
            warnings.warn(
                f"{there.path}: holds runs made with {name} {', '.join(others)}, here it is {here}; new runs agree "
                "with them to the tolerance, but not bit for bit",
                stacklevel=3,
            )

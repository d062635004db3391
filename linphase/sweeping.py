"""A sweep: expand the grid, train what is missing in parallel workers, keep every result as soon as it is there.

Workers are joblib's (loky), driven through their executor interface rather than through `joblib.Parallel`: Parallel
ends the whole call when one worker dies and does not say which runs it took along, and runs n_jobs = 1 in the parent.
Each worker commits its own batches; the parent only hands out work, so that no result passes through it to the disk.
"""

import math
import os
import re
import signal
import threading
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib.externals.loky import ProcessPoolExecutor

from linphase import store
from linphase.config import SweepConfig
from linphase.provenance import versions
from linphase.spec import RunSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from linphase.training import TrainedRun

Row = dict[str, Any]

BATCH_SECONDS = 5.0  # estimated; a crash loses at most a batch per worker
PATIENCE = 5.0  # seconds that batches in flight are given when a sweep is asked to stop
_POLL = 0.2  # seconds between two looks at whether to stop
_STRIKES = 2  # a run whose worker dies this often, alone, has failed


def default_directory(config: SweepConfig) -> Path:
    """results/NAME."""
    return Path("results") / config.name


def sweep(config: SweepConfig, out: str | Path | None = None, *, jobs: int | None = None) -> store.Results:
    """Train every run of the grid that is missing in `out` (default: results/NAME) and load the results."""
    for _ in iter_sweep(config, out, jobs=jobs):
        pass
    return store.load(out or default_directory(config))


def iter_sweep(
    config: SweepConfig,
    out: str | Path | None = None,
    *,
    jobs: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Row]:
    """Train the missing runs of a sweep, yielding the row of each as it is committed; failed ones have an `error`.

    jobs: worker processes, by default one a core, each with one BLAS thread. should_stop is asked a few times a
    second: once true, nothing more is handed out, batches in flight get `PATIENCE` seconds, and the iterator ends.
    Raises ResultsError where the directory cannot be used or belongs to another configuration.
    """
    directory = Path(out or default_directory(config))
    store.create(directory, config)
    _warn_of_other_numerics(directory)
    finished = store.finished_ids(directory)
    missing = [spec for spec in config.expand() if spec.run_id not in finished]
    jobs = jobs or available_cores()
    yield from _run_all(directory, missing, jobs, should_stop)
    store.fold(directory)


def _warn_of_other_numerics(directory: Path) -> None:
    """The same bits are promised for equal versions and CPU only (design.md, "Randomness")."""
    for name in ("numpy_version", "scipy_version", "blas", "cpu"):
        here = versions()[name]
        others = sorted(set(store.distinct(directory, name)) - {here})
        if others:
            warnings.warn(
                f"{directory}: holds runs made with {name} {', '.join(others)}, here it is {here}; new runs agree with "
                "them to the tolerance, but not bit for bit",
                stacklevel=3,
            )


def available_cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# --- Costs ---------------------------------------------------------------------------------------------------------


def estimated_flops(spec: RunSpec) -> float:
    """Floating-point operations of a run: gradient evaluations, three products each, and the recorded SVDs.

    The number of evaluations is a rough typical value; it decides batches and the progress bar, never a number.
    """
    d, m = spec.task.dimension, min(spec.initialization.width, 2 * spec.task.dimension)
    evaluations = 200 if spec.dynamics.kind == "flow" else 150
    if spec.dynamics.kind == "gd" and spec.stop.rule == "converged":
        evaluations = 20_000
    # What is not arithmetic (calls, small vectors) is as long as some 10^6 flops; fitted at d = 8 to 400.
    per_evaluation = 6 * m * d**2 + 6e6
    per_snapshot = 50 * d**3 + 5e6
    if spec.record.compare == "self_consistent_euler":
        per_evaluation += 40 * d**3
    if spec.dynamics.kind == "modes":  # nothing is decomposed
        return 10 * d**3 + 1e8
    budget = spec.dynamics.max_steps if spec.dynamics.kind == "gd" else spec.dynamics.max_evaluations
    return min(evaluations, budget) * per_evaluation + 0.7 * spec.record.snapshots * per_snapshot


def estimated_bytes(spec: RunSpec) -> float:
    """Disk space of a run: two float32 lists of every recorded mode at every snapshot, and a row of scalars."""
    modes = min(spec.task.dimension, spec.initialization.width)
    recorded = spec.record.singular_values
    kept = modes if recorded == "all" else min(modes, recorded)
    return 4.0 * (2 * kept + 6) * spec.record.snapshots * 0.7 + 1000


def flops_per_second() -> float:
    """Rate of one core here, from a matrix product of middling size."""
    import numpy as np

    from linphase.threads import one_blas_thread

    a = np.ones((256, 256))
    best = math.inf  # of several: others use the machine too
    with one_blas_thread():
        for _ in range(20):
            began = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - began)
    return 2 * 256**3 / best


def batches(specs: Iterable[RunSpec], seconds: float, rate: float) -> list[tuple[RunSpec, ...]]:
    """Cut a list of runs into batches of about so many seconds; a longer run is a batch of its own."""
    cut: list[tuple[RunSpec, ...]] = []
    batch: list[RunSpec] = []
    filled = 0.0
    for spec in specs:
        cost = estimated_flops(spec) / rate
        if batch and filled + cost > seconds:
            cut.append(tuple(batch))
            batch, filled = [], 0.0
        batch.append(spec)
        filled += cost
    return [*cut, tuple(batch)] if batch else cut


# --- The work ------------------------------------------------------------------------------------------------------


def run_batch(directory: Path, specs: Sequence[RunSpec]) -> list[Row]:
    """Train some runs with one BLAS thread and commit them as one part; a run that raises is a failed attempt."""
    from linphase.running import train_spec
    from linphase.task import draw_task
    from linphase.threads import one_blas_thread

    rows: list[Row] = []
    trajectories: list[Row] = []
    failures: list[Row] = []
    drawn = None
    with one_blas_thread():
        for spec in specs:
            try:
                # A replicate's task is the same in every cell: draw it once.
                identity = (spec.task, spec.run.seed, spec.replicate)
                if drawn is None or drawn[0] != identity:
                    drawn = identity, draw_task(spec.task, seed=spec.run.seed, replicate=spec.replicate)
                run = train_spec(spec, drawn[1])
            except Exception as error:  # noqa: BLE001 - recorded with its traceback; the other runs go on
                failures.append(failure_row(spec, _one_line(error), traceback.format_exc()))
            else:
                rows.append(summary_row(spec, run))
                trajectories.append(store.trajectory_row(spec.run_id, run.trajectory))
    if rows:
        store.write_runs(directory, rows, trajectories)
    for failure in failures:
        store.write_failure(directory, failure)
    return rows + failures


def predicted_runs(configs: Iterable[SweepConfig]) -> "pd.DataFrame":
    """The runs table that theory predicts for the cells of some configurations, not stored anywhere."""
    import pandas as pd

    from linphase.running import train_spec
    from linphase.task import draw_task
    from linphase.threads import one_blas_thread

    draw = lru_cache(maxsize=None)(draw_task)
    specs = {spec.run_id: spec for config in configs for spec in config.predicted().expand()}
    with one_blas_thread():
        rows = [
            summary_row(spec, train_spec(spec, draw(spec.task, seed=spec.run.seed, replicate=spec.replicate)))
            for spec in specs.values()
        ]
    return pd.DataFrame(rows)


def summary_row(spec: RunSpec, run: "TrainedRun") -> Row:
    """One row of the runs table (`linphase columns`)."""
    minimum = run.minimum
    row: Row = {
        **spec.columns(),
        "learning_rate": run.learning_rate,
        "status": run.status,
        "converged": run.converged,
        "regime": run.regimes.get("threshold"),
        "regime_by_balance": run.regimes.get("balance"),
        "regime_by_speedup": run.regimes.get("speedup"),
        "evidence_agreement": run.evidence_agreement,
        "min_test_error": minimum.test_error,
        "time_at_min": minimum.time,
        "step_at_min": minimum.step,
        "iterations_at_min": minimum.time / run.paper_learning_rate,
        "stable_rank_at_min": minimum.stable_rank,
        "rank_at_min": minimum.rank,
        "distance_to_self_consistent": run.distance_to_self_consistent,
        **_observable_columns(run),
        "final_train_error": run.train_error,
        "final_test_error": run.test_error,
        "train_error_floor": run.train_error_floor,
        "final_step": run.updates,
        "final_time": run.time,
        "gradient_evaluations": run.gradient_evaluations,
        "elapsed_s": run.elapsed,
        "numerics_version": spec.canonical()["numerics_version"],
        **versions(),
    }
    for measure, suffix in (("threshold", ""), ("balance", "_by_balance"), ("speedup", "_by_speedup")):
        share = run.order_parameters.get(measure)
        row[f"signal_active{suffix}"] = share.signal_active if share else None
        row[f"bulk_active{suffix}"] = share.bulk_active if share else None
    return row


def _observable_columns(run: "TrainedRun") -> Row:
    """The columns of theory.md section 6; times are medians over the signal modes, never counting as last."""
    ended = run.observables
    names = ("kernel_change", "kernel_distance", "target_alignment", "imbalance", "imbalance_drift",
             "subspace_overlap", "self_consistency_residual")  # fmt: skip
    times = run.trajectory.mode_times
    return {
        **{name: None if ended is None else getattr(ended, name) for name in names},
        "subspace_overlap_at_min": run.minimum.subspace_overlap,
        "crossing_time": _median_time(times.crossing),
        "escape_time": _median_time(times.escape),
        "convergence_time": _median_time(times.convergence),
    }


def _median_time(times: "NDArray[np.floating]") -> float | None:
    """Median over modes, where nan is never; None where that is never."""
    middle = sorted(math.inf if math.isnan(time) else float(time) for time in times)[(len(times) - 1) // 2]
    return middle if math.isfinite(middle) else None


def failure_row(spec: RunSpec, error: str, trace: str) -> Row:
    """One row of the failures table."""
    return {
        **spec.columns(),
        "error": error,
        "traceback": trace,
        "linphase_version": versions()["linphase_version"],
    }


def _one_line(error: BaseException) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


# --- The workers ---------------------------------------------------------------------------------------------------


def _run_all(directory: Path, specs: list[RunSpec], jobs: int, should_stop: Callable[[], bool]) -> Iterator[Row]:
    """Run everything, whatever dies: after a death go on in a fresh pool, the runs that were in flight each alone."""
    rate = flops_per_second()
    total = sum(estimated_flops(spec) for spec in specs) / rate
    todo = deque(batches(specs, min(BATCH_SECONDS, total / (16 * jobs)), rate))
    while todo and not should_stop():
        suspects = yield from _drain(directory, todo, jobs, should_stop)
        yield from _one_by_one(directory, suspects, should_stop)


def _drain(
    directory: Path, todo: deque[tuple[RunSpec, ...]], jobs: int, should_stop: Callable[[], bool]
) -> Generator[Row, None, list[RunSpec]]:
    """Hand out batches until none is left, a stop is asked for or a worker dies; returns the runs then in flight."""
    flying: dict[Future[list[Row]], tuple[RunSpec, ...]] = {}
    deadline = None
    with _workers(min(jobs, len(todo))) as pool:
        try:
            while todo or flying:
                if deadline is None and should_stop():
                    deadline = time.monotonic() + PATIENCE
                if deadline is not None and (not flying or time.monotonic() > deadline):
                    break
                # One batch waiting per worker, so that none is idle between two.
                while deadline is None and todo and len(flying) < 2 * jobs:
                    flying[pool.submit(run_batch, directory, todo[0])] = todo[0]
                    todo.popleft()
                done, _ = wait(flying, timeout=_POLL, return_when=FIRST_COMPLETED)
                for future in done:
                    rows = future.result()
                    del flying[future]
                    yield from rows
        except BrokenProcessPool:
            return [spec for batch in flying.values() for spec in batch]
    return []


def _one_by_one(directory: Path, specs: list[RunSpec], should_stop: Callable[[], bool]) -> Iterator[Row]:
    """Run suspects of a worker's death, each alone; one whose worker dies twice has failed."""
    todo = deque(specs)
    deaths: Counter[str] = Counter()
    while todo and not should_stop():
        committed = _committed(directory, todo)
        yield from committed.values()
        todo = deque(spec for spec in todo if spec.run_id not in committed)
        if not todo:
            return
        with _workers(1) as pool:
            try:
                while todo and not should_stop():
                    future = pool.submit(run_batch, directory, (todo[0],))
                    while not wait([future], timeout=_POLL).done and not should_stop():
                        pass
                    if future.done():
                        yield from future.result()
                        todo.popleft()
            except BrokenProcessPool as error:
                suspect = todo[0]
                deaths[suspect.run_id] += 1
                if deaths[suspect.run_id] == _STRIKES:
                    row = failure_row(suspect, f"the worker died, {_exit_code(error)}", "")
                    store.write_failure(directory, row)
                    todo.popleft()
                    yield row


def _committed(directory: Path, specs: Iterable[RunSpec]) -> dict[str, Row]:
    """The rows that a worker committed before it died, by run id."""
    ids = {spec.run_id for spec in specs}
    if not ids & store.finished_ids(directory):
        return {}
    runs = store.load(directory).runs
    rows = runs[runs["run_id"].isin(ids) & (runs["status"] != "failed")].to_dict("records")
    return {row["run_id"]: {str(name): value for name, value in row.items()} for row in rows}


@contextmanager
def _workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes with one BLAS thread each, killed at once where the block is left before they are idle."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    pool = ProcessPoolExecutor(count, env=threads, initializer=_begin_worker, initargs=(os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _begin_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone, even in the middle of a run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _exit_code(error: BrokenProcessPool) -> str:
    """What the pool knows of a death, such as SIGKILL(-9): out of memory, most often."""
    found = re.search(r"exit codes? of the workers? (?:are|is) \{(.*?)\}", str(error))
    return f"exit code {found[1]}" if found else _one_line(error)

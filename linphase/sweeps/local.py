"""Worker processes on this machine.

They are joblib's (loky), driven through their executor interface rather than through `joblib.Parallel`: Parallel ends
the whole call when one worker dies and does not say which runs it took along, and runs n_jobs = 1 in the parent.
"""

import faulthandler
import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from pathlib import Path
from typing import Self
from weakref import WeakSet

from linphase.errors import LinphaseError, shortage
from linphase.sweeps.batch import Assignment, Batch, one_line, run_batch
from linphase.sweeps.leftovers import Scratch

with warnings.catch_warnings(action="ignore"):  # that there are no semaphores: told below, where they are needed
    import joblib

try:  # no public API: a later joblib may not have it
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.backend import resource_tracker as loky_resource_tracker
except ImportError:
    ProcessPoolExecutor = None


class NoWorkers:
    """This process itself, for a sweep that would be over before a worker is there."""

    deaths: tuple[type[BaseException], ...] = ()
    strikes = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def capacity(self) -> int:
        return 1

    def submit(self, directory: Path, assignment: Assignment) -> "Future[Batch]":
        """Run a batch, now."""
        future: Future[Batch] = Future()
        try:
            future.set_result(run_batch(directory, assignment))
        except Exception as error:  # noqa: BLE001 - raised again by whoever asks for the result
            future.set_exception(error)
        return future

    def died(self, error: BaseException) -> tuple[str, str]:
        raise error


class LocalWorkers:
    """Processes with one BLAS thread each. The death of one ends all of them; they are then started anew.

    Where none can be started, a warning says why, and `with` gives `NoWorkers`. Raises LinphaseError where joblib has
    no loky of the form that is used here.
    """

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)
    strikes = 2  # a run whose worker dies this often, alone, has failed

    def __init__(self, count: int) -> None:
        if ProcessPoolExecutor is None:
            raise LinphaseError(
                "joblib: joblib.externals.loky is required for worker processes, found joblib "
                f"{joblib.__version__} without it. joblib 1.4 to 1.6 have it: pip install 'joblib>=1.4,<1.7'"
            )
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self._deaths: WeakSet[BaseException] = WeakSet()  # that are known; all batches taken along tell of the same
        self._crashes = Scratch()  # where the interpreter writes when it crashes

    def __enter__(self) -> "LocalWorkers | NoWorkers":
        self._crashes.__enter__()
        try:
            self._pool = self._begin()
            self._pool.submit(os.getpid).result()
        except (OSError, MemoryError, RuntimeError) as error:
            if not isinstance(error, OSError | BrokenProcessPool) and shortage(error) is None:
                raise
            warnings.warn(
                f"worker processes cannot be started: {one_line(error)}. They need semaphores (/dev/shm), open files, "
                "processes and memory. This process trains alone now, which takes longer",
                stacklevel=3,
            )
            self.__exit__()
            return NoWorkers()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._crashes.__exit__()

    def capacity(self) -> int:
        """Workers that are there, or will be."""
        return self._count

    def submit(self, directory: Path, assignment: Assignment) -> "Future[Batch]":
        """Have some worker run a batch."""
        for _ in range(3):
            try:
                pool = self._pool = self._pool or self._begin()
                with _without_ctrl_c():  # workers that have ended meanwhile are started here
                    future: Future[Batch] = pool.submit(run_batch, directory, assignment)
            except BrokenProcessPool as error:  # a worker died, and no batch has told of it yet
                self._end_after(error)
            else:
                return future
        death = BrokenProcessPool("workers die as soon as they are started")
        self._deaths.add(death)
        lost: Future[Batch] = Future()
        lost.set_exception(death)
        return lost

    def died(self, error: BaseException) -> tuple[str, str]:
        """What is known of a death: one line, and the traceback where the interpreter could write it."""
        self._end_after(error)
        found = re.search(r"exit codes? of the workers? (?:are|is) \{(.*?)\}", str(error))
        traces = self._crashes.traces()
        line = f"the worker died, {f'exit code {found[1]}' if found else one_line(error)}"
        return line, "\n".join(trace for trace in traces if trace) or (
            "none: the process was ended from outside, most often by the system for want of memory. "
            "Fewer workers (--jobs) leave more to each"
        )

    def _begin(self) -> ProcessPoolExecutor:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        arguments = os.getpid(), self._crashes.path
        if hasattr(os, "fork"):
            get_context("fork").Lock()  # raises OSError where there are no semaphores, before anything is started
        for tracker in (resource_tracker, loky_resource_tracker):
            tracker.ensure_running()  # now, as starting one lets Ctrl-C through again
        self._crashes.expect_semaphores()
        pool = ProcessPoolExecutor(self._count, env=threads, initializer=_begin_worker, initargs=arguments)
        with _without_ctrl_c():
            pool.submit(os.getpid)  # starts the workers
        self._crashes.name_semaphores()
        return pool

    def _end_after(self, death: BaseException) -> None:
        """End the workers once for a death: those that were started after it are alive, and at work."""
        if death not in self._deaths:
            self._deaths.add(death)
            self._end()

    def _end(self) -> None:
        """Kill the workers, whatever they are at."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.shutdown(wait=True, kill_workers=True)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that leave Ctrl-C to this one from their first moment; here it waits until the end of this."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(parent: int, crashes: Path | None) -> None:
    """Leave Ctrl-C to the parent, end when it is gone, even in the middle of a run, and leave a trace of a crash.

    SLURM sends its signals to every process of a task, and it is the parent that knows what to do then, too.
    """
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    warnings.filterwarnings("ignore", category=UserWarning)  # of damaged parts, which the parent tells once
    if crashes is not None:
        with suppress(OSError):  # no room: then a crash leaves no trace
            faulthandler.enable((crashes / str(os.getpid())).open("w"), all_threads=False)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""The workers of a dask.distributed cluster: they come and go, and each commits its own results."""

import importlib
import ipaddress
import logging
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from linphase import __version__
from linphase.errors import ConfigError, LinphaseError
from linphase.sweeps.batch import Assignment, Batch, run_batch

CONNECT_SECONDS = 10.0  # after which a scheduler counts as not there
_PATIENCE = 10.0  # seconds without a worker before that is said
_LOOK = 1.0  # seconds between two looks at how many workers there are
_LOGGERS = (
    "distributed.client",
    "distributed.comm",
    "distributed.core",
    "distributed.batched",
    "tornado.application",
    "asyncio",
)
_ONE_AT_A_TIME = threading.Lock()  # a Dask worker may have many threads, and BLAS threads are set for a whole process


class DaskWorkers:
    """Workers behind a scheduler's address. Dask gives the batch of a dead worker to another one by itself."""

    deaths: tuple[type[BaseException], ...]
    strikes = 1  # Dask itself tries several times

    def __init__(self, address: str) -> None:
        check_address(address)
        self._address = address
        self._workers = 0
        self._looked = -_LOOK
        self._lonely: float | None = time.monotonic()  # since when there is no worker; None once that was said

    def __enter__(self) -> Self:
        distributed = _distributed()
        self.deaths = (distributed.KilledWorker,)
        for name in _LOGGERS:  # what matters is said here, once
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # A client that could not connect would wait for its scheduler once more when it is collected.
        Client = type("Client", (distributed.Client,), {"__del__": lambda _: None})
        try:
            self._client = Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # whatever answers there may be something else
            raise LinphaseError(
                f"--scheduler: a Dask scheduler is required at {self._address}, none was reached: {_one_line(error)}. "
                "Start one with `dask scheduler`, or mend the address"
            ) from error
        # Dask would know the same batch again and answer with the death that it is to be tried again after.
        self._executor = self._client.get_executor(pure=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what is not done; what a worker is at, it may finish and commit."""
        self._client.close(timeout=2)

    def capacity(self) -> int:
        """Workers that are there at this moment; one where there is none, as adaptive clusters start them for tasks."""
        if time.monotonic() - self._looked > _LOOK:
            self._workers = self._count()
            self._looked = time.monotonic()
            self._say_if_lonely()
        return max(1, self._workers)

    def submit(self, directory: Path, assignment: Assignment) -> "Future[Batch]":
        """Have some worker run a batch."""
        future: Future[Batch] = Future()
        where = (run_on_worker.__module__, run_on_worker.__qualname__)
        inner = self._executor.submit(_of_one_version(), where, str(directory.resolve()), assignment)
        inner.add_done_callback(lambda done: _pass_on(done, future, self._address))
        return future

    def died(self, error: BaseException) -> tuple[str, str]:
        """What Dask knows of the deaths."""
        return f"the Dask workers died on it, one after the other: {_one_line(error)}", "none: see the workers' logs"

    def _count(self) -> int:
        try:
            return len(self._client.nthreads())
        except Exception as error:
            raise _lost(self._address) from error

    def _say_if_lonely(self) -> None:
        if self._workers:
            self._lonely = time.monotonic()
        elif self._lonely is not None and time.monotonic() - self._lonely > _PATIENCE:
            self._lonely = None
            warnings.warn(
                f"--scheduler: {self._address} has no workers; waiting for some. `dask worker {self._address} "
                "--nthreads 1` starts one, Ctrl-C stops the sweep",
                stacklevel=2,
            )


def _of_one_version() -> Callable[[tuple[str, str], str, Assignment], Batch | str]:
    """What a worker does with a batch: have a function of its own linphase run it, if that is this version.

    A function of a module travels by its name, and each worker finds its own version's. One made inside a function
    travels as code, the same for all, and asks nothing of their linphase but the version (so the quoted annotations:
    these would travel as names, too).
    """
    here = __version__

    def run(where: tuple[str, str], directory: str, assignment: "Assignment") -> "Batch | str":
        """The batch done, or in words where another version is."""
        version = importlib.import_module("linphase").__version__
        if version != here:
            return f"{version} on {importlib.import_module('distributed').get_worker().address}"
        module, name = where
        done: Batch = getattr(importlib.import_module(module), name)(directory, assignment)
        return done

    return run


def run_on_worker(directory: str, assignment: Assignment) -> Batch:
    """`run_batch` on a worker of a cluster."""
    if not Path(directory, "runs").is_dir():
        raise LinphaseError(
            f"{directory}: must be on a file system that all Dask workers see, found a worker that does not. "
            "Give a shared directory with --out"
        )
    with _ONE_AT_A_TIME:
        return run_batch(Path(directory), assignment)


def check_address(address: str) -> None:
    """Refuse what is no address of a scheduler, and warn of one that anybody on the network may talk to."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("tcp", "tls") or not host or not port:
        raise ConfigError(f"--scheduler: tcp://HOST:PORT or tls://HOST:PORT is required, found {address!r}")
    if parts.scheme == "tcp" and not _is_loopback(host):
        warnings.warn(
            f"--scheduler: {address} is neither encrypted nor authenticated, and Dask runs what the network sends it. "
            "On a network that others use, take tls:// (docs/clusters.md)",
            stacklevel=2,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "--scheduler: the package distributed is required, found none. pip install 'linphase[dask]'"
        ) from error
    return distributed


def _pass_on(done: "Future[Batch | str]", future: "Future[Batch]", address: str) -> None:
    """Give a result on; a batch that the cluster has forgotten is a cluster that is gone."""
    try:
        error = done.exception()
    except CancelledError:
        error = _lost(address)
    if isinstance(error, CancelledError):
        error = _lost(address)
    if isinstance(error, ImportError) or (error is not None and "deserializ" in str(error)):
        error = LinphaseError(
            f"--scheduler: the scheduler and all workers at {address} must have this linphase, found one that has not: "
            f"{_one_line(error)}. Install linphase {__version__} in their environments"
        )
    answer = done.result() if error is None else None
    if isinstance(answer, str):
        error = LinphaseError(
            f"--scheduler: linphase {__version__} is required on all workers of {address}, as here, found {answer}. "
            f"Install linphase {__version__} there, start its workers again, and run the same again; all finished runs "
            "are kept"
        )
    if isinstance(answer, Batch):
        future.set_result(answer)
    elif error is not None:
        future.set_exception(error)


def _lost(address: str) -> LinphaseError:
    return LinphaseError(
        f"--scheduler: the Dask scheduler at {address} is gone. All finished runs are kept; start one and run the "
        "same again"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

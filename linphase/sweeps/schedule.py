"""Batches handed out to workers until every run is done, whatever dies and whoever else works at the same runs."""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from math import inf
from pathlib import Path
from typing import Protocol

from linphase.runs.spec import RunSpec
from linphase.store.reading import Ids
from linphase.store.results import load
from linphase.store.rows import Row, failure_row
from linphase.store.writing import write_failures
from linphase.sweeps.batch import Assignment, Batch
from linphase.sweeps.claims import Claims

GRACE = 60.0  # seconds without news after which runs that another living sweep has claimed are trained all the same
_POLL = 0.2  # seconds between two looks at whether to stop


class Workers(Protocol):
    """Where batches are run: `linphase.sweeps.local`, `linphase.sweeps.dask`."""

    deaths: tuple[type[BaseException], ...]  # what the future of a batch raises when its worker died, or another's
    strikes: int  # deaths of its worker, alone, after which a run has failed

    def capacity(self) -> int:
        """Workers to find work for at this moment."""
        ...

    def submit(self, directory: Path, assignment: Assignment) -> "Future[Batch]":
        """Have some worker run a batch."""
        ...

    def died(self, error: BaseException) -> tuple[str, str]:
        """What is known of a death, as error and traceback of a failure; from then on submit works again."""
        ...


class Work:
    """The runs that are left, in batches; other sweeps may work at the same ones."""

    def __init__(
        self,
        directory: Path,
        batches: Iterable[tuple[RunSpec, ...]],
        claims: Claims,
        grace: float,
        observables: Collection[str] = (),
    ) -> None:
        self._todo = deque(batches)
        self._claims, self._grace = claims, grace
        self._finished, self._failed = Ids(directory, observables=observables), Ids(directory, failed=True)
        self._failed_before = frozenset(self._failed.now())
        self._held: dict[str, RunSpec] = {}  # runs that others have in hand
        self._news = time.monotonic()  # when one of them was last done
        self.elsewhere = 0  # runs that others have done

    def is_done(self) -> bool:
        """Whether nothing is left to hand out."""
        return not self._todo and not self._held

    def next(self) -> tuple[RunSpec, ...]:
        """The next runs, now claimed; none where others have all that is left in hand."""
        if not self._todo:
            self._look_again()
        while self._todo:
            left = self._unsettled(self._todo.popleft())
            taken = self._claims.of_others(left)
            if taken and not self._held:
                self._news = time.monotonic()
            self._held.update((run_id, left[run_id]) for run_id in taken)
            free = {run_id: spec for run_id, spec in left.items() if run_id not in taken}
            if free:
                self._claims.add(free)
                return tuple(free.values())
        return ()

    def _unsettled(self, specs: Iterable[RunSpec]) -> dict[str, RunSpec]:
        finished, failed = self._finished.now(), self._failed.now() - self._failed_before
        named = {spec.run_id: spec for spec in specs}
        left = {run_id: spec for run_id, spec in named.items() if run_id not in finished and run_id not in failed}
        self.elsewhere += len(named) - len(left)
        return left

    def _look_again(self) -> None:
        """Of the runs in other hands, forget those that are done, and take back those let go or held in silence."""
        if not self._held:
            return
        left = self._unsettled(self._held.values())
        if len(left) < len(self._held):
            self._news = time.monotonic()
        taken = self._claims.of_others(left)
        if time.monotonic() - self._news > self._grace:
            taken = set()
            self._claims.ignore_others()
        self._held = {run_id: left[run_id] for run_id in taken}
        free = tuple(spec for run_id, spec in left.items() if run_id not in taken)
        # One by one, as others may take them back at the same moment.
        self._todo.extend((spec,) for spec in free)


class Flight:
    """What is in the hands of workers."""

    def __init__(
        self,
        directory: Path,
        config: str,  # the digest of the sweep's configuration
        workers: Workers,
        work: Work,
        assign: Callable[[Iterable[RunSpec]], Assignment],
    ) -> None:
        self._config = config
        self._directory, self._workers, self._work, self._assign = directory, workers, work, assign
        self._flying: dict[Future[Batch], tuple[RunSpec, ...]] = {}
        self._suspects: deque[RunSpec] = deque()  # in flight when a worker died: run again, each alone
        self._alone = False  # whether a suspect is, or is to be, in flight
        self._deaths: Counter[str] = Counter()
        self.landed: Callable[[float], None] = lambda seconds: None  # called with what each batch took
        self.twice = 0  # runs trained here and at the same time elsewhere

    def rows(self, time_left: Callable[[], float]) -> Iterator[Row]:
        """The rows of all runs as they are committed; ends when nothing is left to do, or no time.

        As long as time_left() is infinite work is handed out, then only what is in flight is waited for.
        """
        while True:
            left = time_left()
            if left == inf:
                self._hand_out()
            if not self._flying and (left < inf or (not self._suspects and self._work.is_done())):
                return
            if left <= 0:
                return
            if not self._flying:
                time.sleep(_POLL)
            for future in wait(self._flying, timeout=_POLL, return_when=FIRST_COMPLETED).done:
                yield from self._landed(future, self._flying.pop(future))

    def _hand_out(self) -> None:
        if self._alone and self._flying:
            return
        self._alone = bool(self._suspects)
        if self._alone:
            if not self._flying:
                self._send((self._suspects.popleft(),))
            return
        room = 2 * self._workers.capacity()  # one batch waiting per worker, so that none is idle between two
        while len(self._flying) < room:
            specs = self._work.next()
            if not specs:
                return
            self._send(specs)

    def _send(self, specs: tuple[RunSpec, ...]) -> None:
        self._flying[self._workers.submit(self._directory, self._assign(specs))] = specs

    def _landed(self, future: "Future[Batch]", specs: tuple[RunSpec, ...]) -> Iterator[Row]:
        try:
            batch = future.result()
        except self._workers.deaths as error:
            line, trace = self._workers.died(error)
            yield from self._died(specs, line, trace)
        else:
            self.twice += len(batch.twice)
            self.landed(batch.seconds)
            yield from batch.rows
            if batch.skipped:
                yield from stored_rows(self._directory, batch.skipped)

    def _died(self, specs: tuple[RunSpec, ...], line: str, trace: str) -> Iterator[Row]:
        """Run what was in flight again, each alone; one that was alone, and whose worker dies again, has failed."""
        for spec in specs:
            if len(specs) == 1 and spec.run_id in self._deaths:
                self._deaths[spec.run_id] += 1
            else:
                self._deaths[spec.run_id] = 0  # it may have been another one's fault
            if self._deaths[spec.run_id] >= self._workers.strikes:
                row = failure_row(spec, line, trace)
                write_failures(self._directory, [row], config=self._config)
                yield row
            else:
                self._suspects.append(spec)


def stored_rows(directory: Path, ids: Iterable[str]) -> list[Row]:
    """The rows of finished runs, read from the disk: their worker died, or was out of reach, before it could answer."""
    runs = load(directory).runs
    rows = runs[runs["run_id"].isin(set(ids)) & (runs["status"] != "failed")].to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]

"""How far a sweep is, and the signals that ask it to stop."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from linphase.cli.output import console, duration, echo

LOG_SECONDS = 10.0  # between two progress lines where there is no terminal

_USR1 = getattr(signal, "SIGUSR1", None)  # SLURM's warning before a time limit; not on Windows

_PATIENCE, _PATIENCE_WARNED = 5, 75  # seconds for runs in flight: asked to stop, and warned by USR1 of a time limit


class _Received:
    """What SIGINT, SIGTERM and SIGUSR1 ask for: a stop soon; after SIGINT or SIGTERM another one stops at once."""

    signal: int | None = None
    deadline = inf

    def time_left(self) -> float:
        """Seconds for runs in flight; infinite where nobody asked for a stop."""
        return self.deadline - time.monotonic()

    def handle(self, number: int, _: Any) -> None:
        # USR1 comes long before SLURM's time limit and leaves time; TERM may come at the same moment and does not.
        if number != _USR1 and self.signal not in (None, _USR1):
            echo("Stopped. All finished runs are kept; to go on, run the same again.", err=True)
            raise SystemExit(128 + number)
        patience = _PATIENCE_WARNED if number == _USR1 else _PATIENCE
        if time.monotonic() + patience < self.deadline:
            self.deadline = time.monotonic() + patience
            once_more = "" if number == _USR1 else "; once more stops at once"
            echo(f"Stopping: waiting up to {patience} s for runs in flight{once_more}.", err=True)
        if number != _USR1 or self.signal is None:
            self.signal = number


@contextmanager
def _stop_signals() -> Iterator[_Received]:
    received = _Received()
    numbers = [signal.SIGINT, signal.SIGTERM, *([] if _USR1 is None else [_USR1])]
    before = {number: signal.signal(number, received.handle) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(
    costs: Mapping[str, float], total: int, out: Path, named: str = ""
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar with an ETA on a terminal, else a line now and then; yields what to call with each row.

    costs: the estimated cost of every run that is not done, by its id. total: how many there are, done or not. named:
    the level of refinement that they are of.
    """
    of_level = f"{named}: " if named else ""
    if done := total - len(costs):
        echo(f"{of_level}{done} of {total} runs are in {out} already")
    clock = _Clock(sum(costs.values()))
    if sys.stdout.isatty():
        with _progress_bar(costs, done, clock, of_level) as advance:
            yield advance
    else:
        yield _progress_lines(costs, done, clock, of_level)


class _Clock:
    """The time left, from the estimated cost of the runs done and of those to do."""

    def __init__(self, flops: float) -> None:
        self.began, self.flops, self.done = time.monotonic(), flops, 0.0

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def eta(self) -> str:
        if not self.done:
            return "?"
        return duration(max(0.0, self.elapsed() * (self.flops / self.done - 1)))


@contextmanager
def _progress_bar(
    costs: Mapping[str, float], done: int, clock: _Clock, of_level: str
) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    text = Column(no_wrap=True)
    columns = [
        TextColumn(of_level + "{task.completed}/{task.total} runs", table_column=text),
        TextColumn("ETA {task.fields[eta]}", table_column=text),
    ]
    if console().width >= 60:
        columns.insert(1, BarColumn())  # type: ignore[arg-type]
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task("training", total=done + len(costs), completed=done, eta="?")

        def advance(row: dict[str, Any]) -> None:
            clock.done += costs.get(row["run_id"], 0.0)
            progress.update(task, advance=1, eta=clock.eta())

        yield advance


def _progress_lines(
    costs: Mapping[str, float], done: int, clock: _Clock, of_level: str
) -> Callable[[dict[str, Any]], None]:
    count, printed, total = done, 0.0, done + len(costs)

    def advance(row: dict[str, Any]) -> None:
        nonlocal count, printed
        count += 1
        clock.done += costs.get(row["run_id"], 0.0)
        if clock.elapsed() - printed >= LOG_SECONDS or count == total:
            printed = clock.elapsed()
            echo(f"{of_level}{count}/{total} runs, elapsed {duration(printed)}, ETA {clock.eta()}")

    return advance

"""How far a sweep is, and the signals that ask it to stop."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linphase.cli.output import console, duration, echo

if TYPE_CHECKING:
    from linphase.sweeps.forecast import Forecast

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
    forecast: "Forecast", done: int, total: int, out: Path, named: str = ""
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar with an ETA on a terminal, else a line now and then; yields what to call with each row.

    total: how many runs there are, of which so many are done. named: the level of refinement that they are of.
    """
    of_level = f"{named}: " if named else ""
    if done:
        echo(f"{of_level}{done} of {total} runs are in {out} already")
    if sys.stdout.isatty():
        with _progress_bar(forecast, done, total, of_level) as advance:
            yield advance
    else:
        yield _progress_lines(forecast, done, total, of_level)


@contextmanager
def _progress_bar(
    forecast: "Forecast", done: int, total: int, of_level: str
) -> Iterator[Callable[[dict[str, Any]], None]]:
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5  # seconds

        def render(self, task: Task) -> Text:
            return Text(f"ETA {duration(forecast.seconds())}")

    text = Column(no_wrap=True)
    columns: list[ProgressColumn] = [
        TextColumn(of_level + "{task.completed}/{task.total} runs", table_column=text),
        TimeLeft(table_column=text),
    ]
    if console().width >= 60:
        columns.insert(1, BarColumn())
    with Progress(*columns, console=console()) as progress:
        task = progress.add_task("training", total=total, completed=done)

        def advance(row: dict[str, Any]) -> None:
            _note(forecast, row)
            progress.update(task, advance=1)

        yield advance


def _progress_lines(forecast: "Forecast", done: int, total: int, of_level: str) -> Callable[[dict[str, Any]], None]:
    count, printed, began = done, 0.0, time.monotonic()

    def advance(row: dict[str, Any]) -> None:
        nonlocal count, printed
        count += 1
        _note(forecast, row)
        elapsed = time.monotonic() - began
        if elapsed - printed >= LOG_SECONDS or count == total:
            printed = elapsed
            echo(f"{of_level}{count}/{total} runs, elapsed {duration(elapsed)}, ETA {duration(forecast.seconds())}")

    return advance


def _note(forecast: "Forecast", row: dict[str, Any]) -> None:
    seconds = row.get("elapsed_s")
    forecast.done(row["run_id"], nan if seconds is None else float(seconds))

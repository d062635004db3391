"""What commands print and write."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from linphase import __version__
from linphase.errors import ConfigError
from linphase.files import whole
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

    from linphase.store.results import Results


def visibly(text: str) -> str:
    """Text of files and names: control characters, which a terminal would obey, as they are written in code."""
    told = (each if each == "\n" or each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return "".join(told)


class _Heard:
    """Standard output whose reader may leave, or whose disk may be full: that is told once, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._leave(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        silence(self._stream)
        click.echo(f"warning: standard output cannot be written ({error.strerror}); the work goes on", err=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def unheard() -> Iterator[None]:
    """What is printed may find no reader: a closed pipe or a full disk there must not stop the work."""
    stream = sys.stdout
    sys.stdout = _Heard(stream)
    try:
        yield
    finally:
        sys.stdout = stream


def silence(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere: what waits in its buffer cannot fail again at the end."""
    with suppress(OSError, ValueError):  # a stream without a descriptor, as in a notebook
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def console() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count_table(runs: "pd.DataFrame", outcome: "pd.Series[str]") -> "Table":
    """How many runs ended in which regime and status."""
    import pandas as pd
    from rich.table import Table

    from linphase.diagram.outcomes import OUTCOMES
    from linphase.runs.records import STATUSES

    counts = pd.crosstab(outcome, runs["status"])
    statuses = [status for status in STATUSES if status in counts.columns]
    table = Table("regime", *statuses, "runs", title=f"{len(runs)} runs by regime and status", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in OUTCOMES:
        if name in counts.index:
            row = [int(((outcome == name) & (runs["status"] == status)).sum()) for status in statuses]
            table.add_row(name, *(str(count or "") for count in row), str(sum(row)))
    return table


def save_figure(figure: "Figure", file: Path, results: "Results", title: str, cuts: Cuts) -> None:
    """Save with what the figure was made from in its metadata, and say where that is an older linphase's."""
    from linphase.config.config import parse_config
    from linphase.figures.style import save
    from linphase.runs.spec import NUMERICS_VERSION

    versions = results.runs["numerics_version"].dropna().astype(int)
    if (others := versions[versions != NUMERICS_VERSION]).size:
        found = ", ".join(map(str, sorted(others.unique())))
        click.echo(
            f"warning: {others.size} of {len(results.runs)} runs in this figure were made with numerics version "
            f"{found}, this linphase's is {NUMERICS_VERSION}: its own numbers differ within the tolerance. To have "
            "them, sweep into another directory",
            err=True,
        )
    metadata = {
        "Title": f"linphase: {title} of {results.path.name}",
        "Classified": ", ".join(f"{name} {value}" for name, value in vars(cuts).items()),
        "Config": ", ".join(parse_config(config, stored=True).digest for config in results.configs),
        "Version": f"linphase {__version__}",
        "Numerics": ", ".join(map(str, sorted(versions.unique()))),
    }
    save(figure, file, metadata)


def check_figure(file: Path) -> None:
    """Refuse what no figure can be written to, before the work and not after."""
    from linphase.figures.style import check_format

    check_format(file)
    check_directory(file)


def check_directory(file: Path) -> None:
    """Refuse a file in a directory that is not there."""
    if not file.parent.is_dir():
        raise ConfigError(f"-o: an existing directory is required, found {str(file.parent)!r}. Make it first")


def check_csv(file: Path) -> None:
    """Refuse a name that is not a CSV file's."""
    if file.suffix != ".csv":
        raise ConfigError(f"-o: a file name ending in .csv is required, found {str(file)!r}")


def write_csv(table: "pd.DataFrame", file: Path) -> None:
    """Write a table whole or not at all."""
    check_csv(file)
    with whole(file) as draft:
        table.to_csv(draft, index=False)

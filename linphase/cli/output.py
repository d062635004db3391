"""What commands print and write."""

import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper, UnsupportedOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from linphase import __version__
from linphase.errors import ConfigError, LinphaseError, Unavailable, shortage
from linphase.files import printable, whole
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table
    from rich.text import Text

    from linphase.store.columns import Column
    from linphase.store.results import Results


def visibly(text: str) -> str:
    """Text with what a terminal would obey (control characters, turns of the direction) as it is written in code.

    Lines end where the message ends them: a line end within a name on the command line is shown as such, too.
    """
    context = click.get_current_context(silent=True)
    for name in () if context is None else context.meta.get(_BROKEN_NAMES, ()):
        text = text.replace(name, printable(name))
    return "".join(each if each in "\n\t" or each.isprintable() else printable(each) for each in text)


_BROKEN_NAMES = f"{__name__}.broken_names"


def remember_names(context: click.Context) -> None:
    """Keep the words of the command line that a line end breaks, for `visibly`: whole and as parts of paths."""
    words = (part for each in context.args for part in re.split("[/=]", each))
    context.meta[_BROKEN_NAMES] = [word for word in words if len(word.splitlines()) > 1 or word.endswith("\n")]


_QUIET = f"{__name__}.quiet"


def be_quiet(context: click.Context) -> None:
    """Print nothing more on standard output but what `echo_exactly` prints."""
    context.meta[_QUIET] = True


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and _QUIET in context.meta


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a message or a table as text, visibly: every command's only way to do so; `console` is the other one."""
    if _is_quiet() and not err:
        return
    try:
        click.echo(visibly(str(text)), err=err)
    except OSError:
        if not err:
            raise
        silence(sys.stderr)  # nobody is left to be told, and the work goes on


def echo_exactly(text: str) -> None:
    """Print a text that is to be run or kept: where no terminal shows it, to the last byte."""
    click.echo(visibly(text) if sys.stdout.isatty() else text.encode("utf-8", "surrogateescape"), nl=False)


def echo_diagram(text: str) -> None:
    """Print what `terminal_diagram` has drawn, which holds the codes of its colours and no others."""
    click.echo(text)


def echo_row(cells: Iterable[object]) -> None:
    """Print a line of a table whose columns are separated by tabs; a tab or line end within a cell is escaped."""
    click.echo("\t".join(printable(str(cell)) for cell in cells))


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
        echo(f"warning: standard output cannot be written ({error.strerror}); the work goes on", err=True)

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


@contextmanager
def environment_told() -> Iterator[None]:
    """Have told as a message what the system is short of, or does not allow; a defect of ours keeps its traceback."""
    try:
        yield
    except LinphaseError:
        raise
    except Exception as error:
        if (told := _told(error)) is None:
            raise
        raise told from error


# Of a file that has a name: what its user can mend, and no defect of ours.
_MISTAKES = {
    errno.ENAMETOOLONG: "Give a shorter name",
    errno.ELOOP: "Its links lead in a circle: mend them, or choose another place",
    errno.EACCES: "Give yourself the right to it, or choose another place",
    errno.EPERM: "Give yourself the right to it, or choose another place",
    errno.EROFS: "Choose another place",
}


def _told(error: Exception) -> LinphaseError | None:
    if not isinstance(error, OSError) or error.filename is None:
        if isinstance(error, BrokenPipeError):  # the reader has left, which is click's to end quietly
            return None
        if isinstance(error, OSError) and not _can_be_written(sys.stdout):
            silence(sys.stdout)
            return Unavailable(f"standard output cannot be written: {error.strerror}")
        return None if (lacking := shortage(error)) is None else Unavailable(lacking)
    if (lacking := shortage(error)) is not None:
        return Unavailable(f"{error.filename}: {lacking}")
    if error.errno in _MISTAKES:
        return LinphaseError(f"{error.filename}: {error.strerror}. {_MISTAKES[error.errno]}")
    return None


def _can_be_written(stream: TextIO) -> bool:
    """Whether what waits in the buffer of a stream can leave it, and more after it."""
    try:
        stream.flush()
        os.write(stream.fileno(), b"")
    except UnsupportedOperation:  # a stream without a descriptor, as in a notebook
        return True
    except OSError:
        return False
    return True


def silence(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere: what waits in its buffer cannot fail again at the end."""
    with suppress(OSError, ValueError):  # a stream without a descriptor, as in a notebook
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def console() -> Any:
    """Where tables are printed; text in them is text, no markup, and shown visibly."""
    from rich.console import Console

    class Visible(Console):
        def render_str(self, text: str, **options: Any) -> "Text":
            return super().render_str(visibly(text), **options)

    return Visible(
        highlight=False, markup=False, emoji=False, quiet=_is_quiet(), width=None if sys.stdout.isatty() else 160
    )


def open_streams() -> None:
    """Have standard input, output and error, whatever is closed: else a file opened later would take their place.

    What is printed into a closed standard output fails as it would into one that cannot be written.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free: this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what an encoding lacks, as σ in ASCII


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


def save_figure(
    figure: "Figure", file: Path, results: "Results", title: str, cuts: Cuts, against: "Results | None" = None
) -> None:
    """Save with what the figure was made from in its metadata, and say where that is an older linphase's."""
    import pandas as pd

    from linphase.config.config import parse_config
    from linphase.figures.style import save
    from linphase.runs.spec import NUMERICS_VERSION

    sources = [each for each in (results, against) if each is not None]
    versions = pd.concat([each.runs["numerics_version"] for each in sources]).dropna().astype(int)
    if (others := versions[versions != NUMERICS_VERSION]).size:
        found = ", ".join(map(str, sorted(others.unique())))
        echo(
            f"warning: {others.size} of {versions.size} runs in this figure were made with numerics version "
            f"{found}, this linphase's is {NUMERICS_VERSION}: its own numbers differ within the tolerance. To have "
            "them, sweep into another directory",
            err=True,
        )
    metadata = {
        "Title": f"linphase: {title} of {printable(results.path.name)}",
        "Classified": ", ".join(f"{name} {value}" for name, value in vars(cuts).items()),
        "Config": ", ".join(parse_config(each, stored=True).digest for source in sources for each in source.configs),
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


def write_parquet(table: "pd.DataFrame", columns: "Mapping[str, Column]", file: Path) -> None:
    """Write a table whole or not at all, with the types of its columns, and what each means as metadata."""
    import pyarrow.parquet as pq

    from linphase.store.tables import arrow_of

    with whole(file) as draft:
        pq.write_table(arrow_of(table, columns), draft)

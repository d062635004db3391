"""The command line: parses, calls the library, prints. The only place that prints, draws a progress bar or exits."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from linphase import __version__
from linphase.cli import boundary, documents, filling, listing, plots, single, start, submission, upkeep
from linphase.cli.output import echo, environment_told, open_streams, remember_names, visibly
from linphase.errors import LinphaseError, Note

__all__ = ["main"]


class _Commands(click.Group):
    """Turns a user's mistake, or what the system lacks, into one message and an exit code, and warnings into lines."""

    def main(self, *args: Any, **options: Any) -> Any:
        open_streams()
        logging.getLogger("matplotlib").addFilter(_not_told_twice)
        try:
            with environment_told():
                return super().main(*args, **options)
        except LinphaseError as error:  # while click itself prints, as a help text
            echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, each with the first sentence of its help, whole."""
        longest = max(map(len, self.commands))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                rows = [(str(command.name).ljust(longest), command.get_short_help_str(200)) for command in commands]
                formatter.write_dl(rows)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        with _visible_mistakes():
            return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        remember_names(context)
        with warnings.catch_warnings(), _visible_mistakes():
            warnings.showwarning = _print_warning
            try:
                with environment_told():
                    return super().invoke(context)
            except LinphaseError as error:
                echo(f"Error: {error}", err=True)
                context.exit(error.exit_code)
            except KeyboardInterrupt:
                echo("Interrupted.", err=True)
                context.exit(130)


def _not_told_twice(record: logging.LogRecord) -> bool:
    """Where matplotlib finds no place for its cache it says so in two lines, the second of which has the remedy."""
    return not record.msg.startswith(("mkdir -p failed", "%s is not a writable directory"))


@contextmanager
def _visible_mistakes() -> Iterator[None]:
    """Have click's own messages, which quote the command line, without control characters."""
    try:
        yield
    except click.UsageError as error:
        mistake = click.UsageError(visibly(error.format_message()), error.ctx)
        raise mistake from error


def _print_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    echo(f"{'note' if issubclass(category, Note) else 'warning'}: {message}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="linphase")
def main() -> None:
    """Phase diagrams of two-layer linear networks: lazy, mixed and balanced training.

    \b
    Example:
      linphase sweep configs/quickstart.toml
      linphase plot results/quickstart --panel all -o diagram.pdf
    """


# As `linphase --help` lists them.
GROUPS = {
    "Begin": (start.init, start.schema),
    "Run": (filling.sweep, submission.submit, listing.status, single.run),
    "Look": (plots.plot, boundary.boundary, listing.classify, documents.explore, documents.report),
    "Ask theory": (filling.theory,),
    "Keep": (listing.export, listing.columns, upkeep.check, upkeep.compact, start.cite),
}
for _command in (command for commands in GROUPS.values() for command in commands):
    main.add_command(_command)

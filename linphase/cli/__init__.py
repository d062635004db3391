"""The command line: parses, calls the library, prints. The only place that prints, draws a progress bar or exits."""

import errno
import sys
import warnings
from typing import Any

import click

from linphase import __version__
from linphase.cli import documents, filling, listing, plots, single, start, submission, upkeep
from linphase.cli.output import silence, visibly
from linphase.errors import LinphaseError

__all__ = ["main"]


class _Commands(click.Group):
    """Turns a user's mistake into one message and exit code 2, and warnings into lines."""

    def invoke(self, context: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            try:
                return super().invoke(context)
            except LinphaseError as error:
                click.echo(f"Error: {visibly(str(error))}", err=True)
                context.exit(error.exit_code)
            except OSError as error:
                # One that names a file is told as an error of that file, or is a defect; a closed pipe is click's.
                if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
                silence(sys.stdout)
                click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
                context.exit(1)
            except KeyboardInterrupt:
                click.echo("Interrupted.", err=True)
                context.exit(130)


def _print_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    click.echo(f"warning: {visibly(str(message))}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="linphase")
def main() -> None:
    """Phase diagrams of two-layer linear networks: lazy, mixed and balanced training.

    \b
    Example:
      linphase sweep --config configs/quickstart.toml
      linphase plot results/quickstart --panel all -o diagram.pdf
    """


for _command in (
    filling.sweep,
    filling.theory,
    submission.submit,
    plots.plot,
    plots.boundary,
    documents.explore,
    single.run,
    listing.classify,
    listing.status,
    listing.export,
    listing.columns,
    documents.report,
    start.init,
    start.schema,
    start.cite,
    upkeep.check,
    upkeep.compact,
):
    main.add_command(_command)

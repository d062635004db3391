"""`linphase report`: everything about a sweep in one document."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from linphase.cli.options import axes_options, cuts_options, loaded_part, results_argument, spanned, where_option
from linphase.cli.output import check_directory, echo
from linphase.errors import ConfigError
from linphase.files import write_whole
from linphase.model.regime import Cuts

if TYPE_CHECKING:
    from linphase.pages.markup import Block

_SUFFIXES = (".md", ".html")


@click.command()
@results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="DIR for report.md and .html, or FILE.md or FILE.html.  [default: RESULTS/report]")  # fmt: skip
@click.option("--panel", "panels", multiple=True,
              help="Draw this one; all draws every one. Repeatable.  [default: six of them in one figure]")  # fmt: skip
@click.option("--against", type=click.Choice(["theory"]), help="Set every run beside its prediction too.")
@where_option
@axes_options
@cuts_options
def report(
    results: Path,
    output: Path | None,
    panels: Sequence[str],
    where: Sequence[str],
    against: Literal["theory"] | None,
    x: str | None,
    y: str | None,
    cuts: Cuts,
) -> None:
    """Write what is known of a sweep as one document.

    It tells regimes, errors, panels, boundaries, failures, versions and the configuration. The HTML is one file with
    the figures in it; those of the Markdown are in FILE_files beside it. Nothing is trained. --against theory predicts
    the runs, some milliseconds each, and tells how far from them they are.

    \b
    Example:
      linphase report results/quickstart
      linphase report results/quickstart -o quickstart.html --panel rank --panel test-error --against theory
      linphase report results/noise -o half.html --where task.noise=0.5
    """
    from linphase.pages.report import contents

    files = _files(output or results / "report")  # before the work, not after
    loaded = spanned(loaded_part(results, where), x, y)
    blocks = contents(loaded, panels=panels or None, against=against, cuts=cuts)
    for file in files:
        _write(blocks, file)
        echo(f"Report: {file}")


def _files(output: Path) -> list[Path]:
    """The files to write: two in a directory, or the one that is named."""
    if output.suffix in _SUFFIXES and not output.is_dir():
        check_directory(output)
        return [output]
    if output.is_file() or (output.suffix and not output.is_dir()):
        raise ConfigError(f"-o: a directory or a file name ending in .md or .html is required, found {str(output)!r}")
    return [output / f"report{suffix}" for suffix in _SUFFIXES]


def _write(blocks: "Sequence[Block]", file: Path) -> None:
    """Write a report; the pictures of Markdown first."""
    from linphase.pages.markup import Picture, html, markdown

    _make(file.parent)
    if file.suffix == ".html":
        write_whole(file, html(blocks))
        return
    pictures = file.with_name(f"{file.stem}_files")
    _make(pictures)
    for block in blocks:
        if isinstance(block, Picture):
            write_whole(pictures / f"{block.name}.png", block.png)
    write_whole(file, markdown(blocks, pictures.name))


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be made: {error.strerror or error}. Choose another place") from error


LIMIT = 25_000_000  # bytes; larger files are slow to open and refused by mail


@click.command()
@results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.html.  [default: RESULTS/explorer.html]")
@where_option
@axes_options
@cuts_options
def explore(results: Path, output: Path | None, where: Sequence[str], x: str | None, y: str | None, cuts: Cuts) -> None:
    """Write one HTML file to explore results in a browser.

    It needs no network. Choose a panel, move the cuts and watch the regimes change, click a cell (or go there with the
    arrow keys and press Enter) and see its singular values, mode balance and errors over time, with theory's. Save PNG
    saves what is seen. 20,000 runs make a file of about 20 MB, which keeps fewer moments and modes of each run.
    --criterion and the cuts are what the page shows at first. Needs plotly: pip install 'linphase[explore]'.

    \b
    Example:
      linphase explore results/quickstart -o explorer.html
    """
    from linphase.pages.explorer import build

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"-o: a file name ending in .html is required, found {str(output)!r}")
    file = output or results / "explorer.html"
    if output is not None:
        check_directory(file)  # before the work, not after
    loaded = spanned(loaded_part(results, where), x, y)
    page = build(loaded, cuts).encode()
    write_whole(file, page)
    echo(f"Explorer: {file}, {len(page) / 1e6:.1f} MB")
    if len(page) > LIMIT:
        echo(f"warning: {len(loaded.runs)} runs make it larger than {LIMIT / 1e6:.0f} MB", err=True)

"""`linphase report`: everything about a sweep in one document."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from linphase.cli.shared import classify_options, results_argument
from linphase.errors import ConfigError

if TYPE_CHECKING:
    from linphase.report import Block

_SUFFIXES = (".md", ".html")


@click.command()
@results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="DIR for report.md and .html, or FILE.md or FILE.html.  [default: RESULTS/report]")  # fmt: skip
@click.option("--panel", "panels", multiple=True, help="Draw this one only. Repeatable.  [default: all]")
@classify_options
def report(results: Path, output: Path | None, panels: Sequence[str], **cuts: Any) -> None:
    """Report on a sweep: its configuration, provenance, regimes, boundaries, deviations from theory, failures, panels.

    The HTML is one file with the figures in it; those of the Markdown are in FILE_files beside it. Nothing is trained.

    \b
    Example:
      linphase report results/quickstart
      linphase report results/quickstart -o quickstart.html --panel regime --panel test-error
    """
    from linphase import store
    from linphase.report import contents

    files = _files(output or results / "report")  # before the work, not after
    loaded = store.load(results)
    blocks = contents(loaded, panels=panels or None, **cuts)
    for file in files:
        try:
            _write(blocks, file)
        except OSError as error:
            raise ConfigError(
                f"-o: cannot write {str(file)!r}: {error.strerror or error}. Choose another place"
            ) from error
        click.echo(f"Report: {file}")


def _files(output: Path) -> list[Path]:
    """The files to write: two in a directory, or the one that is named."""
    if output.suffix in _SUFFIXES and not output.is_dir():
        if not output.parent.is_dir():
            raise ConfigError(f"-o: an existing directory is required, found {str(output.parent)!r}. Make it first")
        return [output]
    if output.is_file() or (output.suffix and not output.is_dir()):
        raise ConfigError(f"-o: a directory or a file name ending in .md or .html is required, found {str(output)!r}")
    return [output / f"report{suffix}" for suffix in _SUFFIXES]


def _write(blocks: "Sequence[Block]", file: Path) -> None:
    """Write a report whole or not at all; the pictures of Markdown first."""
    from linphase.report import Picture, html, markdown

    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".html":
        text = html(blocks)
    else:
        pictures = file.with_name(f"{file.stem}_files")
        pictures.mkdir(exist_ok=True)
        for block in blocks:
            if isinstance(block, Picture):
                (pictures / f"{block.name}.png").write_bytes(block.png)
        text = markdown(blocks, pictures.name)
    draft = file.with_name(f".{file.name}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)

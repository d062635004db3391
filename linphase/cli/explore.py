"""`linphase explore`."""

from pathlib import Path
from typing import Any

import click

from linphase.cli.shared import classify_options, results_argument
from linphase.errors import ConfigError

LIMIT = 25_000_000  # bytes; larger files are slow to open and refused by mail


@click.command()
@results_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="FILE.html.  [default: RESULTS/explorer.html]")
@classify_options
def explore(results: Path, output: Path | None, **cuts: Any) -> None:
    """Write one HTML file to explore a results directory in a browser, without a network.

    Choose a panel, move the cuts and watch the regimes change, click a cell (or go there with the arrow keys and press
    Enter) and see its singular values, mode balance and errors over time, with theory's. --by and the cuts are what the
    page shows at first. Needs plotly: pip install 'linphase[explore]'.

    \b
    Example:
      linphase explore results/quickstart -o explorer.html
    """
    from linphase import store
    from linphase.explore import build

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"-o: a file name ending in .html is required, found {str(output)!r}")
    loaded = store.load(results)
    file = output or results / "explorer.html"
    page = build(loaded, **cuts).encode()
    _write(page, file)
    click.echo(f"Explorer: {file}, {len(page) / 1e6:.1f} MB")
    if len(page) > LIMIT:
        click.echo(f"warning: {len(loaded.runs)} runs make it larger than {LIMIT / 1e6:.0f} MB", err=True)


def _write(page: bytes, file: Path) -> None:
    """Whole or not at all."""
    draft = file.with_name(f".{file.name}.part")
    try:
        draft.write_bytes(page)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"-o: cannot write {str(file)!r}: {error.strerror or error}. Choose another place") from error

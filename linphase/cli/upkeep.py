"""`linphase check` and `linphase compact`: results directories kept whole and quick to read."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from linphase.cli.options import results_argument
from linphase.cli.output import echo

if TYPE_CHECKING:
    from linphase.store.checking import Checked

_SHOWN = 20  # names of runs in a line


@click.command()
@results_argument
@click.option("--repair", is_flag=True, help="Move damaged files to RESULTS/quarantine and remove old drafts.")
def check(results: Path, repair: bool) -> None:
    """Read every byte of stored results, and name what is damaged.

    It also names what is left over or lost. A file is damaged if its bytes are not those that were written, and foreign
    if it does not belong here, such as a file of another sweep's runs. With --repair both move to RESULTS/quarantine;
    their runs then count as missing, and the same sweep run again trains them. Drafts that a killed writer left are
    removed once they are a day old by the clock of the file system. No result is deleted. The command is safe beside
    running sweeps.

    \b
    Example:
      linphase check results/quickstart
      linphase check results/quickstart --repair

    Exit codes: 0 all is whole, 1 something is damaged, 2 no results directory, or of a newer linphase.
    """
    from linphase.store import checking

    found = checking.check(results)
    if repair:
        for line in checking.repair(results, found):
            echo(line)
        found = checking.check(results)
    _print_checked(results, found, repair)
    if not found.sound:
        raise SystemExit(1)


def _print_checked(results: Path, found: "Checked", repaired: bool) -> None:
    for name, why in found.damaged:
        echo(f"damaged: {name}: {why}")
    for name, why in found.foreign:
        echo(f"foreign: {name}: {why}")
    for name, rows in found.mixed:
        echo(f"left out: {name}: no configuration here asks for the runs of {rows}")
    if found.untraced:
        echo(f"without a trajectory: {_some(found.untraced)}")
    for name in () if repaired else found.leftovers:
        echo(f"left over: {name}: a draft, being written or left by a writer that was killed")
    if found.contradictory:
        echo(f"copies that differ in a number, as of two CPU types: {_some(found.contradictory)}")
    copies = f", {found.copies:,} copies (linphase compact {results} removes them)" if found.copies else ""
    echo(f"{results}: {found.runs:,} runs in {found.parts:,} whole parts of all tables{copies}")
    if found.damaged or found.foreign:
        echo(f"To move these files aside, linphase check {results} --repair; then run the same sweep again.")
    elif found.untraced:
        echo(f"Copy what is missing back into {results}/trajectories: the panels trajectories and collapse need it.")


def _some(run_ids: tuple[str, ...]) -> str:
    more = f" and {len(run_ids) - _SHOWN} more" if len(run_ids) > _SHOWN else ""
    return f"{len(run_ids)} runs, {', '.join(run_ids[:_SHOWN])}{more}"


@click.command()
@results_argument
def compact(results: Path) -> None:
    """Fold many small files of stored results into few large ones.

    Copies of a run become one. The command needs about as much room as the results take. It is safe to kill at any
    moment, and safe beside running sweeps: a file is removed only when its rows stand in a new one that was read back.

    \b
    Example:
      linphase compact results/quickstart
    """
    from linphase.store import folding
    from linphase.store.reading import count_parts

    folded = folding.compact(results)
    if folded:
        echo(f"{results}: {folded:,} files folded, {count_parts(results):,} left")
    else:
        echo(f"{results}: nothing to fold")

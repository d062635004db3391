"""What a report says of a results directory. Nothing is trained; theory is computed beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from linphase import __version__
from linphase.config.config import parse_config
from linphase.config.shortest import shortest_toml
from linphase.diagram.panels import base_name, known_panels, unknown_panel, usual_panel
from linphase.figures.drawing import FIGURES
from linphase.files import printable
from linphase.model.regime import Cuts
from linphase.pages.markup import Block, Code, Folded, Heading, Table, Text
from linphase.pages.report_findings import AGAINST_THEORY, boundaries, errors, panels_of, regimes, theory
from linphase.runs.records import AS_ASKED
from linphase.store.results import Results

PROVENANCE = ("linphase_version", "numerics_version", "python_version", "numpy_version", "scipy_version", "blas", "cpu")
EVERY = "all"  # as the name of a panel: each one by itself
_TRACEBACKS = 5  # shown, of different errors


def contents(
    results: Results,
    *,
    panels: Sequence[str] | None = None,
    against: Literal["theory"] | None = None,
    cuts: Cuts = Cuts(),
) -> list[Block]:
    """The report of a results directory.

    Parameters
    ----------
    results
        What the report is about.
    panels
        The names of the panels and figures that are drawn; "all": each by itself. By default the figure of the six that
        tell most.
    against
        "theory": every run is set beside its prediction, which is computed here.
    cuts
        They decide the regimes, as in `linphase.diagram.outcomes`.

    Returns
    -------
    list[Block]
        Text, tables and pictures, for `linphase.pages.markup`.

    Raises
    ------
    LinphaseError
        If a panel is unknown.

    Examples
    --------
    >>> html(contents(linphase.load("results/quickstart"), panels=["rank"]))
    """
    names = _names(results, panels)
    blocks = [Heading(1, f"Sweep {printable(results.path.resolve().name)}"), *_summary(results)]
    if not results.runs.empty:
        blocks += [*regimes(results, cuts), *errors(results, cuts), *panels_of(results, names, cuts)]
        blocks += boundaries(results, cuts)
        if against is not None:
            blocks += theory(results, names if panels else AGAINST_THEORY, cuts)
        blocks += [*_failures(results), *_provenance(results)]
    blocks += _configurations(results)
    return [Text("None.") if isinstance(block, Table) and not block.rows else block for block in blocks]


def _names(results: Results, panels: Sequence[str] | None) -> list[str]:
    """What is drawn under Panels; the usual panel and the boundaries have their places above and below."""
    known = [*known_panels(results.columns), *FIGURES]
    if unknown := [name for name in panels or () if base_name(name, known) is None]:
        raise unknown_panel(unknown[0], known)
    if not panels:
        return ["all"]
    elsewhere = (usual_panel(results.runs), "boundaries", EVERY)
    return [name for name in (known if EVERY in panels else panels) if name not in elsewhere]


def _summary(results: Results) -> Iterator[Block]:
    runs, expected, missing = results.runs, len(results.expected()), len(results.missing())
    failed, diverged = (int(runs["status"].eq(status).sum()) for status in ("failed", "diverged"))
    unconverged = int((~runs["status"].isin(AS_ASKED)).sum()) - failed
    yield Text(
        f"{expected - missing} of {expected} runs are done, {missing} are missing, {failed} of them failed; {diverged} "
        f"diverged, {unconverged} of those done did not converge. Written by linphase {__version__}, linphase report."
    )
    if runs.empty:
        yield Text("No run is finished yet: linphase sweep trains them.")


def _configurations(results: Results) -> Iterator[Block]:
    yield Heading(2, "Configuration")
    for number, resolved in enumerate(results.configs):
        config = parse_config(resolved, stored=True)
        axes = " x ".join(f"{len(values)} {key}" for key, values in config.grid.axes.items())
        yield Text(
            f"{'Extended by ' if number else ''}{config.name}, digest {config.digest}: {axes} = {config.cells} cells, "
            f"{config.grid.replicates} replicate{'s' if config.grid.replicates > 1 else ''} each"
            f"{f', split {config.refine_levels} times where the outcome changes' if config.refine_levels else ''}."
        )
        said = Text("What it takes to sweep the same runs; keys that are not here have their defaults.")
        yield Folded(f"{config.name}.toml", [said, Code("toml", shortest_toml(resolved))])


def _provenance(results: Results) -> Iterator[Block]:
    finished = results.runs[results.runs["status"] != "failed"]
    yield Heading(2, "Provenance")
    yield Text(
        f"Trained for {finished['elapsed_s'].sum():.1f} s of one core. Runs made with equal versions on equal CPUs are "
        "equal bit for bit."
    )
    rows = [
        (results.columns[name].meaning, str(value), str(count))
        for name in PROVENANCE
        for value, count in finished[name].value_counts().items()
    ]
    yield Table(("what", "value", "runs"), rows, numbers=("runs",))


def _failures(results: Results) -> Iterator[Block]:
    failures = results.failures
    yield Heading(2, "Failures")
    if failures.empty:
        yield Text("No attempt failed.")
        return
    failed = set(results.runs.loc[results.runs["status"] == "failed", "run_id"])
    open_ = int(failures["run_id"].isin(failed).sum())
    yield Text(
        f"{len(failures)} attempts failed: {open_} of runs still missing, {len(failures) - open_} of runs finished "
        "since."
    )
    errors = list(failures.groupby("error", sort=False, dropna=False))
    rows = []
    for error, attempts in errors:
        first = attempts.iloc[0]
        place = f"gamma_sigma2 = {first['gamma_sigma2']:g}, width = {first['width']}, replicate {first['replicate']}"
        rows.append((str(error), str(len(attempts)), str(attempts["run_id"].nunique()), place))
    yield Table(("error", "attempts", "runs", "first at"), rows, numbers=("attempts", "runs"))
    for _, attempts in errors[:_TRACEBACKS]:
        trace = attempts["traceback"].iloc[0]
        if isinstance(trace, str) and trace:
            yield Code("text", trace)

"""What a report says of a results directory. Nothing is trained; theory is computed beside what was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

from linphase import __version__
from linphase.config.toml import config_toml
from linphase.diagram.versus import deviations, differing, paired
from linphase.errors import LinphaseError
from linphase.model.regime import CRITERIA, Cuts
from linphase.pages.markup import Block, Code, Heading, Picture, Table, Text

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from linphase.store.results import Results

PROVENANCE = ("linphase_version", "numerics_version", "python_version", "numpy_version", "scipy_version", "blas", "cpu")
AGAINST_THEORY = ("regime", "test-error")  # drawn beside the prediction

_DPI = 200
_TRACEBACKS = 5  # shown, of different errors


def contents(
    results: "Results",
    *,
    panels: Sequence[str] | None = None,
    cuts: Cuts = Cuts(),
) -> list[Block]:
    """The report of a results directory.

    panels: the names of those that are drawn, of `linphase.figures`; all that there are by default. cuts
    decide the regimes, as in `linphase.outcomes`.

    Raises LinphaseError for an unknown panel.
    """
    from linphase.diagram.panels import known_panels

    names = _panel_names(panels, [*known_panels(results.columns), *_CAPTIONS])
    blocks = [Heading(1, f"Sweep {results.path.resolve().name}"), *_summary(results), *_configurations(results)]
    if results.runs.empty:
        return blocks
    blocks += [*_provenance(results), *_regimes(results, cuts), *_boundaries(results, cuts)]
    blocks += [*_theory(results, names, cuts), *_failures(results), *_panels(results, names, cuts)]
    return [Text("None.") if isinstance(block, Table) and not block.rows else block for block in blocks]


def _panel_names(asked: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    for name in asked or ():
        if name not in known:
            raise LinphaseError(f"panel must be one of {', '.join(known)}, found {name!r}")
    return asked or known


# --- What was asked, and how far it is -----------------------------------------------------------------------------


def _summary(results: "Results") -> Iterator[Block]:
    runs, expected, missing = results.runs, len(results.expected()), len(results.missing())
    failed, diverged = (int(runs["status"].eq(status).sum()) for status in ("failed", "diverged"))
    unconverged = int((~runs["converged"].astype(bool)).sum()) - failed
    yield Text(
        f"{expected - missing} of {expected} runs are done, {missing} are missing, {failed} of them failed; {diverged} "
        f"diverged, {unconverged} of those done did not converge. Written by linphase {__version__}, linphase report."
    )
    if runs.empty:
        yield Text("No run is finished yet: linphase sweep trains them.")


def _configurations(results: "Results") -> Iterator[Block]:
    from linphase.config.config import parse_config

    yield Heading(2, "Configuration")
    for number, resolved in enumerate(results.configs):
        config = parse_config(resolved)
        axes = " x ".join(f"{len(values)} {key}" for key, values in config.grid.axes.items())
        yield Text(
            f"{config.name}, digest {config.digest}: {axes} = {config.cells} cells, "
            f"{config.grid.replicates} replicate{'s' if config.grid.replicates > 1 else ''} each."
        )
        yield Code("toml", config_toml(resolved))
        if number == 0 and len(results.configs) > 1:
            yield Text("Extended by")


def _provenance(results: "Results") -> Iterator[Block]:
    meaning = {name: column.meaning for name, column in results.columns.items()}
    finished = results.runs[results.runs["status"] != "failed"]
    yield Heading(2, "Provenance")
    yield Text(
        f"Trained for {finished['elapsed_s'].sum():.1f} s of one core. Runs made with equal versions on equal CPUs are "
        "equal bit for bit."
    )
    rows = [
        (meaning[name], str(value), str(count))
        for name in PROVENANCE
        for value, count in finished[name].value_counts().items()
    ]
    yield Table(("what", "value", "runs"), rows, numbers=("runs",))


# --- What came out -------------------------------------------------------------------------------------------------


def _regimes(results: "Results", cuts: Cuts) -> Iterator[Block]:
    from linphase.diagram.outcomes import OUTCOMES, outcomes
    from linphase.runs.records import STATUSES

    runs = results.runs
    counts = {name: outcomes(runs, replace(cuts, criterion=name)).value_counts() for name in CRITERIA}
    rows = [
        (name, *(str(int(counts[by].get(name, 0))) for by in CRITERIA))
        for name in OUTCOMES
        if any(name in counts[by] for by in CRITERIA)
    ]
    yield Heading(2, "Regimes")
    yield Text(
        f"Runs in every regime by each measure of active; a run is lazy with less than {cuts.signal:g} of its "
        f"signal modes active, balanced with {cuts.bulk:g} or more of its bulk modes active, else mixed. "
        f"Elsewhere in this report: by {cuts.criterion}."
    )
    yield Table(("regime", *(f"by {by}" for by in CRITERIA)), rows, numbers=[f"by {by}" for by in CRITERIA])
    statuses = runs["status"].value_counts()
    rows = [(name, str(int(statuses[name])), what) for name, what in STATUSES.items() if name in statuses]
    yield Table(("status", "runs", "what it means"), rows, numbers=("runs",))


def _boundaries(results: "Results", cuts: Cuts) -> Iterator[Block]:
    from linphase.diagram.measured import COLUMNS, measured_boundaries, table_row
    from linphase.figures.diagrams import phase_diagram
    from linphase.store.columns import for_key

    facets = [for_key(key).name for key in results.axes if "." in key]
    found = measured_boundaries(results.runs, facets, cuts=cuts)
    yield Heading(2, "Measured boundaries")
    yield Text(
        "The gamma_sigma2 at which the active share of the signal (active | lazy) or of the bulk (mixed | balanced) "
        "crosses its cut, for every width. The interval is the central 95 % of a bootstrap over replicates; the grid's "
        "step limits the resolution besides. Theory at these d, rank and noise, and in the limit of large d."
    )
    yield Table(COLUMNS, [table_row(crossing) for crossing in found], numbers=(*COLUMNS[2:5], *COLUMNS[6:]))
    try:
        figure = phase_diagram(results.runs, results.axes, "regime", measured=found, cuts=cuts)
    except LinphaseError as error:
        yield Text(f"Not drawn: {error}.")
    else:
        yield Picture("measured-boundaries", "Regimes with the measured boundaries", _png(figure))


# --- Beside theory -------------------------------------------------------------------------------------------------


def _theory(results: "Results", names: Sequence[str], cuts: Cuts) -> Iterator[Block]:
    from linphase.config.config import parse_config
    from linphase.diagram.panels import made_by_theory
    from linphase.diagram.versus import predicted_runs
    from linphase.figures.diagrams import against

    yield Heading(2, "Deviations from theory")
    if made_by_theory(results.runs):
        yield Text("None: these runs are theory's own.")
        return
    predicted = predicted_runs(parse_config(config, stored=True) for config in results.configs)
    pairs = paired(results.runs, predicted)
    covered = pairs[(pairs["gamma_w"] > 1) & (2 * pairs["gamma_sigma2"] + pairs["gamma_w"] < 0)]
    yield Text(
        "Every run beside its prediction, the self-consistent dynamics from A = 0: shares as differences, all else "
        "relative to the prediction. Covered are the cells of the paper's theorems, gamma_w > 1 and 2 gamma_sigma2 + "
        "gamma_w < 0; elsewhere the start's own noise counts, which the prediction leaves out."
    )
    yield Text(
        f"The regime is not the predicted one in {differing(pairs, cuts)} of {len(pairs)} runs, of those covered in "
        f"{differing(covered, cuts)} of {len(covered)}."
    )
    yield _deviation_table(results, pairs, covered)
    for name in AGAINST_THEORY:
        if name in names:
            try:
                figure = against(results.runs, predicted, results.axes, name, cuts=cuts, columns=results.columns)
            except LinphaseError as error:
                yield Text(f"{name} is not drawn: {error}.")
            else:
                yield Picture(
                    f"{name}-against-theory", f"{name}: measured, predicted and their difference", _png(figure)
                )


def _deviation_table(results: "Results", pairs: "pd.DataFrame", covered: "pd.DataFrame") -> Table:
    """Median, 95 % quantile and largest deviation of every panel's column that theory predicts."""
    from linphase.diagram.panels import known_panels

    columns = ["quantity"]
    columns += [f"{what}, {where}" for where in ("all", "covered") for what in ("runs", "median", "95 %", "largest")]
    rows = []
    for panel in known_panels(results.columns).values():
        if panel.column is not None and not panel.unpredicted and panel.scale in ("linear", "log", "share"):
            apart = [deviations(part, panel.column, panel.scale == "share") for part in (pairs, covered)]
            if apart[0].size:
                rows.append((" ".join(panel.title.split()), *(cell for each in apart for cell in _spread(each))))
    return Table(columns, rows, numbers=columns[1:])


def _spread(apart: "NDArray[np.float64]") -> tuple[str, ...]:
    import numpy as np

    if apart.size == 0:
        return "0", "-", "-", "-"
    return str(apart.size), *map(_relative, np.quantile(apart, [0.5, 0.95, 1.0]))


def _relative(value: float) -> str:
    if value < 10:
        return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"
    return f"{value:,.0f} times" if value < 1e6 else f"{value:.0e} times"


# --- What failed ---------------------------------------------------------------------------------------------------


def _failures(results: "Results") -> Iterator[Block]:
    failures = results.failures
    yield Heading(2, "Failures")
    if failures.empty:
        yield Text("No attempt failed.")
        return
    failed = set(results.runs.loc[results.runs["status"] == "failed", "run_id"])
    open_, settled = failures["run_id"].isin(failed).sum(), (~failures["run_id"].isin(failed)).sum()
    yield Text(f"{len(failures)} attempts failed: {open_} of runs still missing, {settled} of runs finished since.")
    errors = failures.groupby("error", sort=False, dropna=False)
    rows = []
    for error, attempts in errors:
        first = attempts.iloc[0]
        place = f"gamma_sigma2 = {first['gamma_sigma2']:g}, width = {first['width']}, replicate {first['replicate']}"
        rows.append((str(error), str(len(attempts)), str(attempts["run_id"].nunique()), place))
    yield Table(("error", "attempts", "runs", "first at"), rows, numbers=("attempts", "runs"))
    for _, attempts in list(errors)[:_TRACEBACKS]:
        trace = attempts["traceback"].iloc[0]
        if isinstance(trace, str) and trace:
            yield Code("text", trace)


# --- The diagrams --------------------------------------------------------------------------------------------------


def _panels(results: "Results", names: Sequence[str], cuts: Cuts) -> Iterator[Block]:
    from linphase.diagram.panels import known_panels
    from linphase.figures.drawing import draw

    yield Heading(2, "Panels")
    known, absent = known_panels(results.columns), []
    for name in names:
        try:
            figure = draw(results, name, cuts)
        except LinphaseError as error:
            absent.append((name, str(error)))
        else:
            title = known[name].title if name in known else _CAPTIONS[name]
            yield Picture(name, " ".join(title.split()), _png(figure))
    if absent:
        yield Text("Not drawn:")
        yield Table(("panel", "why"), absent)


_CAPTIONS = {
    "evidence": "the regime by each measure of active, and where they part",
    "collapse": "every mode of every run: its speed-up against its singular value over the threshold",
    "trajectories": "singular values over time in some of the cells, laid over the diagram",
}


def _png(figure: "Figure") -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": f"linphase {__version__}"})
    return file.getvalue()

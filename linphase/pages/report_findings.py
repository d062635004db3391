"""What came out of a sweep, for its report: regimes, measured boundaries, deviations from theory, and the figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from linphase import __version__
from linphase.diagram.axes import Facet, select, split_facets
from linphase.diagram.derived import shifts
from linphase.diagram.measured import COLUMNS, blocks, boundaries_of, filled, table_row, untold
from linphase.diagram.mesh import mesh_of
from linphase.diagram.names import held_text
from linphase.diagram.outcomes import OUTCOMES, outcomes
from linphase.diagram.panels import Panel, base_name, known_panels, made_by_theory, usual_panel
from linphase.diagram.versus import Among, deviations, differing, paired, predictions_of
from linphase.errors import ConfigError, LinphaseError
from linphase.figures.diagrams import against
from linphase.figures.drawing import FIGURES, draw
from linphase.figures.drawing import boundaries as boundary_diagram
from linphase.model.regime import CRITERIA, Cuts
from linphase.pages.markup import Block, Heading, Picture, Table, Text
from linphase.runs.records import STATUSES
from linphase.store.results import Results
from linphase.store.rows import scales

AGAINST_THEORY = ("regime", "test-error")  # drawn beside the prediction
PREDICTED = 3000  # runs, at most: some ten seconds; of more half as many, a coarser grid
_DPI = 200


def regimes(results: Results, cuts: Cuts) -> Iterator[Block]:
    """The diagram; how many runs came to which regime by each criterion, and ended in which status."""
    counts = {by: outcomes(results.runs, replace(cuts, criterion=by)).value_counts() for by in CRITERIA}
    rows = [
        (name, *(str(int(count.get(name, 0))) for count in counts.values()))
        for name in OUTCOMES
        if any(name in count for count in counts.values())
    ]
    by_each = [f"by {by}" for by in CRITERIA]
    yield Heading(2, "Regimes")
    usual = usual_panel(results.runs)
    yield _picture(_file_name(usual), "The phase diagram", partial(draw, results, usual, cuts))
    yield Text(
        f"A run is lazy with less than {cuts.signal:g} of its signal modes active, balanced with {cuts.bulk:g} or more "
        "of its bulk modes active, else mixed. The table counts the runs of every regime by each criterion of active; "
        f"all else in this report is by {cuts.criterion}."
    )
    yield Table(("regime", *by_each), rows, numbers=by_each)
    statuses = results.runs["status"].value_counts()
    rows = [(name, str(int(statuses[name])), what) for name, what in STATUSES.items() if name in statuses]
    yield Table(("status", "runs", "what it means"), rows, numbers=("runs",))


def errors(results: Results, cuts: Cuts) -> Iterator[Block]:
    """The smallest test errors by regime, beside what they are to be held against; none for results of before."""
    runs = results.runs
    if "benefit" not in runs or not runs["benefit"].notna().any():
        return
    yield Heading(2, "Smallest test errors")
    yield Text(
        "Benefit is what is left above optimal shrinkage, over what lazy training leaves: 0 is optimal, 1 no better "
        "than lazy. Learning order is the time at which the bulk is within 5 % of its targets, over that at which the "
        "signal is: 1 where all modes rise together. To stop at the smallest test error one must know A*; the last "
        "column is of a stop that does not, where the train error is that of a fitted signal. Cells beyond the "
        "infinite-noise line, sigma2^2 width > gamma^2 with the richness gamma, stand apart: there the start's own "
        "noise counts."
    )
    head = ("regime", "runs", "median", "smallest", "largest", "benefit", "learning order", "stop without A*")
    for facet in split_facets(runs, results.axes) if len(results.axes) > 2 else [Facet(runs)]:
        if facet.plain:
            yield Text(facet.plain)
        yield Table(head, list(_error_rows(facet.runs, cuts)), numbers=head[1:])
    baselines = {"optimal": "optimal shrinkage", "balanced": "c to 0", "lazy": "c to infinity", "zero": "A = 0"}
    rows = []
    for name, what in baselines.items():
        error = runs[f"{name}_test_error"]
        rows.append((what, *(f"{each:.3g}" for each in (error.median(), error.min(), error.max()))))
    yield Text("To hold against them, what the tasks alone tell (limits of c by the closed form, from A = 0):")
    yield Table(("test error of", "median", "smallest", "largest"), rows, numbers=("median", "smallest", "largest"))


def _error_rows(runs: pd.DataFrame, cuts: Cuts) -> Iterator[tuple[str, ...]]:
    noisy = 2 * runs["gamma_sigma2"] + runs["gamma_w"] + 2 * shifts(runs)[1] / np.log(scales(runs)) > 0
    told = outcomes(runs, cuts).where(~noisy, "beyond infinite noise")
    for name in (*OUTCOMES, "beyond infinite noise"):
        part = runs[told == name]
        if len(part):
            error = part["min_test_error"]
            others = (part[each].median() for each in ("benefit", "learning_order", "blind_test_error"))
            numbers = (error.median(), error.min(), error.max(), *others)
            yield name, str(len(part)), *("-" if pd.isna(each) else f"{each:.3g}" for each in numbers)


_NUMBERS = set(COLUMNS) - {"note"}


def boundaries(results: Results, cuts: Cuts) -> Iterator[Block]:
    """Where the active shares cross their cuts, as a table and over the diagram."""
    yield Heading(2, "Measured boundaries")
    yield Text(
        "The gamma_sigma2 at which the median over the signal modes (mixed | lazy) or those of the bulk "
        "(mixed | balanced) of log(s_i/c), or of what stands for it by the criterion, passes 0, for every width: the "
        "mean over replicates and, from three on, its 95 % interval by Student's t. There is none where a run beside "
        "it is not there or did not end well. Theory at these d, rank and noise, and in the limit of large d. At the "
        "end of a run of width far above d the criteria are functions of the target and c: these two test theory and "
        "the numerics, not the path of training. Of the path are the places where the learning order is 2, and where "
        "the benefit is 1/2."
    )
    try:
        found = boundaries_of(results, cuts)
    except LinphaseError as error:
        yield Text(f"None. {error}.")
        return
    if warning := untold(found):
        yield Text(f"Warning: {warning}.")
    for name, facet, block in blocks(found):
        rows = [table_row(crossing) for crossing in block]
        kept = filled(rows)
        yield Text(name + (f", {held_text(facet)}" if facet else ""))
        shown = tuple(COLUMNS[i] for i in kept)
        yield Table(shown, [tuple(row[i] for i in kept) for row in rows], numbers=tuple(set(shown) & set(_NUMBERS)))
    yield _picture(
        "measured-boundaries",
        "Regimes with the measured boundaries",
        partial(boundary_diagram, results, cuts, found=found),
    )


def theory(results: Results, names: Sequence[str], cuts: Cuts) -> Iterator[Block]:
    """Every run beside its prediction, which is computed here; figures of those panels that are asked for."""
    yield Heading(2, "Deviations from theory")
    if made_by_theory(results.runs):
        yield Text("None: these runs are theory's own.")
        return
    runs, axes, among = _held_against_theory(results)
    try:
        predicted = predictions_of(results, among)
    except ConfigError as error:
        yield Text(f"None: {error}.")
        return
    pairs, mesh = paired(runs, predicted), mesh_of(results)
    covered = pairs[(pairs["gamma_w"] > 1) & (2 * pairs["gamma_sigma2"] + pairs["gamma_w"] < 0)]
    yield Text(
        "Every run beside its prediction, the self-consistent dynamics from A = 0: shares as differences, all else "
        "relative to the prediction. Covered are the cells of the paper's theorems, gamma_w > 1 and 2 gamma_sigma2 + "
        "gamma_w < 0; elsewhere the start's own noise counts, which the prediction leaves out."
    )
    if among is not None:
        (x, across), (y, up) = among.axes.items()
        yield Text(
            f"A prediction takes milliseconds, so of {len(results.expected())} runs {len(predicted)} are held against "
            f"theirs: {len(across)} of {len(results.axes[x])} values of {x}, {len(up)} of {len(results.axes[y])} of "
            f"{y}, and of each cell {among.replicates} replicate{'s' if among.replicates > 1 else ''}."
        )
    yield Text(
        f"The regime is not the predicted one in {differing(pairs, cuts)} of {len(pairs)} runs, of those covered in "
        f"{differing(covered, cuts)} of {len(covered)}."
    )
    yield _deviation_table(known_panels(results.columns).values(), pairs, covered)
    for name in AGAINST_THEORY:
        if name in names:
            yield _picture(
                f"{name}-against-theory",
                f"{name}: measured, predicted and their difference",
                partial(against, runs, predicted, axes, name, cuts=cuts, columns=results.columns, meshes=(mesh, mesh)),
            )


def _held_against_theory(results: Results) -> tuple[pd.DataFrame, Mapping[str, Sequence[Any]], Among | None]:
    """The runs that are predicted, and their axes: all, or of very many a coarser grid over the same window."""
    if len(results.expected()) <= PREDICTED:
        return results.runs, results.axes, None
    replicates = max(int(config["grid"]["replicates"]) for config in results.configs)
    among = Among.of(results.axes, replicates, PREDICTED // 2)
    return *select(results.runs, results.axes, among.where), among


def _deviation_table(panels: Iterable[Panel], pairs: pd.DataFrame, covered: pd.DataFrame) -> Table:
    """Median, 95 % quantile and largest deviation of every panel's column that theory predicts."""
    columns = ["quantity"]
    columns += [f"{what}, {where}" for where in ("all", "covered") for what in ("runs", "median", "95 %", "largest")]
    rows = []
    for panel in panels:
        if panel.unpredicted or panel.scale in ("outcome", "ln") or f"{panel.column}_predicted" not in pairs:
            continue
        apart = [deviations(part, str(panel.column), panel.scale == "share") for part in (pairs, covered)]
        if apart[0].size:
            rows.append((_line(panel.title), *(cell for each in apart for cell in _spread(each))))
    return Table(columns, rows, numbers=columns[1:])


def _spread(apart: NDArray[np.float64]) -> tuple[str, ...]:
    if apart.size == 0:
        return "0", "-", "-", "-"
    return str(apart.size), *map(_relative, np.quantile(apart, [0.5, 0.95, 1.0]))


def _relative(value: float) -> str:
    if value < 10:
        return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.2g} %"
    return f"{value:,.0f} times" if value < 1e6 else f"{value:.0e} times"


def panels_of(results: Results, names: Sequence[str], cuts: Cuts) -> Iterator[Block]:
    """The panels and figures of these names, and why some are not drawn; nothing where none is named."""
    if not names:
        return
    captions = {name: panel.title for name, panel in known_panels(results.columns).items()}
    captions |= {name: (figure.__doc__ or name).partition("\n")[0] for name, figure in FIGURES.items()}
    yield Heading(2, "Panels")
    absent = []
    for name in names:
        try:
            base = base_name(name, captions) or name
            caption = _line(captions[base]) + ("" if base == name else ", spread of the replicates")
            yield Picture(_file_name(name), caption, _png(draw(results, name, cuts)))
        except LinphaseError as error:
            absent.append((name, str(error)))
    if absent:
        yield Text("Not drawn:")
        yield Table(("panel", "why"), absent)


def _picture(name: str, caption: str, draw: Callable[[], Figure]) -> Picture | Text:
    try:
        return Picture(name, caption, _png(draw()))
    except LinphaseError as error:
        return Text(f"{caption}: not drawn. {error}.")


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": f"linphase {__version__}"})
    return file.getvalue()


def _line(title: str) -> str:
    return " ".join(title.split())


def _file_name(panel: str) -> str:
    """The name of a panel, which a file may have told, as part of no path."""
    return re.sub(r"[^\w-]+", "-", panel)

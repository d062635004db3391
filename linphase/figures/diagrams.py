"""Phase diagrams: one panel, with facets as small multiples, or several panels of one grid."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from linphase.diagram.axes import (
    MAX_FACETS,
    Axis,
    Facet,
    Window,
    named_columns,
    off_axes,
    over_axes,
    split_facets,
)
from linphase.diagram.cells import Cells, Plot, cells_of
from linphase.diagram.looks import LOOKS, Array, plainly
from linphase.diagram.mesh import Mesh, Reach, reach_of
from linphase.diagram.panels import Panel, find_panel, holds, overview, refuse_without_regimes, remedy_for, unusual_cuts
from linphase.diagram.reference import differences, start_of
from linphase.diagram.versus import difference, in_both
from linphase.errors import LinphaseError
from linphase.figures.fitting import COLUMN_WIDTH, PAGE_WIDTH, Style, StyleName
from linphase.figures.layout import Sheet, facet_columns
from linphase.figures.legends import Swatch
from linphase.figures.overlays import draw_measured, measured_handles
from linphase.figures.style import stroke, styled
from linphase.model.regime import CRITERIA, Cuts

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes as MatplotlibAxes

    from linphase.diagram.measured import MeasuredBoundary
    from linphase.store.columns import Column

Axes = Mapping[str, Sequence[Any]]  # the values of each axis by its key in the grid


@styled
def phase_diagram(
    runs: pd.DataFrame,
    axes: Axes,
    panel: str,
    *,
    cuts: Cuts = Cuts(),
    columns: Mapping[str, Column] | None = None,
    measured: Sequence[MeasuredBoundary] = (),
    mesh: Mesh | None = None,
    ax: MatplotlibAxes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """One panel over the first two axes of a grid, the further axes as small multiples.

    Replicates are averaged, outcomes decided by majority. Theory's boundaries, and those measured, are drawn where the
    two axes are a variance and a width.

    Parameters
    ----------
    runs
        Rows of a runs table.
    axes
        The values of each axis by its key in the grid: gamma_sigma2, width, task.rank and so on.
    panel
        A name of `linphase.diagram.panels.known_panels`.
    cuts
        The criterion of active, and what turns shares into regimes.
    columns
        Of `Results`: they tell of panels that are not declared here.
    measured
        Boundaries to be drawn as points.
    mesh
        Of `linphase.diagram.mesh.mesh_of`: which places of the diagram are asked for. Cells reach over those that are
        not. None: all are, and missing without a run.
    ax
        Of a figure of one's own: one facet is drawn there, with a legend over it, and the names of the lines left out.
    style
        paper, talk, or a `Style`.

    Raises
    ------
    LinphaseError
        If the panel is unknown or the runs hold nothing of it, or there are fewer than two axes, or more than
        MAX_FACETS facets, with `ax` more than one.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    if ax is not None and len(facets) > 1:
        raise LinphaseError(_too_many_for(axes, len(facets)))
    shown = find_panel(panel, cuts, runs, columns)
    if shown.shows_regime:
        refuse_without_regimes(runs)
    title = "" if shown.scale == "outcome" and shown.title == panel else shown.title
    alone = len(facets) == 1
    plots = [
        Plot(
            shown,
            "\n".join(filter(None, (title, facet.title))) if alone else facet.title,
            facet.runs,
            cells_of(facet.runs, window, shown, cuts, reach_of(mesh, window, facet)),
        )
        for facet in facets
    ]
    across = facet_columns(axes, len(plots))
    sheet = Sheet(plots, window, across, COLUMN_WIDTH if across == 1 else PAGE_WIDTH, ax=ax)
    covered = [
        draw_measured(pane, facet.runs, window, facet.values, measured)
        for pane, facet in zip(sheet.grid, facets, strict=True)
    ]
    above = measured_handles(measured) if window.of_starts else ()
    heading = plots[0].title if ax is not None else "" if alone else title
    return sheet.finish(title=heading or None, above=above, covered=covered, named=len(plots))


def _written_in_code(value: object) -> str:
    return repr(value) if isinstance(value, str) else plainly(value)


def _too_many_for(axes: Axes, count: int) -> str:
    """What to do about several facets where there is one matplotlib Axes."""
    further = [Axis.of(key, values) for key, values in list(axes.items())[2:]]
    several = [axis for axis in further if len(axis.kept) > 1]
    choice = ", ".join(f'"{axis.column}": {_written_in_code(axis.kept[0])}' for axis in several)
    return (
        f"ax: holds one facet, found {count}, of {' and '.join(axis.column for axis in several)}. "
        f"Choose one, such as where={{{choice}}}, or leave ax out"
    )


@styled
def all_panels(
    runs: pd.DataFrame,
    axes: Axes,
    *,
    panels: Sequence[str] = (),
    cuts: Cuts = Cuts(),
    columns: Mapping[str, Column] | None = None,
    mesh: Mesh | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Several panels of one grid in one figure; where there are further axes, each facet begins a row.

    By default those of the overview that the runs hold. Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    chosen = [find_panel(panel, cuts, runs, columns) for panel in panels or overview(runs)]
    plots = [
        Plot(shown, _titled(shown.title, facet, facets), facet.runs, cells_of(facet.runs, window, shown, cuts, reach))
        for facet, reach in ((facet, reach_of(mesh, window, facet)) for facet in facets)
        for shown in chosen
    ]
    across = len(chosen) if len(facets) > 1 else min(3, len(chosen))
    width = COLUMN_WIDTH if across == 1 else PAGE_WIDTH
    sheet = Sheet(plots, window, across, width, barred="each", whole_rows=len(facets) > 1)
    return sheet.finish(title=_once(facets))


_DOT: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": LOOKS["failed"].color,
    "markeredgecolor": "white",
    "zorder": 3.5,
}


@styled
def evidence(
    runs: pd.DataFrame, axes: Axes, *, cuts: Cuts = Cuts(), mesh: Mesh | None = None, style: StyleName | Style = "paper"
) -> Figure:
    """The regime diagram by each criterion of active, and the share of modes on which all agree.

    Cells whose regimes differ between the criteria have a dot in the last diagram. Each facet begins a row.
    Arguments and errors are those of `phase_diagram`.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    agreement = find_panel("agreement", cuts, runs)
    each = [(replace(cuts, criterion=name), f"by {one.title}: {one.definition}") for name, one in CRITERIA.items()]
    refuse_without_regimes(runs)
    regimes = [(find_panel("regime", by, runs), by, title) for by, title in each]
    plots = [
        Plot(shown, _titled(title, facet, facets), facet.runs, cells_of(facet.runs, window, shown, by, reach))
        for facet, reach in ((facet, reach_of(mesh, window, facet)) for facet in facets)
        for shown, by, title in (*regimes, (agreement, cuts, "modes on which all agree"))
    ]
    a_row = len(regimes) + 1
    across = 2 if len(facets) == 1 else a_row
    width = 0.8 * PAGE_WIDTH if across == 2 else PAGE_WIDTH
    sheet = Sheet(plots, window, across, width, barred="each", whole_rows=True)
    dot = _DOT | {"markersize": stroke(3.2), "markeredgewidth": stroke(0.6)}
    parted = cells = 0
    for last in range(a_row - 1, len(plots), a_row):
        by_criterion = [plot.cells for plot in plots[last - len(regimes) : last]]
        parting = _parting(by_criterion)
        parted, cells = parted + int(parting.sum()), cells + sum(by_criterion[0].counts().values())
        rows, places = np.nonzero(parting)
        sheet.grid[last].plot(window.x.positions[places], window.y.positions[rows], gid="parting", **dot)
    key = Line2D([], [], label=f"regimes differ ({parted} of {cells} cells)", **dot)
    return sheet.finish(below=[key], title=", ".join(filter(None, (unusual_cuts(cuts), _once(facets)))) or None)


def _titled(title: str, facet: Facet, facets: Sequence[Facet]) -> str:
    return title if len(facets) == 1 else f"{title}\n{facet.title}"


def _once(facets: Sequence[Facet]) -> str | None:
    """What the title of the figure says for all its diagrams: the values that are the same in all."""
    return facets[0].title or None if len(facets) == 1 else None


def _parting(by_criterion: Sequence[Cells]) -> Array:
    """1 for cells whose outcomes are not the same by every criterion, else 0."""
    first = by_criterion[0].outcomes
    parting = np.zeros(by_criterion[0].numbers.shape)
    for cell in set(first) - set(by_criterion[0].stand_ins):
        parting[cell] = any(cells.outcomes[cell] != first[cell] for cells in by_criterion[1:])
    return parting


@styled
def against(
    runs: pd.DataFrame,
    predicted: pd.DataFrame,
    axes: Axes,
    panel: str,
    *,
    cuts: Cuts = Cuts(),
    columns: Mapping[str, Column] | None = None,
    names: tuple[str, str] = ("measured", "predicted"),
    facts: Mapping[str, str] = MappingProxyType({}),
    meshes: tuple[Mesh, Mesh] | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """One panel of some runs, of what they are set against, and their difference; each facet begins a row.

    The difference is measured minus predicted, for quantities over decades the logarithm of the ratio; of outcomes the
    cells that differ are shown in both colours. The title says where theory starts.

    Parameters
    ----------
    runs, predicted
        Two runs tables; their cells are matched by the values of the axes, replicates averaged.
    axes, panel, cuts, columns, style
        As in `phase_diagram`.
    names
        What the two tables are called.
    facts
        By key, in what else the second one differs; see `linphase.diagram.reference.Reference`.
    meshes
        What is asked for in one and the other, as in `phase_diagram`; the difference is of the cells of both.

    Raises
    ------
    LinphaseError
        As `phase_diagram` does, and if either table holds nothing to draw or no cell is in both.
    """
    window, facets = Window.of(axes), split_facets(runs, axes)
    if len(facets) > MAX_FACETS // 3:
        raise LinphaseError(
            f"the axes beyond the first two make {len(facets)} facets; measured against predicted holds at most "
            f"{MAX_FACETS // 3}. Draw some of them: linphase plot --where KEY=VALUE keeps one value of an axis; in "
            "Python linphase.diagram.axes.select"
        )
    shown = find_panel(panel, cuts, runs, columns)
    if shown.shows_regime:
        refuse_without_regimes(runs)
    if not holds(predicted, shown):
        raise LinphaseError(
            f"panel {panel} needs column {shown.column}, which the {names[1]} runs do not hold: there is nothing to "
            f"set the {names[0]} ones against; {remedy_for(shown, predicted)}"
        )
    first, second = called = [_short(name) for name in names]
    off = {axis.column for axis in off_axes(predicted, axes)}
    told = named_columns(axes)
    of_each = (None, None) if meshes is None else (meshes[0], meshes[1].over(axes))
    plots: list[Plot] = []
    for facet, other in zip(facets, split_facets(over_axes(predicted, axes), axes), strict=True):
        known = {name: value for name, value in other.values.items() if name not in off}  # noqa: PD011, of a Facet
        reaches = [reach_of(mesh, window, each) for mesh, each in zip(of_each, (facet, other), strict=True)]
        named = {name: value for name, value in known.items() if name in told}
        plots += _three(facet, replace(other, named=named), window, shown, cuts, (first, second), reaches)
    compared = [plot.cells for plot in plots[2::3]]
    if not any(np.isfinite(cells.numbers).any() or set(cells.outcomes.values()) - {("missing",)} for cells in compared):
        raise LinphaseError("no cell is both in the results and in those they are set against: their grids differ")
    sheet = Sheet(plots, window, 3, PAGE_WIDTH, whole_rows=len(facets) > 1)
    differing = any(len(cell) == 2 for cells in compared for cell in cells.outcomes.values())
    halves = [LOOKS["lazy"], LOOKS["balanced"]]
    unsettled = [
        name
        for i, name in enumerate(called)
        if any(plot.cells.all_unconverged or plot.cells.unconverged for plot in plots[i::3])
    ]
    starts = start_of(predicted, runs), start_of(runs, predicted)
    lines = [f"{name}: {start}" for name, start in zip((second, first), starts, strict=True) if start]
    facts = {key: value for key, value in facts.items() if not (starts[0] and key == "dynamics.kind")}  # told by then
    lines += [line for each in differences(second, facts) for line in textwrap.wrap(each, 90)]
    return sheet.finish(
        title="\n".join(lines) or None,
        above=[Swatch(halves, f"differ: {first} below, {second} above")] if differing else [],
        told=[plot if i % 3 < 2 else replace(plot, cells=_unpaired(plot.cells)) for i, plot in enumerate(plots)],
        whose=" and ".join(unsettled),
    )


def _three(
    facet: Facet,
    other: Facet,
    window: Window,
    shown: Panel,
    cuts: Cuts,
    names: tuple[str, str],
    reaches: Sequence[Reach | None],
) -> Iterator[Plot]:
    """A panel of two facets, and the difference of the cells that are in both."""
    sides = (facet, other)
    pair = [cells_of(each.runs, window, shown, cuts, reach) for each, reach in zip(sides, reaches, strict=True)]
    for each, cells, name in zip(sides, pair, names, strict=True):
        gap = ", " if len(each.plain + name) < 30 else ",\n"
        yield Plot(shown, f"{shown.title}\n{gap.join(filter(None, (each.title, name)))}", each.runs, cells)
    if window.derived:
        pair = [cells_of(runs, window, shown, cuts) for runs in in_both(facet.runs, other.runs, window)]
    mine, its = reaches
    if mine is not None and its is not None and (mine.asked != its.asked).any():
        both = mine.common(its)
        pair = [cells_of(each.runs, window, shown, cuts, both) for each in sides]
    apart, cells, summary = difference(shown, pair[0], pair[1], names)
    yield Plot(apart, summary, facet.runs, cells)


def _short(name: str) -> str:
    """What a table is called, where a third of a page has room for it; a dollar is none of mathematics."""
    shown = name if len(name) <= 22 else f"{name[:10]}\N{HORIZONTAL ELLIPSIS}{name[-11:]}"
    return shown.replace("$", r"\$")


def _unpaired(cells: Cells) -> Cells:
    """Without the cells in two colours, which the legend tells about once."""
    return replace(cells, outcomes={cell: shown for cell, shown in cells.outcomes.items() if len(shown) == 1})

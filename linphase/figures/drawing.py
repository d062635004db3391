"""Every figure of some results, by its name: a panel, or one of the figures that are more than a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.axes import axis_column, named_axis, only_facet, selected, several, span
from linphase.diagram.curves import check_curves
from linphase.diagram.facts import facts
from linphase.diagram.measured import PATHS, MeasuredBoundary, boundaries_of, boundaries_of_path
from linphase.diagram.mesh import mesh_of
from linphase.diagram.names import held_name
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import (
    BASELINES,
    Panel,
    base_name,
    find_panel,
    known_panels,
    made_by_theory,
    overview,
    unknown_panel,
    usual_panel,
)
from linphase.diagram.reference import Reference, sweep_beside, theory_for
from linphase.diagram.replicate_means import common_times, mean_curves
from linphase.diagram.sampling import cell_of_each_regime, only_run, sampled_runs
from linphase.diagram.versus import predictions_of
from linphase.errors import ConfigError, LinphaseError, check_argument
from linphase.figures import diagrams, profiles
from linphase.figures.collapse import collapse
from linphase.figures.evolution import title_of, trajectory_figure
from linphase.figures.fitting import Style, StyleName, style_called
from linphase.figures.style import check_axes
from linphase.figures.three_regimes import RegimeCell, three_regimes
from linphase.figures.trajectory_map import trajectory_map
from linphase.model.regime import Cuts
from linphase.model.registry import Registry, place_of
from linphase.model.threads import one_blas_thread
from linphase.runs.beside import Evolution, crossings, theory_beside
from linphase.runs.records import Trajectory
from linphase.store.results import Results
from linphase.store.rows import decays_of, has_closed_form, initialization_of, task_of

Draw = Callable[..., Figure]  # (results, cuts, *, style)
FIGURES: Registry[Draw] = Registry("figure", travels=False)


def figure(name: str) -> Callable[[Draw], Draw]:
    """Declare a function of results, cuts and (by its name) style as a figure; it stays the function that it is.

    Examples
    --------
    >>> @figure("boundaries")
    ... def boundaries(results, cuts, *, style="paper"):
    ...     ...
    """

    def declare(function: Draw) -> Draw:
        FIGURES.declare(name, function, place_of(function))
        return function

    return declare


def draw(
    results: Results,
    name: str,
    cuts: Cuts = Cuts(),
    *,
    against: Literal["theory"] | Results | Reference | None = None,
    ax: Axes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Draw a panel of some results, or one of the figures that are more than a panel.

    Where only one axis has several values, panels are curves along it, as `draw_along` draws them.

    Parameters
    ----------
    results
        Of a directory, or a part of them: other runs and axes in their place.
    name
        A panel, declared here or told by the files, or one of FIGURES: boundaries (the regimes with the measured
        boundaries), evidence, collapse, trajectories (of one cell: its run over time), three-regimes, all.
    cuts
        The criterion of active, and what turns shares into regimes.
    against
        "theory", to draw measured, predicted and their difference; or other results in theory's place; or what
        `reference_for` made of either, which says what they lack.
    ax
        Of a figure of one's own, where one facet of a panel, or of boundaries, is drawn.
    style
        paper, talk, or a `Style`.

    Raises
    ------
    LinphaseError
        If there is no such name, or the results do not hold what it needs, or it cannot be set against theory, or
        needs more than the one Axes that is given.

    Examples
    --------
    >>> draw(linphase.load("results/quickstart"), "test-error", against="theory").savefig("error.pdf")
    """
    panel = _check_name(results, name)
    if ax is not None:
        _check_one_axes(ax, name, against)
    if style_called(style).ranged:
        _check_scale(name, panel)
    if name in WITHOUT_LINES and not (style_called(style).lines and style_called(style).names):
        raise LinphaseError(f"lines, names: {name} has none of theory's lines to leave out")
    varied = several(results.axes)
    if against is None and len(varied) == 1 and (panel is not None or name == "all"):
        line = replace(results, axes={varied[0]: results.axes[varied[0]], **results.axes})
        return _curves(line, name, cuts, ax=ax, style=style)
    if against is not None:
        mesh = mesh_of(results)
        other = against if isinstance(against, Reference) else reference_for(results, name, against, cuts)
        return diagrams.against(
            results.runs,
            other.runs,
            other.axes,
            name,
            cuts=cuts,
            columns=results.columns,
            names=other.names,
            facts=other.facts,
            meshes=(mesh, mesh if other.mesh is None else other.mesh),
            style=style,
        )
    if name in FIGURES:
        return FIGURES[name](results, cuts, style=style, **({} if ax is None else {"ax": ax}))
    measured = boundaries_of_path(results, panel.column if panel is not None and panel.name == name else None)
    return diagrams.phase_diagram(
        results.runs,
        results.axes,
        name,
        cuts=cuts,
        columns=results.columns,
        measured=measured,
        mesh=mesh_of(results),
        ax=ax,
        style=style,
    )


def plot(
    results: Results,
    name: str | None = None,
    cuts: Cuts = Cuts(),
    *,
    ax: Axes | None = None,
    x: str | None = None,
    y: str | None = None,
    along: str | None = None,
    where: Mapping[str, Any] = MappingProxyType({}),
    against: Literal["theory"] | Results | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """`draw` or `draw_along`, of the part of the results that is asked for; see `Results.plot`, which calls it."""
    _check_part(where, against)
    for argument, asked in {"panel": name, "x": x, "y": y, "along": along}.items():
        if asked is not None:
            check_argument(argument, asked, str, "a name")
    if name is not None:
        _check_name(results, name)
    part = selected(results, where)
    name = name or usual_panel(part.runs)
    if along is not None:
        for argument, value in {"x": x, "against": against}.items():
            if value is not None:
                raise LinphaseError(f"{argument}: has no meaning with along. Leave one of them out")
        return draw_along(part, name, cuts, along=along, y=y, ax=ax, style=style)
    part = replace(part, axes=span(part.runs, part.axes, x, y))
    return draw(part, name, cuts, against=against, ax=ax, style=style)


def draw_along(
    results: Results,
    name: str,
    cuts: Cuts = Cuts(),
    *,
    along: str,
    y: str | None = None,
    ax: Axes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Draw a panel of some results as curves along an axis; "all" draws the panels that tell most.

    Points are means over replicates with 95 % intervals, dashed is theory from A = 0. Regimes are the active shares of
    signal and bulk, above a strip of the outcomes.

    Parameters
    ----------
    results, name, cuts, ax, style
        As in `draw`.
    along
        An axis with several values, or one that follows from them, such as c.
    y
        The axis that tells the curves apart; by default all further ones with several values do.

    Raises
    ------
    LinphaseError
        If there is no such axis or panel, or too many curves.

    Examples
    --------
    >>> draw_along(selected(results, {"gamma_w": 2}), "test-error", along="gamma_sigma2")
    """
    panel = _check_name(results, name)
    if panel is None and name != "all":
        raise LinphaseError(f"panel {name}: is a figure of its own, so no curve can be drawn of it. Choose another one")
    if ax is not None:
        _check_one_axes(ax, name, None)
    if style_called(style).ranged:
        _check_scale(name, panel)
    axes = span(results.runs, results.axes, named_axis("along", along, results.axes), y)
    return _curves(replace(results, axes=axes), name, cuts, ax=ax, style=style)


_SHARES = ("signal-active", "bulk-active")


def _curves(results: Results, name: str, cuts: Cuts, *, ax: Axes | None, style: StyleName | Style) -> Figure:
    """Panels along the first axis, with theory where it predicts these runs."""
    panels = overview(results.runs) if name == "all" else [name]
    if name == "all" and len(several(results.axes)) > 1:  # the outcomes are a strip below a single line
        panels = [each for panel in panels for each in (_SHARES if panel == "regime" else (panel,))][:-1]
    check_curves(results.axes)  # before theory is computed, not after
    found = [find_panel(each, cuts, results.runs, results.columns) for each in panels]
    known = not made_by_theory(results.runs) and not all(panel.unpredicted for panel in found)
    try:
        predicted = predictions_of(results) if known else None
    except ConfigError:
        predicted = None
    return profiles.curves(
        results.runs,
        results.axes,
        panels,
        cuts=cuts,
        columns=results.columns,
        predicted=predicted,
        mesh=mesh_of(results),
        ax=ax,
        style=style,
    )


IN_ONE_AXES = ("boundaries",)  # of FIGURES
WITHOUT_LINES = ("collapse", "trajectories", "three-regimes")


def _check_one_axes(ax: Any, name: str, against: object) -> None:
    """Refuse what is no Axes of two dimensions, and figures that need more than one."""
    check_axes(ax)
    told = "a comparison" if against is not None else name
    if against is not None or (name in FIGURES and name not in IN_ONE_AXES):
        raise LinphaseError(
            f"ax: {told} is a figure of several Axes, and cannot be drawn into one. Leave ax out, or choose a panel, "
            f"such as regime, or {' or '.join(IN_ONE_AXES)}"
        )


def _check_scale(name: str, panel: Panel | None) -> None:
    """Refuse ends of a scale, or another one, where there is no one scale of numbers."""
    if panel is None:
        raise LinphaseError(f"vmin, vmax, scale: a panel of numbers is required, and {name} is a figure of its own")
    if panel.scale in ("outcome", "ln"):
        what = "outcomes" if panel.scale == "outcome" else "a logarithm"
        raise LinphaseError(f"vmin, vmax, scale: a panel of numbers is required, and {name} draws {what}")


def _check_part(where: Any, against: Any) -> None:
    """Refuse arguments of another shape than they must have."""
    if not (isinstance(where, Mapping) and all(isinstance(key, str) for key in where)):
        raise LinphaseError(
            f'where: values by the key of an axis are required, such as {{"rank": 4}}, found {where!r:.60}'
        )
    if not (against is None or isinstance(against, Results) or (isinstance(against, str) and against == "theory")):
        raise LinphaseError(f'against: "theory" or other Results are required, found {against!r:.60}')


def _check_name(results: Results, name: str) -> Panel | None:
    """The panel that a name means, None of a figure; LinphaseError where there is neither."""
    panels = known_panels(results.columns)
    base = base_name(name, panels)
    if base is None and name not in FIGURES:
        raise unknown_panel(name, (*panels, *FIGURES))
    return None if base is None else panels[base]


def reference_for(results: Results, name: str, against: Literal["theory"] | Results, cuts: Cuts = Cuts()) -> Reference:
    """What a panel of some results is set against, and what has to be said of the two; arguments and errors of `draw`.

    Examples
    --------
    >>> reference = reference_for(results, "regime", linphase.load("results/self_consistent"))
    >>> print(*reference.notes, sep="\\n")
    >>> draw(results, "regime", against=reference)
    """
    panel = _check_name(results, name)
    theory = not isinstance(against, Results)
    reason = "it is a figure of its own" if panel is None else panel.unpredicted if theory else ""
    if reason:
        panels = known_panels(results.columns)
        others = ", ".join(other for other, panel in panels.items() if not (theory and panel.unpredicted))
        what = "theory" if theory else "other results"
        raise LinphaseError(f"panel {name}: cannot be set against {what}, {reason}. Choose one of {others}")
    find_panel(name, cuts, results.runs, results.columns)  # before theory is computed, not after
    return sweep_beside(results, against) if isinstance(against, Results) else theory_for(results)


# --- The figures that are more than a panel ------------------------------------------------------------------------


@figure("boundaries")
def boundaries(
    results: Results,
    cuts: Cuts,
    *,
    found: Sequence[MeasuredBoundary] | None = None,
    ax: Axes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """The regimes, and where the order parameters cross their cuts; boundaries of the path have panels of their own.

    found: of `boundaries_of`, by whoever has it already.
    """
    found = boundaries_of(results, cuts) if found is None else found
    measured = [one for one in found if one.name not in PATHS.values()]
    return diagrams.phase_diagram(
        results.runs, results.axes, "regime", cuts=cuts, measured=measured, mesh=mesh_of(results), ax=ax, style=style
    )


@figure("evidence")
def evidence(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """The regimes by each criterion of active, and where they part."""
    return diagrams.evidence(results.runs, results.axes, cuts=cuts, mesh=mesh_of(results), style=style)


@figure("collapse")
def _collapse(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """Every mode of every run: its speed-up against its singular value over the threshold."""
    return collapse(results.runs, results.final_modes(), style=style)


@figure("trajectories")
def trajectories(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """Singular values over time in some of the cells, laid over the diagram; of a single cell its run."""
    if not several(results.axes) and not results.runs["replicate"].duplicated().any():
        return _one_run(results, cuts, style)
    mesh = mesh_of(results)
    kept = {one: results.trajectory(one.run_id) for one in sampled_runs(results.runs, results.axes, mesh)}
    return trajectory_map(results.runs, results.axes, kept, cuts=cuts, mesh=mesh, style=style)


@figure("three-regimes")
def _three_regimes(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """Errors and singular values over time in a cell of each regime, averaged over its replicates."""
    title = "\n".join(filter(None, (only_facet(results.runs, results.axes), facts(results.runs))))
    chosen = cell_of_each_regime(results.runs, results.axes, cuts, mesh_of(results))
    cells = {regime: _regime_cell(results, runs) for regime, runs in chosen.items()}
    return three_regimes(cells, title=title, style=style)


@figure("all")
def _all(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """The six panels that tell most."""
    return diagrams.all_panels(results.runs, results.axes, cuts=cuts, mesh=mesh_of(results), style=style)


def baselines_in(run: Mapping[str, Any]) -> dict[str, float]:
    """The baselines of the test error that are drawn, from a row of the runs table; none of older ones."""
    given = [(name, run[column]) for name, column in BASELINES.items() if column in run]
    return {name: float(error) for name, error in given if pd.notna(error)}


def _theory(run: Mapping[str, Any], trajectory: Trajectory) -> Evolution | None:
    """Theory from A = 0 beside a run, where it has a closed form and the task can be drawn again."""
    if not has_closed_form(run):
        return None
    start = initialization_of(run)
    with one_blas_thread():
        return theory_beside(
            task_of(run), start.width, float(run["threshold"]), trajectory, start.richness, decays_of(run)
        )


def _regime_cell(results: Results, runs: pd.DataFrame) -> RegimeCell:
    """The curves of a cell, measured and by theory, over its replicates."""
    told: list[dict[str, Any]] = [dict(run) for _, run in runs.iterrows()]
    measured = [results.trajectory(run["run_id"]) for run in told]
    predicted = [_theory(run, each) for run, each in zip(told, measured, strict=True)]
    known = [each for each in predicted if each is not None]
    time, first = common_times(measured), told[0]
    where = f"{held_name([('gamma_sigma2', round(first['gamma_sigma2'], 3))])}, width {first['width']:,}"
    spanning = [axis_column(key) for key in list(results.axes)[:2]]
    others = {name: first[name] for name in spanning if name not in (*VARIANCE_KEYS, *WIDTH_KEYS)}
    return RegimeCell(
        place="\n".join([where, held_name(others.items())] if others else [where]),
        threshold=float(first["threshold"]),
        rank=int(first["rank"]),
        replicates=len(told),
        measured=mean_curves(measured, time),
        theory=mean_curves(known, time) if len(known) == len(told) and not made_by_theory(runs) else None,
        predicted=made_by_theory(runs),
    )


def _one_run(results: Results, cuts: Cuts, style: StyleName | Style) -> Figure:
    """The first run of the only cell, with theory where its task can be drawn again."""
    run, replicates = only_run(results.runs)
    trajectory, threshold = results.trajectory(run["run_id"]), float(run["threshold"])
    outcome = outcomes(results.runs[results.runs["run_id"] == run["run_id"]], cuts).iloc[0]
    return trajectory_figure(
        trajectory,
        threshold=threshold,
        rank=int(run["rank"]),
        crossings=crossings(trajectory, threshold),
        theory=None if (predicted := made_by_theory(results.runs)) else _theory(run, trajectory),
        predicted=predicted,
        baselines=baselines_in(run),
        title=title_of(run, outcome, replicates),
        style=style,
    )

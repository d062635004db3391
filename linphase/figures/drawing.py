"""Every figure of some results, by its name: a panel, or one of the figures that are more than a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from linphase.config.keys import VARIANCE_KEYS, WIDTH_KEYS
from linphase.diagram.axes import axis_column, facet_title, only_facet, select, span
from linphase.diagram.looks import written
from linphase.diagram.measured import PATHS, MeasuredBoundary, boundaries_of, boundaries_of_path
from linphase.diagram.mesh import mesh_of
from linphase.diagram.outcomes import outcomes
from linphase.diagram.panels import BASELINES, Panel, find_panel, known_panels, unknown_panel, usual_panel
from linphase.diagram.reference import Reference, sweep_beside, theory_for
from linphase.diagram.replicate_means import common_times, mean_curves
from linphase.diagram.sampling import cell_of_each_regime, nearest_run, sampled_runs
from linphase.errors import LinphaseError
from linphase.figures import diagrams
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

Draw = Callable[..., Figure]  # (results, cuts, *, style), trajectories with `at` besides
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
    at: tuple[float, float] | None = None,
    ax: Axes | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """Draw a panel of some results, or one of the figures that are more than a panel.

    Parameters
    ----------
    results
        Of a directory, or a part of them: other runs and axes in their place.
    name
        A panel, declared here or told by the files, or one of FIGURES: boundaries (the regimes with the measured
        boundaries), evidence, collapse, trajectories, three-regimes, all.
    cuts
        The criterion of active, and what turns shares into regimes.
    against
        "theory", to draw measured, predicted and their difference; or other results in theory's place; or what
        `reference_for` made of either, which says what they lack.
    at
        trajectories: gamma_sigma2 and gamma_w of a place, whose nearest run is drawn over time.
    ax
        Of a figure of one's own, where one facet of a panel, or of boundaries, is drawn.
    style
        paper or talk.

    Raises
    ------
    LinphaseError
        If there is no such name, or the results do not hold what it needs, or it cannot be set against theory, or
        needs more than the one Axes that is given.

    Examples
    --------
    >>> draw(linphase.load("results/quickstart"), "test-error", against="theory").savefig("error.pdf")
    """
    panels = _check_name(results, name)
    if at is not None and name != "trajectories":
        raise LinphaseError(f"at: is for trajectories, found {name}")
    if ax is not None:
        _check_one_axes(ax, name, panels, against)
    if style_called(style).ranged:
        _check_scale(name, panels)
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
        given = {"at": at, "ax": ax}
        return FIGURES[name](
            results, cuts, style=style, **{key: each for key, each in given.items() if each is not None}
        )
    measured = boundaries_of_path(results, panels[name].column)
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
    where: Mapping[str, Any] = MappingProxyType({}),
    against: Literal["theory"] | Results | None = None,
    at: tuple[float, float] | None = None,
    style: StyleName | Style = "paper",
) -> Figure:
    """`draw` over the axes and of the part of the results that are asked for; see `Results.plot`, which calls it."""
    _check_part(where, against, at)
    if name is not None:
        _check_name(results, name)
    wanted = {key: value if isinstance(value, list | tuple) else [value] for key, value in where.items()}
    runs, axes = select(results.runs, results.axes, wanted) if wanted else (results.runs, results.axes)
    part = replace(results, runs=runs, axes=span(runs, axes, x, y))
    return draw(part, name or usual_panel(runs), cuts, against=against, at=at, ax=ax, style=style)


IN_ONE_AXES = ("boundaries",)  # of FIGURES


def _check_one_axes(ax: Any, name: str, panels: Mapping[str, Panel], against: object) -> None:
    """Refuse what is no Axes of two dimensions, and figures that need more than one."""
    check_axes(ax)
    told = "a comparison" if against is not None else name
    if against is not None or (name in FIGURES and name not in IN_ONE_AXES):
        raise LinphaseError(
            f"ax: {told} is a figure of several Axes, and cannot be drawn into one. Leave ax out, or choose a panel, "
            f"such as regime, or {' or '.join(IN_ONE_AXES)}"
        )


def _check_scale(name: str, panels: Mapping[str, Panel]) -> None:
    """Refuse ends of a scale, or another one, where there is no one scale of numbers."""
    if name in FIGURES or panels[name].scale in ("outcome", "ln"):
        what = (
            "is a figure of its own"
            if name in FIGURES
            else "draws outcomes"
            if panels[name].scale == "outcome"
            else "draws a logarithm"
        )
        raise LinphaseError(f"vmin, vmax, scale: a panel of numbers is required, and {name} {what}")


def _check_part(where: Any, against: Any, at: Any) -> None:
    """Refuse arguments of another shape than they must have."""
    if not isinstance(where, Mapping):
        raise LinphaseError(
            f'where: values by the key of an axis are required, such as {{"rank": 4}}, found {where!r:.60}'
        )
    if not (against is None or isinstance(against, Results) or (isinstance(against, str) and against == "theory")):
        raise LinphaseError(f'against: "theory" or other Results are required, found {against!r:.60}')
    if at is not None and not (
        isinstance(at, list | tuple)
        and len(at) == 2
        and all(isinstance(place, Real) and isfinite(place) for place in at)
    ):
        raise LinphaseError(f"at: two numbers (gamma_sigma2, gamma_w) are required, found {at!r:.60}")


def _check_name(results: Results, name: str) -> dict[str, Panel]:
    """The panels that there are; LinphaseError where neither they nor the figures have the name."""
    panels = known_panels(results.columns)
    if name not in panels and name not in FIGURES:
        raise unknown_panel(name, (*panels, *FIGURES))
    return panels


def reference_for(results: Results, name: str, against: Literal["theory"] | Results, cuts: Cuts = Cuts()) -> Reference:
    """What a panel of some results is set against, and what has to be said of the two; arguments and errors of `draw`.

    Examples
    --------
    >>> reference = reference_for(results, "regime", linphase.load("results/self_consistent"))
    >>> print(*reference.notes, sep="\\n")
    >>> draw(results, "regime", against=reference)
    """
    panels = _check_name(results, name)
    theory = not isinstance(against, Results)
    reason = "it is a figure of its own" if name in FIGURES else panels[name].unpredicted if theory else ""
    if reason:
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
def trajectories(
    results: Results, cuts: Cuts, *, at: tuple[float, float] | None = None, style: StyleName | Style = "paper"
) -> Figure:
    """Singular values over time in some of the cells, laid over the diagram; or of the run nearest to a place."""
    if at is not None:
        return _one_run(results, cuts, at, style)
    mesh = mesh_of(results)
    kept = {one: results.trajectory(one.run_id) for one in sampled_runs(results.runs, results.axes, mesh)}
    return trajectory_map(results.runs, results.axes, kept, cuts=cuts, mesh=mesh, style=style)


@figure("three-regimes")
def _three_regimes(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
    """Errors and singular values over time in a cell of each regime, averaged over its replicates."""
    title = only_facet(results.runs, results.axes)
    chosen = cell_of_each_regime(results.runs, results.axes, cuts, mesh_of(results))
    cells = {regime: _regime_cell(results, runs) for regime, runs in chosen.items()}
    return three_regimes(cells, title=title, style=style)


@figure("all")
def overview(results: Results, cuts: Cuts, *, style: StyleName | Style = "paper") -> Figure:
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
    where = rf"$\gamma_{{\sigma^2}}$ = {written(round(first['gamma_sigma2'], 3))}, width {first['width']:,}"
    spanning = [axis_column(key) for key in list(results.axes)[:2]]
    others = {name: first[name] for name in spanning if name not in (*VARIANCE_KEYS, *WIDTH_KEYS)}
    return RegimeCell(
        place="\n".join([where, facet_title(others)] if others else [where]),
        threshold=float(first["threshold"]),
        rank=int(first["rank"]),
        replicates=len(told),
        measured=mean_curves(measured, time),
        theory=mean_curves(known, time) if len(known) == len(told) else None,
    )


def _one_run(results: Results, cuts: Cuts, at: tuple[float, float], style: StyleName | Style) -> Figure:
    """The first run of the nearest cell, with theory where its task can be drawn again."""
    run, replicates = nearest_run(results.runs, results.axes, *at)
    trajectory, threshold = results.trajectory(run["run_id"]), float(run["threshold"])
    outcome = outcomes(results.runs[results.runs["run_id"] == run["run_id"]], cuts).iloc[0]
    return trajectory_figure(
        trajectory,
        threshold=threshold,
        rank=int(run["rank"]),
        crossings=crossings(trajectory, threshold),
        theory=_theory(run, trajectory),
        baselines=baselines_in(run),
        title=title_of(run, outcome, replicates),
        style=style,
    )

"""What a phase diagram can show.

A panel is one declaration: an observable's own, or `panel` over any stored column. The panels of columns that nobody
declares here are read from what the files tell of them.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

from linphase.dynamics.base import Dynamics
from linphase.errors import LinphaseError
from linphase.model.moment import LISTS, OBSERVABLES
from linphase.model.regime import CRITERIA, Cuts, OrderParameters
from linphase.model.registry import Registry
from linphase.runs.comparison import COMPARISONS

if TYPE_CHECKING:
    import pandas as pd

    from linphase.store.columns import Column

UNFINISHED = ("diverged", "failed")
OVERVIEW = ("regime", "test-error", "stable-rank", "iterations", "final-test-error", "agreement")
# What a task of one's own must tell for a column to have a value.
_TEST_ERRORS = (
    *("min_test_error", "final_test_error", "stable_rank_at_min", "rank_at_min"),
    *("generalization_gap", "generalization_gap_at_min", "largest_generalization_gap"),
)
_OF_SIGNAL = ("subspace_overlap", "subspace_overlap_at_min")
_OF_WHITE = ("benefit", "blind_test_error", "iterations_at_min")
_OLDER = "they were made before linphase measured it: sweep into another directory"

ScaleName = Literal["outcome", "linear", "log", "ln", "share", "difference"]
Statistic = Literal["mean", "deviation", "relative deviation", "deviation of ln", "dissent"]  # over replicates
SPREAD = "-spread"  # ends the name of the panel of how far the replicates of each cell lie apart


@dataclass(frozen=True)
class Panel:
    """What a phase diagram can show: a column of the runs table, or an outcome (column None); see `panel`."""

    name: str
    title: str
    column: str | None
    scale: ScaleName = "log"
    colors: str = "viridis"
    unit: str = ""
    formula: str = ""
    levels: tuple[float, ...] = ()
    null: str | None = None
    remedy: str = _OLDER
    unpredicted: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    group: str = "others"
    statistic: Statistic = "mean"

    @property
    def shows_regime(self) -> bool:
        """Whether it shows how each run trained, by the criterion and the cuts, and no stored column."""
        return self.column is None and self.statistic == "mean"

    @property
    def measured(self) -> bool:
        """Whether its column exists for each criterion of active."""
        return self.column in (*OrderParameters.__dataclass_fields__, "active_modes")


PANELS: Registry[Panel] = Registry("panel", travels=False)  # those of `panel`; `known_panels` has all


def panel(
    name: str,
    column: str | None,
    title: str,
    *,
    scale: ScaleName = "log",
    colors: str = "viridis",
    unit: str = "",
    formula: str = "",
    levels: tuple[float, ...] = (),
    null: str | None = None,
    remedy: str = _OLDER,
    unpredicted: str = "",
    marks: Mapping[str, str] = MappingProxyType({}),
    group: str = "others",
) -> Panel:
    """Declare a panel over a stored column.

    Parameters
    ----------
    name, title
        What it is chosen by, and what stands above it; a formula (mathtext) is the title's second line.
    column
        A column of the runs table.
    scale
        log, linear; ln draws the natural logarithm itself, on a linear scale; share is linear and ends at 1; outcome is
        for regimes and statuses.
    colors
        A colour map of matplotlib.
    unit
        A unit or symbol, beside the colour bar.
    levels
        Values drawn as steps along the edges of cells.
    null
        What no value means, where it means something.
    remedy, unpredicted
        How to get the column, and why theory has no value: parts of messages.
    marks
        Columns by their names, whose values are marked at the colour bar.
    group
        The heading under which `linphase plot --help` lists it.

    Raises
    ------
    LinphaseError
        If another panel has the name, or the scale is none of these.

    Examples
    --------
    >>> panel("drift", column="imbalance_drift", title="drift of the imbalance", colors="magma")
    """
    if scale not in get_args(ScaleName):
        raise LinphaseError(f"panel {name!r}: scale must be one of {', '.join(get_args(ScaleName))}, found {scale!r}")
    marked = tuple(marks.items())
    one = Panel(
        name, title, column, scale, colors, unit, formula, tuple(levels), null, remedy, unpredicted, marked, group
    )
    PANELS.declare(name, one, f"{sys._getframe(1).f_globals['__name__']}:{name}")
    return one


# Errors that on data are measured by other formulas.
_MEASURED_ON_DATA = (
    "min_test_error",
    *(f"{when}_{of}_error" for when in ("final", "mean") for of in ("train", "test")),
)
# What a test error is to be held against, of the task alone: names and columns.
BASELINES = {"optimal": "optimal_test_error", "lazy": "lazy_test_error"}
AT_REST = "$A = 0$"  # the name of its test error
_MARKS: dict[str, Any] = {"marks": {**BASELINES, AT_REST: "zero_test_error"}}
_NEVER = "never for half of the signal modes or more"
_ZERO, _WEIGHTS = "it is 0 by construction", "it belongs to the weights of the start"
_MAGMA: dict[str, Any] = {"colors": "magma"}
_TIME: dict[str, Any] = {"unit": "time", "colors": "magma"}
_LAST_HALF: dict[str, Any] = {"remedy": 'sweep into another directory with stop.rule = "time"',
              "unpredicted": "it is a mean over the states of a run"}  # fmt: skip
_MODES: dict[str, Any] = {"scale": "share", "unit": "share of modes", "colors": "cividis"}

# The headings of `linphase plot --help`.
_REGIMES, _ERRORS, _TIMES = "regimes", "errors", "times and cost"
_SPECTRUM, _LAYERS, _THEORY = "spectrum", "kernel, layers and curvature", "distance to theory"

panel("regime", None, "regime", group=_REGIMES, scale="outcome")
panel("status", "status", "status", group=_REGIMES, scale="outcome")
panel("test-error", "min_test_error", "smallest test error",
      group=_ERRORS, formula=r"$\mathrm{min}_t\,\|A-A^*\|_F^2/d^2$",
      **_MARKS)  # fmt: skip
panel(
    "final-test-error", "final_test_error", "final test error", group=_ERRORS, formula=r"$\|A-A^*\|_F^2/d^2$", **_MARKS
)
panel("train-error", "final_train_error", "final train error", group=_ERRORS, formula=r"$\|A-Y\|_F^2/d^2$")
panel("mean-test-error", "mean_test_error", "mean test error of the last half",
      group=_ERRORS, formula=r"$\|A-A^*\|_F^2/d^2$",
      **_LAST_HALF)  # fmt: skip
panel("mean-train-error", "mean_train_error", "mean train error of the last half",
      group=_ERRORS, formula=r"$\|A-Y\|_F^2/d^2$",
      **_LAST_HALF)  # fmt: skip
panel("benefit", "benefit", "what is left of lazy training's\nexcess over optimal shrinkage",
      group=_ERRORS, scale="linear",
      formula=r"$(e_{min}-e_{opt})/(e_{lazy}-e_{opt})$", levels=(0.5,), colors="viridis")  # fmt: skip
panel("learning-order", "learning_order", "learning order:\nthe bulk's time over the signal's",
      group=_TIMES, levels=(2.0,),
      formula=r"$t_{95}^{bulk}/t_{95}^{signal}$", colors="magma")  # fmt: skip
panel("blind-test-error", "blind_test_error", "test error of a stop that\ndoes not see the signal", group=_ERRORS,
      formula=r"at $\|A-Y\|_F^2/d^2=\nu^2(1-k/d)^2$")  # fmt: skip
panel("iterations", "iterations_at_min", "smallest test error: iterations\nat the paper's learning rate",
      group=_TIMES, unit="steps",
      **_MAGMA)  # fmt: skip
panel("time-at-min", "time_at_min", "time of the smallest test error", group=_TIMES, **_TIME)
panel("distance", "distance_to_self_consistent", "ln of the largest distance to the\nself-consistent dynamics",
      group=_THEORY,
      scale="ln", unit=r"$\ln\,\mathrm{max}_t\,\|A-A_{sc}\|_F^2/d^2$",
      levels=(-7.0, -4.0, 0.0),  # of the published contours, Tu et al. 2024, Figure 2
      remedy='sweep into another directory with record.compare = "self_consistent" or "self_consistent_euler"',
      unpredicted=_ZERO)  # fmt: skip
panel("final-time", "final_time", "final time", group=_TIMES, **_TIME)
panel("evaluations", "gradient_evaluations", "gradient evaluations", group=_TIMES, **_MAGMA)
panel("signal-active", "signal_active", "active share of the signal", group=_REGIMES, **_MODES)
panel("bulk-active", "bulk_active", "active share of the bulk", group=_REGIMES, **_MODES)
panel("active-modes", "active_modes", "active modes", group=_REGIMES, unit="modes", colors="cividis",
      levels=tuple(2.0**i for i in range(15)))  # fmt: skip
panel("agreement", "evidence_agreement", "modes on which\nall criteria agree", group=_REGIMES, **_MODES)
panel(
    "crossing-time",
    "crossing_time",
    "time to cross the threshold",
    group=_TIMES,
    formula=r"$s_i = c$",
    null=_NEVER,
    **_TIME,
)
panel(
    "escape-time",
    "escape_time",
    "time to half of the target",
    group=_TIMES,
    formula=r"$s_i = s_i(Y)/2$",
    null=_NEVER,
    **_TIME,
)
panel("convergence-time", "convergence_time", "time to converge within 5 %", group=_TIMES,
      formula=r"$|s_i - s_i(Y)| = 0.05\,s_i(Y)$", null=_NEVER, **_TIME)  # fmt: skip

_OF_HESSIAN: dict[str, Any] = {"remedy": "sweep into another directory with record.sharpness = true"}
# What differs from the defaults in panels of observables: model/ knows no looks.
_OVERLAP = {"colors": "cividis", "unit": r"$(\|U_k^T U^*\|_F^2 + \|V_k^T V^*\|_F^2)/2k$", "group": _SPECTRUM}
_BETTERED: dict[str, dict[str, Any]] = {
    "stable-rank": {"colors": "cividis", "unit": r"$\|A\|_F^2/\|A\|_{op}^2$", "group": _SPECTRUM},
    "rank": {"colors": "cividis", "unit": "singular values above $s_1/5$", "group": _SPECTRUM},
    "alignment": {"colors": "cividis", "group": _LAYERS},
    "overlap": _OVERLAP,
    "final-overlap": {"title": "final overlap with the signal", **_OVERLAP},
    "started-above": {"colors": "cividis", "unit": "share of modes", "group": _REGIMES},
    "residual": {"unpredicted": _ZERO, "group": _THEORY},
    "sharpness": {"group": _LAYERS, **_OF_HESSIAN},
    "largest-sharpness": {"group": _LAYERS, **_OF_HESSIAN},
    "generalization-gap": {"group": _ERRORS},
    "generalization-gap-at-min": {"scale": "linear", "group": _ERRORS},  # mostly below 0: the noise is not fitted there
    "largest-generalization-gap": {"group": _ERRORS},
    **{
        name: {"group": _LAYERS}
        for name in ("kernel-change", "kernel-distance", "imbalance", "imbalance-drift", "forgetting")
    },
}
# Name and title of the panels of the second and further moments of an observable.
_FURTHER = {
    "end": ("final-{}", "final {}"),
    "minimum": ("{}-at-min", "{}\nat smallest test error"),
    "largest": ("largest-{}", "largest {}"),
}


def known_panels(columns: Mapping[str, Column] | None = None) -> dict[str, Panel]:
    """Every panel there is now, by its name.

    Parameters
    ----------
    columns
        Those of some results (`Results.columns`): what their files tell of panels that are not declared here.

    Raises
    ------
    LinphaseError
        If an observable claims the name of another panel.
    """
    found: dict[str, Panel] = dict(PANELS)
    for one in _observed():
        if one.name in found:
            raise LinphaseError(
                f"panel {one.name!r}: a name of its own is required, found it for {one.column} and "
                f"{found[one.name].column}. Rename one"
            )
        found[one.name] = one
    for told in (columns or {}).values():
        if told.panel and told.panel not in found:
            scale: Any = told.scale if told.scale in get_args(ScaleName) else "log"
            found[told.panel] = Panel(
                told.panel, told.title, told.name, scale, told.colors or Panel.colors, told.unit, told.formula
            )
    return found


def _observed() -> list[Panel]:
    """The panels of the observables; the first moment at which one is stored bears its panel's name and title."""
    found = []
    for one in OBSERVABLES.values():
        for i, at in enumerate(at for at in one.at if at not in LISTS):
            name, title = ("{}", "{}") if i == 0 else _FURTHER[at]
            made = Panel(
                name.format(one.panel),
                title.format(one.title),
                one.column(at),
                scale="share" if one.unit == "share" else "log",
                unit=one.unit,
                formula=one.formula,
                unpredicted=_WEIGHTS if "weights" in one.needs else "",
            )
            found.append(replace(made, **_BETTERED.get(made.name, {})))
    return found


def usual_panel(runs: pd.DataFrame) -> str:
    """The panel that is drawn where nobody chooses: regimes or, where no run can have one, the active modes."""
    return "regime" if runs.empty or (runs["rank"] > 0).any() else "active-modes"


def _of_other_inputs(runs: pd.DataFrame) -> bool:
    """Whether errors are measured along inputs that are not white."""
    given = any(name in runs and runs[name].notna().any() for name in ("data", "capacity_exponent"))
    return given or ("input_decay" in runs and bool((runs["input_decay"].fillna(0) != 0).any()))


def refuse_without_regimes(runs: pd.DataFrame) -> None:
    """Raise LinphaseError where no rank is told, so that no run can have a regime."""
    if usual_panel(runs) != "regime":
        raise LinphaseError(
            "regimes need task.rank, how many modes are the signal's, and this task tells none; "
            "the panel active-modes needs no rank"
        )


def overview(runs: pd.DataFrame) -> list[str]:
    """The panels of the figure of several, of those that the runs hold: first the usual one."""
    known = known_panels()
    return [usual_panel(runs), *(name for name in OVERVIEW if known[name].column and holds(runs, known[name]))]


def looks() -> dict[str, dict[str, str]]:
    """Name, title, formula, scale and colours of the panel of each column, for the files that hold it."""
    return {
        each.column: {
            "panel": each.name,
            "title": each.title,
            "formula": each.formula,
            "scale": each.scale,
            "colors": each.colors,
        }
        for each in known_panels().values()
        if each.column is not None
    }


def unknown_panel(name: str, known: Iterable[str]) -> LinphaseError:
    """The error of a name that no panel or figure has, with the one that may have been meant before all that are."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return LinphaseError(f"panel {name!r}: did you mean {close[0]}? It must be one of {one_of(names)}")
    return LinphaseError(f"panel must be one of {one_of(names)}, found {name!r}")


def one_of(names: Iterable[str]) -> str:
    """Names as a sentence lists them."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def find_panel(name: str, cuts: Cuts, runs: pd.DataFrame, columns: Mapping[str, Column] | None = None) -> Panel:
    """The panel of a name, with its column by the criterion and its title for these runs and cuts.

    Parameters
    ----------
    name
        One of `known_panels(columns)`, or one of them with -spread behind it: how far its replicates lie apart.
    cuts
        What turns shares into regimes: the title tells of unusual ones.
    runs, columns
        Of `Results`.

    Raises
    ------
    LinphaseError
        If there is no such panel, or the runs hold nothing to draw.
    """
    known = known_panels(columns)
    base = base_name(name, known)
    if base is None:
        raise unknown_panel(name, known)
    if base != name:
        if len(set(runs["replicate"])) == 1:
            raise LinphaseError(
                f"panel {name}: two replicates or more are required, found one. Sweep with grid.replicates = 3 into "
                "the same directory"
            )
        return _spread_of(find_panel(base, cuts, runs, columns))
    panel, criterion = known[name], CRITERIA[cuts.criterion]
    if panel.formula and not (panel.column in _MEASURED_ON_DATA and _of_other_inputs(runs)):
        panel = replace(panel, title=f"{panel.title},\n{panel.formula}")
    if panel.column is None:
        return replace(panel, title=_regime_title(cuts))
    if panel.measured:
        title = f"{panel.title}\nby {criterion.title}: {criterion.definition}"
        panel = replace(panel, column=cuts.column(panel.column), title=title)
    if not holds(runs, panel):
        raise LinphaseError(
            f"panel {panel.name} needs column {panel.column}, which these results do not hold; "
            f"{remedy_for(panel, runs)}"
        )
    if panel.column == "distance_to_self_consistent" and "compare" in runs:
        compared = set(runs["compare"].dropna())
        to = " or ".join(one.title for which, one in COMPARISONS.items() if which in compared and one.title)
        panel = replace(panel, title=panel.title.replace("dynamics", to or "dynamics"))
    return panel


def base_name(name: str, known: Collection[str]) -> str | None:
    """The name of the known panel that a name means, which may end in -spread; None where there is none."""
    return next((each for each in (name, name.removesuffix(SPREAD)) if each in known), None)


def _spread_of(panel: Panel) -> Panel:
    """How far the replicates of each cell lie apart, relative to their mean where the panel is of ratios.

    Of outcomes the share of the replicates that are not of the majority.
    """
    title = " ".join(panel.title.split("\n")) if len(panel.title) < 36 else panel.title
    told: dict[ScaleName, tuple[Statistic, str, str]] = {
        "outcome": ("dissent", "replicates unlike their majority", "share of replicates"),
        "log": ("relative deviation", "relative spread of replicates", "standard deviation / |mean|"),
        "ln": ("deviation of ln", "spread of replicates", "standard deviation of ln"),
    }
    statistic, what, unit = told.get(panel.scale, ("deviation", "spread of replicates", "standard deviation"))
    return replace(
        panel,
        name=f"{panel.name}{SPREAD}",
        title=f"{what}:\n{title}",
        scale="log" if statistic == "relative deviation" else "linear",
        unit=unit,
        levels=(),
        null="fewer than two replicates",
        marks=(),
        statistic=statistic,
    )


def remedy_for(panel: Panel, runs: pd.DataFrame) -> str:
    """How to have what a panel draws, where some runs do not hold it."""
    if panel.remedy == _OLDER and not _is_classical(runs):
        return _untold(panel.column)
    if not made_by_theory(runs):
        return panel.remedy
    if panel.unpredicted:
        trained = " or ".join(f'"{name}"' for name, kind in Dynamics.members.items() if kind.moves_weights)
        return f"theory does not predict it: {panel.unpredicted}. Draw it from runs with dynamics.kind = {trained}"
    if panel.name not in known_panels():
        return "where a plugin declares it, linphase theory computes it, with the configuration that names the plugin"
    return panel.remedy


def _untold(column: str | None) -> str:
    """What a task has to tell for a column."""
    if column in _TEST_ERRORS:
        return "test errors need a signal A* or held-out samples"
    if column in _OF_SIGNAL:
        return "it needs a known signal A*"
    if column in _OF_WHITE:
        return "it needs a known signal A* and white inputs"
    return "it needs task.rank, how many modes are the signal's"


def _is_classical(runs: pd.DataFrame) -> bool:
    """Whether the tasks are a drawn signal under noise, of white inputs."""
    given = (runs[key].notna().any() for key in ("target", "samples") if key in runs)
    return not (_of_other_inputs(runs) or any(given))


def made_by_theory(runs: pd.DataFrame) -> bool:
    """Whether no run moved the weights of a start; what is not declared here is taken to."""
    theories = [name for name, kind in Dynamics.members.items() if not kind.moves_weights]
    return "kind" in runs and bool(runs["kind"].isin(theories).all())


def _regime_title(cuts: Cuts) -> str:
    """How the regime was decided, where not by the threshold and the usual cuts; two lines where one would be long."""
    named = "regime" if "criterion" not in cuts.unusual() else f"regime by {CRITERIA[cuts.criterion].title}"
    title = ", ".join(filter(None, (named, unusual_cuts(cuts))))
    return title if len(title) <= 30 else title.replace(", ", ",\n", 1)


def unusual_cuts(cuts: Cuts) -> str:
    """The cuts that are not the usual ones, in words."""
    return ", ".join(f"{which} cut {cut:g}" for which, cut in cuts.unusual().items() if which != "criterion")


def holds(runs: pd.DataFrame, panel: Panel) -> bool:
    """Whether a finished run has what a panel draws, which may be that there is none; true where no run finished.

    What is 0 by construction for all of the runs is not drawn: it is their rounding.
    """
    if panel.column is None:
        return True
    if panel.column not in runs or (panel.unpredicted == _ZERO and made_by_theory(runs)):
        return False
    finished = runs[~runs["status"].isin(UNFINISHED)]
    if finished.empty or finished[panel.column].notna().any():
        return True
    # Times are measured together with the overlap, which every run has.
    return panel.null is not None and "subspace_overlap" in runs and bool(finished["subspace_overlap"].notna().any())

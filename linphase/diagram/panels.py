"""What a phase diagram can show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor, log
from typing import TYPE_CHECKING, Literal

import numpy as np

from linphase.diagram.looks import Array
from linphase.errors import LinphaseError
from linphase.model.regime import CRITERIA, Cuts

if TYPE_CHECKING:
    import pandas as pd

UNFINISHED = ("diverged", "failed")
THEORIES = ("modes", "self_consistent")  # dynamics.kind
_OLDER = "they were made before linphase measured it: sweep into another directory"
_TRAINED = 'Draw it from runs with dynamics.kind = "flow" or "gd"'
_UNCOMPARED = 'sweep into another directory with record.compare = "self_consistent" or "self_consistent_euler"'
_NEVER = "never for half of the signal modes or more"
_PAPER_LEVELS = (-7.0, -4.0, 0.0)  # of the published contours, Tu et al. 2024, Figure 2
_COMPARED = {"self_consistent": "exact solution", "self_consistent_euler": "Euler iteration"}


@dataclass(frozen=True)
class Panel:
    """What a phase diagram can show: a column of the runs table, or an outcome (column None).

    scale: log where the values span a decade or more; ln draws the natural logarithm itself, on a linear scale.
    """

    name: str
    title: str
    column: str | None
    scale: Literal["outcome", "linear", "log", "ln", "share", "difference"]
    colormap: str = "viridis"
    unit: str = ""  # or symbol: beside the colour bar
    formula: str = ""  # the title's second line
    measured: bool = False  # the column exists for each measure of active
    levels: tuple[float, ...] = ()  # drawn as steps along the edges of cells
    null: str | None = None  # what no value means, where it means something
    remedy: str = _OLDER  # how to get the column
    unpredicted: str = ""  # why theory has no value


_TIME, _STEPS, _MODES = "time", "steps", "share of modes"
_OVERLAP = r"$(\|U_k^T U^*\|_F^2 + \|V_k^T V^*\|_F^2)/2k$"
_REGISTERED = (
    Panel("regime", "regime", None, "outcome"),
    Panel("status", "status", "status", "outcome"),
    Panel("test-error", "smallest test error", "min_test_error", "log", formula=r"$\mathrm{min}_t\,\|A-A^*\|_F^2/d^2$"),
    Panel("final-test-error", "final test error", "final_test_error", "log", formula=r"$\|A-A^*\|_F^2/d^2$"),
    Panel("train-error", "final train error", "final_train_error", "log", formula=r"$\|A-Y\|_F^2/d^2$"),
    Panel("stable-rank", "stable rank at\nsmallest test error", "stable_rank_at_min", "log", "cividis",
          r"$\|A\|_F^2/\|A\|_{op}^2$"),
    Panel("rank", "rank at\nsmallest test error", "rank_at_min", "log", "cividis", "singular values above $s_1/5$"),
    Panel("iterations", "smallest test error: iterations\nat the paper's learning rate", "iterations_at_min",
          "log", "magma", _STEPS),
    Panel("distance", "ln of the largest distance to the\nself-consistent dynamics", "distance_to_self_consistent",
          "ln", unit=r"$\ln\,\mathrm{max}_t\,\|A-A_{sc}\|_F^2/d^2$", levels=_PAPER_LEVELS, remedy=_UNCOMPARED,
          unpredicted="it is 0 by construction"),
    Panel("final-time", "final time", "final_time", "log", "magma", _TIME),
    Panel("evaluations", "gradient evaluations", "gradient_evaluations", "log", "magma"),
    Panel("signal-active", "active share of the signal", "signal_active", "share", "cividis", _MODES, measured=True),
    Panel("bulk-active", "active share of the bulk", "bulk_active", "share", "cividis", _MODES, measured=True),
    Panel("agreement", "modes on which\nall measures agree", "evidence_agreement", "share", "cividis", _MODES),
    Panel("kernel-change", "relative change of the kernel", "kernel_change", "log",
          formula=r"$\|\Theta-\Theta_0\|/\|\Theta_0\|$"),
    Panel("kernel-distance", "kernel distance", "kernel_distance", "log", formula=r"$1-\cos(\Theta,\Theta_0)$"),
    Panel("alignment", "alignment of kernel and target", "target_alignment", "log", "cividis",
          formula=r"$\langle Y,\Theta Y\rangle/(\|\Theta\|\,\|Y\|^2)$"),
    Panel("imbalance", "imbalance of the layers", "imbalance", "log",
          formula=r"$\|D\|/(\|C_1\|+\|C_2\|)$", unpredicted="it belongs to the weights of the start"),
    Panel("imbalance-drift", "drift of the imbalance", "imbalance_drift", "log",
          formula=r"$\|D-D_0\|/(\|C_1(0)\|+\|C_2(0)\|)$", unpredicted="it belongs to the weights of the start"),
    Panel("overlap", "overlap with the signal\nat smallest test error", "subspace_overlap_at_min", "share", "cividis",
          _OVERLAP),
    Panel("final-overlap", "final overlap with the signal", "subspace_overlap", "share", "cividis", _OVERLAP),
    Panel("residual", "residual of self-consistency", "self_consistency_residual", "log",
          formula=r"$\|C_2-(AA^T+c^2I)^{1/2}\|/\|C_2\|$", unpredicted="it is 0 by construction"),
    Panel("crossing-time", "time to cross the threshold", "crossing_time", "log", "magma", _TIME,
          r"$s_i = c$", null=_NEVER),
    Panel("escape-time", "time to half of the target", "escape_time", "log", "magma", _TIME,
          r"$s_i = s_i(Y)/2$", null=_NEVER),
    Panel("convergence-time", "time to converge within 5 %", "convergence_time", "log", "magma", _TIME,
          r"$|s_i - s_i(Y)| = 0.05\,s_i(Y)$", null=_NEVER),
)  # fmt: skip
PANELS = {panel.name: panel for panel in _REGISTERED}
FIGURES = ("evidence", "collapse", "trajectories", "all")  # not of one panel: functions of their own
OVERVIEW = ("regime", "test-error", "stable-rank", "iterations", "final-test-error", "agreement")


def find_panel(name: str, cuts: Cuts, runs: pd.DataFrame) -> Panel:
    """The panel of a name, with its column by one of the measures of active and its title for these runs and cuts.

    Raises LinphaseError for an unknown name, or where the runs hold nothing to draw.
    """
    if name not in PANELS:
        raise LinphaseError(
            f"panel must be one of {', '.join((*PANELS, *FIGURES[:-1]))} or {FIGURES[-1]}, found {name!r}"
        )
    panel, criterion = PANELS[name], CRITERIA[cuts.criterion]
    if panel.formula:
        panel = replace(panel, title=f"{panel.title},\n{panel.formula}")
    if panel.column is not None and panel.measured:
        column = cuts.column(panel.column)
        panel = replace(panel, column=column, title=f"{panel.title}\nby {criterion.title}: {criterion.definition}")
    if name == "regime":
        panel = replace(panel, title=_regime_title(cuts))
    if not holds(runs, panel):
        raise LinphaseError(
            f"panel {panel.name} needs column {panel.column}, which these results do not hold; {_remedy(panel, runs)}"
        )
    if name == "distance" and "compare" in runs:
        compared = set(runs["compare"].dropna())
        to = " or ".join(_COMPARED[which] for which in _COMPARED if which in compared)
        panel = replace(panel, title=panel.title.replace("dynamics", to or "dynamics"))
    return panel


def _remedy(panel: Panel, runs: pd.DataFrame) -> str:
    if panel.unpredicted and "kind" in runs and runs["kind"].isin(THEORIES).all():
        return f"theory does not predict it: {panel.unpredicted}. {_TRAINED}"
    return panel.remedy


def _regime_title(cuts: Cuts) -> str:
    """How the regime was decided, where not by the threshold and the usual cuts; two lines where one would be long."""
    named = "regime" if "criterion" not in cuts.unusual() else f"regime by {CRITERIA[cuts.criterion].title}"
    title = ", ".join(filter(None, (named, unusual_cuts(cuts))))
    return title if len(title) <= 30 else title.replace(", ", ",\n", 1)


def unusual_cuts(cuts: Cuts) -> str:
    """The cuts that are not the usual ones, in words."""
    return ", ".join(f"{which} cut {cut:g}" for which, cut in cuts.unusual().items() if which != "criterion")


def holds(runs: pd.DataFrame, panel: Panel) -> bool:
    """Whether a finished run has what a panel draws, which may be that there is none; true where no run finished."""
    if panel.column is None:
        return True
    if panel.column not in runs:
        return False
    finished = runs[~runs["status"].isin(UNFINISHED)]
    if finished.empty or finished[panel.column].notna().any():
        return True
    # Times are measured together with the overlap, which every run has.
    return panel.null is not None and "subspace_overlap" in runs and bool(finished["subspace_overlap"].notna().any())


Extend = Literal["neither", "min", "max", "both"]


@dataclass(frozen=True)
class Span:
    """Which numbers the ends of a scale stand for, and whether some lie beyond."""

    low: float
    high: float
    logarithmic: bool
    extend: Extend


def span_of(numbers: Array, panel: Panel) -> Span | None:
    """The span of the numbers of cells; logarithmic where the panel allows it and the numbers span a decade.

    A log scale leaves out the outermost 1 % at either end where that shortens it by a third or more.
    """
    numbers = numbers[np.isfinite(numbers)]
    if panel.scale == "outcome" or numbers.size == 0:
        return None
    if panel.scale == "share":
        return Span(floor(10 * min(numbers.min(), 0.9)) / 10, 1.0, False, "neither")
    if panel.scale == "difference":
        return _balanced_span(numbers)
    positive = numbers[numbers > 0]
    low, high = float(numbers.min()), float(numbers.max())
    logarithmic = panel.scale == "log" and bool(positive.size) and high >= 10 * float(positive.min())
    if logarithmic:
        low = float(positive.min())
        inner = np.quantile(positive, [0.01, 0.99])
        if 1.5 * log(inner[1] / inner[0]) < log(high / low) and inner[1] >= 10 * inner[0]:
            low, high = (float(value) for value in inner)
    else:
        # Numbers that are all but equal get a tenth of their size, or the ticks would be all but equal too.
        least = max(abs(low), abs(high)) / 10 or 0.2
        pad = max(least - (high - low), 0.0) / 2
        low, high = low - pad, high + pad
    return Span(low, high, logarithmic, _extend(numbers, low, high))


def _balanced_span(numbers: Array) -> Span:
    """Equal reach to both sides of 0, without the outermost 1 % where that shortens it by a third or more."""
    largest = float(np.abs(numbers).max())
    inner = float(np.quantile(np.abs(numbers), 0.99))
    reach = inner if 0 < 1.5 * inner < largest else largest
    reach = reach or 1.0  # no difference anywhere
    return Span(-reach, reach, False, _extend(numbers, -reach, reach))


def _extend(numbers: Array, low: float, high: float) -> Extend:
    below, above = bool(numbers.min() < low), bool(numbers.max() > high)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def looks() -> dict[str, dict[str, str]]:
    """Name, title, formula, scale and colours of the panel of each column, for the files that hold it."""
    return {
        panel.column: {
            "panel": panel.name,
            "title": panel.title,
            "formula": panel.formula,
            "scale": panel.scale,
            "colors": panel.colormap,
        }
        for panel in PANELS.values()
        if panel.column is not None
    }

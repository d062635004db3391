"""What a phase diagram can show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from linphase.errors import LinphaseError
from linphase.outcomes import measured_by
from linphase.regime import BULK_CUT, SIGNAL_CUT

UNFINISHED = ("diverged", "failed")
_OLDER = "they were made before linphase measured it, or theory does not predict it: sweep into another directory"
_UNCOMPARED = 'sweep into another directory with record.compare = "self_consistent" or "self_consistent_euler"'
_NEVER = "never for most signal modes"
_PAPER_LEVELS = (-7.0, -4.0, 0.0)  # of the published contours, Tu et al. 2024, Figure 2
_MEASURES = {"balance": "mode balance", "speedup": "mode speed-up"}
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
    measured: bool = False  # the column exists for each measure of active
    levels: tuple[float, ...] = ()  # drawn as steps along the edges of cells
    null: str | None = None  # what no value means, where it means something
    remedy: str = _OLDER  # how to get the column


_REGISTERED = (
    Panel("regime", "regime", None, "outcome"),
    Panel("status", "status", "status", "outcome"),
    Panel("test-error", "smallest test error", "min_test_error", "log"),
    Panel("final-test-error", "final test error", "final_test_error", "log"),
    Panel("train-error", "final train error", "final_train_error", "log"),
    Panel("stable-rank", "stable rank at\nsmallest test error", "stable_rank_at_min", "log", "cividis"),
    Panel("rank", "rank at smallest test error", "rank_at_min", "log", "cividis"),
    Panel("iterations", "smallest test error: iterations\nat the paper's learning rate", "iterations_at_min",
          "log", "magma"),
    Panel("distance", "ln of the largest distance to the\nself-consistent dynamics", "distance_to_self_consistent",
          "ln", levels=_PAPER_LEVELS, remedy=_UNCOMPARED),
    Panel("final-time", "final time", "final_time", "log", "magma"),
    Panel("evaluations", "gradient evaluations", "gradient_evaluations", "log", "magma"),
    Panel("signal-active", "active share of the signal", "signal_active", "share", "cividis", measured=True),
    Panel("bulk-active", "active share of the bulk", "bulk_active", "share", "cividis", measured=True),
    Panel("agreement", "modes on which\nall measures agree", "evidence_agreement", "share", "cividis"),
    Panel("kernel-change", "relative change of the kernel", "kernel_change", "log"),
    Panel("kernel-distance", "kernel distance", "kernel_distance", "log"),
    Panel("alignment", "alignment of kernel and target", "target_alignment", "log", "cividis"),
    Panel("imbalance", "imbalance of the layers", "imbalance", "log"),
    Panel("imbalance-drift", "drift of the imbalance", "imbalance_drift", "log"),
    Panel("overlap", "overlap at smallest test error", "subspace_overlap_at_min", "share", "cividis"),
    Panel("final-overlap", "final overlap with the signal", "subspace_overlap", "share", "cividis"),
    Panel("residual", "residual of self-consistency", "self_consistency_residual", "log"),
    Panel("crossing-time", "time to cross the threshold", "crossing_time", "log", "magma", null=_NEVER),
    Panel("escape-time", "time to half of the target", "escape_time", "log", "magma", null=_NEVER),
    Panel("convergence-time", "time to converge within 5 %", "convergence_time", "log", "magma", null=_NEVER),
)  # fmt: skip
PANELS = {panel.name: panel for panel in _REGISTERED}
OVERVIEW = ("regime", "test-error", "stable-rank", "iterations", "final-test-error", "agreement")


def find_panel(
    name: str, by: str, runs: pd.DataFrame, signal_cut: float = SIGNAL_CUT, bulk_cut: float = BULK_CUT
) -> Panel:
    """The panel of a name, with its column by one of the measures of active and its title for these runs and cuts.

    Raises LinphaseError for an unknown name, or where the runs hold nothing to draw.
    """
    if name not in PANELS:
        raise LinphaseError(f"panel must be one of {', '.join(PANELS)} or all, found {name!r}")
    panel = PANELS[name]
    if panel.column is not None and panel.measured:
        column = measured_by(panel.column, by)
        panel = replace(panel, column=column, title=panel.title if by == "threshold" else f"{panel.title}, by {by}")
    if name == "regime":
        panel = replace(panel, title=_regime_title(by, signal_cut, bulk_cut))
    if not holds(runs, panel):
        raise LinphaseError(
            f"panel {panel.name} needs column {panel.column}, which these results do not hold; {panel.remedy}"
        )
    if name == "distance" and "compare" in runs:
        compared = set(runs["compare"].dropna())
        to = " or ".join(_COMPARED[which] for which in _COMPARED if which in compared)
        panel = replace(panel, title=panel.title.replace("dynamics", to or "dynamics"))
    return panel


def _regime_title(by: str, signal_cut: float, bulk_cut: float) -> str:
    """How the regime was decided, where not by the threshold and the usual cuts; two lines where one would be long."""
    named = "regime" if by == "threshold" else f"regime by {_MEASURES.get(by, by)}"
    title = ", ".join(filter(None, (named, unusual_cuts(signal_cut, bulk_cut))))
    return title if len(title) <= 30 else title.replace(", ", ",\n", 1)


def unusual_cuts(signal_cut: float, bulk_cut: float) -> str:
    """The cuts that are not the usual ones, in words."""
    cuts = (("signal", signal_cut, SIGNAL_CUT), ("bulk", bulk_cut, BULK_CUT))
    return ", ".join(f"{which} cut {cut:g}" for which, cut, usual in cuts if cut != usual)


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

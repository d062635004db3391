"""Runs as rows of the tables (`linphase columns`)."""

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from linphase.provenance import versions
from linphase.spec import RunSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from linphase.training import TrainedRun

Row = dict[str, Any]


def summary_row(spec: RunSpec, run: "TrainedRun") -> Row:
    """One row of the runs table (`linphase columns`)."""
    minimum = run.minimum
    row: Row = {
        **spec.columns(),
        "learning_rate": run.learning_rate,
        "status": run.status,
        "converged": run.converged,
        "regime": run.regimes.get("threshold"),
        "regime_by_balance": run.regimes.get("balance"),
        "regime_by_speedup": run.regimes.get("speedup"),
        "evidence_agreement": run.evidence_agreement,
        "min_test_error": minimum.test_error,
        "time_at_min": minimum.time,
        "step_at_min": minimum.step,
        "iterations_at_min": minimum.time / run.paper_learning_rate,
        "stable_rank_at_min": minimum.stable_rank,
        "rank_at_min": minimum.rank,
        "distance_to_self_consistent": run.distance_to_self_consistent,
        **_observable_columns(run),
        "final_train_error": run.train_error,
        "final_test_error": run.test_error,
        "train_error_floor": run.train_error_floor,
        "final_step": run.updates,
        "final_time": run.time,
        "gradient_evaluations": run.gradient_evaluations,
        "elapsed_s": run.elapsed,
        "numerics_version": spec.canonical()["numerics_version"],
        **versions(),
    }
    for measure, suffix in (("threshold", ""), ("balance", "_by_balance"), ("speedup", "_by_speedup")):
        share = run.order_parameters.get(measure)
        row[f"signal_active{suffix}"] = share.signal_active if share else None
        row[f"bulk_active{suffix}"] = share.bulk_active if share else None
    return row


def _observable_columns(run: "TrainedRun") -> Row:
    """The columns of theory.md section 6; times are medians over the signal modes, never counting as infinite."""
    ended = run.observables
    names = ("kernel_change", "kernel_distance", "target_alignment", "imbalance", "imbalance_drift",
             "subspace_overlap", "self_consistency_residual")  # fmt: skip
    times = run.trajectory.mode_times
    return {
        **{name: None if ended is None else getattr(ended, name) for name in names},
        "subspace_overlap_at_min": run.minimum.subspace_overlap,
        "crossing_time": _median_time(times.crossing),
        "escape_time": _median_time(times.escape),
        "convergence_time": _median_time(times.convergence),
    }


def _median_time(times: "NDArray[np.floating]") -> float | None:
    """Median over modes, where nan is never, at infinity; None where half of the modes or more never do."""
    middle = median(math.inf if math.isnan(time) else float(time) for time in times)
    return middle if math.isfinite(middle) else None


def failure_row(spec: RunSpec, error: str, trace: str) -> Row:
    """One row of the failures table."""
    return {
        **spec.columns(),
        "error": error,
        "traceback": trace,
        "linphase_version": versions()["linphase_version"],
    }

"""Trajectories as rows of their table, and back."""

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from linphase.runs.spec import RunSpec
from linphase.store.provenance import versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from linphase.runs.records import TrainedRun

from pathlib import Path
from typing import TYPE_CHECKING

from linphase.errors import ResultsError
from linphase.store.reading import Unreadable, row_groups, scan
from linphase.store.tables import TRAJECTORIES

if TYPE_CHECKING:
    from linphase.runs.records import Trajectory


def trajectory_row(run_id: str, trajectory: "Trajectory") -> dict[str, Any]:
    """A trajectory as a row for `write_runs`."""
    final = trajectory.final_modes
    return {
        "run_id": run_id,
        "recorded_modes": trajectory.singular_values.shape[1],
        "time": trajectory.time,
        "step": trajectory.step,
        "train_error": trajectory.train_error,
        "test_error": trajectory.test_error,
        "distance": trajectory.distance,
        "singular_values": trajectory.singular_values,
        "mode_balance": trajectory.mode_balance,
        "final_singular_values": final.singular_value,
        "final_mode_balance": final.balance,
        "final_speed_up": final.speed_up,
        "target_singular_values": final.target,
        "crossing_times": trajectory.mode_times.crossing,
        "escape_times": trajectory.mode_times.escape,
        "convergence_times": trajectory.mode_times.convergence,
    }


def find_trajectories(root: Path) -> dict[str, tuple[str, int]]:
    """In which part and row group each trajectory is."""

    def ids(file: Path) -> list[list[str]]:
        return [rows.column("run_id").to_pylist() for rows in row_groups(file, TRAJECTORIES, ("run_id",))]

    return {
        run_id: (name, index)
        for name, ids_of_part in scan(root, TRAJECTORIES, ids).items()
        for index, ids_of_group in enumerate(ids_of_part)
        for run_id in ids_of_group
    }


def read_trajectory(file: Path, row_group: int, run_id: str) -> "Trajectory":
    """One trajectory from the row group that holds it."""
    import numpy as np
    import pyarrow.compute as pc

    from linphase.model.observables import Modes, ModeTimes
    from linphase.runs.records import Trajectory

    try:
        (rows,) = row_groups(file, TRAJECTORIES, TRAJECTORIES.names, only=[row_group])
        row = rows.filter(pc.equal(rows.column("run_id"), run_id)).slice(0, 1)
        # A list that is null (a column younger than the part) has no values.
        lists = {
            name: np.asarray(row.column(name).combine_chunks().flatten())
            for name in TRAJECTORIES.names
            if name not in ("run_id", "recorded_modes")
        }
        shape = len(lists["time"]), row.column("recorded_modes")[0].as_py()
        return Trajectory(
            time=lists["time"],
            step=lists["step"],
            train_error=lists["train_error"],
            test_error=lists["test_error"],
            distance=lists["distance"],
            singular_values=lists["singular_values"].reshape(shape),
            mode_balance=lists["mode_balance"].reshape(shape),
            final_modes=Modes(
                singular_value=lists["final_singular_values"],
                balance=lists["final_mode_balance"],
                speed_up=lists["final_speed_up"],
                target=lists["target_singular_values"],
            ),
            mode_times=ModeTimes(
                crossing=lists["crossing_times"],
                escape=lists["escape_times"],
                convergence=lists["convergence_times"],
            ),
        )
    except (Unreadable, ValueError, TypeError, IndexError) as error:
        raise ResultsError(f"{file}: the trajectory of run {run_id} cannot be read: {error}") from error


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

"""Trajectories as rows of their table, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linphase.errors import ResultsError
from linphase.store.reading import Unreadable, row_groups, scan
from linphase.store.tables import TRAJECTORIES

if TYPE_CHECKING:
    from linphase.trajectory import Trajectory


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

    from linphase.trajectory import Modes, ModeTimes, Trajectory

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

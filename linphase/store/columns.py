"""Every stored column, declared once: its name, Arrow type, unit and meaning.

The runs table holds one row of scalars a run; the trajectories table its lists over time and over modes. `key` names
the configuration key a column repeats, so that an axis of the grid finds its column.
"""

from dataclasses import dataclass

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Column:
    name: str
    type: str  # the Arrow type: string, bool, int32, int64, float64, or list<...>
    unit: str
    meaning: str
    key: str | None = None


RUNS = (
    Column("run_id", "string", "", "hash of everything that decides the run's numbers"),
    Column("gamma_sigma2", "float64", "", "log of init_variance to base d", "grid.gamma_sigma2"),
    Column("gamma_w", "float64", "", "log of the width to base d, before truncation", "grid.gamma_w"),
    Column("init_variance", "float64", "", "sigma2, variance of every entry of W1 and W2", "grid.init_variance"),
    Column("width", "int64", "neurons", "hidden width, int(d^gamma_w), at least 1", "grid.width"),
    Column("threshold", "float64", "singular value", "c = sigma2 * width: modes above it are active"),
    Column("replicate", "int32", "", "number of the independent draw of task and start", "grid.replicates"),
    Column("seed", "int64", "", "root seed of all random numbers", "run.seed"),
    Column("dimension", "int32", "", "d; A* and E are (d, d)", "task.dimension"),
    Column("rank", "int32", "", "k, rank of the signal A*", "task.rank"),
    Column("noise", "float64", "", "standard deviation of the entries of E", "task.noise"),
    Column(
        "signal_norm",
        "float64",
        "",
        "||A*||_F^2/d^2 that A* is rescaled to; null: as drawn",
        "task.signal_norm",
    ),
    Column("kind", "string", "", "dynamics: flow, gd, self_consistent or modes (theory)", "dynamics.kind"),
    Column("tolerance", "float64", "", "flow: relative error allowed in a step", "dynamics.tolerance"),
    Column("learning_rate_rule", "string", "", "gd: the learning rate as configured", "dynamics.learning_rate"),
    Column("learning_rate", "float64", "time/step", "gd: the learning rate used"),
    Column("update", "string", "", "gd: simultaneous or alternating", "dynamics.update"),
    Column("max_steps", "int64", "steps", "gd: budget of steps", "dynamics.max_steps"),
    Column("max_evaluations", "int64", "", "flow: budget of gradient evaluations", "dynamics.max_evaluations"),
    Column("stop_rule", "string", "", "converged or paper", "stop.rule"),
    Column(
        "stop_train_error",
        "float64",
        "",
        "train error above the floor that counts as converged, relative to noise^2",
        "stop.train_error",
    ),
    Column("snapshots", "int32", "", "times kept per run, at most", "record.snapshots"),
    Column("compare", "string", "", "none, self_consistent or self_consistent_euler", "record.compare"),
    Column("precision", "string", "", "floating-point type of the training", "run.precision"),
    Column("status", "string", "", "converged, stopped_early, step_limit, diverged or failed"),
    Column("converged", "bool", "", "status is converged"),
    Column("regime", "string", "", "lazy, mixed or balanced, by s_i > c; null where there is none"),
    Column("regime_by_balance", "string", "", "the same with mode balance > 1/sqrt(2) for active"),
    Column("regime_by_speedup", "string", "", "the same with mode speed-up > sqrt(2) for active"),
    Column("evidence_agreement", "float64", "share", "modes on which all three measures of active agree"),
    Column("signal_active", "float64", "share", "the k leading modes with s_i > c at the end"),
    Column("bulk_active", "float64", "share", "the other min(d, width) - k modes with s_i > c; null: no bulk"),
    Column("signal_active_by_balance", "float64", "share", "signal_active with mode balance > 1/sqrt(2)"),
    Column("bulk_active_by_balance", "float64", "share", "bulk_active with mode balance > 1/sqrt(2)"),
    Column("signal_active_by_speedup", "float64", "share", "signal_active with mode speed-up > sqrt(2)"),
    Column("bulk_active_by_speedup", "float64", "share", "bulk_active with mode speed-up > sqrt(2)"),
    Column("min_test_error", "float64", "", "smallest test error of the run"),
    Column("time_at_min", "float64", "time", "when the test error was smallest"),
    Column("step_at_min", "int64", "steps", "gd: first step of the smallest test error; null under flow"),
    Column("iterations_at_min", "float64", "steps", "time_at_min over the paper's learning rate"),
    Column("stable_rank_at_min", "float64", "", "||A||_F^2/||A||_op^2 at time_at_min"),
    Column("rank_at_min", "int32", "", "singular values of A above s_1/5 at time_at_min"),
    Column("distance_to_self_consistent", "float64", "", "largest ||A - A_sc||_F^2/d^2 to what `compare` names"),
    Column("kernel_change", "float64", "", "||Theta - Theta_0||/||Theta_0|| at the end"),
    Column("kernel_distance", "float64", "", "1 - cos(Theta, Theta_0) at the end"),
    Column("target_alignment", "float64", "", "<Y, Theta Y>/(||Theta|| ||Y||^2) at the end"),
    Column("imbalance", "float64", "", "||W1 W1^T - W2^T W2||_F/(||C1||_F + ||C2||_F) at the end"),
    Column("imbalance_drift", "float64", "", "change of W1 W1^T - W2^T W2, over ||C1(0)||_F + ||C2(0)||_F"),
    Column(
        "subspace_overlap_at_min", "float64", "share", "top-k singular subspaces of A with those of A*, at time_at_min"
    ),
    Column("subspace_overlap", "float64", "share", "the same at the end"),
    Column("self_consistency_residual", "float64", "", "||C2 - sqrt(A A^T + c^2 I)||_F/||C2||_F at the end"),
    Column(
        "crossing_time",
        "float64",
        "time",
        "median over the signal modes: s_i passes c for good; 0: always above; null: half of them or more never",
    ),
    Column(
        "escape_time",
        "float64",
        "time",
        "median over the signal modes: s_i passes half of s_i(Y) for good; null: half of them or more never",
    ),
    Column(
        "convergence_time",
        "float64",
        "time",
        "median over the signal modes: s_i is within 5 % of s_i(Y) for good; null: half of them or more never",
    ),
    Column("final_train_error", "float64", "", "||A - Y||_F^2/d^2 at the last measurement"),
    Column("final_test_error", "float64", "", "||A - A*||_F^2/d^2 at the last measurement"),
    Column("train_error_floor", "float64", "", "sum of s_i(Y)^2 over i > width, over d^2: the width's best"),
    Column("final_step", "int64", "steps", "updates made when the stop rule fired; flow: accepted steps"),
    Column("final_time", "float64", "time", "time of the last measurement"),
    Column("gradient_evaluations", "int64", "", "residuals A - Y and their products with the weights computed"),
    Column("elapsed_s", "float64", "s", "wall time of the run, one BLAS thread"),
    Column("numerics_version", "int32", "", "raised when linphase's numbers change"),
    Column("linphase_version", "string", "", "version of linphase that trained the run"),
    Column("python_version", "string", "", "version of Python"),
    Column("numpy_version", "string", "", "version of numpy"),
    Column("scipy_version", "string", "", "version of scipy"),
    Column("blas", "string", "", "BLAS library, version and kernel"),
    Column("cpu", "string", "", "CPU model"),
)

TRAJECTORIES = (
    Column("run_id", "string", "", "as in the runs table"),
    Column("recorded_modes", "int32", "", "r: modes kept over time; 2-d lists are (len(time), r), row-major"),
    Column("time", "list<float64>", "time", "moments kept"),
    Column("step", "list<int64>", "steps", "updates made by then; accepted steps under flow"),
    Column("train_error", "list<float32>", "", "||A - Y||_F^2/d^2"),
    Column("test_error", "list<float32>", "", "||A - A*||_F^2/d^2"),
    Column("distance", "list<float32>", "", "||A - A_sc||_F^2/d^2 over time; empty where nothing is compared"),
    Column("singular_values", "list<float32>", "", "s_i(A) over time, descending; 2-d"),
    Column("mode_balance", "list<float32>", "", "2 s_i/(u_i^T C2 u_i + v_i^T C1 v_i) over time; 2-d"),
    Column("final_singular_values", "list<float32>", "", "s_i(A) of every mode at the end"),
    Column("final_mode_balance", "list<float32>", "", "mode balance of every mode at the end"),
    Column("final_speed_up", "list<float32>", "", "mode speed-up kappa_i of every mode at the end"),
    Column("target_singular_values", "list<float32>", "", "s_i(Y) of every mode"),
    Column(
        "crossing_times",
        "list<float32>",
        "time",
        "of each signal mode: s_i passes c for good; 0: always above; nan: never",
    ),
    Column(
        "escape_times", "list<float32>", "time", "of each signal mode: s_i passes half of s_i(Y) for good; nan: never"
    ),
    Column(
        "convergence_times",
        "list<float32>",
        "time",
        "of each signal mode: last time s_i is off s_i(Y) by over 5 %; nan: still is",
    ),
)

FAILURES = (
    *(column for column in RUNS if column.key is not None or column.name in ("run_id", "threshold")),
    Column("error", "string", "", "what went wrong, one line"),
    Column("traceback", "string", "", "where, if Python could tell"),
    Column("linphase_version", "string", "", "version of linphase that tried the run"),
)


def for_key(key: str) -> Column:
    """The runs column that repeats a configuration key, such as `task.rank`."""
    return next(column for column in RUNS if column.key == key)

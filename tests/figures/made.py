"""What tests of figures share: a made-up table, results without workers, artists by their names."""

from contextlib import contextmanager
from itertools import product

import numpy as np
import pandas as pd
import pytest

from linphase.model.mode_times import ModeTimes
from linphase.model.observables import Modes
from linphase.runs.records import Trajectory
from linphase.store.results import load
from linphase.store.tables import RUNS
from linphase.store.writing import create
from linphase.sweeps.batch import assign, run_batch
from linphase.theory.mode import mode_value

D, RANK = 64, 4
GAMMA_SIGMA2 = np.linspace(-3, 0, 7)
GAMMA_W = np.linspace(0, 2.8, 6)
AXES = {"gamma_sigma2": GAMMA_SIGMA2.tolist(), "gamma_w": GAMMA_W.tolist()}
_COLUMNS = RUNS.names


def run(gamma_sigma2, gamma_w, **changes):
    """One row as theory predicts it: the modes of Y, all of them fitted."""
    width = int(D**gamma_w)
    c = D**gamma_sigma2 * width
    modes = np.concatenate([np.linspace(36, 28, RANK), np.linspace(15, 0.1, D - RANK)])[:width]
    signal, bulk = modes[:RANK], modes[RANK:]
    shares = {
        "signal_active": (signal > c).sum() / RANK,
        "bulk_active": (bulk > c).mean() if bulk.size else np.nan,
    }
    row = dict.fromkeys(_COLUMNS, None)
    row |= dict.fromkeys(("active_modes", "active_modes_by_balance", "active_modes_by_speedup"), int((modes > c).sum()))
    row |= shares | {f"{k}_by_{by}": v for (k, v), by in product(shares.items(), ("balance", "speedup"))}
    row |= {
        "gamma_sigma2": gamma_sigma2, "gamma_w": gamma_w, "init_variance": D**gamma_sigma2, "width": width,
        "threshold": c, "replicate": 0, "dimension": D, "rank": RANK, "noise": 1.0, "signal_norm": np.nan,
        "status": "converged", "converged": True, "evidence_agreement": 0.9, "min_test_error": 0.1 + c,
        "final_test_error": 0.2 + c, "final_train_error": 1e-3, "mean_test_error": 0.3 + c,
        "mean_train_error": 2e-3, "stable_rank_at_min": 1 + c / (1 + c) * 20,
        "rank_at_min": 3, "iterations_at_min": 10 / c, "final_time": 1 / c,
        "benefit": c / (c + 5), "learning_order": 1 + 11 / c, "blind_test_error": 0.15 + c,
        "gradient_evaluations": 100 + width, "run_id": f"{gamma_sigma2:.3f} {gamma_w:.3f}",
        "time_at_min": 0.5 / c,
        "compare": "self_consistent_euler", "distance_to_self_consistent": np.exp(2.1 * gamma_sigma2 - 0.1),
        "kernel_change": 1 / c, "kernel_distance": 1 / (1 + c), "target_alignment": 0.03, "imbalance": c / (1 + c),
        "imbalance_drift": 1e-4, "forgetting": 1.0, "sharpness": 2 * np.hypot(36, c),
        "largest_sharpness": 3 * np.hypot(36, c), "generalization_gap": 0.2 + c,
        "generalization_gap_at_min": 0.1 - c, "largest_generalization_gap": 0.3 + c,
        "subspace_overlap_at_min": 0.95, "subspace_overlap": 0.9,
        "signal_started_above": float(width < D), "self_consistency_residual": 1e-3 * c,
        "escape_time": 1 / c, "convergence_time": 2 / c,
        "crossing_time": None if c > 30 else 0.0 if width < D else 0.1 / c,
        "signal_log_ratio": np.log(np.median(signal) / c),
        "bulk_log_ratio": np.log(np.median(bulk) / c) if bulk.size else np.nan,
        "learning_order_log_ratio": np.log(0.5 + 5.5 / c), "benefit_log_ratio": np.log(0.5 + 2.5 / c),
    }  # fmt: skip
    return row | changes


def table(*rows):
    return pd.DataFrame(list(rows))


def modes_of(runs, error):
    s = np.geomspace(1e-3, 36, 20)
    tables = [
        pd.DataFrame({"run_id": run_id, "mode": range(20), "singular_value": s, "speed_up": error * np.hypot(1, s / c)})
        for run_id, c in zip(runs["run_id"], runs["threshold"], strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def trajectory(n=30, modes=6, **changes):
    time = np.concatenate([[0.0], np.geomspace(1e-3, 2, n - 1)])
    target = np.linspace(20, 2, modes)
    s = mode_value(time[:, None], 0, target, 5.0)
    error = ((s - target) ** 2).mean(axis=1)
    final = Modes(s[-1], s[-1] / 20, s[-1], target)
    fields = {"time": time, "step": np.arange(n), "train_error": error, "test_error": error + 0.1} | changes
    times = ModeTimes(*np.ones((3, 2)))
    return Trajectory(
        distance=np.zeros(0), singular_values=s, mode_balance=s / 20, final_modes=final, mode_times=times, **fields
    )


TINY = {
    "name": "tiny",
    "task": {"dimension": 8, "rank": 2},
    "grid": {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [0.0, 1.5, 2.5], "replicates": 2},
}


def filled(path, config, keep=lambda spec: True):
    """The results of a config, or of some of its runs, trained in this process: workers are not the subject."""
    create(path, config)
    batch = run_batch(path, assign([spec for spec in config.expand() if keep(spec)], config))
    assert not any("error" in row for row in batch.rows)
    return load(path)


@contextmanager
def unfinished():
    """For a while figures are neither laid out nor are places for names looked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("linphase.figures.layout.place", lambda *_: None)
        patch.setattr("linphase.figures.layout.label_lines", lambda *_: None)
        yield


def artists(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def artist(ax, gid):
    (found,) = artists(ax, gid)
    return found


def color_at(ax, row, column):
    """Face colour of a cell."""
    for gid in ("outcomes", "numbers"):
        for mesh in artists(ax, gid):
            values = np.ma.asarray(mesh.get_array())
            if not np.ma.getmaskarray(values)[row, column]:
                return tuple(mesh.to_rgba(values)[row, column, :3])
    raise AssertionError("no colour there")


def marks(bar):
    """The values that are marked at a colour bar, by their names."""
    found = [one for one in bar.lines if (one.get_gid() or "").startswith("mark ")]
    return {one.get_gid().removeprefix("mark "): float(one.get_ydata()[0]) for one in found}


def legend_labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]

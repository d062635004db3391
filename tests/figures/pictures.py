"""The figures of the golden images, each made once: other tests read them, too, and put back what they change."""

from functools import lru_cache

import pandas as pd

from linphase.diagram.looks import written
from linphase.diagram.measured import PATHS, measured_boundaries
from linphase.diagram.replicate_means import common_times, mean_curves
from linphase.diagram.sampling import sampled_runs
from linphase.figures.collapse import collapse
from linphase.figures.diagrams import against, all_panels, evidence, phase_diagram
from linphase.figures.evolution import run_figure, title_of, trajectory_figure
from linphase.figures.paper import figure1, figure2
from linphase.figures.profiles import curves
from linphase.figures.three_regimes import RegimeCell, three_regimes
from linphase.figures.trajectory_map import trajectory_map
from linphase.model.draws import TaskConfig, draw_task
from linphase.model.network import Initialization
from linphase.runs.beside import crossings, theory_beside
from linphase.runs.predicting import predict
from linphase.runs.recorder import RecordConfig
from linphase.runs.stopping import Converged
from tests.figures.made import AXES, GAMMA_SIGMA2, GAMMA_W, modes_of, run, table

TASK = TaskConfig(dimension=12, rank=2)


@lru_cache
def plain():
    """The made-up table as theory has it."""
    return table(*(run(x, y) for y in GAMMA_W for x in GAMMA_SIGMA2))


@lru_cache
def spoiled():
    """A made-up table with every outcome in it."""
    made = plain().drop(index=3)
    made.loc[[0, 24], ["status", "converged"]] = ["step_limit", False]
    made.loc[40, ["status", "converged", "signal_active"]] = ["diverged", False, None]
    made.loc[39, ["status", "converged"]] = ["failed", False]
    made.loc[28, "evidence_agreement"] = 0.5
    tie = run(GAMMA_SIGMA2[1], GAMMA_W[4], replicate=1, signal_active=0.0, bulk_active=0.0)
    return pd.concat([made, table(tie)], ignore_index=True)


def one_each():
    return spoiled().drop_duplicates("run_id", ignore_index=True)


def of_the_end():
    return [one for one in measured_boundaries(one_each()) if one.name not in PATHS.values()]


@lru_cache
def predicted_run(gamma_sigma2, gamma_w, replicate=0):
    """A run that theory makes, which hangs only on the draw of a task of d = 12: its row and its trajectory."""
    start = Initialization.at(TASK.dimension, gamma_sigma2=gamma_sigma2, gamma_w=gamma_w)
    made = predict(draw_task(TASK, replicate=replicate), start, stop=Converged(), record=RecordConfig())
    row = run(gamma_sigma2, gamma_w)
    row |= {
        "dimension": TASK.dimension,
        "rank": TASK.rank,
        "width": start.width,
        "threshold": start.threshold,
        "seed": 0,
    }
    shares = made.order_parameters["threshold"]
    return row | {"signal_active": shares.signal_active, "bulk_active": shares.bulk_active}, made.trajectory


def one_cell(style="paper"):
    row, trajectory = predicted_run(-0.5, 1.0)
    return trajectory_figure(
        trajectory,
        threshold=row["threshold"],
        rank=TASK.rank,
        crossings=crossings(trajectory, row["threshold"]),
        theory=theory_beside(draw_task(TASK), row["width"], row["threshold"], trajectory),
        title=title_of(row, "mixed"),
        style=style,
    )


def small_diagrams(style="paper"):
    axes = {"gamma_sigma2": [-2.0, -1.0, 0.0], "gamma_w": [1.0, 1.5, 2.0]}
    made = [predicted_run(x, y) for y in axes["gamma_w"] for x in axes["gamma_sigma2"]]
    rows = table(*(row for row, _ in made))
    over_time = {row["run_id"]: trajectory for row, trajectory in made}
    sampled = {one: over_time[one.run_id] for one in sampled_runs(rows, axes)}
    return trajectory_map(rows, axes, sampled, style=style)


def regimes_over_time():
    """Without a cell of the last regime, and without theory of the first."""
    cells = {}
    for regime, gamma_sigma2 in (("lazy", 0.0), ("mixed", -1.0)):
        made = [predicted_run(gamma_sigma2, 1.5, replicate) for replicate in range(3)]
        runs = [trajectory for _, trajectory in made]
        time, c = common_times(runs), made[0][0]["threshold"]
        theory = None
        if regime == "mixed":
            tasks = (draw_task(TASK, replicate=replicate) for replicate in range(3))
            beside = [theory_beside(task, 41, c, run) for task, run in zip(tasks, runs, strict=True)]
            theory = mean_curves(beside, time)
        place = rf"$\gamma_{{\sigma^2}}$ = {written(gamma_sigma2)}, width 41"
        cells[regime] = RegimeCell(place, c, TASK.rank, 3, mean_curves(runs, time), theory)
    return three_regimes(cells)


def replicated():
    """Three replicates of some cells at three widths, one that stopped short, and theory's of the same cells."""
    baselines = {"optimal_test_error": 0.12, "lazy_test_error": 20.0, "zero_test_error": 60.0}
    theory = table(*(run(x, y, **baselines) for x in GAMMA_SIGMA2 for y in GAMMA_W[2:5]))
    made = pd.concat([theory.assign(replicate=i, min_test_error=theory["min_test_error"] * (0.7 + 0.3 * i))
                      for i in range(3)], ignore_index=True)  # fmt: skip
    made.loc[0, ["status", "converged"]] = ["step_limit", False]
    return made, theory


def curves_of_errors():
    made, theory = replicated()
    return curves(made, AXES | {"gamma_w": GAMMA_W[2:5].tolist()}, ["test-error"], predicted=theory)


def curves_of_regimes():
    made, theory = (each[each["gamma_w"] == GAMMA_W[3]] for each in replicated())
    return curves(made, AXES | {"gamma_w": [GAMMA_W[3]]}, ["regime"], predicted=theory)


def facets():
    both = pd.concat([spoiled(), spoiled().assign(rank=2)], ignore_index=True)
    return phase_diagram(both, AXES | {"task.rank": [2, 4]}, "test-error")


def raw_axes():
    some = spoiled()[lambda rows: rows["gamma_w"] > 0.5]
    axes = {"init_variance": sorted(set(some["init_variance"])), "width": sorted(set(some["width"]))}
    return phase_diagram(some, axes, "regime")


def single_run():
    _, trajectory = predicted_run(-1.0, 1.5)
    return run_figure(trajectory, threshold=3.0, rank=TASK.rank, theory=trajectory)


def paper_descent():
    _, trajectory = predicted_run(-1.0, 1.5)
    return figure1(trajectory, trajectory, threshold=3.0, rank=TASK.rank, names=("gradient descent", "self-consistent"))


# Of panels those that differ in kind: outcomes, logarithms, the natural one with levels, shares, times that may be
# missing, a number at the smallest test error, the kernel.
PANELS = ("regime", "test-error", "distance", "signal-active", "crossing-time", "stable-rank", "kernel-change")
FIGURES = {
    "evidence": lambda: evidence(spoiled(), AXES),
    "collapse": lambda: collapse(one_each(), modes_of(one_each(), 1.02)),
    "all": lambda: all_panels(spoiled(), AXES),
    "trajectories": small_diagrams,
    "trajectories-at": one_cell,
    "trajectories-at-talk": lambda: one_cell("talk"),
    "three-regimes": regimes_over_time,
    "against-theory": lambda: against(spoiled(), spoiled().iloc[1:].assign(kind="modes"), AXES, "regime"),
    "boundaries": lambda: phase_diagram(spoiled(), AXES, "regime", measured=of_the_end()),
    "facets": facets,
    "raw-axes": raw_axes,
    "run": single_run,
    "figure1": paper_descent,
    "figure2": lambda: figure2(spoiled(), AXES),
    "curves": curves_of_errors,
    "curves-regime": curves_of_regimes,
    "talk": lambda: phase_diagram(spoiled(), AXES, "regime", style="talk"),
}
NAMES = (*PANELS, *FIGURES)


@lru_cache
def picture(name):
    """A figure by the name of its image."""
    return FIGURES[name]() if name in FIGURES else phase_diagram(spoiled(), AXES, name)

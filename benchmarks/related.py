"""What the papers around this one state, beside what linphase measures: results/related.

    python -m benchmarks.related

Trains what is missing in a scratch directory (resumable: call it again), then writes results/related/README.md,
related.csv and a small diagram for each paper. Half an hour on two cores at most.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import linphase
from benchmarks import edge_of_stability, power_laws
from benchmarks.claim_sweeps import trained
from benchmarks.claims import CONFIRMED, REFUTED
from benchmarks.estimates import Estimate, mean, share
from benchmarks.report import markdown
from linphase import Results
from linphase.config.config import parse_config
from linphase.diagram.axes import selected, span
from linphase.diagram.measured import log_ratios
from linphase.figures.drawing import draw
from linphase.figures.style import save
from linphase.model.network import Weights
from linphase.model.regime import CRITERIA, Cuts
from linphase.model.task import Task

ROOT = Path(__file__).parents[1]
OUT = ROOT / "results" / "related"


@dataclass(frozen=True)
class Found:
    """What was measured of a statement."""

    number: str  # what the estimate is of
    estimate: Estimate
    verdict: str
    runs: int
    seconds: float  # of training
    picture: Figure | None = None
    told: str = ""


@dataclass(frozen=True)
class Statement:
    """One statement of a related paper, as far as it is known to us, and how it is measured."""

    name: str
    paper: str
    text: str
    refuted_if: str
    measure: Callable[["Scratch"], Found]


@dataclass(frozen=True)
class Scratch:
    """Where sweeps are kept, and by how many workers they are trained."""

    directory: Path
    jobs: int

    def sweep(self, name: str, grid: dict[str, Any], **sections: Any) -> Results:
        """A sweep of one configuration, trained where runs are missing."""
        config = parse_config({"name": name, "grid": grid, **sections})
        return trained([config], self.directory / name, self.jobs)


NOT_JUDGED, BY_CONSTRUCTION = "not judged", "by construction"


def verdict(holds: bool) -> str:
    return CONFIRMED if holds else REFUTED


def found(results: Results, number: str, estimate: Estimate, holds: bool, **more: Any) -> Found:
    seconds = float(results.runs["elapsed_s"].sum())
    return Found(number, estimate, verdict(holds), len(results.runs), seconds, **more)


def panel(results: Results, name: str, x: str | None = None, y: str | None = None, cuts: Cuts = Cuts()) -> Figure:
    """A small diagram over the axes with several values, or those that are named."""
    axes = span(results.runs, results.axes, x, y)
    return draw(replace(results, axes=axes), name, cuts)


# ------------------------------------------------------------------------------------------------- the statements


def unequal_layers(scratch: Scratch) -> Found:
    """Where the signal's median speed-up passes sqrt(2) over r, by replicate, as a c over the predicted one."""
    d, k, c0 = 48, 3, 4.0
    ratios = np.geomspace(10, 3000, 13).tolist()
    grid = {"init_variance": c0 / d**2, "width": d**2, "init.variance_ratio": [1.0, *ratios], "replicates": 8}
    results = scratch.sweep("unequal_layers", grid, task={"dimension": d, "rank": k})
    runs = log_ratios(results.runs, results.final_modes(), Cuts(criterion="speedup"))
    places = []
    for _, part in runs[runs["variance_ratio"] > 1].sort_values("variance_ratio").groupby("replicate"):
        height, c = part["signal_log_ratio"].to_numpy(), part["threshold"].to_numpy()
        at = float(np.exp(np.interp(0.0, -height, np.log(c))))  # the height falls as c grows
        target = results.final_modes()
        own = target[(target["run_id"] == part["run_id"].iloc[0]) & (target["mode"] < k)]["target"]
        places.append(at / float(np.median(own)))
    estimate = mean(places)
    equal = runs[runs["variance_ratio"] == 1][CRITERIA["speedup"].column("signal_active")]
    unequal = runs[runs["variance_ratio"] >= 1000][CRITERIA["speedup"].column("signal_active")]
    tent = scratch.sweep(
        "tent",
        {
            "gamma_sigma2": {"start": -3.2, "stop": -0.4, "num": 15},
            "width": 1024,
            "gamma_variance_ratio": {"start": -3, "stop": 3, "num": 13},
        },
        task={"dimension": 32, "rank": 2},
    )
    told = f"signal active at r = 1: {equal.mean():.2f}, at r >= 1000: {unequal.mean():.2f} (by speed-up)"
    holds = estimate.meets(1.0, 0.02) and equal.min() == 1 and unequal.max() == 0
    return found(results, "c at which half of the signal is active, over S", estimate, holds,
                 picture=panel(tent, "regime"), told=told)  # fmt: skip


def rates_and_variances(scratch: Scratch) -> Found:
    """How far cells of one product r p are apart, relative to what is measured."""
    ratios = [1e-4, 1e-2, 1.0, 1e2, 1e4]
    grid = {"gamma_sigma2": -1.4, "width": 1024, "init.variance_ratio": ratios, "dynamics.learning_rate_ratio": ratios}
    results = scratch.sweep("rates_and_variances", {**grid, "replicates": 3}, task={"dimension": 32, "rank": 2})
    runs = results.runs.assign(product=(results.runs["variance_ratio"] * results.runs["learning_rate_ratio"]).round(9))
    spread = runs.groupby(["product", "replicate"])["min_test_error"].agg(lambda each: np.ptp(each) / each.mean())
    estimate = mean(spread[spread > 0] if (spread > 0).sum() > 2 else spread)
    picture = panel(results, "kernel-distance")
    one = found(
        results,
        "relative difference of the smallest test error at equal r p",
        estimate,
        float(spread.max()) < 1e-6,
        picture=picture,
        told="the start is built of r p (docs/theory.md), so this tests linphase, not the paper",
    )
    return replace(one, verdict=BY_CONSTRUCTION if one.verdict == CONFIRMED else one.verdict)


def balanced_starts(scratch: Scratch) -> Found:
    """Kernel distance at the end of lambda-balanced starts, upright and flat tasks."""
    balances = [-30.0, -10.0, -3.0, -1.0, 1.0, 3.0, 10.0, 30.0]
    results = scratch.sweep(
        "balanced_starts",
        {
            "init_variance": 1e-3,
            "width": 4,
            "init.lambda_balance": balances,
            "task.output_dimension": [2, 4, 8],
            "replicates": 16,
        },
        task={"dimension": 8, "rank": 1, "signal_norm": 0.1},
        init={"kind": "lambda_balanced"},
    )
    runs = results.runs[results.runs["output_dimension"] == 4].groupby("lambda_balance")["kernel_distance"]
    delayed, lazy = mean(runs.get_group(-30.0)), mean(runs.get_group(30.0))
    holds = delayed.low > 0.2 and lazy.high < 0.01
    late = delay(scratch)
    told = (
        f"at lambda = 30: {lazy.value:.2g} ({lazy.low:.2g} to {lazy.high:.2g}); delay at lambda = -30, -60, s = 1, 3 x 6: "
        f"{late.value:.2f} |lambda| ({late.low:.2f} to {late.high:.2f})"
    )
    return found(
        results,
        "kernel distance at lambda = -30, d_out = 4, d_in = 8, width 4",
        delayed,
        holds,
        picture=panel(results, "kernel-distance"),
        told=told,
    )


def delay(scratch: Scratch) -> Estimate:
    """Time to a residual of 10 % from delayed starts of all singular values 1, over |lambda|; 8 draws at two lambda."""
    times = []
    for number in range(8):
        random = np.random.default_rng(number)
        U, V = (np.linalg.qr(random.standard_normal((n, 3)))[0] for n in (3, 6))
        config = parse_config(
            {
                "name": f"delay_{number}",
                "init": {"kind": "lambda_balanced"},
                "grid": {"init_variance": 1e-3, "width": 3, "init.lambda_balance": [-30.0, -60.0]},
                "run": {"seed": number},
                "stop": {"excess_error": 1e-2},  # of ||Y||^2: the residual is then a tenth
            }
        )
        task = Task.from_target(U @ V.T, U @ V.T, 3)
        runs = trained([config.of_task(task)], scratch.directory / f"delay_{number}", scratch.jobs).runs
        times.append(float((runs["final_time"] / runs["lambda_balance"].abs()).mean()))
    return mean(times)


def weight_decay(scratch: Scratch) -> Found:
    """Rank, imbalance and test error at the end, from starts of c = 0.003 to 1.6e4."""
    d, k = 48, 3
    width = d**2
    grid = {
        "init_variance": [c / width for c in (0.003, 0.1, 1.0, 10.0, 100.0, 1.6e4)],
        "width": width,
        "dynamics.weight_decay": [1.0, 5.0, 10.0, 14.0, 20.0, 40.0],
        "replicates": 4,
    }
    results = scratch.sweep("weight_decay", grid, task={"dimension": d, "rank": k}, stop={"excess_error": 2e-4})
    runs = results.runs[results.runs["weight_decay"] == 14.0]
    modes = results.final_modes()
    alive = modes[modes["singular_value"] > 0.05 * 14.0].groupby("run_id").size().reindex(runs["run_id"]).fillna(0)
    right = int((alive == k).sum())
    of_draws = runs.groupby("replicate")["final_test_error"]
    error, apart = mean(of_draws.mean()), float((of_draws.max() - of_draws.min()).max())
    told = (
        f"six starts of each of 4 draws; test error {error.value:.3f} ({error.low:.3f} to {error.high:.3f}) over draws, "
        f"within a draw at most {apart:.3f} apart; imbalance at most {runs['imbalance'].max():.0e}"
    )
    holds = right == len(runs) and bool(runs["imbalance"].max() < 1e-5)
    picture = panel(results, "final-test-error")
    return found(
        results,
        "share of starts that end at rank k, l = 14",
        share(right, len(runs)),
        holds,
        picture=picture,
        told=told,
    )


def label_noise(scratch: Scratch) -> Found:
    """Mode balance at the start and after four decay times of the ridge that label noise is."""
    d, c, noise, rate = 12, 20.0, 0.5, 0.1 / 20.0
    decay = rate * noise**2 * d / 2
    width = 12_000
    task = Task.from_target(
        np.diag(np.r_[6.0, 5.0, 4.0, np.zeros(d - 3)]), np.diag(np.r_[6.0, 5.0, 4.0, np.zeros(d - 3)]), 3
    )
    config = parse_config({
        "name": "label_noise",
        "grid": {"init_variance": c / width, "width": width, "replicates": 8, "stop.time": [0.5 / decay, 1 / decay, 2 / decay],
                 "dynamics.label_noise": [0.0, noise]},
        "dynamics": {"kind": "gd", "learning_rate": rate, "max_steps": 10**6},
        "stop": {"rule": "time"},
    })  # fmt: skip
    results = trained([config.of_task(task)], scratch.directory / "label_noise", scratch.jobs)
    noisy = results.runs[(results.runs["label_noise"] == noise) & np.isclose(results.runs["stop_time"], 2 / decay)]
    modes = results.final_modes()
    signal = modes[modes["mode"] < 3].groupby("run_id")["balance"].mean()
    end = mean(signal.reindex(noisy["run_id"]))
    without = signal.reindex(results.runs[results.runs["label_noise"] == 0]["run_id"]).mean()  # as at c = 20
    return found(results, "mode balance of the signal at t = 4/(2 l)", end, end.low > 2**-0.5 > without,
                 picture=panel(results, "signal-active", cuts=Cuts(criterion="balance")), told=f"without label noise {without:.3f}")  # fmt: skip


def null_space(scratch: Scratch) -> Found:
    """W1 on the directions that the data lack, before and after training on few samples."""
    d, n = 16, 8
    moved = []
    for draw_ in range(8):
        random = np.random.default_rng(draw_)
        X, Y = random.standard_normal((n, d)), random.standard_normal((n, 4))
        W = Weights(random.standard_normal((40, d)), random.standard_normal((4, 40)))
        run = linphase.train(Task.from_data(X, Y), W)
        _, _, Vt = np.linalg.svd(X)
        P = Vt[n:]
        moved.append(float(np.linalg.norm(P @ (run.C1 - W.gram()[0]) @ P.T) / np.linalg.norm(P @ W.gram()[0] @ P.T)))
    estimate = mean(moved)
    return Found(
        "relative change of W1^T W1 on the null space of the data", estimate, verdict(max(moved) < 1e-12), 8, 0.0
    )


def power_law(scratch: Scratch) -> Found:
    """Exponents of the test error, lazy and rich."""
    results = power_laws.sweep(scratch.directory / "power_laws", power_laws.FEATURES, power_laws.SOURCES,
                               tuple(power_laws.THRESHOLDS), 1e-8)  # fmt: skip
    exponents = {
        (regime, source): power_laws.exponent(
            *power_laws.curve(results, regime, source), power_laws.fit_end(power_laws.FEATURES, regime, source)
        )
        for regime in power_laws.THRESHOLDS
        for source in power_laws.SOURCES
    }
    gain = {source: exponents["rich", source] / exponents["lazy", source] for source in power_laws.SOURCES}
    told = ", ".join(f"beta = {source:g}: {exponents['lazy', source]:.3f} and {exponents['rich', source]:.3f}"
                     for source in power_laws.SOURCES)  # fmt: skip
    value = gain[0.5]
    holds = gain[0.25] > 1.2 and gain[0.5] > 1.2 and abs(gain[1.5] - 1) < 0.05
    return found(results, "exponent rich over lazy at beta = 0.5, K = 256 (no draw: no interval)",
                 Estimate(value, np.nan, np.nan), holds, picture=power_laws.figure(results), told=told)  # fmt: skip


def edge(scratch: Scratch) -> Found:
    """Slopes of the largest learning rate that converges over the richness."""
    rates = edge_of_stability.measured(scratch.directory / "edge_of_stability")
    lazy, rich = (edge_of_stability.slopes(rates, each) for each in (edge_of_stability.LAZY, edge_of_stability.RICH))
    holds = max(abs(each - 2) for each in lazy) < 0.05 and max(abs(each - 1) for each in rich) < 0.05
    ends = rates.groupby("gamma")["over_formula"].mean()
    told = f"when rich {told_of(mean(rich))}; eta_max over min(gamma/s_1, 2 gamma^2/c0) from {ends.min():.3f} to {ends.max():.3f}"
    return Found("slope of ln eta_max over ln gamma when lazy", mean(lazy), verdict(holds), int(rates["runs"].sum()),
                 float(rates["seconds"].sum()), picture=edge_of_stability.figure(rates), told=told)  # fmt: skip


def saddles(scratch: Scratch) -> Found:
    """When modes leave the saddle at 0, over ln(2 S/c)/(2 S)."""
    d, values, c = 64, np.array([60.0, 45.0, 30.0, 18.0]), 1e-6
    random = np.random.default_rng(0)
    U, V = (np.linalg.qr(random.standard_normal((d, 4)))[0] for _ in range(2))
    signal = U * values @ V.T
    width = 4 * d**2
    config = parse_config({
        "name": "saddles", "record": {"snapshots": 200},
        "grid": {"init_variance": [each / width for each in (1e-6, 1e-4, 1e-2)], "width": [width, 100 * width], "replicates": 8},
    })  # fmt: skip
    results = trained(
        [config.of_task(Task.from_target(signal, signal, 4))], scratch.directory / "saddles", scratch.jobs
    )
    runs = results.runs[np.isclose(results.runs["threshold"], c) & (results.runs["width"] == width)]
    escapes = np.array([results.trajectory(run_id).mode_times.escape for run_id in runs["run_id"]])
    over = escapes / (np.log(2 * values / c) / (2 * values))
    estimate = mean(over.mean(axis=1))
    steps = ", ".join(f"{each:.4f}" for each in escapes.mean(axis=0))
    return found(results, "escape time over ln(2 S/c)/(2 S), c = 1e-6", estimate, estimate.meets(1.0, 0.02),
                 picture=draw(selected(results, dict(runs.iloc[0][["init_variance", "width"]])), "trajectories"),
                 told=f"the modes leave one after the other, at {steps}")  # fmt: skip


def gap(scratch: Scratch) -> Found:
    """Test error less train error at the end, lazy and balanced, over the number of samples."""
    grid = {"gamma_sigma2": {"start": -3, "stop": 0, "num": 9}, "width": 1024,
            "task.samples": [16, 32, 64, 128, 256, 512, 1024], "replicates": 4}  # fmt: skip
    results = scratch.sweep("gap", grid, task={"dimension": 32, "rank": 2, "noise": 0.5})
    runs = results.runs[results.runs["samples"] == 1024]
    estimate = mean(runs.groupby("replicate")["generalization_gap"].mean())
    few = results.runs[results.runs["samples"] == 32]["generalization_gap"].mean()
    one = found(results, "test error less train error at n = 32 d", estimate, True,
                picture=panel(results, "generalization-gap", "gamma_sigma2", "n/d"), told=f"at n = d: {few:.2f}")  # fmt: skip
    return replace(one, verdict=NOT_JUDGED)


STATEMENTS = [
    Statement("layers", "Kunin et al. 2024, arXiv:2406.06158",
              "in linear networks rapid feature learning only occurs from balanced initializations",
              "the interval, by 0.02, lies off 1, or layers of r >= 1000 learn features", unequal_layers),
    Statement("rates", "Nam et al. 2025, arXiv:2502.21009",
              "its layer imbalance and weight-to-target ratio are r p and c/S here: starts of one r p are one start",
              "two starts of one r p differ by more than rounding", rates_and_variances),
    Statement("balanced", "Domine et al. 2024, arXiv:2409.14623",
              "lambda-balanced starts are lazy or in a delayed rich regime, by the sign of lambda and the shape",
              "the kernel does not turn at lambda = -30, or does at lambda = 30", balanced_starts),
    Statement("decay", "Wang and Jacot 2023, arXiv:2305.16038; Jacot et al. 2024, arXiv:2410.04887",
              "weight decay leads to low rank and balancedness", "a start ends at another rank, or at an imbalance above 1e-5", weight_decay),
    Statement("label_noise", "Han et al. 2025, arXiv:2505.18909; Zhang et al. 2026, arXiv:2603.10397",
              "with label noise the weights diminish and the network escapes the lazy regime",
              "the signal's mode balance is not above 1/sqrt(2)", label_noise),
    Statement("richness", "Atanasov et al. 2024, arXiv:2410.04642",
              "the largest learning rate goes as gamma^2 when lazy and as gamma^(2/L), L = 2, when rich",
              "a slope is off by more than 0.05", edge),
    Statement("power_laws", "Bordelon et al. 2024, arXiv:2409.17858",
              "feature learning improves the exponent of hard tasks (beta < 1) only",
              "no gain below beta = 1, or one above", power_law),
    Statement("covariance", "Movahedi et al. 2024, arXiv:2410.12025",
              "geometry evolves only along the data covariance", "it moves by more than rounding", null_space),
    Statement("saddles", "Jacot et al. 2021, arXiv:2106.15933",
              "from small starts training goes from saddle to saddle, a rank at a time",
              "the interval, by 0.02, lies off 1", saddles),
    Statement("gap", "Golikov 2024, arXiv:2407.06765", "its a-priori bound of the gap between test and train error is not evaluated here; the gap is",
              "-", gap),
]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the page


def told_of(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def digits(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2g}"


def page(rows: list[tuple[Statement, Found]], minutes: float) -> str:
    """results/related/README.md."""
    shown = [
        {
            "paper": each.paper,
            "statement": each.text,
            "measured": f"{one.number}: {digits(one.estimate.value)}",
            "95 % interval": f"{digits(one.estimate.low)} to {digits(one.estimate.high)}",
            "runs": f"{one.runs:,}",
            "verdict": f"**{one.verdict}**" if one.verdict == REFUTED else one.verdict,
            "refuted if": each.refuted_if,
            "besides": one.told,
        }
        for each, one in rows
    ]
    pictures = "\n\n".join(
        f"## {each.paper}\n\n![{each.text}]({each.name}.png)" for each, one in rows if one.picture is not None
    )
    return f"""# The related papers, measured

A row for each paper whose knobs linphase has ([docs/knobs.md](../../docs/knobs.md)): what it states, as far as it is known
to us from abstracts, pages and code, the number that linphase measures at the d of the sweep, and whether it agrees. None of
these is a proof, and each holds at the sizes of `benchmarks/related.py`. Intervals are Student's t over replicates, of shares Clopper and
Pearson's.

{markdown(shown)}

Made by `python -m benchmarks.related`, which trained what was missing in {minutes:.1f} minutes this time. Numbers:
[related.csv](related.csv).

{pictures}
"""


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), default=ROOT / "results" / "related_runs",
              help="Where the sweeps are kept; not committed.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where the page goes.")
@click.option("--only", multiple=True, help="The name of one statement. Repeatable; then no page is written.")
@click.option("--jobs", default=2, show_default=True, help="Worker processes.")
def main(scratch: Path, out: Path, only: tuple[str, ...], jobs: int) -> None:
    """Train what is missing, measure every statement, and write the page."""
    began = perf_counter()
    rows = []
    for statement in STATEMENTS:
        if not only or statement.name in only:
            one = statement.measure(Scratch(scratch, jobs))
            rows.append((statement, one))
            interval = f"{digits(one.estimate.low)} to {digits(one.estimate.high)}"
            click.echo(
                f"{statement.name}: {one.number}: {digits(one.estimate.value)} ({interval}), {one.verdict}; {one.told}"
            )
    out.mkdir(parents=True, exist_ok=True)
    for statement, one in rows:
        if one.picture is not None:
            save(one.picture, out / f"{statement.name}.png", {"Title": statement.text})
    if only:
        return
    table = [
        {"paper": each.paper, "statement": each.text, "number": one.number, "value": one.estimate.value,
         "low": one.estimate.low, "high": one.estimate.high, "runs": one.runs, "cpu_s": one.seconds,
         "verdict": one.verdict, "refuted_if": each.refuted_if, "told": one.told}
        for each, one in rows
    ]  # fmt: skip
    pd.DataFrame(table).to_csv(out / "related.csv", index=False, float_format="%.6g")
    (out / "README.md").write_text(page(rows, (perf_counter() - began) / 60), encoding="utf-8")
    click.echo(f"{(perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()

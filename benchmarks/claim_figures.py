"""The figures of `benchmarks.paper_claims`, each one column wide."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.claim_sweeps import DIMENSIONS, RANK, SUMS, total
from benchmarks.estimates import mean
from linphase import Results
from linphase.figures.fitting import COLUMN_WIDTH
from linphase.figures.style import inches, set_ticks, stroke, styled
from linphase.theory.asymptotic import TypicalTask, asymptotic_cell, local_slope

Sweeps = dict[str, Results]
CURVES = {0.25: "#0072B2", 0.5: "#009E73", 0.75: "#E69F00", 1.1: "#D55E00"}  # Okabe and Ito, told apart by all
MARKS = ("o", "s", "^", "D")


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(inches(COLUMN_WIDTH), inches(height * COLUMN_WIDTH)), layout="constrained")
    return figure, figure.subplots()


def trained_errors(sweeps: Sweeps) -> pd.DataFrame:
    """The trained points of `error_over_d`: mean smallest test error and its 95 % interval, for each sum and d."""
    runs = sweeps["dimension"].runs
    rows = []
    for at in CURVES:
        for each in DIMENSIONS:
            error = runs.loc[(total(runs) == at) & (runs["dimension"] == each), "min_test_error"]
            found = mean(error)
            rows.append(
                {"sum": at, "d": each, "runs": len(error), "mean": found.value, "low": found.low, "high": found.high}
            )
    return pd.DataFrame(rows)


def draw_error_over_d(ax: Axes, trained: pd.DataFrame) -> None:
    """The smallest test error over d: the closed form to d = 10^12, trained networks, optimal shrinkage."""
    d = np.geomspace(30, 1e12, 60)
    for (at, color), mark in zip(CURVES.items(), MARKS, strict=True):
        curve = [asymptotic_cell(TypicalTask(each, RANK), at).min_test_error for each in d]
        last = local_slope(TypicalTask(1e12, RANK), at)
        label = f"{at}: {last:.2f}".replace("-", "\N{MINUS SIGN}").replace("\N{MINUS SIGN}0.00", "0.00")
        ax.plot(d, curve, color=color, linestyle=(0, (4, 1.5)), label=label)
        here = trained[trained["sum"] == at]
        bars = [here["mean"] - here["low"], here["high"] - here["mean"]]
        ax.errorbar(here["d"], here["mean"], bars, fmt=mark, color=color, markersize=stroke(2.6), elinewidth=stroke(0.7),
                    markeredgecolor="white", markeredgewidth=stroke(0.3))  # fmt: skip
    best = [TypicalTask(each, RANK).baselines.optimal for each in d]
    ax.plot(d, best, color="black", linestyle=(0, (1, 1.5)), linewidth=stroke(0.8), label="optimal shrinkage")
    handles, labels = ax.get_legend_handles_labels()
    handles.append(Line2D([], [], color="0.4", marker="o", linestyle="", markersize=stroke(2.6)))
    ax.legend(
        handles,
        [*labels, "trained; lines are theory"],
        frameon=False,
        loc="lower left",
        title="$\\gamma_{\\sigma^2}+\\gamma_w$:\nslope at $10^{12}$",
        alignment="left",
        handlelength=1.7,
        borderaxespad=0.2,
    )
    ax.set(
        xscale="log",
        yscale="log",
        xlim=(30, 1e12),
        ylim=(1e-11, 2),
        xlabel="dimension $d$",
        ylabel="smallest test error",
    )
    set_ticks(ax)


@styled
def error_over_d(sweeps: Sweeps) -> Figure:
    """The smallest test error over d, one curve a sum."""
    figure, ax = _axes(0.95)
    draw_error_over_d(ax, trained_errors(sweeps))
    return figure


@styled
def collapse(sweeps: Sweeps) -> Figure:
    """The smallest test error over c/s_k(Y), by width."""
    figure, ax = _axes(0.85)
    results = sweeps["collapse"]
    modes = results.final_modes()
    targets = modes[modes["mode"] == RANK - 1].set_index("run_id")["target"]
    runs = results.runs[results.runs["width"] >= RANK]
    x = runs["threshold"].to_numpy(float) / targets.reindex(runs["run_id"]).to_numpy(float)
    d = int(runs["dimension"].iloc[0])
    widths = sorted(runs["width"].unique())
    colors = colormaps["viridis"](np.linspace(0.95, 0.0, len(widths)))
    quiet = (runs["width"] > runs["threshold"] ** 2).to_numpy()  # 2 gamma_sigma2 + gamma_w < 0: below infinite noise
    for i, (width, color) in enumerate(zip(widths, colors, strict=True)):
        here, mark = (runs["width"] == width).to_numpy(), {"marker": MARKS[i % 4], "linestyle": "", "color": color}
        error = runs["min_test_error"].to_numpy(float)
        label = f"{width / d:,g} d"
        ax.plot(x[here & quiet], error[here & quiet], **mark, markersize=stroke(2.4), markeredgewidth=0, label=label)
        ax.plot(x[here & ~quiet], error[here & ~quiet], **mark, markersize=stroke(2.2), markerfacecolor="none",
                markeredgewidth=stroke(0.5), zorder=1)  # fmt: skip
    task, log_d = TypicalTask(d, RANK), np.log(d)
    places = np.geomspace(1e-3, 100, 100)
    curve = [asymptotic_cell(task, np.log(each * task.signal_value) / log_d).min_test_error for each in places]
    ax.plot(places, curve, color="black", linewidth=stroke(0.7), label="closed form", zorder=4)
    ax.plot([], [], "o", color="0.4", markersize=stroke(2.2), markerfacecolor="none", markeredgewidth=stroke(0.5),
            label="$c^2$ > width")  # fmt: skip
    ax.axvline(1, color="0.5", linewidth=stroke(0.6), zorder=0)
    ax.set(xscale="log", xlabel="threshold over the signal's singular value, $c/s_k(Y)$", ylabel="smallest test error")
    ax.set_title(f"$d = {d}$, $k = {RANK}$")
    ax.legend(frameon=False, title="width", loc="upper left")
    ax.set(xlim=(6e-4, 200), ylim=(0, 1))
    set_ticks(ax)
    return figure


@styled
def trade_off(sweeps: Sweeps) -> Figure:
    """The time of the smallest test error against its value, c varied."""
    figure, ax = _axes(0.85)
    runs = sweeps["sums"].runs
    runs = runs.assign(sum=total(runs))
    for (d, color), mark in zip({64: "#E69F00", 200: "#0072B2", 400: "#000000"}.items(), MARKS, strict=False):
        here = runs[runs["dimension"] == d]
        means = here.groupby("sum")[["time_at_min", "min_test_error"]].mean()
        rank = int(here["rank"].iloc[0])
        theory = [asymptotic_cell(TypicalTask(d, rank), each) for each in SUMS]
        ax.plot(
            *zip(*((one.time_at_min, one.min_test_error) for one in theory), strict=True),
            color=color,
            linewidth=stroke(0.7),
        )
        ax.plot(means["time_at_min"], means["min_test_error"], mark, color=color, markersize=stroke(2.2), markeredgewidth=0,
                label=f"d = {d}")  # fmt: skip
        for at in (-0.5, 0.25, 0.5, 0.75, 1.0, 1.4):
            if d == 200:
                ax.annotate(
                    f"{at}".replace("-", "\N{MINUS SIGN}"),
                    means.loc[at],
                    xytext=(3, 3),
                    textcoords="offset points",
                    fontsize=6,
                )
    ax.set(xscale="log", xlabel="time of the smallest test error", ylabel="smallest test error")
    ax.set_ylim(0, 0.75)
    ax.plot([], [], color="0.4", linewidth=stroke(0.7), label="closed form")
    ax.legend(frameon=False, loc="upper right", title="beside the marks: the sum")
    set_ticks(ax)
    return figure


FIGURES: dict[str, Callable[[Sweeps], Figure]] = {each.__name__: each for each in (error_over_d, collapse, trade_off)}

"""The figure at the head of the README: where a start stands, how it trains there, what the test error comes to.

    python -m benchmarks.readme_figure

Trains what is missing of the quickstart and of three cells with eight replicates (a minute on two cores), takes the
trained points of results/paper_claims/error_over_d.csv, and writes docs/head.png.
"""

from math import sqrt
from pathlib import Path

import click
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.special import stdtrit

import linphase
from benchmarks.claim_figures import draw_error_over_d
from linphase.diagram.axes import Window
from linphase.diagram.cells import cells_of
from linphase.diagram.lines import theory_lines
from linphase.diagram.looks import BULK, LOOKS, SIGNAL, THRESHOLD, Array
from linphase.diagram.panels import find_panel
from linphase.figures.fitting import PAGE_WIDTH
from linphase.figures.labels import label_lines
from linphase.figures.layout import draw_frame, settle
from linphase.figures.overlays import draw_lines
from linphase.figures.painting import draw_cells
from linphase.figures.placing import NAMES
from linphase.figures.style import NotebookFigure, inches, points, save, set_ticks, stroke, styled
from linphase.model.regime import REGIMES, Cuts

ROOT = Path(__file__).parents[1]
REPLICATES = 8
WIDTH = 2.0  # gamma_w of the three cells
CELLS = {"lazy": -1.06, "mixed": -1.36, "balanced": -2.2}  # gamma_sigma2
CELL_NAMES = "abc"


def three_cells(scratch: Path, jobs: int) -> linphase.Results:
    """The three cells, their width that of WIDTH."""
    config = linphase.load_config(
        ROOT / "configs" / "quickstart.toml",
        [
            f"grid.gamma_sigma2={list(CELLS.values())}",
            f"grid.gamma_w=[{WIDTH}]",
            f"grid.replicates={REPLICATES}",
            "record.snapshots=200",
        ],
    )
    return linphase.sweep(config, scratch / "readme_cells", jobs=jobs)


def over_replicates(results: linphase.Results, gamma_sigma2: float, time: Array) -> dict[str, Array]:
    """Median singular value of the signal and of the bulk over time, of each replicate: (replicates, n)."""
    runs = results.runs[results.runs["gamma_sigma2"] == gamma_sigma2]
    k = int(runs["rank"].iloc[0])
    kept: dict[str, list[Array]] = {"signal": [], "bulk": []}
    for run_id in runs["run_id"]:
        run = results.trajectory(run_id)
        for name, modes in (("signal", slice(0, k)), ("bulk", slice(k, None))):
            s = np.median(run.singular_values[1:, modes], axis=1)
            kept[name].append(np.exp(np.interp(np.log(time), np.log(run.time[1:]), np.log(s))))
    return {name: np.array(each) for name, each in kept.items()}


def draw_cell(ax: Axes, results: linphase.Results, regime: str, name: str) -> None:
    """Singular values of one cell over time, geometric mean and 95 % interval over replicates, against c."""
    gamma_sigma2 = CELLS[regime]
    runs = results.runs[results.runs["gamma_sigma2"] == gamma_sigma2]
    time = np.geomspace(1e-3, 1, 200) * float(runs["final_time"].max())
    for which, color in (("bulk", BULK), ("signal", SIGNAL)):
        logs = np.log(over_replicates(results, gamma_sigma2, time)[which])
        middle = logs.mean(axis=0)
        half = stdtrit(len(logs) - 1, 0.975) * logs.std(axis=0, ddof=1) / sqrt(len(logs))
        ax.fill_between(time, np.exp(middle - half), np.exp(middle + half), color=color, alpha=0.3, linewidth=0)
        ax.plot(time, np.exp(middle), color=color, linewidth=stroke(1.0))
    ax.axhline(float(runs["threshold"].iloc[0]), color=THRESHOLD, linestyle=(0, (1, 1.2)), linewidth=stroke(1.0))
    ax.set(xscale="log", yscale="log", ylim=(0.1, 200), xlim=(time[0], time[-1]))
    ax.set_title(f"({name}) {regime}", fontsize=points(8), pad=points(2))
    set_ticks(ax)


@styled
def head(diagram: linphase.Results, cells: linphase.Results, trained: pd.DataFrame) -> Figure:
    """Left the regime diagram with the places of the three cells, in the middle these over time, right the error."""
    figure = NotebookFigure(figsize=(inches(PAGE_WIDTH), inches(0.42 * PAGE_WIDTH)), layout="constrained")
    grid = figure.add_gridspec(3, 4, width_ratios=(1.15, 0.08, 0.75, 1.15))  # the second for names of lines
    left, right = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[:, 3])
    window = Window.of(diagram.axes)
    panel = find_panel("regime", Cuts(), diagram.runs)
    draw_cells(left, cells_of(diagram.runs, window, panel, Cuts()), window, None)
    draw_frame(left, window, left=True, bottom=True)
    for name, at in zip(CELL_NAMES, CELLS.values(), strict=True):
        left.text(at, WIDTH, name, ha="center", va="center", fontsize=points(8), weight="bold", zorder=5,
                  bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "black", "linewidth": 0.6})  # fmt: skip
    shown = (LOOKS[name] for name in (*REGIMES, "underparameterized"))
    swatches = [Patch(facecolor=look.color, edgecolor="0.4", linewidth=0.5, label=look.label) for look in shown]
    left.legend(handles=swatches, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False,
                handlelength=1.0, columnspacing=1.0)  # fmt: skip
    left.set_title("where a start trains how, $d = 64$", pad=points(NAMES + 3))
    lines_of_theory = theory_lines(diagram.runs, window)
    draw_lines(left, lines_of_theory)

    middle = [figure.add_subplot(grid[i, 2]) for i in range(3)]
    for ax, regime, name in zip(middle, CELLS, CELL_NAMES, strict=True):
        draw_cell(ax, cells, regime, name)
    middle[1].set_ylabel("singular values of $A$")
    middle[2].set_xlabel("time")
    lines = [
        Line2D([], [], color=SIGNAL, linewidth=stroke(1.0), label="signal"),
        Line2D([], [], color=BULK, linewidth=stroke(1.0), label="bulk"),
        Line2D([], [], color="black", linestyle=(0, (1, 1.2)), linewidth=stroke(1.0), label="$c$"),
    ]
    middle[2].legend(handles=lines, loc="upper center", bbox_to_anchor=(0.45, -0.62), ncols=3, frameon=False,
                     handlelength=1.2, columnspacing=0.8)  # fmt: skip
    draw_error_over_d(right, trained)
    right.set_title("smallest test error at any $d$")
    settle(figure)
    label_lines(figure, left, lines_of_theory)
    return figure


@click.command()
@click.option("--scratch", type=click.Path(path_type=Path), default=ROOT / "results", show_default=False,
              help="Where the sweeps are kept; not committed.")  # fmt: skip
@click.option("--jobs", default=2, show_default=True, help="Worker processes.")
def main(scratch: Path, jobs: int) -> None:
    """Train what is missing, and draw."""
    config = linphase.load_config(ROOT / "configs" / "quickstart.toml")
    diagram = linphase.sweep(config, scratch / "quickstart", jobs=jobs)
    trained = pd.read_csv(ROOT / "results" / "paper_claims" / "error_over_d.csv")
    file = ROOT / "docs" / "head.png"
    save(
        head(diagram, three_cells(scratch, jobs), trained), file, {"Title": "linphase: regimes, paths and test errors"}
    )
    click.echo(f"Figure: {file}")


if __name__ == "__main__":
    main()

"""Every kind of figure at one column of a paper and at two, on one sheet each: docs/figures_one_column.png and
docs/figures_two_column.png.

    python docs/contact_sheet.py

Trains two small sweeps and one run (about a minute on two cores). Under each figure stands the command that draws it.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Dither

import linphase
from linphase.diagram.scaling import laws_of_panel
from linphase.dynamics.self_consistent import SelfConsistent
from linphase.figures.along import along
from linphase.figures.evolution import run_figure
from linphase.figures.fitting import WIDTHS
from linphase.figures.paper import figure1, figure2

ROOT = Path(__file__).parents[1]
DPI = 100
COLUMNS = {"one-column": 5, "two-column": 3}
MARGIN = 24  # pixels between figures
Draw = Callable[[linphase.Style], Figure]

REPLICATED: dict[str, Any] = {
    "name": "replicated",
    "task": {"dimension": 16, "rank": 2},
    "grid": {
        "gamma_sigma2": {"start": -2.5, "stop": 0.0, "num": 8},
        "gamma_w": {"start": 0.0, "stop": 2.8, "num": 8},
        "task.noise": [0.5, 1.0],
        "replicates": 3,
    },
}
DIMENSIONS: dict[str, Any] = {
    "name": "dimensions",
    "task": {"rank": 2},
    "grid": {"task.dimension": [12, 17, 24, 34], "gamma_sigma2": [-1.5], "gamma_w": [2.5], "replicates": 4},
}


def of_sweeps(scratch: Path) -> dict[str, Draw]:
    """Figures of sweeps, by the commands that draw them."""
    quickstart = linphase.sweep(ROOT / "configs" / "quickstart.toml", scratch / "quickstart")
    replicated = linphase.sweep(REPLICATED, scratch / "replicated")
    dimensions = linphase.sweep(DIMENSIONS, scratch / "dimensions")

    def panel(name: str, results: linphase.Results = quickstart, **options: Any) -> Draw:
        return lambda style: results.plot(name, style=style, **options)

    noise, cell = {"noise": 1.0}, {"gamma_sigma2": -1.5, "gamma_w": 1.8}
    widths = [4, 30, 100, 1500]
    return {
        "--panel regime": panel("regime"),
        "--panel status": panel("status"),
        "--panel test-error": panel("test-error"),
        "--panel learning-order": panel("learning-order"),
        "--panel signal-active": panel("signal-active"),
        "--panel iterations": panel("iterations"),
        "--panel boundaries (3 replicates)": panel("boundaries", replicated, where=noise),
        "--panel test-error-spread": panel("test-error-spread", replicated, where=noise),
        "--x c --y width/d": panel("regime", x="c", y="width/d"),
        "--panel test-error (facets)": panel("test-error", replicated),
        "--panel test-error --against theory": panel("test-error", against="theory"),
        "--panel regime --against theory": panel("regime", against="theory"),
        "--panel evidence": panel("evidence"),
        "--panel all": panel("all"),
        "--panel collapse": panel("collapse"),
        "--panel trajectories": panel("trajectories"),
        "--panel trajectories --where (one cell)": panel("trajectories", where=cell),
        "--panel three-regimes (3 replicates)": panel("three-regimes", replicated, where=noise),
        "--panel test-error --along gamma_sigma2": lambda style: replicated.plot(
            "test-error", along="gamma_sigma2", where={**noise, "width": widths}, style=style
        ),
        "--along gamma_sigma2 --where gamma_w=2": lambda style: replicated.plot(
            "regime", along="gamma_sigma2", where={**noise, "gamma_w": 2}, style=style
        ),
        "--panel all --where gamma_w=2": panel("all", replicated, where={**noise, "gamma_w": 2}),
        "--panel test-error --along task.dimension --fit": lambda style: along(
            laws_of_panel(dimensions, "test-error", "task.dimension"), label="smallest test error", style=style
        ),
        "--look figure2": lambda style: figure2(
            quickstart.runs, quickstart.axes, ("test-error", "stable-rank", "iterations"), style=style
        ),
    }


def of_one_run() -> dict[str, Draw]:
    """Figures of one run, by the commands that draw them."""
    task = linphase.draw_task(dimension=64, rank=4)
    start = linphase.Initialization.at(task.scale, gamma_sigma2=-1.5, gamma_w=1.8)
    weights = linphase.gaussian_start(start, task.shape)
    run, theory = linphase.train(task, weights), linphase.train(task, weights, SelfConsistent())
    descent = linphase.train(task, weights, linphase.GradientDescent(learning_rate={"paper": 5}, max_steps=100))
    names = ("gradient descent", "self-consistent")
    return {
        "linphase run": lambda style: run_figure(
            run.trajectory,
            threshold=start.threshold,
            rank=task.rank,
            theory=theory.trajectory,
            names=("gradient flow", "self-consistent"),
            style=style,
        ),
        "linphase run --look figure1": lambda style: figure1(
            descent.trajectory, theory.trajectory, threshold=start.threshold, rank=task.rank, names=names, style=style
        ),
    }


def picture(figure: Figure) -> Image.Image:
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return Image.open(file).convert("RGB")


def sheet(pictures: Mapping[str, Image.Image], columns: int) -> Image.Image:
    """Pictures of one width in columns, each under the shortest so far, with their names below them."""
    font = ImageFont.load_default(size=14)
    width = max(each.width for each in pictures.values()) + MARGIN
    heights, places = [MARGIN] * columns, {}
    for name, each in pictures.items():
        column = heights.index(min(heights))
        places[name] = (MARGIN + column * width, heights[column])
        heights[column] += each.height + 2 * MARGIN
    whole = Image.new("RGB", (MARGIN + columns * width, max(heights)), "white")
    for name, (x, y) in places.items():
        whole.paste(pictures[name], (x, y))
        ImageDraw.Draw(whole).text((x, y + pictures[name].height + 2), name, fill="#555555", font=font)
    return whole


def main() -> None:
    """Draw both sheets."""
    with TemporaryDirectory() as scratch:
        figures = of_sweeps(Path(scratch)) | of_one_run()
        for width, columns in COLUMNS.items():
            pictures = {name: picture(draw(linphase.Style(figure_width=width))) for name, draw in figures.items()}
            file = ROOT / "docs" / f"figures_{width.replace('-', '_')}.png"
            sheet(pictures, columns).quantize(256, dither=Dither.NONE).save(file, optimize=True)
            print(file.relative_to(ROOT), f"{len(pictures)} figures, {WIDTHS[width]} inches wide each")


if __name__ == "__main__":
    main()

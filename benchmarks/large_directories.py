"""What commands take on very many runs: `python -m benchmarks.large_directories [VARIANCESxWIDTHSxREPLICATES ...]`.

The results are made without training every run: a few are trained, and each run of the grid gets the rows of the
nearest of them under its own id and coordinates. Seconds and memory are those of the whole command, its start
included; of `sweep` until the first of the few runs that are missing is committed.

    python -m benchmarks.large_directories                        # all shapes and commands: half an hour
    python -m benchmarks.large_directories 100x100x2 -c report    # one shape, one command
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
import numpy as np

from linphase.config.config import SweepConfig, parse_config
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.store.folding import compact
from linphase.store.rows import Row, asked_for, summary_row, trajectory_row
from linphase.store.writing import create, write_runs

SHAPES = ("100x100x1", "100x100x2", "40x50x10", "100x100x10")
SAMPLE = 7  # so many variances and widths are trained
MISSING = 12  # runs left out, for `sweep` to begin with
COMMANDS = {
    "status": ["status", "r"],
    "sweep": ["sweep", "--config", "many.toml", "--out", "copy", "--no-plot"],
    "report": ["report", "r", "-o", "report"],
    "explore": ["explore", "r", "-o", "explorer.html"],
    "plot": ["plot", "r", "-o", "regime.png"],
    "boundary": ["boundary", "r"],
    "check": ["check", "r"],
    "export": ["export", "r", "-o", "runs.csv"],
}
CONFIG = """
name = "many"
[task]
dimension = 4
rank = 1
[grid]
gamma_sigma2 = {{ start = -6.0, stop = 0.0, num = {variances} }}
gamma_w = {{ start = 2.0, stop = 6.0, num = {widths} }}
replicates = {replicates}
"""


def make(directory: Path, variances: int, widths: int, replicates: int) -> None:
    """Write many.toml, and results r of all its runs but a few."""
    text = CONFIG.format(variances=variances, widths=widths, replicates=replicates)
    (directory / "many.toml").write_text(text)
    config = parse_config(tomllib.loads(text))
    create(directory / "r", config)
    copies = rows_of(config)
    for _ in range(MISSING):
        next(copies)
    while some := list(islice(copies, 5000)):
        write_runs(directory / "r", [run for run, _ in some], [trajectory for _, trajectory in some])
    compact(directory / "r")


def rows_of(config: SweepConfig) -> Iterator[tuple[Row, Row]]:
    """A row of either table for every run of a grid, its numbers those of the nearest run that is trained here."""
    trained: dict[tuple[int, ...], tuple[Row, Row]] = {}
    random = np.random.default_rng(0)
    variances, widths = (len(values) for values in config.grid.axes.values())
    for place, spec in enumerate(config.expand()):
        cell, replicate = divmod(place, config.grid.replicates)
        variance, width = divmod(cell, widths)
        nearest = variance * SAMPLE // variances, width * SAMPLE // widths, replicate
        if nearest not in trained:
            trained[nearest] = train(spec)
        run, trajectory = (blurred(row, random) for row in trained[nearest])
        yield run | asked_for(spec), trajectory | {"run_id": spec.run_id}


def train(spec: RunSpec) -> tuple[Row, Row]:
    """A run as rows."""
    run = train_spec(spec)
    return summary_row(spec, run), trajectory_row(spec.run_id, run.trajectory)


def blurred(row: Row, random: np.random.Generator) -> Row:
    """A row whose numbers are a millionth off, so that parts are as large as those of different runs."""

    def off(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return value * (1 - 1e-6 * random.random(value.shape))
        return value * (1 - 1e-6 * random.random()) if isinstance(value, float) else value

    return {name: off(value) for name, value in row.items()}


class Cost(NamedTuple):
    """What a command took."""

    wall: float  # s
    cpu: float  # s, threads added up
    memory: float  # MB, the peak


def cost(name: str, directory: Path) -> Cost:
    """Run a command of linphase in a directory; a sweep until the first runs are committed."""
    # In a copy, as it trains what is missing; parts are never written again, so links will do.
    shutil.rmtree(directory / "copy", ignore_errors=True)
    shutil.copytree(directory / "r", directory / "copy", copy_function=os.link)
    runs = directory / "copy" / "runs"
    earlier = set(os.listdir(runs))
    command = [sys.executable, "-m", "linphase", *COMMANDS[name]]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = seconds = 0.0
    while process.poll() is None:
        with suppress(OSError, IndexError):  # it has ended since
            peak, seconds = max(peak, memory(process.pid)), cpu(process.pid)
        if name == "sweep" and new_part(runs, earlier):
            break
        time.sleep(0.01)
    took = time.perf_counter() - began
    if code := process.wait():
        raise SystemExit(f"linphase {' '.join(COMMANDS[name])} ended with {code}")
    return Cost(took, seconds, peak)


def memory(pid: int) -> float:
    """The peak of a process since it began, in MB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1e3


def cpu(pid: int) -> float:
    """The CPU seconds of a process, all threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def new_part(directory: Path, earlier: set[str]) -> bool:
    """Whether there is a part that was not there."""
    return any(not name.startswith(".") for name in set(os.listdir(directory)) - earlier)


@click.command()
@click.argument("shapes", nargs=-1)
@click.option("-c", "--command", "names", type=click.Choice(list(COMMANDS)), multiple=True, help="Measure this only.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, help="Of each the fastest is printed.")
@click.option("--keep", type=click.Path(path_type=Path), help="Directory for the results, made there if it is new.")
def main(shapes: Sequence[str], names: Sequence[str], repeats: int, keep: Path | None) -> None:
    """Measure what commands take on many runs."""
    click.echo(f"{'grid':>12} {'command':>9} {'wall, s':>8} {'CPU, s':>8} {'peak, MB':>9}")
    with TemporaryDirectory() as temporary:
        for shape in shapes or SHAPES:
            directory = (keep or Path(temporary)) / shape
            if not directory.exists():
                directory.mkdir(parents=True)
                make(directory, *map(int, shape.split("x")))
            for name in names or COMMANDS:
                best = min(cost(name, directory) for _ in range(repeats))
                click.echo(f"{shape:>12} {name:>9} {best.wall:8.2f} {best.cpu:8.2f} {best.memory:9.0f}")


if __name__ == "__main__":
    main()

"""Section 6: two workers against one, and what a worker and a run cost beyond the training."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.cells import configuration, draw, follow, grid, small
from benchmarks.report import Finding, Section, Settings, Tables, add
from benchmarks.timing import alternating, extremes, number
from linphase.config.config import SweepConfig
from linphase.model.threads import one_blas_thread
from linphase.runs.spec import RunSpec
from linphase.runs.training import train_spec
from linphase.sweeps.sweeping import iter_sweep

BAR = 1.9


def swept(config: SweepConfig, jobs: int) -> None:
    """The whole sweep into an empty directory."""
    with TemporaryDirectory() as directory:
        rows = list(iter_sweep(config, Path(directory) / "sweep", jobs=jobs))
    assert len(rows) == config.runs, f"{len(rows)} of {config.runs} runs came back"


def measure(settings: Settings) -> Finding:
    """The ratio of two workers to one, on a subset of the window and on very many very small runs."""
    tables: Tables = {}
    numbers = overheads(settings, tables)
    config = configuration([*grid(3, 3), *small(20, 2)] if settings.quick else grid(13, 13))
    one, two = alternating(1 if settings.quick else 3, [partial(swept, config, n) for n in (1, 2)], warm_up=False).T
    ratio = extremes(one / two)
    row = {
        "runs": str(config.runs),
        "d": str(config.task.dimension),
        "one / two workers": str(ratio),
        "start-up not counted": str(extremes((one - numbers["start-up, 1"]) / (two - numbers["start-up, 2"]))),
        "one, s": number(float(np.median(one))),
        "two, s": number(float(np.median(two))),
    }
    add(tables, "The same sweep, from an empty directory to folded results", row)
    return Finding(f"{ratio} times as fast", ratio.median >= BAR, tables, {"two workers": ratio.median, **numbers})


def overheads(settings: Settings, tables: Tables) -> dict[str, float]:
    """Start-up of workers, and what a run of d = 4 takes beyond its dynamics."""
    tiny = [*small(4, 1), 'record.compare="none"']
    few, many = (configuration([*grid(n, n), *tiny]) for n in (2, 10 if settings.quick else 30))
    works = [partial(swept, config, jobs) for jobs in (1, 2) for config in (few, many)]
    works[0]()  # warm up: the first workers read everything from the disk
    times = alternating(1 if settings.quick else 3, works, warm_up=False)
    specs = list(many.expand())
    with one_blas_thread():
        dynamics, trained = alternating(3, [partial(bare, specs), partial(complete, specs)]).mean(axis=0) / len(specs)
    one, two = ((times[:, i + 1] - times[:, i]) / (many.runs - few.runs) for i in (0, 2))
    starts = times[:, 0] - few.runs * one, times[:, 2] - few.runs * two
    for name, value in (
        ("start-up and end of a sweep on one worker, s", str(extremes(starts[0]))),
        ("... on two workers, s", str(extremes(starts[1]))),
        ("a run: its dynamics alone, ms", number(dynamics * 1e3)),
        ("... everything recorded, in one process, ms", number(trained * 1e3)),
        ("... in a sweep on one worker, ms", str(extremes(one * 1e3))),
        ("... in a sweep on two workers, ms", str(extremes(two * 1e3))),
        ("two workers against one, start-up not counted", str(extremes(one / two))),
        (f"... everything counted, {many.runs} runs", str(extremes(times[:, 1] / times[:, 3]))),
    ):
        add(tables, f"Start-up and overhead, from {many.runs} runs of d = 4", {"": name, "found": value})
    found = {f"start-up, {n}": float(np.median(start)) for n, start in enumerate(starts, start=1)}
    return {**found, "overhead": float(np.median(one)) - dynamics}


def bare(specs: list[RunSpec]) -> None:
    """Draws and dynamics."""
    for spec in specs:
        follow(spec, *draw(spec))


def complete(specs: list[RunSpec]) -> None:
    """Draws, dynamics and everything recorded."""
    for spec in specs:
        train_spec(spec)


SECTION = Section(
    title="Two workers against one",
    measured="""The same sweep (13 × 13 cells of the window of Figure 2, d = 200) with one and with two worker processes in
turns, each from an empty directory, start-up of the workers and the folding of the results included. Then 900 runs of
d = 4, which are nothing but overhead.""",
    bar=f"at least {BAR} times as fast",
    measure=measure,
)

"""Where an attack takes place: a directory of its own, the results that it attacks, and linphase's commands there."""

import json
import os
import random
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from linphase.cli import main
from linphase.config.config import load_config
from linphase.store.writing import create
from linphase.sweeps import sweeping
from linphase.sweeps.batch import assign, run_batch
from tests.attack.forked import Child, Ended

CONFIG = """
name = "attacked"
[task]
target = "Y.npy"
signal = "A.npy"
[grid]
gamma_sigma2 = [-2.0, -1.0]
gamma_w = [0.0, 1.5]
replicates = 2
"""
RUNS, IN_A_PART = 8, 2
SWEEP = ("sweep", "--config", "../sweep.toml", "--out", "r", "--no-plot")
THEORY = ("theory", "--config", "../sweep.toml", "--out", "t", "--no-plot")
TRACEBACK = "Traceback (most recent call last)"
_OUTSIDE = ("SLURM_ARRAY_TASK_ID", "SLURM_CPUS_PER_TASK")


@dataclass(frozen=True)
class Ground:
    """What all attacks begin with, made once: path/undisturbed is the sweep in one part, path/parts in four."""

    path: Path
    seconds: float = 0.0  # that the undisturbed sweep took

    @property
    def undisturbed(self) -> Path:
        return self.path / "first" / "r"

    @property
    def theory(self) -> Path:
        return self.path / "first" / "t"

    @property
    def parts(self) -> Path:
        return self.path / "parts"

    @property
    def other(self) -> Path:
        """The results of another configuration."""
        return self.path / "other"


def prepare(path: Path) -> Ground:
    """The undisturbed sweeps, by the command line, and the same runs in parts of two."""
    ground = Ground(path)
    (path / "sweep.toml").write_text(CONFIG)
    _draw_target(path)
    arena = Arena(path / "first", ground, random.Random(0))
    seconds = arena.linphase(*SWEEP).seconds
    arena.linphase(*THEORY)
    arena.call(partial(_in_parts, path / "sweep.toml", ground.parts, ()))
    arena.call(partial(_in_parts, path / "sweep.toml", ground.other, ("task.rank=1",)))
    return replace(ground, seconds=seconds)


def _draw_target(path: Path) -> None:
    """Arrays of the user's own, which then lie in the results too: a signal of rank 2, and it with noise."""
    dice = np.random.default_rng(0)
    signal = dice.standard_normal((5, 2)) @ dice.standard_normal((2, 5))
    np.save(path / "A.npy", signal)
    np.save(path / "Y.npy", signal + dice.standard_normal((5, 5)))


def _in_parts(config: Path, path: Path, overrides: tuple[str, ...]) -> None:
    loaded = load_config(config, overrides)
    create(path, loaded)
    specs = list(loaded.expand())
    took = []
    for first in range(0, RUNS, IN_A_PART):
        batch = run_batch(path, assign(specs[first : first + IN_A_PART], loaded, sweep=uuid.uuid4().hex))
        took.append({row["run_id"]: row["elapsed_s"] for row in batch.rows})
    path.with_suffix(".json").write_text(json.dumps(took))


class Arena:
    """The directory of one attack: r/ are the results, tmp/ is $TMPDIR."""

    def __init__(self, path: Path, ground: Ground, dice: random.Random, number: int = 0) -> None:
        self.path, self.ground, self.dice, self.number = path, ground, dice, number
        self.results, self.temporary = path / "r", path / "tmp"
        self.told: list[str] = []  # the commands so far, each with its exit code
        self.kept: dict[str, float] = {}  # runs that are finished at the begin, and how long they took
        self.temporary.mkdir(parents=True)

    def start(
        self,
        *arguments: object,
        within: Callable[[], object] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """A command of linphase; `within` is called in its process before anything else."""
        words = [str(argument) for argument in arguments]
        self.told.append(" ".join(words))

        def work() -> None:
            os.environ.update({"TMPDIR": str(self.temporary), **(environment or {})})
            for name in _OUTSIDE:
                os.environ.pop(name, None)
            tempfile.tempdir = None
            sweeping.BATCH_SECONDS = (0.0, 5.0)  # so that a sweep of a tenth of a second has many parts
            within()
            main(words, prog_name="linphase")

        return Child(work, self._out(), self.path)

    def linphase(self, *arguments: object, codes: tuple[int, ...] = (0,), **how: object) -> Ended:
        """Run a command to its end; it must give one of these exit codes, and no traceback."""
        return self.ended(self.start(*arguments, **how), codes)  # type: ignore[arg-type]

    def ended(self, child: Child, codes: tuple[int, ...]) -> Ended:
        """How a command ended, which must be well."""
        done = child.wait()
        self.told[-1] += f" -> {done.code}"
        assert TRACEBACK not in done.out, f"a traceback: {traced(done.out)}"
        assert done.code in codes, f"exit code {done.code}, not one of {codes}: {done.out}"
        assert done.code <= 0 or re.search("Error: |damaged: |runs|OpenBLAS error", done.out), (
            f"no word of why: {done.out}"
        )
        return done

    def call(self, work: Callable[[], object]) -> None:
        """Have a process of its own do some work of the library, which must not raise."""
        done = Child(work, self._out(), self.path).wait()
        assert done.code == 0, traced(done.out)

    def _out(self) -> Path:
        return self.path / "tmp" / ".." / f"out{len(self.told)}"

    def have(self, source: Path, part: int | None = None) -> None:
        """Begin with these results in parts: all of them, or as a sweep left them that had done only so many parts."""
        shutil.copytree(source, self.results)
        took = json.loads(source.with_suffix(".json").read_text())
        there = range(len(took)) if part is None else self.dice.sample(range(len(took)), part)
        self.kept = {run_id: seconds for place in there for run_id, seconds in took[place].items()}
        for table in ("trajectories", "runs"):
            for place, name in enumerate(in_order(source / table)):
                if place not in there:
                    (self.results / table / name).unlink()

    def of(self, place: int) -> set[str]:
        """The ids of the runs in a part."""
        return set(json.loads(self.ground.parts.with_suffix(".json").read_text())[place])

    def lose(self, places: Collection[int]) -> None:
        """Expect the runs of these parts to be trained again."""
        for run_id in set[str]().union(*map(self.of, places)):
            self.kept.pop(run_id, None)


def traced(out: str) -> str:
    """The error at the end of some output, and where in linphase it was raised; the whole is in the directory."""
    files = re.findall(r'File "[^"]*/(linphase/[^"]*)", line (\d+)', out.rpartition(TRACEBACK)[2])
    lines = [line for line in out.splitlines() if re.match(r"[\w.]+(Error|Exception|Warning|Unavailable)\b", line)]
    return (lines[-1] if lines else out) + (f" ({':'.join(files[-1])})" if files else "")


def in_order(directory: Path) -> list[str]:
    """The names of parts as they were written: the runs part of each place belongs to the trajectories part there."""
    files = sorted(directory.glob("part-*"), key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [file.name for file in files]

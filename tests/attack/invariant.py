"""What must hold after every attack, whatever it was: one function."""

import os
import re
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from linphase.files import SAFE_AGE
from linphase.store.checking import check
from linphase.store.results import load
from tests.attack.arena import SWEEP, THEORY, Arena
from tests.processes import same_science

_OURS = re.compile(
    r"configs/(\.first|[0-9a-f]{16})\.json|(runs|trajectories|failures)/part-[0-9a-f]{40}\.parquet|"
    r"arrays/[0-9a-f]{20}\.npy|quarantine/.*",
    re.DOTALL,
)


def holds(
    arena: Arena,
    *,
    damaged: bool = False,
    theory: bool = False,
    fill: bool = False,
    within: Callable[[], object] = lambda: None,
) -> None:
    """Resume the sweep: then every number is that of the undisturbed one, each run is there once, and nothing else is.

    damaged: whether parts are damaged or strange, so that `check --repair` has to move them aside. theory: whether the
    attack was on predictions. fill: whether the runs lacked an observable. within: called in each process that resumes.
    """
    directory = arena.path / "t" if theory else arena.results
    command = THEORY if theory else (*SWEEP, *(("--fill",) if fill else ()))
    if not damaged or arena.dice.random() < 0.5:
        arena.linphase(*command, within=within)
    if damaged:
        arena.linphase("check", directory.name, "--repair", within=within)
        arena.linphase(*command, within=within)
    is_complete(arena, theory=theory)
    age_drafts(arena.path)
    arena.linphase("check", directory.name, "--repair")
    left = [*_unknown(directory), *(file.name for file in arena.temporary.iterdir())]
    assert not left, f"left over: {', '.join(sorted(left))}"


def is_complete(arena: Arena, *, theory: bool = False) -> None:
    """Every run is there once, with the numbers of the undisturbed sweep; those of the begin were not trained again."""
    undisturbed = arena.ground.theory if theory else arena.ground.undisturbed
    arena.call(partial(_same, undisturbed, arena.path / "t" if theory else arena.results, arena.kept))


def _same(undisturbed: Path, directory: Path, kept: dict[str, float]) -> None:
    """The check, the tables and the trajectories; a warning of a damaged part would be an error here."""
    warnings.simplefilter("error")
    found = check(directory)
    assert found.sound, f"not sound: {found.damaged}, {found.untraced}"
    assert not found.copies, f"{found.copies} runs are there twice"
    for table in ("runs", "trajectories"):
        here, there = (sorted(pd.read_parquet(each / table)["run_id"]) for each in (directory, undisturbed))
        assert here == there, f"{table}: {len(here)} rows, {len(set(here) - set(there))} of them strange"
    same_science(undisturbed, directory)
    took = load(directory).runs.set_index("run_id")["elapsed_s"].to_dict()
    again = [run_id for run_id, seconds in kept.items() if took[run_id] != seconds]
    assert not again, f"finished runs were lost, and trained again: {again}"


def age_drafts(path: Path) -> None:
    """Let two days pass for what killed writers left, which nobody removes earlier."""
    before = time.time() - 2 * SAFE_AGE
    for file in path.rglob(".*"):
        if file.is_file():
            os.utime(file, (before, before))


def _unknown(directory: Path) -> list[str]:
    """Files of a results directory that are none of linphase's, by their names in it."""
    names = [str(file.relative_to(directory)) for file in directory.rglob("*") if not file.is_dir()]
    return [name for name in names if not _OURS.fullmatch(name)]

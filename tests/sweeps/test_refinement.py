"""Sweeps that refine their grid: the same set of runs however they were interrupted, sharded, damaged or extended."""

import json
import os
import random
import shutil
import signal
import time
import tomllib
from math import inf, isfinite

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.diagram.measured import MIXED_BALANCED, MIXED_LAZY, boundaries_of
from linphase.store.checking import check, repair
from linphase.store.refining import Labels, labels_in
from linphase.store.results import load
from linphase.sweeps import sweeping
from linphase.sweeps.plan import Shard
from linphase.sweeps.sweeping import iter_sweep, levels_to_train, sweep
from tests.processes import finish, same_science, start_sweep
from tests.store.parts import add_part

PREDICTED = {
    "name": "refined",
    "grid": {
        "gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 5},
        "gamma_w": {"start": 0.0, "stop": 2.8, "num": 5},
    },
    "task": {"dimension": 40, "rank": 3},
    "dynamics": {"kind": "modes"},  # milliseconds a run
}
TRAINED = """
name = "trained"
[task]
dimension = 10
rank = 2
[grid]
gamma_sigma2 = { start = -3.0, stop = 0.0, num = 5 }
gamma_w = { start = 0.0, stop = 2.8, num = 5 }
replicates = 2
[refine]
levels = 2
"""


def refined(levels, **grid):
    return parse_config({**PREDICTED, "grid": PREDICTED["grid"] | grid, "refine": {"levels": levels}})


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def ids(path):
    return set(load(path).runs["run_id"])


def parts(path):
    return {part.name for part in (path / "runs").glob("part-*")}


@pytest.fixture
def in_this_process(monkeypatch):
    """No level starts workers of its own, however long it is estimated to take: the bits are the same."""
    monkeypatch.setattr(sweeping, "ALONE_SECONDS", inf)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "r"
    sweep(refined(3), path)
    return path


def test_rows_that_contradict_their_runs_change_no_level(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "r")
    (part,) = (tmp_path / "r" / "runs").glob("part-*")
    rows = pq.read_table(part)
    for name, value in (("noise", 3.0), ("status", "step_limit")):
        index = rows.schema.get_field_index(name)
        field = rows.schema.field(index)
        rows = rows.set_column(index, field, [pa.array([value] * rows.num_rows, field.type)])
    for count in range(8):  # some of the parts sort before the true one, some behind it
        add_part(tmp_path / "r" / "runs", rows.slice(count))
    assert load(tmp_path / "r").asked.levels == load(whole).asked.levels


def test_a_sweep_trains_every_level_and_asks_for_nothing_more(whole):
    results = load(whole)
    assert not results.missing()
    levels = [len(level) for level in results.asked.levels]
    assert len(levels) == 4
    assert levels[0] == 25 < sum(levels) < 33 * 33
    assert sum(levels) == len(results.runs)
    assert list(iter_sweep(refined(3), whole)) == []
    assert check(whole).sound


def test_levels_raised_in_a_directory_add_runs_and_give_the_same_set(tmp_path, whole):
    for levels in (0, 2, 3):
        sweep(refined(levels), tmp_path / "r")
    assert ids(tmp_path / "r") == ids(whole)
    assert not load(tmp_path / "r").missing()
    assert len(load(tmp_path / "r").configs) == 3


def test_three_shards_give_the_same_set_as_one_level_by_level(tmp_path, whole):
    config, reached = refined(2), []
    for _ in range(3):
        levels = set()
        for index in random.Random(len(reached)).sample(range(1, 4), 3):
            shard = Shard(index, 3)
            levels |= {level.number for level in levels_to_train(config, tmp_path / "r", shard)}
            list(iter_sweep(config, tmp_path / "r", shard=shard))
        reached.append(levels)
    assert [max(levels) for levels in reached] == [0, 1, 2]
    assert ids(tmp_path / "r") == set().union(*load(whole).asked.levels[:3])


def test_a_shard_says_what_comes_next(tmp_path):
    (tmp_path / "c.toml").write_text(TRAINED)
    command = ("sweep", "--config", tmp_path / "c.toml", "--out", tmp_path / "r", "--no-plot", "--shard")
    first, second = (linphase(*command, f"{index}/2").output.splitlines()[-2:] for index in (1, 2))
    assert first[0].startswith("Shard 1/2, level 0 of 2 is done; ")
    assert first[1] == "Then comes level 1 once they are there: run all shards again"
    known = len(load(tmp_path / "r").missing())
    assert second[1] == f"Shard 2/2, level 0 of 2 is done; next comes level 1, {known} runs: run all shards again"
    status = linphase("status", tmp_path / "r").output
    assert f"  level 0 of 2: 50 of 50 runs done\n  level 1 of 2: 0 of {known} runs done" in status
    assert "level 2 of 2: not known before" in status
    told = json.loads(linphase("status", tmp_path / "r", "--json").output)
    assert told["levels"][2] == {"level": 2, "runs": None, "done": None}
    plan = linphase("sweep", "--config", tmp_path / "c.toml", "--out", tmp_path / "r", "--dry-run").output
    assert f"{50 + known}, 50 of them done" in plan


def test_a_level_whose_parents_are_lost_belongs_to_the_directory_and_is_found_again(tmp_path):
    sweep(refined(1), tmp_path / "r")
    before, grid = ids(tmp_path / "r"), [spec.run_id for spec in refined(0).expand()]
    (part,) = (tmp_path / "r/runs").iterdir()
    rows = pq.read_table(part)
    add_part(tmp_path / "r/runs", rows.filter(pc.invert(pc.is_in(rows.column("run_id"), pa.array(grid)))))
    part.unlink()
    found = check(tmp_path / "r")
    assert not found.foreign
    assert not found.mixed
    repair(tmp_path / "r", found)
    results = load(tmp_path / "r")
    assert results.strangers == 0
    assert set(results.runs["run_id"]) == before - set(grid)
    assert [spec.run_id for spec in results.missing()] == grid
    sweep(refined(1), tmp_path / "r")
    assert ids(tmp_path / "r") == before
    assert not load(tmp_path / "r").missing()


def test_unknown_cells_and_failed_runs_split_nothing_and_hold_nothing_up(tmp_path):
    config = refined(1)
    specs = list(config.expand())
    failed = Labels(failed=[spec.run_id for spec in specs])
    assert all(map(failed.settled, specs))
    assert [len(level) for level in config.levels(failed.of)] == [25, 0]
    sweep(refined(0), tmp_path / "r")
    known = labels_in(tmp_path / "r")
    assert {known.of([spec]) for spec in specs} == {"lazy", "mixed", "balanced", "underparameterized"}
    assert known.of([*specs[:1], *refined(0, replicates=2).expand()][:3]) is None  # the second replicate is not there


@pytest.mark.slow
def test_a_refinement_killed_at_random_moments_gives_the_same_runs(tmp_path, in_this_process):
    single = TRAINED.replace("replicates = 2", "replicates = 1")
    sweep(parse_config(tomllib.loads(single)), tmp_path / "a")
    rng, killed = random.Random(3), 0
    for _ in range(2):
        before = parts(tmp_path / "r")
        process = start_sweep(tmp_path, "--jobs", "2", text=single)
        while parts(tmp_path / "r") == before and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
    finish(start_sweep(tmp_path, text=single))
    assert killed
    same_science(tmp_path / "a", tmp_path / "r")


@pytest.mark.slow
def test_no_vertex_of_the_full_grid_is_labelled_otherwise_where_training_refines(tmp_path, in_this_process):
    # d = 12, k = 2, 6 x 6 cells and 2 levels; at d = 24, k = 3 with 2 replicates too (1,250 runs), measured once.
    grid = {
        "gamma_sigma2": {"start": -3.0, "stop": 0.0, "num": 7},
        "gamma_w": {"start": 0.0, "stop": 2.8, "num": 7},
    }
    base = {"name": "trained", "task": {"dimension": 12, "rank": 2}}
    full_grid = {key: {**axis, "num": 25} for key, axis in grid.items()}
    config = parse_config({**base, "grid": grid, "refine": {"levels": 2}})
    full = parse_config({**base, "grid": full_grid})
    sweep(config, tmp_path / "r")
    runs = labels_in(tmp_path / "r")
    sweep(full, tmp_path / "r")  # what refinement left out
    truth = labels_in(tmp_path / "r")
    cells = {}
    for spec in full.expand():
        cells.setdefault(spec.start, []).append(spec)
    label = {tuple(value for _, value in start): truth.of(specs) for start, specs in cells.items()}
    run = {
        (specs[0].start[0][1], specs[0].initialization.width): runs.of(specs)
        for specs in cells.values()
        if runs.settled(specs[0])
    }
    xs, ys = (sorted({start[axis] for start in label}) for axis in (0, 1))
    assert len(run) < 0.5 * len(
        {(x, c[0].initialization.width) for (x, _), c in zip(label, cells.values(), strict=True)}
    )
    width = {y: cells[(("gamma_sigma2", xs[0]), ("gamma_w", y))][0].initialization.width for y in ys}
    wrong = [
        (x, y) for i, x in enumerate(xs) for j, y in enumerate(ys) if _nearest(run, xs, ys, width, i, j) != label[x, y]
    ]
    assert not wrong


def _nearest(run, xs, ys, width, i, j):
    """The label of the run there, or of a corner of the smallest cell around whose four corners were run."""
    for side in (1, 2, 4):
        low_i, low_j = i // side * side, j // side * side
        corners = [
            run.get((xs[min(low_i + a, 24)], width[ys[min(low_j + b, 24)]])) for a in (0, side) for b in (0, side)
        ]
        here = run.get((xs[i], width[ys[j]]))
        if here is not None:
            return here
        if None not in corners:
            return min(set(corners)) if len(set(corners)) == 1 else "undecided"
    return None


def test_boundaries_between_refined_cells_lie_on_theorys_and_nothing_is_said_beyond_them(whole):
    found = [each for each in boundaries_of(load(whole)) if each.name in (MIXED_LAZY, MIXED_BALANCED)]
    finest = 3.0 / 4 / 8
    between = [each for each in found if isfinite(each.gamma_sigma2)]
    assert len(between) > 40
    assert all(each.grid_step == pytest.approx(finest) for each in between)  # cells were refined where they cross
    # Rank 3 at d = 40: where a draw's modes lie about the typical value.
    assert max(abs(each.gamma_sigma2 - each.finite_d) for each in between) < 0.1
    silent = [each for each in found if "do not reach" in each.note]
    assert all(each.gamma_sigma2 != each.gamma_sigma2 for each in silent)

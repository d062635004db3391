"""Shards: fixed, disjoint, complete and balanced parts of a sweep; and what a task reads of its SLURM job array."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from linphase.cli import main
from linphase.config.config import parse_config
from linphase.errors import ConfigError
from linphase.store.results import load
from linphase.sweeps.plan import Shard, estimated_flops, parse_shard, shard_of
from linphase.sweeps.slurm import array_shard, own_task
from linphase.sweeps.sweeping import iter_sweep, planned
from tests.processes import TINY as CONFIG
from tests.processes import same_science

TINY = parse_config(tomllib.loads(CONFIG))
# Widths from 1 to 3000 and two dimensions: runs of very different cost, and many of the same.
MIXED = parse_config(
    {
        "name": "mixed",
        "grid": {
            "gamma_sigma2": [-2.0, -1.0, 0.0],
            "gamma_w": [0.0, 1.0, 1.5, 2.5],
            "task.dimension": [16, 64],
            "replicates": 5,
        },
    }
)
SPECS = list(MIXED.expand())
NOWHERE = Path("nowhere")


def linphase(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def ids(specs):
    return [spec.run_id for spec in specs]


@pytest.mark.parametrize("count", [1, 2, 7, 16, 120, 130])
def test_every_run_is_in_exactly_one_shard_in_the_order_of_the_list(count):
    parts = [ids(planned(MIXED, NOWHERE, Shard(index, count))) for index in range(1, count + 1)]
    assert sorted(run_id for part in parts for run_id in part) == sorted(ids(SPECS))
    place = {run_id: index for index, run_id in enumerate(ids(SPECS))}
    assert all(part == sorted(part, key=place.__getitem__) for part in parts)


@given(st.permutations(range(len(SPECS))), st.integers(1, 16))
@settings(max_examples=20, deadline=None)
def test_a_shard_does_not_depend_on_the_order_of_the_list(order, index):
    shuffled = [SPECS[place] for place in order]
    shard = Shard(index, 16)
    assert set(ids(shard_of(shuffled, shard, estimated_flops))) == set(ids(planned(MIXED, NOWHERE, shard)))


@given(st.lists(st.floats(1e-3, 1e3), min_size=len(SPECS), max_size=len(SPECS)), st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_the_fullest_shard_is_within_grahams_bound(costs, count):
    # The best possible is at least the mean and at least the longest run: LPT stays below 4/3 - 1/(3 count) of the
    # optimum, and like every list schedule below mean + longest.
    cost = dict(zip(ids(SPECS), costs, strict=True))
    loads = [
        sum(cost[spec.run_id] for spec in shard_of(SPECS, Shard(index, count), lambda spec: cost[spec.run_id]))
        for index in range(1, count + 1)
    ]
    assert max(loads) <= sum(costs) / count + max(costs)
    assert max(loads) - min(loads) <= max(costs) * (1 + 1e-9)


def test_shards_of_a_real_grid_are_balanced():
    loads = [sum(map(estimated_flops, planned(MIXED, NOWHERE, Shard(index, 8)))) for index in range(1, 9)]
    assert max(loads) < 1.05 * min(loads)


@pytest.mark.slow
def test_shards_together_are_the_sweep_bit_for_bit_whatever_was_done_before(tiny, tmp_path):
    second = set(ids(planned(TINY, NOWHERE, Shard(2, 3))))
    trained = [row["run_id"] for row in iter_sweep(TINY, tmp_path / "r", shard=Shard(2, 3))]
    assert set(trained) == second
    assert list(iter_sweep(TINY, tmp_path / "r", shard=Shard(2, 3))) == []  # resumed: nothing is left
    for index in (1, 3):
        rows = list(iter_sweep(TINY, tmp_path / "r", shard=Shard(index, 3)))
        assert not second & {row["run_id"] for row in rows}
    assert not load(tmp_path / "r").missing()
    same_science(tiny, tmp_path / "r")


@pytest.mark.slow
def test_the_command_runs_its_shard_and_the_last_one_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    first = linphase("sweep", "--config", "tiny.toml", "--shard", "1/2")
    assert first.exit_code == 0, first.output
    assert "Shard 1/2 is done; " in first.output
    assert "runs of other shards are not in results/tiny yet" in first.output
    assert not (tmp_path / "results/tiny/phase_diagram.png").exists()
    plan = linphase("sweep", "--config", "tiny.toml", "--shard", "1/2", "--dry-run")
    done = len(list(planned(TINY, NOWHERE, Shard(1, 2))))
    assert f"{done} of 9 in shard 1/2, {done} of them done" in plan.output
    last = linphase("sweep", "--config", "tiny.toml", "--shard", "2/2")
    assert last.exit_code == 0, last.output
    assert f"{9 - done} runs by regime and status" in last.output
    assert (tmp_path / "results/tiny/phase_diagram.png").exists()


def test_a_shard_without_runs_is_done_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    done = linphase("sweep", "--config", "tiny.toml", "--shard", "16/16", "--no-plot")
    assert done.exit_code == 0, done.output
    assert "Shard 16/16 is done; 9 runs" in done.output


@pytest.mark.parametrize("text", ["3", "3/", "/4", "a/b", "1.0/4", "-1/4", "1/4/2", " 1/4", "1/4\n", "", "³/4"])
def test_what_is_no_shard_is_told_the_form(text):
    with pytest.raises(ConfigError, match=r"--shard: I/N is required, .* such as 3/16, found "):
        parse_shard(text)


@pytest.mark.parametrize("text", ["0/4", "5/4"])
def test_shards_are_counted_from_1(text):
    with pytest.raises(ConfigError, match=rf"so 1/4 to 4/4 are required, found '{text}'"):
        parse_shard(text)


@pytest.mark.parametrize("text", ["1/0", "0/0", "1/100001"])
def test_the_number_of_shards_has_limits(text):
    with pytest.raises(ConfigError, match="at least 1 and at most 100000 parts"):
        parse_shard(text)


def array(task, low, high, count):
    values = {"ID": task, "MIN": low, "MAX": high, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, None), (array(0, 0, 15, 16), "1/16"), (array(16, 1, 16, 16), "16/16"), (array(7, 5, 8, 4), "3/4")],
)
def test_the_task_of_an_array_without_gaps_is_a_shard(environment, expected):
    found = array_shard(environment)
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize(
    "environment",
    [array(2, 0, 14, 8), array(1, 1, 3, 2), array(1, 1, 3, None), array("x", 1, 3, 3), array(4, 1, 3, 3)],
)
def test_an_array_with_gaps_is_told_to_pass_a_shard(environment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = linphase("sweep", "--config", "tiny.toml")
    assert done.exit_code == 2
    assert "Pass --shard I/N" in done.output
    assert environment["SLURM_ARRAY_TASK_ID"] in done.output
    assert not (tmp_path / "results").exists()
    # What is passed counts.
    assert linphase("sweep", "--config", "tiny.toml", "--shard", "1/1", "--dry-run").exit_code == 0


def test_a_task_says_which_shard_it_found_and_has_a_worker_a_core(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    for name, value in (array(6, 5, 8, 4) | {"SLURM_CPUS_PER_TASK": "3"}).items():
        monkeypatch.setenv(name, value)
    plan = linphase("sweep", "--config", "tiny.toml", "--dry-run")
    assert "Shard 2/4, as SLURM_ARRAY_TASK_ID is 6" in plan.output
    assert "on 3 workers" in plan.output
    assert "on 2 workers" in linphase("sweep", "--config", "tiny.toml", "--dry-run", "--jobs", "2").output
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "many")
    wrong = linphase("sweep", "--config", "tiny.toml", "--dry-run")
    assert wrong.exit_code == 2
    assert "SLURM_CPUS_PER_TASK: a number of cores is required, found 'many'" in wrong.output


def test_requeue_outside_of_slurm_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(CONFIG)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    done = linphase("sweep", "--config", "tiny.toml", "--requeue")
    assert done.exit_code == 2
    assert "--requeue: a SLURM job is required" in done.output


def test_a_task_of_an_array_is_named_by_array_and_task():
    # The last task of an array has the array's own job id, which scontrol takes for all of its tasks.
    ours = {"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "4"}
    assert own_task(ours) == "70_4"
    assert own_task({"SLURM_JOB_ID": "71"}) == "71"

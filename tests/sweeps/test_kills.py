"""Sweeps that are killed, suspended and run beside each other; `python -m tests.attack` has random moments."""

import os
import re
import signal
import tempfile
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from linphase.config.config import parse_config
from linphase.store.results import load
from linphase.store.writing import create
from linphase.sweeps import leftovers, local, schedule
from linphase.sweeps.claims import Claims
from linphase.sweeps.sweeping import iter_sweep
from tests.processes import (
    ENVIRONMENT,
    SLOWER,
    finish,
    gone,
    same_science,
    start_sweep,
    wait_for_first_part,
)

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find workers")

MANY = SLOWER.replace("dimension = 40", "dimension = 24").replace("num = 12", "num = 20")  # 200 runs


@pytest.mark.alone
def test_what_a_killed_process_group_leaves_on_the_machine_goes_with_the_next_sweep(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path / "temporary"))
    process = start_sweep(tmp_path, "--jobs", "2")
    wait_for_first_part(tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert gone(process.pid)
    left = [*Path("/dev/shm").glob(f"sem.loky-{process.pid}-*"), *(tmp_path / "temporary").iterdir()]
    assert len(left) > 1
    finish(start_sweep(tmp_path, "--jobs", "2"))
    assert not [each for each in left if each.exists()]
    assert not list((tmp_path / "temporary").iterdir())


def test_leftovers_of_the_dead_go_and_those_of_the_living_and_of_others_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "_SEMAPHORES", tmp_path / "shm")
    kept = ["linphase-workers-", "linphase-workers-mine", "linphase-sweep", "linphase-workers-thesis__"]
    dead = [f"linphase-workers-dead000{i}" for i in range(3)]
    kept.append("linphase-workers-again000")  # its process died while it made semaphores, and its number lives again
    for name in (*kept, *dead, "shm"):
        (tmp_path / name).mkdir()
    (tmp_path / "linphase-workers-thesis__" / "thesis.tex").write_text("")
    (tmp_path / "linphase-workers-link0000").symlink_to("shm")
    for name in ("sem.loky-1-aaaaaaaa", "sem.loky-1-bbbbbbbb", "sem.loky-99999999-aaaaaaaa", "1"):
        (tmp_path / "shm" / name).write_text("")
    note = f"process {{}} of {os.readlink('/proc/self/ns/pid')}\n"
    named = f"{note.format(1)}sem.loky-1-aaaaaaaa\n../shm/1\n1\nsem.lo"
    (tmp_path / dead[0] / "semaphores").write_text(named)
    (tmp_path / dead[0] / "4711").write_text("Fatal Python error")
    (tmp_path / dead[1] / "semaphores").write_text(note.format(99999999))
    (tmp_path / "linphase-workers-again000" / "semaphores").write_text(note.format(1))
    with leftovers.Scratch() as living, leftovers.Scratch() as another:
        leftovers.remove_leftovers()
        assert living.path.is_dir()
        assert another.path.is_dir()
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "linphase-workers-link0000", "shm"])
    assert sorted(os.listdir(tmp_path / "shm")) == ["1", "sem.loky-1-bbbbbbbb"]


@pytest.mark.alone
def test_eight_sweeps_side_by_side_share_the_runs_and_train_few_of_them_twice(tmp_path):
    processes = [start_sweep(tmp_path, "--jobs", "1", text=MANY) for _ in range(8)]
    outs = [finish(process, timeout=300) for process in processes]
    told = [re.search(r"others did (\d+) of (\d+) runs meanwhile; (\d+) were", out) for out in outs]
    trained = sum(int(match[2]) - int(match[1]) for match in told if match)
    results = load(tmp_path / "r")
    assert len(results.runs) == 200
    assert results.runs["run_id"].is_unique
    assert set(results.runs["status"]) == {"converged"}
    assert all(told)
    assert 200 <= trained <= 220
    assert not (tmp_path / "r" / ".claims").exists()
    (tmp_path / "alone").mkdir()
    finish(start_sweep(tmp_path / "alone", text=MANY))
    same_science(tmp_path / "alone" / "r", tmp_path / "r")


@pytest.mark.slow
def test_a_suspended_sweep_keeps_nobody_waiting_for_long(tmp_path, monkeypatch):
    config = parse_config({"name": "s", "task": {"dimension": 8}, "grid": {"gamma_sigma2": [-2.0, -1.0], "gamma_w": 1}})
    create(tmp_path / "r", config)
    monkeypatch.setattr(schedule, "GRACE", 1.0)
    with Claims(tmp_path / "r") as suspended:
        suspended.add(spec.run_id for spec in config.expand())  # alive, and never doing it
        began = time.monotonic()
        assert len(list(iter_sweep(config, tmp_path / "r", jobs=1))) == 2
        assert 1 < time.monotonic() - began < 10


def test_claims_of_the_living_are_heeded_and_those_of_the_dead_are_not(tmp_path):
    ids = [f"{i:020d}" for i in range(3)]
    with Claims(tmp_path) as mine:
        with Claims(tmp_path) as other:
            other.add(ids[:1])
            assert mine.of_others(ids) == {ids[0]}
            other.add(ids[1:2])
            assert mine.of_others(ids) == set(ids[:2])
            assert other.of_others(ids) == set()
        assert mine.of_others(ids) == set()
        (tmp_path / ".claims" / "dead").write_text(f"{ids[2]}\n")
        assert mine.of_others(ids) == set()
        assert not (tmp_path / ".claims" / "dead").exists()
    assert not (tmp_path / ".claims").exists()


# --- Runs that take their worker with them ---------------------------------------------------------------------------

_run_batch = local.run_batch


def crashing_batch(directory, assignment):
    """A batch whose interpreter crashes at width 2."""
    if any(dict(spec["start"])["width"] == 2 for spec in assignment["specs"]):
        os.kill(os.getpid(), signal.SIGSEGV)
    return _run_batch(directory, assignment)


def hungry_batch(directory, assignment):
    """A batch that asks for more memory than there is at width 2; the other runs of the batch go on."""
    import linphase.sweeps.batch

    train = linphase.sweeps.batch.train_spec

    def train_spec(spec, task):
        return bytearray(2**62) if spec.initialization.width == 2 else train(spec, task)

    linphase.sweeps.batch.train_spec = train_spec
    try:
        return _run_batch(directory, assignment)
    finally:
        linphase.sweeps.batch.train_spec = train


def sleeping_batch(directory, seconds):
    """A batch that takes so long, and tells which process it was in."""
    time.sleep(seconds)
    return os.getpid()


@pytest.mark.slow
def test_deaths_that_are_told_late_leave_the_new_workers_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "run_batch", sleeping_batch)
    with local.LocalWorkers(2) as pool:
        taken_along = []
        for _ in range(2):  # the second before the sweep has heard of the first
            victim = pool.submit(tmp_path, 0).result()
            taken_along += [pool.submit(tmp_path, 60) for _ in range(2)]
            os.kill(victim, signal.SIGKILL)
            wait(taken_along, timeout=30)
        new = pool.submit(tmp_path, 2)
        for future in taken_along:
            line, _ = pool.died(future.exception(timeout=0))
            assert line.startswith("the worker died")
        assert new.result() != victim


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "error", "trace"),
    [(crashing_batch, "SIGSEGV", "crashing_batch"), (hungry_batch, "MemoryError", "hungry_batch|train_spec")],
)
def test_a_run_that_crashes_or_eats_all_memory_is_in_the_table_with_its_traceback(
    tmp_path, monkeypatch, batch, error, trace
):
    grid = {"gamma_sigma2": [-2.0, -1.0], "width": [1, 2, 4]}
    config = parse_config({"name": "s", "task": {"dimension": 8, "rank": 1}, "grid": grid})
    monkeypatch.setattr(local, "run_batch", batch)
    rows = list(iter_sweep(config, tmp_path / "r", jobs=2))
    results = load(tmp_path / "r")
    assert sorted(row["run_id"] for row in rows) == sorted(results.runs["run_id"])
    failed = results.runs["status"] == "failed"
    assert set(results.runs[failed]["width"]) == {2}
    assert set(results.runs[~failed]["status"]) == {"converged"}
    assert (failed.sum(), len(results.runs)) == (2, 6)
    assert results.failures["error"].str.contains(error).all()
    assert results.failures["traceback"].str.contains(trace).all()


def test_a_run_beyond_its_time_ends_with_what_it_has(tmp_path):
    base = {"name": "s", "task": {"dimension": 16}, "grid": {"gamma_sigma2": -2.0, "gamma_w": 1.5}}
    limited = parse_config({**base, "run": {"max_time": 1e-9}})
    assert [spec.run_id for spec in limited.expand()] == [spec.run_id for spec in parse_config(base).expand()]
    assert limited.digest == parse_config(base).digest
    (row,) = iter_sweep(limited, tmp_path / "r")
    assert (row["status"], row["converged"]) == ("step_limit", False)
    assert row["final_train_error"] > 0


def test_a_sweep_after_a_kill_does_not_wait_for_the_dead(slower_claims):
    """A claim file without a flock delays nothing."""
    path, config = slower_claims
    began = time.monotonic()
    assert len(list(iter_sweep(config, path))) == config.runs
    assert time.monotonic() - began < 10
    assert not (path / ".claims").exists()


def test_a_sweep_with_nothing_left_to_do_removes_the_claims_of_the_dead(slower_claims):
    path, config = slower_claims
    dead = path / ".claims" / "dead"
    content = dead.read_text()
    list(iter_sweep(config, path))
    dead.parent.mkdir()
    dead.write_text(content)
    assert list(iter_sweep(config, path)) == []
    assert not (path / ".claims").exists()


@pytest.fixture
def slower_claims(tmp_path):
    config = parse_config({"name": "s", "task": {"dimension": 8}, "grid": {"gamma_sigma2": -2.0, "gamma_w": 1}})
    create(tmp_path / "r", config)
    (tmp_path / "r" / ".claims").mkdir()
    text = "".join(f"{spec.run_id}\n" for spec in config.expand())
    (tmp_path / "r" / ".claims" / "dead").write_text(text)
    return tmp_path / "r", config

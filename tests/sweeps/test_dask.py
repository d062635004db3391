"""Sweeps on a real Dask cluster: a scheduler and worker processes on loopback, some of them killed."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import Future
from pathlib import Path

import pytest

from linphase import __version__
from linphase.config.config import parse_config
from linphase.config.plugins import activate
from linphase.errors import ConfigError, LinphaseError
from linphase.store.results import load
from linphase.sweeps import dask as dask_workers
from linphase.sweeps.sweeping import iter_sweep
from tests.processes import ENVIRONMENT, ROOT, SLOWER, finish, members, same_science, start_sweep, wait_for_first_part

distributed = pytest.importorskip("distributed", reason="no Dask here")

_run_on_worker = dask_workers.run_on_worker


class Cluster:
    """A scheduler and workers, each a session of its own, with their logs in files."""

    def __init__(self, path: Path) -> None:
        self.path, self.processes = path, []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        with (self.path / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                env={**ENVIRONMENT, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", **environment},
                cwd=self.path,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        return self.start("scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2],
                          "--no-dashboard")  # fmt: skip

    def worker(self, **environment: str) -> subprocess.Popen:
        return self.start("worker", self.address, "--nthreads", "1", "--no-dashboard", **environment)

    def kill(self, process: subprocess.Popen) -> None:
        """kill -9 of a process and all that it has started."""
        while left := members(process.pid):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.05)
        process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    for process in made.processes:
        made.kill(process)


@pytest.mark.slow
def test_workers_come_and_go_and_the_bits_are_those_of_local_workers(slower, tmp_path, cluster):
    cluster.scheduler()
    first = cluster.worker()
    process = start_sweep(tmp_path, "--scheduler", cluster.address)
    wait_for_first_part(tmp_path)
    cluster.worker()
    cluster.kill(first)
    finish(process)
    assert not load(tmp_path / "r").missing()
    same_science(slower, tmp_path / "r")


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_sweep_with_one_message_and_loses_nothing(slower, tmp_path, cluster):
    scheduler = cluster.scheduler()
    cluster.worker()
    cluster.worker()
    process = start_sweep(tmp_path, "--scheduler", cluster.address)
    wait_for_first_part(tmp_path)
    cluster.kill(scheduler)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    assert "is gone. All finished runs are kept; start one and run the same again" in out
    assert "Traceback" not in out
    kept = len(load(tmp_path / "r").runs)
    assert 0 < kept < 120
    finish(start_sweep(tmp_path))
    same_science(slower, tmp_path / "r")


@pytest.mark.slow
def test_a_plugin_travels_to_workers_that_lack_it_past_a_scheduler_that_lacks_it(tmp_path, cluster):
    # Scheduler and worker run elsewhere, without the file: the batch brings its bytes.
    cluster.scheduler()
    cluster.worker()
    shutil.copy(ROOT / "tests/data/outside.py", tmp_path / "outside.py")
    grid = {"gamma_sigma2": [-2.0, -1.0], "gamma_w": [1.0, 2.0]}
    mapping = {
        "name": "s",
        "plugins": [str(tmp_path / "outside.py")],
        "task": {"dimension": 8, "rank": 2},
        "grid": grid,
        "dynamics": {"kind": "heavy_ball", "eta": 0.004},
    }
    try:
        config = parse_config(mapping)
        (tmp_path / "outside.py").unlink()
        rows = list(iter_sweep(config, tmp_path / "r", scheduler=cluster.address))
        assert len(rows) == 4
        assert all(row["effective_rank"] > 1 and row["momentum"] == 0.9 for row in rows)
        there = list(iter_sweep(config, tmp_path / "here"))
        by_id = {row["run_id"]: row for row in there}
        assert all(by_id[row["run_id"]]["effective_rank"] == row["effective_rank"] for row in rows)
    finally:
        activate(())


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused_with_both_versions_and_nothing_is_lost(slower, tmp_path, cluster):
    other = tmp_path / "other" / "linphase"
    shutil.copytree(ROOT / "linphase", other, ignore=shutil.ignore_patterns("__pycache__"))
    package = (other / "__init__.py").read_text()
    (other / "__init__.py").write_text(package.replace(f'__version__ = "{__version__}"', '__version__ = "0.0.7"'))
    cluster.scheduler()
    cluster.worker()
    wrong = cluster.worker(PYTHONPATH=str(other.parent))
    with distributed.Client(cluster.address, timeout=30, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
    process = start_sweep(tmp_path, "--scheduler", cluster.address)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2, out
    errors = [line for line in out.splitlines() if not re.match(r"\d+/\d+ runs", line)]
    told = (
        rf"Error: --scheduler: linphase {re.escape(__version__)} is required on all workers of {cluster.address}, "
        rf"as here, found 0\.0\.7 on tcp://[0-9.:]+\. Install linphase {re.escape(__version__)} there, "
        "start its workers again, and run the same again; all finished runs are kept"
    )
    assert len(errors) == 1, out
    assert re.fullmatch(told, errors[0]), out
    assert not list((tmp_path / "r" / "failures").iterdir())
    cluster.kill(wrong)
    finish(start_sweep(tmp_path, "--scheduler", cluster.address))
    same_science(slower, tmp_path / "r")
    assert load(tmp_path / "r").runs["run_id"].is_unique


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_without_workers_says_so_waits_and_can_be_stopped(tmp_path, cluster, number):
    cluster.scheduler()
    process = start_sweep(tmp_path, "--scheduler", cluster.address)
    time.sleep(16)
    process.send_signal(number)
    began = time.monotonic()
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == 128 + number, out
    assert f"{cluster.address} has no workers; waiting for some" in out
    assert "Traceback" not in out


@pytest.mark.slow
def test_without_a_scheduler_there_is_one_message(tmp_path, cluster):
    began = time.monotonic()
    process = start_sweep(tmp_path, "--scheduler", cluster.address)  # nothing was started there
    out, _ = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 2
    assert re.fullmatch(r"Error: --scheduler: a Dask scheduler is required at \S+, none was reached: [^\n]*\n", out)


def deadly(directory, assignment):
    """A batch that kills its worker at width 1."""
    if any(dict(spec["start"])["width"] == 1 for spec in assignment["specs"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return _run_on_worker(directory, assignment)


@pytest.mark.slow
def test_a_run_that_kills_its_workers_has_failed_and_all_others_complete(tmp_path, cluster, monkeypatch):
    cluster.scheduler()
    cluster.worker()
    cluster.worker()
    grid = {"gamma_sigma2": -2.0, "width": [1, 2, 4, 8, 16, 32]}
    config = parse_config({"name": "s", "task": {"dimension": 8, "rank": 1}, "grid": grid})
    monkeypatch.setattr("linphase.sweeps.dask.run_on_worker", deadly)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        rows = list(iter_sweep(config, tmp_path / "r", scheduler=cluster.address))
    assert len(rows) == 6
    runs = load(tmp_path / "r").runs
    assert list(runs[runs["status"] == "failed"]["width"]) == [1]
    assert (runs["status"] == "converged").sum() == 5


@pytest.mark.slow
def test_a_worker_that_has_swept_a_directory_trains_again_what_was_removed_from_it(tmp_path, cluster):
    cluster.scheduler()
    cluster.worker()
    grid = {"gamma_sigma2": -2.0, "width": [1, 2, 4]}
    config = parse_config({"name": "s", "task": {"dimension": 8, "rank": 1}, "grid": grid})
    for _ in range(2):
        assert len(list(iter_sweep(config, tmp_path / "r", scheduler=cluster.address))) == 3
        assert len(load(tmp_path / "r").runs) == 3
        shutil.rmtree(tmp_path / "r")


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'linphase'"),
                                   RuntimeError("Error during deserialization of the task graph")])  # fmt: skip
def test_a_cluster_without_linphase_is_told_so_and_gives_no_traceback(error):
    inner, outer = Future(), Future()
    inner.set_exception(error)
    dask_workers._pass_on(inner, outer, "tcp://127.0.0.1:8786")
    with pytest.raises(LinphaseError, match=r"the scheduler and all workers at .* must have this linphase, found"):
        outer.result()


@pytest.mark.parametrize(
    "text", ["localhost:8786", "http://localhost:8786", "tcp://localhost", "tcp://:8786", "tcp://a:b", "", "8786"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError, match="--scheduler: tcp://HOST:PORT or tls://HOST:PORT is required, found"):
        dask_workers.check_address(text)


@pytest.mark.parametrize("text", ["tcp://10.0.0.1:8786", "tcp://node17:8786", "tcp://0.0.0.0:8786"])
def test_an_address_that_the_network_can_talk_to_gets_a_warning(text):
    with pytest.warns(UserWarning, match="Dask runs what the network sends it"):
        dask_workers.check_address(text)


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "tls://node17:8786"])
def test_loopback_and_encrypted_addresses_get_none(text):
    dask_workers.check_address(text)


def test_jobs_and_scheduler_exclude_each_other(tmp_path):
    from click.testing import CliRunner

    from linphase.cli import main

    (tmp_path / "c.toml").write_text(SLOWER)
    options = ["--config", str(tmp_path / "c.toml"), "--jobs", "2", "--scheduler", "tcp://localhost:1"]
    done = CliRunner().invoke(main, ["sweep", *options])
    assert done.exit_code == 2
    assert "--jobs: has no effect with --scheduler" in done.output

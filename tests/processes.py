"""Sweeps as processes of their own, for tests that kill them; in this process where workers are not the subject."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pandas as pd

from linphase.config.config import SweepConfig
from linphase.store.results import Results, load
from linphase.store.writing import create
from linphase.sweeps.batch import assign, run_batch

ROOT = Path(__file__).parents[1]
TINY = """
name = "tiny"
[task]
dimension = 8
rank = 2
[grid]
gamma_sigma2 = [-2.0, -1.0, 0.0]
gamma_w = [0.0, 1.5, 2.5]
"""
SLOWER = """
name = "slower"
[task]
dimension = 40
[grid]
gamma_sigma2 = { start = -3.0, stop = 0.0, num = 10 }
gamma_w = { start = 0.0, stop = 2.8, num = 12 }
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
# Wall time differs from run to run; everything else is the run's own.
NOT_SCIENTIFIC = ["elapsed_s"]


def train_here(config: SweepConfig, path: Path) -> Results:
    """All runs of a sweep, trained in this process as one batch: no worker has to be started."""
    create(path, config)
    run_batch(path, assign(config.expand(), config, sweep=uuid.uuid4().hex))
    return load(path)


def start_sweep(path: Path, *options: str, text: str = SLOWER) -> subprocess.Popen:
    """`linphase sweep` into path/r, in a session of its own."""
    (path / "config.toml").write_text(text)
    command = [sys.executable, "-m", "linphase", "sweep", "--config", "config.toml", "--out", "r", "--no-plot"]
    return subprocess.Popen(
        [*command, *options],
        cwd=path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen, timeout: float = 120) -> str:
    """The output of a process that has to end well."""
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, out
    return out


def wait_for_first_part(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not list((path / "r" / "runs").glob("part-*")):
        assert time.monotonic() < deadline, "no part was committed in a minute"
        time.sleep(0.02)


def members(session: int) -> list[int]:
    """Living processes of a session (from /proc, so Linux only)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def workers(session: int) -> list[int]:
    """The worker processes among the members of a session."""
    found = []
    for pid in members(session):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"loky" in command and b"resource_tracker" not in command:
            found.append(pid)
    return found


def gone(session: int, seconds: float = 5) -> bool:
    """Whether every process of a session ends within some seconds."""
    deadline = time.monotonic() + seconds
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left


def science(path: Path) -> pd.DataFrame:
    """The runs table without what differs from one time to the next."""
    runs = load(path).runs
    return runs.drop(columns=NOT_SCIENTIFIC).sort_values("run_id", ignore_index=True)


def trajectories(path: Path) -> pd.DataFrame:
    """The trajectories table, each list as its bytes; one that is null has no values, as readers take it."""
    table = pd.read_parquet(path / "trajectories").drop_duplicates("run_id").sort_values("run_id", ignore_index=True)
    return table.map(
        lambda value: value.tobytes() if isinstance(value, np.ndarray) else b"" if value is None else value
    )


def same_science(one: Path, two: Path) -> None:
    """Bit for bit: the tables and every trajectory."""
    pd.testing.assert_frame_equal(science(one), science(two), check_exact=True)
    pd.testing.assert_frame_equal(trajectories(one), trajectories(two), check_exact=True)

"""The main job: the README's first command shows the regimes where theory has them, by all three criteria."""

import os
import re
import subprocess
import venv
from pathlib import Path
from site import getsitepackages

import numpy as np
import pytest

from linphase.config.config import load_config
from linphase.diagram.outcomes import outcomes
from linphase.model.regime import CRITERIA, Cuts
from linphase.store.results import load
from linphase.theory.boundaries import MIXED_BALANCED, MIXED_LAZY, boundaries
from tests.test_docs import blocks

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run_first_command(path):
    """A clone, a new virtual environment, the README's first command in it."""
    checkout = path / "linphase"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    venv.create(path / "venv")
    # What linphase needs is taken from here, pip too: .ci/run has installed it for the test command, as declared.
    (path / "venv/bin/pip").write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    (path / "venv/bin/pip").chmod(0o755)
    (site,) = (path / "venv").glob("lib/python*/site-packages")
    (site / "needed.pth").write_text("\n".join(getsitepackages()))
    (command,) = (b.code for b in blocks() if "pip install . &&" in b.code)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = f"{path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment["PIP_NO_DEPS"] = "1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    (path / "printed").write_text(done.stdout)


@pytest.fixture(scope="module")
def first_command(made_once):
    """The clone, and what was printed."""
    path = made_once("fresh", run_first_command)
    return path / "linphase", (path / "printed").read_text()


@pytest.fixture(scope="module")
def quickstart(first_command):
    checkout, _ = first_command
    return load_config(checkout / "configs/quickstart.toml"), load(checkout / "results/quickstart")


def test_the_first_command_works_in_a_fresh_environment(first_command):
    checkout, printed = first_command
    assert re.search(r"400 runs by regime and status", printed)
    picture = checkout / "results/quickstart/phase_diagram.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not subprocess.run(["git", "status", "--porcelain"], cwd=checkout, capture_output=True).stdout


def predicted(runs, config):
    """Regime by the finite-d lines, and the distance in gamma_sigma2 from the nearest of them."""
    task = config.task
    lines = {
        line.name: line.gamma_sigma2
        for line in boundaries(task.shape, task.rank, task.noise, task.signal_norm, runs["gamma_w"].to_numpy())
        if not line.asymptotic
    }
    x = runs["gamma_sigma2"].to_numpy()
    lazy, balanced = x > lines[MIXED_LAZY], x < lines[MIXED_BALANCED]
    distance = np.minimum(np.abs(x - lines[MIXED_LAZY]), np.abs(x - lines[MIXED_BALANCED]))
    return np.where(lazy, "lazy", np.where(balanced, "balanced", "mixed")), distance


def test_the_quickstart_converges_everywhere_over_the_whole_window(quickstart):
    config, results = quickstart
    runs = results.runs
    assert config.task.dimension == 64
    assert config.cells >= 16 * 16
    assert (runs["gamma_sigma2"].min(), runs["gamma_sigma2"].max()) == (-3.0, 0.0)
    assert (runs["gamma_w"].min(), runs["gamma_w"].max()) == (0.0, 2.8)
    assert len(runs) == config.runs
    assert set(runs["status"]) == {"converged"}


@pytest.mark.parametrize("by", CRITERIA)
def test_the_regimes_lie_between_the_predicted_lines(quickstart, by):
    config, results = quickstart
    # The threshold is derived for wide networks: below width d the criteria part (docs/theory.md, "Observables").
    runs = results.runs[results.runs["width"] > config.task.dimension]
    measured = outcomes(runs, cuts=Cuts(criterion=by)).to_numpy()
    expected, distance = predicted(runs, config)
    agree = measured == expected
    # A cell is 0.16 wide; the k signal modes of one draw spread by 17 %, that is 0.04 in gamma_sigma2, each way.
    assert agree[distance > 0.16].all()
    assert agree.mean() > 0.9
    for regime in ("lazy", "mixed", "balanced"):
        assert (measured == regime).sum() >= 20  # the bands are there

"""What Python's functions take: a bad argument is one message that begins with its name."""

import numpy as np
import pandas as pd
import pytest

import linphase
from linphase.config.config import as_config
from linphase.errors import ConfigError, LinphaseError
from linphase.model.draws import TaskConfig
from tests.processes import TINY

GRID = {"gamma_sigma2": [-2.0], "gamma_w": [1.5]}
CONFIG = {"name": "tiny", "task": {"dimension": 8, "rank": 2}, "grid": GRID}
TASK = linphase.draw_task(TaskConfig(dimension=8, rank=2))
START = linphase.Initialization.at(TASK.scale, gamma_sigma2=-2.0, gamma_w=1.5)
WEIGHTS = linphase.gaussian_start(START, TASK.shape)
SPEC = next(linphase.parse_config(CONFIG).expand())


def test_a_sweep_takes_a_file_a_mapping_or_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    config = linphase.load_config("tiny.toml")
    assert as_config("tiny.toml") == as_config(tmp_path / "tiny.toml") == as_config(config) == config
    assert as_config(config.resolved()) == config
    results = linphase.sweep("tiny.toml")
    assert len(results.runs) == config.runs
    assert results.path == linphase.load("results/tiny").path
    assert list(linphase.iter_sweep("tiny.toml")) == []  # all is there, in the directory of the name
    assert list(linphase.iter_sweep(config.resolved(), results.path)) == []


def test_a_sweep_is_iterated_over_row_by_row_and_trains_nothing_before_it_is(tmp_path):
    rows = linphase.iter_sweep(CONFIG | {"grid": GRID | {"replicates": 2}}, tmp_path / "r", task=TASK)
    assert not (tmp_path / "r").exists()
    errors = [row["min_test_error"] for row in rows]
    kept = linphase.load(tmp_path / "r").runs
    assert sorted(errors) == sorted(kept["min_test_error"])
    pd.testing.assert_frame_equal(
        linphase.sweep(CONFIG | {"grid": GRID | {"replicates": 2}}, tmp_path / "r", task=TASK).runs, kept
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linphase.sweep(3), "config: a SweepConfig, a mapping of keys or the path of a TOML file is required, "
         "found 3"),
        (lambda: linphase.iter_sweep(None), "config: a SweepConfig, a mapping of keys or the path of a TOML file is "
         "required, found None"),
        (lambda: linphase.sweep("no.toml"), "no.toml: cannot be read: No such file or directory"),
        (lambda: linphase.sweep(CONFIG, 3), "out: the path of a results directory is required, found 3"),
        (lambda: linphase.iter_sweep(CONFIG, jobs="2"), "jobs: a number of worker processes is required, found '2'"),
        (lambda: linphase.iter_sweep(CONFIG, jobs=True), "jobs: a number of worker processes is required, found True"),
        (lambda: linphase.iter_sweep(CONFIG, jobs=-1), "jobs: a number of worker processes from 1 on is required, "
         "found -1"),
        (lambda: linphase.iter_sweep(CONFIG, scheduler=3), "scheduler: the address of a Dask scheduler is required, "
         "found 3"),
        (lambda: linphase.iter_sweep(CONFIG, shard="1/2"), "shard: a linphase.sweeps.plan.Shard is required, found "
         "'1/2'"),
        (lambda: linphase.iter_sweep(CONFIG, task=3), "task: a linphase.Task is required, found 3. Task.from_target "
         "makes one"),
        (lambda: linphase.load(3), "path: the path of a results directory is required, found 3"),
        (lambda: linphase.load_config({}), "path: the path of a TOML file is required, found {}"),
        (lambda: linphase.train(3, WEIGHTS), "task: a linphase.Task is required, found 3"),
        (lambda: linphase.train(TASK, 3), "weights: a linphase.Weights, as linphase.gaussian_start draws, is required, "
         "found 3"),
        (lambda: linphase.train(TASK, WEIGHTS, "flow"), "dynamics: a dynamics such as linphase.GradientFlow() is "
         "required, found 'flow'"),
        (lambda: linphase.train(TASK, WEIGHTS, linphase.GradientFlow), "dynamics: a dynamics such as "
         "linphase.GradientFlow() is required, found <class 'linphase.dynamics.gradient_flow.GradientFlow'>"),
        (lambda: linphase.train(TASK, WEIGHTS, stop="converged"), "stop: a stop rule such as "
         "linphase.runs.stopping.Converged() is required, found 'converged'"),
        (lambda: linphase.train(TASK, WEIGHTS, record=3), "record: a linphase.runs.recorder.RecordConfig is required, "
         "found 3"),
        (lambda: linphase.train(TASK, WEIGHTS, initialization=3), "initialization: a linphase.Initialization is "
         "required, found 3"),
        (lambda: linphase.train(TASK, WEIGHTS, max_time="a"), "max_time: a number of seconds is required, found 'a'"),
        (lambda: linphase.train_spec(CONFIG), "spec: a linphase.RunSpec, one of those that config.expand() gives, is "
         f"required, found {CONFIG!r:.60}"),
        (lambda: linphase.train_spec(SPEC, 3), "task: a linphase.Task is required, found 3"),
        (lambda: linphase.gaussian_start(3, (8, 8)), "initialization: a linphase.Initialization is required, found 3"),
        (lambda: linphase.gaussian_start(START, 8), "shape: (d_out, d_in) is required, as task.shape is, found 8"),
        (lambda: linphase.reduce_width(3), "weights: a linphase.Weights is required, found 3"),
        (lambda: linphase.Weights([[1.0]], np.ones((1, 1))), "W1: a numpy array is required, found [[1.0]]"),
        (lambda: linphase.Initialization.at("8", gamma_sigma2=-2.0, gamma_w=1.5), "dimension: a number is required, "
         "found '8'"),
        (lambda: linphase.Initialization.at(8, gamma_sigma2="a", gamma_w=1.5), "gamma_sigma2: a number is required, "
         "found 'a'"),
        (lambda: linphase.Cuts("speed"), "criterion: must be one of threshold, balance, speedup, found 'speed'"),
        (lambda: linphase.Cuts(bulk=np.inf), "bulk_cut: must be a share from 0 to 1, found inf"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_one_message_that_begins_with_its_name(call, message):
    with pytest.raises(LinphaseError) as refused:
        call()
    assert str(refused.value) == message


def test_a_bad_key_of_a_mapping_is_named_as_in_a_file():
    with pytest.raises(ConfigError, match=r"config: task\.rank: must be .*, found \"two\""):
        linphase.sweep(CONFIG | {"task": {"rank": "two"}})


def test_everything_public_completes_with_tab():
    assert set(dir(linphase)) >= set(linphase.__all__)
    assert all(getattr(linphase, name) is not None for name in linphase.__all__)
